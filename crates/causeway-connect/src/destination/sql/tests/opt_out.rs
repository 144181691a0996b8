//! An opt-out reaches the row, whatever else is wrong with the record, the mapping or the table.

use super::on_each;

on_each!(
    a_withdrawal_changes_the_row_and_never_makes_one,
    a_mapping_that_fails_leaves_its_column_unchanged,
    a_value_that_the_database_refuses_leaves_its_column_unchanged,
    an_opt_out_of_a_kept_contact_sets_the_known_values,
    without_consent_columns_an_opt_out_is_skipped,
    an_opt_out_that_is_written_in_part_is_rejected,
    a_consent_column_that_refuses_its_value_leaves_the_others,
    a_row_whose_consent_columns_all_refuse_the_opt_out_stays_unchanged,
    a_row_that_is_never_updated_still_takes_an_opt_out,
    an_action_that_cannot_be_stored_does_not_block_the_opt_out,
    a_row_with_another_address_of_the_contact_stays_unchanged,
);

mod check {
    use causeway_core::{
        consent::{Change, ConsentState},
        contact::Identity,
        delivery::{Delivery, Kind},
    };
    use serde_json::{Value, json};

    use crate::destination::sql::tests::{
        all_delivered, bounced, connect,
        database::{Database, Sort},
        is_rejected, is_skipped, reason, signed,
    };

    const COLUMNS: &str = "
        [contacts]
        table = 'contacts'
        [contacts.columns]
        email = 'contact.email'
        first_name = 'contact.firstName'
        born = 'contact.born | default(none)'
        code = 'contact.code | default(none)'
        subscribed = 'consent.email.subscribed'
    ";

    const TABLE: &str = "CREATE TABLE contacts (email varchar(100) PRIMARY KEY, \
         first_name varchar(20) NOT NULL CHECK (first_name <> 'Bad'), born date, code varchar(5), subscribed boolean)";

    const ROW: &str = "INSERT INTO contacts VALUES ('robin1@example.org', 'Robin', '1990-02-03', 'A1', true)";

    /// A contact that stays in the table and took the consent back.
    fn unsubscribed(number: usize, fields: &Value) -> Delivery {
        let mut delivery = signed(number, fields);
        let record = &mut delivery.record;
        record.kind = Kind::Contact;
        record.change = Change::Unsubscribe;
        record.action = None;
        let since = record.event_at;
        record
            .consent_state
            .insert("email".to_owned(), ConsentState::Unsubscribed { since });
        delivery
    }

    fn with(mut delivery: Delivery, fields: &Value) -> Delivery {
        let at = delivery.record.event_at;
        for (name, value) in fields.as_object().unwrap() {
            let mut field = signed(1, &json!({})).record.contact.fields["email"].clone();
            (field.value, field.at) = (value.clone(), at);
            delivery.record.contact.fields.insert(name.clone(), field);
        }
        delivery
    }

    pub(super) async fn a_withdrawal_changes_the_row_and_never_makes_one(database: Database) {
        database.run(TABLE);
        database.run(ROW);
        let sql = connect(&database, COLUMNS);
        // The address may be a former one of this person, and somebody else's by now.
        let stranger = json!({ "firstName": "Ada", "born": "in secret", "code": "Z9" });
        let results = sql
            .deliver(&[with(bounced(1), &stranger), bounced(2), signed(3, &json!({}))])
            .await;
        all_delivered(&[results[0].clone(), results[2].clone()]);
        assert_eq!(results[0].excerpt, None);
        assert!(is_skipped(&results[1]), "{results:?}");
        assert!(reason(&results[1]).contains("no row"), "{results:?}");
        assert_eq!(
            database.run("SELECT * FROM contacts ORDER BY email"),
            format!(
                "robin1@example.org|Robin|1990-02-03|A1|{}\nrobin3@example.org|Robin|{}||{}",
                database.boolean(false),
                if database.sort == Sort::MariaDb {
                    "NULL"
                } else {
                    ""
                },
                database.boolean(true)
            )
            .replace(
                "||",
                if database.sort == Sort::MariaDb {
                    "|NULL|"
                } else {
                    "||"
                }
            )
        );
    }

