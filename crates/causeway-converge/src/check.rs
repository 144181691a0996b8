//! Compares the receivers' data with the oracle.

mod vendor;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    time::{Duration, Instant},
};

use crate::{
    config,
    drive::{Batch, Seen, Sent},
    message::{Message, Word},
    oracle::{Arrival, Look, Oracle, Verdict},
    receiver::Call,
    vendors::Held,
    world::{Destination, DestinationKind, EPOCHS, Filter, History, Hook, Policy, Settings, SourceKind},
};

/// Longest delay of the hub: a message counts if it was acknowledged longer ago. `docs/speed.md` has the measured figure.
const BOUND: Duration = Duration::from_secs(1);

/// Longest delay for messages that are not opt-outs: those that decline, or show that two addresses are one person's. They are
/// processed in order, and calls do not wait for them.
const BOUND_IN_TURN: Duration = Duration::from_secs(10);

/// The input of a verdict: the address and the messages about it, the epoch, and the state of each message.
type Question = (String, usize, Vec<(Look, bool)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// At the end the receiver may mail an address, but the oracle forbids it.
    StaysSubscribed,
    /// At the end the receiver lacks a person whom it should have.
    NotSubscribed,
    /// A request started with a subscription that the oracle forbade at that moment.
    ForbiddenRequest,
    /// A destination has a person of whom no message passed its filter.
    PastTheFilter,
    /// A vendor lacks the contact of a person whom it should have.
    Lost,
    /// A vendor has several events for one action.
    EventTwice,
    /// A vendor lacks the event for an action.
    EventMissing,
}

/// A difference between a receiver and the oracle.
#[derive(Debug, Clone)]
pub struct Finding {
    pub kind: Kind,
    pub space: usize,
    pub destination: usize,
    pub address: String,
    pub details: Vec<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            Kind::StaysSubscribed => "the receiver still has as subscribed, against the oracle,",
            Kind::NotSubscribed => "the receiver does not have as subscribed, against the oracle,",
            Kind::ForbiddenRequest => "a request subscribed, while the oracle forbade it,",
            Kind::PastTheFilter => "the receiver has, although nothing passed the filter,",
            Kind::Lost => "the receiver does not have the contact, against the oracle,",
            Kind::EventTwice => "the receiver has two events for one action,",
            Kind::EventMissing => "the receiver does not have the event for an action,",
        };
        write!(
            out,
            "{what} {} (workspace {}, destination {})",
            self.address, self.space, self.destination
        )?;
        self.details
            .iter()
            .try_for_each(|line| write!(out, "\n    {line}"))
    }
}

/// Counts of the oracle's decisions, which show that a run tested something.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    pub allowed: u64,
    pub forbidden: u64,
    pub open: u64,
    /// The number of allowed people whom the receiver had to have.
    pub required: u64,
    pub calls: u64,
    pub messages: u64,
}

impl Counts {
    pub fn add(&mut self, other: Self) {
        self.allowed += other.allowed;
        self.forbidden += other.forbidden;
        self.open += other.open;
        self.required += other.required;
        self.calls += other.calls;
        self.messages += other.messages;
    }
}

/// Checks one history of a batch.
pub fn check(history: &History, seen: &Seen, batch: &Batch) -> (Vec<Finding>, Counts) {
    let mut findings = Vec::new();
    let mut counts = Counts {
        calls: seen.calls.len() as u64,
        messages: seen.sent.len() as u64,
        ..Counts::default()
    };
    for (number, space) in history.spaces.iter().enumerate() {
        let check = SpaceCheck::new(history, seen, batch, number);
        for (which, destination) in space.destinations.iter().enumerate() {
            check.at_the_end(which, destination, &mut findings, &mut counts);
            check.requests(which, destination, &mut findings);
        }
    }
    (findings, counts)
}

struct SpaceCheck<'a> {
    history: &'a History,
    seen: &'a Seen,
    batch: &'a Batch,
    number: usize,
    all: Oracle<'a>,
}

