//! Sources that the hub reads from: one folder or file each, and one line in [`KINDS`]. (Messages that are
//! sent to the hub come in through the program's HTTP listener.)

use std::{collections::BTreeSet, sync::Arc};

use causeway_core::{event::Decode, id::Name, source::Source};

use crate::config::{ConfigError, Context};

pub mod amqp;
mod consent_from;
pub mod reconcile;

pub use consent_from::{ConsentFrom, at_format, checked_purpose, purposes, rules as consent_rules};

/// A kind of source. The command line, the documentation and the console are made from it.
pub struct Kind {
    /// The value in `kind = "…"`.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// A complete `[source.NAME]` table in TOML, with unit and default of each key in a comment.
    pub sample: &'static str,
    /// The kind's own keys.
    pub schema: fn() -> schemars::Schema,
    /// Reads the kind's own keys without I/O, for `config check`.
    pub parse: fn(&toml::Table) -> Result<Ours, ConfigError>,
    /// Makes the source. Opens no connection; reads secrets.
    pub connect: Connect,
    /// Makes the decoder for the source's messages. Reads key files, so it is made again when they have
    /// changed.
    pub decoder: MakeDecoder,
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

/// All kinds, sorted by name.
#[rustfmt::skip]
pub const KINDS: &[Kind] = &[
    amqp::KIND,
];

/// Finds a kind by name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}
