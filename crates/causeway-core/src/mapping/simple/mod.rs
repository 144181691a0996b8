//! Evaluates simple conditions without the engine: comparisons of names with fixed values and with each
//! other, parts of texts, and some tests, joined by `and`, `or` and `not`.
//!
//! Invariant: the result is exactly the engine's. If it cannot be determined here, the engine is asked. An
//! operand that needs the engine becomes [`Simple::Other`], because most conditions are decided by their
//! first operand.

use std::{borrow::Cow, cmp::Ordering};

use serde_json::Value;

use super::{
    order::characters,
    route::Route,
    scope::{Found, Part, Scope, scalar},
};

mod held;
mod read;

pub(super) use held::Glance;
pub(crate) use held::Held;
use held::HeldValue;
pub(super) use read::is_reserved;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Simple {
    And(Vec<Simple>),
    Or(Vec<Simple>),
    Not(Box<Simple>),
    Truth(Operand),
    Compare(Operand, Sign, Operand),
    /// `path in ['a', 'b']`
    Within(Operand, Vec<Literal>),
    /// `'a' in path`
    Holds(Operand, Operand),
    /// `path is defined`
    Is(Route, Test),
    /// Needs the engine.
    Other,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Literal(Literal),
    Path(Route),
    /// `path[from:to]`
    Slice(Route, Option<i64>, Option<i64>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Sign {
    Equal,
    Less,
    AtMost,
    More,
    AtLeast,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    Defined,
    None,
    StartingWith(String),
    EndingWith(String),
}

/// Why there is no result.
#[derive(Debug, PartialEq)]
pub(super) enum Stop<'c> {
    /// The engine must be asked.
    Ask,
    /// This path leads nowhere, and the engine would report it.
    Lacks(&'c Route),
}

/// A value in a comparison.
enum Seen<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Text(Cow<'a, str>),
    Json(&'a Value),
    Part(Part),
}

impl Simple {
    pub(super) fn is_true<'c>(&'c self, glance: Glance<'_>) -> Result<bool, Stop<'c>> {
        match self {
            Self::And(all) => {
                for one in all {
                    if !one.is_true(glance)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Or(any) => {
                for one in any {
                    if one.is_true(glance)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Not(one) => one.is_true(glance).map(|yes| !yes),
            // Which missing name the engine reports depends on the surrounding expression, so the engine is
            // asked.
            Self::Truth(operand) => match operand.see(glance).map_err(|_| Stop::Ask)? {
                Seen::Null => Ok(false),
                Seen::Bool(yes) => Ok(yes),
                Seen::Int(number) => Ok(number != 0),
                Seen::Text(text) => Ok(!text.is_empty()),
                Seen::Json(_) => Err(Stop::Ask),
                Seen::Part(part) => Ok(glance.scope.is_true(&part)),
            },
            // The most frequent condition, without a detour.
            Self::Compare(Operand::Path(route), Sign::Equal, Operand::Literal(Literal::Text(wanted)))
                if let Some(HeldValue::Text(text)) = glance.held_value(route) =>
            {
                Ok(text == wanted)
            }
            Self::Compare(left, sign, right) => {
                let (left, right) = see_both(glance, left, right)?;
                let answer = match sign {
                    Sign::Equal => left.equals(&right),
                    Sign::Less => left.order(&right).map(Ordering::is_lt),
                    Sign::AtMost => left.order(&right).map(Ordering::is_le),
                    Sign::More => left.order(&right).map(Ordering::is_gt),
                    Sign::AtLeast => left.order(&right).map(Ordering::is_ge),
                };
                answer.ok_or(Stop::Ask)
            }
            Self::Within(operand, literals) => {
                let seen = operand.see(glance)?;
                for literal in literals {
                    if seen.equals(&literal.seen()).ok_or(Stop::Ask)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Holds(item, whole) => {
                let (item, whole) = see_both(glance, item, whole)?;
                whole.holds(glance.scope, &item).ok_or(Stop::Ask)
            }
            Self::Is(route, test) => test.holds(glance, route).ok_or(Stop::Ask),
            Self::Other => Err(Stop::Ask),
        }
    }
}

/// Evaluates both operands. If both names are missing, the engine decides which one it reports.
fn see_both<'a, 'c: 'a>(
    glance: Glance<'a>,
    left: &'c Operand,
    right: &'c Operand,
) -> Result<(Seen<'a>, Seen<'a>), Stop<'c>> {
    match (left.see(glance), right.see(glance)) {
        (Ok(left), Ok(right)) => Ok((left, right)),
        (Err(stop), Ok(_)) | (Ok(_), Err(stop)) => Err(stop),
        (Err(_), Err(_)) => Err(Stop::Ask),
    }
}

impl Operand {
    fn see<'a, 'c: 'a>(&'c self, glance: Glance<'a>) -> Result<Seen<'a>, Stop<'c>> {
        let find = |route: &'c Route| glance.see(route).ok_or(Stop::Lacks(route));
        Ok(match self {
            Self::Literal(literal) => literal.seen(),
            Self::Path(route) => find(route)?,
            // For a single missing name the engine's error does not say which one it is.
            Self::Slice(route, ..) if route.steps.len() < 2 => return Err(Stop::Ask),
            Self::Slice(route, from, to) => match find(route)? {
                Seen::Null => Seen::Null,
                Seen::Text(Cow::Borrowed(text)) => Seen::Text(characters(text, *from, *to).into()),
                Seen::Text(Cow::Owned(text)) => Seen::Text(characters(&text, *from, *to).to_owned().into()),
                _ => return Err(Stop::Ask),
            },
        })
    }
}

impl<'a> From<Found<'a>> for Seen<'a> {
    fn from(found: Found<'a>) -> Self {
        match found {
            Found::Null => Self::Null,
            Found::Bool(yes) => Self::Bool(yes),
            Found::Int(number) => Self::Int(number),
            Found::Text(text) => Self::Text(text.into()),
            Found::Made(text) => Self::Text(text.into()),
            Found::Json(json) => Self::Json(json),
            Found::Part(part) => Self::Part(part),
        }
    }
}

impl Literal {
    fn seen(&self) -> Seen<'_> {
        match self {
            Self::Null => Seen::Null,
            Self::Bool(yes) => Seen::Bool(*yes),
            Self::Int(number) => Seen::Int(*number),
            Self::Text(text) => Seen::Text(text.as_str().into()),
        }
    }
}

impl Seen<'_> {
    /// `None` if the kinds have special rules of comparison.
    fn equals(&self, other: &Self) -> Option<bool> {
        Some(match (self, other) {
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Bool(yes), Self::Int(number)) | (Self::Int(number), Self::Bool(yes)) => {
                *number == i64::from(*yes)
            }
            (Self::Json(_) | Self::Part(_), _) | (_, Self::Json(_) | Self::Part(_)) => return None,
            (Self::Null, Self::Null) => true,
            _ => false,
        })
    }

    /// `None` if the kinds differ, so that there is no order: the engine reports that.
    fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    fn holds(&self, scope: &Scope, item: &Self) -> Option<bool> {
        match (self, item) {
            (Self::Text(whole), Self::Text(text)) => Some(whole.contains(&**text)),
            (Self::Part(Part::Members(prefix)), Self::Text(text)) => Some(scope.has_member(prefix, text)),
            (Self::Json(Value::Array(items)), _) => {
                for one in items {
                    if Self::from(scalar(one)).equals(item)? {
                        return Some(true);
                    }
                }
                Some(false)
            }
            _ => None,
        }
    }
}

impl Test {
    fn holds(&self, glance: Glance<'_>, route: &Route) -> Option<bool> {
        let Some(seen) = glance.see(route) else {
            let (_, parent) = route.steps.split_last()?;
            // If an earlier step is missing, the engine fails.
            let is_last = glance.scope.find(parent.iter().map(String::as_str)).is_some();
            return (is_last && *self == Self::Defined).then_some(false);
        };
        match (self, seen) {
            (Self::Defined, _) => Some(true),
            (Self::None, seen) => Some(matches!(seen, Seen::Null)),
            (Self::StartingWith(start), Seen::Text(text)) => Some(text.starts_with(start)),
            (Self::EndingWith(end), Seen::Text(text)) => Some(text.ends_with(end)),
            _ => None,
        }
    }
}
