//! Random types, their successors, and values as bytes.

use super::random::Random;
use crate::plan::input::put_long;
use std::collections::{BTreeMap, BTreeSet};

/// Draws the same every time.
pub(super) struct Draw {
    random: Random,
    names: usize,
    /// Named types so far, to be used again.
    known: Vec<Type>,
}

/// An Avro type.
#[derive(Debug, Clone)]
pub(super) enum Type {
    /// Its JSON, and what its bytes are.
    Plain(&'static str),
    Enum(String, Vec<String>, Option<String>),
    Fixed(String, usize),
    Array(Box<Type>),
    Map(Box<Type>),
    Union(Vec<Type>),
    /// Fields with their defaults in JSON.
    Record(String, Vec<(String, Type, Option<String>)>),
}

const PLAIN: [&str; 11] = [
    r#""boolean""#,
    r#""int""#,
    r#""long""#,
    r#""float""#,
    r#""double""#,
    r#""string""#,
    r#""bytes""#,
    r#"{"type":"int","logicalType":"date"}"#,
    r#"{"type":"long","logicalType":"timestamp-millis"}"#,
    r#"{"type":"long","logicalType":"timestamp-micros"}"#,
    r#"{"type":"long","logicalType":"local-timestamp-millis"}"#,
];

impl Type {
    pub(super) fn json(&self) -> String {
        self.told(&mut BTreeSet::new())
    }

