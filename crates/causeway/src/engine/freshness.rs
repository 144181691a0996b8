//! Checks at the start of a call whether its claimed deliveries may still be sent.
//!
//! Invariant: a request does not start before all acknowledged messages that may forbid it are processed. There are two
//! exceptions: a call waits at most [`LONGEST_WAIT`] for processing, and if such messages arrive without a pause, it
//! does not wait for those that were acknowledged within the last [`SHORT`].
//!
//! This takes two steps. The call waits until all earlier messages that may be an opt-out are processed. Then it checks
//! whether the consent of its contacts may have changed since they were claimed.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use causeway_core::{
    delivery::Delivery,
    id::{ContactId, InboxId},
    store::Unprocessed,
};
use tokio::sync::Notify;

/// How long a call waits for messages that may be an opt-out. Behind a longer backlog it starts without them, because a
/// lane that waits for ever would be worse.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A call waits this long for a moment in which no message that may be an opt-out waits to be processed. Where such
/// messages arrive without a pause, no such moment comes, and without this limit calls would hardly ever start.
const FOR_A_PAUSE: Duration = Duration::from_millis(300);
/// A call waits in rounds, each for the messages that were accepted before the round. If no pause comes within
/// [`FOR_A_PAUSE`], the call starts at the end of the first round that took less than this. So it misses only messages
/// that were acknowledged just before it.
const SHORT: Duration = Duration::from_millis(50);
/// Maximum number of remembered changes. Beyond it all are forgotten, and every earlier claim counts as changed.
const CHANGES: usize = 65_536;

/// Messages that are accepted but not processed, and contacts whose consent changed lately.
#[derive(Default)]
pub struct Freshness {
    inner: Mutex<Inner>,
    processed: Notify,
}

#[derive(Default)]
struct Inner {
    /// Whether all messages of the previous run are processed.
    started: bool,
    /// Accepted messages that may be an opt-out and are not processed, and whether processing has started them.
    pending: BTreeMap<InboxId, bool>,
    /// Unprocessed messages whose senders wait for a response, and whether processing has started them.
    asked: BTreeMap<InboxId, bool>,
    /// Messages that this process accepted and that [`Freshness::found`] has not seen yet.
    own: HashSet<InboxId>,
    /// Contact → the number of its last change.
    changed: HashMap<ContactId, u64>,
    /// The number of the last change.
    last: u64,
    /// Changes up to this number are forgotten.
    forgotten: u64,
}

/// A position in the sequence of changes, taken before deliveries are claimed.
#[derive(Debug, Clone, Copy)]
pub struct Mark(u64);

