//! Tests that decode every kind of message, from the samples that ship with the program.

use causeway_core::{
    clock::Timestamp,
    consent::What,
    contact::Identity,
    decode::{
        at_format::AtFormat,
        consent_from::ConsentFrom,
        proca::{OptInMode, ProcaDecoder, Testing},
    },
    event::{DeadCode, Decode, Decoded, Event, EventKind},
};
use serde_json::{Value, json};

use crate::message::{
    Kind, Message, PARTNER_PAGE, action, at, dead, decoder, envelope, event, read, sample, sample_json,
    status,
};

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn email(address: &str) -> Identity {
    Identity::Email {
        address: address.to_owned(),
    }
}

fn reference(reference: &str) -> Identity {
    Identity::ContactRef {
        namespace: "proca".into(),
        reference: reference.to_owned(),
    }
}

const BRUCE: &str = "_S57kdQEaQ-5miExiDNK9A6UFNfKCnjgGAljssvE5yQ";

#[test]
fn every_sample_has_its_expected_result() {
    let mut count = 0;
    let folder = format!("{}/../../samples/messages", env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let name = name.strip_suffix(".json").unwrap();
        let is_event = matches!(decoder().decode(&envelope(sample(name))), Decoded::Event(_));
        let is_skipped = ["system-new-user", "confirm-created"].contains(&name);
        assert_eq!(is_event, !is_skipped, "{name}");
        count += 1;
    }
    assert!(count >= 12, "{count} samples");
}

#[test]
fn a_petition_is_decoded_completely() {
    let event = event(&decoder(), &sample_json("petition-opt-in"));
    assert_eq!(
        (event.kind, event.deliver, event.testing),
        (EventKind::Action, true, false)
    );
    assert_eq!(event.at, time("2026-01-02T03:04:05Z"));
    assert_eq!(event.identities, [email("bruce@example.org"), reference(BRUCE)]);
    let fields = json!({ "area": "DE", "country": "DE", "email": "bruce@example.org", "firstName": "Bruce",
        "lastName": "Wayne", "postcode": "10115" });
    assert_eq!(json!(event.fields), fields);
    let action = event.action.unwrap();
    assert_eq!(
        (action.external_id.as_str(), action.action_type.as_str()),
        ("101", "register")
    );
    assert_eq!(action.custom_fields["comment"], "For the bees 🐝");
    assert_eq!(action.tracking.unwrap()["source"], "newsletter");
    assert_eq!(
        (action.with_consent, action.dupe_rank, action.donation),
        (true, Some(0), None)
    );
    let campaign = event.campaign.unwrap();
    assert_eq!(
        (campaign.external_id.as_str(), campaign.name.as_str()),
        ("3", "save_bees")
    );
    assert_eq!(
        (campaign.title.as_deref(), campaign.crm_id),
        (Some("Save the bees"), None)
    );
    let page = event.page.unwrap();
    assert_eq!(
        (page.external_id.as_str(), page.locale.as_deref()),
        ("7", Some("de"))
    );
    let org = page.org.unwrap();
    assert_eq!(
        (
            org.external_id.as_str(),
            org.name.as_deref(),
            org.title.as_deref()
        ),
        ("123", Some("acme"), Some("ACME"))
    );
    assert_eq!(event.consent.len(), 1);
    assert_eq!(
        (&event.consent[0].what, event.consent[0].at),
        (&What::OptIn, event.at)
    );
    assert_eq!(
        event.consent[0].basis,
        "proca action: opted in on the form, which suffices (row 10)"
    );
    assert!(event.notes.is_empty());
}

#[test]
fn a_nested_address_becomes_flat_and_a_missing_part_is_no_field() {
    let event = event(&decoder(), &sample_json("petition-no-opt-in"));
    assert_eq!(event.fields["locality"], "Hamburg");
    assert_eq!(event.fields["street"], "Musterweg");
    assert_eq!(event.fields["streetNumber"], "12a");
    assert!(!event.fields.contains_key("region") && !event.fields.contains_key("address"));
    assert_eq!(event.consent[0].what, What::Declined);
}

