//! The lines that the program writes, and what they mean.

use std::time::Duration;

use causeway_core::{
    destination::{AttemptResult, Outcome},
    record::Record,
};
use serde_json::{Map, Value};

use super::lines::Line;

/// The longest line that is read as an answer.
pub(super) const MOST_BYTES: usize = 65_536;

/// A longer reason is cut.
const MOST_REASON: usize = 300;

/// A longer id is not kept.
const MOST_ID: usize = 256;

/// The longest wait that is understood; the hub shortens it further.
const MOST_WAIT_S: f64 = 1e9;

/// A line of the program.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    Answer {
        key: String,
        answer: Answer,
    },
    /// The answer to the question of `check`; `Err` is the program's reason.
    Checked(Result<(), String>),
    Nothing,
    /// What is wrong with the line, without its content.
    Unreadable(&'static str),
}

/// What the program reports about one delivery.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    members: Map<String, Value>,
    line: String,
}

pub(super) fn read(line: Line) -> Said {
    let bytes = match line {
        Line::Whole(bytes) => bytes,
        Line::TooLong(..) => return Said::Unreadable("longer than 65536 bytes"),
    };
    let Ok(line) = String::from_utf8(bytes) else {
        return Said::Unreadable("not UTF-8");
    };
    if line.trim().is_empty() {
        return Said::Nothing;
    }
    let members = match serde_json::from_str(&line) {
        Ok(Value::Object(members)) => members,
        Ok(_) => return Said::Unreadable("not a JSON object"),
        Err(_) => return Said::Unreadable("not JSON"),
    };
    match (members.get("key"), members.get("ok"), members.get("error")) {
        (Some(Value::String(key)), ..) => Said::Answer {
            key: key.clone(),
            answer: Answer { members, line },
        },
        (Some(_), ..) => Said::Unreadable("a `key` that is not a text"),
        (None, Some(Value::Bool(true)), None | Some(Value::Null)) => Said::Checked(Ok(())),
        (None, _, Some(Value::String(why))) => Said::Checked(Err(masked(why, MOST_REASON))),
        (None, Some(Value::Bool(false)), _) => Said::Checked(Err(String::new())),
        _ => Said::Unreadable("without a `key`"),
    }
}

impl Answer {
    /// What it means for the delivery of this record.
    pub fn into_result(self, record: &Record) -> AttemptResult {
        let mut notes = self.notes();
        let outcome = self.outcome(record, &mut notes);
        AttemptResult {
            excerpt: Some(cut(self.line, AttemptResult::EXCERPT_BYTES)),
            notes,
            ..outcome.into()
        }
    }

    fn outcome(&self, record: &Record, notes: &mut Vec<String>) -> Outcome {
        let reason = || self.reason(record);
        let name = match self.members.get("outcome") {
            Some(Value::String(name)) => name.as_str(),
            Some(_) => "",
            None => return unclear("the program's answer has no `outcome`"),
        };
        match name {
            "delivered" => Outcome::Delivered {
                remote_id: self.id(notes),
            },
            "skip" => Outcome::Skip { reason: reason() },
            "reject" => Outcome::Reject { reason: reason() },
            "halt" => Outcome::Halt { reason: reason() },
            "retry" => Outcome::Retry {
                reason: reason(),
                after: self.after(notes),
            },
            "busy" => Outcome::Busy {
                reason: reason(),
                after: self.after(notes),
            },
            name if is_word(name) => {
                unclear(&format!("the program's answer has the unknown outcome `{name}`"))
            }
            _ => unclear("the program's answer has an unknown `outcome`"),
        }
    }

    /// The program's reason, without the contact's values.
    fn reason(&self, record: &Record) -> String {
        let text = self
            .members
            .get("reason")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let values = record
            .contact
            .fields
            .values()
            .filter_map(|field| field.value.as_str());
        let mut text = text.to_owned();
        for value in values.filter(|value| value.chars().count() > 2) {
            text = text.replace(value, "…");
        }
        let text = masked(&text, MOST_REASON);
        if text.is_empty() {
            return "the program gave no reason".to_owned();
        }
        text
    }

