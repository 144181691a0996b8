//! Which failures are retried, which halt and which reject; and what is checked before anything is sent.

use causeway_core::mapping::Tables;
use causeway_testkit::rig;
use serde_json::json;

use super::{
    KIND, Outcome, bounced, connect, create,
    database::{Database, Sort},
    erased, many, reason, signed, table,
};

const CONTACTS: &str = "contacts = { table = 'contacts' }";
const ALL: &str = "contacts = { table = 'contacts' }\nactions = { table = 'actions' }\nengagements = { table = 'engagements' }";
const BOTH: &str = "contacts = { table = 'contacts' }\nactions = { table = 'actions' }";

async fn ending_at(sort: Sort, url: &str) -> Outcome {
    let database = Database::new(sort, url.to_owned());
    let sql = connect(&database, CONTACTS);
    let outcome = sql.deliver(&many(1)).await.remove(0).outcome;
    let refused = sql.check().await.unwrap_err();
    let is_passing = matches!(refused, causeway_core::destination::CheckError::Unavailable(_));
    assert_eq!(is_passing, matches!(outcome, Outcome::Retry { .. }), "{refused}");
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_reached_waits() {
    for (sort, scheme) in [(Sort::Postgres, "postgres"), (Sort::MariaDb, "mysql")] {
        let outcome = ending_at(sort, &format!("{scheme}://robin:hunter2@127.0.0.1:1/people")).await;
        assert!(matches!(outcome, Outcome::Retry { .. }), "{outcome:?}");
        assert!(!outcome.reason().unwrap().contains("hunter2"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_name_or_password_halts() {
    let postgres = Database::postgres();
    postgres.run("DROP ROLE IF EXISTS nobody_here");
    postgres.run("CREATE ROLE nobody_here LOGIN; CREATE TABLE contacts (email text PRIMARY KEY)");
    let server = rig::postgres::shared();
    let maria = rig::mariadb::shared();
    let port = |url: &str| {
        url.rsplit(':')
            .next()
            .unwrap()
            .split('/')
            .next()
            .unwrap()
            .to_owned()
    };
    for (sort, url) in [
        (Sort::Postgres, server.url_of("no_such_database")),
        (
            Sort::Postgres,
            format!(
                "postgres://no_such_role@127.0.0.1:{}/postgres",
                port(&server.url())
            ),
        ),
        (Sort::MariaDb, maria.url_of("no_such_database")),
        (
            Sort::MariaDb,
            format!("mysql://causeway:hunter2@127.0.0.1:{}/mysql", port(&maria.url())),
        ),
        (Sort::Sqlite, "sqlite:no/such/file.db".to_owned()),
    ] {
        let outcome = ending_at(sort, &url).await;
        assert!(matches!(outcome, Outcome::Halt { .. }), "{url} {outcome:?}");
        assert!(!outcome.reason().unwrap().contains("hunter2"));
    }
    // The role may connect and see the table, but not write to it.
    let mut stranger = Database::new(Sort::Postgres, postgres.url.replace("postgres@", "nobody_here@"));
    stranger.context.name = "people".into();
    let sql = connect(
        &stranger,
        "[contacts]\ntable = 'contacts'\n[contacts.columns]\nemail = 'contact.email'",
    );
    let refused = sql.check().await.unwrap_err().to_string();
    assert!(refused.contains("permission denied"), "{refused}");
    let results = sql.deliver(&many(1)).await;
    assert!(matches!(results[0].outcome, Outcome::Halt { .. }), "{results:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_crashes_is_found_again() {
    let server = rig::postgres::start();
    let url = server.create_database();
    let database = Database::new(Sort::Postgres, url.clone());
    create(&database, CONTACTS).await;
    let sql = connect(&database, CONTACTS);
    super::all_delivered(&sql.deliver(&many(5)).await);
    // The test servers commit before data is on disk, so a crash would lose the table.
    server.execute(&url, "CHECKPOINT");
    // When one backend dies, the server ends all others and recovers from its log.
    let pid = server.execute(
        &url,
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() LIMIT 1",
    );
    let killed = std::process::Command::new("kill")
        .args(["-KILL", pid.trim()])
        .status()
        .unwrap();
    assert!(killed.success());
    loop {
        let results = sql.deliver(&many(10)).await;
        match &results[0].outcome {
            Outcome::Delivered { .. } => break,
            // The server is starting up: the engine would wait and retry.
            Outcome::Retry { .. } => tokio::task::yield_now().await,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(server.execute(&url, "SELECT count(*) FROM contacts").trim(), "10");
    // A server that is gone for good is no reason to reject anything.
    drop(server);
    let results = sql.deliver(&many(1)).await;
    assert!(matches!(results[0].outcome, Outcome::Retry { .. }), "{results:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_constraint_is_named_and_the_value_is_not() {
    for database in [Database::postgres(), Database::mariadb(), Database::sqlite()] {
        database.run("CREATE TABLE towns (name varchar(20) PRIMARY KEY)");
        database.run(
            "CREATE TABLE contacts (email varchar(100) PRIMARY KEY, name varchar(50) NOT NULL, \
             phone varchar(20), town varchar(20), \
             CONSTRAINT one_phone UNIQUE (phone), CONSTRAINT known_town FOREIGN KEY (town) REFERENCES towns (name))",
        );
        let sql = connect(
            &database,
            "[contacts]\ntable = 'contacts'\n[contacts.columns]\nemail = 'contact.email'\n\
             name = 'contact.firstName'\nphone = 'contact.phone'\ntown = 'contact.town | default(none)'",
        );
        let batch = [
            signed(1, &json!({ "phone": "+49 secret'1" })),
            signed(2, &json!({ "firstName": null })),
            signed(3, &json!({ "town": "Secretville" })),
        ];
        let results = sql.deliver(&batch).await;
        assert!(
            matches!(results[0].outcome, Outcome::Delivered { .. }),
            "{results:?}"
        );
        assert!(
            reason(&results[1]).contains("\"name\" must have a value"),
            "{results:?}"
        );
        assert!(reason(&results[2]).contains("foreign key"), "{results:?}");
        if database.sort != Sort::Sqlite {
            assert!(reason(&results[2]).contains("known_town"), "{results:?}");
        }
        let results = sql
            .deliver(&[signed(4, &json!({ "phone": "+49 secret'1" }))])
            .await;
        assert!(reason(&results[0]).contains("phone"), "{results:?}");
        assert!(!reason(&results[0]).contains("secret"), "{results:?}");
        assert_eq!(database.run("SELECT email FROM contacts"), "robin1@example.org");
        for result in &results {
            assert!(
                !reason(result).contains("Secret") && !reason(result).contains("robin"),
                "{result:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_record_without_an_action_writes_no_action_row_and_may_write_nothing() {
    let database = Database::sqlite();
    let config = "actions = { table = 'actions' }";
    create(&database, config).await;
    let sql = connect(&database, config);
    let results = sql.deliver(&[bounced(1), signed(2, &json!({}))]).await;
    assert!(matches!(results[0].outcome, Outcome::Skip { .. }), "{results:?}");
    assert_eq!(database.count("actions"), 1);
}

#[tokio::test]
async fn a_contact_without_a_key_can_be_skipped_and_the_action_kept() {
    let database = Database::sqlite();
    let config = "contacts = { table = 'contacts', missing_key = 'skip' }\nactions = { table = 'actions' }";
    create(&database, config).await;
    let sql = connect(&database, config);
    super::all_delivered(&sql.deliver(&[signed(2, &json!({ "email": null }))]).await);
    assert_eq!((database.count("contacts"), database.count("actions")), (0, 1));
}

#[test]
fn the_configuration_is_refused_with_the_key_and_no_secret() {
    for (text, key) in [
        ("url = 'postgres://h/d'", "contacts"),
        (
            "url = 'oracle://u:hunter2@h/d'\ncontacts = { table = 'c' }",
            "url",
        ),
        (
            "url = 'sqlite:a.db'\ncontacts = { table = 'a.b.c' }",
            "contacts.table",
        ),
        ("url = 'sqlite:a.db'\ncontacts = { table = '' }", "contacts.table"),
        (
            "url = 'sqlite:a.db'\ncontacts = { table = 'c', key = [] }",
            "contacts.key",
        ),
        (
            "url = 'sqlite:a.db'\ncontacts = { table = 'c', key = ['id'] }",
            "contacts.key",
        ),
        (
            "url = 'sqlite:a.db'\ncontacts = { table = 'c', columns = { email = 'contact.email', x = 'mail' } }",
            "contacts.columns.x",
        ),
        (
            "url = 'sqlite:a.db'\ncontacts = { table = 'c', on_remove = 'keep' }",
            "contacts.on_remove",
        ),
        (
            "url = 'sqlite:a.db'\nactions = { table = 'a', on_remove = 'unsubscribe' }",
            "actions.on_remove",
        ),
        (
            "url = 'sqlite:a.db'\nengagements = { table = 'e', on_remove = 'blank' }",
            "engagements.on_remove",
        ),
        (
            "url = 'sqlite:a.db'\nengagements = { table = 'e', columns = { engagement_id = 'row.id', x = 'row.kye' } }",
            "engagements.columns.x",
        ),
        (
            "url = 'sqlite:a.db'\nactions = { table = 'a', columns = { source = 'source', action_id = 'row.id' } }",
            "actions.columns.action_id",
        ),
        (
            "url = 'sqlite:a.db'\ncontacts = { table = 'c', colums = {} }",
            "contacts.colums",
        ),
    ] {
        let error = (KIND.parse)(&Tables::default(), &table(text)).unwrap_err();
        assert_eq!(error.key, key, "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn columns_without_consent_express_no_opt_out_and_removals_need_none() {
    let mute = "contacts = { table = 'c', columns = { email = 'contact.email' }";
    let mute_and_kept = format!("{mute}, on_remove = 'unsubscribe' }}");
    let mute = format!("{mute} }}");
    for (text, email, phone, deletes_on_erasure, warnings) in [
        (CONTACTS, true, false, true, 0),
        (BOTH, true, false, true, 0),
        (mute.as_str(), false, false, true, 0),
        (mute_and_kept.as_str(), false, false, false, 0),
        (
            "contacts = { table = 'c', columns = { email = 'contact.email', change = 'change | upper' } }",
            true,
            true,
            true,
            0,
        ),
        (
            "contacts = { table = 'c', key = ['phone'], columns = { phone = 'contact.phone', subscribed = 'consent.email.subscribed' } }",
            true,
            false,
            true,
            1,
        ),
        (
            "contacts = { table = 'c', key = ['id'], columns = { id = 'contact.ids.crm', subscribed = 'consent.email.subscribed' } }",
            true,
            false,
            true,
            0,
        ),
        ("actions = { table = 'a' }", false, false, true, 0),
        (
            "actions = { table = 'a', on_remove = 'keep' }",
            false,
            false,
            false,
            0,
        ),
        (
            "actions = { table = 'a', columns = { source = 'source', action_id = 'action.id' } }",
            false,
            false,
            true,
            1,
        ),
    ] {
        let needs = (KIND.parse)(
            &Tables::default(),
            &table(&format!("url = 'sqlite:a.db'\n{text}")),
        )
        .unwrap();
        assert_eq!(
            (needs.consent_shown.has("email"), needs.consent_shown.has("phone")),
            (email, phone),
            "{text}"
        );
        assert_eq!(
            (needs.deletes_on_erasure, needs.warnings.len()),
            (deletes_on_erasure, warnings),
            "{text} {:?}",
            needs.warnings
        );
    }
}

#[test]
fn the_sample_is_valid_and_names_the_defaults() {
    let sample: toml::Table = KIND.sample.parse().unwrap();
    let mut config = sample["destination"]["database"].as_table().unwrap().clone();
    config.remove("kind");
    (KIND.parse)(&Tables::default(), &config).unwrap();
    let (_, sampled, _) = crate::destination::sql::config::parse(&config, &Tables::default()).unwrap();
    let (_, default, _) = crate::destination::sql::config::parse(
        &table(&format!("url = 'sqlite:a.db'\n{ALL}")),
        &Tables::default(),
    )
    .unwrap();
    assert_eq!(format!("{sampled:?}"), format!("{default:?}"));
}

#[test]
fn a_preview_shows_the_statement_and_its_values() {
    let database = Database::new(
        Sort::Postgres,
        "postgres://robin:hunter2@127.0.0.1:1/people".to_owned(),
    );
    let config = table(&format!("url = '{}'\n{BOTH}", database.url));
    let shown = (KIND.preview)(&database.context, &config, &[signed(1, &json!({})), bounced(1)]).unwrap();
    insta::assert_snapshot!(shown[0].as_ref().unwrap());
    let withdrawal = shown[1].as_ref().unwrap();
    assert!(
        withdrawal.starts_with("UPDATE \"contacts\"") && !withdrawal.contains("INSERT"),
        "{withdrawal}"
    );
    assert!(!withdrawal.contains("actions"), "{withdrawal}");
    let shown = (KIND.preview)(&database.context, &config, &[erased(1)]).unwrap();
    assert_eq!(
        shown[0].as_ref().unwrap(),
        "DELETE FROM \"contacts\" AS old WHERE old.\"email\" = $1;\n  $1 email = \"robin1@example.org\"\n\n\
         DELETE FROM \"actions\" AS old WHERE old.\"email\" = $1;\n  $1 email = \"robin1@example.org\""
    );
    let nameless = signed(1, &json!({ "email": null }));
    let shown = (KIND.preview)(&database.context, &config, &[nameless]).unwrap();
    assert!(shown[0].as_ref().unwrap_err().reason().contains("key column"));
}

#[test]
fn the_statements_that_make_the_tables_are_shown() {
    let mut shown = Vec::new();
    for url in ["postgres://h/d", "mysql://h/d", "sqlite:people.db"] {
        let database = Database::new(Sort::Sqlite, url.to_owned());
        let config = table(&format!("url = '{url}'\n{ALL}"));
        let statements = (KIND.create.unwrap().statements)(&database.context, &config).unwrap();
        shown.push(format!("-- {url}\n{}\n", statements.join("\n")));
    }
    insta::assert_snapshot!(shown.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_loses_a_deadlock_is_written_again_at_once() {
    let database = Database::postgres();
    create(&database, CONTACTS).await;
    let sql = connect(&database, CONTACTS);
    super::all_delivered(&sql.deliver(&many(10)).await);
    let set = |number: usize| {
        format!("UPDATE contacts SET first_name = 'Other' WHERE email = 'robin{number}@example.org'")
    };
    let mut config = table(CONTACTS);
    config.insert("url".to_owned(), database.url.clone().into());
    let settings = crate::destination::sql::config::settings(&database.context, &config).unwrap();
    let target = &settings.target;
    let mut other = crate::destination::sql::link::Link::connect(target, false)
        .await
        .unwrap();
    // With this the batch finds the deadlock and gives way.
    other.run("SET deadlock_timeout = '1h'").await.unwrap();
    other.begin().await.unwrap();
    other.run(&set(9)).await.unwrap();
    let batch = many(10);
    let interfere = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while database.run(waiting) == "0" {
            tokio::task::yield_now().await;
        }
        // The batch has the first row and waits for the last.
        other.run(&set(0)).await.unwrap();
        other.run("COMMIT").await.unwrap();
    };
    let (results, ()) = tokio::join!(sql.deliver(&batch), interfere);
    super::all_delivered(&results);
    assert_eq!(
        database.run("SELECT count(*) FROM contacts WHERE first_name = 'Robin'"),
        "10"
    );
}
