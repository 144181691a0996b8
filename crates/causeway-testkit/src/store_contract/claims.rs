//! What one claim hands out, when the next delivery is due, and which skipped deliveries need attention.

use causeway_core::{
    consent::{Change, What},
    delivery::{Kind, Next},
    id::InboxId,
    rules::DestinationRule,
    store::{Claim, Claimed},
};

use super::{
    Bench, Open,
    addresses::{LATER, of, sent},
    bench::inbox_ids,
    mailboxes::joins,
};
use crate::builders::{at, rules, signed, status};

async fn claim_up_to(bench: &Bench, limit: u32, seconds: i64) -> Claimed {
    let claim = Claim {
        first: Vec::new(),
        destination: "crm".into(),
        limit,
        leased_until: at(seconds + 60),
        now: at(seconds),
    };
    bench.store().claim(claim).await.unwrap()
}

/// Ada signs at 0 and opts out at 1. The destination receives the opt-out, and not yet the action.
async fn ada_opts_out_before_her_action_is_sent(bench: &mut Bench) -> InboxId {
    let action = bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    bench.take(status("ada", What::Unsubscribed, at(1)), 1).await;
    let first = claim_up_to(bench, 1, 2).await.deliveries;
    assert_eq!(first[0].record.kind, Kind::Withdrawal);
    bench.end(&first[0], Next::Delivered, 2).await;
    action
}

/// The rule of a destination that cannot receive any opt-out.
fn mute() -> DestinationRule {
    DestinationRule {
        supported_changes: vec![Change::Subscribe],
        ..DestinationRule::new("crm")
    }
}

async fn by_hand(bench: &Bench) -> Option<u64> {
    bench
        .store()
        .by_hand(std::sync::Arc::default())
        .await
        .unwrap()
        .get("crm")
        .copied()
}

/// A skipped delivery makes room for another one, and for no more than that.
pub async fn a_claim_hands_out_no_more_than_its_limit(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    ada_opts_out_before_her_action_is_sent(&mut bench).await;
    let mut taken = Vec::new();
    for (name, seconds) in [("ben", 3), ("cid", 4), ("dee", 5), ("eva", 6)] {
        let event = signed(name, name, What::OptIn, at(seconds));
        taken.push(bench.take(event, seconds).await);
    }
    let claimed = claim_up_to(&bench, 2, 7).await;
    assert_eq!(claimed.skipped, 1, "ada's");
    assert_eq!(inbox_ids(&claimed.deliveries), taken[..2]);
    assert_eq!(claim_up_to(&bench, 0, 8).await.deliveries, []);
    let claimed = claim_up_to(&bench, 3, 9).await;
    assert_eq!(inbox_ids(&claimed.deliveries), taken[2..]);
    bench.assert_balanced().await;
}

/// A delivery in flight may be due again when its lease ends, and another one at the time of its next attempt.
pub async fn the_next_due_time_is_the_earliest_one(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    for name in ["ada", "ben"] {
        bench.take(signed(name, name, What::OptIn, at(0)), 0).await;
    }
    for (seconds, retried_at, lease_ends_at) in [(1, 10, 61), (100, 900, 160)] {
        let claimed = bench.claim("crm", seconds).await.deliveries;
        assert_eq!(claimed.len(), 2);
        let due_at = at(retried_at);
        bench.end(&claimed[0], Next::Waiting { due_at }, seconds).await;
        let none = bench.claim("crm", seconds + 1).await;
        let earliest = at(retried_at.min(lease_ends_at));
        assert_eq!((none.deliveries.len(), none.next_due), (0, Some(earliest)));
    }
}

pub async fn an_action_skipped_when_it_was_claimed_is_sent_after_a_click(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    let action = ada_opts_out_before_her_action_is_sent(&mut bench).await;
    assert_eq!(bench.claim("crm", 3).await.skipped, 1);
    let click = status("ada", What::DoubleOptIn, at(LATER));
    bench.take(click, LATER).await;
    let sent = bench.deliver_all("crm", LATER + 1).await;
    assert_eq!(sent[0], action);
    bench.assert_balanced().await;
}

pub async fn a_withdrawal_that_became_void_is_not_to_be_done_by_hand(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    bench.deliver_all("crm", 1).await;
    bench.take(status("ada", What::Unsubscribed, at(2)), 2).await;
    bench.take(signed("ada", "2", What::OptIn, at(3)), 3).await;
    assert_eq!(
        sent(&bench, "crm", 4).await,
        [of(Kind::Record, Change::Subscribe, "ada")]
    );
    assert_eq!(by_hand(&bench).await, None);
    bench.assert_balanced().await;
}

/// The destination could receive it when it was planned.
pub async fn a_withdrawal_that_cannot_be_received_any_more_is_to_be_done_by_hand(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    bench.deliver_all("crm", 1).await;
    bench.take(status("ada", What::Unsubscribed, at(2)), 2).await;
    bench.set_rules(rules(vec![mute()])).await;
    assert_eq!(bench.claim("crm", 3).await.skipped, 1);
    assert_eq!(by_hand(&bench).await, Some(1));
    bench.assert_balanced().await;
}

/// Ada has not opted out, but is being erased.
pub async fn a_removal_that_cannot_be_received_any_more_is_to_be_done_by_hand(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    bench.deliver_all("crm", 1).await;
    let ada = bench.person("ada").await.id;
    let start = bench.store().begin_erasure(ada, at(LATER), at(2)).await.unwrap();
    assert_eq!(start.asked.len(), 1, "{start:?}");
    bench.set_rules(rules(vec![mute()])).await;
    assert_eq!(bench.claim("crm", 3).await.skipped, 1);
    assert_eq!(by_hand(&bench).await, Some(1));
    bench.assert_balanced().await;
}

/// Also where only the newest of several deliveries is sent.
pub async fn each_attempt_has_the_next_number(open: Open) {
    let rule = DestinationRule {
        coalesce: true,
        ..DestinationRule::new("crm")
    };
    let mut bench = Bench::new(open, vec![rule]).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    for number in 1..4 {
        let seconds = i64::from(number);
        let claimed = bench.claim("crm", seconds).await.deliveries;
        assert_eq!(claimed[0].attempt, number);
        let due_at = at(seconds + 1);
        bench.end(&claimed[0], Next::Waiting { due_at }, seconds).await;
    }
}

/// A withdrawal for an address that the person no longer uses, and that nobody else uses.
pub async fn a_withdrawal_for_a_former_address_says_what_the_person_wants(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    for (name, seconds) in [("old", 0), ("new", 10)] {
        bench.take(joins("71", name, seconds), seconds).await;
        bench.deliver_all("crm", seconds + 1).await;
    }
    bench.take(status("new", What::Unsubscribed, at(20)), 20).await;
    for _ in 0..2 {
        let claimed = bench.claim("crm", 21).await.deliveries;
        let record = &claimed[0].record;
        assert_eq!(record.consent_state_for("email").as_str(), "unsubscribed");
        bench.end(&claimed[0], Next::Delivered, 21).await;
    }
    assert_eq!(bench.claim("crm", 22).await.deliveries, []);
}
