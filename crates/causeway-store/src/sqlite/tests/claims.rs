//! Claims that end very many deliveries, and claims that fail.

use std::sync::Arc;

use causeway_core::{
    consent::What,
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

use crate::sqlite::{EventsOf, Options, SqliteStore, Stored, open, outbox::claim::ENDED_PER_CLAIM};

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

/// Ada was sent under two addresses, and Ben was not sent yet.
#[tokio::test]
async fn a_preview_has_the_key_that_is_sent() {
    let rule = DestinationRule::new("crm");
    let world = World::new(rule.clone()).await;
    let mut moved = signed("ada", "2", What::OptIn, at(1));
    moved.identities.remove(0);
    moved.fields.insert("email".to_owned(), "new@example.org".into());
    let mut sent = Vec::new();
    for event in [signed("ada", "1", What::OptIn, at(0)), moved] {
        world.take(vec![event]).await;
        sent.push(world.deliver().await);
    }
    world.take(vec![signed("ben", "3", What::OptIn, at(2))]).await;
    let mut leaves = vec![status("ada", What::Unsubscribed, at(3))];
    leaves.push(status("ben", What::Unsubscribed, at(4)));
    world.take(leaves).await;
    let mut previewed = Vec::new();
    let stored = Stored::open(&world.folder.path().join("a.db")).await.unwrap();
    for message in 1..=5 {
        if message == 3 {
            continue;
        }
        let kind = (message > 3).then_some(Kind::Withdrawal);
        let of = EventsOf::Message(InboxId(message));
        let rules = rules(vec![rule.clone()]).into();
        let previews = stored.previews(rules, "crm", of, kind, 10).await.unwrap();
        assert_eq!(previews.len(), 1);
        previewed.push(previews[0].key.clone());
    }
    for _ in 0..3 {
        sent.push(world.deliver().await);
    }
    for (key, message) in previewed.iter().zip([1, 2, 4, 5]) {
        assert!(sent.contains(key), "of message {message}");
    }
}
