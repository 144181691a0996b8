//! An index of a workspace's automations, made when the configuration is read: which automations an event may
//! trigger, and which paths their conditions read.

use std::{collections::BTreeMap, sync::Arc};

use super::{Automation, Cause, Trigger};
use crate::{
    id::Name,
    mapping::{Expression, Path, Route},
};

/// Automations by their position in the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    actions: Vec<usize>,
    created: Vec<usize>,
    updated: Vec<usize>,
    fields: BTreeMap<String, Vec<usize>>,
    email_status: Vec<usize>,
    consent: Vec<usize>,
    lists: Vec<usize>,
    /// Automations that listen to any tag.
    tags: Vec<usize>,
    tag: BTreeMap<String, Vec<usize>>,
    engaged: Vec<usize>,
    synced: Vec<usize>,
    scores: Vec<usize>,
    clock: Vec<usize>,
    /// Whether an expression reads the names of the changed fields.
    pub(super) names_changed: bool,
    /// All paths of conditions, sorted by name.
    pub(super) paths: Vec<(Name, Route)>,
    /// For each automation, the paths of its conditions.
    looks: Vec<Looks>,
}

/// Positions in [`Index::paths`].
#[derive(Debug, Clone, Default)]
struct Looks {
    when: Vec<usize>,
    stop: Vec<usize>,
}

/// The name in expressions for the list of changed fields.
pub(super) const CHANGED: &str = "changed";

/// One of the two conditions of an automation.
#[derive(Debug, Clone, Copy)]
pub(super) enum Condition {
    When,
    Stop,
}

impl Condition {
    /// The prefix of an error in this condition.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::When => "when: ",
            Self::Stop => "stop: ",
        }
    }
}

impl Index {
    pub(crate) const fn new() -> Self {
        Self {
            actions: Vec::new(),
            created: Vec::new(),
            updated: Vec::new(),
            fields: BTreeMap::new(),
            email_status: Vec::new(),
            consent: Vec::new(),
            lists: Vec::new(),
            tags: Vec::new(),
            tag: BTreeMap::new(),
            engaged: Vec::new(),
            synced: Vec::new(),
            scores: Vec::new(),
            clock: Vec::new(),
            names_changed: false,
            paths: Vec::new(),
            looks: Vec::new(),
        }
    }

    pub(crate) fn of(automations: &[Arc<Automation>]) -> Self {
        let mut index = Self::new();
        let mut all = automations.iter().flat_map(|automation| automation.paths());
        index.names_changed = all.any(|path| path.steps.first().is_some_and(|root| root == CHANGED));
        let conditions = automations
            .iter()
            .flat_map(|automation| [&automation.when, &automation.stop]);
        let paths = conditions.flatten().flat_map(Expression::names);
        let paths: BTreeMap<Name, &Path> = paths.map(|path| (path.to_string().into(), path)).collect();
        let numbers: BTreeMap<&[String], usize> = paths.values().map(|path| &*path.steps).zip(0..).collect();
        let look = |condition: &Option<Expression>| {
            let paths = condition.iter().flat_map(Expression::names);
            paths
                .map(|path| numbers.get(&*path.steps).copied().unwrap_or(usize::MAX))
                .collect()
        };
        for (place, automation) in automations.iter().enumerate() {
            for trigger in &automation.on {
                let listeners = index.listeners(trigger);
                // Two triggers of one automation may be of the same sort.
                if listeners.last() != Some(&place) {
                    listeners.push(place);
                }
            }
            index.looks.push(Looks {
                when: look(&automation.when),
                stop: look(&automation.stop),
            });
        }
        index.paths = paths
            .into_iter()
            .map(|(name, path)| (name, path.route()))
            .collect();
        index
    }

    fn listeners(&mut self, trigger: &Trigger) -> &mut Vec<usize> {
        match trigger {
            Trigger::Action(_) => &mut self.actions,
            Trigger::ContactCreated => &mut self.created,
            Trigger::ContactUpdated => &mut self.updated,
            Trigger::FieldChanged(field) => self.fields.entry(field.clone()).or_default(),
            Trigger::EmailStatus(_) => &mut self.email_status,
            Trigger::ConsentChanged(_) => &mut self.consent,
            Trigger::ListJoined(_) => &mut self.lists,
            Trigger::TagAdded(None) => &mut self.tags,
            Trigger::TagAdded(Some(tag)) => self.tag.entry(tag.clone()).or_default(),
            Trigger::Engaged(..) => &mut self.engaged,
            Trigger::Synced(_) => &mut self.synced,
            Trigger::ScoreReached(_) | Trigger::StatusReached(_) => &mut self.scores,
            Trigger::DateReached(_) | Trigger::Schedule(_) => &mut self.clock,
        }
    }

    /// Whether points or a status can trigger any of them.
    pub(crate) fn listens_to_scores(&self) -> bool {
        !self.scores.is_empty()
    }

    /// A superset of the automations that `cause` triggers.
    pub(super) fn may_start(&self, cause: &Cause) -> impl Iterator<Item = usize> {
        let mut named: &[usize] = &[];
        let all = match cause {
            Cause::Action { .. } => &self.actions,
            Cause::ContactCreated => &self.created,
            Cause::ContactUpdated => &self.updated,
            Cause::FieldChanged { field } => {
                named = self.fields.get(field).map_or(&[], Vec::as_slice);
                &[][..]
            }
            Cause::EmailStatus { .. } => &self.email_status,
            Cause::ConsentChanged { .. } => &self.consent,
            Cause::ListJoined { .. } => &self.lists,
            Cause::TagAdded { tag } => {
                named = self.tag.get(tag).map_or(&[], Vec::as_slice);
                &self.tags
            }
            Cause::Engaged { .. } => &self.engaged,
            Cause::Synced { .. } => &self.synced,
            Cause::Score { .. } => &self.scores,
            Cause::Clock { .. } => &self.clock,
        };
        all.iter().chain(named).copied()
    }

    /// Positions of the paths that a condition reads.
    pub(super) fn looks(&self, automation: usize, condition: Condition) -> &[usize] {
        self.looks.get(automation).map_or(&[], |looks| match condition {
            Condition::When => &looks.when,
            Condition::Stop => &looks.stop,
        })
    }
}
