//! The connector against a project in memory, read and changed with Supabase's own client of PostgREST.

use std::sync::Arc;

use causeway_testkit::{
    clock::TestClock,
    vendors::{
        FakeVendor,
        clients::Script,
        supabase::{
            self, Column, Default as Fills, PASSWORD, PUBLISHABLE_KEY, Policies, SECRET_KEY, Type, USER,
        },
    },
};

use super::*;

const PERSON: &str = "person1@example.org";

struct Project {
    clock: Arc<TestClock>,
    fake: FakeVendor<supabase::Supabase>,
    client: Script,
}

impl Project {
    async fn start() -> Self {
        let clock = Arc::new(TestClock::default());
        let fake = supabase::Supabase::with_tables(Arc::<TestClock>::clone(&clock));
        let fake = FakeVendor::start(fake).await;
        let client = Script::node("supabase.js", &[&fake.url(), SECRET_KEY]);
        Self { clock, fake, client }
    }

    fn connect(&self, more: &str) -> Box<dyn Destination> {
        self.connect_with(&format!("api_key = '{SECRET_KEY}'\n{more}"))
    }

    fn connect_with(&self, more: &str) -> Box<dyn Destination> {
        let own = table(&self.fake.url(), more);
        let context = Context {
            clock: Arc::<TestClock>::clone(&self.clock),
            ..context()
        };
        (KIND.connect)(&context, &own).unwrap()
    }

    /// What the client returns for a chain of its methods that succeeds.
    async fn get(&mut self, from: &str, methods: Value) -> Value {
        let answer = self.client.ask(&json!({ "from": from, "do": methods })).await;
        assert_eq!(
            (&answer["error"], &answer["complaints"]),
            (&Value::Null, &json!([])),
            "{answer:#}"
        );
        answer["data"].clone()
    }

    async fn contact(&mut self, email: &str) -> Value {
        let found = self
            .get("contacts", json!([["select", "*"], ["eq", "email", email]]))
            .await;
        assert!(found.as_array().unwrap().len() <= 1, "{found}");
        found[0].clone()
    }

    fn count(&self, table: &str) -> usize {
        self.fake.with(|project| project.tables[table].rows.len())
    }

    fn change(&self, table: &str, change: impl FnOnce(&mut supabase::Table)) {
        self.fake
            .with(|project| change(project.tables.get_mut(table).unwrap()));
    }
}

#[tokio::test]
async fn what_was_delivered_is_read_by_supabases_own_client() {
    let mut project = Project::start().await;
    let connected = project.connect(TABLES);
    connected.check().await.unwrap();
    assert_eq!(connected.remarks(), Vec::<String>::new());
    let batch = [subscriber(1, "2026-03-01T09:30:00Z"), delivery(2)];
    // The second time nothing changes.
    for _ in 0..2 {
        let results = connected.deliver(&batch).await;
        assert_eq!(outcomes(&results), ["delivered"; 2], "{results:?}");
        let ada = project.contact(PERSON).await;
        assert_eq!(ada["last_name"], "Példa, \"jr\"");
        assert_eq!(
            (&ada["subscribed"], &ada["consent"]),
            (&json!(true), &json!("opted_in"))
        );
        assert_eq!(ada["consent_since"], "2026-03-01T09:30:00+00:00");
        assert_eq!(project.contact("person2@example.org").await["consent"], "unknown");
        let methods = json!([["select", "email,fields,state"], ["eq", "action_id", "1"]]);
        let action = project.get("actions", methods).await;
        assert_eq!(
            action,
            json!([{ "email": PERSON, "fields": { "comment": "Save\nthe river" }, "state": "new" }])
        );
    }
    assert_eq!((project.count("contacts"), project.count("actions")), (2, 2));
}

