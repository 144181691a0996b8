//! A store that fails at one call, before or after the call took effect. The caller cannot distinguish the
//! two.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
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
        LaneState, Processed, Pruned, Redated, Retention, Split, Store, StoreError, Unprocessed, UrlChange,
    },
};

/// When the call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fail {
    /// Nothing was changed.
    Before,
    /// The call took effect, and its result is lost.
    After,
}

/// Fails once, at call number `at` (from 1). All other calls succeed.
pub struct FailingStore {
    inner: Arc<dyn Store>,
    at: u64,
    fail: Fail,
    calls: AtomicU64,
}

impl FailingStore {
    pub fn new(inner: Arc<dyn Store>, at: u64, fail: Fail) -> Self {
        Self {
            inner,
            at,
            fail,
            calls: AtomicU64::new(0),
        }
    }

    /// Calls so far. A loop over `at` ends when a run needed fewer.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let failed = || StoreError::Unavailable(format!("call {number} fails in this test"));
        if number != self.at {
            return call.await;
        }
        match self.fail {
            Fail::Before => Err(failed()),
            Fail::After => {
                call.await?;
                Err(failed())
            }
        }
    }
}

#[async_trait]
impl Store for FailingStore {
    async fn set_rules(&self, rules: Arc<Rules>) -> Result<(), StoreError> {
        self.call(self.inner.set_rules(rules)).await
    }

    async fn accept(&self, envelopes: Vec<Envelope>) -> Result<Vec<Accepted>, StoreError> {
        self.call(self.inner.accept(envelopes)).await
    }

    async fn fetch_new(&self, after: InboxId, limit: u32) -> Result<Vec<(InboxId, Envelope)>, StoreError> {
        self.call(self.inner.fetch_new(after, limit)).await
    }

    async fn fetch_rows(&self, rows: Vec<InboxId>) -> Result<Vec<(InboxId, Envelope)>, StoreError> {
        self.call(self.inner.fetch_rows(rows)).await
    }

    async fn unprocessed(&self, after: Option<InboxId>, limit: u32) -> Result<Unprocessed, StoreError> {
        self.call(self.inner.unprocessed(after, limit)).await
    }

    async fn process(
        &self,
        batch: Vec<(InboxId, Decoded)>,
        now: Timestamp,
    ) -> Result<Vec<Processed>, StoreError> {
        self.call(self.inner.process(batch, now)).await
    }

    async fn fire_due_timers(&self, limit: u32, now: Timestamp) -> Result<u64, StoreError> {
        self.call(self.inner.fire_due_timers(limit, now)).await
    }

    async fn set_last_run(&self, workspace: &str, automation: &str, at: Timestamp) -> Result<(), StoreError> {
        self.call(self.inner.set_last_run(workspace, automation, at))
            .await
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        self.call(self.inner.claim(claim)).await
    }

    async fn record(&self, attempts: Vec<Attempt>) -> Result<(), StoreError> {
        self.call(self.inner.record(attempts)).await
    }

    async fn release(&self, deliveries: Vec<DeliveryId>, due_at: Timestamp) -> Result<(), StoreError> {
        self.call(self.inner.release(deliveries, due_at)).await
    }

    async fn set_lane(&self, destination: &str, state: LaneState) -> Result<(), StoreError> {
        self.call(self.inner.set_lane(destination, state)).await
    }

    async fn retry_deliveries(&self, filter: DeliveryFilter, now: Timestamp) -> Result<u64, StoreError> {
        self.call(self.inner.retry_deliveries(filter, now)).await
    }

    async fn discard_deliveries(
        &self,
        filter: DeliveryFilter,
        reason: &str,
        now: Timestamp,
    ) -> Result<Discarded, StoreError> {
        self.call(self.inner.discard_deliveries(filter, reason, now))
            .await
    }

    async fn forget_destination(
        &self,
        destination: &str,
        workspace: Option<Name>,
    ) -> Result<u64, StoreError> {
        self.call(self.inner.forget_destination(destination, workspace))
            .await
    }

    async fn replay(&self, filter: InboxFilter) -> Result<u64, StoreError> {
        self.call(self.inner.replay(filter)).await
    }

    async fn discard_messages(
        &self,
        filter: InboxFilter,
        reason: &str,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.call(self.inner.discard_messages(filter, reason, now)).await
    }

    async fn begin_erasure(
        &self,
        contact: ContactId,
        at_latest: Timestamp,
        now: Timestamp,
    ) -> Result<ErasureStart, StoreError> {
        self.call(self.inner.begin_erasure(contact, at_latest, now)).await
    }

    async fn finish_erasures(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.call(self.inner.finish_erasures(now)).await
    }

    async fn change_source_url(
        &self,
        source: &str,
        label: &str,
        change: UrlChange,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.call(self.inner.change_source_url(source, label, change, now))
            .await
    }

    async fn erase(&self, contact: ContactId, now: Timestamp) -> Result<Erased, StoreError> {
        self.call(self.inner.erase(contact, now)).await
    }

    async fn split(
        &self,
        contact: ContactId,
        taken: BTreeSet<Identity>,
        read: BTreeMap<InboxId, Event>,
        now: Timestamp,
    ) -> Result<Option<Split>, StoreError> {
        self.call(self.inner.split(contact, taken, read, now)).await
    }

    async fn prune(&self, retention: Retention, now: Timestamp) -> Result<Pruned, StoreError> {
        self.call(self.inner.prune(retention, now)).await
    }

    async fn redate(&self, back: Duration, now: Timestamp) -> Result<Redated, StoreError> {
        self.call(self.inner.redate(back, now)).await
    }

    async fn set_clock_alarm(&self, alarm: Option<ClockAlarm>) -> Result<(), StoreError> {
        self.call(self.inner.set_clock_alarm(alarm)).await
    }

    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.call(self.inner.backup(to)).await
    }
}
