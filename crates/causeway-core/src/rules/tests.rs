use super::*;

#[test]
fn forms_only_excludes_actions_without_the_form_and_nothing_else() {
    let filter = Filter {
        forms_only: true,
        ..Filter::default()
    };
    let mut event = Event::new(EventKind::Action, "proca".into(), jiff::Timestamp::UNIX_EPOCH);
    assert!(filter.matches("proca", &event), "what is no action passes");
    for (with_consent, passes) in [(true, true), (false, false)] {
        event.action = Some(Action {
            external_id: "1".to_owned(),
            action_type: "share".to_owned(),
            created_at: jiff::Timestamp::UNIX_EPOCH,
            custom_fields: Map::new(),
            donation: None,
            tracking: None,
            with_consent,
            dupe_rank: None,
            testing: false,
        });
        assert_eq!(filter.matches("proca", &event), passes);
        assert!(Filter::default().matches("proca", &event));
    }
}

#[test]
fn an_organisation_is_our_own_in_its_workspace_and_namespace() {
    let source = |name: &str, workspace: &str, namespace: &str, own: &[&str]| {
        let rule = SourceRule {
            name: name.into(),
            workspace: workspace.into(),
            own_orgs: own.iter().map(|id| (*id).to_owned()).collect(),
            namespace: namespace.into(),
        };
        (rule.name.clone(), rule)
    };
    let rules = Rules {
        sources: [
            source("a", "default", "proca", &["1"]),
            source("b", "default", "proca", &["2"]),
            source("c", "other", "proca", &["3"]),
            source("d", "default", "shop", &["4"]),
        ]
        .into(),
        ..Rules::default()
    };
    let own: Vec<&str> = ["1", "2", "3", "4"]
        .into_iter()
        .filter(|id| rules.is_own("default", "proca", id))
        .collect();
    assert_eq!(own, ["1", "2"]);
    assert!(rules.is_own(&sandbox_of("other"), "proca", "3"));
}

#[test]
fn a_destination_for_test_actions_is_sent_the_sandbox() {
    let mut rules = Rules::default();
    for (name, sandbox) in [("crm", false), ("trial", true)] {
        let mut rule = DestinationRule::new(name);
        rule.sandbox = sandbox;
        rules.destinations.insert(name.into(), Arc::new(rule));
    }
    let places = rules.places();
    let places: Vec<(&str, &str)> = places
        .iter()
        .map(|(name, workspace)| (&**name, &**workspace))
        .collect();
    assert_eq!(places, [("crm", "default"), ("trial", "default~sandbox")]);
}

#[test]
fn a_workspace_listens_to_what_its_automations_name() {
    use crate::{automation::Trigger, event::EngagementKind, mapping::Expression};

    let listens = |on: Trigger, when: Option<&str>| {
        let automation = Automation {
            name: "it".into(),
            workspace: DEFAULT_WORKSPACE.into(),
            on: vec![on],
            when: when.map(|text| Expression::new(text).unwrap()),
            stop: None,
            once: false,
            per_hour: None,
            then: Vec::new(),
        };
        let rule = WorkspaceRule::new(vec![automation.into()], Scoring::default());
        [
            rule.listens_to_engagements,
            rule.listens_to_syncs,
            rule.asks_for_history,
        ]
    };
    let action = || Trigger::Action(None);
    let opened = Trigger::Engaged(EngagementKind::EmailOpen, None);
    let reads_clicks = "engagement.clicks[0].count > 1";
    assert_eq!(listens(action(), None), [false, false, false]);
    assert_eq!(listens(opened, None), [true, false, false]);
    assert_eq!(listens(Trigger::Synced(None), None), [false, true, false]);
    assert_eq!(listens(action(), Some(reads_clicks)), [false, false, true]);
}

#[test]
fn settings_for_a_campaign_come_from_it_and_from_the_configuration_first() {
    let map = |value: Value| value.as_object().unwrap().clone();
    let settings = Settings {
        defaults: map(serde_json::json!({ "list": 1, "tag": 1, "form": 1 })),
        campaigns: [("bees".to_owned(), map(serde_json::json!({ "list": 3 })))].into(),
    };
    let campaign = Campaign {
        external_id: "204".to_owned(),
        name: "bees".to_owned(),
        title: None,
        crm_id: None,
        contact_schema: None,
        config: Some(serde_json::json!({ "component": { "sync": { "list": 2, "tag": 2 } } })),
    };
    assert_eq!(settings.for_campaign(None), settings.defaults);
    assert_eq!(
        Value::Object(settings.for_campaign(Some(&campaign))),
        serde_json::json!({ "list": 3, "tag": 2, "form": 1 })
    );
}
