//! Renders messages in the format of Proca.

use crypto_box::{PublicKey, SalsaBox, SecretKey, aead::Aead};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value as Json, json};

use super::Place;
use crate::{
    dice::mix,
    message::{Proca, Seal},
};

/// The keystore of all Proca sources: the organisation's key.
pub const KEYSTORE: &str = concat!(
    r#"{"ZLEBsdC-WocEvQePmJUAH8A-jp-VIvGI3RKNmEbUhGY":"#,
    r#"{"private":"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVpbXF1eX2A"}}"#
);

fn key(first: u8) -> SecretKey {
    let mut next = first;
    let bytes: [u8; 32] = std::array::from_fn(|_| {
        let byte = next;
        next = next.wrapping_add(1);
        byte
    });
    SecretKey::from(bytes)
}

/// The contact's identifiers and personal data, without the fields of consent.
pub fn contact(proca: &Proca) -> Json {
    json!({ "firstName": proca.first_name, "lastName": "Example", "email": proca.email, "country": "DE", "area": "DE",
        "postcode": "10115" })
}

/// The routing key and the body.
pub fn render(proca: &Proca, space: usize, place: &Place) -> (String, Vec<u8>) {
    let (key, body) = if proca.stage == "system" {
        ("system.new_user".to_owned(), system(proca, place))
    } else if proca.is_event {
        ("supporter.email_status".to_owned(), event(proca, place))
    } else if proca.version == 1 {
        (
            format!("{}.{}", proca.action_type, proca.campaign),
            old_action(proca, space, place),
        )
    } else {
        (
            format!("{}.{}", proca.action_type, proca.campaign),
            action(proca, space, place),
        )
    };
    (key, body.to_string().into_bytes())
}

fn campaign(proca: &Proca) -> Json {
    json!({ "name": proca.campaign, "title": proca.campaign, "externalId": null, "contactSchema": "basic" })
}

fn page(proca: &Proca) -> Json {
    json!({ "name": format!("{}/{}", proca.campaign, proca.page), "locale": "en", "thankYouTemplate": null,
        "thankYouTemplateRef": null, "supporterConfirmTemplate": null })
}

/// The custom fields of an action.
pub fn custom_fields(proca: &Proca, place: &Place) -> Json {
    let mut fields = json!({});
    if let Some((name, value)) = &proca.extra {
        fields[name] = place.json(value);
    }
    fields
}

fn inner_action(proca: &Proca, place: &Place) -> Json {
    let fields = custom_fields(proca, place);
    json!({ "actionType": proca.action_type, "customFields": fields, "createdAt": place.time(proca.given),
        "testing": proca.is_test })
}

/// `contact` and `personalInfo`.
fn person(proca: &Proca) -> (Json, Json) {
    let mut open = json!({ "firstName": proca.first_name, "email": proca.email, "contactRef": proca.reference,
        "dupeRank": proca.rank, "area": "DE" });
    if proca.seal == Seal::Open {
        if let (Some(open), Json::Object(rest)) = (open.as_object_mut(), contact(proca)) {
            open.extend(rest);
        }
        return (open, Json::Null);
    }
    open["email"] = Json::Null;
    (open, sealed(proca))
}

/// The contact for the key that a message's seal names.
pub fn sealed(proca: &Proca) -> Json {
    let first = if proca.seal == Seal::Unknown { 0x81 } else { 0x41 };
    seal(&contact(proca), &key(first).public_key(), proca.action)
}

fn seal(text: &Json, recipient: &PublicKey, number: u64) -> Json {
    let sender = key(0x01);
    let mut nonce = [0; 24];
    for (place, byte) in nonce.iter_mut().enumerate() {
        *byte = mix(&[number, place as u64]).to_le_bytes()[0];
    }
    let sealed = SalsaBox::new(recipient, &sender).encrypt(&nonce.into(), text.to_string().as_bytes());
    json!({
        "payload": BASE64URL_NOPAD.encode(&sealed.unwrap_or_default()),
        "nonce": BASE64URL_NOPAD.encode(&nonce),
        "encryptKey": { "id": 42, "public": BASE64URL_NOPAD.encode(recipient.as_bytes()) },
        "signKey": { "id": 1, "public": BASE64URL_NOPAD.encode(sender.public_key().as_bytes()) },
    })
}

fn privacy(proca: &Proca, place: &Place) -> Json {
    json!({ "withConsent": proca.with_consent, "optIn": proca.opt_in, "givenAt": place.time(proca.given),
        "emailStatus": proca.status, "emailStatusChanged": proca.status.map(|_| place.time(proca.changed)) })
}

fn action(proca: &Proca, space: usize, place: &Place) -> Json {
    let (contact, sealed) = person(proca);
    let org = place.org(space, proca.org);
    json!({
        "schema": "proca:action:2", "stage": proca.stage, "actionId": proca.action, "actionPageId": proca.page,
        "campaignId": proca.page % 2 + 1, "orgId": org, "org": { "name": format!("org{org}"), "title": "Organisation" },
        "campaign": campaign(proca), "actionPage": page(proca), "action": inner_action(proca, place),
        "contact": contact, "personalInfo": sealed, "privacy": privacy(proca, place), "tracking": null,
    })
}

fn old_action(proca: &Proca, space: usize, place: &Place) -> Json {
    let org = place.org(space, proca.org);
    json!({
        "schema": "proca:action:1", "stage": proca.stage, "actionId": proca.action, "actionPageId": proca.page,
        "campaignId": proca.page % 2 + 1, "orgId": org, "org": { "name": format!("org{org}"), "title": "Organisation" },
        "campaign": { "name": proca.campaign, "title": proca.campaign, "externalId": null },
        "actionPage": { "name": format!("{}/{}", proca.campaign, proca.page), "locale": "en", "thankYouTemplate": null,
            "thankYouTemplateRef": null },
        "action": { "actionType": proca.action_type, "fields": {}, "createdAt": place.time(proca.given),
            "testing": proca.is_test },
        "contact": { "ref": proca.reference, "firstName": proca.first_name, "email": proca.email, "area": "DE",
            "payload": contact(proca).to_string() },
        "privacy": if proca.with_consent {
            json!({ "communication": proca.opt_in, "givenAt": place.time(proca.given) })
        } else {
            Json::Null
        },
        "tracking": null,
    })
}

fn event(proca: &Proca, place: &Place) -> Json {
    let (contact, sealed) = person(proca);
    json!({
        "schema": "proca:event:2", "eventType": "email_status", "timestamp": place.time(proca.changed),
        "actionId": proca.action, "actionPageId": proca.page, "campaignId": proca.page % 2 + 1,
        "campaign": campaign(proca), "actionPage": page(proca), "action": inner_action(proca, place),
        "supporter": { "contact": contact, "personalInfo": sealed, "privacy": privacy(proca, place) },
        "tracking": null,
    })
}

fn system(proca: &Proca, place: &Place) -> Json {
    json!({
        "schema": "proca:action:2", "stage": "system", "eventType": "new_user", "actionId": null, "actionPageId": null,
        "campaignId": null, "orgId": null, "org": null, "campaign": null, "actionPage": null,
        "action": { "actionType": "new_user", "customFields": {}, "createdAt": place.time(proca.given),
            "testing": false },
        "contact": { "firstName": proca.first_name, "email": proca.email, "contactRef": null, "dupeRank": 0,
            "area": null },
        "personalInfo": null, "privacy": {}, "tracking": {},
    })
}
