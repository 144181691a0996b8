//! Supabase's own client of PostgREST reads and writes the fake.

use std::sync::Arc;

use causeway_testkit::{
    clock::TestClock,
    vendors::{
        FakeVendor,
        clients::Script,
        supabase::{ANON_JWT, Column, Policies, SECRET_KEY, SERVICE_JWT, Supabase, Table, Type},
    },
};
use serde_json::{Value, json};

struct Rig {
    project: FakeVendor<Supabase>,
    client: Script,
}

impl Rig {
    async fn start() -> Self {
        let project = FakeVendor::start(Supabase::with_tables(Arc::new(TestClock::default()))).await;
        let client = Script::node("supabase.js", &[&project.url(), SECRET_KEY]);
        Self { project, client }
    }

    /// A chain of the client's methods on a table, whatever comes of it.
    async fn call(&mut self, table: &str, methods: Value) -> Value {
        let answer = self.client.ask(&json!({ "from": table, "do": methods })).await;
        assert!(answer["thrown"].is_null(), "{}", answer["thrown"]);
        assert_eq!(answer["complaints"], json!([]), "{answer:#}");
        answer
    }

    /// One that succeeds with this status. Returns the data.
    async fn get(&mut self, status: u64, table: &str, methods: Value) -> Value {
        let answer = self.call(table, methods).await;
        assert_eq!(
            (&answer["status"], &answer["error"]),
            (&json!(status), &Value::Null),
            "{answer:#}"
        );
        answer["data"].clone()
    }

    /// One that fails. Returns status and code.
    async fn fail(&mut self, table: &str, methods: Value) -> (u64, String) {
        let answer = self.call(table, methods).await;
        let code = answer["error"]["code"].as_str().unwrap_or_default().to_owned();
        (answer["status"].as_u64().unwrap(), code)
    }
}

fn person(email: &str, name: &str) -> Value {
    json!({ "email": email, "first_name": name })
}

