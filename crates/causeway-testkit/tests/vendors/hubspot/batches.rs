use causeway_testkit::vendors::hubspot::{RowErrors, faults};
use serde_json::{Value, json};

use super::{Account, KEY, each, row};

const UPSERT: &str = "crm.contacts.batchApi.upsert";

fn inputs(rows: &[Value]) -> Value {
    json!([{ "inputs": rows }])
}

fn without_traces(rows: &[Value]) -> Value {
    let mut rows = rows.to_vec();
    for row in &mut rows {
        row.as_object_mut().unwrap().remove("objectWriteTraceId");
    }
    inputs(&rows)
}

fn two_bad_of_four() -> [Value; 4] {
    [
        row("a", "anna@example.org"),
        row("b", "not-an-email"),
        row("c", "Carl@Example.org"),
        row("d", "dora@"),
    ]
}

#[tokio::test]
async fn an_upsert_reports_bad_rows_and_writes_the_others() {
    let mut account = Account::start().await;
    let answer = account.call(UPSERT, inputs(&two_bad_of_four())).await;
    assert_eq!(
        (answer.status, answer.complaints.as_slice()),
        (207, [].as_slice())
    );
    assert_eq!(
        answer.all["model"],
        "BatchResponseSimplePublicUpsertObjectWithErrors"
    );
    let value = answer.value;
    assert_eq!(
        (&value["status"], &value["numErrors"]),
        (&json!("COMPLETE"), &json!(2))
    );
    assert_eq!(each(&value["results"], "objectWriteTraceId"), ["t-c", "t-a"]);
    assert_eq!(value["results"][0]["properties"]["email"], "carl@example.org");
    assert_eq!(value["results"][0]["_new"], true);
    let traces: Vec<&Value> = value["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| &error["context"]["objectWriteTraceId"])
        .collect();
    assert_eq!(traces, [&json!(["t-d"]), &json!(["t-b"])]);
    let error = &value["errors"][1]["errors"][0];
    assert_eq!(error["code"], "INVALID_EMAIL");
    assert_eq!(error["context"]["propertyName"], json!(["email"]));
    assert_eq!(account.with(|hubspot| hubspot.contacts.live().count()), 2);
}

#[tokio::test]
async fn an_answer_200_may_hold_errors_that_the_client_does_not_show() {
    let mut account = Account::start().await;
    account.with(|hubspot| hubspot.batches.mixed_status = 200);
    let answer = account.call(UPSERT, inputs(&two_bad_of_four())).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.value["errors"], Value::Null);
    assert_eq!(answer.raw["errors"].as_array().unwrap().len(), 2);
    let unknown = ["numErrors: unknown", "errors: unknown"];
    let unknown = unknown.map(|text| format!("BatchResponseSimplePublicUpsertObject.{text}"));
    assert_eq!(answer.complaints, unknown);
}

