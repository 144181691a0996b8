//! A store with a few helper methods, so that each case is short to read.

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc};

use causeway_core::{
    clock::Timestamp,
    contact::normal_email,
    decode::follow_up::FollowUpDecoder,
    delivery::{Delivery, Next},
    event::{Decode, Decoded, Event},
    id::InboxId,
    rules::{DestinationRule, Rules},
    store::{Attempt, Claim, Claimed, ContactView, Processed, Store, Views},
};

use crate::builders::{SOURCE, at, envelope, rules};

/// A store with the traits that the program uses.
pub trait Stored: Store + Views {}

impl<T: Store + Views> Stored for T {}

type Opening = Pin<Box<dyn Future<Output = Arc<dyn Stored>> + Send>>;

/// Opens a database by its name; the same name opens the same database again.
pub type Open = Arc<dyn Fn(String) -> Opening + Send + Sync>;

pub fn opener<F, O>(open: F) -> Open
where
    F: Fn(String) -> O + Send + Sync + 'static,
    O: Future<Output = Arc<dyn Stored>> + Send + 'static,
{
    Arc::new(move |name| Box::pin(open(name)))
}

pub struct Bench {
    open: Open,
    name: String,
    rules: Arc<Rules>,
    store: Option<Arc<dyn Stored>>,
    messages: usize,
}

impl Bench {
    /// A new store with these destinations behind [`SOURCE`].
    pub async fn new(open: Open, destinations: Vec<DestinationRule>) -> Self {
        Self::with_rules(open, "store", rules(destinations)).await
    }

    pub async fn with_rules(open: Open, name: &str, rules: Rules) -> Self {
        let mut bench = Self {
            open,
            name: name.to_owned(),
            rules: rules.into(),
            store: None,
            messages: 0,
        };
        bench.reopen().await;
        bench
    }

    pub fn store(&self) -> &Arc<dyn Stored> {
        self.store.as_ref().unwrap()
    }

    /// As after a crash and a restart: only what is on disk remains.
    pub async fn reopen(&mut self) {
        self.store = None;
        let store = (self.open)(self.name.clone()).await;
        store.set_rules(self.rules.clone()).await.unwrap();
        self.store = Some(store);
    }

    pub async fn set_rules(&mut self, rules: Rules) {
        self.rules = rules.into();
        self.store().set_rules(self.rules.clone()).await.unwrap();
    }

    /// Accepts one message of `source` that decodes to `decoded`, and processes it at `at(seconds)`.
    pub async fn take_from(&mut self, source: &str, decoded: Decoded, seconds: i64) -> (InboxId, Processed) {
        self.messages += 1;
        let message = envelope(source, &format!("message {}", self.messages), at(seconds));
        let accepted = self.store().accept(vec![message]).await.unwrap();
        let id = accepted[0].id;
        let processed = self
            .store()
            .process(vec![(id, decoded)], at(seconds))
            .await
            .unwrap();
        (id, processed.into_iter().next().unwrap())
    }

    pub async fn take(&mut self, event: Event, seconds: i64) -> InboxId {
        self.take_from(SOURCE, Decoded::Event(Box::new(event)), seconds)
            .await
            .0
    }

    /// Processes the rows that the store made itself, in their order.
    pub async fn follow(&self, seconds: i64) -> Vec<InboxId> {
        let rows = self.store().fetch_new(InboxId(0), 1_000).await.unwrap();
        let ids = rows.iter().map(|(id, _)| *id).collect();
        let decoded = rows
            .iter()
            .map(|(id, envelope)| (*id, FollowUpDecoder.decode(envelope)))
            .collect();
        self.store().process(decoded, at(seconds)).await.unwrap();
        ids
    }

    pub async fn claim(&self, destination: &str, seconds: i64) -> Claimed {
        let claim = Claim {
            first: Vec::new(),
            destination: destination.into(),
            limit: 100,
            leased_until: at(seconds + 60),
            now: at(seconds),
        };
        self.store().claim(claim).await.unwrap()
    }

