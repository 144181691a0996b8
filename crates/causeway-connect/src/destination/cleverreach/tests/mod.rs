mod vendor;

use std::{sync::Arc, time::Duration};

use causeway_core::{
    consent::{ConsentState, Suppression},
    destination::{AttemptResult, Destination},
};
use causeway_testkit::{
    clock::TestClock,
    destination_contract::{self, Contract, delivery},
    fake_api::{FakeApi, Reply, Request},
};
use serde_json::json;

use super::*;
use crate::config::Context;
use crate::destination::tests::support::{self, calls, outcomes, subscriber};

const SINCE: &str = "2026-03-01T09:30:00Z";
const PERSON: &str = "/v3/receivers/person1@example.org";
const UPSERT: &str = "/v3/groups/7/receivers/upsertplus";
const ACTIVATE: &str = "/v3/groups/7/receivers/4285/activate";
const IN_GROUP: &str = DELETE;
const DELETE: &str = "/v3/groups/7/receivers/person1@example.org";

fn context() -> Context {
    support::context("cleverreach")
}

fn table(api: &str, more: &str) -> toml::Table {
    // Nobody moves the test's clock, so the calls must not wait for it.
    let keys = format!(
        "token = 'secret'\ngroup = 7\nbase_url = '{api}'\nallow_private = true\ncalls_per_s = 1000000\n{more}"
    );
    toml::from_str(&keys).unwrap()
}

fn connect(api: &str, more: &str) -> Box<dyn Destination> {
    (KIND.connect)(&context(), &table(api, more)).unwrap()
}

fn withdrawal(change: Change) -> Delivery {
    support::withdrawal(1, change)
}

fn seconds(at: &str) -> i64 {
    at.parse::<Timestamp>().unwrap().as_second()
}

fn error(status: u16, message: &str) -> Reply {
    Reply::json(
        status,
        &json!({ "error": { "code": status, "message": message } }),
    )
}

fn nobody() -> Reply {
    error(404, "Not Found: invalid receiver")
}

/// The receiver of person 1, who was active since a day in February.
fn receiver(deactivated: i64) -> Value {
    json!({
        "id": "4285", "email": "Person1@example.org", "group_id": "7", "registered": 1_770_000_000,
        "activated": 1_770_000_000, "deactivated": deactivated, "active": deactivated == 0,
    })
}

/// The response to a write that does what it says.
fn written(request: &Request) -> Reply {
    let rows = request.json();
    let rows = rows.as_array().unwrap().iter().map(|row| {
        let deactivated = row.get("deactivated").cloned().unwrap_or(0.into());
        let activated = row.get("activated").cloned().unwrap_or(5.into());
        json!({
            "id": "4285", "email": row["email"], "group_id": "7", "activated": activated, "deactivated": deactivated,
        })
    });
    Reply::json(200, &rows.collect())
}

/// Nobody is a receiver, and everybody can become one.
fn empty_group(request: &Request) -> Reply {
    if request.method == "GET" {
        nobody()
    } else {
        written(request)
    }
}

/// What one delivery led to: the outcome, the notes, and the requests.
async fn deliver(api: &FakeApi, more: &str, delivery: &Delivery) -> (AttemptResult, Vec<Request>) {
    let results = connect(&api.url(""), more)
        .deliver(std::slice::from_ref(delivery))
        .await;
    (results.into_iter().next().unwrap(), api.requests())
}

#[tokio::test]
async fn keeps_the_destination_contract() {
    destination_contract::run(&Contract {
        connect: &|url| connect(url, ""),
        accept: &|api| api.compute(empty_group),
        batch: 3,
    })
    .await;
}

