//! The sources of a configuration: those that fetch messages (`causeway-connect`), those that receive them on our
//! listener, and the decoders of both.

mod by_hand;
mod namespaces;

use std::{collections::BTreeMap, sync::Arc};

use causeway_connect::{
    config::{ConfigError, Context},
    source::{self as fetched, Ours},
};
use causeway_core::{
    clock::Clock,
    decode::follow_up::{ANSWERS, AUTOMATIONS, FollowUpDecoder},
    envelope::digest,
    event::{Decode, Decoders},
    id::Name,
    source::Source,
};

pub(crate) use self::namespaces::{abandoned, warnings};
pub use by_hand::ByHand;

use crate::{
    clock::SystemClock,
    config::{Config, FileError, SourceConfig, one_of},
    web::{
        events::{self, Sender},
        ingest::{self, Listener},
    },
};

/// A value of `kind = "…"`, for the schema and the documentation.
pub struct Kind {
    pub name: &'static str,
    pub summary: &'static str,
    pub schema: fn() -> schemars::Schema,
    /// A complete `[source.NAME]` section.
    pub sample: &'static str,
}

const LISTENER: &str = "listener";
const EVENTS: &str = "events";

/// All kinds, sorted by name.
pub fn kinds() -> Vec<Kind> {
    let listener = Kind {
        name: LISTENER,
        summary: ingest::SUMMARY,
        schema: || schemars::schema_for!(ingest::Config),
        sample: ingest::SAMPLE,
    };
    let events = Kind {
        name: EVENTS,
        summary: events::SUMMARY,
        schema: || schemars::schema_for!(events::Config),
        sample: events::SAMPLE,
    };
    let fetched = fetched::KINDS.iter().map(|kind| Kind {
        name: kind.name,
        summary: kind.summary,
        schema: kind.schema,
        sample: kind.sample,
    });
    [events, listener].into_iter().chain(fetched).collect()
}

/// Checks a source's own keys without I/O, and returns the values that the rest of the configuration needs.
pub fn ours(name: &str, kind: &str, own: &toml::Table) -> Result<Ours, ConfigError> {
    match fetched::kind(kind) {
        Some(kind) => (kind.parse)(own),
        None if kind == LISTENER => Ok(ingest::Config::parse(own)?.ours(name)),
        None if kind == EVENTS => Ok(events::Config::parse(own)?.ours(name)),
        None => {
            let names: Vec<&str> = kinds().iter().map(|kind| kind.name).collect();
            let error = ConfigError::new("kind", format!("there is no source of kind {kind:?}"));
            Err(error.hint(one_of(kind, &names)))
        }
    }
}

/// The decoders of all sources. Reads the keystores.
pub fn decoders(config: &Config) -> anyhow::Result<Decoders> {
    let mut all = Decoders::new();
    for (name, source) in &config.sources {
        let decoder =
            decoder(config, name, source).map_err(|error| config.error_in("source", name, error))?;
        all.insert(Name::clone(name), decoder);
    }
    for own in [ANSWERS, AUTOMATIONS] {
        all.insert(own.into(), Arc::new(FollowUpDecoder));
    }
    Ok(all)
}

fn decoder(config: &Config, name: &Name, source: &SourceConfig) -> Result<Arc<dyn Decode>, ConfigError> {
    // Decoding reads no clock; it is only a field of the context that every connector is given.
    let context = Context {
        name: Name::clone(name),
        clock: Arc::new(SystemClock),
        dir: config.dir.clone(),
        tables: config.lookups.clone(),
    };
    match fetched::kind(&source.kind) {
        Some(kind) => (kind.decoder)(&context, &source.table),
        None if source.kind == EVENTS => Ok(events::Config::parse(&source.table)?.decoder(&context)),
        None => ingest::Config::parse(&source.table)?.decoder(&context),
    }
}

/// The sources that fetch their messages.
pub fn fetchers(config: &Config, clock: &Arc<dyn Clock>) -> anyhow::Result<BTreeMap<Name, Box<dyn Source>>> {
    let mut all = BTreeMap::new();
    for (name, source) in &config.sources {
        let made =
            fetcher(config, name, source, clock).map_err(|error| config.error_in("source", name, error))?;
        all.extend(made.map(|made| (Name::clone(name), made)));
    }
    Ok(all)
}

