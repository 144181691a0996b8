use causeway_testkit::vendors::salesforce::{DuplicateRule, FieldAccess, OrgRule, RowError};
use serde_json::{Value, json};

use super::{KEY, Org, codes, contact};

fn upsert(rows: &[Value]) -> Value {
    json!(["Contact", rows, KEY])
}

#[tokio::test]
async fn an_upsert_creates_changes_and_refuses_each_row_alone() {
    let mut org = Org::start().await;
    let first = org.get("upsert", upsert(&[contact("a")])).await;
    assert_eq!(
        (&first[0]["created"], &first[0]["success"]),
        (&json!(true), &json!(true))
    );
    let mut without_name = contact("b");
    without_name["LastName"] = "".into();
    let mut bad_address = contact("c");
    bad_address["Email"] = "c@".into();
    let mut changed = contact("A");
    changed["FirstName"] = "Zoe".into();
    let long = json!({ KEY: "d", "LastName": "x".repeat(81) });
    let rows = [without_name, changed, bad_address, long, contact("e")];
    let results = org.get("upsert", upsert(&rows)).await;
    assert_eq!(
        codes(&results),
        [
            "REQUIRED_FIELD_MISSING",
            "",
            "INVALID_EMAIL_ADDRESS",
            "STRING_TOO_LONG",
            ""
        ]
    );
    assert_eq!(results[0]["errors"][0]["fields"], json!(["LastName"]));
    // The key is found without regard to case.
    assert_eq!(
        (&results[1]["id"], &results[1]["created"]),
        (&first[0]["id"], &json!(false))
    );
    assert_eq!(org.with(|salesforce| salesforce.live("Contact").len()), 2);
    let read = org.get("retrieve", json!(["Contact", first[0]["id"]])).await;
    assert_eq!(
        (&read["FirstName"], &read["HasOptedOutOfEmail"]),
        (&json!("Zoe"), &json!(false))
    );
}

#[tokio::test]
async fn a_row_of_the_wrong_shape_refuses_the_whole_call() {
    let mut org = Org::start().await;
    let mut unknown = contact("b");
    unknown["Shoe_Size__c"] = json!("44");
    let message = org
        .fail("INVALID_FIELD", "upsert", upsert(&[contact("a"), unknown]))
        .await;
    assert_eq!(
        message,
        "No such column 'Shoe_Size__c' on sobject of type Contact"
    );
    let mut wrong = contact("b");
    wrong["HasOptedOutOfEmail"] = json!("yes");
    org.fail("JSON_PARSER_ERROR", "upsert", upsert(&[contact("a"), wrong]))
        .await;
    // A field that the user may not see looks like one that does not exist; one that is read-only refuses the row.
    org.with(|salesforce| salesforce.set_access("Contact", "Phone", FieldAccess::Hidden));
    let mut hidden = contact("b");
    hidden["Phone"] = json!("1");
    org.fail("INVALID_FIELD", "upsert", upsert(&[hidden])).await;
    org.with(|salesforce| salesforce.set_access("Contact", "HasOptedOutOfEmail", FieldAccess::ReadOnly));
    let mut fixed = contact("b");
    fixed["HasOptedOutOfEmail"] = json!(true);
    let results = org.get("upsert", upsert(&[fixed])).await;
    assert_eq!(codes(&results), ["INVALID_FIELD_FOR_INSERT_UPDATE"]);
    let rows: Vec<Value> = (0..201).map(|number| contact(&number.to_string())).collect();
    org.fail("EXCEEDED_ID_LIMIT", "upsert", upsert(&rows)).await;
    org.fail(
        "NOT_FOUND",
        "upsert",
        json!(["Contact", [contact("a")], "LastName"]),
    )
    .await;
    assert_eq!(org.with(|salesforce| salesforce.live("Contact").len()), 0);
    let results = org.get("upsert", upsert(&rows[..200])).await;
    assert_eq!(codes(&results), [""; 200]);
}

