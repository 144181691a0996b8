//! What the client for Python does not send: other bodies, other places for the token, and the links that it drops.

use std::sync::Arc;

use bytes::Bytes;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{ACCOUNT, APP_SECRET, Meta, TOKEN, Vendor, Violation, hash, proof};
use causeway_testkit::clock::TestClock;

use crate::fake_api::Request;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

struct Rig {
    meta: Meta,
    id: String,
}

impl Rig {
    fn new() -> Self {
        let mut meta = Meta::new(Arc::new(TestClock::default()));
        let id = meta.add_audience(ACCOUNT, "list 42");
        Self { meta, id }
    }

    /// Sends a request with the token in a header. `target` begins behind the version.
    fn send(&mut self, method: &str, target: &str, kind: &str, body: &str) -> Value {
        self.request(
            method,
            &format!("/v26.0/{target}"),
            &[("content-type", kind)],
            body,
            true,
        )
    }

    fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
        token: bool,
    ) -> Value {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let bearer = format!("Bearer {TOKEN}");
        let token = token.then_some(("authorization", bearer.as_str()));
        let headers = headers.iter().copied().chain(token);
        let reply = self.meta.answer(&Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        });
        serde_json::from_slice(reply.content()).unwrap()
    }

    fn add(&mut self, address: &str) {
        let target = format!("{}/users", self.id);
        let answer = self.send("POST", &target, JSON, &payload(address).to_string());
        assert_eq!(answer["num_received"], 1, "{answer}");
        assert!(self.holds(address));
    }

    fn holds(&self, address: &str) -> bool {
        self.meta.audience(&self.id).members.has_email(address)
    }
}

fn payload(address: &str) -> Value {
    json!({ "payload": { "schema": ["EMAIL"], "data": [[hash(address)]] } })
}

#[test]
fn deletes_come_as_json_in_the_query_with_an_empty_body_and_as_posts() {
    let mut rig = Rig::new();
    let users = format!("{}/users", rig.id);
    let payload = payload("zoe@example.org");
    let query: String =
        url::form_urlencoded::byte_serialize(payload["payload"].to_string().as_bytes()).collect();
    let mut post = payload.clone();
    post["method"] = "delete".into();
    for (method, target, kind, body) in [
        ("DELETE", users.clone(), JSON, payload.to_string()),
        (
            "DELETE",
            format!("{users}?payload={query}"),
            JSON,
            "{}".to_owned(),
        ),
        ("DELETE", users.clone(), FORM, format!("payload={query}")),
        ("POST", users.clone(), JSON, post.to_string()),
        (
            "POST",
            format!("{users}?method=DELETE"),
            FORM,
            format!("payload={query}"),
        ),
    ] {
        rig.add("zoe@example.org");
        let answer = rig.send(method, &target, kind, &body);
        assert_eq!(answer["num_received"], 1, "{answer}");
        assert!(!rig.holds("zoe@example.org"), "{method} {target} {body}");
    }
}

