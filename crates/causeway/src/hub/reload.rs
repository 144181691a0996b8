//! Reads the configuration again while the hub runs. What did not change is not disturbed.
//!
//! Invariant: all parts of the new configuration are made before anything stops. After an error the old configuration is
//! in force, whole. Once the new rules are stored nothing ends the reload, so no part stays stopped.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use causeway_core::{
    envelope::digest,
    event::DeadCode,
    id::Name,
    store::{InboxFilter, InboxState, Store as _, StoreError},
};
use causeway_store::Served;
use data_encoding::HEXLOWER;

use super::{Hub, lane, refusals, settings, start_fetcher, warn_of_what_is_left};
use crate::{
    config::{self, Config, InForce},
    engine::{self, Lane},
    sources,
};

/// How long calls in flight of a changed destination, and a changed source, may take to end.
const LONGEST_STOP: Duration = Duration::from_secs(10);

/// What the commands beside the hub may know about the configuration that is in force.
pub(super) fn served(in_force: &InForce, config: &Config, answered: u64, refused: Option<String>) -> Served {
    let now = in_force.generation();
    Served {
        generation: now.generation,
        since: now.since,
        file: config::whole_path(&in_force.path),
        config: in_force.digest(),
        sources: sources::digests(config),
        answered,
        refused,
    }
}

/// A digest for each part that runs by itself. A part is restarted if its digest changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Digests {
    lanes: BTreeMap<Name, String>,
    fetchers: BTreeMap<Name, String>,
}

impl Digests {
    pub(super) fn of(config: &Config) -> Self {
        let tables = format!("{:?}", config.lookups);
        let of = |kind: &str, table: &toml::Table, pace: &str| {
            let files = secrets_in_files(table, &config.dir);
            let table = table.to_string();
            let pieces = [kind, &table, pace, &tables, &files].map(str::as_bytes);
            HEXLOWER.encode(&digest(&pieces))
        };
        let lanes = config.destinations.iter().map(|(name, destination)| {
            let pace = format!("{:?}", destination.pace);
            (
                Name::clone(name),
                of(destination.kind.name, &destination.table, &pace),
            )
        });
        let fetchers = config.sources.iter().map(|(name, source)| {
            let workspace = &source.rule.workspace;
            (Name::clone(name), of(source.kind.name, &source.table, workspace))
        });
        Self {
            lanes: lanes.collect(),
            fetchers: fetchers.collect(),
        }
    }
}

/// The contents of the files in which secrets are: `{ file = "path" }`.
fn secrets_in_files(table: &toml::Table, dir: &Path) -> String {
    let one = |value: &toml::Value| match value {
        toml::Value::Table(inner) => match inner.get("file").and_then(toml::Value::as_str) {
            Some(path) if inner.len() == 1 => std::fs::read_to_string(dir.join(path)).unwrap_or_default(),
            _ => secrets_in_files(inner, dir),
        },
        _ => String::new(),
    };
    table.values().map(one).collect()
}

/// The names whose digest is another one, is new, or is missing.
fn changed(before: &BTreeMap<Name, String>, now: &BTreeMap<Name, String>) -> Vec<Name> {
    let all: BTreeSet<&Name> = before.keys().chain(now.keys()).collect();
    let differs = all.into_iter().filter(|name| before.get(*name) != now.get(*name));
    differs.cloned().collect()
}

/// What a reload did.
#[derive(Debug)]
pub struct Reloaded {
    pub generation: u32,
    /// Started, restarted or stopped.
    pub destinations: Vec<Name>,
    pub sources: Vec<Name>,
    /// Whether anything in the file changed.
    pub has_changed: bool,
}

impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.has_changed {
            return write!(f, "nothing has changed; generation {} goes on", self.generation);
        }
        write!(f, "generation {} is in force", self.generation)?;
        for (what, names) in [("destinations", &self.destinations), ("sources", &self.sources)] {
            if !names.is_empty() {
                let names: Vec<&str> = names.iter().map(|name| &**name).collect();
                write!(f, "; {what} that changed: {}", names.join(", "))?;
            }
        }
        Ok(())
    }
}

impl Hub {
    /// Reads the file again and puts it into force. After an error nothing has changed.
    pub async fn reload(&mut self) -> anyhow::Result<Reloaded> {
        let path = self.config.path.clone();
        let next = tokio::task::spawn_blocking(move || -> anyhow::Result<Config> {
            let errors = match config::load(&path) {
                Ok(config) => {
                    let refused = refusals(&config);
                    if refused.is_empty() {
                        return Ok(config);
                    }
                    refused
                }
                Err(errors) => errors,
            };
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Err(anyhow::anyhow!(lines.join("\n")))
        });
        let next = Arc::new(next.await.context("reading the configuration")??);
        check_fixed(&self.config, &next)?;
        let digests = Digests::of(&next);
        let destinations = changed(&self.digests.lanes, &digests.lanes);
        let sources = changed(&self.digests.fetchers, &digests.fetchers);
        let has_changed = next.digest() != self.config.digest() || digests != self.digests;
        // All that can fail.
        let decoders = sources::decoders(&next)?;
        let lanes = self.lanes_of(&next, &destinations)?;
        let mut fetchers = sources::fetchers(&next, &self.engine.clock)?;
        fetchers.retain(|name, _| sources.contains(name));
        let change = self.site.change(&next)?;

        self.running.fetchers.stop(&sources, LONGEST_STOP).await;
        self.running.lanes.stop(&destinations, LONGEST_STOP).await;
        if let Err(error) = self.put_into_force(&next).await {
            self.start_former(&destinations, &sources);
            return Err(error);
        }
        self.engine.decoders.store(Arc::new(decoders));
        self.engine.settings.store(Arc::new(settings(&next)));
        if let Err(error) = self.site.apply(change) {
            tracing::error!(
                error = format!("{error:#}"),
                "the listener goes on with its old sources"
            );
        }
        for name in sources.iter().filter(|name| !next.sources.contains_key(*name)) {
            self.sources.forget(name);
        }
        if let Err(error) = self.resume(&destinations).await {
            tracing::error!(%error, "could not end the halts of destinations that changed: run `causeway delivery resume`");
        }
        self.start_lanes(lanes);
        for (name, source) in fetchers {
            start_fetcher(self, &name, source);
        }
        self.config = next;
        self.digests = digests;
        if has_changed {
            self.in_force.next(&self.config, self.engine.clock.now());
        }
        self.engine.wake.inbox.notify_one();
        self.engine.wake.all_lanes();
        Ok(Reloaded {
            generation: self.in_force.generation().generation,
            destinations,
            sources,
            has_changed,
        })
    }

