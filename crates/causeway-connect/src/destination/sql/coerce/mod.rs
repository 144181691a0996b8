//! Makes JSON values fit the columns of the database. Errors name the kind of the value and never the value,
//! which is personal data.

use jiff::{Timestamp, civil, tz::Offset};
use serde_json::Value;

use crate::destination::columns::without_nul;

/// A column as the database describes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    pub name: String,
    /// The type's name in the database: `character varying(20)`.
    pub type_name: String,
    pub kind: Kind,
    /// PostgreSQL: the type without its limits, quoted; texts are cast to it. Empty elsewhere.
    pub base: String,
    /// PostgreSQL: the operator of the type, which may be in a schema that is not searched. Elsewhere
    /// [`EQUALS`].
    pub equals: String,
    /// Why the database may treat two different texts as equal: its collation or type. `None` if it never
    /// does.
    pub loose: Option<String>,
    /// The digits after the point of a number or of a second that the column keeps. `None`: all of them.
    pub fraction: Option<usize>,
}

pub(super) const EQUALS: &str = "=";

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Text(Option<Limit>),
    Integer {
        least: i128,
        most: i128,
    },
    /// Digits before the point, if they are limited; the database rounds the decimals.
    Decimal {
        whole_digits: Option<usize>,
    },
    Float,
    Boolean,
    Date,
    /// Without a zone: UTC.
    DateTime,
    TimestampTz,
    Uuid,
    Json,
    /// PostgreSQL's list of texts.
    Array,
    /// SQLite: a text that looks like a number is stored as one.
    Numeric,
    /// Sent as text; the database decides.
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Characters(usize),
    Bytes(usize),
}

/// A value that fits.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
}

impl Cell {
    /// The text that PostgreSQL reads.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Boolean(value) => Some(value.to_string()),
            Self::Integer(value) => Some(value.to_string()),
            Self::Float(value) => Some(value.to_string()),
            Self::Text(value) => Some(value.clone()),
        }
    }
}

impl Column {
    /// Whether the database may treat a stored text as equal to another one, so that the hub must compare
    /// them again.
    pub(super) fn is_compared_as_text(&self) -> bool {
        match self.kind {
            Kind::Text(_) | Kind::Numeric => true,
            // PostgreSQL compares its other types exactly, and writes some of them in another form than the
            // hub does.
            Kind::Other => self.base.is_empty(),
            _ => false,
        }
    }

    /// A value that identifies rows. If the column would store it in another form, it could be another
    /// contact's, so that is an error.
    pub(super) fn coerce_key(&self, value: &Value) -> Result<Cell, String> {
        let cell = self.coerce(value, false)?;
        if cell.text().is_none_or(|held| self.keeps(value, &held)) {
            return Ok(cell);
        }
        Err(format!(
            "key column {:?} ({}): the column would store the value in another form, which could be another \
             contact's key; use a column that stores it unchanged, such as a text column",
            self.name, self.type_name
        ))
    }

    /// Whether the column holds the key so that no other text or number becomes the same key.
    fn keeps(&self, value: &Value, held: &str) -> bool {
        let text = value.as_str();
        let is_same = text.is_none_or(|text| text == held);
        let fits = || {
            let digits = held.trim_end_matches("+00").rsplit_once('.');
            let used = digits.map_or(0, |(_, digits)| digits.trim_end_matches('0').len());
            used <= self.fraction.unwrap_or(usize::MAX)
        };
        match self.kind {
            Kind::Integer { .. } | Kind::Float | Kind::Boolean => is_same,
            Kind::Decimal { .. } => is_same && text.is_none_or(is_shortest) && fits(),
            Kind::Numeric => plain_decimal(held).is_none_or(|number| number == held && is_shortest(held)),
            // A date is a key, and a time of that day is not.
            Kind::Date => text == Some(held),
            Kind::DateTime | Kind::TimestampTz => fits(),
            Kind::Text(_) | Kind::Uuid | Kind::Json | Kind::Array | Kind::Other => true,
        }
    }

