//! A history: organisations on one hub, their sources, destinations and messages.

use crate::message::{Message, Seconds};

/// The number of configurations of a history; the hub is restarted between them.
pub const EPOCHS: usize = 3;

#[derive(Debug, Clone)]
pub struct History {
    pub seed: u64,
    pub spaces: Vec<Space>,
    /// The messages in the order of sending; their epochs are ascending.
    pub messages: Vec<Message>,
}

/// An organisation in its own workspace.
#[derive(Debug, Clone)]
pub struct Space {
    pub sources: Vec<Source>,
    pub destinations: Vec<Destination>,
    /// `own_orgs` of each epoch.
    pub own_orgs: [Vec<Org>; EPOCHS],
}

/// An organisation at Proca; a run gives it a unique number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Org {
    /// The organisation that runs the workspace.
    Ours,
    /// A second own organisation, even while the configuration does not contain it.
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
        /// The field `Newsletter date` has the date of the field `Newsletter`.
        has_date: bool,
        /// Every arriving contact is an opt-in.
        is_opt_in: bool,
    },
    /// An own form, preset `generic`.
    Form {
        /// The field with the consent.
        field: &'static str,
        /// The field `when` has the date of the message.
        has_time: bool,
    },
    /// A form that anybody can fill in for anybody, without a statement about consent.
    Open,
    Proca {
        server: Server,
        over: Over,
        /// What makes an opt-in valid.
        policy: Enough,
        purpose: &'static str,
        /// Whether the source compares with the server's API.
        has_api: bool,
    },
    Events,
    /// A generic listener that gets only imports.
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

/// The configuration of one epoch.
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
    Vendor(Vendor),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    /// With a property that refuses some values.
    HubSpot,
    Mailchimp,
    Meta,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// The whole record as JSON.
    Whole,
    /// `email` and `change` as JSON.
    Json,
    Form,
    /// Shortcodes in the URL.
    Get,
    /// The groups of a platform's sync, and `change`.
    Groups,
    /// Expressions that fail for some people.
    Fragile,
    /// Only the address: every call is a subscription.
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
    /// Whether values from strangers can prevent the request of an ordinary delivery.
    pub fn is_fragile(&self) -> bool {
        match self.kind {
            DestinationKind::Hook(hook) => hook == Hook::Fragile,
            DestinationKind::Vendor(vendor) => vendor == Vendor::HubSpot,
            DestinationKind::File { .. } => false,
            DestinationKind::Table { .. } => true,
        }
    }

    /// Whether ordinary deliveries may fail for any person.
    pub fn is_strict(&self) -> bool {
        matches!(self.kind, DestinationKind::Table { is_strict: true, .. })
    }

    pub fn is_mute(&self) -> bool {
        self.kind == DestinationKind::Hook(Hook::Mute)
    }
}

/// Seconds from the start of a run to five minutes after an opt-out: until then a click does not undo it.
pub const SCANNER_WINDOW: Seconds = 300;
