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

const SYNC: &str = "/api/3/contact/sync";
const FIND: &str = "/api/3/contacts";
const STATUS: &str = "/api/3/contacts/113/contactLists";
const SET: &str = "/api/3/contactLists";
const TAG: &str = "/api/3/contactTags";

fn context() -> Context {
    support::context("activecampaign")
}

fn table(api: &str, more: &str) -> toml::Table {
    // Nobody moves the test's clock, so the calls must not wait for it.
    let keys =
        format!("token = 'secret'\nbase_url = '{api}'\nallow_private = true\ncalls_per_s = 1000000\n{more}");
    toml::from_str(&keys).unwrap()
}

fn connect(api: &str, more: &str) -> Box<dyn Destination> {
    (KIND.connect)(&context(), &table(api, more)).unwrap()
}

fn withdrawal(change: Change) -> Delivery {
    support::withdrawal(1, change)
}

fn synced(request: &Request) -> Reply {
    let email = request.json()["contact"]["email"].clone();
    Reply::json(
        201,
        &json!({ "fieldValues": [], "contact": { "id": "113", "email": email } }),
    )
}

fn found() -> Reply {
    let contact = json!({ "id": "113", "email": "Person1@example.org" });
    Reply::json(200, &json!({ "contacts": [contact], "meta": { "total": "1" } }))
}

fn set(request: &Request) -> Reply {
    let list = request.json()["contactList"].clone();
    Reply::json(200, &json!({ "contacts": [], "contactList": list }))
}

fn paths(api: &FakeApi) -> Vec<String> {
    support::calls(api, "/api/3")
}

#[tokio::test]
async fn keeps_the_destination_contract() {
    destination_contract::run(&Contract {
        connect: &|url| connect(url, ""),
        accept: &|api| api.compute_at(SYNC, synced),
        batch: 3,
    })
    .await;
}

#[tokio::test]
async fn a_person_who_unsubscribed_there_stays_so_unless_they_agreed_later() {
    for (status, left, written, noted) in [
        ("2", json!("2026-03-02T00:00:00-06:00"), None, true),
        ("2", json!("2026-02-01T00:00:00-06:00"), Some((1, Some(4))), false),
        // Within the time in which a click may be a scanner's.
        ("2", json!("2026-03-01T03:28:00-06:00"), None, true),
        ("2", json!(null), None, true),
        ("2", json!("yesterday"), None, true),
        ("3", json!(null), None, true),
        ("0", json!(null), Some((1, None)), false),
        ("1", json!(null), None, false),
    ] {
        let api = FakeApi::start().await;
        api.compute_at(SYNC, synced);
        api.compute_at(SET, set);
        let rows = json!([{ "list": "9", "status": "1" }, { "list": "2", "status": status, "udate": left }]);
        api.reply_at(STATUS, Reply::json(200, &json!({ "contactLists": rows })));
        let results = connect(&api.url(""), "list = 2")
            .deliver(&[subscriber(1, "2026-03-01T09:30:00Z")])
            .await;
        assert_eq!(outcomes(&results), ["delivered"], "{status} {left}");
        let writes: Vec<Value> = api
            .requests()
            .iter()
            .filter(|request| request.path == SET)
            .map(|request| request.json()["contactList"].clone())
            .collect();
        let expected = written.map(|(status, source)| {
            let mut body = json!({ "list": 2, "contact": 113, "status": status });
            if let Some(source) = source {
                body["sourceid"] = json!(source);
            }
            body
        });
        assert_eq!(
            writes,
            expected.into_iter().collect::<Vec<_>>(),
            "{status} {left}"
        );
        assert_eq!(!results[0].notes.is_empty(), noted, "{:?}", results[0].notes);
    }
}

#[tokio::test]
async fn nobody_is_subscribed_without_a_consent_state_that_says_so() {
    let api = FakeApi::start().await;
    api.compute_at(SYNC, synced);
    let mut unknown = delivery(1);
    unknown.record.change = Change::Subscribe;
    let results = connect(&api.url(""), "list = 2")
        .deliver(&[unknown, delivery(2)])
        .await;
    assert_eq!(outcomes(&results), ["delivered", "delivered"]);
    assert_eq!(paths(&api), ["POST /contact/sync"; 2]);
}

