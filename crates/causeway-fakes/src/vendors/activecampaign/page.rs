//! The page for people.

use std::fmt::Write as _;

use super::ActiveCampaign;

impl ActiveCampaign {
    pub(super) fn html(&self) -> String {
        let mut page =
            "<!DOCTYPE html><meta charset=\"utf-8\"><title>ActiveCampaign</title><h1>ActiveCampaign</h1>\
                        <table><tr><th>Contact<th>E-mail<th>Name<th>Phone<th>Lists<th>Tags<th>Fields</tr>"
                .to_owned();
        for (id, contact) in &self.contacts {
            let lists = self.memberships.iter().filter(|((of, _), _)| of == id);
            let lists: Vec<String> = lists
                .map(|((_, list), membership)| format!("{}: {}", self.lists[list], word(membership.status)))
                .collect();
            let tags = self.contact_tags.values().filter(|(of, _)| of == id);
            let tags: Vec<&str> = tags.map(|(_, tag)| self.tags[tag].as_str()).collect();
            let values = contact.values.iter();
            let values: Vec<String> = values
                .map(|(field, value)| format!("{}: {value}", self.fields[field].title))
                .collect();
            let name = format!("{} {}", contact.first_name, contact.last_name);
            write!(page, "<tr><td>{id}").unwrap();
            for cell in [
                &contact.email,
                &name,
                &contact.phone,
                &lists.join(", "),
                &tags.join(", "),
                &values.join(", "),
            ] {
                write!(page, "<td>{}", escape(cell)).unwrap();
            }
            page.push_str("</tr>");
        }
        page.push_str("</table>");
        for (id, schema) in &self.schemas {
            write!(page, "<h2>Custom object {}</h2>", escape(id)).unwrap();
            for (external, record) in &schema.records {
                write!(
                    page,
                    "<p>{}: {}</p>",
                    escape(external),
                    escape(&record.to_string())
                )
                .unwrap();
            }
        }
        write!(page, "<p>{} calls above the limit</p>", self.refused).unwrap();
        page
    }
}

fn word(status: u64) -> &'static str {
    match status {
        0 => "unconfirmed",
        1 => "subscribed",
        2 => "unsubscribed",
        _ => "bounced",
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
