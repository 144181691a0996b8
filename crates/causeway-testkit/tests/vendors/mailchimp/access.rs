use causeway_testkit::vendors::mailchimp::{KEY, LIST, faults, hash};
use serde_json::{Value, json};

use super::{ADA, Account};

#[tokio::test]
async fn a_key_is_a_password_or_a_bearer() {
    let mut account = Account::start().await;
    let pong = account.get("ping.get", json!([])).await;
    assert_eq!(pong["health_status"], "Everything's Chimpy!");
    account.use_key(json!({ "token": KEY })).await;
    let lists = account.get("lists.getAllLists", json!([])).await;
    assert_eq!(
        (&lists["lists"][0]["id"], &lists["total_items"]),
        (&json!(LIST), &json!(1))
    );
    account.use_key(json!("wrong-us6")).await;
    assert_eq!(
        account.fail(401, "ping.get", json!([])).await["title"],
        "API Key Invalid"
    );
    account.use_key(json!(KEY)).await;
    account.with(|mailchimp| mailchimp.keys.insert(KEY.to_owned(), false));
    assert_eq!(
        account.fail(403, "ping.get", json!([])).await["title"],
        "User Disabled"
    );
}

#[tokio::test]
async fn an_unknown_list_and_an_unknown_member_look_the_same() {
    let mut account = Account::start().await;
    let member = account
        .fail(404, "lists.getListMember", json!([LIST, hash(ADA)]))
        .await;
    let list = account
        .fail(404, "lists.getListMember", json!(["0", hash(ADA)]))
        .await;
    let text = |problem: &Value| (problem["title"].clone(), problem["detail"].clone());
    assert_eq!(text(&member), text(&list));
}

#[tokio::test]
async fn limits_and_outages_reach_the_client() {
    let mut account = Account::start().await;
    account.mailchimp.fail([
        faults::too_many(),
        faults::bare_forbidden(),
        faults::gateway(),
        faults::internal(),
        faults::forbidden(),
        faults::wrong_datacenter(),
        faults::too_many_in_html(),
    ]);
    let mut statuses = Vec::new();
    for _ in 0..7 {
        let answer = account.call("lists.getList", json!([LIST])).await;
        statuses.push(answer["status"].as_u64().unwrap());
    }
    assert_eq!(statuses, [429, 403, 503, 500, 403, 403, 429]);
    account.get("lists.getList", json!([LIST])).await;
    account.with(|mailchimp| mailchimp.list().most = 0);
    let body = json!({ "email_address": ADA, "status": "subscribed" });
    account
        .fail(403, "lists.addListMember", json!([LIST, body]))
        .await;
    assert_eq!(account.with(|mailchimp| mailchimp.answers[&200]), 1);
}