    fn id(&self, notes: &mut Vec<String>) -> Option<String> {
        let id = match self.members.get("id")? {
            Value::Null => return None,
            Value::String(id) => id.clone(),
            Value::Number(id) => id.to_string(),
            _ => String::new(),
        };
        let is_usable = !id.is_empty() && id.len() <= MOST_ID;
        if !is_usable {
            notes.push(
                "the program's `id` was left out: it is neither a number nor a text of 1 to 256 bytes"
                    .to_owned(),
            );
        }
        is_usable.then_some(id)
    }

    fn after(&self, notes: &mut Vec<String>) -> Option<Duration> {
        let after = self.members.get("after_s").filter(|after| !after.is_null())?;
        let seconds = after
            .as_f64()
            .filter(|seconds| (0.0..=MOST_WAIT_S).contains(seconds));
        if seconds.is_none() {
            notes.push("the program's `after_s` was left out: it is not a number of seconds".to_owned());
        }
        seconds.map(Duration::from_secs_f64)
    }

    /// Names what is probably a misspelling.
    fn notes(&self) -> Vec<String> {
        let known = ["key", "outcome", "id", "reason", "after_s"];
        let unknown = self.members.keys().filter(|name| !known.contains(&name.as_str()));
        let (named, odd): (Vec<_>, Vec<_>) = unknown.partition(|name| is_word(name));
        let mut notes: Vec<String> = named
            .into_iter()
            .map(|name| format!("the program's answer has an unknown member `{name}`"))
            .collect();
        if !odd.is_empty() {
            notes.push("the program's answer has unknown members".to_owned());
        }
        notes
    }
}

/// Nothing is known about the delivery, so the program gets it again.
fn unclear(reason: &str) -> Outcome {
    Outcome::Retry {
        reason: reason.to_owned(),
        after: None,
    }
}

/// A word of the protocol, right or misspelled, and hardly a value of a person.
fn is_word(name: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_lowercase() || letter == '_';
    !name.is_empty() && name.len() <= 20 && name.chars().all(is_letter)
}

/// The program's text as it may be logged: on one line, without e-mail addresses and markup.
pub(super) fn masked(text: &str, most: usize) -> String {
    let words = text.split(|sign: char| sign.is_whitespace() || sign.is_control());
    let words = words.filter(|word| !word.is_empty());
    let words = words.map(|word| if word.contains('@') { "(address)" } else { word });
    let text = words.collect::<Vec<_>>().join(" ").replace(['<', '>'], "");
    let whole = text.len();
    let text = cut(text, most);
    if text.len() < whole { text + " …" } else { text }
}

/// The start of a text, at most this many bytes.
pub(super) fn cut(mut text: String, bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes));
    text
}

#[cfg(test)]
mod tests {
    use causeway_testkit::destination_contract::delivery;

    use super::*;

    fn said(line: &str) -> Said {
        read(Line::Whole(line.as_bytes().to_vec()))
    }

