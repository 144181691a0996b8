//! Which values a withdrawal may be sent without.
//!
//! Invariant: a withdrawal names the person and says what becomes of their consent. Any other value that
//! fails is left out, and noted.
//!
//! The reason: anybody can type anything into a form for somebody else's address, and that must not stop a
//! later opt-out.

use std::fmt::Display;

use crate::{mapping::ConsentShown, record::Record};

/// What a value is made from, as far as it matters to a withdrawal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reads {
    pub person: Person,
    pub consent: ConsentShown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Person {
    No,
    /// A field of the contact. The destination may identify the person by it.
    Data,
    /// The address, or an id.
    Identity,
}

impl Reads {
    pub const NOTHING: Self = Self {
        person: Person::No,
        consent: ConsentShown::NOTHING,
    };

    pub const EVERYTHING: Self = Self {
        person: Person::Identity,
        consent: ConsentShown::All,
    };

    pub fn of_person(person: Person) -> Self {
        Self {
            person,
            ..Self::NOTHING
        }
    }

    pub fn of_consent(consent: ConsentShown) -> Self {
        Self {
            consent,
            ..Self::NOTHING
        }
    }

    pub fn add(&mut self, more: Self) {
        self.person = self.person.max(more.person);
        self.consent.add(more.consent);
    }

    /// Whether the kept values show everything that the lost value would have shown.
    fn cover(&self, lost: &Self) -> bool {
        let is_known = lost.person == Person::No || self.person == Person::Identity;
        is_known && self.consent.covers(&lost.consent)
    }
}

/// The values that were kept in one delivery, and those that were left out.
#[derive(Debug)]
pub struct Omissions {
    is_withdrawal: bool,
    kept: Reads,
    lost: Vec<(Reads, String)>,
    notes: Vec<String>,
}

impl Omissions {
    pub fn of(record: &Record) -> Self {
        Self {
            is_withdrawal: record.is_withdrawal(),
            kept: Reads::NOTHING,
            lost: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub fn is_withdrawal(&self) -> bool {
        self.is_withdrawal
    }

    /// Takes the result of computing a value. `Ok(None)`: the value failed, and the withdrawal is sent
    /// without it.
    pub fn take<T, E: Display>(
        &mut self,
        reads: impl FnOnce() -> Reads,
        made: Result<T, E>,
    ) -> Result<Option<T>, E> {
        match made {
            Ok(value) => {
                if self.is_withdrawal {
                    self.kept.add(reads());
                }
                Ok(Some(value))
            }
            Err(error) if self.is_withdrawal => {
                let reason = error.to_string();
                self.note(format!("left out: {reason}"));
                self.lost.push((reads(), reason));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Records a value that cannot fail.
    pub fn keep(&mut self, reads: Reads) {
        self.kept.add(reads);
    }

    /// Adds a note, unless it is there already.
    pub fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Returns the notes, or the reason why the withdrawal cannot be sent: it does not name the person, or
    /// does not say what they withdrew.
    pub fn finish(self) -> Result<Vec<String>, String> {
        match self.lost.into_iter().find(|(reads, _)| !self.kept.cover(reads)) {
            Some((_, reason)) => Err(reason),
            None => Ok(self.notes),
        }
    }
}
