//! The engine on a set clock, and its observable effects.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use causeway::{
    engine::{self, Answers, Circuit, ClockWatch, Engine, Freshness, Lane, Pace, Pressure, Wake},
    telemetry::Metrics,
};
use causeway_core::{
    clock::{Clock, Timestamp},
    consent::What,
    delivery::Delivery,
    destination::{AttemptResult, CheckError, Destination, Outcome, Results},
    envelope::Envelope,
    event::{Decode, Decoded, Decoders, Event},
    id::InboxId,
    retry::RetryPolicy,
    rules::DestinationRule,
    source::Stop,
    store::{DeliveryFilter, DeliveryRow, InboxFilter, InboxState, Retention, Store, Views},
};
use causeway_store::SqliteStore;
use causeway_testkit::{
    builders::{SOURCE, at, envelope, rules, signed},
    clock::TestClock,
    failing_store::{Fail, FailingStore},
};
use tokio::{sync::Semaphore, task::JoinHandle};

/// The scripted result of a call.
#[derive(Clone)]
pub enum Act {
    /// The same outcome for the whole batch.
    Answer(Outcome),
    Hang,
    /// Delivers this number of the batch, starts the next one, and hangs.
    Partly(usize),
    Panic,
    /// Delivers once the test gives a permit.
    Gate(Arc<Semaphore>),
}

pub fn delivered() -> Act {
    Act::Answer(Outcome::Delivered { remote_id: None })
}

pub fn retry(after: Option<Duration>) -> Act {
    Act::Answer(Outcome::Retry {
        reason: "not now".to_owned(),
        after,
    })
}

pub fn busy(after: Option<Duration>) -> Act {
    Act::Answer(Outcome::Busy {
        reason: "too many requests".to_owned(),
        after,
    })
}

pub fn halt() -> Act {
    Act::Answer(Outcome::Halt {
        reason: "wrong password".to_owned(),
    })
}

/// A call of the destination.
#[derive(Debug, Clone)]
pub struct Seen {
    pub at: Timestamp,
    /// First names.
    pub who: Vec<String>,
    pub attempt: u32,
    pub key: String,
}

pub type Script = Box<dyn Fn(&Seen, usize) -> Act + Send + Sync>;

/// A destination with a script: a function of the call and its number (from 1).
pub struct Scripted {
    clock: Arc<TestClock>,
    script: Script,
    seen: Mutex<Vec<Seen>>,
}

impl Scripted {
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn calls(&self) -> usize {
        self.seen().len()
    }

    /// The names of all calls, in order.
    pub fn who(&self) -> Vec<String> {
        self.seen().into_iter().flat_map(|seen| seen.who).collect()
    }
}

#[async_trait]
impl Destination for Scripted {
    async fn check(&self) -> Result<(), CheckError> {
        Ok(())
    }

    async fn deliver(&self, batch: &[Delivery]) -> Vec<AttemptResult> {
        self.perform(self.call(batch), batch).await
    }

    async fn deliver_into(&self, batch: &[Delivery], results: &Results) {
        let act = self.call(batch);
        let is_partly = matches!(act, Act::Partly(_));
        let started = match act {
            Act::Partly(ended) => ended + 1,
            _ => batch.len(),
        };
        for index in 0..started {
            results.start(index);
        }
        if is_partly {
            for index in 0..started - 1 {
                results.end(index, Outcome::Delivered { remote_id: None }.into());
            }
        }
        for (index, result) in self.perform(act, batch).await.into_iter().enumerate() {
            results.end(index, result);
        }
    }
}

impl Scripted {
    fn call(&self, batch: &[Delivery]) -> Act {
        let name = |delivery: &Delivery| {
            let name = delivery.record.contact.text("firstName").unwrap_or("?");
            name.to_owned()
        };
        let seen = Seen {
            at: self.clock.now(),
            who: batch.iter().map(name).collect(),
            attempt: batch[0].attempt,
            key: batch[0].key.to_string(),
        };
        let number = {
            let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(seen.clone());
            all.len()
        };
        (self.script)(&seen, number)
    }

    async fn perform(&self, act: Act, batch: &[Delivery]) -> Vec<AttemptResult> {
        let outcome = match act {
            Act::Answer(outcome) => outcome,
            Act::Hang | Act::Partly(_) => std::future::pending().await,
            Act::Panic => panic!("the destination has a bug"),
            Act::Gate(gate) => {
                gate.acquire().await.expect("never closed").forget();
                Outcome::Delivered { remote_id: None }
            }
        };
        batch.iter().map(|_| outcome.clone().into()).collect()
    }
}

