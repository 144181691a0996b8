//! Tests of the valid names, and of errors about others.

use super::*;

#[test]
fn every_part_of_a_record_has_its_name() {
    for (text, expected) in [
        ("contact.email", json!("ada@example.org")),
        ("contact.firstName", json!("Ada")),
        ("contact.first_name", json!("Ada")),
        ("contact.birth_date", json!("1990-03-04")),
        ("contact.contactRef", json!("abc_1")),
        ("contact.ids.crm", json!("900")),
        ("contact.ids.elsewhere", json!(null)),
        ("contact.tags", json!(["press", "vip"])),
        ("contact.tags[1]", json!("vip")),
        ("contact.tags.1", json!("vip")),
        ("contact.lists", json!(["main"])),
        ("contact['Favourite colour']", json!("sea green")),
        ("contact.Topics[0]", json!("rivers")),
        ("contact.Size", json!(42)),
        ("contact.street", json!(null)),
        ("contact.profileUrl", json!(null)),
        ("fields['Favourite colour']", json!("sea green")),
        ("fields['125']", json!("sea green")),
        ("fields[125]", json!("sea green")),
        ("fields.Nickname", json!(null)),
        ("fields", json!({ "Favourite colour": "sea green" })),
        ("consent.email.state", json!("double_opted_in")),
        ("consent.email.subscribed", json!(true)),
        ("consent.email.since", json!("2024-05-03T12:30:00Z")),
        ("consent.email.why", json!(null)),
        ("consent.sms.why", json!("blocked")),
        ("consent.post.state", json!("unknown")),
        ("consent.post.subscribed", json!(false)),
        ("action.id", json!("55")),
        ("action.type", json!("petition")),
        ("action.createdAt", json!("2024-05-03T12:29:00Z")),
        ("action.created_at", json!("2024-05-03T12:29:00Z")),
        ("action.withConsent", json!(true)),
        ("action.dupeRank", json!(2)),
        ("action.dupe_rank", json!(2)),
        ("action.fields.why", json!("for the bees")),
        ("action.fields['my-field']", json!("x")),
        ("action.donation", json!(null)),
        ("action.donation.amount", json!(null)),
        ("action.tracking.source", json!("mail")),
        ("tracking.medium", json!("newsletter")),
        ("tracking.campaign", json!(null)),
        ("tracking.content", json!(null)),
        ("campaign.name", json!("bees")),
        ("campaign.external_id", json!(null)),
        ("page.locale", json!("de_AT")),
        ("page.organisation.name", json!("rivers")),
        ("organisation.id", json!("3")),
        ("organisation.title", json!(null)),
        ("engagement.opens | length", json!(2)),
        ("engagement.opens[1].name", json!("May letter")),
        ("engagement.clicks[0].count", json!(3)),
        ("engagement.goals", json!([])),
        ("lead.score", json!(12)),
        ("lead.status", json!("Warm")),
        ("settings.list", json!("L1")),
        ("settings.tags[0]", json!("x")),
        ("settings.form", json!(null)),
        ("change", json!("subscribe")),
        ("event", json!("action")),
        ("at", json!("2024-05-03T12:30:00Z")),
        ("source", json!("proca")),
        ("workspace", json!("default")),
        ("reference", json!("7")),
        ("type", json!("record")),
    ] {
        assert_eq!(eval(text), expected, "{text}");
    }
}

#[test]
fn whole_parts_equal_those_without_a_mapping() {
    let json = record().to_json();
    for (name, expected) in json.as_object().unwrap() {
        assert_eq!(&eval(name), expected, "{name}");
        // Also through the engine.
        assert_eq!(
            &eval(&format!("[{name}]")),
            &json!([expected]),
            "{name} in a list"
        );
    }
}

#[test]
fn a_part_that_a_record_lacks_is_null_and_false() {
    let scope = Scope::new(&bare());
    for text in [
        "action",
        "action.type",
        "action.fields.why",
        "action.donation.amount",
        "campaign",
        "campaign.name",
        "page.organisation",
        "page.organisation.id",
        "organisation",
        "tracking",
        "tracking.source",
        "tracking.anything",
        "contact.firstName",
        "contact.contactRef",
        "lead.score",
    ] {
        assert_eq!(eval_in(&scope, text).unwrap(), Value::Null, "{text}");
        assert!(!Expression::new(text).unwrap().is_true(&scope).unwrap(), "{text}");
        let asked = Template::new(&format!("{{% if {text} %}}yes{{% else %}}no{{% endif %}}"));
        assert_eq!(asked.unwrap().render(&scope).unwrap(), "no", "{text}");
    }
}

#[test]
fn a_platforms_name_of_a_field_gives_a_warning_with_our_name() {
    for (text, message) in [
        (
            "contact.city",
            Some("`contact.city` is stored as `contact.locality`: write that"),
        ),
        (
            "contact['First Name']",
            Some("`contact[\"First Name\"]` is stored as `contact.firstName`: write that"),
        ),
        ("contact.locality", None),
        ("contact.first_name", None),
        ("contact['Favourite colour']", None),
    ] {
        let expression = Expression::new(text).unwrap();
        assert_eq!(expression.names()[0].doubt().as_deref(), message, "{text}");
    }
}

#[test]
fn a_missing_name_is_reported_with_the_nearest_names() {
    for (text, message) in [
        (
            "contact['Favorite colour']",
            "`contact[\"Favorite colour\"]` is missing, at line 1, column 1 (did you mean contact[\"Favourite \
             colour\"]? `| default(none)` gives null if it is missing)",
        ),
        (
            "contact.frstName",
            "`contact.frstName` is missing, at line 1, column 1 (did you mean contact.firstName? `| default(none)` \
             gives null if it is missing)",
        ),
        (
            "action.fields.wy | upper",
            "`action.fields.wy` is missing, at line 1, column 1 (did you mean action.fields.why? `| default(none)` \
             gives null if it is missing)",
        ),
        (
            "settings.lits",
            "`settings.lits` is missing, at line 1, column 1 (did you mean settings.list? `| default(none)` gives \
             null if it is missing)",
        ),
        (
            "campaign.nmae == 'x'",
            "`campaign.nmae` is missing, at line 1, column 1 (did you mean campaign.name? `| default(none)` gives \
             null if it is missing)",
        ),
        (
            "fields['999']",
            "`fields.999` is missing, at line 1, column 1 (`| default(none)` gives null if it is missing)",
        ),
        (
            "contact.nothing.deeper",
            "`contact.nothing` is missing, at line 1, column 1 (`| default(none)` gives null if it is missing)",
        ),
    ] {
        assert_eq!(error(text), message);
    }
}
