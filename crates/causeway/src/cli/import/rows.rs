//! Reads a file as envelopes.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
};

use anyhow::{Context as _, anyhow};
use causeway_core::{
    clock::Timestamp,
    envelope::{Envelope, Meta, digest},
    id::Name,
};
use clap::ValueEnum;
use serde_json::{Map, Value};

/// Longest line or row, in bytes: more than any broker would carry for us.
const LONGEST: u64 = 16 << 20;

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

pub(super) struct Rows {
    source: Name,
    kind: Kind,
    row: u64,
}

enum Kind {
    Jsonl(Input),
    Csv {
        reader: csv::Reader<Input>,
        names: Vec<String>,
    },
}

impl Rows {
    pub(super) fn new(
        input: Input,
        format: Format,
        map: &[(String, String)],
        source: Name,
    ) -> anyhow::Result<Self> {
        let kind = match format {
            Format::Jsonl => Kind::Jsonl(input),
            Format::Csv => {
                let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(input);
                let header = reader.headers().context("reading the header")?.clone();
                for (column, _) in map {
                    if !header.iter().any(|name| name.trim() == column) {
                        let columns: Vec<&str> = header.iter().collect();
                        return Err(anyhow!(
                            "there is no column {column:?}; the file has: {}",
                            columns.join(", ")
                        ));
                    }
                }
                let name = |column: &str| {
                    let mapped = map.iter().find(|(from, _)| from == column.trim());
                    mapped.map_or_else(
                        || column.trim().trim_start_matches('\u{feff}').to_owned(),
                        |(_, to)| to.clone(),
                    )
                };
                Kind::Csv {
                    names: header.iter().map(name).collect(),
                    reader,
                }
            }
        };
        Ok(Self { source, kind, row: 0 })
    }

    /// Reads over rows that an earlier run brought in.
    pub(super) fn skip(&mut self, rows: u64) -> anyhow::Result<()> {
        while self.row < rows && self.next(Timestamp::UNIX_EPOCH)?.is_some() {}
        Ok(())
    }

    /// Up to `size` envelopes; empty at the end.
    pub(super) fn next_batch(&mut self, size: usize, now: Timestamp) -> anyhow::Result<Vec<Envelope>> {
        let mut batch = Vec::with_capacity(size);
        while batch.len() < size {
            match self.next(now)? {
                Some(envelope) => batch.push(envelope),
                None => break,
            }
        }
        Ok(batch)
    }

    fn next(&mut self, now: Timestamp) -> anyhow::Result<Option<Envelope>> {
        let body = match &mut self.kind {
            Kind::Jsonl(input) => {
                next_line(input).with_context(|| format!("reading line {}", self.row + 1))?
            }
            Kind::Csv { reader, names } => {
                next_record(reader, names).with_context(|| format!("reading row {}", self.row + 1))?
            }
        };
        let Some(body) = body else { return Ok(None) };
        self.row += 1;
        Ok(Some(Envelope {
            source: Name::clone(&self.source),
            dedup: digest(&[&body]),
            dedup_window_ms: None,
            received_at: now,
            meta: Meta {
                content_type: Some("application/json".to_owned()),
                ..Meta::default()
            },
            body: body.into(),
        }))
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

/// The next record as a JSON object; empty cells are left out.
fn next_record(reader: &mut csv::Reader<Input>, names: &[String]) -> anyhow::Result<Option<Vec<u8>>> {
    let mut record = csv::StringRecord::new();
    if !reader.read_record(&mut record)? {
        return Ok(None);
    }
    let cells = names
        .iter()
        .zip(&record)
        .filter(|(_, cell)| !cell.trim().is_empty());
    let object: Map<String, Value> = cells
        .map(|(name, cell)| (name.clone(), cell.trim().into()))
        .collect();
    Ok(Some(serde_json::to_vec(&object)?))
}
