//! A fake store: invented figures that move with the clock, and a few records. For the preview and the tests.

// Named, since tests read this file, too.
mod rows;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use causeway::{
    telemetry::{Metrics, SourceHealth, Sources},
    web::console::{Connector, ConsoleConfig},
};
use causeway_core::{
    consent::{At, Consent, EMAIL, Policy, Terms, What},
    contact::{Contact, Identity},
    event::Action,
    id::{ActionId, ContactId, IdempotencyKey, InboxId, Name},
    rules::{DestinationRule, Rules},
    source::{Health, SourceState},
    store::{
        AttemptRow, Audit, Conflict, ContactView, DeliveryFilter, DeliveryRow, DeliveryTrace,
        DestinationCounts, Erasure, GoneContact, InboxFilter, InboxRow, InboxState, LaneState, Named,
        Overview, Progress, SourceCounts, SourceUrl, StoreError, StoreHealth, Trace, Unlisted,
        UnlistedAction, Views,
    },
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

pub use rows::NEWEST;
use rows::{REASONS, attempts, delivery, envelope, explained, fact, inbox};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// Nothing configured, nothing came.
    Empty,
    /// All is well.
    Calm,
    /// A spike, and several things wrong.
    Troubled,
}

/// Two of the destinations, with different policies.
fn rules() -> Rules {
    let rule = |(name, policy)| {
        let mut rule = DestinationRule::new(name);
        rule.policy = policy;
        (Name::from(name), rule.into())
    };
    Rules {
        destinations: [("crm", Policy::All), ("newsletter", Policy::DoubleOptIn)]
            .map(rule)
            .into(),
        ..Rules::default()
    }
}

pub struct FakeStore {
    pub scene: Scene,
    pub start: Timestamp,
    /// Added to the received messages, so that a test can change a figure.
    pub more: AtomicU64,
    /// When set, the store does not answer.
    pub is_down: std::sync::atomic::AtomicBool,
}

impl FakeStore {
    pub fn new(scene: Scene, start: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            scene,
            start,
            more: AtomicU64::new(0),
            is_down: false.into(),
        })
    }

    pub fn config(&self) -> ConsoleConfig {
        let connector = |(name, kind): (&str, &str)| Connector {
            name: name.into(),
            kind: kind.to_owned(),
            workspace: "default".into(),
        };
        match self.scene {
            Scene::Empty => ConsoleConfig::default(),
            _ => ConsoleConfig {
                sources: [("petitions", "proca"), ("platform", "listener")]
                    .map(connector)
                    .into(),
                destinations: [
                    ("crm", "webhook"),
                    ("newsletter", "webhook"),
                    ("warehouse", "sql"),
                    ("archive", "file"),
                ]
                .map(connector)
                .into(),
                rules: rules().into(),
            },
        }
    }

    pub fn sources(&self, metrics: &Arc<Metrics>) -> Arc<Sources> {
        let sources = Arc::new(Sources::default());
        for name in self.config().sources {
            let health = SourceHealth {
                name: name.name.clone(),
                sources: Arc::clone(&sources),
                metrics: Arc::clone(metrics),
            };
            let is_failing = self.scene == Scene::Troubled && &*name.name == "petitions";
            health.set(if is_failing {
                let reason = "The broker closed the connection: 320 connection forced".to_owned();
                SourceState::Failing { reason }
            } else {
                SourceState::Running
            });
        }
        sources
    }

    /// The number of messages until `now` at about `per_s`, in waves.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "invented figures"
    )]
    fn grown(&self, now: Timestamp, per_s: f64, phase: f64) -> u64 {
        let s = now.duration_since(self.start).as_secs_f64().max(0.0);
        let wave = (s / 7.0 + phase).sin() * 2.1 + (s / 2.3 + phase).cos() * 0.6;
        ((s + wave + 3.0) * per_s).max(0.0) as u64
    }

    fn trouble(&self, number: u64) -> u64 {
        if self.scene == Scene::Troubled { number } else { 0 }
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("fake failure".to_owned()));
        }
        Ok(())
    }

    fn source(&self, now: Timestamp, per_s: f64, base: u64, dead: u64) -> SourceCounts {
        let received = base + self.grown(now, per_s, per_s) + self.more.load(Ordering::Relaxed);
        let new = 3 + self.trouble(4_120) + self.grown(now, 1.0, 2.0) % 5;
        let (dead, duplicate, skipped) = (self.trouble(dead), base / 900, base / 70);
        SourceCounts {
            received,
            new,
            done: received - new - dead - duplicate - skipped,
            skipped,
            dead,
            duplicate,
            oldest_new_at: Some(now - SignedDuration::from_secs(if new > 100 { 94 } else { 0 })),
            last_received_at: Some(now),
            ..SourceCounts::default()
        }
    }

    fn destination(
        &self,
        now: Timestamp,
        per_s: f64,
        base: u64,
        waiting: u64,
        dead: u64,
    ) -> DestinationCounts {
        let delivered = base + self.grown(now, per_s, per_s / 3.0);
        let waiting = waiting + self.grown(now, 1.0, per_s) % 9;
        let (retrying, dead, skipped) = (self.trouble(waiting / 40), self.trouble(dead), base / 9);
        DestinationCounts {
            planned: delivered + waiting + dead + skipped,
            waiting,
            retrying,
            delivered,
            skipped,
            dead,
            oldest_waiting_at: (waiting > 0)
                .then(|| now - SignedDuration::from_secs(i64::try_from(waiting / 9).unwrap_or(0))),
            last_delivered_at: Some(now),
            lane: LaneState::default(),
        }
    }
}