pub fn pace() -> Pace {
    Pace {
        concurrency: 4,
        batch: 1,
        rate_per_s: None,
        timeout: Duration::from_secs(10),
        retry: RetryPolicy::default(),
        circuit: Circuit {
            failures: 0,
            rest: Duration::from_mins(1),
            rest_max: Duration::from_mins(10),
        },
    }
}

/// Decodes a message to the event that the test chose.
#[derive(Default)]
struct Known(Mutex<HashMap<Bytes, Event>>);

impl Known {
    fn locked(&self) -> MutexGuard<'_, HashMap<Bytes, Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Decode for Known {
    fn decode(&self, envelope: &Envelope) -> Decoded {
        Decoded::Event(Box::new(self.locked()[&envelope.body].clone()))
    }
}

pub struct Rig {
    folder: tempfile::TempDir,
    known: Arc<Known>,
    pub clock: Arc<TestClock>,
    pub store: Arc<SqliteStore>,
    /// Counts the engine's calls of the store.
    counted: Arc<FailingStore>,
    pub engine: Arc<Engine>,
    stop: Stop,
    running: JoinHandle<()>,
    messages: usize,
}

impl Rig {
    /// One lane, `crm`, with this pace and script.
    pub async fn start(
        pace: Pace,
        script: impl Fn(&Seen, usize) -> Act + Send + Sync + 'static,
    ) -> (Self, Arc<Scripted>) {
        Self::with_rule(DestinationRule::new("crm"), pace, script).await
    }

    pub async fn with_rule(
        rule: DestinationRule,
        pace: Pace,
        script: impl Fn(&Seen, usize) -> Act + Send + Sync + 'static,
    ) -> (Self, Arc<Scripted>) {
        let lanes: Vec<(DestinationRule, Pace, Script)> = vec![(rule, pace, Box::new(script))];
        let (rig, mut crm) = Self::with_lanes(lanes).await;
        (rig, crm.remove(0))
    }

    pub async fn with_lanes(lanes: Vec<(DestinationRule, Pace, Script)>) -> (Self, Vec<Arc<Scripted>>) {
        let folder = tempfile::tempdir().expect("a folder");
        Self::in_folder(folder, Arc::default(), lanes).await
    }

    async fn in_folder(
        folder: tempfile::TempDir,
        clock: Arc<TestClock>,
        lanes: Vec<(DestinationRule, Pace, Script)>,
    ) -> (Self, Vec<Arc<Scripted>>) {
        let options = causeway_store::Options { serve: true };
        let store = causeway_store::open(folder.path().join("a.db"), options)
            .await
            .expect("a store");
        let all = lanes.iter().map(|(rule, ..)| rule.clone()).collect();
        store.set_rules(rules(all).into()).await.expect("rules");
        let inner = Arc::clone(&store) as Arc<dyn Store>;
        let counted = Arc::new(FailingStore::new(inner, u64::MAX, Fail::Before));
        let engine = Arc::new(Engine {
            store: Arc::clone(&counted) as Arc<dyn Store>,
            views: Arc::clone(&store) as Arc<dyn Views>,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            metrics: Arc::new(Metrics::new()),
            decoders: arc_swap::ArcSwap::default(),
            wake: Wake::default(),
            pressure: Pressure::default(),
            freshness: Freshness::default(),
            answers: Answers::default(),
            settings: arc_swap::ArcSwap::from_pointee(engine::Settings {
                retention: Retention {
                    payload_days: None,
                    history_days: None,
                    ..Retention::default()
                },
                ..engine::Settings::default()
            }),
            disk_is_low: false.into(),
            clock_watch: ClockWatch::default(),
        });
        let known = Arc::new(Known::default());
        let decoder = Arc::clone(&known) as Arc<dyn Decode>;
        engine
            .decoders
            .store(Arc::new(Decoders::from([(SOURCE.into(), decoder)])));
        let mut scripted = Vec::new();
        let mut built = Vec::new();
        for (rule, pace, script) in lanes {
            let destination = Arc::new(Scripted {
                clock: Arc::clone(&clock),
                script,
                seen: Mutex::default(),
            });
            scripted.push(Arc::clone(&destination));
            built.push(Lane {
                name: rule.name,
                destination,
                pace,
            });
        }
        let stop = Stop::new();
        let lanes = engine::start_lanes(&engine, built, &stop);
        let running = tokio::spawn(engine::run(Arc::clone(&engine), lanes, stop.clone()));
        let rig = Self {
            folder,
            known,
            clock,
            store,
            counted,
            engine,
            stop,
            running,
            messages: 0,
        };
        (rig, scripted)
    }

