//! The errors of calls and rows, and the limits.

use std::time::Duration;

use causeway_core::destination::Outcome;
use serde_json::Value;

use super::Salesforce;
use crate::http::Answer;

/// How long this destination rests at a time when most of the org's calls of the day are used: what is left is for the
/// org's other programs, and opt-outs still go out.
const SLOW: Duration = Duration::from_mins(5);
pub(super) const DAILY: Duration = Duration::from_hours(1);
const CONCURRENT: Duration = Duration::from_secs(10);

/// An error of a call or of a row.
pub(super) struct Refused {
    pub code: String,
    message: String,
    fields: Vec<String>,
}

impl Refused {
    pub fn read(answer: &Answer) -> Self {
        let body = answer.json().unwrap_or_default();
        let first = body.get(0).unwrap_or(&Value::Null);
        Self::of(first, "errorCode")
    }

    /// The error of a result of a collection.
    pub fn of_row(row: &Value) -> Option<Self> {
        let first = row.get("errors").and_then(|errors| errors.get(0))?;
        Some(Self::of(first, "statusCode"))
    }

    /// The error of a row of a job: `CODE:message:fields --`.
    pub fn of_cell(text: &str) -> Self {
        let (code, rest) = text.split_once(':').unwrap_or((text, ""));
        let (message, fields) = rest.rsplit_once(':').unwrap_or((rest, ""));
        let fields = fields.trim().trim_end_matches("--");
        let fields = fields.split([',', ' ']).filter(|field| !field.is_empty());
        Self {
            code: code.trim().to_owned(),
            message: message.to_owned(),
            fields: fields.map(str::to_owned).collect(),
        }
    }

    fn of(error: &Value, code: &str) -> Self {
        let text = |name: &str| {
            error
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let fields = error
            .get("fields")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        Self {
            code: text(code),
            message: text("message"),
            fields: fields.filter_map(Value::as_str).map(str::to_owned).collect(),
        }
    }

    /// The code and the fields, for a log. The message may quote personal data, except for the name of a column.
    pub fn shown(&self) -> String {
        let column = self.message.split_once("No such column '");
        let column = column.and_then(|(_, rest)| rest.split('\'').next());
        let fields = self.fields.iter().map(String::as_str);
        let names = std::iter::once(self.code.as_str()).chain(fields).chain(column);
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let names: Vec<&str> = names
            .filter(|name| !name.is_empty() && name.len() <= 80 && name.bytes().all(is_name))
            .take(6)
            .collect();
        if names.is_empty() {
            return String::new();
        }
        format!(": {}", names.join(" "))
    }

    /// Another attempt may succeed.
    pub fn is_passing(&self) -> bool {
        let codes = [
            "UNABLE_TO_LOCK_ROW",
            "SERVER_UNAVAILABLE",
            "REQUEST_RUNNING_TOO_LONG",
            "QUERY_TIMEOUT",
            "UNKNOWN_EXCEPTION",
            "ALL_OR_NONE_OPERATION_ROLLED_BACK",
            "PROCESSING_HALTED",
        ];
        codes.contains(&self.code.as_str())
    }

    /// A trigger or flow of the org reached a limit of Salesforce's own, or a lock.
    pub fn is_too_much(&self) -> bool {
        let texts = [
            "UNABLE_TO_LOCK_ROW",
            "Too many SOQL queries",
            "Too many DML",
            "CPU time limit",
        ];
        self.code == "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"
            && texts.iter().any(|text| self.message.contains(text))
    }

    pub fn is_unknown_campaign(&self) -> bool {
        self.message.contains("Foreign key external ID") && self.message.ends_with("in entity Campaign")
    }

    pub fn is_about_key(&self, salesforce: &Salesforce) -> bool {
        let actions = salesforce.settings.actions.as_ref();
        actions.is_some_and(|actions| self.message.contains(&*actions.key))
    }
}

pub(super) fn exceeded(error: &Refused) -> Outcome {
    if error.message.contains("Concurrent") {
        return Outcome::Busy {
            reason: "answered 403: too many calls at the same time".to_owned(),
            after: Some(CONCURRENT),
        };
    }
    Outcome::Busy {
        reason: "answered 403: the org's calls of the day are used up".to_owned(),
        after: Some(DAILY),
    }
}

/// The rest after a response that shows that most calls of the day are used.
pub(super) fn rest(salesforce: &Salesforce, answer: &Answer) -> Option<Duration> {
    let header = answer.headers.get("sforce-limit-info")?.to_str().ok()?;
    let usage = header
        .split(';')
        .find_map(|part| part.trim().strip_prefix("api-usage="))?;
    let (used, all) = usage.split_once('/')?;
    let (used, all): (u64, u64) = (used.parse().ok()?, all.trim().parse().ok()?);
    let most = all.saturating_mul(salesforce.settings.api_usage_percent);
    (all > 0 && used.saturating_mul(100) >= most).then_some(SLOW)
}
