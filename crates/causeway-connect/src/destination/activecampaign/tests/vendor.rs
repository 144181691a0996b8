//! The connector against an account in memory, read and changed with activecampaign-python.

use causeway_testkit::vendors::{
    FakeVendor,
    activecampaign::{self, TOKEN},
    clients::Script,
};

use super::*;

struct Account {
    clock: Arc<TestClock>,
    fake: FakeVendor<activecampaign::ActiveCampaign>,
    list: u64,
    client: Script,
}

impl Account {
    async fn start() -> Self {
        let clock = Arc::new(TestClock::default());
        let mut fake = activecampaign::ActiveCampaign::new(Arc::<TestClock>::clone(&clock));
        fake.limit = None;
        let list = fake.add_list("News");
        let fake = FakeVendor::start(fake).await;
        let mut client = Script::python("active_campaign.py");
        let start = json!(["start", { "url": fake.url(), "key": TOKEN }]);
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
        own.insert("token".to_owned(), TOKEN.into());
        (KIND.connect)(&context(), &own).unwrap()
    }

    async fn get(&mut self, method: &str, args: Value) -> Value {
        let mut answer = self.client.ask(&json!([method, { "args": args }])).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["ok"].take()
    }

    fn status(&self, email: &str) -> Option<u64> {
        self.fake.with(|account| account.status(email, self.list))
    }

    async fn set_status(&mut self, email: &str, status: u64) {
        let (contact, list) = (
            self.fake.with(|account| account.contact(email).unwrap().0),
            self.list,
        );
        let body = json!([{ "contactList": { "list": list, "contact": contact, "status": status } }]);
        self.get("contacts.update_list_status_for_a_contact", body).await;
    }
}

#[tokio::test]
async fn what_was_delivered_is_read_by_the_client() {
    let mut account = Account::start().await;
    let (tag, field) = account.fake.with(|account| {
        account.add_schema("s1", &["campaign"]);
        (account.add_tag_named("rivers"), account.add_field("Campaign"))
    });
    let connected = account.connect(&format!(
        "tags = [{tag}]\nfields = {{ firstName = 'contact.firstName', lastName = 'contact.lastName', {field} = 'campaign.name' }}\n\
         record = {{ schema = 's1', fields = {{ campaign = 'campaign.name' }} }}"
    ));
    connected.check().await.unwrap();
    let remarks = connected.remarks();
    assert!(
        remarks.iter().any(|remark| remark.ends_with("is \"News\"")),
        "{remarks:?}"
    );
    let batch = [subscriber(1, "2026-03-01T09:30:00Z"), delivery(2)];
    // The second time nothing changes.
    for _ in 0..2 {
        let results = connected.deliver(&batch).await;
        assert_eq!(outcomes(&results), ["delivered"; 2]);
        let id = account
            .fake
            .with(|account| account.contact("person1@example.org").unwrap().0);
        let remote_id = Some(id.to_string());
        assert_eq!(results[0].outcome, Outcome::Delivered { remote_id });
        let found = account.get("contacts.retrieve_a_contact", json!([id])).await;
        assert_eq!(found["contact"]["lastName"], "Példa, \"jr\"");
        assert_eq!(found["fieldValues"][0]["value"], "rivers");
        let tags = account.get("contacts.retrieve_contact_tags", json!([id])).await;
        assert_eq!(tags["contactTags"].as_array().unwrap().len(), 1);
        assert_eq!(
            account.fake.with(|account| account.schemas["s1"].records.len()),
            2
        );
    }
    assert_eq!(account.status("person1@example.org"), Some(1));
    assert_eq!(account.status("person2@example.org"), None);
}

