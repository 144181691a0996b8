//! One consumer on one connection: gathers messages, commits them, and acknowledges the committed ones.
//!
//! While one batch commits, the next ones gather. Only [`Intake::acknowledge`] reports anything about a
//! message to the broker. No message is ever rejected or requeued: an unacknowledged message returns to the
//! queue when the channel closes.
//!
//! Invariant: a message goes back only if it cannot be stored, because a broker may count that and delete the
//! message at a limit. While the store fails, no message is held: all go back once, and there is no consumer
//! until the store accepts messages again.

use std::{sync::Arc, time::Duration};

use causeway_core::{
    clock::Clock,
    id::Name,
    source::{Accept, Health, SourceState, Stop},
    store::StoreError,
};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesOrdered};
use lapin::{
    Channel, Connection, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions},
};
use tokio::{
    select,
    time::{Instant, timeout},
};

use super::{
    CLOSE_LIMIT, WIND_DOWN_LIMIT,
    backoff::{Backoff, Random},
    batch::{Batch, envelope},
    connect::{AmqpError, no_stream, stream_refusal},
};

/// Batches that may commit at the same time. The store may join them into one transaction. More than a few
/// only delay the acknowledgements.
const DEPTH: usize = 3;
/// How long a batch that the store rejects is retried before everything goes back to the broker.
const HOLD_LIMIT: Duration = Duration::from_secs(5);

/// The settings that all connections of one source share.
#[derive(Clone)]
pub(super) struct Terms {
    pub(super) source: Name,
    pub(super) queue: String,
    pub(super) prefetch: u16,
    pub(super) batch: usize,
    pub(super) in_flight_bytes: usize,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Random,
    pub(super) accept: Arc<dyn Accept>,
    pub(super) health: Arc<dyn Health>,
    pub(super) stop: Stop,
}

pub(super) struct Intake {
    terms: Terms,
    channel: Channel,
    consumer: Consumer,
    gathered: Batch,
    /// Batches in the order of delivery, in which they also end.
    in_flight: FuturesOrdered<BoxFuture<'static, Committed>>,
    prefetch: u16,
    /// The average of the last batches, decaying.
    average_bytes: usize,
    /// The consumer was cancelled, to open it again with another prefetch.
    is_reopening: bool,
    /// Messages are requested one at a time until one is stored, because the store rejected some before.
    is_trial: bool,
}

/// How a batch's commit ended.
struct Committed {
    tag: u64,
    /// The batch that was not stored, and why: the store rejected it for too long, or the hub stops.
    unstored: Option<(Batch, String)>,
    /// It took more than one attempt.
    was_failing: bool,
}

/// The next item of the consumer's stream.
enum Next {
    Message,
    Cancelled,
    Failed(AmqpError),
}

impl Intake {
    pub(super) async fn start(
        terms: Terms,
        connection: &Connection,
        is_trial: bool,
    ) -> Result<Self, AmqpError> {
        let channel = connection.create_channel().await;
        let channel = channel.map_err(|error| AmqpError::new("opening a channel", &error))?;
        let prefetch = if is_trial { 1 } else { terms.prefetch };
        let consumer = consume(&channel, &terms.queue, prefetch).await?;
        Ok(Self {
            terms,
            channel,
            consumer,
            gathered: Batch::default(),
            in_flight: FuturesOrdered::new(),
            prefetch,
            average_bytes: 0,
            is_reopening: false,
            is_trial,
        })
    }

