mod vendor;

use std::{sync::Arc, time::Duration};

use causeway_core::{
    consent::ConsentState,
    contact::Field,
    destination::{AttemptResult, Destination},
};
use causeway_testkit::{
    clock::TestClock,
    destination_contract::{self, Contract, delivery},
    fake_api::{FakeApi, Reply, Request},
};
use serde_json::{Value, json};

use super::{config::Key, normal::hashed, *};
use crate::{
    config::Context,
    destination::tests::support::{self, outcomes, withdrawal},
};

const AUDIENCE: u64 = 120_330_000_000_000_001;
const USERS: &str = "/v26.0/120330000000000001/users";

fn context() -> Context {
    support::context("audience")
}

fn connect(api: &str, more: &str) -> Box<dyn Destination> {
    let keys =
        format!("token = 'secret'\naudience = {AUDIENCE}\nbase_url = '{api}'\nallow_private = true\n{more}");
    (KIND.connect)(&context(), &toml::from_str(&keys).unwrap()).unwrap()
}

/// A person who agreed.
fn subscriber(number: i64) -> Delivery {
    let mut delivery = delivery(number);
    let since = delivery.planned_at;
    let state = ConsentState::OptedIn { since };
    delivery.record.consent_state.insert("email".to_owned(), state);
    delivery.record.change = Change::Subscribe;
    delivery
}

fn set(delivery: &mut Delivery, name: &str, value: impl Into<Value>) {
    let field = Field::new(value.into(), delivery.planned_at);
    delivery.record.contact.fields.insert(name.to_owned(), field);
}

fn rows(request: &Request) -> Vec<Value> {
    request.json()["payload"]["data"].as_array().unwrap().clone()
}

fn receipt(request: &Request) -> Reply {
    let rows = rows(request).len();
    Reply::json(
        200,
        &json!({ "audience_id": "120330000000000001", "session_id": "7", "num_received": rows, "num_invalid_entries": 0, "invalid_entry_samples": [] }),
    )
}

fn reason(result: &AttemptResult) -> &str {
    result.outcome.reason().unwrap_or_default()
}

fn calls(requests: &[Request]) -> Vec<(String, usize)> {
    let call = |request: &Request| (request.method.clone(), rows(request).len());
    requests.iter().map(call).collect()
}

#[tokio::test]
async fn keeps_the_destination_contract() {
    let contract = Contract {
        connect: &|url| connect(url, ""),
        accept: &|api| api.compute_at(USERS, receipt),
        batch: 3,
    };
    destination_contract::run_with(&contract, subscriber).await;
}

#[test]
fn values_are_hashed_in_the_form_that_meta_hashes() {
    for (key, value, country, expected) in [
        (
            Key::Email,
            " Zoe.Demo+News@Gmail.com ",
            "",
            "6f8d66ca5213acf91bdd3eee02068ae0e43533ccab369816b3bce35164fd4c5c",
        ),
        (
            Key::Email,
            "mary@example.com",
            "",
            "f1904cf1a9d73a55fa5de0ac823c4403ded71afd4c3248d00bdcd0866552bb79",
        ),
        (
            Key::Phone,
            "+32470123456",
            "",
            "939c4bd6bb59bd77f86f17066a9d0e271836c34aad27e02b9621d56270566afc",
        ),
        (
            Key::Phone,
            "+1 (555) 987-6543",
            "",
            "1ef970831d7963307784fa8688e8fce101a15685d62aa765fed23f3a2c576a4e",
        ),
        (
            Key::FirstName,
            " Zoe\u{301} ",
            "",
            "33b40fa27aea231a9e9d97095ae040f154f79476742c529966657cbd6c131a61",
        ),
        (
            Key::LastName,
            "Demo-O'Neil",
            "",
            "1a10911be3f00ea3367ea8c9b0836387ccaa75fc6588d595998053d21ac22608",
        ),
        (
            Key::LastName,
            "Demo\u{2010}O\u{2019}Neil",
            "",
            "1a10911be3f00ea3367ea8c9b0836387ccaa75fc6588d595998053d21ac22608",
        ),
        (
            Key::City,
            "Saint-Gilles",
            "BE",
            "c9d44e116645d8a6fd79b36541421e0c833473f6ae4b008064c1e35d1290f3c2",
        ),
        (
            Key::Postcode,
            " 10 60 ",
            "BE",
            "8dfd13f4376053626e97eb7221d469013cae9bc031027e64f0db2ec114f8ffd9",
        ),
        (
            Key::Country,
            "BE",
            "",
            "46599c5bb5c33101f80cea8438e2228085513dbbb19b2f5ce97bd68494d3344d",
        ),
    ] {
        assert_eq!(hashed(key, value, country), expected, "{key:?} {value}");
    }
}

