//! The envelope of VBOUT's responses: `{"response": {"header": {"status": "ok"}, "data": …}}`. An error is often in a
//! response whose HTTP status is 200, and a contact that is not there may be an error in `data.contact`.

use std::time::Duration;

use causeway_core::clock::Timestamp;
use serde_json::Value;

use crate::http::{Answer, retry_after};

/// An error of VBOUT.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    code: String,
    /// In small letters. It may have personal data, so it never becomes a reason.
    message: String,
}

impl Refusal {
    fn of(data: &Value) -> Option<Self> {
        let code = match data.get("errorCode")? {
            Value::String(code) => code.trim().to_owned(),
            other => other.to_string(),
        };
        let message = data
            .get("errorMessage")
            .and_then(Value::as_str)
            .unwrap_or_default();
        Some(Self {
            code,
            message: message.to_lowercase(),
        })
    }

    fn has(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.message.contains(word))
    }

    /// The only code that VBOUT publishes, and what may be said about an account whose plan has no API any more.
    pub fn is_about_key(&self) -> bool {
        let words = ["authentication key", "api key", "your plan", "your package"];
        self.code == "1000" || self.has(&words)
    }

    pub fn is_limit(&self) -> bool {
        self.has(&["too many", "rate limit", "rate-limit"])
    }

    pub fn is_about_list(&self) -> bool {
        self.has(&["list"]) && !self.has(&["contact", "email", "already"])
    }

    pub fn is_about_contact(&self) -> bool {
        !self.is_about_key() && !self.is_limit() && !self.is_about_list()
    }

    /// Something is not there. All words are taken that say so, since VBOUT publishes none.
    pub fn is_missing(&self) -> bool {
        let words = [
            "not found",
            "not exist",
            "n't exist",
            "no contact",
            "not available",
            "no such",
        ];
        self.has(&words) && !self.is_about_list() && !self.is_about_key()
    }

    /// The code, if it can be shown.
    pub fn shown(&self) -> String {
        let is_code = !self.code.is_empty()
            && self.code.len() <= 10
            && self.code.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_code {
            format!("error {}", self.code)
        } else {
            "an error".to_owned()
        }
    }
}

/// What a response says. `None` if it is not VBOUT's: a page of something in front of it confirms nothing.
pub(super) fn open(answer: &Answer) -> Option<Result<Value, Refusal>> {
    let body = answer.json().filter(|_| answer.complete)?;
    let response = body.get("response")?;
    let status = response.get("header")?.get("status")?.as_str()?.to_lowercase();
    let data = response.get("data").cloned().unwrap_or_default();
    match &*status {
        "ok" => Some(Ok(data)),
        "error" => {
            let unknown = || Refusal {
                code: String::new(),
                message: String::new(),
            };
            Some(Err(Refusal::of(&data).unwrap_or_else(unknown)))
        }
        _ => None,
    }
}

/// Whether the words of a success say that the contact is not there. VBOUT stores a new contact some seconds after it
/// has confirmed it, and answers a tag of such a contact with the status `ok` and "Your Contact doesn't exist.".
pub(super) fn is_absence(data: &Value) -> bool {
    let words = data.get("item").and_then(Value::as_str).unwrap_or_default();
    let said = Refusal {
        code: String::new(),
        message: words.to_lowercase(),
    };
    said.is_missing()
}

/// What a look-up says about a contact.
#[derive(Debug, PartialEq)]
pub(super) enum Lookup {
    Found(Vec<Value>),
    Missing,
    Refused(Refusal),
}

/// Reads the data of a look-up. `None` if it has no contact, not even an error about one. Both published clients that
/// look at it take any error in the place of the contact for one that is not there.
pub(super) fn lookup(opened: Result<Value, Refusal>) -> Option<Lookup> {
    let data = match opened {
        Ok(data) => data,
        Err(refusal) if refusal.is_missing() => return Some(Lookup::Missing),
        Err(refusal) => return Some(Lookup::Refused(refusal)),
    };
    let contact = data.get("contact")?;
    if let Some(refusal) = Refusal::of(contact) {
        let is_other = refusal.is_about_key() || refusal.is_limit() || refusal.is_about_list();
        return Some(if is_other {
            Lookup::Refused(refusal)
        } else {
            Lookup::Missing
        });
    }
    match contact {
        Value::Array(rows) if rows.is_empty() => Some(Lookup::Missing),
        Value::Array(rows) => Some(Lookup::Found(rows.clone())),
        Value::Object(members) if members.is_empty() => Some(Lookup::Missing),
        Value::Object(_) => Some(Lookup::Found(vec![contact.clone()])),
        _ => None,
    }
}

/// How long VBOUT takes no calls: a header, a member of the body, or else a second, which is the length of its window.
pub(super) fn wait(answer: &Answer, now: Timestamp) -> Duration {
    let asked = retry_after(&answer.headers, now).ok().flatten();
    let header = || {
        answer
            .headers
            .get("x-rate-limit-after")?
            .to_str()
            .ok()?
            .trim()
            .parse()
            .ok()
    };
    let member = || {
        let body = answer.json()?;
        let after = body.get("rate-limit")?.get("after")?;
        after.as_u64().or_else(|| after.as_str()?.trim().parse().ok())
    };
    let seconds = || {
        header()
            .or_else(member)
            .filter(|seconds: &u64| (1..=3_600).contains(seconds))
    };
    asked.unwrap_or_else(|| Duration::from_secs(seconds().unwrap_or(1)))
}
