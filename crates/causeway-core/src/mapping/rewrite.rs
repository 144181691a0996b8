//! Rewrites expressions for the engine. The engine orders values of different kinds (`"5" > 100` is true),
//! and makes an empty list of a part of none. So comparisons by order, and parts, become calls of
//! [`super::order`].

use super::{
    MappingError,
    lexer::{Spanned, Token},
    order::{IN_ORDER, PART},
};

/// The text for the engine, and a map of its positions to those in the configuration's text.
#[derive(Debug)]
pub(super) struct Rewritten {
    pub text: String,
    edits: Vec<Edit>,
}

#[derive(Debug)]
struct Edit {
    /// The byte in the original text.
    at: usize,
    removes: usize,
    puts: String,
    sort: Sort,
}

/// The order of several edits at one position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sort {
    Close,
    /// An outer call opens before an inner one, but is found after it.
    Open(std::cmp::Reverse<usize>),
    Replace,
}

/// Returns `None` if the engine can be given the text as it is. `parts` are the expressions in it, without
/// the brackets of a template. The engine must have accepted them already.
pub(super) fn rewrite(text: &str, parts: &[Vec<Spanned<'_>>]) -> Result<Option<Rewritten>, MappingError> {
    let mut edits = Vec::new();
    for words in parts {
        Reader::new(text, words, &mut edits).read()?;
    }
    if edits.is_empty() {
        return Ok(None);
    }
    edits.sort_by_key(|edit| (edit.at, edit.sort));
    let mut out = String::with_capacity(text.len() + edits.len() * 8);
    let mut from = 0;
    for edit in &edits {
        out.push_str(text.get(from..edit.at).unwrap_or_default());
        out.push_str(&edit.puts);
        from = edit.at + edit.removes;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    Ok(Some(Rewritten { text: out, edits }))
}

impl Rewritten {
    /// The byte in the original text.
    pub fn original(&self, offset: usize) -> usize {
        let (mut new, mut old) = (0, 0);
        for edit in &self.edits {
            let kept = edit.at.saturating_sub(old);
            if offset < new + kept {
                break;
            }
            new += kept;
            old = edit.at;
            if offset < new + edit.puts.len() {
                return old;
            }
            new += edit.puts.len();
            old += edit.removes;
        }
        old + offset.saturating_sub(new)
    }
}

/// Operands with comparisons between them: `a`, `a < b`, `a < b <= c`.
#[derive(Default)]
struct Chain<'t> {
    start: Option<usize>,
    end: usize,
    /// Start, end and text of each comparison sign.
    signs: Vec<(usize, usize, &'t str)>,
}

/// The content of a bracket, or the text outside of all brackets.
#[derive(Default)]
struct Frame<'t> {
    chain: Chain<'t>,
    /// The start of the value that `.name`, `[…]` and `(…)` may follow.
    value: usize,
    /// The position of the bracket, if it takes a part or a member of the value before it.
    subscript: Option<usize>,
    /// The position of a part's colon, and whether something precedes it.
    colon: Option<(usize, bool)>,
}

struct Reader<'a, 't> {
    text: &'a str,
    words: &'a [Spanned<'t>],
    edits: &'a mut Vec<Edit>,
    frames: Vec<Frame<'t>>,
    here: Frame<'t>,
}

impl<'a, 't> Reader<'a, 't> {
    fn new(text: &'a str, words: &'a [Spanned<'t>], edits: &'a mut Vec<Edit>) -> Self {
        Self {
            text,
            words,
            edits,
            frames: Vec::new(),
            here: Frame::default(),
        }
    }

    fn token(&self, index: Option<usize>) -> Option<Token<'t>> {
        self.words.get(index?).map(|word| word.token)
    }

    fn read(mut self) -> Result<(), MappingError> {
        let mut index = self.skip_statement();
        while let Some(word) = self.words.get(index).copied() {
            index += self.step(index, word)?;
        }
        self.end_chain()
    }

    /// The words of a statement, including loop variables. They can only come first, since `if` never begins
    /// an expression.
    fn skip_statement(&self) -> usize {
        match self.token(Some(0)) {
            Some(Token::Word("for")) => {
                let within = self.words.iter().position(|word| word.token == Token::Word("in"));
                within.map_or(self.words.len(), |at| at + 1)
            }
            Some(Token::Word("if" | "elif" | "else" | "endif" | "endfor" | "raw")) => 1,
            _ => 0,
        }
    }

