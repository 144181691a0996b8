//! The page for people.

use std::fmt::Write as _;

use super::Mailjet;

impl Mailjet {
    pub(super) fn html(&self) -> String {
        let mut page = "<!DOCTYPE html><meta charset=\"utf-8\"><title>Mailjet</title><h1>Mailjet</h1>\
                        <table><tr><th>Contact<th>E-mail<th>Name<th>Lists<th>Properties</tr>"
            .to_owned();
        for (id, contact) in &self.contacts {
            let lists = self.recipients.iter().filter(|((of, _), _)| of == id);
            let mut lists: Vec<String> = lists
                .map(|((_, list), recipient)| {
                    let state = if recipient.is_unsubscribed {
                        "unsubscribed"
                    } else {
                        "subscribed"
                    };
                    format!("{}: {state}", self.lists[list])
                })
                .collect();
            lists.extend(
                contact
                    .is_excluded
                    .then(|| "excluded from all campaigns".to_owned()),
            );
            let properties = contact.properties.iter();
            let properties: Vec<String> = properties
                .map(|(name, value)| format!("{name}: {value}"))
                .collect();
            write!(page, "<tr><td>{id}").unwrap();
            for cell in [
                &contact.email,
                &contact.name,
                &lists.join(", "),
                &properties.join(", "),
            ] {
                write!(page, "<td>{}", escape(cell)).unwrap();
            }
            page.push_str("</tr>");
        }
        write!(page, "</table><p>{} calls above the limit</p>", self.refused).unwrap();
        page
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
