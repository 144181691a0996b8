//! Tokens that destinations receive while they run.

use async_trait::async_trait;

use super::StoreError;
use crate::clock::Timestamp;

/// A sealed token, and how often it was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    pub sealed: Vec<u8>,
    pub version: u64,
}

/// The part of a store that keeps them. It never sees one in clear.
#[async_trait]
pub trait Credentials: Send + Sync {
    async fn credential(&self, name: &str) -> Result<Option<Credential>, StoreError>;

    /// Replaces the credential, if its version is still `version` (0 = it is new), and returns whether it did. It is on
    /// disk on return.
    async fn replace_credential(
        &self,
        name: &str,
        version: u64,
        sealed: Vec<u8>,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Removes the credential. Returns whether there was one.
    async fn remove_credential(&self, name: &str) -> Result<bool, StoreError>;
}
