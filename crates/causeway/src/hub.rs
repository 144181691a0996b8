//! A hub in one process: starts and stops store, engine, sources, listener and console together. SIGHUP and `causeway reload`
//! read the configuration again.

mod reload;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use causeway_connect::{
    config::{ConfigError, Context as ConnectContext},
    vault::{NoVault, Vault},
};
use causeway_core::{
    clock::{Clock, Timestamp},
    id::Name,
    source::{Accept, Source, Stop},
    store::{Credentials, Store, StoreError, Views},
};
use causeway_store::SqliteStore;
use tokio::{net::TcpListener, signal::unix::SignalKind, task::JoinSet};

use crate::{
    clock::SystemClock,
    config::{Config, DestinationConfig, FileError, InForce},
    engine::{self, Engine, Freshness, Gateway, Lane, Pressure, Wake},
    people::left_behind_in_words,
    sources,
    tasks::Tasks,
    telemetry::{Metrics, SourceHealth, Sources},
    vault::StoreVault,
};

pub use self::reload::Reloaded;
use self::reload::{Digests, served};

/// How long a graceful stop may take.
const GRACE: Duration = Duration::from_secs(10);

/// The options that differ between `serve`, `demo` and the tests.
#[derive(Default)]
pub struct Options {
    /// Take a free port if the configured one is taken.
    pub any_port: bool,
    pub clock: Option<Arc<dyn Clock>>,
}

/// A hub that runs.
pub struct Hub {
    pub engine: Arc<Engine>,
    pub config: Arc<Config>,
    /// The listener's actual address.
    pub listener: SocketAddr,
    pub console: SocketAddr,
    pub sources: Arc<Sources>,
    store: Arc<SqliteStore>,
    vault: Arc<dyn Vault>,
    accept: Arc<dyn Accept>,
    site: crate::web::Site,
    running: Running,
    in_force: Arc<InForce>,
    digests: Digests,
    /// The number of the last reload that a command asked for.
    answered: u64,
    stop: Stop,
    parts: JoinSet<()>,
}

/// The tasks that a reload stops and starts one by one.
struct Running {
    lanes: Arc<Tasks>,
    fetchers: Tasks,
}

/// The result of stopping a hub.
pub struct Stopped {
    /// Whether all attempts in flight ended within the grace period.
    pub in_time: bool,
}

/// Opens the store for the process that runs the engine: applies migrations and stores the rules of the configuration.
async fn open_store_to_serve(config: &Config) -> anyhow::Result<Arc<SqliteStore>> {
    let store = open_store(config, causeway_store::Options { serve: true }).await?;
    store
        .set_rules(Arc::new(config.rules()))
        .await
        .context("storing the rules")?;
    Ok(store)
}

/// Applies the store's migrations and closes it.
pub async fn migrate_store(config: &Config) -> anyhow::Result<()> {
    existing_store(config)?;
    open_store(config, causeway_store::Options { serve: true }).await?;
    Ok(())
}

/// Opens the store for writing beside a hub that may be running, and creates it if it is missing. The rules of the
/// configuration are only kept in memory, because the stored ones belong to the hub.
pub async fn open_store_beside(config: &Config) -> anyhow::Result<Arc<SqliteStore>> {
    let store = open_store(config, causeway_store::Options { serve: false }).await?;
    holding_rules(store, config).await
}

async fn open_store(config: &Config, options: causeway_store::Options) -> anyhow::Result<Arc<SqliteStore>> {
    let path = config.store_path();
    if let Some(folder) = path.parent() {
        private_folder(folder).with_context(|| format!("making the folder {}", folder.display()))?;
    }
    private_file(&path).with_context(|| format!("making {}", path.display()))?;
    causeway_store::open(&path, options)
        .await
        .with_context(|| format!("opening the store {}", path.display()))
}

/// The path of the store; an error if it does not exist. A command that only reads must not create an empty store, which
/// would hide a wrong path.
pub fn existing_store(config: &Config) -> anyhow::Result<PathBuf> {
    let path = config.store_path();
    anyhow::ensure!(
        path.exists(),
        "there is no store yet: {} does not exist (check `data_dir` in section [hub] of {}; if it is right, \
         `causeway serve` or an import creates the store)",
        path.display(),
        config.path.display()
    );
    Ok(path)
}

/// Opens the store read-only. It blocks no other process, and no other process blocks it.
pub async fn open_store_to_read(config: &Config) -> anyhow::Result<Arc<SqliteStore>> {
    let path = existing_store(config)?;
    let store = causeway_store::open_to_read(&path)
        .await
        .with_context(|| format!("opening the store {}", path.display()))?;
    holding_rules(store, config).await
}

async fn holding_rules(store: Arc<SqliteStore>, config: &Config) -> anyhow::Result<Arc<SqliteStore>> {
    store
        .use_rules(Arc::new(config.rules()))
        .await
        .context("reading the rules")?;
    Ok(store)
}

/// Creates a folder that only its owner may read, because it will hold personal data.
fn private_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

