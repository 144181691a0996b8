//! A row that cannot be read is dead and visible, and blocks no other row.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use causeway_core::{
    automation::{Automation, Does, Scoring, Step, Trigger},
    consent::{Policy, What},
    decode::follow_up::FollowUpDecoder,
    delivery::{Delivery, Next},
    envelope::Meta,
    event::{Decode, Decoded, Event},
    id::{ContactId, InboxId},
    rules::{DestinationRule, Rules, WorkspaceRule},
    store::{Accepted, Attempt, Claim, InboxFilter, InboxRow, InboxState, Retention, Store, Views},
};
use causeway_testkit::builders::{OWN_ORG, SOURCE, at, envelope, page, rules, signed};
use tempfile::TempDir;

use crate::sqlite::{Options, SqliteStore, open};

const DAY: i64 = 86_400;

struct World {
    store: Arc<SqliteStore>,
    _folder: TempDir,
}

/// An automation waits 100 seconds after each signature before its next step.
fn with_timers() -> Rules {
    let mut rules = rules(vec![DestinationRule::new("crm")]);
    let later = Automation {
        name: "later".into(),
        workspace: "default".into(),
        on: vec![Trigger::Action(None)],
        when: None,
        stop: None,
        once: false,
        per_hour: None,
        then: vec![Step {
            does: Does::AddTag("late".to_owned()),
            delay: Some(Duration::from_secs(100)),
        }],
    };
    let workspace = WorkspaceRule::new(vec![later.into()], Scoring::default());
    rules.workspaces.insert("default".into(), workspace);
    rules
}

impl World {
    async fn new(rules: Rules) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path().join("a.db"), Options { serve: true })
            .await
            .unwrap();
        store.set_rules(rules.into()).await.unwrap();
        Self {
            store,
            _folder: folder,
        }
    }

    async fn accept(&self, names: &[&str]) -> Vec<Accepted> {
        let messages = names.iter().map(|name| {
            let mut message = envelope(SOURCE, name, at(0));
            message.meta = Meta {
                content_type: Some("application/json".to_owned()),
                ..Meta::default()
            };
            message
        });
        self.store.accept(messages.collect()).await.unwrap()
    }

    /// Each of them signs.
    async fn sign(&self, names: &[&str]) -> Vec<Accepted> {
        self.take(names, |name| signed(name, name, What::OptIn, at(0)))
            .await
    }

    async fn take(&self, names: &[&str], event: impl Fn(&str) -> Event) -> Vec<Accepted> {
        let accepted = self.accept(names).await;
        let batch = accepted
            .iter()
            .zip(names)
            .map(|(accepted, name)| (accepted.id, Decoded::Event(Box::new(event(name)))));
        self.store.process(batch.collect(), at(1)).await.unwrap();
        accepted
    }

    /// Damages the database by plain SQL.
    async fn damage(&self, sql: &'static str) {
        self.store
            .writer()
            .unwrap()
            .write(1, move |tx| {
                tx.connection.execute_batch(sql)?;
                tx.state.reload(tx.connection)
            })
            .await
            .unwrap();
    }

    /// Processes the messages that the store made itself, and returns the states of their rows.
    async fn follow(&self) -> Vec<InboxState> {
        let rows = self.store.fetch_new(InboxId(0), 100).await.unwrap();
        let batch = rows
            .iter()
            .map(|(id, envelope)| (*id, FollowUpDecoder.decode(envelope)));
        let processed = self.store.process(batch.collect(), at(101)).await.unwrap();
        processed.iter().map(|row| row.state).collect()
    }

    async fn dead(&self) -> Vec<InboxRow> {
        let filter = InboxFilter {
            state: Some(InboxState::Dead),
            ..InboxFilter::default()
        };
        self.store.inbox(filter, 100).await.unwrap()
    }

    async fn contact(&self, name: &str) -> ContactId {
        let address = format!("{name}@example.org");
        self.store.find_contacts(&address).await.unwrap()[0]
    }

    async fn claim(&self, seconds: i64) -> Vec<Delivery> {
        let claim = Claim {
            first: Vec::new(),
            destination: "crm".into(),
            limit: 10,
            leased_until: at(seconds + 60),
            now: at(seconds),
        };
        self.store.claim(claim).await.unwrap().deliveries
    }

    async fn books_balance(&self) {
        let audit = self.store.audit().await.unwrap();
        for (name, books) in &audit.sources {
            assert_eq!(books.difference, 0, "{name}: {books:?}");
        }
        for (name, books) in &audit.destinations {
            assert_eq!(books.difference, 0, "{name}: {books:?}");
        }
    }
}

