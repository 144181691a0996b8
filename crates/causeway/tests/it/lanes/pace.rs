//! Retries, rate, concurrency, circuit and pause of a lane.

use std::{sync::Arc, time::Duration};

use causeway_core::{
    clock::Clock,
    consent::What,
    store::{LaneState, Store, Views},
};
use causeway_testkit::builders::{at, signed};
use tokio::sync::Semaphore;

use super::rig::{Act, Rig, busy, delivered, eventually, halt, pace, retry, until_calls};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn retries_follow_the_schedule_within_a_fifth_and_end_dead() {
    let (mut rig, crm) = Rig::start(pace(), |_, _| retry(None)).await;
    rig.sign("ada").await;
    let waits = pace().retry.waits;
    for (attempt, wait) in (1..).zip(&waits) {
        rig.until_attempts(attempt).await;
        let now = rig.clock.now();
        let due = rig.rows().await[0].due_at.expect("due");
        let waited = due.duration_since(now).as_secs_f64() / wait.as_secs_f64();
        assert!((0.799..=1.201).contains(&waited), "attempt {attempt}: {waited}");
        rig.clock.set(due - Duration::from_millis(1));
        rig.wake_and_settle().await;
        assert_eq!(crm.calls(), usize::try_from(attempt).unwrap(), "too early");
        rig.clock.set(due);
        until_calls(&crm, usize::try_from(attempt).unwrap() + 1).await;
    }
    rig.until("dead", 1).await;
    let seen = crm.seen();
    assert_eq!(seen.len(), waits.len() + 1);
    assert!(seen.iter().all(|call| call.key == seen[0].key));
    assert_eq!(seen.last().unwrap().attempt, 11);
    assert_eq!(seen.last().unwrap().at, rig.clock.now());
}

/// Crowded senders wait for the commits of processing, so its batches are small then.
#[tokio::test]
async fn processing_takes_small_steps_while_intake_is_crowded() {
    let (mut rig, _crm) = Rig::start(pace(), |_, _| delivered()).await;
    // Messages without deliveries, whose claims would be counted, too.
    let declined = |first: u32| -> Vec<_> {
        (first..first + 300)
            .map(|number| {
                let number = number.to_string();
                signed(&number, &number, What::Declined, at(0))
            })
            .collect()
    };
    let before = rig.asked();
    rig.take_all(declined(0)).await;
    let calm = rig.asked() - before;
    let engine = Arc::clone(&rig.engine);
    let crowd = engine.pressure.wait_with(16);
    let before = rig.asked();
    rig.take_all(declined(1_000)).await;
    let crowded = rig.asked() - before;
    drop(crowd);
    assert!(
        crowded >= 12,
        "fifty rows at a time are six reads and six commits, not {crowded}"
    );
    assert!(calm < crowded, "two hundred at a time are fewer, not {calm}");
}

#[tokio::test]
async fn retry_after_overrides_the_schedule() {
    let asked = Duration::from_secs(777);
    let (mut rig, crm) = Rig::start(pace(), move |_, call| {
        if call == 1 {
            retry(Some(asked))
        } else {
            delivered()
        }
    })
    .await;
    rig.sign("ada").await;
    rig.until_attempts(1).await;
    assert_eq!(rig.rows().await[0].due_at, Some(at(777)));
    rig.clock.set(at(776));
    rig.wake_and_settle().await;
    assert_eq!(crm.calls(), 1);
    rig.clock.set(at(777));
    rig.until("delivered", 1).await;
}

#[tokio::test]
async fn a_busy_destination_stops_all_calls_and_costs_no_attempt() {
    let mut one_call = pace();
    one_call.concurrency = 1;
    let (mut rig, crm) = Rig::start(one_call, |_, call| match call {
        // More refusals than a delivery has attempts.
        1..=14 => busy(Some(Duration::from_mins(1))),
        _ => delivered(),
    })
    .await;
    rig.sign("ada").await;
    for call in 1..=14_usize {
        until_calls(&crm, call).await;
        rig.wake_and_settle().await;
        let seconds = i64::try_from(call).unwrap() * 60;
        rig.clock.set(at(seconds - 1));
        // Another person has to wait as well.
        rig.sign(&format!("person{call}")).await;
        rig.wake_and_settle().await;
        assert_eq!(crm.calls(), call);
        assert!(rig.asked_while_idle().await < 5, "it asks in circles");
        rig.clock.set(at(seconds));
        until_calls(&crm, call + 1).await;
    }
    rig.until("delivered", 15).await;
    assert!(crm.seen().iter().all(|call| call.attempt == 1));
}

