//! Times as integer milliseconds since 1970, UTC, as everywhere in the store.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// Cuts a time to whole milliseconds, as the store does: a time must compare equal before and after it
/// was stored.
pub fn floor(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(at.as_millisecond())
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    Timestamp::from_millisecond(i64::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// For a map of times by name.
pub mod map {
    use std::collections::BTreeMap;

    use serde::Serializer;

    use super::{Deserialize, Deserializer, Error, Timestamp};
    use crate::id::Name;

    pub fn serialize<S: Serializer>(
        times: &BTreeMap<Name, Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(times.iter().map(|(name, at)| (name, at.as_millisecond())))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Name, Timestamp>, D::Error> {
        BTreeMap::<Name, i64>::deserialize(deserializer)?
            .into_iter()
            .map(|(name, ms)| Ok((name, Timestamp::from_millisecond(ms).map_err(D::Error::custom)?)))
            .collect()
    }
}

/// For a map of such maps by name.
pub mod maps {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Timestamp, map};
    use crate::id::Name;

    type Times = BTreeMap<Name, Timestamp>;

    #[derive(Serialize)]
    struct Out<'a>(#[serde(with = "map")] &'a Times);

    #[derive(Deserialize)]
    struct In(#[serde(with = "map")] Times);

    pub fn serialize<S: Serializer>(maps: &BTreeMap<Name, Times>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(maps.iter().map(|(name, times)| (name, Out(times))))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Name, Times>, D::Error> {
        let maps = BTreeMap::<Name, In>::deserialize(deserializer)?;
        Ok(maps.into_iter().map(|(name, times)| (name, times.0)).collect())
    }
}

/// For a time that may be missing.
pub mod option {
    use super::{Deserialize, Deserializer, Error, Serializer, Timestamp};

    pub fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => serializer.serialize_some(&at.as_millisecond()),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        Option::<i64>::deserialize(deserializer)?
            .map(|ms| Timestamp::from_millisecond(ms).map_err(D::Error::custom))
            .transpose()
    }
}
