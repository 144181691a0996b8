//! What is remembered about a contact for all connectors: what was written last, and when an opt-out was written.
//!
//! Deliveries that would write what is written already cost no call. Invariant: a change that takes consent away is always
//! sent. So is all that follows a failed attempt, because nobody knows what the vendor has then.

use std::{fmt::Debug, time::Duration};

use causeway_core::{
    clock::Timestamp,
    consent::{CLICK_GRACE, Change},
    delivery::{Delivery, Kind},
    envelope::digest,
};
use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};

/// How long a write counts. After it the same is written again, in case it was changed or deleted at the vendor.
pub(super) const VALID: Duration = Duration::from_hours(7 * 24);
/// Members of [`Delivery::memory`]. Connectors have others beside them.
const WRITTEN: &str = "written";
const LEFT: &str = "left_at";

/// Since when a person has agreed, beside the opt-out that the vendor shows.
#[derive(Debug, Clone, Copy)]
pub struct Agreed {
    since: Timestamp,
    /// The time that the vendor gave to the last opt-out that this destination wrote.
    left: Option<Timestamp>,
}

impl Agreed {
    pub fn of(delivery: &Delivery, since: Timestamp) -> Self {
        let left = delivery
            .memory
            .as_ref()
            .and_then(|memory| memory.get(LEFT)?.as_str());
        Self {
            since,
            left: left.and_then(|at| at.parse().ok()),
        }
    }

    /// Whether the person agreed after the opt-out that the vendor shows with this time.
    ///
    /// A click shortly after an opt-in may be earlier in truth, or a scanner's, so the opt-in must be later by some minutes.
    /// That does not hold for an opt-out that came from here: its order is known, and the agreement is the later one. It
    /// is recognised by its exact time, because the person may have left at the vendor within the same second or so.
    pub fn is_after(self, there: Option<Timestamp>) -> bool {
        let Some(there) = there else { return false };
        let later_by = self.since.duration_since(there).as_secs_f64();
        later_by > CLICK_GRACE.as_secs_f64() || self.left == Some(there)
    }
}

/// Stands for what a delivery writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written(String);

impl Written {
    /// `None` if the delivery takes consent away.
    pub(super) fn new(delivery: &Delivery, steps: &impl Debug, values: &Value) -> Option<Self> {
        let record = &delivery.record;
        let may_repeat = matches!(record.change, Change::Subscribe | Change::None);
        if !may_repeat || record.kind == Kind::Withdrawal {
            return None;
        }
        let all = format!("{steps:?} {values} {:?} {}", record.consent_state, record.purpose);
        Some(Self(HEXLOWER.encode(&digest(&[all.as_bytes()]))))
    }

    /// When the same was written, if that still counts.
    pub(super) fn since(&self, delivery: &Delivery, now: Timestamp) -> Option<Timestamp> {
        let known = delivery.memory.as_ref()?.get(WRITTEN)?;
        let at = Timestamp::from_second(known.get("at")?.as_i64()?).ok()?;
        let is_same = known.get("digest")?.as_str() == Some(&self.0);
        let age = Duration::try_from(now.duration_since(at)).ok()?;
        (is_same && age < VALID).then_some(at)
    }

    pub(super) fn add_to(&self, memory: Option<Value>, now: Timestamp) -> Value {
        let mut members = members(memory);
        members.insert(
            WRITTEN.to_owned(),
            json!({ "digest": self.0, "at": now.as_second() }),
        );
        Value::Object(members)
    }
}

/// The memory without what was written; `None` if it has none.
pub(super) fn without_written(memory: Option<&Value>) -> Option<Value> {
    let mut members = members(memory.cloned());
    members.remove(WRITTEN)?;
    let is_empty = members.is_empty();
    Some(if is_empty {
        Value::Null
    } else {
        Value::Object(members)
    })
}

/// The memory after an opt-out was written, to which the vendor gave this time.
pub(super) fn with_opt_out(memory: Option<Value>, left: Option<Timestamp>) -> Value {
    let mut members = members(memory);
    members.remove(WRITTEN);
    members.remove(LEFT);
    members.extend(left.map(|left| (LEFT.to_owned(), left.to_string().into())));
    if members.is_empty() {
        return Value::Null;
    }
    Value::Object(members)
}

fn members(memory: Option<Value>) -> Map<String, Value> {
    match memory {
        Some(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use causeway_testkit::destination_contract::delivery;

    use super::*;

    #[test]
    fn an_opt_in_is_later_than_an_opt_out_by_minutes_or_the_opt_out_came_from_here() {
        let left: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let known = |left_at: Option<&str>| Delivery {
            memory: left_at.map(|at| json!({ LEFT: at })),
            ..delivery(1)
        };
        for (since, left_at, is_after) in [
            ("2026-03-01T12:05:01Z", None, true),
            ("2026-03-01T12:05:00Z", None, false),
            ("2026-03-01T12:01:00Z", None, false),
            ("2026-03-01T12:01:00Z", Some("2026-03-01T12:00:00Z"), true),
            // Somebody else wrote another opt-out at about the same time.
            ("2026-03-01T12:01:00Z", Some("2026-03-01T12:00:00.001Z"), false),
            ("2026-03-01T12:01:00Z", Some("2026-03-01T11:59:59Z"), false),
            // The message of the opt-in was on its way while the opt-out was written.
            ("2026-03-01T11:59:00Z", Some("2026-03-01T12:00:00Z"), true),
        ] {
            let agreed = Agreed::of(&known(left_at), since.parse().unwrap());
            assert_eq!(agreed.is_after(Some(left)), is_after, "{since} {left_at:?}");
            assert!(!agreed.is_after(None), "a time that is not known");
        }
    }
}