    pub(super) async fn a_mapping_that_fails_leaves_its_column_unchanged(database: Database) {
        database.run(
            "CREATE TABLE contacts (email varchar(100) PRIMARY KEY, phone varchar(50), amount integer, \
             age integer, subscribed boolean)",
        );
        database.run("INSERT INTO contacts VALUES ('robin1@example.org', '+49 30 1', 5, 30, true)");
        let sql = connect(
            &database,
            "[contacts]\ntable = 'contacts'\n[contacts.columns]\nemail = 'contact.email'\n\
             phone = \"contact.phone | phone('DE')\"\namount = 'action.donation.amount / 100'\n\
             age = 'contact.age | int'\nsubscribed = 'consent.email.subscribed'",
        );
        let fields = json!({ "phone": "see secret", "age": "secret" });
        let results = sql.deliver(&[with(unsubscribed(1, &json!({})), &fields)]).await;
        all_delivered(&results);
        assert!(!results[0].excerpt.as_deref().unwrap().contains("secret"));
        assert_eq!(
            database.run("SELECT * FROM contacts"),
            format!("robin1@example.org|+49 30 1|5|30|{}", database.boolean(false))
        );
        let results = sql.deliver(&[with(signed(1, &json!({})), &fields)]).await;
        assert!(is_rejected(&results[0]), "{results:?}");
    }

    pub(super) async fn a_value_that_the_database_refuses_leaves_its_column_unchanged(database: Database) {
        database.run(TABLE);
        database.run(ROW);
        let sql = connect(&database, COLUMNS);
        // Several rows, so that the batch is halved, too.
        let mut batch: Vec<Delivery> = (2..6).map(|number| signed(number, &json!({}))).collect();
        let fields = json!({ "firstName": "Bad", "code": "B2" });
        batch.insert(2, with(unsubscribed(1, &json!({})), &fields));
        let results = sql.deliver(&batch).await;
        all_delivered(&results);
        let note = results[2].excerpt.as_deref().unwrap();
        assert!(note.contains("first_name"), "{note}");
        assert_eq!(
            database
                .run("SELECT first_name, code, subscribed FROM contacts WHERE email = 'robin1@example.org'"),
            format!("Robin|B2|{}", database.boolean(false))
        );
        // An ordinary record is written whole or not at all.
        let results = sql.deliver(&[signed(1, &json!({ "firstName": "Bad" }))]).await;
        assert!(is_rejected(&results[0]), "{results:?}");
        assert_eq!(
            database.run("SELECT subscribed FROM contacts WHERE email = 'robin1@example.org'"),
            database.boolean(false)
        );
    }

    pub(super) async fn an_opt_out_of_a_kept_contact_sets_the_known_values(database: Database) {
        database.run(TABLE);
        database.run(ROW);
        let sql = connect(&database, COLUMNS);
        let unnamed = json!({ "firstName": null, "code": "much too long" });
        let results = sql
            .deliver(&[
                unsubscribed(1, &unnamed),
                unsubscribed(2, &json!({ "code": "much too long" })),
                unsubscribed(3, &unnamed),
            ])
            .await;
        all_delivered(&results[..2]);
        // There is no row to change, and none can be made.
        assert!(is_rejected(&results[2]), "{results:?}");
        assert!(reason(&results[2]).contains("first_name"), "{results:?}");
        assert_eq!(
            database.run("SELECT email, first_name, subscribed FROM contacts ORDER BY email"),
            format!(
                "robin1@example.org|Robin|{0}\nrobin2@example.org|Robin|{0}",
                database.boolean(false)
            )
        );
    }

    pub(super) async fn without_consent_columns_an_opt_out_is_skipped(database: Database) {
        database.run("CREATE TABLE contacts (email varchar(100) PRIMARY KEY, first_name varchar(20))");
        let sql = connect(
            &database,
            "[contacts]\ntable = 'contacts'\n[contacts.columns]\nemail = 'contact.email'\n\
             first_name = 'contact.firstName'",
        );
        all_delivered(&sql.deliver(&[signed(1, &json!({}))]).await);
        let results = sql.deliver(&[bounced(1)]).await;
        assert!(is_skipped(&results[0]), "{results:?}");
        assert!(reason(&results[0]).contains("by hand"), "{results:?}");
    }

    pub(super) async fn an_opt_out_that_is_written_in_part_is_rejected(database: Database) {
        database.run(
            "CREATE TABLE contacts (email varchar(100) PRIMARY KEY, status varchar(5), subscribed boolean)",
        );
        database.run("INSERT INTO contacts VALUES ('robin1@example.org', 'in', true)");
        let sql = connect(
            &database,
            "[contacts]\ntable = 'contacts'\n[contacts.columns]\nemail = 'contact.email'\n\
             status = 'consent.email.state'\nsubscribed = 'consent.email.subscribed'",
        );
        let results = sql.deliver(&[bounced(1)]).await;
        assert!(is_rejected(&results[0]), "{results:?}");
        assert!(reason(&results[0]).contains("\"status\""), "{results:?}");
        assert_eq!(
            database.run("SELECT status, subscribed FROM contacts"),
            format!("in|{}", database.boolean(false))
        );
        // The default of the column may be an opt-in.
        let results = sql.deliver(&[unsubscribed(2, &json!({}))]).await;
        assert!(is_rejected(&results[0]), "{results:?}");
        assert!(!reason(&results[0]).contains("everything else"), "{results:?}");
        assert_eq!(database.count("contacts"), 1);
    }

