use std::{path::Path, sync::Mutex};

use async_trait::async_trait;
use causeway_core::{
    consent::What,
    decode::proca::{OptInMode, ProcaDecoder, Testing},
    event::{Decode, Decoded},
    id::InboxId,
    keystore::{Keystore, SharedKeystore},
    source::SourceState,
    store::{Accepted, StoreError},
};
use causeway_testkit::{
    clock::TestClock,
    fake_api::{FakeApi, Reply},
    fake_proca::{FakeProca, ORG, Signed, TOKEN},
};

use super::*;

#[derive(Default)]
struct Inbox {
    rows: Mutex<Vec<Envelope>>,
    is_broken: Mutex<bool>,
}

#[async_trait]
impl Accept for Inbox {
    async fn accept(&self, envelopes: Vec<Envelope>) -> Result<Vec<Accepted>, StoreError> {
        if *self.is_broken.lock().unwrap() {
            return Err(StoreError::Unavailable("the disk is full".to_owned()));
        }
        let accepted = envelopes.iter().map(|_| Accepted {
            id: InboxId(1),
            duplicate: false,
        });
        let accepted = accepted.collect();
        self.rows.lock().unwrap().extend(envelopes);
        Ok(accepted)
    }
}

struct Bench {
    api: FakeApi,
    proca: FakeProca,
    inbox: Arc<Inbox>,
    accept: Arc<dyn Accept>,
    clock: Arc<TestClock>,
    memory: Memory,
}

impl Bench {
    async fn new() -> Self {
        let api = FakeApi::start().await;
        let inbox = Arc::new(Inbox::default());
        Self {
            proca: FakeProca::at(&api),
            api,
            accept: Arc::clone(&inbox) as Arc<dyn Accept>,
            inbox,
            clock: Arc::default(),
            memory: Memory::default(),
        }
    }

    fn reconciler(&self, keys: &str) -> Reconciler {
        let text = format!("url = '{}'\nallow_private = true\n{keys}", self.api.url("/api"));
        let config: Reconcile = toml::from_str(&text).unwrap();
        config.check().unwrap();
        let context = Context {
            name: "proca".into(),
            clock: self.clock.clone(),
            tables: causeway_core::mapping::Tables::default(),
            dir: Path::new(".").to_owned(),
        };
        Reconciler::new(&context, &config).unwrap()
    }

    async fn look(&mut self, keys: &str) -> Result<Found, Trouble> {
        let reconciler = self.reconciler(&format!("org = '{ORG}'\nbearer = '{TOKEN}'\n{keys}"));
        reconciler.look(&self.accept, &mut self.memory).await
    }

    /// What the rules make of what was accepted since the last time: number, who, and what it says.
    fn told(&self) -> Vec<(String, Vec<What>, Vec<String>)> {
        let decoder = ProcaDecoder {
            namespace: "proca".into(),
            own_orgs: ["12".to_owned()].into(),
            keystore: Arc::new(SharedKeystore::new(Keystore::default())),
            testing: Testing::Skip,
            opt_in: OptInMode::Single,
            purpose: "email".into(),
            consent_from: Vec::new(),
        };
        let rows: Vec<Envelope> = std::mem::take(&mut *self.inbox.rows.lock().unwrap());
        let events = rows.iter().map(|row| match decoder.decode(row) {
            Decoded::Event(event) => event,
            other => panic!("{other:?}"),
        });
        events
            .map(|event| {
                let action = event.action.as_ref().unwrap();
                let facts = event.consent.iter();
                (
                    action.external_id.clone(),
                    facts.clone().map(|fact| fact.what.clone()).collect(),
                    facts.map(|fact| fact.basis.clone()).collect(),
                )
            })
            .collect()
    }
}

fn found(seen: usize, told: usize) -> Found {
    Found {
        seen,
        told,
        unread: 0,
    }
}

