//! The conditions of a request: `email=eq.ada@example.org`, `and=(email.in.("a","b"))`, `or=(a.is.null,b.not.eq.2)`.

use serde_json::Value;

use super::{
    Call,
    error::Refusal,
    table::{Row, Table, Type},
};

/// Parameters that are no conditions.
const OTHERS: [&str; 6] = ["select", "columns", "on_conflict", "order", "limit", "offset"];

#[derive(Debug)]
pub enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Is(String, String),
    Compare(String, String, Vec<String>),
}

/// The conditions of a request, and how many it has.
pub fn read(call: &Call<'_>) -> Result<Vec<Condition>, Refusal> {
    let mut all = Vec::new();
    for (name, value) in call
        .query
        .iter()
        .filter(|(name, _)| !OTHERS.contains(&name.as_str()))
    {
        let tree = match name.as_str() {
            "and" | "or" | "not.and" | "not.or" => format!("{name}{value}"),
            _ => {
                let column = names(name)?.pop().unwrap_or_default();
                all.push(plain(column, value)?);
                continue;
            }
        };
        let mut parser = Parser { rest: &tree };
        all.push(parser.tree()?);
        if !parser.rest.is_empty() {
            return Err(unreadable(&tree));
        }
    }
    Ok(all)
}

fn unreadable(text: &str) -> Refusal {
    Refusal::postgrest(400, 100, &format!("\"failed to parse filter ({text})\""))
}

/// A condition in a parameter of its own: its value is not quoted.
fn plain(column: String, text: &str) -> Result<Condition, Refusal> {
    let (is_not, text) = match text.strip_prefix("not.") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (operator, value) = text.split_once('.').ok_or_else(|| unreadable(text))?;
    let condition = match operator {
        "in" => {
            let mut parser = Parser { rest: value };
            Condition::Compare(column, "in".to_owned(), parser.list()?)
        }
        _ => operation(column, operator, value.to_owned())?,
    };
    Ok(if is_not {
        Condition::Not(Box::new(condition))
    } else {
        condition
    })
}

fn operation(column: String, operator: &str, value: String) -> Result<Condition, Refusal> {
    match operator {
        "is" => Ok(Condition::Is(column, value)),
        "eq" | "neq" | "gt" | "gte" | "lt" | "lte" | "ilike" | "like" => {
            Ok(Condition::Compare(column, operator.to_owned(), vec![value]))
        }
        _ => Err(unreadable(operator)),
    }
}

