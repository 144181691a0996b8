//! The newest time of each type of fact (for opt-ins and declines, the eight newest times), and the consent
//! state that follows.

use std::{borrow::Cow, collections::BTreeMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ConsentState, Suppression, Terms, Times, What};
use crate::{id::Name, identity::Identity, millis};

/// The consent facts of one contact for one purpose, summarised as the newest times of each type.
///
/// The fields of this contact's `Consent` are about the person. Those of an entry in [`Consent::addresses`]
/// are about a mailbox. Where a fact is stored:
///
/// - A suppression: with the mailbox. So a complaint does not follow the person to another address, and is
///   not forgotten when the old one comes back. If the message names neither an address nor an id: with the
///   person.
/// - A click: with the person and with the mailbox. If the message names no address, the mailbox has the key
///   `""`.
/// - An opt-out that names an address: with the person and with the mailbox, too.
/// - Any other fact: with the person. An opt-in is also kept as [`Consent::own_opt_in`] of the mailbox, if
///   another user of the mailbox opted out.
/// - A fact of *another* contact that uses the mailbox: with the mailbox, because a mailbox has one consent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Consent {
    #[serde(skip_serializing_if = "Times::is_empty")]
    pub opt_in: Times,
    #[serde(with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub pending: Option<Timestamp>,
    #[serde(with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub double_opt_in: Option<Timestamp>,
    /// Page (`"namespace/id"`) → time of the newest click, in milliseconds. It counts only if the page is
    /// ours.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub on_page: BTreeMap<String, i64>,
    #[serde(skip_serializing_if = "Times::is_empty")]
    pub declined: Times,
    #[serde(with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub not_asked: Option<Timestamp>,
    #[serde(with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub unsubscribed: Option<Timestamp>,
    #[serde(with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub complained: Option<Timestamp>,
    #[serde(with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub bounced: Option<Timestamp>,
    #[serde(with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Timestamp>,
    #[serde(with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub inactive: Option<Timestamp>,
    /// Only in an entry of [`Self::addresses`]: the newest opt-out of another contact that uses the mailbox.
    /// It is also in `unsubscribed`. Only an opt-in for this very mailbox ends it, or a click there after the
    /// grace period.
    #[serde(with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub others_opt_out: Option<Timestamp>,
    /// Only beside `others_opt_out`: this contact's own opt-ins for the mailbox.
    #[serde(skip_serializing_if = "Times::is_empty")]
    pub own_opt_in: Times,
    /// Address → the facts about that address alone. The key `""` holds clicks for which the message named no
    /// address. A key `id:…` ([`of_id`]) holds facts from messages that named only a platform's id, so that
    /// the address is known only through the id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub addresses: BTreeMap<String, Self>,
}

/// Id as [`of_id`] writes it → the addresses that came with it → since when.
pub type AddressesOfIds = BTreeMap<Name, BTreeMap<Name, Timestamp>>;

/// The address that is about to be used, since when the contact is known by it, and the addresses of the
/// contact's ids. Without an address, the facts about the person count, and suppressions that name only an
/// id.
#[derive(Debug, Clone, Copy, Default)]
pub struct At<'a> {
    pub address: Option<&'a str>,
    pub since: Option<Timestamp>,
    pub ids: Option<&'a AddressesOfIds>,
}

/// The key that is used instead of an address, if a message names only an id.
pub fn of_id(identity: &Identity) -> String {
    format!("{OF_ID}{}/{}", identity.namespace(), identity.value())
}

/// The id in such a key, for people to read; `None` if it is an address.
pub fn id_in_place(address: &str) -> Option<&str> {
    address.strip_prefix(OF_ID)
}

/// No address begins like this.
const OF_ID: &str = "id:";

impl At<'_> {
    /// Whether a fact that names only this id, dated `at`, counts for our address. It counts in four cases:
    ///
    /// - The id came with this address by then.
    /// - This address is the first that came with the id.
    /// - The id never came with an address, and the person had this address by then. If it is not known since
    ///   when the person has the address, the fact counts, too.
    /// - We have no address.
    pub fn is_of(&self, id: &str, at: Timestamp) -> bool {
        match self.ids.and_then(|ids| ids.get(id)) {
            None => self.since.is_none_or(|known| known <= at),
            Some(own) => {
                let first = own.values().min();
                let since = self.address.map(|address| own.get(address));
                since.is_none_or(|since| since.is_some_and(|since| *since <= at || Some(since) == first))
            }
        }
    }

    /// Whether the id came with this address, or with none.
    fn may_be_of(&self, id: &str) -> bool {
        self.is_of(id, Timestamp::MAX)
    }
}

