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
    for part in parents {
        let DeValue::Table(inner) = find(table, part)?.1.get_ref() else {
            return None;
        };
        table = inner;
    }
    let (key, value) = find(table, last)?;
    // A table's header is where its name stands; an implicit table (`[a.b]` alone for `a`) has only its own.
    let start = key.span().start.min(value.span().start.max(key.span().start));
    Some(line_of(text, start))
}

/// The line of a section's key (dotted); if it is not written there, of the nearest that holds it.
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

/// The line of a key (dotted) of the item with this index of `[[group]]`; of the item where the key is not written.
pub(super) fn item(text: &str, group: &str, index: usize, key: &str) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let DeValue::Array(items) = find(root.get_ref(), group)?.1.get_ref() else {
        return None;
    };
    let item = items.get(index)?;
    let mut line = line_of(text, item.span().start);
    let mut at = item.get_ref();
    for part in key.split('.') {
        let DeValue::Table(table) = at else { break };
        let Some((key, value)) = find(table, part) else {
            break;
        };
        line = line_of(text, key.span().start);
        at = value.get_ref();
    }
    Some(line)
}

type Entry<'a, 'i> = (&'a Spanned<std::borrow::Cow<'i, str>>, &'a Spanned<DeValue<'i>>);

fn find<'a, 'i>(table: &'a DeTable<'i>, name: &str) -> Option<Entry<'a, 'i>> {
    table.iter().find(|(key, _)| key.get_ref() == name)
}

/// The line (from 1) of a byte offset.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
