//! The connector against Google in memory, read and changed with Google's own client.

use causeway_testkit::vendors::{
    FakeVendor,
    clients::Script,
    google::{
        self, ACCOUNT, CLIENT_ID, CLIENT_SECRET, Course, PERSON, REFRESH_TOKEN, SERVICE_ACCOUNT, TOKEN,
    },
};
use jiff::SignedDuration;

use super::*;

struct Ads {
    google: FakeVendor<google::Google>,
    clock: Arc<TestClock>,
    list: u64,
}

impl Ads {
    async fn start() -> Self {
        let clock = Arc::new(TestClock::default());
        let google = FakeVendor::start(google::Google::new(Arc::<TestClock>::clone(&clock))).await;
        let list = google.with(|google| google.add_list(ACCOUNT, "list 42"));
        Self { google, clock, list }
    }

    fn connect_with(&self, credentials: &str, more: &str) -> Box<dyn Destination> {
        let keys = format!(
            "{credentials}\naccount = '{ACCOUNT}'\nlist = {}\naccept_terms = true\nbase_url = '{}'\n\
             allow_private = true\ncalls_per_minute = 100000\n{more}",
            self.list,
            self.google.url()
        );
        let context = Context {
            clock: Arc::<TestClock>::clone(&self.clock),
            vault: Arc::new(Keeper::default()),
            ..context()
        };
        (KIND.connect)(&context, &toml::from_str(&keys).unwrap()).unwrap()
    }

    fn connect(&self, more: &str) -> Box<dyn Destination> {
        self.connect_with(&format!("token = '{TOKEN}'"), more)
    }

    fn has(&self, number: i64) -> bool {
        let address = format!("person{number}@example.org");
        self.google
            .with(|google| google.list(ACCOUNT, self.list).has_email(&address))
    }

    fn has_id(&self, identifier: &str) -> bool {
        self.google
            .with(|google| google.list(ACCOUNT, self.list).has(identifier))
    }

    fn people(&self) -> usize {
        self.google
            .with(|google| google.list(ACCOUNT, self.list).people())
    }

    /// The number of calls of a method.
    fn calls(&self, method: &str) -> usize {
        let requests = self.google.requests();
        requests
            .iter()
            .filter(|request| request.path.ends_with(method))
            .count()
    }

    fn advance_minutes(&self, minutes: u64) {
        self.clock.advance(Duration::from_mins(minutes));
    }

    /// Delivers until no delivery waits for a result, as the hub does; at most `most` times.
    async fn settle(
        &self,
        connected: &dyn Destination,
        batch: &[Delivery],
        most: usize,
    ) -> Vec<AttemptResult> {
        let (mut batch, mut results) = (batch.to_vec(), Vec::new());
        for _ in 0..most {
            results = connected.deliver(&batch).await;
            batch = next(&batch, &results);
            if results
                .iter()
                .all(|result| !matches!(result.outcome.as_str(), "pending" | "retry"))
            {
                break;
            }
            self.advance_minutes(30);
        }
        results
    }
}

/// Keeps secrets in memory.
#[derive(Default)]
struct Keeper(std::sync::Mutex<Option<crate::vault::Kept>>);

#[async_trait::async_trait]
impl crate::vault::Vault for Keeper {
    async fn read(&self, _: &str) -> Result<Option<crate::vault::Kept>, crate::vault::VaultError> {
        Ok(self.0.lock().unwrap().clone())
    }

    async fn replace(
        &self,
        _: &str,
        version: u64,
        secret: &causeway_core::secret::Secret,
    ) -> Result<bool, crate::vault::VaultError> {
        let mut kept = self.0.lock().unwrap();
        if kept.as_ref().map_or(0, |kept| kept.version) != version {
            return Ok(false);
        }
        *kept = Some(crate::vault::Kept {
            secret: secret.clone(),
            version: version + 1,
        });
        Ok(true)
    }
}

/// Google's client, connected to the account.
struct Client(Script);

