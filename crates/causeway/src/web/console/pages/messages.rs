//! `/messages`: the list of messages, and the search.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Query, State, rejection::QueryRejection},
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use causeway_core::{
    id::{ContactId, InboxId},
    store::{InboxFilter, InboxRow, InboxState, StoreError},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::{
    Console, attention, format,
    format::When,
    render::{Page, html},
};
use super::{Notice, person::Person};
use crate::people;

const PER_PAGE: u32 = 50;

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Parameters {
    state: Option<String>,
    source: Option<String>,
    before: Option<String>,
    /// Numbers of contacts, separated by commas. A search by address redirects here.
    contact: Option<String>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Messages {
    states: Vec<&'static str>,
    sources: Vec<String>,
    state: String,
    source: String,
    /// Set if only one person's messages are shown.
    contact: Option<String>,
    /// The people in `contact`.
    people: Vec<Person>,
    rows: Vec<Row>,
    older: Option<String>,
    newest: Option<String>,
}

/// A message as a row of the table.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(super) id: i64,
    pub(super) source: String,
    pub(super) state: &'static str,
    pub(super) received: When,
    pub(super) processed: Option<When>,
    /// Code and reason, in words.
    pub(super) reason: Option<String>,
    pub(super) size: String,
}

impl Row {
    pub(super) fn new(row: InboxRow, now: Timestamp) -> Self {
        let code = row.code.as_deref().map(attention::code_in_words);
        Self {
            id: row.id.0,
            source: row.source.to_string(),
            state: row.state.as_str(),
            received: When::new(row.received_at, now),
            processed: row.processed_at.map(|at| When::new(at, now)),
            reason: match (code, row.reason) {
                (Some(code), Some(reason)) => Some(format!("{code}: {reason}")),
                (code, reason) => code.map(str::to_owned).or(reason),
            },
            size: format::bytes(row.bytes),
        }
    }
}

impl Page for Messages {
    const TEMPLATE: &'static str = "messages.html";
    #[cfg(test)]
    fn samples() -> Vec<Self> {
        use super::super::tests::{contact, inbox, now, rules};
        let hostile = "<script>alert(1)</script>";
        let states = InboxState::ALL;
        vec![
            Self::default(),
            Self {
                states: states.map(InboxState::as_str).to_vec(),
                sources: vec![hostile.to_owned()],
                state: "dead".to_owned(),
                source: hostile.to_owned(),
                contact: Some("7".to_owned()),
                people: vec![Person::new(&contact(), &rules(), now())],
                rows: states.map(|state| Row::new(inbox(state, hostile), now())).into(),
                older: Some("/messages?before=1".to_owned()),
                newest: Some("/messages".to_owned()),
            },
        ]
    }
}

pub(crate) async fn show(
    State(console): State<Arc<Console>>,
    uri: Uri,
    asked: Result<Query<Parameters>, QueryRejection>,
) -> Response {
    let asked = asked.map(|Query(asked)| asked).unwrap_or_default();
    match messages(&console, asked).await {
        Ok(page) => html(
            &console,
            StatusCode::OK,
            &super::frame(&console, "messages", &uri).await,
            &page,
        ),
        Err(error) => super::unavailable(&console, "messages", &uri, &error).await,
    }
}

async fn messages(console: &Console, asked: Parameters) -> Result<Messages, StoreError> {
    let state = super::filled(asked.state);
    let state = InboxState::ALL
        .into_iter()
        .find(|known| Some(known.as_str()) == state.as_deref());
    let source = super::filled(asked.source);
    let before = super::filled(asked.before)
        .and_then(|text| text.parse().ok())
        .map(InboxId);
    let contacts: Vec<ContactId> = super::filled(asked.contact)
        .iter()
        .flat_map(|text| text.split(','))
        .filter_map(|text| text.parse().ok())
        .map(ContactId)
        .collect();
    let mut filter = InboxFilter {
        source: source.as_deref().map(Into::into),
        state,
        before,
        ..InboxFilter::default()
    };
    let now = console.clock.now();
    let mut people = Vec::new();
    for id in contacts.iter().take(10) {
        if let Some(contact) = console.views.contact(*id).await? {
            people.push(Person::new(&contact, &console.rules, now));
            filter.ids.extend(contact.inbox);
        }
    }
    // An empty list of ids would select all rows.
    let nobody = !contacts.is_empty() && filter.ids.is_empty();
    let mut rows = if nobody {
        Vec::new()
    } else {
        console.views.inbox(filter, PER_PAGE + 1).await?
    };
    let has_more = rows.len() > PER_PAGE as usize;
    rows.truncate(PER_PAGE as usize);
    let numbers: Vec<String> = contacts.iter().map(ToString::to_string).collect();
    let contact = (!numbers.is_empty()).then(|| numbers.join(","));
    let same = |before: Option<&str>| {
        let pairs = [
            ("state", state.map(InboxState::as_str)),
            ("source", source.as_deref()),
            ("contact", contact.as_deref()),
            ("before", before),
        ];
        super::link("/messages", &pairs)
    };
    let last = rows.last().map(|row| row.id.to_string()).filter(|_| has_more);
    let live = console.live.frame().await;
    let cards = live.iter().flat_map(|live| &live.picture.sources);
    Ok(Messages {
        states: InboxState::ALL.map(InboxState::as_str).to_vec(),
        sources: cards.map(|card| card.name.to_string()).collect(),
        older: last.map(|last| same(Some(&last))),
        newest: before.map(|_| same(None)),
        rows: rows.into_iter().map(|row| Row::new(row, now)).collect(),
        state: state.map(InboxState::as_str).unwrap_or_default().to_owned(),
        source: source.unwrap_or_default(),
        contact,
        people,
    })
}

/// The search box. It uses POST, so that an address does not become part of a URL.
pub(crate) async fn find(State(console): State<Arc<Console>>, uri: Uri, body: Bytes) -> Response {
    let typed = url::form_urlencoded::parse(&body)
        .find(|(key, _)| key == "what")
        .map(|(_, value)| value.trim().to_owned())
        .unwrap_or_default();
    if let Ok(number) = typed.trim_start_matches('#').parse::<i64>() {
        return see(&format!("/messages/{number}"));
    }
    if typed.is_empty() {
        return see("/messages");
    }
    let found = match console.views.find_named(&typed).await {
        Ok(found) => found,
        Err(error) => return super::unavailable(&console, "messages", &uri, &error).await,
    };
    let (status, title, text) = match people::choose(&found) {
        Ok(contacts) if contacts.is_empty() => (
            StatusCode::NOT_FOUND,
            "Nothing found",
            "No message has that number, and no contact has that address or id. Messages that were erased or whose \
             retention is over are deleted."
                .to_owned(),
        ),
        Ok(contacts) => {
            let numbers: Vec<String> = contacts.iter().map(ToString::to_string).collect();
            return see(&format!("/messages?contact={}", numbers.join(",")));
        }
        Err(several) => (
            StatusCode::MULTIPLE_CHOICES,
            "Several people",
            format!(
                "Several people in the workspace {} have that id or use that address. Search for one of {}.",
                several.workspace,
                several.candidates.join(", ")
            ),
        ),
    };
    let page = Notice {
        title: title.to_owned(),
        text,
        command: None,
    };
    let frame = super::frame(&console, "messages", &uri).await;
    html(&console, status, &frame, &page)
}

fn see(place: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, place.to_owned())]).into_response()
}
