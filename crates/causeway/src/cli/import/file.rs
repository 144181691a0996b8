//! A file that is read twice: first to summarise it, then to import it.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, bail};
use causeway_core::envelope::{MessageKey, digest};
use indicatif::{ProgressBar, ProgressBarIter};
use sha2::{Digest, Sha256};

pub(super) type Input = BufReader<ProgressBarIter<Box<dyn Read>>>;

pub(super) struct Source {
    file: File,
    path: PathBuf,
    pub bytes: u64,
    modified: Option<SystemTime>,
}

impl Source {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("reading {}", path.display()))?;
        let known = file
            .metadata()
            .with_context(|| format!("reading {}", path.display()))?;
        if !known.is_file() {
            bail!(
                "{} is not a regular file, and an import reads it twice: save it to a file first",
                path.display()
            );
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            bytes: known.len(),
            modified: known.modified().ok(),
        })
    }

    /// The digest of the content; it does not depend on the file's name.
    pub(super) fn content(&mut self) -> anyhow::Result<MessageKey> {
        let mut hash = Sha256::new();
        let mut input = self.rewound()?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = input
                .read(&mut buffer)
                .with_context(|| format!("reading {}", self.path.display()))?;
            if read == 0 {
                return Ok(digest(&[&hash.finalize()]));
            }
            hash.update(buffer.get(..read).unwrap_or_default());
        }
    }

    /// Opens the text of the file, after a byte order mark.
    pub(super) fn text(&mut self, bar: &ProgressBar) -> anyhow::Result<Input> {
        let input = self.rewound()?;
        let mut input = BufReader::new(bar.wrap_read(Box::new(input) as Box<dyn Read>));
        let start = input
            .fill_buf()
            .with_context(|| format!("reading {}", self.path.display()))?;
        let mark = text_start(start).with_context(|| self.path.display().to_string())?;
        input.consume(mark);
        Ok(input)
    }

    /// Fails if the file changed since it was opened.
    pub(super) fn check_unchanged(&self) -> anyhow::Result<()> {
        let now = self.file.metadata()?;
        if now.len() != self.bytes || now.modified().ok() != self.modified {
            bail!(
                "{} was changed while it was read: import it again when it is complete",
                self.path.display()
            );
        }
        Ok(())
    }

    fn rewound(&mut self) -> anyhow::Result<impl Read + 'static> {
        self.file.rewind()?;
        Ok(self.file.try_clone()?.take(self.bytes))
    }
}

/// The number of bytes before the text (a byte order mark). Refuses other formats, with the way to convert them.
fn text_start(start: &[u8]) -> anyhow::Result<usize> {
    let utf_16 =
        "is UTF-16, as Excel's \"Unicode Text\" is: `iconv -f UTF-16 -t UTF-8 FILE > NEW` converts it";
    match start {
        [0xef, 0xbb, 0xbf, ..] => return Ok(3),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => bail!(utf_16),
        [b'P', b'K', 3, 4, ..] => {
            bail!("is a spreadsheet or an archive: save the sheet as \"CSV UTF-8\" and import that")
        }
        [0x1f, 0x8b, ..] => bail!("is compressed: `gunzip` it first"),
        _ => {}
    }
    let looked_at = start.get(..start.len().min(512)).unwrap_or_default();
    // In UTF-16, every other byte of Latin text is zero.
    let nothing = memchr::memchr_iter(0, looked_at).count();
    if nothing * 4 > looked_at.len() {
        bail!(utf_16);
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_another_format_is_refused_with_the_way_to_convert_it() {
        assert_eq!(text_start(b"\xef\xbb\xbfemail").unwrap(), 3);
        assert_eq!(text_start(b"email").unwrap(), 0);
        assert_eq!(text_start(b"").unwrap(), 0);
        for (start, part) in [
            (&b"\xff\xfee\0m\0a\0i\0l\0"[..], "iconv -f UTF-16"),
            (b"\xfe\xff\0e\0m", "iconv -f UTF-16"),
            (b"e\0m\0a\0i\0l\0;\0", "iconv -f UTF-16"),
            (b"PK\x03\x04\x14\0", "CSV UTF-8"),
            (b"\x1f\x8b\x08\0", "gunzip"),
        ] {
            let error = text_start(start).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
