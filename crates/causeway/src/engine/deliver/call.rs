//! One call of a destination, with its time-out. The result for each delivery becomes an attempt.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use causeway_core::{
    clock::Timestamp,
    contact::normal_email,
    delivery::{Delivery, Next, next_state},
    destination::{AttemptResult, CheckError, Destination, Outcome, Progress, Results},
    id::{DeliveryId, Name},
    store::Attempt,
};
use futures_util::FutureExt;
use serde_json::Value;
use tokio::sync::mpsc;

use super::{
    evidence::Verdict,
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
    /// The round of the lane's window in which the call begins.
    pub round: u64,
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
        let mut endings = self.deliver(started_at).await;
        let now = self.engine.clock.now();
        // The system clock may have been set back during the call.
        let took_ms = now.duration_since(started_at).as_millis().max(0);
        let took_ms = u32::try_from(took_ms).unwrap_or(u32::MAX);
        self.engine.metrics.called(&self.name, took_ms);
        let mut report = Report::default();
        let asides = self.throttle(&mut endings, now, took_ms);
        let waits = self.weigh(&mut endings).await;
        let waits = waits.into_iter().zip(asides);
        for ((delivery, ending), (wait, aside)) in self.batch.iter().zip(endings).zip(waits) {
            let next = if let Some(wait) = wait.or(aside) {
                Next::Suspected {
                    due_at: later(now, wait),
                }
            } else {
                report.count(&ending.outcome);
                next_state(delivery.attempt, &ending.outcome, &self.pace.retry, now, random())
            };
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
            self.give_back(stale).await;
        }
    }

    /// Lets the lane learn how much the destination can take. A delivery that alone is always refused as busy spends an
    /// attempt, so that it does not stop the others for ever. Returns how long a delivery is put aside so that others go
    /// first.
    fn throttle(&self, endings: &mut [AttemptResult], now: Timestamp, took_ms: u32) -> Vec<Option<Duration>> {
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut asides = vec![None; endings.len()];
        for ((delivery, ending), aside) in self.batch.iter().zip(&mut *endings).zip(&mut asides) {
            let Outcome::Busy { reason, after } = &ending.outcome else {
                continue;
            };
            match throttle.busy(delivery.id, *after, now) {
                Reason::Limit => {}
                Reason::Unknown => {
                    let until = throttle.waits_until(now).unwrap_or(now);
                    *aside = Duration::try_from(until.duration_since(now)).ok();
                }
                Reason::Delivery => {
                    ending.outcome = Outcome::Retry {
                        reason: reason.clone(),
                        after: None,
                    };
                }
            }
        }
        // Answers of the same call came before the limit was reached, so they are no evidence against a delivery.
        let mut is_answered = false;
        for (delivery, ending) in self.batch.iter().zip(&*endings) {
            let answers = match ending.outcome {
                Outcome::Delivered { .. } | Outcome::Pending { .. } => true,
                // Without a status nobody was asked, so it says nothing about the destination.
                Outcome::Skip { .. } | Outcome::Reject { .. } => ending.status.is_some(),
                Outcome::Retry { .. } => {
                    throttle.window.failed(now);
                    false
                }
                Outcome::Busy { .. } | Outcome::Halt { .. } => false,
            };
            if answers {
                throttle.answered(delivery.id);
            }
            is_answered |= answers;
            if let Some(rest) = ending.rest {
                throttle.rest(rest, now);
            }
        }
        if is_answered {
            throttle.window.answered(took_ms, self.round);
        }
        asides
    }

    /// Decides whether refusals that only a person can fix are about everybody. Returns how long each refused delivery
    /// waits while that is unknown.
    async fn weigh(&self, endings: &mut [AttemptResult]) -> Vec<Option<Duration>> {
        let mut waits = vec![None; endings.len()];
        let mut is_halted = false;
        {
            let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
            for ((delivery, ending), wait) in self.batch.iter().zip(endings.iter_mut()).zip(&mut waits) {
                let Outcome::Halt { reason } = &ending.outcome else {
                    continue;
                };
                let address = delivery.record.email().and_then(normal_email);
                let subject = address.unwrap_or_else(|| delivery.id.0.to_string());
                match throttle.evidence.refused(delivery.id, &subject) {
                    Verdict::Halt => is_halted = true,
                    Verdict::Suspect(time) => {
                        throttle.window.narrow();
                        *wait = Some(time);
                    }
                    Verdict::Delivery(why) => {
                        ending.outcome = Outcome::Retry {
                            reason: format!("{reason}; {why}"),
                            after: None,
                        };
                    }
                }
            }
        }
        let is_unknown = !is_halted && waits.iter().any(Option::is_some);
        // The destination's own check may prove that nobody is accepted, which a few records cannot.
        if is_halted || (is_unknown && self.check_refuses().await) {
            waits.fill(None);
        }
        waits
    }

    async fn check_refuses(&self) -> bool {
        let longest = later(self.engine.clock.now(), self.pace.timeout);
        let check = AssertUnwindSafe(self.destination.check()).catch_unwind();
        tokio::select! {
            checked = check => matches!(checked, Ok(Err(CheckError::Refused(_)))),
            () = self.engine.clock.sleep_until(longest) => false,
        }
    }

    /// The results of the batch. Deliveries that were not started are given back and leave the batch.
    async fn deliver(&mut self, started_at: Timestamp) -> Vec<AttemptResult> {
        let results = Results::new(self.batch.len());
        let reason = tokio::select! {
            ended = AssertUnwindSafe(self.destination.deliver_into(&self.batch, &results)).catch_unwind() => match ended {
                Ok(()) => "the destination reported nothing about this delivery".to_owned(),
                // A panic costs an attempt. Otherwise a record that makes its destination panic would be retried for ever.
                Err(_) => "the destination's code panicked: please report this as a bug".to_owned(),
            },
            () = self.engine.clock.sleep_until(later(started_at, self.pace.timeout)) => {
                format!("no answer within {} s", self.pace.timeout.as_secs_f64())
            }
        };
        let mut kept = Vec::with_capacity(self.batch.len());
        let mut endings = Vec::with_capacity(self.batch.len());
        let mut not_started = Vec::new();
        for (delivery, progress) in std::mem::take(&mut self.batch).into_iter().zip(results.take()) {
            match progress {
                Progress::NotStarted => {
                    not_started.push(delivery.id);
                    continue;
                }
                Progress::Started(memory) => endings.push(cut_off(&reason, memory)),
                Progress::Ended(result) => endings.push(*result),
            }
            kept.push(delivery);
        }
        self.batch = kept;
        if !not_started.is_empty() {
            self.give_back(not_started).await;
        }
        endings
    }

    /// Releases leases without an attempt.
    async fn give_back(&self, deliveries: Vec<DeliveryId>) {
        let engine = &self.engine;
        engine.answers.given_back(&deliveries);
        if let Err(error) = engine.store.release(deliveries, engine.clock.now()).await {
            tracing::error!(destination = %self.name, %error, "could not give deliveries back; they are claimed again when their leases end");
        }
        engine.wake.lane(&self.name);
    }
}

/// The result of a delivery that was started and of which nothing more is known.
fn cut_off(reason: &str, memory: Option<Value>) -> AttemptResult {
    let outcome = Outcome::Retry {
        reason: reason.to_owned(),
        after: None,
    };
    AttemptResult {
        memory,
        ..outcome.into()
    }
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
        Next::Suspected { .. } if !matches!(ending.outcome, Outcome::Busy { .. }) => tracing::warn!(
            delivery.id = id,
            attempt,
            status,
            outcome,
            reason,
            "refused; other deliveries show whether the destination refuses everybody"
        ),
        Next::Postponed | Next::Suspected { .. } => tracing::info!(
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
