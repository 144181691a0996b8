//! The account as a page for people.

use std::fmt::Write;

use super::{HubSpot, answer::time, record::Objects};

pub(super) fn page(hubspot: &HubSpot) -> String {
    let mut page =
        String::from("<!DOCTYPE html><meta charset=\"utf-8\"><title>HubSpot</title><h1>HubSpot</h1>");
    objects(&mut page, "Contacts", &hubspot.contacts);
    objects(&mut page, "Notes", &hubspot.notes);
    let lists = hubspot.lists.values().filter(|list| list.deleted.is_none());
    let lists = lists.map(|list| {
        let members: Vec<String> = list.members.keys().map(u64::to_string).collect();
        vec![
            list.id.to_string(),
            list.name.clone(),
            list.processing.name().to_owned(),
            members.join(" "),
        ]
    });
    table(&mut page, "Lists", &["id", "name", "type", "members"], lists);
    let subscriptions = &hubspot.subscriptions;
    let statuses = subscriptions.statuses.iter().flat_map(|(address, statuses)| {
        statuses.iter().map(move |(id, status)| {
            let name = subscriptions
                .definitions
                .get(id)
                .map_or("", |definition| &definition.name);
            vec![
                address.clone(),
                name.to_owned(),
                status.state.name().to_owned(),
                status.legal_basis.clone().unwrap_or_default(),
                time(status.at),
            ]
        })
    });
    let columns = ["address", "subscription", "status", "legal basis", "since"];
    table(&mut page, "Subscriptions", &columns, statuses);
    let events = hubspot.events.kept.iter().map(|event| {
        vec![
            event.event_name.clone(),
            event.contact.map_or_else(String::new, |id| id.to_string()),
            time(event.occurred),
            format!("{:?}", event.properties),
        ]
    });
    table(
        &mut page,
        "Events",
        &["event", "contact", "occurred", "properties"],
        events,
    );
    let answers = hubspot.answers.iter();
    let answers = answers.map(|(status, count)| vec![status.to_string(), count.to_string()]);
    table(&mut page, "Answers", &["status", "number"], answers);
    page
}

fn objects(page: &mut String, title: &str, objects: &Objects) {
    let rows = objects.live().map(|record| {
        let mut values = record
            .values
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect::<Vec<_>>();
        values.extend(record.contacts.iter().map(|id| format!("contact {id}")));
        vec![record.id.to_string(), values.join(", "), time(record.updated)]
    });
    table(page, title, &["id", "properties", "changed"], rows);
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
