//! Checks that the servers behave as other tests assume.

use std::time::Duration;

use causeway_testkit::{
    rig::{mariadb, php, postgres, rabbit, topology},
    wait::becomes,
};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicPublishOptions,
    ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel};
use mysql_async::prelude::Queryable;

/// Runs blocking code (starting servers, `rabbitmqctl`) outside the asynchronous test.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .expect("the blocking part ends well")
}

async fn passive_declare(channel: &Channel, queue: &str) -> lapin::Result<u32> {
    let options = QueueDeclareOptions {
        passive: true,
        ..Default::default()
    };
    Ok(channel
        .queue_declare(queue.into(), options, FieldTable::default())
        .await?
        .message_count())
}

/// Whether the broker's error is 403.
fn assert_refused<T>(what: &str, result: lapin::Result<T>) {
    let Err(error) = result else {
        panic!("{what} is allowed")
    };
    assert!(error.to_string().contains("ACCESS_REFUSED"), "{what}: {error}");
}

#[tokio::test]
async fn a_customer_may_consume_and_ask_but_not_declare_or_publish() {
    let shared = blocking(rabbit::shared).await;
    let topology = topology::declare_unique().await;
    let org = topology.org();
    topology.publish_action("petition.rivers", b"{\"n\":1}").await;
    let url = blocking(move || shared.add_customer(org)).await;
    let customer = topology::connect(&url).await;
    let queue = topology.queue("deliver");

    let channel = customer.create_channel().await.expect("a channel");
    assert_eq!(
        passive_declare(&channel, &queue)
            .await
            .expect("its own queue may be asked for"),
        1
    );
    assert_eq!(
        passive_declare(&channel, &topology.fail_queue())
            .await
            .expect("the parking queue too"),
        0
    );

    let mut consumer = channel
        .basic_consume(
            queue.as_str().into(),
            "rig".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await
        .expect("its own queue may be consumed");
    let delivery = futures_util::StreamExt::next(&mut consumer)
        .await
        .expect("a message")
        .expect("no error");
    assert_eq!(delivery.data, b"{\"n\":1}");
    assert_eq!(delivery.properties.content_type(), &None);
    assert_eq!(delivery.properties.delivery_mode(), &Some(2));
    delivery
        .ack(BasicAckOptions::default())
        .await
        .expect("an acknowledgement");

    // An error closes the channel, so each attempt has its own.
    let channel = customer.create_channel().await.expect("a channel");
    let options = QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let declared = channel
        .queue_declare(queue.as_str().into(), options, FieldTable::default())
        .await;
    assert_refused("declaring its own queue", declared.map(|_| ()));

    let channel = customer.create_channel().await.expect("a channel");
    let fail = topology.fail_queue();
    let got = channel
        .basic_get(fail.as_str().into(), BasicGetOptions::default())
        .await;
    assert_refused("reading the parking queue", got.map(|_| ()));

    let channel = customer.create_channel().await.expect("a channel");
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await
        .expect("confirm mode");
    let exchange = topology.exchange("deliver");
    let sent = channel
        .basic_publish(
            exchange.as_str().into(),
            "petition.rivers".into(),
            BasicPublishOptions::default(),
            b"{}",
            BasicProperties::default(),
        )
        .await;
    let confirmed = match sent {
        Ok(confirm) => confirm.await.map(|_| ()),
        Err(error) => Err(error),
    };
    assert_refused("publishing", confirmed);
}

#[tokio::test]
async fn a_refused_message_stays_parked_without_a_policy_and_comes_back_with_one() {
    let shared = blocking(rabbit::shared).await;
    for has_policy in [false, true] {
        let topology = topology::declare_unique().await;
        let org = topology.org();
        let (queue, fail) = (topology.queue("deliver"), topology.fail_queue());
        if has_policy {
            blocking(move || shared.set_fail_ttl(org, 1)).await;
        }
        topology.publish_event("supporter.email_status", b"bounced").await;
        let got = topology
            .channel()
            .basic_get(queue.as_str().into(), BasicGetOptions::default())
            .await;
        let message = got.expect("a reading").expect("a message");
        let refuse = BasicNackOptions {
            requeue: false,
            ..Default::default()
        };
        message.delivery.nack(refuse).await.expect("a refusal");
        let place = if has_policy { &queue } else { &fail };
        eventually("moved", async || topology.waiting(place).await == 1).await;
        assert_eq!(topology.take(place).await.as_deref(), Some(&b"bounced"[..]));
    }
}

#[tokio::test]
async fn a_killed_broker_comes_back_with_its_messages() {
    let mut rabbit = blocking(rabbit::start).await;
    let topology = topology::declare(&rabbit.url(), 7).await;
    let bodies = (0..100).map(|n| n.to_string());
    topology
        .publish_many(&topology.exchange("deliver"), "petition.rivers", bodies)
        .await;
    drop(topology);
    let rabbit = blocking(move || {
        rabbit.restart();
        rabbit
    })
    .await;
    let topology = topology::declare(&rabbit.url(), 7).await;
    assert_eq!(topology.waiting("cus.7.deliver").await, 100);
    let queues = blocking(move || rabbit.list_queues()).await;
    assert!(
        queues.contains(&("cus.7.deliver".to_owned(), 100, 0, 0)),
        "{queues:?}"
    );
}

#[tokio::test]
async fn postgres_gives_each_test_a_database_of_its_own() {
    let (one, two) = blocking(|| {
        (
            postgres::shared().create_database(),
            postgres::shared().create_database(),
        )
    })
    .await;
    assert_ne!(one, two);
    let (client, connection) = tokio_postgres::connect(&one, tokio_postgres::NoTls)
        .await
        .expect("a connection");
    let connection = tokio::spawn(connection);
    let row = client.query_one("SELECT 1", &[]).await.expect("a row");
    assert_eq!(row.get::<_, i32>(0), 1);
    drop(client);
    connection
        .await
        .expect("the task ends well")
        .expect("the connection ends well");
}

#[tokio::test]
async fn mariadb_gives_each_test_a_database_of_its_own() {
    let (one, two) = blocking(|| {
        (
            mariadb::shared().create_database(),
            mariadb::shared().create_database(),
        )
    })
    .await;
    assert_ne!(one, two);
    let pool = mysql_async::Pool::from_url(&one).expect("a URL");
    let mut connection = pool.get_conn().await.expect("a connection");
    let answer: Option<u8> = connection.query_first("SELECT 1").await.expect("a row");
    assert_eq!(answer, Some(1));
    drop(connection);
    pool.disconnect().await.expect("the pool ends well");
}

#[tokio::test]
async fn php_answers_a_form_post_and_runs_a_script() {
    let script = "<?php parse_str(stream_get_contents(STDIN), $v); echo json_encode($v);";
    let printed = blocking(move || php::run(script, b"a[]=1&a[]=2")).await;
    assert_eq!(printed, br#"{"a":["1","2"]}"#);

    let php = blocking(|| php::serve("<?php echo json_encode($_POST);")).await;
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", php.port()))
        .await
        .expect("a connection");
    let request = "POST / HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 10\r\n\r\na[b]=1&c=2";
    let answer = exchange(stream, request).await;
    assert!(answer.ends_with(r#"{"a":{"b":"1"},"c":"2"}"#), "{answer}");
}

async fn exchange(mut stream: tokio::net::TcpStream, request: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    stream
        .write_all(request.as_bytes())
        .await
        .expect("the request is sent");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .await
        .expect("the answer is read");
    answer
}

/// Waits for an asynchronous effect of the broker.
async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let in_time = becomes(Duration::from_mins(1), async || is_so().await).await;
    assert!(in_time, "not {what} in time");
}
