use std::time::Duration;

use serde_json::json;

use super::{Clock, HubSpot, Kind, Vendor, record::indexed};
use crate::fake_api::Request;

#[test]
fn the_clock_moves_by_hand_until_it_runs() {
    let mut clock = Clock::default();
    let start = clock.now();
    assert_eq!(clock.now(), start);
    clock.advance(Duration::from_secs(5));
    assert_eq!(clock.now().duration_since(start).as_secs(), 5);
    clock.run();
    let ran = clock.now();
    while clock.now() == ran {
        std::thread::yield_now();
    }
    assert!(clock.now() > ran);
    clock.set(start);
    assert!(clock.now() < ran);
}

#[test]
fn a_batch_that_is_rejected_changes_no_record() {
    let mut hubspot = HubSpot::default();
    let anna = hubspot.add_contact(&[("email", "anna@example.org")]);
    let rows = [
        json!({ "id": anna.to_string(), "properties": { "city": "Ghent" } }),
        json!({ "id": "70009", "properties": { "email": "no" } }),
        json!({ "id": "70002", "properties": {} }),
    ];
    hubspot.add_contact(&[("email", "bert@example.org")]);
    let request = |rows: &[serde_json::Value]| Request {
        method: "POST".to_owned(),
        path: "/crm/objects/2026-09/contacts/batch/update".to_owned(),
        query: String::new(),
        headers: vec![("authorization".to_owned(), format!("Bearer {}", super::TOKEN))],
        body: json!({ "inputs": rows }).to_string().into(),
    };
    // A row that is not found fails alone; one with a wrong value takes the batch with it.
    assert_eq!(hubspot.answer(&request(&rows)).code(), 207);
    let wrong = [
        json!({ "id": anna.to_string(), "properties": { "city": "Lille" } }),
        json!({ "id": "70002", "properties": { "email": "no" } }),
    ];
    assert_eq!(hubspot.answer(&request(&wrong)).code(), 400);
    assert_eq!(hubspot.contacts.by_id(anna).unwrap().get("city"), "Ghent");
    let no_object = [json!({ "id": anna.to_string(), "properties": [] })];
    assert_eq!(hubspot.answer(&request(&no_object)).code(), 400);
}

#[test]
fn the_index_forgets_an_archived_record_late() {
    let mut hubspot = HubSpot::default();
    let anna = hubspot.add_contact(&[("email", "anna@example.org")]);
    let before = hubspot.clock.now();
    hubspot.clock.advance(Duration::from_secs(1));
    hubspot.contacts.archive(anna, hubspot.clock.now());
    let record = &hubspot.contacts.records()[&anna];
    assert!(indexed(record, before).is_some());
    assert!(indexed(record, hubspot.clock.now()).is_none());
}

#[test]
fn the_page_shows_what_the_account_has() {
    let mut hubspot = HubSpot::default();
    hubspot.add_contact(&[("email", "anna@example.org"), ("firstname", "<Anna>")]);
    let page = hubspot.page();
    assert!(page.contains("firstname: &lt;Anna>"));
    assert_eq!(Kind::of_path("0-46"), Some(Kind::Note));
}
