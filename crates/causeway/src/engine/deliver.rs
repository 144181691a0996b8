//! Deliver: one lane per destination. Claims what can start now, sends, decides by `next_state`, records.
//!
//! A lane owns all the waiting: leases, concurrency, rate, time-out, retry, circuit, pause. The destination only
//! translates. Lanes share nothing but the store, so that a slow one delays nobody.

mod circuit;
mod rate;

use std::{sync::Arc, time::Duration};

use causeway_core::{
    clock::Timestamp,
    delivery::{Delivery, next_state},
    destination::{Destination, Ending, Outcome},
    source::Stop,
    store::{Attempt, Claim, LaneState},
};
use tokio::{sync::mpsc, task::JoinSet};
use tracing::Instrument;

use self::{circuit::Breaker, rate::Bucket};
use super::{Engine, Lane, Pace};

/// How often a lane looks without being woken.
const POLL: Duration = Duration::from_secs(1);
/// How long it waits for calls in flight when it is told to stop; then they are dropped and their leases given back.
const GRACE: Duration = Duration::from_secs(8);
/// Attempts that wait to be recorded. A full queue holds the lane back.
const UNRECORDED: usize = 1_024;

/// What a finished call tells its lane.
struct Report {
    retryable: usize,
    answered: usize,
    halt: Option<String>,
}

pub(super) async fn run(engine: Arc<Engine>, lane: Lane, stop: Stop) {
    let (attempts, unrecorded) = mpsc::channel(UNRECORDED);
    let recorder = tokio::spawn(record(Arc::clone(&engine), unrecorded));
    let mut breaker = Breaker::new(lane.pace.circuit.clone());
    let mut bucket = lane
        .pace
        .rate_per_s
        .map(|rate| Bucket::new(rate, engine.clock.now()));
    let mut calls: JoinSet<Report> = JoinSet::new();
    let mut state = LaneState::default();
    let mut looked_at = None;

    while !stop.is_cancelled() {
        while let Some(ended) = calls.try_join_next() {
            settle(&engine, &lane, ended, &mut breaker, &mut state).await;
        }
        let now = engine.clock.now();
        if looked_at.is_none_or(|at| {
            now.duration_since(at) >= jiff::SignedDuration::try_from(POLL).unwrap_or_default()
        }) {
            state = lane_state(&engine, &lane, state).await;
            looked_at = Some(now);
        }
        let free = free_slots(&lane.pace, &calls, &breaker, now);
        let limit = bucket
            .as_mut()
            .map_or(free, |bucket| bucket.available(now).min(free));
        if limit == 0 || state.paused || state.halted.is_some() {
            let until = wake_at(now, &breaker, bucket.as_ref(), None);
            rest(&engine, &lane, until, &mut calls, &mut breaker, &mut state, &stop).await;
            continue;
        }
        let claim = Claim {
            destination: Arc::clone(&lane.name),
            limit,
            leased_until: now.saturating_add(lane.pace.lease()).unwrap_or(Timestamp::MAX),
            now,
        };
        // Armed before the claim: what is planned while we claim wakes us all the same.
        let planned = engine.wake.lanes.notified();
        tokio::pin!(planned);
        planned.as_mut().enable();
        let claimed = match engine.store.claim(claim).await {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::error!(destination = %lane.name, %error, "could not claim deliveries; trying again");
                rest(
                    &engine,
                    &lane,
                    later(now, POLL),
                    &mut calls,
                    &mut breaker,
                    &mut state,
                    &stop,
                )
                .await;
                continue;
            }
        };
        engine
            .metrics
            .skipped(&lane.name, claimed.skipped + claimed.superseded);
        if let Some(bucket) = bucket.as_mut() {
            bucket.take(claimed.deliveries.len());
        }
        let found = !claimed.deliveries.is_empty();
        start(&engine, &lane, claimed.deliveries, &attempts, &mut calls);
        if !found && claimed.skipped == 0 {
            let until = wake_at(now, &breaker, None, claimed.next_due);
            tokio::select! {
                () = planned => {}
                () = rest(&engine, &lane, until, &mut calls, &mut breaker, &mut state, &stop) => {}
            }
        }
    }
    finish(&lane, calls, attempts, recorder).await;
}

