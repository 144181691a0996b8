//! The rows of a response about many receivers. Its documents type them as texts, so each form that is known is read:
//! the whole receiver, `{"id", "status"}`, and a text.

use causeway_core::destination::Outcome;
use serde_json::Value;

use super::receiver::{Receiver, is_about, text};

#[derive(Debug, PartialEq)]
pub(super) enum Row {
    /// The receiver as they are now.
    Shown(Receiver),
    /// It was done, and the row does not show what.
    Done(Option<String>),
    Refused(Outcome),
    /// Nothing is said about this receiver.
    Unknown,
}

/// All rows; a single receiver is one row. `None` if nothing was done, or nothing is said.
pub(super) fn rows(body: &Value) -> Option<Vec<Value>> {
    match body {
        Value::Array(rows) if !rows.is_empty() => Some(rows.clone()),
        Value::Object(_) if body.get("email").is_some() || body.get("status").is_some() => {
            Some(vec![body.clone()])
        }
        _ => None,
    }
}

/// The row about the receiver at this place of the call, which was about `of` receivers.
pub(super) fn read(rows: &[Value], place: usize, of: usize, email: &str) -> Row {
    let email = email.to_lowercase();
    let names_them =
        |row: &&Value| is_about(row, &email) || row.as_str().is_some_and(|row| names(row, &email));
    let in_place = || {
        let row = rows.get(place).filter(|_| rows.len() == of)?;
        Some(row).filter(|row| row.get("email").is_none())
    };
    match rows.iter().find(names_them).or_else(in_place) {
        Some(Value::String(words)) => by_words(&words.to_lowercase().replace(&email, ""), None),
        Some(row @ Value::Object(_)) => {
            let id = row.get("id").and_then(text);
            let status = row.get("status").and_then(Value::as_str);
            if row.get("error").is_some() {
                return by_words(&row.to_string().to_lowercase().replace(&email, ""), None);
            }
            match (Receiver::read(row, &email), status) {
                (Some(receiver), _) => Row::Shown(receiver),
                (None, Some(status)) => by_words(&status.to_lowercase(), id),
                (None, None) if id.is_some() => Row::Done(id),
                (None, None) => Row::Unknown,
            }
        }
        _ => Row::Unknown,
    }
}

/// Whether a text has this address in it, and not only one that ends or begins like it.
fn names(text: &str, email: &str) -> bool {
    let is_part = |sign: char| sign.is_alphanumeric() || "!#$%&*+/=?^_{|}~-".contains(sign);
    let text = text.to_lowercase();
    text.match_indices(email).any(|(at, _)| {
        let (before, rest) = text.split_at(at);
        let after = rest.strip_prefix(email).unwrap_or_default();
        let mut after = after.chars();
        let goes_on = match after.next() {
            // A full stop may be the end of the sentence.
            Some('.') => after.next().is_some_and(char::is_alphanumeric),
            Some(sign) => is_part(sign),
            None => false,
        };
        !goes_on && !before.ends_with(|sign: char| is_part(sign) || sign == '.')
    })
}

