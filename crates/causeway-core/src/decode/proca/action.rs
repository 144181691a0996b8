//! Decodes `proca:action:1` and `proca:action:2`.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    Known, ProcaDecoder, campaign,
    consent::{ConsentParts, of_action},
    contact::{Person, person},
    malformed, page, personal_info, unknown,
    wire::{ActionPart, Message, Privacy},
    without_fields,
};
use crate::{
    consent::page_key,
    decode::consent_from::{self, When},
    event::{Action, Decoded, Event, EventKind},
    keystore::Keystore,
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

/// The stage of an action at Proca.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Waits for the confirmation by the supporter or a moderator.
    Confirm(EventKind),
    Deliver,
}

pub(super) fn decode(
    decoder: &ProcaDecoder,
    mut message: Message<'_>,
    version: Version,
    received_at: Timestamp,
) -> Known<Event> {
    let stage = stage(&message)?;
    let part = message.action.take().unwrap_or_default();
    let testing = part.testing.flag() == Some(true);
    decoder.refuse_testing(testing)?;

    let keystore = decoder.keystore.get();
    let (opened, mut privacy) = open(&mut message, version, &keystore);
    let (decrypted, unreadable) = match opened {
        Ok(decrypted) => (decrypted, None),
        // The address may be somebody else's: nobody has confirmed it yet.
        Err(end) if stage != Stage::Deliver => return Err(end),
        Err(end) => (None, Some(end)),
    };
    let person = person(
        message.contact.take(),
        decrypted,
        &decoder.namespace,
        &decoder.placeholders,
    );
    let created_at = part.created_at.time().or(privacy.given_at).unwrap_or(received_at);
    let given_at = privacy.given_at.unwrap_or(created_at);

    let mut event = Event::new(EventKind::Action, decoder.namespace.clone(), created_at);
    event.testing = testing && decoder.testing != super::Testing::Deliver;
    event.campaign = campaign(&message);
    event.page = page(&message);
    let dupe_rank = person.dupe_rank;
    take_person(&mut event, person);
    event.notes.append(&mut privacy.notes);
    event.fields_at = Some(given_at);
    if let Stage::Confirm(kind) = stage {
        // Nobody has confirmed yet that this is them, so the fields do not count, and the action only for the
        // decision about the confirmation. It is no duplicate when it comes again to be delivered, because an
        // event of this kind plans none of its deliveries.
        event.kind = kind;
        event.fields.clear();
        event.deliver = false;
        event.notes.push("not confirmed yet (row 4)".to_owned());
        event.action =
            read_action(&mut message, part, created_at, testing, &mut event.notes).map(|action| Action {
                with_consent: privacy.with_consent,
                dupe_rank,
                ..action
            });
        return Ok(event);
    }
    let is_own = message
        .org_id
        .text()
        .is_some_and(|org| decoder.own_orgs.contains(&*org));
    let parts = consent_parts(decoder, &message, &privacy, created_at, is_own);
    let consent = of_action(&parts, &mut event.notes);
    if let Some(end) = unreadable {
        return Err(without_fields(event, consent, end));
    }
    let Some(action) = read_action(&mut message, part, created_at, testing, &mut event.notes) else {
        return Err(malformed("an action without actionId".to_owned()));
    };
    if event.identities.is_empty() {
        return Err(malformed(
            "an action without a person: neither contactRef nor e-mail address".to_owned(),
        ));
    }
    event.action = Some(Action {
        with_consent: privacy.with_consent,
        dupe_rank,
        ..action
    });
    event.consent = consent;
    // The boxes were ticked with this action, so its time counts, even if the person gave their data earlier.
    read_boxes(decoder, When::at(created_at, received_at), &mut event);
    Ok(event)
}

/// The action, if it has a number.
fn read_action(
    message: &mut Message<'_>,
    part: ActionPart<'_>,
    created_at: Timestamp,
    testing: bool,
    notes: &mut Vec<String>,
) -> Option<Action> {
    Some(Action {
        external_id: message.action_id.string()?,
        action_type: part.action_type.string().unwrap_or_default(),
        created_at,
        custom_fields: object(part.custom_fields.or(part.fields), "customFields", notes),
        donation: part.donation.filter(|value| !value.is_null()),
        tracking: message.tracking.take().filter(|value| !value.is_null()),
        with_consent: false,
        dupe_rank: None,
        testing,
    })
}

/// Decrypts the person's data, and reads what they agreed to.
fn open(
    message: &mut Message<'_>,
    version: Version,
    keystore: &Keystore,
) -> (Result<Option<Map<String, Value>>, Decoded>, Consented) {
    match version {
        Version::One => (
            personal_info::open_v1(message, keystore),
            privacy_of_v1(message.privacy.as_ref()),
        ),
        Version::Two => (
            personal_info::open(message.personal_info.as_ref(), keystore),
            message.privacy.as_ref().map(privacy_of_v2).unwrap_or_default(),
        ),
    }
}

