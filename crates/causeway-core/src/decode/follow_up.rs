//! Messages that Causeway makes itself: values of destinations' responses, and due automations. They are
//! processed like every message that arrives, so that they are kept, explained and counted.

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

/// The source of destinations' responses. No configured source can have this name.
pub const ANSWERS: &str = "~answers";
/// The source of due automations.
pub const AUTOMATIONS: &str = "~automations";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Body {
    #[serde(flatten)]
    follow_up: FollowUp,
    /// Field → value, from a response.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    fields: BTreeMap<String, Value>,
}

/// Makes the envelope of such a message. `once` identifies duplicates.
pub fn envelope(
    source: &'static str,
    follow_up: FollowUp,
    fields: BTreeMap<String, Value>,
    once: &[&[u8]],
    now: Timestamp,
) -> Envelope {
    // Names, numbers and values can always be serialized.
    let body = serde_json::to_vec(&Body { follow_up, fields }).unwrap_or_default();
    Envelope {
        source: source.into(),
        dedup: Dedup::dated(digest(once)),
        received_at: now,
        meta: Meta::default(),
        body: body.into(),
    }
}

/// Decodes messages of both sources.
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
            // The identity of a contact must not depend on what another system says.
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