#[tokio::test]
async fn people_are_read_one_by_one_and_written_in_one_call() {
    let api = FakeApi::start().await;
    api.compute(empty_group);
    let fields = "tags = ['=proca', 'campaign.name']\ngroup_fields = { country = 'contact.country' }";
    let batch = [subscriber(1, SINCE), delivery(2)];
    let results = connect(&api.url(""), fields).deliver(&batch).await;
    assert_eq!(outcomes(&results), ["delivered"; 2], "{results:?}");
    let expected = [
        "GET /receivers/person1@example.org",
        "GET /receivers/person2@example.org",
        "POST /groups/7/receivers/upsertplus",
    ];
    assert_eq!(calls(&api, "/v3"), expected);
    let requests = api.requests();
    assert_eq!(requests[0].query, "group_id=7");
    assert_eq!(requests[0].header("authorization"), Some("Bearer secret"));
    let common = json!({
        "registered": seconds(SINCE), "source": "rivers", "tags": ["proca", "rivers"],
        "global_attributes": { "firstname": "Ada", "lastname": "Példa, \"jr\"", "country": "HU" },
        "attributes": { "country": "HU" },
    });
    let with = |more: Value| {
        let mut all = common.clone();
        all.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        all
    };
    // Without the times both would be active at once.
    let expected = json!([
        with(json!({ "email": "person1@example.org", "activated": seconds(SINCE) })),
        with(json!({ "email": "person2@example.org", "activated": 0 })),
    ]);
    assert_eq!(requests[2].json(), expected);
}

#[tokio::test]
async fn a_receiver_who_is_inactive_comes_back_only_by_a_newer_opt_in() {
    let since = seconds(SINCE);
    for (left, comes_back) in [
        (since + 86_400, false),
        // A click this shortly after an opt-out may be a scanner's.
        (since - 120, false),
        (since - 301, true),
        (since - 86_400, true),
    ] {
        for agreed in [true, false] {
            let api = FakeApi::start().await;
            api.reply_at(PERSON, Reply::json(200, &receiver(left)));
            api.compute_at(UPSERT, written);
            api.reply_at(ACTIVATE, Reply::json(200, &json!(true)));
            let person = if agreed { subscriber(1, SINCE) } else { delivery(1) };
            let (result, requests) = deliver(&api, "", &person).await;
            assert_eq!(result.outcome.as_str(), "delivered", "{result:?}");
            let expected = if agreed && comes_back { 3 } else { 1 };
            assert_eq!(
                requests.len(),
                expected,
                "{left} {agreed}: {:?}",
                calls(&api, "/v3")
            );
            assert_eq!(
                result.notes.is_empty(),
                agreed && comes_back,
                "{:?}",
                result.notes
            );
            if let Some(write) = requests.get(2) {
                let row = &write.json()[0];
                assert_eq!(
                    (&row["activated"], &row["registered"]),
                    (&json!(since), &json!(1_770_000_000))
                );
                assert!(
                    row.get("deactivated").is_none() && row.get("source").is_none(),
                    "{row}"
                );
            }
        }
    }
}

#[tokio::test]
async fn what_is_written_keeps_the_state_of_the_receiver() {
    let shown = |activated: i64, active: Value| {
        let mut shown = receiver(0);
        shown["activated"] = activated.into();
        shown["active"] = active;
        Reply::json(200, &shown)
    };
    let written_about = [
        // Active: nothing is said.
        (shown(5, json!(true)), true, None),
        (shown(5, json!(true)), false, None),
        (shown(5, json!(false)), true, None),
        // Not confirmed: only an opt-in confirms.
        (shown(0, json!(false)), true, Some(seconds(SINCE))),
        (shown(0, json!(false)), false, Some(0)),
    ];
    for (reply, agreed, activated) in written_about {
        let api = FakeApi::start().await;
        api.reply_at(PERSON, reply);
        api.compute_at(UPSERT, written);
        let person = if agreed { subscriber(1, SINCE) } else { delivery(1) };
        let (result, requests) = deliver(&api, "", &person).await;
        assert_eq!(result.outcome.as_str(), "delivered", "{result:?}");
        let row = &requests[1].json()[0];
        assert_eq!(row.get("activated").and_then(Value::as_i64), activated, "{row}");
        assert!(row.get("deactivated").is_none(), "{row}");
    }
}

