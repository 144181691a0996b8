//! The connector against an account in memory. VBOUT publishes no client; a script that knows only the names of its
//! published OpenAPI reads what was written, and writes what the connector must cope with.

use causeway_core::{
    clock::Clock,
    decode::{
        body::{Limits, Spelling},
        placeholders::Placeholders,
        sync::{ArrivalConsent, SyncDecoder},
    },
    envelope::{Dedup, Envelope, Meta},
    event::{Decode, Decoded},
};
use causeway_testkit::vendors::{
    FakeVendor,
    clients::Script,
    vbout::{self, Dialect, KEY},
};

use super::*;

const ADA: &str = "person1@example.org";

struct Account {
    clock: Arc<TestClock>,
    fake: FakeVendor<vbout::Vbout>,
    list: u64,
    client: Script,
}

impl Account {
    async fn start() -> Self {
        let clock = Arc::new(TestClock::default());
        let mut fake = vbout::Vbout::new(Arc::<TestClock>::clone(&clock));
        fake.limit = None;
        let list = fake.add_list("News", &["First Name", "Last Name"]);
        let fake = FakeVendor::start(fake).await;
        let mut client = Script::python("vbout_openapi.py");
        let start = json!(["start", { "url": fake.url(), "key": KEY }]);
        assert_eq!(client.ask(&start).await, json!({ "ok": null }));
        Self {
            clock,
            fake,
            list,
            client,
        }
    }

    fn connect(&self, more: &str) -> Box<dyn Destination> {
        let (first, last) = (self.list + 1, self.list + 2);
        let fields =
            format!("fields = {{ {first} = 'contact.firstName', {last} = 'contact.lastName' }}\n{more}");
        let mut own = table(&self.fake.url(), &fields);
        own.insert("api_key".to_owned(), KEY.into());
        own.insert("list".to_owned(), toml::Value::try_from(self.list).unwrap());
        let mut context = context();
        context.clock = Arc::<TestClock>::clone(&self.clock);
        (KIND.connect)(&context, &own).unwrap()
    }

    /// The data that the script got.
    async fn call(&mut self, operation: &str, parameters: Value) -> Value {
        let answer = self.client.ask(&json!([operation, parameters])).await;
        assert_eq!(answer["ok"]["status"], 200, "{operation}: {answer}");
        answer["ok"]["body"]["response"]["data"].clone()
    }

    fn status(&self, email: &str) -> Option<u8> {
        self.fake.with(|account| account.status(email, self.list))
    }

    fn since(&self) -> String {
        self.clock.now().to_string()
    }
}

async fn deliver(connected: &dyn Destination, delivery: &mut Delivery) -> AttemptResult {
    let result = connected.deliver(std::slice::from_ref(delivery)).await.remove(0);
    *delivery = next(delivery, &result);
    result
}

#[tokio::test]
async fn what_was_delivered_is_read_by_a_script_of_the_published_openapi() {
    let mut account = Account::start().await;
    let connected = account.connect("tags = ['=causeway']");
    connected.check().await.unwrap();
    assert!(connected.remarks()[0].contains("is \"News\"; its fields: 502 First Name, 503 Last Name"));
    let since = account.since();
    // The second time the vendor has everything, and nothing is remembered.
    for _ in 0..2 {
        let results = connected.deliver(&[subscriber(1, &since), delivery(2)]).await;
        assert_eq!(outcomes(&results), ["delivered"; 2], "{results:?}");
        let shown = account
            .call(
                "GetContactByEmail",
                json!({ "email": ADA, "listid": account.list }),
            )
            .await;
        assert_eq!(
            (
                &shown["contact"][0]["status"],
                shown["contact"].as_array().unwrap().len()
            ),
            (&json!("1"), 1)
        );
        let remote_id = shown["contact"][0]["id"].as_str().map(str::to_owned);
        let timeline = account
            .call("GetContactTimeline", json!({ "id": remote_id }))
            .await;
        assert_eq!(timeline["timeline"]["count"], 1, "{timeline}");
        assert_eq!(results[0].outcome, Outcome::Delivered { remote_id });
    }
    assert_eq!(account.status("person2@example.org"), Some(2));
    let first = account.list + 1;
    account.fake.with(|account| {
        assert_eq!((account.contacts.len(), account.unknown_parameters.len()), (2, 0));
        for contact in account.contacts.values() {
            assert_eq!((&*contact.fields[&first], contact.tags.len()), ("Ada", 1));
        }
    });
}

