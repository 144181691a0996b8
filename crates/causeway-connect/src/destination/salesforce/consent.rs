//! What becomes of a record's consent. Salesforce has a mark for opt-outs, and no date of it.

use causeway_core::{
    clock::Timestamp,
    consent::{CLICK_GRACE, Change, ConsentState, Suppression},
    record::Record,
};
use serde_json::{Map, Value};

use super::{
    Salesforce,
    config::{Bounce, NewContacts},
    find::Found,
};

pub(super) const OPTED_OUT: &str = "HasOptedOutOfEmail";
pub(super) const BOUNCE_REASON: &str = "EmailBouncedReason";
pub(super) const BOUNCE_DATE: &str = "EmailBouncedDate";

/// What an opt-out, a suppression or neither means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    None,
    OptIn { since: Timestamp },
    OptOut { since: Timestamp },
    Bounce { since: Timestamp, why: Suppression },
}

/// The values for a record, and what comes of them.
#[derive(Debug, Default)]
pub(super) struct Decision {
    pub values: Map<String, Value>,
    pub opts_out: bool,
    /// The record's opt-out is lifted.
    pub opts_in: bool,
    pub note: Option<String>,
}

impl Salesforce {
    pub(super) fn kind(&self, record: &Record) -> Kind {
        let state = record.consent_state_for(&record.purpose);
        let since = state.since().unwrap_or(record.event_at);
        match (record.change, state) {
            (Change::Suppress, ConsentState::Suppressed { why, .. })
                if why != Suppression::Complained && self.settings.bounce == Bounce::Fields =>
            {
                Kind::Bounce { since, why }
            }
            (Change::Unsubscribe | Change::Remove | Change::Suppress, _) => Kind::OptOut { since },
            // Nobody is opted in without a consent state that says so.
            (Change::Subscribe, state) if state.is_subscribed() => Kind::OptIn { since },
            (Change::Subscribe | Change::None, _) => Kind::None,
        }
    }

    /// The fields that an opt-out sets.
    pub(super) fn opt_out(&self, since: Timestamp) -> Map<String, Value> {
        let mut values = Map::from_iter([(OPTED_OUT.to_owned(), true.into())]);
        let settings = &self.settings;
        values.extend(settings.opt_in.iter().map(|field| (field.clone(), false.into())));
        let date = settings.opt_out_date.iter();
        values.extend(date.map(|field| (field.clone(), time(since))));
        values
    }

    fn opt_in(&self, since: Timestamp) -> Map<String, Value> {
        let settings = &self.settings;
        let flag = settings.opt_in.iter().map(|field| (field.clone(), true.into()));
        let date = settings
            .opt_in_date
            .iter()
            .map(|field| (field.clone(), time(since)));
        flag.chain(date).collect()
    }

    pub(super) fn bounce(since: Timestamp, why: Suppression) -> Map<String, Value> {
        let reason = format!("{} (as reported to Causeway)", why.as_str());
        Map::from_iter([
            (BOUNCE_REASON.to_owned(), reason.into()),
            (BOUNCE_DATE.to_owned(), time(since)),
        ])
    }

    /// A new record. Salesforce mails whoever has not opted out, so a person who did not agree starts as opted out.
    pub(super) fn for_new(&self, kind: Kind) -> Decision {
        let not_agreed = |since: Option<Timestamp>| {
            if self.settings.new_contacts == NewContacts::Unmarked {
                return Map::new();
            }
            let mut values = self.opt_out(since.unwrap_or_default());
            if let (None, Some(date)) = (since, &self.settings.opt_out_date) {
                values.remove(date);
            }
            values
        };
        let values = match kind {
            Kind::OptIn { since } => {
                let mut values = self.opt_in(since);
                values.insert(OPTED_OUT.to_owned(), false.into());
                values
            }
            Kind::OptOut { since } => self.opt_out(since),
            Kind::Bounce { since, why } => {
                let mut values = not_agreed(None);
                values.extend(Self::bounce(since, why));
                values
            }
            Kind::None => not_agreed(None),
        };
        Decision {
            opts_out: values.get(OPTED_OUT) == Some(&Value::Bool(true)),
            values,
            ..Decision::default()
        }
    }

    /// A record that is there. `is_ours`: Causeway opted it out, and nobody else.
    pub(super) fn for_found(&self, kind: Kind, found: &Found, email: &str, is_ours: bool) -> Decision {
        let mut decision = Decision::default();
        match kind {
            Kind::None => {}
            Kind::OptOut { .. } if found.is_opted_out && found.opt_in != Some(true) => {}
            Kind::OptOut { since } => {
                decision.values = self.opt_out(since);
                decision.opts_out = !found.is_opted_out;
            }
            Kind::Bounce { since, why } => decision.values = Self::bounce(since, why),
            Kind::OptIn { since } if !found.is_opted_out => decision.values = self.opt_in(since),
            Kind::OptIn { since } if is_ours || found.is_before(since) => {
                decision.values = self.opt_in(since);
                decision.values.insert(OPTED_OUT.to_owned(), false.into());
                let date = self.settings.opt_out_date.iter();
                decision
                    .values
                    .extend(date.map(|field| (field.clone(), Value::Null)));
                decision.opts_in = true;
            }
            Kind::OptIn { .. } => {
                let by = found.opted_out_by();
                let by = by.map_or("an unknown time".to_owned(), |at| at.to_string());
                decision.note = Some(format!(
                    "the person opted out at Salesforce, at the latest at {by}: left opted out there"
                ));
            }
        }
        if let (Some(bounced), false) = (found.bounced, matches!(kind, Kind::Bounce { .. })) {
            let since = match kind {
                Kind::OptIn { since } => Some(since),
                _ => None,
            };
            let has_moved = !found.email.eq_ignore_ascii_case(email);
            // A click after the bounce proves that mail arrives.
            if has_moved || since.is_some_and(|since| since > bounced) {
                for name in [BOUNCE_REASON, BOUNCE_DATE] {
                    decision.values.insert(name.to_owned(), Value::Null);
                }
            }
        }
        decision
    }
}

impl Found {
    /// The opt-out was made at this time or before it.
    fn opted_out_by(&self) -> Option<Timestamp> {
        self.opted_out_at.or(self.modified)
    }

    /// Whether the opt-out was made before the person agreed. A click shortly after an opt-out may be a scanner's.
    fn is_before(&self, since: Timestamp) -> bool {
        let by = self.opted_out_by();
        by.is_some_and(|by| since.duration_since(by).as_secs_f64() > CLICK_GRACE.as_secs_f64())
    }
}

pub(super) fn time(at: Timestamp) -> Value {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into()
}
