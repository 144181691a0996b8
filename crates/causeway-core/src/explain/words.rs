//! Makes the sentence. The only values of the contact in it are addresses, as [`Names`] shows them.

use jiff::Timestamp;

use super::{Evidence, Names, Obstacle, Permission, Sent, Withdrawal};
use crate::{
    consent::{Change, ConsentState, EMAIL, Policy, Suppression, What},
    rules::FilterKey,
    store::GivenRow,
};

/// `14 Nov 2026, 09:12 UTC`
pub fn day_and_time(at: Timestamp) -> String {
    at.strftime("%-d %b %Y, %H:%M UTC").to_string()
}

/// A fact of the ledger in words: `opted out of e-mail`.
pub fn fact(what: &What, purpose: &str) -> String {
    let purpose_in_words = purpose_in_words(purpose);
    match what {
        What::OptIn => format!("opted in to {purpose_in_words}"),
        What::OptInPending => format!("opted in to {purpose_in_words}, to be confirmed by mail"),
        What::DoubleOptIn => format!("confirmed {purpose_in_words} by the link in a mail"),
        What::DoubleOptInOnPage { .. } => {
            format!("confirmed {purpose_in_words} by the link in a mail of the page's owner")
        }
        What::Declined => format!("declined {purpose_in_words}"),
        What::NotAsked => format!("was not asked about {purpose_in_words}"),
        What::Unsubscribed => format!("opted out of {purpose_in_words}"),
        What::Complained => suppression(Suppression::Complained, purpose),
        What::Bounced => suppression(Suppression::Bounced, purpose),
        What::Blocked => suppression(Suppression::Blocked, purpose),
        What::Inactive => suppression(Suppression::Inactive, purpose),
    }
}

