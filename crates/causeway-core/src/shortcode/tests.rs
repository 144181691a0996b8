use jiff::tz::TimeZone;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    contact::{Contact, Identity},
    delivery::Kind,
    id::{ContactId, InboxId},
    record::Record,
};

fn record(fields: &Value) -> Record {
    let fields = fields.as_object().unwrap().clone().into_iter().collect();
    let mut contact = Contact {
        id: Some(ContactId(8)),
        ..Contact::default()
    };
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    contact.set_fields(&fields, at);
    Record {
        workspace: "default".into(),
        source: "platform".into(),
        inbox_id: InboxId(1),
        kind: Kind::Record,
        event: "contact_sync".to_owned(),
        event_at: at,
        contact,
        identities: vec![Identity::ForeignId {
            namespace: "platform".into(),
            id: "8812".to_owned(),
        }],
        action: None,
        campaign: None,
        page: None,
        consent_state: BTreeMap::new(),
        purpose: "email".into(),
        change: crate::consent::Change::None,
        lead: crate::automation::Lead::default(),
        engagements: Vec::new(),
        settings: serde_json::Map::new(),
        via: Vec::new(),
    }
}

fn person() -> Record {
    record(&json!({
        "email": "john.doe@example.com", "firstName": "anna maria", "lastName": "o'NEILL", "birthDate": "1990-04-01",
        "Favourite colour": "blue & green", "UPPER LIMIT": "9", "Industry/Vertical": "water", "Member since": "23-03-2022 05:13 PM",
        "score": 12.5, "member": true, "interests": ["a", "b"], "blank": " ", "odd date": "soon", "padded": "  x ", "joined": "1714739400",
        "list_field_ids:platform": { "firstName": "125", "Shoe size": "126" },
    }))
}

fn expand_as(template: &str, record: &Record, rules: &Rules, place: Place) -> Result<String, ExpandError> {
    expand(
        &parse(template),
        &Names::new(record, rules),
        place,
        &mut Report::new(&mut Omissions::of(record)),
    )
}

fn plain(template: &str) -> String {
    expand_as(template, &person(), &Rules::default(), Place::Plain).unwrap()
}

#[test]
fn the_documented_examples_give_the_documented_results() {
    for (template, expected) in [
        ("[#EMAIL#]", "john.doe@example.com"),
        ("[#PROPER EMAIL#]", "John.Doe@Example.Com"),
        ("[#PROPER EMAIL/2#]", "Jo"),
        ("[#UPPER EMAIL/1#]", "J"),
        // Names in different spellings.
        ("[#FIRSTNAME#]", "anna maria"),
        ("[# First_Name #]", "anna maria"),
        ("[#first-name#]", "anna maria"),
        ("[#Given name#]", "anna maria"),
        ("[#SURNAME#]", "o'NEILL"),
        ("[#favourite-Colour#]", "blue & green"),
        ("[#FIELD 125#]", "anna maria"),
        ("[#125#]", "anna maria"),
        ("[#PROPER FIELD 125/1#]", "A"),
        ("[#ID#]", "8812"),
        ("[#PROFILE URL#]", ""),
        ("[#NAME#]", "anna maria o'NEILL"),
        // Fields whose names look like something else.
        ("[#UPPER LIMIT#]", "9"),
        ("[#Industry/Vertical#]", "water"),
        // Functions; the one nearest to the name is applied first.
        ("[#PROPER LAST NAME#]", "O'neill"),
        ("[#UPPER LAST NAME#] [#LOWER LAST NAME#]", "O'NEILL o'neill"),
        ("[#TRIM padded#]", "x"),
        ("[#URL Favourite colour#]", "blue%20%26%20green"),
        ("[#UPPER MD5 EMAIL#]", "8EB1B522F60D11FA897DE1DC6351B7E8"),
        (
            "[#SHA256 UPPER EMAIL#]",
            "836f82db99121b3481011f16b49dfa5fbc714a0d1b1b9f784a1ebbbf5b39577f",
        ),
        ("[#proper First Name#]", "Anna Maria"),
        // Values of other types.
        ("[#score#] [#member#] [#interests#]", "12.5 1 a,b"),
        // Arguments.
        ("[#FIRST NAME/0#]", ""),
        ("[#FIRST NAME/99999999999999999999999#]", "anna maria"),
        ("[#FIRST NAME/6-8#]", "mar"),
        ("[#FIRST NAME/6-2#]", ""),
        ("[#FIRST NAME/0-4#]", "anna"),
        ("[#Shoe size/unknown#]", "unknown"),
        ("[#Shoe size/a/b#]", "a/b"),
        ("[#Shoe size/\"2\"#]", "2"),
        ("[#Shoe size/2#]", ""),
        ("[#blank/there#]", "there"),
        ("[#MD5 blank/none#]", "none"),
        ("[#FIRST NAME/there#]", "anna maria"),
        ("[#FIRST NAME / 4 #]", "anna"),
        // Dates.
        ("[#DATE BIRTH DATE/d/m/Y#]", "01/04/1990"),
        ("[#DATE Member since#]", "2022-03-23"),
        ("[#DATE Member since/Y-m-d H:i#]", "2022-03-23 17:13"),
        ("[#UPPER DATE BIRTH DATE/M#]", "APR"),
        ("[#DATE joined#]", "2024-05-03"),
        ("[#DATE odd date#]", ""),
        ("[#DATE odd date/\"no date\"#]", "no date"),
        // Fields that this contact does not have, and texts that are no shortcode.
        ("<[#NO SUCH FIELD#]>", "<>"),
        ("<[#REVERSE EMAIL#]>", "<>"),
        ("<[#NO SUCH FIELD/none#]>", "<none>"),
        ("[##][# #][#a\nb#] [#EMAIL", "[##][# #][#a\nb#] [#EMAIL"),
        ("[#x [#EMAIL#]", "[#x john.doe@example.com"),
        ("[EMAIL] #]", "[EMAIL] #]"),
    ] {
        assert_eq!(plain(template), expected, "{template}");
    }
}

