//! What happens to the rows of an erased person.

use super::on_each;

on_each!(
    a_removal_deletes_the_rows_and_never_makes_one,
    a_removal_can_empty_the_rows,
    a_removal_can_keep_the_row_and_unsubscribe_it,
    a_row_that_cannot_be_deleted_is_unsubscribed_and_rejected,
    a_consent_column_that_refuses_its_value_does_not_block_the_others,
);

mod check {
    use serde_json::json;

    use crate::destination::sql::tests::{
        all_delivered, connect, create,
        database::{Database, Sort},
        erased, is_rejected, is_skipped, many, reason, signed,
    };

    const BOTH: &str = "contacts = { table = 'contacts' }\nactions = { table = 'actions' }";

    /// The table of a membership program, in which a name is mandatory.
    const NAMED: &str = "CREATE TABLE contacts (email varchar(100) PRIMARY KEY, first_name varchar(20) NOT NULL, \
         subscribed boolean NOT NULL)";
    const COLUMNS: &str = "[contacts.columns]\nemail = 'contact.email'\nfirst_name = 'contact.firstName'\n\
         subscribed = 'consent.email.subscribed'";

    pub(super) async fn a_removal_deletes_the_rows_and_never_makes_one(database: Database) {
        create(&database, BOTH).await;
        let sql = connect(&database, BOTH);
        sql.check().await.unwrap();
        let mut batch = many(3);
        // A removal removes everything before it in the batch, and nothing of others.
        batch.insert(2, erased(1));
        all_delivered(&sql.deliver(&batch).await);
        assert_eq!(
            database.run("SELECT email FROM contacts ORDER BY email"),
            "robin0@example.org\nrobin2@example.org"
        );
        assert_eq!(
            database.run("SELECT action_id FROM actions ORDER BY action_id"),
            "0\n2"
        );
        let results = sql.deliver(&[erased(1)]).await;
        assert!(is_skipped(&results[0]), "{results:?}");
        assert_eq!((database.count("contacts"), database.count("actions")), (2, 2));

        // A mandatory name is no obstacle.
        database.run("DROP TABLE contacts");
        database.run(NAMED);
        let sql = connect(&database, &format!("[contacts]\ntable = 'contacts'\n{COLUMNS}"));
        all_delivered(&sql.deliver(&many(2)).await);
        all_delivered(&sql.deliver(&[erased(1)]).await);
        assert_eq!(database.run("SELECT email FROM contacts"), "robin0@example.org");
    }

    pub(super) async fn a_removal_can_empty_the_rows(database: Database) {
        database.run(
            "CREATE TABLE contacts (email varchar(100) PRIMARY KEY, first_name varchar(20) NOT NULL, \
             phone varchar(50), country varchar(2), subscribed boolean NOT NULL)",
        );
        database.run(
            "CREATE TABLE actions (action_id varchar(20) PRIMARY KEY, email varchar(100), fields varchar(200), \
             campaign varchar(20))",
        );
        let sql = connect(
            &database,
            "[contacts]\ntable = 'contacts'\non_remove = 'blank'\n[contacts.columns]\nemail = 'contact.email'\n\
             first_name = 'contact.firstName'\nphone = 'contact.phone'\ncountry = 'contact.country'\n\
             subscribed = 'consent.email.subscribed'\n\
             [actions]\ntable = 'actions'\non_remove = 'blank'\nkey = ['action_id']\n[actions.columns]\n\
             action_id = 'action.id'\nemail = 'contact.email'\nfields = 'action.fields'\ncampaign = 'campaign.name'",
        );
        let mut second = signed(1, &json!({ "phone": "+49 30 1" }));
        second.record.action.as_mut().unwrap().external_id = "1b".to_owned();
        all_delivered(
            &sql.deliver(&[signed(1, &json!({})), second, signed(2, &json!({}))])
                .await,
        );
        all_delivered(&sql.deliver(&[erased(1)]).await);
        let nothing = if database.sort == Sort::MariaDb {
            "NULL"
        } else {
            ""
        };
        let blank = format!("erased-cw_1||{nothing}|{nothing}|{}", database.boolean(false));
        assert_eq!(
            database.run("SELECT * FROM contacts WHERE email NOT LIKE 'robin%'"),
            blank
        );
        assert_eq!(database.count("contacts"), 2);
        assert_eq!(
            database.run(
                "SELECT action_id, email, fields, campaign FROM actions WHERE action_id <> '2' ORDER BY 1"
            ),
            format!("1|{nothing}|{nothing}|bees\n1b|{nothing}|{nothing}|bees")
        );
        assert_eq!(
            database.run("SELECT email FROM actions WHERE action_id = '2'"),
            "robin2@example.org"
        );
    }

