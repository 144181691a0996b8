//! What the script for Python does not show: paths of others, lost answers, and the page.

use bytes::Bytes;
use causeway_testkit::clock::TestClock;
use serde_json::json;

use super::*;

fn request(method: &str, path: &str, session: &str, body: &str) -> Request {
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: String::new(),
        headers: vec![("ens-auth-token".to_owned(), session.to_owned())],
        body: Bytes::from(body.to_owned()),
    }
}

fn account() -> EngagingNetworks {
    let mut account = EngagingNetworks::new(Arc::new(TestClock::default()));
    let log_in = request("POST", "/ens/service/authenticate", "", TOKEN);
    assert_eq!(account.answer(&log_in).code(), 200);
    account
}

fn write(body: &Value) -> Request {
    request("POST", "/ens/service/supporter", "session-1", &body.to_string())
}

#[test]
fn only_the_path_of_the_api_is_answered_by_the_api() {
    let mut account = account();
    let elsewhere = request("GET", "/other/service/supporter/fields", "session-1", "");
    let reply = account.answer(&elsewhere);
    assert_eq!((reply.code(), reply.content().first()), (404, Some(&b'<')));
    let unknown = request("GET", "/ens/service/supporters", "session-1", "");
    assert_eq!(account.answer(&unknown).code(), 404);
}

#[test]
fn answers_can_be_lost_after_they_took_effect() {
    let mut account = account();
    account.loses_answers = 1;
    let ada = json!({ "Email Address": "ada@example.org" });
    assert_eq!(account.answer(&write(&ada)).code(), 502);
    assert_eq!(account.answer(&write(&ada)).code(), 200);
    assert_eq!(account.supporters.len(), 1);
}

#[test]
fn the_page_shows_what_is_there_and_runs_nothing() {
    let mut account = account();
    let page = account.add_page("Rivers", "pet");
    let person = json!({
        "Email Address": "ada@example.org", "First Name": "<script>", "questions": { OPT_IN: "N" },
    });
    let body = json!({ "txn1": "17", "supporter": person }).to_string();
    let path = format!("/ens/service/page/{page}/process");
    assert_eq!(
        account.answer(&request("POST", &path, "session-1", &body)).code(),
        200
    );
    let html = account.page();
    assert!(
        html.contains("First Name: &lt;script>") && html.contains("Accepts Email: N since 2026-01-01"),
        "{html}"
    );
    assert!(html.contains("Rivers &quot;17&quot;"), "{html}");
}
