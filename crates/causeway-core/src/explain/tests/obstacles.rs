//! Reasons against sending other than consent, and which destinations are explained.

use super::*;

#[test]
fn a_destination_that_left_the_configuration_has_a_sentence() {
    let mut view = person(&[What::OptIn], Some(ANN));
    view.given = vec![given(Change::Subscribe, ANN)];
    let mut rules = Rules::default();
    let sentences = |view: &ContactView, rules: &Rules| -> Vec<String> {
        let all = of_all(view, rules, Scope::Contact, READER);
        all.into_iter().map(|one| one.sentence).collect()
    };
    assert_eq!(
        sentences(&view, &rules),
        [
            "crm is not in the configuration: last sent on 23 Nov 2026, 09:12 UTC, as subscribed; no opt-out reaches \
             it."
        ]
    );
    let mut renamed = DestinationRule::new("other");
    renamed.renamed_from = Some("crm".into());
    rules.destinations.insert("other".into(), renamed.into());
    assert_eq!(sentences(&view, &rules).len(), 1);
    rules
        .destinations
        .insert("other".into(), DestinationRule::new("other").into());
    assert_eq!(
        sentences(&view, &rules).len(),
        2,
        "it has another name, and is no other's former name"
    );
    rules.destinations.clear();
    view.given[0].change = Change::Unsubscribe;
    assert_eq!(sentences(&view, &rules), [""; 0], "it was sent the opt-out");
}

#[test]
fn obstacles_have_an_order() {
    let sandbox = DestinationRule {
        sandbox: true,
        ..rule(Policy::All)
    };
    let mut view = person(&[What::OptIn], Some(ANN));
    assert_eq!(
        reason(&view, &sandbox),
        "Not sent to crm: it takes test contacts only"
    );
    view.erasing_since = Some(day(2));
    assert_eq!(
        reason(&view, &rule(Policy::All)),
        "Not sent to crm: is to be erased, as asked on 16 Nov 2026, 09:12 UTC"
    );
    view.workspace = "default~sandbox".into();
    assert_eq!(
        reason(&view, &rule(Policy::All)),
        "Not sent to crm: this is a test contact"
    );
    view.erasing_since = None;
    assert!(of(&view, &sandbox, Scope::Contact, READER).may_be_sent);
    view.workspace = "second".into();
    assert_eq!(
        reason(&view, &rule(Policy::All)),
        "Not sent to crm: the contact is in the workspace second, and the destination in default"
    );
    let mut stranger = person(&[What::OptIn], Some(ANN));
    stranger.contact.gave_data = false;
    assert_eq!(
        reason(&stranger, &rule(Policy::WithConsent)),
        "Not sent to crm: has not given their data on a form"
    );
}

#[test]
fn a_filter_counts_after_consent_and_names_its_values() {
    let filtered = |campaigns: &[&str]| {
        let mut rule = rule(Policy::OptIn);
        rule.filter.campaigns = Some(campaigns.iter().map(|name| (*name).to_owned()).collect());
        rule
    };
    let view = person(&[What::OptIn], Some(ANN));
    let reason_in = |rule: &DestinationRule, scope| of(&view, rule, scope, READER).sentence;
    assert!(of(&view, &filtered(&["bees"]), Scope::Contact, READER).may_be_sent);
    for (campaigns, scope, words) in [
        (
            &["trees"][..],
            Scope::Contact,
            "it takes only the campaign 'trees', and no message of this person matches;",
        ),
        (
            &["trees"],
            Scope::Message(InboxId(4711)),
            "it takes only the campaign 'trees', and the campaign of this message is 'bees';",
        ),
        (
            &["bees"],
            Scope::Message(InboxId(4712)),
            "it takes only the campaign 'bees', and this message has no campaign;",
        ),
        (
            &["a", "b", "c", "d", "e", "f", "g"],
            Scope::Contact,
            "it takes only the campaigns 'a', 'b', 'c', 'd', 'e' and 2 more, and no message of this person matches;",
        ),
        (
            &[],
            Scope::Contact,
            "it takes no campaign, and no message of this person matches;",
        ),
    ] {
        let sentence = reason_in(&filtered(campaigns), scope);
        assert!(
            sentence.starts_with(&format!("Not sent to crm: {words}")),
            "{sentence}"
        );
    }
    // A pruned message is not excluded.
    assert!(of(&view, &filtered(&["trees"]), Scope::Message(InboxId(1)), READER).may_be_sent);
    let opted_out = person(&[What::Unsubscribed], Some(ANN));
    assert!(reason(&opted_out, &filtered(&["trees"])).contains("opted out"));
    let mut by_automations = rule(Policy::OptIn);
    by_automations.takes = Takes::Automations;
    assert!(reason(&view, &by_automations).starts_with("May be sent to crm, by automations only: opted in"));
}

#[test]
fn only_the_destinations_of_the_workspace_are_explained() {
    let view = person(&[What::OptIn], Some(ANN));
    let mut rules = Rules::default();
    for (name, workspace) in [("crm", "default"), ("rivers", "second")] {
        let mut rule = DestinationRule::new(name);
        rule.workspace = workspace.into();
        rules.destinations.insert(name.into(), rule.into());
    }
    let all = of_all(&view, &rules, Scope::Contact, READER);
    let names: Vec<&str> = all.iter().map(|one| &*one.destination).collect();
    assert_eq!(names, ["crm"]);
}

#[test]
fn the_value_that_a_filter_found_is_that_of_the_message_in_the_question() {
    let view = person(&[What::OptIn], Some(ANN));
    let mut rule = rule(Policy::OptIn);
    rule.filter.sources = Some(["shop".to_owned()].into());
    let found = |scope| match of(&view, &rule, scope, READER).obstacle {
        Some(Obstacle::Filter { found, .. }) => found,
        other => panic!("{other:?}"),
    };
    assert_eq!(found(Scope::Message(InboxId(4712))).as_deref(), Some("forms"));
    assert_eq!(found(Scope::Contact), None);
}

/// Only [`Policy::WithConsent`] needs the data.
#[test]
fn missing_data_are_no_reason_where_a_policy_does_not_need_them() {
    let mut view = person(&[What::Declined], Some(ANN));
    view.contact.gave_data = false;
    for (policy, words) in [
        (
            Policy::WithConsent,
            "has not given their data on a form".to_owned(),
        ),
        (Policy::OptIn, format!("declined e-mail {FIRST}")),
        (Policy::DoubleOptIn, format!("declined e-mail {FIRST}")),
    ] {
        assert_eq!(reason(&view, &rule(policy)), format!("{NO}{words}"));
    }
}
