//! A record with one field of every kind, in its newest version and an older one.

use crate::Draw;
use factum_core::{DecodeError, Error, Message};
use factum_schemas::{AvroMessage, Record, RecordReader, RecordWriter, Schema};
use std::collections::BTreeMap;

/// The newest schema.
pub(super) const NEWEST: &str = r#"{"type":"record","name":"Zoo","namespace":"fuzz","fields":[
    {"name":"flag","type":"boolean"},
    {"name":"small","type":"int"},
    {"name":"large","type":"long"},
    {"name":"near","type":"float"},
    {"name":"ratio","type":"double"},
    {"name":"text","type":"string"},
    {"name":"raw","type":"bytes"},
    {"name":"kind","type":{"type":"enum","name":"Kind","symbols":["Cat","Dog","Emu"]}},
    {"name":"maybe","type":["null","string"],"default":null},
    {"name":"list","type":{"type":"array","items":{"type":"record","name":"Inner","fields":[
        {"name":"name","type":"string"},{"name":"ages","type":{"type":"array","items":"long"}}]}},"default":[]},
    {"name":"map","type":{"type":"map","values":"long"},"default":{}}]}"#;

/// An earlier one: fields in another order, a narrower number, and three of them not there yet.
pub(super) const OLDER: &str = r#"{"type":"record","name":"Zoo","namespace":"fuzz","fields":[
    {"name":"text","type":"string"},
    {"name":"gone","type":["null",{"type":"map","values":{"type":"array","items":"double"}}]},
    {"name":"flag","type":"boolean"},
    {"name":"small","type":"int"},
    {"name":"large","type":"int"},
    {"name":"near","type":"int"},
    {"name":"ratio","type":"float"},
    {"name":"raw","type":"bytes"},
    {"name":"kind","type":{"type":"enum","name":"Kind","symbols":["Dog","Cat"]}}]}"#;

/// Everything that has a logical type, for readers that know no Rust type.
pub(super) const LOGICAL: &str = r#"{"type":"record","name":"Logical","namespace":"fuzz","fields":[
    {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}},
    {"name":"fixed","type":{"type":"fixed","name":"F","size":16,"logicalType":"decimal","precision":30,"scale":9}},
    {"name":"big","type":{"type":"bytes","logicalType":"big-decimal"}},
    {"name":"id","type":{"type":"string","logicalType":"uuid"}},
    {"name":"day","type":{"type":"int","logicalType":"date"}},
    {"name":"at","type":{"type":"int","logicalType":"time-millis"}},
    {"name":"att","type":{"type":"long","logicalType":"time-micros"}},
    {"name":"when","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"whenn","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"whennn","type":{"type":"long","logicalType":"timestamp-nanos"}},
    {"name":"local","type":{"type":"long","logicalType":"local-timestamp-millis"}},
    {"name":"span","type":{"type":"fixed","name":"D","size":12,"logicalType":"duration"}},
    {"name":"one","type":["null","long","string",{"type":"record","name":"Card","fields":[{"name":"no","type":"long"}]}]}]}"#;

/// The record.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Zoo {
    flag: bool,
    small: i32,
    large: i64,
    near: f32,
    ratio: f64,
    text: String,
    #[serde(with = "apache_avro::serde::bytes")]
    raw: Vec<u8>,
    kind: Kind,
    maybe: Option<String>,
    list: Vec<Inner>,
    map: BTreeMap<String, i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
enum Kind {
    Cat,
    Dog,
    Emu,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct Inner {
    name: String,
    ages: Vec<i64>,
}

impl Zoo {
    pub(super) fn drawn(draw: &mut Draw) -> Self {
        let few = |draw: &mut Draw| if draw.once_in(20) { draw.below(60) } else { draw.below(3) };
        Zoo {
            flag: draw.once_in(2),
            small: draw.odd_signed().clamp(i32::MIN.into(), i32::MAX.into()).try_into().unwrap_or_default(),
            large: draw.odd_signed(),
            near: f32::from_bits(u32::try_from(draw.odd_number() >> 32).unwrap_or_default()),
            ratio: f64::from_bits(draw.odd_number()),
            text: draw.text(),
            raw: {
                let count = few(draw);
                draw.bytes(count)
            },
            kind: [Kind::Cat, Kind::Dog, Kind::Emu][draw.below(3)],
            maybe: draw.once_in(2).then(|| draw.text()),
            list: (0..few(draw))
                .map(|_| Inner { name: draw.text(), ages: (0..few(draw)).map(|_| draw.odd_signed()).collect() })
                .collect(),
            map: (0..few(draw)).map(|_| (draw.text(), draw.odd_signed())).collect(),
        }
    }
}

impl Record for Zoo {
    const NAME: &'static str = "fuzz.Zoo";
}

impl Message for Zoo {
    const RECORDS: &'static [&'static str] = &[Zoo::NAME];

    fn record(&self) -> usize {
        0
    }
}

impl AvroMessage for Zoo {
    fn schemas() -> Vec<Schema> {
        vec![Schema::parse_str(NEWEST).expect("a schema that was written down here")]
    }

    fn write(&self, to: RecordWriter<'_>) -> Result<(), Error> {
        to.write(self)
    }

    fn read(_: usize, from: RecordReader<'_>) -> Result<Self, DecodeError> {
        from.read()
    }
}
