//! Proca's queues and exchanges for one organisation, and a publisher with the properties that Proca sets.
//!
//! Works on any broker by URL, so that benchmarks may use it, too. Panics on errors, as the set-up of a test.

use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind};

/// Maximum number of open publisher confirms in [`Topology::publish_many`].
const OPEN_CONFIRMS: usize = 1000;

/// The topology of one organisation, with a connection that may publish to it.
pub struct Topology {
    org: u32,
    channel: Channel,
    // Closing the connection closes the channel, so it must live as long.
    _connection: Connection,
}

/// Declares everything that Proca declares for organisation `org`, with all its queues enabled. `url` belongs
/// to a user with all rights. A second call finds everything in place.
pub async fn declare(url: &str, org: u32) -> Topology {
    let connection = connect(url).await;
    let channel = connection
        .create_channel()
        .await
        .unwrap_or_else(|error| panic!("opening a channel: {error}"));
    let topology = Topology {
        org,
        channel,
        _connection: connection,
    };
    topology
        .declare_all()
        .await
        .unwrap_or_else(|error| panic!("declaring organisation {org}: {error}"));
    topology
}

/// Declares the topology of an organisation that no other test uses, on the shared node.
pub async fn declare_unique() -> Topology {
    declare(&super::rabbit::shared().url(), super::unique_number()).await
}

pub async fn connect(url: &str) -> Connection {
    Connection::connect(url, ConnectionProperties::default())
        .await
        .unwrap_or_else(|error| panic!("connecting to the broker: {error}"))
}

/// The stage exchanges, each with the queues bound to it.
const STAGES: [(&str, &[&str]); 4] = [
    (
        "confirm.supporter",
        &["cus.N.confirm.supporter", "wrk.N.email.supporter"],
    ),
    ("confirm.action", &["cus.N.confirm.action"]),
    (
        "deliver",
        &[
            "cus.N.deliver",
            "wrk.N.email.supporter",
            "wrk.N.sqs",
            "wrk.N.webhook",
        ],
    ),
    ("event", &["cus.N.deliver", "wrk.N.sqs", "wrk.N.webhook"]),
];
const QUEUES: [&str; 6] = [
    "cus.N.confirm.supporter",
    "cus.N.confirm.action",
    "cus.N.deliver",
    "wrk.N.email.supporter",
    "wrk.N.sqs",
    "wrk.N.webhook",
];
/// One per broker: system events of all organisations. Rejected messages have no way back.
pub const SYSTEM_QUEUE: &str = "system.deliver";

impl Topology {
    pub fn org(&self) -> u32 {
        self.org
    }

    /// The full name of an exchange: `exchange("deliver")` is `org.N.deliver`.
    pub fn exchange(&self, stage: &str) -> String {
        format!("org.{}.{stage}", self.org)
    }

    /// The full name of a customer queue: `queue("deliver")` is `cus.N.deliver`.
    pub fn queue(&self, stage: &str) -> String {
        format!("cus.{}.{stage}", self.org)
    }

    /// The queue where refused messages are parked.
    pub fn fail_queue(&self) -> String {
        self.exchange("fail")
    }

