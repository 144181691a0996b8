mod events;
mod memory;
mod refusals;
mod vendor;

use std::time::Duration;

use causeway_core::destination::{AttemptResult, Destination};
use causeway_testkit::{
    destination_contract::{self, Contract, delivery},
    fake_api::{FakeApi, Reply, Request},
};
use serde_json::json;

use super::*;
use crate::config::Context;
use crate::destination::tests::support::{self, outcomes, subscriber};

const SINCE: &str = "2026-03-01T09:30:00Z";
const PERSON: &str = "/v3/contacts/person1%40example.org";
const BY_ID: &str = "/v3/contacts/7";
const CONTACTS: &str = "/v3/contacts";

fn context() -> Context {
    support::context("brevo")
}

fn connect(api: &str, more: &str) -> Box<dyn Destination> {
    // Nobody moves the test's clock, so the calls must not wait for it.
    let keys = format!(
        "token = 'secret'\nlists = [12, 31]\nbase_url = '{api}'\nallow_private = true\ncalls_per_s = 1000000\n{more}"
    );
    (KIND.connect)(&context(), &toml::from_str(&keys).unwrap()).unwrap()
}

fn withdrawal(change: Change) -> Delivery {
    support::withdrawal(1, change)
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!({ "code": code, "message": message }))
}

fn contact(is_blocked: bool, lists: &Value, left: &Value, modified: &str) -> Value {
    json!({ "id": 7, "emailBlacklisted": is_blocked, "listIds": lists, "listUnsubscribed": left,
        "modifiedAt": modified, "statistics": {} })
}

/// Nobody is a contact yet, and all is accepted.
fn accept(api: &FakeApi) {
    api.compute(|request| match (&*request.method, &*request.path) {
        ("GET", "/v3/events") => Reply::json(200, &json!({ "events": [], "count": 0 })),
        ("GET", _) => error(404, "document_not_found", "Contact does not exist"),
        ("POST", CONTACTS) => Reply::json(201, &json!({ "id": 7 })),
        ("POST", "/v3/events/batch") => {
            let count = request.json()["events"].as_array().unwrap().len();
            Reply::json(202, &json!({ "message": "accepted", "count": count }))
        }
        _ => Reply::status(204),
    });
}

/// The contact is there.
fn with_contact(api: &FakeApi, contact: Value) {
    accept(api);
    api.compute_at(PERSON, move |request| match &*request.method {
        "GET" => Reply::json(200, &contact),
        _ => Reply::status(204),
    });
}

fn calls(api: &FakeApi) -> Vec<String> {
    let calls = support::calls(api, "/v3");
    let person = PERSON.strip_prefix("/v3").unwrap();
    calls.iter().map(|call| call.replace(person, "P")).collect()
}

async fn one(destination: &dyn Destination, delivery: Delivery) -> AttemptResult {
    destination.deliver(&[delivery]).await.remove(0)
}

/// What was written about the contact first.
fn written(api: &FakeApi) -> Option<Value> {
    let requests = api.requests();
    let mut posts = requests
        .iter()
        .filter(|request| request.method == "POST" && request.path == CONTACTS);
    posts.next().map(Request::json)
}

#[tokio::test]
async fn keeps_the_destination_contract() {
    destination_contract::run(&Contract {
        connect: &|url| connect(url, "event = { name = 'signed' }"),
        accept: &accept,
        batch: 3,
    })
    .await;
}

