//! The lead score and status of a contact: the one place that says where they come from.

use crate::{
    decode::sync::LeadStatus,
    event::{Engagement, EngagementKind},
    record::Record,
};

/// What is known of a contact as a lead.
pub(super) struct Lead<'a> {
    /// The scoring rules that were hit, oldest first.
    pub hits: Vec<&'a Engagement>,
    pub status: LeadStatus,
}

/// The total and its label as the platform told them, and what it told of each rule.
pub(super) fn lead(record: &Record) -> Lead<'_> {
    let field = |name: &str| {
        let field = record.contact.fields.get(name)?;
        crate::decode::sync::scalar(&field.value)
    };
    let hits = record.engagements.iter();
    Lead {
        hits: hits.filter(|row| row.kind == EngagementKind::LeadScore).collect(),
        status: LeadStatus {
            score: field("lead_score"),
            label: field("lead_status"),
        },
    }
}
