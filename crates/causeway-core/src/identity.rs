//! What identifies a contact: an address, a reference of Proca's, the id of a platform.

use serde::{Deserialize, Serialize};

use crate::id::Name;

/// What identifies a contact; unique within a workspace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Identity {
    /// Trimmed and lower-cased; see [`crate::address::normal_email`].
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

    /// A browser or device, by the id that `namespace` gave it.
    pub fn visitor(namespace: &str, id: String) -> Self {
        Self::ForeignId {
            namespace: format!("{namespace}{VISITOR}").into(),
            id,
        }
    }

    /// A telephone number, for a person about whom `namespace` sent nothing else. Returns `None` if the text
    /// is not a telephone number.
    pub fn phone(namespace: &str, number: &str) -> Option<Self> {
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        let (plus, number) = match number.trim().strip_prefix('+') {
            Some(rest) => ("+", digits(rest)),
            None => ("", digits(number)),
        };
        let is_number = number.len() >= FEWEST_DIGITS && number.bytes().any(|digit| digit != b'0');
        is_number.then(|| Self::ForeignId {
            namespace: format!("{namespace}{PHONE}").into(),
            id: format!("{plus}{number}"),
        })
    }

    /// Whether it names a browser or device. Two people may share one, so it never merges two known people.
    pub fn is_visitor(&self) -> bool {
        matches!(self, Self::ForeignId { namespace, .. } if namespace.ends_with(VISITOR))
    }

    /// Whether it is a system's name for a person, and neither an address nor a browser.
    pub fn is_of_contact(&self) -> bool {
        !matches!(self, Self::Email { .. }) && !self.is_visitor()
    }

    /// The reverse of the three columns that the store keeps.
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

/// Suffix of a namespace that holds ids of visitors, apart from those of contacts.
const VISITOR: &str = ":visitor";
/// Suffix of a namespace that holds telephone numbers of people who came without address and id.
const PHONE: &str = ":phone";
/// Shorter numbers are extensions, which many people share.
const FEWEST_DIGITS: usize = 6;
