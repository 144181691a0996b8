//! Vendors' accounts as receivers. What people do there by themselves is part of a history, and what an account holds at
//! the end is what the oracle judges.

mod hubspot;
mod mailchimp;
mod meta;
mod rough;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use causeway_fakes::vendors::{FakeVendor, hubspot::Clock};

use crate::{
    config,
    dice::{hash, mix},
    message::Deed,
    wire::Place,
    world::{DestinationKind, History, Vendor},
};

use rough::{Account, Rough};

/// How long the hub may take to store what a response said. If it is killed within this time, it may not know it.
const STORED_WITHIN: Duration = Duration::from_secs(3);

/// What somebody did at a vendor, where it had an effect.
#[derive(Debug, Clone)]
pub struct Done {
    pub address: String,
    /// By the vendor's clock, in milliseconds since 1970.
    pub at: i64,
    pub effect: Effect,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// The vendor may not mail the person any more. `can_return`: its API can subscribe the person again.
    Left { can_return: bool },
    /// The vendor has no contact with the address any more.
    Gone,
    /// The person has this address at the vendor now.
    Moved(String),
}

/// What a call of the hub does to one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Reads whether the person left.
    Read,
    Subscribe,
    Unsubscribe,
    Write,
    /// Not a call: the person left at the vendor.
    Left,
}

#[derive(Debug, Clone)]
pub struct Call {
    pub address: String,
    pub act: Act,
    pub at: Instant,
    /// The hub did not get the response.
    pub is_lost: bool,
}

/// What an account holds at the end, and how it came about.
#[derive(Debug, Clone)]
pub struct Held {
    pub vendor: Vendor,
    /// Addresses that the vendor may mail, or that are in the audience.
    pub subscribed: BTreeSet<String>,
    /// Addresses of contacts.
    pub contacts: BTreeSet<String>,
    /// Source and number of the action of each event, and the address.
    pub events: Vec<(String, String)>,
    pub done: Vec<Done>,
    pub calls: Vec<Call>,
    /// Addresses that the vendor never takes.
    pub poisoned: BTreeSet<String>,
    /// Members of an audience whom no message named.
    pub strangers: usize,
}

impl Held {
    /// Whether the vendor has the person as subscribed, also under an address that the person gave there.
    pub fn has(&self, address: &str) -> bool {
        let moved = self.moved(address);
        self.subscribed.contains(address) || moved.is_some_and(|to| self.subscribed.contains(to))
    }

    fn moved(&self, address: &str) -> Option<&String> {
        self.of(address).find_map(|done| match &done.effect {
            Effect::Moved(to) => Some(to),
            _ => None,
        })
    }

    /// What was done to this person at the vendor.
    pub fn of(&self, address: &str) -> impl Iterator<Item = &Done> {
        self.done.iter().filter(move |done| done.address == address)
    }

    /// When the person last left, and whether the API can subscribe the person again.
    pub fn left(&self, address: &str) -> Option<(i64, bool)> {
        let left = self.of(address).filter_map(|done| match done.effect {
            Effect::Left { can_return } => Some((done.at, can_return)),
            _ => None,
        });
        left.reduce(|one, other| (one.0.max(other.0), one.1 && other.1))
    }

    /// The subscribed addresses, without those that people gave at the vendor.
    pub fn unmoved(&self) -> impl Iterator<Item = &str> {
        let is_new = |address: &&String| {
            self.done
                .iter()
                .any(|done| matches!(&done.effect, Effect::Moved(to) if to == *address))
        };
        let addresses = self.subscribed.iter().filter(move |address| !is_new(address));
        addresses.map(String::as_str)
    }

    /// Addresses and actions with more than one event.
    pub fn repeated(&self) -> BTreeSet<(&str, &str)> {
        let mut seen = BTreeSet::new();
        let events = self.events.iter();
        let again = events.filter(|event| !seen.insert(*event));
        again
            .map(|(action, address)| (address.as_str(), action.as_str()))
            .collect()
    }

