//! `/messages/NUMBER`: everything about one message, from its bytes to the responses of the destinations. Masked.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{StatusCode, Uri},
    response::Response,
};
use causeway_core::{
    consent::ConsentFact,
    contact::Identity,
    event::Action,
    explain::Scope,
    id::InboxId,
    rules::Rules,
    store::{AttemptRow, ContactView, DeliveryTrace, StoreError, Trace},
};
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::super::{
    Console, format,
    format::When,
    masking,
    render::{Page, html},
};
use super::{Notice, deliveries, message_automations::Automations, message_words as words, messages, person};

#[derive(Debug, Serialize)]
pub(crate) struct Message {
    row: messages::Row,
    workspace: String,
    duplicate_of: Option<i64>,
    envelope: Option<Envelope>,
    event: Option<String>,
    event_at: Option<When>,
    notes: Vec<String>,
    action: Option<ActionPart>,
    contact: Option<ContactPart>,
    decision: Option<String>,
    ledger: Vec<Fact>,
    automations: Automations,
    /// The message that caused this one, and the messages that this one caused.
    about: Option<i64>,
    follow_ups: Vec<i64>,
    via: Vec<String>,
    deliveries: Vec<Delivery>,
    /// Whether each destination may be sent this message now.
    destinations: Vec<person::Sentence>,
    /// The command that shows the same in a terminal.
    command: String,
}

#[derive(Debug, Serialize)]
struct Envelope {
    content_type: Option<String>,
    method: Option<String>,
    routing_key: Option<String>,
    deaths: Option<u64>,
    key: String,
    query: Option<String>,
    body: String,
}

#[derive(Debug, Serialize)]
struct ActionPart {
    number: String,
    action_type: String,
    created: When,
    with_consent: bool,
    testing: bool,
    /// Masked.
    fields: Option<String>,
}

#[derive(Debug, Serialize)]
struct ContactPart {
    id: i64,
    merged: Vec<i64>,
    /// (Kind of identity, masked value)
    identities: Vec<(String, String)>,
    fields: Vec<(String, String)>,
    standing: Vec<Standing>,
    href: String,
}

#[derive(Debug, Serialize)]
struct Standing {
    purpose: String,
    mark: &'static str,
    words: &'static str,
    since: Option<When>,
}

#[derive(Debug, Serialize)]
struct Fact {
    purpose: String,
    words: &'static str,
    at: When,
    basis: String,
}

#[derive(Debug, Serialize)]
struct Delivery {
    row: deliveries::Row,
    what: String,
    key: String,
    attempts: Vec<Attempt>,
}

#[derive(Debug, Serialize)]
struct Attempt {
    number: u32,
    started: When,
    took: String,
    outcome: String,
    mark: &'static str,
    status: Option<u16>,
    reason: Option<String>,
    /// Masked.
    sent: Option<String>,
    answer: Option<String>,
}

impl Page for Message {
    const TEMPLATE: &'static str = "message.html";
    #[cfg(test)]
    fn samples() -> Vec<Self> {
        use super::super::tests::{now, rules, traces};
        traces()
            .into_iter()
            .map(|(trace, contact)| Self::new(trace, contact, &rules(), now()))
            .collect()
    }
}

impl Message {
    fn new(trace: Trace, contact: Option<ContactView>, rules: &Rules, now: Timestamp) -> Self {
        let id = trace.inbox.id;
        Self {
            destinations: contact.as_ref().map_or_else(Vec::new, |view| {
                person::sentences(view, rules, Scope::Message(id))
            }),
            envelope: trace.envelope.as_ref().map(envelope),
            workspace: trace.workspace.to_string(),
            duplicate_of: trace.duplicate_of.map(|id| id.0),
            event: trace.event.as_deref().map(|event| words::event(event).to_owned()),
            event_at: trace.event_at.map(|at| When::new(at, now)),
            action: trace.action.as_ref().map(|(_, action)| action_part(action, now)),
            contact: contact.map(|view| contact_part(&view, &trace, now)),
            notes: trace.notes,
            decision: trace.decision,
            automations: Automations::new(trace.automations, trace.timers, now),
            about: trace.about.map(|id| id.0),
            follow_ups: trace.follow_ups.iter().map(|id| id.0).collect(),
            via: trace.via,
            ledger: trace.consent.into_iter().map(|entry| fact(entry, now)).collect(),
            deliveries: trace
                .deliveries
                .into_iter()
                .map(|sent| delivery(sent, now))
                .collect(),
            row: messages::Row::new(trace.inbox, now),
            command: format!("causeway trace {id}"),
        }
    }
}

