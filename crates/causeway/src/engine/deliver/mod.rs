//! Deliver: one lane per destination. It claims deliveries that can start, sends them, asks `next_state`, and records.
//!
//! A lane handles leases, concurrency, rate, time-out, retry, circuit and pause. The destination only turns deliveries
//! into requests, and responses into outcomes. Invariant: lanes share only the store, so a slow lane delays no other.

mod call;
mod circuit;
mod evidence;
mod rate;
mod recorder;
mod throttle;
mod window;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use causeway_core::{
    clock::Timestamp,
    delivery::Delivery,
    id::Name,
    source::Stop,
    store::{Claim, Claimed, LaneState},
};
use tokio::{
    sync::Notify,
    task::{JoinError, JoinSet},
};
use tracing::Instrument;

use self::{
    call::{Call, Report},
    circuit::{Allows, Breaker},
    rate::Bucket,
    recorder::Recorder,
    throttle::Throttle,
};
use super::{Engine, Lane, freshness::Mark};

/// How often a lane checks for due deliveries without a wake-up.
const POLL: Duration = Duration::from_secs(1);
/// How long a stopping lane waits for calls in flight. After that they are dropped, and their deliveries are claimed again
/// when the leases end.
const GRACE: Duration = Duration::from_secs(8);
/// Additional time to record the attempts of those calls.
const RECORD_GRACE: Duration = Duration::from_secs(1);

pub(super) async fn run(engine: Arc<Engine>, lane: Lane, stop: Stop) {
    let woken = engine.wake.of_lane(&lane.name);
    let now = engine.clock.now();
    let mut running = Running {
        recorder: Recorder::start(Arc::clone(&engine), Name::clone(&lane.name), Arc::clone(&woken)),
        breaker: Breaker::new(lane.pace.circuit.clone()),
        bucket: lane.pace.rate_per_s.map(|rate| Bucket::new(rate, now)),
        throttle: Arc::new(Mutex::new(Throttle::new(lane.pace.concurrency))),
        calls: JoinSet::new(),
        state: LaneState::default(),
        ask_state_at: now,
        claim_at: now,
        is_idle: false,
        engine,
        lane,
        woken,
    };
    while !stop.is_cancelled() {
        running.settle_ended().await;
        let now = running.engine.clock.now();
        running.forget_what_is_ahead(now);
        running.ask_state(now).await;
        running.report_whether_idle(now);
        match running.can_start(now) {
            May::Start(limit) if running.claim_at <= now => running.claim(limit, now).await,
            May::Start(_) => running.wait(now, running.claim_at, &stop).await,
            May::Wait(until) => running.wait(now, until, &stop).await,
        }
    }
    running.finish().await;
}

struct Running {
    engine: Arc<Engine>,
    lane: Lane,
    /// Keeps a wake-up that comes while the lane is busy.
    woken: Arc<Notify>,
    recorder: Recorder,
    breaker: Breaker,
    bucket: Option<Bucket>,
    /// Shared with the calls, which learn that the destination is busy.
    throttle: Arc<Mutex<Throttle>>,
    calls: JoinSet<Report>,
    state: LaneState,
    /// When to read `state` again, because another process may have changed it.
    ask_state_at: Timestamp,
    /// No delivery is known to be due before this time.
    claim_at: Timestamp,
    /// Whether the lane was last reported to waiting senders as idle: paused, halted or resting.
    is_idle: bool,
}

enum May {
    /// Start up to this number of deliveries.
    Start(u32),
    /// Wait until this time or until a wake-up.
    Wait(Timestamp),
}

impl Running {
    /// Limits waiting times to [`POLL`]. A later time was set before the clock was set back.
    fn forget_what_is_ahead(&mut self, now: Timestamp) {
        let latest = later(now, POLL);
        self.claim_at = self.claim_at.min(latest);
        self.ask_state_at = self.ask_state_at.min(latest);
    }

