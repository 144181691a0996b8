//! One call of a destination, with its time-out. The result for each delivery becomes an attempt.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
};

use causeway_core::{
    clock::Timestamp,
    contact::normal_email,
    delivery::{Delivery, Next, next_state},
    destination::{AttemptResult, Destination, Outcome},
    id::{DeliveryId, Name},
    store::Attempt,
};
use futures_util::FutureExt;
use tokio::sync::mpsc;

use super::{
    later,
    throttle::{Reason, Throttle},
};
use crate::engine::{
    Engine, Pace,
    freshness::{LONGEST_WAIT, Mark},
};

pub(super) struct Call {
    pub engine: Arc<Engine>,
    pub name: Name,
    pub destination: Arc<dyn Destination>,
    pub pace: Pace,
    pub batch: Vec<Delivery>,
    /// The position in the sequence of consent changes, read before the batch was claimed.
    pub mark: Mark,
    pub throttle: Arc<Mutex<Throttle>>,
    pub attempts: mpsc::Sender<Attempt>,
}

/// The report of a finished call to its lane.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub retryable: usize,
    pub answered: usize,
    pub halt: Option<String>,
}

impl Report {
    /// The report of a call that panicked.
    pub(super) fn of_failure() -> Self {
        Self {
            retryable: 1,
            ..Self::default()
        }
    }

    fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Retry { .. } => self.retryable += 1,
            Outcome::Halt { reason } => self.halt = Some(reason.clone()),
            Outcome::Busy { .. } => {}
            Outcome::Delivered { .. }
            | Outcome::Pending { .. }
            | Outcome::Skip { .. }
            | Outcome::Reject { .. } => self.answered += 1,
        }
    }
}

impl Call {
    pub(super) async fn run(mut self) -> Report {
        self.give_back_stale().await;
        if self.batch.is_empty() {
            return Report::default();
        }
        let started_at = self.engine.clock.now();
        let mut endings = self.deliver(&self.batch, started_at).await;
        let now = self.engine.clock.now();
        // The system clock may have been set back during the call.
        let took_ms = now.duration_since(started_at).as_millis().max(0);
        let took_ms = u32::try_from(took_ms).unwrap_or(u32::MAX);
        self.engine.metrics.called(&self.name, took_ms);
        let mut report = Report::default();
        // If a destination returns fewer results than deliveries, the remaining deliveries are retried.
        endings.resize_with(self.batch.len(), || {
            retry("the destination reported nothing about this delivery")
        });
        self.throttle(&mut endings, now);
        for (delivery, ending) in self.batch.iter().zip(endings) {
            report.count(&ending.outcome);
            let next = next_state(delivery.attempt, &ending.outcome, &self.pace.retry, now, random());
            self.engine.metrics.attempted(&self.name, &ending, &next);
            log(delivery, &ending, &next);
            let attempt = attempt(delivery, ending, next, started_at, took_ms);
            if self.attempts.send(attempt).await.is_err() {
                tracing::error!(
                    delivery.id = delivery.id.0,
                    "the recorder has stopped; the delivery is sent again when its lease ends"
                );
            }
        }
        report
    }

    /// Releases the leases of deliveries whose contact's consent may have changed since the claim. The next claim checks the
    /// gate again. Repeats the check after giving deliveries back, because that takes time, too.
    async fn give_back_stale(&mut self) {
        let engine = &self.engine;
        let longest = later(engine.clock.now(), LONGEST_WAIT);
        while !self.batch.is_empty() {
            tokio::select! {
                () = engine.freshness.catch_up() => {}
                () = engine.clock.sleep_until(longest) => {}
            }
            let is_stale = |delivery: &mut Delivery| engine.freshness.is_stale(delivery, self.mark);
            let stale: Vec<DeliveryId> = self
                .batch
                .extract_if(.., is_stale)
                .map(|delivery| delivery.id)
                .collect();
            if stale.is_empty() {
                return;
            }
            engine.answers.given_back(&stale);
            if let Err(error) = engine.store.release(stale, engine.clock.now()).await {
                tracing::error!(destination = %self.name, %error, "could not give deliveries back; they are claimed again when their leases end");
            }
            engine.wake.lane(&self.name);
        }
    }

