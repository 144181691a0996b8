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

const CONTACT: &str = "/v3/REST/contact";
const PERSON: &str = "/v3/REST/contact/person1%40example.org";
const DATA: &str = "/v3/REST/contactdata/person1%40example.org";
const RECIPIENT: &str = "/v3/REST/listrecipient";
const MANAGE: &str = "/v3/REST/contactslist/7/managecontact";

fn context() -> Context {
    support::context("mailjet")
}

fn table(api: &str, more: &str) -> toml::Table {
    // Nobody moves the test's clock, so the calls must not wait for it.
    let keys = format!(
        "api_key = 'key'\nsecret_key = 'secret'\nbase_url = '{api}'\nallow_private = true\ncalls_per_s = 1000000\n{more}"
    );
    toml::from_str(&keys).unwrap()
}

fn connect(api: &str, more: &str) -> Box<dyn Destination> {
    (KIND.connect)(&context(), &table(api, more)).unwrap()
}

fn withdrawal(change: Change) -> Delivery {
    support::withdrawal(1, change)
}

fn rows(status: u16, rows: &[Value]) -> Reply {
    Reply::json(
        status,
        &json!({ "Count": rows.len(), "Data": rows, "Total": rows.len() }),
    )
}

/// The response to a new contact, and to what is written about one.
fn created(request: &Request) -> Reply {
    let email = request.json().get("Email").cloned().unwrap_or_default();
    rows(201, &[json!({ "ID": 113, "Email": email })])
}

fn managed(request: &Request) -> Reply {
    let (email, action) = (request.json()["Email"].clone(), request.json()["Action"].clone());
    rows(
        201,
        &[json!({ "ContactID": 113, "Email": email, "Action": action })],
    )
}

fn refusal(status: u16, message: &str) -> Reply {
    Reply::json(
        status,
        &json!({ "ErrorInfo": "", "ErrorMessage": message, "StatusCode": status }),
    )
}

fn found() -> Reply {
    rows(200, &[json!({ "ID": 113, "Email": "Person1@example.org" })])
}

fn paths(api: &FakeApi) -> Vec<String> {
    support::calls(api, "/v3/REST")
}

#[tokio::test]
async fn keeps_the_destination_contract() {
    destination_contract::run(&Contract {
        connect: &|url| connect(url, ""),
        accept: &|api| api.compute(created),
        batch: 3,
    })
    .await;
}

#[tokio::test]
async fn a_person_who_unsubscribed_there_stays_so_unless_they_agreed_later() {
    let row = |is_unsubscribed: bool, left: &str| json!({ "ContactID": 113, "ListID": 7, "IsUnsubscribed": is_unsubscribed, "UnsubscribedAt": left });
    for (found, action, noted) in [
        (vec![], "addnoforce", false),
        (vec![row(false, "")], "addnoforce", false),
        (vec![row(true, "2026-03-02T00:00:00Z")], "addnoforce", true),
        (vec![row(true, "2026-03-01T09:28:00Z")], "addnoforce", true),
        (vec![row(true, "")], "addnoforce", true),
        (vec![row(true, "2026-02-01T00:00:00Z")], "addforce", false),
    ] {
        let api = FakeApi::start().await;
        api.reply_at(RECIPIENT, rows(200, &found));
        api.compute_at(MANAGE, managed);
        let results = connect(&api.url(""), "list = 7")
            .deliver(&[subscriber(1, "2026-03-01T09:30:00Z")])
            .await;
        assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
        assert_eq!(!results[0].notes.is_empty(), noted, "{:?}", results[0].notes);
        let requests = api.requests();
        assert_eq!(
            requests[0].query,
            "ContactEmail=person1%40example.org&ContactsList=7"
        );
        let properties = json!({ "firstname": "Ada", "name": "Példa, \"jr\"", "country": "HU" });
        let expected = json!({
            "Email": "person1@example.org", "Action": action, "Name": "Ada Példa, \"jr\"", "Properties": properties,
        });
        assert_eq!(requests[1].json(), expected);
    }
    // What cannot be read proves no unsubscribe and no subscription.
    for reply in [
        rows(200, &[json!({ "ListID": 7 })]),
        Reply::json(200, &json!({})),
        Reply::status(200).body("<html>Welcome</html>"),
    ] {
        let api = FakeApi::start().await;
        api.reply_at(RECIPIENT, reply);
        let results = connect(&api.url(""), "list = 7")
            .deliver(&[subscriber(1, "2026-03-01T09:30:00Z")])
            .await;
        assert_eq!((outcomes(&results), api.requests().len()), (vec!["retry"], 1));
    }
}

