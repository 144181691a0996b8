//! Live updates of the overview: one task samples the store once a second for all viewers; `/live` streams the samples.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::State,
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use causeway_core::{
    clock::Clock,
    id::Name,
    source::{SourceState, Stop},
    store::{DeliveryFilter, InboxFilter, InboxState, Overview, StoreError, Views},
};
use futures_util::stream;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::DropGuard;

use super::{
    Console, ConsoleConfig,
    attention::{ByHand, DeadRows},
    log_store_error,
    picture::{Picture, RING, picture},
    render::Renderer,
};
use crate::telemetry::{Metrics, Sources};

const EVERY: Duration = Duration::from_secs(1);
/// Maximum number of viewers, because each holds a connection.
const VIEWERS: usize = 64;
/// The number of dead rows whose reasons are counted.
const DEAD_ROWS: u32 = 500;
/// Maximum age of the reasons of dead rows, in samples.
const DEAD_ROWS_AGE: u32 = 5;

/// A sample of all figures.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moment {
    pub at: Timestamp,
    pub overview: Overview,
    pub states: BTreeMap<Name, SourceState>,
    /// Warnings of sources that work.
    pub warnings: Vec<(Name, String)>,
    /// Destinations whose circuit is open.
    pub resting: BTreeSet<Name>,
    pub dead: DeadRows,
    pub by_hand: ByHand,
    /// The store did not answer, so the overview is from an earlier sample.
    pub is_stale: bool,
}

/// A sample prepared for display.
pub(crate) struct Frame {
    pub picture: Picture,
    /// The streamed sample, as JSON.
    sample: String,
}

#[derive(Serialize)]
struct Sample<'a> {
    at: String,
    shape: &'a str,
    figures: &'a BTreeMap<String, String>,
    marks: &'a BTreeMap<String, &'static str>,
    sparks: &'a BTreeMap<String, super::chart::Spark>,
    /// HTML, escaped here.
    attention: String,
}

/// The sampled parts, and the renderer.
pub(super) struct Watched {
    pub views: Arc<dyn Views>,
    pub clock: Arc<dyn Clock>,
    pub sources: Arc<Sources>,
    pub metrics: Arc<Metrics>,
    pub config: ConsoleConfig,
    pub renderer: Arc<Renderer>,
    pub stop: Stop,
}

/// The newest frame, and the task that makes it. Dropping this ends the task.
pub(super) struct Live {
    newest: watch::Receiver<Option<Arc<Frame>>>,
    viewers: Arc<Semaphore>,
    stop: Stop,
    _ends_sampling: DropGuard,
}

impl Live {
    pub(super) fn start(watched: Watched) -> Self {
        let (sender, newest) = watch::channel(None);
        let stop = watched.stop.child_token();
        tokio::spawn(sample_until(stop.clone(), watched, sender));
        Self {
            newest,
            viewers: Arc::new(Semaphore::new(VIEWERS)),
            stop: stop.clone(),
            _ends_sampling: stop.drop_guard(),
        }
    }

    /// The newest frame; waits for the first one. `None` while the program stops.
    pub(super) async fn frame(&self) -> Option<Arc<Frame>> {
        let mut newest = self.newest.clone();
        let frame = newest.wait_for(Option::is_some).await.ok()?;
        frame.clone()
    }
}

