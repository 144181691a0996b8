//! Reads lines of a limited length.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Without its line break.
    Whole(Vec<u8>),
    /// The start of a line that is longer than allowed, and how many bytes the line has.
    TooLong(Vec<u8>, usize),
}

pub(super) struct Lines<R> {
    reader: BufReader<R>,
    most: usize,
    start: Vec<u8>,
    /// The length of the line so far, which may be more than `start` keeps.
    length: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub fn new(reader: R, most: usize) -> Self {
        Self {
            reader: BufReader::new(reader),
            most,
            start: Vec::new(),
            length: 0,
        }
    }

    /// The next line; `None` at the end. A call that is dropped loses nothing.
    pub async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let available = self.reader.fill_buf().await?;
            if available.is_empty() {
                return Ok((self.length > 0).then(|| self.take()));
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let part = available
                .get(..end.unwrap_or(available.len()))
                .unwrap_or_default();
            let room = self.most.saturating_sub(self.start.len());
            self.start.extend(part.iter().take(room));
            self.length = self.length.saturating_add(part.len());
            let read = part.len() + usize::from(end.is_some());
            self.reader.consume(read);
            if end.is_some() {
                return Ok(Some(self.take()));
            }
        }
    }

    fn take(&mut self) -> Line {
        let (mut start, length) = (std::mem::take(&mut self.start), std::mem::take(&mut self.length));
        if length > start.len() {
            return Line::TooLong(start, length);
        }
        if start.last() == Some(&b'\r') {
            start.pop();
        }
        Line::Whole(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(text: &str, most: usize) -> Vec<Line> {
        let mut lines = Lines::new(text.as_bytes(), most);
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            found.push(line);
        }
        found
    }

    #[tokio::test]
    async fn lines_end_with_a_break_or_with_the_text() {
        let whole = |text: &str| Line::Whole(text.as_bytes().to_vec());
        let expected = [whole("one"), whole(""), whole("two"), whole("three")];
        assert_eq!(all("one\n\ntwo\r\nthree", 10).await, expected);
        assert_eq!(all("", 10).await, []);
    }

    #[tokio::test]
    async fn a_long_line_is_cut_and_the_next_is_read_from_its_start() {
        let long = "x".repeat(100_000);
        let lines = all(&format!("{long}\nnext\n12345\n123456"), 5).await;
        assert_eq!(
            lines,
            [
                Line::TooLong(b"xxxxx".to_vec(), 100_000),
                Line::Whole(b"next".to_vec()),
                Line::Whole(b"12345".to_vec()),
                Line::TooLong(b"12345".to_vec(), 6),
            ]
        );
    }
}
