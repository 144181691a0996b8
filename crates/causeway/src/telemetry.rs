//! Metrics for Prometheus, and logs. Invariant: neither has personal data. Labels are names from the configuration and
//! words from the code.

use std::{collections::BTreeMap, sync::atomic::AtomicU64, time::Duration};

use causeway_core::{
    clock::Timestamp,
    delivery::Next,
    destination::AttemptResult,
    id::Name,
    source::{Health, SourceState},
    store::{InboxState, Overview, StoreHealth},
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Source {
    source: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceWord {
    source: String,
    /// State, event or gauge name: a word from the code.
    what: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Destination {
    destination: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DestinationReason {
    destination: String,
    /// `http_503`, or the outcome if there is no status.
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    source: String,
    status: u16,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    reason: &'static str,
}

type Seconds = Gauge<f64, AtomicU64>;

/// All metrics, and the page that shows them.
pub struct Metrics {
    registry: Registry,
    accepted: Family<Source, Counter>,
    duplicates: Family<Source, Counter>,
    answered: Family<Answer, Counter>,
    answer_time: Histogram,
    broken: Family<Why, Counter>,
    processed: Family<SourceWord, Counter>,
    lag: Family<Source, Seconds>,
    commit: Histogram,
    call: Family<Destination, Histogram, fn() -> Histogram>,
    delivered: Family<Destination, Counter>,
    retried: Family<DestinationReason, Counter>,
    dead: Family<DestinationReason, Counter>,
    skipped: Family<Destination, Counter>,
    circuit_open: Family<Destination, Gauge>,
    halted: Family<Destination, Gauge>,
    source_gauge: Family<SourceWord, Gauge>,
    source_event: Family<SourceWord, Counter>,
    source_up: Family<Source, Gauge>,
    inbox_waiting: Family<Source, Gauge>,
    inbox_oldest: Family<Source, Seconds>,
    inbox_dead: Family<Source, Gauge>,
    after_erasure: Family<SourceWord, Gauge>,
    waiting: Family<Destination, Gauge>,
    retrying: Family<Destination, Gauge>,
    oldest: Family<Destination, Seconds>,
    dead_now: Family<Destination, Gauge>,
    store_bytes: Gauge,
    store_free: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Upper bounds of the histograms' buckets, in seconds.
const BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
];

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

impl Metrics {
    #[expect(clippy::too_many_lines, reason = "one line per metric")]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("causeway");
        let r = &mut registry;
        macro_rules! figure {
            ($name:literal, $help:literal) => {
                figure!($name, $help, Default::default())
            };
            ($name:literal, $help:literal, $metric:expr) => {{
                let metric = $metric;
                r.register($name, $help, Clone::clone(&metric));
                metric
            }};
        }
        let accepted = figure!("accepted", "Messages stored, including duplicates");
        let duplicates = figure!("duplicates", "Messages recognised as duplicates");
        let answered = figure!("ingest_answers", "Responses of the HTTP listener");
        let broken = figure!(
            "ingest_broken_connections",
            "Connections to the listener that ended with an error"
        );
        let processed = figure!("processed", "Messages processed, by the resulting state");
        let delivered = figure!("delivered", "Deliveries that the destination confirmed");
        let retried = figure!("retried", "Failed attempts that will be repeated");
        let dead = figure!("dead", "Deliveries given up");
        let skipped = figure!(
            "skipped",
            "Deliveries not sent: consent does not allow it, or a newer one replaced them"
        );
        let circuit_open = figure!(
            "circuit_open",
            "1 while the destination rests because every attempt failed"
        );
        let halted = figure!("halted", "1 while the destination is halted");
        let source_gauge = figure!("source_depth", "Messages in the broker's queues");
        let source_event = figure!("source_events", "Reconnects, cancellations and the like");
        let source_up = figure!("source_up", "1 while messages can arrive");
        let inbox_waiting = figure!("inbox_waiting", "Messages waiting to be processed");
        let inbox_dead = figure!("inbox_dead", "Dead messages");
        let after_erasure = figure!(
            "after_erasure",
            "Messages that name erased people, since the store was created: turned_away, began_anew"
        );
        let waiting = figure!("waiting", "Waiting deliveries");
        let retrying = figure!("retrying", "Waiting deliveries that failed at least once");
        let dead_now = figure!("dead_deliveries", "Deliveries that are dead now");
        let store_bytes = figure!("store_bytes", "Size of the database with its log");
        let store_free = figure!("store_free_bytes", "Free space on the store's disk");
        macro_rules! seconds {
            ($name:literal, $help:literal, $metric:expr) => {{
                let metric = $metric;
                r.register_with_unit($name, $help, Unit::Seconds, Clone::clone(&metric));
                metric
            }};
        }
        let lag = seconds!(
            "lag",
            "Time from the event to its processing, for the last message",
            Family::default()
        );
        let answer_time = seconds!(
            "ingest_answer_duration",
            "Time from a request to its response",
            histogram()
        );
        let commit = seconds!(
            "commit_duration",
            "Time to write a batch of messages to disk",
            histogram()
        );
        let call = seconds!(
            "call_duration",
            "Time of a call to a destination",
            Family::new_with_constructor(histogram as fn() -> _)
        );
        let inbox_oldest = seconds!(
            "inbox_oldest_age",
            "Age of the oldest message waiting to be processed",
            Family::default()
        );
        let oldest = seconds!(
            "oldest_waiting_age",
            "Age of the oldest waiting delivery",
            Family::default()
        );
        Self {
            registry,
            accepted,
            duplicates,
            answered,
            answer_time,
            broken,
            processed,
            lag,
            commit,
            call,
            delivered,
            retried,
            dead,
            skipped,
            circuit_open,
            halted,
            source_gauge,
            source_event,
            source_up,
            inbox_waiting,
            inbox_oldest,
            inbox_dead,
            after_erasure,
            waiting,
            retrying,
            oldest,
            dead_now,
            store_bytes,
            store_free,
        }
    }

    pub fn committed(&self, took: Duration) {
        self.commit.observe(took.as_secs_f64());
    }

    pub fn accepted(&self, name: &Name, duplicate: bool) {
        if duplicate {
            self.repeated(name);
        }
        self.accepted.get_or_create(&source(name)).inc();
    }

    /// A message was recognised as a duplicate, when it was accepted or when it was processed.
    pub fn repeated(&self, name: &Name) {
        self.duplicates.get_or_create(&source(name)).inc();
    }

    pub fn ingest_answered(&self, name: &str, status: u16, reason: &'static str, took: Duration) {
        self.answered
            .get_or_create(&Answer {
                source: name.to_owned(),
                status,
                reason,
            })
            .inc();
        self.answer_time.observe(took.as_secs_f64());
    }

    pub fn ingest_connection_broken(&self, reason: &'static str) {
        self.broken.get_or_create(&Why { reason }).inc();
    }

    pub fn processed(&self, name: &Name, state: InboxState, lag_s: Option<f64>) {
        let label = SourceWord {
            source: name.to_string(),
            what: state.as_str(),
        };
        self.processed.get_or_create(&label).inc();
        if let Some(lag) = lag_s {
            self.lag.get_or_create(&source(name)).set(lag);
        }
    }

    pub fn skipped(&self, name: &Name, deliveries: u32) {
        if deliveries > 0 {
            self.skipped
                .get_or_create(&destination(name))
                .inc_by(u64::from(deliveries));
        }
    }

    pub fn called(&self, name: &Name, took_ms: u32) {
        self.call
            .get_or_create(&destination(name))
            .observe(f64::from(took_ms) / 1_000.0);
    }

    pub fn attempted(&self, name: &Name, ending: &AttemptResult, next: &Next) {
        let label = || DestinationReason {
            destination: name.to_string(),
            reason: ending.status.map_or_else(
                || ending.outcome.as_str().to_owned(),
                |status| format!("http_{status}"),
            ),
        };
        match next {
            Next::Delivered => self.delivered.get_or_create(&destination(name)).inc(),
            Next::Skipped => self.skipped.get_or_create(&destination(name)).inc(),
            Next::Dead => self.dead.get_or_create(&label()).inc(),
            Next::Waiting { .. } | Next::Halted => self.retried.get_or_create(&label()).inc(),
        };
    }

    pub fn circuit(&self, name: &Name, open: bool) {
        self.circuit_open
            .get_or_create(&destination(name))
            .set(i64::from(open));
    }

    /// Whether this destination rests after repeated failures.
    pub fn circuit_is_open(&self, name: &Name) -> bool {
        self.circuit_open.get_or_create(&destination(name)).get() != 0
    }

    pub fn halted(&self, name: &Name, halted: bool) {
        self.halted
            .get_or_create(&destination(name))
            .set(i64::from(halted));
    }

    pub fn store(&self, health: &StoreHealth) {
        self.store_bytes.set(signed(health.bytes));
        if let Some(free) = health.free_bytes {
            self.store_free.set(signed(free));
        }
    }

    /// The page for Prometheus, with the waiting rows as `overview` counts them.
    pub fn page(&self, overview: &Overview, now: Timestamp) -> String {
        let age = |at: Option<Timestamp>| at.map_or(0.0, |at| now.duration_since(at).as_secs_f64().max(0.0));
        for (name, counts) in &overview.sources {
            let label = source(name);
            self.inbox_waiting.get_or_create(&label).set(signed(counts.new));
            self.inbox_dead.get_or_create(&label).set(signed(counts.dead));
            self.inbox_oldest
                .get_or_create(&label)
                .set(age(counts.oldest_new_at));
            for (what, count) in [
                ("turned_away", counts.turned_away),
                ("began_anew", counts.began_anew),
            ] {
                let source = name.to_string();
                self.after_erasure
                    .get_or_create(&SourceWord { source, what })
                    .set(signed(count));
            }
        }
        for (name, counts) in &overview.destinations {
            let label = destination(name);
            self.waiting.get_or_create(&label).set(signed(counts.waiting));
            self.retrying.get_or_create(&label).set(signed(counts.retrying));
            self.dead_now.get_or_create(&label).set(signed(counts.dead));
            self.oldest
                .get_or_create(&label)
                .set(age(counts.oldest_waiting_at));
        }
        let mut page = String::new();
        match encode(&mut page, &self.registry) {
            Ok(()) => page,
            Err(error) => format!("# could not write the metrics: {error}\n"),
        }
    }
}

fn source(name: &Name) -> Source {
    Source {
        source: name.to_string(),
    }
}

fn destination(name: &Name) -> Destination {
    Destination {
        destination: name.to_string(),
    }
}

fn signed(figure: u64) -> i64 {
    i64::try_from(figure).unwrap_or(i64::MAX)
}

/// The state of each source, for `/readyz`, the console and the metrics.
#[derive(Default)]
pub struct Sources {
    states: std::sync::Mutex<BTreeMap<Name, SourceState>>,
    /// (Source, subject) → what a person should look at although the source works.
    warnings: std::sync::Mutex<BTreeMap<(Name, &'static str), String>>,
}

impl Sources {
    pub fn states(&self) -> BTreeMap<Name, SourceState> {
        self.states
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    /// In the order of the sources' names.
    pub fn warnings(&self) -> Vec<(Name, String)> {
        let warnings = self
            .warnings
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let all = warnings.iter();
        all.map(|((name, _), warning)| (Name::clone(name), warning.clone()))
            .collect()
    }
}

/// Where one source reports its state.
pub struct SourceHealth {
    pub name: Name,
    pub sources: std::sync::Arc<Sources>,
    pub metrics: std::sync::Arc<Metrics>,
}

impl Health for SourceHealth {
    fn set(&self, state: SourceState) {
        let up = matches!(state, SourceState::Running);
        self.metrics
            .source_up
            .get_or_create(&source(&self.name))
            .set(i64::from(up));
        let mut states = self
            .sources
            .states
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let before = states.insert(Name::clone(&self.name), state.clone());
        drop(states);
        if before.as_ref() == Some(&state) {
            return;
        }
        match state {
            SourceState::Connecting => tracing::info!(source = %self.name, "source {} connects", self.name),
            SourceState::Running => tracing::info!(source = %self.name, "source {} runs", self.name),
            SourceState::Failing { reason } => {
                tracing::warn!(source = %self.name, reason, "source {} fails; it keeps trying", self.name);
            }
            SourceState::Halted { reason } => {
                tracing::error!(source = %self.name, reason, "source {} is halted until you fix the cause", self.name);
            }
        }
    }

    fn gauge(&self, name: &'static str, value: i64) {
        let label = SourceWord {
            source: self.name.to_string(),
            what: name,
        };
        self.metrics.source_gauge.get_or_create(&label).set(value);
    }

    fn count(&self, name: &'static str) {
        let label = SourceWord {
            source: self.name.to_string(),
            what: name,
        };
        self.metrics.source_event.get_or_create(&label).inc();
    }

    fn warn(&self, about: &'static str, warning: Option<String>) {
        let key = (Name::clone(&self.name), about);
        let mut warnings = self
            .sources
            .warnings
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let before = match &warning {
            Some(warning) => warnings.insert(key, warning.clone()),
            None => warnings.remove(&key),
        };
        drop(warnings);
        match warning {
            Some(reason) if before.as_ref() != Some(&reason) => {
                tracing::warn!(source = %self.name, reason, "source {} needs attention", self.name);
            }
            None if before.is_some() => {
                tracing::info!(source = %self.name, "source {} no longer needs attention ({about})", self.name);
            }
            _ => {}
        }
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// Writes the log to standard error, in colours only on a terminal. `CAUSEWAY_LOG` (`warn`, `causeway=debug`) overrides `level`.
pub fn start_log(format: LogFormat, level: &str) {
    use std::io::IsTerminal as _;

    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("CAUSEWAY_LOG").unwrap_or_else(|_| {
        // The AMQP client reports every lost connection as an error of its own; the source says it better.
        EnvFilter::new(format!("{level},lapin=off"))
    });
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        // It would report a log that cannot be written (its disk is full) on standard error, which is that log, and
        // panic where the line was logged: in the middle of a request.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_target(false).init(),
        LogFormat::Json => log.json().init(),
    }
}
