//! Lead score and status.

use serde_json::{Number, Value};

pub use crate::lead::{Lead, OWN_SCORE, Owner};
use crate::{
    contact::Contact,
    event::{Engagement, EngagementKind, Event},
};

/// How a workspace scores its contacts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scoring {
    pub owner: Owner,
    /// Sorted by ceiling, ascending.
    pub statuses: Vec<Status>,
}

/// A range of points: from just above the ceiling of the previous status up to its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    pub name: String,
    pub ceiling: f64,
}

/// Points and status of a contact at one moment.
#[derive(Debug, PartialEq)]
pub(super) struct Reached {
    pub points: Option<f64>,
    pub status: Option<String>,
}

impl Scoring {
    /// The owner's points, and the status that they fall into. A platform's label overrides the hub's ranges.
    pub fn lead(&self, contact: &Contact) -> Lead {
        let owner = self.owner;
        if owner == Owner::Hub {
            return Lead {
                score: number(contact.points),
                status: self.status(contact.points).map(str::to_owned),
                owner,
            };
        }
        let known = contact.fields.get("lead_score").map(|field| &field.value);
        let score = known.filter(|score| !score.is_null()).cloned();
        let label = contact.text("lead_status").map(str::to_owned);
        let points = self.points(contact);
        Lead {
            status: label.or_else(|| self.status(points?).map(str::to_owned)),
            score,
            owner,
        }
    }

    /// The owner's total as a number, if there is one.
    pub fn points(&self, contact: &Contact) -> Option<f64> {
        match self.owner {
            Owner::Hub => Some(contact.points),
            Owner::Platform => {
                let score = &contact.fields.get("lead_score")?.value;
                let text = || score.as_str()?.trim().parse::<f64>().ok();
                score.as_f64().or_else(text).filter(|points| points.is_finite())
            }
        }
    }

    /// The values that triggers compare.
    pub(super) fn reached(&self, contact: &Contact) -> Reached {
        Reached {
            points: self.points(contact),
            status: self.lead(contact).status,
        }
    }

    /// The status that the points fall into. Points above the last ceiling belong to the last status.
    pub fn status(&self, points: f64) -> Option<&str> {
        self.statuses
            .iter()
            .find(|status| points <= status.ceiling)
            .or(self.statuses.last())
            .map(|status| status.name.as_str())
    }
}

fn number(points: f64) -> Option<Value> {
    let whole = format!("{points:.0}").parse::<i64>().ok();
    #[expect(
        clippy::cast_precision_loss,
        reason = "compared with the number that it was made from"
    )]
    match whole.filter(|whole| (*whole as f64).to_bits() == points.to_bits()) {
        Some(whole) => Some(whole.into()),
        None => Number::from_f64(points).map(Value::Number),
    }
}

impl Lead {
    /// Whether a row of the group `lead-score` belongs to the owner.
    pub fn owns(&self, row: &Engagement) -> bool {
        row.kind == EngagementKind::LeadScore && row.key.starts_with(OWN_SCORE) == (self.owner == Owner::Hub)
    }
}

/// The key of the points that a rule gave for an event or for one of its rows. Time alone is not enough,
/// since two pages may be visited in one second. A platform counts the clicks on a link in one row, so the
/// key also holds the number of the click.
pub(super) fn own_key(rule: &str, event: &Event, row: Option<(&str, i64)>) -> String {
    match (row, &event.action) {
        (Some((row, click @ 2..)), _) => format!("{OWN_SCORE}{rule}: {row} (click {click})"),
        (Some((row, _)), _) => format!("{OWN_SCORE}{rule}: {row}"),
        (None, Some(action)) => format!("{OWN_SCORE}{rule}: {}", action.external_id),
        (None, None) => format!("{OWN_SCORE}{rule}"),
    }
}