impl Client {
    async fn start(ads: &Ads) -> Self {
        let mut client = Self(Script::python("google_datamanager.py"));
        let host = ads.google.url().replace("http://", "");
        client.run("start", json!({ "host": host, "token": TOKEN })).await;
        client
    }

    async fn run(&mut self, command: &str, arguments: Value) -> Value {
        let answer = self.0.ask(&json!([command, arguments])).await;
        assert!(answer.get("error").is_none(), "{command}: {answer}");
        answer["ok"].clone()
    }
}

#[tokio::test]
async fn a_delivery_is_done_when_google_has_processed_it() {
    let ads = Ads::start().await;
    let mut client = Client::start(&ads).await;
    ads.google
        .with(|google| google.processing_takes = SignedDuration::from_mins(50));
    let connected = ads.connect("");
    let batch: Vec<Delivery> = (1..=300).map(subscriber).collect();
    let results = connected.deliver(&batch).await;
    assert_eq!(outcomes(&results), vec!["pending"; 300]);
    let Outcome::Pending { ticket, after } = &results[0].outcome else {
        panic!("{:?}", results[0]);
    };
    assert_eq!(*after, Duration::from_mins(30));
    assert_eq!((ads.people(), ads.calls("ingest")), (0, 1));
    // Google's client reads what was sent, and refuses what no message has.
    let body = ads.google.requests()[0].json();
    client
        .run(
            "check",
            json!({ "kind": "IngestAudienceMembersRequest", "body": body }),
        )
        .await;

    // After a restart one call asks for all of them.
    let connected = ads.connect("");
    let batch = next(&batch, &results);
    ads.advance_minutes(30);
    let results = connected.deliver(&batch).await;
    assert_eq!(outcomes(&results), vec!["pending"; 300]);
    assert!(matches!(&results[9].outcome, Outcome::Pending { ticket: same, .. } if same == ticket));
    assert_eq!(ads.calls("retrieve"), 1);
    ads.advance_minutes(30);
    let results = connected.deliver(&next(&batch, &results)).await;
    assert_eq!(outcomes(&results), vec!["delivered"; 300]);
    assert_eq!(
        (ads.people(), ads.calls("retrieve"), ads.calls("ingest")),
        (300, 2, 1)
    );
    let read = client
        .run("read", json!({ "account": ACCOUNT, "id": ads.list }))
        .await;
    assert_eq!(read["sizeInfo"]["searchNetworkMembersCount"], "300");
    // Whom another program removes by the same hash is out.
    let gone = json!({ "userData": { "userIdentifiers": [{ "emailAddress": google::hash("person7@example.org") }] } });
    let body = json!({
        "destinations": ads.google.requests()[0].json()["destinations"], "audienceMembers": [gone], "encoding": "HEX",
    });
    client.run("remove", json!({ "body": body })).await;
    ads.advance_minutes(60);
    client.run("find", json!({ "account": ACCOUNT })).await;
    assert_eq!((ads.people(), ads.has(7)), (299, false));
    ads.google.with(|google| assert_eq!(google.misuses, []));
}

#[tokio::test]
async fn the_waits_grow_and_a_request_without_a_result_is_sent_again() {
    let ads = Ads::start().await;
    ads.google
        .with(|google| google.courses = [Course::Unknown, Course::New("QUEUED")].into());
    let connected = ads.connect("");
    let mut batch = vec![subscriber(1)];
    for _ in 0..2 {
        let mut results = connected.deliver(&batch).await;
        let mut waits = Vec::new();
        while let Outcome::Pending { after, .. } = results[0].outcome {
            waits.push(after.as_secs() / 60);
            ads.clock.advance(after);
            batch = next(&batch, &results);
            results = connected.deliver(&batch).await;
        }
        assert_eq!(waits[..6], [30, 30, 60, 120, 240, 240]);
        assert!(
            waits.iter().sum::<u64>() > 3 * 24 * 60 && waits.len() < 30,
            "{waits:?}"
        );
        assert_eq!(
            (outcomes(&results), results[0].ticket_is_void),
            (vec!["retry"], true)
        );
        batch = next(&batch, &results);
    }
    let results = ads.settle(&*connected, &batch, 3).await;
    assert_eq!((outcomes(&results), ads.has(1)), (vec!["delivered"], true));
}