#[test]
fn an_initiative_has_no_address_and_its_city_is_the_locality() {
    let event = event(&decoder(), &sample_json("citizens-initiative"));
    assert_eq!(
        event.identities,
        [reference("ref-of-diana-000000000000000000000000000000")]
    );
    assert_eq!(event.fields["locality"], "Bruxelles");
    assert_eq!(event.fields["nationality"]["documentNumber"], "AB123456");
    assert_eq!(event.campaign.unwrap().contact_schema.as_deref(), Some("eci"));
    assert_eq!(event.consent[0].what, What::NotAsked);
}

#[test]
fn a_popular_initiative_is_flat_and_its_address_is_compared_in_lower_case() {
    let mut body = sample_json("petition-opt-in");
    body["contact"] = json!({ "firstName": "Ada", "birthDate": "1990-01-31", "email": "Ada@Example.ORG", "area": null,
        "postcode": "8001", "locality": "Zürich", "region": "ZH", "contactRef": "r", "favouriteBee": "mason" });
    let event = event(&decoder(), &body);
    assert_eq!(event.identities[0], email("ada@example.org"));
    assert_eq!(event.fields["region"], "ZH");
    assert_eq!(event.fields["favouriteBee"], "mason", "an unknown member is kept");
}

#[test]
fn encrypted_data_is_opened_in_actions_and_in_events_and_wins() {
    for (name, kind) in [
        ("petition-encrypted", EventKind::Action),
        ("event-encrypted", EventKind::EmailStatus),
    ] {
        let mut body = sample_json(name);
        let contact = if kind == EventKind::Action {
            "/contact"
        } else {
            "/supporter/contact"
        };
        body.pointer_mut(contact).unwrap()["firstName"] = "Overwritten".into();
        let event = event(&decoder(), &body);
        assert_eq!(event.kind, kind);
        assert_eq!(
            event.identities,
            [email("bruce@example.org"), reference(BRUCE)],
            "{name}"
        );
        assert_eq!(event.fields["firstName"], "Bruce", "{name}");
        assert_eq!(event.fields["postcode"], "10115", "{name}");
    }
}

#[test]
fn version_1_is_read_as_if_it_were_version_2() {
    let first = event(&decoder(), &sample_json("petition-version-1"));
    assert_eq!(first.identities[0], email("harvey@example.org"));
    assert_eq!(
        first.identities[1],
        reference("ref-of-harvey-00000000000000000000000000000")
    );
    assert_eq!(first.fields["lastName"], "Dent");
    for name in ["payload", "ref", "nonce", "publicKey", "signKey", "contactRef"] {
        assert!(!first.fields.contains_key(name), "{name}");
    }
    let action = first.action.unwrap();
    assert_eq!(action.custom_fields["age"], 41);
    assert!(action.with_consent);
    assert_eq!(first.campaign.unwrap().crm_id, Some(7701));
    assert_eq!(first.page.unwrap().org.unwrap().external_id, "123");
    assert_eq!(first.consent[0].what, What::OptIn);

    // Without consent and without a payload.
    let mut share = sample_json("petition-version-1");
    share["privacy"] = Value::Null;
    share["contact"]["payload"] = "".into();
    let share = event(&decoder(), &share);
    assert!(!share.action.unwrap().with_consent && share.consent.is_empty());
    assert_eq!(share.fields["firstName"], "Harvey");
}

