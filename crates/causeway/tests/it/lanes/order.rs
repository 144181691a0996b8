//! The order of deliveries, and deliveries that are not sent.

use std::{sync::Arc, time::Duration};

use causeway_core::{
    clock::Clock,
    consent::What,
    rules::DestinationRule,
    store::{LaneState, Store},
};
use causeway_testkit::builders::{at, status};
use tokio::sync::Semaphore;

use super::rig::{Act, Rig, Script, delivered, pace, retry, until_calls};

#[tokio::test]
async fn deliveries_of_one_contact_wait_for_each_other_and_others_do_not() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let (mut rig, crm) = Rig::start(pace(), move |call, _| {
        if call.who == ["ada"] {
            Act::Gate(Arc::clone(&held))
        } else {
            delivered()
        }
    })
    .await;
    for name in ["ada", "ada", "ben", "ben", "eva"] {
        rig.sign(name).await;
    }
    rig.until("delivered", 3).await;
    assert_eq!(crm.who().iter().filter(|who| *who == "ada").count(), 1);
    gate.add_permits(1);
    // The clock does not move: the end of the first delivery wakes the lane for the second.
    until_calls(&crm, 5).await;
    gate.add_permits(1);
    rig.until("delivered", 5).await;
}

#[tokio::test]
async fn after_enough_failures_the_next_one_passes() {
    let mut rule = DestinationRule::new("crm");
    rule.escape_after = 2;
    let (mut rig, crm) = Rig::with_rule(
        rule,
        pace(),
        |_, call| if call <= 2 { retry(None) } else { delivered() },
    )
    .await;
    rig.sign("ada").await;
    rig.until_attempts(1).await;
    rig.sign("ada").await;
    rig.wake_and_settle().await;
    assert_eq!(crm.calls(), 1);
    rig.clock.advance(Duration::from_secs(6));
    // The second failure releases the second delivery at once.
    rig.until("delivered", 1).await;
    let rows = rig.rows().await;
    let states: Vec<&str> = rows.iter().map(|row| row.state.as_str()).collect();
    assert_eq!(states, ["delivered", "waiting"]);
}

#[tokio::test]
async fn with_coalesce_only_the_newest_waiting_delivery_is_sent() {
    let mut rule = DestinationRule::new("crm");
    rule.coalesce = true;
    let (mut rig, crm) = Rig::with_rule(rule, pace(), |_, _| delivered()).await;
    rig.store
        .set_lane(
            "crm",
            LaneState {
                paused: true,
                halted: None,
            },
        )
        .await
        .unwrap();
    for _ in 0..3 {
        rig.sign("ada").await;
    }
    rig.store.set_lane("crm", LaneState::default()).await.unwrap();
    rig.clock.advance(Duration::from_secs(1));
    rig.until("delivered", 1).await;
    assert_eq!(rig.count("skipped").await, 2);
    assert_eq!(crm.calls(), 1);
}

#[tokio::test]
async fn an_opt_out_between_plan_and_send_stops_the_delivery() {
    let (mut rig, crm) = Rig::start(
        pace(),
        |_, call| if call == 1 { retry(None) } else { delivered() },
    )
    .await;
    rig.sign("ada").await;
    rig.until_attempts(1).await;
    let no = rig.clock.now() + Duration::from_secs(1);
    rig.take(status("ada", What::Unsubscribed, no)).await;
    rig.clock.set(at(10));
    rig.until("skipped", 1).await;
    rig.until("delivered", 1).await;
    let kinds: Vec<(String, String)> = rig
        .rows()
        .await
        .into_iter()
        .map(|row| (row.kind, row.state))
        .collect();
    let expected = [("withdrawal", "delivered"), ("record", "skipped")];
    assert_eq!(
        kinds,
        expected.map(|(kind, state)| (kind.to_owned(), state.to_owned()))
    );
    assert_eq!(crm.calls(), 2);
}

#[tokio::test]
async fn a_stuck_destination_does_not_delay_another() {
    let lanes = ["crm", "list"].map(|name| -> (DestinationRule, _, Script) {
        let stuck = name == "crm";
        let script = move |_: &super::rig::Seen, _| if stuck { Act::Hang } else { delivered() };
        (DestinationRule::new(name), pace(), Box::new(script))
    });
    let (mut rig, both) = Rig::with_lanes(lanes.into()).await;
    rig.sign_all(20).await;
    rig.until("delivered", 20).await;
    assert_eq!((both[0].calls(), both[1].calls()), (4, 20));
}
