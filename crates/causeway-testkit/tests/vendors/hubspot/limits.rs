use std::time::Duration;

use causeway_testkit::vendors::hubspot::{Policy, Token, faults};
use jiff::tz::Offset;
use serde_json::{Value, json};

use super::Account;

const LIST: &str = "crm.contacts.basicApi.getPage";
const SEARCH: &str = "crm.contacts.searchApi.doSearch";

fn search() -> Value {
    json!([{ "filterGroups": [], "properties": [], "sorts": [], "limit": 1, "after": "0" }])
}

#[tokio::test]
async fn a_burst_is_refused_until_ten_seconds_are_over() {
    let mut account = Account::start().await;
    account.with(|hubspot| hubspot.limits.burst = 2);
    let first = account.call(LIST, json!([])).await.headers;
    assert_eq!(
        (
            &first["x-hubspot-ratelimit-max"],
            &first["x-hubspot-ratelimit-remaining"]
        ),
        (&json!("2"), &json!("1"))
    );
    assert_eq!(first["x-hubspot-ratelimit-interval-milliseconds"], "10000");
    assert_eq!(first["x-hubspot-ratelimit-daily-remaining"], "624999");
    account.with(|hubspot| hubspot.clock.advance(Duration::from_secs(5)));
    account.get(LIST, json!([])).await;
    let error = account.fail(429, LIST, json!([])).await;
    assert_eq!(
        error["message"],
        "You have reached your ten_secondly_rolling limit."
    );
    assert_eq!(
        (&error["policyName"], &error["errorType"]),
        (&json!("TEN_SECONDLY_ROLLING"), &json!("RATE_LIMIT"))
    );
    // The window rolls: only the first request has left it.
    account.with(|hubspot| hubspot.clock.advance(Duration::from_secs(5)));
    account.get(LIST, json!([])).await;
    account.fail(429, LIST, json!([])).await;
    account.with(|hubspot| {
        assert_eq!(hubspot.limits.violations[&Policy::TenSecondlyRolling], 2);
        assert_eq!(hubspot.answers, [(200, 3), (429, 2)].into());
    });
}

#[tokio::test]
async fn searches_have_a_limit_of_their_own_and_no_headers() {
    let mut account = Account::start().await;
    for _ in 0..5 {
        let answer = account.call(SEARCH, search()).await;
        assert_eq!(
            (answer.status, &answer.headers["x-hubspot-ratelimit-max"]),
            (200, &Value::Null)
        );
    }
    let error = account.fail(429, SEARCH, search()).await;
    assert_eq!(
        (&error["policyName"], &error["message"]),
        (
            &json!("SECONDLY"),
            &json!("You have reached your secondly limit.")
        )
    );
    account.get(LIST, json!([])).await;
    account.with(|hubspot| hubspot.clock.advance(Duration::from_secs(1)));
    account.get(SEARCH, search()).await;
    assert_eq!(account.with(|hubspot| hubspot.limits.used_today()), 7);
}

#[tokio::test]
async fn the_day_begins_at_midnight_of_the_account() {
    let mut account = Account::start().await;
    account.with(|hubspot| {
        hubspot.limits.time_zone = Offset::constant(1);
        hubspot.limits.retry_after = Some(60);
        let (now, daily) = (hubspot.clock.now(), hubspot.limits.daily);
        hubspot.limits.use_today(now, daily);
    });
    let answer = account.call(LIST, json!([])).await;
    assert_eq!((answer.status, &answer.raw["policyName"]), (429, &json!("DAILY")));
    assert_eq!(answer.headers["retry-after"], "60");
    account.with(|hubspot| hubspot.clock.advance(Duration::from_hours(22)));
    account.fail(429, LIST, json!([])).await;
    // The limit is that of the account's keys.
    account.with(|hubspot| {
        let token = Token {
            is_oauth: true,
            ..Token::key()
        };
        hubspot.tokens.insert("app".to_owned(), token);
    });
    account.use_token("app").await;
    let answer = account.call(LIST, json!([])).await;
    assert_eq!(
        (answer.status, &answer.headers["x-hubspot-ratelimit-daily"]),
        (200, &Value::Null)
    );
    account.use_token(super::TOKEN).await;
    account.with(|hubspot| hubspot.clock.advance(Duration::from_hours(1)));
    let path = "/account-info/2026-09/api-usage/daily/private-apps";
    let usage = account.request("GET", path, Value::Null).await.raw;
    assert_eq!(
        (
            &usage["results"][0]["currentUsage"],
            &usage["results"][0]["resetsAt"]
        ),
        (&json!(1), &json!("2026-01-02T23:00:00.000Z"))
    );
}

#[tokio::test]
async fn faults_come_before_all_else_and_change_nothing() {
    let mut account = Account::start().await;
    account.hubspot.fail([
        faults::locked(),
        faults::migrating(3_600),
        faults::processing_limit(),
        faults::limited(Policy::Daily),
        faults::limited_by_category(),
    ]);
    let new = json!([{ "properties": { "email": "anna@example.org" }, "associations": [] }]);
    let create = "crm.contacts.basicApi.create";
    account.fail(423, create, new.clone()).await;
    let answer = account.call(create, new.clone()).await;
    assert_eq!(
        (answer.status, &answer.headers["retry-after"]),
        (477, &json!("3600"))
    );
    account.fail(502, create, new.clone()).await;
    assert_eq!(
        account.fail(429, create, new.clone()).await["policyName"],
        "DAILY"
    );
    assert_eq!(
        account.fail(429, create, new.clone()).await["category"],
        "RATE_LIMITS"
    );
    account.hubspot.fail([faults::origin_down()]);
    let answer = account
        .request("GET", "/crm/objects/2026-09/contacts", Value::Null)
        .await;
    assert_eq!(answer.status, 521);
    assert!(answer.raw.as_str().unwrap().starts_with("<!DOCTYPE html>"));
    assert_eq!(account.with(|hubspot| hubspot.contacts.records().len()), 0);
    account.get(create, new).await;
}
