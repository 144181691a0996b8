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

use super::*;
use crate::destination::tests::support::{self, outcomes, withdrawal};

const INGEST: &str = "/v1/audienceMembers:ingest";
const REMOVE: &str = "/v1/audienceMembers:remove";
const STATUS: &str = "/v1/requestStatus:retrieve";

fn context() -> Context {
    support::context("audience")
}

fn keys(api: &str, more: &str) -> toml::Table {
    let keys = format!(
        "token = 'secret'\naccount = '123-456-7890'\nlist = 8812345678\naccept_terms = true\nbase_url = '{api}'\n\
         allow_private = true\ncalls_per_minute = 100000\n{more}"
    );
    toml::from_str(&keys).unwrap()
}

fn connect(api: &str, more: &str) -> Box<dyn Destination> {
    (KIND.connect)(&context(), &keys(api, more)).unwrap()
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

fn ticket(adds: bool) -> Ticket {
    Ticket {
        adds,
        since: 1_767_225_600,
        deliveries: 1,
        request: "r-1".to_owned(),
    }
}

fn members(request: &Request) -> Vec<Value> {
    request.json()["audienceMembers"].as_array().unwrap().clone()
}

fn ids(member: &Value) -> Value {
    member["userData"]["userIdentifiers"].clone()
}

fn reason(result: &AttemptResult) -> &str {
    result.outcome.reason().unwrap_or_default()
}

/// The deliveries as they come back: with their tickets and what was remembered.
fn next(batch: &[Delivery], results: &[AttemptResult]) -> Vec<Delivery> {
    let all = batch.iter().zip(results);
    all.map(|(delivery, result)| {
        let mut delivery = delivery.clone();
        if result.ticket_is_void {
            delivery.ticket = None;
        }
        if let Outcome::Pending { ticket, .. } = &result.outcome {
            delivery.ticket = Some(ticket.clone());
        }
        match &result.memory {
            Some(Value::Null) => delivery.memory = None,
            Some(memory) => delivery.memory = Some(memory.clone()),
            None => {}
        }
        delivery
    })
    .collect()
}

#[tokio::test]
async fn keeps_the_destination_contract() {
    let contract = Contract {
        connect: &|url| connect(url, ""),
        accept: &|api| api.reply_at(INGEST, Reply::json(200, &json!({ "requestId": "r-1" }))),
        batch: 3,
    };
    destination_contract::run_with(&contract, subscriber).await;
}

#[test]
fn values_are_hashed_in_the_form_that_google_hashes() {
    const ZOE: &str = "cc83ab1fd238bd5d532cfe208062b3290e46554a3458e6d1cea243a0762939ba";
    let plus = normal::hash("zoedemo+news@gmail.com");
    assert_eq!(normal::emails(" Zoe.Demo+News@Gmail.com "), [ZOE, &plus]);
    assert_eq!(normal::emails("Zoe.Demo@Gmail.com"), [ZOE]);
    assert_eq!(normal::emails("zoe demo @gmail.com"), [ZOE]);
    assert_eq!(
        normal::emails("z.d@googlemail.com"),
        [normal::hash("zd@googlemail.com")]
    );
    assert_eq!(
        normal::emails("zoe.demo+news@example.org"),
        ["69949b0aca78abcdcf6eddd136dd82be04836a9deb99eff00a08ee790006e757"]
    );
    assert_eq!(
        normal::emails("AlexZ@example.com"),
        ["509e933019bb285a134a9334b8bb679dff79d0ce023d529af4bd744d47b4fd8a"]
    );
    assert_eq!(
        normal::phone("+32470123456").unwrap(),
        "80545f053bc9d3881cd0acf64147e86bc31eba1e2296ffe81e579ac8a52387ab"
    );
    assert_eq!(
        normal::phone("+1 (800) 555-0100").unwrap(),
        "fb4f73a6ec5fdb7077d564cdd22c3554b43ce49168550c3b12c547b78c517b30"
    );
    for (typed, normal_form) in [
        ("Zoé", "zoé"),
        ("Zoe", "zoe"),
        ("Demo-O'Neil", "demooneil"),
        ("Mrs. Mary  Ann ", "mary ann"),
        ("Demo, Jr.", "demo"),
        // A word is not a title if nothing else is left.
        ("Dr", "dr"),
    ] {
        assert_eq!(normal::name(typed).unwrap(), normal::hash(normal_form), "{typed}");
    }
    assert_eq!(
        normal::name("Demo-O'Neil").unwrap(),
        "1a10911be3f00ea3367ea8c9b0836387ccaa75fc6588d595998053d21ac22608"
    );
    for nothing in ["", " ", "no address", "@gmail.com", "+news@gmail.com"] {
        assert_eq!(normal::emails(nothing), Vec::<String>::new(), "{nothing}");
    }
    for nothing in ["", "+0000000000", "0470123456", "+32", "+1234567890123456"] {
        assert_eq!(normal::phone(nothing), None, "{nothing}");
    }
    assert_eq!(
        (
            normal::name("-'."),
            normal::region("Belgium"),
            normal::postcode(" ")
        ),
        (None, None, None)
    );
}

#[tokio::test]
async fn a_member_has_the_identifiers_and_consent_of_one_person() {
    let api = FakeApi::start().await;
    api.reply_at(INGEST, Reply::json(200, &json!({ "requestId": "r-1" })));
    let more = "login_account = '987-654-3210'\nidentifiers = ['email', 'phone', 'address']";
    let mut person = subscriber(1);
    for (name, value) in [
        ("email", "Zoe.Demo+News@Gmail.com"),
        ("phone", "0470 12 34 56"),
        ("firstName", "Zoé"),
        ("lastName", "Demo-O'Neil"),
        ("country", "Belgium"),
    ] {
        set(&mut person, name, value);
    }
    set(&mut person, "postcode", 1060);
    let mut other = subscriber(2);
    set(&mut other, "phone", "+0000000000");
    let results = connect(&api.url(""), more).deliver(&[person, other]).await;
    assert_eq!(outcomes(&results), ["pending", "pending"]);
    assert_eq!(results[1].notes, ["phone is left out: nothing of it can be sent"]);
    let request = &api.requests()[0];
    assert_eq!(request.header("authorization"), Some("Bearer secret"));
    let body = request.json();
    let account = |id: &str| json!({ "accountType": "GOOGLE_ADS", "accountId": id });
    assert_eq!(
        body["destinations"],
        json!([{
            "operatingAccount": account("1234567890"), "productDestinationId": "8812345678",
            "loginAccount": account("9876543210"),
        }])
    );
    assert_eq!(
        body["termsOfService"]["customerMatchTermsOfServiceStatus"],
        "ACCEPTED"
    );
    // Nothing is said for all: each member says it.
    assert!(body.get("consent").is_none() && body.get("validateOnly").is_none());
    let granted = json!({ "adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED" });
    let sent = members(request);
    assert!(sent.iter().all(|member| member["consent"] == granted));
    assert_eq!(
        ids(&sent[0]),
        json!([
            { "emailAddress": "cc83ab1fd238bd5d532cfe208062b3290e46554a3458e6d1cea243a0762939ba" },
            { "emailAddress": normal::hash("zoedemo+news@gmail.com") },
            { "phoneNumber": "80545f053bc9d3881cd0acf64147e86bc31eba1e2296ffe81e579ac8a52387ab" },
            { "address": {
                "givenName": "33b40fa27aea231a9e9d97095ae040f154f79476742c529966657cbd6c131a61",
                "familyName": "1a10911be3f00ea3367ea8c9b0836387ccaa75fc6588d595998053d21ac22608",
                "regionCode": "BE", "postalCode": "1060",
            } },
        ])
    );
    // Without a postcode there is no address.
    assert_eq!(ids(&sent[1]).as_array().unwrap().len(), 1);
    let mut nobody = subscriber(3);
    nobody.record.contact.fields.clear();
    nobody.record.identities.clear();
    let results = connect(&api.url(""), more).deliver(&[nobody]).await;
    assert_eq!(outcomes(&results), ["reject"]);
}

#[tokio::test]
async fn nobody_is_added_without_consent_and_every_withdrawal_removes() {
    let since = delivery(1).planned_at;
    let api = FakeApi::start().await;
    let connected = connect(&api.url(""), "");
    let states = [
        (ConsentState::Unknown, false),
        (ConsentState::NotSubscribed, false),
        (ConsentState::Pending { since }, false),
        (ConsentState::OptedIn { since }, true),
        (ConsentState::DoubleOptedIn { since }, true),
        (ConsentState::Unsubscribed { since }, false),
    ];
    let accept = || {
        api.reset();
        api.reply(Reply::json(200, &json!({ "requestId": "r-1" })));
    };
    for kind in [DeliveryKind::Record, DeliveryKind::Contact] {
        for (state, is_added) in states {
            for change in [Change::Subscribe, Change::None] {
                accept();
                let mut given = delivery(1);
                given.record.kind = kind;
                given.record.change = change;
                given.record.consent_state.insert("email".to_owned(), state);
                // Consent for another purpose does not count.
                let other = ConsentState::OptedIn { since };
                given.record.consent_state.insert("phone".to_owned(), other);
                let results = connected.deliver(&[given]).await;
                let expected = if is_added { "pending" } else { "skip" };
                assert_eq!(outcomes(&results), [expected], "{state:?} {change:?}");
                assert_eq!(api.requests().len(), usize::from(is_added));
            }
            for change in [Change::Unsubscribe, Change::Suppress, Change::Remove] {
                accept();
                let mut given = delivery(1);
                given.record.kind = kind;
                given.record.change = change;
                given.record.consent_state.insert("email".to_owned(), state);
                let results = connected.deliver(&[given, withdrawal(2, change)]).await;
                assert_eq!(outcomes(&results), ["pending", "pending"]);
                let requests = api.requests();
                assert_eq!((requests.len(), requests[0].path.as_str()), (1, REMOVE));
                assert_eq!(members(&requests[0]).len(), 2);
                assert!(members(&requests[0])[0].get("consent").is_none());
            }
        }
    }
}

#[tokio::test]
async fn named_members_are_dead_and_the_others_are_sent_again_at_once() {
    let api = FakeApi::start().await;
    let wrong = |index: usize, camel: bool| {
        let field = if camel {
            format!("audienceMembers[{index}].userData.userIdentifiers[0].emailAddress")
        } else {
            format!("audience_members.audience_members[{index}].user_data")
        };
        json!({ "error": { "code": 400, "message": "person1@example.org", "status": "INVALID_ARGUMENT", "details": [
            { "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "INVALID_ARGUMENT" },
            { "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [
                { "field": field, "description": "person1@example.org", "reason": "INVALID_SHA256_FORMAT" },
            ] },
        ] } })
    };
    let batch: Vec<Delivery> = (1..=20).map(subscriber).collect();
    api.reply(Reply::json(200, &json!({ "requestId": "r-1" })));
    // The list of wrong fields is cut off after one.
    api.script(
        INGEST,
        [
            Reply::json(400, &wrong(12, false)),
            Reply::json(400, &wrong(3, true)),
        ],
    );
    let results = connect(&api.url(""), "").deliver(&batch).await;
    let refused: Vec<usize> = (0..20)
        .filter(|at| results[*at].outcome.as_str() == "reject")
        .collect();
    assert_eq!(refused, [3, 12]);
    assert_eq!(
        reason(&results[3]),
        "answered 400: INVALID_SHA256_FORMAT: Google refused the person's identifiers"
    );
    let sent: Vec<usize> = api
        .requests()
        .iter()
        .map(|request| members(request).len())
        .collect();
    assert_eq!(sent, [20, 19, 18]);

    // Removals of people with many identifiers have several members each.
    api.reset();
    api.reply(Reply::json(200, &json!({ "requestId": "r-1" })));
    api.script(REMOVE, [Reply::json(400, &wrong(2, false))]);
    let mut many = withdrawal(1, Change::Remove);
    let known: Vec<Identifier> = (0..19)
        .map(|number| Identifier::Phone(number.to_string()))
        .collect();
    let memory = Memory::read(None, "1234567890/8812345678").sent(&known, &ticket(true));
    many.memory = Some(memory.value());
    let results = connect(&api.url(""), "")
        .deliver(&[many, withdrawal(2, Change::Remove), withdrawal(3, Change::Remove)])
        .await;
    assert_eq!(outcomes(&results), ["pending", "reject", "pending"]);
    assert!(reason(&results[1]).ends_with("remove the person from the list by hand"));
    assert_eq!(members(&api.requests()[0]).len(), 4);
}

#[tokio::test]
async fn a_batch_in_which_nobody_is_named_is_halved() {
    let api = FakeApi::start().await;
    let bad = normal::hash("person37@example.org");
    api.compute_at(INGEST, move |request| {
        if request.text().contains(&bad) {
            let error = json!({ "error": { "code": 400, "status": "INVALID_ARGUMENT", "message": "no" } });
            return Reply::json(400, &error);
        }
        Reply::json(200, &json!({ "requestId": "r-1" }))
    });
    let batch: Vec<Delivery> = (1..=100).map(subscriber).collect();
    let results = connect(&api.url(""), "").deliver(&batch).await;
    let refused: Vec<usize> = (0..100)
        .filter(|at| results[*at].outcome.as_str() != "pending")
        .collect();
    assert_eq!(refused, [36]);
    assert!(api.requests().len() <= 15, "{}", api.requests().len());
}

/// An error as Google writes it.
fn error(http: u16, status: &str, reason: &str) -> Reply {
    let details = json!([{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason }]);
    let error =
        json!({ "code": http, "message": "person1@example.org", "status": status, "details": details });
    let body = json!({ "error": error });
    Reply::json(http, &body)
}

/// Status, code, reason, outcome and a part of the text.
#[rustfmt::skip]
const ERRORS: [(u16, &str, &str, &str, &str); 20] = [
    (500, "INTERNAL", "INTERNAL_ERROR", "retry", "INTERNAL_ERROR"),
    (400, "INTERNAL", "INTERNAL_ERROR", "retry", "INTERNAL_ERROR"),
    (503, "UNAVAILABLE", "", "retry", "UNAVAILABLE"),
    (504, "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", "retry", "DEADLINE"),
    (429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED", "busy", "too many calls"),
    (403, "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED", "busy", "too many calls"),
    (401, "UNAUTHENTICATED", "ACCESS_TOKEN_EXPIRED", "halt", "the token"),
    (403, "PERMISSION_DENIED", "PERMISSION_DENIED", "halt", "Access and security"),
    (403, "PERMISSION_DENIED", "SERVICE_DISABLED", "halt", "not enabled"),
    (403, "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "halt", "the scope"),
    (403, "PERMISSION_DENIED", "EU_POLITICAL_ADVERTISING_DECLARATION_REQUIRED", "halt", "political ads"),
    (400, "INVALID_ARGUMENT", "EU_POLITICAL_ADVERTISING_DECLARATION_REQUIRED", "halt", "political ads"),
    (400, "INVALID_ARGUMENT", "TERMS_AND_CONDITIONS_NOT_SIGNED", "halt", "terms of Customer Match"),
    (403, "PERMISSION_DENIED", "NOT_ALLOWLISTED", "halt", "does not let"),
    (400, "INVALID_ARGUMENT", "OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH", "halt", "login_account"),
    (400, "INVALID_ARGUMENT", "INVALID_USER_LIST_ID", "halt", "no such list"),
    (400, "INVALID_ARGUMENT", "INVALID_USER_LIST_TYPE", "halt", "no contacts"),
    (404, "NOT_FOUND", "NOT_FOUND", "halt", "no such account"),
    (400, "INVALID_ARGUMENT", "INVALID_POSTAL_CODE", "reject", "INVALID_POSTAL_CODE"),
    // A text that is no reason is not shown.
    (400, "INVALID_ARGUMENT", "person1@example.org", "reject", "INVALID_ARGUMENT"),
];

#[tokio::test]
async fn the_reason_of_an_error_decides() {
    let api = FakeApi::start().await;
    let connected = connect(&api.url(""), "");
    for (http, status, why, expected, found) in ERRORS {
        api.reset();
        api.reply(error(http, status, why));
        let results = connected.deliver(&[subscriber(1), subscriber(2)]).await;
        assert_eq!(outcomes(&results), [expected; 2], "{why}");
        let reason = reason(&results[0]);
        assert!(reason.contains(found) && !reason.contains('@'), "{reason}");
    }
    let field = json!({ "error": { "code": 400, "status": "INVALID_ARGUMENT", "details": [
        { "fieldViolations": [{ "field": "destinations[0].linked_account", "description": "Cannot find field." }] },
    ] } });
    api.reply(Reply::json(400, &field));
    let results = connected.deliver(&[subscriber(1), subscriber(2)]).await;
    assert_eq!(outcomes(&results), ["halt"; 2]);
    assert!(
        reason(&results[0]).contains("because of `destinations`"),
        "{results:?}"
    );
    for reply in [
        Reply::status(400).body("<html>Sorry</html>"),
        Reply::status(200).body("<html>Sorry</html>"),
        Reply::status(200),
        Reply::json(200, &json!({})),
        Reply::json(200, &json!([])),
        Reply::json(200, &json!({ "requestId": "" })),
    ] {
        api.reset();
        api.reply(reply);
        let results = connected
            .deliver(&[subscriber(1), withdrawal(2, Change::Remove)])
            .await;
        assert_eq!(outcomes(&results), ["retry"; 2], "{:?}", results[0]);
        assert_eq!(results[0].memory, None);
    }
}

#[tokio::test]
async fn limits_say_how_long_to_wait() {
    let api = FakeApi::start().await;
    let exhausted = |more: Value| {
        let mut details = vec![json!({ "reason": "RATE_LIMIT_EXCEEDED", "metadata": more["metadata"] })];
        details.extend(more.get("delay").map(|delay| json!({ "retryDelay": delay })));
        let error = json!({ "error": { "code": 429, "status": "RESOURCE_EXHAUSTED", "details": details } });
        Reply::json(429, &error)
    };
    for (reply, seconds) in [
        (exhausted(json!({})), 60),
        (
            exhausted(json!({ "metadata": { "quota_limit": "IngestRequestsPerMinutePerProject" } })),
            60,
        ),
        (
            exhausted(json!({ "metadata": { "quota_limit": "IngestRequestsPerDayPerProject" } })),
            3_600,
        ),
        (exhausted(json!({ "delay": "17s" })), 17),
        (exhausted(json!({ "delay": "99999999s" })), 60),
        (
            exhausted(json!({ "delay": "17s" })).header("retry-after", "77"),
            77,
        ),
    ] {
        api.reset();
        api.reply(reply);
        let results = connect(&api.url(""), "").deliver(&[subscriber(1)]).await;
        let wait = Duration::from_secs(seconds);
        assert!(
            matches!(&results[0].outcome, Outcome::Busy { after: Some(after), .. } if *after == wait),
            "{:?}",
            results[0]
        );
    }
}

#[tokio::test]
async fn an_unreadable_status_confirms_nothing_and_keeps_the_ticket() {
    let api = FakeApi::start().await;
    let ticket = ticket(false);
    assert_eq!(Ticket::read(&ticket.text()), Some(ticket.clone()));
    let mut waiting = withdrawal(1, Change::Unsubscribe);
    waiting.ticket = Some(ticket.text());
    for (reply, expected, is_void) in [
        (Reply::status(200).body("<html>Sorry</html>"), "retry", false),
        (Reply::status(200), "retry", false),
        (Reply::json(200, &json!({})), "retry", false),
        (
            Reply::json(200, &json!({ "requestStatusPerDestination": [] })),
            "retry",
            false,
        ),
        (
            Reply::json(200, &json!({ "requestStatusPerDestination": [{}] })),
            "pending",
            false,
        ),
        (error(503, "UNAVAILABLE", ""), "retry", false),
        (error(429, "RESOURCE_EXHAUSTED", ""), "busy", false),
        (error(401, "UNAUTHENTICATED", ""), "halt", false),
        (
            error(400, "INVALID_ARGUMENT", "INVALID_REQUEST_ID"),
            "retry",
            true,
        ),
        (error(400, "INVALID_ARGUMENT", "REQUEST_TOO_OLD"), "retry", true),
    ] {
        api.reset();
        api.reply(reply);
        let results = connect(&api.url(""), "")
            .deliver(std::slice::from_ref(&waiting))
            .await;
        assert_eq!(
            (outcomes(&results), results[0].ticket_is_void),
            (vec![expected], is_void),
            "{results:?}"
        );
        assert_eq!(results[0].memory, None, "{results:?}");
    }
    assert_eq!(api.requests()[0].query, "requestId=r-1");
    assert_eq!(api.requests()[0].path, STATUS);
}

/// The responses to the calls of one attempt, in order.
fn script(api: &FakeApi, replies: impl IntoIterator<Item = Value>) {
    script_of(api, replies.into_iter().map(|reply| Reply::json(200, &reply)));
}

fn script_of(api: &FakeApi, replies: impl IntoIterator<Item = Reply>) {
    api.reset();
    let replies: std::collections::VecDeque<Reply> = replies.into_iter().collect();
    let replies = std::sync::Mutex::new(replies);
    let next = move |_: &Request| replies.lock().unwrap().pop_front();
    api.compute(move |request| next(request).unwrap_or(Reply::status(500)));
}

fn status(text: &str) -> Value {
    json!({ "requestStatusPerDestination": [{ "requestStatus": text }] })
}

fn paths(api: &FakeApi) -> Vec<String> {
    let requests = api.requests();
    let short = |request: &Request| {
        let path = request.path.rsplit(':').next().unwrap_or_default();
        format!("{path} {}", request.query).trim().to_owned()
    };
    requests.iter().map(short).collect()
}

#[tokio::test]
async fn a_removal_is_repeated_after_an_addition_that_google_may_process_later() {
    let api = FakeApi::start().await;
    let connected = connect(&api.url(""), "");
    let added = [subscriber(1)];
    script(&api, [json!({ "requestId": "add" })]);
    let memory = next(&added, &connected.deliver(&added).await)[0].memory.clone();

    // The person opts out before Google processed the addition.
    let mut batch = vec![withdrawal(1, Change::Unsubscribe)];
    batch[0].memory = memory;
    for (replies, expected, calls) in [
        (vec![json!({ "requestId": "out-1" })], "pending", vec!["remove"]),
        (
            vec![status("SUCCESS"), status("PROCESSING")],
            "pending",
            vec!["retrieve requestId=out-1", "retrieve requestId=add"],
        ),
        // The addition may have been the last, so the person may be in the list.
        (
            vec![
                status("SUCCESS"),
                status("SUCCESS"),
                json!({ "requestId": "out-2" }),
            ],
            "pending",
            vec!["retrieve requestId=out-1", "retrieve requestId=add", "remove"],
        ),
        (
            vec![status("SUCCESS")],
            "delivered",
            vec!["retrieve requestId=out-2"],
        ),
    ] {
        script(&api, replies);
        let results = connected.deliver(&batch).await;
        assert_eq!(
            (outcomes(&results), paths(&api)),
            (vec![expected], calls.iter().map(ToString::to_string).collect())
        );
        batch = next(&batch, &results);
    }
    let memory = Memory::read(batch[0].memory.as_ref(), "1234567890/8812345678");
    assert_eq!((memory.adding(), memory.ids), (None, vec![]));
}

#[tokio::test]
async fn a_removal_after_an_addition_is_sent_anew_if_its_second_call_fails() {
    let api = FakeApi::start().await;
    let connected = connect(&api.url(""), "");
    let added = [subscriber(1)];
    script(&api, [json!({ "requestId": "add" })]);
    let memory = next(&added, &connected.deliver(&added).await)[0].memory.clone();
    let mut batch = vec![withdrawal(1, Change::Remove)];
    batch[0].memory = memory;
    script(&api, [json!({ "requestId": "out-1" })]);
    batch = next(&batch, &connected.deliver(&batch).await);
    let replies = [
        Reply::json(200, &status("SUCCESS")),
        error(400, "INVALID_ARGUMENT", "REQUEST_TOO_OLD"),
        error(503, "UNAVAILABLE", ""),
    ];
    script_of(&api, replies);
    let results = connected.deliver(&batch).await;
    assert_eq!(
        (outcomes(&results), results[0].ticket_is_void),
        (vec!["retry"], true)
    );
    batch = next(&batch, &results);
    script(&api, [json!({ "requestId": "out-2" })]);
    assert_eq!(outcomes(&connected.deliver(&batch).await), ["pending"]);
    assert_eq!(paths(&api), ["remove"]);
}

#[tokio::test]
async fn an_addition_is_no_answer_to_an_opt_out() {
    let api = FakeApi::start().await;
    let connected = connect(&api.url(""), "");
    let mut batch = vec![subscriber(1)];
    script(&api, [json!({ "requestId": "add" })]);
    batch = next(&batch, &connected.deliver(&batch).await);
    // The destination takes everybody, so the delivery goes on after the opt-out.
    let since = batch[0].planned_at;
    let state = ConsentState::Unsubscribed { since };
    batch[0].record.consent_state.insert("email".to_owned(), state);
    batch[0].record.change = Change::Unsubscribe;
    script(&api, [json!({ "requestId": "out-1" })]);
    assert_eq!(outcomes(&connected.deliver(&batch).await), ["pending"]);
    assert_eq!(paths(&api), ["remove"]);
}

#[test]
fn keys_that_cannot_work_are_refused() {
    let good = "account = '123-456-7890'\nlist = 7\naccept_terms = true\n";
    let token = "token = 'secret'\n";
    for (keys, found) in [
        (
            format!("{token}account = '123-456-7890'\nlist = 7"),
            "accept_terms = true",
        ),
        (
            format!("{token}account = '12'\nlist = 7\naccept_terms = true"),
            "not a customer id",
        ),
        (
            format!("{token}account = '123-456-7890'\nlist = 0\naccept_terms = true"),
            "not the number of a list",
        ),
        (good.to_owned(), "`service_account`"),
        (format!("{good}{token}service_account = 'x'"), "only one of"),
        (format!("{good}{token}identifiers = ['phone']"), "without email"),
        (
            format!("{good}{token}identifiers = ['email', 'email']"),
            "email is there twice",
        ),
        (format!("{good}{token}identifiers = ['EMAIL']"), "`identifiers`"),
        (format!("{good}{token}api_version = '1'"), "not a version"),
        (
            format!("{good}{token}base_url = 'http://data.example.org'"),
            "unencrypted",
        ),
        (
            format!("{good}oauth = {{ client_id = 'i', client_secret = 's' }}"),
            "refresh_token",
        ),
    ] {
        let parsed = (KIND.parse)(
            &causeway_core::mapping::Tables::default(),
            &toml::from_str(&keys).unwrap(),
        );
        let error = parsed.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(found), "{text}");
    }
    let keys = format!("{good}service_account = 'a-secret-that-is-no-json'");
    let error = (KIND.connect)(&context(), &toml::from_str(&keys).unwrap())
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("JSON key file") && !error.contains("a-secret"),
        "{error}"
    );
}

#[test]
fn two_destinations_cannot_share_a_list() {
    let resource = |account: &str, list: u64| {
        let table = toml::from_str(&format!("account = '{account}'\nlist = {list}")).unwrap();
        KIND.exclusive.unwrap()(std::path::Path::new("."), &table).unwrap()
    };
    assert_eq!(resource("123-456-7890", 7), resource("1234567890", 7));
    assert_ne!(resource("123-456-7890", 7), resource("123-456-7890", 8));
    assert_ne!(resource("123-456-7890", 7), resource("123-456-7891", 7));
}

#[test]
fn a_preview_shows_every_request_that_would_be_sent() {
    let keys = keys(
        "https://datamanager.googleapis.com",
        "login_account = '9876543210'\nidentifiers = ['email', 'address']",
    );
    let mut waiting = subscriber(3);
    waiting.ticket = Some("add.1767225600.2.r-1".to_owned());
    let batch = [
        subscriber(1),
        withdrawal(1, Change::Unsubscribe),
        delivery(2),
        waiting,
    ];
    let shown = (KIND.preview)(&context(), &keys, &batch).unwrap();
    let texts = shown
        .into_iter()
        .map(|text| text.unwrap_or_else(|unsent| unsent.reason().to_owned()));
    insta::assert_snapshot!(texts.collect::<Vec<_>>().join("\n\n----\n\n"));
}
