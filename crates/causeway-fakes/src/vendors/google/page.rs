//! The page for people.

use std::fmt::Write as _;

use super::{Google, account::UserList};

impl Google {
    pub(super) fn html(&self) -> String {
        let mut page =
            "<!DOCTYPE html><meta charset=\"utf-8\"><title>Google</title><h1>Google Customer Match</h1>"
                .to_owned();
        for (id, account) in &self.accounts {
            write!(page, "<h2>{} {}</h2>", escape(id), escape(&account.name)).unwrap();
            for (id, list) in &account.lists {
                show(&mut page, *id, list);
            }
        }
        write!(page, "<h2>Requests</h2><table>").unwrap();
        for request in &self.requests {
            let state = if request.is_done() {
                "processed"
            } else {
                "PROCESSING"
            };
            write!(
                page,
                "<tr><td>{}<td>{}<td>{}<td>{} members<td>{state}</tr>",
                request.received,
                escape(&request.id),
                escape(&format!("{:?}", request.change)),
                request.members.len(),
            )
            .unwrap();
        }
        write!(page, "</table><h2>Misuses</h2><p>{}</p>", self.misuses.len()).unwrap();
        for misuse in &self.misuses {
            write!(page, "<p>{}</p>", escape(&format!("{misuse:?}"))).unwrap();
        }
        page
    }
}

fn show(page: &mut String, id: u64, list: &UserList) {
    let heading = format!("{id} {}", list.name());
    write!(
        page,
        "<h3>{}</h3><p>{} people</p><table>",
        escape(&heading),
        list.people()
    )
    .unwrap();
    for member in &list.members {
        write!(page, "<tr><td>{}</td>", member.added_at).unwrap();
        for identifier in &member.identifiers {
            let start: String = identifier.chars().take(20).collect();
            write!(page, "<td>{}</td>", escape(&start)).unwrap();
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
