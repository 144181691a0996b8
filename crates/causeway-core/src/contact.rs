//! A person as a workspace knows them: identities, fields with the time each value dates from, consent.
//!
//! Invariant: a contact does not depend on the order in which its messages came. Every part is a join:
//! commutative, associative, idempotent.

use std::{borrow::Cow, collections::BTreeMap};

use idna::AsciiDenyList;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    consent::Consent,
    id::{ContactId, Name},
};

/// What a contact is recognised by; unique within a workspace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Identity {
    /// Trimmed and lower-cased; see [`normal_email`].
    Email { address: String },
    /// Proca's `contactRef`, opaque, unique within one Proca instance.
    ContactRef { namespace: Name, reference: String },
    /// The id that a platform gave its record of the person.
    ForeignId { namespace: Name, id: String },
}

impl Identity {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Email { .. } => "email",
            Self::ContactRef { .. } => "contact_ref",
            Self::ForeignId { .. } => "foreign_id",
        }
    }

    /// Empty for e-mail addresses, which are the same everywhere.
    pub fn namespace(&self) -> &str {
        match self {
            Self::Email { .. } => "",
            Self::ContactRef { namespace, .. } | Self::ForeignId { namespace, .. } => namespace,
        }
    }

    pub fn value(&self) -> &str {
        match self {
            Self::Email { address } => address,
            Self::ContactRef { reference, .. } => reference,
            Self::ForeignId { id, .. } => id,
        }
    }

    /// The browser or device that `namespace` calls so.
    pub fn visitor(namespace: &str, id: String) -> Self {
        Self::ForeignId {
            namespace: format!("{namespace}{VISITOR}").into(),
            id,
        }
    }

    /// Whether it names a browser or device. Two people may share one: it never makes two known people the same.
    pub fn is_visitor(&self) -> bool {
        matches!(self, Self::ForeignId { namespace, .. } if namespace.ends_with(VISITOR))
    }

    /// The way back from the three columns that the store keeps.
    pub fn from_parts(kind: &str, namespace: &str, value: String) -> Option<Self> {
        Some(match kind {
            "email" => Self::Email { address: value },
            "contact_ref" => Self::ContactRef {
                namespace: namespace.into(),
                reference: value,
            },
            "foreign_id" => Self::ForeignId {
                namespace: namespace.into(),
                id: value,
            },
            _ => return None,
        })
    }
}

/// Behind a namespace: the ids of visitors are apart from those of contacts.
const VISITOR: &str = ":visitor";

/// Makes an address comparable: trimmed, lower-cased, without marks that nobody sees, the host in ASCII; two ways to write
/// one mailbox would be two people, of whom one has not said no. `None` when it cannot be the address of one mailbox.
pub fn normal_email(text: &str) -> Option<String> {
    let mut text = text.to_lowercase();
    text.retain(|c| !UNSEEN.contains(&c));
    let text = text.trim();
    let address = text.strip_prefix("mailto:").map_or(text, str::trim);
    let (local, host) = address.split_once('@')?;
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !NOT_IN_LOCAL.contains(c);
    if local.is_empty() || address.len() > 320 || !local.chars().all(is_plain) {
        return None;
    }
    let host = if host.is_ascii() {
        Cow::Borrowed(host)
    } else {
        idna::domain_to_ascii_cow(host.as_bytes(), AsciiDenyList::URL).ok()?
    };
    // After that: some letters become commas, dots and at signs only there.
    let host = host.strip_suffix('.').unwrap_or(&host);
    let is_of_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if host.split('.').any(str::is_empty) || !host.chars().all(is_of_host) {
        return None;
    }
    Some(format!("{local}@{host}"))
}

/// Copied along with an address, and shown nowhere: zero-width characters, the soft hyphen, the mark of byte order.
const UNSEEN: [char; 8] = [
    '\u{ad}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}', '\u{2060}', '\u{feff}',
];
/// Stand between addresses or around them; one that needs them is quoted, and nobody has such a one.
const NOT_IN_LOCAL: &str = "@,;:<>()[]\\\"";

