//! Runs the automations that an event triggers.

use super::{About, Case};
use crate::{
    automation::{self, AfterEvent, Moment, RunResult},
    consent::{Change, ConsentFact},
    contact::Contact,
    delivery::Kind,
    event::Engagement,
    id::InboxId,
    record::Record,
};

/// How many new clicks on one link count at most. A platform may report any number.
const MAX_CLICKS: i64 = 100;

/// Runs the automations of the workspace, which may change the contact. `ledger` holds the new consent facts.
/// `is_sync` allows a platform's contact as such to trigger automations.
pub(super) fn automations(
    case: &Case<'_>,
    before: Option<&Contact>,
    contact: &mut Contact,
    ledger: &[ConsentFact],
    is_sync: bool,
) -> RunResult {
    let Case {
        event, known, rules, ..
    } = *case;
    let rules = rules.of_workspace(case.workspace);
    if rules.automations.is_empty() || !event.deliver {
        return RunResult::default();
    }
    let engaged = if rules.listens_to_engagements {
        new_engagements(case)
    } else {
        Vec::new()
    };
    let happened = automation::causes(&AfterEvent {
        event,
        before,
        after: contact,
        facts: ledger,
        engaged: &engaged,
        is_action: !known.action_is_known,
        is_created: is_created(case),
        is_sync: is_sync && rules.listens_to_syncs,
        terms: known.terms,
        scoring: rules.index.listens_to_scores().then_some(&rules.scoring),
    });
    if happened.is_empty() && event.follow_up.is_none() {
        return RunResult::default();
    }
    let record = |contact: Contact| record(case, (known.about)(), contact);
    let moment = Moment {
        rules,
        event,
        now: case.now,
        record: &record,
        last_hour: known.last_hour,
        knows: known.knows,
    };
    automation::run(&moment, contact, happened)
}

/// Whether the contact is created by this event. A browser alone is no contact: one that began as a browser
/// is created when it gets an identity of its own.
fn is_created(case: &Case<'_>) -> bool {
    let known = case.known;
    let is_named = case
        .event
        .identities
        .iter()
        .any(|identity| !identity.is_visitor());
    // A contact with an address or with data of a form is named, so the store need not be asked.
    let may_be_nobody = |contact: &Contact| !contact.gave_data && contact.text("email").is_none();
    is_named && known.contacts.iter().all(may_be_nobody) && (known.contacts.is_empty() || !(known.is_named)())
}

/// Engagements that are not known yet, each once, with the numbers of its first and last new click. Of several
/// rows, the one with the most clicks counts.
fn new_engagements<'a>(case: &Case<'a>) -> Vec<(&'a Engagement, (i64, i64))> {
    let knows = case.known.knows;
    let mut new: Vec<(&Engagement, (i64, i64))> = Vec::new();
    for row in case.event.engagements.iter().filter(|row| !knows(row)) {
        let clicks = new_clicks(row, knows);
        let same = |(other, _): &&mut (&Engagement, _)| {
            (other.kind, &other.key, other.at) == (row.kind, &row.key, row.at)
        };
        match new.iter_mut().find(same) {
            Some((_, most)) => *most = (*most).max(clicks),
            None => new.push((row, clicks)),
        }
    }
    new
}

/// The first and last new click. A platform counts the clicks on a link in one row, so those beyond the known
/// count are new.
fn new_clicks(row: &Engagement, knows: &dyn Fn(&Engagement) -> bool) -> (i64, i64) {
    let last = row.count.unwrap_or(1).max(1);
    let counted = |count| Engagement { count, ..row.clone() };
    let first = last.saturating_sub(MAX_CLICKS).max(0);
    if !knows(&counted(None)) {
        return (first + 1, last);
    }
    let counted_before = (first..last)
        .rev()
        .find(|count| knows(&counted(Some(*count))))
        .unwrap_or(first);
    (counted_before + 1, last)
}

/// The record that expressions read: as in a destination's mapping, but without its settings.
fn record(case: &Case<'_>, about: About, contact: Contact) -> Record {
    let event = case.event;
    let consent_state = contact.consent_states(contact.address().as_deref(), case.known.terms);
    let mut engagements = about.engagements;
    engagements.extend_from_slice(&event.engagements);
    Record {
        workspace: case.workspace.into(),
        source: case.source.into(),
        inbox_id: about.inbox_id.unwrap_or(InboxId(0)),
        kind: Kind::Record,
        event: event.kind.as_str().to_owned(),
        event_at: event.at,
        identities: event.identities.clone(),
        action: about.action,
        campaign: about.campaign,
        page: about.page,
        consent_state,
        purpose: crate::consent::EMAIL.into(),
        engagements,
        settings: serde_json::Map::new(),
        change: Change::None,
        lead: case.rules.of_workspace(case.workspace).scoring.lead(&contact),
        via: Vec::new(),
        contact,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EngagementKind;

    fn clicks(count: Option<i64>) -> Engagement {
        Engagement {
            kind: EngagementKind::LinkClick,
            key: "https://example.org".to_owned(),
            name: None,
            at: None,
            raw_at: None,
            count,
            score: None,
        }
    }

    #[test]
    fn clicks_beyond_the_known_count_are_new_and_a_hundred_of_them_count() {
        for (known, count, expected) in [
            (None, None, (1, 1)),
            (None, Some(0), (1, 1)),
            (None, Some(5), (1, 5)),
            (None, Some(250), (151, 250)),
            (Some(0), Some(2), (1, 2)),
            (Some(3), Some(5), (4, 5)),
            (Some(4), Some(5), (5, 5)),
            (Some(3), Some(250), (151, 250)),
            (Some(200), Some(250), (201, 250)),
        ] {
            // As the store answers: a row without a count is known from the first one of its link.
            let knows = |row: &Engagement| known.is_some_and(|known| row.count.unwrap_or(0) <= known);
            assert_eq!(
                new_clicks(&clicks(count), &knows),
                expected,
                "{known:?}, then {count:?}"
            );
        }
    }
}
