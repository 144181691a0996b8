//! What a message says about consent: Proca's decision table, as far as it depends on the message alone.
//!
//! What it changes for a person who is already known follows in [`crate::consent`]. The first matching row
//! wins. The rows are those of the table in `docs/consent.md`; each basis names its own.

use jiff::Timestamp;

use crate::{
    consent::{ConsentFact, What},
    id::Name,
};

/// The source's policy: whether a tick on a form suffices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptInMode {
    #[default]
    Single,
    /// Waits for the click in a mail.
    DoubleOptIn,
}

/// The parts of a message that decide.
pub(super) struct Said<'a> {
    pub purpose: &'a Name,
    pub mode: OptInMode,
    /// `None` for Proca's null: no information, and never a reason to clear an earlier status.
    pub status: Option<&'a str>,
    pub status_at: Timestamp,
    pub with_consent: bool,
    pub opt_in: Option<bool>,
    pub given_at: Timestamp,
    /// The page belongs to one of our organisations. Events do not tell.
    pub is_own: bool,
    /// See [`crate::consent::page_key`].
    pub page: Option<String>,
}

/// Rows 6 to 13.
pub(super) fn of_action(said: &Said<'_>, notes: &mut Vec<String>) -> Option<ConsentFact> {
    match said.status {
        None | Some("none" | "active") => of_form(said),
        // Row 7: what a share repeats may be of any age, and its opt-in with it. The click comes as an event (row 15).
        Some("double_opt_in") if !said.with_consent => None,
        Some("double_opt_in") => of_double_opt_in(said, "proca action", ["row 8", "row 9"], notes),
        Some(status) => {
            let Some(what) = negative(status) else {
                notes.push(unknown_status(status));
                return of_form(said);
            };
            let basis = format!("proca action: the address's status is {status} (row 6)");
            Some(fact(said, what, said.status_at, basis))
        }
    }
}

/// Rows 15 to 22.
pub(super) fn of_event(said: &Said<'_>, notes: &mut Vec<String>) -> Option<ConsentFact> {
    let status = said.status?;
    let row = match status {
        "double_opt_in" => {
            return of_double_opt_in(said, "proca email_status", ["row 15", "row 16"], notes);
        }
        "bounce" => "row 18",
        "blocked" => "row 19",
        "spam" => "row 20",
        "unsub" => "row 21",
        _ => "row 22",
    };
    let Some(what) = negative(status) else {
        if !matches!(status, "active" | "none") {
            notes.push(unknown_status(status));
        }
        return None;
    };
    let basis = format!("proca email_status: {status} ({row})");
    Some(fact(said, what, said.status_at, basis))
}

fn of_form(said: &Said<'_>) -> Option<ConsentFact> {
    if !said.with_consent {
        // Row 7: repeats an old answer.
        return None;
    }
    let (what, basis) = match (said.opt_in, said.mode) {
        (Some(true), OptInMode::Single) => (
            What::OptIn,
            "proca action: opted in on the form, which suffices (row 10)",
        ),
        (Some(true), OptInMode::DoubleOptIn) => (
            What::OptInPending,
            "proca action: opted in on the form, waits for the click (row 11)",
        ),
        (Some(false), _) => (What::Declined, "proca action: declined on the form (row 12)"),
        (None, _) => (What::NotAsked, "proca action: the form did not ask (row 13)"),
    };
    Some(fact(said, what, said.given_at, basis.to_owned()))
}

/// The link was in the mail of the page's owner. It is consent to us if the page is ours or if the person
/// also opted in to us; whether a page is ours may become known later.
fn of_double_opt_in(
    said: &Said<'_>,
    message: &str,
    [row_counts, row_other]: [&str; 2],
    notes: &mut Vec<String>,
) -> Option<ConsentFact> {
    let (what, basis) = if said.opt_in == Some(true) {
        (
            What::DoubleOptIn,
            format!("{message}: confirmed by mail, opted in to us ({row_counts})"),
        )
    } else if said.is_own {
        (
            What::DoubleOptIn,
            format!("{message}: confirmed by mail on a page of ours ({row_counts})"),
        )
    } else if let Some(page) = &said.page {
        (
            What::DoubleOptInOnPage { page: page.clone() },
            format!(
                "{message}: confirmed by mail to the page's owner, counts if that is us ({row_counts} or {row_other})"
            ),
        )
    } else {
        notes.push(format!(
            "confirmed by mail on a page that the message does not name: does not count ({row_other})"
        ));
        return None;
    };
    Some(fact(said, what, said.status_at, basis))
}

fn negative(status: &str) -> Option<What> {
    match status {
        "bounce" => Some(What::Bounced),
        "blocked" => Some(What::Blocked),
        "spam" => Some(What::Complained),
        "unsub" => Some(What::Unsubscribed),
        "inactive" => Some(What::Inactive),
        _ => None,
    }
}

fn unknown_status(status: &str) -> String {
    format!("unknown emailStatus {}, ignored (row 22)", super::quoted(status))
}

fn fact(said: &Said<'_>, what: What, at: Timestamp, basis: String) -> ConsentFact {
    ConsentFact::new(&**said.purpose, what, at, basis)
}
