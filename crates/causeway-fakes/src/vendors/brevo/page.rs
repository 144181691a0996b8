//! The account as a page for people.

use std::fmt::Write;

use super::{Brevo, call::time};

pub(super) fn page(brevo: &Brevo) -> String {
    let mut page = String::from("<!DOCTYPE html><meta charset=\"utf-8\"><title>Brevo</title><h1>Brevo</h1>");
    let name = |id: &u64| brevo.lists.get(id).map_or("", |list| list.name.as_str());
    let contacts = brevo.contacts.values().map(|contact| {
        let values = contact.attributes.iter();
        let values: Vec<String> = values.map(|(name, value)| format!("{name}: {value}")).collect();
        let lists: Vec<&str> = contact.lists.iter().map(name).collect();
        let left: Vec<&str> = contact.left.iter().map(name).collect();
        vec![
            contact.id.to_string(),
            contact.email.clone().unwrap_or_default(),
            if contact.is_blocked { "blocked" } else { "" }.to_owned(),
            lists.join(", "),
            left.join(", "),
            values.join(", "),
            time(contact.modified),
        ]
    });
    let columns = [
        "id",
        "address",
        "",
        "lists",
        "unsubscribed from",
        "attributes",
        "changed",
    ];
    table(&mut page, "Contacts", &columns, contacts);
    let events = brevo.events.iter().map(|event| {
        vec![
            event.name.clone(),
            event.contact.map_or_else(String::new, |id| id.to_string()),
            time(event.date),
            format!("{:?}", event.properties),
        ]
    });
    table(
        &mut page,
        "Events",
        &["event", "contact", "date", "properties"],
        events,
    );
    let answers = brevo.answers.iter();
    let answers = answers.map(|(status, count)| vec![status.to_string(), count.to_string()]);
    table(&mut page, "Answers", &["status", "number"], answers);
    page
}

fn table(page: &mut String, title: &str, columns: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let line = |cells: Vec<String>, tag: &str| {
        let cells = cells
            .iter()
            .map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell)));
        format!("<tr>{}</tr>", cells.collect::<String>())
    };
    let head = line(columns.iter().map(|column| (*column).to_owned()).collect(), "th");
    let rows: String = rows.map(|cells| line(cells, "td")).collect();
    // Writing to a string cannot fail.
    let _written = write!(page, "<h2>{title}</h2><table>{head}{rows}</table>");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