async fn sample_until(stop: Stop, watched: Watched, sender: watch::Sender<Option<Arc<Frame>>>) {
    let mut sampler = Sampler {
        watched,
        ring: VecDeque::with_capacity(RING),
        dead_seen: 0,
        dead_age: 0,
        by_hand_age: 0,
    };
    let sampling = async {
        loop {
            let started = sampler.watched.clock.now();
            let frame = sampler.sample().await;
            sender.send_replace(Some(Arc::new(frame)));
            let next = started.saturating_add(EVERY).unwrap_or(Timestamp::MAX);
            sampler.watched.clock.sleep_until(next).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = sampling => {}
    }
}

struct Sampler {
    watched: Watched,
    /// The last minute, oldest first.
    ring: VecDeque<Arc<Moment>>,
    /// The number of dead rows when their reasons were counted.
    dead_seen: u64,
    /// The number of samples since then.
    dead_age: u32,
    by_hand_age: u32,
}

impl Sampler {
    async fn sample(&mut self) -> Frame {
        let moment = self.moment().await;
        if self.ring.len() == RING {
            self.ring.pop_front();
        }
        self.ring.push_back(Arc::new(moment));
        let picture = picture(&self.ring, &self.watched.config);
        let at = self
            .ring
            .back()
            .map(|moment| moment.at.to_string())
            .unwrap_or_default();
        let sample = Sample {
            at,
            shape: &picture.shape,
            figures: &picture.figures,
            marks: &picture.marks,
            sparks: &picture.sparks,
            attention: self.watched.renderer.attention(&picture.attention),
        };
        // Maps with text keys always serialise.
        let sample = serde_json::to_string(&sample).unwrap_or_default();
        Frame { picture, sample }
    }

    async fn moment(&mut self) -> Moment {
        let at = self.watched.clock.now();
        let before = self.ring.back();
        let (overview, is_stale) = match self.watched.views.overview(at).await {
            Ok(overview) => (overview, false),
            Err(error) => {
                // Logged once, not every second.
                if before.is_none_or(|before| !before.is_stale) {
                    log_store_error(&error);
                }
                (
                    before.map(|before| before.overview.clone()).unwrap_or_default(),
                    true,
                )
            }
        };
        let known = before.map(|before| before.dead.clone()).unwrap_or_default();
        let dead = if is_stale {
            known
        } else {
            self.dead(&overview, known).await
        };
        let known = self.ring.back().map(|before| before.by_hand.clone());
        self.by_hand_age = self.by_hand_age.saturating_add(1);
        let is_young = self.by_hand_age < DEAD_ROWS_AGE;
        let by_hand = match known {
            Some(known) if is_stale || is_young => known,
            known => {
                self.by_hand_age = 0;
                let found = find_by_hand(&self.watched).await;
                found.unwrap_or_else(|_| known.unwrap_or_default())
            }
        };
        let metrics = &self.watched.metrics;
        let resting = overview
            .destinations
            .keys()
            .filter(|name| metrics.circuit_is_open(name))
            .cloned()
            .collect();
        Moment {
            at,
            overview,
            states: self.watched.sources.states(),
            warnings: self.watched.sources.warnings(),
            resting,
            dead,
            by_hand,
            is_stale,
        }
    }

    /// The reasons of dead rows. They are read again when the number of dead rows changed, but not every second.
    async fn dead(&mut self, overview: &Overview, known: DeadRows) -> DeadRows {
        let total = overview.sources.values().map(|counts| counts.dead).sum::<u64>()
            + overview
                .destinations
                .values()
                .map(|counts| counts.dead)
                .sum::<u64>();
        self.dead_age = self.dead_age.saturating_add(1);
        let is_due = self.ring.is_empty() || self.dead_age >= DEAD_ROWS_AGE;
        if total == self.dead_seen || !is_due {
            return known;
        }
        self.dead_seen = total;
        self.dead_age = 0;
        count_dead(self.watched.views.as_ref()).await.unwrap_or(known)
    }
}

async fn find_by_hand(watched: &Watched) -> Result<ByHand, StoreError> {
    let views = watched.views.as_ref();
    Ok(ByHand {
        conflicts: u64::try_from(views.conflicts().await?.len()).unwrap_or(u64::MAX),
        withdrawals: views.by_hand(Arc::clone(&watched.config.rules)).await?,
        dead_withdrawals: views.dead_withdrawals().await?,
        left_behind: views.left_behind(watched.config.rules.places()).await?,
    })
}

async fn count_dead(views: &dyn Views) -> Result<DeadRows, StoreError> {
    let mut counted = DeadRows::default();
    let filter = InboxFilter {
        state: Some(InboxState::Dead),
        ..InboxFilter::default()
    };
    for row in views.inbox(filter, DEAD_ROWS).await? {
        let code = row.code.unwrap_or_else(|| "of an unknown kind".to_owned());
        *counted.inbox.entry((row.source, code)).or_default() += 1;
    }
    let filter = DeliveryFilter {
        state: Some("dead".to_owned()),
        ..DeliveryFilter::default()
    };
    for row in views.deliveries(filter, DEAD_ROWS).await? {
        let reason = row.reason.unwrap_or_else(|| "no reason given".to_owned());
        *counted
            .deliveries
            .entry(row.destination)
            .or_default()
            .entry(reason)
            .or_default() += 1;
    }
    Ok(counted)
}

/// `/live`: the newest sample at once, then each new one, until the program stops.
pub(super) async fn stream(State(console): State<Arc<Console>>) -> Response {
    let live = &console.live;
    let Ok(slot) = Arc::clone(&live.viewers).try_acquire_owned() else {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "Too many viewers. Close another overview page.\n",
        )
            .into_response();
    };
    let mut newest = live.newest.clone();
    newest.mark_changed();
    let samples = stream::unfold(
        (newest, live.stop.clone(), slot),
        async |(mut newest, stop, slot)| {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return None,
                    changed = newest.changed() => changed.ok()?,
                }
                let frame = newest.borrow_and_update().clone();
                if let Some(frame) = frame {
                    let event = Event::default().event("sample").data(&frame.sample);
                    return Some((Ok::<_, Infallible>(event), (newest, stop, slot)));
                }
            }
        },
    );
    Sse::new(samples)
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(10)))
        .into_response()
}
