//! The path of a value in a response: `data.people[0].id`, `errors[].code`, `.` for the whole response.

use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    written: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Member(String),
    Item(usize),
    /// `[]`
    All,
}

/// Why a text is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PathError(&'static str);

/// The result of looking up a path.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// The response does not contain the path.
    Missing,
    /// The value is null or empty.
    Nothing,
    Value(Value),
}

impl Path {
    /// As it stands in the configuration.
    pub fn written(&self) -> &str {
        &self.written
    }

    pub fn parse(text: &str) -> Result<Self, PathError> {
        let text = text.trim();
        let path = |steps| Self {
            written: text.to_owned(),
            steps,
        };
        if text == "." {
            return Ok(path(Vec::new()));
        }
        let mut steps = Vec::new();
        for part in text.split('.') {
            let (name, indexes) = part.split_at(part.find('[').unwrap_or(part.len()));
            if !name.is_empty() {
                steps.push(Step::Member(name.to_owned()));
            } else if indexes.is_empty() || !steps.is_empty() {
                return Err(PathError(
                    "has an empty step: write it like data.id, or . for the whole response",
                ));
            }
            let mut rest = indexes;
            while !rest.is_empty() {
                let inside = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
                let (index, behind) =
                    inside.ok_or(PathError("has a [ without its ], or something after a ]"))?;
                steps.push(match index {
                    "" => Step::All,
                    index => Step::Item(
                        index
                            .parse()
                            .map_err(|_| PathError("has no number between [ and ]"))?,
                    ),
                });
                rest = behind;
            }
        }
        Ok(path(steps))
    }

    /// Looks up the path. A member whose name is the whole path comes first. For `[]`, joins the texts and
    /// numbers of the list with commas.
    pub fn find(&self, answer: &Value) -> Found {
        if let Some(value) = answer.get(&self.written) {
            return found(value.clone());
        }
        let mut here = vec![answer];
        for step in &self.steps {
            here = here.into_iter().flat_map(|value| step.below(value)).collect();
        }
        if !self.steps.contains(&Step::All) {
            return here
                .first()
                .map_or(Found::Missing, |value| found((*value).clone()));
        }
        if here.is_empty() {
            return Found::Missing;
        }
        let texts: Vec<String> = here.into_iter().filter_map(text).collect();
        found(texts.join(",").into())
    }
}

impl Step {
    fn below<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        match (self, value) {
            (Self::Member(name), Value::Object(members)) => members.get(name).into_iter().collect(),
            (Self::Member(name), Value::Array(items)) => {
                let index: Option<usize> = name.parse().ok();
                index.and_then(|index| items.get(index)).into_iter().collect()
            }
            (Self::Item(index), Value::Array(items)) => items.get(*index).into_iter().collect(),
            // A platform's list may have gaps, and is then an object with numbers as keys.
            (Self::Item(index), Value::Object(members)) => {
                members.get(&index.to_string()).into_iter().collect()
            }
            (Self::All, Value::Array(items)) => items.iter().collect(),
            (Self::All, Value::Object(members)) => members.values().collect(),
            _ => Vec::new(),
        }
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        _ => None,
    }
}

fn found(value: Value) -> Found {
    let nothing = match &value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    if nothing {
        Found::Nothing
    } else {
        Found::Value(value)
    }
}
