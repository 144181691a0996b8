//! Definitions and occurrences of custom events.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    HubSpot, PORTAL_ID,
    answer::{Answer, Call, Failure, need_fields, text_of, time},
    batch::inputs,
    property::{Property, Type, is_address, moment},
    record::Values,
};
use crate::fake_api::Reply;

/// Most events of one request.
const MOST: usize = 500;
/// How long an occurrence's `uuid` is remembered.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24 * 365);

#[derive(Debug, Clone)]
pub struct EventDefinition {
    /// `pe<account>_<name>`
    pub full_name: String,
    pub name: String,
    pub label: String,
    pub properties: BTreeMap<String, Property>,
    pub created: Timestamp,
}

/// An occurrence that was accepted.
#[derive(Debug, Clone)]
pub struct Event {
    pub event_name: String,
    pub uuid: Option<String>,
    /// The contact, if there is one.
    pub contact: Option<u64>,
    pub email: Option<String>,
    pub occurred: Timestamp,
    /// Those that the definition has.
    pub properties: Values,
    /// Those that it does not have: HubSpot drops them later.
    pub unknown: BTreeSet<String>,
    pub received: Timestamp,
}

/// Why an occurrence that was answered with 204 is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    UnknownEvent,
    UnknownContact,
    /// One with the same `uuid` came before.
    Duplicate,
}

#[derive(Debug, Default)]
pub struct Events {
    pub definitions: BTreeMap<String, EventDefinition>,
    pub kept: Vec<Event>,
    pub dropped: Vec<(Event, Dropped)>,
}

impl HubSpot {
    /// Below `/events/custom/2026-09`. Only Enterprise accounts have custom events.
    pub(super) fn events(&mut self, rest: &[&str], call: &Call<'_>) -> Answer {
        let scope = if rest.first() == Some(&"send") {
            "analytics.behavioral_events.send"
        } else {
            "behavioral_events.event_definitions.read_write"
        };
        if !self.account.is_enterprise {
            return Err(super::answer::missing_scopes(&[scope]));
        }
        call.need_any(&[scope])?;
        match (call.method, rest) {
            ("POST", ["send"]) => {
                let event = self.read_event(&call.json()?, call.now)?;
                self.accept(event);
                Ok(Reply::status(204))
            }
            ("POST", ["send", "batch"]) => {
                let body = call.json_with(&["inputs"])?;
                let events = inputs(&body, MOST)?
                    .iter()
                    .map(|input| self.read_event(input, call.now));
                let events: Vec<Event> = events.collect::<Result<_, _>>()?;
                for event in events {
                    self.accept(event);
                }
                Ok(Reply::status(204))
            }
            ("POST", ["event-definitions"]) => self.define(&call.json()?, call.now),
            ("GET", ["event-definitions"]) => self.list_definitions(call),
            (method, ["event-definitions", name, rest @ ..]) => {
                let definition = self.events.definitions.get_mut(*name);
                let definition = definition.ok_or_else(|| {
                    let message = format!("Event definition {name} does not exist");
                    Failure::new(404, "OBJECT_NOT_FOUND", &message)
                })?;
                match (method, rest) {
                    ("GET", []) => Ok(Reply::json(200, &definition.json())),
                    ("PATCH", []) => {
                        if let Some(label) = call.json()?["label"].as_str() {
                            label.clone_into(&mut definition.label);
                        }
                        // HubSpot answers a change like a creation.
                        Ok(Reply::json(201, &definition.json()))
                    }
                    ("POST", ["property"]) => {
                        let property = new_property(&call.json()?, call.now)?;
                        let answer = property.json();
                        definition.properties.insert(property.name.clone(), property);
                        Ok(Reply::json(201, &answer))
                    }
                    ("DELETE", []) => {
                        self.events.definitions.remove(*name);
                        Ok(Reply::status(204))
                    }
                    _ => Err(Failure::not_found()),
                }
            }
            _ => Err(Failure::not_found()),
        }
    }

    fn list_definitions(&self, call: &Call<'_>) -> Answer {
        let limit = call.limit(10, 100)?;
        let start: usize = call
            .query("after")
            .and_then(|after| after.parse().ok())
            .unwrap_or(0);
        let wanted = call.query("searchString").unwrap_or_default();
        let all = self.events.definitions.values();
        let all: Vec<&EventDefinition> = all
            .filter(|definition| definition.name.contains(wanted) || definition.label.contains(wanted))
            .collect();
        let results: Vec<Value> = all.iter().skip(start).take(limit).map(|of| of.json()).collect();
        let mut body = json!({ "total": all.len(), "results": results });
        if start + limit < all.len() {
            body["paging"] = json!({ "next": { "after": (start + limit).to_string() } });
        }
        Ok(Reply::json(200, &body))
    }

