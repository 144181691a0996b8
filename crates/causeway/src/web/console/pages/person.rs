//! The consent of one person on a page: a sentence for each destination, and the ledger. Masked.

use causeway_core::{
    explain::{self, Evidence, Permission, Reader, Scope},
    rules::Rules,
    store::ContactView,
};
use jiff::Timestamp;
use serde::Serialize;

use super::super::{format::When, masking};

#[derive(Debug, Serialize)]
pub(super) struct Person {
    contact: i64,
    workspace: String,
    destinations: Vec<Sentence>,
    /// Oldest first.
    ledger: Vec<Line>,
    /// The command that shows the same in a terminal.
    command: &'static str,
}

/// Whether a destination may be sent the person, why, since when, and what it was sent last.
#[derive(Debug, Serialize)]
pub(super) struct Sentence {
    mark: &'static str,
    text: String,
}

#[derive(Debug, Serialize)]
struct Line {
    at: When,
    words: String,
    purpose: String,
    address: Option<String>,
    source: Option<String>,
    about: Option<String>,
    message: i64,
    basis: String,
}

impl Person {
    pub(super) fn new(view: &ContactView, rules: &Rules, now: Timestamp) -> Self {
        Self {
            contact: view.id.0,
            workspace: view.workspace.to_string(),
            destinations: sentences(view, rules, Scope::Contact),
            ledger: view
                .ledger
                .iter()
                .map(|row| line(Evidence::new(view, row), now))
                .collect(),
            command: "causeway contact consent ADDRESS",
        }
    }
}

pub(super) fn sentences(view: &ContactView, rules: &Rules, scope: Scope) -> Vec<Sentence> {
    let sentence = |permission: Permission| Sentence {
        // A delivery that needs no consent is not marked as good after an opt-out.
        mark: if permission.may_be_sent && !permission.consent.is_opt_out() {
            "good"
        } else {
            "idle"
        },
        text: permission.sentence,
    };
    let reader = Reader {
        asked: None,
        show: masking::text,
    };
    explain::of_all(view, rules, scope, reader)
        .into_iter()
        .map(sentence)
        .collect()
}

fn line(evidence: Evidence, now: Timestamp) -> Line {
    Line {
        at: When::new(evidence.at, now),
        words: explain::fact(&evidence.what, &evidence.purpose),
        address: evidence.address.as_deref().map(masking::text),
        source: evidence.source.as_ref().map(ToString::to_string),
        about: explain::about(&evidence),
        message: evidence.message.0,
        purpose: evidence.purpose,
        basis: match evidence.no_effect {
            Some(why) => format!("{}; does not count: {why}", evidence.basis),
            None => evidence.basis,
        },
    }
}
