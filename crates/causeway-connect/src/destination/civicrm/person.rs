//! Who is meant, and values in CiviCRM's form.

use std::fmt::Write as _;

use causeway_core::clock::Timestamp;
use jiff::{civil::DateTime, tz::TimeZone};
use serde_json::{Map, Value};

use super::{Found, Memo, config::Several};

/// The contact that is meant; `None` if nobody has the address. The note says that there were several. `Err` has their
/// ids, if none may be chosen.
pub(super) fn choose(memo: &Memo, how: Several) -> Result<Option<(Found, Option<String>)>, String> {
    // The identifier names the person, whoever else has the address.
    if let Some(named) = memo.named.as_ref().filter(|named| named.is_individual) {
        return Ok(Some((named.clone(), None)));
    }
    let mut all: Vec<&Found> = memo
        .found
        .iter()
        .filter(|found| found.is_individual && !found.is_deleted)
        .collect();
    all.sort_by_key(|found| found.id);
    all.dedup_by_key(|found| found.id);
    let (Some(first), more) = (all.first().copied(), all.len() > 1) else {
        return Ok(None);
    };
    if !more {
        return Ok(Some((first.clone(), None)));
    }
    let ids = ids(&all);
    let name = |name: &str| memo.fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let same =
        |one: &str, other: &str| usize::from(!one.is_empty() && one.to_lowercase() == other.to_lowercase());
    let score = |found: &Found| {
        same(&found.first_name, name("first_name")) + same(&found.last_name, name("last_name"))
    };
    let chosen = match how {
        Several::Reject => return Err(ids),
        Several::Oldest => first,
        Several::BestName => {
            let best = all.iter().map(|found| score(found)).max().unwrap_or_default();
            let mut best = all.iter().filter(|found| score(found) == best);
            best.next().copied().unwrap_or(first)
        }
    };
    let note = format!(
        "several contacts have the address ({ids}): {} was used",
        chosen.id
    );
    Ok(Some((chosen.clone(), Some(note))))
}

/// The ids for a reason: `12, 45`.
pub(super) fn ids(found: &[&Found]) -> String {
    let mut text = String::new();
    for one in found.iter().take(10) {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing into a String cannot fail.
        write!(text, "{comma}{}", one.id).ok();
    }
    text
}

/// A time as the site stores it.
pub(super) fn local(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone())
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}

/// A time that the site stored. Of an hour that the clock has twice, the later one: it is never taken for older than it is.
pub(super) fn moment(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let local: DateTime = text.replacen(' ', "T", 1).parse().ok()?;
    zone.to_ambiguous_zoned(local)
        .later()
        .ok()
        .map(|at| at.timestamp())
}

/// CiviCRM knows languages with their country only: `de` becomes `de_DE`.
pub(super) fn expand_language(fields: &mut Map<String, Value>) {
    let Some(Value::String(text)) = fields.get_mut("preferred_language") else {
        return;
    };
    let plain = text.replace('-', "_");
    let (language, country) = plain.split_once('_').unwrap_or((&plain, ""));
    let language = language.to_lowercase();
    let country = match (&*language, country) {
        (_, country) if !country.is_empty() => country.to_uppercase(),
        ("en", _) => "US".to_owned(),
        ("cs", _) => "CZ".to_owned(),
        ("da", _) => "DK".to_owned(),
        ("el", _) => "GR".to_owned(),
        ("et", _) => "EE".to_owned(),
        ("ga", _) => "IE".to_owned(),
        ("ja", _) => "JP".to_owned(),
        ("nb" | "nn", _) => "NO".to_owned(),
        ("sl", _) => "SI".to_owned(),
        ("sq", _) => "AL".to_owned(),
        ("sr", _) => "RS".to_owned(),
        ("sv", _) => "SE".to_owned(),
        ("uk", _) => "UA".to_owned(),
        (language, _) => language.to_uppercase(),
    };
    *text = format!("{language}_{country}");
}

/// `details` is HTML, and anybody can type anything into a form.
pub(super) fn as_html(activity: &mut Map<String, Value>) {
    if let Some(Value::String(text)) = activity.get_mut("details") {
        let escaped = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;");
        *text = escaped.replace("\r\n", "\n").replace('\n', "<br />");
    }
    for (name, most) in [("subject", 255), ("location", 255)] {
        if let Some(Value::String(text)) = activity.get_mut(name) {
            *text = text.chars().take(most).collect();
        }
    }
}
