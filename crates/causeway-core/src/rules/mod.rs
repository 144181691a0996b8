//! The parts of the configuration that the rules need: sources, destinations and workspaces.

use std::collections::{BTreeMap, BTreeSet};
use std::{sync::Arc, time::Duration};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    after_erasure::AfterErasure,
    automation::{Automation, Index, Owner, Scoring},
    consent::{CHANGES, CLICK_GRACE, Change, ConsentState, EMAIL, Policy},
    delivery::Kind,
    event::{Action, Campaign, Event, EventKind},
    id::Name,
    shared_address::AddressPatterns,
};

/// The workspace of everything for which the configuration names none.
pub const DEFAULT_WORKSPACE: &str = "default";

#[derive(Debug, Clone)]
pub struct Rules {
    pub sources: BTreeMap<Name, SourceRule>,
    pub destinations: BTreeMap<Name, Arc<DestinationRule>>,
    /// The rules of each workspace.
    pub workspaces: BTreeMap<Name, WorkspaceRule>,
    /// The name of this hub among others. A message that already passed through it is not delivered again.
    pub hub: Name,
    /// See [`crate::consent::Terms::click_grace`].
    pub click_grace: Duration,
    /// Addresses that several people may use, or that belong to nobody. They never merge two contacts.
    pub shared_addresses: AddressPatterns,
    pub after_erasure: AfterErasure,
    /// Names of the contact fields that hold several values. They are lists, even if a single value arrives.
    pub multi_value_fields: BTreeSet<String>,
}

/// Automations and scoring of one workspace.
#[derive(Debug, Clone)]
pub struct WorkspaceRule {
    /// In the order of the configuration. The scoring rules are among them.
    pub(crate) automations: Vec<Arc<Automation>>,
    pub(crate) index: Index,
    pub scoring: Scoring,
    /// Whether an engagement can trigger any of them.
    pub listens_to_engagements: bool,
    /// Whether a platform's contact as such can trigger any of them.
    pub(crate) listens_to_syncs: bool,
    /// Whether any of them reads the contact's earlier engagements.
    pub asks_for_history: bool,
}

impl WorkspaceRule {
    pub fn new(automations: Vec<Arc<Automation>>, scoring: Scoring) -> Self {
        let any = |test: fn(&Automation) -> bool| automations.iter().any(|automation| test(automation));
        Self {
            listens_to_engagements: any(Automation::listens_to_engagements),
            listens_to_syncs: any(Automation::listens_to_syncs),
            asks_for_history: any(Automation::asks_for_history),
            index: Index::of(&automations),
            automations,
            scoring,
        }
    }
}

impl Default for WorkspaceRule {
    fn default() -> Self {
        NO_RULE.clone()
    }
}

static NO_RULE: WorkspaceRule = WorkspaceRule {
    automations: Vec::new(),
    index: Index::new(),
    scoring: Scoring {
        owner: Owner::Platform,
        statuses: Vec::new(),
    },
    listens_to_engagements: false,
    listens_to_syncs: false,
    asks_for_history: false,
};

#[derive(Debug, Clone)]
pub struct SourceRule {
    pub name: Name,
    pub workspace: Name,
    /// Ids of our own organisations, in this source's namespace.
    pub own_orgs: BTreeSet<String>,
    /// See [`Event::namespace`].
    pub namespace: Name,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of the configuration, true or false there, too"
)]
#[derive(Debug, Clone)]
pub struct DestinationRule {
    pub name: Name,
    /// The destination's former name. What it was given under that name counts as its own, and idempotency
    /// keys stay the same.
    pub renamed_from: Option<Name>,
    pub workspace: Name,
    pub policy: Policy,
    /// The purpose whose consent the policy checks.
    pub purpose: Name,
    /// The destination receives test actions, and only those.
    pub sandbox: bool,
    /// After this many failed attempts of a delivery, the next delivery of the same contact may pass it.
    /// Whatever this value is, two deliveries of one contact are never in flight together.
    pub escape_after: u32,
    /// Only the newest of several waiting deliveries of one contact is sent: for destinations that keep
    /// contacts, not actions.
    pub coalesce: bool,
    pub filter: Filter,
    /// The changes of consent that the destination can receive.
    pub supported_changes: Vec<Change>,
    /// The destination deletes the data of an erased contact, even if its records cannot show an opt-out.
    pub deletes_on_erasure: bool,
    /// Its records contain the contact's engagements.
    pub history: bool,
    pub settings: Settings,
    /// Which of the events that pass `filter` it is sent.
    pub takes: Takes,
}

/// Values for a destination's mapping that differ between campaigns: list, tag and form numbers and the like.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    pub defaults: Map<String, Value>,
    /// Campaign name → the values that differ from the defaults.
    pub campaigns: BTreeMap<String, Map<String, Value>>,
}

