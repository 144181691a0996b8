//! The page for people.

use std::fmt::Write as _;

use serde_json::Value;

use super::Supabase;

impl Supabase {
    pub(super) fn html(&self) -> String {
        let mut page =
            "<!DOCTYPE html><meta charset=\"utf-8\"><title>Supabase</title><h1>Supabase</h1>".to_owned();
        for table in self.tables.values() {
            write!(page, "<h2>{}</h2><table><tr>", escape(&table.name)).unwrap();
            for column in &table.columns {
                write!(page, "<th>{}", escape(&column.name)).unwrap();
            }
            page.push_str("</tr>");
            for row in &table.rows {
                page.push_str("<tr>");
                for column in &table.columns {
                    let text = match row.get(&column.name) {
                        None | Some(Value::Null) => String::new(),
                        Some(Value::String(text)) => text.clone(),
                        Some(other) => other.to_string(),
                    };
                    write!(page, "<td>{}", escape(&text)).unwrap();
                }
                page.push_str("</tr>");
            }
            page.push_str("</table>");
        }
        write!(page, "<p>{} statements</p>", self.statements).unwrap();
        page
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
