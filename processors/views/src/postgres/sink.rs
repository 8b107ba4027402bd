//! The sink itself.

use super::{
    PostgresLimits, PostgresUrl,
    connection::{Call, Connection, Parameter},
    hand_written::Transaction,
    parked::FIND,
    statements::{CLAIM, MOVE, MOVE_UNCHECKED, Statements},
    tables,
    text::{original, stored},
    value::{Array, array, number, values},
};
use crate::{HandWritten, Sink};
use factum_core::{
    Error, Offset, Result, TopicId, TopicPartition, Version,
    view::{
        Claim, Commit, CommitOutcome, Compare, LastEvent, LoadRequest, Loaded, Move, Parking, RowLocking, Value,
        ViewTable, Watermark, Watermarks,
    },
};
use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};
use tokio_postgres::Row;

/// A view's tables in a PostgreSQL database, in the schema that its connections use:
///
/// | table | holds |
/// |---|---|
/// | `<name>_v<version>` | `key` and the row's columns; `factum_version` and `factum_offset` where rows are of one aggregate each |
/// | `<name>_v<version>_versions` | version and offset of the last event of each aggregate that was applied, if not in its row |
/// | `factum_progress` | epoch and position of each partition, of all views |
/// | `factum_in_hand` | from which position records of each partition were begun last, and how often |
/// | `factum_parked` | the records that views have left aside |
/// | `factum_meta` | the database's id |
///
/// A batch is one statement for each table: three round trips with the locks
/// of shared rows, or without.
///
/// A watermark in a row costs next to nothing, and one apart as much as a row
/// does ([`Watermarks`]). That of a row counts; where there is no row, or its
/// `factum_version` is 0, the one apart does. A row that is deleted leaves its
/// watermark apart.
///
/// Shared rows that there are, are locked in the order of their keys. A row
/// that there is not cannot be locked; it must still be absent at the commit,
/// else the commit answers [`CommitOutcome::RowsChanged`]. So a key needs no
/// row of a second table that only serves as its lock and stays for ever, a
/// row that everybody changes is waited for and not fought over, and a key is
/// fought over only when it is new.
///
/// The server ends a transaction that its process does nothing in for
/// [`PostgresLimits::idle_in_transaction`]: so a stopped process does not hold
/// its successor up.
#[derive(Debug)]
pub struct PostgresSink {
    pub(super) connection: Connection,
    database_id: String,
    pub(super) table: ViewTable,
    sql: Statements,
    /// Keys that were loaded to be locked and that had no row.
    absent: HashSet<String>,
    /// Whether a transaction of `freeze` is open, in which commits are savepoints.
    pub(super) frozen: bool,
    hand_written: Option<Box<dyn HandWritten>>,
}

impl PostgresSink {
    /// Opens a view's tables in a database, making what is missing.
    ///
    /// # Errors
    /// `Invalid`: a table exists with other columns, or the server refuses us;
    /// `Unavailable`: it cannot be reached now.
    pub fn open(url: &PostgresUrl, table: ViewTable) -> Result<Self> {
        Self::open_with(url, table, PostgresLimits::default())
    }

    /// The same with other limits.
    ///
    /// # Errors
    /// As of [`PostgresSink::open`].
    pub fn open_with(url: &PostgresUrl, table: ViewTable, limits: PostgresLimits) -> Result<Self> {
        let mut connection = Connection::open(url.clone(), limits.setup())?;
        let database_id = tables::prepare(&mut connection, &table)?;
        let sql = Statements::new(&table);
        Ok(PostgresSink {
            connection,
            database_id,
            sql,
            table,
            absent: HashSet::new(),
            frozen: false,
            hand_written: None,
        })
    }