    /// Starts the parts of the old configuration again. A part may lack a secret by now; the others go on.
    fn start_former(&self, destinations: &[Name], sources: &[Name]) {
        for name in destinations {
            match self.lanes_of(&self.config, std::slice::from_ref(name)) {
                Ok(lanes) => self.start_lanes(lanes),
                Err(error) => {
                    tracing::error!(destination = %name, error = format!("{error:#}"), "it cannot go on as before");
                }
            }
        }
        match sources::fetchers(&self.config, &self.engine.clock) {
            Ok(fetchers) => {
                for (name, source) in fetchers.into_iter().filter(|(name, _)| sources.contains(name)) {
                    start_fetcher(self, &name, source);
                }
            }
            Err(error) => tracing::error!(error = format!("{error:#}"), "the sources cannot go on as before"),
        }
    }

    async fn put_into_force(&self, next: &Config) -> anyhow::Result<()> {
        let rules = Arc::new(next.rules());
        self.store.set_rules(rules).await.context("storing the rules")
    }

    /// Reloads, and reports how that ended to the log and to the commands that wait for it.
    pub(super) async fn reload_and_report(&mut self) {
        let asked = self.store.reload_asked().await.unwrap_or(self.answered);
        let refused = match self.reload().await {
            Ok(reloaded) => {
                tracing::info!("configuration read again: {reloaded}");
                None
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(
                    error,
                    "could not read the configuration again; the old one stays in force"
                );
                Some(error)
            }
        };
        let is_refused = refused.is_some();
        self.answered = asked;
        let served = served(&self.in_force, &self.config, asked, refused);
        if let Err(error) = self.store.note_served(served).await {
            tracing::error!(%error, "could not note which configuration is in force");
        }
        if is_refused {
            return;
        }
        self.replay_undecrypted().await;
        let now = self.engine.clock.now();
        if let Err(error) = warn_of_what_is_left(&self.config, &*self.engine.views, now).await {
            tracing::error!(%error, "could not look for what the former configuration left behind");
        }
    }

    /// Returns when a command asks for a reload.
    pub(super) async fn is_asked(&self) {
        /// How often the store is queried.
        const EVERY: Duration = Duration::from_millis(500);
        loop {
            tokio::time::sleep(EVERY).await;
            if let Ok(asked) = self.store.reload_asked().await
                && asked != self.answered
            {
                return;
            }
        }
    }

    fn lanes_of(&self, config: &Config, names: &[Name]) -> anyhow::Result<Vec<Lane>> {
        let mut lanes = Vec::new();
        for name in names {
            if let Some(destination) = config.destinations.get(name) {
                let made = lane(config, &self.engine.clock, &self.vault, name, destination);
                lanes.push(made.map_err(|error| config.error_in("destination", name, error))?);
            }
        }
        Ok(lanes)
    }

    fn start_lanes(&self, lanes: Vec<Lane>) {
        for lane in lanes {
            engine::start_lane(&self.engine, &self.running.lanes, lane, &self.stop);
        }
    }

    /// Ends the halts of destinations that changed, because the cause was probably fixed.
    async fn resume(&self, destinations: &[Name]) -> Result<(), StoreError> {
        for (name, mut state) in self.engine.views.lanes().await? {
            if destinations.contains(&name) && state.halted.take().is_some() {
                self.engine.store.set_lane(&name, state).await?;
            }
        }
        Ok(())
    }

    /// Processes messages again that could not be decrypted: there may be new keys.
    async fn replay_undecrypted(&self) {
        let mut rows = 0;
        for code in [DeadCode::KeyMissing, DeadCode::Undecryptable] {
            let filter = InboxFilter {
                state: Some(InboxState::Dead),
                code: Some(code),
                ..InboxFilter::default()
            };
            match self.engine.store.replay(filter).await {
                Ok(found) => rows += found,
                Err(error) => {
                    tracing::error!(%error, "could not replay the messages that could not be decrypted");
                }
            }
        }
        tracing::info!(
            rows,
            "keystores reloaded; {rows} messages that could not be decrypted will be processed again"
        );
        self.engine.wake.inbox.notify_one();
    }
}

/// Refuses changes that only a restart can put into force.
fn check_fixed(before: &Config, next: &Config) -> anyhow::Result<()> {
    let fixed = [
        ("http.listen", before.http.listen != next.http.listen),
        ("http.console", before.http.console != next.http.console),
        ("hub.data_dir", before.store_path() != next.store_path()),
    ];
    let changed: Vec<&str> = fixed
        .iter()
        .filter_map(|(key, has_changed)| has_changed.then_some(*key))
        .collect();
    anyhow::ensure!(
        changed.is_empty(),
        "{} changed, which takes a restart of the hub: restart it, or change that back and reload",
        changed.join(" and ")
    );
    Ok(())
}
