use std::time::Duration;

use causeway_testkit::vendors::meta::{ACCOUNT, Violation, hash};
use jiff::SignedDuration;
use serde_json::json;

use super::{ACT, Rig, emails, payload};

#[tokio::test]
async fn a_person_is_removed_from_every_audience_of_the_account() {
    let mut rig = Rig::start().await;
    let ids = [rig.audience().await, rig.audience().await];
    let single = json!({ "id": ids[0], "schema": "EMAIL_SHA256", "users": ["zoe@example.org"] });
    rig.ok("add", single).await;
    rig.ok("add", emails(&ids[1], &["zoe@example.org", "ada@example.org"]))
        .await;
    let params = payload(&["EMAIL"], &json!([[hash("zoe@example.org")]]));
    let answer = rig
        .ok("remove_everywhere", json!({ "account": ACT, "params": params }))
        .await;
    assert_eq!(
        (&answer["num_received"], &answer["account_id"]),
        (&1.into(), &ACCOUNT.into())
    );
    rig.meta.with(|meta| {
        let held = ids.map(|id| meta.audience(&id).members.has_email("zoe@example.org"));
        assert_eq!(held, [false, false]);
    });
}

#[tokio::test]
async fn removals_by_external_id_work_for_ninety_days_and_only_with_what_was_sent() {
    let mut rig = Rig::start().await;
    let id = rig.audience().await;
    let schema = ["EXTERN_ID", "EMAIL"];
    let rows = json!([
        ["sup-1", hash("old@example.org")],
        ["sup-2", hash("ada@example.org")]
    ]);
    rig.ok(
        "add_payload",
        json!({ "id": id, "params": payload(&schema, &rows) }),
    )
    .await;
    // The new address of a person does not remove the old one.
    let row = json!([["sup-1", hash("new@example.org")]]);
    rig.ok(
        "remove_payload",
        json!({ "id": id, "params": payload(&schema, &row) }),
    )
    .await;
    rig.meta
        .with(|meta| assert!(meta.audience(&id).members.has_email("old@example.org")));
    let by_id = |own: &str| json!({ "id": id, "params": payload(&["EXTERN_ID"], &json!([[own]])) });
    rig.ok("remove_payload", by_id("sup-1")).await;
    rig.clock.advance(Duration::from_hours(24 * 90));
    rig.ok("remove_payload", by_id("sup-2")).await;
    rig.meta.with(|meta| {
        let members = &meta.audience(&id).members;
        assert_eq!(members.values("EMAIL"), [hash("ada@example.org").as_str()].into());
    });
}

#[tokio::test]
async fn a_new_audience_may_not_be_ready_and_a_small_one_may_refuse_removals() {
    let mut rig = Rig::start().await;
    rig.meta
        .with(|meta| meta.creation_takes = SignedDuration::from_secs(60));
    let id = rig.audience().await;
    let add = emails(&id, &["ada@example.org"]);
    assert_eq!(rig.code("add", add.clone()).await.0, 803);
    rig.advance_minutes(1);
    rig.ok("add", add.clone()).await;
    rig.meta
        .with(|meta| meta.audience_mut(&id).refuses_removals = true);
    assert_eq!(rig.code("remove", add).await, (200.into(), 1_870_047.into()));
    rig.meta
        .with(|meta| assert!(meta.audience(&id).members.has_email("ada@example.org")));
}

#[tokio::test]
async fn a_session_adds_up_its_batches_and_discards_late_ones() {
    let mut rig = Rig::start().await;
    let id = rig.audience().await;
    let batch = |address: &str, seq: u64, is_last: bool| {
        let mut add = emails(&id, &[address]);
        add["session"] = json!({ "session_id": "9007199254740993", "batch_seq": seq, "last_batch_flag": is_last,
            "estimated_num_total": 3 });
        add
    };
    let ask = json!({ "id": id, "params": { "session_id": 9_007_199_254_740_993_u64 } });
    for (seq, received) in [(1, 1), (2, 2), (2, 2)] {
        let body = rig.ok("add", batch("ada@example.org", seq, false)).await["body"].clone();
        assert_eq!(
            (&body["num_received"], &body["session_id"]),
            (&received.into(), &"9007199254740993".into())
        );
    }
    let sessions = rig.ok("sessions", ask.clone()).await;
    assert_eq!(
        (&sessions[0]["stage"], &sessions[0]["num_received"]),
        (&"uploading".into(), &"2".into())
    );
    rig.ok("add", batch("eve@example.org", 3, true)).await;
    assert_eq!(rig.ok("sessions", ask).await[0]["progress"], "100");
    let body = rig.ok("add", batch("bob@example.org", 4, true)).await["body"].clone();
    assert_eq!(body["num_received"], 3);
    rig.meta.with(|meta| {
        assert_eq!(meta.violations, [Violation::BatchDiscarded]);
        assert!(!meta.audience(&id).members.has_email("bob@example.org"));
    });
    let mut elsewhere = batch("ada@example.org", 1, true);
    elsewhere["id"] = rig.audience().await.into();
    assert_eq!(rig.code("add", elsewhere).await.0, 100);
    assert_eq!(rig.code("add", batch("ada@example.org", 0, true)).await.0, 100);
}
