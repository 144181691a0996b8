//! A store that accepts nothing: each message is returned to the broker once, so a broker with a delivery limit deletes
//! nothing.

use causeway_core::source::Remark;
use causeway_testkit::rig::{rabbit, topology};
use lapin::{
    Connection, ConnectionProperties,
    options::QueueDeclareOptions,
    types::{AMQPValue, FieldTable},
};

use super::*;

/// A queue with messages in it that deletes a message after it was returned more than `limit` times.
async fn limited(limit: i32, messages: usize) -> String {
    let topology = topology::declare_unique().await;
    let queue = format!("cus.{}.limited", topology.org());
    declare(&queue, &[("x-queue-type", "quorum")], limit).await;
    topology.publish_many("", &queue, (0..messages).map(body)).await;
    queue
}

async fn declare(queue: &str, texts: &[(&str, &str)], limit: i32) {
    let url = rabbit::shared().url();
    let connection = Connection::connect(&url, ConnectionProperties::default())
        .await
        .expect("a connection");
    let channel = connection.create_channel().await.expect("a channel");
    let mut arguments = FieldTable::default();
    for (name, value) in texts {
        arguments.insert((*name).into(), AMQPValue::LongString((*value).into()));
    }
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(limit));
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare(queue.into(), options, arguments)
        .await
        .expect("a queue");
    connection.close(200, "OK".into()).await.expect("a good end");
}

#[tokio::test]
async fn a_store_that_refuses_gets_everything_later_and_meanwhile_nothing_is_held() {
    let queue = limited(3, 100).await;
    let inbox = Inbox::new(Mood::Hangs);

    let running = run(source(&rabbit::shared().url(), &queue, "batch = 10"), &inbox);
    inbox.was_called(3).await;
    queue_becomes(&queue, 0, 100).await;
    inbox.set(Mood::Refuses);
    // Returned to the broker, and not consumed again.
    queue_becomes(&queue, 100, 0).await;
    let asked = *inbox.asked.borrow();
    inbox.was_asked(asked + 2).await;
    assert_eq!(
        running.health.is_failing().await,
        "the store is not available: the disk is full; no message is taken from the broker until it can be stored"
    );
    assert_eq!(running.health.count_of("given_back"), 1);
    inbox.set(Mood::Stores);
    inbox.has(&bodies(0..100)).await;
    running.health.is_running().await;
    queue_becomes(&queue, 0, 0).await;
    running.stop().await;
}

#[tokio::test]
async fn restarts_before_the_store_takes_messages_use_up_no_delivery_limit() {
    let queue = limited(1, 10).await;
    for _ in 0..4 {
        let inbox = Inbox::new(Mood::Refuses);
        let running = run(source(&rabbit::shared().url(), &queue, ""), &inbox);
        inbox.was_asked(2).await;
        assert_eq!(
            *inbox.calls.borrow(),
            0,
            "nothing is taken that could only go back"
        );
        running.stop().await;
    }
    let inbox = Inbox::new(Mood::Stores);
    let running = run(source(&rabbit::shared().url(), &queue, ""), &inbox);
    inbox.has(&bodies(0..10)).await;
    running.stop().await;
}

#[tokio::test]
async fn stops_in_the_middle_use_up_no_delivery_limit() {
    let queue = limited(1, 300).await;
    let mut stored = BTreeSet::new();
    for _ in 0..5 {
        let inbox = Inbox::new(Mood::Hangs);
        let running = run(
            source(&rabbit::shared().url(), &queue, "batch = 5\nprefetch = 20"),
            &inbox,
        );
        inbox.was_called(3).await;
        running.stop.cancel();
        inbox.set(Mood::Stores);
        running.stop().await;
        stored.extend(inbox.bodies());
    }
    let inbox = Inbox::new(Mood::Stores);
    let running = run(source(&rabbit::shared().url(), &queue, ""), &inbox);
    inbox
        .has(&bodies(0..300).difference(&stored).cloned().collect())
        .await;
    running.stop().await;
}

/// The store reports ready and then refuses: the source tries a single message until one is stored.
#[tokio::test]
async fn a_store_that_refused_is_tried_with_a_single_message() {
    let queue = limited(20, 100).await;
    let inbox = Arc::new(Inbox {
        boasts: true,
        ..Inbox::in_mood(Mood::Refuses)
    });
    let running = run(source(&rabbit::shared().url(), &queue, ""), &inbox);
    // The first attempt has all messages that were handed out.
    let mut asked = inbox.asked.subscribe();
    within_limit("it comes back", asked.wait_for(|asked| *asked >= 2))
        .await
        .expect("the inbox lives");
    // It keeps the store waiting, so that the queue can be looked at, however long that takes.
    inbox.set(Mood::Hangs);
    inbox.sizes.lock().unwrap_or_else(PoisonError::into_inner).clear();
    inbox.calls.send_replace(0);
    inbox.was_called(1).await;
    queue_becomes(&queue, 99, 1).await;
    inbox.set(Mood::Stores);
    inbox.has(&bodies(0..100)).await;
    running.stop().await;
    let sizes = inbox.sizes.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(sizes[0], 1);
    assert!(sizes.iter().any(|size| *size > 1), "{sizes:?}");
}

async fn remarks(url: &str, queue: &str) -> Vec<Remark> {
    within_limit("it is checked", source(url, queue, "").check())
        .await
        .expect("it is well")
}

#[tokio::test]
async fn a_check_names_the_delivery_limit_and_what_becomes_of_dead_letters() {
    let queue = limited(3, 1).await;
    let shared = rabbit::shared();
    let found = remarks(&shared.url(), &queue).await;
    assert!(
        found[0].is_warning
            && found[0].text.starts_with(
                "the queue has a delivery limit of 3: a message that was returned more often is deleted"
            ),
        "{found:?}"
    );
    let to_exchange = format!("{queue}.2");
    let texts = [
        ("x-queue-type", "quorum"),
        ("x-dead-letter-exchange", "org.12.fail"),
    ];
    declare(&to_exchange, &texts, 5).await;
    let found = remarks(&shared.url(), &to_exchange).await;
    assert!(
        found[0].text.contains("limit of 5") && found[0].text.contains("moved to the exchange org.12.fail"),
        "{found:?}"
    );
    // Declared as Proca does, for a user with all rights and for a user that may only read.
    let topology = topology::declare_unique().await;
    let (org, own) = (topology.org(), topology.queue("deliver"));
    topology.publish_action("petition.bees", &body(1)).await;
    let found = remarks(&shared.url(), &own).await;
    assert!(
        !found[0].is_warning
            && found[0].text.starts_with("the queue has no delivery limit")
            && found[0]
                .text
                .contains(&format!("moved to the exchange org.{org}.fail")),
        "{found:?}"
    );
    let customer = blocking(move || shared.add_customer(org)).await;
    let found = remarks(&customer, &own).await;
    assert!(
        !found[0].is_warning
            && found[0]
                .text
                .starts_with("whether the queue has a delivery limit is not known"),
        "{found:?}"
    );
    assert_eq!(topology.waiting(&own).await, 1, "nothing is taken");
    // A check never creates a queue.
    let missing = refusal_of_check(source(&shared.url(), &format!("cus.{org}.nothing"), "")).await;
    assert!(missing.contains("NOT_FOUND"), "{missing}");
    for queue in [queue, to_exchange] {
        blocking(move || shared.delete_queue(&queue)).await;
    }
}
