//! What a response means: `statuses`, `answers`, `success_path`.

use std::collections::BTreeMap;

use causeway_core::{
    clock::Timestamp,
    destination::{AttemptResult, Outcome},
    path::Path,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{config::Config, plan::to_one_value};
use crate::{
    config::{ConfigError, plain_json},
    http::{Answer, retry_after},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Means {
    /// The receiver has the record.
    Accepted,
    /// The receiver had the record before. It counts as accepted.
    Duplicate,
    /// The receiver has nothing to do.
    Skip,
    /// Try it again later.
    Retry,
    /// The receiver will never accept this record.
    Reject,
    /// A limit is reached: all records wait.
    Busy,
    /// No record will be accepted until a person acts.
    Halt,
}

/// A rule for responses.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AnswerRule {
    /// A status, or a class: `422`, `"4xx"`. Default: every status.
    pub status: Option<StatusText>,
    /// Path of a value in the JSON response.
    pub path: Option<String>,
    /// The value is this, or one of these.
    #[schemars(with = "Option<Value>")]
    pub equals: Option<toml::Value>,
    /// The value, or without `path` the body, contains this text, in any case.
    pub contains: Option<String>,
    pub means: Means,
}

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a status, as 422, or a class, as \"4xx\"")]
pub(super) enum StatusText {
    Number(u16),
    Text(String),
}

/// The configured meanings, read and checked.
pub(super) struct Meanings {
    success: Option<Path>,
    remote_id: Path,
    statuses: Vec<(Statuses, Means)>,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Statuses {
    One(u16),
    /// The first digit.
    Class(u16),
}

struct Rule {
    number: usize,
    status: Option<Statuses>,
    path: Option<Path>,
    equals: Vec<Value>,
    contains: Option<String>,
    means: Means,
}

impl Statuses {
    fn read(key: &str, text: &str) -> Result<Self, ConfigError> {
        let class = text.strip_suffix("xx").and_then(|digit| digit.parse().ok());
        let found = match class {
            Some(class) => (1..=9).contains(&class).then_some(Self::Class(class)),
            None => text
                .parse()
                .ok()
                .filter(|one| (100..=999).contains(one))
                .map(Self::One),
        };
        found.ok_or_else(|| ConfigError::new(key, format!("{text:?} is not a status")).hint("409, or 4xx"))
    }