#[tokio::test]
async fn what_the_queue_lost_is_found_and_told_once() {
    let mut bench = Bench::new().await;
    for (id, name, opt_in) in [(1, "ann", Some(true)), (2, "bob", Some(false)), (3, "cem", None)] {
        bench.proca.add(Signed::new(id, name, opt_in));
    }
    assert_eq!(bench.look("").await, Ok(found(3, 3)));
    let told = bench.told();
    assert_eq!(
        told.iter()
            .map(|(id, what, _)| (id.as_str(), what.clone()))
            .collect::<Vec<_>>(),
        [
            ("1", vec![What::OptIn]),
            ("2", vec![What::Declined]),
            ("3", vec![What::NotAsked])
        ]
    );
    assert!(
        told[0].2[0].starts_with("reconciliation, proca action: opted in"),
        "{told:?}"
    );
    // Nothing new, nothing told.
    assert_eq!(bench.look("").await, Ok(found(3, 0)));
    assert_eq!(bench.told(), []);
    // The event of the click was lost.
    bench.proca.change(1, "DOUBLE_OPT_IN", "2025-12-31T12:00:00");
    assert_eq!(bench.look("").await, Ok(found(3, 1)));
    assert_eq!(bench.told()[0].1, [What::DoubleOptIn]);
}

#[tokio::test]
async fn who_vanished_from_the_lists_is_asked_for_by_address() {
    let mut bench = Bench::new().await;
    for (id, name) in [(1, "ann"), (2, "bob"), (3, "bob")] {
        bench.proca.add(Signed::new(id, name, Some(true)));
    }
    bench.look("").await.unwrap();
    bench.told();
    bench.proca.change(2, "BOUNCE", "2025-12-31T12:00:00");
    assert_eq!(bench.look("").await, Ok(found(4, 1)));
    let told = bench.told();
    assert_eq!((told[0].0.as_str(), &told[0].1), ("2", &vec![What::Bounced]));
    assert!(told[0].2[0].contains("row 6"), "{told:?}");
    // It stays away, and is not asked for again.
    let before = bench.api.requests().len();
    assert_eq!(bench.look("").await, Ok(found(2, 0)));
    assert_eq!(bench.api.requests().len() - before, 2);
    // Who is older than what is compared did not vanish.
    bench.clock.advance(Duration::from_hours(24 * 60));
    let before = bench.api.requests().len();
    assert_eq!(bench.look("").await, Ok(found(0, 0)));
    assert_eq!(bench.api.requests().len() - before, 1);
}

#[tokio::test]
async fn all_pages_are_read_whatever_their_length() {
    let mut bench = Bench::new().await;
    for id in 1..=250 {
        let mut signed = Signed::new(id * 3, &format!("person{id}"), Some(id % 2 == 0));
        // More than is read of one answer, in pages of this size.
        signed.comment = if id < 20 { 9_000 } else { 10 };
        bench.proca.add(signed);
    }
    // The other side gives no more than 100 at a time.
    assert_eq!(bench.look("page = 1000").await, Ok(found(250, 250)));
    let ids: HashSet<String> = bench.told().into_iter().map(|(id, ..)| id).collect();
    assert_eq!(ids.len(), 250);
    let mut long = Signed::new(1, "long", Some(true));
    long.comment = 70_000;
    bench.proca.add(long);
    assert_eq!(bench.look("").await, Err(Trouble::TooLong));
}

#[tokio::test]
async fn an_encrypted_contact_comes_as_the_queue_would_bring_it() {
    let mut bench = Bench::new().await;
    let mut signed = Signed::new(1, "ann", Some(true));
    signed.is_encrypted = true;
    bench.proca.add(signed);
    assert_eq!(bench.look("").await, Ok(found(1, 1)));
    let rows = bench.inbox.rows.lock().unwrap();
    let body: Value = serde_json::from_slice(&rows[0].body).unwrap();
    assert_eq!(body["contact"]["contactRef"], "ref-of-ann");
    assert_eq!(body["contact"].get("email"), None);
    assert_eq!(body["personalInfo"]["payload"], "c2VjcmV0");
    assert_eq!(body["personalInfo"]["encryptKey"]["public"], "cHVibGlj");
    assert_eq!(body["action"]["createdAt"], "2025-12-31T10:00:00Z");
}

