//! Finds out the arguments with which the queue was declared, for a person: how often a message may be
//! redelivered, and where dead letters go.
//!
//! AMQP has no query for them. The broker rejects a declaration that differs from the queue, and names one
//! argument and its value. So the hub declares again and again with the values known so far.
//!
//! Invariant: nothing is ever created or changed. Each declaration has an argument with a value that no
//! broker accepts for a new queue, and an existing queue is only compared.

use std::collections::BTreeMap;

use causeway_core::source::Remark;
use lapin::{
    Connection, ErrorKind,
    options::QueueDeclareOptions,
    types::{AMQPValue, FieldTable},
};

use super::connect::AmqpError;

const LIMIT: &str = "x-delivery-limit";
const DEAD_LETTERS: &str = "x-dead-letter-exchange";
const QUEUE_TYPE: &str = "x-queue-type";
/// Numbers and truth values, declared as texts. They are compared at different places in the list of all
/// arguments.
const INVALID: [&str; 4] = ["x-message-ttl", LIMIT, "x-single-active-consumer", "x-max-length"];
/// More than there are arguments.
const MAX_QUESTIONS: usize = 20;

/// Arguments by name, as far as the broker named them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments(BTreeMap<String, String>);

/// One difference between the declaration and the queue.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    name: String,
    /// Value and type; `None` if the queue does not have the argument.
    current: Option<(String, String)>,
}

