use causeway_testkit::vendors::hubspot::{Property, Type};
use serde_json::{Value, json};

use super::{Account, each};

const CREATE: &str = "crm.objects.notes.basicApi.create";

fn note(contact: &str, association: u64) -> Value {
    json!([{ "properties": { "hs_timestamp": "2026-01-02T08:59:00Z", "hs_note_body": "Signed <b>Rivers</b>" },
        "associations": [{ "to": { "id": contact },
            "types": [{ "associationCategory": "HUBSPOT_DEFINED", "associationTypeId": association }] }] }])
}

#[tokio::test]
async fn a_note_is_created_with_its_contact() {
    let mut account = Account::start().await;
    let anna = account.add("anna@example.org", "a").to_string();
    let id = account.get(CREATE, note(&anna, 202)).await["id"].clone();
    let wanted = json!([id, ["hs_note_body"], null, ["contacts"]]);
    let found = account.get("crm.objects.notes.basicApi.getById", wanted).await;
    assert_eq!(found["properties"]["hs_note_body"], "Signed <b>Rivers</b>");
    assert_eq!(
        each(&found["associations"]["contacts"]["results"], "id"),
        [anna.as_str()]
    );

    account.fail(400, CREATE, note(&anna, 10)).await;
    let error = account.fail(400, CREATE, note("999", 202)).await;
    assert_eq!(error["context"]["INVALID_OBJECT_IDS"], json!(["999"]));
    let error = account
        .fail(
            400,
            CREATE,
            json!([{ "properties": { "hs_note_body": "x" }, "associations": [] }]),
        )
        .await;
    assert_eq!(
        error["errors"][0]["context"]["properties"],
        json!(["hs_timestamp"])
    );
}

#[tokio::test]
async fn notes_with_a_key_of_their_own_are_upserted_and_then_associated() {
    let mut account = Account::start().await;
    account.with(|hubspot| {
        hubspot
            .notes
            .properties
            .add(Property::new("ext_action_id", Type::String).unique());
    });
    let anna = account.add("anna@example.org", "a").to_string();
    let upsert = json!([{ "inputs": [{ "id": "act-1", "idProperty": "ext_action_id", "objectWriteTraceId": "t",
        "properties": { "hs_timestamp": "1767344340000", "hs_note_body": "Signed" } }] }]);
    let first = account
        .get("crm.objects.notes.batchApi.upsert", upsert.clone())
        .await;
    let again = account.get("crm.objects.notes.batchApi.upsert", upsert).await;
    assert_eq!(first["results"][0]["id"], again["results"][0]["id"]);
    let id = first["results"][0]["id"].as_str().unwrap();

    let labels = account
        .request(
            "GET",
            "/crm/associations/2026-09/notes/contacts/labels",
            Value::Null,
        )
        .await;
    assert_eq!(labels.raw["results"][0]["typeId"], 202);
    let path = format!("/crm/objects/2026-09/notes/{id}/associations/default/contacts/{anna}");
    assert_eq!(account.request("PUT", &path, Value::Null).await.status, 200);
    let pair = |contact: &str| json!({ "from": { "id": id }, "to": { "id": contact } });
    let path = "/crm/associations/2026-09/notes/contacts/batch/associate/default";
    let answer = account
        .request("POST", path, json!({ "inputs": [pair(&anna), pair("999")] }))
        .await;
    assert_eq!((answer.status, &answer.raw["numErrors"]), (207, &json!(1)));
    account.with(|hubspot| {
        let notes: Vec<_> = hubspot.notes.live().collect();
        assert_eq!((notes.len(), notes[0].contacts.len()), (1, 1));
    });
}