    /// Runs until it is stopped (`Ok`), until the broker ends it (then everything received is committed), or
    /// until the store rejects messages (then everything received goes back).
    pub(super) async fn run(mut self) -> Result<(), AmqpError> {
        loop {
            let mut next = Some(Next::Message);
            while let Some(Next::Message) = next {
                next = if self.has_room() {
                    self.take_if_there()
                } else {
                    None
                };
            }
            if next.is_none() {
                if let Err(error) = self.submit_if_due().await {
                    return Err(self.finish(error).await);
                }
                next = select! {
                    biased;
                    () = self.terms.stop.cancelled() => {
                        self.wind_down().await;
                        return Ok(());
                    }
                    Some(committed) = self.in_flight.next() => self.settle(committed).await,
                    item = self.consumer.next(), if self.has_room() => Some(self.take(item)),
                };
            }
            let error = match next {
                None | Some(Next::Message) => continue,
                Some(Next::Cancelled) if self.is_reopening => match self.reopen().await {
                    Ok(()) => continue,
                    Err(error) => error,
                },
                Some(Next::Cancelled) => {
                    self.terms.health.count("consumer_cancelled");
                    AmqpError::Lost("the broker cancelled the consumer: was the queue deleted?".to_owned())
                }
                Some(Next::Failed(error @ AmqpError::NotStored(_))) => {
                    self.give_back().await;
                    return Err(error);
                }
                Some(Next::Failed(error)) => error,
            };
            return Err(self.finish(error).await);
        }
    }

    fn has_room(&self) -> bool {
        // A third, so that messages can gather while others commit.
        let limit = self.terms.batch.min(usize::from(self.prefetch).div_ceil(DEPTH));
        self.gathered.envelopes.len() < limit && self.gathered.bytes < self.terms.in_flight_bytes / DEPTH
    }

    fn take_if_there(&mut self) -> Option<Next> {
        self.consumer.next().now_or_never().map(|item| self.take(item))
    }

    fn take(&mut self, item: Option<lapin::Result<Delivery>>) -> Next {
        match item {
            Some(Ok(delivery)) => {
                let tag = delivery.delivery_tag;
                let now = self.terms.clock.now();
                self.gathered.push(
                    tag,
                    envelope(&self.terms.source, &self.terms.queue, delivery, now),
                );
                Next::Message
            }
            Some(Err(error)) => Next::Failed(AmqpError::new("consuming", &error)),
            None => Next::Cancelled,
        }
    }

    /// Starts a commit if none is running, so that a single message does not wait, or if the batch is full.
    async fn submit_if_due(&mut self) -> Result<(), AmqpError> {
        let is_due = self.in_flight.is_empty() || (!self.has_room() && self.in_flight.len() < DEPTH);
        if self.gathered.is_empty() || !is_due {
            return Ok(());
        }
        let average = self.gathered.bytes / self.gathered.envelopes.len().max(1);
        self.average_bytes = if self.average_bytes == 0 {
            average
        } else {
            (3 * self.average_bytes + average) / 4
        };
        self.submit();
        self.lower_prefetch_if_due().await
    }

    fn submit(&mut self) {
        let batch = std::mem::take(&mut self.gathered);
        self.in_flight
            .push_back(commit(self.terms.clone(), batch, Some(HOLD_LIMIT)).boxed());
    }

    /// Acknowledges a committed batch. `Some` if that failed.
    async fn settle(&mut self, committed: Committed) -> Option<Next> {
        if committed.was_failing && committed.unstored.is_none() {
            self.terms.health.set(SourceState::Running);
        }
        let settled = match self.acknowledge(&committed).await {
            Ok(()) if self.is_trial => self.end_trial().await,
            settled => settled,
        };
        settled.err().map(Next::Failed)
    }

    /// Invariant: called in the order of delivery, and never for a batch after one that was not stored: one
    /// acknowledgement covers all earlier messages.
    async fn acknowledge(&mut self, committed: &Committed) -> Result<(), AmqpError> {
        if let Some((_, reason)) = &committed.unstored {
            return Err(AmqpError::NotStored(format!(
                "{reason}; the messages were returned to the broker"
            )));
        }
        let acknowledged = self
            .channel
            .basic_ack(committed.tag, BasicAckOptions { multiple: true })
            .await;
        acknowledged.map_err(|error| AmqpError::new("acknowledging", &error))
    }

