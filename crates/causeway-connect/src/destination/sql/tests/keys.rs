//! A row is only changed by a contact with exactly the row's key, whatever the database's collation treats as
//! equal.

use super::on_each;

on_each!(
    a_violation_of_another_unique_index_rejects_and_changes_no_row,
    a_key_that_is_equal_only_to_the_database_is_rejected,
    ids_that_differ_in_case_are_different,
    a_number_is_no_key_unless_it_is_written_as_one,
    a_key_that_its_column_would_change_is_rejected,
);

mod check {
    use causeway_core::delivery::Delivery;
    use serde_json::json;

    use crate::destination::sql::tests::{
        all_delivered, bounced, connect,
        database::{Database, Sort},
        is_rejected, reason, signed,
    };

    pub(super) async fn a_violation_of_another_unique_index_rejects_and_changes_no_row(database: Database) {
        database.run(
            "CREATE TABLE contacts (email varchar(100) PRIMARY KEY, first_name varchar(20), phone varchar(20), \
             subscribed boolean, CONSTRAINT one_phone UNIQUE (phone))",
        );
        database.run(
            "CREATE TABLE actions (action_id varchar(20) PRIMARY KEY, email varchar(100), \
             CONSTRAINT one_action UNIQUE (email))",
        );
        let sql = connect(
            &database,
            "[contacts]\ntable = 'contacts'\n[contacts.columns]\nemail = 'contact.email'\n\
             first_name = 'contact.firstName'\nphone = 'contact.phone'\nsubscribed = 'consent.email.subscribed'\n\
             [actions]\ntable = 'actions'\nkey = ['action_id']\n[actions.columns]\naction_id = 'action.id'\n\
             email = 'contact.email'",
        );
        let ann = json!({ "phone": "+49 30 1", "firstName": "Ann" });
        let bob = json!({ "phone": "+49 30 1", "firstName": "Bob" });
        let mut again = signed(1, &ann);
        again.record.action.as_mut().unwrap().external_id = "1b".to_owned();
        let results = sql
            .deliver(&[signed(1, &ann), bounced(1), signed(2, &bob), again])
            .await;
        all_delivered(&results[..2]);
        assert!(
            is_rejected(&results[2]) && is_rejected(&results[3]),
            "{results:?}"
        );
        let named = |text: &str, sqlite: &str| match database.sort {
            Sort::Sqlite => sqlite.to_owned(),
            _ => text.to_owned(),
        };
        assert!(
            reason(&results[2]).contains(&named("one_phone", "phone")),
            "{results:?}"
        );
        assert!(
            reason(&results[3]).contains(&named("one_action", "email")),
            "{results:?}"
        );
        assert_eq!(
            database.run("SELECT email, first_name FROM contacts"),
            "robin1@example.org|Ann"
        );
        assert_eq!(database.run("SELECT action_id FROM actions"), "1");
        // The contact's own row keeps its values.
        let results = sql.deliver(&[signed(2, &json!({})), signed(2, &bob)]).await;
        all_delivered(&results[..1]);
        assert!(is_rejected(&results[1]), "{results:?}");
    }

    fn of(number: usize, email: &str, id: &str) -> Delivery {
        signed(number, &json!({ "email": email, "crm": id }))
    }

