//! listmonk, with the client of this name.

use std::sync::Arc;

use causeway_testkit::{
    clock::TestClock,
    vendors::{
        FakeVendor,
        listmonk::{Listmonk, TOKEN, USER},
    },
};
use serde_json::{Value, json};

use crate::python::Script;

struct Rig {
    listmonk: FakeVendor<Listmonk>,
    client: Script,
}

impl Rig {
    async fn start() -> Self {
        let listmonk = FakeVendor::start(Listmonk::new(Arc::<TestClock>::default())).await;
        let client = Script::start("listmonk_client.py");
        let mut rig = Self { listmonk, client };
        assert_eq!(rig.log_in(TOKEN).await, true);
        rig
    }

    async fn log_in(&mut self, token: &str) -> Value {
        let arguments = json!({ "url": self.listmonk.url(), "user": USER, "token": token });
        self.ok("start", arguments).await
    }

    async fn ok(&mut self, command: &str, arguments: Value) -> Value {
        let result = self.client.run(command, arguments).await;
        result.unwrap_or_else(|error| panic!("{command}: {error}"))
    }
}

#[tokio::test]
async fn the_client_creates_finds_changes_and_deletes() {
    let mut rig = Rig::start().await;
    let ada = json!({ "email": "ada+news@example.org", "name": "Ada", "list_ids": [1], "pre_confirm": true, "attribs": { "city": "Pécs" } });
    let made = rig.ok("create", ada.clone()).await;
    assert_eq!(
        (&made["status"], &made["lists"], &made["subscriptions"]["1"]),
        (&json!("enabled"), &json!([1]), &json!("confirmed"))
    );
    let found = rig
        .ok("by_email", json!({ "email": "ada+news@example.org" }))
        .await;
    assert_eq!(
        (&found["id"], &found["attribs"]["city"]),
        (&made["id"], &json!("Pécs"))
    );
    let error = rig.client.run("create", ada).await.unwrap_err();
    assert!(error["message"].as_str().unwrap().contains("409"), "{error}");
    let changed = rig
        .ok(
            "update",
            json!({ "email": "ada+news@example.org", "name": "Ada B", "status": "blocklisted" }),
        )
        .await;
    assert_eq!(
        (&changed["name"], &changed["status"]),
        (&json!("Ada B"), &json!("blocklisted"))
    );
    assert_eq!(changed["subscriptions"]["1"], "unsubscribed");
    assert_eq!(
        rig.ok("delete", json!({ "email": "ada+news@example.org" })).await,
        true
    );
    assert_eq!(
        rig.ok("by_email", json!({ "email": "ada+news@example.org" }))
            .await,
        Value::Null
    );
}

#[tokio::test]
async fn lists_are_joined_and_confirmed() {
    let mut rig = Rig::start().await;
    let lists = rig.ok("lists", json!({})).await;
    assert_eq!(
        (&lists[1]["optin"], &lists[0]["name"]),
        (&json!("double"), &json!("News"))
    );
    let made = rig
        .ok("create", json!({ "email": "ada@example.org", "list_ids": [2] }))
        .await;
    assert_eq!(made["subscriptions"]["2"], "unconfirmed");
    assert_eq!(rig.listmonk.with(|listmonk| listmonk.opt_in_mails.len()), 1);
    let confirm = json!({ "subscriber": made["uuid"], "list": lists[1]["uuid"] });
    assert_eq!(rig.ok("confirm", confirm).await, true);
    assert_eq!(
        rig.ok("add", json!({ "ids": [made["id"]], "list_ids": [1] }))
            .await,
        true
    );
    let found = rig.ok("find", json!({ "list_id": 1 })).await;
    assert_eq!(
        found[0]["subscriptions"],
        json!({ "1": "confirmed", "2": "confirmed" })
    );
    let query = json!({ "query": "subscribers.email IN ('x', 'ada@example.org')" });
    assert_eq!(rig.ok("find", query).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn wrong_credentials_and_missing_rights_are_refused() {
    let mut rig = Rig::start().await;
    assert_eq!(rig.log_in("wrong").await, false);
    rig.log_in(TOKEN).await;
    rig.listmonk
        .with(|listmonk| listmonk.denied.insert("subscribers:sql_query"));
    let error = rig
        .client
        .run("by_email", json!({ "email": "ada@example.org" }))
        .await
        .unwrap_err();
    assert!(error["message"].as_str().unwrap().contains("403"), "{error}");
}
