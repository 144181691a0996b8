//! Runs the SQLite store through its contract, and tests what only a file can do.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "these are tests: a panic is how they fail"
)]

mod contract {
    use std::sync::Arc;

    use causeway_testkit::store_contract::Stored;

    /// A folder for one test, with databases by name.
    fn in_a_folder() -> impl Fn(String) -> std::pin::Pin<Box<dyn Future<Output = Arc<dyn Stored>> + Send>> {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        move |name| {
            let folder = folder.clone();
            Box::pin(async move {
                let path = folder.path().join(format!("{name}.db"));
                let store = causeway_store::open(path, causeway_store::Options { serve: true })
                    .await
                    .unwrap();
                store as Arc<dyn Stored>
            })
        }
    }

    causeway_testkit::store_contract!(in_a_folder());
}

mod own {
    use std::path::Path;

    use causeway_core::{
        consent::What,
        delivery::Next,
        event::{Decoded, EventKind},
        id::InboxId,
        rules::DestinationRule,
        store::{Claim, DeliveryFilter, LaneState, Store, StoreError, Views},
    };
    use causeway_store::{Options, SqliteStore, open, open_to_read};
    use causeway_testkit::{
        builders::{SOURCE, at, envelope, rules, signed},
        store_contract::attempt,
    };

    async fn serve(path: &Path) -> std::sync::Arc<SqliteStore> {
        let store = open(path, Options { serve: true }).await.unwrap();
        store
            .set_rules(rules(vec![DestinationRule::new("crm")]).into())
            .await
            .unwrap();
        store
    }

    async fn take(store: &SqliteStore, key: &str, event: causeway_core::event::Event) {
        let mut message = envelope(SOURCE, key, at(0));
        message.body = format!("{:?}", event.identities).into();
        let id = store.accept(vec![message]).await.unwrap()[0].id;
        let decoded = Decoded::Event(Box::new(event));
        store.process(vec![(id, decoded)], at(1)).await.unwrap();
    }

    fn claim() -> Claim {
        Claim {
            first: Vec::new(),
            destination: "crm".into(),
            limit: 10,
            leased_until: at(100),
            now: at(10),
        }
    }

    fn bytes_of(folder: &Path) -> Vec<u8> {
        let mut all = Vec::new();
        for file in std::fs::read_dir(folder).unwrap() {
            all.extend(std::fs::read(file.unwrap().path()).unwrap());
        }
        all
    }

    fn holds(bytes: &[u8], text: &str) -> bool {
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    }

    /// Texts that appear in no other person's address, name or phone number.
    fn marks(number: usize) -> [String; 3] {
        [
            format!("person-{number:05}x"),
            format!("Surname-{number:05}x"),
            format!("+41 79 {number:05}0"),
        ]
    }

    fn event_of(number: usize) -> causeway_core::event::Event {
        let [name, surname, phone] = marks(number);
        let mut event = signed(&name, &number.to_string(), What::OptIn, at(0));
        event.fields.insert("lastName".to_owned(), surname.into());
        event.fields.insert("phone".to_owned(), phone.into());
        event
    }

    /// Accepts messages whose bytes hold the same as the events.
    async fn take_all(store: &SqliteStore, events: Vec<causeway_core::event::Event>, round: &str) {
        let messages = events.iter().enumerate().map(|(number, event)| {
            let mut message = envelope(SOURCE, &format!("{round} {number}"), at(0));
            message.body = format!("{:?} {:?}", event.identities, event.fields).into();
            message
        });
        let ids = store.accept(messages.collect()).await.unwrap();
        let decoded = ids
            .iter()
            .zip(events)
            .map(|(accepted, event)| (accepted.id, Decoded::Event(Box::new(event))));
        store.process(decoded.collect(), at(1)).await.unwrap();
    }

