//! What reading a view means, written once and run over each database; and the
//! meaning of queries in each, compared with [`evaluate`].

#![allow(clippy::unwrap_used)] // helpers of tests, beside the test functions themselves

use expect_test::{Expect, expect};
use factum_core::{
    ErrorKind, Offset, Partition, Result, Topic, TopicId, TopicPartition,
    view::{Column, ColumnType, Commit, CommitOutcome, Compare, Move, Parking, Value, ViewTable},
    wire::Token,
};
use factum_test_database::TestDatabase;
use factum_views::{
    MemoryDatabase, MemorySink, Page, PostgresRows, PostgresSink, PostgresUrl, Progress, Query, Rows, Sink, SqliteRows,
    SqliteSink, Tokens, evaluate,
};
use rand_pcg::{Pcg64, rand_core::Rng};
use std::time::Duration;

/// A database, to write and to read.
trait Database {
    fn sink(&self, table: ViewTable) -> Box<dyn Sink>;
    fn rows(&self) -> Box<dyn Rows>;
}

impl Database for MemoryDatabase {
    fn sink(&self, table: ViewTable) -> Box<dyn Sink> {
        Box::new(MemorySink::open(self, table).unwrap())
    }

    fn rows(&self) -> Box<dyn Rows> {
        Box::new(self.clone())
    }
}

struct SqliteFile(tempfile::TempDir);

impl Database for SqliteFile {
    fn sink(&self, table: ViewTable) -> Box<dyn Sink> {
        Box::new(SqliteSink::open(&self.0.path().join("views.db"), table).unwrap())
    }

    fn rows(&self) -> Box<dyn Rows> {
        Box::new(SqliteRows::new(&self.0.path().join("views.db")))
    }
}

impl Database for TestDatabase {
    fn sink(&self, table: ViewTable) -> Box<dyn Sink> {
        Box::new(PostgresSink::open(&PostgresUrl::parse(&self.url()).unwrap(), table).unwrap())
    }

    fn rows(&self) -> Box<dyn Rows> {
        Box::new(PostgresRows::new(&PostgresUrl::parse(&self.url()).unwrap()))
    }
}

macro_rules! contract {
    ($($test:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $test() { super::$test(&super::MemoryDatabase::new("test")); })*
        }
        mod postgres {
            $(#[test] fn $test() { super::$test(&super::TestDatabase::new()); })*
        }
        mod sqlite {
            $(#[test] fn $test() { super::$test(&super::SqliteFile(tempfile::tempdir().unwrap())); })*
        }
    };
}

contract!(
    a_view_that_was_never_built_says_so,
    only_what_was_committed_is_read,
    progress_is_told_by_partition,
    rows_are_filtered_ordered_projected_and_counted,
    pages_end_where_the_next_begins,
    a_text_is_never_sql,
    random_queries_mean_the_same_as_in_memory,
    pages_of_random_queries_put_together_are_all_rows,
    a_reader_waits_for_what_another_instance_writes,
    a_view_that_is_behind_says_how_far_it_is,
    a_token_of_another_topic_is_refused,
);

fn table() -> ViewTable {
    let column = |name: &str, kind, nullable| Column { name: name.into(), kind, nullable };
    let columns = vec![
        column("balance", ColumnType::Integer, false),
        column("rate", ColumnType::Real, true),
        column("open", ColumnType::Boolean, true),
        column("owner", ColumnType::Text, true),
        column("digest", ColumnType::Bytes, true),
    ];
    ViewTable::new("accounts", 1, columns).unwrap()
}

fn place(partition: u32) -> TopicPartition {
    Topic::from("bank.account.events").partition(Partition(partition))
}

const TOPIC_ID: TopicId = TopicId([7; 16]);

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// Writes rows of the key and all columns, and moves the partition's progress on by one.
fn write(sink: &mut dyn Sink, partition: u32, rows: &[Vec<Value>]) {
    let claim = sink.claim(&place(partition), TOPIC_ID).unwrap();
    let to = Offset(claim.position.0 + 1);
    let moved = Move { place: place(partition), topic_id: TOPIC_ID, epoch: claim.epoch, from: claim.position, to };
    let mut upserts: Vec<_> = rows.iter().map(|row| (row[0].to_string(), row[1..].to_vec())).collect();
    upserts.sort_by(|left, right| left.0.cmp(&right.0));
    let compare = Compare::EpochAndPosition;
    let commit = Commit {
        upserts,
        deletes: Vec::new(),
        watermarks: Vec::new(),
        moves: vec![moved],
        parking: Parking::default(),
        compare,
    };
    assert_eq!(sink.commit(&commit).unwrap(), CommitOutcome::Committed);
}

fn accounts() -> Vec<Vec<Value>> {
    let row = |key, balance, rate: Option<f64>, open: Option<bool>, owner: Option<&str>| {
        let rate = rate.map_or(Value::Null, Value::Real);
        let open = open.map_or(Value::Null, Value::Boolean);
        vec![text(key), Value::Integer(balance), rate, open, owner.map_or(Value::Null, text), Value::Bytes(vec![0xab])]
    };
    vec![
        row("c", 10, Some(0.5), Some(true), Some("ada")),
        row("a", 60, None, Some(false), None),
        row("b", 70, Some(1.5), None, Some("Bob_1")),
        row("d", 70, Some(-1.0), Some(true), Some("ädä%")),
    ]
}

fn ask(rows: &dyn Rows, pairs: &[(&str, &str)]) -> Result<Page> {
    rows.page(&Query::from_pairs(&table(), pairs.iter().copied())?)
}

fn keys(page: &Page) -> String {
    page.rows.iter().map(|row| row[0].to_string()).collect::<Vec<_>>().join(" ")
}

fn a_view_that_was_never_built_says_so(database: &dyn Database) {
    let check = || {
        let rows = database.rows();
        for error in [ask(&*rows, &[]).unwrap_err(), rows.progress(&table()).unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().starts_with("view accounts was never built in "), "{error}");
            assert!(error.to_string().contains("`run view accounts` builds it"), "{error}");
        }
    };
    check();
    // Nor is it made by asking, or by another view in the same database.
    check();
    database.sink(ViewTable::new("other", 1, table().columns().to_vec()).unwrap());
    check();
    database.sink(table());
    let rows = database.rows();
    assert_eq!(ask(&*rows, &[]).unwrap().rows.len(), 0);
    assert_eq!(rows.progress(&table()).unwrap(), []);
}

