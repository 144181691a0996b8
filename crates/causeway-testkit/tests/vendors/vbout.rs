//! VBOUT. It publishes no client for npm or PyPI, so a script stands in its place that was written from the published
//! OpenAPI alone: it knows the operations, their methods and the names of their parameters.

use std::sync::Arc;

use causeway_testkit::{
    clock::TestClock,
    vendors::{
        FakeVendor,
        vbout::{Dialect, KEY, Vbout},
    },
};
use serde_json::{Value, json};

use crate::python::Script;

const ADA: &str = "ada@example.org";

struct Rig {
    account: FakeVendor<Vbout>,
    script: Script,
    list: u64,
}

impl Rig {
    async fn start() -> Self {
        let mut account = Vbout::new(Arc::new(TestClock::default()));
        account.limit = None;
        let list = account.add_list("News", &["First Name", "Last Name", "Date Of Birth"]);
        let account = FakeVendor::start(account).await;
        let mut script = Script::start("vbout_openapi.py");
        let arguments = json!({ "url": account.url(), "key": KEY });
        script.run("start", arguments).await.unwrap();
        Self {
            account,
            script,
            list,
        }
    }

    async fn answer(&mut self, operation: &str, parameters: Value) -> Value {
        let result = self.script.run(operation, parameters).await;
        result.unwrap_or_else(|error| panic!("{operation}: {error}"))
    }

    async fn data(&mut self, operation: &str, parameters: Value) -> Value {
        let mut answer = self.answer(operation, parameters).await;
        let mut response = answer["body"]["response"].take();
        assert_eq!(response["header"]["status"], "ok", "{operation}: {response}");
        response["data"].take()
    }

    /// The code of an error within a success.
    async fn refused(&mut self, operation: &str, parameters: Value) -> u64 {
        let answer = self.answer(operation, parameters).await;
        let response = &answer["body"]["response"];
        assert_eq!(
            (&answer["status"], &response["header"]["status"]),
            (&json!(200), &json!("error")),
            "{operation}"
        );
        response["data"]["errorCode"].as_u64().unwrap()
    }
}

#[tokio::test]
async fn a_contact_is_added_found_edited_and_deleted() {
    let mut rig = Rig::start().await;
    let (list, field) = (rig.list, (rig.list + 1).to_string());
    let add = json!({ "status": "Active", "listid": list, "email": "Ada@example.org", "fields": { &field: "Ada" } });
    let id = rig.data("AddContact", add.clone()).await["id"].clone();
    assert_eq!(rig.refused("AddContact", add).await, 2005);
    let found = rig
        .data("GetContactByEmail", json!({ "email": ADA, "listid": list }))
        .await;
    assert_eq!(
        (&found["contact"][0]["id"], &found["contact"][0]["status"]),
        (&json!(id.to_string()), &json!("1"))
    );
    rig.data("EditContact", json!({ "id": id, "status": "Disactive" }))
        .await;
    let shown = rig.data("GetContact", json!({ "id": id })).await;
    assert_eq!(shown["contact"]["status"], "2");
    let all = rig.data("GetContacts", json!({ "listid": list })).await;
    assert_eq!(all["contacts"]["count"], 1);
    let kept = rig
        .account
        .with(|account| account.contacts.values().next().unwrap().clone());
    assert_eq!((&*kept.email, kept.fields.len()), ("Ada@example.org", 1));
    assert_eq!(
        rig.refused("DeleteContact", json!({ "id": id, "listid": 1 }))
            .await,
        2002
    );
    rig.data("DeleteContact", json!({ "id": id, "listid": list }))
        .await;
    let gone = rig.data("GetContactByEmail", json!({ "email": ADA })).await;
    assert_eq!(gone["contact"]["errorCode"], 2001);
    rig.account.with(|account| {
        account.dialect = Dialect {
            has_outer_errors: true,
            ..Dialect::default()
        };
    });
    assert_eq!(rig.refused("GetContact", json!({ "id": id })).await, 2001);
    assert!(rig.account.with(|account| account.unknown_parameters.is_empty()));
}