#[tokio::test]
async fn an_opt_out_makes_inactive_since_its_own_time_and_creates_nobody() {
    for change in [Change::Unsubscribe, Change::Suppress, Change::None] {
        let api = FakeApi::start().await;
        api.reply_at(PERSON, Reply::json(200, &json!([receiver(0)])));
        api.compute_at(UPSERT, written);
        let (result, requests) = deliver(&api, "", &withdrawal(change)).await;
        assert_eq!(result.outcome.as_str(), "delivered", "{result:?}");
        let expected = json!([{ "email": "person1@example.org", "deactivated": seconds(SINCE) }]);
        assert_eq!(requests[1].json(), expected);
    }
    // They are inactive already: the time of that stays.
    let api = FakeApi::start().await;
    api.reply_at(PERSON, Reply::json(200, &receiver(1_780_000_000)));
    let (result, requests) = deliver(&api, "", &withdrawal(Change::Unsubscribe)).await;
    assert_eq!(
        (result.outcome.as_str(), requests.len()),
        ("delivered", 1),
        "{result:?}"
    );
    assert_eq!(result.notes, ["the person is inactive at CleverReach already"]);
    // Nobody has the address in this group: the group proves it.
    for reply in [
        nobody(),
        error(404, "Not Found"),
        Reply::json(404, &json!({ "error": "Not Found: invalid receiver" })),
    ] {
        for (change, path) in [(Change::Unsubscribe, PERSON), (Change::Remove, DELETE)] {
            let api = FakeApi::start().await;
            api.reply_at(path, reply.clone());
            api.reply_at(
                "/v3/groups/7",
                Reply::json(200, &json!({ "id": "7", "name": "News" })),
            );
            let (result, requests) = deliver(&api, "", &withdrawal(change)).await;
            assert_eq!(
                (result.outcome.as_str(), requests.len()),
                ("delivered", 2),
                "{result:?}"
            );
            assert!(result.notes[0].contains("no receiver"), "{result:?}");
        }
    }
}

#[tokio::test]
async fn nothing_but_the_receiver_proves_an_opt_out() {
    let shown = |reply: Value| Reply::json(200, &reply);
    let other = json!({ "id": "1", "email": "eve@example.org", "activated": 1, "deactivated": 9 });
    for (reply, outcome, requests) in [
        (Reply::status(200).body("<html>Welcome</html>"), "retry", 2),
        (Reply::status(200), "retry", 2),
        (Reply::status(204), "retry", 2),
        (shown(json!(false)), "retry", 2),
        (shown(json!(true)), "retry", 2),
        (shown(json!([])), "retry", 2),
        (shown(json!([receiver(0)])), "retry", 2),
        (shown(json!([other])), "retry", 2),
        (Reply::json(200, &json!([receiver(9)])).cut(), "retry", 2),
        // A short row says nothing about the state, so the receiver is read again: still active.
        (
            shown(json!([{ "id": "4285", "status": "update success" }])),
            "retry",
            3,
        ),
        (
            shown(json!(["Bad Request: invalid address 'person1@example.org'"])),
            "reject",
            2,
        ),
    ] {
        let api = FakeApi::start().await;
        api.reply_at(PERSON, Reply::json(200, &receiver(0)));
        api.reply_at(UPSERT, reply);
        let (result, made) = deliver(&api, "", &withdrawal(Change::Unsubscribe)).await;
        assert_eq!(
            (result.outcome.as_str(), made.len()),
            (outcome, requests),
            "{result:?}"
        );
        assert!(!result.outcome.reason().unwrap().contains('@'), "{result:?}");
    }
    // Read again, they are inactive.
    let api = FakeApi::start().await;
    let shown = [receiver(0), receiver(seconds(SINCE))].map(|shown| Reply::json(200, &shown));
    api.script(PERSON, shown);
    api.reply_at(
        UPSERT,
        Reply::json(200, &json!([{ "id": "4285", "status": "update success" }])),
    );
    let (result, _) = deliver(&api, "", &withdrawal(Change::Unsubscribe)).await;
    assert_eq!(result.outcome.as_str(), "delivered", "{result:?}");
    assert_eq!(result.memory.unwrap()["left"], seconds(SINCE));
    // A page, a foreign 404 and a group that is missing prove nobody's absence.
    for (person, group, outcome) in [
        (Reply::status(200).body("<html>"), Reply::status(200), "retry"),
        (
            Reply::status(404).body("<html>"),
            Reply::json(200, &json!({ "id": "7" })),
            "retry",
        ),
        (nobody(), error(404, "Not Found: invalid group"), "halt"),
        (nobody(), Reply::json(200, &json!({ "id": "8" })), "retry"),
        (nobody(), Reply::status(200).body("<html>"), "retry"),
    ] {
        let api = FakeApi::start().await;
        api.reply_at(PERSON, person);
        api.reply_at("/v3/groups/7", group);
        let (result, _) = deliver(&api, "", &withdrawal(Change::Unsubscribe)).await;
        assert_eq!(result.outcome.as_str(), outcome, "{result:?}");
    }
}

