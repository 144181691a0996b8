//! Reads the depth of the queue and of its parking queue, for the metrics.

use std::{convert::Infallible, sync::Arc, time::Duration};

use causeway_core::source::Health;
use lapin::{Channel, Connection};

use super::{
    connect::{AmqpError, look_at},
    consumers,
};

/// Which queues to read, and how often.
pub(super) struct Depth {
    pub(super) queue: String,
    pub(super) fail_queue: Option<String>,
    pub(super) every: Duration,
    pub(super) health: Arc<dyn Health>,
}

impl Depth {
    /// Reads for ever, on a channel of its own: a rejection closes the channel, and must not end the
    /// consumer. It never ends by itself; the consumer notices when the connection is gone.
    pub(super) async fn watch(mut self, connection: &Connection) -> Infallible {
        let mut channel = None;
        loop {
            channel = self.look(connection, channel).await;
            tokio::time::sleep(self.every).await;
        }
    }

    /// Returns the channel if it can be used again.
    async fn look(&mut self, connection: &Connection, channel: Option<Channel>) -> Option<Channel> {
        let channel = match channel {
            Some(channel) => channel,
            None => connection.create_channel().await.ok()?,
        };
        let queue = look_at(&channel, &self.queue).await.ok()?;
        self.health.gauge("queue_depth", queue.message_count().into());
        self.health.warn(
            "consumers",
            consumers::warning(&self.queue, queue.consumer_count()),
        );
        let Some(fail_queue) = &self.fail_queue else {
            return Some(channel);
        };
        match look_at(&channel, fail_queue).await {
            Ok(queue) => {
                self.health
                    .gauge("fail_queue_depth", queue.message_count().into());
                Some(channel)
            }
            Err(error) => {
                if matches!(error, AmqpError::Refused(_) | AmqpError::Missing(_)) {
                    tracing::info!(
                        reason = error.reason(),
                        "The depth of the fail queue is not known."
                    );
                    // Not asked again on this connection: each rejection costs a channel and a line in the
                    // broker's log.
                    self.fail_queue = None;
                }
                None
            }
        }
    }
}
