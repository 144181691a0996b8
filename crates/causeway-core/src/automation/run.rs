//! Checks the automations, and applies their steps to the contact.

use std::{cell::OnceCell, mem, sync::Arc};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    Automation, Cause, Explained, Verdict,
    index::{CHANGED, Condition},
};
use crate::{
    contact::Contact,
    event::{Due, Engagement, Event},
    id::Name,
    mapping::{Expression, Held, Scope},
    record::Record,
    rules::WorkspaceRule,
};

const HOUR_MS: i64 = 3_600_000;
/// Maximum bytes of a condition's value that are kept for the trace.
const SHOWN_BYTES: usize = 200;

/// What is known when automations run.
pub struct Moment<'a> {
    pub rules: &'a WorkspaceRule,
    pub event: &'a Event,
    pub now: Timestamp,
    /// The record that expressions read, with this contact. Called at most once.
    pub record: &'a dyn Fn(Contact) -> Record,
    /// The newest hour that an automation was admitted to (hours since 1970), and how often.
    pub last_hour: &'a dyn Fn(&str) -> Option<(i64, u32)>,
    /// Whether the contact already has this engagement.
    pub knows: &'a dyn Fn(&Engagement) -> bool,
}

/// What the automations ask for.
#[derive(Debug, Default, PartialEq)]
pub struct RunResult {
    /// Destination, and the automation that sends to it.
    pub deliveries: Vec<(Name, Name)>,
    pub timers: Vec<Timer>,
    /// Rows of points.
    pub engagements: Vec<Engagement>,
    /// Automation, and the hour (since 1970) that it was admitted to, to be counted.
    pub admitted: Vec<(Name, i64)>,
    pub explained: Explained,
}

/// A delayed part of an automation. It comes back as an event when it is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Timer {
    pub automation: Name,
    pub due: Due,
    pub due_at: Timestamp,
    /// As in [`crate::event::FollowUp`].
    pub hops: u8,
    pub chain: Vec<Name>,
}

/// Runs the automations that `happened` triggers, and those that their changes trigger in turn. Changes the
/// contact.
pub fn run(moment: &Moment<'_>, contact: &mut Contact, happened: Vec<Cause>) -> RunResult {
    let mut run = Run {
        moment,
        contact,
        scope: None,
        shown: vec![None; moment.rules.index.paths.len()],
        held: moment.rules.index.paths.iter().map(|_| OnceCell::new()).collect(),
        changed: changed_names(moment.rules, &happened).collect(),
        out: RunResult::default(),
        ran: vec![false; moment.rules.automations.len()],
        asked: vec![false; moment.rules.automations.len()],
        hops: 0,
        chain: Vec::new(),
    };
    let mut happened = happened;
    if let Some(row) = &moment.event.follow_up {
        run.hops = row.hops;
        run.chain.clone_from(&row.chain);
        if let Some((name, due @ (Due::Postponed | Due::Step(_)))) = &row.automation {
            run.chain.retain(|known| known != name);
            run.chain.push(Name::clone(name));
            happened.extend(run.follow_up(name, *due));
        }
    }
    // This ends, because each automation runs at most once for an event.
    while !happened.is_empty() {
        happened = run.round(&happened);
    }
    run.end()
}

/// Names of the changed fields for expressions. Empty if no expression reads them.
pub(super) fn changed_names(rules: &WorkspaceRule, happened: &[Cause]) -> impl Iterator<Item = Value> {
    let happened = if rules.index.names_changed { happened } else { &[] };
    happened.iter().filter_map(|cause| match cause {
        Cause::FieldChanged { field } => Some(field.as_str().into()),
        _ => None,
    })
}

