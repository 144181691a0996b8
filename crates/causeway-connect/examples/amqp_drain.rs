//! The broker's own limit: takes messages from a queue, stores nothing, acknowledges in multiples, prints the rate.
//!
//! `cargo run --release -p causeway-connect --example amqp_drain -- URL QUEUE [MESSAGES [PREFETCH [ACK_EVERY]]]` ends
//! after MESSAGES messages (default 100000), or when none has arrived for two seconds.

#![expect(clippy::print_stdout, reason = "the figures are its product")]

use std::{env, error::Error, time::Duration};

use futures_util::StreamExt;
use lapin::{
    Connection, ConnectionProperties,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use tokio::time::{Instant, timeout};

const PATIENCE: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [url, queue, numbers @ ..] = args.as_slice() else {
        return Err("usage: amqp_drain URL QUEUE [MESSAGES [PREFETCH [ACK_EVERY]]]".into());
    };
    let number = |at: usize, default: u64| numbers.get(at).map_or(Ok(default), |text| text.parse());
    let (messages, prefetch, ack_every) = (number(0, 100_000)?, number(1, 1000)?, number(2, 500)?.max(1));

    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel
        .basic_qos(prefetch.try_into()?, BasicQosOptions::default())
        .await?;
    let options = BasicConsumeOptions::default();
    let mut consumer = channel
        .basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default())
        .await?;

    let (mut taken, mut bytes, mut tag, mut acked) = (0, 0, 0, 0);
    let since = Instant::now();
    let mut last = since;
    while taken < messages {
        let Ok(Some(delivery)) = timeout(PATIENCE, consumer.next()).await else {
            break;
        };
        let delivery = delivery?;
        taken += 1;
        bytes += delivery.data.len();
        tag = delivery.delivery_tag;
        if taken % ack_every == 0 {
            channel.basic_ack(tag, BasicAckOptions { multiple: true }).await?;
            acked = tag;
        }
        last = Instant::now();
    }
    if tag > acked {
        channel.basic_ack(tag, BasicAckOptions { multiple: true }).await?;
    }
    let seconds = last.duration_since(since).as_secs_f64();
    println!(
        "{taken} messages, {bytes} bytes, {seconds:.2} s, {:.0} messages/s",
        f64::from(u32::try_from(taken)?) / seconds
    );
    // Closing in good order makes sure that the last acknowledgement has arrived.
    connection.close(200, "OK".into()).await?;
    Ok(())
}