    async fn answer_all(store: &SqliteStore) {
        loop {
            let claim = Claim {
                limit: 1_000,
                ..claim()
            };
            let claimed = store.claim(claim).await.unwrap().deliveries;
            if claimed.is_empty() {
                return;
            }
            let attempts = claimed.iter().map(|delivery| {
                let mut attempt = attempt(delivery, Next::Delivered, at(10));
                // A CRM may send back what it was sent.
                attempt.excerpt = Some(delivery.record.to_json().to_string());
                attempt.remote_id = delivery.record.email().map(str::to_owned);
                attempt
            });
            store.record(attempts.collect()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn no_byte_of_an_erased_person_stays_in_the_files() {
        const PEOPLE: usize = 10_000;
        const ERASED: usize = 7_077;
        let folder = tempfile::tempdir().unwrap();
        let store = serve(&folder.path().join("a.db")).await;
        for first in (0..PEOPLE).step_by(500) {
            let events = (first..first + 500).map(event_of).collect();
            take_all(&store, events, &format!("first {first}")).await;
            answer_all(&store).await;
        }
        // Every contact is written again, so that old versions stay in free space.
        for first in (0..PEOPLE).step_by(500) {
            let events = (first..first + 500).map(|number| {
                let mut event = event_of(number);
                event
                    .fields
                    .insert("city".to_owned(), "Bern".repeat(number % 7 + 1).into());
                event.action = None;
                event.kind = EventKind::ContactSync;
                event.at = at(5);
                event
            });
            take_all(&store, events.collect(), &format!("second {first}")).await;
        }
        answer_all(&store).await;
        let address = |number: usize| format!("{}@example.org", marks(number)[0]);
        let before = bytes_of(folder.path());
        for mark in marks(ERASED) {
            assert!(holds(&before, &mark), "{mark} was never there");
        }
        let found = store.find_contacts(&address(ERASED)).await.unwrap();
        let start = store.begin_erasure(found[0], at(100), at(10)).await.unwrap();
        assert_eq!(start.asked.len(), 1);
        answer_all(&store).await;
        // A reader keeps the log from being emptied; it is emptied the next time.
        let reader = rusqlite::Connection::open(folder.path().join("a.db")).unwrap();
        reader
            .execute_batch("BEGIN; SELECT count(*) FROM contact")
            .unwrap();
        assert_eq!(store.finish_erasures(at(21)).await.unwrap(), 1);
        reader.execute_batch("COMMIT").unwrap();
        drop(reader);
        let between = bytes_of(folder.path());
        assert!(
            marks(ERASED).iter().any(|mark| holds(&between, mark)),
            "the reader did not keep the log from being emptied"
        );
        assert_eq!(store.finish_erasures(at(22)).await.unwrap(), 0);
        let after = bytes_of(folder.path());
        for mark in marks(ERASED) {
            assert!(!holds(&after, &mark), "{mark} is still there");
        }
        // A later message that names the person leaves nothing either.
        take_all(&store, vec![event_of(ERASED)], "late").await;
        assert_eq!(store.finish_erasures(at(23)).await.unwrap(), 0);
        let after = bytes_of(folder.path());
        for mark in marks(ERASED) {
            assert!(!holds(&after, &mark), "{mark} came back");
        }
        assert!(marks(ERASED + 1).iter().all(|mark| holds(&after, mark)));
    }

    /// A later try empties the log. Waiting for the reader would block every writer.
    #[tokio::test]
    async fn a_reader_does_not_block_writing_during_an_erasure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let store = serve(&path).await;
        take(&store, "1", signed("ada", "1", What::OptIn, at(0))).await;
        let reader = rusqlite::Connection::open(&path).unwrap();
        reader
            .execute_batch("BEGIN; SELECT count(*) FROM contact")
            .unwrap();
        let ada = store.find_contacts("ada@example.org").await.unwrap()[0];
        let started = std::time::Instant::now();
        store.erase(ada, at(2)).await.unwrap();
        store.accept(vec![envelope(SOURCE, "2", at(3))]).await.unwrap();
        assert!(started.elapsed().as_secs() < 3, "{:?}", started.elapsed());
        drop(reader);
        store.finish_erasures(at(4)).await.unwrap();
        assert!(!holds(&bytes_of(folder.path()), "ada@example.org"));
    }

    #[tokio::test]
    async fn queries_do_not_wait_for_writers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let store = serve(&path).await;
        take(&store, "1", signed("ada", "1", What::OptIn, at(0))).await;
        // Another process in the middle of a long write.
        let writer = rusqlite::Connection::open(&path).unwrap();
        writer
            .execute_batch("BEGIN IMMEDIATE; UPDATE meta SET value = 1 WHERE key = 'pulse'")
            .unwrap();
        let started = std::time::Instant::now();
        let reading = open_to_read(&path).await.unwrap();
        reading
            .use_rules(rules(vec![DestinationRule::new("crm")]).into())
            .await
            .unwrap();
        let found = reading.find_contacts("ada@example.org").await.unwrap();
        assert!(reading.contact(found[0]).await.unwrap().is_some());
        assert!(reading.trace(InboxId(1)).await.unwrap().is_some());
        assert_eq!(reading.audit().await.unwrap().sources[SOURCE].received, 1);
        assert!(started.elapsed().as_secs() < 3, "{:?}", started.elapsed());
        // The store was opened read-only.
        let refused = reading.erase(found[0], at(1)).await.unwrap_err();
        assert!(refused.to_string().contains("open for reading only"), "{refused}");
        assert!(reading.accept(vec![envelope(SOURCE, "2", at(2))]).await.is_err());
        writer.execute_batch("ROLLBACK").unwrap();
    }

    #[tokio::test]
    async fn one_process_serves_and_commands_work_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let serving = serve(&path).await;
        let Err(refused) = open(&path, Options { serve: true }).await else {
            panic!("two may not serve");
        };
        assert!(refused.to_string().contains("another process"), "{refused}");
        let command = open(&path, Options::default()).await.unwrap();
        let refused = command.claim(claim()).await.unwrap_err();
        assert!(matches!(refused, StoreError::Failed(_)), "{refused}");
        let refused = command.set_rules(rules(Vec::new()).into()).await.unwrap_err();
        assert!(
            refused.to_string().contains("only the process that serves"),
            "{refused}"
        );

        take(&serving, "1", signed("ada", "1", What::OptIn, at(0))).await;
        take(&serving, "2", signed("ada", "2", What::OptIn, at(0))).await;
        let paused = LaneState {
            paused: true,
            halted: None,
        };
        command.set_lane("crm", paused).await.unwrap();
        assert_eq!(serving.claim(claim()).await.unwrap().deliveries, []);
        command.set_lane("crm", LaneState::default()).await.unwrap();
        let first = command.deliveries(DeliveryFilter::default(), 10).await.unwrap()[1].id;
        let filter = DeliveryFilter {
            ids: vec![first],
            ..DeliveryFilter::default()
        };
        command
            .discard_deliveries(filter, "not wanted", at(5))
            .await
            .unwrap();
        let claimed = serving.claim(claim()).await.unwrap().deliveries;
        assert_eq!(claimed.len(), 1);
        assert_ne!(claimed[0].id, first);
        // The serving process has never heard of this source.
        let accepted = command.accept(vec![envelope("file", "1", at(6))]).await.unwrap();
        let new = serving.fetch_new(InboxId(0), 10).await.unwrap();
        assert_eq!(new[0].0, accepted[0].id);
        let decoded = Decoded::Event(Box::new(signed("ben", "3", What::OptIn, at(6))));
        let processed = serving.process(vec![(new[0].0, decoded)], at(7)).await.unwrap();
        assert_eq!(processed[0].planned.len(), 1);
        let contact = serving.find_contacts("ben@example.org").await.unwrap()[0];
        command.erase(contact, at(8)).await.unwrap();
        take(&serving, "4", signed("ben", "4", What::OptIn, at(9))).await;
        assert_eq!(serving.find_contacts("ben@example.org").await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_command_that_fails_alone_leaves_the_others_of_its_transaction() {
        let folder = tempfile::tempdir().unwrap();
        let store = serve(&folder.path().join("a.db")).await;
        take(&store, "1", signed("ada", "1", What::OptIn, at(0))).await;
        // The schema does not know this outcome, so this command alone fails.
        let wrong = store.record(vec![causeway_core::store::Attempt {
            delivery: causeway_core::id::DeliveryId(1),
            number: 1,
            started_at: at(2),
            took_ms: 1,
            outcome: "nonsense",
            reason: None,
            status: None,
            excerpt: None,
            request: None,
            memory: None,
            ticket_is_void: false,
            remote_id: None,
            change: causeway_core::consent::Change::Subscribe,
            address: None,
            writes: std::collections::BTreeMap::new(),
            next: Next::Delivered,
        }]);
        let right = store.accept(vec![envelope(SOURCE, "2", at(2))]);
        let (wrong, right) = tokio::join!(wrong, right);
        assert!(matches!(wrong, Err(StoreError::Failed(_))), "{wrong:?}");
        assert_eq!(right.unwrap().len(), 1);
        let overview = store.overview(at(3)).await.unwrap();
        assert_eq!(overview.destinations["crm"].delivered, 0);
        assert_eq!(overview.destinations["crm"].waiting, 1);
        assert_eq!(overview.sources[SOURCE].received, 2);
    }
}
