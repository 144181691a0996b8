//! Consent that stands in a field of the sender: a list field (`Newsletter` = `yes`), a status (`status` = `Disactive`), a
//! box on a form. Only values that are listed say something; nothing is assumed of others.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::{Map, Value};

use super::{
    at_format::{AtFormat, Dated, Span},
    names::look_up_all,
    placeholders::{Placeholders, number, shown},
    sync::scalar,
};
use crate::{
    consent::{ConsentFact, What},
    event::Event,
};

/// What one field says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentFrom {
    /// The field's name, without regard to case, or a dotted path.
    pub field: String,
    pub purpose: String,
    /// Value → what it means, as [`word`] makes it.
    pub words: Vec<(String, What)>,
    /// The field that says since when; the time of the message if not given. A yes without a date in it does not count:
    /// such a field is sent with every record, and would end any opt-out that was given since.
    pub at_field: Option<String>,
    /// How `at_field` writes dates.
    pub at_format: AtFormat,
}

/// What a rule found in one message: for reports about the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleReport {
    pub field: String,
    pub purpose: String,
    /// Whether the message has the field at all.
    pub met: bool,
    /// Values that the rule does not list.
    pub unlisted: usize,
    /// Values whose date was missing, unreadable, or could be read in two ways, and opt-ins whose date lies in the future.
    pub undated: usize,
}

/// How far the clock of a sender may be ahead. An opt-in with a later date would count again with each message that
/// holds it.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// The rules of a source, and how it writes what they read.
pub(super) struct Reader<'a> {
    pub rules: &'a [ConsentFrom],
    pub placeholders: &'a Placeholders,
    pub zone: &'a TimeZone,
}

/// When a message happened. If the message is dated by a day, an opt-in counts from its beginning and an opt-out from
/// its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct When {
    /// `None` when the message has a time that cannot be read: then an opt-in in it cannot be dated.
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
            self.begin.or((!what.is_yes()).then_some(self.received_at))
        }
    }
}

impl Reader<'_> {
    /// Adds the facts that the fields state to the event. A field is looked for in each of `fields`, and every place
    /// that has it counts: an opt-out in one is not hidden by an opt-in in another. What could not be used is noted,
    /// without the value.
    pub fn read(&self, fields: &[&Map<String, Value>], when: When, event: &mut Event) {
        for rule in self.rules {
            let places = find(fields, &rule.field);
            let mut report = RuleReport {
                field: rule.field.clone(),
                purpose: rule.purpose.clone(),
                met: !places.is_empty(),
                unlisted: 0,
                undated: 0,
            };
            let (mut yes, mut no) = (0, 0);
            for value in said_in(&places) {
                match rule.meaning(value) {
                    Some(what) => {
                        *(if what.is_yes() { &mut yes } else { &mut no }) += 1;
                        self.add(rule, what, fields, when, event, &mut report);
                    }
                    None if self.placeholders.is_nothing(value) => {}
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
            Some(name) => match self.since(rule, what, &find(fields, name)) {
                Ok(at) if what.is_yes() && at.duration_since(when.received_at) > AHEAD => {
                    (None, Some(format!("{name} holds a date in the future")))
                }
                // Never later than the message: an opt-in dated tomorrow would outweigh an opt-out of today.
                Ok(at) if what.is_opt_out() => (Some(at.min(when.received_at)), None),
                Ok(at) => (Some(at.min(otherwise.unwrap_or(when.received_at))), None),
                Err(doubt) => (
                    otherwise.filter(|_| !what.is_yes()),
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

    /// The date in the field; `Err` says why there is none. Of several dates, an opt-in counts from the earliest and an
    /// opt-out from the latest, so that an opt-out is never older than an opt-in of the same message.
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
                // Nobody knows whether that is the date of the yes.
                (Some(Err(doubt)), _) | (_, Err(doubt)) => Err(doubt),
            });
        }
        known.unwrap_or(Err("holds no date"))
    }
}

/// All that have the field, the likeliest first.
fn find<'a>(fields: &[&'a Map<String, Value>], name: &str) -> Vec<&'a Value> {
    let mut found: Vec<&Value> = Vec::new();
    for value in fields.iter().flat_map(|fields| look_up_all(fields, name)) {
        // What was sent stands in the record, too.
        if !found.contains(&value) {
            found.push(value);
        }
    }
    found
}

/// The values that stand in these places. What an earlier place says already is not said twice.
fn said_in<'a>(places: &[&'a Value]) -> Vec<&'a Value> {
    let mut said: Vec<&Value> = Vec::new();
    for place in places {
        let values = match place {
            Value::Array(values) => values.as_slice(),
            value => std::slice::from_ref(*value),
        };
        let before = said.clone();
        said.extend(values.iter().filter(|value| !before.contains(value)));
    }
    said
}

fn consequence(what: &What) -> &'static str {
    if what.is_yes() {
        "so an opt-in is not counted"
    } else {
        "so it counts from this message on"
    }
}

