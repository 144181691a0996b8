//! The files of results. Their rows come in any order.

use std::collections::HashMap;

use crate::destination::salesforce::{Salesforce, consent::OPTED_OUT};

/// A row of `successfulResults` or `failedResults`.
#[derive(Debug, Default)]
pub struct Row {
    /// Empty if the record was not created.
    pub id: String,
    /// `CODE:message:fields --`
    pub error: String,
    /// Whether the file opted the person out.
    pub opts_out: bool,
}

/// The rows by their id or key in lower case; `None` if it is not such a file.
pub fn read(salesforce: &Salesforce, body: &[u8], detail: &str) -> Option<HashMap<String, Row>> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(body);
    let head = reader.headers().ok()?.clone();
    let place = |name: &str| head.iter().position(|column| column.eq_ignore_ascii_case(name));
    let (id, detail_at) = (place("sf__Id")?, place(detail)?);
    // The rows are named as they were in the file: by the id, or by the key.
    let names = [place("Id"), place(&salesforce.settings.key)];
    let opted_out = place(OPTED_OUT);
    let mut rows = HashMap::new();
    for row in reader.records() {
        let row = row.ok()?;
        let text = |at: usize| row.get(at).unwrap_or_default();
        let name = names
            .iter()
            .flatten()
            .map(|at| text(*at))
            .find(|name| !name.is_empty());
        let is_failure = detail == FAILURE;
        let read = Row {
            id: text(id).to_owned(),
            error: if is_failure {
                text(detail_at).to_owned()
            } else {
                String::new()
            },
            opts_out: opted_out.is_some_and(|at| text(at) == "true"),
        };
        rows.insert(name.unwrap_or(text(id)).to_lowercase(), read);
    }
    Some(rows)
}

/// The columns that only these files have.
pub const SUCCESS: &str = "sf__Created";
pub const FAILURE: &str = "sf__Error";