    /// Handles one word, or two. Returns how many.
    fn step(&mut self, index: usize, word: Spanned<'t>) -> Result<usize, MappingError> {
        let next = self.token(Some(index + 1));
        match word.token {
            Token::Word(_) if self.is_name(index) => self.go_on(word),
            Token::Word("not") if next == Some(Token::Word("in")) => {
                self.here.chain.signs.push((word.from, word.to, "not in"));
                return Ok(2);
            }
            Token::Word("and" | "or" | "if" | "else" | "not") | Token::Sign("," | "=") => self.end_chain()?,
            // The test belongs to the value before `is`.
            Token::Word("is") => {
                self.go_on(word);
                if next == Some(Token::Word("not")) {
                    return Ok(2);
                }
            }
            Token::Word("in") => self.here.chain.signs.push((word.from, word.to, "in")),
            Token::Sign(sign @ ("<" | "<=" | ">" | ">=" | "==" | "!=")) => {
                self.here.chain.signs.push((word.from, word.to, sign));
            }
            Token::Sign("(" | "[" | "{") => self.open(index, word),
            Token::Sign(")" | "]" | "}") => self.close(word)?,
            Token::Sign(":") => {
                let is_filled = self.here.chain.start.is_some();
                self.here.colon.get_or_insert((word.from, is_filled));
                self.end_chain()?;
            }
            // A list or an object that is unpacked into arguments.
            Token::Sign("*" | "**") if self.here.chain.start.is_none() => {}
            Token::Sign(_) => self.go_on(word),
            Token::Word(_) | Token::Text(_) | Token::Number(_) => {
                let before = self.token(index.checked_sub(1));
                // Adjacent texts are one text.
                if !matches!((before, word.token), (Some(Token::Text(_)), Token::Text(_)))
                    && before != Some(Token::Sign("."))
                {
                    self.here.value = word.from;
                }
                self.go_on(word);
            }
        }
        Ok(1)
    }

    fn go_on(&mut self, word: Spanned<'t>) {
        self.here.chain.start.get_or_insert(word.from);
        self.here.chain.end = word.to;
    }

    /// Whether the word is the name of a member, a filter or a test, even if it is a keyword.
    fn is_name(&self, index: usize) -> bool {
        let before = |n: usize| self.token(index.checked_sub(n));
        matches!(before(1), Some(Token::Sign("." | "|"))) || self.is_test(index)
    }

    fn is_test(&self, index: usize) -> bool {
        let before = |n: usize| self.token(index.checked_sub(n));
        let is = Some(Token::Word("is"));
        let named = |n: usize| before(n) == is && !self.is_member(index - n);
        let word = self.token(Some(index));
        word != Some(Token::Word("not")) && named(1)
            || before(1) == Some(Token::Word("not")) && before(2) == is && named(2)
    }

    fn is_member(&self, index: usize) -> bool {
        self.token(index.checked_sub(1)) == Some(Token::Sign("."))
    }

    fn open(&mut self, index: usize, word: Spanned<'t>) {
        let before = index.checked_sub(1);
        let follows_value = match self.token(before) {
            Some(Token::Text(_) | Token::Number(_) | Token::Sign(")" | "]" | "}")) => true,
            // After a test's name comes its argument, and after a filter's name come its arguments.
            Some(Token::Word(_)) if before.is_some_and(|before| self.is_test(before)) => false,
            Some(Token::Word("and" | "or" | "not" | "in" | "is" | "if" | "else" | "elif")) => {
                before.is_some_and(|before| self.is_member(before))
            }
            Some(Token::Word(_)) => before != Some(0) || self.skip_statement() == 0,
            Some(Token::Sign(_)) | None => false,
        };
        if !follows_value {
            self.here.value = word.from;
        }
        self.go_on(word);
        let inner = Frame {
            subscript: (follows_value && word.token == Token::Sign("[")).then_some(word.from),
            ..Frame::default()
        };
        self.frames.push(std::mem::replace(&mut self.here, inner));
    }

    fn close(&mut self, word: Spanned<'t>) -> Result<(), MappingError> {
        let is_filled = self.here.chain.start.is_some();
        self.end_chain()?;
        let Some(outer) = self.frames.pop() else {
            return Ok(());
        };
        let inner = std::mem::replace(&mut self.here, outer);
        if let (Some(bracket), Some((colon, is_started))) = (inner.subscript, inner.colon) {
            let none = |is_there: bool| if is_there { "," } else { ",none" };
            self.insert(self.here.value, format!("{PART}("));
            self.replace(bracket, bracket + 1, none(is_started).to_owned());
            self.replace(colon, colon + 1, none(is_filled).to_owned());
            self.replace(word.from, word.to, ")".to_owned());
        }
        self.go_on(word);
        Ok(())
    }

    /// Rewrites the comparisons before this position as a call, if one of them is by order.
    fn end_chain(&mut self) -> Result<(), MappingError> {
        let chain = std::mem::take(&mut self.here.chain);
        let is_order = |sign: &str| sign.starts_with(['<', '>']);
        let Some(start) = chain
            .start
            .filter(|_| chain.signs.iter().any(|(_, _, sign)| is_order(sign)))
        else {
            return Ok(());
        };
        for (from, to, sign) in &chain.signs {
            if sign.ends_with("in") {
                return Err(
                    MappingError::new(format!("`{sign}` cannot be chained with `<` or `>`"))
                        .hint("join the two with `and`")
                        .at(self.text, *from),
                );
            }
            self.replace(*from, *to, format!(",'{sign}',"));
        }
        self.insert(start, format!("{IN_ORDER}("));
        self.edits.push(Edit {
            at: chain.end,
            removes: 0,
            puts: ")".to_owned(),
            sort: Sort::Close,
        });
        Ok(())
    }