/// What a text means. It may have the address in it, so it is not quoted.
fn by_words(words: &str, id: Option<String>) -> Row {
    let has = |all: &[&str]| all.iter().any(|word| words.contains(word));
    let refused = |reason: &str| {
        Row::Refused(Outcome::Reject {
            reason: reason.to_owned(),
        })
    };
    if has(&["blacklist", "blocked"]) {
        return Row::Refused(Outcome::Skip {
            reason: "the address is on CleverReach's blacklist".to_owned(),
        });
    }
    if has(&["invalid address", "invalid email"]) {
        return refused("CleverReach does not accept the address");
    }
    if has(&["duplicate"]) {
        return Row::Refused(Outcome::Retry {
            reason: "CleverReach handles another call about this receiver".to_owned(),
            after: None,
        });
    }
    if has(&["error", "fail", "invalid", "refused", "bad request", "not found"]) {
        return refused("CleverReach does not accept the receiver");
    }
    if has(&["success"]) {
        return Row::Done(id);
    }
    Row::Unknown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_form_of_a_row_is_read() {
        let shown = json!({ "id": 7, "email": "Ada@example.org", "activated": 5, "deactivated": 0 });
        let done = |id: Option<&str>| Row::Done(id.map(str::to_owned));
        for (row, expected) in [
            (
                json!({ "id": "123", "status": "update success" }),
                done(Some("123")),
            ),
            (json!({ "id": 123 }), done(Some("123"))),
            (json!("insert success"), done(None)),
            (json!({ "id": "123", "status": "pending" }), Row::Unknown),
            (json!({ "email": "bob@example.org", "id": "1" }), Row::Unknown),
            (json!({ "status": true }), Row::Unknown),
            (json!(false), Row::Unknown),
            (json!(null), Row::Unknown),
        ] {
            assert_eq!(
                read(std::slice::from_ref(&row), 0, 1, "ada@example.org"),
                expected,
                "{row}"
            );
        }
        let row = read(&[shown], 0, 1, "ada@example.org");
        assert!(
            matches!(&row, Row::Shown(receiver) if receiver.id.as_deref() == Some("7")),
            "{row:?}"
        );
    }

    #[test]
    fn a_refusal_is_known_by_its_words_and_not_by_those_of_the_address() {
        for (row, expected) in [
            (
                json!("Bad Request: invalid address 'success@example.org'"),
                "reject",
            ),
            (
                json!("Bad Request: duplicate address 'success@example.org'"),
                "retry",
            ),
            (json!("address is on the blacklist"), "skip"),
            (json!({ "error": { "code": 400, "message": "x" } }), "reject"),
            (json!({ "id": "1", "status": "update failed" }), "reject"),
        ] {
            let Row::Refused(outcome) = read(std::slice::from_ref(&row), 0, 1, "success@example.org") else {
                panic!("{row}")
            };
            assert_eq!(outcome.as_str(), expected, "{row}");
            assert!(!outcome.reason().unwrap().contains('@'), "{outcome:?}");
        }
    }

    #[test]
    fn a_refusal_of_a_longer_address_is_not_about_the_shorter_one() {
        let refused = json!("Bad Request: invalid address 'hedda@example.org'.");
        let shown = json!({ "id": "2", "email": "a@example.org", "active": false, "deactivated": 9 });
        let rows = [refused, shown];
        for email in [
            "a@example.org",
            "da@example.org",
            "hedda@example.or",
            "hedda@example",
        ] {
            assert!(!matches!(read(&rows, 2, 3, email), Row::Refused(_)), "{email}");
        }
        assert!(matches!(read(&rows, 1, 2, "a@example.org"), Row::Shown(_)));
        assert!(matches!(read(&rows, 0, 2, "hedda@example.org"), Row::Refused(_)));
        for (text, is_named) in [
            ("'a.b@example.org' is invalid", false),
            ("b@example.org.uk is invalid", false),
            ("x+b@example.org is invalid", false),
            ("b@example.org. Try again", true),
            ("(b@example.org)", true),
            ("B@Example.org", true),
            ("xb@example.org b@example.org", true),
        ] {
            assert_eq!(names(text, "b@example.org"), is_named, "{text}");
        }
    }

    #[test]
    fn rows_in_another_order_or_number_are_matched_by_their_addresses() {
        let bob = json!({ "id": "2", "email": "bob@example.org", "active": true });
        let ada = json!("Bad Request: invalid address 'ada@example.org'");
        let short = json!({ "id": "3", "status": "update success" });
        let rows = [bob, ada, short];
        assert!(matches!(read(&rows, 0, 3, "ada@example.org"), Row::Refused(_)));
        assert!(matches!(read(&rows, 1, 3, "bob@example.org"), Row::Shown(_)));
        assert_eq!(
            read(&rows, 2, 3, "eve@example.org"),
            Row::Done(Some("3".to_owned()))
        );
        // With a row too few the place says nothing.
        assert_eq!(read(&rows, 2, 4, "eve@example.org"), Row::Unknown);
    }
}