#[tokio::test]
async fn a_removal_names_exactly_what_was_put_there() {
    let ads = Ads::start().await;
    let mut client = Client::start(&ads).await;
    let connected = ads.connect("identifiers = ['email', 'phone', 'address']");
    let mut person = subscriber(1);
    for (name, value) in [("phone", "+32470123456"), ("postcode", "1060"), ("country", "BE")] {
        set(&mut person, name, value);
    }
    let results = ads.settle(&*connected, &[person.clone()], 3).await;
    assert_eq!(outcomes(&results), ["delivered"]);
    let memory = results[0].memory.clone().unwrap();
    // Only hashes are remembered.
    let text = memory.to_string();
    assert!(
        !text.contains('@') && !text.contains("32470") && text.len() < 1_000,
        "{text}"
    );

    // The person moves, and has another number and address.
    let mut moved = person.clone();
    moved.memory = Some(memory);
    moved.record.change = Change::None;
    for (name, value) in [
        ("email", "person2@example.org"),
        ("phone", "+32470999999"),
        ("postcode", "2000"),
    ] {
        set(&mut moved, name, value);
    }
    let results = ads.settle(&*connected, &[moved.clone()], 3).await;
    assert_eq!((outcomes(&results), ads.people()), (vec!["delivered"], 2));
    let memory = results[0].memory.clone();

    // Another program added somebody; the erasure knows only the address.
    let eve =
        json!({ "userData": { "userIdentifiers": [{ "emailAddress": google::hash("eve@example.org") }] } });
    let mut body = ads.google.requests()[0].json();
    body["audienceMembers"] = json!([eve]);
    body["consent"] = json!({ "adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED" });
    client.run("ingest", json!({ "body": body })).await;
    let mut erased = withdrawal(2, Change::Remove);
    erased.memory = memory;
    for name in ["firstName", "lastName", "country"] {
        erased.record.contact.fields.remove(name);
    }
    assert!(ads.has(1) && ads.has_id(&format!("phone:{}", google::hash("+32470123456"))));
    let results = ads.settle(&*connected, &[erased], 3).await;
    assert_eq!(outcomes(&results), ["delivered"]);
    // Nothing of the person is left, and nobody else is gone.
    ads.google.with(|google| {
        let list = google.list(ACCOUNT, ads.list);
        assert_eq!(list.people(), 1);
        assert!(list.has_email("eve@example.org"));
        assert_eq!(google.misuses, []);
    });
    let removal = ads
        .google
        .requests()
        .into_iter()
        .rfind(|request| request.path == REMOVE)
        .unwrap()
        .json();
    client
        .run(
            "check",
            json!({ "kind": "RemoveAudienceMembersRequest", "body": removal }),
        )
        .await;
    let memory = Memory::read(results[0].memory.as_ref(), &format!("{ACCOUNT}/{}", ads.list));
    assert!(memory.ids.is_empty());
}

#[tokio::test]
async fn an_unchanged_person_costs_no_call_until_it_is_time_to_renew() {
    let ads = Ads::start().await;
    let connected = ads.connect("renew_days = 100");
    let results = ads.settle(&*connected, &[subscriber(1)], 3).await;
    let mut again = subscriber(1);
    again.memory = results[0].memory.clone();
    again.planned_at = causeway_core::clock::Clock::now(&*ads.clock);
    again.record.change = Change::None;
    let calls = ads.google.requests().len();
    let results = connected.deliver(std::slice::from_ref(&again)).await;
    assert_eq!(outcomes(&results), ["skip"]);
    assert!(reason(&results[0]).contains("in the list already"), "{results:?}");
    assert_eq!(ads.google.requests().len(), calls);
    // An opt-in is always sent, a changed identifier, and whoever was confirmed long ago.
    let mut opted = again.clone();
    opted.record.change = Change::Subscribe;
    let mut changed = again.clone();
    set(&mut changed, "email", "person9@example.org");
    let mut old = again.clone();
    old.planned_at = again.planned_at + SignedDuration::from_hours(101 * 24);
    for delivery in [opted, changed, old] {
        assert_eq!(outcomes(&connected.deliver(&[delivery]).await), ["pending"]);
    }
    // Another list knows nobody.
    ads.google.with(|google| google.add_list(ACCOUNT, "list 43"));
    let other = Ads {
        list: ads.list + 1,
        ..ads
    };
    assert_eq!(outcomes(&other.connect("").deliver(&[again]).await), ["pending"]);
}

