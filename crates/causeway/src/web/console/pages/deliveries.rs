//! `/deliveries`: the list of deliveries with its filters.

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    http::{StatusCode, Uri},
    response::Response,
};
use causeway_core::{
    id::DeliveryId,
    store::{DeliveryFilter, DeliveryRow},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::{
    Console,
    format::When,
    masking,
    render::{Page, html},
};

const PER_PAGE: u32 = 50;
pub(crate) const STATES: [&str; 5] = ["waiting", "blocked", "delivered", "dead", "skipped"];

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Parameters {
    state: Option<String>,
    destination: Option<String>,
    reason: Option<String>,
    before: Option<String>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Deliveries {
    states: Vec<&'static str>,
    destinations: Vec<String>,
    /// The values of the form.
    state: String,
    destination: String,
    reason: String,
    rows: Vec<Row>,
    /// The link to older deliveries.
    older: Option<String>,
    /// The link to the first page, if this is a later one.
    newest: Option<String>,
    /// The commands that retry or discard these deliveries.
    retry: Option<String>,
    discard: Option<String>,
}

/// A delivery as a row of the table.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    id: i64,
    record: i64,
    destination: String,
    source: String,
    kind: String,
    state: String,
    attempts: u32,
    planned: When,
    finished: Option<When>,
    /// The time of the next attempt.
    due: Option<When>,
    reason: Option<String>,
    remote_id: Option<String>,
}

impl Row {
    pub(super) fn new(row: DeliveryRow, now: Timestamp) -> Self {
        let due = row.due_at.filter(|_| row.state == "waiting");
        Self {
            id: row.id.0,
            record: row.inbox_id.0,
            destination: row.destination.to_string(),
            source: row.source.to_string(),
            kind: row.kind,
            state: row.state,
            attempts: row.attempts,
            planned: When::new(row.planned_at, now),
            finished: row.finished_at.map(|at| When::new(at, now)),
            due: due.map(|at| When::new(at.max(now), now)),
            reason: row.reason,
            // Masked, because some systems use the address as their id.
            remote_id: row
                .remote_id
                .map(|id| if id.contains('@') { masking::text(&id) } else { id }),
        }
    }
}

impl Page for Deliveries {
    const TEMPLATE: &'static str = "deliveries.html";
    #[cfg(test)]
    fn samples() -> Vec<Self> {
        use super::super::tests::{delivery, now};
        let hostile = "<script>alert(1)</script>";
        let rows = STATES.map(|state| Row::new(delivery(state, hostile), now()));
        vec![
            Self::default(),
            Self {
                states: STATES.to_vec(),
                destinations: vec!["crm".to_owned(), hostile.to_owned()],
                state: "dead".to_owned(),
                destination: hostile.to_owned(),
                reason: hostile.to_owned(),
                rows: rows.into(),
                older: Some("/deliveries?before=1".to_owned()),
                newest: Some("/deliveries".to_owned()),
                retry: Some(hostile.to_owned()),
                discard: Some(hostile.to_owned()),
            },
        ]
    }
}

pub(crate) async fn show(
    State(console): State<Arc<Console>>,
    uri: Uri,
    asked: Result<Query<Parameters>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let asked = asked.map(|Query(asked)| asked).unwrap_or_default();
    let state = super::filled(asked.state).filter(|state| STATES.contains(&state.as_str()));
    let destination = super::filled(asked.destination);
    let reason = super::filled(asked.reason);
    let before = super::filled(asked.before)
        .and_then(|text| text.parse().ok())
        .map(DeliveryId);
    let filter = DeliveryFilter {
        state: state.clone(),
        destination: destination.as_deref().map(Into::into),
        reason: reason.clone(),
        before,
        ..DeliveryFilter::default()
    };
    // One row more than is shown, to know whether there is a next page.
    let mut rows = match console.views.deliveries(filter, PER_PAGE + 1).await {
        Ok(rows) => rows,
        Err(error) => return super::unavailable(&console, "deliveries", &uri, &error).await,
    };
    let has_more = rows.len() > PER_PAGE as usize;
    rows.truncate(PER_PAGE as usize);
    let now = console.clock.now();
    let same = |before: Option<&str>| {
        let pairs = [
            ("state", state.as_deref()),
            ("destination", destination.as_deref()),
            ("reason", reason.as_deref()),
            ("before", before),
        ];
        super::link("/deliveries", &pairs)
    };
    let last = rows.last().map(|row| row.id.to_string()).filter(|_| has_more);
    let destinations = destinations(&console).await;
    // Only known names become part of a command: a foreign link must not put a command on the page for people to paste.
    let dead_at = destination
        .as_deref()
        .filter(|name| state.as_deref() == Some("dead") && destinations.iter().any(|known| known == name));
    let page = Deliveries {
        states: STATES.to_vec(),
        older: last.map(|last| same(Some(&last))),
        newest: before.map(|_| same(None)),
        retry: dead_at.map(|name| format!("causeway delivery retry --state dead --destination {name}")),
        discard: dead_at.map(|name| format!("causeway delivery discard --state dead --destination {name}")),
        destinations: destinations.clone(),
        rows: rows.into_iter().map(|row| Row::new(row, now)).collect(),
        state: state.unwrap_or_default(),
        destination: destination.unwrap_or_default(),
        reason: reason.unwrap_or_default(),
    };
    let frame = super::frame(&console, "deliveries", &uri).await;
    html(&console, StatusCode::OK, &frame, &page)
}

/// The destinations to choose from: the configured ones, and former ones with deliveries.
async fn destinations(console: &Console) -> Vec<String> {
    let live = console.live.frame().await;
    let cards = live.iter().flat_map(|live| &live.picture.destinations);
    cards.map(|card| card.name.to_string()).collect()
}
