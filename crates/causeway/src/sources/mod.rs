//! The sources of a configuration: all kinds in one list, and what the hub makes of them: those that fetch messages
//! (`causeway-connect`), those that receive them on our listener or events API, and the decoders of all.

mod by_hand;
mod namespaces;

use std::{collections::BTreeMap, sync::Arc};

use causeway_connect::{
    config::{ConfigError, Context},
    source::{Entry, Kind, proca},
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
        details::Answerer,
        events::{self, Sender},
        ingest::{self, Listener},
        intake::same_token,
    },
};

/// All kinds, sorted by name.
#[rustfmt::skip]
pub const KINDS: &[Kind] = &[
    events::KIND,
    ingest::KIND,
    proca::KIND,
];

/// Finds a kind by name.
pub fn kind(name: &str) -> Result<&'static Kind, ConfigError> {
    KINDS.iter().find(|kind| kind.name == name).ok_or_else(|| {
        let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        let error = ConfigError::new("kind", format!("there is no source of kind {name:?}"));
        error.hint(one_of(name, &names))
    })
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
        vault: causeway_connect::vault::NoVault::shared(),
    };
    (source.kind.decoder)(&context, &source.table)
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
        vault: causeway_connect::vault::NoVault::shared(),
    };
    match source.kind.entry {
        Entry::Fetched(connect) => connect(&context, &source.table).map(Some),
        Entry::Listener | Entry::Events => Ok(None),
    }
}

/// The sources that receive their messages on our listener.
pub fn listeners(config: &Config) -> anyhow::Result<Vec<Listener>> {
    let listening = config
        .sources
        .iter()
        .filter(|(_, source)| matches!(source.kind.entry, Entry::Listener));
    let all: Vec<Listener> = listening
        .map(|(name, source)| {
            listener(config, name, source).map_err(|error| config.error_in("source", name, error).into())
        })
        .collect::<anyhow::Result<_>>()?;
    match same_token(&all) {
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
    let senders = config
        .sources
        .iter()
        .filter(|(_, source)| matches!(source.kind.entry, Entry::Events));
    let all: Vec<Sender> = senders
        .map(|(name, source)| {
            sender(config, name, source).map_err(|error| config.error_in("source", name, error).into())
        })
        .collect::<anyhow::Result<_>>()?;
    match same_token(&all) {
        Some((name, error)) => Err(config.error_in("source", &name, error).into()),
        None => Ok(all),
    }
}

fn sender(config: &Config, name: &Name, source: &SourceConfig) -> Result<Sender, ConfigError> {
    let keys = events::Config::parse(&source.table)?;
    Sender::new(Name::clone(name), &keys, &config.dir)
}

/// The sources that answer Proca's questions about people. Reads the passwords.
pub fn answerers(config: &Config) -> anyhow::Result<Vec<Answerer>> {
    let mut all = Vec::new();
    for (name, source) in &config.sources {
        let made = answerer(config, name, source).map_err(|error| config.error_in("source", name, error))?;
        all.extend(made);
    }
    Ok(all)
}

fn answerer(config: &Config, name: &Name, source: &SourceConfig) -> Result<Option<Answerer>, ConfigError> {
    if source.kind.name != proca::KIND.name {
        return Ok(None);
    }
    let keys = proca::Config::parse(&source.table)?;
    let Some(details) = &keys.details else {
        return Ok(None);
    };
    let workspace = Name::clone(&source.rule.workspace);
    Answerer::new(Name::clone(name), workspace, &keys, details, &config.dir).map(Some)
}

/// A digest of a source's configuration, to compare it with the one that a running hub has read.
pub fn digest_of(source: &SourceConfig) -> String {
    let table = source.table.to_string();
    let pieces = [source.kind.name, &*source.rule.workspace, &*table].map(str::as_bytes);
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
        match source.kind.entry {
            Entry::Listener => match listener(config, name, source) {
                Ok(made) => listeners.push(made),
                Err(error) => refuse(error),
            },
            Entry::Events => match sender(config, name, source) {
                Ok(made) => senders.push(made),
                Err(error) => refuse(error),
            },
            Entry::Fetched(_) => {
                drop(fetcher(config, name, source, clock).map_err(&mut refuse));
                drop(answerer(config, name, source).map_err(&mut refuse));
            }
        }
        drop(decoder(config, name, source).map_err(&mut refuse));
    }
    let same = same_token(&listeners).or_else(|| same_token(&senders));
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
    match source.kind.entry {
        Entry::Listener => drop(listener(config, name, source)?),
        Entry::Events => drop(sender(config, name, source)?),
        Entry::Fetched(_) => drop(answerer(config, name, source)?),
    }
    fetcher(config, name, source, clock)
}
