//! Responses that wait until their message is processed and, with `after`, until a destination has responded.
//!
//! Invariant: only the store knows the state of a message. This module decides when to read the store again and which
//! messages go first. So a missed wake-up costs time, but never changes a response. It costs nothing while no sender waits.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use causeway_core::{
    clock::Timestamp,
    id::{DeliveryId, InboxId, Name},
    record::Record,
    source::Stop,
    store::{Attempt, Claimed, InboxState, Processed, Progress, ProgressOfDelivery},
};
use tokio::{sync::Notify, time::Instant};

use super::Engine;

/// What a sender wants to wait for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The destination whose response is part of the answer.
    pub after: Option<Name>,
    /// The longest time that the sender waits.
    pub wait: Duration,
    /// Whether the record includes the contact's engagements.
    pub history: bool,
}

/// The state of a message after the time that its sender waited.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The message; for a duplicate, the first message.
    pub message: InboxId,
    /// Whether it is a duplicate.
    pub is_duplicate: bool,
    /// The contact as it is now, with the values of the destination's response. `None` if the message was not processed in time
    /// or names no contact.
    pub record: Option<Record>,
    /// State of the delivery to [`Wish::after`]: `delivered`, `waiting`, `dead`, `skipped`; `none` if there is no
    /// delivery.
    pub delivery: &'static str,
    /// The destination's id of the record, if it returned one.
    pub remote_id: Option<String>,
    /// Whether processing and delivery ended in time.
    pub in_time: bool,
}

/// The waiting senders, and their messages and deliveries.
#[derive(Default)]
pub struct Answers {
    inner: Mutex<Inner>,
    /// The number of waiters, which can be read without the lock.
    waiting: AtomicUsize,
}

#[derive(Default)]
struct Inner {
    waiters: HashMap<u64, Waiter>,
    last: u64,
    /// Destinations that are paused, halted or resting.
    idle: BTreeSet<Name>,
    /// The engine has stopped, so waiting is pointless.
    closed: bool,
}

struct Waiter {
    message: InboxId,
    delivery: Option<Waited>,
    woken: Arc<Notify>,
}

struct Waited {
    destination: Name,
    id: DeliveryId,
    /// The delivery is part of a call in flight.
    is_taken: bool,
}

impl Answers {
    fn locked(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nobody_waits(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) == 0
    }

    fn wake(&self, is_meant: impl Fn(&Waiter) -> bool) {
        if !self.nobody_waits() {
            let inner = self.locked();
            let meant = inner.waiters.values().filter(|waiter| is_meant(waiter));
            meant.for_each(|waiter| waiter.woken.notify_one());
        }
    }

    /// Wakes the waiters of these messages. Called after the commit that processed them.
    pub(super) fn processed(&self, messages: &[Processed]) {
        self.wake(|waiter| messages.iter().any(|message| message.id == waiter.message));
    }

    /// Wakes the waiters of messages that were found to be processed or dead already.
    pub(super) fn look_again(&self, messages: &[InboxId]) {
        self.wake(|waiter| messages.contains(&waiter.message));
    }

    /// The deliveries of a destination that senders wait for and that are not in flight.
    pub(super) fn first(&self, destination: &str) -> Vec<DeliveryId> {
        if self.nobody_waits() {
            return Vec::new();
        }
        let inner = self.locked();
        let waited = inner
            .waiters
            .values()
            .filter_map(|waiter| waiter.delivery.as_ref());
        let mut first: Vec<DeliveryId> = waited
            .filter(|waited| !waited.is_taken && &*waited.destination == destination)
            .map(|waited| waited.id)
            .collect();
        first.sort_unstable();
        first.dedup();
        first
    }

