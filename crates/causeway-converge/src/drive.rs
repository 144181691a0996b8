//! Runs a batch of histories in one hub, with kills, stops and failures of receivers.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail};

use crate::{
    api::{Api, Look},
    client::Client,
    config,
    dice::Dice,
    feature::{Feature, Features},
    hub::Hub,
    message::{Content, Message},
    receiver::{Call, Receivers, StoredChange},
    rig::Rig,
    tables::{self, Own},
    vendors::{Held, Vendors},
    wire::{self, Place, Wire},
    world::{DestinationKind, EPOCHS, History, Org, Over, Server, SourceKind},
};

/// The number of the batch. It is part of all names, because the batches of a run share the database servers.
static BATCHES: AtomicU64 = AtomicU64::new(0);

/// When a message was sent and accepted.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    pub started: Instant,
    pub taken: Instant,
    /// When it was accepted, in milliseconds since 1970.
    pub at: i64,
    /// How far the hub's clock was ahead, in milliseconds.
    pub ahead: i64,
    /// For a change that only Proca's API shows: when a page of the list first had it.
    pub shown: Option<Instant>,
    /// When the first pass that had it reached the end of the list.
    pub looked: Option<Instant>,
    /// For an action that the API no longer shows: the last time at which a pass may have noticed it, by the hub's clock, in
    /// milliseconds since 1970.
    pub noticed: Option<i64>,
    /// The hub did not accept it by HTTP: it waited at the broker, or was imported.
    pub is_queued: bool,
}

/// All observations of one history.
#[derive(Debug)]
pub struct Seen {
    pub place: Place,
    /// By message number.
    pub sent: BTreeMap<usize, Sent>,
    pub calls: Vec<Call>,
    pub kept: Vec<StoredChange>,
    /// The vendors' accounts, by destination.
    pub held: BTreeMap<String, Held>,
    /// Queues that were found empty and processed: (published before, known at).
    pub drained: Vec<(Instant, Instant)>,
}

/// All observations of a batch.
#[derive(Debug)]
pub struct Batch {
    pub seen: Vec<Seen>,
    /// Start of each process of the hub, with its epoch.
    pub starts: Vec<(Instant, usize)>,
    /// The longest delay of this program itself.
    pub lag: Duration,
    /// Destinations with waiting deliveries at the end.
    pub unsettled: Vec<String>,
    /// The output of the audit, if the books do not balance.
    pub books: Option<String>,
    /// Sources that did not compare with Proca's API although they should have.
    pub unlooked: Vec<String>,
    /// The number of complete passes through Proca's API.
    pub looks: usize,
    pub strange: Vec<String>,
}

/// The options of a batch.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub features: Features,
    /// Whether the hub is killed and stopped, and receivers misbehave.
    pub is_rough: bool,
}

/// Maximum time until nothing is waiting any more.
const REST: Duration = Duration::from_mins(2);
const RECEIVERS: usize = 3;
/// How far a wrong clock is ahead: a day.
const AHEAD_S: i64 = 86_400;

struct Shared<'a> {
    rig: &'a Rig,
    histories: &'a [History],
    places: Vec<Place>,
    sent: Mutex<Vec<BTreeMap<usize, Sent>>>,
    drained: Mutex<Vec<Vec<(Instant, Instant)>>>,
    /// The number of messages accepted in this epoch.
    progress: AtomicU64,
    ahead: AtomicI64,
    /// Changes of the hub's clock: (from when on, milliseconds ahead).
    clocks: Mutex<Vec<(Instant, i64)>>,
    is_done: AtomicBool,
    /// The number of starts and ends of the hub; odd while it runs.
    lives: AtomicU64,
    listener: u16,
    console: u16,
    folder: std::path::PathBuf,
    program: std::path::PathBuf,
    lag: Mutex<Duration>,
    api: &'a Api,
    vendors: &'a Vendors,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Midnight of this day, in seconds since 1970.
pub fn midnight() -> i64 {
    now_ms() / 86_400_000 * 86_400
}

