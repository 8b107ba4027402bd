//! The attributes and the codec together, as a domain crate uses them.

#![allow(missing_docs, clippy::unwrap_used)]

// The attributes write paths of the facade, whose place this crate takes.
extern crate self as factum;
pub use factum_core::{DecodeError, Error, Message};
pub mod schemas {
    pub use factum_schemas::*;
}

mod random;

use factum_core::{Aggregate, AggregateCodec, ErrorKind, MessageCodec, Result, Topics};
use factum_schemas::{Codec, MemoryRegistry, RecordCodec, Registry, SchemaCache, command, event, schema_of};
use random::Random;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The first version of the bank's events.
pub mod v1 {
    use super::*;

    #[event("bank.account")]
    pub struct Deposited {
        pub cents: i64,
    }

    #[event]
    pub enum Event {
        Deposited(Deposited),
    }
}

/// Money was put in.
#[event("bank.account")]
pub struct Deposited {
    pub cents: i64,
    pub note: Option<String>,
    #[avro(default = "false")]
    pub cash: bool,
}

#[event("bank.account")]
pub struct Closed {}

#[event]
pub enum Event {
    Deposited(Deposited),
    Closed(Closed),
}

/// A view that wants the deposits only.
#[event]
pub enum Deposits {
    Deposited(Deposited),
}

#[command("bank.account")]
#[derive(Eq)]
pub struct Deposit {
    pub cents: i64,
}

#[command]
pub enum Command {
    Deposit(Deposit),
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, apache_avro::AvroSchema)]
struct Account {
    cents: i64,
    owners: Vec<String>,
}

impl Aggregate for Account {
    const TYPE: &'static str = "bank.account";
    const FOLD_VERSION: u32 = 1;
    type Command = Command;
    type Event = Event;
    type Refusal = String;

    fn decide(&self, command: Command) -> Result<Vec<Event>, String> {
        let Command::Deposit(Deposit { cents }) = command;
        Ok(vec![deposited(cents, None).into()])
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Deposited(deposited) => self.cents += deposited.cents,
            Event::Closed(_) => {}
        }
    }
}

fn deposited(cents: i64, note: Option<&str>) -> Deposited {
    Deposited { cents, note: note.map(str::to_owned), cash: true }
}

fn cache() -> Arc<SchemaCache> {
    Arc::new(SchemaCache::in_memory(Arc::new(MemoryRegistry::new())))
}

fn encoded<M: schemas::AvroMessage>(codec: &RecordCodec<M>, message: impl Into<M>) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec.encode(&message.into(), &mut bytes).unwrap();
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const TOPIC: &str = "bank.account.events";

/// A record with an alias, by plain derives: the attribute refuses it when it compiles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, apache_avro::AvroSchema)]
#[avro(namespace = "bank.account")]
struct Renamed {
    #[serde(alias = "cents")]
    amount: i64,
}

impl schemas::Record for Renamed {
    const NAME: &'static str = "bank.account.Renamed";
}

impl Message for Renamed {
    const RECORDS: &'static [&'static str] = &["bank.account.Renamed"];

    fn record(&self) -> usize {
        0
    }
}

impl schemas::AvroMessage for Renamed {
    fn schemas() -> Vec<schemas::Schema> {
        vec![schema_of::<Self>()]
    }

    fn write(&self, to: schemas::RecordWriter<'_>) -> Result<()> {
        to.write(self)
    }

    fn read(_: usize, from: schemas::RecordReader<'_>) -> Result<Self, DecodeError> {
        from.read()
    }
}

#[event("bank.account")]
pub struct Rated {
    #[avro(default = "3")]
    pub stars: Option<i32>,
}

#[event]
pub enum Ratings {
    Rated(Rated),
}

