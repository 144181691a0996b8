//! The connector against an account in memory. Engaging Networks publishes no client, so the account is read and
//! changed with a script that was written from its documents alone.

use causeway_core::clock::Clock as _;
use causeway_testkit::vendors::{
    FakeVendor,
    clients::Script,
    engagingnetworks::{self, Body, Field, OPT_IN, Question, TOKEN},
};

use super::*;

struct Account {
    clock: Arc<TestClock>,
    fake: FakeVendor<engagingnetworks::EngagingNetworks>,
    page: u64,
    client: Script,
}

impl Account {
    async fn start() -> Self {
        let clock = Arc::new(TestClock::default());
        let mut fake = engagingnetworks::EngagingNetworks::new(Arc::<TestClock>::clone(&clock));
        let page = fake.add_page("Save the river", "pet");
        let fake = FakeVendor::start(fake).await;
        let client = Script::python("engagingnetworks.py");
        let mut account = Self {
            clock,
            fake,
            page,
            client,
        };
        let start = json!(["start", { "url": account.fake.url(), "token": TOKEN }]);
        assert_eq!(account.client.ask(&start).await, json!({ "ok": null }));
        account.log_in().await;
        account
    }

    async fn log_in(&mut self) {
        assert_eq!(self.call("authenticate", json!({})).await["expires"], 3_600_000);
    }

    fn connect(&self, more: &str) -> Box<dyn Destination> {
        let context = Context {
            clock: Arc::<TestClock>::clone(&self.clock),
            ..context()
        };
        let mut own = table(
            &self.fake.url(),
            &format!("action = {{ page = '={}' }}\n{more}", self.page),
        );
        own.insert("token".to_owned(), TOKEN.into());
        (KIND.connect)(&context, &own).unwrap()
    }

    /// What the client returns.
    async fn call(&mut self, method: &str, arguments: Value) -> Value {
        let answer = self.client.ask(&json!([method, arguments])).await;
        assert!(
            answer["ok"]["status"].as_u64().unwrap() < 300,
            "{method}: {answer}"
        );
        answer["ok"]["body"].clone()
    }

    async fn find(&mut self, email: &str) -> Value {
        self.call("find", json!({ "email": email })).await
    }

    fn answer(&self, email: &str) -> Option<String> {
        self.fake
            .with(|account| account.answer_of(email, OPT_IN).map(str::to_owned))
    }

    fn actions(&self) -> usize {
        self.fake.with(|account| account.transactions.len())
    }

    /// A delivery that is planned now, about somebody who agreed now.
    fn subscriber(&self, number: i64) -> Delivery {
        let now = self.clock.now();
        let mut delivery = subscriber(number, &now.to_string());
        delivery.planned_at = now;
        delivery
    }
}

#[tokio::test]
async fn what_was_delivered_is_read_by_the_script() {
    let mut account = Account::start().await;
    let connected = account.connect("");
    connected.check().await.unwrap();
    let remark = format!("page {} is \"Save the river\", live", account.page);
    assert_eq!(connected.remarks(), [remark]);
    let batch = [account.subscriber(1), delivery(2)];
    let results = connected.deliver(&batch).await;
    assert_eq!(outcomes(&results), ["delivered"; 2], "{results:?}");
    let found = account.find("person1@example.org").await;
    assert_eq!(
        (&found["First Name"], &found["Last Name"]),
        (&json!("Ada"), &json!("Példa, \"jr\""))
    );
    let remote_id = Some(found["supporterId"].to_string());
    assert_eq!(results[0].outcome, Outcome::Delivered { remote_id });
    assert_eq!(found["questions"][0]["response"], "Y");
    let other = account.find("person2@example.org").await;
    assert_eq!(other["questions"], json!([]));
    let id = found["supporterId"].clone();
    let transactions = account.call("transactions", json!({ "id": id })).await;
    assert_eq!(transactions[0]["name"], "Save the river");
    let number = account
        .fake
        .with(|account| account.transactions[0].fields["txn1"].clone());
    assert_eq!(number, "1");
    // A process that was ended before it recorded the result delivers the same again.
    let again = connected.deliver(&batch[..1]).await;
    assert_eq!((outcomes(&again), account.actions()), (vec!["delivered"], 2));
}

