//! Consent in a field of the sender: a list field (`Newsletter` = `yes`), a status (`status` = `Disactive`),
//! a box on a form. Only the listed values have a meaning; nothing is assumed about others.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::{Map, Value};

use super::{
    at_format::{AtFormat, Dated, Span},
    generic,
    names::{folded, look_up_all, same_name},
    params,
    placeholders::{Placeholders, number, shown},
    sync::scalar,
};
use crate::{
    address::normal_email,
    consent::{ConsentFact, What},
    event::{Event, RuleReport},
};

/// One rule: the meaning of one field's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentFrom {
    /// The field's name, ignoring case, or a dotted path.
    pub field: String,
    pub purpose: String,
    /// Value → meaning. The value is in the form that [`word`] makes.
    pub words: Vec<(String, What)>,
    /// The field with the date of the consent; if not configured, the time of the message counts. If it is
    /// configured and holds no date, an opt-in does not count: such a field is sent with every record, and
    /// would undo any opt-out given since.
    pub at_field: Option<String>,
    /// The date format of `at_field`.
    pub at_format: AtFormat,
}

/// How far a sender's clock may be ahead. An opt-in with a later date would be news in each message that
/// repeats it.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// The rules of a source, and its way of writing values and dates.
pub(super) struct Reader<'a> {
    pub rules: &'a [ConsentFrom],
    pub placeholders: &'a Placeholders,
    pub zone: &'a TimeZone,
}

/// The time of a message. If only its day is known, an opt-in counts from the beginning of the day and an
/// opt-out to its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct When {
    /// `None` if the message has a time that cannot be read. An opt-in in it then has no date.
    pub begin: Option<Timestamp>,
    pub end: Timestamp,
    pub received_at: Timestamp,
}

impl When {
    pub fn at(at: Timestamp, received_at: Timestamp) -> Self {
        Self {
            begin: Some(at),
            end: at,
            received_at,
        }
    }

    /// The time of a fact that has no date of its own.
    fn of(&self, what: &What) -> Option<Timestamp> {
        if what.is_opt_out() {
            Some(self.end)
        } else {
            self.begin.or((!what.is_opt_in()).then_some(self.received_at))
        }
    }
}

