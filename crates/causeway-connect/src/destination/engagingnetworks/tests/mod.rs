mod access;
mod actions;
mod consent;
mod vendor;

use std::{sync::Arc, time::Duration};

use causeway_core::destination::Destination;
use causeway_testkit::{
    clock::TestClock,
    destination_contract::{self, Contract, delivery},
    fake_api::{FakeApi, Reply, Request},
};
use serde_json::json;

use super::*;
use crate::config::Context;
use crate::destination::tests::support::{self, outcomes, subscriber};

const LOG_IN: &str = "/ens/service/authenticate";
const SUPPORTER: &str = "/ens/service/supporter";
const ONE: &str = "/ens/service/supporter/7";
const BULK: &str = "/ens/service/supporter/bulk";
const FIELDS: &str = "/ens/service/supporter/fields";
const QUESTIONS: &str = "/ens/service/supporter/questions";
const TRANSACTIONS: &str = "/ens/service/supporter/7/transactions";
const PAGE: &str = "/ens/service/page/9";
const PROCESS: &str = "/ens/service/page/9/process";

fn context() -> Context {
    support::context("engagingnetworks")
}

fn table(api: &str, more: &str) -> toml::Table {
    // Nobody moves the test's clock, so the calls must not wait for it.
    let keys = format!(
        "token = 'api-user-token'\nbase_url = '{api}/ens/service'\nallow_private = true\nopt_ins = ['Accepts Email']\n\
         calls_per_hour = 4000000000\npage_calls_per_5_min = 4000000000\n{more}"
    );
    toml::from_str(&keys).unwrap()
}

fn connect(api: &str, more: &str) -> Box<dyn Destination> {
    (KIND.connect)(&context(), &table(api, more)).unwrap()
}

fn withdrawal(change: Change) -> Delivery {
    support::withdrawal(1, change)
}

fn session(_: &Request) -> Reply {
    Reply::json(200, &json!({ "ens-auth-token": "session", "expires": 3_600_000 }))
}

/// An account that has a supporter with id 7, and takes everything.
async fn account(seen: &Value) -> FakeApi {
    let api = FakeApi::start().await;
    api.compute_at(LOG_IN, session);
    let shown = seen.clone();
    api.compute_at(SUPPORTER, move |request| match &*request.method {
        "GET" if shown.is_null() => Reply::status(204),
        "GET" => Reply::json(200, &shown),
        _ => Reply::json(200, &json!({ "id": 7 })),
    });
    let shown = seen.clone();
    api.compute_at(ONE, move |request| match &*request.method {
        "GET" => Reply::json(200, &shown),
        _ => Reply::json(200, &json!({ "id": 7 })),
    });
    set(&api, BULK, Reply::json(200, &json!(1)));
    api
}

fn supporter(answer: &str, at: &str) -> Value {
    let at = at.parse().ok().map(Timestamp::as_millisecond);
    let given = json!({ "name": "Accepts Email", "type": "OPTIN", "response": answer, "modifiedOn": at });
    json!({ "supporterId": 7, "suppressed": false, "Email Address": "Person1@example.org", "questions": [given] })
}

fn refusal(status: u16, message: &str) -> Reply {
    Reply::json(
        status,
        &json!({ "message": message, "messageId": 10_000_005, "developerMessage": "" }),
    )
}

/// Sends this response on one path from now on, whatever it was before.
fn set(api: &FakeApi, path: &str, reply: Reply) {
    api.compute_at(path, move |_| reply.clone());
}

/// Methods and paths, without the log-in.
fn calls(api: &FakeApi) -> Vec<String> {
    let mut calls = support::calls(api, "/ens/service");
    calls.retain(|call| call != "POST /authenticate");
    calls
}

/// The body of the last request.
fn last(api: &FakeApi) -> Value {
    api.requests().last().unwrap().json()
}

