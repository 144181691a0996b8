//! Sends a destination the people who came before it.

use async_trait::async_trait;

use super::StoreError;
use crate::{
    clock::Timestamp,
    id::{ContactId, Name},
};

/// Who is sent to which destination.
#[derive(Debug, Clone)]
pub struct Backfill {
    pub destination: Name,
    /// Only people with an event since then.
    pub since: Option<Timestamp>,
    /// Only people with an event of this campaign, by its name.
    pub campaign: Option<String>,
    /// Each of their actions is sent, not only the person as they are now.
    pub actions: bool,
    /// Counts, and plans nothing.
    pub dry_run: bool,
    /// The time between two deliveries. Deliveries of new messages go first.
    pub every: std::time::Duration,
}

/// What a part of a backfill did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backfilled {
    /// Where the next part begins; `None` at the end.
    pub next: Option<ContactId>,
    pub people: u64,
    /// Deliveries that were planned, or would be.
    pub planned: u64,
    /// People whom the destination has been sent already, or for whom that is planned.
    pub known: u64,
    /// People whose consent does not suffice.
    pub not_allowed: u64,
    /// People without an event that the destination takes.
    pub not_taken: u64,
}

impl Backfilled {
    pub fn add(&mut self, part: &Self) {
        self.next = part.next;
        self.people += part.people;
        self.planned += part.planned;
        self.known += part.known;
        self.not_allowed += part.not_allowed;
        self.not_taken += part.not_taken;
    }
}

/// The part of a store that plans backfills. A plan that was made already is not made again, so a backfill that was
/// interrupted is repeated from the start.
#[async_trait]
pub trait Backfills: Send + Sync {
    /// Looks at the next people after `after`. The first delivery is due at `first_due`.
    async fn backfill(
        &self,
        asked: &Backfill,
        after: ContactId,
        first_due: Timestamp,
    ) -> Result<Backfilled, StoreError>;
}
