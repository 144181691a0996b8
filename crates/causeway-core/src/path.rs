//! The path of a value in JSON data: `data.people[0].id`, `errors[].code`, `"a.name".id`, `.` for the whole
//! value. Every configuration key that is a path is read here. Expressions (`core/mapping`) have a grammar of
//! their own.

use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    written: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The name of a member, or the position of an item.
    Name(String),
    /// `[]`: every item.
    Every,
}

/// Why a text is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PathError(&'static str);

impl PathError {
    pub fn text(self) -> &'static str {
        self.0
    }
}

impl Path {
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let written = text.trim().to_owned();
        let steps = match written.as_str() {
            "." => Vec::new(),
            text => steps(text)?,
        };
        Ok(Self { written, steps })
    }

    /// As it stands in the configuration.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Whether it may lead to several values.
    pub fn is_for_every(&self) -> bool {
        self.steps.contains(&Step::Every)
    }

    /// The values that the path leads to. A member whose name is the whole path comes first.
    pub fn find_all<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        if let Some(value) = value.get(&self.written) {
            return vec![value];
        }
        self.steps.iter().fold(vec![value], |here, step| {
            here.into_iter().flat_map(|value| step.below(value)).collect()
        })
    }

    /// The first value that the path leads to.
    pub fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.find_all(value).first().copied()
    }
}

impl Step {
    fn below<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        match (self, value) {
            // A list with gaps may be sent as an object with numbers as names.
            (Self::Name(name), Value::Object(members)) => members.get(name).into_iter().collect(),
            (Self::Name(name), Value::Array(items)) => {
                let index: Option<usize> = name.parse().ok();
                index.and_then(|index| items.get(index)).into_iter().collect()
            }
            (Self::Every, Value::Array(items)) => items.iter().collect(),
            (Self::Every, Value::Object(members)) => members.values().collect(),
            _ => Vec::new(),
        }
    }
}

/// Names without `[]`, for keys that need exactly one value.
pub fn names(text: &str) -> Result<Vec<String>, PathError> {
    let name = |step| match step {
        Step::Name(name) => Ok(name),
        Step::Every => Err(PathError("has [], which stands for several values")),
    };
    steps(text)?.into_iter().map(name).collect()
}

/// `a.b`, `a[b]` and `a["b"]` are the same steps.
fn steps(text: &str) -> Result<Vec<Step>, PathError> {
    let mut steps = Vec::new();
    let mut rest = text.trim();
    loop {
        let (step, after) = match rest.strip_prefix('[') {
            Some(inside) => bracket(inside)?,
            None => name(rest)?,
        };
        steps.push(step);
        rest = match after.strip_prefix('.') {
            Some(rest) => rest,
            None if after.is_empty() => return Ok(steps),
            None if after.starts_with('[') => after,
            None => {
                return Err(PathError(
                    "has text directly after a name in quotes or a bracket; put a dot between them",
                ));
            }
        };
    }
}

const EMPTY: PathError = PathError("has an empty step: write it like data.id");

/// The name at the beginning of `text`, and what follows it.
fn name(text: &str) -> Result<(Step, &str), PathError> {
    let (name, after) = match quoted(text)? {
        Some(found) => found,
        None => text.split_at(text.find(['.', '[']).unwrap_or(text.len())),
    };
    if name.is_empty() {
        return Err(EMPTY);
    }
    Ok((Step::Name(name.to_owned()), after))
}

/// What is between `[` and `]`, and what follows.
fn bracket(inside: &str) -> Result<(Step, &str), PathError> {
    const OPEN: PathError = PathError("has a [ that is not closed");
    if let Some((name, after)) = quoted(inside.trim_start())? {
        let after = after.trim_start().strip_prefix(']').ok_or(OPEN)?;
        return match name {
            "" => Err(EMPTY),
            name => Ok((Step::Name(name.to_owned()), after)),
        };
    }
    let (name, after) = inside.split_once(']').ok_or(OPEN)?;
    match name.trim() {
        "" => Ok((Step::Every, after)),
        name if name.starts_with('-') && name.parse::<i64>().is_ok() => {
            Err(PathError("has a negative position: the first item is [0]"))
        }
        name => Ok((Step::Name(name.to_owned()), after)),
    }
}

/// The text in the quotes that `text` begins with, and what follows; `None` without quotes.
fn quoted(text: &str) -> Result<Option<(&str, &str)>, PathError> {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        return Ok(None);
    };
    let inside = text.strip_prefix(quote).unwrap_or(text);
    let found = inside.split_once(quote);
    found.map(Some).ok_or(PathError("has a quote that is not closed"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_to_members_items_and_every_item_of_a_list() {
        let data = json!({
            "data": {"people": [{"id": 1}, {"id": 2}], "1": "one", "a.b": 3, "it's": 4},
            "data.x": 5,
            "gaps": {"0": {"id": 6}, "7": {"id": 7}},
        });
        for (path, found) in [
            ("data.people[0].id", json!([1])),
            ("data.people.1.id", json!([2])),
            ("data.people[].id", json!([1, 2])),
            ("gaps[].id", json!([6, 7])),
            ("gaps[7].id", json!([7])),
            ("data[people][0][id]", json!([1])),
            (r#"data."a.b""#, json!([3])),
            (r#"data["a.b"]"#, json!([3])),
            ("data['a.b']", json!([3])),
            ("data.it's", json!([4])),
            ("data.x", json!([5])),
            ("data.1", json!(["one"])),
            ("data.people[2].id", json!([])),
            ("data.people.id", json!([])),
            ("data.id.more", json!([])),
        ] {
            let path = Path::parse(path).unwrap();
            assert_eq!(json!(path.find_all(&data)), found, "{}", path.written());
        }
        assert_eq!(Path::parse(" . ").unwrap().find(&data), Some(&data));
    }

    #[test]
    fn an_invalid_path_is_refused() {
        for (path, why) in [
            ("", "has an empty step: write it like data.id"),
            ("a..b", "has an empty step: write it like data.id"),
            ("a.", "has an empty step: write it like data.id"),
            ("''.b", "has an empty step: write it like data.id"),
            ("a[-1]", "has a negative position: the first item is [0]"),
            ("a[0", "has a [ that is not closed"),
            (r#"["a.b""#, "has a [ that is not closed"),
            (r#""a.b"#, "has a quote that is not closed"),
            (
                "a[0]b",
                "has text directly after a name in quotes or a bracket; put a dot between them",
            ),
        ] {
            assert_eq!(Path::parse(path).map_err(PathError::text), Err(why), "{path}");
        }
        let several = Err("has [], which stands for several values");
        assert_eq!(names("a[].b").map_err(PathError::text), several);
    }
}
