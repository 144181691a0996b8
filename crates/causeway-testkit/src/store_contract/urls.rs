//! Listener addresses, each minted for one sync of a platform.

use causeway_core::store::{Retention, UrlChange};

use super::{Bench, Open};
use crate::builders::at;

pub async fn an_address_is_minted_rotated_and_revoked(open: Open) {
    let bench = Bench::new(open, Vec::new()).await;
    let change = async |label: &str, change, seconds| {
        let store = bench.store();
        store
            .change_source_url("platform", label, change, at(seconds))
            .await
            .unwrap()
    };
    let counting = async |seconds| {
        let all = bench.store().source_urls().await.unwrap();
        let counting = all.into_iter().filter(|url| url.counts_at(at(seconds)));
        counting.map(|url| (url.label, url.hash[0])).collect::<Vec<_>>()
    };
    let named = |label: &str, first: u8| (label.to_owned(), first);
    let mint = |first| UrlChange::Mint { hash: [first; 32] };
    let rotate = |first, seconds| UrlChange::Rotate {
        hash: [first; 32],
        old_until: at(seconds),
    };

    assert!(!change("a", UrlChange::Revoke, 0).await && !change("a", rotate(1, 0), 0).await);
    assert!(change("a", mint(1), 0).await && change("b", mint(2), 0).await);
    // One valid address for each label.
    assert!(!change("a", mint(3), 1).await);
    assert_eq!(counting(2).await, [named("a", 1), named("b", 2)]);

    // The old address counts until its time is over.
    assert!(change("a", rotate(4, 100), 10).await);
    assert_eq!(counting(99).await, [named("a", 1), named("a", 4), named("b", 2)]);
    assert_eq!(counting(100).await, [named("a", 4), named("b", 2)]);
    // The address was rotated in between. No address counts longer than it was given.
    assert!(change("a", rotate(5, 50), 20).await);
    assert_eq!(counting(49).await.len(), 4);
    assert_eq!(counting(50).await, [named("a", 5), named("b", 2)]);

    // Revoking ends all addresses of the label at once, and no others.
    assert!(change("a", UrlChange::Revoke, 30).await && !change("a", UrlChange::Revoke, 31).await);
    assert_eq!(counting(31).await, [named("b", 2)]);
    assert!(change("a", mint(6), 40).await);
    assert_eq!(counting(40).await, [named("a", 6), named("b", 2)]);
    // All are listed, with their times.
    let all = bench.store().source_urls().await.unwrap();
    let listed: Vec<_> = all
        .iter()
        .map(|url| (url.hash[0], url.made_at, url.valid_until))
        .collect();
    let ended = Some(at(30));
    assert_eq!(
        listed,
        [
            (1, at(0), ended),
            (4, at(10), ended),
            (5, at(20), ended),
            (6, at(40), None),
            (2, at(0), None)
        ]
    );
}

pub async fn an_address_that_ended_long_ago_is_forgotten(open: Open) {
    const DAY: i64 = 86_400;
    let bench = Bench::new(open, Vec::new()).await;
    let change = async |label: &str, change, seconds| {
        let changed = bench
            .store()
            .change_source_url("platform", label, change, at(seconds));
        assert!(changed.await.unwrap());
    };
    let old_until = at(5 * DAY);
    let hash = [2; 32];
    change("a", UrlChange::Mint { hash: [1; 32] }, 0).await;
    change("a", UrlChange::Rotate { hash, old_until }, DAY).await;
    change("b", UrlChange::Mint { hash: [3; 32] }, 0).await;
    change("b", UrlChange::Revoke, 2 * DAY).await;
    let pruned = async |url_days, day| {
        let retention = Retention {
            url_days,
            ..Retention::default()
        };
        let pruned = bench.store().prune(retention, at(day * DAY)).await.unwrap();
        let left = bench.store().source_urls().await.unwrap();
        (
            pruned.urls,
            left.iter().map(|url| url.hash[0]).collect::<Vec<_>>(),
        )
    };
    assert_eq!(pruned(None, 1_000).await, (0, vec![1, 2, 3]));
    assert_eq!(pruned(Some(90), 91).await, (0, vec![1, 2, 3]));
    assert_eq!(pruned(Some(90), 93).await, (1, vec![1, 2]));
    assert_eq!(
        pruned(Some(90), 1_000).await,
        (1, vec![2]),
        "the valid address stays"
    );
}