#[tokio::test]
async fn who_did_not_agree_is_written_without_a_list() {
    let mut unknown = delivery(1);
    unknown.record.change = Change::Subscribe;
    for delivery in [unknown, delivery(1)] {
        let api = FakeApi::start().await;
        api.reply_at(
            CONTACT,
            refusal(
                400,
                "MJ18 A Contact resource with value already exists for this key",
            ),
        );
        api.reply_at(PERSON, Reply::status(304));
        api.reply_at(DATA, rows(200, &[json!({ "ContactID": 113 })]));
        let results = connect(&api.url(""), "list = 7").deliver(&[delivery]).await;
        assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
        let expected = [
            "POST /contact",
            "PUT /contact/person1%40example.org",
            "PUT /contactdata/person1%40example.org",
        ];
        assert_eq!(paths(&api), expected);
        let data = api.requests()[2].json();
        assert_eq!(data["Data"][0], json!({ "Name": "firstname", "Value": "Ada" }));
    }
}

#[tokio::test]
async fn an_opt_out_leaves_the_list_or_all_campaigns_and_creates_nobody() {
    for change in [Change::Unsubscribe, Change::Suppress] {
        let api = FakeApi::start().await;
        api.reply_at(PERSON, found());
        api.compute_at(MANAGE, managed);
        let results = connect(&api.url(""), "list = 7")
            .deliver(&[withdrawal(change)])
            .await;
        assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
        let expected = json!({ "Email": "person1@example.org", "Action": "unsub" });
        assert_eq!(api.requests()[1].json(), expected);
    }
    let api = FakeApi::start().await;
    api.script(PERSON, [found(), Reply::status(304)]);
    let results = connect(&api.url(""), "")
        .deliver(&[withdrawal(Change::Unsubscribe)])
        .await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    assert_eq!(
        api.requests()[1].json(),
        json!({ "IsExcludedFromCampaigns": true })
    );
    for change in [Change::Unsubscribe, Change::Remove] {
        let api = FakeApi::start().await;
        api.reply_at(PERSON, refusal(404, "Object not found"));
        let results = connect(&api.url(""), "list = 7")
            .deliver(&[withdrawal(change)])
            .await;
        assert_eq!(results[0].notes, ["Mailjet has no contact with this address"]);
        assert_eq!((outcomes(&results), api.requests().len()), (vec!["delivered"], 1));
    }
    // A gateway that does not know the address proves nothing about the person.
    for change in [Change::Unsubscribe, Change::Remove] {
        let api = FakeApi::start().await;
        api.reply(Reply::json(404, &json!({ "message": "no route" })));
        let results = connect(&api.url(""), "list = 7")
            .deliver(&[withdrawal(change)])
            .await;
        assert_eq!(outcomes(&results), ["halt"], "{results:?}");
    }
    let api = FakeApi::start().await;
    api.reply_at(PERSON, found());
    api.reply_at("/v4/contacts/113", Reply::status(200));
    let results = connect(&api.url(""), "list = 7")
        .deliver(&[withdrawal(Change::Remove)])
        .await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    assert_eq!(paths(&api)[1], "DELETE /v4/contacts/113");
    // Neither a page nor another person's answer confirms an opt-out.
    for reply in [
        Reply::status(200).body("<html>Welcome</html>"),
        rows(200, &[]),
        rows(200, &[json!({ "ContactID": 113, "Action": "addnoforce" })]),
    ] {
        let api = FakeApi::start().await;
        api.reply_at(PERSON, found());
        api.reply_at(MANAGE, reply);
        let results = connect(&api.url(""), "list = 7")
            .deliver(&[withdrawal(Change::Unsubscribe)])
            .await;
        assert_eq!(outcomes(&results), ["retry"], "{results:?}");
    }
}