#[test]
fn other_values_are_brought_into_the_same_form_and_nothing_is_never_hashed() {
    for (key, value, country, like) in [
        (Key::City, "Łódź", "PL", "lodz"),
        (Key::City, "Gießen", "DE", "giessen"),
        (Key::Postcode, "SW1A 1AA", "GB", "sw1a1"),
        (Key::Postcode, "94107-1234", "US", "94107"),
        (Key::Postcode, "1234-567", "PT", "1234-567"),
        (Key::FirstName, "Mary Ann", "", "mary ann"),
        (
            Key::Email,
            "Zoe <ZOE@Müller.example>",
            "",
            "zoe@xn--mller-kva.example",
        ),
    ] {
        let like = causeway_testkit::vendors::meta::hash(like);
        assert_eq!(hashed(key, value, country), like, "{value}");
    }
    for (key, value) in [
        (Key::Email, " "),
        (Key::Email, "no address"),
        (Key::Phone, "+0000000000"),
        (Key::FirstName, "-'’"),
        (Key::City, "東京"),
        (Key::Postcode, ""),
        (Key::Country, ""),
    ] {
        assert_eq!(hashed(key, value, ""), "", "{key:?}");
    }
}

#[test]
fn the_proof_of_the_app_secret_is_metas() {
    assert_eq!(
        config::proof("s3cr3t-app-key", "EAAB-test-token").unwrap(),
        "80c6c40ea6c322ac6324d9508ba89b6d0cc251822e330cf6868a3d9a897d8bda"
    );
}

#[test]
fn keys_that_identify_nobody_are_refused() {
    for (keys, found) in [
        ("keys = ['FN', 'LN']", "without EMAIL nobody could be removed"),
        ("keys = []", "without EMAIL nobody could be removed"),
        ("keys = ['EMAIL', 'EMAIL']", "EMAIL is there twice"),
        ("keys = ['email']", "`keys`"),
        ("api_version = '26'", "not a version"),
        ("base_url = 'http://graph.example.org'", "unencrypted"),
    ] {
        let text = format!("token = 'secret'\naudience = 7\n{keys}");
        let parsed = (KIND.parse)(
            &causeway_core::mapping::Tables::default(),
            &toml::from_str(&text).unwrap(),
        );
        let error = parsed.unwrap_err().to_string();
        assert!(error.contains(found), "{error}");
    }
}

#[test]
fn two_destinations_cannot_share_an_audience() {
    let resource = |audience: u64| {
        let table = toml::from_str(&format!("audience = {audience}")).unwrap();
        KIND.exclusive.unwrap()(std::path::Path::new("."), &table).unwrap()
    };
    assert_eq!(resource(AUDIENCE), resource(AUDIENCE));
    assert_ne!(resource(AUDIENCE), resource(AUDIENCE + 1));
}

