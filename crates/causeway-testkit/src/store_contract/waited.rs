//! Deliveries that a sender waits for go first, and in order. The progress of a message can be read.

use causeway_core::{
    consent::What,
    delivery::{Kind, Next},
    envelope::{Late, Meta},
    event::{DeadCode, Decoded},
    id::{DeliveryId, InboxId},
    rules::DestinationRule,
    store::{Claim, InboxFilter, InboxState, Progress},
};

use super::{Bench, Open, attempt, bench::inbox_ids};
use crate::builders::{SOURCE, at, envelope, signed, status};

async fn progress(bench: &Bench, id: InboxId) -> Progress {
    let found = bench
        .store()
        .progress(id, Some("crm".into()), true)
        .await
        .unwrap();
    found.unwrap()
}

async fn delivery(bench: &Bench, id: InboxId) -> DeliveryId {
    progress(bench, id).await.delivery.unwrap().id
}

fn claim(limit: u32, first: Vec<DeliveryId>) -> Claim {
    Claim {
        first,
        destination: "crm".into(),
        limit,
        leased_until: at(1_000),
        now: at(100),
    }
}

pub async fn deliveries_that_a_sender_waits_for_are_claimed_first(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    for number in 0..5 {
        let name = format!("p{number}");
        bench
            .take(signed(&name, &name, What::OptIn, at(number)), number)
            .await;
    }
    let ada_1 = bench.take(signed("ada", "a1", What::OptIn, at(10)), 10).await;
    let ada_2 = bench.take(signed("ada", "a2", What::OptIn, at(11)), 11).await;
    let bob = bench.take(signed("bob", "b1", What::OptIn, at(12)), 12).await;
    let first = vec![delivery(&bench, ada_2).await, delivery(&bench, bob).await];
    // Nothing overtakes earlier deliveries of its contact, and no other delivery is claimed beside them.
    let claimed = bench.store().claim(claim(10, first.clone())).await.unwrap();
    assert_eq!(inbox_ids(&claimed.deliveries), [ada_1, bob]);
    // While these are in flight, the others are claimed.
    let claimed = bench.store().claim(claim(1, first.clone())).await.unwrap();
    assert_eq!(claimed.deliveries.len(), 1);
    let all = bench.store().claim(claim(10, vec![])).await.unwrap();
    assert_eq!(
        all.deliveries.len(),
        4,
        "neither the delivery in flight nor the one behind it"
    );
    for delivery in claimed.deliveries.iter().chain(&all.deliveries) {
        bench.end(delivery, Next::Delivered, 101).await;
    }
    assert_eq!(progress(&bench, ada_2).await.delivery.unwrap().state, "blocked");
    bench.assert_balanced().await;
}

pub async fn a_withdrawal_goes_before_deliveries_that_a_sender_waits_for(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(signed("ada", "a1", What::OptIn, at(0)), 0).await;
    bench.deliver_all("crm", 1).await;
    bench.take(signed("other", "o1", What::OptIn, at(2)), 2).await;
    bench.take(status("ada", What::Unsubscribed, at(3)), 3).await;
    let bob = bench.take(signed("bob", "b1", What::OptIn, at(4)), 4).await;
    let first = vec![delivery(&bench, bob).await];
    let claimed = bench.store().claim(claim(1, first.clone())).await.unwrap();
    assert_eq!(claimed.deliveries[0].record.kind, Kind::Withdrawal);
    let claimed = bench.store().claim(claim(9, first)).await.unwrap();
    assert_eq!(inbox_ids(&claimed.deliveries), [bob]);
}

/// Another delivery of the same contact is in flight.
pub async fn a_delivery_that_cannot_start_does_not_hold_back_others(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(signed("cleo", "c1", What::OptIn, at(0)), 0).await;
    bench.deliver_all("crm", 1).await;
    let ada = bench.take(signed("ada", "a1", What::OptIn, at(2)), 2).await;
    bench.take(status("ada", What::Unsubscribed, at(3)), 3).await;
    let in_flight = bench.store().claim(claim(1, vec![])).await.unwrap();
    assert_eq!(in_flight.deliveries[0].record.kind, Kind::Withdrawal);
    let cleo = bench.take(status("cleo", What::Unsubscribed, at(4)), 4).await;
    let bob = bench.take(signed("bob", "b1", What::OptIn, at(5)), 5).await;
    let first = vec![delivery(&bench, ada).await];
    let claimed = bench.store().claim(claim(10, first)).await.unwrap();
    assert_eq!(inbox_ids(&claimed.deliveries), [cleo, bob]);
}

