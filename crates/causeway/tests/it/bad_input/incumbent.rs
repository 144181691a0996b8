//! Eight failures that were seen with proca-sync, which Causeway must not have.

use causeway_testkit::fake_api::Reply;
use serde_json::{Value, json};

use super::Scene;
use crate::running::{signature, status};

#[tokio::test(flavor = "multi_thread")]
async fn p1_one_bounce_event_does_not_stop_the_source() {
    let scene = Scene::new("").await;
    scene
        .topology
        .publish_event(
            "supporter.email_status",
            status(1, "ann", "bounce").to_string().as_bytes(),
        )
        .await;
    for id in 2..7 {
        scene.signs(id, &format!("person{id}")).await;
    }
    for id in 2..7 {
        scene.is_told(&format!("person{id}")).await;
    }
    scene.goes_on(6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_bounce_is_sent_once() {
    let scene = Scene::new("").await;
    scene.signs(1, "ann").await;
    scene.home.settled(1).await;
    scene
        .topology
        .publish_event(
            "supporter.email_status",
            status(1, "ann", "bounce").to_string().as_bytes(),
        )
        .await;
    scene.home.settled(2).await;
    let events: Vec<Value> = scene
        .api
        .requests()
        .iter()
        .map(|request| request.json()["event"].clone())
        .collect();
    assert_eq!(
        events
            .iter()
            .filter(|event| **event == json!("email_status"))
            .count(),
        1,
        "{events:?}"
    );
    scene.goes_on(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_dry_run_sends_nothing_and_takes_nothing() {
    let scene = Scene::new("").await;
    scene.home.write(
        "message.json",
        signature(scene.org(), 1, "ann", Some(true)).to_string(),
    );
    let said = scene.home.ok(&["send", "message.json", "--dry-run"]);
    assert!(said.contains("ann@example.org"), "{said}");
    assert_eq!(scene.api.connections(), 0);
    scene.signs(1, "ann").await;
    scene.is_told("ann").await;
    scene.goes_on(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_a_receiver_that_fails_once_is_retried_later() {
    let scene = Scene::new("retry_s = [1, 1]").await;
    scene.api.script("/hook", [Reply::status(503)]);
    scene.signs(1, "ann").await;
    scene.home.settled(1).await;
    let trace = scene.home.trace(1);
    let attempts = trace["deliveries"][0]["attempts"].as_array().expect("attempts");
    let at = |number: usize| -> jiff::Timestamp {
        attempts[number]["started_at"]
            .as_str()
            .expect("a time")
            .parse()
            .expect("a time")
    };
    let waited = at(1).duration_since(at(0)).as_millis();
    assert!(waited >= 750, "{waited} ms: {trace}");
    assert_eq!(
        trace["deliveries"][0]["delivery"]["state"], "delivered",
        "{trace}"
    );
    scene.goes_on(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_an_unknown_event_is_kept_and_stops_nothing() {
    let scene = Scene::new("").await;
    let mut body = status(1, "ann", "unsub");
    body["eventType"] = json!("moved_house");
    scene
        .topology
        .publish_event("supporter.moved_house", body.to_string().as_bytes())
        .await;
    scene.home.settled(1).await;
    let (state, reason) = scene.ending(1);
    assert_eq!(state, "dead unknown");
    assert!(reason.contains("moved_house"), "{reason}");
    scene.goes_on(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_content_type_changes_nothing() {
    let scene = Scene::new("").await;
    let body = signature(scene.org(), 1, "ann", Some(true)).to_string();
    let exchange = scene.topology.exchange("deliver");
    scene
        .topology
        .publish(
            &exchange,
            "petition.clean_rivers",
            body.as_bytes(),
            Some("application/json"),
        )
        .await;
    scene.is_told("ann").await;
    assert_eq!(scene.received().len(), 1);
    scene.goes_on(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_a_delivery_after_its_last_attempt_is_dead_and_not_lost() {
    let scene = Scene::new("retry_s = [0.05, 0.05]").await;
    scene.api.script(
        "/hook",
        [Reply::status(500), Reply::status(500), Reply::status(500)],
    );
    scene.signs(1, "ann").await;
    scene.home.settled(1).await;
    let dead = scene
        .home
        .json(&["delivery", "list", "--state", "dead", "--json"]);
    assert_eq!(dead.as_array().map(Vec::len), Some(1), "{dead}");
    assert_eq!(dead[0]["attempts"], 3, "{dead}");
    let audit = scene.home.json(&["audit", "--json"]);
    assert_eq!(audit["destinations"]["hook"]["dead"], 1, "{audit}");
    scene
        .home
        .ok(&["delivery", "retry", "--destination", "hook", "--state", "dead"]);
    scene.home.settled(1).await;
    assert_eq!(
        scene.home.trace(1)["deliveries"][0]["delivery"]["state"],
        "delivered"
    );
    scene.goes_on(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_a_renamed_campaign_has_its_new_name() {
    let scene = Scene::new("").await;
    scene.signs(1, "ann").await;
    scene.is_told("ann").await;
    let mut body = signature(scene.org(), 2, "bob", Some(true));
    body["campaign"]["name"] = json!("clear_rivers");
    body["campaign"]["title"] = json!("Clear rivers");
    scene.publish(body.to_string()).await;
    scene.is_told("bob").await;
    let names: Vec<Value> = scene
        .api
        .requests()
        .iter()
        .map(|request| request.json()["campaign"]["name"].clone())
        .collect();
    assert_eq!(names, [json!("clean_rivers"), json!("clear_rivers")]);
    scene.goes_on(2).await;
}
