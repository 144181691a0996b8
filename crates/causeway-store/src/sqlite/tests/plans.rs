//! Every query of the hot path finds its rows by an index, however many rows there are.

use rusqlite::Connection;

use crate::sqlite::base::schema;

#[test]
fn no_hot_query_scans_or_sorts() {
    let checked = each_hot_statement(|connection, file, sql| {
        for step in explained(connection, "EXPLAIN QUERY PLAN", 3, sql) {
            let scans = step.starts_with("SCAN") && step != "SCAN CONSTANT ROW";
            assert!(!scans && !step.contains("TEMP B-TREE"), "{file}: {step}: {sql}");
        }
    });
    assert!(checked > 35, "only {checked} statements were found");
}

/// Creating and dropping a temporary table costs as much as writing a row.
#[test]
fn no_hot_write_makes_a_temporary_table() {
    let mut writes = 0;
    each_hot_statement(|connection, file, sql| {
        // Statements of a merge, which is rare and reads what it changes.
        let is_of_merge = sql.ends_with("WHERE contact_id = ?1")
            || sql.ends_with("WHERE merged_into = ?1")
            || sql.contains("FROM engagement");
        if sql.starts_with("SELECT") || is_of_merge {
            return;
        }
        let steps = explained(connection, "EXPLAIN", 1, sql);
        assert!(!steps.contains(&"OpenEphemeral".to_owned()), "{file}: {sql}");
        writes += 1;
    });
    assert!(writes > 20, "only {writes} statements were found");
}

/// Otherwise each claim would walk all waiting deliveries.
#[test]
fn a_claim_reads_due_deliveries_from_the_index_of_their_kind() {
    let folder = tempfile::tempdir().unwrap();
    let connection = schema::writer(&folder.path().join("a.db"), schema::Steps::All).unwrap();
    for (sql, index) in [
        (crate::sqlite::outbox::claim::WITHDRAWALS, "delivery_withdrawal"),
        (crate::sqlite::outbox::claim::ALL, "delivery_due"),
    ] {
        assert_eq!(
            explained(&connection, "EXPLAIN QUERY PLAN", 3, sql),
            [format!(
                "SEARCH delivery USING COVERING INDEX {index} (destination_id=? AND due_at<?)"
            )]
        );
    }
}

/// Checks each statement of the hot path, and returns their number.
fn each_hot_statement(check: impl FnMut(&Connection, &str, &str)) -> usize {
    let mut check = check;
    let folder = tempfile::tempdir().unwrap();
    let connection = schema::writer(&folder.path().join("a.db"), schema::Steps::All).unwrap();
    let mut checked = 0;
    for (file, source) in [
        ("inbox/accept", include_str!("../inbox/accept.rs")),
        ("people/after_erasure", include_str!("../people/after_erasure.rs")),
        ("inbox/facts/action", include_str!("../inbox/facts/action.rs")),
        ("outbox/claim", include_str!("../outbox/claim.rs")),
        ("people/contact", include_str!("../people/contact.rs")),
        ("inbox/event", include_str!("../inbox/event.rs")),
        ("outbox/delivery", include_str!("../outbox/delivery.rs")),
        ("inbox/process", include_str!("../inbox/process.rs")),
        ("outbox/record", include_str!("../outbox/record.rs")),
        ("inbox/repeats", include_str!("../inbox/repeats.rs")),
    ] {
        for sql in statements(source) {
            check(&connection, file, &sql);
            checked += 1;
        }
    }
    checked
}

fn explained(connection: &Connection, how: &str, column: usize, sql: &str) -> Vec<String> {
    let mut plan = connection
        .prepare(&format!("{how} {sql}"))
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    let mut rows = plan.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        steps.push(row.get::<_, String>(column).unwrap());
    }
    steps
}

/// The SQL in one of our files: its string literals that start with a verb.
fn statements(source: &str) -> Vec<String> {
    let code: Vec<&str> = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    code.join("\n")
        .split('"')
        .skip(1)
        .step_by(2)
        .map(|literal| literal.replace("{JOIN_ENGAGEMENT}", "ON CONFLICT DO NOTHING"))
        .filter(|literal| {
            ["SELECT", "INSERT", "UPDATE", "DELETE"]
                .iter()
                .any(|verb| literal.starts_with(verb))
        })
        .collect()
}
