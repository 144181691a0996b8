//! One call of a destination, with its time-out: what it says of each delivery becomes an attempt.

use std::{panic::AssertUnwindSafe, sync::Arc};

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

use super::later;
use crate::engine::{
    Engine, Pace,
    currency::{LONGEST_WAIT, Mark},
};

pub(super) struct Call {
    pub engine: Arc<Engine>,
    pub name: Name,
    pub destination: Arc<dyn Destination>,
    pub pace: Pace,
    pub batch: Vec<Delivery>,
    /// Taken before the batch was claimed.
    pub mark: Mark,
    pub attempts: mpsc::Sender<Attempt>,
}

/// What a finished call reports to its lane.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub retryable: usize,
    pub answered: usize,
    pub halt: Option<String>,
}

impl Report {
    /// For a call that panicked before it returned an outcome.
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
            Outcome::Delivered { .. } | Outcome::Skip { .. } | Outcome::Reject { .. } => self.answered += 1,
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
        let mut endings = self.deliver(&self.batch, started_at).await.into_iter();
        let now = self.engine.clock.now();
        // The system's clock may have been set back meanwhile.
        let took_ms = now.duration_since(started_at).as_millis().max(0);
        let took_ms = u32::try_from(took_ms).unwrap_or(u32::MAX);
        self.engine.metrics.called(&self.name, took_ms);
        let mut report = Report::default();
        for delivery in &self.batch {
            // A destination that answers for fewer than it was given has lost count: send the rest again.
            let ending = endings
                .next()
                .unwrap_or_else(|| retry("the destination reported nothing about this delivery"));
            report.count(&ending.outcome);
            let next = next_state(delivery.attempt, &ending.outcome, &self.pace.retry, now, random());
            self.engine.metrics.attempted(&self.name, &ending, &next);
            log(delivery, &ending);
            let attempt = attempt(delivery, ending, next, started_at, took_ms);
            if self.attempts.send(attempt).await.is_err() {
                tracing::error!(
                    delivery.id = delivery.id.0,
                    "the recorder is gone; the delivery's lease will bring it back"
                );
            }
        }
        report
    }

    /// Gives back what consent may have changed for since it was claimed: it is claimed anew, and the gate asked again. Looks
    /// again after it gave something back, because that takes its time, too.
    async fn give_back_stale(&mut self) {
        let engine = &self.engine;
        let longest = later(engine.clock.now(), LONGEST_WAIT);
        while !self.batch.is_empty() {
            tokio::select! {
                () = engine.currency.catch_up() => {}
                () = engine.clock.sleep_until(longest) => {}
            }
            let is_stale = |delivery: &mut Delivery| engine.currency.is_stale(delivery, self.mark);
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
                tracing::error!(destination = %self.name, %error, "could not give deliveries back; their leases will");
            }
            engine.wake.lane(&self.name);
        }
    }

    async fn deliver(&self, batch: &[Delivery], started_at: Timestamp) -> Vec<AttemptResult> {
        let all = |reason: &str| batch.iter().map(|_| retry(reason)).collect();
        tokio::select! {
            endings = AssertUnwindSafe(self.destination.deliver(batch)).catch_unwind() => {
                // Costs an attempt, or a record that is too much for its destination would come back for ever.
                endings.unwrap_or_else(|_| all("the destination failed on it: please report this as a bug"))
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

fn log(delivery: &Delivery, ending: &AttemptResult) {
    let outcome = ending.outcome.as_str();
    let (id, attempt, status) = (delivery.id.0, delivery.attempt, ending.status);
    match &ending.outcome {
        Outcome::Delivered { .. } => tracing::debug!(delivery.id = id, attempt, status, outcome, "delivered"),
        Outcome::Skip { reason } => tracing::debug!(
            delivery.id = id,
            attempt,
            status,
            outcome,
            reason,
            "nothing to do"
        ),
        Outcome::Retry { reason, .. } => tracing::info!(
            delivery.id = id,
            attempt,
            status,
            outcome,
            reason,
            "did not go through"
        ),
        Outcome::Reject { reason } => tracing::warn!(
            delivery.id = id,
            attempt,
            status,
            outcome,
            reason,
            "was refused for good"
        ),
        Outcome::Halt { reason } => tracing::warn!(
            delivery.id = id,
            attempt,
            status,
            outcome,
            reason,
            "the destination takes nothing"
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
        remote_id,
        change: delivery.record.change,
        address: delivery.record.email().and_then(normal_email),
        writes: ending.writes,
        next,
    }
}

/// In 0..1, to spread retries; need not be unpredictable.
fn random() -> f64 {
    let mut bytes = [0_u8; 4];
    // Without a random source the middle is as good: retries are then merely not spread.
    if getrandom::fill(&mut bytes).is_err() {
        return 0.5;
    }
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}