    /// With `truncate`, text that is too long is cut.
    pub(super) fn coerce(&self, value: &Value, truncate: bool) -> Result<Cell, String> {
        fit(value, self.kind, truncate)
            .map_err(|problem| format!("column {:?} ({}): {problem}", self.name, self.type_name))
    }
}

fn fit(value: &Value, kind: Kind, truncate: bool) -> Result<Cell, String> {
    // An empty answer in a form is not a number or a date: it means no answer.
    let is_text = matches!(kind, Kind::Text(_) | Kind::Json | Kind::Array);
    let is_empty = !is_text && value.as_str().is_some_and(|text| text.trim().is_empty());
    if is_empty || value.is_null() {
        return Ok(Cell::Null);
    }
    Ok(match kind {
        Kind::Text(limit) => Cell::Text(limited(text(value), limit, truncate)?),
        Kind::Numeric | Kind::Other => Cell::Text(text(value)),
        Kind::Integer { least, most } => integer(value, least, most)?,
        Kind::Decimal { whole_digits } => decimal(value, whole_digits)?,
        Kind::Float => match scalar(value).and_then(|text| text.parse::<f64>().ok()) {
            Some(number) if number.is_finite() => Cell::Float(number),
            _ => return Err(not_a(value, "a number")),
        },
        Kind::Boolean => Cell::Boolean(boolean(value)?),
        Kind::Date => Cell::Text(date_time(value, "a date")?.date().to_string()),
        Kind::DateTime => Cell::Text(stamp(date_time(value, "a date and time")?)),
        Kind::TimestampTz => Cell::Text(format!("{}+00", stamp(date_time(value, "a date and time")?))),
        Kind::Uuid => Cell::Text(uuid(value).ok_or_else(|| not_a(value, "a UUID"))?),
        Kind::Json => Cell::Text(without_nul(value).to_string()),
        Kind::Array => Cell::Text(array(value)),
    })
}

/// A text is used unchanged, everything else as its JSON. NUL is removed, because PostgreSQL rejects it and
/// it has no meaning.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.replace('\0', ""),
        other => without_nul(other).to_string(),
    }
}

fn limited(mut text: String, limit: Option<Limit>, truncate: bool) -> Result<String, String> {
    let (length, end, most, unit) = match limit {
        None => return Ok(text),
        Some(Limit::Characters(most)) => {
            let end = text.char_indices().nth(most).map_or(text.len(), |(at, _)| at);
            (text.chars().count(), end, most, "characters")
        }
        Some(Limit::Bytes(most)) => (text.len(), text.floor_char_boundary(most), most, "bytes"),
    };
    if length > most {
        if !truncate {
            return Err(format!("text of {length} {unit}, and the limit is {most}"));
        }
        text.truncate(end);
    }
    Ok(text)
}

/// The text of a number; 1 and 0 for true and false; a text without white space at its ends.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Bool(value) => Some(u8::from(*value).to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn integer(value: &Value, least: i128, most: i128) -> Result<Cell, String> {
    let plain = scalar(value)
        .and_then(|text| plain_decimal(&text))
        .ok_or_else(|| not_a(value, "a number"))?;
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    if fraction.bytes().any(|digit| digit != b'0') {
        return Err("a number with a fraction, where a whole number is needed".to_owned());
    }
    match whole.parse::<i128>() {
        Ok(number) if (least..=most).contains(&number) => {
            Ok(i64::try_from(number).map_or_else(|_| Cell::Text(number.to_string()), Cell::Integer))
        }
        _ => Err(format!("a number that is not between {least} and {most}")),
    }
}

fn decimal(value: &Value, whole_digits: Option<usize>) -> Result<Cell, String> {
    let plain = scalar(value)
        .and_then(|text| plain_decimal(&text))
        .ok_or_else(|| not_a(value, "a number"))?;
    let whole = plain.split('.').next().unwrap_or_default();
    let digits = whole.trim_start_matches(['-', '0']).len();
    match whole_digits {
        Some(most) if digits > most => Err(format!(
            "a number with {digits} digits before the point, and the limit is {most}"
        )),
        _ => Ok(Cell::Text(plain)),
    }
}

