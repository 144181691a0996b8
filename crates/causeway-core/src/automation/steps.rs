//! The steps of an automation: what they change at once, and the deliveries and timers that they plan.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    Automation, Cause, Does, Points, Verdict,
    cause::{change, score},
    index::CHANGED,
    lead::{Reached, own_key},
    run::{Run, changed_names},
};
use crate::{
    contact::TAG,
    event::{Due, Engagement, EngagementKind, Event},
    id::Name,
};

/// A step with its values computed. All values are computed first, so that nothing happens if one fails.
enum Ready<'a> {
    Later(u16, std::time::Duration),
    Deliver(&'a [Name]),
    Tag(&'a str, bool),
    Fields(BTreeMap<String, Value>),
    Score(Points),
}

impl Run<'_> {
    /// Runs all steps, or only the one with that number. Either all of them happen or none. `happened` holds
    /// the triggers.
    pub(super) fn take(
        &mut self,
        automation: &Automation,
        only: Option<u16>,
        happened: &[Cause],
        caused: &mut Vec<Cause>,
    ) -> Verdict {
        let ready = match self.ready(automation, only) {
            Ok(ready) => ready,
            Err(error) => return Verdict::Failed(error.into()),
        };
        self.mark(automation);
        let points = self.contact().points;
        let reached = self.reached();
        let mut words = Vec::new();
        let mut touched = Vec::new();
        for step in ready {
            words.push(self.apply(automation, step, happened, &mut touched));
        }
        let is_touched = !touched.is_empty() || points.to_bits() != self.contact().points.to_bits();
        let changes = self.changes(touched);
        if is_touched {
            self.refresh(&changes);
        }
        if !changes.is_empty() {
            caused.push(Cause::ContactUpdated);
        }
        caused.extend(changes);
        let score = reached
            .zip(self.reached())
            .and_then(|(before, after)| score(before, after));
        caused.extend(score);
        Verdict::Ran(words)
    }

    /// `None` if no trigger uses the score.
    fn reached(&self) -> Option<Reached> {
        let rules = self.moment.rules;
        rules
            .index
            .listens_to_scores()
            .then(|| rules.scoring.reached(self.contact()))
    }

    /// The fields that the steps changed, compared with before all steps.
    fn changes(&self, mut touched: Vec<(String, Option<Value>)>) -> Vec<Cause> {
        // The first entry of a field holds its value before the steps; the stable sort keeps it in front.
        touched.sort_by(|(a, _), (b, _)| a.cmp(b));
        touched.dedup_by(|(later, _), (first, _)| later == first);
        let fields = &self.contact().fields;
        touched
            .into_iter()
            .filter_map(|(name, before)| {
                let value = &fields.get(&name)?.value;
                (before.as_ref() != Some(value)).then(|| change(&name, value))?
            })
            .collect()
    }

    /// Updates the two values of the scope that depend on the contact, and drops cached values.
    fn refresh(&mut self, changes: &[Cause]) {
        let names = changed_names(self.moment.rules, changes);
        match &mut self.scope {
            Some(scope) => {
                scope.extend(CHANGED, names);
                let lead = self.moment.rules.scoring.lead(&scope.record().contact);
                scope.record_mut().lead = lead;
            }
            None => self.changed.extend(names),
        }
        for held in &mut self.held {
            held.take();
        }
    }

    fn ready<'r>(&mut self, automation: &'r Automation, only: Option<u16>) -> Result<Vec<Ready<'r>>, String> {
        let mut ready = Vec::new();
        for (number, step) in (0_u16..).zip(&automation.then) {
            if only.is_some_and(|only| only != number) {
                continue;
            }
            if let Some(delay) = step.delay.filter(|_| only.is_none()) {
                ready.push(Ready::Later(number, delay));
                continue;
            }
            ready.push(match &step.does {
                Does::Deliver(names) => Ready::Deliver(names),
                Does::AddTag(tag) => Ready::Tag(tag, true),
                Does::RemoveTag(tag) => Ready::Tag(tag, false),
                Does::AddScore(points) => Ready::Score(*points),
                Does::SetFields(fields) => {
                    let mut values = BTreeMap::new();
                    for (field, term) in fields {
                        let value = term
                            .eval(self.scope())
                            .map_err(|error| format!("set_field.{field}: {error}"))?;
                        if !value.is_null() {
                            values.insert(field.clone(), value);
                        }
                    }
                    Ready::Fields(values)
                }
            });
        }
        Ok(ready)
    }

    /// Runs one step, and returns a text that says what it did.
    fn apply(
        &mut self,
        automation: &Automation,
        step: Ready<'_>,
        happened: &[Cause],
        touched: &mut Vec<(String, Option<Value>)>,
    ) -> String {
        let at = self.moment.event.at;
        match step {
            Ready::Later(number, delay) => {
                let due_at = self.moment.now.saturating_add(delay).unwrap_or(Timestamp::MAX);
                self.put_off(automation, Due::Step(number), due_at);
                format!("step {} at {due_at}", number.saturating_add(1))
            }
            Ready::Deliver(names) => {
                for name in names {
                    self.out.deliveries.push((name.clone(), automation.name.clone()));
                }
                ["to ", &names.join(", ")].concat()
            }
            Ready::Tag(tag, on) => {
                let before = self.contact_mut().set_tag(tag, on, at);
                let sign = if on { "+" } else { "-" };
                let already = if before.is_some() { "" } else { " (as it was)" };
                touched.extend(before.map(|before| ([TAG, tag].concat(), before)));
                ["tag ", sign, tag, already].concat()
            }
            Ready::Fields(values) => {
                let mut names = Vec::new();
                for (name, value) in values {
                    if let Some(before) = self.contact_mut().put(&name, value, at) {
                        touched.push((name.clone(), before));
                    }
                    names.push(name);
                }
                ["set ", &names.join(", ")].concat()
            }
            Ready::Score(points) => self.score(automation, points, happened),
        }
    }

    /// Gives the points once for each engagement row that triggered the automation, and once for all other
    /// triggers together.
    ///
    /// Invariant: the total does not depend on how a platform bundles its rows into messages.
    fn score(&mut self, automation: &Automation, points: Points, happened: &[Cause]) -> String {
        let is_known = self.contact().text("email").is_some();
        let points = if is_known { points.known } else { points.anonymous };
        let (event, knows) = (self.moment.event, self.moment.knows);
        let mut new: Vec<Engagement> = Vec::new();
        for (key, at) in causes(automation, event, happened) {
            let row = Engagement {
                kind: EngagementKind::LeadScore,
                key,
                name: Some(automation.name.to_string()),
                at: at.map(crate::millis::floor),
                raw_at: None,
                count: None,
                score: Some(points),
            };
            if !knows(&row) && !new.contains(&row) {
                new.push(row);
            }
        }
        if automation.once {
            new.truncate(1);
        }
        if points == 0.0 || new.is_empty() {
            return "score as it was".to_owned();
        }
        let before = self.contact().points;
        let after = new.iter().fold(before, |sum, _| sum + points);
        self.contact_mut().points = after;
        let times = match new.len() {
            1 => String::new(),
            times => format!(" {times} times"),
        };
        self.out.engagements.extend(new);
        format!("score {points:+}{times} = {after}")
    }
}

/// The causes of the points, each with its time: the engagement rows that triggered the automation, and one
/// for all other triggers.
fn causes(automation: &Automation, event: &Event, happened: &[Cause]) -> Vec<(String, Option<Timestamp>)> {
    let name = &automation.name;
    let mut causes = Vec::new();
    let mut is_other = happened.is_empty();
    let starts = |cause: &&Cause| automation.on.iter().any(|trigger| cause.is(trigger, name));
    for cause in happened.iter().filter(starts) {
        match cause {
            Cause::Engaged {
                key,
                at,
                clicks: (from, to),
                ..
            } => causes.extend((*from..=*to).map(|click| (own_key(name, event, Some((key, click))), *at))),
            _ => is_other = true,
        }
    }
    if is_other {
        causes.push((own_key(name, event, None), Some(event.at)));
    }
    causes
}