    /// Lets the lane learn how much the destination can take. A delivery that alone is always refused as busy spends an
    /// attempt, so that it does not stop the others for ever.
    fn throttle(&self, endings: &mut [AttemptResult], now: Timestamp) {
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        for (delivery, ending) in self.batch.iter().zip(&mut *endings) {
            if let Outcome::Busy { reason, after } = &ending.outcome
                && throttle.busy(delivery.id, *after, now) == Reason::Delivery
            {
                ending.outcome = Outcome::Retry {
                    reason: reason.clone(),
                    after: None,
                };
            }
        }
        // Answers of the same call came before the limit was reached, so they are no evidence against a delivery.
        for (delivery, ending) in self.batch.iter().zip(&*endings) {
            match ending.outcome {
                Outcome::Retry { .. } => throttle.failed(now),
                Outcome::Delivered { .. } | Outcome::Pending { .. } => throttle.answered(delivery.id),
                // Without a status nobody was asked, so it says nothing about the destination.
                Outcome::Skip { .. } | Outcome::Reject { .. } if ending.status.is_some() => {
                    throttle.answered(delivery.id);
                }
                _ => {}
            }
            if let Some(rest) = ending.rest {
                throttle.rest(rest, now);
            }
        }
    }

    async fn deliver(&self, batch: &[Delivery], started_at: Timestamp) -> Vec<AttemptResult> {
        let all = |reason: &str| batch.iter().map(|_| retry(reason)).collect();
        tokio::select! {
            endings = AssertUnwindSafe(self.destination.deliver(batch)).catch_unwind() => {
                // A panic costs an attempt. Otherwise a record that makes its destination panic would be retried for ever.
                endings.unwrap_or_else(|_| all("the destination's code panicked: please report this as a bug"))
            }
            () = self.engine.clock.sleep_until(later(started_at, self.pace.timeout)) => {
                all(&format!("no answer within {} s", self.pace.timeout.as_secs_f64()))
            }
        }
    }
}

fn retry(reason: &str) -> AttemptResult {
    AttemptResult::from(Outcome::Retry {
        reason: reason.to_owned(),
        after: None,
    })
}

fn log(delivery: &Delivery, ending: &AttemptResult, next: &Next) {
    let outcome = ending.outcome.as_str();
    let reason = ending.outcome.reason();
    let (id, attempt, status) = (delivery.id.0, delivery.attempt, ending.status);
    match next {
        Next::Delivered => tracing::debug!(delivery.id = id, attempt, status, outcome, "delivered"),
        Next::Skipped => tracing::debug!(
            delivery.id = id,
            attempt,
            status,
            outcome,
            reason,
            "nothing to do"
        ),
        Next::Waiting { .. } => tracing::info!(
            delivery.id = id,
            attempt,
            status,
            outcome,
            reason,
            "failed and will be retried"
        ),
        Next::Dead => tracing::warn!(
            delivery.id = id,
            attempt,
            status,
            outcome,
            reason,
            "failed and is dead"
        ),
        Next::Pending { .. } => tracing::debug!(
            delivery.id = id,
            attempt,
            status,
            outcome,
            "accepted; the result comes later"
        ),
        Next::Postponed => tracing::info!(
            delivery.id = id,
            attempt,
            status,
            outcome,
            reason,
            "the destination is busy; its deliveries wait"
        ),
        Next::Halted => tracing::warn!(
            delivery.id = id,
            attempt,
            status,
            outcome,
            reason,
            "the destination accepts no deliveries"
        ),
    }
}

fn attempt(
    delivery: &Delivery,
    ending: AttemptResult,
    next: Next,
    started_at: Timestamp,
    took_ms: u32,
) -> Attempt {
    let remote_id = match &ending.outcome {
        Outcome::Delivered { remote_id } => remote_id.clone(),
        _ => None,
    };
    Attempt {
        delivery: delivery.id,
        number: delivery.attempt,
        started_at,
        took_ms,
        outcome: ending.outcome.as_str(),
        reason: ending.reason(),
        status: ending.status,
        excerpt: ending.excerpt,
        request: ending.request,
        memory: ending.memory,
        ticket_is_void: ending.ticket_is_void,
        remote_id,
        change: delivery.record.change,
        address: delivery.record.email().and_then(normal_email),
        writes: ending.writes,
        next,
    }
}

/// A number in 0..1 to spread retries. It need not be unpredictable.
fn random() -> f64 {
    let mut bytes = [0_u8; 4];
    // Without a random source the middle is used, so that retries are not spread.
    if getrandom::fill(&mut bytes).is_err() {
        return 0.5;
    }
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}
