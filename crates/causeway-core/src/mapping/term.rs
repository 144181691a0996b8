//! A mapping of the configuration: name at the destination → origin of its value.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    MappingError, Scope,
    expression::{Expression, Template},
    lookup::Tables,
    names::Path,
};
use crate::mapping::omission::{Omissions, Reads};

/// The origin of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Term {
    /// A fixed value: a number, `true`, or a text that was written with a leading `=`.
    Fixed(Value),
    Expression(Expression),
    Template(Template),
    List(Vec<Term>),
    Object(Vec<(String, Term)>),
}

/// Levels of nested lists and objects.
const DEPTH: usize = 16;

impl Term {
    pub fn read(value: &Value) -> Result<Self, MappingError> {
        Self::with(value, &Tables::default(), &[])
    }

    /// A text with `{{` or `{%` is a template, a text that begins with `=` is fixed, and any other text is an
    /// expression. Numbers, booleans, lists and tables stand for themselves; texts inside are read by the
    /// same rule. Refuses names that no record has. `extra` are first words that are known in addition.
    pub fn with(value: &Value, tables: &Tables, extra: &[&str]) -> Result<Self, MappingError> {
        Self::within(value, tables, extra, 0)
    }

    fn within(value: &Value, tables: &Tables, extra: &[&str], depth: usize) -> Result<Self, MappingError> {
        if depth > DEPTH {
            return Err(MappingError::new(format!(
                "nests lists and tables more than {DEPTH} deep"
            )));
        }
        Ok(match value {
            Value::String(text) => return Self::of_text(text, tables, extra),
            Value::Array(items) => Self::List(
                items
                    .iter()
                    .enumerate()
                    .map(|(at, item)| {
                        Self::within(item, tables, extra, depth + 1)
                            .map_err(|error| error.of(&at.to_string()))
                    })
                    .collect::<Result<_, _>>()?,
            ),
            Value::Object(members) => Self::Object(
                members
                    .iter()
                    .map(|(name, value)| {
                        let term =
                            Self::within(value, tables, extra, depth + 1).map_err(|error| error.of(name))?;
                        Ok((name.clone(), term))
                    })
                    .collect::<Result<_, MappingError>>()?,
            ),
            other => Self::Fixed(other.clone()),
        })
    }

    fn of_text(text: &str, tables: &Tables, extra: &[&str]) -> Result<Self, MappingError> {
        if let Some(text) = text.strip_prefix('=') {
            return Ok(Self::Fixed(text.into()));
        }
        let term = if text.contains("{{") || text.contains("{%") {
            Self::Template(Template::read(text, tables)?)
        } else {
            Self::Expression(Expression::read(text, tables)?)
        };
        for path in term.names() {
            path.check(extra).map_err(|error| error.at(text, path.from))?;
        }
        Ok(term)
    }

    pub fn eval(&self, scope: &Scope) -> Result<Value, MappingError> {
        match self {
            Self::Fixed(value) => Ok(value.clone()),
            Self::Expression(expression) => expression.eval(scope),
            Self::Template(template) => template.render(scope).map(Value::from),
            Self::List(items) => items
                .iter()
                .enumerate()
                .map(|(at, item)| item.eval(scope).map_err(|error| error.of(&at.to_string())))
                .collect(),
            Self::Object(members) => members
                .iter()
                .map(|(name, term)| {
                    let value = term.eval(scope).map_err(|error| error.of(name))?;
                    Ok((name.clone(), value))
                })
                .collect(),
        }
    }

    /// As [`Term::eval`], for the field of this name. In a withdrawal, each part is evaluated on its own, and
    /// null replaces those that fail.
    fn eval_into(
        &self,
        field: &str,
        scope: &Scope,
        omissions: &mut Omissions,
    ) -> Result<Value, MappingError> {
        if !omissions.is_withdrawal() {
            return self.eval(scope).map_err(|error| error.of(field));
        }
        match self {
            Self::List(items) => items
                .iter()
                .enumerate()
                .map(|(at, item)| item.eval_into(&format!("{field}.{at}"), scope, omissions))
                .collect(),
            Self::Object(members) => members
                .iter()
                .map(|(name, term)| {
                    let value = term.eval_into(&format!("{field}.{name}"), scope, omissions)?;
                    Ok((name.clone(), value))
                })
                .collect(),
            _ => {
                let value = self.eval(scope).map_err(|error| error.of(field));
                // Null says nothing about the values that it was made from.
                let is_null = matches!(value, Ok(Value::Null));
                let reads = || if is_null { Reads::NOTHING } else { self.reads() };
                let value = omissions.take(reads, value)?;
                Ok(value.unwrap_or_default())
            }
        }
    }

    /// The data that its value depends on.
    pub fn reads(&self) -> Reads {
        let mut reads = Reads::NOTHING;
        self.visit(&mut |path| reads.add(path.reads()));
        reads
    }

