//! Automations: what follows when something happens to a contact. Part of [`crate::plan`], and as pure.
//!
//! An event becomes [`cause::Cause`]s. [`run::run`] goes through the automations of the workspace in
//! the order of the configuration. If one has a fitting trigger and its condition is true, its steps run.
//! Delayed steps become timers, which come back as events of their own ([`crate::event::FollowUp`]).

mod calendar;
mod cause;
mod circles;
mod explain;
mod index;
mod lead;
mod run;
mod steps;
mod synced;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, time::Duration};

pub use calendar::{DateTrigger, Every, Recurrence};
pub use cause::{AfterEvent, Cause, causes};
pub use circles::circles;
pub use explain::{Explained, Verdict};
pub(crate) use index::Index;
pub use lead::{Lead, OWN_SCORE, Owner, Scoring, Status};
pub use run::{Moment, RunResult, Timer, run};
pub use synced::{GroupRow, SyncTrigger};

use crate::{
    event::EngagementKind,
    id::Name,
    mapping::{Expression, Path, Term},
};

#[derive(Debug, Clone)]
pub struct Automation {
    pub name: Name,
    pub workspace: Name,
    /// Any of these triggers it.
    pub on: Vec<Trigger>,
    /// A condition that must be true as well.
    pub when: Option<Expression>,
    /// A condition that leaves out a delayed step, or a start that `per_hour` postponed. It is checked when
    /// the step or the start is due.
    pub stop: Option<Expression>,
    /// Whether it runs at most once for each contact, or every time.
    pub once: bool,
    /// The limit of runs in an hour. Further ones wait for an hour with room.
    pub per_hour: Option<u32>,
    pub then: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Trigger {
    /// A new action of one of these types; `None` = of any type.
    Action(Option<BTreeSet<String>>),
    /// The contact is known for the first time, by more than a browser.
    ContactCreated,
    /// A field, a tag or the consent state of a known contact changed, or the contact joined a list. Leaving
    /// a list does not count.
    ContactUpdated,
    FieldChanged(String),
    /// A new email status, by [`crate::consent::What::as_str`]; `None` = any except the statuses from a form
    /// ([`cause::is_email_status`]).
    EmailStatus(Option<BTreeSet<String>>),
    ConsentChanged(ConsentTrigger),
    ListJoined(Option<String>),
    TagAdded(Option<String>),
    /// A platform sent its contact, whether or not it says anything new; `None` = with any content.
    Synced(Option<SyncTrigger>),
    Engaged(EngagementKind, Option<Pattern>),
    /// The points reached or passed this number.
    ScoreReached(f64),
    /// The points moved into the range of this status.
    StatusReached(String),
    /// A date field of the contact is due.
    DateReached(DateTrigger),
    /// A schedule, for every contact of the workspace for which the condition is true.
    Schedule(Recurrence),
}

/// A change of the consent state for a purpose.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsentTrigger {
    pub purpose: Option<String>,
    /// [`crate::consent::ConsentState::as_str`] of the new state.
    pub to: Option<BTreeSet<String>>,
}

/// An id, name or address. One that ends in `*` matches everything with that beginning.
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
    /// The delay after the start of the automation.
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
    /// The points for a contact whose address is known.
    pub known: f64,
    /// The points for a visitor of whom only an id is known.
    pub anonymous: f64,
}

impl Automation {
    /// Whether a schedule or a date triggers it.
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

    /// Whether one of its expressions reads the contact's earlier engagements.
    pub(crate) fn asks_for_history(&self) -> bool {
        self.paths().any(Path::needs_history)
    }

    /// The paths that its expressions read.
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
