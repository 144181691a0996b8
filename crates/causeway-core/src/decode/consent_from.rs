//! Consent that stands in a field of the sender: a list field (`Newsletter` = `yes`), a status (`status` = `Disactive`), a
//! box on a form. Only values that are listed say something; nothing is assumed of others.

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value};

use super::{
    dates::{self, Reading},
    generic::at_path,
    names::canonical,
    sync::scalar,
};
use crate::consent::{ConsentFact, What};

/// What one field says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentFrom {
    /// The field's name, without regard to case, or a dotted path.
    pub field: String,
    pub purpose: String,
    /// Value → what it means. Compared without regard to case and white space around.
    pub words: Vec<(String, What)>,
    /// The field that tells since when; the time of the message if not given.
    pub at_field: Option<String>,
}

/// The facts that `fields` tell, as of `at`. What could not be used is noted, without the value.
pub(super) fn facts<'a>(
    rules: &[ConsentFrom],
    fields: impl Fn(&str) -> Option<&'a Value>,
    at: Timestamp,
    zone: &TimeZone,
    notes: &mut Vec<String>,
) -> Vec<ConsentFact> {
    let mut facts = Vec::new();
    for rule in rules {
        let values: Vec<String> = match fields(&rule.field) {
            None => continue,
            Some(Value::Array(values)) => values.iter().filter_map(said).collect(),
            Some(value) => said(value).into_iter().collect(),
        };
        for value in values {
            match rule.words.iter().find(|(word, _)| *word == value) {
                Some((_, what)) => facts.push(ConsentFact {
                    purpose: rule.purpose.clone(),
                    what: what.clone(),
                    at: since(rule, &fields, at, zone, notes),
                    basis: format!("field {}: {}", rule.field, what.as_str()),
                }),
                None => notes.push(format!(
                    "field {}: a value that `consent_from` does not list; nothing is assumed about {}",
                    rule.field, rule.purpose
                )),
            }
        }
    }
    facts
}

/// A value as words are compared; `None` when it says nothing.
fn said(value: &Value) -> Option<String> {
    let text = match value {
        Value::Bool(flag) => flag.to_string(),
        other => scalar(other)?,
    };
    Some(word(&text)).filter(|text| !text.is_empty())
}

/// How a value is compared.
pub fn word(text: &str) -> String {
    text.trim().to_lowercase()
}

/// Never later than the message: a yes from tomorrow would outweigh a no of today.
fn since<'a>(
    rule: &ConsentFrom,
    fields: &impl Fn(&str) -> Option<&'a Value>,
    at: Timestamp,
    zone: &TimeZone,
    notes: &mut Vec<String>,
) -> Timestamp {
    let Some(name) = &rule.at_field else { return at };
    match fields(name).and_then(scalar).map(|text| dates::read(&text, zone)) {
        Some(Reading::At(since)) => since.min(at),
        None | Some(Reading::Nothing) => at,
        Some(Reading::Unreadable) => {
            notes.push(format!(
                "field {name}: a date that cannot be read; the message's is used"
            ));
            at
        }
    }
}

/// Looks for a field by its name, by our name for it, without regard to case, and as a path.
pub(super) fn in_object<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields
        .get(name)
        .or_else(|| fields.get(canonical(name)?))
        .or_else(|| {
            let found = fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value)
        })
        .or_else(|| {
            let (first, rest) = name.split_once('.')?;
            at_path(fields.get(first)?, rest)
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules() -> Vec<ConsentFrom> {
        let words = |words: &[(&str, What)]| {
            words
                .iter()
                .map(|(text, what)| (word(text), what.clone()))
                .collect()
        };
        vec![
            ConsentFrom {
                field: "Newsletter".to_owned(),
                purpose: "email".to_owned(),
                words: words(&[
                    ("Yes", What::OptIn),
                    ("1", What::OptIn),
                    ("no", What::Unsubscribed),
                ]),
                at_field: Some("Newsletter date".to_owned()),
            },
            ConsentFrom {
                field: "calls.allowed".to_owned(),
                purpose: "phone".to_owned(),
                words: words(&[("true", What::OptIn), ("false", What::Declined)]),
                at_field: None,
            },
        ]
    }

    fn told(fields: &Value) -> (Vec<(String, &'static str, String)>, Vec<String>) {
        let fields = fields.as_object().unwrap();
        let at = "2026-05-01T10:00:00Z".parse().unwrap();
        let mut notes = Vec::new();
        let facts = facts(
            &rules(),
            |name| in_object(fields, name),
            at,
            &TimeZone::UTC,
            &mut notes,
        );
        let facts = facts
            .into_iter()
            .map(|fact| (fact.purpose, fact.what.as_str(), fact.at.to_string()))
            .collect();
        (facts, notes)
    }

    #[test]
    fn listed_values_say_something_and_no_others() {
        let now = "2026-05-01T10:00:00Z";
        for (fields, expected) in [
            (json!({ "Newsletter": " YES " }), vec![("email", "opt_in", now)]),
            (json!({ "newsletter": 1 }), vec![("email", "opt_in", now)]),
            (
                json!({ "NEWSLETTER": "No" }),
                vec![("email", "unsubscribed", now)],
            ),
            (
                json!({ "Newsletter": ["yes", "no"] }),
                vec![("email", "opt_in", now), ("email", "unsubscribed", now)],
            ),
            (
                json!({ "calls": { "allowed": true } }),
                vec![("phone", "opt_in", now)],
            ),
            (
                json!({ "calls.allowed": false }),
                vec![("phone", "declined", now)],
            ),
            (
                json!({ "Newsletter": "yes", "Newsletter date": "2026-04-01 08:00" }),
                vec![("email", "opt_in", "2026-04-01T08:00:00Z")],
            ),
            // Not before it came.
            (
                json!({ "Newsletter": "yes", "Newsletter date": "2027-04-01" }),
                vec![("email", "opt_in", now)],
            ),
            (
                json!({ "Newsletter": "yes", "Newsletter date": "N/A" }),
                vec![("email", "opt_in", now)],
            ),
            (json!({ "Newsletter": "" }), vec![]),
            (json!({ "Newsletter": null }), vec![]),
            (json!({ "Newsletters": "yes" }), vec![]),
        ] {
            let (facts, notes) = told(&fields);
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(purpose, what, at)| (purpose.to_owned(), what, at.to_owned()))
                .collect();
            assert_eq!(facts, expected, "{fields}");
            assert_eq!(notes, Vec::<String>::new(), "{fields}");
        }
    }

    #[test]
    fn what_is_not_listed_is_noted_without_the_value() {
        let (facts, notes) = told(&json!({ "Newsletter": "maybe", "calls": { "allowed": { "x": 1 } } }));
        assert_eq!(facts, []);
        assert_eq!(notes.len(), 1);
        assert!(
            notes[0].contains("field Newsletter") && !notes[0].contains("maybe"),
            "{notes:?}"
        );
        let (facts, notes) = told(&json!({ "Newsletter": "yes", "Newsletter date": "soon" }));
        assert_eq!(facts.len(), 1);
        assert!(notes[0].contains("cannot be read"), "{notes:?}");
    }
}
