//! CleverReach. Its library is for PHP and is in no registry that the tests use, so no published client is run. A
//! script that was written from the documents alone judges the account: it has its own model of what each call does.

use std::sync::Arc;

use causeway_testkit::{
    clock::TestClock,
    vendors::{
        FakeVendor,
        cleverreach::{CLIENT_ID, CLIENT_SECRET, CleverReach},
    },
};
use serde_json::{Value, json};

use crate::python::Script;

struct Rig {
    account: FakeVendor<CleverReach>,
    group: u64,
    script: Script,
}

impl Rig {
    async fn start() -> Self {
        let mut account = CleverReach::new(Arc::new(TestClock::default()));
        let group = account.add_group("News");
        let account = FakeVendor::start(account).await;
        let mut script = Script::start("cleverreach_rules.py");
        let arguments = json!({ "url": account.url(), "id": CLIENT_ID, "secret": CLIENT_SECRET });
        script.run("start", arguments).await.unwrap();
        Self {
            account,
            group,
            script,
        }
    }

    async fn call(&mut self, method: &str, path: Value, body: Value) -> Result<Value, Value> {
        let arguments = json!({ "method": method, "path": path, "body": body });
        self.script.run("call", arguments).await
    }

    /// The status and the message of a refusal.
    async fn refused(&mut self, method: &str, path: Value, body: Value) -> (u64, String) {
        let error = self.call(method, path, body).await.expect_err("refused");
        let message = error["message"].as_str().unwrap().to_owned();
        (
            error["status"].as_u64().unwrap_or_else(|| panic!("{error}")),
            message,
        )
    }
}

#[tokio::test]
async fn random_calls_do_what_the_documents_say() {
    for seed in [1, 2] {
        let mut rig = Rig::start().await;
        let arguments = json!({ "group": rig.group, "seed": seed, "steps": 150 });
        let made = rig.script.run("judge", arguments).await;
        let made = made.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(made.as_object().unwrap().len(), 9, "{made}");
    }
}

#[tokio::test]
async fn the_judge_notices_an_account_that_breaks_a_rule() {
    let mut rig = Rig::start().await;
    rig.account.with(|account| account.activated_revives = true);
    let arguments = json!({ "group": rig.group, "seed": 1, "steps": 150 });
    let error = rig
        .script
        .run("judge", arguments)
        .await
        .expect_err("a broken rule");
    assert_eq!(error["raised"], "AssertionError", "{error}");
}

#[tokio::test]
async fn groups_attributes_and_the_blacklist_refuse_what_is_there_already() {
    let mut rig = Rig::start().await;
    let news = json!({ "name": "Rivers" });
    let group = rig.call("POST", json!(["groups"]), news.clone()).await.unwrap();
    assert_eq!(rig.refused("POST", json!(["groups"]), news).await.0, 409);
    let shoe = json!({ "name": "Shoe", "type": "number" });
    for path in [
        json!(["attributes"]),
        json!(["groups", group["id"], "attributes"]),
    ] {
        let made = rig.call("POST", path.clone(), shoe.clone()).await.unwrap();
        assert_eq!((&made["name"], &made["type"]), (&json!("shoe"), &json!("number")));
        assert_eq!(rig.refused("POST", path, shoe.clone()).await.0, 409);
    }
    let odd = json!({ "name": "x", "type": "cloud" });
    assert_eq!(rig.refused("POST", json!(["attributes"]), odd).await.0, 400);
    let entry = json!({ "email": "Eve@example.org", "comment": "bounced" });
    rig.call("POST", json!(["blacklist"]), entry.clone())
        .await
        .unwrap();
    assert_eq!(rig.refused("POST", json!(["blacklist"]), entry).await.0, 409);
    // Who is on it is no active receiver of any group.
    let path = json!(["groups", group["id"], "receivers", "upsertplus"]);
    let rows = rig
        .call("POST", path, json!({ "email": "eve@example.org" }))
        .await
        .unwrap();
    assert_eq!(rows[0]["active"], false);
    assert_eq!(
        rig.call("DELETE", json!(["blacklist", "eve@example.org"]), Value::Null)
            .await,
        Ok(json!(true))
    );
}

#[tokio::test]
async fn a_token_can_be_revoked_and_a_wrong_secret_gets_none() {
    let mut rig = Rig::start().await;
    let missing = json!(["groups", "999", "receivers", "upsert"]);
    let (status, message) = rig.refused("POST", missing, json!([])).await;
    assert_eq!((status, message.as_str()), (404, "Not Found: invalid group"));
    rig.call("GET", json!(["debug", "ttl"]), Value::Null)
        .await
        .unwrap();
    let revoked = rig.call("DELETE", json!(["oauth", "token"]), Value::Null).await;
    assert_eq!(revoked, Ok(json!(true)));
    let (status, message) = rig.refused("GET", json!(["debug", "ttl"]), Value::Null).await;
    assert_eq!((status, message.as_str()), (401, "Unauthorized"));
    let wrong = json!({ "url": rig.account.url(), "id": CLIENT_ID, "secret": "wrong" });
    let error = rig.script.run("start", wrong).await.expect_err("refused");
    assert_eq!(
        (&error["status"], &error["message"]),
        (&json!(401), &json!("invalid_client"))
    );
}
