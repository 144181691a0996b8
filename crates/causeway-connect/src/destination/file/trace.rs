//! What each delivery of a batch wrote, for the trace: the file's name, its header, and the line.

use std::path::Path;

use causeway_core::destination::AttemptResult;

use super::writer::Sent;

/// The rows of a batch, in their order.
pub(super) struct Trace {
    head: String,
    header: String,
    lines: std::vec::IntoIter<Option<Vec<u8>>>,
}

impl Trace {
    pub(super) fn new(path: &Path, sent: Sent) -> Self {
        Self {
            head: format!("FILE {}", path.display()),
            header: String::from_utf8_lossy(&sent.header).into_owned(),
            lines: sent.lines.into_iter(),
        }
    }

    /// What was written for the next row. If the file could not be opened, only its name.
    pub(super) fn next_row(&mut self) -> String {
        let head = &self.head;
        let mut text = match self.lines.next() {
            None => head.clone(),
            Some(None) => format!("{head}\n\nnothing: the line of this delivery is in the file already"),
            Some(Some(line)) => {
                let line = String::from_utf8_lossy(&line);
                format!("{head}\n\n{}{}", self.header, line.trim_end_matches('\n'))
            }
        };
        text.truncate(text.floor_char_boundary(AttemptResult::REQUEST_BYTES));
        text
    }
}
