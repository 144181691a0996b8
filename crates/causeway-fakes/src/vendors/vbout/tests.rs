//! What the script in `tests/vendors` does not see: forms, JSON, statuses, and the page.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use causeway_testkit::clock::TestClock;

use super::*;

fn account() -> (Arc<TestClock>, Vbout, u64) {
    let clock = Arc::new(TestClock::default());
    let mut account = Vbout::new(Arc::<TestClock>::clone(&clock));
    let list = account.add_list("News", &["First Name"]);
    (clock, account, list)
}

fn post(operation: &str, body: &str) -> Request {
    Request {
        method: "POST".to_owned(),
        path: format!("/1/{operation}.json"),
        query: format!("key={KEY}"),
        headers: Vec::new(),
        body: Bytes::from(body.to_owned()),
    }
}

fn data(reply: &Reply) -> Value {
    let body: Value = serde_json::from_slice(reply.content()).unwrap();
    body["response"]["data"].clone()
}

#[test]
fn a_form_and_json_are_read_alike_and_the_case_of_an_operation_does_not_matter() {
    let (_, mut account, list) = account();
    let form = format!(
        "email=Ada%40example.org&status=active&listid={list}&fields[{}]=Ada",
        list + 1
    );
    assert_eq!(
        account.answer(&post("emailmarketing/synccontact", &form)).code(),
        200
    );
    let body = json!({
        "email": "ada@example.org", "listid": list, "fields": { (list + 1).to_string(): "Ada Byron", "9": "x" },
    });
    let reply = account.answer(&post("EmailMarketing/SyncContact", &body.to_string()));
    let id = data(&reply)["id"].as_u64().unwrap();
    assert_eq!(account.contacts.len(), 1);
    let contact = &account.contacts[&id];
    assert_eq!((contact.status, &*contact.fields[&(list + 1)]), (1, "Ada Byron"));
    // Each change of a field is a trigger; the same value again is none.
    assert_eq!(account.fired.len(), 2);
    account.answer(&post("emailmarketing/synccontact", &body.to_string()));
    assert_eq!((account.fired.len(), account.unknown_parameters.len()), (2, 0));
}

#[test]
fn errors_are_within_a_success_except_for_keys_and_limits() {
    let (clock, mut account, _) = account();
    account.limit = Some(2);
    let reply = account.answer(&post("emailmarketing/editcontact", "id=7"));
    assert_eq!(
        (reply.code(), data(&reply)["errorCode"].clone()),
        (200, json!(2001))
    );
    let mut wrong = post("app/me", "");
    wrong.query = "key=wrong".to_owned();
    let reply = account.answer(&wrong);
    assert_eq!(
        (reply.code(), data(&reply)["errorCode"].clone()),
        (401, json!(1000))
    );
    assert_eq!(account.answer(&post("app/me", "")).code(), 429);
    clock.advance(Duration::from_secs(1));
    assert_eq!(account.answer(&post("app/me", "")).code(), 200);
    assert_eq!(account.answer(&post("app/you", "")).code(), 404);
    let elsewhere = Request {
        path: "/2/app/me.json".to_owned(),
        ..post("app/me", "")
    };
    assert_eq!((account.answer(&elsewhere).code(), account.refused), (404, 1));
}

#[test]
fn an_answer_that_is_lost_has_taken_effect() {
    let (_, mut account, list) = account();
    account.loses_answers = 1;
    let form = format!("email=ada@example.org&status=active&listid={list}");
    assert_eq!(
        account.answer(&post("emailmarketing/addcontact", &form)).code(),
        502
    );
    let again = account.answer(&post("emailmarketing/addcontact", &form));
    assert_eq!(data(&again)["errorCode"], 2005);
    assert_eq!(account.status("Ada@example.org", list), Some(1));
}

#[test]
fn the_page_shows_what_is_there_and_runs_nothing() {
    let (_, mut account, list) = account();
    let id = account.put_contact(list, "ada@example.org", 2);
    let body = format!("id={id}&fields[{}]=<script>", list + 1);
    account.answer(&post("emailmarketing/editcontact", &body));
    let page = account.page();
    assert!(
        page.contains("<td>unsubscribed<td>First Name: &lt;script>"),
        "{page}"
    );
}
