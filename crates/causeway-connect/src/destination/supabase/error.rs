//! What the API's errors mean. The code decides: five signs are a code of PostgreSQL, `PGRST…` is one of PostgREST. An error
//! without a code comes from something in front of it.

use std::time::Duration;

use causeway_core::{clock::Timestamp, destination::Outcome};
use serde_json::Value;

use crate::http::{Answer, classify, retry_after};

/// What an error means for a request as a whole.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    All(Outcome),
    /// One row is probably the reason. The text is for the delivery that is left alone with it.
    Spoiled(String),
    /// The same for an error that a smaller batch may avoid, and that is temporary.
    TooMuch(String),
    /// A policy of the table refuses a row. If it refuses each row, the policy is wrong.
    Policy(String),
    /// A column that the row has no value for must have one.
    NoValue(String),
    /// Other rows refer to this one.
    Referenced(String),
}

/// How long a database that is read-only for now is left alone.
const READ_ONLY: Duration = Duration::from_mins(5);

pub(super) fn verdict(answer: &Answer, now: Timestamp) -> Verdict {
    let body = answer.json().unwrap_or_default();
    let Some(code) = body
        .get("code")
        .and_then(Value::as_str)
        .filter(|code| is_code(code))
    else {
        return in_front(answer, &body, now);
    };
    let message = body.get("message").and_then(Value::as_str).unwrap_or_default();
    let named = format!("answered {}: {code}", answer.status);
    let after = retry_after(&answer.headers, now).ok().flatten();
    let halt = |what: &str| {
        Verdict::All(Outcome::Halt {
            reason: format!("{named}: {what}"),
        })
    };
    let later = || {
        Verdict::All(Outcome::Retry {
            reason: named.clone(),
            after,
        })
    };
    if let Some(what) = set_up(code, message) {
        return halt(&what);
    }
    match (code, code.get(..2).unwrap_or_default()) {
        // The clocks differ by a few seconds.
        ("PGRST303", _) if message.contains("future") || message.contains("not yet") => later(),
        ("PGRST301" | "PGRST302" | "PGRST303", _) => halt(
            "the key or token is not accepted; make a new secret key, or correct `api_key`, `token` or `user`",
        ),
        ("42501", _) if message.contains("row-level security") => Verdict::Policy(format!(
            "{named}: a policy of the table refuses the row; writing needs policies for INSERT, UPDATE and SELECT, or a \
             secret key"
        )),
        ("23505", _) => Verdict::Spoiled(format!(
            "{named}: another row has this value{}",
            constraint(message, "constraint ")
        )),
        ("23503", _) if message.starts_with("update or delete") => Verdict::Referenced(format!(
            "{named}: rows of another table refer to this one{}",
            constraint(message, "constraint ")
        )),
        ("23503", _) => Verdict::Spoiled(format!(
            "{named}: the row refers to one that does not exist{}",
            constraint(message, "constraint ")
        )),
        ("23502", _) => Verdict::NoValue(format!(
            "{named}: a value is missing{}",
            constraint(message, "column ")
        )),
        ("23514", _) => Verdict::Spoiled(format!(
            "{named}: a value breaks a rule of the table{}",
            constraint(message, "constraint ")
        )),
        ("25006", _) => Verdict::All(Outcome::Busy {
            reason: format!("{named}: the database is read-only for now; look for a full disk"),
            after: Some(READ_ONLY),
        }),
        // The time limit of a statement, and errors of the database itself.
        _ if code == "57014" || code.starts_with("XX") => Verdict::TooMuch(named),
        (_, "08" | "25" | "40" | "53" | "55" | "57" | "58" | "F0" | "HV") => later(),
        // PostgREST's own errors, and those whose status a function of the database chose.
        (_, "PG" | "PT") if answer.status >= 500 => later(),
        _ if answer.status == 429 => Verdict::All(Outcome::Busy { reason: named, after }),
        _ => Verdict::Spoiled(format!("{named}{}", explained(code))),
    }
}