#[tokio::test]
async fn who_opts_out_and_in_again_within_minutes_comes_back() {
    let api = FakeApi::start().await;
    api.reply_at(PERSON, Reply::json(200, &receiver(0)));
    api.compute_at(UPSERT, written);
    let (result, _) = deliver(&api, "", &withdrawal(Change::Unsubscribe)).await;
    let memory = result.memory;
    let left = seconds(SINCE);
    for (memory, shown, since, comes_back) in [
        (memory.clone(), left, "2026-03-01T09:31:00Z", true),
        // An opt-in before the opt-out, which is sent late.
        (memory.clone(), left, "2026-03-01T09:29:00Z", false),
        // They left at CleverReach, too.
        (memory.clone(), left + 30, "2026-03-01T09:31:00Z", false),
        (None, left, "2026-03-01T09:31:00Z", false),
    ] {
        let api = FakeApi::start().await;
        api.reply_at(PERSON, Reply::json(200, &receiver(shown)));
        api.compute_at(UPSERT, written);
        api.reply_at(ACTIVATE, Reply::json(200, &json!(true)));
        let person = Delivery {
            memory,
            ..subscriber(1, since)
        };
        let (result, requests) = deliver(&api, "", &person).await;
        assert_eq!(result.outcome.as_str(), "delivered", "{result:?}");
        assert_eq!(
            requests.len() == 3,
            comes_back,
            "{since}: {:?}",
            calls(&api, "/v3")
        );
    }
    // Nothing is remembered of another address.
    let memory = Memory::of(None, 7, "person2@example.org");
    assert_ne!(Memory::of(None, 8, "person2@example.org"), memory);
    assert_eq!(Memory::of(Some(&json!("x")), 7, "Person2@example.org"), memory);
}

#[tokio::test]
async fn an_answer_that_was_lost_is_recognised() {
    let api = FakeApi::start().await;
    api.reply_at(PERSON, Reply::json(200, &receiver(0)));
    api.reply_at(UPSERT, Reply::close());
    let (result, _) = deliver(&api, "", &withdrawal(Change::Unsubscribe)).await;
    assert_eq!(result.outcome.as_str(), "retry");
    let api = FakeApi::start().await;
    api.reply_at(PERSON, Reply::json(200, &receiver(seconds(SINCE))));
    let (result, requests) = deliver(&api, "", &withdrawal(Change::Unsubscribe)).await;
    assert_eq!((result.outcome.as_str(), requests.len()), ("delivered", 1));
    assert_eq!(result.memory.unwrap()["left"], seconds(SINCE));
    // The receiver became active at CleverReach after the opt-out: the time of the end is after that of the beginning.
    let api = FakeApi::start().await;
    let mut later = receiver(0);
    later["activated"] = (seconds(SINCE) + 60).into();
    api.reply_at(PERSON, Reply::json(200, &later));
    api.compute_at(UPSERT, written);
    let (_, requests) = deliver(&api, "", &withdrawal(Change::Unsubscribe)).await;
    assert_eq!(requests[1].json()[0]["deactivated"], seconds(SINCE) + 61);
}

