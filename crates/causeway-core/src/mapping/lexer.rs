//! The words of an expression, for what is asked of its text before it is ever evaluated. The engine reads it by itself.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'t> {
    Word(&'t str),
    /// What is between the quotes; `None` when it has escapes.
    Text(Option<&'t str>),
    Number(&'t str),
    Sign(&'t str),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Spanned<'t> {
    pub token: Token<'t>,
    pub from: usize,
    pub to: usize,
}

/// The words from `from` on, up to the end, or to the first of `ends` outside of a text. Also returns where it stopped.
pub(super) fn words<'t>(text: &'t str, from: usize, ends: &[&str]) -> (Vec<Spanned<'t>>, usize) {
    let mut found = Vec::new();
    let mut at = from;
    while let Some(rest) = text.get(at..) {
        let Some(first) = rest.chars().next() else {
            break;
        };
        if ends.iter().any(|end| rest.starts_with(end)) {
            break;
        }
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let after_dot = matches!(
            found.last(),
            Some(Spanned {
                token: Token::Sign("."),
                ..
            })
        );
        let (token, length) = token(rest, first, after_dot);
        found.push(Spanned {
            token,
            from: at,
            to: at + length,
        });
        at += length;
    }
    (found, at.min(text.len()))
}

fn token(rest: &str, first: char, after_dot: bool) -> (Token<'_>, usize) {
    let length = |good: &dyn Fn(char) -> bool| rest.find(|c| !good(c)).unwrap_or(rest.len());
    let cut = |length: usize| rest.get(..length).unwrap_or(rest);
    if first.is_ascii_alphabetic() || first == '_' {
        let length = length(&|c| c.is_ascii_alphanumeric() || c == '_');
        return (Token::Word(cut(length)), length);
    }
    if first.is_ascii_digit() {
        // Behind a dot it is the place in a list, and the next dot starts another step.
        let length = length(&|c| c.is_ascii_alphanumeric() || c == '_' || (c == '.' && !after_dot));
        return (Token::Number(cut(length)), length);
    }
    if first == '"' || first == '\'' {
        let mut escaped = false;
        let mut has_escapes = false;
        for (at, c) in rest.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => (escaped, has_escapes) = (true, true),
                _ if c == first => {
                    let inside = rest.get(1..at).filter(|_| !has_escapes);
                    return (Token::Text(inside), at + 1);
                }
                _ => {}
            }
        }
        return (Token::Text(None), rest.len());
    }
    let pairs = ["**", "//", "==", "!=", "<=", ">="];
    let length = pairs
        .iter()
        .find(|pair| rest.starts_with(**pair))
        .map_or(first.len_utf8(), |pair| pair.len());
    (Token::Sign(cut(length)), length)
}
