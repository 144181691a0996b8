//! The installation as a page for people.

use std::fmt::Write;

use super::Listmonk;

pub(super) fn page(listmonk: &Listmonk) -> String {
    let mut page =
        String::from("<!DOCTYPE html><meta charset=\"utf-8\"><title>listmonk</title><h1>listmonk</h1>");
    for subscriber in listmonk.subscribers.values() {
        let lists: Vec<String> = subscriber
            .lists
            .iter()
            .map(|(id, subscription)| format!("{id}: {}", subscription.status.as_str()))
            .collect();
        write!(
            page,
            "<p>{} {} {}: {}; {} {}</p>",
            subscriber.id,
            escape(&subscriber.email),
            escape(&subscriber.name),
            subscriber.status.as_str(),
            lists.join(", "),
            escape(&serde_json::Value::Object(subscriber.attribs.clone()).to_string()),
        )
        .unwrap();
    }
    page
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
