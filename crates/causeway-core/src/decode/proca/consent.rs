//! The consent in a message: the rows of Proca's decision table that depend on the message alone.
//!
//! The effect on a known person follows in [`crate::consent`]. The first matching row wins. The rows are
//! those of the table in `docs/consent.md`; the basis of each fact names its row.

use jiff::Timestamp;

use crate::{
    consent::{ConsentFact, EMAIL, What},
    id::Name,
};

/// The source's policy: whether an opt-in on a form needs a confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptInMode {
    #[default]
    Single,
    /// Waits for the click in a mail.
    DoubleOptIn,
}

/// The parts of a message that decide about consent.
pub(super) struct ConsentParts<'a> {
    /// The purpose of the form's opt-in. The status of the address is always about e-mail.
    pub purpose: &'a Name,
    pub mode: OptInMode,
    /// `None` for Proca's null: no information, and never a reason to clear an earlier status.
    pub status: Option<&'a str>,
    pub status_at: Option<Timestamp>,
    pub with_consent: bool,
    pub opt_in: Option<bool>,
    pub given_at: Timestamp,
    /// When the action was taken, or the event happened.
    pub at: Timestamp,
    /// Whether the page belongs to one of our own organisations. Events do not contain this.
    pub is_own: bool,
    /// See [`crate::consent::page_key`].
    pub page: Option<String>,
}

/// Rows 6 to 13.
pub(super) fn of_action(parts: &ConsentParts<'_>, notes: &mut Vec<String>) -> Vec<ConsentFact> {
    let status = match parts.status {
        None | Some("none" | "active") => return of_form(parts).into_iter().collect(),
        // Row 7: a share repeats a status of any age. With its date, the click counts from then on. Without
        // it, the click may be an old one.
        Some("double_opt_in") if !parts.with_consent && parts.status_at.is_none() => {
            notes.push("confirmed by mail without a date: does not count (row 7)".to_owned());
            return Vec::new();
        }
        Some("double_opt_in") => {
            let at = parts.status_at.unwrap_or(parts.given_at);
            of_double_opt_in(parts, at, "proca action", ["row 8", "row 9"], notes)
                .into_iter()
                .collect()
        }
        Some(status) => {
            let basis = format!("proca action: the address's status is {status} (row 6)");
            let facts = negative(parts, status, &basis);
            if facts.is_empty() {
                notes.push(unknown_status(status));
                return of_form(parts).into_iter().collect();
            }
            facts
        }
    };
    // The status is about e-mail, so an opt-in to another purpose counts beside it. A decline also counts
    // beside it, even for e-mail: an opt-in of the same submission is for another organisation, and the click
    // may be in a mail of yet another one.
    let form = of_form(parts).filter(|fact| fact.purpose != EMAIL || fact.what == What::Declined);
    status.into_iter().chain(form).collect()
}

/// Rows 15 to 22.
pub(super) fn of_event(parts: &ConsentParts<'_>, notes: &mut Vec<String>) -> Vec<ConsentFact> {
    let Some(status) = parts.status else {
        return Vec::new();
    };
    let row = match status {
        "double_opt_in" => {
            let at = parts.status_at.unwrap_or(parts.at);
            let fact = of_double_opt_in(parts, at, "proca email_status", ["row 15", "row 16"], notes);
            return fact.into_iter().collect();
        }
        "bounce" => "row 18",
        "blocked" => "row 19",
        "spam" => "row 20",
        "unsub" => "row 21",
        _ => "row 22",
    };
    let facts = negative(parts, status, &format!("proca email_status: {status} ({row})"));
    if facts.is_empty() && !matches!(status, "active" | "none") {
        notes.push(unknown_status(status));
    }
    facts
}

fn of_form(parts: &ConsentParts<'_>) -> Option<ConsentFact> {
    if !parts.with_consent {
        // Row 7: a share repeats an old answer.
        return None;
    }
    let (what, basis) = match (parts.opt_in, parts.mode) {
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
    Some(ConsentFact::new(&**parts.purpose, what, parts.given_at, basis))
}

/// The fact of a click in a mail, which confirms e-mail and nothing else. The link was in a mail of the
/// page's owner. So it is consent to us if the page is ours, or if the person also opted in to our mails.
/// Whether a page is ours may become known later.
fn of_double_opt_in(
    parts: &ConsentParts<'_>,
    at: Timestamp,
    message: &str,
    [row_counts, row_other]: [&str; 2],
    notes: &mut Vec<String>,
) -> Option<ConsentFact> {
    let opted_in = parts.opt_in == Some(true) && &**parts.purpose == EMAIL;
    let (what, basis) = if opted_in {
        (
            What::DoubleOptIn,
            format!("{message}: confirmed by mail, opted in to your organisation ({row_counts})"),
        )
    } else if let Some(page) = &parts.page {
        // This also holds for an own page: if the page turns out not to be ours, the click no longer counts.
        let basis = if parts.is_own {
            format!("{message}: confirmed by mail on an own page ({row_counts})")
        } else {
            format!(
                "{message}: confirmed by mail to the page's owner, counts if that is your organisation ({row_counts} \
                 or {row_other})"
            )
        };
        (What::DoubleOptInOnPage { page: page.clone() }, basis)
    } else if parts.is_own {
        (
            What::DoubleOptIn,
            format!("{message}: confirmed by mail on an own page ({row_counts})"),
        )
    } else {
        notes.push(format!(
            "confirmed by mail on a page that the message does not name: does not count ({row_other})"
        ));
        return None;
    };
    Some(ConsentFact::new(EMAIL, what, at, basis))
}

/// The facts of a status that forbids use of the address; empty for another status. All are about e-mail. An
/// `unsub` also takes back consent for the source's own purpose.
fn negative(parts: &ConsentParts<'_>, status: &str, basis: &str) -> Vec<ConsentFact> {
    let what = match status {
        "bounce" => What::Bounced,
        "blocked" => What::Blocked,
        "spam" => What::Complained,
        "unsub" => What::Unsubscribed,
        "inactive" => What::Inactive,
        _ => return Vec::new(),
    };
    let purposes = match &**parts.purpose {
        purpose if what == What::Unsubscribed && purpose != EMAIL => vec![EMAIL, purpose],
        _ => vec![EMAIL],
    };
    // Without a date, the status describes the present.
    let at = parts.status_at.unwrap_or(parts.at);
    purposes
        .into_iter()
        .map(|purpose| ConsentFact::new(purpose, what.clone(), at, basis))
        .collect()
}

fn unknown_status(status: &str) -> String {
    format!("unknown emailStatus {}, ignored (row 22)", super::quoted(status))
}
