//! Decides about messages that name an erased person.
//!
//! Invariant: data from before the erasure stays out, however late it arrives: by a retry, from a backlog, or
//! as a click in an old mail. Data from after it makes a new contact. So the erased person does not come back
//! through data that others still hold, and a person who signs again is not turned away for ever.
//!
//! The sender's date decides, but never a date later than the arrival, since the sender's clock may be ahead:
//!
//! | message | date that decides |
//! |---|---|
//! | an action | when it was taken |
//! | news about an address (a click, a bounce, an opt-out) | when the action was taken that the mail belongs to, or when it happened, whichever is earlier |
//! | a contact record, an event of `POST /v1/events` | its own time; without one, that of its newest consent; else the arrival |
//!
//! Consent facts and engagements have dates of their own. Each one from before the erasure is left out by
//! itself, and so is an engagement without a date.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    consent::What,
    event::{EngagementKind, Event, EventKind},
};

/// Whether data from after an erasure is taken in: `[hub] after_erasure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterErasure {
    /// It makes a new contact.
    #[default]
    Accept,
    /// It stays out, whatever its date.
    Refuse,
}

/// What is still known about the erased people that a message names: no data, only times and whether they are
/// back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastErasure {
    /// When the newest of their erasures was requested.
    pub at: Timestamp,
    /// The newest opt-out since then that was turned away because there was no contact to keep it for.
    pub opted_out_at: Option<Timestamp>,
    /// Whether one of the identities belongs to a contact again.
    pub is_known: bool,
}

/// What happens to a message that names an erased person.
#[derive(Debug, Clone, PartialEq)]
pub enum Judgement {
    /// It belongs to a new contact, or to one that is back already. The event is left without everything from
    /// before the erasure.
    Anew(Box<Event>),
    TurnedAway {
        reason: String,
        /// The newest opt-out in the message that is dated after the erasure.
        opted_out_at: Option<Timestamp>,
    },
}

/// Decides about a message that arrived at `received_at` and names `erased`.
pub fn judge(event: &Event, received_at: Timestamp, policy: AfterErasure, erased: &PastErasure) -> Judgement {
    let dated = date(event, received_at);
    let is_after = |at: Timestamp| at.min(received_at) > erased.at;
    let opted_out_at = event
        .consent
        .iter()
        .filter(|fact| is_opt_out(&fact.what) && is_after(fact.at))
        .map(|fact| fact.at.min(received_at))
        .max();
    let turned_away = |why: String| Judgement::TurnedAway {
        reason: format!("names a person who was erased on {}; {why}", day(erased.at)),
        opted_out_at,
    };
    if policy == AfterErasure::Refuse {
        return turned_away(
            "`[hub] after_erasure = \"refuse\"` refuses all later messages about the person".to_owned(),
        );
    }
    // An opt-out must count for a person who is back, whichever mail it belongs to.
    let opts_out_again = erased.is_known && opted_out_at.is_some();
    if !is_after(dated) && !opts_out_again {
        return turned_away(format!("it is dated {dated}, before that"));
    }
    if !erased.is_known && is_reaction(event) {
        return turned_away("opening or clicking an old mail makes no new contact".to_owned());
    }
    Judgement::Anew(Box::new(without_older(event, is_after, erased)))
}

/// The date that decides: see the table above.
fn date(event: &Event, received_at: Timestamp) -> Timestamp {
    let is_undated = event.at >= received_at;
    let date = match event.kind {
        EventKind::EmailStatus => event.acted_at.map_or(event.at, |acted_at| acted_at.min(event.at)),
        EventKind::ContactSync | EventKind::Engagement if is_undated => {
            let newest = event.consent.iter().map(|fact| fact.at).max();
            newest.unwrap_or(event.at)
        }
        _ => event.at,
    };
    date.min(received_at)
}

