//! Finds the addresses that belong to one person.
//!
//! All users of an address share its consent, but stay separate people. An id that comes with a third address joins nobody.
//! Ids count within their namespace. The `contactRef` of `basic` contacts stands for one address.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    Arrival, Look,
    fact::{Fact, Kind},
};
use crate::message::{Content, Id, Says, When};

/// Maximum number of addresses of one id that belong to one person.
const MAX_ADDRESSES: usize = 2;

/// Messages within this time may be processed in another order, in milliseconds (`docs/consent.md`: ten seconds).
const IN_TURN_MS: i64 = 10_000;

/// Whether a statement counts for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relevance {
    No,
    /// The documents do not say whether it counts.
    Maybe,
    /// The person made it at another address.
    Person,
    /// It was made at this address.
    Here,
}

pub struct People {
    /// The addresses of an id, in order of arrival.
    addresses: BTreeMap<Id, Vec<String>>,
    ids: BTreeMap<String, BTreeSet<Id>>,
    references: BTreeMap<Id, String>,
    /// References whose address only Proca's API shows, in a list that the hub may not have read.
    doubtful: BTreeSet<Id>,
    all: BTreeSet<String>,
    /// When an id used an address, by order of arrival; `None` if a date of the sender counts.
    uses: BTreeMap<Id, Vec<(String, When, usize)>>,
    /// When an id first came with an address, in milliseconds since 1970.
    came: BTreeMap<(Id, String), i64>,
    /// The last message that names an address, by order of arrival.
    named: BTreeMap<String, usize>,
    /// Addresses in messages without an id and with a date of the sender.
    dated: BTreeSet<String>,
}