#[tokio::test]
async fn trouble_is_told_without_secrets_and_nothing_is_taken_for_vanished() {
    let mut bench = Bench::new().await;
    bench.proca.add(Signed::new(1, "ann", Some(true)));
    bench.look("").await.unwrap();
    bench.told();
    let partial = serde_json::json!({ "data": { "exportActions": [] }, "errors": [{ "message": "ann@example.org timed out" }] });
    let no_list = serde_json::json!({ "data": { "exportActions": null } });
    for (reply, told) in [
        (Reply::json(200, &partial), "1 error(s)"),
        (Reply::json(200, &no_list), "no list"),
        (Reply::status(200).body("<html>"), "no JSON"),
        (Reply::status(502), "status 502"),
        (Reply::status(403), "refuses us"),
        (Reply::close(), "127.0.0.1"),
    ] {
        bench.api.script("/api", [reply]);
        let trouble = bench.look("").await.unwrap_err().to_string();
        assert!(trouble.contains(told), "{trouble}");
        assert!(!trouble.contains(TOKEN) && !trouble.contains("ann"), "{trouble}");
    }
    for keys in [
        format!("org = '{ORG}'\nbearer = 'API-wrong'"),
        format!("org = '{ORG}'\nbasic = {{ user = 'a', password = 'b' }}"),
        format!("org = 'lakes'\nbearer = '{TOKEN}'"),
    ] {
        let reconciler = bench.reconciler(&keys);
        let refused = reconciler
            .look(&bench.accept, &mut bench.memory)
            .await
            .unwrap_err();
        assert!(matches!(refused, Trouble::Refused(_)), "{keys}: {refused}");
    }
    // What the store did not take is told the next time.
    bench.proca.add(Signed::new(2, "bob", Some(true)));
    *bench.inbox.is_broken.lock().unwrap() = true;
    assert!(matches!(bench.look("").await, Err(Trouble::Store(_))));
    *bench.inbox.is_broken.lock().unwrap() = false;
    assert_eq!(bench.look("").await, Ok(found(2, 1)));
    assert_eq!(bench.told()[0].0, "2");
}

#[derive(Default)]
struct Counted(Mutex<Vec<&'static str>>);

impl Health for Counted {
    fn set(&self, _: SourceState) {}
    fn gauge(&self, _: &'static str, _: i64) {}
    fn count(&self, name: &'static str) {
        self.0.lock().unwrap().push(name);
    }
}

#[tokio::test]
async fn it_looks_as_often_as_configured_and_goes_on_after_trouble() {
    let bench = Bench::new().await;
    bench.proca.add(Signed::new(1, "ann", Some(true)));
    let reconciler = bench.reconciler(&format!("org = '{ORG}'\nbearer = '{TOKEN}'\nevery_h = 2"));
    let (health, stop) = (Arc::new(Counted::default()), Stop::new());
    let running = reconciler.run(bench.accept.clone(), health.clone(), stop.clone());
    let watching = async {
        let hours = Duration::from_hours;
        let start = bench.clock.now();
        // It sleeps through the first hour: who looks again would sleep until another time.
        bench.clock.has_sleeper(start + hours(2)).await;
        assert_eq!(bench.api.requests().len(), 2);
        bench.clock.advance(hours(1));
        bench.clock.has_sleeper(start + hours(2)).await;
        assert_eq!(bench.api.requests().len(), 2, "not before two hours");
        bench.api.script("/api", [Reply::status(500)]);
        bench.clock.advance(hours(1));
        bench.clock.has_sleeper(start + hours(4)).await;
        assert_eq!(bench.api.requests().len(), 3);
        bench.clock.advance(hours(2));
        bench.clock.has_sleeper(start + hours(6)).await;
        assert_eq!(bench.api.requests().len(), 5);
        stop.cancel();
    };
    tokio::join!(running, watching);
    assert_eq!(
        *health.0.lock().unwrap(),
        ["reconciled", "reconcile_failed", "reconciled"]
    );
    assert_eq!(bench.inbox.rows.lock().unwrap().len(), 1);
}

#[test]
fn what_cannot_work_is_refused_with_the_key() {
    for (keys, told) in [
        ("org = 'a'", "`reconcile`: give either"),
        (
            "org = 'a'\nbearer = 'b'\nbasic = { user = 'a', password = 'b' }",
            "`reconcile`: give either",
        ),
        ("org = ' '\nbearer = 'b'", "`reconcile.org`"),
        ("org = 'a'\nbearer = 'b'\nevery_h = 0", "`reconcile.every_h`"),
        ("org = 'a'\nbearer = 'b'\npage = 5000", "`reconcile.page`"),
        (
            "org = 'a'\nbearer = 'b'\nurl = 'http://api.example.org'",
            "`reconcile.url`",
        ),
        (
            "org = 'a'\nbearer = 'b'\nurl = 'https://127.0.0.1/api'",
            "`reconcile.url`",
        ),
    ] {
        let config: Reconcile = toml::from_str(keys).unwrap();
        let error = config.check().unwrap_err().to_string();
        assert!(error.starts_with(told), "{keys}: {error}");
    }
}
