//! The triggers of an event: what changed about a contact, as automations see it.

use serde_json::Value;

use super::{
    ConsentTrigger, Pattern, Scoring, Trigger,
    lead::Reached,
    synced::{GroupRow, rows},
};
use crate::{
    consent::{ConsentFact, ConsentState, EMAIL, Terms, What},
    contact::{Contact, LIST, TAG, is_internal},
    event::{Due, Engagement, EngagementKind, Event, EventKind},
    id::Name,
};
use jiff::Timestamp;

#[derive(Debug, Clone, PartialEq)]
pub enum Cause {
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
        /// Whether it is about the address itself, rather than something that the person said on a form.
        is_of_address: bool,
    },
    ConsentChanged {
        purpose: String,
        to: ConsentState,
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
        /// The numbers of the first and last new click, for a link whose clicks a platform counts; else 1 and
        /// 1.
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
    /// This automation is due by its schedule.
    Clock {
        automation: Name,
    },
}

/// The state after an event was taken in.
#[derive(Clone, Copy)]
pub struct AfterEvent<'a> {
    pub event: &'a Event,
    pub before: Option<&'a Contact>,
    pub after: &'a Contact,
    /// The consent facts that are new.
    pub facts: &'a [ConsentFact],
    /// The engagements that are new, each with the numbers of its first and last new click.
    pub engaged: &'a [(&'a Engagement, (i64, i64))],
    /// Whether the action is seen for the first time.
    pub is_action: bool,
    /// Whether the contact is known for the first time, by more than a browser.
    pub is_created: bool,
    /// Whether a platform's contact may trigger automations by the fact that it was sent.
    pub is_sync: bool,
    pub terms: &'a Terms,
    /// `None` if no trigger uses points or statuses.
    pub scoring: Option<&'a Scoring>,
}

/// Compares the contact before and after the event.
pub fn causes(seen: &AfterEvent<'_>) -> Vec<Cause> {
    let AfterEvent { event, after, .. } = *seen;
    let mut all = Vec::new();
    if let Some(action) = event
        .action
        .as_ref()
        .filter(|_| seen.is_action && event.kind == EventKind::Action)
    {
        all.push(Cause::Action {
            action_type: action.action_type.clone(),
        });
    }
    if seen.is_created {
        all.push(Cause::ContactCreated);
    }
    let nobody = Contact::default();
    let before = seen.before.unwrap_or(&nobody);
    let changes = changes(before, after);
    let consent = consent_changes(before, after, seen.terms);
    if seen.before.is_some() && !seen.is_created && !(changes.is_empty() && consent.is_empty()) {
        all.push(Cause::ContactUpdated);
    }
    all.extend(changes);
    all.extend(
        seen.facts
            .iter()
            .filter_map(|fact| email_status(fact, before, seen.terms)),
    );
    all.extend(consent);
    all.extend(seen.engaged.iter().map(|(engagement, clicks)| Cause::Engaged {
        kind: engagement.kind,
        key: engagement.key.clone(),
        name: engagement.name.clone(),
        at: engagement.at,
        clicks: *clicks,
    }));
    if seen.is_sync && event.kind == EventKind::ContactSync {
        all.push(Cause::Synced { rows: rows(event) });
    }
    all.extend(
        seen.scoring
            .and_then(|scoring| score(scoring.reached(before), scoring.reached(after))),
    );
    if let Some((automation, Due::Clock)) = event.follow_up.as_ref().and_then(|row| row.automation.as_ref()) {
        all.push(Cause::Clock {
            automation: automation.clone(),
        });
    }
    all
}

/// Fields, tags and lists whose value changed.
fn changes(before: &Contact, after: &Contact) -> Vec<Cause> {
    let mut all = Vec::new();
    for (name, field) in &after.fields {
        if !before.has_other_value(name, &field.value) {
            continue;
        }
        all.extend(change(name, &field.value));
    }
    all
}

/// A change of the score or the status, counted as the scoring's owner does.
pub(super) fn score(before: Reached, after: Reached) -> Option<Cause> {
    (before != after).then_some(Cause::Score {
        before: before.points,
        after: after.points,
        status_before: before.status,
        status_after: after.status,
    })
}

/// The email status that this fact brings, if it differs from the one before. A fact from a form counts only
/// for triggers that name it.
fn email_status(fact: &ConsentFact, before: &Contact, terms: &Terms) -> Option<Cause> {
    if fact.purpose != EMAIL {
        return None;
    }
    let consent_state = before.consent_state_at(EMAIL, fact.address.as_deref(), terms);
    let is_known = match consent_state {
        ConsentState::DoubleOptedIn { .. } => fact.what.is_click(),
        ConsentState::OptedIn { .. } => fact.what == What::OptIn,
        ConsentState::Pending { .. } => fact.what == What::OptInPending,
        ConsentState::NotSubscribed => matches!(fact.what, What::Declined | What::NotAsked),
        ConsentState::Unsubscribed { .. } => fact.what == What::Unsubscribed,
        ConsentState::Suppressed { why, .. } => fact.what.as_str() == why.as_str(),
        ConsentState::Unknown => false,
    };
    (!is_known).then(|| Cause::EmailStatus {
        what: fact.what.as_str(),
        is_of_address: is_email_status(&fact.what),
    })
}

/// Whether the fact is about the address itself: it was confirmed, or must not be used any more.
pub(crate) fn is_email_status(what: &What) -> bool {
    what.is_click() || what.is_opt_out() || what.is_suppression()
}

/// The trigger for this new value of the field.
pub(super) fn change(name: &str, value: &Value) -> Option<Cause> {
    let is_on = *value == Value::Bool(true);
    if let Some(tag) = name.strip_prefix(TAG).filter(|_| is_on) {
        return Some(Cause::TagAdded { tag: tag.to_owned() });
    }
    if let Some(list) = name.strip_prefix(LIST).filter(|_| is_on) {
        return Some(Cause::ListJoined {
            list: list.to_owned(),
        });
    }
    // Removing a tag, or setting it to false, counts as a change of its field. Other internal fields have no
    // trigger.
    let is_trigger = name.starts_with(TAG) || !is_internal(name);
    is_trigger.then(|| Cause::FieldChanged {
        field: name.to_owned(),
    })
}

fn consent_changes(before: &Contact, after: &Contact, terms: &Terms) -> Vec<Cause> {
    let consent_state = |contact: &Contact, purpose: &str| contact.consent_state(purpose, terms);
    after
        .consent
        .keys()
        .filter_map(|purpose| {
            let to = consent_state(after, purpose);
            let is_other = to.as_str() != consent_state(before, purpose).as_str();
            is_other.then(|| Cause::ConsentChanged {
                purpose: purpose.clone(),
                to,
            })
        })
        .collect()
}

impl Cause {
    /// Whether it triggers an automation with this name and trigger.
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