/// Reads the consent in custom fields of the action.
fn read_boxes(decoder: &ProcaDecoder, when: When, event: &mut Event) {
    let Some(action) = event.action.take() else { return };
    let rules = consent_from::Reader {
        rules: &decoder.consent_from,
        placeholders: &decoder.placeholders,
        zone: &jiff::tz::TimeZone::UTC,
    };
    rules.read(&[&action.custom_fields], when, event);
    event.action = Some(action);
}

fn stage(message: &Message<'_>) -> Known<Stage> {
    match message.stage.text().as_deref() {
        Some("deliver") => Ok(Stage::Deliver),
        Some("supporter_confirm") => Ok(Stage::Confirm(EventKind::SupporterConfirm)),
        Some("action_confirm") => Ok(Stage::Confirm(EventKind::ActionConfirm)),
        Some("system") => Err(Decoded::Skip {
            reason: "an account of Proca's staff users, not a supporter (row 2)".to_owned(),
        }),
        other => Err(unknown("stage", other)),
    }
}

/// Gathers the data that decides about consent. `at` dates facts without a date of their own.
pub(super) fn consent_parts<'a>(
    decoder: &'a ProcaDecoder,
    message: &Message<'_>,
    privacy: &'a Consented,
    at: Timestamp,
    is_own: bool,
) -> ConsentParts<'a> {
    ConsentParts {
        purpose: &decoder.purpose,
        mode: decoder.opt_in,
        status: privacy.status.as_deref(),
        status_at: privacy.status_at,
        at,
        with_consent: privacy.with_consent,
        opt_in: privacy.opt_in,
        given_at: privacy.given_at.unwrap_or(at),
        is_own,
        page: message
            .action_page_id
            .text()
            .map(|page| page_key(&decoder.namespace, &page)),
    }
}

pub(super) fn take_person(event: &mut Event, person: Person) {
    event.identities = person.identities;
    event.fields = person.fields;
    event.notes.extend(person.notes);
}

/// A message's `privacy`, in one form for both versions.
#[derive(Default)]
pub(super) struct Consented {
    pub with_consent: bool,
    pub opt_in: Option<bool>,
    /// When the contact was made, which may be long before the action.
    pub given_at: Option<Timestamp>,
    pub status: Option<String>,
    pub status_at: Option<Timestamp>,
    /// Notes about members that are ignored because of their wrong type.
    pub notes: Vec<String>,
}

pub(super) fn privacy_of_v2(privacy: &Privacy<'_>) -> Consented {
    let mut notes = of_wrong_type("withConsent", privacy.with_consent.is_no_flag(), "true or false");
    notes.append(&mut of_wrong_type(
        "optIn",
        privacy.opt_in.is_no_flag(),
        "true or false",
    ));
    notes.append(&mut of_wrong_type(
        "emailStatus",
        privacy.email_status.is_no_text(),
        "a text",
    ));
    Consented {
        notes,
        with_consent: privacy.with_consent.flag() == Some(true),
        opt_in: privacy.opt_in.flag(),
        given_at: privacy.given_at.time(),
        // Staff or another program may have written it in another case.
        status: privacy
            .email_status
            .text()
            .map(|status| status.trim().to_lowercase())
            // Proca's documentation writes `doubleOptIn`.
            .map(|status| match status.as_str() {
                "doubleoptin" | "double-opt-in" | "double opt in" => "double_opt_in".to_owned(),
                _ => status,
            })
            .filter(|status| !status.is_empty()),
        status_at: privacy.email_status_changed.time(),
    }
}

/// Version 1 has a `privacy` only if the person gave consent with this action.
fn privacy_of_v1(privacy: Option<&Privacy<'_>>) -> Consented {
    privacy.map_or_else(Consented::default, |privacy| Consented {
        with_consent: true,
        opt_in: privacy.communication.flag(),
        given_at: privacy.given_at.time(),
        status: None,
        status_at: None,
        notes: of_wrong_type(
            "communication",
            privacy.communication.is_no_flag(),
            "true or false",
        ),
    })
}

fn of_wrong_type(name: &str, is_wrong: bool, wanted: &str) -> Vec<String> {
    let note = is_wrong.then(|| format!("{name} is not {wanted}: it is ignored"));
    note.into_iter().collect()
}

fn object(value: Option<Value>, name: &str, notes: &mut Vec<String>) -> Map<String, Value> {
    match value {
        Some(Value::Object(members)) => members,
        None | Some(Value::Null) => Map::new(),
        Some(_) => {
            notes.push(format!("{name} is not an object"));
            Map::new()
        }
    }
}