    pub(super) async fn a_removal_can_keep_the_row_and_unsubscribe_it(database: Database) {
        database.run(NAMED);
        let sql = connect(
            &database,
            &format!("[contacts]\ntable = 'contacts'\non_remove = 'unsubscribe'\n{COLUMNS}"),
        );
        all_delivered(&sql.deliver(&many(2)).await);
        let results = sql.deliver(&[erased(1), erased(7)]).await;
        all_delivered(&results[..1]);
        assert!(is_skipped(&results[1]), "{results:?}");
        assert_eq!(
            database.run("SELECT email, first_name, subscribed FROM contacts ORDER BY email"),
            format!(
                "robin0@example.org|Robin|{}\nrobin1@example.org|Robin|{}",
                database.boolean(true),
                database.boolean(false)
            )
        );
    }

    pub(super) async fn a_consent_column_that_refuses_its_value_does_not_block_the_others(
        database: Database,
    ) {
        database.run(
            "CREATE TABLE contacts (email varchar(100) PRIMARY KEY, first_name varchar(20), \
             state varchar(40) CHECK (state = 'opted_in'), subscribed boolean NOT NULL)",
        );
        for on_remove in ["unsubscribe", "blank"] {
            database.run("DELETE FROM contacts");
            let sql = connect(
                &database,
                &format!(
                    "[contacts]\ntable = 'contacts'\non_remove = '{on_remove}'\n{COLUMNS}\n\
                     state = 'consent.email.state'"
                ),
            );
            all_delivered(&sql.deliver(&many(1)).await);
            let results = sql.deliver(&[erased(0)]).await;
            assert_eq!(
                is_rejected(&results[0]),
                on_remove == "unsubscribe",
                "{results:?}"
            );
            assert_eq!(
                database.run("SELECT state, subscribed FROM contacts"),
                format!("opted_in|{}", database.boolean(false)),
                "{on_remove}"
            );
        }
    }

    pub(super) async fn a_row_that_cannot_be_deleted_is_unsubscribed_and_rejected(database: Database) {
        database.run(NAMED);
        database.run(
            "CREATE TABLE gifts (contact varchar(100), CONSTRAINT gift_of FOREIGN KEY (contact) \
             REFERENCES contacts (email))",
        );
        let sql = connect(&database, &format!("[contacts]\ntable = 'contacts'\n{COLUMNS}"));
        all_delivered(&sql.deliver(&many(2)).await);
        database.run("INSERT INTO gifts VALUES ('robin1@example.org')");
        let results = sql.deliver(&[erased(0), erased(1), signed(5, &json!({}))]).await;
        all_delivered(&[results[0].clone(), results[2].clone()]);
        assert!(is_rejected(&results[1]), "{results:?}");
        assert!(
            reason(&results[1]).contains("foreign key")
                && reason(&results[1]).contains("set to unsubscribed"),
            "{results:?}"
        );
        assert_eq!(
            database.run("SELECT email, subscribed FROM contacts ORDER BY email"),
            format!(
                "robin1@example.org|{}\nrobin5@example.org|{}",
                database.boolean(false),
                database.boolean(true)
            )
        );
    }
}

#[tokio::test]
async fn without_the_right_to_delete_the_check_fails_and_other_deliveries_go_on() {
    use super::{all_delivered, connect, create, database::Database, erased, is_rejected, many, reason};
    let config = "contacts = { table = 'contacts' }";
    let owner = Database::postgres();
    create(&owner, config).await;
    owner.run("CREATE ROLE writer_only LOGIN; GRANT INSERT, UPDATE, SELECT ON contacts TO writer_only");
    let mut writer = Database::new(owner.sort, owner.url.replace("postgres@", "writer_only@"));
    writer.context.name = "people".into();
    let sql = connect(&writer, config);
    let refused = sql.check().await.unwrap_err().to_string();
    assert!(refused.contains("permission denied"), "{refused}");
    let mut batch = many(2);
    batch.push(erased(1));
    let results = sql.deliver(&batch).await;
    all_delivered(&results[..2]);
    assert!(is_rejected(&results[2]), "{results:?}");
    assert!(reason(&results[2]).contains("permission denied"), "{results:?}");
    assert_eq!(
        owner.run("SELECT subscribed FROM contacts WHERE email = 'robin1@example.org'"),
        "f"
    );
    // With `on_remove = 'unsubscribe'` nothing is deleted.
    let sql = connect(
        &writer,
        "contacts = { table = 'contacts', on_remove = 'unsubscribe' }",
    );
    sql.check().await.unwrap();
    owner.run("DROP OWNED BY writer_only; DROP ROLE writer_only");
}
