//! Seals tokens before they get into the store.
//!
//! The key is a file beside the store, so a copy of the database, such as a backup, holds no usable token.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use async_trait::async_trait;
use causeway_connect::vault::{Kept, Vault, VaultError};
use causeway_core::{
    clock::Clock,
    secret::Secret,
    store::{Credential, Credentials},
};
use data_encoding::HEXLOWER;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use tokio::sync::OnceCell;

use crate::config::Config;

const KEY_BYTES: usize = 32;

/// The vault of a hub, or of a command beside it.
pub struct StoreVault {
    store: Source,
    key: PathBuf,
    clock: Arc<dyn Clock>,
}

enum Source {
    Open(Arc<dyn Credentials>),
    /// Opened when it is first needed: most commands never need it.
    Later(PathBuf, OnceCell<Arc<dyn Credentials>>),
}

impl StoreVault {
    pub fn new(store: Arc<dyn Credentials>, config: &Config, clock: Arc<dyn Clock>) -> Self {
        Self {
            store: Source::Open(store),
            key: key_path(config),
            clock,
        }
    }

    /// Opens the store of the configuration when a token is read or kept.
    pub fn beside(config: &Config, clock: Arc<dyn Clock>) -> Self {
        Self {
            store: Source::Later(config.store_path(), OnceCell::new()),
            key: key_path(config),
            clock,
        }
    }

    async fn store(&self) -> Result<&Arc<dyn Credentials>, VaultError> {
        match &self.store {
            Source::Open(store) => Ok(store),
            Source::Later(path, opened) => {
                opened
                    .get_or_try_init(|| async {
                        let options = causeway_store::Options { serve: false };
                        let store = causeway_store::open(path, options).await;
                        let store = store.map_err(|error| VaultError(error.to_string()))?;
                        Ok(store as Arc<dyn Credentials>)
                    })
                    .await
            }
        }
    }
}

fn key_path(config: &Config) -> PathBuf {
    config.store_path().with_file_name("credential.key")
}

#[async_trait]
impl Vault for StoreVault {
    async fn read(&self, name: &str) -> Result<Option<Kept>, VaultError> {
        if let Source::Later(path, _) = &self.store
            && !path.exists()
        {
            return Ok(None);
        }
        let found = self.store().await?.credential(name).await;
        let Some(Credential { sealed, version }) = found.map_err(|error| VaultError(error.to_string()))?
        else {
            return Ok(None);
        };
        let secret = read_key(&self.key)
            .and_then(|key| open(&key, name, &sealed))
            .map_err(|error| VaultError(format!("{error:#}")))?;
        Ok(Some(Kept { secret, version }))
    }

    async fn version(&self, name: &str) -> Result<u64, VaultError> {
        let found = self.store().await?.credential(name).await;
        let found = found.map_err(|error| VaultError(error.to_string()))?;
        Ok(found.map_or(0, |found| found.version))
    }

    async fn replace(&self, name: &str, version: u64, secret: &Secret) -> Result<bool, VaultError> {
        let sealed = make_key(&self.key)
            .and_then(|key| seal(&key, name, secret))
            .map_err(|error| VaultError(format!("{error:#}")))?;
        let now = self.clock.now();
        let replaced = self
            .store()
            .await?
            .replace_credential(name, version, sealed, now)
            .await;
        replaced.map_err(|error| VaultError(error.to_string()))
    }
}

fn read_key(path: &Path) -> anyhow::Result<LessSafeKey> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("reading {}, which opens the tokens in the store", path.display()))?;
    let bytes = HEXLOWER.decode(text.trim().as_bytes()).unwrap_or_default();
    anyhow::ensure!(
        bytes.len() == KEY_BYTES,
        "{} is not a key: it has {} bytes and needs {KEY_BYTES}, as 64 hexadecimal digits",
        path.display(),
        bytes.len()
    );
    let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes);
    Ok(LessSafeKey::new(key.map_err(|_| {
        anyhow::anyhow!("{} is not a key", path.display())
    })?))
}

/// Reads the key, and makes it first if there is none.
fn make_key(path: &Path) -> anyhow::Result<LessSafeKey> {
    if !path.exists() {
        let mut bytes = [0_u8; KEY_BYTES];
        getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
        // If another process makes it at the same moment, the first one counts.
        write_new_private(path, format!("{}\n", HEXLOWER.encode(&bytes)).as_bytes())
            .with_context(|| format!("making {}", path.display()))?;
    }
    read_key(path)
}

