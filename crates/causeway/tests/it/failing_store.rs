//! The four verbs over a store that fails at call n, before or after the commit, for every n: in the end each record has
//! reached its destination under one key, and the books balance.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use causeway::{
    engine::{self, Answers, Circuit, ClockWatch, Engine, Freshness, Gateway, Lane, Pace, Pressure, Wake},
    telemetry::Metrics,
};
use causeway_core::{
    clock::Clock,
    consent::What,
    delivery::{Delivery, Kind},
    destination::{AttemptResult, CheckError, Destination, Outcome},
    envelope::Envelope,
    event::{Decode, Decoded, Decoders, Event},
    id::InboxId,
    retry::RetryPolicy,
    rules::DestinationRule,
    source::{Accept, Stop},
    store::{Audit, Retention, Store, Trace, Views},
};
use causeway_testkit::{
    builders::{SOURCE, at, envelope, rules, signed, status},
    clock::TestClock,
    failing_store::{Fail, FailingStore},
};

/// The expected deliveries by key: bob did not opt in; cat opted in and then out in the same batch; dan's first attempt fails,
/// and his second action waits for it.
const MESSAGES: [&str; 6] = ["ann", "bob", "cat", "cat-said-no", "dan", "dan-again"];
/// More calls than any run makes. It only ends an endless loop.
const MOST_CALLS: u64 = 500;

fn event(key: &str) -> Event {
    match key {
        "bob" => signed("bob", "2", What::Declined, at(0)),
        "cat-said-no" => status("cat", What::Unsubscribed, at(1)),
        "dan-again" => signed("dan", "5", What::OptIn, at(2)),
        _ => signed(key, key, What::OptIn, at(0)),
    }
}

/// Decodes a message to the event of its name.
struct Script;

impl Decode for Script {
    fn decode(&self, envelope: &Envelope) -> Decoded {
        let body: serde_json::Value = serde_json::from_slice(&envelope.body).expect("a message of ours");
        Decoded::Event(Box::new(event(body["message"].as_str().expect("a name"))))
    }
}

/// Accepts everything, but dan's first delivery only at the second attempt.
#[derive(Default)]
struct Recorder(Mutex<Vec<Delivery>>);

#[async_trait]
impl Destination for Recorder {
    async fn check(&self) -> Result<(), CheckError> {
        Ok(())
    }

    async fn deliver(&self, batch: &[Delivery]) -> Vec<AttemptResult> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answer = |delivery: &Delivery| {
            let is_first = !seen.iter().any(|before| before.key == delivery.key);
            seen.push(delivery.clone());
            let outcome = if is_first && action(delivery).as_deref() == Some("dan") {
                Outcome::Retry {
                    reason: "not the first time".to_owned(),
                    after: None,
                }
            } else {
                Outcome::Delivered { remote_id: None }
            };
            outcome.into()
        };
        batch.iter().map(&mut answer).collect()
    }
}

fn action(delivery: &Delivery) -> Option<String> {
    Some(delivery.record.action.as_ref()?.external_id.clone())
}

struct RunResult {
    seen: Vec<Delivery>,
    audit: Audit,
    traces: Vec<Trace>,
    calls: u64,
}

/// An engine that is not running.
pub fn engine_on(store: Arc<dyn Store>, views: Arc<dyn Views>, clock: Arc<TestClock>) -> Arc<Engine> {
    let script: Arc<dyn Decode> = Arc::new(Script);
    Arc::new(Engine {
        store,
        views,
        clock_watch: ClockWatch::new(&*clock),
        clock,
        metrics: Arc::new(Metrics::new()),
        decoders: ArcSwap::from_pointee(Decoders::from([(SOURCE.into(), script)])),
        wake: Wake::default(),
        pressure: Pressure::default(),
        freshness: Freshness::default(),
        answers: Answers::default(),
        settings: ArcSwap::from_pointee(engine::Settings {
            retention: Retention {
                payload_days: None,
                history_days: None,
                ..Retention::default()
            },
            ..engine::Settings::default()
        }),
        disk_is_low: false.into(),
    })
}