#[tokio::test]
async fn one_delivery_that_is_always_called_busy_does_not_stop_the_others() {
    let (mut rig, _) = Rig::start(pace(), |call, _| {
        if call.who.contains(&"ada".to_owned()) {
            busy(Some(Duration::from_secs(1)))
        } else {
            delivered()
        }
    })
    .await;
    rig.sign("ada").await;
    // The others keep coming: without them, it would be the destination that is busy.
    for person in 0..80_usize {
        rig.sign(&format!("person{person}")).await;
        let step = if person < 40 { 1 } else { 100_000 };
        rig.clock.advance(Duration::from_secs(step));
        rig.wake_and_settle().await;
        if rig.count("dead").await == 1 {
            assert!(rig.count("delivered").await >= person / 2);
            return;
        }
    }
    panic!("it is tried for ever");
}

#[tokio::test]
async fn deliveries_that_were_called_busy_while_they_were_alone_hold_up_nobody_later() {
    for concurrency in [1, 2, 4] {
        let mut narrow = pace();
        narrow.concurrency = concurrency;
        let (mut rig, _) = Rig::start(narrow, |call, _| {
            if call.who[0].starts_with("busy") {
                busy(Some(Duration::from_secs(1)))
            } else {
                delivered()
            }
        })
        .await;
        for person in 0..concurrency {
            rig.sign(&format!("busy{person}")).await;
        }
        for _ in 0..10 {
            rig.clock.advance(Duration::from_secs(1));
            rig.wake_and_settle().await;
        }
        for person in 0..10_usize {
            rig.sign(&format!("person{person}")).await;
            rig.clock.advance(Duration::from_secs(1));
            rig.wake_and_settle().await;
        }
        let delivered = rig.count("delivered").await;
        assert!(
            delivered >= 5,
            "{concurrency} at once: {delivered} were delivered"
        );
    }
}

#[tokio::test]
async fn no_more_than_the_rate_goes_out() {
    let mut slow = pace();
    slow.rate_per_s = Some(2.0);
    let (mut rig, crm) = Rig::start(slow, |_, _| delivered()).await;
    rig.sign_all(7).await;
    until_calls(&crm, 1).await;
    for half_seconds in 1..7_usize {
        rig.wake_and_settle().await;
        assert_eq!(crm.calls(), half_seconds);
        assert!(rig.asked_while_idle().await < 5, "it asks in circles");
        rig.clock.advance(Duration::from_millis(500));
        until_calls(&crm, half_seconds + 1).await;
    }
    rig.until("delivered", 7).await;
}

#[tokio::test]
async fn no_more_calls_than_allowed_are_open_and_each_has_a_batch() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let mut batches = pace();
    (batches.concurrency, batches.batch) = (2, 3);
    let (mut rig, crm) = Rig::start(batches, move |_, _| Act::Gate(Arc::clone(&held))).await;
    rig.sign_all(10).await;
    until_calls(&crm, 2).await;
    rig.wake_and_settle().await;
    let sizes =
        |calls: &[super::rig::Seen]| -> Vec<usize> { calls.iter().map(|call| call.who.len()).collect() };
    assert_eq!(sizes(&crm.seen()), [3, 3]);
    gate.add_permits(1);
    until_calls(&crm, 3).await;
    rig.wake_and_settle().await;
    assert_eq!(sizes(&crm.seen()), [3, 3, 3]);
    gate.add_permits(9);
    rig.until("delivered", 10).await;
    assert_eq!(sizes(&crm.seen()), [3, 3, 3, 1]);
}