    /// What happened to an address, for a report.
    pub fn explain(&self, address: &str) -> Vec<String> {
        let calls: Vec<String> = self
            .calls
            .iter()
            .filter(|call| call.address == address)
            .map(|call| format!("{:?}{}", call.act, if call.is_lost { " (lost)" } else { "" }))
            .collect();
        let done: Vec<String> = self
            .of(address)
            .map(|done| {
                let at = jiff::Timestamp::from_millisecond(done.at).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
                format!("{at:.0} {:?}", done.effect)
            })
            .collect();
        let events = self.events.iter().filter(|(_, own)| own == address);
        let events: Vec<&str> = events.map(|(action, _)| action.as_str()).collect();
        vec![
            format!("calls at the vendor: {}", calls.join(", ")),
            format!("done at the vendor: {}", done.join(", ")),
            format!("events: {}", events.join(", ")),
        ]
    }

    /// The person left between two calls, where the vendor's API has no call for both.
    pub fn is_raced(&self, address: &str) -> bool {
        let calls: Vec<Act> = self
            .calls
            .iter()
            .filter(|call| call.address == address)
            .map(|call| call.act)
            .collect();
        calls
            .windows(3)
            .any(|three| three == [Act::Read, Act::Left, Act::Subscribe])
    }

    /// The hub may not know what a call did, because the response was lost or the hub was killed.
    pub fn is_uncertain(&self, address: &str, starts: &[(Instant, usize)]) -> bool {
        let was_killed = |at: Instant| {
            starts
                .iter()
                .any(|(start, _)| (at..at + STORED_WITHIN).contains(start))
        };
        self.calls.iter().any(|call| {
            call.address == address
                && matches!(call.act, Act::Unsubscribe | Act::Write)
                && (call.is_lost || was_killed(call.at))
        })
    }
}

/// An account that runs.
trait Running: Send + Sync {
    /// The keys of the destination.
    fn keys(&self) -> String;
    fn happen(&self, address: &str, deed: &Deed, start: i64);
    fn heal(&self);
    fn held(&self, people: &BTreeSet<String>) -> Held;
}

/// All accounts of a batch, by the destination's name at the receiver.
#[derive(Default)]
pub struct Vendors {
    accounts: BTreeMap<String, (Box<dyn Running>, BTreeSet<String>)>,
}

impl Vendors {
    pub async fn start(histories: &[History], places: &[Place], seed: u64, is_well: bool) -> Self {
        let mut vendors = Self::default();
        for (history, place) in histories.iter().zip(places) {
            let people: BTreeSet<String> = history
                .messages
                .iter()
                .filter_map(|message| message.says.address.clone())
                .collect();
            for (number, space) in history.spaces.iter().enumerate() {
                for (which, destination) in space.destinations.iter().enumerate() {
                    let DestinationKind::Vendor(vendor) = destination.kind else {
                        continue;
                    };
                    let is_poisoned =
                        |address: &&String| mix(&[history.seed, hash(address)]).is_multiple_of(24);
                    let poisoned: BTreeSet<String> = people.iter().filter(is_poisoned).cloned().collect();
                    // The hub takes two destinations with the same number of an audience for one.
                    let unique = vendors.accounts.len();
                    let running: Box<dyn Running> = match vendor {
                        Vendor::HubSpot => start(hubspot::account(), poisoned, seed, is_well).await,
                        Vendor::Mailchimp => {
                            start(mailchimp::account(&poisoned), poisoned, seed, is_well).await
                        }
                        Vendor::Meta => start(meta::account(unique), poisoned, seed, is_well).await,
                    };
                    let key = config::key(place, number, which);
                    vendors.accounts.insert(key, (running, people.clone()));
                }
            }
        }
        vendors
    }

    /// The keys of each destination.
    pub fn keys(&self) -> BTreeMap<String, String> {
        let accounts = self.accounts.iter();
        accounts
            .map(|(key, (running, _))| (key.clone(), running.keys()))
            .collect()
    }

