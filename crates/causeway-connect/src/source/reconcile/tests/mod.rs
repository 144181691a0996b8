mod campaigns;
mod schema;

use std::{path::Path, sync::Mutex};

use async_trait::async_trait;
use causeway_core::{
    consent::What,
    decode::{
        placeholders::Placeholders,
        proca::{OptInMode, ProcaDecoder, Testing},
    },
    event::{Decode, Decoded, Event},
    id::{ContactId, InboxId},
    keystore::{Keystore, SharedKeystore},
    source::SourceState,
    store::{Accepted, StoreError, UndatedStatus, Unlisted, UnlistedAction},
};
use causeway_testkit::{
    clock::TestClock,
    fake_api::{FakeApi, Reply},
    fake_proca::{FakeProca, ORG, SCHEMA, Signed, State, TOKEN},
};
use serde_json::json;

use super::*;

/// Stands for the store: keeps accepted messages, and knows their actions by number and name.
#[derive(Default)]
struct Inbox {
    rows: Mutex<Vec<Envelope>>,
    known: Mutex<BTreeMap<i64, String>>,
    asked: Mutex<Option<Unlisted>>,
    is_broken: Mutex<bool>,
    was_listed: bool,
    /// Whether the address of every contact was suppressed.
    was_suppressed: Mutex<bool>,
    /// The undated status that the store has for every action.
    undated: Mutex<Option<UndatedStatus>>,
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
        for envelope in &envelopes {
            let body: Value = serde_json::from_slice(&envelope.body).unwrap();
            if let (Some(id), Some(name)) = (body["actionId"].as_i64(), body["contact"]["firstName"].as_str())
            {
                self.known.lock().unwrap().insert(id, name.to_owned());
            }
        }
        self.rows.lock().unwrap().extend(envelopes);
        Ok(accepted)
    }

    async fn unlisted(&self, asked: Unlisted) -> Result<Vec<UnlistedAction>, StoreError> {
        let known = self.known.lock().unwrap();
        let unlisted = known
            .iter()
            .filter(|(number, _)| !asked.listed.contains(number))
            .map(|(number, name)| UnlistedAction {
                was_suppressed: *self.was_suppressed.lock().unwrap(),
                number: *number,
                contact: ContactId(i64::try_from(name.len()).unwrap()),
                addresses: (name != "nobody")
                    .then(|| format!("{name}@example.org"))
                    .into_iter()
                    .collect(),
                references: vec![format!("ref-of-{name}")],
                was_listed: self.was_listed,
                on_own_page: name == "ann",
                undated: self.undated.lock().unwrap().clone(),
            })
            .collect();
        *self.asked.lock().unwrap() = Some(asked);
        Ok(unlisted)
    }
}

struct Bench {
    api: FakeApi,
    proca: FakeProca,
    inbox: Arc<Inbox>,
    accept: Arc<dyn Accept>,
    clock: Arc<TestClock>,
    memory: Memory,
    queue: Queue,
}

/// The meaning of an accepted message: its action, its facts and their basis.
type Meant = (String, Vec<What>, Vec<String>);

impl Bench {
    async fn new() -> Self {
        let api = FakeApi::start().await;
        let inbox = Arc::new(Inbox {
            was_listed: true,
            ..Inbox::default()
        });
        Self {
            proca: FakeProca::at(&api),
            api,
            accept: Arc::clone(&inbox) as Arc<dyn Accept>,
            inbox,
            clock: Arc::default(),
            memory: Memory::default(),
            queue: Queue {
                own_orgs: ["12".to_owned()].into(),
                org: Some(12),
                ..Queue::default()
            },
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
            vault: crate::vault::NoVault::shared(),
            dir: Path::new(".").to_owned(),
        };
        Reconciler::new(&context, &config, self.queue.clone()).unwrap()
    }

    async fn compare(&mut self, keys: &str) -> Result<Found, ReconcileError> {
        let reconciler = self.reconciler(&format!("org = '{ORG}'\nbearer = '{TOKEN}'\n{keys}"));
        reconciler.compare(&self.accept, &mut self.memory).await
    }

