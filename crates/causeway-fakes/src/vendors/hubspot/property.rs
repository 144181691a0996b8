//! Definitions of properties, and the values that they take.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::time;

/// The type of a property's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Bool,
    Date,
    DateTime,
    Enumeration,
    Number,
    PhoneNumber,
    String,
}

impl Type {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Bool, "bool"),
        (Self::Date, "date"),
        (Self::DateTime, "datetime"),
        (Self::Enumeration, "enumeration"),
        (Self::Number, "number"),
        (Self::PhoneNumber, "phone_number"),
        (Self::String, "string"),
    ];

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find_map(|(of, have)| (*have == name).then_some(*of))
    }

    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(of, _)| *of == self);
        found.map_or("string", |(_, name)| name)
    }
}

/// A property of contacts or notes.
#[derive(Debug, Clone)]
pub struct Property {
    pub name: String,
    pub label: String,
    pub of: Type,
    /// How forms show it: `text`, `select`, `checkbox` (several values, separated by `;`), …
    pub field_type: String,
    pub group: String,
    pub description: String,
    /// Value and label of each option of an enumeration.
    pub options: Vec<(String, String)>,
    /// No two records have the same value. It cannot be changed later.
    pub is_unique: bool,
    /// HubSpot computes it.
    pub is_read_only: bool,
    /// Comes with every account.
    pub is_hubspot_defined: bool,
    pub created: Timestamp,
    pub archived: Option<Timestamp>,
}

impl Property {
    pub fn new(name: &str, of: Type) -> Self {
        let field_type = match of {
            Type::Bool => "booleancheckbox",
            Type::Date | Type::DateTime => "date",
            Type::Enumeration => "select",
            Type::Number => "number",
            Type::PhoneNumber => "phonenumber",
            Type::String => "text",
        };
        Self {
            name: name.to_owned(),
            label: name.to_owned(),
            of,
            field_type: field_type.to_owned(),
            group: "contactinformation".to_owned(),
            description: String::new(),
            options: Vec::new(),
            is_unique: false,
            is_read_only: false,
            is_hubspot_defined: false,
            created: Timestamp::UNIX_EPOCH,
            archived: None,
        }
    }

    #[must_use]
    pub fn unique(self) -> Self {
        Self {
            is_unique: true,
            ..self
        }
    }

    #[must_use]
    pub fn read_only(self) -> Self {
        Self {
            is_read_only: true,
            ..self
        }
    }

    #[must_use]
    pub fn options(self, options: &[&str]) -> Self {
        let options = options
            .iter()
            .map(|value| ((*value).to_owned(), (*value).to_owned()));
        Self {
            options: options.collect(),
            ..self
        }
    }

    /// The code and the text of what is wrong with a value; an empty value clears the property.
    pub(super) fn complaint(&self, value: &str) -> Option<(&'static str, String)> {
        if self.is_read_only {
            let text = format!(
                "\"{}\" is a read only property; its value cannot be set.",
                self.name
            );
            return Some(("READ_ONLY_VALUE", text));
        }
        if value.is_empty() {
            return None;
        }
        match self.of {
            Type::Number if value.parse::<f64>().is_err() => {
                Some(("INVALID_NUMBER", format!("{value} was not a valid number.")))
            }
            Type::Date if !is_date(value) => Some(("INVALID_DATE", format!("{value} was not a valid date."))),
            Type::DateTime if moment(value).is_none() => {
                Some(("INVALID_DATE", format!("{value} was not a valid date.")))
            }
            Type::Bool if !matches!(value, "true" | "false") => {
                Some(("INVALID_OPTION", self.not_an_option(value)))
            }
            Type::Enumeration => {
                let values = value.split(';').filter(|value| !value.is_empty());
                let bad = if self.field_type == "checkbox" {
                    values.into_iter().find(|value| !self.has_option(value))
                } else {
                    (!self.has_option(value)).then_some(value)
                };
                bad.map(|bad| ("INVALID_OPTION", self.not_an_option(bad)))
            }
            _ if self.name == "email" && !is_address(value) => {
                Some(("INVALID_EMAIL", format!("Email address {value} is invalid")))
            }
            _ if self.name == "hs_additional_emails" => {
                let bad = addresses(value).find(|address| !is_address(address));
                bad.map(|bad| ("INVALID_EMAIL", format!("Email address {bad} is invalid")))
            }
            _ => None,
        }
    }

    fn has_option(&self, value: &str) -> bool {
        self.options.iter().any(|(have, _)| have == value)
    }

    fn not_an_option(&self, value: &str) -> String {
        let options = self
            .options
            .iter()
            .enumerate()
            .map(|(order, (value, label))| {
                format!(
                    "label: \"{label}\"\nvalue: \"{value}\"\ndisplay_order: {order}\nhidden: false\nread_only: false\n"
                )
            });
        let options = options.collect::<Vec<_>>().join(", ");
        format!("{value} was not one of the allowed options: [{options}]")
    }