/// A tag is a field of its own, true or false, so that putting it on and taking it off follow the rule of all fields: the
/// newest word counts.
pub const TAG: &str = "tag:";
/// The same for a list that the contact is on.
pub const LIST: &str = "list:";
/// The numbers that a platform gave the list fields, by their label: a field for each source.
pub const LIST_FIELD_IDS: &str = "list_field_ids:";

/// Whether a field is ours, for something that has a place of its own in a record: a tag, a list, the platform's numbers.
pub fn is_internal(field: &str) -> bool {
    [TAG, LIST, LIST_FIELD_IDS]
        .iter()
        .any(|prefix| field.starts_with(prefix))
}

/// A value and the moment that it dates from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Field {
    #[serde(rename = "v")]
    pub value: Value,
    #[serde(rename = "t", with = "millis")]
    pub at: Timestamp,
}

impl Field {
    /// Keeps the newer value; at equal times the one whose JSON text is greater, so that the order of
    /// arrival cannot decide.
    fn join(&mut self, other: Self) -> bool {
        let newer = match other.at.cmp(&self.at) {
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => {
                let (theirs, ours) = (other.value.to_string(), self.value.to_string());
                theirs > ours
            }
        };
        if newer {
            *self = other;
        }
        newer
    }
}

/// The part of a contact that is kept as one document in the store.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    #[serde(skip)]
    pub id: Option<ContactId>,
    #[serde(default)]
    pub fields: BTreeMap<String, Field>,
    /// Purpose (`"email"`) → consent.
    #[serde(default)]
    pub consent: BTreeMap<String, Consent>,
    /// Whether the person ever gave us their data with a form, or a platform sent their contact.
    #[serde(default)]
    pub gave_data: bool,
    /// Automation → when it first ran for this contact.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "millis::map")]
    pub ran: BTreeMap<Name, Timestamp>,
    /// The sum of what our own scoring rules gave.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub points: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(points: &f64) -> bool {
    *points == 0.0
}

impl Contact {
    /// Takes over the fields as of `at`; tells whether anything changed.
    pub fn set_fields(&mut self, fields: &BTreeMap<String, Value>, at: Timestamp) -> bool {
        let at = millis::floor(at);
        let mut changed = false;
        for (name, value) in fields {
            changed |= self.set_field(
                name,
                Field {
                    value: value.clone(),
                    at,
                },
            );
        }
        changed
    }

    fn set_field(&mut self, name: &str, field: Field) -> bool {
        if let Some(known) = self.fields.get_mut(name) {
            return known.join(field);
        }
        self.fields.insert(name.to_owned(), field);
        true
    }

    /// Sets a field because a rule of ours says so. Unlike what arrives it beats a value of the same time: it follows
    /// from the very event that may have brought that one. Gives what was there before if it is another now.
    pub fn put(&mut self, name: &str, value: Value, at: Timestamp) -> Option<Option<Value>> {
        let at = millis::floor(at);
        match self.fields.get_mut(name) {
            Some(known) if known.value == value || known.at > at => None,
            Some(known) => Some(Some(std::mem::replace(known, Field { value, at }).value)),
            None => {
                self.fields.insert(name.to_owned(), Field { value, at });
                Some(None)
            }
        }
    }

    /// Puts a tag on or takes it off, likewise.
    pub fn set_tag(&mut self, tag: &str, on: bool, at: Timestamp) -> Option<Option<Value>> {
        let name = [TAG, tag].concat();
        let known = self.fields.get(&name);
        let has = known.is_some_and(|known| known.value == Value::Bool(true));
        (has != on).then(|| self.put(&name, Value::Bool(on), at))?
    }

    /// Merges what is known of a second contact that turned out to be the same person.
    pub fn join(&mut self, other: Self) -> bool {
        let mut changed = other.gave_data && !self.gave_data;
        self.gave_data |= other.gave_data;
        for (name, field) in other.fields {
            changed |= self.set_field(&name, field);
        }
        for (automation, at) in other.ran {
            let first = self.ran.entry(automation).or_insert(at);
            *first = at.min(*first);
        }
        // At least; the store counts them again from the rows of both, some of which may be the same.
        self.points = self.points.max(other.points);
        for (purpose, consent) in other.consent {
            changed |= self.consent.entry(purpose).or_default().join(&consent);
        }
        changed
    }

