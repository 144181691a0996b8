//! The page for people.

use std::{collections::BTreeMap, fmt::Write as _};

use causeway_core::clock::Timestamp;

use super::{CleverReach, Receiver};

impl CleverReach {
    pub(super) fn html(&self) -> String {
        let mut page =
            "<!DOCTYPE html><meta charset=\"utf-8\"><title>CleverReach</title><h1>CleverReach</h1>"
                .to_owned();
        for (group, name) in &self.groups {
            write!(
                page,
                "<h2>{}</h2><table><tr><th>E-mail<th>State<th>Source<th>Tags<th>Attributes</tr>",
                escape(name)
            )
            .unwrap();
            for ((_, email), receiver) in self.receivers.iter().filter(|((of, _), _)| of == group) {
                let tags: Vec<&str> = receiver.tags.iter().map(String::as_str).collect();
                let shared = &self.people[email].attributes;
                page.push_str("<tr>");
                for cell in [
                    email.as_str(),
                    &state(receiver, self.blacklist.contains_key(email)),
                    &receiver.source,
                    &tags.join(", "),
                    &[texts(shared), texts(&receiver.attributes)].concat().join(", "),
                ] {
                    write!(page, "<td>{}", escape(cell)).unwrap();
                }
                page.push_str("</tr>");
            }
            page.push_str("</table>");
        }
        write!(
            page,
            "<p>{} addresses on the blacklist, {} calls above the limit</p>",
            self.blacklist.len(),
            self.refused
        )
        .unwrap();
        page
    }
}

fn state(receiver: &Receiver, is_blocked: bool) -> String {
    let time = |seconds: i64| Timestamp::from_second(seconds).unwrap_or_default().to_string();
    if is_blocked {
        "on the blacklist".to_owned()
    } else if receiver.deactivated > 0 {
        format!("inactive since {}", time(receiver.deactivated))
    } else if receiver.activated > 0 {
        format!("active since {}", time(receiver.activated))
    } else {
        "not confirmed".to_owned()
    }
}

fn texts(values: &BTreeMap<String, String>) -> Vec<String> {
    let filled = values.iter().filter(|(_, value)| !value.is_empty());
    filled.map(|(name, value)| format!("{name}: {value}")).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
