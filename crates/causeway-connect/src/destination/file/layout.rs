//! Makes a line from a record: CSV by RFC 4180 (with LF at line ends), or one JSON object.

use causeway_core::{
    delivery::Delivery,
    mapping::{Scope, Tables, omission::Omissions},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    config::ConfigError,
    destination::{Needs, fields::Fields},
};

/// The first column or member. A reader recognises records that a crash has doubled by it, and so does the
/// hub.
pub(super) const KEY: &str = "delivery";

/// The columns of a CSV file if the configuration names none.
const COLUMNS: &[(&str, &str)] = &[
    ("type", "type"),
    ("event", "event"),
    ("at", "at"),
    ("source", "source"),
    ("reference", "reference"),
    ("email", "contact.email"),
    ("firstName", "contact.firstName"),
    ("lastName", "contact.lastName"),
    ("country", "contact.country"),
    ("postcode", "contact.postcode"),
    ("consent", "consent.email.state"),
    ("subscribed", "consent.email.subscribed"),
    ("campaign", "campaign.name"),
    ("page", "page.name"),
    ("action", "action.id"),
    ("actionType", "action.type"),
    ("fields", "action.fields"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    Csv,
    Jsonl,
}

pub(super) struct Layout {
    pub format: Format,
    fields: Option<Fields>,
    escape_formulas: bool,
    columns: Vec<String>,
}

/// One delivery as a row, before the order of the columns is known.
pub(super) struct Row {
    pub key: String,
    /// CSV: in the order of [`Layout::columns`]. JSONL: only the line.
    cells: Vec<String>,
}

impl Layout {
    pub fn new(format: Format, fields: Option<Fields>, escape_formulas: bool) -> Result<Self, ConfigError> {
        let fields = match (format, fields) {
            (Format::Csv, None) => {
                let table = COLUMNS
                    .iter()
                    .map(|(name, path)| ((*name).to_owned(), (*path).into()));
                Some(Fields::read("fields", &table.collect(), &Tables::default())?)
            }
            (_, fields) => fields,
        };
        let mut columns = vec![KEY.to_owned()];
        for name in fields.iter().flat_map(Fields::names) {
            if name == KEY {
                return Err(ConfigError::new(
                    "fields.delivery",
                    "the first column has this name already",
                ));
            }
            columns.push(name.to_owned());
        }
        Ok(Self {
            format,
            fields,
            escape_formulas,
            columns,
        })
    }

    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The row, with notes about values that were left out.
    pub fn row(&self, delivery: &Delivery) -> Result<(Row, Vec<String>), String> {
        let (key, record) = (delivery.key.0.clone(), &delivery.record);
        let mut omissions = Omissions::of(record);
        let named = match &self.fields {
            Some(fields) => fields
                .apply(&Scope::new(record), &mut omissions)
                .map_err(|error| error.to_string())?,
            None => match record.to_json() {
                Value::Object(members) => members.into_iter().collect(),
                _ => Vec::new(),
            },
        };
        let cells = match self.format {
            Format::Csv => {
                let values = named.iter().map(|(_, value)| self.cell(value));
                std::iter::once(key.clone()).chain(values).collect()
            }
            Format::Jsonl => {
                let mut object = Map::from_iter([(KEY.to_owned(), Value::from(key.as_str()))]);
                object.extend(named);
                vec![Value::Object(object).to_string()]
            }
        };
        Ok((Row { key, cells }, omissions.finish()?))
    }

    pub fn needs(&self) -> Needs {
        self.fields.as_ref().map(Fields::needs).unwrap_or_default()
    }

    /// Prints the rows in the order of the file's header. Columns that are not in the mapping stay empty.
    pub fn print(&self, rows: &[Row], header: &[String]) -> Vec<u8> {
        let mut out = Vec::new();
        match self.format {
            Format::Csv => {
                let places: Vec<Option<usize>> = header
                    .iter()
                    .map(|name| self.columns.iter().position(|ours| ours == name))
                    .collect();
                for row in rows {
                    let cell = |place: &Option<usize>| row.cells.get((*place)?).map(String::as_str);
                    print_csv(
                        &mut out,
                        places.iter().map(|place| cell(place).unwrap_or_default()),
                    );
                }
            }
            Format::Jsonl => {
                for cell in rows.iter().flat_map(|row| &row.cells) {
                    out.extend_from_slice(cell.as_bytes());
                    out.push(b'\n');
                }
            }
        }
        out
    }

    /// The first bytes of a new file.
    pub fn print_header(&self, header: &[String]) -> Vec<u8> {
        let mut out = Vec::new();
        if self.format == Format::Csv {
            print_csv(&mut out, header.iter().map(String::as_str));
        }
        out
    }

    fn cell(&self, value: &Value) -> String {
        let text = match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => return value.to_string(),
            other => other.to_string(),
        };
        if self.escape_formulas {
            without_formulas(text)
        } else {
            text
        }
    }
}

/// Reads the names back from the first line of a file.
pub(super) fn read_header(line: &[u8]) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line);
    let mut names = csv::StringRecord::new();
    match reader.read_record(&mut names) {
        Ok(true) => names.iter().map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn print_csv<'a>(out: &mut Vec<u8>, cells: impl Iterator<Item = &'a str>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if cell.contains([',', '"', '\n', '\r']) || cell.starts_with(' ') || cell.ends_with(' ') {
            out.push(b'"');
            out.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
            out.push(b'"');
        } else {
            out.extend_from_slice(cell.as_bytes());
        }
    }
    out.push(b'\n');
}

/// The text with a ' before each part that a spreadsheet would run as a formula. In many countries spreadsheets
/// split lines at semicolons, also inside of quotes that do not begin a cell. So each part of the text may become a
/// cell of its own.
fn without_formulas(text: String) -> String {
    const ENDS: [char; 4] = [';', '\t', '\n', '\r'];
    let is_run = |(at, part): (usize, &str)| match at {
        0 => is_formula(part),
        _ => is_formula(part.trim_start_matches(['"', ' ']).trim_end_matches(ENDS)),
    };
    if !text.split_inclusive(ENDS).enumerate().any(is_run) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 1);
    for (at, part) in text.split_inclusive(ENDS).enumerate() {
        if is_run((at, part)) {
            out.push('\'');
        }
        out.push_str(part);
    }
    out
}

/// Whether a spreadsheet would run the text as a formula. A telephone number or a negative number does
/// nothing as a formula.
fn is_formula(text: &str) -> bool {
    let harmless = |c: char| c.is_ascii_digit() || matches!(c, ' ' | '.' | ',' | '(' | ')' | '-' | '/');
    match text.chars().next() {
        Some('=' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠') => true,
        Some('+' | '-') => !text.chars().skip(1).all(harmless),
        _ => false,
    }
}
