//! Generates a history from a seed.

mod at_vendors;
mod events;
mod forms;
mod people;
mod petitions;
mod places;

use std::collections::BTreeMap;

use crate::{
    dice::Dice,
    feature::{Feature, Features},
    message::{Content, Message, Says, Seconds, When},
    world::{EPOCHS, History, Source, SourceKind, Space},
};

use people::People;
use petitions::Signed;

const DAY: Seconds = 86_400;

/// Generates the history of a seed.
pub fn history(seed: u64, features: &Features) -> History {
    let mut dice = Dice::new(seed);
    let spaces = places::spaces(&mut dice, features);
    let (low, high) = dice.weighted(&[(65, (50, 90)), (27, (90, 180)), (8, (180, 500))]);
    let count = dice.between(low, high);
    let most = (count / 5).clamp(5, 50);
    let count_of_people = dice.between(5, most);
    let people = People::new(&mut dice, features, count_of_people);
    let mut making = Making {
        dice,
        features,
        people,
        spaces: &spaces,
        messages: Vec::new(),
        moments: Vec::new(),
        lasts: BTreeMap::new(),
        signed: BTreeMap::new(),
        later: Vec::new(),
        next_number: 100,
        next_file: 0,
    };
    making.moments = (0..8).map(|_| making.some_time()).collect();
    making.leave_before();
    while making.messages.len() < count {
        making.step();
    }
    let mut messages = making.messages;
    let first = count * making.dice.between(35, 50) / 100;
    let second = count * making.dice.between(65, 80) / 100;
    for (place, message) in messages.iter_mut().enumerate() {
        message.epoch = usize::from(place >= first) + usize::from(place >= second);
    }
    assert!(messages.iter().all(|message| message.epoch < EPOCHS));
    History {
        seed,
        spaces,
        messages,
    }
}

/// A history during its generation.
struct Making<'a> {
    dice: Dice,
    features: &'a Features,
    people: People,
    spaces: &'a [Space],
    messages: Vec<Message>,
    /// Times that several messages share.
    moments: Vec<Seconds>,
    /// Times of statements about a person, and whether each was an opt-out.
    lasts: BTreeMap<(usize, usize), Vec<(Seconds, bool)>>,
    /// Actions at a workspace's Proca servers, by person.
    signed: BTreeMap<(usize, usize), Vec<Signed>>,
    /// Messages that are postponed, to arrive in another order.
    later: Vec<(usize, Message)>,
    /// The next number for actions, transactions and the like.
    next_number: u64,
    next_file: usize,
}

