//! CiviCRM's APIv4, with civicrmapi and civicrm-py.

use std::sync::Arc;

use causeway_testkit::{
    clock::TestClock,
    vendors::{
        FakeVendor,
        civicrm::{API_KEY, CiviCrm, faults},
    },
};
use serde_json::{Value, json};

use crate::python::Script;

const CLIENTS: [&str; 2] = ["query", "form"];

struct Rig {
    site: FakeVendor<CiviCrm>,
    client: Script,
}

impl Rig {
    async fn start() -> Self {
        Self::with_key(API_KEY).await
    }

    async fn with_key(key: &str) -> Self {
        let site = FakeVendor::start(CiviCrm::new(Arc::<TestClock>::default())).await;
        let mut client = Script::start("civicrm.py");
        let arguments = json!({ "url": site.url(), "key": key });
        client.run("start", arguments).await.unwrap();
        Self { site, client }
    }

    async fn call(
        &mut self,
        client: &str,
        entity: &str,
        action: &str,
        params: Value,
    ) -> Result<Value, Value> {
        let arguments = json!({ "client": client, "entity": entity, "action": action, "params": params });
        self.client.run("call", arguments).await
    }

    async fn ok(&mut self, client: &str, entity: &str, action: &str, params: Value) -> Value {
        let result = self.call(client, entity, action, params).await;
        result.unwrap_or_else(|error| panic!("{client} {entity}.{action}: {error}"))
    }
}

#[tokio::test]
async fn both_clients_create_find_change_and_delete_contacts() {
    for client in CLIENTS {
        let mut rig = Rig::start().await;
        let chain = json!({ "email": ["Email", "create", { "values": { "contact_id": "$id", "email": "ada@example.org" } }, 0] });
        let values = json!({ "first_name": "Ada", "preferred_language": "de_DE" });
        let made = rig
            .ok(
                client,
                "Contact",
                "create",
                json!({ "values": values, "chain": chain }),
            )
            .await;
        let id = &made[0]["id"];
        assert_eq!(made[0]["email"]["is_primary"], true, "{made}");
        let found = rig
            .ok(
                client,
                "Email",
                "get",
                json!({
                    "select": ["email", "contact_id", "contact_id.first_name", "on_hold"],
                    "where": [["email", "IN", ["ADA@example.org"]], ["contact_id.is_deleted", "=", false]],
                }),
            )
            .await;
        assert_eq!(found[0]["contact_id.first_name"], "Ada", "{found}");
        assert_eq!((&found[0]["contact_id"], &found[0]["on_hold"]), (id, &json!(0)));
        let changed = rig
            .ok(
                client,
                "Contact",
                "update",
                json!({ "where": [["id", "=", id]], "values": { "is_opt_out": true } }),
            )
            .await;
        assert_eq!(changed[0]["is_opt_out"], true);
        rig.ok(
            client,
            "Contact",
            "delete",
            json!({ "where": [["id", "=", id]], "useTrash": false }),
        )
        .await;
        let left = rig
            .ok(
                client,
                "Email",
                "get",
                json!({ "select": ["id"], "where": [["id", ">", 0]] }),
            )
            .await;
        assert_eq!(left, json!([]), "the addresses go with the contact");
    }
}

#[tokio::test]
async fn save_finds_by_match_and_options_have_names() {
    for client in CLIENTS {
        let mut rig = Rig::start().await;
        let id = rig
            .site
            .with(|site| site.add_contact("ada@example.org", &json!({})));
        let record = json!({ "contact_id": id, "group_id:name": "newsletter", "status": "Added" });
        for status in ["Added", "Removed"] {
            let mut record = record.clone();
            record["status"] = status.into();
            let params = json!({ "records": [record], "match": ["contact_id", "group_id"] });
            rig.ok(client, "GroupContact", "save", params).await;
        }
        let members = rig
            .ok(
                client,
                "GroupContact",
                "get",
                json!({ "select": ["status", "group_id:name"], "where": [["id", ">", 0]] }),
            )
            .await;
        assert_eq!(members[0]["status"], "Removed");
        assert_eq!(members[0]["group_id:name"], "newsletter");
        let history = rig
            .ok(
                client,
                "SubscriptionHistory",
                "get",
                json!({ "select": ["status"], "where": [["id", ">", 0]], "orderBy": { "id": "DESC" } }),
            )
            .await;
        assert_eq!(history.as_array().unwrap().len(), 2, "{history}");
        assert_eq!(history[0]["status"], "Removed");
        let activity = json!({ "activity_type_id:name": "Petition", "source_contact_id": id });
        let stored = rig
            .ok(client, "Activity", "create", json!({ "values": activity }))
            .await;
        assert_eq!(stored[0]["activity_type_id"], 32);
    }
}

#[tokio::test]
async fn the_clients_read_errors_as_civicrm_sends_them() {
    let mut rig = Rig::start().await;
    let wrong = json!({ "values": { "activity_type_id:name": "Nothing", "source_contact_id": 1 } });
    let error = rig
        .call("form", "Activity", "create", wrong.clone())
        .await
        .unwrap_err();
    assert_eq!(error["raised"], "CiviAPIError", "{error}");
    let text = error["message"].as_str().unwrap();
    assert!(
        text.contains("Mandatory values missing") && text.contains("activity_type_id"),
        "{text}"
    );
    rig.site.with(|site| site.shows_errors = false);
    let error = rig.call("query", "Activity", "create", wrong).await.unwrap_err();
    assert_eq!(error["raised"], "ApiError", "{error}");
    assert!(
        !error["message"].as_str().unwrap().contains("Mandatory"),
        "{error}"
    );
    rig.site
        .with(|site| site.denied.insert("Contact.create".to_owned()));
    let denied = json!({ "values": { "first_name": "Ada" } });
    let error = rig.call("form", "Contact", "create", denied).await.unwrap_err();
    assert_eq!(error["raised"], "CiviAuthError", "{error}");
    rig.site.fail([faults::login_page()]);
    let error = rig.call("query", "Contact", "get", json!({})).await.unwrap_err();
    assert_eq!(error["raised"], "InvalidResponse", "{error}");
    let mut rig = Rig::with_key("wrong").await;
    let error = rig.call("query", "Contact", "get", json!({})).await.unwrap_err();
    assert_eq!(error["raised"], "AccessDenied", "{error}");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("HTTP 401 Invalid credential")
    );
}
