//! What the documents say about who may be written to, computed from scratch from the list of messages.
//!
//! Written from the documents about Proca and consent, never from the program's rules. Where the documents leave
//! a choice, both readings are [`Doubt`]s: an answer counts only if all readings give it.

mod fact;
mod fold;
mod people;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::{
    message::{AtProca, Content, Message, Says, Word},
    wire::Place,
    world::{Org, Policy, Space},
};

pub use fact::Doubt;
use fact::{Fact, Kind};
use people::{People, Relevance};

/// A message and when it came. Milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    pub message: &'a Message,
    /// By the true clock.
    pub at: i64,
    /// By the hub's clock, which may be ahead.
    pub stamped: i64,
    /// Its place in the order of arrival. Rows of one file share [`Self::together`].
    pub order: usize,
    pub together: Option<usize>,
    /// How far Proca's API has shown it, if nothing else does.
    pub look: Look,
    /// The last moment at which the hub may have noticed what the API no longer shows, by its own clock.
    pub noticed: Option<i64>,
    /// Whether what it says against writing counts: it was processed long enough ago.
    pub is_known: bool,
}

/// How far a look at Proca's API has shown a message that came no other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Look {
    /// No list had it: nothing of it can be known.
    Never,
    /// A list had it: it may be known.
    Begun,
    /// A list that had it was read to its end.
    Ended,
}

/// What may be concluded about an address at a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    Forbidden,
    /// The documents do not decide it.
    Open,
}

/// Everything that the answer for one workspace depends on.
pub struct Oracle<'a> {
    place: &'a Place,
    space: &'a Space,
    own_orgs: &'a [Org],
    arrivals: Vec<Arrival<'a>>,
    people: People,
    /// Pages from which actions were seen, with their namespace.
    pages: BTreeSet<(&'static str, u64)>,
}

impl<'a> Oracle<'a> {
    /// `arrivals` of one workspace.
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

    /// The same workspace at an earlier moment, of which only some messages are looked at.
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

    /// The same, with those as one person whom messages join that were processed long enough ago.
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

    /// All addresses that were ever mentioned.
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

    /// What counts for an address, in words, for a report.
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

    /// Whether this is the only address that the person who uses it ever used, or clearly the newest.
    pub fn is_in_use(&self, address: &str) -> bool {
        self.people.is_in_use(address)
    }

    /// Messages that name this address, or whose id or reference belongs to it.
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

/// Without what only Proca's API shows and no look has met.
fn seen(mut arrivals: Vec<Arrival<'_>>) -> Vec<Arrival<'_>> {
    arrivals.retain(|arrival| match &arrival.message.content {
        Content::Api(AtProca::Lost(_)) => arrival.look > Look::Never,
        Content::Api(AtProca::NeverAccepted(_)) => false,
        Content::Api(_) => arrival.look > Look::Never || arrival.noticed.is_some(),
        _ => true,
    });
    arrivals
}

/// Whose a page is, only actions say.
fn pages(space: &Space, arrivals: &[Arrival<'_>]) -> BTreeSet<(&'static str, u64)> {
    let mut pages = BTreeSet::new();
    // What only the API shows may stay unknown.
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
