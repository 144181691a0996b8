//! A delivery on its way through the steps of a connector.

use std::{collections::VecDeque, time::Duration};

use causeway_core::{
    clock::Timestamp,
    consent::Change,
    delivery::{Delivery, Kind},
    destination::{AttemptResult, Outcome},
};

use serde_json::Value;

use super::{
    Connector,
    memory::{self, Written},
};
use crate::http::HttpRequest;

/// What [`Connector::plan`] makes of a delivery.
pub struct Plan<C: Connector + ?Sized> {
    pub steps: Vec<C::Step>,
    pub memo: C::Memo,
    /// Remarks for the trace, without personal data.
    pub notes: Vec<String>,
}

pub struct Task<'d, C: Connector + ?Sized> {
    pub delivery: &'d Delivery,
    pub memo: C::Memo,
    pub notes: Vec<String>,
    /// The id of the person at the vendor, for [`Outcome::Delivered`].
    pub remote_id: Option<String>,
    /// The vendor takes no more calls for this time.
    pub rest: Option<Duration>,
    memory: Option<Value>,
    writes: Option<Written>,
    /// When the last response came.
    answered_at: Option<Timestamp>,
    /// The time that the vendor gave to the opt-out that was written.
    left: Option<Timestamp>,
    ticket_is_void: bool,
    /// What was sent about this delivery.
    sent: String,
    /// The status of the last response.
    status: Option<u16>,
    steps: VecDeque<C::Step>,
    result: Option<AttemptResult>,
    /// The greatest batch that this delivery may be in, after a batch with it was refused.
    pub(super) most: usize,
    /// A call about many said nothing about this delivery, so the present step is repeated for it alone.
    is_alone: bool,
}

impl<'d, C: Connector + ?Sized> Task<'d, C> {
    pub(super) fn new(delivery: &'d Delivery, planned: Result<Plan<C>, Outcome>) -> Self {
        let (plan, result) = match planned {
            Ok(plan) => (Some(plan), None),
            Err(outcome) => (None, Some(outcome.into())),
        };
        let plan = plan.unwrap_or_else(|| Plan {
            steps: Vec::new(),
            memo: C::Memo::default(),
            notes: Vec::new(),
        });
        Self {
            delivery,
            memo: plan.memo,
            notes: plan.notes,
            remote_id: None,
            rest: None,
            memory: None,
            writes: None,
            answered_at: None,
            left: None,
            ticket_is_void: false,
            sent: String::new(),
            status: None,
            steps: plan.steps.into(),
            result,
            most: usize::MAX,
            is_alone: false,
        }
    }

    /// The vendor changed the person's subscription, and shows the opt-out with this time from now on. Do not call it if
    /// nothing changed: then the opt-out may be the person's own.
    pub fn note_opt_out(&mut self, at: Timestamp) {
        self.left = Some(at);
    }

    /// The delivery leaves the contact at the vendor as it is. So a later one that is the same must not count as
    /// unchanged.
    pub fn writes_nothing(&mut self) {
        self.writes = None;
    }

    /// Ends the delivery if it would write what is written already.
    pub(super) fn leave_out_if_unchanged(&mut self, connector: &C, now: Timestamp) {
        if self.step().is_none() {
            return;
        }
        let values = connector.lasting(self);
        let writes = values.and_then(|values| Written::new(self.delivery, &self.steps, &values));
        let since = writes
            .as_ref()
            .and_then(|writes| writes.since(self.delivery, now));
        if let Some(since) = since {
            let day = since.strftime("%Y-%m-%d");
            self.end(AttemptResult::from(Outcome::Skip {
                reason: format!("unchanged: the same was written on {day}"),
            }));
        }
        self.writes = writes;
    }

    /// The memory that the attempt leaves. After a failure nobody knows what the vendor has, so no write counts.
    fn next_memory(&self, outcome: &Outcome) -> Option<Value> {
        let known = || self.memory.clone().or_else(|| self.delivery.memory.clone());
        let record = &self.delivery.record;
        let takes_consent = matches!(record.change, Change::Unsubscribe | Change::Suppress)
            || (record.kind == Kind::Withdrawal && record.change != Change::Remove);
        match (outcome, self.answered_at) {
            (Outcome::Delivered { .. }, Some(_)) if takes_consent => {
                Some(memory::with_opt_out(known(), self.left))
            }
            (Outcome::Delivered { .. }, Some(at)) if self.writes.is_some() => {
                self.writes.as_ref().map(|writes| writes.add_to(known(), at))
            }
            _ if self.sent.is_empty() || self.memory.is_some() => self.memory.clone(),
            _ => memory::without_written(self.delivery.memory.as_ref()),
        }
    }

    /// Ends the delivery; its other steps are left out.
    pub fn end(&mut self, result: AttemptResult) {
        self.result.get_or_insert(result);
    }