    fn can_start(&mut self, now: Timestamp) -> May {
        let something_happens = May::Wait(later(now, POLL));
        // While attempts cannot be recorded nothing new starts, because its attempt could not be recorded either.
        if self.state.paused || self.state.halted.is_some() || self.recorder.is_behind() {
            return something_happens;
        }
        let running = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = throttle.waits_until(now) {
            return May::Wait(until);
        }
        let calls = throttle.window.calls();
        drop(throttle);
        let pace = &self.lane.pace;
        let free = match self.breaker.allows(now) {
            Allows::NoneUntil(at) => return May::Wait(at),
            Allows::One => u32::from(running == 0),
            Allows::All => calls.saturating_sub(running).saturating_mul(pace.batch),
        };
        if free == 0 {
            return something_happens;
        }
        let Some(bucket) = self.bucket.as_mut() else {
            return May::Start(free);
        };
        match bucket.available(now) {
            0 => May::Wait(bucket.next_at(now)),
            available => May::Start(available.min(free)),
        }
    }

    /// Reports to waiting senders whether the lane is paused, halted or resting, so that none waits for a delivery that will
    /// not be sent soon.
    fn report_whether_idle(&mut self, now: Timestamp) {
        let is_busy = self
            .throttle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .waits_until(now)
            .is_some();
        let rests = is_busy || matches!(self.breaker.allows(now), Allows::NoneUntil(_));
        let is_idle = self.state.paused || self.state.halted.is_some() || rests;
        if is_idle != self.is_idle {
            self.is_idle = is_idle;
            self.engine.answers.is_paused_or_halted(&self.lane.name, is_idle);
        }
    }

    async fn claim(&mut self, limit: u32, now: Timestamp) {
        let claim = Claim {
            destination: Arc::clone(&self.lane.name),
            limit,
            leased_until: later(now, self.lane.pace.lease()),
            now,
            first: self.engine.answers.first(&self.lane.name),
        };
        let is_asked = !claim.first.is_empty();
        let mark = self.engine.freshness.mark();
        match self.engine.store.claim(claim).await {
            Ok(claimed) => {
                let goes_on = is_asked && !claimed.deliveries.is_empty();
                self.start(claimed, limit, now, mark);
                if goes_on {
                    // The claim may have returned only the deliveries that senders wait for.
                    self.claim_at = now;
                }
            }
            Err(error) => {
                tracing::error!(destination = %self.lane.name, %error, "could not claim deliveries; trying again");
                self.claim_at = later(now, POLL);
            }
        }
    }

    fn start(&mut self, claimed: Claimed, limit: u32, now: Timestamp, mark: Mark) {
        let ended = claimed.skipped.saturating_add(claimed.superseded);
        self.engine.metrics.skipped(&self.lane.name, ended);
        self.engine.answers.claimed(&self.lane.name, &claimed);
        if let Some(bucket) = self.bucket.as_mut() {
            bucket.take(claimed.deliveries.len());
        }
        let is_full = claimed.deliveries.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        // If the claim's limit was reached or something was skipped, claim again at once. Otherwise wait for a wake-up,
        // the next due time, or `POLL`.
        self.claim_at = if is_full || ended > 0 {
            now
        } else {
            let poll = later(now, POLL);
            claimed.next_due.map_or(poll, |due| due.min(poll))
        };
        let batch = usize::try_from(self.lane.pace.batch).unwrap_or(1).max(1);
        let round = self
            .throttle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .window
            .round();
        let mut deliveries = claimed.deliveries.into_iter().peekable();
        while deliveries.peek().is_some() {
            let batch: Vec<Delivery> = deliveries.by_ref().take(batch).collect();
            let span = call_span(&self.lane, &batch);
            let call = Call {
                engine: Arc::clone(&self.engine),
                name: Arc::clone(&self.lane.name),
                destination: Arc::clone(&self.lane.destination),
                pace: self.lane.pace.clone(),
                batch,
                mark,
                throttle: Arc::clone(&self.throttle),
                round,
                attempts: self.recorder.attempts(),
            };
            self.calls.spawn(call.run().instrument(span));
        }
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        throttle.window.in_flight(self.calls.len());
    }

