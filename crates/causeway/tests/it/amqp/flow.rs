//! Messages while the broker works.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use causeway_core::source::SourceState;
use causeway_testkit::rig::{rabbit, topology};
use lapin::options::{BasicGetOptions, BasicRejectOptions};

use super::{Inbox, Mood, blocking, bodies, body, queue_becomes, run, source, within_limit};

#[tokio::test]
async fn ten_thousand_messages_arrive_once_each_with_the_least_rights() {
    let shared = blocking(rabbit::shared).await;
    let topology = topology::declare_unique().await;
    let (org, queue) = (topology.org(), topology.queue("deliver"));
    topology
        .publish_many(
            &topology.exchange("deliver"),
            "petition.bees",
            (0..10_000).map(body),
        )
        .await;
    topology
        .publish(&topology.fail_queue(), "", b"parked", None)
        .await;
    let customer = blocking(move || shared.add_customer(org)).await;
    let inbox = Inbox::new(Mood::Stores);

    let running = run(source(&customer, &queue, "depth_every_s = 1"), &inbox);
    inbox.has(&bodies(0..10_000)).await;
    running.health.shows("queue_depth", 0).await;
    running.health.shows("fail_queue_depth", 1).await;
    running.stop().await;

    assert_eq!(inbox.stored().len(), 10_000, "none twice");
    queue_becomes(&queue, 0, 0).await;
}

#[tokio::test]
async fn nothing_is_acknowledged_before_it_is_committed() {
    let topology = topology::declare_unique().await;
    let queue = topology.queue("deliver");
    topology
        .publish_many(&topology.exchange("deliver"), "petition.bees", (0..100).map(body))
        .await;
    let inbox = Inbox::new(Mood::Hangs);

    let running = run(source(&rabbit::shared().url(), &queue, "batch = 10"), &inbox);
    inbox.was_called(3).await;
    queue_becomes(&queue, 0, 100).await;
    inbox.set(Mood::Stores);
    inbox.has(&bodies(0..100)).await;
    queue_becomes(&queue, 0, 0).await;
    running.stop().await;
}

#[tokio::test]
async fn a_stop_gives_back_what_is_not_committed() {
    let topology = topology::declare_unique().await;
    let queue = topology.queue("deliver");
    topology
        .publish_many(&topology.exchange("deliver"), "petition.bees", (0..100).map(body))
        .await;
    let inbox = Inbox::new(Mood::Hangs);

    let running = run(source(&rabbit::shared().url(), &queue, ""), &inbox);
    inbox.was_called(1).await;
    let since = Instant::now();
    running.stop().await;
    assert!(
        since.elapsed() < Duration::from_millis(5_500),
        "{:?}",
        since.elapsed()
    );
    assert!(inbox.stored().is_empty());
    queue_becomes(&queue, 100, 0).await;
}

/// Many stops, because an acknowledgement is only sometimes lost with the connection.
#[tokio::test]
async fn a_stop_finishes_what_was_handed_out_and_takes_no_more() {
    const STOPS: usize = 30;
    // The messages handed out at first, and further ones for those acknowledged before the consumer ends.
    const MOST: usize = 80;
    let topology = topology::declare_unique().await;
    let queue = topology.queue("deliver");
    topology
        .publish_many(
            &topology.exchange("deliver"),
            "petition.bees",
            (0..MOST * STOPS).map(body),
        )
        .await;
    let (mut stored, mut distinct) = (0, BTreeSet::new());
    for _ in 0..STOPS {
        let inbox = Inbox::new(Mood::Hangs);
        let running = run(
            source(&rabbit::shared().url(), &queue, "batch = 10\nprefetch = 40"),
            &inbox,
        );
        inbox.was_called(3).await;
        running.stop.cancel();
        inbox.set(Mood::Stores);
        running.stop().await;
        let taken = inbox.stored().len();
        assert!((1..=MOST).contains(&taken), "{taken}");
        stored += taken;
        distinct.extend(inbox.bodies());
        assert_eq!(distinct.len(), stored, "what is committed does not come again");
    }
    queue_becomes(&queue, (MOST * STOPS - stored) as u64, 0).await;
}

