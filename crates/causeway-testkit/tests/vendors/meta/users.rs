use causeway_testkit::vendors::meta::{Change, Samples, Violation, hash};
use serde_json::{Value, json};

use super::{Rig, emails, payload};

const ZOE: &str = "69949b0aca78abcdcf6eddd136dd82be04836a9deb99eff00a08ee790006e757";

#[tokio::test]
async fn the_client_hashes_addresses_to_the_same_values() {
    let mut rig = Rig::start().await;
    let id = rig.audience().await;
    for (typed, value) in [
        (
            " Zoe.Demo+News@Gmail.com ",
            "6f8d66ca5213acf91bdd3eee02068ae0e43533ccab369816b3bce35164fd4c5c",
        ),
        ("zoe.demo+news@example.org", ZOE),
        (
            "mary@example.com",
            "f1904cf1a9d73a55fa5de0ac823c4403ded71afd4c3248d00bdcd0866552bb79",
        ),
    ] {
        rig.ok("add", emails(&id, &[typed])).await;
        rig.meta.with(|meta| {
            let members = &meta.audience(&id).members;
            assert!(members.has("EMAIL", value), "{typed}");
            assert!(members.has_email(typed), "{typed}");
        });
    }
    let people = json!([["15559876543", "f", "07", "BE", "1060"]]);
    let schema = json!(["PHONE", "GEN", "DOBM", "COUNTRY", "ZIP"]);
    let sent = rig
        .ok("hashed", json!({ "schema": schema, "users": people }))
        .await;
    let row = [
        "1ef970831d7963307784fa8688e8fce101a15685d62aa765fed23f3a2c576a4e",
        "252f10c83610ebca1a059c0bae8255eba2f95be4d1d7bcfa89d7248a82d9f111",
        "19b100ab7725c612f3d80ff203ca53cea5cadaafae3bf0f88f0fb4089fe08815",
        "46599c5bb5c33101f80cea8438e2228085513dbbb19b2f5ce97bd68494d3344d",
        "8dfd13f4376053626e97eb7221d469013cae9bc031027e64f0db2ec114f8ffd9",
    ];
    assert_eq!(sent["data"], json!([row]));
    rig.meta.with(|meta| assert_eq!(meta.violations, []));
}

#[tokio::test]
async fn people_are_added_and_removed_in_all_ways_to_send_a_payload() {
    let mut rig = Rig::start().await;
    let id = rig.audience().await;
    let schema = ["EXTERN_ID", "EMAIL", "PHONE", "COUNTRY"];
    let phone = hash("32470123456");
    let rows = json!([
        ["sup-1001", hash("ada@example.org"), phone, hash("be")],
        ["sup-1002", hash("eve@example.org"), "", hash("be")],
        ["sup-1003", hash("bob@example.org"), "", ""],
    ]);
    let answer = rig
        .ok(
            "add_payload",
            json!({ "id": id, "params": payload(&schema, &rows) }),
        )
        .await;
    assert_eq!(answer["num_received"], 3);
    assert_eq!(answer["audience_id"], id);
    assert!(answer["session_id"].is_string());
    assert_eq!(
        (&answer["num_invalid_entries"], &answer["invalid_entry_samples"]),
        (&0.into(), &json!([]))
    );
    // In the query, in a form, and by a POST.
    rig.ok("remove", emails(&id, &["ada@example.org"])).await;
    let eve = payload(&["EMAIL"], &json!([[hash("eve@example.org")]]));
    rig.ok("remove_by_post", json!({ "id": id, "params": eve })).await;
    rig.meta.with(|meta| {
        let members = &meta.audience(&id).members;
        assert_eq!(members.values("EXTERN_ID"), ["sup-1003"].into());
        assert!(!members.has("PHONE", &phone));
        let changes: Vec<_> = meta
            .uploads
            .iter()
            .map(|upload| (upload.change, upload.rows))
            .collect();
        assert_eq!(
            changes,
            [(Change::Added, 3), (Change::Removed, 1), (Change::Removed, 1)]
        );
    });
}

#[tokio::test]
async fn single_keys_stand_in_a_flat_list_or_one_to_a_row() {
    let mut rig = Rig::start().await;
    let id = rig.audience().await;
    let flat = json!({ "id": id, "schema": "EMAIL_SHA256", "users": ["ada@example.org", "eve@example.org"] });
    assert_eq!(rig.ok("add", flat).await["body"]["num_received"], 2);
    let nested = json!({ "schema": "EMAIL_SHA256", "data": [[hash("bob@example.org")]] });
    rig.ok(
        "add_payload",
        json!({ "id": id, "params": { "payload": nested } }),
    )
    .await;
    let phones = json!({ "id": id, "schema": "PHONE_SHA256", "users": ["32470123456"] });
    rig.ok("add", phones).await;
    rig.meta.with(|meta| {
        let members = &meta.audience(&id).members;
        assert_eq!(members.people(), 4);
        assert!(members.has(
            "PHONE",
            "939c4bd6bb59bd77f86f17066a9d0e271836c34aad27e02b9621d56270566afc"
        ));
    });
    let ids = json!({ "id": id, "schema": "UID", "users": ["4711"], "app_ids": [1] });
    rig.ok("add", ids).await;
}

