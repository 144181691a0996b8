//! Reads a file as envelopes.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
};

use anyhow::{Context as _, anyhow};
use causeway_core::{
    clock::Timestamp,
    envelope::{Dedup, Envelope, Meta, digest},
    id::Name,
};
use clap::ValueEnum;

use super::sheet::{Row, Sheet};

/// Longest line or row, in bytes: more than any broker would carry for us.
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
        _ => Err("write it as COLUMN=NAME".to_owned()),
    }
}

type Input = BufReader<indicatif::ProgressBarIter<Box<dyn Read>>>;

/// Reads `--separator`.
pub(super) fn separator(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [one] if one.is_ascii() && !one.is_ascii_alphanumeric() && !b"\"\r\n".contains(one) => Ok(*one),
        _ => Err("write one character, as ';', or tab".to_owned()),
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
    source: Name,
    kind: Kind,
    row: u64,
}

enum Kind {
    Jsonl(Input),
    Csv(Sheet<Input>),
}

/// What was read at once.
#[derive(Default)]
pub(super) struct Batch {
    pub envelopes: Vec<Envelope>,
    /// What is wrong with rows that were not taken, and where.
    pub refused: Vec<String>,
    /// All that were read; 0 at the end.
    pub rows: u64,
}

impl Rows {
    pub(super) fn new(input: Input, format: Format, table: Table<'_>, source: Name) -> anyhow::Result<Self> {
        let kind = match format {
            Format::Jsonl => Kind::Jsonl(input),
            Format::Csv => Kind::Csv(Sheet::new(input, table)?),
        };
        Ok(Self { source, kind, row: 0 })
    }

    /// Reads over rows that an earlier run brought in.
    pub(super) fn skip(&mut self, rows: u64) -> anyhow::Result<()> {
        while self.row < rows && self.next()?.is_some() {}
        Ok(())
    }

    /// Up to `size` rows.
    pub(super) fn next_batch(&mut self, size: usize, now: Timestamp) -> anyhow::Result<Batch> {
        let mut batch = Batch::default();
        while batch.rows < size as u64 {
            match self.next()? {
                Some(Row::Body(body)) => batch.envelopes.push(self.envelope(body, now)),
                Some(Row::Refused(why)) => batch.refused.push(why),
                None => break,
            }
            batch.rows += 1;
        }
        Ok(batch)
    }

    fn next(&mut self) -> anyhow::Result<Option<Row>> {
        let row = match &mut self.kind {
            Kind::Jsonl(input) => next_line(input)
                .with_context(|| format!("reading line {}", self.row + 1))?
                .map(Row::Body),
            Kind::Csv(sheet) => sheet.next()?,
        };
        self.row += u64::from(row.is_some());
        Ok(row)
    }

    fn envelope(&self, body: Vec<u8>, now: Timestamp) -> Envelope {
        Envelope {
            source: Name::clone(&self.source),
            dedup: Dedup::dated(digest(&[&body])),
            received_at: now,
            meta: Meta {
                content_type: Some("application/json".to_owned()),
                ..Meta::default()
            },
            body: body.into(),
        }
    }
}

/// The next line that is not empty, without its end.
fn next_line(input: &mut Input) -> anyhow::Result<Option<Vec<u8>>> {
    loop {
        let mut line = Vec::new();
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