fn envelope(envelope: &causeway_core::envelope::Envelope) -> Envelope {
    let meta = &envelope.meta;
    Envelope {
        content_type: meta.content_type.clone(),
        method: meta.method.clone(),
        routing_key: meta.routing_key.clone(),
        deaths: meta.deaths,
        key: HEXLOWER.encode(&envelope.key()),
        query: meta.query.as_ref().map(|query| masking::form(query.as_bytes())),
        body: masking::body(&envelope.body, meta.content_type.as_deref()),
    }
}

fn action_part(action: &Action, now: Timestamp) -> ActionPart {
    let mut fields = action.custom_fields.clone();
    for (name, value) in [("donation", &action.donation), ("tracking", &action.tracking)] {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value.clone());
        }
    }
    let has_fields = !fields.is_empty();
    ActionPart {
        number: action.external_id.clone(),
        action_type: action.action_type.clone(),
        created: When::new(action.created_at, now),
        with_consent: action.with_consent,
        testing: action.testing,
        fields: has_fields.then(|| masking::pretty(&masking::json(&Value::Object(fields)))),
    }
}

fn contact_part(view: &ContactView, trace: &Trace, now: Timestamp) -> ContactPart {
    let identity = |identity: &Identity| match identity {
        Identity::Email { address } => ("E-mail".to_owned(), masking::text(address)),
        Identity::ContactRef { namespace, reference } => {
            (format!("Reference at {namespace}"), masking::reference(reference))
        }
        Identity::ForeignId { namespace, id } => (format!("Number at {namespace}"), masking::reference(id)),
    };
    let field = |(name, field): (&String, &causeway_core::contact::Field)| {
        let shown = match &field.value {
            Value::String(value) => masking::text(value),
            Value::Null => "(cleared)".to_owned(),
            Value::Bool(value) => value.to_string(),
            value => masking::json(value).to_string().trim_matches('"').to_owned(),
        };
        (masking::key_name(name), shown)
    };
    ContactPart {
        id: view.id.0,
        merged: trace.merged.iter().map(|id| id.0).collect(),
        identities: view.identities.iter().map(identity).collect(),
        fields: view.contact.fields.iter().map(field).collect(),
        standing: view
            .consent_state
            .iter()
            .map(|(purpose, standing)| {
                let (mark, words) = words::standing(*standing);
                let since = standing.since().map(|at| When::new(at, now));
                let purpose = purpose.clone();
                Standing {
                    purpose,
                    mark,
                    words,
                    since,
                }
            })
            .collect(),
        href: format!("/messages?contact={}", view.id),
    }
}

fn fact(fact: ConsentFact, now: Timestamp) -> Fact {
    Fact {
        words: words::fact(&fact.what),
        purpose: fact.purpose,
        at: When::new(fact.at, now),
        basis: fact.basis,
    }
}

fn delivery(sent: DeliveryTrace, now: Timestamp) -> Delivery {
    Delivery {
        what: words::kind(&sent.delivery.kind).to_owned(),
        row: deliveries::Row::new(sent.delivery, now),
        key: sent.key.to_string(),
        attempts: sent.attempts.into_iter().map(|made| attempt(made, now)).collect(),
    }
}

fn attempt(attempt: AttemptRow, now: Timestamp) -> Attempt {
    Attempt {
        number: attempt.number,
        started: When::new(attempt.started_at, now),
        took: format::took(attempt.took_ms),
        mark: words::outcome(&attempt.outcome),
        outcome: attempt.outcome,
        status: attempt.status,
        reason: attempt.reason,
        sent: attempt.request.map(|text| masking::request(&text)),
        answer: attempt
            .excerpt
            .filter(|text| !text.trim().is_empty())
            .map(|text| masking::answer(&text)),
    }
}

pub(crate) async fn show(State(console): State<Arc<Console>>, uri: Uri, Path(id): Path<String>) -> Response {
    let Ok(number) = id.parse::<i64>() else {
        return super::not_found(State(console), uri).await;
    };
    match read(&console, InboxId(number)).await {
        Ok(Some((trace, contact))) => {
            let page = Message::new(trace, contact, &console.rules, console.clock.now());
            html(
                &console,
                StatusCode::OK,
                &super::frame(&console, "messages", &uri).await,
                &page,
            )
        }
        Ok(None) => {
            let page = Notice {
                title: format!("There is no message {number}"),
                text: "It never existed, or it was deleted after its retention.".to_owned(),
                command: Some("causeway audit".to_owned()),
            };
            html(
                &console,
                StatusCode::NOT_FOUND,
                &super::frame(&console, "messages", &uri).await,
                &page,
            )
        }
        Err(error) => super::unavailable(&console, "messages", &uri, &error).await,
    }
}

async fn read(console: &Console, id: InboxId) -> Result<Option<(Trace, Option<ContactView>)>, StoreError> {
    let Some(trace) = console.views.trace(id).await? else {
        return Ok(None);
    };
    let contact = match trace.contact_id {
        Some(contact) => console.views.contact(contact).await?,
        None => None,
    };
    Ok(Some((trace, contact)))
}
