//! Decodes bytes into all texts that they may stand for.

use std::{borrow::Cow, io::Read};

use super::escapes::{quoted_printable, unescape};

/// How many layers of escapes are removed: for example a query in a query in JSON.
const ROUNDS: usize = 3;
/// Minimum length of a run of base64. Shorter ones hold no address.
const SHORTEST_BASE64: usize = 12;
/// Maximum bytes of a decompressed body. A body that grows beyond this is not read.
const MAX_INFLATED: u64 = 16 << 20;

/// Which parts of a message could not be read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Unreadable {
    /// A part is encrypted.
    pub sealed: bool,
    /// It is compressed or otherwise binary, such as a picture.
    pub binary: bool,
}

/// Calls `look` with each text that the bytes may stand for, until it returns false. The result is complete
/// only if `look` never returned false.
pub(super) fn texts(bytes: &[u8], look: &mut dyn FnMut(&str) -> bool) -> Unreadable {
    let mut reader = Reader { look, sealed: false };
    let inflated = bytes.starts_with(&[0x1f, 0x8b]).then(|| inflate(bytes));
    let bytes = match &inflated {
        None => bytes,
        Some(Some(inside)) => inside,
        Some(None) => &[],
    };
    for text in characters(bytes) {
        if !reader.each_spelling(&text, true) {
            break;
        }
    }
    Unreadable {
        sealed: reader.sealed,
        binary: matches!(inflated, Some(None)) || !is_text(bytes),
    }
}

struct Reader<'a> {
    look: &'a mut dyn FnMut(&str) -> bool,
    sealed: bool,
}

impl Reader<'_> {
    /// Calls `look` with the text and what its escapes stand for. Returns false if `look` ended the search.
    fn each_spelling(&mut self, text: &str, with_base64: bool) -> bool {
        let mut text = Cow::Borrowed(text);
        for round in 0..=ROUNDS {
            self.sealed |= holds_sealed_part(&text);
            let goes_on = (self.look)(&text)
                && quoted_printable(&text).is_none_or(|plain| (self.look)(&lossless(&plain)))
                && (!with_base64 || self.each_base64(&text));
            if !goes_on {
                return false;
            }
            if round == ROUNDS {
                break;
            }
            let Some(next) = unescape(&text) else { break };
            text = Cow::Owned(lossless(&next));
        }
        true
    }

    /// Searches in base64. Decoded base64 is not searched for base64 again.
    fn each_base64(&mut self, text: &str) -> bool {
        base64_runs(text)
            .iter()
            .flat_map(|run| decoded(run))
            .flat_map(|bytes| characters(&bytes))
            .all(|inside| self.each_spelling(&inside, false))
    }
}

/// Decodes without losing a byte: bytes that are not UTF-8 are read as Latin-1.
fn lossless(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| char::from(*byte)));
    }
    text
}

/// The bytes as characters: UTF-8 mixed with Latin-1, and also UTF-16 if the bytes look like it.
fn characters(bytes: &[u8]) -> Vec<String> {
    let mut texts = vec![lossless(bytes)];
    if looks_like_utf16(bytes) {
        for from_pair in [u16::from_le_bytes, u16::from_be_bytes] {
            let (pairs, _) = bytes.as_chunks::<2>();
            let units = pairs.iter().map(|pair| from_pair(*pair));
            let text = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
            texts.push(text.collect());
        }
    }
    texts
}

/// Whether there is a byte order mark, or more than a quarter of the bytes are zero. In UTF-16 text that is
/// mostly Latin, every second byte is zero.
fn looks_like_utf16(bytes: &[u8]) -> bool {
    let zeros = memchr::memchr_iter(0, bytes).count();
    bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) || zeros * 4 > bytes.len()
}

/// Whether it is text that people could read after removing escapes. Pictures, archives and the like have
/// bytes that text does not have.
fn is_text(bytes: &[u8]) -> bool {
    let is_odd = |byte: &&u8| matches!(byte, 0x01..=0x08 | 0x0e..=0x1a | 0x1c..=0x1f | 0x7f);
    let odd = bytes.iter().filter(is_odd).count();
    let is_archive = [
        b"PK\x03\x04".as_slice(),
        b"BZh",
        b"\xfd7zXZ",
        b"\x28\xb5\x2f\xfd",
        b"7z\xbc\xaf",
        b"%PDF",
    ]
    .iter()
    .any(|mark| bytes.starts_with(mark));
    !is_archive && odd * 20 <= bytes.len()
}

/// Whether a part of the message is encrypted in Proca's way. Such a part has a nonce.
fn holds_sealed_part(text: &str) -> bool {
    text.match_indices("\"nonce\"").any(|(at, name)| {
        let rest = text.get(at + name.len()..).unwrap_or_default();
        let value = rest.trim_start().strip_prefix(':').map(str::trim_start);
        value.is_some_and(|value| value.starts_with('"') && !value.starts_with("\"\""))
    })
}

fn inflate(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut inside = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(bytes).take(MAX_INFLATED + 1);
    reader.read_to_end(&mut inside).ok()?;
    (inside.len() as u64 <= MAX_INFLATED).then_some(inside)
}

/// Long runs of base64 characters, in both alphabets. Line breaks within a run are removed.
fn base64_runs(text: &str) -> Vec<Vec<u8>> {
    let mut runs = Vec::new();
    let mut run = Vec::new();
    for byte in text.bytes().chain([0]) {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' | b'-' | b'_' => run.push(byte),
            b'\r' | b'\n' => {}
            _ => {
                if run.len() >= SHORTEST_BASE64 {
                    runs.push(std::mem::take(&mut run));
                }
                run.clear();
            }
        }
    }
    runs
}

/// The bytes of a run, decoded from each of the four possible starts: the first letters may not belong to the
/// base64.
fn decoded(run: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..4).filter_map(|start| run.get(start..)).map(decode_run)
}

fn decode_run(run: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(run.len() / 4 * 3 + 3);
    for group in run.chunks(4) {
        let bits = group.iter().fold(0, |bits, letter| bits << 6 | six_bits(*letter));
        let [_, all @ ..] = (bits << (6 * (4 - group.len()))).to_be_bytes();
        // In a short group, the last letter only completes the byte before it. A group of one letter holds no
        // byte.
        bytes.extend(all.iter().take(group.len().saturating_sub(1)));
    }
    bytes
}

/// The value of a letter, in either alphabet.
fn six_bits(letter: u8) -> u32 {
    match letter {
        b'A'..=b'Z' => u32::from(letter - b'A'),
        b'a'..=b'z' => u32::from(letter - b'a') + 26,
        b'0'..=b'9' => u32::from(letter - b'0') + 52,
        b'+' | b'-' => 62,
        _ => 63,
    }
}