    /// The events of the messages accepted since the last call.
    fn events(&self) -> Vec<Event> {
        let decoder = ProcaDecoder {
            placeholders: Placeholders::default(),
            namespace: "proca".into(),
            own_orgs: ["12".to_owned(), "34".to_owned()].into(),
            keystore: Arc::new(SharedKeystore::new(Keystore::default())),
            testing: Testing::Skip,
            opt_in: OptInMode::Single,
            purpose: "email".into(),
            consent_from: Vec::new(),
        };
        let rows: Vec<Envelope> = std::mem::take(&mut *self.inbox.rows.lock().unwrap());
        rows.iter()
            .map(|row| match decoder.decode(row) {
                Decoded::Event(event) => *event,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn meant(&self) -> Vec<Meant> {
        let events = self.events().into_iter();
        events
            .map(|event| {
                let facts = event.consent.iter();
                (
                    event.action.map(|action| action.external_id).unwrap_or_default(),
                    facts.clone().map(|fact| fact.what.clone()).collect(),
                    facts.map(|fact| fact.basis.clone()).collect(),
                )
            })
            .collect()
    }

    fn bodies(&self) -> Vec<Value> {
        let rows = self.inbox.rows.lock().unwrap();
        rows.iter()
            .map(|row| serde_json::from_slice(&row.body).unwrap())
            .collect()
    }
}

fn found(seen: usize, new: usize) -> Found {
    Found {
        seen,
        new,
        ..Found::default()
    }
}

#[tokio::test]
async fn lost_actions_are_found_and_accepted_once() {
    let mut bench = Bench::new().await;
    for (id, name, opt_in) in [(1, "ann", Some(true)), (2, "bob", Some(false)), (3, "cem", None)] {
        bench.proca.add(Signed::new(id, name, opt_in));
    }
    assert_eq!(bench.compare("").await, Ok(found(3, 3)));
    let meant = bench.meant();
    assert_eq!(
        meant
            .iter()
            .map(|(id, what, _)| (id.as_str(), what.clone()))
            .collect::<Vec<_>>(),
        [
            ("1", vec![What::OptIn]),
            ("2", vec![What::Declined]),
            ("3", vec![What::NotAsked])
        ]
    );
    assert!(
        meant[0].2[0].starts_with("reconciliation, proca action: opted in"),
        "{meant:?}"
    );
    assert_eq!(bench.compare("").await, Ok(found(3, 0)));
    assert_eq!(bench.meant(), []);
    // The event of the click was lost.
    bench.proca.change(1, "DOUBLE_OPT_IN", "2025-12-31T12:00:00");
    assert_eq!(bench.compare("").await, Ok(found(3, 1)));
    assert_eq!(bench.meant()[0].1, [What::DoubleOptIn]);
}

/// The response also has people who never confirmed, and people who denied the action.
#[tokio::test]
async fn the_response_for_an_address_never_makes_an_opt_in() {
    let mut bench = Bench::new().await;
    bench.proca.add(Signed::new(1, "ann", Some(true)));
    bench.compare("").await.unwrap();
    bench.meant();
    for (id, state) in [(2, State::Confirming), (3, State::Rejected)] {
        let mut signed = Signed::new(id, "ann", Some(true));
        signed.state = state;
        bench.proca.add(signed);
    }
    bench.proca.change(1, "BOUNCE", "2025-12-31T12:00:00");
    let suppressed = Found {
        suppressed: 1,
        ..found(0, 0)
    };
    assert_eq!(bench.compare("").await, Ok(suppressed));
    assert_eq!(
        bench.meant(),
        [(
            String::new(),
            vec![What::Bounced],
            vec!["reconciliation, proca email_status: bounce (row 18), action 1".to_owned()]
        )]
    );
    assert_eq!(bench.compare("").await, Ok(found(0, 0)));
    assert_eq!(bench.meant(), []);
}

/// It is dated when it is noticed. A second report would end opt-ins given since.
#[tokio::test]
async fn a_status_without_a_date_is_reported_once_and_again_if_it_changes() {
    let mut bench = Bench::new().await;
    bench.proca.add(Signed::new(1, "ann", Some(true)));
    bench.compare("").await.unwrap();
    bench.events();
    bench.proca.change_undated(1, "UNSUB");
    let suppressed = Found {
        suppressed: 1,
        ..found(0, 0)
    };
    assert_eq!(bench.compare("").await, Ok(suppressed.clone()));
    let restart = |bench: &mut Bench| {
        bench.memory = Memory::default();
        bench.clock.advance(Duration::from_hours(1));
    };
    let keys = |bench: &Bench| -> Vec<MessageKey> {
        let rows = bench.inbox.rows.lock().unwrap();
        rows.iter().map(|row| row.dedup.key).collect()
    };
    let first = keys(&bench);
    let noticed = bench.clock.now();
    let events = bench.events();
    assert_eq!(events.len(), 1);
    assert_eq!(
        (&events[0].consent[0].what, events[0].consent[0].at),
        (&What::Unsubscribed, noticed)
    );
    assert_eq!(
        events[0].consent[0].basis,
        "reconciliation, proca email_status: unsub (row 21), action 1, undated"
    );
    // Before the message is processed the store recognises it by its key …
    restart(&mut bench);
    assert_eq!(bench.compare("").await, Ok(suppressed.clone()));
    assert_eq!(keys(&bench), first);
    bench.events();
    // … and afterwards by the ledger.
    let reported = |status: &str, is_current| UndatedStatus {
        status: status.to_owned(),
        message: InboxId(5),
        is_current,
    };
    *bench.inbox.undated.lock().unwrap() = Some(reported("unsub", true));
    restart(&mut bench);
    assert_eq!(bench.compare("").await, Ok(suppressed.clone()));
    assert_eq!(bench.events(), []);
    // Another status, or the same after the action was delivered again, is a new one.
    for before in [reported("bounce", true), reported("unsub", false)] {
        *bench.inbox.undated.lock().unwrap() = Some(before);
        restart(&mut bench);
        assert_eq!(bench.compare("").await, Ok(suppressed.clone()));
        assert_ne!(keys(&bench), first);
        assert_eq!(bench.events()[0].consent[0].at, bench.clock.now());
    }
    // This also holds without a restart.
    bench.proca.deliver(1, "DOUBLE_OPT_IN", "2025-12-31T12:00:00");
    assert_eq!(bench.compare("").await, Ok(found(1, 1)));
    bench.events();
    bench.proca.change_undated(1, "UNSUB");
    assert_eq!(bench.compare("").await, Ok(suppressed));
    assert_eq!(bench.events().len(), 1);
}

/// Proca's schema allows null in a list, without an error.
#[tokio::test]
async fn entries_without_a_number_end_no_list_and_make_nobody_missing() {
    let mut bench = Bench::new().await;
    for id in 1..=6 {
        bench
            .proca
            .add(Signed::new(id * 1_000, &format!("person{id}"), Some(true)));
    }
    bench.compare("").await.unwrap();
    bench.events();
    for id in [1_000, 2_000, 3_000, 6_000] {
        bench.proca.set_null(id, true);
    }
    bench.proca.reject(4_000);
    bench.proca.change(5_000, "BOUNCE", "2025-12-31T12:00:00");
    bench.proca.add(Signed::new(5_500, "dia", Some(true)));
    let compared = bench.compare("page = 2").await.unwrap();
    assert!(compared.incomplete && compared.unread > 0, "{compared:?}");
    assert!(
        compared
            .warning(0)
            .unwrap()
            .contains("nobody is treated as missing")
    );
    // The action after it is found. A status does not depend on who is missing.
    assert_eq!((compared.seen, compared.new), (1, 1));
    assert_eq!((compared.suppressed, compared.rejected, compared.gone), (1, 0, 0));
    assert_eq!(compared.unknown, 5);
    let what: Vec<_> = bench.meant().into_iter().map(|(_, what, _)| what).collect();
    assert_eq!(what, [vec![What::OptIn], vec![What::Bounced]]);
    for id in [1_000, 2_000, 3_000, 6_000] {
        bench.proca.set_null(id, false);
    }
    let rejected = Found {
        rejected: 1,
        ..found(5, 0)
    };
    assert_eq!(bench.compare("page = 2").await, Ok(rejected));
}

#[tokio::test]
async fn a_list_without_any_number_has_an_end() {
    let mut bench = Bench::new().await;
    for id in 1..=60 {
        bench
            .proca
            .add(Signed::new(id * 50_000, &format!("person{id}"), Some(true)));
    }
    bench.compare("").await.unwrap();
    bench.events();
    (1..=60).for_each(|id| bench.proca.set_null(id * 50_000, true));
    let compared = bench.compare("").await.unwrap();
    assert!(compared.incomplete);
    assert_eq!((compared.seen, compared.unknown), (0, 60));
    assert_eq!(bench.events(), []);
}

#[tokio::test]
async fn a_number_may_be_given_as_text() {
    let mut bench = Bench::new().await;
    for (id, given) in [(1, json!("1")), (2, json!({}))] {
        let mut signed = Signed::new(id, &format!("person{id}"), Some(true));
        signed.id_as = Some(given);
        bench.proca.add(signed);
    }
    let compared = bench.compare("").await.unwrap();
    assert_eq!((compared.seen, compared.new, compared.incomplete), (1, 1, true));
    assert_eq!(bench.bodies()[0]["actionId"], 1);
    // In the response for an address, too.
    bench.proca.change(1, "BOUNCE", "2025-12-31T12:00:00");
    let compared = bench.compare("").await.unwrap();
    assert_eq!((compared.suppressed, compared.unknown), (1, 0));
    // An incomplete response proves nothing.
    bench.inbox.known.lock().unwrap().insert(2, "person2".to_owned());
    let error = bench.compare("").await.unwrap_err().to_string();
    assert!(error.contains("lacks an action"), "{error}");
}

/// Proca takes a confirmation back when the action is rejected, so this click came later.
#[tokio::test]
async fn a_click_after_the_rejection_is_no_opt_out() {
    let mut bench = Bench::new().await;
    bench.proca.add(Signed::new(1, "ann", Some(true)));
    bench.compare("").await.unwrap();
    bench.events();
    bench.proca.change(1, "BLOCKED", "2025-12-31T12:00:00");
    bench.proca.change(1, "DOUBLE_OPT_IN", "2025-12-31T13:00:00");
    assert_eq!(bench.compare("").await, Ok(found(0, 0)));
    assert_eq!(bench.events(), []);
    // What comes later is found all the same.
    bench.proca.change(1, "UNSUB", "2025-12-31T14:00:00");
    assert_eq!(bench.compare("").await.unwrap().suppressed, 1);
    assert_eq!(bench.events()[0].consent[0].what, What::Unsubscribed);
}

/// Proca also rejects an action whose address bounced, and no later status lists it again.
#[tokio::test]
async fn an_action_rejected_because_of_its_address_is_no_opt_out() {
    let mut bench = Bench::new().await;
    bench.proca.add(Signed::new(1, "ann", Some(true)));
    bench.compare("").await.unwrap();
    bench.events();
    bench.proca.change(1, "BOUNCE", "2025-12-31T12:00:00");
    bench.proca.change(1, "ACTIVE", "2025-12-31T13:00:00");
    *bench.inbox.was_suppressed.lock().unwrap() = true;
    assert_eq!(bench.compare("").await, Ok(found(0, 0)));
    assert_eq!(bench.events(), []);
    // Without the bounce, the person denied the action.
    *bench.inbox.was_suppressed.lock().unwrap() = false;
    assert_eq!(bench.compare("").await.unwrap().rejected, 1);
    assert_eq!(bench.events()[0].consent[0].what, What::Unsubscribed);
}

#[tokio::test]
async fn a_denied_action_is_an_opt_out_dated_when_it_is_noticed() {
    let mut bench = Bench::new().await;
    for (id, status) in [(1, "NONE"), (2, "ACTIVE"), (3, "DOUBLE_OPT_IN")] {
        let mut signed = Signed::new(id, "ann", Some(true));
        status.clone_into(&mut signed.status);
        bench.proca.add(signed);
    }
    bench.compare("").await.unwrap();
    bench.events();
    (1..=3).for_each(|id| bench.proca.reject(id));
    bench.clock.advance(Duration::from_hours(5));
    let rejected = Found {
        rejected: 3,
        ..found(0, 0)
    };
    assert_eq!(bench.compare("").await, Ok(rejected));
    let bodies = bench.bodies();
    assert!(
        bodies.iter().all(|body| !body.to_string().contains("firstName")),
        "{bodies:?}"
    );
    let events = bench.events();
    let now = bench.clock.now();
    for (index, event) in (0..).zip(&events) {
        assert_eq!(event.consent[0].what, What::Unsubscribed);
        // One after the other: at the same time they would be one line of the ledger.
        assert_eq!(
            event.consent[0].at,
            now.saturating_add(Duration::from_millis(index)).unwrap()
        );
        assert_eq!(
            event.consent[0].basis,
            format!(
                "reconciliation: action {} is rejected in Proca since it was delivered (\"it wasn't me\")",
                index + 1
            )
        );
        assert_eq!(event.fields.keys().collect::<Vec<_>>(), ["email"]);
        assert_eq!(event.fields_at, Some(Timestamp::UNIX_EPOCH));
    }
    assert_eq!(events.len(), 3);
    let asked = bench.inbox.asked.lock().unwrap().clone().unwrap();
    assert_eq!(asked.asked_at, now);
    assert_eq!(
        asked.sent_before,
        now.saturating_sub(Duration::from_hours(1)).unwrap()
    );
}

#[tokio::test]
async fn a_person_who_is_gone_is_opted_out_and_reported() {
    let mut bench = Bench::new().await;
    for (id, name) in [(1, "ann"), (2, "bob"), (3, "nobody")] {
        bench.proca.add(Signed::new(id, name, Some(true)));
    }
    bench.compare("").await.unwrap();
    bench.events();
    bench.proca.erase("ann");
    bench.proca.erase("nobody");
    let gone = Found {
        gone: 1,
        unknown: 1,
        ..found(1, 0)
    };
    assert_eq!(bench.compare("").await, Ok(gone));
    assert!(
        found(1, 0)
            .warning(bench.memory.gone)
            .unwrap()
            .contains("1 actions")
    );
    let events = bench.events();
    assert_eq!(events[0].consent[0].what, What::Unsubscribed);
    assert_eq!(
        events[0].consent[0].basis,
        "reconciliation: action 1 is no longer in Proca, nor is its supporter"
    );
    assert!(events[0].notes[0].contains("contact erase"), "{events:?}");
    assert_eq!(events.len(), 1);
}

/// A coalition's lead gets actions of its partners' pages, and may not be able to query them.
#[tokio::test]
async fn a_person_who_may_never_have_been_listed_is_not_reported_as_gone() {
    let mut bench = Bench::new().await;
    bench.inbox = Arc::new(Inbox::default());
    bench.accept = Arc::clone(&bench.inbox) as Arc<dyn Accept>;
    let known = [(1, "ann"), (2, "bob"), (3, "cem")].map(|(id, name)| (id, name.to_owned()));
    bench.inbox.known.lock().unwrap().extend(known);
    let mut rejected = Signed::new(3, "cem", Some(true));
    rejected.state = State::Rejected;
    bench.proca.add(rejected);
    let compared = Found {
        // The action was taken on an own page, so it was listed once. A rejection is reported in any case.
        gone: 1,
        rejected: 1,
        unknown: 1,
        ..found(0, 0)
    };
    assert_eq!(bench.compare("").await, Ok(compared));
    bench.inbox.rows.lock().unwrap().clear();
    bench.memory = Memory::default();
    bench.queue.own_orgs.insert("34".to_owned());
    let compared = Found {
        rejected: 1,
        unknown: 2,
        ..found(0, 0)
    };
    assert_eq!(bench.compare("").await, Ok(compared));
}

/// Otherwise everybody would be opted out because a right was removed.
#[tokio::test]
async fn too_many_at_once_are_only_reported() {
    let mut bench = Bench::new().await;
    for id in 1..=60 {
        bench
            .proca
            .add(Signed::new(id, &format!("person{id}"), Some(true)));
    }
    bench.compare("").await.unwrap();
    bench.events();
    (1..=30).for_each(|id| bench.proca.erase(&format!("person{id}")));
    // It is certain that the action exists and was rejected.
    bench.proca.reject(31);
    let held = Found {
        held: 30,
        rejected: 1,
        ..found(29, 0)
    };
    assert!(held.warning(0).unwrap().contains("30 actions"));
    assert_eq!(bench.compare("").await, Ok(held));
    assert_eq!(bench.events().len(), 1);
    // An empty list is an error, too.
    (32..=60).for_each(|id| bench.proca.reject(id));
    let held = bench.compare("").await.unwrap();
    assert_eq!((held.held, held.rejected), (59, 0));
    assert_eq!(bench.events(), []);
}

#[tokio::test]
async fn all_pages_are_read_whatever_their_length() {
    let mut bench = Bench::new().await;
    for id in 1..=250 {
        let mut signed = Signed::new(id * 3, &format!("person{id}"), Some(id % 2 == 0));
        // More than is read of one response, in pages of this size.
        signed.comment = if id < 20 { 900_000 } else { 10 };
        bench.proca.add(signed);
    }
    // The server returns no more than 100 at a time.
    assert_eq!(bench.compare("page = 1000").await, Ok(found(250, 250)));
    let ids: BTreeSet<String> = bench.meant().into_iter().map(|(id, ..)| id).collect();
    assert_eq!(ids.len(), 250);
}

#[tokio::test]
async fn one_action_never_stops_the_others() {
    let mut bench = Bench::new().await;
    for id in 1..=5 {
        let mut signed = Signed::new(id, &format!("person{id}"), Some(true));
        match id {
            // Longer than all that is read of a response …
            2 => signed.comment = api::ANSWER_BYTES,
            // … and an action on which the server fails.
            4 => signed.fails = Some(("contact", "no key to decrypt \"ann@example.org\"")),
            _ => signed.comment = 100_000,
        }
        bench.proca.add(signed);
    }
    let unread = Found {
        unread: 2,
        ..found(5, 3)
    };
    assert!(unread.warning(0).unwrap().contains("2 actions"));
    assert_eq!(bench.compare("page = 4").await, Ok(unread));
    let ids: Vec<String> = bench.meant().into_iter().map(|(id, ..)| id).collect();
    assert_eq!(ids, ["1", "3", "5"]);
    // They are in the list, so nothing is missing.
    let asked = bench.inbox.asked.lock().unwrap().clone().unwrap();
    assert_eq!(*asked.listed, (1..=5).collect());
}

#[tokio::test]
async fn fields_that_a_server_does_not_know_are_left_out_from_then_on() {
    let mut bench = Bench::new().await;
    bench.proca.add(Signed::new(1, "ann", Some(true)));
    let reconciler = bench.reconciler(&format!("org = '{ORG}'\nbearer = '{TOKEN}'"));
    let count = |bench: &Bench| bench.api.requests().len();
    reconciler
        .compare(&bench.accept, &mut bench.memory)
        .await
        .unwrap();
    // The organisation, the list with `dupeRank` and without, and its end.
    assert_eq!(count(&bench), 4);
    reconciler
        .compare(&bench.accept, &mut bench.memory)
        .await
        .unwrap();
    assert_eq!(count(&bench), 7);
    let older = SCHEMA
        .replace(
            "  \"Delivered actions of the organisation, by ascending number.\"\n  actions(",
            "  old(",
        )
        .replace("    includeTesting: Boolean\n", "")
        .replace("  tracking: Tracking\n", "")
        .replace("  payload: Json!\n  frequencyUnit: DonationFrequencyUnit!\n", "")
        .replace("  customEventDeliver: Boolean!\n", "");
    bench.proca.has_schema(&older);
    let mut signed = Signed::new(2, "bob", Some(true));
    signed.donation = Some(json!({ "amount": 500, "currency": "EUR" }));
    bench.proca.add(signed);
    bench.inbox.rows.lock().unwrap().clear();
    assert_eq!(
        reconciler.compare(&bench.accept, &mut bench.memory).await,
        Ok(found(2, 2))
    );
    let body = bench.bodies()[1].clone();
    assert_eq!(
        body["action"]["donation"],
        json!({ "amount": 500, "currency": "EUR" })
    );
    assert_eq!(body["tracking"], Value::Null);
    // A server that was upgraded is queried for the field after a restart.
    bench
        .proca
        .has_schema(&SCHEMA.replace("  signKey: KeyIds\n", "  signKey: KeyIds\n  dupeRank: Int\n"));
    bench.compare("").await.unwrap();
    let body = bench.bodies().pop().unwrap();
    assert_eq!(body["contact"]["dupeRank"], 2);
    // Without a needed field the list cannot be read.
    bench
        .proca
        .has_schema(&SCHEMA.replace("  withConsent: Boolean!\n", ""));
    let error = bench.compare("").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the API answered with an error: Cannot query field \"withConsent\" on type \"Consent\"."
    );
}

#[tokio::test]
async fn an_action_has_the_form_of_a_queue_message() {
    let mut bench = Bench::new().await;
    let mut signed = Signed::new(1, "ann", Some(true));
    signed.donation = Some(
        json!({ "schema": "STRIPE_PAYMENT_INTENT", "amount": 1_250, "currency": "EUR",
        "frequencyUnit": "ONE_OFF", "payload": "{\"id\": \"pi_1\"}" }),
    );
    bench.proca.add(signed);
    let mut signed = Signed::new(2, "bob", Some(true));
    signed.is_encrypted = true;
    "fields".clone_into(&mut signed.page_org);
    bench.proca.add(signed);
    let mut signed = Signed::new(3, "tester", Some(true));
    signed.is_test = true;
    bench.proca.add(signed);
    assert_eq!(bench.compare("").await, Ok(found(2, 2)));
    let [mut whole, encrypted] = <[Value; 2]>::try_from(bench.bodies()).unwrap();
    assert_eq!(whole["action"]["customFields"]["comment"], "");
    whole["action"]["customFields"] = Value::Null;
    assert_eq!(
        whole,
        json!({
            "schema": "proca:action:2", "stage": "deliver", "actionId": 1, "actionPageId": 7, "campaignId": 3,
            "orgId": 12, "org": { "name": "rivers", "title": "The rivers" },
            "campaign": { "id": 3, "name": "clean_rivers", "title": "Clean rivers", "externalId": null, "contactSchema": "basic" },
            "actionPage": { "id": 7, "name": "clean_rivers/en", "locale": "en", "org": { "name": "rivers", "title": "The rivers" } },
            "action": {
                "actionType": "petition", "createdAt": "2025-12-31T10:00:00Z", "customFields": null, "testing": false,
                "donation": { "schema": "stripe_payment_intent", "amount": 1_250, "currency": "EUR",
                    "frequencyUnit": "one_off", "payload": { "id": "pi_1" } },
            },
            "contact": { "firstName": "ann", "email": "ann@example.org", "country": "DE", "contactRef": "ref-of-ann" },
            "personalInfo": null,
            "privacy": { "withConsent": true, "optIn": true, "givenAt": "2025-12-31T10:00:00Z", "emailStatus": null,
                "emailStatusChanged": null },
            "tracking": { "source": "unknown", "medium": "mail", "campaign": "unknown", "content": "" },
        })
    );
    assert_eq!(encrypted["contact"], json!({ "contactRef": "ref-of-bob" }));
    assert_eq!(encrypted["personalInfo"]["payload"], "c2VjcmV0");
    assert_eq!(encrypted["personalInfo"]["encryptKey"]["public"], "cHVibGlj");
    // The page of an organisation that is not known to be an own one.
    assert_eq!(encrypted["orgId"], Value::Null);
    assert_eq!(encrypted["org"]["name"], "fields");
    // Test actions are requested only if they count as real.
    bench.queue.include_testing = true;
    assert_eq!(bench.compare("").await, Ok(found(3, 1)));
}

/// A click on an own page counts without an opt-in.
#[tokio::test]
async fn the_owner_of_the_page_is_known() {
    let mut bench = Bench::new().await;
    for (id, org) in [(1, "rivers"), (2, "fields")] {
        let mut signed = Signed::new(id, "ann", None);
        "DOUBLE_OPT_IN".clone_into(&mut signed.status);
        org.clone_into(&mut signed.page_org);
        bench.proca.add(signed);
    }
    bench.compare("").await.unwrap();
    for (event, is_ours) in bench.events().iter().zip([true, false]) {
        let page = "proca/7".to_owned();
        assert_eq!(event.consent[0].what, What::DoubleOptInOnPage { page });
        let owner = event.page.as_ref().and_then(|page| page.org.as_ref());
        assert_eq!(owner.is_some_and(|org| org.external_id == "12"), is_ours);
    }
    // The number in the queue's name is used if the API does not return it.
    bench.proca.hides_org();
    bench.memory = Memory::default();
    bench.compare("").await.unwrap();
    assert_eq!(bench.bodies()[0]["orgId"], 12);
    // With another organisation's API everybody would look erased.
    bench.queue.own_orgs = ["7".to_owned()].into();
    bench.queue.org = Some(7);
    bench.proca = FakeProca::at(&bench.api);
    let error = bench.compare("").await.unwrap_err().to_string();
    assert_eq!(
        error,
        "`org`: \"rivers\" is organisation 12 in Proca, and the queue belongs to organisation 7; name the queue's"
    );
}

#[tokio::test]
async fn errors_are_reported_without_secrets_and_personal_data() {
    let mut bench = Bench::new().await;
    bench.proca.add(Signed::new(1, "ann", Some(true)));
    bench.compare("").await.unwrap();
    bench.meant();
    let error = |message: &str| json!({ "data": { "answer": [] }, "errors": [{ "message": message, "path": ["answer"] }] });
    let no_list = json!({ "data": { "answer": null } });
    let quoting =
        "no match: %{first_name: \"Ann\", phone: 0049301234567}\nfor ann@example.org on \"actions\"";
    for (reply, reason) in [
        (
            Reply::json(200, &error("the database timed out")),
            "the API answered with an error: the database timed out",
        ),
        (
            Reply::json(200, &error(quoting)),
            "an error: no match: %{first_name: \"…\", phone: … for … on \"actions\"",
        ),
        (
            Reply::json(400, &error("Syntax error")),
            "with an error: Syntax error",
        ),
        (
            Reply::json(500, &error("out of memory")),
            "with status 500: out of memory",
        ),
        (Reply::json(200, &no_list), "no list"),
        (Reply::status(200).body("<html>"), "not a JSON object"),
        (Reply::status(200).body("{}").cut(), "broke off"),
        (Reply::status(502), "status 502"),
        (Reply::status(403), "refuses access (status 403)"),
        (Reply::close(), "127.0.0.1"),
    ] {
        // The first call is for the organisation, the second for the list.
        let org = Reply::json(200, &json!({ "data": { "answer": { "id": 12, "name": ORG } } }));
        bench.api.script("/api", [org, reply]);
        let error = bench.compare("").await.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        let lower = error.to_lowercase();
        assert!(!error.contains(TOKEN) && !lower.contains("ann"), "{error}");
    }
    bench.api.script("/api", [Reply::json(200, &no_list)]);
    let error = bench.compare("").await.unwrap_err().to_string();
    assert!(
        error.contains(&format!("no organisation called {ORG:?}")),
        "{error}"
    );
    for keys in [
        format!("org = '{ORG}'\nbearer = 'API-wrong'"),
        format!("org = '{ORG}'\nbasic = {{ user = 'a', password = 'b' }}"),
        format!("org = 'lakes'\nbearer = '{TOKEN}'"),
    ] {
        let reconciler = bench.reconciler(&keys);
        let refused = reconciler
            .compare(&bench.accept, &mut bench.memory)
            .await
            .unwrap_err();
        assert!(matches!(refused, ReconcileError::Refused(_)), "{keys}: {refused}");
    }
    // A message that the store did not accept comes the next time.
    bench.proca.add(Signed::new(2, "bob", Some(true)));
    *bench.inbox.is_broken.lock().unwrap() = true;
    assert!(matches!(bench.compare("").await, Err(ReconcileError::Store(_))));
    *bench.inbox.is_broken.lock().unwrap() = false;
    assert_eq!(bench.compare("").await, Ok(found(2, 1)));
    assert_eq!(bench.meant()[0].0, "2");
}

#[tokio::test]
async fn a_check_explains_the_settings() {
    let mut bench = Bench::new().await;
    bench.queue.waits_for_click = true;
    let keys = format!("org = '{ORG}'\nbearer = '{TOKEN}'");
    assert_eq!(bench.reconciler(&keys).check().await, Ok(vec![]));
    for flag in [
        "supporterConfirm",
        "doiThankYou",
        "customSupporterConfirm",
        "customActionConfirm",
    ] {
        bench.proca.set_processing(flag, json!(true));
    }
    for flag in ["customActionDeliver", "customEventDeliver"] {
        bench.proca.set_processing(flag, json!(false));
    }
    for service in ["pushBackend", "eventBackend", "detailBackend"] {
        bench.proca.set_processing(service, json!("WEBHOOK"));
    }
    let remarks = bench.reconciler(&keys).check().await.unwrap();
    let about = |word: &str| {
        let mut about = remarks.iter().filter(|remark| remark.text.contains(word));
        about.next().map(|remark| remark.is_warning)
    };
    assert_eq!(about("actions do not reach the queue"), Some(true));
    assert_eq!(about("events do not reach the queue"), Some(true));
    for word in [
        "supporterConfirm is on",
        "doiThankYou is on",
        "customSupporterConfirm is on",
        "customActionConfirm is on",
        "pushBackend is WEBHOOK",
        "eventBackend is WEBHOOK",
        "detailBackend is set",
    ] {
        assert_eq!(about(word), Some(false), "{word}: {remarks:?}");
    }
    assert_eq!(remarks.len(), 9);
    bench.proca.hides_org();
    let remarks = bench.reconciler(&keys).check().await.unwrap();
    assert!(
        remarks[0].text.contains("does not show the settings"),
        "{remarks:?}"
    );
    let refused = bench
        .reconciler(&format!("org = '{ORG}'\nbearer = 'wrong'"))
        .check()
        .await;
    assert!(matches!(refused, Err(ReconcileError::Refused(_))), "{refused:?}");
}

#[derive(Default)]
struct Counted {
    counts: Mutex<Vec<&'static str>>,
    warning: Mutex<Option<String>>,
}

impl Health for Counted {
    fn set(&self, _: SourceState) {}
    fn gauge(&self, _: &'static str, _: i64) {}
    fn count(&self, name: &'static str) {
        self.counts.lock().unwrap().push(name);
    }
    fn warn(&self, about: &'static str, warning: Option<String>) {
        assert_eq!(about, "reconcile");
        *self.warning.lock().unwrap() = warning;
    }
}

#[tokio::test]
async fn the_api_is_compared_as_often_as_configured_and_after_errors() {
    let bench = Bench::new().await;
    bench.proca.add(Signed::new(1, "ann", Some(true)));
    let reconciler = bench.reconciler(&format!("org = '{ORG}'\nbearer = '{TOKEN}'\nevery_h = 2"));
    let (health, stop) = (Arc::new(Counted::default()), Stop::new());
    let running = reconciler.run(bench.accept.clone(), health.clone(), stop.clone());
    let watching = async {
        let hours = Duration::from_hours;
        let start = bench.clock.now();
        // It sleeps through the first hour; a comparison then would sleep until another time.
        bench.clock.has_sleeper(start + hours(2)).await;
        assert_eq!(bench.api.requests().len(), 4);
        bench.clock.advance(hours(1));
        bench.clock.has_sleeper(start + hours(2)).await;
        assert_eq!(bench.api.requests().len(), 4, "not before two hours");
        assert_eq!(*health.warning.lock().unwrap(), None);
        bench.api.script("/api", [Reply::status(500)]);
        bench.clock.advance(hours(1));
        bench.clock.has_sleeper(start + hours(4)).await;
        assert_eq!(bench.api.requests().len(), 5);
        let warning = health.warning.lock().unwrap().clone();
        assert_eq!(
            warning.as_deref(),
            Some("could not compare with Proca's API: the API answered with status 500")
        );
        bench.clock.advance(hours(2));
        bench.clock.has_sleeper(start + hours(6)).await;
        assert_eq!(bench.api.requests().len(), 8);
        assert_eq!(*health.warning.lock().unwrap(), None);
        stop.cancel();
    };
    tokio::join!(running, watching);
    assert_eq!(
        *health.counts.lock().unwrap(),
        ["reconciled", "reconcile_failed", "reconciled"]
    );
    assert_eq!(bench.inbox.rows.lock().unwrap().len(), 1);
}

#[test]
fn settings_that_cannot_work_are_refused_with_the_key() {
    for (keys, error) in [
        ("org = 'a'", "`reconcile`: give either"),
        (
            "org = 'a'\nbearer = 'b'\nbasic = { user = 'a', password = 'b' }",
            "`reconcile`: give either",
        ),
        ("org = ' '\nbearer = 'b'", "`reconcile.org`"),
        ("org = 'a'\nbearer = 'b'\nevery_h = 0", "`reconcile.every_h`"),
        ("org = 'a'\nbearer = 'b'\npage = 5000", "`reconcile.page`"),
        (
            "org = 'a'\nbearer = 'b'\ncampaigns_every_h = 9000",
            "`reconcile.campaigns_every_h`",
        ),
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
        let found = config.check().unwrap_err().to_string();
        assert!(found.starts_with(error), "{keys}: {found}");
    }
}
