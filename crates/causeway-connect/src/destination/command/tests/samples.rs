//! The programs in samples/command do what they say.

use std::path::PathBuf;

use causeway_testkit::fake_api::{FakeApi, Reply};
use serde_json::json;

use super::*;

fn sample(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../samples/command")
        .join(name)
}

fn changed(number: i64, change: Change, event: &str) -> Delivery {
    let mut delivery = delivery(number);
    delivery.record.change = change;
    delivery.key.0.push_str(event);
    delivery
}

#[tokio::test]
async fn the_sample_in_python_keeps_a_table() {
    let folder = Folder::new();
    let config = format!(
        "command = ['python3', {:?}]\nenv = {{ DATABASE = 'people.db' }}",
        sample("sqlite.py")
    );
    let destination = folder.connect(&config).unwrap();
    destination.check().await.unwrap();
    let people = || {
        let connection = rusqlite::Connection::open(folder.dir.path().join("people.db")).unwrap();
        let mut query = connection
            .prepare("SELECT email FROM people ORDER BY email")
            .unwrap();
        let rows = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>()
    };
    let mut nobody = changed(4, Change::Subscribe, "in");
    nobody.record.identities.clear();
    nobody.record.contact.fields.remove("email");
    let results = destination
        .deliver(&[
            changed(1, Change::Subscribe, "in"),
            changed(2, Change::Subscribe, "in"),
            changed(3, Change::None, "in"),
            nobody,
        ])
        .await;
    assert_eq!(outcomes(&results), ["delivered", "delivered", "skip", "reject"]);
    assert_eq!(people(), ["person1@example.org", "person2@example.org"]);
    // A repeat of the opt-in, after the opt-out, puts nobody back.
    let results = destination
        .deliver(&[
            changed(1, Change::Unsubscribe, "out"),
            changed(1, Change::Subscribe, "in"),
        ])
        .await;
    assert_eq!(outcomes(&results), ["delivered", "delivered"]);
    assert_eq!(people(), ["person2@example.org"]);
    let broken = folder
        .connect(&config.replace("people.db", "no-folder/people.db"))
        .unwrap();
    let error = broken.check().await.unwrap_err();
    assert_eq!(error.to_string(), "the program ended with exit status 1");
}

#[tokio::test]
async fn the_sample_in_node_calls_an_api() {
    let folder = Folder::new();
    let api = FakeApi::start().await;
    let config = format!(
        "command = ['node', {:?}]\nenv = {{ API_URL = '{}', API_TOKEN = 'abc' }}",
        sample("http.mjs"),
        api.url("")
    );
    let destination = folder.connect(&config).unwrap();
    api.reply(Reply::json(200, &json!({ "id": 77 })));
    destination.check().await.unwrap();
    let batch = [
        changed(1, Change::Subscribe, ""),
        changed(2, Change::None, ""),
        changed(3, Change::Unsubscribe, ""),
        changed(4, Change::Suppress, ""),
        changed(5, Change::Remove, ""),
    ];
    let results = destination.deliver(&batch).await;
    assert_eq!(outcomes(&results), ["delivered"; 5]);
    assert_eq!(
        results[0].outcome,
        Outcome::Delivered {
            remote_id: Some("77".to_owned())
        }
    );
    let requests = api.requests();
    assert_eq!(requests.len(), 6);
    for (delivery, expected) in batch.iter().zip([
        Some(json!({ "firstName": "Ada", "status": "subscribed" })),
        Some(json!({ "firstName": "Ada" })),
        Some(json!({ "firstName": "Ada", "status": "unsubscribed" })),
        Some(json!({ "firstName": "Ada", "status": "bounced" })),
        None,
    ]) {
        let key = Some(delivery.key.0.as_str());
        let request = requests
            .iter()
            .find(|request| request.header("idempotency-key") == key)
            .unwrap();
        assert_eq!(request.header("authorization"), Some("Bearer abc"));
        assert!(
            request
                .path
                .ends_with(&format!("person{}%40example.org", delivery.id.0)),
            "{}",
            request.path
        );
        match expected {
            Some(body) => assert_eq!(request.json(), body),
            None => assert_eq!((request.method.as_str(), request.text().as_str()), ("DELETE", "")),
        }
    }
    for (reply, outcome) in [
        (Reply::status(401), "halt"),
        (Reply::status(429).header("retry-after", "7"), "busy"),
        (Reply::status(503), "retry"),
        (Reply::status(422), "reject"),
        (Reply::close(), "retry"),
        (Reply::status(404), "skip"),
    ] {
        api.reset();
        api.reply(reply);
        let results = destination.deliver(&batch[4..]).await;
        assert_eq!(outcomes(&results), [outcome], "{results:?}");
        if outcome == "busy" {
            let after = Some(Duration::from_secs(7));
            assert!(matches!(results[0].outcome, Outcome::Busy { after: found, .. } if found == after));
        }
    }
    api.reset();
    api.reply(Reply::status(403));
    let error = destination.check().await.unwrap_err();
    assert_eq!(error.to_string(), "the API answered 403");
}