#[tokio::test]
async fn an_opt_out_leaves_the_list_or_all_lists_and_creates_nobody() {
    for change in [Change::Unsubscribe, Change::Suppress] {
        let api = FakeApi::start().await;
        api.reply_at(FIND, found());
        api.compute_at(SET, set);
        let results = connect(&api.url(""), "list = 2")
            .deliver(&[withdrawal(change)])
            .await;
        assert_eq!(outcomes(&results), ["delivered"]);
        assert_eq!(paths(&api), ["GET /contacts", "POST /contactLists"]);
        assert_eq!(api.requests()[0].query, "email=person1%40example.org");
        let body = api.requests()[1].json();
        assert_eq!(
            body,
            json!({ "contactList": { "list": 2, "contact": 113, "status": 2 } })
        );
    }
    let api = FakeApi::start().await;
    api.reply_at(FIND, found());
    api.compute_at(SET, set);
    let rows =
        json!([{ "list": "2", "status": "1" }, { "list": 3, "status": 2 }, { "list": "4", "status": "0" }]);
    api.reply_at(STATUS, Reply::json(200, &json!({ "contactLists": rows })));
    let results = connect(&api.url(""), "")
        .deliver(&[withdrawal(Change::Unsubscribe)])
        .await;
    assert_eq!(outcomes(&results), ["delivered"]);
    let writes = api.requests();
    let mut lists: Vec<_> = writes
        .iter()
        .filter(|request| request.path == SET)
        .map(|request| request.json()["contactList"]["list"].as_u64())
        .collect();
    lists.sort_unstable();
    assert_eq!(lists, [Some(2), Some(4)]);
    for change in [Change::Unsubscribe, Change::Remove] {
        let api = FakeApi::start().await;
        api.reply_at(
            FIND,
            Reply::json(200, &json!({ "contacts": [], "meta": { "total": "0" } })),
        );
        let results = connect(&api.url(""), "list = 2")
            .deliver(&[withdrawal(change)])
            .await;
        assert_eq!(outcomes(&results), ["delivered"]);
        assert_eq!(
            results[0].notes,
            ["ActiveCampaign has no contact with this address"]
        );
        assert_eq!(paths(&api), ["GET /contacts"]);
    }
}

#[tokio::test]
async fn an_opt_out_within_an_action_comes_before_the_contact() {
    let api = FakeApi::start().await;
    api.reply_at(FIND, found());
    api.compute_at(SET, set);
    api.compute_at(SYNC, synced);
    let mut action = delivery(1);
    action.record.change = Change::Unsubscribe;
    let results = connect(&api.url(""), "list = 2").deliver(&[action]).await;
    assert_eq!(outcomes(&results), ["delivered"]);
    assert_eq!(
        paths(&api),
        ["GET /contacts", "POST /contactLists", "POST /contact/sync"]
    );
}

#[tokio::test]
async fn only_a_readable_response_confirms() {
    let page = || {
        Reply::status(200)
            .header("content-type", "text/html")
            .body("<html>Welcome</html>")
    };
    let empty = || Reply::json(200, &json!({}));
    let other = Reply::json(200, &json!({ "contactList": { "list": "2", "status": "1" } }));
    for reply in [
        page(),
        empty(),
        Reply::status(204),
        Reply::json(200, &json!([])),
        other,
    ] {
        let api = FakeApi::start().await;
        api.reply_at(FIND, found());
        api.reply_at(SET, reply);
        let results = connect(&api.url(""), "list = 2")
            .deliver(&[withdrawal(Change::Unsubscribe)])
            .await;
        assert_eq!(outcomes(&results), ["retry"], "{results:?}");
    }
    // Only ActiveCampaign says that the contact is gone.
    for (text, expected) in [
        ("No Result found for Subscriber with id 113", "delivered"),
        ("Not found. Contact the administrator", "halt"),
    ] {
        let api = FakeApi::start().await;
        api.reply_at(FIND, found());
        api.reply_at(SET, Reply::json(404, &json!({ "message": text })));
        let results = connect(&api.url(""), "list = 2")
            .deliver(&[withdrawal(Change::Unsubscribe)])
            .await;
        assert_eq!(outcomes(&results), [expected], "{results:?}");
    }
    for reply in [
        page(),
        empty(),
        Reply::json(
            200,
            &json!({ "contact": { "id": "113", "email": "eve@example.org" } }),
        ),
    ] {
        let api = FakeApi::start().await;
        api.reply_at(SYNC, reply);
        let results = connect(&api.url(""), "").deliver(&[delivery(1)]).await;
        assert_eq!(outcomes(&results), ["retry"], "{results:?}");
    }
}