    /// Hides the addresses of other people in the response that is kept.
    pub(super) fn hide_others(&mut self) {
        let own = self.delivery.record.email().unwrap_or_default();
        if let Some(excerpt) = self.result.as_mut().and_then(|result| result.excerpt.as_mut()) {
            *excerpt = without_others(excerpt, own);
        }
    }

    /// Replaces what the destination remembers about the contact ([`Delivery::memory`]), however the delivery ends.
    pub fn remember(&mut self, memory: Value) {
        self.memory = Some(memory);
    }

    /// The result behind [`Delivery::ticket`] will never come, so the next attempt sends anew.
    pub fn void_ticket(&mut self) {
        self.ticket_is_void = true;
    }

    /// Notes a request, as far as it is about this delivery.
    pub(super) fn note_request(&mut self, request: &HttpRequest) {
        if self.sent.len() >= AttemptResult::REQUEST_BYTES {
            return;
        }
        if !self.sent.is_empty() {
            self.sent.push_str("\n\n");
        }
        self.sent.push_str(&request.kept());
        let end = self.sent.floor_char_boundary(AttemptResult::REQUEST_BYTES);
        self.sent.truncate(end);
    }

    pub(super) fn note_answer(&mut self, status: u16, at: Timestamp) {
        self.status = Some(status);
        self.answered_at = Some(at);
    }

    /// Puts a step before those that are left.
    pub fn then(&mut self, step: C::Step) {
        self.steps.insert(1.min(self.steps.len()), step);
    }

    /// Puts a step in the place of the present one.
    pub fn instead(&mut self, step: C::Step) {
        if let Some(present) = self.steps.front_mut() {
            *present = step;
        }
    }

    /// Repeats the present step for this delivery alone.
    pub fn again_alone(&mut self) {
        if let Some(step) = self.steps.front().cloned() {
            self.steps.push_front(step);
            self.is_alone = true;
        }
    }

    /// Whether the present step is repeated for this delivery alone.
    pub fn is_alone(&self) -> bool {
        self.most == 1
    }

    /// Whether the present step or a later one is this.
    pub fn has_step(&self, step: &C::Step) -> bool {
        self.steps.contains(step)
    }

    /// Leaves out later steps.
    pub fn leave_out(&mut self, is_left_out: impl Fn(&C::Step) -> bool) {
        let mut is_present = true;
        self.steps
            .retain(|step| std::mem::take(&mut is_present) || !is_left_out(step));
    }

    /// The steps that are left, with the present one; 0 if the delivery ended.
    pub fn steps_left(&self) -> usize {
        self.step().map_or(0, |_| self.steps.len())
    }

    /// The outcome, if the delivery ended before its last step.
    pub(super) fn outcome(&self) -> Option<&Outcome> {
        self.result.as_ref().map(|result| &result.outcome)
    }

    /// The step to do now; `None` if the delivery ended.
    pub fn step(&self) -> Option<&C::Step> {
        self.steps.front().filter(|_| self.result.is_none())
    }

    /// The present step is done.
    pub(super) fn go_on(&mut self) {
        self.steps.pop_front();
        let is_alone = std::mem::take(&mut self.is_alone);
        self.most = if is_alone { 1 } else { usize::MAX };
    }

    pub(super) fn result(&self) -> AttemptResult {
        let remote_id = self.remote_id.clone();
        let mut result = self
            .result
            .clone()
            .unwrap_or_else(|| Outcome::Delivered { remote_id }.into());
        result.notes.extend(self.notes.iter().cloned());
        result.rest = result.rest.max(self.rest);
        result.status = result.status.or(self.status);
        result.memory = self.next_memory(&result.outcome).or(result.memory);
        result.ticket_is_void |= self.ticket_is_void;
        result.request = Some(self.sent.clone()).filter(|sent| !sent.is_empty());
        result
    }
}

/// The text with `***` in place of each address but this one.
fn without_others(text: &str, own: &str) -> String {
    let is_inside = |letter: char| letter.is_alphanumeric() || ".!#$%&*+-/=?^_`{|}~@".contains(letter);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|letter| !is_inside(letter)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        let is_address = word.contains('@') || word.contains("%40");
        let is_own = word
            .trim_end_matches('.')
            .replace("%40", "@")
            .eq_ignore_ascii_case(own);
        out.push_str(if is_address && !is_own { "***" } else { word });
        let next = behind.find(is_inside).unwrap_or(behind.len());
        let (between, behind) = behind.split_at(next);
        out.push_str(between);
        rest = behind;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_response_of_a_shared_call_shows_no_other_address() {
        let text = r#"{"errors":["ada@example.org is invalid", "a <eve.m+x@example.org>; id=7&email=Bob%40example.org."]}"#;
        assert_eq!(
            without_others(text, "Ada@example.org"),
            r#"{"errors":["ada@example.org is invalid", "a <***>; ***"]}"#
        );
        assert_eq!(without_others("", "ada@example.org"), "");
        assert_eq!(without_others("Zoë žluť @", ""), "Zoë žluť ***");
    }
}