pub(super) struct Run<'a> {
    pub(super) moment: &'a Moment<'a>,
    /// Empty while `scope` holds the contact.
    contact: &'a mut Contact,
    /// Made when first needed. It holds the contact from then on, so that expressions see changes.
    pub(super) scope: Option<Scope>,
    /// The value at each path when a condition first read it, by position in the index; for the explanation.
    shown: Vec<Option<Value>>,
    /// The current value at each path.
    pub(super) held: Vec<OnceCell<Held>>,
    /// Names of the changed fields. Empty while `scope` holds them.
    pub(super) changed: Vec<Value>,
    pub(super) out: RunResult,
    /// By position in the configuration.
    ran: Vec<bool>,
    asked: Vec<bool>,
    /// How many responses led to the event.
    hops: u8,
    /// The automations whose delays led to the event. The last one is the one that is due now.
    chain: Vec<Name>,
}

impl Run<'_> {
    fn end(mut self) -> RunResult {
        if let Some(scope) = self.scope {
            *self.contact = scope.into_contact();
        }
        let names = self.moment.rules.index.paths.iter().map(|(name, _)| name);
        let shown = names.zip(self.shown).filter_map(|(name, value)| {
            let value = value.filter(is_short)?;
            Some((name.clone(), value))
        });
        self.out.explained.values = shown.collect();
        self.out
    }

    fn round(&mut self, happened: &[Cause]) -> Vec<Cause> {
        let rules = self.moment.rules;
        let mut starts = vec![false; rules.automations.len()];
        for cause in happened {
            for place in rules.index.may_start(cause) {
                let (Some(starts), Some(automation)) = (starts.get_mut(place), rules.automations.get(place))
                else {
                    continue;
                };
                let is = |trigger| cause.is(trigger, &automation.name);
                *starts = *starts || automation.on.iter().any(is);
            }
        }
        let mut caused = Vec::new();
        let many = starts.iter().filter(|starts| **starts).count();
        self.out.explained.asked.reserve(many);
        for (place, automation) in rules.automations.iter().enumerate() {
            if starts.get(place) == Some(&true) && self.ran.get(place) == Some(&false) {
                let verdict = self.ask(place, automation, happened, &mut caused);
                if let Some(ran) = self.ran.get_mut(place) {
                    *ran = matches!(verdict, Verdict::Ran(_) | Verdict::Postponed(_));
                }
                self.note(place, &automation.name, verdict);
            }
        }
        caused
    }

    /// Notes the verdict on an automation. If there are several, the last one counts.
    fn note(&mut self, place: usize, automation: &Name, verdict: Verdict) {
        let asked = &mut self.out.explained.asked;
        if let Some(before) = self.asked.get_mut(place)
            && mem::replace(before, true)
        {
            asked.retain(|(name, _)| name != automation);
        }
        asked.push((automation.clone(), verdict));
    }

    pub(super) fn contact(&self) -> &Contact {
        self.scope
            .as_ref()
            .map_or(&*self.contact, |scope| &scope.record().contact)
    }

    pub(super) fn contact_mut(&mut self) -> &mut Contact {
        match &mut self.scope {
            Some(scope) => &mut scope.record_mut().contact,
            None => self.contact,
        }
    }

    fn ask(
        &mut self,
        place: usize,
        automation: &Automation,
        happened: &[Cause],
        caused: &mut Vec<Cause>,
    ) -> Verdict {
        if automation.once && self.contact().ran.contains_key(&automation.name) {
            return Verdict::RanBefore;
        }
        match self.holds(place, Condition::When, automation.when.as_ref()) {
            None | Some(Ok(true)) => {}
            Some(Ok(false)) => return Verdict::ConditionFalse,
            Some(Err(error)) => return Verdict::Failed(error),
        }
        // Each automation runs once within one event, but through delays two could trigger each other for
        // ever.
        if let Some(before) = self.chain.iter().position(|name| *name == automation.name) {
            let through = self.chain.iter().skip(before.saturating_add(1));
            return Verdict::Circle(through.map(Name::clone).collect());
        }
        if let Some(hour) = self.hour(automation) {
            self.out.admitted.push((automation.name.clone(), hour));
            let this_hour = self.moment.now.as_millisecond().div_euclid(HOUR_MS);
            if hour > this_hour {
                let start = hour.saturating_mul(HOUR_MS);
                self.mark(automation);
                let due_at = Timestamp::from_millisecond(start).unwrap_or(Timestamp::MAX);
                self.put_off(automation, Due::Postponed, due_at);
                return Verdict::Postponed(start);
            }
        }
        self.take(automation, None, happened, caused)
    }

    /// Runs the delayed part of an automation that is due now, unless its stop condition is true.
    fn follow_up(&mut self, name: &Name, due: Due) -> Vec<Cause> {
        let mut caused = Vec::new();
        let mut all = self.moment.rules.automations.iter().enumerate();
        let Some((place, automation)) = all.find(|(_, automation)| automation.name == *name) else {
            self.out.explained.asked.push((name.clone(), Verdict::Gone));
            return caused;
        };
        let only = match due {
            Due::Step(step) => Some(step),
            Due::Clock | Due::Postponed => None,
        };
        let is_there = only.is_none_or(|step| automation.then.get(usize::from(step)).is_some());
        let verdict = match self.holds(place, Condition::Stop, automation.stop.as_ref()) {
            _ if !is_there => Verdict::Gone,
            Some(Ok(true)) => Verdict::Stopped,
            None | Some(Ok(false)) => self.take(automation, only, &[], &mut caused),
            Some(Err(error)) => Verdict::Failed(error),
        };
        if let Some(ran) = self.ran.get_mut(place) {
            *ran = true;
        }
        self.note(place, name, verdict);
        caused
    }

    /// `None` = there is no such condition.
    fn holds(
        &mut self,
        place: usize,
        which: Condition,
        condition: Option<&Expression>,
    ) -> Option<Result<bool, Name>> {
        let condition = condition?;
        let looks = self.moment.rules.index.looks(place, which);
        // Makes the scope if it is missing.
        self.scope();
        let scope = self.scope.as_ref()?;
        for number in looks {
            let path = self.moment.rules.index.paths.get(*number);
            if let (Some(shown @ None), Some((_, route))) = (self.shown.get_mut(*number), path) {
                *shown = Some(scope.value_at(route).unwrap_or(Value::Null));
            }
        }
        Some(condition.holds(scope, &self.held, looks, which.words()))
    }

    pub(super) fn scope(&mut self) -> &Scope {
        self.scope.get_or_insert_with(|| {
            let record = (self.moment.record)(mem::take(self.contact));
            Scope::of(Arc::new(record)).with(CHANGED, mem::take(&mut self.changed).into())
        })
    }

    /// The hour that it is admitted to, if its runs are limited.
    fn hour(&self, automation: &Automation) -> Option<i64> {
        let limit = automation.per_hour?;
        let this_hour = self.moment.now.as_millisecond().div_euclid(HOUR_MS);
        Some(match (self.moment.last_hour)(&automation.name) {
            Some((hour, count)) if hour >= this_hour && count >= limit => hour.saturating_add(1),
            Some((hour, _)) => hour.max(this_hour),
            None => this_hour,
        })
    }

    pub(super) fn put_off(&mut self, automation: &Automation, due: Due, due_at: Timestamp) {
        self.out.timers.push(Timer {
            automation: automation.name.clone(),
            due,
            due_at,
            hops: self.hops,
            chain: self.chain.clone(),
        });
    }

    pub(super) fn mark(&mut self, automation: &Automation) {
        if automation.once {
            let at = self.moment.event.at;
            self.contact_mut()
                .ran
                .entry(automation.name.clone())
                .or_insert(at);
        }
    }
}

fn is_short(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => true,
        // A byte takes at most six bytes in JSON.
        Value::String(text) if text.len() < SHOWN_BYTES / 6 => true,
        _ => value.to_string().len() <= SHOWN_BYTES,
    }
}
