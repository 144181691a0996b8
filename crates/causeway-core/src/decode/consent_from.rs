//! Consent that stands in a field of the sender: a list field (`Newsletter` = `yes`), a status (`status` = `Disactive`), a
//! box on a form. Only values that are listed say something; nothing is assumed of others.

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value};

use super::{
    dates::{self, Reading},
    generic::{at_path, unix_time},
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
    /// The field that tells since when; the time of the message if not given. A yes without a date in it does not count:
    /// such a field is sent with every record, and would end any no that was said since.
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
                Some((_, what)) => {
                    let dated = since(rule, &fields, at, zone);
                    if dated.is_none() {
                        notes.push(undated(rule, what));
                        if what.is_yes() {
                            continue;
                        }
                    }
                    facts.push(ConsentFact::new(
                        &*rule.purpose,
                        what.clone(),
                        dated.unwrap_or(at),
                        format!("field {}: {}", rule.field, what.as_str()),
                    ));
                }
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

/// Never later than the message: a yes from tomorrow would outweigh a no of today. `None` where a date was asked for and
/// there is none that can be read.
fn since<'a>(
    rule: &ConsentFrom,
    fields: &impl Fn(&str) -> Option<&'a Value>,
    at: Timestamp,
    zone: &TimeZone,
) -> Option<Timestamp> {
    let Some(name) = &rule.at_field else {
        return Some(at);
    };
    let text = scalar(fields(name)?)?;
    let since = match (unix_time(&text), dates::read(&text, zone)) {
        (Some(since), _) | (None, Reading::At(since)) => since,
        (None, Reading::Nothing | Reading::Unreadable) => return None,
    };
    Some(since.min(at))
}

fn undated(rule: &ConsentFrom, what: &What) -> String {
    let (field, date) = (&rule.field, rule.at_field.as_deref().unwrap_or_default());
    let then = if what.is_yes() {
        "so a yes is not counted"
    } else {
        "so the no counts from this message on"
    };
    format!("field {field}: {date} holds no date that can be read, {then}")
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
            (
                json!({ "Newsletter": " YES ", "newsletter DATE": "2026-05-01T10:00:00Z" }),
                vec![("email", "opt_in", now)],
            ),
            (
                json!({ "newsletter": 1, "Newsletter date": 1_777_629_600 }),
                vec![("email", "opt_in", now)],
            ),
            (
                json!({ "NEWSLETTER": "No", "Newsletter date": "2026-05-02" }),
                vec![("email", "unsubscribed", now)],
            ),
            (
                json!({ "Newsletter": ["yes", "no"], "Newsletter date": "2026-05-02" }),
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
    }

    /// The field comes with every record, also long after a no was said elsewhere.
    #[test]
    fn a_yes_without_its_date_does_not_count_and_a_no_does() {
        for date in [
            json!("soon"),
            json!("N/A"),
            json!(""),
            json!(null),
            json!("01.13.2026"),
        ] {
            for (value, expected) in [("yes", 0), ("no", 1)] {
                let (facts, notes) = told(&json!({ "Newsletter": value, "Newsletter date": date }));
                assert_eq!(facts.len(), expected, "{value} {date}");
                assert!(notes[0].contains("Newsletter date holds no date"), "{notes:?}");
                let (facts, notes) = told(&json!({ "Newsletter": value }));
                assert_eq!((facts.len(), notes.len()), (expected, 1), "{value}");
            }
        }
    }
}