/// Runs the histories concurrently in one hub, each in its own workspaces.
pub async fn run(rig: &Rig, histories: &[History], plan: &Plan, folder: &Path) -> anyhow::Result<Batch> {
    let number = BATCHES.fetch_add(1, Ordering::Relaxed);
    let start = midnight();
    let places: Vec<Place> = (0..histories.len())
        .map(|slot| Place {
            slot: format!("b{number}h{slot}"),
            start,
            first_org: rig.orgs(),
        })
        .collect();
    let api = Api::start().await?;
    let is_well = !(plan.is_rough && plan.features.has(Feature::SlowReceivers));
    let receivers = Receivers::start(RECEIVERS, plan.seed, is_well).await?;
    let vendors = Vendors::start(histories, &places, plan.seed, is_well).await;
    let hub = Hub::new(&rig.program, folder)?;
    let own = own_tables(histories, &places);
    let (postgres, mariadb) = (rig.postgres.as_ref(), rig.mariadb.as_ref());
    let urls = (
        postgres.map(|database| database.direct.clone()),
        mariadb.map(|database| database.direct.clone()),
    );
    tables::create(&own, folder, urls.0.as_deref(), urls.1.as_deref())?;
    let shared = Shared {
        rig,
        histories,
        places,
        sent: Mutex::new(vec![BTreeMap::new(); histories.len()]),
        drained: Mutex::new(vec![Vec::new(); histories.len()]),
        progress: AtomicU64::new(0),
        ahead: AtomicI64::new(0),
        clocks: Mutex::default(),
        is_done: AtomicBool::new(false),
        lives: AtomicU64::new(0),
        listener: hub.listener,
        console: hub.console,
        folder: folder.to_owned(),
        program: rig.program.clone(),
        lag: Mutex::default(),
        api: &api,
        vendors: &vendors,
    };
    shared.serve_apis();
    shared.declare_queues().await?;
    let result = shared.all(hub, &receivers, plan).await;
    shared.delete_queues().await;
    let RunResult {
        starts,
        unsettled,
        books,
        unlooked,
    } = result?;
    let mut kept = receivers.kept();
    kept.extend(tables::read(&own, folder, urls.0.as_deref(), urls.1.as_deref())?);
    Ok(Batch {
        seen: shared.seen(&receivers.calls(), &kept),
        starts,
        lag: *lock(&shared.lag),
        unsettled,
        books,
        unlooked,
        looks: shared.ended_looks(),
        strange: receivers.strange(),
    })
}

fn own_tables(histories: &[History], places: &[Place]) -> Vec<Own> {
    let mut own = Vec::new();
    for (history, place) in histories.iter().zip(places) {
        for (number, space) in history.spaces.iter().enumerate() {
            for (which, destination) in space.destinations.iter().enumerate() {
                if !matches!(
                    destination.kind,
                    DestinationKind::Hook(_) | DestinationKind::Vendor(_)
                ) {
                    own.push(Own {
                        key: config::key(place, number, which),
                        kind: destination.kind,
                    });
                }
            }
        }
    }
    own
}

struct RunResult {
    starts: Vec<(Instant, usize)>,
    unsettled: Vec<String>,
    books: Option<String>,
    unlooked: Vec<String>,
}

/// After the list, the hub queries each address that it misses for at most this time.
const WHILE: Duration = Duration::from_secs(10);