impl<'a> SpaceCheck<'a> {
    fn new(history: &'a History, seen: &'a Seen, batch: &'a Batch, number: usize) -> Self {
        let messages = history.messages.iter().filter(|message| message.space == number);
        let arrivals = messages.filter_map(|message| {
            let sent = seen.sent.get(&message.number)?;
            Some(arrival(history, message, sent))
        });
        let space = &history.spaces[number];
        let all = Oracle::new(
            &seen.place,
            space,
            &space.own_orgs[EPOCHS - 1],
            arrivals.collect(),
        );
        Self {
            history,
            seen,
            batch,
            number,
            all,
        }
    }

    /// Checks the receiver's own data after everything has ended.
    fn at_the_end(
        &self,
        which: usize,
        destination: &Destination,
        findings: &mut Vec<Finding>,
        counts: &mut Counts,
    ) {
        let Some(settings) = &destination.settings[EPOCHS - 1] else {
            return;
        };
        let key = config::key(&self.seen.place, self.number, which);
        let mut state: BTreeMap<&str, bool> = BTreeMap::new();
        for kept in self.seen.kept.iter().filter(|kept| kept.destination == key) {
            state.insert(&kept.address, kept.is_subscribed);
        }
        let held = self.seen.held.get(&key);
        // A person whom no message named must not be at the receiver either. A person without an address cannot be mailed.
        let addresses: BTreeSet<&str> = self
            .all
            .addresses()
            .into_iter()
            .chain(state.keys().copied().filter(|address| !address.is_empty()))
            .chain(held.into_iter().flat_map(Held::unmoved))
            .collect();
        for address in addresses {
            let is_subscribed = held.map_or_else(
                || state.get(address).copied().unwrap_or(false),
                |held| held.has(address),
            );
            let verdict = self.all.verdict(address, destination.purpose, settings.policy);
            let said = verdict;
            let verdict = held.map_or(verdict, |held| {
                self.at_vendor(held, address, destination.purpose, verdict)
            });
            // Not the messages forbid it: the person left at the vendor.
            let has_left = verdict != said && verdict == Verdict::Forbidden;
            let is_poisoned = held.is_some_and(|held| held.poisoned.contains(address));
            match verdict {
                Verdict::Allowed => counts.allowed += 1,
                Verdict::Forbidden => counts.forbidden += 1,
                Verdict::Open => counts.open += 1,
            }
            let kind = if verdict == Verdict::Forbidden
                && is_subscribed
                && (has_left || self.must_leave(destination, address))
            {
                Kind::StaysSubscribed
            } else if is_subscribed && !self.has_passed(destination, address) {
                Kind::PastTheFilter
            } else if verdict == Verdict::Allowed
                && !is_poisoned
                && self.must_arrive(destination, settings, address)
            {
                counts.required += 1;
                if is_subscribed {
                    if let Some(held) = held {
                        let mut lacks = |kind, details| {
                            findings.push(self.finding(kind, which, destination, address, details));
                        };
                        self.complete_at_vendor(held, destination, address, &mut lacks);
                    }
                    continue;
                }
                Kind::NotSubscribed
            } else {
                continue;
            };
            findings.push(self.finding(kind, which, destination, address, Vec::new()));
        }
        for (address, action) in held.into_iter().flat_map(Held::repeated) {
            let details = vec![format!("action {action}")];
            findings.push(self.finding(Kind::EventTwice, which, destination, address, details));
        }
    }

    /// Whether a person who must not be mailed must have been removed by now.
    fn must_leave(&self, destination: &Destination, address: &str) -> bool {
        if destination.is_mute() {
            return false;
        }
        let settings: Vec<&Settings> = destination.settings.iter().flatten().collect();
        // The documents do not say that a stricter policy removes people who were allowed before.
        let loosest = settings
            .iter()
            .map(|settings| settings.policy)
            .min()
            .unwrap_or(Policy::All);
        self.all.verdict(address, destination.purpose, loosest) == Verdict::Forbidden
    }

