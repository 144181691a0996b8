//! The page for people.

use std::fmt::Write as _;

use super::Mautic;

impl Mautic {
    pub(super) fn html(&self) -> String {
        let mut page = "<!DOCTYPE html><meta charset=\"utf-8\"><title>Mautic</title><h1>Mautic</h1>\
                        <table><tr><th>Contact<th>E-mail<th>Fields<th>Do not contact<th>Segments<th>Tags<th>Points\
                        <th>Notes</tr>"
            .to_owned();
        for (id, contact) in &self.contacts {
            let values = contact.values.iter().filter(|(alias, _)| *alias != "email");
            let values: Vec<String> = values.map(|(alias, value)| format!("{alias}: {value}")).collect();
            let entries = contact.do_not_contact.iter();
            let entries: Vec<String> = entries
                .map(|entry| format!("{}, {}: {}", entry.channel, word(entry.reason), entry.comments))
                .collect();
            let segments = self
                .segments
                .values()
                .filter(|segment| segment.members.contains(id));
            let segments: Vec<&str> = segments.map(|segment| segment.name.as_str()).collect();
            let tags: Vec<&str> = contact.tags.iter().map(String::as_str).collect();
            let notes = self.notes.values().filter(|note| note.contact == *id);
            let notes: Vec<&str> = notes.map(|note| note.text.as_str()).collect();
            write!(page, "<tr><td>{id}").unwrap();
            for cell in [
                contact.email(),
                &values.join(", "),
                &entries.join(", "),
                &segments.join(", "),
                &tags.join(", "),
                &contact.points.to_string(),
                &notes.join(" | "),
            ] {
                write!(page, "<td>{}", escape(cell)).unwrap();
            }
            page.push_str("</tr>");
        }
        write!(page, "</table><p>{} calls above the limit</p>", self.refused).unwrap();
        page
    }
}

fn word(reason: i64) -> &'static str {
    match reason {
        1 => "unsubscribed",
        2 => "bounced",
        _ => "manual",
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