#[tokio::test]
async fn a_suppressed_address_is_blacklisted_if_you_want_that() {
    let mut bounced = withdrawal(Change::Suppress);
    let state = ConsentState::Suppressed {
        since: SINCE.parse().unwrap(),
        why: Suppression::Bounced,
    };
    bounced.record.consent_state.insert("email".to_owned(), state);
    for (person, reply, outcome) in [
        (
            Reply::json(200, &receiver(0)),
            Reply::json(200, &json!(true)),
            "delivered",
        ),
        (
            Reply::json(200, &receiver(0)),
            error(409, "Conflict"),
            "delivered",
        ),
        (
            Reply::json(200, &receiver(5)),
            Reply::json(200, &json!({ "email": "x" })),
            "delivered",
        ),
        (nobody(), Reply::json(200, &json!(true)), "delivered"),
        (
            Reply::json(200, &receiver(0)),
            Reply::json(200, &json!(false)),
            "retry",
        ),
        (
            Reply::json(200, &receiver(0)),
            Reply::status(200).body("<html>"),
            "retry",
        ),
    ] {
        let api = FakeApi::start().await;
        api.reply_at(PERSON, person);
        api.reply_at("/v3/groups/7", Reply::json(200, &json!({ "id": 7 })));
        api.compute_at(UPSERT, written);
        api.reply_at("/v3/blacklist", reply);
        let (result, requests) = deliver(&api, "on_suppress = 'blacklist'", &bounced).await;
        assert_eq!(result.outcome.as_str(), outcome, "{result:?}");
        let expected = json!({ "email": "person1@example.org", "comment": "Causeway: bounced" });
        assert_eq!(requests.last().unwrap().json(), expected);
    }
    // An opt-out is not a block of the address.
    let api = FakeApi::start().await;
    api.reply_at(PERSON, Reply::json(200, &receiver(0)));
    api.compute_at(UPSERT, written);
    let (_, requests) = deliver(
        &api,
        "on_suppress = 'blacklist'",
        &withdrawal(Change::Unsubscribe),
    )
    .await;
    assert_eq!(requests.len(), 2);
}

#[tokio::test]
async fn an_erasure_is_proven() {
    for (reply, then, outcome, requests) in [
        (Reply::json(200, &json!(true)), nobody(), "delivered", 1),
        (Reply::status(204), nobody(), "delivered", 1),
        (Reply::status(200), nobody(), "delivered", 2),
        (
            Reply::json(200, &json!(false)),
            Reply::json(200, &receiver(0)),
            "retry",
            2,
        ),
        (
            Reply::status(200).body("<html>"),
            Reply::json(200, &receiver(9)),
            "retry",
            2,
        ),
        (
            Reply::status(200).body("<html>"),
            Reply::status(404).body("<html>"),
            "halt",
            2,
        ),
        (Reply::status(404).body("<html>"), nobody(), "retry", 2),
    ] {
        let api = FakeApi::start().await;
        api.reply_at(DELETE, reply);
        api.reply_at(PERSON, then);
        api.reply_at("/v3/groups/7", Reply::json(200, &json!({ "id": "7" })));
        let mut removal = withdrawal(Change::Remove);
        removal.memory = Some(json!({ "place": "x" }));
        let (result, made) = deliver(&api, "", &removal).await;
        assert_eq!(
            (result.outcome.as_str(), made.len()),
            (outcome, requests),
            "{result:?}"
        );
        if outcome == "delivered" {
            assert_eq!(result.memory, Some(Value::Null));
        }
    }
}

#[tokio::test]
async fn one_receiver_spoils_no_batch() {
    let api = FakeApi::start().await;
    api.compute(|request| {
        let has = |name: &str| request.text().contains(name);
        match request.method.as_str() {
            "GET" => nobody(),
            _ if has("person3@") => error(400, "Bad Request: invalid value of person3@example.org"),
            _ if has("person5@") && has("person6@") => error(413, "Request Entity Too Large"),
            _ if has("person1@") && has("person2@") => Reply::json(200, &json!(false)),
            _ => written(request),
        }
    });
    let batch: Vec<Delivery> = (1..=6).map(|number| subscriber(number, SINCE)).collect();
    let results = connect(&api.url(""), "").deliver(&batch).await;
    let mut expected = vec!["delivered"; 6];
    expected[2] = "reject";
    assert_eq!(outcomes(&results), expected, "{results:?}");
    // Rows are about single receivers; one says nothing.
    let api = FakeApi::start().await;
    api.compute(|request| {
        if request.method == "GET" {
            return nobody();
        }
        let rows = json!([
            "Bad Request: invalid address 'person1@example.org'",
            "address person2@example.org is on the blacklist",
            { "id": "3", "status": "insert success" },
            { "email": "person5@example.org", "id": "5", "activated": 1, "deactivated": 0 },
            null,
        ]);
        Reply::json(200, &rows)
    });
    let results = connect(&api.url(""), "").deliver(&batch[..5]).await;
    let expected = ["reject", "skip", "delivered", "retry", "delivered"];
    assert_eq!(outcomes(&results), expected, "{results:?}");
    let expected = Outcome::Delivered {
        remote_id: Some("5".to_owned()),
    };
    assert_eq!(results[4].outcome, expected);
    let shown = format!("{:?}", results[0]);
    assert!(!shown.contains("person2@"), "another person's data: {shown}");
}

