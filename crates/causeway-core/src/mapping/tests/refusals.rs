//! Tests of what is refused, with its error text, and that no value of the contact is in it.

use super::*;

/// The error of parsing the text.
fn refused(text: &str) -> String {
    match Term::read(&text.into()) {
        Ok(_) => panic!("{text} is read"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn names_that_no_record_has_are_refused_when_parsed() {
    for (text, message) in [
        (
            "contct.email",
            "there is no name `contct`, at line 1, column 1 (did you mean contact.email?)",
        ),
        (
            "contact.email | default(campain.name)",
            "there is no name `campain`, at line 1, column 25 (did you mean campaign.name?)",
        ),
        (
            "campain.name[:2]",
            "there is no name `campain`, at line 1, column 1 (did you mean campaign.name?)",
        ),
        (
            "{% for t in contct.Topics[:2] %}{{ t[:1] }}{{ loop.index }}{% endfor %}",
            "there is no name `contct`, at line 1, column 13 (did you mean contact.Topics?)",
        ),
        (
            "campaign.nmae",
            "`campaign` has no `nmae`, at line 1, column 1 (did you mean campaign.name?)",
        ),
        (
            "consent.email.subscribd",
            "`consent.email` has no `subscribd`, at line 1, column 1 (did you mean consent.email.subscribed?)",
        ),
        (
            "engagement.open",
            "`engagement` has no `open`, at line 1, column 1 (did you mean engagement.opens?)",
        ),
        (
            "tracking.sorce",
            "`tracking` has no `sorce`, at line 1, column 1 (did you mean tracking.source?)",
        ),
        (
            "[action.tracking.utm]",
            "`action.tracking` has no `utm`, at line 1, column 2 (`action.tracking` has source, medium, campaign, content, location)",
        ),
        (
            "tracking.source.name",
            "`tracking.source` has no `name`, at line 1, column 1 (`tracking.source` is a plain value)",
        ),
        (
            "engagement.opens[0].nme",
            "`engagement.opens.0` has no `nme`, at line 1, column 1 (did you mean engagement.opens.0.name?)",
        ),
        (
            "event.name",
            "`event` has no `name`, at line 1, column 1 (`event` is a plain value)",
        ),
    ] {
        assert_eq!(refused(text), message, "{text}");
    }
}

#[test]
fn every_name_of_a_closed_group_is_accepted() {
    for text in [
        "tracking.source",
        "action.tracking.location",
        "action.tracking",
        "engagement.opens[0].name",
        "engagement.clicks[0].count",
        "action.donation.payload.anything",
    ] {
        assert!(Term::read(&text.into()).is_ok(), "{text}");
    }
}

#[test]
fn a_probably_misspelt_name_gives_a_warning() {
    let table = json!({
        "a": "contact.frstName",
        "b": "action.donation.amonut",
        "c": "action.donation.amount",
        "d": "action.donation.mandate",
    });
    let table = table.as_object().unwrap();
    let terms = table.iter().map(|(name, value)| (name.as_str(), value));
    let mapping = Mapping::read(terms, &Tables::default(), &[]).unwrap();
    let doubts = mapping.doubts();
    assert_eq!(doubts.len(), 2, "{doubts:?}");
    assert!(
        doubts[0].ends_with("did you mean contact.firstName?"),
        "{doubts:?}"
    );
    assert!(
        doubts[1].ends_with("did you mean action.donation.amount?"),
        "{doubts:?}"
    );
}

#[test]
fn unsupported_syntax_is_refused_when_parsed() {
    for (text, message) in [
        (
            "contact.email | uper",
            "there is no filter `uper`, at line 1, column 17 (did you mean upper?)",
        ),
        (
            "contact.email is definde",
            "there is no test `definde`, at line 1, column 18 (did you mean defined?)",
        ),
        (
            "colesce(contact.email)",
            "there is no function `colesce`, at line 1, column 1 (did you mean coalesce?)",
        ),
        (
            "contact.email.upper()",
            "values have no methods, at line 1, column 15 (use a filter: `contact.email | upper`)",
        ),
        (
            "contact.firstName ~ ' '",
            "`~` would write `none` for what is missing, at line 1, column 19 \
             (write a template, as in \"{{ contact.firstName }} {{ contact.lastName }}\")",
        ),
        (
            "{% set x = 1 %}{{ x }}",
            "`set` is not a statement here, at line 1, column 4 (a template of a mapping has if, elif, else, for and \
             raw)",
        ),
        (
            "at | date(zone='Europe/Berln')",
            "there is no time zone \"Europe/Berln\", at line 1, column 16 (such as Europe/Berlin)",
        ),
        (
            "at | date('%ö')",
            "a date cannot be written as \"%ö\", at line 1, column 11 \
             (the patterns are those of strftime: %Y-%m-%d %H:%M:%S; or iso, date, unix, unix_ms)",
        ),
        (
            "at | date('d.m.Y')",
            "\"d.m.Y\" has no part of a date: it would be written literally, at line 1, column 11 (the patterns are \
             those of strftime: '%d.%m.%Y' for d.m.Y; or iso, date, unix, unix_ms)",
        ),
        (
            "contact.country | country('alpha4')",
            "there is no form of a country \"alpha4\", at line 1, column 27 (there are alpha2, alpha3, numeric, name)",
        ),
        (
            "contact.country | lookup('regions')",
            "there is no lookup table \"regions\", at line 1, column 19 (add a section [lookup.regions] with key = value)",
        ),
        (
            "contact.lastName[::-1]",
            "a slice of a list or text takes no step, at line 1, column 19 ([from:to]; `| reverse` reverses it)",
        ),
        (
            "'x' * 3",
            "texts and lists cannot be repeated with `*`, at line 1, column 5",
        ),
        (
            "",
            "the expression is empty (a name such as contact.email, or =text for a fixed text)",
        ),
    ] {
        assert_eq!(refused(text), message, "{text}");
    }
    for text in [
        "a +",
        "contact..email",
        "{{ contact.email",
        "{% if a %}",
        "(((",
        "'open",
        "contact.email contact",
    ] {
        assert!(
            refused(text).starts_with("cannot be read: "),
            "{text}: {}",
            refused(text)
        );
    }
    assert!(refused(&"a".repeat(limit::SOURCE + 1)).contains("longer than 16 KiB"));
}

#[test]
fn additional_names_can_be_allowed() {
    let term = Term::with(&json!("before.firstName"), &Tables::default(), &["before"]).unwrap();
    let scope = scope().with("before", json!({ "firstName": "Eve" }));
    assert_eq!(term.eval(&scope).unwrap(), json!("Eve"));
    assert!(Term::read(&json!("before.firstName")).is_err());
    let scope = scope.with("contact", json!({ "email": "x" }));
    assert_eq!(eval_in(&scope, "contact.email").unwrap(), json!("x"), "it wins");
}

#[test]
fn an_error_with_a_record_says_what_and_where_but_never_the_value() {
    let shown = |text: &str| match Term::with(&text.into(), &Tables::default(), &[])
        .unwrap()
        .eval(&scope())
    {
        Ok(value) => panic!("{text} gives {value}"),
        Err(error) => error.to_string(),
    };
    for (text, message) in [
        (
            "contact.lastName | int",
            "the value is not a number, at line 1, column 20 (`| int(0)` gives 0 instead)",
        ),
        (
            "contact.firstName + 1",
            "`contact.firstName + 1` cannot be computed: tried to use + operator on unsupported types string and \
             number, at line 1, column 1",
        ),
        (
            "contact.email | date",
            "the value is not a date in a known form, at line 1, column 17 (dates are read as 2022-05-26, 26-05-2022 \
             or 05/26/2022, with or without a time; `date(default=none)` gives null for all others)",
        ),
        (
            "contact.lastName | country",
            "the value is not a known country, at line 1, column 20 (`country(default=none)` gives null for it, and a \
             lookup table can add names)",
        ),
        (
            "contact.email | phone('DE')",
            "the value is not a telephone number in its country, at line 1, column 17 (`phone('DE')` names the \
             country, and `phone(default=none)` gives null for other values)",
        ),
        (
            "'x' in contact.street",
            "`'x' in contact.street` cannot be computed: the value after `in` is null, or neither text nor list, at \
             line 1, column 1 (`| default('')` after the name gives an empty text instead of null)",
        ),
        (
            "{% if 'x' in contact.street %}a{% endif %}",
            "`if 'x' in contact.street` cannot be computed: the value after `in` is null, or neither text nor list, \
             at line 1, column 4 (`| default('')` after the name gives an empty text instead of null)",
        ),
        (
            "contact.Topics | upper",
            "needs a text, and was given a sequence, at line 1, column 18 (`| join(', ')` or `| json` makes a text of it)",
        ),
        (
            "{{ contact.firstName }}\n{{ contact.Nick }}",
            "`contact.Nick` is missing, at line 2, column 4 (`| default(none)` gives null if it is missing)",
        ),
        (
            "{% for t in contact.Topics %}{{ t.name }}{% endfor %}",
            "`t.name` is missing, at line 1, column 33 (`| default(none)` gives null if it is missing)",
        ),
    ] {
        assert_eq!(shown(text), message, "{text}");
        for value in ["Ada", "Nowak", "ada@", "rivers", "1234567"] {
            assert!(!shown(text).contains(value), "{text}: {}", shown(text));
        }
    }
}

#[test]
fn a_lookup_names_the_nearest_keys_of_its_table() {
    let regions = json!({ "DEU": "central", "POL": "east" });
    let tables = Tables::new(BTreeMap::from([(
        "regions".to_owned(),
        regions.as_object().unwrap().clone(),
    )]));
    let read = |text: &str| Expression::read(text, &tables);
    let error = read("contact.country | lookup('regions')")
        .unwrap()
        .eval(&scope())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the value is not in the lookup table \"regions\", at line 1, column 19 (did you mean DEU? \
         `default=…` gives a value for all others)"
    );
    let error = read("contact.country | lookup('region')").unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("did you mean regions?"));
}

#[test]
fn a_withdrawal_takes_missing_names_for_null() {
    let scope = Scope::new(&Record {
        kind: Kind::Withdrawal,
        ..bare()
    });
    for text in [
        "contact.Nickname",
        "fields.Nickname",
        "action.fields.why",
        "contact['Favourite colour'] | upper",
    ] {
        assert_eq!(eval_in(&scope, text).unwrap(), Value::Null, "{text}");
    }
    assert!(
        eval_in(&scope, "settings.lst").is_err(),
        "not the person's data, and a request without it may be a wrong one"
    );
}

#[test]
fn steps_and_sizes_are_limited() {
    let shown = |text: &str| match Term::read(&text.into()).and_then(|term| term.eval(&scope())) {
        Ok(value) => panic!("{text} gives {} bytes", value.to_string().len()),
        Err(error) => error.to_string(),
    };
    let loops = "{% for a in s %}".repeat(6).replace('s', "[1,2,3,4,5,6,7,8,9,0]")
        + "{{ 1 }}"
        + &"{% endfor %}".repeat(6);
    assert!(
        shown(&loops).starts_with("takes too many steps"),
        "{}",
        shown(&loops)
    );
    let long = format!(
        "{{% for a in [1,2,3,4,5,6,7,8,9] %}}{}{{% endfor %}}",
        "x".repeat(8_000)
    );
    assert!(
        shown(&long).starts_with("the text is too long"),
        "{}",
        shown(&long)
    );
    let replaced = "'aaaaaaaaaa' | replace('a', 'aaaaaaaaaaaaaaaa') | replace('a', 'aaaaaaaaaaaaaaaa') | replace('a', 'aaaaaaaaaaaaaaaa') | replace('a', 'aaaaaaaaaaaaaaaa')";
    assert!(
        shown(replaced).starts_with("the text is too long"),
        "{}",
        shown(replaced)
    );
    assert!(shown("contact.tags * 50000").contains("10000 values"));
    let deep = "[".repeat(40) + &"]".repeat(40);
    assert!(shown(&deep).contains("more than 32 deep"), "{}", shown(&deep));
}