fn only_what_was_committed_is_read(database: &dyn Database) {
    let mut sink = database.sink(table());
    let rows = database.rows();
    write(&mut *sink, 0, &accounts()[..1]);
    let locking = factum_core::view::RowLocking::Locked;
    let keys_of = vec!["a".to_owned()];
    sink.load(&factum_core::view::LoadRequest {
        keys: keys_of,
        aggregates: Vec::new(),
        may_be_parked: Vec::new(),
        locking,
    })
    .unwrap();
    // A writer within its transaction keeps nobody from reading.
    assert_eq!(keys(&ask(&*rows, &[]).unwrap()), "c");
    sink.rollback().unwrap();
    write(&mut *sink, 0, &accounts()[1..2]);
    assert_eq!(keys(&ask(&*rows, &[]).unwrap()), "a c");
}

fn progress_is_told_by_partition(database: &dyn Database) {
    let mut sink = database.sink(table());
    write(&mut *sink, 1, &accounts());
    write(&mut *sink, 1, &[]);
    sink.claim(&place(0), TOPIC_ID).unwrap();
    database.sink(ViewTable::new("other", 1, table().columns().to_vec()).unwrap()).claim(&place(5), TOPIC_ID).unwrap();
    let progress =
        |partition, position| Progress { place: place(partition), topic_id: TOPIC_ID, position: Offset(position) };
    assert_eq!(database.rows().progress(&table()).unwrap(), [progress(0, 0), progress(1, 2)]);
}