#[async_trait]
impl Views for FakeStore {
    async fn consent_of(
        &self,
        _: &str,
        _: &[Identity],
    ) -> Result<Vec<BTreeMap<String, causeway_core::consent::ConsentState>>, StoreError> {
        self.check()?;
        Ok(Vec::new())
    }

    async fn overview(&self, now: Timestamp) -> Result<Overview, StoreError> {
        self.check()?;
        if self.scene == Scene::Empty {
            return Ok(Overview::default());
        }
        let is_troubled = self.scene == Scene::Troubled;
        let mut crm = self.destination(
            now,
            if is_troubled { 0.0 } else { 21.0 },
            1_120_400,
            self.trouble(18_240),
            0,
        );
        if is_troubled {
            crm.lane.halted = Some("Answered 401: the credentials were refused".to_owned());
            crm.retrying = 0;
        }
        let mut archive = self.destination(
            now,
            if is_troubled { 0.0 } else { 23.0 },
            1_249_870,
            self.trouble(310),
            0,
        );
        archive.lane.paused = is_troubled;
        archive.retrying = 0;
        let destinations = [
            ("crm", crm),
            (
                "newsletter",
                self.destination(now, 8.4, 402_118, self.trouble(930), 25),
            ),
            ("warehouse", self.destination(now, 23.0, 1_249_902, 2, 0)),
            ("archive", archive),
        ];
        let sources = [
            (
                "petitions",
                self.source(now, if is_troubled { 0.0 } else { 19.0 }, 1_204_311, 49),
            ),
            ("platform", self.source(now, 4.2, 86_020, 24)),
        ];
        Ok(Overview {
            sources: sources.map(|(name, counts)| (Name::from(name), counts)).into(),
            destinations: destinations
                .map(|(name, counts)| (Name::from(name), counts))
                .into(),
            clock_alarm: None,
        })
    }

    async fn lanes(&self) -> Result<BTreeMap<Name, LaneState>, StoreError> {
        Ok(BTreeMap::new())
    }

    async fn source_urls(&self) -> Result<Vec<SourceUrl>, StoreError> {
        Ok(Vec::new())
    }