#[tokio::test]
async fn a_call_without_a_response_is_cut_off_and_retried() {
    let (mut rig, crm) = Rig::start(pace(), |_, call| if call == 1 { Act::Hang } else { delivered() }).await;
    rig.sign("ada").await;
    until_calls(&crm, 1).await;
    rig.clock.set(at(9));
    rig.wake_and_settle().await;
    assert_eq!(rig.rows().await[0].attempts, 0);
    rig.clock.set(at(10));
    rig.until_attempts(1).await;
    assert_eq!(
        rig.rows().await[0].reason.as_deref(),
        Some("no answer within 10 s")
    );
    rig.sign("ben").await;
    rig.until("delivered", 1).await;
    rig.clock.set(at(20));
    rig.until("delivered", 2).await;
}

#[tokio::test]
async fn the_circuit_opens_tries_one_and_closes_and_rests_cost_no_attempt() {
    let mut fragile = pace();
    fragile.concurrency = 2;
    fragile.circuit.failures = 2;
    let (mut rig, crm) = Rig::start(
        fragile,
        |_, call| if call <= 3 { retry(None) } else { delivered() },
    )
    .await;
    rig.sign_all(6).await;
    eventually("it opens", async || {
        rig.metrics().contains("circuit_open{destination=\"crm\"} 1")
    })
    .await;
    assert_eq!(crm.calls(), 2);
    rig.clock.set(at(59));
    rig.wake_and_settle().await;
    assert_eq!(crm.calls(), 2);
    rig.clock.set(at(60));
    until_calls(&crm, 3).await;
    // It failed again, so it rests twice as long.
    rig.clock.set(at(179));
    rig.wake_and_settle().await;
    assert_eq!(crm.calls(), 3);
    rig.clock.set(at(180));
    rig.until("delivered", 6).await;
    assert!(rig.metrics().contains("circuit_open{destination=\"crm\"} 0"));
    let failed: Vec<u32> = rig.rows().await.iter().map(|row| row.attempts).collect();
    assert_eq!(failed.iter().sum::<u32>(), 6 + 3, "{failed:?}");
}

#[tokio::test]
async fn a_half_open_circuit_with_nothing_due_does_not_poll_in_a_loop() {
    let mut fragile = pace();
    fragile.circuit.failures = 1;
    fragile.retry.waits = vec![Duration::from_hours(1)];
    let (mut rig, crm) = Rig::start(fragile, |_, _| retry(None)).await;
    rig.sign("ada").await;
    rig.until_attempts(1).await;
    rig.clock.set(at(120));
    assert!(rig.asked_while_idle().await < 5);
    assert_eq!(crm.calls(), 1);
}

#[tokio::test]
async fn another_process_pauses_and_resumes_and_a_paused_lane_is_quiet() {
    let mut limited = pace();
    limited.rate_per_s = Some(100.0);
    let (mut rig, crm) = Rig::start(limited, |_, _| delivered()).await;
    let beside = causeway_store::open(rig.database(), causeway_store::Options { serve: false })
        .await
        .unwrap();
    let paused = LaneState {
        paused: true,
        halted: None,
    };
    beside.set_lane("crm", paused).await.unwrap();
    rig.clock.advance(SECOND);
    rig.sign("ada").await;
    rig.clock.advance(SECOND);
    assert!(rig.asked_while_idle().await < 5);
    assert_eq!(crm.calls(), 0);
    beside.set_lane("crm", LaneState::default()).await.unwrap();
    rig.clock.advance(SECOND);
    rig.until("delivered", 1).await;
}

#[tokio::test]
async fn refusals_of_different_people_halt_the_lane_with_an_alarm_and_cost_no_attempt() {
    let (mut rig, crm) = Rig::start(pace(), |_, call| if call <= 3 { halt() } else { delivered() }).await;
    for name in ["ada", "ben", "cem"] {
        rig.sign(name).await;
    }
    eventually("the lane is halted", async || {
        let lanes = rig.store.lanes().await.unwrap();
        lanes
            .get("crm")
            .is_some_and(|lane| lane.halted.as_deref() == Some("wrong password"))
    })
    .await;
    assert!(rig.metrics().contains("halted{destination=\"crm\"} 1"));
    rig.sign("dot").await;
    rig.clock.advance(Duration::from_hours(5));
    rig.wake_and_settle().await;
    assert_eq!(crm.calls(), 3);
    assert!(
        rig.rows()
            .await
            .iter()
            .all(|row| row.attempts == 0 && row.state == "waiting")
    );
    rig.store.set_lane("crm", LaneState::default()).await.unwrap();
    // The clock does not move: the resume wakes the lane.
    rig.engine.wake.lane("crm");
    rig.until("delivered", 4).await;
    assert!(rig.metrics().contains("halted{destination=\"crm\"} 0"));
    assert_eq!(crm.seen()[3].attempt, 1);
}

