//! Tests that run on every database.

use super::on_each;

on_each!(
    keeps_the_destination_contract,
    a_duplicate_makes_no_second_row,
    one_bad_row_among_500_is_rejected_alone,
    a_missing_table_halts_until_it_exists,
    a_missing_column_or_index_is_named,
    a_cut_connection_is_replaced,
    concurrent_batches_lose_nothing,
    text_arrives_unchanged,
    ten_thousand_rows_arrive,
    a_delivery_that_is_cut_off_leaves_no_open_transaction,
    rows_of_one_contact_keep_their_order,
    a_check_changes_nothing,
);

mod check {
    use causeway_testkit::destination_contract::{self, Faults};
    use serde_json::json;

    use crate::destination::sql::{
        config,
        link::Link,
        tests::{
            Outcome, all_delivered, bounced, connect, create,
            database::{Database, Sort},
            many, reason, signed, table,
        },
    };

    const BOTH: &str = "contacts = { table = 'contacts' }\nactions = { table = 'actions' }";

    pub(super) async fn keeps_the_destination_contract(database: Database) {
        create(&database, BOTH).await;
        let works = connect(&database, BOTH);
        destination_contract::run_local(Faults::none(works, 20)).await;
    }

    pub(super) async fn a_duplicate_makes_no_second_row(database: Database) {
        create(&database, BOTH).await;
        create(&database, BOTH).await;
        let sql = connect(&database, BOTH);
        sql.check().await.unwrap();
        let batch = many(20);
        for _ in 0..2 {
            all_delivered(&sql.deliver(&batch).await);
        }
        assert_eq!((database.count("contacts"), database.count("actions")), (20, 20));
        let row =
            "SELECT email, first_name, subscribed, consent FROM contacts WHERE email = 'robin7@example.org'";
        assert_eq!(
            database.run(row),
            format!("robin7@example.org|Robin|{}|opted_in", database.boolean(true))
        );
        // The name that is no longer known stays; the consent changes.
        all_delivered(&sql.deliver(&[bounced(7)]).await);
        assert_eq!(
            database.run(row),
            format!("robin7@example.org|Robin|{}|suppressed", database.boolean(false))
        );
        assert_eq!((database.count("contacts"), database.count("actions")), (20, 20));
    }

    pub(super) async fn one_bad_row_among_500_is_rejected_alone(database: Database) {
        database.run(
            "CREATE TABLE contacts (email varchar(100) PRIMARY KEY, name varchar(20), country varchar(5), \
             CONSTRAINT no_badness CHECK (name <> 'Secretbad'))",
        );
        let sql = connect(
            &database,
            "[contacts]\ntable = 'contacts'\n[contacts.columns]\nemail = 'contact.email'\n\
             name = 'contact.firstName'\ncountry = 'contact.country'",
        );
        let mut batch = many(500);
        batch[123] = signed(123, &json!({ "firstName": "Secretbad" }));
        batch[200] = signed(200, &json!({ "country": "Secretland" }));
        batch[201] = signed(201, &json!({ "email": null }));
        let results = sql.deliver(&batch).await;
        assert!(reason(&results[123]).contains("no_badness"), "{:?}", results[123]);
        assert!(
            reason(&results[200]).contains("country") && reason(&results[200]).contains("the limit is 5"),
            "{:?}",
            results[200]
        );
        assert!(reason(&results[201]).contains("email"), "{:?}", results[201]);
        for (at, result) in results.iter().enumerate() {
            let bad = matches!(at, 123 | 200 | 201);
            assert_eq!(
                matches!(result.outcome, Outcome::Reject { .. }),
                bad,
                "{at} {result:?}"
            );
            assert!(!reason(result).contains("Secret") && !reason(result).contains("robin"));
        }
        assert_eq!(database.count("contacts"), 497);
        // The connection still works.
        all_delivered(&sql.deliver(&many(3)).await);
        assert_eq!(database.count("contacts"), 497);
    }

