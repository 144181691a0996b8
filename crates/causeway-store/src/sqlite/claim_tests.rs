//! Claims that end very many deliveries, and claims that fail.

use std::sync::Arc;

use causeway_core::{
    consent::What,
    delivery::Next,
    event::{Decoded, Event},
    id::InboxId,
    rules::DestinationRule,
    store::{Claim, Claimed, DeliveryFilter, Store, StoreError, Views},
};
use causeway_testkit::{
    builders::{SOURCE, at, envelope, rules, signed, status},
    store_contract::attempt,
};
use tempfile::TempDir;

use super::{Options, SqliteStore, claim::ENDED_PER_CLAIM, open};

struct World {
    store: Arc<SqliteStore>,
    _folder: TempDir,
}

impl World {
    async fn new(rule: DestinationRule) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path().join("a.db"), Options { serve: true })
            .await
            .unwrap();
        store.set_rules(rules(vec![rule]).into()).await.unwrap();
        Self {
            store,
            _folder: folder,
        }
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
    let withdrawal = world.claim().await.unwrap().deliveries;
    let delivered = attempt(&withdrawal[0], Next::Delivered, at(10));
    world.store.record(vec![delivered]).await.unwrap();
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
