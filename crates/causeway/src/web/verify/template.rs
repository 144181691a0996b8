//! The template of the signed text, with placeholders for the request's parts.

use std::borrow::Cow;

use causeway_connect::config::ConfigError;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Method,
    Uri,
    Id,
    Timestamp,
    Body,
}

pub(super) fn parse_template(text: &str) -> Result<Vec<Part>, ConfigError> {
    let wrong = |message: String| ConfigError::new("signature.custom.template", message);
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let Some((before, after)) = rest.split_once('{') else {
            parts.push(Part::Text(rest.to_owned()));
            break;
        };
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        let (name, behind) = after
            .split_once('}')
            .ok_or_else(|| wrong("a { is not closed".to_owned()))?;
        parts.push(match name {
            "method" => Part::Method,
            "uri" => Part::Uri,
            "id" => Part::Id,
            "timestamp" => Part::Timestamp,
            "body" => Part::Body,
            _ => {
                return Err(wrong(format!("unknown placeholder {{{name}}}"))
                    .hint("use method, uri, id, timestamp or body"));
            }
        });
        rest = behind;
    }
    Ok(parts)
}

/// The escapes that HubSpot decodes before it signs a URL.
const UNDONE: [(&str, &str); 12] = [
    ("%3A", ":"),
    ("%2F", "/"),
    ("%3F", "?"),
    ("%40", "@"),
    ("%21", "!"),
    ("%24", "$"),
    ("%27", "'"),
    ("%28", "("),
    ("%29", ")"),
    ("%2A", "*"),
    ("%2C", ","),
    ("%3B", ";"),
];

pub(super) fn decode_some(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let escape = rest.get(before.len()..before.len() + 3).unwrap_or_default();
        if let Some((_, to)) = UNDONE.iter().find(|(from, _)| from.eq_ignore_ascii_case(escape)) {
            out.push_str(to);
            rest = after.get(2..).unwrap_or_default();
        } else {
            out.push('%');
            rest = after;
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}