#[tokio::test]
async fn keys_that_are_not_unique_and_rows_that_are_there_twice_are_refused() {
    let mut org = Org::start().await;
    let results = org.get("upsert", upsert(&[contact("a"), contact("A")])).await;
    assert_eq!(codes(&results), ["", "DUPLICATE_VALUE"]);
    org.with(|salesforce| {
        let contacts = salesforce
            .objects
            .iter_mut()
            .find(|object| object.name == "Contact");
        let fields = &mut contacts.unwrap().fields;
        fields.iter_mut().find(|field| field.name == KEY).unwrap().unique = false;
        salesforce.add("Contact", contact("a"));
    });
    let results = org.get("upsert", upsert(&[contact("a")])).await;
    assert_eq!(codes(&results), ["DUPLICATE_EXTERNAL_ID"]);
    let single = json!(["Contact", contact("a"), KEY]);
    org.fail("MULTIPLE_CHOICES", "upsert", single).await;
    assert_eq!(org.last["error"]["content"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn all_or_none_rolls_back_and_names_the_innocent() {
    let mut org = Org::start().await;
    let rows = json!(["Contact", [contact("a"), { KEY: "b" }], KEY, { "allOrNone": true }]);
    let results = org.get("upsert", rows).await;
    assert_eq!(
        codes(&results),
        ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"]
    );
    assert_eq!(org.with(|salesforce| salesforce.live("Contact").len()), 0);
}

#[tokio::test]
async fn duplicate_rules_alert_or_block() {
    let mut org = Org::start().await;
    org.with(|salesforce| {
        salesforce.add("Contact", json!({ "LastName": "Old", "Email": "A@example.org" }));
        salesforce.duplicate_rule = DuplicateRule::Alert;
    });
    let results = org.get("upsert", upsert(&[contact("a"), contact("b")])).await;
    assert_eq!(codes(&results), ["DUPLICATES_DETECTED", ""]);
    let headers =
        json!({ "headers": { "Sforce-Duplicate-Rule-Header": "allowSave=true; runAsCurrentUser=true" } });
    let insisting = json!(["Contact", [contact("a")], KEY, headers]);
    org.with(|salesforce| salesforce.duplicate_rule = DuplicateRule::Block);
    assert_eq!(
        codes(&org.get("upsert", insisting.clone()).await),
        ["DUPLICATES_DETECTED"]
    );
    org.with(|salesforce| salesforce.duplicate_rule = DuplicateRule::Alert);
    assert_eq!(codes(&org.get("upsert", insisting).await), [""]);
}

#[tokio::test]
async fn locks_rules_of_the_org_and_deleted_records_refuse_rows() {
    let mut org = Org::start().await;
    let ids: Vec<String> = ["a", "b", "c"]
        .iter()
        .map(|key| org.with(|salesforce| salesforce.add("Contact", contact(key))))
        .collect();
    org.with(|salesforce| {
        salesforce.locked.insert(ids[0].clone(), 1);
        salesforce.remove(&ids[1]);
        salesforce.rules.push(OrgRule {
            field: "FirstName".to_owned(),
            value: "Bot".into(),
            error: RowError::new("FIELD_CUSTOM_VALIDATION_EXCEPTION", "No bots"),
            times: None,
        });
    });
    let rows: Vec<Value> = ids
        .iter()
        .map(|id| json!({ "Id": id, "FirstName": if *id == ids[2] { "Bot" } else { "Zoe" } }))
        .collect();
    let results = org.get("update", json!(["Contact", rows])).await;
    assert_eq!(
        codes(&results),
        [
            "UNABLE_TO_LOCK_ROW",
            "ENTITY_IS_DELETED",
            "FIELD_CUSTOM_VALIDATION_EXCEPTION"
        ]
    );
    let results = org.get("update", json!(["Contact", rows[..1]])).await;
    assert_eq!(codes(&results), [""]);
    // A deleted record does not count for an upsert.
    let results = org.get("upsert", upsert(&[contact("b")])).await;
    assert_eq!(results[0]["created"], true);
    let results = org.get("destroy", json!(["Contact", ids])).await;
    assert_eq!(codes(&results), ["", "ENTITY_IS_DELETED", ""]);
}

#[tokio::test]
async fn campaign_members_name_their_records_by_external_ids() {
    let mut org = Org::start().await;
    org.with(|salesforce| {
        let key = causeway_testkit::vendors::salesforce::Field::external_id("Ext_Campaign_Id__c");
        salesforce.add_field("Campaign", key);
        salesforce.add("Contact", contact("a"));
    });
    let member = |campaign: &str| json!({ "Campaign": { "Ext_Campaign_Id__c": campaign }, "Contact": { KEY: "a" }, "Status": "Signed" });
    let results = org
        .get("create", json!(["CampaignMember", [member("rivers")]]))
        .await;
    assert_eq!(codes(&results), ["INVALID_FIELD"]);
    assert_eq!(
        results[0]["errors"][0]["message"],
        "Foreign key external ID: rivers not found for field Ext_Campaign_Id__c in entity Campaign"
    );
    let campaign = json!([{ "Ext_Campaign_Id__c": "rivers", "Name": "Rivers", "IsActive": true }]);
    org.get("upsert", json!(["Campaign", campaign, "Ext_Campaign_Id__c"]))
        .await;
    let results = org
        .get(
            "create",
            json!(["CampaignMember", [member("rivers"), member("rivers")]]),
        )
        .await;
    assert_eq!(codes(&results), ["", "DUPLICATE_VALUE"]);
    assert_eq!(results[1]["errors"][0]["message"], "Already a campaign member.");
    // The two sides of a member cannot change.
    let update = json!(["CampaignMember", [{ "Id": results[0]["id"], "Contact": { KEY: "a" } }]]);
    assert_eq!(
        codes(&org.get("update", update).await),
        ["INVALID_FIELD_FOR_INSERT_UPDATE"]
    );
}
