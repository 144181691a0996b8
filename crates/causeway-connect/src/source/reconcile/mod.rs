//! Looks for what a Proca queue lost: an event of Proca is sent once, and is gone if the broker was not there. At times its API
//! is asked for the actions of the last days; each whose state was not seen before comes in as a message like any other. What
//! is known already changes nothing.
//!
//! People whose address bounced vanish from Proca's lists. Who was there at one look and is not at the next is asked for by
//! address, which shows them again.

mod config;
mod message;
mod query;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use causeway_core::{
    clock::{Clock, Timestamp},
    envelope::{Dedup, Envelope, MessageKey, Meta, digest},
    id::Name,
    source::{Accept, Health, Stop},
};
use serde_json::Value;

pub use config::Reconcile;

use self::query::{Asked, Trouble};
use crate::{
    config::{ConfigError, Context},
    http::{Client, Options},
};

/// Says in an envelope where it is from; the decoder puts it into the ledger.
pub use causeway_core::decode::proca::RECONCILIATION;

/// A call of the API may take so long.
const CALL_LIMIT: Duration = Duration::from_mins(1);
/// Envelopes accepted together.
const BATCH: usize = 100;

/// Asks one organisation's API, by one source's configuration.
pub struct Reconciler {
    name: Name,
    clock: Arc<dyn Clock>,
    config: Reconcile,
    asked: Asked,
}

/// What one look found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Actions in the lists.
    pub seen: usize,
    /// States that were not seen before, whether or not the store knew them.
    pub told: usize,
    /// Entries that could not be read.
    pub unread: usize,
}

/// What earlier looks of this process saw.
#[derive(Default)]
pub struct Memory {
    told: HashSet<MessageKey>,
    /// Action → its time and address, of the last look that went to the end.
    people: People,
}

type People = BTreeMap<i64, (Option<Timestamp>, String)>;

impl Reconciler {
    /// Reads the secrets, opens no connection.
    pub fn new(context: &Context, config: &Reconcile) -> Result<Self, ConfigError> {
        let client = Client::new(Options {
            allow_private: config.allow_private,
            ..Options::default()
        })?;
        Ok(Self {
            name: Name::clone(&context.name),
            clock: Arc::clone(&context.clock),
            asked: Asked::new(client, config, &context.dir)?,
            config: config.clone(),
        })
    }

    /// Looks at once, and then as often as configured, until `stop`. Trouble is told and tried again the next time.
    pub async fn run(&self, accept: Arc<dyn Accept>, health: Arc<dyn Health>, stop: Stop) {
        let mut memory = Memory::default();
        while !stop.is_cancelled() {
            let look = tokio::select! {
                look = self.look(&accept, &mut memory) => look,
                () = stop.cancelled() => return,
            };
            match look {
                Ok(found) => {
                    health.count("reconciled");
                    tracing::info!(source = %self.name, seen = found.seen, told = found.told, unread = found.unread,
                        "Compared with Proca's API.");
                }
                Err(trouble) => {
                    health.count("reconcile_failed");
                    tracing::warn!(source = %self.name, reason = %trouble, "Could not compare with Proca's API.");
                }
            }
            let every = Duration::from_hours(self.config.every_h.into());
            let next = self.clock.now().saturating_add(every).unwrap_or(Timestamp::MAX);
            tokio::select! {
                () = self.clock.sleep_until(next) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// One look. What was accepted before trouble stays accepted.
    pub async fn look(&self, accept: &Arc<dyn Accept>, memory: &mut Memory) -> Result<Found, Trouble> {
        let after = self
            .clock
            .now()
            .saturating_sub(Duration::from_hours(24 * u64::from(self.config.lookback_days)))
            .unwrap_or(Timestamp::MIN);
        let (mut found, mut people) = (Found::default(), People::new());
        let (mut start, mut limit) = (0, self.config.page);
        loop {
            let page = match self.asked.actions(start, after, limit, CALL_LIMIT).await {
                // More than we read of an answer: less at a time.
                Err(Trouble::TooLong) if limit > 1 => {
                    limit = (limit / 2).max(1);
                    continue;
                }
                page => page?,
            };
            let last = page.last().and_then(message::id);
            self.tell(accept, memory, &page, &mut found, &mut people).await?;
            match last {
                // The other side may give less at a time than was asked for: only an empty page is the end.
                Some(last) if last >= start => start = last + 1,
                _ => break,
            }
        }
        self.look_for_vanished(accept, memory, &mut found, &people, after)
            .await?;
        memory.people = people;
        Ok(found)
    }

    /// Accepts what was not told before.
    async fn tell(
        &self,
        accept: &Arc<dyn Accept>,
        memory: &mut Memory,
        page: &[Value],
        found: &mut Found,
        people: &mut People,
    ) -> Result<(), Trouble> {
        let mut envelopes = Vec::new();
        for entry in page {
            found.seen += 1;
            let Some(message) = message::of(entry) else {
                found.unread += 1;
                continue;
            };
            people.extend(
                message
                    .email
                    .map(|email| (message.id, (message.created_at, email))),
            );
            let body = message.body.to_string();
            let key = digest(&[RECONCILIATION.as_bytes(), body.as_bytes()]);
            if memory.told.contains(&key) {
                continue;
            }
            envelopes.push(Envelope {
                source: Name::clone(&self.name),
                dedup: Dedup::dated(key),
                received_at: self.clock.now(),
                meta: Meta {
                    routing_key: Some(RECONCILIATION.to_owned()),
                    ..Meta::default()
                },
                body: body.into(),
            });
        }
        for chunk in envelopes.chunks(BATCH) {
            let accepted = accept.accept(chunk.to_vec()).await;
            accepted.map_err(|error| Trouble::Store(error.to_string()))?;
            memory
                .told
                .extend(chunk.iter().map(|envelope| envelope.dedup.key));
            found.told += chunk.len();
        }
        Ok(())
    }

    async fn look_for_vanished(
        &self,
        accept: &Arc<dyn Accept>,
        memory: &mut Memory,
        found: &mut Found,
        people: &People,
        after: Timestamp,
    ) -> Result<(), Trouble> {
        let vanished: BTreeSet<String> = memory
            .people
            .iter()
            // Who is only too old by now did not vanish.
            .filter(|(id, (at, _))| !people.contains_key(*id) && at.is_none_or(|at| at >= after))
            .map(|(_, (_, email))| email.clone())
            .collect();
        for email in &vanished {
            let page = self.asked.contacts(email, after, CALL_LIMIT).await?;
            self.tell(accept, memory, &page, found, &mut People::new())
                .await?;
        }
        Ok(())
    }
}
