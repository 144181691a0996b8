//! The connector against a HubSpot account in memory, read and changed with HubSpot's own client.

use causeway_testkit::vendors::{
    FakeVendor,
    clients::Script,
    hubspot::{self, HubSpot, State, TOKEN},
};

use super::*;

const NEWS: u64 = 7;

struct Account {
    hubspot: FakeVendor<HubSpot>,
    client: Script,
}

impl Account {
    async fn start() -> Self {
        let mut hubspot = HubSpot::default();
        hubspot.add_subscription(NEWS, "News");
        hubspot.account.has_data_privacy = true;
        let hubspot = FakeVendor::start(hubspot).await;
        let client = Script::node("hubspot.js", &[&hubspot.url(), TOKEN]);
        Self { hubspot, client }
    }

    fn connect(&self, more: &str) -> Box<dyn Destination> {
        let keys = format!(
            "token = '{TOKEN}'\nbase_url = '{}'\nallow_private = true\ncalls_per_10_s = 1000000\n{more}",
            self.hubspot.url()
        );
        (KIND.connect)(&context(), &toml::from_str(&keys).unwrap()).unwrap()
    }

    /// The person unsubscribes a second later, and nothing is remembered of it.
    async fn leave(&self) {
        self.hubspot
            .with(|hubspot| hubspot.clock.advance(std::time::Duration::from_secs(1)));
        let connected = self.connect(&format!("subscription = {NEWS}"));
        let leaves = support::withdrawal(1, Change::Unsubscribe);
        assert_eq!(outcomes(&connected.deliver(&[leaves]).await), ["delivered"]);
    }

    /// What HubSpot's client returns for a method that succeeds.
    async fn get(&mut self, method: &str, arguments: Value) -> Value {
        let answer = self
            .client
            .ask(&json!({ "call": method, "with": arguments }))
            .await;
        assert_eq!(answer["complaints"], json!([]), "{method}: {answer}");
        assert!(answer["status"].as_u64().unwrap() < 300, "{method}: {answer}");
        answer["value"].clone()
    }

    async fn contact(&mut self, email: &str) -> Value {
        let properties = json!(["email", "firstname", "lastname", "country"]);
        self.get(
            "crm.contacts.basicApi.getById",
            json!([email, properties, null, null, false, "email"]),
        )
        .await
    }
}

#[tokio::test]
async fn what_was_delivered_is_read_by_hubspots_own_client() {
    let mut account = Account::start().await;
    let list = account
        .hubspot
        .with(|hubspot| hubspot.add_list("Rivers", hubspot::Processing::Manual));
    let connected = account.connect(&format!("subscription = {NEWS}\nlists = ['{list}']"));
    connected.check().await.unwrap();
    let batch = [subscriber(1, "2026-03-01T09:30:00Z"), delivery(2), delivery(3)];
    assert_eq!(outcomes(&connected.deliver(&batch).await), ["delivered"; 3]);
    let found = account.contact("person1@example.org").await;
    assert_eq!(
        found["properties"]["lastname"].as_str(),
        Some("Példa, \"jr\""),
        "{found}"
    );
    // The person of the other deliveries did not agree.
    let state = |email: &'static str| move |hubspot: &mut HubSpot| hubspot.subscriptions.state(email, NEWS);
    assert_eq!(
        account.hubspot.with(state("person1@example.org")),
        State::Subscribed
    );
    assert_eq!(
        account.hubspot.with(state("person2@example.org")),
        State::NotSpecified
    );
    let members = account.hubspot.with(|hubspot| hubspot.lists[&list].members.len());
    assert_eq!(members, 1, "only people who agreed are on a list");
    // The same again changes nothing and makes nobody twice.
    assert_eq!(outcomes(&connected.deliver(&batch).await), ["delivered"; 3]);
    let all = account.get("crm.contacts.basicApi.getPage", json!([100])).await;
    assert_eq!(all["results"].as_array().unwrap().len(), 3);
    assert_eq!(account.hubspot.with(|hubspot| hubspot.limits.refused()), 0);
}

