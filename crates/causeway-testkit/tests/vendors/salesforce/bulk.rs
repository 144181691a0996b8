use std::time::Duration;

use serde_json::{Value, json};

use super::{KEY, Org};

impl Org {
    async fn load(&mut self, csv: &str) -> Value {
        let job = json!({ "object": "Contact", "operation": "upsert", "externalIdFieldName": KEY, "csv": csv,
            "lineEnding": "LF" });
        self.get("bulk", json!([job])).await
    }
}

fn column<'a>(rows: &'a Value, name: &str) -> Vec<&'a str> {
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| row[name].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_job_is_complete_although_rows_failed() {
    let mut org = Org::start().await;
    org.with(|salesforce| {
        salesforce.add(
            "Contact",
            json!({ "LastName": "Old", KEY: "a", "FirstName": "Zoe", "Phone": "1" }),
        );
    });
    let csv = format!(
        "{KEY},LastName,FirstName,Phone\na,Demo,,#N/A\nb,,Bert,\nc,\"Demo, \"\"jr\"\"\",,\nd,One,,\nD,Two,,\n"
    );
    let id = org.load(&csv).await;
    let early = org.get("results", json!([id])).await;
    assert_eq!(early["info"]["state"], "InProgress");
    org.clock.advance(Duration::from_secs(5));
    let results = org.get("results", json!([id])).await;
    assert_eq!(results["info"]["state"], "JobComplete");
    assert_eq!(
        [
            &results["info"]["numberRecordsProcessed"],
            &results["info"]["numberRecordsFailed"]
        ],
        [&json!(5), &json!(3)]
    );
    // Not in the order of the file.
    assert_eq!(column(&results["successful"], KEY), ["c", "a"]);
    assert_eq!(column(&results["successful"], "sf__Created"), ["true", "false"]);
    assert_eq!(column(&results["failed"], KEY), ["d", "b", "D"]);
    assert_eq!(
        column(&results["failed"], "sf__Error")[1],
        "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --"
    );
    assert_eq!(results["unprocessed"], json!([]));
    org.with(|salesforce| {
        let contacts = salesforce.live("Contact");
        // An empty cell leaves the field; #N/A clears it.
        assert_eq!(
            [contacts[0].text("FirstName"), contacts[0].text("Phone")],
            ["Zoe", ""]
        );
        assert_eq!(contacts[1].text("LastName"), "Demo, \"jr\"");
    });
}

#[tokio::test]
async fn a_job_that_fails_may_have_changed_some_records() {
    let mut org = Org::start().await;
    org.with(|salesforce| salesforce.bulk_fails_after = Some(1));
    let id = org
        .load(&format!("{KEY},LastName\na,Demo\nb,Demo\nc,Demo\n"))
        .await;
    org.clock.advance(Duration::from_secs(5));
    let results = org.get("results", json!([id])).await;
    assert_eq!(results["info"]["state"], "Failed");
    assert!(results["info"]["errorMessage"].is_string());
    assert_eq!(column(&results["successful"], KEY), ["a"]);
    assert_eq!(column(&results["unprocessed"], KEY), ["c", "b"]);
    // Lines that end in another way than declared, a byte order mark, and an unknown column.
    for csv in [
        format!("{KEY},LastName\r\na,Demo\r\n"),
        format!("{KEY},LastName\na,Demo\r\nb,Demo\n"),
        format!("\u{feff}{KEY},LastName\na,Demo\n"),
        format!("{KEY},LastName,Shoe\na,Demo,44\n"),
    ] {
        let id = org.load(&csv).await;
        org.clock.advance(Duration::from_secs(5));
        let results = org.get("results", json!([id])).await;
        assert_eq!(results["info"]["state"], "Failed", "{csv}");
    }
    assert_eq!(org.with(|salesforce| salesforce.live("Contact").len()), 1);
}

#[tokio::test]
async fn a_job_that_was_aborted_changed_nothing() {
    let mut org = Org::start().await;
    let job = json!({ "object": "Contact", "operation": "upsert", "externalIdFieldName": KEY,
        "csv": format!("{KEY},LastName\na,Demo\nb,Demo\n") });
    let id = org.get("abort", json!([job])).await;
    org.clock.advance(Duration::from_mins(1));
    let results = org.get("results", json!([id])).await;
    assert_eq!(results["info"]["state"], "Aborted");
    assert_eq!(column(&results["unprocessed"], KEY), ["b", "a"]);
    assert_eq!(org.with(|salesforce| salesforce.live("Contact").len()), 0);
    // Batches of jobs have a limit of their own.
    org.with(|salesforce| salesforce.limits.bulk_max = 0);
    org.fail("EXCEEDEDQUOTA", "abort", json!([job])).await;
}

#[tokio::test]
async fn an_update_finds_records_by_their_ids() {
    let mut org = Org::start().await;
    let ids: Vec<String> = ["Old", "Gone"]
        .iter()
        .map(|name| org.with(|salesforce| salesforce.add("Contact", json!({ "LastName": name }))))
        .collect();
    org.with(|salesforce| salesforce.remove(&ids[1]));
    let csv = format!("Id,LastName,{KEY}\n{},New,k\n{},New,\n", ids[0], ids[1]);
    let job = json!({ "object": "Contact", "operation": "update", "csv": csv, "lineEnding": "LF" });
    let id = org.get("bulk", json!([job])).await;
    org.clock.advance(Duration::from_secs(5));
    let results = org.get("results", json!([id])).await;
    assert_eq!(column(&results["successful"], "sf__Id"), [&ids[0]]);
    assert_eq!(column(&results["failed"], "Id"), [&ids[1]]);
    let error = column(&results["failed"], "sf__Error")[0];
    assert!(error.starts_with("ENTITY_IS_DELETED:"), "{error}");
    let names = org.with(|salesforce| salesforce.live("Contact")[0].text("LastName").to_owned());
    assert_eq!(names, "New");
}
