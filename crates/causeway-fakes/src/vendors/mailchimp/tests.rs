use super::*;

const ADA: &str = "ada@example.org";

#[test]
fn a_status_of_the_persons_own_making_is_a_compliance_state() {
    let mut mailchimp = Mailchimp::default();
    let now = mailchimp.clock.now();
    let list = mailchimp.list();
    list.sign_up(ADA, now);
    list.unsubscribe(ADA, now);
    assert!(list.members[&hash(ADA)].is_in_compliance_state);
    list.archive(ADA, now);
    assert!(list.members[&hash(ADA)].is_in_compliance_state);
    list.sign_up(ADA, now);
    assert!(!list.members[&hash(ADA)].is_in_compliance_state);
    assert_eq!(mailchimp.status(" Ada@Example.org"), Some(Status::Subscribed));
}

#[test]
fn an_id_is_the_md5_of_the_lower_case() {
    // As `md5sum` computes it.
    assert_eq!(hash("Ada@Example.org"), "5bfcf2d8e394674550332640d72db509");
}

#[test]
fn the_page_shows_what_the_account_has() {
    let mut mailchimp = Mailchimp::default();
    let now = mailchimp.clock.now();
    mailchimp.list().sign_up("<ada>@example.org", now);
    assert!(
        mailchimp
            .page()
            .contains("&lt;ada>@example.org</td><td>subscribed")
    );
}
