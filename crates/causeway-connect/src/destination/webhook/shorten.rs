//! Shortens a withdrawal that a receiver would reject for its length: a stranger's long text must not stop
//! it.

use causeway_core::{
    automation::Lead,
    contact::{Identity, is_internal},
    record::Record,
};
use serde_json::Value;

/// Bytes of a URL that receivers accept: Apache rejects more than 8190 with the method.
pub(super) const MAX_URL: usize = 8_000;
/// Bytes of one header: nginx and Apache reject more than about 8000 for all headers together.
pub(super) const MAX_HEADER: usize = 4_000;

/// Bytes that a value and its name may take if not everything fits.
const MAX_VALUE: usize = 200;

/// The contact's fields that stay if little fits.
const KEPT: [&str; 4] = ["email", "phone", "firstName", "lastName"];

/// Removes something from a record.
type Step = fn(&mut Record);

/// The record in shorter and shorter versions, each with a note for the trace.
pub(super) fn shorter(record: &Record) -> impl Iterator<Item = (Record, &'static str)> {
    let steps: [(Step, &str); 2] = [
        (
            drop_long,
            "too long for one request: sent without values of more than 200 bytes",
        ),
        (
            drop_most,
            "too long for one request: sent with address, ids and consent only",
        ),
    ];
    steps.into_iter().map(|(step, note)| {
        let mut shorter = record.clone();
        step(&mut shorter);
        (shorter, note)
    })
}

fn drop_long(record: &mut Record) {
    let fits = |name: &str, value: &Value| name.len() + value.to_string().len() <= MAX_VALUE;
    record.contact.fields.retain(|name, field| {
        name == "email"
            || fits(
                name,
                if is_internal(name) {
                    &Value::Null
                } else {
                    &field.value
                },
            )
    });
    record.identities.retain(|identity| match identity {
        Identity::ForeignId { id, .. } => id.len() <= MAX_VALUE,
        Identity::ContactRef { reference, .. } => reference.len() <= MAX_VALUE,
        Identity::Email { .. } => true,
    });
    if let Some(action) = &mut record.action {
        action.custom_fields.retain(|name, value| fits(name, value));
        action.tracking = action.tracking.take().filter(|value| fits("", value));
        action.donation = action.donation.take().filter(|value| fits("", value));
    }
}

fn drop_most(record: &mut Record) {
    drop_long(record);
    record
        .contact
        .fields
        .retain(|name, _| KEPT.contains(&name.as_str()));
    record.engagements.clear();
    record.lead = Lead::default();
    if let Some(action) = &mut record.action {
        action.custom_fields.clear();
    }
}
