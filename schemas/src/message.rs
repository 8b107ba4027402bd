//! Between an enum of records and their Avro bytes.

use crate::{
    deprecation,
    newest::Newest,
    plain::Plain,
    plan::input::Wrong,
    resolution::{self, Resolution},
    rules::Level,
    upcast::Retired,
};
use apache_avro::{AvroSchema, Schema};
use factum_core::{DecodeError, Error, ErrorKind, Message};
use serde::{Serialize, de::DeserializeOwned};
use std::{cell::RefCell, fmt, io, sync::Arc};

/// A type that is one Avro record.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an Avro record",
    label = "needs `Record`",
    note = "put `#[event(\"bank.account\")]` or `#[command(\"bank.account\")]` on the struct, with the aggregate's type"
)]
pub trait Record: Sized {
    /// The full Avro name, `<namespace>.<name>`.
    const NAME: &'static str;
    /// Why the record should not be written any more, and what to write instead.
    const DEPRECATED: Option<&'static str> = None;
    /// The same for fields: each by its name in the schema, with the reason.
    const DEPRECATED_FIELDS: &'static [(&'static str, &'static str)] = &[];

    /// How it is written and read where its fields are plain; else serde does it.
    const PLAIN: Option<Plain<Self>> = None;
}

/// The schema of a record with its marks of deprecation, for [`AvroMessage::schemas`].
pub fn schema_of<T: AvroSchema + Record>() -> Schema {
    marked::<T>(T::get_schema())
}

/// A record's schema with the marks of deprecation of `T`; any other schema, as a name for the record, stays
/// as it is. The attributes put it into the schema of the type, so that records within others have their marks.
pub fn marked<T: Record>(schema: Schema) -> Schema {
    deprecation::marked(schema, T::DEPRECATED, T::DEPRECATED_FIELDS)
}

/// A set of records with their schemas: dispatch between the enum and the
/// record that it holds. `#[event]` and `#[command]` write this impl; the
/// example of this crate shows it by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no Avro schemas",
    label = "needs `AvroMessage`",
    note = "put `#[event]` or `#[command]` on the enum, with one record in each variant: `Deposited(Deposited)`"
)]
pub trait AvroMessage: Message {
    /// What a changed record must be to earlier ones: for events and all that
    /// is only read later BACKWARD_TRANSITIVE, for what goes between programs of
    /// different age, as commands do, FULL_TRANSITIVE.
    const RULE: Level = Level::BackwardTransitive;

    /// The newest schemas of the records, in the order of [`Message::RECORDS`].
    fn schemas() -> Vec<Schema>;

    /// Writes the record that this value holds.
    ///
    /// # Errors
    /// Those of [`RecordWriter::write`].
    fn write(&self, to: RecordWriter<'_>) -> Result<(), Error>;

    /// Reads the record of that index in [`Message::RECORDS`].
    ///
    /// # Errors
    /// Those of [`RecordReader::read`].
    fn read(record: usize, from: RecordReader<'_>) -> Result<Self, DecodeError>;

    /// The records that were in [`Message::RECORDS`] once, with their upcasters.
    fn retired() -> Vec<Retired<Self>> {
        Vec::new()
    }

    /// A record that is neither in [`Message::RECORDS`] nor retired, by its full name and its
    /// wire bytes; none for types that know only their own ([`StoredEvent`](crate::StoredEvent) takes any).
    fn foreign(name: &Arc<str>, value: &[u8]) -> Option<Self> {
        let _ = (name, value);
        None
    }
}

/// Takes one record as Avro binary of its newest schema.
pub struct RecordWriter<'a> {
    pub(crate) newest: &'static Newest,
    pub(crate) into: &'a mut Vec<u8>,
}

impl RecordWriter<'_> {
    /// Appends a record, the fastest way that it has.
    ///
    /// # Errors
    /// Those of [`RecordWriter::write`].
    #[inline]
    pub fn record<T: Record + Serialize + 'static>(self, record: &T) -> Result<(), Error> {
        match T::PLAIN {
            Some(plain) if self.newest.is_written_by::<T>() => {
                (plain.put)(record, self.into);
                Ok(())
            }
            _ => self.write(record),
        }
    }

    /// Appends a value by way of serde.
    ///
    /// # Errors
    /// `Data` when the value does not fit the schema.
    pub fn write<T: Serialize>(self, record: &T) -> Result<(), Error> {
        match self.newest.writer.write_ser(self.into, record) {
            Ok(_) => Ok(()),
            Err(e) => Err(Error::with_source(
                ErrorKind::Data,
                format!("a value of record {} does not fit its schema", self.newest.name),
                e,
            )),
        }
    }
}