fn fetcher(
    config: &Config,
    name: &Name,
    source: &SourceConfig,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Box<dyn Source>>, ConfigError> {
    let context = Context {
        name: Name::clone(name),
        clock: Arc::clone(clock),
        dir: config.dir.clone(),
        tables: config.lookups.clone(),
    };
    fetched::kind(&source.kind)
        .map(|kind| (kind.connect)(&context, &source.table))
        .transpose()
}

/// The sources that receive their messages on our listener.
pub fn listeners(config: &Config) -> anyhow::Result<Vec<Listener>> {
    let listening = config
        .sources
        .iter()
        .filter(|(_, source)| source.kind == LISTENER);
    let all: Vec<Listener> = listening
        .map(|(name, source)| {
            listener(config, name, source).map_err(|error| config.error_in("source", name, error).into())
        })
        .collect::<anyhow::Result<_>>()?;
    match ingest::same_token(&all) {
        Some((name, error)) => Err(config.error_in("source", &name, error).into()),
        None => Ok(all),
    }
}

fn listener(config: &Config, name: &Name, source: &SourceConfig) -> Result<Listener, ConfigError> {
    let door = ingest::Config::parse(&source.table)?;
    if let Some(after) = door.answer.as_ref().and_then(|answer| answer.after.as_ref()) {
        check_after(config, source, after)?;
    }
    Listener::new(Name::clone(name), &door, &config.dir, &config.lookups)
}

/// Checks `after`: the destination must exist, and be in the source's workspace.
fn check_after(config: &Config, source: &SourceConfig, after: &str) -> Result<(), ConfigError> {
    let wrong = |message: String| ConfigError::new("answer.after", message);
    match config.destinations.get(after) {
        Some(found) if found.rule.workspace != source.rule.workspace => Err(wrong(format!(
            "the destination {after:?} is in workspace {:?}, and this source in {:?}",
            &*found.rule.workspace, &*source.rule.workspace
        ))
        .hint("name a destination of the source's own workspace")),
        Some(_) => Ok(()),
        None => {
            let names: Vec<&str> = config.destinations.keys().map(|name| &**name).collect();
            Err(wrong(format!("there is no destination {after:?}")).hint(one_of(after, &names)))
        }
    }
}

/// The sources of the events API.
pub fn senders(config: &Config) -> anyhow::Result<Vec<Sender>> {
    let senders = config.sources.iter().filter(|(_, source)| source.kind == EVENTS);
    let all: Vec<Sender> = senders
        .map(|(name, source)| {
            sender(config, name, source).map_err(|error| config.error_in("source", name, error).into())
        })
        .collect::<anyhow::Result<_>>()?;
    match events::same_token(&all) {
        Some((name, error)) => Err(config.error_in("source", &name, error).into()),
        None => Ok(all),
    }
}

fn sender(config: &Config, name: &Name, source: &SourceConfig) -> Result<Sender, ConfigError> {
    let keys = events::Config::parse(&source.table)?;
    Sender::new(Name::clone(name), &keys, &config.dir)
}

/// A digest of a source's configuration, to compare it with the one that a running hub has read.
pub fn digest_of(source: &SourceConfig) -> String {
    let table = source.table.to_string();
    let pieces = [&*source.kind, &*source.rule.workspace, &*table].map(str::as_bytes);
    data_encoding::HEXLOWER.encode(&digest(&pieces))
}

/// The digests of all sources.
pub fn digests(config: &Config) -> BTreeMap<String, String> {
    let each = |(name, source): (&Name, &SourceConfig)| (name.to_string(), digest_of(source));
    config.sources.iter().map(each).collect()
}

/// All errors for which a start would refuse the sources, and secrets or files that are only missing on this machine
/// (`ConfigError::absent`).
pub fn refusals(config: &Config, clock: &Arc<dyn Clock>) -> Vec<FileError> {
    let mut errors = Vec::new();
    let (mut listeners, mut senders) = (Vec::new(), Vec::new());
    for (name, source) in &config.sources {
        let mut refuse = |error| errors.push(config.error_in("source", name, error));
        match source.kind.as_str() {
            LISTENER => match listener(config, name, source) {
                Ok(made) => listeners.push(made),
                Err(error) => refuse(error),
            },
            EVENTS => match sender(config, name, source) {
                Ok(made) => senders.push(made),
                Err(error) => refuse(error),
            },
            _ => drop(fetcher(config, name, source, clock).map_err(&mut refuse)),
        }
        drop(decoder(config, name, source).map_err(&mut refuse));
    }
    let same = ingest::same_token(&listeners).or_else(|| events::same_token(&senders));
    let mixed = namespaces::refusal(config);
    errors.extend(
        same.into_iter()
            .chain(mixed)
            .map(|(name, error)| config.error_in("source", &name, error)),
    );
    errors
}

/// Sets up one source as a start would, reading its secrets and keystores. Returns the source if it fetches messages, so
/// that the caller can check the connection.
pub fn prove(
    config: &Config,
    name: &Name,
    source: &SourceConfig,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Box<dyn Source>>, ConfigError> {
    decoder(config, name, source)?;
    if source.kind == LISTENER {
        listener(config, name, source)?;
    }
    if source.kind == EVENTS {
        sender(config, name, source)?;
    }
    fetcher(config, name, source, clock)
}
