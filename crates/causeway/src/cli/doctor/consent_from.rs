//! Runs the rules of `consent_from` over stored messages. A rule with a misspelt field never finds anything, and only
//! this check shows it.

use causeway_core::{
    event::{Decoders, RuleReport},
    id::Name,
    store::{InboxFilter, StoreError, Views},
};

use crate::engine::decode_one;

/// Number of a source's newest messages to read.
const MESSAGES: u32 = 200;

/// What one rule found in these messages.
struct Found {
    field: String,
    purpose: String,
    met: usize,
    unlisted: usize,
    undated: usize,
}

/// One line for each rule of a source.
pub(super) async fn lines(
    source: &Name,
    decoders: &Decoders,
    store: &dyn Views,
) -> Result<Vec<String>, StoreError> {
    let filter = InboxFilter {
        source: Some(Name::clone(source)),
        ..InboxFilter::default()
    };
    let (mut messages, mut rules) = (0, Vec::<Found>::new());
    for row in store.inbox(filter, MESSAGES).await? {
        let envelope = store.trace(row.id).await?.and_then(|trace| trace.envelope);
        let decoded = envelope.map(|envelope| decode_one(decoders, &envelope));
        let reports = decoded.as_ref().and_then(|decoded| decoded.event());
        let Some(reports) = reports
            .map(|event| &event.rules)
            .filter(|rules| !rules.is_empty())
        else {
            continue;
        };
        messages += 1;
        for (at, report) in reports.iter().enumerate() {
            match rules.get_mut(at) {
                Some(found) => found.add(report),
                None => rules.push(Found::new(report)),
            }
        }
    }
    Ok(rules.iter().map(|found| found.line(source, messages)).collect())
}

impl Found {
    fn new(report: &RuleReport) -> Self {
        let mut found = Self {
            field: report.field.clone(),
            purpose: report.purpose.clone(),
            met: 0,
            unlisted: 0,
            undated: 0,
        };
        found.add(report);
        found
    }

    fn add(&mut self, report: &RuleReport) {
        self.met += usize::from(report.met);
        self.unlisted += report.unlisted;
        self.undated += report.undated;
    }

    fn line(&self, source: &str, messages: usize) -> String {
        let mut line = format!(
            "source {source}: `consent_from` field {:?} ({}) was in {} of the last {messages} messages",
            self.field, self.purpose, self.met
        );
        let counts = [
            (usize::from(self.met == 0), "is its name right?".to_owned()),
            (
                self.unlisted,
                format!("values that the rule does not list: {}", self.unlisted),
            ),
            (
                self.undated,
                format!("values without a date that can be read: {}", self.undated),
            ),
        ];
        let doubts = counts.into_iter().filter(|(count, _)| *count > 0);
        let mut is_well = true;
        for (_, doubt) in doubts {
            line.push_str("; ");
            line.push_str(&doubt);
            is_well = false;
        }
        format!("{}{line}", if is_well { "ok    " } else { "look  " })
    }
}
