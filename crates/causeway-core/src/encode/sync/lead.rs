//! The lead score and status of a contact. This is the only place that chooses their source.

use crate::{decode::sync::LeadStatus, event::Engagement, record::Record};

/// A contact's data as a lead.
pub(super) struct Lead<'a> {
    /// The engagement rows of scoring rules, oldest first.
    pub hits: Vec<&'a Engagement>,
    pub status: LeadStatus,
}

/// The total and its label, and the rows of the rules that gave points. All belong to one owner
/// ([`crate::automation::Owner`]).
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
