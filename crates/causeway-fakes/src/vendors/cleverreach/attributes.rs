//! Attributes, which must exist before receivers can have them.

use serde_json::{Value, json};

use super::{Call, CleverReach, errors::Failure};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    pub id: u64,
    /// In small letters.
    pub name: String,
    /// `text`, `number`, `gender` or `date`.
    pub kind: String,
    /// The group that it belongs to; `None` for all groups.
    pub group: Option<u64>,
}

impl CleverReach {
    /// Adds an attribute for texts.
    pub fn add_attribute(&mut self, name: &str, group: Option<u64>) {
        let id = self.next_id();
        self.attributes.push(Attribute {
            id,
            name: name.to_owned(),
            kind: "text".to_owned(),
            group,
        });
    }

    pub(super) fn attributes_of(&mut self, group: Option<u64>, call: &Call<'_>) -> Result<Value, Failure> {
        let show = |attribute: &Attribute| {
            json!({
                "id": attribute.id.to_string(), "name": attribute.name, "type": attribute.kind,
                "description": attribute.name, "preview_value": "", "default_value": "",
                "group_id": attribute.group.map_or_else(|| "0".to_owned(), |group| group.to_string()),
            })
        };
        if call.method == "GET" {
            let own = self
                .attributes
                .iter()
                .filter(|attribute| attribute.group == group);
            return Ok(own.map(show).collect());
        }
        let name = call.text("name").unwrap_or_default().trim().to_lowercase();
        let kind = call.text("type").unwrap_or("text").to_owned();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || !name.bytes().all(is_plain) {
            return Err(Failure::new(400, "Bad Request: invalid attribute name"));
        }
        if !matches!(&*kind, "text" | "number" | "gender" | "date") {
            return Err(Failure::new(400, "Bad Request: invalid attribute type"));
        }
        if self.has_attribute(&name, group) {
            return Err(Failure::new(409, "Conflict: attribute already exists"));
        }
        self.add_attribute(&name, group);
        let attribute = self.attributes.last_mut().unwrap();
        attribute.kind = kind;
        Ok(show(attribute))
    }

    /// Whether receivers can have it. Any other name is passed over.
    pub(super) fn has_attribute(&self, name: &str, group: Option<u64>) -> bool {
        let mut all = self.attributes.iter();
        all.any(|attribute| attribute.group == group && attribute.name == name)
    }
}