    pub(super) async fn a_missing_table_halts_until_it_exists(database: Database) {
        let sql = connect(&database, BOTH);
        for _ in 0..2 {
            let results = sql.deliver(&many(2)).await;
            assert!(matches!(results[0].outcome, Outcome::Halt { .. }), "{results:?}");
            assert!(reason(&results[1]).contains("causeway destination create people"));
        }
        let refused = sql.check().await.unwrap_err().to_string();
        assert!(refused.contains("there is no table contacts"), "{refused}");
        create(&database, BOTH).await;
        all_delivered(&sql.deliver(&many(2)).await);
        // Dropped while the destination runs; the statement finds out.
        database.run("DROP TABLE actions");
        let results = sql.deliver(&many(2)).await;
        assert!(matches!(results[0].outcome, Outcome::Halt { .. }), "{results:?}");
        create(&database, BOTH).await;
        all_delivered(&sql.deliver(&many(2)).await);
        assert_eq!(database.count("actions"), 2);
    }

    pub(super) async fn a_missing_column_or_index_is_named(database: Database) {
        database.run("CREATE TABLE contacts (email varchar(100), name varchar(4))");
        let config = "[contacts]\ntable = 'contacts'\n[contacts.columns]\nemail = 'contact.email'\n\
                      name = 'contact.firstName'\nphone_number = 'contact.phone'";
        let sql = connect(&database, config);
        let results = sql.deliver(&many(1)).await;
        assert!(reason(&results[0]).contains("phone_number"), "{results:?}");
        database.run("ALTER TABLE contacts ADD COLUMN phone_number varchar(20)");
        let results = sql.deliver(&many(1)).await;
        assert!(reason(&results[0]).contains("CREATE UNIQUE INDEX"), "{results:?}");
        assert_eq!(database.count("contacts"), 0);
        database.run("CREATE UNIQUE INDEX contacts_email ON contacts (email)");
        let results = sql.deliver(&many(1)).await;
        assert!(
            matches!(results[0].outcome, Outcome::Reject { .. }),
            "{results:?}"
        );
        // A column that is widened while the destination runs is noticed.
        if database.sort != Sort::Sqlite {
            database.run(match database.sort {
                Sort::Postgres => "ALTER TABLE contacts ALTER COLUMN name TYPE varchar(50)",
                _ => "ALTER TABLE contacts MODIFY COLUMN name varchar(50)",
            });
            all_delivered(&sql.deliver(&many(1)).await);
        }
    }

    pub(super) async fn a_cut_connection_is_replaced(database: Database) {
        create(&database, BOTH).await;
        let sql = connect(&database, BOTH);
        for round in 1..4 {
            all_delivered(&sql.deliver(&many(round)).await);
            match database.sort {
                Sort::Postgres => {
                    database.run(
                        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
                         WHERE datname = current_database() AND pid <> pg_backend_pid()",
                    );
                }
                Sort::MariaDb => {
                    let ids = database.run(
                        "SELECT id FROM information_schema.processlist \
                         WHERE db = DATABASE() AND id <> CONNECTION_ID()",
                    );
                    for id in ids.lines() {
                        database.run(&format!("KILL {id}"));
                    }
                }
                Sort::Sqlite => {}
            }
        }
        all_delivered(&sql.deliver(&many(5)).await);
        assert_eq!(database.count("contacts"), 5);
    }

    pub(super) async fn concurrent_batches_lose_nothing(database: Database) {
        create(&database, BOTH).await;
        let sql = connect(&database, BOTH);
        let batches: Vec<_> = (0..8)
            .map(|batch: usize| {
                // Half of each batch is also in the next one, and every second batch runs backwards.
                let numbers = batch * 100..batch * 100 + 200;
                let mut rows: Vec<_> = numbers.map(|number| signed(number, &json!({}))).collect();
                if batch.is_multiple_of(2) {
                    rows.reverse();
                }
                rows
            })
            .collect();
        for four in batches.chunks(4) {
            let [a, b, c, d] = four else {
                panic!("four at once")
            };
            let (a, b, c, d) = tokio::join!(sql.deliver(a), sql.deliver(b), sql.deliver(c), sql.deliver(d));
            for results in [a, b, c, d] {
                all_delivered(&results);
            }
        }
        assert_eq!(
            (database.count("contacts"), database.count("actions")),
            (900, 900)
        );
    }