#[tokio::test]
async fn people_whom_others_changed_keep_their_will() {
    for dialect in [
        Dialect::default(),
        Dialect {
            has_outer_errors: true,
            shows_one_as_object: true,
            shows_lists: false,
            deletes_by: Some("DELETE"),
            returns_ids: false,
            disactive: 0,
        },
    ] {
        let mut account = Account::start().await;
        account.fake.with(|account| account.dialect = dialect);
        let connected = account.connect("");
        let create = json!({ "email": "Person1@Example.org", "listid": account.list, "status": "Active" });
        account.call("AddContact", create).await;
        let mut person = subscriber(1, &account.since());
        let result = deliver(&*connected, &mut person).await;
        assert_eq!(result.outcome.as_str(), "delivered", "{result:?}");
        assert_eq!(account.status(ADA), Some(1));
        // They leave there. The same opt-in does not bring them back, nor does one before Causeway saw it.
        let id = account.fake.with(|fake| fake.with_address(ADA, None)[0]);
        account
            .fake
            .with(|fake| fake.contacts.get_mut(&id).unwrap().status = 2);
        account.clock.advance(Duration::from_hours(1));
        person.record.consent_state = subscriber(1, "2026-01-01T00:30:00Z").record.consent_state;
        deliver(&*connected, &mut person).await;
        assert_eq!(account.status(ADA), Some(2));
        // They agree again, a day later.
        account.clock.advance(Duration::from_hours(24));
        person.record.consent_state = subscriber(1, &account.since()).record.consent_state;
        deliver(&*connected, &mut person).await;
        assert_eq!(account.status(ADA), Some(1));
        // They opt out here, and in again within minutes.
        let mut leaving = withdrawal(Change::Unsubscribe);
        leaving.memory = person.memory.clone();
        let result = deliver(&*connected, &mut leaving).await;
        assert_eq!(result.outcome.as_str(), "delivered", "{result:?}");
        assert_eq!(account.status(ADA), Some(dialect.disactive));
        account.clock.advance(Duration::from_mins(1));
        person.memory = leaving.memory.clone();
        person.record.consent_state = subscriber(1, &account.since()).record.consent_state;
        deliver(&*connected, &mut person).await;
        assert_eq!(account.status(ADA), Some(1));
        // They are erased, from another list, too.
        let other = account.fake.with(|fake| fake.add_list("Other", &[]));
        if dialect.shows_lists {
            account.fake.with(|fake| fake.put_contact(other, ADA, 1));
        }
        for _ in 0..2 {
            let result = deliver(&*connected, &mut withdrawal(Change::Remove)).await;
            assert_eq!(result.outcome.as_str(), "delivered", "{result:?}");
        }
        assert!(account.fake.with(|account| account.contacts.is_empty()));
    }
}

#[tokio::test]
async fn lost_answers_and_limits_lose_nobody_and_double_nothing() {
    let account = Account::start().await;
    let connected = account.connect("tags = ['=a']");
    let mut person = subscriber(1, &account.since());
    for _ in 0..4 {
        account.fake.with(|account| account.loses_answers = 1);
        let result = deliver(&*connected, &mut person).await;
        assert_eq!(result.outcome.as_str(), "retry", "{result:?}");
    }
    account.fake.with(|account| account.loses_answers = 0);
    let result = deliver(&*connected, &mut person).await;
    assert_eq!(result.outcome.as_str(), "delivered", "{result:?}");
    // The answer to the activity is lost.
    let mut other = subscriber(2, &account.since());
    for lost in 1..=5 {
        let before = account.fake.requests().len();
        account
            .fake
            .with(|account| account.loses_answers = usize::from(lost < 5));
        deliver(&*connected, &mut other).await;
        assert!(account.fake.requests().len() > before);
    }
    account.fake.with(|account| {
        assert_eq!(account.contacts.len(), 2);
        for contact in account.contacts.values() {
            assert_eq!(
                (contact.status, contact.tags.len(), contact.activities.len()),
                (1, 1, 1)
            );
        }
        account.limit = Some(1);
    });
    let results = connected
        .deliver(&[subscriber(3, &account.since()), delivery(4)])
        .await;
    assert_eq!(outcomes(&results), ["busy"; 2]);
}

