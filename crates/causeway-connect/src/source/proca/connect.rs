//! Opens a connection, and explains the broker's rejections to a person.

use std::{path::PathBuf, time::Duration};

use lapin::{
    Channel, Connection, ConnectionProperties, ErrorKind, Queue,
    options::{BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions},
    tcp::{AMQPUriTcpExt, OwnedTLSConfig, TLSConfig},
    types::{AMQPValue, FieldTable},
    uri::{AMQPScheme, AMQPUri},
};
use tokio::time::timeout;

use crate::{
    config::{ConfigError, SecretRef},
    http::egress,
};

/// For name resolution, TCP and TLS.
const TRANSPORT_LIMIT: Duration = Duration::from_secs(15);
/// For the broker's part of the handshake. It is long, because giving up leaves the client library's thread
/// behind until the broker closes its side. A broker that is only busy closes it or answers within 10 s.
const HANDSHAKE_LIMIT: Duration = Duration::from_mins(3);
/// Requested from the broker unless the URL sets it. A peer that is silent for twice as long counts as gone.
const HEARTBEAT_S: u16 = 20;

/// Why there is no consumer, by what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AmqpError {
    /// No response, or not one of a healthy broker.
    Unreachable(String),
    /// The broker responded and denies access: a person must fix credentials or rights.
    Refused(String),
    /// The queue does not exist.
    Missing(String),
    /// The consumer worked, and then the broker ended it.
    Lost(String),
    /// The store accepts no messages: all of them were returned to the broker.
    NotStored(String),
}

impl AmqpError {
    /// In words for a person, without secrets.
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Unreachable(reason)
            | Self::Refused(reason)
            | Self::Missing(reason)
            | Self::Lost(reason)
            | Self::NotStored(reason) => reason,
        }
    }

    /// `doing` is a present participle: "connecting".
    pub(super) fn new(doing: &str, error: &lapin::Error) -> Self {
        match error.kind() {
            ErrorKind::ProtocolError(answer) => {
                let reason = format!("{doing}: the broker answered {}", answer.get_message());
                match answer.get_id() {
                    // ACCESS_REFUSED; and NOT_ALLOWED, for a missing or forbidden virtual host.
                    403 | 530 => Self::Refused(reason),
                    404 => Self::Missing(reason),
                    _ => Self::Lost(reason),
                }
            }
            ErrorKind::IOError(error) => Self::Unreachable(format!("{doing}: {error}")),
            _ => Self::Lost(format!("{doing}: {error}")),
        }
    }
}

/// Where to connect. It is read again for each connection, so that a corrected password needs no restart.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) url: SecretRef,
    pub(super) ca_file: Option<PathBuf>,
    /// The name in the certificate, if it is not the host of the URL.
    pub(super) server_name: Option<String>,
    /// Allows `amqp://` outside private networks.
    pub(super) allow_plain: bool,
    pub(super) dir: PathBuf,
    /// Shown in the broker's list of connections.
    pub(super) name: String,
}

impl Target {
    /// Reads the secret and the file.
    pub(super) fn read(&self) -> Result<(AMQPUri, OwnedTLSConfig), ConfigError> {
        let url = self.url.resolve("url", &self.dir)?;
        let uri = parse_url(url.reveal()).map_err(|message| ConfigError::new("url", message))?;
        check_protection(
            self.server_name.as_deref(),
            self.ca_file.is_some(),
            self.allow_plain,
            &uri,
        )?;
        let cert_chain = match &self.ca_file {
            None => None,
            Some(path) => {
                let path = self.dir.join(path);
                Some(
                    std::fs::read_to_string(&path)
                        .map_err(|error| ConfigError::unreadable("ca_file", &path, &error))?,
                )
            }
        };
        Ok((
            uri,
            OwnedTLSConfig {
                identity: None,
                cert_chain,
            },
        ))
    }

    /// Connects and authenticates.
    pub(super) async fn open(&self) -> Result<Connection, AmqpError> {
        let (uri, tls) = self
            .read()
            .map_err(|error| AmqpError::Refused(error.to_string()))?;
        if uri.scheme == AMQPScheme::AMQP && !self.allow_plain {
            refuse_public_address(&uri).await?;
        }
        let server_name = self.server_name.clone();
        // Without a default provider in the process rustls panics if features name two. It fails if there is
        // one already, which is fine.
        rustls::crypto::ring::default_provider().install_default().ok();
        let runtime =
            lapin::runtime::default_runtime().map_err(|error| AmqpError::new("connecting", &error))?;
        let properties = ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let opening = Connection::connector(
            uri,
            runtime,
            async move |mut uri: AMQPUri, runtime| {
                let (tls, server_name) = (tls.as_ref(), server_name.as_deref());
                let transport = async {
                    let Some(name) = server_name else {
                        return uri.connect_with_config_async(tls, &runtime).await;
                    };
                    // First the connection alone, then encryption with the name in the certificate.
                    uri.scheme = AMQPScheme::AMQP;
                    let stream = uri
                        .connect_with_config_async(TLSConfig::default(), &runtime)
                        .await?;
                    stream.into_tls(name, tls).await
                };
                match timeout(TRANSPORT_LIMIT, transport).await {
                    Ok(opened) => opened.map_err(lapin::Error::from),
                    Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
                }
            },
            properties,
        );
        match timeout(HANDSHAKE_LIMIT, opening).await {
            Ok(opened) => opened.map_err(|error| AmqpError::new("connecting", &error)),
            Err(_) => Err(AmqpError::Unreachable(
                "connecting: the broker does not answer".to_owned(),
            )),
        }
    }
}