#[test]
fn the_contacts_own_address_and_number_win_over_list_fields_with_these_names() {
    let fields = json!({
        "email": "ann@example.org", "Email": "other@example.org", "E-mail": "third@example.org", "phone": "+4930123456",
        "Phone": "555", "Street": "Main Street", "street": " ",
        "list_field_ids:platform": { "Email": "125", "Phone": "126" },
    });
    for (template, expected) in [
        ("[#EMAIL#]", "ann@example.org"),
        ("[#Email#]", "ann@example.org"),
        ("[#E-mail#]", "ann@example.org"),
        ("[#EMAIL ADDRESS#]", "ann@example.org"),
        ("[#PHONE#]", "+4930123456"),
        ("[#Phone#]", "+4930123456"),
        ("[#Street#]", "Main Street"),
        ("[#FIELD 125#]", "other@example.org"),
        ("[#126#]", "555"),
    ] {
        let given = expand_as(template, &record(&fields), &Rules::default(), Place::Plain).unwrap();
        assert_eq!(given, expected, "{template}");
    }
    // A contact without an address.
    let only = record(&json!({ "Email": "other@example.org" }));
    let given = expand_as("[#EMAIL#]", &only, &Rules::default(), Place::Plain).unwrap();
    assert_eq!(given, "other@example.org");
}

#[test]
fn a_slash_can_be_made_to_mean_words() {
    let rules = Rules {
        slash: Slash::Word,
        ..Rules::default()
    };
    for (template, expected) in [
        ("[#PROPER EMAIL/2#]", "Doe"),
        ("[#FIRST NAME/2#]", "maria"),
        ("[#FIRST NAME/3#]", ""),
        ("[#FIRST NAME/1-2#]", "anna maria"),
        ("[#FIRST NAME/0#]", ""),
        ("[#LAST NAME/1#]", "o'NEILL"),
        ("[#blank/\"1\"#]", "1"),
    ] {
        assert_eq!(
            expand_as(template, &person(), &rules, Place::Plain).unwrap(),
            expected,
            "{template}"
        );
    }
}

#[test]
fn dates_are_read_and_printed_in_the_configured_zone() {
    let rules = Rules {
        zone: TimeZone::get("Europe/Berlin").unwrap(),
        ..Rules::default()
    };
    let printed = expand_as("[#DATE Member since/c#]", &person(), &rules, Place::Plain);
    assert_eq!(printed.unwrap(), "2022-03-23T17:13:00+01:00");
}

