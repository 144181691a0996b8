//! Records and their ids.

use std::collections::BTreeMap;

use causeway_core::clock::Timestamp;
use serde_json::{Map, Value, json};

/// Field → value, which is never null.
pub type Values = BTreeMap<String, Value>;

#[derive(Debug, Clone)]
pub struct Record {
    pub object: String,
    pub id: String,
    pub values: Values,
    pub created: Timestamp,
    pub modified: Timestamp,
    /// In the recycle bin.
    pub is_deleted: bool,
}

impl Record {
    /// The text of a field; empty if it has none.
    pub fn text(&self, field: &str) -> &str {
        self.values.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    pub fn is_true(&self, field: &str) -> bool {
        self.values.get(field) == Some(&Value::Bool(true))
    }

    /// The value of a field as queries see it.
    pub(super) fn value(&self, field: &str, is_flag: bool) -> Value {
        match field {
            "Id" => self.id.as_str().into(),
            "IsDeleted" => self.is_deleted.into(),
            "CreatedDate" => time(self.created).into(),
            "LastModifiedDate" => time(self.modified).into(),
            "LastModifiedById" => super::USER_ID.into(),
            "IsEmailBounced" => self.values.contains_key("EmailBouncedReason").into(),
            _ => match self.values.get(field) {
                Some(value) => value.clone(),
                None if is_flag => false.into(),
                None => Value::Null,
            },
        }
    }

    pub(super) fn attributes(&self, version: &str) -> Map<String, Value> {
        let url = format!("/services/data/{version}/sobjects/{}/{}", self.object, self.id);
        let attributes = json!({ "type": self.object, "url": url });
        Map::from_iter([("attributes".to_owned(), attributes)])
    }
}

/// `2026-01-01T00:00:00.000+0000`
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.000+0000").to_string()
}

/// An id of 18 characters: the last three show which letters of the others are capitals.
pub(super) fn id(prefix: &str, number: u64) -> String {
    let short = format!("{prefix}Dn{number:010}");
    let capitals = short.as_bytes().chunks(5).map(|chunk| {
        let bits = chunk.iter().enumerate();
        bits.fold(0, |sum, (at, byte)| {
            sum | usize::from(byte.is_ascii_uppercase()) << at
        })
    });
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
    let suffix: String = capitals.map(|bits| char::from(alphabet[bits])).collect();
    short + &suffix
}

/// Whether two ids name one record: 15 characters are enough.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    one.len() >= 15 && one.get(..15) == other.get(..15)
}
