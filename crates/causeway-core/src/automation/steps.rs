//! What the steps of an automation do to the contact, and what they leave to be done.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    Automation, Does, Happening, Points, Verdict,
    happening::change,
    index::CHANGED,
    lead::own_key,
    run::{Run, changed_names},
};
use crate::{
    contact::TAG,
    event::{Due, Engagement, EngagementKind},
    id::Name,
};

/// A step with its values worked out, so that nothing is done when one of them cannot be.
enum Ready<'a> {
    Later(u16, std::time::Duration),
    Deliver(&'a [Name]),
    Tag(&'a str, bool),
    Fields(BTreeMap<String, Value>),
    Score(Points),
}

impl Run<'_> {
    /// Does its steps, or the one of that number; all of them or none.
    pub(super) fn take(
        &mut self,
        automation: &Automation,
        only: Option<u16>,
        caused: &mut Vec<Happening>,
    ) -> Verdict {
        let ready = match self.ready(automation, only) {
            Ok(ready) => ready,
            Err(error) => return Verdict::Failed(error.into()),
        };
        self.mark(automation);
        let points = self.contact().points;
        let mut words = Vec::new();
        let mut touched = Vec::new();
        for step in ready {
            words.push(self.apply(automation, step, &mut touched, caused));
        }
        let is_touched = !touched.is_empty() || points.to_bits() != self.contact().points.to_bits();
        let changes = self.changes(touched);
        if is_touched {
            self.refresh(&changes);
        }
        if !changes.is_empty() {
            caused.push(Happening::ContactUpdated);
        }
        caused.extend(changes);
        Verdict::Ran(words)
    }

    /// What is different now from before the steps, of the fields that they touched.
    fn changes(&self, mut touched: Vec<(String, Option<Value>)>) -> Vec<Happening> {
        // The first time that a field was touched tells what it was before: the sort keeps it in front.
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

    /// What expressions see hangs on the contact in two more places.
    fn refresh(&mut self, changes: &[Happening]) {
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

    /// Says in words what was done.
    fn apply(
        &mut self,
        automation: &Automation,
        step: Ready<'_>,
        touched: &mut Vec<(String, Option<Value>)>,
        caused: &mut Vec<Happening>,
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
            Ready::Score(points) => self.score(automation, points, caused),
        }
    }

    fn score(&mut self, automation: &Automation, points: Points, caused: &mut Vec<Happening>) -> String {
        let is_known = self.contact().text("email").is_some();
        let points = if is_known { points.known } else { points.anonymous };
        let row = Engagement {
            kind: EngagementKind::LeadScore,
            key: own_key(&automation.name, self.moment.event),
            name: Some(automation.name.to_string()),
            at: Some(crate::contact::millis::floor(self.moment.event.at)),
            raw_at: None,
            count: None,
            score: Some(points),
        };
        if points == 0.0 || (self.moment.knows)(&row) {
            return "score as it was".to_owned();
        }
        let before = self.contact().points;
        let after = before + points;
        self.contact_mut().points = after;
        self.out.engagements.push(row);
        let status = |points| self.moment.rules.scoring.status(points).map(str::to_owned);
        caused.push(Happening::Score {
            before,
            after,
            status_before: status(before),
            status_after: status(after),
        });
        format!("score {points:+} = {after}")
    }
}
