//! Finds probable mistakes in a template, for `config check`.

use super::{
    functions::{FUNCTIONS, Function},
    parse::{Code, Piece, parse},
};

/// Characters that replace a part of an address when a template was copied from a web page: the page turned
/// `&param` into `&para` `m`.
const PASTED: [(char, &str); 12] = [
    ('¶', "&para"),
    ('§', "&sect"),
    ('©', "&copy"),
    ('®', "&reg"),
    ('¬', "&not"),
    ('¤', "&curren"),
    ('×', "&times"),
    ('÷', "&divide"),
    ('µ', "&micro"),
    ('·', "&middot"),
    ('¢', "&cent"),
    ('°', "&deg"),
];

/// Functions of other languages, and their names here.
const ELSEWHERE: [(&str, &str); 16] = [
    ("CAPITALIZE", "PROPER"),
    ("TITLE", "PROPER"),
    ("UCFIRST", "PROPER"),
    ("UCWORDS", "PROPER"),
    ("UPPERCASE", "UPPER"),
    ("UCASE", "UPPER"),
    ("LOWERCASE", "LOWER"),
    ("LCASE", "LOWER"),
    ("STRIP", "TRIM"),
    ("URLENCODE", "URL"),
    ("ENCODE", "URL"),
    ("HASH", "SHA256"),
    ("SHA", "SHA256"),
    ("LEFT", "/N"),
    ("SUBSTR", "/N-M"),
    ("MID", "/N-M"),
];

/// Describes constructs that are legal but probably not intended, each in a sentence.
pub fn lint(template: &str) -> Vec<String> {
    let mut found = Vec::new();
    for piece in parse(template) {
        match piece {
            Piece::Text(text) => {
                if text.contains("[#") {
                    found.push("a [# without its #] is sent as it is: close it on the same line".to_owned());
                }
                if text.contains("#]") {
                    found.push("a #] without its [# is sent as it is".to_owned());
                }
            }
            Piece::Code(code) => in_code(&code, &mut found),
        }
    }
    found
}

/// As [`lint`], with more checks for an address, where a copying mistake does more harm.
pub fn lint_url(template: &str) -> Vec<String> {
    let pieces = parse(template);
    let mut found = lint(template);
    for name in pieces.iter().filter_map(text).flat_map(other_brackets) {
        found.push(format!(
            "{name} is sent as it is: a shortcode is written [#NAME#]"
        ));
    }
    let lower = template.to_ascii_lowercase();
    if ["%5b%23", "[%23", "%5b#", "%23%5d", "%23]", "#%5d"]
        .iter()
        .any(|encoded| lower.contains(encoded))
    {
        found.push(
            "holds %5B%23 or %23%5D, which is what a browser makes of [# and #]: write each shortcode again, as [#NAME#]"
                .to_owned(),
        );
    }
    if lower.contains("%7b%7b") {
        found.push(
            "holds %7B%7B, which is what a browser makes of {{: an address takes shortcodes, as [#NAME#]"
                .to_owned(),
        );
    }
    if cut_short(&pieces) {
        found.push(
            "holds a # that belongs to no shortcode: an address ends there, and what follows is not sent (a shortcode is \
             written [#NAME#], a # in a value %23)"
                .to_owned(),
        );
    }
    for (accident, meant) in PASTED {
        if template.contains(accident) {
            found.push(format!(
                "holds {accident}, which is what a web page makes of {meant}: write the & of each parameter again"
            ));
        }
    }
    if template.contains("&amp;") {
        found.push("holds &amp;, which is how HTML writes &: write & alone".to_owned());
    }
    for piece in pieces {
        if let Piece::Code(code) = piece
            && code
                .head
                .split_whitespace()
                .rev()
                .skip(1)
                .any(|word| Function::named(word) == Some(Function::Url))
        {
            found.push(format!(
                "[#{}#] encodes its value twice: in an address every value is encoded anyway",
                code.written
            ));
        }
    }
    found
}

fn text(piece: &Piece) -> Option<&str> {
    match piece {
        Piece::Text(text) => Some(text),
        Piece::Code(_) => None,
    }
}

/// Values in other brackets: `[EMAIL]` or `{EMAIL}`. In the name of a parameter, brackets are for lists:
/// `a[b]=`.
fn other_brackets(text: &str) -> Vec<&str> {
    let is_name = |name: &str| {
        name.contains(|c: char| c.is_alphabetic())
            && name
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, ' ' | '_' | '-' | '.' | '+'))
    };
    let mut found = Vec::new();
    for (open, close) in [('[', ']'), ('{', '}')] {
        for (at, _) in text.match_indices(open) {
            let (before, rest) = text.split_at(at);
            if before.ends_with(['=', '/', ','])
                && let Some(end) = rest.find(close)
                && rest.get(1..end).is_some_and(is_name)
            {
                found.extend(rest.get(..=end));
            }
        }
    }
    found
}

/// Whether a `#` ends the address before a part that should be sent.
fn cut_short(pieces: &[Piece]) -> bool {
    let mut ended = false;
    for piece in pieces {
        let Some(text) = text(piece) else {
            if ended {
                return true;
            }
            continue;
        };
        let mut before = ' ';
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            if ended && matches!(letter, '#' | '&' | '=') {
                return true;
            }
            // An incomplete shortcode is reported by another check.
            ended |= letter == '#' && before != '[' && letters.peek() != Some(&']');
            before = letter;
        }
    }
    false
}

fn in_code(code: &Code, found: &mut Vec<String>) {
    let written = &code.written;
    if written.contains(['“', '”', '„', '«', '»']) {
        found.push(format!(
            "[#{written}#] has curly quotes, which belong to the text: write \""
        ));
    }
    let mut words = code.head.split_whitespace().peekable();
    while let Some(word) = words.next() {
        if words.peek().is_none() {
            break;
        }
        if Function::named(word).is_some() {
            continue;
        }
        if let Some(here) = nearest(word) {
            found.push(format!(
                "[#{written}#]: there is no function {word}; did you mean {here}?"
            ));
        }
        break;
    }
}

/// The function that the author of `word` probably meant.
fn nearest(word: &str) -> Option<&'static str> {
    let word = word.to_uppercase();
    let elsewhere = ELSEWHERE.iter().find(|(name, _)| *name == word);
    elsewhere.map(|(_, here)| *here).or_else(|| {
        let names = FUNCTIONS.iter().map(|(name, _)| *name);
        names.into_iter().find(|name| one_slip_apart(name, &word))
    })
}

/// Whether the words differ by one letter that was added, removed, replaced or swapped with its neighbour.
fn one_slip_apart(known: &str, word: &str) -> bool {
    let (known, word): (Vec<char>, Vec<char>) = (known.chars().collect(), word.chars().collect());
    if known.len().abs_diff(word.len()) > 1 || known.len() < 4 || known == word {
        return false;
    }
    let same = known
        .iter()
        .zip(&word)
        .take_while(|(known, word)| known == word)
        .count();
    match (
        known.get(same..).unwrap_or_default(),
        word.get(same..).unwrap_or_default(),
    ) {
        ([], [_]) | ([_], []) => true,
        ([here, next, known @ ..], [first, second, word @ ..])
            if (here, next) == (second, first) && known == word =>
        {
            true
        }
        (known @ [_, shorter @ ..], word @ [_, rest @ ..]) => {
            shorter == rest || shorter == word || known == rest
        }
        _ => false,
    }
}
