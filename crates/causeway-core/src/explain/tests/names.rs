//! Names and words in the sentences.

use super::*;

#[test]
fn names_chosen_by_senders_are_cleaned_for_the_terminal() {
    let mut view = person(&[What::OptIn], Some(ANN));
    let long = format!("\u{1b}[2J{}", "x".repeat(100));
    view.messages[0].campaign = Some(long);
    view.messages[0].action_type = Some("donation".to_owned());
    view.messages[0].organisation = Some(Organisation {
        external_id: "12".to_owned(),
        name: None,
        title: Some("Rivers\n".to_owned()),
    });
    let sentence = sentence(&view, &rule(Policy::OptIn));
    let shown = format!("campaign '[2J{}…'", "x".repeat(77));
    assert!(sentence.contains(&shown), "{sentence}");
    let evidence = Evidence::new(&view, &view.ledger[0]);
    assert_eq!(
        about(&evidence).expect("words"),
        format!("{shown}, organisation 'Rivers' (12)")
    );
    // The message was pruned.
    view.messages.clear();
    assert!(reason(&view, &rule(Policy::OptIn)).ends_with("09:12 UTC (message 4711)"));
}

#[test]
fn purposes_have_their_usual_words() {
    for (purpose, words) in [
        ("email", "opted out of e-mail"),
        ("phone", "opted out of calls"),
        ("sms", "opted out of text messages"),
        ("post", "opted out of letters"),
        ("ads", "opted out of advertising"),
        ("events", "opted out of 'events'"),
    ] {
        assert_eq!(fact(&What::Unsubscribed, purpose), words);
    }
    assert_eq!(
        fact(&What::Bounced, "phone"),
        "the address bounced, which ended calls"
    );
}

#[test]
fn a_name_is_cut_after_eighty_characters_that_can_be_shown() {
    for (name, shown) in [
        ("x".repeat(80), "x".repeat(80)),
        (format!("\u{1b}{}\n", "x".repeat(80)), "x".repeat(80)),
        ("x".repeat(81), format!("{}…", "x".repeat(80))),
    ] {
        let opted_out = fact(&What::Unsubscribed, &name);
        assert_eq!(opted_out, format!("opted out of '{shown}'"));
    }
}

#[test]
fn a_campaign_without_a_name_gives_way_to_the_source() {
    let mut view = person(&[What::OptIn], Some(ANN));
    view.messages[0].campaign = Some(String::new());
    let reason = reason(&view, &rule(Policy::OptIn));
    assert!(
        reason.ends_with("09:12 UTC (source forms, message 4711)"),
        "{reason}"
    );
}
