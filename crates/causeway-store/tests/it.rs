//! The SQLite store through its contract.

#[tokio::test]
async fn a_record_goes_through() {
    use causeway_core::{consent::What, delivery::Next, event::Decoded, rules::DestinationRule, store::*};
    use causeway_testkit::builders::*;
    let folder = tempfile::tempdir().unwrap();
    let store = causeway_store::open(
        folder.path().join("a.db"),
        causeway_store::Options { serve: true },
    )
    .await
    .unwrap();
    store
        .set_rules(rules(vec![DestinationRule::new("crm")]).into())
        .await
        .unwrap();
    let accepted = store
        .accept(vec![envelope(SOURCE, "1", at(0)), envelope(SOURCE, "1", at(1))])
        .await
        .unwrap();
    assert!(accepted[1].duplicate);
    let new = store.fetch_new(causeway_core::id::InboxId(0), 10).await.unwrap();
    assert_eq!(new.len(), 1);
    let p = store
        .process(
            vec![(
                new[0].0,
                Decoded::Event(Box::new(signed("ada", "1", What::OptIn, at(0)))),
            )],
            at(2),
        )
        .await
        .unwrap();
    assert_eq!(p[0].planned.len(), 1, "{p:?}");
    let claimed = store
        .claim(Claim {
            destination: "crm".into(),
            limit: 10,
            leased_until: at(60),
            now: at(3),
        })
        .await
        .unwrap();
    assert_eq!(claimed.deliveries.len(), 1);
    assert_eq!(claimed.deliveries[0].record.email(), Some("ada@example.org"));
    store
        .record(vec![Attempt {
            delivery: claimed.deliveries[0].id,
            number: 1,
            started_at: at(3),
            took_ms: 5,
            outcome: "delivered",
            reason: None,
            status: Some(200),
            excerpt: None,
            remote_id: Some("9".into()),
            next: Next::Delivered,
        }])
        .await
        .unwrap();
    store.backup(&folder.path().join("b.db")).await.unwrap();
    store.erase(causeway_core::id::ContactId(1), at(9)).await.unwrap();
}