impl fmt::Debug for RecordWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordWriter").field("record", &self.newest.name).finish_non_exhaustive()
    }
}

/// The Avro binary of one record, of its newest schema or of another version.
pub struct RecordReader<'a> {
    pub(crate) newest: &'static Newest,
    pub(crate) how: How<'a>,
    pub(crate) id: Option<u32>,
    pub(crate) bytes: &'a [u8],
}

/// How the bytes become a value.
#[derive(Clone, Copy)]
pub(crate) enum How<'a> {
    /// The writer's schema is the newest: straight into the type.
    Direct,
    /// From another schema, with memory that is used again.
    Resolve(&'a Resolution, &'a RefCell<Vec<u8>>),
    /// From another schema that is met once.
    ByValue(&'a Schema),
}

impl RecordReader<'_> {
    /// Reads a record to the last byte, the fastest way that it has.
    ///
    /// # Errors
    /// Those of [`RecordReader::read`].
    #[inline(always)] // a caller knows how, so that the other ways fall out
    pub fn record<T: Record + DeserializeOwned + 'static>(self) -> Result<T, DecodeError> {
        let RecordReader { newest, how, id, bytes } = self;
        match T::PLAIN {
            Some(plain) if newest.is_written_by::<T>() => {
                let read = match how {
                    How::Direct => plain.read(bytes),
                    How::Resolve(resolution, scratch) => resolution.read_plain(bytes, scratch, plain),
                    How::ByValue(writer) => resolution::by_value(writer, newest, bytes),
                };
                read.map_err(|wrong| malformed(newest, id, &wrong))
            }
            // Put together anew, for what is passed on whole lies in memory on the fast way, too.
            _ => RecordReader { newest, how, id, bytes }.read(),
        }
    }

    /// Reads a value by way of serde, to the last byte.
    ///
    /// # Errors
    /// `Malformed`: truncated, followed by other bytes, not of its schema, or
    /// of a version that does not resolve to the newest.
    pub fn read<T: DeserializeOwned>(self) -> Result<T, DecodeError> {
        let RecordReader { newest, how, id, bytes } = self;
        let direct = |bytes: &[u8]| read_exactly(bytes, |source| newest.reader.read_deser(source));
        let read = match how {
            How::Direct => direct(bytes),
            How::Resolve(resolution, scratch) => resolution.read(bytes, scratch, direct),
            How::ByValue(writer) => resolution::by_value(writer, newest, bytes),
        };
        read.map_err(|wrong| malformed(newest, id, &wrong))
    }
}

#[cold]
fn malformed(newest: &Newest, id: Option<u32>, wrong: &Wrong) -> DecodeError {
    let name = &newest.name;
    DecodeError::Malformed(match id {
        Some(id) => format!("record {name} of schema id {id}: {wrong}"),
        None => format!("record {name}: {wrong}"),
    })
}

impl fmt::Debug for RecordReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordReader")
            .field("record", &self.newest.name)
            .field("id", &self.id)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// Reads a value that takes exactly these bytes.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn read_exactly<T>(
    bytes: &[u8],
    read: impl FnOnce(&mut Source<'_>) -> apache_avro::AvroResult<T>,
) -> Result<T, Wrong> {
    let mut source = Source::new(bytes);
    let result = read(&mut source);
    source.used_up(result).map_err(Wrong::Other)
}

/// A slice that remembers that somebody wanted more than it had.
pub(crate) struct Source<'a> {
    bytes: &'a [u8],
    truncated: bool,
}

impl<'a> Source<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Source { bytes, truncated: false }
    }

    /// The value, if it took exactly these bytes; else what is wrong.
    ///
    /// apache-avro's generic decoder reads a boolean, string or union beyond
    /// the end as null, without an error: whether bytes were missing comes first.
    pub(crate) fn used_up<T>(&self, result: apache_avro::AvroResult<T>) -> Result<T, String> {
        match result {
            _ if self.truncated => Err("the value is truncated".to_owned()),
            Ok(_) if !self.bytes.is_empty() => Err(format!("{} bytes follow the value", self.bytes.len())),
            Ok(value) => Ok(value),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl io::Read for Source<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = io::Read::read(&mut self.bytes, into)?;
        self.truncated |= count == 0 && !into.is_empty();
        Ok(count)
    }

    #[inline]
    fn read_exact(&mut self, into: &mut [u8]) -> io::Result<()> {
        match self.bytes.split_at_checked(into.len()) {
            Some((taken, rest)) => {
                into.copy_from_slice(taken);
                self.bytes = rest;
                Ok(())
            }
            None => {
                self.truncated = true;
                self.bytes = &[];
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        }
    }
}