    /// The type of a column in which the database treats different texts as equal.
    fn loose_text(database: &Database) -> &'static str {
        match database.sort {
            Sort::Postgres => {
                database.run(
                    "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level1', deterministic = false)",
                );
                "text COLLATE loose"
            }
            Sort::MariaDb => "varchar(50) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
            Sort::Sqlite => "TEXT COLLATE NOCASE",
        }
    }

    pub(super) async fn a_key_that_is_equal_only_to_the_database_is_rejected(database: Database) {
        let text = loose_text(&database);
        database.run(&format!(
            "CREATE TABLE people (email {text} NOT NULL PRIMARY KEY, first_name varchar(20))"
        ));
        let people = connect(
            &database,
            "[contacts]\ntable = 'people'\n[contacts.columns]\nemail = 'contact.email'\n\
             first_name = 'contact.crm'",
        );
        people.check().await.unwrap();
        assert!(
            people.remarks()[0].contains("compares loosely"),
            "{:?}",
            people.remarks()
        );
        all_delivered(&people.deliver(&[of(1, "Zoe@Example.org", "hand")]).await);
        // The case of an address has no meaning; an accent has.
        all_delivered(
            &people
                .deliver(&[
                    of(1, "zoe@example.org", "first"),
                    of(2, "zoé@example.net", "other"),
                ])
                .await,
        );
        assert_eq!(
            database.run("SELECT first_name FROM people ORDER BY first_name"),
            "first\nother"
        );
        if database.sort != Sort::Sqlite {
            let batch = [
                of(3, "zoé@example.org", "stranger"),
                of(4, "nina@example.org", "nina"),
            ];
            let results = people.deliver(&batch).await;
            assert!(is_rejected(&results[0]), "{results:?}");
            assert!(
                reason(&results[0]).contains("key column \"email\""),
                "{results:?}"
            );
            assert!(!reason(&results[0]).contains('@'), "{results:?}");
            all_delivered(&results[1..]);
            // Both are new, in one batch.
            let batch = [
                of(5, "renee@example.org", "one"),
                of(6, "renée@example.org", "two"),
            ];
            let results = people.deliver(&batch).await;
            let rejected = results.iter().filter(|result| is_rejected(result)).count();
            assert_eq!(rejected, 1, "{results:?}");
            assert_eq!(
                database.run("SELECT count(*) FROM people WHERE first_name IN ('one', 'two')"),
                "1"
            );
        }
    }

    pub(super) async fn ids_that_differ_in_case_are_different(database: Database) {
        let text = loose_text(&database);
        database.run(&format!(
            "CREATE TABLE members (crm {text} NOT NULL PRIMARY KEY, email varchar(50))"
        ));
        let members = connect(
            &database,
            "[contacts]\ntable = 'members'\nkey = ['crm']\n[contacts.columns]\ncrm = 'contact.crm'\n\
             email = 'contact.email'",
        );
        let batch = [of(1, "ann@example.org", "00Ax"), of(2, "bob@example.org", "00aX")];
        let results = members.deliver(&batch).await;
        assert_eq!(
            results.iter().filter(|result| is_rejected(result)).count(),
            1,
            "{results:?}"
        );
        assert_eq!(database.count("members"), 1);
        let stored = database.run("SELECT email FROM members");
        let results = members.deliver(&batch).await;
        assert_eq!(
            results.iter().filter(|result| is_rejected(result)).count(),
            1,
            "{results:?}"
        );
        assert_eq!(database.run("SELECT email FROM members"), stored);
    }

    pub(super) async fn a_number_is_no_key_unless_it_is_written_as_one(database: Database) {
        database.run("CREATE TABLE members (crm integer PRIMARY KEY, email varchar(50))");
        let sql = connect(
            &database,
            "[contacts]\ntable = 'members'\nkey = ['crm']\n[contacts.columns]\ncrm = 'contact.crm'\n\
             email = 'contact.email'",
        );
        let results = sql
            .deliver(&[
                of(1, "ann@example.org", "12"),
                of(2, "bob@example.org", "0012"),
                of(3, "cem@example.org", "12.0"),
                signed(4, &json!({ "crm": 13 })),
            ])
            .await;
        all_delivered(&[results[0].clone(), results[3].clone()]);
        assert!(
            is_rejected(&results[1]) && is_rejected(&results[2]),
            "{results:?}"
        );
        assert!(reason(&results[1]).contains("key column \"crm\""), "{results:?}");
        assert!(!reason(&results[1]).contains("12"), "{results:?}");
        assert_eq!(
            database.run("SELECT email FROM members WHERE crm = 12"),
            "ann@example.org"
        );
    }

    pub(super) async fn a_key_that_its_column_would_change_is_rejected(database: Database) {
        // The type, a key that fits, and others that the column would store as the same one.
        let decimal = ["12.50", "012.5", "-0", "12.504"];
        // SQLite keeps all digits, so the last one is another number there.
        let decimal = &decimal[..if database.sort == Sort::Sqlite { 3 } else { 4 }];
        let moment = &["2026-03-01T10:00:00.25Z"][..];
        let types = [
            ("decimal(10,2)", "12.5", decimal),
            ("date", "2026-03-01", &["2026-03-01T10:00:00Z", "2026-03-01 "][..]),
            match database.sort {
                Sort::Postgres => ("timestamp(0)", "2026-03-01T10:00:00Z", moment),
                Sort::MariaDb => ("datetime", "2026-03-01T10:00:00Z", moment),
                // A column of this type has the affinity NUMERIC.
                Sort::Sqlite => ("STRING", "12", &["0012", "12.0", "1.2e1"][..]),
            },
        ];
        for (number, (column, own, others)) in types.into_iter().enumerate() {
            let table = format!("members{number}");
            database.run(&format!(
                "CREATE TABLE {table} (crm {column} PRIMARY KEY, email varchar(50))"
            ));
            let sql = connect(
                &database,
                &format!(
                    "[contacts]\ntable = '{table}'\nkey = ['crm']\n[contacts.columns]\ncrm = 'contact.crm'\n\
                     email = 'contact.email'"
                ),
            );
            let mut batch = vec![of(1, "ann@example.org", own)];
            batch.extend(others.iter().map(|other| of(2, "bob@example.org", other)));
            for _ in 0..2 {
                let results = sql.deliver(&batch).await;
                all_delivered(&results[..1]);
                for result in &results[1..] {
                    assert!(is_rejected(result), "{column}: {results:?}");
                    assert!(reason(result).contains("key column \"crm\""), "{results:?}");
                }
            }
            assert_eq!(
                database.run(&format!("SELECT email FROM {table}")),
                "ann@example.org",
                "{column}"
            );
            // A key that the column would change is not stored for the first time, either.
            let results = sql.deliver(&[of(3, "cem@example.org", others[0])]).await;
            assert!(is_rejected(&results[0]), "{results:?}");
        }
    }
}

#[tokio::test]
async fn citext_is_compared_as_text_and_names_itself() {
    use super::{all_delivered, connect, database::Database, signed};
    use serde_json::json;
    let database = Database::postgres();
    database.run(
        "CREATE SCHEMA extra; CREATE EXTENSION citext SCHEMA extra; \
         CREATE TABLE contacts (email extra.citext PRIMARY KEY, first_name text); \
         INSERT INTO contacts VALUES ('Robin1@Example.org', 'Old')",
    );
    let sql = connect(
        &database,
        "[contacts]\ntable = 'contacts'\n[contacts.columns]\nemail = 'contact.email'\n\
         first_name = 'contact.firstName'",
    );
    sql.check().await.unwrap();
    assert!(sql.remarks()[0].contains("citext"), "{:?}", sql.remarks());
    all_delivered(&sql.deliver(&[signed(1, &json!({}))]).await);
    assert_eq!(
        database.run("SELECT email, first_name FROM contacts"),
        "Robin1@Example.org|Robin"
    );
}