    /// The broker counts messages, not bytes (classic queues ignore `prefetch_size`), and delivers that many
    /// whether they are read or not. So when messages are large, the consumer is opened again for fewer of
    /// them.
    async fn lower_prefetch_if_due(&mut self) -> Result<(), AmqpError> {
        let fitting = fitting_prefetch(self.terms.in_flight_bytes, self.average_bytes);
        // Small changes do not count, because the averages change all the time.
        if self.is_reopening || fitting >= self.prefetch / 2 {
            return Ok(());
        }
        self.terms.health.count("prefetch_lowered");
        self.change_prefetch(fitting).await
    }

    /// Requests the full prefetch again, because the store has accepted a message.
    async fn end_trial(&mut self) -> Result<(), AmqpError> {
        self.is_trial = false;
        self.change_prefetch(self.terms.prefetch).await
    }

    async fn change_prefetch(&mut self, prefetch: u16) -> Result<(), AmqpError> {
        self.prefetch = prefetch;
        if std::mem::replace(&mut self.is_reopening, true) {
            return Ok(());
        }
        let cancelled = self
            .channel
            .basic_cancel(self.consumer.tag(), BasicCancelOptions::default())
            .await;
        cancelled.map_err(|error| AmqpError::new("changing the prefetch", &error))
    }

    /// Every unacknowledged message returns to the queue with the channel.
    async fn give_back(self) {
        self.terms.health.count("given_back");
        timeout(CLOSE_LIMIT, close(&self.terms.source, &self.channel))
            .await
            .ok();
    }

    /// The old consumer's stream has ended; everything that it held is gathered.
    async fn reopen(&mut self) -> Result<(), AmqpError> {
        self.consumer = consume(&self.channel, &self.terms.queue, self.prefetch).await?;
        self.is_reopening = false;
        Ok(())
    }

    /// Commits everything that the client library still holds: if the queue was deleted, there is no other
    /// copy. Otherwise the messages come again as duplicates, which have no effect. Acknowledges as long as
    /// the channel works.
    async fn finish(mut self, error: AmqpError) -> AmqpError {
        let error = self.commit_rest(error).await;
        timeout(CLOSE_LIMIT, close(&self.terms.source, &self.channel))
            .await
            .ok();
        error
    }

    async fn commit_rest(&mut self, mut error: AmqpError) -> AmqpError {
        let mut can_acknowledge = true;
        loop {
            while self.has_room() {
                match self.take_if_there() {
                    Some(Next::Message) => {}
                    // The broker's own words are better than the failure of an acknowledgement.
                    Some(Next::Failed(newer)) => error = newer,
                    Some(Next::Cancelled) | None => break,
                }
            }
            let is_last = self.has_room();
            if !self.gathered.is_empty() {
                self.submit();
            }
            while self.in_flight.len() >= DEPTH || is_last {
                let Some(mut committed) = self.in_flight.next().await else {
                    return error;
                };
                if let Some((batch, _)) = committed.unstored.take() {
                    if self.terms.stop.is_cancelled() {
                        return error;
                    }
                    // The broker may have no other copy, so it is retried without a limit.
                    let again = commit(self.terms.clone(), batch, None).boxed();
                    self.in_flight.push_front(again);
                    continue;
                }
                can_acknowledge = can_acknowledge && self.acknowledge(&committed).await.is_ok();
            }
        }
    }

    /// Takes no more messages, and commits and acknowledges everything that the broker delivered, within
    /// [`WIND_DOWN_LIMIT`]. Messages that went back would count as returned.
    async fn wind_down(&mut self) {
        let winding_down = async {
            let options = BasicCancelOptions::default();
            if let Err(error) = self.channel.basic_cancel(self.consumer.tag(), options).await {
                tracing::debug!(source = %self.terms.source, %error, "The consumer was gone already.");
            }
            let mut is_last = false;
            while !is_last {
                // The stream ends after the last message that came before the broker's answer.
                while self.has_room() && !is_last {
                    let item = self.consumer.next().await;
                    is_last = !matches!(self.take(item), Next::Message);
                }
                if !self.gathered.is_empty() {
                    self.submit();
                }
                while self.in_flight.len() >= DEPTH || (is_last && !self.in_flight.is_empty()) {
                    let Some(committed) = self.in_flight.next().await else {
                        break;
                    };
                    if self.acknowledge(&committed).await.is_err() {
                        return;
                    }
                }
            }
            close(&self.terms.source, &self.channel).await;
        };
        if timeout(WIND_DOWN_LIMIT, winding_down).await.is_err() {
            tracing::warn!(source = %self.terms.source, "Messages are returned to the broker: the store took too long.");
        }
    }
}