#[test]
fn an_unknown_name_stops_a_strict_template_and_a_lenient_one_reports_it() {
    let strict = Rules {
        unknown: Unknown::Strict,
        ..Rules::default()
    };
    for (template, message) in [
        (
            "[#SHOO SIZE#]",
            "the shortcode [#SHOO SIZE#] matches no value of this contact (did you mean Shoe size?)",
        ),
        (
            "[#PROPER FIRST NAMES/2#]",
            "the shortcode [#PROPER FIRST NAMES/2#] matches no value of this contact (did you mean firstName?)",
        ),
        (
            "[#XYZZY#]",
            "the shortcode [#XYZZY#] matches no value of this contact (with /TEXT after the name, TEXT is used \
             instead)",
        ),
    ] {
        let error = expand_as(template, &person(), &strict, Place::Plain).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    // An explicit text for a missing value is enough.
    assert_eq!(
        expand_as("[#SHOE COLOUR/black#]", &person(), &strict, Place::Plain).unwrap(),
        "black"
    );
    // The field is known, but this contact has no value in it.
    assert_eq!(
        expand_as("[#Shoe size#]", &person(), &strict, Place::Plain).unwrap(),
        ""
    );

    let (record, rules) = (person(), Rules::default());
    let names = Names::new(&record, &rules);
    let mut omissions = Omissions::of(&record);
    let mut report = Report::new(&mut omissions);
    expand(&parse("[#A#][#EMAIL#][#B/x#]"), &names, Place::Plain, &mut report).unwrap();
    assert_eq!(report.unknown.into_iter().collect::<Vec<_>>(), ["A", "B/x"]);
}

#[test]
fn configured_numbers_name_fields_and_override_the_platforms() {
    let rules = Rules {
        field_ids: BTreeMap::from([("lastName".to_owned(), "125".to_owned())]),
        ..Rules::default()
    };
    assert_eq!(
        expand_as("[#FIELD 125#]", &person(), &rules, Place::Plain).unwrap(),
        "o'NEILL"
    );
}

#[test]
fn proper_makes_the_first_letter_of_each_word_a_capital() {
    for (text, expected) in [
        ("ANNA-MARIA", "Anna-Maria"),
        ("d’artagnan 3rd", "D’artagnan 3Rd"),
        ("ßa ǆb élan", "Ssa ǅb Élan"),
        ("e\u{301}lan", "E\u{301}lan"),
        ("李 明", "李 明"),
    ] {
        let record = record(&json!({ "x": text }));
        let made = expand_as("[#PROPER x#]", &record, &Rules::default(), Place::Plain);
        assert_eq!(made.unwrap(), expected);
    }
}

#[test]
fn characters_are_never_split() {
    let record = record(&json!({ "x": "žluťoučký 😀 kůň" }));
    let made = expand_as("[#x/2#]|[#x/11-11#]", &record, &Rules::default(), Place::Plain);
    assert_eq!(made.unwrap(), "žl|😀");
}

#[test]
fn an_address_is_filled_before_it_is_parsed() {
    let record = record(&json!({ "x": "a&b #+% é/?=", "y": "..", "z": "" }));
    let rules = Rules::default();
    let names = Names::new(&record, &rules);
    let url = |template: &str| {
        expand_url(
            &parse(template),
            &names,
            &mut Report::new(&mut Omissions::of(&record)),
        )
    };
    let encoded = "a%26b%20%23%2B%25%20%C3%A9%2F%3F%3D";
    assert_eq!(
        url("https://h.example.org/p/[#x#]?a=[#x#]&b=1#[#x#]").unwrap(),
        format!("https://h.example.org/p/{encoded}?a={encoded}&b=1#{encoded}")
    );
    assert_eq!(
        url("https://h.example.org/?y=[#y#]").unwrap(),
        "https://h.example.org/?y=.."
    );
    for template in [
        "https://h.example.org/a/[#y#]/b",
        "https://h.example.org/a/[#x/0#].%2e",
    ] {
        let error = url(template).unwrap_err();
        assert!(matches!(error, ExpandError::Value { .. }), "{template}: {error}");
    }
}

#[test]
fn a_header_takes_no_line_break() {
    for (value, fine) in [
        ("Zoë", true),
        ("a\tb", true),
        ("a\r\nX-Admin: 1", false),
        ("a\0", false),
    ] {
        let record = record(&json!({ "x": value }));
        let made = expand_as("[#x#]", &record, &Rules::default(), Place::Header);
        assert_eq!(made.is_ok(), fine, "{value:?}");
        // The reason does not repeat the value.
        assert!(
            made.err()
                .is_none_or(|error| !error.to_string().contains("Admin"))
        );
    }
}

#[test]
fn no_field_replaces_a_reserved_name() {
    let mut record = record(&json!({
        "email": "ann@example.org", "CHANGE": "subscribe", "change": "subscribe", "type": "record", "Type": "gold",
        "UPPER CHANGE": "SUBSCRIBE", "CHANGE/none": "x", "UPPER EMAIL": "EVE@EXAMPLE.ORG", "Email": "eve@example.org",
        "SHA256 EMAIL": "0000", "ID": "1", "contact_id": "2", "Contact Ref": "3", "MEMBERSHIP TYPE": "gold",
    }));
    record.kind = Kind::Withdrawal;
    record.change = crate::consent::Change::Unsubscribe;
    for (template, expected) in [
        ("[#CHANGE#]", "unsubscribe"),
        ("[#Change/none#]", "unsubscribe"),
        ("[#UPPER CHANGE#]", "UNSUBSCRIBE"),
        ("[#TYPE#]", "withdrawal"),
        ("[#UPPER EMAIL#]", "ANN@EXAMPLE.ORG"),
        ("[#E-MAIL/3#]", "ann"),
        (
            "[#SHA256 EMAIL#]",
            "438c4c7afe600cdf1e455c369bec76dc970fc8ca463447c7b387a347f3c79331",
        ),
        ("[#ID#] [#CONTACT ID#]", "8812 8812"),
        ("[#CONTACT REF#]", ""),
        ("[#MEMBERSHIP TYPE#]", "gold"),
    ] {
        let given = expand_as(template, &record, &Rules::default(), Place::Plain).unwrap();
        assert_eq!(given, expected, "{template}");
    }
}

#[test]
fn a_template_says_an_opt_out_if_its_text_depends_on_it() {
    for (template, says_opt_out) in [
        ("[#CHANGE#]", true),
        ("[#change/none#]", true),
        ("[#MD5 UPPER Change#]", true),
        ("[#Type#]", true),
        ("[#TYPE/1#]", true),
        ("[#CHANGE/4#]", true),
        // The same text for subscribe and suppress.
        ("[#CHANGE/1#]", false),
        ("[#CHANGE/0#]", false),
        ("[#DATE CHANGE#]", false),
        ("[#ACTION TYPE#]", false),
        ("[#MEMBERSHIP TYPE#]", false),
        ("[#EXCHANGE#]", false),
        ("[#FIELD CHANGE#]", false),
        ("change type [CHANGE]", false),
        ("[#EMAIL/change#]", false),
    ] {
        let found = reads(&parse(template), &Rules::default()).consent.has("email");
        assert_eq!(found, says_opt_out, "{template}");
    }
}

#[test]
fn a_withdrawal_leaves_out_values_that_cannot_be_filled_in() {
    let mut record = record(&json!({ "email": "ann@example.org", "x": "a\r\nX-Admin: 1", "y": ".." }));
    record.kind = Kind::Withdrawal;
    let rules = Rules {
        unknown: Unknown::Strict,
        ..Rules::default()
    };
    let names = Names::new(&record, &rules);
    let made = |template: &str, place: Option<Place>| {
        let mut omissions = Omissions::of(&record);
        let mut report = Report::new(&mut omissions);
        let made = match place {
            Some(place) => expand(&parse(template), &names, place, &mut report),
            None => expand_url(&parse(template), &names, &mut report),
        };
        (made.unwrap(), omissions.finish())
    };
    let (header, notes) = made("<[#x#]> [#EMAIL#]", Some(Place::Header));
    assert_eq!(header, "<> ann@example.org");
    assert_eq!(
        notes.unwrap(),
        [
            "left out: the value of [#x#] holds a line break or another control character, which no header can carry"
        ]
    );
    let (url, notes) = made("https://h.example.org/[#y#]/[#SHOE#]?e=[#EMAIL#]", None);
    assert_eq!(url, "https://h.example.org//?e=ann%40example.org");
    assert_eq!(notes.unwrap().len(), 2);
    // An id that cannot be filled in does not identify the person.
    let mut dotted = record.clone();
    dotted.identities = vec![Identity::ForeignId {
        namespace: "platform".into(),
        id: "..".to_owned(),
    }];
    let names = Names::new(&dotted, &rules);
    let mut omissions = Omissions::of(&dotted);
    let url = parse("https://h.example.org/[#ID#]?c=[#CHANGE#]");
    assert_eq!(
        expand_url(&url, &names, &mut Report::new(&mut omissions)).unwrap(),
        "https://h.example.org/?c=none"
    );
    assert!(omissions.finish().is_err());
    // Without the address, nothing says who withdrew.
    let (_, notes) = made("<[#x#]>", Some(Place::Header));
    assert!(notes.unwrap_err().starts_with("the value of [#x#] holds"));
}

#[test]
fn probable_mistakes_are_reported() {
    for (template, says) in [
        ("https://h.example.org/?a=[#A#]¶m2=[#B#]", "&para"),
        ("https://h.example.org/?a=1&amp;b=2", "&amp;"),
        ("https://h.example.org/?a=[#A", "without its #]"),
        ("https://h.example.org/?a=A#]", "without its [#"),
        ("https://h.example.org/?a=[#UPER A#]", "did you mean UPPER?"),
        ("https://h.example.org/?a=[#PORPER A#]", "did you mean PROPER?"),
        (
            "https://h.example.org/?a=[#Capitalize A#]",
            "did you mean PROPER?",
        ),
        ("https://h.example.org/?a=[#UPPER URL A#]", "twice"),
        ("https://h.example.org/?a=[#A/“2”#]", "curly"),
        ("https://h.example.org/?a=[EMAIL]", "[EMAIL] is sent as it is"),
        (
            "https://h.example.org/[First Name]/?a=[#A#]",
            "[First Name] is sent",
        ),
        ("https://h.example.org/?a={email}", "{email} is sent as it is"),
        ("https://h.example.org/?a=%5B%23EMAIL%23%5D", "%5B%23"),
        ("https://h.example.org/?a=[%23EMAIL%23]&b=1", "%5B%23"),
        (
            "https://h.example.org/?a=%7B%7B%20contact.email%20%7D%7D",
            "%7B%7B",
        ),
        ("https://h.example.org/?a=#EMAIL#&b=1", "an address ends there"),
        ("https://h.example.org/?a=#EMAIL#", "an address ends there"),
        ("https://h.example.org/#/people?a=1", "an address ends there"),
        ("https://h.example.org/#/[#A#]", "an address ends there"),
    ] {
        let found = lint_url(template);
        assert_eq!(found.len(), 1, "{template}: {found:?}");
        assert!(found[0].contains(says), "{template}: {found:?}");
    }
    for template in [
        "https://h.example.org/?a=[#PROPER EMAIL/2#]&b=[#LOWER TRIM First Name#]&c=[#Upper limit#]",
        "https://h.example.org/#top",
        "https://h.example.org/?a=[#A#]#top",
        "https://[fd00::1]/?a[b]=[#A#]&c[]=1&d=%23e&f={\"g\":\"[#A#]\"}",
        "[#DATE BIRTH DATE/d/m/Y#]",
    ] {
        assert_eq!(lint_url(template), Vec::<String>::new(), "{template}");
    }
}

proptest! {
    #[test]
    fn any_value_arrives_unchanged(value in "\\PC{0,20}|\\[#(EMAIL|MD5 x)#\\]|[^\\x00-\\x1f]{1,8}") {
        let record = record(&json!({ "x": value, "email": "secret@example.org" }));
        let rules = Rules::default();
        let put_in = if value.trim().is_empty() { "" } else { value.as_str() };
        let made = expand_as("<[#x#]>", &record, &rules, Place::Plain).unwrap();
        prop_assert_eq!(made, format!("<{put_in}>"));
        let made = expand_as("<[#x#]>", &record, &rules, Place::Query).unwrap();
        let inner = made.strip_prefix('<').unwrap().strip_suffix('>').unwrap();
        prop_assert!(inner.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
        let query = format!("v={inner}");
        let read = crate::form::parse(query.as_bytes(), crate::form::Mode::StrictPhp { get: true }).unwrap();
        let sent = crate::form::Value::text(put_in);
        prop_assert_eq!(read.root.get(&crate::form::Key::new(b"v")), Some(&sent));
    }

    #[test]
    fn no_template_does_harm(template in "(\\PC|\\[#|#\\]|/|x|UPPER |DATE |FIELD |[0-9]|\"|-|\n){0,30}", value in "\\PC{0,12}") {
        let record = record(&json!({ "x": value, "1": "2" }));
        for slash in [Slash::Take, Slash::Word] {
            let rules = Rules { slash, ..Rules::default() };
            expand_as(&template, &record, &rules, Place::Plain).unwrap();
        }
        lint_url(&template);
        let pieces = parse(&template);
        if !has_codes(&pieces) {
            prop_assert_eq!(plain(&template), template);
        }
    }
}