#[tokio::test]
async fn an_opt_out_from_here_gives_way_to_a_new_opt_in() {
    for (deliveries, expected) in [(2, State::Unsubscribed), (3, State::Subscribed)] {
        let account = Account::start().await;
        let connected = account.connect(&format!("subscription = {NEWS}"));
        let all = support::in_out_and_in().into_iter();
        support::in_turn(&*connected, all.take(deliveries)).await;
        let state = account
            .hubspot
            .with(|hubspot| hubspot.subscriptions.state("person1@example.org", NEWS));
        assert_eq!(state, expected);
    }
}

#[tokio::test]
async fn subscriptions_of_many_people_are_read_and_written_together() {
    let account = Account::start().await;
    let connected = account.connect(&format!("subscription = {NEWS}\nbatch_statuses = true"));
    let state = |email: &'static str| {
        account
            .hubspot
            .with(|hubspot| hubspot.subscriptions.state(email, NEWS))
    };
    let since = "2026-01-01T00:00:00Z";
    // They left there, and did not agree again since.
    let alone = account.connect(&format!("subscription = {NEWS}"));
    let left = [subscriber(2, since), support::withdrawal(2, Change::Unsubscribe)];
    for delivery in left {
        assert_eq!(outcomes(&alone.deliver(&[delivery]).await), ["delivered"]);
    }
    let before = account.hubspot.requests().len();
    let batch: Vec<Delivery> = (1..=100).map(|number| subscriber(number, since)).collect();
    assert_eq!(outcomes(&connected.deliver(&batch).await), ["delivered"; 100]);
    assert_eq!(
        account.hubspot.requests().len(),
        before + 3,
        "upsert, read and write"
    );
    assert_eq!(
        (state("person1@example.org"), state("person100@example.org")),
        (State::Subscribed, State::Subscribed)
    );
    assert_eq!(state("person2@example.org"), State::Unsubscribed);
    let batch: Vec<Delivery> = (1..=100)
        .map(|number| support::withdrawal(number, Change::Unsubscribe))
        .collect();
    assert_eq!(outcomes(&connected.deliver(&batch).await), ["delivered"; 100]);
    assert_eq!(account.hubspot.requests().len(), before + 4);
    assert_eq!(state("person100@example.org"), State::Unsubscribed);
    account
        .hubspot
        .with(|hubspot| hubspot.account.is_enterprise = false);
    let error = connected.check().await.unwrap_err().to_string();
    assert!(error.contains("scope"), "{error}");
    let results = connected.deliver(&batch).await;
    assert!(
        matches!(&results[0].outcome, Outcome::Halt { reason } if reason.contains("Enterprise")),
        "{results:?}"
    );
}

#[tokio::test]
async fn an_opt_out_at_the_vendor_is_not_taken_for_one_from_here() {
    let account = Account::start().await;
    let connected = account.connect(&format!("subscription = {NEWS}"));
    let [agrees, leaves, agrees_again] = support::in_out_and_in();
    let state = || {
        account
            .hubspot
            .with(|hubspot| hubspot.subscriptions.state("person1@example.org", NEWS))
    };
    // They leave there, and in the same second here, which changes nothing there.
    support::in_turn(&*connected, [agrees.clone()]).await;
    account.leave().await;
    support::in_turn(&*connected, [leaves.clone(), agrees_again.clone()]).await;
    assert_eq!(state(), State::Unsubscribed);
    // They leave there after they came back.
    let account = Account::start().await;
    let connected = account.connect(&format!("subscription = {NEWS}"));
    let mut memory = None;
    for delivery in [agrees, leaves, agrees_again.clone()] {
        let delivery = Delivery {
            memory: memory.clone(),
            ..delivery
        };
        memory = connected.deliver(&[delivery]).await.remove(0).memory.or(memory);
    }
    account.leave().await;
    let mut again = Delivery {
        memory,
        ..agrees_again
    };
    again.record.contact.fields.get_mut("firstName").unwrap().value = json!("Zoë");
    assert_eq!(outcomes(&connected.deliver(&[again]).await), ["delivered"]);
    let state = account
        .hubspot
        .with(|hubspot| hubspot.subscriptions.state("person1@example.org", NEWS));
    assert_eq!(state, State::Unsubscribed);
}