#[test]
fn a_codec_does_not_open_with_an_alias_or_a_default_that_would_be_read_as_another() {
    let error = RecordCodec::<Renamed>::for_writing(TOPIC, &cache()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(
        error.to_string(),
        "record bank.account.Renamed: field amount has an alias, which the decoder does not follow: keep the old name, \
         or give the record a new one"
    );
    let error = RecordCodec::<Ratings>::for_reading(&cache()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "record bank.account.Rated: field stars: its default 3 is not of the union's first type null: put the default's \
         type first in the union, or take a default of the first type"
    );
    RecordCodec::<Event>::for_writing(TOPIC, &cache()).unwrap();
}

/// The second version of a record: it and one of its fields should not be written any more.
#[event("bank.account", deprecated = "use FeeCharged")]
pub struct Charged {
    pub cents: i64,
    #[event(deprecated = "use reason")]
    #[serde(rename = "note")]
    pub why: Option<String>,
}

#[event]
pub enum Charges {
    Charged(Charged),
}

#[test]
fn a_mark_of_deprecation_is_in_the_schema_and_the_fold_reads_on_without_a_warning() {
    use schemas::AvroMessage;
    let schema = Charges::schemas().remove(0);
    let told: Vec<_> = schemas::deprecations(&schema).into_iter().map(|it| (it.field, it.why)).collect();
    let expected = [(None, "use FeeCharged".to_owned()), (Some("note".to_owned()), "use reason".to_owned())];
    assert_eq!(told, expected);
    let registry = Arc::new(MemoryRegistry::new());
    let cache = Arc::new(SchemaCache::in_memory(registry.clone()));
    // The first version had no marks; the subject and the bytes stay.
    let subject = "bank.account.events-bank.account.Charged";
    let first = schemas::compact(&schema_of::<Charged>())
        .replace(r#""deprecated":"use FeeCharged","#, "")
        .replace(r#","deprecated":"use reason""#, "")
        .replace(r#""deprecated":"use reason","#, "");
    assert!(!first.contains("deprecated"), "{first}");
    cache.register(subject, &first).unwrap();
    let codec = RecordCodec::<Charges>::for_writing(TOPIC, &cache).unwrap();
    assert!(registry.latest(subject).unwrap().unwrap().1.contains("use reason"));
    let Charges::Charged(Charged { cents, why }) = codec.decode_one(&[0, 0, 0, 0, 1, 20, 0]).unwrap();
    assert_eq!((cents, why), (10, None));
    assert_eq!(encoded(&codec, Charged { cents: 10, why: None }), [0, 0, 0, 0, 2, 20, 0]);
}

#[test]
fn commands_are_checked_in_both_directions_and_events_in_one() {
    use schemas::{AvroMessage, rules::Level};
    assert_eq!((Command::RULE, Event::RULE), (Level::FullTransitive, Level::BackwardTransitive));
}

#[test]
fn the_enum_tells_the_full_names_of_its_records() {
    assert_eq!(Event::RECORDS, ["bank.account.Deposited", "bank.account.Closed"]);
    assert_eq!(Event::from(Closed {}).record_name(), "bank.account.Closed");
}

#[test]
fn records_are_registered_under_topic_and_name() {
    let registry = Arc::new(MemoryRegistry::new());
    let cache = Arc::new(SchemaCache::in_memory(registry.clone()));
    Codec::<Account>::open(&Topics::of(Account::TYPE), &cache).unwrap();
    for subject in [
        "bank.account.events-bank.account.Deposited",
        "bank.account.events-bank.account.Closed",
        "bank.account.commands-bank.account.Deposit",
    ] {
        assert!(registry.latest(subject).unwrap().is_some(), "{subject}");
    }
}

#[test]
fn the_bytes_are_those_of_the_wire_format() {
    let codec = RecordCodec::<Event>::for_writing(TOPIC, &cache()).unwrap();
    assert_eq!(hex(&encoded(&codec, deposited(130, Some("rent")))), "00000000018402020872656e7401");
    assert_eq!(hex(&encoded(&codec, deposited(-1, None))), "0000000001010001");
    assert_eq!(hex(&encoded(&codec, Closed {})), "0000000002");
}

#[test]
fn what_is_encoded_is_decoded_by_another_thread_of_the_same_cache() {
    let cache = cache();
    let writer = RecordCodec::<Event>::for_writing(TOPIC, &cache).unwrap();
    let values: Vec<Event> =
        vec![deposited(130, Some("rent")).into(), deposited(i64::MIN, None).into(), Closed {}.into()];
    let bytes: Vec<_> = values.iter().map(|value| encoded(&writer, value.clone())).collect();
    let reader = RecordCodec::<Event>::for_reading(&cache).unwrap();
    let read =
        std::thread::spawn(move || bytes.iter().map(|bytes| reader.decode_one(bytes).unwrap()).collect::<Vec<_>>());
    assert_eq!(read.join().unwrap(), values);
}

#[test]
fn bytes_of_an_earlier_version_resolve_to_the_newest() {
    let cache = cache();
    let old = RecordCodec::<v1::Event>::for_writing(TOPIC, &cache).unwrap();
    let bytes = encoded(&old, v1::Deposited { cents: 130 });
    assert_eq!(hex(&bytes), "00000000018402");
    let new = RecordCodec::<Event>::for_writing(TOPIC, &cache).unwrap();
    let expected = Deposited { cents: 130, note: None, cash: false };
    assert_eq!(new.decode_one(&bytes), Ok(expected.into()));
    // And forward: who knows the first version only passes over the new fields.
    let bytes = encoded(&new, deposited(7, Some("rent")));
    assert_eq!(old.decode_one(&bytes), Ok(v1::Deposited { cents: 7 }.into()));
}

#[test]
fn a_schema_from_elsewhere_is_fetched_and_then_decodes() {
    let registry = Arc::new(MemoryRegistry::new());
    let there = Arc::new(SchemaCache::in_memory(registry.clone()));
    let writer = RecordCodec::<v1::Event>::for_writing(TOPIC, &there).unwrap();
    let bytes = encoded(&writer, v1::Deposited { cents: 5 });

    let here = Arc::new(SchemaCache::in_memory(registry));
    let reader = RecordCodec::<Event>::for_reading(&here).unwrap();
    assert_eq!(reader.decode_one(&bytes), Err(DecodeError::UnknownSchema(1)));
    reader.cache().fetch(1).unwrap();
    assert_eq!(reader.decode_one(&bytes), Ok(Deposited { cents: 5, note: None, cash: false }.into()));
}

#[test]
fn another_clients_spelling_of_the_schema_decodes() {
    let cache = cache();
    // Fields in another order, an int where we have a long, a field that we have not.
    let theirs = r#"{"type":"record","namespace":"bank.account","name":"Deposited","doc":"written by hand","fields":[
        {"name":"branch","type":"string"},{"name":"note","type":["null","string"]},
        {"name":"cents","type":"int"},{"name":"cash","type":"boolean"}]}"#;
    cache.learn(77, theirs).unwrap();
    let codec = RecordCodec::<Event>::for_reading(&cache).unwrap();
    let bytes = [0, 0, 0, 0, 77, 2, b'B', 2, 2, b'n', 20, 1];
    assert_eq!(codec.decode_one(&bytes), Ok(deposited(10, Some("n")).into()));
}

#[test]
fn an_unknown_id_an_unknown_record_and_no_record_are_told_apart() {
    let cache = cache();
    let writer = RecordCodec::<Event>::for_writing(TOPIC, &cache).unwrap();
    let view = RecordCodec::<Deposits>::for_reading(&cache).unwrap();
    assert_eq!(view.decode_one(&[0, 0, 0, 0, 99]), Err(DecodeError::UnknownSchema(99)));
    assert_eq!(
        view.decode_one(&encoded(&writer, Closed {})),
        Err(DecodeError::UnknownRecord("bank.account.Closed".to_owned()))
    );
    cache.learn(50, r#""string""#).unwrap();
    assert_eq!(
        view.decode_one(&[0, 0, 0, 0, 50]),
        Err(DecodeError::Malformed("schema id 50 is not a record".to_owned()))
    );
}

#[test]
fn a_version_that_does_not_resolve_is_malformed() {
    let cache = cache();
    cache
        .learn(60, r#"{"type":"record","name":"bank.account.Deposited","fields":[{"name":"euros","type":"long"}]}"#)
        .unwrap();
    let codec = RecordCodec::<Event>::for_reading(&cache).unwrap();
    let error = codec.decode_one(&[0, 0, 0, 0, 60, 2]).unwrap_err().to_string();
    assert!(error.starts_with("record bank.account.Deposited of schema id 60: "), "{error}");
    assert!(error.contains("cents"), "{error}");
}

/// The wire bytes of one value, in the newest and in an earlier version that has
/// a boolean, a string and unions: there the library reads beyond the end as null.
fn both_ways() -> (RecordCodec<Event>, Vec<Vec<u8>>) {
    let cache = cache();
    let codec = RecordCodec::<Event>::for_writing(TOPIC, &cache).unwrap();
    let earlier = r#"{"type":"record","name":"bank.account.Deposited","fields":[
        {"name":"tags","type":{"type":"array","items":"string"}},
        {"name":"marks","type":{"type":"map","values":"boolean"}},
        {"name":"cents","type":"int"},{"name":"note","type":["null","string"]},{"name":"cash","type":"boolean"}]}"#;
    cache.learn(77, earlier).unwrap();
    let newest = encoded(&codec, deposited(130, Some("rent")));
    let earlier =
        vec![0, 0, 0, 0, 77, 4, 2, b'a', 2, b'b', 0, 2, 2, b'm', 1, 0, 132, 2, 2, 8, b'r', b'e', b'n', b't', 1];
    (codec, vec![newest, earlier])
}

#[test]
fn a_truncated_value_is_never_a_value() {
    let (codec, values) = both_ways();
    for bytes in values {
        assert_eq!(codec.decode_one(&bytes), Ok(deposited(130, Some("rent")).into()));
        for len in 0..bytes.len() {
            match codec.decode_one(&bytes[..len]) {
                Err(DecodeError::Malformed(why)) if len < 5 => assert!(why.contains("not the wire format"), "{why}"),
                Err(DecodeError::Malformed(why)) => assert!(why.ends_with("the value is truncated"), "{len}: {why}"),
                other => panic!("{len} bytes gave {other:?}"),
            }
        }
    }
}

#[test]
fn bytes_after_the_value_are_malformed() {
    let (codec, values) = both_ways();
    for mut bytes in values {
        bytes.extend_from_slice(&[0, 0]);
        let error = codec.decode_one(&bytes).unwrap_err().to_string();
        assert!(error.ends_with("2 bytes follow the value"), "{error}");
    }
}

#[test]
fn a_length_beyond_all_measure_is_refused_before_memory_is_taken() {
    let (codec, _) = both_ways();
    // A string of 2^25 bytes: beyond our limit, within the library's own of 2^29.
    let string = [0, 0, 0, 0, 1, 0, 2, 0x80, 0x80, 0x80, 0x20];
    // An array of 2^20 strings.
    let array = [0, 0, 0, 0, 77, 0x80, 0x80, 0x80, 0x01];
    for bytes in [&string[..], &array[..]] {
        let error = codec.decode_one(bytes).unwrap_err().to_string();
        assert!(error.contains("allocate"), "{error}");
    }
}

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.bits(31)).unwrap() % limit
    }
}

