//! What mautic-cli hides: statuses, headers, batches, and the page.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use causeway_testkit::clock::TestClock;
use data_encoding::BASE64;
use serde_json::json;

use super::*;

fn request(method: &str, path: &str, body: &Value) -> Request {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let basic = BASE64.encode(format!("{USER}:{PASSWORD}").as_bytes());
    Request {
        method: method.to_owned(),
        path: format!("/api/{path}"),
        query: query.to_owned(),
        headers: vec![("authorization".to_owned(), format!("Basic {basic}"))],
        body: Bytes::from(body.to_string()),
    }
}

fn site() -> (Arc<TestClock>, Mautic) {
    let clock = Arc::new(TestClock::default());
    (Arc::clone(&clock), Mautic::new(clock))
}

#[expect(clippy::needless_pass_by_value, reason = "calls read better")]
fn send(site: &mut Mautic, method: &str, path: &str, body: Value) -> (u16, Value) {
    let reply = site.answer(&request(method, path, &body));
    (
        reply.code(),
        serde_json::from_slice(reply.content()).unwrap_or_default(),
    )
}

fn batch(site: &mut Mautic, rows: Value) -> (u16, Value) {
    send(site, "POST", "contacts/batch/new", rows)
}

#[test]
fn rows_of_a_batch_have_their_own_statuses_and_lists_with_gaps_are_objects() {
    let (_, mut site) = site();
    let rows = json!([
        { "email": "ada@example.org" }, { "email": "ada" }, { "email": "bo@example.org", "country": "BE" },
        { "email": "ADA@example.org", "firstname": "Ada" },
    ]);
    let (status, body) = batch(&mut site, rows);
    assert_eq!(
        (status, &body["statusCodes"]),
        (201, &json!([201, 400, 400, 200]))
    );
    assert_eq!(body["contacts"]["3"]["fields"]["all"]["firstname"], "Ada");
    assert_eq!(
        body["errors"]["1"]["details"],
        json!({ "email": ["This value is not valid."] })
    );
    assert_eq!(
        body["errors"]["2"]["details"],
        json!({ "country": ["This value is not valid."] })
    );
    assert_eq!(site.contacts.len(), 1);
    // An error of the first row only makes a list of errors.
    let (_, body) = batch(
        &mut site,
        json!([{ "email": "ada" }, { "email": "bo@example.org" }]),
    );
    assert!(
        body["errors"].is_array() && body["contacts"].is_object(),
        "{body}"
    );
    let (_, body) = batch(&mut site, json!([{ "email": "cy@example.org" }]));
    assert!(body["errors"].is_null() && body["contacts"].is_array(), "{body}");
}

#[test]
fn an_exception_or_too_many_rows_are_a_500_and_what_came_before_stays() {
    let (_, mut site) = site();
    site.breaks.insert("bo@example.org".to_owned());
    let rows =
        json!([{ "email": "ada@example.org" }, { "email": "bo@example.org" }, { "email": "cy@example.org" }]);
    let (status, body) = batch(&mut site, rows.clone());
    assert_eq!((status, &body["errors"][0]["code"]), (500, &json!(500)));
    assert_eq!(site.contacts.len(), 1);
    site.batch_limit = 2;
    let (status, body) = batch(&mut site, rows);
    assert_eq!(
        (status, &body["errors"][0]["message"]),
        (500, &json!("Batch exceeds limit of 2."))
    );
}

#[test]
fn batch_edit_creates_by_put_and_not_by_patch() {
    let (_, mut site) = site();
    let rows = json!([{ "id": 99, "email": "ada@example.org" }]);
    let (_, body) = send(&mut site, "PATCH", "contacts/batch/edit", rows.clone());
    assert_eq!((&body["statusCodes"], site.contacts.len()), (&json!([404]), 0));
    let (_, body) = send(&mut site, "PUT", "contacts/batch/edit", rows);
    assert_eq!((&body["statusCodes"], site.contacts.len()), (&json!([201]), 1));
}

