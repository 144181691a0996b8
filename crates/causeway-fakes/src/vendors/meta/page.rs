//! The page for people.

use std::fmt::Write as _;

use super::{Meta, audience::Audience};

impl Meta {
    pub(super) fn html(&self) -> String {
        let mut page =
            "<!DOCTYPE html><meta charset=\"utf-8\"><title>Meta</title><h1>Meta custom audiences</h1>"
                .to_owned();
        for (id, account) in &self.accounts {
            write!(page, "<h2>act_{} {}</h2>", escape(id), escape(&account.name)).unwrap();
            for audience in self.audiences.values().filter(|audience| audience.account == *id) {
                show(&mut page, audience);
            }
        }
        write!(page, "<h2>Violations</h2><p>{}</p>", self.violations.len()).unwrap();
        for violation in &self.violations {
            write!(page, "<p>{}</p>", escape(&format!("{violation:?}"))).unwrap();
        }
        page
    }
}

fn show(page: &mut String, audience: &Audience) {
    let (code, status) = audience.operation_status();
    write!(
        page,
        "<h3>{} {}</h3><p>{} people, {code} {}</p><table>",
        escape(&audience.id),
        escape(audience.name()),
        audience.people(),
        escape(status),
    )
    .unwrap();
    for (keys, uploaded) in audience.members.rows() {
        write!(page, "<tr><td>{}</td>", uploaded.at).unwrap();
        for (key, value) in keys {
            let start: String = value.chars().take(12).collect();
            write!(page, "<td>{key} {}</td>", escape(&start)).unwrap();
        }
        page.push_str("</tr>");
    }
    page.push_str("</table>");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