fn rows_are_filtered_ordered_projected_and_counted(database: &dyn Database) {
    write(&mut *database.sink(table()), 0, &accounts());
    let rows = database.rows();
    let check = |filter: &str, expected: Expect| {
        expected.assert_eq(&keys(&ask(&*rows, &[("where", filter)]).unwrap()));
    };
    check("", expect!["a b c d"]);
    check("balance > 50", expect!["a b d"]);
    check("balance >= 60 and balance <= 60", expect!["a"]);
    check("balance in (60, 10)", expect!["a c"]);
    check("open = false", expect!["a"]);
    check("not open = true", expect!["a b"]);
    check("rate != 0.5", expect!["b d"]);
    check("rate is null or rate < 0", expect!["a d"]);
    check("not rate > 1", expect!["a c d"]);
    check("owner < 'a'", expect!["b"]);
    check("owner in (ada, bob_1)", expect!["c"]);
    check("owner not in (ada, bob_1)", expect!["b d"]);
    check("not owner in (ada, bob_1)", expect!["a b d"]);
    check("owner like '%d_'", expect!["c"]);
    check(r"owner like '%\_1'", expect!["b"]);
    check("owner like 'bob%'", expect![""]);
    check("owner not like 'a%'", expect!["b d"]);
    check("owner like '_d_%'", expect!["c d"]);
    check("digest = 'qw==' and digest != 'q8A='", expect!["a b c d"]);
    check("key >= b and key not in (c)", expect!["b d"]);

    let check = |order: &str, expected: Expect| {
        expected.assert_eq(&keys(&ask(&*rows, &[("order", order)]).unwrap()));
    };
    check("-key", expect!["d c b a"]);
    check("-balance", expect!["b d a c"]);
    check("balance,-key", expect!["c a d b"]);
    check("rate", expect!["d c b a"]);
    check("-rate", expect!["b c d a"]);
    check("open,-balance,-key", expect!["a d c b"]);
    check("owner", expect!["b c d a"]);
    check("-owner", expect!["d c b a"]);

    let page = ask(&*rows, &[("columns", "owner,balance"), ("limit", "2"), ("where", "balance>50"), ("count", "true")]);
    let page = page.unwrap();
    assert_eq!(page.columns, ["owner", "balance"]);
    assert_eq!(page.rows, [vec![Value::Null, Value::Integer(60)], vec![text("Bob_1"), Value::Integer(70)]]);
    assert_eq!((page.count, page.next.is_some()), (Some(3), true));

    let page = rows.page(&Query::of_key(&table(), "d")).unwrap();
    assert_eq!(page.rows, [accounts()[3].clone()]);
    assert_eq!(rows.page(&Query::of_key(&table(), "nobody")).unwrap().rows.len(), 0);
}

fn pages_end_where_the_next_begins(database: &dyn Database) {
    let mut sink = database.sink(table());
    write(&mut *sink, 0, &accounts());
    let rows = database.rows();
    let page = |cursor: &str| ask(&*rows, &[("order", "-balance"), ("limit", "2"), ("cursor", cursor)]).unwrap();
    let first = page("");
    assert_eq!(keys(&first), "b d");
    let next = first.next.unwrap();
    // What came before the cursor meanwhile is not shown twice, and what comes after it is not left out.
    let row =
        |key, balance| vec![text(key), Value::Integer(balance), Value::Null, Value::Null, Value::Null, Value::Null];
    write(&mut *sink, 0, &[row("aa", 70), row("e", 65)]);
    let second = page(&next);
    assert_eq!(keys(&second), "e a");
    let third = page(&second.next.unwrap());
    assert_eq!((keys(&third).as_str(), third.next), ("c", None));
    // A full last page says that it is the last.
    assert_eq!(ask(&*rows, &[("limit", "6")]).unwrap().next, None);
}