#[test]
fn a_search_by_eq_does_not_find_a_quote_mark_and_by_in_it_does() {
    let (_, mut site) = site();
    site.import_contact("o'neill@example.org");
    site.import_contact("ada@example.org");
    for (expr, value, expected) in [
        ("eq", "ada%40example.org", "1"),
        ("eq", "o%27neill%40example.org", "0"),
        ("in", "%22o%27neill%40example.org%22", "1"),
        (
            "in",
            "%22O%27Neill%40example.org%22%2C%22ada%40example.org%22",
            "2",
        ),
    ] {
        let path = format!("contacts?where[0][col]=email&where[0][expr]={expr}&where[0][val]={value}");
        let (_, body) = send(&mut site, "GET", &path, Value::Null);
        assert_eq!(body["total"], expected, "{path}");
    }
    let (status, _) = send(
        &mut site,
        "GET",
        "contacts?where[0][col]=mail&where[0][expr]=eq&where[0][val]=x",
        Value::Null,
    );
    assert_eq!(status, 500);
}

#[test]
fn zeros_and_empty_values_clear_nothing_unless_asked() {
    let (_, mut site) = site();
    let given = json!({ "email": "ada@example.org", "city": "Pécs", "attribution": 7, "shoe": 42 });
    send(&mut site, "POST", "contacts/new", given);
    let blank = json!({ "email": "ada@example.org", "city": "", "attribution": 0 });
    send(&mut site, "POST", "contacts/new", blank.clone());
    let values = |site: &Mautic| site.by_email("ada@example.org")[0].1.values.clone();
    assert_eq!(
        (&*values(&site)["city"], &*values(&site)["attribution"]),
        ("Pécs", "7")
    );
    assert!(!values(&site).contains_key("shoe"), "no such field");
    let mut clearing = blank;
    clearing["overwriteWithBlank"] = json!(true);
    send(&mut site, "POST", "contacts/new", clearing);
    assert_eq!(values(&site)["city"], "");
}

#[test]
fn somebody_who_unsubscribed_stays_so() {
    let (_, mut site) = site();
    let id = site.import_contact("ada@example.org");
    let add = |site: &mut Mautic, reason: Value| {
        let path = format!("contacts/{id}/dnc/email/add");
        send(
            site,
            "POST",
            &path,
            json!({ "reason": reason, "comments": "<b>" }),
        )
    };
    assert_eq!(add(&mut site, json!("x")).0, 400);
    for (reason, expected) in [(3, 3), (2, 2), (1, 1), (2, 1)] {
        let (status, body) = add(&mut site, json!(reason));
        let entries = &body["contact"]["doNotContact"];
        assert_eq!((status, &entries[0]["reason"]), (200, &json!(expected)));
        assert_eq!(entries.as_array().unwrap().len(), 1);
    }
    assert_eq!(site.entries("ada@example.org")[0].comments, "&#60;b&#62;");
    let path = format!("contacts/{id}/dnc/email/remove");
    for found in [true, false] {
        assert_eq!(send(&mut site, "POST", &path, json!({})).1["recordFound"], found);
    }
}

#[test]
fn an_hour_has_as_many_calls_as_the_site_allows() {
    let (clock, mut site) = site();
    site.limit = Some(2);
    let read = request("GET", "contacts", &Value::Null);
    let codes: Vec<u16> = (0..3).map(|_| site.answer(&read).code()).collect();
    assert_eq!((codes, site.refused), (vec![200, 200, 429], 1));
    clock.advance(Duration::from_hours(1));
    assert_eq!(site.answer(&read).code(), 200);
}

#[test]
fn only_the_api_is_there_and_only_for_those_who_may() {
    let (_, mut site) = site();
    let mut read = request("GET", "contacts", &Value::Null);
    site.is_basic_enabled = false;
    assert_eq!(site.answer(&read).code(), 403);
    site.is_basic_enabled = true;
    read.headers.clear();
    assert_eq!(site.answer(&read).code(), 401);
    read.path = "/crm/api/contacts".to_owned();
    let reply = site.answer(&read);
    assert_eq!(
        (reply.code(), reply.content()),
        (404, &b"<html><body>Not Found</body></html>"[..])
    );
}

#[test]
fn the_page_shows_what_is_there_and_runs_nothing() {
    let (_, mut site) = site();
    let id = site.import_contact("ada@example.org");
    send(
        &mut site,
        "PATCH",
        &format!("contacts/{id}/edit"),
        json!({ "firstname": "<script>", "tags": "a,-b" }),
    );
    site.unsubscribe(id);
    let page = site.page();
    assert!(
        page.contains("firstname: &lt;script>") && page.contains("email, unsubscribed"),
        "{page}"
    );
    assert!(page.contains("<td>a<td>0"), "{page}");
}
