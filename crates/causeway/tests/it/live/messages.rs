//! Numbered messages of invented people in the format of a Proca queue, and a random generator with a seed.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use causeway_testkit::rig::topology::Topology;
use serde_json::json;
use tokio::{sync::watch, task::JoinSet};

use super::Sender;

/// Few people, so that each has many messages, which must be delivered in order.
const PEOPLE: u64 = 300;

/// Whether the person of a message opted in: nine of ten did.
pub fn agreed(number: u64) -> bool {
    !(number % PEOPLE).is_multiple_of(10)
}

/// The action of a number; every number has another one.
pub fn message(number: u64) -> String {
    long_message(number, 0)
}

/// An action with a comment of this number of bytes.
pub fn long_message(number: u64, bytes: usize) -> String {
    let person = number % PEOPLE;
    json!({
        "schema": "proca:action:2",
        "stage": "deliver",
        "actionId": number,
        "actionPageId": 7,
        "campaignId": 3,
        "orgId": 12,
        "campaign": { "name": "rivers", "title": "Clean rivers" },
        "actionPage": { "name": "rivers/en", "locale": "en" },
        "action": { "actionType": "register", "customFields": { "comment": "x".repeat(bytes) }, "createdAt": "2026-01-02T03:04:05Z", "testing": false },
        "contact": {
            "firstName": format!("Person{person}"),
            "email": format!("person{person}@example.org"),
            "contactRef": format!("ref-{person}"),
            "dupeRank": 0,
        },
        "privacy": { "withConsent": agreed(number), "optIn": agreed(number), "givenAt": "2026-01-02T03:04:05Z" },
    })
    .to_string()
}

/// A random generator. The same seed gives the same numbers.
pub struct Dice(pub u64);

impl Dice {
    /// A number below `below`.
    pub fn throw(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }
}

/// Senders that run until [`Load::stop`]. Each repeats a message until it is confirmed or gets status 200.
pub struct Load {
    stop: Arc<AtomicBool>,
    senders: JoinSet<BTreeSet<u64>>,
    /// The number of posts with status 200.
    pub taken: watch::Receiver<u64>,
}

impl Load {
    /// Sends to the queue (if there is a `topology`) and to the listener with `posters` concurrent senders. Pauses keep the load at
    /// some hundred messages per second, so that a test with many rounds ends. `first` is the first number.
    pub fn start(sender: &Sender, topology: Option<Topology>, posters: u32, first: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let next = Arc::new(AtomicU64::new(first));
        let (counter, taken) = watch::channel(0);
        let mut senders = JoinSet::new();
        if let Some(topology) = topology {
            senders.spawn(publish(topology, stop.clone(), next.clone()));
        }
        for _ in 0..posters {
            senders.spawn(post(sender.clone(), stop.clone(), next.clone(), counter.clone()));
        }
        Self { stop, senders, taken }
    }

    /// Waits until this number of further posts was accepted.
    pub async fn takes(&mut self, more: u64) {
        let before = *self.taken.borrow();
        let enough = self.taken.wait_for(|taken| *taken >= before + more);
        let in_time = tokio::time::timeout(super::LIMIT, enough).await;
        in_time
            .expect("posts are taken in time")
            .expect("the senders live");
    }

    /// Stops the senders after their current messages. Returns the numbers of all accepted messages.
    pub async fn stop(self) -> BTreeSet<u64> {
        self.stop.store(true, Ordering::SeqCst);
        let all = tokio::time::timeout(super::LIMIT, self.senders.join_all()).await;
        all.expect("everything is taken in time")
            .into_iter()
            .flatten()
            .collect()
    }
}

async fn publish(topology: Topology, stop: Arc<AtomicBool>, next: Arc<AtomicU64>) -> BTreeSet<u64> {
    let mut sent = BTreeSet::new();
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    let exchange = topology.exchange("deliver");
    while !stop.load(Ordering::SeqCst) {
        pace.tick().await;
        let first = next.fetch_add(20, Ordering::SeqCst);
        let numbers = first..first + 20;
        // Returns when the broker has confirmed them all.
        topology
            .publish_many(&exchange, "petition.rivers", numbers.clone().map(message))
            .await;
        sent.extend(numbers);
    }
    sent
}

async fn post(
    sender: Sender,
    stop: Arc<AtomicBool>,
    next: Arc<AtomicU64>,
    counter: watch::Sender<u64>,
) -> BTreeSet<u64> {
    let mut sent = BTreeSet::new();
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    while !stop.load(Ordering::SeqCst) {
        pace.tick().await;
        let number = next.fetch_add(1, Ordering::SeqCst);
        sender.post_until_taken(&message(number)).await;
        sent.insert(number);
        counter.send_modify(|taken| *taken += 1);
    }
    sent
}