#[tokio::test]
async fn a_bad_row_rejects_a_batch_without_trace_ids() {
    let mut account = Account::start().await;
    let error = account
        .fail(400, UPSERT, without_traces(&two_bad_of_four()))
        .await;
    assert_eq!(error["category"], "VALIDATION_ERROR");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .starts_with("Property values were not valid: [{")
    );
    assert_eq!(account.with(|hubspot| hubspot.contacts.records().len()), 0);
    let rows = [two_bad_of_four()[0].clone(), two_bad_of_four()[2].clone()];
    let value = account.get(UPSERT, without_traces(&rows)).await;
    assert_eq!(value["results"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_conflict_rejects_the_batch_and_names_only_the_first() {
    let mut account = Account::start().await;
    let first = account.add("anna@example.org", "other-a");
    account.add("bert@example.org", "other-b");
    let rows = [
        row("new", "new@example.org"),
        row("a", "anna@example.org"),
        row("b", "bert@example.org"),
    ];
    let error = account.fail(409, UPSERT, inputs(&rows)).await;
    assert_eq!(error["category"], "CONFLICT");
    assert_eq!(
        error["message"],
        format!("Contact already exists. Existing ID: {first}")
    );
    assert_eq!(account.with(|hubspot| hubspot.contacts.records().len()), 2);

    account.with(|hubspot| hubspot.batches.row_errors = RowErrors::All);
    let value = account.get(UPSERT, inputs(&rows)).await;
    assert_eq!(
        (each(&value["results"], "objectWriteTraceId"), &value["numErrors"]),
        (vec!["t-new"], &json!(2))
    );

    account.with(|hubspot| hubspot.batches.row_errors = RowErrors::None);
    account.fail(400, UPSERT, inputs(&two_bad_of_four()[1..])).await;
}

#[tokio::test]
async fn a_conflict_that_is_found_late_names_two_records() {
    let mut account = Account::start().await;
    let first = account.add("anna@example.org", "other");
    account.with(|hubspot| {
        hubspot.contacts.conflicts_late = true;
        hubspot.batches.row_errors = RowErrors::None;
    });
    let error = account
        .fail(400, UPSERT, inputs(&[row("a", "anna@example.org")]))
        .await;
    let message = error["message"].as_str().unwrap();
    let start = "Cannot set PropertyValueCoordinates{portalId=12345678, objectTypeId=ObjectTypeId{legacyObjectType=\
        CONTACT}, propertyName=email, value=anna@example.org} on 70002. ";
    assert_eq!(message, format!("{start}{first} already has that value."));
}

#[tokio::test]
async fn ids_that_are_in_a_batch_twice_reject_it() {
    let mut account = Account::start().await;
    let rows = [row("a", "anna@example.org"), row("a", "bert@example.org")];
    let error = account.fail(400, UPSERT, inputs(&rows)).await;
    assert_eq!(
        error["message"],
        "Duplicate IDs found in batch input: [a]. IDs must be unique"
    );
    assert_eq!(error["context"]["ids"], json!(["a"]));
    let by_email = |email: &str| json!({ "id": email, "idProperty": "email", "properties": {} });
    let rows = [by_email("anna@example.org"), by_email(" Anna@example.org")];
    account.fail(400, UPSERT, inputs(&rows)).await;
}

#[tokio::test]
async fn a_batch_has_at_most_a_hundred_inputs() {
    let mut account = Account::start().await;
    let rows: Vec<Value> = (0..101)
        .map(|number| row(&number.to_string(), &format!("p{number}@example.org")))
        .collect();
    let error = account.fail(400, UPSERT, inputs(&rows)).await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .starts_with("The maximum number of inputs supported in a batch is 100.")
    );
    let value = account.get(UPSERT, inputs(&rows[..100])).await;
    assert_eq!(value["results"].as_array().unwrap().len(), 100);
    let history = json!([{ "inputs": rows[..51], "properties": [], "propertiesWithHistory": ["email"] }]);
    account.fail(400, "crm.contacts.batchApi.read", history).await;
}

#[tokio::test]
async fn an_upsert_finds_contacts_by_unique_values() {
    let mut account = Account::start().await;
    let anna = account.add("anna@example.org", "a");
    account.with(|hubspot| {
        hubspot.change_contact(anna, &[("hs_additional_emails", "old@example.org")]);
    });
    let value = account.get(UPSERT, inputs(&[row("a", "new@example.org")])).await;
    assert_eq!(
        (&value["results"][0]["id"], &value["results"][0]["_new"]),
        (&json!(anna.to_string()), &json!(false))
    );
    assert_eq!(value["results"][0]["properties"]["email"], "new@example.org");

    // By a secondary address. The primary one stays.
    let second = json!({ "id": "OLD@example.org", "idProperty": "email",
        "properties": { "email": "old@example.org", "firstname": "Anna" } });
    let value = account.get(UPSERT, inputs(&[second])).await;
    let properties = &value["results"][0]["properties"];
    assert_eq!(
        (&properties["email"], &properties["firstname"]),
        (&json!("new@example.org"), &json!("Anna"))
    );

    for property in ["hs_object_id", "firstname"] {
        let row = json!({ "id": anna.to_string(), "idProperty": property, "properties": {} });
        let error = account.fail(400, UPSERT, inputs(&[row])).await;
        let message = "Unable to perform update/upsert by non-unique 0-1 property";
        assert_eq!(
            error["message"],
            format!("{message} {property} in portal ID 12345678")
        );
    }
}

#[tokio::test]
async fn an_empty_batch_and_one_that_wrote_nothing_look_complete() {
    let mut account = Account::start().await;
    let value = account.get(UPSERT, inputs(&[])).await;
    assert_eq!(value["results"], json!([]));
    account.hubspot.fail([faults::empty_batch()]);
    let value = account.get(UPSERT, inputs(&[row("a", "anna@example.org")])).await;
    assert_eq!(
        (&value["status"], &value["results"]),
        (&json!("COMPLETE"), &json!([]))
    );
    assert_eq!(account.with(|hubspot| hubspot.contacts.records().len()), 0);
}

#[tokio::test]
async fn an_update_ignores_some_ids_without_an_error() {
    let mut account = Account::start().await;
    let (anna, bert) = (
        account.add("anna@example.org", "a"),
        account.add("bert@example.org", "b"),
    );
    account.with(|hubspot| hubspot.merge_contacts(anna, bert));
    let carl = account.add("carl@example.org", "c").to_string();
    let update = |id: &str| json!({ "id": id, "properties": { "city": "Ghent" } });
    let rows = [
        update("carl@example.org"),
        update(&anna.to_string()),
        update(&carl),
    ];
    let value = account.get("crm.contacts.batchApi.update", inputs(&rows)).await;
    assert_eq!(each(&value["results"], "id"), [carl.as_str()]);

    let answer = account
        .call(
            "crm.contacts.batchApi.update",
            inputs(&[update("999"), update(&carl)]),
        )
        .await;
    assert_eq!((answer.status, answer.complaints), (207, vec![]));
    let error = &answer.value["errors"][0];
    assert_eq!(
        (&error["category"], &error["context"]["ids"]),
        (&json!("OBJECT_NOT_FOUND"), &json!(["999"]))
    );

    let by = |property: &str, id: &str| json!([{ "inputs": [{ "id": id, "idProperty": property, "properties": {} }] }]);
    account.get("crm.contacts.batchApi.update", by(KEY, "c")).await;
    account
        .fail(
            400,
            "crm.contacts.batchApi.update",
            by("email", "carl@example.org"),
        )
        .await;
}

#[tokio::test]
async fn a_read_returns_what_exists_and_names_the_rest() {
    let mut account = Account::start().await;
    account.add("anna@example.org", "a");
    let carl = account.add("carl@example.org", "c");
    let wanted = json!([{ "idProperty": "email", "properties": [KEY, "city"], "propertiesWithHistory": [],
        "inputs": [{ "id": "anna@example.org" }, { "id": "carl@example.org" }, { "id": "nobody@example.org" }] }]);
    let answer = account.call("crm.contacts.batchApi.read", wanted).await;
    assert_eq!((answer.status, answer.complaints), (207, vec![]));
    assert_eq!(answer.value["results"][0]["id"], carl.to_string());
    let properties = &answer.value["results"][1]["properties"];
    assert_eq!(
        (&properties[KEY], &properties["city"]),
        (&json!("a"), &Value::Null)
    );
    assert_eq!(
        answer.value["errors"][0]["context"]["ids"],
        json!(["nobody@example.org"])
    );
}

#[tokio::test]
async fn batches_create_and_archive() {
    let mut account = Account::start().await;
    let new = |email: &str| json!({ "properties": { "email": email }, "associations": [] });
    let rows = [new("anna@example.org"), new("bert@example.org")];
    let value = account.get("crm.contacts.batchApi.create", inputs(&rows)).await;
    let ids = each(&value["results"], "id");
    assert_eq!(ids.len(), 2);
    account
        .fail(409, "crm.contacts.batchApi.create", inputs(&rows))
        .await;
    let answer = account
        .call(
            "crm.contacts.batchApi.archive",
            json!([{ "inputs": [{ "id": ids[0] }, { "id": "1" }] }]),
        )
        .await;
    assert_eq!(answer.status, 204);
    assert_eq!(account.with(|hubspot| hubspot.contacts.live().count()), 1);
}
