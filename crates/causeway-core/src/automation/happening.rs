//! What an event makes happen to a contact, as automations see it.

use serde_json::Value;

use super::{ConsentTrigger, Pattern, Trigger};
use crate::{
    consent::{ConsentFact, Standing, Terms},
    contact::{Contact, LIST, TAG, is_internal},
    event::{Due, Engagement, EngagementKind, Event, EventKind},
    id::Name,
};

#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    Action {
        action_type: String,
    },
    ContactCreated,
    ContactUpdated,
    FieldChanged {
        field: String,
    },
    EmailStatus {
        what: &'static str,
    },
    ConsentChanged {
        purpose: String,
        to: Standing,
    },
    ListJoined {
        list: String,
    },
    TagAdded {
        tag: String,
    },
    Engaged {
        kind: EngagementKind,
        key: String,
        name: Option<String>,
    },
    Score {
        before: f64,
        after: f64,
        status_before: Option<String>,
        status_after: Option<String>,
    },
    /// The clock said that it is this automation's turn.
    Clock {
        automation: Name,
    },
}

/// Compares the contact before and after. `facts` are the consent facts that are new, `engaged` the engagements that
/// are; `is_action` = its action is seen for the first time.
pub fn happenings(
    event: &Event,
    before: Option<&Contact>,
    after: &Contact,
    facts: &[ConsentFact],
    engaged: &[&Engagement],
    is_action: bool,
    terms: &Terms,
) -> Vec<Happening> {
    let mut all = Vec::new();
    if let Some(action) = event
        .action
        .as_ref()
        .filter(|_| is_action && event.kind == EventKind::Action)
    {
        all.push(Happening::Action {
            action_type: action.action_type.clone(),
        });
    }
    if before.is_none() {
        all.push(Happening::ContactCreated);
    }
    let nobody = Contact::default();
    let changes = changes(before.unwrap_or(&nobody), after);
    let consent = consent_changes(before.unwrap_or(&nobody), after, terms);
    if before.is_some() && !(changes.is_empty() && consent.is_empty()) {
        all.push(Happening::ContactUpdated);
    }
    all.extend(changes);
    all.extend(facts.iter().map(|fact| Happening::EmailStatus {
        what: fact.what.as_str(),
    }));
    all.extend(consent);
    all.extend(engaged.iter().map(|engagement| Happening::Engaged {
        kind: engagement.kind,
        key: engagement.key.clone(),
        name: engagement.name.clone(),
    }));
    if let Some((automation, Due::Clock)) = event.follow_up.as_ref().and_then(|row| row.automation.as_ref()) {
        all.push(Happening::Clock {
            automation: automation.clone(),
        });
    }
    all
}

/// Fields, tags and lists whose value is another now.
fn changes(before: &Contact, after: &Contact) -> Vec<Happening> {
    let mut all = Vec::new();
    for (name, field) in &after.fields {
        if before
            .fields
            .get(name)
            .is_some_and(|known| known.value == field.value)
        {
            continue;
        }
        all.extend(change(name, &field.value));
    }
    all
}

/// What it means that a field has this value now.
pub(super) fn change(name: &str, value: &Value) -> Option<Happening> {
    let is_on = *value == Value::Bool(true);
    if let Some(tag) = name.strip_prefix(TAG).filter(|_| is_on) {
        return Some(Happening::TagAdded { tag: tag.to_owned() });
    }
    if let Some(list) = name.strip_prefix(LIST).filter(|_| is_on) {
        return Some(Happening::ListJoined {
            list: list.to_owned(),
        });
    }
    // A tag taken off, or never on: somebody may ask for the change of the field.
    let is_told = name.starts_with(TAG) || !is_internal(name);
    is_told.then(|| Happening::FieldChanged {
        field: name.to_owned(),
    })
}

fn consent_changes(before: &Contact, after: &Contact, terms: &Terms) -> Vec<Happening> {
    let standing = |contact: &Contact, purpose: &str| contact.standing(purpose, terms);
    after
        .consent
        .keys()
        .filter_map(|purpose| {
            let to = standing(after, purpose);
            let is_other = to.as_str() != standing(before, purpose).as_str();
            is_other.then(|| Happening::ConsentChanged {
                purpose: purpose.clone(),
                to,
            })
        })
        .collect()
}

impl Happening {
    /// Whether it starts an automation with this trigger.
    pub(super) fn is(&self, trigger: &Trigger, automation: &str) -> bool {
        match (trigger, self) {
            (Trigger::Action(types), Self::Action { action_type }) => {
                types.as_ref().is_none_or(|types| types.contains(action_type))
            }
            (Trigger::ContactCreated, Self::ContactCreated)
            | (Trigger::ContactUpdated, Self::ContactUpdated) => true,
            (Trigger::FieldChanged(wanted), Self::FieldChanged { field }) => wanted == field,
            (Trigger::EmailStatus(wanted), Self::EmailStatus { what }) => {
                wanted.as_ref().is_none_or(|wanted| wanted.contains(*what))
            }
            (
                Trigger::ConsentChanged(ConsentTrigger { purpose, to: wanted }),
                Self::ConsentChanged { purpose: changed, to },
            ) => {
                purpose.as_ref().is_none_or(|purpose| purpose == changed)
                    && wanted.as_ref().is_none_or(|wanted| wanted.contains(to.as_str()))
            }
            (Trigger::ListJoined(wanted), Self::ListJoined { list: name })
            | (Trigger::TagAdded(wanted), Self::TagAdded { tag: name }) => {
                wanted.as_ref().is_none_or(|wanted| wanted == name)
            }
            (Trigger::Engaged(wanted, pattern), Self::Engaged { kind, key, name }) => {
                let fits = |pattern: &Pattern| {
                    pattern.matches(key) || name.as_ref().is_some_and(|name| pattern.matches(name))
                };
                wanted == kind && pattern.as_ref().is_none_or(fits)
            }
            (Trigger::ScoreReached(points), Self::Score { before, after, .. }) => {
                before < points && points <= after
            }
            (
                Trigger::StatusReached(wanted),
                Self::Score {
                    status_before,
                    status_after,
                    ..
                },
            ) => status_after.as_ref() == Some(wanted) && status_before != status_after,
            (Trigger::DateReached(_) | Trigger::Schedule(_), Self::Clock { automation: due }) => {
                &**due == automation
            }
            _ => false,
        }
    }
}
