//! The connector against an account in memory. No client for CleverReach is published in a registry for Python or
//! Node.js, so the account is read and changed by a script that was written from the documents only
//! (`clients/cleverreach_rules.py`), and that shares no code with the account and the connector.

use causeway_testkit::vendors::{
    FakeVendor,
    cleverreach::{self, CLIENT_ID, CLIENT_SECRET, TOKEN, faults},
    clients::Script,
};

use super::*;

struct Account {
    clock: Arc<TestClock>,
    fake: FakeVendor<cleverreach::CleverReach>,
    group: u64,
    script: Script,
}

impl Account {
    async fn start() -> Self {
        // The account's time is that of the deliveries.
        let clock = Arc::new(TestClock::default());
        clock.set(SINCE.parse().unwrap());
        let mut fake = cleverreach::CleverReach::new(Arc::<TestClock>::clone(&clock));
        let group = fake.add_group("News");
        let fake = FakeVendor::start(fake).await;
        let mut script = Script::python("cleverreach_rules.py");
        let start = json!(["start", { "url": fake.url(), "id": CLIENT_ID, "secret": CLIENT_SECRET }]);
        assert_eq!(script.ask(&start).await["ok"], Value::Null);
        Self {
            clock,
            fake,
            group,
            script,
        }
    }

    fn connect(&self, more: &str) -> Box<dyn Destination> {
        let mut own = table(&self.fake.url(), more);
        own.insert("group".to_owned(), i64::try_from(self.group).unwrap().into());
        own.insert("token".to_owned(), TOKEN.into());
        if own.contains_key("oauth") {
            own.remove("token");
        }
        (KIND.connect)(&context(), &own).unwrap()
    }

    async fn call(&mut self, command: &str, arguments: Value) -> Value {
        let mut answer = self.script.ask(&json!([command, arguments])).await;
        assert!(answer.get("error").is_none(), "{command}: {answer}");
        answer["ok"].take()
    }

    async fn receiver(&mut self, email: &str) -> Value {
        let group = self.group;
        self.call("receiver", json!({ "group": group, "who": email }))
            .await
    }

    async fn write(&mut self, row: Value) {
        let group = self.group;
        self.call("upsert", json!({ "group": group, "receivers": [row] }))
            .await;
    }

    fn is_active(&self, email: &str) -> Option<bool> {
        self.fake.with(|account| account.is_active(self.group, email))
    }
}

#[tokio::test]
async fn what_was_delivered_is_read_by_the_script() {
    let mut account = Account::start().await;
    let app = format!("oauth = {{ client_id = '{CLIENT_ID}', client_secret = '{CLIENT_SECRET}' }}");
    let connected = account.connect(&format!("{app}\ntags = ['campaign.name', '=-proca']"));
    connected.check().await.unwrap();
    assert_eq!(
        connected.remarks(),
        [format!("group {} is \"News\"", account.group)]
    );
    let batch = [subscriber(1, SINCE), delivery(2)];
    // The second time nothing changes.
    for _ in 0..2 {
        let results = connected.deliver(&batch).await;
        assert_eq!(outcomes(&results), ["delivered"; 2], "{results:?}");
        let found = account.receiver("person1@example.org").await;
        let remote_id = Some(found["id"].as_str().unwrap().to_owned());
        assert_eq!(results[0].outcome, Outcome::Delivered { remote_id });
        assert_eq!(found["global_attributes"]["lastname"], "Példa, \"jr\"");
        assert_eq!(
            (&found["tags"], &found["source"]),
            (&json!(["proca", "rivers"]), &json!("rivers"))
        );
        assert_eq!(
            (&found["active"], &found["activated"]),
            (&json!(true), &json!(seconds(SINCE)))
        );
        let other = account.receiver("person2@example.org").await;
        assert_eq!(
            (&other["active"], &other["activated"]),
            (&json!(false), &json!(0))
        );
    }
    // The script had a token, too. One token served all calls, until it was revoked.
    let issued = account.fake.with(|account| account.access.issued);
    account.fake.with(|account| account.access.tokens.clear());
    assert_eq!(outcomes(&connected.deliver(&batch).await), ["delivered"; 2]);
    assert_eq!(account.fake.with(|account| account.access.issued), issued + 1);
    let wrong = account.connect("oauth = { client_id = 'app-of-tests', client_secret = 'wrong' }");
    assert_eq!(outcomes(&wrong.deliver(&batch[..1]).await), ["halt"]);
    assert!(wrong.check().await.is_err());
}

#[tokio::test]
async fn people_whom_others_changed_keep_their_will() {
    for revives in [false, true] {
        let mut account = Account::start().await;
        account.fake.with(|account| account.activated_revives = revives);
        let row =
            json!({ "email": "Person1@example.org", "global_attributes": { "zip": "1000" }, "activated": 0 });
        account.write(row).await;
        let connected = account.connect("");
        let agreed = subscriber(1, SINCE);
        connected.deliver(std::slice::from_ref(&agreed)).await;
        assert_eq!(account.is_active("person1@example.org"), Some(true));
        // A postcode that is not known here erases nothing there.
        let found = account.receiver("person1@example.org").await;
        assert_eq!(found["global_attributes"]["zip"], "1000");
        // They leave there, an hour after they agreed here.
        account.clock.advance(Duration::from_hours(1));
        let group = account.group;
        let who = json!({ "group": group, "who": "person1@example.org", "active": false });
        account.call("set_active", who).await;
        for again in [agreed.clone(), delivery(1)] {
            let results = connected.deliver(&[again]).await;
            assert_eq!(account.is_active("person1@example.org"), Some(false));
            assert!(results[0].notes[0].contains("left so"), "{results:?}");
        }
        // They agree again, a day later.
        let results = connected.deliver(&[subscriber(1, "2026-03-02T09:30:00Z")]).await;
        assert_eq!(
            account.is_active("person1@example.org"),
            Some(true),
            "{results:?}"
        );
        // They opt out here, and are erased.
        let results = connected.deliver(&[withdrawal(Change::Unsubscribe)]).await;
        assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
        assert_eq!(account.is_active("person1@example.org"), Some(false));
        for _ in 0..2 {
            let results = connected.deliver(&[withdrawal(Change::Remove)]).await;
            assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
        }
        assert!(account.fake.with(|account| account.receivers.is_empty()));
    }
}