#[tokio::test]
async fn whoever_google_did_not_take_is_found_by_smaller_calls() {
    let ads = Ads::start().await;
    let connected = ads.connect("");
    let lost = vec![("PROCESSING_ERROR_REASON_INVALID_FORMAT", 1)];
    // The last person of each call that fails: of 40, then of one of 14 calls about 3, then alone.
    ads.google.with(|google| {
        google.courses = [Course::Errors(lost.clone())].into();
        google.courses.extend(vec![Course::Natural; 13]);
        google.courses.push_back(Course::Errors(vec![(
            "PROCESSING_ERROR_REASON_INVALID_FORMAT",
            1,
        )]));
    });
    let batch: Vec<Delivery> = (1..=40).map(subscriber).collect();
    let results = connected.deliver(&batch).await;
    ads.advance_minutes(30);
    let batch = next(&batch, &results);
    let results = connected.deliver(&batch).await;
    assert_eq!(outcomes(&results), vec!["retry"; 40]);
    let text = "Google did not add everybody of a call about 40 people (1 of INVALID_FORMAT)";
    assert!(reason(&results[0]).starts_with(text), "{}", reason(&results[0]));
    let batch = next(&batch, &results);
    let results = connected.deliver(&batch).await;
    assert_eq!(ads.calls("ingest"), 15);
    ads.advance_minutes(30);
    let batch = next(&batch, &results);
    let results = connected.deliver(&batch).await;
    // The last call was about one person.
    let mut expected = vec!["delivered"; 39];
    expected.push("reject");
    assert_eq!(outcomes(&results), expected);
    assert_eq!(
        reason(&results[39]),
        "Google did not add the person (1 of INVALID_FORMAT)"
    );
    assert!(results[39].ticket_is_void && ads.people() == 39);
}

#[tokio::test]
async fn a_removal_is_confirmed_only_by_success() {
    for (course, expected, found) in [
        (Course::Failed, "retry", "gave no reason"),
        (
            Course::Errors(vec![("PROCESSING_ERROR_REASON_INTERNAL_ERROR", 1)]),
            "retry",
            "INTERNAL_ERROR",
        ),
        (
            Course::Errors(vec![("PROCESSING_ERROR_REASON_INVALID_FORMAT", 1)]),
            "reject",
            "by hand",
        ),
        (
            Course::Warnings(vec![("PROCESSING_WARNING_REASON_INTERNAL_ERROR", 1)]),
            "delivered",
            "",
        ),
    ] {
        let ads = Ads::start().await;
        let connected = ads.connect("");
        let results = ads.settle(&*connected, &[subscriber(1)], 3).await;
        ads.google.with(|google| google.courses = [course.clone()].into());
        let mut out = withdrawal(1, Change::Unsubscribe);
        out.memory = results[0].memory.clone();
        let batch = [out];
        let results = connected.deliver(&batch).await;
        ads.advance_minutes(30);
        let batch = next(&batch, &results);
        let results = connected.deliver(&batch).await;
        assert_eq!(outcomes(&results), [expected], "{course:?}");
        assert!(reason(&results[0]).contains(found), "{results:?}");
        if expected == "delivered" {
            assert_eq!(results[0].notes, ["Google warned: 1 of INTERNAL_ERROR"]);
        }
        if expected == "retry" {
            let results = ads.settle(&*connected, &next(&batch, &results), 3).await;
            assert_eq!((outcomes(&results), ads.has(1)), (vec!["delivered"], false));
        }
    }
}

