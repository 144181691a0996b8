//! What the client for Python hides: statuses, wrong keys, and the page.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::*;
use causeway_testkit::clock::TestClock;

fn request(method: &str, path: &str, secret: &str, body: &Value) -> Request {
    let basic = format!(
        "Basic {}",
        BASE64.encode(format!("{API_KEY}:{secret}").as_bytes())
    );
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: String::new(),
        headers: vec![("authorization".to_owned(), basic)],
        body: Bytes::from(body.to_string()),
    }
}

fn create(email: &str) -> Request {
    request(
        "POST",
        "/v3/REST/contact",
        SECRET_KEY,
        &json!({ "Email": email, "name": "passed over" }),
    )
}

#[test]
fn a_change_that_changes_nothing_is_a_304_and_wrong_capitals_are_passed_over() {
    let mut account = Mailjet::new(Arc::new(TestClock::default()));
    assert_eq!(account.answer(&create("Ada@example.org")).code(), 201);
    assert_eq!(account.answer(&create("ada@example.org")).code(), 400);
    assert_eq!(account.contact("ada@example.org").unwrap().1.name, "");
    let path = "/v3/REST/contact/ada%40example.org";
    let body = json!({ "IsExcludedFromCampaigns": true });
    let codes: Vec<u16> = (0..2)
        .map(|_| account.answer(&request("PUT", path, SECRET_KEY, &body)).code())
        .collect();
    assert_eq!(codes, [200, 304]);
    assert_eq!(
        account
            .answer(&request("GET", path, "wrong", &Value::Null))
            .code(),
        401
    );
}

#[test]
fn a_limit_and_lost_answers_can_be_set() {
    let clock = Arc::new(TestClock::default());
    let mut account = Mailjet::new(Arc::<TestClock>::clone(&clock));
    account.loses_answers = 1;
    assert_eq!(account.answer(&create("ada@example.org")).code(), 502);
    assert_eq!(account.contacts.len(), 1);
    account.limit = Some(2);
    let codes: Vec<u16> = (0..3)
        .map(|_| account.answer(&create("bob@example.org")).code())
        .collect();
    assert_eq!((codes, account.refused), (vec![201, 429, 429], 2));
    clock.advance(Duration::from_secs(1));
    assert_eq!(account.answer(&create("eve@example.org")).code(), 201);
}

#[test]
fn the_page_shows_what_is_there_and_runs_nothing() {
    let mut account = Mailjet::new(Arc::new(TestClock::default()));
    let list = account.add_list("News");
    let body = json!({ "Email": "ada@example.org", "Name": "<script>", "Action": "unsub" });
    let path = format!("/v3/REST/contactslist/{list}/managecontact");
    assert_eq!(
        account.answer(&request("POST", &path, SECRET_KEY, &body)).code(),
        201
    );
    let page = account.page();
    assert!(page.contains("<td>&lt;script><td>News: unsubscribed"), "{page}");
}
