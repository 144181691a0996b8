//! `each`: many records in one request, and the result of each record in the response.

use bytes::Bytes;
use causeway_core::{
    clock::Timestamp,
    destination::{AttemptResult, Outcome},
    form::{EmitError, EmitOptions},
    path::{self, Path},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::{
    answers::{HAD_IT, Meanings, Means, is_present, is_success, remote_id},
    body::{self, Content},
    config::Config,
    plan::to_one_value,
};
use crate::{
    config::{ConfigError, json_members},
    http::{Answer, retry_after},
};

#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct EachConfig {
    /// Where the list of records is in the body: `data.people`, or `.` if the body is the list. Default: `.`.
    pub at: Option<String>,
    /// Further members of the body, the same in every request.
    #[schemars(with = "std::collections::BTreeMap<String, Value>")]
    pub members: toml::Table,
    /// The member of each record for the delivery's key, by which the receiver recognises a duplicate.
    pub key: Option<String>,
    /// The longest body in bytes. Longer ones are divided.
    pub bytes: Option<usize>,
    /// Path of the list of results in the response, one for each record.
    pub results: Option<String>,
    /// Path of a list with results of refused records only. The others are accepted.
    pub errors: Option<String>,
    /// Path in a result: the position of the record, from 0. Default: the results are in the order of the records.
    pub index: Option<String>,
    /// A value that record and result have in common.
    #[serde(rename = "match")]
    pub matched: Option<Match>,
    /// Path in a result: whether the record was accepted.
    pub success: Option<String>,
    /// Path in a result: the error. A record without one was accepted.
    pub error: Option<String>,
    /// Path in a result: its own HTTP status.
    pub status: Option<String>,
    /// Path in a result: the id of the record.
    pub id: Option<String>,
}

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "{ record = \"email\", result = \"address\" }"
)]
pub(super) struct Match {
    /// Path in the record that is sent.
    pub record: String,
    /// Path in a result.
    pub result: String,
}

/// The keys, read and checked.
pub(super) struct Each {
    /// The names that lead to the list; none if the body is the list.
    at: Vec<String>,
    members: Map<String, Value>,
    key: Option<String>,
    pub bytes: usize,
    list: Option<List>,
    place: Place,
    success: Option<Path>,
    error: Option<Path>,
    status: Option<Path>,
    id: Option<Path>,
}

struct List {
    path: Path,
    /// Records without a result are accepted.
    only_errors: bool,
}

enum Place {
    Order,
    Index(Path),
    Match { record: Path, result: Path },
}

/// What a response means for the records of its request.
#[expect(
    clippy::large_enum_variant,
    reason = "one is made for each call, and read at once"
)]
pub(super) enum Reading {
    /// The same for all.
    All(AttemptResult),
    Each(Vec<AttemptResult>),
    /// The receiver refused the batch, probably because of one record: each half is sent alone.
    Split,
}