    /// For operations beyond this file.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    async fn declare_all(&self) -> lapin::Result<()> {
        let (fail, retry) = (self.fail_queue(), self.exchange("retry"));
        self.channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        for (stage, _) in STAGES {
            self.declare_exchange(&self.exchange(stage), ExchangeKind::Topic)
                .await?;
        }
        self.declare_exchange(&fail, ExchangeKind::Fanout).await?;
        self.declare_exchange(&retry, ExchangeKind::Direct).await?;
        self.declare_queue(&fail, &[("x-dead-letter-exchange", &retry)])
            .await?;
        self.bind(&fail, &fail, "").await?;
        for queue in QUEUES {
            self.declare_customer_queue(&self.named(queue)).await?;
        }
        for (stage, queues) in STAGES {
            for queue in queues {
                self.bind(&self.named(queue), &self.exchange(stage), "#").await?;
            }
        }
        self.declare_queue(SYSTEM_QUEUE, &[]).await?;
        self.bind(SYSTEM_QUEUE, &self.exchange("event"), "system.*").await
    }

    /// Declares one `cus` or `wrk` queue and its way back, as Proca does; also after a test has deleted it.
    /// [`Self::bind`] binds it to a stage exchange.
    pub async fn declare_customer_queue(&self, queue: &str) -> lapin::Result<()> {
        let args = [
            ("x-dead-letter-exchange", self.fail_queue()),
            ("x-dead-letter-routing-key", queue.to_owned()),
        ];
        self.declare_queue(queue, &args.each_ref().map(|(key, value)| (*key, value.as_str())))
            .await?;
        self.bind(queue, &self.exchange("retry"), queue).await
    }

    pub async fn bind(&self, queue: &str, exchange: &str, key: &str) -> lapin::Result<()> {
        let options = QueueBindOptions::default();
        self.channel
            .queue_bind(
                queue.into(),
                exchange.into(),
                key.into(),
                options,
                FieldTable::default(),
            )
            .await
    }

    async fn declare_exchange(&self, name: &str, kind: ExchangeKind) -> lapin::Result<()> {
        let options = ExchangeDeclareOptions {
            durable: true,
            ..Default::default()
        };
        self.channel
            .exchange_declare(name.into(), kind, options, FieldTable::default())
            .await
    }

    /// Durable; classic unless the broker's default differs; all arguments are long strings.
    async fn declare_queue(&self, name: &str, args: &[(&str, &str)]) -> lapin::Result<()> {
        let mut table = FieldTable::default();
        for (key, value) in args {
            table.insert((*key).into(), AMQPValue::LongString(LongString::from(*value)));
        }
        let options = QueueDeclareOptions {
            durable: true,
            ..Default::default()
        };
        self.channel
            .queue_declare(name.into(), options, table)
            .await
            .map(|_| ())
    }

    fn named(&self, pattern: &str) -> String {
        pattern.replacen('N', &self.org.to_string(), 1)
    }

    /// Publishes an action to `org.N.deliver`; `key` is `<action type>.<campaign>`. Returns when the broker
    /// has confirmed it.
    pub async fn publish_action(&self, key: &str, body: &[u8]) {
        self.publish(&self.exchange("deliver"), key, body, None).await;
    }

    /// Publishes an event to `org.N.event`; `key` is for example `supporter.email_status`.
    pub async fn publish_event(&self, key: &str, body: &[u8]) {
        self.publish(&self.exchange("event"), key, body, None).await;
    }

    /// Publishes one persistent message and waits for the broker's confirmation. Proca sets no content type;
    /// other producers do.
    pub async fn publish(&self, exchange: &str, key: &str, body: &[u8], content_type: Option<&str>) {
        let confirm = self.send(exchange, key, body, content_type).await;
        assert_confirmed(confirm.await);
    }

    /// Publishes many messages to one exchange without waiting for each; returns when the broker has
    /// confirmed all.
    pub async fn publish_many<B: AsRef<[u8]>>(
        &self,
        exchange: &str,
        key: &str,
        bodies: impl IntoIterator<Item = B>,
    ) {
        let mut open = std::collections::VecDeque::new();
        for body in bodies {
            open.push_back(self.send(exchange, key, body.as_ref(), None).await);
            if open.len() >= OPEN_CONFIRMS
                && let Some(oldest) = open.pop_front()
            {
                assert_confirmed(oldest.await);
            }
        }
        for confirm in open {
            assert_confirmed(confirm.await);
        }
    }

    async fn send(
        &self,
        exchange: &str,
        key: &str,
        body: &[u8],
        content_type: Option<&str>,
    ) -> lapin::PublisherConfirm {
        let mut properties = BasicProperties::default().with_delivery_mode(2);
        if let Some(content_type) = content_type {
            properties = properties.with_content_type(content_type.into());
        }
        let options = BasicPublishOptions {
            mandatory: true,
            ..Default::default()
        };
        let sent = self
            .channel
            .basic_publish(exchange.into(), key.into(), options, body, properties)
            .await;
        sent.unwrap_or_else(|error| panic!("publishing to {exchange}: {error}"))
    }

    /// The number of messages in a queue that wait to be delivered, without those delivered and not
    /// acknowledged.
    pub async fn waiting(&self, queue: &str) -> u32 {
        let options = QueueDeclareOptions {
            passive: true,
            ..Default::default()
        };
        let queue = self
            .channel
            .queue_declare(queue.into(), options, FieldTable::default())
            .await;
        queue
            .unwrap_or_else(|error| panic!("asking for a queue: {error}"))
            .message_count()
    }

    /// Takes one message from a queue, if there is one.
    pub async fn take(&self, queue: &str) -> Option<Vec<u8>> {
        let got = self
            .channel
            .basic_get(queue.into(), BasicGetOptions { no_ack: true })
            .await;
        got.unwrap_or_else(|error| panic!("reading a queue: {error}"))
            .map(|message| message.delivery.data)
    }
}

/// Fails unless the broker confirmed the message and routed it to a queue.
fn assert_confirmed(confirm: lapin::Result<Confirmation>) {
    match confirm {
        Ok(Confirmation::Ack(None)) => {}
        other => panic!("the broker did not take the message: {other:?}"),
    }
}
