//! Secrets of callers. Several may be valid at once. They are compared as digests, so that the time of a comparison shows
//! neither their length nor how many characters were right.

use std::{fmt, path::Path};

use causeway_connect::config::{ConfigError, SecretRef};
use causeway_core::secret::Secret;
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{
        self, MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// One secret, or a list.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum Secrets {
    Several(Vec<SecretRef>),
    One(SecretRef),
}

impl<'de> Deserialize<'de> for Secrets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretsVisitor)
    }
}

struct SecretsVisitor;

impl<'de> Visitor<'de> for SecretsVisitor {
    type Value = Secrets;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, { env = \"NAME\" }, { file = \"path\" } or a list of them")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Secrets, E> {
        Ok(Secrets::One(SecretRef::Text(text.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Secrets, A::Error> {
        SecretRef::deserialize(MapAccessDeserializer::new(map)).map(Secrets::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Secrets, A::Error> {
        let several = Vec::deserialize(SeqAccessDeserializer::new(list))?;
        if several.is_empty() {
            return Err(de::Error::custom("the list is empty"));
        }
        Ok(Secrets::Several(several))
    }
}

impl Secrets {
    pub(crate) fn resolve(&self, key: &str, dir: &Path) -> Result<Vec<Secret>, ConfigError> {
        let refs = match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(several) => several,
        };
        if refs.is_empty() {
            return Err(ConfigError::new(key, "the list is empty"));
        }
        let secrets = refs
            .iter()
            .map(|one| one.resolve(key, dir))
            .collect::<Result<Vec<_>, _>>()?;
        if secrets.iter().any(|secret| secret.reveal().is_empty()) {
            return Err(ConfigError::new(key, "a secret is empty"));
        }
        Ok(secrets)
    }
}

/// The digest of a secret, by which it is compared or looked up.
pub(crate) type Fingerprint = [u8; 32];

pub(crate) fn fingerprint(secret: &[u8]) -> Fingerprint {
    Sha256::digest(secret).into()
}

/// Whether `shown` is a valid secret. Compares all of them, so that the time shows nothing.
pub(crate) fn is_one_of(shown: &[u8], valid: &[Fingerprint]) -> bool {
    let shown = fingerprint(shown);
    let mut matched = subtle::Choice::from(0);
    for one in valid {
        matched |= shown.ct_eq(one);
    }
    matched.into()
}
