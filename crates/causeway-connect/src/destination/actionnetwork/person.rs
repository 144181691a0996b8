//! A person in Action Network's form.

use serde_json::{Map, Value, json};

use super::{Memo, config::OWN};

const ADDRESS: [(&str, &str); 4] = [
    ("locality", "locality"),
    ("region", "region"),
    ("postal_code", "postal_code"),
    ("country", "country"),
];

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// Action Network takes an address without a country for one in the United States, so none is sent then.
pub(super) fn check_address(fields: &mut Map<String, Value>) -> Option<String> {
    let parts = ["street", "locality", "region", "postal_code"];
    if fields.contains_key("country") || !parts.iter().any(|part| fields.contains_key(*part)) {
        return None;
    }
    for part in parts {
        fields.shift_remove(part);
    }
    Some(
        "the address is left out: its country is unknown, and Action Network would take it for one in the US"
            .to_owned(),
    )
}

/// The member `person` of a signup, or the body of an update.
pub(super) fn person(memo: &Memo) -> Value {
    let mut email = json!({ "address": memo.email });
    if let (Some(status), Some(email)) = (memo.status, email.as_object_mut()) {
        email.insert("status".to_owned(), status.into());
    }
    let mut person = Map::from_iter([("email_addresses".to_owned(), json!([email]))]);
    let field = |name: &str| memo.fields.get(name).map(text);
    for name in ["given_name", "family_name"] {
        person.extend(field(name).map(|value| (name.to_owned(), value.into())));
    }
    // `de_AT` is German. A code that is not known would become English.
    let language = field("language").map(|code| code.chars().take(2).collect::<String>().to_lowercase());
    person.extend(language.map(|code| ("languages_spoken".to_owned(), json!([code]))));
    let mut address = Map::new();
    address.extend(field("street").map(|street| ("address_lines".to_owned(), json!([street]))));
    for (name, own) in ADDRESS {
        address.extend(field(name).map(|value| (own.to_owned(), value.into())));
    }
    if !address.is_empty() {
        person.insert("postal_addresses".to_owned(), json!([address]));
    }
    let digits: String = field("phone")
        .unwrap_or_default()
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    if !digits.is_empty() {
        person.insert("phone_numbers".to_owned(), json!([{ "number": digits }]));
    }
    let custom = memo.fields.iter().filter(|(name, _)| !OWN.contains(&&***name));
    let custom: Map<String, Value> = custom
        .map(|(name, value)| (name.clone(), text(value).into()))
        .collect();
    if !custom.is_empty() {
        person.insert("custom_fields".to_owned(), custom.into());
    }
    person.into()
}