#[tokio::test]
async fn a_row_has_all_keys_and_blanks_for_what_is_missing() {
    let api = FakeApi::start().await;
    api.compute_at(USERS, receipt);
    let more = "keys = ['EMAIL', 'PHONE', 'FN', 'LN', 'CT', 'ZIP', 'COUNTRY']";
    let mut person = subscriber(1);
    for (name, value) in [
        ("email", "Zoe.Demo+News@example.org"),
        ("phone", "0470 12 34 56"),
        ("firstName", "Zoé"),
        ("lastName", "Demo-O'Neil"),
        ("locality", "Saint-Gilles"),
        ("country", "Belgium"),
    ] {
        set(&mut person, name, value);
    }
    set(&mut person, "postcode", 1060);
    let mut wrong = subscriber(2);
    set(&mut wrong, "phone", "+0000000000");
    let connected = connect(&api.url(""), more);
    let results = connected.deliver(&[person, wrong]).await;
    assert_eq!(outcomes(&results), ["delivered", "delivered"]);
    let request = &api.requests()[0];
    assert_eq!(
        request.json()["payload"]["schema"],
        json!(["EMAIL", "PHONE", "FN", "LN", "CT", "ZIP", "COUNTRY"])
    );
    assert_eq!(
        rows(request)[0],
        json!([
            "69949b0aca78abcdcf6eddd136dd82be04836a9deb99eff00a08ee790006e757",
            "939c4bd6bb59bd77f86f17066a9d0e271836c34aad27e02b9621d56270566afc",
            "33b40fa27aea231a9e9d97095ae040f154f79476742c529966657cbd6c131a61",
            "1a10911be3f00ea3367ea8c9b0836387ccaa75fc6588d595998053d21ac22608",
            "c9d44e116645d8a6fd79b36541421e0c833473f6ae4b008064c1e35d1290f3c2",
            "8dfd13f4376053626e97eb7221d469013cae9bc031027e64f0db2ec114f8ffd9",
            "46599c5bb5c33101f80cea8438e2228085513dbbb19b2f5ce97bd68494d3344d",
        ])
    );
    assert_eq!(
        (&rows(request)[1][1], &rows(request)[1][4]),
        (&json!(""), &json!(""))
    );
    let mut nobody = subscriber(1);
    nobody.record.contact.fields.remove("email");
    nobody.record.identities.clear();
    let results = connect(&api.url(""), "").deliver(&[nobody]).await;
    assert_eq!(outcomes(&results), ["reject"]);
    assert!(reason(&results[0]).contains("no usable EMAIL"));
}

#[tokio::test]
async fn nobody_is_added_without_consent_and_every_withdrawal_removes() {
    let since = delivery(1).planned_at;
    let api = FakeApi::start().await;
    api.compute_at(USERS, receipt);
    let connected = connect(&api.url(""), "");
    let states = [
        (ConsentState::Unknown, false),
        (ConsentState::NotSubscribed, false),
        (ConsentState::Pending { since }, false),
        (ConsentState::OptedIn { since }, true),
        (ConsentState::DoubleOptedIn { since }, true),
        (ConsentState::Unsubscribed { since }, false),
    ];
    for kind in [DeliveryKind::Record, DeliveryKind::Contact] {
        for (state, is_added) in states {
            for change in [Change::Subscribe, Change::None] {
                api.reset();
                api.compute_at(USERS, receipt);
                let mut given = delivery(1);
                given.record.kind = kind;
                given.record.change = change;
                given.record.consent_state.insert("email".to_owned(), state);
                // Consent for another purpose does not count.
                let other = ConsentState::OptedIn { since };
                given.record.consent_state.insert("phone".to_owned(), other);
                let results = connected.deliver(&[given]).await;
                let expected = if is_added { "delivered" } else { "skip" };
                assert_eq!(outcomes(&results), [expected], "{state:?} {change:?}");
                assert_eq!(api.requests().len(), usize::from(is_added));
            }
            for change in [Change::Unsubscribe, Change::Suppress, Change::Remove] {
                api.reset();
                api.compute_at(USERS, receipt);
                let mut given = delivery(1);
                given.record.kind = kind;
                given.record.change = change;
                given.record.consent_state.insert("email".to_owned(), state);
                let results = connected.deliver(&[given, withdrawal(2, change)]).await;
                assert_eq!(outcomes(&results), ["delivered", "delivered"]);
                assert_eq!(calls(&api.requests()), [("DELETE".to_owned(), 2)], "{change:?}");
            }
        }
    }
    let results = connected.deliver(&[delivery(1)]).await;
    assert_eq!(
        reason(&results[0]),
        "the person's consent did not change: their consent for `email` is unknown"
    );
}

#[tokio::test]
async fn removals_of_a_batch_come_before_its_additions() {
    let api = FakeApi::start().await;
    api.compute_at(USERS, receipt);
    let batch = [
        subscriber(1),
        withdrawal(2, Change::Unsubscribe),
        subscriber(3),
        withdrawal(1, Change::Suppress),
    ];
    let connected = connect(&api.url(""), "app_secret = 'hidden'");
    assert_eq!(outcomes(&connected.deliver(&batch).await), ["delivered"; 4]);
    let requests = api.requests();
    assert_eq!(
        calls(&requests),
        [("DELETE".to_owned(), 2), ("POST".to_owned(), 2)]
    );
    for request in requests {
        assert_eq!(request.header("authorization"), Some("Bearer secret"));
        assert_eq!(
            request.json()["appsecret_proof"],
            config::proof("hidden", "secret").unwrap()
        );
        assert_eq!(request.query, "", "no secret is in the URL");
    }
}

