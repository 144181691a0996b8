//! Whatever a stranger typed into a form for a known address: the later opt-out is sent and says so.

use std::path::PathBuf;

use causeway_core::{
    consent::Change,
    delivery::Kind,
    destination::{Destination, Outcome},
    mapping::Tables,
};
use causeway_testkit::{
    clock::TestClock,
    destination_contract::delivery,
    fake_api::{FakeApi, Request},
};
use serde_json::json;

use super::super::*;
use crate::config::Context;

fn connect(config: &str) -> Box<dyn Destination> {
    let context = Context {
        name: "hook".into(),
        clock: Arc::new(TestClock::default()),
        dir: PathBuf::new(),
        tables: Tables::default(),
        vault: crate::vault::NoVault::shared(),
    };
    let table = toml::from_str(&format!("allow_private = true\n{config}")).unwrap();
    (KIND.connect)(&context, &table).unwrap()
}

/// A contact whose fields a stranger filled in.
fn hostile(kind: Kind, change: Change) -> Delivery {
    let mut delivery = delivery(1);
    let record = &mut delivery.record;
    (record.kind, record.change) = (kind, change);
    let long = "x".repeat(70_000);
    let fields = json!({
        "\u{0}": "NUL", "a\r\nX-Admin: 1": "x", "a]b": "x", "[": "x", "]": "x", " ": "x", "a.b c": "x", "": "x",
        "long": long, "nested": { "a]": { "\u{0}": [1, { "]": null }] } }, "list": ["\u{0}", "\r\n", ".."],
        "change": "subscribe", "CHANGE": "subscribe", "type": "record", "consent": { "email": "yes" }, "subscribed": true,
        "tags": "x", "lists": ["x"], "ids": "x", "contactRef": "eve", "delivery": "cw_eve", "id": "1", "Email": "eve@example.org",
        "UPPER CHANGE": "SUBSCRIBE", "UPPER EMAIL": "EVE@EXAMPLE.ORG", "\u{0}shortcode 0": "\u{0}shortcode 0",
        "firstName": "A\r\nX-Admin: 1\u{0}", "lastName": long, "phone": "..", "postcode": "=cmd|' /C calc'!A0", "country": "\u{7f}\u{202e}\u{fffe}",
    });
    let mut fields = fields.as_object().unwrap().clone();
    fields.insert(long, json!("x"));
    fields.extend((0..1_500).map(|n| (format!("field {n}"), json!("x"))));
    record
        .contact
        .set_fields(&fields.clone().into_iter().collect(), record.event_at);
    let mut deep = json!("x");
    for _ in 0..100 {
        deep = json!({ "x": deep });
    }
    fields.insert("deep".to_owned(), deep);
    record.action.as_mut().unwrap().custom_fields = fields;
    delivery
}

/// The request that arrives, and the notes.
async fn sent(config: &str, delivery: Delivery) -> (Request, Vec<String>) {
    let api = FakeApi::start().await;
    let config = config.replace("URL", &api.url("/hook"));
    let result = connect(&config).deliver(&[delivery]).await.remove(0);
    assert!(
        matches!(result.outcome, Outcome::Delivered { .. }),
        "{config}: {result:?}"
    );
    (api.requests().remove(0), result.notes)
}

const MAPPED: &str = "headers = { X-Name = '[#FIRST NAME#] [#LAST NAME#]' }\n[fields]\nemail = 'contact.email'\nchange = 'change'\n\
                      name = '{{ contact.firstName }} {{ contact.lastName | upper }}'\nphone = 'contact.phone | phone'\n\
                      'all[contact]' = 'contact'\n'all[action]' = 'action.fields'\ncode = '<[#UPPER CHANGE#] [#UPPER EMAIL#] [#long#]>'";

#[tokio::test]
async fn no_field_of_a_stranger_stops_a_withdrawal() {
    for content in ["json", "form", "xml", "query"] {
        for more in ["", MAPPED, &format!("sync = 'all'\n{MAPPED}")] {
            for kind in [Kind::Withdrawal, Kind::Contact] {
                let config = format!("url = 'URL'\ncontent = '{content}'\n{more}");
                let (request, _) = sent(&config, hostile(kind, Change::Suppress)).await;
                let sent_text = format!("{}{}", request.query, request.text());
                assert!(
                    sent_text.contains("person1@example.org") || sent_text.contains("person1%40example.org"),
                    "{config}: {sent_text:.2000}"
                );
                assert!(sent_text.contains("suppress"), "{config}: {sent_text:.2000}");
                assert!(
                    more.is_empty()
                        || sent_text.contains("SUPPRESS PERSON1@")
                        || sent_text.contains("SUPPRESS+PERSON1%40"),
                    "{config}: {sent_text:.2000}"
                );
                assert!(request.query.len() < 8_100, "{config}");
                assert!(
                    request.header("x-admin").is_none()
                        && request.header("x-name").is_none_or(|name| name.len() < 4_100)
                );
            }
        }
    }
}

