//! Takes a body in, up to a limit of bytes and time, and looks at its outside: what kind it is, how many fields,
//! how deep. What it means is the decoder's business.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use bytes::{Bytes, BytesMut};
use futures_util::future::poll_fn;

use crate::web::error::Refusal;

/// Room that is made for a body at once, whatever length it claims.
const FIRST_ROOM: u64 = 64 * 1024;
/// How much of a body that nobody wants is still read, so that the caller gets to see the answer instead of a
/// connection cut while it writes.
const DRAIN_BYTES: usize = 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// The length that the caller announced, if any.
pub(in crate::web) fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads all of the body. One chunk, the usual case, is not copied.
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

/// The next piece of data; trailers are not data.
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

/// Reads and forgets what is left of a refused body, a little of it.
pub(in crate::web) async fn drain(body: &mut Body, headers: &HeaderMap) {
    // A client that asks before it sends (`Expect`) is refused now, and does not send.
    if headers.contains_key(header::EXPECT) {
        return;
    }
    // Enough was read, or the caller was too slow: either way there is nothing more to do.
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
