//! Parses a form body into the value that PHP would make of it.

use std::borrow::Cow;

use memchr::memchr;

use super::{
    percent,
    value::{Array, Key, KeyRef, Value},
};

/// PHP's `max_input_vars` and `max_input_nesting_level`.
const PHP_MAX_PAIRS: usize = 1000;
const PHP_MAX_DEPTH: usize = 64;
/// PHP's `post_max_size`. PHP reads nothing of a larger body.
const PHP_MAX_BODY_BYTES: usize = 8 << 20;

/// Which limits apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// PHP with its default settings, including its silent losses. `get` = a query string (also `parse_str`
    /// and multipart parts), which keeps 1000 pairs. A body keeps 1001, and counts empty pieces, too.
    StrictPhp { get: bool },
    /// PHP's rules, with two differences: input over the limits is an error instead of a loss, and maps with
    /// the keys 0..n-1 in any order become lists.
    Lenient { max_pairs: usize, max_depth: usize },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    pub root: Array,
    pub report: Report,
}

/// Counts of what happened to the pairs. It holds only numbers, because names and values may be personal
/// data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// All pairs, including dropped ones.
    pub pairs: usize,
    /// Names that were not used as written: a space or dot became `_`, text after `]` was ignored, …
    pub mangled: usize,
    /// Pairs without a usable name, or without a free key to append to.
    pub dropped: usize,
    /// Values that a later pair of the same name replaced.
    pub overwritten: usize,
    /// Strict mode only: pairs over the limits, and those that were lost with a pair that was too deep.
    pub over_limit: usize,
    /// Lists that came out of order and were sorted.
    pub sorted: usize,
}

impl Report {
    /// Sentences for a trace, without any name or value.
    pub fn notes(&self) -> Vec<String> {
        let sentences = [
            (self.mangled, "names were changed the way PHP does"),
            (self.dropped, "pairs without a usable name were dropped"),
            (
                self.overwritten,
                "values were replaced by a later pair of the same name",
            ),
            (self.over_limit, "pairs were over PHP's limits and lost"),
            (self.sorted, "lists came out of order and were sorted"),
        ];
        let counted = sentences.iter().filter(|(count, _)| *count > 0);
        counted
            .map(|(count, sentence)| format!("form: {count} {sentence}"))
            .collect()
    }
}

/// The body exceeds a limit of [`Mode::Lenient`]. No part of it may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    #[error("more than {limit} pairs")]
    TooManyPairs { limit: usize },
    #[error("brackets nested more than {limit} deep")]
    TooDeep { limit: usize },
}

/// Parses a query string or body. Fails only in [`Mode::Lenient`].
pub fn parse(input: &[u8], mode: Mode) -> Result<Parsed, FormError> {
    let mut builder = Builder::new(mode);
    let input = match mode {
        // PHP handles queries as C strings.
        Mode::StrictPhp { get: true } => before_nul(input),
        Mode::StrictPhp { get: false } if input.len() > PHP_MAX_BODY_BYTES => {
            builder.report.over_limit = 1;
            return Ok(builder.finish());
        }
        _ => input,
    };
    let mut name = Vec::new();
    let mut rest = Some(input);
    while let Some(pieces) = rest {
        let (piece, after) = cut(pieces, b'&');
        rest = after;
        if piece.is_empty() {
            builder.count_empty_piece();
            continue;
        }
        let (left, right) = cut(piece, b'=');
        percent::decode(left, &mut name);
        let mut value = Vec::new();
        percent::decode(right.unwrap_or_default(), &mut value);
        builder.push_pair(&name, value)?;
    }
    Ok(builder.finish())
}

/// The text before the separator, and the text after it if there is a separator.
fn cut(text: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    match memchr(separator, text) {
        Some(at) => (
            text.get(..at).unwrap_or_default(),
            Some(text.get(at + 1..).unwrap_or_default()),
        ),
        None => (text, None),
    }
}

/// Takes decoded pairs one by one, as [`parse`] does inside. Public for callers that already have the pairs
/// (the parts of a multipart body).
#[derive(Debug)]
pub struct Builder {
    mode: Mode,
    root: Array,
    report: Report,
    /// The number of pairs as PHP counts them.
    counted: usize,
}

/// How storing a pair ended.
enum Ending {
    Stored { overwritten: bool },
    Lost,
    TooDeep,
}

impl Builder {
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            root: Array::default(),
            report: Report::default(),
            counted: 0,
        }
    }

    /// Adds a pair of decoded `name` and `value`. Fails only in [`Mode::Lenient`].
    pub fn push_pair(&mut self, name: &[u8], value: Vec<u8>) -> Result<(), FormError> {
        self.report.pairs += 1;
        self.counted += 1;
        let (max_pairs, max_depth) = self.limits();
        if self.counted > max_pairs {
            self.report.over_limit += 1;
            return match self.mode {
                Mode::StrictPhp { .. } => Ok(()),
                Mode::Lenient { .. } => Err(FormError::TooManyPairs { limit: max_pairs }),
            };
        }
        let Some(name) = Name::read(name) else {
            self.report.dropped += 1;
            return Ok(());
        };
        let mut mangled = name.mangled;
        match store(&mut self.root, &name, value, max_depth, &mut mangled) {
            Ending::Stored { overwritten } => self.report.overwritten += usize::from(overwritten),
            Ending::Lost => self.report.dropped += 1,
            Ending::TooDeep => {
                self.report.over_limit += 1;
                if let Mode::Lenient { max_depth, .. } = self.mode {
                    return Err(FormError::TooDeep { limit: max_depth });
                }
                // PHP drops the whole variable, with everything that it already held.
                self.root.remove(&Key::new(&name.top));
            }
        }
        self.report.mangled += usize::from(mangled);
        Ok(())
    }

    pub fn finish(mut self) -> Parsed {
        if let Mode::Lenient { .. } = self.mode {
            for value in self.root.values_mut() {
                self.report.sorted += sort_lists(value);
            }
        }
        Parsed {
            root: self.root,
            report: self.report,
        }
    }

    fn count_empty_piece(&mut self) {
        if self.mode == (Mode::StrictPhp { get: false }) {
            self.counted += 1;
        }
    }

    /// The maximum number of pairs, and the maximum nesting.
    fn limits(&self) -> (usize, usize) {
        match self.mode {
            Mode::StrictPhp { get: true } => (PHP_MAX_PAIRS, PHP_MAX_DEPTH),
            // PHP checks the limit only after it stored the pair.
            Mode::StrictPhp { get: false } => (PHP_MAX_PAIRS + 1, PHP_MAX_DEPTH),
            Mode::Lenient { max_pairs, max_depth } => (max_pairs, max_depth),
        }
    }
}

