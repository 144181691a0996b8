//! The edge cases that consumers of this queue met in practice, as far as decoding and planning are
//! concerned, and the failures of the previous consumer. Each has its number.

use causeway_core::{
    consent::What,
    decode::proca::ProcaDecoder,
    event::{DeadCode, Decode, Decoded, Event, EventKind},
    keystore::Keystore,
};
use serde_json::{Value, json};

use crate::{
    book::{Book, deliveries},
    message::{
        Message, PARTNER_PAGE, action, at, dead, decoder, envelope, event, read, sample, sample_json, status,
    },
};

#[test]
fn case_1_a_body_that_is_no_json_object_is_malformed_and_not_quoted() {
    let cases: [(&[u8], &str); 11] = [
        (
            b"\x1f\x8b\x08\0\0",
            "compressed (gzip): the publisher must send plain JSON",
        ),
        (b"", "empty"),
        (b" \n ", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (
            b"{\"schema\":\"bruce@example.org",
            "ends too early (line 1, column 28)",
        ),
        (b"{bruce@example.org}", "broken JSON (line 1, column 2)"),
        (b"[\"proca:action:2\"]", "not a JSON object"),
        (b"\"bruce@example.org\"", "not a JSON object"),
        (b"{} {}", "broken JSON (line 1, column 4)"),
        (b"{\"a\":\"\xff\"}", "invalid UTF-8 after 6 bytes"),
        (
            b"{\"campaign\":\"bruce@example.org\"}",
            "a member is of the wrong type (line 1, column 31)",
        ),
    ];
    for (body, expected) in cases {
        let (code, reason) = dead(decoder().decode(&envelope(body)));
        assert_eq!((code, reason.as_str()), (DeadCode::Malformed, expected));
    }
}

/// A broken part that is not about the person must not keep an opted-out person subscribed.
#[test]
fn case_1_an_opt_out_beside_a_part_of_the_wrong_type_is_applied() {
    for (part, wrong) in [
        ("campaign", json!(5)),
        ("actionPage", json!("bruce")),
        ("org", json!(1)),
        ("action", json!(true)),
    ] {
        let mut body = json!({
            "schema": "proca:event:2", "eventType": "email_status", "timestamp": "2026-01-02T03:04:05Z",
            "supporter": {
                "contact": { "contactRef": "ref", "email": "bruce@example.org" },
                "privacy": { "emailStatus": "unsub", "emailStatusChanged": "2026-01-02T03:04:05Z" },
            },
        });
        body[part] = wrong;
        let Decoded::Partial { event, code, reason } = read(&decoder(), &body) else {
            panic!("{part}");
        };
        assert_eq!(event.consent[0].what, What::Unsubscribed, "{part}");
        assert_eq!(event.identities.len(), 2, "{part}");
        assert_eq!(code, DeadCode::Malformed);
        assert!(reason.starts_with("a member is of the wrong type"), "{reason}");
        // Nothing but an opt-out is applied in part.
        body["supporter"]["privacy"]["emailStatus"] = "double_opt_in".into();
        assert_eq!(dead(read(&decoder(), &body)).0, DeadCode::Malformed, "{part}");
    }
}

#[test]
fn a_consent_of_the_wrong_type_is_ignored_and_noted() {
    let body = |privacy: Value| {
        let supporter = json!({ "contact": { "contactRef": "ref" }, "privacy": privacy });
        json!({ "schema": "proca:event:2", "eventType": "email_status", "supporter": supporter })
    };
    for (privacy, note) in [
        (
            json!({ "optIn": "true" }),
            "optIn is not true or false: it is ignored",
        ),
        (json!({ "optIn": 1 }), "optIn is not true or false: it is ignored"),
        (
            json!({ "withConsent": 1 }),
            "withConsent is not true or false: it is ignored",
        ),
        (
            json!({ "emailStatus": ["unsub"] }),
            "emailStatus is not a text: it is ignored",
        ),
    ] {
        let event = event(&decoder(), &body(privacy));
        assert_eq!(event.consent, []);
        assert_eq!(event.notes, [note]);
    }
    let nothing = json!({ "optIn": null, "withConsent": false, "emailStatus": "" });
    assert_eq!(event(&decoder(), &body(nothing)).notes, [""; 0]);
}

#[test]
fn case_1_a_byte_order_mark_does_not_matter() {
    let body = format!("\u{feff}{}", sample("petition-opt-in"));
    assert_eq!(
        decoder().decode(&envelope(body)),
        decoder().decode(&envelope(sample("petition-opt-in")))
    );
}

#[test]
fn case_2_unknown_kinds_are_named_and_the_name_is_cut() {
    let long = format!("merged{}", "x".repeat(500));
    let cases = [
        (json!({}), "no schema".to_owned()),
        (json!({ "schema": null }), "no schema".to_owned()),
        (
            json!({ "schema": "proca:action:3" }),
            "unknown schema \"proca:action:3\"".to_owned(),
        ),
        (
            json!({ "schema": "proca:action:2", "stage": "archived" }),
            "unknown stage \"archived\"".to_owned(),
        ),
        (json!({ "schema": "proca:action:1" }), "no stage".to_owned()),
        (
            json!({ "schema": "bruce@example.org" }),
            "unknown schema (not a name)".to_owned(),
        ),
        (
            json!({ "schema": "proca:event:2", "eventType": long }),
            format!("unknown eventType \"merged{}\"", "x".repeat(34)),
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(dead(read(&decoder(), &body)), (DeadCode::Unknown, expected));
    }
}

#[test]
fn case_3_staff_accounts_are_skipped() {
    let mut join = sample_json("system-new-user");
    join["eventType"] = "join_campaign".into();
    for body in [sample_json("system-new-user"), join] {
        assert!(matches!(read(&decoder(), &body), Decoded::Skip { .. }));
    }
}

#[test]
fn case_4_a_message_for_a_missing_key_waits_for_the_keystore() {
    let decoder = decoder();
    decoder.keystore.replace(Keystore::default());
    for name in ["petition-encrypted", "event-encrypted"] {
        let (code, reason) = dead(read(&decoder, &sample_json(name)));
        assert_eq!(code, DeadCode::KeyMissing);
        assert_eq!(
            reason,
            "encrypted for the key ZLEBsdC-…, which is not in the keystore"
        );
    }
    decoder
        .keystore
        .replace(Keystore::parse(&sample("../keystore")).unwrap());
    assert_eq!(
        event(&decoder, &sample_json("petition-encrypted")).fields["lastName"],
        "Wayne"
    );
}

/// The address must not be used any more, even if the rest cannot be read yet.
#[test]
fn case_4_an_opt_out_in_a_message_for_a_missing_key_is_applied_at_once() {
    let decoder = decoder();
    decoder.keystore.replace(Keystore::default());
    let with_status = |name: &str, privacy: &str, word: &str| {
        let mut body = sample_json(name);
        let privacy = body.pointer_mut(privacy).unwrap();
        privacy["emailStatus"] = word.into();
        privacy["emailStatusChanged"] = at(60).to_string().into();
        body
    };
    for (word, what) in [
        ("unsub", Some(What::Unsubscribed)),
        ("bounce", Some(What::Bounced)),
        ("spam", Some(What::Complained)),
        ("blocked", Some(What::Blocked)),
        ("inactive", Some(What::Inactive)),
        ("double_opt_in", None),
        ("active", None),
    ] {
        for (name, privacy) in [
            ("event-encrypted", "/supporter/privacy"),
            ("petition-encrypted", "/privacy"),
        ] {
            let outcome = read(&decoder, &with_status(name, privacy, word));
            let Some(what) = &what else {
                assert_eq!(dead(outcome).0, DeadCode::KeyMissing, "{name} {word}");
                continue;
            };
            let Decoded::Partial { event, code, reason } = outcome else {
                panic!("{name} {word}: {outcome:?}");
            };
            assert_eq!(code, DeadCode::KeyMissing);
            assert!(reason.contains("the rest waits"), "{reason}");
            assert_eq!((&event.consent[0].what, event.consent[0].at), (what, at(60)));
            assert!(
                event
                    .identities
                    .iter()
                    .any(|identity| identity.kind() == "contact_ref")
            );
            // When the message can be read, everything else must still be new.
            assert!(event.action.is_none() && event.fields.is_empty() && !event.deliver);
        }
    }
    let mut nobody = with_status("event-encrypted", "/supporter/privacy", "unsub");
    nobody["supporter"]["contact"]["contactRef"] = "0".into();
    assert_eq!(dead(read(&decoder, &nobody)).0, DeadCode::KeyMissing);
    // An unconfirmed form may have been filled in by somebody else.
    let mut unconfirmed = with_status("petition-encrypted", "/privacy", "unsub");
    unconfirmed["stage"] = "supporter_confirm".into();
    assert_eq!(dead(read(&decoder, &unconfirmed)).0, DeadCode::KeyMissing);
}

#[test]
fn case_5_data_that_does_not_open_is_dead_and_its_ciphertext_is_not_shown() {
    let sealed = &sample_json("petition-encrypted")["personalInfo"];
    let change = |name: &str, value: Value| {
        let mut body = sample_json("petition-encrypted");
        body["personalInfo"][name] = value;
        body
    };
    let payload = sealed["payload"].as_str().unwrap();
    let cases = [
        change("payload", payload[..payload.len() - 4].into()),
        change("payload", "_1j--bdO".into()),
        change("payload", Value::Null),
        change("nonce", "gIGCg4SF".into()),
        change("nonce", json!(["gIGCg4SF"])),
        change("signKey", json!({ "public": sealed["encryptKey"]["public"] })),
        change("signKey", Value::Null),
        change("encryptKey", json!({ "id": 42 })),
        change("encryptKey", json!({ "public": "short" })),
    ];
    for body in cases {
        let (code, reason) = dead(read(&decoder(), &body));
        assert_eq!(code, DeadCode::Undecryptable, "{reason}");
        for secret in ["_1j--bdO", "gIGCg4SF", "QUJD"] {
            assert!(!reason.contains(secret), "{reason}");
        }
    }
}

#[test]
fn case_5_a_plaintext_that_is_no_object_is_dead() {
    use crypto_box::{PublicKey, SalsaBox, SecretKey, aead::Aead};
    let org = SecretKey::from_bytes(std::array::from_fn(|n| 0x41 + u8::try_from(n).unwrap()));
    let server = SecretKey::from_bytes(std::array::from_fn(|n| 1 + u8::try_from(n).unwrap()));
    let sealing = SalsaBox::new(&PublicKey::from_bytes(*org.public_key().as_bytes()), &server);
    for plaintext in ["[\"bruce@example.org\"]", "bruce@example.org", "", "{"] {
        let payload = sealing.encrypt(&[7; 24].into(), plaintext.as_bytes()).unwrap();
        let mut body = sample_json("petition-encrypted");
        body["personalInfo"]["payload"] = data_encoding::BASE64URL_NOPAD.encode(&payload).into();
        body["personalInfo"]["nonce"] = data_encoding::BASE64URL_NOPAD.encode(&[7; 24]).into();
        let (code, reason) = dead(read(&decoder(), &body));
        assert_eq!(code, DeadCode::Undecryptable);
        assert_eq!(reason, "the decrypted personal data is not a JSON object");
    }
}

#[test]
fn case_6_without_an_address_the_reference_finds_the_person() {
    let mut book = Book::new();
    book.take_json(&action(1, Some(true), 0).json()).unwrap();
    let erased = Message {
        email: None,
        ..status("unsub", Some(true), 50)
    };
    let plan = book.take_json(&erased.json()).unwrap();
    assert_eq!(book.entries.len(), 1);
    assert_eq!(plan.contact.unwrap().text("email"), Some("bruce@example.org"));
}

#[test]
fn a_late_bounce_or_share_does_not_bring_an_old_name_back() {
    let mut book = Book::new();
    let renamed = Message {
        first_name: "Robin".to_owned(),
        ..action(2, Some(true), 50)
    };
    book.take_json(&renamed.json()).unwrap();
    let mut share = Message {
        with_consent: false,
        ..action(3, Some(true), 0)
    }
    .json();
    share["action"]["createdAt"] = at(100).to_string().into();
    for late in [status("bounce", Some(true), 100).json(), share] {
        let plan = book.take_json(&late).unwrap();
        assert_eq!(plan.contact.unwrap().text("firstName"), Some("Robin"));
    }
}

#[test]
fn case_7_an_event_may_come_before_its_action_or_without_any() {
    let mut book = Book::new();
    let plan = book.take_json(&status("bounce", Some(true), 50).json()).unwrap();
    assert_eq!(
        deliveries(&plan),
        "all:contact double_opt_in:- opt_in:- with_consent:-"
    );
    let plan = book.take_json(&action(1, Some(true), 0).json()).unwrap();
    assert_eq!(
        deliveries(&plan),
        "all:record double_opt_in:- opt_in:- with_consent:-"
    );
}

#[test]
fn case_8_a_duplicate_plans_nothing() {
    let mut book = Book::new();
    for message in [action(1, Some(true), 0), status("double_opt_in", Some(true), 60)] {
        assert_ne!(deliveries(&book.take_json(&message.json()).unwrap()), "");
        for _ in 0..3 {
            let plan = book.take_json(&message.json()).unwrap();
            assert_eq!((deliveries(&plan).as_str(), plan.contact_changed), ("", false));
        }
    }
    // Both of two quick submissions claim to be the first, and each is an action of its own.
    let second = book.take_json(&action(2, Some(true), 0).json()).unwrap();
    assert_eq!(
        deliveries(&second),
        "all:record double_opt_in:record opt_in:record with_consent:record"
    );
}

#[test]
fn case_9_an_action_that_was_delayed_for_hours_does_not_undo_a_later_opt_out() {
    for no in ["unsub", "bounce", "spam", "blocked", "inactive"] {
        let mut book = Book::new();
        book.take_json(&status(no, Some(true), 50).json()).unwrap();
        let mut held_up = action(1, Some(true), 0).json();
        held_up["action"]["createdAt"] = at(10_000).to_string().into();
        let plan = book.take_json(&held_up).unwrap();
        assert_eq!(
            deliveries(&plan),
            "all:record double_opt_in:- opt_in:- with_consent:-",
            "{no}"
        );
    }
}

#[test]
fn case_10_a_later_form_without_a_status_clears_no_bounce() {
    let mut book = Book::new();
    book.take_json(&status("bounce", Some(true), 50).json()).unwrap();
    let plan = book.take_json(&action(2, Some(true), 100).json()).unwrap();
    assert_eq!(
        book.consent_state_of(&plan.contact.unwrap()).as_str(),
        "suppressed"
    );
    book.take_json(&status("double_opt_in", Some(true), 120).json())
        .unwrap();
    let plan = book.take_json(&status("bounce", Some(true), 120).json()).unwrap();
    assert_eq!(
        book.consent_state_of(&plan.contact.unwrap()).as_str(),
        "suppressed"
    );
}

#[test]
fn case_11_odd_custom_fields_are_kept_as_they_are() {
    let big: Value = serde_json::from_str("1234567890123456789012345678901234567890").unwrap();
    let mut fields = serde_json::Map::new();
    for number in 0..150 {
        fields.insert(
            format!("key {number} $ü.🐝"),
            json!(["a", number, true, { "nested": null }]),
        );
    }
    fields.insert("text".to_owned(), "x".repeat(200_000).into());
    fields.insert("number".to_owned(), big);
    let mut body = sample_json("petition-opt-in");
    body["action"]["customFields"] = fields.clone().into();
    let action = event(&decoder(), &body).action.unwrap();
    assert_eq!(action.custom_fields, fields);
    assert_eq!(
        action.custom_fields["number"].to_string(),
        "1234567890123456789012345678901234567890"
    );
    body["action"]["customFields"] = json!([]);
    let event = event(&decoder(), &body);
    assert!(event.action.unwrap().custom_fields.is_empty());
    assert_eq!(event.notes, ["customFields is not an object"]);
}

#[test]
fn case_12_names_in_every_script_stay_as_they_are() {
    for name in [
        "👩🏽‍🚀",
        "\u{202e}דוד",
        "e\u{301}",
        "a\u{2028}b",
        "O’Brien",
        "\"\\/\t",
    ] {
        let mut body = sample_json("petition-opt-in");
        body["contact"]["firstName"] = name.into();
        body["actionPage"]["locale"] = "sr@latin".into();
        let event = event(&decoder(), &body);
        assert_eq!(event.fields["firstName"], name);
        assert_eq!(event.page.unwrap().locale.as_deref(), Some("sr@latin"));
    }
}

#[test]
fn case_13_and_p6_neither_content_type_nor_routing_key_matter() {
    let plain = decoder().decode(&envelope(sample("petition-opt-in")));
    for content_type in ["application/json", "text/plain", "application/octet-stream", ""] {
        let mut other = envelope(sample("petition-opt-in"));
        other.meta.content_type = Some(content_type.to_owned());
        other.meta.routing_key = Some("cus.1.deliver".to_owned());
        other.meta.deaths = Some(55_613);
        assert_eq!(decoder().decode(&other), plain, "{content_type}");
    }
}

#[test]
fn members_of_odd_types_and_extra_ids_do_not_fail_a_message() {
    let mut body = sample_json("petition-opt-in");
    body["actionId"] = "101".into();
    body["orgId"] = json!({ "id": 5 });
    body["campaign"]["externalId"] = "seven".into();
    body["privacy"]["optIn"] = "yes".into();
    body["contact"]["id"] = 77.into();
    body["action"]["id"] = 101.into();
    body["campaign"]["id"] = 3.into();
    body["contact"]["dupeRank"] = Value::Null;
    body["actionPage"]["thankYouTemplateRef"] = 12.into();
    let event = event(&decoder(), &body);
    assert_eq!(event.action.unwrap().external_id, "101");
    assert_eq!(event.campaign.unwrap().crm_id, None);
    assert_eq!(
        event.consent[0].what,
        What::NotAsked,
        "a value that is no boolean is no opt-in"
    );
    assert!(!event.fields.contains_key("id"));
}

#[test]
fn an_invalid_address_is_no_identity_and_no_field() {
    let mut body = sample_json("petition-opt-in");
    body["contact"]["email"] = "bruce at example".into();
    let event = event(&decoder(), &body);
    assert_eq!(event.identities.len(), 1);
    assert!(!event.fields.contains_key("email"));
    assert_eq!(event.notes, ["contact.email is not an address"]);
}

#[test]
fn a_flat_value_wins_over_a_nested_one_however_the_keys_are_ordered() {
    for text in [
        r#"{"address":{"locality":"Nested"},"city":"City","locality":"Flat"}"#,
        r#"{"locality":"Flat","city":"City","address":{"locality":"Nested"}}"#,
    ] {
        let mut body = sample_json("petition-opt-in");
        body["contact"] = serde_json::from_str(text).unwrap();
        body["contact"]["contactRef"] = "r".into();
        assert_eq!(event(&decoder(), &body).fields["locality"], "Flat");
    }
}

#[test]
fn p1_a_bounce_and_p5_an_unknown_event_do_not_stop_later_messages() {
    let decoder: ProcaDecoder = decoder();
    let mut unknown = status("bounce", None, 0).json();
    unknown["eventType"] = "supporter_merged".into();
    let bodies = [
        status("bounce", None, 0).json(),
        unknown,
        action(1, Some(true), 0).json(),
    ];
    let ends: Vec<bool> = bodies
        .iter()
        .map(|body| matches!(read(&decoder, body), Decoded::Event(_)))
        .collect();
    assert_eq!(ends, [true, false, true]);
}

#[test]
fn p2_a_bounce_is_sent_once() {
    let mut book = Book::new();
    book.take_json(&action(1, Some(true), 0).json()).unwrap();
    let bounce = status("bounce", Some(true), 50).json();
    let first = book.take_json(&bounce).unwrap();
    assert_eq!(
        deliveries(&first),
        "all:withdrawal double_opt_in:- opt_in:withdrawal with_consent:withdrawal"
    );
    assert_eq!(deliveries(&book.take_json(&bounce).unwrap()), "");
}

#[test]
fn p8_a_renamed_campaign_has_its_new_name_at_once() {
    let decoder = decoder();
    let name = |body: &Value| event(&decoder, body).campaign.unwrap().name;
    assert_eq!(name(&sample_json("petition-opt-in")), "save_bees");
    let update = event(&decoder, &sample_json("campaign-updated"));
    assert_eq!(
        (update.kind, update.campaign.unwrap().name.as_str()),
        (EventKind::CampaignUpdated, "save_all_bees")
    );
    let mut later = sample_json("petition-opt-in");
    later["campaign"]["name"] = "save_all_bees".into();
    assert_eq!(name(&later), "save_all_bees");
}

#[test]
fn an_opt_in_from_the_future_counts_from_its_arrival_and_an_opt_out_keeps_its_time() {
    let mut yes = action(1, Some(true), 0).json();
    yes["privacy"]["givenAt"] = "2199-01-01T00:00:00Z".into();
    let received_at = envelope("").received_at;
    let decoded = event(&decoder(), &yes);
    assert_eq!(decoded.consent[0].at, received_at);
    assert_eq!(decoded.notes.len(), 1);

    let mut no = status("unsub", Some(true), 0).json();
    no["supporter"]["privacy"]["emailStatusChanged"] = "2199-01-01T00:00:00Z".into();
    let decoded = event(&decoder(), &no);
    assert!(decoded.consent[0].at > received_at);
}

/// An organisation's own programs may write the status in their own way.
#[test]
fn a_status_in_another_case_or_with_blanks_is_the_same_status() {
    for (word, what) in [
        ("UNSUB", What::Unsubscribed),
        ("Unsub", What::Unsubscribed),
        ("unsub ", What::Unsubscribed),
        ("BOUNCE", What::Bounced),
        (" Blocked", What::Blocked),
        ("SPAM", What::Complained),
        ("Inactive", What::Inactive),
        ("DOUBLE_OPT_IN", What::DoubleOptIn),
        // As in Proca's documentation.
        ("doubleOptIn", What::DoubleOptIn),
    ] {
        for message in [
            status(word, Some(true), 60),
            action(1, Some(true), 60).with_status(word),
        ] {
            let body = message.json();
            let decoded = event(&decoder(), &body);
            assert_eq!(decoded.consent[0].what, what, "{word:?}");
            assert_eq!(decoded.notes, Vec::<String>::new(), "{word:?}");
            assert_eq!(
                decoder().may_opt_out(&envelope(body.to_string())),
                what != What::DoubleOptIn,
                "{word:?}"
            );
        }
    }
}

/// One submission on a partner's page. The person declined for our organisation, whose message already has
/// the click for the partner, and opted in for another one.
#[test]
fn a_click_for_a_partner_does_not_hide_that_the_form_declined() {
    let declined = action(1, Some(false), 60)
        .with_status("double_opt_in")
        .on(PARTNER_PAGE);
    let facts = event(&decoder(), &declined.json()).consent;
    let words: Vec<&What> = facts.iter().map(|fact| &fact.what).collect();
    assert!(
        matches!(words[..], [What::DoubleOptInOnPage { .. }, What::Declined]),
        "{words:?}"
    );
    let opted_in = action(2, Some(true), 60);
    let given = event(&decoder(), &opted_in.json()).consent[0].at;
    assert_eq!(facts[1].at, given, "so the opt-in of the same submission is void");
}

/// Programs other than Proca also write into its queues.
#[test]
fn a_repeated_member_or_half_a_letter_loses_nothing_else() {
    let text = action(1, Some(true), 0).json().to_string();
    let email = |event: &Event| {
        event
            .identities
            .iter()
            .map(|id| id.value().to_owned())
            .collect::<Vec<_>>()
    };
    let plain = event(&decoder(), &action(1, Some(true), 0).json());
    for odd in [
        text.replacen('{', r#"{"schema":"proca:action:1","#, 1),
        text.replacen('{', r#"{"actionPage":{},"#, 1),
        text.replacen('{', r#"{"note":"x \ud83d","#, 1),
        format!("{},}}", text.strip_suffix('}').unwrap()),
    ] {
        let Decoded::Event(read) = decoder().decode(&envelope(odd.clone())) else {
            panic!("{odd}")
        };
        assert_eq!((email(&read), &read.action), (email(&plain), &plain.action));
        assert_eq!(read.consent, plain.consent);
        // Half a letter in a member that is not used needs no note.
        assert!(
            odd.contains("ud83d") || read.notes.len() == plain.notes.len() + 1,
            "{:?}",
            read.notes
        );
    }
    let mut body = action(1, Some(true), 0).json();
    body["contact"]["firstName"] = "HALF".into();
    let half = body.to_string().replace("HALF", r"Ann \ud83d");
    let Decoded::Event(read) = decoder().decode(&envelope(half)) else {
        panic!("half a letter")
    };
    assert_eq!(read.fields["firstName"], "Ann \u{fffd}");
}