#[tokio::test]
async fn no_field_of_a_stranger_stops_a_withdrawal_in_an_address() {
    let config = "url = 'URL/[#PHONE#]/[#FIRST NAME#]?e=[#EMAIL#]&c=[#CHANGE#]&l=[#LAST NAME#]&s=[#SHOE SIZE#]'\ncontent = 'query'\n\
                  shortcodes = { unknown = 'strict' }";
    let (request, notes) = sent(config, hostile(Kind::Withdrawal, Change::Unsubscribe)).await;
    assert!(request.path.starts_with("/hook//"), "{}", request.path);
    assert_eq!(request.query, "e=person1%40example.org&c=unsubscribe&l=&s=");
    assert!(notes.iter().any(|note| note.contains("[#PHONE#]")), "{notes:?}");
    assert!(
        notes.iter().any(|note| note.contains("[#SHOE SIZE#]")),
        "{notes:?}"
    );
    assert!(notes.iter().any(|note| note.contains("200 bytes")), "{notes:?}");
}

#[tokio::test]
async fn no_field_of_a_stranger_stops_the_whole_record() {
    for content in ["json", "form", "xml"] {
        let (request, notes) = sent(
            &format!("url = 'URL'\ncontent = '{content}'"),
            hostile(Kind::Record, Change::Subscribe),
        )
        .await;
        assert!(
            request.body.len() > 140_000,
            "{content}: nothing long is left out"
        );
        assert_eq!(notes.is_empty(), content != "form", "{content}: {notes:?}");
    }
}

#[tokio::test]
async fn the_groups_leave_room_for_the_fields_after_them() {
    use causeway_core::event::{Engagement, EngagementKind};
    let mut delivery = hostile(Kind::Withdrawal, Change::Unsubscribe);
    delivery.record.contact.fields.retain(|name, _| name == "email");
    delivery.record.engagements = (0..400)
        .map(|n| Engagement {
            kind: EngagementKind::EmailOpen,
            key: n.to_string(),
            name: Some("May".to_owned()),
            at: None,
            raw_at: None,
            count: None,
            score: None,
        })
        .collect();
    let config = "url = 'URL'\ncontent = 'form'\nsync = ['campaigns-opened']\npayload = { caps = { campaigns-opened = 400 } }\n\
                  fields = { e = 'contact.email', change = 'change' }";
    let (request, _) = sent(config, delivery).await;
    let text = request.text();
    assert!(text.ends_with("&change=unsubscribe"), "{text:.200}");
    assert!(text.split('&').count() <= 1_000, "PHP silently ignores the rest");
}

#[tokio::test]
async fn a_secret_address_is_checked_once_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for (query, sends) in [
        ("e=[#EMAIL#]", false),
        ("e=[#EMAIL#]&t=[#ACTION TYPE#]", false),
        ("e=[#EMAIL#]#[#CHANGE#]", false),
        ("e=[#EMAIL#]&c=[#CHANGE#]", true),
    ] {
        let api = FakeApi::start().await;
        std::fs::write(folder.path().join("url"), api.url(&format!("/hook?{query}"))).unwrap();
        let context = Context {
            name: "hook".into(),
            clock: Arc::new(TestClock::default()),
            dir: folder.path().to_owned(),
            tables: Tables::default(),
            vault: crate::vault::NoVault::shared(),
        };
        let config = "url = { file = 'url' }\nallow_private = true\ncontent = 'query'";
        let hook = (KIND.connect)(&context, &toml::from_str(config).unwrap()).unwrap();
        let mut withdrawal = delivery(1);
        (withdrawal.record.kind, withdrawal.record.change) = (Kind::Withdrawal, Change::Unsubscribe);
        let result = hook.deliver(&[withdrawal.clone()]).await.remove(0);
        assert_eq!(api.requests().len(), usize::from(sends), "{query}");
        let outcome = if sends { "delivered" } else { "skip" };
        assert_eq!(result.outcome.as_str(), outcome, "{query}");
        let shown = (KIND.preview)(&context, &toml::from_str(config).unwrap(), &[withdrawal]).unwrap();
        assert_eq!(shown[0].is_ok(), sends, "{query}");
    }
}

#[tokio::test]
async fn a_withdrawal_without_person_or_change_is_rejected() {
    for fields in [
        "{ e = 'contact.email | int', c = 'change' }",
        "{ e = 'contact.email', c = 'change | int' }",
    ] {
        let hook = connect(&format!("url = 'https://hooks.example.org/'\nfields = {fields}"));
        let result = hook
            .deliver(&[hostile(Kind::Withdrawal, Change::Unsubscribe)])
            .await
            .remove(0);
        assert_eq!(result.outcome.as_str(), "reject", "{result:?}");
        assert!(
            result
                .outcome
                .reason()
                .is_some_and(|reason| reason.contains("the value is not a number")),
            "{result:?}"
        );
    }
}
