//! Conditions that cannot be made from outside: a full disk, and broken rows.

use causeway_core::{
    consent::What,
    event::Decoded,
    id::InboxId,
    rules::DestinationRule,
    store::{Claim, DeliveryFilter, InboxState, Store, StoreError, Views},
};
use causeway_testkit::builders::{SOURCE, at, envelope, rules, signed};

use crate::sqlite::{Options, SqliteStore, base::ids::SourceRowId, open};

async fn limit_pages(store: &SqliteStore, pages: u32) {
    store
        .writer()
        .unwrap()
        .alone(move |connection| Ok(connection.pragma_update(None, "max_page_count", pages)?))
        .await
        .unwrap();
}

/// A transaction that changes nothing commits even on a full disk.
#[tokio::test]
async fn accepting_nothing_still_writes_to_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let store = open(&path, Options { serve: true }).await.unwrap();
    let reader = rusqlite::Connection::open(&path).unwrap();
    let version = || {
        reader
            .pragma_query_value(None, "data_version", |row| row.get::<_, i64>(0))
            .unwrap()
    };
    let schema = || {
        reader
            .pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
            .unwrap()
    };
    let (before, schema_before) = (version(), schema());
    assert_eq!(store.accept(Vec::new()).await.unwrap(), []);
    assert_ne!(version(), before);
    assert_eq!(schema(), schema_before);
}

/// SQLite itself limits the pages, and returns the same error as for a full disk.
#[tokio::test]
async fn a_full_disk_changes_nothing_and_the_store_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let store = open(&path, Options { serve: true }).await.unwrap();
    let crm = rules(vec![DestinationRule::new("crm")]);
    store.set_rules(crm.into()).await.unwrap();
    let id = store
        .accept(vec![envelope(SOURCE, "before", at(0))])
        .await
        .unwrap()[0]
        .id;
    let event = signed("ada", "1", What::OptIn, at(0));
    let decoded = Decoded::Event(Box::new(event));
    store.process(vec![(id, decoded)], at(1)).await.unwrap();
    let pages = store
        .writer()
        .unwrap()
        .alone(
            |connection| Ok(connection.pragma_query_value(None, "page_count", |row| row.get::<_, u32>(0))?),
        )
        .await
        .unwrap();
    limit_pages(&store, pages + 4).await;
    let big = |key: &str| {
        let mut message = envelope(SOURCE, key, at(2));
        message.body = vec![b'x'; 60_000].into();
        message
    };
    let small = store.accept(vec![envelope(SOURCE, "small", at(2))]);
    let (small, large) = tokio::join!(small, store.accept(vec![big("large")]));
    let refused = large.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
    let small_is_there = small.is_ok();
    let new = store.fetch_new(InboxId(0), 10).await.unwrap();
    assert_eq!(new.len(), usize::from(small_is_there));
    let claim = Claim {
        first: Vec::new(),
        destination: "crm".into(),
        limit: 10,
        leased_until: at(100),
        now: at(10),
    };
    limit_pages(&store, u32::MAX - 1).await;
    store.accept(vec![big("large")]).await.unwrap();
    assert_eq!(store.claim(claim).await.unwrap().deliveries.len(), 1);
    let audit = store.audit().await.unwrap();
    assert_eq!(audit.sources[SOURCE].difference, 0, "{audit:?}");
}

/// The log is copied back beside the commits. Otherwise it would hold everything that was ever written, and
/// grow without a pause.
#[tokio::test]
async fn the_log_is_reset_under_load() {
    const MESSAGES: u32 = 400;
    const BYTES: usize = 300_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let store = open(&path, Options { serve: true }).await.unwrap();
    for number in 0..MESSAGES {
        let mut message = envelope(SOURCE, &number.to_string(), at(0));
        message.body = vec![b'x'; BYTES].into();
        store.accept(vec![message]).await.unwrap();
        let new = store.fetch_new(InboxId(0), 1).await.unwrap();
        assert_eq!(new.len(), 1);
    }
    let log = std::fs::metadata(folder.path().join("a.db-wal")).unwrap().len();
    assert!(
        log < 80_000_000,
        "{log} bytes of the 120 million that were written"
    );
    let file = std::fs::metadata(&path).unwrap().len();
    assert!(file > 80_000_000, "{file} bytes in the database itself");
}

