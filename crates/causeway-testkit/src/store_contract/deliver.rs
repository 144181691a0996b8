//! Invariants 5, 7 and 8: consent is checked when a delivery is sent, deliveries of one contact go out in
//! order, and no destination delays another.

use causeway_core::{
    consent::What,
    delivery::{Kind, Next},
    rules::DestinationRule,
    store::{DeliveryFilter, Discarded, LaneState},
};

use super::{Bench, Open, bench::inbox_ids};
use crate::builders::{at, signed, status, synced};

async fn bench(open: Open) -> Bench {
    Bench::new(open, vec![DestinationRule::new("crm")]).await
}

async fn bench_with(open: Open, change: impl FnOnce(&mut DestinationRule)) -> Bench {
    let mut rule = DestinationRule::new("crm");
    change(&mut rule);
    Bench::new(open, vec![rule]).await
}

fn retry(seconds: i64) -> Next {
    Next::Waiting { due_at: at(seconds) }
}

pub async fn a_delivery_is_built_from_what_is_known_when_it_is_claimed(open: Open) {
    let mut bench = bench(open).await;
    let id = bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    bench.take(synced("ada", &[("city", "Bern")], at(1)), 1).await;
    let claimed = bench.claim("crm", 2).await;
    assert_eq!(inbox_ids(&claimed.deliveries), [id]);
    let delivery = &claimed.deliveries[0];
    assert_eq!(delivery.attempt, 1);
    assert_eq!(delivery.planned_at, at(0));
    let record = &delivery.record;
    assert_eq!(record.kind, Kind::Record);
    assert_eq!(record.event, "action");
    assert_eq!(record.event_at, at(0));
    assert_eq!(record.email(), Some("ada@example.org"));
    assert_eq!(record.contact.text("city"), Some("Bern"));
    assert_eq!(record.identities.len(), 2);
    assert_eq!(record.action.as_ref().unwrap().external_id, "1");
    assert_eq!(
        record.campaign.as_ref().unwrap().title.as_deref(),
        Some("Clean air")
    );
    assert_eq!(record.page.as_ref().unwrap().name.as_deref(), Some("page-7"));
    assert!(record.consent_state_for("email").is_subscribed());
}

pub async fn a_delivery_whose_lease_expired_is_claimed_again(open: Open) {
    let mut bench = bench(open).await;
    let id = bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    assert_eq!(bench.claimed("crm", 1).await, [id]);
    let none = bench.claim("crm", 60).await;
    assert_eq!(none.deliveries, []);
    assert_eq!(none.next_due, Some(at(61)));
    assert_eq!(bench.claimed("crm", 61).await, [id]);
}

pub async fn a_leased_delivery_is_not_claimed_twice(open: Open) {
    let mut bench = bench(open).await;
    for number in 0..5 {
        let name = format!("person{number}");
        bench
            .take(signed(&name, &number.to_string(), What::OptIn, at(0)), 0)
            .await;
    }
    let mut seen = Vec::new();
    for _ in 0..5 {
        let claim = causeway_core::store::Claim {
            first: Vec::new(),
            destination: "crm".into(),
            limit: 2,
            leased_until: at(100),
            now: at(1),
        };
        seen.extend(inbox_ids(&bench.store().claim(claim).await.unwrap().deliveries));
    }
    assert_eq!(seen.len(), 5);
    seen.dedup();
    assert_eq!(seen.len(), 5);
}

pub async fn leases_end_with_the_process(open: Open) {
    let mut bench = bench(open).await;
    let id = bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    assert_eq!(bench.claimed("crm", 1).await, [id]);
    bench.reopen().await;
    assert_eq!(bench.claimed("crm", 2).await, [id]);
}

pub async fn a_released_delivery_is_due_at_the_given_time(open: Open) {
    let mut bench = bench(open).await;
    let id = bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    let claimed = bench.claim("crm", 1).await.deliveries;
    bench.store().release(vec![claimed[0].id], at(5)).await.unwrap();
    let none = bench.claim("crm", 4).await;
    assert_eq!((none.deliveries.len(), none.next_due), (0, Some(at(5))));
    let again = bench.claim("crm", 5).await.deliveries;
    assert_eq!(inbox_ids(&again), [id]);
    assert_eq!(again[0].attempt, 1);
}

