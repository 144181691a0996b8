//! A hub whose clock was ahead, and whose times are then corrected.

use std::{sync::Arc, time::Duration};

use causeway_core::{
    clock::Timestamp,
    consent::What,
    delivery::Next,
    event::Decoded,
    rules::DestinationRule,
    store::{Claim, ContactView, DeliveryFilter, Store, Views},
};
use causeway_testkit::{
    builders::{SOURCE, at, envelope, rules, signed},
    store_contract::attempt,
};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::sqlite::{Options, SqliteStore, open};

const DAY: i64 = 86_400;

struct World {
    store: Arc<SqliteStore>,
    _folder: TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path().join("a.db"), Options { serve: true })
            .await
            .unwrap();
        let crm = rules(vec![DestinationRule::new("crm")]);
        store.set_rules(crm.into()).await.unwrap();
        Self {
            store,
            _folder: folder,
        }
    }

    /// Ann signs with this first name, at a time that the hub stamps.
    async fn signs(&self, what: What, first_name: &str, when: Timestamp) {
        let key = format!("{first_name} {when}");
        let accepted = self
            .store
            .accept(vec![envelope(SOURCE, &key, when)])
            .await
            .unwrap();
        let mut event = signed("ann", &key, what, when);
        event
            .fields
            .insert("firstName".to_owned(), first_name.to_owned().into());
        let decoded = Decoded::Event(Box::new(event));
        self.store
            .process(vec![(accepted[0].id, decoded)], when)
            .await
            .unwrap();
    }

    async fn ann(&self) -> ContactView {
        let found = self.store.find_contacts("ann@example.org").await.unwrap();
        self.store.contact(found[0]).await.unwrap().unwrap()
    }

    async fn consent_state(&self) -> &'static str {
        self.ann().await.consent_state["email"].as_str()
    }

    async fn redate(&self, back: i64, now: Timestamp) {
        let back = Duration::from_secs(back.unsigned_abs());
        self.store.redate(back, now).await.unwrap();
        let left = self
            .store
            .readers
            .read(move |connection| Ok(ahead(connection, now)))
            .await;
        assert_eq!(left.unwrap(), Vec::<String>::new(), "still ahead");
    }

    async fn sql(&self, sql: &'static str) {
        self.store
            .writer()
            .unwrap()
            .alone(move |connection| Ok(connection.execute_batch(sql)?))
            .await
            .unwrap();
    }
}

/// All times after `now` in all tables, except due times.
fn ahead(connection: &Connection, now: Timestamp) -> Vec<String> {
    let now = now.as_millisecond();
    let names = |sql: &str| -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        let names = statement.query_map([], |row| row.get(0)).unwrap();
        names.map(Result::unwrap).collect()
    };
    let mut found = Vec::new();
    for table in names("SELECT name FROM sqlite_schema WHERE type = 'table'") {
        for column in names(&format!("SELECT name FROM pragma_table_info('{table}')")) {
            if ["due_at", "at_latest", "valid_until"].contains(&&*column) || table == "meta" {
                continue;
            }
            let sql = format!(
                "SELECT count(*) FROM \"{table}\" WHERE typeof(\"{column}\") = 'integer' AND \"{column}\" > {now}"
            );
            let count: i64 = connection.query_row(&sql, [], |row| row.get(0)).unwrap();
            if count > 0 {
                found.push(format!("{table}.{column}"));
            }
        }
        if names(&format!("SELECT name FROM pragma_table_info('{table}')")).contains(&"doc".to_owned()) {
            for doc in names(&format!("SELECT doc FROM \"{table}\" WHERE doc IS NOT NULL")) {
                let numbers = doc.split(|letter: char| !letter.is_ascii_digit());
                let times = numbers.filter_map(|number| number.parse::<i64>().ok());
                found.extend(
                    times
                        .filter(|time| *time > now && *time < 10 * now)
                        .map(|time| format!("{table}: {time}")),
                );
            }
        }
    }
    found
}

