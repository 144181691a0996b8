use std::sync::Arc;

use serde_json::json;

use super::*;
use causeway_testkit::clock::TestClock;

fn network() -> ActionNetwork {
    ActionNetwork::new(Arc::<TestClock>::default())
}

fn post(path: &str, key: &str, body: &Value) -> Request {
    Request {
        method: "POST".to_owned(),
        path: format!("/api/v2/{path}"),
        query: String::new(),
        headers: vec![("osdi-api-token".to_owned(), key.to_owned())],
        body: body.to_string().into(),
    }
}

#[test]
fn a_helper_without_a_key_says_nothing_and_a_wrong_key_is_repeated() {
    let mut network = network();
    let body = json!({ "person": { "email_addresses": [{ "address": "ada@example.org" }] } });
    assert_eq!(network.answer(&post("people", "", &body)).content(), b"{}");
    let refused = network.answer(&post("people", "guessed", &body));
    assert_eq!(refused.code(), 403);
    assert!(String::from_utf8_lossy(refused.content()).contains("not present guessed"));
    assert!(network.people.is_empty());
}

#[test]
fn an_address_without_a_country_is_in_the_united_states() {
    let mut network = network();
    let person = json!({ "email_addresses": [{ "address": "ada@example.org" }], "postal_addresses": [{ "postal_code": "1000" }, { "country": "BE" }] });
    network.answer(&post("people", TOKEN, &json!({ "person": person })));
    assert_eq!(
        network.person("ada@example.org").unwrap().address["country"],
        "US"
    );
}

#[test]
fn four_calls_a_second_are_within_the_limit() {
    let clock = Arc::<TestClock>::default();
    let mut network = ActionNetwork::new(Arc::<TestClock>::clone(&clock));
    network.calls_per_s = 4;
    let tag = post("tags", TOKEN, &json!({ "name": "x" }));
    let codes: Vec<u16> = (0..5).map(|_| network.answer(&tag).code()).collect();
    assert_eq!(codes, [200, 200, 200, 200, 429]);
    clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(network.answer(&tag).code(), 200);
}