#[tokio::test]
async fn errors_end_only_what_they_are_about() {
    let message = |status, text: &str| Reply::json(status, &json!({ "message": text }));
    let error = json!({ "code": "email_invalid", "title": "person1@example.org", "source": { "pointer": "/data/attributes/email" } });
    for (reply, outcome, reason) in [
        (message(403, "Forbidden"), "halt", "check `token`"),
        (
            Reply::status(403).body("<html>Blocked</html>"),
            "retry",
            "something other than JSON",
        ),
        (message(402, "Payment Required"), "halt", "number of contacts"),
        (
            Reply::json(422, &json!({ "errors": [error] })),
            "reject",
            "answered 422: ActiveCampaign refuses the contact: email_invalid email",
        ),
        (
            Reply::json(422, &json!({ "errors": [{ "code": "duplicate" }] })),
            "retry",
            "created meanwhile",
        ),
        (
            message(422, "Could not process request"),
            "reject",
            "refuses the contact",
        ),
        (message(400, "Rate limit exceeded."), "busy", "too many calls"),
        (message(404, "No route found"), "halt", "check `base_url`"),
    ] {
        let api = FakeApi::start().await;
        api.reply_at(SYNC, reply);
        let results = connect(&api.url(""), "").deliver(&[delivery(1)]).await;
        assert_eq!(outcomes(&results), [outcome], "{results:?}");
        let found = results[0].outcome.reason().unwrap();
        assert!(found.contains(reason) && !found.contains('@'), "{found}");
    }
    // The contact and its consent are written; a wrong tag must not hold up the opt-outs of others.
    for (reply, outcome) in [
        (message(404, "No Result found for Tag with id 20"), "reject"),
        (
            message(404, "No Result found for Subscriber with id 113"),
            "retry",
        ),
    ] {
        let api = FakeApi::start().await;
        api.compute_at(SYNC, synced);
        api.reply_at(TAG, reply);
        let results = connect(&api.url(""), "tags = [20]").deliver(&[delivery(1)]).await;
        assert_eq!(outcomes(&results), [outcome], "{results:?}");
    }
}

#[tokio::test]
async fn a_limit_makes_all_wait_as_long_as_asked() {
    let api = FakeApi::start().await;
    api.reply_at(
        SYNC,
        Reply::json(429, &json!({ "message": "Rate limit exceeded" })),
    );
    let results = connect(&api.url(""), "")
        .deliver(&[delivery(1), delivery(2)])
        .await;
    assert_eq!((outcomes(&results), api.requests().len()), (vec!["busy"; 2], 1));
    let Outcome::Busy { after, .. } = results[0].outcome else {
        panic!()
    };
    assert_eq!(after, Some(Duration::from_secs(30)));
    // The last call of a second.
    let api = FakeApi::start().await;
    api.compute_at(SYNC, |request| synced(request).header("ratelimit-remaining", "0"));
    let results = connect(&api.url(""), "")
        .deliver(&[delivery(1), delivery(2)])
        .await;
    assert_eq!(outcomes(&results), ["delivered", "busy"]);
    assert_eq!(results[0].rest, Some(Duration::from_secs(1)));
}

#[test]
fn tags_fields_and_lists_are_numbers() {
    let mut tags = Vec::new();
    let value = json!([20, "21", ["22", 20], null, "rivers", -1, 0]);
    assert_eq!(add_tags(&value, &mut tags), 3);
    assert_eq!(tags, [20, 21, 22]);
    for (value, expected) in [
        (json!("a"), Some("a")),
        (json!(7), Some("7")),
        (json!(true), Some("true")),
        (json!(["a", null, 7]), Some("||a||7||")),
        (json!([]), None),
        (json!(""), None),
        (json!(null), None),
    ] {
        assert_eq!(text(&value).as_deref(), expected, "{value}");
    }
    for (more, key) in [
        ("list = 0", "list"),
        ("tags = [0]", "tags"),
        ("tags = [true]", "tags"),
        (
            "fields = { first_name = 'contact.firstName' }",
            "fields.first_name",
        ),
        ("fields = { 6 = 'contact.' }", "fields.6"),
        (
            "record = { schema = '../x', fields = { a = '=x' } }",
            "record.schema",
        ),
        ("calls_per_s = 0", "calls_per_s"),
    ] {
        let mut own = table("https://rivers.api-us1.com", "");
        for (name, value) in toml::from_str::<toml::Table>(more).unwrap() {
            own.insert(name, value);
        }
        let error = (KIND.parse)(&context().tables, &own)
            .err()
            .unwrap_or_else(|| panic!("{more}: no error"));
        assert_eq!(error.key, key, "{more}: {error}");
    }
    let own = table("https://rivers.activehosted.com/app/settings", "");
    assert_eq!((KIND.parse)(&context().tables, &own).unwrap_err().key, "base_url");
}

#[test]
fn the_preview_shows_every_call() {
    let more = "list = 2\ntags = [20]\nfields = { firstName = 'contact.firstName', 6 = 'campaign.name', 7 = ['=a', '=b'] }\n\
                record = { schema = 's1', fields = { campaign = 'campaign.name' } }";
    let batch = [
        subscriber(1, "2026-03-01T09:30:00Z"),
        withdrawal(Change::Unsubscribe),
        withdrawal(Change::Remove),
    ];
    let previews = (KIND.preview)(&context(), &table("https://rivers.api-us1.com", more), &batch).unwrap();
    let previews: Vec<String> = previews.into_iter().map(Result::unwrap).collect();
    insta::assert_snapshot!(previews.join("\n\n=====\n\n"));
}
