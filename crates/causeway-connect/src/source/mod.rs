//! What a kind of source is, and the kinds whose messages the hub fetches. (The kinds whose messages are posted
//! to the hub are in the program's `web`; its `sources` lists all kinds.)

use std::{collections::BTreeSet, sync::Arc};

use causeway_core::{event::Decode, id::Name, source::Source};

use crate::config::{ConfigError, Context};

mod consent_from;
pub mod proca;
pub mod reconcile;

pub use consent_from::{ConsentFrom, at_format, checked_purpose, purposes, rules as consent_rules};

/// A kind of source. The command line, the documentation and the console are made from it.
#[derive(Debug)]
pub struct Kind {
    /// The value in `kind = "…"`.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// A complete `[source.NAME]` table in TOML, with unit and default of each key in a comment.
    pub sample: &'static str,
    /// The kind's own keys.
    pub schema: fn() -> schemars::Schema,
    /// Reads the own keys of the source with this name, without I/O.
    pub parse: fn(&str, &toml::Table) -> Result<Ours, ConfigError>,
    /// Makes the decoder for the source's messages. Reads key files, so it is made again when they have
    /// changed.
    pub decoder: MakeDecoder,
    pub entry: Entry,
}

/// How the messages of a source come to the hub.
#[derive(Debug, Clone, Copy)]
pub enum Entry {
    /// The hub fetches them. The function makes the source; it reads secrets and opens no connection.
    Fetched(Connect),
    /// They are posted to a URL of the source's own.
    Listener,
    /// They are posted to the events API.
    Events,
}

/// What the rules must know about a source ([`causeway_core::rules::SourceRule`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ours {
    /// The system that the ids come from.
    pub namespace: Name,
    /// Ids of the own organisations, in this namespace.
    pub own_orgs: BTreeSet<String>,
    /// The organisation that the queue belongs to.
    pub queue_org: Option<String>,
    /// The purposes of the consent from this source.
    pub purposes: BTreeSet<String>,
}

pub type MakeDecoder = fn(&Context, &toml::Table) -> Result<Arc<dyn Decode>, ConfigError>;
pub type Connect = fn(&Context, &toml::Table) -> Result<Box<dyn Source>, ConfigError>;