impl Freshness {
    fn locked(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes accepted messages, and whether each may be an opt-out: later calls wait for those that may. Invariant:
    /// called before the acknowledgement.
    pub fn accepted(&self, messages: impl Iterator<Item = (InboxId, bool)>) {
        let mut inner = self.locked();
        for (message, may_opt_out) in messages {
            inner.own.insert(message);
            if may_opt_out {
                inner.pending.entry(message).or_insert(false);
            } else {
                // `found` saw the message in the inbox before `accepted` ran.
                inner.pending.remove(&message);
            }
        }
    }

    /// Notes messages that arrived in the inbox lately. Each message of another process may be an opt-out, so later calls wait
    /// for it.
    pub fn found(&self, arrived: &Unprocessed) {
        let mut guard = self.locked();
        let inner = &mut *guard;
        for message in &arrived.rows {
            if !inner.own.contains(message) {
                inner.pending.entry(*message).or_insert(false);
            }
        }
        inner.own.retain(|message| *message > arrived.until);
    }

    /// The number of messages that calls wait for.
    pub fn pending(&self) -> usize {
        self.locked().pending.len()
    }

    /// Puts a message before all others in processing, because its sender waits for a response. The listeners limit the
    /// number of waiting senders, so other messages are not delayed for long.
    pub fn ask(&self, message: InboxId) {
        self.locked().asked.entry(message).or_insert(false);
    }

    /// Whether a sender waits for a message that processing has not started.
    pub fn is_asked(&self) -> bool {
        self.locked().asked.values().any(|is_taken| !*is_taken)
    }

    /// The messages to process before all others: those whose senders wait, then the oldest that may be an opt-out.
    pub fn take_urgent(&self, limit: u32) -> Vec<InboxId> {
        let mut guard = self.locked();
        let inner = &mut *guard;
        let mut urgent = Vec::new();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        for waiting in [&mut inner.asked, &mut inner.pending] {
            let free = waiting.iter_mut().filter(|(_, is_taken)| !**is_taken);
            for (message, is_taken) in free.take(limit - urgent.len()) {
                *is_taken = true;
                urgent.push(*message);
            }
        }
        urgent.sort_unstable();
        urgent.dedup();
        urgent
    }

    /// Marks started messages as not started, because they could not be processed.
    pub fn give_back_urgent(&self) {
        let mut guard = self.locked();
        let inner = &mut *guard;
        let all = inner.pending.values_mut().chain(inner.asked.values_mut());
        all.for_each(|is_taken| *is_taken = false);
    }

    /// The newest message that calls wait for. Read this before the inbox, and give it to [`Freshness::nothing_waits`].
    pub fn newest(&self) -> Option<InboxId> {
        self.locked().pending.keys().next_back().copied()
    }

    /// Notes that a complete read of the inbox found no new row: all messages up to `until` are processed or dead.
    pub fn nothing_waits(&self, until: Option<InboxId>) {
        let mut inner = self.locked();
        inner.started = true;
        if let Some(until) = until {
            inner.pending.retain(|message, _| *message > until);
            inner.asked.retain(|message, _| *message > until);
        }
        drop(inner);
        self.processed.notify_waiters();
    }

    /// Notes processed messages, and contacts whose consent may have changed. Called after the commit.
    pub fn processed(
        &self,
        messages: impl Iterator<Item = InboxId>,
        contacts: impl Iterator<Item = ContactId>,
    ) {
        let mut inner = self.locked();
        for contact in contacts {
            inner.last += 1;
            let number = inner.last;
            inner.changed.insert(contact, number);
        }
        if inner.changed.len() > CHANGES {
            inner.changed.clear();
            inner.forgotten = inner.last;
        }
        for message in messages {
            inner.pending.remove(&message);
            inner.asked.remove(&message);
        }
        drop(inner);
        self.processed.notify_waiters();
    }

    pub fn mark(&self) -> Mark {
        Mark(self.locked().last)
    }

    /// Whether the contact's consent may have changed since the mark.
    pub fn is_stale(&self, delivery: &Delivery, since: Mark) -> bool {
        let inner = self.locked();
        let Some(contact) = delivery.record.contact.id else {
            return false;
        };
        since.0 < inner.forgotten
            || inner
                .changed
                .get(&contact)
                .is_some_and(|number| *number > since.0)
    }

    /// Waits until no message that may be an opt-out is left. After [`FOR_A_PAUSE`], messages that were accepted within
    /// the last [`SHORT`] need not be processed.
    pub async fn catch_up(&self) {
        self.catch_up_within(FOR_A_PAUSE, SHORT).await;
    }

    /// Waits in rounds, each for the messages accepted before it. One round is not enough: it takes some milliseconds, and
    /// behind a backlog seconds, and a message acknowledged meanwhile may forbid the call.
    async fn catch_up_within(&self, for_a_pause: Duration, short: Duration) {
        let began = Instant::now();
        loop {
            let (newest, round) = (self.newest(), Instant::now());
            self.catch_up_to(newest).await;
            if self.pending() == 0 || (began.elapsed() >= for_a_pause && round.elapsed() < short) {
                return;
            }
        }
    }

    async fn catch_up_to(&self, newest: Option<InboxId>) {
        loop {
            // Registered before the check, so that no notification is missed in between.
            let mut processed = std::pin::pin!(self.processed.notified());
            processed.as_mut().enable();
            let is_behind = {
                let inner = self.locked();
                !inner.started
                    || inner
                        .pending
                        .keys()
                        .next()
                        .is_some_and(|oldest| Some(*oldest) <= newest)
            };
            if !is_behind {
                return;
            }
            processed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use causeway_testkit::destination_contract::delivery;

    use super::*;

    fn of(contact: i64) -> Delivery {
        let mut delivery = delivery(1);
        delivery.record.contact.id = Some(ContactId(contact));
        delivery
    }

    #[test]
    fn a_change_after_the_mark_makes_a_claim_stale() {
        let freshness = Freshness::default();
        let change = |contact| freshness.processed([].into_iter(), [ContactId(contact)].into_iter());
        change(1);
        let mark = freshness.mark();
        assert!(!freshness.is_stale(&of(1), mark));
        change(2);
        assert!(!freshness.is_stale(&of(1), mark));
        assert!(freshness.is_stale(&of(2), mark));
    }

    #[test]
    fn a_forgotten_change_counts_as_changed() {
        let freshness = Freshness::default();
        let mark = freshness.mark();
        let many = (0..=i64::try_from(CHANGES).unwrap()).map(ContactId);
        freshness.processed([].into_iter(), many);
        assert!(freshness.is_stale(&of(-1), mark));
        assert!(!freshness.is_stale(&of(-1), freshness.mark()));
    }

    #[tokio::test]
    async fn without_a_pause_a_call_waits_for_what_was_accepted_before_it_only() {
        let freshness = Freshness::default();
        assert!(
            futures_util::poll!(std::pin::pin!(freshness.catch_up())).is_pending(),
            "just started"
        );
        freshness.nothing_waits(None);
        freshness.catch_up().await;
        freshness.accepted([(InboxId(1), true), (InboxId(2), true)].into_iter());
        let waiting = freshness.catch_up_within(Duration::ZERO, Duration::MAX);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        freshness.accepted([(InboxId(3), true)].into_iter());
        freshness.processed([InboxId(2)].into_iter(), [].into_iter());
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        freshness.processed([InboxId(1)].into_iter(), [].into_iter());
        waiting.await;
        // A message that cannot be decoded becomes dead without being processed.
        freshness.nothing_waits(freshness.newest());
        freshness.catch_up().await;
    }

    #[tokio::test]
    async fn a_call_waits_for_a_moment_without_messages_that_may_forbid_it() {
        let freshness = Freshness::default();
        freshness.nothing_waits(None);
        freshness.accepted([(InboxId(1), true)].into_iter());
        let waiting = freshness.catch_up_within(Duration::MAX, Duration::MAX);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        // Acknowledged during the wait, however short that was.
        freshness.accepted([(InboxId(2), true)].into_iter());
        freshness.processed([InboxId(1)].into_iter(), [].into_iter());
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        freshness.processed([InboxId(2)].into_iter(), [].into_iter());
        waiting.await;
    }

    #[tokio::test]
    async fn a_call_waits_for_what_was_accepted_during_a_long_wait() {
        let freshness = Freshness::default();
        freshness.nothing_waits(None);
        freshness.accepted([(InboxId(1), true)].into_iter());
        // With a limit of zero, no round is short enough.
        let waiting = freshness.catch_up_within(Duration::ZERO, Duration::ZERO);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        freshness.accepted([(InboxId(2), true), (InboxId(3), false)].into_iter());
        freshness.processed([InboxId(1)].into_iter(), [].into_iter());
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        freshness.processed([InboxId(2)].into_iter(), [].into_iter());
        waiting.await;
    }

    #[test]
    fn a_message_whose_sender_waits_is_taken_once_and_before_opt_outs() {
        let freshness = Freshness::default();
        let ids = |ids: &[i64]| ids.iter().copied().map(InboxId).collect::<Vec<_>>();
        freshness.accepted([(InboxId(1), true), (InboxId(2), true), (InboxId(3), false)].into_iter());
        freshness.ask(InboxId(2));
        freshness.ask(InboxId(3));
        assert!(freshness.is_asked());
        assert_eq!(freshness.take_urgent(1), ids(&[2]));
        assert_eq!(
            freshness.take_urgent(2),
            ids(&[1, 3]),
            "each message once, even if it may be an opt-out"
        );
        assert!(!freshness.is_asked());
        freshness.give_back_urgent();
        assert!(freshness.is_asked());
        freshness.processed(ids(&[2, 3]).into_iter(), [].into_iter());
        assert!(!freshness.is_asked());
        assert_eq!(freshness.take_urgent(9), ids(&[1]));
    }

    #[test]
    fn messages_of_other_processes_may_all_be_an_opt_out() {
        let freshness = Freshness::default();
        let arrived = |rows: &[i64], until| Unprocessed {
            rows: rows.iter().copied().map(InboxId).collect(),
            until: InboxId(until),
        };
        let waiting = |limit| freshness.take_urgent(limit);
        freshness.accepted([(InboxId(1), false), (InboxId(3), false)].into_iter());
        freshness.found(&arrived(&[1, 2], 2));
        assert_eq!(waiting(9), [InboxId(2)]);
        // This process committed the messages before `found`, and notes them after it.
        freshness.found(&arrived(&[3, 4], 4));
        freshness.accepted([(InboxId(4), false)].into_iter());
        assert_eq!(waiting(9), []);
        assert_eq!(freshness.pending(), 1);
    }
}