#[tokio::test]
async fn sync_writes_all_contacts_of_the_address_on_the_list() {
    let mut rig = Rig::start().await;
    let (list, field) = (rig.list, (rig.list + 1).to_string());
    let sync = |value: &str| json!({ "email": ADA, "listid": list, "fields": { &field: value } });
    rig.data("SyncContact", sync("Ada")).await;
    // A contact that is created without a status is mailed.
    assert_eq!(rig.account.with(|account| account.status(ADA, list)), Some(1));
    rig.account
        .with(|account| account.put_contact(list, "ADA@example.org", 2));
    rig.data("SyncContact", sync("Ida")).await;
    let contacts = rig.account.with(|account| account.contacts.clone());
    let statuses: Vec<u8> = contacts.values().map(|contact| contact.status).collect();
    assert_eq!(statuses, [1, 2]);
    assert!(
        contacts
            .values()
            .all(|contact| contact.fields.values().eq(["Ida"]))
    );
    // Each change of a field by the API starts automations; the same value does not.
    assert_eq!(rig.account.with(|account| account.fired.len()), 3);
    rig.data("SyncContact", sync("Ida")).await;
    assert_eq!(rig.account.with(|account| account.fired.len()), 3);
    assert_eq!(
        rig.refused("SyncContact", json!({ "email": "ada", "listid": list }))
            .await,
        2004
    );
    assert_eq!(
        rig.refused("SyncContact", json!({ "email": ADA, "listid": 7 }))
            .await,
        2002
    );
    let wrong = json!({ "email": ADA, "listid": list, "status": "Gone" });
    assert_eq!(rig.refused("SyncContact", wrong).await, 2004);
}

#[tokio::test]
async fn tags_are_a_set_and_activities_are_not() {
    let mut rig = Rig::start().await;
    let list = rig.list;
    let id = rig.account.with(|account| account.put_contact(list, ADA, 1));
    for _ in 0..2 {
        rig.data("AddTag", json!({ "email": ADA, "tagname": "rivers, bees" }))
            .await;
        let activity = json!({ "id": id, "description": "signed", "datetime": "2026-03-01 09:30" });
        rig.data("AddActivity", activity).await;
    }
    rig.data("RemoveTag", json!({ "email": ADA, "tagname": "bees" }))
        .await;
    let contact = rig.account.with(|account| account.contacts[&id].clone());
    assert!(contact.tags.iter().eq(["rivers"]));
    let timeline = rig.data("GetContactTimeline", json!({ "id": id })).await;
    assert_eq!(timeline["timeline"]["count"], 2);
    let by_address = json!({ "Email": ADA, "Include": "utm" });
    let timeline = rig.data("GetContactTimelineByEmailAddress", by_address).await;
    assert_eq!(timeline["timeline"]["data"][0]["snippet"], "signed");
    let wrong = json!({ "id": id, "description": "signed", "datetime": "01/03/2026" });
    assert_eq!(rig.refused("AddActivity", wrong).await, 2004);
    assert_eq!(
        rig.refused("AddTag", json!({ "email": "eve@example.org", "tagname": "x" }))
            .await,
        2001
    );
}

#[tokio::test]
async fn lists_show_the_numbers_of_their_fields() {
    let mut rig = Rig::start().await;
    let list = rig.list;
    let lists = rig.data("GetLists", json!({})).await;
    assert_eq!(lists["lists"]["items"][0]["id"], list.to_string());
    let shown = rig.data("GetList", json!({ "id": list })).await;
    assert_eq!(shown["list"]["fields"][(list + 3).to_string()], "Date Of Birth");
    assert_eq!(rig.refused("GetList", json!({ "id": 7 })).await, 2002);
    let other = rig.account.with(|account| account.add_list("Other", &[]));
    let id = rig.account.with(|account| account.put_contact(list, ADA, 1));
    rig.data(
        "MoveContact",
        json!({ "id": id, "listid": other, "sourceid": list }),
    )
    .await;
    assert_eq!(rig.account.with(|account| account.status(ADA, other)), Some(1));
}

#[tokio::test]
async fn wrong_keys_and_limits_have_statuses_of_their_own() {
    let mut rig = Rig::start().await;
    rig.account.with(|account| account.limit = Some(1));
    let answer = rig.answer("GetLists", json!({})).await;
    assert_eq!(answer["body"]["rate-limit"]["remaining"], "0");
    let answer = rig.answer("GetLists", json!({})).await;
    assert_eq!(
        (
            &answer["status"],
            &answer["body"]["rate-limit"]["reached"],
            &answer["headers"]["x-rate-limit-after"]
        ),
        (&json!(429), &json!("1"), &json!("1"))
    );
    rig.account.with(|account| account.limit = None);
    let wrong = json!({ "url": rig.account.url(), "key": "wrong" });
    rig.script.run("start", wrong).await.unwrap();
    let answer = rig.answer("GetLists", json!({})).await;
    assert_eq!(
        (
            &answer["status"],
            &answer["body"]["response"]["data"]["errorCode"]
        ),
        (&json!(401), &json!(1000))
    );
}

#[tokio::test]
async fn the_script_uses_only_published_names() {
    let mut rig = Rig::start().await;
    for (operation, parameters) in [
        ("GetContact", json!({})),
        ("GetContact", json!({ "id": 1, "phone": "1" })),
        ("EditContact", json!({ "id": 1, "listid": 2 })),
    ] {
        let error = rig.script.run(operation, parameters).await.unwrap_err();
        assert_eq!(error["raised"], "TypeError", "{operation}");
    }
}