    /// The inbox rows whose deliveries are claimed.
    pub async fn claimed(&self, destination: &str, seconds: i64) -> Vec<InboxId> {
        inbox_ids(&self.claim(destination, seconds).await.deliveries)
    }

    pub async fn end(&self, delivery: &Delivery, next: Next, seconds: i64) {
        self.store()
            .record(vec![attempt(delivery, next, at(seconds))])
            .await
            .unwrap();
    }

    /// Claims and delivers until nothing is due. Returns the inbox rows in the order of their deliveries.
    pub async fn deliver_all(&self, destination: &str, seconds: i64) -> Vec<InboxId> {
        let mut sent = Vec::new();
        loop {
            let claimed = self.claim(destination, seconds).await.deliveries;
            if claimed.is_empty() {
                return sent;
            }
            sent.extend(inbox_ids(&claimed));
            for delivery in &claimed {
                self.end(delivery, Next::Delivered, seconds).await;
            }
        }
    }

    /// The only contact with that address.
    pub async fn person(&self, name: &str) -> ContactView {
        let found = self
            .store()
            .find_contacts(&format!("{name}@example.org"))
            .await
            .unwrap();
        assert_eq!(found.len(), 1, "one contact of {name}");
        self.store().contact(found[0]).await.unwrap().unwrap()
    }

    /// Invariant 12.
    pub async fn assert_balanced(&self) {
        let audit = self.store().audit().await.unwrap();
        for (name, books) in &audit.sources {
            assert_eq!(books.difference, 0, "{name}: {books:?}");
        }
        for (name, books) in &audit.destinations {
            assert_eq!(books.difference, 0, "{name}: {books:?}");
        }
        let overview = self.store().overview(at(0)).await.unwrap();
        for (name, counts) in &overview.sources {
            let books = &audit.sources[name];
            let ours = [
                counts.received,
                counts.new,
                counts.done,
                counts.skipped,
                counts.dead,
                counts.duplicate,
            ];
            let theirs = [
                books.received,
                books.new,
                books.done,
                books.skipped,
                books.dead,
                books.duplicate,
            ];
            assert_eq!(ours.map(u64::cast_signed), theirs, "{name}");
        }
        for (name, counts) in &overview.destinations {
            let books = &audit.destinations[name];
            let ours = [
                counts.planned,
                counts.waiting,
                counts.delivered,
                counts.skipped,
                counts.dead,
            ];
            let theirs = [
                books.planned,
                books.waiting,
                books.delivered,
                books.skipped,
                books.dead,
            ];
            assert_eq!(ours.map(u64::cast_signed), theirs, "{name}");
        }
    }
}

pub fn inbox_ids(deliveries: &[Delivery]) -> Vec<InboxId> {
    deliveries
        .iter()
        .map(|delivery| delivery.record.inbox_id)
        .collect()
}

pub fn attempt(delivery: &Delivery, next: Next, started_at: Timestamp) -> Attempt {
    let outcome = match next {
        Next::Delivered => "delivered",
        Next::Skipped => "skip",
        Next::Dead => "reject",
        Next::Waiting { .. } => "retry",
        Next::Postponed => "busy",
        Next::Pending { .. } => "pending",
        Next::Suspected { .. } | Next::Halted => "halt",
    };
    Attempt {
        delivery: delivery.id,
        number: delivery.attempt,
        started_at,
        took_ms: 5,
        outcome,
        reason: (next != Next::Delivered).then(|| "the other side said so".to_owned()),
        status: Some(200),
        excerpt: Some("an answer".to_owned()),
        request: Some("POST https://crm.example.org/".to_owned()),
        memory: None,
        ticket_is_void: false,
        change: delivery.record.change,
        address: delivery.record.email().and_then(normal_email),
        remote_id: (next == Next::Delivered).then(|| "remote-1".to_owned()),
        writes: BTreeMap::new(),
        next,
    }
}
