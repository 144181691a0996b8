//! Finds what a Proca queue lost. Proca sends an event once, and it is lost if the broker was down. From time
//! to time the hub queries Proca's API for the actions of the last days. An action whose state was not seen
//! before is accepted like any other message; known states change nothing.
//!
//! Actions that bounced, were rejected or were erased are missing from Proca's list; [`unlisted`] finds out
//! which it was.
//!
//! Invariant: an opt-in is only ever taken from the list of delivered actions. The response for an address
//! also holds confirming and rejected actions, and is used only for the status of known actions.

mod api;
mod campaigns;
mod config;
mod message;
mod processing;
mod query;
#[cfg(test)]
mod tests;
mod unlisted;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use causeway_core::{
    clock::{Clock, Timestamp},
    envelope::{Dedup, Envelope, MessageKey, Meta, digest},
    id::Name,
    source::{Accept, Health, Remark, Stop},
};
use serde_json::Value;

pub use api::ReconcileError;
pub use campaigns::WithCampaigns;
pub use config::Reconcile;

use self::{api::Api, campaigns::Campaigns};
use crate::config::{ConfigError, Context};

/// The routing key of these messages; the decoder writes it into the ledger.
pub use causeway_core::decode::proca::RECONCILIATION;

/// Maximum duration of a comparison, besides the time to the next one.
const LONGEST: Duration = Duration::from_hours(12);
/// Envelopes accepted together.
const BATCH: usize = 100;
/// The largest number that can be requested: GraphQL's `Int` has 32 bits.
const LAST_NUMBER: i64 = i32::MAX as i64;

/// The queue that is compared with the API.
#[derive(Debug, Clone, Default)]
pub struct Queue {
    /// Numbers of the own organisations.
    pub own_orgs: BTreeSet<String>,
    /// The number in the queue's name.
    pub org: Option<u64>,
    /// Test actions are treated as real.
    pub include_testing: bool,
    /// Only the click in a mail is consent.
    pub waits_for_click: bool,
}

/// Queries one organisation's API, by one source's configuration.
pub struct Reconciler {
    name: Name,
    clock: Arc<dyn Clock>,
    config: Reconcile,
    queue: Queue,
    api: Arc<Api>,
    campaigns: Option<Arc<Campaigns>>,
    /// Short name of an organisation → its number, if it is known.
    orgs: Mutex<BTreeMap<String, Option<i64>>>,
}

/// The result of one comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Actions in the list.
    pub seen: usize,
    /// States that were not seen before, whether or not the store knew them.
    pub new: usize,
    /// Entries that could not be read.
    pub unread: usize,
    /// The API did not give some numbers, so a missing action may be one of these.
    pub incomplete: bool,
    /// Actions in the store that are no longer in the list, because the address bounced or the like.
    pub suppressed: usize,
    /// Actions that are no longer in the list because they were rejected: an opt-out.
    pub rejected: usize,
    /// Actions that are no longer in Proca: an opt-out, too.
    pub gone: usize,
    /// Findings that were not applied, because this many at once look like an error.
    pub held: usize,
    /// Actions whose state is not known: without an address to query, perhaps of a page that the organisation
    /// cannot query, or perhaps in the list without a number.
    pub unknown: usize,
}

/// What earlier comparisons of this process saw.
#[derive(Default)]
pub struct Memory {
    accepted: HashSet<MessageKey>,
    /// Those that the present comparison saw; the others are dropped at its end.
    met: HashSet<MessageKey>,
    /// Unlisted actions whose outcome is known.
    settled: HashSet<i64>,
    /// How many of them are gone.
    gone: usize,
}

impl Reconciler {
    /// Reads the secrets; opens no connection.
    pub fn new(context: &Context, config: &Reconcile, queue: Queue) -> Result<Self, ConfigError> {
        let api = Arc::new(Api::new(config, queue.include_testing, &context.dir)?);
        let campaigns = (config.campaigns_every_h > 0).then(|| {
            Arc::new(Campaigns {
                name: Name::clone(&context.name),
                clock: Arc::clone(&context.clock),
                api: Arc::clone(&api),
                max_age: Duration::from_hours(config.campaigns_every_h.into()),
                state: tokio::sync::Mutex::default(),
            })
        });
        Ok(Self {
            name: Name::clone(&context.name),
            clock: Arc::clone(&context.clock),
            api,
            campaigns,
            config: config.clone(),
            queue,
            orgs: Mutex::default(),
        })
    }