impl People {
    pub fn new(arrivals: &[Arrival<'_>]) -> Self {
        let mut people = Self {
            addresses: BTreeMap::new(),
            ids: BTreeMap::new(),
            references: BTreeMap::new(),
            doubtful: BTreeSet::new(),
            all: BTreeSet::new(),
            uses: BTreeMap::new(),
            came: BTreeMap::new(),
            named: BTreeMap::new(),
            dated: BTreeSet::new(),
        };
        for arrival in arrivals {
            let says = &arrival.message.says;
            let Some(address) = &says.address else { continue };
            let look = match arrival.message.content {
                Content::Api(_) => arrival.look,
                _ => Look::Ended,
            };
            // A message about an action that the API no longer shows names nobody; the action itself is known.
            if look == Look::Never {
                continue;
            }
            people.all.insert(address.clone());
            let last = people.named.entry(address.clone()).or_default();
            *last = arrival.order.max(*last);
            if let Some(reference) = &says.reference {
                if look == Look::Ended {
                    people.doubtful.remove(reference);
                } else if !people.references.contains_key(reference) {
                    people.doubtful.insert(reference.clone());
                }
                people.references.insert(reference.clone(), address.clone());
            }
            if let Some(id) = &says.id {
                let addresses = people.addresses.entry(id.clone()).or_default();
                if !addresses.contains(address) {
                    addresses.push(address.clone());
                    people.came.insert((id.clone(), address.clone()), arrival.at);
                }
                people.ids.entry(address.clone()).or_default().insert(id.clone());
                people
                    .uses
                    .entry(id.clone())
                    .or_default()
                    .push((address.clone(), says.at, arrival.order));
            } else if says.at != When::Arrival {
                people.dated.insert(address.clone());
            }
        }
        people
    }

    pub fn addresses(&self) -> BTreeSet<&str> {
        self.all.iter().map(String::as_str).collect()
    }

    /// The address that a message names, directly or by reference.
    pub fn resolved(&self, says: &Says) -> Option<String> {
        says.address
            .clone()
            .or_else(|| self.references.get(says.reference.as_ref()?).cloned())
    }

    /// Whether the address of a message comes from its reference, which the hub may not know.
    pub fn is_doubtful(&self, says: &Says) -> bool {
        says.address.is_none()
            && says
                .reference
                .as_ref()
                .is_some_and(|reference| self.doubtful.contains(reference))
    }

    /// Whether two ids of one namespace use this address: two people with one mailbox.
    pub fn is_shared(&self, address: &str) -> bool {
        self.are_of_several(&[address])
    }

    /// Whether these addresses belong to several people, because two ids are of one namespace.
    fn are_of_several(&self, addresses: &[&str]) -> bool {
        let ids: BTreeSet<&Id> = addresses
            .iter()
            .filter_map(|address| self.ids.get(*address))
            .flatten()
            .collect();
        let mut namespaces = BTreeSet::new();
        !ids.into_iter().all(|id| namespaces.insert(id.namespace))
    }

    fn of(&self, id: &Id) -> &[String] {
        self.addresses.get(id).map_or(&[], Vec::as_slice)
    }

    /// The addresses that ids link with this one, including itself, with the number of links in between.
    fn linked(&self, address: &str) -> BTreeMap<String, usize> {
        let mut found = BTreeMap::from([(address.to_owned(), 0)]);
        let mut open = VecDeque::from([(address.to_owned(), 0)]);
        while let Some((next, distance)) = open.pop_front() {
            for id in self.ids.get(&next).into_iter().flatten() {
                for other in self.of(id) {
                    if !found.contains_key(other) {
                        found.insert(other.clone(), distance + 1);
                        open.push_back((other.clone(), distance + 1));
                    }
                }
            }
        }
        found
    }

    /// Those addresses that are linked only by the first two addresses of ids: a third address joins nobody, and does not break
    /// chains of others.
    fn joined(&self, address: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::from([address.to_owned()]);
        let mut open = vec![address.to_owned()];
        while let Some(next) = open.pop() {
            for id in self.ids.get(&next).into_iter().flatten() {
                let pair = self.pair(id);
                if pair.contains(&&next) {
                    let new = pair.into_iter().filter(|other| found.insert((*other).clone()));
                    open.extend(new.cloned().collect::<Vec<_>>());
                }
            }
        }
        found
    }

    /// The addresses of an id that may be its first two.
    fn pair(&self, id: &Id) -> Vec<&String> {
        let own = self.of(id);
        let places = own.iter().enumerate();
        let pair = places.filter(|(place, _)| *place < MAX_ADDRESSES || self.is_beside_pair(id, own, *place));
        pair.map(|(_, address)| address).collect()
    }

    /// All addresses that may affect one address.
    pub fn circle(&self, address: &str) -> BTreeSet<String> {
        self.linked(address).into_keys().collect()
    }

    /// Whether a message names one of these addresses, directly, by id or by reference.
    pub fn is_about(&self, says: &Says, circle: &BTreeSet<String>) -> bool {
        self.resolved(says)
            .is_some_and(|address| circle.contains(&address))
            || says
                .id
                .as_ref()
                .is_some_and(|id| self.of(id).iter().any(|address| circle.contains(address)))
    }

    /// Whether a fact counts for an address.
    pub fn relevance(&self, fact: &Fact, address: &str, purpose: &str) -> Relevance {
        // For a message without an address, the documents define the address only for Proca's references.
        if !fact.is_named && fact.address.is_some() {
            let linked = self.linked(address);
            if linked.len() > 1
                && fact
                    .address
                    .as_ref()
                    .is_some_and(|other| linked.contains_key(other))
            {
                return Relevance::Maybe;
            }
        }
        if fact.kind == Kind::Suppressed {
            return self.relevance_of_suppression(fact, address);
        }
        // A mailbox may be shared, but a telephone is not, and the address does not identify its owner.
        if purpose != "email"
            && (self.is_shared(address) || fact.address.as_deref().is_some_and(|other| self.is_shared(other)))
        {
            return Relevance::Maybe;
        }
        if fact.address.as_deref() == Some(address) {
            return Relevance::Here;
        }
        let by_id = fact.id.as_ref().map_or(Relevance::No, |id| {
            self.through(id, fact.address.as_deref(), address, fact.kind)
        });
        if by_id >= Relevance::Person {
            return by_id;
        }
        let Some(other) = fact.address.as_deref() else {
            // Without an address, the statement is about any address that the id ever had.
            let linked = self.linked(address);
            let mut places = fact.id.iter().flat_map(|id| self.of(id));
            return if places.any(|place| linked.contains_key(place)) {
                by_id.max(Relevance::Maybe)
            } else {
                by_id
            };
        };
        let through_others = self
            .ids
            .get(other)
            .into_iter()
            .flatten()
            .map(|id| self.through(id, Some(other), address, fact.kind))
            .max()
            .unwrap_or(Relevance::No);
        let nearest = by_id.max(through_others);
        if nearest != Relevance::No {
            return nearest;
        }
        // Two or more links: a chain of ids, or a conflict in between.
        match self.linked(address).get(other) {
            Some(distance) if *distance > 1 || self.joined(address).contains(other) => Relevance::Maybe,
            _ => Relevance::No,
        }
    }

    /// Whether a statement with `id` (at `from`, if the message names an address) counts for `address` because of this id.
    fn through(&self, id: &Id, from: Option<&str>, address: &str, kind: Kind) -> Relevance {
        let own = self.of(id);
        let Some(place) = own.iter().position(|other| other == address) else {
            return Relevance::No;
        };
        if own.len() > MAX_ADDRESSES {
            // The first two addresses may have been joined before the third arrived; no other may be joined.
            let is_pair = |place: usize| place < MAX_ADDRESSES || self.is_beside_pair(id, own, place);
            let from = from
                .and_then(|from| own.iter().position(|other| other == from))
                .unwrap_or(0);
            let is_possible = kind.is_negative() || (is_pair(place) && is_pair(from));
            return if is_possible {
                Relevance::Maybe
            } else {
                Relevance::No
            };
        }
        // The documents do not say whether only the id's addresses count, or all addresses of the person.
        let is_crowded = self.linked(address).len() > MAX_ADDRESSES;
        if is_crowded || self.are_of_several(&[address, from.unwrap_or(address)]) {
            return Relevance::Maybe;
        }
        if from.is_none() && own.len() == 1 {
            Relevance::Here
        } else {
            Relevance::Person
        }
    }

    /// The first two addresses of an id depend on the order of processing.
    fn is_beside_pair(&self, id: &Id, own: &[String], place: usize) -> bool {
        let came = |place: usize| {
            let address = own.get(place)?.clone();
            self.came.get(&(id.clone(), address)).copied()
        };
        came(place)
            .zip(came(MAX_ADDRESSES - 1))
            .is_some_and(|(it, last)| it - last <= IN_TURN_MS)
    }

    /// A suppression belongs to its address. Without an address it belongs to the id's, if the id has only one.
    fn relevance_of_suppression(&self, fact: &Fact, address: &str) -> Relevance {
        match (&fact.address, &fact.id) {
            (Some(other), _) if other == address => Relevance::Here,
            (None, Some(id)) => match self.of(id) {
                [only] if only == address && !self.is_shared(address) => Relevance::Here,
                several if several.iter().any(|other| other == address) => Relevance::Maybe,
                _ => Relevance::No,
            },
            _ => Relevance::No,
        }
    }

    /// Whether every user of the address has no other address, or clearly used this one last.
    pub fn is_in_use(&self, address: &str) -> bool {
        self.ids.get(address).into_iter().flatten().all(|id| {
            let own = self.of(id);
            match own.len() {
                1 => true,
                2 => self.is_newest(id, address),
                _ => false,
            }
        })
    }

    /// The newest use by date of arrival, where nothing has another date.
    fn is_newest(&self, id: &Id, address: &str) -> bool {
        let uses = self.uses.get(id).map_or(&[][..], Vec::as_slice);
        let is_dated = uses.iter().any(|(_, when, _)| *when != When::Arrival)
            || self.of(id).iter().any(|own| self.dated.contains(own));
        let last = uses.iter().max_by_key(|(_, _, order)| *order);
        // A message with only another of the addresses may be of a person who uses that one again.
        let is_last_named = self
            .of(id)
            .iter()
            .all(|other| self.named.get(other) <= self.named.get(address));
        !is_dated && is_last_named && last.is_some_and(|(last, _, _)| last == address)
    }
}
