//! Records attempts as they end, many in one transaction.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use causeway_core::{
    clock::Timestamp,
    id::Name,
    store::{Attempt, StoreError},
};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
};

use super::{POLL, later};
use crate::engine::Engine;

/// Maximum number of attempts waiting to be recorded. A full queue blocks the calls.
const UNRECORDED: usize = 1_024;

/// The recorder of one lane. While the hub runs, it drops no attempt, because an unrecorded attempt would be sent again. At
/// shutdown, attempts that are not recorded by the deadline are dropped, and their deliveries are sent again. Memory stays
/// bounded: the lane starts nothing while the recorder [is behind](Self::is_behind).
pub(super) struct Recorder {
    engine: Arc<Engine>,
    attempts: mpsc::Sender<Attempt>,
    behind: Arc<AtomicBool>,
    writing: JoinHandle<()>,
    name: Name,
}

impl Recorder {
    /// `woken` is notified after each write: a contact's next delivery may be due.
    pub(super) fn start(engine: Arc<Engine>, name: Name, woken: Arc<Notify>) -> Self {
        let (attempts, mut unrecorded) = mpsc::channel(UNRECORDED);
        let behind = Arc::new(AtomicBool::new(false));
        let writer = Writer {
            engine: Arc::clone(&engine),
            behind: Arc::clone(&behind),
            name: Name::clone(&name),
        };
        let writing = tokio::spawn(async move {
            let mut batch = Vec::with_capacity(UNRECORDED);
            while unrecorded.recv_many(&mut batch, UNRECORDED).await > 0 {
                writer.write(std::mem::take(&mut batch)).await;
                woken.notify_one();
            }
        });
        Self {
            engine,
            attempts,
            behind,
            writing,
            name,
        }
    }

    pub(super) fn attempts(&self) -> mpsc::Sender<Attempt> {
        self.attempts.clone()
    }

    /// Whether the store accepts no writes at the moment.
    pub(super) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }

    /// Returns when all attempts are written, or at `deadline`. Called after all calls have ended.
    pub(super) async fn finish(self, deadline: Timestamp) {
        drop(self.attempts);
        let mut writing = self.writing;
        tokio::select! {
            ended = &mut writing => if ended.is_err() {
                tracing::error!(destination = %self.name, "the recorder ended unexpectedly");
            },
            () = self.engine.clock.sleep_until(deadline) => {
                writing.abort();
                tracing::error!(destination = %self.name, "attempts could not be recorded; their deliveries are sent again with the same idempotency key");
            }
        }
    }
}

struct Writer {
    engine: Arc<Engine>,
    behind: Arc<AtomicBool>,
    name: Name,
}

impl Writer {
    async fn write(&self, attempts: Vec<Attempt>) {
        // A stack of the parts still to be written; the first part is on top.
        let mut parts = vec![attempts];
        while let Some(mut part) = parts.pop() {
            let answers = part.iter().any(|attempt| !attempt.writes.is_empty());
            match self.engine.store.record(part.clone()).await {
                Ok(()) => {
                    self.caught_up();
                    self.engine.answers.recorded(&part);
                    if answers {
                        self.engine.wake.inbox.notify_one();
                    }
                }
                Err(error @ StoreError::Unavailable(_)) => {
                    self.fell_behind(&error);
                    parts.push(part);
                    let clock = &self.engine.clock;
                    clock.sleep_until(later(clock.now(), POLL)).await;
                }
                // One attempt that cannot be written must not prevent the others.
                Err(StoreError::Failed(_)) if part.len() > 1 => {
                    parts.push(part.split_off(part.len() / 2));
                    parts.push(part);
                }
                Err(error @ StoreError::Failed(_)) => {
                    let id = part.first().map(|attempt| attempt.delivery.0);
                    tracing::error!(destination = %self.name, delivery.id = id, %error, "an attempt cannot be recorded; the delivery is claimed again when its lease ends");
                }
            }
        }
        self.caught_up();
    }

    fn fell_behind(&self, error: &StoreError) {
        if !self.behind.swap(true, Ordering::Relaxed) {
            tracing::error!(destination = %self.name, %error, "could not record attempts; nothing is sent until they are written");
        }
    }

    fn caught_up(&self) {
        if self.behind.swap(false, Ordering::Relaxed) {
            tracing::info!(destination = %self.name, "attempts are recorded again");
        }
    }
}
