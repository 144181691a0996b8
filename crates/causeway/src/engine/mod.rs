//! The four verbs: accept, process, deliver, maintain. Each is a loop over rows of the store, and each hands over to the next
//! by a row. Wake-ups only make this fast: every loop also polls.

mod accept;
mod answers;
mod clock_watch;
mod deliver;
mod freshness;
mod inbox_watch;
mod maintain;
mod pressure;
mod process;
pub(crate) mod turns;

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use causeway_core::{
    automation::Automation,
    clock::Clock,
    destination::Destination,
    event::Decoders,
    id::Name,
    retry::RetryPolicy,
    source::Stop,
    store::{Retention, Store, Views},
};
use futures_util::FutureExt as _;
use tokio::{sync::Notify, task::JoinSet};

pub use accept::Gateway;
pub use answers::{Answer, Answers, Wish};
pub use clock_watch::ClockWatch;
pub use freshness::Freshness;
pub use maintain::watch_disk;
pub use pressure::Pressure;
pub(crate) use process::decode_one;

use crate::{tasks::Tasks, telemetry::Metrics};

/// The state that the verbs share.
pub struct Engine {
    pub store: Arc<dyn Store>,
    pub views: Arc<dyn Views>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    /// Swapped by a reload.
    pub decoders: ArcSwap<Decoders>,
    pub wake: Wake,
    pub pressure: Pressure,
    pub freshness: Freshness,
    pub answers: Answers,
    /// Swapped by a reload.
    pub settings: ArcSwap<Settings>,
    pub disk_is_low: AtomicBool,
    pub clock_watch: ClockWatch,
}

/// What the loops take from the configuration, besides rules and lanes.
#[derive(Default)]
pub struct Settings {
    pub retention: Retention,
    /// The automations with a schedule.
    pub clocked: Vec<Arc<Automation>>,
    /// With less free space, no messages are accepted, so that the stored ones can still be finished.
    pub min_free_bytes: u64,
}

impl Engine {
    /// Whether messages are refused because the disk is nearly full.
    pub fn disk_is_low(&self) -> bool {
        self.disk_is_low.load(Ordering::Relaxed)
    }

    /// Returns the previous value.
    fn set_disk_is_low(&self, low: bool) -> bool {
        self.disk_is_low.swap(low, Ordering::Relaxed)
    }
}

/// Wakes the loops when there is work. A wake-up is kept while a loop is busy.
#[derive(Default)]
pub struct Wake {
    /// Rows were accepted.
    pub inbox: Notify,
    /// The clock was set back: `maintain` corrects the store, and no message is accepted before.
    pub clock: Notify,
    /// One for each lane. A common one would let every response of a busy destination make all lanes query the store.
    lanes: Mutex<BTreeMap<Name, Arc<Notify>>>,
}

impl Wake {
    /// Wakes a lane, because deliveries may be due or the lane was paused or resumed.
    pub fn lane(&self, destination: &str) {
        if let Some(lane) = self.locked().get(destination) {
            lane.notify_one();
        }
    }

    /// Like [`Wake::lane`], for all lanes.
    pub fn all_lanes(&self) {
        for lane in self.locked().values() {
            lane.notify_one();
        }
    }

    fn of_lane(&self, destination: &Name) -> Arc<Notify> {
        Arc::clone(self.locked().entry(Name::clone(destination)).or_default())
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<Name, Arc<Notify>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A destination and its pace.
pub struct Lane {
    pub name: Name,
    pub destination: Arc<dyn Destination>,
    pub pace: Pace,
}

/// Pacing of one destination. Times are wall-clock; `batch` is deliveries per call.
#[derive(Debug, Clone)]
pub struct Pace {
    pub concurrency: u32,
    pub batch: u32,
    /// Deliveries per second; `None` = no limit.
    pub rate_per_s: Option<f64>,
    pub timeout: Duration,
    pub retry: RetryPolicy,
    pub circuit: Circuit,
}

/// After `failures` retryable failures in a row the lane rests for `rest` (doubling up to `rest_max`), then tries one
/// delivery. Rests cost no attempts.
#[derive(Debug, Clone)]
pub struct Circuit {
    pub failures: u32,
    pub rest: Duration,
    pub rest_max: Duration,
}

impl Pace {
    /// How long a claimed delivery stays leased: two time-outs and time to record.
    pub fn lease(&self) -> Duration {
        self.timeout * 2 + Duration::from_secs(30)
    }
}

/// Starts delivering to a destination, until `stop`. After a panic it stops the whole engine.
pub fn start_lane(engine: &Arc<Engine>, lanes: &Tasks, lane: Lane, stop: &Stop) {
    let (own, all) = (stop.child_token(), stop.clone());
    let name = Name::clone(&lane.name);
    let running = AssertUnwindSafe(deliver::run(Arc::clone(engine), lane, own.clone())).catch_unwind();
    lanes.start(&name, own, async move {
        if running.await.is_err() {
            tracing::error!("a lane ended unexpectedly; stopping so that a restart fixes it");
            all.cancel();
        }
    });
}

/// Starts delivering to all destinations.
pub fn start_lanes(engine: &Arc<Engine>, lanes: Vec<Lane>, stop: &Stop) -> Arc<Tasks> {
    let tasks = Arc::new(Tasks::default());
    for lane in lanes {
        start_lane(engine, &tasks, lane, stop);
    }
    tasks
}

/// Runs process and maintain until `stop`. Returns when the lanes have ended, too, and all calls in flight have ended or
/// were given back.
pub async fn run(engine: Arc<Engine>, lanes: Arc<Tasks>, stop: Stop) {
    let mut verbs = JoinSet::new();
    verbs.spawn(process::run(Arc::clone(&engine), stop.clone()));
    verbs.spawn(inbox_watch::run(Arc::clone(&engine), stop.clone()));
    verbs.spawn(turns::run(Arc::clone(&engine), stop.clone()));
    verbs.spawn(maintain::run(Arc::clone(&engine), stop.clone()));
    // In a separate set, so that it ends with this function, however the function ends.
    let mut closing = JoinSet::new();
    closing.spawn(answers::close_after(Arc::clone(&engine), stop.clone()));
    while let Some(ended) = verbs.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a loop of the engine ended unexpectedly; stopping so that a restart fixes it");
            stop.cancel();
        }
    }
    lanes.ended().await;
    closing.abort_all();
    engine.answers.close();
}
