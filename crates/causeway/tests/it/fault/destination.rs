//! Destinations that are down, hang and flap, beside two that work.

use std::{collections::BTreeSet, time::Duration};

use causeway_testkit::fake_api::{FakeApi, Reply};

use crate::live::{
    Live,
    books::Proof,
    messages::{agreed, message},
    setting::{PATIENT, archive, webhook},
};

const MESSAGES: u64 = 400;

/// A retry schedule with waits short enough for a test, and enough of them for a long outage.
fn down_for_long() -> String {
    let waits = vec!["1"; 200].join(",");
    format!(
        "retry_s = [{waits}]\ncircuit_failures = 5\ncircuit_rest_s = 0.1\ncircuit_rest_max_s = 0.5\nescape_after = 1000"
    )
}

async fn is(live: &Live, destination: &str, state: &str) -> i64 {
    let (code, audit) = live.ask(&["audit"]).await;
    assert_eq!(code, Some(0), "{audit:#}");
    audit["destinations"][destination][state]
        .as_i64()
        .expect("a count")
}

#[tokio::test]
async fn fault_destinations_that_are_down_slow_or_flapping_hold_up_nobody_else() {
    let api = FakeApi::start().await;
    api.reply_at("/down", Reply::close());
    api.reply_at("/slow", Reply::hang());
    let flapping = |place: u64| {
        if place % 6 < 3 {
            Reply::status(503)
        } else {
            Reply::status(200)
        }
    };
    api.script("/flapping", (0..20_000).map(flapping));
    let config = [
        webhook(&api, "down", &down_for_long()),
        webhook(&api, "slow", "timeout_s = 30"),
        webhook(&api, "flapping", PATIENT),
        webhook(&api, "well", PATIENT),
        archive(),
    ];
    let mut live = Live::new("min_free_mb = 0", &config.concat());
    live.start().await;

    let sender = live.sender();
    let sent: BTreeSet<u64> = (1..=MESSAGES).collect();
    let willing = i64::try_from(sent.iter().filter(|number| agreed(**number)).count()).expect("a count");
    for &number in &sent {
        assert_eq!(
            sender.post(&message(number)).await,
            Some(200),
            "taken at the first time"
        );
    }
    live.is_drained(&["down", "slow"]).await;
    for (destination, count) in [
        ("well", willing),
        ("flapping", willing),
        ("archive", 400),
        ("down", 0),
        ("slow", 0),
    ] {
        assert_eq!(is(&live, destination, "delivered").await, count, "{destination}");
    }
    for destination in ["down", "slow"] {
        assert_eq!(is(&live, destination, "waiting").await, willing, "{destination}");
    }

    // A hanging destination does not delay the stop.
    live.signal("TERM").await;
    let status = live.ends(Duration::from_secs(11)).await;
    assert_eq!(status.code(), Some(0), "{}", live.log());

    for path in ["/down", "/slow"] {
        api.reply_at(path, Reply::status(200));
    }
    let hung = api
        .requests()
        .iter()
        .filter(|request| request.path == "/slow")
        .count();
    let refused = api
        .requests()
        .iter()
        .filter(|request| request.path == "/down")
        .count();
    live.start().await;
    live.is_drained(&[]).await;
    live.stop().await;
    let proof = Proof {
        live: &live,
        sent: &sent,
    };
    proof.books_balance().await;
    proof.everything_is_kept_once();
    proof.reached_api(&api, "well", |_| true);
    proof.reached_api(&api, "flapping", |place| place % 6 >= 3);
    proof.reached_api(&api, "slow", |place| place >= hung);
    proof.reached_api(&api, "down", |place| place >= refused);
    proof.reached_file("archive");
}
