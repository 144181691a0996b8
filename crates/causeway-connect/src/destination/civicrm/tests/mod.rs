mod vendor;

use std::sync::Arc;

use causeway_core::destination::{AttemptResult, Destination};
use causeway_testkit::{
    clock::TestClock,
    destination_contract::{self, Contract, delivery},
    fake_api::{FakeApi, Reply, Request},
};
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::*;
use crate::config::Context;
use crate::destination::tests::support::{self, outcomes, subscriber, withdrawal};

const PATH: &str = "/civicrm/ajax/api4";

fn context() -> Context {
    support::context("civicrm")
}

fn connect(api: &str, more: &str) -> Box<dyn Destination> {
    let keys = format!(
        "api_key = 'secret'\nbase_url = '{api}{PATH}/'\ntime_zone = 'Europe/Brussels'\nallow_private = true\n{more}"
    );
    (KIND.connect)(&context(), &toml::from_str(&keys).unwrap()).unwrap()
}

fn suppressed(number: i64, why: Suppression) -> Delivery {
    let mut delivery = withdrawal(number, Change::Suppress);
    let since = delivery.planned_at;
    let state = ConsentState::Suppressed { since, why };
    delivery.record.consent_state.insert("email".to_owned(), state);
    delivery
}

fn calls(request: &Request) -> Map<String, Value> {
    let text = request.text();
    let encoded = text.strip_prefix("calls=").unwrap();
    let decoded = percent_decode_str(encoded).decode_utf8().unwrap();
    serde_json::from_str::<Value>(&decoded)
        .unwrap()
        .as_object()
        .unwrap()
        .clone()
}

/// Nobody is known, and every write succeeds.
fn accepted(request: &Request) -> Reply {
    let one = |(key, call): (String, Value)| {
        let rows = match call[1].as_str() {
            Some("get") => json!([]),
            _ => json!([{ "id": 7 }]),
        };
        (key, json!({ "values": rows, "version": 4 }))
    };
    let results: Map<String, Value> = calls(request).into_iter().map(one).collect();
    Reply::json(200, &results.into())
}

fn reason(result: &AttemptResult) -> &str {
    result.outcome.reason().unwrap_or_default()
}

#[tokio::test]
async fn keeps_the_destination_contract() {
    destination_contract::run(&Contract {
        connect: &|url| connect(url, "activity = {}"),
        accept: &|api| api.compute_at(PATH, accepted),
        batch: 3,
    })
    .await;
}

#[tokio::test]
async fn a_batch_is_three_requests_and_an_address_that_comes_twice_is_one_contact() {
    let api = FakeApi::start().await;
    api.compute_at(PATH, accepted);
    let batch: Vec<Delivery> = (1..=10).map(delivery).collect();
    let civicrm = connect(&api.url(""), "activity = {}");
    assert_eq!(outcomes(&civicrm.deliver(&batch).await), ["delivered"; 10]);
    assert_eq!(api.requests().len(), 3, "find, write, relate");
    // The second person is looked up after the first was written.
    api.reset();
    api.compute_at(PATH, accepted);
    civicrm.deliver(&[delivery(1), delivery(1)]).await;
    let order: Vec<String> = api
        .requests()
        .iter()
        .map(|request| calls(request).keys().cloned().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        order,
        [
            "emails",
            "0.contact",
            "0.address 0.activity",
            "emails",
            "0.contact",
            "0.address 0.activity"
        ]
    );
}

