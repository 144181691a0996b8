//! The page for people.

use std::fmt::Write as _;

use super::EngagingNetworks;

impl EngagingNetworks {
    pub(super) fn html(&self) -> String {
        let mut page = "<!DOCTYPE html><meta charset=\"utf-8\"><title>Engaging Networks</title>\
                        <h1>Engaging Networks</h1>\
                        <table><tr><th>Supporter<th>Fields<th>Answers<th>Suppressed<th>Actions</tr>"
            .to_owned();
        for (id, supporter) in &self.supporters {
            let fields = supporter.fields.iter();
            let fields: Vec<String> = fields.map(|(name, value)| format!("{name}: {value}")).collect();
            let answers = supporter.answers.iter();
            let answers: Vec<String> = answers
                .map(|(name, given)| format!("{name}: {} since {}", given.answer, given.at))
                .collect();
            let actions = self.transactions.iter().filter(|action| action.supporter == *id);
            let actions: Vec<String> = actions
                .map(|action| {
                    let number = action.fields.get("txn1").map(|number| format!(" {number}"));
                    format!("{}{}", self.pages[&action.page].name, number.unwrap_or_default())
                })
                .collect();
            let is_suppressed = if supporter.is_suppressed { "suppressed" } else { "" };
            write!(page, "<tr><td>{id}").unwrap();
            for cell in [
                &fields.join(", "),
                &answers.join(", "),
                is_suppressed,
                &actions.join(", "),
            ] {
                write!(page, "<td>{}", escape(cell)).unwrap();
            }
            page.push_str("</tr>");
        }
        write!(page, "</table><p>{} calls above a limit</p>", self.refused).unwrap();
        page
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