fn delivered(delivery: &Delivery, writes: BTreeMap<String, serde_json::Value>) -> Attempt {
    Attempt {
        delivery: delivery.id,
        number: delivery.attempt,
        started_at: at(11),
        took_ms: 5,
        outcome: "delivered",
        reason: None,
        status: Some(200),
        excerpt: None,
        request: None,
        memory: None,
        ticket_is_void: false,
        remote_id: None,
        change: delivery.record.change,
        address: None,
        writes,
        next: Next::Delivered,
    }
}

#[tokio::test]
async fn a_timer_that_cannot_be_read_is_a_dead_row_and_the_others_fire() {
    for damage in [
        "UPDATE timer SET due = '{' WHERE contact_id = 2",
        "UPDATE timer SET due = '{\"walk\":1}' WHERE contact_id = 2",
        "UPDATE timer SET due = CAST(x'ff' AS TEXT) WHERE contact_id = 2",
        "UPDATE timer SET workspace_id = 999 WHERE contact_id = 2",
    ] {
        let world = World::new(with_timers()).await;
        world.sign(&["ada", "ben", "eva"]).await;
        assert_eq!(world.contact("ben").await, ContactId(2));
        world.damage(damage).await;
        assert_eq!(
            world.store.fire_due_timers(10, at(101)).await.unwrap(),
            3,
            "{damage}"
        );
        assert_eq!(world.store.next_timer().await.unwrap(), None, "{damage}");
        let states = [InboxState::Done, InboxState::Dead, InboxState::Done];
        assert_eq!(world.follow().await, states, "{damage}");
        for (name, has_tag) in [("ada", true), ("ben", false), ("eva", true)] {
            let id = world.contact(name).await;
            let view = world.store.contact(id).await.unwrap().unwrap();
            assert_eq!(
                view.contact.tags().any(|tag| tag == "late"),
                has_tag,
                "{damage}: {name}"
            );
        }
        let dead = world.dead().await;
        assert_eq!(dead.len(), 1, "{damage}");
        let reason = dead[0].reason.as_deref().unwrap();
        assert!(reason.contains("an automation's timer"), "{reason}");
        world.books_balance().await;
    }
}

#[tokio::test]
async fn a_message_whose_head_cannot_be_read_is_dead_and_the_others_are_processed() {
    for damage in [
        "UPDATE inbox_body SET meta = '{' WHERE id = 2",
        "UPDATE inbox_body SET meta = CAST(x'ff' AS TEXT) WHERE id = 2",
        "UPDATE inbox SET dedup = x'00' WHERE id = 2",
    ] {
        let world = World::new(with_timers()).await;
        let accepted = world.accept(&["ada", "ben", "eva"]).await;
        world.damage(damage).await;
        let rows = world.store.fetch_new(InboxId(0), 10).await.unwrap();
        let found: Vec<InboxId> = rows.iter().map(|(id, _)| *id).collect();
        assert_eq!(found, [accepted[0].id, accepted[2].id], "{damage}");
        let dead = world.dead().await;
        assert_eq!(dead.len(), 1, "{damage}");
        assert_eq!(dead[0].id, accepted[1].id);
        let reason = dead[0].reason.as_deref().unwrap();
        assert!(reason.starts_with("broken in the store: "), "{reason}");
        world.books_balance().await;
    }
}

