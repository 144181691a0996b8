use causeway_testkit::vendors::meta::{Violation, hash};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{Rig, emails};

fn batch(id: &str, session: (u64, u64, bool), address: &str) -> Value {
    let (session_id, seq, is_last) = session;
    let payload = json!({ "schema": ["EMAIL"], "data": [[hash(address)]] });
    let session = json!({ "session_id": session_id, "batch_seq": seq, "last_batch_flag": is_last });
    json!({ "id": id, "params": { "payload": payload, "session": session } })
}

fn refused(subcode: u32) -> (Value, Value) {
    (2650.into(), subcode.into())
}

impl Rig {
    async fn status(&mut self, id: &str) -> Value {
        let read = self
            .ok("read", json!({ "id": id, "fields": ["operation_status"] }))
            .await;
        read["operation_status"]["description"].clone()
    }

    /// An audience that holds ada@example.org.
    async fn filled(&mut self) -> String {
        let id = self.audience().await;
        self.ok("add", emails(&id, &["ada@example.org"])).await;
        id
    }

    fn holds(&self, id: &str, addresses: &[&str]) {
        self.meta.with(|meta| {
            let members = &meta.audience(id).members;
            assert!(addresses.iter().all(|address| members.has_email(address)));
            assert_eq!(members.people(), addresses.len() as u64);
        });
    }
}

#[tokio::test]
async fn the_members_are_replaced_after_the_last_batch() {
    let mut rig = Rig::start().await;
    let id = rig.filled().await;
    let answer = rig
        .ok("replace", batch(&id, (7, 1, false), "zoe@example.org"))
        .await;
    assert_eq!(
        (&answer["session_id"], &answer["num_received"]),
        (&"7".into(), &1.into())
    );
    assert_eq!(rig.status(&id).await, "replace_in_progress");
    rig.holds(&id, &["ada@example.org"]);
    // Batches after the first may come in any order, and twice.
    rig.ok("replace", batch(&id, (7, 3, false), "eve@example.org"))
        .await;
    rig.ok("replace", batch(&id, (7, 3, false), "eve@example.org"))
        .await;
    rig.meta
        .with(|meta| meta.replacing_takes = SignedDuration::from_mins(5));
    let answer = rig
        .ok("replace", batch(&id, (7, 2, true), "bob@example.org"))
        .await;
    assert_eq!(answer["num_received"], 3);
    assert_eq!(rig.status(&id).await, "replace_in_progress");
    assert_eq!(
        rig.code("replace", batch(&id, (7, 2, true), "bob@example.org"))
            .await,
        refused(1_870_159)
    );
    assert_eq!(
        rig.code("replace", batch(&id, (8, 1, true), "bob@example.org"))
            .await,
        refused(1_870_145)
    );
    rig.advance_minutes(5);
    assert_eq!(rig.status(&id).await, "Normal");
    rig.holds(&id, &["zoe@example.org", "eve@example.org", "bob@example.org"]);
    assert_eq!(
        rig.code("replace", batch(&id, (7, 4, true), "bob@example.org"))
            .await,
        refused(1_870_159)
    );
}

#[tokio::test]
async fn other_changes_wait_for_a_replacement() {
    let mut rig = Rig::start().await;
    let id = rig.filled().await;
    assert_eq!(
        rig.code("replace", batch(&id, (7, 2, false), "zoe@example.org"))
            .await,
        refused(1_870_147)
    );
    let sessions = json!({ "id": id, "params": {} });
    assert_eq!(rig.ok("sessions", sessions).await, json!([]));
    rig.ok("replace", batch(&id, (7, 1, false), "zoe@example.org"))
        .await;
    let busy = refused(1_870_145);
    assert_eq!(
        rig.code("replace", batch(&id, (7, 1, false), "zoe@example.org"))
            .await,
        busy
    );
    assert_eq!(
        rig.code("replace", batch(&id, (8, 1, false), "zoe@example.org"))
            .await,
        busy
    );
    assert_eq!(rig.code("add", emails(&id, &["eve@example.org"])).await, busy);
    assert_eq!(rig.code("remove", emails(&id, &["ada@example.org"])).await, busy);
    rig.meta
        .with(|meta| assert_eq!(meta.violations, vec![Violation::ChangeWhileReplacing; 4]));
    // An erasure must not wait.
    let params = json!({ "payload": { "schema": ["EMAIL"], "data": [[hash("zoe@example.org")]] } });
    rig.ok(
        "remove_everywhere",
        json!({ "account": super::ACT, "params": params }),
    )
    .await;
    rig.ok("replace", batch(&id, (7, 2, true), "eve@example.org"))
        .await;
    rig.holds(&id, &["eve@example.org"]);
}

#[tokio::test]
async fn a_replacement_ends_after_ninety_minutes_with_what_arrived() {
    let mut rig = Rig::start().await;
    let id = rig.filled().await;
    rig.ok("replace", batch(&id, (7, 1, false), "zoe@example.org"))
        .await;
    rig.advance_minutes(90);
    rig.ok("replace", batch(&id, (7, 2, false), "eve@example.org"))
        .await;
    rig.advance_minutes(1);
    let late = batch(&id, (7, 3, true), "bob@example.org");
    assert_eq!(rig.code("replace", late).await, refused(1_870_158));
    assert_eq!(rig.status(&id).await, "Normal");
    rig.holds(&id, &["zoe@example.org", "eve@example.org"]);
    rig.ok("add", emails(&id, &["bob@example.org"])).await;
}

#[tokio::test]
async fn a_replacement_fails_and_is_done_again() {
    let mut rig = Rig::start().await;
    let id = rig.filled().await;
    rig.meta
        .with(|meta| meta.audience_mut(&id).fails_to_replace = true);
    rig.ok("replace", batch(&id, (7, 1, false), "zoe@example.org"))
        .await;
    assert_eq!(
        rig.code("replace", batch(&id, (7, 2, true), "eve@example.org"))
            .await,
        refused(1_870_148)
    );
    assert_eq!(rig.status(&id).await, "replace_error");
    rig.ok("replace", batch(&id, (8, 1, true), "zoe@example.org"))
        .await;
    assert_eq!(rig.status(&id).await, "Normal");
    rig.holds(&id, &["zoe@example.org"]);
}

#[tokio::test]
async fn a_replacement_needs_a_session_one_schema_and_an_audience_of_fewer_than_100_million() {
    let mut rig = Rig::start().await;
    let id = rig.filled().await;
    let mut without = batch(&id, (7, 1, false), "zoe@example.org");
    without["params"]["session"] = Value::Null;
    assert_eq!(rig.code("replace", without).await.0, 100);
    rig.ok("replace", batch(&id, (7, 1, false), "zoe@example.org"))
        .await;
    let mut other = batch(&id, (7, 2, true), "eve@example.org");
    other["params"]["payload"] =
        json!({ "schema": ["EMAIL", "FN"], "data": [[hash("eve@example.org"), ""]] });
    assert_eq!(rig.code("replace", other).await.0, 100);
    rig.ok("replace", batch(&id, (7, 2, true), "eve@example.org"))
        .await;
    rig.meta
        .with(|meta| meta.audience_mut(&id).other_people = 100_000_000);
    let batch = batch(&id, (8, 1, true), "zoe@example.org");
    assert_eq!(rig.code("replace", batch).await, refused(1_870_144));
}