#[tokio::test]
async fn errors_end_only_what_they_are_about() {
    for (at, reply, outcome, reason) in [
        (
            CONTACT,
            refusal(401, "API key authentication/authorization failure"),
            "halt",
            "check `api_key`",
        ),
        (CONTACT, Reply::status(401), "halt", "check `api_key`"),
        (
            CONTACT,
            Reply::status(403).body("<html>Blocked</html>"),
            "retry",
            "something other than JSON",
        ),
        (
            DATA,
            refusal(401, "MJ19 person1@example.org"),
            "reject",
            "MJ19, Mailjet refuses the change",
        ),
        (
            DATA,
            refusal(400, "MJ07 Invalid value ada@example.org"),
            "reject",
            "MJ07, Mailjet refuses the properties",
        ),
        (
            DATA,
            Reply::json(
                400,
                &json!({ "ErrorMessage": { "Properties": { "x": "Invalid key name" } } }),
            ),
            "reject",
            "refuses the properties",
        ),
        (
            CONTACT,
            refusal(400, "MJ03 Invalid email address"),
            "reject",
            "MJ03, Mailjet refuses the contact",
        ),
        (
            CONTACT,
            refusal(429, "Too many requests"),
            "busy",
            "too many calls",
        ),
        (
            CONTACT,
            Reply::status(404).body("<html>"),
            "halt",
            "check `base_url`",
        ),
        (
            DATA,
            refusal(404, "Object not found"),
            "retry",
            "not there any more",
        ),
        (CONTACT, Reply::status(503), "retry", "answered 503"),
    ] {
        let api = FakeApi::start().await;
        api.compute(created);
        api.reply_at(at, reply);
        let results = connect(&api.url(""), "").deliver(&[delivery(1)]).await;
        assert_eq!(outcomes(&results), [outcome], "{results:?}");
        let found = results[0].outcome.reason().unwrap();
        assert!(found.contains(reason) && !found.contains('@'), "{found}");
    }
    let api = FakeApi::start().await;
    api.reply_at(RECIPIENT, rows(200, &[]));
    api.reply_at(MANAGE, refusal(404, "Object not found"));
    let results = connect(&api.url(""), "list = 7")
        .deliver(&[subscriber(1, "2026-03-01T09:30:00Z")])
        .await;
    assert_eq!(
        results[0].outcome.reason(),
        Some("answered 404: there is no such list; correct `list`")
    );
}

#[test]
fn keys_that_cannot_work_are_refused_by_name() {
    for (key, value) in [
        ("list", toml::Value::Integer(0)),
        ("calls_per_s", toml::Value::Integer(0)),
        ("api_version", "3".into()),
        ("base_url", "ftp://api.mailjet.com".into()),
    ] {
        let mut own = table("https://api.mailjet.com", "");
        own.insert(key.to_owned(), value);
        assert_eq!((KIND.parse)(&context().tables, &own).unwrap_err().key, key);
    }
    let own = table(
        "https://api.mailjet.com",
        "fields = { FirstName = 'contact.firstName' }",
    );
    assert_eq!(
        (KIND.parse)(&context().tables, &own).unwrap_err().key,
        "fields.FirstName"
    );
}

#[test]
fn the_preview_shows_every_call() {
    let batch = [
        subscriber(1, "2026-03-01T09:30:00Z"),
        delivery(1),
        withdrawal(Change::Unsubscribe),
        withdrawal(Change::Remove),
    ];
    let previews = (KIND.preview)(&context(), &table("https://api.mailjet.com", "list = 7"), &batch).unwrap();
    let previews: Vec<String> = previews.into_iter().map(Result::unwrap).collect();
    insta::assert_snapshot!(previews.join("\n\n=====\n\n"));
}

#[tokio::test]
async fn a_limit_makes_all_wait_as_long_as_asked() {
    for (reply, expected) in [
        (refusal(429, "x"), 60),
        (refusal(429, "x").header("retry-after", "7"), 7),
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
