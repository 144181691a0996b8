//! Kills the real program at random moments under load from a real broker and over HTTP. No message may be lost, and no
//! delivery sent under two idempotency keys.
//!
//! `CAUSEWAY_KILLS=n` sets the number of kills; `CAUSEWAY_SEED=n` repeats the moments of a failed run.

use std::time::Duration;

use causeway_testkit::fake_api::{FakeApi, Reply};

use crate::live::{
    Live,
    books::Proof,
    messages::{Dice, Load},
    setting::{api_and_file, queue},
};

const KILLS: u64 = 60;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|value| value.parse().expect("a number"))
}

/// In every 25 requests, one fails temporarily, one gets no response, and one gets a late response.
fn misbehave(api: &FakeApi) {
    let good = || Reply::json(200, &serde_json::json!({ "id": "C-1" }));
    let reply = |place: usize| match place % 25 {
        5 => Reply::status(500),
        13 => Reply::close(),
        21 => good().after(Duration::from_millis(150)),
        _ => good(),
    };
    api.script("/crm", (0..SCRIPTED).map(reply));
}

const SCRIPTED: usize = 200_000;

fn is_taken(place: usize) -> bool {
    assert!(place < SCRIPTED, "more requests than the script has answers");
    !matches!(place % 25, 5 | 13)
}

#[expect(
    clippy::print_stdout,
    reason = "with the seed a run that failed can be repeated"
)]
#[tokio::test]
async fn crash_at_random_moments_loses_nothing_and_sends_nothing_under_two_keys() {
    let seed = setting("CAUSEWAY_SEED").unwrap_or_else(random);
    let kills = setting("CAUSEWAY_KILLS").unwrap_or(KILLS);
    println!("CAUSEWAY_SEED={seed} CAUSEWAY_KILLS={kills}");
    let mut dice = Dice(seed);

    let api = FakeApi::start().await;
    misbehave(&api);
    let (topology, source) = queue().await;
    let mut live = Live::new("min_free_mb = 0", &(source + &api_and_file(&api)));
    let mut load = Load::start(&live.sender(), Some(topology), 4, 1);
    for kill in 0..kills {
        live.spawn();
        // Most runs live until they have accepted a message; some are killed while they start.
        let wait = if kill % 8 == 7 {
            dice.throw(250)
        } else {
            load.takes(1).await;
            50 + dice.throw(350)
        };
        // The only sleep of the tests: a kill at a random moment cannot wait for an event.
        tokio::time::sleep(Duration::from_millis(wait)).await;
        live.kill().await;
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
    let duplicates = proof.books_balance().await;
    proof.everything_is_kept_once();
    let repeats = proof.reached_api(&api, "crm", is_taken);
    proof.reached_file("archive");
    proof.trace_agrees("archive").await;
    println!(
        "{} messages, {duplicates} repeated by senders, {repeats} requests repeated",
        sent.len()
    );
    // Otherwise the test has not tested anything.
    assert!(duplicates > 0, "no kill hit an unacknowledged message");
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("random numbers");
    u64::from_le_bytes(bytes)
}
