use serde_json::{Value, json};

use super::*;

fn field(value: Value, second: i64, arrival: i64) -> Field {
    Field {
        arrival,
        ..Field::new(value, Timestamp::from_second(second).unwrap())
    }
}

fn joined(order: &[&Field]) -> Field {
    let mut contact = Contact::default();
    for field in order {
        contact.set_field("it", (*field).clone());
    }
    contact.fields["it"].clone()
}

/// Checks that all orders of three fields, and of two contacts that hold a part each, give the same result.
fn is_a_join(fields: &[Field; 3]) -> Field {
    let [a, b, c] = fields;
    let first = joined(&[a, b, c]);
    for order in [[a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]] {
        assert_eq!(joined(&order), first, "{order:?}");
    }
    let knows = |field: &Field| Contact {
        fields: [("it".to_owned(), field.clone())].into(),
        ..Contact::default()
    };
    for (one, two, three) in [(a, b, c), (c, b, a), (b, a, c)] {
        let mut pair = knows(two);
        pair.join(knows(three));
        let mut all = knows(one);
        all.join(pair);
        assert_eq!(all.fields["it"], first);
    }
    first
}

#[test]
fn a_cleared_field_is_null_with_its_time() {
    let cleared = field(Value::Null, 20, 2);
    let stays = is_a_join(&[
        field(json!("030 1"), 10, 3),
        cleared.clone(),
        field(json!("030 0"), 5, 1),
    ]);
    assert_eq!(stays, cleared, "an older value does not come back");
    let newer = is_a_join(&[
        field(json!("030 1"), 10, 3),
        cleared,
        field(json!("030 2"), 30, 1),
    ]);
    assert_eq!(newer.value, "030 2");
    let same_moment = is_a_join(&[
        field(json!("030 1"), 10, 1),
        field(Value::Null, 10, 2),
        field(json!("030 3"), 10, 3),
    ]);
    assert_eq!(
        same_moment.value, "030 3",
        "at the same time the later arrival wins"
    );
}

#[test]
fn a_field_that_was_a_list_stays_one_in_any_order() {
    let list = field(json!(["bees", "rivers"]), 10, 1);
    let one = is_a_join(&[
        list.clone(),
        field(json!("bees"), 20, 2),
        field(json!("trees"), 5, 3),
    ]);
    assert_eq!(one.value, json!(["bees"]));
    let after = is_a_join(&[list.clone(), field(Value::Null, 20, 2), field(json!(7), 30, 3)]);
    assert_eq!(after.value, json!([7]), "also after an empty value");
    let empty = is_a_join(&[list.clone(), field(Value::Null, 20, 2), field(json!("x"), 1, 3)]);
    assert_eq!(empty.value, Value::Null);
    // Within one message, a list of one value ranks like the value.
    let tie = is_a_join(&[
        field(json!([1]), 10, 1),
        field(json!(12), 10, 1),
        field(json!([3]), 10, 1),
    ]);
    assert_eq!(tie.value, json!([3]));
    let text: Field = serde_json::from_value(serde_json::to_value(&empty).unwrap()).unwrap();
    assert_eq!(text, empty, "it survives the store");
}

