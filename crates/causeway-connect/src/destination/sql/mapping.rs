//! What the statements have to know of where a column's value comes from.

use causeway_core::mapping::{Scope, Term};
use serde_json::Value;

/// The value for a column, or the reason why there is none.
pub(super) fn value(column: &str, term: &Term, scope: &Scope) -> Result<Value, String> {
    term.eval(scope).map_err(|mut error| {
        error.field = Some(match error.field {
            Some(inner) => format!("{column}.{inner}"),
            None => column.to_owned(),
        });
        error.to_string()
    })
}

/// Whether an existing row keeps its value when the record has none. Consent is told in full each time: a reason
/// for suppression that is gone must not stay in the row.
pub(super) fn keeps_when_missing(term: &Term) -> bool {
    let is_consent = |root: &String| root == "consent";
    !matches!(term, Term::Fixed(_))
        && !term
            .names()
            .iter()
            .any(|path| path.steps.first().is_some_and(is_consent))
}

/// The path that a column's value is, as it is written; empty when it is more than that.
pub(super) fn path(term: &Term) -> String {
    term.as_path().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(text: &str) -> Term {
        Term::read(&text.into()).unwrap()
    }

    #[test]
    fn a_row_keeps_what_the_record_lacks_but_never_an_old_consent() {
        for (text, keeps) in [
            ("contact.phone", true),
            ("contact.phone | upper", true),
            ("{{ contact.phone }}", true),
            ("consent.email.since", false),
            ("consent.email.state | upper", false),
            ("=text", false),
        ] {
            assert_eq!(keeps_when_missing(&term(text)), keeps, "{text}");
        }
    }

    #[test]
    fn only_a_bare_path_tells_the_type_of_its_column() {
        for (text, expected) in [
            ("contact.birthDate", "contact.birthDate"),
            (" at ", "at"),
            ("at | date", ""),
            ("=at", ""),
        ] {
            assert_eq!(path(&term(text)), expected, "{text}");
        }
    }
}
