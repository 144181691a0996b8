//! Converts messages to dated facts, by the decision table of Proca's messages.

use super::{Arrival, Look, Oracle};
use crate::{
    message::{Content, Id, Statement, What, When, Word},
    world::{Enough, SourceKind},
};

/// A question that the documents leave open. If a reading contains the doubt, the second answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// Does a future date of an opt-in or a click count as it is, or as the time of arrival?
    FutureYes,
    /// The same question for a statement that forbids mailing.
    FutureNo,
    /// Does an opt-in dated by a day count from the beginning of the day, or from its end like an opt-out?
    DayOfOptIn,
    /// Does an opt-in at another address of the person count over a doubtful link?
    FarOptIn,
    /// The same question for an opt-out.
    FarOptOut,
    /// Do two messages without a date within a second have the same time?
    SameSecond,
    /// Is an exact repetition of an earlier message, after others, a new message?
    Repeat,
    /// Does the grace in which a click undoes no opt-out hold after a suppression, too?
    WindowOfSuppression,
    /// … and for a double opt-in that is no click on a link of Proca's?
    WindowOfOthers,
    /// Does the form's opt-in count in addition to a status that chose the row of the table (rows 6 and 8)?
    BesideStatus,
    /// Is a page an own page if no action from it was seen?
    UnseenPage,
    /// Is an opt-in at the time of a decline of another submission void?
    OtherDecline,
    /// Do messages that the hub dated with a wrong clock count by this date, or by the order of arrival?
    Stamp,
    /// Has a pass through Proca's API already shown it?
    Looked,
    /// Does a future date count at all while the hub's clock was wrong, too?
    FutureAndStamp,
    /// Does an opt-in in a list with a future date count? The list may repeat it with every sync.
    FutureOptIn,
    /// Does an opt-in to calls make a click in a partner's mail count for us (rows 8 and 15)?
    OtherPurpose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    OptedIn,
    Clicked,
    Declined,
    Unsubscribed,
    Suppressed,
}

impl Kind {
    pub fn is_negative(self) -> bool {
        matches!(self, Self::Unsubscribed | Self::Suppressed)
    }
}