impl Consent {
    /// Takes in one fact of the contact, cut to the millisecond; returns whether anything changed.
    pub fn add(&mut self, what: &What, at: Timestamp, address: Option<&str>) -> bool {
        match address {
            Some(address) if what.is_suppression() => self.of_address(address).raise(what, at),
            _ if what.is_click() => {
                let here = self.of_address(address.unwrap_or_default()).raise(what, at);
                self.raise(what, at) | here
            }
            // An opt-out counts for the person. It also stays with the mailbox after the person stops using
            // it.
            Some(address) if is_opt_out_at(what, address) => {
                let here = self.of_address(address).raise(what, at);
                self.raise(what, at) | here
            }
            Some(address) if *what == What::OptIn => {
                let here = self.add_own_opt_in(at, address);
                self.raise(what, at) | here
            }
            _ => self.raise(what, at),
        }
    }

    /// Takes in a fact of another contact that uses this address; returns whether anything changed.
    pub fn add_shared(&mut self, what: &What, at: Timestamp, address: &str) -> bool {
        let here = self.of_address(address);
        let is_opt_out = *what == What::Unsubscribed;
        let opts_out = is_opt_out && raise(&mut here.others_opt_out, Some(millis::floor(at)));
        here.raise(what, at) | opts_out
    }

    /// Takes in the contact's own opt-in for a mailbox that another user opted out of. No other field stores
    /// opt-ins of the person by address. Returns whether anything changed.
    pub fn add_own_opt_in(&mut self, at: Timestamp, address: &str) -> bool {
        let here = self.addresses.get_mut(address);
        here.filter(|here| here.others_opt_out.is_some())
            .is_some_and(|here| here.own_opt_in.add(millis::floor(at)))
    }

    /// Takes in all facts about an address, for a contact that begins to use it.
    pub fn join_address(&mut self, address: &str, facts: &Self) -> bool {
        self.of_address(address).join(facts)
    }

    pub(super) fn of_address(&mut self, address: &str) -> &mut Self {
        self.addresses.entry(address.to_owned()).or_default()
    }

    /// Whether the fact is already the newest of its sort.
    pub fn holds(&self, what: &What, at: Timestamp, address: Option<&str>) -> bool {
        let at = Some(millis::floor(at));
        let of_person = self.newest(what) == at;
        let of_address = |address: &str| {
            let place = self.addresses.get(address);
            place.is_some_and(|place| place.newest(what) == at)
        };
        let is_own_opt_in_kept = |address: &str| {
            let place = self.addresses.get(address);
            place.is_none_or(|place| place.others_opt_out.is_none() || place.own_opt_in.newest() == at)
        };
        match address {
            Some(address) if what.is_suppression() => of_address(address),
            _ if what.is_click() => of_person && of_address(address.unwrap_or_default()),
            Some(address) if is_opt_out_at(what, address) => of_person && of_address(address),
            Some(address) if *what == What::OptIn => of_person && is_own_opt_in_kept(address),
            _ => of_person,
        }
    }

    fn raise(&mut self, what: &What, at: Timestamp) -> bool {
        let at = millis::floor(at);
        let slot = match what {
            What::OptIn => return self.opt_in.add(at),
            What::Declined => return self.declined.add(at),
            What::DoubleOptInOnPage { page } => {
                let at = at.as_millisecond();
                let is_newer = self.on_page.get(page).is_none_or(|known| at > *known);
                if is_newer {
                    self.on_page.insert(page.clone(), at);
                }
                return is_newer;
            }
            What::OptInPending => &mut self.pending,
            What::DoubleOptIn => &mut self.double_opt_in,
            What::NotAsked => &mut self.not_asked,
            What::Unsubscribed => &mut self.unsubscribed,
            What::Complained => &mut self.complained,
            What::Bounced => &mut self.bounced,
            What::Blocked => &mut self.blocked,
            What::Inactive => &mut self.inactive,
        };
        raise(slot, Some(at))
    }

