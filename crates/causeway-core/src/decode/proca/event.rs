//! Decodes `proca:event:2`: news about an address, news about a campaign, and requests for staff to confirm.

use jiff::Timestamp;

use super::{
    Known, ProcaDecoder,
    action::{consent_parts, privacy_of_v2, take_person},
    campaign,
    consent::of_event,
    contact::person,
    malformed, page, personal_info, unknown,
    wire::Message,
    without_fields,
};
use crate::event::{Decoded, Event, EventKind};

pub(super) fn decode(decoder: &ProcaDecoder, message: Message<'_>, received_at: Timestamp) -> Known<Event> {
    let event_type = message.event_type.text();
    // The documentation prefixes the name with the routing key; the sending program does not.
    let event_type = event_type.as_deref().map(|name| {
        name.strip_prefix("supporter.")
            .or_else(|| name.strip_prefix("system."))
            .unwrap_or(name)
    });
    match event_type {
        Some("email_status") => email_status(decoder, message, received_at),
        Some("campaign_updated") => Ok(campaign_updated(decoder, &message, received_at)),
        // It carries a code that allows its bearer to confirm, so no part of it is shown.
        Some("confirm_created") => Err(Decoded::Skip {
            reason: "a request for Proca's staff to confirm something (row 24)".to_owned(),
        }),
        other => Err(unknown("eventType", other)),
    }
}

/// Does not make an [`crate::event::Action`], for two reasons: events mangle the keys of custom fields, and
/// an action that was only mentioned by an event must still be new when it arrives.
fn email_status(decoder: &ProcaDecoder, mut message: Message<'_>, received_at: Timestamp) -> Known<Event> {
    let part = message.action.take().unwrap_or_default();
    let testing = part.testing.flag() == Some(true);
    decoder.refuse_testing(testing)?;
    let supporter = message.supporter.take().unwrap_or_default();
    let opened = personal_info::open(supporter.personal_info.as_ref(), &decoder.keystore.get());
    let (decrypted, unreadable) = match opened {
        Ok(decrypted) => (decrypted, None),
        Err(end) => (None, Some(end)),
    };
    let mut privacy = supporter.privacy.as_ref().map(privacy_of_v2).unwrap_or_default();
    let person = person(
        supporter.contact,
        decrypted,
        &decoder.namespace,
        &decoder.placeholders,
    );

    let at = privacy
        .status_at
        .or_else(|| message.timestamp.time())
        .unwrap_or(received_at);
    let acted_at = part.created_at.time();
    let submitted_at = privacy.given_at.or(acted_at);
    let mut event = Event::new(EventKind::EmailStatus, decoder.namespace.clone(), at);
    event.testing = testing && decoder.testing != super::Testing::Deliver;
    event.acted_at = acted_at;
    event.campaign = campaign(&message);
    event.page = page(&message);
    // Without a time of submission, the fields may be older than the known ones.
    event.fields_at = Some(submitted_at.unwrap_or(Timestamp::UNIX_EPOCH));
    take_person(&mut event, person);
    event.notes.append(&mut privacy.notes);
    let parts = consent_parts(decoder, &message, &privacy, at, false);
    let consent = of_event(&parts, &mut event.notes);
    if let Some(end) = unreadable {
        return Err(without_fields(event, consent, end));
    }
    if event.identities.is_empty() {
        return Err(malformed(
            "an event without a person: neither contactRef nor e-mail address".to_owned(),
        ));
    }
    event.consent = consent;
    Ok(event)
}

fn campaign_updated(decoder: &ProcaDecoder, message: &Message<'_>, received_at: Timestamp) -> Event {
    let at = message.timestamp.time().unwrap_or(received_at);
    let mut event = Event::new(EventKind::CampaignUpdated, decoder.namespace.clone(), at);
    event.campaign = campaign(message);
    event.deliver = false;
    event
}