impl Shared<'_> {
    /// The observations of each history, by the names of its destinations.
    fn seen(&self, calls: &[Call], kept: &[StoredChange]) -> Vec<Seen> {
        let is_of = |slot: usize, destination: &str| {
            destination
                .strip_prefix(&self.places[slot].slot)
                .is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
        };
        let mut sent = lock(&self.sent);
        let mut drained = lock(&self.drained);
        let held = self.vendors.held();
        let seen = (0..self.histories.len()).map(|slot| Seen {
            place: self.places[slot].clone(),
            sent: std::mem::take(&mut sent[slot]),
            calls: calls
                .iter()
                .filter(|call| is_of(slot, &call.destination))
                .cloned()
                .collect(),
            kept: kept
                .iter()
                .filter(|kept| is_of(slot, &kept.destination))
                .cloned()
                .collect(),
            held: held
                .iter()
                .filter(|(destination, _)| is_of(slot, destination))
                .map(|(destination, held)| (destination.clone(), held.clone()))
                .collect(),
            drained: std::mem::take(&mut drained[slot]),
        });
        seen.collect()
    }

    /// The queues of all histories: slot, server, name.
    fn queues(&self) -> Vec<(usize, Server, String)> {
        let mut queues = Vec::new();
        for (slot, history) in self.histories.iter().enumerate() {
            for (number, space) in history.spaces.iter().enumerate() {
                for source in &space.sources {
                    if let SourceKind::Proca {
                        server,
                        over: Over::Queue,
                        ..
                    } = source.kind
                    {
                        queues.push((slot, server, self.queue(slot, number)));
                    }
                }
            }
        }
        queues
    }

    fn queue(&self, slot: usize, space: usize) -> String {
        format!("cus.{}.deliver", self.places[slot].org(space, Org::Ours))
    }

    async fn declare_queues(&self) -> anyhow::Result<()> {
        if let Some(broker) = &self.rig.broker {
            for (_, server, queue) in self.queues() {
                broker.declare(server, &queue).await?;
            }
        }
        Ok(())
    }

    async fn delete_queues(&self) {
        if let Some(broker) = &self.rig.broker {
            for (_, server, queue) in self.queues() {
                // A queue that cannot be deleted disappears with the broker.
                let _gone = broker.delete(server, &queue).await;
            }
        }
    }

    fn configuration(&self, epoch: usize, receivers: &Receivers) -> String {
        let servers = config::Servers {
            receivers: receivers.urls(),
            api: self.api.url.clone(),
            vendors: self.vendors.keys(),
            ..self.rig.servers()
        };
        let sections = self.histories.iter().zip(&self.places);
        sections
            .map(|(history, place)| config::sections(history, place, epoch, &servers, &self.rig.keys))
            .collect()
    }

    async fn all(&self, mut hub: Hub, receivers: &Receivers, plan: &Plan) -> anyhow::Result<RunResult> {
        let work = async {
            let result = self.epochs(&mut hub, receivers, plan).await;
            self.is_done.store(true, Ordering::Relaxed);
            result
        };
        let (result, (), ()) = tokio::join!(work, self.watch_queues(), self.watch_lag());
        if result.is_err() {
            hub.kill().await?;
        }
        result.map_err(|error| {
            let log = anyhow!("the hub's log:\n{}", hub.logs());
            error
                .chain()
                .rev()
                .fold(log, |inner, outer| inner.context(outer.to_string()))
        })
    }

    async fn epochs(&self, hub: &mut Hub, receivers: &Receivers, plan: &Plan) -> anyhow::Result<RunResult> {
        let mut dice = Dice::new(plan.seed ^ 0xBA7C);
        let mut starts = Vec::new();
        let is_ahead = plan.is_rough && plan.features.has(Feature::ClockJumps) && dice.chance(25);
        for epoch in 0..EPOCHS {
            hub.configure(&self.configuration(epoch, receivers))?;
            // Ahead in the second epoch, correct again in the third.
            let ahead = if is_ahead && epoch == 1 { AHEAD_S } else { 0 };
            self.ahead.store(ahead * 1000, Ordering::Relaxed);
            self.start(hub, &mut starts, epoch).await?;
            self.progress.store(0, Ordering::Relaxed);
            let sending = self.send_all(epoch);
            let total = self
                .histories
                .iter()
                .flat_map(|history| &history.messages)
                .filter(|message| message.epoch == epoch)
                .count();
            let faults = if plan.is_rough {
                faults(&mut dice, plan, total as u64)
            } else {
                Vec::new()
            };
            let breaking = self.break_things(hub, receivers, &mut starts, epoch, faults);
            tokio::try_join!(sending, breaking)?;
            let is_last = epoch + 1 == EPOCHS;
            // A renamed destination does not take its waiting deliveries along.
            let is_renamed = !is_last && self.histories.iter().any(|history| is_renamed(history, epoch));
            if is_last {
                receivers.heal();
                self.vendors.heal();
            } else if is_renamed || dice.chance(40) {
                self.rest(hub).await?;
            }
            if !is_last {
                if plan.is_rough && dice.chance(50) {
                    self.kill(hub).await?;
                } else {
                    self.stop(hub).await?;
                }
            }
        }
        let unlooked = self.wait_for_looks(hub, &starts).await?;
        let unsettled = self.rest(hub).await?;
        self.mark_looks();
        self.stop(hub).await?;
        let audit = hub.run(&["audit"]).await?;
        let books = (!audit.status.success()).then(|| String::from_utf8_lossy(&audit.stdout).into_owned());
        Ok(RunResult {
            starts,
            unsettled,
            books,
            unlooked,
        })
    }

    async fn start(
        &self,
        hub: &mut Hub,
        starts: &mut Vec<(Instant, usize)>,
        epoch: usize,
    ) -> anyhow::Result<()> {
        starts.push((Instant::now(), epoch));
        lock(&self.clocks).push((Instant::now(), self.ahead.load(Ordering::Relaxed)));
        hub.start(self.ahead.load(Ordering::Relaxed) / 1000).await?;
        self.lives.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn kill(&self, hub: &mut Hub) -> anyhow::Result<()> {
        self.lives.fetch_add(1, Ordering::Relaxed);
        hub.kill().await
    }

    async fn stop(&self, hub: &mut Hub) -> anyhow::Result<()> {
        self.lives.fetch_add(1, Ordering::Relaxed);
        hub.stop().await
    }

    /// Runs the planned failures when their number of accepted messages is reached.
    async fn break_things(
        &self,
        hub: &mut Hub,
        receivers: &Receivers,
        starts: &mut Vec<(Instant, usize)>,
        epoch: usize,
        faults: Vec<(u64, Fault)>,
    ) -> anyhow::Result<()> {
        for (after, fault) in faults {
            while self.progress.load(Ordering::Relaxed) < after {
                if !hub.is_running() {
                    bail!("the hub ended by itself");
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            match fault {
                Fault::Kill => {
                    self.kill(hub).await?;
                    self.start(hub, starts, epoch).await?;
                }
                Fault::Stop => {
                    self.stop(hub).await?;
                    self.start(hub, starts, epoch).await?;
                }
                Fault::Down(port) => {
                    receivers.set_down(port, true);
                    tokio::time::sleep(Duration::from_millis(400)).await;
                    receivers.set_down(port, false);
                }
                Fault::Cut => self.rig.cut(),
            }
        }
        Ok(())
    }

    /// Waits until nothing is left to accept, process or deliver. Returns the destinations that still have waiting deliveries.
    async fn rest(&self, hub: &Hub) -> anyhow::Result<Vec<String>> {
        let start = Instant::now();
        let mut quiet = 0;
        loop {
            let is_empty = self.depth().await? == 0;
            let (inbox, waiting) = hub.waiting().await?;
            quiet = if is_empty && inbox == 0 && waiting == 0 {
                quiet + 1
            } else {
                0
            };
            if quiet == 3 {
                return Ok(Vec::new());
            }
            if start.elapsed() > REST {
                return hub.waiting_destinations().await;
            }
            tokio::time::sleep(Duration::from_millis(120)).await;
        }
    }

    async fn depth(&self) -> anyhow::Result<u32> {
        let Some(broker) = &self.rig.broker else {
            return Ok(0);
        };
        let mut sum = 0;
        for (_, server, queue) in self.queues() {
            sum += broker.depth(server, &queue).await?;
        }
        Ok(sum)
    }

    /// Notes when published messages must be known: their queue was empty for a while (an unconfirmed message at the hub is not in
    /// the queue either), and then the same process of the hub had nothing left to process.
    async fn watch_queues(&self) {
        const EVERY: Duration = Duration::from_millis(300);
        const WHILE: Duration = Duration::from_millis(1_500);
        let Some(broker) = &self.rig.broker else { return };
        let queues = self.queues();
        let mut empty_since: Vec<Option<Instant>> = vec![None; queues.len()];
        let mut known_life = 0;
        while !self.is_done.load(Ordering::Relaxed) && !queues.is_empty() {
            let life = self.lives.load(Ordering::Relaxed);
            if life != known_life || life.is_multiple_of(2) {
                empty_since.fill(None);
                known_life = life;
            }
            for (since, (_, server, queue)) in empty_since.iter_mut().zip(&queues) {
                let looked = Instant::now();
                let is_empty = broker.depth(*server, queue).await.is_ok_and(|depth| depth == 0);
                *since = if is_empty { since.or(Some(looked)) } else { None };
            }
            let is_processed = crate::hub::inbox_waiting(self.console)
                .await
                .is_ok_and(|inbox| inbox == 0);
            if is_processed && life == self.lives.load(Ordering::Relaxed) {
                let now = Instant::now();
                let mut drained = lock(&self.drained);
                for (slot, drained) in drained.iter_mut().enumerate() {
                    // A history may have two queues; both must be empty.
                    let own = empty_since
                        .iter()
                        .zip(&queues)
                        .filter(|(_, queue)| queue.0 == slot);
                    let is_quiet = |since: Option<Instant>| since.is_some_and(|since| now - since > WHILE);
                    if own.clone().next().is_some() && own.clone().all(|(since, _)| is_quiet(*since)) {
                        drained.push((now.checked_sub(WHILE).unwrap_or(now), now));
                    }
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Measures the delay of this program, because a busy machine must not look like an error of the hub.
    async fn watch_lag(&self) {
        const TICK: Duration = Duration::from_millis(20);
        while !self.is_done.load(Ordering::Relaxed) {
            let before = Instant::now();
            tokio::time::sleep(TICK).await;
            let late = before.elapsed().saturating_sub(TICK);
            let mut lag = lock(&self.lag);
            *lag = (*lag).max(late);
        }
    }

    /// Sends the messages of an epoch: those of a history in order, all histories concurrently.
    async fn send_all(&self, epoch: usize) -> anyhow::Result<()> {
        let sending = (0..self.histories.len()).map(|slot| self.send_history(slot, epoch));
        futures_util::future::try_join_all(sending).await.map(|_| ())
    }

    async fn send_history(&self, slot: usize, epoch: usize) -> anyhow::Result<()> {
        let history = &self.histories[slot];
        let mut client = Client::new(self.listener);
        let mut rows: Vec<&Message> = Vec::new();
        for message in history.messages.iter().filter(|message| message.epoch == epoch) {
            if !rows.is_empty() && file_of(message) != file_of(rows[0]) {
                self.import(slot, std::mem::take(&mut rows)).await?;
            }
            if file_of(message).is_some() {
                rows.push(message);
                continue;
            }
            let started = Instant::now();
            let mut is_queued = false;
            match wire::render(history, message, &self.places[slot]) {
                Wire::Request {
                    method,
                    target,
                    content_type,
                    bearer,
                    body,
                } => {
                    let mut head = format!("{method} {target} HTTP/1.1\r\n");
                    head.extend(content_type.map(|kind| format!("Content-Type: {kind}\r\n")));
                    head.extend(bearer.map(|token| format!("Authorization: Bearer {token}\r\n")));
                    self.request(&mut client, &head, &body)
                        .await
                        .with_context(|| format!("sending {message:?}"))?;
                }
                Wire::Publish { body, .. } => {
                    is_queued = true;
                    let SourceKind::Proca { server, .. } =
                        history.spaces[message.space].sources[message.source].kind
                    else {
                        bail!("only Proca publishes");
                    };
                    let broker = self.rig.broker.as_ref().context("no broker was started")?;
                    broker
                        .publish(server, &self.queue(slot, message.space), &body)
                        .await?;
                    if let Content::Proca(proca) = &message.content {
                        self.api
                            .published(&self.source(slot, message), &self.places[slot], proca);
                    }
                }
                Wire::Row(_) => {}
                Wire::Nothing => self.happen(slot, message),
            }
            self.note(slot, &[message], started, is_queued);
        }
        if rows.is_empty() {
            Ok(())
        } else {
            self.import(slot, rows).await
        }
    }

    /// What happens at Proca or at a vendor without a message.
    fn happen(&self, slot: usize, message: &Message) {
        let place = &self.places[slot];
        match &message.content {
            Content::Api(what) => self.api.happened(&self.source(slot, message), place, what),
            Content::AtVendor {
                destination,
                address,
                deed,
            } => {
                let key = config::key(place, message.space, *destination);
                self.vendors.happen(&key, address, deed, place.start);
            }
            _ => {}
        }
    }

    fn source(&self, slot: usize, message: &Message) -> String {
        self.places[slot].source(
            message.space,
            &self.histories[slot].spaces[message.space].sources[message.source],
        )
    }

    /// The sources with `reconcile`: (slot, workspace, name).
    fn api_sources(&self) -> Vec<(usize, usize, String)> {
        let mut found = Vec::new();
        for (slot, history) in self.histories.iter().enumerate() {
            for (number, space) in history.spaces.iter().enumerate() {
                for source in &space.sources {
                    if matches!(source.kind, SourceKind::Proca { has_api: true, .. }) {
                        found.push((slot, number, self.places[slot].source(number, source)));
                    }
                }
            }
        }
        found
    }

    fn serve_apis(&self) {
        for (slot, space, source) in self.api_sources() {
            let number = |org| self.places[slot].org(space, org);
            self.api.serve(&source, number(Org::Ours), number(Org::Sister));
        }
    }

    fn ended_looks(&self) -> usize {
        let of = |(_, _, source): &(usize, usize, String)| {
            let looks = self.api.looks(source);
            looks.iter().filter(|look| look.ended.is_some()).count()
        };
        self.api_sources().iter().map(of).sum()
    }

    /// Waits until the last process of the hub has compared each source with the API. Returns the sources that it did not
    /// compare.
    async fn wait_for_looks(&self, hub: &Hub, starts: &[(Instant, usize)]) -> anyhow::Result<Vec<String>> {
        let last = starts.last().map(|(start, _)| *start);
        let start = Instant::now();
        loop {
            let compared = hub.compared().await?;
            let is_open = |(_, _, source): &(usize, usize, String)| {
                let looks = self.api.looks(source);
                let is_ended = looks
                    .iter()
                    .any(|look| Some(look.began) >= last && look.ended.is_some());
                !is_ended || !compared.contains(source)
            };
            let open: Vec<String> = self
                .api_sources()
                .into_iter()
                .filter(is_open)
                .map(|(_, _, source)| source)
                .collect();
            if open.is_empty() || start.elapsed() > REST {
                return Ok(open);
            }
            tokio::time::sleep(Duration::from_millis(120)).await;
        }
    }

    /// Marks the changes that the passes through the API have shown.
    fn mark_looks(&self) {
        let mut sent = lock(&self.sent);
        for (slot, history) in self.histories.iter().enumerate() {
            for message in &history.messages {
                let Content::Api(what) = &message.content else {
                    continue;
                };
                let looks = self.api.looks(&self.source(slot, message));
                let Some(sent) = sent[slot].get_mut(&message.number) else {
                    continue;
                };
                let shown = |look: &Look| look.shows(what).filter(|shown| *shown >= sent.started);
                let looked = looks.iter().filter(|look| shown(look).is_some());
                // A pass that had begun reads the list, and the addresses that it misses, for a while yet.
                let may_notice = |look: &&Look| look.ended.is_none_or(|ended| ended + WHILE >= sent.started);
                let noticed = looks.iter().filter(may_notice);
                (sent.shown, sent.looked, sent.noticed) = (
                    looks.iter().filter_map(shown).min(),
                    looked.filter_map(|look| look.ended).min(),
                    noticed.map(|look| self.latest(look, sent)).max(),
                );
            }
        }
    }

    /// The last time at which the hub may have noticed that an action is missing, by its own clock.
    fn latest(&self, look: &Look, sent: &Sent) -> i64 {
        let end = look.ended.unwrap_or(look.began) + WHILE;
        let since = end.saturating_duration_since(sent.taken).as_millis();
        let clocks = lock(&self.clocks);
        let clock = clocks.iter().rev().find(|(from, _)| *from <= look.began);
        sent.at + i64::try_from(since).unwrap_or(0) + clock.map_or(0, |(_, ahead)| *ahead)
    }

    fn note(&self, slot: usize, messages: &[&Message], started: Instant, is_queued: bool) {
        let sent = Sent {
            started,
            taken: Instant::now(),
            at: now_ms(),
            ahead: self.ahead.load(Ordering::Relaxed),
            shown: None,
            looked: None,
            noticed: None,
            is_queued,
        };
        lock(&self.sent)[slot].extend(messages.iter().map(|message| (message.number, sent)));
        self.progress.fetch_add(messages.len() as u64, Ordering::Relaxed);
    }

    /// Repeats a request until it succeeds, as senders do without a response.
    async fn request(&self, client: &mut Client, head: &str, body: &[u8]) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            match client.send(head, body).await {
                Ok((200, _)) => return Ok(()),
                Ok((429 | 503, _)) | Err(_) if start.elapsed() < REST => {
                    tokio::time::sleep(Duration::from_millis(15)).await;
                }
                Ok((status, answer)) => bail!("answered {status}: {}", String::from_utf8_lossy(&answer)),
                Err(error) => return Err(error),
            }
        }
    }

    /// Imports the rows of one file by `causeway import` beside the hub.
    async fn import(&self, slot: usize, rows: Vec<&Message>) -> anyhow::Result<()> {
        let started = Instant::now();
        let history = &self.histories[slot];
        let place = &self.places[slot];
        let cells: Vec<Vec<(String, String)>> = rows
            .iter()
            .filter_map(|message| match wire::render(history, message, place) {
                Wire::Row(cells) => Some(cells),
                _ => None,
            })
            .collect();
        let (Some(first), Some(message)) = (cells.first(), rows.first()) else {
            return Ok(());
        };
        let number = file_of(message).unwrap_or_default();
        let is_csv = !number.is_multiple_of(3);
        let name = format!("{}-{number}.{}", place.slot, if is_csv { "csv" } else { "jsonl" });
        let text = if is_csv {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer
                .write_record(first.iter().map(|(name, _)| name))
                .context("writing a file")?;
            for row in &cells {
                writer
                    .write_record(row.iter().map(|(_, value)| value))
                    .context("writing a file")?;
            }
            writer.into_inner().context("writing a file")?
        } else {
            let line = |row: &Vec<(String, String)>| {
                let members = row
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone().into()));
                serde_json::Value::from(members.collect::<serde_json::Map<_, _>>()).to_string() + "\n"
            };
            cells.iter().map(line).collect::<String>().into_bytes()
        };
        std::fs::write(self.folder.join(&name), text).context("writing a file")?;
        let source = self.source(slot, message);
        let arguments = ["import".to_owned(), name, "--source".to_owned(), source];
        loop {
            // The command uses the same clock as the hub.
            let ahead = self.ahead.load(Ordering::Relaxed) / 1000;
            let mut command = crate::hub::with_clock(&self.program, ahead)?;
            command.current_dir(&self.folder).args(&arguments);
            let output = tokio::task::spawn_blocking(move || command.output())
                .await
                .context("waiting for the import")?;
            let output = output.context("running the import")?;
            // Invalid values of consent are listed, but the rows are stored.
            let is_taken = String::from_utf8_lossy(&output.stderr).contains("of consent not read");
            if output.status.success() || is_taken {
                break;
            }
            if started.elapsed() > REST {
                bail!("the import failed: {}", String::from_utf8_lossy(&output.stderr));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        // The hub detects the rows within 100 ms after the command has ended.
        self.note(slot, &rows, started, false);
        Ok(())
    }
}

fn file_of(message: &Message) -> Option<usize> {
    match message.content {
        Content::Row { file, .. } => Some(file),
        _ => None,
    }
}

/// A destination is renamed in the next epoch.
fn is_renamed(history: &History, epoch: usize) -> bool {
    history
        .spaces
        .iter()
        .flat_map(|space| &space.destinations)
        .any(
            |destination| match (&destination.settings[epoch], &destination.settings[epoch + 1]) {
                (Some(now), Some(next)) => now.name != next.name,
                _ => false,
            },
        )
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    Kill,
    Stop,
    /// A receiver is down for a while.
    Down(usize),
    /// The connections to the databases break.
    Cut,
}

/// The failures of an epoch, and the number of messages after which they happen.
fn faults(dice: &mut Dice, plan: &Plan, total: u64) -> Vec<(u64, Fault)> {
    let mut faults = Vec::new();
    let moment = |dice: &mut Dice| total * dice.between(5, 90) as u64 / 100;
    if plan.features.has(Feature::Kills) {
        for _ in 0..dice.between(0, 2) {
            let fault = if dice.chance(65) { Fault::Kill } else { Fault::Stop };
            faults.push((moment(dice), fault));
        }
    }
    if plan.features.has(Feature::SlowReceivers) {
        let port = dice.below(RECEIVERS);
        faults.push((moment(dice), Fault::Down(port)));
        faults.push((moment(dice), Fault::Cut));
    }
    faults.sort_by_key(|(after, _)| *after);
    faults
}