#[tokio::test]
async fn facts_from_after_the_correction_outweigh_facts_dated_ahead() {
    let world = World::new().await;
    world.signs(What::OptIn, "Anne", at(DAY)).await;
    let claim = Claim {
        first: Vec::new(),
        destination: "crm".into(),
        limit: 10,
        leased_until: at(DAY + 100),
        now: at(DAY),
    };
    let claimed = world.store.claim(claim).await.unwrap().deliveries;
    let retry = Next::Waiting { due_at: at(DAY + 30) };
    world
        .store
        .record(vec![attempt(&claimed[0], retry, at(DAY))])
        .await
        .unwrap();

    world.redate(DAY - 10, at(10)).await;
    assert_eq!(world.consent_state().await, "opted_in");
    let row = &world.ann().await.ledger[0];
    assert_eq!(row.fact.at, at(10));
    assert!(
        row.fact.basis.contains("re-dated: the hub's clock was ahead"),
        "{row:?}"
    );
    let waiting = &world
        .store
        .deliveries(DeliveryFilter::default(), 1)
        .await
        .unwrap()[0];
    assert_eq!(
        (waiting.state.as_str(), waiting.due_at),
        ("waiting", Some(at(40)))
    );

    world.signs(What::Unsubscribed, "Ann", at(11)).await;
    assert_eq!(world.consent_state().await, "unsubscribed");
    assert_eq!(world.ann().await.contact.text("firstName"), Some("Ann"));
}

#[tokio::test]
async fn facts_keep_their_order_however_little_time_there_is() {
    // The hub was stopped for a while. Some of the times dated ahead have passed; the rest lies between now
    // and the wrong time.
    for (last, expected) in [(What::OptIn, "opted_in"), (What::Unsubscribed, "unsubscribed")] {
        let world = World::new().await;
        let first = if last == What::OptIn {
            What::Unsubscribed
        } else {
            What::OptIn
        };
        world.signs(last.clone(), "Passed", at(49)).await;
        for (number, second) in (0..).zip([100, 200, 200, 300, 400]) {
            let what = if number % 2 == 0 {
                first.clone()
            } else {
                last.clone()
            };
            // Several messages within one second.
            let when = at(second) + Duration::from_millis(number);
            world.signs(what, &format!("Ahead {number}"), when).await;
        }
        world.signs(last, "Last", at(500)).await;
        world.redate(450, at(50)).await;
        assert_eq!(world.consent_state().await, expected);
        assert_eq!(world.ann().await.contact.text("firstName"), Some("Last"));
        let times: Vec<Timestamp> = world.ann().await.ledger.iter().map(|row| row.fact.at).collect();
        assert!(times.is_sorted() && times.len() == 7, "{times:?}");
        // A second correction changes nothing.
        world.redate(450, at(50)).await;
        assert_eq!(world.consent_state().await, expected);
    }
}

#[tokio::test]
async fn timers_schedules_erasures_and_addresses_dated_ahead_are_corrected() {
    let world = World::new().await;
    world.signs(What::OptIn, "Ann", at(DAY)).await;
    world
        .sql(
            "INSERT INTO timer (due_at, workspace_id, contact_id, inbox_id, automation, due)
             SELECT received_at + 3600000, 1, 1, id, 'later', '{\"step\":0}' FROM inbox;
             INSERT INTO last_run SELECT 1, 'daily', received_at FROM inbox;
             INSERT INTO erasure SELECT 1, id, received_at, received_at + 1000 FROM inbox;
             INSERT INTO erased (hash, at) SELECT x'00', received_at FROM inbox;
             INSERT INTO source_url SELECT zeroblob(32), 'forms', 'x', received_at, received_at FROM inbox",
        )
        .await;
    world.redate(DAY - 10, at(10)).await;
    assert_eq!(world.store.next_timer().await.unwrap(), Some(at(10 + 3_600)));
    assert_eq!(world.store.last_run("default", "daily").await.unwrap(), None);
    let erasure_row = world.store.erasures().await.unwrap();
    assert_eq!(
        (erasure_row[0].asked_at, erasure_row[0].at_latest),
        (at(10), at(11))
    );
    let urls = world.store.source_urls().await.unwrap();
    assert_eq!(urls[0].valid_until, Some(at(10)));
    let health = world.store.health().await.unwrap();
    assert_eq!(health.newest, Some(at(10)));
}

#[tokio::test]
async fn times_of_receipt_stay_in_order_when_the_clock_is_set_back_a_little() {
    let world = World::new().await;
    let received = async |key: &str, when| {
        world
            .store
            .accept(vec![envelope(SOURCE, key, when)])
            .await
            .unwrap();
        let new = world
            .store
            .fetch_new(causeway_core::id::InboxId(0), 10)
            .await
            .unwrap();
        new.last().unwrap().1.received_at
    };
    assert_eq!(received("first", at(100)).await, at(100));
    assert_eq!(received("a little before", at(41)).await, at(100));
    assert_eq!(received("after", at(101)).await, at(101));
    // This difference is too large for `stamp`: see `redate`.
    assert_eq!(received("a jump", at(10)).await, at(10));
}
