//! Destinations: one file each, and one line in [`KINDS`].

use std::{future::Future, path::Path, pin::Pin, sync::Arc, time::Duration};

use causeway_core::{
    clock::Clock,
    consent::Change,
    delivery::Delivery,
    destination::{CheckError, Destination},
    mapping::{ConsentShown, Tables},
    search::PersonSearch,
};

use crate::{
    config::{ConfigError, Context},
    connector::{self, Connector},
    http::Client,
    oauth::SignIn,
};

pub use crate::connector::Unsent;

pub mod actionnetwork;
pub mod activecampaign;
pub mod brevo;
pub mod civicrm;
pub mod cleverreach;
mod columns;
pub mod command;
pub mod engagingnetworks;
pub mod facts;
pub mod fields;
pub mod file;
pub mod google;
pub mod hubspot;
pub mod listmonk;
pub mod mailchimp;
pub mod mailjet;
pub mod mautic;
pub mod meta;
pub mod null;
pub mod proca;
pub mod salesforce;
pub mod sql;
pub mod supabase;
pub mod vbout;
pub mod webhook;

/// A kind of destination. `destination kinds`, `destination sample`, the documentation and the console are
/// made from it.
pub struct Kind {
    /// The value in `kind = "…"`.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// A complete `[destination.NAME]` table in TOML, with unit and default of each key in a comment.
    pub sample: &'static str,
    /// The kind's own keys.
    pub schema: fn() -> schemars::Schema,
    /// The changes of consent that it can receive. Other changes are skipped with that reason.
    pub supported_changes: &'static [Change],
    /// Default number of concurrent calls of `deliver`.
    pub concurrency: u32,
    /// Default number of deliveries per call of `deliver`.
    pub batch: u32,
    /// Reads the kind's own keys without I/O, for `config check`.
    pub parse: fn(&Tables, &toml::Table) -> Result<Needs, ConfigError>,
    /// Makes the destination. Opens no connection; reads secrets.
    pub connect: Connect,
    /// The exact requests (or rows, or lines) that `deliver` would send, as text with secrets masked. It
    /// has no client to send with. Returns one text per delivery; an `Err` text is the reason for which
    /// `deliver` would reject it.
    pub preview: Preview,
    /// How a person signs in at the vendor (`causeway connect NAME`); `None` if nobody has to.
    pub sign_in: Option<SignInOf>,
    /// Creates what is missing at the destination (`causeway destination create NAME`); `None` if it cannot
    /// create anything.
    pub create: Option<Create>,
    /// What two destinations of the kind must not share; `None` = they may share everything.
    pub exclusive: Option<Exclusive>,
    /// What stands for a secret `url` where no secrets are read (`causeway test`); `HOST` is replaced.
    pub dummy_url: &'static str,
    /// Where earlier deliveries still name an erased person, found without a connection; `None` if only the
    /// receiver knows.
    pub remains: Option<Remains>,
}

/// What a destination's own keys mean for the rest of the program.
#[derive(Debug, Default)]
pub struct Needs {
    /// Its records must hold the contact's engagements ([`causeway_core::rules::DestinationRule::history`]).
    pub history: bool,
    /// The purposes for which its records can express an opt-out. For any other purpose an opt-out would look
    /// like ordinary data.
    pub consent_shown: ConsentShown,
    /// What `config check` reports if it cannot express an opt-out.
    pub shows_no_consent: &'static str,
    /// It deletes the data of an erased contact, even if its records cannot express that
    /// ([`causeway_core::rules::DestinationRule::deletes_on_erasure`]).
    pub deletes_on_erasure: bool,
    /// Settings that are valid but probably unintended, for `config check`.
    pub warnings: Vec<String>,
    /// How many requests a batch takes, if that depends on its size.
    pub effort: Option<Effort>,
    /// What its own keys mean for the number of deliveries per call.
    pub batch: Option<BatchNeed>,
    /// It is sent only actions that wait for a confirmation
    /// ([`causeway_core::rules::Takes::Confirmations`]).
    pub confirms: bool,
}

/// A key that takes effect in large batches only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchNeed {
    pub key: &'static str,
    /// The default of `batch` is twice as many.
    pub more_than: u32,
}

