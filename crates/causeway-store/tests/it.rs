//! The SQLite store through its contract, and what only a file can do.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "these are tests: a panic is how they say that something is wrong"
)]

mod contract {
    use std::sync::Arc;

    use causeway_testkit::store_contract::Stored;

    /// A folder for one test; databases in it by name.
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
        event::Decoded,
        id::InboxId,
        rules::DestinationRule,
        store::{Claim, DeliveryFilter, LaneState, Store, StoreError, Views},
    };
    use causeway_store::{Options, SqliteStore, open};
    use causeway_testkit::builders::{SOURCE, at, envelope, rules, signed, synced};

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

    #[tokio::test]
    async fn no_byte_of_an_erased_person_stays_in_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let store = serve(&folder.path().join("a.db")).await;
        for number in 0..200 {
            let name = format!("person{number:03}");
            take(
                &store,
                &format!("a{number}"),
                signed(&name, &number.to_string(), What::OptIn, at(0)),
            )
            .await;
            // Every contact is written several times, so that old versions lie about.
            take(
                &store,
                &format!("b{number}"),
                synced(&name, &[("city", "Bern")], at(1)),
            )
            .await;
        }
        assert!(holds(&bytes_of(folder.path()), "person077"));
        let found = store.find_contacts("person077@example.org").await.unwrap();
        store.erase(found[0], at(2)).await.unwrap();
        assert!(!holds(&bytes_of(folder.path()), "person077"));
        assert!(holds(&bytes_of(folder.path()), "person078"));
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
        // A source that the serving process has never heard of.
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
        // An outcome that the schema does not know: this command alone is wrong.
        let wrong = store.record(vec![causeway_core::store::Attempt {
            delivery: causeway_core::id::DeliveryId(1),
            number: 1,
            started_at: at(2),
            took_ms: 1,
            outcome: "nonsense",
            reason: None,
            status: None,
            excerpt: None,
            remote_id: None,
            writes: std::collections::BTreeMap::new(),
            next: causeway_core::delivery::Next::Delivered,
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