#[tokio::test]
async fn removals_come_first_and_lost_answers_lose_nobody() {
    let ads = Ads::start().await;
    let connected = ads.connect("");
    ads.settle(&*connected, &[subscriber(2)], 3).await;
    let before = ads.google.requests().len();
    ads.google.with(|google| google.loses_answers = 2);
    let batch = [subscriber(1), withdrawal(2, Change::Remove), subscriber(3)];
    assert_eq!(outcomes(&connected.deliver(&batch).await), ["retry"; 3]);
    let sent: Vec<String> = ads.google.requests()[before..]
        .iter()
        .map(|one| one.path.clone())
        .collect();
    assert_eq!(sent, [REMOVE, INGEST]);
    let results = ads.settle(&*connected, &batch, 3).await;
    assert_eq!(outcomes(&results), ["delivered"; 3]);
    assert_eq!((ads.people(), ads.has(2)), (2, false));
}

#[tokio::test]
async fn a_full_quota_stops_the_calls_until_it_is_free() {
    let ads = Ads::start().await;
    let connected = ads.connect("");
    ads.google.with(|google| {
        google.ingestion.per_minute = 0;
        google.ingestion.says_delay = true;
    });
    let batch = [subscriber(1), withdrawal(2, Change::Remove)];
    let results = connected.deliver(&batch).await;
    assert_eq!(
        (outcomes(&results), ads.google.requests().len()),
        (vec!["busy"; 2], 1)
    );
    assert!(
        matches!(results[0].outcome, Outcome::Busy { after: Some(after), .. } if after == Duration::from_secs(41))
    );
    ads.google.with(|google| google.ingestion.per_minute = 300);
    let results = ads.settle(&*connected, &batch, 3).await;
    assert_eq!(outcomes(&results), ["delivered"; 2]);
}

#[tokio::test]
async fn what_a_person_must_fix_halts_and_names_the_cause() {
    type Break = fn(&mut google::Google);
    let breaks: [(Break, &str); 9] = [
        (|google| google.tokens.clear(), "does not accept the token"),
        (
            |google| google.tokens.get_mut(TOKEN).unwrap().scopes.clear(),
            "the scope",
        ),
        (|google| google.is_enabled = false, "not enabled"),
        (
            |google| google.accounts.get_mut(ACCOUNT).unwrap().users.clear(),
            "Access and security",
        ),
        (
            |google| google.accounts.get_mut(ACCOUNT).unwrap().has_terms = false,
            "terms of Customer Match",
        ),
        (
            |google| google.accounts.get_mut(ACCOUNT).unwrap().has_eu_declaration = false,
            "political ads for the EU",
        ),
        (
            |google| google.accounts.get_mut(ACCOUNT).unwrap().is_allowlisted = false,
            "does not let",
        ),
        (
            |google| google.accounts.get_mut(ACCOUNT).unwrap().lists.clear(),
            "no such",
        ),
        (
            |google| {
                let lists = google.accounts.get_mut(ACCOUNT).unwrap().lists.values_mut();
                for list in lists {
                    list.fields.insert("read_only".to_owned(), true.into());
                }
            },
            "",
        ),
    ];
    for (spoil, found) in breaks {
        for names_fields in [false, true] {
            let ads = Ads::start().await;
            let connected = ads.connect("");
            connected.check().await.unwrap();
            ads.google.with(|google| {
                google.names_fields = names_fields;
                spoil(google);
            });
            let results = connected.deliver(&[subscriber(1)]).await;
            assert_eq!(outcomes(&results), ["halt"], "{found}");
            assert!(reason(&results[0]).contains(found), "{results:?}");
            let error = connected.check().await.unwrap_err().to_string();
            assert!(error.contains(found), "{error}");
        }
    }
}

