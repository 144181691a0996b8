//! URLs created by `causeway source`, and the header between hubs.

use std::time::Duration;

use causeway::web::ingest::Config;
use causeway_core::{clock::Clock, store::SourceUrl};
use sha2::{Digest, Sha256};

use super::rig::{BASE, start};

fn url(source: &str, token: &str, valid_until: Option<causeway_core::clock::Timestamp>) -> SourceUrl {
    SourceUrl {
        hash: Sha256::digest(token.as_bytes()).into(),
        source: source.into(),
        label: "a".to_owned(),
        made_at: causeway_core::clock::Timestamp::UNIX_EPOCH,
        valid_until,
    }
}

#[tokio::test]
async fn a_created_url_leads_to_its_source_until_it_expires() {
    let rig = start("preset = \"generic\"").await;
    let soon = rig.clock.now() + Duration::from_mins(1);
    let post = async |token: &str| {
        rig.send("POST", &format!("/in/{token}"), &[], "email=a@example.org")
            .await
            .status
    };
    assert_eq!(post("lasting").await, 404);
    rig.ingest.set_minted(vec![
        url("forms", "lasting", None),
        url("forms", "ending", Some(soon)),
        url("gone", "other", None),
    ]);
    assert_eq!(
        (post("lasting").await, post("ending").await, post("other").await),
        (200, 200, 404)
    );
    rig.clock.advance(Duration::from_mins(1));
    assert_eq!((post("lasting").await, post("ending").await), (200, 404));
    rig.ingest.set_minted(Vec::new());
    assert_eq!(post("lasting").await, 404);
    assert_eq!(rig.stored().len(), 3);
    assert!(rig.stored().iter().all(|envelope| &*envelope.source == "forms"));
}

#[tokio::test]
async fn a_created_url_requires_the_same_credentials() {
    let rig =
        start("preset = \"generic\"\nheader_secret = { name = \"X-Secret\", secrets = [\"sesame\"] }").await;
    rig.ingest.set_minted(vec![url("forms", "minted", None)]);
    for (header, status) in [("X-Secret: wrong", 401), ("X-Secret: sesame", 200)] {
        assert_eq!(
            rig.send("POST", "/in/minted", &[header], "a=1").await.status,
            status
        );
    }
}

#[test]
fn a_listener_needs_no_token_of_its_own() {
    assert!(Config::parse(&"preset = \"generic\"".parse().unwrap()).is_ok());
}

#[tokio::test]
async fn the_hubs_that_a_message_came_through_are_kept() {
    let rig = start(BASE).await;
    let long = format!("Causeway-Via: {}", "x".repeat(200));
    for (headers, expected) in [
        (vec![], vec![]),
        (vec!["Causeway-Via: hub-a, hub-b,,"], vec!["hub-a", "hub-b"]),
        (
            vec!["Causeway-Via: hub-a", "causeway-via: hub-b"],
            vec!["hub-a", "hub-b"],
        ),
        (vec![long.as_str()], vec![]),
    ] {
        rig.post(&headers, &format!("contact[id]={}", headers.len()))
            .await;
        assert_eq!(rig.stored().pop().unwrap().meta.via, expected, "{headers:?}");
    }
    rig.post(&[&format!("Causeway-Via: {}", "h,".repeat(100))], "contact[id]=9")
        .await;
    assert_eq!(rig.stored().pop().unwrap().meta.via.len(), 32);
}

#[tokio::test]
async fn the_response_has_the_format_that_the_sender_accepts() {
    let rig = start(BASE).await;
    for (accept, media, body) in [
        (
            "Accept: */*",
            "application/json",
            r#"{"status":"ok","reference":"1"}"#,
        ),
        (
            "Accept: text/html, application/xml;q=0.9, */*;q=0.8",
            "application/xml",
            "<status>ok</status><reference>1</reference>",
        ),
        (
            "Accept: application/x-www-form-urlencoded",
            "application/x-www-form-urlencoded",
            "status=ok&reference=1",
        ),
        (
            "Accept: text/html",
            "application/json",
            r#"{"status":"ok","reference":"1"}"#,
        ),
    ] {
        let answer = rig.post(&[accept], "contact[id]=7&transactionid=1").await;
        assert_eq!(answer.status, 200);
        assert!(
            answer
                .head
                .to_lowercase()
                .contains(&format!("content-type: {media}")),
            "{answer:?}"
        );
        assert!(answer.body.contains(body), "{answer:?}");
    }
}
