use causeway_testkit::vendors::hubspot::Dropped;
use serde_json::{Value, json};

use super::Account;

const DEFINITIONS: &str = "/events/custom/2026-09/event-definitions";
const NAME: &str = "pe12345678_petition_signed";
const SEND: &str = "events.send.basicApi.send";

async fn account() -> Account {
    let mut account = Account::start().await;
    let definition = json!({ "label": "Petition signed", "name": "petition_signed", "primaryObject": "CONTACT",
        "includeDefaultProperties": true,
        "propertyDefinitions": [{ "name": "campaign", "label": "Campaign", "type": "string" }] });
    let answer = account.request("POST", DEFINITIONS, definition.clone()).await;
    assert_eq!(
        (answer.status, &answer.raw["fullyQualifiedName"]),
        (201, &json!(NAME))
    );
    assert_eq!(account.request("POST", DEFINITIONS, definition).await.status, 409);
    account
}

fn event(uuid: &str, properties: &Value) -> Value {
    json!({ "eventName": NAME, "email": "anna@example.org", "occurredAt": "2026-01-02T08:59:00Z", "uuid": uuid,
        "properties": properties })
}

#[tokio::test]
async fn an_event_is_kept_once() {
    let mut account = account().await;
    let anna = account.add("anna@example.org", "a");
    let sent = event("u-1", &json!({ "campaign": "rivers", "shoe_size": "38" }));
    for _ in 0..2 {
        assert_eq!(account.call(SEND, json!([sent])).await.status, 204);
    }
    account.with(|hubspot| {
        let kept = &hubspot.events.kept;
        assert_eq!((kept.len(), kept[0].contact), (1, Some(anna)));
        assert_eq!(kept[0].properties["campaign"], "rivers");
        assert!(kept[0].unknown.contains("shoe_size"));
        assert_eq!(kept[0].occurred.to_string(), "2026-01-02T08:59:00Z");
        assert_eq!(hubspot.events.dropped[0].1, Dropped::Duplicate);
    });
}

#[tokio::test]
async fn an_event_is_accepted_although_it_will_be_dropped() {
    let mut account = account().await;
    let mut unknown = event("u-1", &json!({}));
    unknown["eventName"] = "pe12345678_other".into();
    let mut nobody = event("u-2", &json!({}));
    nobody["objectId"] = "999".into();
    nobody.as_object_mut().unwrap().remove("email");
    let batch = json!([{ "inputs": [unknown, nobody, event("u-3", &json!({}))] }]);
    assert_eq!(account.call("events.send.batchApi.send", batch).await.status, 204);
    account.with(|hubspot| {
        let why: Vec<Dropped> = hubspot.events.dropped.iter().map(|(_, why)| *why).collect();
        assert_eq!(why, [Dropped::UnknownEvent, Dropped::UnknownContact]);
        // An address that no contact has gets one.
        let anna = hubspot.contacts.by_address("anna@example.org").unwrap();
        assert_eq!(hubspot.events.kept[0].contact, Some(anna.id));
    });
}

#[tokio::test]
async fn an_event_without_what_is_required_is_refused() {
    let mut account = account().await;
    let mut nobody = event("u-1", &json!({}));
    nobody.as_object_mut().unwrap().remove("email");
    account.fail(400, SEND, json!([nobody])).await;
    let answer = account
        .request(
            "POST",
            "/events/custom/2026-09/send",
            json!({ "email": "anna@example.org" }),
        )
        .await;
    assert!(
        answer.raw["message"]
            .as_str()
            .unwrap()
            .ends_with("not set: [eventName, properties]")
    );
    account.with(|hubspot| hubspot.account.is_enterprise = false);
    account.fail(403, SEND, json!([event("u-1", &json!({}))])).await;
}

#[tokio::test]
async fn definitions_are_read_changed_and_listed() {
    let mut account = account().await;
    let one = format!("{DEFINITIONS}/{NAME}");
    let answer = account.request("PATCH", &one, json!({ "label": "Signed" })).await;
    assert_eq!(
        (answer.status, &answer.raw["labels"]["singular"]),
        (201, &json!("Signed"))
    );
    let property = json!({ "name": "action_id", "label": "Action", "type": "string" });
    assert_eq!(
        account
            .request("POST", &format!("{one}/property"), property)
            .await
            .status,
        201
    );
    let all = account.request("GET", DEFINITIONS, Value::Null).await.raw;
    assert_eq!(
        (&all["total"], &all["results"][0]["fullyQualifiedName"]),
        (&json!(1), &json!(NAME))
    );
    assert_eq!(account.request("DELETE", &one, Value::Null).await.status, 204);
    assert_eq!(account.request("GET", &one, Value::Null).await.status, 404);
}