#[tokio::test]
async fn a_person_who_agreed_is_read_and_then_put_on_the_lists() {
    let api = FakeApi::start().await;
    accept(&api);
    let keys =
        "event = { name = 'signed' }\nfields = { FIRSTNAME = 'contact.firstName', ext_id = '=proca:1' }";
    let result = one(&*connect(&api.url("/v3"), keys), subscriber(1, SINCE)).await;
    let remote_id = Some("7".to_owned());
    assert_eq!(result.outcome, Outcome::Delivered { remote_id });
    assert_eq!(calls(&api), ["GET P", "POST /contacts", "POST /events"]);
    assert_eq!(api.requests()[0].query, "identifierType=email_id");
    assert_eq!(
        written(&api).unwrap(),
        json!({ "email": "person1@example.org", "updateEnabled": true, "getId": true, "listIds": [12, 31],
            "attributes": { "FIRSTNAME": "Ada" }, "ext_id": "proca:1" })
    );
    let event = api.requests()[2].json();
    assert_eq!(
        (&event["event_name"], &event["event_date"]),
        (&json!("signed"), &json!(SINCE))
    );
    assert_eq!(event["identifiers"], json!({ "email_id": "person1@example.org" }));
}

#[tokio::test]
async fn a_contact_that_left_comes_back_only_by_a_newer_opt_in() {
    let (before, after) = ("2026-03-01T09:20:00.000Z", "2026-03-02T00:00:00.000Z");
    let none = json!([]);
    for (there, sent) in [
        (
            contact(false, &json!([12, 31]), &none, after),
            Some((json!(null), json!(null))),
        ),
        // A list of which they are a member is not named again.
        (
            contact(false, &json!([12]), &none, after),
            Some((json!([31]), json!(null))),
        ),
        (
            contact(true, &json!([12, 31]), &none, before),
            Some((json!(null), json!(false))),
        ),
        (
            contact(false, &none, &json!([12]), before),
            Some((json!([12, 31]), json!(null))),
        ),
        // An unsubscription from another list says nothing about these.
        (
            contact(false, &none, &json!([99]), after),
            Some((json!([12, 31]), json!(null))),
        ),
        (contact(true, &json!([12, 31]), &none, after), None),
        (contact(false, &none, &json!([12]), after), None),
        (contact(true, &none, &none, "2026-03-01T09:26:00.000Z"), None),
        (contact(true, &none, &none, "not a time"), None),
    ] {
        let api = FakeApi::start().await;
        with_contact(&api, there.clone());
        let result = one(&*connect(&api.url(""), ""), subscriber(1, SINCE)).await;
        assert_eq!(result.outcome.as_str(), "delivered");
        assert_eq!(result.notes.is_empty(), sent.is_some(), "{there}: {result:?}");
        let body = written(&api);
        let found = body.map(|body| (body["listIds"].clone(), body["emailBlacklisted"].clone()));
        assert_eq!(found, sent, "{there}");
    }
    // The unsubscription itself may be later than the last change.
    let api = FakeApi::start().await;
    let mut there = contact(true, &none, &none, before);
    there["statistics"] = json!({ "unsubscriptions": { "userUnsubscription": [{ "eventTime": after }] } });
    with_contact(&api, there);
    one(&*connect(&api.url(""), ""), subscriber(1, SINCE)).await;
    assert_eq!(calls(&api), ["GET P"]);
}

#[tokio::test]
async fn nobody_is_put_on_a_list_without_consent() {
    let api = FakeApi::start().await;
    let brevo = connect(&api.url(""), "");
    let mut only_the_word = delivery(1);
    only_the_word.record.change = Change::Subscribe;
    for delivery in [delivery(1), only_the_word] {
        api.reset();
        accept(&api);
        one(&*brevo, delivery).await;
        let body = written(&api).unwrap();
        assert!(
            body.get("listIds").is_none() && body.get("emailBlacklisted").is_none(),
            "{body}"
        );
    }
}

