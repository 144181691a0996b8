//! Secrets that callers show: one or several valid at once, compared as digests, so that neither their length
//! nor how much of them was right can be told from the time it took.

use std::path::Path;

use causeway_connect::config::{ConfigError, SecretRef};
use causeway_core::secret::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// One secret, or a list.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a text, { env = \"NAME\" } or { file = \"path\" }, or a list of these"
)]
pub enum Secrets {
    // First, because a table's keys can also be read from a list, in their order.
    Several(Vec<SecretRef>),
    One(SecretRef),
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

/// What stands for a secret where it is compared or looked up.
pub(crate) type Fingerprint = [u8; 32];

pub(crate) fn fingerprint(secret: &[u8]) -> Fingerprint {
    Sha256::digest(secret).into()
}

/// Whether `shown` is one of them; looks at all of them whatever it finds.
pub(crate) fn is_one_of(shown: &[u8], valid: &[Fingerprint]) -> bool {
    let shown = fingerprint(shown);
    let mut matched = subtle::Choice::from(0);
    for one in valid {
        matched |= shown.ct_eq(one);
    }
    matched.into()
}
