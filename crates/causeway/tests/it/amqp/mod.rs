//! The source of Proca queues against a real RabbitMQ. The store is a list in memory that can refuse and hang.

mod flow;
mod giving_back;
mod tls;
mod trouble;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use causeway_connect::{
    config::Context,
    source::proca::{Config, Proca},
};
use causeway_core::{
    destination::CheckError,
    envelope::Envelope,
    id::InboxId,
    source::{Accept, Health, Source, SourceState, Stop},
    store::{Accepted, StoreError},
};
use causeway_testkit::{clock::TestClock, rig::rabbit};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

/// Much longer than any step takes. It only ends a test that hangs.
const LIMIT: Duration = Duration::from_secs(90);

async fn within_limit<T>(what: &str, waiting: impl Future<Output = T>) -> T {
    let Ok(done) = timeout(LIMIT, waiting).await else {
        panic!("waited too long until {what}");
    };
    done
}

/// Runs blocking code (starting servers, `rabbitmqctl`) outside the asynchronous test.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .expect("the blocking part ends well")
}

/// Waits until the queue of the shared node has these numbers of messages (ready; delivered and not acknowledged).
async fn queue_becomes(queue: &str, ready: u64, unacked: u64) {
    let mut seen = None;
    let started = Instant::now();
    while started.elapsed() < LIMIT {
        let rows = blocking(|| rabbit::shared().list_queues()).await;
        seen = rows.into_iter().find(|row| row.0 == queue);
        if seen
            .as_ref()
            .is_some_and(|row| (row.1, row.2) == (ready, unacked))
        {
            return;
        }
    }
    panic!("the queue does not get to {ready} ready and {unacked} unacknowledged: {seen:?}");
}

/// A unique body. No decoder reads it in these tests.
fn body(number: usize) -> Vec<u8> {
    format!("{{\"schema\":\"proca:action:2\",\"actionId\":{number}}}").into_bytes()
}

fn bodies(numbers: std::ops::Range<usize>) -> BTreeSet<Vec<u8>> {
    numbers.map(body).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Stores,
    Refuses,
    Hangs,
}

/// The fake store of these tests.
struct Inbox {
    mood: watch::Sender<Mood>,
    stored: watch::Sender<Vec<Envelope>>,
    calls: watch::Sender<usize>,
    /// The number of calls of `ready`.
    asked: watch::Sender<usize>,
    /// `ready` always succeeds.
    boasts: bool,
    /// The number of messages of each call.
    sizes: Mutex<Vec<usize>>,
}

impl Inbox {
    fn new(mood: Mood) -> Arc<Self> {
        Arc::new(Self::in_mood(mood))
    }

    fn in_mood(mood: Mood) -> Self {
        Self {
            mood: watch::Sender::new(mood),
            stored: watch::Sender::new(Vec::new()),
            calls: watch::Sender::new(0),
            asked: watch::Sender::new(0),
            boasts: false,
            sizes: Mutex::default(),
        }
    }

    fn note_size(&self, messages: usize) {
        let mut sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        sizes.push(messages);
    }

    async fn was_asked(&self, times: usize) {
        let mut asked = self.asked.subscribe();
        within_limit("the store is asked", asked.wait_for(|asked| *asked >= times))
            .await
            .expect("the inbox lives");
    }

    fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    fn stored(&self) -> Vec<Envelope> {
        self.stored.borrow().clone()
    }

    fn bodies(&self) -> BTreeSet<Vec<u8>> {
        self.stored
            .borrow()
            .iter()
            .map(|envelope| envelope.body.to_vec())
            .collect()
    }

    /// Waits until all these bodies were stored at least once.
    async fn has(&self, expected: &BTreeSet<Vec<u8>>) {
        let mut stored = self.stored.subscribe();
        let all_there = stored.wait_for(|stored| {
            stored.len() >= expected.len() && {
                let bodies: BTreeSet<&[u8]> = stored.iter().map(|envelope| &*envelope.body).collect();
                expected.iter().all(|body| bodies.contains(body.as_slice()))
            }
        });
        within_limit("the inbox has everything", all_there)
            .await
            .expect("the inbox lives");
    }

    async fn was_called(&self, times: usize) {
        let mut calls = self.calls.subscribe();
        within_limit("the store is called", calls.wait_for(|calls| *calls >= times))
            .await
            .expect("the inbox lives");
    }
}

#[async_trait]
impl Accept for Inbox {
    async fn accept(&self, envelopes: Vec<Envelope>) -> Result<Vec<Accepted>, StoreError> {
        self.calls.send_modify(|calls| *calls += 1);
        self.note_size(envelopes.len());
        let mut mood = self.mood.subscribe();
        let mood = *mood
            .wait_for(|mood| *mood != Mood::Hangs)
            .await
            .expect("the inbox lives");
        if mood == Mood::Refuses {
            return Err(StoreError::Unavailable("the disk is full".to_owned()));
        }
        let accepted = envelopes
            .iter()
            .map(|_| Accepted {
                id: InboxId(1),
                duplicate: false,
            })
            .collect();
        self.stored.send_modify(|stored| stored.extend(envelopes));
        Ok(accepted)
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.asked.send_modify(|asked| *asked += 1);
        if *self.mood.borrow() == Mood::Refuses && !self.boasts {
            return Err(StoreError::Unavailable("the disk is full".to_owned()));
        }
        Ok(())
    }
}

