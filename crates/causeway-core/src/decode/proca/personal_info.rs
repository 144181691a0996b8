//! Encrypted personal data: from the message's four texts to the fields inside.
//!
//! Invariant: no reason contains ciphertext or plaintext.

use serde_json::{Map, Value};

use super::{
    malformed,
    wire::{Message, PersonalInfo, Raw},
};
use crate::{
    decode::json,
    event::{DeadCode, Decoded},
    keystore::{Keystore, OpenError, Sealed},
};

/// Opens `personalInfo`; `None` if there is none.
pub(super) fn open(
    info: Option<&PersonalInfo<'_>>,
    keystore: &Keystore,
) -> Result<Option<Map<String, Value>>, Decoded> {
    let Some(info) = info else { return Ok(None) };
    let encrypt_key = info
        .encrypt_key
        .as_ref()
        .map(|key| key.public)
        .unwrap_or_default();
    let sign_key = info.sign_key.as_ref().map(|key| key.public).unwrap_or_default();
    open_texts(info.payload, info.nonce, encrypt_key, sign_key, keystore).map(Some)
}

fn open_texts(
    payload: Raw<'_>,
    nonce: Raw<'_>,
    encrypt_key: Raw<'_>,
    sign_key: Raw<'_>,
    keystore: &Keystore,
) -> Result<Map<String, Value>, Decoded> {
    let (Some(payload), Some(nonce), Some(encrypt_key), Some(sign_key)) =
        (payload.text(), nonce.text(), encrypt_key.text(), sign_key.text())
    else {
        return Err(undecryptable("a part of personalInfo is missing"));
    };
    open_sealed(
        &Sealed {
            payload: &payload,
            nonce: &nonce,
            encrypt_key: &encrypt_key,
            sign_key: &sign_key,
        },
        keystore,
    )
}

fn open_sealed(sealed: &Sealed<'_>, keystore: &Keystore) -> Result<Map<String, Value>, Decoded> {
    let plaintext = keystore.open(sealed).map_err(|error| match error {
        OpenError::KeyMissing { .. } => Decoded::Dead {
            code: DeadCode::KeyMissing,
            reason: error.to_string(),
        },
        OpenError::Refused(_) => Decoded::Dead {
            code: DeadCode::Undecryptable,
            reason: error.to_string(),
        },
    })?;
    object(&plaintext).ok_or_else(|| undecryptable("the decrypted personal data is not a JSON object"))
}

/// Converts the contact of a version 1 message to the form of version 2, and opens its payload. That is a
/// string with the fields as JSON, or ciphertext if there is a nonce.
pub(super) fn open_v1(
    message: &mut Message<'_>,
    keystore: &Keystore,
) -> Result<Option<Map<String, Value>>, Decoded> {
    let Some(Value::Object(contact)) = &mut message.contact else {
        return Ok(None);
    };
    let mut take = |name: &str| match contact.remove(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    };
    let (payload, nonce) = (take("payload"), take("nonce"));
    let (encrypt_key, sign_key) = (take("publicKey"), take("signKey"));
    if let Some(reference) = take("ref") {
        contact.insert("contactRef".to_owned(), reference.into());
    }
    let Some(payload) = payload else { return Ok(None) };
    match (nonce, encrypt_key, sign_key) {
        (None, None, None) => object(payload.as_bytes())
            .map(Some)
            .ok_or_else(|| malformed("contact.payload is not a JSON object".to_owned())),
        (Some(nonce), Some(encrypt_key), Some(sign_key)) => open_sealed(
            &Sealed {
                payload: &payload,
                nonce: &nonce,
                encrypt_key: &encrypt_key,
                sign_key: &sign_key,
            },
            keystore,
        )
        .map(Some),
        _ => Err(undecryptable(
            "a nonce or key of the encrypted contact is missing",
        )),
    }
}

/// Reads the fields as leniently as the message itself.
fn object(json: &[u8]) -> Option<Map<String, Value>> {
    let text = std::str::from_utf8(json).ok()?;
    match json::read(text, json::DEEPEST).ok()?.0 {
        Value::Object(fields) => Some(fields),
        _ => None,
    }
}

fn undecryptable(reason: &str) -> Decoded {
    Decoded::Dead {
        code: DeadCode::Undecryptable,
        reason: reason.to_owned(),
    }
}
