//! The values of a type at which something may go wrong.

use apache_avro::{Schema, types::Value};

/// Where the variable-length number gets longer, and the ends of its range.
const LONGS: [i64; 11] = [0, -1, 1, 63, 64, -64, -65, 8_191, 8_192, i64::MAX, i64::MIN];

/// Values of a record that hold each edge value of each field at least once.
pub(crate) fn records(schema: &Schema) -> Vec<Value> {
    let Schema::Record(record) = schema else { panic!("{schema:?} is no record") };
    let fields: Vec<(&str, Vec<Value>)> =
        record.fields.iter().map(|field| (field.name.as_str(), edges(&field.schema))).collect();
    let count = fields.iter().map(|(_, edges)| edges.len()).max().unwrap_or(1);
    // Where all have the same number, the same ones would always meet.
    let nth =
        |at: usize, index: usize, edges: &[Value]| edges[(index + at * (index / edges.len())) % edges.len()].clone();
    (0..count)
        .map(|index| {
            let field = |(at, (name, edges)): (usize, &(&str, Vec<Value>))| ((*name).to_owned(), nth(at, index, edges));
            Value::Record(fields.iter().enumerate().map(field).collect())
        })
        .collect()
}

fn edges(schema: &Schema) -> Vec<Value> {
    match schema {
        Schema::Null => vec![Value::Null],
        Schema::Long => LONGS.map(Value::Long).into(),
        Schema::String => {
            // From 64 bytes on the length takes two.
            let long = ["a".repeat(63), "a".repeat(64)].map(Value::String);
            ["", "a", "\0", "ä€𝄞"].map(|text| Value::String(text.to_owned())).into_iter().chain(long).collect()
        }
        Schema::Enum(symbols) => {
            (0..).zip(&symbols.symbols).map(|(index, symbol)| Value::Enum(index, symbol.clone())).collect()
        }
        Schema::Union(union) => (0..)
            .zip(union.variants())
            .flat_map(|(index, variant)| {
                edges(variant).into_iter().map(move |value| Value::Union(index, Box::new(value)))
            })
            .collect(),
        other => panic!("{other:?} is a new type here: say which of its values are at the edge"),
    }
}
