//! Subscription types, and the statuses of addresses.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    HubSpot,
    answer::{Failure, text_of, time},
    property::{Property, Type, is_address},
};

const LEGAL_BASES: [&str; 7] = [
    "CONSENT_WITH_NOTICE",
    "LEGITIMATE_INTEREST_CLIENT",
    "LEGITIMATE_INTEREST_OTHER",
    "LEGITIMATE_INTEREST_PQL",
    "NON_GDPR",
    "PERFORMANCE_OF_CONTRACT",
    "PROCESS_AND_STORE",
];

/// The status of an address for a subscription type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    NotSpecified,
    Subscribed,
    Unsubscribed,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::NotSpecified => "NOT_SPECIFIED",
            Self::Subscribed => "SUBSCRIBED",
            Self::Unsubscribed => "UNSUBSCRIBED",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let all = [Self::NotSpecified, Self::Subscribed, Self::Unsubscribed];
        all.into_iter().find(|state| state.name() == name)
    }
}

/// A subscription type.
#[derive(Debug, Clone)]
pub struct Definition {
    pub name: String,
    pub is_active: bool,
    pub created: Timestamp,
}

#[derive(Debug, Clone)]
pub struct Status {
    pub state: State,
    pub legal_basis: Option<String>,
    pub explanation: Option<String>,
    /// Who set it, as HubSpot names it.
    pub source: String,
    pub at: Timestamp,
}

#[derive(Debug, Default)]
pub struct Subscriptions {
    pub definitions: BTreeMap<u64, Definition>,
    /// Address → number of the type → status.
    pub statuses: BTreeMap<String, BTreeMap<u64, Status>>,
    /// Addresses that opted out of everything, and when.
    pub opted_out: BTreeMap<String, Timestamp>,
}

impl Subscriptions {
    pub fn state(&self, address: &str, id: u64) -> State {
        if self.opted_out.contains_key(address) {
            return State::Unsubscribed;
        }
        let status = self.statuses.get(address).and_then(|statuses| statuses.get(&id));
        status.map_or(State::NotSpecified, |status| status.state)
    }

    /// The contact's read-only properties that are true because of opt-outs.
    pub(super) fn properties(&self, address: &str) -> BTreeSet<String> {
        let all = self
            .opted_out
            .contains_key(address)
            .then(|| "hs_email_optout".to_owned());
        let ids = self.definitions.keys();
        let ids = ids.filter(|id| self.state(address, **id) == State::Unsubscribed);
        ids.map(|id| format!("hs_email_optout_{id}")).chain(all).collect()
    }

    pub(super) fn definitions_json(&self) -> Vec<Value> {
        let all = self.definitions.iter();
        all.map(|(id, definition)| {
            json!({
                "id": id.to_string(), "name": definition.name, "description": definition.name,
                "purpose": "Marketing", "communicationMethod": "Email", "isActive": definition.is_active,
                "isDefault": false, "isInternal": false, "createdAt": time(definition.created),
                "updatedAt": time(definition.created),
            })
        })
        .collect()
    }

    /// The statuses of an address, one for each type; those that were never set are `NOT_SPECIFIED`.
    pub(super) fn statuses_json(&self, address: &str, now: Timestamp) -> Vec<Value> {
        let ids = self.definitions.keys();
        ids.map(|id| self.status_json(address, *id, None, now)).collect()
    }

    pub(super) fn status_json(&self, address: &str, id: u64, reason: Option<&str>, now: Timestamp) -> Value {
        let status = self.statuses.get(address).and_then(|statuses| statuses.get(&id));
        let name = self.definitions.get(&id).map(|definition| &definition.name);
        let mut body = json!({
            "subscriberIdString": address, "subscriptionId": id, "subscriptionName": name, "channel": "EMAIL",
            "status": self.state(address, id).name(),
            "source": status.map_or("", |status| status.source.as_str()),
            "timestamp": time(status.map_or(now, |status| status.at)),
        });
        if let Some(status) = status {
            if let Some(basis) = &status.legal_basis {
                body["legalBasis"] = basis.as_str().into();
            }
            if let Some(explanation) = &status.explanation {
                body["legalBasisExplanation"] = explanation.as_str().into();
            }
        }
        if let Some(reason) = reason {
            body["setStatusSuccessReason"] = reason.into();
        }
        body
    }

    pub(super) fn wide_json(&self, address: &str, now: Timestamp) -> Value {
        let at = self.opted_out.get(address);
        let state = if at.is_some() {
            State::Unsubscribed
        } else {
            State::NotSpecified
        };
        json!({
            "subscriberIdString": address, "channel": "EMAIL", "wideStatusType": "PORTAL_WIDE",
            "status": state.name(), "timestamp": time(*at.unwrap_or(&now)),
        })
    }
}

/// A change of one status, read from a request.
pub(super) struct Change {
    pub address: String,
    pub id: u64,
    pub state: State,
    legal_basis: Option<String>,
    explanation: Option<String>,
}

