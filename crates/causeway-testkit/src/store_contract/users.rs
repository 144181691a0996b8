//! What one user of a mailbox says, and what becomes of it for the other users.

use causeway_core::{
    consent::{CLICK_GRACE, Policy, What},
    event::{Event, EventKind},
    id::InboxId,
    rules::{DestinationRule, Takes},
};

use super::{
    Bench, Open,
    addresses::{LATER, contact_with, platform, sent},
    mailboxes::{joins, status_of},
};
use crate::builders::{at, email, fact, rules, status};

async fn consent_state(bench: &Bench, number: &str) -> &'static str {
    let person = contact_with(bench, number).await;
    person
        .consent_state
        .get("email")
        .map_or("unknown", |state| state.as_str())
}

/// Destination and kind of the deliveries that a message led to for the person with this id.
async fn led_to(bench: &Bench, message: InboxId, number: &str) -> Vec<(String, String)> {
    let person = contact_with(bench, number).await.id;
    let trace = bench.store().trace(message).await.unwrap().unwrap();
    let rows = trace.deliveries.into_iter().map(|row| row.delivery);
    let of_person = rows.filter(|row| row.contact_id == Some(person));
    let mut all: Vec<(String, String)> = of_person
        .map(|row| (row.destination.to_string(), row.kind))
        .collect();
    all.sort();
    all
}

/// Destination and kind.
type Led = (&'static str, &'static str);

/// `archive` is sent everybody, and `confirmed` only who clicked.
pub async fn a_change_by_another_user_is_sent_where_it_matters(open: Open) {
    let with = |name: &str, policy| DestinationRule {
        policy,
        ..DestinationRule::new(name)
    };
    let destinations = vec![
        with("archive", Policy::All),
        with("confirmed", Policy::DoubleOptIn),
        DestinationRule::new("crm"),
    ];
    let mut bench = Bench::new(open, destinations).await;
    bench.take(platform("72", "family", "Bob", 0), 0).await;
    sent(&bench, "archive", 1).await;
    let steps: [(What, i64, &[Led]); 5] = [
        // The others do not know Bob yet. What was held back for him is sent as planned.
        (What::OptIn, 10, &[("archive", "contact")]),
        // Bob's consent stays as it is.
        (What::OptIn, 20, &[]),
        (
            What::DoubleOptIn,
            30,
            &[("archive", "contact"), ("crm", "contact")],
        ),
        (
            What::Unsubscribed,
            40,
            &[
                ("archive", "withdrawal"),
                ("confirmed", "withdrawal"),
                ("crm", "withdrawal"),
            ],
        ),
        // Not enough for a destination that asks for a click.
        (What::OptIn, 50, &[("archive", "contact"), ("crm", "contact")]),
    ];
    for (what, seconds, expected) in steps {
        let mut event = platform("71", "family", "Ada", seconds);
        event.consent = vec![fact(what.clone(), at(seconds))];
        let message = bench.take(event, seconds).await;
        let all = led_to(&bench, message, "72").await;
        let all: Vec<(&str, &str)> = all.iter().map(|(name, kind)| (&**name, &**kind)).collect();
        assert_eq!(all, expected, "{what:?} at {seconds}");
        for destination in ["archive", "confirmed", "crm"] {
            sent(&bench, destination, seconds + 1).await;
        }
        bench.assert_balanced().await;
    }
}

pub async fn what_a_user_said_is_no_news_for_this_user(open: Open) {
    let changes = DestinationRule {
        takes: Takes::Changes,
        ..DestinationRule::new("crm")
    };
    let mut bench = Bench::new(open, vec![changes]).await;
    bench.take(joins("71", "family", 0), 0).await;
    bench.take(platform("72", "family", "Bob", 1), 1).await;
    assert_eq!(sent(&bench, "crm", 2).await.len(), 2);
    for (number, name) in [("71", "Ada"), ("72", "Bob")] {
        bench.take(platform(number, "family", name, 3), 3).await;
    }
    assert_eq!(sent(&bench, "crm", 4).await, []);
}

/// What forbids mail to a mailbox counts for its users, even if it comes from somebody who left it.
pub async fn an_opt_out_at_a_former_mailbox_counts_for_its_users(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(joins("71", "family", 0), 0).await;
    bench.take(joins("72", "family", 1), 1).await;
    bench.take(platform("71", "own", "Ada", 2), 2).await;
    let mut no = platform("71", "family", "Ada", 10);
    no.kind = EventKind::Engagement;
    no.consent = vec![fact(What::Unsubscribed, at(10))];
    bench.take(no, 10).await;
    assert_eq!(consent_state(&bench, "72").await, "unsubscribed");
}

