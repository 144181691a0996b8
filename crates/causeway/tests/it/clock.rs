//! A hub whose system clock was ahead or jumps: it raises an alarm, and dates in the future do not outweigh later facts.

use std::sync::Arc;

use causeway::engine::Gateway;
use causeway_core::{
    clock::{Clock, ClockAlarm, ClockFault},
    source::Accept,
};
use causeway_testkit::{
    builders::{SOURCE, envelope},
    clock::TestClock,
    fake_api::FakeApi,
};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::{
    automations::world::{SITE, SOURCES, World, hook},
    failing_store::engine_on,
    running::{Home, exchange},
};

const DAY: SignedDuration = SignedDuration::from_hours(24);

async fn world() -> World {
    let api = Arc::new(FakeApi::start().await);
    let config = format!("{SOURCES}{}", hook(&api, "crm", "consent = 'opt_in'"));
    World::start(&api, "2026-03-02T10:00:00Z", &config).await
}

fn says(what: &str, first_name: &str) -> Value {
    json!({ "type": "consent", "what": what, "contact": { "email": "ann@example.org" }, "fields": { "firstName": first_name } })
}

async fn alarm(world: &World) -> Option<ClockAlarm> {
    let health = world
        .hub()
        .engine
        .views
        .health()
        .await
        .expect("the store is well");
    health.clock_alarm
}

/// Ann's last statement counts, and the destination receives the withdrawal.
fn her_opt_out_counts(world: &World) {
    let ann = world.person("ann");
    assert_eq!(ann["consent_state"]["email"]["state"], "unsubscribed", "{ann}");
    assert_eq!(ann["contact"]["fields"]["firstName"]["v"], "Ann", "{ann}");
    let changes: Vec<Value> = world
        .received("crm")
        .iter()
        .map(|sent| sent["change"].clone())
        .collect();
    assert_eq!(changes, ["subscribe", "unsubscribe"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_the_right_clock_corrects_dates_in_the_future() {
    let mut world = world().await;
    world.send_events(&says("opt_in", "Anne")).await;
    world.stop().await;
    world.clock.jump(-DAY);
    world.serve().await;
    let found = alarm(&world).await.expect("an alarm");
    assert!(matches!(found.what, ClockFault::WasAhead { .. }), "{found:?}");
    let ready = exchange(
        &world.hub().console.to_string(),
        b"GET /readyz HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(
        ready.contains("\"part\":\"clock\"") && ready.contains("was ahead by"),
        "{ready}"
    );
    world.send_events(&says("unsubscribed", "Ann")).await;
    her_opt_out_counts(&world);
    // No date lies in the future any more.
    world.clock.jump(DAY);
    world.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_jump_raises_an_alarm_and_blocks_intake_until_dates_are_corrected() {
    let world = world().await;
    world.clock.jump(DAY);
    world
        .becomes("the jump forward is seen", async |world| {
            alarm(world)
                .await
                .is_some_and(|alarm| matches!(alarm.what, ClockFault::WentForward { .. }))
        })
        .await;
    let alarm_now = alarm(&world).await.expect("an alarm");
    let now = world.clock.now();
    assert_eq!(
        alarm_now.cautious(now),
        now - DAY,
        "nothing is pruned as if a day had passed"
    );
    world.send_events(&says("opt_in", "Anne")).await;
    world.clock.jump(-DAY);
    let body = says("unsubscribed", "Ann").to_string();
    let request = format!(
        "POST /v1/events HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Authorization: Bearer {SITE}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let listener = world.hub().listener.to_string();
    let answer = exchange(&listener, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    world
        .becomes("the store is corrected", async |world| {
            alarm(world)
                .await
                .is_some_and(|alarm| matches!(alarm.what, ClockFault::WasAhead { .. }))
        })
        .await;
    world
        .becomes("messages are taken in again", async |_| {
            exchange(&listener, request.as_bytes())
                .await
                .starts_with("HTTP/1.1 200")
        })
        .await;
    world.settles().await;
    her_opt_out_counts(&world);
    world.ends_well().await;
}

/// The clock was ahead only between two checks.
#[tokio::test]
async fn no_message_is_dated_before_one_accepted_while_the_clock_was_ahead() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("causeway.db");
    let store = causeway_store::open(path, causeway_store::Options { serve: true });
    let store = store.await.expect("a store");
    let clock = Arc::new(TestClock::default());
    let gateway = Gateway(engine_on(store.clone(), store, clock.clone()));
    let take = async |key: &str| gateway.accept(vec![envelope(SOURCE, key, clock.now())]).await;
    clock.jump(DAY);
    take("ahead").await.expect("it may be right");
    clock.jump(-DAY);
    let refused = take("right").await.expect_err("it would be older");
    assert!(refused.to_string().contains("was set back"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_and_the_log_name_a_wrong_clock_until_it_is_acknowledged() {
    let home = Home::new(
        "[source.forms]\nkind = 'listener'\npreset = 'generic'\ntoken = 'token-of-24-characters-forms'\n\
         [destination.archive]\nkind = 'file'\npath = 'archive.jsonl'\nconsent = 'all'\n",
    );
    let hub = home.serve();
    hub.post_json(
        "token-of-24-characters-forms",
        &json!({ "email": "ann@example.org" }),
    )
    .await;
    home.settled(1).await;
    hub.stop();
    assert!(home.ok(&["doctor"]).contains("ok    clock"));
    {
        let db = rusqlite::Connection::open(home.path("causeway-data/causeway.db")).expect("the store");
        db.execute_batch(
            "UPDATE counter SET value = value + 86400000 WHERE what LIKE 'last%';
             UPDATE inbox SET received_at = received_at + 86400000",
        )
        .expect("a store that was written a day ahead");
    }
    let said = home.run(&["doctor"]);
    assert!(
        said.code == 1 && said.out.contains("BAD   clock: the newest entry"),
        "{said:?}"
    );
    let hub = home.serve();
    assert!(
        hub.log()
            .lines()
            .any(|line| line.contains("ERROR") && line.contains("the system clock was ahead by 23h")),
        "{}",
        hub.log()
    );
    let said = home.run(&["doctor"]);
    assert!(
        said.code == 1 && said.out.contains("BAD   clock: the system clock was ahead"),
        "{said:?}"
    );
    // The overview is sampled each second.
    let is_shown = async || hub.page("/").await.contains("acknowledge-clock");
    assert!(
        causeway_testkit::wait::becomes(std::time::Duration::from_secs(30), is_shown).await,
        "it is on the overview"
    );
    assert!(home.ok(&["store", "acknowledge-clock"]).contains("has ended"));
    assert!(home.ok(&["doctor"]).contains("ok    clock"));
    assert!(hub.page("/readyz").await.starts_with("HTTP/1.1 200"));
    hub.stop();
}