    fn load_all(&mut self, request: &LoadRequest) -> Result<Loaded> {
        let doing = format!("load rows of view {}", self.table.view());
        let topics: Vec<&str> = request.aggregates.iter().map(|(topic, _)| topic.as_str()).collect();
        let aggregates: Vec<Cow<'_, str>> = request.aggregates.iter().map(|(_, id)| stored(id.as_str())).collect();
        let mut keys: Vec<Cow<'_, str>> = request.keys.iter().map(|key| stored(key)).collect();
        if self.table.watermarks() == Watermarks::InRows {
            let is_asked = |id: &str| request.keys.binary_search_by(|key| key.as_str().cmp(id)).is_ok();
            let others = request.aggregates.iter().filter(|(_, id)| !is_asked(id.as_str()));
            keys.extend(others.map(|(_, id)| stored(id.as_str())));
        }
        let is_locked = request.locking == RowLocking::Locked;
        let rows = if is_locked { &self.sql.lock_rows } else { &self.sql.select_rows };
        let (by_key, versions): ([Parameter<'_>; 1], [Parameter<'_>; 2]) = ([&keys], [&topics, &aggregates]);
        let mut calls = Vec::with_capacity(3);
        if !keys.is_empty() {
            calls.push(Call { sql: rows, parameters: &by_key });
        }
        if !request.aggregates.is_empty() {
            calls.push(Call { sql: &self.sql.select_versions, parameters: &versions });
        }
        let may_be = request.may_be_parked.iter().map(|number| (topics[*number], aggregates[*number].as_ref()));
        let (of, ids): (Vec<&str>, Vec<&str>) = may_be.unzip();
        let view = self.table.name();
        let find: [Parameter<'_>; 3] = [&view, &of, &ids];
        if !of.is_empty() {
            calls.push(Call { sql: FIND, parameters: &find });
        }
        let begin = (is_locked && !self.connection.in_transaction()).then_some("BEGIN");
        let mut answers = self.connection.pipeline(&doing, begin, &calls)?.into_iter();
        let rows = if keys.is_empty() { Vec::new() } else { answers.next().unwrap_or_default() };
        let versions = if request.aggregates.is_empty() { Vec::new() } else { answers.next().unwrap_or_default() };
        let parked = answers.next().unwrap_or_default();
        // WITH ORDINALITY counts from 1.
        let parked = parked.iter().map(|row| {
            let number: usize = number(row.get::<_, i64>(0) - 1, "number")?;
            Ok(request.may_be_parked[number])
        });
        let parked = parked.collect::<Result<_>>()?;

        let columns = self.table.columns();
        let mut last = last_events(&versions, request.aggregates.len())?;
        let mut found: HashMap<String, Vec<Value>> = HashMap::with_capacity(rows.len());
        let mut marks: HashMap<String, LastEvent> = HashMap::new();
        for row in &rows {
            let key = original(row.get(0));
            if self.table.watermarks() == Watermarks::InRows {
                marks.insert(key.clone(), last_event(row, columns.len() + 1)?);
            }
            found.insert(key, values(row, 1, columns)?);
        }
        for ((_, id), last) in request.aggregates.iter().zip(&mut last) {
            let mark = marks.get(id.as_str()).filter(|mark| mark.version > Version::NONE);
            *last = mark.copied().unwrap_or(*last);
        }
        let rows: Vec<_> = request.keys.iter().map(|key| found.remove(key)).collect();
        let absent = request.keys.iter().zip(&rows).filter(|(_, row)| is_locked && row.is_none());
        self.absent = absent.map(|(key, _)| key.clone()).collect();
        Ok(Loaded { rows, last, parked })
    }

    fn write(&mut self, commit: &Commit) -> Result<CommitOutcome> {
        let doing = format!("commit to view {}", self.table.view());
        let absent = std::mem::take(&mut self.absent);
        let upserts = commit.upserts.iter().filter(|(key, _)| !absent.contains(key)).collect();
        let inserts = commit.upserts.iter().filter(|(key, _)| absent.contains(key)).collect();
        let upserts = Rows::new(&self.table, upserts, &commit.watermarks)?;
        let inserts = Rows::new(&self.table, inserts, &commit.watermarks)?;
        let view = self.table.name();
        let moves = Moves::new(&view, &commit.moves)?;
        let deletes: Vec<Cow<'_, str>> = commit.deletes.iter().map(|key| stored(key)).collect();
        let in_rows = self.table.watermarks() == Watermarks::InRows;
        let is_written = |mark: &&Watermark| {
            in_rows && commit.upserts.binary_search_by(|(key, _)| key.as_str().cmp(mark.aggregate.as_str())).is_ok()
        };
        let marks = Marks::new(commit.watermarks.iter().filter(|mark| !is_written(mark)).collect())?;
        let is_marked = !marks.aggregates.is_empty();

        let (upserted, inserted) = (upserts.parameters(), inserts.parameters());
        let (moved, deleted, marked) = (moves.parameters(), [&deletes as Parameter<'_>], marks.parameters());
        let sql = match commit.compare {
            Compare::EpochAndPosition => MOVE,
            Compare::Nothing => MOVE_UNCHECKED,
        };
        // Progress first: its rows are what two owners of a partition meet at.
        let calls = [
            (true, sql, &moved[..]),
            (!inserts.keys.is_empty(), &self.sql.insert_rows, &inserted),
            (!upserts.keys.is_empty(), &self.sql.upsert_rows, &upserted),
            (!deletes.is_empty(), &self.sql.delete_rows, &deleted),
            (is_marked && in_rows, &self.sql.mark_rows, &marked),
            (is_marked, &self.sql.upsert_versions, &marked),
        ];
        let calls: Vec<Call<'_>> = calls
            .into_iter()
            .filter(|(is_needed, ..)| *is_needed)
            .map(|(_, sql, parameters)| Call { sql, parameters })
            .collect();
        if self.frozen {
            self.connection.savepoint(&doing, "SAVEPOINT batch")?;
        }
        let answers = self.connection.begin(&doing, &calls)?;

        let held: HashSet<(String, i32)> = answers[0].iter().map(|row| (row.get(0), row.get(1))).collect();
        let lost: Vec<TopicPartition> = moves
            .keys()
            .zip(&commit.moves)
            .filter(|(key, _)| !held.contains(key))
            .map(|(_, m)| m.place.clone())
            .collect();
        if !lost.is_empty() {
            self.undo(&doing)?;
            return Ok(CommitOutcome::ClaimLost(lost));
        }
        if !inserts.keys.is_empty() && answers[1].len() != inserts.keys.len() {
            self.undo(&doing)?;
            return Ok(CommitOutcome::RowsChanged);
        }
        if commit.parking != Parking::default() && !self.park(&doing, &commit.parking)? {
            self.undo(&doing)?;
            return Ok(CommitOutcome::RowsChanged);
        }
        if let Some(hand_written) = &mut self.hand_written {
            let doing = format!("SQL written by hand for view {}", self.table.view());
            let mut transaction = Transaction { connection: &mut self.connection, doing: &doing };
            hand_written.write(&mut transaction, commit)?;
        }
        if self.frozen {
            self.connection.savepoint(&doing, "RELEASE SAVEPOINT batch")?;
        } else {
            self.connection.commit(&doing)?;
        }
        Ok(CommitOutcome::Committed)
    }

    /// Takes back what a commit has done so far.
    fn undo(&mut self, doing: &str) -> Result<()> {
        if self.frozen {
            return self.connection.savepoint(doing, "ROLLBACK TO SAVEPOINT batch");
        }
        self.connection.rollback();
        Ok(())
    }
}

impl Sink for PostgresSink {
    fn database_id(&self) -> &str {
        &self.database_id
    }

    fn table(&self) -> &ViewTable {
        &self.table
    }

    fn claim(&mut self, place: &TopicPartition, topic_id: TopicId) -> Result<Claim> {
        let doing = format!("claim {place} of view {}", self.table.view());
        let partition: i32 = number(place.partition.0, "partition")?;
        let parameters: [Parameter<'_>; 4] =
            [&self.table.name(), &place.topic.as_str(), &topic_id.to_string(), &partition];
        let rows = self.connection.query(&doing, CLAIM, &parameters)?;
        let row = rows.first().ok_or_else(|| Error::unavailable(format!("{doing}: no row came back")))?;
        let topic_id = row.get::<_, &str>(0).parse().map_err(|e: Error| e.context(&doing))?;
        let (epoch, position) = (number(row.get::<_, i64>(1), "epoch")?, Offset(row.get(2)));
        Ok(Claim { topic_id, epoch, position, tries: self.tries(place, position)? })
    }

    fn load(&mut self, request: &LoadRequest) -> Result<Loaded> {
        self.load_all(request)
    }

    fn commit(&mut self, commit: &Commit) -> Result<CommitOutcome> {
        self.write(commit)
    }

    fn alongside(&mut self, hand_written: Box<dyn HandWritten>) -> Result<()> {
        self.hand_written = Some(hand_written);
        Ok(())
    }

    fn rollback(&mut self) -> Result<()> {
        self.absent.clear();
        if !self.frozen {
            self.connection.rollback();
        }
        Ok(())
    }
}

/// The aggregates' last events in the order of the request.
fn last_events(rows: &[Row], count: usize) -> Result<Vec<LastEvent>> {
    let mut last = vec![LastEvent::NONE; count];
    for row in rows {
        // WITH ORDINALITY counts from 1.
        let index: usize = number(row.get::<_, i64>(0) - 1, "number")?;
        last[index] = last_event(row, 1)?;
    }
    Ok(last)
}

/// A watermark: a version, beginning at the column `first`, and an offset.
fn last_event(row: &Row, first: usize) -> Result<LastEvent> {
    let version = Version(number(row.get::<_, i64>(first), "version")?);
    Ok(LastEvent { version, offset: Offset(row.get(first + 1)) })
}

/// Rows as one array for each column.
pub(super) struct Rows<'a> {
    keys: Vec<Cow<'a, str>>,
    columns: Vec<Array<'a>>,
}

impl<'a> Rows<'a> {
    /// With the watermarks of those that the table keeps in its rows.
    pub(super) fn new(table: &ViewTable, rows: Vec<&'a (String, Vec<Value>)>, marks: &[Watermark]) -> Result<Self> {
        let keys = rows.iter().map(|(key, _)| stored(key)).collect();
        let columns = table.columns().iter().enumerate();
        let columns =
            columns.map(|(index, column)| array(column, index, rows.iter().map(|(_, values)| values.as_slice())));
        let mut columns: Vec<Array<'a>> = columns.collect::<Result<_>>()?;
        if table.watermarks() == Watermarks::InRows {
            let marks: HashMap<&str, LastEvent> =
                marks.iter().map(|mark| (mark.aggregate.as_str(), mark.last)).collect();
            let last = rows.iter().map(|(key, _)| marks.get(key.as_str()).copied().unwrap_or_default());
            let last: Vec<(i64, i64)> =
                last.map(|last| Ok((number(last.version.0, "version")?, last.offset.0))).collect::<Result<_>>()?;
            let (versions, offsets): (Vec<i64>, Vec<i64>) = last.into_iter().unzip();
            columns.push(Box::new(versions));
            columns.push(Box::new(offsets));
        }
        Ok(Rows { keys, columns })
    }

    pub(super) fn parameters(&self) -> Vec<Parameter<'_>> {
        let key: Parameter<'_> = &self.keys;
        std::iter::once(key).chain(self.columns.iter().map(|column| &**column as Parameter<'_>)).collect()
    }
}

/// Progress rows as one array for each column.
struct Moves<'a> {
    view: &'a str,
    topics: Vec<&'a str>,
    partitions: Vec<i32>,
    epochs: Vec<i64>,
    before: Vec<i64>,
    after: Vec<i64>,
    topic_ids: Vec<String>,
}

impl<'a> Moves<'a> {
    fn new(view: &'a str, moves: &'a [Move]) -> Result<Self> {
        Ok(Moves {
            view,
            topics: moves.iter().map(|moved| moved.place.topic.as_str()).collect(),
            partitions: moves
                .iter()
                .map(|moved| number(moved.place.partition.0, "partition"))
                .collect::<Result<_>>()?,
            epochs: moves.iter().map(|moved| number(moved.epoch, "epoch")).collect::<Result<_>>()?,
            before: moves.iter().map(|moved| moved.from.0).collect(),
            after: moves.iter().map(|moved| moved.to.0).collect(),
            topic_ids: moves.iter().map(|moved| moved.topic_id.to_string()).collect(),
        })
    }

    fn parameters(&self) -> [Parameter<'_>; 7] {
        [&self.view, &self.topics, &self.partitions, &self.epochs, &self.before, &self.after, &self.topic_ids]
    }

    /// Topic and partition of each.
    fn keys(&self) -> impl Iterator<Item = (String, i32)> {
        self.topics.iter().map(|topic| (*topic).to_owned()).zip(self.partitions.iter().copied())
    }
}

/// Watermarks as one array for each column.
struct Marks<'a> {
    topics: Vec<&'a str>,
    aggregates: Vec<Cow<'a, str>>,
    versions: Vec<i64>,
    offsets: Vec<i64>,
}

impl<'a> Marks<'a> {
    fn new(marks: Vec<&'a Watermark>) -> Result<Self> {
        Ok(Marks {
            topics: marks.iter().map(|mark| mark.topic.as_str()).collect(),
            aggregates: marks.iter().map(|mark| stored(mark.aggregate.as_str())).collect(),
            versions: marks.iter().map(|mark| number(mark.last.version.0, "version")).collect::<Result<_>>()?,
            offsets: marks.iter().map(|mark| mark.last.offset.0).collect(),
        })
    }

    fn parameters(&self) -> [Parameter<'_>; 4] {
        [&self.topics, &self.aggregates, &self.versions, &self.offsets]
    }
}
