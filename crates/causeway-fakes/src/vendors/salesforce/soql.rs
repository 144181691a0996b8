//! The query language, as far as integrations write it.

use std::{cmp::Ordering, iter::Peekable, vec::IntoIter};

use super::errors::ApiError;

#[derive(Debug)]
pub(super) struct Query {
    pub fields: Vec<String>,
    pub from: String,
    pub condition: Option<Condition>,
    /// Fields, and whether the order is descending.
    pub order: Vec<(String, bool)>,
    pub limit: Option<usize>,
}

#[derive(Debug)]
pub(super) enum Condition {
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
    /// Field, values, and whether it is `NOT IN`.
    In(String, Vec<Literal>, bool),
    Is(String, Operator, Literal),
}

#[derive(Debug)]
pub(super) enum Literal {
    Text(String),
    /// A number, a date or a flag.
    Bare(String),
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
    Like,
}

impl Operator {
    pub fn holds(self, order: Option<Ordering>) -> bool {
        match (self, order) {
            (Self::NotEqual, order) => order != Some(Ordering::Equal),
            (_, None) | (Self::Like, _) => false,
            (Self::Equal, Some(order)) => order.is_eq(),
            (Self::Less, Some(order)) => order.is_lt(),
            (Self::AtMost, Some(order)) => order.is_le(),
            (Self::Greater, Some(order)) => order.is_gt(),
            (Self::AtLeast, Some(order)) => order.is_ge(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(String),
}

pub(super) fn malformed(message: impl Into<String>) -> ApiError {
    ApiError::invalid("MALFORMED_QUERY", message)
}

pub(super) fn parse(text: &str) -> Result<Query, ApiError> {
    let mut parser = Parser(tokens(text)?.into_iter().peekable());
    parser.keyword("SELECT")?;
    let fields = parser.names()?;
    parser.keyword("FROM")?;
    let from = parser.name()?;
    let condition = if parser.takes("WHERE") {
        Some(parser.any()?)
    } else {
        None
    };
    let mut order = Vec::new();
    if parser.takes("ORDER") {
        parser.keyword("BY")?;
        loop {
            let name = parser.name()?;
            let descending = parser.takes("DESC");
            parser.takes("ASC");
            order.push((name, descending));
            if !parser.takes(",") {
                break;
            }
        }
    }
    let mut limit = None;
    if parser.takes("LIMIT") {
        let number = parser.name()?;
        limit = Some(
            number
                .parse()
                .map_err(|_| malformed(format!("unexpected token: {number}")))?,
        );
    }
    match parser.0.next() {
        None => Ok(Query {
            fields,
            from,
            condition,
            order,
            limit,
        }),
        Some(token) => Err(malformed(format!("unexpected token: {token:?}"))),
    }
}

struct Parser(Peekable<IntoIter<Token>>);

impl Parser {
    /// Takes a keyword or sign, if it is the next one.
    fn takes(&mut self, what: &str) -> bool {
        let is_it = |token: &Token| match token {
            Token::Word(word) => word.eq_ignore_ascii_case(what),
            Token::Sign(sign) => sign == what,
            Token::Text(_) => false,
        };
        self.0.next_if(is_it).is_some()
    }

    fn keyword(&mut self, what: &str) -> Result<(), ApiError> {
        if self.takes(what) {
            return Ok(());
        }
        Err(malformed(format!("expected {what}, found {:?}", self.0.peek())))
    }

    fn name(&mut self) -> Result<String, ApiError> {
        match self.0.next() {
            Some(Token::Word(word)) => Ok(word),
            other => Err(malformed(format!("unexpected token: {other:?}"))),
        }
    }

    fn names(&mut self) -> Result<Vec<String>, ApiError> {
        let mut names = vec![self.name()?];
        while self.takes(",") {
            names.push(self.name()?);
        }
        Ok(names)
    }

    fn any(&mut self) -> Result<Condition, ApiError> {
        let mut left = self.all()?;
        while self.takes("OR") {
            left = Condition::Or(Box::new(left), Box::new(self.all()?));
        }
        Ok(left)
    }

    fn all(&mut self) -> Result<Condition, ApiError> {
        let mut left = self.one()?;
        while self.takes("AND") {
            left = Condition::And(Box::new(left), Box::new(self.one()?));
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Condition, ApiError> {
        if self.takes("NOT") {
            return Ok(Condition::Not(Box::new(self.one()?)));
        }
        if self.takes("(") {
            let inner = self.any()?;
            self.keyword(")")?;
            return Ok(inner);
        }
        let field = self.name()?;
        let negated = self.takes("NOT");
        if self.takes("IN") {
            self.keyword("(")?;
            let mut values = vec![self.literal()?];
            while self.takes(",") {
                values.push(self.literal()?);
            }
            self.keyword(")")?;
            return Ok(Condition::In(field, values, negated));
        }
        let operators = [
            ("=", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<>", Operator::NotEqual),
            ("<=", Operator::AtMost),
            (">=", Operator::AtLeast),
            ("<", Operator::Less),
            (">", Operator::Greater),
            ("LIKE", Operator::Like),
        ];
        let operator = operators.into_iter().find(|(sign, _)| self.takes(sign));
        let Some((_, operator)) = operator else {
            return Err(malformed(format!("unexpected token: {:?}", self.0.peek())));
        };
        Ok(Condition::Is(field, operator, self.literal()?))
    }

    fn literal(&mut self) -> Result<Literal, ApiError> {
        match self.0.next() {
            Some(Token::Text(text)) => Ok(Literal::Text(text)),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("null") => Ok(Literal::Null),
            Some(Token::Word(word)) => Ok(Literal::Bare(word)),
            other => Err(malformed(format!("unexpected token: {other:?}"))),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, ApiError> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            _ if next.is_whitespace() => {}
            '\'' => tokens.push(Token::Text(quoted(&mut rest)?)),
            '(' | ')' | ',' | '=' => tokens.push(Token::Sign(next.to_string())),
            '<' | '>' | '!' => {
                let second = rest.next_if(|next| matches!(next, '=' | '>'));
                tokens.push(Token::Sign([Some(next), second].into_iter().flatten().collect()));
            }
            _ => {
                let mut word = String::from(next);
                let is_part =
                    |next: &char| next.is_alphanumeric() || matches!(next, '_' | '.' | '-' | '+' | ':');
                while let Some(more) = rest.next_if(is_part) {
                    word.push(more);
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Ok(tokens)
}

/// The rest of a text in quotes.
fn quoted(rest: &mut Peekable<std::str::Chars<'_>>) -> Result<String, ApiError> {
    let mut text = String::new();
    loop {
        match rest.next() {
            Some('\'') => return Ok(text),
            Some('\\') => match rest.next() {
                Some('n' | 'N') => text.push('\n'),
                Some('r' | 'R') => text.push('\r'),
                Some('t' | 'T') => text.push('\t'),
                Some(sign @ ('\'' | '"' | '\\' | '%' | '_')) => text.push(sign),
                other => return Err(malformed(format!("invalid escape: {other:?}"))),
            },
            Some(sign) => text.push(sign),
            None => return Err(malformed("a text has no end")),
        }
    }
}
