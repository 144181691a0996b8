//! Mailjet, with mailjet-rest.

use std::sync::Arc;

use causeway_testkit::{
    clock::TestClock,
    vendors::{
        FakeVendor,
        mailjet::{API_KEY, Mailjet, SECRET_KEY},
    },
};
use serde_json::{Value, json};

use crate::python::Script;

struct Rig {
    account: FakeVendor<Mailjet>,
    client: Script,
}

impl Rig {
    async fn start() -> Self {
        let account = FakeVendor::start(Mailjet::new(Arc::new(TestClock::default()))).await;
        let mut client = Script::start("mailjet.py");
        let arguments = json!({ "url": account.url(), "key": API_KEY, "secret": SECRET_KEY });
        client.run("start", arguments).await.unwrap();
        Self { account, client }
    }

    /// Status and rows.
    async fn call(&mut self, method: &str, arguments: Value) -> (u64, Value) {
        let result = self.client.run(method, arguments).await;
        let mut result = result.unwrap_or_else(|error| panic!("{method}: {error}"));
        (result["status"].as_u64().unwrap(), result["body"]["Data"].take())
    }

    /// The error that the client raised.
    async fn refused(&mut self, method: &str, arguments: Value) -> String {
        let error = self.client.run(method, arguments).await.expect_err(method);
        format!(
            "{}: {}",
            error["raised"].as_str().unwrap(),
            error["message"].as_str().unwrap()
        )
    }

    async fn list(&mut self, name: &str) -> u64 {
        let (_, rows) = self
            .call("contactslist.create", json!({ "data": { "Name": name } }))
            .await;
        rows[0]["ID"].as_u64().unwrap()
    }

    async fn manage(&mut self, list: u64, email: &str, action: &str) -> Value {
        let body = json!({ "id": list, "data": { "Email": email, "Action": action } });
        self.call("contactslist_managecontact.create", body).await.1
    }
}

#[tokio::test]
async fn a_contact_is_created_once_and_changed() {
    let mut rig = Rig::start().await;
    let data = json!({ "data": { "Email": "Ada@example.org", "Name": "Ada" } });
    let (status, made) = rig.call("contact.create", data.clone()).await;
    assert_eq!((status, &made[0]["Email"]), (201, &json!("ada@example.org")));
    let refused = rig.refused("contact.create", data).await;
    assert!(
        refused.starts_with("ValidationError: ") && refused.contains("already exists"),
        "{refused}"
    );
    for (expected, name) in [(200, "Ada Byron"), (304, "Ada Byron")] {
        let change = json!({ "id": "ada@example.org", "data": { "Name": name } });
        assert_eq!(rig.call("contact.update", change).await.0, expected);
    }
    let (_, found) = rig.call("contact.get", json!({ "id": made[0]["ID"] })).await;
    assert_eq!(found[0]["Name"], "Ada Byron");
    let refused = rig
        .refused("contact.get", json!({ "id": "eve@example.org" }))
        .await;
    assert!(refused.starts_with("DoesNotExistError: "), "{refused}");
    let refused = rig
        .refused("contact.create", json!({ "data": { "Email": "ada" } }))
        .await;
    assert!(refused.contains("MJ03"), "{refused}");
}

#[tokio::test]
async fn properties_must_exist_and_null_clears() {
    let mut rig = Rig::start().await;
    rig.call(
        "contact.create",
        json!({ "data": { "Email": "ada@example.org" } }),
    )
    .await;
    let write = |name: &str, value: Value| json!({ "id": "ada@example.org", "data": { "Data": [{ "Name": name, "Value": value }] } });
    let refused = rig
        .refused("contactdata.update", write("shoe", json!("42")))
        .await;
    assert!(refused.contains("Invalid key name"), "{refused}");
    let property = json!({ "data": { "Name": "Shoe", "Datatype": "int", "NameSpace": "static" } });
    rig.call("contactmetadata.create", property).await;
    let refused = rig
        .refused("contactdata.update", write("shoe", json!("big")))
        .await;
    assert!(refused.contains("MJ07"), "{refused}");
    for (value, status, rows) in [(json!(42), 200, 1), (json!(42), 304, 1), (json!(null), 200, 0)] {
        let (found, _) = rig.call("contactdata.update", write("shoe", value)).await;
        assert_eq!(found, status);
        let (_, data) = rig
            .call("contactdata.get", json!({ "id": "ada@example.org" }))
            .await;
        assert_eq!(data[0]["Data"].as_array().unwrap().len(), rows);
    }
}

#[tokio::test]
async fn only_addforce_puts_somebody_back_on_a_list() {
    let mut rig = Rig::start().await;
    let list = rig.list("News").await;
    for (action, is_unsubscribed) in [
        ("addnoforce", Some(false)),
        ("unsub", Some(true)),
        ("addnoforce", Some(true)),
        ("addforce", Some(false)),
        ("remove", None),
    ] {
        let row = rig.manage(list, "ada@example.org", action).await;
        assert_eq!(row[0]["Action"], action);
        let filters = json!({ "filters": { "ContactEmail": "ada@example.org", "ContactsList": list } });
        let (_, rows) = rig.call("listrecipient.get", filters).await;
        let found = rows
            .as_array()
            .unwrap()
            .first()
            .map(|row| row["IsUnsubscribed"].as_bool().unwrap());
        assert_eq!(found, is_unsubscribed, "{action}");
    }
    assert_eq!(rig.account.with(|account| account.contacts.len()), 1);
    let body = json!({ "id": 9_999, "data": { "Email": "ada@example.org", "Action": "unsub" } });
    let refused = rig.refused("contactslist_managecontact.create", body).await;
    assert!(refused.starts_with("DoesNotExistError: "), "{refused}");
}

#[tokio::test]
async fn the_filter_for_unsubscribed_people_does_not_work() {
    let mut rig = Rig::start().await;
    let list = rig.list("News").await;
    rig.manage(list, "ada@example.org", "addnoforce").await;
    rig.manage(list, "bob@example.org", "unsub").await;
    let filters = json!({ "filters": { "ContactsList": list, "IsUnsubscribed": true } });
    assert_eq!(
        rig.call("listrecipient.get", filters)
            .await
            .1
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let (_, lists) = rig
        .call("contact_getcontactslists.get", json!({ "id": "bob@example.org" }))
        .await;
    assert_eq!(
        (&lists[0]["ListID"], &lists[0]["IsUnsub"]),
        (&json!(list), &json!(true))
    );
}

#[tokio::test]
async fn wrong_keys_and_a_limit_raise_the_clients_own_errors() {
    let mut rig = Rig::start().await;
    let wrong = json!({ "url": rig.account.url(), "key": API_KEY, "secret": "wrong" });
    rig.client.run("start", wrong).await.unwrap();
    let refused = rig.refused("contactslist.get", json!({})).await;
    assert!(refused.starts_with("MailjetAuthError: "), "{refused}");
}