    fn define(&mut self, body: &Value, now: Timestamp) -> Answer {
        need_fields(
            body,
            &["label", "includeDefaultProperties", "propertyDefinitions"],
        )?;
        let label = text_of(&body["label"])?;
        let name = body["name"].as_str().map_or_else(|| snake(&label), str::to_owned);
        let full_name = format!("pe{PORTAL_ID}_{name}");
        if self.events.definitions.contains_key(&full_name) {
            let message = format!("An event definition named {name} already exists");
            return Err(Failure::new(409, "OBJECT_ALREADY_EXISTS", &message));
        }
        let mut properties = BTreeMap::new();
        if body["includeDefaultProperties"] == true {
            for name in ["hs_city", "hs_country", "hs_page_url", "hs_title"] {
                properties.insert(name.to_owned(), Property::new(name, Type::String));
            }
        }
        for input in body["propertyDefinitions"].as_array().into_iter().flatten() {
            let property = new_property(input, now)?;
            properties.insert(property.name.clone(), property);
        }
        let definition = EventDefinition {
            full_name: full_name.clone(),
            name,
            label,
            properties,
            created: now,
        };
        let answer = definition.json();
        self.events.definitions.insert(full_name, definition);
        Ok(Reply::json(201, &answer))
    }

    fn read_event(&self, body: &Value, now: Timestamp) -> Result<Event, Failure> {
        need_fields(body, &["eventName", "properties"])?;
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        let (email, id) = (text("email"), text("objectId"));
        if email.is_none() && id.is_none() && body["utk"].is_null() {
            return Err(Failure::invalid("One of email, objectId or utk is required"));
        }
        let occurred = match text("occurredAt") {
            Some(at) => moment(&at).ok_or_else(|| {
                Failure::invalid(&format!(
                    "Invalid input JSON on line 1, column 2: occurredAt {at} is no time"
                ))
            })?,
            None => now,
        };
        let event_name = text_of(&body["eventName"])?;
        let definition = self.events.definitions.get(&event_name);
        let (mut properties, mut unknown) = (Values::new(), BTreeSet::new());
        for (name, value) in body["properties"].as_object().into_iter().flatten() {
            let is_known = definition.is_some_and(|definition| definition.properties.contains_key(name));
            if is_known {
                properties.insert(name.clone(), text_of(value)?);
            } else {
                unknown.insert(name.clone());
            }
        }
        let contact = match &id {
            Some(id) => id.parse().ok().and_then(|id| self.contacts.by_id(id)),
            None => email.as_deref().and_then(|email| self.contacts.by_address(email)),
        };
        Ok(Event {
            event_name,
            uuid: text("uuid"),
            contact: contact.map(|record| record.id),
            email,
            occurred,
            properties,
            unknown,
            received: now,
        })
    }

    fn accept(&mut self, mut event: Event) {
        if let Some(dropped) = self.dropped(&event) {
            self.events.dropped.push((event, dropped));
            return;
        }
        if event.contact.is_none()
            && let Some(email) = &event.email
        {
            // An address without a contact gets one.
            let values = Values::from([("email".to_owned(), email.to_lowercase())]);
            event.contact = self.contacts.create_checked(values, event.received).ok();
        }
        self.events.kept.push(event);
    }

    fn dropped(&self, event: &Event) -> Option<Dropped> {
        if !self.events.definitions.contains_key(&event.event_name) {
            return Some(Dropped::UnknownEvent);
        }
        let has_address = event.email.as_deref().is_some_and(is_address);
        if event.contact.is_none() && !has_address {
            return Some(Dropped::UnknownContact);
        }
        let is_same = |kept: &Event| {
            event.uuid.is_some()
                && kept.uuid == event.uuid
                && event.received.duration_since(kept.received) < REMEMBERED
        };
        self.events.kept.iter().any(is_same).then_some(Dropped::Duplicate)
    }
}

impl EventDefinition {
    fn json(&self) -> Value {
        json!({
            "id": self.full_name, "name": self.name, "fullyQualifiedName": self.full_name, "objectTypeId": "6-1",
            "labels": { "singular": self.label, "plural": self.label }, "primaryObject": "CONTACT",
            "properties": self.properties.values().map(Property::json).collect::<Vec<_>>(), "associations": [],
            "archived": false, "trackingType": "MANUAL", "createdAt": time(self.created),
            "updatedAt": time(self.created),
        })
    }
}

fn new_property(body: &Value, now: Timestamp) -> Result<Property, Failure> {
    need_fields(body, &["label", "type"])?;
    let label = text_of(&body["label"])?;
    let name = body["name"].as_str().map_or_else(|| snake(&label), str::to_owned);
    let of = text_of(&body["type"])?;
    let Some(of) = Type::parse(&of) else {
        return Err(Failure::invalid(&format!(
            "Invalid input JSON: type {of} is unknown"
        )));
    };
    Ok(Property {
        label,
        created: now,
        ..Property::new(&name, of)
    })
}

fn snake(label: &str) -> String {
    label
        .to_lowercase()
        .replace(|character: char| !character.is_ascii_alphanumeric(), "_")
}