fn a_text_is_never_sql(database: &dyn Database) {
    let evil = ["'; DROP TABLE accounts_v1; --", "\" OR 1=1 --", "$1", "?1", "%", r"\", "'' OR ''=''", "\u{feff}é"];
    let row = |key: &&str| vec![text(key), Value::Integer(1), Value::Null, Value::Null, text(key), Value::Null];
    write(&mut *database.sink(table()), 0, &evil.iter().map(row).collect::<Vec<_>>());
    let rows = database.rows();
    for key in evil {
        assert_eq!(rows.page(&Query::of_key(&table(), key)).unwrap().rows, [row(&key)], "{key}");
        let quoted = key.replace('\'', "''");
        for filter in [format!("owner = '{quoted}'"), format!("owner in ('{quoted}', x)")] {
            assert_eq!(ask(&*rows, &[("where", &filter)]).unwrap().rows, [row(&key)], "{filter}");
        }
    }
    for (name, value) in [("order", "key\"; DROP TABLE accounts_v1"), ("columns", "*"), ("where", "1=1 or key = a")] {
        let error = ask(&*rows, &[(name, value)]).unwrap_err();
        assert!(error.to_string().contains("it has key, balance, rate, open, owner, digest"), "{error}");
    }
    assert_eq!(ask(&*rows, &[("limit", "10000")]).unwrap().rows.len(), evil.len());
}

/// Rows and queries of a seed.
struct Random(Pcg64);

impl Random {
    fn new(seed: u128) -> Self {
        Random(Pcg64::new(seed, 1))
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.0.next_u64() % u64::try_from(end).unwrap()).unwrap()
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    /// A value of a column, from few so that many are equal, with those that databases get wrong.
    fn value(&mut self, kind: ColumnType) -> Value {
        match kind {
            ColumnType::Integer => Value::Integer(self.of(&[i64::MIN, -1, 0, 1, 2, 9_007_199_254_740_993, i64::MAX])),
            ColumnType::Real => {
                Value::Real(self.of(&[f64::NEG_INFINITY, -1.5, -0.0, 0.0, 0.1, 1.0, 9_007_199_254_740_993.0, 1e300]))
            }
            ColumnType::Boolean => Value::Boolean(self.of(&[true, false])),
            ColumnType::Text => text(self.of(&[
                "",
                "a",
                "A",
                "B",
                "ab",
                "a b",
                "z",
                "Z",
                "ä",
                "Ä",
                "é",
                "%",
                "_",
                "a_",
                "\\",
                "\u{1f600}",
                "\u{ffff}",
                "'",
            ])),
            ColumnType::Bytes => Value::Bytes(self.of(&[&[][..], &[0], &[0, 1], &[0x7f], &[0xff]]).to_vec()),
        }
    }

    fn rows(&mut self, count: usize) -> Vec<Vec<Value>> {
        let row = |number: usize| {
            let key = format!("{}{number}", self.of(&["a", "A", "ä", "_"]));
            let columns = table().columns().to_vec();
            let values = columns.iter().map(|column| match column.nullable && self.below(4) == 0 {
                true => Value::Null,
                false => match self.value(column.kind) {
                    // SQLite keeps no sign of a zero.
                    Value::Real(value) => Value::Real(value + 0.0),
                    value => value,
                },
            });
            [text(&key)].into_iter().chain(values).collect()
        };
        (0..count).map(row).collect()
    }

    fn literal(&mut self, kind: ColumnType) -> String {
        match self.value(kind) {
            Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
            value => value.to_string(),
        }
    }

    fn condition(&mut self) -> String {
        let table = table();
        let column = self.of(table.columns());
        let (name, kind) = match self.below(8) {
            0 => ("key", ColumnType::Text),
            _ => (column.name.as_str(), column.kind),
        };
        // An empty one has no bare form.
        let quote = |literal: String| if literal.is_empty() { "''".to_owned() } else { literal };
        match self.below(8) {
            0 => format!("{name} is {}null", self.of(&["", "not "])),
            1 | 2 => {
                let values: Vec<_> = (0..=self.below(4)).map(|_| quote(self.literal(kind))).collect();
                format!("{name} {}in ({})", self.of(&["", "not "]), values.join(", "))
            }
            3 if kind == ColumnType::Text => {
                let pattern = self.of(&["%", "_", "a%", "%A%", "__", r"\%", r"%\_", "", r"\\", "%ä", "_%_"]);
                format!("{name} {}like '{pattern}'", self.of(&["", "not "]))
            }
            _ => format!("{name} {} {}", self.of(&["=", "!=", "<", "<=", ">", ">="]), quote(self.literal(kind))),
        }
    }

    fn filter(&mut self, depth: usize) -> String {
        match self.below(if depth == 0 { 1 } else { 5 }) {
            0 | 1 => self.condition(),
            2 => format!("not ({})", self.filter(depth - 1)),
            3 => format!("({}) or ({})", self.filter(depth - 1), self.filter(depth - 1)),
            _ => format!("({}) and ({})", self.filter(depth - 1), self.filter(depth - 1)),
        }
    }

    fn order(&mut self) -> String {
        let names = ["balance", "rate", "open", "owner", "digest", "key"];
        let mut order: Vec<String> = Vec::new();
        for _ in 0..=self.below(4) {
            let name = self.of(&names);
            if order.iter().all(|other| other.trim_start_matches('-') != name) {
                order.push(format!("{}{name}", self.of(&["", "-"])));
            }
        }
        order.join(",")
    }
}

fn random_queries_mean_the_same_as_in_memory(database: &dyn Database) {
    let mut sink = database.sink(table());
    let mut random = Random::new(1);
    let all = random.rows(300);
    write(&mut *sink, 0, &all);
    let rows = database.rows();
    let mut hits = 0;
    for number in 0..400 {
        let (filter, order) = (random.filter(3), random.order());
        let limit = (random.below(40) + 1).to_string();
        let pairs = [("where", filter.as_str()), ("order", &order), ("limit", &limit), ("count", "true")];
        let query = Query::from_pairs(&table(), pairs).unwrap();
        let (found, expected) = (rows.page(&query).unwrap(), evaluate(&query, all.iter().cloned()).unwrap());
        assert_eq!(found, expected, "query {number}: {pairs:?}");
        hits += usize::from(!found.rows.is_empty());
    }
    assert!(hits > 200, "only {hits} queries found rows");
}

fn pages_of_random_queries_put_together_are_all_rows(database: &dyn Database) {
    let mut sink = database.sink(table());
    let mut random = Random::new(2);
    let all = random.rows(60);
    write(&mut *sink, 0, &all);
    let rows = database.rows();
    for number in 0..60 {
        let (filter, order) = (random.filter(1), random.order());
        let pairs = [("where", filter.as_str()), ("order", &order)];
        let expected = evaluate(&Query::from_pairs(&table(), pairs).unwrap(), all.iter().cloned()).unwrap();
        let limit = (random.below(9) + 1).to_string();
        let mut together = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = ask(&*rows, &[pairs[0], pairs[1], ("limit", &limit), ("cursor", &cursor)]).unwrap();
            together.extend(page.rows);
            let Some(next) = page.next else { break };
            cursor = next;
        }
        assert_eq!(together, expected.rows, "query {number}: {pairs:?}, pages of {limit}");
    }
}