    /// The time of the newest fact of this sort.
    fn newest(&self, what: &What) -> Option<Timestamp> {
        match what {
            What::OptIn => self.opt_in.newest(),
            What::Declined => self.declined.newest(),
            What::OptInPending => self.pending,
            What::DoubleOptIn => self.double_opt_in,
            What::DoubleOptInOnPage { page } => {
                let at = self.on_page.get(page)?;
                Timestamp::from_millisecond(*at).ok()
            }
            What::NotAsked => self.not_asked,
            What::Unsubscribed => self.unsubscribed,
            What::Complained => self.complained,
            What::Bounced => self.bounced,
            What::Blocked => self.blocked,
            What::Inactive => self.inactive,
        }
    }

    /// Merges the consent of a second contact that turned out to be the same person.
    pub fn join(&mut self, other: &Self) -> bool {
        let mut changed = self.opt_in.join(&other.opt_in);
        changed |= self.declined.join(&other.declined);
        for (slot, at) in [
            (&mut self.pending, other.pending),
            (&mut self.double_opt_in, other.double_opt_in),
            (&mut self.not_asked, other.not_asked),
            (&mut self.unsubscribed, other.unsubscribed),
            (&mut self.complained, other.complained),
            (&mut self.bounced, other.bounced),
            (&mut self.blocked, other.blocked),
            (&mut self.inactive, other.inactive),
            (&mut self.others_opt_out, other.others_opt_out),
        ] {
            changed |= raise(slot, at);
        }
        changed |= self.own_opt_in.join(&other.own_opt_in);
        for (page, at) in &other.on_page {
            let known = self.on_page.entry(page.clone()).or_insert(i64::MIN);
            if at > known {
                *known = *at;
                changed = true;
            }
        }
        for (address, facts) in &other.addresses {
            changed |= self.join_address(address, facts);
        }
        changed
    }

    /// The consent state for the address that is about to be used.
    ///
    /// - A suppression belongs to its address. Only a later click there ends it: a person who clicks a link
    ///   in a mail received the mail. A suppression that names only an id counts for every address that the
    ///   id had by the time of the suppression. If it had none by then, it counts for its first address.
    /// - An opt-out ends by a later opt-in, and by a click that is later by more than [`Terms::click_grace`].
    ///   The opt-out of another user of the mailbox is ended only by an opt-in or a click for this mailbox:
    ///   what this contact agreed to elsewhere is not about the other person's mail.
    /// - A click within the grace period after a complaint about the same address confirms nothing: a scanner
    ///   of the mail server may have followed the link.
    /// - An opt-in at the very time of a decline does not count. Both come from one form, on which the person
    ///   declined for our organisation and opted in for another one.
    /// - At equal times the opt-out wins. The newest of several opt-outs and suppressions counts, and at
    ///   equal times the gravest.
    pub fn state(&self, at: At<'_>, terms: &Terms) -> ConsentState {
        let here = at.address.and_then(|address| self.addresses.get(address));
        let facts = here.map_or(Cow::Borrowed(self), |here| {
            let mut facts = self.clone_without_addresses();
            facts.join(here);
            Cow::Owned(facts)
        });
        let anywhere = self.addresses.get("");
        let of_ids = || {
            let places = self.addresses.range(OF_ID.to_owned()..);
            places.take_while(|(place, _)| place.starts_with(OF_ID))
        };
        let confirmed = facts
            .confirmed(terms)
            .filter(|click| !self.follows_complaint(*click, terms));
        let clicked_here = if at.address.is_some() {
            here.and_then(|here| here.confirmed(terms))
                .max(anywhere.and_then(|anywhere| anywhere.confirmed(terms)))
                .max(
                    of_ids()
                        .filter(|(id, _)| at.may_be_of(id))
                        .filter_map(|(_, facts)| facts.confirmed(terms))
                        .max(),
                )
        } else {
            confirmed
        };
        let graced = |click: Option<Timestamp>| click.and_then(|at| at.checked_sub(terms.click_grace).ok());
        let opt_in = facts.opt_in.iter().find(|at| !facts.declined.contains(*at));
        let agreed = opt_in.max(graced(confirmed));

        // The time of a suppression of this address: from a message that names the address, its id, or
        // neither.
        let of_here = |slot: fn(&Self) -> Option<Timestamp>| {
            let by_id = of_ids().filter_map(|(id, facts)| slot(facts).filter(|since| at.is_of(id, *since)));
            let unnamed = slot(self).filter(|since| at.since.is_none_or(|known| known <= *since));
            here.and_then(slot).max(by_id.max()).max(unnamed)
        };
        let mailbox = here.unwrap_or(self);
        let opt_in_here = |times: &Times| times.iter().find(|at| !facts.declined.contains(*at));
        let agreed_here = opt_in_here(&mailbox.opt_in)
            .max(here.and_then(|here| opt_in_here(&here.own_opt_in)))
            .max(graced(clicked_here));
        // From the lightest to the gravest: at equal times `max_by_key` takes the last.
        let opt_outs = [
            (facts.unsubscribed, None, agreed),
            (mailbox.others_opt_out, None, agreed_here),
            (of_here(|c| c.inactive), Some(Suppression::Inactive), clicked_here),
            (of_here(|c| c.blocked), Some(Suppression::Blocked), clicked_here),
            (of_here(|c| c.bounced), Some(Suppression::Bounced), clicked_here),
            (
                of_here(|c| c.complained),
                Some(Suppression::Complained),
                graced(clicked_here),
            ),
        ];
        let holds = opt_outs
            .into_iter()
            .filter_map(|(since, why, lifted)| {
                let since = since?;
                lifted.is_none_or(|at| at <= since).then_some((since, why))
            })
            .max_by_key(|(since, _)| *since);
        match holds {
            Some((since, Some(why))) => return ConsentState::Suppressed { since, why },
            Some((since, None)) => return ConsentState::Unsubscribed { since },
            None => {}
        }
        // A click that an opt-out took back does not count again after a later opt-in on a form.
        let counts = |click: &Timestamp| {
            facts
                .unsubscribed
                .is_none_or(|opt_out| graced(Some(*click)).is_some_and(|click| click > opt_out))
        };
        facts.agreed_state(confirmed.filter(counts), opt_in)
    }