/// What a person must change before any row can be written.
fn set_up(code: &str, message: &str) -> Option<String> {
    let what = match code {
        "42P01" | "PGRST205" => {
            "there is no such table in the exposed schema; correct `table` or `schema`, or expose the schema under \
             Settings > API"
        }
        "42703" | "PGRST204" => {
            let before = if code == "42703" { "column " } else { "find the " };
            let column = constraint(message, before);
            return Some(format!(
                "the table has no such column{column}; add it, or list the columns to write in `columns`"
            ));
        }
        "42P10" => {
            "the table has no unique index on exactly the columns of `key`, so a repeat would make a second row; \
             create one"
        }
        "42501" if !message.contains("row-level security") => {
            "the key has no right to the table; grant SELECT, INSERT, UPDATE and DELETE to its role, or use a secret key"
        }
        "428C9" => "the database makes the value of a mapped column itself; take it out of `columns`",
        "PGRST106" => "the API does not expose this `schema`",
        "PGRST125" | "PGRST126" | "PGRST117" => "check `base_url`: this is not the address of a REST API",
        "PGRST300" => "the server has no JWT secret",
        _ if code.starts_with("42") && code != "42501" => {
            "the database refuses the statement; compare `columns` with the types of the table"
        }
        _ if ["0L", "0P", "28"].iter().any(|class| code.starts_with(class)) => {
            "the database does not accept the role of the key"
        }
        _ => return None,
    };
    Some(what.to_owned())
}

/// A code of PostgreSQL or PostgREST. Anything else may be text of a person.
fn is_code(code: &str) -> bool {
    let is_word = code
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    is_word && (code.len() == 5 || (code.starts_with("PGRST") && code.len() == 8))
}

/// The name of a column or a constraint after `before`. The messages quote no values; the details do.
fn constraint(message: &str, before: &str) -> String {
    let name = || {
        let (_, rest) = message.split_once(before)?;
        match rest.chars().next()? {
            sign @ ('"' | '\'') => rest.get(1..)?.split(sign).next(),
            _ => rest.split(' ').next(),
        }
    };
    let is_name = |name: &&str| {
        let mut bytes = name.bytes();
        name.len() <= 127 && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
    };
    name()
        .filter(is_name)
        .map(|name| format!(" ({name})"))
        .unwrap_or_default()
}

/// What a person needs who reads the code of one row's error.
fn explained(code: &str) -> &'static str {
    match code {
        "22001" => ", a text is too long for its column",
        "22003" => ", a number is out of the range of its column",
        "22007" | "22008" => ", a value is no date or time",
        "22P02" => ", a value has another type than its column",
        "P0001" => ", a function of the database refuses the row",
        "21000" => ", the database takes the row for two",
        _ => "",
    }
}

/// An error of a gateway, a proxy or Supabase itself.
fn in_front(answer: &Answer, body: &Value, now: Timestamp) -> Verdict {
    let outcome = classify(answer.status, &answer.headers, now);
    let halt = |reason: &str| {
        Verdict::All(Outcome::Halt {
            reason: format!("answered {}: {reason}", answer.status),
        })
    };
    match answer.status {
        401 => halt("the key is not accepted: copy a secret key from Settings > API Keys into `api_key`"),
        402 => halt("Supabase restricts the project: look at its usage and its bills"),
        540 => halt("the project is paused: restore it in Supabase's dashboard"),
        404 | 405 | 410 => {
            halt("not as PostgREST does: check `base_url`, which ends in /rest/v1 at Supabase")
        }
        413 | 414 | 431 => Verdict::Spoiled(format!("answered {}: the request is too large", answer.status)),
        // A firewall may dislike a text.
        403 if body.is_null() => Verdict::Policy(format!(
            "answered {} with something other than JSON",
            answer.status
        )),
        _ => match outcome {
            Outcome::Reject { reason } => Verdict::Spoiled(reason),
            other => Verdict::All(other),
        },
    }
}