/// How many deliveries may be claimed now.
fn free_slots(pace: &Pace, calls: &JoinSet<Report>, breaker: &Breaker, now: Timestamp) -> u32 {
    let running = u32::try_from(calls.len()).unwrap_or(u32::MAX);
    match breaker.allows(now) {
        circuit::Allows::All => pace
            .concurrency
            .saturating_sub(running)
            .saturating_mul(pace.batch),
        circuit::Allows::One if running == 0 => 1,
        circuit::Allows::One | circuit::Allows::None => 0,
    }
}

fn start(
    engine: &Arc<Engine>,
    lane: &Lane,
    deliveries: Vec<Delivery>,
    attempts: &mpsc::Sender<Attempt>,
    calls: &mut JoinSet<Report>,
) {
    let batch = usize::try_from(lane.pace.batch).unwrap_or(1).max(1);
    let mut deliveries = deliveries.into_iter().peekable();
    while deliveries.peek().is_some() {
        let batch: Vec<Delivery> = deliveries.by_ref().take(batch).collect();
        let span = call_span(lane, &batch);
        let call = call(
            Arc::clone(engine),
            Arc::clone(&lane.name),
            Arc::clone(&lane.destination),
            lane.pace.clone(),
            batch,
            attempts.clone(),
        );
        calls.spawn(call.instrument(span));
    }
}

fn call_span(lane: &Lane, batch: &[Delivery]) -> tracing::Span {
    let first = batch.first();
    tracing::info_span!(
        "deliver",
        destination = %lane.name,
        delivery.id = first.map(|delivery| delivery.id.0),
        inbox.id = first.map(|delivery| delivery.record.inbox_id.0),
        attempt = first.map(|delivery| delivery.attempt),
        batch = batch.len(),
    )
}

/// One call of the destination, with its time-out; hands the attempts to the recorder.
async fn call(
    engine: Arc<Engine>,
    name: causeway_core::id::Name,
    destination: Arc<dyn Destination>,
    pace: Pace,
    batch: Vec<Delivery>,
    attempts: mpsc::Sender<Attempt>,
) -> Report {
    let started_at = engine.clock.now();
    let endings = tokio::select! {
        endings = destination.deliver(&batch) => endings,
        () = engine.clock.sleep_until(later(started_at, pace.timeout)) => {
            let reason = format!("no answer within {} s", pace.timeout.as_secs_f64());
            batch.iter().map(|_| Outcome::Retry { reason: reason.clone(), after: None }.into()).collect()
        }
    };
    let now = engine.clock.now();
    let took_ms = u32::try_from(now.duration_since(started_at).as_millis()).unwrap_or(u32::MAX);
    engine.metrics.called(&name, took_ms);
    let mut report = Report {
        retryable: 0,
        answered: 0,
        halt: None,
    };
    let mut endings = endings.into_iter();
    for delivery in &batch {
        // A destination that answers for fewer than it was given has lost count: send the rest again.
        let ending = endings.next().unwrap_or_else(|| {
            Ending::from(Outcome::Retry {
                reason: "the destination told nothing of this delivery".to_owned(),
                after: None,
            })
        });
        match &ending.outcome {
            Outcome::Retry { .. } => report.retryable += 1,
            Outcome::Halt { reason } => report.halt = Some(reason.clone()),
            Outcome::Delivered { .. } | Outcome::Skip { .. } | Outcome::Reject { .. } => report.answered += 1,
        }
        let next = next_state(delivery.attempt, &ending.outcome, &pace.retry, now, random());
        engine.metrics.attempted(&name, &ending, &next);
        tell(delivery, &ending);
        let attempt = attempt(delivery, ending, next, started_at, took_ms);
        if attempts.send(attempt).await.is_err() {
            tracing::error!(
                delivery.id = delivery.id.0,
                "the recorder is gone; the delivery's lease will bring it back"
            );
        }
    }
    report
}

fn tell(delivery: &Delivery, ending: &Ending) {
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
    ending: Ending,
    next: causeway_core::delivery::Next,
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
        reason: ending.outcome.reason().map(str::to_owned),
        status: ending.status,
        excerpt: ending.excerpt,
        remote_id,
        next,
    }
}

