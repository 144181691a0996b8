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
    assert_eq!(column(&results["successful"], KEY), ["a", "c"]);
    assert_eq!(column(&results["successful"], "sf__Created"), ["false", "true"]);
    // Not in the order of the file.
    assert_eq!(column(&results["failed"], KEY), ["D", "d", "b"]);
    assert_eq!(
        column(&results["failed"], "sf__Error")[2],
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
    assert_eq!(column(&results["unprocessed"], KEY), ["b", "c"]);
    // Lines that end in another way than declared, and an unknown column.
    for csv in [
        format!("{KEY},LastName\r\na,Demo\r\n"),
        format!("{KEY},LastName,Shoe\na,Demo,44\n"),
    ] {
        let id = org.load(&csv).await;
        org.clock.advance(Duration::from_secs(5));
        let results = org.get("results", json!([id])).await;
        assert_eq!(results["info"]["state"], "Failed", "{csv}");
    }
    assert_eq!(org.with(|salesforce| salesforce.live("Contact").len()), 1);
}
