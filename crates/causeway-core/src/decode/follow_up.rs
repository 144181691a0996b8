//! The rows that Causeway makes itself: what a destination answered, and automations whose time came. They take the same
//! way as everything that arrives, so that they are kept, explained and counted like it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    contact::is_internal,
    envelope::{Dedup, Envelope, Meta, digest},
    event::{DeadCode, Decode, Decoded, Event, EventKind, FollowUp},
    id::Name,
};

/// The source of what destinations answered. No configured source can have such a name.
pub const ANSWERS: &str = "~answers";
/// The source of automations whose time came.
pub const AUTOMATIONS: &str = "~automations";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Body {
    #[serde(flatten)]
    follow_up: FollowUp,
    /// Field → value, of an answer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    fields: BTreeMap<String, Value>,
}

/// Makes the row for it. `once` identifies duplicates.
pub fn envelope(
    source: &'static str,
    follow_up: FollowUp,
    fields: BTreeMap<String, Value>,
    once: &[&[u8]],
    now: Timestamp,
) -> Envelope {
    // A document of names, numbers and values: it can be written.
    let body = serde_json::to_vec(&Body { follow_up, fields }).unwrap_or_default();
    Envelope {
        source: source.into(),
        dedup: Dedup::dated(digest(once)),
        received_at: now,
        meta: Meta::default(),
        body: body.into(),
    }
}

/// Reads both sorts.
#[derive(Debug, Clone, Copy)]
pub struct FollowUpDecoder;

impl Decode for FollowUpDecoder {
    fn decode(&self, envelope: &Envelope) -> Decoded {
        let Ok(Body { follow_up, fields }) = serde_json::from_slice(&envelope.body) else {
            return Decoded::Dead {
                code: DeadCode::Internal,
                reason: "a message that the hub made (from a response or an automation's timer) and that cannot be read"
                    .to_owned(),
            };
        };
        let kind = if follow_up.automation.is_some() {
            EventKind::Schedule
        } else {
            EventKind::Response
        };
        let namespace = follow_up
            .destination
            .clone()
            .unwrap_or_else(|| Name::from(AUTOMATIONS));
        let mut event = Event::new(kind, namespace, envelope.received_at);
        for (name, value) in fields {
            // Who somebody is does not follow from what another system says of them.
            if name == "email" || is_internal(&name) {
                event.notes.push(format!("{name}: is not taken from a response"));
            } else if !value.is_null() {
                event.fields.insert(name, value);
            }
        }
        event.follow_up = Some(Box::new(follow_up));
        Decoded::Event(Box::new(event))
    }
}