    /// The tags that the contact has.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.members(TAG)
    }

    /// The lists that the contact is on.
    pub fn lists(&self) -> impl Iterator<Item = &str> {
        self.members(LIST)
    }

    fn members<'a>(&'a self, prefix: &'static str) -> impl Iterator<Item = &'a str> {
        self.fields
            .range(prefix.to_owned()..)
            .take_while(move |(name, _)| name.starts_with(prefix))
            .filter(|(_, field)| field.value == Value::Bool(true))
            .filter_map(move |(name, _)| name.strip_prefix(prefix))
    }

    /// The value of a text field.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.value.as_str()
    }
}

/// Times as integer milliseconds since 1970, UTC, as everywhere in the store.
pub mod millis {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Without what the store would drop: a time must compare the same before and after it was stored.
    pub fn floor(at: Timestamp) -> Timestamp {
        Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
    }

    pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(at.as_millisecond())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        Timestamp::from_millisecond(i64::deserialize(deserializer)?).map_err(D::Error::custom)
    }

    /// The same for times by name.
    pub mod map {
        use std::collections::BTreeMap;

        use serde::Serializer;

        use super::{Deserialize, Deserializer, Error, Timestamp};
        use crate::id::Name;

        pub fn serialize<S: Serializer>(
            times: &BTreeMap<Name, Timestamp>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            serializer.collect_map(times.iter().map(|(name, at)| (name, at.as_millisecond())))
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<BTreeMap<Name, Timestamp>, D::Error> {
            BTreeMap::<Name, i64>::deserialize(deserializer)?
                .into_iter()
                .map(|(name, ms)| Ok((name, Timestamp::from_millisecond(ms).map_err(D::Error::custom)?)))
                .collect()
        }
    }

    /// The same for a time that may be missing.
    pub mod option {
        use super::{Deserialize, Deserializer, Error, Serializer, Timestamp};

        pub fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
            match at {
                Some(at) => serializer.serialize_some(&at.as_millisecond()),
                None => serializer.serialize_none(),
            }
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Timestamp>, D::Error> {
            Option::<i64>::deserialize(deserializer)?
                .map(|ms| Timestamp::from_millisecond(ms).map_err(D::Error::custom))
                .transpose()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mailbox_is_one_address_however_it_is_written() {
        for (text, expected) in [
            (" Ann@Example.ORG ", Some("ann@example.org")),
            ("ann+tag=1@example.org", Some("ann+tag=1@example.org")),
            (
                "o'neil_x.y-z@mail.example.org",
                Some("o'neil_x.y-z@mail.example.org"),
            ),
            ("\u{200b}ann@example.org\u{feff}", Some("ann@example.org")),
            ("mailto:ann@example.org", Some("ann@example.org")),
            ("\u{feff} mailto: ann@example.org", Some("ann@example.org")),
            ("ann@bücher.example。", Some("ann@xn--bcher-kva.example")),
            ("ann@x.example，ben＠y.example", None),
            ("ann@example.org.", Some("ann@example.org")),
            ("ann@bücher.example", Some("ann@xn--bcher-kva.example")),
            ("ann@XN--bcher-kva.example", Some("ann@xn--bcher-kva.example")),
            ("änn@example.org", Some("änn@example.org")),
            ("ann@localhost", Some("ann@localhost")),
            ("ann@example.org,ben@example.org", None),
            ("ann@example.org;ben@example.org", None),
            ("ann@@example.org", None),
            ("ann@example.org;x=1", None),
            ("Ann <ann@example.org>", None),
            ("ann@exam ple.org", None),
            ("an\u{0}n@example.org", None),
            ("ann@.example.org", None),
            ("ann@", None),
            ("@example.org", None),
            ("ann", None),
            ("", None),
        ] {
            assert_eq!(normal_email(text).as_deref(), expected, "{text:?}");
            if let Some(expected) = expected {
                assert_eq!(
                    normal_email(expected).as_deref(),
                    Some(expected),
                    "again: {text:?}"
                );
            }
        }
    }
}
