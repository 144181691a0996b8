//! `sync` and `payload`: the eleven groups of a platform's "Sync Contact to Third Party".

use std::collections::BTreeMap;

use causeway_core::{
    encode::sync::{self, ContactIdOf, Empty, Group, Options, PHP_VARIABLES, StatusShape, Transaction},
    php_date,
};
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;

use super::body::Content;
use crate::config::ConfigError;

/// `"all"`, or the names of the groups.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected \"all\", or a list of groups, as [\"contact\", \"fields\"]"
)]
pub(super) enum Groups {
    One(String),
    Some(Vec<String>),
}

/// How the groups are written.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Payload {
    /// Maximum number of rows of a history group, by its name; the newest are sent.
    #[serde(default)]
    caps: BTreeMap<String, usize>,
    /// Maximum number of variables. Beyond it the oldest history is left out; 0 for no limit.
    max_variables: Option<usize>,
    /// A pattern of PHP's `date`.
    date_format: Option<String>,
    /// What happens to a group without content.
    empty_groups: Option<EmptyGroups>,
    /// Whether `lead-status` is one map, or a list with one.
    lead_status: Option<LeadStatus>,
    /// The value of `transactionid`.
    transaction: Option<TransactionId>,
    /// Whose number of the contact `contact[id]` is.
    contact_id: Option<ContactId>,
    /// Leaves the brackets of a form bare instead of `%5B` and `%5D`.
    #[serde(default)]
    pub raw_brackets: bool,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum EmptyGroups {
    /// It is absent, as in the output of PHP's own encoder.
    Omit,
    /// `group=` in a form, `[]` in JSON, an empty element in XML.
    Send,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum LeadStatus {
    Map,
    List,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum TransactionId {
    /// Eighteen digits.
    Number,
    /// The delivery's key, `cw_…`.
    Key,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ContactId {
    /// The number of the platform that the contact came from, otherwise the hub's number.
    Platform,
    /// Always the hub's number.
    Hub,
}

/// Settings that several parts of the configuration share.
pub(super) struct Common<'a> {
    pub content: Content,
    pub zone: &'a TimeZone,
    pub field_ids: &'a BTreeMap<String, String>,
    pub field_names: &'a BTreeMap<String, String>,
}

/// The groups to send and their format; `None` if `sync` is not given. Adds to `warnings` settings that are
/// valid but probably unintended.
pub(super) fn options(
    groups: Option<&Groups>,
    payload: Option<&Payload>,
    common: &Common<'_>,
    warnings: &mut Vec<String>,
) -> Result<Option<Options>, ConfigError> {
    let Some(groups) = groups else {
        return match payload {
            Some(_) => Err(ConfigError::new(
                "payload",
                "formats the groups of `sync`, but there is no `sync`",
            )
            .hint("add sync = \"all\"")),
            None => Ok(None),
        };
    };
    let default = Payload::default();
    let payload = payload.unwrap_or(&default);
    let is_form = matches!(common.content, Content::Form | Content::Query);
    let max_variables = match payload.max_variables {
        None => is_form.then_some(PHP_VARIABLES),
        Some(0) => None,
        Some(most) => Some(most),
    };
    let date_format = payload.date_format.as_deref().unwrap_or(php_date::SYNC);
    if !php_date::has_content(date_format) {
        return Err(
            ConfigError::new("payload.date_format", "has no letter for a part of a date")
                .hint("letters as in PHP's date(): \"Y-m-d h:i A\""),
        );
    }
    if date_format.contains('%') {
        return Err(
            ConfigError::new("payload.date_format", "has a %, which would be printed literally")
                .hint("letters as in PHP's date(), without %: \"Y-m-d\" for %Y-%m-%d"),
        );
    }
    let mut caps = BTreeMap::new();
    for (name, cap) in &payload.caps {
        let group = group("payload.caps", name)?;
        if !group.is_history() {
            let error = ConfigError::new(
                &format!("payload.caps.{name}"),
                "only history groups can be capped",
            );
            return Err(error.hint(known(Group::is_history)));
        }
        caps.insert(group, *cap);
    }
    let options = Options {
        groups: read_groups(groups)?,
        caps,
        max_variables,
        date_format: date_format.to_owned(),
        zone: common.zone.clone(),
        empty: match payload.empty_groups {
            None | Some(EmptyGroups::Omit) => Empty::Omit,
            Some(EmptyGroups::Send) => Empty::Send,
        },
        status: match payload.lead_status {
            None | Some(LeadStatus::Map) => StatusShape::Map,
            Some(LeadStatus::List) => StatusShape::List,
        },
        transaction: match payload.transaction {
            None | Some(TransactionId::Number) => Transaction::Number,
            Some(TransactionId::Key) => Transaction::Key,
        },
        contact_id: match payload.contact_id {
            None | Some(ContactId::Platform) => ContactIdOf::Platform,
            Some(ContactId::Hub) => ContactIdOf::Hub,
        },
        field_ids: common.field_ids.clone(),
        field_names: common.field_names.clone(),
    };
    if common.content == Content::Query && options.needs_history() {
        warnings.push(
            "`sync`: the history of a contact makes a URL of many thousand characters, and most servers accept 8000: \
             send it with content = \"form\", or leave the history groups out"
                .to_owned(),
        );
    }
    warnings.extend(sync::warning(&options, is_form).map(|what| format!("`payload.caps`: {what}")));
    Ok(Some(options))
}

fn read_groups(groups: &Groups) -> Result<Vec<Group>, ConfigError> {
    let names = match groups {
        Groups::One(word) if word == "all" => return Ok(Group::ALL.to_vec()),
        Groups::One(word) => std::slice::from_ref(word),
        Groups::Some(names) => names.as_slice(),
    };
    if names.is_empty() {
        return Err(ConfigError::new("sync", "names no group")
            .hint("\"all\", or leave it out to send the whole record"));
    }
    names.iter().map(|name| group("sync", name)).collect()
}

fn group(key: &str, name: &str) -> Result<Group, ConfigError> {
    Group::parse(name)
        .ok_or_else(|| ConfigError::new(key, format!("there is no group {name:?}")).hint(known(|_| true)))
}

fn known(which: fn(Group) -> bool) -> String {
    let names = Group::ALL.into_iter().filter(|group| which(*group));
    format!(
        "one of {}",
        names.map(Group::as_str).collect::<Vec<_>>().join(", ")
    )
}
