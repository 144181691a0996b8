//! Generates Proca's messages: actions, events about addresses, and messages without a supporter's statement.

use super::{
    Making,
    people::{first_name, nobody},
    places::{ACTION_TYPES, CAMPAIGNS},
};
use crate::{
    feature::Feature,
    message::{AtProca, Content, Id, Proca, Says, Seal, Seconds, Statement, Value, When, Word},
    world::{Org, Server, SourceKind},
};

/// A generated action, for later messages that refer to it.
#[derive(Clone)]
pub struct Signed {
    server: Server,
    source: usize,
    proca: Proca,
    address: usize,
    reference: Id,
}

const NEGATIVE: [(usize, &str); 5] = [
    (40, "unsub"),
    (20, "bounce"),
    (10, "blocked"),
    (20, "spam"),
    (10, "inactive"),
];

impl Making<'_> {
    pub(super) fn petition(&mut self, space: usize, source: usize, person: usize) {
        let SourceKind::Proca { server, has_api, .. } = *self.kind(space, source) else {
            return;
        };
        let known: Vec<Signed> = self
            .signed
            .get(&(space, person))
            .into_iter()
            .flatten()
            .filter(|signed| signed.server == server && signed.source == source)
            .cloned()
            .collect();
        if known.is_empty() || self.dice.chance(40) {
            return self.sign(space, source, person, server, has_api);
        }
        let signed = self.dice.pick(&known).clone();
        match self.dice.below(20) {
            0..=10 => self.status(space, person, &signed),
            11..=14 => self.share(space, person, &signed),
            15..=16 if self.has(Feature::Requeue) => self.requeue(space, &signed),
            17 if has_api => self.at_proca(space, person, &signed),
            17..=18 => self.nobodys_word(space, &signed),
            _ => self.sign(space, source, person, server, has_api),
        }
    }

    fn page(&mut self, server: Server) -> (u64, Org) {
        let page = if self.has(Feature::Coalition) {
            self.dice.between(1, 6)
        } else {
            self.dice.between(1, 2)
        };
        let org = match (server, page) {
            (Server::Live, 1 | 2) | (Server::Staging, 1 | 2 | 5 | 6) => Org::Ours,
            (Server::Live | Server::Staging, 3) => Org::Sister,
            (Server::Live | Server::Staging, _) => Org::Partner,
        };
        (page as u64, org)
    }

    fn sign(&mut self, space: usize, source: usize, person: usize, server: Server, has_api: bool) {
        let address = self.people.address_of(&mut self.dice, person);
        let mailbox = self.people.mailbox(address).to_owned();
        let reference = self.people.reference(server, address);
        let (page, org) = self.page(server);
        let given = self.time_for(space, person, false, false);
        let opt_in = self
            .dice
            .weighted(&[(55, Some(true)), (25, Some(false)), (20, None)]);
        let status = match self.dice.below(100) {
            0..=11 => Some("double_opt_in"),
            12..=18 => Some(self.negative()),
            _ => None,
        };
        let is_old = status.is_none() && self.dice.chance(6);
        let seal = if !is_old && self.dice.chance(10) {
            Seal::Known
        } else {
            Seal::Open
        };
        let extra = (self.has(Feature::StrangerValues) && self.dice.chance(6))
            .then(|| self.odd_pair(crate::message::Shape::Json));
        let proca = Proca {
            is_event: false,
            version: if is_old { 1 } else { 2 },
            stage: "deliver",
            action: self.number(),
            page,
            org,
            campaign: CAMPAIGNS[usize::try_from(page).unwrap_or(0) % CAMPAIGNS.len()],
            action_type: self.dice.pick::<&str>(&ACTION_TYPES),
            email: Some(self.people.spelled(&mut self.dice, &mailbox)),
            reference: Some(reference.name.clone()),
            first_name: first_name(person),
            with_consent: true,
            opt_in,
            given,
            status,
            changed: given + 60,
            is_test: false,
            seal,
            extra,
            rank: 0,
        };
        let signed = Signed {
            server,
            source,
            proca,
            address,
            reference,
        };
        self.signed
            .entry((space, person))
            .or_default()
            .push(signed.clone());
        if has_api && self.dice.chance(12) {
            let content = Content::Api(AtProca::Lost(signed.proca.clone()));
            let says = self.says(&signed, &signed.proca);
            return self.add(space, source, content, says);
        }
        // The event may come before its action.
        if signed.proca.status.is_none() && self.dice.chance(10) {
            self.status(space, person, &signed);
            let says = self.says(&signed, &signed.proca);
            return self.add_later(8, space, source, Content::Proca(signed.proca.clone()), says);
        }
        let mut proca = signed.proca.clone();
        if self.has(Feature::Placeholders) && self.dice.chance(5) {
            proca.reference = Some(nobody(&mut self.dice));
        }
        self.send(space, &signed, proca);
    }

    fn negative(&mut self) -> &'static str {
        if self.has(Feature::OwnSuppression) {
            self.dice.weighted(&NEGATIVE)
        } else {
            "unsub"
        }
    }

    /// An event about the address of an action.
    fn status(&mut self, space: usize, person: usize, signed: &Signed) {
        let status = match self.dice.below(20) {
            0..=8 => "double_opt_in",
            9 => "active",
            10 => "soft",
            _ => self.negative(),
        };
        let is_click = status == "double_opt_in";
        let changed = self
            .time_for(space, person, !is_click, is_click)
            .max(signed.proca.given + 1);
        let changed = if (-3600..0).contains(&changed) {
            -3600
        } else {
            changed
        };
        let is_lost = !is_click && self.has(Feature::UnknownKey) && self.dice.chance(12);
        let seal = if is_lost {
            Seal::Unknown
        } else if self.dice.chance(8) {
            Seal::Known
        } else {
            Seal::Open
        };
        let proca = Proca {
            is_event: true,
            version: 2,
            status: Some(status),
            changed,
            with_consent: false,
            seal,
            extra: None,
            ..signed.proca.clone()
        };
        self.send(space, signed, proca);
    }

    /// A later action without the form: it repeats the old answer.
    fn share(&mut self, space: usize, person: usize, signed: &Signed) {
        let status = match self.dice.below(10) {
            0..=2 if self.has(Feature::ShareClick) => Some("double_opt_in"),
            3 => Some(self.negative()),
            _ => None,
        };
        let is_click = status == Some("double_opt_in");
        let changed = match status {
            Some(_) => self
                .time_for(space, person, !is_click, is_click)
                .max(signed.proca.given + 1),
            None => signed.proca.given,
        };
        let proca = Proca {
            action: self.number(),
            action_type: "share",
            version: 2,
            with_consent: false,
            status,
            changed,
            extra: None,
            seal: Seal::Open,
            ..signed.proca.clone()
        };
        self.send(space, signed, proca);
    }

    /// Proca publishes the page owner's copy with the requesting organisation's answer. Both have the same time.
    fn requeue(&mut self, space: usize, signed: &Signed) {
        let opt_in = match signed.proca.opt_in {
            Some(answer) => Some(!answer),
            None => Some(true),
        };
        let proca = Proca {
            opt_in,
            rank: signed.proca.rank + 1,
            status: None,
            ..signed.proca.clone()
        };
        self.send(space, signed, proca);
    }

    /// Messages of staff, test actions, and unconfirmed actions: none is a supporter's statement.
    fn nobodys_word(&mut self, space: usize, signed: &Signed) {
        let mut proca = Proca {
            action: self.number(),
            version: 2,
            opt_in: Some(true),
            ..signed.proca.clone()
        };
        match self.dice.below(4) {
            0 => proca.is_test = true,
            1 => proca.stage = "supporter_confirm",
            2 => proca.stage = "action_confirm",
            _ => proca.stage = "system",
        }
        self.send(space, signed, proca);
    }

    fn at_proca(&mut self, space: usize, person: usize, signed: &Signed) {
        let action = signed.proca.action;
        let what = match self.dice.below(4) {
            0 => AtProca::Rejected { action },
            1 => AtProca::NeverAccepted(Proca {
                action: self.number(),
                opt_in: Some(true),
                ..signed.proca.clone()
            }),
            2 => {
                let status = if self.dice.chance(50) {
                    "double_opt_in"
                } else {
                    self.negative()
                };
                let is_click = status == "double_opt_in";
                let changed = self
                    .time_for(space, person, !is_click, is_click)
                    .max(signed.proca.given + 1);
                AtProca::Status {
                    action,
                    status,
                    changed,
                }
            }
            _ => AtProca::Erased { action },
        };
        let says = match &what {
            AtProca::Status { status, changed, .. } => {
                let proca = Proca {
                    is_event: true,
                    status: Some(status),
                    changed: *changed,
                    with_consent: false,
                    ..signed.proca.clone()
                };
                self.says(signed, &proca)
            }
            // A person who vanished from the list may have asked for erasure.
            AtProca::Rejected { .. } | AtProca::Erased { .. } => Says {
                words: vec![Word::NotMe],
                ..self.says(signed, &signed.proca)
            },
            AtProca::Lost(_) | AtProca::NeverAccepted(_) => Says {
                words: Vec::new(),
                ..self.says(signed, &signed.proca)
            },
        };
        self.add(space, signed.source, Content::Api(what), says);
    }

    fn send(&mut self, space: usize, signed: &Signed, proca: Proca) {
        let says = self.says(signed, &proca);
        self.add(space, signed.source, Content::Proca(proca), says);
    }

    fn says(&self, signed: &Signed, proca: &Proca) -> Says {
        let is_readable = proca.seal != Seal::Unknown;
        let has_reference = proca.reference.as_ref() == Some(&signed.reference.name);
        let at: Seconds = if proca.is_event {
            proca.changed
        } else {
            proca.given
        };
        let is_supporter = proca.stage == "deliver" && !proca.is_test;
        let statement = Statement {
            is_event: proca.is_event,
            stage: proca.stage,
            is_test: proca.is_test,
            is_readable,
            action: proca.action,
            page: proca.page,
            org: proca.org,
            with_consent: proca.with_consent,
            opt_in: proca.opt_in,
            given: proca.given,
            status: proca.status,
            changed: proca.changed,
        };
        Says {
            id: None,
            reference: (is_supporter && has_reference).then(|| signed.reference.clone()),
            address: (is_supporter && is_readable).then(|| self.people.mailbox(signed.address).to_owned()),
            words: vec![Word::Proca(statement)],
            at: When::At(at),
            campaign: Some(proca.campaign),
            action_type: (!proca.is_event).then_some(proca.action_type),
            has_form: is_supporter && proca.with_consent && is_readable,
            is_bad: proca
                .extra
                .as_ref()
                .is_some_and(|(_, value)| *value != Value::Text(String::new())),
            repeats: None,
            has_number: true,
        }
    }
}
