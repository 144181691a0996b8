//! The server as a page for people.

use std::fmt::Write;

use super::Proca;

pub(super) fn page(proca: &Proca) -> String {
    let mut page = String::from(
        "<!DOCTYPE html><meta charset=\"utf-8\"><title>Proca</title><h1>Proca</h1>\
         <table><tr><th>action<th>supporter<th>action is<th>address</tr>",
    );
    for (number, waiting) in &proca.actions {
        write!(
            page,
            "<tr><td>{number}<td>{}<td>{}<td>{:?}</tr>",
            waiting.supporter.as_str(),
            waiting.action.as_str(),
            waiting.email,
        )
        .unwrap();
    }
    page.push_str("</table>");
    page
}