#[tokio::test]
async fn people_whom_others_changed_keep_their_will() {
    let mut account = Account::start().await;
    let body =
        json!({ "Email Address": "Person1@example.org", "First Name": "Old", "questions": { OPT_IN: "Y" } });
    let made = account.call("write", json!({ "supporter": body })).await;
    let connected = account.connect("");
    let agreed = account.subscriber(1);
    let results = connected.deliver(std::slice::from_ref(&agreed)).await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    assert_eq!(account.find("person1@example.org").await["First Name"], "Ada");
    // They opt out there, half an hour after they agreed here.
    account.clock.advance(Duration::from_mins(30));
    let out = json!({ "id": made["id"], "supporter": { "questions": { OPT_IN: "N" } } });
    account.call("update", out).await;
    let mut known = agreed.clone();
    known.memory.clone_from(&results[0].memory);
    let results = connected.deliver(&[known]).await;
    assert!(
        results[0]
            .notes
            .join("")
            .contains("opted out of \"Accepts Email\""),
        "{results:?}"
    );
    assert_eq!(account.answer("person1@example.org").as_deref(), Some("N"));
    // They agree again.
    account.clock.advance(Duration::from_mins(10));
    connected.deliver(&[account.subscriber(1)]).await;
    assert_eq!(account.answer("person1@example.org").as_deref(), Some("Y"));
    // They opt out here, and in again within a minute.
    let results = connected.deliver(&[withdrawal(Change::Unsubscribe)]).await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    assert_eq!(account.answer("person1@example.org").as_deref(), Some("N"));
    account.clock.advance(Duration::from_secs(50));
    let mut back = account.subscriber(1);
    back.memory.clone_from(&results[0].memory);
    let results = connected.deliver(&[back]).await;
    assert_eq!(account.answer("person1@example.org").as_deref(), Some("Y"));
    // They change the address there. The opt-out finds them by the id.
    account.clock.advance(Duration::from_mins(20));
    account.log_in().await;
    let moved = json!({ "id": made["id"], "supporter": { "Email Address": "new@example.org" } });
    account.call("update", moved).await;
    let mut out = withdrawal(Change::Unsubscribe);
    out.memory.clone_from(&results[0].memory);
    let results = connected.deliver(&[out]).await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    assert_eq!(account.answer("new@example.org").as_deref(), Some("N"));
    assert_eq!(account.fake.with(|account| account.supporters.len()), 1);
    // They are erased.
    for _ in 0..2 {
        let mut removal = withdrawal(Change::Remove);
        removal.memory.clone_from(&results[0].memory);
        let results = connected.deliver(&[removal]).await;
        assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    }
    assert!(account.fake.with(|account| account.supporters.is_empty()));
}

#[tokio::test]
async fn suppressed_people_are_not_opted_in_and_deleted_ones_come_back() {
    let mut account = Account::start().await;
    let connected = account.connect("");
    connected
        .deliver(&[account.subscriber(1), account.subscriber(2)])
        .await;
    let batch = [1, 2].map(|number| support::withdrawal(number, Change::Suppress));
    let results = connected.deliver(&batch).await;
    assert_eq!(outcomes(&results), ["delivered"; 2], "{results:?}");
    let found = account.find("person2@example.org").await;
    assert_eq!(found["suppressed"], true);
    account.clock.advance(Duration::from_mins(10));
    let results = connected.deliver(&[account.subscriber(1)]).await;
    assert!(results[0].notes[0].contains("suppressed"), "{results:?}");
    account
        .call("delete", json!({ "id": found["supporterId"] }))
        .await;
    let mut again = account.subscriber(2);
    again.memory = Some(json!({ "supporter": found["supporterId"] }));
    let results = connected.deliver(&[again]).await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    assert_eq!(account.answer("person2@example.org").as_deref(), Some("Y"));
}

