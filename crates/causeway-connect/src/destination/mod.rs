//! Destinations. One file each, and one line in [`KINDS`].

use std::{future::Future, pin::Pin};

use causeway_core::{
    consent::Change,
    delivery::Delivery,
    destination::{CheckError, Destination},
    mapping::{Tables, Tells},
    search::PersonSearch,
};

use crate::config::{ConfigError, Context};

pub mod fields;
pub mod file;
pub mod null;
pub mod sql;
pub mod webhook;

/// A kind of destination: what `destination kinds`, `destination sample`, the documentation and the console are made from.
pub struct Kind {
    /// As in `kind = "…"`.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// A complete `[destination.NAME]` table in TOML, each key with unit and default in a comment.
    pub sample: &'static str,
    /// The kind's own keys.
    pub schema: fn() -> schemars::Schema,
    /// The consent changes that it can receive. Others are skipped with that reason.
    pub expresses: &'static [Change],
    /// Deliveries sent at once (concurrent calls of `deliver`) unless the configuration says otherwise.
    pub concurrency: u32,
    /// Deliveries per call of `deliver` unless the configuration says otherwise.
    pub batch: u32,
    /// Reads the kind's own keys without any I/O: what `config check` does.
    pub parse: fn(&Tables, &toml::Table) -> Result<Needs, ConfigError>,
    /// Makes the destination. Opens no connection; reads secrets.
    pub connect: Connect,
    /// The exact requests (or rows, or lines) that `deliver` would send, as text with secrets masked. Has no
    /// client to send with. One text per delivery; an `Err` text is the reason for which `deliver` would reject it.
    pub preview: Preview,
    /// Creates what is missing at the destination (`causeway destination create NAME`); `None` if there is nothing to
    /// create.
    pub create: Option<Create>,
    /// Where an erased person still stands in what was delivered, found without any connection; `None` where only the
    /// receiver knows.
    pub remains: Option<Remains>,
}

/// What a destination's own keys turned out to mean for the rest of the program.
#[derive(Debug, Default)]
pub struct Needs {
    /// Its records have to carry the contact's engagements ([`causeway_core::rules::DestinationRule::history`]).
    pub history: bool,
    /// For other purposes its payload cannot show an opt-out: the record would look like any other.
    pub tells: Tells,
    /// What `config check` says where that is so.
    pub mute: &'static str,
    /// It deletes what it has of an erased contact, whatever its records can say
    /// ([`causeway_core::rules::DestinationRule::removes`]).
    pub removes: bool,
    /// What is legal and probably not meant, for `config check`.
    pub warnings: Vec<String>,
}

/// How a kind makes what it delivers into. Only adds: never alters or removes anything.
#[derive(Clone, Copy)]
pub struct Create {
    /// What would be run, without any connection.
    pub statements: fn(&Context, &toml::Table) -> Result<Vec<String>, ConfigError>,
    pub run: fn(&Context, &toml::Table) -> Result<CreateFuture, ConfigError>,
}

/// Ends when everything is there; a second run changes nothing.
pub type CreateFuture = Pin<Box<dyn Future<Output = Result<(), CheckError>> + Send>>;

pub type Connect = fn(&Context, &toml::Table) -> Result<Box<dyn Destination>, ConfigError>;
/// One sentence for each place.
pub type Remains = fn(&Context, &toml::Table, &PersonSearch) -> Result<Vec<String>, ConfigError>;
/// Notes stand behind the text, see [`with_notes`].
pub type Preview =
    fn(&Context, &toml::Table, &[Delivery]) -> Result<Vec<Result<String, String>>, ConfigError>;

const NOTE: &str = "\n\n-- ";

/// A preview, and behind it what a person should know of it.
pub(crate) fn with_notes(mut text: String, notes: impl IntoIterator<Item = String>) -> String {
    for note in notes {
        text.push_str(NOTE);
        text.push_str(&note.replace('\n', " "));
    }
    text
}

/// A preview as it would be sent.
pub fn without_notes(mut text: &str) -> &str {
    while let Some((before, last)) = text.rsplit_once(NOTE)
        && !last.contains('\n')
    {
        text = before;
    }
    text
}

/// All of them, sorted by name.
#[rustfmt::skip]
pub const KINDS: &[Kind] = &[
    file::KIND,
    null::KIND,
    sql::KIND,
    webhook::KIND,
];

/// Finds a kind by name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

#[cfg(test)]
mod tests;