/// The trigger makes one contact unwritable. It stands for a bug in our rules.
#[tokio::test]
async fn a_row_on_which_processing_fails_is_dead_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path().join("a.db"), Options { serve: true })
        .await
        .unwrap();
    let crm = rules(vec![DestinationRule::new("crm")]);
    store.set_rules(crm.into()).await.unwrap();
    store
        .writer()
        .unwrap()
        .alone(|connection| {
            Ok(connection.execute_batch(
                "CREATE TRIGGER broken BEFORE INSERT ON identity WHEN new.value = 'ben@example.org'
                 BEGIN SELECT raise(ABORT, 'broken'); END",
            )?)
        })
        .await
        .unwrap();
    let names = ["ada", "ben", "eva"];
    let messages = names.map(|name| envelope(SOURCE, name, at(0)));
    let accepted = store.accept(messages.to_vec()).await.unwrap();
    let batch = accepted.iter().zip(names).map(|(accepted, name)| {
        let event = signed(name, name, What::OptIn, at(0));
        (accepted.id, Decoded::Event(Box::new(event)))
    });
    let processed = store.process(batch.collect(), at(1)).await.unwrap();
    let states: Vec<InboxState> = processed.iter().map(|row| row.state).collect();
    assert_eq!(states, [InboxState::Done, InboxState::Dead, InboxState::Done]);
    assert_eq!(store.find_contacts("ben@example.org").await.unwrap(), []);
    let claim = Claim {
        first: Vec::new(),
        destination: "crm".into(),
        limit: 10,
        leased_until: at(100),
        now: at(10),
    };
    let deliveries = store.claim(claim).await.unwrap().deliveries;
    assert_eq!(deliveries.len(), 2);
    for delivery in deliveries {
        assert_eq!(delivery.record.campaign.unwrap().name, "clean_air");
    }
    let audit = store.audit().await.unwrap();
    assert_eq!(audit.destinations["crm"].difference, 0);
    assert_eq!(audit.sources[SOURCE].difference, 0);
}

#[tokio::test]
async fn a_delivery_that_cannot_be_read_is_dead_and_blocks_no_other() {
    let breakages = [
        "UPDATE contact SET doc = '{' WHERE id = (SELECT contact_id FROM identity WHERE value = 'ben@example.org')",
        "UPDATE contact SET doc = NULL WHERE id = (SELECT contact_id FROM identity WHERE value = 'ben@example.org')",
        "DELETE FROM event WHERE contact_id = (SELECT contact_id FROM identity WHERE value = 'ben@example.org')",
        "UPDATE action SET doc = '[]' WHERE external_id = 'ben'",
    ];
    for breakage in breakages {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path().join("a.db"), Options { serve: true })
            .await
            .unwrap();
        let crm = rules(vec![DestinationRule::new("crm")]);
        store.set_rules(crm.into()).await.unwrap();
        let names = ["ada", "ben", "eva"];
        let messages = names.map(|name| envelope(SOURCE, name, at(0)));
        let accepted = store.accept(messages.to_vec()).await.unwrap();
        let batch = accepted.iter().zip(names).map(|(accepted, name)| {
            let event = signed(name, name, What::OptIn, at(0));
            (accepted.id, Decoded::Event(Box::new(event)))
        });
        store.process(batch.collect(), at(1)).await.unwrap();
        store
            .writer()
            .unwrap()
            .write(1, move |tx| {
                tx.connection.execute_batch(breakage)?;
                tx.state.reload(tx.connection)
            })
            .await
            .unwrap();
        let claim = Claim {
            first: Vec::new(),
            destination: "crm".into(),
            limit: 1,
            leased_until: at(100),
            now: at(10),
        };
        let mut handed_out = Vec::new();
        while let [delivery] = &store.claim(claim.clone()).await.unwrap().deliveries[..] {
            handed_out.push(delivery.record.inbox_id);
        }
        assert_eq!(handed_out, [accepted[0].id, accepted[2].id], "{breakage}");
        let dead = DeliveryFilter {
            state: Some("dead".to_owned()),
            ..DeliveryFilter::default()
        };
        let dead = store.deliveries(dead, 10).await.unwrap();
        assert_eq!(dead.len(), 1, "{breakage}");
        let reason = dead[0].reason.clone().unwrap();
        assert!(reason.starts_with("broken in the store: "), "{reason}");
        assert_eq!(store.audit().await.unwrap().destinations["crm"].difference, 0);
    }
}

#[tokio::test]
async fn a_command_that_fails_or_panics_does_not_affect_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path().join("a.db"), Options { serve: true })
        .await
        .unwrap();
    let writer = store.writer().unwrap();
    let (go, gone) = std::sync::mpsc::sync_channel(1);
    let add = |name: &'static str| writer.write(1, move |tx| tx.state.names.source(tx.connection, name));
    // While the writer waits, the other commands gather for one transaction.
    let (held, first, failed, panicked, second, ()) = tokio::join!(
        writer.alone(move |_| {
            gone.recv().unwrap();
            Ok(())
        }),
        add("first"),
        writer.write(1, |_| Err::<(), _>(crate::sqlite::base::error::Error::Refused(
            "no".to_owned()
        ))),
        writer.write(1, |_| -> Result<(), _> { panic!("as a bug would") }),
        add("second"),
        async { go.send(()).unwrap() },
    );
    held.unwrap();
    assert!(failed.is_err() && panicked.is_err());
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_ne!(first, second);
    let names = writer
        .alone(|connection| {
            let mut names = connection.prepare("SELECT id FROM name WHERE kind = 'source' ORDER BY id")?;
            let ids = names.query_map([], |row| row.get(0))?;
            Ok(ids.collect::<Result<Vec<SourceRowId>, _>>()?)
        })
        .await
        .unwrap();
    assert_eq!(names, [first, second]);
}
