//! What the client for Python hides: statuses, headers, and the page.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::*;
use causeway_testkit::clock::TestClock;

fn request(method: &str, path: &str, key: &str, body: &Value) -> Request {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    Request {
        method: method.to_owned(),
        path: format!("/api/3/{path}"),
        query: query.to_owned(),
        headers: vec![("api-token".to_owned(), key.to_owned())],
        body: Bytes::from(body.to_string()),
    }
}

fn sync(email: &str) -> Request {
    request(
        "POST",
        "contact/sync",
        TOKEN,
        &json!({ "contact": { "email": email } }),
    )
}

#[test]
fn a_wrong_key_is_a_403_and_an_invalid_address_a_422() {
    let mut account = ActiveCampaign::new(Arc::new(TestClock::default()));
    let refused = account.answer(&request("GET", "users/me", "wrong", &Value::Null));
    assert_eq!(
        (refused.code(), refused.content()),
        (403, &br#"{"message":"Forbidden"}"#[..])
    );
    for (email, code) in [
        ("", "field_missing"),
        ("ada", "email_invalid"),
        ("ada@x", "email_invalid"),
    ] {
        let reply = account.answer(&sync(email));
        let body: Value = serde_json::from_slice(reply.content()).unwrap();
        assert_eq!(
            (reply.code(), &body["errors"][0]["code"]),
            (422, &json!(code)),
            "{email}"
        );
        // The refusals count, too.
        account.limit = None;
    }
    assert!(account.contacts.is_empty());
}

#[test]
fn a_second_has_five_calls() {
    let clock = Arc::new(TestClock::default());
    let mut account = ActiveCampaign::new(Arc::<TestClock>::clone(&clock));
    let codes: Vec<u16> = (0..7)
        .map(|_| account.answer(&sync("ada@example.org")).code())
        .collect();
    assert_eq!(codes, [201, 200, 200, 200, 200, 429, 429]);
    assert_eq!(account.refused, 2);
    clock.advance(Duration::from_secs(1));
    assert_eq!(account.answer(&sync("ada@example.org")).code(), 200);
}

#[test]
fn a_lost_answer_takes_effect() {
    let mut account = ActiveCampaign::new(Arc::new(TestClock::default()));
    account.loses_answers = 1;
    assert_eq!(account.answer(&sync("Ada@example.org")).code(), 502);
    assert_eq!(account.answer(&sync("ada@example.org")).code(), 200);
    assert_eq!(account.contacts.len(), 1);
}

#[test]
fn the_page_shows_what_is_there_and_runs_nothing() {
    let mut account = ActiveCampaign::new(Arc::new(TestClock::default()));
    let body = json!({ "contact": { "email": "ada@example.org", "firstName": "<script>" } });
    account.answer(&request("POST", "contacts", TOKEN, &body));
    let (list, (contact, _)) = (
        account.add_list("News"),
        account.contact("ada@example.org").unwrap(),
    );
    let body = json!({ "contactList": { "list": list, "contact": contact, "status": 2 } });
    account.answer(&request("POST", "contactLists", TOKEN, &body));
    let page = account.page();
    assert!(
        page.contains("<td>&lt;script> ") && page.contains("<td>News: unsubscribed"),
        "{page}"
    );
}
