//! The site as a page for people.

use std::fmt::Write;

use serde_json::Value;

use super::CiviCrm;

pub(super) fn page(civicrm: &CiviCrm) -> String {
    let mut page =
        String::from("<!DOCTYPE html><meta charset=\"utf-8\"><title>CiviCRM</title><h1>CiviCRM</h1>");
    for (entity, rows) in &civicrm.tables {
        write!(page, "<h2>{entity}</h2>").unwrap();
        for row in rows.values() {
            page.push_str("<p>");
            for (name, value) in row {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                if *value != Value::Null {
                    write!(page, "{} = {}; ", escape(name), escape(&text)).unwrap();
                }
            }
            page.push_str("</p>");
        }
    }
    page
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
