//! Invariant 12, and the views for people.

use causeway_core::{
    clock::Timestamp,
    consent::What,
    delivery::{Kind, Next},
    event::{DeadCode, Decoded},
    id::InboxId,
    rules::{DestinationRule, Rules},
    store::{DeliveryFilter, Gap, InboxFilter, InboxState, Retention, StoreError},
};

use super::{Bench, Open};
use crate::builders::{SOURCE, at, envelope, rules, signed, status, synced};

const DAY: i64 = 86_400;

fn two_destinations() -> Rules {
    let mut list = DestinationRule::new("list");
    list.coalesce = true;
    rules(vec![DestinationRule::new("crm"), list])
}

/// Some of everything: people, duplicates, dead and skipped messages, and each outcome.
async fn everything(bench: &mut Bench) {
    for number in 0..12 {
        let name = format!("person{}", number % 4);
        let what = if number % 3 == 0 {
            What::OptIn
        } else {
            What::NotAsked
        };
        let event = signed(&name, &number.to_string(), what, at(number));
        bench.take(event, number).await;
        bench
            .take(synced(&name, &[("city", "Bern")], at(number)), number)
            .await;
    }
    bench.take(status("person1", What::Complained, at(20)), 20).await;
    let dead = Decoded::Dead {
        code: DeadCode::Malformed,
        reason: "not JSON".to_owned(),
    };
    bench.take_from(SOURCE, dead, 21).await;
    let skip = Decoded::Skip {
        reason: "a test".to_owned(),
    };
    bench.take_from(SOURCE, skip, 21).await;
    let repeats = vec![envelope(SOURCE, "r", at(22)), envelope(SOURCE, "r", at(22))];
    bench.store().accept(repeats).await.unwrap();
    for (round, seconds) in (0..).zip(30..40) {
        for destination in ["crm", "list"] {
            for delivery in bench.claim(destination, seconds).await.deliveries {
                let next = match (round * 3 + delivery.id.0 / 2) % 5 {
                    0 => Next::Delivered,
                    1 => Next::Skipped,
                    2 => Next::Dead,
                    3 if round % 2 == 0 => Next::Halted,
                    3 => Next::Postponed,
                    _ => Next::Waiting {
                        due_at: at(seconds + 2),
                    },
                };
                bench.end(&delivery, next, seconds).await;
            }
        }
    }
}

pub async fn the_books_balance_after_everything(open: Open) {
    let mut bench = Bench::with_rules(open, "store", two_destinations()).await;
    everything(&mut bench).await;
    bench.assert_balanced().await;
    let all = DeliveryFilter::default;
    assert!(bench.store().retry_deliveries(all(), at(50)).await.unwrap() > 0);
    bench.assert_balanced().await;
    let one = bench.store().deliveries(all(), 1).await.unwrap();
    let contact = bench
        .store()
        .trace(one[0].inbox_id)
        .await
        .unwrap()
        .unwrap()
        .contact_id
        .unwrap();
    bench.store().erase(contact, at(51)).await.unwrap();
    bench.assert_balanced().await;
    assert!(bench.store().replay(InboxFilter::default()).await.unwrap() > 0);
    bench.assert_balanced().await;
    bench
        .store()
        .discard_deliveries(all(), "enough", at(52))
        .await
        .unwrap();
    bench.assert_balanced().await;
    bench.reopen().await;
    bench.assert_balanced().await;
}

pub async fn the_overview_counts_as_the_books_do(open: Open) {
    let mut bench = Bench::with_rules(open, "store", rules(vec![DestinationRule::new("crm")])).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    bench.take(signed("ada", "2", What::OptIn, at(1)), 1).await;
    bench.take(signed("ben", "3", What::OptIn, at(2)), 2).await;
    bench
        .store()
        .accept(vec![envelope(SOURCE, "later", at(9))])
        .await
        .unwrap();
    let claimed = bench.claim("crm", 3).await.deliveries;
    let again = Next::Waiting { due_at: at(90) };
    bench.end(&claimed[0], again, 3).await;
    bench.end(&claimed[1], Next::Delivered, 4).await;
    let overview = bench.store().overview(at(10)).await.unwrap();
    let source = &overview.sources[SOURCE];
    assert_eq!((source.received, source.new, source.done), (4, 1, 3));
    assert_eq!(
        (source.oldest_new_at, source.last_received_at),
        (Some(at(9)), Some(at(9)))
    );
    let crm = &overview.destinations["crm"];
    assert_eq!(
        (crm.planned, crm.waiting, crm.retrying, crm.delivered),
        (3, 2, 1, 1)
    );
    assert_eq!(crm.oldest_waiting_at, Some(at(0)));
    assert_eq!(
        crm.last_delivered_at.map(Timestamp::as_second),
        Some(at(4).as_second())
    );
    bench.assert_balanced().await;
}

