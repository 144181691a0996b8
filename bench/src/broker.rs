//! The broker of the run: fills a queue, and measures when its first message is taken. Also the bare consumer.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use causeway_testkit::rig::topology::Topology;
use futures_util::StreamExt;
use lapin::{
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueuePurgeOptions},
    types::FieldTable,
};

use crate::messages::Messages;

const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Puts `count` messages into the organisation's deliver queue (durable, classic, messages persistent), which was
/// emptied before. Numbers start at `first`, so that no run sees the people of another.
pub async fn fill(topology: &Topology, messages: &Messages, first: u64, count: u64) -> anyhow::Result<()> {
    let queue = topology.queue("deliver");
    let purge = topology
        .channel()
        .queue_purge(queue.as_str().into(), QueuePurgeOptions::default());
    purge.await.context("emptying the queue")?;
    publish(topology, messages, first, count).await?;
    ensure!(
        u64::from(topology.waiting(&queue).await) == count,
        "the queue does not hold what was published"
    );
    Ok(())
}

/// The same into a queue from which a consumer takes them at once.
pub async fn publish(topology: &Topology, messages: &Messages, first: u64, count: u64) -> anyhow::Result<()> {
    let bodies: Vec<Vec<u8>> = (first..first + count)
        .map(|number| messages.action(number))
        .collect::<anyhow::Result<_>>()?;
    // Published to the queue itself, because Proca's exchange would copy each message to four more queues,
    // which are not measured.
    topology
        .publish_many("", &topology.queue("deliver"), bodies)
        .await;
    Ok(())
}

/// Waits until the first message is taken. The measured time begins then, so that the start-up of a consumer
/// does not count.
pub async fn first_taken(topology: &Topology, count: u64) -> anyhow::Result<Instant> {
    let queue = topology.queue("deliver");
    let asked = Instant::now();
    while u64::from(topology.waiting(&queue).await) >= count {
        ensure!(
            asked.elapsed() < Duration::from_mins(1),
            "nobody takes messages from {queue}"
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(Instant::now())
}

/// Call after a consumer has ended. Fails if messages that it had not acknowledged returned to the queue.
pub async fn is_all_acknowledged(topology: &Topology) -> anyhow::Result<()> {
    let left = topology.waiting(&topology.queue("deliver")).await;
    ensure!(left == 0, "{left} messages were not acknowledged");
    Ok(())
}

/// Takes `count` messages with our own client's settings (1000 in flight, multi-acks), stores nothing.
pub async fn drain(topology: &Topology, url: &str, count: u64) -> anyhow::Result<f64> {
    let connection = causeway_testkit::rig::topology::connect(url).await;
    let channel = connection.create_channel().await?;
    channel.basic_qos(1_000, BasicQosOptions::default()).await?;
    let queue = topology.queue("deliver");
    let mut consumer = channel
        .basic_consume(
            queue.as_str().into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let mut started = None;
    for taken in 1..=count {
        let message = consumer.next().await.context("the queue ended")??;
        started.get_or_insert_with(Instant::now);
        if taken % 250 == 0 || taken == count {
            channel
                .basic_ack(message.delivery_tag, BasicAckOptions { multiple: true })
                .await?;
        }
    }
    let seconds = started.context("no message came")?.elapsed().as_secs_f64();
    // Closing in good order makes sure that the last acknowledgement has arrived.
    connection.close(200, "OK".into()).await?;
    Ok(seconds)
}
