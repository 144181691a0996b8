//! Tests the oracle against sentences of the documents.

use super::*;
use crate::{
    message::{AtProca, Content, Id, Seconds, Shape, Statement, What, When},
    world::{Enough, Over, Server, Source, SourceKind},
};

const DAY: Seconds = 86_400;

fn id(name: &str) -> Id {
    Id {
        namespace: "platform",
        name: name.to_owned(),
    }
}

fn message(source: usize, says: Says) -> Message {
    let content = Content::Form {
        pairs: Vec::new(),
        shape: Shape::Json,
    };
    Message {
        space: 0,
        source,
        epoch: 0,
        number: 0,
        content,
        says,
    }
}

/// A plain statement about an address, with an optional id.
fn word(what: What, at: Seconds, who: Option<Id>, address: &str) -> Message {
    let words = vec![Word::Plain {
        what,
        purpose: "email",
        when: When::At(at),
    }];
    message(
        0,
        Says {
            id: who,
            address: Some(address.to_owned()),
            words,
            ..Says::default()
        },
    )
}

/// An action on page 1 (an own page) with an opt-in.
fn statement(opt_in: Option<bool>, given: Seconds) -> Statement {
    Statement {
        is_event: false,
        stage: "deliver",
        is_test: false,
        is_readable: true,
        action: 7,
        page: 1,
        org: Org::Ours,
        with_consent: true,
        opt_in,
        given,
        status: None,
        changed: given,
    }
}

fn signed(statement: Statement) -> Message {
    let reference = Some(Id {
        namespace: "live",
        name: "ref".to_owned(),
    });
    let address = statement.is_readable.then(|| "a@example.org".to_owned());
    message(
        1,
        Says {
            reference,
            address,
            words: vec![Word::Proca(statement)],
            has_number: true,
            ..Says::default()
        },
    )
}

fn verdict(messages: &[Message], address: &str, policy: Policy) -> Verdict {
    with_oracle(
        messages,
        |_| {},
        |oracle| oracle.verdict(address, "email", policy),
    )
}