#[tokio::test]
async fn lost_answers_and_errors_store_each_action_once() {
    let account = Account::start().await;
    let connected = account.connect("");
    let batch = [
        account.subscriber(1),
        account.subscriber(2),
        account.subscriber(3),
    ];
    let mut open: Vec<Delivery> = batch.to_vec();
    connected.check().await.unwrap();
    account.fake.with(|account| account.page_errors = 1);
    // Answers of any call, and of actions.
    for (lost, lost_actions) in [(1, 0), (0, 1), (1, 1), (0, 0), (0, 0)] {
        account.fake.with(|account| {
            (account.loses_answers, account.loses_actions) = (lost, lost_actions);
        });
        let results = connected.deliver(&open).await;
        let mut rest = Vec::new();
        for (delivery, result) in open.iter().zip(&results) {
            if result.outcome.as_str() != "delivered" {
                let mut next = delivery.clone();
                next.attempt += 1;
                next.memory = result.memory.clone().or(next.memory);
                rest.push(next);
            }
        }
        open = rest;
        account.clock.advance(Duration::from_secs(30));
        if open.is_empty() {
            break;
        }
    }
    assert!(open.is_empty(), "{open:?}");
    assert_eq!(account.actions(), 3);
    assert_eq!(account.fake.with(|account| account.supporters.len()), 3);
}

#[tokio::test]
async fn sessions_end_in_the_middle_and_limits_are_waited_for() {
    let account = Account::start().await;
    account.fake.with(|account| account.log_in = Body::Json);
    let connected = account.connect("");
    let results = connected.deliver(&[account.subscriber(1)]).await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    account
        .fake
        .with(engagingnetworks::EngagingNetworks::end_sessions);
    let results = connected.deliver(&[account.subscriber(2)]).await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    account.fake.with(|account| account.page_limit = Some(2));
    let results = connected
        .deliver(&[account.subscriber(3), account.subscriber(4)])
        .await;
    assert_eq!(outcomes(&results), ["busy"; 2], "{results:?}");
    account.fake.with(|account| account.limit = Some(1));
    let results = connected.deliver(&[account.subscriber(3)]).await;
    assert_eq!(outcomes(&results), ["busy"], "{results:?}");
    account.clock.advance(Duration::from_hours(1));
    account.fake.with(|account| account.limit = None);
    let results = connected.deliver(&[account.subscriber(3)]).await;
    assert_eq!((outcomes(&results), account.actions()), (vec!["delivered"], 3));
}

#[tokio::test]
async fn other_forms_of_responses_mean_the_same() {
    let account = Account::start().await;
    account.fake.with(|account| {
        account.missing_is_404 = true;
        account.answers_as_object = true;
    });
    let connected = account.connect("");
    let results = connected.deliver(&[account.subscriber(1)]).await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    // Without a time the opt-out cannot be older than any opt-in.
    let results = connected.deliver(&[withdrawal(Change::Unsubscribe)]).await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    account.clock.advance(Duration::from_mins(30));
    connected.deliver(&[account.subscriber(1)]).await;
    assert_eq!(account.answer("person1@example.org").as_deref(), Some("N"));
}

#[tokio::test]
async fn doctor_names_what_is_wrong_with_the_account() {
    let account = Account::start().await;
    for (more, expected) in [
        ("fields = { Shoe = '=x' }", "no field \"Shoe\""),
        (
            "email_field = 'Mail'",
            "name for the address is \"Email Address\"",
        ),
        ("double_opt_ins = ['Other']", "no question \"Other\""),
    ] {
        let error = account.connect(more).check().await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    account.fake.with(|account| {
        account.questions.push(Question::new(784, "Other", "CONF"));
        account.fields.push(Field::new("Shoe", "NOT_TAGGED_1"));
    });
    account
        .connect("double_opt_ins = ['Other']\nfields = { Shoe = '=x' }")
        .check()
        .await
        .unwrap();
    account
        .fake
        .with(|account| account.forbidden.push("page".to_owned()));
    let error = account.connect("").check().await.unwrap_err().to_string();
    assert!(error.contains("may not read this"), "{error}");
    account.fake.with(|account| account.allows_address = false);
    let error = account.connect("").check().await.unwrap_err().to_string();
    assert!(error.contains("address of this machine"), "{error}");
    let error = connect(&account.fake.url(), "")
        .check()
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("does not accept `token`"), "{error}");
    // The configuration is wrong, and not the record.
    account.fake.with(|account| account.allows_address = true);
    let mut contact = account.subscriber(1);
    contact.record.kind = DeliveryKind::Contact;
    let results = account
        .connect("fields = { Hat = '=x' }")
        .deliver(&[contact])
        .await;
    assert_eq!(outcomes(&results), ["halt"], "{results:?}");
}
