//! Reads a CSV file. A row is either read completely and without doubt, or refused with its line number.

use std::{
    collections::VecDeque,
    io::{self, BufRead, Read},
};

use anyhow::{Context as _, anyhow, bail};
use causeway_core::contact::normal_email;
use csv::ByteRecord;
use serde_json::{Map, Value};

use super::{
    rows::{LONGEST, Table},
    twice::is_converted_twice,
};

/// A row added behind the end of the file. If it turns up inside another row, a quotation mark is not closed there.
const END: &[u8] = b"\0end of the file\0";
const LAST_LINE: &[u8] = b"\n\0end of the file\0\n";

/// For files that are not UTF-8.
const CONVERT: &str =
    "is not UTF-8; `iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW` converts a spreadsheet's export";

/// For files that were UTF-8 before they were converted.
const TWICE: &str = "text that was converted to UTF-8 twice (`Ã«` for `ë`): export the file again as UTF-8, or \
                     `iconv -f UTF-8 -t WINDOWS-1252 FILE > NEW` undoes it";

pub(super) enum Row {
    /// A JSON object, and the line where it begins.
    Body { line: u64, body: Vec<u8> },
    /// Why the row is refused, and the line where it begins.
    Refused { line: u64, why: String },
}

pub(super) struct Sheet<R> {
    reader: csv::Reader<Fence<io::Chain<R, &'static [u8]>>>,
    names: Vec<String>,
    /// The number of lines that were read completely.
    lines: u64,
    /// The first row, which was read to check the header, and the line where it begins.
    first: Option<(u64, ByteRecord)>,
}

impl<R: BufRead> Sheet<R> {
    pub(super) fn new(mut input: R, table: Table<'_>) -> anyhow::Result<Self> {
        let named = separator_line(&mut input)?;
        let separator = table.separator.or(named);
        let reader = csv::ReaderBuilder::new()
            .flexible(true)
            .delimiter(separator.unwrap_or(b','))
            .from_reader(Fence {
                input: input.chain(LAST_LINE),
                left: LONGEST,
                read: 0,
                last: 0,
                breaks: VecDeque::new(),
            });
        let mut sheet = Self {
            reader,
            names: Vec::new(),
            lines: u64::from(named.is_some()),
            first: None,
        };
        let header = sheet.reader.byte_headers().context("reading the header")?.clone();
        if header.as_slice() == END {
            bail!("the file is empty: check whether the export was complete");
        }
        if ends_the_file(&header) {
            bail!("a quotation mark in the header is not closed");
        }
        sheet.first = sheet.read()?;
        let first = sheet.first.as_ref().map(|(_, record)| record);
        sheet.names = header_names(&header, first, table, separator)?;
        Ok(sheet)
    }

    /// The next record that is not blank, and the line where it begins.
    fn read(&mut self) -> anyhow::Result<Option<(u64, ByteRecord)>> {
        loop {
            self.reader.get_mut().left = LONGEST;
            let mut record = ByteRecord::new();
            self.count_lines();
            let began = self.lines + 1;
            let more = self.reader.read_byte_record(&mut record).with_context(|| {
                format!("reading the row that begins in line {began}: is a quotation mark not closed there?")
            })?;
            if !more || record.as_slice() == END {
                return Ok(None);
            }
            self.count_lines();
            if !is_blank(&record) {
                // A row whose quotation mark is not closed has no end of its own that was counted.
                let lines = self.lines + u64::from(ends_the_file(&record));
                let line = lines.saturating_sub(breaks(&record)).max(1);
                return Ok(Some((line, record)));
            }
        }
    }

    /// Counts the lines that end before the reader's place. The reader's own count is one line behind if lines end with
    /// CR LF, because it stops between the two, and it does not count the blank lines before a row.
    fn count_lines(&mut self) {
        let end = self.reader.position().byte();
        let breaks = &mut self.reader.get_mut().breaks;
        while breaks.front().is_some_and(|at| *at < end) {
            breaks.pop_front();
            self.lines += 1;
        }
    }