#[tokio::test]
async fn a_person_whom_cleverreach_does_not_bring_back_is_noted() {
    let left = seconds(SINCE) - 86_400;
    for (reply, outcome, requests) in [
        (Reply::json(200, &json!(true)), "delivered", 3),
        (Reply::json(200, &json!(false)), "delivered", 2),
        (Reply::status(200).body("<html>"), "retry", 2),
        (Reply::status(200), "retry", 2),
        (nobody(), "retry", 2),
    ] {
        let api = FakeApi::start().await;
        api.reply_at(PERSON, Reply::json(200, &receiver(left)));
        api.reply_at(ACTIVATE, reply);
        api.reply_at(UPSERT, Reply::json(200, &json!([receiver(left)])));
        let (result, made) = deliver(&api, "", &subscriber(1, SINCE)).await;
        assert_eq!(
            (result.outcome.as_str(), made.len()),
            (outcome, requests),
            "{result:?}"
        );
        assert_eq!(
            outcome == "delivered",
            result
                .notes
                .iter()
                .any(|note| note.contains("leaves the person inactive"))
        );
    }
}

#[tokio::test]
async fn a_receiver_of_another_group_or_person_is_not_this_one() {
    let mut elsewhere = receiver(5);
    elsewhere["group_id"] = 8.into();
    let mut stranger = receiver(5);
    stranger["email"] = "eve@example.org".into();
    for (shown, outcome) in [
        (json!([elsewhere, receiver(0)]), "delivered"),
        (json!([elsewhere]), "delivered"),
        (json!([]), "delivered"),
        (stranger, "retry"),
        (json!({ "id": "4285", "email": "person1@example.org" }), "retry"),
        (json!([1]), "retry"),
        (json!(false), "retry"),
    ] {
        let api = FakeApi::start().await;
        api.reply_at(PERSON, Reply::json(200, &shown));
        api.compute_at(UPSERT, written);
        let (result, requests) = deliver(&api, "", &subscriber(1, SINCE)).await;
        assert_eq!(result.outcome.as_str(), outcome, "{shown}: {result:?}");
        assert_eq!(requests.len() == 2, outcome == "delivered", "{shown}");
    }
}

#[tokio::test]
async fn a_person_of_two_groups_is_read_in_this_one() {
    let mut elsewhere = receiver(0);
    elsewhere["group_id"] = 8.into();
    let since = seconds(SINCE);
    let shown = |deactivated: i64| Reply::json(200, &receiver(deactivated));
    let unread = Reply::json(200, &elsewhere);
    for (person, here, outcome, writes) in [
        (
            withdrawal(Change::Unsubscribe),
            shown(0),
            "delivered",
            Some(json!(since)),
        ),
        (withdrawal(Change::Unsubscribe), nobody(), "delivered", None),
        (withdrawal(Change::Unsubscribe), unread.clone(), "retry", None),
        (subscriber(1, SINCE), nobody(), "delivered", Some(Value::Null)),
        // They left this group after they agreed.
        (subscriber(1, SINCE), shown(since + 9), "delivered", None),
        (subscriber(1, SINCE), unread, "retry", None),
    ] {
        let api = FakeApi::start().await;
        api.reply_at(PERSON, Reply::json(200, &elsewhere));
        api.reply_at(IN_GROUP, here);
        api.reply_at("/v3/groups/7", Reply::json(200, &json!({ "id": "7" })));
        api.compute_at(UPSERT, written);
        let (result, requests) = deliver(&api, "", &person).await;
        assert_eq!(result.outcome.as_str(), outcome, "{result:?}");
        let write = requests.iter().find(|request| request.path == UPSERT);
        let left = write.map(|write| write.json()[0]["deactivated"].clone());
        assert_eq!(left, writes, "{:?}", calls(&api, "/v3"));
    }
}