/// Sends everything and runs the engine until nothing waits.
async fn run(number: u64, fail: Fail) -> RunResult {
    let folder = tempfile::tempdir().expect("a folder");
    let store = causeway_store::open(
        folder.path().join("causeway.db"),
        causeway_store::Options { serve: true },
    );
    let store = store.await.expect("a store");
    let rules = Arc::new(rules(vec![DestinationRule::new("crm")]));
    store.set_rules(rules).await.expect("rules");
    let failing = Arc::new(FailingStore::new(store.clone(), number, fail));
    let clock = Arc::new(TestClock::default());
    let engine = engine_on(failing.clone(), store.clone(), clock.clone());
    let recorder = Arc::new(Recorder::default());
    let stop = Stop::new();
    let lanes = engine::start_lanes(&engine, vec![lane(recorder.clone())], &stop);
    let running = tokio::spawn(engine::run(engine.clone(), lanes, stop.clone()));

    let envelopes = MESSAGES.map(|key| envelope(SOURCE, key, clock.now())).to_vec();
    let gateway = Gateway(engine);
    // Repeated until the store confirms the messages, as every source does.
    while gateway.accept(envelopes.clone()).await.is_err() {}
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    let end = std::time::Instant::now() + Duration::from_mins(1);
    while !is_done(&*store).await {
        assert!(
            std::time::Instant::now() < end,
            "call {number} {fail:?}: it never ends"
        );
        clock.advance(Duration::from_secs(1));
        tick.tick().await;
    }
    stop.cancel();
    // The clock advances during the stop, because the recorder retries after a second.
    tokio::pin!(running);
    let ended = loop {
        tokio::select! {
            ended = &mut running => break ended,
            _ = tick.tick() => clock.advance(Duration::from_secs(1)),
        }
    };
    ended.expect("the engine ends well");

    let mut traces = Vec::new();
    for id in 1..=i64::try_from(MESSAGES.len()).expect("a few") {
        traces.extend(store.trace(InboxId(id)).await.expect("a trace"));
    }
    let seen = recorder.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    RunResult {
        seen,
        audit: store.audit().await.expect("the books"),
        traces,
        calls: failing.calls(),
    }
}

fn lane(destination: Arc<dyn Destination>) -> Lane {
    let pace = Pace {
        concurrency: 4,
        batch: 1,
        rate_per_s: None,
        timeout: Duration::from_secs(5),
        retry: RetryPolicy::default(),
        circuit: Circuit {
            failures: 0,
            rest: Duration::from_secs(1),
            rest_max: Duration::from_secs(1),
        },
    };
    Lane {
        name: "crm".into(),
        destination,
        pace,
    }
}

async fn is_done(views: &dyn Views) -> bool {
    let audit = views.audit().await.expect("the books");
    let source = audit.sources.get(SOURCE);
    source.is_some_and(|books| books.new == 0 && books.done == 6)
        && audit
            .destinations
            .get("crm")
            .is_some_and(|books| books.waiting == 0)
}

fn verify(ran: &RunResult, case: &str) {
    let mut keys: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for delivery in &ran.seen {
        let email = delivery.record.email().expect("an address");
        assert!(email != "bob@example.org", "{case}: bob did not agree");
        let is_withdrawal = delivery.record.kind == Kind::Withdrawal;
        // Only the withdrawal may be sent, because she opted out before anything was sent.
        assert_eq!(email == "cat@example.org", is_withdrawal, "{case}: cat said no");
        let what = if is_withdrawal {
            "cat's no".to_owned()
        } else {
            action(delivery).expect("an action")
        };
        keys.entry(what).or_default().insert(&delivery.key.0);
    }
    let names: Vec<&str> = keys.keys().map(String::as_str).collect();
    assert_eq!(names, ["5", "ann", "cat's no", "dan"], "{case}: what arrived");
    let all: BTreeSet<&str> = keys.values().flatten().copied().collect();
    assert_eq!(all.len(), 4, "{case}: one key each, and each its own: {keys:?}");
    assert!(keys.values().all(|keys| keys.len() == 1), "{case}: {keys:?}");
    let place = |action_id: &str| {
        ran.seen
            .iter()
            .position(|delivery| action(delivery).as_deref() == Some(action_id))
    };
    assert!(place("dan") < place("5"), "{case}: out of order");

    for (name, books) in &ran.audit.sources {
        assert_eq!(books.difference, 0, "{case}: {name}: {books:?}");
        assert_eq!((books.done, books.dead), (6, 0), "{case}: {books:?}");
    }
    for (name, books) in &ran.audit.destinations {
        assert_eq!(books.difference, 0, "{case}: {name}: {books:?}");
        assert_eq!(
            (books.delivered, books.dead, books.waiting),
            (4, 0, 0),
            "{case}: {books:?}"
        );
    }
    // The traces name the keys that were sent.
    let keys: BTreeSet<&str> = ran
        .traces
        .iter()
        .flat_map(|trace| &trace.deliveries)
        .filter(|delivery| delivery.delivery.state == "delivered")
        .map(|delivery| delivery.key.0.as_str())
        .collect();
    assert_eq!(keys, all, "{case}");
}

#[tokio::test]
async fn failing_store_at_any_call_loses_nothing_and_sends_nothing_under_two_keys() {
    for fail in [Fail::Before, Fail::After] {
        let mut number = 0;
        loop {
            number += 1;
            assert!(number < MOST_CALLS, "the runs make ever more calls");
            let ran = run(number, fail).await;
            verify(&ran, &format!("call {number} fails {fail:?}"));
            if ran.calls < number {
                break;
            }
        }
        assert!(number > 8, "the flow makes more calls than that");
    }
}