    pub(super) fn next(&mut self) -> anyhow::Result<Option<Row>> {
        let next = match self.first.take() {
            Some(first) => Some(first),
            None => self.read()?,
        };
        next.map(|(line, record)| self.row(line, &record)).transpose()
    }

    fn row(&self, line: u64, record: &ByteRecord) -> anyhow::Result<Row> {
        let refused = |why: String| Ok(Row::Refused { line, why });
        if ends_the_file(record) {
            return refused(
                "a quotation mark is not closed; everything from there to the end of the file would be one row"
                    .to_owned(),
            );
        }
        let (cells, columns) = (record.len(), self.names.len());
        if cells != columns {
            let breaks = breaks(record);
            let quoted = if breaks > 0 {
                let last = line + breaks;
                format!("; it ends in line {last}: is a quotation mark not closed?")
            } else {
                String::new()
            };
            return refused(format!("{cells} cells, and the header has {columns}{quoted}"));
        }
        let mut object = Map::new();
        for (number, (name, cell)) in (1..).zip(self.names.iter().zip(record)) {
            let Ok(cell) = std::str::from_utf8(cell) else {
                return refused(CONVERT.to_owned());
            };
            let cell = cell.trim();
            // Empty cells are left out.
            if cell.is_empty() {
                continue;
            }
            if name.is_empty() {
                return refused(format!("column {number} has a value and no name in the header"));
            }
            if is_converted_twice(cell) {
                return refused(format!("column {name}: {TWICE}"));
            }
            put(&mut object, name, cell);
        }
        Ok(Row::Body {
            line,
            body: serde_json::to_vec(&object)?,
        })
    }
}

/// A column `contact[email]` is the contact's e-mail address, as in a form.
fn put(object: &mut Map<String, Value>, name: &str, cell: &str) {
    let of_contact = name
        .strip_prefix("contact[")
        .and_then(|rest| rest.strip_suffix(']'))
        .filter(|field| !field.is_empty() && !field.contains(['[', ']']));
    let group = object.get("contact").is_none_or(Value::is_object);
    match of_contact.filter(|_| group) {
        Some(field) => {
            let group = object
                .entry("contact")
                .or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(group) = group {
                group.insert(field.to_owned(), Value::from(cell));
            }
        }
        None => {
            object.insert(name.to_owned(), Value::from(cell));
        }
    }
}

/// Reads a first line `sep=;`, which spreadsheets write, and returns its separator.
fn separator_line(input: &mut impl BufRead) -> anyhow::Result<Option<u8>> {
    let start = input.fill_buf().context("reading the first line")?;
    let Some(end) = start.iter().take(32).position(|byte| *byte == b'\n') else {
        return Ok(None);
    };
    let line = start.get(..end).unwrap_or_default().trim_ascii_end();
    let line = line
        .strip_prefix(b"\"")
        .and_then(|line| line.strip_suffix(b"\""))
        .unwrap_or(line);
    let named = match line {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', separator] => *separator,
        // A tab at the end was trimmed off.
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'='] => b'\t',
        _ => return Ok(None),
    };
    input.consume(end + 1);
    Ok(Some(named))
}

