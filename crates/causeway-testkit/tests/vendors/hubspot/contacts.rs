use std::time::Duration;

use causeway_testkit::vendors::hubspot::Processing;
use serde_json::{Value, json};

use super::{Account, KEY, each};

const CREATE: &str = "crm.contacts.basicApi.create";
const GET: &str = "crm.contacts.basicApi.getById";
const UPDATE: &str = "crm.contacts.basicApi.update";

fn by(id: &str, property: &str) -> Value {
    json!([
        id,
        [KEY, "email", "hs_additional_emails"],
        null,
        null,
        false,
        property
    ])
}

#[tokio::test]
async fn a_contact_is_found_by_each_of_its_ids() {
    let mut account = Account::start().await;
    let value = account
        .get(
            CREATE,
            json!([{ "properties": { "email": "Anna@Example.org", KEY: "a",
        "hs_additional_emails": "old@example.org;older@example.org" }, "associations": [] }]),
        )
        .await;
    let id = value["id"].as_str().unwrap().to_owned();
    assert_eq!(value["properties"]["email"], "anna@example.org");
    for arguments in [
        by("anna@example.org", "email"),
        by("OLDER@example.org", "email"),
        by("a", KEY),
        json!([id]),
    ] {
        assert_eq!(account.get(GET, arguments).await["id"], id.as_str());
    }
    let error = account.fail(404, GET, by("nobody@example.org", "email")).await;
    assert_eq!(
        (&error["message"], &error["category"]),
        (&json!("resource not found"), &Value::Null)
    );
    let error = account.fail(404, GET, json!(["nobody"])).await;
    assert_eq!(error["category"], "OBJECT_NOT_FOUND");
    account.fail(400, GET, by("Anna", "firstname")).await;
}

#[tokio::test]
async fn an_address_belongs_to_one_contact() {
    let mut account = Account::start().await;
    let anna = account.add("anna@example.org", "a").to_string();
    account
        .get(
            UPDATE,
            json!([anna, { "properties": { "hs_additional_emails": "second@example.org" } }]),
        )
        .await;
    let bert = account.add("bert@example.org", "b").to_string();
    for email in ["anna@example.org", "SECOND@example.org"] {
        let error = account
            .fail(
                409,
                CREATE,
                json!([{ "properties": { "email": email }, "associations": [] }]),
            )
            .await;
        assert_eq!(
            error["message"],
            format!("Contact already exists. Existing ID: {anna}")
        );
    }
    for (name, value) in [("email", "second@example.org"), (KEY, "a")] {
        let error = account
            .fail(400, UPDATE, json!([bert, { "properties": { name: value } }]))
            .await;
        let message = error["message"].as_str().unwrap();
        assert!(
            message.ends_with(&format!(
                "value={value}}} on {bert}. {anna} already has that value."
            )),
            "{message}"
        );
    }
    // A secondary address changes places with the primary one.
    let value = account
        .get(
            UPDATE,
            json!([anna, { "properties": { "email": "second@example.org" } }]),
        )
        .await;
    assert_eq!(value["properties"]["hs_additional_emails"], "anna@example.org");
}

#[tokio::test]
async fn values_are_checked_and_all_that_is_wrong_is_reported() {
    let mut account = Account::start().await;
    let id = account.add("anna@example.org", "a").to_string();
    let wrong = json!({ "shoe_size": "38", "hs_object_id": "1", "email": "anna@", "hs_language": "xx",
        "city": "Ghent" });
    let error = account
        .fail(400, UPDATE, json!([id, { "properties": wrong }]))
        .await;
    let codes = [
        "PROPERTY_DOESNT_EXIST",
        "READ_ONLY_VALUE",
        "INVALID_EMAIL",
        "INVALID_OPTION",
    ];
    assert_eq!(each(&error["errors"], "code"), codes);
    let list = error["message"].as_str().unwrap().split_once(": ").unwrap().1;
    let list: Value = serde_json::from_str(list).unwrap();
    assert_eq!(
        (&list[2]["name"], &list[2]["error"]),
        (&json!("email"), &json!("INVALID_EMAIL"))
    );
    let unchanged = account.with(|hubspot| hubspot.contacts.by_id(70_001).unwrap().values.clone());
    assert!(!unchanged.contains_key("city"));

    account
        .get(
            UPDATE,
            json!([id, { "properties": { "city": "Ghent", "lifecyclestage": "customer" } }]),
        )
        .await;
    // An empty value clears a property. A stage does not go back, unless it is cleared first.
    let value = account
        .get(
            UPDATE,
            json!([id, { "properties": { "city": "", "lifecyclestage": "lead" } }]),
        )
        .await;
    assert_eq!(value["properties"]["city"], Value::Null);
    assert_eq!(value["properties"]["lifecyclestage"], "customer");
}

#[tokio::test]
async fn the_account_may_require_properties() {
    let mut account = Account::start().await;
    account.with(|hubspot| hubspot.contacts.required.insert("country".to_owned()));
    let new = json!([{ "properties": { "email": "anna@example.org" }, "associations": [] }]);
    let error = account.fail(400, CREATE, new).await;
    assert_eq!(error["errors"][0]["context"]["properties"], json!(["country"]));
}

