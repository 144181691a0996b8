//! The SQLite store through its contract.

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