    async fn deliveries(&self, filter: DeliveryFilter, limit: u32) -> Result<Vec<DeliveryRow>, StoreError> {
        self.check()?;
        if self.scene == Scene::Empty {
            return Ok(Vec::new());
        }
        let before = filter.before.map_or(NEWEST + 1, |id| id.0);
        let wanted = |row: &DeliveryRow| {
            filter
                .destination
                .as_ref()
                .is_none_or(|name| row.destination == *name)
                && filter.state.as_ref().is_none_or(|state| row.state == *state)
                && filter
                    .reason
                    .as_ref()
                    .is_none_or(|part| row.reason.as_ref().is_some_and(|reason| reason.contains(part)))
        };
        let rows = (NEWEST - 800..before).rev().map(|id| delivery(id, self.start));
        Ok(rows.filter(wanted).take(limit as usize).collect())
    }

    async fn inbox(&self, filter: InboxFilter, limit: u32) -> Result<Vec<InboxRow>, StoreError> {
        self.check()?;
        if self.scene == Scene::Empty {
            return Ok(Vec::new());
        }
        let before = filter.before.map_or(NEWEST + 1, |id| id.0);
        let wanted = |row: &InboxRow| {
            (filter.ids.is_empty() || filter.ids.contains(&row.id))
                && filter.source.as_ref().is_none_or(|name| row.source == *name)
                && filter.state.is_none_or(|state| row.state == state)
        };
        let rows = (NEWEST - 800..before).rev().map(|id| inbox(id, self.start));
        Ok(rows.filter(wanted).take(limit as usize).collect())
    }

    async fn progress(&self, _: InboxId, _: Option<Name>, _: bool) -> Result<Option<Progress>, StoreError> {
        self.check()?;
        Ok(None)
    }

    async fn trace(&self, id: InboxId) -> Result<Option<Trace>, StoreError> {
        self.check()?;
        if !(NEWEST - 800..=NEWEST).contains(&id.0) {
            return Ok(None);
        }
        let row = inbox(id.0, self.start);
        let is_done = row.state == InboxState::Done;
        let sent = |name: &str, state: &str, attempts: Vec<AttemptRow>, reason: Option<&str>| DeliveryTrace {
            delivery: DeliveryRow {
                destination: name.into(),
                state: state.to_owned(),
                reason: reason.map(str::to_owned),
                remote_id: (state == "delivered").then(|| "CON-48201".to_owned()),
                address: None,
                by_hand: false,
                finished_at: Some(self.start - SignedDuration::from_secs(140)),
                ..delivery(id.0, self.start)
            },
            key: IdempotencyKey::derive("default", "petitions", b"key", name, "record"),
            attempts,
        };
        let action = Action {
            external_id: "887588".to_owned(),
            action_type: "petition".to_owned(),
            created_at: row.received_at,
            custom_fields: json!({"comment": "I swim there with Tomas"})
                .as_object()
                .cloned()
                .unwrap_or_default(),
            donation: None,
            tracking: Some(json!({"source": "newsletter", "medium": "email", "campaign": "spring"})),
            with_consent: true,
            dupe_rank: Some(0),
            testing: false,
        };
        let deliveries = vec![
            sent("crm", "delivered", attempts(self.start, false), None),
            sent("newsletter", "dead", attempts(self.start, true), Some(REASONS[1])),
            sent(
                "warehouse",
                "skipped",
                Vec::new(),
                Some("not confirmed by mail, as its policy double_opt_in asks"),
            ),
        ];
        Ok(Some(Trace {
            automations: is_done.then(explained),
            timers: Vec::new(),
            about: None,
            follow_ups: is_done.then(|| InboxId(id.0 + 1)).into_iter().collect(),
            via: Vec::new(),
            envelope: (row.state != InboxState::Skipped).then(|| envelope(&row)),
            duplicate_of: (row.state == InboxState::Duplicate).then(|| InboxId(id.0 - 1)),
            workspace: "default".into(),
            event: is_done.then(|| "action".to_owned()),
            event_at: is_done.then_some(row.received_at),
            decision: is_done
                .then(|| "email: no contact → opted_in, because of opt_in (proca action, row 10)".to_owned()),
            notes: if is_done {
                vec!["the field area is not a region we know".to_owned()]
            } else {
                Vec::new()
            },
            contact_id: is_done.then_some(ContactId(7)),
            merged: if is_done { vec![ContactId(31)] } else { Vec::new() },
            action: is_done.then_some((ActionId(5), action)),
            consent: if is_done {
                vec![fact(What::OptIn, row.received_at, "proca action, row 10")]
            } else {
                Vec::new()
            },
            deliveries: if is_done { deliveries } else { Vec::new() },
            inbox: row,
        }))
    }

