//! Multipart to the plain form encoding: the same names and values in the same order, so that the same post has the
//! same bytes whatever boundary the sender drew. Files are left out.

use std::future::ready;

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use futures_util::stream;
use url::form_urlencoded::byte_serialize;

/// What the rewritten body is.
pub(super) const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";

pub(super) struct Plain {
    pub body: Bytes,
    /// How many files were in it.
    pub files: usize,
}

/// `None` when it is not multipart after all: then it is kept as it came.
pub(super) async fn to_form(headers: &HeaderMap, body: &Bytes) -> Option<Plain> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let boundary = multer::parse_boundary(content_type).ok()?;
    let whole = stream::once(ready(Ok::<_, multer::Error>(body.clone())));
    let mut parts = multer::Multipart::new(whole, boundary);
    let mut form = String::with_capacity(body.len());
    let mut files = 0;
    while let Some(part) = parts.next_field().await.ok()? {
        if let Some(file_name) = part.file_name() {
            // A file field that was left empty sends a part without a name.
            files += usize::from(!file_name.is_empty());
            continue;
        }
        let name = part.name().unwrap_or_default().to_owned();
        let value = part.bytes().await.ok()?;
        if !form.is_empty() {
            form.push('&');
        }
        form.extend(byte_serialize(name.as_bytes()));
        form.push('=');
        form.extend(byte_serialize(&value));
    }
    Some(Plain {
        body: Bytes::from(form),
        files,
    })
}