/// Parses a broker's URL. The error never holds a part of it, which may be the password.
pub(super) fn parse_url(text: &str) -> Result<AMQPUri, String> {
    let url = url::Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    if !matches!(url.scheme(), "amqp" | "amqps") || url.cannot_be_a_base() {
        return Err("must start with amqp:// or amqps://".to_owned());
    }
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
        return Err("names no host".to_owned());
    };
    let mut uri: AMQPUri = text
        .parse()
        .map_err(|_| "has a part that is not correctly percent-encoded".to_owned())?;
    // The library accepts only names and IPv4 addresses in the URL.
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        address.clone_into(&mut uri.authority.host);
    }
    // A slash at the end would be the virtual host "", which no broker has.
    if uri.vhost.is_empty() {
        "/".clone_into(&mut uri.vhost);
    }
    uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
    Ok(uri)
}

/// Checks how the connection is protected: without TLS only inside a private network, and no key for TLS that
/// would have no effect.
pub(super) fn check_protection(
    server_name: Option<&str>,
    has_ca_file: bool,
    allow_plain: bool,
    uri: &AMQPUri,
) -> Result<(), ConfigError> {
    if uri.scheme == AMQPScheme::AMQPS {
        return match server_name {
            Some(name) if rustls::pki_types::ServerName::try_from(name).is_err() => Err(ConfigError::new(
                "server_name",
                "is not the name of a host; write it as in the certificate, such as api.proca.app",
            )),
            _ => Ok(()),
        };
    }
    for (key, is_set) in [("server_name", server_name.is_some()), ("ca_file", has_ca_file)] {
        if is_set {
            let message =
                "only an amqps:// connection has a certificate; write amqps:// in `url` or leave it out";
            return Err(ConfigError::new(key, message));
        }
    }
    if !allow_plain && !egress::is_private(&uri.authority.host) {
        return Err(ConfigError::new("url", PLAIN).hint(ALLOW_PLAIN));
    }
    Ok(())
}

const PLAIN: &str =
    "amqp:// would send the password and personal data unencrypted to a host outside your private network";
const ALLOW_PLAIN: &str = "use amqps://, or set allow_plain = true if the network protects the connection";

/// Resolves the host's name, and refuses a public address: only its text was checked before. A name that cannot be
/// resolved is for the connection to report.
async fn refuse_public_address(uri: &AMQPUri) -> Result<(), AmqpError> {
    let host = (uri.authority.host.as_str(), uri.authority.port);
    let Ok(Ok(mut addresses)) = timeout(TRANSPORT_LIMIT, tokio::net::lookup_host(host)).await else {
        return Ok(());
    };
    if addresses.all(|address| egress::is_private_address(address.ip())) {
        return Ok(());
    }
    Err(AmqpError::Refused(format!("connecting: {PLAIN}; {ALLOW_PLAIN}")))
}

/// Asks for a queue without declaring it. A rejection closes the channel.
pub(super) async fn look_at(channel: &Channel, queue: &str) -> Result<Queue, AmqpError> {
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare(queue.into(), options, FieldTable::default())
        .await
        .map_err(|error| AmqpError::new(&format!("looking for the queue {queue}"), &error))
}

/// Arguments for a consumer: the priority that it has anyway. A stream rejects it, because it has no
/// priorities. AMQP has no other way to recognise a stream.
pub(super) fn no_stream() -> FieldTable {
    priority(AMQPValue::LongInt(0))
}

fn priority(value: AMQPValue) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-priority".into(), value);
    arguments
}

/// The explanation of a broker's rejection of [`no_stream`].
pub(super) fn stream_refusal(queue: &str, error: AmqpError) -> AmqpError {
    if !error.reason().contains("rabbit_stream_queue") {
        return error;
    }
    AmqpError::Refused(format!(
        "the queue {queue} is a stream: reading does not remove messages, so the hub would not know where to \
         continue; name a classic or quorum queue, such as Proca's cus.12.deliver"
    ))
}