#[tokio::test]
async fn people_whom_others_changed_keep_their_will_and_their_data() {
    let mut project = Project::start().await;
    // A member of the site, with data that Causeway does not know, and with consent.
    let member = json!({ "email": PERSON, "phone": "+361", "subscribed": true, "consent": "opted_in", "consent_since": "2026-01-01T00:00:00Z" });
    project.get("contacts", json!([["insert", member]])).await;
    let connected = project.connect(TABLES);
    assert_eq!(outcomes(&connected.deliver(&[delivery(1)]).await), ["delivered"]);
    let found = project.contact(PERSON).await;
    assert_eq!(
        (&found["phone"], &found["first_name"], &found["subscribed"]),
        (&json!("+361"), &json!("Ada"), &json!(true))
    );
    // They leave at the site, and an earlier opt-in arrives late.
    let leave = json!({ "subscribed": false, "consent_since": "2026-03-02T00:00:00Z" });
    project
        .get("contacts", json!([["update", leave], ["eq", "email", PERSON]]))
        .await;
    let results = connected.deliver(&[subscriber(1, "2026-03-01T09:30:00Z")]).await;
    assert_eq!(outcomes(&results), ["delivered"]);
    assert!(
        results[0].notes[0].contains("left opted out there"),
        "{results:?}"
    );
    assert_eq!(project.contact(PERSON).await["subscribed"], false);
    // They agree again, a day later.
    connected.deliver(&[subscriber(1, "2026-03-03T00:00:00Z")]).await;
    let found = project.contact(PERSON).await;
    assert_eq!(
        (&found["subscribed"], &found["consent"]),
        (&json!(true), &json!("opted_in"))
    );
    // They opt out here and in again within a minute, and are erased.
    connected.deliver(&[opt_out(1, "2026-03-04T00:00:00Z")]).await;
    assert_eq!(project.contact(PERSON).await["consent"], "unsubscribed");
    connected.deliver(&[subscriber(1, "2026-03-04T00:01:00Z")]).await;
    assert_eq!(project.contact(PERSON).await["subscribed"], true);
    for _ in 0..2 {
        let results = connected.deliver(&[withdrawal(1, Change::Remove)]).await;
        assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    }
    assert_eq!((project.count("contacts"), project.count("actions")), (0, 0));
    // An opt-out of somebody who is not there inserts nobody.
    let results = connected.deliver(&[opt_out(1, "2026-03-05T00:00:00Z")]).await;
    assert_eq!((outcomes(&results), project.count("contacts")), (vec!["skip"], 0));
}

#[tokio::test]
async fn one_bad_row_of_a_hundred_is_refused_alone() {
    let project = Project::start().await;
    project.change("contacts", |table| {
        table.checks.push(("contacts_email_check".to_owned(), |row| {
            row["email"] != "person42@example.org"
        }));
        table.raises = Some(|row| row["email"] == "person77@example.org");
    });
    let batch: Vec<Delivery> = (1..=100)
        .map(|number| subscriber(number, "2026-03-01T09:30:00Z"))
        .collect();
    let connected = project.connect(TABLES);
    // Also when the rows exist already.
    for _ in 0..2 {
        let results = connected.deliver(&batch).await;
        let refused: Vec<usize> = (0..100)
            .filter(|at| outcomes(&results)[*at] == "reject")
            .collect();
        assert_eq!(refused, [41, 76]);
        assert!(
            reason(&results[41]).ends_with("(contacts_email_check)"),
            "{:?}",
            results[41]
        );
        assert_eq!((project.count("contacts"), project.count("actions")), (98, 98));
    }
}

#[tokio::test]
async fn two_contacts_with_one_key_are_one_row() {
    let mut project = Project::start().await;
    // The database compares addresses without case; the connector's own comparison is its too.
    project.change("contacts", |table| table.column_mut("email").kind = Type::Citext);
    let mut twin = subscriber(2, "2026-03-01T09:30:00Z");
    set(&mut twin, "email", "Person1@Example.org");
    set(&mut twin, "firstName", "Bea");
    let results = project
        .connect(TABLES)
        .deliver(&[subscriber(1, "2026-03-01T09:30:00Z"), twin])
        .await;
    assert_eq!(outcomes(&results), ["delivered"; 2], "{results:?}");
    assert_eq!((project.count("contacts"), project.count("actions")), (1, 2));
    assert_eq!(project.contact(PERSON).await["first_name"], "Bea");
    // Two keys that only the database takes for one: a number, written in two ways.
    let own = "contacts = { table = 'contacts', key = ['id'], columns = { id = 'contact.number', email = 'contact.email', subscribed = 'consent.email.subscribed' } }";
    let numbered = |number: i64, text: &str| {
        let mut delivery = subscriber(number, "2026-03-01T09:30:00Z");
        set(&mut delivery, "number", text);
        set(&mut delivery, "email", "seven@example.org");
        delivery
    };
    for _ in 0..2 {
        let batch = [numbered(1, "7"), numbered(2, "007")];
        let results = project.connect(own).deliver(&batch).await;
        assert_eq!(outcomes(&results), ["delivered"; 2], "{results:?}");
    }
    assert_eq!(project.count("contacts"), 2);
}

