//! Conditions that need no engine: comparisons of a name with a fixed value, joined by `and`, `or` and `not`. They give
//! exactly what the engine gives, or else nothing, and then it is asked. What stands beside them and takes more is left out:
//! most conditions are decided by their first part.

use super::{
    lexer::{Spanned, Token},
    scope::{Found, Part, Scope},
};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Simple {
    And(Vec<Simple>),
    Or(Vec<Simple>),
    Not(Box<Simple>),
    Truth(Vec<String>),
    Equal(Vec<String>, Literal),
    /// `path in ['a', 'b']`
    Within(Vec<String>, Vec<Literal>),
    /// `'a' in path`
    Holds(Vec<String>, String),
    /// Takes the engine.
    Other,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
}

/// Brackets within each other.
const DEPTH: usize = 16;

impl Simple {
    /// `None` = it takes more than this to evaluate it.
    pub(super) fn read(words: &[Spanned<'_>]) -> Option<Self> {
        let mut reader = Reader { words, depth: 0 };
        let read = reader.any()?;
        (reader.words.is_empty() && read != Self::Other).then_some(read)
    }

    /// `None` = ask the engine.
    pub(super) fn is_true(&self, scope: &Scope) -> Option<bool> {
        match self {
            Self::And(all) => {
                for one in all {
                    if !one.is_true(scope)? {
                        return Some(false);
                    }
                }
                Some(true)
            }
            Self::Or(any) => {
                for one in any {
                    if one.is_true(scope)? {
                        return Some(true);
                    }
                }
                Some(false)
            }
            Self::Not(one) => one.is_true(scope).map(|yes| !yes),
            Self::Truth(path) => match find(scope, path)? {
                Found::Null => Some(false),
                Found::Bool(yes) => Some(yes),
                Found::Int(number) => Some(number != 0),
                Found::Text(text) => Some(!text.is_empty()),
                Found::Made(text) => Some(!text.is_empty()),
                Found::Json(_) => None,
                Found::Part(part) => Some(scope.is_true(&part)),
            },
            Self::Equal(path, literal) => literal.is(&find(scope, path)?),
            Self::Within(path, literals) => {
                let found = find(scope, path)?;
                for literal in literals {
                    if literal.is(&found)? {
                        return Some(true);
                    }
                }
                Some(false)
            }
            Self::Holds(path, text) => match find(scope, path)? {
                Found::Part(Part::Members(prefix)) => Some(scope.has_member(prefix, text)),
                Found::Text(whole) => Some(whole.contains(text.as_str())),
                Found::Made(whole) => Some(whole.contains(text.as_str())),
                _ => None,
            },
            Self::Other => None,
        }
    }
}

fn find<'a>(scope: &'a Scope, path: &[String]) -> Option<Found<'a>> {
    scope.find(path.iter().map(String::as_str))
}

impl Literal {
    /// Only where both are of the kinds whose comparison has no subtleties.
    fn is(&self, found: &Found<'_>) -> Option<bool> {
        let text = match found {
            Found::Text(text) => Some(*text),
            Found::Made(text) => Some(text.as_str()),
            _ => None,
        };
        Some(match (self, found, text) {
            (Self::Text(wanted), _, Some(text)) => wanted == text,
            (Self::Null, Found::Null, _) => true,
            (Self::Bool(wanted), Found::Bool(yes), _) => wanted == yes,
            (Self::Int(wanted), Found::Int(number), _) => wanted == number,
            (Self::Text(_) | Self::Null, Found::Bool(_) | Found::Int(_), _)
            | (_, Found::Null, _)
            | (_, _, Some(_)) => false,
            _ => return None,
        })
    }
}

struct Reader<'w, 't> {
    words: &'w [Spanned<'t>],
    depth: usize,
}