#[tokio::test]
async fn keeps_the_destination_contract() {
    destination_contract::run(&Contract {
        connect: &|url| connect(url, ""),
        accept: &|api| {
            api.compute_at(LOG_IN, session);
            api.compute(|_| Reply::json(200, &json!({ "id": 7 })));
        },
        batch: 3,
    })
    .await;
}

#[tokio::test]
async fn data_alone_takes_one_call_and_touches_no_opt_in() {
    let api = account(&Value::Null).await;
    let results = connect(&api.url(""), "").deliver(&[delivery(1)]).await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    assert_eq!(calls(&api), ["POST /supporter"]);
    let expected = json!({
        "Email Address": "person1@example.org", "First Name": "Ada", "Last Name": "Példa, \"jr\"", "Country": "HU",
    });
    assert_eq!(last(&api), expected);
    // The same again costs no call.
    let mut again = delivery(1);
    again.memory.clone_from(&results[0].memory);
    let connected = connect(&api.url(""), "");
    let results = connected.deliver(std::slice::from_ref(&again)).await;
    assert_eq!(
        (outcomes(&results), calls(&api).len()),
        (vec!["skip"], 1),
        "{results:?}"
    );
    // From then on the id is known.
    let name = again.record.contact.fields.get_mut("firstName").unwrap();
    name.value = json!("Ida");
    connected.deliver(std::slice::from_ref(&again)).await;
    assert_eq!(calls(&api)[1], "PUT /supporter/7");
    assert_eq!(last(&api).get("Email Address"), None);
    // If it was deleted there, it is created anew.
    set(&api, ONE, refusal(404, "Unable to find a supporter"));
    let results = connected.deliver(&[again]).await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    assert_eq!(last(&api)["Email Address"], "person1@example.org");
}

#[tokio::test]
async fn an_unchanged_opt_in_costs_no_call_and_a_new_one_is_written() {
    let api = account(&supporter("Y", "2026-02-01T00:00:00Z")).await;
    let connected = connect(&api.url(""), "");
    let agreed = subscriber(1, "2026-03-01T09:30:00Z");
    let results = connected.deliver(std::slice::from_ref(&agreed)).await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    let memory = results[0].memory.clone();
    let with_memory = |delivery: Delivery| Delivery {
        memory: memory.clone(),
        ..delivery
    };
    let before = calls(&api).len();
    let results = connected.deliver(&[with_memory(agreed)]).await;
    assert_eq!(outcomes(&results), ["skip"], "{results:?}");
    assert_eq!(calls(&api).len(), before);
    // What takes consent away is sent, and so are a later opt-in and another action.
    let page = json!({ "id": 9, "campaignId": 90, "type": "dc", "subType": "PET" });
    set(&api, PAGE, Reply::json(200, &page));
    let done = json!({ "status": "Success", "id": "500", "supporterId": 7 });
    set(&api, PROCESS, Reply::json(200, &done));
    set(&api, TRANSACTIONS, Reply::json(200, &json!([])));
    for (own, delivery) in [
        ("", withdrawal(Change::Unsubscribe)),
        ("", subscriber(1, "2026-03-01T09:45:00Z")),
        ("action = { page = '=9' }", subscriber(1, "2026-03-01T09:30:00Z")),
        (
            "opt_ins = ['Accepts Email', 'Accepts SMS']",
            subscriber(1, "2026-03-01T09:30:00Z"),
        ),
    ] {
        let before = calls(&api).len();
        let mut keys = table(&api.url(""), "");
        keys.extend(toml::from_str::<toml::Table>(own).unwrap());
        let connected = (KIND.connect)(&context(), &keys).unwrap();
        let results = connected.deliver(&[with_memory(delivery)]).await;
        assert_ne!(outcomes(&results), ["skip"], "{own}: {results:?}");
        assert!(calls(&api).len() > before, "{own}");
    }
}

