//! A plain model of what people want. It is written from the documents (`docs/consent.md`, `docs/events.md`),
//! without a call into the code under test. It keeps every fact and evaluates all of them for each question.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{EMAILS, Kind, Message, OWN_PAGES};

pub const EMAIL: &str = "email";
pub const PHONE: &str = "phone";

/// One fact about a person's consent or an address, with the words of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fact {
    pub purpose: &'static str,
    pub word: &'static str,
    /// The page of a click that counts only if the page is ours.
    pub page: Option<u32>,
    pub at: i64,
    /// The address that the fact is about, as a position in the list; `None` if the message names none.
    pub address: Option<usize>,
    /// If it names no address, the id that it names: the platform's before Proca's reference.
    pub id: Option<usize>,
}

/// A click within this many seconds after an opt-out does not undo it.
pub const GRACE: i64 = 2;

/// The first second of 1970, in the seconds used here.
const LONG_AGO: i64 = -1_767_323_045;

/// The consent state, and since when.
pub type ConsentState = (&'static str, Option<i64>);

/// Field name → time, number of the message, value.
pub type Fields = BTreeMap<&'static str, (i64, usize, String)>;

#[derive(Debug, Clone, Default)]
pub struct Person {
    /// Positions in the lists of addresses, references (from 10) and platform ids (from 20).
    pub names: BTreeSet<usize>,
    pub facts: BTreeSet<Fact>,
    pub fields: Fields,
    pub gave_data: bool,
    /// Address → since when the person is known by it.
    pub since: BTreeMap<usize, i64>,
    /// The same for each reference and id that came with an address: (id, address) → since when.
    pub since_of_id: BTreeMap<(usize, usize), i64>,
}

#[derive(Debug, Default)]
pub struct Model {
    pub people: Vec<Person>,
    pub own_pages: BTreeSet<u32>,
    actions: BTreeSet<usize>,
}

/// What a message was: about somebody, or about nobody.
pub struct Taken {
    pub names: BTreeSet<usize>,
    pub is_new_action: bool,
}

pub fn names(message: &Message) -> BTreeSet<usize> {
    let who = message.who;
    let has_reference = !matches!(message.kind, Kind::SyncForm | Kind::SyncJson | Kind::Joined);
    let has_platform_id = !matches!(
        message.kind,
        Kind::ActionV1 | Kind::ActionV2 | Kind::Confirm | Kind::EmailStatus
    );
    let reference = who.reference.filter(|_| has_reference).map(|place| 10 + place);
    let platform_id = who
        .platform_id
        .filter(|_| has_platform_id)
        .map(|place| 20 + place);
    who.email
        .into_iter()
        .chain(reference)
        .chain(platform_id)
        .collect()
}

impl Model {
    pub fn take(&mut self, message: &Message, number: usize) -> Option<Taken> {
        let kind = message.kind;
        let has_no_content = matches!(
            kind,
            Kind::Test
                | Kind::System
                | Kind::CampaignUpdated
                | Kind::ConfirmCreated
                | Kind::Unknown
                | Kind::Broken
        );
        let names = names(message);
        let is_action = matches!(kind, Kind::ActionV1 | Kind::ActionV2);
        if has_no_content || (names.is_empty() && kind != Kind::Confirm) {
            return None;
        }
        // Which pages are ours follows from the `orgId` of actions. Events name no organisation.
        if (is_action || kind == Kind::Confirm) && OWN_PAGES.contains(&message.page) {
            self.own_pages.insert(message.page);
        }
        if names.is_empty() {
            return None;
        }
        let mut person = self.person_to_be(&names);
        let mut facts = facts(message);
        for fact in facts.iter_mut().filter(|fact| fact.purpose == EMAIL) {
            fact.address = message.who.email;
            fact.id = match fact.address {
                None => names.iter().copied().filter(|name| *name >= 10).max(),
                Some(_) => None,
            };
        }
        let has_opt_in = facts
            .iter()
            .any(|fact| matches!(fact.word, "opt_in" | "double_opt_in"));
        person.gave_data |= match kind {
            Kind::ActionV1 | Kind::ActionV2 => message.with_consent,
            Kind::SyncForm | Kind::SyncJson | Kind::Joined => true,
            Kind::Consent => has_opt_in,
            _ => false,
        };
        person.facts.extend(facts);
        // A version 1 action without consent contains only the time of the action, not of the data.
        let at = match kind {
            Kind::ActionV1 if !message.with_consent => message.later,
            _ => message.at,
        };
        if let Some(email) = message.who.email {
            let since = person.since.entry(email).or_insert(at);
            *since = at.min(*since);
            for id in names.iter().filter(|name| **name >= 10) {
                let since = person.since_of_id.entry((*id, email)).or_insert(at);
                *since = at.min(*since);
            }
        }
        for (name, value) in fields(message) {
            // A bounce does not show that the person uses the address.
            let is_report = match message.kind {
                Kind::EmailStatus => message.status != Some("double_opt_in"),
                Kind::Consent => NOES.contains(&message.word),
                _ => false,
            };
            let is_bare_mention = name == "email" && is_report;
            let at = if is_bare_mention { LONG_AGO } else { at };
            // The newest value counts, and at the same time the one that arrived last.
            let value = (at, number, value);
            let known = person.fields.entry(name).or_insert_with(|| value.clone());
            *known = value.max(known.clone());
        }
        self.people.push(person);
        Some(Taken {
            names,
            is_new_action: is_action && self.actions.insert(message.action),
        })
    }

    /// Merges all people that are named.
    fn person_to_be(&mut self, names: &BTreeSet<usize>) -> Person {
        let mut one = Person {
            names: names.clone(),
            ..Person::default()
        };
        for person in std::mem::take(&mut self.people) {
            if person.names.is_disjoint(names) {
                self.people.push(person);
                continue;
            }
            one.names.extend(person.names);
            one.facts.extend(person.facts);
            one.gave_data |= person.gave_data;
            for (address, at) in person.since {
                let since = one.since.entry(address).or_insert(at);
                *since = at.min(*since);
            }
            for (pair, at) in person.since_of_id {
                let since = one.since_of_id.entry(pair).or_insert(at);
                *since = at.min(*since);
            }
            for (name, value) in person.fields {
                let known = one.fields.entry(name).or_insert_with(|| value.clone());
                *known = value.max(known.clone());
            }
        }
        one
    }

    pub fn person(&self, name: usize) -> &Person {
        let found = self.people.iter().find(|person| person.names.contains(&name));
        found.expect("somebody of this name")
    }

    /// Whether the click is consent to us.
    fn is_click(&self, fact: &Fact) -> bool {
        match fact.word {
            "double_opt_in" => true,
            "double_opt_in_on_page" => fact.page.is_some_and(|page| self.own_pages.contains(&page)),
            _ => false,
        }
    }

    /// The consent state for the address in use.
    pub fn consent_state(&self, person: &Person, purpose: &str) -> ConsentState {
        self.consent_state_at(person, purpose, in_use(person))
    }

    /// The first table of `docs/consent.md`, for one of the person's addresses.
    #[expect(clippy::too_many_lines, reason = "one table")]
    pub fn consent_state_at(&self, person: &Person, purpose: &str, address: Option<usize>) -> ConsentState {
        let facts: Vec<&Fact> = person
            .facts
            .iter()
            .filter(|fact| fact.purpose == purpose)
            .collect();
        let newest = |test: &dyn Fn(&Fact) -> bool| {
            let times = facts.iter().filter(|fact| test(fact)).map(|fact| fact.at);
            times.max()
        };
        // The newest of several opt-outs and suppressions is shown, and at the same time the gravest.
        let mut holds: Vec<(i64, usize)> = Vec::new();
        // A decline wins a tie with an opt-in.
        let is_opt_in = |yes: &Fact| {
            yes.word == "opt_in" && !facts.iter().any(|no| no.word == "declined" && no.at == yes.at)
        };
        let is_agreement = |fact: &Fact| self.is_agreement(&facts, fact);
        for no in &facts {
            let Some(gravity) = NOES.iter().position(|word| *word == no.word) else {
                continue;
            };
            // A suppression belongs to its address. One without an address counts for the addresses that its
            // id had by then (the first one at any time), and ends by a click at the address in question.
            let concerns = no.word == "unsubscribed"
                || purpose != EMAIL
                || match (no.address, address) {
                    (Some(about), _) => address == Some(about),
                    (None, Some(address)) => {
                        let known = known_of(person, no);
                        let is_by_id = person.since_of_id.keys().any(|(id, _)| Some(*id) == no.id);
                        known.get(&address).map_or(!is_by_id, |since| {
                            *since <= no.at || known.values().all(|other| since <= other)
                        })
                    }
                    (None, None) => true,
                };
            if !concerns {
                continue;
            }
            let is_ended = facts.iter().any(|yes| {
                // Only a click shows that mail arrives: at this address, or where no address is named.
                let place = no.address.or(address);
                let is_there = match (yes.address, place) {
                    (_, None) => true,
                    (None, Some(place)) => {
                        let known = known_of(person, yes);
                        known.contains_key(&place) || known == person.since
                    }
                    (Some(of), Some(place)) => of == place,
                };
                match no.word {
                    // An opt-out wins a tie. A click right after an opt-out does not count.
                    "unsubscribed" => {
                        (is_opt_in(yes) && yes.at > no.at) || (is_agreement(yes) && yes.at > no.at + GRACE)
                    }
                    "complained" => self.is_click(yes) && is_there && yes.at > no.at + GRACE,
                    _ => self.is_click(yes) && is_there && yes.at > no.at,
                }
            });
            if !is_ended {
                holds.push((no.at, gravity));
            }
        }
        if let Some((since, gravity)) = holds.into_iter().max() {
            let state = if gravity == 0 {
                "unsubscribed"
            } else {
                "suppressed"
            };
            return (state, Some(since));
        }
        // A click that an opt-out took back stays taken back.
        let is_taken_back = |click: &Fact| {
            facts
                .iter()
                .any(|no| no.word == "unsubscribed" && no.at + GRACE >= click.at)
        };
        let click = newest(&|fact| is_agreement(fact) && !is_taken_back(fact));
        let is = |word: &'static str| move |fact: &Fact| fact.word == word;
        if click.is_some() {
            ("double_opted_in", click)
        } else if let Some(since) = newest(&is_opt_in) {
            ("opted_in", Some(since))
        } else if let Some(since) = newest(&is("opt_in_pending")) {
            ("pending", Some(since))
        } else if newest(&|fact| matches!(fact.word, "declined" | "not_asked")).is_some() {
            ("not_subscribed", None)
        } else {
            ("unknown", None)
        }
    }

    /// Whether it is the newest click, and does not come soon after the last complaint about the address of its
    /// mail.
    fn is_agreement(&self, facts: &[&Fact], click: &Fact) -> bool {
        let place = |fact: &Fact| (fact.address, fact.id.filter(|_| fact.address.is_none()));
        let is_last = |no: &Fact| {
            let mut others = facts.iter().filter(|other| other.word == "complained");
            !others.any(|other| place(other) == place(no) && other.at > no.at)
        };
        let is_too_soon = facts.iter().filter(|no| no.word == "complained").any(|no| {
            let is_of_it = match (no.address, click.address) {
                (Some(about), Some(of)) => about == of,
                (_, None) => true,
                (None, Some(_)) => no.id.is_none(),
            };
            is_last(no) && is_of_it && (no.at..=no.at + GRACE).contains(&click.at)
        });
        let mut clicks = facts.iter().filter(|fact| self.is_click(fact));
        self.is_click(click) && !is_too_soon && clicks.all(|other| other.at <= click.at)
    }

    /// The table of policies in `docs/destinations.md`.
    pub fn may_be_sent(&self, person: &Person, purpose: &str, policy: &str) -> bool {
        self.may_be_sent_to(person, purpose, policy, in_use(person))
    }

    /// When consent ends: by an opt-out, whatever the policy; by less than the policy requires; and by a
    /// state that does not allow mail, if the destination was sent an opt-in.
    pub fn is_withdrawn(
        &self,
        person: &Person,
        purpose: &str,
        policy: &str,
        (address, was_sent_a_yes): (Option<usize>, bool),
    ) -> bool {
        let (consent_state, _) = self.consent_state_at(person, purpose, address);
        matches!(consent_state, "unsubscribed" | "suppressed")
            || (was_sent_a_yes && !matches!(consent_state, "opted_in" | "double_opted_in"))
            || !self.may_be_sent_to(person, purpose, policy, address)
    }

    fn may_be_sent_to(&self, person: &Person, purpose: &str, policy: &str, address: Option<usize>) -> bool {
        let (consent_state, _) = self.consent_state_at(person, purpose, address);
        match policy {
            "all" => true,
            "with_consent" => person.gave_data && !matches!(consent_state, "unsubscribed" | "suppressed"),
            "opt_in" => matches!(consent_state, "opted_in" | "double_opted_in"),
            "double_opt_in" => consent_state == "double_opted_in",
            other => panic!("{other}"),
        }
    }
}

/// The addresses that a fact without an address may be about: those of its id, or all of the person's.
fn known_of(person: &Person, fact: &Fact) -> BTreeMap<usize, i64> {
    let own: BTreeMap<usize, i64> = person
        .since_of_id
        .iter()
        .filter(|((id, _), _)| Some(*id) == fact.id)
        .map(|((_, address), at)| (*address, *at))
        .collect();
    if own.is_empty() { person.since.clone() } else { own }
}

/// The address that the newest value of the field names.
pub fn in_use(person: &Person) -> Option<usize> {
    let (_, _, email) = person.fields.get("email")?;
    EMAILS.iter().position(|address| address == email)
}

/// From the lightest to the gravest.
const NOES: [&str; 5] = ["unsubscribed", "inactive", "blocked", "bounced", "complained"];

/// The fields in a message. Empty if the action is not confirmed (row 4), and for visits.
fn fields(message: &Message) -> Vec<(&'static str, String)> {
    let mut fields = Vec::new();
    if message.kind == Kind::Confirm {
        return fields;
    }
    // A cleared field is a value with a time: the empty text.
    let clears = matches!(
        message.kind,
        Kind::SyncForm | Kind::SyncJson | Kind::Joined | Kind::Contact
    );
    if !matches!(message.kind, Kind::Consent | Kind::PageVisit) && (clears || !message.first_name.is_empty())
    {
        fields.push(("firstName", message.first_name.to_owned()));
    }
    if let Some(email) = message.who.email {
        fields.push(("email", EMAILS[email].to_owned()));
    }
    if matches!(message.kind, Kind::SyncForm | Kind::SyncJson | Kind::Joined) {
        if let Some(yes) = message.opt_in {
            fields.push(("Newsletter", if yes { "yes" } else { "no" }.to_owned()));
        }
        if let Some(word) = message.phone {
            fields.push(("Calls", word.to_owned()));
            fields.push(("Calls since", crate::wire::exact(message.later)));
        }
    }
    fields
}

fn facts(message: &Message) -> Vec<Fact> {
    let fact = |purpose, word, at| Fact {
        purpose,
        word,
        page: None,
        at,
        address: None,
        id: None,
    };
    let yes_or_no = |word: &str| if word == "yes" { "opt_in" } else { "unsubscribed" };
    let mut facts = Vec::new();
    match message.kind {
        Kind::ActionV1 | Kind::ActionV2 => {
            facts.extend(of_action(message));
            let calls = message.phone.map(yes_or_no);
            facts.extend(calls.map(|word| fact(PHONE, word, message.later)));
        }
        Kind::EmailStatus => facts.extend(of_status(message)),
        Kind::SyncForm | Kind::SyncJson | Kind::Joined => {
            if message.kind == Kind::Joined {
                facts.push(fact(EMAIL, "opt_in", message.at));
            }
            if let Some(yes) = message.opt_in {
                let word = if yes { "opt_in" } else { "unsubscribed" };
                facts.push(fact(EMAIL, word, message.at));
            }
            // Dated by a field of its own, and never later than the message.
            let calls = message.phone.map(yes_or_no);
            let since = message.later.min(message.at);
            facts.extend(calls.map(|word| fact(PHONE, word, since)));
        }
        Kind::Consent => facts.push(fact(crate::wire::purpose(message), message.word, message.at)),
        _ => {}
    }
    facts
}

/// Rows 6 to 13.
fn of_action(message: &Message) -> Vec<Fact> {
    let fact = |word, page, at| Fact {
        purpose: EMAIL,
        word,
        page,
        at,
        address: None,
        id: None,
    };
    // Version 1 has no status.
    let status = message.status.filter(|_| message.kind == Kind::ActionV2);
    let of_status = match (status, message.opt_in) {
        (Some("double_opt_in"), Some(true)) => Some(fact("double_opt_in", None, message.later)),
        (Some("double_opt_in"), _) => Some(fact("double_opt_in_on_page", Some(message.page), message.later)),
        _ => status
            .and_then(no_of_status)
            .map(|word| fact(word, None, message.later)),
    };
    if let Some(of_status) = of_status {
        // A decline on the form counts beside a status.
        let declined = message.with_consent && message.opt_in == Some(false);
        let declined = declined.then(|| fact("declined", None, message.at));
        return [of_status].into_iter().chain(declined).collect();
    }
    if !message.with_consent {
        return Vec::new();
    }
    let word = match message.opt_in {
        Some(true) if message.waits_for_click => "opt_in_pending",
        Some(true) => "opt_in",
        Some(false) => "declined",
        None => "not_asked",
    };
    vec![fact(word, None, message.at)]
}

/// Rows 15 to 22.
fn of_status(message: &Message) -> Option<Fact> {
    let status = message.status?;
    let click = if message.opt_in == Some(true) {
        ("double_opt_in", None)
    } else {
        ("double_opt_in_on_page", Some(message.page))
    };
    let (word, page) = match status {
        "double_opt_in" => click,
        _ => (no_of_status(status)?, None),
    };
    Some(Fact {
        purpose: EMAIL,
        word,
        page,
        at: message.later,
        address: None,
        id: None,
    })
}

/// Rows 18 to 22.
fn no_of_status(status: &str) -> Option<&'static str> {
    Some(match status {
        "bounce" => "bounced",
        "blocked" => "blocked",
        "spam" => "complained",
        "unsub" => "unsubscribed",
        "inactive" => "inactive",
        _ => return None,
    })
}