#[tokio::test]
async fn an_opt_out_is_proved_by_the_contact() {
    let none = json!([]);
    let on = contact(false, &json!([12, 31]), &none, SINCE);
    let blocked = contact(true, &json!([12, 31]), &none, SINCE);
    let off = contact(false, &json!([99]), &none, SINCE);
    for (keys, change, after, body) in [
        (
            "",
            Change::Unsubscribe,
            &blocked,
            json!({ "emailBlacklisted": true }),
        ),
        (
            "opt_out = 'unlink'",
            Change::Unsubscribe,
            &off,
            json!({ "unlinkListIds": [12, 31] }),
        ),
        (
            "opt_out = 'unlink'",
            Change::Suppress,
            &blocked,
            json!({ "emailBlacklisted": true }),
        ),
    ] {
        let api = FakeApi::start().await;
        accept(&api);
        api.script(
            PERSON,
            [Reply::json(200, &on), Reply::status(204), Reply::json(200, after)],
        );
        let brevo = connect(&api.url(""), keys);
        let result = one(&*brevo, withdrawal(change)).await;
        assert_eq!(result.outcome.as_str(), "delivered", "{result:?}");
        assert_eq!(calls(&api), ["GET P", "PUT P", "GET P"]);
        assert_eq!(api.requests()[1].json(), body);
        let is_remembered = result.memory.unwrap().get("left").is_some();
        assert_eq!(is_remembered, after["emailBlacklisted"] == true);
        // It was not carried out.
        api.script(
            PERSON,
            [Reply::json(200, &on), Reply::status(204), Reply::json(200, &on)],
        );
        assert_eq!(one(&*brevo, withdrawal(change)).await.outcome.as_str(), "retry");
    }
    let api = FakeApi::start().await;
    let brevo = connect(&api.url(""), "");
    with_contact(&api, blocked);
    assert_eq!(
        one(&*brevo, withdrawal(Change::Unsubscribe))
            .await
            .outcome
            .as_str(),
        "delivered"
    );
    assert_eq!(
        calls(&api),
        ["GET P"],
        "a contact that left already is not touched"
    );
    api.reset();
    accept(&api);
    for change in [Change::Unsubscribe, Change::Suppress, Change::Remove] {
        let result = one(&*brevo, withdrawal(change)).await;
        assert_eq!(result.outcome.as_str(), "delivered", "no contact, no opt-out");
    }
    assert!(
        calls(&api).iter().all(|call| !call.starts_with('P')),
        "{:?}",
        calls(&api)
    );
}

#[tokio::test]
async fn a_list_that_is_missing_leaves_nobody_on_the_others() {
    let none = json!([]);
    let on = contact(false, &json!([12, 99]), &none, SINCE);
    let off = contact(false, &json!([99]), &none, SINCE);
    let missing = || error(404, "document_not_found", "List ID does not exist");
    for (withdraw, after, outcome) in [
        (Reply::status(204), Reply::json(200, &off), "delivered"),
        (missing(), Reply::json(200, &on), "retry"),
        (missing(), missing(), "delivered"),
    ] {
        let api = FakeApi::start().await;
        accept(&api);
        api.script(PERSON, [Reply::json(200, &on), withdraw, after]);
        let brevo = connect(&api.url(""), "opt_out = 'unlink'");
        let result = one(&*brevo, withdrawal(Change::Unsubscribe)).await;
        assert_eq!(result.outcome.as_str(), outcome, "{result:?}");
        assert_eq!(calls(&api), ["GET P", "PUT P", "GET P"]);
        // The person is not on list 31, which may be gone.
        assert_eq!(api.requests()[1].json(), json!({ "unlinkListIds": [12] }));
    }
}

#[tokio::test]
async fn a_person_who_opted_out_and_is_no_contact_is_created_blocked() {
    let api = FakeApi::start().await;
    accept(&api);
    let mut declined = withdrawal(Change::Unsubscribe);
    declined.record.kind = DeliveryKind::Record;
    let keys = "event = { name = 'signed' }";
    let result = one(&*connect(&api.url(""), keys), declined).await;
    assert_eq!(result.outcome.as_str(), "delivered");
    assert_eq!(
        calls(&api),
        ["GET P", "POST /contacts", "GET P"],
        "and has no event"
    );
    assert_eq!(written(&api).unwrap()["emailBlacklisted"], true);
}
