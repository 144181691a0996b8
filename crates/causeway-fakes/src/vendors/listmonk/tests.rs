use std::sync::Arc;

use serde_json::json;

use super::*;
use causeway_testkit::clock::TestClock;

fn installation() -> Listmonk {
    let mut listmonk = Listmonk::new(Arc::<TestClock>::default());
    let made = listmonk.create(
        &json!({ "email": " O'Ada@Example.org", "lists": [1, 2], "attribs": { "a": { "x": 1 }, "b": 2 } }),
    );
    assert_eq!(made.code(), 200);
    listmonk
}

#[test]
fn a_replacement_without_lists_drops_them_and_a_patch_does_not() {
    let mut listmonk = installation();
    let id = listmonk.subscriber("o'ada@example.org").unwrap().id;
    listmonk.patch(id, &json!({ "attribs": { "a": { "y": 2 } } }));
    let patched = listmonk.subscribers[&id].clone();
    assert_eq!(
        Value::Object(patched.attribs),
        json!({ "a": { "y": 2 }, "b": 2 }),
        "merged at the first level only"
    );
    assert_eq!(patched.lists.len(), 2);
    listmonk.replace(id, &json!({ "email": "o'ada@example.org", "name": "Ada" }));
    assert!(listmonk.subscribers[&id].lists.is_empty());
}

#[test]
fn queries_know_quotes_and_lists() {
    let listmonk = installation();
    let count = |text: &str| {
        let query = [("query".to_owned(), text.to_owned())];
        let body: Value = serde_json::from_slice(listmonk.find(&query).content()).unwrap();
        body.pointer("/data/total").and_then(Value::as_u64)
    };
    assert_eq!(count("subscribers.email = 'o''ada@example.org'"), Some(1));
    assert_eq!(count("subscribers.email IN ('x', 'o''ada@example.org')"), Some(1));
    assert_eq!(
        count("subscribers.email = 'o'ada@example.org'"),
        None,
        "a syntax error"
    );
    assert_eq!(count("subscribers.id=101"), Some(1));
}

#[test]
fn only_an_open_double_opt_in_is_mailed_and_a_block_ends_all() {
    let mut listmonk = installation();
    assert_eq!(listmonk.opt_in_mails, [(101, 2)]);
    listmonk.block(&[101]);
    let statuses: Vec<&str> = listmonk.subscribers[&101]
        .lists
        .values()
        .map(|one| one.status.as_str())
        .collect();
    assert_eq!(statuses, ["unsubscribed", "unsubscribed"]);
}