#[test]
fn a_declared_field_becomes_a_list_at_once_and_an_address_is_never_cleared() {
    let at = Timestamp::from_second(1).unwrap();
    let fields = BTreeMap::from([
        ("Topics".to_owned(), json!("bees")),
        ("city".to_owned(), json!("Brno")),
    ]);
    let mut contact = Contact::default();
    contact.take_fields(&fields, at, 1);
    assert!(contact.hold_several(fields.keys(), &BTreeSet::from(["Topics".to_owned()])));
    assert_eq!(contact.fields["Topics"].value, json!(["bees"]));
    assert_eq!(contact.fields["city"].value, "Brno");
    assert_eq!(
        contact.put("Topics", json!("rivers"), at),
        Some(Some(json!(["bees"])))
    );
    assert_eq!(
        contact.fields["Topics"].value,
        json!(["rivers"]),
        "a value set by an automation"
    );

    contact.set_fields(
        &BTreeMap::from([("email".to_owned(), json!("ada@example.org"))]),
        at,
    );
    let later = Timestamp::from_second(9).unwrap();
    contact.set_fields(&BTreeMap::from([("email".to_owned(), Value::Null)]), later);
    assert_eq!(contact.address().as_deref(), Some("ada@example.org"));
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

/// Checked in every order.
#[test]
fn a_value_with_lost_letters_never_replaces_a_whole_one() {
    let first_name = |value: Value| BTreeMap::from([("firstName".to_owned(), value)]);
    let (whole, broken) = (first_name(json!("Zoë")), first_name(json!("Zo\u{fffd}")));
    let mut late = Contact::default();
    assert!(late.take_fields(&whole, at(0), 1));
    assert!(!late.take_fields(&broken, at(9), 2));
    let mut early = Contact::default();
    assert!(early.take_fields(&broken, at(9), 2));
    assert_eq!(early.text("firstName"), Some("Zo\u{fffd}"), "better than nothing");
    assert!(early.take_fields(&whole, at(0), 1));
    assert_eq!(early, late);
    assert_eq!(early.text("firstName"), Some("Zoë"));
    let object = first_name(json!({ "full": ["Zo\u{fffd}"] }));
    assert!(!early.take_fields(&object, at(15), 3), "nor does an object");
    let list = first_name(json!(["a\u{fffd}"]));
    assert!(early.take_fields(&list, at(20), 3));
    assert_eq!(
        early.fields["firstName"].value,
        json!(["Zoë"]),
        "only its becoming a list is news"
    );
}

#[test]
fn a_number_is_compared_by_its_digits() {
    let id = |number: &str| Identity::phone("shop", number).map(|id| id.value().to_owned());
    for (number, digits) in [
        ("+49 (30) 123-456", Some("+4930123456")),
        (" 030/123456 ", Some("030123456")),
        ("12345", None),
        ("123456", Some("123456")),
        ("000000", None),
        ("ext. none", None),
    ] {
        assert_eq!(id(number).as_deref(), digits, "{number}");
    }
    assert_eq!(
        Identity::phone("shop", "030123456").unwrap().namespace(),
        "shop:phone"
    );
}

#[test]
fn addresses_and_visitors_are_no_ids_of_a_contact() {
    let address = Identity::Email {
        address: "ada@example.org".to_owned(),
    };
    let reference = Identity::ContactRef {
        namespace: "proca".into(),
        reference: "ref-1".to_owned(),
    };
    let id = Identity::ForeignId {
        namespace: "shop".into(),
        id: "7".to_owned(),
    };
    let visitor = Identity::visitor("shop", "7".to_owned());
    let all = [address, reference, id, visitor];
    assert_eq!(
        all.clone().map(|one| one.is_of_contact()),
        [false, true, true, false]
    );
    assert_eq!(all.map(|one| one.is_visitor()), [false, false, false, true]);
}

/// A document of the store, and what a reader of the JSON is shown.
#[test]
fn what_is_not_known_is_not_written() {
    let mut contact = Contact::default();
    let text = |contact: &Contact| serde_json::to_string(contact).unwrap();
    assert_eq!(text(&contact), r#"{"fields":{},"consent":{},"gave_data":false}"#);
    contact.set_field("city", field(json!("Brno"), 1, 0));
    contact.points = -1.5;
    assert_eq!(
        text(&contact),
        r#"{"fields":{"city":{"v":"Brno","t":1000}},"consent":{},"gave_data":false,"points":-1.5}"#
    );
    contact.set_field("city", field(json!("Ulm"), 1, 4));
    assert!(text(&contact).contains(r#"{"v":"Ulm","t":1000,"n":4}"#));
}

#[test]
fn a_list_that_was_cleared_stays_a_list_and_only_the_first_time_is_news() {
    let declared = BTreeSet::from(["Topics".to_owned()]);
    let mut contact = Contact::default();
    contact.set_field("Topics", field(Value::Null, 1, 1));
    assert!(contact.hold_several(declared.iter(), &declared));
    assert!(!contact.hold_several(declared.iter(), &declared));
    let at = Timestamp::from_second(2).unwrap();
    assert_eq!(
        contact.put("Topics", json!(["bees"]), at),
        Some(Some(Value::Null))
    );
    // A value that is a list says so by itself: equal fields are equal.
    assert_eq!(
        contact.fields["Topics"],
        Field {
            arrival: 1,
            ..Field::new(json!(["bees"]), at)
        }
    );
    assert_eq!(
        contact.put("Topics", Value::Null, at),
        Some(Some(json!(["bees"])))
    );
    assert_eq!(
        contact.put("Topics", json!("rivers"), at),
        Some(Some(Value::Null))
    );
    assert_eq!(contact.fields["Topics"].value, json!(["rivers"]));
}

#[test]
fn one_value_with_lost_letters_spoils_a_list_and_an_object() {
    let said = |value: Value| BTreeMap::from([("names".to_owned(), value)]);
    for broken in [
        json!(["Zo\u{fffd}", "Ada"]),
        json!({ "a": "Zo\u{fffd}", "b": "Ada" }),
    ] {
        let mut contact = Contact::default();
        contact.take_fields(&said(json!(["Ben"])), at(0), 1);
        contact.take_fields(&said(broken), at(9), 2);
        assert_eq!(contact.fields["names"].value, json!(["Ben"]));
    }
}

#[test]
fn news_of_one_field_is_news_whatever_follows_it() {
    let said = |city: &str| BTreeMap::from([("a".to_owned(), json!(city)), ("b".to_owned(), json!("x"))]);
    let mut contact = Contact::default();
    assert!(contact.set_fields(&said("Brno"), at(0)));
    assert!(contact.set_fields(&BTreeMap::from([("b".to_owned(), json!("x"))]), at(5)));
    assert!(contact.set_fields(&said("Ulm"), at(3)), "`b` is newer already");
    assert!(!contact.set_fields(&said("Ulm"), at(3)));

    let names = ["a", "b", "unknown"].map(str::to_owned);
    let mut contact = Contact::default();
    contact.set_fields(&said("Brno"), at(0));
    assert!(!contact.hold_several(names.iter(), &BTreeSet::from(["unknown".to_owned()])));
    assert!(contact.hold_several(names[1..].iter(), &BTreeSet::from(names.clone())));
    assert!(contact.hold_several(names.iter(), &BTreeSet::from(names.clone())));
    assert!(!contact.hold_several(names.iter(), &BTreeSet::from(names.clone())));
}

#[test]
fn a_value_of_a_rule_wins_at_the_same_time_and_is_news_only_if_it_differs() {
    let mut contact = Contact::default();
    assert_eq!(contact.put("city", json!("Brno"), at(5)), Some(None));
    assert_eq!(contact.put("city", json!("Ulm"), at(4)), None);
    assert_eq!(contact.text("city"), Some("Brno"), "the rule's event is older");
    assert_eq!(
        contact.put("city", json!("Ulm"), at(5)),
        Some(Some(json!("Brno")))
    );
    assert_eq!(contact.put("city", json!("Ulm"), at(9)), None);
    assert_eq!(
        contact.fields["city"].at,
        at(9),
        "an older message cannot undo it"
    );

    let object = json!({ "street": "Main" });
    contact.put("places", json!(["home"]), at(5));
    contact.put("places", object.clone(), at(6));
    assert_eq!(contact.fields["places"].value, object);
}

#[test]
fn removing_a_tag_is_news_only_if_the_contact_has_it() {
    let mut contact = Contact::default();
    assert_eq!(contact.set_tag("vip", false, at(1)), None);
    assert_eq!(contact.set_tag("vip", true, at(2)), Some(Some(json!(false))));
    assert_eq!(contact.set_tag("vip", false, at(3)), Some(Some(json!(true))));
    assert_eq!(contact.set_tag("new", true, at(1)), Some(None));
}

#[test]
fn an_address_is_noted_for_each_id_of_the_contact_and_for_no_visitor() {
    let id = |id: &str| Identity::ForeignId {
        namespace: "shop".into(),
        id: id.to_owned(),
    };
    let address = Identity::Email {
        address: "ada@example.org".to_owned(),
    };
    let visitor = Identity::visitor("shop", "7".to_owned());
    let mut contact = Contact::default();
    assert!(!contact.add_address_of(&[address, visitor], "ada@example.org", at(0)));
    assert!(contact.ids.is_empty(), "{:?}", contact.ids);
    assert!(contact.add_address_of(&[id("2")], "ada@example.org", at(0)));
    assert!(contact.add_address_of(&[id("1"), id("2")], "ada@example.org", at(0)));
    assert!(!contact.add_address_of(&[id("1"), id("2")], "ada@example.org", at(0)));

    // A fact about the address of an id is about the addresses that came with the id.
    contact.add_address("ada@example.org", at(0));
    contact.add_address("ben@example.org", at(0));
    let mut fact = ConsentFact::new(EMAIL, crate::consent::What::Bounced, at(5), "a test");
    fact.address = Some(of_id(&id("1")));
    assert_eq!(contact.addresses_of(&fact), [Name::from("ada@example.org")]);
}

/// A contact that knows one thing of each sort.
fn knows_all() -> Contact {
    let mut contact = Contact::default();
    contact.set_fields(&BTreeMap::from([("city".to_owned(), json!("Brno"))]), at(5));
    contact
        .consent
        .entry(EMAIL.to_owned())
        .or_default()
        .add(&crate::consent::What::OptIn, at(5), None);
    contact.add_address("ada@example.org", at(5));
    let id = Identity::ForeignId {
        namespace: "shop".into(),
        id: "1".to_owned(),
    };
    contact.add_address_of(&[id], "ada@example.org", at(5));
    contact.gave_data = true;
    contact.ran.insert("welcome".into(), at(5));
    contact.points = 5.0;
    contact
}

#[test]
fn a_merge_reports_news_of_each_sort_whatever_else_is_known() {
    let all = knows_all();
    let mut same = all.clone();
    assert!(!same.join(all.clone()));
    let without: [fn(&mut Contact); 5] = [
        |contact| contact.fields.clear(),
        |contact| contact.consent.clear(),
        |contact| contact.addresses.clear(),
        |contact| contact.ids.clear(),
        |contact| contact.gave_data = false,
    ];
    for (number, remove) in without.iter().enumerate() {
        let mut one = all.clone();
        remove(&mut one);
        assert!(one.join(all.clone()), "the other knows more: {number}");
        assert_eq!(one, all, "{number}");
    }
}

#[test]
fn a_merge_keeps_the_first_run_and_the_most_points() {
    for (first, second) in [(3, 9), (9, 3)] {
        let of = |second: i64, points| Contact {
            ran: [("welcome".into(), at(second))].into(),
            points,
            ..Contact::default()
        };
        let mut contact = of(first, 1.0);
        contact.join(of(second, 2.0));
        assert_eq!(contact, of(3, 2.0));
        contact.join(of(second, 1.0));
        assert_eq!(contact, of(3, 2.0));
    }
}

#[test]
fn tags_and_lists_are_no_other_fields() {
    let mut contact = Contact::default();
    contact.set_tag("vip", true, at(1));
    contact.set_tag("old", false, at(1));
    for (name, value) in [("list:news", true), ("list:gone", false), ("zip", true)] {
        contact.put(name, json!(value), at(1));
    }
    assert_eq!(contact.tags().collect::<Vec<_>>(), ["vip"]);
    assert_eq!(contact.lists().collect::<Vec<_>>(), ["news"]);
}

#[test]
fn the_numbers_of_list_fields_are_joined_whatever_the_order() {
    let name = format!("{LIST_FIELD_IDS}platform");
    let sent = [
        json!({ "Colour": "9", "Shoe Size": "10" }),
        json!({ "Colour": "9" }),
        json!({ "Colour": "11", "City": "12" }),
    ];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut contact = Contact::default();
        for number in order {
            let at = Timestamp::from_second(i64::try_from(number).unwrap()).unwrap();
            contact.set_fields(&[(name.clone(), sent[number].clone())].into(), at);
        }
        assert_eq!(
            contact.fields[&name].value,
            json!({ "Colour": "11", "Shoe Size": "10", "City": "12" }),
            "{order:?}"
        );
    }
}

#[test]
fn numbers_of_list_fields_are_news_once_and_keep_the_newest_time() {
    let name = format!("{LIST_FIELD_IDS}platform");
    let mut contact = Contact::default();
    let mut set = |numbers: &Value, second| {
        let is_news = contact.set_fields(&[(name.clone(), numbers.clone())].into(), at(second));
        (is_news, contact.fields[&name].at)
    };
    let both = json!({ "Colour": "9", "Shoe Size": "10" });
    assert_eq!(set(&both, 5), (true, at(5)));
    assert_eq!(set(&both, 5), (false, at(5)), "the same again");
    assert_eq!(set(&json!({ "Colour": "9" }), 3), (false, at(5)), "an older one");
    assert_eq!(
        set(&json!({ "City": "11" }), 3),
        (true, at(5)),
        "an older one with news"
    );
    assert_eq!(set(&json!({ "Colour": "9" }), 6), (true, at(6)), "a newer one");
}
