//! What an attempt keeps for the trace: the statements with their values, and what the database answered.

use causeway_core::destination::{AttemptResult, Outcome};
use serde_json::{Value, json};

use super::{
    connect, create,
    database::{Database, Sort},
    erased, many, on_each, reason, signed,
};

on_each!(
    each_delivery_keeps_its_own_statements,
    a_refused_row_keeps_its_statement_and_the_answer,
    a_long_value_is_cut_and_the_rest_kept,
);

const BOTH: &str = "contacts = { table = 'contacts' }\nactions = { table = 'actions' }";

/// A statement as it was kept: its text, its values, and what came of it.
struct Kept {
    text: String,
    values: Value,
    result: String,
}

/// The place and the statements. Fails if the text has another form.
fn kept(result: &AttemptResult) -> (String, Vec<Kept>) {
    let text = result.request.as_deref().unwrap();
    assert!(text.len() <= AttemptResult::REQUEST_BYTES);
    let parts: Vec<&str> = text.split("\n\n").collect();
    let statement = |part: &[&str]| Kept {
        text: part[0].to_owned(),
        values: serde_json::from_str(part[1]).unwrap(),
        result: part[2].to_owned(),
    };
    (parts[0].to_owned(), parts[1..].chunks(3).map(statement).collect())
}

fn verbs(statements: &[Kept]) -> Vec<(&str, &str)> {
    statements
        .iter()
        .map(|one| (one.text.split(' ').next().unwrap(), one.result.as_str()))
        .collect()
}

mod check {
    use super::*;

    pub(super) async fn each_delivery_keeps_its_own_statements(database: Database) {
        create(&database, BOTH).await;
        let sql = connect(&database, BOTH);
        let results = sql.deliver(&many(3)).await;
        for (number, result) in results.iter().enumerate() {
            let (place, statements) = kept(result);
            let scheme = match database.sort {
                Sort::Postgres => "SQL postgres://127.0.0.1:",
                Sort::MariaDb => "SQL mysql://127.0.0.1:",
                Sort::Sqlite => "SQL sqlite:/",
            };
            assert!(place.starts_with(scheme) && !place.contains('@'), "{place}");
            // Each row is looked up first.
            assert_eq!(
                verbs(&statements),
                [
                    ("SELECT", "0 rows"),
                    ("INSERT", "1 row"),
                    ("SELECT", "0 rows"),
                    ("INSERT", "1 row")
                ]
            );
            let email = format!("robin{number}@example.org");
            assert_eq!(statements[0].values, json!({ "where": { "email": email } }));
            assert!(statements[1].text.contains("contacts"), "{}", statements[1].text);
            assert_eq!(statements[1].values["values"]["email"], json!(email));
            assert_eq!(statements[1].values["values"]["first_name"], json!("Robin"));
            assert_eq!(
                statements[3].values["values"]["action_id"],
                json!(number.to_string())
            );
            let text = result.request.as_deref().unwrap();
            for other in (0..3).filter(|other| *other != number) {
                assert!(!text.contains(&format!("robin{other}@")), "{text}");
            }
            assert_eq!(result.excerpt, None);
        }
        let changed = [signed(1, &json!({ "firstName": "Robyn" }))];
        let (_, statements) = kept(&sql.deliver(&changed).await[0]);
        assert_eq!(statements[1].text.split(' ').next(), Some("UPDATE"));
        assert_eq!(
            (
                &statements[1].values["where"],
                &statements[1].values["set"]["first_name"]
            ),
            (&json!({ "email": "robin1@example.org" }), &json!("Robyn"))
        );
        assert_eq!(statements[1].result, "1 row");
        let (_, statements) = kept(&sql.deliver(&[erased(1)]).await[0]);
        assert_eq!(
            verbs(&statements),
            [
                ("SELECT", "1 row"),
                ("DELETE", "1 row"),
                ("SELECT", "1 row"),
                ("DELETE", "1 row")
            ]
        );
        assert_eq!(
            statements[3].values,
            json!({ "where": { "email": "robin1@example.org" } })
        );
    }