/// A name, split at its first index.
struct Name<'a> {
    top: Cow<'a, [u8]>,
    /// The name as written, without leading spaces.
    whole: &'a [u8],
    /// The part from the first `[`, if a `]` follows; else empty.
    indexes: &'a [u8],
    mangled: bool,
}

impl<'a> Name<'a> {
    /// Returns `None` if PHP drops the pair.
    fn read(name: &'a [u8]) -> Option<Self> {
        let whole = before_nul(name);
        let start = whole.iter().position(|byte| *byte != b' ').unwrap_or(whole.len());
        let trimmed = whole.get(start..).unwrap_or_default();
        let bracket = trimmed.iter().position(|byte| *byte == b'[');
        let (top, indexes) = trimmed.split_at_checked(bracket.unwrap_or(trimmed.len()))?;
        if top.is_empty() {
            return None;
        }
        // A first bracket that is never closed is a part of the name.
        let (top, indexes) = if indexes.contains(&b']') {
            (top, indexes)
        } else {
            (trimmed, &b""[..])
        };
        let mut mangled = whole.len() != name.len() || start > 0;
        let mut out = Cow::Borrowed(top);
        if top.iter().any(|byte| is_odd(*byte)) {
            mangled = true;
            for byte in out.to_mut().iter_mut().filter(|byte| is_odd(**byte)) {
                *byte = b'_';
            }
        }
        if is_forged(&out, trimmed) {
            return None;
        }
        Some(Self {
            top: out,
            whole: trimmed,
            indexes,
            mangled,
        })
    }
}

/// Whether PHP replaces the character by `_` in a name.
fn is_odd(byte: u8) -> bool {
    matches!(byte, b' ' | b'.' | b'[')
}

/// Follows the indexes down to the place of the value. Sets `mangled` if a part of the name is ignored.
fn store(root: &mut Array, name: &Name<'_>, value: Vec<u8>, max_depth: usize, mangled: &mut bool) -> Ending {
    let mut here = root;
    let mut key = Some(KeyRef::new(&name.top));
    let mut rest = name.indexes;
    let mut depth = 0;
    let mut overwritten = false;
    while let Some(after_bracket) = rest.strip_prefix(b"[") {
        depth += 1;
        if depth > max_depth {
            return Ending::TooDeep;
        }
        let Some((index, after)) = split_index(after_bracket) else {
            // A bracket that is never closed: the value stays one level up.
            *mangled = true;
            rest = &[];
            break;
        };
        if is_forged_key(key, name.whole) {
            return Ending::Lost;
        }
        let Some((array, replaced)) = here.array_at(key) else {
            return Ending::Lost;
        };
        overwritten |= replaced;
        here = array;
        key = index.map(KeyRef::new);
        rest = after;
    }
    *mangled |= !rest.is_empty();
    if is_forged_key(key, name.whole) {
        return Ending::Lost;
    }
    match key {
        Some(key) => {
            overwritten |= here.set_ref(key, Value::Text(value)).is_some();
            Ending::Stored { overwritten }
        }
        None => match here.append(Value::Text(value)) {
            Ok(()) => Ending::Stored { overwritten },
            Err(_) => Ending::Lost,
        },
    }
}

/// Splits `index]rest`. An empty index, or a single white space, appends: `None`.
fn split_index(text: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let end = text.iter().position(|byte| *byte == b']')?;
    let index = text.get(..end)?;
    let rest = text.get(end + 1..)?;
    let appends = match index {
        [] => true,
        [byte] => matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c),
        _ => false,
    };
    Some(((!appends).then_some(index), rest))
}

/// PHP protects cookie names with certain prefixes: no other name may become one, neither by mangling nor as
/// the last index.
fn is_forged(key: &[u8], whole_name: &[u8]) -> bool {
    let prefixes: [&[u8]; 2] = [b"__Host-", b"__Secure-"];
    let forged = |prefix: &&[u8]| key.starts_with(prefix) && !whole_name.starts_with(prefix);
    prefixes.iter().any(forged)
}

fn is_forged_key(key: Option<KeyRef<'_>>, whole_name: &[u8]) -> bool {
    matches!(key, Some(KeyRef::Text(key)) if is_forged(key, whole_name))
}

fn before_nul(text: &[u8]) -> &[u8] {
    cut(text, 0).0
}

/// Sorts lists that are out of order, at any depth. Returns how many there were.
fn sort_lists(value: &mut Value) -> usize {
    let Value::Array(array) = value else { return 0 };
    let mut sorted = usize::from(array.sort_if_list_in_disorder());
    for value in array.values_mut() {
        sorted += sort_lists(value);
    }
    sorted
}
