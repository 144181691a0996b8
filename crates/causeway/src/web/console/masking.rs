//! Hides what is about a person, keeps what shows how a message is built: keys, structure, technical fields.
//!
//! Whatever is not known to be harmless is hidden: a new field of a source is hidden until it is listed here.

use serde_json::{Map, Value};

use super::vocabulary;

const DOTS: &str = "•••";
/// Longer technical values are not ids, names of kinds or dates.
const LONGEST_PLAIN: usize = 80;

/// Fields that say how a message is built, what it is about, when and with which consent. Compared without case, `-` and `_`.
const PLAIN: &str = "schema schemaversion version id externalid actionid actionpage actionpageid actiontype type \
     eventtype event kind stage status emailstatus processingstatus supporterstatus outcome campaignid \
     campaignname contactschema orgid org organisationid pageid createdat updatedat insertedat changedat \
     emailstatuschanged timestamp date time at givenat since until scope locale language lang currency \
     frequencyunit consent optin emailconsent withconsent communicationconsent doubleoptin privacy \
     testing test sandbox duperank routingkey queue count score leadscore leadstatus total nonce \
     workspace";

/// Objects about things: their names and titles are nobody's.
const THINGS: [&str; 6] = ["campaign", "org", "organisation", "actionpage", "page", "widget"];
const THING_WORDS: [&str; 5] = ["name", "title", "url", "config", "theme"];

/// An e-mail address keeps its first letter and its ending, other text its first letter, what starts with a digit
/// nothing: `j•••@e•••.org`, `J•••`, `•••`.
pub(crate) fn text(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        return String::new();
    }
    if let Some((local, domain)) = text.rsplit_once('@')
        && !text.contains(char::is_whitespace)
    {
        let ending = domain
            .rsplit_once('.')
            .map_or(String::new(), |(_, ending)| format!(".{ending}"));
        // An ending is public only when it looks like one.
        let is_ending =
            (3..=7).contains(&ending.len()) && ending.chars().skip(1).all(|c| c.is_ascii_alphabetic());
        let ending = if is_ending { ending } else { String::new() };
        return format!("{}@{}{ending}", word(local), word(domain));
    }
    word(text)
}

fn word(text: &str) -> String {
    match text.chars().next() {
        Some(first) if first.is_alphabetic() => format!("{first}{DOTS}"),
        _ => DOTS.to_owned(),
    }
}

/// An opaque reference: enough of it to compare two by eye.
pub(crate) fn reference(reference: &str) -> String {
    if reference.contains('@') {
        return text(reference);
    }
    let start: String = reference.chars().take(4).collect();
    if reference.chars().count() < 12 {
        text(reference)
    } else {
        format!("{start}{DOTS}")
    }
}

/// Every leaf hidden but booleans, nulls and technical fields; keys stay, unless they are addresses themselves.
pub(crate) fn json(value: &Value) -> Value {
    leaf_or_inside(value, "", "")
}