impl Reader<'_> {
    /// Adds the facts in the fields to the event. A field is looked up in each of `fields`, and all occurrences
    /// count, so that an opt-in in one place does not hide an opt-out in another. Values that could not be used
    /// are noted, without quoting them.
    pub fn read(&self, fields: &[&Map<String, Value>], when: When, event: &mut Event) {
        for rule in self.rules {
            let near = find(fields, &rule.field);
            let places = find_below(fields, &rule.field, event);
            let mut report = RuleReport {
                field: rule.field.clone(),
                purpose: rule.purpose.clone(),
                met: !places.is_empty(),
                unlisted: 0,
                undated: 0,
            };
            let near = values_in(&near);
            let (mut yes, mut no) = (0, 0);
            for value in values_in(&places) {
                match rule.meaning(value) {
                    // A field of the same name outside the contact's data is no opt-in of the contact.
                    Some(what) if what.is_opt_in() && !near.contains(&value) => {}
                    Some(what) => {
                        *(if what.is_opt_in() { &mut yes } else { &mut no }) += 1;
                        self.add(rule, what, fields, when, event, &mut report);
                    }
                    None if self.placeholders.is_nothing(value) || !near.contains(&value) => {}
                    None => report.unlisted += 1,
                }
            }
            if places.len() > 1 && yes > 0 && no > 0 {
                event.notes.push(format!(
                    "field {}: the fields with this name hold an opt-in and an opt-out; the opt-out counts",
                    rule.field
                ));
            }
            if report.unlisted > 0 {
                event.notes.push(format!(
                    "field {}: {} that `consent_from` does not list; nothing is assumed about {}",
                    rule.field,
                    if report.unlisted == 1 {
                        "a value".to_owned()
                    } else {
                        format!("{} values", report.unlisted)
                    },
                    rule.purpose
                ));
            }
            event.rules.push(report);
        }
    }

    fn add(
        &self,
        rule: &ConsentFrom,
        what: &What,
        fields: &[&Map<String, Value>],
        when: When,
        event: &mut Event,
        report: &mut RuleReport,
    ) {
        let otherwise = when.of(what);
        let (at, doubt) = match &rule.at_field {
            Some(name) => match self.since(rule, what, &dates(fields, name, what, event)) {
                Ok(at) if what.is_opt_in() && at.duration_since(when.received_at) > AHEAD => {
                    (None, Some(format!("{name} holds a date in the future")))
                }
                // An opt-out counts at the latest from the message's arrival. An opt-in counts at the latest
                // from the message's own time, because a later date would outweigh an opt-out of today.
                Ok(at) if what.is_opt_out() => (Some(at.min(when.received_at)), None),
                Ok(at) => (Some(at.min(otherwise.unwrap_or(when.received_at))), None),
                Err(doubt) => (
                    otherwise.filter(|_| !what.is_opt_in()),
                    Some(format!("{name} {doubt}")),
                ),
            },
            None => (
                otherwise,
                otherwise
                    .is_none()
                    .then(|| "the message has a time that cannot be read".to_owned()),
            ),
        };
        if let Some(doubt) = doubt {
            report.undated += 1;
            event
                .notes
                .push(format!("field {}: {doubt}, {}", rule.field, consequence(what)));
        }
        if let Some(at) = at {
            let basis = format!("field {}: {}", rule.field, what.as_str());
            event
                .consent
                .push(ConsentFact::new(&*rule.purpose, what.clone(), at, basis));
        }
    }

    /// The date in the field; `Err` says why there is none. Of several dates, an opt-in counts from the
    /// earliest and an opt-out from the latest, so that an opt-out is never older than an opt-in of the same
    /// message.
    fn since(&self, rule: &ConsentFrom, what: &What, dates: &[&Value]) -> Result<Timestamp, &'static str> {
        let is_opt_out = what.is_opt_out();
        let mut known: Option<Result<Timestamp, &'static str>> = None;
        for date in dates {
            let text = Some(*date).filter(|date| !self.placeholders.is_nothing(date));
            let Some(text) = text.and_then(scalar) else {
                continue;
            };
            let read = match rule.at_format.read(&text, self.zone) {
                Dated::Within(Span { end, .. }) if is_opt_out => Ok(end),
                Dated::Within(Span { begin, .. }) => Ok(begin),
                Dated::Nothing => continue,
                Dated::Ambiguous => Err("holds a date that can be read in two ways; set `at_format`"),
                Dated::Unreadable => Err("holds no date that can be read; set `at_format` if it is one"),
            };
            known = Some(match (known, read) {
                (None, read) => read,
                (Some(Ok(known)), Ok(at)) if is_opt_out => Ok(known.max(at)),
                (Some(Ok(known)), Ok(at)) => Ok(known.min(at)),
                (Some(Ok(at)), Err(_)) | (Some(Err(_)), Ok(at)) if is_opt_out => Ok(at),
                // The unreadable date may be the date of the opt-in.
                (Some(Err(doubt)), _) | (_, Err(doubt)) => Err(doubt),
            });
        }
        known.unwrap_or(Err("holds no date"))
    }
}

/// All values of the field, those with the nearest spelling first.
fn find<'a>(fields: &[&'a Map<String, Value>], name: &str) -> Vec<&'a Value> {
    let mut found: Vec<&Value> = Vec::new();
    for value in fields.iter().flat_map(|fields| look_up_all(fields, name)) {
        // Values that were sent are in the record, too.
        if !found.contains(&value) {
            found.push(value);
        }
    }
    found
}

/// The values that may hold the date of a fact. For an opt-out, the date may be in every place in which the
/// opt-out itself counts.
fn dates<'a>(fields: &[&'a Map<String, Value>], name: &str, what: &What, event: &Event) -> Vec<&'a Value> {
    if what.is_opt_out() {
        find_below(fields, name, event)
    } else {
        find(fields, name)
    }
}

