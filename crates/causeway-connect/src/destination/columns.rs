//! A column of a configured table, and what the statements or requests that write it must know about its value.

use std::collections::BTreeSet;

use causeway_core::{
    consent::Change,
    contact::{Identity, LIST_FIELD_IDS, normal_email},
    delivery::Kind,
    mapping::{ConsentShown, Mapping, MappingError, Path, Scope, Tables, Term},
    record::Record,
};
use serde_json::Value;

/// The name under which the columns of a table of engagements read an engagement.
pub const ROW: &str = "row";

/// A column and the source of its value.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an independent property of the column"
)]
pub struct Mapped {
    pub name: String,
    pub term: Term,
    pub is_key: bool,
    /// Differs between opt-out and opt-in: a withdrawal must set it.
    pub shows_consent: bool,
    /// Reads the consent state. Null is then a value like any other, since an outdated reason for suppression
    /// must not stay in the row.
    pub reads_consent: bool,
    /// Holds personal data, rather than where or when it came from.
    pub is_personal: bool,
    /// Holds the contact's address and nothing else.
    pub is_address: bool,
}

impl Mapped {
    pub fn read(
        name: &str,
        value: &Value,
        is_key: bool,
        lookups: &Tables,
        names: &[&str],
    ) -> Result<Self, MappingError> {
        let alone = Mapping::read([(name, value)], lookups, names)?;
        let term = alone
            .terms()
            .next()
            .map_or(Term::Fixed(Value::Null), |(_, term)| term.clone());
        Ok(Self {
            name: name.to_owned(),
            is_key,
            shows_consent: alone.consent_shown() != ConsentShown::Only(BTreeSet::new()),
            reads_consent: term
                .names()
                .iter()
                .any(|path| matches!(root(path), "consent" | "change" | "type")),
            is_personal: term.names().iter().any(|path| is_personal(path)),
            is_address: path(&term) == "contact.email",
            term,
        })
    }

    /// Whether a withdrawal sets the column. The address of a withdrawal may be a former one, and its row may be somebody
    /// else's by now: such a row gets the consent state, and no personal data.
    pub fn is_for_withdrawals(&self) -> bool {
        self.is_key || self.shows_consent || self.reads_consent || !self.is_personal
    }

    /// The column's value, or the reason why there is none.
    pub fn eval(&self, scope: &Scope) -> Result<Value, String> {
        self.term.eval(scope).map_err(|mut error| {
            error.field = Some(match error.field {
                Some(inner) => format!("{}.{inner}", self.name),
                None => self.name.clone(),
            });
            error.to_string()
        })
    }

    /// Whether null is a value of the record, and not just a missing one: the column is then emptied.
    pub fn means_null(&self, record: &Record) -> bool {
        self.reads_consent || self.term.names().iter().any(|path| is_emptied(path, record))
    }

    /// The path of the value, as written; empty if the value is more than a path.
    pub fn path(&self) -> String {
        path(&self.term)
    }
}

/// Whether the record says that the person may be used less than before.
pub fn is_opt_out(record: &Record) -> bool {
    record.kind == Kind::Withdrawal || matches!(record.change, Change::Unsubscribe | Change::Suppress)
}

/// The contact's addresses that the record is not about. Each has a consent of its own.
pub fn other_addresses(record: &Record) -> BTreeSet<String> {
    let own = record.email().and_then(normal_email);
    let all = record.identities.iter().filter_map(|identity| match identity {
        Identity::Email { address } => Some(address.clone()),
        _ => None,
    });
    all.filter(|address| own.as_ref() != Some(address)).collect()
}

/// Without NUL, which PostgreSQL refuses and which has no meaning.
pub fn without_nul(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace('\0', "")),
        Value::Array(items) => items.iter().map(without_nul).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.replace('\0', ""), without_nul(value)))
            .collect(),
        other => other.clone(),
    }
}

fn path(term: &Term) -> String {
    term.as_path().map(ToString::to_string).unwrap_or_default()
}

fn root(path: &Path) -> &str {
    path.steps.first().map_or("", String::as_str)
}

fn is_personal(path: &Path) -> bool {
    let steps: Vec<&str> = path.steps.iter().map(String::as_str).collect();
    match *steps.as_slice() {
        [
            "contact" | "fields" | "engagement" | "lead" | "tracking" | ROW,
            ..,
        ]
        | ["action"] => true,
        ["action", part, ..] => matches!(part, "fields" | "donation" | "tracking"),
        _ => false,
    }
}

/// Whether the path names a field of the contact that its source cleared: it exists, and is null.
fn is_emptied(path: &Path, record: &Record) -> bool {
    let [root, name, ..] = path.steps.as_slice() else {
        return false;
    };
    let fields = &record.contact.fields;
    let is_null = |known: &str| fields.get(known).is_some_and(|field| field.value.is_null());
    match root.as_str() {
        // `first_name` and `firstName` are the same field.
        "contact" => fields.keys().any(|known| is_same(known, name) && is_null(known)),
        "fields" => {
            is_null(name)
                || fields
                    .range(LIST_FIELD_IDS.to_owned()..)
                    .take_while(|(known, _)| known.starts_with(LIST_FIELD_IDS))
                    .filter_map(|(_, ids)| ids.value.as_object())
                    .flatten()
                    .any(|(label, id)| id.as_str() == Some(name) && is_null(label))
        }
        _ => false,
    }
}

fn is_same(one: &str, other: &str) -> bool {
    fn letters(name: &str) -> impl Iterator<Item = char> {
        name.chars().filter(|c| *c != '_').flat_map(char::to_lowercase)
    }
    letters(one).eq(letters(other))
}

#[cfg(test)]
mod tests {
    use causeway_core::contact::Field;
    use causeway_testkit::destination_contract::delivery;

    use super::*;

    fn mapped(text: &str) -> Mapped {
        Mapped::read("column", &text.into(), false, &Tables::default(), &[]).unwrap()
    }

    #[test]
    fn null_is_a_value_for_consent_and_for_a_field_that_was_cleared() {
        let mut record = delivery(1).record;
        let null = Field::new(Value::Null, record.contact.fields["email"].at);
        record.contact.fields.insert("phone".to_owned(), null.clone());
        record.contact.fields.insert("birthDate".to_owned(), null);
        for (text, means_null) in [
            ("contact.phone", true),
            ("contact.phone | upper", true),
            ("contact.birth_date", true),
            ("fields.phone", true),
            ("contact.street", false),
            ("consent.email.since", true),
            ("=text", false),
        ] {
            assert_eq!(mapped(text).means_null(&record), means_null, "{text}");
        }
    }

    #[test]
    fn a_column_shows_consent_when_an_opt_out_changes_it() {
        for (text, shows, is_personal) in [
            ("consent.email.subscribed", true, false),
            ("consent.email.state | upper", true, false),
            ("consent.email.since", false, false),
            ("change", true, false),
            ("contact.phone", false, true),
            ("{{ contact.phone }} {{ change }}", true, true),
            ("action.fields", false, true),
            ("action.id", false, false),
            ("source", false, false),
        ] {
            let mapped = mapped(text);
            assert_eq!(
                (mapped.shows_consent, mapped.is_personal),
                (shows, is_personal),
                "{text}"
            );
        }
    }

    #[test]
    fn only_a_bare_path_decides_the_type_of_its_column() {
        for (text, expected) in [
            ("contact.birthDate", "contact.birthDate"),
            (" at ", "at"),
            ("at | date", ""),
            ("=at", ""),
        ] {
            assert_eq!(mapped(text).path(), expected, "{text}");
        }
    }
}
