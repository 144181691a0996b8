//! The summary of a file as its source decodes it. It is printed before anything is stored.

use std::collections::{BTreeMap, BTreeSet};

use causeway_core::{
    contact::Identity,
    event::{Decoded, Event},
};
use serde_json::Value;

/// Maximum number of lines listed for one problem.
const NAMED_LINES: usize = 10;
/// Maximum number of different values listed for one field.
const NAMED_VALUES: usize = 10;
/// Maximum number of different problems printed per sort.
const NAMED_PROBLEMS: usize = 20;
/// Number of decoded rows that a dry run shows.
const SHOWN_ROWS: usize = 3;
/// Longest value shown, in characters; longer ones are cut.
const SHOWN_CHARACTERS: usize = 60;

#[derive(Default)]
pub(super) struct Summary {
    pub rows: u64,
    /// Rows stored before, by an interrupted run or as messages from elsewhere.
    pub known: u64,
    /// New rows that could be decoded, including those that the rules skip.
    pub understood: u64,
    left_alone: Problems,
    dead: Problems,
    refused: Problems,
    notes: Problems,
    /// Field of a consent rule → number of its values without a valid date.
    undated: BTreeMap<String, u64>,
    /// Field of a consent rule → value that the rule does not list → how often.
    unlisted: BTreeMap<String, BTreeMap<String, u64>>,
    /// Rows that would opt somebody in, for any purpose.
    opt_in: u64,
    /// Rows that would opt somebody out, or say that they declined.
    opt_out: u64,
    /// Rows without a statement about consent.
    without_consent: u64,
    /// Rows with an opt-in that is newer than an opt-out of the contact.
    renewed: Lines,
    /// (Purpose, statement) → number of rows.
    consent: BTreeMap<(String, &'static str), u64>,
    /// (Field of a consent rule, purpose) → number of rows that have the field.
    met: BTreeMap<(String, String), u64>,
    shown: Vec<String>,
}

/// Problem → lines that have it.
#[derive(Default)]
struct Problems(BTreeMap<String, Lines>);

#[derive(Default)]
struct Lines {
    count: u64,
    first: BTreeSet<u64>,
}

impl Problems {
    fn add(&mut self, text: &str, line: u64) {
        self.0.entry(text.to_owned()).or_default().add(line);
    }

    fn count(&self) -> u64 {
        self.0.values().map(|lines| lines.count).sum()
    }

    fn print(&self, title: &str, text: &mut String) {
        if self.0.is_empty() {
            return;
        }
        push(text, &format!("{title}: {}", self.count()));
        for (problem, lines) in self.0.iter().take(NAMED_PROBLEMS) {
            push(text, &format!("  {}: {problem}", lines.in_words()));
        }
        if self.0.len() > NAMED_PROBLEMS {
            push(text, &format!("  and {} others", self.0.len() - NAMED_PROBLEMS));
        }
    }
}

impl Lines {
    fn add(&mut self, line: u64) {
        self.count += 1;
        if self.first.len() < NAMED_LINES {
            self.first.insert(line);
        }
    }

    fn in_words(&self) -> String {
        let first: Vec<String> = self.first.iter().map(u64::to_string).collect();
        let more = self.count.saturating_sub(first.len() as u64);
        let lines = if self.count == 1 { "line" } else { "lines" };
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        format!("{lines} {}{more}", first.join(", "))
    }
}

impl Summary {
    /// Counts a row that is not valid in the file's format.
    pub(super) fn refuse(&mut self, line: u64, why: &str) {
        self.rows += 1;
        self.refused.add(why, line);
    }

    /// Counts a row that was stored before.
    pub(super) fn skip_known(&mut self) {
        self.rows += 1;
        self.known += 1;
    }

    /// Counts a row as its source decoded it.
    pub(super) fn add(&mut self, line: u64, body: &[u8], decoded: &Decoded) {
        self.rows += 1;
        self.add_read(line, body, decoded);
    }

    fn add_read(&mut self, line: u64, body: &[u8], decoded: &Decoded) {
        match decoded {
            Decoded::Event(event) => self.add_event(line, body, event),
            Decoded::Parts(parts) => {
                for (part, decoded) in parts {
                    self.add_read(line, &part.body, decoded);
                }
            }
            Decoded::Partial { event, code, reason } => {
                self.add_event(line, body, event);
                self.dead.add(&format!("{}: {reason}", code.as_str()), line);
            }
            Decoded::Skip { reason } => {
                self.understood += 1;
                self.left_alone.add(reason, line);
            }
            Decoded::Dead { code, reason } => self.dead.add(&format!("{}: {reason}", code.as_str()), line),
        }
    }