    pub(super) fn json(&self) -> Value {
        let options = self.options.iter().enumerate();
        let options = options.map(|(order, (value, label))| {
            json!({ "label": label, "value": value, "displayOrder": order, "hidden": false })
        });
        let mut body = json!({
            "name": self.name, "label": self.label, "type": self.of.name(), "fieldType": self.field_type,
            "description": self.description, "groupName": self.group,
            "options": options.collect::<Vec<_>>(),
            "createdAt": time(self.created), "updatedAt": time(self.created),
            "displayOrder": -1, "calculated": false, "externalOptions": false, "archived": self.archived.is_some(),
            "hasUniqueValue": self.is_unique, "hidden": false, "hubspotDefined": self.is_hubspot_defined,
            "formField": !self.is_read_only, "dataSensitivity": "non_sensitive",
            "modificationMetadata": {
                "archivable": !self.is_hubspot_defined, "readOnlyDefinition": self.is_hubspot_defined,
                "readOnlyValue": self.is_read_only,
            },
        });
        if let Some(archived) = self.archived {
            body["archivedAt"] = time(archived).into();
        }
        body
    }
}

/// The properties of one kind of object.
#[derive(Debug, Default)]
pub struct Properties {
    pub by_name: BTreeMap<String, Property>,
    pub groups: BTreeSet<String>,
}

impl Properties {
    pub fn add(&mut self, property: Property) {
        self.groups.insert(property.group.clone());
        self.by_name.insert(property.name.clone(), property);
    }

    /// A property that is not archived.
    pub fn get(&self, name: &str) -> Option<&Property> {
        self.by_name
            .get(name)
            .filter(|property| property.archived.is_none())
    }

    /// The properties that HubSpot creates in every account, as far as they matter here.
    pub(super) fn of_contacts() -> Self {
        let mut all = Self::default();
        let texts = "email firstname lastname salutation company jobtitle website address city state zip country \
            message twitterhandle date_of_birth gender hs_additional_emails";
        let texts = texts.split_whitespace().map(|name| (name, Type::String));
        let phones = ["phone", "mobilephone"].map(|name| (name, Type::PhoneNumber));
        for (name, of) in texts.chain(phones) {
            all.add_own(Property::new(name, of));
        }
        let stages =
            "subscriber lead marketingqualifiedlead salesqualifiedlead opportunity customer evangelist other";
        let stages: Vec<&str> = stages.split_whitespace().collect();
        all.add_own(Property::new("lifecyclestage", Type::Enumeration).options(&stages));
        let languages = ["de", "en", "es", "fr", "nl", "pl"];
        all.add_own(Property::new("hs_language", Type::Enumeration).options(&languages));
        let statuses = ["NEW", "OPEN", "IN_PROGRESS", "UNQUALIFIED"];
        all.add_own(Property::new("hs_lead_status", Type::Enumeration).options(&statuses));
        all.add_own(Property::new("hs_email_optout", Type::Bool).read_only());
        for name in ["createdate", "lastmodifieddate"] {
            all.add_own(Property::new(name, Type::DateTime).read_only());
        }
        for name in ["hs_object_id", "hs_merged_object_ids", "hs_email_domain"] {
            all.add_own(Property::new(name, Type::String).read_only());
        }
        all
    }

    pub(super) fn of_notes() -> Self {
        let mut all = Self::default();
        all.add_own(Property::new("hs_timestamp", Type::DateTime));
        for name in ["hs_note_body", "hubspot_owner_id", "hs_attachment_ids"] {
            all.add_own(Property::new(name, Type::String));
        }
        for name in ["hs_createdate", "hs_lastmodifieddate"] {
            all.add_own(Property::new(name, Type::DateTime).read_only());
        }
        all.add_own(Property::new("hs_object_id", Type::String).read_only());
        all
    }

    pub(super) fn add_own(&mut self, property: Property) {
        self.add(Property {
            is_hubspot_defined: true,
            ..property
        });
    }
}

/// The single addresses of `hs_additional_emails`.
pub(super) fn addresses(list: &str) -> impl Iterator<Item = String> + '_ {
    list.split(';')
        .map(|address| address.trim().to_lowercase())
        .filter(|address| !address.is_empty())
}

pub(super) fn is_address(text: &str) -> bool {
    let odd = |character: char| character.is_whitespace() || ",;<>\"()".contains(character);
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    let labels: Vec<&str> = domain.split('.').collect();
    !local.is_empty()
        && !text.contains(odd)
        && !domain.contains('@')
        && !local.starts_with('.')
        && labels.len() >= 2
        && labels.iter().all(|label| !label.is_empty())
        && labels.last().is_some_and(|top| top.len() >= 2)
}

/// A date, or midnight UTC in milliseconds.
fn is_date(value: &str) -> bool {
    value.parse::<jiff::civil::Date>().is_ok()
        || moment(value).is_some_and(|moment| moment.as_millisecond().rem_euclid(86_400_000) == 0)
}

/// ISO 8601, or milliseconds.
pub(super) fn moment(value: &str) -> Option<Timestamp> {
    match value.parse() {
        Ok(milliseconds) => Timestamp::from_millisecond(milliseconds).ok(),
        Err(_) => value.parse().ok(),
    }
}
