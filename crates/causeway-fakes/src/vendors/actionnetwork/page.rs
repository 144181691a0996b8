//! The group as a page for people.

use std::fmt::Write;

use super::ActionNetwork;

pub(super) fn page(network: &ActionNetwork) -> String {
    let mut page = String::from(
        "<!DOCTYPE html><meta charset=\"utf-8\"><title>Action Network</title><h1>Action Network</h1><h2>People</h2>",
    );
    for person in network.people.values() {
        let tags: Vec<&str> = person.tags.iter().map(String::as_str).collect();
        write!(
            page,
            "<p>{} {} {}: {} {}</p>",
            person.uuid(),
            escape(&person.email),
            escape(&person.given_name),
            person.status.as_str(),
            escape(&tags.join(", ")),
        )
        .unwrap();
    }
    for ((collection, id), actions) in &network.pages {
        write!(page, "<h2>{collection:?} {}</h2>", escape(id)).unwrap();
        for action in actions {
            write!(page, "<p>{} {}</p>", action.id, escape(&action.body.to_string())).unwrap();
        }
    }
    page
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