impl Each {
    pub fn read(each: &EachConfig, config: &Config) -> Result<Self, ConfigError> {
        let error = |key: &str, what: &str| ConfigError::new(&format!("each.{key}"), what);
        let one = |key: &str, text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| to_one_value(&format!("each.{key}"), text))
                .transpose()
        };
        let at = match each.at.as_deref().map(str::trim) {
            None | Some(".") => Vec::new(),
            Some(text) => path::names(text).map_err(|why| error("at", why.text()))?,
        };
        if at.is_empty() && config.content() != Content::Json {
            return Err(error(
                "at",
                "only JSON can be a list: name a member, as at = \"people\"",
            ));
        }
        if at.is_empty() && !each.members.is_empty() {
            return Err(error(
                "members",
                "have no place beside a list: name a member for the list in `at`",
            ));
        }
        let list = match (one("results", &each.results)?, one("errors", &each.errors)?) {
            (Some(_), Some(_)) => return Err(error("errors", "cannot be used with `results`")),
            (Some(path), None) => Some(List {
                path,
                only_errors: false,
            }),
            (None, Some(path)) => Some(List {
                path,
                only_errors: true,
            }),
            (None, None) => None,
        };
        let place = match (one("index", &each.index)?, &each.matched) {
            (Some(_), Some(_)) => return Err(error("match", "cannot be used with `index`")),
            (Some(path), None) => Place::Index(path),
            (None, Some(matched)) => Place::Match {
                record: to_one_value("each.match.record", &matched.record)?,
                result: to_one_value("each.match.result", &matched.result)?,
            },
            (None, None) => Place::Order,
        };
        let read = Self {
            members: json_members(each.members.clone()),
            key: each.key.clone(),
            bytes: each.bytes.unwrap_or(usize::MAX),
            success: one("success", &each.success)?,
            error: one("error", &each.error)?,
            status: one("status", &each.status)?,
            id: one("id", &each.id)?,
            at,
            list,
            place,
        };
        read.check(config)?;
        Ok(read)
    }

    fn check(&self, config: &Config) -> Result<(), ConfigError> {
        let error = |key: &str, what: &str| ConfigError::new(&format!("each.{key}"), what);
        let has_sign = self.success.is_some() || self.error.is_some() || self.status.is_some();
        match &self.list {
            None if has_sign || self.id.is_some() || !matches!(self.place, Place::Order) => {
                return Err(error(
                    "results",
                    "is missing: name the list of results in the response",
                ));
            }
            Some(list) if list.only_errors && matches!(self.place, Place::Order) => {
                return Err(error(
                    "index",
                    "is missing: name what says which record an error is about",
                )
                .hint("`index` for its position, or `match` for a value"));
            }
            Some(list) if !list.only_errors && !has_sign => {
                let by_rule = config.answers.iter().any(|rule| rule.path.is_some());
                if !by_rule {
                    return Err(error(
                        "success",
                        "is missing: nothing says whether a record was accepted",
                    )
                    .hint("name `success`, `error` or `status`"));
                }
            }
            _ => {}
        }
        let mut body = self.members.clone();
        put(&mut body, &self.at, Value::Null)
            .ok_or_else(|| error("members", "have another value where `at` puts the list"))
    }

    /// A record, with the delivery's key in it.
    pub fn record(&self, mut members: Map<String, Value>, key: &str) -> Value {
        if let Some(name) = &self.key {
            members.insert(name.clone(), key.into());
        }
        Value::Object(members)
    }

    pub fn body(
        &self,
        records: Vec<Value>,
        members: &Map<String, Value>,
        content: Content,
        emit: EmitOptions,
        problems: &mut Vec<EmitError>,
    ) -> Result<Bytes, String> {
        let records = Value::Array(records);
        if self.at.is_empty() {
            return serde_json::to_vec(&records)
                .map(Bytes::from)
                .map_err(|error| error.to_string());
        }
        let mut body = members.clone();
        put(&mut body, &self.at, records)
            .ok_or("`each.members` have another value where the list belongs")?;
        // Only a query would change the address.
        let mut unused = Url::parse("https://unused.example.org").map_err(|error| error.to_string())?;
        body::fill(content, &body, emit, &mut unused, problems)
    }

    /// Reads a response to a request with these records. `is_repeated` says that one of them failed before.
    pub fn read_answer(
        &self,
        answer: &Answer,
        records: &[Value],
        meanings: &Meanings,
        is_repeated: bool,
        now: Timestamp,
    ) -> Reading {
        let whole = meanings.result(answer, false, now);
        let is_2xx = (200..300).contains(&answer.status);
        match &whole.outcome {
            // A record that makes the receiver fail must not take the others with it for ever.
            Outcome::Retry { .. } if answer.status == 500 && is_repeated && records.len() > 1 => {
                return Reading::Split;
            }
            Outcome::Halt { .. } | Outcome::Busy { .. } | Outcome::Retry { .. } | Outcome::Pending { .. } => {
                return Reading::All(whole);
            }
            Outcome::Delivered { .. } | Outcome::Skip { .. } | Outcome::Reject { .. } => {}
        }
        let Some(list) = self.list.as_ref().filter(|list| is_2xx || !list.only_errors) else {
            let is_about_all =
                records.len() == 1 || (is_2xx && !matches!(whole.outcome, Outcome::Reject { .. }));
            return if is_about_all {
                Reading::All(whole)
            } else {
                Reading::Split
            };
        };
        let content = answer.json();
        match content
            .as_ref()
            .and_then(|content| self.parts(list, content, records))
        {
            Some(parts) => {
                let parts = parts.into_iter();
                Reading::Each(
                    parts
                        .map(|part| self.result(answer, part, meanings, now))
                        .collect(),
                )
            }
            None if is_2xx => {
                let reason = format!(
                    "answered {}, but the response has no list at `{}`",
                    answer.status,
                    list.path.written()
                );
                Reading::All(answer.result_with(Outcome::Retry { reason, after: None }))
            }
            None if records.len() == 1 => Reading::All(whole),
            None => Reading::Split,
        }
    }

    /// The result of each record, in the order of the records.
    fn parts<'v>(&self, list: &List, content: &'v Value, records: &[Value]) -> Option<Vec<Part<'v>>> {
        let found = list.path.find(content);
        let results: Vec<&Value> = match found {
            Some(Value::Array(results)) => results.iter().collect(),
            // Without errors the list is often absent.
            None | Some(Value::Null) if list.only_errors && content.is_object() => Vec::new(),
            _ => return None,
        };
        let absent = if list.only_errors {
            Part::Accepted
        } else {
            Part::Absent
        };
        let part = |result: Option<&&'v Value>| result.map_or(absent, |result| Part::Result(result));
        Some(match &self.place {
            Place::Order if results.len() == records.len() => {
                results.iter().map(|result| Part::Result(result)).collect()
            }
            // Which result belongs to which record is unknown.
            Place::Order => records.iter().map(|_| Part::Absent).collect(),
            Place::Index(path) => {
                let has =
                    |result: &Value, index: usize| path.find(result).map(text_of) == Some(index.to_string());
                (0..records.len())
                    .map(|index| part(results.iter().find(|result| has(result, index))))
                    .collect()
            }
            Place::Match { record, result: path } => records
                .iter()
                .map(|sent| {
                    let wanted = record.find(sent).map(text_of);
                    let is_it = |result: &&&Value| {
                        let named = path.find(result).map(text_of);
                        named.is_some_and(|named| wanted.as_ref() == Some(&named))
                    };
                    part(results.iter().find(is_it))
                })
                .collect(),
        })
    }

    fn result(&self, answer: &Answer, part: Part<'_>, meanings: &Meanings, now: Timestamp) -> AttemptResult {
        let part = match part {
            Part::Accepted => return answer.result_with(Outcome::Delivered { remote_id: None }),
            Part::Absent => {
                let reason = format!("answered {}, without a result for this record", answer.status);
                return answer.result_with(Outcome::Retry { reason, after: None });
            }
            Part::Result(part) => part,
        };
        let own = self
            .status
            .as_ref()
            .and_then(|path| text_of(path.find(part)?).parse().ok());
        let status = own.unwrap_or(answer.status);
        let id = self.id.as_ref().and_then(|path| remote_id(path.find(part)?));
        let after = retry_after(&answer.headers, now).ok().flatten();
        let mut notes = Vec::new();
        let outcome = if let Some((means, why)) = meanings.of_part(status, part) {
            notes.extend((means == Means::Duplicate).then(|| HAD_IT.to_owned()));
            means.outcome(&why, id, after)
        } else if self.is_accepted(part, own) {
            Outcome::Delivered { remote_id: id }
        } else {
            let reason = self.refusal(part, status);
            match own {
                Some(429) => Outcome::Busy { reason, after },
                Some(408 | 423 | 425 | 500..=599) => Outcome::Retry { reason, after },
                _ => Outcome::Reject { reason },
            }
        };
        AttemptResult {
            status: Some(status),
            excerpt: Answer::excerpt_of(part.to_string().as_bytes()),
            notes,
            ..outcome.into()
        }
    }

    fn is_accepted(&self, part: &Value, own: Option<u16>) -> bool {
        if self.list.as_ref().is_some_and(|list| list.only_errors) {
            return false;
        }
        let holds = |path: &Option<Path>, is: fn(&Value) -> bool| {
            path.as_ref().map(|path| path.find(part).is_some_and(is))
        };
        let signs = [
            holds(&self.success, is_success),
            holds(&self.error, is_present).map(|has_error| !has_error),
            self.status
                .as_ref()
                .map(|_| own.is_some_and(|own| (200..300).contains(&own))),
        ];
        signs.into_iter().flatten().all(|sign| sign)
    }

    /// The reason names the error only if it is a code: a text may repeat personal data.
    fn refusal(&self, part: &Value, status: u16) -> String {
        let code = self.error.as_ref().and_then(|path| path.find(part));
        let code = code.map(|code| code.as_str().map_or_else(|| code.to_string(), str::to_owned));
        let is_code = |text: &String| {
            (1..=60).contains(&text.len())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        };
        match code.filter(is_code) {
            Some(code) => format!("answered {status}: the record was refused ({code})"),
            None => format!("answered {status}: the record was refused"),
        }
    }
}

#[derive(Clone, Copy)]
enum Part<'v> {
    Result(&'v Value),
    /// It is not among the errors.
    Accepted,
    Absent,
}

/// Values are compared as texts in lower case, since many APIs change the case of addresses.
fn text_of(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_lowercase)
}

/// Puts the value under these names. `None` if something else is in the way.
fn put(members: &mut Map<String, Value>, at: &[String], value: Value) -> Option<()> {
    let Some((first, rest)) = at.split_first() else {
        return Some(());
    };
    if rest.is_empty() {
        return members.insert(first.clone(), value).is_none().then_some(());
    }
    let inner = members
        .entry(first.clone())
        .or_insert_with(|| Value::Object(Map::new()));
    put(inner.as_object_mut()?, rest, value)
}
