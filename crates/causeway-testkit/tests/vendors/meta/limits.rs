use causeway_testkit::vendors::meta::{Family, GraphError, Violation};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{Rig, emails};

/// The use of custom audiences in the header.
fn usage(result: &Value) -> Value {
    let header: Value = serde_json::from_str(result["usage"].as_str().unwrap()).unwrap();
    let families = header["1234567890"].as_array().unwrap();
    let found = families.iter().find(|family| family["type"] == "custom_audience");
    found.unwrap().clone()
}

#[tokio::test]
async fn usage_grows_until_calls_are_blocked() {
    let mut rig = Rig::start().await;
    let id = rig.audience().await;
    let add = emails(&id, &["zoe@example.org"]);
    rig.meta.with(|meta| {
        let bucket = meta
            .account_mut()
            .buckets
            .entry(Family::CustomAudience)
            .or_default();
        bucket.limit = Some(4);
    });
    for percent in [25, 50, 75, 100] {
        let usage = usage(&rig.ok("add", add.clone()).await);
        assert_eq!(usage["call_count"], percent);
        assert_eq!(usage["estimated_time_to_regain_access"], 0);
        assert_eq!(usage["ads_api_access_tier"], "standard_access");
    }
    let error = rig.err("add", add.clone()).await;
    assert_eq!((&error["code"], &error["status"]), (&80003.into(), &400.into()));
    assert_eq!(usage(&error)["estimated_time_to_regain_access"], 12);
    rig.meta.with(|meta| assert_eq!(meta.violations, []));

    rig.advance_minutes(5);
    let error = rig.err("add", add.clone()).await;
    assert_eq!(usage(&error)["estimated_time_to_regain_access"], 12);
    let violation = Violation::CallWhileBlocked(Family::CustomAudience);
    rig.meta.with(|meta| assert_eq!(meta.violations, [violation]));
    // Reading belongs to another family.
    rig.ok("read", json!({ "id": id, "fields": ["name"] })).await;
    rig.advance_minutes(12);
    assert_eq!(usage(&rig.ok("add", add).await)["call_count"], 25);
}

#[tokio::test]
async fn a_block_can_be_set() {
    let mut rig = Rig::start().await;
    let id = rig.audience().await;
    let lasts = SignedDuration::from_secs(90);
    rig.meta.with(|meta| meta.block(Family::CustomAudience, lasts));
    let error = rig.err("add", emails(&id, &["zoe@example.org"])).await;
    assert_eq!(usage(&error)["call_count"], 97);
    assert_eq!(usage(&error)["estimated_time_to_regain_access"], 2);
    rig.meta.with(|meta| meta.block(Family::AdsManagement, lasts));
    assert_eq!(rig.code("read", json!({ "id": id, "fields": [] })).await.0, 80004);
    rig.advance_minutes(2);
    rig.meta.with(|meta| meta.shows_usage = false);
    let result = rig.ok("add", emails(&id, &["zoe@example.org"])).await;
    assert_eq!(result["usage"], Value::Null);
}

#[tokio::test]
async fn errors_can_be_scripted_and_answers_lost() {
    let mut rig = Rig::start().await;
    let id = rig.audience().await;
    let add = emails(&id, &["zoe@example.org"]);
    let abusive = GraphError::new(368, "The action attempted has been deemed abusive").subcode(1_390_008);
    rig.meta.fail([GraphError::transient().reply(), abusive.reply()]);
    let error = rig.err("add", add.clone()).await;
    assert_eq!(
        (&error["code"], &error["is_transient"]),
        (&2.into(), &true.into())
    );
    assert_eq!(error["status"], 500);
    assert_eq!(rig.code("add", add.clone()).await, (368.into(), 1_390_008.into()));
    rig.meta
        .with(|meta| assert_eq!(meta.audience(&id).members.people(), 0));

    rig.meta.with(|meta| meta.loses_answers = 1);
    let lost = rig.ok("add", add.clone()).await;
    assert_eq!(lost["body"]["num_received"], Value::Null);
    rig.meta
        .with(|meta| assert!(meta.audience(&id).members.has_email("zoe@example.org")));
    rig.ok("add", add).await;
    rig.meta
        .with(|meta| assert_eq!(meta.audience(&id).members.people(), 1));
}
