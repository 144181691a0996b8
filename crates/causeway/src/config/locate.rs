//! Finds the line of a key in TOML text.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The line (from 1) of the key that the path leads to; `None` when there is no such key.
pub(super) fn line(text: &str, path: &[&str]) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let mut table = root.get_ref();
    let (last, parents) = path.split_last()?;
    // After a list (`[[test]]`), the next part is the index of an item.
    let mut items: Option<&[Spanned<DeValue<'_>>]> = None;
    for part in parents {
        let value = match items.take() {
            Some(items) => items.get(part.parse::<usize>().ok()?)?.get_ref(),
            None => find(table, part)?.1.get_ref(),
        };
        match value {
            DeValue::Table(inner) => table = inner,
            DeValue::Array(inner) => items = Some(inner),
            _ => return None,
        }
    }
    if let Some(items) = items {
        let item = items.get(last.parse::<usize>().ok()?)?;
        return Some(line_of(text, item.span().start));
    }
    let (key, value) = find(table, last)?;
    // The span of a table is its header. The key of an implicit table (`a` of `[a.b]`) has no header of its own.
    let start = key.span().start.min(value.span().start.max(key.span().start));
    Some(line_of(text, start))
}

/// The line of a section's key (dotted). If the key is not in the file, the line of the nearest table around it.
pub(super) fn nearest(text: &str, section: &[&str], key: &str) -> Option<usize> {
    let mut path: Vec<&str> = section.to_vec();
    path.extend(key.split('.').filter(|part| !part.is_empty()));
    while !path.is_empty() {
        if let Some(line) = line(text, &path) {
            return Some(line);
        }
        path.pop();
    }
    None
}

type Entry<'a, 'i> = (&'a Spanned<std::borrow::Cow<'i, str>>, &'a Spanned<DeValue<'i>>);

fn find<'a, 'i>(table: &'a DeTable<'i>, name: &str) -> Option<Entry<'a, 'i>> {
    table.iter().find(|(key, _)| key.get_ref() == name)
}

/// The line (from 1) of a byte offset.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
