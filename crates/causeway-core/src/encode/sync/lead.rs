//! The lead score and status of a contact: the one place that says where they come from.

use crate::{decode::sync::LeadStatus, event::Engagement, record::Record};

/// What is known of a contact as a lead.
pub(super) struct Lead<'a> {
    /// The scoring rules that were hit, oldest first.
    pub hits: Vec<&'a Engagement>,
    pub status: LeadStatus,
}

/// The total and its label, and the rules that gave points, all of one owner ([`crate::automation::Owner`]).
pub(super) fn lead(record: &Record) -> Lead<'_> {
    let hits = record.engagements.iter();
    Lead {
        hits: hits.filter(|row| record.lead.owns(row)).collect(),
        status: LeadStatus {
            score: record.lead.score.as_ref().and_then(crate::decode::sync::scalar),
            label: record.lead.status.clone(),
        },
    }
}
