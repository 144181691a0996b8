//! The response to an accepted message, in JSON, XML or as a form, as the sender accepts. It always has the same keys, because
//! platforms write its values into the contact.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use causeway_core::{
    form::{self, EmitOptions, EmptyGroups},
    xml,
};
use serde_json::{Map, Value};

use super::answering::Format;
use crate::web::error::json;

/// A response with status 200 and these members.
pub(super) fn ok(headers: &HeaderMap, format: Format, object: Map<String, Value>) -> Response {
    let wanted = match format {
        Format::Accept => wanted(headers),
        Format::Json => Written::Json,
        Format::Xml => Written::Xml,
        Format::Form => Written::Form,
    };
    match wanted {
        Written::Json => json(StatusCode::OK, Value::from(object).to_string()),
        Written::Xml => text("application/xml", xml::write("answer", &object)),
        Written::Form => text("application/x-www-form-urlencoded", as_form(object)),
    }
}

/// The members as a form with every key. A form has no null and no empty list, so these become empty texts.
fn as_form(object: Map<String, Value>) -> String {
    let mut root = Value::from(object);
    blank(&mut root);
    let Value::Object(object) = root else {
        return String::new();
    };
    let options = EmitOptions {
        empty_groups: EmptyGroups::Blank,
        ..EmitOptions::default()
    };
    // Names that PHP would change are left out; `config check` refuses them.
    form::emit_what_fits(&form::array_from_json(&object), options, &mut Vec::new())
}

fn blank(value: &mut Value) {
    match value {
        Value::Null => *value = "".into(),
        Value::Array(items) => items.iter_mut().for_each(blank),
        Value::Object(members) => members.values_mut().for_each(blank),
        _ => {}
    }
}

fn text(media_type: &'static str, body: String) -> Response {
    let mut response = json(StatusCode::OK, body);
    let media_type = HeaderValue::from_static(media_type);
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Json,
    Xml,
    Form,
}

/// The formats in the order of preference if the caller has none.
const WRITTEN: [(Written, &[&str]); 3] = [
    (Written::Json, &["application/json", "text/json"]),
    (Written::Xml, &["application/xml", "text/xml"]),
    (Written::Form, &["application/x-www-form-urlencoded"]),
];

/// A media range of `Accept`.
struct Range {
    media: String,
    /// In thousandths; 0 = not acceptable.
    quality: u16,
}

/// Chooses a format by RFC 9110: each format has the quality of the most specific range that matches it, and the best one is
/// chosen; among equals, the one whose range comes first. A caller that accepts none gets JSON, because its message is stored.
fn wanted(headers: &HeaderMap) -> Written {
    let lines = headers.get_all(header::ACCEPT).into_iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    let ranges: Vec<Range> = lines.flat_map(|line| line.split(',')).filter_map(range).collect();
    let mut best: Option<(Written, u16, usize)> = None;
    for (written, names) in WRITTEN {
        let fits = names
            .iter()
            .filter_map(|name| fit(&ranges, name))
            .max_by_key(Fit::order);
        let Some(Fit { quality, place, .. }) = fits.filter(|fit| fit.quality > 0) else {
            continue;
        };
        if best.is_none_or(|(_, known, at)| (quality, at) > (known, place)) {
            best = Some((written, quality, place));
        }
    }
    best.map_or(Written::Json, |(written, ..)| written)
}

/// The range that decides about a media type.
struct Fit {
    /// 3 = the type itself, 2 = `type/*`, 1 = `*/*`.
    specificity: u8,
    quality: u16,
    /// The position of the range in the header.
    place: usize,
}

impl Fit {
    /// Orders matching ranges: the more specific one wins.
    fn order(&self) -> (u8, u16, std::cmp::Reverse<usize>) {
        (self.specificity, self.quality, std::cmp::Reverse(self.place))
    }
}

fn fit(ranges: &[Range], media: &str) -> Option<Fit> {
    let kind = media.split('/').next().unwrap_or_default();
    let specificity = |range: &Range| match range.media.as_str() {
        exact if exact == media => 3,
        "*/*" | "*" => 1,
        wild if wild.strip_suffix("/*") == Some(kind) => 2,
        _ => 0,
    };
    let all = ranges.iter().enumerate().map(|(place, range)| Fit {
        specificity: specificity(range),
        quality: range.quality,
        place,
    });
    all.filter(|fit| fit.specificity > 0).max_by_key(Fit::order)
}

fn range(text: &str) -> Option<Range> {
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next()?.to_ascii_lowercase();
    let weight = parts.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let quality = match weight {
        None => 1_000,
        Some(weight) => thousandths(weight)?,
    };
    (!media.is_empty()).then_some(Range { media, quality })
}

/// A weight in thousandths; `None` if it is invalid, so that the range is ignored.
fn thousandths(weight: &str) -> Option<u16> {
    let weight: f32 = weight.parse().ok()?;
    if !(0.0..=1.0).contains(&weight) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is 0 to 1000"
    )]
    let thousandths = (weight * 1000.0).round() as u16;
    Some(thousandths)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(lines: &[&str]) -> Written {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::ACCEPT, line.parse().unwrap());
        }
        wanted(&headers)
    }

    #[test]
    fn the_best_quality_is_taken_and_of_equal_ones_the_first() {
        use Written::{Form, Json, Xml};
        for (accept, written) in [
            ("", Json),
            ("*/*", Json),
            ("text/html", Json),
            ("application/xml", Xml),
            ("text/xml", Xml),
            ("text/*", Json),
            ("text/*, text/json;q=0", Xml),
            ("application/x-www-form-urlencoded", Form),
            ("application/json;q=0.5, application/xml", Xml),
            ("application/json;q=0.5, application/xml;q=0.6", Xml),
            ("application/json; q=0.5 , application/xml;Q=0.4", Json),
            ("application/xml, application/json", Xml),
            ("application/json, application/xml", Json),
            (
                "application/xml;q=0.9, application/x-www-form-urlencoded;q=0.9",
                Xml,
            ),
            (
                "application/x-www-form-urlencoded;q=0.9, application/xml;q=0.9",
                Form,
            ),
            ("application/json;q=0, */*", Xml),
            ("application/json;q=0, application/xml;q=0.000, */*;q=0.1", Form),
            ("*/*;q=0", Json),
            ("application/json;q=0", Json),
            ("*/*, application/xml;q=0.5", Json),
            ("application/xml, */*;q=0.1", Xml),
            // A browser.
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                Xml,
            ),
            (
                "application/json;charset=utf-8;q=0.1, application/xml;charset=utf-8;q=0.2",
                Xml,
            ),
            // Invalid weights: the range is ignored.
            ("application/xml;q=2, application/json;q=0.1", Json),
            (
                "application/xml;q=best, application/x-www-form-urlencoded;q=0.1",
                Form,
            ),
        ] {
            assert_eq!(asked(&[accept]), written, "{accept}");
        }
        assert_eq!(asked(&[]), Json);
        assert_eq!(
            asked(&["application/json;q=0.5", "application/xml"]),
            Xml,
            "two lines are one list"
        );
    }

    #[test]
    fn a_form_has_every_key() {
        let object = json!({ "a": null, "b": { "c": null, "d": true }, "e": [], "f": [1, 2], "g": "x y" });
        let Value::Object(object) = object else {
            unreachable!()
        };
        assert_eq!(
            as_form(object),
            "a=&b%5Bc%5D=&b%5Bd%5D=1&e=&f%5B0%5D=1&f%5B1%5D=2&g=x+y"
        );
    }
}