#[test]
fn version_1_may_be_encrypted_and_keeps_its_testing_flag() {
    let mut body = sample_json("petition-version-1");
    let sealed = &sample_json("petition-encrypted")["personalInfo"];
    let contact = body["contact"].as_object_mut().unwrap();
    contact.insert("payload".to_owned(), sealed["payload"].clone());
    contact.insert("nonce".to_owned(), sealed["nonce"].clone());
    contact.insert("publicKey".to_owned(), sealed["encryptKey"]["public"].clone());
    contact.insert("signKey".to_owned(), sealed["signKey"]["public"].clone());
    contact.insert("email".to_owned(), Value::Null);
    let event = event(&decoder(), &body);
    assert_eq!(event.identities[0], email("bruce@example.org"));
    assert_eq!(event.fields["firstName"], "Bruce");
    assert!(!event.fields.contains_key("nonce"));
    body["action"]["testing"] = true.into();
    assert!(matches!(read(&decoder(), &body), Decoded::Skip { .. }));
}

#[test]
fn events_give_the_status_with_its_date_and_no_action() {
    let event = event(&decoder(), &sample_json("event-bounce"));
    assert_eq!(
        (event.kind, event.at),
        (EventKind::EmailStatus, time("2026-02-03T10:00:00Z"))
    );
    // The name was typed a month before the bounce.
    assert_eq!(event.fields_time(), time("2026-01-02T03:04:05Z"));
    assert!(event.action.is_none(), "its custom fields have mangled names");
    assert_eq!(event.campaign.unwrap().name, "save_bees");
    assert_eq!(event.page.unwrap().org, None);
    let fact = &event.consent[0];
    assert_eq!((&fact.what, fact.at), (&What::Bounced, event.at));
    assert_eq!(fact.basis, "proca email_status: bounce (row 18)");
}

#[test]
fn a_double_opt_in_without_an_opt_in_to_us_names_the_page_that_decides() {
    let event = event(
        &decoder(),
        &status("double_opt_in", Some(false), 60).on(PARTNER_PAGE).json(),
    );
    let page = "proca/8".to_owned();
    assert_eq!(event.consent[0].what, What::DoubleOptInOnPage { page });
}

#[test]
fn an_event_with_the_documented_name_is_read_too() {
    let mut body = sample_json("event-bounce");
    body["eventType"] = "supporter.email_status".into();
    assert_eq!(event(&decoder(), &body).kind, EventKind::EmailStatus);
}

#[test]
fn a_share_repeats_an_old_answer_and_old_fields() {
    let event = event(&decoder(), &sample_json("share-without-consent"));
    assert!(event.consent.is_empty());
    assert_eq!(event.at, time("2026-01-02T03:06:00Z"));
    assert_eq!(event.fields_time(), time("2026-01-02T03:04:05Z"));
    assert!(!event.action.unwrap().with_consent);
}

#[test]
fn a_click_that_a_share_repeats_without_its_date_does_not_count() {
    let mut share = Message {
        with_consent: false,
        ..action(1, Some(true), 0).with_status("double_opt_in")
    }
    .json();
    assert_eq!(event(&decoder(), &share).consent[0].at, at(0));
    share["privacy"]["emailStatusChanged"] = Value::Null;
    let event = event(&decoder(), &share);
    assert!(event.consent.is_empty());
    assert!(event.notes[0].contains("row 7"), "{:?}", event.notes);
}

/// Purpose, fact, and time in seconds.
fn facts(event: &Event) -> Vec<(&str, &'static str, i64)> {
    let facts = event.consent.iter();
    facts
        .map(|fact| {
            (
                &*fact.purpose,
                fact.what.as_str(),
                fact.at.duration_since(at(0)).as_secs(),
            )
        })
        .collect()
}

