//! Limits of a mapping's cost and result. Exceeding one is an error, which makes this delivery dead and
//! affects no other.

use super::MappingError;

/// Steps of one evaluation.
pub const FUEL: u64 = 20_000;
/// Bytes of one resulting text.
pub const TEXT: usize = 64 * 1024;
/// Values in one resulting list or object, including nested ones.
pub const VALUES: usize = 10_000;
/// Levels of nested lists and objects.
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