/// Ada's id came with her own address at first, and with the mailbox since 10.
pub async fn a_fact_by_an_id_counts_for_later_users_if_the_mailbox_had_come_with_it(open: Open) {
    for (seconds, expected) in [(5, "unknown"), (15, "opted_in")] {
        let rules = rules(vec![DestinationRule::new("crm")]);
        let mut bench = Bench::with_rules(open.clone(), &format!("came-{seconds}"), rules).await;
        bench.take(platform("71", "own", "Ada", 0), 0).await;
        bench.take(platform("71", "family", "Ada", 10), 10).await;
        bench.take(status_of("71", What::OptIn, seconds), 20).await;
        bench.take(platform("72", "family", "Bob", 30), 30).await;
        assert_eq!(consent_state(&bench, "72").await, expected, "{seconds}");
    }
}

/// One message says something new and something older than what is known.
pub async fn news_for_the_other_users_counts_beside_what_is_old(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(joins("71", "family", 0), 0).await;
    bench.take(platform("72", "family", "Bob", 1), 1).await;
    bench.take(status_of("71", What::NotAsked, 10), 10).await;
    let mut event = platform("71", "family", "Ada", 20);
    event.consent = vec![fact(What::Unsubscribed, at(20)), fact(What::NotAsked, at(5))];
    bench.take(event, 20).await;
    assert_eq!(consent_state(&bench, "72").await, "unsubscribed");
}

/// Consent to calls belongs to the person, even if the message says at which address it was given.
pub async fn consent_to_calls_says_nothing_about_a_mailbox(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(joins("71", "family", 0), 0).await;
    bench.take(platform("72", "family", "Bob", 1), 1).await;
    let mut no_calls = fact(What::Unsubscribed, at(10));
    "phone".clone_into(&mut no_calls.purpose);
    no_calls.address = Some("family@example.org".to_owned());
    let mut event = platform("71", "family", "Ada", 10);
    event.consent = vec![no_calls];
    bench.take(event, 10).await;
    assert_eq!(consent_state(&bench, "72").await, "opted_in");
}

/// The user's opt-in counts for the others when it counts for the user: it has to be newer than the opt-out at
/// another address, and a click has to come after the time of grace.
pub async fn an_opt_in_of_the_moment_of_an_opt_out_counts_for_nobody(open: Open) {
    let grace = i64::try_from(CLICK_GRACE.as_secs()).unwrap();
    for (what, seconds, counts) in [
        (What::OptIn, 10, false),
        (What::OptIn, 11, true),
        (What::DoubleOptIn, 10 + grace, false),
        (What::DoubleOptIn, 11 + grace, true),
    ] {
        let rules = rules(vec![DestinationRule::new("crm")]);
        let name = format!("{}-{seconds}", what.is_click());
        let mut bench = Bench::with_rules(open.clone(), &name, rules).await;
        bench.take(joins("71", "old", 0), 0).await;
        bench.take(platform("71", "family", "Ada", 1), 1).await;
        bench.take(platform("73", "family", "Cid", 2), 2).await;
        bench.take(status("old", What::Unsubscribed, at(10)), 10).await;
        let mut event = platform("71", "family", "Ada", seconds);
        event.consent = vec![fact(what, at(seconds))];
        bench.take(event, seconds).await;
        for number in ["71", "73"] {
            let person = contact_with(&bench, number).await;
            let state = person.consent_state.get("email");
            let is_subscribed = state.is_some_and(|state| state.is_subscribed());
            assert_eq!(is_subscribed, counts, "{name}: {number}");
        }
    }
}

/// An id came with three addresses; the third one is another contact's.
pub async fn only_an_opt_out_by_an_id_alone_counts_for_its_other_addresses(open: Open) {
    let opts_out = || status_of("71", What::Unsubscribed, LATER);
    let with = |change: &dyn Fn(&mut Event)| {
        let mut event = opts_out();
        change(&mut event);
        event
    };
    let address = "a@example.org";
    let cases = [
        ("it counts", opts_out(), "unsubscribed"),
        (
            "the message names an address",
            with(&|event| event.identities.push(email("a"))),
            "opted_in",
        ),
        (
            "the fact names an address",
            with(&|event| event.consent[0].address = Some(address.to_owned())),
            "opted_in",
        ),
        (
            "it is about calls",
            with(&|event| "phone".clone_into(&mut event.consent[0].purpose)),
            "opted_in",
        ),
        (
            "it is a click",
            status_of("71", What::DoubleOptIn, LATER),
            "opted_in",
        ),
    ];
    for (number, (case, event, expected)) in cases.into_iter().enumerate() {
        let rules = rules(vec![DestinationRule::new("crm")]);
        let mut bench = Bench::with_rules(open.clone(), &format!("by-id-{number}"), rules).await;
        for (name, seconds) in [("a", 0), ("b", 5), ("c", 10)] {
            bench.take(joins("71", name, seconds), seconds).await;
        }
        assert_eq!(event.kind, EventKind::EmailStatus);
        bench.take(event, LATER).await;
        let person = bench.person("c").await;
        assert_eq!(person.consent_state["email"].as_str(), expected, "{case}");
    }
}