/// The queue's arguments; `None` if the broker does not answer this user.
pub(super) async fn ask(connection: &Connection, queue: &str) -> Result<Option<Arguments>, AmqpError> {
    let mut options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    let mut table: BTreeMap<String, AMQPValue> = INVALID
        .iter()
        .map(|name| ((*name).to_owned(), AMQPValue::LongString("?".into())))
        .collect();
    let mut invalid = Vec::from(INVALID);
    let mut found = Arguments::default();
    for _ in 0..MAX_QUESTIONS {
        let channel = connection.create_channel().await;
        let channel = channel.map_err(|error| AmqpError::new("opening a channel", &error))?;
        let mut arguments = FieldTable::default();
        for (name, value) in &table {
            arguments.insert(name.as_str().into(), value.clone());
        }
        let Err(error) = channel.queue_declare(queue.into(), options, arguments).await else {
            return Ok(Some(found));
        };
        let Some(difference) = difference(&error) else {
            return Ok(None);
        };
        let Difference { name, current } = difference;
        if name == "durable" || name == "auto_delete" {
            let value = current.is_some_and(|(value, _)| value == "true");
            match name.as_str() {
                "durable" => options.durable = value,
                _ => options.auto_delete = value,
            }
            continue;
        }
        if let Some(at) = invalid.iter().position(|known| *known == name) {
            invalid.remove(at);
        }
        match current {
            Some((value, of)) => {
                let typed = typed(&value, &of);
                found.0.insert(name.clone(), value);
                table.insert(name, typed);
            }
            None => drop(table.remove(&name)),
        }
        if invalid.is_empty() {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn difference(error: &lapin::Error) -> Option<Difference> {
    match error.kind() {
        ErrorKind::ProtocolError(answer) => read(answer.get_message().as_str()),
        _ => None,
    }
}

/// Reads `inequivalent arg 'NAME' for queue …: received … but current is the value 'VALUE' of type 'TYPE'`.
fn read(message: &str) -> Option<Difference> {
    let (_, rest) = message.split_once("inequivalent arg '")?;
    let (name, rest) = rest.split_once('\'')?;
    let (_, current) = rest.rsplit_once("but current is ")?;
    let current = if current.starts_with("none") {
        None
    } else if let Some(value) = current.strip_prefix("the value '") {
        let (value, of) = value.rsplit_once("' of type '")?;
        Some((value.to_owned(), of.trim_end_matches('\'').to_owned()))
    } else {
        Some((current.trim_matches('\'').to_owned(), String::new()))
    };
    Some(Difference {
        name: name.to_owned(),
        current,
    })
}

fn typed(value: &str, of: &str) -> AMQPValue {
    match (of, value.parse::<i64>()) {
        ("bool", _) => AMQPValue::Boolean(value == "true"),
        ("longstr", _) | (_, Err(_)) => AMQPValue::LongString(value.into()),
        (_, Ok(number)) => AMQPValue::LongLongInt(number),
    }
}

impl Arguments {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// What a person should know about a queue with these arguments.
pub(super) fn remark(found: Option<&Arguments>) -> Remark {
    let Some(found) = found else {
        return Remark {
            is_warning: false,
            text: "whether the queue has a delivery limit is not known, because the broker does not show it to this \
                   user; if it has one (x-delivery-limit; a quorum queue of RabbitMQ 4 has 20), the broker deletes a \
                   message that was returned as often"
                .to_owned(),
        };
    };
    let dead_letters = match found.get(DEAD_LETTERS).filter(|name| !name.is_empty()) {
        Some(exchange) => format!("moved to the exchange {exchange}"),
        None => "deleted".to_owned(),
    };
    let is_quorum = found.get(QUEUE_TYPE) == Some("quorum");
    let limit = found.get(LIMIT).filter(|limit| !limit.starts_with('-'));
    let text = match limit {
        Some(limit) => format!(
            "the queue has a delivery limit of {limit}: a message that was returned more often is {dead_letters}. \
             Messages are returned each time that this hub is killed while it holds them; have the limit \
             (x-delivery-limit) raised or removed"
        ),
        None if is_quorum && found.get(LIMIT).is_none() => format!(
            "the queue is a quorum queue without a delivery limit of its own (RabbitMQ 4 sets 20); a message that was \
             returned more often is {dead_letters}"
        ),
        None => format!(
            "the queue has no delivery limit; a message that expires or is refused is {dead_letters} (a policy of the broker may say \
             otherwise)"
        ),
    };
    Remark {
        is_warning: limit.is_some(),
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_s_refusal_is_read() {
        let message = |received: &str, current: &str| {
            format!(
                "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue 'cus.12.deliver' in vhost 'v': received \
                 {received} but current is {current}"
            )
        };
        let difference = |current: Option<(&str, &str)>| {
            Some(Difference {
                name: LIMIT.to_owned(),
                current: current.map(|(value, of)| (value.to_owned(), of.to_owned())),
            })
        };
        let asked = "the value '?' of type 'longstr'";
        for (current, expected) in [
            ("none", difference(None)),
            (
                "the value '3' of type 'signedint'",
                difference(Some(("3", "signedint"))),
            ),
            ("'true'", difference(Some(("true", "")))),
            ("the value '3", None),
        ] {
            assert_eq!(read(&message(asked, current)), expected, "{current}");
        }
        assert_eq!(read("ACCESS_REFUSED - access to queue refused"), None);
    }

    #[test]
    fn a_delivery_limit_gives_a_warning_that_explains_its_effect() {
        let arguments = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            Arguments(
                pairs
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
            )
        };
        for (pairs, is_warning, part) in [
            (
                &[][..],
                false,
                "no delivery limit; a message that expires or is refused is deleted",
            ),
            (
                &[(DEAD_LETTERS, "org.12.fail")],
                false,
                "is moved to the exchange org.12.fail",
            ),
            (
                &[(LIMIT, "3")],
                true,
                "limit of 3: a message that was returned more often is deleted",
            ),
            (
                &[(QUEUE_TYPE, "quorum"), (LIMIT, "-1")],
                false,
                "no delivery limit",
            ),
            (&[(QUEUE_TYPE, "quorum")], false, "RabbitMQ 4 sets 20"),
        ] {
            let remark = remark(Some(&arguments(pairs)));
            assert_eq!(remark.is_warning, is_warning, "{pairs:?}");
            assert!(remark.text.contains(part), "{}", remark.text);
        }
        assert!(!remark(None).is_warning);
    }
}