    /// Visits every path that it names, with its field.
    fn visit<'a>(&'a self, seen: &mut dyn FnMut(&'a Path)) {
        match self {
            Self::Fixed(_) => {}
            Self::Expression(expression) => expression.names().iter().for_each(seen),
            Self::Template(template) => template.names().iter().for_each(seen),
            Self::List(items) => items.iter().for_each(|item| item.visit(seen)),
            Self::Object(members) => members.iter().for_each(|(_, term)| term.visit(seen)),
        }
    }

    /// Values that people may leave out or type, and on which it fails.
    fn risks(&self) -> Vec<&str> {
        match self {
            Self::Fixed(_) => Vec::new(),
            Self::Expression(expression) => {
                let all = expression.risks().iter().chain(expression.list_doubts());
                all.map(String::as_str).collect()
            }
            Self::Template(template) => {
                let all = template.risks().iter().chain(template.list_doubts());
                all.map(String::as_str).collect()
            }
            Self::List(items) => items.iter().flat_map(Self::risks).collect(),
            Self::Object(members) => members.iter().flat_map(|(_, term)| term.risks()).collect(),
        }
    }

    pub fn names(&self) -> Vec<&Path> {
        let mut names = Vec::new();
        self.visit(&mut |path| names.push(path));
        names
    }

    /// The path, if the whole term is one.
    pub fn as_path(&self) -> Option<&Path> {
        match self {
            Self::Expression(expression) => expression.as_path(),
            _ => None,
        }
    }
}

/// The purposes for which the sent data shows whether the person opted in or out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ConsentShown {
    /// The data contains the change of consent itself, whatever the purpose.
    #[default]
    All,
    Only(BTreeSet<String>),
}

impl ConsentShown {
    pub const NOTHING: Self = Self::Only(BTreeSet::new());

    pub fn of(purpose: &str) -> Self {
        Self::Only(BTreeSet::from([purpose.to_owned()]))
    }

    pub fn has(&self, purpose: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(purposes) => purposes.contains(purpose),
        }
    }

    pub fn add(&mut self, more: Self) {
        match (&mut *self, more) {
            (Self::Only(purposes), Self::Only(more)) => purposes.extend(more),
            _ => *self = Self::All,
        }
    }

    /// Whether it covers every purpose that `other` covers.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Only(_), Self::All) => false,
            (Self::Only(purposes), Self::Only(others)) => others.is_subset(purposes),
        }
    }
}

/// Names and terms, in the order of the configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mapping(Vec<(String, Term)>);

impl Mapping {
    pub fn read<'a>(
        table: impl IntoIterator<Item = (&'a str, &'a Value)>,
        tables: &Tables,
        extra: &[&str],
    ) -> Result<Self, MappingError> {
        let mut terms = Vec::new();
        for (name, value) in table {
            let term = Term::with(value, tables, extra).map_err(|error| error.of(name))?;
            terms.push((name.to_owned(), term));
        }
        Ok(Self(terms))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub fn terms(&self) -> impl Iterator<Item = (&str, &Term)> {
        self.0.iter().map(|(name, term)| (name.as_str(), term))
    }

    /// Returns all values, or an error. In a withdrawal, null replaces each value that fails.
    pub fn apply(
        &self,
        scope: &Scope,
        omissions: &mut Omissions,
    ) -> Result<Vec<(String, Value)>, MappingError> {
        self.0
            .iter()
            .map(|(name, term)| Ok((name.clone(), term.eval_into(name, scope, omissions)?)))
            .collect()
    }

    /// Whether its records must contain the contact's engagements.
    pub fn needs_history(&self) -> bool {
        self.paths().iter().any(|(_, path)| path.needs_history())
    }

    /// The purposes for which its values show whether the person opted in or out, judged by the names that it
    /// reads.
    pub fn consent_shown(&self) -> ConsentShown {
        let mut shown = ConsentShown::NOTHING;
        for (_, path) in self.paths() {
            shown.add(path.reads().consent);
        }
        shown
    }

    /// Warnings about names that are probably misspelt, and about values that people enter and that make
    /// records dead.
    pub fn doubts(&self) -> Vec<String> {
        let paths = self.paths().into_iter();
        let doubts = paths.filter_map(|(name, path)| Some(format!("`{name}`: {}", path.doubt()?)));
        let terms = self.0.iter();
        let risks = terms.flat_map(|(name, term)| {
            let risks = term.risks().into_iter();
            risks.map(move |risk| format!("`{name}`: {risk}"))
        });
        doubts.chain(risks).collect()
    }

    fn paths(&self) -> Vec<(&str, &Path)> {
        let all = self.0.iter();
        all.flat_map(|(name, term)| term.names().into_iter().map(|path| (name.as_str(), path)))
            .collect()
    }
}
