use super::*;

const ADA: &str = "h3CPBYrUgfNGdTclEdyiKg7TLtJ4KJD8VuQ0HRUPBpE";

#[test]
fn a_supporter_is_accepted_once_and_a_rejection_stays() {
    let mut proca = Proca::default();
    proca.add(101, ADA);
    assert_eq!(proca.accept(101), Ok(()));
    assert_eq!(proca.status(101), (Status::Accepted, Status::Delivered));
    assert_eq!(proca.accept(101), Ok(()), "the same answer again");
    proca.reject(101);
    assert_eq!(proca.status(101), (Status::Rejected, Status::Rejected));
    assert_eq!(proca.accept(101), Err("supporter data already rejected"));
}

#[test]
fn the_link_of_a_supporter_does_not_accept_a_moderated_action() {
    let mut proca = Proca::default();
    proca.add_moderated(101, ADA);
    let none = BTreeMap::new();
    let reply = proca.supporter("101", "accept", ADA, &none);
    assert_eq!((reply.code(), reply.content()), (200, &b"SUCCESS"[..]));
    assert_eq!(proca.status(101), (Status::Accepted, Status::Confirming));
    proca.add_code("4711", 101);
    assert_eq!(proca.confirm("accept", "4711", &none).code(), 302);
    assert_eq!(proca.status(101).1, Status::Accepted);
    let reply = proca.confirm("accept", "4711", &none);
    assert_eq!((reply.code(), reply.content()), (400, &b"expired"[..]));
}

#[test]
fn a_click_counts_although_the_link_fails_and_a_rejection_takes_it_back() {
    let mut proca = Proca::default();
    proca.add(101, ADA);
    proca.reject(101);
    let doi = BTreeMap::from([("doi".to_owned(), "1".to_owned())]);
    assert_eq!(proca.supporter("101", "accept", ADA, &doi).code(), 400);
    proca.reject(101);
    assert_eq!(
        proca.events,
        [(101, EmailStatus::DoubleOptIn), (101, EmailStatus::Unsub)]
    );
}

#[test]
fn links_that_are_wrong_are_refused_like_proca_does() {
    let mut proca = Proca::default();
    proca.add(101, ADA);
    for (action, verb, reference, code) in [
        ("101", "accept", "AAAA", 404),
        ("102", "accept", ADA, 404),
        ("x", "accept", ADA, 400),
        ("101", "maybe", ADA, 400),
        ("101", "accept", "%%", 400),
    ] {
        let reply = proca.supporter(action, verb, reference, &BTreeMap::new());
        assert_eq!(reply.code(), code, "{action} {verb} {reference}");
    }
    assert_eq!(proca.status(101), (Status::Confirming, Status::New));
}