    fn insert(&mut self, at: usize, puts: String) {
        let sort = Sort::Open(std::cmp::Reverse(self.edits.len()));
        self.edits.push(Edit {
            at,
            removes: 0,
            puts,
            sort,
        });
    }

    fn replace(&mut self, from: usize, to: usize, puts: String) {
        self.edits.push(Edit {
            at: from,
            removes: to - from,
            puts,
            sort: Sort::Replace,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::{check::parts, lexer::words};

    fn rewritten(text: &str) -> Option<Rewritten> {
        let parts = if text.contains("{{") || text.contains("{%") {
            parts(text).unwrap()
        } else {
            vec![words(text, 0, &[]).0]
        };
        rewrite(text, &parts).unwrap()
    }

    #[test]
    fn comparisons_by_order_and_parts_become_calls() {
        for (text, expected) in [
            ("a < b", "_in_order(a ,'<', b)"),
            (
                "a.in|int>=-1 and not c<d",
                "_in_order(a.in|int,'>=',-1) and not _in_order(c,'<',d)",
            ),
            ("1 <= a + 2 * b < 3", "_in_order(1 ,'<=', a + 2 * b ,'<', 3)"),
            ("a == b < c", "_in_order(a ,'==', b ,'<', c)"),
            (
                "x if a < b else y > z",
                "x if _in_order(a ,'<', b) else _in_order(y ,'>', z)",
            ),
            (
                "f(a < b, k=c > d)",
                "f(_in_order(a ,'<', b), k=_in_order(c ,'>', d))",
            ),
            ("[a < b][0]", "[_in_order(a ,'<', b)][0]"),
            ("{a < b: c < d}", "{_in_order(a ,'<', b): _in_order(c ,'<', d)}"),
            (
                "a is not defined and b is in [1] < 2",
                "a is not defined and _in_order(b is in [1] ,'<', 2)",
            ),
            ("(a < b) < (c)", "_in_order((_in_order(a ,'<', b)) ,'<', (c))"),
            ("f(*a < b)", "f(*_in_order(a ,'<', b))"),
            ("a[:2]", "_part(a,none,2)"),
            ("a.b['c'][1:]", "_part(a.b['c'],1,none)"),
            (
                "-a[:] + f(x)[b:c < d]",
                "-_part(a,none,none) + _part(f(x),b,_in_order(c ,'<', d))",
            ),
            (
                "a[:2][1:] < b",
                "_in_order(_part(_part(a,none,2),1,none) ,'<', b)",
            ),
            ("(a or b)[:1]", "_part((a or b),none,1)"),
            ("'a' 'b'[:1]", "_part('a' 'b',none,1)"),
            ("a | f({'x': b[:1]})", "a | f({'x': _part(b,none,1)})"),
            ("x is divisibleby 3 and y is in [1]", ""),
            ("a == b and 'x' in [c] and d not in e", ""),
            ("{'a': 1}[b]", ""),
            ("'a < b[:2]'", ""),
            (
                "{% if a<b %}{{ c[:1] }}{% elif not d > 1 %}{% endif %}a < b[:1]",
                "{% if _in_order(a,'<',b) %}{{ _part(c,none,1) }}{% elif not _in_order(d ,'>', 1) %}{% endif %}a < b[:1]",
            ),
            (
                "{% for x, y in z[:2] if x < y %}{% endfor %}",
                "{% for x, y in _part(z,none,2) if _in_order(x ,'<', y) %}{% endfor %}",
            ),
            (
                "{% for x in (a) if (x) < 2 %}",
                "{% for x in (a) if _in_order((x) ,'<', 2) %}",
            ),
            ("{% if (a) < [b] %}", "{% if _in_order((a) ,'<', [b]) %}"),
        ] {
            let new = rewritten(text).map_or(String::new(), |new| new.text);
            assert_eq!(new, expected, "{text}");
        }
    }

    #[test]
    fn each_position_maps_back_to_the_original() {
        let text = "ab[:2] < cd and ef > 1";
        let new = rewritten(text).unwrap();
        for name in ["ab", "cd", "ef", " and"] {
            let (from, to) = (new.text.find(name).unwrap(), text.find(name).unwrap());
            assert_eq!(new.original(from), to, "{name}");
            assert_eq!(new.original(from + name.len()), to + name.len(), "{name}");
        }
        assert_eq!((new.original(0), new.original(new.text.len())), (0, text.len()));
    }

    #[test]
    fn containment_and_order_cannot_be_chained() {
        let words = words("a in b < c", 0, &[]).0;
        let error = rewrite("a in b < c", &[words]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`in` cannot be chained with `<` or `>`, at line 1, column 3 (join the two with `and`)"
        );
    }
}