#[tokio::test]
async fn doctor_proves_list_and_rights_and_changes_nothing() {
    let ads = Ads::start().await;
    let connected = ads.connect("renew_days = 100");
    connected.check().await.unwrap();
    assert_eq!(
        connected.remarks()[0],
        format!("list {} is \"list 42\" with 0 people in Search", ads.list)
    );
    assert!(
        connected.remarks()[1].contains("political ads"),
        "{:?}",
        connected.remarks()
    );
    ads.google.with(|google| {
        assert!(google.requests.is_empty());
        let list = google.list_mut(ACCOUNT, ads.list);
        list.fields
            .insert("membership_duration".to_owned(), "2592000s".into());
    });
    connected.check().await.unwrap();
    assert!(
        connected.remarks()[1].contains("30 days only"),
        "{:?}",
        connected.remarks()
    );
    for (field, value, found) in [
        ("membership_status", json!("CLOSED"), "closed"),
        ("account_access_status", json!("DISABLED"), "not shared"),
        (
            "ingested_user_list_info",
            json!({ "upload_key_types": ["USER_ID"] }),
            "no list of contacts",
        ),
    ] {
        ads.google.with(|google| {
            let list = google.list_mut(ACCOUNT, ads.list);
            list.fields.insert(field.to_owned(), value);
        });
        let error = connected.check().await.unwrap_err().to_string();
        assert!(error.contains(found), "{error}");
        ads.google.with(|google| {
            let list = google.list_mut(ACCOUNT, ads.list);
            list.fields.insert("membership_status".to_owned(), "OPEN".into());
            list.fields
                .insert("account_access_status".to_owned(), "ENABLED".into());
        });
    }
}

#[tokio::test]
async fn a_service_account_signs_in_by_its_key_and_again_when_the_token_ends() {
    let ads = Ads::start().await;
    let base = ads.google.url();
    let key = ads.google.with(|google| google.key_file(&base)).to_string();
    ads.google.with(|google| google.tokens.clear());
    let credentials = format!("service_account = {}", toml::Value::from(key));
    let connected = ads.connect_with(&credentials, "");
    connected.check().await.unwrap();
    let results = ads.settle(&*connected, &[subscriber(1)], 3).await;
    assert_eq!(
        (outcomes(&results), ads.has(1), ads.calls("/token")),
        (vec!["delivered"], true, 1)
    );
    // After an hour, and when somebody revoked the token before.
    ads.advance_minutes(61);
    connected.check().await.unwrap();
    ads.google.with(|google| google.tokens.clear());
    connected.check().await.unwrap();
    assert_eq!(ads.calls("/token"), 3);
    ads.google.with(|google| {
        google.has_service_account = false;
        google.tokens.clear();
    });
    let results = connected.deliver(&[subscriber(2)]).await;
    assert_eq!(outcomes(&results), ["halt"]);
    assert!(reason(&results[0]).contains("invalid_grant"), "{results:?}");
    ads.google
        .with(|google| assert!(google.accounts[ACCOUNT].users.contains(SERVICE_ACCOUNT)));
}

#[tokio::test]
async fn a_person_connects_an_app_and_takes_it_back() {
    let ads = Ads::start().await;
    ads.google.with(|google| {
        google.tokens.clear();
        google.accounts.get_mut(ACCOUNT).unwrap().users = [PERSON.to_owned()].into();
    });
    let credentials = format!(
        "oauth = {{ client_id = '{CLIENT_ID}', client_secret = '{CLIENT_SECRET}', grant = 'refresh_token', \
         refresh_token = '{REFRESH_TOKEN}', token_url = '{}/token' }}",
        ads.google.url()
    );
    let connected = ads.connect_with(&credentials, "");
    connected.check().await.unwrap();
    let results = ads.settle(&*connected, &[subscriber(1)], 3).await;
    assert_eq!(outcomes(&results), ["delivered"]);
    ads.google.with(|google| {
        google.app.refresh_tokens.clear();
        google.tokens.clear();
    });
    let results = connected.deliver(&[subscriber(2)]).await;
    assert_eq!(outcomes(&results), ["halt"]);
    assert!(!format!("{results:?}").contains(REFRESH_TOKEN));
}
