//! Errors of mappings: what is wrong, where, and how to fix it. They never contain a value of the contact,
//! because the texts are logged and shown.

use std::{fmt, ops::Range};

use super::rewrite::Rewritten;

/// An expression, template or mapping that cannot be parsed, or cannot be evaluated for a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct MappingError {
    /// The destination's name of the field that the value was for.
    pub field: Option<String>,
    /// Line and column in the text, from 1.
    pub place: Option<(usize, usize)>,
    pub what: String,
    pub hint: Option<String>,
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(field) = &self.field {
            write!(f, "`{field}`: ")?;
        }
        f.write_str(&self.what)?;
        if let Some((line, column)) = self.place {
            write!(f, ", at line {line}, column {column}")?;
        }
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl MappingError {
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            field: None,
            place: None,
            what: what.into(),
            hint: None,
        }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the position, from a byte of `text`.
    #[must_use]
    pub(super) fn at(mut self, text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        self.place = Some((line, column));
        self
    }

    #[must_use]
    pub(super) fn of(mut self, field: &str) -> Self {
        self.field = Some(match self.field {
            Some(inner) => format!("{field}.{inner}"),
            None => field.to_owned(),
        });
        self
    }
}

/// The error for a missing value whose name is unknown.
pub(super) fn not_there(what: &str) -> MappingError {
    MappingError::new(format!("`{what}` is missing")).hint("`| default(none)` gives null if it is missing")
}

/// The error of one of our own filters. The engine carries it as the source of its error.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what}")]
pub(super) struct FilterError {
    pub what: String,
    pub hint: Option<String>,
}

/// Makes the error of a filter. `what` must not quote the value.
pub(super) fn refuse(what: impl Into<String>, hint: Option<String>) -> minijinja::Error {
    let error = FilterError {
        what: what.into(),
        hint,
    };
    minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, "").with_source(error)
}

/// Translates the engine's error, without the values that its details may quote. `missing` finds the missing
/// name in this part of the text.
pub(super) fn translate(
    error: &minijinja::Error,
    text: &str,
    missing: impl FnOnce(Range<usize>) -> Option<MappingError>,
) -> MappingError {
    translate_in(None, error, text, missing)
}

/// As [`translate`], for an engine that was given a rewritten text.
pub(super) fn translate_in(
    given: Option<&Rewritten>,
    error: &minijinja::Error,
    text: &str,
    missing: impl FnOnce(Range<usize>) -> Option<MappingError>,
) -> MappingError {
    use minijinja::ErrorKind as Kind;
    let original = |range: Range<usize>| match given {
        Some(given) => given.original(range.start)..given.original(range.end),
        None => range,
    };
    let range = error
        .range()
        .map(original)
        .filter(|range| text.get(range.clone()).is_some())
        .unwrap_or(0..0);
    // Some errors have no position.
    let part = text
        .get(range.clone())
        .filter(|part| !part.trim().is_empty())
        .unwrap_or(text);
    let part = super::limit::shown(part);
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(error) = inner.downcast_ref::<FilterError>() {
            let mut out = MappingError::new(error.what.clone()).at(text, range.start);
            out.hint.clone_from(&error.hint);
            return out;
        }
        source = inner.source();
    }
    let out = match error.kind() {
        Kind::SyntaxError | Kind::BadEscape => {
            let detail = error.detail().unwrap_or("cannot be read");
            MappingError::new(format!("cannot be read: {detail}"))
        }
        Kind::UndefinedError => match missing(range.clone()) {
            Some(error) => return error,
            None => not_there(&part),
        },
        Kind::OutOfFuel => MappingError::new("takes too many steps")
            .hint(format!("one evaluation may take {}", super::limit::FUEL)),
        Kind::WriteFailure => super::limit::too_long(),
        Kind::InvalidOperation
            if error
                .detail()
                .is_some_and(|detail| detail.contains("containment check")) =>
        {
            MappingError::new(format!(
                "`{part}` cannot be computed: the value after `in` is null, or neither text nor list"
            ))
            .hint("`| default('')` after the name gives an empty text instead of null")
        }
        Kind::InvalidOperation => {
            let types = error
                .detail()
                .filter(|detail| detail.starts_with("tried to use ") || detail.starts_with("value of type "));
            MappingError::new(match types {
                Some(detail) => format!("`{part}` cannot be computed: {detail}"),
                None => format!("`{part}` cannot be computed with these values"),
            })
        }
        kind => MappingError::new(format!("`{part}` cannot be computed: {kind}")),
    };
    if error.line().is_some() {
        return out.at(text, range.start);
    }
    out
}