/// A status of the address is about e-mail, whatever the purpose of the source's opt-in.
#[test]
fn the_status_of_the_address_is_about_e_mail_and_the_opt_in_about_the_purpose() {
    let calls = ProcaDecoder {
        purpose: "phone".into(),
        ..decoder()
    };
    let decoded = |message: Message| event(&calls, &message.json());
    let signed = |opt_in| action(1, opt_in, 0);
    for (status_word, what) in [
        ("bounce", "bounced"),
        ("blocked", "blocked"),
        ("spam", "complained"),
        ("inactive", "inactive"),
    ] {
        let of_event = decoded(status(status_word, Some(true), 60));
        assert_eq!(facts(&of_event), [("email", what, 60)]);
        let of_action = decoded(Message {
            status_changed: 60,
            ..signed(Some(true)).with_status(status_word)
        });
        assert_eq!(facts(&of_action), [("email", what, 60), ("phone", "opt_in", 0)]);
    }
    assert_eq!(
        facts(&decoded(status("unsub", Some(true), 60))),
        [("email", "unsubscribed", 60), ("phone", "unsubscribed", 60)]
    );
    assert_eq!(facts(&decoded(signed(Some(true)))), [("phone", "opt_in", 0)]);
    assert_eq!(facts(&decoded(signed(Some(false)))), [("phone", "declined", 0)]);
    // A click confirms e-mail, and only if the mail was ours. The opt-in was for calls.
    let click = decoded(status("double_opt_in", Some(true), 60).on(PARTNER_PAGE));
    assert_eq!(facts(&click), [("email", "double_opt_in_on_page", 60)]);
    let own = decoded(signed(Some(true)).with_status("double_opt_in"));
    assert_eq!(
        facts(&own),
        [("email", "double_opt_in_on_page", 0), ("phone", "opt_in", 0)]
    );
    // Without another purpose one fact is enough.
    let mail = event(&decoder(), &status("unsub", Some(true), 60).json());
    assert_eq!(facts(&mail), [("email", "unsubscribed", 60)]);
}

#[test]
fn a_status_without_a_date_counts_from_the_action_and_a_click_from_the_consent() {
    for (word, second) in [("unsub", 100), ("double_opt_in", 0)] {
        let mut body = action(1, Some(true), 0).with_status(word).json();
        body["action"]["createdAt"] = at(100).to_string().into();
        body["privacy"]["emailStatusChanged"] = Value::Null;
        assert_eq!(facts(&event(&decoder(), &body))[0].2, second, "{word}");
    }
}

/// Otherwise all people with a placeholder would become one contact with one consent.
#[test]
fn a_placeholder_is_no_reference() {
    for reference in [
        json!("0"),
        json!(0),
        json!("null"),
        json!("[#REF#]"),
        json!("{{ref}}"),
        json!(" - "),
    ] {
        for (mut body, pointer) in [
            (action(1, Some(true), 0).json(), "/contact/contactRef"),
            (
                status("unsub", Some(true), 0).json(),
                "/supporter/contact/contactRef",
            ),
            (sample_json("petition-version-1"), "/contact/ref"),
        ] {
            *body.pointer_mut(pointer).unwrap() = reference.clone();
            let event = event(&decoder(), &body);
            let kinds: Vec<_> = event.identities.iter().map(Identity::kind).collect();
            assert_eq!(kinds, ["email"], "{reference} {pointer}");
            let noted = event
                .notes
                .iter()
                .any(|note| note.contains("contactRef: a placeholder"));
            // Version 1 has only texts.
            assert!(noted || reference.is_number(), "{:?}", event.notes);
        }
    }
    let mut nobody = action(1, Some(true), 0).json();
    nobody["contact"] = json!({ "contactRef": "undefined", "email": null });
    assert_eq!(dead(read(&decoder(), &nobody)).0, DeadCode::Malformed);
}

#[test]
fn a_contact_sets_no_tags_and_has_no_name_null() {
    let mut body = action(1, Some(true), 0).json();
    body["contact"]["tag:vip"] = true.into();
    body["contact"]["address"] = json!({ "list:board": true, "locality": "N/A", "street": "Hauptstr. 1" });
    body["contact"]["firstName"] = "NULL".into();
    let event = event(&decoder(), &body);
    let names: Vec<_> = event.fields.keys().map(String::as_str).collect();
    assert_eq!(names, ["email", "street"]);
    assert!(
        event.notes[0].starts_with("fields: 2 left out"),
        "{:?}",
        event.notes
    );
}