    fn result(line: &str) -> AttemptResult {
        match said(line) {
            Said::Answer { answer, .. } => answer.into_result(&delivery(1).record),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn each_outcome_is_understood() {
        let reason = || "list is closed".to_owned();
        let after = Some(Duration::from_millis(1_500));
        for (rest, expected) in [
            (r#""outcome":"delivered""#, Outcome::Delivered { remote_id: None }),
            (
                r#""outcome":"delivered","id":"a7""#,
                Outcome::Delivered {
                    remote_id: Some("a7".to_owned()),
                },
            ),
            (
                r#""outcome":"delivered","id":77"#,
                Outcome::Delivered {
                    remote_id: Some("77".to_owned()),
                },
            ),
            (
                r#""outcome":"skip","reason":"list is closed""#,
                Outcome::Skip { reason: reason() },
            ),
            (
                r#""outcome":"reject","reason":"list is closed""#,
                Outcome::Reject { reason: reason() },
            ),
            (
                r#""outcome":"halt","reason":"list is closed""#,
                Outcome::Halt { reason: reason() },
            ),
            (
                r#""outcome":"retry","reason":"list is closed","after_s":1.5"#,
                Outcome::Retry {
                    reason: reason(),
                    after,
                },
            ),
            (
                r#""outcome":"busy","reason":"list is closed","after_s":null"#,
                Outcome::Busy {
                    reason: reason(),
                    after: None,
                },
            ),
            (
                r#""outcome":"skip""#,
                Outcome::Skip {
                    reason: "the program gave no reason".to_owned(),
                },
            ),
        ] {
            let result = result(&format!(r#"{{"key":"k",{rest}}}"#));
            assert_eq!(result.outcome, expected, "{rest}");
            assert!(result.notes.is_empty(), "{rest}: {:?}", result.notes);
        }
    }

    #[test]
    fn an_answer_that_is_unclear_is_retried_and_its_faults_are_named() {
        for (rest, reason) in [
            (r#""outcom":"skip""#, "the program's answer has no `outcome`"),
            (
                r#""outcome":"done""#,
                "the program's answer has the unknown outcome `done`",
            ),
            (
                r#""outcome":"Ada@example.org""#,
                "the program's answer has an unknown `outcome`",
            ),
            (r#""outcome":7"#, "the program's answer has an unknown `outcome`"),
        ] {
            let outcome = result(&format!(r#"{{"key":"k",{rest}}}"#)).outcome;
            assert_eq!(
                (outcome.as_str(), outcome.reason()),
                ("retry", Some(reason)),
                "{rest}"
            );
        }
        let odd = result(r#"{"key":"k","outcome":"delivered","id":["x"],"resaon":"x","Ada Lovelace":1}"#);
        assert_eq!(
            odd.notes,
            [
                "the program's answer has an unknown member `resaon`",
                "the program's answer has unknown members",
                "the program's `id` was left out: it is neither a number nor a text of 1 to 256 bytes",
            ]
        );
        for after in ["-1", "1e300", "\"5\"", "true"] {
            let odd = result(&format!(r#"{{"key":"k","outcome":"busy","after_s":{after}}}"#));
            assert!(
                matches!(odd.outcome, Outcome::Busy { after: None, .. }),
                "{odd:?}"
            );
            assert_eq!(odd.notes.len(), 1, "{after}");
        }
    }

    #[test]
    fn a_reason_shows_nobody() {
        let line = r#"{"key":"k","outcome":"reject","reason":"Ada (Ada.L@example.org)\nis <b>no</b> member of Példa, \"jr\" HU"}"#;
        let result = result(line);
        assert_eq!(
            result.outcome.reason(),
            Some("… (address) is bno/b member of … HU")
        );
        // A person may read the whole answer, for as long as the contact's data is kept.
        assert_eq!(result.excerpt.as_deref(), Some(line));
        let long = format!(
            r#"{{"key":"k","outcome":"reject","reason":"{}"}}"#,
            "é".repeat(4_000)
        );
        let result = self::result(&long);
        assert!(result.outcome.reason().unwrap().len() < 310);
        assert!(result.excerpt.unwrap().len() <= AttemptResult::EXCERPT_BYTES);
    }

    #[test]
    fn other_lines_are_named_without_their_content() {
        for (line, expected) in [
            ("", Said::Nothing),
            ("  ", Said::Nothing),
            ("starting …", Said::Unreadable("not JSON")),
            ("[]", Said::Unreadable("not a JSON object")),
            ("{}", Said::Unreadable("without a `key`")),
            (
                r#"{"key":7,"outcome":"skip"}"#,
                Said::Unreadable("a `key` that is not a text"),
            ),
            (r#"{"ok":true}"#, Said::Checked(Ok(()))),
            (r#"{"ok":true,"error":null}"#, Said::Checked(Ok(()))),
            (r#"{"ok":false}"#, Said::Checked(Err(String::new()))),
            (
                r#"{"ok":true,"error":"no list"}"#,
                Said::Checked(Err("no list".to_owned())),
            ),
            (
                r#"{"error":"no list 7"}"#,
                Said::Checked(Err("no list 7".to_owned())),
            ),
            (r#"{"ok":"yes"}"#, Said::Unreadable("without a `key`")),
        ] {
            assert_eq!(said(line), expected, "{line}");
        }
        let deep = "[".repeat(60_000);
        assert_eq!(said(&deep), Said::Unreadable("not JSON"));
        assert_eq!(read(Line::Whole(vec![0xff])), Said::Unreadable("not UTF-8"));
        let long = Line::TooLong(Vec::new(), 70_000);
        assert_eq!(read(long), Said::Unreadable("longer than 65536 bytes"));
    }
}
