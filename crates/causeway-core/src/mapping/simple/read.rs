//! Parses a condition for evaluation without the engine.

use super::{Literal, Operand, Sign, Simple, Test};
use crate::mapping::{
    lexer::{Spanned, Token},
    names::Path,
    route::Route,
};

/// Maximum nesting of brackets.
const DEPTH: usize = 16;
/// The number of digits that always fit into an `i64`.
const DIGITS: usize = 18;

impl Simple {
    /// `None` if the condition needs the engine. `names` are the paths of the text.
    pub(in crate::mapping) fn read(words: &[Spanned<'_>], names: &[Path]) -> Option<Self> {
        let mut reader = Reader {
            words,
            names,
            depth: 0,
        };
        let read = reader.any()?;
        (reader.words.is_empty() && read != Self::Other).then_some(read)
    }
}

struct Reader<'w, 't> {
    words: &'w [Spanned<'t>],
    names: &'w [Path],
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

    /// Skips to the end of this operand, but not beyond an `if`, to which everything before it belongs.
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
        let mut is_not = false;
        while self.take(Token::Word("not")) {
            is_not = !is_not;
        }
        let read = self.one()?;
        Some(if is_not { not(read) } else { read })
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
        let read = self.statement()?;
        self.is_at_end().then_some(read)
    }

    fn statement(&mut self) -> Option<Simple> {
        let left = self.operand()?;
        let sign = match self.peek() {
            Some(Token::Sign(sign @ ("==" | "!=" | "<" | "<=" | ">" | ">="))) => sign,
            Some(Token::Word("in")) => {
                self.next();
                return self.within(left);
            }
            Some(Token::Word("not")) => {
                self.next();
                let within = self.take(Token::Word("in")).then(|| self.within(left))??;
                return Some(not(within));
            }
            Some(Token::Word("is")) => {
                self.next();
                return match left {
                    Operand::Path(route) => self.test(route),
                    _ => None,
                };
            }
            // The truth of a fixed value is left to the engine, because nobody needs it.
            _ if matches!(left, Operand::Literal(_)) => return None,
            _ => return Some(Simple::Truth(left)),
        };
        self.next();
        let right = self.operand()?;
        let compare = |sign| Simple::Compare(left, sign, right);
        Some(match sign {
            "==" => compare(Sign::Equal),
            "!=" => not(compare(Sign::Equal)),
            "<" => compare(Sign::Less),
            "<=" => compare(Sign::AtMost),
            ">" => compare(Sign::More),
            _ => compare(Sign::AtLeast),
        })
    }

    fn within(&mut self, item: Operand) -> Option<Simple> {
        if self.peek() == Some(Token::Sign("[")) {
            return Some(Simple::Within(item, self.literals()?));
        }
        Some(Simple::Holds(item, self.operand()?))
    }

    fn test(&mut self, route: Route) -> Option<Simple> {
        let is_not = self.take(Token::Word("not"));
        let Token::Word(name) = self.next()? else {
            return None;
        };
        let test = match name {
            "defined" => Test::Defined,
            "none" => Test::None,
            "startingwith" => Test::StartingWith(self.argument()?),
            "endingwith" => Test::EndingWith(self.argument()?),
            _ => return None,
        };
        let is = Simple::Is(route, test);
        Some(if is_not { not(is) } else { is })
    }

    /// `('text')`
    fn argument(&mut self) -> Option<String> {
        let open = self.take(Token::Sign("("));
        match (open, self.next()?) {
            (true, Token::Text(Some(text))) if self.take(Token::Sign(")")) => Some(text.to_owned()),
            _ => None,
        }
    }

    fn operand(&mut self) -> Option<Operand> {
        match self.peek()? {
            Token::Word(word) if !is_reserved(word) => {
                let route = self.path()?;
                if self.take(Token::Sign("[")) {
                    return self.slice(route);
                }
                Some(Operand::Path(route))
            }
            _ => Some(Operand::Literal(self.literal()?)),
        }
    }

    /// The part after the bracket of `path[from:to]`.
    fn slice(&mut self, route: Route) -> Option<Operand> {
        let mut bounds = [None; 2];
        let [from, to] = &mut bounds;
        self.place(from)?;
        if !self.take(Token::Sign(":")) {
            return None;
        }
        self.place(to)?;
        self.take(Token::Sign("]"))
            .then(|| Operand::Slice(route, *from, *to))
    }

    /// An optional number.
    fn place(&mut self, place: &mut Option<i64>) -> Option<()> {
        if !matches!(self.peek()?, Token::Sign(":" | "]")) {
            let Literal::Int(number) = self.literal()? else {
                return None;
            };
            *place = Some(number);
        }
        Some(())
    }

    /// Whether the next word cannot belong to what was just read.
    fn is_at_end(&self) -> bool {
        matches!(
            self.peek(),
            None | Some(Token::Word("and" | "or") | Token::Sign(")"))
        )
    }

    fn path(&mut self) -> Option<Route> {
        let from = self.words.first()?.from;
        let Some(Token::Word(root)) = self.next() else {
            return None;
        };
        let mut steps = vec![root.to_owned()];
        loop {
            if self.take(Token::Sign(".")) {
                match self.next()? {
                    Token::Word(word) => steps.push(word.to_owned()),
                    _ => return None,
                }
            } else if let [open, step, close, ..] = self.words
                && open.token == Token::Sign("[")
                && close.token == Token::Sign("]")
            {
                // A number is an index in a list, which only the engine looks up.
                let Token::Text(Some(text)) = step.token else {
                    return None;
                };
                steps.push(text.to_owned());
                self.words = self.words.get(3..)?;
            } else {
                let number = self.names.iter().position(|name| name.from == from);
                return Some(Route::new(steps, from, number));
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
            Token::Number(digits) => Literal::Int(whole(digits)?),
            Token::Sign("-") => match self.next()? {
                Token::Number(digits) => Literal::Int(-whole(digits)?),
                _ => return None,
            },
            Token::Word("true" | "True") => Literal::Bool(true),
            Token::Word("false" | "False") => Literal::Bool(false),
            Token::Word("none" | "None") => Literal::Null,
            _ => return None,
        })
    }
}

fn not(simple: Simple) -> Simple {
    Simple::Not(Box::new(simple))
}

fn whole(digits: &str) -> Option<i64> {
    let is_whole = digits.len() <= DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_whole.then(|| digits.parse().ok()).flatten()
}

pub(in crate::mapping) fn is_reserved(word: &str) -> bool {
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
