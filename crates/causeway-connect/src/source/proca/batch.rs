//! Turns the broker's messages into envelopes, gathered for one commit.

use bytes::Bytes;
use causeway_core::{
    clock::Timestamp,
    envelope::{Dedup, Envelope, Meta, digest},
    id::Name,
};
use lapin::{
    message::Delivery,
    types::{AMQPValue, FieldTable},
};

/// Envelopes that are committed together and acknowledged with one frame.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) envelopes: Vec<Envelope>,
    pub(super) bytes: usize,
    /// The highest delivery tag; acknowledging it acknowledges all up to it.
    pub(super) tag: u64,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.envelopes.is_empty()
    }

    pub(super) fn push(&mut self, tag: u64, envelope: Envelope) {
        self.bytes += envelope.body.len();
        self.tag = self.tag.max(tag);
        self.envelopes.push(envelope);
    }
}

/// The envelope of a message, unchanged. Duplicates can only be recognised by their bytes, because Proca sets
/// no message id.
pub(super) fn envelope(source: &Name, queue: &str, delivery: Delivery, now: Timestamp) -> Envelope {
    let properties = &delivery.properties;
    let meta = Meta {
        content_type: properties
            .content_type()
            .as_ref()
            .map(|text| text.as_str().to_owned()),
        routing_key: Some(delivery.routing_key.as_str())
            .filter(|key| !key.is_empty())
            .map(str::to_owned),
        deaths: properties
            .headers()
            .as_ref()
            .and_then(|headers| deaths(headers, queue)),
        ..Meta::default()
    };
    Envelope {
        source: source.clone(),
        dedup: Dedup::dated(digest(&[&delivery.data])),
        received_at: now,
        meta,
        body: Bytes::from(delivery.data),
    }
}

/// How often consumers of `queue` rejected the message. The header also has entries for other queues and
/// reasons, such as the wait in the parking queue. The newest entry is first, and may belong to another queue.
fn deaths(headers: &FieldTable, queue: &str) -> Option<u64> {
    let AMQPValue::FieldArray(entries) = headers.inner().get("x-death")? else {
        return None;
    };
    let ours = entries.as_slice().iter().filter_map(|entry| match entry {
        AMQPValue::FieldTable(entry) if is(entry, "queue", queue) && is(entry, "reason", "rejected") => {
            entry.inner().get("count").and_then(whole_number)
        }
        _ => None,
    });
    ours.max()
}

fn is(table: &FieldTable, key: &str, expected: &str) -> bool {
    match table.inner().get(key) {
        Some(AMQPValue::LongString(text)) => text.as_bytes() == expected.as_bytes(),
        Some(AMQPValue::ShortString(text)) => text.as_str() == expected,
        _ => false,
    }
}

fn whole_number(value: &AMQPValue) -> Option<u64> {
    match *value {
        AMQPValue::ShortShortInt(number) => number.try_into().ok(),
        AMQPValue::ShortShortUInt(number) => Some(number.into()),
        AMQPValue::ShortInt(number) => number.try_into().ok(),
        AMQPValue::ShortUInt(number) => Some(number.into()),
        AMQPValue::LongInt(number) => number.try_into().ok(),
        AMQPValue::LongUInt(number) => Some(number.into()),
        AMQPValue::LongLongInt(number) => number.try_into().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use causeway_core::envelope::Memory;
    use lapin::{BasicProperties, types::FieldArray};

    use super::*;

    fn delivery(body: &[u8]) -> Delivery {
        Delivery::mock(
            7,
            "org.1.deliver".into(),
            "petition.bees".into(),
            false,
            body.to_vec(),
        )
    }

    fn make(delivery: Delivery) -> Envelope {
        envelope(&"proca".into(), "cus.1.deliver", delivery, Timestamp::UNIX_EPOCH)
    }

    fn death(queue: &str, reason: &str, count: AMQPValue) -> AMQPValue {
        let mut table = FieldTable::default();
        table.insert("queue".into(), AMQPValue::LongString(queue.into()));
        table.insert("reason".into(), AMQPValue::LongString(reason.into()));
        table.insert("count".into(), count);
        AMQPValue::FieldTable(table)
    }

    fn with_deaths(entries: Vec<AMQPValue>) -> Delivery {
        let mut headers = FieldTable::default();
        headers.insert("x-death".into(), AMQPValue::FieldArray(FieldArray::from(entries)));
        let mut delivery = delivery(b"{}");
        delivery.properties = BasicProperties::default().with_headers(headers);
        delivery
    }

    #[test]
    fn a_duplicate_has_the_same_key_and_any_other_message_another() {
        let first = make(delivery(b"{\"a\":1}"));
        let mut again = delivery(b"{\"a\":1}");
        again.redelivered = true;
        again.routing_key = "cus.1.deliver".into();
        assert_eq!(first.dedup, make(again).dedup);
        assert_ne!(first.dedup, make(delivery(b"{\"a\":2}")).dedup);
        assert_eq!(first.dedup.memory, Memory::Dated);
        assert_eq!(first.body, "{\"a\":1}");
    }

    #[test]
    fn existing_properties_are_kept() {
        let plain = make(delivery(b"{}"));
        let routing_key = Some("petition.bees".to_owned());
        assert_eq!(
            plain.meta,
            Meta {
                routing_key,
                ..Meta::default()
            }
        );
        let mut json = delivery(b"{}");
        json.properties = BasicProperties::default().with_content_type("application/json".into());
        json.routing_key = "".into();
        let content_type = Some("application/json".to_owned());
        assert_eq!(
            make(json).meta,
            Meta {
                content_type,
                ..Meta::default()
            }
        );
    }

    #[test]
    fn only_rejections_by_consumers_of_this_queue_count_as_deaths() {
        let long = AMQPValue::LongLongInt;
        for (entries, expected) in [
            (vec![], None),
            (
                vec![
                    death("org.1.fail", "expired", long(5)),
                    death("cus.1.deliver", "rejected", long(4)),
                ],
                Some(4),
            ),
            (
                vec![death("cus.1.deliver", "rejected", AMQPValue::LongUInt(3))],
                Some(3),
            ),
            (vec![death("cus.1.deliver", "expired", long(9))], None),
            (vec![death("cus.2.deliver", "rejected", long(9))], None),
            (vec![death("cus.1.deliver", "rejected", long(-1))], None),
            (
                vec![
                    death("cus.1.deliver", "rejected", AMQPValue::Void),
                    AMQPValue::Void,
                ],
                None,
            ),
        ] {
            assert_eq!(
                make(with_deaths(entries.clone())).meta.deaths,
                expected,
                "{entries:?}"
            );
        }
    }

    #[test]
    fn a_batch_knows_its_size_and_what_it_acknowledges() {
        let mut batch = Batch::default();
        assert!(batch.is_empty());
        batch.push(4, make(delivery(b"12345")));
        batch.push(5, make(delivery(b"123")));
        assert_eq!((batch.envelopes.len(), batch.bytes, batch.tag), (2, 8, 5));
    }
}
