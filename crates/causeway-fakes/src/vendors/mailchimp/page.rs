//! The account as a page for people.

use std::fmt::Write;

use super::{Mailchimp, list::List, member::time};

pub(super) fn page(mailchimp: &Mailchimp) -> String {
    let mut page =
        String::from("<!DOCTYPE html><meta charset=\"utf-8\"><title>Mailchimp</title><h1>Mailchimp</h1>");
    for list in mailchimp.lists.values() {
        // Writing to a string cannot fail.
        let _written = write!(page, "<h2>{} ({})</h2>", escaped(&list.name), escaped(&list.id));
        members(&mut page, list);
        let forgotten = list.forgotten.len();
        let _written = write!(page, "<p>{forgotten} addresses were deleted for good.</p>");
    }
    let answers = mailchimp.answers.iter();
    let answers = answers.map(|(status, count)| vec![status.to_string(), count.to_string()]);
    page.push_str("<h2>Answers</h2>");
    table(&mut page, &["status", "number"], answers);
    page
}

fn members(page: &mut String, list: &List) {
    let rows = list.members.values().map(|member| {
        let values = member.merge_fields.iter();
        let values: Vec<String> = values.map(|(tag, value)| format!("{tag}: {value}")).collect();
        let tags = member.tags.keys().filter_map(|id| list.tags.get(id));
        let tags: Vec<&str> = tags.map(String::as_str).collect();
        let events: Vec<&str> = member.events.iter().map(|event| event.name.as_str()).collect();
        let compliance = if member.is_in_compliance_state {
            "compliance state"
        } else {
            ""
        };
        vec![
            member.email.clone(),
            format!("{} {compliance}", member.status.name()),
            values.join(", "),
            tags.join(", "),
            events.join(", "),
            time(member.last_changed),
        ]
    });
    let columns = ["address", "status", "merge fields", "tags", "events", "changed"];
    table(page, &columns, rows);
}

fn table(page: &mut String, columns: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let line = |cells: Vec<String>, tag: &str| {
        let cells = cells
            .iter()
            .map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell)));
        format!("<tr>{}</tr>", cells.collect::<String>())
    };
    let head = line(columns.iter().map(|column| (*column).to_owned()).collect(), "th");
    let rows: String = rows.map(|cells| line(cells, "td")).collect();
    let _written = write!(page, "<table>{head}{rows}</table>");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