fn leaf_or_inside(value: &Value, key: &str, parent: &str) -> Value {
    match value {
        Value::Null | Value::Bool(_) => value.clone(),
        Value::Object(inside) => inside
            .iter()
            .map(|(name, value)| (key_name(name), leaf_or_inside(value, &plain(name), key)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items
            .iter()
            .map(|item| leaf_or_inside(item, key, parent))
            .collect(),
        Value::Number(number) => {
            if is_plain(key, parent) {
                value.clone()
            } else {
                text(&number.to_string()).into()
            }
        }
        Value::String(found) => string(found, key, parent).into(),
    }
}

fn string(found: &str, key: &str, parent: &str) -> String {
    let is_harmless = is_plain(key, parent)
        && found.len() <= LONGEST_PLAIN
        && !found.contains('@')
        && !found.starts_with('+')
        && !found.chars().any(char::is_control);
    if is_harmless {
        return found.to_owned();
    }
    // JSON in JSON, as some platforms nest it.
    if found.starts_with(['{', '['])
        && let Ok(inside) = serde_json::from_str::<Value>(found)
    {
        return leaf_or_inside(&inside, key, parent).to_string();
    }
    text(found)
}

fn is_plain(key: &str, parent: &str) -> bool {
    PLAIN.split(' ').any(|known| known == key) || (THINGS.contains(&parent) && THING_WORDS.contains(&key))
}

fn plain(key: &str) -> String {
    let kept = key.chars().filter(|c| !matches!(c, '-' | '_' | ' '));
    kept.flat_map(char::to_lowercase).collect()
}

pub(crate) fn key_name(key: &str) -> String {
    if key.contains('@') || key.len() > LONGEST_PLAIN {
        text(key)
    } else {
        key.to_owned()
    }
}

/// The pairs of a query string or form body, one a line, in their order.
pub(crate) fn form(body: &[u8]) -> String {
    let mut lines = Vec::new();
    for (key, value) in url::form_urlencoded::parse(body) {
        // `contact[email]` and `action[fields][]`: the last named segment is the field, the one before it the object.
        let mut segments = key
            .split(['[', ']'])
            .filter(|segment| !segment.is_empty() && segment.parse::<u32>().is_err())
            .rev();
        let field = plain(segments.next().unwrap_or_default());
        let object = plain(segments.next().unwrap_or_default());
        lines.push(format!(
            "{} = {}",
            key_name(&key),
            string(&value, &field, &object)
        ));
    }
    lines.join("\n")
}

/// A body, as readable as it may be.
pub(crate) fn body(body: &[u8], content_type: Option<&str>) -> String {
    if let Ok(value) = serde_json::from_slice::<Value>(body)
        && (value.is_object() || value.is_array())
    {
        return pretty(&json(&value));
    }
    let is_form = content_type.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if is_form {
        return form(body);
    }
    let start = String::from_utf8_lossy(body);
    shape(&start.chars().take(2_000).collect::<String>())
}

/// Neither JSON nor a form: every letter and digit is hidden, so that what is broken can still be seen.
fn shape(text: &str) -> String {
    let hidden = |c: char| if c.is_alphanumeric() { '•' } else { c };
    text.chars().map(hidden).collect()
}

pub(crate) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// What a destination answered: words of the trade stay, everything else is hidden.
pub(crate) fn answer(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(value) if value.is_object() || value.is_array() => pretty(&answer_leaf(&value)),
        _ => vocabulary::keep_known(text),
    }
}

fn answer_leaf(value: &Value) -> Value {
    match value {
        Value::Null | Value::Bool(_) => value.clone(),
        Value::Number(number) => vocabulary::keep_known(&number.to_string()).into(),
        Value::String(text) => vocabulary::keep_known(text).into(),
        Value::Array(items) => items.iter().map(answer_leaf).collect(),
        Value::Object(inside) => inside
            .iter()
            .map(|(name, value)| (key_name(name), answer_leaf(value)))
            .collect::<Map<_, _>>()
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json as j;

    use super::*;

    #[test]
    fn text_keeps_at_most_a_first_letter_and_an_ending() {
        for (given, shown) in [
            ("jana@example.org", "j•••@e•••.org"),
            ("jana@localhost", "j•••@l•••"),
            ("jana@example.novakova", "j•••@e•••"),
            ("1a@example.org", "•••@e•••.org"),
            ("Jana Nováková", "J•••"),
            ("+49 170 1234567", "•••"),
            ("10115", "•••"),
            ("  ", ""),
            ("mail jana@example.org now", "m•••"),
        ] {
            assert_eq!(text(given), shown, "{given}");
        }
    }

    #[test]
    fn what_is_not_known_to_be_harmless_is_hidden() {
        let shown = json(&j!({
            "schema": "proca:action:2", "actionId": 887, "orgId": 7, "testing": false,
            "contact": {"firstName": "Jana", "email": "jana@example.org", "phone": 491_701_234_567_u64, "birthDate": "1990-01-02",
                        "name": "Jana N", "nested": "{\"email\":\"jana@example.org\"}"},
            "campaign": {"name": "clean_rivers", "title": "Clean rivers"},
            "privacy": {"optIn": true, "givenAt": "2026-01-01T10:00:00Z"},
            "type": "jana@example.org", "id": "+491701234567", "list": ["Jana", {"x": "Novak"}],
            "jana@example.org": 1, "empty": null,
        }));
        assert_eq!(
            shown,
            j!({
                "schema": "proca:action:2", "actionId": 887, "orgId": 7, "testing": false,
                "contact": {"firstName": "J•••", "email": "j•••@e•••.org", "phone": "•••", "birthDate": "•••",
                            "name": "J•••", "nested": "{\"email\":\"j•••@e•••.org\"}"},
                "campaign": {"name": "clean_rivers", "title": "Clean rivers"},
                "privacy": {"optIn": true, "givenAt": "2026-01-01T10:00:00Z"},
                "type": "j•••@e•••.org", "id": "•••", "list": ["J•••", {"x": "N•••"}],
                "j•••@e•••.org": "•••", "empty": null,
            })
        );
    }

    #[test]
    fn a_form_shows_its_fields_and_hides_its_values() {
        let shown = form(b"contact%5Bemail%5D=jana%40example.org&contact[name]=Jana&campaign[name]=rivers&lead-score[]=12&a=");
        assert_eq!(
            shown,
            "contact[email] = j•••@e•••.org\ncontact[name] = J•••\ncampaign[name] = rivers\nlead-score[] = 12\na = "
        );
    }

    #[test]
    fn a_body_that_is_no_json_shows_its_shape_only() {
        assert_eq!(body(b"{\"email\": \"jana\"", None), "{\"•••••\": \"••••\"");
        assert_eq!(body(b"", None), "");
        assert_eq!(
            body(
                b"email=jana",
                Some("application/x-www-form-urlencoded; charset=utf-8")
            ),
            "email = j•••"
        );
        // A bare JSON text is somebody's word as well.
        assert_eq!(body(b"\"jana\"", None), "\"••••\"");
    }

    #[test]
    fn an_answer_shows_words_of_the_trade() {
        assert_eq!(
            answer("<h1>503 Service Unavailable</h1>"),
            "<h1>503 Service Unavailable</h1>"
        );
        assert_eq!(
            answer(r#"{"error":"invalid email jana@example.org for Jana, 10115","id":4711}"#),
            "{\n  \"error\": \"invalid email ••• for •••, •••\",\n  \"id\": \"•••\"\n}"
        );
    }
}