    /// Whether a message about the address ever passed a filter of any epoch.
    fn has_passed(&self, destination: &Destination, address: &str) -> bool {
        let space = &self.history.spaces[self.number];
        destination.settings.iter().flatten().any(|settings| {
            let passes = |arrival: &Arrival<'_>| {
                let says = &arrival.message.says;
                match &settings.filter {
                    Filter::None => true,
                    Filter::Campaigns(names) => says.campaign.is_some_and(|name| names.contains(&name)),
                    // Other messages than actions pass, too: a filter by action type never filters consent.
                    Filter::ActionTypes(names) => says.action_type.is_none_or(|name| names.contains(&name)),
                    Filter::Sources(names) => names.contains(&space.sources[arrival.message.source].name),
                }
            };
            self.all.about(address).any(passes)
        })
    }

    /// Whether a person who may be mailed must be at the receiver.
    fn must_arrive(&self, destination: &Destination, settings: &Settings, address: &str) -> bool {
        let is_steady = destination.settings.iter().all(|epoch| {
            epoch.as_ref().is_some_and(|epoch| {
                epoch.name == settings.name && epoch.filter == Filter::None && epoch.policy <= settings.policy
            })
        });
        // Correcting `own_orgs` lets earlier clicks count; the documents do not say when they are sent.
        let is_same_orgs = self.history.spaces[self.number]
            .own_orgs
            .windows(2)
            .all(|pair| pair[0] == pair[1]);
        let has_bad_value =
            destination.is_fragile() && self.all.about(address).any(|arrival| arrival.message.says.is_bad);
        let has_form = settings.policy != Policy::WithConsent
            || self.all.about(address).any(|arrival| {
                arrival.message.says.has_form
                    && arrival.look != Look::Begun
                    && arrival.message.says.address.as_deref() == Some(address)
            });
        is_steady
            && is_same_orgs
            && !destination.is_mute()
            && !destination.is_strict()
            && !has_bad_value
            && has_form
            && self.all.is_in_use(address)
    }

    /// Checks each request with a subscription at the time of its start.
    fn requests(&self, which: usize, destination: &Destination, findings: &mut Vec<Finding>) {
        let DestinationKind::Hook(hook) = destination.kind else {
            return;
        };
        let key = config::key(&self.seen.place, self.number, which);
        let subscribes = |call: &&Call| {
            call.destination == key
                && (call.change == "subscribe" || (hook == Hook::Mute && call.change.is_empty()))
        };
        let mut answers: HashMap<Question, Verdict> = HashMap::new();
        for call in self.seen.calls.iter().filter(subscribes) {
            let (epoch, process) = self.process(call.started);
            let Some(settings) = &destination.settings[epoch] else {
                continue;
            };
            let at_that_moment: Vec<Arrival<'a>> = self
                .all
                .about(&call.address)
                .filter_map(|arrival| {
                    let sent = self.seen.sent.get(&arrival.message.number)?;
                    if sent.started > call.started {
                        return None;
                    }
                    let known = self.known(sent).map(|known| known.max(process));
                    let is_first = arrival.message.says.words.iter().any(Word::is_opt_out);
                    let bound = if is_first { BOUND } else { BOUND_IN_TURN } + self.batch.lag;
                    Some(Arrival {
                        is_known: known.is_some_and(|known| known + bound < call.started),
                        look: look(sent, Some(call.started)),
                        ..*arrival
                    })
                })
                .collect();
            let looks = at_that_moment
                .iter()
                .map(|arrival| (arrival.look, arrival.is_known));
            let state: Vec<(Look, bool)> = looks.collect();
            let numbers = at_that_moment.iter().map(|arrival| arrival.message.number);
            let numbers: Vec<_> = numbers.collect();
            let place = format!("{} {:?}", call.address, numbers);
            let verdict = *answers.entry((place, epoch, state)).or_insert_with(|| {
                let orgs = &self.history.spaces[self.number].own_orgs[epoch];
                let oracle = self.all.at(orgs, at_that_moment.clone());
                let verdict =
                    |oracle: &Oracle<'_>| oracle.verdict(&call.address, destination.purpose, settings.policy);
                // Unprocessed messages do not identify people either.
                match verdict(&oracle) {
                    Verdict::Forbidden => verdict(&oracle.of_known_people()),
                    decided => decided,
                }
            });
            if verdict == Verdict::Forbidden {
                let last = at_that_moment
                    .iter()
                    .filter_map(|arrival| self.seen.sent.get(&arrival.message.number))
                    .map(|sent| sent.taken)
                    .max();
                let late = last.map_or(0, |last| call.started.saturating_duration_since(last).as_millis());
                let note = format!(
                    "the request started {late} ms after the last message about the address was taken (key {})",
                    call.key
                );
                let known: Vec<String> = at_that_moment
                    .iter()
                    .map(|arrival| {
                        format!(
                            "{}{}",
                            arrival.message.number,
                            if arrival.is_known { "" } else { "?" }
                        )
                    })
                    .collect();
                findings.push(self.finding(
                    Kind::ForbiddenRequest,
                    which,
                    destination,
                    &call.address,
                    vec![note, format!("messages so far: {}", known.join(", "))],
                ));
            }
        }
    }

    /// Epoch and start time of the process that sent a request.
    fn process(&self, at: Instant) -> (usize, Instant) {
        let process = self.batch.starts.iter().rev().find(|(start, _)| *start <= at);
        process.map_or((0, at), |(start, epoch)| (*epoch, *start))
    }

    /// When a message begins to count: at the response, or when its queue was seen to be processed.
    fn known(&self, sent: &Sent) -> Option<Instant> {
        if !sent.is_queued {
            return Some(sent.taken);
        }
        self.seen
            .drained
            .iter()
            .find(|(published_before, _)| *published_before > sent.taken)
            .map(|(_, known)| *known)
    }

    fn finding(
        &self,
        kind: Kind,
        which: usize,
        destination: &Destination,
        address: &str,
        mut details: Vec<String>,
    ) -> Finding {
        details.push(format!(
            "{:?} {:?}",
            destination.kind,
            destination.settings[EPOCHS - 1]
        ));
        details.extend(self.all.explain(address, destination.purpose));
        let key = config::key(&self.seen.place, self.number, which);
        let calls = self
            .seen
            .calls
            .iter()
            .filter(|call| call.destination == key && call.address == address);
        details.push(format!("key {key}"));
        if let Some(held) = self.seen.held.get(&key) {
            details.extend(held.explain(address));
        }
        let changes: Vec<&str> = calls.map(|call| call.change.as_str()).collect();
        if !changes.is_empty() {
            details.push(format!("calls: {}", changes.join(", ")));
        }
        Finding {
            kind,
            space: self.number,
            destination: which,
            address: address.to_owned(),
            details,
        }
    }
}

