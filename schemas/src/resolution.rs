//! Bytes of another version of a record, as the newest type.

use crate::{
    cache::WriterSchema,
    message,
    newest::Newest,
    plain::Plain,
    plan::{Plan, input::Wrong},
};
use apache_avro::{Schema, reader::datum::GenericDatumReader};
use serde::de::DeserializeOwned;
use std::{cell::RefCell, sync::Arc};

/// The most memory that is kept between two values, in bytes.
const MAX_KEPT_BYTES: usize = 64 << 10;

/// The way from one writer's schema to a record's newest.
pub(crate) struct Resolution {
    pub(crate) newest: &'static Newest,
    written: Arc<WriterSchema>,
    /// None where the two schemas need apache-avro's own way, value by value.
    plan: Option<Plan>,
}

impl Resolution {
    pub(crate) fn new(written: Arc<WriterSchema>, newest: &'static Newest) -> Self {
        let plan = Plan::new(&written.schema, &newest.schema);
        if plan.is_none() {
            tracing::debug!(record = newest.name, "an earlier schema is resolved value by value, which is slow");
        }
        Resolution { newest, written, plan }
    }

    /// Reads a record of plain fields, to the last byte.
    ///
    /// # Errors
    /// What is wrong with the bytes, or why they do not resolve.
    #[inline(always)]
    pub(crate) fn read_plain<T: DeserializeOwned>(
        &self,
        bytes: &[u8],
        scratch: &RefCell<Vec<u8>>,
        plain: Plain<T>,
    ) -> Result<T, Wrong> {
        match self.plan.as_ref().and_then(Plan::parts) {
            Some(parts) => plain.resolve(parts, bytes, scratch),
            None => self.read(bytes, scratch, move |bytes| plain.read(bytes)),
        }
    }

    /// Reads bytes of the writer's schema, to the last one. `scratch` is memory
    /// that is used again, `direct` reads bytes of the newest schema.
    ///
    /// # Errors
    /// What is wrong with the bytes, or why they do not resolve.
    #[inline(never)]
    pub(crate) fn read<T: DeserializeOwned>(
        &self,
        bytes: &[u8],
        scratch: &RefCell<Vec<u8>>,
        direct: impl FnOnce(&[u8]) -> Result<T, Wrong>,
    ) -> Result<T, Wrong> {
        let Some(plan) = &self.plan else { return by_value(&self.written.schema, self.newest, bytes) };
        let mut resolved = scratch.take();
        resolved.clear();
        let read = plan.transcode(bytes, &mut resolved).and_then(|()| direct(&resolved));
        resolved.shrink_to(MAX_KEPT_BYTES);
        scratch.replace(resolved);
        read
    }
}

/// Reads bytes of a writer's schema by apache-avro's own resolution.
///
/// # Errors
/// What is wrong with the bytes, or why they do not resolve.
pub(crate) fn by_value<T: DeserializeOwned>(writer: &Schema, newest: &Newest, bytes: &[u8]) -> Result<T, Wrong> {
    message::read_exactly(bytes, |source| {
        // `read_deser` panics when a reader schema is set, so this goes through `Value`.
        let reader = GenericDatumReader::builder(writer).reader_schema(&newest.schema).build()?;
        apache_avro::from_value(&reader.read_value(source)?)
    })
}
