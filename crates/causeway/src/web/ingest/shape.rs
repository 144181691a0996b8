//! Examines a body without decoding it: its format, the number of its fields, and its nesting.

use axum::http::{HeaderMap, HeaderValue, header};
use causeway_core::{
    decode::body::{self, Body, BodyError, Excess, Spelling},
    envelope::Meta,
};

use super::config::Limits;
use crate::web::error::Refusal;

/// The format of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Form,
    Multipart,
    Json,
    Xml,
    /// White space or nothing: all data is in the query.
    Empty,
}

/// The format by content type, or else by the first byte, as the decoders read it. `Err` for a body that is not text.
pub(super) fn kind(headers: &HeaderMap, body: &[u8]) -> Result<Kind, Refusal> {
    if headers.get(header::CONTENT_ENCODING).is_some_and(is_compressed) {
        return Err(Refusal::Unsupported);
    }
    let media = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let first = body::without_mark(body)
        .iter()
        .find(|byte| !byte.is_ascii_whitespace());
    let looks_like_json = matches!(first, Some(b'{' | b'['));
    // Some senders declare a form but send JSON. A form that begins with a bracket has no valid name.
    let is_json = media == "application/json" || media == "text/json" || media.ends_with("+json");
    if is_json && (looks_like_json || !body.contains(&b'=')) {
        return Ok(Kind::Json);
    }
    if media == "multipart/form-data" {
        return Ok(Kind::Multipart);
    }
    if BINARY.iter().any(|start| media.starts_with(start)) {
        return Err(Refusal::Unsupported);
    }
    if media.ends_with("/xml") || media.ends_with("+xml") {
        return Ok(Kind::Xml);
    }
    let is_declared = is_json || media == "application/x-www-form-urlencoded";
    Ok(match first {
        None => Kind::Empty,
        Some(b'{' | b'[') => Kind::Json,
        Some(b'<') if !is_declared => Kind::Xml,
        Some(_) => Kind::Form,
    })
}

/// Prefixes of media types that are never text.
const BINARY: [&str; 7] = [
    "image/",
    "audio/",
    "video/",
    "font/",
    "application/pdf",
    "application/zip",
    "application/gzip",
];

fn is_compressed(value: &HeaderValue) -> bool {
    !value.as_bytes().eq_ignore_ascii_case(b"identity") && !value.is_empty()
}

/// Refuses a body that exceeds the limits, without parsing it.
pub(super) fn check(kind: Kind, query: &str, body: &[u8], limits: &Limits) -> Result<(), Refusal> {
    let (mut pairs, mut depth) = count_pairs(query.as_bytes());
    match kind {
        Kind::Form => {
            let (more, deeper) = count_pairs(body);
            pairs += more;
            depth = depth.max(deeper);
        }
        Kind::Json => {
            let (more, deeper) = count_values(body);
            pairs += more;
            // In JSON, the record itself is one level more than in a form.
            depth = depth.max(deeper.saturating_sub(1));
        }
        // `read` checks their limits.
        Kind::Multipart | Kind::Xml | Kind::Empty => {}
    }
    if pairs > limits.pairs as usize {
        return Err(Refusal::TooLarge("pairs"));
    }
    if depth > limits.depth as usize {
        return Err(Refusal::TooLarge("depth"));
    }
    Ok(())
}

/// Parses the formats whose size is only known after parsing, and stops at the limits. For an invalid body it returns `None`:
/// the message is stored, and the decoder reports the error.
pub(super) fn read(
    kind: Kind,
    meta: &Meta,
    body: &[u8],
    (limits, spelling): (&Limits, &Spelling),
) -> Result<Option<Body>, Refusal> {
    if !matches!(kind, Kind::Multipart | Kind::Xml) {
        return Ok(None);
    }
    match spelling.read(meta, body, limits.for_decoder()) {
        Err(BodyError::OverLimit(excess, _)) => Err(Refusal::TooLarge(match excess {
            Excess::Bytes => "body",
            Excess::Pairs => "pairs",
            Excess::Depth => "depth",
        })),
        read => Ok(read.ok()),
    }
}

