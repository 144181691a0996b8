//! Where the value of a column comes from: a dotted path into the canonical record, or a literal text.

use causeway_core::{consent::Standing, record::Record};
use serde_json::{Value, json};

/// The first words that a path may have.
const ROOTS: [&str; 11] = [
    "type",
    "event",
    "at",
    "workspace",
    "source",
    "reference",
    "contact",
    "consent",
    "action",
    "campaign",
    "page",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// `"=text"`
    Literal(Value),
    /// `"contact.firstName"`; never empty.
    Path(Vec<String>),
}

impl Source {
    /// Reads the text of the configuration. The error is for the person who wrote it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(literal) = text.strip_prefix('=') {
            return Ok(Self::Literal(literal.into()));
        }
        let path: Vec<String> = text.split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            return Err("a path is words with dots between them, as in contact.firstName".to_owned());
        }
        if !path.first().is_some_and(|root| ROOTS.contains(&root.as_str())) {
            return Err(format!(
                "a path starts with one of {}; a fixed text starts with `=`",
                ROOTS.join(", ")
            ));
        }
        Ok(Self::Path(path))
    }

    /// The value in a record as [`complete`] gives it; `None` when there is none.
    pub(super) fn value<'a>(&'a self, record: &'a Value) -> Option<&'a Value> {
        let path = match self {
            Self::Literal(text) => return Some(text),
            Self::Path(path) => path,
        };
        path.iter().try_fold(record, |value, word| match value {
            Value::Array(items) => items.get(word.parse::<usize>().ok()?),
            _ => value.get(word),
        })
    }

    /// Whether an existing row keeps its value when the record has none. Consent is told in full each time: a reason
    /// for suppression that is gone must not stay in the row.
    pub(super) fn keeps_when_missing(&self) -> bool {
        match self {
            Self::Literal(_) => false,
            Self::Path(path) => path.first().is_some_and(|root| root != "consent"),
        }
    }

    /// The path as it was written; `None` for a literal.
    pub(super) fn path(&self) -> Option<String> {
        match self {
            Self::Literal(_) => None,
            Self::Path(path) => Some(path.join(".")),
        }
    }

    fn purpose(&self) -> Option<&str> {
        match self {
            Self::Path(path) if path.first().is_some_and(|root| root == "consent") => {
                path.get(1).map(String::as_str)
            }
            _ => None,
        }
    }
}

/// The record as JSON, with a standing for each purpose that `sources` ask for: where nothing was ever said, that
/// is "unknown, not subscribed", not an absent value.
pub(super) fn complete<'a>(record: &Record, sources: impl Iterator<Item = &'a Source>) -> Value {
    let mut json = record.to_json();
    if let Some(consent) = json.get_mut("consent").and_then(Value::as_object_mut) {
        for purpose in sources.filter_map(Source::purpose) {
            if !consent.contains_key(purpose) {
                let unknown = Standing::Unknown;
                let entry = json!({ "state": unknown.as_str(), "subscribed": unknown.is_subscribed() });
                consent.insert(purpose.to_owned(), entry);
            }
        }
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_followed_and_a_literal_is_itself() {
        let record = json!({ "contact": { "ids": { "crm": 7 }, "tags": ["a", "b"] }, "action": null });
        for (text, expected) in [
            ("contact.ids.crm", Some(json!(7))),
            ("contact.tags.1", Some(json!("b"))),
            ("contact.tags.9", None),
            ("action.id", None),
            ("=contact.ids", Some(json!("contact.ids"))),
            ("=", Some(json!(""))),
        ] {
            let source = Source::parse(text).unwrap();
            assert_eq!(source.value(&record).cloned(), expected, "{text}");
        }
    }

    #[test]
    fn a_path_that_no_record_can_have_is_refused() {
        for text in ["", "contact.", ".email", "email", "Contact.email"] {
            assert!(Source::parse(text).is_err(), "{text}");
        }
    }
}
