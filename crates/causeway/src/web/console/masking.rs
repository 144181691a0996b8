//! Masks personal data, and keeps the parts that show how a message is built: keys, structure, technical fields.
//!
//! Invariant: every value is masked unless its field is listed here as harmless, so new fields of a source are masked.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::{local, vocabulary};

const DOTS: &str = "•••";
/// Longer values are masked even in technical fields: they are not ids, names of kinds or dates.
const LONGEST_PLAIN: usize = 80;

/// Fields with the format of a message, its subject, its time and its consent. Compared without case, `-` and `_`.
const PLAIN: &str = "schema schemaversion version id externalid actionid actionpage actionpageid actiontype type \
     eventtype event kind stage status emailstatus processingstatus supporterstatus outcome campaignid \
     campaignname contactschema orgid org organisationid pageid createdat updatedat insertedat changedat \
     emailstatuschanged timestamp date time at givenat since until scope locale language lang currency \
     frequencyunit consent optin emailconsent withconsent communicationconsent doubleoptin privacy \
     testing test sandbox duperank routingkey queue count score leadscore leadstatus total nonce \
     workspace";

/// Objects about things. Their names and titles are not personal data.
const THINGS: [&str; 6] = ["campaign", "org", "organisation", "actionpage", "page", "widget"];
const THING_WORDS: [&str; 5] = ["name", "title", "url", "config", "theme"];

/// Masks a text. An e-mail address keeps its first letters and its top-level domain, other text its first letter, and text
/// that starts with a digit nothing: `j•••@e•••.org`, `J•••`, `•••`.
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
        // Only an ending that looks like a top-level domain is shown.
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

/// Masks an opaque reference, but shows enough to compare two by eye.
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

/// Masks every leaf except booleans, nulls and technical fields. Keys are shown unless they are addresses.
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

/// Words about consent are no personal data by themselves, whatever the field is called.
pub(crate) fn is_consent_word(text: &str) -> bool {
    matches!(
        text,
        "none"
            | "subscribe"
            | "unsubscribe"
            | "suppress"
            | "remove"
            | "unknown"
            | "not_subscribed"
            | "pending"
            | "opted_in"
            | "double_opted_in"
            | "unsubscribed"
            | "suppressed"
            | "opt_in"
            | "opt_in_pending"
            | "double_opt_in"
            | "declined"
            | "not_asked"
            | "bounced"
            | "blocked"
            | "inactive"
            | "complained"
    )
}

fn string(found: &str, key: &str, parent: &str) -> String {
    if is_consent_word(found) {
        return found.to_owned();
    }
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

/// Masks the value of a field, unless the field is a technical one.
pub(super) fn field(name: &str, value: &str) -> String {
    string(value, &plain(name), "")
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

/// The masked pairs of a query string or form body, one per line, in their order.
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

/// A masked body in its most readable form.
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

/// Masks every letter and digit of a text that is neither JSON nor a form, so that only its punctuation is visible.
fn shape(text: &str) -> String {
    let hidden = |c: char| if c.is_alphanumeric() { '•' } else { c };
    text.chars().map(hidden).collect()
}

pub(crate) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// Masks a destination's response. Only known technical words stay.
pub(crate) fn answer(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(value) if value.is_object() || value.is_array() => pretty(&answer_leaf(&value)),
        _ => vocabulary::keep_known(text),
    }
}

/// Masks what was sent to a destination: requests, each with its address, headers and body, or what [`local`] knows.
pub(crate) fn request(text: &str) -> String {
    if let Some(masked) = local::request(text) {
        return masked;
    }
    let parts = text.split("\n\n").map(|part| match Head::parse(part) {
        Some(head) => head.masked(),
        None => body(
            part.as_bytes(),
            Some("application/x-www-form-urlencoded").filter(|_| is_form(part)),
        ),
    });
    parts.collect::<Vec<_>>().join("\n\n")
}

fn is_form(text: &str) -> bool {
    text.contains('=') && !text.contains(char::is_whitespace)
}

/// Method, address and headers of a request.
struct Head<'a> {
    method: &'a str,
    url: url::Url,
    headers: Vec<&'a str>,
}

impl<'a> Head<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut lines = text.lines();
        let (method, url) = lines.next()?.split_once(' ')?;
        if !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        let url = url::Url::parse(url).ok().filter(url::Url::has_host)?;
        Some(Self {
            method,
            url,
            headers: lines.collect(),
        })
    }

    /// Whether the value says how the request is made, and nothing about a person.
    fn is_technical(header: &str) -> bool {
        [
            "content-type",
            "idempotency-key",
            "webhook-id",
            "webhook-timestamp",
        ]
        .contains(&header)
    }

    fn masked(&self) -> String {
        let segments = self.url.path_segments().into_iter().flatten();
        // Ids and names of endpoints are short and have no address in them.
        let path: Vec<String> = segments
            .map(|segment| match segment {
                long if long.len() > LONGEST_PLAIN || long.contains('@') || long.contains('%') => {
                    DOTS.to_owned()
                }
                plain => plain.to_owned(),
            })
            .collect();
        let mut out = format!(
            "{} {}/{}",
            self.method,
            self.url.origin().ascii_serialization(),
            path.join("/")
        );
        let query = self.url.query().filter(|query| !query.is_empty());
        if let Some(query) = query {
            out.push_str("\n? ");
            out.push_str(&form(query.as_bytes()).replace('\n', "\n? "));
        }
        for line in &self.headers {
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            let value = if Self::is_technical(name) { value } else { DOTS };
            // Writing into a String cannot fail.
            write!(out, "\n{name}: {value}").ok();
        }
        out
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
    fn a_request_shows_where_it_went_and_nothing_about_the_person() {
        let sent = "PUT https://crm.example.org/people/jana%40example.org/tags?email=jana@example.org&consent=yes\n\
                    authorization: ***\ncontent-type: application/json\nx-name: Jana\n\n{\"email\":\"jana@example.org\"}\n\n\
                    POST https://crm.example.org/in\n\nfirst=Jana&count=2";
        let shown = request(sent);
        assert_eq!(
            shown,
            "PUT https://crm.example.org/people/•••/tags\n? email = j•••@e•••.org\n? consent = yes\n\
             authorization: •••\ncontent-type: application/json\nx-name: •••\n\n{\n  \"email\": \"j•••@e•••.org\"\n}\n\n\
             POST https://crm.example.org/in\n\nfirst = J•••\ncount = 2"
        );
    }

    #[test]
    fn values_of_unlisted_fields_are_masked() {
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
    fn a_body_that_is_not_json_shows_only_its_shape() {
        assert_eq!(body(b"{\"email\": \"jana\"", None), "{\"•••••\": \"••••\"");
        assert_eq!(body(b"", None), "");
        assert_eq!(
            body(
                b"email=jana",
                Some("application/x-www-form-urlencoded; charset=utf-8")
            ),
            "email = j•••"
        );
        // A bare JSON text may be personal data, too.
        assert_eq!(body(b"\"jana\"", None), "\"••••\"");
    }

    #[test]
    fn a_response_shows_technical_words() {
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
