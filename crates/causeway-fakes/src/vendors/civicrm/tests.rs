use std::sync::Arc;

use serde_json::json;

use super::*;
use causeway_testkit::clock::TestClock;

fn site() -> CiviCrm {
    CiviCrm::new(Arc::<TestClock>::default())
}

#[test]
fn two_matches_of_a_save_are_like_none() {
    let mut site = site();
    let activity = |location: &str| json!({ "records": [{ "activity_type_id:name": "Petition", "source_contact_id": 7, "location": location }], "match": ["activity_type_id", "location"] });
    for expected in [1, 1] {
        site.call("Activity", "save", &activity("a")).unwrap();
        assert_eq!(site.table("Activity").len(), expected);
    }
    site.add("Activity", &json!({ "activity_type_id": 32, "location": "a" }));
    site.call("Activity", "save", &activity("a")).unwrap();
    assert_eq!(site.table("Activity").len(), 3);
}

#[test]
fn a_chain_that_fails_takes_the_new_contact_back_only_with_transactions() {
    for has_transactions in [true, false] {
        let mut site = site();
        site.has_transactions = has_transactions;
        let params = json!({
            "values": { "first_name": "Ada" },
            "chain": { "email": ["Email", "create", { "values": { "contact_id": "$id", "email": "nothing" } }] },
        });
        let error = site.call("Contact", "create", &params).unwrap_err();
        assert!(error.message.contains("is not a valid email"), "{error:?}");
        assert_eq!(site.table("Contact").len(), usize::from(!has_transactions));
    }
}

#[test]
fn the_trash_keeps_the_external_identifier() {
    let mut site = site();
    let id = site.add_contact("ada@example.org", &json!({ "external_identifier": "x1" }));
    site.call("Contact", "delete", &json!({ "where": [["id", "=", id]] }))
        .unwrap();
    assert_eq!(site.get("Contact", id, "is_deleted"), true);
    let again = json!({ "values": { "first_name": "Ada", "external_identifier": "X1" } });
    let error = site.call("Contact", "create", &again).unwrap_err();
    assert_eq!(error.message, "DB Error: already exists");
}

#[test]
fn the_page_shows_no_markup_of_a_value() {
    let mut site = site();
    site.add_contact("ada@example.org", &json!({ "first_name": "<b>Ada" }));
    let page = site.page();
    assert!(page.contains("&lt;b>Ada") && !page.contains("<b>"), "{page}");
}
