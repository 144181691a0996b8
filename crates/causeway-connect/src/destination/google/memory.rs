//! Who a person is for Google, and what was put into the list about them. Only hashes are remembered, and for addresses
//! the country and the postcode, which Google takes as they are.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The identifiers that Google takes for one member.
pub(super) const MOST_IDENTIFIERS: usize = 10;
/// The identifiers that are remembered about a person: five changes of all. The oldest are dropped.
const MOST_REMEMBERED: usize = 5 * MOST_IDENTIFIERS;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Identifier {
    #[serde(rename = "e")]
    Email(String),
    #[serde(rename = "p")]
    Phone(String),
    /// First name, last name, country, postcode.
    #[serde(rename = "a")]
    Address(String, String, String, String),
}

impl Identifier {
    /// As the API takes it.
    pub fn json(&self) -> Value {
        match self {
            Self::Email(hash) => json!({ "emailAddress": hash }),
            Self::Phone(hash) => json!({ "phoneNumber": hash }),
            Self::Address(given, family, region, postcode) => json!({ "address": {
                "givenName": given, "familyName": family, "regionCode": region, "postalCode": postcode,
            } }),
        }
    }
}

/// What [`causeway_core::delivery::Delivery::memory`] holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// The list. What was put into another one says nothing about this.
    list: String,
    /// What was put there, and perhaps is there still.
    #[serde(default)]
    pub ids: Vec<Identifier>,
    /// When Google confirmed it last, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<i64>,
    /// How many deliveries a call with this one may be about, after Google did not take all of a larger one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<usize>,
    /// The ticket of the last addition, as long as its result is not known. Google may process it after a later removal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    adding: Option<String>,
}

impl Memory {
    pub fn read(memory: Option<&Value>, list: &str) -> Self {
        let read = memory.and_then(|memory| Self::deserialize(memory).ok());
        read.filter(|memory| memory.list == list).unwrap_or_else(|| Self {
            list: list.to_owned(),
            ..Self::default()
        })
    }

    pub fn value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Everything that was put there, and these.
    pub fn and(&self, ids: &[Identifier]) -> Vec<Identifier> {
        let new = ids.iter().filter(|id| !self.ids.contains(id));
        let mut all: Vec<Identifier> = self.ids.iter().chain(new).cloned().collect();
        let older = all.len().saturating_sub(MOST_REMEMBERED);
        all.drain(..older);
        all
    }

    /// After these were sent: nothing is confirmed yet.
    #[must_use]
    pub fn sent(&self, ids: &[Identifier], ticket: &Ticket) -> Self {
        Self {
            ids: self.and(ids),
            confirmed: None,
            adding: Some(ticket.text()),
            ..self.clone()
        }
    }

    /// After Google confirmed what was sent.
    #[must_use]
    pub fn confirmed(&self, at: i64, ticket: &Ticket) -> Self {
        Self {
            confirmed: Some(at),
            most: None,
            adding: self.adding.clone().filter(|adding| *adding != ticket.text()),
            ..self.clone()
        }
    }

    /// The last addition, if its result is not known.
    pub fn adding(&self) -> Option<Ticket> {
        Ticket::read(self.adding.as_deref()?)
    }

    /// After the last addition was processed.
    #[must_use]
    pub fn added(&self) -> Self {
        Self {
            adding: None,
            ..self.clone()
        }
    }

    /// After everything was taken out.
    #[must_use]
    pub fn emptied(&self) -> Self {
        Self {
            list: self.list.clone(),
            ..Self::default()
        }
    }

    /// Whether Google confirmed all of these after this second.
    pub fn has(&self, ids: &[Identifier], since: i64) -> bool {
        self.confirmed.is_some_and(|at| at > since) && ids.iter().all(|id| self.ids.contains(id))
    }
}

/// What [`causeway_core::destination::Outcome::Pending`] holds: `add.1767225600.100.REQUEST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::destination) struct Ticket {
    pub adds: bool,
    /// When Google accepted the request, in seconds.
    pub since: i64,
    /// How many deliveries the request is about.
    pub deliveries: usize,
    pub request: String,
}

impl Ticket {
    pub fn text(&self) -> String {
        let what = if self.adds { "add" } else { "remove" };
        format!("{what}.{}.{}.{}", self.since, self.deliveries, self.request)
    }

    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '.');
        Some(Self {
            adds: match parts.next()? {
                "add" => true,
                "remove" => false,
                _ => return None,
            },
            since: parts.next()?.parse().ok()?,
            deliveries: parts.next()?.parse().ok()?,
            request: parts.next()?.to_owned(),
        })
    }
}