/// Creates the database so that only its owner may read it: an existing folder may be open to everybody. SQLite gives its
/// log files the permissions of the database.
pub(crate) fn private_file(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut open = std::fs::OpenOptions::new();
    match open.write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

impl Hub {
    pub async fn start(config: Config, options: Options) -> anyhow::Result<Self> {
        let config = Arc::new(config);
        let clock: Arc<dyn Clock> = options.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let store = open_store_to_serve(&config).await?;
        let engine = Arc::new(Engine {
            store: Arc::clone(&store) as Arc<dyn Store>,
            views: Arc::clone(&store) as Arc<dyn Views>,
            clock: Arc::clone(&clock),
            metrics: Arc::new(Metrics::new()),
            decoders: ArcSwap::from_pointee(sources::decoders(&config)?),
            wake: Wake::default(),
            pressure: Pressure::default(),
            freshness: Freshness::default(),
            answers: engine::Answers::default(),
            settings: ArcSwap::from_pointee(settings(&config)),
            disk_is_low: false.into(),
            clock_watch: engine::ClockWatch::new(&*clock),
        });
        let health = engine.views.health().await?;
        engine.watch_clock(&health).await?;
        engine::watch_disk(&engine, &health);
        let vault: Arc<dyn Vault> = Arc::new(StoreVault::new(
            Arc::clone(&store) as Arc<dyn Credentials>,
            &config,
            Arc::clone(&clock),
        ));
        let lanes = lanes(&config, &clock, &vault)?;
        let accept: Arc<dyn Accept> = Arc::new(Gateway(Arc::clone(&engine)));
        let stop = Stop::new();
        let health = Arc::new(Sources::default());
        let in_force = Arc::new(InForce::first(&config, clock.now()));
        let mut parts = JoinSet::new();

        let public = bind(config.http.listen, options.any_port, "http.listen").await?;
        let private = bind(config.http.console, options.any_port, "http.console").await?;
        let (listener, console) = (public.local_addr()?, private.local_addr()?);
        let shared = crate::web::Parts {
            engine: Arc::clone(&engine),
            accept: Arc::clone(&accept),
            sources: Arc::clone(&health),
            generation: Arc::clone(&in_force),
            stop: stop.clone(),
        };
        let site = crate::web::start(&mut parts, &config, shared, (public, private))?;
        let fetchers = sources::fetchers(&config, &clock)?;
        let answered = store.reload_asked().await?;
        let served = served(&in_force, &config, answered, None);
        store
            .note_served(served)
            .await
            .context("noting the configuration")?;
        resume_halted(&engine).await?;
        warn_of_what_is_left(&config, &*engine.views, clock.now()).await?;
        let running = Running {
            lanes: engine::start_lanes(&engine, lanes, &stop),
            fetchers: Tasks::default(),
        };
        let verbs = engine::run(Arc::clone(&engine), Arc::clone(&running.lanes), stop.clone());
        parts.spawn(verbs);
        let hub = Self {
            digests: Digests::of(&config),
            engine,
            config,
            listener,
            console,
            sources: health,
            store,
            vault,
            accept,
            site,
            running,
            in_force,
            answered,
            stop,
            parts,
        };
        for (name, source) in fetchers {
            start_fetcher(&hub, &name, source);
        }
        Ok(hub)
    }

    /// Runs until SIGINT or SIGTERM, then stops gracefully; a second signal, or the end of [`GRACE`], stops at once.
    pub async fn run_until_signal(mut self) -> anyhow::Result<Stopped> {
        let mut interrupt =
            tokio::signal::unix::signal(SignalKind::interrupt()).context("listening for SIGINT")?;
        let mut terminate =
            tokio::signal::unix::signal(SignalKind::terminate()).context("listening for SIGTERM")?;
        let mut hangup = tokio::signal::unix::signal(SignalKind::hangup()).context("listening for SIGHUP")?;
        loop {
            tokio::select! {
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                () = self.stop.cancelled() => break,
                _ = hangup.recv() => self.reload_and_report().await,
                () = self.is_asked() => self.reload_and_report().await,
            }
        }
        tracing::info!("stopping: waiting for attempts in flight; send the signal again to stop at once");
        let again = async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        Ok(self.stop(again).await)
    }

    /// Stops gracefully, within [`GRACE`] or until `at_once` comes.
    pub async fn stop(mut self, at_once: impl Future<Output = ()>) -> Stopped {
        self.stop.cancel();
        let all = async {
            self.running.fetchers.ended().await;
            while self.parts.join_next().await.is_some() {}
        };
        let in_time = tokio::select! {
            () = all => true,
            () = tokio::time::sleep(GRACE) => false,
            () = at_once => false,
        };
        self.parts.abort_all();
        Stopped { in_time }
    }
}

/// What the loops take from the configuration.
fn settings(config: &Config) -> engine::Settings {
    engine::Settings {
        retention: config.retention.rule(),
        clocked: config.automations.clocked(),
        min_free_bytes: config.hub.min_free_mb.saturating_mul(1 << 20),
    }
}

/// Starts a source that fetches its messages.
fn start_fetcher(hub: &Hub, name: &Name, source: Box<dyn Source>) {
    let health = Arc::new(SourceHealth {
        name: Name::clone(name),
        sources: Arc::clone(&hub.sources),
        metrics: Arc::clone(&hub.engine.metrics),
    });
    let (accept, stop, name) = (Arc::clone(&hub.accept), hub.stop.child_token(), Name::clone(name));
    hub.running
        .fetchers
        .start(&Name::clone(&name), stop.clone(), async move {
            if let Err(error) = source.run(accept, health, stop).await {
                tracing::error!(source = %name, %error, "source {name} ended; the rest of the hub continues");
            }
        });
}

/// Warns of what an earlier configuration left behind: waiting deliveries, people at former destinations, ids of former
/// sources.
async fn warn_of_what_is_left(config: &Config, views: &dyn Views, now: Timestamp) -> Result<(), StoreError> {
    for (name, waiting) in orphans(config, views, now).await? {
        tracing::warn!(destination = %name, waiting, "destination {name}: {}", orphan_in_words(&name, waiting));
    }
    for (name, people) in views.left_behind(config.rules().places()).await? {
        let words = left_behind_in_words(&name, people, config.destinations.contains_key(&name));
        tracing::warn!(destination = %name, people, "destination {name}: {words}");
    }
    let former = views.overview(now).await?.sources;
    for text in sources::abandoned(config, former.keys(), &views.namespaces().await?) {
        tracing::warn!("{text}");
    }
    Ok(())
}

/// Destinations that are not in the configuration, with the number of their waiting deliveries.
pub async fn orphans(
    config: &Config,
    views: &dyn Views,
    now: Timestamp,
) -> Result<Vec<(Name, u64)>, StoreError> {
    let all = views.overview(now).await?.destinations.into_iter();
    let waiting = all.map(|(name, counts)| (name, counts.waiting));
    Ok(waiting
        .filter(|(name, waiting)| *waiting > 0 && !config.destinations.contains_key(name))
        .collect())
}

/// The warning about a destination of [`orphans`], for `doctor` and the log.
pub fn orphan_in_words(name: &str, waiting: u64) -> String {
    format!(
        "{waiting} deliveries wait for it, but the configuration has no [destination.{name}]: give it its name back, or \
         `causeway delivery discard --destination {name}`"
    )
}

/// Resumes halted lanes at each start, because the cause was probably fixed.
async fn resume_halted(engine: &Engine) -> anyhow::Result<()> {
    for (name, mut state) in engine.views.lanes().await? {
        if state.halted.take().is_some() {
            engine.store.set_lane(&name, state).await?;
        }
    }
    Ok(())
}

/// All configuration errors that would prevent a start. They include secrets and files that are missing only on this machine
/// (`ConfigError::absent`). Builds the same parts as a start; connects to nothing.
pub fn refusals(config: &Config) -> Vec<FileError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut errors = sources::refusals(config, &clock);
    for (name, destination) in &config.destinations {
        let made = lane(config, &clock, &NoVault::shared(), name, destination);
        errors.extend(
            made.err()
                .map(|error| config.error_in("destination", name, error)),
        );
    }
    errors
}