fn token(text: &str) -> Token {
    text.parse().unwrap()
}

fn a_reader_waits_for_what_another_instance_writes(database: &dyn Database) {
    let (table, topics) = (table(), [place(0).topic]);
    let mut sink = database.sink(table.clone());
    write(&mut *sink, 0, &accounts()[..1]);
    let reader = database.rows();
    let tokens = [token("bank.account.events/0@1")];
    let wanted = Tokens { table: &table, topics: &topics, tokens: &tokens };
    assert_eq!(wanted.behind(&*reader).unwrap().len(), 1);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            wanted.wait(&*reader, Duration::from_secs(120)).unwrap();
            keys(&ask(&*reader, &[]).unwrap())
        });
        write(&mut *sink, 0, &accounts()[1..2]);
        assert_eq!(waits.join().unwrap(), "a c");
    });
    // Beyond it is passed as well, and so is a token without the topic's id or with the right one.
    let id = format!("bank.account.events/0@0#{TOPIC_ID}");
    for text in ["bank.account.events/0@0", "bank.account.events/0@1", id.as_str()] {
        let tokens = [token(text)];
        assert_eq!(Tokens { table: &table, topics: &topics, tokens: &tokens }.behind(&*reader).unwrap(), []);
    }
}

fn a_view_that_is_behind_says_how_far_it_is(database: &dyn Database) {
    let (table, topics) = (table(), [place(0).topic]);
    write(&mut *database.sink(table.clone()), 0, &accounts());
    let reader = database.rows();
    let tokens = [token("bank.account.events/0@7"), token("bank.account.events/5@0")];
    let wanted = Tokens { table: &table, topics: &topics, tokens: &tokens };
    let error = wanted.wait(&*reader, Duration::from_millis(30)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    expect!["view accounts is behind after 0.0 s: at bank.account.events/0 its next record is 1, and 7 was asked for; wait longer, ask again later, or ask for stale rows"]
    .assert_eq(&error.to_string());
    let behind = wanted.behind(&*reader).unwrap();
    expect!["at bank.account.events/0 its next record is 1, and 7 was asked for; at bank.account.events/5 its next record is 0, and 0 was asked for"]
    .assert_eq(&behind.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
}

fn a_token_of_another_topic_is_refused(database: &dyn Database) {
    let (table, topics) = (table(), [place(0).topic]);
    write(&mut *database.sink(table.clone()), 0, &accounts());
    let reader = database.rows();
    let refused = |tokens: &[Token], expected: Expect| {
        let error = Tokens { table: &table, topics: &topics, tokens }.wait(&*reader, Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        expected.assert_eq(&error.to_string());
    };
    let good = token("bank.account.events/0@0");
    refused(
        &[good.clone(), token("shop.basket.events/0@0")],
        expect![
            "view accounts does not read the topic of the token shop.basket.events/0@0: it reads bank.account.events"
        ],
    );
    let id = TopicId([8; 16]);
    refused(
        &[token(&format!("bank.account.events/0@0#{id}"))],
        expect![
            "the token bank.account.events/0@0#08080808-0808-0808-0808-080808080808 is of another topic of that name: view accounts reads the one with the id 07070707-0707-0707-0707-070707070707; ask without the token"
        ],
    );
    refused(&vec![good.clone(); 65], expect!["65 position tokens are more than 64"]);
    Tokens { table: &table, topics: &topics, tokens: &[good] }.wait(&*reader, Duration::ZERO).unwrap();
}
