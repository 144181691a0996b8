use super::{attributes::phone, *};

const ADA: &str = "ada@example.org";

#[test]
fn a_telephone_number_has_a_country_code() {
    for (text, expected) in [
        ("+32 470 12 34 56", Some("32470123456")),
        ("0032470123456", Some("32470123456")),
        ("32470123456", Some("32470123456")),
        ("0470 12 34 56", None),
        ("unknown", None),
    ] {
        assert_eq!(phone(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn an_unsubscription_is_of_one_list_or_of_all() {
    let mut brevo = Brevo::default();
    let list = brevo.add_list("News");
    let now = brevo.clock.now();
    let mut contact = Contact::new(9, now);
    contact.email = Some(ADA.to_owned());
    contact.lists.insert(list);
    brevo.contacts.insert(9, contact);
    assert!(brevo.contact(ADA).is_mailed(list));
    brevo.unsubscribe(ADA, Some(list));
    assert!(!brevo.contact(ADA).is_mailed(list) && !brevo.contact(ADA).is_blocked);
    brevo.unsubscribe(ADA, None);
    assert!(brevo.contact(ADA).is_blocked);
    assert!(brevo.page().contains("ada@example.org</td><td>blocked"));
}
