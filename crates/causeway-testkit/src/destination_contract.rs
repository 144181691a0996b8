//! The contract of every destination, whatever it talks to. A destination's tests call [`run`] if it speaks
//! HTTP, and [`run_local`] if not. A test in the connect crate checks that they do.
#![expect(clippy::unwrap_used, reason = "test equipment: a failure is the test's")]

use std::{collections::BTreeMap, future::Future, pin::pin, task::Poll, time::Duration};

use causeway_core::{
    clock::Timestamp,
    consent::{Change, ConsentState},
    contact::{Contact, Field, Identity},
    delivery::{Delivery, Kind},
    destination::{AttemptResult, Destination, Outcome},
    id::{DeliveryId, IdempotencyKey, InboxId},
    record::Record,
};
use serde_json::json;

use crate::fake_api::{FakeApi, Reply};

/// A destination that speaks HTTP, for use with a fake API.
pub struct Contract<'a> {
    /// Makes the destination for the API at this base URL (`http://127.0.0.1:PORT`, no slash at the end).
    pub connect: &'a dyn Fn(&str) -> Box<dyn Destination>,
    /// Sets responses of the fake API with which the destination succeeds.
    pub accept: &'a dyn Fn(&FakeApi),
    /// The number of deliveries that the destination is given at once.
    pub batch: i64,
}

/// Asserts the contract of a destination that speaks HTTP.
pub async fn run(contract: &Contract<'_>) {
    run_with(contract, delivery).await;
}

/// Asserts the contract with other deliveries, for a destination that skips those of [`delivery()`].
pub async fn run_with(contract: &Contract<'_>, delivery: impl Fn(i64) -> Delivery) {
    let api = FakeApi::start().await;
    let destination = (contract.connect)(&api.url(""));
    let batch: Vec<Delivery> = (1..=contract.batch).map(delivery).collect();

    (contract.accept)(&api);
    all_are(
        &destination.deliver(&batch).await,
        &batch,
        "delivered",
        "accepted",
    );
    let first = api.requests();
    assert!(!first.is_empty(), "delivered without a request");
    all_are(
        &destination.deliver(&batch).await,
        &batch,
        "delivered",
        "the same again",
    );
    // The same key lets the receiver recognise a duplicate.
    for delivery in &batch {
        let with_key = |request: &&crate::fake_api::Request| {
            let headers = request.headers.iter().map(|(_, value)| value.as_str());
            let all: String = headers.chain([request.query.as_str(), &request.text()]).collect();
            all.contains(&delivery.key.0)
        };
        let count = |requests: &[_]| requests.iter().filter(with_key).count();
        let (once, both) = (count(&first), count(&api.requests()));
        assert_eq!(
            both,
            2 * once,
            "a repeat of {} was sent under another key",
            delivery.key
        );
    }

    for (name, reply, expected) in faults() {
        api.reset();
        api.reply(reply);
        let endings = destination.deliver(&batch).await;
        all_are(&endings, &batch, expected, name);
        if name.contains("Retry-After") {
            let waits = endings.iter().all(|ending| {
                matches!(
                    ending.outcome,
                    Outcome::Retry { after: Some(after), .. } | Outcome::Busy { after: Some(after), .. }
                        if after == Duration::from_secs(77)
                )
            });
            assert!(waits, "{name}: the requested wait was lost: {endings:?}");
        }
    }

    // A hanging request: the engine drops the call at its time limit. The destination works afterwards.
    api.reset();
    api.reply(Reply::hang());
    {
        let mut calling = destination.deliver(&batch);
        tokio::select! {
            endings = &mut calling => all_are(&endings, &batch, "retry", "gave up by itself"),
            _ = api.wait_for(1) => {}
        }
    }
    api.reset();
    (contract.accept)(&api);
    all_are(
        &destination.deliver(&batch).await,
        &batch,
        "delivered",
        "after a call that was cut off",
    );

    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let nobody = (contract.connect)(&format!("http://{closed}"));
    all_are(
        &nobody.deliver(&batch).await,
        &batch,
        "retry",
        "connection refused",
    );
    assert!(nobody.check().await.is_err(), "check() succeeds without an API");
}

/// Each has a body with a person's address, like error texts of real APIs.
fn faults() -> Vec<(&'static str, Reply, &'static str)> {
    let body = json!({ "error": "cannot accept person1@example.org" });
    let html = "<html><body>Sorry, person1@example.org<script>1</script></body></html>";
    let page = |status| {
        Reply::status(status)
            .header("content-type", "text/html")
            .body(html)
    };
    vec![
        ("400", Reply::json(400, &body), "reject"),
        ("404", Reply::json(404, &body), "reject"),
        ("422", Reply::json(422, &body), "reject"),
        ("401", Reply::json(401, &body), "halt"),
        ("403", Reply::json(403, &body), "halt"),
        (
            "429 with Retry-After",
            Reply::json(429, &body).header("retry-after", "77"),
            "busy",
        ),
        ("429", Reply::json(429, &body), "busy"),
        ("500 with HTML", page(500), "retry"),
        (
            "503 with HTML and Retry-After",
            page(503).header("retry-after", "77"),
            "retry",
        ),
        (
            "301",
            page(301).header("location", "https://example.org/?email=person1@example.org"),
            "halt",
        ),
        ("302 to nowhere", page(302), "halt"),
        (
            "garbage",
            Reply::raw("person1@example.org\0\u{1}\r\n\r\n"),
            "retry",
        ),
        ("closed without an answer", Reply::close(), "retry"),
    ]
}