/// The delivery is recorded as delivered all the same, so that it is not sent again.
#[tokio::test]
async fn a_response_about_an_unreadable_contact_is_kept() {
    let world = World::new(with_timers()).await;
    world.sign(&["ada", "ben"]).await;
    let sent = world.claim(10).await;
    assert_eq!(sent.len(), 2);
    world.damage("UPDATE contact SET doc = '{' WHERE id = 2").await;
    let answer = BTreeMap::from([("score".to_owned(), 5.into())]);
    let attempts = sent.iter().map(|sent| delivered(sent, answer.clone()));
    world.store.record(attempts.collect()).await.unwrap();
    assert_eq!(world.claim(1_000).await.len(), 0);
    assert_eq!(world.follow().await, [InboxState::Done, InboxState::Dead]);
    let ada = world.contact("ada").await;
    let ada = world.store.contact(ada).await.unwrap().unwrap();
    assert_eq!(ada.contact.fields["score"].value, 5);
    world.books_balance().await;
}

#[tokio::test]
async fn a_page_that_cannot_be_read_does_not_prevent_a_start() {
    let world = World::new(with_timers()).await;
    let on_page = |name: &str| {
        let mut event = signed(name, name, What::OptIn, at(0));
        event.page = Some(page(name, Some(OWN_ORG)));
        event
    };
    world.take(&["ada", "ben"], on_page).await;
    world
        .damage("UPDATE page SET doc = '{' WHERE external_id = 'ada'")
        .await;
    world.store.set_rules(with_timers().into()).await.unwrap();
    let own = world
        .store
        .writer()
        .unwrap()
        .alone(|connection| {
            let mut pages = connection.prepare("SELECT external_id FROM page WHERE own = 1")?;
            let ids = pages.query_map([], |row| row.get(0))?;
            Ok(ids.collect::<Result<Vec<String>, _>>()?)
        })
        .await
        .unwrap();
    assert_eq!(own, ["ben"]);
}

#[tokio::test]
async fn a_contact_that_cannot_be_erased_does_not_block_other_erasures() {
    let mut crm = DestinationRule::new("crm");
    crm.policy = Policy::All;
    let world = World::new(rules(vec![crm])).await;
    world.sign(&["ada", "ben", "eva"]).await;
    for sent in world.claim(10).await {
        world
            .store
            .record(vec![delivered(&sent, BTreeMap::new())])
            .await
            .unwrap();
    }
    for name in ["ada", "ben", "eva"] {
        let id = world.contact(name).await;
        world.store.begin_erasure(id, at(DAY), at(20)).await.unwrap();
    }
    world
        .damage(
            "CREATE TRIGGER broken BEFORE UPDATE OF doc ON contact WHEN old.id = 2
             BEGIN SELECT raise(ABORT, 'broken'); END",
        )
        .await;
    assert_eq!(world.store.finish_erasures(at(2 * DAY)).await.unwrap(), 2);
    for (name, is_known) in [("ada", false), ("ben", true), ("eva", false)] {
        let address = format!("{name}@example.org");
        let found = world.store.find_contacts(&address).await.unwrap();
        assert_eq!(found.len(), usize::from(is_known), "{name}");
    }
    world.damage("DROP TRIGGER broken").await;
    assert_eq!(world.store.finish_erasures(at(3 * DAY)).await.unwrap(), 1);
}

#[tokio::test]
async fn an_action_that_cannot_be_read_does_not_keep_others_from_being_deleted() {
    let world = World::new(with_timers()).await;
    world.sign(&["ada", "ben", "eva", "kim"]).await;
    for sent in world.claim(10).await {
        world
            .store
            .record(vec![delivered(&sent, BTreeMap::new())])
            .await
            .unwrap();
    }
    world
        .damage("UPDATE action SET doc = '{' WHERE external_id = 'ada'")
        .await;
    let retention = Retention {
        action_days: Some(10),
        ..Retention::default()
    };
    let pruned = world.store.prune(retention, at(20 * DAY)).await.unwrap();
    assert_eq!(pruned.actions, 2, "all but the broken one and the newest");
}
