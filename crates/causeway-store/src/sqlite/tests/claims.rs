//! Claims that end very many deliveries, claims that fail, and the ids and the key of what is claimed.

use std::sync::Arc;

use causeway_core::{
    consent::What,
    contact::Identity,
    delivery::{Kind, Next},
    event::{Decoded, Event},
    id::{IdempotencyKey, InboxId},
    rules::DestinationRule,
    store::{Claim, Claimed, DeliveryFilter, Store, StoreError, Views},
};
use causeway_testkit::{
    builders::{SOURCE, at, envelope, rules, signed, status},
    store_contract::attempt,
};
use tempfile::TempDir;

use crate::sqlite::{
    EventsOf, Options, SqliteStore, Stored,
    base::ids::ContactRowId,
    open,
    outbox::{build, claim::ENDED_PER_CLAIM},
};

struct World {
    store: Arc<SqliteStore>,
    folder: TempDir,
}

impl World {
    async fn new(rule: DestinationRule) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path().join("a.db"), Options { serve: true })
            .await
            .unwrap();
        store.set_rules(rules(vec![rule]).into()).await.unwrap();
        Self { store, folder }
    }

    async fn take(&self, events: Vec<Event>) -> Vec<InboxId> {
        let messages = events.iter().map(|event| {
            let key = format!("{:?} {}", event.identities, event.at);
            envelope(SOURCE, &key, event.at)
        });
        let accepted = self.store.accept(messages.collect()).await.unwrap();
        let rows: Vec<InboxId> = accepted.iter().map(|row| row.id).collect();
        let decoded = events.into_iter().map(|event| Decoded::Event(Box::new(event)));
        let batch = rows.iter().copied().zip(decoded).collect();
        self.store.process(batch, at(5)).await.unwrap();
        rows
    }

    /// Claims one delivery at most.
    async fn claim(&self) -> Result<Claimed, StoreError> {
        let claim = Claim {
            first: Vec::new(),
            destination: "crm".into(),
            limit: 1,
            leased_until: at(100),
            now: at(10),
        };
        self.store.claim(claim).await
    }

    /// Delivers one that is due; returns its key.
    async fn deliver(&self) -> IdempotencyKey {
        let claimed = self.claim().await.unwrap().deliveries.remove(0);
        let delivered = attempt(&claimed, Next::Delivered, at(10));
        self.store.record(vec![delivered]).await.unwrap();
        claimed.key
    }

    async fn change(&self, sql: &'static str) {
        self.store
            .writer()
            .unwrap()
            .write(1, move |tx| {
                tx.connection.execute_batch(sql)?;
                tx.state.reload(tx.connection)
            })
            .await
            .unwrap();
    }
}

/// The newest of Ada's actions replaces the others and is then skipped, because she opted out.
#[tokio::test]
async fn a_claim_ends_when_it_has_ended_very_many_deliveries() {
    let world = World::new(DestinationRule {
        coalesce: true,
        ..DestinationRule::new("crm")
    })
    .await;
    let actions = (0..ENDED_PER_CLAIM).map(|number| {
        let when = at(i64::from(number) - 10_000);
        signed("ada", &number.to_string(), What::OptIn, when)
    });
    world.take(actions.collect()).await;
    world.take(vec![status("ada", What::Unsubscribed, at(1))]).await;
    // The withdrawal.
    world.deliver().await;
    let ben = world.take(vec![signed("ben", "ben", What::OptIn, at(2))]).await;
    let claimed = world.claim().await.unwrap();
    assert_eq!(
        (claimed.superseded, claimed.skipped, claimed.deliveries.len()),
        (ENDED_PER_CLAIM - 1, 1, 0)
    );
    let claimed = world.claim().await.unwrap();
    assert_eq!(claimed.deliveries[0].record.inbox_id, ben[0]);
}

/// A missing table stands for an error that has nothing to do with the delivery.
#[tokio::test]
async fn a_claim_that_fails_changes_no_delivery() {
    let world = World::new(DestinationRule::new("crm")).await;
    let rows = world.take(vec![signed("ada", "1", What::OptIn, at(0))]).await;
    world.change("ALTER TABLE event RENAME TO elsewhere").await;
    let failed = world.claim().await.unwrap_err();
    assert!(matches!(failed, StoreError::Failed(_)), "{failed}");
    world.change("ALTER TABLE elsewhere RENAME TO event").await;
    let all = DeliveryFilter::default();
    let delivery = world.store.deliveries(all, 10).await.unwrap().remove(0);
    assert_eq!((delivery.state.as_str(), delivery.reason), ("waiting", None));
    let claimed = world.claim().await.unwrap().deliveries;
    assert_eq!(claimed[0].record.inbox_id, rows[0]);
}