#[derive(Debug, Clone)]
pub struct Fact {
    pub kind: Kind,
    pub purpose: &'static str,
    /// Milliseconds since 1970, if no doubt holds.
    pub time: i64,
    /// The time if its doubt holds: [`Doubt::FutureYes`], [`Doubt::FutureNo`], [`Doubt::DayOfOptIn`] or [`Doubt::Stamp`].
    pub other_time: i64,
    pub has_date: bool,
    pub order: usize,
    pub together: Option<usize>,
    pub id: Option<Id>,
    pub address: Option<String>,
    /// Whether the message names the address; else it is the address of its reference.
    pub is_named: bool,
    pub submission: Option<(&'static str, u64)>,
    /// The doubts on which the fact depends.
    pub doubts: Vec<Doubt>,
    /// Whether it is a click on a link in one of Proca's mails.
    pub is_click: bool,
    pub number: usize,
}

const DAY_MS: i64 = 86_400_000;

/// All facts of one message.
pub fn facts(oracle: &Oracle<'_>, arrival: &Arrival<'_>) -> Vec<Fact> {
    let message = arrival.message;
    let source = &oracle.space.sources[message.source];
    let namespace = source.kind.namespace();
    let mut found = Vec::new();
    for word in &message.says.words {
        match word {
            Word::Plain { what, purpose, when } => {
                let kind = match what {
                    What::OptIn => Kind::OptedIn,
                    What::DoubleOptIn => Kind::Clicked,
                    What::Declined => Kind::Declined,
                    What::Unsubscribed => Kind::Unsubscribed,
                    What::Complained | What::Bounced | What::Blocked | What::Inactive => Kind::Suppressed,
                };
                found.push(fact(oracle, arrival, kind, purpose, *when));
            }
            Word::NotMe => {
                // Dated by when it was noticed, which may be any time until the last pass.
                let mut no = fact(oracle, arrival, Kind::Unsubscribed, "email", When::Arrival);
                no.time = arrival.noticed.unwrap_or(arrival.at);
                (no.other_time, no.has_date) = (no.time, true);
                found.push(no);
            }
            Word::Proca(statement) => {
                let SourceKind::Proca { policy, purpose, .. } = &source.kind else {
                    continue;
                };
                found.extend(of_proca(oracle, arrival, statement, *policy, purpose, namespace));
            }
        }
    }
    // A change that only the API shows is known once a pass that had it reached the end of the list. A person who vanished
    // may stay unnoticed.
    if let Content::Api(_) = message.content {
        found.retain(|fact| {
            arrival.look > Look::Never || (fact.kind.is_negative() && arrival.noticed.is_some())
        });
        let is_sure = |fact: &Fact| arrival.look == Look::Ended && !fact.kind.is_negative();
        found
            .iter_mut()
            .filter(|fact| !is_sure(fact))
            .for_each(|fact| fact.doubts.push(Doubt::Looked));
    }
    found
}

/// The rows of the decision table.
fn of_proca(
    oracle: &Oracle<'_>,
    arrival: &Arrival<'_>,
    statement: &Statement,
    policy: Enough,
    purpose: &'static str,
    namespace: &'static str,
) -> Vec<Fact> {
    // Rows 2, 3 and 4.
    if statement.stage != "deliver" || statement.is_test {
        return Vec::new();
    }
    let given = When::At(statement.given);
    let changed = When::At(statement.changed);
    let submission = Some((namespace, statement.action));
    let of = |kind, purpose, when| Fact {
        submission,
        ..fact(oracle, arrival, kind, purpose, when)
    };
    let on_form = |doubts: &[Doubt]| {
        let mut answers = Vec::new();
        match statement.opt_in {
            Some(true) if statement.with_consent && policy == Enough::Form => {
                answers.push(of(Kind::OptedIn, purpose, given));
            }
            Some(false) if statement.with_consent => answers.push(of(Kind::Declined, purpose, given)),
            _ => {}
        }
        for fact in &mut answers {
            fact.doubts.extend(doubts);
        }
        answers
    };
    match statement.status {
        // Rows 6 and 18 to 22 are about the e-mail address, whatever the source's purpose is.
        Some("bounce" | "blocked" | "spam" | "inactive") => {
            let mut found = vec![of(Kind::Suppressed, "email", changed)];
            found.extend(on_form(&[Doubt::BesideStatus]));
            found
        }
        Some("unsub") => {
            let mut found = vec![of(Kind::Unsubscribed, "email", changed)];
            if purpose != "email" {
                found.push(of(Kind::Unsubscribed, purpose, changed));
            }
            found.extend(on_form(&[Doubt::BesideStatus]));
            found
        }
        // Row 5: unreadable data contains no opt-in.
        _ if !statement.is_readable => Vec::new(),
        // Rows 8, 9, 15 and 16, also without the form.
        Some("double_opt_in") => {
            let mut click = Fact {
                is_click: true,
                ..of(Kind::Clicked, "email", changed)
            };
            let is_opted_in = statement.opt_in == Some(true);
            let counts = if is_opted_in && purpose == "email" {
                true
            } else {
                let is_own = is_own(oracle, statement, namespace, &mut click);
                if is_opted_in && !is_own {
                    click.doubts.push(Doubt::OtherPurpose);
                }
                is_opted_in || is_own
            };
            let mut found = Vec::new();
            if counts {
                found.push(click);
            }
            if !statement.is_event {
                // For a source with another purpose, only the form's answer counts.
                let doubts: &[Doubt] = if counts { &[Doubt::BesideStatus] } else { &[] };
                found.extend(on_form(doubts));
            }
            found
        }
        // Rows 7 and 10 to 13; an event with an unknown status contains no statement.
        _ if statement.is_event => Vec::new(),
        _ => on_form(&[]),
    }
}

/// A page is an own page if the organisation of its actions is ours. An event does not name the organisation of its page.
fn is_own(oracle: &Oracle<'_>, statement: &Statement, namespace: &'static str, click: &mut Fact) -> bool {
    if !oracle.own_orgs.contains(&statement.org) {
        return false;
    }
    let is_seen = !statement.is_event || oracle.is_page_seen(namespace, statement.page);
    if !is_seen {
        click.doubts.push(Doubt::UnseenPage);
    }
    true
}

fn fact(oracle: &Oracle<'_>, arrival: &Arrival<'_>, kind: Kind, purpose: &'static str, when: When) -> Fact {
    let says = &arrival.message.says;
    let mut doubts = Vec::new();
    let start = oracle.place.start;
    let is_negative = kind.is_negative() || kind == Kind::Declined;
    let (time, other_time) = match when {
        When::Arrival => {
            if arrival.at != arrival.stamped {
                doubts.push(Doubt::Stamp);
            }
            (arrival.at, arrival.stamped)
        }
        When::At(seconds) => {
            let second = (start + seconds) * 1000;
            // A time in whole seconds leaves the rest of the second open. Proca's times count as they are.
            let is_proca = matches!(arrival.message.content, Content::Proca(_));
            let end = second + if kind.is_negative() && !is_proca { 999 } else { 0 };
            // Never later than the arrival.
            let time = if arrival.stamped >= second {
                end.min(arrival.stamped)
            } else {
                end
            };
            (time, time)
        }
        When::Day(seconds) => {
            let day = (start + seconds) * 1000 / DAY_MS * DAY_MS;
            let end = day + DAY_MS - 1;
            if is_negative {
                (end, end)
            } else {
                doubts.push(Doubt::DayOfOptIn);
                (day, end)
            }
        }
    };
    let (time, other_time) = if time > arrival.stamped {
        doubts.push(if is_negative {
            Doubt::FutureNo
        } else {
            Doubt::FutureYes
        });
        if kind == Kind::OptedIn
            && !matches!(arrival.message.content, Content::Proca(_) | Content::Event { .. })
        {
            doubts.push(Doubt::FutureOptIn);
        }
        if arrival.at != arrival.stamped {
            doubts.push(Doubt::FutureAndStamp);
        }
        (time, arrival.stamped)
    } else {
        (time, other_time)
    };
    if oracle.people.is_doubtful(says) {
        doubts.push(Doubt::Looked);
    }
    if when == When::Arrival
        && says.repeats.is_some()
        && (!kind.is_negative() || says.has_number || !is_answered(oracle, arrival))
    {
        doubts.push(Doubt::Repeat);
    }
    Fact {
        kind,
        purpose,
        time,
        other_time,
        has_date: when != When::Arrival,
        order: arrival.order,
        together: arrival.together,
        id: says
            .id
            .clone()
            .or_else(|| says.reference.clone().filter(|_| oracle.resolved(says).is_none())),
        address: oracle.resolved(says),
        is_named: says.address.is_some(),
        submission: None,
        doubts,
        is_click: false,
        number: arrival.message.number,
    }
}

/// Whether another message about the person arrived between a message and its repetition.
fn is_answered(oracle: &Oracle<'_>, repeat: &Arrival<'_>) -> bool {
    let Some(first) = oracle
        .arrivals
        .iter()
        .find(|arrival| Some(arrival.message.number) == repeat.message.says.repeats)
    else {
        return false;
    };
    oracle.arrivals.iter().any(|between| {
        let says = &between.message.says;
        let is_between = (first.order + 1..repeat.order).contains(&between.order);
        let is_same_address = says.address.is_some() && says.address == repeat.message.says.address;
        // A message without a statement about consent is a message about the person, too.
        is_between && is_same_address && says.repeats.is_none()
    })
}
