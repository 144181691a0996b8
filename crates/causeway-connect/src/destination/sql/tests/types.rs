//! How JSON is stored in columns of each type.

use serde_json::json;

use super::{Outcome, all_delivered, connect, database::Database, reason, signed};

const MAPPING: &str = "
[contacts]
table = 'typed'
[contacts.columns]
email = 'contact.email'
age = 'contact.age | default(none)'
small = 'contact.small | default(none)'
amount = 'contact.amount | default(none)'
score = 'contact.score | default(none)'
member = 'contact.member | default(none)'
born = 'contact.born | default(none)'
seen = 'contact.seen | default(none)'
uid = 'contact.uid | default(none)'
doc = 'contact.doc | default(none)'
short = 'contact.short | default(none)'
signed_at = 'at'
";

async fn check(database: Database, ddl: &str, select: &str, expected: &str) {
    database.run(ddl);
    let sql = connect(&database, MAPPING);
    sql.check().await.unwrap();
    let good = json!({
        "age": "42", "small": 7.0, "amount": "12.345", "score": "0.5", "member": "yes",
        "born": "1990-02-03", "seen": "2026-01-01T00:30:00+02:00",
        "uid": "0B54F2A13C4D4E5F8A9B0123456789AB", "doc": { "a": ["x", 1] }, "short": "žluť",
    });
    all_delivered(&sql.deliver(&[signed(1, &good)]).await);
    assert_eq!(database.run(&format!("SELECT {select} FROM typed")), expected);
    // Empty answers count as no answers.
    let empty = json!({ "age": "", "amount": " ", "born": "", "seen": "", "member": "", "uid": "" });
    all_delivered(&sql.deliver(&[signed(1, &empty)]).await);
    assert_eq!(database.run(&format!("SELECT {select} FROM typed")), expected);
    for (column, value) in [
        ("age", json!("secret")),
        ("small", json!(1e30)),
        ("amount", json!(12_345_678.5)),
        ("score", json!("secret")),
        ("member", json!("secret")),
        ("born", json!("secret")),
        ("seen", json!("secret")),
        ("uid", json!("secret")),
        ("short", json!("secret")),
    ] {
        let results = sql.deliver(&[signed(2, &json!({ column: value }))]).await;
        assert!(
            matches!(results[0].outcome, Outcome::Reject { .. }),
            "{column}: {results:?}"
        );
        let reason = reason(&results[0]);
        assert!(reason.contains(&format!("column \"{column}\" (")), "{reason}");
        assert!(!reason.contains("secret"), "{reason}");
    }
    assert_eq!(database.count("typed"), 1);

    let sql = connect(&database, &format!("truncate = true\n{MAPPING}"));
    all_delivered(&sql.deliver(&[signed(1, &json!({ "short": "žluťoučký" }))]).await);
    assert_eq!(database.run("SELECT short FROM typed"), "žluť");
}

#[tokio::test]
async fn values_fit_the_types_of_postgres() {
    check(
        Database::postgres(),
        "CREATE DOMAIN brief AS varchar(4);
         CREATE TABLE typed (email text PRIMARY KEY, age integer, small smallint, amount numeric(6,2),
         score double precision, member boolean, born date, seen timestamp, uid uuid, doc jsonb, short brief,
         signed_at timestamptz)",
        "age, small, amount, score, member, born, seen, uid, doc, short, signed_at",
        "42|7|12.35|0.5|t|1990-02-03|2025-12-31 22:30:00|0b54f2a1-3c4d-4e5f-8a9b-0123456789ab|{\"a\": [\"x\", 1]}|žluť|2026-03-01 10:00:00.25+00",
    )
    .await;
}

#[tokio::test]
async fn values_fit_the_types_of_mariadb() {
    check(
        Database::mariadb(),
        "CREATE TABLE typed (email varchar(100) PRIMARY KEY, age int unsigned, small smallint, amount decimal(6,2),
         score double, member tinyint(1), born date, seen datetime, uid uuid, doc json, short varchar(4),
         signed_at timestamp(3)) CHARACTER SET utf8mb4",
        "age, small, amount, score, member, born, seen, uid, doc, short, signed_at",
        "42|7|12.35|0.5|1|1990-02-03|2025-12-31 22:30:00|0b54f2a1-3c4d-4e5f-8a9b-0123456789ab|{\"a\":[\"x\",1]}|žluť|2026-03-01 10:00:00.250",
    )
    .await;
}

#[tokio::test]
async fn values_fit_the_types_of_sqlite() {
    check(
        Database::sqlite(),
        "CREATE TABLE typed (email TEXT PRIMARY KEY, age INTEGER, small INTEGER, amount DECIMAL(6,2),
         score REAL, member BOOLEAN, born DATE, seen DATETIME, uid UUID, doc JSON, short VARCHAR(4),
         signed_at DATETIME)",
        "age, small, amount, score, member, born, seen, uid, doc, short, signed_at",
        "42|7|12.345|0.5|1|1990-02-03|2025-12-31 22:30:00|0b54f2a1-3c4d-4e5f-8a9b-0123456789ab|{\"a\":[\"x\",1]}|žluť|2026-03-01 10:00:00.250000",
    )
    .await;
}

#[tokio::test]
async fn postgres_takes_lists_enums_and_generated_ids() {
    let database = Database::postgres();
    database.run(
        "CREATE TYPE mood AS ENUM ('glad', 'sad');
         CREATE SCHEMA crm;
         CREATE TABLE crm.people (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL UNIQUE,
         tags text[], mood mood, address inet)",
    );
    let sql = connect(
        &database,
        "[contacts]\ntable = 'crm.people'\n[contacts.columns]\nemail = 'contact.email'\ntags = 'fields.tags'\n\
         mood = 'contact.mood | default(none)'\naddress = 'contact.ip | default(none)'",
    );
    sql.check().await.unwrap();
    let good = json!({ "tags": ["a,b", "c\"d", "e\\f", null], "mood": "glad", "ip": "192.0.2.1" });
    let bad = json!({ "mood": "secret" });
    let results = sql
        .deliver(&[
            signed(1, &good),
            signed(2, &bad),
            signed(3, &json!({ "tags": "one" })),
        ])
        .await;
    all_delivered(&[results[0].clone(), results[2].clone()]);
    assert!(
        matches!(results[1].outcome, Outcome::Reject { .. }),
        "{results:?}"
    );
    assert!(!reason(&results[1]).contains("secret"), "{results:?}");
    assert_eq!(
        database.run("SELECT array_to_string(tags, ';', '-'), mood, address FROM crm.people ORDER BY email"),
        "a,b;c\"d;e\\f;-|glad|192.0.2.1\none||"
    );
}