    fn add_event(&mut self, line: u64, body: &[u8], event: &Event) {
        self.understood += 1;
        for fact in &event.consent {
            let key = (fact.purpose.clone(), fact.what.as_str());
            *self.consent.entry(key).or_default() += 1;
        }
        let says = |is_opt_in: bool| {
            event
                .consent
                .iter()
                .any(|fact| fact.what.is_opt_in() == is_opt_in)
        };
        self.opt_in += u64::from(says(true));
        self.opt_out += u64::from(says(false));
        self.without_consent += u64::from(event.consent.is_empty());
        for note in &event.notes {
            self.notes.add(note, line);
        }
        for rule in &event.rules {
            let key = (rule.field.clone(), rule.purpose.clone());
            *self.met.entry(key).or_default() += u64::from(rule.met);
            if rule.undated > 0 {
                *self.undated.entry(rule.field.clone()).or_default() += rule.undated as u64;
            }
            if rule.unlisted > 0 {
                let values = self.unlisted.entry(rule.field.clone()).or_default();
                *values.entry(value_of(body, &rule.field)).or_default() += rule.unlisted as u64;
            }
        }
        if self.shown.len() < SHOWN_ROWS {
            self.shown.push(format!("line {line}: {}", understood(event)));
        }
    }

    /// Counts an added row that ends an opt-out.
    pub(super) fn renew(&mut self, line: u64) {
        self.renewed.add(line);
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused.count()
    }

    pub(super) fn dead(&self) -> u64 {
        self.dead.count()
    }

    /// The number of consent values that are not listed or have an invalid date.
    pub(super) fn unread(&self) -> u64 {
        let values = self.unlisted.values().flat_map(BTreeMap::values);
        values.chain(self.undated.values()).sum()
    }

    pub(super) fn new_rows(&self) -> u64 {
        self.rows - self.known - self.refused.count()
    }

    pub(super) fn in_words(&self) -> String {
        let mut text = String::new();
        for ((field, purpose), _) in self.met.iter().filter(|(_, rows)| **rows == 0) {
            push(
                &mut text,
                &format!(
                    "warning: no new row has {field}, which `consent_from` reads for {purpose}: check the name of the column \
                     (--map names it)"
                ),
            );
        }
        if self.understood > 0 {
            push(
                &mut text,
                &format!(
                    "rows that opt somebody in: {}; that opt somebody out or decline: {}; without consent: {}",
                    self.opt_in, self.opt_out, self.without_consent
                ),
            );
        }
        if self.renewed.count > 0 {
            push(
                &mut text,
                &format!(
                    "warning: rows that opt in a person who has opted out: {} ({}). These opt-ins count as newer. If the file is older than the opt-outs, do not import it yet: set `at_field` of `consent_from` to the column with the date of the opt-in",
                    self.renewed.count,
                    self.renewed.in_words()
                ),
            );
        }
        let mut purposes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for ((purpose, what), count) in &self.consent {
            purposes
                .entry(purpose)
                .or_default()
                .push(format!("{count} {what}"));
        }
        for (purpose, counts) in purposes {
            push(
                &mut text,
                &format!("consent for {purpose}: {}", counts.join(", ")),
            );
        }
        for (field, values) in &self.unlisted {
            let shown: Vec<String> = values
                .iter()
                .take(NAMED_VALUES)
                .map(|(value, count)| format!("{value} ({count})"))
                .collect();
            let more = values.len().saturating_sub(NAMED_VALUES);
            let more = if more > 0 {
                format!(" and {more} others")
            } else {
                String::new()
            };
            push(
                &mut text,
                &format!(
                    "values of {field} that `consent_from` does not list, so they have no effect: {}{more}",
                    shown.join(", ")
                ),
            );
        }
        for (field, count) in &self.undated {
            push(
                &mut text,
                &format!(
                    "values of {field} whose date is missing, ambiguous, invalid or in the future: {count}"
                ),
            );
        }
        self.left_alone.print("skipped by the rules", &mut text);
        self.notes.print("notes", &mut text);
        self.dead
            .print("not understood (stored as dead; you can replay them)", &mut text);
        self.refused.print("refused (not stored)", &mut text);
        text
    }

    /// The first rows as they are decoded, with personal data.
    pub(super) fn first_rows(&self) -> String {
        self.shown.join("\n")
    }
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The unchanged value of a field of the row.
fn value_of(body: &[u8], field: &str) -> String {
    let row: Option<Value> = serde_json::from_slice(body).ok();
    let value = row.as_ref().and_then(Value::as_object).and_then(|row| {
        row.get(field).or_else(|| {
            row.iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(field))
                .map(|(_, value)| value)
        })
    });
    value.map_or_else(
        || "(elsewhere in the row)".to_owned(),
        |value| cut(&value.to_string()),
    )
}

/// One line with the identities and the consent of a row.
fn understood(event: &Event) -> String {
    let who: Vec<&str> = event.identities.iter().map(Identity::value).collect();
    let fields = event.fields.iter().map(|(name, value)| {
        let value = cut(&value.to_string());
        format!("{name} = {value}")
    });
    let consent = event
        .consent
        .iter()
        .map(|fact| format!("{}: {} at {}", fact.purpose, fact.what.as_str(), fact.at));
    let parts: Vec<String> = std::iter::once(format!("{} of {}", event.kind.as_str(), who.join(", ")))
        .chain(fields)
        .chain(consent)
        .collect();
    parts.join("; ")
}
