//! How much a mapping may take and give: more is an error, which makes one delivery dead and harms no other.

use super::MappingError;

/// Steps of one evaluation.
pub const FUEL: u64 = 20_000;
/// Bytes of one text that comes out.
pub const TEXT: usize = 64 * 1024;
/// Values in one list or object that comes out, nested ones included.
pub const VALUES: usize = 10_000;
/// Lists and objects within each other.
pub const DEPTH: usize = 32;
/// Bytes of an expression or a template.
pub const SOURCE: usize = 16 * 1024;

pub(super) fn too_long() -> MappingError {
    MappingError::new("the text is too long")
        .hint(format!("{} KiB at most; `| truncate(…)` shortens", TEXT / 1024))
}

/// A piece of configuration in an error, shortened.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    let start: String = text.chars().take(MOST).collect();
    format!("{start}…")
}
