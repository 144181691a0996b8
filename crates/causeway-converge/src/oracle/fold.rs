//! Computes the consent state from facts: the newest wins, and at equal times the one that forbids mailing.

use super::{
    fact::{Doubt, Fact, Kind},
    people::Relevance,
};
use crate::world::SCANNER_WINDOW;

const WINDOW_MS: i64 = SCANNER_WINDOW * 1000;
const SECOND_MS: i64 = 1000;

/// The doubts that matter for these facts.
pub fn doubts(facts: &[(Fact, Relevance)]) -> Vec<Doubt> {
    let mut found: Vec<Doubt> = facts
        .iter()
        .flat_map(|(fact, _)| fact.doubts.iter().copied())
        .collect();
    for (fact, relevance) in facts {
        if is_doubtful(fact, *relevance) {
            found.push(if fact.kind.is_negative() {
                Doubt::FarOptOut
            } else {
                Doubt::FarOptIn
            });
        }
    }
    let pairs = || {
        facts
            .iter()
            .flat_map(|one| facts.iter().map(move |other| (&one.0, &other.0)))
    };
    for (positive, other) in
        pairs().filter(|(positive, _)| matches!(positive.kind, Kind::OptedIn | Kind::Clicked))
    {
        let distance = positive.time - other.time;
        let is_within_window = (1..=WINDOW_MS).contains(&distance);
        let is_near = distance.abs() <= 2 * SECOND_MS
            || (positive.together.is_some() && positive.together == other.together);
        if other.kind.is_negative() && !positive.has_date && !other.has_date && is_near {
            found.push(Doubt::SameSecond);
        }
        if other.kind == Kind::Suppressed && positive.kind == Kind::Clicked && is_within_window {
            found.push(Doubt::WindowOfSuppression);
        }
        if other.kind == Kind::Unsubscribed
            && positive.kind == Kind::Clicked
            && !positive.is_click
            && is_within_window
        {
            found.push(Doubt::WindowOfOthers);
        }
        let is_same_submission = other.submission.is_some() && positive.submission == other.submission;
        if other.kind == Kind::Declined && distance == 0 && !is_same_submission {
            found.push(Doubt::OtherDecline);
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Whether the policies `opt_in` and `double_opt_in` allow mailing.
pub fn state(facts: &[(Fact, Relevance)], reading: &[Doubt]) -> (bool, bool) {
    let has = |doubt| reading.contains(&doubt);
    // A click at another address of the person does not show that this address works.
    let is_elsewhere =
        |fact: &Fact, relevance: Relevance| relevance != Relevance::Here && fact.address.is_some();
    let works: Vec<(&Fact, i64)> = facts
        .iter()
        .filter(|(fact, relevance)| {
            fact.kind == Kind::Clicked && counts(fact, *relevance, reading) && !is_elsewhere(fact, *relevance)
        })
        .map(|(fact, _)| (fact, time(fact, reading)))
        .collect();
    let facts: Vec<(&Fact, i64)> = facts
        .iter()
        .filter(|(fact, relevance)| counts(fact, *relevance, reading))
        .map(|(fact, _)| (fact, time(fact, reading)))
        .collect();
    let of = |kind: Kind| facts.iter().filter(move |(fact, _)| fact.kind == kind);

    // An opt-in beats an opt-out only if it is later.
    let later = |(positive, at): (&Fact, i64), (negative, negative_at): (&Fact, i64), window: i64| {
        if positive.has_date || negative.has_date {
            return at > negative_at + window;
        }
        // The hub's own dates: in order of arrival.
        let is_same = has(Doubt::SameSecond)
            && (at / SECOND_MS == negative_at / SECOND_MS
                || (at - negative_at).abs() <= 2 * SECOND_MS
                || (positive.together.is_some() && positive.together == negative.together));
        !is_same && positive.order > negative.order && (window == 0 || at > negative_at + window)
    };
    let undone = |positive: (&Fact, i64), window: i64| {
        of(Kind::Unsubscribed).any(|negative| !later(positive, *negative, window))
    };
    let is_void = |(opt_in, at): (&Fact, i64)| {
        of(Kind::Declined).any(|(decline, declined_at)| {
            if decline.submission.is_some() && decline.submission == opt_in.submission {
                // A fact with a future date may count from its arrival, and a later decline takes nothing back.
                at == *declined_at || (at < *declined_at && !has(Doubt::FutureYes))
            } else {
                has(Doubt::OtherDecline) && at == *declined_at
            }
        })
    };
    let window_of = |click: &Fact| {
        if click.is_click || !has(Doubt::WindowOfOthers) {
            WINDOW_MS
        } else {
            0
        }
    };
    let window_of_suppression = if has(Doubt::WindowOfSuppression) {
        WINDOW_MS
    } else {
        0
    };

    let ends_suppression = |click: (&Fact, i64)| {
        of(Kind::Suppressed).all(|negative| later(click, *negative, window_of_suppression))
    };
    let is_suppressed =
        of(Kind::Suppressed).next().is_some() && !works.iter().any(|click| ends_suppression(*click));
    let is_confirmed = |click: (&Fact, i64)| !undone(click, window_of(click.0));
    let is_opted_in = of(Kind::OptedIn).any(|opt_in| !is_void(*opt_in) && !undone(*opt_in, 0));
    let is_clicked = of(Kind::Clicked).any(|click| is_confirmed(*click));
    (
        (is_opted_in || is_clicked) && !is_suppressed,
        is_clicked && !is_suppressed,
    )
}

/// Whether a fact counts in a reading.
fn counts(fact: &Fact, relevance: Relevance, reading: &[Doubt]) -> bool {
    let has = |doubt| reading.contains(&doubt);
    let is_far = is_doubtful(fact, relevance)
        && !has(if fact.kind.is_negative() {
            Doubt::FarOptOut
        } else {
            Doubt::FarOptIn
        });
    let is_missing = [
        Doubt::Repeat,
        Doubt::BesideStatus,
        Doubt::UnseenPage,
        Doubt::Looked,
        Doubt::OtherPurpose,
        Doubt::FutureAndStamp,
        Doubt::FutureOptIn,
    ]
    .iter()
    .any(|doubt| fact.doubts.contains(doubt) && !has(*doubt));
    !is_far && !is_missing
}

/// An opt-in counts for the person's other addresses. The documents do not say whether a confirmation does.
fn is_doubtful(fact: &Fact, relevance: Relevance) -> bool {
    relevance == Relevance::Maybe || (relevance == Relevance::Person && fact.kind == Kind::Clicked)
}

fn time(fact: &Fact, reading: &[Doubt]) -> i64 {
    let is_other = [Doubt::FutureYes, Doubt::FutureNo, Doubt::DayOfOptIn, Doubt::Stamp]
        .iter()
        .any(|doubt| fact.doubts.contains(doubt) && reading.contains(doubt));
    if is_other { fact.other_time } else { fact.time }
}