#[tokio::test]
async fn an_unchanged_receiver_costs_no_call() {
    let known = || Reply::json(200, &receiver(0));
    let remembered = |memory: &Option<Value>| memory.as_ref().is_some_and(|all| all.get("written").is_some());
    let api = FakeApi::start().await;
    api.reply_at(PERSON, known());
    api.compute_at(UPSERT, written);
    let again = |memory: &Option<Value>, person: Delivery| Delivery {
        memory: memory.clone(),
        ..person
    };
    let (result, _) = deliver(&api, "", &subscriber(1, SINCE)).await;
    let memory = result.memory;
    assert!(remembered(&memory), "{memory:?}");
    let mut renamed = subscriber(1, SINCE);
    let name = causeway_core::contact::Field::new("Eve".into(), renamed.planned_at);
    renamed.record.contact.fields.insert("firstName".to_owned(), name);
    // The record says that the person left, though it asks for nothing.
    let mut left = delivery(1);
    let state = ConsentState::Unsubscribed {
        since: SINCE.parse().unwrap(),
    };
    left.record.consent_state.insert("email".to_owned(), state);
    for (person, more, outcome, sent, counts) in [
        (subscriber(1, SINCE), "", "skip", 0, false),
        (renamed, "", "delivered", 2, true),
        (subscriber(1, "2026-03-01T09:31:00Z"), "", "delivered", 2, true),
        (subscriber(1, SINCE), "tags = ['=proca']", "delivered", 2, true),
        (withdrawal(Change::Unsubscribe), "", "delivered", 2, false),
        (left, "", "delivered", 2, false),
        (subscriber(2, SINCE), "", "retry", 1, false),
    ] {
        api.reset();
        api.reply_at(PERSON, known());
        api.reply_at("/v3/receivers/person2@example.org", Reply::status(503));
        api.compute_at(UPSERT, written);
        let (result, requests) = deliver(&api, more, &again(&memory, person)).await;
        assert_eq!(
            (result.outcome.as_str(), requests.len()),
            (outcome, sent),
            "{result:?}"
        );
        assert_eq!(remembered(&result.memory), counts, "{result:?}");
        // What was remembered stays only if nothing was sent.
        assert_eq!(result.memory.is_none(), sent == 0, "{result:?}");
    }
    // An opt-out that was sent twice is sent twice.
    let opted_out = |memory: Option<Value>| Delivery {
        memory,
        ..withdrawal(Change::Unsubscribe)
    };
    for _ in 0..2 {
        let (result, _) = deliver(&api, "", &opted_out(memory.clone())).await;
        assert_eq!(result.outcome.as_str(), "delivered", "{result:?}");
    }
    // Nothing is written about a person who left, so they are asked for again.
    api.reset();
    api.reply_at(PERSON, Reply::json(200, &receiver(seconds(SINCE) + 9)));
    for memory in [None, memory.clone()] {
        let older = again(&memory, subscriber(1, "2026-03-01T09:29:00Z"));
        let (result, _) = deliver(&api, "", &older).await;
        assert!(result.notes[0].contains("left so"), "{result:?}");
        assert!(!remembered(&result.memory), "{result:?}");
    }
    // CleverReach brings the person back only by a form, and then takes no values either.
    api.reset();
    api.reply_at(PERSON, Reply::json(200, &receiver(seconds(SINCE) - 86_400)));
    api.reply_at(ACTIVATE, Reply::json(200, &json!(false)));
    let (result, _) = deliver(&api, "", &subscriber(1, SINCE)).await;
    assert!(!remembered(&result.memory), "{result:?}");
}

