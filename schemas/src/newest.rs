//! The schemas that are compiled in, prepared once for the life of the process.

use crate::{AvroMessage, Record, bounds, parse, shape, traps, upcast};
use apache_avro::{AvroSchema, Schema, reader::datum::GenericDatumReader, writer::datum::GenericDatumWriter};
use factum_core::{Error, ErrorKind, Result};
use std::{
    any::TypeId,
    collections::BTreeMap,
    sync::{Mutex, OnceLock, PoisonError},
};

/// A record type's newest schema with its prepared writer and reader.
pub(crate) struct Newest {
    /// The record's full name.
    pub(crate) name: String,
    /// The schema that was derived from the Rust type.
    pub(crate) schema: Schema,
    /// The schema as it is registered.
    pub(crate) json: String,
    /// Writes values of the schema.
    pub(crate) writer: GenericDatumWriter<'static>,
    /// Reads bytes of exactly this schema.
    pub(crate) reader: GenericDatumReader<'static>,
    /// The type whose plain code was compared with the schema, and whether they agree.
    plain: OnceLock<(TypeId, bool)>,
}

impl Newest {
    /// Whether a type has plain code that writes and reads bytes of this schema.
    #[inline]
    pub(crate) fn is_written_by<T: Record + 'static>(&self) -> bool {
        let (of, agree) =
            self.plain.get_or_init(|| (TypeId::of::<T>(), T::PLAIN.is_some_and(|plain| plain.is_of(&self.schema))));
        *agree && *of == TypeId::of::<T>()
    }
}

/// The schemas of an enum's records as they are registered, in the order of its `RECORDS`.
///
/// # Errors
/// `Invalid` when names and schemas disagree or a schema is not usable.
pub fn newest_schemas<M: AvroMessage>() -> Result<Vec<Schema>> {
    Ok(of_message::<M>()?.iter().take(M::RECORDS.len()).map(|newest| newest.schema.clone()).collect())
}

/// The schemas of an enum's retired records: they are read and not registered.
///
/// # Errors
/// As [`newest_schemas`], and `Invalid` when an upcaster leads nowhere or in a circle.
pub fn retired_schemas<M: AvroMessage>() -> Result<Vec<Schema>> {
    Ok(of_message::<M>()?.iter().skip(M::RECORDS.len()).map(|newest| newest.schema.clone()).collect())
}

static PREPARED: Mutex<BTreeMap<TypeId, &'static [Newest]>> = Mutex::new(BTreeMap::new());

/// The records of an enum, in the order of its `RECORDS`, and behind them its retired ones.
///
/// # Errors
/// `Invalid` when names and schemas disagree, a schema is not usable, or an
/// upcaster leads nowhere or in a circle.
pub(crate) fn of_message<M: AvroMessage>() -> Result<&'static [Newest]> {
    prepared(TypeId::of::<M>(), || {
        let mut schemas = M::schemas();
        if schemas.len() != M::RECORDS.len() {
            return Err(Error::invalid(format!(
                "{} has {} records and {} schemas",
                std::any::type_name::<M>(),
                M::RECORDS.len(),
                schemas.len()
            )));
        }
        let retired = M::retired();
        schemas.extend(retired.iter().map(upcast::Retired::schema));
        for (name, schema) in M::RECORDS.iter().copied().chain(retired.iter().map(upcast::Retired::name)).zip(&schemas)
        {
            let derived = record_name(schema);
            if derived.as_deref() != Some(name) {
                return Err(Error::invalid(format!(
                    "record {name} has a schema named {}: name and namespace of struct and schema must agree",
                    derived.as_deref().unwrap_or("nothing, it is not a record")
                )));
            }
            if let Some(trap) = traps::within(schema) {
                return Err(Error::invalid(format!("record {name}: {trap}")));
            }
        }
        let mut names = M::RECORDS.to_vec();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Error::invalid(format!("{} holds {} twice", std::any::type_name::<M>(), pair[0]))),
            None => upcast::check(&retired).map(|()| schemas),
        }
    })
}

/// One type that is no message: a state.
///
/// # Errors
/// `Invalid` when the schema is not usable.
pub(crate) fn of_type<T: AvroSchema + 'static>() -> Result<&'static Newest> {
    prepared(TypeId::of::<T>(), || Ok(vec![T::get_schema()])).map(|prepared| &prepared[0])
}

/// The newest schema of one type, for example of a state.
///
/// # Errors
/// `Invalid` when its derived schema is not usable.
pub fn newest_schema<T: AvroSchema + 'static>() -> Result<Schema> {
    of_type::<T>().map(|newest| newest.schema.clone())
}

/// The full name of a record schema.
pub(crate) fn record_name(schema: &Schema) -> Option<String> {
    match schema {
        Schema::Record(record) => Some(record.name.fullname(None)),
        _ => None,
    }
}

fn prepared(id: TypeId, schemas: impl FnOnce() -> Result<Vec<Schema>>) -> Result<&'static [Newest]> {
    let mut all = PREPARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(prepared) = all.get(&id) {
        return Ok(prepared);
    }
    bounds::limit_allocations();
    // Checked and parsed again first, so that what is leaked is leaked once per type.
    let schemas = schemas()?.iter().map(normalised).collect::<Result<Vec<_>>>()?;
    let schemas: &'static [Schema] = Vec::leak(schemas);
    let prepared = schemas.iter().map(prepare).collect::<Result<Vec<_>>>()?;
    let prepared: &'static [Newest] = Vec::leak(prepared);
    all.insert(id, prepared);
    Ok(prepared)
}

/// The schema as a registry or a file gives it back.
fn normalised(schema: &Schema) -> Result<Schema> {
    let invalid = |why: &dyn std::fmt::Display| {
        Error::invalid(format!("the schema of {} is not usable: {why}", record_name(schema).unwrap_or_default()))
    };
    bounds::check(schema).map_err(|why| invalid(&why))?;
    parse::parse(&shape::compact(schema)).map_err(|why| invalid(&why))
}

fn prepare(schema: &'static Schema) -> Result<Newest> {
    let name = record_name(schema).unwrap_or_else(|| "without a name".to_owned());
    let unusable = |e| Error::with_source(ErrorKind::Invalid, format!("the schema of {name} is not usable"), e);
    Ok(Newest {
        writer: GenericDatumWriter::builder(schema).build().map_err(unusable)?,
        reader: GenericDatumReader::builder(schema).build().map_err(unusable)?,
        schema: schema.clone(),
        json: shape::compact(schema),
        plain: OnceLock::new(),
        name,
    })
}
