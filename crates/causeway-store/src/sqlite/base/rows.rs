//! Conversions between columns and the types of `causeway_core`.

use causeway_core::{
    clock::Timestamp,
    contact::Identity,
    delivery::Kind,
    envelope::Memory,
    id::Name,
    store::{DeliveryRow, InboxState},
};
use rusqlite::Row;
use serde::{Serialize, de::DeserializeOwned};

use crate::sqlite::base::error::Error;

/// How long a key is remembered, as stored in `inbox.window_ms`.
pub(crate) fn window_ms(memory: Memory) -> Option<i64> {
    match memory {
        Memory::Dated => None,
        Memory::Window(ms) => Some(ms),
        Memory::ForGood => Some(i64::MAX),
    }
}

/// The inverse of [`window_ms`].
pub(crate) fn memory(window_ms: Option<i64>) -> Memory {
    match window_ms {
        None => Memory::Dated,
        Some(i64::MAX) => Memory::ForGood,
        Some(ms) => Memory::Window(ms),
    }
}

/// The states of a delivery; see `docs/states.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeliveryState {
    Waiting,
    Blocked,
    Delivered,
    Dead,
    Skipped,
}

impl DeliveryState {
    pub(crate) const ALL: [Self; 5] = [
        Self::Waiting,
        Self::Blocked,
        Self::Delivered,
        Self::Dead,
        Self::Skipped,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Blocked => "blocked",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Skipped => "skipped",
        }
    }

    /// The state in the books, where a blocked delivery counts as waiting.
    pub(crate) fn counted_as(self) -> &'static str {
        match self {
            Self::Blocked => "waiting",
            other => other.as_str(),
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(Error::Broken("the state of a delivery"))
    }

    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Blocked)
    }
}

pub(crate) fn inbox_state(text: &str) -> Result<InboxState, Error> {
    InboxState::ALL
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or(Error::Broken("the state of a message"))
}

pub(crate) fn ms(at: Timestamp) -> i64 {
    at.as_millisecond()
}

pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|_| Error::Broken("a document"))
}

pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|_| Error::Broken("a stored document"))
}

pub(crate) fn text<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a str, Error> {
    row.get_ref(column)?.as_str().map_err(|_| Error::Broken("a text"))
}

/// The text with invalid UTF-8 replaced, for places where reading on matters more.
pub(crate) fn lossy_text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    let text = row.get_ref(column)?.as_bytes().unwrap_or_default();
    Ok(String::from_utf8_lossy(text).into_owned())
}

/// The columns that [`delivery_row`] reads, from `delivery d JOIN inbox i`.
pub(crate) const DELIVERY_COLUMNS: &str = "d.id, d.inbox_id, d.contact_id,
    (SELECT name FROM name WHERE id = d.destination_id), (SELECT name FROM name WHERE id = i.source_id),
    d.kind, d.state, d.attempts, d.due_at, d.planned_at, d.finished_at, d.reason, d.remote_id,
    d.address, d.gated";

pub(crate) fn delivery_row(row: &Row<'_>) -> Result<DeliveryRow, Error> {
    let state: String = row.get(6)?;
    let is_waiting = state == DeliveryState::Waiting.as_str();
    let kind: String = row.get(5)?;
    let is_skipped_withdrawal = kind == Kind::Withdrawal.as_str() && state == DeliveryState::Skipped.as_str();
    Ok(DeliveryRow {
        id: causeway_core::id::DeliveryId(row.get(0)?),
        inbox_id: causeway_core::id::InboxId(row.get(1)?),
        contact_id: row.get::<_, Option<i64>>(2)?.map(causeway_core::id::ContactId),
        destination: name(row, 3)?,
        source: name(row, 4)?,
        kind,
        state,
        attempts: row.get(7)?,
        due_at: is_waiting.then_some(at(row.get(8)?)),
        planned_at: at(row.get(9)?),
        finished_at: row.get::<_, Option<i64>>(10)?.map(at),
        reason: row.get(11)?,
        remote_id: row.get(12)?,
        address: Some(text(row, 13)?)
            .filter(|text| !text.is_empty())
            .map(str::to_owned),
        by_hand: is_skipped_withdrawal && row.get(14)?,
    })
}

pub(crate) fn name(row: &Row<'_>, column: usize) -> Result<Name, Error> {
    Ok(text(row, column)?.into())
}

/// Reads the columns kind, namespace, value.
pub(crate) fn identity(row: &Row<'_>, first: usize) -> Result<Identity, Error> {
    let value: String = row.get(first + 2)?;
    Identity::from_parts(text(row, first)?, text(row, first + 1)?, value)
        .ok_or(Error::Broken("the kind of an identity"))
}