/// What the automation "Contact Update (API)" sends to a listener, for each start.
fn sent_by_automations(account: &Account) -> Vec<String> {
    let list = account.list;
    account.fake.with(|fake| {
        let fired = std::mem::take(&mut fake.fired);
        let body = |fired: &vbout::Fired| {
            let contact = &fake.contacts[&fired.contact];
            let labels = &fake.lists[&list].fields;
            let mut body = url::form_urlencoded::Serializer::new(String::new());
            body.append_pair("transactionid", &format!("9{}", fired.contact));
            body.append_pair("contact[id]", &fired.contact.to_string());
            body.append_pair("contact[email]", &contact.email);
            for (at, (field, value)) in contact.fields.iter().enumerate() {
                body.append_pair(&format!("fields[{at}][id]"), &field.to_string());
                body.append_pair(&format!("fields[{at}][name]"), &labels[field]);
                body.append_pair(&format!("fields[{at}][value]"), value);
            }
            body.finish()
        };
        fired.iter().map(body).collect()
    })
}

/// The delivery of what a listener got, about the contact that is known so far.
fn forwarded(body: &str, known: &Delivery, at: Timestamp) -> Delivery {
    let decoder = SyncDecoder {
        namespace: "platform".into(),
        time_zone: jiff::tz::TimeZone::UTC,
        consent: ArrivalConsent::None,
        consent_from: Vec::new(),
        each: None,
        placeholders: Placeholders::default(),
        limits: Limits::default(),
        spelling: Spelling::default(),
    };
    let envelope = Envelope {
        source: "platform".into(),
        dedup: Dedup::dated([0; 16]),
        received_at: at,
        meta: Meta {
            content_type: Some("application/x-www-form-urlencoded".to_owned()),
            ..Meta::default()
        },
        body: body.to_owned().into(),
    };
    let Decoded::Event(event) = decoder.decode(&envelope) else {
        panic!("{body}")
    };
    let mut delivery = known.clone();
    let record = &mut delivery.record;
    record.source = "platform".into();
    record.event = "contact_sync".to_owned();
    record.action = None;
    record.change = Change::None;
    record.event_at = event.at;
    record.contact.set_fields(&event.fields, event.at);
    delivery
}

#[tokio::test]
async fn an_automation_that_sends_what_causeway_wrote_does_not_start_itself_again() {
    for keys in ["own_sources = ['platform']", ""] {
        let account = Account::start().await;
        // After the time at which the contact of the delivery got its fields.
        account.clock.advance(Duration::from_hours(24 * 90));
        let connected = account.connect(keys);
        let mut person = subscriber(1, &account.since());
        deliver(&*connected, &mut person).await;
        // A person in VBOUT changes the first name; the automation sends that.
        let first = account.list + 1;
        account.fake.with(|fake| {
            let contact = fake.contacts.values_mut().next().unwrap();
            contact.fields.insert(first, "Ida".to_owned());
        });
        let mut rounds = 0;
        loop {
            let bodies = sent_by_automations(&account);
            if bodies.is_empty() {
                break;
            }
            rounds += 1;
            assert!(rounds < 5, "{keys}: a loop");
            for body in bodies {
                account.clock.advance(Duration::from_secs(1));
                let mut back = forwarded(&body, &person, account.clock.now());
                deliver(&*connected, &mut back).await;
                person.memory = back.memory;
                person.record.contact = back.record.contact;
            }
        }
        // The creation starts it once.
        assert_eq!(rounds, 1, "{keys}");
        let name = account
            .fake
            .with(|fake| fake.contacts.values().next().unwrap().fields[&first].clone());
        assert_eq!(name, "Ida", "{keys}");
        assert_eq!(person.record.contact.text("firstName"), Some("Ida"), "{keys}");
    }
}

#[tokio::test]
async fn doctor_names_what_is_wrong_with_the_account() {
    let account = Account::start().await;
    let list = account.list;
    let mut own = table(&account.fake.url(), "");
    own.insert("list".to_owned(), toml::Value::try_from(list).unwrap());
    for (key, value, expected) in [
        ("list", toml::Value::Integer(9_999), "does not have this list"),
        (
            "fields",
            toml::Value::try_from(json!({ "777": "=x" })).unwrap(),
            "has no field 777",
        ),
        ("api_version", "2".into(), "not as VBOUT does"),
        ("api_key", "wrong".into(), "does not accept the key"),
    ] {
        let mut own = own.clone();
        own.insert("api_key".to_owned(), KEY.into());
        own.insert(key.to_owned(), value);
        let connected = (KIND.connect)(&context(), &own).unwrap();
        let error = connected.check().await.unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains(KEY), "{key}: {error}");
    }
}
