//! The attributes that contacts have, and which values they take.

use std::collections::BTreeMap;

use jiff::civil;
use serde_json::{Value, json};

use super::{
    Brevo,
    call::{Answer, Call, Failure},
};
use crate::fake_api::Reply;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Text,
    Date,
    Float,
    Boolean,
    /// A telephone number that names one contact. A number that is none rejects the contact.
    Phone,
}

pub(super) fn of_a_new_account() -> BTreeMap<String, Type> {
    let all = [
        ("FIRSTNAME", Type::Text),
        ("LASTNAME", Type::Text),
        ("SMS", Type::Phone),
        ("WHATSAPP", Type::Phone),
        ("LANDLINE_NUMBER", Type::Phone),
        ("EXT_ID", Type::Text),
    ];
    all.map(|(name, kind)| (name.to_owned(), kind)).into()
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Self::Text | Self::Phone => "text",
            Self::Date => "date",
            Self::Float => "float",
            Self::Boolean => "boolean",
        }
    }

    /// The value as it is kept; `None` if it is ignored.
    pub(super) fn kept(self, value: &Value) -> Option<Value> {
        match (self, value) {
            (Self::Date, Value::String(text)) => text
                .get(..10)?
                .parse::<civil::Date>()
                .is_ok()
                .then(|| value.clone()),
            (Self::Text, Value::String(_))
            | (Self::Text | Self::Float, Value::Number(_))
            | (Self::Boolean, Value::Bool(_)) => Some(value.clone()),
            (Self::Phone, Value::String(text)) => Some(phone(text)?.into()),
            (Self::Phone, Value::Number(number)) => Some(phone(&number.to_string())?.into()),
            _ => None,
        }
    }
}

/// The digits of an international number.
pub(super) fn phone(text: &str) -> Option<String> {
    let text: String = text
        .chars()
        .filter(|sign| !matches!(sign, ' ' | '-' | '(' | ')'))
        .collect();
    let digits = text
        .strip_prefix('+')
        .or(text.strip_prefix("00"))
        .unwrap_or(&text);
    let is_number = (8..=15).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.starts_with('0');
    is_number.then(|| digits.to_owned())
}

impl Brevo {
    pub(super) fn attributes(&mut self, rest: &[&str], call: &Call<'_>) -> Answer {
        match (call.method, rest) {
            ("GET", []) => {
                let all = self.attributes.iter();
                let all: Vec<Value> = all
                    .map(|(name, kind)| json!({ "name": name, "category": "normal", "type": kind.name() }))
                    .collect();
                Ok(Reply::json(200, &json!({ "attributes": all })))
            }
            ("POST", ["normal", name]) => {
                let body = call.json()?;
                let kind = match body.get("type").and_then(Value::as_str) {
                    Some("text") => Type::Text,
                    Some("date") => Type::Date,
                    Some("float") => Type::Float,
                    Some("boolean") => Type::Boolean,
                    _ => return Err(Failure::invalid("Attribute type is not valid")),
                };
                let name = name.to_uppercase();
                if self.attributes.contains_key(&name) {
                    return Err(Failure::new(
                        400,
                        "duplicate_parameter",
                        "Attribute name must be unique",
                    ));
                }
                self.attributes.insert(name, kind);
                Ok(Reply::status(201))
            }
            _ => Err(Failure::unknown_path()),
        }
    }
}