/// Writes attempts as they come, many at a time. Ends when every call has ended and everything is written.
async fn record(engine: Arc<Engine>, mut unrecorded: mpsc::Receiver<Attempt>) {
    let mut batch = Vec::with_capacity(UNRECORDED);
    while unrecorded.recv_many(&mut batch, UNRECORDED).await > 0 {
        let mut tries = 0_u32;
        while let Err(error) = engine.store.record(batch.clone()).await {
            tries += 1;
            tracing::error!(%error, attempts = batch.len(), "could not record attempts; trying again");
            if tries >= 60 {
                tracing::error!("giving these attempts up; their leases will bring the deliveries back");
                break;
            }
            engine.clock.sleep_until(later(engine.clock.now(), POLL)).await;
        }
        batch.clear();
        // A contact's next delivery may be due now.
        engine.wake.lanes.notify_waiters();
    }
}

/// Waits until something may have changed: a call ended, the lane was woken, `until` came, or stop.
async fn rest(
    engine: &Engine,
    lane: &Lane,
    until: Timestamp,
    calls: &mut JoinSet<Report>,
    breaker: &mut Breaker,
    state: &mut LaneState,
    stop: &Stop,
) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = engine.wake.lanes.notified() => {}
        () = engine.clock.sleep_until(until) => {}
        Some(ended) = calls.join_next() => settle(engine, lane, ended, breaker, state).await,
    }
}

async fn settle(
    engine: &Engine,
    lane: &Lane,
    ended: Result<Report, tokio::task::JoinError>,
    breaker: &mut Breaker,
    state: &mut LaneState,
) {
    match ended {
        Ok(report) => {
            breaker.heard(report.answered, report.retryable, engine.clock.now());
            engine.metrics.circuit(&lane.name, breaker.is_open());
            if let Some(reason) = report.halt {
                halt(engine, lane, reason, state).await;
            }
        }
        Err(error) => {
            tracing::error!(destination = %lane.name, %error, "a call ended unexpectedly; its lease will bring the delivery back");
            breaker.heard(0, 1, engine.clock.now());
        }
    }
}

async fn halt(engine: &Engine, lane: &Lane, reason: String, state: &mut LaneState) {
    if state.halted.is_some() {
        return;
    }
    tracing::error!(
        destination = %lane.name, reason,
        "destination {} stands still until a person mends it: `causeway delivery resume {}`", lane.name, lane.name
    );
    state.halted = Some(reason);
    engine.metrics.halted(&lane.name, true);
    if let Err(error) = engine.store.set_lane(&lane.name, state.clone()).await {
        tracing::error!(%error, "could not store that the lane is halted");
    }
}

/// Asks for pause and resume, which another process may have written.
async fn lane_state(engine: &Engine, lane: &Lane, before: LaneState) -> LaneState {
    match engine.views.lanes().await {
        Ok(mut lanes) => {
            let state = lanes.remove(&lane.name).unwrap_or_default();
            if state != before {
                tracing::info!(destination = %lane.name, paused = state.paused, halted = state.halted.is_some(), "lane state changed");
                engine.metrics.halted(&lane.name, state.halted.is_some());
            }
            state
        }
        Err(error) => {
            tracing::error!(%error, "could not read the lanes' state");
            before
        }
    }
}

fn wake_at(
    now: Timestamp,
    breaker: &Breaker,
    bucket: Option<&Bucket>,
    next_due: Option<Timestamp>,
) -> Timestamp {
    let poll = later(now, POLL);
    let mut at = next_due.map_or(poll, |due| due.min(poll));
    if let Some(retry_at) = breaker.retry_at() {
        at = at.min(retry_at);
    }
    if let Some(bucket) = bucket {
        at = at.min(bucket.next_at(now));
    }
    at.max(now)
}

/// Lets calls in flight end and records them. What is cut off keeps its lease, which ends by itself or at the next start.
async fn finish(
    lane: &Lane,
    mut calls: JoinSet<Report>,
    attempts: mpsc::Sender<Attempt>,
    recorder: tokio::task::JoinHandle<()>,
) {
    let drained = async { while calls.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, drained).await.is_err() {
        tracing::warn!(destination = %lane.name, calls = calls.len(), "calls still in flight are cut off; their deliveries come back with the next start");
        calls.shutdown().await;
    }
    drop(attempts);
    if recorder.await.is_err() {
        tracing::error!(destination = %lane.name, "the recorder ended unexpectedly");
    }
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.saturating_add(wait).unwrap_or(Timestamp::MAX)
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