#[test]
fn a_donation_is_kept_completely() {
    let event = event(&decoder(), &sample_json("donation"));
    let donation = event.action.unwrap().donation.unwrap();
    assert_eq!(
        (&donation["amount"], &donation["frequencyUnit"]),
        (&json!(2500), &json!("monthly"))
    );
    assert_eq!(donation["payload"]["id"], "pi_invented");
}

#[test]
fn a_campaign_update_has_the_configuration_and_no_person() {
    let event = event(&decoder(), &sample_json("campaign-updated"));
    assert_eq!(event.kind, EventKind::CampaignUpdated);
    assert!(event.identities.is_empty() && !event.deliver);
    let campaign = event.campaign.unwrap();
    assert_eq!(
        (campaign.name.as_str(), campaign.crm_id),
        ("save_all_bees", Some(7701))
    );
    assert_eq!(campaign.config.unwrap()["component"]["sync"]["some_key"], true);
}

#[test]
fn a_request_to_confirm_is_skipped_and_its_code_is_not_shown() {
    let decoded = decoder().decode(&envelope(sample("confirm-created")));
    assert!(matches!(decoded, Decoded::Skip { .. }));
    let words = format!("{decoded:?}");
    for secret in ["SECRETCODE", "example.org"] {
        assert!(!words.contains(secret), "{words}");
    }
}

#[test]
fn test_actions_are_skipped_kept_apart_or_real_as_configured() {
    let mut body = sample_json("petition-opt-in");
    body["action"]["testing"] = true.into();
    let mut of_event = sample_json("event-bounce");
    of_event["action"]["testing"] = true.into();
    for body in [body, of_event] {
        assert!(matches!(read(&decoder(), &body), Decoded::Skip { .. }));
        for (testing, is_apart) in [(Testing::Sandbox, true), (Testing::Deliver, false)] {
            let decoder = ProcaDecoder { testing, ..decoder() };
            assert_eq!(event(&decoder, &body).testing, is_apart);
        }
    }
}

#[test]
fn the_policy_decides_whether_an_opt_in_needs_confirmation() {
    for (opt_in, what) in [
        (OptInMode::Single, What::OptIn),
        (OptInMode::DoubleOptIn, What::OptInPending),
    ] {
        let decoder = ProcaDecoder { opt_in, ..decoder() };
        let event = event(&decoder, &action(1, Some(true), 0).json());
        assert_eq!(event.consent[0].what, what);
    }
}

#[test]
fn a_custom_field_gives_consent_for_another_purpose() {
    let words = |yes: &str, no: &str| vec![(yes.to_owned(), What::OptIn), (no.to_owned(), What::Declined)];
    let rule = |field: &str, purpose: &str| ConsentFrom {
        field: field.to_owned(),
        purpose: purpose.to_owned(),
        words: words("yes", "no"),
        at_field: None,
        at_format: AtFormat::Plain,
    };
    let decoder = ProcaDecoder {
        consent_from: vec![rule("consentPhone", "phone"), rule("consent.post", "post")],
        ..decoder()
    };
    let mut body = action(1, Some(false), 0).json();
    body["action"]["createdAt"] = "2026-01-02T05:00:00Z".into();
    body["action"]["customFields"] = json!({ "consentPhone": "YES", "consent": { "post": "no" } });
    let facts_of = |event: &Event| -> Vec<(String, &'static str, Timestamp)> {
        let facts = event.consent.iter();
        facts
            .map(|fact| (fact.purpose.clone(), fact.what.as_str(), fact.at))
            .collect()
    };
    let created = time("2026-01-02T05:00:00Z");
    assert_eq!(
        facts_of(&event(&decoder, &body)),
        [
            ("email".to_owned(), "declined", at(0)),
            ("phone".to_owned(), "opt_in", created),
            ("post".to_owned(), "declined", created),
        ]
    );
    body["action"]["customFields"] = json!({ "consentPhone": "perhaps" });
    let unsure = event(&decoder, &body);
    assert_eq!(facts_of(&unsure), [("email".to_owned(), "declined", at(0))]);
    assert!(
        unsure
            .notes
            .iter()
            .any(|note| note.contains("field consentPhone")),
        "{:?}",
        unsure.notes
    );
    // While the action waits for confirmation, the field says nothing.
    body["stage"] = "supporter_confirm".into();
    body["action"]["customFields"] = json!({ "consentPhone": "yes" });
    let waiting = event(&decoder, &body);
    assert_eq!(facts_of(&waiting), []);
    // It counts only for the decision about the confirmation.
    assert_eq!(waiting.kind, EventKind::SupporterConfirm);
    assert!(waiting.fields.is_empty() && !waiting.deliver);
    let action = waiting.action.as_ref().unwrap();
    assert_eq!(action.custom_fields["consentPhone"], "yes");
    body["stage"] = "action_confirm".into();
    assert_eq!(event(&decoder, &body).kind, EventKind::ActionConfirm);
    // News about the address repeats the action, which is no new answer.
    let mut bounce = sample_json("event-bounce");
    bounce["action"]["customFields"] = json!({ "consentPhone": "yes" });
    assert!(
        facts_of(&event(&decoder, &bounce))
            .iter()
            .all(|(purpose, ..)| purpose == "email")
    );
}