impl Settings {
    /// The settings for an event of this campaign. The configuration's values for the campaign override those
    /// in the campaign's own config (`component.sync`), which override the defaults.
    pub fn for_campaign(&self, campaign: Option<&Campaign>) -> Map<String, Value> {
        let mut settings = self.defaults.clone();
        let Some(campaign) = campaign else {
            return settings;
        };
        let own = campaign
            .config
            .as_ref()
            .and_then(|config| config.pointer("/component/sync"))
            .and_then(Value::as_object);
        let configured = self.campaigns.get(&campaign.name);
        for (name, value) in own.into_iter().chain(configured).flatten() {
            settings.insert(name.clone(), value.clone());
        }
        settings
    }
}

/// Which events are routed to a destination; `None` = all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub sources: Option<BTreeSet<String>>,
    /// Campaign names.
    pub campaigns: Option<BTreeSet<String>>,
    pub action_types: Option<BTreeSet<String>>,
    /// Excludes actions without the form with the contact's data, such as shares.
    pub forms_only: bool,
}

impl DestinationRule {
    /// A rule with the same defaults as the configuration.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            renamed_from: None,
            workspace: DEFAULT_WORKSPACE.into(),
            policy: Policy::default(),
            purpose: EMAIL.into(),
            sandbox: false,
            escape_after: 5,
            coalesce: false,
            filter: Filter::default(),
            supported_changes: CHANGES.to_vec(),
            deletes_on_erasure: false,
            history: false,
            settings: Settings::default(),
            takes: Takes::All,
        }
    }
}

/// Which events a destination is sent. Independent of this, automations send to the destinations that they
/// name, and withdrawals are always sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Takes {
    /// Each action, each contact that a platform sends, and every other event that says something new about
    /// the person. A platform's contact is sent even if it says nothing new, because the fact that it came
    /// may matter.
    #[default]
    All,
    /// As `All`, but a platform's contact only if it says something new, or if the destination never received
    /// the contact.
    Changes,
    /// Only what automations send.
    Automations,
    /// Only actions that wait for a confirmation. The destination is the system that they came from, so it is
    /// given nobody, and needs no withdrawals.
    Confirmations,
}

/// The properties of a message that filters look at.
#[derive(Debug, Clone, Copy)]
pub struct Route<'a> {
    pub source: &'a str,
    /// The campaign's name.
    pub campaign: Option<&'a str>,
    pub action_type: Option<&'a str>,
    pub event: &'a str,
}

impl<'a> Route<'a> {
    pub fn new(source: &'a str, event: &'a Event) -> Self {
        Self {
            source,
            campaign: event.campaign.as_ref().map(|campaign| campaign.name.as_str()),
            action_type: event.action.as_ref().map(|action| action.action_type.as_str()),
            event: event.kind.as_str(),
        }
    }
}

/// The key of the filter that excludes a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Miss<'a> {
    pub key: FilterKey,
    pub wanted: &'a BTreeSet<String>,
    /// The value that the message has instead.
    pub found: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FilterKey {
    Sources,
    Campaigns,
    ActionTypes,
}

impl Filter {
    pub fn matches(&self, source: &str, event: &Event) -> bool {
        self.miss(Route::new(source, event)).is_none() && self.takes_action(event.action.as_ref())
    }

    /// A message that is no action passes.
    pub fn takes_action(&self, action: Option<&Action>) -> bool {
        !self.forms_only || action.is_none_or(|action| action.with_consent)
    }

    /// The first key that excludes the message. `action_types` applies to actions only: a change of a
    /// contact's consent or address is no action, and passes.
    pub fn miss<'a>(&'a self, route: Route<'a>) -> Option<Miss<'a>> {
        let action_types = self
            .action_types
            .as_ref()
            .filter(|_| route.event != EventKind::EmailStatus.as_str());
        [
            (FilterKey::Sources, self.sources.as_ref(), Some(route.source)),
            (FilterKey::Campaigns, self.campaigns.as_ref(), route.campaign),
            (FilterKey::ActionTypes, action_types, route.action_type),
        ]
        .into_iter()
        .find_map(|(key, wanted, found)| {
            let wanted = wanted?;
            let passes = found.is_some_and(|found| wanted.contains(found));
            (!passes).then_some(Miss { key, wanted, found })
        })
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            sources: BTreeMap::new(),
            destinations: BTreeMap::new(),
            workspaces: BTreeMap::new(),
            hub: "".into(),
            click_grace: CLICK_GRACE,
            shared_addresses: AddressPatterns::default(),
            after_erasure: AfterErasure::default(),
            multi_value_fields: BTreeSet::new(),
        }
    }
}

impl Rules {
    /// Automations and scoring of a workspace. Its sandbox has the same.
    pub fn of_workspace(&self, workspace: &str) -> &WorkspaceRule {
        let workspace = workspace.strip_suffix(SANDBOX).unwrap_or(workspace);
        self.workspaces.get(workspace).unwrap_or(&NO_RULE)
    }

