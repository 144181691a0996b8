//! Computes from the list of messages which addresses may be mailed according to the documents.
//!
//! It is written from the documents about Proca and consent, never from the program's rules. An open question is a [`Doubt`]
//! with two readings; a verdict counts only if all readings agree.

mod fact;
mod fold;
mod people;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::{
    message::{AtProca, Content, Message, Says, Word},
    wire::Place,
    world::{Org, Policy, SCANNER_WINDOW, Space},
};

pub use fact::Doubt;
use fact::{Fact, Kind};
use people::{People, Relevance};

/// A message and its arrival. Times are milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    pub message: &'a Message,
    /// By the true clock.
    pub at: i64,
    /// By the hub's clock, which may be ahead.
    pub stamped: i64,
    /// Its position in the order of arrival. Rows of one file share [`Self::together`].
    pub order: usize,
    pub together: Option<usize>,
    /// How far Proca's API has shown it, if it came no other way.
    pub look: Look,
    /// The last time at which the hub may have noticed that the API no longer shows an action, by its own clock.
    pub noticed: Option<i64>,
    /// Whether its opt-out counts, because it was processed long enough ago.
    pub is_known: bool,
}

/// How far a pass through Proca's API has shown a message that came no other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Look {
    /// No list had it, so the hub cannot know it.
    Never,
    /// A list had it, so the hub may know it.
    Begun,
    /// A list that had it was read completely, so the hub must know it.
    Ended,
}

/// The verdict about an address at a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    Forbidden,
    /// The documents do not decide it.
    Open,
}

/// All input for one workspace.
pub struct Oracle<'a> {
    place: &'a Place,
    space: &'a Space,
    own_orgs: &'a [Org],
    arrivals: Vec<Arrival<'a>>,
    people: People,
    /// Pages of the seen actions, with their namespace.
    pages: BTreeSet<(&'static str, u64)>,
}

impl<'a> Oracle<'a> {
    /// The input for one workspace with these arrivals.
    pub fn new(place: &'a Place, space: &'a Space, own_orgs: &'a [Org], arrivals: Vec<Arrival<'a>>) -> Self {
        let arrivals = seen(arrivals);
        let people = People::new(&arrivals);
        let pages = pages(space, &arrivals);
        Self {
            place,
            space,
            own_orgs,
            arrivals,
            people,
            pages,
        }
    }

    /// The same workspace at an earlier time, with only some of the messages.
    #[must_use]
    pub fn at(&self, own_orgs: &'a [Org], arrivals: Vec<Arrival<'a>>) -> Self {
        let arrivals = seen(arrivals);
        let people = People::new(&arrivals);
        Self {
            own_orgs,
            arrivals,
            people,
            pages: self.pages.clone(),
            ..*self
        }
    }

    /// The same, where only messages that were processed long enough ago join people.
    #[must_use]
    pub fn of_known_people(&self) -> Self {
        let known: Vec<Arrival<'a>> = self
            .arrivals
            .iter()
            .filter(|arrival| arrival.is_known)
            .copied()
            .collect();
        Self {
            people: People::new(&known),
            arrivals: self.arrivals.clone(),
            pages: self.pages.clone(),
            ..*self
        }
    }

    /// All addresses in messages.
    pub fn addresses(&self) -> BTreeSet<&str> {
        self.people.addresses()
    }

    pub fn verdict(&self, address: &str, purpose: &str, policy: Policy) -> Verdict {
        let facts = self.relevant(address, purpose);
        let doubts: Vec<Doubt> = fold::doubts(&facts);
        let (mut may, mut must) = (false, true);
        for readings in 0..1_u32 << doubts.len() {
            let reading: Vec<Doubt> = doubts
                .iter()
                .enumerate()
                .filter(|(bit, _)| readings >> bit & 1 == 1)
                .map(|(_, doubt)| *doubt)
                .collect();
            let (single, double) = fold::state(&facts, &reading);
            let allowed = if policy == Policy::DoubleOptIn {
                double
            } else {
                single
            };
            may |= allowed;
            must &= allowed;
        }
        match (may, must) {
            (true, true) => Verdict::Allowed,
            (false, _) => Verdict::Forbidden,
            (true, false) => Verdict::Open,
        }
    }

