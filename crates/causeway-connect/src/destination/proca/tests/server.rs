//! Against a server that behaves like Proca's. Proca publishes no client for these links; the fake follows its source.

use causeway_testkit::vendors::{
    FakeVendor,
    proca::{EmailStatus, Proca as Server, Status},
};

use super::*;

async fn server(set_up: impl FnOnce(&mut Server)) -> FakeVendor<Server> {
    let mut server = Server::default();
    set_up(&mut server);
    FakeVendor::start(server).await
}

const OTHER: &str = "9juzkLLiDkXuSeyru2BqBKPhtFZK12PL3_JLGmIqX0E";

#[tokio::test]
async fn supporters_are_accepted_and_rejected_and_nobody_is_opted_in() {
    let server = server(|server| {
        server.add(1, REFERENCE);
        server.add(2, REFERENCE);
        server.add(3, OTHER);
    })
    .await;
    let proca = connect(
        &server.url(),
        "accept = \"action.id != '2'\"\nreject = \"action.id == '2'\"",
    );
    proca.check().await.unwrap();
    let mut results = Vec::new();
    for number in 1..=3 {
        results.extend(proca.deliver(&[supporter(number)]).await);
    }
    assert_eq!(
        outcomes(&results),
        ["delivered", "delivered", "reject"],
        "{results:?}"
    );
    server.with(|server| {
        assert_eq!(server.status(1), (Status::Accepted, Status::Delivered));
        assert_eq!(server.status(2), (Status::Rejected, Status::Rejected));
        assert_eq!(
            server.status(3),
            (Status::Confirming, Status::New),
            "another person's"
        );
        assert!(server.events.is_empty(), "{:?}", server.events);
    });
}

#[tokio::test]
async fn a_lost_answer_changes_nothing_and_an_early_call_is_repeated() {
    let server = server(|server| {
        server.add(1, REFERENCE);
        server.add(2, REFERENCE);
        server.actions.get_mut(&2).unwrap().supporter = Status::New;
        server.loses_answers = 1;
    })
    .await;
    let proca = connect(&server.url(), "accept = 'true'");
    assert_eq!(outcomes(&proca.deliver(&[supporter(1)]).await), ["retry"]);
    assert_eq!(outcomes(&proca.deliver(&[supporter(1)]).await), ["delivered"]);
    assert_eq!(outcomes(&proca.deliver(&[supporter(2)]).await), ["retry"]);
    server.with(|server| server.actions.get_mut(&2).unwrap().supporter = Status::Confirming);
    assert_eq!(outcomes(&proca.deliver(&[supporter(2)]).await), ["delivered"]);
}

#[tokio::test]
async fn whoever_was_rejected_in_the_meantime_stays_rejected() {
    let server = server(|server| server.add(1, REFERENCE)).await;
    let rejects = connect(&server.url(), "reject = 'true'");
    assert_eq!(outcomes(&rejects.deliver(&[supporter(1)]).await), ["delivered"]);
    assert_eq!(
        outcomes(&rejects.deliver(&[supporter(1)]).await),
        ["delivered"],
        "again"
    );
    let accepts = connect(&server.url(), "accept = 'true'");
    assert_eq!(outcomes(&accepts.deliver(&[supporter(1)]).await), ["skip"]);
    server.with(|server| assert_eq!(server.status(1), (Status::Rejected, Status::Rejected)));
}

#[tokio::test]
async fn moderated_actions_are_decided_by_their_codes_once() {
    let server = server(|server| {
        server.add_moderated(1, REFERENCE);
        server.add_moderated(2, REFERENCE);
        server.add_code("1", 1);
        server.add_code("2", 2);
        server.actions.get_mut(&2).unwrap().email = EmailStatus::DoubleOptIn;
        server.loses_answers = 1;
    })
    .await;
    let code = "code = 'action.id'\n";
    let accepts = connect(&server.url(), &format!("{code}accept = 'true'"));
    assert_eq!(outcomes(&accepts.deliver(&[moderated(1)]).await), ["retry"]);
    assert_eq!(
        outcomes(&accepts.deliver(&[moderated(1)]).await),
        ["skip"],
        "used"
    );
    let rejects = connect(&server.url(), &format!("{code}reject = 'true'"));
    assert_eq!(outcomes(&rejects.deliver(&[moderated(2)]).await), ["delivered"]);
    assert_eq!(
        outcomes(&accepts.deliver(&[moderated(3)]).await),
        ["reject"],
        "no such code"
    );
    server.with(|server| {
        assert_eq!(server.status(1), (Status::Accepted, Status::Accepted));
        assert_eq!(server.status(2), (Status::Accepted, Status::Rejected));
        assert!(server.events.is_empty(), "the code leaves the supporter alone");
    });
}

/// Without a code, a rejection is the supporter's too.
#[tokio::test]
async fn an_action_without_a_code_is_rejected_with_its_supporter_only_if_that_is_wanted() {
    let server = server(|server| {
        server.add_moderated(1, REFERENCE);
        server.actions.get_mut(&1).unwrap().email = EmailStatus::DoubleOptIn;
    })
    .await;
    let careful = connect(&server.url(), "reject = 'true'");
    assert_eq!(outcomes(&careful.deliver(&[moderated(1)]).await), ["reject"]);
    assert!(server.requests().is_empty());
    let all = connect(&server.url(), "reject = 'true'\nreject_supporters = true");
    assert_eq!(outcomes(&all.deliver(&[moderated(1)]).await), ["delivered"]);
    server.with(|server| {
        assert_eq!(server.status(1), (Status::Rejected, Status::Rejected));
        assert_eq!(server.events, [(1, EmailStatus::Unsub)]);
    });
}