    /// Checks over one column and over two, and the lists of values that some databases have as types.
    pub(super) async fn a_consent_column_that_refuses_its_value_leaves_the_others(database: Database) {
        let states = "('opted_in','not_subscribed')";
        let of_one = format!("state varchar(40), CHECK (state IN {states})");
        let mut tables = vec![
            (of_one.clone(), vec!["state"]),
            (
                format!("{of_one}, CHECK (word IN ('none', 'subscribe'))"),
                vec!["state", "word"],
            ),
        ];
        match database.sort {
            Sort::Postgres => {
                database.run(&format!("CREATE TYPE states AS ENUM {states}"));
                tables.push(("state states".to_owned(), vec!["state"]));
            }
            Sort::MariaDb => tables.push((format!("state enum {states}"), vec!["state"])),
            Sort::Sqlite => {}
        }
        for (number, (state, refused)) in tables.into_iter().enumerate() {
            let table = format!("contacts{number}");
            database.run(&format!(
                "CREATE TABLE {table} (email varchar(100) PRIMARY KEY, first_name varchar(20), \
                 word varchar(20), subscribed boolean, {state})"
            ));
            database.run(&format!(
                "INSERT INTO {table} (email, first_name, word, subscribed, state) \
                 VALUES ('robin1@example.org', 'Robin', 'subscribe', true, 'opted_in')"
            ));
            let sql = connect(
                &database,
                &format!(
                    "[contacts]\ntable = '{table}'\n[contacts.columns]\nemail = 'contact.email'\n\
                     first_name = 'contact.firstName'\nstate = 'consent.email.state'\n\
                     word = 'change'\nsubscribed = 'consent.email.subscribed'"
                ),
            );
            let opt_out = unsubscribed(1, &json!({ "firstName": "Rob" }));
            let results = sql.deliver(&[signed(2, &json!({})), opt_out]).await;
            all_delivered(&results[..1]);
            assert!(is_rejected(&results[1]), "{results:?}");
            for column in ["state", "word", "subscribed"] {
                assert_eq!(
                    reason(&results[1]).contains(&format!("column {column:?}")),
                    refused.contains(&column),
                    "{results:?}"
                );
            }
            let word = if refused.contains(&"word") {
                "subscribe"
            } else {
                "unsubscribe"
            };
            assert_eq!(
                database.run(&format!(
                    "SELECT first_name, state, word, subscribed FROM {table} WHERE email = 'robin1@example.org'"
                )),
                format!("Rob|opted_in|{word}|{}", database.boolean(false)),
                "{state}"
            );
            // The default of a column may be an opt-in.
            let results = sql.deliver(&[unsubscribed(3, &json!({}))]).await;
            assert!(is_rejected(&results[0]), "{results:?}");
            assert_eq!(database.count(&table), 2, "{state}");
        }
    }

    pub(super) async fn a_row_whose_consent_columns_all_refuse_the_opt_out_stays_unchanged(
        database: Database,
    ) {
        database.run(
            "CREATE TABLE contacts (email varchar(100) PRIMARY KEY, first_name varchar(20), \
             state varchar(40) CHECK (state = 'opted_in'), since varchar(40))",
        );
        database.run("INSERT INTO contacts VALUES ('robin1@example.org', 'Robin', 'opted_in', 'then')");
        let sql = connect(
            &database,
            "[contacts]\ntable = 'contacts'\n[contacts.columns]\nemail = 'contact.email'\n\
             first_name = 'contact.firstName'\nstate = 'consent.email.state'\nsince = 'consent.email.since'",
        );
        let results = sql
            .deliver(&[unsubscribed(1, &json!({ "firstName": "Rob" })), bounced(1)])
            .await;
        assert!(results.iter().all(is_rejected), "{results:?}");
        assert_eq!(
            database.run("SELECT * FROM contacts"),
            "robin1@example.org|Robin|opted_in|then"
        );
    }

    pub(super) async fn a_row_that_is_never_updated_still_takes_an_opt_out(database: Database) {
        database.run(TABLE);
        database.run(ROW);
        let sql = connect(
            &database,
            &COLUMNS.replace("table = 'contacts'", "table = 'contacts'\non_conflict = 'ignore'"),
        );
        sql.check().await.unwrap();
        all_delivered(
            &sql.deliver(&[unsubscribed(1, &json!({ "firstName": "Other" }))])
                .await,
        );
        let row = "SELECT first_name, subscribed FROM contacts";
        assert_eq!(database.run(row), format!("Robin|{}", database.boolean(false)));
        all_delivered(&sql.deliver(&[signed(1, &json!({}))]).await);
        assert_eq!(database.run(row), format!("Robin|{}", database.boolean(false)));
    }