/// The subject of a fact's message: `petition 'bees', organisation Rivers (12)`.
pub fn about(evidence: &Evidence) -> Option<String> {
    let organisation = evidence.organisation.as_ref().map(|organisation| {
        let id = &organisation.external_id;
        let name = organisation.title.as_ref().or(organisation.name.as_ref());
        match name {
            Some(name) => format!("organisation {} ({})", quoted(name), clean(id)),
            None => format!("organisation {}", clean(id)),
        }
    });
    let parts: Vec<String> = campaign(evidence).into_iter().chain(organisation).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn campaign(evidence: &Evidence) -> Option<String> {
    let name = evidence.campaign.as_deref().filter(|name| !name.is_empty())?;
    let sort = match evidence.action_type.as_deref() {
        Some("petition") => "petition",
        _ => "campaign",
    };
    Some(format!("{sort} {}", quoted(name)))
}

/// The origin of a fact: `petition 'bees', message 4711`.
fn place(evidence: &Evidence) -> String {
    let source = || Some(format!("source {}", evidence.source.as_ref()?));
    let message = format!("message {}", evidence.message);
    match campaign(evidence).or_else(source) {
        Some(origin) => format!("{origin}, {message}"),
        None => message,
    }
}

pub(super) fn sentence(permission: &Permission, names: &Names<'_>) -> String {
    if permission.obstacle == Some(Obstacle::NotConfigured) {
        let (name, sent) = (&permission.destination, sent(permission, names));
        return format!("{name} is not in the configuration: {sent}; no opt-out reaches it.");
    }
    let name = format!("{}{}", permission.destination, names.of_one_in_use());
    let lead = match (permission.may_be_sent, permission.policy) {
        (false, _) => format!("Not sent to {name}"),
        (true, Policy::All) => format!("May be sent to {name}, which requires no consent"),
        (true, _) => format!("May be sent to {name}"),
    };
    let lead = if permission.may_be_sent && permission.only_automations {
        format!("{lead}, by automations only")
    } else {
        lead
    };
    format!("{lead}: {}; {}.", reason(permission), sent(permission, names))
}

fn reason(permission: &Permission) -> String {
    match &permission.obstacle {
        Some(Obstacle::NotConfigured) => "it is not in the configuration".to_owned(),
        Some(Obstacle::OtherWorkspace { contact, destination }) => {
            format!("the contact is in the workspace {contact}, and the destination in {destination}")
        }
        Some(Obstacle::TestContact) => "this is a test contact".to_owned(),
        Some(Obstacle::OnlyTestContacts) => "it takes test contacts only".to_owned(),
        Some(Obstacle::Erasure { asked_at }) => {
            format!("is to be erased, as asked on {}", day_and_time(*asked_at))
        }
        Some(Obstacle::Filter {
            key,
            wanted,
            found,
            of_one_message,
        }) => filter(*key, wanted, found.as_deref(), *of_one_message),
        Some(Obstacle::Consent) => {
            let is_for_want_of_data = permission.policy == Policy::WithConsent
                && !permission.gave_data
                && !permission.consent.is_opt_out();
            if is_for_want_of_data {
                return "has not given their data on a form".to_owned();
            }
            let consent = consent(permission);
            match permission.consent {
                ConsentState::OptedIn { .. } => format!("{consent}, but did not confirm it by mail"),
                ConsentState::Pending { .. } => format!("{consent}, and has not confirmed it by mail yet"),
                _ => consent,
            }
        }
        None => {
            let consent = match permission.policy {
                Policy::WithConsent => format!("gave their data on a form and {}", consent(permission)),
                Policy::All | Policy::OptIn | Policy::DoubleOptIn => consent(permission),
            };
            if permission.has_address {
                consent
            } else {
                format!("{consent}, and has no e-mail address")
            }
        }
    }
}

/// The consent fact, its date, and its message.
fn consent(permission: &Permission) -> String {
    let purpose = &permission.purpose;
    let purpose_in_words = purpose_in_words(purpose);
    let what = match permission.consent {
        ConsentState::Unknown => format!("said nothing about {purpose_in_words}"),
        ConsentState::NotSubscribed => match &permission.because {
            Some(evidence) => fact(&evidence.what, purpose),
            None => format!("did not opt in to {purpose_in_words}"),
        },
        ConsentState::Pending { .. } | ConsentState::OptedIn { .. } => fact(&What::OptIn, purpose),
        ConsentState::DoubleOptedIn { .. } => fact(&What::DoubleOptIn, purpose),
        ConsentState::Unsubscribed { .. } => fact(&What::Unsubscribed, purpose),
        ConsentState::Suppressed { why, .. } => suppression(why, purpose),
    };
    let since = permission
        .consent
        .since()
        .or_else(|| permission.because.as_ref().map(|evidence| evidence.at))
        .map(|at| format!(" on {}", day_and_time(at)))
        .unwrap_or_default();
    if let (Some(first), Some(last)) = (&permission.first, &permission.because) {
        let on = |evidence: &Evidence| format!("on {} ({})", day_and_time(evidence.at), place(evidence));
        return format!("{what} {}, and last {}", on(first), on(last));
    }
    let place = match &permission.because {
        Some(evidence) if permission.said_by_another => {
            format!(" (another contact with the same address, {})", place(evidence))
        }
        Some(evidence) => format!(" ({})", place(evidence)),
        None if permission.said_by_another => " (another contact with the same address)".to_owned(),
        None => String::new(),
    };
    format!("{what}{since}{place}")
}

fn suppression(why: Suppression, purpose: &str) -> String {
    let words = match why {
        Suppression::Complained => "reported mail as spam",
        Suppression::Bounced => "the address bounced",
        Suppression::Blocked => "the address was blocked by its provider",
        Suppression::Inactive => "the address was reported inactive",
    };
    if purpose == EMAIL {
        words.to_owned()
    } else {
        format!("{words}, which ended {}", purpose_in_words(purpose))
    }
}

fn filter(key: FilterKey, wanted: &[String], found: Option<&str>, of_one_message: bool) -> String {
    let (one, several) = match key {
        FilterKey::Sources => ("source", "sources"),
        FilterKey::Campaigns => ("campaign", "campaigns"),
        FilterKey::ActionTypes => ("action type", "action types"),
    };
    let noun = if wanted.len() == 1 { one } else { several };
    let named: Vec<String> = wanted.iter().take(NAMED).map(|name| quoted(name)).collect();
    let more = match wanted.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let all = format!("{}{more}", named.join(", "));
    let takes = if wanted.is_empty() {
        format!("it takes no {one}")
    } else {
        format!("it takes only the {noun} {all}")
    };
    let but = match (of_one_message, found) {
        (true, Some(found)) => format!("the {one} of this message is {}", quoted(found)),
        (true, None) => format!("this message has no {one}"),
        (false, _) => "no message of this person matches".to_owned(),
    };
    format!("{takes}, and {but}")
}

/// How many values of a filter are listed. The others are counted.
const NAMED: usize = 5;

/// What the destination received last, which other addresses of the contact it still has, and what it has not
/// received.
fn sent(permission: &Permission, names: &Names<'_>) -> String {
    let is_known = |sent: &&Sent| sent.row.received.or(sent.row.unconfirmed).is_some();
    let mut known = permission.sent.iter().filter(is_known);
    let last = match known.next() {
        Some(sent) => last(&sent.row, &names.of(&sent.row.address)),
        None => "nothing was sent so far".to_owned(),
    };
    let mut parts = vec![last];
    for row in known
        .map(|sent| &sent.row)
        .filter(|row| has(permission, row))
        .take(NAMED)
    {
        let sent = day_and_time(row.received.unwrap_or(row.last_sent));
        let address = names.show(&row.address);
        parts.push(format!(
            "it also has {address}{}, sent on {sent}",
            state(row.change)
        ));
    }
    parts.extend(withdrawals(permission, names));
    parts.join("; ")
}

/// Whether the destination has this address because of the contact, and is not about to learn otherwise.
fn has(permission: &Permission, row: &GivenRow) -> bool {
    let is_of_row = |withdrawal: &Withdrawal| withdrawal.address.as_deref() == Some(&*row.address);
    row.change.gravity() == 0
        && !row.address.is_empty()
        && !row.shared
        && !permission.withdrawals.iter().any(is_of_row)
}

fn state(change: Change) -> &'static str {
    match change {
        Change::Subscribe => ", as subscribed",
        Change::Unsubscribe => ", as unsubscribed",
        Change::Suppress => ", as suppressed",
        Change::None | Change::Remove => "",
    }
}

