//! Processes a batch on which the store failed in ever smaller parts, so that only the row that fails becomes dead.

use std::sync::Arc;

use causeway_core::{
    event::{DeadCode, Decoded},
    id::InboxId,
    source::Stop,
    store::StoreError,
};

use super::{BATCH, Engine, decode, origins, wait, wake, write};

/// Processes the oldest batch in parts. Returns the last row of the batch.
pub(super) async fn oldest(engine: &Arc<Engine>, stop: &Stop) -> InboxId {
    let rows = match engine.store.fetch_new(InboxId(0), BATCH).await {
        Ok(rows) => rows,
        Err(error) => {
            tracing::error!(%error, "could not read the inbox; trying again");
            wait(engine, stop).await;
            return InboxId(0);
        }
    };
    let last = rows.last().map_or(InboxId(0), |(id, _)| *id);
    let origins = origins(&rows);
    // A stack of the parts still to be processed; the first part is on top.
    let mut parts = vec![decode(engine, rows).await];
    let mut stuck = 0_u32;
    while let Some(mut part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        match write(Arc::clone(engine), part.clone(), origins.clone()).await {
            Ok(processed) => wake(engine, &processed),
            Err(error @ StoreError::Unavailable(_)) => {
                tracing::error!(%error, "could not commit processed rows; trying again");
                wait(engine, stop).await;
                return InboxId(0);
            }
            Err(StoreError::Failed(_)) if part.len() > 1 => {
                parts.push(part.split_off(part.len() / 2));
                parts.push(part);
            }
            Err(StoreError::Failed(reason)) => match part.first() {
                Some((
                    id,
                    Decoded::Event(_) | Decoded::Partial { .. } | Decoded::Parts(_) | Decoded::Skip { .. },
                )) => {
                    parts.push(vec![(*id, dead(&reason))]);
                }
                Some((_, Decoded::Dead { .. })) => stuck += 1,
                None => {}
            },
        }
    }
    if stuck > 0 {
        tracing::error!(
            rows = stuck,
            "messages can be neither processed nor marked as dead: the store needs a repair"
        );
        wait(engine, stop).await;
    }
    last
}

fn dead(reason: &str) -> Decoded {
    Decoded::Dead {
        code: DeadCode::Internal,
        reason: format!("the store failed on it: {reason}"),
    }
}
