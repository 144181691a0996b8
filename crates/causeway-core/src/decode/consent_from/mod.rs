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
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::EventKind;

    fn rules() -> Vec<ConsentFrom> {
        let words = |words: &[(&str, What)]| {
            words
                .iter()
                .map(|(text, what)| (word(text), what.clone()))
                .collect()
        };
        vec![
            ConsentFrom {
                field: "Newsletter".to_owned(),
                purpose: "email".to_owned(),
                words: words(&[
                    ("Yes", What::OptIn),
                    ("1", What::OptIn),
                    ("no", What::Unsubscribed),
                ]),
                at_field: Some("Newsletter date".to_owned()),
                at_format: AtFormat::Plain,
            },
            ConsentFrom {
                field: "calls.allowed".to_owned(),
                purpose: "phone".to_owned(),
                words: words(&[("true", What::OptIn), ("false", What::Declined)]),
                at_field: None,
                at_format: AtFormat::Plain,
            },
        ]
    }

    fn read(rules: &[ConsentFrom], fields: &Value, when: When) -> Event {
        let reader = Reader {
            rules,
            placeholders: &Placeholders::default(),
            zone: &TimeZone::get("Europe/Berlin").unwrap(),
        };
        let mut event = Event::new(EventKind::ContactSync, "crm".into(), when.received_at);
        reader.read(&[fields.as_object().unwrap()], when, &mut event);
        event
    }

    fn facts_and_notes(fields: &Value) -> (Vec<(String, &'static str, String)>, Vec<String>) {
        let at = "2026-05-01T10:00:00Z".parse().unwrap();
        let event = read(&rules(), fields, When::at(at, at));
        let facts = event
            .consent
            .into_iter()
            .map(|fact| (fact.purpose, fact.what.as_str(), fact.at.to_string()))
            .collect();
        (facts, event.notes)
    }

    #[test]
    fn only_listed_values_give_facts() {
        let now = "2026-05-01T10:00:00Z";
        for (fields, expected) in [
            (
                json!({ "Newsletter": " YES ", "newsletter DATE": "2026-05-01T10:00:00Z" }),
                vec![("email", "opt_in", now)],
            ),
            (
                json!({ "newsletter": 1, "Newsletter date": 1_777_629_600 }),
                vec![("email", "opt_in", now)],
            ),
            (
                json!({ "NEWSLETTER": "No", "Newsletter date": "2026-05-02" }),
                vec![("email", "unsubscribed", now)],
            ),
            (
                json!({ "Newsletter": ["yes", "no"], "Newsletter date": "2026-05-01T10:01:00Z" }),
                vec![("email", "opt_in", now), ("email", "unsubscribed", now)],
            ),
            (
                json!({ "calls": { "allowed": true } }),
                vec![("phone", "opt_in", now)],
            ),
            (
                json!({ "calls.allowed": false }),
                vec![("phone", "declined", now)],
            ),
            (
                json!({ "Newsletter": "yes", "Newsletter date": "2026-04-01 08:00" }),
                vec![("email", "opt_in", "2026-04-01T06:00:00Z")],
            ),
            // Not before it arrived.
            (
                json!({ "Newsletter": "yes", "Newsletter date": "2026-05-01T10:05:00Z" }),
                vec![("email", "opt_in", now)],
            ),
            (
                json!({ "Newsletter": "no", "Newsletter date": "2027-04-01" }),
                vec![("email", "unsubscribed", now)],
            ),
            // A time to the minute, in the hour that exists twice.
            (
                json!({ "Newsletter": "no", "Newsletter date": "2026-04-01 08:00" }),
                vec![("email", "unsubscribed", "2026-04-01T06:00:59.999Z")],
            ),
            (
                json!({ "Newsletter": "no", "Newsletter date": "2026-04-01T08:00:00Z" }),
                vec![("email", "unsubscribed", "2026-04-01T08:00:00.999Z")],
            ),
            (
                json!({ "Newsletter": "no", "Newsletter date": "2025-10-26 02:30" }),
                vec![("email", "unsubscribed", "2025-10-26T01:30:59.999Z")],
            ),
            (
                json!({ "Newsletter": "yes", "Newsletter date": "2025-10-26 02:30" }),
                vec![("email", "opt_in", "2025-10-26T00:30:00Z")],
            ),
            (json!({ "Newsletter": "" }), vec![]),
            (json!({ "Newsletter": null }), vec![]),
            (json!({ "Newsletters": "yes" }), vec![]),
        ] {
            let (facts, notes) = facts_and_notes(&fields);
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(purpose, what, at)| (purpose.to_owned(), what, at.to_owned()))
                .collect();
            assert_eq!(facts, expected, "{fields}");
            assert_eq!(notes, Vec::<String>::new(), "{fields}");
        }
    }

    /// An exact match of the name does not hide other spellings.
    #[test]
    fn every_place_with_the_name_counts_and_an_opt_out_wins() {
        let date = "2026-04-01T08:00:00Z";
        for fields in [
            json!({ "Newsletter": "yes", "NEWSLETTER": "no", "Newsletter date": date }),
            json!({ "Newsletter": "no", "NEWSLETTER": "yes", "Newsletter date": date }),
            json!({ "newsletter": ["yes"], "newsLetter": ["no"], "Newsletter date": date }),
            // The opt-in takes the earlier date, the opt-out the later one.
            json!({ "Newsletter": "yes", "NEWSLETTER": "no", "Newsletter date": date,
                "newsletter DATE": "2026-03-01T08:00:00Z" }),
        ] {
            let (facts, notes) = facts_and_notes(&fields);
            let at = |word: &str| {
                let fact = facts.iter().find(|(_, what, _)| *what == word).unwrap();
                fact.2.parse::<Timestamp>().unwrap()
            };
            assert!(at("unsubscribed") > at("opt_in"), "{fields}: {facts:?}");
            assert_eq!(
                notes,
                [
                    "field Newsletter: the fields with this name hold an opt-in and an opt-out; the opt-out counts"
                ],
                "{fields}"
            );
        }
        // The same value in two places counts once, and an empty place is ignored.
        for fields in [
            json!({ "Newsletter": "no", "NEWSLETTER": "no" }),
            json!({ "Newsletter": "", "NEWSLETTER": "no", "Newsletter date": "", "newsletter DATE": date }),
            json!({ "Newsletter": null, "NEWSLETTER": "no" }),
        ] {
            assert_eq!(facts_and_notes(&fields).0.len(), 1, "{fields}");
        }
        // One of the two dates cannot be read.
        let two =
            |value: &str| json!({ "Newsletter": value, "Newsletter date": "soon", "newsletter DATE": date });
        assert_eq!(facts_and_notes(&two("yes")).0, []);
        assert_eq!(facts_and_notes(&two("no")).0[0].2, "2026-04-01T08:00:00.999Z");
    }

    #[test]
    fn an_unlisted_value_is_noted_without_quoting_it() {
        let (facts, notes) =
            facts_and_notes(&json!({ "Newsletter": "maybe", "calls": { "allowed": { "x": 1 } } }));
        assert_eq!(facts, []);
        assert_eq!(notes.len(), 2);
        assert!(
            notes[0].contains("field Newsletter: a value that") && !notes[0].contains("maybe"),
            "{notes:?}"
        );
        let (_, notes) = facts_and_notes(&json!({ "Newsletter": ["maybe", "NULL", "", "later"] }));
        assert!(
            notes.len() == 1 && notes[0].contains("field Newsletter: 2 values that"),
            "{notes:?}"
        );
    }

    /// The field is in every record, also long after an opt-out elsewhere.
    #[test]
    fn an_opt_in_without_its_date_does_not_count_and_an_opt_out_does() {
        for date in [
            json!("soon"),
            json!("N/A"),
            json!(""),
            json!(null),
            json!("05.03.2026"),
            json!("1970-01-01"),
            json!("0000-00-00"),
        ] {
            for (value, expected) in [("yes", 0), ("no", 1)] {
                let (facts, notes) =
                    facts_and_notes(&json!({ "Newsletter": value, "Newsletter date": date }));
                assert_eq!(facts.len(), expected, "{value} {date}");
                assert!(notes[0].contains("Newsletter date holds "), "{notes:?}");
                let (facts, notes) = facts_and_notes(&json!({ "Newsletter": value }));
                assert_eq!((facts.len(), notes.len()), (expected, 1), "{value}");
            }
        }
    }

    /// Otherwise each later message with the same date would be a new opt-in.
    #[test]
    fn an_opt_in_dated_in_the_future_does_not_count() {
        for date in ["2026-05-01T10:05:01Z", "2026-05-02", "2027-04-01"] {
            let (facts, notes) = facts_and_notes(&json!({ "Newsletter": "yes", "Newsletter date": date }));
            assert_eq!(facts, [], "{date}");
            assert_eq!(
                notes,
                ["field Newsletter: Newsletter date holds a date in the future, so an opt-in is not counted"]
            );
        }
    }

    fn rule(words: &[(&str, What)], at_format: AtFormat) -> Vec<ConsentFrom> {
        vec![ConsentFrom {
            field: "news".to_owned(),
            purpose: "email".to_owned(),
            words: words
                .iter()
                .map(|(text, what)| (word(text), what.clone()))
                .collect(),
            at_field: Some("since".to_owned()),
            at_format,
        }]
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn numbers_and_booleans_are_compared_by_value() {
        let rules = |yes: &str, no: &str| ConsentFrom {
            at_field: None,
            ..rule(&[(yes, What::OptIn), (no, What::Unsubscribed)], AtFormat::Plain).remove(0)
        };
        let now = When::at(at("2026-05-01T10:00:00Z"), at("2026-05-01T10:00:00Z"));
        for (listed, values, expected) in [
            (
                ("1", "0"),
                json!([
                    "0.0",
                    "0,00",
                    "+0",
                    "-0",
                    "00",
                    " 0\u{a0}",
                    "\u{200b}0",
                    "FALSE",
                    0,
                    0.0,
                    false
                ]),
                "unsubscribed",
            ),
            (
                ("1", "0"),
                json!(["1", "1.0", "01", "True", 1, 1.0, true]),
                "opt_in",
            ),
            (
                ("yes", "no"),
                json!([false, "False", "\u{a0}NO "]),
                "unsubscribed",
            ),
            (("yes", "no"), json!([true, "TRUE", "Yes"]), "opt_in"),
            (("true", "false"), json!(["0", 0, false]), "unsubscribed"),
            (("true", "null"), json!([null, "NULL"]), "nothing"),
            (("1", "none"), json!(["none", "None"]), "unsubscribed"),
            (("1", "0"), json!(["no", "2", "0.1", "0x0"]), "unlisted"),
            (("yes", "no"), json!(["0", "1"]), "unlisted"),
        ] {
            for value in values.as_array().unwrap() {
                let event = read(&[rules(listed.0, listed.1)], &json!({ "news": value }), now);
                let what = event.consent.first().map(|fact| fact.what.as_str());
                let what = what.unwrap_or(if event.rules[0].unlisted == 1 {
                    "unlisted"
                } else {
                    "nothing"
                });
                // A listed word counts, even one that stands for "nothing" in other fields.
                let expected = if value == "NULL" { "unsubscribed" } else { expected };
                assert_eq!(what, expected, "{listed:?} {value}");
            }
        }
    }

    /// An opt-out dated by a day may have been given in the day's last minute, an opt-in in its first.
    #[test]
    fn a_day_counts_from_its_beginning_for_an_opt_in_and_to_its_end_for_an_opt_out() {
        let words = [
            ("yes", What::OptIn),
            ("declined", What::Declined),
            ("no", What::Unsubscribed),
            ("spam", What::Complained),
            ("bounced", What::Bounced),
        ];
        for (format, date) in [
            (AtFormat::Plain, "2026-03-01"),
            (AtFormat::parse("DD.MM.YYYY").unwrap(), "01.03.2026"),
            (AtFormat::Excel, "46082"),
        ] {
            let rules = rule(&words, format);
            for (received, end) in [
                ("2026-03-10T00:00:00Z", "2026-03-01T22:59:59.999Z"),
                ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z"),
            ] {
                // The message's own time does not make an opt-out older.
                for message in [received, "2026-03-01T02:00:00Z"] {
                    let when = When::at(at(message), at(received));
                    for (value, _) in &words {
                        let event = read(&rules, &json!({ "news": value, "since": date }), when);
                        let is_no = !["yes", "declined"].contains(value);
                        let expected = if is_no { end } else { "2026-02-28T23:00:00Z" };
                        assert_eq!(event.consent[0].at, at(expected), "{value} {date} {received}");
                    }
                }
            }
        }
    }

    #[test]
    fn facts_without_a_date_take_the_date_of_their_message() {
        let mut rules = rule(
            &[("yes", What::OptIn), ("no", What::Unsubscribed)],
            AtFormat::Plain,
        );
        rules[0].at_field = None;
        let received_at = at("2026-03-10T00:00:00Z");
        let (begin, end) = (at("2026-03-01T00:00:00Z"), at("2026-03-01T23:59:59.999Z"));
        let read_fact = |begin, end, value: &str| {
            let when = When {
                begin,
                end,
                received_at,
            };
            let event = read(&rules, &json!({ "news": value }), when);
            (event.consent.first().map(|fact| fact.at), event.rules[0].undated)
        };
        assert_eq!(read_fact(Some(begin), end, "yes"), (Some(begin), 0));
        assert_eq!(read_fact(Some(begin), end, "no"), (Some(end), 0));
        assert_eq!(read_fact(None, received_at, "yes"), (None, 1));
        assert_eq!(read_fact(None, received_at, "no"), (Some(received_at), 0));
    }

    #[test]
    fn a_rule_reports_how_it_matched() {
        let now = When::at(at("2026-05-01T10:00:00Z"), at("2026-05-01T10:00:00Z"));
        let rules = rule(
            &[("yes", What::OptIn), ("no", What::Unsubscribed)],
            AtFormat::Plain,
        );
        for (fields, met, unlisted, undated) in [
            (json!({}), false, 0, 0),
            (json!({ "news": "" }), true, 0, 0),
            (json!({ "news": ["yes", "no", "perhaps"] }), true, 1, 2),
            (json!({ "news": "no", "since": "05/03/2026" }), true, 0, 1),
            (json!({ "news": "no", "since": "2026-03-05" }), true, 0, 0),
        ] {
            let event = read(&rules, &fields, now);
            let report = &event.rules[0];
            assert_eq!(
                (report.met, report.unlisted, report.undated),
                (met, unlisted, undated),
                "{fields}"
            );
        }
    }
}