/// The number of messages of this size that fit.
fn fitting_prefetch(bytes: usize, average_bytes: usize) -> u16 {
    u16::try_from(bytes / average_bytes.max(1))
        .unwrap_or(u16::MAX)
        .max(1)
}

async fn consume(channel: &Channel, queue: &str, prefetch: u16) -> Result<Consumer, AmqpError> {
    let limited = channel.basic_qos(prefetch, BasicQosOptions::default()).await;
    limited.map_err(|error| AmqpError::new("limiting the prefetch", &error))?;
    let consumer = channel
        .basic_consume(
            queue.into(),
            "".into(),
            BasicConsumeOptions::default(),
            no_stream(),
        )
        .await;
    consumer.map_err(|error| stream_refusal(queue, AmqpError::new(&format!("consuming {queue}"), &error)))
}

/// Closes the channel and waits for the answer. The broker answers in order, so its answer shows that it has
/// read every acknowledgement. Without waiting they may be lost: a socket that is closed while it holds
/// unread messages is reset, and the broker then drops what it has not read.
async fn close(source: &Name, channel: &Channel) {
    if let Err(error) = channel.close(200, "OK".into()).await {
        tracing::debug!(%source, %error, "The channel was closed already.");
    }
}

/// Passes the batch to the store until it is stored, the hub stops, or the store has rejected it for longer
/// than `limit`. Meanwhile nothing is acknowledged, so the broker sends no more than the prefetch: that is
/// the back-pressure.
async fn commit(terms: Terms, batch: Batch, limit: Option<Duration>) -> Committed {
    let mut backoff = Backoff::new(terms.random);
    let tag = batch.tag;
    let mut failing_since = None;
    loop {
        let Err(error) = terms.accept.accept(batch.envelopes.clone()).await else {
            return Committed {
                tag,
                unstored: None,
                was_failing: failing_since.is_some(),
            };
        };
        if failing_since.is_none() {
            report_refusal(&terms, batch.envelopes.len(), &error);
        }
        let since = *failing_since.get_or_insert_with(Instant::now);
        let reason = error.to_string();
        terms.health.set(SourceState::Failing {
            reason: reason.clone(),
        });
        let wait = backoff.wait();
        let is_over = limit.is_some_and(|limit| since.elapsed() + wait > limit);
        let unstored = |batch| Committed {
            tag,
            unstored: Some((batch, reason)),
            was_failing: true,
        };
        if is_over || terms.stop.is_cancelled() {
            return unstored(batch);
        }
        select! {
            () = tokio::time::sleep(wait) => {}
            () = terms.stop.cancelled() => return unstored(batch),
        }
    }
}

fn report_refusal(terms: &Terms, messages: usize, error: &StoreError) {
    let source = &terms.source;
    match error {
        StoreError::Unavailable(_) => {
            tracing::warn!(%source, messages, %error, "The store does not accept messages; trying again.");
        }
        StoreError::Failed(_) => {
            tracing::error!(%source, messages, %error, "The store cannot accept messages; trying again.");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefetch_fits_the_memory_and_is_never_zero() {
        for (bytes, average, expected) in [
            (64 << 20, 1_500, 44_739),
            (64 << 20, 1 << 20, 64),
            (1 << 20, 128 << 20, 1),
            (64 << 20, 0, u16::MAX),
        ] {
            assert_eq!(fitting_prefetch(bytes, average), expected, "{bytes} / {average}");
        }
    }
}
