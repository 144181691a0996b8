//! Problems with the broker, the queue or the credentials.

use std::sync::Arc;

use causeway_core::destination::CheckError;
use causeway_testkit::rig::{port, rabbit, topology, unique_number};
use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{BasicPublishOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

use super::{Inbox, Mood, blocking, bodies, body, refusal_of_check, run, source, within_limit};

#[tokio::test]
async fn a_queue_that_is_missing_at_the_start_is_waited_for() {
    let shared = blocking(rabbit::shared).await;
    let org = unique_number();
    let queue = format!("cus.{org}.deliver");
    let inbox = Inbox::new(Mood::Stores);

    let running = run(source(&shared.url(), &queue, ""), &inbox);
    let reason = running.health.is_failing().await;
    assert!(
        reason.contains("NOT_FOUND") && reason.contains(&queue),
        "{reason}"
    );
    let topology = topology::declare(&shared.url(), org).await;
    running.health.is_running().await;
    topology.publish_action("petition.bees", &body(1)).await;
    inbox.has(&bodies(1..2)).await;
    running.stop().await;
}

#[tokio::test]
async fn messages_of_a_deleted_queue_are_kept_and_the_new_queue_is_found() {
    let topology = topology::declare_unique().await;
    let queue = topology.queue("deliver");
    topology
        .publish_many(&topology.exchange("deliver"), "petition.bees", (0..100).map(body))
        .await;
    let inbox = Inbox::new(Mood::Hangs);

    let running = run(source(&rabbit::shared().url(), &queue, "batch = 10"), &inbox);
    super::queue_becomes(&queue, 0, 100).await;
    let deleted = queue.clone();
    blocking(move || rabbit::shared().delete_queue(&deleted)).await;
    inbox.set(Mood::Stores);
    inbox.has(&bodies(0..100)).await;
    let reason = running.health.is_failing().await;
    assert!(
        reason.contains("cancelled") || reason.contains("NOT_FOUND"),
        "{reason}"
    );
    assert_eq!(running.health.count_of("consumer_cancelled"), 1);

    topology
        .declare_customer_queue(&queue)
        .await
        .expect("the queue is made again");
    topology
        .bind(&queue, &topology.exchange("deliver"), "#")
        .await
        .expect("and bound");
    running.health.is_running().await;
    topology.publish_action("petition.bees", &body(100)).await;
    inbox.has(&bodies(0..101)).await;
    running.stop().await;
}

#[tokio::test]
async fn a_connection_that_is_cut_is_opened_again_and_nothing_is_lost() {
    let shared = blocking(rabbit::shared).await;
    let topology = topology::declare_unique().await;
    let (org, queue) = (topology.org(), topology.queue("deliver"));
    let customer = blocking(move || shared.add_customer(org)).await;
    topology
        .publish_many(&topology.exchange("deliver"), "petition.bees", (0..100).map(body))
        .await;
    let inbox = Inbox::new(Mood::Hangs);

    let running = run(source(&customer, &queue, "batch = 10\nprefetch = 50"), &inbox);
    inbox.was_called(3).await;
    blocking(move || shared.close_connections_of(&format!("customer-{org}"))).await;
    inbox.set(Mood::Stores);
    inbox.has(&bodies(0..100)).await;
    super::queue_becomes(&queue, 0, 0).await;
    assert_eq!(running.health.count_of("disconnected"), 1);
    running.health.is_running().await;
    running.stop().await;
}

#[tokio::test]
async fn credentials_that_stop_working_halt_the_source_until_they_are_fixed() {
    let shared = blocking(rabbit::shared).await;
    let topology = topology::declare_unique().await;
    let (org, queue) = (topology.org(), topology.queue("deliver"));
    let customer = blocking(move || shared.add_customer(org)).await;
    let inbox = Inbox::new(Mood::Stores);

    let running = run(source(&customer, &queue, "refused_retry_s = 1"), &inbox);
    running.health.is_running().await;
    let user = format!("customer-{org}");
    blocking(move || {
        shared.ctl(&["change_password", &user, "another"]);
        shared.close_connections_of(&user);
    })
    .await;
    let reason = running.health.is_halted().await;
    assert!(reason.contains("ACCESS_REFUSED"), "{reason}");
    assert!(
        !reason.contains(rabbit::CUSTOMER_PASSWORD) && !reason.contains("c%2F"),
        "{reason}"
    );

    topology.publish_action("petition.bees", &body(1)).await;
    blocking(move || shared.add_customer(org)).await;
    running.health.is_running().await;
    inbox.has(&bodies(1..2)).await;
    running.stop().await;
}

#[tokio::test]
async fn rights_that_are_taken_away_halt_the_source_and_its_check_says_why() {
    let shared = blocking(rabbit::shared).await;
    let topology = topology::declare_unique().await;
    let (org, queue) = (topology.org(), topology.queue("deliver"));
    let customer = blocking(move || {
        let customer = shared.add_customer(org);
        shared.revoke(&format!("customer-{org}"));
        customer
    })
    .await;
    let inbox = Inbox::new(Mood::Stores);

    let running = run(source(&customer, &queue, ""), &inbox);
    let reason = running.health.is_halted().await;
    assert!(
        reason.contains("NOT_ALLOWED") && reason.contains("tries again every 180 s"),
        "{reason}"
    );
    running.stop().await;
    assert!(
        refusal_of_check(source(&customer, &queue, ""))
            .await
            .contains("NOT_ALLOWED")
    );
}

#[tokio::test]
async fn a_check_reports_the_error_and_takes_no_message() {
    let topology = topology::declare_unique().await;
    let (org, queue) = (topology.org(), topology.queue("deliver"));
    let customer = blocking(move || rabbit::shared().add_customer(org)).await;
    topology.publish_action("petition.bees", &body(1)).await;

    within_limit("it is checked", source(&customer, &queue, "").check())
        .await
        .expect("it is well");
    assert_eq!(topology.waiting(&queue).await, 1);
    let missing = refusal_of_check(source(&customer, &format!("cus.{org}.nothing"), "")).await;
    assert!(missing.contains("NOT_FOUND"), "{missing}");
    let wrong_password = rabbit::shared().url_of("proca", "wrong");
    let refused = refusal_of_check(source(&wrong_password, &queue, "")).await;
    assert!(
        refused.contains("ACCESS_REFUSED") && !refused.contains("wrong"),
        "{refused}"
    );
    let nobody = format!("amqp://a:b@127.0.0.1:{}/v", port::free());
    match source(&nobody, &queue, "").check().await {
        Err(CheckError::Unavailable(reason)) => assert!(reason.starts_with("connecting: "), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nothing_is_lost_when_a_killed_broker_comes_back() {
    let mut broker = blocking(rabbit::start).await;
    let topology = topology::declare(&broker.url(), 12).await;
    let exchange = topology.exchange("deliver");
    topology
        .publish_many(&exchange, "petition.bees", (0..2_000).map(body))
        .await;
    let inbox = Inbox::new(Mood::Hangs);

    let running = run(source(&broker.url(), "cus.12.deliver", ""), &inbox);
    inbox.was_called(3).await;
    let mut broker = blocking(move || {
        broker.kill();
        broker
    })
    .await;
    inbox.set(Mood::Stores);
    running.health.is_failing().await;
    let broker = blocking(move || {
        broker.start_again();
        broker
    })
    .await;
    running.health.is_running().await;
    inbox.has(&bodies(0..2_000)).await;

    // A broker that is short of memory blocks publishers only.
    let topology = topology::declare(&broker.url(), 12).await;
    running.stop().await;
    topology
        .publish_many(&exchange, "petition.bees", (2_000..3_000).map(body))
        .await;
    let broker = blocking(move || {
        broker.ctl(&["set_vm_memory_high_watermark", "absolute", "1MB"]);
        broker
    })
    .await;
    let running = run(source(&broker.url(), "cus.12.deliver", ""), &inbox);
    inbox.has(&bodies(0..3_000)).await;
    running.stop().await;
    blocking(move || drop(broker)).await;
}

#[tokio::test]
async fn a_frozen_broker_is_noticed_and_used_again_when_it_comes_back() {
    let mut broker = blocking(rabbit::start).await;
    let url = format!("{}?heartbeat=2", broker.url());
    let topology = topology::declare(&broker.url(), 12).await;
    let inbox = Inbox::new(Mood::Stores);

    let running = run(source(&url, "cus.12.deliver", ""), &inbox);
    running.health.is_running().await;
    broker.freeze(true);
    let reason = running.health.is_failing().await;
    assert!(reason.contains("heartbeat"), "{reason}");
    broker.freeze(false);
    running.health.is_running().await;
    topology.publish_action("petition.bees", &body(1)).await;
    inbox.has(&bodies(1..2)).await;
    running.stop().await;
    blocking(move || drop(broker)).await;
}

#[tokio::test]
async fn messages_that_were_held_too_long_arrive_after_the_channel_was_closed() {
    let broker = Arc::new(blocking(rabbit::start).await);
    let asked = broker.clone();
    // The interval of the channels' timer has no key in the broker's configuration file.
    let settings =
        "[application:set_env(rabbit, Key, 1000) || Key <- [consumer_timeout, channel_tick_interval]].";
    blocking(move || asked.ctl(&["eval", settings])).await;
    let topology = topology::declare(&broker.url(), 12).await;
    topology
        .publish_many(&topology.exchange("deliver"), "petition.bees", (0..100).map(body))
        .await;
    let inbox = Inbox::new(Mood::Hangs);

    let running = run(
        source(&broker.url(), "cus.12.deliver", "batch = 10\nprefetch = 50"),
        &inbox,
    );
    inbox.was_called(3).await;
    // The broker closes the channel and requeues the messages, while the source waits for the store.
    let asked = broker.clone();
    let has_them_back = move || {
        asked
            .list_queues()
            .iter()
            .any(|row| row.0 == "cus.12.deliver" && row.1 == 100)
    };
    while !blocking(has_them_back.clone()).await {}
    inbox.set(Mood::Stores);
    let reason = running.health.is_failing().await;
    assert!(reason.contains("PRECONDITION_FAILED"), "{reason}");
    running.health.is_running().await;
    inbox.has(&bodies(0..100)).await;
    assert_eq!(inbox.bodies(), bodies(0..100));
    running.stop().await;
    blocking(move || drop(broker)).await;
}

#[tokio::test]
async fn another_consumer_of_the_queue_is_noticed_and_so_is_its_end() {
    let topology = topology::declare_unique().await;
    let queue = topology.queue("deliver");
    let url = rabbit::shared().url();
    let alone = within_limit("it is checked", source(&url, &queue, "").check()).await;
    let alone = alone.expect("it is well");
    assert!(
        alone.len() == 1 && alone[0].text.starts_with("the queue has no delivery limit"),
        "{alone:?}"
    );

    let inbox = Inbox::new(Mood::Stores);
    let one = run(source(&url, &queue, "depth_every_s = 1"), &inbox);
    one.health.shows("queue_depth", 0).await;
    let remarks = within_limit("it is checked", source(&url, &queue, "").check()).await;
    let remarks = remarks.expect("it is well");
    // It may be the hub itself.
    assert!(
        !remarks[0].is_warning && remarks[0].text.starts_with("one consumer reads the queue"),
        "{remarks:?}"
    );
    let other = run(source(&url, &queue, ""), &inbox);
    let warning = one.health.warns("consumers", true).await.expect("a warning");
    assert!(
        warning.starts_with(&format!("1 other consumer read the queue {queue}")),
        "{warning}"
    );
    let remarks = within_limit("it is checked", source(&url, &queue, "").check()).await;
    let remarks = remarks.expect("it is well");
    assert!(
        remarks[0].is_warning && remarks[0].text.starts_with("2 consumers read the queue"),
        "{remarks:?}"
    );
    other.stop().await;
    one.health.warns("consumers", false).await;
    one.stop().await;
}

#[tokio::test]
async fn a_stream_is_refused_before_anything_is_taken_from_it() {
    let shared = blocking(rabbit::shared).await;
    let queue = format!("cus.{}.deliver", unique_number());
    declare_stream(&shared.url(), &queue).await;
    let inbox = Inbox::new(Mood::Stores);
    let running = run(source(&shared.url(), &queue, "refused_retry_s = 600"), &inbox);
    let reason = running.health.is_halted().await;
    assert!(
        reason.starts_with(&format!("the queue {queue} is a stream")),
        "{reason}"
    );
    running.stop().await;
    assert!(inbox.stored().is_empty());
    let reason = refusal_of_check(source(&shared.url(), &queue, "")).await;
    assert!(
        reason.starts_with(&format!("the queue {queue} is a stream")),
        "{reason}"
    );
    blocking(move || shared.delete_queue(&queue)).await;
}

/// A stream with one message.
async fn declare_stream(url: &str, queue: &str) {
    let connection = Connection::connect(url, ConnectionProperties::default())
        .await
        .expect("a connection");
    let channel = connection.create_channel().await.expect("a channel");
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("stream".into()));
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare(queue.into(), options, arguments)
        .await
        .expect("a stream");
    channel
        .basic_publish(
            "".into(),
            queue.into(),
            BasicPublishOptions::default(),
            b"{}",
            BasicProperties::default(),
        )
        .await
        .expect("a message in it");
    connection.close(200, "OK".into()).await.expect("a good end");
}
