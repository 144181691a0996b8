//! The record: what a destination is given, and what mappings read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    consent::{Change, ConsentState},
    contact::{Contact, Identity, is_internal},
    delivery_kind::Kind,
    event::{Action, Campaign, Engagement, Organisation, Page},
    id::{InboxId, Name},
    lead::Lead,
};

/// Everything about one event and its contact, as known when the record is sent, not when the delivery was
/// planned: a retry never carries stale data.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub workspace: Name,
    pub source: Name,
    pub inbox_id: InboxId,
    pub kind: Kind,
    /// `action`, `email_status`, `contact_sync`
    pub event: String,
    pub event_at: Timestamp,
    pub contact: Contact,
    pub identities: Vec<Identity>,
    pub action: Option<Action>,
    pub campaign: Option<Campaign>,
    pub page: Option<Page>,
    /// Purpose → consent state.
    pub consent_state: BTreeMap<String, ConsentState>,
    /// The purpose for which the destination gets consent.
    pub purpose: Name,
    /// What the destination has to do about consent, as one of the words that it accepts.
    pub change: Change,
    /// What the contact did with mails and pages, oldest first. Filled only if the destination asks for it
    /// ([`crate::rules::DestinationRule::history`]).
    pub engagements: Vec<Engagement>,
    /// Values that the configuration and the campaign hold for this destination: list, tag and form numbers
    /// and the like.
    pub settings: Map<String, Value>,
    pub lead: Lead,
    /// The hubs that the message passed through, the first one first.
    pub via: Vec<String>,
}

impl Record {
    /// The address to use: the contact's `email` field, else any e-mail identity.
    pub fn email(&self) -> Option<&str> {
        self.contact.text("email").or_else(|| {
            self.identities.iter().find_map(|identity| match identity {
                Identity::Email { address } => Some(address.as_str()),
                _ => None,
            })
        })
    }

    pub fn consent_state_for(&self, purpose: &str) -> ConsentState {
        self.consent_state
            .get(purpose)
            .copied()
            .unwrap_or(ConsentState::Unknown)
    }

    /// Whether the record takes consent away and carries little else, so that it must arrive even if some
    /// values cannot be sent. A record of an action is no withdrawal: it carries more, and a person who opted
    /// out also gets a delivery of kind `withdrawal`.
    pub fn is_withdrawal(&self) -> bool {
        match self.kind {
            Kind::Withdrawal => true,
            Kind::Contact => matches!(
                self.change,
                Change::Unsubscribe | Change::Suppress | Change::Remove
            ),
            Kind::Record => self.change == Change::Remove,
        }
    }

    /// The stable JSON form, which destinations without a mapping are sent. Keys without a value are absent,
    /// except the top-level ones, which are null. A field that was cleared is null, too.
    pub fn to_json(&self) -> Value {
        json!({
            "type": self.kind.as_str(),
            "change": self.change.as_str(),
            "event": self.event,
            "at": self.event_at.to_string(),
            "workspace": &*self.workspace,
            "source": &*self.source,
            "reference": self.inbox_id.to_string(),
            "contact": self.contact_json(),
            "consent": self.consent_json(),
            "action": self.action_json(),
            "campaign": self.campaign_json(),
            "page": self.page_json(),
        })
    }

