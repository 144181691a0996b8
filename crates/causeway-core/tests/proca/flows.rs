//! The flows of opt-in and double opt-in through a Proca instance, and the coalition trap.

use causeway_core::{contact::Identity, event::Decode};

use crate::{
    book::{Book, deliveries},
    message::{Kind, Message, OWN_PAGE, PARTNER_PAGE, action, decoder, envelope, status},
};

/// Runs the steps: each message, the deliveries that must be planned, and Bruce's consent state afterwards.
fn run_flow(name: &str, steps: &[(Message, &str, &str)]) {
    let mut book = Book::new();
    let bruce = Identity::Email {
        address: "bruce@example.org".to_owned(),
    };
    for (number, (message, planned, consent_state)) in steps.iter().enumerate() {
        let plan = book.take_json(&message.json()).unwrap();
        assert_eq!(deliveries(&plan), *planned, "{name}, message {number}");
        assert_eq!(
            book.consent_state(&bruce).unwrap().as_str(),
            *consent_state,
            "{name}, message {number}"
        );
    }
}

const NEW_OPTED_IN: &str = "all:record double_opt_in:- opt_in:record with_consent:record";
const NEW_ONLY_SIGNED: &str = "all:record double_opt_in:- opt_in:- with_consent:record";
const NEW_CONFIRMED: &str = "all:record double_opt_in:record opt_in:record with_consent:record";
const CONFIRMED: &str = "all:contact double_opt_in:contact opt_in:contact with_consent:contact";
/// The person is known, but has not given their data on a form yet.
const CONFIRMED_FIRST: &str = "all:contact double_opt_in:contact opt_in:contact with_consent:-";

#[test]
fn flow_a_single_opt_in() {
    run_flow("A", &[(action(1, Some(true), 0), NEW_OPTED_IN, "opted_in")]);
}

#[test]
fn flow_b_the_link_in_the_thank_you_mail_clicked_twice() {
    run_flow(
        "B",
        &[
            (action(1, Some(true), 0), NEW_OPTED_IN, "opted_in"),
            (
                status("double_opt_in", Some(true), 60),
                CONFIRMED,
                "double_opted_in",
            ),
            (status("double_opt_in", Some(true), 60), "", "double_opted_in"),
        ],
    );
}

#[test]
fn flow_c_an_action_that_the_supporter_confirmed() {
    let waiting = Message {
        kind: Kind::Confirm,
        ..action(1, Some(true), 0)
    };
    run_flow(
        "C",
        &[
            (waiting, "", "unknown"),
            // It has the same action id, and must not look like a duplicate.
            (action(1, Some(true), 0), NEW_OPTED_IN, "opted_in"),
        ],
    );
}

#[test]
fn flow_d_the_event_comes_before_its_action() {
    run_flow(
        "D",
        &[
            (
                status("double_opt_in", Some(true), 60),
                CONFIRMED_FIRST,
                "double_opted_in",
            ),
            (
                Message {
                    status_changed: 60,
                    ..action(1, Some(true), 0).with_status("double_opt_in")
                },
                NEW_CONFIRMED,
                "double_opted_in",
            ),
        ],
    );
}

#[test]
fn flow_e_the_click_is_the_consent_although_the_form_had_none() {
    for opt_in in [Some(false), None] {
        run_flow(
            "E",
            &[
                (action(1, opt_in, 0), NEW_ONLY_SIGNED, "not_subscribed"),
                (status("double_opt_in", opt_in, 60), CONFIRMED, "double_opted_in"),
            ],
        );
        // As flow D: the event comes first, for a page that we do not know yet.
        run_flow(
            "E first",
            &[
                (
                    status("double_opt_in", opt_in, 60),
                    "all:contact double_opt_in:- opt_in:- with_consent:-",
                    "unknown",
                ),
                (action(1, opt_in, 0), NEW_CONFIRMED, "double_opted_in"),
            ],
        );
    }
}

#[test]
fn flow_f_a_custom_confirmation_then_as_d() {
    let waiting = Message {
        kind: Kind::Confirm,
        ..action(1, Some(true), 0)
    };
    run_flow(
        "F",
        &[
            (waiting, "", "unknown"),
            (
                status("double_opt_in", Some(true), 60),
                CONFIRMED_FIRST,
                "double_opted_in",
            ),
            (action(1, Some(true), 0), NEW_CONFIRMED, "double_opted_in"),
        ],
    );
}

