//! A supporter, as Engaging Networks shows it.

use causeway_core::clock::Timestamp;
use serde_json::Value;

/// Times below this are seconds, the others milliseconds: the documents have both.
const ARE_SECONDS: i64 = 100_000_000_000;

#[derive(Debug)]
pub(super) struct Supporter {
    pub id: u64,
    /// Gets no mail of the account.
    pub is_suppressed: bool,
    pub address: Option<String>,
    answers: Vec<Given>,
}

/// An answer to a question.
#[derive(Debug)]
struct Given {
    question: String,
    answer: OptIn,
    changed: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OptIn {
    /// Nothing yet, or a confirmation is awaited.
    Open,
    In,
    Out,
    /// An answer that Engaging Networks does not document.
    Unknown,
}

impl Supporter {
    /// `None` if the response does not show a supporter.
    pub fn read(body: &Value, email_field: &str) -> Option<Self> {
        let address = [email_field, "Email Address", "emailAddress"];
        let address = address.iter().find_map(|name| body.get(*name)?.as_str());
        Some(Self {
            id: number(body.get("supporterId")?)?,
            is_suppressed: is_true(body.get("suppressed")),
            address: address.map(str::to_owned),
            answers: body.get("questions").map(given).unwrap_or_default(),
        })
    }

    pub fn has_address(&self, email: &str) -> bool {
        let same = |address: &str| address.trim().to_lowercase() == email.to_lowercase();
        self.address.as_deref().is_none_or(same)
    }

    /// The answer to a question, and when it was given, in milliseconds.
    pub fn answer(&self, question: &str) -> (OptIn, Option<i64>) {
        let given = self
            .answers
            .iter()
            .find(|given| given.question == question.trim());
        given.map_or((OptIn::Open, None), |given| (given.answer, given.changed))
    }
}

/// The documents show a list of answers, and an object with the names of the questions.
fn given(questions: &Value) -> Vec<Given> {
    let one = |name: &str, answer: &Value, changed: Option<i64>| Given {
        question: name.trim().to_owned(),
        answer: opt_in(answer),
        changed,
    };
    match questions {
        Value::Array(list) => list
            .iter()
            .filter_map(|item| {
                let name = item.get("name")?.as_str()?;
                let changed = item.get("modifiedOn").and_then(millis);
                Some(one(name, item.get("response").unwrap_or(&Value::Null), changed))
            })
            .collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, answer)| match answer {
                Value::Object(item) => {
                    let changed = item.get("modifiedOn").and_then(millis);
                    one(name, item.get("response").unwrap_or(&Value::Null), changed)
                }
                answer => one(name, answer, None),
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn opt_in(answer: &Value) -> OptIn {
    let text = match answer {
        Value::Null => return OptIn::Open,
        Value::Bool(true) => return OptIn::In,
        Value::Bool(false) => return OptIn::Out,
        Value::String(text) => text.trim().to_uppercase(),
        other => other.to_string(),
    };
    match &*text {
        "" | "P" => OptIn::Open,
        "Y" | "YES" => OptIn::In,
        // D: declined, by the mail that asks for a confirmation.
        "N" | "NO" | "D" => OptIn::Out,
        _ => OptIn::Unknown,
    }
}

fn is_true(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(is_true)) => *is_true,
        Some(Value::String(text)) => matches!(&*text.trim().to_uppercase(), "TRUE" | "Y" | "1"),
        Some(Value::Number(number)) => number.as_u64() == Some(1),
        _ => false,
    }
}

/// A number, which may be written as a text.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// A time in milliseconds.
pub(super) fn millis(value: &Value) -> Option<i64> {
    let number = value
        .as_i64()
        .or_else(|| value.as_str()?.trim().parse().ok())
        .filter(|number| *number > 0)?;
    Some(if number < ARE_SECONDS {
        number * 1_000
    } else {
        number
    })
}

pub(super) fn time(millis: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(millis).ok()
}
