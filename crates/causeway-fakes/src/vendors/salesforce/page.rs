//! The org as a page for people.

use std::fmt::Write as _;

use super::{Salesforce, record::time};

pub(super) fn page(salesforce: &Salesforce) -> String {
    let mut page =
        String::from("<!DOCTYPE html><meta charset=\"utf-8\"><title>Salesforce</title><h1>Salesforce</h1>");
    let limits = &salesforce.limits;
    write!(page, "<p>{} of {} calls today</p>", limits.used, limits.max).unwrap();
    for object in &salesforce.objects {
        let records = salesforce.records.values();
        let records: Vec<_> = records.filter(|record| record.object == object.name).collect();
        if records.is_empty() {
            continue;
        }
        write!(
            page,
            "<h2>{}</h2><table><tr><th>Id<th>fields<th>changed</tr>",
            escaped(&object.name)
        )
        .unwrap();
        for record in records {
            let values = record.values.iter().map(|(name, value)| match value.as_str() {
                Some(text) => format!("{name}: {text}"),
                None => format!("{name}: {value}"),
            });
            let values = values.collect::<Vec<_>>().join(", ");
            let deleted = if record.is_deleted { " (deleted)" } else { "" };
            write!(
                page,
                "<tr><td>{}{deleted}<td>{}<td>{}</tr>",
                record.id,
                escaped(&values),
                time(record.modified)
            )
            .unwrap();
        }
        page.push_str("</table>");
    }
    page.push_str("<h2>Bulk jobs</h2><table>");
    for job in salesforce.jobs.values() {
        write!(
            page,
            "<tr><td>{}<td>{} {}<td>{}</tr>",
            job.id, job.operation, job.object, job.state
        )
        .unwrap();
    }
    page + "</table>"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