/// Ada was sent under two addresses, Cleo under a former one, and Ben was not sent yet.
#[tokio::test]
async fn a_preview_has_the_key_that_is_sent() {
    let rule = DestinationRule::new("crm");
    let world = World::new(rule.clone()).await;
    let moved = |name: &str, action: &str| {
        let mut moved = signed(name, action, What::OptIn, at(1));
        moved.identities.remove(0);
        let address = format!("new-{name}@example.org");
        moved.fields.insert("email".to_owned(), address.into());
        moved
    };
    let mut sent = Vec::new();
    let ada = signed("ada", "1", What::OptIn, at(0));
    let cleo = signed("cleo", "3", What::OptIn, at(0));
    for event in [ada, moved("ada", "2"), cleo] {
        world.take(vec![event]).await;
        sent.push(world.deliver().await);
    }
    world.take(vec![moved("cleo", "4")]).await;
    world.take(vec![signed("ben", "5", What::OptIn, at(2))]).await;
    let leaves = ["ada", "ben", "cleo"].map(|name| status(name, What::Unsubscribed, at(3)));
    world.take(leaves.to_vec()).await;
    let mut previewed = Vec::new();
    let stored = Stored::open(&world.folder.path().join("a.db")).await.unwrap();
    let messages = [1, 2, 3, 6, 7, 8];
    for message in messages {
        let kind = (message > 5).then_some(Kind::Withdrawal);
        let of = EventsOf::Message(InboxId(message));
        let rules = rules(vec![rule.clone()]).into();
        let previews = stored.previews(rules, "crm", of, kind, 10).await.unwrap();
        assert_eq!(previews.len(), 1);
        if message == 6 {
            assert_eq!(
                previews[0].record.email(),
                Some("new-ada@example.org"),
                "the one in use"
            );
        }
        previewed.push(previews[0].key.clone());
    }
    for _ in 0..4 {
        sent.push(world.deliver().await);
    }
    for (key, message) in previewed.iter().zip(messages) {
        assert!(sent.contains(key), "of message {message}");
    }
}

fn ids_of(ids: &[(&str, &str)]) -> Vec<Identity> {
    let of = |(namespace, id): &(&str, &str)| Identity::ForeignId {
        namespace: (*namespace).into(),
        id: (*id).to_owned(),
    };
    ids.iter().map(of).collect()
}

/// The ids of platforms in a claimed record, in order.
fn foreign(claimed: &Claimed) -> Vec<Identity> {
    let mut ids = claimed.deliveries[0].record.identities.clone();
    ids.retain(|id| matches!(id, Identity::ForeignId { .. }));
    ids
}

/// Ada has two ids on the platform `a`.
#[tokio::test]
async fn a_record_begins_with_the_ids_that_its_message_named() {
    let world = World::new(DestinationRule::new("crm")).await;
    let mut known = signed("ada", "1", What::OptIn, at(0));
    known.identities = ids_of(&[("a", "1"), ("a", "2"), ("b", "1"), ("c", "1")]);
    world.take(vec![known]).await;
    world.deliver().await;
    for (number, (named, expected)) in [
        (
            vec![("a", "1")],
            vec![("a", "2"), ("a", "1"), ("b", "1"), ("c", "1")],
        ),
        (
            vec![("a", "2")],
            vec![("a", "1"), ("a", "2"), ("b", "1"), ("c", "1")],
        ),
        (
            vec![("b", "1")],
            vec![("b", "1"), ("a", "1"), ("a", "2"), ("c", "1")],
        ),
        (
            vec![("a", "1"), ("c", "1")],
            vec![("c", "1"), ("a", "2"), ("a", "1"), ("b", "1")],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mut event = signed("ada", &format!("again {number}"), What::OptIn, at(1));
        event.identities = ids_of(&named);
        world.take(vec![event]).await;
        let claimed = world.claim().await.unwrap();
        assert_eq!(foreign(&claimed), ids_of(&expected), "{named:?}");
        let delivered = attempt(&claimed.deliveries[0], Next::Delivered, at(10));
        world.store.record(vec![delivered]).await.unwrap();
    }
}

/// Ben's withdrawal follows from a message of Ada's, who uses the same mailbox.
#[tokio::test]
async fn the_ids_that_a_message_names_order_no_other_persons_ids() {
    let world = World::new(DestinationRule::new("crm")).await;
    let of = |name: &str, ids: &[(&str, &str)], what, when| {
        let mut event = signed("family", name, what, when);
        event.identities = ids_of(ids);
        event
            .fields
            .insert("email".to_owned(), "family@example.org".into());
        event.identities.push(causeway_testkit::builders::email("family"));
        event
    };
    world
        .take(vec![of("ada", &[("a", "1"), ("b", "1")], What::OptIn, at(0))])
        .await;
    world
        .take(vec![of("ben", &[("a", "2"), ("b", "2")], What::OptIn, at(0))])
        .await;
    for _ in 0..2 {
        world.deliver().await;
    }
    world
        .take(vec![of("no", &[("b", "1")], What::Unsubscribed, at(1))])
        .await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let claimed = world.claim().await.unwrap();
        let Some(delivery) = claimed.deliveries.first() else {
            break;
        };
        seen.push((delivery.record.kind, foreign(&claimed)));
        let delivered = attempt(delivery, Next::Delivered, at(10));
        world.store.record(vec![delivered]).await.unwrap();
    }
    assert!(
        seen.contains(&(Kind::Withdrawal, ids_of(&[("a", "2"), ("b", "2")]))),
        "{seen:?}"
    );
    assert!(
        seen.contains(&(Kind::Withdrawal, ids_of(&[("b", "1"), ("a", "1")]))),
        "{seen:?}"
    );
}

/// Receivers recognise repetitions by the key, so it must not change with a new version.
#[test]
fn the_key_of_an_ordinary_delivery_is_derived_from_the_message_and_the_destination() {
    let message = build::Message {
        workspace: "default",
        source: SOURCE,
        key: b"4711",
    };
    let plain = IdempotencyKey::derive("default", SOURCE, b"4711", "crm", "record");
    assert_eq!(build::key(&message, "crm", "record", "", None), plain);
    for (address, other) in [
        ("ada@example.org", None),
        ("", Some(ContactRowId(7))),
        ("ada@example.org", Some(ContactRowId(7))),
    ] {
        assert_ne!(
            build::key(&message, "crm", "record", address, other),
            plain,
            "{address} {other:?}"
        );
    }
}