impl Making<'_> {
    /// Adds the next message, or the next few.
    fn step(&mut self) {
        if let Some(place) = self
            .later
            .iter()
            .position(|(when, _)| *when <= self.messages.len())
        {
            let (_, message) = self.later.swap_remove(place);
            self.push(message);
            return;
        }
        let space = self.dice.below(self.spaces.len());
        if self.has(Feature::AtVendors) && self.dice.chance(8) && self.happen(space) {
            return;
        }
        let source = self.dice.below(self.spaces[space].sources.len());
        let person = self.people.somebody(&mut self.dice);
        match self.kind(space, source).clone() {
            SourceKind::Sync { has_date, is_opt_in } => self.sync(space, source, person, has_date, is_opt_in),
            SourceKind::Form { field, has_time } => self.form(space, source, person, field, has_time),
            SourceKind::Open => self.stranger(space, source, person),
            SourceKind::Proca { .. } => self.petition(space, source, person),
            SourceKind::Events => self.event(space, source, person),
            SourceKind::Office { has_date } => self.file(space, source, has_date),
        }
    }

    fn kind(&self, space: usize, source: usize) -> &SourceKind {
        let Source { kind, .. } = &self.spaces[space].sources[source];
        kind
    }

    fn has(&self, feature: Feature) -> bool {
        self.features.has(feature)
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn push(&mut self, mut message: Message) {
        message.number = self.messages.len();
        // An equal message made by chance looks like a duplicate.
        let twin = self.messages.iter().find(|earlier| {
            earlier.space == message.space
                && earlier.source == message.source
                && earlier.content == message.content
                && !matches!(
                    message.content,
                    Content::Row { .. } | Content::Api(_) | Content::AtVendor { .. }
                )
        });
        message.says.repeats = message.says.repeats.or(twin.map(|twin| twin.number));
        self.messages.push(message);
    }

    /// Adds a message, and sometimes repeats it some messages later.
    fn add(&mut self, space: usize, source: usize, content: Content, says: Says) {
        let message = Message {
            space,
            source,
            epoch: 0,
            number: 0,
            content,
            says,
        };
        let is_file = matches!(message.content, Content::Row { .. } | Content::Api(_));
        self.push(message);
        if !is_file && self.has(Feature::Repeats) && self.dice.chance(12) {
            let Some(mut copy) = self.messages.last().cloned() else {
                return;
            };
            copy.says.repeats = Some(copy.number);
            let when = self.messages.len() + self.dice.weighted(&[(2, 0), (1, 3), (1, 15)]);
            self.later.push((when, copy));
        }
    }

    /// Postpones a message by up to `most` messages.
    fn add_later(&mut self, most: usize, space: usize, source: usize, content: Content, says: Says) {
        let when = self.messages.len() + self.dice.between(1, most);
        self.later.push((
            when,
            Message {
                space,
                source,
                epoch: 0,
                number: 0,
                content,
                says,
            },
        ));
    }

    /// A time in the past, or with [`Feature::Late`] sometimes in the future. Never near the run itself, which dates the messages
    /// without a time.
    fn some_time(&mut self) -> Seconds {
        let second = Seconds::try_from(self.dice.below(28 * 86_400)).unwrap_or(0);
        if self.has(Feature::Late) && self.dice.chance(4) {
            return if self.dice.chance(50) {
                3 * DAY + second / 28
            } else {
                -900 * DAY - second
            };
        }
        -2 * 3600 - second
    }

    /// A time for a statement about a person, often near another one.
    fn time_for(&mut self, space: usize, person: usize, is_opt_out: bool, is_click: bool) -> Seconds {
        let lasts = self.lasts.get(&(space, person)).cloned().unwrap_or_default();
        let time = if !lasts.is_empty() && self.dice.chance(35) {
            let (last, was_opt_out) = *self.dice.pick(&lasts);
            let is_scanned = is_click && was_opt_out;
            let offsets: &[Seconds] = match (self.has(Feature::Ties), self.has(Feature::Scanner)) {
                (true, true) => &[0, 0, 1, -1, 120, 400, 3600],
                (true, false) => &[0, 0, 1, -1, 400, 3600],
                (false, true) => &[120, 400, 3600],
                (false, false) => &[400, 3600],
            };
            let mut offset = *self.dice.pick(offsets);
            if is_scanned && !self.has(Feature::Scanner) && (1..=300).contains(&offset) {
                offset = 400;
            }
            last + offset
        } else if self.has(Feature::Ties) && self.dice.chance(30) {
            *self.dice.pick(&self.moments)
        } else {
            self.some_time()
        };
        let time = if (-3600..2 * DAY).contains(&time) {
            -2 * 3600
        } else {
            time
        };
        self.lasts
            .entry((space, person))
            .or_default()
            .push((time, is_opt_out));
        time
    }
}

/// An action with an opt-in, on an own page.
#[cfg(test)]
pub fn example(number: u64, address: &str) -> crate::message::Proca {
    crate::message::Proca {
        is_event: false,
        version: 2,
        stage: "deliver",
        action: number,
        page: 1,
        org: crate::world::Org::Ours,
        campaign: "rivers",
        action_type: "petition",
        email: Some(address.to_owned()),
        reference: Some(format!("ref-of-{address}")),
        first_name: "Name".to_owned(),
        with_consent: true,
        opt_in: Some(true),
        given: -7200,
        status: None,
        changed: -7140,
        is_test: false,
        seal: crate::message::Seal::Open,
        extra: None,
        rank: 0,
    }
}

/// The date of a statement: `at`, or its arrival.
fn when(at: Option<Seconds>) -> When {
    at.map_or(When::Arrival, When::At)
}