    pub(super) async fn a_refused_row_keeps_its_statement_and_the_answer(database: Database) {
        database.run(
            "CREATE TABLE contacts (email varchar(100) PRIMARY KEY, phone varchar(20), \
             CONSTRAINT one_phone UNIQUE (phone))",
        );
        let sql = connect(
            &database,
            "[contacts]\ntable = 'contacts'\n[contacts.columns]\nemail = 'contact.email'\nphone = 'contact.phone'",
        );
        super::super::all_delivered(&sql.deliver(&[signed(9, &json!({ "phone": "+49 secret" }))]).await);
        let mut batch = many(5);
        batch[2] = signed(2, &json!({ "phone": "+49 secret" }));
        let results = sql.deliver(&batch).await;
        let code = match database.sort {
            Sort::Postgres => "(SQLSTATE 23505)",
            Sort::MariaDb => "(error 1062, SQLSTATE 23000)",
            Sort::Sqlite => "(SQLite error 2067)",
        };
        let (_, statements) = kept(&results[2]);
        // Afterwards it is looked for once more, in case another program inserted it meanwhile.
        let mut latest = statements.iter().rev();
        let last = latest
            .find(|statement| statement.text.starts_with("INSERT INTO"))
            .unwrap();
        assert_eq!(last.values["values"]["phone"], json!("+49 secret"));
        assert!(
            last.result.starts_with("refused: breaks the unique constraint") && last.result.ends_with(code),
            "{}",
            last.result
        );
        assert!(!last.result.contains("secret"), "{}", last.result);
        let answer = results[2].excerpt.as_deref().unwrap();
        assert!(
            answer.ends_with(code) && answer.len() > code.len() + 10,
            "{answer}"
        );
        assert!(!reason(&results[2]).contains("secret"), "{results:?}");
        // The others keep what was committed, and nothing of the refused row.
        for at in [0, 1, 3, 4] {
            let (_, statements) = kept(&results[at]);
            // MariaDB and SQLite have some of them stored before they come to the refused row, so they are found when they
            // are written again.
            let found = verbs(&statements);
            let is_again = database.sort != Sort::Postgres
                && found.iter().any(|(verb, _)| *verb == "INSERT")
                && found.last() == Some(&("SELECT", "1 row"));
            let is_once = found.ends_with(&[("SELECT", "0 rows"), ("INSERT", "1 row")]);
            assert!(is_again || is_once, "{found:?}");
            assert!(!results[at].request.as_deref().unwrap().contains("secret"));
            assert_eq!(results[at].excerpt, None);
        }
    }

    pub(super) async fn a_long_value_is_cut_and_the_rest_kept(database: Database) {
        database.run("CREATE TABLE contacts (email varchar(100) PRIMARY KEY, note text, city varchar(50))");
        let sql = connect(
            &database,
            "[contacts]\ntable = 'contacts'\n[contacts.columns]\nemail = 'contact.email'\nnote = 'contact.note'\n\
             city = 'contact.city'",
        );
        let long = "ö".repeat(5_000);
        let batch = [signed(1, &json!({ "note": long, "city": "Bonn" }))];
        let (_, statements) = kept(&sql.deliver(&batch).await[0]);
        let values = &statements[1].values["values"];
        let note = values["note"].as_str().unwrap();
        assert!(note.ends_with("ö…") && note.len() < 2_100, "{}", note.len());
        assert_eq!(values["city"], json!("Bonn"));
        assert_eq!(statements[1].result, "1 row");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_fails_keeps_what_was_sent_until_then() {
    let postgres = Database::postgres();
    postgres.run("DROP ROLE IF EXISTS reader_here");
    postgres.run("CREATE ROLE reader_here LOGIN; CREATE TABLE contacts (email text PRIMARY KEY)");
    postgres.run("GRANT SELECT ON contacts TO reader_here");
    let reader = Database::new(
        Sort::Postgres,
        postgres.url.replace("postgres@", "reader_here:hunter2@"),
    );
    let sql = connect(
        &reader,
        "[contacts]\ntable = 'contacts'\n[contacts.columns]\nemail = 'contact.email'",
    );
    for result in sql.deliver(&many(2)).await {
        assert!(matches!(result.outcome, Outcome::Halt { .. }), "{result:?}");
        let (place, statements) = kept(&result);
        assert!(
            !place.contains("hunter2") && !place.contains("reader_here"),
            "{place}"
        );
        assert_eq!(
            verbs(&statements),
            [
                ("SELECT", "0 rows"),
                (
                    "INSERT",
                    "failed: permission denied for table contacts (SQLSTATE 42501)"
                )
            ]
        );
    }
    // Nothing was sent to a database that cannot be reached.
    let gone = connect(
        &Database::new(
            Sort::Postgres,
            "postgres://robin:hunter2@127.0.0.1:1/people".to_owned(),
        ),
        "contacts = { table = 'contacts' }",
    );
    assert_eq!(gone.deliver(&many(1)).await[0].request, None);
}
