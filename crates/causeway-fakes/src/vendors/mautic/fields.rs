//! Contact fields, and the values that they take.

use serde_json::{Map, Value, json};

use super::{errors::Failure, php};

/// A contact field.
#[derive(Debug, Clone)]
pub struct Field {
    pub alias: String,
    pub label: String,
    pub kind: FieldKind,
    /// Contacts are found by it.
    pub is_unique: bool,
    pub is_published: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    Text,
    Email,
    Country,
    Number,
    Boolean,
    Multiselect,
}

/// The longest text of a field.
const LONGEST: usize = 191;

/// Some of the countries that Mautic offers, by the names that it wants.
const COUNTRIES: [&str; 52] = [
    "Albania",
    "Argentina",
    "Australia",
    "Austria",
    "Belgium",
    "Bosnia and Herzegovina",
    "Brazil",
    "Bulgaria",
    "Canada",
    "Chile",
    "China",
    "Croatia",
    "Cyprus",
    "Czech Republic",
    "Denmark",
    "Estonia",
    "Finland",
    "France",
    "Germany",
    "Greece",
    "Hungary",
    "Iceland",
    "India",
    "Ireland",
    "Italy",
    "Japan",
    "Latvia",
    "Liechtenstein",
    "Lithuania",
    "Luxembourg",
    "Malta",
    "Mexico",
    "Moldova",
    "Montenegro",
    "Netherlands",
    "New Zealand",
    "Norway",
    "Poland",
    "Portugal",
    "Romania",
    "Russia",
    "Serbia",
    "Slovakia",
    "Slovenia",
    "South Africa",
    "Spain",
    "Sweden",
    "Switzerland",
    "Turkey",
    "Ukraine",
    "United Kingdom",
    "United States",
];

impl Field {
    pub fn new(alias: &str, kind: FieldKind) -> Self {
        Self {
            alias: alias.to_owned(),
            label: alias.to_owned(),
            kind,
            is_unique: kind == FieldKind::Email,
            is_published: true,
        }
    }

    /// The fields of a new site.
    pub(super) fn core() -> Vec<Self> {
        let text = [
            "title",
            "firstname",
            "lastname",
            "company",
            "position",
            "mobile",
            "phone",
            "fax",
            "address1",
            "address2",
            "city",
            "state",
            "zipcode",
            "preferred_locale",
            "timezone",
            "website",
        ];
        let mut fields: Vec<Self> = text.map(|alias| Self::new(alias, FieldKind::Text)).into();
        fields.push(Self::new("email", FieldKind::Email));
        fields.push(Self::new("country", FieldKind::Country));
        fields.push(Self::new("attribution", FieldKind::Number));
        fields
    }

    pub(super) fn shown(&self, id: u64) -> Value {
        let kind = match self.kind {
            FieldKind::Text => "text",
            FieldKind::Email => "email",
            FieldKind::Country => "country",
            FieldKind::Number => "number",
            FieldKind::Boolean => "boolean",
            FieldKind::Multiselect => "multiselect",
        };
        json!({
            "id": id, "label": self.label, "alias": self.alias, "type": kind, "group": "core", "object": "lead",
            "isPublished": self.is_published,
        })
    }

    /// The value as it is stored, or why it is refused.
    fn check(&self, value: &Value) -> Result<String, Failure> {
        if value.is_object() || (value.is_array() && self.kind != FieldKind::Multiselect) {
            return Err(Failure::invalid(&self.alias, "This value is not valid."));
        }
        let text = match value {
            Value::Array(items) => items.iter().map(php::text).collect::<Vec<_>>().join("|"),
            other => php::text(other).trim().to_owned(),
        };
        if text.is_empty() {
            return Ok(text);
        }
        let is_valid = match self.kind {
            FieldKind::Email => is_address(&text),
            FieldKind::Country => COUNTRIES.contains(&text.as_str()),
            FieldKind::Number => text.parse::<f64>().is_ok(),
            FieldKind::Text | FieldKind::Boolean | FieldKind::Multiselect => true,
        };
        if !is_valid {
            return Err(Failure::invalid(&self.alias, "This value is not valid."));
        }
        if self.kind == FieldKind::Text && text.chars().count() > LONGEST {
            let message = format!("This value is too long. It should have {LONGEST} characters or less.");
            return Err(Failure::invalid(&self.alias, &message));
        }
        Ok(if self.kind == FieldKind::Email {
            text.to_lowercase()
        } else {
            text
        })
    }
}

fn is_address(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, host)| {
        let is_host = host.contains('.') && !host.starts_with('.') && !host.ends_with('.');
        !name.is_empty() && is_host && !text.contains(char::is_whitespace) && text.matches('@').count() == 1
    })
}

/// The values of fields that exist. Other members of the contact are passed over. Every refused value is named.
pub(super) fn checked(
    fields: &[Field],
    given: &Map<String, Value>,
) -> Result<Vec<(String, String)>, Failure> {
    let mut values = Vec::new();
    let mut messages = Map::new();
    for field in fields.iter().filter(|field| field.is_published) {
        let Some(value) = given.get(&field.alias) else {
            continue;
        };
        match field.check(value) {
            Ok(value) => values.push((field.alias.clone(), value)),
            Err(failure) => messages.extend(failure.into_messages()),
        }
    }
    if messages.is_empty() {
        return Ok(values);
    }
    let text = messages
        .iter()
        .map(|(field, message)| format!("{field}: {}", message[0].as_str().unwrap_or_default()));
    let text = text.collect::<Vec<_>>().join(", ");
    Err(Failure::new(400, &text).with_details(messages.into()))
}
