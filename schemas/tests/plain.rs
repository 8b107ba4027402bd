//! Plain code and serde, side by side over the same records.

#![allow(missing_docs, clippy::unwrap_used)]

// The attributes write paths of the facade, whose place this crate takes.
extern crate self as factum;
pub use factum_core::{DecodeError, Error, Message};
pub mod schemas {
    pub use factum_schemas::*;
}

mod random;

use factum_core::MessageCodec;
use factum_schemas::{
    AvroMessage, MemoryRegistry, Record, RecordCodec, RecordReader, RecordWriter, Schema, SchemaCache, event, schema_of,
};
use random::Random;
use std::sync::Arc;

#[event("zoo")]
pub struct All {
    pub flag: bool,
    pub small: i32,
    pub large: i64,
    pub near: f32,
    pub ratio: f64,
    pub text: String,
    pub maybe: Option<String>,
    pub list: Vec<i64>,
    pub lists: Vec<Vec<Option<bool>>>,
}

/// Its amount is a text on the wire, which the field's type does not say.
#[event("zoo")]
pub struct Told {
    #[serde(with = "in_words")]
    #[avro(with = <String as apache_avro::AvroSchemaComponent>::get_schema_in_ctxt)]
    pub cents: i64,
}

mod in_words {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(cents: &i64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{cents} cents"))
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<i64, D::Error> {
        let text = String::deserialize(from)?;
        text.trim_end_matches(" cents").parse().map_err(D::Error::custom)
    }
}

#[event]
pub enum Event {
    All(All),
    Told(Told),
}

/// The same records by way of serde.
#[derive(Debug, Clone, PartialEq)]
struct Slow(Event);

impl Message for Slow {
    const RECORDS: &'static [&'static str] = Event::RECORDS;
    fn record(&self) -> usize {
        self.0.record()
    }
}

impl AvroMessage for Slow {
    fn schemas() -> Vec<Schema> {
        vec![schema_of::<All>(), schema_of::<Told>()]
    }
    fn write(&self, to: RecordWriter<'_>) -> Result<(), Error> {
        match &self.0 {
            Event::All(record) => to.write(record),
            Event::Told(record) => to.write(record),
        }
    }
    fn read(record: usize, from: RecordReader<'_>) -> Result<Self, DecodeError> {
        match record {
            0 => from.read::<All>().map(|record| Slow(record.into())),
            _ => from.read::<Told>().map(|record| Slow(record.into())),
        }
    }
}

impl Random {
    fn next(&mut self) -> u64 {
        self.bits(33)
    }

    fn below(&mut self, end: u64) -> usize {
        usize::try_from(self.next() % end).unwrap()
    }

    fn long(&mut self) -> i64 {
        let bits = self.below(64);
        (self.next() << 31 ^ self.next()).cast_signed() >> bits
    }

    fn text(&mut self) -> String {
        ["", "a", "Zürich", "\u{1f600}", "a text that is longer than sixty-four bytes, so that its length takes two"]
            [self.below(5)]
        .to_owned()
    }

    fn all(&mut self) -> All {
        All {
            flag: self.below(2) == 1,
            small: i32::try_from(self.long() >> 32).unwrap(),
            large: self.long(),
            near: self.long() as f32,
            ratio: self.long() as f64 / 3.0,
            text: self.text(),
            maybe: (self.below(2) == 1).then(|| self.text()),
            list: (0..self.below(4)).map(|_| self.long()).collect(),
            lists: (0..self.below(3))
                .map(|_| (0..self.below(3)).map(|_| [None, Some(true), Some(false)][self.below(3)]).collect())
                .collect(),
        }
    }
}

fn codecs() -> (RecordCodec<Event>, RecordCodec<Slow>) {
    let cache = Arc::new(SchemaCache::in_memory(Arc::new(MemoryRegistry::new())));
    (RecordCodec::for_writing("zoo.events", &cache).unwrap(), RecordCodec::for_writing("zoo.events", &cache).unwrap())
}

