use causeway_testkit::vendors::google::ACCOUNT;
use serde_json::{Value, json};

use super::{Rig, member};

fn contacts(name: &str) -> Value {
    json!({
        "displayName": name, "description": "Synced", "integrationCode": "crm-1", "membershipDuration": "2592000s",
        "ingestedUserListInfo": {
            "uploadKeyTypes": ["CONTACT_ID"], "contactIdInfo": { "dataSourceType": "DATA_SOURCE_TYPE_FIRST_PARTY" },
        },
    })
}

#[tokio::test]
async fn lists_are_created_read_changed_and_deleted() {
    let mut rig = Rig::start().await;
    let created = rig
        .ok(
            "create",
            json!({ "account": ACCOUNT, "user_list": contacts("rivers") }),
        )
        .await;
    assert_eq!(
        (&created["membershipStatus"], &created["accessReason"]),
        (&json!("OPEN"), &json!("OWNED"))
    );
    let id: u64 = created["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(
        created["name"],
        format!("accountTypes/GOOGLE_ADS/accounts/{ACCOUNT}/userLists/{id}")
    );

    let error = rig
        .err(
            "create",
            json!({ "account": ACCOUNT, "user_list": contacts("rivers") }),
        )
        .await;
    assert_eq!(error["reason"], "DISPLAY_NAME_ALREADY_USED");
    for (name, value, reason) in [
        (
            "membershipDuration",
            json!("46742400s"),
            "MEMBERSHIP_DURATION_TOO_LONG",
        ),
        ("membershipDuration", json!("100s"), "INVALID_ARGUMENT"),
        ("ingestedUserListInfo", json!({}), "REQUIRED_FIELD_MISSING"),
        ("displayName", json!(""), "REQUIRED_FIELD_MISSING"),
    ] {
        let mut wrong = contacts("hills");
        wrong[name] = value;
        let error = rig
            .err("create", json!({ "account": ACCOUNT, "user_list": wrong }))
            .await;
        assert_eq!(error["violations"][0][1], reason, "{error}");
    }
    let trial = json!({ "account": ACCOUNT, "user_list": contacts("hills"), "trial": true });
    rig.ok("create", trial).await;

    rig.list = id;
    rig.add(&[member("ada@example.org")]).await;
    let read = rig.ok("read", json!({ "account": ACCOUNT, "id": id })).await;
    assert_eq!(read["sizeInfo"]["searchNetworkMembersCount"], "1");
    assert_eq!(
        read["ingestedUserListInfo"]["uploadKeyTypes"],
        json!(["CONTACT_ID"])
    );

    let change = |fields: Value, mask: &str| {
        json!({
            "account": ACCOUNT, "id": id, "user_list": fields, "mask": [mask],
        })
    };
    let changed = rig
        .ok(
            "update",
            change(json!({ "displayName": "lakes" }), "display_name"),
        )
        .await;
    assert_eq!(
        (&changed["displayName"], &changed["description"]),
        (&json!("lakes"), &json!("Synced"))
    );
    let other = json!({ "ingestedUserListInfo": { "uploadKeyTypes": ["USER_ID"] } });
    let error = rig.err("update", change(other, "ingested_user_list_info")).await;
    assert_eq!(error["violations"][0][1], "IMMUTABLE_FIELD_FOR_UPDATE");

    rig.ok("delete", json!({ "account": ACCOUNT, "id": id })).await;
    let error = rig.err("read", json!({ "account": ACCOUNT, "id": id })).await;
    assert_eq!(
        (&error["code"], &error["raised"]),
        (&json!(404), &json!("NotFound"))
    );
}

#[tokio::test]
async fn lists_come_by_pages_and_filters() {
    let mut rig = Rig::start().await;
    rig.google.with(|google| {
        for number in 0..120 {
            google.add_list(ACCOUNT, &format!("list {}", 100 + number));
        }
    });
    let sizes = |pages: &Value| -> Vec<usize> {
        pages
            .as_array()
            .unwrap()
            .iter()
            .map(|page| page.as_array().unwrap().len())
            .collect()
    };
    let pages = rig.ok("find", json!({ "account": ACCOUNT })).await;
    assert_eq!(sizes(&pages), [50, 50, 21]);
    let pages = rig.ok("find", json!({ "account": ACCOUNT, "size": 100 })).await;
    assert_eq!(sizes(&pages), [100, 21]);
    let filter = "displayName = \"list 117\" AND access_reason = \"OWNED\"";
    let pages = rig
        .ok("find", json!({ "account": ACCOUNT, "filter": filter }))
        .await;
    assert_eq!(
        (sizes(&pages), &pages[0][0]["displayName"]),
        (vec![1], &json!("list 117"))
    );
    let error = rig
        .err(
            "find",
            json!({ "account": ACCOUNT, "filter": "colour = \"red\"" }),
        )
        .await;
    assert_eq!(error["violations"][0][1], "INVALID_FILTER");
}

#[tokio::test]
async fn a_list_of_another_kind_takes_no_contacts() {
    let mut rig = Rig::start().await;
    let mobile = json!({
        "displayName": "phones", "ingestedUserListInfo": {
            "uploadKeyTypes": ["MOBILE_ID"], "mobileIdInfo": { "keySpace": "ANDROID", "appId": "org.example" },
        },
    });
    let created = rig
        .ok("create", json!({ "account": ACCOUNT, "user_list": mobile }))
        .await;
    rig.list = created["id"].as_str().unwrap().parse().unwrap();
    let body = rig.adding(&[member("ada@example.org")]);
    let error = rig.err("ingest", json!({ "body": body })).await;
    assert_eq!(error["reason"], "INVALID_USER_LIST_TYPE");
}