/// As [`find`], but also searches the wrappers around the contact's data, and their rows of name and value.
/// Objects with another address are left out, because they belong to another person. Objects that are not about
/// the contact are left out, too: an order has a status of its own.
fn find_below<'a>(fields: &[&'a Map<String, Value>], name: &str, event: &Event) -> Vec<&'a Value> {
    let mut found = find(fields, name);
    let is_others = |address: &String| !event.identities.iter().any(|own| own.value() == address);
    for inner in fields.iter().flat_map(|fields| containers(fields)) {
        below(inner, name, &is_others, &mut found, DEEPEST);
    }
    found
}

/// The levels of wrappers around a field, as in `data`, `contact`, `fields`, and a row.
const DEEPEST: u8 = 5;

/// The members that may hold fields of the contact.
fn containers(members: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    let is_wrapper = |name: &str| {
        [generic::WRAPPERS, &["fields", params::REPLACED]]
            .iter()
            .any(|names| generic::is_one_of(name, names))
    };
    let inside = members.iter().filter(move |(name, _)| is_wrapper(name));
    inside.map(|(_, value)| value)
}

fn below<'a>(
    value: &'a Value,
    name: &str,
    is_others: &dyn Fn(&String) -> bool,
    found: &mut Vec<&'a Value>,
    depth: u8,
) {
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    match value {
        Value::Array(items) => {
            for item in items {
                below(item, name, is_others, found, depth);
            }
        }
        Value::Object(members) if address_in(members).as_ref().is_none_or(|one| !is_others(one)) => {
            let of_row = value_of_row(members, name);
            for value in look_up_all(members, name).into_iter().chain(of_row) {
                if !found.contains(&value) {
                    found.push(value);
                }
            }
            for inner in containers(members) {
                below(inner, name, is_others, found, depth);
            }
        }
        _ => {}
    }
}

fn address_in(members: &Map<String, Value>) -> Option<String> {
    let keys = generic::keys(members, generic::EMAIL_NAMES);
    keys.filter_map(|key| members.get(key)?.as_str())
        .find_map(normal_email)
}

/// The row's value, if `name` is the row's name or label.
fn value_of_row<'a>(row: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let value = row.get("value")?;
    let mut labels = ["name", "label"].iter().filter_map(|key| row.get(*key)?.as_str());
    labels.any(|label| same_name(label, name)).then_some(value)
}

/// The values in these places. A value that an earlier place holds is not repeated.
fn values_in<'a>(places: &[&'a Value]) -> Vec<&'a Value> {
    let mut found: Vec<&Value> = Vec::new();
    for place in places {
        let values = match place {
            Value::Array(values) => values.as_slice(),
            value => std::slice::from_ref(*value),
        };
        let before = found.clone();
        found.extend(values.iter().filter(|value| !before.contains(value)));
    }
    found
}

fn consequence(what: &What) -> &'static str {
    if what.is_opt_in() {
        "so an opt-in is not counted"
    } else {
        "so it counts from this message on"
    }
}

impl ConsentFrom {
    /// The meaning of a value, if it is listed. Also looks for the other spellings of a boolean, as a word or
    /// as a number.
    fn meaning(&self, value: &Value) -> Option<&What> {
        let text = match value {
            Value::Bool(flag) => flag.to_string(),
            other => word(&scalar(other)?),
        };
        let spellings: &[&str] = match text.as_str() {
            "true" => &["1", "yes"],
            "false" => &["0", "no"],
            "1" => &["true"],
            "0" => &["false"],
            _ => &[],
        };
        let listed = |text: &str| {
            let found = self.words.iter().find(|(word, _)| word == text);
            found.map(|(_, what)| what)
        };
        listed(&text).or_else(|| spellings.iter().find_map(|text| listed(text)))
    }
}

/// The form in which values are compared: case and surrounding blanks are ignored, and numbers have one
/// spelling.
pub fn word(text: &str) -> String {
    let text = folded(shown(text));
    number(&text).unwrap_or(text)
}

#[cfg(test)]
mod tests;
