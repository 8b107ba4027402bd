use super::*;
use expect_test::{Expect, expect};
use factum_core::view::{Column, ColumnType, Value};

fn table() -> ViewTable {
    let column = |name: &str, kind, nullable| Column { name: name.into(), kind, nullable };
    let columns = vec![
        column("balance", ColumnType::Integer, false),
        column("rate", ColumnType::Real, true),
        column("open", ColumnType::Boolean, false),
        column("owner", ColumnType::Text, true),
        column("digest", ColumnType::Bytes, true),
    ];
    ViewTable::new("accounts", 2, columns).unwrap()
}

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&match Filter::parse(text, &table()) {
        Ok(filter) => filter.to_string(),
        Err(e) => format!("{}: {e}", e.kind()),
    });
}

#[test]
fn conditions_are_read_by_the_type_of_their_column() {
    check("", expect!["()"]);
    check("balance>50", expect!["balance > '50'"]);
    check(
        " balance >= -5 AND rate<1 and open = true and owner != 'o''hara and sons' ",
        expect!["(balance >= '-5' and rate < '1' and open = 'true' and owner != 'o''hara and sons')"],
    );
    check("key = 17", expect!["key = '17'"]);
    check(r#"owner = "null" and owner != null"#, expect!["(owner = 'null' and not owner is null)"]);
    check("digest = 'AP8=' or digest = 'AQID'", expect!["(digest = 'AP8=' or digest = 'AQID')"]);
    let typed = Filter::parse("rate = 1", &table()).unwrap();
    let rate = Field::find("rate", &table()).unwrap();
    assert_eq!(typed, Filter::Compare(rate, Compared::Eq, Value::Real(1.0)));
}

#[test]
fn lists_patterns_and_null() {
    check("balance in (1,2 , -3)", expect!["balance in ('1', '2', '-3')"]);
    check(
        "owner in ('a,b', c) or key not in (x)",
        expect!["(owner in ('a,b', 'c') or (not key is null and not key in ('x')))"],
    );
    check(
        "owner like 'a%' and owner not like '%\\_'",
        expect![[r#"(owner like 'a%' and (not owner is null and not owner like '%\_'))"#]],
    );
    check(
        "rate is null or rate IS NOT NULL or not balance is null",
        expect!["(rate is null or not rate is null or not balance is null)"],
    );
    check("balance in ()", expect![[r#"invalid: filter: expected a value, found ")""#]]);
    check("balance in (1", expect!["invalid: filter: expected a comma or a closing parenthesis, found the end"]);
    check("balance in 1", expect![[r#"invalid: filter: expected a list as (1, 2), found "1""#]]);
    check("owner in (a, null)", expect!["invalid: filter: null is in no list: use `or owner is null`"]);
    check("balance like 1", expect!["invalid: filter: column balance holds integer, and like is for text"]);
    check(
        r"owner like 'a\b'",
        expect![[r#"invalid: filter: like "a\\b": a backslash stands before %, _ or a backslash only"#]],
    );
    check("rate is 5", expect![[r#"invalid: filter: expected `null` or `not null`, found "5""#]]);
    check("rate not 5", expect![[r#"invalid: filter: expected `in` or `like`, found "5""#]]);
}

#[test]
fn and_binds_closer_than_or_and_not_closest() {
    check(
        "balance > 1 or balance < 0 and open = true",
        expect!["(balance > '1' or (balance < '0' and open = 'true'))"],
    );
    check(
        "(balance > 1 or balance<0) AND not open=true",
        expect!["((balance > '1' or balance < '0') and not open = 'true')"],
    );
    check("not (key = a or not key = b)", expect!["not (key = 'a' or not key = 'b')"]);
}

#[test]
fn what_is_wrong_is_told() {
    check(
        "balanse > 1",
        expect![[
            r#"invalid: filter: view accounts has no column "balanse": it has key, balance, rate, open, owner, digest"#
        ]],
    );
    check(
        "balance",
        expect!["invalid: filter: expected one of = != < <= > >= in like is (or not in, not like), found the end"],
    );
    check(
        "balance ~ 1",
        expect![[r#"invalid: filter: expected one of = != < <= > >= in like is (or not in, not like), found "~ 1""#]],
    );
    check("balance >", expect!["invalid: filter: expected a value, found the end"]);
    check("> 3", expect![[r#"invalid: filter: expected a column, found "> 3""#]]);
    for operator in [">>", "==", "<>", "=!", "!"] {
        let error = Filter::parse(&format!("balance {operator} 5"), &table()).unwrap_err().to_string();
        let expected = format!(
            "filter: expected one of = != < <= > >= in like is (or not in, not like), found {:?}",
            format!("{operator} 5")
        );
        assert_eq!(error, expected);
    }
    check("balance > x", expect!["invalid: filter: column balance holds integer, and x is none"]);
    check("balance > 1.5", expect!["invalid: filter: column balance holds integer, and 1.5 is none"]);
    check(
        "balance > 9223372036854775808",
        expect!["invalid: filter: column balance holds integer, and 9223372036854775808 is none"],
    );
    check("balance > '5'", expect![[r#"invalid: filter: column balance holds integer, and "5" is none"#]]);
    check("balance = null", expect!["invalid: filter: column balance holds integer, and null is none"]);
    check("rate > null", expect!["invalid: filter: rate > null never holds: use is null or is not null"]);
    check("rate > NaN", expect!["invalid: filter: column rate holds real, and NaN is none"]);
    check("digest = 0g", expect!["invalid: filter: column digest holds bytes, and 0g is none"]);
    check("digest = 000", expect!["invalid: filter: column digest holds bytes, and 000 is none"]);
    check("owner = 'ada", expect![[r#"invalid: filter: expected a closing quote, found "ada""#]]);
    check(
        "balance > 1 xor balance < 0",
        expect![[r#"invalid: filter: expected `and`, `or` or the end, found "xor balance < 0""#]],
    );
    check("(balance > 1", expect!["invalid: filter: expected a closing parenthesis, found the end"]);
    check("balance > 1)", expect![[r#"invalid: filter: expected `and`, `or` or the end, found ")""#]]);
    check("not", expect!["invalid: filter: expected a column, found the end"]);
    check("balance > 1 and", expect!["invalid: filter: expected a column, found the end"]);
}

#[test]
fn sizes_have_limits() {
    check(&"(".repeat(40), expect!["invalid: filter: nested deeper than 32"]);
    check(
        &" ".repeat(20_000),
        expect!["invalid: filter: 20000 bytes are more than 16384 (nor may it have more than 256 conditions)"],
    );
    let terms = |count: usize| vec!["key=1"; count].join(" or ");
    check(
        &terms(10_000),
        expect!["invalid: filter: 89996 bytes are more than 16384 (nor may it have more than 256 conditions)"],
    );
    check(&terms(257), expect!["invalid: filter: more than 256 conditions; use in (…) for many values"]);
    assert!(Filter::parse(&terms(256), &table()).is_ok());
    let list = |count: usize| format!("balance in ({})", vec!["1"; count].join(","));
    check(&list(1_001), expect!["invalid: filter: more than 1000 values in the list of balance"]);
    assert!(Filter::parse(&list(1_000), &table()).is_ok());
}

fn query(pairs: &[(&str, &str)]) -> Result<Query> {
    Query::from_pairs(&table(), pairs.iter().copied())
}

fn refused(pairs: &[(&str, &str)], expected: Expect) {
    let error = query(pairs).unwrap_err();
    expected.assert_eq(&format!("{}: {error}", error.kind()));
}

#[test]
fn a_url_says_all_of_a_query() {
    let asked = query(&[
        ("where", "balance > 50"),
        ("order", "-balance, owner"),
        ("columns", "owner,key"),
        ("limit", "7"),
        ("count", "true"),
        ("cursor", ""),
    ]);
    let asked = asked.unwrap();
    assert_eq!(asked.filter().to_string(), "balance > '50'");
    assert_eq!(asked.order().to_string(), "-balance,owner,key");
    let columns: Vec<&str> = asked.columns().iter().map(Field::name).collect();
    assert_eq!((columns.as_slice(), asked.limit(), asked.counts()), (["owner", "key"].as_slice(), 7, true));
    let plain = query(&[]).unwrap();
    assert_eq!((plain.order().to_string().as_str(), plain.limit(), plain.counts()), ("key", DEFAULT_LIMIT, false));
    assert_eq!(plain.columns().len(), 6);
    // What follows the key cannot matter.
    assert_eq!(query(&[("order", "-key,balance")]).unwrap().order().to_string(), "-key");
}

#[test]
fn parameters_that_cannot_be_are_refused() {
    refused(
        &[("wher", "balance > 50")],
        expect![[
            r#"invalid: a query has no parameter "wher": it has where, order, columns, limit, cursor, count, and over HTTP after, wait, stale"#
        ]],
    );
    refused(&[("limit", "1"), ("limit", "2")], expect!["invalid: limit is given twice"]);
    refused(
        &[("limit", "0")],
        expect!["invalid: limit: 0 is not within 1 and 10000; take the next page with the cursor of the last one"],
    );
    refused(
        &[("limit", "10001")],
        expect!["invalid: limit: 10001 is not within 1 and 10000; take the next page with the cursor of the last one"],
    );
    refused(
        &[("limit", "99999999999999999999999")],
        expect![[r#"invalid: limit: "99999999999999999999999" is no number"#]],
    );
    refused(&[("limit", "-1")], expect![[r#"invalid: limit: "-1" is no number"#]]);
    refused(&[("count", "yes")], expect![[r#"invalid: count: "yes" is neither true nor false"#]]);
    refused(
        &[("order", "-balanse")],
        expect![[
            r#"invalid: order: view accounts has no column "balanse": it has key, balance, rate, open, owner, digest"#
        ]],
    );
    refused(&[("order", "balance,-balance")], expect!["invalid: order: balance is named twice"]);
    refused(
        &[("order", ",")],
        expect![[r#"invalid: order: view accounts has no column "": it has key, balance, rate, open, owner, digest"#]],
    );
    refused(
        &[("columns", "key,\"balance\"; DROP TABLE accounts_v2; --")],
        expect![[
            r#"invalid: columns: view accounts has no column "\"balance\"; DROP TABLE accounts_v2; --": it has key, balance, rate, open, owner, digest"#
        ]],
    );
    refused(&[("columns", "key,key")], expect!["invalid: columns: key is named twice"]);
}

fn page_of(query: &Query) -> Page {
    let row = |key: &str, balance: i64| {
        let null = Value::Null;
        vec![Value::Text(key.into()), Value::Integer(balance), null.clone(), Value::Boolean(true), null.clone(), null]
    };
    evaluate(query, [row("a", 1), row("b", 2), row("c", 2)]).unwrap()
}

#[test]
fn a_cursor_belongs_to_one_view_filter_and_order() {
    let first = query(&[("where", "balance < 9"), ("order", "-balance,rate"), ("limit", "2")]).unwrap();
    let cursor = page_of(&first).next.unwrap();
    let same = [("order", " -balance,rate,key"), ("where", "balance<9"), ("cursor", cursor.as_str())];
    let next = page_of(&query(&same).unwrap());
    assert_eq!((next.rows[0][0].to_string().as_str(), next.rows.len(), next.next), ("a", 1, None));

    let other_query =
        expect!["cursor: it is of a query with another view, filter or order: ask with those again, or without it"];
    for pairs in [
        [("where", "balance < 8"), ("order", "-balance,rate"), ("cursor", cursor.as_str())],
        [("where", "balance < 9"), ("order", "balance,rate"), ("cursor", cursor.as_str())],
        [("where", "balance < 9"), ("order", "-balance"), ("cursor", cursor.as_str())],
    ] {
        other_query.assert_eq(&query(&pairs).unwrap_err().to_string());
    }
    let newer = ViewTable::new("accounts", 3, table().columns().to_vec()).unwrap();
    other_query.assert_eq(&Query::from_pairs(&newer, same).unwrap_err().to_string());
    // The order in which the parts are said does not matter.
    assert!(query(&[same[2], same[0], same[1]]).is_ok());
}

#[test]
fn a_cursor_that_is_none_is_refused() {
    let cursor = page_of(&query(&[("order", "balance"), ("limit", "1")]).unwrap()).next.unwrap();
    let ask = |cursor: &str| query(&[("order", "balance"), ("cursor", cursor)]);
    assert!(ask(&cursor).is_ok());
    let broken = expect!["cursor: this is no cursor: take `next` of a page as it is, or ask without one"];
    for text in ["x", "'; DROP TABLE accounts_v2; --", "AA", &cursor[..cursor.len() - 2], &format!("{cursor}AAAA")] {
        broken.assert_eq(&ask(text).unwrap_err().to_string());
    }
    expect!["cursor: 8193 bytes are more than 8192"].assert_eq(&ask(&"A".repeat(8_193)).unwrap_err().to_string());
}

#[test]
fn values_too_long_for_a_cursor_are_told_and_rows_too_long_for_a_page_shorten_it() {
    let long = |key: &str, length: usize| {
        let owner = Value::Text("x".repeat(length));
        vec![Value::Text(key.into()), Value::Integer(1), Value::Null, Value::Boolean(true), owner, Value::Null]
    };
    let by_owner = query(&[("order", "owner"), ("limit", "1")]).unwrap();
    let error = evaluate(&by_owner, [long("a", 9_000), long("b", 9_000)]).unwrap_err();
    expect!["a cursor of 12027 bytes would be longer than 8192: order by shorter columns than owner,key"]
        .assert_eq(&error.to_string());

    let by_key = query(&[]).unwrap();
    let rows = || ["a", "b", "c"].map(|key| long(key, MAX_PAGE_BYTES / 2));
    let page = evaluate(&by_key, rows()).unwrap();
    assert_eq!(page.rows.len(), 1);
    let page = evaluate(&by_key.after(&page.next.unwrap()).unwrap(), rows()).unwrap();
    assert_eq!((page.rows[0][0].to_string().as_str(), page.rows.len()), ("b", 1));
}

#[test]
fn sql_names_columns_only_and_binds_every_value() {
    let filter =
        r"owner = 'x'' OR 1 = 1; --' and (owner not in (a, 'b') or not rate > 1) and owner like '%' and rate is null";
    let query = query(&[("where", filter), ("order", "-rate,owner"), ("columns", "key"), ("limit", "3")]).unwrap();
    let cursor = Cursor::write(&query, &[Value::Real(0.5), Value::Null, Value::Text("k".into())]).unwrap();
    let query = query.after(&cursor).unwrap();
    let shown = |statement: Statement| format!("{}\n{:?}", statement.sql, statement.bound);
    expect![[r#"
        SELECT "key", "rate", "owner", "key" FROM "accounts_v2" WHERE ("owner" = ?1 AND ((NOT coalesce("owner" IS NULL, FALSE) AND NOT coalesce("owner" IN (?2, ?3), FALSE)) OR NOT coalesce("rate" > ?4, FALSE)) AND factum_like("owner", ?5) AND "rate" IS NULL) AND ((("rate" < ?6 OR "rate" IS NULL)) OR ("rate" = ?7 AND FALSE) OR ("rate" = ?8 AND "owner" IS NULL AND ("key" > ?9))) ORDER BY "rate" DESC NULLS LAST, "owner" NULLS LAST, "key" LIMIT ?10
        [Text("x' OR 1 = 1; --"), Text("a"), Text("b"), Real(1.0), Text("%"), Real(0.5), Real(0.5), Real(0.5), Text("k"), Integer(4)]"#]].assert_eq(&shown(Statement::page(&query, Dialect::Sqlite)));
    expect![[r#"
        SELECT "key", "rate", "owner", "key" FROM "accounts_v2" WHERE ("owner" COLLATE "C" = $1 AND ((NOT coalesce("owner" IS NULL, FALSE) AND NOT coalesce("owner" COLLATE "C" IN ($2, $3), FALSE)) OR NOT coalesce("rate" > $4, FALSE)) AND "owner" COLLATE "C" LIKE $5 ESCAPE '\' AND "rate" IS NULL) AND ((("rate" < $6 OR "rate" IS NULL)) OR ("rate" = $7 AND FALSE) OR ("rate" = $8 AND "owner" IS NULL AND ("key" COLLATE "C" > $9))) ORDER BY "rate" DESC NULLS LAST, "owner" COLLATE "C" NULLS LAST, "key" COLLATE "C" LIMIT $10
        [Text("x' OR 1 = 1; --"), Text("a"), Text("b"), Real(1.0), Text("%"), Real(0.5), Real(0.5), Real(0.5), Text("k"), Integer(4)]"#]].assert_eq(&shown(Statement::page(&query, Dialect::Postgres)));
    expect![[r#"
        SELECT count(*) FROM "accounts_v2" WHERE TRUE
        []"#]]
    .assert_eq(&shown(Statement::count(&Query::new(query.table()), Dialect::Postgres)));
}