    /// Notes the result of a claim: deliveries that start, and deliveries that it ended.
    pub(super) fn claimed(&self, destination: &str, claimed: &Claimed) {
        if self.nobody_waits() {
            return;
        }
        let mut inner = self.locked();
        for waiter in inner.waiters.values_mut() {
            let Some(waited) = &mut waiter.delivery else {
                continue;
            };
            if &*waited.destination != destination {
                continue;
            }
            waited.is_taken |= claimed.deliveries.iter().any(|taken| taken.id == waited.id);
            // The waiter's delivery may have been skipped or replaced by a newer one.
            if claimed.skipped > 0 || claimed.superseded > 0 {
                waiter.woken.notify_one();
            }
        }
    }

    /// Notes deliveries that were claimed but not sent.
    pub(super) fn given_back(&self, deliveries: &[DeliveryId]) {
        if self.nobody_waits() {
            return;
        }
        for waiter in self.locked().waiters.values_mut() {
            if let Some(waited) = &mut waiter.delivery
                && deliveries.contains(&waited.id)
            {
                waited.is_taken = false;
            }
        }
    }

    /// Wakes the waiters of these deliveries. Called after the commit that recorded the attempts.
    pub(super) fn recorded(&self, attempts: &[Attempt]) {
        if self.nobody_waits() {
            return;
        }
        for waiter in self.locked().waiters.values_mut() {
            if let Some(waited) = &mut waiter.delivery
                && attempts.iter().any(|attempt| attempt.delivery == waited.id)
            {
                waited.is_taken = false;
                waiter.woken.notify_one();
            }
        }
    }

    /// Notes whether a destination is idle: paused, halted, or resting after failures.
    pub(super) fn is_paused_or_halted(&self, destination: &Name, is_idle: bool) {
        let mut inner = self.locked();
        if inner.idle.contains(destination) == is_idle {
            return;
        }
        if is_idle {
            inner.idle.insert(Name::clone(destination));
        } else {
            inner.idle.remove(destination);
        }
        drop(inner);
        let waits_for_it = |waited: &Waited| is_idle && waited.destination == *destination;
        self.wake(|waiter| waiter.delivery.as_ref().is_some_and(waits_for_it));
    }

    /// Ends all waits when the engine has stopped. The senders get the state that is known.
    pub(super) fn close(&self) {
        self.locked().closed = true;
        self.wake(|_| true);
    }

    fn wait_for(&self, message: InboxId) -> Waiting<'_> {
        let woken = Arc::new(Notify::new());
        let waiter = Waiter {
            message,
            delivery: None,
            woken: Arc::clone(&woken),
        };
        let mut inner = self.locked();
        inner.last += 1;
        let number = inner.last;
        inner.waiters.insert(number, waiter);
        drop(inner);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Waiting {
            answers: self,
            number,
            woken,
        }
    }
}

/// The registration of one waiting sender; dropping it ends the registration.
struct Waiting<'a> {
    answers: &'a Answers,
    number: u64,
    woken: Arc<Notify>,
}

/// What to do about a delivery that has not ended.
enum NextStep {
    /// Stop: nothing will happen in time.
    Over,
    /// Wait for a wake-up.
    Wait,
    /// Read the store again, because the waiter was registered for another delivery until now.
    Again,
}