    /// The workspace of an event of this source. Test actions go to the sandbox, so that they can never touch
    /// data of real people.
    pub fn workspace(&self, source: &str, testing: bool) -> Name {
        let workspace = self
            .sources
            .get(source)
            .map_or_else(|| DEFAULT_WORKSPACE.into(), |rule| rule.workspace.clone());
        if testing {
            sandbox_of(&workspace)
        } else {
            workspace
        }
    }

    /// Whether the organisation is our own, according to the sources of this namespace in this workspace.
    pub fn is_own(&self, workspace: &str, namespace: &str, organisation: &str) -> bool {
        let workspace = without_sandbox(workspace);
        self.sources
            .values()
            .filter(|rule| &*rule.workspace == workspace && &*rule.namespace == namespace)
            .any(|rule| rule.own_orgs.contains(organisation))
    }

    /// Each destination, with the workspace whose contacts it is sent.
    pub fn places(&self) -> Vec<(Name, Name)> {
        self.destinations
            .values()
            .map(|rule| (rule.name.clone(), rule.own_workspace()))
            .collect()
    }

    /// The destinations of a workspace, sorted by name.
    pub fn destinations_of<'a>(
        &'a self,
        workspace: &'a str,
    ) -> impl Iterator<Item = &'a Arc<DestinationRule>> {
        let (workspace, sandbox) = match workspace.strip_suffix(SANDBOX) {
            Some(workspace) => (workspace, true),
            None => (workspace, false),
        };
        self.destinations
            .values()
            .filter(move |rule| &*rule.workspace == workspace && rule.sandbox == sandbox)
    }
}

const SANDBOX: &str = "~sandbox";

/// The sandbox of `workspace`: the workspace for test actions.
pub fn sandbox_of(workspace: &str) -> Name {
    format!("{workspace}{SANDBOX}").into()
}

/// The workspace that a sandbox belongs to; any other workspace itself.
pub fn without_sandbox(workspace: &str) -> &str {
    workspace.strip_suffix(SANDBOX).unwrap_or(workspace)
}

/// Whether a record may be sent now. Checked when the delivery is planned, and again when it is claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    Send,
    Skip { reason: String },
}

impl DestinationRule {
    /// The workspace whose contacts it is sent.
    pub fn own_workspace(&self) -> Name {
        if self.sandbox {
            sandbox_of(&self.workspace)
        } else {
            self.workspace.clone()
        }
    }

    pub fn gate(&self, kind: Kind, consent_state: ConsentState, gave_data: bool) -> Gate {
        let allowed = self.policy.allows(consent_state, gave_data);
        match kind {
            Kind::Record | Kind::Contact if allowed => Gate::Send,
            Kind::Record | Kind::Contact => Gate::Skip {
                reason: format!(
                    "consent: {} is not enough for {}",
                    consent_state.as_str(),
                    self.policy.as_str()
                ),
            },
            Kind::Withdrawal if self.withdraws(consent_state, gave_data) => {
                self.gate_of_withdrawal(Change::of(kind, consent_state))
            }
            Kind::Withdrawal => Gate::Skip {
                reason: "consent was given again, and a later delivery says so".to_owned(),
            },
        }
    }

    /// Whether a destination that has the person must stop using their data. This also holds for
    /// [`Policy::All`], where an opt-out stops no other deliveries.
    pub fn withdraws(&self, consent_state: ConsentState, gave_data: bool) -> bool {
        !consent_state.is_subscribed() || !self.policy.allows(consent_state, gave_data)
    }

    /// Whether the destination cannot receive the change that ends this person's consent.
    pub fn cannot_receive_withdrawal(&self, consent_state: ConsentState) -> bool {
        Change::of(Kind::Withdrawal, consent_state)
            .within(&self.supported_changes)
            .is_none()
    }

    fn gate_of_withdrawal(&self, change: Change) -> Gate {
        if change.within(&self.supported_changes).is_some() {
            return Gate::Send;
        }
        let known: Vec<&str> = self
            .supported_changes
            .iter()
            .map(|change| change.as_str())
            .collect();
        let known = if known.is_empty() {
            "nothing"
        } else {
            &known.join(", ")
        };
        Gate::Skip {
            reason: format!(
                "consent: this destination cannot receive {} (only {known}); update it by hand",
                change.as_str()
            ),
        }
    }

    /// What a delivery asks the destination to do about consent, as a change that it can receive.
    pub fn change(&self, kind: Kind, consent_state: ConsentState) -> Change {
        Change::of(kind, consent_state)
            .within(&self.supported_changes)
            .unwrap_or_default()
    }

    /// The change that asks the destination to erase a person, or a gate that says it cannot receive one.
    pub fn removal(&self) -> Result<Change, Gate> {
        if self.deletes_on_erasure {
            return Ok(Change::Remove);
        }
        match self.gate_of_withdrawal(Change::Remove) {
            Gate::Send => Ok(Change::Remove.within(&self.supported_changes).unwrap_or_default()),
            skip @ Gate::Skip { .. } => Err(skip),
        }
    }
}

#[cfg(test)]
mod tests;
