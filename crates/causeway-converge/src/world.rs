//! What one history is about: organisations on one hub, their sources and destinations, and what is sent.

use crate::message::{Message, Seconds};

/// Every history has this many configurations; the hub is restarted between them.
pub const EPOCHS: usize = 3;

#[derive(Debug, Clone)]
pub struct History {
    pub seed: u64,
    pub spaces: Vec<Space>,
    /// In the order in which they are sent; epochs never fall.
    pub messages: Vec<Message>,
}

/// One organisation, in a workspace of its own.
#[derive(Debug, Clone)]
pub struct Space {
    pub sources: Vec<Source>,
    pub destinations: Vec<Destination>,
    /// `own_orgs` of each epoch.
    pub own_orgs: [Vec<Org>; EPOCHS],
}

/// An organisation at Proca, before it is given the number that is unique in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Org {
    /// The organisation that runs the workspace.
    Ours,
    /// A second organisation that is ours too, whether or not the configuration says so yet.
    Sister,
    Partner,
}

#[derive(Debug, Clone)]
pub struct Source {
    /// Unique in the workspace.
    pub name: &'static str,
    pub kind: SourceKind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum SourceKind {
    /// The "Sync to Third Party" action of a platform.
    Sync {
        /// The field `Newsletter date` says since when the field `Newsletter` holds.
        has_date: bool,
        /// Arriving means having agreed.
        is_opt_in: bool,
    },
    /// An own form, preset `generic`.
    Form {
        /// The field with the consent.
        field: &'static str,
        /// The field `when` dates the message.
        has_time: bool,
    },
    /// A form that anybody can fill in for anybody. It says nothing about consent.
    Open,
    Proca {
        server: Server,
        over: Over,
        /// What suffices to be mailed.
        policy: Enough,
        purpose: &'static str,
        /// The source compares with the server's API.
        has_api: bool,
    },
    Events,
    /// A generic listener that only ever gets imports.
    Office {
        has_date: bool,
    },
}

/// The namespaces of ids.
impl SourceKind {
    pub fn namespace(&self) -> &'static str {
        match self {
            Self::Sync { .. } => "platform",
            Self::Form { .. } => "member",
            Self::Open => "open",
            Self::Proca { server, .. } => server.namespace(),
            Self::Events => "site",
            Self::Office { .. } => "office",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Live,
    Staging,
}

impl Server {
    pub fn namespace(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Staging => "staging",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    Http,
    Queue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enough {
    Form,
    Click,
}

#[derive(Debug, Clone)]
pub struct Destination {
    pub kind: DestinationKind,
    pub purpose: &'static str,
    /// `None` while the configuration does not have it.
    pub settings: [Option<Settings>; EPOCHS],
    pub order: Order,
}

/// What the configuration says in one epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub name: String,
    pub policy: Policy,
    pub filter: Filter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Default,
    None,
    Coalesce,
    EscapeEarly,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DestinationKind {
    Hook(Hook),
    /// JSON lines with `email` and `change`, or CSV with the default columns.
    File {
        is_csv: bool,
    },
    Table {
        server: Database,
        is_strict: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// The whole record as JSON.
    Whole,
    /// `email` and `change` as JSON.
    Json,
    Form,
    /// Shortcodes in the address.
    Get,
    /// The groups of a platform's sync, and `change`.
    Groups,
    /// Values that cannot be worked out for everybody.
    Fragile,
    /// Only the address: it takes every call for a subscription.
    Mute,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    Postgres,
    MariaDb,
    Sqlite,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    All,
    WithConsent,
    OptIn,
    DoubleOptIn,
}

impl Policy {
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::WithConsent => "with_consent",
            Self::OptIn => "opt_in",
            Self::DoubleOptIn => "double_opt_in",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    None,
    Campaigns(Vec<&'static str>),
    ActionTypes(Vec<&'static str>),
    Sources(Vec<&'static str>),
}

impl Destination {
    /// Values that a stranger may send can keep an ordinary delivery from being made.
    pub fn is_fragile(&self) -> bool {
        match self.kind {
            DestinationKind::Hook(hook) => hook == Hook::Fragile,
            DestinationKind::File { .. } => false,
            DestinationKind::Table { .. } => true,
        }
    }

    /// Ordinary deliveries may fail for anybody.
    pub fn is_strict(&self) -> bool {
        matches!(self.kind, DestinationKind::Table { is_strict: true, .. })
    }

    pub fn is_mute(&self) -> bool {
        self.kind == DestinationKind::Hook(Hook::Mute)
    }
}

/// Seconds from the start of a run to the moment `5 min` after an opt-out until which a click does not undo it.
pub const SCANNER_WINDOW: Seconds = 300;