pub async fn the_progress_of_a_message_can_be_read_at_any_time(open: Open) {
    let rule = DestinationRule {
        coalesce: true,
        ..DestinationRule::new("crm")
    };
    let mut bench = Bench::new(open, vec![rule]).await;
    let new = bench
        .store()
        .accept(vec![envelope(SOURCE, "new", at(0))])
        .await
        .unwrap()[0]
        .id;
    let waits = progress(&bench, new).await;
    assert_eq!((waits.state, waits.record.is_none()), (InboxState::New, true));
    assert_eq!(
        bench.store().progress(InboxId(99), None, false).await.unwrap(),
        None
    );

    let first = bench.take(signed("ada", "1", What::OptIn, at(1)), 1).await;
    let known = progress(&bench, first).await;
    let record = known.record.unwrap();
    let person = bench.person("ada").await;
    assert_eq!(
        (record.contact.id, &record.consent_state),
        (Some(person.id), &person.consent_state)
    );
    assert_eq!(
        record.action.map(|action| action.external_id),
        Some("1".to_owned())
    );
    assert_eq!(known.delivery.unwrap().state, "waiting");
    // A newer delivery replaces it, and its progress is what the sender waits for.
    let second = bench.take(signed("ada", "2", What::OptIn, at(2)), 2).await;
    assert_eq!(bench.deliver_all("crm", 3).await, [second]);
    let (of_first, of_second) = (progress(&bench, first).await, progress(&bench, second).await);
    assert_eq!(of_first.delivery.as_ref().unwrap().state, "delivered");
    assert_eq!(of_first.delivery, of_second.delivery);

    // The response is there before its row is processed, and stays afterwards.
    let third = bench.take(signed("ada", "3", What::OptIn, at(4)), 4).await;
    let claimed = bench.claim("crm", 5).await.deliveries;
    let mut delivered = attempt(&claimed[0], Next::Delivered, at(5));
    delivered.writes.insert("crm_id".to_owned(), "C-1".into());
    bench.store().record(vec![delivered]).await.unwrap();
    for is_processed in [false, true] {
        if is_processed {
            assert_eq!(
                bench.follow(6).await.len(),
                2,
                "the response, and the message that was not processed"
            );
        }
        let record = progress(&bench, third).await.record.unwrap();
        assert_eq!(record.contact.text("crm_id"), Some("C-1"), "{is_processed}");
    }
}

pub async fn a_replayed_late_message_is_no_longer_late(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    let kept = Late {
        by_s: 14_400,
        replayed: false,
    };
    let mut message = envelope(SOURCE, "late", at(0));
    message.meta = Meta {
        late: Some(kept),
        ..Meta::default()
    };
    let id = bench.store().accept(vec![message]).await.unwrap()[0].id;
    let dead = Decoded::Dead {
        code: DeadCode::Late,
        reason: "late".to_owned(),
    };
    bench.store().process(vec![(id, dead)], at(1)).await.unwrap();
    let (other, _) = bench
        .take_from(
            SOURCE,
            Decoded::Dead {
                code: DeadCode::Malformed,
                reason: "broken".to_owned(),
            },
            2,
        )
        .await;
    assert_eq!(bench.store().replay(InboxFilter::default()).await.unwrap(), 2);
    let rows = bench.store().fetch_rows(vec![id, other]).await.unwrap();
    let late: Vec<Option<Late>> = rows.iter().map(|(_, envelope)| envelope.meta.late).collect();
    let replayed = Late {
        replayed: true,
        ..kept
    };
    assert_eq!(late, [Some(replayed), None]);
    bench.assert_balanced().await;
}