fn encoded<M: AvroMessage>(codec: &RecordCodec<M>, message: &M) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec.encode(message, &mut bytes).unwrap();
    bytes
}

#[test]
fn plain_code_writes_and_reads_what_serde_does() {
    let (fast, slow) = codecs();
    let mut random = Random(1);
    for _ in 0..2_000 {
        let event = Event::from(random.all());
        let bytes = encoded(&fast, &event);
        assert_eq!(bytes, encoded(&slow, &Slow(event.clone())));
        assert_eq!(fast.decode_one(&bytes), Ok(event.clone()));
        assert_eq!(slow.decode_one(&bytes), Ok(Slow(event)));
    }
}

#[test]
fn bytes_that_were_cut_or_changed_are_read_by_both_or_by_none() {
    let codecs = codecs();
    let (read, refused) = spoiled(&codecs, |random| encoded(&codecs.0, &random.all().into()));
    assert!(read > 2_000 && refused > 10_000, "{read} {refused}");
}

/// What an earlier program wrote: fields that are gone, numbers that have become wider, no `maybe`.
mod earlier {
    use factum_schemas::event;

    #[event("zoo")]
    pub(crate) struct All {
        pub(crate) gone: String,
        pub(crate) flag: bool,
        pub(crate) small: i32,
        pub(crate) large: i32,
        pub(crate) near: f32,
        pub(crate) ratio: f32,
        pub(crate) text: String,
        pub(crate) list: Vec<i64>,
        pub(crate) gone_too: Vec<Option<i64>>,
        pub(crate) lists: Vec<Vec<Option<bool>>>,
        pub(crate) last: Option<String>,
    }

    #[event]
    pub(crate) enum Event {
        All(All),
    }
}

/// The same fields in another order.
mod turned {
    use factum_schemas::event;

    #[event("zoo")]
    pub(crate) struct All {
        pub(crate) lists: Vec<Vec<Option<bool>>>,
        pub(crate) list: Vec<i64>,
        pub(crate) text: String,
        pub(crate) maybe: Option<String>,
        pub(crate) ratio: f64,
        pub(crate) near: f32,
        pub(crate) large: i64,
        pub(crate) small: i32,
        pub(crate) flag: bool,
    }

    #[event]
    pub(crate) enum Event {
        All(All),
    }
}

fn of_earlier(codec: &RecordCodec<earlier::Event>, random: &mut Random) -> (Vec<u8>, All) {
    let large = i32::try_from(random.long() >> 32).unwrap();
    let ratio = random.long() as f32;
    let all = All { large: large.into(), ratio: ratio.into(), maybe: None, ..random.all() };
    let All { flag, small, near, text, list, lists, .. } = all.clone();
    let gone_too = list.iter().map(|number| (number % 2 == 0).then_some(*number)).collect();
    let (gone, last) = (random.text(), Some(random.text()));
    let written = earlier::All { gone, flag, small, large, near, ratio, text, list, gone_too, lists, last };
    (encoded(codec, &written.into()), all)
}

fn of_turned(codec: &RecordCodec<turned::Event>, random: &mut Random) -> (Vec<u8>, All) {
    let all = random.all();
    let All { flag, small, large, near, ratio, text, maybe, list, lists } = all.clone();
    (encoded(codec, &turned::All { lists, list, text, maybe, ratio, near, large, small, flag }.into()), all)
}