#[tokio::test]
async fn people_who_are_there_are_changed_and_not_doubled() {
    let mut account = Account::start().await;
    let properties = json!({ "properties": { "email": "person1@example.org", "firstname": "Old" } });
    let made = account
        .get("crm.contacts.basicApi.create", json!([properties]))
        .await;
    let connected = account.connect("");
    let results = connected.deliver(&[delivery(1), delivery(2)]).await;
    assert_eq!(outcomes(&results), ["delivered", "delivered"]);
    let remote_id = Some(made["id"].as_str().unwrap().to_owned());
    assert_eq!(results[0].outcome, Outcome::Delivered { remote_id });
    let found = account.contact("person1@example.org").await;
    assert_eq!(found["properties"]["firstname"], "Ada");
    // Deleted there, a person comes back with the next delivery.
    account
        .get("crm.contacts.basicApi.archive", json!([made["id"]]))
        .await;
    assert_eq!(outcomes(&connected.deliver(&[delivery(1)]).await), ["delivered"]);
    assert_eq!(
        account.contact("person1@example.org").await["properties"]["firstname"],
        "Ada"
    );
}

#[tokio::test]
async fn a_contact_without_the_key_is_adopted_however_hubspot_reports_it() {
    use causeway_testkit::vendors::hubspot::{Property, Type};
    for late in [false, true] {
        let mut account = Account::start().await;
        account.hubspot.with(|hubspot| {
            hubspot
                .contacts
                .properties
                .add(Property::new("causeway_id", Type::String).unique());
            hubspot.contacts.conflicts_late = late;
            hubspot.add_contact(&[("email", "person1@example.org"), ("firstname", "Old")]);
            hubspot.add_contact(&[("email", "person2@example.org"), ("causeway_id", "another")]);
        });
        let connected = account.connect("key = { causeway_id = '{{ contact.email }}!' }");
        connected.check().await.unwrap();
        let batch: Vec<Delivery> = (1..=3).map(delivery).collect();
        let results = connected.deliver(&batch).await;
        assert_eq!(
            outcomes(&results),
            ["delivered", "reject", "delivered"],
            "{results:?}"
        );
        assert_eq!(
            account.contact("person1@example.org").await["properties"]["firstname"],
            "Ada"
        );
        let key = account.hubspot.with(|hubspot| {
            let found = hubspot.contacts.by_address("person1@example.org").unwrap();
            found.get("causeway_id").to_owned()
        });
        assert_eq!(key, "person1@example.org!");
    }
}

#[tokio::test]
async fn an_unsubscription_made_there_stays_and_ours_arrives() {
    let account = Account::start().await;
    let connected = account.connect(&format!("subscription = {NEWS}"));
    let state = |hubspot: &mut HubSpot| hubspot.subscriptions.state("person1@example.org", NEWS);
    let there = account.hubspot.with(|hubspot| hubspot.clock.now());
    let hour = std::time::Duration::from_hours(1);
    let before = (there - hour).to_string();
    connected.deliver(&[subscriber(1, &before)]).await;
    assert_eq!(account.hubspot.with(state), State::Subscribed);
    account
        .hubspot
        .with(|hubspot| hubspot.set_status("person1@example.org", NEWS, State::Unsubscribed));
    let results = connected.deliver(&[subscriber(1, &before)]).await;
    assert_eq!(account.hubspot.with(state), State::Unsubscribed);
    assert!(
        results[0].notes[0].contains("left unsubscribed there"),
        "{results:?}"
    );
    connected
        .deliver(&[subscriber(1, &(there + hour).to_string())])
        .await;
    assert_eq!(account.hubspot.with(state), State::Subscribed);
    let result = connected.deliver(&[withdrawal(Change::Unsubscribe)]).await;
    assert_eq!(outcomes(&result), ["delivered"]);
    assert_eq!(account.hubspot.with(state), State::Unsubscribed);
    let result = connected.deliver(&[withdrawal(Change::Remove)]).await;
    assert_eq!(outcomes(&result), ["delivered"]);
    assert!(
        account
            .hubspot
            .with(|hubspot| hubspot.contacts.by_address("person1@example.org").is_none())
    );
}

