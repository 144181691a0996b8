mod vendor;

use std::{sync::Arc, time::Duration};

use causeway_core::{
    consent::ConsentState,
    destination::{Destination, Progress, Results},
};
use causeway_testkit::{
    clock::TestClock,
    destination_contract::{self, Contract, delivery},
    fake_api::{FakeApi, Reply, Request},
};
use serde_json::json;

use super::*;
use crate::config::Context;
use crate::destination::tests::support::{self, outcomes, subscriber, withdrawal};

const SUBSCRIBERS: &str = "/api/subscribers";

fn context() -> Context {
    support::context("listmonk")
}

fn table(api: &str, more: &str) -> toml::Table {
    let keys =
        format!("user = 'causeway'\ntoken = 'secret'\nbase_url = '{api}/'\nallow_private = true\n{more}");
    toml::from_str(&keys).unwrap()
}

fn connect(api: &str, more: &str) -> Box<dyn Destination> {
    (KIND.connect)(&context(), &table(api, more)).unwrap()
}

/// Nobody is known, and every write succeeds.
fn accepted(request: &Request) -> Reply {
    let data = match &*request.method {
        "GET" => json!({ "results": [] }),
        "POST" => json!({ "id": 7 }),
        _ => json!(true),
    };
    Reply::json(200, &json!({ "data": data }))
}

#[tokio::test]
async fn keeps_the_destination_contract() {
    destination_contract::run(&Contract {
        connect: &|url| connect(url, "lists = [1]"),
        accept: &|api| api.compute(accepted),
        batch: 3,
    })
    .await;
}

#[tokio::test]
async fn what_is_written_already_costs_no_call() {
    let api = FakeApi::start().await;
    api.compute(accepted);
    let clock = Arc::new(TestClock::default());
    let context = Context {
        clock: Arc::<TestClock>::clone(&clock),
        ..context()
    };
    let listmonk = (KIND.connect)(&context, &table(&api.url(""), "lists = [1]")).unwrap();
    let deliver = async |delivery: &Delivery| {
        let before = api.requests().len();
        let result = listmonk.deliver(std::slice::from_ref(delivery)).await.remove(0);
        (
            result.outcome.as_str(),
            api.requests().len() - before,
            result.memory,
        )
    };
    let mut person = subscriber(1, "2026-03-01T08:00:00Z");
    let (outcome, calls, memory) = deliver(&person).await;
    assert_eq!((outcome, calls), ("delivered", 2));
    person.memory = memory;
    assert_eq!(deliver(&person).await, ("skip", 0, None));
    let changes: [fn(&mut Delivery); 4] = [
        |person| {
            let fields = &mut person.record.contact.fields;
            fields.get_mut("firstName").unwrap().value = json!("Zoë");
        },
        |person| {
            let since = "2026-03-02T08:00:00Z".parse().unwrap();
            let state = ConsentState::OptedIn { since };
            person.record.consent_state.insert("email".to_owned(), state);
        },
        |person| person.record.change = Change::Unsubscribe,
        |person| person.record.kind = DeliveryKind::Withdrawal,
    ];
    for (at, change) in changes.iter().enumerate() {
        let mut other = person.clone();
        change(&mut other);
        assert!(deliver(&other).await.1 > 0, "{at}");
    }
    clock.advance(Duration::from_hours(7 * 24 + 1));
    assert_eq!(deliver(&person).await.1, 2, "after a week it is written again");

    // Nobody knows what a failed attempt left there.
    api.compute(|_| Reply::status(503));
    person.record.change = Change::Unsubscribe;
    let (outcome, calls, memory) = deliver(&person).await;
    assert_eq!((outcome, calls, memory), ("retry", 1, Some(Value::Null)));
}

#[tokio::test]
async fn after_a_call_that_is_cut_off_nothing_counts_as_written() {
    let api = FakeApi::start().await;
    api.compute(accepted);
    let listmonk = connect(&api.url(""), "lists = [1]");
    let mut person = subscriber(1, "2026-03-01T08:00:00Z");
    let written = listmonk.deliver(std::slice::from_ref(&person)).await.remove(0);
    person.memory = written.memory;
    assert!(person.memory.is_some());
    let fields = &mut person.record.contact.fields;
    fields.get_mut("firstName").unwrap().value = json!("Zoë");
    let before = api.requests().len();
    api.compute(|_| Reply::hang());
    let results = Results::new(1);
    tokio::select! {
        () = listmonk.deliver_into(std::slice::from_ref(&person), &results) => panic!("it hangs"),
        _ = api.wait_for(before + 1) => {}
    }
    assert_eq!(results.take(), [Progress::Started(Some(Value::Null))]);
}

#[tokio::test]
async fn a_page_of_something_in_between_confirms_nothing() {
    let known = json!({ "data": { "results": [{ "id": 7, "email": "person1@example.org" }] } });
    for answer in [
        Reply::status(200).body("<html>log in first</html>"),
        Reply::status(200),
        Reply::json(200, &json!({})),
        Reply::json(200, &json!({ "data": {} })),
        Reply::json(200, &json!({ "data": false })),
        Reply::json(200, &known).cut(),
        Reply::status(403).body("<html>denied</html>"),
    ] {
        for passes_find in [false, true] {
            let api = FakeApi::start().await;
            api.reply(answer.clone());
            if passes_find {
                let (known, answer) = (known.clone(), answer.clone());
                api.compute_at(SUBSCRIBERS, move |request| match &*request.method {
                    "GET" => Reply::json(200, &known),
                    _ => answer.clone(),
                });
            }
            let listmonk = connect(&api.url(""), "lists = [1]");
            for change in [Change::Unsubscribe, Change::Suppress, Change::Remove] {
                let results = listmonk.deliver(&[withdrawal(1, change)]).await;
                assert_eq!(outcomes(&results), ["retry"], "{change:?} {passes_find}");
            }
        }
    }
}