pub async fn an_idempotency_key_survives_retries_and_restarts(open: Open) {
    let mut bench = bench(open).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    let first = bench.claim("crm", 1).await.deliveries;
    bench.end(&first[0], retry(10), 1).await;
    bench.reopen().await;
    let second = bench.claim("crm", 10).await.deliveries;
    assert_eq!(second[0].key, first[0].key);
    assert_eq!(second[0].attempt, 2);
    let trace = bench
        .store()
        .trace(second[0].record.inbox_id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(trace.deliveries[0].key, first[0].key);
}

pub async fn deliveries_of_one_contact_go_out_one_after_the_other(open: Open) {
    let mut bench = bench(open).await;
    let mut taken = Vec::new();
    for number in 0..4 {
        let event = signed("ada", &number.to_string(), What::OptIn, at(number));
        taken.push(bench.take(event, number).await);
    }
    let first = bench.claim("crm", 10).await.deliveries;
    assert_eq!(inbox_ids(&first), taken[..1]);
    bench.end(&first[0], retry(50), 10).await;
    assert_eq!(bench.claimed("crm", 11).await, []);
    let again = bench.claim("crm", 50).await.deliveries;
    assert_eq!(inbox_ids(&again), taken[..1]);
    bench.end(&again[0], Next::Dead, 50).await;
    assert_eq!(bench.deliver_all("crm", 51).await, taken[1..]);
    bench.assert_balanced().await;
}

pub async fn contacts_do_not_wait_for_each_other(open: Open) {
    let mut bench = bench(open).await;
    let ada = bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    let claimed = bench.claim("crm", 1).await.deliveries;
    assert_eq!(inbox_ids(&claimed), [ada]);
    bench.end(&claimed[0], retry(100), 1).await;
    let ben = bench.take(signed("ben", "2", What::OptIn, at(2)), 2).await;
    assert_eq!(bench.claimed("crm", 3).await, [ben]);
}

pub async fn after_enough_failures_the_next_delivery_passes(open: Open) {
    let mut bench = bench_with(open, |rule| rule.escape_after = 2).await;
    let mut taken = Vec::new();
    for number in 0..3 {
        let event = signed("ada", &number.to_string(), What::OptIn, at(number));
        taken.push(bench.take(event, number).await);
    }
    for seconds in [10, 20] {
        let claimed = bench.claim("crm", seconds).await.deliveries;
        assert_eq!(inbox_ids(&claimed), taken[..1]);
        bench.end(&claimed[0], retry(seconds + 10), seconds).await;
    }
    // Only the second delivery passes; the third stays behind the second.
    let passing = bench.claim("crm", 21).await.deliveries;
    assert_eq!(inbox_ids(&passing), taken[1..2]);
    bench.end(&passing[0], Next::Delivered, 21).await;
    let third = bench.claim("crm", 22).await.deliveries;
    assert_eq!(inbox_ids(&third), taken[2..]);
    bench.end(&third[0], Next::Delivered, 23).await;
    assert_eq!(bench.claimed("crm", 30).await, taken[..1]);
}

pub async fn two_deliveries_of_one_contact_are_never_in_flight_together(open: Open) {
    let mut bench = bench_with(open, |rule| rule.escape_after = 1).await;
    let mut taken = Vec::new();
    for number in 0..3 {
        let event = signed("ada", &number.to_string(), What::OptIn, at(number));
        taken.push(bench.take(event, number).await);
    }
    let other = bench.take(signed("ben", "9", What::OptIn, at(4)), 4).await;
    let claimed = bench.claim("crm", 10).await.deliveries;
    assert_eq!(inbox_ids(&claimed), [taken[0], other]);
    assert_eq!(bench.claimed("crm", 11).await, [], "while the first is in flight");
    // The first failed, so the second passes it. While the second is in flight the first waits, although it
    // is due.
    bench.end(&claimed[0], retry(12), 11).await;
    let second = bench.claim("crm", 12).await.deliveries;
    assert_eq!(inbox_ids(&second), taken[1..2]);
    assert_eq!(bench.claimed("crm", 13).await, []);
    bench.end(&second[0], Next::Delivered, 14).await;
    assert_eq!(bench.deliver_all("crm", 15).await.len(), 2);
    bench.assert_balanced().await;
}

/// Two contacts that are merged may each have a delivery in flight. Until both have ended, nothing else
/// starts.
pub async fn after_a_merge_nothing_starts_beside_deliveries_in_flight(open: Open) {
    let mut bench = bench(open).await;
    let mut by_reference = signed("ada", "1", What::OptIn, at(0));
    by_reference
        .identities
        .retain(|identity| identity.kind() == "contact_ref");
    by_reference.fields.clear();
    bench.take(by_reference, 0).await;
    let mut by_email = signed("ada", "2", What::OptIn, at(1));
    by_email.identities.retain(|identity| identity.kind() == "email");
    bench.take(by_email, 1).await;
    let flying = bench.claim("crm", 2).await.deliveries;
    assert_eq!(flying.len(), 2, "two contacts");
    let third = bench.take(signed("ada", "3", What::OptIn, at(3)), 3).await;
    assert_eq!(bench.claimed("crm", 4).await, []);
    bench.end(&flying[0], Next::Delivered, 5).await;
    assert_eq!(
        bench.claimed("crm", 6).await,
        [],
        "the other one is still in flight"
    );
    bench.end(&flying[1], Next::Delivered, 7).await;
    assert_eq!(bench.claimed("crm", 8).await, [third]);
}

pub async fn only_the_newest_of_several_waiting_deliveries_is_sent(open: Open) {
    let mut bench = bench_with(open, |rule| rule.coalesce = true).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    bench.take(synced("ada", &[("city", "Bern")], at(1)), 1).await;
    let newest = bench.take(synced("ada", &[("city", "Chur")], at(2)), 2).await;
    let claimed = bench.claim("crm", 3).await;
    assert_eq!(inbox_ids(&claimed.deliveries), [newest]);
    assert_eq!(claimed.superseded, 2);
    bench.end(&claimed.deliveries[0], Next::Delivered, 3).await;
    assert_eq!(bench.claimed("crm", 4).await, []);
    let rows = bench
        .store()
        .deliveries(DeliveryFilter::default(), 10)
        .await
        .unwrap();
    let states: Vec<(&str, Option<&str>)> = rows
        .iter()
        .map(|row| (row.state.as_str(), row.reason.as_deref()))
        .collect();
    let superseded = ("skipped", Some("superseded by a newer one"));
    assert_eq!(states, [("delivered", None), superseded, superseded]);
    bench.assert_balanced().await;
}

pub async fn a_withdrawal_is_never_superseded(open: Open) {
    let mut bench = bench_with(open, |rule| rule.coalesce = true).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    bench.deliver_all("crm", 1).await;
    let no = bench.take(status("ada", What::Unsubscribed, at(10)), 10).await;
    let claimed = bench.claim("crm", 11).await.deliveries;
    assert_eq!(inbox_ids(&claimed), [no]);
    assert_eq!(claimed[0].record.kind, Kind::Withdrawal);
    bench.end(&claimed[0], retry(20), 11).await;
    // Ada opts in again: the withdrawal is void, and the next delivery carries the opt-in.
    let yes = bench.take(signed("ada", "2", What::OptIn, at(12)), 12).await;
    assert_eq!(bench.deliver_all("crm", 20).await, [yes]);
    bench.assert_balanced().await;
}

pub async fn consent_is_checked_again_when_a_delivery_is_claimed(open: Open) {
    let mut bench = bench(open).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    let no = bench.take(status("ada", What::Unsubscribed, at(1)), 1).await;
    // The withdrawal goes first.
    let claimed = bench.claim("crm", 2).await;
    assert_eq!(inbox_ids(&claimed.deliveries), [no]);
    assert_eq!(claimed.deliveries[0].record.kind, Kind::Withdrawal);
    bench.end(&claimed.deliveries[0], Next::Delivered, 3).await;
    let claimed = bench.claim("crm", 4).await;
    assert_eq!((claimed.skipped, claimed.deliveries.len()), (1, 0));
    bench.assert_balanced().await;
}

pub async fn nothing_is_claimed_from_a_paused_or_halted_lane(open: Open) {
    let mut bench = bench(open).await;
    let id = bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    let paused = LaneState {
        paused: true,
        halted: None,
    };
    let halted = LaneState {
        paused: false,
        halted: Some("wrong password".to_owned()),
    };
    for state in [paused, halted] {
        bench.store().set_lane("crm", state.clone()).await.unwrap();
        assert_eq!(bench.claimed("crm", 1).await, [], "{state:?}");
        assert_eq!(bench.store().lanes().await.unwrap()["crm"], state);
        bench.reopen().await;
    }
    bench.store().set_lane("crm", LaneState::default()).await.unwrap();
    assert_eq!(bench.claimed("crm", 1).await, [id]);
}

pub async fn a_dead_delivery_is_retried_with_a_fresh_schedule(open: Open) {
    let mut bench = bench(open).await;
    let id = bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    for seconds in [1, 2] {
        let claimed = bench.claim("crm", seconds).await.deliveries;
        let next = if seconds == 1 { retry(2) } else { Next::Dead };
        bench.end(&claimed[0], next, seconds).await;
    }
    assert_eq!(bench.claimed("crm", 3).await, []);
    bench.assert_balanced().await;
    let wrong_reason = DeliveryFilter {
        reason: Some("no such words".to_owned()),
        ..DeliveryFilter::default()
    };
    assert_eq!(
        bench.store().retry_deliveries(wrong_reason, at(4)).await.unwrap(),
        0
    );
    let all = DeliveryFilter::default();
    assert_eq!(bench.store().retry_deliveries(all, at(4)).await.unwrap(), 1);
    let claimed = bench.claim("crm", 4).await.deliveries;
    assert_eq!(inbox_ids(&claimed), [id]);
    assert_eq!(claimed[0].attempt, 1);
    bench.end(&claimed[0], Next::Delivered, 4).await;
    let all = DeliveryFilter::default();
    assert_eq!(bench.store().retry_deliveries(all, at(5)).await.unwrap(), 0);
    let trace = bench.store().trace(id).await.unwrap().unwrap();
    let numbers: Vec<u32> = trace.deliveries[0]
        .attempts
        .iter()
        .map(|attempt| attempt.number)
        .collect();
    assert_eq!(numbers, [1, 2, 1]);
    bench.assert_balanced().await;
}

pub async fn a_discarded_delivery_unblocks_the_next_one(open: Open) {
    let mut bench = bench(open).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    let second = bench.take(signed("ada", "2", What::OptIn, at(1)), 1).await;
    let rows = bench
        .store()
        .deliveries(DeliveryFilter::default(), 10)
        .await
        .unwrap();
    let filter = DeliveryFilter {
        ids: vec![rows[1].id],
        ..DeliveryFilter::default()
    };
    let count = bench
        .store()
        .discard_deliveries(filter, "not wanted", at(2))
        .await
        .unwrap();
    assert_eq!(count.deliveries, 1);
    assert_eq!(bench.deliver_all("crm", 3).await, [second]);
    let rest = DeliveryFilter::default();
    assert_eq!(
        bench
            .store()
            .discard_deliveries(rest, "not wanted", at(4))
            .await
            .unwrap(),
        Discarded::default()
    );
    bench.assert_balanced().await;
}

/// The destination would keep a person who opted out, and nothing would show it.
pub async fn withdrawals_can_be_left_out_when_deliveries_are_discarded(open: Open) {
    let mut bench = bench(open).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    bench.take(signed("ben", "2", What::OptIn, at(0)), 0).await;
    bench.deliver_all("crm", 1).await;
    for seconds in [2, 3] {
        bench
            .take(
                signed("ben", &format!("{seconds}"), What::OptIn, at(seconds)),
                seconds,
            )
            .await;
    }
    let opt_out = bench.take(status("ada", What::Unsubscribed, at(2)), 4).await;
    let filter = |without_withdrawals| DeliveryFilter {
        destination: Some("crm".into()),
        without_withdrawals,
        ..DeliveryFilter::default()
    };
    let discard = async |bench: &Bench, without_withdrawals| {
        let filter = filter(without_withdrawals);
        bench
            .store()
            .discard_deliveries(filter, "not wanted", at(5))
            .await
            .unwrap()
    };
    let kept = discard(&bench, true).await;
    let again = discard(&bench, true).await;
    assert_eq!((kept.deliveries, kept.withdrawals_left), (2, 1));
    assert_eq!((again.deliveries, again.withdrawals_left), (0, 1));
    assert_eq!(bench.claimed("crm", 6).await, [opt_out]);
    let all = discard(&bench, false).await;
    assert_eq!((all.deliveries, all.withdrawals_left), (1, 0));
    bench.assert_balanced().await;
}

pub async fn an_attempt_at_a_halted_or_busy_destination_does_not_count(open: Open) {
    let mut bench = bench(open).await;
    let id = bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    for (second, next) in [(1, Next::Halted), (2, Next::Postponed), (3, Next::Postponed)] {
        let claimed = bench.claim("crm", second).await.deliveries;
        bench.end(&claimed[0], next, second).await;
    }
    let again = bench.claim("crm", 4).await.deliveries;
    assert_eq!(inbox_ids(&again), [id]);
    assert_eq!(again[0].attempt, 1);
    // A suspected delivery waits until its time.
    bench.end(&again[0], Next::Suspected { due_at: at(9) }, 5).await;
    assert!(bench.claim("crm", 8).await.deliveries.is_empty());
    let again = bench.claim("crm", 9).await.deliveries;
    assert_eq!((inbox_ids(&again), again[0].attempt), (vec![id], 1));
    bench.assert_balanced().await;
}

pub async fn one_destination_does_not_delay_another(open: Open) {
    let rules = vec![DestinationRule::new("crm"), DestinationRule::new("list")];
    let mut bench = Bench::new(open, rules).await;
    let first = bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    let second = bench.take(signed("ada", "2", What::OptIn, at(1)), 1).await;
    assert_eq!(bench.claimed("crm", 2).await, [first]);
    assert_eq!(bench.deliver_all("list", 3).await, [first, second]);
    bench.assert_balanced().await;
}