#[test]
fn hostile_bytes_never_panic() {
    let (codec, values) = both_ways();
    let mut random = Random(1);
    let mut decoded = 0;
    for round in 0..60_000 {
        let mut bytes = values[round % 2].clone();
        match random.below(3) {
            0 => (0..=random.below(3)).for_each(|_| {
                let at = random.below(bytes.len());
                bytes[at] = u8::try_from(random.below(256)).unwrap();
            }),
            1 => bytes.truncate(random.below(bytes.len())),
            _ => {
                bytes.truncate(5);
                bytes.extend((0..random.below(40)).map(|_| u8::try_from(random.below(256)).unwrap()));
            }
        }
        decoded += usize::from(codec.decode_one(&bytes).is_ok());
    }
    // Else the loop did not reach beyond the first check.
    assert!(decoded > 1_000, "{decoded}");
}

#[test]
fn a_codec_for_reading_does_not_write() {
    let codec = RecordCodec::<Event>::for_reading(&cache()).unwrap();
    let mut bytes = vec![9];
    let error = codec.encode(&Closed {}.into(), &mut bytes).unwrap_err();
    assert_eq!((error.kind(), bytes), (ErrorKind::Invalid, vec![9]));
}

/// A message that writes something else than its schema says, from the second field on.
#[derive(Debug, Clone)]
struct Misfit;

