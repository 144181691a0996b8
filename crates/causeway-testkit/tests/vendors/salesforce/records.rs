use causeway_testkit::vendors::salesforce::{FieldAccess, faults};
use serde_json::{Value, json};

use super::{KEY, Org, contact};

fn named<'a>(describe: &'a Value, name: &str) -> &'a Value {
    let fields = describe["fields"].as_array().unwrap();
    let found = fields.iter().find(|field| field["name"] == name);
    found.unwrap_or(&Value::Null)
}

#[tokio::test]
async fn describe_shows_what_the_user_may_write() {
    let mut org = Org::start().await;
    org.with(|salesforce| {
        salesforce.set_access("Contact", "HasOptedOutOfEmail", FieldAccess::ReadOnly);
        salesforce.set_access("Contact", "EmailBouncedReason", FieldAccess::Hidden);
    });
    let contacts = org.get("describe", json!(["Contact"])).await;
    let key = named(&contacts, KEY);
    assert_eq!(
        [&key["externalId"], &key["unique"], &key["updateable"]],
        [&json!(true), &json!(true), &json!(true)]
    );
    assert_eq!(named(&contacts, "HasOptedOutOfEmail")["updateable"], false);
    assert_eq!(named(&contacts, "EmailBouncedReason"), &Value::Null);
    let name = named(&contacts, "LastName");
    assert_eq!([&name["nillable"], &name["length"]], [&json!(false), &json!(80)]);
    let members = org.get("describe", json!(["CampaignMember"])).await;
    let campaign = named(&members, "CampaignId");
    assert_eq!(
        [&campaign["updateable"], &campaign["relationshipName"]],
        [&json!(false), &json!("Campaign")]
    );
    org.fail("NOT_FOUND", "describe", json!(["Nothing__c"])).await;
    let all = org.get("describeGlobal", json!([])).await;
    assert!(all["sobjects"].as_array().unwrap().len() >= 5);
}

#[tokio::test]
async fn single_records_are_upserted_read_changed_and_deleted() {
    let mut org = Org::start().await;
    let one = |key: &str| json!(["Contact", contact(key), KEY]);
    let created = org.get("upsert", one("sup-1001")).await;
    assert_eq!(created["created"], true);
    let again = org.get("upsert", one("sup-1001")).await;
    assert_eq!((&again["id"], &again["created"]), (&created["id"], &json!(false)));
    assert_eq!(created["id"].as_str().unwrap().len(), 18);
    // The server takes such a value for the name of a file.
    org.fail("NOT_FOUND", "upsert", one("x@email.inc")).await;
    let changed = org
        .get(
            "update",
            json!(["Contact", { "Id": created["id"], "FirstName": "Zoe" }]),
        )
        .await;
    assert_eq!(changed["success"], true);
    let read = org.get("retrieve", json!(["Contact", created["id"]])).await;
    assert_eq!(
        (&read["FirstName"], &read["LastName"]),
        (&json!("Zoe"), &json!("Demo"))
    );
    org.get("destroy", json!(["Contact", created["id"]])).await;
    org.fail("NOT_FOUND", "retrieve", json!(["Contact", created["id"]]))
        .await;
    let message = org
        .fail(
            "REQUIRED_FIELD_MISSING",
            "create",
            json!(["Contact", { "FirstName": "Zoe" }]),
        )
        .await;
    assert_eq!(message, "Required fields are missing: [LastName]");
    // The key must not be in the body as well.
    let body = json!({ KEY: "x", "LastName": "Demo" });
    let path = format!("/sobjects/Contact/{KEY}/x");
    org.fail("INVALID_FIELD", "requestPatch", json!([path, body]))
        .await;
}

#[tokio::test]
async fn the_limit_of_the_day_is_shown_and_enforced() {
    let mut org = Org::start().await;
    org.with(|salesforce| salesforce.limits.max = 3);
    org.get("describe", json!(["Contact"])).await;
    assert_eq!(org.last["limits"]["apiUsage"], json!({ "used": 1, "limit": 3 }));
    let limits = org.get("limits", json!([])).await;
    assert_eq!(limits["DailyApiRequests"], json!({ "Max": 3, "Remaining": 1 }));
    org.get("describe", json!(["Contact"])).await;
    let message = org
        .fail("REQUEST_LIMIT_EXCEEDED", "describe", json!(["Contact"]))
        .await;
    assert_eq!(message, "TotalRequests Limit exceeded.");
    assert_eq!(org.with(|salesforce| salesforce.limits.refused), 1);
}

#[tokio::test]
async fn faults_and_old_versions_are_answered_as_by_the_vendor() {
    let mut org = Org::start().await;
    org.salesforce.fail([
        faults::concurrent_limit(),
        faults::api_disabled(),
        faults::server_unavailable(),
    ]);
    // The client repeats a GET by itself after a 503.
    let create = json!(["Contact", { "LastName": "Demo" }]);
    for code in [
        "REQUEST_LIMIT_EXCEEDED",
        "API_DISABLED_FOR_ORG",
        "SERVER_UNAVAILABLE",
    ] {
        org.fail(code, "create", create.clone()).await;
    }
    assert_eq!(org.with(|salesforce| salesforce.live("Contact").len()), 0);
    org.fail(
        "UNSUPPORTED_API_VERSION",
        "requestGet",
        json!(["/services/data/v30.0/limits"]),
    )
    .await;
    org.fail("NOT_FOUND", "requestGet", json!(["/services/data/v99.0/limits"]))
        .await;
    let versions = org.get("requestGet", json!(["/services/data"])).await;
    assert_eq!(versions.as_array().unwrap().last().unwrap()["version"], "68.0");
}

#[tokio::test]
async fn the_page_shows_the_records() {
    let org = Org::start().await;
    org.with(|salesforce| {
        salesforce.add("Contact", json!({ "LastName": "<Demo>" }));
        let page = causeway_testkit::vendors::Vendor::page(salesforce);
        assert!(page.contains("LastName: &lt;Demo>"), "{page}");
    });
}
