mod vendor;

use std::sync::Arc;

use causeway_core::destination::Destination;
use causeway_testkit::{
    clock::TestClock,
    destination_contract::{self, Contract, delivery},
    fake_api::{FakeApi, Reply, Request},
};
use serde_json::json;

use super::*;
use crate::config::Context;
use crate::destination::tests::support::{self, outcomes, subscriber, withdrawal};

const FORM: &str = "action = { on = 'form', id = '=f1' }";
const PEOPLE: &str = "/api/v2/people";

fn context() -> Context {
    support::context("actionnetwork")
}

fn connect(api: &str, more: &str) -> Box<dyn Destination> {
    // Nobody moves the test's clock, so the calls must not wait for it.
    let keys = format!(
        "api_key = 'secret'\nbase_url = '{api}'\nallow_private = true\ncalls_per_10_s = 1000000\n{more}"
    );
    (KIND.connect)(&context(), &toml::from_str(&keys).unwrap()).unwrap()
}

fn accepted(request: &Request) -> Reply {
    let people = json!({ "_embedded": { "osdi:people": [] } });
    match (&*request.method, &*request.path) {
        ("GET", _) => Reply::json(200, &people),
        _ => Reply::json(200, &json!({ "identifiers": ["own:7", "action_network:u-7"] })),
    }
}

fn known(status: &str, modified: &str) -> Value {
    json!({ "_embedded": { "osdi:people": [{
        "identifiers": ["action_network:u-7"], "modified_date": modified,
        "email_addresses": [{ "address": "Person1@example.org", "status": status }],
    }] } })
}

fn calls(api: &FakeApi) -> Vec<String> {
    let all = api.requests();
    let call = |request: &Request| format!("{} {}", request.method, request.path);
    all.iter().map(call).collect()
}

/// The status that was written, or null.
fn written(api: &FakeApi) -> Value {
    let all = api.requests();
    let sign_up = all
        .iter()
        .find(|request| request.method == "POST" && request.path == PEOPLE);
    let body = sign_up.map(Request::json).unwrap_or_default();
    body.pointer("/person/email_addresses/0/status")
        .cloned()
        .unwrap_or_default()
}

#[tokio::test]
async fn keeps_the_destination_contract() {
    destination_contract::run(&Contract {
        connect: &|url| connect(url, FORM),
        accept: &|api| api.compute(accepted),
        batch: 3,
    })
    .await;
}

#[tokio::test]
async fn the_status_is_decided_from_what_is_there() {
    let (early, late) = ("2026-02-01T00:00:00Z", "2026-03-02T00:00:00Z");
    let agreed = || subscriber(1, "2026-03-01T09:30:00Z");
    for (delivery, people, status, notes) in [
        // A new person would be subscribed by default.
        (
            agreed(),
            json!({ "_embedded": { "osdi:people": [] } }),
            json!("subscribed"),
            0,
        ),
        (
            delivery(1),
            json!({ "_embedded": { "osdi:people": [] } }),
            json!("unsubscribed"),
            0,
        ),
        (agreed(), known("subscribed", early), Value::Null, 0),
        (delivery(1), known("subscribed", early), Value::Null, 0),
        (agreed(), known("unsubscribed", early), json!("subscribed"), 0),
        (agreed(), known("unsubscribed", late), Value::Null, 1),
        (agreed(), known("unsubscribed", "not a time"), Value::Null, 1),
        (agreed(), known("bouncing", early), Value::Null, 1),
        (agreed(), known("spam complaint", early), Value::Null, 1),
    ] {
        let api = FakeApi::start().await;
        api.compute(accepted);
        api.compute_at(PEOPLE, move |request| match &*request.method {
            "GET" => Reply::json(200, &people),
            _ => accepted(request),
        });
        let results = connect(&api.url(""), "")
            .deliver(std::slice::from_ref(&delivery))
            .await;
        assert_eq!(outcomes(&results), ["delivered"]);
        assert_eq!(written(&api), status);
        assert_eq!(results[0].notes.len(), notes, "{results:?}");
        assert_eq!(
            results[0].outcome,
            Outcome::Delivered {
                remote_id: Some("u-7".to_owned())
            }
        );
    }
}

#[tokio::test]
async fn an_opt_out_is_written_first_and_confirmed_by_the_status() {
    let api = FakeApi::start().await;
    api.compute_at(PEOPLE, |request| match &*request.method {
        "GET" => Reply::json(200, &known("subscribed", "2026-02-01T00:00:00Z")),
        _ => accepted(request),
    });
    let answer = |status: &str| json!({ "email_addresses": [{ "status": status }] });
    api.reply_at("/api/v2/people/u-7", Reply::json(200, &answer("unsubscribed")));
    let network = connect(&api.url(""), "");
    let mut with_data = delivery(1);
    with_data.record.change = Change::Unsubscribe;
    assert_eq!(outcomes(&network.deliver(&[with_data]).await), ["delivered"]);
    let put = "PUT /api/v2/people/u-7".to_owned();
    assert_eq!(
        calls(&api),
        [format!("GET {PEOPLE}"), put, format!("POST {PEOPLE}")]
    );
    assert_eq!(written(&api), Value::Null);
    for change in [Change::Unsubscribe, Change::Suppress] {
        let results = network.deliver(&[withdrawal(1, change)]).await;
        assert_eq!(outcomes(&results), ["delivered"]);
    }
    // Anything but the status of this address is no confirmation.
    let of_another = json!({ "email_addresses": [
        { "address": "other@example.org", "status": "unsubscribed" },
        { "address": "person1@example.org", "status": "subscribed" },
    ] });
    for reply in [
        Reply::json(200, &of_another),
        Reply::json(200, &answer("subscribed")),
        Reply::json(200, &json!({})),
    ] {
        api.reply_at("/api/v2/people/u-7", reply);
        for change in [Change::Unsubscribe, Change::Remove] {
            assert_eq!(
                outcomes(&network.deliver(&[withdrawal(1, change)]).await),
                ["retry"]
            );
        }
    }
}