#[tokio::test]
async fn one_refused_record_stops_nobody_else_and_is_dead_in_the_end() {
    let mut once = pace();
    once.retry.waits = Vec::new();
    let (mut rig, crm) = Rig::start(once, |seen, _| {
        if seen.who == ["mallory"] {
            halt()
        } else {
            delivered()
        }
    })
    .await;
    rig.sign("mallory").await;
    until_calls(&crm, 1).await;
    rig.wake_and_settle().await;
    let row = rig.rows().await.remove(0);
    assert_eq!((row.state.as_str(), row.attempts), ("waiting", 0));
    for (count, name) in [(1, "ada"), (2, "ben")] {
        rig.sign(name).await;
        rig.until("delivered", count).await;
    }
    rig.clock.advance(Duration::from_secs(2));
    rig.until("dead", 1).await;
    let lanes = rig.store.lanes().await.unwrap();
    assert!(
        lanes.get("crm").is_none_or(|lane| lane.halted.is_none()),
        "{lanes:?}"
    );
    assert_eq!(crm.calls(), 4);
}

/// Nobody else is sent who would show whether the destination refuses everybody.
#[tokio::test]
async fn a_refused_record_without_others_does_not_wait_for_ever() {
    let mut once = pace();
    once.retry.waits = Vec::new();
    let (mut rig, crm) = Rig::start(once, |_, _| halt()).await;
    rig.sign("mallory").await;
    for calls in 1..=10 {
        until_calls(&crm, calls).await;
        rig.wake_and_settle().await;
        let row = rig.rows().await.remove(0);
        assert_eq!((row.state.as_str(), row.attempts), ("waiting", 0), "{calls}");
        rig.clock.advance(Duration::from_mins(5));
    }
    rig.until("dead", 1).await;
    let row = rig.rows().await.remove(0);
    let reason = row.reason.unwrap_or_default();
    assert!(reason.contains("nothing else was sent"), "{reason}");
    assert_eq!(crm.calls(), 11);
}

#[tokio::test]
async fn what_was_delivered_before_a_time_out_is_not_sent_again() {
    let mut batches = pace();
    batches.batch = 4;
    let (mut rig, crm) = Rig::start(
        batches,
        |_, call| if call == 1 { Act::Partly(2) } else { delivered() },
    )
    .await;
    let paused = LaneState {
        paused: true,
        halted: None,
    };
    rig.store.set_lane("crm", paused).await.unwrap();
    rig.clock.advance(SECOND);
    rig.wake_and_settle().await;
    rig.sign_all(4).await;
    rig.store.set_lane("crm", LaneState::default()).await.unwrap();
    rig.clock.advance(SECOND);
    rig.engine.wake.lane("crm");
    until_calls(&crm, 1).await;
    assert_eq!(crm.seen()[0].who.len(), 4);
    rig.clock.advance(Duration::from_secs(10));
    // Two were delivered, and the one that was not started goes out at once.
    rig.until("delivered", 3).await;
    let attempts = |row: &causeway_core::store::DeliveryRow| row.attempts;
    assert_eq!(rig.rows().await.iter().map(attempts).sum::<u32>(), 4);
    rig.clock.advance(Duration::from_mins(1));
    rig.until("delivered", 4).await;
    let who = crm.who();
    let first = &crm.seen()[0].who;
    let count = |name: &String| who.iter().filter(|known| *known == name).count();
    assert_eq!(first.iter().map(count).collect::<Vec<_>>(), [1, 1, 2, 2]);
}