    /// Somebody does something at the vendor. `start`: of the history's times, in seconds since 1970.
    pub fn happen(&self, key: &str, address: &str, deed: &Deed, start: i64) {
        if let Some((running, _)) = self.accounts.get(key) {
            running.happen(address, deed, start);
        }
    }

    /// From now on every call is answered as the vendor means it.
    pub fn heal(&self) {
        self.accounts.values().for_each(|(running, _)| running.heal());
    }

    pub fn held(&self) -> BTreeMap<String, Held> {
        let accounts = self.accounts.iter();
        accounts
            .map(|(key, (running, people))| (key.clone(), running.held(people)))
            .collect()
    }
}

async fn start<A: Account>(
    account: A,
    poisoned: BTreeSet<String>,
    seed: u64,
    is_well: bool,
) -> Box<dyn Running> {
    Box::new(FakeVendor::start(Rough::new(account, poisoned, seed, is_well)).await)
}

impl<A: Account> Running for FakeVendor<Rough<A>> {
    fn keys(&self) -> String {
        let keys = self.with(|rough| rough.account.keys());
        format!("{keys}\nallow_private = true\nbase_url = \"{}\"", self.url())
    }

    fn happen(&self, address: &str, deed: &Deed, start: i64) {
        self.with(|rough| rough.happen(address, deed, start));
    }

    fn heal(&self) {
        self.with(|rough| rough.is_well = true);
    }

    fn held(&self, people: &BTreeSet<String>) -> Held {
        self.with(|rough| rough.held(people))
    }
}

/// A clock that runs with real time.
fn clock() -> Clock {
    let mut clock = Clock::default();
    clock.set(jiff::Timestamp::now());
    clock.run();
    clock
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(acts: &[Act]) -> Held {
        let call = |act: &Act| Call {
            address: "jane@example.org".to_owned(),
            act: *act,
            at: Instant::now(),
            is_lost: false,
        };
        Held {
            vendor: Vendor::HubSpot,
            subscribed: BTreeSet::new(),
            contacts: BTreeSet::new(),
            events: Vec::new(),
            done: Vec::new(),
            calls: acts.iter().map(call).collect(),
            poisoned: BTreeSet::new(),
            strangers: 0,
        }
    }

    #[test]
    fn only_who_leaves_between_two_calls_is_raced() {
        assert!(held(&[Act::Read, Act::Left, Act::Subscribe]).is_raced("jane@example.org"));
        assert!(!held(&[Act::Read, Act::Left, Act::Read, Act::Subscribe]).is_raced("jane@example.org"));
        assert!(!held(&[Act::Read, Act::Subscribe, Act::Left]).is_raced("jane@example.org"));
    }

    #[test]
    fn the_last_time_of_leaving_counts_and_any_way_that_lasts() {
        let mut held = held(&[]);
        assert_eq!(held.left("jane@example.org"), None);
        for (at, can_return) in [(7, false), (5, true)] {
            held.done.push(Done {
                address: "jane@example.org".to_owned(),
                at,
                effect: Effect::Left { can_return },
            });
        }
        assert_eq!(held.left("jane@example.org"), Some((7, false)));
    }

    #[test]
    fn a_second_event_for_an_action_and_a_lost_call_are_seen() {
        let mut held = held(&[Act::Unsubscribe]);
        let event = ("petition:1".to_owned(), "jane@example.org".to_owned());
        held.events = vec![event.clone(), ("petition:2".to_owned(), event.1.clone())];
        assert!(held.repeated().is_empty());
        held.events.push(event);
        assert_eq!(held.repeated(), [("jane@example.org", "petition:1")].into());
        assert!(!held.is_uncertain("jane@example.org", &[]));
        assert!(held.is_uncertain("jane@example.org", &[(held.calls[0].at + STORED_WITHIN / 2, 0)]));
        held.calls[0].is_lost = true;
        assert!(held.is_uncertain("jane@example.org", &[]));
    }
}