#[tokio::test]
async fn each_call_of_a_request_has_its_own_outcome() {
    let api = FakeApi::start().await;
    api.compute_at(PATH, |request| {
        let reply: Value = serde_json::from_slice(accepted(request).content()).unwrap();
        let mut results = reply.as_object().unwrap().clone();
        for (key, message, status) in [
            ("0.contact", "person1@example.org is not a valid email", 500),
            (
                "1.contact",
                "DB Error: unknown error [nativecode=1213 ** Deadlock found]",
                500,
            ),
            (
                "2.contact",
                "Sorry an error occurred and your request was not completed. (Error ID: x)",
                500,
            ),
            (
                "3.contact",
                "Mandatory values missing from Api4 Contact::create: GDPR.basis",
                500,
            ),
            ("4.contact", "ACL check failed", 403),
        ] {
            if let Some(result) = results.get_mut(key) {
                *result = json!({ "error_code": 0, "error_message": message, "status": status });
            }
        }
        if results.contains_key("5.contact") {
            results.remove("5.contact");
        }
        Reply::json(200, &results.into())
    });
    let mut batch: Vec<Delivery> = (1..=7).map(delivery).collect();
    let civicrm = connect(&api.url(""), "address = {}\nphone = {}");
    let results = civicrm.deliver(&batch).await;
    assert_eq!(
        outcomes(&results),
        [
            "reject",
            "retry",
            "retry",
            "reject",
            "reject",
            "retry",
            "delivered"
        ]
    );
    assert!(
        reason(&results[3]).ends_with("Contact::create: GDPR.basis"),
        "{results:?}"
    );
    assert!(
        results.iter().all(|result| !reason(result).contains('@')),
        "{results:?}"
    );
    // An error whose text is hidden is final after the third attempt.
    for delivery in &mut batch {
        delivery.attempt = 3;
    }
    assert_eq!(civicrm.deliver(&batch).await[2].outcome.as_str(), "reject");
}

#[tokio::test]
async fn a_page_or_a_request_that_took_too_long_confirms_nothing() {
    let civicrm_at = |api: &FakeApi| connect(&api.url(""), "groups = ['newsletter']");
    for answer in [
        Reply::status(200).body("<html>log in first</html>"),
        Reply::status(200),
        Reply::json(200, &json!([])),
        Reply::json(200, &json!({ "emails": { "values": [] } })).cut(),
        Reply::status(403).body("<html>denied</html>"),
        Reply::status(504).body("<html>time-out</html>"),
    ] {
        let api = FakeApi::start().await;
        api.reply(answer);
        for change in [Change::Unsubscribe, Change::Suppress, Change::Remove] {
            let results = civicrm_at(&api).deliver(&[withdrawal(1, change)]).await;
            assert_eq!(outcomes(&results), ["retry"], "{results:?}");
        }
        assert_eq!(
            outcomes(&civicrm_at(&api).deliver(&[delivery(1)]).await),
            ["retry"]
        );
    }
    // A look-up without a result for the addresses proves nothing either.
    let api = FakeApi::start().await;
    api.reply(Reply::json(200, &json!({ "other": { "values": [] } })));
    let results = civicrm_at(&api)
        .deliver(&[withdrawal(1, Change::Unsubscribe)])
        .await;
    assert_eq!(outcomes(&results), ["retry"]);
}

#[tokio::test]
async fn a_firewall_that_dislikes_one_record_stops_no_other() {
    let api = FakeApi::start().await;
    api.compute_at(PATH, |request| {
        if request.text().contains("person3@example.org") {
            return Reply::status(403).body("<html>denied</html>");
        }
        accepted(request)
    });
    let batch: Vec<Delivery> = (1..=8).map(delivery).collect();
    let results = connect(&api.url(""), "").deliver(&batch).await;
    let failed: Vec<usize> = (0..8)
        .filter(|at| results[*at].outcome.as_str() != "delivered")
        .collect();
    assert_eq!(failed, [2]);
}

#[tokio::test]
async fn a_look_up_that_one_address_spoils_stops_no_other() {
    let error = json!({ "error_code": 0, "error_message": "Illegal mix of collations", "status": 500 });
    for (reply, expected) in [
        (Reply::status(500).body("<html>fatal error</html>"), "retry"),
        (Reply::json(500, &error), "reject"),
        (Reply::json(500, &json!({ "emails": error })), "reject"),
    ] {
        let api = FakeApi::start().await;
        api.compute_at(PATH, move |request| {
            if request.text().contains("person3@example.org") {
                return reply.clone();
            }
            accepted(request)
        });
        let batch: Vec<Delivery> = (1..=4).map(delivery).collect();
        let results = connect(&api.url(""), "").deliver(&batch).await;
        assert_eq!(
            outcomes(&results),
            ["delivered", "delivered", expected, "delivered"]
        );
    }
}

