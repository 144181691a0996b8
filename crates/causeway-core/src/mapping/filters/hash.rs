//! Hashes of addresses and numbers, as advertising platforms want them.

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::{Error, Kwargs, Value, bounded, nothing, refuse, text_of};

pub(super) fn md5(value: &Value, options: Kwargs) -> Result<Value, Error> {
    digest(value, &options, |text| HEXLOWER.encode(&md5::Md5::digest(text)))
}

pub(super) fn sha256(value: &Value, options: Kwargs) -> Result<Value, Error> {
    digest(value, &options, |text| HEXLOWER.encode(&Sha256::digest(text)))
}

/// The hash of the trimmed text in small letters, or of the text as it is with `raw=true`. An empty text has
/// no hash, because it would be the same for all contacts without a value.
fn digest(value: &Value, options: &Kwargs, hash: impl FnOnce(&[u8]) -> String) -> Result<Value, Error> {
    let raw: Option<bool> = options.get("raw")?;
    options.assert_all_used()?;
    let Some(text) = text_of(value)? else {
        return Ok(nothing());
    };
    let text = if raw.unwrap_or(false) {
        text.into_owned()
    } else {
        text.trim().to_lowercase()
    };
    if text.is_empty() {
        return Ok(nothing());
    }
    bounded(hash(text.as_bytes()))
}

/// `hmac_sha256(key)`, in hexadecimal or with `encoding='base64'`. An empty text gives none, as in [`digest`]. A key
/// without content would prove nothing.
pub(super) fn hmac_sha256(value: &Value, key: &Value, options: Kwargs) -> Result<Value, Error> {
    let encoding: Option<&str> = options.get("encoding")?;
    options.assert_all_used()?;
    let is_base64 = is_base64(encoding)?;
    let no_key = || refuse("`hmac_sha256` needs a key, and it is missing or empty", None);
    let key = text_of(key)?.filter(|key| !key.is_empty()).ok_or_else(no_key)?;
    let Some(text) = text_of(value)?.filter(|text| !text.is_empty()) else {
        return Ok(nothing());
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_err(|_| no_key())?;
    mac.update(text.as_bytes());
    let code = mac.finalize().into_bytes();
    bounded(if is_base64 {
        BASE64.encode(&code)
    } else {
        HEXLOWER.encode(&code)
    })
}

pub(super) fn check_encoding(encoding: &str) -> Result<(), Error> {
    is_base64(Some(encoding)).map(drop)
}

fn is_base64(encoding: Option<&str>) -> Result<bool, Error> {
    match encoding {
        None | Some("hex") => Ok(false),
        Some("base64") => Ok(true),
        Some(other) => Err(super::unknown("encoding", other, &["hex", "base64"])),
    }
}