    /// The way in for the source: queries the API for the settings of campaigns whose messages arrive.
    pub fn with_campaigns(&self, accept: Arc<dyn Accept>, health: &Arc<dyn Health>) -> Arc<dyn Accept> {
        match &self.campaigns {
            Some(campaigns) => Arc::new(WithCampaigns {
                inner: accept,
                campaigns: Arc::clone(campaigns),
                health: Arc::clone(health),
            }),
            None => accept,
        }
    }

    /// Compares at once, and then as often as configured, until `stop`. A failure is reported and tried again
    /// the next time.
    pub async fn run(&self, accept: Arc<dyn Accept>, health: Arc<dyn Health>, stop: Stop) {
        let mut memory = Memory::default();
        while !stop.is_cancelled() {
            // The next comparison would begin then: a server that never finishes must not block this one for
            // ever.
            let limit = Duration::from_hours(self.config.every_h.into()).min(LONGEST);
            let comparing = tokio::time::timeout(limit, self.compare(&accept, &mut memory));
            let compared = tokio::select! {
                compared = comparing => compared.unwrap_or(Err(ReconcileError::TooSlow(limit))),
                () = stop.cancelled() => return,
            };
            match compared {
                Ok(found) => {
                    health.count("reconciled");
                    health.warn("reconcile", found.warning(memory.gone));
                    tracing::info!(source = %self.name, seen = found.seen, new = found.new, unread = found.unread,
                        incomplete = found.incomplete, suppressed = found.suppressed, rejected = found.rejected, gone = found.gone, held = found.held,
                        unknown = found.unknown, "Compared with Proca's API.");
                }
                Err(error) => {
                    health.count("reconcile_failed");
                    health.warn(
                        "reconcile",
                        Some(format!("could not compare with Proca's API: {error}")),
                    );
                    tracing::warn!(source = %self.name, reason = %error, "Could not compare with Proca's API.");
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

    /// What the API says about the organisation, for a person. Fails if a comparison would fail.
    pub async fn check(&self) -> Result<Vec<Remark>, ReconcileError> {
        let remarks = match self.organisation().await? {
            Some(org) => processing::remarks(
                org.get("processing").unwrap_or(&Value::Null),
                &self.queue,
                &self.config,
            ),
            None => vec![processing::unseen(&self.config.org)],
        };
        self.api.ids(0, self.list_start(), 1).await?;
        Ok(remarks)
    }

    /// One comparison. What was accepted before a failure stays accepted.
    pub async fn compare(
        &self,
        accept: &Arc<dyn Accept>,
        memory: &mut Memory,
    ) -> Result<Found, ReconcileError> {
        let asked_at = self.clock.now();
        let after = self.list_start();
        self.organisation().await?;
        memory.met.clear();
        let mut found = Found::default();
        let mut listed = HashSet::new();
        let (mut start, mut limit) = (0, self.config.page);
        loop {
            let page = match self.api.actions(start, after, limit).await {
                Err(ReconcileError::TooLong) if limit > 1 => {
                    limit = (limit / 2).max(1);
                    continue;
                }
                Err(ReconcileError::TooLong) => vec![None],
                page => page?,
            };
            // The server may return less than requested, so only an empty page is the end.
            if page.is_empty() {
                break;
            }
            // An action that is too long, or that the server cannot assemble, must not stop the ones after
            // it.
            let numbers = self.numbers(&page, start, after, limit).await?;
            let read = self.accept_page(accept, memory, &page, &mut found).await?;
            for number in numbers.iter().flatten().filter(|number| !read.contains(number)) {
                found.unread += 1;
                tracing::warn!(source = %self.name, action = number, "Proca's API gives an action that cannot be read; it is left out.");
            }
            found.seen += numbers.iter().flatten().count();
            listed.extend(numbers.iter().flatten());
            self.note_unnamed(&numbers, start, &mut found);
            match numbers.iter().flatten().max() {
                Some(last) if *last >= start => start = last + 1,
                Some(_) => break,
                None => start = self.behind_unnamed(start, after, limit).await?,
            }
            limit = limit.saturating_mul(2).min(self.config.page);
        }
        let asked = self.unlisted(listed, after, asked_at);
        self.follow_unlisted(accept, memory, asked, &mut found).await?;
        memory.gone += found.gone;
        // An action that an incomplete list lacks may be in the next list.
        if !found.incomplete && found.unread == 0 {
            let met = std::mem::take(&mut memory.met);
            memory.accepted.retain(|key| met.contains(key));
        }
        Ok(found)
    }

    /// The numbers of a page. Numbers of entries that the server did not assemble are queried separately.
    async fn numbers(
        &self,
        page: &[Option<Value>],
        start: i64,
        after: Timestamp,
        limit: u32,
    ) -> Result<Vec<Option<i64>>, ReconcileError> {
        let numbers = api::numbers(page);
        if !numbers.contains(&None) {
            return Ok(numbers);
        }
        let alone = self.api.ids(start, after, limit).await?;
        let both = || numbers.iter().zip(&alone);
        // If the list changed in between, positions no longer identify an entry.
        let is_same = alone.len() >= numbers.len()
            && both().all(|(number, alone)| number.is_none() || alone.is_none() || number == alone);
        Ok(if is_same {
            both().map(|(number, alone)| number.or(*alone)).collect()
        } else {
            numbers
        })
    }

    /// Counts the entries of a page that have no number, and logs their place in the list.
    fn note_unnamed(&self, numbers: &[Option<i64>], start: i64, found: &mut Found) {
        let behind = numbers.iter().rposition(Option::is_some);
        // Those at the end of a page come again at the beginning of the next one.
        let unnamed = numbers.iter().take(behind.unwrap_or(numbers.len()));
        let unnamed = unnamed.filter(|number| number.is_none()).count();
        found.unread += unnamed;
        found.incomplete |= numbers.contains(&None);
        if unnamed > 0 {
            tracing::warn!(source = %self.name, actions = unnamed, from = start,
                "Proca's API gives actions without a number, at or after this one; they are left out, and nobody is \
                 treated as missing or rejected.");
        }
    }

    /// Where to continue after a page without any number: at the first page that has one, or is empty. It is
    /// found by a search, because numbers have gaps of any length.
    async fn behind_unnamed(&self, start: i64, after: Timestamp, limit: u32) -> Result<i64, ReconcileError> {
        // Invariant: the page at `low` has entries and no number.
        let (mut low, mut step) = (start, 1);
        let mut high = loop {
            let next = low.saturating_add(step).min(LAST_NUMBER);
            if !self.is_unnamed(next, after, limit).await? {
                break next;
            }
            if next == LAST_NUMBER {
                return Err(ReconcileError::Api(
                    "the API's list does not end, and has no numbers".to_owned(),
                ));
            }
            (low, step) = (next, step.saturating_mul(2));
        };
        while high - low > 1 {
            let middle = low.midpoint(high);
            if self.is_unnamed(middle, after, limit).await? {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(high)
    }

    async fn is_unnamed(&self, start: i64, after: Timestamp, limit: u32) -> Result<bool, ReconcileError> {
        let numbers = self.api.ids(start, after, limit).await?;
        Ok(!numbers.is_empty() && numbers.iter().all(Option::is_none))
    }

    fn list_start(&self) -> Timestamp {
        let days = Duration::from_hours(24 * u64::from(self.config.lookback_days));
        self.clock.now().saturating_sub(days).unwrap_or(Timestamp::MIN)
    }

    /// Accepts new states. Returns the numbers of the entries that could be read.
    async fn accept_page(
        &self,
        accept: &Arc<dyn Accept>,
        memory: &mut Memory,
        page: &[Option<Value>],
        found: &mut Found,
    ) -> Result<BTreeSet<i64>, ReconcileError> {
        let (mut envelopes, mut read) = (Vec::new(), BTreeSet::new());
        for entry in page.iter().flatten() {
            let org = match message::page_org(entry) {
                Some(org) => self.number_of(org).await?,
                None => None,
            };
            let Some(body) = message::of(entry, org) else {
                continue;
            };
            read.extend(message::id(entry));
            let body = body.to_string();
            let dedup = digest(&[RECONCILIATION.as_bytes(), body.as_bytes()]);
            memory.met.insert(dedup);
            if !memory.accepted.contains(&dedup) {
                envelopes.push(self.envelope(dedup, RECONCILIATION.to_owned(), body));
            }
        }
        found.new += self.accept(accept, memory, &envelopes).await?;
        Ok(read)
    }

    fn envelope(&self, dedup: MessageKey, routing_key: String, body: String) -> Envelope {
        Envelope {
            source: Name::clone(&self.name),
            dedup: Dedup::dated(dedup),
            received_at: self.clock.now(),
            meta: Meta {
                routing_key: Some(routing_key),
                ..Meta::default()
            },
            body: body.into(),
        }
    }

    async fn accept(
        &self,
        accept: &Arc<dyn Accept>,
        memory: &mut Memory,
        envelopes: &[Envelope],
    ) -> Result<usize, ReconcileError> {
        for chunk in envelopes.chunks(BATCH) {
            let accepted = accept.accept(chunk.to_vec()).await;
            accepted.map_err(|error| ReconcileError::Store(error.to_string()))?;
            memory
                .accepted
                .extend(chunk.iter().map(|envelope| envelope.dedup.key));
        }
        Ok(envelopes.len())
    }

    /// The organisation of the API; `None` if the user may read actions but not the organisation. An
    /// organisation other than the queue's is an error: everybody would look erased.
    async fn organisation(&self) -> Result<Option<Value>, ReconcileError> {
        let org = match self.api.org(&self.config.org).await {
            Ok(org) => org,
            Err(ReconcileError::Refused(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(number) = org.get("id").and_then(Value::as_i64) else {
            return Ok(Some(org));
        };
        let is_ours = self.queue.own_orgs.contains(&number.to_string())
            || self.queue.org.is_some_and(|org| i64::try_from(org) == Ok(number));
        if !is_ours {
            let own: Vec<&str> = self.queue.own_orgs.iter().map(String::as_str).collect();
            return Err(ReconcileError::WrongOrg {
                org: self.config.org.clone(),
                number,
                own: own.join(", "),
            });
        }
        self.orgs().insert(self.config.org.clone(), Some(number));
        Ok(Some(org))
    }

    /// The number of the organisation that owns a page, which shows whether it is an own page. The API gives
    /// names only.
    async fn number_of(&self, org: &str) -> Result<Option<i64>, ReconcileError> {
        if let Some(known) = self.orgs().get(org) {
            return Ok(*known);
        }
        let number = if org == self.config.org {
            self.queue.org.and_then(|org| i64::try_from(org).ok())
        } else if self.queue.own_orgs.len() > 1 {
            // The API answers only members of that organisation.
            match self.api.org(org).await {
                Ok(found) => found.get("id").and_then(Value::as_i64),
                Err(ReconcileError::Refused(_) | ReconcileError::Api(_)) => None,
                Err(error) => return Err(error),
            }
        } else {
            None
        };
        self.orgs().insert(org.to_owned(), number);
        Ok(number)
    }

    fn orgs(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Option<i64>>> {
        self.orgs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Found {
    /// The warning for a person, if there is one. `gone` counts all comparisons.
    fn warning(&self, gone: usize) -> Option<String> {
        let mut parts = Vec::new();
        if self.held > 0 {
            parts.push(format!(
                "{} actions that are known here are no longer in Proca. That is too many at once to be plausible, so \
                 nobody was opted out; check the permissions of the API's user and whether Proca deletes actions \
                 within `lookback_days`",
                self.held
            ));
        }
        if gone > 0 {
            parts.push(format!(
                "{gone} actions are no longer in Proca, nor are their supporters: their people are opted out; `causeway doctor` \
                 lists them, `causeway contact erase` erases them here, too"
            ));
        }
        if self.unread > 0 {
            parts.push(format!(
                "{} actions of Proca's API cannot be read; the log names them",
                self.unread
            ));
        }
        if self.incomplete {
            parts.push(
                "Proca's API gives some actions without their number: until it gives all, nobody is treated as \
                 missing or rejected"
                    .to_owned(),
            );
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}