impl ConsentFrom {
    /// What a value means, if it is listed. Programs write a truth value as a word or as a number.
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

/// How a value is compared: without regard to case and blanks around, numbers by their value.
pub fn word(text: &str) -> String {
    let text = shown(text).to_lowercase();
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

    fn told(fields: &Value) -> (Vec<(String, &'static str, String)>, Vec<String>) {
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
    fn listed_values_say_something_and_no_others() {
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
            // Not before it came.
            (
                json!({ "Newsletter": "yes", "Newsletter date": "2026-05-01T10:05:00Z" }),
                vec![("email", "opt_in", now)],
            ),
            (
                json!({ "Newsletter": "no", "Newsletter date": "2027-04-01" }),
                vec![("email", "unsubscribed", now)],
            ),
            // To the minute, and in the hour that exists twice.
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
            let (facts, notes) = told(&fields);
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(purpose, what, at)| (purpose.to_owned(), what, at.to_owned()))
                .collect();
            assert_eq!(facts, expected, "{fields}");
            assert_eq!(notes, Vec::<String>::new(), "{fields}");
        }
    }

    /// The exact name hides no other spelling of it.
    #[test]
    fn every_place_that_fits_the_name_counts_and_a_no_in_one_of_them_wins() {
        let date = "2026-04-01T08:00:00Z";
        for fields in [
            json!({ "Newsletter": "yes", "NEWSLETTER": "no", "Newsletter date": date }),
            json!({ "Newsletter": "no", "NEWSLETTER": "yes", "Newsletter date": date }),
            json!({ "newsletter": ["yes"], "newsLetter": ["no"], "Newsletter date": date }),
            // The yes takes the earlier date, the no the later.
            json!({ "Newsletter": "yes", "NEWSLETTER": "no", "Newsletter date": date,
                "newsletter DATE": "2026-03-01T08:00:00Z" }),
        ] {
            let (facts, notes) = told(&fields);
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
        // The same in two places is said once; an empty place says nothing.
        for fields in [
            json!({ "Newsletter": "no", "NEWSLETTER": "no" }),
            json!({ "Newsletter": "", "NEWSLETTER": "no", "Newsletter date": "", "newsletter DATE": date }),
            json!({ "Newsletter": null, "NEWSLETTER": "no" }),
        ] {
            assert_eq!(told(&fields).0.len(), 1, "{fields}");
        }
        // Of two dates one cannot be read.
        let two =
            |value: &str| json!({ "Newsletter": value, "Newsletter date": "soon", "newsletter DATE": date });
        assert_eq!(told(&two("yes")).0, []);
        assert_eq!(told(&two("no")).0[0].2, "2026-04-01T08:00:00.999Z");
    }

    #[test]
    fn what_is_not_listed_is_noted_without_the_value() {
        let (facts, notes) = told(&json!({ "Newsletter": "maybe", "calls": { "allowed": { "x": 1 } } }));
        assert_eq!(facts, []);
        assert_eq!(notes.len(), 2);
        assert!(
            notes[0].contains("field Newsletter: a value that") && !notes[0].contains("maybe"),
            "{notes:?}"
        );
        let (_, notes) = told(&json!({ "Newsletter": ["maybe", "NULL", "", "later"] }));
        assert!(
            notes.len() == 1 && notes[0].contains("field Newsletter: 2 values that"),
            "{notes:?}"
        );
    }

    /// The field comes with every record, also long after a no was said elsewhere.
    #[test]
    fn a_yes_without_its_date_does_not_count_and_a_no_does() {
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
                let (facts, notes) = told(&json!({ "Newsletter": value, "Newsletter date": date }));
                assert_eq!(facts.len(), expected, "{value} {date}");
                assert!(notes[0].contains("Newsletter date holds "), "{notes:?}");
                let (facts, notes) = told(&json!({ "Newsletter": value }));
                assert_eq!((facts.len(), notes.len()), (expected, 1), "{value}");
            }
        }
    }

    /// Each later message with the same date would be a new opt-in.
    #[test]
    fn a_yes_whose_date_lies_in_the_future_does_not_count() {
        for date in ["2026-05-01T10:05:01Z", "2026-05-02", "2027-04-01"] {
            let (facts, notes) = told(&json!({ "Newsletter": "yes", "Newsletter date": date }));
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
    fn numbers_and_truth_values_are_compared_by_what_they_are() {
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
                // A word that is listed counts, also one that stands for nothing elsewhere.
                let expected = if value == "NULL" { "unsubscribed" } else { expected };
                assert_eq!(what, expected, "{listed:?} {value}");
            }
        }
    }

    /// An opt-out that is dated by a day may have been given in its last minute, a yes in its first.
    #[test]
    fn a_day_counts_from_its_beginning_for_a_yes_and_to_its_end_for_an_opt_out() {
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
    fn a_message_that_is_dated_by_a_day_or_cannot_be_dated_dates_its_facts_likewise() {
        let mut rules = rule(
            &[("yes", What::OptIn), ("no", What::Unsubscribed)],
            AtFormat::Plain,
        );
        rules[0].at_field = None;
        let received_at = at("2026-03-10T00:00:00Z");
        let (begin, end) = (at("2026-03-01T00:00:00Z"), at("2026-03-01T23:59:59.999Z"));
        let said = |begin, end, value: &str| {
            let when = When {
                begin,
                end,
                received_at,
            };
            let event = read(&rules, &json!({ "news": value }), when);
            (event.consent.first().map(|fact| fact.at), event.rules[0].undated)
        };
        assert_eq!(said(Some(begin), end, "yes"), (Some(begin), 0));
        assert_eq!(said(Some(begin), end, "no"), (Some(end), 0));
        assert_eq!(said(None, received_at, "yes"), (None, 1));
        assert_eq!(said(None, received_at, "no"), (Some(received_at), 0));
    }

    #[test]
    fn a_rule_reports_what_it_met() {
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
