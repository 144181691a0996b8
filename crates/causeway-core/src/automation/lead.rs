//! Lead score and status.

use serde_json::{Number, Value};

use super::OWN_SCORE;
use crate::{contact::Contact, event::Event};

/// How a workspace scores its contacts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scoring {
    /// Whether rules of ours give points; else what a platform says counts.
    pub own: bool,
    /// By ceiling, ascending.
    pub statuses: Vec<Status>,
}

/// A range of points: from just above the ceiling of the one before up to its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    pub name: String,
    pub ceiling: f64,
}

/// Where a contact stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lead {
    /// A number, written whole where it is.
    pub score: Option<Value>,
    pub status: Option<String>,
}

impl Scoring {
    /// Our own points and their range; a platform's total and label where we give none.
    pub fn lead(&self, contact: &Contact) -> Lead {
        if self.own {
            return Lead {
                score: number(contact.points),
                status: self.status(contact.points).map(str::to_owned),
            };
        }
        let score = contact.fields.get("lead_score").map(|field| field.value.clone());
        let points = score.as_ref().and_then(Value::as_f64);
        let label = contact.text("lead_status").map(str::to_owned);
        Lead {
            status: label.or_else(|| self.status(points?).map(str::to_owned)),
            score,
        }
    }

    /// The range that the points lie in; what is above the last ceiling belongs to the last.
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

/// The rule that gave the points and what for, of a row that one of ours made: two pages may be visited in one second.
pub(super) fn own_key(rule: &str, event: &Event) -> String {
    let what_for = match (event.engagements.as_slice(), &event.action) {
        ([one], _) => &one.key,
        (_, Some(action)) => &action.external_id,
        _ => return format!("{OWN_SCORE}{rule}"),
    };
    format!("{OWN_SCORE}{rule}: {what_for}")
}