impl HubSpot {
    /// Creates a subscription type, with the contact property that mirrors opt-outs of it.
    pub fn add_subscription(&mut self, id: u64, name: &str) {
        let definition = Definition {
            name: name.to_owned(),
            is_active: true,
            created: self.clock.now(),
        };
        self.subscriptions.definitions.insert(id, definition);
        let mirror = Property::new(&format!("hs_email_optout_{id}"), Type::Bool);
        self.contacts.properties.add_own(mirror.read_only());
    }

    /// Sets a status as if a person had done it in HubSpot.
    pub fn set_status(&mut self, address: &str, id: u64, state: State) {
        let change = Change {
            address: address.to_lowercase(),
            id,
            state,
            legal_basis: None,
            explanation: None,
        };
        self.apply(&change, "SUBSCRIPTION_PREFERENCES_PAGE");
    }

    /// Checks a request's change of one status. In accounts with data privacy settings a legal basis is needed.
    pub(super) fn change(&self, address: &str, state: State, body: &Value) -> Result<Change, Failure> {
        let address = checked_address(address)?;
        let id = text_of(&body["subscriptionId"])?;
        let known = id.parse().ok();
        let known = known.filter(|id| self.subscriptions.definitions.contains_key(id));
        let Some(number) = known else {
            let message = format!("Subscription {id} does not exist");
            return Err(Failure::invalid(&message).context("subscriptionId", &[&id]));
        };
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        let (legal_basis, explanation) = (text("legalBasis"), text("legalBasisExplanation"));
        if let Some(basis) = &legal_basis
            && !LEGAL_BASES.contains(&basis.as_str())
        {
            let message = format!("Invalid input JSON on line 1, column 2: legalBasis {basis} is unknown");
            return Err(Failure::invalid(&message));
        }
        let has_both = legal_basis.is_some() && explanation.as_ref().is_some_and(|text| !text.is_empty());
        if self.account.has_data_privacy && state == State::Subscribed && !has_both {
            let message =
                "legalBasis and legalBasisExplanation are required in accounts with data privacy settings";
            return Err(Failure::invalid(message));
        }
        Ok(Change {
            address,
            id: number,
            state,
            legal_basis,
            explanation,
        })
    }

    /// Carries out a change. Returns the value of `setStatusSuccessReason`.
    pub(super) fn apply(&mut self, change: &Change, source: &str) -> &'static str {
        let now = self.clock.now();
        let before = self.subscriptions.state(&change.address, change.id);
        let reason = match (before, change.state) {
            (before, wanted) if before == wanted => return "NO_STATUS_CHANGE",
            (State::Unsubscribed, State::Subscribed) => "RESUBSCRIBE_OCCURRED",
            _ => "REQUESTED_CHANGE_OCCURRED",
        };
        if self.subscriptions.opted_out.remove(&change.address).is_some() {
            // The opt-out of everything ends, and remains one of each other type.
            self.unsubscribe_each(&change.address, source);
        }
        let status = Status {
            state: change.state,
            legal_basis: change.legal_basis.clone(),
            explanation: change.explanation.clone(),
            source: source.to_owned(),
            at: now,
        };
        let statuses = self
            .subscriptions
            .statuses
            .entry(change.address.clone())
            .or_default();
        statuses.insert(change.id, status);
        self.mirror(&change.address);
        reason
    }

    pub(super) fn unsubscribe_all(&mut self, address: &str, source: &str) {
        let now = self.clock.now();
        self.subscriptions
            .opted_out
            .entry(address.to_owned())
            .or_insert(now);
        self.unsubscribe_each(address, source);
        self.mirror(address);
    }

    fn unsubscribe_each(&mut self, address: &str, source: &str) {
        let at = self.clock.now();
        let statuses = self.subscriptions.statuses.entry(address.to_owned()).or_default();
        for id in self.subscriptions.definitions.keys() {
            let status = statuses.entry(*id).or_insert_with(|| Status {
                state: State::NotSpecified,
                legal_basis: None,
                explanation: None,
                source: source.to_owned(),
                at,
            });
            if status.state != State::Unsubscribed {
                (status.state, status.at) = (State::Unsubscribed, at);
                source.clone_into(&mut status.source);
            }
        }
    }

    fn mirror(&mut self, address: &str) {
        let properties = self.subscriptions.properties(address);
        self.contacts.opted_out.insert(address.to_owned(), properties);
    }
}

pub(super) fn checked_address(address: &str) -> Result<String, Failure> {
    let address = address.trim().to_lowercase();
    if is_address(&address) {
        return Ok(address);
    }
    let message = format!("Email address {address} is invalid");
    Err(Failure::invalid(&message).context("subscriberIdString", &[&address]))
}

pub(super) fn checked_state(body: &Value) -> Result<State, Failure> {
    if body["channel"] != "EMAIL" {
        return Err(Failure::invalid(
            "Invalid input JSON on line 1, column 2: channel must be EMAIL",
        ));
    }
    let state = text_of(&body["statusState"])?;
    let known = State::parse(&state);
    known.ok_or_else(|| {
        Failure::invalid(&format!(
            "Invalid input JSON on line 1, column 2: statusState {state} is unknown"
        ))
    })
}
