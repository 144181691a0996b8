//! Values as Mailchimp takes them. One that is not known is left out, so that it clears nothing.

use serde_json::{Map, Value};

/// The longest text of a merge field.
const LONGEST: usize = 255;

/// The longest name of a tag.
const LONGEST_TAG: usize = 100;

/// The parts that Mailchimp requires of an address. Countries without states have a dash.
const REQUIRED: [&str; 3] = ["addr1", "city", "zip"];

pub(super) fn merge_fields(values: Vec<(String, Value)>, notes: &mut Vec<String>) -> Map<String, Value> {
    let mut fields = Map::new();
    for (name, value) in values {
        let value = match value {
            Value::Object(parts) => {
                let whole = address(&parts);
                let is_begun = parts.values().any(|part| text(part).is_some());
                if whole.is_none() && is_begun {
                    notes.push(format!(
                        "left out {name}: Mailchimp needs addr1, city and zip of an address"
                    ));
                }
                whole
            }
            number @ Value::Number(_) => Some(number),
            other => text(&other).map(|text| match cut(&text, LONGEST) {
                short if short.len() < text.len() => {
                    notes.push(format!("cut {name} to {LONGEST} bytes"));
                    short.into()
                }
                whole => whole.into(),
            }),
        };
        fields.extend(value.map(|value| (name, value)));
    }
    fields
}

/// A whole address, or none: Mailchimp loses half an address without a word.
fn address(parts: &Map<String, Value>) -> Option<Value> {
    let known = parts.iter();
    let mut whole: Map<String, Value> = known
        .filter_map(|(name, part)| Some((name.clone(), text(part)?.into())))
        .collect();
    if REQUIRED.iter().any(|name| !whole.contains_key(*name)) {
        return None;
    }
    whole.entry("state").or_insert_with(|| "-".into());
    Some(Value::Object(whole))
}

/// The texts of all values that are known.
pub(super) fn texts(values: Vec<(String, Value)>) -> Map<String, Value> {
    let named = values.into_iter();
    named
        .filter_map(|(name, value)| Some((name, text(&value)?.into())))
        .collect()
}

/// The names of tags, each once.
pub(super) fn tags(values: Vec<(String, Value)>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (_, value) in values {
        let all = match value {
            Value::Array(all) => all,
            one => vec![one],
        };
        for name in all.iter().filter_map(text) {
            let name = cut(name.trim(), LONGEST_TAG).to_owned();
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

/// One text; several values are separated by commas.
fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        Value::Array(items) => items
            .iter()
            .filter_map(text_of_item)
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    };
    (!text.is_empty()).then_some(text)
}

fn text_of_item(item: &Value) -> Option<String> {
    match item {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The start of a text, without a part of a letter at its end.
fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The languages that Mailchimp knows.
const LANGUAGES: [&str; 51] = [
    "en", "ar", "af", "be", "bg", "ca", "zh", "hr", "cs", "da", "nl", "et", "fa", "fi", "fr", "fr_CA", "de",
    "el", "he", "hi", "hu", "is", "id", "ga", "it", "ja", "km", "ko", "lv", "lt", "mt", "ms", "mk", "no",
    "pl", "pt", "pt_PT", "ro", "ru", "sr", "sk", "sl", "es", "es_ES", "sw", "sv", "ta", "th", "tr", "uk",
    "vi",
];

/// Mailchimp's code for a locale: the variant if it has one, else the language.
pub(super) fn language(locale: &str) -> Option<&'static str> {
    let locale = locale.replace('-', "_");
    let known = |wanted: &str| {
        let mut all = LANGUAGES.into_iter();
        all.find(|code| code.eq_ignore_ascii_case(wanted))
    };
    known(&locale).or_else(|| known(locale.split('_').next()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_locale_becomes_a_language_that_mailchimp_knows() {
        for (locale, expected) in [
            ("de_AT", Some("de")),
            ("de", Some("de")),
            ("fr-CA", Some("fr_CA")),
            ("fr_FR", Some("fr")),
            ("es_ES", Some("es_ES")),
            ("EN", Some("en")),
            ("eo", None),
            ("", None),
        ] {
            assert_eq!(language(locale), expected, "{locale}");
        }
    }

    #[test]
    fn an_address_is_sent_whole_or_not_at_all() {
        let mut notes = Vec::new();
        let mut one = |value| merge_fields(vec![("ADDRESS".to_owned(), value)], &mut notes);
        let whole = json!({ "addr1": "Rue Haute 1", "city": "Brussels", "zip": 1000, "country": "BE", "state": null });
        assert_eq!(
            one(whole)["ADDRESS"],
            json!({ "addr1": "Rue Haute 1", "city": "Brussels", "zip": "1000", "country": "BE", "state": "-" })
        );
        assert!(one(json!({ "addr1": null, "city": "" })).is_empty());
        assert!(one(json!({ "addr1": "Rue Haute 1", "city": "", "zip": "1000" })).is_empty());
        assert_eq!(
            notes.len(),
            1,
            "an address that is not known at all needs no note"
        );
    }

    #[test]
    fn values_become_texts_of_a_length_that_mailchimp_takes() {
        let mut notes = Vec::new();
        let long = "é".repeat(200);
        let values =
            json!({ "A": null, "B": "", "C": true, "D": 7, "E": ["x", null, 2], "F": long, "G": [] });
        let values = values.as_object().unwrap().clone().into_iter().collect();
        let fields = merge_fields(values, &mut notes);
        assert_eq!(
            Value::Object(fields),
            json!({ "C": "true", "D": 7, "E": "x, 2", "F": "é".repeat(127) })
        );
        assert_eq!(notes, ["cut F to 255 bytes"]);
    }

    #[test]
    fn tags_are_named_once() {
        let values = json!({ "0": "proca", "1": ["rivers", "proca", null], "2": null, "3": " " });
        let values = values.as_object().unwrap().clone().into_iter().collect();
        assert_eq!(tags(values), ["proca", "rivers"]);
    }
}