fn last(row: &GivenRow, address: &str) -> String {
    let (received, unconfirmed) = (row.received.map(day_and_time), row.unconfirmed.map(day_and_time));
    let state = state(row.change);
    match (received, unconfirmed) {
        (Some(received), Some(again)) => {
            format!(
                "last sent on {received}{address}; may have been sent again on {again}, but {UNCONFIRMED}"
            )
        }
        (None, Some(once)) => format!("may have been sent on {once}{address}{state}, but {UNCONFIRMED}"),
        (received, None) => {
            let at = received.unwrap_or_else(|| day_and_time(row.last_sent));
            match row.change {
                Change::None | Change::Subscribe | Change::Unsubscribe | Change::Suppress => {
                    format!("last sent on {at}{address}{state}")
                }
                Change::Remove => format!("the removal was sent on {at}{address}"),
            }
        }
    }
}

/// The request was refused, got no response, or is under way. The store cannot distinguish these.
const UNCONFIRMED: &str = "nothing confirms that it arrived";

fn withdrawals(permission: &Permission, names: &Names<'_>) -> Vec<String> {
    let what = match (&permission.obstacle, permission.consent) {
        (Some(Obstacle::Erasure { .. }), _) => "removal",
        (_, ConsentState::Unsubscribed { .. }) => "opt-out",
        _ => "withdrawal",
    };
    let of = |wanted: Fate| -> Vec<&Withdrawal> {
        let is_wanted = |one: &&Withdrawal| Fate::of(one) == wanted;
        permission.withdrawals.iter().filter(is_wanted).collect()
    };
    let listed = |all: &[&Withdrawal]| {
        let one = |one: &&Withdrawal| {
            let address = names.of(one.address.as_deref().unwrap_or_default());
            format!("{}{address}", one.delivery)
        };
        let noun = if all.len() == 1 { "delivery" } else { "deliveries" };
        format!("{noun} {}", all.iter().map(one).collect::<Vec<_>>().join(", "))
    };
    let mut parts = Vec::new();
    if let [first, more @ ..] = &of(Fate::Waiting)[..] {
        let address = names.of(first.address.as_deref().unwrap_or_default());
        let address = if more.is_empty() { address } else { String::new() };
        parts.push(format!("the {what}{address} is waiting to be sent"));
    }
    for (fate, words) in [
        (Fate::Dead, "could not be delivered"),
        (Fate::ByHand, "could not be sent, so update it by hand"),
    ] {
        let all = of(fate);
        if !all.is_empty() {
            parts.push(format!("the {what} {words} ({})", listed(&all)));
        }
    }
    for one in of(Fate::Ended) {
        let reason = one
            .reason
            .as_deref()
            .map(|reason| format!(": '{}'", cut(reason, LONGEST_REASON)));
        let reason = reason.unwrap_or_default();
        parts.push(format!("the {what} was not sent ({}{reason})", listed(&[one])));
    }
    let void = of(Fate::Void);
    if !void.is_empty() {
        parts.push(format!(
            "an earlier withdrawal was not delivered and no longer applies, so discard it ({})",
            listed(&void)
        ));
    }
    parts
}

/// The state of a withdrawal, for the sentence.
#[derive(PartialEq, Eq)]
enum Fate {
    Waiting,
    Dead,
    ByHand,
    Ended,
    Void,
}

impl Fate {
    fn of(withdrawal: &Withdrawal) -> Self {
        match withdrawal.state.as_str() {
            "dead" | "skipped" if withdrawal.is_void => Self::Void,
            "dead" => Self::Dead,
            "skipped" if withdrawal.by_hand => Self::ByHand,
            "skipped" => Self::Ended,
            _ => Self::Waiting,
        }
    }
}

fn purpose_in_words(purpose: &str) -> String {
    match purpose {
        EMAIL => "e-mail".to_owned(),
        "phone" => "calls".to_owned(),
        "sms" => "text messages".to_owned(),
        "post" => "letters".to_owned(),
        "ads" => "advertising".to_owned(),
        other => quoted(other),
    }
}

/// Removes control characters: senders choose these names, and could change how a terminal looks.
fn quoted(name: &str) -> String {
    format!("'{}'", clean(name))
}

fn clean(name: &str) -> String {
    cut(name, LONGEST_NAME)
}

/// A text that is too long ends behind a whole word, if it has several.
fn cut(text: &str, longest: usize) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    let Some((end, _)) = text.char_indices().nth(longest) else {
        return text;
    };
    let start = text.get(..end).unwrap_or_default();
    let whole = start.rsplit_once(' ').map_or(start, |(words, _)| words);
    format!("{whole}…")
}

/// Maximum characters of a reason.
const LONGEST_REASON: usize = 300;

/// Maximum characters of a name.
const LONGEST_NAME: usize = 80;
