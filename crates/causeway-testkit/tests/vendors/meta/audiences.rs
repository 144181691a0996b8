use causeway_testkit::vendors::meta::ACCOUNT;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{ACT, Rig, emails};

#[tokio::test]
async fn an_audience_is_created_read_changed_and_deleted() {
    let mut rig = Rig::start().await;
    let params = json!({ "name": "list 42", "description": "by a test", "subtype": "CUSTOM",
        "customer_file_source": "USER_PROVIDED_ONLY", "audience_labels": ["ENGAGED_USERS"] });
    let id = rig
        .ok("create", json!({ "account": ACT, "params": params }))
        .await;
    let fields = json!([
        "name",
        "description",
        "subtype",
        "account_id",
        "customer_file_source",
        "audience_labels",
        "operation_status",
        "delivery_status",
        "approximate_count_lower_bound",
        "approximate_count_upper_bound",
        "data_source",
        "is_value_based",
        "time_created",
        "time_updated",
        "retention_days",
        "permission_for_actions",
        "sharing_status"
    ]);
    let read = rig.ok("read", json!({ "id": id, "fields": fields })).await;
    assert_eq!(read["id"], id);
    assert_eq!(read["audience_labels"], json!(["ENGAGED_USERS"]));
    assert_eq!(
        read["operation_status"],
        json!({ "code": 200, "description": "Normal" })
    );
    assert_eq!(read["delivery_status"]["code"], 300);
    assert_eq!(read["approximate_count_lower_bound"], -1);
    assert_eq!(read["time_created"], 1_767_225_600);

    rig.ok("update", json!({ "id": id, "params": { "name": "list 43" } }))
        .await;
    let read = rig
        .ok("read", json!({ "id": id, "fields": ["name", "description"] }))
        .await;
    assert_eq!(
        (&read["name"], &read["description"]),
        (&"list 43".into(), &"by a test".into())
    );
    rig.ok("delete", json!({ "id": id })).await;
    let gone = (json!(100), json!(33));
    assert_eq!(rig.code("read", json!({ "id": id, "fields": [] })).await, gone);
    assert_eq!(
        rig.code("add", emails(id.as_str().unwrap(), &["zoe@example.org"]))
            .await,
        gone
    );
}

#[tokio::test]
async fn creating_is_validated() {
    let mut rig = Rig::start().await;
    let good =
        json!({ "name": "list 42", "subtype": "CUSTOM", "customer_file_source": "USER_PROVIDED_ONLY" });
    let with = |name: &str, value: Value| {
        let mut params = good.clone();
        params[name] = value;
        json!({ "account": ACT, "params": params })
    };
    let error = rig.err("create", with("customer_file_source", Value::Null)).await;
    assert_eq!(
        error["message"],
        "(#100) Missing parameter(s): customer_file_source"
    );
    assert_eq!(rig.code("create", with("name", "".into())).await.0, 100);
    assert_eq!(
        rig.code("create", with("subtype", "WEBSITE".into())).await.0,
        2654
    );
    rig.meta.with(|meta| meta.account_mut().most_audiences = 0);
    assert_eq!(rig.code("create", with("name", "list 43".into())).await.0, 2654);
    let read = json!({ "id": ACT, "fields": ["balance"] });
    assert_eq!(rig.code("account", read).await.0, 100);
}

#[tokio::test]
async fn lists_have_pages_and_a_total() {
    let mut rig = Rig::start().await;
    rig.meta.with(|meta| {
        meta.add_account("99", "Lakes");
        meta.add_audience("99", "of another account");
        for number in 1..=7 {
            meta.add_audience(ACCOUNT, &format!("list {number}"));
        }
    });
    let ask = |params: Value| json!({ "account": ACT, "fields": ["name"], "params": params });
    let list = rig.ok("list_audiences", ask(json!({ "limit": 3 }))).await;
    assert_eq!(list["pages"], json!([3, 3, 1]));
    assert_eq!(list["total"], 7);
    let names = list["found"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| &found["name"]);
    let newest_first: Vec<String> = (1..=7).rev().map(|number| format!("list {number}")).collect();
    assert_eq!(json!(names.collect::<Vec<_>>()), json!(newest_first));

    let filter = json!([{ "field": "name", "operator": "EQUAL", "value": "list 5" }]);
    let list = rig
        .ok("list_audiences", ask(json!({ "filtering": filter })))
        .await;
    assert_eq!(list["found"].as_array().unwrap().len(), 1);
    let filter = json!([{ "field": "name", "operator": "EQUAL", "value": "list 8" }]);
    let list = rig
        .ok("list_audiences", ask(json!({ "filtering": filter })))
        .await;
    assert_eq!((&list["pages"], &list["total"]), (&json!([0]), &0.into()));
    assert_eq!(
        rig.code("list_audiences", ask(json!({ "limit": 5000 }))).await.0,
        1
    );
}

#[tokio::test]
async fn counts_are_hidden_below_a_thousand_and_come_late() {
    let mut rig = Rig::start().await;
    let id = rig.audience().await;
    let counts = json!({ "id": id, "fields": ["approximate_count_lower_bound", "approximate_count_upper_bound",
        "delivery_status"] });
    rig.meta.with(|meta| {
        meta.count_delay = SignedDuration::from_mins(30);
        meta.audience_mut(&id).other_people = 998;
    });
    rig.ok("add", emails(&id, &["zoe@example.org", "ada@example.org"]))
        .await;
    let read = rig.ok("read", counts.clone()).await;
    assert_eq!(read["approximate_count_upper_bound"], -1);
    assert_eq!(read["delivery_status"]["code"], 200);
    rig.advance_minutes(30);
    let read = rig.ok("read", counts).await;
    assert_eq!(read["approximate_count_lower_bound"], 1000);
    assert_eq!(read["approximate_count_upper_bound"], 1200);
}

#[tokio::test]
async fn an_audience_whose_name_says_too_much_is_flagged() {
    let mut rig = Rig::start().await;
    let mut params = json!({ "subtype": "CUSTOM", "customer_file_source": "USER_PROVIDED_ONLY" });
    params["name"] = "Diabetes appeal".into();
    let id = rig
        .ok("create", json!({ "account": ACT, "params": params }))
        .await;
    let fields = json!(["operation_status", "fields_violating_integrity_policy"]);
    let read = rig.ok("read", json!({ "id": id, "fields": fields })).await;
    assert_eq!(read["operation_status"]["code"], 471);
    assert_eq!(read["fields_violating_integrity_policy"], json!(["name"]));
    let id = id.as_str().unwrap();
    let error = rig.err("add", emails(id, &["zoe@example.org"])).await;
    assert_eq!(
        (&error["code"], &error["subcode"]),
        (&100.into(), &1_713_230.into())
    );
    assert_eq!(error["title"], "Audience Upload Blocked");
    assert_eq!(
        rig.code("remove", emails(id, &["zoe@example.org"])).await.1,
        1_713_230
    );
    rig.ok("update", json!({ "id": id, "params": { "name": "list 42" } }))
        .await;
    rig.ok("add", emails(id, &["zoe@example.org"])).await;
}
