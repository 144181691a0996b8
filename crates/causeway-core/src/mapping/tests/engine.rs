//! Checks that evaluation without the engine gives the engine's results, and that every text is read or
//! refused.

use std::cell::OnceCell;

use proptest::prelude::*;

use super::*;
use crate::{
    id::Name,
    mapping::{Held, lexer::words, simple::Simple},
};

fn records() -> Vec<Scope> {
    let mut odd = record();
    odd.campaign = None;
    odd.settings = json!({ "n": 0, "b": false, "t": "", "big": 18_446_744_073_709_551_615_u64, "f": 1.5, "l": ["bees", 1], "o": {}, "u": "Zażółć 日本語 👍🏽", "minus": -1, "none": null,
        "deep": { "er": "bees" } })
        .as_object()
        .unwrap()
        .clone();
    let withdrawal = Record {
        kind: Kind::Withdrawal,
        ..bare()
    };
    let mut scopes: Vec<Scope> = [record(), bare(), odd, withdrawal]
        .iter()
        .map(|record| Scope::new(record).with("changed", json!(["email", "phone"])))
        .collect();
    // Added names, which win over the record's.
    let own = json!({ "name": "rivers", "email": "x", "tags": ["vip"], "type": 1 });
    let roots = ["campaign", "contact", "action", "consent"];
    let add = |scope: Scope, root: &&str| scope.with(root, own.clone());
    scopes.push(roots.iter().fold(scope(), add));
    scopes
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
        "settings.u",
        "settings.minus",
        "settings.none",
        "settings.deep.er",
        "settings.deep",
        "settings.nothing",
        "contact.nothing",
        "contact.nothing.deeper",
        "contact.postcode",
        "contact.postcode.deeper",
        "contact.lead_status",
        "contact['tag:vip']",
        "action.tracking.source",
        "tracking['campaign']",
        "tracking.nothing",
        "action.fields.nothing",
        "action.donation.amount",
        "consent.email.nothing",
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
        "'Zażółć'",
        "'10'",
        "'b'",
        "-18446744073709551616",
    ])
    .prop_map(str::to_owned)
}

fn place() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        (-12_i64..12).prop_map(|place| place.to_string())
    ]
}

