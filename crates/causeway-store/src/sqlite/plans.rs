//! Every query of the hot path finds its rows by an index, however many rows there are.

use super::schema;

#[test]
fn no_hot_query_scans_or_sorts() {
    let folder = tempfile::tempdir().unwrap();
    let connection = schema::writer(&folder.path().join("a.db")).unwrap();
    let mut checked = 0;
    for (file, source) in [
        ("accept", include_str!("accept.rs")),
        ("action", include_str!("facts/action.rs")),
        ("claim", include_str!("claim.rs")),
        ("contact", include_str!("contact.rs")),
        ("event", include_str!("event.rs")),
        ("outbox", include_str!("outbox.rs")),
        ("process", include_str!("process.rs")),
        ("record", include_str!("record.rs")),
    ] {
        for sql in statements(source) {
            let mut plan = connection
                .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
                .unwrap_or_else(|error| panic!("{file}: {sql}: {error}"));
            let mut rows = plan.raw_query();
            let mut steps = Vec::new();
            while let Some(row) = rows.next().unwrap() {
                steps.push(row.get::<_, String>(3).unwrap());
            }
            for step in steps {
                let scans = step.starts_with("SCAN") && step != "SCAN CONSTANT ROW";
                assert!(!scans && !step.contains("TEMP B-TREE"), "{file}: {step}: {sql}");
            }
            checked += 1;
        }
    }
    assert!(checked > 35, "only {checked} statements were found");
}

/// The SQL in a file of ours: its string literals that start with a verb.
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