/// `-12.50` from `-1.25e1`, `+12.5` and the like; `None` if it is not a decimal number.
fn plain_decimal(text: &str) -> Option<String> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    // The bound on the exponent keeps a short text from becoming a very long one.
    if all.is_empty() || !all.bytes().all(|b| b.is_ascii_digit()) || exponent.abs() > 400 {
        return None;
    }
    let point = i32::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let (whole, fraction) = match usize::try_from(point) {
        Ok(point) if point <= all.len() => {
            let (whole, fraction) = all.split_at_checked(point)?;
            (whole.to_owned(), fraction.to_owned())
        }
        Ok(point) => (format!("{all:0<point$}"), String::new()),
        Err(_) => {
            let zeros = "0".repeat(usize::try_from(point.unsigned_abs()).ok()?);
            (String::new(), zeros + &all)
        }
    };
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    Some(if fraction.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    })
}

/// Whether the plain decimal is the shortest text of its number.
fn is_shortest(plain: &str) -> bool {
    plain != "-0" && !(plain.contains('.') && plain.ends_with('0'))
}

fn boolean(value: &Value) -> Result<bool, String> {
    let text = scalar(value).ok_or_else(|| not_a(value, "yes or no"))?;
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "t" | "yes" | "y" | "on" => Ok(true),
        "0" | "false" | "f" | "no" | "n" | "off" => Ok(false),
        _ => Err(not_a(value, "yes or no")),
    }
}

/// UTC. A time without a zone counts as UTC, a number as seconds since 1970, a very large number as
/// milliseconds.
fn date_time(value: &Value, wanted: &str) -> Result<civil::DateTime, String> {
    let found = match value {
        Value::String(text) => read_date_time(text.trim()),
        Value::Number(number) => number.as_i64().and_then(from_epoch),
        _ => None,
    };
    match found {
        Some(at) if at.year() >= 1 => Ok(at),
        _ => Err(not_a(value, wanted)),
    }
}

fn read_date_time(text: &str) -> Option<civil::DateTime> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(Offset::UTC.to_datetime(at));
    }
    // This also reads a date without a time, as midnight.
    text.parse::<civil::DateTime>().ok()
}

fn from_epoch(number: i64) -> Option<civil::DateTime> {
    // As seconds, this would be in the year 5138.
    const FIRST_MS: u64 = 100_000_000_000;
    let at = if number.unsigned_abs() < FIRST_MS {
        Timestamp::from_second(number)
    } else {
        Timestamp::from_millisecond(number)
    };
    at.ok().map(|at| Offset::UTC.to_datetime(at))
}

fn stamp(at: civil::DateTime) -> String {
    let micros = at.subsec_nanosecond() / 1_000;
    let whole = format!(
        "{} {:02}:{:02}:{:02}",
        at.date(),
        at.hour(),
        at.minute(),
        at.second()
    );
    match micros {
        0 => whole,
        micros => format!("{whole}.{micros:06}"),
    }
}

fn uuid(value: &Value) -> Option<String> {
    let text = value.as_str()?.trim();
    let inner = text
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'))
        .unwrap_or(text);
    let hex: String = inner.chars().filter(|c| *c != '-').collect();
    if hex.len() != 32 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let hex = hex.to_ascii_lowercase();
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| hex.get(range).unwrap_or_default());
    Some(parts.join("-"))
}

/// PostgreSQL's text of a list; a single value is a list of one.
fn array(value: &Value) -> String {
    let one = std::slice::from_ref(value);
    let items = value.as_array().map_or(one, Vec::as_slice);
    let quoted: Vec<String> = items
        .iter()
        .map(|item| match item {
            Value::Null => "NULL".to_owned(),
            item => format!("\"{}\"", text(item).replace('\\', "\\\\").replace('"', "\\\"")),
        })
        .collect();
    format!("{{{}}}", quoted.join(","))
}

fn not_a(value: &Value, wanted: &str) -> String {
    let kind = match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    format!("{kind} that is not {wanted}")
}

#[cfg(test)]
mod tests;