#[tokio::test]
async fn rows_are_inserted_merged_and_found_again() {
    let mut rig = Rig::start().await;
    let rows = json!([person("ada@example.org", "Ada"), person("bob@example.org", "Bob")]);
    let made = rig
        .get(
            201,
            "contacts",
            json!([["insert", rows], ["select", "id,email,subscribed"]]),
        )
        .await;
    assert_eq!(
        made[0],
        json!({ "id": 1, "email": "ada@example.org", "subscribed": false })
    );
    // The same people again, and a new one.
    let rows = json!([
        person("ada@example.org", "Ada B."),
        person("eve@example.org", "Eve")
    ]);
    let upsert = json!([["upsert", rows, { "onConflict": "email" }], ["select", "email,first_name"]]);
    assert_eq!(rig.get(201, "contacts", upsert.clone()).await, rows);
    assert_eq!(rig.get(200, "contacts", upsert).await, rows);
    // Rows that exist are not returned.
    let rows = json!([person("ada@example.org", "X"), person("zoe@example.org", "Zoe")]);
    let ignore = json!([
        ["upsert", rows, { "onConflict": "email", "ignoreDuplicates": true, "defaultToNull": false }],
        ["select", "email"],
    ]);
    assert_eq!(
        rig.get(201, "contacts", ignore).await,
        json!([{ "email": "zoe@example.org" }])
    );
    let all =
        json!([["select", "first_name", { "count": "exact" }], ["order", "email", { "ascending": false }]]);
    let answer = rig.call("contacts", all).await;
    let names = answer["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["first_name"].as_str().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["Zoe", "Eve", "Bob", "Ada B."]);
    assert_eq!(answer["count"], 4);
}

#[tokio::test]
async fn conditions_find_rows_and_quotes_are_read() {
    let mut rig = Rig::start().await;
    let odd = "o\"x,y(z)\\@example.org";
    let rows = json!([person("ada@example.org", "Ada"), person(odd, "Odd"), { "email": "eve@example.org", "first_name": null }]);
    rig.get(201, "contacts", json!([["insert", rows]])).await;
    for (condition, count) in [
        (json!(["eq", "email", odd]), 1),
        (
            json!(["in", "email", ["ada@example.org", "eve@example.org", "x"]]),
            2,
        ),
        (json!(["neq", "first_name", "Ada"]), 1),
        (json!(["is", "first_name", null]), 1),
        (json!(["not", "first_name", "is", null]), 2),
        (json!(["ilike", "email", "ADA%"]), 1),
        (json!(["gt", "id", 1]), 2),
        (
            json!(["or", "first_name.is.null,and(id.eq.1,first_name.eq.\"Ada\")"]),
            2,
        ),
        (json!(["match", { "first_name": "Odd", "email": odd }]), 1),
    ] {
        let found = rig
            .get(200, "contacts", json!([["select", "id"], condition]))
            .await;
        assert_eq!(found.as_array().unwrap().len(), count, "{condition}");
    }
    let one = json!([["select", "email"], ["eq", "id", 1], ["single"]]);
    assert_eq!(
        rig.get(200, "contacts", one).await,
        json!({ "email": "ada@example.org" })
    );
    let none = json!([["select", "email"], ["eq", "id", 99], ["single"]]);
    assert_eq!(rig.fail("contacts", none).await, (406, "PGRST116".to_owned()));
    // A change needs a condition.
    let all = json!([["update", { "phone": "1" }]]);
    assert_eq!(rig.fail("contacts", all).await, (400, "21000".to_owned()));
    let one = json!([["update", { "phone": "1" }], ["eq", "id", 1]]);
    assert_eq!(rig.get(204, "contacts", one).await, Value::Null);
    let deleted = json!([["delete"], ["eq", "id", 1], ["select", "phone"]]);
    assert_eq!(rig.get(200, "contacts", deleted).await, json!([{ "phone": "1" }]));
}

/// Two constraints on the tables, and a third table without a key.
fn add_constraints(project: &mut Supabase) {
    project
        .tables
        .get_mut("contacts")
        .unwrap()
        .checks
        .push(("contacts_country_check".to_owned(), |row| row["country"] != "XX"));
    let actions = project.tables.get_mut("actions").unwrap();
    let key = ["actions_email_fkey", "email", "contacts", "email"].map(str::to_owned);
    let [name, column, table, other] = key;
    actions.foreign_keys.push((name, column, table, other));
    let lines = vec![
        Column::new("n", Type::Bigint),
        Column::new("at", Type::Timestamptz),
    ];
    project.add_table(Table::new("lines", lines, &[]));
}

#[tokio::test]
async fn the_database_refuses_what_postgresql_refuses() {
    let mut rig = Rig::start().await;
    rig.project.with(add_constraints);
    let insert = |row: Value| json!([["insert", row]]);
    let ada = insert(person("ada@example.org", "Ada"));
    rig.get(201, "contacts", ada).await;
    let twice = json!([person("eve@example.org", "1"), person("eve@example.org", "2")]);
    let action = json!({ "source": "x", "action_id": "1", "email": "ada@example.org" });
    rig.get(201, "actions", json!([["insert", action]])).await;
    for (table, methods, status, code) in [
        ("contacts", insert(person("ada@example.org", "Ada")), 409, "23505"),
        (
            "contacts",
            insert(json!({ "first_name": "Nobody" })),
            400,
            "23502",
        ),
        (
            "contacts",
            insert(json!({ "email": "b@example.org", "country": "XX" })),
            400,
            "23514",
        ),
        (
            "contacts",
            insert(json!({ "email": "b@example.org", "country": "XXX" })),
            400,
            "22001",
        ),
        (
            "contacts",
            insert(json!({ "email": "b\u{0}@example.org" })),
            400,
            "22P05",
        ),
        (
            "contacts",
            insert(json!({ "email": "b@example.org", "shoe": 42 })),
            400,
            "PGRST204",
        ),
        (
            "contacts",
            json!([["upsert", twice, { "onConflict": "email" }]]),
            500,
            "21000",
        ),
        (
            "contacts",
            json!([["upsert", twice, { "onConflict": "phone" }]]),
            400,
            "42P10",
        ),
        ("contacts", json!([["select", "shoe"]]), 400, "42703"),
        ("contacts", json!([["delete"], ["eq", "id", 1]]), 409, "23503"),
        (
            "actions",
            insert(json!({ "source": "x", "action_id": "2", "email": "no@example.org" })),
            409,
            "23503",
        ),
        ("lines", insert(json!({ "n": "seven" })), 400, "22P02"),
        ("lines", insert(json!({ "at": "soon" })), 400, "22007"),
        ("people", json!([["select", "*"]]), 404, "PGRST205"),
    ] {
        assert_eq!(
            rig.fail(table, methods.clone()).await,
            (status, code.to_owned()),
            "{methods}"
        );
    }
    assert_eq!(
        rig.project.with(|project| project.tables["contacts"].rows.len()),
        1
    );
    rig.project.with(|project| project.is_read_only = true);
    let late = json!([["insert", person("late@example.org", "L")]]);
    assert_eq!(rig.fail("contacts", late).await, (405, "25006".to_owned()));
}

#[tokio::test]
async fn keys_and_policies_decide_what_is_allowed() {
    let mut rig = Rig::start().await;
    rig.project.with(|project| {
        let policies = Policies {
            select: false,
            insert: true,
            update: true,
            delete: true,
        };
        project.tables.get_mut("contacts").unwrap().policies = Some(policies);
    });
    let read = json!([["select", "email"]]);
    let write = json!([["upsert", person("ada@example.org", "Ada"), { "onConflict": "email" }]]);
    for (headers, status, code) in [
        (json!({}), 401, ""),
        (json!({ "apikey": "sb_secret_of_somebody" }), 401, ""),
        // A key of the new form is no JWT.
        (
            json!({ "apikey": SECRET_KEY, "Authorization": format!("Bearer {SECRET_KEY}") }),
            401,
            "PGRST301",
        ),
        (
            json!({ "apikey": ANON_JWT, "Authorization": format!("Bearer {ANON_JWT}") }),
            403,
            "42501",
        ),
    ] {
        rig.client.ask(&json!({ "headers": headers })).await;
        assert_eq!(
            rig.fail("contacts", write.clone()).await,
            (status, code.to_owned()),
            "{headers}"
        );
    }
    assert_eq!(rig.get(200, "contacts", read.clone()).await, json!([]));
    let legacy =
        json!({ "headers": { "apikey": SERVICE_JWT, "Authorization": format!("Bearer {SERVICE_JWT}") } });
    rig.client.ask(&legacy).await;
    rig.get(201, "contacts", write).await;
    assert_eq!(
        rig.get(200, "contacts", read.clone()).await,
        json!([{ "email": "ada@example.org" }])
    );
    rig.project.with(|project| project.has_legacy_keys = false);
    assert_eq!(rig.fail("contacts", read).await.0, 401);
}
