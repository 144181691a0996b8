//! The commands of [`Store`]: each is one call of the module that does it, on the writer or on a reader.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use causeway_core::{
    clock::{ClockAlarm, Timestamp},
    contact::Identity,
    envelope::Envelope,
    event::{Decoded, Event},
    id::{ContactId, DeliveryId, InboxId, Name},
    rules::Rules,
    store::{
        Accepted, Attempt, Claim, Claimed, DeliveryFilter, Discarded, Erased, ErasureStart, InboxFilter,
        LaneState, Processed, Pruned, Redated, Retention, Split, Store, StoreError, Unprocessed, Unread,
        UrlChange,
    },
};

use super::{
    SqliteStore, backup,
    base::{
        error::Error,
        ids::{ActionRowId, ContactRowId, InboxRowId},
        read, rows,
        tx::Tx,
    },
    inbox::{accept, follow, pages, process, unread, urls},
    outbox::{claim, commands, destinations, record},
    people::{erase, erasure, split},
    upkeep::{age, prune, redate},
};

impl SqliteStore {
    /// Returns the rows that can be read, and makes the others dead.
    async fn set_aside_broken(&self, found: read::Waiting) -> Result<Vec<(InboxId, Envelope)>, StoreError> {
        if !found.broken.is_empty() {
            self.writer()?
                .write(found.broken.len(), move |tx| {
                    process::set_aside(tx, &found.broken)
                })
                .await?;
        }
        Ok(found.rows)
    }

    /// Erases a person. Messages that could not be read are searched first, because they can be assigned to
    /// the person only while the contact exists. Messages from after the request stay, because the person may
    /// have signed again.
    async fn erase_rows(
        &self,
        contact: ContactId,
        asked_at: Timestamp,
        now: Timestamp,
    ) -> Result<Erased, StoreError> {
        let unread = self.search_unread(contact, asked_at).await?;
        let mut deleted = 0;
        for named in unread.named.chunks(500) {
            let named = named.to_vec();
            deleted += self
                .writer()?
                .write(named.len(), move |tx| unread::delete(tx, &named))
                .await?;
        }
        let mut erased = self
            .writer()?
            .write(100, move |tx| erase::erase(tx, contact, asked_at, now))
            .await?;
        erased.envelopes += deleted;
        erased.unread = unread;
        Ok(erased)
    }

    /// Searches messages that could not be read, up to `until`, for a person.
    async fn search_unread(&self, contact: ContactId, until: Timestamp) -> Result<Unread, StoreError> {
        let search = self
            .readers
            .read(move |connection| unread::search_for(connection, contact))
            .await?;
        let search = Arc::new(search);
        let mut found = Unread::default();
        let mut after = (!search.is_empty()).then_some(InboxRowId(0));
        while let Some(from) = after {
            let search = Arc::clone(&search);
            let step = self
                .readers
                .read(move |connection| unread::look(connection, &search, from, rows::ms(until)))
                .await?;
            found.named.extend(step.found.named);
            found.sealed.extend(step.found.sealed);
            found.binary.extend(step.found.binary);
            found.searched += step.found.searched;
            after = step.next;
        }
        Ok(found)
    }

    /// Empties the log if needed. Returns whether no erased data is left in it.
    async fn empty_log(&self) -> Result<bool, StoreError> {
        if !self.readers.read(erase::is_log_marked).await? {
            return Ok(true);
        }
        let is_empty = self.writer()?.alone(erase::empty_log).await?;
        if is_empty {
            self.writer()?.write(1, |tx| erase::unmark_log(tx)).await?;
        }
        Ok(is_empty)
    }