/// The names of the columns. Refuses a first line that is not a header.
fn header_names(
    header: &ByteRecord,
    first: Option<&ByteRecord>,
    table: Table<'_>,
    separator: Option<u8>,
) -> anyhow::Result<Vec<String>> {
    let header: Vec<&str> = header
        .iter()
        .map(|name| std::str::from_utf8(name).map(str::trim))
        .collect::<Result<_, _>>()
        .map_err(|_| anyhow!("the header {CONVERT}"))?;
    if let ([only], None) = (header.as_slice(), separator) {
        for (separator, option) in [(';', "';'"), ('\t', "tab")] {
            if only.contains(separator) {
                bail!("the header is one column with {separator:?} in it: add --separator {option}");
            }
        }
    }
    let values = header.iter().map(|name| value_in_header(name));
    if let Some((column, what)) = (1..).zip(values).find_map(|(column, what)| Some((column, what?))) {
        bail!(
            "the first line looks like a row and not like a header: its cell {column} is {what}. \
             Put a line with the names of the columns above it, such as `email,firstName`"
        );
    }
    let filled = |record: &ByteRecord| record.iter().filter(|cell| !cell.trim_ascii().is_empty()).count();
    if header.iter().filter(|name| !name.is_empty()).count() == 1 && first.is_some_and(|row| filled(row) > 1)
    {
        bail!(
            "the first line has one cell, and the next row has several: it looks like a title. \
             Delete the lines above the header"
        );
    }
    if let Some(name) = header.iter().find(|name| is_converted_twice(name)) {
        bail!("the column {name:?} in the header: {TWICE}");
    }
    for (column, _) in table.map {
        if !header.contains(&column.as_str()) {
            bail!(
                "there is no column {column:?}; the file has: {}",
                header.join(", ")
            );
        }
    }
    let named = |column: &&str| {
        let mapped = table.map.iter().find(|(from, _)| from == column);
        mapped.map_or_else(|| (*column).to_owned(), |(_, to)| to.clone())
    };
    let called: Vec<String> = header.iter().map(named).collect();
    for (at, name) in called.iter().enumerate() {
        let other = called
            .iter()
            .take(at)
            .position(|other| other.eq_ignore_ascii_case(name));
        if let Some(other) = other.filter(|_| !name.is_empty()) {
            bail!(
                "columns {} and {} are both called {name:?}, and one would hide the other: rename one of them in the \
                 file, or with --map if their headers differ",
                other + 1,
                at + 1
            );
        }
    }
    Ok(called)
}

/// What kind of value a cell of the first line is, if it cannot be the name of a column.
fn value_in_header(cell: &str) -> Option<&'static str> {
    if normal_email(cell).is_some() {
        return Some("an address");
    }
    let digits = cell.chars().filter(char::is_ascii_digit).count();
    let is_plain = cell
        .chars()
        .all(|c| c.is_ascii_digit() || " +-/.:()TZ".contains(c));
    (is_plain && digits >= 6).then_some("a number or a date")
}

fn is_blank(record: &ByteRecord) -> bool {
    record.iter().all(|cell| cell.trim_ascii().is_empty())
}

fn ends_the_file(record: &ByteRecord) -> bool {
    record
        .iter()
        .next_back()
        .is_some_and(|cell| cell.trim_ascii_end().ends_with(END))
}

/// The number of line breaks in quoted cells: LF, CR LF, or CR.
fn breaks(record: &ByteRecord) -> u64 {
    let of_cell = |cell: &[u8]| {
        let returns = memchr::memchr_iter(b'\r', cell).filter(|at| cell.get(at + 1) != Some(&b'\n'));
        returns.count() + memchr::memchr_iter(b'\n', cell).count()
    };
    record.iter().map(|cell| of_cell(cell) as u64).sum()
}

/// Fails when one row exceeds the limit, so that a missing quotation mark does not read the whole file into memory.
/// Notes where lines end.
struct Fence<R> {
    input: R,
    left: u64,
    /// The number of bytes read, and the last one.
    read: u64,
    last: u8,
    /// The places of line breaks that were not counted yet; of CR LF, the place of CR.
    breaks: VecDeque<u64>,
}

impl<R: Read> Read for Fence<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let text = format!("longer than {} MB", LONGEST >> 20);
            return Err(io::Error::other(text));
        }
        let read = self.input.read(buffer)?;
        self.left = self.left.saturating_sub(read as u64);
        for byte in buffer.get(..read).unwrap_or_default() {
            if *byte == b'\r' || (*byte == b'\n' && self.last != b'\r') {
                self.breaks.push_back(self.read);
            }
            self.last = *byte;
            self.read += 1;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
