//! Who is in an audience: the rows of keys that were uploaded.

use std::collections::{BTreeMap, BTreeSet};

use causeway_core::clock::Timestamp;
use jiff::SignedDuration;

use super::access::hash;

/// Key → value, without blanks. Most values are hashes.
pub type Keys = BTreeMap<&'static str, String>;

/// What was uploaded with a row of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    pub at: Timestamp,
    /// `LOOKALIKE_VALUE`
    pub value: Option<String>,
    /// Whether the person's data has limited use (`LDU`).
    pub limited: bool,
}

/// Keys that name a person without the help of others. `EXTERN_ID` counts only where a row has none of them.
const STRONG: [&str; 6] = ["EMAIL", "PHONE", "MADID", "UID", "APPUID", "PAGEUID"];
/// How long Meta remembers which person an `EXTERN_ID` stands for.
const EXTERN_ID_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 90);

/// The rows of an audience. A row that is uploaded again replaces itself.
#[derive(Debug, Clone, Default)]
pub struct Members(BTreeMap<Keys, Uploaded>);

impl Members {
    /// Whether a row has this value, such as `EMAIL` and its hash.
    pub fn has(&self, key: &str, value: &str) -> bool {
        self.0
            .keys()
            .any(|keys| keys.get(key).is_some_and(|own| own == value))
    }

    /// Whether a row has the hash of this address, which is trimmed and put in lower case first.
    pub fn has_email(&self, address: &str) -> bool {
        self.has("EMAIL", &hash(&address.trim().to_lowercase()))
    }

    /// All values of a key.
    pub fn values(&self, key: &str) -> BTreeSet<&str> {
        let values = self.0.keys().filter_map(|keys| keys.get(key));
        values.map(String::as_str).collect()
    }

    pub fn rows(&self) -> impl Iterator<Item = (&Keys, &Uploaded)> {
        self.0.iter()
    }

    /// The number of people: rows with the same strongest key are one person.
    pub fn people(&self) -> u64 {
        let people: BTreeSet<_> = self.0.keys().map(identity).collect();
        u64::try_from(people.len()).unwrap_or(u64::MAX)
    }

    pub fn add(&mut self, keys: Keys, uploaded: Uploaded) {
        self.0.insert(keys, uploaded);
    }

    /// Removes all rows of the person. A row with an address, telephone number or id removes rows with the same one,
    /// whatever else they hold. A row with only an `EXTERN_ID` removes what was uploaded with it, unless Meta has
    /// forgotten it. A row with only names and places removes rows that hold all of them.
    pub fn remove(&mut self, row: &Keys, now: Timestamp) {
        let strong: Vec<_> = STRONG.iter().filter_map(|key| row.get_key_value(key)).collect();
        let extern_id = row.get("EXTERN_ID");
        self.0.retain(|keys, uploaded| {
            if !strong.is_empty() {
                return !strong.iter().any(|(key, value)| keys.get(**key) == Some(value));
            }
            if extern_id.is_some() {
                let is_known = now < uploaded.at + EXTERN_ID_LIFETIME;
                return !(is_known && keys.get("EXTERN_ID") == extern_id);
            }
            !row.iter().all(|(key, value)| keys.get(key) == Some(value))
        });
    }
}

/// What makes two rows the same person for the count.
fn identity(keys: &Keys) -> Vec<(&'static str, &str)> {
    let strongest = STRONG.iter().chain(&["EXTERN_ID"]);
    for key in strongest {
        if let Some(value) = keys.get(key) {
            return vec![(key, value)];
        }
    }
    keys.iter().map(|(key, value)| (*key, value.as_str())).collect()
}