#[tokio::test]
async fn a_membership_that_is_not_shown_adds_nobody() {
    for missing in ["groups", "history"] {
        let api = FakeApi::start().await;
        api.compute_at(PATH, move |request| {
            let reply: Value = serde_json::from_slice(accepted(request).content()).unwrap();
            let mut results = reply.as_object().unwrap().clone();
            let rows = json!([{ "id": 1, "contact_id": 7, "email": "person1@example.org" }]);
            for (key, rows) in [("emails", rows), ("contacts", json!([{ "id": 7 }]))] {
                if results.contains_key(key) {
                    results.insert(key.to_owned(), json!({ "values": rows }));
                }
            }
            results.remove(missing);
            Reply::json(200, &results.into())
        });
        let civicrm = connect(&api.url(""), "groups = ['newsletter']");
        let results = civicrm.deliver(&[subscriber(1, "2026-03-01T09:30:00Z")]).await;
        assert_eq!(outcomes(&results), ["retry"]);
        assert_eq!(api.requests().len(), 2);
    }
}

#[tokio::test]
async fn bad_credentials_and_a_wrong_address_halt() {
    for (reply, found) in [
        (
            Reply::status(401).body("HTTP 401 Invalid credential"),
            "does not accept the API key",
        ),
        (
            Reply::status(404).body("<html>no page</html>"),
            "check `base_url`",
        ),
        (
            Reply::json(
                400,
                &json!({ "error_message": "SECURITY ALERT: Ajax requests", "status": 400 }),
            ),
            "removes the header",
        ),
        (
            Reply::json(
                403,
                &json!({ "emails": { "error_message": "Authorization failed", "status": 403 } }),
            ),
            "lacks a permission",
        ),
    ] {
        let api = FakeApi::start().await;
        api.reply(reply);
        let results = connect(&api.url(""), "")
            .deliver(&[delivery(1), delivery(2)])
            .await;
        assert_eq!(outcomes(&results), ["halt", "halt"]);
        assert!(reason(&results[0]).contains(found), "{results:?}");
        assert_eq!(api.requests().len(), 1);
    }
}

#[test]
fn a_preview_shows_every_request_that_would_be_sent() {
    let keys = "api_key = 'secret'\nbase_url = 'https://crm.example.org/civicrm/ajax/api4'\n\
                time_zone = 'Europe/Brussels'\ngroups = ['newsletter']\nlink_campaigns = 'create'\nactivity = {}";
    let mut markup = subscriber(1, "2026-03-01T09:30:00Z");
    let action = markup.record.action.as_mut().unwrap();
    action
        .custom_fields
        .insert("comment".to_owned(), "<b>Save</b> & plant\n100%".into());
    let batch = [
        markup,
        withdrawal(1, Change::Unsubscribe),
        suppressed(2, Suppression::Bounced),
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
        ("time_zone = 'Mars'", "unknown time zone"),
        ("time_zone = 'UTC'\nopt_out = 'group'", "needs a group"),
        (
            "time_zone = 'UTC'\nfields = { is_opt_out = '=1' }",
            "written by Causeway itself",
        ),
        (
            "time_zone = 'UTC'\nactivity = { key = { a = 'action.id', b = 'source' } }",
            "one field",
        ),
    ] {
        let keys = format!("api_key = 'secret'\nbase_url = 'https://crm.example.org'\n{more}");
        let tables = causeway_core::mapping::Tables::default();
        let error = (KIND.parse)(&tables, &toml::from_str(&keys).unwrap()).unwrap_err();
        assert!(error.to_string().contains(found), "{error}");
    }
}

#[test]
fn languages_get_the_country_that_civicrm_expects() {
    for (given, expected) in [
        ("de", "de_DE"),
        ("en", "en_US"),
        ("de-at", "de_AT"),
        ("cs", "cs_CZ"),
        ("fr_CA", "fr_CA"),
    ] {
        let mut fields = Map::from_iter([("preferred_language".to_owned(), given.into())]);
        person::expand_language(&mut fields);
        assert_eq!(fields["preferred_language"], expected);
    }
}

#[test]
fn local_times_are_never_taken_for_older_than_they_are() {
    let zone = jiff::tz::TimeZone::get("Europe/Brussels").unwrap();
    let at = |text: &str| person::moment(text, &zone).map(|at| at.to_string());
    assert_eq!(at("2026-03-01 10:30:00").as_deref(), Some("2026-03-01T09:30:00Z"));
    // 02:30 comes twice on this day.
    assert_eq!(at("2026-10-25 02:30:00").as_deref(), Some("2026-10-25T01:30:00Z"));
    assert_eq!(at("yesterday"), None);
    let summer = "2026-07-01T08:00:00Z".parse().unwrap();
    assert_eq!(person::local(summer, &zone), "2026-07-01 10:00:00");
}