/// How far Proca's API had shown a message at a time, or at the end. It is uncertain while the hub may still be reading.
fn look(sent: &Sent, by: Option<Instant>) -> Look {
    let is_before = |moment: Instant| by.is_none_or(|by| moment < by);
    let is_processed = |moment: Instant| by.is_none_or(|by| moment + BOUND_IN_TURN < by);
    if sent.looked.is_some_and(is_processed) {
        Look::Ended
    } else if sent.shown.is_some_and(is_before) {
        Look::Begun
    } else {
        Look::Never
    }
}

fn arrival<'a>(history: &'a History, message: &'a Message, sent: &Sent) -> Arrival<'a> {
    let source = &history.spaces[message.space].sources[message.source];
    let together = match message.content {
        crate::message::Content::Row { file, .. } => Some(file),
        _ => None,
    };
    // A message at the broker may be received at any later time; all of these have dates of their own.
    let is_stamped = !matches!(source.kind, SourceKind::Proca { .. });
    Arrival {
        message,
        at: sent.at,
        stamped: if is_stamped { sent.at + sent.ahead } else { sent.at },
        order: message.number,
        together,
        look: look(sent, None),
        noticed: sent.noticed,
        is_known: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_the_api_are_known_at_certain_times() {
        let start = Instant::now();
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        let mut sent = Sent {
            started: start,
            taken: start,
            at: 0,
            ahead: 0,
            shown: None,
            looked: None,
            noticed: None,
            is_queued: false,
        };
        assert_eq!(look(&sent, None), Look::Never);
        sent.shown = Some(after(20));
        assert_eq!(look(&sent, None), Look::Begun);
        sent.looked = Some(after(21));
        assert_eq!(look(&sent, None), Look::Ended);
        assert_eq!(look(&sent, Some(after(20))), Look::Never, "it was shown later");
        assert_eq!(
            look(&sent, Some(after(30))),
            Look::Begun,
            "it may not be processed"
        );
        assert_eq!(look(&sent, Some(after(32))), Look::Ended);
    }
}