#[tokio::test]
async fn missing_rights_and_a_wrong_address_halt() {
    for (reply, found) in [
        (
            Reply::json(
                403,
                &json!({ "message": "permission denied: subscribers:sql_query" }),
            ),
            "right subscribers:sql_query",
        ),
        (
            Reply::json(403, &json!({ "message": "invalid API credentials" })),
            "does not accept the API user",
        ),
        (Reply::status(404).body("not here"), "check `base_url`"),
        (
            Reply::json(405, &json!({ "message": "Method Not Allowed" })),
            "listmonk 6 or later",
        ),
    ] {
        let api = FakeApi::start().await;
        api.reply(reply);
        let results = connect(&api.url(""), "")
            .deliver(&[delivery(1), delivery(2)])
            .await;
        assert_eq!(outcomes(&results), ["halt", "halt"]);
        assert!(
            results[0].outcome.reason().unwrap().contains(found),
            "{results:?}"
        );
        assert_eq!(api.requests().len(), 1);
    }
}

#[tokio::test]
async fn an_address_that_another_program_added_is_looked_up_again_once() {
    for is_visible in [true, false] {
        let api = FakeApi::start().await;
        let count = std::sync::atomic::AtomicUsize::new(0);
        api.compute(move |request| match &*request.method {
            "GET" => {
                let before = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let known =
                    json!({ "id": 9, "email": "PERSON1@example.org", "status": "enabled", "name": "" });
                let results = if is_visible && before > 0 {
                    json!([known])
                } else {
                    json!([])
                };
                Reply::json(200, &json!({ "data": { "results": results } }))
            }
            "POST" => Reply::json(409, &json!({ "message": "E-mail already exists." })),
            _ => Reply::json(200, &json!({ "data": { "id": 9 } })),
        });
        let results = connect(&api.url(""), "").deliver(&[delivery(1)]).await;
        let methods: Vec<String> = api
            .requests()
            .iter()
            .map(|request| request.method.clone())
            .collect();
        if is_visible {
            assert_eq!(methods, ["GET", "POST", "GET", "PATCH"]);
            assert_eq!(
                results[0].outcome,
                Outcome::Delivered {
                    remote_id: Some("9".to_owned())
                }
            );
        } else {
            assert_eq!(methods, ["GET", "POST", "GET", "POST"]);
            assert!(
                results[0]
                    .outcome
                    .reason()
                    .unwrap()
                    .contains("subscribers:get_all"),
                "{results:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_opt_out_reaches_a_person_whom_another_program_added() {
    for (change, path) in [
        (Change::Unsubscribe, "/api/subscribers/lists"),
        (Change::Suppress, "/api/subscribers/blocklist"),
    ] {
        let api = FakeApi::start().await;
        let known = json!({ "id": 9, "email": "person1@example.org", "status": "enabled", "name": "Ada" });
        let found = |results: Value| Reply::json(200, &json!({ "data": { "results": results } }));
        let taken = Reply::json(409, &json!({ "message": "E-mail already exists." }));
        api.compute(|request| match &*request.method {
            "PATCH" => Reply::json(200, &json!({ "data": { "id": 9 } })),
            _ => accepted(request),
        });
        api.script(SUBSCRIBERS, [found(json!([])), taken, found(json!([known]))]);
        let mut opt_out = delivery(1);
        opt_out.record.change = change;
        let results = connect(&api.url(""), "lists = [1]").deliver(&[opt_out]).await;
        assert_eq!(outcomes(&results), ["delivered"]);
        let puts = api
            .requests()
            .into_iter()
            .filter(|request| request.method == "PUT");
        let paths: Vec<String> = puts.map(|request| request.path).collect();
        assert_eq!(paths, [path], "{change:?}");
    }
}

#[test]
fn a_preview_shows_every_request_that_would_be_sent() {
    let keys = "user = 'causeway'\ntoken = 'secret'\nbase_url = 'https://news.example.org'\nlists = [1, 2]";
    let batch = [
        subscriber(1, "2026-03-01T09:30:00Z"),
        delivery(2),
        withdrawal(1, Change::Unsubscribe),
        withdrawal(1, Change::Suppress),
        withdrawal(1, Change::Remove),
    ];
    let shown = (KIND.preview)(&context(), &toml::from_str(keys).unwrap(), &batch).unwrap();
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
        ("base_url = 'https://news.example.org/api/'", "ends with /api"),
        (
            "base_url = 'https://news.example.org'\nopt_out = 'lists'",
            "needs a list",
        ),
        (
            "base_url = 'https://news.example.org'\nfields = { a = 'contact' , b = 'campaign.nmae' }",
            "no `nmae`",
        ),
    ] {
        let keys = format!("user = 'causeway'\ntoken = 'secret'\n{more}");
        let tables = causeway_core::mapping::Tables::default();
        let error = (KIND.parse)(&tables, &toml::from_str(&keys).unwrap()).unwrap_err();
        assert!(error.to_string().contains(found), "{error}");
    }
}