#[tokio::test]
async fn all_contacts_are_listed_page_by_page() {
    let mut account = Account::start().await;
    for number in 0..25 {
        account.add(&format!("p{number}@example.org"), &number.to_string());
    }
    account.with(|hubspot| {
        hubspot.archive_contact(70_003);
    });
    let all = account
        .step(&json!({ "call": "crm.contacts.getAll", "with": [10, null, ["email", KEY]] }))
        .await;
    let all = &all.value;
    assert_eq!(
        (all.as_array().unwrap().len(), &all[2]["properties"][KEY]),
        (24, &json!("3"))
    );
    let archived = account
        .get(
            "crm.contacts.basicApi.getPage",
            json!([10, null, null, null, null, true]),
        )
        .await;
    assert_eq!(each(&archived["results"], "id"), ["70003"]);
    assert_eq!(account.hubspot.requests().len(), 4);
    account
        .fail(400, "crm.contacts.basicApi.getPage", json!([101]))
        .await;
}

#[tokio::test]
async fn an_archived_contact_frees_its_address() {
    let mut account = Account::start().await;
    let anna = account.add("anna@example.org", "a").to_string();
    assert_eq!(
        account
            .call("crm.contacts.basicApi.archive", json!([anna]))
            .await
            .status,
        204
    );
    account.fail(404, GET, json!([anna])).await;
    let value = account.get(GET, json!([anna, null, null, null, true])).await;
    assert_eq!(value["archived"], true);
    assert_ne!(account.add("anna@example.org", "a").to_string(), anna);
}

#[tokio::test]
async fn a_contact_that_is_deleted_for_good_cannot_come_back() {
    let mut account = Account::start().await;
    let anna = account.add("anna@example.org", "a");
    let list = account.with(|hubspot| hubspot.add_list("Petition", Processing::Manual));
    account.with(|hubspot| {
        let now = hubspot.clock.now();
        hubspot.lists.get_mut(&list).unwrap().members.insert(anna, now)
    });
    let erase = |email: &str| json!([{ "objectId": email, "idProperty": "email" }]);
    for email in ["anna@example.org", "never@example.org"] {
        assert_eq!(
            account
                .call("crm.contacts.basicApi.purge", erase(email))
                .await
                .status,
            204
        );
        let new = json!([{ "properties": { "email": email }, "associations": [] }]);
        let error = account.fail(400, CREATE, new).await;
        assert_eq!(error["errors"][0]["message"], "email has been GDPR blacklisted");
    }
    account
        .fail(404, GET, json!([anna.to_string(), null, null, null, true]))
        .await;
    assert!(account.with(|hubspot| hubspot.lists[&list].members.is_empty()));
}

#[tokio::test]
async fn a_merge_makes_a_new_contact_to_which_both_ids_lead() {
    let mut account = Account::start().await;
    let (anna, old) = (
        account.add("anna@example.org", "a"),
        account.add("old@example.org", "b"),
    );
    let list = account.with(|hubspot| hubspot.add_list("Petition", Processing::Manual));
    account
        .get(
            "crm.lists.membershipsApi.add",
            json!([list.to_string(), [old.to_string()]]),
        )
        .await;
    let both = json!([{ "primaryObjectId": anna.to_string(), "objectIdToMerge": old.to_string() }]);
    let merged = account.get("crm.contacts.basicApi.merge", both).await;
    let id = merged["id"].as_str().unwrap();
    assert!(![anna.to_string(), old.to_string()].contains(&id.to_owned()));
    let properties = &merged["properties"];
    assert_eq!(
        (&properties["email"], &properties["hs_additional_emails"]),
        (&json!("anna@example.org"), &json!("old@example.org"))
    );
    assert_eq!(properties[KEY], "a");
    for old_id in [anna, old] {
        assert_eq!(account.get(GET, json!([old_id.to_string()])).await["id"], id);
    }
    let members = account
        .get("crm.lists.membershipsApi.getPage", json!([list.to_string()]))
        .await;
    assert_eq!(each(&members["results"], "recordId"), [id]);
    let change = account
        .get(
            "crm.lists.membershipsApi.add",
            json!([list.to_string(), [anna.to_string()]]),
        )
        .await;
    assert_eq!(change["recordIdsMissing"], json!([anna.to_string()]));
}

#[tokio::test]
async fn a_search_is_behind() {
    let mut account = Account::start().await;
    let anna = account.add("anna@example.org", "a").to_string();
    let search = json!([{ "filterGroups": [{ "filters": [
        { "propertyName": "email", "operator": "EQ", "value": "anna@example.org" }] }],
        "properties": ["email", KEY], "sorts": ["-createdate"], "limit": 1, "after": "0", "query": "" }]);
    let method = "crm.contacts.searchApi.doSearch";
    assert_eq!(account.get(method, search.clone()).await["total"], 0);
    account.with(|hubspot| hubspot.clock.advance(Duration::from_secs(10)));
    let found = account.get(method, search.clone()).await;
    assert_eq!(
        (&found["total"], each(&found["results"], "id")),
        (&json!(1), vec![anna.as_str()])
    );
    account
        .get(
            UPDATE,
            json!([anna, { "properties": { "email": "new@example.org" } }]),
        )
        .await;
    assert_eq!(account.get(method, search).await["total"], 1);

    let bad = json!([{ "filterGroups": [], "properties": [], "sorts": [], "limit": 201, "after": "0" }]);
    account.fail(400, method, bad).await;
}