/// Finds out whether the queue is a stream without consuming it: the priority is not a number, so every queue
/// rejects it.
pub(super) async fn refuse_stream(connection: &Connection, queue: &str) -> Result<(), AmqpError> {
    let channel = connection.create_channel().await;
    let channel = channel.map_err(|error| AmqpError::new("opening a channel", &error))?;
    let limited = channel.basic_qos(1, BasicQosOptions::default()).await;
    limited.map_err(|error| AmqpError::new("limiting the prefetch", &error))?;
    let refused = channel
        .basic_consume(
            queue.into(),
            "".into(),
            BasicConsumeOptions::default(),
            priority(AMQPValue::LongString("none".into())),
        )
        .await;
    let Err(error) = refused else { return Ok(()) };
    match stream_refusal(queue, AmqpError::new(&format!("consuming {queue}"), &error)) {
        // PRECONDITION_FAILED, the expected answer.
        AmqpError::Lost(_) => Ok(()),
        error => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use lapin::protocol::AMQPError;

    use super::*;

    #[test]
    fn urls_are_parsed_as_people_write_them() {
        for (text, host, port, vhost, user, password) in [
            (
                "amqps://u%40x:p%2F%3Aw@example.org/proca_live",
                "example.org",
                5671,
                "proca_live",
                "u@x",
                "p/:w",
            ),
            ("amqp://a:b@127.0.0.1:5680/%2f", "127.0.0.1", 5680, "/", "a", "b"),
            ("amqp://a:b@[::1]:5680/v", "::1", 5680, "v", "a", "b"),
            ("amqp://a:b@example.org/", "example.org", 5672, "/", "a", "b"),
            ("amqp://a:b@example.org", "example.org", 5672, "/", "a", "b"),
        ] {
            let uri = parse_url(text).unwrap();
            let got = (
                uri.authority.host.as_str(),
                uri.authority.port,
                uri.vhost.as_str(),
            );
            assert_eq!(got, (host, port, vhost), "{text}");
            assert_eq!(uri.authority.userinfo.username, user, "{text}");
            assert_eq!(uri.authority.userinfo.password, password, "{text}");
            assert_eq!(uri.query.heartbeat, Some(HEARTBEAT_S), "{text}");
        }
        assert_eq!(
            parse_url("amqp://example.org/v?heartbeat=7")
                .unwrap()
                .query
                .heartbeat,
            Some(7)
        );
    }

    #[test]
    fn a_wrong_url_is_explained_without_repeating_it() {
        for text in [
            "geheim",
            "http://u:geheim@example.org",
            "amqp:geheim",
            "amqp:///geheim",
            "amqp://u:geheim%ff@example.org/v",
        ] {
            let error = parse_url(text).unwrap_err();
            assert!(!error.contains("geheim"), "{error}");
        }
    }

    #[tokio::test]
    async fn without_tls_only_private_hosts_are_connected_to() {
        for (text, is_private) in [
            ("amqp://a:b@127.0.0.1/v", true),
            ("amqp://a:b@[::1]/v", true),
            ("amqp://a:b@localhost/v", true),
            ("amqp://a:b@10.0.0.5/v", true),
            ("amqp://a:b@rabbit/v", true),
            ("amqp://a:b@rabbit.internal/v", true),
            ("amqp://a:b@broker.example.org/v", false),
            ("amqp://a:b@203.0.113.7/v", false),
            ("amqp://a:b@[2606:4700::1111]/v", false),
            ("amqp://a:b@0.0.0.0/v", false),
            ("amqps://a:b@broker.example.org/v", true),
        ] {
            let uri = parse_url(text).unwrap();
            let refused = check_protection(None, false, false, &uri).map_err(|error| error.key);
            let expected = if is_private { Ok(()) } else { Err("url".to_owned()) };
            assert_eq!(refused, expected, "{text}");
            assert!(check_protection(None, false, true, &uri).is_ok(), "{text}");
        }
        // By the address behind the name, too.
        let at = |text: &str| parse_url(text).unwrap();
        assert_eq!(
            refuse_public_address(&at("amqp://a:b@localhost:1/v")).await,
            Ok(())
        );
        let refused = refuse_public_address(&at("amqp://a:geheim@0.0.0.0:1/v"))
            .await
            .unwrap_err();
        assert!(
            matches!(&refused, AmqpError::Refused(reason) if reason.contains("amqps://")),
            "{refused:?}"
        );
        assert!(!refused.reason().contains("geheim"));
    }

    #[test]
    fn a_certificate_of_a_connection_without_tls_is_a_mistake() {
        let uri = parse_url("amqp://a:b@localhost/v").unwrap();
        for (name, has_ca_file, key) in [(Some("h"), false, "server_name"), (None, true, "ca_file")] {
            let error = check_protection(name, has_ca_file, false, &uri).unwrap_err();
            assert_eq!(error.key, key);
        }
    }

    #[test]
    fn errors_are_classified_by_what_follows() {
        let answer = |id| {
            let error = AMQPError::from_id(id, "WHY".into()).unwrap();
            AmqpError::new("doing", &ErrorKind::ProtocolError(error).into())
        };
        let reason = "doing: the broker answered WHY".to_owned();
        assert_eq!(answer(403), AmqpError::Refused(reason.clone()));
        assert_eq!(answer(530), AmqpError::Refused(reason.clone()));
        assert_eq!(answer(404), AmqpError::Missing(reason.clone()));
        assert_eq!(answer(406), AmqpError::Lost(reason.clone()));
        assert_eq!(answer(320), AmqpError::Lost(reason));
        let error = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        assert!(matches!(
            AmqpError::new("doing", &error.into()),
            AmqpError::Unreachable(_)
        ));
    }
}
