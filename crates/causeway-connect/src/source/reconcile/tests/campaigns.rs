use std::sync::Mutex;

use causeway_core::source::SourceState;
use causeway_testkit::{
    clock::TestClock,
    fake_api::FakeApi,
    fake_proca::{FakeProca, ORG, TOKEN},
};

use super::super::*;
use crate::source::reconcile::Reconcile;
use causeway_core::{
    id::InboxId,
    store::{Accepted, StoreError},
};

/// Keeps accepted messages, or rejects them.
#[derive(Default)]
struct Inbox {
    rows: Mutex<Vec<Envelope>>,
    refuses: std::sync::atomic::AtomicBool,
}

#[async_trait::async_trait]
impl Accept for Inbox {
    async fn accept(&self, envelopes: Vec<Envelope>) -> Result<Vec<Accepted>, StoreError> {
        if self.refuses.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(StoreError::Unavailable("full".to_owned()));
        }
        let mut rows = self.rows.lock().unwrap();
        let first = i64::try_from(rows.len()).unwrap();
        let ids = (first..).take(envelopes.len());
        let accepted = ids.map(|id| Accepted {
            id: InboxId(id),
            duplicate: false,
        });
        let accepted = accepted.collect();
        rows.extend(envelopes);
        Ok(accepted)
    }
}

#[derive(Default)]
struct Warnings(Mutex<Option<String>>);