/// Names with commas between them; each may be in quotes.
pub fn names(text: &str) -> Result<Vec<String>, Refusal> {
    let mut parser = Parser { rest: text };
    let mut names = vec![parser.name()?];
    while parser.take(",") {
        names.push(parser.name()?);
    }
    if parser.rest.is_empty() {
        Ok(names)
    } else {
        Err(unreadable(text))
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn take(&mut self, start: &str) -> bool {
        let found = self.rest.strip_prefix(start);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn tree(&mut self) -> Result<Condition, Refusal> {
        let is_not = self.rest.starts_with("not.and(") || self.rest.starts_with("not.or(");
        if is_not {
            self.take("not.");
            return Ok(Condition::Not(Box::new(self.tree()?)));
        }
        let is_all = self.take("and(");
        if is_all || self.take("or(") {
            let mut parts = vec![self.tree()?];
            while self.take(",") {
                parts.push(self.tree()?);
            }
            if !self.take(")") {
                return Err(unreadable(self.rest));
            }
            return Ok(if is_all {
                Condition::All(parts)
            } else {
                Condition::Any(parts)
            });
        }
        let column = self.name()?;
        if !self.take(".") {
            return Err(unreadable(self.rest));
        }
        let is_not = self.take("not.");
        let (operator, rest) = self.rest.split_once('.').ok_or_else(|| unreadable(self.rest))?;
        self.rest = rest;
        let condition = if operator == "in" {
            Condition::Compare(column, "in".to_owned(), self.list()?)
        } else {
            let value = self.value()?;
            operation(column, operator, value)?
        };
        Ok(if is_not {
            Condition::Not(Box::new(condition))
        } else {
            condition
        })
    }

    fn list(&mut self) -> Result<Vec<String>, Refusal> {
        if !self.take("(") {
            return Err(unreadable(self.rest));
        }
        let mut values = vec![self.value()?];
        while self.take(",") {
            values.push(self.value()?);
        }
        if self.take(")") {
            Ok(values)
        } else {
            Err(unreadable(self.rest))
        }
    }

    fn name(&mut self) -> Result<String, Refusal> {
        if self.rest.starts_with('"') {
            return self.quoted();
        }
        let is_part = |sign: char| sign.is_alphanumeric() || matches!(sign, '_' | ' ' | '$' | '*');
        let end = self.rest.find(|sign| !is_part(sign)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if name.is_empty() {
            return Err(unreadable(self.rest));
        }
        self.rest = rest;
        Ok(name.to_owned())
    }

    fn value(&mut self) -> Result<String, Refusal> {
        if self.rest.starts_with('"') {
            return self.quoted();
        }
        let end = self.rest.find([',', ')']).unwrap_or(self.rest.len());
        let (value, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(value.to_owned())
    }

    fn quoted(&mut self) -> Result<String, Refusal> {
        let mut value = String::new();
        let mut signs = self.rest.char_indices().skip(1);
        while let Some((at, sign)) = signs.next() {
            match sign {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(value);
                }
                '\\' => value.extend(signs.next().map(|(_, sign)| sign)),
                sign => value.push(sign),
            }
        }
        Err(unreadable(self.rest))
    }
}

impl Condition {
    /// Whether a row fulfils it. A comparison with null is neither true nor false, and so is its negation.
    pub fn holds(&self, table: &Table, row: &Row) -> Result<Option<bool>, Refusal> {
        Ok(match self {
            Self::All(parts) => {
                let parts = parts
                    .iter()
                    .map(|part| part.holds(table, row))
                    .collect::<Result<Vec<_>, _>>()?;
                if parts.contains(&Some(false)) {
                    Some(false)
                } else {
                    parts.iter().all(Option::is_some).then_some(true)
                }
            }
            Self::Any(parts) => {
                let parts = parts
                    .iter()
                    .map(|part| part.holds(table, row))
                    .collect::<Result<Vec<_>, _>>()?;
                if parts.contains(&Some(true)) {
                    Some(true)
                } else {
                    parts.iter().all(Option::is_some).then_some(false)
                }
            }
            Self::Not(inner) => inner.holds(table, row)?.map(|holds| !holds),
            Self::Is(column, what) => {
                let (_, value) = stored(table, row, column)?;
                Some(match what.as_str() {
                    "null" => value.is_null(),
                    "not_null" => !value.is_null(),
                    "true" => value == &Value::Bool(true),
                    "false" => value == &Value::Bool(false),
                    _ => return Err(unreadable(what)),
                })
            }
            Self::Compare(column, operator, values) => {
                let (kind, value) = stored(table, row, column)?;
                let values = values.iter().map(|text| kind.read(&text.as_str().into()));
                let values = values.collect::<Result<Vec<_>, _>>()?;
                (!value.is_null()).then(|| compare(kind, operator, value, &values))
            }
        })
    }
}

fn stored<'a>(table: &Table, row: &'a Row, column: &str) -> Result<(Type, &'a Value), Refusal> {
    let kind = known(table, column)?;
    Ok((kind, row.get(column).unwrap_or(&Value::Null)))
}

/// The type of a column that exists.
pub fn known(table: &Table, column: &str) -> Result<Type, Refusal> {
    let found = table.column(column).map(|column| column.kind);
    found.ok_or_else(|| Refusal::sql("42703", format!("column {}.{column} does not exist", table.name)))
}

fn compare(kind: Type, operator: &str, value: &Value, others: &[Value]) -> bool {
    let value = kind.key(value);
    let others: Vec<Value> = others.iter().map(|other| kind.key(other)).collect();
    let first = &others[0];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let order = match (value.as_i64(), first.as_i64()) {
        (Some(one), Some(other)) => one.cmp(&other),
        _ => text(&value).cmp(&text(first)),
    };
    match operator {
        "eq" => value == *first,
        "neq" => value != *first,
        "in" => others.contains(&value),
        "gt" => order.is_gt(),
        "gte" => order.is_ge(),
        "lt" => order.is_lt(),
        "lte" => order.is_le(),
        "like" => is_like(&text(&value), &text(first)),
        _ => is_like(&text(&value).to_lowercase(), &text(first).to_lowercase()),
    }
}

/// A pattern with `%` or `*` for any signs, and `_` for one.
fn is_like(text: &str, pattern: &str) -> bool {
    let mut signs = pattern.chars();
    match signs.next() {
        None => text.is_empty(),
        Some('%' | '*') => {
            let rest = signs.as_str();
            let mut ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.any(|at| is_like(&text[at..], rest))
        }
        Some(sign) => {
            let mut own = text.chars();
            own.next().is_some_and(|first| sign == '_' || sign == first)
                && is_like(own.as_str(), signs.as_str())
        }
    }
}
