//! What people are shown about deliveries: whether they arrived, which ones are dead, and their keys.

use causeway_core::{
    clock::Timestamp,
    consent::{Change, Policy, What},
    contact::Identity,
    delivery::Next,
    rules::DestinationRule,
    store::{DeliveryFilter, GivenRow},
};

use super::{Bench, Open, addresses::platform, bench::attempt};
use crate::builders::{at, fact, signed, status};

async fn given(bench: &Bench) -> GivenRow {
    let mut given = bench.person("ada").await.given;
    assert_eq!(given.len(), 1, "{given:?}");
    given.remove(0)
}

/// (received, unconfirmed)
async fn arrived(bench: &Bench) -> (Option<Timestamp>, Option<Timestamp>) {
    let row = given(bench).await;
    (row.received, row.unconfirmed)
}

pub async fn an_unconfirmed_delivery_is_not_shown_as_received(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    let claimed = bench.claim("crm", 1).await.deliveries;
    assert_eq!(arrived(&bench).await, (None, Some(at(1))), "under way");
    bench.end(&claimed[0], Next::Waiting { due_at: at(10) }, 2).await;
    assert_eq!(arrived(&bench).await, (None, Some(at(1))), "tried again later");
    let claimed = bench.claim("crm", 10).await.deliveries;
    bench.end(&claimed[0], Next::Dead, 11).await;
    assert_eq!(arrived(&bench).await, (None, Some(at(10))), "refused");
    bench.take(signed("ada", "2", What::OptIn, at(20)), 20).await;
    bench.deliver_all("crm", 21).await;
    assert_eq!(arrived(&bench).await, (Some(at(21)), None));
    bench.take(signed("ada", "3", What::OptIn, at(30)), 30).await;
    let claimed = bench.claim("crm", 31).await.deliveries;
    bench.end(&claimed[0], Next::Dead, 32).await;
    assert_eq!(
        arrived(&bench).await,
        (Some(at(21)), Some(at(31))),
        "the first was received"
    );
    bench.assert_balanced().await;
}

async fn refuse_locally(bench: &Bench, seconds: i64) {
    let claimed = bench.claim("crm", seconds).await.deliveries;
    let mut refused = attempt(&claimed[0], Next::Dead, at(seconds));
    refused.status = None;
    bench.store().record(vec![refused]).await.unwrap();
}

/// A record that the mapping rejects makes no request.
pub async fn an_attempt_that_failed_before_its_request_was_not_sent(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    refuse_locally(&bench, 1).await;
    assert_eq!(arrived(&bench).await, (None, None));
    bench.take(signed("ada", "2", What::OptIn, at(10)), 10).await;
    bench.deliver_all("crm", 11).await;
    bench.take(signed("ada", "3", What::OptIn, at(20)), 20).await;
    refuse_locally(&bench, 21).await;
    assert_eq!(arrived(&bench).await, (Some(at(11)), None));
}

pub async fn the_namespaces_of_all_ids_are_known(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    assert_eq!(bench.store().namespaces().await.unwrap(), [].into());
    for (name, id) in [("ada", "1"), ("ben", "2")] {
        let mut event = signed(name, id, What::OptIn, at(0));
        event.identities.push(Identity::ForeignId {
            namespace: "platform".into(),
            id: id.to_owned(),
        });
        bench.take(event, 0).await;
    }
    let known = bench.store().namespaces().await.unwrap();
    assert_eq!(known, ["platform".into(), "proca".into()].into());
    for name in ["ada", "ben"] {
        let id = bench.person(name).await.id;
        bench.store().erase(id, at(2)).await.unwrap();
    }
    assert_eq!(bench.store().namespaces().await.unwrap(), [].into());
}

pub async fn dead_withdrawals_are_counted_and_name_their_address(open: Open) {
    let mut mute = DestinationRule::new("mute");
    mute.policy = Policy::All;
    mute.supported_changes = vec![Change::Subscribe];
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm"), mute]).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    bench.deliver_all("crm", 1).await;
    bench.deliver_all("mute", 1).await;
    bench.take(status("ada", What::Unsubscribed, at(2)), 2).await;
    let claimed = bench.claim("crm", 3).await.deliveries;
    bench.end(&claimed[0], Next::Dead, 3).await;
    let dead = bench.store().dead_withdrawals().await.unwrap();
    assert_eq!(dead, [("crm".into(), 1)].into());
    let rows = bench
        .store()
        .deliveries(DeliveryFilter::default(), 10)
        .await
        .unwrap();
    let of = |destination: &str| {
        let row = rows
            .iter()
            .find(|row| &*row.destination == destination && row.kind == "withdrawal");
        let row = row.unwrap();
        (row.address.clone(), row.by_hand)
    };
    let address = Some("ada@example.org".to_owned());
    assert_eq!(
        (of("crm"), of("mute")),
        ((address.clone(), false), (address, true))
    );
    let by_hand = rows.iter().find(|row| row.by_hand).unwrap();
    let mut rule = DestinationRule::new("mute");
    rule.policy = Policy::All;
    let mut now = causeway_core::rules::Rules::default();
    now.destinations.insert("mute".into(), rule.into());
    let now = std::sync::Arc::new(now);
    let count = async |bench: &Bench| bench.store().by_hand(std::sync::Arc::clone(&now)).await.unwrap();
    assert_eq!(count(&bench).await, [("mute".into(), 1)].into());
    bench.take(signed("ada", "2", What::OptIn, at(4)), 4).await;
    assert_eq!(count(&bench).await, [].into(), "Ada opted in again");
    let filter = DeliveryFilter {
        ids: vec![by_hand.id],
        ..DeliveryFilter::default()
    };
    bench
        .store()
        .discard_deliveries(filter, "done by hand", at(4))
        .await
        .unwrap();
    let person = bench.person("ada").await;
    assert!(person.deliveries.iter().all(|row| !row.by_hand), "{person:?}");
    bench.take(status("ada", What::Unsubscribed, at(5)), 5).await;
    assert_eq!(count(&bench).await, [("mute".into(), 1)].into());
}

/// A contact with two addresses has two deliveries with different keys.
pub async fn a_trace_shows_the_keys_that_are_sent(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    for (name, seconds) in [("one", 0), ("two", 10)] {
        let mut event = platform("71", name, "Ada", seconds);
        event.consent = vec![fact(What::OptIn, at(seconds))];
        bench.take(event, seconds).await;
        bench.deliver_all("crm", seconds + 1).await;
    }
    let id = bench.take(status("two", What::Unsubscribed, at(20)), 20).await;
    let mut sent = Vec::new();
    loop {
        let claimed = bench.claim("crm", 21).await.deliveries;
        if claimed.is_empty() {
            break;
        }
        for delivery in claimed {
            bench.end(&delivery, Next::Delivered, 21).await;
            sent.push((delivery.id, delivery.key));
        }
    }
    let trace = bench.store().trace(id).await.unwrap().unwrap();
    let mut shown: Vec<_> = trace
        .deliveries
        .into_iter()
        .map(|row| (row.delivery.id, row.key))
        .collect();
    sent.sort();
    shown.sort();
    assert_eq!((shown.len(), shown), (2, sent));
}