#[tokio::test]
async fn faults_and_limits_of_the_account_lose_nobody() {
    use causeway_testkit::vendors::hubspot::{Policy, faults};
    let account = Account::start().await;
    let connected = account.connect("");
    let batch: Vec<Delivery> = (1..=4).map(delivery).collect();
    for (fault, expected) in [
        (faults::locked(), "retry"),
        (faults::migrating(3_600), "busy"),
        (faults::origin_down(), "retry"),
        (faults::limited(Policy::Daily), "busy"),
        (faults::limited_by_category(), "busy"),
        (faults::empty_batch(), "delivered"),
        (faults::processing_limit(), "delivered"),
    ] {
        account.hubspot.fail([fault]);
        let results = connected.deliver(&batch).await;
        assert_eq!(outcomes(&results), [expected; 4], "{:?}", results[0]);
    }
    assert_eq!(account.hubspot.with(|hubspot| hubspot.contacts.live().count()), 4);
}

#[tokio::test]
async fn doctor_names_what_is_wrong_with_the_account() {
    let account = Account::start().await;
    for (more, found) in [
        ("subscription = 8", "no subscription type 8; it has 7 (News)"),
        ("lists = ['999']", "has no list 999"),
        ("fields = { shoe_size = '=7' }", "no property `shoe_size`"),
        (
            "fields = { hs_object_id = '=7' }",
            "`hs_object_id` cannot be written",
        ),
        (
            "key = { company = 'contact.contactRef' }",
            "`company` must be unique",
        ),
    ] {
        let error = account.connect(more).check().await.unwrap_err().to_string();
        assert!(error.contains(found), "{error}");
    }
    let wrong = format!(
        "token = 'wrong'\nbase_url = '{}'\nallow_private = true",
        account.hubspot.url()
    );
    let connected = (KIND.connect)(&context(), &toml::from_str(&wrong).unwrap()).unwrap();
    let error = connected.check().await.unwrap_err().to_string();
    assert!(error.contains("does not accept the token"), "{error}");
}

/// Tokens that end or are withdrawn in the middle are renewed without an attempt.
#[tokio::test]
async fn an_app_renews_its_tokens_until_it_is_uninstalled() {
    let account = Account::start().await;
    account.hubspot.with(|hubspot| {
        hubspot.apps.push(hubspot::App {
            client_id: "app".to_owned(),
            client_secret: "sesame".to_owned(),
            scopes: hubspot::SCOPES.map(str::to_owned).into(),
            codes: std::collections::BTreeSet::new(),
            refresh_tokens: ["eu1-first".to_owned()].into(),
        });
    });
    let keys = format!(
        "base_url = '{}'\nallow_private = true\ncalls_per_10_s = 1000000\nsubscription = {NEWS}\n\
         [oauth]\ngrant = 'refresh_token'\nclient_id = 'app'\nclient_secret = 'sesame'\nrefresh_token = 'eu1-first'",
        account.hubspot.url()
    );
    let context = Context {
        vault: Arc::new(crate::vault::memory::Memory::default()),
        ..context()
    };
    let connected = (KIND.connect)(&context, &toml::from_str(&keys).unwrap()).unwrap();
    connected.check().await.unwrap();
    for number in 1..=3 {
        let ended = connected
            .deliver(&[subscriber(number, "2026-03-01T09:30:00Z")])
            .await;
        assert_eq!(outcomes(&ended), ["delivered"]);
        account.hubspot.with(|hubspot| hubspot.tokens.clear());
    }
    account.hubspot.with(|hubspot| {
        for app in &mut hubspot.apps {
            app.refresh_tokens.clear();
        }
    });
    let ended = connected
        .deliver(&[subscriber(4, "2026-03-01T09:30:00Z"), delivery(5)])
        .await;
    assert_eq!(outcomes(&ended), ["halt"; 2]);
    assert!(
        ended[0]
            .reason()
            .unwrap()
            .contains("run `causeway connect hubspot`"),
        "{ended:?}"
    );
}