impl<'t> Reader<'_, 't> {
    fn peek(&self) -> Option<Token<'t>> {
        self.words.first().map(|word| word.token)
    }

    fn next(&mut self) -> Option<Token<'t>> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first.token)
    }

    fn take(&mut self, token: Token<'_>) -> bool {
        let is_next = self.peek() == Some(token);
        if is_next {
            self.next();
        }
        is_next
    }

    fn any(&mut self) -> Option<Simple> {
        let mut read = vec![self.all()?];
        while self.take(Token::Word("or")) {
            read.push(self.all()?);
        }
        if read.len() > 1 {
            return Some(Simple::Or(read));
        }
        read.pop()
    }

    fn all(&mut self) -> Option<Simple> {
        let mut read = vec![self.part()?];
        while self.take(Token::Word("and")) {
            read.push(self.part()?);
        }
        if read.len() > 1 {
            return Some(Simple::And(read));
        }
        read.pop()
    }

    fn part(&mut self) -> Option<Simple> {
        let (words, depth) = (self.words, self.depth);
        self.negated().or_else(|| {
            (self.words, self.depth) = (words, depth);
            self.skip().then_some(Simple::Other)
        })
    }

    /// Goes to the end of this part. Not beyond an `if`, to which all before it belongs.
    fn skip(&mut self) -> bool {
        let mut brackets = 0_usize;
        while let Some(token) = self.peek() {
            match token {
                Token::Sign("(" | "[" | "{") => brackets += 1,
                Token::Sign(")") | Token::Word("and" | "or") if brackets == 0 => return true,
                Token::Sign(")" | "]" | "}") => brackets = brackets.saturating_sub(1),
                Token::Word("if" | "else") if brackets == 0 => return false,
                _ => {}
            }
            self.next();
        }
        true
    }

    fn negated(&mut self) -> Option<Simple> {
        let mut not = false;
        while self.take(Token::Word("not")) {
            not = !not;
        }
        let read = self.one()?;
        Some(if not { Simple::Not(Box::new(read)) } else { read })
    }

    fn one(&mut self) -> Option<Simple> {
        if self.take(Token::Sign("(")) {
            self.depth += 1;
            if self.depth > DEPTH {
                return None;
            }
            let read = self.any()?;
            self.depth -= 1;
            return (self.take(Token::Sign(")")) && self.is_at_end()).then_some(read);
        }
        let read = if let Some(Token::Text(text)) = self.peek() {
            self.next();
            if !self.take(Token::Word("in")) {
                return None;
            }
            Simple::Holds(self.path()?, text?.to_owned())
        } else {
            self.comparison()?
        };
        self.is_at_end().then_some(read)
    }

    fn comparison(&mut self) -> Option<Simple> {
        let path = self.path()?;
        Some(match self.peek() {
            Some(Token::Sign("==")) => {
                self.next();
                Simple::Equal(path, self.literal()?)
            }
            Some(Token::Sign("!=")) => {
                self.next();
                Simple::Not(Box::new(Simple::Equal(path, self.literal()?)))
            }
            Some(Token::Word("in")) => {
                self.next();
                Simple::Within(path, self.literals()?)
            }
            Some(Token::Word("not")) => {
                self.next();
                if !self.take(Token::Word("in")) {
                    return None;
                }
                Simple::Not(Box::new(Simple::Within(path, self.literals()?)))
            }
            _ => Simple::Truth(path),
        })
    }

    /// Whether what follows cannot belong to what was just read.
    fn is_at_end(&self) -> bool {
        matches!(
            self.peek(),
            None | Some(Token::Word("and" | "or") | Token::Sign(")"))
        )
    }

    fn path(&mut self) -> Option<Vec<String>> {
        let Some(Token::Word(root)) = self.next() else {
            return None;
        };
        if is_reserved(root) {
            return None;
        }
        let mut steps = vec![root.to_owned()];
        loop {
            if self.take(Token::Sign(".")) {
                match self.next()? {
                    Token::Word(word) => steps.push(word.to_owned()),
                    _ => return None,
                }
            } else if self.take(Token::Sign("[")) {
                let Some(Token::Text(Some(text))) = self.next() else {
                    return None;
                };
                steps.push(text.to_owned());
                if !self.take(Token::Sign("]")) {
                    return None;
                }
            } else {
                return Some(steps);
            }
        }
    }

    fn literals(&mut self) -> Option<Vec<Literal>> {
        if !self.take(Token::Sign("[")) {
            return None;
        }
        let mut read = Vec::new();
        while !self.take(Token::Sign("]")) {
            if !read.is_empty() && !self.take(Token::Sign(",")) {
                return None;
            }
            read.push(self.literal()?);
        }
        Some(read)
    }

    fn literal(&mut self) -> Option<Literal> {
        Some(match self.next()? {
            Token::Text(text) => Literal::Text(text?.to_owned()),
            Token::Number(digits) if digits.len() <= 18 && digits.bytes().all(|b| b.is_ascii_digit()) => {
                Literal::Int(digits.parse().ok()?)
            }
            Token::Word("true" | "True") => Literal::Bool(true),
            Token::Word("false" | "False") => Literal::Bool(false),
            Token::Word("none" | "None") => Literal::Null,
            _ => return None,
        })
    }
}

pub(super) fn is_reserved(word: &str) -> bool {
    matches!(
        word,
        "true"
            | "True"
            | "false"
            | "False"
            | "none"
            | "None"
            | "and"
            | "or"
            | "not"
            | "in"
            | "is"
            | "if"
            | "else"
    )
}
