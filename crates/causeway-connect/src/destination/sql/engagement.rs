//! The rows of the table `engagements`: what a contact did, one row for each engagement.

use causeway_core::{
    contact::{Identity, normal_email},
    event::{Engagement, EngagementKind},
    mapping::Scope,
    record::Record,
};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::destination::columns::ROW;

/// The members of `row`.
pub(super) const MEMBERS: [&str; 7] = ["id", "kind", "key", "name", "at", "count", "score"];

/// For each engagement of the record the names that its columns read. The record has the whole history, so a row
/// that was written before is found by its id.
pub(super) fn scopes(record: &Record, scope: &Scope) -> Vec<Scope> {
    let is_shown = |row: &&Engagement| row.kind != EngagementKind::LeadScore || record.lead.owns(row);
    let Some(person) = person(record) else {
        return Vec::new();
    };
    let rows = record.engagements.iter().filter(is_shown);
    rows.map(|row| scope.clone().with(ROW, value(row, &person)))
        .collect()
}

/// Who the engagement is of: the address, otherwise an id.
fn person(record: &Record) -> Option<String> {
    if let Some(address) = record.email() {
        return Some(normal_email(address).unwrap_or_else(|| address.to_owned()));
    }
    record
        .identities
        .iter()
        .rev()
        .find_map(|identity| match identity {
            Identity::Email { .. } => None,
            Identity::ContactRef { namespace, reference } => Some(format!("{namespace}:ref:{reference}")),
            Identity::ForeignId { namespace, id } => Some(format!("{namespace}:{id}")),
        })
}

fn value(row: &Engagement, person: &str) -> Value {
    let at = row.at.map(|at| at.to_string());
    // As in the hub: two engagements of one kind with the same key and time are one.
    let time = at.as_deref().or(row.raw_at.as_deref()).unwrap_or_default();
    let parts = json!([person, row.kind.as_str(), row.key, time]).to_string();
    let digest = HEXLOWER.encode(&Sha256::digest(parts.as_bytes()));
    json!({
        "id": digest.get(..40),
        "kind": row.kind.as_str(),
        "key": row.key,
        "name": row.name,
        "at": at,
        "count": row.count,
        "score": row.score,
    })
}
