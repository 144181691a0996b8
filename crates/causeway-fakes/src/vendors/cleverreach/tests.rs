//! What the script that judges the account does not look at: tokens, statuses, faults, and the page.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use causeway_testkit::clock::TestClock;

use super::*;

fn request(method: &str, path: &str, body: &Value) -> Request {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: vec![("authorization".to_owned(), format!("Bearer {TOKEN}"))],
        body: Bytes::from(body.to_string()),
    }
}

fn account() -> (Arc<TestClock>, CleverReach, u64) {
    let clock = Arc::new(TestClock::default());
    let mut account = CleverReach::new(Arc::<TestClock>::clone(&clock));
    let group = account.add_group("News");
    (clock, account, group)
}

fn token(form: &str) -> Request {
    Request {
        body: Bytes::from(form.to_owned()),
        headers: Vec::new(),
        ..request("POST", "/oauth/token.php", &Value::Null)
    }
}

#[test]
fn a_token_is_issued_for_the_apps_secret_and_ends_after_a_year() {
    let (clock, mut account, _) = account();
    let form = format!("grant_type=client_credentials&client_id={CLIENT_ID}&client_secret=");
    for (form, status, error) in [
        (format!("{form}wrong"), 401, "invalid_client"),
        ("grant_type=password".to_owned(), 400, "unsupported_grant_type"),
        (String::new(), 400, "invalid_request"),
    ] {
        let reply = account.answer(&token(&form));
        let body: Value = serde_json::from_slice(reply.content()).unwrap();
        assert_eq!((reply.code(), &body["error"]), (status, &json!(error)));
    }
    let reply = account.answer(&token(&format!("{form}{CLIENT_SECRET}")));
    let body: Value = serde_json::from_slice(reply.content()).unwrap();
    let path = format!("/v3/debug/ttl?token={}", body["access_token"].as_str().unwrap());
    let call = Request {
        headers: Vec::new(),
        ..request("GET", &path, &Value::Null)
    };
    assert_eq!(account.answer(&call).code(), 200);
    clock.advance(Duration::from_hours(365 * 24));
    assert_eq!(account.answer(&call).code(), 401);
}

#[test]
fn limits_lost_answers_and_plain_errors_can_be_set() {
    let (clock, mut account, group) = account();
    let path = format!("/v3/groups.json/{group}/receivers/upsert");
    let ada = request("POST", &path, &json!([{ "email": "ada@example.org" }]));
    account.loses_answers = 1;
    assert_eq!(account.answer(&ada).code(), 502);
    assert_eq!(account.is_active(group, "ada@example.org"), Some(true));
    account.limit = Some(1);
    account.plain_errors = true;
    clock.advance(Duration::from_secs(1));
    assert_eq!(account.answer(&ada).code(), 200);
    let reply = account.answer(&ada);
    let body: Value = serde_json::from_slice(reply.content()).unwrap();
    assert_eq!(
        (reply.code(), body),
        (429, json!({ "error": "Too Many Requests" }))
    );
    assert_eq!(account.refused, 1);
    clock.advance(Duration::from_secs(1));
    account.most = 1;
    let two = json!([{ "email": "ada@example.org" }, { "email": "bob@example.org" }]);
    assert_eq!(account.answer(&request("POST", &path, &two)).code(), 413);
    assert_eq!(account.receivers.len(), 1);
}

#[test]
fn the_page_shows_what_is_there_and_runs_nothing() {
    let (_, mut account, group) = account();
    let path = format!("/v3/groups/{group}/receivers/upsert");
    let attributes = json!({ "firstname": "<script>" });
    let body = json!({ "email": "ada@example.org", "global_attributes": attributes, "deactivated": 1 });
    assert_eq!(account.answer(&request("POST", &path, &body)).code(), 200);
    let page = account.page();
    assert!(
        page.contains("<td>ada@example.org<td>inactive since 1970-"),
        "{page}"
    );
    assert!(page.contains("firstname: &lt;script>"), "{page}");
}
