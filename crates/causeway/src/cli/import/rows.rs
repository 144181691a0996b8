//! Reads a file row by row.

use std::{
    io::{BufRead, Read},
    path::Path,
};

use anyhow::{Context as _, anyhow};
use clap::ValueEnum;

use super::{
    file::Input,
    sheet::{Row, Sheet},
};

/// Longest line or row, in bytes: RabbitMQ's default limit for a message.
pub(super) const LONGEST: u64 = 16 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A JSON message on each line.
    Jsonl,
    /// A header, then a contact on each line.
    Csv,
}

impl Format {
    pub(super) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// Reads `--map 'COLUMN=NAME'`.
pub(super) fn mapping(text: &str) -> Result<(String, String), String> {
    match text.rsplit_once('=') {
        Some((column, name)) if !column.is_empty() && !name.is_empty() => {
            Ok((column.to_owned(), name.to_owned()))
        }
        _ => Err("no `=` between column and name: write it as COLUMN=NAME".to_owned()),
    }
}

/// Reads `--separator`.
pub(super) fn separator(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [one] if one.is_ascii() && !one.is_ascii_alphanumeric() && !b"\"\r\n".contains(one) => Ok(*one),
        _ => Err("not one character: write it as ';', or as the word tab".to_owned()),
    }
}

/// How a CSV file is read.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    /// Column → name.
    pub map: &'a [(String, String)],
    pub separator: Option<u8>,
}

pub(super) struct Rows {
    kind: Kind,
}

enum Kind {
    Jsonl { input: Input, line: u64 },
    Csv(Box<Sheet<Input>>),
}

impl Rows {
    pub(super) fn new(input: Input, format: Format, table: Table<'_>) -> anyhow::Result<Self> {
        let kind = match format {
            Format::Jsonl => Kind::Jsonl { input, line: 0 },
            Format::Csv => Kind::Csv(Box::new(Sheet::new(input, table)?)),
        };
        Ok(Self { kind })
    }

    pub(super) fn next(&mut self) -> anyhow::Result<Option<Row>> {
        match &mut self.kind {
            Kind::Csv(sheet) => sheet.next(),
            Kind::Jsonl { input, line } => {
                let body = next_line(input, line).with_context(|| format!("reading line {line}"))?;
                Ok(body.map(|body| Row::Body { line: *line, body }))
            }
        }
    }
}

/// The next line that is not empty, without its line end. Increases `number` by each line read.
fn next_line(input: &mut Input, number: &mut u64) -> anyhow::Result<Option<Vec<u8>>> {
    loop {
        let mut line = Vec::new();
        *number += 1;
        let read = input.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(None);
        }
        if read as u64 == LONGEST && line.last() != Some(&b'\n') {
            return Err(anyhow!(
                "longer than {} MB: is it JSON with one message a line?",
                LONGEST >> 20
            ));
        }
        let text = line.trim_ascii();
        if !text.is_empty() {
            return Ok(Some(text.to_vec()));
        }
    }
}