    /// Deletes in chunks from `start` to the end, one transaction for each chunk.
    async fn age<Id: Copy + Send + 'static>(
        &self,
        days: Option<u32>,
        start: Id,
        now: Timestamp,
        chunk: fn(&Tx<'_>, Id, i64) -> Result<age::Aged<Id>, Error>,
    ) -> Result<u64, StoreError> {
        let before = before(now, days);
        let mut after = days.map(|_| start);
        let mut all = 0;
        while let Some(from) = after {
            let (gone, next) = self
                .writer()?
                .write(500, move |tx| chunk(tx, from, before))
                .await?;
            all += gone;
            after = next;
        }
        Ok(all)
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn set_rules(&self, rules: Arc<Rules>) -> Result<(), StoreError> {
        if self.lock.is_none() {
            return Err(StoreError::Failed(
                "only the process that serves may set rules".to_owned(),
            ));
        }
        let followed = rules.clone();
        self.writer()?
            .write(100, move |tx| pages::set_rules(tx, Arc::clone(&followed)))
            .await?;
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
        Ok(())
    }

    async fn accept(&self, envelopes: Vec<Envelope>) -> Result<Vec<Accepted>, StoreError> {
        self.writer()?
            .write_urgently(envelopes.len(), move |tx| accept::accept(tx, &envelopes))
            .await
    }

    async fn fetch_new(&self, after: InboxId, limit: u32) -> Result<Vec<(InboxId, Envelope)>, StoreError> {
        let found = self
            .readers
            .read(move |connection| read::fetch_new(connection, after, limit))
            .await?;
        self.set_aside_broken(found).await
    }

    async fn fetch_rows(&self, rows: Vec<InboxId>) -> Result<Vec<(InboxId, Envelope)>, StoreError> {
        let found = self
            .readers
            .read(move |connection| read::fetch_rows(connection, &rows))
            .await?;
        self.set_aside_broken(found).await
    }

    async fn unprocessed(&self, after: Option<InboxId>, limit: u32) -> Result<Unprocessed, StoreError> {
        self.readers
            .read(move |connection| read::unprocessed(connection, after, limit))
            .await
    }

    async fn process(
        &self,
        batch: Vec<(InboxId, Decoded)>,
        now: Timestamp,
    ) -> Result<Vec<Processed>, StoreError> {
        self.writer()?
            .write(batch.len(), move |tx| process::process(tx, &batch, now))
            .await
    }

    async fn fire_due_timers(&self, limit: u32, now: Timestamp) -> Result<u64, StoreError> {
        let rows = usize::try_from(limit).unwrap_or(usize::MAX);
        self.writer()?
            .write(rows, move |tx| follow::fire_due_timers(tx, limit, now))
            .await
    }

    async fn set_last_run(&self, workspace: &str, automation: &str, at: Timestamp) -> Result<(), StoreError> {
        let (workspace, automation) = (workspace.to_owned(), automation.to_owned());
        self.writer()?
            .write(1, move |tx| {
                follow::set_last_run(tx, &workspace, &automation, rows::ms(at))
            })
            .await
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        if self.lock.is_none() {
            return Err(StoreError::Failed(
                "only the process that serves may claim deliveries".to_owned(),
            ));
        }
        let rows = usize::try_from(claim.limit).unwrap_or(usize::MAX);
        self.writer()?
            .write(rows, move |tx| claim::claim(tx, &claim))
            .await
    }

    async fn record(&self, attempts: Vec<Attempt>) -> Result<(), StoreError> {
        self.writer()?
            .write(attempts.len(), move |tx| record::record(tx, &attempts))
            .await
    }

    async fn release(&self, deliveries: Vec<DeliveryId>, due_at: Timestamp) -> Result<(), StoreError> {
        self.writer()?
            .write(deliveries.len(), move |tx| {
                record::release(tx, &deliveries, due_at)
            })
            .await
    }

    async fn set_lane(&self, destination: &str, state: LaneState) -> Result<(), StoreError> {
        let destination = destination.to_owned();
        self.writer()?
            .write(1, move |tx| commands::set_lane(tx, &destination, &state))
            .await
    }

    async fn retry_deliveries(&self, filter: DeliveryFilter, now: Timestamp) -> Result<u64, StoreError> {
        self.writer()?
            .write(100, move |tx| commands::retry(tx, &filter, now))
            .await
    }

    async fn discard_deliveries(
        &self,
        filter: DeliveryFilter,
        reason: &str,
        now: Timestamp,
    ) -> Result<Discarded, StoreError> {
        let reason = reason.to_owned();
        self.writer()?
            .write(100, move |tx| commands::discard(tx, &filter, &reason, now))
            .await
    }

    async fn forget_destination(
        &self,
        destination: &str,
        workspace: Option<Name>,
    ) -> Result<u64, StoreError> {
        let destination = Name::from(destination);
        self.writer()?
            .write(100, move |tx| {
                destinations::forget(tx, &destination, workspace.as_ref())
            })
            .await
    }

    async fn replay(&self, filter: InboxFilter) -> Result<u64, StoreError> {
        self.writer()?
            .write(100, move |tx| commands::replay(tx, &filter))
            .await
    }

    async fn discard_messages(
        &self,
        filter: InboxFilter,
        reason: &str,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let reason = reason.to_owned();
        self.writer()?
            .write(100, move |tx| {
                commands::discard_messages(tx, &filter, &reason, now)
            })
            .await
    }

    async fn begin_erasure(
        &self,
        contact: ContactId,
        at_latest: Timestamp,
        now: Timestamp,
    ) -> Result<ErasureStart, StoreError> {
        let mut parting = self
            .writer()?
            .write(100, move |tx| erasure::begin(tx, contact, at_latest, now))
            .await?;
        parting.unread = self.search_unread(contact, now).await?;
        Ok(parting)
    }

    async fn finish_erasures(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut erased = 0;
        for erasure_row in self.readers.read(erasure::all).await? {
            if erasure_row.open > 0 && erasure_row.at_latest > now {
                continue;
            }
            match self
                .erase_rows(erasure_row.contact, erasure_row.asked_at, now)
                .await
            {
                Ok(gone) => {
                    erased += 1;
                    let contact = erasure_row.contact;
                    for destination in gone.unsent {
                        tracing::warn!(contact.id = contact.0, %destination, "contact {contact} was erased, and {destination} had not confirmed the opt-out or the removal: delete the person there by hand");
                    }
                }
                Err(error @ StoreError::Unavailable(_)) => return Err(error),
                Err(error @ StoreError::Failed(_)) => {
                    let contact = erasure_row.contact;
                    tracing::error!(contact.id = contact.0, %error, "contact {contact} could not be erased; trying again, and the others are erased");
                }
            }
        }
        self.empty_log().await?;
        Ok(erased)
    }

    async fn change_source_url(
        &self,
        source: &str,
        label: &str,
        change: UrlChange,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (source, label) = (source.to_owned(), label.to_owned());
        self.writer()?
            .write(1, move |tx| urls::change(tx, &source, &label, change, now))
            .await
    }

    async fn erase(&self, contact: ContactId, now: Timestamp) -> Result<Erased, StoreError> {
        let erased = self.erase_rows(contact, now, now).await?;
        if !self.empty_log().await? {
            tracing::warn!("A reader kept the log from being emptied; the hub tries again until it is.");
        }
        Ok(erased)
    }

    async fn split(
        &self,
        contact: ContactId,
        taken: BTreeSet<Identity>,
        read: BTreeMap<InboxId, Event>,
        now: Timestamp,
    ) -> Result<Option<Split>, StoreError> {
        self.writer()?
            .write(1_000, move |tx| split::split(tx, contact, &taken, &read, now))
            .await
    }

    async fn prune(&self, retention: Retention, now: Timestamp) -> Result<Pruned, StoreError> {
        let mut pruned = Pruned::default();
        let mut after = retention.payload_days.map(|_| InboxRowId(0));
        let before = before(now, retention.payload_days);
        while let Some(from) = after {
            let step = self
                .writer()?
                .write(500, move |tx| prune::bodies(tx, from, before))
                .await?;
            pruned.bodies += step.bodies;
            after = step.next;
        }
        let mut after = retention.history_days.map(|_| InboxRowId(0));
        let before = self::before(now, retention.history_days);
        while let Some(from) = after {
            let step = self
                .writer()?
                .write(500, move |tx| prune::history(tx, from, before))
                .await?;
            pruned.inbox += step.inbox;
            pruned.deliveries += step.deliveries;
            after = step.next;
        }
        let start = self.writer()?.write(1, |tx| age::answers_start(tx)).await?;
        pruned.answers = self.age(retention.answer_days, start, now, age::answers).await?;
        pruned.engagements = self
            .age(retention.engagement_days, ContactRowId(0), now, age::engagements)
            .await?;
        pruned.actions = self
            .age(retention.action_days, ActionRowId(0), now, age::actions)
            .await?;
        pruned.urls = self.age(retention.url_days, (), now, urls::prune).await?;
        Ok(pruned)
    }

    async fn redate(&self, back: Duration, now: Timestamp) -> Result<Redated, StoreError> {
        let (back, now) = (i64::try_from(back.as_millis()).unwrap_or(i64::MAX), rows::ms(now));
        let shift = self
            .writer()?
            .write(1, move |tx| redate::Shift::new(tx, back, now))
            .await?;
        let mut redated = Redated::default();
        for part in redate::PARTS {
            let mut after = Some(0);
            while let Some(from) = after {
                let (rows, next) = self
                    .writer()?
                    .write(500, move |tx| redate::range(tx, shift, part, from))
                    .await?;
                after = next;
                part.count(&mut redated, rows);
            }
        }
        Ok(redated)
    }

    async fn set_clock_alarm(&self, alarm: Option<ClockAlarm>) -> Result<(), StoreError> {
        self.writer()?
            .write(1, move |tx| redate::set_alarm(tx, alarm))
            .await
    }

    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        backup(&self.path, to).await
    }
}

fn before(now: Timestamp, days: Option<u32>) -> i64 {
    const DAY_MS: i64 = 86_400_000;
    rows::ms(now).saturating_sub(i64::from(days.unwrap_or(0)).saturating_mul(DAY_MS))
}