    /// Restarts as after a crash, with only the data on disk.
    pub async fn crash_and_start(
        self,
        pace: Pace,
        script: impl Fn(&Seen, usize) -> Act + Send + Sync + 'static,
    ) -> (Self, Arc<Scripted>) {
        self.running.abort();
        drop(self.running.await);
        drop((self.engine, self.counted));
        // The last handle releases the file's lock; a recorder may hold one for a moment.
        let path = self.folder.path().join("a.db");
        let weak = Arc::downgrade(&self.store);
        drop(self.store);
        eventually("the store is closed", async || {
            weak.strong_count() == 0 && !causeway_store::is_served(&path)
        })
        .await;
        let lanes: Vec<(DestinationRule, Pace, Script)> =
            vec![(DestinationRule::new("crm"), pace, Box::new(script))];
        let (rig, mut crm) = Self::in_folder(self.folder, self.clock, lanes).await;
        (rig, crm.remove(0))
    }

    pub fn database(&self) -> std::path::PathBuf {
        self.folder.path().join("a.db")
    }

    /// `name` signed once more, and the deliveries are planned.
    pub async fn sign(&mut self, name: &str) -> InboxId {
        let action = (self.messages + 1).to_string();
        let when = self.clock.now();
        self.take(signed(name, &action, What::OptIn, when)).await
    }

    pub async fn take(&mut self, event: Event) -> InboxId {
        self.take_all(vec![event]).await[0]
    }

    pub async fn take_all(&mut self, events: Vec<Event>) -> Vec<InboxId> {
        let now = self.clock.now();
        let mut messages = Vec::new();
        for event in events {
            self.messages += 1;
            let message = envelope(SOURCE, &self.messages.to_string(), now);
            self.known.locked().insert(message.body.clone(), event);
            messages.push(message);
        }
        let accepted = self.store.accept(messages).await.expect("accepted");
        self.engine.wake.inbox.notify_one();
        let new = InboxFilter {
            state: Some(InboxState::New),
            ..InboxFilter::default()
        };
        eventually("all is processed", async || {
            let waiting = self.store.inbox(new.clone(), 1).await.expect("the inbox");
            waiting.is_empty()
        })
        .await;
        accepted.into_iter().map(|accepted| accepted.id).collect()
    }

    pub async fn sign_all(&mut self, people: usize) {
        let events = (0..people).map(|number| {
            let name = format!("person{number}");
            signed(&name, &number.to_string(), What::OptIn, at(0))
        });
        self.take_all(events.collect()).await;
    }

    pub async fn rows(&self) -> Vec<DeliveryRow> {
        let all = DeliveryFilter::default();
        self.store.deliveries(all, 1_000).await.expect("deliveries")
    }

    pub async fn count(&self, state: &str) -> usize {
        let rows = self.rows().await;
        rows.iter().filter(|row| row.state == state).count()
    }

    /// Waits until this number of deliveries is in that state.
    pub async fn until(&self, state: &str, count: usize) {
        eventually(&format!("{count} are {state}"), async || {
            self.count(state).await == count
        })
        .await;
    }

    pub async fn until_attempts(&self, attempts: u32) {
        eventually(&format!("{attempts} attempts are written"), async || {
            self.rows().await.iter().any(|row| row.attempts == attempts)
        })
        .await;
    }

    /// Wakes the lanes and gives them time to do something wrong.
    pub async fn wake_and_settle(&self) {
        for _ in 0..2 {
            self.engine.wake.all_lanes();
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            // Runs after the calls that the lane made before.
            self.store.release(Vec::new(), at(0)).await.expect("released");
            self.store.overview(at(0)).await.expect("an overview");
        }
    }

    /// The number of the engine's calls of the store.
    pub fn asked(&self) -> u64 {
        self.counted.calls()
    }

    /// The number of the engine's own calls of the store while nothing happens and the clock does not move.
    pub async fn asked_while_idle(&self) -> u64 {
        self.wake_and_settle().await;
        let before = self.asked();
        for _ in 0..30 {
            tokio::task::yield_now().await;
            self.store.overview(at(0)).await.expect("an overview");
        }
        self.asked() - before
    }

    pub fn metrics(&self) -> String {
        let overview = causeway_core::store::Overview::default();
        self.engine.metrics.page(&overview, self.clock.now())
    }

    pub fn stop(&self) {
        self.stop.cancel();
    }

    pub fn has_stopped(&self) -> bool {
        self.running.is_finished()
    }
}

/// Waits for an event that needs no movement of the clock. Fails if it does not come.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    assert!(in_time.is_ok(), "it did not come: {what}");
}

pub async fn until_calls(destination: &Scripted, calls: usize) {
    eventually(&format!("{calls} calls"), async || destination.calls() >= calls).await;
}