    fn has(self, status: u16) -> bool {
        match self {
            Self::One(one) => one == status,
            Self::Class(class) => status / 100 == class,
        }
    }
}

impl Meanings {
    pub fn read(config: &Config) -> Result<Self, ConfigError> {
        let success = config.success_path.as_deref();
        let mut statuses = statuses(&config.statuses)?;
        // 409 counts before 4xx.
        statuses.sort_by_key(|(status, _)| *status);
        let rules = config.answers.iter().enumerate();
        Ok(Self {
            success: success
                .map(|text| to_one_value("success_path", text))
                .transpose()?,
            remote_id: to_one_value("remote_id_path", &config.remote_id_path)?,
            statuses,
            rules: rules
                .map(|(index, rule)| Rule::read(index, rule))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Whether the body of a response decides about its meaning.
    pub fn read_bodies(&self) -> bool {
        self.success.is_some()
            || self
                .rules
                .iter()
                .any(|rule| rule.path.is_some() || rule.contains.is_some())
    }

    /// What a response means. `names_person` says whether the address holds data of a person.
    pub fn result(&self, answer: &Answer, names_person: bool, now: Timestamp) -> AttemptResult {
        if let Some(result) = self.by_rule(answer, now, |_| true) {
            return result;
        }
        let content = answer.json();
        let mut result = answer.attempt_result(now);
        match &result.outcome {
            Outcome::Delivered { .. } => {
                result.outcome = self.accepted(answer, content.as_ref());
                result.notes.extend(unread(answer, content.as_ref()));
            }
            // Standard Webhooks: the receiver wants no more requests, about anybody.
            Outcome::Reject { .. } if answer.status == 410 => {
                result.outcome = Outcome::Halt {
                    reason: "answered 410 Gone: the receiver wants no further deliveries".to_owned(),
                };
            }
            // The same address is called for every record, so each would be refused.
            Outcome::Reject { reason } if matches!(answer.status, 404 | 405) && !names_person => {
                result.outcome = Outcome::Halt {
                    reason: format!(
                        "{reason}: check `url` and `method`, which are the same for every record"
                    ),
                };
            }
            _ => {}
        }
        result
    }

    /// What `answers` and `statuses` say about a response, if its meaning counts here.
    pub fn by_rule(
        &self,
        answer: &Answer,
        now: Timestamp,
        counts: impl Fn(Means) -> bool,
    ) -> Option<AttemptResult> {
        let content = answer.json();
        let text = || String::from_utf8_lossy(&answer.body).into_owned();
        let (means, why) = self.rule(answer.status, content.as_ref(), text)?;
        let after = retry_after(&answer.headers, now).ok().flatten();
        let id = content
            .as_ref()
            .and_then(|content| remote_id(self.remote_id.find(content)?));
        counts(means).then(|| {
            let mut result = answer.result_with(means.outcome(&why, id, after));
            result
                .notes
                .extend((means == Means::Duplicate).then(|| HAD_IT.to_owned()));
            result
        })
    }

    /// The rule for a part of a response: the result of one record.
    pub fn of_part(&self, status: u16, part: &Value) -> Option<(Means, String)> {
        let text = || part.as_str().map_or_else(|| part.to_string(), str::to_owned);
        self.rule(status, Some(part), text)
    }

    /// The first rule that fits, or else the meaning of the status; with the reason.
    fn rule(
        &self,
        status: u16,
        content: Option<&Value>,
        text: impl Fn() -> String,
    ) -> Option<(Means, String)> {
        let rule = self.rules.iter().find(|rule| rule.fits(status, content, &text));
        if let Some(rule) = rule {
            let why = format!("answered {status}; rule {} of `answers` decides", rule.number);
            return Some((rule.means, why));
        }
        let (_, means) = self.statuses.iter().find(|(known, _)| known.has(status))?;
        Some((*means, format!("answered {status}, as `statuses` decides")))
    }

    /// The outcome of a 2xx, which some APIs also send for errors.
    fn accepted(&self, answer: &Answer, content: Option<&Value>) -> Outcome {
        let status = answer.status;
        // A 204 has no body by definition, so its status is all that there is.
        if let Some(path) = self.success.as_ref().filter(|_| status != 204) {
            match content {
                // A maintenance page comes with a 200, too.
                None => {
                    return Outcome::Retry {
                        reason: format!("answered {status} without the JSON that `success_path` needs"),
                        after: None,
                    };
                }
                Some(content) if !path.find(content).is_some_and(is_success) => {
                    return Outcome::Reject {
                        reason: format!(
                            "answered {status}, but `{}` in the response is not true",
                            path.written()
                        ),
                    };
                }
                Some(_) => {}
            }
        }
        let remote_id = content.and_then(|content| remote_id(self.remote_id.find(content)?));
        Outcome::Delivered { remote_id }
    }
}

pub(super) const HAD_IT: &str = "the receiver had it already";

impl Means {
    pub fn outcome(
        self,
        why: &str,
        remote_id: Option<String>,
        after: Option<std::time::Duration>,
    ) -> Outcome {
        let reason = why.to_owned();
        match self {
            Self::Accepted | Self::Duplicate => Outcome::Delivered { remote_id },
            Self::Skip => Outcome::Skip { reason },
            Self::Retry => Outcome::Retry { reason, after },
            Self::Reject => Outcome::Reject { reason },
            Self::Busy => Outcome::Busy { reason, after },
            Self::Halt => Outcome::Halt { reason },
        }
    }
}

impl Rule {
    fn read(index: usize, rule: &AnswerRule) -> Result<Self, ConfigError> {
        let key = |name: &str| format!("answers.{index}.{name}");
        if rule.path.is_none() && rule.equals.is_some() {
            return Err(ConfigError::new(&key("equals"), "needs `path`"));
        }
        if rule.status.is_none() && rule.path.is_none() && rule.contains.is_none() {
            return Err(
                ConfigError::new(&key("means"), "would decide about every response")
                    .hint("add `status`, `path` or `contains`"),
            );
        }
        let status = match &rule.status {
            None => None,
            Some(StatusText::Number(number)) => Some(Statuses::read(&key("status"), &number.to_string())?),
            Some(StatusText::Text(text)) => Some(Statuses::read(&key("status"), text)?),
        };
        let path = rule.path.as_deref();
        let equals = match rule.equals.clone().map(plain_json) {
            None => Vec::new(),
            Some(Value::Array(values)) => values,
            Some(value) => vec![value],
        };
        Ok(Self {
            number: index + 1,
            status,
            path: path.map(|text| to_one_value(&key("path"), text)).transpose()?,
            equals,
            contains: rule.contains.as_ref().map(|text| text.to_lowercase()),
            means: rule.means,
        })
    }

    fn fits(&self, status: u16, content: Option<&Value>, text: &impl Fn() -> String) -> bool {
        if self.status.is_some_and(|known| !known.has(status)) {
            return false;
        }
        let holds = |text: &str| {
            let wanted = self.contains.as_ref();
            wanted.is_none_or(|wanted| text.to_lowercase().contains(wanted))
        };
        let Some(path) = &self.path else {
            return self.contains.is_none() || holds(&text());
        };
        let Some(value) = content.and_then(|content| path.find(content)) else {
            return false;
        };
        if self.equals.is_empty() && self.contains.is_none() {
            return is_present(value);
        }
        let equal = self.equals.is_empty() || self.equals.iter().any(|wanted| same(wanted, value));
        equal && value.as_str().map_or_else(|| holds(&value.to_string()), holds)
    }
}

/// `1` is also `"1"`: APIs are not strict about it.
fn same(wanted: &Value, value: &Value) -> bool {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    wanted == value || (!value.is_object() && !value.is_array() && text(wanted) == text(value))
}

fn statuses(table: &BTreeMap<String, Means>) -> Result<Vec<(Statuses, Means)>, ConfigError> {
    let rows = table.iter().map(|(text, means)| {
        Statuses::read(&format!("statuses.{text}"), text).map(|status| (status, *means))
    });
    rows.collect()
}

/// What the trace notes about a body that announces JSON and is none.
fn unread(answer: &Answer, content: Option<&Value>) -> Option<String> {
    let says_json = answer
        .headers
        .get(reqwest::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.contains("json"));
    if answer.body.is_empty() || content.is_some() || !says_json {
        return None;
    }
    Some(if answer.complete {
        "the response says that it is JSON, and is not".to_owned()
    } else {
        "the response was cut off; its status counts".to_owned()
    })
}

/// True for `true`, `1`, `"ok"` and a count above 0. False for `false`, `0`, `""`, `"0"`, `"false"` and an
/// empty list.
pub(super) fn is_success(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !matches!(text.as_str(), "" | "0" | "false" | "no" | "error"),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

/// Whether there is something: an error, say.
pub(super) fn is_present(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty(),
        value => is_success(value),
    }
}

/// An id is a number, or a text of reasonable length.
pub(super) fn remote_id(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty() && text.len() <= 256).then_some(text)
}
