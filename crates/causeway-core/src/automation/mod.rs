//! Automations: what is to follow when something happens to a contact. Part of [`crate::plan`], and as pure.
//!
//! An event becomes [`happening::Happening`]s; [`run::run`] asks each automation of the workspace, in the order of the
//! configuration, whether one of them is its trigger and whether its condition holds, and collects what its steps ask
//! for. Steps that wait become timers, which come back as events of their own ([`crate::event::FollowUp`]).

mod calendar;
mod circles;
mod explain;
mod happening;
mod index;
mod lead;
mod run;
mod steps;
mod synced;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, time::Duration};

pub use calendar::{Clocked, Every, Rhythm};
pub use circles::circles;
pub use explain::{Explained, Verdict};
pub use happening::{Happening, Seen, happenings};
pub(crate) use index::Index;
pub use lead::{Lead, Owner, Scoring, Status};
pub use run::{Moment, Ran, Timer, run};
pub use synced::{GroupRow, SyncTrigger};

use crate::{
    event::EngagementKind,
    id::Name,
    mapping::{Expression, Path, Term},
};

/// Marks the engagement rows that our own scoring rules make.
pub const OWN_SCORE: &str = "rule:";

#[derive(Debug, Clone)]
pub struct Automation {
    pub name: Name,
    pub workspace: Name,
    /// Any of them starts it.
    pub on: Vec<Trigger>,
    /// Has to hold, too.
    pub when: Option<Expression>,
    /// Ends it for the contact: asked when the time of a step that waited has come.
    pub stop: Option<Expression>,
    /// Runs at most once for each contact, else every time.
    pub once: bool,
    /// Starts at most so often an hour; what is beyond waits for an hour that has room.
    pub per_hour: Option<u32>,
    pub then: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Trigger {
    /// A new action; `None` = of any type.
    Action(Option<BTreeSet<String>>),
    /// Somebody is known for the first time, by more than a browser.
    ContactCreated,
    /// A field, tag, list or consent of a known contact changed.
    ContactUpdated,
    FieldChanged(String),
    /// What became of the address, by [`crate::consent::What::as_str`]; `None` = any of what may become of one
    /// ([`happening::is_email_status`]).
    EmailStatus(Option<BTreeSet<String>>),
    ConsentChanged(ConsentTrigger),
    ListJoined(Option<String>),
    TagAdded(Option<String>),
    /// A platform sent its contact, whether or not it says anything new; `None` = whatever it brought.
    Synced(Option<SyncTrigger>),
    Engaged(EngagementKind, Option<Pattern>),
    /// The points reached or passed this number.
    ScoreReached(f64),
    /// The points came to lie in the range of this name.
    StatusReached(String),
    /// A date field of the contact.
    DateReached(Clocked),
    /// The clock alone, for every contact of the workspace that the condition holds for.
    Schedule(Rhythm),
}

/// A change of where a contact stands for a purpose.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsentTrigger {
    pub purpose: Option<String>,
    /// [`crate::consent::Standing::as_str`] afterwards.
    pub to: Option<BTreeSet<String>>,
}

/// An id, name or address; one that ends in `*` stands for all that begin so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(pub String);

impl Pattern {
    pub fn matches(&self, text: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(start) => text.starts_with(start),
            None => text == self.0,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Step {
    pub does: Does,
    /// How long after the automation started.
    pub delay: Option<Duration>,
}

#[derive(Debug, Clone)]
pub enum Does {
    Deliver(Vec<Name>),
    AddTag(String),
    RemoveTag(String),
    SetFields(Vec<(String, Term)>),
    AddScore(Points),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Points {
    /// For a contact whose address is known.
    pub known: f64,
    /// For a visitor of whom only an id is known.
    pub anonymous: f64,
}

impl Automation {
    /// Whether the clock starts it.
    pub fn is_clocked(&self) -> bool {
        self.on
            .iter()
            .any(|trigger| matches!(trigger, Trigger::DateReached(_) | Trigger::Schedule(_)))
    }

    pub(crate) fn listens_to_engagements(&self) -> bool {
        self.on
            .iter()
            .any(|trigger| matches!(trigger, Trigger::Engaged(..)))
    }

    pub(crate) fn listens_to_syncs(&self) -> bool {
        self.on
            .iter()
            .any(|trigger| matches!(trigger, Trigger::Synced(_)))
    }

    /// All destinations that its steps deliver to.
    pub fn destinations(&self) -> impl Iterator<Item = &Name> {
        self.then.iter().flat_map(|step| match &step.does {
            Does::Deliver(names) => names.as_slice(),
            _ => &[],
        })
    }

    /// Whether one of its expressions asks for what the contact did before.
    pub(crate) fn asks_for_history(&self) -> bool {
        self.paths().any(Path::needs_history)
    }

    /// The paths that its expressions name.
    fn paths(&self) -> impl Iterator<Item = &Path> {
        let conditions = [&self.when, &self.stop].into_iter().flatten();
        let terms = self.then.iter().flat_map(|step| match &step.does {
            Does::SetFields(fields) => fields.as_slice(),
            _ => &[],
        });
        conditions
            .flat_map(Expression::names)
            .chain(terms.flat_map(|(_, term)| term.names()))
    }
}
