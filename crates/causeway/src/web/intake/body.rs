//! Reads a body within a limit of bytes and time. Decoding it is the decoder's part.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use bytes::{Bytes, BytesMut};
use futures_util::future::poll_fn;

use crate::web::error::Refusal;

/// The initial buffer of a body, whatever length it announces.
const FIRST_ROOM: u64 = 64 * 1024;
/// How much of a refused body is still read, so that the caller sees the response instead of a connection that breaks while it
/// writes.
const DRAIN_BYTES: usize = 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// The length that the caller announced, if any.
pub(in crate::web) fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads the whole body. A body of one chunk, the usual case, is not copied.
pub(in crate::web) async fn read(
    body: &mut Body,
    announced: Option<u64>,
    max_bytes: usize,
    within: Duration,
) -> Result<Bytes, Refusal> {
    tokio::time::timeout(within, read_all(body, announced, max_bytes))
        .await
        .unwrap_or(Err(Refusal::Slow))
}

async fn read_all(body: &mut Body, announced: Option<u64>, max_bytes: usize) -> Result<Bytes, Refusal> {
    let Some(first) = next(body).await? else {
        return Ok(Bytes::new());
    };
    if first.len() > max_bytes {
        return Err(Refusal::TooLarge("body"));
    }
    let Some(second) = next(body).await? else {
        return Ok(first);
    };
    let room = announced.unwrap_or_default().min(FIRST_ROOM);
    let mut all = BytesMut::with_capacity(usize::try_from(room).unwrap_or_default().max(first.len()));
    all.extend_from_slice(&first);
    let mut chunk = Some(second);
    while let Some(bytes) = chunk {
        if all.len() + bytes.len() > max_bytes {
            return Err(Refusal::TooLarge("body"));
        }
        all.extend_from_slice(&bytes);
        chunk = next(body).await?;
    }
    Ok(all.freeze())
}

/// The next chunk of data, without trailers.
async fn next(body: &mut Body) -> Result<Option<Bytes>, Refusal> {
    loop {
        let frame = poll_fn(|cx| {
            use axum::body::HttpBody;
            std::pin::Pin::new(&mut *body).poll_frame(cx)
        })
        .await;
        match frame {
            None => return Ok(None),
            Some(Err(_)) => return Err(Refusal::Broken),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Reads and drops the rest of a refused body, up to [`DRAIN_BYTES`].
pub(in crate::web) async fn drain(body: &mut Body, headers: &HeaderMap) {
    // A client with `Expect: 100-continue` has not sent its body yet, and will not send it after the refusal.
    if headers.contains_key(header::EXPECT) {
        return;
    }
    // Ignored: either enough was read, or the caller was too slow.
    drop(tokio::time::timeout(DRAIN_TIME, discard(body)).await);
}

async fn discard(body: &mut Body) {
    let mut left = DRAIN_BYTES;
    while let Ok(Some(bytes)) = next(body).await {
        match left.checked_sub(bytes.len()) {
            Some(less) => left = less,
            None => return,
        }
    }
}
