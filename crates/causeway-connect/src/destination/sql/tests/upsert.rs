//! What an ordinary record leaves out and empties, and what the database leaves out.

use super::on_each;

on_each!(
    an_unknown_value_takes_the_default_and_keeps_an_existing_value,
    a_field_that_was_cleared_empties_its_column,
    a_row_that_the_database_leaves_out_is_not_delivered,
    rows_are_written_through_a_view,
);

mod check {
    use serde_json::{Value, json};

    use crate::destination::sql::tests::{
        all_delivered, connect,
        database::{Database, Sort},
        is_rejected, reason, signed,
    };

    const COLUMNS: &str = "[contacts]\ntable = 'contacts'\n[contacts.columns]\nemail = 'contact.email'\n\
         first_name = 'contact.firstName'\nphone = 'contact.phone'\nsubscribed = 'consent.email.subscribed'";
    const TABLE: &str = "CREATE TABLE contacts (email varchar(100) PRIMARY KEY, \
         first_name varchar(20) NOT NULL DEFAULT 'friend', phone varchar(20), subscribed boolean)";

    pub(super) async fn an_unknown_value_takes_the_default_and_keeps_an_existing_value(database: Database) {
        database.run(TABLE);
        let sql = connect(&database, COLUMNS);
        let unnamed = json!({ "firstName": null });
        let results = sql
            .deliver(&[
                signed(1, &unnamed),
                signed(2, &json!({ "phone": "030" })),
                signed(2, &unnamed),
                signed(3, &json!({})),
            ])
            .await;
        all_delivered(&results);
        assert_eq!(
            database.run("SELECT email, first_name, coalesce(phone, '-') FROM contacts ORDER BY email"),
            "robin1@example.org|friend|-\nrobin2@example.org|Robin|030\nrobin3@example.org|Robin|-"
        );
        // Without a default a new row is rejected, and an existing row is updated.
        database.run("DROP TABLE contacts");
        database.run(&TABLE.replace(" DEFAULT 'friend'", ""));
        all_delivered(&sql.deliver(&[signed(1, &json!({}))]).await);
        let results = sql
            .deliver(&[
                signed(1, &json!({ "firstName": null, "phone": "040" })),
                signed(2, &unnamed),
            ])
            .await;
        all_delivered(&results[..1]);
        assert!(is_rejected(&results[1]), "{results:?}");
        assert!(
            reason(&results[1]).contains("\"first_name\" must have a value"),
            "{results:?}"
        );
        assert_eq!(
            database.run("SELECT email, first_name, phone FROM contacts"),
            "robin1@example.org|Robin|040"
        );
    }

    pub(super) async fn a_field_that_was_cleared_empties_its_column(database: Database) {
        database.run(TABLE);
        let sql = connect(&database, COLUMNS);
        all_delivered(&sql.deliver(&[signed(1, &json!({ "phone": "030" }))]).await);
        let mut cleared = signed(1, &json!({ "phone": "x" }));
        cleared.record.contact.fields.get_mut("phone").unwrap().value = Value::Null;
        all_delivered(&sql.deliver(&[cleared]).await);
        assert_eq!(
            database.run("SELECT first_name, coalesce(phone, '-') FROM contacts"),
            "Robin|-"
        );
    }

