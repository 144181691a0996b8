//! Computes the figures of the overview from the samples of the last minute. Pure.
//!
//! Each figure has a key. The page and the stream read it from the same map, so they cannot differ.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use causeway_core::{
    decode::follow_up::{ANSWERS, AUTOMATIONS},
    id::Name,
    source::SourceState,
    store::{DestinationCounts, SourceCounts},
};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Connector, ConsoleConfig,
    attention::{Attention, attention},
    chart::{Spark, curve, spark},
    format,
    live::Moment,
    pages::link,
};

/// Number of samples kept, one per second.
pub(crate) const RING: usize = 61;
/// The number of seconds over which a rate is averaged.
const RATE_WINDOW_S: usize = 5;

#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Picture {
    pub sources: Vec<Card>,
    pub destinations: Vec<Card>,
    /// Key → text. Keys: `s/NAME/…` of a source, `d/NAME/…` of a destination, `t/…` of all.
    pub figures: BTreeMap<String, String>,
    /// Key → class of the style sheet.
    pub marks: BTreeMap<String, &'static str>,
    pub sparks: BTreeMap<String, Spark>,
    pub attention: Vec<Attention>,
    /// Changes when a card appears or disappears, so that the browser loads the page again.
    pub shape: String,
}

/// A source or destination in the flow chart.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Card {
    /// `s/NAME` or `d/NAME`
    pub key: String,
    pub name: Name,
    pub kind: String,
    pub workspace: Name,
    /// The link to its deliveries or messages.
    pub href: String,
    /// The curve to or from the middle.
    pub curve: String,
}