    /// The consent state if no opt-out and no suppression holds.
    fn agreed_state(&self, confirmed: Option<Timestamp>, opt_in: Option<Timestamp>) -> ConsentState {
        if let Some(since) = confirmed {
            return ConsentState::DoubleOptedIn { since };
        }
        if let Some(since) = opt_in {
            return ConsentState::OptedIn { since };
        }
        if let Some(since) = self.pending {
            return ConsentState::Pending { since };
        }
        if !self.declined.is_empty() || self.not_asked.is_some() {
            return ConsentState::NotSubscribed;
        }
        ConsentState::Unknown
    }

    fn clone_without_addresses(&self) -> Self {
        Self {
            opt_in: self.opt_in.clone(),
            on_page: self.on_page.clone(),
            declined: self.declined.clone(),
            own_opt_in: Times::default(),
            addresses: BTreeMap::new(),
            ..*self
        }
    }

    /// Whether the click came within the grace period after a complaint about its address. If the message
    /// named no address, a complaint about any address of the contact counts.
    fn follows_complaint(&self, click: Timestamp, terms: &Terms) -> bool {
        let is_soon_after = |complained: Option<Timestamp>| {
            let within = |since: Timestamp| {
                let end = since.checked_add(terms.click_grace).unwrap_or(Timestamp::MAX);
                (since..=end).contains(&click)
            };
            complained.is_some_and(within)
        };
        let is_anywhere = || {
            self.addresses
                .values()
                .any(|place| is_soon_after(place.complained))
        };
        let mut places = self
            .addresses
            .iter()
            .filter(|(_, place)| place.confirmed(terms) == Some(click))
            .peekable();
        let has_places = places.peek().is_some();
        // A place has no `addresses` of its own, so `place.complained` is all there is.
        let is_void = |(address, place): (&String, &Self)| {
            let is_named = !address.is_empty() && id_in_place(address).is_none();
            is_soon_after(place.complained) || (!is_named && is_anywhere())
        };
        is_soon_after(self.complained) || (has_places && places.all(is_void))
    }

    /// The newest double opt-in: on no particular page, or on an own page.
    fn confirmed(&self, terms: &Terms) -> Option<Timestamp> {
        let on_own_page = self
            .on_page
            .iter()
            .filter(|(page, _)| terms.own_pages.contains(*page))
            .filter_map(|(_, at)| Timestamp::from_millisecond(*at).ok())
            .max();
        self.double_opt_in.max(on_own_page)
    }
}

/// Whether it is an opt-out that names an address rather than an id.
fn is_opt_out_at(what: &What, address: &str) -> bool {
    *what == What::Unsubscribed && id_in_place(address).is_none()
}

fn raise(slot: &mut Option<Timestamp>, at: Option<Timestamp>) -> bool {
    let raised = at > *slot;
    if raised {
        *slot = at;
    }
    raised
}
