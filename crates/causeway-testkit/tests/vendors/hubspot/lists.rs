use causeway_testkit::vendors::hubspot::Processing;
use serde_json::{Value, json};

use super::{Account, each};

fn new(name: &str) -> Value {
    json!([{ "name": name, "objectTypeId": "0-1", "processingType": "MANUAL" }])
}

#[tokio::test]
async fn a_list_is_created_once_and_found_by_name() {
    let mut account = Account::start().await;
    let created = account
        .get("crm.lists.listsApi.create", new("Petition 17 / signers"))
        .await;
    let id = created["list"]["listId"].as_str().unwrap().to_owned();
    let error = account
        .fail(400, "crm.lists.listsApi.create", new("Petition 17 / signers"))
        .await;
    assert_eq!(error["subCategory"], "ILS.DUPLICATE_LIST_NAMES");
    let found = account
        .get(
            "crm.lists.listsApi.getByName",
            json!(["Petition 17 / signers", "0-1"]),
        )
        .await;
    assert_eq!(
        (&found["list"]["listId"], &found["list"]["processingType"]),
        (&json!(id), &json!("MANUAL"))
    );
    account
        .fail(404, "crm.lists.listsApi.getByName", json!(["Other", "0-1"]))
        .await;

    account
        .get("crm.lists.listsApi.updateName", json!([id, "Signers"]))
        .await;
    let search = json!([{ "listIds": [], "offset": 0, "processingTypes": [],
        "additionalProperties": [], "query": "sign" }]);
    let found = account.get("crm.lists.listsApi.doSearch", search).await;
    assert_eq!(each(&found["lists"], "name"), ["Signers"]);
    assert_eq!(
        account
            .call("crm.lists.listsApi.remove", json!([id]))
            .await
            .status,
        204
    );
    account.fail(404, "crm.lists.listsApi.getById", json!([id])).await;
    assert_eq!(
        account
            .call("crm.lists.listsApi.restore", json!([id]))
            .await
            .status,
        204
    );
    account.get("crm.lists.listsApi.getById", json!([id])).await;
}

#[tokio::test]
async fn members_are_changed_and_those_that_do_not_exist_are_named() {
    let mut account = Account::start().await;
    let list = account
        .with(|hubspot| hubspot.add_list("Petition", Processing::Manual))
        .to_string();
    let (anna, bert) = (
        account.add("anna@example.org", "a").to_string(),
        account.add("bert@example.org", "b").to_string(),
    );
    let change = account
        .get("crm.lists.membershipsApi.add", json!([list, [anna, "999"]]))
        .await;
    assert_eq!(
        (&change["recordsIdsAdded"], &change["recordIdsMissing"]),
        (&json!([anna]), &json!(["999"]))
    );
    let both = json!([list, { "recordIdsToAdd": [anna, bert], "recordIdsToRemove": [anna] }]);
    let change = account.get("crm.lists.membershipsApi.addAndRemove", both).await;
    assert_eq!(
        (&change["recordsIdsAdded"], &change["recordIdsRemoved"]),
        (&json!([bert]), &json!([anna]))
    );
    let half = account
        .request(
            "PUT",
            &format!("/crm/lists/2026-09/{list}/memberships/add-and-remove"),
            json!({ "recordIdsToAdd": [anna] }),
        )
        .await;
    assert!(
        half.raw["message"]
            .as_str()
            .unwrap()
            .ends_with("not set: [recordIdsToRemove]")
    );
    let change = account
        .get("crm.lists.membershipsApi.remove", json!([list, [anna, bert]]))
        .await;
    assert_eq!(change["recordIdsRemoved"], json!([bert]));

    let dynamic = account
        .with(|hubspot| hubspot.add_list("All", Processing::Dynamic))
        .to_string();
    account
        .fail(400, "crm.lists.membershipsApi.add", json!([dynamic, [anna]]))
        .await;
    account
        .fail(404, "crm.lists.membershipsApi.add", json!(["1", [anna]]))
        .await;
}

#[tokio::test]
async fn members_are_listed_page_by_page() {
    let mut account = Account::start().await;
    let list = account
        .with(|hubspot| hubspot.add_list("Petition", Processing::Manual))
        .to_string();
    let ids: Vec<String> = (0..5)
        .map(|number| {
            account
                .add(&format!("p{number}@example.org"), &number.to_string())
                .to_string()
        })
        .collect();
    account
        .get("crm.lists.membershipsApi.add", json!([list, ids]))
        .await;
    let first = account
        .get("crm.lists.membershipsApi.getPage", json!([list, null, null, 3]))
        .await;
    let after = &first["paging"]["next"]["after"];
    let second = account
        .get("crm.lists.membershipsApi.getPage", json!([list, after, null, 3]))
        .await;
    assert_eq!(
        [
            each(&first["results"], "recordId"),
            each(&second["results"], "recordId")
        ]
        .concat(),
        ids
    );
    assert_eq!(second["paging"], Value::Null);
    let list = account.get("crm.lists.listsApi.getById", json!([list])).await;
    assert_eq!(list["list"]["size"], 5);
}
