//! From a file to its rows.

use super::{
    BrokenRow, ImportError, ImportRow, Mapping,
    convert::{quoted, timestamp},
    header::{Cells, Header},
    mapping::{Empty, ExpectedVersion, Field},
    row::Shape,
    sheet::{Next, Record, Sheet},
};
use crate::{AggregateId, CommandId, Version};
use serde_json::Value;
use std::{
    collections::{HashMap, hash_map::Entry},
    io,
    sync::Arc,
};
use uuid::Uuid;

/// The most rows of one file: they are checked, and kept, before the first is published.
pub const MAX_ROWS: usize = 2_000_000;

/// How many broken rows an error lists.
const LISTED_ROWS: usize = 10;

/// Reads a file's rows as commands to the aggregates of a type. The whole file
/// is read and checked before it returns.
///
/// A command's id is a UUID (version 5, RFC 9562) of the mapping's `id` text.
/// Its namespace is itself one: `factum:import:` and the aggregate type, in the
/// namespace for URLs. So any program can compute it.
///
/// # Errors
/// See [`ImportError`]; rows that are broken are named by line, and no row of
/// such a file is returned. Two rows with one command id are an error of the later.
pub fn read_rows(
    reader: impl io::Read,
    aggregate_type: &str,
    mapping: &Mapping,
) -> Result<Vec<ImportRow>, ImportError> {
    let mut sheet = Sheet::new(io::BufReader::new(reader));
    let mut record = Record::default();
    let header = match next(&mut sheet, &mut record)? {
        Next::End => return Err(ImportError::NoRows),
        Next::Broken(problem) => return Err(ImportError::Header(problem)),
        Next::Record => Header::new(&record, mapping)?,
    };
    let mut converter = Converter::new(aggregate_type, mapping);
    let mut rows = Vec::new();
    let mut read = 0;
    let mut broken = Vec::new();
    let mut broken_count = 0;
    loop {
        let row = match next(&mut sheet, &mut record)? {
            Next::End => break,
            Next::Broken(problem) => Err(BrokenRow { line: record.line(), column: None, problem }),
            Next::Record => header.cells(&record).and_then(|cells| converter.row(cells)),
        };
        if read == MAX_ROWS {
            return Err(ImportError::TooManyRows);
        }
        read += 1;
        match row {
            Ok(row) if broken_count == 0 => rows.push(row),
            Ok(_) => {}
            Err(problem) => {
                rows = Vec::new();
                broken_count += 1;
                if broken.len() < LISTED_ROWS {
                    broken.push(problem);
                }
            }
        }
    }
    match (read, broken_count) {
        (0, _) => Err(ImportError::NoRows),
        (_, 0) => Ok(rows),
        (read, count) => Err(ImportError::BrokenRows { first: broken, broken: count, rows: read as u64 }),
    }
}

fn next<R: io::BufRead>(sheet: &mut Sheet<R>, record: &mut Record) -> Result<Next, ImportError> {
    sheet.read(record).map_err(|source| ImportError::Read { line: sheet.line(), source })
}

/// Makes commands of rows, in the file's order.
struct Converter<'a> {
    mapping: &'a Mapping,
    namespace: Uuid,
    shape: Arc<Shape>,
    /// The line of each id.
    ids: HashMap<Uuid, u64>,
    /// How many rows each aggregate has had.
    ordinals: HashMap<AggregateId, u64>,
}

impl<'a> Converter<'a> {
    fn new(aggregate_type: &str, mapping: &'a Mapping) -> Self {
        let names = mapping.fields.keys().cloned().collect();
        Converter {
            mapping,
            namespace: Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("factum:import:{aggregate_type}").as_bytes()),
            shape: Arc::new(Shape { record: mapping.command.clone(), names }),
            ids: HashMap::new(),
            ordinals: HashMap::new(),
        }
    }

    fn row(&mut self, cells: Cells<'_>) -> Result<ImportRow, BrokenRow> {
        let mapping = self.mapping;
        let aggregate = mapping.aggregate.fill(|column| cells.filled(column))?;
        let aggregate = AggregateId::new(aggregate).map_err(|e| cells.broken(None, e.to_string()))?;
        let expected_version = mapping.expected_version.map(|ExpectedVersion::Ordinal| self.ordinal(&aggregate));
        let command_id = self.command_id(cells)?;
        let occurred = match &mapping.occurred {
            None => None,
            Some(occurred) => {
                let time = timestamp(cells.filled(&occurred.column)?, occurred.format.as_ref());
                Some(time.map_err(|problem| cells.broken(Some(&occurred.column), problem))?)
            }
        };
        let values: Result<_, _> = mapping.fields.iter().map(|(name, field)| value(name, field, cells)).collect();
        Ok(ImportRow {
            line: cells.line(),
            aggregate,
            command_id,
            occurred,
            expected_version,
            shape: self.shape.clone(),
            values: values?,
        })
    }

    /// How many of the aggregate's rows came before this one.
    fn ordinal(&mut self, aggregate: &AggregateId) -> Version {
        match self.ordinals.get_mut(aggregate) {
            Some(rows) => {
                *rows += 1;
                Version(*rows)
            }
            None => {
                self.ordinals.insert(aggregate.clone(), 0);
                Version::NONE
            }
        }
    }

    fn command_id(&mut self, cells: Cells<'_>) -> Result<CommandId, BrokenRow> {
        let text = self.mapping.id.fill(|column| cells.filled(column))?;
        let id = Uuid::new_v5(&self.namespace, text.as_bytes());
        match self.ids.entry(id) {
            Entry::Vacant(entry) => {
                entry.insert(cells.line());
                Ok(CommandId(id.into_bytes()))
            }
            Entry::Occupied(entry) => {
                let problem = format!("its id {} is also the id of line {}", quoted(&text), entry.get());
                Err(cells.broken(None, problem))
            }
        }
    }
}

fn value(name: &str, field: &Field, cells: Cells<'_>) -> Result<Value, BrokenRow> {
    match field {
        Field::Constant(value) => Ok(value.clone()),
        Field::Column { column, empty: Empty::Null, .. } if cells.get(column).is_empty() => Ok(Value::Null),
        Field::Column { column, conversion, format, .. } => {
            conversion.value(cells.get(column), format.as_ref()).map_err(|problem| cells.broken(Some(column), problem))
        }
        Field::Cases(cases) => {
            let matching = cases.iter().find(|case| case.when.iter().all(|(column, text)| cells.get(column) == text));
            matching.map(|case| case.value.clone()).ok_or_else(|| {
                let mut columns: Vec<&str> =
                    cases.iter().flat_map(|case| case.when.keys()).map(String::as_str).collect();
                columns.sort_unstable();
                columns.dedup();
                let texts: Vec<String> =
                    columns.iter().map(|column| format!("{column} {}", quoted(cells.get(column)))).collect();
                cells.broken(None, format!("no case of {name} matches {}", texts.join(", ")))
            })
        }
    }
}
