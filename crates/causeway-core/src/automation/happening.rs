//! What an event makes happen to a contact, as automations see it.

use serde_json::Value;

use super::{
    ConsentTrigger, Pattern, Scoring, Trigger,
    lead::Reached,
    synced::{GroupRow, rows},
};
use crate::{
    consent::{ConsentFact, EMAIL, Standing, Terms, What},
    contact::{Contact, LIST, TAG, is_internal},
    event::{Due, Engagement, EngagementKind, Event, EventKind},
    id::Name,
};
use jiff::Timestamp;

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
        /// Whether it is something that becomes of an address, and not what somebody said.
        is_of_address: bool,
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
        at: Option<Timestamp>,
        /// The first and last number of the new clicks on a link that a platform counts; else 1 and 1.
        clicks: (i64, i64),
    },
    /// A platform sent its contact.
    Synced {
        rows: Vec<GroupRow>,
    },
    Score {
        before: Option<f64>,
        after: Option<f64>,
        status_before: Option<String>,
        status_after: Option<String>,
    },
    /// The clock said that it is this automation's turn.
    Clock {
        automation: Name,
    },
}

/// What is known when an event has been taken in.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    pub event: &'a Event,
    pub before: Option<&'a Contact>,
    pub after: &'a Contact,
    /// Consent facts that are new.
    pub facts: &'a [ConsentFact],
    /// Engagements that are new, each with the numbers of its new clicks.
    pub engaged: &'a [(&'a Engagement, (i64, i64))],
    /// Whether its action is seen for the first time.
    pub is_action: bool,
    /// Whether the contact is known for the first time, by more than a browser.
    pub is_created: bool,
    /// Whether triggers may be started by the fact that a platform sent its contact.
    pub is_sync: bool,
    pub terms: &'a Terms,
    /// `None` where no trigger asks for points or statuses.
    pub scoring: Option<&'a Scoring>,
}

/// Compares the contact before and after.
pub fn happenings(seen: &Seen<'_>) -> Vec<Happening> {
    let Seen { event, after, .. } = *seen;
    let mut all = Vec::new();
    if let Some(action) = event
        .action
        .as_ref()
        .filter(|_| seen.is_action && event.kind == EventKind::Action)
    {
        all.push(Happening::Action {
            action_type: action.action_type.clone(),
        });
    }
    if seen.is_created {
        all.push(Happening::ContactCreated);
    }
    let nobody = Contact::default();
    let before = seen.before.unwrap_or(&nobody);
    let changes = changes(before, after);
    let consent = consent_changes(before, after, seen.terms);
    if seen.before.is_some() && !seen.is_created && !(changes.is_empty() && consent.is_empty()) {
        all.push(Happening::ContactUpdated);
    }
    all.extend(changes);
    all.extend(
        seen.facts
            .iter()
            .filter_map(|fact| email_status(fact, before, seen.terms)),
    );
    all.extend(consent);
    all.extend(
        seen.engaged
            .iter()
            .map(|(engagement, clicks)| Happening::Engaged {
                kind: engagement.kind,
                key: engagement.key.clone(),
                name: engagement.name.clone(),
                at: engagement.at,
                clicks: *clicks,
            }),
    );
    if seen.is_sync && event.kind == EventKind::ContactSync {
        all.push(Happening::Synced { rows: rows(event) });
    }
    all.extend(
        seen.scoring
            .and_then(|scoring| score(scoring.reached(before), scoring.reached(after))),
    );
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
        if !before.has_other_value(name, &field.value) {
            continue;
        }
        all.extend(change(name, &field.value));
    }
    all
}

/// That the score or the status is another now, by the owner's count.
pub(super) fn score(before: Reached, after: Reached) -> Option<Happening> {
    (before != after).then_some(Happening::Score {
        before: before.points,
        after: after.points,
        status_before: before.status,
        status_after: after.status,
    })
}

/// The new state of the address by this fact, if it differs from the one before. What somebody says on a form counts, too, for
/// triggers that name it.
fn email_status(fact: &ConsentFact, before: &Contact, terms: &Terms) -> Option<Happening> {
    if fact.purpose != EMAIL {
        return None;
    }
    let standing = before.standing_at(EMAIL, fact.address.as_deref(), terms);
    let is_known = match standing {
        Standing::DoubleOptedIn { .. } => fact.what.is_click(),
        Standing::OptedIn { .. } => fact.what == What::OptIn,
        Standing::Pending { .. } => fact.what == What::OptInPending,
        Standing::NotSubscribed => matches!(fact.what, What::Declined | What::NotAsked),
        Standing::Unsubscribed { .. } => fact.what == What::Unsubscribed,
        Standing::Suppressed { why, .. } => fact.what.as_str() == why.as_str(),
        Standing::Unknown => false,
    };
    (!is_known).then(|| Happening::EmailStatus {
        what: fact.what.as_str(),
        is_of_address: is_email_status(&fact.what),
    })
}

/// What may become of an address: it was confirmed, or it must not be used any more.
pub(crate) fn is_email_status(what: &What) -> bool {
    what.is_click() || what.is_opt_out() || what.is_suppression()
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
            (Trigger::EmailStatus(wanted), Self::EmailStatus { what, is_of_address }) => match wanted {
                Some(wanted) => wanted.contains(*what),
                None => *is_of_address,
            },
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
            (Trigger::Synced(wanted), Self::Synced { rows }) => {
                wanted.as_ref().is_none_or(|wanted| wanted.fits(rows))
            }
            (Trigger::Engaged(wanted, pattern), Self::Engaged { kind, key, name, .. }) => {
                let fits = |pattern: &Pattern| {
                    pattern.matches(key) || name.as_ref().is_some_and(|name| pattern.matches(name))
                };
                wanted == kind && pattern.as_ref().is_none_or(fits)
            }
            (Trigger::ScoreReached(points), Self::Score { before, after, .. }) => {
                before.is_none_or(|before| before < *points) && after.is_some_and(|after| *points <= after)
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
