//! Reads a CSV file. A row is taken whole and for sure, or refused with its line.

use std::io::{self, Read};

use anyhow::{Context as _, anyhow, bail};
use csv::ByteRecord;
use serde_json::{Map, Value};

use super::rows::{LONGEST, Table};

/// Behind the end of the file, as a row of its own: within another row it shows that a quotation mark is not closed there.
const END: &[u8] = b"\0end of the file\0";
const LAST_LINE: &[u8] = b"\n\0end of the file\0\n";

/// For files that are not UTF-8.
const CONVERT: &str =
    "is not UTF-8; `iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW` converts what spreadsheets write";

pub(super) enum Row {
    /// A JSON object.
    Body(Vec<u8>),
    /// What is wrong with it, and where.
    Refused(String),
}

pub(super) struct Sheet<R> {
    reader: csv::Reader<Fence<io::Chain<R, &'static [u8]>>>,
    names: Vec<String>,
}

impl<R: Read> Sheet<R> {
    pub(super) fn new(input: R, table: Table<'_>) -> anyhow::Result<Self> {
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .delimiter(table.separator.unwrap_or(b','))
            .from_reader(Fence {
                input: input.chain(LAST_LINE),
                left: LONGEST,
            });
        let header = reader.byte_headers().context("reading the header")?.clone();
        if ends_the_file(&header) {
            bail!("the file has no rows, or a quotation mark in its header is not closed");
        }
        let header: Vec<&str> = header
            .iter()
            .map(std::str::from_utf8)
            .collect::<Result<_, _>>()
            .map_err(|_| anyhow!("the header {CONVERT}"))?;
        if let ([only], None) = (header.as_slice(), table.separator) {
            for (separator, option) in [(';', "';'"), ('\t', "tab")] {
                if only.contains(separator) {
                    bail!("the header is one column with {separator:?} in it: add --separator {option}");
                }
            }
        }
        for (column, _) in table.map {
            if !header.iter().any(|name| name.trim() == column) {
                bail!(
                    "there is no column {column:?}; the file has: {}",
                    header.join(", ")
                );
            }
        }
        let name = |column: &&str| {
            let mapped = table.map.iter().find(|(from, _)| from == column.trim());
            mapped.map_or_else(
                || column.trim().trim_start_matches('\u{feff}').to_owned(),
                |(_, to)| to.clone(),
            )
        };
        let names = header.iter().map(name).collect();
        Ok(Self { reader, names })
    }

    pub(super) fn next(&mut self) -> anyhow::Result<Option<Row>> {
        self.reader.get_mut().left = LONGEST;
        let mut record = ByteRecord::new();
        let began = self.reader.position().line();
        let more = self.reader.read_byte_record(&mut record).with_context(|| {
            format!("reading the row that begins in line {began}: is a quotation mark not closed there?")
        })?;
        if !more || record.as_slice() == END {
            return Ok(None);
        }
        let line = record.position().map_or(began, csv::Position::line);
        if ends_the_file(&record) {
            return Ok(Some(Row::Refused(format!(
                "line {line}: a quotation mark is not closed; everything from there to the end of the file would be one row"
            ))));
        }
        let (cells, columns) = (record.len(), self.names.len());
        if cells != columns {
            let last = self.reader.position().line().saturating_sub(1);
            let lines = if last > line {
                format!("lines {line} to {last} (is a quotation mark not closed there?)")
            } else {
                format!("line {line}")
            };
            return Ok(Some(Row::Refused(format!(
                "{lines}: {cells} cells, and the header has {columns}"
            ))));
        }
        let mut object = Map::new();
        for (name, cell) in self.names.iter().zip(&record) {
            let Ok(cell) = std::str::from_utf8(cell) else {
                return Ok(Some(Row::Refused(format!("line {line}: {CONVERT}"))));
            };
            let cell = cell.trim();
            // Empty cells are left out.
            if !cell.is_empty() {
                object.insert(name.clone(), Value::from(cell));
            }
        }
        Ok(Some(Row::Body(serde_json::to_vec(&object)?)))
    }
}