#[tokio::test]
async fn an_audience_keeps_the_style_of_its_first_schema() {
    let mut rig = Rig::start().await;
    let id = rig.audience().await;
    rig.ok("add", emails(&id, &["ada@example.org"])).await;
    let single = json!({ "id": id, "schema": "EMAIL_SHA256", "users": ["eve@example.org"] });
    let error = rig.err("add", single.clone()).await;
    assert_eq!((&error["code"], &error["subcode"]), (&2650.into(), &Value::Null));
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("FILE_IMPORTED.MULTI_HASHES"), "{message}");
    assert!(
        message.ends_with("data source FILE_IMPORTED.HASHES_OR_USER_IDS."),
        "{message}"
    );
    assert_eq!(rig.code("remove", single.clone()).await.0, 2650);
    let read = rig
        .ok("read", json!({ "id": id, "fields": ["data_source"] }))
        .await;
    assert_eq!(read["data_source"]["sub_type"], "MULTI_HASHES");

    let other = rig.audience().await;
    let mut single = single;
    single["id"] = other.clone().into();
    rig.ok("add", single).await;
    assert_eq!(
        rig.code("add", emails(&other, &["ada@example.org"])).await.0,
        2650
    );
}

#[tokio::test]
async fn rows_that_do_not_fit_the_schema_are_refused_as_a_whole() {
    let mut rig = Rig::start().await;
    let id = rig.audience().await;
    let hashed = hash("ada@example.org");
    let long = vec![[hash("ada@example.org")]; 10_001];
    for (schema, data, code) in [
        (
            vec!["EMAIL", "FN"],
            json!([[hashed, ""], [hashed]]),
            (100, Value::Null),
        ),
        (vec!["EMAIL", "FN"], json!([[hashed, null]]), (100, Value::Null)),
        (vec!["EMAIL"], json!([hashed]), (100, Value::Null)),
        (vec!["EMAIL"], json!([]), (100, Value::Null)),
        (vec!["MAIL"], json!([[hashed]]), (100, Value::Null)),
        (vec!["UID"], json!([["4711"]]), (100, Value::Null)),
        (
            vec!["EMAIL", "LOOKALIKE_VALUE"],
            json!([[hashed, 44.5]]),
            (100, Value::Null),
        ),
        (vec!["EMAIL"], json!(long), (1, json!(99))),
    ] {
        let add = json!({ "id": id, "params": payload(&schema, &data) });
        let (code, subcode) = (json!(code.0), code.1);
        assert_eq!(rig.code("add_payload", add).await, (code, subcode), "{schema:?}");
    }
    let error = rig.err("add_payload", json!({ "id": id, "params": {} })).await;
    assert_eq!(error["message"], "(#100) The parameter payload is required");
    rig.meta
        .with(|meta| assert_eq!(meta.audience(&id).members.people(), 0));
    let most = payload(&["EMAIL"], &json!(long[1..]));
    rig.ok("add_payload", json!({ "id": id, "params": most })).await;
}

#[tokio::test]
async fn cells_that_are_not_hashed_count_as_invalid_and_match_nobody() {
    let mut rig = Rig::start().await;
    let id = rig.audience().await;
    let rows = json!([
        ["zoe@example.org", hash("zoé")],
        [hash(""), hash("ada")],
        [ZOE.to_uppercase(), ""]
    ]);
    let add = json!({ "id": id, "params": payload(&["EMAIL", "FN"], &rows) });
    let answer = rig.ok("add_payload", add.clone()).await;
    assert_eq!(
        (&answer["num_received"], &answer["num_invalid_entries"]),
        (&3.into(), &2.into())
    );
    assert_eq!(
        answer["invalid_entry_samples"],
        json!(["zoe@example.org", ZOE.to_uppercase()])
    );
    rig.meta.with(|meta| {
        let expected = [
            Violation::Unhashed("EMAIL"),
            Violation::HashOfNothing("EMAIL"),
            Violation::Unhashed("EMAIL"),
        ];
        assert_eq!(meta.violations, expected);
        assert_eq!(
            meta.audience(&id).members.values("EMAIL"),
            [hash("").as_str()].into()
        );
        meta.samples = Samples::Map;
    });
    let answer = rig.ok("add_payload", add.clone()).await;
    assert_eq!(answer["invalid_entry_samples"]["zoe@example.org"], "Invalid hash");
    rig.meta.with(|meta| meta.samples = Samples::Null);
    let answer = rig.ok("add_payload", add.clone()).await;
    assert_eq!(
        (&answer["num_invalid_entries"], &answer["invalid_entry_samples"]),
        (&2.into(), &Value::Null)
    );
    rig.meta.with(|meta| {
        meta.samples = Samples::Uncounted;
        meta.numeric_ids = true;
    });
    let answer = rig.ok("add_payload", add).await;
    assert_eq!(answer["num_invalid_entries"], 0);
    assert!(
        answer["session_id"].is_u64() && answer["audience_id"].is_u64(),
        "{answer}"
    );
}