#[test]
fn flow_g_an_action_that_a_moderator_accepted() {
    let mut waiting = action(1, Some(true), 0).json();
    waiting["stage"] = "action_confirm".into();
    let mut book = Book::new();
    assert_eq!(deliveries(&book.take_json(&waiting).unwrap()), "");
    let accepted = book.take_json(&action(1, Some(true), 0).json()).unwrap();
    assert_eq!(deliveries(&accepted), NEW_OPTED_IN);
}

#[test]
fn an_unconfirmed_action_changes_no_field_of_its_person() {
    let mut book = Book::new();
    book.take_json(&action(1, Some(true), 0).json()).unwrap();
    let prank = Message {
        kind: Kind::Confirm,
        first_name: "Somebody else".to_owned(),
        ..action(2, Some(true), 50)
    };
    book.take_json(&prank.json()).unwrap();
    assert_eq!(book.entries[0].contact.text("firstName"), Some("Bruce"));
}

#[test]
fn coalition_trap_a_click_for_the_partner_is_no_consent_to_us() {
    let click = |opt_in, page| status("double_opt_in", opt_in, 60).on(page);
    let signed = |opt_in, page| action(1, opt_in, 0).on(page);
    let cases = [
        (Some(false), PARTNER_PAGE, "not_subscribed"),
        (None, PARTNER_PAGE, "not_subscribed"),
        (Some(true), PARTNER_PAGE, "double_opted_in"),
        (Some(false), OWN_PAGE, "double_opted_in"),
        (None, OWN_PAGE, "double_opted_in"),
    ];
    let bruce = Identity::Email {
        address: "bruce@example.org".to_owned(),
    };
    for (opt_in, page, expected) in cases {
        let messages = [
            signed(opt_in, page).json(),
            click(opt_in, page).json(),
            Message {
                status_changed: 60,
                ..signed(opt_in, page).with_status("double_opt_in")
            }
            .json(),
        ];
        for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0]] {
            let mut book = Book::new();
            for number in order {
                book.take_json(&messages[number]).unwrap();
            }
            let consent_state = book.consent_state(&bruce).unwrap();
            assert_eq!(
                consent_state.as_str(),
                expected,
                "{opt_in:?} on {page}, order {order:?}"
            );
        }
    }
}

#[test]
fn coalition_trap_an_old_event_that_names_no_page_counts_only_with_an_opt_in() {
    for (opt_in, expected) in [
        (Some(true), "double_opted_in"),
        (Some(false), "unknown"),
        (None, "unknown"),
    ] {
        let mut old = status("double_opt_in", opt_in, 60).json();
        let members = old.as_object_mut().unwrap();
        for name in [
            "actionId",
            "actionPageId",
            "actionPage",
            "campaignId",
            "campaign",
            "action",
            "tracking",
        ] {
            members.remove(name);
        }
        let decoded = decoder().decode(&envelope(old.to_string()));
        let causeway_core::event::Decoded::Event(event) = decoded else {
            panic!("{decoded:?}");
        };
        let mut book = Book::new();
        let plan = book.take(&event);
        let contact = plan.contact.unwrap();
        assert_eq!(book.consent_state_of(&contact).as_str(), expected);
        assert_eq!(event.notes.is_empty(), opt_in == Some(true));
    }
}

#[test]
fn two_contacts_of_one_person_keep_the_newest_of_each_field_and_every_opt_out() {
    let by_address = Message {
        reference: None,
        first_name: "Bat".to_owned(),
        ..action(1, Some(true), 10)
    };
    let by_reference = Message {
        email: None,
        ..status("unsub", Some(true), 20)
    };
    let both = action(2, Some(false), 5);
    let mut book = Book::new();
    book.take_json(&by_address.json()).unwrap();
    book.take_json(&by_reference.json()).unwrap();
    assert_eq!(book.entries.len(), 2);
    let plan = book.take_json(&both.json()).unwrap();
    assert_eq!(book.entries.len(), 1);
    assert_eq!(book.entries[0].contact.text("firstName"), Some("Bat"));
    let bruce = Identity::Email {
        address: "bruce@example.org".to_owned(),
    };
    assert_eq!(book.consent_state(&bruce).unwrap().as_str(), "unsubscribed");
    // The contact that was opted in was given to them, so they must learn of the other contact's opt-out.
    let planned = deliveries(&plan);
    assert_eq!(
        planned,
        "all:withdrawal all:record double_opt_in:- opt_in:withdrawal with_consent:withdrawal"
    );
}