    /// Whether the person may have agreed, and surely agreed, more than five minutes after a time.
    pub fn agreed_after(&self, address: &str, purpose: &str, at: i64) -> (bool, bool) {
        /// Vendors' times may lack the milliseconds.
        const PRECISION_MS: i64 = 1_000;
        let facts = self.relevant(address, purpose);
        let until = at + SCANNER_WINDOW * 1000;
        let is_positive = |fact: &Fact| matches!(fact.kind, Kind::OptedIn | Kind::Clicked);
        let may = facts
            .iter()
            .any(|(fact, _)| is_positive(fact) && fact.time.max(fact.other_time) > until - PRECISION_MS);
        let counts = |positive: &Fact| {
            let is_before =
                |fact: &Fact| fact.time.max(fact.other_time) + SCANNER_WINDOW * 1000 < positive.time;
            facts.iter().all(|(fact, _)| is_positive(fact) || is_before(fact))
        };
        let must = facts.iter().any(|(fact, relevance)| {
            is_positive(fact)
                && *relevance == Relevance::Here
                && fact.doubts.is_empty()
                && fact.time > until + PRECISION_MS
                && counts(fact)
        });
        (may, must)
    }

    /// The facts that count for an address, in words, for a report.
    pub fn explain(&self, address: &str, purpose: &str) -> Vec<String> {
        let mut facts = self.relevant(address, purpose);
        facts.sort_by_key(|(fact, _)| (fact.time, fact.order));
        let line = |(fact, relevance): &(Fact, Relevance)| {
            let time = jiff::Timestamp::from_millisecond(fact.time).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
            format!(
                "{time:.0} {:?} by message {} ({relevance:?}, doubts {:?})",
                fact.kind, fact.number, fact.doubts
            )
        };
        facts.iter().map(line).collect()
    }

    fn relevant(&self, address: &str, purpose: &str) -> Vec<(Fact, Relevance)> {
        let mut found = Vec::new();
        for arrival in self.about(address) {
            for fact in fact::facts(self, arrival) {
                let is_for = fact.purpose == purpose || (fact.kind == Kind::Suppressed && purpose == "email");
                let is_against = fact.kind.is_negative() || fact.kind == Kind::Declined;
                if !is_for || (is_against && !arrival.is_known) {
                    continue;
                }
                let relevance = self.people.relevance(&fact, address, purpose);
                if relevance != Relevance::No {
                    found.push((fact, relevance));
                }
            }
        }
        found
    }

    /// Whether this is the person's only address, or clearly the newest one.
    pub fn is_in_use(&self, address: &str) -> bool {
        self.people.is_in_use(address)
    }

    /// The messages that name this address, or whose id or reference belongs to it.
    pub fn about(&self, address: &str) -> impl Iterator<Item = &Arrival<'a>> {
        let circle = self.people.circle(address);
        self.arrivals
            .iter()
            .filter(move |arrival| self.people.is_about(&arrival.message.says, &circle))
    }

    fn is_page_seen(&self, namespace: &'static str, page: u64) -> bool {
        self.pages.contains(&(namespace, page))
    }

    fn resolved(&self, says: &Says) -> Option<String> {
        self.people.resolved(says)
    }
}

/// Without messages that only Proca's API has and that no pass has shown.
fn seen(mut arrivals: Vec<Arrival<'_>>) -> Vec<Arrival<'_>> {
    arrivals.retain(|arrival| match &arrival.message.content {
        Content::Api(AtProca::Lost(_)) => arrival.look > Look::Never,
        Content::Api(AtProca::NeverAccepted(_)) => false,
        Content::Api(_) => arrival.look > Look::Never || arrival.noticed.is_some(),
        _ => true,
    });
    arrivals
}

/// Only actions name the organisation of a page.
fn pages(space: &Space, arrivals: &[Arrival<'_>]) -> BTreeSet<(&'static str, u64)> {
    let mut pages = BTreeSet::new();
    // A message that only the API shows may stay unknown.
    let is_sure = |arrival: &&Arrival<'_>| {
        arrival.look == Look::Ended || !matches!(arrival.message.content, Content::Api(_))
    };
    for arrival in arrivals.iter().filter(is_sure) {
        for word in &arrival.message.says.words {
            if let Word::Proca(statement) = word
                && !statement.is_event
                && statement.stage == "deliver"
                && !statement.is_test
            {
                pages.insert((
                    space.sources[arrival.message.source].kind.namespace(),
                    statement.page,
                ));
            }
        }
    }
    pages
}