/// Whether the fact ends consent that was given before.
fn is_opt_out(what: &What) -> bool {
    matches!(
        what,
        What::Unsubscribed | What::Complained | What::Bounced | What::Blocked | What::Inactive
    )
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

/// Whether the event is only about mails that were opened or clicked. These were sent before the erasure.
fn is_reaction(event: &Event) -> bool {
    let is_old_mail = |kind| matches!(kind, EngagementKind::EmailOpen | EngagementKind::LinkClick);
    event.kind == EventKind::Engagement
        && event.consent.is_empty()
        && event.fields.keys().all(|field| field == "email")
        && !event.engagements.is_empty()
        && event.engagements.iter().all(|one| is_old_mail(one.kind))
}

fn without_older(event: &Event, is_after: impl Fn(Timestamp) -> bool, erased: &PastErasure) -> Event {
    let mut event = event.clone();
    let was_opted_out = |at: Timestamp| erased.opted_out_at.is_some_and(|opted_out| at <= opted_out);
    let all = event.consent.len();
    event.consent.retain(|fact| is_after(fact.at));
    let older = all - event.consent.len();
    event
        .consent
        .retain(|fact| !(fact.what.is_opt_in() && was_opted_out(fact.at)));
    let opted_out = all - older - event.consent.len();
    event
        .engagements
        .retain(|engagement| engagement.at.is_some_and(&is_after));
    if !erased.is_known {
        let day = day(erased.at);
        event.notes.push(format!(
            "a person with this address or id was erased on {day}; this message is dated later, so it makes a new \
             contact"
        ));
    }
    if older > 0 {
        event.notes.push(format!(
            "{older} statements about consent are from before that, and do not count"
        ));
    }
    if opted_out > 0 {
        event.notes.push(format!(
            "{opted_out} opt-ins do not count: an opt-out of a later date came before this message"
        ));
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{consent::ConsentFact, contact::Identity, event::Engagement};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn event(kind: EventKind, when: i64, consent: &[(What, i64)]) -> Event {
        let mut event = Event::new(kind, "proca".into(), at(when));
        event.identities = vec![Identity::Email {
            address: "ann@example.org".to_owned(),
        }];
        event.consent = consent
            .iter()
            .map(|(what, when)| ConsentFact::new("email", what.clone(), at(*when), "a test"))
            .collect();
        event
    }

    fn engagement(kind: EngagementKind, when: Option<i64>) -> Engagement {
        Engagement {
            kind,
            key: "mail 7".to_owned(),
            name: None,
            at: when.map(at),
            raw_at: None,
            count: None,
            score: None,
        }
    }

    /// Erased at second 100.
    fn past(opted_out_at: Option<i64>, is_known: bool) -> PastErasure {
        PastErasure {
            at: at(100),
            opted_out_at: opted_out_at.map(at),
            is_known,
        }
    }

    /// The consent facts that count, or `None` if the message is turned away.
    fn taken(event: &Event, received: i64, erased: &PastErasure) -> Option<Vec<What>> {
        match judge(event, at(received), AfterErasure::Accept, erased) {
            Judgement::Anew(event) => Some(event.consent.into_iter().map(|fact| fact.what).collect()),
            Judgement::TurnedAway { .. } => None,
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn the_date_of_each_kind_of_message_decides() {
        use What::{Bounced, DoubleOptIn, OptIn, Unsubscribed};
        let gone = past(None, false);
        let answer = |what, when, acted: Option<i64>| {
            let mut event = event(EventKind::EmailStatus, when, &[(what, when)]);
            event.acted_at = acted.map(at);
            event
        };
        for (name, event, received, expected) in [
            (
                "a late action",
                event(EventKind::Action, 99, &[(OptIn, 99)]),
                200,
                None,
            ),
            (
                "at the same time",
                event(EventKind::Action, 100, &[(OptIn, 100)]),
                200,
                None,
            ),
            (
                "a new action",
                event(EventKind::Action, 101, &[(OptIn, 101)]),
                200,
                Some(vec![OptIn]),
            ),
            (
                "a share that repeats an old opt-in",
                event(EventKind::Action, 150, &[(OptIn, 5)]),
                200,
                Some(vec![]),
            ),
            (
                "a clock ahead, come before",
                event(EventKind::Action, 150, &[(OptIn, 150)]),
                90,
                None,
            ),
            (
                "a click for an old action",
                answer(DoubleOptIn, 150, Some(50)),
                200,
                None,
            ),
            (
                "a click for a new action",
                answer(DoubleOptIn, 150, Some(140)),
                200,
                Some(vec![DoubleOptIn]),
            ),
            (
                "a click for it is not said which",
                answer(DoubleOptIn, 150, None),
                200,
                Some(vec![DoubleOptIn]),
            ),
            (
                "a bounce of an old mail",
                answer(Bounced, 150, Some(50)),
                200,
                None,
            ),
            (
                "a bounce of a new mail",
                answer(Bounced, 150, Some(140)),
                200,
                Some(vec![Bounced]),
            ),
            (
                "a record without a date",
                event(EventKind::ContactSync, 200, &[(OptIn, 200)]),
                200,
                Some(vec![OptIn]),
            ),
            (
                "a record with the date of its consent",
                event(EventKind::ContactSync, 200, &[(OptIn, 50)]),
                200,
                None,
            ),
            (
                "a record with two such dates",
                event(EventKind::ContactSync, 200, &[(OptIn, 50), (Unsubscribed, 150)]),
                200,
                Some(vec![Unsubscribed]),
            ),
            (
                "a record with an old date",
                event(EventKind::ContactSync, 50, &[]),
                200,
                None,
            ),
            (
                "a record with a new date and an old consent",
                event(EventKind::ContactSync, 150, &[(OptIn, 50)]),
                200,
                Some(vec![]),
            ),
            ("a tag", event(EventKind::Engagement, 150, &[]), 200, Some(vec![])),
        ] {
            assert_eq!(taken(&event, received, &gone), expected, "{name}");
            let refused = judge(&event, at(received), AfterErasure::Refuse, &gone);
            assert!(matches!(refused, Judgement::TurnedAway { .. }), "{name}");
        }
    }

    #[test]
    fn an_opt_out_counts_for_a_contact_that_is_back_and_is_remembered_otherwise() {
        let mut opt_out = event(EventKind::EmailStatus, 150, &[(What::Unsubscribed, 150)]);
        opt_out.acted_at = Some(at(50));
        assert_eq!(
            taken(&opt_out, 200, &past(None, true)),
            Some(vec![What::Unsubscribed])
        );
        let Judgement::TurnedAway { opted_out_at, reason } =
            judge(&opt_out, at(200), AfterErasure::Accept, &past(None, false))
        else {
            panic!("it begins anew");
        };
        assert_eq!(opted_out_at, Some(at(150)));
        assert!(
            reason.starts_with("names a person who was erased on 2027-01-15; it is dated"),
            "{reason}"
        );
        let signs = |when| event(EventKind::Action, when, &[(What::OptIn, when)]);
        assert_eq!(taken(&signs(140), 200, &past(Some(150), false)), Some(vec![]));
        assert_eq!(taken(&signs(150), 200, &past(Some(150), false)), Some(vec![]));
        assert_eq!(
            taken(&signs(160), 200, &past(Some(150), false)),
            Some(vec![What::OptIn])
        );
    }

    #[test]
    fn the_newest_opt_out_after_the_erasure_is_remembered_whatever_its_sort() {
        use What::{Blocked, Bounced, Complained, Declined, Inactive, OptIn, Unsubscribed};
        let remembered = |consent: &[(What, i64)]| {
            let event = event(EventKind::Action, 99, consent);
            match judge(&event, at(200), AfterErasure::Accept, &past(None, false)) {
                Judgement::TurnedAway { opted_out_at, .. } => opted_out_at,
                Judgement::Anew(_) => panic!("it begins anew"),
            }
        };
        for what in [Unsubscribed, Complained, Bounced, Blocked, Inactive] {
            let twice = [(what.clone(), 150), (what.clone(), 140)];
            assert_eq!(remembered(&twice), Some(at(150)), "{what:?}");
        }
        assert_eq!(
            remembered(&[(Unsubscribed, 100)]),
            None,
            "it is not from after the erasure"
        );
        assert_eq!(remembered(&[(OptIn, 150), (Declined, 150)]), None);
        assert_eq!(
            remembered(&[(Unsubscribed, 250)]),
            Some(at(200)),
            "a clock is ahead"
        );
    }

    #[test]
    fn a_new_contact_says_what_was_left_out() {
        let notes = |consent: &[(What, i64)], past: &PastErasure| {
            let event = event(EventKind::Action, 160, consent);
            match judge(&event, at(200), AfterErasure::Accept, past) {
                Judgement::Anew(event) => event.notes,
                Judgement::TurnedAway { reason, .. } => panic!("{reason}"),
            }
        };
        let opt_ins = [5, 6, 140, 160].map(|when| (What::OptIn, when));
        let [anew, older, opted_out] = &notes(&opt_ins, &past(Some(150), false))[..] else {
            panic!("not three notes");
        };
        assert!(anew.contains("erased on 2027-01-15"), "{anew}");
        assert!(older.starts_with("2 statements about consent"), "{older}");
        assert!(opted_out.starts_with("1 opt-ins do not count"), "{opted_out}");
        let nothing: [String; 0] = [];
        assert_eq!(notes(&opt_ins[3..], &past(None, true)), nothing);
    }

    #[test]
    fn only_opens_and_clicks_without_anything_else_are_reactions() {
        let open = |kind, consent: &[(What, i64)], field: Option<&str>| {
            let mut event = event(kind, 150, consent);
            event.engagements = vec![engagement(EngagementKind::EmailOpen, Some(150))];
            event.fields = field
                .map(|name| (name.to_owned(), "x".into()))
                .into_iter()
                .collect();
            taken(&event, 200, &past(None, false)).is_none()
        };
        let is_reaction = |consent, field| open(EventKind::Engagement, consent, field);
        assert!(is_reaction(&[], None));
        assert!(
            is_reaction(&[], Some("email")),
            "the address that the mail went to"
        );
        assert!(!is_reaction(&[], Some("city")));
        assert!(!is_reaction(&[(What::OptIn, 150)], None));
        assert!(!open(EventKind::Action, &[], None));
    }

    #[test]
    fn opening_or_clicking_an_old_mail_brings_nobody_back() {
        let with = |engagements: Vec<Engagement>| {
            let mut event = event(EventKind::Engagement, 150, &[]);
            event.engagements = engagements;
            event
        };
        let open = engagement(EngagementKind::EmailOpen, Some(150));
        let click = engagement(EngagementKind::LinkClick, Some(150));
        let visit = engagement(EngagementKind::PageVisit, Some(150));
        assert_eq!(
            taken(&with(vec![open.clone(), click]), 200, &past(None, false)),
            None
        );
        assert_eq!(
            taken(&with(vec![open.clone()]), 200, &past(None, true)),
            Some(vec![])
        );
        let older = engagement(EngagementKind::PageVisit, Some(50));
        let undated = engagement(EngagementKind::PageVisit, None);
        let event = with(vec![open, visit.clone(), older, undated]);
        let Judgement::Anew(kept) = judge(&event, at(200), AfterErasure::Accept, &past(None, false)) else {
            panic!("it is turned away");
        };
        assert_eq!(kept.engagements.len(), 2);
        assert_eq!(kept.engagements[1], visit);
    }
}