    pub(crate) fn contact_json(&self) -> Map<String, Value> {
        let mut contact: Map<String, Value> = self
            .contact
            .fields
            .iter()
            .filter(|(name, _)| !is_internal(name))
            .map(|(name, field)| (name.clone(), field.value.clone()))
            .collect();
        let mut shadowed = Map::new();
        for (name, members) in [
            ("tags", self.contact.tags().collect::<Vec<_>>()),
            ("lists", self.contact.lists().collect()),
        ] {
            // The source's own list is kept in its place if the hub knows of no members.
            if !members.is_empty() || contact.get(name).is_some_and(|sent| !sent.is_array()) {
                let sent = contact.shift_remove(name);
                shadowed.extend(sent.map(|sent| (name.to_owned(), sent)));
            }
            if !members.is_empty() {
                contact.insert(name.to_owned(), members.into());
            }
        }
        let sent = contact.shift_remove("ids");
        shadowed.extend(sent.map(|sent| ("ids".to_owned(), sent)));
        if let Some(email) = self.email() {
            contact.insert("email".to_owned(), email.into());
        }
        for identity in &self.identities {
            match identity {
                Identity::Email { .. } => {}
                Identity::ContactRef { reference, .. } => {
                    contact.insert("contactRef".to_owned(), reference.as_str().into());
                }
                Identity::ForeignId { namespace, id } => {
                    let ids = contact.entry("ids").or_insert_with(|| json!({}));
                    if let Some(ids) = ids.as_object_mut() {
                        ids.insert(namespace.to_string(), id.as_str().into());
                    }
                }
            }
        }
        if !shadowed.is_empty() {
            // Mappings find the shadowed values under `fields`.
            let fields = contact.entry("fields").or_insert_with(|| json!({}));
            if let Some(fields) = fields.as_object_mut() {
                fields.extend(shadowed);
            }
        }
        contact
    }

    pub(crate) fn consent_json(&self) -> Map<String, Value> {
        self.consent_state
            .iter()
            .map(|(purpose, consent_state)| (purpose.clone(), consent_state_json(*consent_state)))
            .collect()
    }

    pub(crate) fn action_json(&self) -> Option<Value> {
        self.action.as_ref().map(action_json)
    }

    pub(crate) fn campaign_json(&self) -> Option<Value> {
        self.campaign.as_ref().map(campaign_json)
    }

    pub(crate) fn page_json(&self) -> Option<Value> {
        self.page.as_ref().map(page_json)
    }
}

pub(crate) fn consent_state_json(consent_state: ConsentState) -> Value {
    let mut entry = json!({ "state": consent_state.as_str(), "subscribed": consent_state.is_subscribed() });
    put(
        &mut entry,
        "since",
        consent_state.since().map(|since| since.to_string().into()),
    );
    if let ConsentState::Suppressed { why, .. } = consent_state {
        put(&mut entry, "why", Some(why.as_str().into()));
    }
    entry
}

fn action_json(action: &Action) -> Value {
    let mut out = json!({
        "id": action.external_id,
        "type": action.action_type,
        "createdAt": action.created_at.to_string(),
        "withConsent": action.with_consent,
        "testing": action.testing,
        "fields": action.custom_fields,
    });
    put(&mut out, "dupeRank", action.dupe_rank.map(Value::from));
    put(&mut out, "donation", action.donation.clone());
    put(&mut out, "tracking", action.tracking.clone());
    out
}

fn campaign_json(campaign: &Campaign) -> Value {
    let mut out = json!({ "id": campaign.external_id, "name": campaign.name });
    put(&mut out, "title", campaign.title.clone().map(Value::from));
    put(&mut out, "externalId", campaign.crm_id.map(Value::from));
    out
}

fn page_json(page: &Page) -> Value {
    let mut out = json!({ "id": page.external_id });
    put(&mut out, "name", page.name.clone().map(Value::from));
    put(&mut out, "locale", page.locale.clone().map(Value::from));
    put(&mut out, "organisation", page.org.as_ref().map(organisation_json));
    out
}

pub(crate) fn organisation_json(org: &Organisation) -> Value {
    let mut out = json!({ "id": org.external_id });
    put(&mut out, "name", org.name.clone().map(Value::from));
    put(&mut out, "title", org.title.clone().map(Value::from));
    out
}

fn put(object: &mut Value, key: &str, value: Option<Value>) {
    if let (Some(object), Some(value)) = (object.as_object_mut(), value) {
        object.insert(key.to_owned(), value);
    }
}