    pub(super) async fn a_row_that_the_database_leaves_out_is_not_delivered(database: Database) {
        database.run(TABLE);
        let on = |what: &str| match database.sort {
            Sort::Postgres => format!(
                "CREATE OR REPLACE FUNCTION nothing() RETURNS trigger AS $$ BEGIN \
                 IF new.email LIKE 'robin2@%' THEN RETURN NULL; END IF; RETURN new; END $$ LANGUAGE plpgsql; \
                 CREATE TRIGGER t_{what} BEFORE {what} ON contacts FOR EACH ROW EXECUTE FUNCTION nothing()"
            ),
            Sort::Sqlite => format!(
                "CREATE TRIGGER t_{what} BEFORE {what} ON contacts WHEN new.email LIKE 'robin2@%' \
                 BEGIN SELECT RAISE(IGNORE); END"
            ),
            // Its triggers can reject a row, but not leave it out.
            Sort::MariaDb => String::new(),
        };
        if database.sort == Sort::MariaDb {
            return;
        }
        let sql = connect(&database, COLUMNS);
        all_delivered(&sql.deliver(&[signed(3, &json!({}))]).await);
        let batch = [
            signed(1, &json!({})),
            signed(2, &json!({})),
            signed(3, &json!({})),
        ];
        database.run(&on("INSERT"));
        let results = sql.deliver(&batch).await;
        all_delivered(&[results[0].clone(), results[2].clone()]);
        assert!(is_rejected(&results[1]), "{results:?}");
        assert!(reason(&results[1]).contains("a trigger"), "{results:?}");
        assert_eq!(database.count("contacts"), 2);
        database.run("INSERT INTO contacts (email, subscribed) SELECT 'robin4@example.org', true");
        database.run("UPDATE contacts SET email = 'robin2@example.org' WHERE email = 'robin4@example.org'");
        database.run(&on("UPDATE"));
        let results = sql.deliver(&batch).await;
        all_delivered(&[results[0].clone(), results[2].clone()]);
        assert!(is_rejected(&results[1]), "{results:?}");
    }

    pub(super) async fn rows_are_written_through_a_view(database: Database) {
        database.run(&TABLE.replace("contacts", "people"));
        database.run("CREATE VIEW contacts AS SELECT email, first_name, phone, subscribed FROM people");
        if database.sort == Sort::Sqlite {
            database.run(
                "CREATE TRIGGER i INSTEAD OF INSERT ON contacts BEGIN \
                 INSERT INTO people VALUES (new.email, new.first_name, new.phone, new.subscribed); END",
            );
            database.run(
                "CREATE TRIGGER u INSTEAD OF UPDATE ON contacts BEGIN \
                 UPDATE people SET first_name = new.first_name, phone = new.phone WHERE email = new.email; END",
            );
            database.run(
                "CREATE TRIGGER d INSTEAD OF DELETE ON contacts BEGIN \
                 DELETE FROM people WHERE email = old.email; END",
            );
        }
        let sql = connect(&database, COLUMNS);
        sql.check().await.unwrap();
        let remarks = sql.remarks();
        assert!(
            remarks.iter().any(|remark| remark.contains("is a view")),
            "{remarks:?}"
        );
        let named = |name: &str| signed(1, &json!({ "firstName": name }));
        all_delivered(
            &sql.deliver(&[named("First"), signed(2, &json!({})), named("Second")])
                .await,
        );
        assert_eq!(
            database.run("SELECT first_name FROM people ORDER BY email"),
            "Second\nRobin"
        );
        all_delivered(&sql.deliver(&[super::super::erased(2)]).await);
        assert_eq!(database.count("people"), 1);
    }
}

#[tokio::test]
async fn a_rule_of_postgres_that_does_nothing_instead_is_noticed() {
    use super::{all_delivered, connect, database::Database, is_rejected, signed};
    use serde_json::json;
    let database = Database::postgres();
    database.run(
        "CREATE TABLE contacts (email text PRIMARY KEY, subscribed boolean); \
         CREATE RULE r AS ON INSERT TO contacts WHERE new.email LIKE 'robin2@%' DO INSTEAD NOTHING",
    );
    let sql = connect(
        &database,
        "[contacts]\ntable = 'contacts'\n[contacts.columns]\nemail = 'contact.email'\n\
         subscribed = 'consent.email.subscribed'",
    );
    let batch = [
        signed(1, &json!({})),
        signed(2, &json!({})),
        signed(3, &json!({})),
    ];
    for _ in 0..2 {
        let results = sql.deliver(&batch).await;
        all_delivered(&[results[0].clone(), results[2].clone()]);
        assert!(is_rejected(&results[1]), "{results:?}");
    }
    assert_eq!(database.count("contacts"), 2);
}