pub async fn pruning_keeps_the_newest_delivered_and_the_books(open: Open) {
    let mut bench = Bench::with_rules(open, "store", rules(vec![DestinationRule::new("crm")])).await;
    let old = bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    let newest = bench.take(signed("ada", "2", What::OptIn, at(1)), 1).await;
    bench.deliver_all("crm", 2).await;
    let waits = bench.take(signed("ben", "3", What::OptIn, at(3)), 3).await;
    let dead = bench.take(signed("kim", "4", What::OptIn, at(3)), 3).await;
    for delivery in bench.claim("crm", 4).await.deliveries {
        let next = if delivery.record.email() == Some("kim@example.org") {
            Next::Dead
        } else {
            Next::Waiting { due_at: at(60 * DAY) }
        };
        bench.end(&delivery, next, 4).await;
    }
    let young = bench
        .take(synced("eva", &[("city", "Bern")], at(30 * DAY)), 30 * DAY)
        .await;
    let retention = |payload_days, history_days| Retention {
        payload_days,
        history_days,
        ..Retention::default()
    };
    let none = bench
        .store()
        .prune(retention(None, None), at(40 * DAY))
        .await
        .unwrap();
    assert_eq!((none.bodies, none.inbox, none.deliveries), (0, 0, 0));
    let bodies = bench
        .store()
        .prune(retention(Some(20), None), at(40 * DAY))
        .await
        .unwrap();
    assert_eq!((bodies.bodies, bodies.inbox, bodies.deliveries), (3, 0, 0));
    let trace = bench.store().trace(old).await.unwrap().unwrap();
    assert!(trace.envelope.is_none());
    assert_eq!(trace.deliveries[0].attempts[0].excerpt, None);
    let history = bench
        .store()
        .prune(retention(Some(20), Some(20)), at(40 * DAY))
        .await
        .unwrap();
    assert_eq!((history.bodies, history.inbox, history.deliveries), (0, 1, 1));
    for (id, is_there) in [
        (old, false),
        (newest, true),
        (waits, true),
        (dead, true),
        (young, true),
    ] {
        assert_eq!(bench.store().trace(id).await.unwrap().is_some(), is_there, "{id}");
    }
    bench.assert_balanced().await;
    // The destination has the person, so it must be sent the opt-out.
    bench
        .take(status("ada", What::Unsubscribed, at(41 * DAY)), 41 * DAY)
        .await;
    let claimed = bench.claim("crm", 41 * DAY).await.deliveries;
    assert!(
        claimed
            .iter()
            .any(|delivery| delivery.record.kind == Kind::Withdrawal)
    );
}

pub async fn a_trace_shows_everything_that_became_of_a_message(open: Open) {
    let mut bench = Bench::with_rules(open, "store", rules(vec![DestinationRule::new("crm")])).await;
    let mut event = signed("ada", "1", What::OptIn, at(0));
    event.notes = vec!["a date could not be read".to_owned()];
    let id = bench.take(event.clone(), 1).await;
    let claimed = bench.claim("crm", 2).await.deliveries;
    bench.end(&claimed[0], Next::Delivered, 2).await;
    let trace = bench.store().trace(id).await.unwrap().unwrap();
    assert_eq!(trace.inbox.state, InboxState::Done);
    assert_eq!(trace.event.as_deref(), Some("action"));
    assert_eq!(trace.event_at, Some(at(0)));
    assert_eq!(trace.notes, event.notes);
    assert!(trace.decision.unwrap().contains("opt_in"));
    assert_eq!(trace.action.unwrap().1, event.action.unwrap());
    let mut consent = event.consent;
    consent[0].address = Some("ada@example.org".to_owned());
    assert_eq!(trace.consent, consent);
    let delivery = &trace.deliveries[0];
    assert_eq!(delivery.delivery.state, "delivered");
    assert_eq!(delivery.delivery.remote_id.as_deref(), Some("remote-1"));
    assert_eq!(delivery.attempts[0].outcome, "delivered");
    assert_eq!(delivery.attempts[0].excerpt.as_deref(), Some("an answer"));
    assert!(bench.store().trace(InboxId(999)).await.unwrap().is_none());
}

pub async fn gaps_in_action_ids_are_reported(open: Open) {
    let mut bench = Bench::with_rules(open, "store", rules(vec![DestinationRule::new("crm")])).await;
    for id in ["10", "14", "11", "not-a-number", "12", "20"] {
        bench.take(signed("ada", id, What::OptIn, at(0)), 0).await;
    }
    let gap = |from, to| Gap {
        source: SOURCE.into(),
        from,
        to,
    };
    let audit = bench.store().audit().await.unwrap();
    assert_eq!(audit.gaps, [gap(15, 19), gap(13, 13)]);
}

/// A store that is a file is copied beside itself, so the copy is opened by the name of the original store.
pub async fn a_backup_opens_as_a_store_and_replaces_nothing(open: Open) {
    let mut bench = Bench::with_rules(open, "store", rules(vec![DestinationRule::new("crm")])).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    bench.store().backup(&copy).await.unwrap();
    let size = std::fs::metadata(&copy).unwrap().len();
    assert!(size > 0);
    let refused = bench.store().backup(&copy).await.unwrap_err();
    assert!(matches!(refused, StoreError::Failed(_)), "{refused}");
    assert_eq!(std::fs::metadata(&copy).unwrap().len(), size);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing but the copy");
}
