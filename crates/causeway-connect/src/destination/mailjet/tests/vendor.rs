//! The connector against an account in memory, read and changed with Mailjet's own client.

use causeway_testkit::vendors::{
    FakeVendor,
    clients::Script,
    mailjet::{self, API_KEY, SECRET_KEY},
};

use super::*;

struct Account {
    clock: Arc<TestClock>,
    fake: FakeVendor<mailjet::Mailjet>,
    list: u64,
    client: Script,
}

impl Account {
    async fn start() -> Self {
        let clock = Arc::new(TestClock::default());
        let mut fake = mailjet::Mailjet::new(Arc::<TestClock>::clone(&clock));
        let list = fake.add_list("News");
        let fake = FakeVendor::start(fake).await;
        let mut client = Script::python("mailjet.py");
        let start = json!(["start", { "url": fake.url(), "key": API_KEY, "secret": SECRET_KEY }]);
        assert_eq!(client.ask(&start).await, json!({ "ok": null }));
        Self {
            clock,
            fake,
            list,
            client,
        }
    }

    fn connect(&self, more: &str) -> Box<dyn Destination> {
        let mut own = table(&self.fake.url(), &format!("list = {}\n{more}", self.list));
        own.insert("api_key".to_owned(), API_KEY.into());
        own.insert("secret_key".to_owned(), SECRET_KEY.into());
        (KIND.connect)(&context(), &own).unwrap()
    }

    /// The rows that the client returns.
    async fn call(&mut self, method: &str, arguments: Value) -> Value {
        let answer = self.client.ask(&json!([method, arguments])).await;
        assert!(
            answer["ok"]["status"].as_u64().unwrap() < 300,
            "{method}: {answer}"
        );
        answer["ok"]["body"]["Data"].clone()
    }

    fn is_subscribed(&self, email: &str) -> Option<bool> {
        self.fake.with(|account| account.is_subscribed(email, self.list))
    }
}

#[tokio::test]
async fn what_was_delivered_is_read_by_mailjets_own_client() {
    let mut account = Account::start().await;
    let connected = account.connect("");
    connected.check().await.unwrap();
    assert_eq!(
        connected.remarks(),
        [format!("list {} is \"News\"", account.list)]
    );
    let batch = [subscriber(1, "2026-03-01T09:30:00Z"), delivery(2)];
    // The second time nothing changes.
    for _ in 0..2 {
        let results = connected.deliver(&batch).await;
        assert_eq!(outcomes(&results), ["delivered"; 2], "{results:?}");
        let found = account
            .call("contact.get", json!({ "id": "person1@example.org" }))
            .await;
        assert_eq!(found[0]["Name"], "Ada Példa, \"jr\"");
        let remote_id = Some(found[0]["ID"].to_string());
        assert_eq!(results[0].outcome, Outcome::Delivered { remote_id });
        let data = account
            .call("contactdata.get", json!({ "id": "person2@example.org" }))
            .await;
        let country = json!({ "Name": "country", "Value": "HU" });
        assert!(data[0]["Data"].as_array().unwrap().contains(&country), "{data}");
        let lists = account
            .call(
                "contact_getcontactslists.get",
                json!({ "id": "person1@example.org" }),
            )
            .await;
        assert_eq!(lists.as_array().unwrap().len(), 1);
    }
    assert_eq!(account.is_subscribed("person1@example.org"), Some(true));
    assert_eq!(account.is_subscribed("person2@example.org"), None);
    assert_eq!(account.fake.with(|account| account.contacts.len()), 2);
}

#[tokio::test]
async fn people_whom_others_changed_keep_their_will() {
    let mut account = Account::start().await;
    let body = json!({ "data": { "Email": "Person1@example.org", "Name": "Old" } });
    account.call("contact.create", body).await;
    let connected = account.connect("");
    let agreed = subscriber(1, "2026-01-01T00:00:30Z");
    connected.deliver(std::slice::from_ref(&agreed)).await;
    assert_eq!(account.is_subscribed("person1@example.org"), Some(true));
    // They leave there, an hour after they agreed here.
    account.clock.advance(Duration::from_hours(1));
    let list = account.list;
    let leave = json!({ "id": list, "data": { "Email": "person1@example.org", "Action": "unsub" } });
    account.call("contactslist_managecontact.create", leave).await;
    let results = connected.deliver(std::slice::from_ref(&agreed)).await;
    assert_eq!(account.is_subscribed("person1@example.org"), Some(false));
    assert!(
        results[0].notes[0].contains("left unsubscribed there"),
        "{results:?}"
    );
    // They agree again, a day later.
    connected.deliver(&[subscriber(1, "2026-01-02T00:00:00Z")]).await;
    assert_eq!(account.is_subscribed("person1@example.org"), Some(true));
    // They opt out here, and are erased.
    let results = connected.deliver(&[withdrawal(Change::Unsubscribe)]).await;
    assert_eq!(outcomes(&results), ["delivered"]);
    assert_eq!(account.is_subscribed("person1@example.org"), Some(false));
    for _ in 0..2 {
        let results = connected.deliver(&[withdrawal(Change::Remove)]).await;
        assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    }
    assert!(account.fake.with(|account| account.contacts.is_empty()));
}

#[tokio::test]
async fn lost_answers_and_limits_lose_nobody() {
    let account = Account::start().await;
    let connected = account.connect("");
    let agreed = [subscriber(1, "2026-03-01T09:30:00Z"), delivery(2)];
    for _ in 0..3 {
        account.fake.with(|account| account.loses_answers = 2);
        let results = connected.deliver(&agreed).await;
        assert!(outcomes(&results).contains(&"retry"), "{results:?}");
    }
    account.fake.with(|account| account.loses_answers = 0);
    assert_eq!(outcomes(&connected.deliver(&agreed).await), ["delivered"; 2]);
    account.fake.with(|account| account.limit = Some(1));
    assert_eq!(outcomes(&connected.deliver(&agreed).await), ["busy"; 2]);
    assert_eq!(account.fake.with(|account| account.contacts.len()), 2);
}

#[tokio::test]
async fn doctor_names_what_is_wrong_with_the_account() {
    let account = Account::start().await;
    let error = account
        .connect("fields = { shoe = '=x' }")
        .check()
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("no property `shoe`"), "{error}");
    let error = connect(&account.fake.url(), "list = 1")
        .check()
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("does not accept the keys"), "{error}");
    let mut own = table(&account.fake.url(), "list = 9999");
    own.insert("api_key".to_owned(), API_KEY.into());
    own.insert("secret_key".to_owned(), SECRET_KEY.into());
    let error = (KIND.connect)(&context(), &own)
        .unwrap()
        .check()
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("does not have list 9999"), "{error}");
    let results = account
        .connect("fields = { shoe = '=x' }")
        .deliver(&[delivery(1)])
        .await;
    assert_eq!(outcomes(&results), ["reject"], "{results:?}");
}
