//! Where connectors keep secrets that they receive while they run, such as a refresh token that changes with each use.

use std::sync::Arc;

use async_trait::async_trait;
use causeway_core::secret::Secret;

/// A secret, and how often it was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub secret: Secret,
    pub version: u64,
}

#[async_trait]
pub trait Vault: Send + Sync {
    /// What is kept under this name.
    async fn read(&self, name: &str) -> Result<Option<Kept>, VaultError>;

    /// The version of what is kept under this name, even if the secret cannot be read; 0 if nothing is.
    async fn version(&self, name: &str) -> Result<u64, VaultError> {
        Ok(self.read(name).await?.map_or(0, |kept| kept.version))
    }

    /// Replaces what is kept, if its version is still `version` (0 for a new name). Returns false if it is another one. It
    /// is on disk on return.
    async fn replace(&self, name: &str, version: u64, secret: &Secret) -> Result<bool, VaultError>;
}

#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct VaultError(pub String);

/// Keeps nothing. For previews, checks without a store, and tests.
pub struct NoVault;

impl NoVault {
    pub fn shared() -> Arc<dyn Vault> {
        Arc::new(Self)
    }
}

#[async_trait]
impl Vault for NoVault {
    async fn read(&self, _: &str) -> Result<Option<Kept>, VaultError> {
        Ok(None)
    }

    async fn replace(&self, _: &str, _: u64, _: &Secret) -> Result<bool, VaultError> {
        Err(VaultError(
            "this command has no store, so it can keep no token".to_owned(),
        ))
    }
}

/// A vault in memory, for tests.
#[cfg(test)]
pub mod memory {
    use std::{
        collections::BTreeMap,
        sync::{Mutex, PoisonError},
    };

    use super::*;

    #[derive(Default)]
    pub struct Memory {
        kept: Mutex<BTreeMap<String, Kept>>,
        /// Writes fail while it is set.
        is_full: Mutex<bool>,
    }

    impl Memory {
        pub fn get(&self, name: &str) -> Option<String> {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            Some(kept.get(name)?.secret.reveal().to_owned())
        }

        pub fn is_full(&self, full: bool) {
            *self.is_full.lock().unwrap_or_else(PoisonError::into_inner) = full;
        }
    }

    #[async_trait]
    impl Vault for Memory {
        async fn read(&self, name: &str) -> Result<Option<Kept>, VaultError> {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(kept.get(name).cloned())
        }

        async fn replace(&self, name: &str, version: u64, secret: &Secret) -> Result<bool, VaultError> {
            if *self.is_full.lock().unwrap_or_else(PoisonError::into_inner) {
                return Err(VaultError("the disk is full".to_owned()));
            }
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.get(name).map_or(0, |kept| kept.version) != version {
                return Ok(false);
            }
            let secret = secret.clone();
            kept.insert(
                name.to_owned(),
                Kept {
                    secret,
                    version: version + 1,
                },
            );
            Ok(true)
        }
    }
}