#[tokio::test]
async fn postgres_names_the_column_of_a_value_that_it_cannot_read() {
    use super::{all_delivered, connect, database::Database, reason, signed};
    use serde_json::json;
    let database = Database::postgres();
    database.run(
        "CREATE TYPE mood AS ENUM ('glad', 'sad'); \
         CREATE TABLE contacts (email text PRIMARY KEY, mood mood, amount numeric(5,2), ip inet, hour time, \
         numbers integer[])",
    );
    let sql = connect(
        &database,
        "[contacts]\ntable = 'contacts'\n[contacts.columns]\nemail = 'contact.email'\n\
         mood = 'contact.mood | default(none)'\namount = 'contact.amount | default(none)'\n\
         ip = 'contact.ip | default(none)'\nhour = 'contact.hour | default(none)'\n\
         numbers = 'contact.numbers | default(none)'",
    );
    for (column, value) in [
        ("mood", json!("secret")),
        ("amount", json!("999.999")),
        ("ip", json!("secret")),
        ("hour", json!("secret")),
        ("numbers", json!(["secret"])),
    ] {
        let results = sql
            .deliver(&[signed(1, &json!({})), signed(2, &json!({ column: value }))])
            .await;
        all_delivered(&results[..1]);
        let reason = reason(&results[1]);
        assert!(reason.starts_with(&format!("column \"{column}\" (")), "{reason}");
        assert!(!reason.contains("secret"), "{reason}");
    }
}

#[tokio::test]
async fn a_row_that_row_security_refuses_is_rejected_alone() {
    use super::{all_delivered, connect, database::Database, is_rejected, signed};
    use serde_json::json;
    let owner = Database::postgres();
    owner.run(
        "CREATE ROLE guarded_writer LOGIN; \
         CREATE TABLE contacts (email text PRIMARY KEY, subscribed boolean); \
         ALTER TABLE contacts ENABLE ROW LEVEL SECURITY; \
         CREATE POLICY p ON contacts USING (true) WITH CHECK (email NOT LIKE 'robin2@%'); \
         GRANT ALL ON contacts TO guarded_writer",
    );
    let writer = Database::new(owner.sort, owner.url.replace("postgres@", "guarded_writer@"));
    let sql = connect(
        &writer,
        "[contacts]\ntable = 'contacts'\n[contacts.columns]\nemail = 'contact.email'\n\
         subscribed = 'consent.email.subscribed'",
    );
    sql.check().await.unwrap();
    assert!(
        sql.remarks().iter().any(|remark| remark.contains("row security")),
        "{:?}",
        sql.remarks()
    );
    let results = sql
        .deliver(&[
            signed(1, &json!({})),
            signed(2, &json!({})),
            signed(3, &json!({})),
        ])
        .await;
    all_delivered(&[results[0].clone(), results[2].clone()]);
    assert!(is_rejected(&results[1]), "{results:?}");
    owner.run("DROP OWNED BY guarded_writer; DROP ROLE guarded_writer");
}

#[tokio::test]
async fn a_replaced_file_is_noticed_also_with_a_write_ahead_log() {
    use super::{all_delivered, connect, create, database::Database, many, reason};
    use causeway_core::destination::Outcome;
    let database = Database::sqlite();
    database.run("PRAGMA journal_mode = WAL");
    let config = "contacts = { table = 'contacts' }";
    create(&database, config).await;
    let sql = connect(&database, config);
    all_delivered(&sql.deliver(&many(2)).await);
    let file = database.file();
    let move_away = |to: &str| {
        for end in ["", "-wal", "-shm"] {
            let name = |base: &str| file.with_file_name(format!("{base}{end}"));
            std::fs::rename(name("people.db"), name(to)).ok();
        }
    };
    move_away("old.db");
    let results = sql.deliver(&many(3)).await;
    assert!(matches!(results[0].outcome, Outcome::Halt { .. }), "{results:?}");
    assert!(
        reason(&results[0]).contains("there is no database"),
        "{results:?}"
    );
    create(&database, config).await;
    all_delivered(&sql.deliver(&many(3)).await);
    assert_eq!(database.count("contacts"), 3);
}