    async fn find_named(&self, words: &str) -> Result<Vec<Named>, StoreError> {
        self.check()?;
        let address = "jana.novakova@example.org";
        let identity = Identity::Email {
            address: address.to_owned(),
        };
        let named = Named {
            contact: ContactId(7),
            workspace: "default".into(),
            own: identity.clone(),
            identity,
        };
        Ok(if words.trim().to_lowercase() == address {
            vec![named]
        } else {
            Vec::new()
        })
    }

    async fn contacts(
        &self,
        _workspace: &str,
        _after: ContactId,
        _limit: u32,
    ) -> Result<Vec<(ContactId, Contact)>, StoreError> {
        Ok(Vec::new())
    }

    async fn last_run(&self, _workspace: &str, _automation: &str) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    async fn next_timer(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    async fn contact(&self, id: ContactId) -> Result<Option<ContactView>, StoreError> {
        self.check()?;
        let since = self.start - SignedDuration::from_secs(260);
        let mut contact = Contact::default();
        let fields = json!({"email": "jana.novakova@example.org", "firstName": "Jana", "lastName": "Nováková", "postcode": "10115"});
        let fields: BTreeMap<_, _> = fields
            .as_object()
            .cloned()
            .unwrap_or_default()
            .into_iter()
            .collect();
        contact.set_fields(&fields, since);
        let mut consent = Consent::default();
        consent.add(&What::OptIn, since, None);
        let standing = consent.state(At::default(), &Terms::default());
        Ok((id.0 == 7).then(|| ContactView {
            id,
            workspace: "default".into(),
            identities: vec![
                Identity::Email {
                    address: "jana.novakova@example.org".to_owned(),
                },
                Identity::ContactRef {
                    namespace: "petitions".into(),
                    reference: "hT7cPzN0bA4WqX2u".to_owned(),
                },
            ],
            contact,
            consent_state: [(EMAIL.to_owned(), standing)].into(),
            given: Vec::new(),
            others: Vec::new(),
            click_grace: std::time::Duration::ZERO,
            ledger: Vec::new(),
            actions: Vec::new(),
            engagements: Vec::new(),
            deliveries: Vec::new(),
            inbox: vec![InboxId(NEWEST - 3), InboxId(NEWEST - 40)],
            messages: Vec::new(),
            erasing_since: None,
            envelopes: Vec::new(),
        }))
    }

    async fn unlisted(&self, _asked: Unlisted) -> Result<Vec<UnlistedAction>, StoreError> {
        Ok(Vec::new())
    }

    async fn gone_contacts(&self, _noticed_after: Timestamp) -> Result<Vec<GoneContact>, StoreError> {
        Ok(Vec::new())
    }

    async fn erasures(&self) -> Result<Vec<Erasure>, StoreError> {
        Ok(Vec::new())
    }

    async fn conflicts(&self) -> Result<Vec<Conflict>, StoreError> {
        Ok(Vec::new())
    }

    async fn namespaces(&self) -> Result<BTreeSet<Name>, StoreError> {
        Ok(BTreeSet::new())
    }

    async fn by_hand(&self, _rules: Arc<Rules>) -> Result<BTreeMap<Name, u64>, StoreError> {
        Ok(BTreeMap::new())
    }

    async fn dead_withdrawals(&self) -> Result<BTreeMap<Name, u64>, StoreError> {
        Ok(BTreeMap::new())
    }

    async fn left_behind(&self, _configured: Vec<(Name, Name)>) -> Result<BTreeMap<Name, u64>, StoreError> {
        Ok(BTreeMap::new())
    }

    async fn audit(&self) -> Result<Audit, StoreError> {
        Ok(Audit::default())
    }

    async fn health(&self) -> Result<StoreHealth, StoreError> {
        Err(StoreError::Unavailable("this is no store".to_owned()))
    }
}