/// Computes the picture. `ring` has the samples of the last minute, oldest first.
pub(crate) fn picture(ring: &VecDeque<Arc<Moment>>, config: &ConsoleConfig) -> Picture {
    let Some(now) = ring.back() else {
        return Picture::default();
    };
    let sources = connectors(&config.sources, now.overview.sources.keys());
    let destinations = connectors(&config.destinations, now.overview.destinations.keys());
    let count = (sources.len(), destinations.len());
    let mut out = Picture {
        sources: cards("s", sources, |at| curve(at, count.0, 0, 1)),
        destinations: cards("d", destinations, |at| curve(0, 1, at, count.1)),
        attention: attention(now, config),
        ..Picture::default()
    };
    let names = |cards: &[Card]| {
        cards
            .iter()
            .map(|card| card.name.to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    out.shape = format!("{} > {}", names(&out.sources), names(&out.destinations));
    let names: Vec<Name> = out.sources.iter().map(|card| Name::clone(&card.name)).collect();
    for name in &names {
        source(&mut out, name, ring, now);
    }
    let names: Vec<Name> = out
        .destinations
        .iter()
        .map(|card| Name::clone(&card.name))
        .collect();
    for name in &names {
        let is_configured = config.destinations.iter().any(|known| known.name == *name);
        destination(&mut out, name, is_configured, ring, now);
    }
    totals(&mut out, ring, now);
    out
}

/// The configured ones first, then those that only the store has.
fn connectors<'a>(configured: &[Connector], seen: impl Iterator<Item = &'a Name>) -> Vec<Connector> {
    let mut all = configured.to_vec();
    for name in seen {
        if !all.iter().any(|connector| connector.name == *name) {
            let kind = match &**name {
                ANSWERS => "responses of destinations",
                AUTOMATIONS => "timers and scheduled automations",
                _ => "not configured",
            };
            all.push(Connector {
                name: Name::clone(name),
                kind: kind.to_owned(),
                workspace: "".into(),
            });
        }
    }
    all
}

fn cards(group: &str, connectors: Vec<Connector>, curve: impl Fn(usize) -> String) -> Vec<Card> {
    let card = |(at, connector): (usize, Connector)| Card {
        key: format!("{group}/{}", connector.name),
        href: match group {
            "s" => link("/messages", &[("source", Some(&connector.name))]),
            _ => link("/deliveries", &[("destination", Some(&connector.name))]),
        },
        name: connector.name,
        kind: connector.kind,
        workspace: connector.workspace,
        curve: curve(at),
    };
    connectors.into_iter().enumerate().map(card).collect()
}

impl Picture {
    fn figure(&mut self, key: &str, name: &str, text: impl Into<String>) {
        self.figures.insert(format!("{key}/{name}"), text.into());
    }

    /// Adds a number that is highlighted unless it is zero.
    fn number(&mut self, key: &str, name: &str, number: u64) {
        self.figure(key, name, format::count(number));
        self.marks
            .insert(format!("{key}/{name}"), if number == 0 { "none" } else { "some" });
    }

    /// Adds a rate with the speed of its animation, and its chart of the last minute.
    fn rate(&mut self, key: &str, ring: &VecDeque<Arc<Moment>>, total: impl Fn(&Moment) -> u64) {
        let now = rate(ring, RATE_WINDOW_S, &total);
        self.figure(key, "rate", format::rate(now));
        self.marks.insert(format!("{key}/flow"), speed(now));
        self.sparks
            .insert(key.to_owned(), spark(&rates(ring, &total), slots()));
    }

    fn difference(&mut self, key: &str, difference: i128) {
        let is_off = difference != 0;
        self.figure(
            key,
            "difference",
            if is_off {
                format!("{difference:+}")
            } else {
                "0".to_owned()
            },
        );
        self.marks
            .insert(format!("{key}/difference"), if is_off { "some" } else { "none" });
    }
}

fn source(out: &mut Picture, name: &Name, ring: &VecDeque<Arc<Moment>>, now: &Moment) {
    let key = format!("s/{name}");
    let empty = SourceCounts::default();
    let counts = now.overview.sources.get(name).unwrap_or(&empty);
    for (word, number) in [
        ("received", counts.received),
        ("new", counts.new),
        ("done", counts.done),
        ("skipped", counts.skipped),
        ("dead", counts.dead),
        ("duplicate", counts.duplicate),
    ] {
        out.number(&key, word, number);
    }
    out.difference(&key, source_difference(counts));
    out.figure(&key, "oldest", oldest(counts.oldest_new_at, now.at));
    out.rate(&key, ring, |moment| {
        moment
            .overview
            .sources
            .get(name)
            .map_or(0, |counts| counts.received)
    });
    let (state, mark) = match now.states.get(name) {
        None if [ANSWERS, AUTOMATIONS].contains(&&**name) => ("the hub's own", "idle"),
        None => ("listening", "idle"),
        Some(SourceState::Connecting) => ("connecting", "busy"),
        Some(SourceState::Running) => ("running", "good"),
        Some(SourceState::Failing { .. }) => ("failing", "warn"),
        Some(SourceState::Halted { .. }) => ("halted", "bad"),
    };
    out.figure(&key, "state", state);
    out.marks.insert(key, mark);
}

fn destination(
    out: &mut Picture,
    name: &Name,
    is_configured: bool,
    ring: &VecDeque<Arc<Moment>>,
    now: &Moment,
) {
    let key = format!("d/{name}");
    let empty = DestinationCounts::default();
    let counts = now.overview.destinations.get(name).unwrap_or(&empty);
    for (word, number) in [
        ("planned", counts.planned),
        ("delivered", counts.delivered),
        ("waiting", counts.waiting),
        ("retrying", counts.retrying),
        ("skipped", counts.skipped),
        ("dead", counts.dead),
    ] {
        out.number(&key, word, number);
    }
    out.difference(&key, destination_difference(counts));
    out.figure(&key, "oldest", oldest(counts.oldest_waiting_at, now.at));
    out.rate(&key, ring, |moment| {
        moment
            .overview
            .destinations
            .get(name)
            .map_or(0, |counts| counts.delivered)
    });
    let (state, mark) = state(counts, is_configured, now.resting.contains(name));
    out.figure(&key, "state", state);
    out.marks.insert(key, mark);
}

/// A destination's state in words, and how it is marked.
fn state(counts: &DestinationCounts, is_configured: bool, is_resting: bool) -> (&'static str, &'static str) {
    if !is_configured {
        ("not configured", "warn")
    } else if counts.lane.halted.is_some() {
        ("halted", "bad")
    } else if counts.lane.paused {
        ("paused", "warn")
    } else if is_resting {
        ("resting", "warn")
    } else if counts.retrying > 0 {
        ("retrying", "warn")
    } else if counts.dead > 0 {
        ("has dead deliveries", "bad")
    } else if counts.waiting > 0 {
        ("sending", "good")
    } else {
        ("up to date", "good")
    }
}

fn totals(out: &mut Picture, ring: &VecDeque<Arc<Moment>>, now: &Moment) {
    let in_all = |get: fn(&SourceCounts) -> u64| now.overview.sources.values().map(get).sum::<u64>();
    let out_all =
        |get: fn(&DestinationCounts) -> u64| now.overview.destinations.values().map(get).sum::<u64>();
    let dead_in = in_all(|counts| counts.dead);
    let dead_out = out_all(|counts| counts.dead);
    for (word, number) in [
        ("received", in_all(|counts| counts.received)),
        ("new", in_all(|counts| counts.new)),
        ("done", in_all(|counts| counts.done)),
        ("skipped", in_all(|counts| counts.skipped)),
        ("dead_in", dead_in),
        ("duplicate", in_all(|counts| counts.duplicate)),
        ("planned", out_all(|counts| counts.planned)),
        ("delivered", out_all(|counts| counts.delivered)),
        ("waiting", out_all(|counts| counts.waiting)),
        ("retrying", out_all(|counts| counts.retrying)),
        ("dead_out", dead_out),
        ("not_sent", out_all(|counts| counts.skipped)),
        ("dead", dead_in + dead_out),
        ("attention", out.attention.len() as u64),
    ] {
        out.number("t", word, number);
    }
    let oldest_new = now
        .overview
        .sources
        .values()
        .filter_map(|counts| counts.oldest_new_at)
        .min();
    let oldest_waiting = now
        .overview
        .destinations
        .values()
        .filter_map(|counts| counts.oldest_waiting_at)
        .min();
    out.figure("t", "oldest_new", oldest(oldest_new, now.at));
    out.figure("t", "oldest_waiting", oldest(oldest_waiting, now.at));
    out.rate("t/in", ring, |moment| {
        moment
            .overview
            .sources
            .values()
            .map(|counts| counts.received)
            .sum()
    });
    out.rate("t/out", ring, |moment| {
        moment
            .overview
            .destinations
            .values()
            .map(|counts| counts.delivered)
            .sum()
    });
    let waiting: Vec<f64> = ring.iter().map(|moment| waiting(moment)).collect();
    out.sparks
        .insert("t/waiting".to_owned(), spark(&waiting, slots()));
    verdict(out, now);
}

/// Adds the summary of the hub's state.
fn verdict(out: &mut Picture, now: &Moment) {
    let is_off = now
        .overview
        .sources
        .values()
        .any(|counts| source_difference(counts) != 0)
        || now
            .overview
            .destinations
            .values()
            .any(|counts| destination_difference(counts) != 0);
    out.figure(
        "t",
        "books",
        if is_off {
            "The books do not balance: run causeway audit"
        } else {
            "The books balance"
        },
    );
    out.marks
        .insert("t/books".to_owned(), if is_off { "bad" } else { "good" });
    out.marks.insert(
        "t".to_owned(),
        if out.attention.iter().any(|item| item.level == "bad") {
            "bad"
        } else if out.attention.is_empty() {
            "good"
        } else {
            "warn"
        },
    );
}

/// The difference between the messages received and the sum of their states; 0 if nothing was lost.
fn source_difference(counts: &SourceCounts) -> i128 {
    i128::from(counts.received)
        - [
            counts.new,
            counts.done,
            counts.skipped,
            counts.dead,
            counts.duplicate,
        ]
        .map(i128::from)
        .iter()
        .sum::<i128>()
}

fn destination_difference(counts: &DestinationCounts) -> i128 {
    i128::from(counts.planned)
        - [counts.waiting, counts.delivered, counts.skipped, counts.dead]
            .map(i128::from)
            .iter()
            .sum::<i128>()
}

fn oldest(at: Option<Timestamp>, now: Timestamp) -> String {
    at.map_or_else(|| "–".to_owned(), |at| format::age(now.duration_since(at)))
}

#[expect(clippy::cast_precision_loss, reason = "a point in a chart")]
fn waiting(moment: &Moment) -> f64 {
    moment
        .overview
        .destinations
        .values()
        .map(|counts| counts.waiting)
        .sum::<u64>() as f64
}

fn slots() -> u32 {
    u32::try_from(RING).unwrap_or(u32::MAX)
}

/// Events per second over the last `seconds` samples.
fn rate(ring: &VecDeque<Arc<Moment>>, seconds: usize, total: &impl Fn(&Moment) -> u64) -> f64 {
    let from = ring.len().saturating_sub(seconds + 1);
    match (ring.get(from), ring.back()) {
        (Some(first), Some(last)) => between(first, last, total),
        _ => 0.0,
    }
}

fn rates(ring: &VecDeque<Arc<Moment>>, total: &impl Fn(&Moment) -> u64) -> Vec<f64> {
    let pairs = ring.iter().zip(ring.iter().skip(1));
    pairs.map(|(first, last)| between(first, last, total)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a rate to look at")]
fn between(first: &Moment, last: &Moment, total: &impl Fn(&Moment) -> u64) -> f64 {
    let s = last.at.duration_since(first.at).as_secs_f64();
    if s <= 0.0 {
        return 0.0;
    }
    // Saturating, because a replayed dead row decreases the count.
    total(last).saturating_sub(total(first)) as f64 / s
}

/// The class for the speed of a flow, by the magnitude of its rate.
fn speed(per_s: f64) -> &'static str {
    match per_s {
        r if r < 0.05 => "still",
        r if r < 2.0 => "slow",
        r if r < 50.0 => "brisk",
        r if r < 1_000.0 => "fast",
        _ => "rapid",
    }
}

#[cfg(test)]
mod state_tests {
    use super::*;

    #[test]
    fn only_a_configured_destination_without_dead_deliveries_is_up_to_date() {
        let well = DestinationCounts::default();
        let dead = DestinationCounts {
            dead: 1,
            waiting: 1,
            ..DestinationCounts::default()
        };
        assert_eq!(state(&well, true, false), ("up to date", "good"));
        assert_eq!(state(&well, false, false), ("not configured", "warn"));
        assert_eq!(state(&dead, true, false), ("has dead deliveries", "bad"));
    }
}