#[test]
fn consent_dates_from_when_it_was_given_not_from_the_action() {
    let mut body = action(1, Some(true), 0).json();
    body["action"]["createdAt"] = "2026-06-01T00:00:00Z".into();
    let event = event(&decoder(), &body);
    assert_eq!((event.consent[0].at, event.fields_time()), (at(0), at(0)));
    assert_eq!(event.at, time("2026-06-01T00:00:00Z"));
}

#[test]
fn times_are_read_in_every_spelling() {
    let spellings = [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:05", "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:05.123456Z", "2026-01-02T03:04:05.123Z"),
        ("2026-01-02T03:04:05.5", "2026-01-02T03:04:05.5Z"),
        ("2026-01-02T05:04:05+02:00", "2026-01-02T03:04:05Z"),
    ];
    for (text, expected) in spellings {
        let mut body = action(1, Some(true), 0).json();
        body["privacy"]["givenAt"] = text.into();
        assert_eq!(event(&decoder(), &body).consent[0].at, time(expected), "{text}");
    }
    // Without a valid time, the action's own time counts, and then the time of receipt.
    let mut body = action(1, Some(true), 0).json();
    body["privacy"]["givenAt"] = "yesterday".into();
    assert_eq!(event(&decoder(), &body).consent[0].at, at(0));
    body["action"]["createdAt"] = Value::Null;
    assert_eq!(event(&decoder(), &body).consent[0].at, at(1_000_000));
}

#[test]
fn an_action_that_waits_for_confirmation_says_nothing_about_the_person() {
    let body = Message {
        kind: Kind::Confirm,
        ..action(1, Some(true), 0)
    };
    let event = event(&decoder(), &body.json());
    assert!(!event.deliver);
    assert_eq!(event.identities.len(), 2);
    assert!(event.fields.is_empty() && event.consent.is_empty());
    // The decision about the confirmation needs the action.
    assert!(event.kind.is_confirmation() && event.action.is_some());
    assert!(event.page.is_some() && event.campaign.is_some());
}

#[test]
fn a_message_without_a_person_or_an_action_is_dead() {
    let nobody = Message {
        email: None,
        reference: None,
        ..action(1, Some(true), 0)
    };
    let nobody_event = Message {
        kind: Kind::EmailStatus,
        ..nobody.clone()
    };
    let mut no_id = action(1, Some(true), 0).json();
    no_id["actionId"] = Value::Null;
    for body in [nobody.json(), nobody_event.json(), no_id] {
        assert_eq!(dead(read(&decoder(), &body)).0, DeadCode::Malformed);
    }
}