#[tokio::test]
async fn an_empty_object_is_a_failure_and_a_page_confirms_nothing() {
    let api = FakeApi::start().await;
    api.compute(accepted);
    api.compute_at(PEOPLE, |request| match &*request.method {
        "GET" => accepted(request),
        _ => Reply::json(200, &json!({})),
    });
    assert_eq!(
        outcomes(&connect(&api.url(""), "").deliver(&[delivery(1)]).await),
        ["reject"]
    );
    for answer in [
        Reply::status(200).body("<html>log in first</html>"),
        Reply::status(200),
        Reply::json(200, &json!({})),
        Reply::json(200, &json!({ "_embedded": {} })),
        Reply::json(200, &known("subscribed", "")).cut(),
        Reply::status(403).body("<html>denied</html>"),
    ] {
        let api = FakeApi::start().await;
        api.reply(answer);
        let network = connect(&api.url(""), "");
        for change in [Change::Unsubscribe, Change::Suppress, Change::Remove] {
            assert_eq!(
                outcomes(&network.deliver(&[withdrawal(1, change)]).await),
                ["retry"]
            );
        }
        assert_eq!(outcomes(&network.deliver(&[delivery(1)]).await), ["retry"]);
    }
}

#[tokio::test]
async fn a_refused_key_is_not_kept() {
    let api = FakeApi::start().await;
    api.reply(Reply::json(
        403,
        &json!({ "error": "API Key invalid or not present secret" }),
    ));
    let network = connect(&api.url(""), "");
    let results = network.deliver(&[delivery(1), delivery(2)]).await;
    assert_eq!(outcomes(&results), ["halt", "halt"]);
    assert!(!format!("{results:?}").contains("secret"), "{results:?}");
    assert_eq!(api.requests().len(), 1);
    assert!(!network.check().await.unwrap_err().to_string().contains("secret"));
}

#[tokio::test]
async fn a_server_error_that_stays_is_final_and_a_limit_stops_all() {
    let api = FakeApi::start().await;
    api.reply(Reply::json(500, &json!({ "error": "person1@example.org" })));
    let network = connect(&api.url(""), "");
    let mut last = delivery(1);
    last.attempt = 5;
    assert_eq!(
        outcomes(&network.deliver(&[delivery(1), last]).await),
        ["retry", "reject"]
    );
    api.reset();
    api.reply(Reply::json(429, &json!({ "error": "Too many requests" })));
    let results = network.deliver(&[delivery(1), delivery(2)]).await;
    assert_eq!(outcomes(&results), ["busy", "busy"]);
    assert_eq!(api.requests().len(), 1);
}

#[tokio::test]
async fn an_address_without_a_country_is_left_out() {
    let api = FakeApi::start().await;
    api.compute(accepted);
    let with = |fields: Value| {
        let mut delivery = delivery(1);
        let fields = fields.as_object().unwrap().clone().into_iter().collect();
        let at = delivery.planned_at + std::time::Duration::from_secs(1);
        delivery.record.contact.set_fields(&fields, at);
        delivery
    };
    let stateless = with(json!({ "country": null, "postcode": "1000", "locality": "Brussels" }));
    let whole = with(json!({ "country": "BE", "postcode": "1000", "locality": "Brussels" }));
    let results = connect(&api.url(""), "").deliver(&[stateless, whole]).await;
    assert!(
        results[0].notes[0].contains("its country is unknown"),
        "{results:?}"
    );
    let people: Vec<Value> = api
        .requests()
        .iter()
        .filter(|request| request.method == "POST")
        .map(|request| request.json()["person"]["postal_addresses"].clone())
        .collect();
    let address = json!([{ "locality": "Brussels", "postal_code": "1000", "country": "BE" }]);
    assert_eq!(people, [Value::Null, address]);
}

#[test]
fn a_preview_shows_every_request_that_would_be_sent() {
    let keys = format!("api_key = 'secret'\ntags = ['=supporter', 'campaign.name']\n{FORM}");
    let batch = [
        subscriber(1, "2026-03-01T09:30:00Z"),
        withdrawal(1, Change::Unsubscribe),
        withdrawal(1, Change::Remove),
    ];
    let shown = (KIND.preview)(&context(), &toml::from_str(&keys).unwrap(), &batch).unwrap();
    insta::assert_snapshot!(
        shown
            .into_iter()
            .map(Result::unwrap)
            .collect::<Vec<_>>()
            .join("\n\n----\n\n")
    );
}

#[test]
fn keys_that_would_surprise_are_refused() {
    for (more, found) in [
        ("system = 'a:b'", "cannot begin an identifier"),
        ("calls_per_10_s = 0", "0 would send nothing"),
        ("api_version = '../v2'", "write it like"),
        ("tags = ['campaign.nmae']", "has no `nmae`"),
        ("action = { on = 'poster', id = '=1' }", "poster"),
    ] {
        let keys = format!("api_key = 'secret'\n{more}");
        let tables = causeway_core::mapping::Tables::default();
        let error = (KIND.parse)(&tables, &toml::from_str(&keys).unwrap()).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(found), "{shown}");
    }
}
