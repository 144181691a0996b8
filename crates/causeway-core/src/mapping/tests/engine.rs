//! The short way round the engine gives what the engine gives; and no text is too strange.

use proptest::prelude::*;

use super::*;
use crate::mapping::{lexer::words, simple::Simple};

fn records() -> Vec<Scope> {
    let mut odd = record();
    odd.campaign = None;
    odd.settings = json!({ "n": 0, "b": false, "t": "", "big": 18_446_744_073_709_551_615_u64, "f": 1.5, "l": ["bees", 1], "o": {} })
        .as_object()
        .unwrap()
        .clone();
    let withdrawal = Record {
        kind: Kind::Withdrawal,
        ..bare()
    };
    [record(), bare(), odd, withdrawal]
        .iter()
        .map(|record| Scope::new(record).with("changed", json!(["email", "phone"])))
        .collect()
}

fn path() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "campaign.name",
        "action.type",
        "action.testing",
        "action.fields.amount",
        "action.fields.why",
        "contact.tags",
        "contact.lists",
        "contact.Size",
        "contact.Topics",
        "contact.street",
        "contact.Nickname",
        "contact['Favourite colour']",
        "consent.email.subscribed",
        "consent.email.state",
        "consent.sms.since",
        "at",
        "event",
        "source",
        "type",
        "action",
        "campaign",
        "settings.n",
        "settings.b",
        "settings.t",
        "settings.big",
        "settings.f",
        "settings.l",
        "settings.o",
        "settings.list",
        "lead.score",
        "lead",
        "engagement.opens",
        "engagement.goals",
        "fields",
        "fields['125']",
        "contact.ids",
        "contact",
        "tracking.source",
        "page.organisation",
        "contact.first_name",
        "changed",
        "nobody",
        "contact.tags[0]",
        "contact.email.deep",
        "consent",
    ])
    .prop_map(str::to_owned)
}

fn literal() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "'bees'",
        "'petition'",
        "''",
        "\"vip\"",
        "0",
        "1",
        "5",
        "42",
        "true",
        "false",
        "none",
        "'email'",
        "1.5",
        "-1",
        "18446744073709551615",
        "'a\\'b'",
        "'2024'",
        "True",
        "None",
        "[]",
    ])
    .prop_map(str::to_owned)
}

fn condition() -> impl Strategy<Value = String> {
    let leaf =
        prop_oneof![
            path(),
            (path(), prop::sample::select(vec!["==", "!="]), literal())
                .prop_map(|(a, op, b)| format!("{a} {op} {b}")),
            (path(), prop::bool::ANY, prop::collection::vec(literal(), 0..4)).prop_map(
                |(a, not, all)| format!("{a} {}in [{}]", if not { "not " } else { "" }, all.join(", "))
            ),
            (literal(), path()).prop_map(|(a, b)| format!("{a} in {b}")),
            (path(), literal()).prop_map(|(a, b)| format!("{a} < {b}")),
            path().prop_map(|a| format!("{a} is defined")),
            (path(), literal()).prop_map(|(a, b)| format!("{a}[:2] == {b}")),
            (path(), literal()).prop_map(|(a, b)| format!("{a} | default({b}) | length > 1")),
        ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} and {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} or {b}")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("{a} if {b} else {c}")),
            inner.clone().prop_map(|a| format!("not {a}")),
            inner.prop_map(|a| format!("({a})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn conditions_hold_with_and_without_the_engine(text in condition()) {
        let Ok(expression) = Expression::new(&text) else { return Ok(()) };
        for scope in records() {
            prop_assert_eq!(
                expression.is_true(&scope), expression.is_true_by_engine(&scope), "{} for {}", text, scope.record().event
            );
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
        for text in [text.clone(), format!("{{{{ {text} }}}}"), format!("{{% {text} %}}"), format!("contact | {text}")] {
            if let Ok(term) = Term::read(&text.into()) {
                drop(term.eval(&scope()));
            }
        }
    }

    #[test]
    fn whatever_a_contact_says_is_a_number_a_date_or_refused(text in "\\PC{0,40}|[0-9+() -]{0,30}|[0-9/: -]{0,20}") {
        let scope = Scope::new(&bare()).with("x", text.clone().into());
        for filter in ["phone", "phone('DE')", "phone('US')", "date", "date('%A %e %B')", "country", "country('name')", "locale", "title", "truncate(3)", "int", "float", "split", "md5"] {
            let expression = Expression::new(&format!("x | {filter}")).unwrap();
            if let Err(error) = expression.eval(&scope)
                && text.chars().count() > 12
            {
                prop_assert!(!error.to_string().contains(&text), "{}", error);
            }
        }
    }
}

#[test]
fn nothing_is_divisible_by_nothing_and_no_number_ends_the_program() {
    for (text, expected) in [
        ("42 is divisibleby(2)", true),
        ("42 is divisibleby(5)", false),
        ("42 is divisibleby(-1)", true),
        ("1.5 is divisibleby(0.5)", true),
        ("1.5 is divisibleby(-1)", false),
        ("42 is divisibleby(0)", false),
        ("0 is divisibleby(0)", false),
        ("42 is divisibleby(0.0)", false),
        ("42 is divisibleby(-0.0)", false),
        ("42 is divisibleby(false)", false),
        ("(-(2 ** 126) * 2) is divisibleby(-1)", true),
        ("'a' is divisibleby(0)", false),
    ] {
        let holds = Expression::new(text).unwrap().is_true(&scope());
        assert_eq!(holds, Ok(expected), "{text}");
    }
}

#[test]
fn common_conditions_take_the_short_way() {
    for text in [
        "campaign.name == 'bees' and action.type == 'petition'",
        "contact.country in ['DE', 'AT'] or not consent.email.subscribed",
        "'vip' in contact.tags and (campaign.name != 'bees' or contact['Favourite colour'] == \"red\")",
        "action",
        "contact.Nickname not in ['a']",
    ] {
        let (all, _) = words(text, 0, &[]);
        assert!(Simple::read(&all).is_some(), "{text}");
    }
    for text in [
        "a == b",
        "a | upper == 'X'",
        "a is defined",
        "a == 'x' if b else c",
        "a < 3",
        "(a) == 'b'",
        "a == -1",
        "a == 'b' == 'c'",
        "f(a)",
    ] {
        let (all, _) = words(text, 0, &[]);
        assert!(Simple::read(&all).is_none(), "{text}");
    }
}
