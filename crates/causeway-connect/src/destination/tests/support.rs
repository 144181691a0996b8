//! What the tests of all destinations share: people, withdrawals, and how results read.

use std::sync::Arc;

use causeway_core::{
    consent::{Change, ConsentState},
    delivery::{Delivery, Kind},
    destination::{AttemptResult, Destination},
    mapping::Tables,
};
use causeway_testkit::{clock::TestClock, destination_contract::delivery, fake_api::FakeApi};

use crate::{config::Context, vault::NoVault};

/// A destination called `name`, without a sign-in. Nobody moves its clock.
pub fn context(name: &str) -> Context {
    Context {
        name: name.into(),
        clock: Arc::new(TestClock::default()),
        dir: ".".into(),
        tables: Tables::default(),
        vault: NoVault::shared(),
    }
}

/// A person who agreed at `since`.
pub fn subscriber(number: i64, since: &str) -> Delivery {
    let mut delivery = delivery(number);
    let since = since.parse().unwrap();
    delivery.record.change = Change::Subscribe;
    let state = ConsentState::OptedIn { since };
    delivery.record.consent_state.insert("email".to_owned(), state);
    delivery
}

pub fn withdrawal(number: i64, change: Change) -> Delivery {
    let mut delivery = delivery(number);
    delivery.record.kind = Kind::Withdrawal;
    delivery.record.change = change;
    delivery
}

pub fn outcomes(results: &[AttemptResult]) -> Vec<&'static str> {
    results.iter().map(|result| result.outcome.as_str()).collect()
}

/// The method and the path of each request, without `prefix`.
pub fn calls(api: &FakeApi, prefix: &str) -> Vec<String> {
    let all = api.requests();
    let short = |path: &str| path.strip_prefix(prefix).unwrap_or(path).to_owned();
    all.iter()
        .map(|request| format!("{} {}", request.method, short(&request.path)))
        .collect()
}

/// Delivers one after the other, each with what the destination remembered of those before.
pub async fn in_turn(destination: &dyn Destination, deliveries: impl IntoIterator<Item = Delivery>) {
    let mut memory = None;
    for delivery in deliveries {
        let delivery = Delivery {
            memory: memory.clone(),
            ..delivery
        };
        let result = destination.deliver(&[delivery]).await.remove(0);
        assert_eq!(result.outcome.as_str(), "delivered", "{result:?}");
        memory = result.memory.or(memory);
    }
}

/// A person who agrees, leaves, and agrees again within the time in which a click at the vendor is doubtful.
pub fn in_out_and_in() -> [Delivery; 3] {
    let (first, again) = ("2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z");
    [
        subscriber(1, first),
        withdrawal(1, Change::Unsubscribe),
        subscriber(1, again),
    ]
}
