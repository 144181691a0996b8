//! The lines that the program reads.

use causeway_core::delivery::Delivery;
use serde_json::json;

/// The question of `causeway doctor`.
pub(super) fn check() -> String {
    json!({ "check": true }).to_string()
}

/// A delivery, without the line break.
pub(super) fn delivery(delivery: &Delivery) -> String {
    let record = &delivery.record;
    json!({
        "key": delivery.key.0,
        "attempt": delivery.attempt,
        "change": record.change.as_str(),
        "purpose": &*record.purpose,
        "record": record.to_json(),
    })
    .to_string()
}
