use causeway_testkit::vendors::salesforce::FieldAccess;
use serde_json::{Value, json};

use super::{KEY, Org, contact};

async fn last_names(org: &mut Org, condition: &str) -> Vec<String> {
    let query = format!("SELECT Id, LastName FROM Contact WHERE {condition} ORDER BY LastName DESC");
    let found = org.get("query", json!([query])).await;
    let records = found["records"].as_array().unwrap().iter();
    records
        .map(|record| record["LastName"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn records_are_found_by_conditions() {
    let mut org = Org::start().await;
    org.with(|salesforce| {
        salesforce.add(
            "Contact",
            json!({ "LastName": "A", KEY: "a", "Email": "A@example.org" }),
        );
        salesforce.add(
            "Contact",
            json!({ "LastName": "B'\\", "Email": "b@example.org", "HasOptedOutOfEmail": true }),
        );
        let gone = salesforce.add("Contact", json!({ "LastName": "C" }));
        salesforce.remove(&gone);
    });
    for (condition, expected) in [
        ("Email = 'a@EXAMPLE.org'", vec!["A"]),
        ("Email IN ('x', 'b@example.org')", vec!["B'\\"]),
        ("LastName = 'B\\'\\\\'", vec!["B'\\"]),
        (&format!("{KEY} = null"), vec!["B'\\"]),
        (
            &format!("({KEY} IN ('a') OR Email LIKE 'b@%') AND HasOptedOutOfEmail = false"),
            vec!["A"],
        ),
        ("NOT HasOptedOutOfEmail = true", vec!["A"]),
        (
            "LastModifiedDate >= 2026-01-01T00:00:00Z AND LastModifiedDate < 2026-01-01T01:00:00+01:00",
            vec![],
        ),
        ("CreatedDate = 2026-01-01T00:00:00.000+0000", vec!["B'\\", "A"]),
    ] {
        assert_eq!(last_names(&mut org, condition).await, expected, "{condition}");
    }
}

#[tokio::test]
async fn mistakes_are_named() {
    let mut org = Org::start().await;
    org.with(|salesforce| salesforce.set_access("Contact", "Phone", FieldAccess::Hidden));
    for (code, query) in [
        ("MALFORMED_QUERY", "SELECT Id FROM Contact WHERE Email = 'a"),
        ("MALFORMED_QUERY", "SELECT Id FROM Contact WHERE Email IN ()"),
        ("INVALID_FIELD", "SELECT Phone FROM Contact"),
        (
            "INVALID_FIELD",
            "SELECT Id FROM Contact WHERE HasOptedOutOfEmail = 'true'",
        ),
        ("INVALID_TYPE", "SELECT Id FROM Nothing__c"),
    ] {
        org.fail(code, "query", json!([query])).await;
    }
    let long = format!("SELECT Id FROM Contact WHERE Email = '{}'", "x".repeat(17_000));
    org.fail("ERROR_HTTP_414", "query", json!([long])).await;
}

#[tokio::test]
async fn many_records_come_in_pages() {
    let mut org = Org::start().await;
    org.with(|salesforce| {
        salesforce.rows_per_page = 2;
        for number in 0..5 {
            salesforce.add("Contact", contact(&number.to_string()));
        }
    });
    let first = org.get("query", json!(["SELECT Id FROM Contact"])).await;
    assert_eq!((&first["totalSize"], &first["done"]), (&json!(5), &json!(false)));
    let next = first["nextRecordsUrl"].as_str().unwrap();
    let second = org.get("queryMore", json!([next])).await;
    assert_eq!(second["records"].as_array().map(Vec::len), Some(2));
    let all = org
        .get("query", json!(["SELECT Id FROM Contact", { "autoFetch": true }]))
        .await;
    let mut ids: Vec<&str> = all["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["Id"].as_str().unwrap())
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 5);
}

#[tokio::test]
async fn several_queries_are_one_call() {
    let mut org = Org::start().await;
    for key in ["a", "b"] {
        org.get("create", json!(["Contact", contact(key)])).await;
    }
    let query = |number: usize, text: &str| {
        let text = text.replace(' ', "+");
        json!({ "method": "GET", "referenceId": format!("find{number}"), "url": format!("/services/data/v68.0/query?q={text}") })
    };
    let before = org.with(|salesforce| salesforce.limits.used);
    let call = |parts: Vec<Value>| {
        let body = json!({ "allOrNone": false, "compositeRequest": parts });
        json!([{ "method": "POST", "url": "/services/data/v68.0/composite", "body": body.to_string(),
            "headers": { "content-type": "application/json" } }])
    };
    let good = "SELECT Id, Email FROM Contact WHERE Email IN ('b@example.org')";
    let parts = vec![query(1, good), query(2, "SELECT Shoe FROM Contact")];
    let answer = org.get("request", call(parts)).await;
    let answers = answer["compositeResponse"].as_array().unwrap();
    assert_eq!(answers[0]["httpStatusCode"], 200);
    assert_eq!(answers[0]["body"]["records"][0]["Email"], "b@example.org");
    // A part that fails says so itself.
    assert_eq!(answers[1]["httpStatusCode"], 400);
    assert_eq!(answers[1]["body"][0]["errorCode"], "INVALID_FIELD");
    assert_eq!(org.with(|salesforce| salesforce.limits.used), before + 1);
    let many = (0..6).map(|number| query(number, good)).collect();
    org.fail("INVALID_INPUT", "request", call(many)).await;
}
