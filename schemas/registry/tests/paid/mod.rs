//! A record, with the implementations that the attributes write otherwise.

use factum_core::{DecodeError, Message, Result};
use factum_schemas::{AvroMessage, Record, RecordReader, RecordWriter, Schema, schema_of};

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, apache_avro::AvroSchema)]
#[avro(namespace = "a")]
pub(crate) struct Paid {
    pub(crate) cents: i64,
}

impl Record for Paid {
    const NAME: &'static str = "a.Paid";
}

impl Message for Paid {
    const RECORDS: &'static [&'static str] = &[Self::NAME];

    fn record(&self) -> usize {
        0
    }
}

impl AvroMessage for Paid {
    fn schemas() -> Vec<Schema> {
        vec![schema_of::<Self>()]
    }

    fn write(&self, to: RecordWriter<'_>) -> Result<()> {
        to.write(self)
    }

    fn read(_: usize, from: RecordReader<'_>) -> Result<Self, DecodeError> {
        from.read()
    }
}
