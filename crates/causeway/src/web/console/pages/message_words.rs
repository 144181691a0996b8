//! The words for events, facts, consent states and outcomes on the page of a message.

use causeway_core::consent::{ConsentState, Suppression, What};

pub(super) fn event(event: &str) -> &str {
    match event {
        "action" => "A person took action",
        "supporter_confirm" => "An action waits until the supporter is confirmed",
        "action_confirm" => "An action waits until it is confirmed",
        "email_status" => "A change of a person's address or consent",
        "contact_sync" => "A platform sent a contact",
        "campaign_updated" => "A campaign changed",
        other => other,
    }
}

pub(super) fn fact(what: &What) -> &'static str {
    match what {
        What::OptIn => "Agreed on a form",
        What::OptInPending => "Agreed on a form, to be confirmed by mail",
        What::DoubleOptIn => "Confirmed by mail",
        What::DoubleOptInOnPage { .. } => "Confirmed by mail, if it is an own page",
        What::Declined => "Was asked and did not agree",
        What::NotAsked => "Was not asked",
        What::Unsubscribed => "Unsubscribed",
        What::Complained => "Reported a mail as spam",
        What::Bounced => "The address does not exist",
        What::Blocked => "The provider refuses mail to the address",
        What::Inactive => "Not to be mailed for now",
    }
}

/// A class of the style sheet, and the sentence.
pub(super) fn standing(standing: ConsentState) -> (&'static str, &'static str) {
    match standing {
        ConsentState::Unknown => ("idle", "There is no fact: may not be mailed"),
        ConsentState::NotSubscribed => ("idle", "Known, but did not agree: may not be mailed"),
        ConsentState::Pending { .. } => ("busy", "Agreed on a form; not confirmed by mail yet"),
        ConsentState::OptedIn { .. } => ("good", "May be mailed: agreed on a form"),
        ConsentState::DoubleOptedIn { .. } => ("good", "May be mailed: confirmed by mail"),
        ConsentState::Unsubscribed { .. } => ("bad", "May not be mailed: unsubscribed"),
        ConsentState::Suppressed { why, .. } => (
            "bad",
            match why {
                Suppression::Complained => "May not be mailed: reported a mail as spam",
                Suppression::Bounced => "May not be mailed: the address does not exist",
                Suppression::Blocked => "May not be mailed: the provider refuses mail to the address",
                Suppression::Inactive => "May not be mailed for now",
            },
        ),
    }
}

pub(super) fn kind(kind: &str) -> &str {
    match kind {
        "record" => "the record",
        "contact" => "the changed contact",
        "withdrawal" => "the withdrawal of consent",
        other => other,
    }
}

/// An attempt's mark.
pub(super) fn outcome(outcome: &str) -> &'static str {
    match outcome {
        "delivered" => "good",
        "retry" => "warn",
        "reject" | "halt" => "bad",
        _ => "idle",
    }
}