/// One side of a comparison.
fn operand() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => path(),
        2 => (path(), place(), place()).prop_map(|(path, from, to)| format!("{path}[{from}:{to}]")),
        1 => literal(),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    let sign = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let within = prop::sample::select(vec!["in", "not in"]);
    let is = prop::sample::select(vec!["is", "is not"]);
    let test = prop::sample::select(vec![
        "defined",
        "none",
        "startingwith('s')",
        "startingwith('Zaż')",
        "endingwith(\"s\")",
        "endingwith('')",
        "startingwith(1)",
        "startingwith(source)",
        "integer",
        "in ['bees']",
    ]);
    let leaf = prop_oneof![
        path(),
        operand(),
        (operand(), sign, operand()).prop_map(|(a, sign, b)| format!("{a} {sign} {b}")),
        (operand(), within.clone(), prop::collection::vec(literal(), 0..4))
            .prop_map(|(a, within, all)| format!("{a} {within} [{}]", all.join(", "))),
        (operand(), within, operand()).prop_map(|(a, within, b)| format!("{a} {within} {b}")),
        (operand(), is, test).prop_map(|(a, is, test)| format!("{a} {is} {test}")),
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
    fn conditions_are_the_same_with_and_without_the_engine(text in condition()) {
        let Ok(expression) = Expression::new(&text) else { return Ok(()) };
        for scope in records() {
            for path in expression.names() {
                let route = path.route();
                let walked = scope.find(path.steps.iter().map(String::as_str));
                prop_assert_eq!(format!("{:?}", scope.follow(&route)), format!("{:?}", walked), "{}", path);
            }
            // Evaluated twice, so that the second time uses the cache. The positions differ from the order of
            // the text.
            let numbers: Vec<usize> = (0..expression.names().len()).rev().collect();
            let held: Vec<OnceCell<Held>> = numbers.iter().map(|_| OnceCell::new()).collect();
            for first in ["when: ", "when: ", "stop: "] {
                let by_engine = expression.is_true_by_engine(&scope).map_err(|error| Name::from(format!("{first}{error}")));
                prop_assert_eq!(expression.holds(&scope, &held, &numbers, first), by_engine, "{}", text);
            }
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
    fn any_text_of_a_contact_is_a_number_a_date_or_refused(text in "\\PC{0,40}|[0-9+() -]{0,30}|[0-9/: -]{0,20}") {
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
fn values_of_different_kinds_have_no_order() {
    let scope = scope().with(
        "x",
        json!({ "text": "5", "number": 5, "yes": true, "list": [1], "object": {}, "none": null }),
    );
    let number = "`| int` or `| float` makes a number of a text";
    let zero = "`| int(0)` or `| float(0)` gives 0 instead of null";
    for (text, message, hint) in [
        ("x.text > 100", "`>` compares a text with a number", number),
        ("100 <= x.text", "`<=` compares a number with a text", number),
        ("x.text < 1.5", "`<` compares a text with a number", number),
        ("'5' >= x.number", "`>=` compares a text with a number", number),
        ("x.yes < 2", "`<` compares true or false with a number", number),
        ("x.none < 2", "`<` compares nothing with a number", zero),
        ("x.none < x.none", "`<` compares nothing with nothing", zero),
        ("x.list > 2", "`>` compares a list with a number", number),
        ("x.object > 2", "`>` compares an object with a number", number),
        (
            "0 < x.number <= x.text",
            "`<=` compares a number with a text",
            number,
        ),
        (
            "x.none < '2024-05-01'",
            "`<` compares nothing with a text",
            "`| default('')` gives an empty text instead of null",
        ),
        ("x.text is gt(100)", "`>` compares a text with a number", number),
        (
            "['5'] | select('le', 100) | list",
            "`<=` compares a text with a number",
            number,
        ),
        (
            "[5, '40'] | max",
            "`max` compares texts with numbers",
            "`| map('int')` before it makes numbers of texts",
        ),
        (
            "[{'a': {'b': 1}}, {'a': {'b': '2'}}] | sort(attribute='a.b')",
            "`sort` compares texts with numbers",
            "`| map('int')` before it makes numbers of texts",
        ),
    ] {
        let condition = format!("1 if {text} else 0");
        let template = format!("{{% if {text} %}}yes{{% endif %}}");
        for text in [text, &condition, &template] {
            let error = Term::with(&text.into(), &Tables::default(), &["x"])
                .unwrap()
                .eval(&scope)
                .unwrap_err();
            assert_eq!(
                (error.what.as_str(), error.hint.as_deref()),
                (message, Some(hint)),
                "{text}"
            );
        }
        let error = Expression::new(text).unwrap().is_true(&scope).unwrap_err();
        assert_eq!(error.what, message, "{text}");
    }
    for (text, expected) in [
        ("x.text | int > 100", json!(false)),
        ("x.none | int(0) > 100", json!(false)),
        ("1 < x.number < 5.5", json!(true)),
        ("5 < x.number < nothing", json!(false)),
        ("x.text != 5 < 6", json!(true)),
        ("'2024-05-01' < at <= '2024-06-01'", json!(true)),
        ("[3, 1.5] | sort", json!([1.5, 3])),
        ("[none, 3, 1] | sort", json!([null, 1, 3])),
        ("['b', 'a'] | min", json!("a")),
        ("contact.street[:2]", json!(null)),
        ("contact.street[:2] | default('-')", json!("-")),
        ("contact.Topics[1:] | first", json!("bees")),
        ("contact.tags[-1:]", json!(["vip"])),
        ("contact.email[-3:-1][:1]", json!("o")),
        ("contact.email[2:1]", json!("")),
        ("contact.email[-99:3]", json!("ada")),
    ] {
        assert_eq!(eval_in(&scope, text), Ok(expected), "{text}");
    }
}

#[test]
fn an_error_after_a_rewritten_part_has_its_original_position() {
    let error = |text: &str| {
        Expression::new(text)
            .unwrap()
            .eval(&scope())
            .unwrap_err()
            .to_string()
    };
    for (text, place) in [
        (
            "contact.email[:3] == 'ada' and contact.Size > 1 and contact.lastName | int",
            "column 72",
        ),
        ("contact.Size > 1 and contact.lastName | int > 2", "column 41"),
    ] {
        assert!(
            error(text).contains(&format!("the value is not a number, at line 1, {place}")),
            "{}",
            error(text)
        );
    }
    assert_eq!(
        error("contact.Size > 1 and contact.Nick > 2"),
        "`contact.Nick` is missing, at line 1, column 22 (`| default(none)` gives null if it is missing)"
    );
    assert_eq!(
        error("contact.Size[1:]"),
        "`contact.Size[1:]` cannot be computed: value of type number cannot be sliced, at line 1, column 1"
    );
}

#[test]
fn division_by_zero_and_overflow_do_not_panic() {
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
fn common_conditions_need_no_engine() {
    for text in [
        "campaign.name == 'bees' and action.type == 'petition'",
        "contact.country in ['DE', 'AT'] or not consent.email.subscribed",
        "'vip' in contact.tags and (campaign.name != 'bees' or contact['Favourite colour'] == \"red\")",
        "action",
        "contact.Nickname not in ['a']",
        "contact.postcode[:2] == '10' or contact.postcode[-2:] in ['15', '16']",
        "lead.score >= 50 and -1 < action.fields.amount",
        "contact.country == settings.country",
        "contact.country in settings.countries",
        "contact.Nickname is not defined or contact.phone is none",
        "contact.email is endingwith('@example.org')",
    ] {
        let (all, _) = words(text, 0, &[]);
        assert!(Simple::read(&all, &[]).is_some(), "{text}");
    }
    for text in [
        "a | upper == 'X'",
        "a is integer",
        "a[1:2] is defined",
        "a[0]",
        "a[b:2] == 'x'",
        "a is startingwith(b)",
        "a == 1.5",
        "a == 'x' if b else c",
        "(a) == 'b'",
        "a < 3 < 4",
        "a == 'b' == 'c'",
        "f(a)",
    ] {
        let (all, _) = words(text, 0, &[]);
        assert!(Simple::read(&all, &[]).is_none(), "{text}");
    }
}
