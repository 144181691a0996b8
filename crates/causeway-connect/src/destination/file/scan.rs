//! Reads a file that is there already: how much of it is whole records, its first line, and the keys in it.
//!
//! A newline ends a record only outside of quotes, so the end of the file does not show where the last whole record
//! ends: the file is read from its start, once per opening. A length kept in a file beside it would be faster and could
//! disagree with it. (In JSONL every newline ends a record.)

use std::io::{self, BufRead};

use super::{
    layout::{Format, KEY},
    recent::Recent,
};

/// Bytes of a record that are kept while it is scanned: more than any header or key needs.
const KEEP_BYTES: usize = 64 * 1_024;

pub(super) struct Scan {
    /// Up to the end of the last whole record.
    pub whole_bytes: u64,
    pub all_bytes: u64,
    /// The first whole record, without its newline.
    pub first: Option<Vec<u8>>,
    /// The keys of the last records, oldest first.
    pub keys: Recent,
}

#[derive(Clone, Copy, PartialEq)]
enum At {
    FieldStart,
    Plain,
    Quoted,
    /// Behind a quote inside of quotes: the end of the field, or the first half of a doubled quote.
    Quote,
}

pub(super) fn scan(mut read: impl BufRead, format: Format) -> io::Result<Scan> {
    let mut scan = Scan {
        whole_bytes: 0,
        all_bytes: 0,
        first: None,
        keys: Recent::default(),
    };
    let mut at = At::FieldStart;
    let mut record = Vec::new();
    loop {
        let block = read.fill_buf()?;
        if block.is_empty() {
            return Ok(scan);
        }
        let length = block.len();
        for byte in block {
            scan.all_bytes += 1;
            let ends = match format {
                Format::Jsonl => *byte == b'\n',
                Format::Csv => {
                    at = step(at, *byte);
                    *byte == b'\n' && at == At::FieldStart
                }
            };
            if ends {
                scan.whole_bytes = scan.all_bytes;
                scan.keys.add(&key(&record, format));
                if scan.first.is_none() {
                    scan.first = Some(record.clone());
                }
                record.clear();
            } else if record.len() < KEEP_BYTES {
                record.push(*byte);
            }
        }
        read.consume(length);
    }
}

fn step(at: At, byte: u8) -> At {
    match (at, byte) {
        (At::Quoted, b'"') => At::Quote,
        (At::Quoted, _) | (At::FieldStart | At::Quote, b'"') => At::Quoted,
        (_, b',' | b'\n') => At::FieldStart,
        _ => At::Plain,
    }
}

/// The first cell, or the first member. Empty if the record does not look like one of ours.
fn key(record: &[u8], format: Format) -> String {
    let text = String::from_utf8_lossy(record);
    match format {
        Format::Csv => text.split([',', '\r']).next().unwrap_or_default().to_owned(),
        Format::Jsonl => {
            let rest = text.strip_prefix(&format!("{{\"{KEY}\":\""));
            rest.and_then(|rest| rest.split('"').next())
                .unwrap_or_default()
                .to_owned()
        }
    }
}
