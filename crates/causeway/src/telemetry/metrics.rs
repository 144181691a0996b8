//! The metrics, and the page that shows them to Prometheus.

use std::{sync::atomic::AtomicU64, time::Duration};

use causeway_core::{
    clock::Timestamp,
    delivery::Next,
    destination::AttemptResult,
    id::Name,
    store::{InboxState, Overview, StoreHealth},
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Metric, Registry, Unit},
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
type Durations = Family<Destination, Histogram, fn() -> Histogram>;

/// Makes the struct and its registration from one table: field, type, first value, name (Prometheus also sees the prefix
/// `causeway_`, and `_total` for counters), help text.
macro_rules! metrics {
    ($($field:ident: $type:ty = $first:expr, $name:literal, $help:literal;)*) => {
        /// All metrics.
        pub struct Metrics {
            registry: Registry,
            $($field: $type,)*
        }

        impl Metrics {
            pub fn new() -> Self {
                let mut registry = Registry::with_prefix("causeway");
                $(
                    let $field: $type = $first;
                    register(&mut registry, $name, $help, Clone::clone(&$field));
                )*
                Self { registry, $($field,)* }
            }
        }
    };
}

// docs/operating.md explains each of them to operators.
#[rustfmt::skip]
metrics! {
    accepted: Family<Source, Counter> = Family::default(), "accepted", "Messages stored, including duplicates";
    duplicates: Family<Source, Counter> = Family::default(), "duplicates", "Messages recognised as duplicates";
    answered: Family<Answer, Counter> = Family::default(), "ingest_answers", "Responses of the HTTP listener";
    answer_time: Histogram = histogram(), "ingest_answer_duration_seconds", "Time from a request to its response";
    broken: Family<Why, Counter> = Family::default(), "ingest_broken_connections", "Connections to the listener that ended with an error";
    commit: Histogram = histogram(), "commit_duration_seconds", "Time to write a batch of messages to disk";
    processed: Family<SourceWord, Counter> = Family::default(), "processed", "Messages processed, by the resulting state";
    lag: Family<Source, Seconds> = Family::default(), "lag_seconds", "Time from the event to its processing, for the last message";
    inbox_waiting: Family<Source, Gauge> = Family::default(), "inbox_waiting", "Messages waiting to be processed";
    inbox_oldest: Family<Source, Seconds> = Family::default(), "inbox_oldest_age_seconds", "Age of the oldest message waiting to be processed";
    inbox_dead: Family<Source, Gauge> = Family::default(), "inbox_dead", "Dead messages";
    after_erasure: Family<SourceWord, Gauge> = Family::default(), "after_erasure", "Messages that name erased people, since the store was created: turned_away, began_anew";
    source_up: Family<Source, Gauge> = Family::default(), "source_up", "1 while messages can arrive";
    source_gauge: Family<SourceWord, Gauge> = Family::default(), "source_depth", "Messages in the broker's queues";
    source_event: Family<SourceWord, Counter> = Family::default(), "source_events", "Reconnects, cancellations and the like";
    waiting: Family<Destination, Gauge> = Family::default(), "waiting", "Waiting deliveries";
    retrying: Family<Destination, Gauge> = Family::default(), "retrying", "Waiting deliveries that failed at least once";
    oldest: Family<Destination, Seconds> = Family::default(), "oldest_waiting_age_seconds", "Age of the oldest waiting delivery";
    call: Durations = Family::new_with_constructor(histogram as fn() -> _), "call_duration_seconds", "Time of a call to a destination";
    delivered: Family<Destination, Counter> = Family::default(), "delivered", "Deliveries that the destination confirmed";
    retried: Family<DestinationReason, Counter> = Family::default(), "retried", "Failed attempts that will be repeated";
    dead: Family<DestinationReason, Counter> = Family::default(), "dead", "Deliveries given up";
    dead_now: Family<Destination, Gauge> = Family::default(), "dead_deliveries", "Deliveries that are dead now";
    skipped: Family<Destination, Counter> = Family::default(), "skipped", "Deliveries not sent: consent does not allow it, or a newer one replaced them";
    circuit_open: Family<Destination, Gauge> = Family::default(), "circuit_open", "1 while the destination rests because every attempt failed";
    halted: Family<Destination, Gauge> = Family::default(), "halted", "1 while the destination is halted";
    store_bytes: Gauge = Gauge::default(), "store_bytes", "Size of the database with its log";
    store_free: Gauge = Gauge::default(), "store_free_bytes", "Free space on the store's disk";
}

/// A name that ends with `_seconds` also gets this unit.
fn register(registry: &mut Registry, name: &str, help: &str, metric: impl Metric) {
    match name.strip_suffix("_seconds") {
        Some(name) => registry.register_with_unit(name, help, Unit::Seconds, metric),
        None => registry.register(name, help, metric),
    }
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

    pub(super) fn source_up(&self, name: &Name, up: bool) {
        self.source_up.get_or_create(&source(name)).set(i64::from(up));
    }

    pub(super) fn source_gauge(&self, name: &Name, what: &'static str, value: i64) {
        self.source_gauge.get_or_create(&word(name, what)).set(value);
    }

    pub(super) fn source_event(&self, name: &Name, what: &'static str) {
        self.source_event.get_or_create(&word(name, what)).inc();
    }

    pub fn processed(&self, name: &Name, state: InboxState, lag_s: Option<f64>) {
        self.processed.get_or_create(&word(name, state.as_str())).inc();
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
            Next::Waiting { .. } | Next::Suspected { .. } | Next::Halted | Next::Postponed => {
                self.retried.get_or_create(&label()).inc()
            }
            // Neither ended nor failed.
            Next::Pending { .. } => 0,
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
                self.after_erasure
                    .get_or_create(&word(name, what))
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

fn word(name: &Name, what: &'static str) -> SourceWord {
    SourceWord {
        source: name.to_string(),
        what,
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
