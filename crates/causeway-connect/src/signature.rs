//! Signs outgoing web hooks by Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`.

use causeway_core::{clock::Timestamp, secret::Secret};
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A key made from a `whsec_…` secret.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

/// The text is not `whsec_` followed by base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a signing secret is whsec_ and 24 to 64 bytes in base64")]
pub struct BadSecret;

impl SigningKey {
    pub fn new(secret: &Secret) -> Result<Self, BadSecret> {
        let text = secret.reveal().strip_prefix("whsec_").ok_or(BadSecret)?;
        let bytes = BASE64.decode(text.as_bytes()).map_err(|_| BadSecret)?;
        if !(24..=64).contains(&bytes.len()) {
            return Err(BadSecret);
        }
        Hmac::new_from_slice(&bytes).map(Self).map_err(|_| BadSecret)
    }
}

/// The `webhook-signature` for a body sent now: one `v1,…` per key, separated by spaces, so that the receiver
/// can change its secret without a gap.
pub fn sign_standard_webhooks(keys: &[SigningKey], id: &str, at: Timestamp, body: &[u8]) -> String {
    let signatures: Vec<String> = keys
        .iter()
        .map(|key| {
            let mut mac = key.0.clone();
            mac.update(format!("{id}.{}.", at.as_second()).as_bytes());
            mac.update(body);
            format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
        })
        .collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Result<SigningKey, BadSecret> {
        SigningKey::new(&Secret::new(text))
    }

    #[test]
    fn signs_as_the_reference_libraries_do() {
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let at = Timestamp::from_second(1_614_265_330).unwrap();
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let one = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let sign = |keys: &[SigningKey]| sign_standard_webhooks(keys, id, at, br#"{"test": 2432232314}"#);
        assert_eq!(sign(std::slice::from_ref(&key)), one);
        assert_eq!(sign(&[key.clone(), key]), format!("{one} {one}"));
    }

    #[test]
    fn an_invalid_secret_is_refused() {
        for text in [
            "",
            "whsec_",
            "whsec_abc",
            "whsec_c2hvcnQ=",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ] {
            assert!(key(text).is_err(), "{text}");
        }
    }
}