#[tokio::test]
async fn errors_end_only_what_they_are_about() {
    for (reply, outcome, reason) in [
        (
            refusal(400, "Email address not found or is not valid"),
            "reject",
            "refuses the address",
        ),
        (
            refusal(400, "Something person1@example.org"),
            "reject",
            "refuses the supporter",
        ),
        (
            refusal(
                400,
                "The following fields are not present in the account, please review: Shoe",
            ),
            "halt",
            "no such field",
        ),
        (
            refusal(403, "ApiUser does not have adequate permissions"),
            "halt",
            "may not do this",
        ),
        (refusal(403, "x"), "halt", "refuses the API user"),
        (
            Reply::status(403).body("<html>Blocked</html>"),
            "retry",
            "something other than JSON",
        ),
        (refusal(429, "Too many requests"), "busy", "too many calls"),
        (
            refusal(
                401,
                "The user with username [a@example.org] has exceeded its api limit",
            ),
            "busy",
            "calls of this hour",
        ),
        (Reply::status(404).body("<html>"), "halt", "check `base_url`"),
        (refusal(404, "x"), "halt", "check `base_url`"),
        (
            Reply::json(200, &json!({})),
            "retry",
            "without what was asked for",
        ),
        (
            Reply::status(200).body("<html>"),
            "retry",
            "without what was asked for",
        ),
        (Reply::status(204), "halt", "check `base_url`"),
        (Reply::status(503), "retry", "answered 503"),
    ] {
        let api = account(&Value::Null).await;
        set(&api, SUPPORTER, reply);
        let results = connect(&api.url(""), "").deliver(&[delivery(1)]).await;
        assert_eq!(outcomes(&results), [outcome], "{reason}: {results:?}");
        let found = results[0].outcome.reason().unwrap();
        assert!(found.contains(reason) && !found.contains('@'), "{found}");
    }
    // An opt-out does not fail because of the data beside it.
    let api = account(&supporter("N", "2026-02-01T00:00:00Z")).await;
    let mut delivery = delivery(1);
    delivery.record.change = Change::Unsubscribe;
    let own = "fields = { City = 'action.fields.missing' }";
    let results = connect(&api.url(""), own).deliver(&[delivery]).await;
    assert_eq!(outcomes(&results), ["reject"], "{results:?}");
    assert_eq!(calls(&api), ["GET /supporter"]);
}

#[test]
fn keys_that_cannot_work_are_refused_by_name() {
    let long = "{ page = '=nine' }";
    for (key, value) in [
        ("opt_ins", "[]"),
        ("opt_ins", "['']"),
        ("opt_ins", "['A', 'A']"),
        ("double_opt_ins", "['Accepts Email']"),
        ("calls_per_hour", "0"),
        ("page_calls_per_5_min", "0"),
        ("base_url", "'ftp://ca.engagingnetworks.app'"),
        ("action.page", long),
        (
            "action.fields.txn11",
            "{ page = '=9', fields = { txn11 = 'action.id' } }",
        ),
        ("fields.questions", "{ questions = 'contact.email' }"),
        ("fields.Email Address", "{ 'Email Address' = 'contact.email' }"),
        ("questions.Accepts Email", "{ 'Accepts Email' = '=Y' }"),
    ] {
        let mut own = table("https://ca.engagingnetworks.app", "");
        let name = key.split('.').next().unwrap();
        let more: toml::Table = toml::from_str(&format!("{name} = {value}")).unwrap();
        own.extend(more);
        assert_eq!((KIND.parse)(&context().tables, &own).unwrap_err().key, key);
    }
}

#[test]
fn the_preview_shows_every_call() {
    let batch = [
        subscriber(1, "2026-03-01T09:30:00Z"),
        delivery(1),
        withdrawal(Change::Unsubscribe),
        withdrawal(Change::Suppress),
        withdrawal(Change::Remove),
    ];
    let own = table("https://ca.engagingnetworks.app", "action = { page = '=9' }");
    let previews = (KIND.preview)(&context(), &own, &batch).unwrap();
    let previews: Vec<String> = previews.into_iter().map(Result::unwrap).collect();
    insta::assert_snapshot!(previews.join("\n\n=====\n\n"));
}
