//! Sources that we go and fetch from, one folder or file each and one line in [`KINDS`]. (What is sent to us comes
//! in through the program's HTTP listener.)

use std::{collections::BTreeSet, sync::Arc};

use causeway_core::{event::Decode, id::Name, source::Source};

use crate::config::{ConfigError, Context};

pub mod amqp;
mod consent_from;
pub mod reconcile;

pub use consent_from::{ConsentFrom, at_format, checked_purpose, purposes, rules as consent_rules};

/// A kind of source: what the command line, the documentation and the console are made from.
pub struct Kind {
    /// As in `kind = "…"`.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// A complete `[source.NAME]` table in TOML, each key with unit and default in a comment.
    pub sample: &'static str,
    /// The kind's own keys.
    pub schema: fn() -> schemars::Schema,
    /// Reads the kind's own keys without any I/O: what `config check` does.
    pub parse: fn(&toml::Table) -> Result<Ours, ConfigError>,
    /// Makes the source. Opens no connection; reads secrets.
    pub connect: Connect,
    /// Makes the decoder of what the source brings. Reads key files: made anew when they have changed.
    pub decoder: MakeDecoder,
}

/// What the rules ask about a source ([`causeway_core::rules::SourceRule`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ours {
    /// Which system the ids are from.
    pub namespace: Name,
    /// Ids of the organisations that are us, in this namespace.
    pub own_orgs: BTreeSet<String>,
    /// The organisation whose queue it is.
    pub queue_org: Option<String>,
    /// What the consent from here is for.
    pub purposes: BTreeSet<String>,
}

pub type MakeDecoder = fn(&Context, &toml::Table) -> Result<Arc<dyn Decode>, ConfigError>;
pub type Connect = fn(&Context, &toml::Table) -> Result<Box<dyn Source>, ConfigError>;

/// All of them, sorted by name.
#[rustfmt::skip]
pub const KINDS: &[Kind] = &[
    amqp::KIND,
];

/// Finds a kind by name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}