/// The verdict for these messages, which arrived a minute after one another unless `change` says otherwise.
fn with_oracle<T>(
    messages: &[Message],
    change: impl Fn(&mut Arrival<'_>),
    ask: impl Fn(&Oracle<'_>) -> T,
) -> T {
    let platform = SourceKind::Sync {
        has_date: false,
        is_opt_in: false,
    };
    let proca = SourceKind::Proca {
        server: Server::Live,
        over: Over::Http,
        policy: Enough::Form,
        purpose: "email",
        has_api: false,
    };
    let sources = vec![
        Source {
            name: "platform",
            kind: platform,
        },
        Source {
            name: "petition",
            kind: proca,
        },
    ];
    let space = Space {
        sources,
        destinations: Vec::new(),
        own_orgs: std::array::from_fn(|_| vec![Org::Ours]),
    };
    let place = Place {
        slot: "h".to_owned(),
        start: 20_000 * DAY,
        first_org: 1,
    };
    let arrival = |(order, message)| {
        let at = (place.start + 1000) * 1000 + i64::try_from(order).unwrap_or(0) * 60_000;
        let mut arrival = Arrival {
            message,
            at,
            stamped: at,
            order,
            together: None,
            look: Look::Ended,
            noticed: None,
            is_known: true,
        };
        change(&mut arrival);
        arrival
    };
    let arrivals = messages.iter().enumerate().map(arrival).collect();
    ask(&Oracle::new(&place, &space, &[Org::Ours], arrivals))
}

fn may(messages: &[Message]) -> Verdict {
    verdict(messages, "a@example.org", Policy::OptIn)
}

use Verdict::{Allowed, Forbidden, Open};

#[test]
fn the_newest_statement_counts_and_an_opt_out_wins_a_tie() {
    let (yes, no) = (
        |at| word(What::OptIn, at, None, "a@example.org"),
        |at| word(What::Unsubscribed, at, None, "a@example.org"),
    );
    assert_eq!(may(&[]), Forbidden);
    assert_eq!(may(&[yes(-900)]), Allowed);
    assert_eq!(may(&[yes(-900), no(-800)]), Forbidden);
    assert_eq!(may(&[no(-800), yes(-900)]), Forbidden, "in any order of arrival");
    assert_eq!(may(&[no(-900), yes(-900)]), Forbidden);
    assert_eq!(may(&[no(-900), yes(-899)]), Allowed);
    assert_eq!(
        verdict(&[yes(-900)], "a@example.org", Policy::DoubleOptIn),
        Forbidden
    );
}

#[test]
fn a_suppression_ends_only_by_a_later_double_opt_in() {
    let say = |what, at| word(what, at, None, "a@example.org");
    for what in [What::Bounced, What::Blocked, What::Complained, What::Inactive] {
        assert_eq!(
            may(&[say(What::OptIn, -900), say(what, -800), say(What::OptIn, -700)]),
            Forbidden
        );
        assert_eq!(may(&[say(what, -1800), say(What::DoubleOptIn, -700)]), Allowed);
        assert_eq!(may(&[say(what, -700), say(What::DoubleOptIn, -700)]), Forbidden);
    }
}

#[test]
fn a_suppression_belongs_to_its_address() {
    let messages = [
        word(What::OptIn, -5000, Some(id("7")), "a@example.org"),
        word(What::Complained, -4000, Some(id("7")), "a@example.org"),
        word(What::DoubleOptIn, -3000, Some(id("7")), "b@example.org"),
        word(What::OptIn, -2000, Some(id("7")), "a@example.org"),
    ];
    assert_eq!(verdict(&messages, "a@example.org", Policy::OptIn), Forbidden);
    assert_eq!(verdict(&messages, "b@example.org", Policy::OptIn), Allowed);
}

#[test]
fn an_opt_out_counts_for_the_persons_former_addresses() {
    let said = [
        word(What::OptIn, -900, Some(id("7")), "a@example.org"),
        word(What::OptIn, -800, Some(id("7")), "b@example.org"),
        word(What::Unsubscribed, -700, Some(id("7")), "b@example.org"),
    ];
    assert_eq!(may(&said), Forbidden);
    assert_eq!(
        may(&[
            said[0].clone(),
            word(What::Unsubscribed, -1, Some(id("8")), "c@example.org")
        ]),
        Allowed
    );
}

#[test]
fn a_decline_takes_nothing_back_but_voids_its_own_submission() {
    assert_eq!(may(&[signed(statement(Some(true), -900))]), Allowed);
    assert_eq!(may(&[signed(statement(None, -900))]), Forbidden);
    let declined = signed(Statement {
        action: 8,
        ..statement(Some(false), -800)
    });
    assert_eq!(may(&[signed(statement(Some(true), -900)), declined]), Allowed);
    let copy = signed(statement(Some(true), -900));
    assert_eq!(
        may(&[signed(statement(Some(false), -900)), copy.clone()]),
        Forbidden
    );
    assert_eq!(may(&[copy, signed(statement(Some(false), -900))]), Forbidden);
}

#[test]
fn without_the_form_only_a_dated_double_opt_in_counts() {
    let share = |status, opt_in| Statement {
        with_consent: false,
        action: 9,
        status,
        changed: -500,
        ..statement(opt_in, -900)
    };
    assert_eq!(may(&[signed(share(None, Some(true)))]), Forbidden);
    assert_eq!(may(&[signed(share(Some("double_opt_in"), Some(true)))]), Allowed);
    assert_eq!(
        may(&[
            signed(statement(Some(true), -900)),
            signed(share(Some("unsub"), Some(true)))
        ]),
        Forbidden
    );
}

#[test]
fn a_click_on_a_partners_page_counts_only_with_our_opt_in() {
    let click = |org, opt_in| Statement {
        is_event: true,
        with_consent: false,
        page: 4,
        org,
        status: Some("double_opt_in"),
        changed: -500,
        ..statement(opt_in, -900)
    };
    assert_eq!(may(&[signed(click(Org::Partner, Some(true)))]), Allowed);
    assert_eq!(may(&[signed(click(Org::Partner, None))]), Forbidden);
    assert_eq!(
        may(&[signed(click(Org::Ours, Some(false)))]),
        Open,
        "no action from the page was seen"
    );
    let seen = signed(Statement {
        page: 4,
        action: 3,
        ..statement(None, -950)
    });
    assert_eq!(may(&[seen, signed(click(Org::Ours, Some(false)))]), Allowed);
}

#[test]
fn a_click_soon_after_an_opt_out_does_not_undo_it() {
    let click = |changed| {
        signed(Statement {
            is_event: true,
            with_consent: false,
            status: Some("double_opt_in"),
            changed,
            ..statement(Some(true), -9000)
        })
    };
    let no = word(What::Unsubscribed, -2000, None, "a@example.org");
    assert_eq!(may(&[no.clone(), click(-1999)]), Forbidden);
    assert_eq!(may(&[no.clone(), click(-1700)]), Forbidden);
    assert_eq!(may(&[no, click(-1699)]), Allowed);
}

#[test]
fn an_opt_out_of_a_day_counts_to_its_end() {
    let words = vec![Word::Plain {
        what: What::Unsubscribed,
        purpose: "email",
        when: When::Day(-3 * DAY + 100),
    }];
    let no = message(
        0,
        Says {
            address: Some("a@example.org".to_owned()),
            words,
            ..Says::default()
        },
    );
    assert_eq!(
        may(&[
            word(What::OptIn, -2 * DAY - 60, None, "a@example.org"),
            no.clone()
        ]),
        Forbidden
    );
    assert_eq!(
        may(&[word(What::OptIn, -2 * DAY, None, "a@example.org"), no]),
        Allowed
    );
}

#[test]
fn an_opt_out_counts_although_the_personal_data_is_unreadable() {
    let event = Statement {
        is_event: true,
        is_readable: false,
        with_consent: false,
        status: Some("unsub"),
        changed: -100,
        ..statement(Some(true), -900)
    };
    assert_eq!(
        may(&[signed(statement(Some(true), -900)), signed(event)]),
        Forbidden
    );
}

#[test]
fn a_message_that_may_not_be_processed_yet_joins_nobody() {
    let said = [
        word(What::OptIn, -900, Some(id("7")), "a@example.org"),
        word(What::OptIn, -800, Some(id("7")), "b@example.org"),
        word(What::Unsubscribed, -700, None, "b@example.org"),
    ];
    let of_known_people = |unknown: &[usize]| {
        let change = |arrival: &mut Arrival<'_>| arrival.is_known = !unknown.contains(&arrival.order);
        with_oracle(&said, change, |oracle| {
            let known = oracle.of_known_people();
            known.verdict("a@example.org", "email", Policy::OptIn)
        })
    };
    assert_eq!(of_known_people(&[]), Forbidden);
    assert_eq!(of_known_people(&[1]), Allowed);
}

#[test]
fn people_who_share_an_address_share_its_consent_and_nothing_else() {
    let said = [
        word(What::OptIn, -900, Some(id("71")), "family@example.org"),
        word(What::OptIn, -800, Some(id("72")), "family@example.org"),
        word(What::OptIn, -700, Some(id("72")), "lena@example.org"),
        word(What::Unsubscribed, -600, Some(id("72")), "lena@example.org"),
    ];
    assert_eq!(verdict(&said, "lena@example.org", Policy::OptIn), Forbidden);
    assert_ne!(verdict(&said, "family@example.org", Policy::OptIn), Forbidden);
    let no = word(What::Unsubscribed, -500, Some(id("71")), "family@example.org");
    assert_eq!(
        verdict(&[said[1].clone(), no], "family@example.org", Policy::OptIn),
        Forbidden
    );
}

#[test]
fn an_id_with_three_addresses_carries_no_opt_in_to_the_third() {
    let said = [
        word(What::OptIn, -900, Some(id("5")), "a@example.org"),
        word(What::Declined, -800, Some(id("5")), "b@example.org"),
        word(What::Declined, -700, Some(id("5")), "c@example.org"),
    ];
    assert_eq!(verdict(&said, "a@example.org", Policy::OptIn), Allowed);
    assert_eq!(verdict(&said, "b@example.org", Policy::OptIn), Open);
    assert_eq!(verdict(&said, "c@example.org", Policy::OptIn), Forbidden);
}

#[test]
fn the_first_two_addresses_of_an_id_are_undecided_for_ten_seconds() {
    let said = [
        word(What::OptIn, -900, Some(id("5")), "a@example.org"),
        word(What::Declined, -800, Some(id("5")), "b@example.org"),
        word(What::Declined, -700, Some(id("5")), "c@example.org"),
    ];
    let after = |ms: i64| {
        let change = |arrival: &mut Arrival<'_>| {
            if arrival.order == 2 {
                arrival.at += ms - 60_000;
            }
        };
        with_oracle(&said, change, |oracle| {
            oracle.verdict("c@example.org", "email", Policy::OptIn)
        })
    };
    assert_eq!(after(10_000), Open);
    assert_eq!(after(10_001), Forbidden);
}

/// A message that only Proca's API shows: an action with an opt-in that the broker lost.
fn at_proca(what: AtProca, says: Says) -> Message {
    Message {
        content: Content::Api(what),
        ..message(1, says)
    }
}

fn lost(opt_in: Option<bool>) -> Message {
    let lost = AtProca::Lost(crate::generate::example(7, "a@example.org"));
    at_proca(lost, signed(statement(opt_in, -900)).says)
}

fn seen_by(look: Look, noticed: Option<i64>) -> impl Fn(&mut Arrival<'_>) {
    move |arrival| (arrival.look, arrival.noticed) = (look, noticed)
}

fn after_look(messages: &[Message], look: Look) -> Verdict {
    with_oracle(messages, seen_by(look, None), |oracle| {
        oracle.verdict("a@example.org", "email", Policy::OptIn)
    })
}

#[test]
fn a_message_that_only_the_api_shows_counts_when_a_list_had_it() {
    let lost = [lost(Some(true))];
    assert_eq!(after_look(&lost, Look::Never), Forbidden);
    assert_eq!(after_look(&lost, Look::Begun), Open);
    assert_eq!(after_look(&lost, Look::Ended), Allowed);
}

#[test]
fn an_action_that_was_never_accepted_counts_in_no_list() {
    let never = AtProca::NeverAccepted(crate::generate::example(7, "a@example.org"));
    let message = at_proca(never, signed(statement(Some(true), -900)).says);
    assert_eq!(after_look(&[message], Look::Ended), Forbidden);
}

#[test]
fn a_reference_that_only_the_api_shows_reaches_its_address_when_a_list_had_it() {
    let yes = word(What::OptIn, -900, None, "a@example.org");
    let no = signed(Statement {
        is_event: true,
        is_readable: false,
        with_consent: false,
        status: Some("unsub"),
        changed: -100,
        ..statement(None, -900)
    });
    let said = [yes, lost(None), no];
    assert_eq!(after_look(&said, Look::Never), Allowed);
    assert_eq!(after_look(&said, Look::Begun), Open);
    assert_eq!(after_look(&said, Look::Ended), Forbidden);
}

#[test]
fn a_rejection_may_be_dated_by_any_later_pass() {
    let rejected = |gone: AtProca| {
        let words = vec![Word::NotMe];
        let says = Says {
            words,
            ..signed(statement(Some(true), -900)).says
        };
        at_proca(gone, says)
    };
    for gone in [AtProca::Rejected { action: 7 }, AtProca::Erased { action: 7 }] {
        let said = [
            signed(statement(Some(true), -900)),
            rejected(gone.clone()),
            word(What::OptIn, 1110, None, "a@example.org"),
        ];
        let noticed = |seconds: i64| {
            let at = (20_000 * DAY + seconds) * 1000;
            with_oracle(&said, seen_by(Look::Never, Some(at)), |oracle| {
                oracle.verdict("a@example.org", "email", Policy::OptIn)
            })
        };
        assert_eq!(after_look(&said[..2], Look::Never), Allowed, "nobody looked");
        assert_eq!(noticed(1115), Open);
        assert_eq!(noticed(1100), Allowed, "the opt-in is later");
    }
}

#[test]
fn a_future_date_may_count_for_an_opt_out_and_not_for_an_opt_in() {
    let event = |status, changed| {
        signed(Statement {
            is_event: true,
            with_consent: false,
            status: Some(status),
            changed,
            ..statement(Some(true), -9000)
        })
    };
    let said = [event("unsub", 2 * DAY), event("double_opt_in", 3 * DAY)];
    // Too far apart for the click to be a scanner's.
    let change = |arrival: &mut Arrival<'_>| {
        arrival.at += i64::try_from(arrival.order).unwrap_or(0) * 600_000;
        arrival.stamped = arrival.at;
    };
    let verdict = with_oracle(&said, change, |oracle| {
        oracle.verdict("a@example.org", "email", Policy::OptIn)
    });
    assert_eq!(verdict, Open);
    assert_eq!(may(&said[..1]), Forbidden);
    assert_eq!(may(&said[1..]), Allowed);
}