#[tokio::test]
async fn a_column_that_must_have_a_value_does_not_stop_an_update() {
    let mut project = Project::start().await;
    project.change("contacts", |table| table.column_mut("phone").not_null = true);
    let known = json!({ "email": PERSON, "phone": "+361" });
    project.get("contacts", json!([["insert", known]])).await;
    let connected = project.connect("contacts = { table = 'contacts' }");
    // The insert is refused for lack of a telephone number, and so is the upsert; the update needs none.
    let results = connected
        .deliver(&[subscriber(1, "2026-03-01T09:30:00Z"), delivery(2)])
        .await;
    assert_eq!(outcomes(&results), ["delivered", "reject"], "{results:?}");
    assert!(reason(&results[1]).ends_with("(phone)"), "{results:?}");
    let found = project.contact(PERSON).await;
    assert_eq!(
        (&found["phone"], &found["subscribed"]),
        (&json!("+361"), &json!(true))
    );
}

#[tokio::test]
async fn actions_refer_to_contacts() {
    let project = Project::start().await;
    project.change("actions", |table| {
        let key = ["actions_email_fkey", "email", "contacts", "email"].map(str::to_owned);
        let [name, column, other, to] = key;
        table.foreign_keys.push((name, column, other, to));
    });
    let connected = project.connect(TABLES);
    let batch: Vec<Delivery> = (1..=5)
        .map(|number| subscriber(number, "2026-03-01T09:30:00Z"))
        .collect();
    assert_eq!(outcomes(&connected.deliver(&batch).await), ["delivered"; 5]);
    assert_eq!(
        outcomes(&connected.deliver(&[withdrawal(1, Change::Remove)]).await),
        ["delivered"]
    );
    assert_eq!((project.count("contacts"), project.count("actions")), (4, 4));
    // Without the actions the contact's row cannot go.
    let only = project.connect("contacts = { table = 'contacts' }");
    let results = only.deliver(&[withdrawal(2, Change::Remove)]).await;
    assert_eq!(outcomes(&results), ["reject"]);
    let still = project
        .fake
        .with(|project| project.contact("person2@example.org").unwrap()["subscribed"].clone());
    assert_eq!(still, false);
}

#[tokio::test]
async fn lost_answers_limits_and_a_full_disk_lose_nobody() {
    let project = Project::start().await;
    let connected = project.connect(TABLES);
    let batch: Vec<Delivery> = (1..=5)
        .map(|number| subscriber(number, "2026-03-01T09:30:00Z"))
        .collect();
    for _ in 0..3 {
        project.fake.with(|project| project.loses_answers = 1);
        assert_eq!(outcomes(&connected.deliver(&batch).await), ["retry"; 5]);
    }
    assert_eq!(outcomes(&connected.deliver(&batch).await), ["delivered"; 5]);
    assert_eq!((project.count("contacts"), project.count("actions")), (5, 5));
    project.fake.with(|project| project.is_read_only = true);
    let results = connected.deliver(&batch).await;
    assert_eq!(outcomes(&results), ["busy"; 5]);
    project.fake.with(|project| {
        project.is_read_only = false;
        project.limit = Some(0);
    });
    assert_eq!(outcomes(&connected.deliver(&batch).await), ["busy"; 5]);
    project.fake.with(|project| {
        project.limit = None;
        project.most_rows = 2;
        project.most_bytes = 900;
    });
    let later: Vec<Delivery> = (6..=15)
        .map(|number| subscriber(number, "2026-03-01T09:30:00Z"))
        .collect();
    assert_eq!(outcomes(&connected.deliver(&later).await), ["delivered"; 10]);
    assert_eq!((project.count("contacts"), project.count("actions")), (15, 15));
    project.fake.with(|project| project.is_paused = true);
    assert_eq!(outcomes(&connected.deliver(&batch).await), ["halt"; 5]);
}