#[tokio::test]
async fn one_row_that_spoils_a_batch_is_found_and_the_others_arrive() {
    let api = FakeApi::start().await;
    api.compute_at(USERS, |request| {
        let spoiled = hashed(Key::Email, "person37@example.org", "");
        if request.text().contains(&spoiled) {
            let error = json!({ "message": "(#100) Data is missing or does not match schema", "type": "OAuthException", "code": 100 });
            return Reply::json(400, &json!({ "error": error }));
        }
        receipt(request)
    });
    let batch: Vec<Delivery> = (1..=100).map(subscriber).collect();
    let results = connect(&api.url(""), "").deliver(&batch).await;
    let refused: Vec<usize> = (0..100)
        .filter(|at| results[*at].outcome.as_str() != "delivered")
        .collect();
    assert_eq!(refused, [36]);
    assert_eq!(
        results[36].outcome,
        Outcome::Reject {
            reason: "answered 400: error 100: Meta refused the request".to_owned()
        }
    );
    assert!(api.requests().len() <= 15, "{}", api.requests().len());
}

#[tokio::test]
async fn the_code_of_an_error_decides() {
    let api = FakeApi::start().await;
    let connected = connect(&api.url(""), "");
    for (status, code, subcode, expected, found) in [
        (400, 1, 0, "retry", "error 1"),
        (500, 2, 0, "retry", "error 2"),
        (400, 803, 0, "retry", "error 803"),
        (400, 4, 1_504_022, "busy", "too many calls"),
        (400, 17, 2_446_079, "busy", "too many calls"),
        (400, 613, 1_487_742, "busy", "too many calls"),
        (400, 80_003, 2_446_079, "busy", "too many changes"),
        (400, 80_014, 0, "busy", "too many calls"),
        (400, 368, 0, "busy", "blocks the account"),
        (400, 2_650, 1_870_145, "busy", "another update"),
        (400, 190, 460, "halt", "make a new token"),
        (400, 102, 0, "halt", "make a new token"),
        (403, 200, 0, "halt", "ads_management"),
        (400, 294, 0, "halt", "ads_management"),
        (400, 200, 1_870_090, "halt", "customaudiences/tos"),
        (400, 200, 1_870_034, "halt", "customaudiences/tos"),
        (400, 2_655, 0, "halt", "customaudiences/tos"),
        (400, 2_663, 0, "halt", "customaudiences/tos"),
        (400, 200, 1_870_047, "halt", "stop these ads"),
        (400, 100, 33, "halt", "no such audience"),
        (400, 100, 1_713_230, "halt", "flagged"),
        (400, 1_487_366, 0, "halt", "deleted"),
        (400, 2_635, 0, "halt", "retired"),
        (400, 2_650, 0, "halt", "filled in another way"),
        (400, 100, 1_713_098, "reject", "error 100/1713098"),
        (400, 105, 0, "reject", "error 105"),
        (503, 100, 0, "retry", "error 100"),
    ] {
        api.reset();
        let error =
            json!({ "error": { "message": "person1@example.org", "code": code, "error_subcode": subcode } });
        api.reply(Reply::json(status, &error));
        let results = connected.deliver(&[subscriber(1), subscriber(2)]).await;
        assert_eq!(outcomes(&results), [expected; 2], "{code}/{subcode}");
        let reason = reason(&results[0]);
        assert!(reason.contains(found) && !reason.contains('@'), "{reason}");
    }
    for reply in [
        Reply::status(400).body("<html>Sorry</html>"),
        Reply::status(200).body("<html>Sorry</html>"),
        Reply::status(200),
        Reply::json(200, &json!({})),
        Reply::json(
            400,
            &json!({ "error": { "code": 194, "error_subcode": 0, "is_transient": true } }),
        ),
    ] {
        api.reset();
        api.reply(reply);
        let results = connected.deliver(&[subscriber(1)]).await;
        assert_eq!(outcomes(&results), ["retry"], "{:?}", results[0]);
    }
}