#[tokio::test]
async fn properties_of_other_publishers_and_deaths_are_kept() {
    let topology = topology::declare_unique().await;
    let (org, queue) = (topology.org(), topology.queue("deliver"));
    blocking(move || rabbit::shared().set_fail_ttl(org, 1)).await;
    topology.publish_action("petition.bees", b"died").await;
    let taken = topology
        .channel()
        .basic_get(queue.as_str().into(), BasicGetOptions::default())
        .await;
    let taken = taken.expect("an answer").expect("a message");
    topology
        .channel()
        .basic_reject(taken.delivery.delivery_tag, BasicRejectOptions { requeue: false })
        .await
        .expect("rejected");
    for (text, content_type) in [
        ("plain", None),
        ("json", Some("application/json")),
        ("text", Some("text/plain")),
    ] {
        topology
            .publish(
                &topology.exchange("deliver"),
                "petition.bees",
                text.as_bytes(),
                content_type,
            )
            .await;
    }
    // Published by the default exchange, as some tools return messages to a queue.
    topology.publish("", &queue, b"put back", Some("")).await;
    let inbox = Inbox::new(Mood::Stores);

    let running = run(source(&rabbit::shared().url(), &queue, ""), &inbox);
    let expected = ["died", "plain", "json", "text", "put back"].map(|text| text.as_bytes().to_vec());
    inbox.has(&expected.into()).await;
    running.stop().await;
    let meta = |text: &str| {
        let stored = inbox.stored();
        let meta = &stored
            .iter()
            .find(|envelope| envelope.body == text)
            .expect("it is stored")
            .meta;
        (
            meta.content_type.clone(),
            meta.routing_key.clone().expect("a routing key"),
            meta.deaths,
        )
    };
    assert_eq!(meta("plain"), (None, "petition.bees".to_owned(), None));
    assert_eq!(
        meta("json"),
        (
            Some("application/json".to_owned()),
            "petition.bees".to_owned(),
            None
        )
    );
    assert_eq!(
        meta("text"),
        (Some("text/plain".to_owned()), "petition.bees".to_owned(), None)
    );
    assert_eq!(meta("put back"), (Some(String::new()), queue.clone(), None));
    assert_eq!(meta("died"), (None, queue, Some(1)));
}

#[tokio::test]
async fn large_messages_lower_the_prefetch_and_all_arrive() {
    let topology = topology::declare_unique().await;
    let queue = topology.queue("deliver");
    let large = |number: usize| [body(number), vec![b' '; 300_000]].concat();
    topology
        .publish_many(&topology.exchange("deliver"), "petition.bees", (0..50).map(large))
        .await;
    let inbox = Inbox::new(Mood::Stores);

    // Two megabytes hold six of them.
    let running = run(
        source(&rabbit::shared().url(), &queue, "in_flight_mb = 2\nprefetch = 30"),
        &inbox,
    );
    inbox.has(&(0..50).map(large).collect()).await;
    assert_eq!(running.health.count_of("prefetch_lowered"), 1);
    inbox.set(Mood::Hangs);
    topology
        .publish_many(
            &topology.exchange("deliver"),
            "petition.bees",
            (50..70).map(large),
        )
        .await;
    inbox.was_called(1).await;
    queue_becomes(&queue, 14, 6).await;
    inbox.set(Mood::Stores);
    inbox.has(&(50..70).map(large).collect()).await;
    running.stop().await;
    assert_eq!(inbox.stored().len(), 70);
}

#[tokio::test]
async fn a_stop_ends_a_source_that_only_waits() {
    let topology = topology::declare_unique().await;
    let inbox = Inbox::new(Mood::Stores);
    let running = run(
        source(&rabbit::shared().url(), &topology.queue("deliver"), ""),
        &inbox,
    );
    running
        .health
        .is("it runs", |state| *state == SourceState::Running)
        .await;
    let since = Instant::now();
    within_limit("it has stopped", running.stop()).await;
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
}