#[tokio::test]
async fn a_user_signs_in_and_again_when_the_token_has_ended() {
    let project = Project::start().await;
    let own = |password: &str| {
        format!(
            "api_key = '{PUBLISHABLE_KEY}'\nuser = {{ email = '{USER}', password = '{password}' }}\n{TABLES}"
        )
    };
    let all = Policies {
        select: true,
        insert: true,
        update: true,
        delete: true,
    };
    for table in ["contacts", "actions"] {
        project.change(table, |table| table.policies = Some(all));
    }
    let connected = project.connect_with(&own(PASSWORD));
    connected.check().await.unwrap();
    assert!(
        connected.remarks()[0].contains("publishable"),
        "{:?}",
        connected.remarks()
    );
    assert_eq!(outcomes(&connected.deliver(&[delivery(1)]).await), ["delivered"]);
    let sign_ins = || {
        let all = project.fake.requests();
        all.iter()
            .filter(|request| request.path == "/auth/v1/token")
            .count()
    };
    assert_eq!(sign_ins(), 1);
    project.clock.advance(Duration::from_mins(61));
    assert_eq!(outcomes(&connected.deliver(&[delivery(2)]).await), ["delivered"]);
    assert_eq!(sign_ins(), 2);
    // Somebody signs the user out.
    project.fake.with(supabase::Supabase::sign_out);
    assert_eq!(outcomes(&connected.deliver(&[delivery(3)]).await), ["delivered"]);
    assert_eq!((sign_ins(), project.count("contacts")), (3, 3));
    let wrong = project.connect_with(&own("wrong"));
    let results = wrong.deliver(&[delivery(4)]).await;
    assert_eq!(outcomes(&results), ["halt"]);
    assert!(reason(&results[0]).contains("invalid_credentials"), "{results:?}");
    assert!(wrong.check().await.is_err());
    // Without the right to read, an upsert is refused, even of a new row.
    project.change("contacts", |table| {
        table.policies = Some(Policies { select: false, ..all });
    });
    let results = connected.deliver(&[delivery(5)]).await;
    assert_eq!(outcomes(&results), ["halt"]);
    assert!(reason(&results[0]).contains("SELECT"), "{results:?}");
}

#[tokio::test]
async fn doctor_names_what_is_wrong_and_changes_nothing() {
    let project = Project::start().await;
    project.fake.with(|project| {
        let columns = vec![
            Column::new("email", Type::Text(None)),
            Column::new("n", Type::Bigint).default(Fills::Serial),
        ];
        project.add_table(supabase::Table::new("people", columns, &["n"]));
    });
    for (more, text) in [
        ("contacts = { table = 'nobody' }", "no such table"),
        (
            "contacts = { table = 'people' }",
            "no such column (people.first_name)",
        ),
        (
            "contacts = { table = 'people', columns = { email = 'contact.email' } }",
            "no unique index",
        ),
        (
            "schema = 'secret'\ncontacts = { table = 'contacts' }",
            "does not expose",
        ),
    ] {
        let connected = project.connect(more);
        let error = connected.check().await.unwrap_err().to_string();
        assert!(error.contains(text), "{more}: {error}");
        let results = connected.deliver(&[delivery(1)]).await;
        assert_eq!(outcomes(&results), ["halt"], "{more}: {results:?}");
    }
    let wrong = project.connect_with(&format!("api_key = 'sb_secret_other'\n{TABLES}"));
    let error = wrong.check().await.unwrap_err().to_string();
    assert!(error.contains("the key is not accepted"), "{error}");
    project.connect(TABLES).check().await.unwrap();
    assert_eq!(
        (
            project.count("contacts"),
            project.count("actions"),
            project.count("people")
        ),
        (0, 0, 0)
    );
    assert_eq!(
        project.fake.with(|project| project.tables["people"].last_number),
        0
    );
}
