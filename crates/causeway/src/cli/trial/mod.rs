//! Tries a configuration: runs its real decoders, rules and previews on a separate store in a private folder. It creates no
//! client, does not touch the real store, and replaces each secret by a dummy.

pub mod body;
pub mod changes;
pub mod compare;
pub mod contact;
pub mod difference;
pub mod folder;
mod message;
mod secrets;
pub mod test;
mod turns;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use async_trait::async_trait;
use causeway_connect::{
    config::Context as ConnectContext,
    destination::{Kind, Unsent},
};
use causeway_core::{
    clock::{Clock, Timestamp},
    delivery::Delivery,
    envelope::Envelope,
    event::Decoders,
    id::{ContactId, InboxId, Name},
    rules::Rules,
    store::{ContactView, Store, Views},
};
use causeway_store::{SqliteStore, TrialResult, TrialStep};
use tempfile::TempDir;

use self::folder::PrivateFolder;
use crate::{config::Config, engine::decode_one, sources};

pub struct Trial {
    store: Arc<SqliteStore>,
    decoders: Decoders,
    clock: Arc<StoppedClock>,
    destinations: BTreeMap<Name, Previewed>,
    turns: turns::Turns,
    // The last field, so that the folder is removed after the store was closed.
    _folder: TempDir,
}

struct Previewed {
    kind: &'static Kind,
    table: toml::Table,
    context: ConnectContext,
}

/// The request that a destination would be sent, or why it cannot be made.
pub type Request = Result<String, Unsent>;

impl Trial {
    /// Reads key files; opens no connection. `folder` holds the trial's store until the trial is dropped.
    pub async fn new(config: &Config, folder: &PrivateFolder) -> anyhow::Result<Self> {
        let decoders = sources::decoders(config)?;
        let folder = folder.room().context("making a folder for the trial")?;
        let path = folder.path().join("trial.db");
        crate::hub::private_file(&path).context("making a store for the trial")?;
        let store = causeway_store::open(path, causeway_store::Options { serve: true })
            .await
            .context("making a store for the trial")?;
        // Equal values in every trial, because two trials are compared.
        let rules = Rules {
            hub: "trial".into(),
            ..config.rules()
        };
        store.set_rules(Arc::new(rules)).await?;
        let clock = Arc::new(StoppedClock::default());
        let mut destinations = BTreeMap::new();
        for (name, destination) in &config.destinations {
            let table = secrets::with_dummies(destination.kind, &destination.table, folder.path())
                .context("writing dummy secrets")?;
            let context = ConnectContext {
                name: Name::clone(name),
                clock: Arc::clone(&clock) as Arc<dyn Clock>,
                dir: config.dir.clone(),
                tables: config.lookups.clone(),
                vault: causeway_connect::vault::NoVault::shared(),
            };
            let kind = destination.kind;
            destinations.insert(Name::clone(name), Previewed { kind, table, context });
        }
        Ok(Self {
            store,
            decoders,
            clock,
            destinations,
            turns: turns::Turns::new(config.automations.clocked()),
            _folder: folder,
        })
    }

    /// Runs the messages, each at its time, and returns the result of each.
    pub async fn process(&mut self, envelopes: Vec<Envelope>) -> anyhow::Result<Vec<TrialResult>> {
        if let (Some(first), Some(last)) = (envelopes.first(), envelopes.last()) {
            self.turns.begin(first.received_at);
            self.clock.set(last.received_at);
        }
        let messages = envelopes
            .into_iter()
            .map(|envelope| TrialStep {
                decoded: decode_one(&self.decoders, &envelope),
                now: envelope.received_at,
                envelope,
            })
            .collect();
        Ok(self.store.run_trial(messages).await?)
    }

    /// One line per automation that says why it ran for a message or did not, and one per waiting timer.
    pub async fn automations(&self, id: InboxId) -> anyhow::Result<Vec<String>> {
        let Some(trace) = self.store.trace(id).await? else {
            return Ok(Vec::new());
        };
        let mut lines = Vec::new();
        if let Some(explained) = &trace.automations {
            let asked = explained.asked.iter();
            lines.extend(asked.map(|(name, verdict)| format!("automation {name}: {verdict}")));
            let saw = explained.values.iter();
            lines.extend(saw.map(|(name, value)| format!("  its condition read {name} = {value}")));
        }
        let waiting = trace.timers.iter();
        lines.extend(waiting.map(|timer| {
            format!(
                "automation {}: {} waits until {}",
                timer.automation, timer.due, timer.due_at
            )
        }));
        Ok(lines)
    }

    /// The exact requests for these deliveries, in their order. Secrets are masked.
    pub fn preview(&self, destination: &Name, batch: &[Delivery]) -> anyhow::Result<Vec<Request>> {
        let Some(to) = self.destinations.get(destination) else {
            anyhow::bail!("there is no destination {destination}");
        };
        (to.kind.preview)(&to.context, &to.table, batch)
            .map_err(|error| anyhow::anyhow!("[destination.{destination}]: {error}"))
    }

    pub async fn contact(&self, id: ContactId) -> anyhow::Result<Option<ContactView>> {
        Ok(self.store.contact(id).await?)
    }
}

/// A clock that shows the time it was set to.
#[derive(Default)]
struct StoppedClock(Mutex<Timestamp>);

impl StoppedClock {
    fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

#[async_trait]
impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns at once: a trial never waits.
    async fn sleep_until(&self, _at: Timestamp) {}
}