/// Writes a new file that only this user can read. A file that exists already stays as it is.
fn write_new_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt};
    let mut open = std::fs::OpenOptions::new();
    match open.write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            file.write_all(content)?;
            file.sync_all()
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// The nonce, then the sealed text. The name is authenticated with it, so that no token is taken for another one's.
fn seal(key: &LessSafeKey, name: &str, secret: &Secret) -> anyhow::Result<Vec<u8>> {
    let mut nonce = [0_u8; NONCE_LEN];
    getrandom::fill(&mut nonce).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    let mut text = secret.reveal().as_bytes().to_vec();
    key.seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(name.as_bytes()),
        &mut text,
    )
    .map_err(|_| anyhow::anyhow!("the token could not be sealed"))?;
    Ok([nonce.as_slice(), &text].concat())
}

fn open(key: &LessSafeKey, name: &str, sealed: &[u8]) -> anyhow::Result<Secret> {
    let broken = || {
        anyhow::anyhow!(
            "the sign-in of {name} was sealed with another key: restore credential.key, or run `causeway connect {name}`"
        )
    };
    let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(broken)?;
    let mut text = text.to_vec();
    let opened = key
        .open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(name.as_bytes()),
            &mut text,
        )
        .map_err(|_| broken())?;
    let opened = std::str::from_utf8(opened).map_err(|_| broken())?;
    Ok(Secret::new(opened))
}

#[cfg(test)]
mod tests {
    use crate::{clock::SystemClock, hub};

    use super::*;

    async fn vault(folder: &Path) -> (StoreVault, Arc<causeway_store::SqliteStore>) {
        let text = "[hub]\ndata_dir = \"data\"\n";
        let config = hub::in_folder(folder, text).unwrap();
        let store = hub::open_store_beside(&config).await.unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let credentials = Arc::clone(&store) as Arc<dyn Credentials>;
        (StoreVault::new(credentials, &config, clock), store)
    }

    #[tokio::test]
    async fn a_token_is_sealed_and_replaced_by_version() {
        let folder = tempfile::tempdir().unwrap();
        let (vault, store) = vault(folder.path()).await;
        assert_eq!(vault.read("crm").await.unwrap(), None);
        let token = Secret::new("refresh-token-1");
        assert!(vault.replace("crm", 0, &token).await.unwrap());
        assert!(
            !vault.replace("crm", 0, &token).await.unwrap(),
            "another one was faster"
        );
        let kept = vault.read("crm").await.unwrap().unwrap();
        assert_eq!((kept.secret, kept.version), (token, 1));
        let second = Secret::new("refresh-token-2");
        assert!(vault.replace("crm", 1, &second).await.unwrap());
        assert!(!vault.replace("crm", 1, &second).await.unwrap());
        // Neither the database nor the key file gives a token away alone.
        let sealed = store.credential("crm").await.unwrap().unwrap();
        assert!(!String::from_utf8_lossy(&sealed.sealed).contains("refresh"));
        let key = folder.path().join("data/credential.key");
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&key).unwrap());
        assert_eq!(mode & 0o777, 0o600);
        // A token of another destination does not fit, nor another key.
        store
            .replace_credential("other", 0, sealed.sealed, SystemClock.now())
            .await
            .unwrap();
        let error = vault.read("other").await.unwrap_err().to_string();
        assert!(error.contains("causeway connect other"), "{error}");
        std::fs::write(&key, "00".repeat(32)).unwrap();
        let error = vault.read("crm").await.unwrap_err().to_string();
        assert!(error.contains("another key"), "{error}");
        // Another sign-in replaces what cannot be opened any more.
        let version = vault.version("crm").await.unwrap();
        let third = Secret::new("refresh-token-3");
        assert!(vault.replace("crm", version, &third).await.unwrap());
        assert_eq!(vault.read("crm").await.unwrap().unwrap().secret, third);
        std::fs::write(&key, "short").unwrap();
        let error = vault.read("crm").await.unwrap_err().to_string();
        assert!(error.contains("64 hexadecimal digits"), "{error}");
        assert!(store.remove_credential("crm").await.unwrap());
    }
}
