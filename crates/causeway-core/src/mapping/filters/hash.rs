//! Digests of addresses and numbers, as ad platforms want them.

use data_encoding::HEXLOWER;
use sha2::Digest;

use super::{Error, Kwargs, Value, change_text};

pub(super) fn md5(value: &Value, options: Kwargs) -> Result<Value, Error> {
    digest(value, &options, |text| HEXLOWER.encode(&md5::Md5::digest(text)))
}

pub(super) fn sha256(value: &Value, options: Kwargs) -> Result<Value, Error> {
    digest(value, &options, |text| {
        HEXLOWER.encode(&sha2::Sha256::digest(text))
    })
}

/// Trimmed and in small letters, unless `raw=true`.
fn digest(value: &Value, options: &Kwargs, hash: impl FnOnce(&[u8]) -> String) -> Result<Value, Error> {
    let raw: Option<bool> = options.get("raw")?;
    options.assert_all_used()?;
    change_text(value, |text| {
        if raw.unwrap_or(false) {
            hash(text.as_bytes())
        } else {
            hash(text.trim().to_lowercase().as_bytes())
        }
    })
}