/// The requests that a call of `deliver` makes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effort {
    /// Requests for each delivery.
    pub requests: u32,
    /// Requests at the same time.
    pub at_once: usize,
    /// One request is about the whole batch.
    pub in_one_request: bool,
    /// Requests that the receiver allows in a period.
    pub limit: Option<(u32, Duration)>,
}

impl Effort {
    /// How long a receiver probably takes for a request.
    const USUAL: Duration = Duration::from_millis(500);

    /// How long a batch probably takes.
    pub fn time(&self, batch: u32) -> Duration {
        if self.in_one_request {
            return Self::USUAL;
        }
        let requests = batch.saturating_mul(self.requests);
        let rounds = requests.div_ceil(u32::try_from(self.at_once).unwrap_or(u32::MAX).max(1));
        let by_limit = self
            .limit
            .map(|(calls, per)| per / calls.max(1) * requests)
            .unwrap_or_default();
        (Self::USUAL * rounds).max(by_limit)
    }
}

/// How a kind creates its tables or the like. It only adds, and never alters or removes anything.
#[derive(Clone, Copy)]
pub struct Create {
    /// The statements that would be run, without a connection.
    pub statements: fn(&Context, &toml::Table) -> Result<Vec<String>, ConfigError>,
    pub run: fn(&Context, &toml::Table) -> Result<CreateFuture, ConfigError>,
}

/// Completes when everything exists; a second run changes nothing.
pub type CreateFuture = Pin<Box<dyn Future<Output = Result<(), CheckError>> + Send>>;

pub type Connect = fn(&Context, &toml::Table) -> Result<Box<dyn Destination>, ConfigError>;
pub type SignInOf = fn(&Context, &toml::Table) -> Result<(SignIn, Client), ConfigError>;
/// The resource of a destination whose relative paths start at the folder.
pub type Exclusive = fn(&Path, &toml::Table) -> Option<Resource>;
/// One sentence for each place.
pub type Remains = fn(&Context, &toml::Table, &PersonSearch) -> Result<Vec<String>, ConfigError>;
/// Notes come after the text, see [`with_notes`].
pub type Preview =
    fn(&Context, &toml::Table, &[Delivery]) -> Result<Vec<Result<String, Unsent>>, ConfigError>;

/// Something that only one destination may use, such as a file that it writes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// The configuration key that names it.
    pub key: &'static str,
    /// One word for people: `file`.
    pub what: &'static str,
    /// Equal for the same resource.
    pub id: String,
}

const NOTE: &str = "\n\n-- ";

/// A preview, followed by notes for a person.
pub(crate) fn with_notes(mut text: String, notes: impl IntoIterator<Item = String>) -> String {
    for note in notes {
        text.push_str(NOTE);
        text.push_str(&note.replace('\n', " "));
    }
    text
}

/// What a connector would send, for [`Kind::preview`].
pub(crate) fn previews<C: Connector>(
    connector: &C,
    batch: &[Delivery],
    clock: &Arc<dyn Clock>,
) -> Vec<Result<String, Unsent>> {
    let previews = connector::preview(connector, batch, clock).into_iter();
    let with = |(text, notes)| with_notes(text, notes);
    previews.map(|preview| preview.map(with)).collect()
}

/// The preview without its notes.
pub fn without_notes(mut text: &str) -> &str {
    while let Some((before, last)) = text.rsplit_once(NOTE)
        && !last.contains('\n')
    {
        text = before;
    }
    text
}

/// All kinds, sorted by name.
#[rustfmt::skip]
pub const KINDS: &[Kind] = &[
    actionnetwork::KIND,
    activecampaign::KIND,
    brevo::KIND,
    civicrm::KIND,
    cleverreach::KIND,
    command::KIND,
    engagingnetworks::KIND,
    file::KIND,
    google::KIND,
    hubspot::KIND,
    listmonk::KIND,
    mailchimp::KIND,
    mailjet::KIND,
    mautic::KIND,
    meta::KIND,
    null::KIND,
    proca::KIND,
    salesforce::KIND,
    sql::KIND,
    supabase::KIND,
    vbout::KIND,
    webhook::KIND,
];

/// Finds a kind by name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// The example of docs/adding-a-destination.md.
#[cfg(test)]
#[path = "tests/acme.rs"]
mod acme;
#[cfg(test)]
mod tests;
