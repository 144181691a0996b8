//! The page for people.

use std::fmt::Write as _;

use super::Vbout;

impl Vbout {
    pub(super) fn html(&self) -> String {
        let mut page = "<!DOCTYPE html><meta charset=\"utf-8\"><title>VBOUT</title><h1>VBOUT</h1>\
                        <table><tr><th>Contact<th>List<th>E-mail<th>Status<th>Fields<th>Tags<th>Activities</tr>"
            .to_owned();
        for (id, contact) in &self.contacts {
            let list = &self.lists[&contact.list];
            let status = match contact.status {
                0 => "unconfirmed",
                1 => "active",
                2 => "unsubscribed",
                _ => "bounced",
            };
            let fields = contact.fields.iter();
            let fields: Vec<String> = fields
                .map(|(field, value)| format!("{}: {value}", list.fields[field]))
                .collect();
            let tags: Vec<&str> = contact.tags.iter().map(String::as_str).collect();
            let activities = contact.activities.iter();
            let activities: Vec<String> = activities
                .map(|activity| format!("{} {}", activity.at, activity.description))
                .collect();
            write!(page, "<tr><td>{id}").unwrap();
            for cell in [
                &*list.name,
                &contact.email,
                status,
                &fields.join(", "),
                &tags.join(", "),
                &activities.join("; "),
            ] {
                write!(page, "<td>{}", escape(cell)).unwrap();
            }
            page.push_str("</tr>");
        }
        let fired = self.fired.len();
        write!(
            page,
            "</table><p>{fired} starts of automations by the API, {} calls above the limit</p>",
            self.refused
        )
        .unwrap();
        page
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
