use causeway_testkit::vendors::hubspot::{Property, Type};
use serde_json::{Value, json};

use super::{Account, KEY, each};

const CREATE: &str = "crm.properties.coreApi.create";

fn new(name: &str) -> Value {
    json!({ "name": name, "label": "Hub key", "type": "string", "fieldType": "text",
        "groupName": "contactinformation", "hasUniqueValue": true })
}

#[tokio::test]
async fn properties_are_read_and_listed() {
    let mut account = Account::start().await;
    let key = account
        .get("crm.properties.coreApi.getByName", json!(["contacts", KEY]))
        .await;
    assert_eq!(
        (&key["type"], &key["hasUniqueValue"]),
        (&json!("string"), &json!(true))
    );
    let email = account
        .get(
            "crm.properties.coreApi.getByName",
            json!(["contacts", "createdate"]),
        )
        .await;
    assert_eq!(email["modificationMetadata"]["readOnlyValue"], true);
    let all = account
        .get("crm.properties.coreApi.getAll", json!(["contacts"]))
        .await;
    assert!(each(&all["results"], "name").contains(&KEY));
    let error = account
        .fail(
            404,
            "crm.properties.coreApi.getByName",
            json!(["contacts", "shoe_size"]),
        )
        .await;
    assert_eq!(error["category"], "OBJECT_NOT_FOUND");
    let groups = account
        .get("crm.properties.groupsApi.getAll", json!(["contacts"]))
        .await;
    assert_eq!(each(&groups["results"], "name"), ["contactinformation"]);
}

#[tokio::test]
async fn a_property_is_created_once() {
    let mut account = Account::start().await;
    let created = account.get(CREATE, json!(["contacts", new("hub_key")])).await;
    assert_eq!(
        (&created["name"], &created["hasUniqueValue"]),
        (&json!("hub_key"), &json!(true))
    );
    let error = account
        .fail(409, CREATE, json!(["contacts", new("hub_key")]))
        .await;
    assert_eq!(error["category"], "OBJECT_ALREADY_EXISTS");
    for (field, value) in [
        ("name", "Hub-Key"),
        ("type", "text"),
        ("fieldType", "line"),
        ("groupName", "mine"),
    ] {
        let mut wrong = new("another");
        wrong[field] = value.into();
        account.fail(400, CREATE, json!(["contacts", wrong])).await;
    }
    let change = json!(["contacts", "hub_key", { "label": "Key" }]);
    assert_eq!(
        account.get("crm.properties.coreApi.update", change).await["label"],
        "Key"
    );
    account.get(CREATE, json!(["notes", new("hub_key")])).await;
}

#[tokio::test]
async fn ten_properties_may_have_unique_values() {
    let mut account = Account::start().await;
    account.with(|hubspot| {
        for number in 1..10 {
            let property = Property::new(&format!("key_{number}"), Type::String).unique();
            hubspot.contacts.properties.add(property);
        }
    });
    account
        .fail(400, CREATE, json!(["contacts", new("hub_key")]))
        .await;
    let mut not_unique = new("hub_key");
    not_unique["hasUniqueValue"] = false.into();
    account.get(CREATE, json!(["contacts", not_unique])).await;
}

#[tokio::test]
async fn a_batch_creates_those_that_are_new() {
    let mut account = Account::start().await;
    let both = json!(["contacts", { "inputs": [new("hub_key"), new(KEY)] }]);
    let answer = account.call("crm.properties.batchApi.create", both).await;
    assert_eq!((answer.status, answer.complaints), (207, vec![]));
    assert_eq!(each(&answer.value["results"], "name"), ["hub_key"]);
    assert_eq!(
        each(&answer.value["errors"], "category"),
        ["OBJECT_ALREADY_EXISTS"]
    );
}