    /// Waits until a call ends, the lane is woken, `until` comes, or the engine stops.
    async fn wait(&mut self, now: Timestamp, until: Timestamp, stop: &Stop) {
        let until = until.min(later(now, POLL));
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.woken.notified() => {
                self.claim_at = self.claim_at.min(now);
                if self.state.paused || self.state.halted.is_some() {
                    self.ask_state_at = now;
                }
            }
            () = self.engine.clock.sleep_until(until) => {}
            Some(ended) = self.calls.join_next() => self.settle(ended).await,
        }
    }

    async fn settle_ended(&mut self) {
        while let Some(ended) = self.calls.try_join_next() {
            self.settle(ended).await;
        }
    }

    async fn settle(&mut self, ended: Result<Report, JoinError>) {
        let report = match ended {
            Ok(report) => report,
            Err(error) => {
                tracing::error!(destination = %self.lane.name, %error, "a call ended unexpectedly; the delivery is claimed again when its lease ends");
                Report::of_failure()
            }
        };
        self.breaker
            .record(report.answered, report.retryable, self.engine.clock.now());
        self.engine
            .metrics
            .circuit(&self.lane.name, self.breaker.is_open());
        if let Some(reason) = report.halt {
            self.halt(reason).await;
        }
    }

    /// Halts the lane until a person resumes it.
    async fn halt(&mut self, reason: String) {
        if self.state.halted.is_some() {
            return;
        }
        let name = &self.lane.name;
        tracing::error!(
            destination = %name, reason,
            "destination {name} is halted: fix the cause, then run `causeway delivery resume {name}`; after a change of the configuration \
             `causeway reload` does both"
        );
        // Read the state again first: writing the old one would undo a pause made meanwhile.
        if let Ok(mut lanes) = self.engine.views.lanes().await {
            self.state = lanes.remove(name).unwrap_or_default();
        }
        self.state.halted = Some(reason);
        self.engine.metrics.halted(name, true);
        if let Err(error) = self.engine.store.set_lane(name, self.state.clone()).await {
            tracing::error!(destination = %name, %error, "could not store that the lane is halted");
        }
    }

    /// Reads pause and resume, which another process may have written.
    async fn ask_state(&mut self, now: Timestamp) {
        if now < self.ask_state_at {
            return;
        }
        self.ask_state_at = later(now, POLL);
        let name = &self.lane.name;
        match self.engine.views.lanes().await {
            Ok(mut lanes) => {
                let state = lanes.remove(name).unwrap_or_default();
                if state != self.state {
                    tracing::info!(destination = %name, paused = state.paused, halted = state.halted.is_some(), "lane state changed");
                    self.engine.metrics.halted(name, state.halted.is_some());
                    self.state = state;
                    self.claim_at = now;
                }
            }
            Err(error) => tracing::error!(destination = %name, %error, "could not read the lanes' state"),
        }
    }

    /// Waits for calls in flight and records them. Deliveries of aborted calls stay leased until the lease ends or the hub
    /// restarts.
    async fn finish(mut self) {
        let clock = Arc::clone(&self.engine.clock);
        let deadline = later(clock.now(), GRACE);
        let drained = async {
            while let Some(ended) = self.calls.join_next().await {
                self.settle(ended).await;
            }
        };
        let in_time = tokio::select! {
            () = drained => true,
            () = clock.sleep_until(deadline) => false,
        };
        if !in_time {
            tracing::warn!(destination = %self.lane.name, calls = self.calls.len(), "calls still in flight are cut off; their deliveries come back with the next start");
            self.calls.shutdown().await;
        }
        self.recorder.finish(later(deadline, RECORD_GRACE)).await;
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

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.saturating_add(wait).unwrap_or(Timestamp::MAX)
}