#[test]
fn multipart_forms_hold_json_and_quoted_text() {
    let mut rig = Rig::new();
    let part = |name: &str, value: &str| {
        format!("--XyZ\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body = part("name", "\"My list\"")
        + &part("subtype", "CUSTOM")
        + &part("customer_file_source", "\"USER_PROVIDED_ONLY\"")
        + "--XyZ--\r\n";
    let kind = "multipart/form-data; boundary=XyZ";
    let created = rig.send("POST", &format!("act_{ACCOUNT}/customaudiences"), kind, &body);
    let id = created["id"].as_str().unwrap().to_owned();
    assert_eq!(rig.meta.audience(&id).name(), "My list");
    let payload = payload("zoe@example.org")["payload"].to_string();
    rig.send(
        "POST",
        &format!("{id}/users"),
        kind,
        &(part("payload", &payload) + "--XyZ--\r\n"),
    );
    assert!(rig.meta.audience(&id).members.has_email("zoe@example.org"));
}

#[test]
fn the_link_to_the_next_page_holds_the_token() {
    let mut rig = Rig::new();
    rig.meta.add_audience(ACCOUNT, "list 43");
    let target = format!("act_{ACCOUNT}/customaudiences?fields=name,operation_status{{code}}&limit=1");
    let page = rig.send("GET", &target, FORM, "");
    let next = page["paging"]["next"].as_str().unwrap().to_owned();
    assert!(next.contains(&format!("access_token={TOKEN}")), "{next}");
    let (_, target) = next.split_once("graph.facebook.com").unwrap();
    // The audience that the cursor names may be gone.
    let first = page["data"][0]["id"].as_str().unwrap();
    rig.meta.audiences.remove(first).unwrap();
    let page = rig.request("GET", target, &[], "", false);
    assert_eq!(page["data"][0]["name"], "list 42");
    assert_eq!(page["paging"]["next"], Value::Null);
    assert_eq!(page["summary"], Value::Null);
}

#[test]
fn a_token_is_needed_and_proofs_with_a_time_grow_old() {
    let mut rig = Rig::new();
    let target = format!("/v26.0/{}", rig.id);
    let none = rig.request("GET", &target, &[], "", false);
    assert_eq!(none["error"]["code"], 104);
    let now = rig.meta.now();
    for (age, is_good) in [(0, true), (299, true), (301, false), (-301, false)] {
        let time = (now - SignedDuration::from_secs(age)).as_second().to_string();
        let proof = proof(APP_SECRET, TOKEN, Some(&time));
        let target = format!("{target}?appsecret_proof={proof}&appsecret_time={time}");
        let read = rig.request("GET", &target, &[], "", true);
        assert_eq!(
            read["error"]["code"],
            if is_good { Value::Null } else { 100.into() },
            "{age}"
        );
    }
}

#[test]
fn limited_use_and_values_are_kept_with_a_row() {
    let mut rig = Rig::new();
    let params = &mut rig.meta.audience_mut(&rig.id).params;
    params.insert("is_value_based".to_owned(), true.into());
    let schema = [
        "EMAIL",
        "LOOKALIKE_VALUE",
        "DATA_PROCESSING_OPTIONS",
        "DATA_PROCESSING_OPTIONS_COUNTRY",
    ];
    let rows = json!([
        [hash("zoe@example.org"), 44.5, ["LDU"], 1],
        [hash("ada@example.org"), "0", [], 0]
    ]);
    let body = json!({ "payload": { "schema": schema, "data": rows } }).to_string();
    let target = format!("{}/users", rig.id);
    rig.send("POST", &target, JSON, &body);
    let rows = rig.meta.audience(&rig.id).members.rows();
    let mut rows: Vec<_> = rows
        .map(|(keys, with)| (keys["EMAIL"].clone(), with.value.clone().unwrap(), with.limited))
        .collect();
    let mut expected = [
        (hash("zoe@example.org"), "44.5".to_owned(), true),
        (hash("ada@example.org"), "0".to_owned(), false),
    ];
    rows.sort();
    expected.sort();
    assert_eq!(rows, expected);
}

#[test]
fn unreadable_bodies_and_unknown_edges_are_refused() {
    let mut rig = Rig::new();
    let id = rig.id.clone();
    for (method, target, body, code) in [
        ("POST", format!("{id}/users"), "{", 100),
        ("POST", format!("{id}/users"), r#"{"payload":"{"}"#, 100),
        ("GET", format!("{id}/users"), "{}", 100),
        ("POST", format!("{id}/adaccounts"), "{}", 100),
        ("GET", "me".to_owned(), "{}", 100),
    ] {
        assert_eq!(
            rig.send(method, &target, JSON, body)["error"]["code"],
            code,
            "{target}"
        );
    }
}

#[test]
fn the_page_shows_audiences_and_violations() {
    let mut rig = Rig::new();
    rig.meta.add_audience(ACCOUNT, "<b>");
    rig.add("zoe@example.org");
    rig.meta.violations.push(Violation::BatchDiscarded);
    let page = rig.meta.page();
    assert!(
        page.contains("&lt;b>") && page.contains("BatchDiscarded"),
        "{page}"
    );
    assert!(page.contains(&hash("zoe@example.org")[..12]), "{page}");
}
