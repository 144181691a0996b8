//! Reads key files in all known forms: an object keyed by public key (with an object or a bare string as
//! value), a list, and the response of Proca's `generateKey`, with or without the GraphQL wrapper.

use std::collections::BTreeMap;

use crypto_box::SecretKey;
use serde_json::Value;

use super::{KEY_BYTES, KeystoreError, beginning, decode_key};

type Keys = BTreeMap<[u8; KEY_BYTES], SecretKey>;

pub(super) fn keys(text: &str) -> Result<Keys, KeystoreError> {
    let text = text.trim_start_matches('\u{feff}');
    let value: Value = serde_json::from_str(text).map_err(|error| KeystoreError::NotJson {
        line: error.line(),
        column: error.column(),
    })?;
    let mut keys = Keys::new();
    collect(&value, &mut keys)?;
    if keys.is_empty() {
        return Err(KeystoreError::Empty);
    }
    Ok(keys)
}

fn collect(value: &Value, keys: &mut Keys) -> Result<(), KeystoreError> {
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| collect(item, keys)),
        Value::Object(members) => {
            let has = |name| members.get(name).is_some_and(|member| !member.is_object());
            if has("public") || has("private") {
                let public = members.get("public").and_then(Value::as_str).unwrap_or_default();
                return add(public, members.get("private"), keys);
            }
            for (name, member) in members {
                if decode_key(name).is_some() {
                    let private = member.get("private").unwrap_or(member);
                    add(name, Some(private), keys)?;
                } else if member.is_string() {
                    return Err(bad(name, "the name is not a 32-byte public key in base64"));
                } else {
                    // The GraphQL wrapper: {"data": {"generateKey": {…}}}.
                    collect(member, keys)?;
                }
            }
            Ok(())
        }
        // Members of a wrapper that are no keys.
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn add(public: &str, private: Option<&Value>, keys: &mut Keys) -> Result<(), KeystoreError> {
    let public_key =
        decode_key(public).ok_or_else(|| bad(public, "the public key is not 32 bytes in base64"))?;
    let private = private
        .and_then(Value::as_str)
        .ok_or_else(|| bad(public, "the private key is missing"))?;
    let private = decode_key(private)
        .map(SecretKey::from_bytes)
        .ok_or_else(|| bad(public, "the private key is not 32 bytes in base64"))?;
    if SecretKey::from_bytes(public_key).public_key().as_bytes() == &private.to_bytes() {
        // Its name is the secret here, so the error must not show it.
        return Err(KeystoreError::BadEntry {
            entry: "(not shown)".to_owned(),
            what: "the public and the private key are swapped",
        });
    }
    if *private.public_key().as_bytes() != public_key {
        return Err(KeystoreError::BadEntry {
            entry: beginning(&public_key),
            what: "the private key does not belong to this public key",
        });
    }
    keys.insert(public_key, private);
    Ok(())
}

fn bad(public: &str, what: &'static str) -> KeystoreError {
    let beginning: String = public.chars().filter(|c| !c.is_control()).take(8).collect();
    let entry = if beginning.is_empty() {
        "without a public key".to_owned()
    } else {
        beginning
    };
    KeystoreError::BadEntry { entry, what }
}