#[test]
fn an_address_is_clearly_the_newest_only_without_other_dates() {
    let moved = |dated: &[Message]| {
        let arrived = |address: &str| {
            let says = Says {
                id: Some(id("7")),
                address: Some(address.to_owned()),
                ..Says::default()
            };
            message(0, says)
        };
        let mut said = vec![arrived("a@example.org")];
        said.extend_from_slice(dated);
        said.push(arrived("b@example.org"));
        with_oracle(&said, |_| {}, |oracle| oracle.is_in_use("b@example.org"))
    };
    assert!(moved(&[]));
    let mut dated = signed(statement(Some(true), -900));
    dated.says.at = When::At(-900);
    assert!(!moved(&[dated]));
}

#[test]
fn a_third_address_hides_no_chain_of_two_ids() {
    let with = |namespace, address: &str| {
        let name = "9".to_owned();
        word(What::Declined, -800, Some(Id { namespace, name }), address)
    };
    let to_c = |order: [&str; 3]| {
        let mut said = vec![
            word(What::OptIn, -900, None, "a@example.org"),
            with("office", "a@example.org"),
            with("office", "b@example.org"),
        ];
        said.extend(order.map(|address| with("member", address)));
        verdict(&said, "c@example.org", Policy::OptIn)
    };
    // One id joins a and b, the other joins b and c. The second id also came with a, which changes nothing.
    assert_eq!(to_c(["b@example.org", "c@example.org", "a@example.org"]), Open);
    assert_eq!(
        to_c(["a@example.org", "b@example.org", "c@example.org"]),
        Forbidden
    );
}