/// Failures that a test can cause at a destination that does not speak HTTP.
pub struct Faults {
    /// A destination that works.
    pub works: Box<dyn Destination>,
    /// A destination whose target cannot be reached or used now.
    pub unavailable: Option<Box<dyn Destination>>,
    /// A destination that is refused access until a person acts.
    pub refused: Option<Box<dyn Destination>>,
    /// A destination that cannot accept any record made by [`delivery`].
    pub unfit: Option<Box<dyn Destination>>,
    /// The number of deliveries that the destination is given at once.
    pub batch: i64,
}

impl Faults {
    pub fn none(works: Box<dyn Destination>, batch: i64) -> Self {
        Self {
            works,
            unavailable: None,
            refused: None,
            unfit: None,
            batch,
        }
    }
}

/// Asserts the contract of a destination that does not speak HTTP.
pub async fn run_local(faults: Faults) {
    let batch: Vec<Delivery> = (1..=faults.batch).map(delivery).collect();
    let destination = faults.works;
    destination.check().await.unwrap();
    all_are(&destination.deliver(&batch).await, &batch, "delivered", "works");
    all_are(
        &destination.deliver(&batch).await,
        &batch,
        "delivered",
        "the same again",
    );
    let next: Vec<Delivery> = (1..=faults.batch).map(|n| delivery(n + faults.batch)).collect();
    {
        // The call is started, and dropped at its first await.
        let mut calling = pin!(destination.deliver(&next));
        std::future::poll_fn(|context| Poll::Ready(calling.as_mut().poll(context).is_ready())).await;
    }
    all_are(
        &destination.deliver(&next).await,
        &next,
        "delivered",
        "after a call that was cut off",
    );
    destination.check().await.unwrap();

    let provoked = [
        (faults.unavailable, "retry", "unavailable"),
        (faults.refused, "halt", "refused"),
        (faults.unfit, "reject", "unfit"),
    ];
    for (destination, expected, name) in provoked {
        let Some(destination) = destination else { continue };
        all_are(&destination.deliver(&batch).await, &batch, expected, name);
        if expected != "reject" {
            assert!(destination.check().await.is_err(), "{name}: check() succeeds");
        }
    }
}

fn all_are(endings: &[AttemptResult], batch: &[Delivery], expected: &str, when: &str) {
    assert_eq!(endings.len(), batch.len(), "{when}: one ending for each delivery");
    for ending in endings {
        let outcome = ending.outcome.as_str();
        // A 404 may be about the address of the API, which is everybody's.
        let is_halted_404 = (when, outcome) == ("404", "halt");
        // Accepted by a destination that has its results later.
        let is_accepted = (expected, outcome) == ("delivered", "pending");
        // Without a session nothing is sent, whoever it is about.
        let reason = ending.outcome.reason().unwrap_or_default();
        let has_no_session = (expected, outcome) == ("retry", "busy") && reason.ends_with("to the log-in");
        assert!(
            outcome == expected || is_halted_404 || is_accepted || has_no_session,
            "{when}: {ending:?}"
        );
        if let Some(reason) = ending.outcome.reason() {
            assert!(!reason.trim().is_empty(), "{when}: no reason given");
            assert!(
                !reason.contains('@'),
                "{when}: an address in the reason: {reason}"
            );
            assert!(!reason.contains('<'), "{when}: markup in the reason: {reason}");
            assert!(reason.len() < 500, "{when}: a reason of {} bytes", reason.len());
        }
        let excerpt = ending.excerpt.as_deref().unwrap_or_default();
        assert!(
            excerpt.len() <= AttemptResult::EXCERPT_BYTES,
            "{when}: excerpt too long"
        );
    }
}

/// The delivery of an action of an invented person: `person1@example.org`, `person2@example.org`, …
pub fn delivery(number: i64) -> Delivery {
    let at: Timestamp = "2026-03-01T09:30:00Z".parse().unwrap();
    let key = IdempotencyKey::derive(
        "default",
        "proca",
        format!("action-{number}").as_bytes(),
        "x",
        "record",
    );
    Delivery {
        ticket: None,
        memory: None,
        id: DeliveryId(number),
        key,
        attempt: 1,
        planned_at: at,
        record: record(number, at),
    }
}

fn record(number: i64, at: Timestamp) -> Record {
    let fields = [
        ("email", json!(format!("person{number}@example.org"))),
        ("firstName", json!("Ada")),
        ("lastName", json!("Példa, \"jr\"")),
        ("country", json!("HU")),
    ];
    let field = |value| Field::new(value, at);
    Record {
        workspace: "default".into(),
        source: "proca".into(),
        inbox_id: InboxId(number),
        kind: Kind::Record,
        event: "action".to_owned(),
        event_at: at,
        contact: Contact {
            fields: fields.map(|(name, value)| (name.to_owned(), field(value))).into(),
            ..Contact::default()
        },
        identities: vec![Identity::Email {
            address: format!("person{number}@example.org"),
        }],
        // Deserialised, not built, so that a member that is added later does not change this.
        action: Some(from(json!({
            "external_id": number.to_string(), "action_type": "petition", "created_at": at, "with_consent": true,
            "custom_fields": { "comment": "Save\nthe river" },
        }))),
        campaign: Some(from(json!({ "external_id": "7", "name": "rivers" }))),
        page: Some(from(
            json!({ "external_id": "9", "name": "rivers/hu", "locale": "hu" }),
        )),
        purpose: "email".into(),
        consent_state: BTreeMap::from([("email".to_owned(), ConsentState::Unknown)]),
        engagements: Vec::new(),
        lead: causeway_core::automation::Lead::default(),
        change: Change::None,
        settings: serde_json::Map::new(),
        via: Vec::new(),
    }
}

fn from<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).unwrap()
}
