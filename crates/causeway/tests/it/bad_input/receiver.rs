//! Case 15: problems of the receiver.

use causeway_testkit::fake_api::Reply;
use serde_json::json;

use super::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn case_15_temporary_failures_are_retried_and_a_rejected_record_is_dead() {
    let scene = Scene::new("retry_s = [0.05, 0.05, 0.05, 0.05, 0.05, 0.05]\ntimeout_s = 1").await;
    let trouble = [
        Reply::status(429).header("retry-after", "1"),
        Reply::status(503),
        Reply::close(),
        Reply::raw("nonsense\r\n\r\n"),
        Reply::hang(),
    ];
    let count = trouble.len();
    scene.api.script("/hook", trouble);
    scene.signs(1, "ann").await;
    let requests = scene.api.wait_for(count + 1).await;
    scene.home.settled(1).await;
    let keys: std::collections::BTreeSet<_> = requests
        .iter()
        .map(|request| request.header("idempotency-key"))
        .collect();
    assert_eq!(keys.len(), 1, "all attempts have one key");
    let trace = scene.home.trace(1);
    let attempts = trace["deliveries"][0]["attempts"].as_array().expect("attempts");
    assert_eq!(attempts.len(), count + 1, "{trace}");
    assert_eq!(
        trace["deliveries"][0]["delivery"]["state"], "delivered",
        "{trace}"
    );

    // One address is rejected.
    scene.api.script(
        "/hook",
        [Reply::json(400, &json!({ "error": "forgotten e-mail" }))],
    );
    scene.signs(2, "bob").await;
    scene.home.settled(2).await;
    let trace = scene.home.trace(2);
    assert_eq!(trace["deliveries"][0]["delivery"]["state"], "dead", "{trace}");
    assert!(
        trace["deliveries"][0]["delivery"]["reason"]
            .as_str()
            .expect("a reason")
            .contains("400"),
        "{trace}"
    );
    scene.goes_on(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_15_refused_credentials_stop_the_lane_visibly_and_cost_nothing() {
    let scene = Scene::new("").await;
    scene.api.reply_at("/hook", Reply::status(401));
    for (id, name) in [(1, "ann"), (2, "cem"), (3, "dot")] {
        scene.signs(id, name).await;
    }
    let mut ready = String::new();
    // Waits until the halt is stored.
    while !ready.contains("destination.hook") {
        ready = scene.hub.page("/readyz").await;
    }
    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    scene.signs(4, "bob").await;
    scene
        .home
        .until("bob is accepted, too", || {
            scene.home.run(&["trace", "4"]).out.contains("→ hook: waiting")
        })
        .await;
    scene.api.reply_at("/hook", Reply::json(200, &json!({})));
    scene.home.ok(&["delivery", "resume", "hook"]);
    scene.home.settled(4).await;
    let received: std::collections::BTreeSet<String> = scene.received().into_iter().collect();
    assert_eq!(received.len(), 4, "{received:?}");
    scene.goes_on(4).await;
}
