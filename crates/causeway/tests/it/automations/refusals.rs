//! Errors in automations are reported before anything runs, with the line and the fix.

use std::path::Path;

use causeway::config;

/// Twelve valid lines, so that errors begin with line 13.
const BEFORE: &str = "[source.site]
kind = 'events'
tokens = ['token-of-24-characters-site']
[destination.crm]
kind = 'null'
takes = 'automations'
[destination.unsaid]
kind = 'null'
[destination.theirs]
kind = 'null'
workspace = 'other'
takes = 'all'
";

fn errors_of(text: &str) -> Vec<String> {
    match config::parse(Path::new("causeway.toml"), &format!("{BEFORE}{text}")) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

/// An automation that is valid except for this line, which is line 15.
fn with(line: &str) -> String {
    let mut keys = vec!["name = 'A'"];
    keys.push(line);
    for (key, right) in [
        ("on ", "on = 'action'"),
        ("then ", "then = [{ deliver = 'crm' }]"),
    ] {
        if !line.starts_with(key) {
            keys.push(right);
        }
    }
    format!("[[automation]]\n{}\n", keys.join("\n"))
}

#[test]
fn valid_automations_are_accepted() {
    for line in [
        "on = ['action', { tag_added = 'vip' }, { schedule = 'weekly', weekday = 'monday', at = '09:00' }]",
        "when = \"campaign.name == 'bees' and consent.email.subscribed and 'city' in changed\"",
        "then = [{ deliver = ['crm'], delay = '90 s' }, { set_field = { a = '{{ contact.city }}' } }]",
    ] {
        assert_eq!(errors_of(&with(line)), Vec::<String>::new(), "{line}");
    }
}

/// `city` is the platform's name of the field, and the usual one.
#[test]
fn common_fields_have_all_their_usual_names() {
    let text = format!(
        "{BEFORE}{}{}",
        with("on = { field_changed = 'City' }"),
        "[[automation]]\nname = 'B'\non = { date_reached = 'Birthday' }\nthen = [{ set_field = { 'First Name' = '=Zed' } }]\n"
    );
    let config = config::parse(Path::new("causeway.toml"), &text).expect("a configuration");
    let rules = config.rules();
    let text = format!("{:?}", rules.workspaces);
    for part in [
        "FieldChanged(\"locality\")",
        "field: \"birthDate\"",
        "SetFields([(\"firstName\"",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// A line, and the beginning of its error.
const MISTAKES: &[(&str, &str)] = &[
    (
        "then = [{ set_field = { city = '=A', locality = '=B' } }]",
        "causeway.toml:15: [automation A] `then.0.set_field.locality`: locality is set twice",
    ),
    (
        "on = 'actoin'",
        "causeway.toml:15: [automation A] `on`: there is no trigger \"actoin\"",
    ),
    (
        "on = { goal_reeched = 'Donated' }",
        "causeway.toml:15: [automation A] `on`: there is no trigger \"goal_reeched\"",
    ),
    (
        "on = { email_status = 'bouncd' }",
        "causeway.toml:15: [automation A] `on`: email_status: \"bouncd\" is not one of opt_in, ",
    ),
    (
        "on = { schedule = 'fortnightly' }",
        "causeway.toml:15: [automation A] `on`: schedule: \"fortnightly\" is not a schedule",
    ),
    (
        "on = { schedule = 'weekly', weekday = 3 }",
        "causeway.toml:15: [automation A] `on`: schedule: weekday is not a day of the week",
    ),
    (
        "on = { schedule = 'daily', weekday = 'monday' }",
        "causeway.toml:15: [automation A] `on`: schedule: weekday belongs to weekly",
    ),
    (
        "on = { schedule = 'weekly', weekday = 'monday', day = 3 }",
        "causeway.toml:15: [automation A] `on`: schedule: day belongs to monthly",
    ),
    (
        "on = { date_reached = 'birthDate', at = '25:00' }",
        "causeway.toml:15: [automation A] `on`: date_reached: at: \"25:00\" is not a time like",
    ),
    (
        "on = { tag_added = 'a', list_joined = 'b' }",
        "causeway.toml:15: [automation A] `on`: a table names exactly one thing",
    ),
    (
        "then = [{ deliver = 'cmr' }]",
        "causeway.toml:15: [automation A] `then`: there is no destination \"cmr\" (there are: crm, theirs, unsaid)",
    ),
    (
        "then = [{ deliver = 'theirs' }]",
        "causeway.toml:15: [automation A] `then`: the destination \"theirs\" is of workspace \"other\"",
    ),
    (
        "then = [{ deliver = 'unsaid' }]",
        "causeway.toml:7: [destination.unsaid] `takes`: missing, and automations deliver here",
    ),
    (
        "then = [{ add_tag = 'a' }, { deliver = 'crm', delay = 'tomorrow' }]",
        "causeway.toml:15: [automation A] `then.1.delay`: \"tomorrow\" is not a duration",
    ),
    (
        "then = [{ deliver = 'crm', delay = '-1 h' }]",
        "causeway.toml:15: [automation A] `then.0.delay`: \"-1 h\" is not a duration",
    ),
    (
        "then = [{ deliver = 'crm', delay = '1 month' }]",
        "causeway.toml:15: [automation A] `then.0.delay`: \"1 month\" is not a duration",
    ),
    (
        "then = [{ deliver = 'crm', add_tag = 'a' }]",
        "causeway.toml:15: [automation A] `then.0`: needs exactly one of deliver, add_tag",
    ),
    (
        "then = [{ set_field = { email = 'contact.city' } }]",
        "causeway.toml:15: [automation A] `then.0.set_field.email`: cannot be set by an automation",
    ),
    (
        "then = [{ set_field = { a = '{{ contact.city }' } }]",
        "causeway.toml:15: [automation A] `then.0.set_field.a`: cannot be read",
    ),
    (
        "then = [{ send = 'crm' }]",
        "causeway.toml:15: [automation A] `then.send`: unknown field `send`",
    ),
    (
        "then = []",
        "causeway.toml:15: [automation A] `then`: has no step",
    ),
    (
        "when = \"campaign.name = 'bees'\"",
        "causeway.toml:15: [automation A] `when`: ",
    ),
    (
        "when = \"campain.name == 'bees'\"",
        "causeway.toml:15: [automation A] `when`: there is no name `campain` (did you mean campaign.name?)",
    ),
    (
        "when = \"consent.email.subscribd\"",
        "causeway.toml:15: [automation A] `when`: ",
    ),
    (
        "stop = \"not (consent.email.subscribed\"",
        "causeway.toml:15: [automation A] `stop`: ",
    ),
    (
        "per_hour = 0",
        "causeway.toml:15: [automation A] `per_hour`: must be at least 1",
    ),
    ("wehn = 'true'", "causeway.toml:15: [automation A] `wehn`: "),
    (
        "then = [{ add_tag = '{{ campaign.name }}' }]",
        "causeway.toml:15: [automation A] `then.0.add_tag`: this text is used literally, including {{",
    ),
    (
        "then = [{ remove_tag = '[#EMAIL#]' }]",
        "causeway.toml:15: [automation A] `then.0.remove_tag`: this text is used literally, including [#",
    ),
    (
        "then = [{ set_field = { '{{ campaign.name }}' = 'at' } }]",
        "causeway.toml:15: [automation A] `then.0.set_field.{{ campaign.name }}`: this text is used literally",
    ),
    (
        "on = { list_joined = '{{ settings.list }}' }",
        "causeway.toml:15: [automation A] `on`: this text is used literally",
    ),
    (
        "on = { action = ['petition', '{{ settings.type }}'] }",
        "causeway.toml:15: [automation A] `on`: this text is used literally",
    ),
    (
        "on = { status_reached = 'Warm' }",
        "causeway.toml:15: [automation A] `on`: status_reached: the workspace \"default\" has no [[status]] named \"Warm\" (it has none: ",
    ),
];

#[test]
fn each_mistake_is_reported_at_its_line() {
    let mut others = Vec::new();
    for (line, said) in MISTAKES {
        let errors = errors_of(&with(line));
        assert_eq!(errors.len(), 1, "{line}: {errors:?}");
        if !errors[0].starts_with(said) {
            others.push(format!("{line}: {}", errors[0]));
        }
    }
    assert!(others.is_empty(), "{}", others.join("\n"));
}

#[test]
fn duplicate_names_and_invalid_sections_are_refused() {
    let twice = format!("{}{}", with("once = true"), with("once = false"));
    let score = format!(
        "{}[[score]]\nname = 'A'\non = 'action'\npoints = 1\n",
        with("once = true")
    );
    let status = "[[status]]\nname = 'Warm'\nceiling = 5\n[[status]]\nname = 'Warm'\nceiling = 6\n";
    for (text, said) in [
        (
            &*twice,
            "causeway.toml:19: [automation A] `name`: there is another automation or score named \"A\"",
        ),
        (
            &score,
            "causeway.toml:19: [score A] `name`: there is another automation or score named \"A\"",
        ),
        (
            status,
            "causeway.toml:17: [status Warm] `name`: has the name or the ceiling of the status \"Warm\"",
        ),
        (
            "[automation]\nname = 'A'\n",
            "causeway.toml:13: [automation] not a list of sections: write each as [[automation]]",
        ),
    ] {
        let errors = errors_of(text);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].starts_with(said), "{}", errors[0]);
    }
    // The same name is allowed in different workspaces.
    let apart = format!(
        "{}[[automation]]\nname = 'A'\nworkspace = 'other'\non = 'action'\nthen = [{{ deliver = 'theirs' }}]\n",
        with("once = true")
    );
    assert_eq!(errors_of(&apart), Vec::<String>::new());
}

#[test]
fn status_reached_names_a_status_of_its_workspace() {
    let reached = with("on = { status_reached = 'Wram' }");
    let status = |name: &str, more: &str| format!("[[status]]\nname = '{name}'\nceiling = 5\n{more}\n");
    for (statuses, said) in [
        (status("Wram", ""), None),
        (status("Warm", ""), Some("(did you mean `Warm`? There are: Warm)")),
        (status("Wram", "workspace = 'other'"), Some("(it has none: ")),
        // Only the error in the status is reported, not the one that follows from it.
        (status("Wram", "celing = 6"), Some("unknown field `celing`")),
    ] {
        let errors = errors_of(&format!("{reached}{statuses}"));
        assert_eq!(errors.len(), usize::from(said.is_some()), "{errors:?}");
        assert!(
            errors
                .iter()
                .all(|error| error.contains(said.unwrap_or_default())),
            "{errors:?}"
        );
    }
}

#[test]
fn a_workspace_without_sources_is_a_warning() {
    for (line, count) in [("workspace = 'nope'", 1), ("workspace = 'default'", 0)] {
        let text = format!(
            "{BEFORE}[[automation]]\nname = 'A'\n{line}\non = 'action'\nthen = [{{ add_tag = 'a' }}]\n"
        );
        let config = config::parse(Path::new("causeway.toml"), &text).unwrap();
        let warnings = config::warnings(&config);
        let found = warnings.iter().filter(|warning| {
            warning.contains("no source belongs to workspace \"nope\": nothing will arrive there")
        });
        assert_eq!(found.count(), count, "{warnings:?}");
    }
}
