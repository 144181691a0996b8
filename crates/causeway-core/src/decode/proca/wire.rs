//! The structure of Proca's messages, versions 1 and 2, as tolerant structs over borrowed text.
//!
//! Invariant: a member of an unexpected type never fails the message, unless an object was expected. Scalars
//! stay raw text until they are read as a type.

use std::borrow::Cow;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, value::RawValue};

use crate::decode::json;

/// Any message. Its schema decides which members are present.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub schema: Raw<'a>,
    #[serde(borrow)]
    pub stage: Raw<'a>,
    #[serde(borrow)]
    pub event_type: Raw<'a>,
    #[serde(borrow)]
    pub timestamp: Raw<'a>,
    #[serde(borrow)]
    pub action_id: Raw<'a>,
    #[serde(borrow)]
    pub action_page_id: Raw<'a>,
    #[serde(borrow)]
    pub campaign_id: Raw<'a>,
    #[serde(borrow)]
    pub org_id: Raw<'a>,
    #[serde(borrow)]
    pub org: Option<Org<'a>>,
    #[serde(borrow)]
    pub campaign: Option<CampaignPart<'a>>,
    #[serde(borrow)]
    pub action_page: Option<ActionPage<'a>>,
    #[serde(borrow)]
    pub action: Option<ActionPart<'a>>,
    pub contact: Option<Value>,
    #[serde(borrow)]
    pub personal_info: Option<PersonalInfo<'a>>,
    #[serde(borrow)]
    pub privacy: Option<Privacy<'a>>,
    /// Only in events: the last three members combined.
    #[serde(borrow)]
    pub supporter: Option<Supporter<'a>>,
    pub tracking: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Org<'a> {
    #[serde(borrow)]
    pub name: Raw<'a>,
    #[serde(borrow)]
    pub title: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct CampaignPart<'a> {
    #[serde(borrow)]
    pub name: Raw<'a>,
    #[serde(borrow)]
    pub title: Raw<'a>,
    #[serde(borrow)]
    pub external_id: Raw<'a>,
    #[serde(borrow)]
    pub contact_schema: Raw<'a>,
    pub config: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ActionPage<'a> {
    #[serde(borrow)]
    pub name: Raw<'a>,
    #[serde(borrow)]
    pub locale: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ActionPart<'a> {
    #[serde(borrow)]
    pub action_type: Raw<'a>,
    pub custom_fields: Option<Value>,
    /// Version 1's name of `customFields`.
    pub fields: Option<Value>,
    #[serde(borrow)]
    pub created_at: Raw<'a>,
    #[serde(borrow)]
    pub testing: Raw<'a>,
    pub donation: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PersonalInfo<'a> {
    #[serde(borrow)]
    pub payload: Raw<'a>,
    #[serde(borrow)]
    pub nonce: Raw<'a>,
    #[serde(borrow)]
    pub encrypt_key: Option<Key<'a>>,
    #[serde(borrow)]
    pub sign_key: Option<Key<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Key<'a> {
    #[serde(borrow)]
    pub public: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Privacy<'a> {
    #[serde(borrow)]
    pub with_consent: Raw<'a>,
    #[serde(borrow)]
    pub opt_in: Raw<'a>,
    #[serde(borrow)]
    pub given_at: Raw<'a>,
    #[serde(borrow)]
    pub email_status: Raw<'a>,
    #[serde(borrow)]
    pub email_status_changed: Raw<'a>,
    /// Version 1's name of `optIn`.
    #[serde(borrow)]
    pub communication: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Supporter<'a> {
    pub contact: Option<Value>,
    #[serde(borrow)]
    pub personal_info: Option<PersonalInfo<'a>>,
    #[serde(borrow)]
    pub privacy: Option<Privacy<'a>>,
}

/// A JSON value as it was written; empty for `null` and for a missing member.
#[derive(Default, Clone, Copy)]
pub(super) struct Raw<'a>(Option<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<&'a RawValue>::deserialize(deserializer).map(Self)
    }
}

impl<'a> Raw<'a> {
    /// The text of a string, or a number as it was written. `None` if it is empty.
    pub fn text(self) -> Option<Cow<'a, str>> {
        let json = self.0?.get();
        let text = match json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(inside) if !inside.contains('\\') => Cow::Borrowed(inside),
            Some(_) => match json::read(json, json::DEEPEST).ok()?.0 {
                // Half of a surrogate pair loses only itself, not the whole text.
                Value::String(text) => Cow::Owned(text),
                _ => return None,
            },
            None if json.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => Cow::Borrowed(json),
            None => return None,
        };
        (!text.is_empty()).then_some(text)
    }

    pub fn string(self) -> Option<String> {
        self.text().map(Cow::into_owned)
    }

    /// Whether it is neither a string nor a number nor null.
    pub fn is_no_text(self) -> bool {
        self.0
            .is_some_and(|json| !json.get().starts_with('"') && self.text().is_none())
    }

    /// Whether it is neither true nor false nor null.
    pub fn is_no_flag(self) -> bool {
        self.0.is_some() && self.flag().is_none()
    }

    pub fn flag(self) -> Option<bool> {
        match self.0?.get() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    pub fn int(self) -> Option<i64> {
        self.text()?.parse().ok()
    }

    /// A time with or without a fraction, with or without an offset (then it is UTC), to the millisecond.
    pub fn time(self) -> Option<Timestamp> {
        let text = self.text()?;
        let at = match text.parse::<Timestamp>() {
            Ok(at) => at,
            Err(_) => text
                .parse::<DateTime>()
                .ok()?
                .to_zoned(TimeZone::UTC)
                .ok()?
                .timestamp(),
        };
        Timestamp::from_millisecond(at.as_millisecond()).ok()
    }
}
