//! Messages that a consumer of this queue must survive: cases 1 to 13.

use serde_json::{Value, json};

use super::Scene;
use crate::running::{signature, status};

/// A path and the value to set in a valid message.
fn with(mut body: Value, path: &str, value: Value) -> Value {
    *body.pointer_mut(path).unwrap_or_else(|| panic!("no {path}")) = value;
    body
}

fn sample(name: &str) -> Value {
    let path = format!(
        "{}/../../samples/messages/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn cases_1_to_6_an_invalid_message_is_kept_with_its_reason() {
    let scene = Scene::new("").await;
    let org = scene.org();
    let good = |id| signature(org, id, "ann", Some(true));
    let encrypted = with(sample("petition-encrypted"), "/orgId", json!(org));
    let cases: [(Vec<u8>, &str, &str); 16] = [
        // 1: not the format
        (b"{\"schema\":".to_vec(), "dead malformed", "ends too early"),
        (b"".to_vec(), "dead malformed", "empty"),
        (b"[1,2]".to_vec(), "dead malformed", "not a JSON object"),
        (b"\"text\"".to_vec(), "dead malformed", "not a JSON object"),
        (
            b"{\"a\":\"\xff\xfe\"}".to_vec(),
            "dead malformed",
            "invalid UTF-8",
        ),
        (vec![b'['; 200_000], "dead malformed", ""),
        // 2: unknown kinds, and kinds for other consumers
        (
            with(good(21), "/schema", json!("proca:action:3"))
                .to_string()
                .into(),
            "dead unknown",
            "proca:action:3",
        ),
        (
            with(good(22), "/stage", json!("archived")).to_string().into(),
            "dead unknown",
            "archived",
        ),
        (
            with(status(23, "ann", "unsub"), "/eventType", json!("merged"))
                .to_string()
                .into(),
            "dead unknown",
            "merged",
        ),
        (sample("confirm-created").to_string().into(), "skipped", ""),
        // 3: all members are null
        (sample("system-new-user").to_string().into(), "skipped", ""),
        // 4: encrypted for a missing key
        (
            with(
                encrypted.clone(),
                "/personalInfo/encryptKey/public",
                json!("CQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJyg"),
            )
            .to_string()
            .into(),
            "dead key_missing",
            "",
        ),
        // 5: cannot be decrypted
        (
            with(encrypted.clone(), "/personalInfo/payload", json!("AAAA"))
                .to_string()
                .into(),
            "dead undecryptable",
            "",
        ),
        (
            with(encrypted.clone(), "/personalInfo/nonce", json!("AAAA"))
                .to_string()
                .into(),
            "dead undecryptable",
            "",
        ),
        (
            with(encrypted, "/personalInfo/payload", json!(null))
                .to_string()
                .into(),
            "dead",
            "",
        ),
        // 6: an action without a contact is stored, and sent to destinations that take actions
        (
            with(good(61), "/contact/email", json!(null)).to_string().into(),
            "done",
            "",
        ),
    ];
    let count = cases.len() as u64;
    for (body, _, _) in &cases {
        scene.publish(body).await;
    }
    scene.home.settled(count).await;
    for (number, (body, state, reason)) in (1..).zip(&cases) {
        let ending = scene.ending(number);
        let start = String::from_utf8_lossy(body.get(..60).unwrap_or(body));
        assert!(
            ending.0.starts_with(state) && ending.1.contains(reason),
            "{start}: {ending:?}, expected {state}: {reason}"
        );
        assert!(ending.0 == "done" || !ending.1.is_empty(), "{start}: no reason");
        // The stored message is unchanged to the byte.
        let shown = scene.home.run(&["trace", &number.to_string(), "--body"]);
        assert_eq!(shown.code, 0, "{shown:?}");
    }
    scene.goes_on(count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_7_to_10_order_repeats_and_conflicts_do_not_matter() {
    let scene = Scene::new("").await;
    let org = scene.org();
    // 7: the event before its action, and an event without one
    scene
        .publish(status(71, "gus", "double_opt_in").to_string())
        .await;
    scene.publish(signature(org, 71, "gus", None).to_string()).await;
    scene.publish(status(72, "hal", "bounce").to_string()).await;
    // 8: the same message three times
    for _ in 0..3 {
        scene.signs(81, "ida").await;
    }
    // 9: an action that arrives again after the opt-out
    scene.publish(status(91, "jo", "unsub").to_string()).await;
    scene.signs(91, "jo").await;
    // 10: an opt-out beats an opt-in of the same second, and a message without consent changes nothing
    scene.publish(status(101, "kim", "bounce").to_string()).await;
    scene
        .publish(status(101, "kim", "double_opt_in").to_string())
        .await;
    scene.publish(signature(org, 102, "kim", None).to_string()).await;
    scene
        .publish(signature(org, 103, "lea", Some(true)).to_string())
        .await;
    scene
        .publish(signature(org, 104, "lea", Some(false)).to_string())
        .await;
    scene.home.settled(13).await;
    let standing = |name: &str| {
        let people = scene
            .home
            .json(&["contact", "export", &format!("{name}@example.org")]);
        assert_eq!(people.as_array().map(Vec::len), Some(1), "{people}");
        people[0]["consent_state"]["email"].clone()
    };
    for (name, expected) in [
        ("gus", "confirmed"),
        ("hal", "bounce"),
        ("ida", "opted_in"),
        ("jo", "unsubscribed"),
        ("kim", "bounce"),
        ("lea", "not_subscribed"),
    ] {
        let standing = standing(name).to_string();
        let shown = scene
            .home
            .ok(&["contact", "show", &format!("{name}@example.org")]);
        assert!(
            standing.contains(expected) || shown.contains(expected),
            "{name}: {standing} {shown}"
        );
    }
    let audit = scene.home.json(&["audit", "--json"]);
    assert_eq!(audit["sources"]["proca"]["duplicate"], 2, "{audit}");
    let received = scene.received();
    assert_eq!(
        received
            .iter()
            .filter(|email| *email == "ida@example.org")
            .count(),
        1,
        "{received:?}"
    );
    scene.goes_on(13).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_11_to_13_odd_fields_characters_and_properties_are_taken_as_they_are() {
    let scene = Scene::new("").await;
    let org = scene.org();
    let mut odd = json!({
        "a.b": "dot", "$where": "dollar", "with space": true, "🌻": ["x", { "deep": [1, null] }], "": "no name",
        "number": 12_345_678_901_234_567_890_u64, "long": "x".repeat(100_000),
    });
    for number in 0..150 {
        odd[format!("field{number}")] = json!(number);
    }
    let body = with(
        signature(org, 111, "mia", Some(true)),
        "/action/customFields",
        odd.clone(),
    );
    // A number of forty digits does not fit into any integer type.
    let text = body
        .to_string()
        .replace("12345678901234567890", "1234567890123456789012345678901234567890");
    scene.publish(text).await;
    let name = "Z\u{0301}oë 𝒳 👩‍👩‍👧 \u{202e}txet\u{2028}O'Neil ".repeat(40);
    let mut body = with(
        signature(org, 121, "nia", Some(true)),
        "/contact/firstName",
        json!(name),
    );
    body["actionPage"]["locale"] = json!("sr@latin");
    scene.publish(body.to_string()).await;
    // 13: other content types, and bytes before the text
    let exchange = scene.topology.exchange("deliver");
    for (id, content_type) in [
        (131, "application/json"),
        (132, "text/plain"),
        (133, "application/octet-stream"),
    ] {
        let body = signature(org, id, &format!("odd{id}"), Some(true)).to_string();
        scene
            .topology
            .publish(&exchange, "cus.deliver", body.as_bytes(), Some(content_type))
            .await;
    }
    let mut marked = b"\xef\xbb\xbf".to_vec();
    marked.extend_from_slice(signature(org, 134, "odd134", Some(true)).to_string().as_bytes());
    scene.publish(marked).await;
    scene.home.settled(6).await;
    for name in ["mia", "nia", "odd131", "odd132", "odd133", "odd134"] {
        scene.is_told(name).await;
    }
    let requests = scene.api.requests();
    let of = |email: &str| {
        requests
            .iter()
            .map(causeway_testkit::fake_api::Request::json)
            .find(|record| record["contact"]["email"] == email)
    };
    let fields = of("mia@example.org").expect("a record")["action"]["fields"].clone();
    for key in ["a.b", "$where", "with space", "🌻", "long", "field149"] {
        assert_eq!(fields[key], odd[key], "{key}");
    }
    let got = of("nia@example.org").expect("a record")["contact"]["firstName"].clone();
    assert_eq!(got.as_str().map(str::trim), Some(name.trim()));
    scene.goes_on(6).await;
}