impl Health for Warnings {
    fn set(&self, _: SourceState) {}
    fn gauge(&self, _: &'static str, _: i64) {}
    fn count(&self, _: &'static str) {}
    fn warn(&self, _: &'static str, warning: Option<String>) {
        *self.0.lock().unwrap() = warning;
    }
}

struct Bench {
    api: FakeApi,
    proca: FakeProca,
    inbox: Arc<Inbox>,
    warnings: Arc<Warnings>,
    clock: Arc<TestClock>,
    accept: Arc<dyn Accept>,
}

impl Bench {
    async fn new(keys: &str) -> Self {
        let api = FakeApi::start().await;
        let proca = FakeProca::at(&api);
        let url = api.url("/api");
        let text = format!("url = '{url}'\nallow_private = true\norg = '{ORG}'\nbearer = '{TOKEN}'\n{keys}");
        let config: Reconcile = toml::from_str(&text).unwrap();
        config.check().unwrap();
        let clock = Arc::new(TestClock::default());
        let context = Context {
            name: "proca".into(),
            clock: clock.clone(),
            tables: causeway_core::mapping::Tables::default(),
            vault: crate::vault::NoVault::shared(),
            dir: ".".into(),
        };
        let reconciler = Reconciler::new(&context, &config, Queue::default()).unwrap();
        let (inbox, warnings) = (Arc::new(Inbox::default()), Arc::new(Warnings::default()));
        let health: Arc<dyn Health> = warnings.clone();
        Self {
            accept: reconciler.with_campaigns(inbox.clone(), &health),
            api,
            proca,
            inbox,
            warnings,
            clock,
        }
    }

    async fn accept(&self, bodies: &[Value]) -> Result<Vec<Accepted>, StoreError> {
        let envelopes = bodies.iter().map(|body| Envelope {
            source: "proca".into(),
            dedup: Dedup::dated(digest(&[body.to_string().as_bytes()])),
            received_at: self.clock.now(),
            meta: Meta::default(),
            body: body.to_string().into(),
        });
        self.accept.accept(envelopes.collect()).await
    }

    /// The messages stored since the last call, each with its note.
    fn stored(&self) -> Vec<(Value, Option<String>)> {
        let rows = std::mem::take(&mut *self.inbox.rows.lock().unwrap());
        let rows = rows.into_iter();
        rows.map(|row| (serde_json::from_slice(&row.body).unwrap(), row.meta.note))
            .collect()
    }

    fn questions(&self) -> usize {
        self.api.requests().len()
    }
}

fn action(id: i64, campaign: i64) -> Value {
    serde_json::json!({ "schema": "proca:action:2", "stage": "deliver", "actionId": id, "campaignId": campaign })
}

fn config_of(row: &(Value, Option<String>)) -> &Value {
    assert_eq!(row.0["eventType"], "campaign_updated", "{row:?}");
    &row.0["campaign"]["config"]
}

#[tokio::test]
async fn the_settings_of_a_campaign_are_stored_before_its_first_action() {
    let bench = Bench::new("").await;
    let sync = |list: i64| serde_json::json!({ "component": { "sync": { "list": list } } });
    bench.proca.set_campaign(3, sync(7));
    let accepted = bench.accept(&[action(1, 3), action(2, 3)]).await.unwrap();
    assert_eq!(accepted.len(), 2, "one result for each message");
    assert_eq!(accepted[0].id, InboxId(1));
    let stored = bench.stored();
    assert_eq!(stored.len(), 3);
    assert_eq!(config_of(&stored[0]), &sync(7));
    let campaign = &stored[0].0["campaign"];
    assert_eq!(
        (&stored[0].0["campaignId"], &campaign["name"]),
        (&3.into(), &"clean_rivers".into())
    );
    assert_eq!(
        (&campaign["externalId"], &campaign["contactSchema"]),
        (&40.into(), &"basic".into())
    );
    assert_eq!(stored[1], (action(1, 3), None));

    // Known settings are neither queried nor sent again.
    bench.accept(&[action(3, 3)]).await.unwrap();
    assert_eq!((bench.stored().len(), bench.questions()), (1, 1));
    // Older than the limit, and unchanged.
    bench.clock.advance(Duration::from_mins(61));
    bench.accept(&[action(4, 3)]).await.unwrap();
    assert_eq!((bench.stored().len(), bench.questions()), (1, 2));
    // Older than the limit, and changed.
    bench.proca.set_campaign(3, sync(8));
    bench.clock.advance(Duration::from_mins(61));
    bench.accept(&[action(5, 3)]).await.unwrap();
    let stored = bench.stored();
    assert_eq!((config_of(&stored[0]), stored.len()), (&sync(8), 2));
    // A message from the queue is as good as a response.
    bench.clock.advance(Duration::from_mins(61));
    let update =
        serde_json::json!({ "schema": "proca:event:2", "eventType": "campaign_updated", "campaignId": 3 });
    bench.accept(&[update]).await.unwrap();
    bench.accept(&[action(6, 3)]).await.unwrap();
    assert_eq!((bench.stored().len(), bench.questions()), (2, 3));
    // A campaign that Proca does not have is not queried each time.
    bench.accept(&[action(7, 9)]).await.unwrap();
    bench.accept(&[action(8, 9)]).await.unwrap();
    assert_eq!((bench.stored().len(), bench.questions()), (2, 4));
}

#[tokio::test]
async fn an_api_that_fails_or_hangs_blocks_no_message_and_the_trace_says_so() {
    let bench = Bench::new("").await;
    bench.proca.set_campaign(3, serde_json::json!({}));
    bench.proca.set_campaigns_fail(Some("the database is away"));
    bench.accept(&[action(1, 3)]).await.unwrap();
    let stored = bench.stored();
    let note = "the settings of campaign 3 could not be asked for (the API answered with an error: the database is away): what was \
                known before counts";
    assert_eq!(stored, [(action(1, 3), Some(note.to_owned()))]);
    assert!(
        bench
            .warnings
            .0
            .lock()
            .unwrap()
            .as_ref()
            .unwrap()
            .contains("the database is away")
    );
    // The API is not queried for a while.
    bench.accept(&[action(2, 3)]).await.unwrap();
    assert_eq!(bench.stored()[0].1.as_deref(), Some(note));
    assert_eq!(bench.questions(), 1);
    bench.proca.set_campaigns_fail(None);
    bench.clock.advance(Duration::from_secs(61));
    bench.accept(&[action(3, 3)]).await.unwrap();
    let stored = bench.stored();
    assert_eq!((stored.len(), &stored[1].1), (2, &None));
    assert_eq!(*bench.warnings.0.lock().unwrap(), None);
}

#[tokio::test]
async fn an_api_without_a_response_delays_messages_for_at_most_five_seconds() {
    let bench = Bench::new("").await;
    bench
        .api
        .compute_at("/api", |_| causeway_testkit::fake_api::Reply::hang());
    let since = std::time::Instant::now();
    bench.accept(&[action(1, 3), action(2, 4)]).await.unwrap();
    let took = since.elapsed();
    assert!((4..10).contains(&took.as_secs()), "{took:?}");
    bench.accept(&[action(3, 5)]).await.unwrap();
    assert!(
        since.elapsed() < took + Duration::from_secs(2),
        "it is not queried again at once"
    );
    let notes: Vec<bool> = bench
        .stored()
        .iter()
        .map(|(_, note)| {
            note.as_ref()
                .is_some_and(|note| note.contains("no answer within 5 s"))
        })
        .collect();
    assert_eq!(notes, [true, true, true]);
}

#[tokio::test]
async fn settings_that_the_store_rejected_come_with_the_next_attempt() {
    let bench = Bench::new("").await;
    bench.proca.set_campaign(3, serde_json::json!({ "a": 1 }));
    bench
        .inbox
        .refuses
        .store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(bench.accept(&[action(1, 3)]).await.is_err());
    bench
        .inbox
        .refuses
        .store(false, std::sync::atomic::Ordering::SeqCst);
    bench.accept(&[action(1, 3)]).await.unwrap();
    assert_eq!((bench.stored().len(), bench.questions()), (2, 1));
}

#[tokio::test]
async fn zero_hours_query_nothing() {
    let bench = Bench::new("campaigns_every_h = 0").await;
    bench.proca.set_campaign(3, serde_json::json!({}));
    bench.accept(&[action(1, 3)]).await.unwrap();
    assert_eq!((bench.stored().len(), bench.questions()), (1, 0));
}
