//! Hashes of addresses and numbers, as advertising platforms want them.

use data_encoding::HEXLOWER;
use sha2::Digest;

use super::{Error, Kwargs, Value, bounded, nothing, text_of};

pub(super) fn md5(value: &Value, options: Kwargs) -> Result<Value, Error> {
    digest(value, &options, |text| HEXLOWER.encode(&md5::Md5::digest(text)))
}

pub(super) fn sha256(value: &Value, options: Kwargs) -> Result<Value, Error> {
    digest(value, &options, |text| {
        HEXLOWER.encode(&sha2::Sha256::digest(text))
    })
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