#[tokio::test]
async fn an_account_that_answers_in_other_ways_is_understood() {
    let account = Account::start().await;
    account.fake.with(|account| {
        account.answers_lists = true;
        account.answers_short = true;
        account.plain_errors = true;
    });
    let connected = account.connect("");
    let agreed = [subscriber(1, SINCE), subscriber(2, SINCE)];
    assert_eq!(outcomes(&connected.deliver(&agreed).await), ["delivered"; 2]);
    let results = connected.deliver(&[withdrawal(Change::Unsubscribe)]).await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    assert_eq!(account.is_active("person1@example.org"), Some(false));
    assert_eq!(account.is_active("person2@example.org"), Some(true));
    let removal = support::withdrawal(3, Change::Remove);
    assert_eq!(outcomes(&connected.deliver(&[removal]).await), ["delivered"]);
    // CleverReach brings nobody back without a new confirmation.
    account.fake.with(|account| account.needs_confirmation = true);
    let results = connected.deliver(&[subscriber(1, "2026-03-05T00:00:00Z")]).await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    assert_eq!(account.is_active("person1@example.org"), Some(false));
}

#[tokio::test]
async fn lost_answers_and_limits_lose_nobody() {
    let account = Account::start().await;
    let connected = account.connect("on_suppress = 'blacklist'");
    let batch: Vec<Delivery> = (1..=8).map(|number| subscriber(number, SINCE)).collect();
    account.fake.with(|account| account.loses_answers = 100);
    assert_eq!(outcomes(&connected.deliver(&batch).await), ["retry"; 8]);
    account.fake.with(|account| {
        account.loses_answers = 0;
        account.most = 3;
    });
    assert_eq!(outcomes(&connected.deliver(&batch).await), ["delivered"; 8]);
    let gone: Vec<Delivery> = [Change::Unsubscribe, Change::Suppress, Change::Remove]
        .into_iter()
        .zip(1..)
        .map(|(change, number)| support::withdrawal(number, change))
        .collect();
    account.fake.with(|account| account.loses_answers = 100);
    assert_eq!(outcomes(&connected.deliver(&gone).await), ["retry"; 3]);
    account.fake.with(|account| account.loses_answers = 0);
    // One withdrawal is blocked already, and one receiver is gone already.
    let results = connected.deliver(&gone).await;
    assert_eq!(outcomes(&results), ["delivered"; 3], "{results:?}");
    let active = |number: i64| account.is_active(&format!("person{number}@example.org"));
    assert_eq!(
        [1, 2, 3, 4].map(active),
        [Some(false), Some(false), None, Some(true)]
    );
    assert!(
        account
            .fake
            .with(|account| account.blacklist.contains_key("person2@example.org"))
    );
    account
        .fake
        .fail([faults::too_many(), faults::gateway(503), faults::nothing_done()]);
    for outcome in ["busy", "retry", "retry"] {
        assert_eq!(outcomes(&connected.deliver(&batch[4..5]).await), [outcome]);
    }
    account.fake.with(|account| account.limit = Some(1));
    account.clock.advance(Duration::from_secs(1));
    assert_eq!(outcomes(&connected.deliver(&batch[4..]).await), ["busy"; 4]);
}

#[tokio::test]
async fn doctor_names_what_is_wrong_with_the_account() {
    let mut account = Account::start().await;
    let group = account.group;
    for (more, expected) in [
        ("fields = { shoe = '=x' }", "receivers have no attribute `shoe`"),
        ("group_fields = { shoe = '=x' }", "has no attribute `shoe`"),
        (
            "oauth = { client_id = 'x', client_secret = 'y' }",
            "invalid_client",
        ),
        ("api_version = 'v2'", "does not have its API"),
    ] {
        let error = account.connect(more).check().await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let arguments = json!({ "group": group, "name": "Shoe", "type": "number" });
    account.call("add_attribute", arguments).await;
    account
        .connect("group_fields = { shoe = '=42' }")
        .check()
        .await
        .unwrap();
    let wrong = connect(&account.fake.url(), "");
    let error = wrong.check().await.unwrap_err().to_string();
    assert!(error.contains("does not accept the token"), "{error}");
    account.fake.with(|account| account.access.is_forbidden = true);
    let error = account.connect("").check().await.unwrap_err().to_string();
    assert!(error.contains("lacks a right"), "{error}");
    account.fake.with(|account| {
        account.access.is_forbidden = false;
        account.groups.clear();
    });
    let error = account.connect("").check().await.unwrap_err().to_string();
    assert!(error.contains(&format!("does not have group {group}")), "{error}");
    let results = account
        .connect("")
        .deliver(&[subscriber(1, SINCE), delivery(2)])
        .await;
    assert_eq!(outcomes(&results), ["halt"; 2], "{results:?}");
    // The page of a proxy is not CleverReach.
    account.fake.fail([faults::gateway(200)]);
    let error = account.connect("").check().await.unwrap_err().to_string();
    assert!(error.contains("not as CleverReach does"), "{error}");
}
