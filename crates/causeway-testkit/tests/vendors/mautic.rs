//! Mautic, with mautic-cli. Mautic's own client is for PHP.

use std::sync::Arc;

use causeway_testkit::{
    clock::TestClock,
    vendors::{
        FakeVendor,
        mautic::{CLIENT_ID, CLIENT_SECRET, Mautic, PASSWORD, USER},
    },
};
use serde_json::{Value, json};

use crate::python::Script;

struct Rig {
    site: FakeVendor<Mautic>,
    client: Script,
}

impl Rig {
    async fn start() -> Self {
        let site = FakeVendor::start(Mautic::new(Arc::<TestClock>::default())).await;
        let client = Script::start("mautic_client.py");
        let mut rig = Self { site, client };
        let login = json!({ "base_url": rig.site.url(), "username": USER, "password": PASSWORD });
        rig.client.run("start", login).await.unwrap();
        rig
    }

    async fn line(&mut self, args: &[&str]) -> Result<Value, Value> {
        self.client.run("run", json!({ "args": args })).await
    }

    async fn ok(&mut self, args: &[&str]) -> Value {
        let result = self.line(args).await;
        result.unwrap_or_else(|error| panic!("{args:?}: {error}"))
    }

    async fn call(&mut self, method: &str, path: &str, body: Value) -> Value {
        let call = json!({ "method": method, "path": path, "json": body });
        let result = self.client.run("call", call).await;
        result.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn contact(&mut self, email: &str) -> String {
        let given = json!({ "email": email }).to_string();
        self.ok(&["contacts", "create", "--json", &given]).await["contact"]["id"].to_string()
    }
}

#[tokio::test]
async fn a_contact_is_created_once_changed_and_deleted() {
    let mut rig = Rig::start().await;
    let id = rig.contact("Ada@example.org").await;
    let again = r#"{"email":"ada@example.org","firstname":"Ada","tags":["rivers","old"]}"#;
    let found = rig.ok(&["contacts", "create", "--json", again]).await;
    assert_eq!(found["contact"]["id"].to_string(), id);
    rig.ok(&[
        "contacts",
        "edit",
        &id,
        "--json",
        r#"{"city":"Pécs","tags":["-old"]}"#,
    ])
    .await;
    let read = rig.ok(&["contacts", "get", &id]).await;
    let all = &read["contact"]["fields"]["all"];
    assert_eq!((&all["firstname"], &all["city"]), (&json!("Ada"), &json!("Pécs")));
    assert_eq!(read["contact"]["tags"], json!([{ "id": 1, "tag": "rivers" }]));
    let refused = rig
        .line(&[
            "contacts",
            "create",
            "--json",
            r#"{"email":"bo@example.org","country":"BE"}"#,
        ])
        .await
        .unwrap_err();
    assert_eq!(
        (&refused["code"], &refused["message"]),
        (&json!(400), &json!("country: This value is not valid."))
    );
    rig.ok(&["contacts", "delete", &id]).await;
    let gone = rig.line(&["contacts", "get", &id]).await.unwrap_err();
    assert_eq!(
        (&gone["code"], &gone["message"]),
        (&json!(404), &json!("Item was not found."))
    );
}

#[tokio::test]
async fn contacts_are_searched_and_read_in_pages() {
    let mut rig = Rig::start().await;
    for number in 1..=35 {
        rig.contact(&format!("person{number}@example.org")).await;
    }
    let found = rig.ok(&["contacts", "list", "--search", "email:person7@"]).await;
    assert_eq!(found["total"], "1");
    let mut seen = 0;
    for offset in ["0", "30"] {
        let page = rig.ok(&["contacts", "list", "--offset", offset]).await;
        assert_eq!(page["total"], "35");
        seen += page["contacts"].as_object().unwrap().len();
    }
    assert_eq!(seen, 35, "30 rows make a page");
}

#[tokio::test]
async fn do_not_contact_is_written_with_the_contact_or_by_itself() {
    let mut rig = Rig::start().await;
    let given =
        r#"{"email":"ada@example.org","doNotContact":[{"channel":"email","reason":2,"comments":"550"}]}"#;
    let made = rig.ok(&["contacts", "create", "--json", given]).await;
    let id = made["contact"]["id"].to_string();
    let entry = &made["contact"]["doNotContact"][0];
    assert_eq!(
        (&entry["reason"], &entry["channel"]),
        (&json!(2), &json!("email"))
    );
    assert!(entry["dateAdded"].is_string());
    let path = format!("/contacts/{id}/dnc/email");
    let removed = rig.call("post", &format!("{path}/remove"), json!({})).await;
    assert_eq!(
        (&removed["recordFound"], &removed["contact"]["doNotContact"]),
        (&json!(true), &json!([]))
    );
    let added = rig.call("post", &format!("{path}/add"), json!({})).await;
    assert_eq!(
        added["contact"]["doNotContact"][0]["reason"], 3,
        "manual, unless another is given"
    );
    let history = rig
        .ok(&[
            "contacts",
            "activity",
            &id,
            "--include-events",
            "lead.donotcontact",
        ])
        .await;
    assert_eq!(history["total"], 1);
    rig.ok(&[
        "contacts",
        "edit",
        &id,
        "--json",
        r#"{"doNotContact":[{"channel":"email","reason":0}]}"#,
    ])
    .await;
    assert!(rig.site.with(|site| site.entries("ada@example.org").is_empty()));
}

#[tokio::test]
async fn segments_notes_and_points_belong_to_contacts() {
    let mut rig = Rig::start().await;
    let id = rig.contact("ada@example.org").await;
    let made = rig
        .ok(&["segments", "create", "--json", r#"{"name":"Good News"}"#])
        .await;
    let segment = made["list"]["id"].to_string();
    rig.ok(&["contacts", "add-to-segment", &id, &segment]).await;
    let many = json!({ "ids": [9_999, id.parse::<u64>().unwrap()] });
    let added = rig
        .call("post", &format!("/segments/{segment}/contacts/add"), many)
        .await;
    assert_eq!(
        added["details"],
        json!({ "9999": { "success": false }, &*id: { "success": true } })
    );
    let members = rig.ok(&["segments", "contacts", &segment]).await;
    assert_eq!(members["contacts"].as_object().unwrap().len(), 1);
    rig.ok(&["segments", "remove-contact", &segment, &id]).await;
    assert_eq!(
        rig.ok(&["segments", "contacts", &segment]).await["contacts"],
        json!([])
    );

    let note = json!({ "lead": id, "type": "general", "text": "Signed" }).to_string();
    let made = rig.ok(&["notes", "create", "--json", &note]).await;
    let read = rig.ok(&["notes", "get", &made["note"]["id"].to_string()]).await;
    assert_eq!(read["note"]["text"], "Signed");
    let found = rig
        .ok(&["notes", "list", "--contact", &id, "--search", "Sign"])
        .await;
    assert_eq!(found["total"], "1");
    let refused = rig
        .line(&["notes", "create", "--json", r#"{"text":"x"}"#])
        .await
        .unwrap_err();
    assert_eq!(refused["message"], "lead ID is mandatory");

    rig.ok(&["contacts", "add-points", &id, "7"]).await;
    rig.ok(&["contacts", "subtract-points", &id, "2"]).await;
    assert_eq!(rig.ok(&["contacts", "get", &id]).await["contact"]["points"], 5);
    let history = rig
        .ok(&["contacts", "activity", &id, "--include-events", "point.gained"])
        .await;
    assert_eq!(history["events"][0]["extra"]["log"]["delta"], -2);
}

#[tokio::test]
async fn the_client_signs_in_with_an_app_and_is_refused_otherwise() {
    let mut rig = Rig::start().await;
    let app = json!({
        "base_url": rig.site.url(), "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
        "token_endpoint": format!("{}/oauth/v2/token", rig.site.url()),
    });
    rig.client.run("start", app.clone()).await.unwrap();
    rig.contact("ada@example.org").await;
    let mut wrong = app;
    wrong["client_secret"] = json!("wrong");
    rig.client.run("start", wrong).await.unwrap();
    assert!(rig.line(&["contacts", "list"]).await.is_err());
    let login = json!({ "base_url": rig.site.url(), "username": USER, "password": "wrong" });
    rig.client.run("start", login).await.unwrap();
    let refused = rig.line(&["contacts", "list"]).await.unwrap_err();
    assert_eq!(
        (&refused["code"], &refused["type"]),
        (&json!(401), &json!("access_denied"))
    );
    rig.site.with(|site| site.is_api_enabled = false);
    let refused = rig.line(&["contacts", "list"]).await.unwrap_err();
    assert_eq!(refused["type"], "api_disabled");
}
