//! The body of a previewed request as a value, so that bodies are compared by value and not by notation.

use causeway_connect::destination::without_notes;
use causeway_core::form::{self, Mode};
use serde_json::{Map, Value};

/// The limits exceed every request that Causeway makes.
const MODE: Mode = Mode::Lenient {
    max_pairs: 100_000,
    max_depth: 64,
};

#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// JSON, or the columns of a row.
    Json(Value),
    /// A form or the pairs of a query: all leaves are texts.
    Form(Value),
    Text(String),
}

impl Body {
    /// Reads what [`causeway_connect::destination::Kind::preview`] gives: a request with head and body, a statement with
    /// its values, or a line of a file.
    pub fn of(request: &str) -> Self {
        let request = without_notes(request);
        if let Ok(value @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(request) {
            return Self::Json(value);
        }
        if let Some(body) = of_http(request) {
            return body;
        }
        match rows(request) {
            rows if rows.is_empty() => Self::Text(request.to_owned()),
            rows => Self::Json(Value::Object(rows)),
        }
    }

    pub fn value(&self) -> Value {
        match self {
            Self::Json(value) | Self::Form(value) => value.clone(),
            Self::Text(text) => Value::from(text.as_str()),
        }
    }
}

fn of_http(request: &str) -> Option<Body> {
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let (method, rest) = head.split_once(' ')?;
    let is_method = matches!(method, "GET" | "POST" | "PUT" | "PATCH" | "DELETE");
    let address = rest.lines().next()?;
    if !is_method || !address.contains("://") {
        return None;
    }
    if body.is_empty() {
        let query = address.split_once('?').map_or("", |(_, query)| query);
        let query = query.split('#').next().unwrap_or_default();
        return Some(of_form(query));
    }
    let content_type = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-type").then_some(value)
    });
    if content_type.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
        return Some(of_form(body));
    }
    Some(serde_json::from_str(body).map_or_else(|_| Body::Text(body.to_owned()), Body::Json))
}

fn of_form(text: &str) -> Body {
    match form::parse(text.as_bytes(), MODE) {
        Ok(parsed) => Body::Form(Value::Object(form::array_to_json(parsed.root, &mut 0))),
        Err(_) => Body::Text(text.to_owned()),
    }
}

/// Reads lines such as `  $1 first_name = "Ada"` below the statements of a table into table → column → value.
fn rows(text: &str) -> Map<String, Value> {
    let mut tables: Map<String, Value> = Map::new();
    let mut table = String::new();
    for line in text.lines() {
        let statements = ["INSERT INTO ", "UPDATE ", "DELETE FROM "];
        if let Some(rest) = statements.iter().find_map(|start| line.strip_prefix(start)) {
            table = rest
                .split([' ', '('])
                .next()
                .unwrap_or_default()
                .replace(['"', '`'], "");
            tables
                .entry(table.clone())
                .or_insert_with(|| Value::Object(Map::new()));
        } else if let Some((column, value)) = column(line)
            && let Some(Value::Object(columns)) = tables.get_mut(&table)
        {
            columns.insert(column.to_owned(), value);
        }
    }
    tables
}

fn column(line: &str) -> Option<(&str, Value)> {
    let (mark, rest) = line.strip_prefix("  ")?.split_once(' ')?;
    let is_mark = mark.starts_with(['$', '?']) && mark.len() > 1;
    let (name, value) = rest.split_once(" = ").filter(|_| is_mark)?;
    let value = match value {
        "NULL" => Value::Null,
        value => serde_json::from_str(value).unwrap_or_else(|_| Value::from(value)),
    };
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_of_request_has_its_body() {
        for (request, expected) in [
            ("{\"a\":1}", Body::Json(json!({ "a": 1 }))),
            (
                "POST https://h.example.org/\ncontent-type: application/json\n\n{\"a\":[null]}",
                Body::Json(json!({ "a": [null] })),
            ),
            (
                "POST https://h.example.org/\ncontent-type: application/x-www-form-urlencoded\n\na%5Bb%5D=1&c=x+y",
                Body::Form(json!({ "a": { "b": "1" }, "c": "x y" })),
            ),
            (
                "GET https://h.example.org/?a=1&b=2",
                Body::Form(json!({ "a": "1", "b": "2" })),
            ),
            ("GET https://h.example.org/***", Body::Form(json!({}))),
            (
                "POST https://h.example.org/\ncontent-type: application/json\n\n{\"a\":1}\n\n-- left out: x\n\n-- left out: y",
                Body::Json(json!({ "a": 1 })),
            ),
            (
                "POST https://h.example.org/\ncontent-type: text/plain\n\nhello\n\nyou",
                Body::Text("hello\n\nyou".to_owned()),
            ),
            (
                "INSERT INTO \"contacts\" (\"email\") VALUES ($1);\n  $1 email = \"a@example.org\"\n  $2 phone = NULL",
                Body::Json(json!({ "contacts": { "email": "a@example.org", "phone": null } })),
            ),
            (
                "UPDATE \"c\" SET \"a\" = $2 WHERE \"k\" = $1; -- and\nINSERT INTO \"c\" (\"k\", \"a\") VALUES ($1, $2);\n  \
                 $1 k = \"x\"\n  $2 a = 1\n\nDELETE FROM `d` WHERE `k` = ?;\n  ?1 k = \"x\"",
                Body::Json(json!({ "c": { "k": "x", "a": 1 }, "d": { "k": "x" } })),
            ),
            ("cw_1,a@example.org", Body::Text("cw_1,a@example.org".to_owned())),
            ("nothing, for cw_1", Body::Text("nothing, for cw_1".to_owned())),
        ] {
            assert_eq!(Body::of(request), expected, "{request}");
        }
    }
}
