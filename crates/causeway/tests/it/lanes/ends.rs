//! Panics, crashes and stops.

use std::{sync::Arc, time::Duration};

use causeway_core::clock::Clock;
use causeway_testkit::builders::at;
use tokio::sync::Semaphore;

use super::rig::{Act, Rig, delivered, eventually, pace, until_calls};

#[tokio::test]
async fn a_destination_that_panics_costs_an_attempt_and_the_lane_goes_on() {
    let (mut rig, _crm) = Rig::start(pace(), |call, _| {
        if call.who == ["ada"] && call.attempt == 1 {
            Act::Panic
        } else {
            delivered()
        }
    })
    .await;
    rig.sign("ada").await;
    rig.until_attempts(1).await;
    let reason = rig.rows().await[0].reason.clone().expect("a reason");
    assert!(reason.contains("report this as a bug"), "{reason}");
    rig.sign("ben").await;
    rig.until("delivered", 1).await;
    rig.clock.advance(Duration::from_secs(6));
    rig.until("delivered", 2).await;
}

#[tokio::test]
async fn deliveries_in_flight_at_a_crash_are_sent_again_under_the_same_key() {
    let (mut rig, crm) = Rig::start(pace(), |_, _| Act::Hang).await;
    rig.sign("ada").await;
    until_calls(&crm, 1).await;
    let (rig, again) = rig.crash_and_start(pace(), |_, _| delivered()).await;
    rig.until("delivered", 1).await;
    let (first, second) = (&crm.seen()[0], &again.seen()[0]);
    assert_eq!((&first.key, first.attempt), (&second.key, second.attempt));
}

#[tokio::test]
async fn a_stop_lets_calls_in_flight_end_and_writes_them() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let mut narrow = pace();
    narrow.concurrency = 2;
    let (mut rig, crm) = Rig::start(narrow, move |_, _| Act::Gate(Arc::clone(&held))).await;
    rig.sign_all(5).await;
    until_calls(&crm, 2).await;
    rig.stop();
    rig.clock.set(at(7));
    rig.wake_and_settle().await;
    assert!(!rig.has_stopped());
    gate.add_permits(5);
    eventually("it stops", async || rig.has_stopped()).await;
    assert_eq!((rig.count("delivered").await, crm.calls()), (2, 2));
}

#[tokio::test]
async fn a_stop_cuts_off_calls_that_outlast_the_grace() {
    let (mut rig, crm) = Rig::start(pace(), |_, _| Act::Hang).await;
    rig.sign("ada").await;
    until_calls(&crm, 1).await;
    rig.stop();
    rig.wake_and_settle().await;
    assert!(!rig.has_stopped());
    eventually("it stops", async || {
        // In steps, because the grace begins when the lane notices the stop.
        if rig.clock.now() < at(9) {
            rig.clock.advance(Duration::from_secs(1));
        }
        rig.has_stopped()
    })
    .await;
    assert_eq!(rig.count("waiting").await, 1);
    assert_eq!(rig.rows().await[0].attempts, 0);
}
