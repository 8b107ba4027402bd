//! Answers to commands as the Avro record `factum.Answer`.

use crate::{AvroMessage, Record, RecordCodec, RecordReader, RecordWriter, SchemaCache, rules::Level, schema_of};
use apache_avro::{AvroSchema, Schema};
use factum_core::{DecodeError, Error, ErrorKind, Message, MessageCodec, Result, Version, wire::Answer};
use serde::{Deserialize, Serialize};
use std::{fmt::Display, sync::Arc};

/// Encodes and decodes answers. Each thread has its own; a clone is cheap.
#[derive(Debug, Clone)]
pub struct AnswerCodec {
    records: RecordCodec<AnswerRecord>,
}

/// The answer to one command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, AvroSchema)]
#[serde(rename = "Answer")]
#[avro(namespace = "factum")]
pub(crate) struct AnswerRecord {
    /// The command's id, a UUID.
    command: String,
    /// What became of the command, for example `accepted` or `refused`.
    code: String,
    /// The aggregate's version after the command; for a conflict the actual one.
    version: i64,
    /// How many events the command caused; they are the last ones up to the version.
    events: i32,
    /// A position in the events topic that includes the command's last event.
    token: Option<String>,
    /// A refusal as JSON; for other codes a message for people.
    detail: Option<String>,
}

impl AnswerCodec {
    /// The full name of the record.
    pub const RECORD: &str = AnswerRecord::NAME;

    /// A codec that reads only.
    ///
    /// # Errors
    /// `Invalid` when the derived schema is not usable.
    pub fn for_reading(cache: &Arc<SchemaCache>) -> Result<Self> {
        RecordCodec::for_reading(cache).map(|records| AnswerCodec { records })
    }

    /// A codec for a replies topic: registers the schema there. Blocks while it asks.
    ///
    /// # Errors
    /// `Unavailable` when the registry is away, `Invalid` when it refuses the schema.
    pub fn for_writing(topic: &str, cache: &Arc<SchemaCache>) -> Result<Self> {
        RecordCodec::for_writing(topic, cache).map(|records| AnswerCodec { records })
    }

    /// Where schemas are fetched that this codec does not know.
    pub fn cache(&self) -> &Arc<SchemaCache> {
        self.records.cache()
    }

    /// Appends an answer's bytes.
    ///
    /// # Errors
    /// `Data` when a number is beyond Avro's.
    pub fn encode(&self, answer: &Answer, into: &mut Vec<u8>) -> Result<(), Error> {
        let beyond = |e| Error::with_source(ErrorKind::Data, format!("the answer to command {}", answer.command), e);
        let record = AnswerRecord {
            command: answer.command.to_string(),
            code: answer.code.as_str().to_owned(),
            version: i64::try_from(answer.version.0).map_err(beyond)?,
            events: i32::try_from(answer.events).map_err(beyond)?,
            token: answer.token.as_ref().map(ToString::to_string),
            detail: answer.detail.clone(),
        };
        self.records.encode(&record, into)
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// Those of the wire format, and `Malformed` for what is no answer.
    pub fn decode(&self, value: &[u8]) -> Result<Answer, DecodeError> {
        let record = self.records.decode_one(value)?;
        Ok(Answer {
            command: record.command.parse().map_err(malformed)?,
            code: record.code.parse().map_err(malformed)?,
            version: Version(u64::try_from(record.version).map_err(malformed)?),
            events: u32::try_from(record.events).map_err(malformed)?,
            token: record.token.map(|token| token.parse()).transpose().map_err(malformed)?,
            detail: record.detail,
        })
    }
}

fn malformed(why: impl Display) -> DecodeError {
    DecodeError::Malformed(format!("record {}: {why}", AnswerRecord::NAME))
}

impl Record for AnswerRecord {
    const NAME: &'static str = "factum.Answer";
}

impl Message for AnswerRecord {
    const RECORDS: &'static [&'static str] = &[Self::NAME];

    fn record(&self) -> usize {
        0
    }
}

impl AvroMessage for AnswerRecord {
    const RULE: Level = Level::FullTransitive;

    fn schemas() -> Vec<Schema> {
        vec![schema_of::<Self>()]
    }

    fn write(&self, to: RecordWriter<'_>) -> Result<(), Error> {
        to.write(self)
    }

    fn read(_record: usize, from: RecordReader<'_>) -> Result<Self, DecodeError> {
        from.read()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryRegistry, check_messages};
    use factum_core::{CommandId, wire::AnswerCode};
    use std::path::Path;

    fn codec() -> AnswerCodec {
        let cache = Arc::new(SchemaCache::in_memory(Arc::new(MemoryRegistry::new())));
        AnswerCodec::for_writing("bank.account.replies", &cache).unwrap()
    }

    fn answer() -> Answer {
        Answer {
            command: CommandId([7; 16]),
            code: AnswerCode::Accepted,
            version: Version(3),
            events: 2,
            token: Some("bank.account.events/3@1024".parse().unwrap()),
            detail: None,
        }
    }

    #[test]
    fn the_committed_schema_is_the_one_of_the_type() {
        check_messages::<AnswerRecord>(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/avsc"))).unwrap();
    }

    #[test]
    fn an_answer_survives_the_wire() {
        let codec = codec();
        let refused = Answer { code: AnswerCode::Refused, token: None, detail: Some("{}".to_owned()), ..answer() };
        for answer in [answer(), refused] {
            let mut bytes = Vec::new();
            codec.encode(&answer, &mut bytes).unwrap();
            assert_eq!(codec.decode(&bytes), Ok(answer));
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_first_version() {
        let mut bytes = Vec::new();
        codec().encode(&answer(), &mut bytes).unwrap();
        let mut expected = vec![0, 0, 0, 0, 1, 72];
        expected.extend_from_slice(b"07070707-0707-0707-0707-070707070707");
        expected.push(16);
        expected.extend_from_slice(b"accepted");
        expected.extend_from_slice(&[6, 4, 2, 52]);
        expected.extend_from_slice(b"bank.account.events/3@1024");
        expected.push(0);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_record_that_is_no_answer_is_malformed() {
        let codec = codec();
        let good = AnswerRecord {
            command: CommandId([7; 16]).to_string(),
            code: "accepted".to_owned(),
            version: 0,
            events: 0,
            token: None,
            detail: None,
        };
        for bad in [
            AnswerRecord { command: "7".to_owned(), ..good.clone() },
            AnswerRecord { code: "perhaps".to_owned(), ..good.clone() },
            AnswerRecord { version: -1, ..good.clone() },
            AnswerRecord { events: -1, ..good.clone() },
            AnswerRecord { token: Some("x".to_owned()), ..good },
        ] {
            let mut bytes = Vec::new();
            codec.records.encode(&bad, &mut bytes).unwrap();
            assert!(
                matches!(codec.decode(&bytes), Err(DecodeError::Malformed(why)) if why.starts_with("record factum.Answer: "))
            );
        }
    }
}