fn ends_the_file(record: &ByteRecord) -> bool {
    record
        .iter()
        .next_back()
        .is_some_and(|cell| cell.trim_ascii_end().ends_with(END))
}

/// Lets no more through than one row may have.
struct Fence<R> {
    input: R,
    left: u64,
}

impl<R: Read> Read for Fence<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let text = format!("longer than {} MB", LONGEST >> 20);
            return Err(io::Error::other(text));
        }
        let read = self.input.read(buffer)?;
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Table<'_> = Table {
        map: &[],
        separator: None,
    };

    /// What each row became: its JSON, or why it was refused.
    fn rows(text: &[u8], table: Table<'_>) -> anyhow::Result<Vec<String>> {
        let mut sheet = Sheet::new(text, table)?;
        let mut all = Vec::new();
        while let Some(row) = sheet.next()? {
            all.push(match row {
                Row::Body(body) => String::from_utf8(body)?,
                Row::Refused(why) => why,
            });
        }
        Ok(all)
    }

    #[test]
    fn a_row_with_other_cells_than_the_header_is_refused_and_the_others_are_read() {
        let text = b"email,name\nann@example.org,Ann\nbob@example.org\ncem@example.org,Cem,7\n\"a\nb\",Dana";
        let all = rows(text, PLAIN).unwrap();
        assert_eq!(
            all,
            [
                r#"{"email":"ann@example.org","name":"Ann"}"#,
                "line 3: 1 cells, and the header has 2",
                "line 4: 3 cells, and the header has 2",
                r#"{"email":"a\nb","name":"Dana"}"#,
            ]
        );
    }

    #[test]
    fn letters_of_another_code_refuse_their_row_only() {
        let all = rows(b"email,name\na@example.org,Zo\xeb\nb@example.org,Bo\n", PLAIN).unwrap();
        assert!(
            all[0].starts_with("line 2: is not UTF-8") && all[0].contains("iconv"),
            "{all:?}"
        );
        assert_eq!(all[1], r#"{"email":"b@example.org","name":"Bo"}"#);
        assert!(
            rows(b"email,pr\xe9nom\n", PLAIN)
                .unwrap_err()
                .to_string()
                .contains("iconv")
        );
    }

    #[test]
    fn a_quotation_mark_that_is_not_closed_is_told_with_the_line_where_it_began() {
        let all = rows(
            b"email,name\na@example.org,Ann\nb@example.org,\"Bo\nc@example.org,Cem\n",
            PLAIN,
        )
        .unwrap();
        assert_eq!(all.len(), 2);
        assert!(
            all[1].starts_with("line 3: a quotation mark is not closed"),
            "{all:?}"
        );
        let all = rows(
            b"email,name\nb@example.org,\"Bo\nc@example.org,\"Cem\",x\nd@example.org,Di\n",
            PLAIN,
        )
        .unwrap();
        assert!(all[0].starts_with("lines 2 to 3 (is a quotation mark"), "{all:?}");
        assert_eq!(all[1], r#"{"email":"d@example.org","name":"Di"}"#);
        let mut long = b"email,name\na@example.org,Ann\nb@example.org,\"Bo\n".to_vec();
        long.resize(long.len() + (32 << 20), b'x');
        let error = format!("{:#}", rows(&long, PLAIN).unwrap_err());
        assert!(
            error.contains("line 3") && error.contains("longer than 16 MB"),
            "{error}"
        );
    }

    #[test]
    fn another_separator_is_asked_for_and_taken() {
        for (text, option, separator) in [
            (&b"email;name\na@example.org;Ann\n"[..], "--separator ';'", b';'),
            (b"email\tname\na@example.org\tAnn\n", "--separator tab", b'\t'),
        ] {
            let error = rows(text, PLAIN).unwrap_err().to_string();
            assert!(error.contains(option), "{error}");
            let table = Table {
                separator: Some(separator),
                ..PLAIN
            };
            assert_eq!(
                rows(text, table).unwrap(),
                [r#"{"email":"a@example.org","name":"Ann"}"#]
            );
        }
        assert!(rows(b"", PLAIN).is_err());
        assert_eq!(rows(b"email\na@example.org", PLAIN).unwrap().len(), 1);
    }
}