#[test]
fn plain_code_reads_bytes_of_other_schemas_as_serde_does() {
    let (fast, slow) = codecs();
    let earlier = RecordCodec::for_writing("zoo.earlier", fast.cache()).unwrap();
    let turned = RecordCodec::for_writing("zoo.turned", fast.cache()).unwrap();
    let mut random = Random(3);
    for _ in 0..2_000 {
        for (bytes, all) in [of_earlier(&earlier, &mut random), of_turned(&turned, &mut random)] {
            assert_eq!(fast.decode_one(&bytes), Ok(all.clone().into()));
            assert_eq!(slow.decode_one(&bytes), Ok(Slow(all.into())));
        }
    }
    let codecs = (fast, slow);
    let (read, refused) = spoiled(&codecs, |random| of_earlier(&earlier, random).0);
    assert!(read > 2_000 && refused > 10_000, "{read} {refused}");
    let (read, refused) = spoiled(&codecs, |random| of_turned(&turned, random).0);
    assert!(read > 2_000 && refused > 10_000, "{read} {refused}");
}

/// Values of which a part was cut or changed are read by both codecs or by none; how many were, and were not.
fn spoiled(
    (fast, slow): &(RecordCodec<Event>, RecordCodec<Slow>),
    value: impl Fn(&mut Random) -> Vec<u8>,
) -> (u32, u32) {
    let mut random = Random(2);
    let (mut read, mut refused) = (0, 0);
    for round in 0..20_000 {
        let mut bytes = value(&mut random);
        match random.below(3) {
            0 => bytes.truncate(5 + random.below(bytes.len() as u64 - 5)),
            1 => bytes.push(0),
            _ => {
                let at = 5 + random.below(bytes.len() as u64 - 5);
                bytes[at] = u8::try_from(random.below(256)).unwrap();
            }
        }
        match (fast.decode_one(&bytes), slow.decode_one(&bytes)) {
            // Compared as bytes: no number is equal to NaN.
            (Ok(one), Ok(Slow(other))) => {
                assert_eq!(encoded(fast, &one), encoded(fast, &other), "round {round}: {bytes:?}");
                read += 1;
            }
            (Err(DecodeError::Malformed(_)), Err(DecodeError::Malformed(_))) => refused += 1,
            (one, other) => panic!("round {round}: {one:?} instead of {other:?}, {bytes:?}"),
        }
    }
    (read, refused)
}

#[test]
fn what_an_attribute_changes_goes_through_serde() {
    assert!(All::PLAIN.is_some() && Told::PLAIN.is_none());
    let (fast, _) = codecs();
    let told = Event::from(Told { cents: 5 });
    let bytes = encoded(&fast, &told);
    assert_eq!(&bytes[5..], b"\x0e5 cents");
    assert_eq!(fast.decode_one(&bytes), Ok(told));
}

/// A record whose plain code has its fields in another order than its schema.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, apache_avro::AvroSchema)]
#[avro(namespace = "zoo")]
struct Turned {
    one: i64,
    two: i64,
}

impl Record for Turned {
    const NAME: &'static str = "zoo.Turned";
    const PLAIN: Option<schemas::plain::Plain<Self>> = Some(schemas::plain::Plain {
        fields: || vec![("two", "long".into()), ("one", "long".into())],
        put: |_, _| panic!("its schema is another"),
        take: |_| panic!("its schema is another"),
        resolve: |_| panic!("its schema is another"),
    });
}

impl Message for Turned {
    const RECORDS: &'static [&'static str] = &[Self::NAME];
    fn record(&self) -> usize {
        0
    }
}

impl AvroMessage for Turned {
    fn schemas() -> Vec<Schema> {
        vec![schema_of::<Self>()]
    }
    fn write(&self, to: RecordWriter<'_>) -> Result<(), Error> {
        to.record(self)
    }
    fn read(_: usize, from: RecordReader<'_>) -> Result<Self, DecodeError> {
        from.record()
    }
}

#[test]
fn plain_code_of_another_schema_is_not_used() {
    let cache = Arc::new(SchemaCache::in_memory(Arc::new(MemoryRegistry::new())));
    let codec = RecordCodec::<Turned>::for_writing("zoo.events", &cache).unwrap();
    let turned = Turned { one: 1, two: 2 };
    let bytes = encoded(&codec, &turned);
    assert_eq!(bytes[5..], [2, 4]);
    assert_eq!(codec.decode_one(&bytes), Ok(turned));
}
