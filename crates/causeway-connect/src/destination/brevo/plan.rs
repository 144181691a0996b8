//! The steps that a delivery needs.

use std::time::Duration;

use causeway_core::{
    consent::Change,
    delivery::{Delivery, Kind as DeliveryKind},
    mapping::{
        Scope,
        omission::{Omissions, Reads},
    },
    record::Record,
};

use super::{Brevo, Memo, Step, config::OptOut, values};
use crate::destination::fields::Fields;

/// A delivery that waited longer may have been sent by an attempt that left no trace.
const FRESH: Duration = Duration::from_mins(10);

impl Brevo {
    /// The steps that take consent away, or that find out whether it may be given.
    pub(super) fn consent_steps(&self, record: &Record, memo: &mut Memo) -> Vec<Step> {
        let state = record.consent_state_for(&record.purpose);
        match record.change {
            Change::Remove => vec![Step::Delete],
            change if matches!(change, Change::Unsubscribe | Change::Suppress) || state.is_opt_out() => {
                memo.opts_out = true;
                // An address that must not be used is blocked for all lists.
                memo.blocks = self.settings.opt_out == OptOut::Block || change == Change::Suppress;
                vec![Step::Look, Step::Withdraw, Step::Confirm]
            }
            Change::Subscribe if state.is_subscribed() => {
                memo.lists.clone_from(&self.settings.lists);
                vec![Step::ReadContact]
            }
            _ => {
                // The person may have another address there by now. Written by the address, they would be two contacts.
                memo.by_id = memo.memory.id.is_some();
                Vec::new()
            }
        }
    }

    /// The steps that write the contact and the event.
    pub(super) fn data_steps(
        &self,
        delivery: &Delivery,
        memo: &mut Memo,
    ) -> Result<(Vec<Step>, Vec<String>), String> {
        let record = &delivery.record;
        let scope = Scope::new(record);
        let mut omissions = Omissions::of(record);
        // The request always names the person and what becomes of their consent.
        omissions.keep(Reads::EVERYTHING);
        let mut make = |fields: &Fields| {
            let made = fields.apply(&scope, &mut omissions);
            made.map_err(|error| error.to_string())
        };
        let (attributes, ext_id) = values::attributes(make(&self.settings.fields)?);
        let mut notes = Vec::new();
        if let Some(fields) = self
            .settings
            .campaign_lists
            .as_ref()
            .filter(|_| !memo.lists.is_empty())
        {
            let (lists, is_whole) = values::numbers(make(fields)?);
            memo.has_campaign_lists = !lists.is_subset(&memo.lists);
            memo.lists.extend(lists);
            notes.extend(
                (!is_whole).then(|| "left out a list of the campaign that is not a number".to_owned()),
            );
        }
        memo.own_lists.extend(&memo.lists);
        memo.memory.lists.extend(&memo.lists);
        (memo.attributes, memo.ext_id) = (attributes, ext_id);
        memo.digest = values::digest(&memo.attributes, memo.ext_id.as_deref());
        let mut steps = Vec::new();
        let has_nothing_new = self.is_written(delivery, memo) || (memo.by_id && !memo.has_values());
        let is_unchanged = memo.lists.is_empty() && !memo.opts_out && has_nothing_new;
        if !is_unchanged {
            steps.push(Step::Upsert);
            steps.extend(memo.opts_out.then_some(Step::Reread));
        }
        // A known action that arrives again is a `contact`. Events may start automations, which mail.
        let is_action = record.kind == DeliveryKind::Record && record.action.is_some() && !memo.opts_out;
        if let Some((_, properties)) = self.settings.event.as_ref().filter(|_| is_action) {
            memo.event = values::known(make(properties)?);
            if !memo.is_first {
                steps.extend(memo.memory.id.is_none().then_some(Step::ReadId));
                steps.push(Step::FindEvents);
            }
            steps.push(Step::SendEvents);
        }
        notes.extend(omissions.finish()?);
        Ok((steps, notes))
    }

    /// Whether these values were written lately.
    pub(super) fn is_written(&self, delivery: &Delivery, memo: &Memo) -> bool {
        self.settings.renew_after.is_some_and(|age| {
            let since = delivery.planned_at.as_second().saturating_sub(age);
            memo.memory.is_written(&memo.digest, since)
        })
    }

    /// Whether no earlier attempt can have sent anything: such an attempt may have left no trace.
    pub(super) fn is_first(&self, delivery: &Delivery) -> bool {
        let age = self.clock.now().duration_since(delivery.planned_at);
        let is_fresh = |started| delivery.planned_at >= started && age.as_secs_f64() < FRESH.as_secs_f64();
        delivery.attempt <= 1 && self.started.is_none_or(is_fresh)
    }
}
