//! What looks like an accident in a template, for `config check`.

use super::{
    functions::{FUNCTIONS, Function},
    parse::{Code, Piece, parse},
};

/// What stands for something else after a template was copied from a web page: the page read `&param` as `&para` `m`.
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

/// Functions of other languages, and what they are called here.
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

/// What is legal and probably not meant, each in a sentence.
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

/// The same for an address, where copying does more harm.
pub fn lint_url(template: &str) -> Vec<String> {
    let mut found = lint(template);
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
    for piece in parse(template) {
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
                "[#{written}#]: there is no function {word}; {here} is meant?"
            ));
        }
        break;
    }
}

/// The function that somebody meant who wrote `word`.
fn nearest(word: &str) -> Option<&'static str> {
    let word = word.to_uppercase();
    let elsewhere = ELSEWHERE.iter().find(|(name, _)| *name == word);
    elsewhere.map(|(_, here)| *here).or_else(|| {
        let names = FUNCTIONS.iter().map(|(name, _)| *name);
        names.into_iter().find(|name| one_slip_apart(name, &word))
    })
}

/// Whether one letter more, less, other, or two swapped make one of the other.
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
