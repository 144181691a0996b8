//! Private keys for personal data that arrives encrypted (NaCl box: X25519, XSalsa20-Poly1305).
//!
//! Parses the key files that Proca's tools write, opens boxes, and makes new keys. It reads no files and
//! draws no random numbers.
//!
//! Invariant: no private key is printed, neither by `Debug` nor in an error.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

use crypto_box::{PublicKey, SalsaBox, SecretKey, aead::Aead};
use data_encoding::{BASE64URL_NOPAD, Encoding};

use crate::secret::Secret;

mod parse;

pub(crate) const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
/// Peers are the keys of Proca instances: one or two for each. More of them means that somebody tries keys.
const CACHED_BOXES: usize = 256;

/// Public key → private key, with a cache of the derived shared keys.
#[derive(Default)]
pub struct Keystore {
    keys: BTreeMap<[u8; KEY_BYTES], SecretKey>,
    /// (our public key, the peer's) → the box. Its key agreement costs more than opening a message.
    boxes: RwLock<HashMap<BoxKey, Arc<SalsaBox>>>,
}

type BoxKey = ([u8; KEY_BYTES], [u8; KEY_BYTES]);

/// An encrypted box with what is needed to open it, as on the wire: base64, url-safe or standard, padded or
/// not.
pub struct Sealed<'a> {
    pub payload: &'a str,
    pub nonce: &'a str,
    /// Our public key.
    pub encrypt_key: &'a str,
    /// The sender's public key. In spite of the name, nothing is signed.
    pub sign_key: &'a str,
}

/// Why a box cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It may open later, with another keystore. Holds the beginning of the public key.
    #[error("encrypted for the key {public}…, which is not in the keystore")]
    KeyMissing { public: String },
    /// It will never open.
    #[error("{0}")]
    Refused(&'static str),
}

/// Why a key file is invalid. Names entries by the beginning of their public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeystoreError {
    #[error("not JSON (line {line}, column {column})")]
    NotJson { line: usize, column: usize },
    #[error("holds no key; expected {{\"PUBLIC\": {{\"private\": \"PRIVATE\"}}}}")]
    Empty,
    #[error("entry {entry}: {what}")]
    BadEntry { entry: String, what: &'static str },
}

/// A new key pair. The public half goes to Proca; the file is secret.
pub struct NewKey {
    /// base64url without padding, as Proca's `addKey` takes it.
    pub public: String,
    /// The text of a key file that [`Keystore::parse`] and Proca's own tools read.
    pub file: Secret,
}

impl Keystore {
    /// Reads the text of one key file (or inline JSON). Checks each entry's public key against its private
    /// key.
    pub fn parse(text: &str) -> Result<Self, KeystoreError> {
        let keys = parse::keys(text)?;
        Ok(Self {
            keys,
            boxes: RwLock::default(),
        })
    }

    /// Adds the keys of a second file.
    pub fn merge(&mut self, other: Self) {
        self.keys.extend(other.keys);
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The public keys, base64url without padding.
    pub fn public_keys(&self) -> impl Iterator<Item = String> {
        self.keys.keys().map(|key| BASE64URL_NOPAD.encode(key))
    }

    /// Opens a box.
    pub fn open(&self, sealed: &Sealed<'_>) -> Result<Vec<u8>, OpenError> {
        let ours = decode_key(sealed.encrypt_key)
            .ok_or(OpenError::Refused("encryptKey.public is not a 32-byte key"))?;
        let Some(private) = self.keys.get(&ours) else {
            return Err(OpenError::KeyMissing {
                public: beginning(&ours),
            });
        };
        let peer =
            decode_key(sealed.sign_key).ok_or(OpenError::Refused("signKey.public is not a 32-byte key"))?;
        let nonce: [u8; NONCE_BYTES] = decode_base64(sealed.nonce)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(OpenError::Refused("the nonce does not have 24 bytes"))?;
        let payload = decode_base64(sealed.payload).ok_or(OpenError::Refused("the payload is not base64"))?;
        self.shared(ours, private, peer)
            .decrypt(&nonce.into(), payload.as_slice())
            .map_err(|_| OpenError::Refused("the encrypted data was damaged, or made with another key"))
    }

    fn shared(&self, ours: [u8; KEY_BYTES], private: &SecretKey, peer: [u8; KEY_BYTES]) -> Arc<SalsaBox> {
        let pair = (ours, peer);
        if let Some(known) = self
            .boxes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&pair)
        {
            return known.clone();
        }
        let made = Arc::new(SalsaBox::new(&PublicKey::from_bytes(peer), private));
        let mut boxes = self.boxes.write().unwrap_or_else(PoisonError::into_inner);
        if boxes.len() >= CACHED_BOXES {
            boxes.clear();
        }
        boxes.insert(pair, made.clone());
        made
    }
}

impl fmt::Debug for Keystore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.keys().map(beginning)).finish()
    }
}

/// A keystore that can be replaced while it is in use, when its files were read again.
#[derive(Debug, Default)]
pub struct SharedKeystore(RwLock<Arc<Keystore>>);

impl SharedKeystore {
    pub fn new(keystore: Keystore) -> Self {
        Self(RwLock::new(Arc::new(keystore)))
    }

    pub fn get(&self) -> Arc<Keystore> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn replace(&self, keystore: Keystore) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keystore);
    }
}

/// Makes a key pair from 32 random bytes, which the caller draws from the system.
pub fn generate(random: [u8; KEY_BYTES]) -> NewKey {
    let private = SecretKey::from_bytes(random);
    let public = BASE64URL_NOPAD.encode(private.public_key().as_bytes());
    let private = BASE64URL_NOPAD.encode(&private.to_bytes());
    NewKey {
        file: Secret::new(format!(
            "{{\n  \"{public}\": {{\n    \"private\": \"{private}\"\n  }}\n}}\n"
        )),
        public,
    }
}

fn decode_key(text: &str) -> Option<[u8; KEY_BYTES]> {
    decode_base64(text)?.try_into().ok()
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    LENIENT_BASE64
        .decode(text.trim_end_matches(['=', ' ', '\n', '\r']).as_bytes())
        .ok()
}

/// Base64 of either alphabet, without padding, with white space anywhere, and with any trailing bits: as
/// lenient as the decoders of Proca's other consumers. The specification is valid; the tests would reveal the
/// fallback.
static LENIENT_BASE64: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = BASE64URL_NOPAD.specification();
    specification.check_trailing_bits = false;
    specification.ignore.push_str(" \t\r\n");
    specification.translate.from.push_str("+/");
    specification.translate.to.push_str("-_");
    specification.encoding().unwrap_or(BASE64URL_NOPAD)
});

/// The beginning of a public key, enough to recognise it.
fn beginning(key: &[u8; KEY_BYTES]) -> String {
    BASE64URL_NOPAD.encode(key).chars().take(8).collect()
}

#[cfg(test)]
mod tests;