impl Waiting<'_> {
    fn with<T>(&self, ask: impl FnOnce(&mut Inner, u64) -> T) -> T {
        ask(&mut self.answers.locked(), self.number)
    }

    /// From now on waits for the first message of a duplicate.
    fn follow(&self, message: InboxId) {
        self.with(|inner, number| {
            if let Some(waiter) = inner.waiters.get_mut(&number) {
                waiter.message = message;
            }
        });
    }

    fn is_closed(&self) -> bool {
        self.with(|inner, _| inner.closed)
    }

    /// Decides what to do about a delivery that is open in the store.
    fn next_step(&self, destination: &Name, id: DeliveryId) -> NextStep {
        self.with(|inner, number| {
            let is_over = inner.closed || inner.idle.contains(destination);
            let Some(waiter) = inner.waiters.get_mut(&number).filter(|_| !is_over) else {
                return NextStep::Over;
            };
            if waiter.delivery.as_ref().is_some_and(|waited| waited.id == id) {
                return NextStep::Wait;
            }
            waiter.delivery = Some(Waited {
                destination: Name::clone(destination),
                id,
                is_taken: false,
            });
            NextStep::Again
        })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.with(|inner, number| inner.waiters.remove(&number));
        self.answers.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Longest wait once the program stops. It is shorter than the grace of calls in flight and of requests, so that a sender
/// that waits for a hanging destination still gets a response.
const STOP_GRACE: Duration = Duration::from_secs(4);

pub(super) async fn close_after(engine: Arc<Engine>, stop: Stop) {
    stop.cancelled().await;
    tokio::time::sleep(STOP_GRACE).await;
    engine.answers.close();
}

impl Engine {
    /// Waits until an accepted message is processed and its delivery to [`Wish::after`] has ended, or until the sender's time is
    /// over. The message is processed before all others, and its delivery is sent before the lane's others.
    pub async fn answer(&self, message: InboxId, is_duplicate: bool, wish: &Wish) -> Answer {
        let mut answer = Answer {
            message,
            is_duplicate,
            record: None,
            delivery: "waiting",
            remote_id: None,
            in_time: false,
        };
        let until = Instant::now() + wish.wait;
        let following = tokio::time::timeout_at(until, self.follow(&mut answer, wish, until));
        answer.in_time = following.await.unwrap_or(false);
        answer
    }

    /// Fills in the answer from the store. `true` once processing and delivery have ended.
    async fn follow(&self, answer: &mut Answer, wish: &Wish, until: Instant) -> bool {
        let waiting = self.answers.wait_for(answer.message);
        loop {
            let progress = self
                .views
                .progress(answer.message, wish.after.clone(), wish.history);
            let progress = match progress.await {
                Ok(Some(progress)) => progress,
                Ok(None) => return false,
                Err(error) => {
                    tracing::error!(inbox.id = answer.message.0, %error, "could not read the result of a message; its \
                         response has fallbacks");
                    return false;
                }
            };
            if let Some(first) = progress.duplicate_of {
                (answer.message, answer.is_duplicate) = (first, true);
                waiting.follow(first);
                continue;
            }
            if progress.state == InboxState::New {
                if waiting.is_closed() {
                    return false;
                }
                self.freshness.ask(answer.message);
                self.wake.inbox.notify_one();
                waiting.woken.notified().await;
                continue;
            }
            answer.record.clone_from(&progress.record);
            let Some((destination, open)) = open_delivery(answer, wish, &progress) else {
                return true;
            };
            let left = until.saturating_duration_since(Instant::now());
            let latest = self.clock.now().saturating_add(left).unwrap_or(Timestamp::MAX);
            // The attempt failed, and the next one is due after the sender's time.
            if open.due_at.is_some_and(|due_at| due_at > latest) {
                return false;
            }
            match waiting.next_step(destination, open.id) {
                NextStep::Over => return false,
                NextStep::Again => self.wake.lane(destination),
                NextStep::Wait => waiting.woken.notified().await,
            }
        }
    }
}

/// The delivery to wait for; `None` if there is none, or if it has ended.
fn open_delivery<'a>(
    answer: &mut Answer,
    wish: &'a Wish,
    progress: &'a Progress,
) -> Option<(&'a Name, &'a ProgressOfDelivery)> {
    let destination = wish.after.as_ref()?;
    let Some(delivery) = &progress.delivery else {
        answer.delivery = "none";
        return None;
    };
    answer.delivery = match &*delivery.state {
        "delivered" => "delivered",
        "dead" => "dead",
        "skipped" => "skipped",
        _ => return Some((destination, delivery)),
    };
    answer.remote_id.clone_from(&delivery.remote_id);
    None
}