#[tokio::test]
async fn people_whom_others_changed_keep_their_will() {
    let mut account = Account::start().await;
    let made = json!([{ "contact": { "email": "PERSON1@example.org", "firstName": "Old" } }]);
    account.get("contacts.create_a_contact", made).await;
    let connected = account.connect("");
    let agreed = subscriber(1, "2026-01-01T00:00:30Z");
    assert_eq!(
        outcomes(&connected.deliver(std::slice::from_ref(&agreed)).await),
        ["delivered"]
    );
    assert_eq!(account.status("person1@example.org"), Some(1));
    assert_eq!(account.fake.with(|account| account.contacts.len()), 1);

    // They leave there, an hour after they agreed here.
    account.clock.advance(Duration::from_hours(1));
    account.set_status("person1@example.org", 2).await;
    let results = connected.deliver(std::slice::from_ref(&agreed)).await;
    assert_eq!(account.status("person1@example.org"), Some(2));
    assert!(
        results[0].notes[0].contains("left unsubscribed there"),
        "{results:?}"
    );
    // They agree again, a day later.
    connected.deliver(&[subscriber(1, "2026-01-02T00:00:00Z")]).await;
    assert_eq!(account.status("person1@example.org"), Some(1));
    // They opt out here.
    let results = connected.deliver(&[withdrawal(Change::Unsubscribe)]).await;
    assert_eq!(
        (outcomes(&results), account.status("person1@example.org")),
        (vec!["delivered"], Some(2))
    );

    // Deleted there, they come back with the next delivery; erased here, they are gone.
    let id = account
        .fake
        .with(|account| account.contact("person1@example.org").unwrap().0);
    account.get("contacts.delete_a_contact", json!([id])).await;
    assert_eq!(
        outcomes(&connected.deliver(&[withdrawal(Change::Unsubscribe)]).await),
        ["delivered"]
    );
    assert_eq!(outcomes(&connected.deliver(&[delivery(1)]).await), ["delivered"]);
    assert_eq!(
        outcomes(&connected.deliver(&[withdrawal(Change::Remove)]).await),
        ["delivered"]
    );
    assert_eq!(account.fake.with(|account| account.contacts.len()), 0);
}

#[tokio::test]
async fn lost_answers_and_full_accounts_lose_nobody() {
    let account = Account::start().await;
    let connected = account.connect("");
    let agreed = [subscriber(1, "2026-03-01T09:30:00Z")];
    // Each call takes effect, and its answer is lost.
    for _ in 0..3 {
        account.fake.with(|account| account.loses_answers = 1);
        assert_eq!(outcomes(&connected.deliver(&agreed).await), ["retry"]);
    }
    assert_eq!(outcomes(&connected.deliver(&agreed).await), ["delivered"]);
    assert_eq!(account.fake.with(|account| account.contacts.len()), 1);
    account.fake.with(|account| account.most_contacts = 1);
    assert_eq!(outcomes(&connected.deliver(&[delivery(2)]).await), ["halt"]);
    account
        .fake
        .with(|account| (account.limit, account.most_contacts) = (Some(5), 9));
    let batch: Vec<Delivery> = (2..=9).map(delivery).collect();
    let results = connected.deliver(&batch).await;
    assert!(outcomes(&results).contains(&"busy"), "{results:?}");
    account.clock.advance(Duration::from_secs(1));
    let left: Vec<Delivery> = batch
        .into_iter()
        .zip(results)
        .filter_map(|(delivery, result)| (result.outcome.as_str() != "delivered").then_some(delivery))
        .collect();
    account.fake.with(|account| account.limit = None);
    assert!(
        connected
            .deliver(&left)
            .await
            .iter()
            .all(|result| result.outcome.as_str() == "delivered")
    );
    assert_eq!(account.fake.with(|account| account.contacts.len()), 9);
}

#[tokio::test]
async fn doctor_names_what_is_wrong_with_the_account() {
    let account = Account::start().await;
    account
        .fake
        .with(|account| account.add_schema("s1", &["campaign"]));
    for (more, found) in [
        ("tags = [9999]", "does not have tag 9999; correct `tags`"),
        (
            "fields = { 9999 = '=x' }",
            "does not have field 9999; correct `fields`",
        ),
        (
            "record = { schema = 's2', fields = { campaign = '=x' } }",
            "correct `record.schema`",
        ),
        (
            "record = { schema = 's1', fields = { shoe = '=x' } }",
            "no field `shoe`",
        ),
    ] {
        let error = account.connect(more).check().await.unwrap_err().to_string();
        assert!(error.contains(found), "{error}");
    }
    let wrong = connect(&account.fake.url(), "list = 2")
        .check()
        .await
        .unwrap_err()
        .to_string();
    assert!(wrong.contains("does not accept the key"), "{wrong}");
    let mut own = table(&account.fake.url(), "list = 9999");
    own.insert("token".to_owned(), TOKEN.into());
    let wrong = (KIND.connect)(&context(), &own)
        .unwrap()
        .check()
        .await
        .unwrap_err()
        .to_string();
    assert!(wrong.contains("does not have list 9999"), "{wrong}");
    // A field that was deleted later is passed over, and noted.
    let results = account
        .connect("fields = { 9999 = '=x' }")
        .deliver(&[delivery(1)])
        .await;
    assert_eq!(
        results[0].notes,
        ["ActiveCampaign has no custom field 9999; correct `fields`"]
    );
}