#[derive(Serialize)]
struct Unlike {
    cents: i64,
    note: i64,
}

impl Message for Misfit {
    const RECORDS: &'static [&'static str] = &["bank.account.Deposited"];
    fn record(&self) -> usize {
        0
    }
}

impl schemas::AvroMessage for Misfit {
    fn schemas() -> Vec<schemas::Schema> {
        vec![schema_of::<Deposited>()]
    }
    fn write(&self, to: schemas::RecordWriter<'_>) -> Result<()> {
        to.write(&Unlike { cents: 1, note: 2 })
    }
    fn read(_record: usize, from: schemas::RecordReader<'_>) -> Result<Self, DecodeError> {
        from.read::<Deposited>().map(|_| Misfit)
    }
}

#[test]
fn a_value_that_does_not_fit_leaves_no_bytes() {
    let codec = RecordCodec::<Misfit>::for_writing(TOPIC, &cache()).unwrap();
    let mut bytes = vec![9];
    let error = codec.encode(&Misfit, &mut bytes).unwrap_err();
    assert_eq!((error.kind(), bytes), (ErrorKind::Data, vec![9]));
    assert!(error.to_string().starts_with("a value of record bank.account.Deposited does not fit"), "{error}");
}

#[test]
fn a_state_survives_its_bytes_and_not_those_of_others() {
    let codec = Codec::<Account>::open(&Topics::of(Account::TYPE), &cache()).unwrap();
    let state = Account { cents: 130, owners: vec!["a".to_owned(), "b".to_owned()] };
    let mut bytes = Vec::new();
    codec.encode_state(&state, &mut bytes).unwrap();
    assert_eq!(hex(&bytes), "8402040261026200");
    assert_eq!(codec.decode_state(&bytes).unwrap(), state);
    bytes.push(0);
    let error = codec.decode_state(&bytes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert_eq!(error.to_string(), "a state of bank.account: record Account: 1 bytes follow the value");
}

#[test]
fn the_fingerprint_stays_what_it_was() {
    // Snapshots are found by it: a change makes every one of them useless.
    let fingerprint = Codec::<Account>::open(&Topics::of(Account::TYPE), &cache()).unwrap().fingerprint();
    assert_eq!(fingerprint.to_string(), "d6b9dbce8c367c69");
}

/// A handwritten message whose schemas do not belong to its names.
#[derive(Debug, Clone)]
struct Wrong;

impl Message for Wrong {
    const RECORDS: &'static [&'static str] = &["bank.account.Paid"];
    fn record(&self) -> usize {
        0
    }
}

impl schemas::AvroMessage for Wrong {
    fn schemas() -> Vec<schemas::Schema> {
        vec![schema_of::<Deposited>()]
    }
    fn write(&self, to: schemas::RecordWriter<'_>) -> Result<()> {
        to.write(&deposited(1, None))
    }
    fn read(_record: usize, from: schemas::RecordReader<'_>) -> Result<Self, DecodeError> {
        from.read::<Deposited>().map(|_| Wrong)
    }
}

#[test]
fn names_and_schemas_that_disagree_are_refused() {
    let error = RecordCodec::<Wrong>::for_reading(&cache()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error.to_string().contains("record bank.account.Paid has a schema named bank.account.Deposited"),
        "{error}"
    );
}