/// The states, gauges, counters and warnings that the source reported.
struct HealthLog {
    state: watch::Sender<Option<SourceState>>,
    gauges: watch::Sender<BTreeMap<&'static str, i64>>,
    counts: Mutex<BTreeMap<&'static str, u32>>,
    warnings: watch::Sender<BTreeMap<&'static str, String>>,
}

impl HealthLog {
    async fn is(&self, what: &str, is_it: impl Fn(&SourceState) -> bool) -> SourceState {
        let mut state = self.state.subscribe();
        let found = within_limit(what, state.wait_for(|state| state.as_ref().is_some_and(&is_it))).await;
        found.expect("the health lives").clone().expect("a state")
    }

    async fn is_running(&self) {
        self.is("it runs", |state| *state == SourceState::Running).await;
    }

    /// Returns the reason.
    async fn is_failing(&self) -> String {
        match self
            .is("it fails", |state| matches!(state, SourceState::Failing { .. }))
            .await
        {
            SourceState::Failing { reason } => reason,
            other => panic!("{other:?}"),
        }
    }

    async fn is_halted(&self) -> String {
        match self
            .is("it halts", |state| matches!(state, SourceState::Halted { .. }))
            .await
        {
            SourceState::Halted { reason } => reason,
            other => panic!("{other:?}"),
        }
    }

    async fn shows(&self, name: &str, value: i64) {
        let mut gauges = self.gauges.subscribe();
        let shown = gauges.wait_for(|gauges| gauges.get(name) == Some(&value));
        within_limit("the gauge shows it", shown)
            .await
            .expect("the health lives");
    }

    /// Waits for a warning, or for its end.
    async fn warns(&self, about: &str, warns: bool) -> Option<String> {
        let mut warnings = self.warnings.subscribe();
        let found = warnings.wait_for(|warnings| warnings.contains_key(about) == warns);
        let found = within_limit("it warns", found).await.expect("the health lives");
        found.get(about).cloned()
    }

    fn count_of(&self, name: &str) -> u32 {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(name).copied().unwrap_or(0)
    }
}

impl Health for HealthLog {
    fn set(&self, state: SourceState) {
        self.state.send_replace(Some(state));
    }

    fn gauge(&self, name: &'static str, value: i64) {
        self.gauges.send_modify(|gauges| {
            gauges.insert(name, value);
        });
    }

    fn count(&self, name: &'static str) {
        *self
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(name)
            .or_default() += 1;
    }

    fn warn(&self, about: &'static str, warning: Option<String>) {
        self.warnings.send_if_modified(|warnings| match warning {
            Some(warning) => warnings.insert(about, warning).is_none(),
            None => warnings.remove(about).is_some(),
        });
    }
}

/// A source that runs until it is stopped.
struct Running {
    health: Arc<HealthLog>,
    stop: Stop,
    ended: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        within_limit("it has stopped", self.ended)
            .await
            .expect("the source ends well");
    }
}

/// `more` are further lines of the configuration.
fn source(url: &str, queue: &str, more: &str) -> Box<dyn Source> {
    let table = format!("url = '{url}'\nqueue = '{queue}'\nconsent = 'single'\nown_orgs = [1]\n{more}");
    let context = Context {
        name: "proca".into(),
        clock: Arc::new(TestClock::default()),
        dir: std::env::temp_dir(),
        tables: causeway_core::mapping::Tables::default(),
        vault: causeway_connect::vault::NoVault::shared(),
    };
    let config = Config::parse(&toml::from_str(&table).expect("valid TOML")).expect("a valid configuration");
    Box::new(Proca::new(&context, config).expect("a source"))
}

fn run(source: Box<dyn Source>, inbox: &Arc<Inbox>) -> Running {
    let health = Arc::new(HealthLog {
        state: watch::Sender::new(None),
        gauges: watch::Sender::default(),
        counts: Mutex::default(),
        warnings: watch::Sender::default(),
    });
    let stop = Stop::new();
    let (accept, reported, stop_it) = (inbox.clone(), health.clone(), stop.clone());
    let ended = tokio::spawn(async move {
        source
            .run(accept, reported, stop_it)
            .await
            .expect("it never gives up");
    });
    Running { health, stop, ended }
}

/// The reason for which a check fails.
async fn refusal_of_check(source: Box<dyn Source>) -> String {
    match within_limit("it is checked", source.check()).await {
        Err(CheckError::Refused(reason)) => reason,
        other => panic!("not refused: {other:?}"),
    }
}
