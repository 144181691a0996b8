//! A signed assertion (RFC 7523), by which a server proves who it is without a secret on the way.

use causeway_core::{clock::Timestamp, secret::Secret};
use data_encoding::BASE64URL_NOPAD;
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::{Map, Value, json};

use super::Failure;
use crate::config::ConfigError;

/// Who asserts what to whom.
pub struct Assertion {
    pub issuer: String,
    pub subject: Option<String>,
    pub audience: String,
    pub scope: Option<String>,
    pub key_id: Option<String>,
    pub life_s: u32,
    key: RsaKeyPair,
}

impl Assertion {
    /// `pem` is an RSA key of at least 2048 bits, in PKCS#8 or PKCS#1.
    pub fn new(key: &str, pem: &Secret, issuer: String, audience: String) -> Result<Self, ConfigError> {
        let wrong = |why: String| {
            ConfigError::new(key, format!("not a private RSA key in PEM: {why}"))
                .hint("it starts with -----BEGIN PRIVATE KEY-----")
        };
        let der = PrivateKeyDer::from_pem_slice(pem.reveal().as_bytes());
        let pair = match der.map_err(|error| wrong(error.to_string()))? {
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            _ => return Err(wrong("it is a key of another kind".to_owned())),
        };
        Ok(Self {
            issuer,
            subject: None,
            audience,
            scope: None,
            key_id: None,
            life_s: 3_600,
            key: pair.map_err(|error| wrong(error.to_string()))?,
        })
    }

    /// The assertion, valid from now on.
    pub(super) fn sign(&self, now: Timestamp) -> Result<Secret, Failure> {
        let mut header = Map::from_iter([
            ("alg".to_owned(), json!("RS256")),
            ("typ".to_owned(), json!("JWT")),
        ]);
        if let Some(id) = &self.key_id {
            header.insert("kid".to_owned(), json!(id));
        }
        let second = now.as_second();
        let mut claims = Map::from_iter([
            ("iss".to_owned(), json!(self.issuer)),
            ("aud".to_owned(), json!(self.audience)),
            ("iat".to_owned(), json!(second)),
            ("exp".to_owned(), json!(second + i64::from(self.life_s))),
        ]);
        for (name, value) in [("sub", &self.subject), ("scope", &self.scope)] {
            if let Some(value) = value {
                claims.insert(name.to_owned(), json!(value));
            }
        }
        let part =
            |map: Map<String, Value>| BASE64URL_NOPAD.encode(Value::Object(map).to_string().as_bytes());
        let signed = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                signed.as_bytes(),
                &mut signature,
            )
            .map_err(|_| Failure::Later("the assertion could not be signed".to_owned(), None))?;
        Ok(Secret::new(format!(
            "{signed}.{}",
            BASE64URL_NOPAD.encode(&signature)
        )))
    }
}
