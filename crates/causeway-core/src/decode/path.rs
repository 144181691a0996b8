//! Paths of the listener. Their grammar is that of [`crate::path`], but a path may also be a field's name with
//! dots or brackets (`Tel.`, `3.1`), and a name is found as PHP rewrites it in a form.

use serde_json::{Map, Value};

use super::names::form_name;
use crate::path::{self, PathError};

/// The steps of a path with a quoted name; `None` for any other path, and for one that [`error`] refuses.
pub(super) fn quoted(path: &str) -> Option<Vec<String>> {
    if !path.contains(['"', '\'']) || !has_quoted_step(path) {
        return None;
    }
    path::names(path).ok()
}

/// Why a path is invalid.
pub fn error(path: &str) -> Option<&'static str> {
    if path.trim().is_empty() {
        return Some("is empty");
    }
    if path.contains("\\.") {
        return Some("has a \\ before a dot; put a name that has dots in double quotes");
    }
    if has_quoted_step(path) {
        return path::names(path).err().map(PathError::text);
    }
    // A dot at the end may belong to the name, as in `Tel.`.
    if path.trim_end_matches('.').split('.').any(str::is_empty) {
        return Some("has an empty step between dots");
    }
    let mut open = false;
    for letter in path.chars() {
        match letter {
            '[' if open => return Some("has a [ within brackets"),
            ']' if !open => return Some("has a ] without a ["),
            '[' => open = true,
            ']' => open = false,
            _ => {}
        }
    }
    open.then_some("has a [ that is not closed")
}

/// Whether a step begins with a quote. A quote within a name belongs to the name.
fn has_quoted_step(path: &str) -> bool {
    let is_start = |before: Option<char>| before.is_none_or(|before| matches!(before, '.' | '['));
    path.trim().char_indices().any(|(at, letter)| {
        matches!(letter, '"' | '\'')
            && is_start(path.trim().get(..at).and_then(|text| text.chars().next_back()))
    })
}

/// Follows the steps.
pub(super) fn follow<'a>(value: &'a Value, steps: &[String]) -> Option<&'a Value> {
    let Some((step, rest)) = steps.split_first() else {
        return Some(value);
    };
    match value {
        Value::Object(members) => follow_from(members, steps),
        Value::Array(items) => follow(items.get(step.parse::<usize>().ok()?)?, rest),
        _ => None,
    }
}

/// As [`follow`], from the members of an object. Also finds a name as PHP rewrites it in a form.
pub(super) fn follow_from<'a>(members: &'a Map<String, Value>, steps: &[String]) -> Option<&'a Value> {
    let (step, rest) = steps.split_first()?;
    let in_forms = || {
        let wanted = form_name(step);
        members
            .iter()
            .find(|(name, _)| form_name(name) == wanted)
            .map(|(_, value)| value)
    };
    follow(members.get(step).or_else(in_forms)?, rest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quoted_names_are_followed_as_written() {
        let body = json!({"mautic.lead_post_save_update": [{"contact": {"the id": 11}}, {"contact": {"the id": 12}}]});
        for (path, found) in [
            (r#""mautic.lead_post_save_update"[1].contact["the id"]"#, Some(12)),
            (
                r#"["mautic.lead_post_save_update"][0].contact.'the id'"#,
                Some(11),
            ),
            (r#"['mautic.lead_post_save_update'].0.contact."the id""#, Some(11)),
            (r#""mautic.lead_post_save_update"[2].contact"#, None),
            (r#""mautic"."lead_post_save_update"[0]"#, None),
        ] {
            let steps = quoted(path).unwrap();
            assert_eq!(
                follow(&body, &steps),
                found.map(|id| json!(id)).as_ref(),
                "{path}"
            );
            assert_eq!(error(path), None, "{path}");
        }
        let form = json!({"mautic_lead_post_save_update": 1});
        assert_eq!(
            follow(&form, &quoted(r#""mautic.lead_post_save_update""#).unwrap()),
            Some(&json!(1))
        );
    }

    #[test]
    fn an_invalid_path_is_refused() {
        for (path, why) in [
            (r#""a.b"#, "has a quote that is not closed"),
            (r#"["a.b""#, "has a [ that is not closed"),
            (
                r#""a.b"c"#,
                "has text directly after a name in quotes or a bracket; put a dot between them",
            ),
            (r#""a.b"."#, "has an empty step: write it like data.id"),
            ("''.b", "has an empty step: write it like data.id"),
            (
                r"mautic\.lead",
                "has a \\ before a dot; put a name that has dots in double quotes",
            ),
            ("a..b", "has an empty step between dots"),
            ("", "is empty"),
        ] {
            assert_eq!(error(path), Some(why), "{path}");
        }
        for path in ["it's", "a.it's", "Tel.", "people[0].email", "6\" pipes"] {
            assert_eq!((error(path), quoted(path)), (None, None), "{path}");
        }
    }
}
