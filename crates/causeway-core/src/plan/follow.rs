//! What automations make of an event.

use super::{About, Case};
use crate::{
    automation::{self, Moment, Ran},
    consent::{Change, ConsentFact},
    contact::Contact,
    delivery::Kind,
    event::Engagement,
    id::InboxId,
    record::Record,
};

/// Asks the automations of the workspace, and changes the contact as they say. `ledger` are the consent facts that are new.
pub(super) fn automations(
    case: &Case<'_>,
    before: Option<&Contact>,
    contact: &mut Contact,
    ledger: &[ConsentFact],
) -> Ran {
    let Case {
        event, known, rules, ..
    } = *case;
    let rules = rules.of_workspace(case.workspace);
    if rules.automations.is_empty() || !event.deliver {
        return Ran::default();
    }
    let engaged: Vec<&Engagement> = if rules.listens_to_engagements {
        event
            .engagements
            .iter()
            .filter(|row| !(known.knows)(row))
            .collect()
    } else {
        Vec::new()
    };
    let happened = automation::happenings(
        event,
        before,
        contact,
        ledger,
        &engaged,
        !known.action_is_known,
        known.terms,
    );
    if happened.is_empty() && event.follow_up.is_none() {
        return Ran::default();
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

/// What expressions see: as in a destination's mapping, but for its settings.
fn record(case: &Case<'_>, about: About, contact: Contact) -> Record {
    let event = case.event;
    let standing = contact.standings(contact.address().as_deref(), case.known.terms);
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
        standing,
        engagements,
        settings: serde_json::Map::new(),
        change: Change::None,
        lead: case.rules.of_workspace(case.workspace).scoring.lead(&contact),
        via: Vec::new(),
        contact,
    }
}
