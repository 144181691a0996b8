//! What a withdrawal may lack. It has to say who the person is and what becomes of their consent; whatever else cannot be
//! worked out or sent is left out, and noted.
//!
//! Anybody may type anything into a form for an address that is not theirs. None of it may stop the later opt-out.

use std::fmt::Display;

use crate::{mapping::Tells, record::Record};

/// What a value is made of, as far as a withdrawal depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reads {
    pub person: Person,
    pub consent: Tells,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Person {
    No,
    /// What is known of the person. One of the fields may be what a destination knows them by.
    Data,
    /// The address, or an id.
    Identity,
}

impl Reads {
    pub const NOTHING: Self = Self {
        person: Person::No,
        consent: Tells::NOTHING,
    };

    pub const EVERYTHING: Self = Self {
        person: Person::Identity,
        consent: Tells::All,
    };

    pub fn of_person(person: Person) -> Self {
        Self {
            person,
            ..Self::NOTHING
        }
    }

    pub fn of_consent(consent: Tells) -> Self {
        Self {
            consent,
            ..Self::NOTHING
        }
    }

    pub fn add(&mut self, more: Self) {
        self.person = self.person.max(more.person);
        self.consent.add(more.consent);
    }

    /// Whether what these say makes up for the loss of `lost`.
    fn cover(&self, lost: &Self) -> bool {
        let is_known = lost.person == Person::No || self.person == Person::Identity;
        is_known && self.consent.covers(&lost.consent)
    }
}

/// What was left out of one delivery.
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

    /// Takes a value that was worked out, or not. `Ok(None)`: it is left out of a withdrawal.
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

    /// The same of what needs no working out.
    pub fn keep(&mut self, reads: Reads) {
        self.kept.add(reads);
    }

    /// Once each.
    pub fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// The notes, or why the withdrawal cannot be sent: it must say who the person is and what they withdrew.
    pub fn finish(self) -> Result<Vec<String>, String> {
        match self.lost.into_iter().find(|(reads, _)| !self.kept.cover(reads)) {
            Some((_, reason)) => Err(reason),
            None => Ok(self.notes),
        }
    }
}