#[tokio::test]
async fn invalid_entries_are_noted_without_their_values() {
    let api = FakeApi::start().await;
    for invalid in [json!(1), json!("1")] {
        let body = json!({ "audience_id": 1, "num_received": 2, "num_invalid_entries": invalid, "invalid_entry_samples": { "person1@example.org": "Invalid hash" } });
        api.reply(Reply::json(200, &body));
        let results = connect(&api.url(""), "")
            .deliver(&[subscriber(1), subscriber(2)])
            .await;
        assert_eq!(outcomes(&results), ["delivered", "delivered"]);
        for result in results {
            assert_eq!(result.notes, ["Meta could not read 1 of the 2 rows of this call"]);
            assert_eq!(result.excerpt, None);
        }
    }
}

#[tokio::test]
async fn the_header_about_limits_says_how_long_to_wait() {
    let header = |percent: u64, minutes: u64| {
        json!({ "1234567890": [
            { "type": "ads_management", "call_count": 99, "estimated_time_to_regain_access": 0 },
            { "type": "custom_audience", "call_count": percent, "total_cputime": 3, "estimated_time_to_regain_access": minutes },
        ] })
        .to_string()
    };
    let minutes = Duration::from_mins;
    for (percent, regain, rest) in [
        (94, 0, None),
        (95, 0, Some(minutes(5))),
        (97, 12, Some(minutes(12))),
    ] {
        let api = FakeApi::start().await;
        let usage = header(percent, regain);
        api.compute_at(USERS, move |request| {
            receipt(request).header("x-business-use-case-usage", &usage)
        });
        let results = connect(&api.url(""), "").deliver(&[subscriber(1)]).await;
        assert_eq!((results[0].rest, outcomes(&results)), (rest, vec!["delivered"]));
    }
    for (usage, after) in [
        (Some(header(97, 12)), minutes(12)),
        (None, minutes(5)),
        (Some("nonsense".to_owned()), minutes(5)),
    ] {
        let api = FakeApi::start().await;
        let reply = Reply::json(400, &json!({ "error": { "code": 80_003 } }));
        api.reply(match usage {
            Some(usage) => reply.header("x-business-use-case-usage", &usage),
            None => reply,
        });
        let results = connect(&api.url(""), "").deliver(&[subscriber(1)]).await;
        assert!(
            matches!(&results[0].outcome, Outcome::Busy { after: asked, .. } if *asked == Some(after)),
            "{:?}",
            results[0]
        );
    }
}

#[test]
fn a_preview_shows_every_request_that_would_be_sent() {
    let keys = format!(
        "token = 'secret'\napp_secret = 'hidden'\naudience = {AUDIENCE}\nkeys = ['EMAIL', 'PHONE', 'COUNTRY']"
    );
    let batch = [subscriber(1), withdrawal(1, Change::Unsubscribe), delivery(2)];
    let shown = (KIND.preview)(&context(), &toml::from_str(&keys).unwrap(), &batch).unwrap();
    let texts = shown
        .into_iter()
        .map(|text| text.unwrap_or_else(|unsent| unsent.reason().to_owned()));
    insta::assert_snapshot!(texts.collect::<Vec<_>>().join("\n\n----\n\n"));
}

#[tokio::test]
async fn a_removal_is_confirmed_only_by_a_receipt_for_every_row() {
    let withdrawn = || {
        let mut delivery = subscriber(1);
        delivery.record.kind = DeliveryKind::Withdrawal;
        delivery.record.change = Change::Unsubscribe;
        delivery
    };
    for (answer, expected) in [
        (Reply::json(200, &json!({ "session_id": "1" })), "retry"),
        (
            Reply::json(200, &json!({ "num_received": 0, "num_invalid_entries": 0 })),
            "retry",
        ),
        (
            Reply::json(200, &json!({ "num_received": 1, "num_invalid_entries": 1 })),
            "reject",
        ),
        (
            Reply::json(200, &json!({ "num_received": 1, "num_invalid_entries": 0 })),
            "delivered",
        ),
        (Reply::json(404, &json!({ "message": "no such path" })), "halt"),
        (Reply::json(404, &json!({ "error": "not_found" })), "halt"),
        // Codes that nobody described say nothing about a row.
        (Reply::json(400, &json!({ "error": { "code": 12 } })), "retry"),
        (Reply::json(403, &json!({ "error": { "code": 5 } })), "halt"),
    ] {
        let api = FakeApi::start().await;
        api.reply(answer);
        let results = connect(&api.url(""), "").deliver(&[withdrawn()]).await;
        assert_eq!(outcomes(&results), [expected], "{results:?}");
    }
}
