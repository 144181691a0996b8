//! Finds text that was converted to UTF-8 twice: `ZoÃ«` for `Zoë`.

/// Whether the whole text is UTF-8 that was read as Windows-1252 (or ISO 8859-1) and written as UTF-8 again. Undoing that
/// conversion on genuine text with such letters does not give valid UTF-8.
pub(super) fn is_converted_twice(text: &str) -> bool {
    if text.is_ascii() {
        return false;
    }
    let bytes: Option<Vec<u8>> = text.chars().map(as_windows_1252).collect();
    bytes.is_some_and(|bytes| std::str::from_utf8(&bytes).is_ok())
}

/// The letters that Windows-1252 has where ISO 8859-1 has control characters.
const SPECIAL: [(char, u8); 27] = [
    ('€', 0x80),
    ('‚', 0x82),
    ('ƒ', 0x83),
    ('„', 0x84),
    ('…', 0x85),
    ('†', 0x86),
    ('‡', 0x87),
    ('ˆ', 0x88),
    ('‰', 0x89),
    ('Š', 0x8a),
    ('‹', 0x8b),
    ('Œ', 0x8c),
    ('Ž', 0x8e),
    ('‘', 0x91),
    ('’', 0x92),
    ('“', 0x93),
    ('”', 0x94),
    ('•', 0x95),
    ('–', 0x96),
    ('—', 0x97),
    ('˜', 0x98),
    ('™', 0x99),
    ('š', 0x9a),
    ('›', 0x9b),
    ('œ', 0x9c),
    ('ž', 0x9e),
    ('Ÿ', 0x9f),
];

fn as_windows_1252(letter: char) -> Option<u8> {
    let special = SPECIAL.iter().find(|(known, _)| *known == letter);
    special.map_or_else(|| u8::try_from(u32::from(letter)).ok(), |(_, byte)| Some(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_that_was_converted_twice_is_found() {
        for text in [
            "ZoÃ«",
            "MÃ¼ller",
            "FranÃ§ois",
            "Å\u{81}Ã³dÅº",
            "itâ€™s",
            "10 â‚¬",
            "Ã‰va",
        ] {
            assert!(is_converted_twice(text), "{text}");
        }
        for text in [
            "",
            "Zoe",
            "Zoë",
            "Müller",
            "São João",
            "ÀÉÎ",
            "Łódź",
            "it’s",
            "10 €",
            "Ζωή",
            "Ã",
            "Zoë ZoÃ«",
        ] {
            assert!(!is_converted_twice(text), "{text}");
        }
    }
}