    pub(super) async fn text_arrives_unchanged(database: Database) {
        // Names that would break out of their quotes if these were not doubled.
        let config = r#"
            [contacts]
            table = 'sup"port`ers; drop'
            [contacts.columns]
            email = 'contact.email'
            'na"me`' = 'contact.firstName'
            origin = "=it's"
        "#;
        create(&database, config).await;
        let sql = connect(&database, config);
        sql.check().await.unwrap();
        let name = "O'Neil \"Bob\"\\\n`DROP TABLE x;--` {a,NULL} žluť 🌍 end";
        all_delivered(
            &sql.deliver(&[signed(1, &json!({ "firstName": format!("{name}\0") }))])
                .await,
        );
        let (column, table, hex) = match database.sort {
            Sort::Postgres => (
                r#""na""me`""#,
                r#""sup""port`ers; drop""#,
                "encode(convert_to(#, 'UTF8'), 'hex')",
            ),
            Sort::MariaDb => (r#"`na"me```"#, r#"`sup"port``ers; drop`"#, "lower(hex(#))"),
            Sort::Sqlite => (r#""na""me`""#, r#""sup""port`ers; drop""#, "lower(hex(#))"),
        };
        let hex = hex.replace('#', column);
        let found = database.run(&format!("SELECT {hex}, origin FROM {table}"));
        let expected = data_encoding::HEXLOWER.encode(name.as_bytes());
        assert_eq!(found, format!("{expected}|it's"));
    }

    #[expect(clippy::print_stdout, reason = "the time is shown with --nocapture")]
    pub(super) async fn ten_thousand_rows_arrive(database: Database) {
        create(&database, BOTH).await;
        let sql = connect(&database, BOTH);
        let batch = many(10_000);
        let start = std::time::Instant::now();
        for batch in batch.chunks(500) {
            all_delivered(&sql.deliver(batch).await);
        }
        println!(
            "{:?}: 10 000 contacts and actions in {:?}",
            database.sort,
            start.elapsed()
        );
        assert_eq!(
            (database.count("contacts"), database.count("actions")),
            (10_000, 10_000)
        );
    }

    pub(super) async fn a_delivery_that_is_cut_off_leaves_no_open_transaction(database: Database) {
        create(&database, BOTH).await;
        let sql = connect(&database, BOTH);
        all_delivered(&sql.deliver(&many(10)).await);

        // Another connection holds the row.
        let mut config = table(BOTH);
        config.insert("url".to_owned(), database.url.clone().into());
        let settings = config::settings(&database.context, &config).unwrap();
        let mut other = Link::connect(&settings.target, false).await.unwrap();
        other.begin().await.unwrap();
        other
            .run("UPDATE contacts SET first_name = 'Somebody' WHERE email = 'robin9@example.org'")
            .await
            .unwrap();

        let wait = std::time::Duration::from_millis(300);
        let mut batch = many(20);
        batch.reverse();
        assert!(tokio::time::timeout(wait, sql.deliver(&batch)).await.is_err());
        other.run("COMMIT").await.unwrap();
        all_delivered(&sql.deliver(&many(15)).await);
        let name = "SELECT first_name FROM contacts WHERE email = 'robin9@example.org'";
        assert_eq!(database.run(name), "Robin");
        // Nothing of the batch that was cut off.
        assert_eq!((database.count("contacts"), database.count("actions")), (15, 15));
    }

    pub(super) async fn rows_of_one_contact_keep_their_order(database: Database) {
        create(&database, BOTH).await;
        let sql = connect(&database, BOTH);
        let named = |name: &str| signed(1, &json!({ "firstName": name }));
        let batch = [
            named("First"),
            signed(2, &json!({})),
            named("Second"),
            bounced(1),
            named("Third"),
            bounced(1),
        ];
        all_delivered(&sql.deliver(&batch).await);
        let row = "SELECT first_name, consent FROM contacts WHERE email = 'robin1@example.org'";
        assert_eq!(database.run(row), "Third|suppressed");
        assert_eq!((database.count("contacts"), database.count("actions")), (2, 2));
    }

    pub(super) async fn a_check_changes_nothing(database: Database) {
        create(&database, BOTH).await;
        let sql = connect(&database, BOTH);
        sql.check().await.unwrap();
        assert_eq!((database.count("contacts"), database.count("actions")), (0, 0));
    }
}
