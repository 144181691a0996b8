//! A stop under load is in time, graceful, and repeats nothing.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use causeway_testkit::fake_api::{FakeApi, Reply};

use crate::live::{
    Live,
    books::Proof,
    messages::{Load, message},
    setting::{api_and_file, archive, queue, webhook},
};

/// The promised time, and the time that a busy machine needs to notice.
const IN_TIME: Duration = Duration::from_secs(11);
/// "At once" on a busy machine: much less than the grace for hanging calls.
const AT_ONCE: Duration = Duration::from_secs(4);

#[tokio::test]
async fn fault_a_stop_under_load_ends_in_time_and_repeats_nothing() {
    let api = FakeApi::start().await;
    api.reply(Reply::status(200).after(Duration::from_millis(20)));
    let (topology, source) = queue().await;
    let mut live = Live::new("min_free_mb = 0", &(source + &api_and_file(&api)));
    let mut load = Load::start(&live.sender(), Some(topology), 4, 1);
    for _ in 0..3 {
        live.start().await;
        load.takes(50).await;
        live.signal("TERM").await;
        let status = live.ends(IN_TIME).await;
        assert_eq!(status.code(), Some(0), "{}", live.log());
    }
    live.start().await;
    let sent = load.stop().await;
    live.has_taken(sent.len()).await;
    live.is_drained(&[]).await;
    live.stop().await;

    let proof = Proof {
        live: &live,
        sent: &sent,
    };
    proof.books_balance().await;
    proof.everything_is_kept_once();
    proof.reached_file("archive");
    let repeats = proof.reached_api(&api, "crm", |_| true);
    assert_eq!(repeats, 0, "what was in flight was finished, and known to be");
}

#[tokio::test]
async fn fault_a_second_signal_stops_at_once_and_loses_nothing() {
    let api = FakeApi::start().await;
    api.reply_at("/crm", Reply::hang());
    let config = webhook(&api, "crm", "timeout_s = 30") + &archive();
    let mut live = Live::new("min_free_mb = 0", &config);
    live.start().await;
    let sent: BTreeSet<u64> = (1..=100).collect();
    for &number in &sent {
        live.sender().post_until_taken(&message(number)).await;
    }
    let hung = api.wait_for(1).await.len();
    live.signal("TERM").await;
    live.becomes("it has heard the first", async |live| {
        live.log().contains("stopping:")
    })
    .await;
    let second = Instant::now();
    live.signal("TERM").await;
    live.ends(IN_TIME).await;
    assert!(second.elapsed() < AT_ONCE, "{:?}", second.elapsed());

    assert!(hung > 0, "otherwise there was nothing in flight");
    let hung = api.requests().len();
    api.reply_at("/crm", Reply::status(200));
    live.start().await;
    live.is_drained(&[]).await;
    live.stop().await;
    let proof = Proof {
        live: &live,
        sent: &sent,
    };
    proof.books_balance().await;
    proof.everything_is_kept_once();
    proof.reached_api(&api, "crm", |place| place >= hung);
    proof.reached_file("archive");
}