    pub(super) async fn an_action_that_cannot_be_stored_does_not_block_the_opt_out(database: Database) {
        database.run(TABLE);
        database.run(ROW);
        database.run("CREATE TABLE actions (action_id varchar(20) PRIMARY KEY, campaign varchar(2))");
        let sql = connect(
            &database,
            &format!(
                "{COLUMNS}\n[actions]\ntable = 'actions'\nkey = ['action_id']\n[actions.columns]\n\
                 action_id = 'action.id'\ncampaign = 'campaign.name'"
            ),
        );
        let mut signature = unsubscribed(1, &json!({}));
        signature.record.kind = Kind::Record;
        signature.record.action = signed(1, &json!({})).record.action;
        let results = sql.deliver(&[signature]).await;
        assert!(is_rejected(&results[0]), "{results:?}");
        assert!(reason(&results[0]).contains("\"campaign\""), "{results:?}");
        assert_eq!(
            database.run("SELECT subscribed FROM contacts"),
            database.boolean(false)
        );
    }

    pub(super) async fn a_row_with_another_address_of_the_contact_stays_unchanged(database: Database) {
        database.run(
            "CREATE TABLE contacts (crm_id varchar(20) PRIMARY KEY, email varchar(100), subscribed boolean)",
        );
        database.run("INSERT INTO contacts VALUES ('7', 'new@example.org', true)");
        let sql = connect(
            &database,
            "[contacts]\ntable = 'contacts'\nkey = ['crm_id']\n[contacts.columns]\n\
             crm_id = 'contact.ids.crm'\nemail = 'contact.email'\nsubscribed = 'consent.email.subscribed'",
        );
        let withdrawn = |address: &str| {
            let mut delivery = with(bounced(1), &json!({ "email": address }));
            delivery.record.identities = vec![
                Identity::ForeignId {
                    namespace: "crm".into(),
                    id: "7".to_owned(),
                },
                Identity::Email {
                    address: "old@example.org".to_owned(),
                },
                Identity::Email {
                    address: "new@example.org".to_owned(),
                },
            ];
            delivery
        };
        let row = "SELECT email, subscribed FROM contacts";
        let results = sql.deliver(&[withdrawn("old@example.org")]).await;
        assert!(is_skipped(&results[0]), "{results:?}");
        assert_eq!(
            database.run(row),
            format!("new@example.org|{}", database.boolean(true))
        );
        // An address that a person entered by hand belongs to nobody else.
        database.run("UPDATE contacts SET email = 'hand@example.org'");
        all_delivered(&sql.deliver(&[withdrawn("new@example.org")]).await);
        assert_eq!(
            database.run(row),
            format!("hand@example.org|{}", database.boolean(false))
        );
    }
}

/// Names with letters that the database's encoding lacks.
#[tokio::test]
async fn an_encoding_that_lacks_a_letter_does_not_stop_an_opt_out() {
    use causeway_core::consent::Change;

    use super::{all_delivered, bounced, connect, database::Database, is_rejected, reason, signed};
    use causeway_testkit::rig;
    use serde_json::json;
    let columns = "[contacts]\ntable = 'contacts'\n[contacts.columns]\nemail = 'contact.email'\n\
                   first_name = 'contact.firstName'\nsubscribed = 'consent.email.subscribed'";
    let server = rig::postgres::shared();
    let name = format!("latin_{}", rig::unique_number());
    server.execute(
        &server.url(),
        &format!("CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"),
    );
    let postgres = Database::new(super::database::Sort::Postgres, server.url_of(&name));
    let mariadb = Database::mariadb();
    for (database, charset) in [(postgres, ""), (mariadb, " CHARACTER SET latin1")] {
        database.run(&format!(
            "CREATE TABLE contacts (email varchar(100) PRIMARY KEY, first_name varchar(20), subscribed boolean){charset}"
        ));
        database.run("INSERT INTO contacts VALUES ('robin1@example.org', 'Robin', true)");
        let sql = connect(&database, columns);
        let mut opt_out = bounced(1);
        opt_out.record.kind = causeway_core::delivery::Kind::Contact;
        opt_out.record.change = Change::Suppress;
        opt_out.record.contact = signed(1, &json!({ "firstName": "Zo\u{20ac}\u{1f30d}" }))
            .record
            .contact;
        let results = sql.deliver(&[signed(2, &json!({})), opt_out.clone()]).await;
        all_delivered(&results);
        assert_eq!(
            database.run("SELECT first_name, subscribed FROM contacts WHERE email = 'robin1@example.org'"),
            format!("Robin|{}", database.boolean(false))
        );
        opt_out.record.change = Change::None;
        opt_out.record.consent_state = signed(1, &json!({})).record.consent_state;
        let results = sql.deliver(&[opt_out]).await;
        assert!(is_rejected(&results[0]), "{results:?}");
        assert!(reason(&results[0]).contains("first_name"), "{results:?}");
    }
}
