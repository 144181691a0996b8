//! The normal form in which names are compared.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use crate::address::is_unseen;

/// Lower case, composed and compatible forms (NFKC), without invisible characters.
pub(super) fn fold(text: &str) -> String {
    let text: Cow<'_, str> = if text.is_ascii() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(
            text.chars()
                .filter(|c| !is_unseen(*c))
                .map(|c| if c == '\u{3002}' { '.' } else { c })
                .nfkc()
                .collect(),
        )
    };
    if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        text.to_lowercase()
    }
}