fn lanes(config: &Config, clock: &Arc<dyn Clock>, vault: &Arc<dyn Vault>) -> anyhow::Result<Vec<Lane>> {
    let mut lanes = Vec::new();
    for (name, destination) in &config.destinations {
        let made = lane(config, clock, vault, name, destination);
        lanes.push(made.map_err(|error| config.error_in("destination", name, error))?);
    }
    Ok(lanes)
}

fn lane(
    config: &Config,
    clock: &Arc<dyn Clock>,
    vault: &Arc<dyn Vault>,
    name: &Name,
    destination: &DestinationConfig,
) -> Result<Lane, ConfigError> {
    let context = ConnectContext {
        name: Arc::clone(name),
        clock: Arc::clone(clock),
        dir: config.dir.clone(),
        tables: config.lookups.clone(),
        vault: Arc::clone(vault),
    };
    let connected = (destination.kind.connect)(&context, &destination.table)?;
    Ok(Lane {
        name: Name::clone(name),
        destination: connected.into(),
        pace: destination.pace.clone(),
    })
}

async fn bind(address: SocketAddr, any_port: bool, key: &str) -> anyhow::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if any_port && error.kind() == std::io::ErrorKind::AddrInUse => {
            let other = SocketAddr::new(address.ip(), 0);
            TcpListener::bind(other)
                .await
                .with_context(|| format!("listening on {other}"))
        }
        Err(error) => {
            let hint = match error.kind() {
                std::io::ErrorKind::AddrInUse => {
                    "; another program uses it: stop that program, or set another port"
                }
                _ => "",
            };
            Err(error).with_context(|| format!("listening on {address} (`{key}` in the configuration{hint})"))
        }
    }
}

/// Reads a configuration as if its file were in `dir`.
pub fn in_folder(dir: &Path, text: &str) -> anyhow::Result<Config> {
    crate::config::parse(&dir.join("causeway.toml"), text).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!(lines.join("\n"))
    })
}