    /// A named type in full where it comes first, by its name from then on.
    fn told(&self, known: &mut BTreeSet<String>) -> String {
        if let Type::Enum(name, ..) | Type::Fixed(name, _) | Type::Record(name, _) = self
            && !known.insert(name.clone())
        {
            return format!("{name:?}");
        }
        match self {
            Type::Plain(json) => (*json).to_owned(),
            Type::Enum(name, symbols, default) => {
                let default = default.as_ref().map(|symbol| format!(r#","default":{symbol:?}"#)).unwrap_or_default();
                format!(r#"{{"type":"enum","name":{name:?},"symbols":{symbols:?}{default}}}"#)
            }
            Type::Fixed(name, size) => format!(r#"{{"type":"fixed","name":{name:?},"size":{size}}}"#),
            Type::Array(items) => format!(r#"{{"type":"array","items":{}}}"#, items.told(known)),
            Type::Map(values) => format!(r#"{{"type":"map","values":{}}}"#, values.told(known)),
            Type::Union(variants) => {
                let all: Vec<String> = variants.iter().map(|variant| variant.told(known)).collect();
                format!("[{}]", all.join(","))
            }
            Type::Record(name, fields) => {
                let field = |(field, kind, default): &(String, Type, Option<String>)| {
                    let default = default.as_ref().map(|json| format!(r#","default":{json}"#)).unwrap_or_default();
                    format!(r#"{{"name":{field:?},"type":{}{default}}}"#, kind.told(known))
                };
                let fields: Vec<String> = fields.iter().map(field).collect();
                format!(r#"{{"type":"record","name":{name:?},"fields":[{}]}}"#, fields.join(","))
            }
        }
    }

    /// Which of its kind a union may have once.
    fn kind(&self) -> &str {
        match self {
            Type::Plain(json) if json.contains("\"int\"") => "int",
            Type::Plain(json) if json.contains("\"long\"") => "long",
            // apache-avro makes an enum or a fixed of a string, even one of another size.
            Type::Plain(r#""string""# | r#""bytes""#) | Type::Enum(..) | Type::Fixed(..) => "string",
            Type::Plain(json) => json,
            Type::Array(_) => "array",
            Type::Map(_) => "map",
            Type::Union(_) => "union",
            // A record is resolved from a map, too.
            Type::Record(..) => "map",
        }
    }
}

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        let mut draw = Draw { random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)), names: 0, known: Vec::new() };
        for _ in 0..4 {
            draw.next();
        }
        draw
    }

    fn next(&mut self) -> u64 {
        self.random.bits(31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next()).unwrap() % end
    }

    fn name(&mut self, first: char) -> String {
        self.names += 1;
        format!("{first}{}", self.names)
    }

    fn shuffle<T>(&mut self, all: &mut [T]) {
        for at in (1..all.len()).rev() {
            let other = self.below(at + 1);
            all.swap(at, other);
        }
    }

    pub(super) fn record(&mut self, depth: usize) -> Type {
        let name = self.name('R');
        // One at least has bytes, so that arrays of it are allowed.
        let mut fields = vec![(self.name('f'), Type::Plain(r#""int""#), None)];
        for _ in 0..self.below(5) {
            let kind = self.kind(depth + 1);
            fields.push((self.name('f'), kind, None));
        }
        Type::Record(name, fields)
    }

    fn kind(&mut self, depth: usize) -> Type {
        if depth > 3 || self.below(3) == 0 {
            return Type::Plain(PLAIN[self.below(PLAIN.len())]);
        }
        let kind = match self.below(7) {
            0 => {
                let symbols = (0..=self.below(3)).map(|_| self.name('S')).collect();
                Type::Enum(self.name('E'), symbols, None)
            }
            1 => Type::Fixed(self.name('F'), 1 + self.below(5)),
            2 => return Type::Array(self.kind(depth + 1).into()),
            3 => return Type::Map(self.kind(depth + 1).into()),
            4 => return self.union(depth),
            5 if !self.known.is_empty() => {
                let at = self.below(self.known.len());
                return self.known[at].clone();
            }
            _ => self.record(depth + 1),
        };
        self.known.push(kind.clone());
        kind
    }

    fn union(&mut self, depth: usize) -> Type {
        let mut variants = vec![Type::Plain(r#""null""#)];
        let count = 2 + self.below(3);
        while variants.len() < count {
            self.add_variant(&mut variants, depth);
        }
        self.shuffle(&mut variants);
        Type::Union(variants)
    }

    fn add_variant(&mut self, variants: &mut Vec<Type>, depth: usize) {
        let kind = self.kind(depth + 1);
        if kind.kind() != "union" && variants.iter().all(|other| other.kind() != kind.kind()) {
            variants.push(kind);
        }
    }

    /// A later version, mostly one that reads the earlier.
    pub(super) fn successor(&mut self, kind: &Type) -> Type {
        self.later(kind, &mut BTreeMap::new())
    }

    fn later(&mut self, kind: &Type, done: &mut BTreeMap<String, Type>) -> Type {
        if let Type::Enum(name, ..) | Type::Fixed(name, _) | Type::Record(name, _) = kind
            && let Some(known) = done.get(name)
        {
            return known.clone();
        }
        let later = match kind {
            Type::Plain(json) => return self.later_plain(json),
            Type::Array(items) => return Type::Array(self.later(items, done).into()),
            Type::Map(values) => return Type::Map(self.later(values, done).into()),
            Type::Union(variants) => {
                let mut later: Vec<Type> = Vec::new();
                for variant in variants {
                    let next = self.later(variant, done);
                    let clash = later.iter().any(|other| other.kind() == next.kind());
                    later.push(if clash { variant.clone() } else { next });
                }
                if later.iter().enumerate().any(|(at, one)| later[..at].iter().any(|two| one.kind() == two.kind())) {
                    later = variants.iter().map(|variant| self.named_later(variant, done)).collect();
                }
                if self.below(3) == 0 {
                    self.add_variant(&mut later, 3);
                }
                if self.below(3) == 0 {
                    self.shuffle(&mut later);
                }
                return Type::Union(later);
            }
            Type::Fixed(..) => kind.clone(),
            Type::Enum(name, symbols, _) => {
                let mut symbols = symbols.clone();
                if self.below(2) == 0 {
                    symbols.push(self.name('S'));
                }
                if self.below(4) == 0 && symbols.len() > 1 {
                    symbols.remove(self.below(symbols.len()));
                }
                if self.below(3) == 0 {
                    self.shuffle(&mut symbols);
                }
                let default = (self.below(3) == 0).then(|| symbols[0].clone());
                Type::Enum(name.clone(), symbols, default)
            }
            Type::Record(name, fields) => {
                let mut later = Vec::new();
                for (at, (field, kind, _)) in fields.iter().enumerate() {
                    if at == 0 || self.below(5) > 0 {
                        let next = self.later(kind, done);
                        later.push((field.clone(), self.maybe_optional(next), None));
                    }
                }
                for (kind, default) in [
                    (r#""string""#, r#""none""#),
                    (r#""double""#, "1.5"),
                    (r#""long""#, "-7"),
                    (r#"{"type":"array","items":"long"}"#, "[1,2]"),
                    (r#"["null","string"]"#, "null"),
                    (r#"["long","null"]"#, "3"),
                    (r#"{"type":"map","values":"boolean"}"#, r#"{"a":true}"#),
                ] {
                    if self.below(6) == 0 {
                        later.push((self.name('n'), Type::Plain(kind), Some(default.to_owned())));
                    }
                }
                if self.below(3) == 0 {
                    self.shuffle(&mut later);
                }
                Type::Record(name.clone(), later)
            }
        };
        if let Type::Enum(name, ..) | Type::Fixed(name, _) | Type::Record(name, _) = &later {
            done.insert(name.clone(), later.clone());
        }
        later
    }

    /// Named types have one later version, wherever they are.
    fn named_later(&mut self, kind: &Type, done: &mut BTreeMap<String, Type>) -> Type {
        match kind {
            Type::Enum(..) | Type::Record(..) => self.later(kind, done),
            Type::Array(items) => Type::Array(self.named_later(items, done).into()),
            Type::Map(values) => Type::Map(self.named_later(values, done).into()),
            Type::Union(variants) => {
                Type::Union(variants.iter().map(|variant| self.named_later(variant, done)).collect())
            }
            other => other.clone(),
        }
    }

    fn later_plain(&mut self, json: &'static str) -> Type {
        let wider: &[&'static str] = match json {
            r#""int""# => &[r#""long""#, r#""float""#, r#""double""#, r#"{"type":"int","logicalType":"date"}"#],
            r#""long""# => &[r#""float""#, r#""double""#, r#"{"type":"long","logicalType":"timestamp-millis"}"#],
            r#""float""# => &[r#""double""#],
            r#""string""# => &[r#""bytes""#],
            r#""bytes""# => &[r#""string""#],
            _ => &[],
        };
        if !wider.is_empty() && self.below(2) == 0 {
            return Type::Plain(wider[self.below(wider.len())]);
        }
        Type::Plain(json)
    }

    fn maybe_optional(&mut self, kind: Type) -> Type {
        if matches!(kind, Type::Union(_)) || self.below(4) > 0 {
            return kind;
        }
        let mut variants = vec![Type::Plain(r#""null""#), kind];
        self.shuffle(&mut variants);
        Type::Union(variants)
    }

    /// Appends a value of the type, as bytes.
    pub(super) fn value(&mut self, kind: &Type, into: &mut Vec<u8>) {
        match kind {
            Type::Plain(r#""null""#) => {}
            Type::Plain(r#""boolean""#) => into.push(u8::try_from(self.below(2)).unwrap()),
            Type::Plain(r#""float""#) => into.extend_from_slice(&(self.small() as f32).to_le_bytes()),
            Type::Plain(r#""double""#) => into.extend_from_slice(&(self.small() as f64 / 4.0).to_le_bytes()),
            Type::Plain(r#""string""# | r#""bytes""#) => self.text(into),
            Type::Plain(json) if json.contains("\"long\"") && self.below(4) == 0 => {
                let large = i64::from_le_bytes([(); 8].map(|()| u8::try_from(self.below(256)).unwrap()));
                put_long(large, into);
            }
            Type::Plain(_) => put_long(self.small(), into),
            Type::Enum(_, symbols, _) => put_long(i64::try_from(self.below(symbols.len())).unwrap(), into),
            Type::Fixed(_, size) => (0..*size).for_each(|_| into.push(u8::try_from(self.below(256)).unwrap())),
            Type::Array(items) => self.blocks(into, |draw, into| draw.value(items, into)),
            // No key comes twice: of those apache-avro checks the last one only.
            Type::Map(values) => self.blocks(into, |draw, into| {
                let key = draw.name('k');
                put_long(i64::try_from(key.len()).unwrap(), into);
                into.extend_from_slice(key.as_bytes());
                draw.value(values, into);
            }),
            Type::Union(variants) => {
                let at = self.below(variants.len());
                put_long(i64::try_from(at).unwrap(), into);
                self.value(&variants[at], into);
            }
            Type::Record(_, fields) => fields.iter().for_each(|(_, kind, _)| self.value(kind, into)),
        }
    }

    fn small(&mut self) -> i64 {
        i64::try_from(self.below(2_000)).unwrap() - 1_000
    }

    fn text(&mut self, into: &mut Vec<u8>) {
        let text = ["", "a", "rent", "Zürich", "\u{1f600}"][self.below(5)];
        put_long(i64::try_from(text.len()).unwrap(), into);
        into.extend_from_slice(text.as_bytes());
    }

    /// None to two blocks, some of them with their length in bytes.
    fn blocks(&mut self, into: &mut Vec<u8>, mut each: impl FnMut(&mut Self, &mut Vec<u8>)) {
        for _ in 0..self.below(3) {
            let count = 1 + self.below(3);
            let mut block = Vec::new();
            (0..count).for_each(|_| each(self, &mut block));
            let count = i64::try_from(count).unwrap();
            if self.below(2) == 0 {
                put_long(count, into);
            } else {
                put_long(-count, into);
                put_long(i64::try_from(block.len()).unwrap(), into);
            }
            into.extend_from_slice(&block);
        }
        into.push(0);
    }

    /// Cuts bytes, changes some, or puts some in.
    pub(super) fn spoil(&mut self, bytes: &mut Vec<u8>) {
        match self.below(4) {
            0 => bytes.truncate(self.below(bytes.len())),
            1 => bytes.insert(self.below(bytes.len()), 0x80),
            _ => {
                for _ in 0..=self.below(2) {
                    let at = self.below(bytes.len());
                    bytes[at] = u8::try_from(self.below(256)).unwrap();
                }
            }
        }
    }
}