#[tokio::test]
async fn errors_end_only_what_they_are_about() {
    for (at, reply, outcome, reason) in [
        (
            PERSON,
            error(401, "Unauthorized"),
            "halt",
            "does not accept the token",
        ),
        (PERSON, Reply::status(403), "halt", "does not accept the token"),
        (
            PERSON,
            Reply::status(403).body("<html>Blocked"),
            "retry",
            "something other than JSON",
        ),
        (PERSON, error(429, "Too Many Requests"), "busy", "too many calls"),
        (
            PERSON,
            Reply::status(404).body("<html>"),
            "halt",
            "check `base_url`",
        ),
        (
            UPSERT,
            error(404, "Not Found: invalid group"),
            "halt",
            "no group 7",
        ),
        (
            UPSERT,
            error(400, "Bad Request: person1@example.org"),
            "reject",
            "does not accept the receiver",
        ),
        (
            UPSERT,
            error(413, "Request Entity Too Large"),
            "reject",
            "does not accept the receiver",
        ),
        (UPSERT, Reply::status(503), "retry", "answered 503"),
        (
            UPSERT,
            Reply::status(200).body("<html>"),
            "retry",
            "without what was asked for",
        ),
    ] {
        let api = FakeApi::start().await;
        api.compute(empty_group);
        api.reply_at(at, reply);
        let results = connect(&api.url(""), "").deliver(&[subscriber(1, SINCE)]).await;
        assert_eq!(outcomes(&results), [outcome], "{at}: {results:?}");
        let found = results[0].outcome.reason().unwrap();
        assert!(found.contains(reason) && !found.contains('@'), "{found}");
    }
    for (reply, expected) in [
        (error(429, "x"), 60),
        (error(429, "x").header("retry-after", "7"), 7),
    ] {
        let api = FakeApi::start().await;
        api.reply(reply);
        let results = connect(&api.url(""), "")
            .deliver(&[delivery(1), delivery(2)])
            .await;
        assert_eq!((outcomes(&results), api.requests().len()), (vec!["busy"; 2], 1));
        let Outcome::Busy { after, .. } = results[0].outcome else {
            panic!()
        };
        assert_eq!(after, Some(Duration::from_secs(expected)));
    }
}

#[tokio::test]
async fn a_mapping_that_fails_holds_up_no_withdrawal() {
    let fields = "fields = { age = 'contact.firstName | int' }";
    for (person, outcome) in [
        (delivery(1), "reject"),
        (withdrawal(Change::Unsubscribe), "delivered"),
    ] {
        let api = FakeApi::start().await;
        api.reply_at(PERSON, Reply::json(200, &receiver(0)));
        api.compute_at(UPSERT, written);
        let (result, _) = deliver(&api, fields, &person).await;
        assert_eq!(result.outcome.as_str(), outcome, "{result:?}");
    }
}

#[test]
fn keys_that_cannot_work_are_refused_by_name() {
    let api = "https://rest.cleverreach.com";
    for (key, value) in [
        ("group", toml::Value::Integer(0)),
        ("calls_per_s", toml::Value::Integer(0)),
        ("api_version", "3".into()),
        ("base_url", "ftp://rest.cleverreach.com".into()),
    ] {
        let mut own = table(api, "");
        own.insert(key.to_owned(), value);
        assert_eq!((KIND.parse)(&context().tables, &own).unwrap_err().key, key);
    }
    for (more, key) in [
        ("fields = { FirstName = 'contact.firstName' }", "fields.FirstName"),
        ("group_fields = { Shop = '=x' }", "group_fields.Shop"),
        ("oauth = { client_id = 'x', client_secret = 'y' }", "oauth"),
        ("tags = ['contact.']", "tags.0"),
    ] {
        let error = (KIND.parse)(&context().tables, &table(api, more)).unwrap_err();
        assert_eq!(error.key, key, "{error}");
    }
}

#[test]
fn the_preview_shows_every_call() {
    let batch = [
        subscriber(1, SINCE),
        delivery(1),
        withdrawal(Change::Unsubscribe),
        withdrawal(Change::Suppress),
        withdrawal(Change::Remove),
    ];
    let own = table(
        "https://rest.cleverreach.com",
        "on_suppress = 'blacklist'\ntags = ['campaign.name']",
    );
    let previews = (KIND.preview)(&context(), &own, &batch).unwrap();
    let previews: Vec<String> = previews.into_iter().map(Result::unwrap).collect();
    insta::assert_snapshot!(previews.join("\n\n=====\n\n"));
}