/// The number of pairs of a form, and the largest number of `[` in one name, in one pass.
fn count_pairs(form: &[u8]) -> (usize, usize) {
    let (mut pairs, mut deepest) = (0, 0);
    let mut bytes = form.iter();
    while !bytes.as_slice().is_empty() {
        let before = bytes.len();
        let mut brackets = 0;
        let mut end = None;
        while let Some(byte) = bytes.next() {
            match byte {
                b'=' | b'&' => {
                    end = Some(*byte);
                    break;
                }
                b'[' => brackets += 1,
                b'%' if matches!(bytes.as_slice(), [b'5', b'b' | b'B', ..]) => brackets += 1,
                _ => {}
            }
        }
        let is_empty = end == Some(b'&') && before - bytes.len() == 1;
        if end == Some(b'=') {
            // The value of a pair affects neither count.
            let rest = bytes.as_slice();
            let end = memchr::memchr(b'&', rest).map_or(rest.len(), |at| at + 1);
            bytes = rest.get(end..).unwrap_or_default().iter();
        }
        pairs += usize::from(!is_empty);
        deepest = deepest.max(brackets);
    }
    (pairs, deepest)
}

/// The approximate number of values of a JSON text (by its commas), and the nesting of its brackets, outside of strings.
fn count_values(json: &[u8]) -> (usize, usize) {
    let mut values = usize::from(!json.is_empty());
    let mut depth = 0_usize;
    let mut deepest = 0;
    let mut in_string = false;
    let mut escaped = false;
    for byte in json {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b',' => values += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    (values, deepest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_and_brackets_of_a_form_are_counted() {
        for (form, expected) in [
            ("", (0, 0)),
            ("&&", (0, 0)),
            ("a=1", (1, 0)),
            ("a=1&b[c]=2&", (2, 1)),
            ("a%5Bb%5d%5bc%5D=[[[[", (1, 2)),
            ("a[[[[", (1, 4)),
            ("&=&a&==[&%5b", (4, 1)),
        ] {
            assert_eq!(count_pairs(form.as_bytes()), expected, "{form}");
        }
    }

    #[test]
    fn values_and_depth_of_json_are_counted_outside_of_strings() {
        for (json, expected) in [
            ("", (0, 0)),
            ("1", (1, 0)),
            ("[]", (1, 1)),
            (r#"{"a":[{},1,2]}"#, (3, 3)),
            (r#"{"a":"[[,[\"[["}"#, (1, 1)),
            (r#"["\\",[]]"#, (2, 2)),
            ("]]]][[", (1, 2)),
        ] {
            assert_eq!(count_values(json.as_bytes()), expected, "{json}");
        }
    }

    #[test]
    fn the_kind_follows_the_content_type_and_then_the_first_byte() {
        for (media, body, expected) in [
            (
                Some("application/x-www-form-urlencoded; charset=utf-8"),
                "a=1",
                Ok(Kind::Form),
            ),
            (Some("application/x-www-form-urlencoded"), "{}", Ok(Kind::Json)),
            (Some("Application/JSON"), "{\"a\":\"=\"}", Ok(Kind::Json)),
            (Some("application/json"), "a=1", Ok(Kind::Form)),
            (Some("application/json"), "broken", Ok(Kind::Json)),
            (Some("application/cloudevents+json"), "", Ok(Kind::Json)),
            (Some("multipart/form-data; boundary=x"), "", Ok(Kind::Multipart)),
            (Some("text/plain"), " \n[1]", Ok(Kind::Json)),
            (Some("application/octet-stream"), "a=1", Ok(Kind::Form)),
            (Some("application/xml"), "<a/>", Ok(Kind::Xml)),
            (Some("text/xml; charset=utf-8"), "a=1", Ok(Kind::Xml)),
            (Some("application/soap+xml"), "", Ok(Kind::Xml)),
            (None, "\u{feff}\n<a/>", Ok(Kind::Xml)),
            (Some("application/x-www-form-urlencoded"), "<a>=1", Ok(Kind::Form)),
            (Some("application/json"), "<a b='1'/>", Ok(Kind::Form)),
            (None, "\u{feff}{}", Ok(Kind::Json)),
            (None, "{}", Ok(Kind::Json)),
            (None, " \r\n", Ok(Kind::Empty)),
            (Some("image/svg+xml"), "<svg/>", Err(Refusal::Unsupported)),
            (Some("image/png"), "{}", Err(Refusal::Unsupported)),
            (Some("application/pdf"), "%PDF", Err(Refusal::Unsupported)),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(media) = media {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
            }
            assert_eq!(kind(&headers, body.as_bytes()), expected, "{media:?} {body}");
        }
    }
}
