//! Invariants 3 and 4: a contact does not depend on the order of arrival, and workspaces never touch.

use causeway_core::{
    consent::{Change, Policy, What},
    contact::{Contact, Identity},
    delivery::{Kind, Next},
    event::{Decoded, Engagement, EngagementKind, Event},
    id::InboxId,
    rules::{DestinationRule, sandbox_of},
    store::{InboxState, Processed},
};

use super::{Bench, Open, addresses::sent, bench::inbox_ids};
use crate::builders::{
    INSTANCE, OWN_ORG, SOURCE, add_source, at, contact_ref, email, envelope, page, rules, signed, status,
    synced,
};

async fn bench(open: Open) -> Bench {
    Bench::new(open, vec![DestinationRule::new("crm")]).await
}

/// The parts of a contact that must be the same in every order of arrival.
fn essence(contact: &Contact) -> serde_json::Value {
    let mut contact = contact.clone();
    for field in contact.fields.values_mut() {
        // It orders values of the same moment, of which there are none here.
        field.arrival = 0;
    }
    serde_json::to_value(contact).unwrap()
}

pub async fn the_order_of_arrival_does_not_matter(open: Open) {
    let mut late = signed("ada", "1", What::OptInPending, at(10));
    late.fields.insert("city".to_owned(), "Bern".into());
    let mut by_reference = status("ada", What::DoubleOptIn, at(12));
    by_reference.identities = vec![contact_ref("ref-ada")];
    let messages = [
        late,
        synced("ada", &[("city", "Chur"), ("firstName", "Ada L")], at(5)),
        by_reference,
        status("ada", What::Unsubscribed, at(11)),
    ];
    let mut expected = None;
    for (number, order) in permutations(messages.len()).into_iter().enumerate() {
        let rules = rules(vec![DestinationRule::new("crm")]);
        let mut bench = Bench::with_rules(open.clone(), &format!("order-{number}"), rules).await;
        for (seconds, index) in (20..).zip(&order) {
            bench.take(messages[*index].clone(), seconds).await;
        }
        let person = bench.person("ada").await;
        let found = (
            essence(&person.contact),
            person.identities,
            person.consent_state,
            person.actions.len(),
        );
        assert_eq!(
            expected.get_or_insert_with(|| found.clone()),
            &found,
            "in the order {order:?}"
        );
        bench.assert_balanced().await;
    }
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for item in 0..count {
        all = all
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                (0..=order.len()).map(move |place| {
                    let mut longer = order.clone();
                    longer.insert(place, item);
                    longer
                })
            })
            .collect();
    }
    all
}

pub async fn two_contacts_that_share_an_identity_become_one(open: Open) {
    let mut bench = bench(open).await;
    let first = bench.take(synced("ada", &[("city", "Bern")], at(0)), 0).await;
    let mut by_reference = status("ada", What::OptIn, at(1));
    by_reference.identities = vec![contact_ref("ref-ada")];
    let second = bench.take(by_reference, 1).await;
    let apart = bench
        .store()
        .trace(second)
        .await
        .unwrap()
        .unwrap()
        .contact_id
        .unwrap();
    let third = bench.take(signed("ada", "1", What::OptIn, at(2)), 2).await;
    let person = bench.person("ada").await;
    let merged = bench.store().trace(third).await.unwrap().unwrap();
    assert_eq!(merged.merged, [apart]);
    assert_eq!(merged.contact_id, Some(person.id));
    assert_eq!(person.inbox, [first, second, third]);
    assert_eq!(person.identities.len(), 2);
    assert_eq!(person.contact.text("city"), Some("Bern"));
    assert_eq!(person.ledger.len(), 2);
    // The number of the merged contact leads to the remaining one.
    assert_eq!(bench.store().contact(apart).await.unwrap().unwrap().id, person.id);
    bench.assert_balanced().await;
}

pub async fn a_merge_keeps_the_order_of_deliveries(open: Open) {
    let mut bench = bench(open).await;
    let mut by_address = signed("ada", "1", What::OptIn, at(0));
    by_address.identities = vec![email("ada")];
    let mut by_reference = signed("ada", "2", What::OptIn, at(1));
    by_reference.identities = vec![contact_ref("ref-ada")];
    let first = bench.take(by_address, 0).await;
    let second = bench.take(by_reference, 1).await;
    let third = bench.take(signed("ada", "3", What::OptIn, at(2)), 2).await;
    for expected in [first, second, third] {
        let claimed = bench.claim("crm", 3).await.deliveries;
        assert_eq!(inbox_ids(&claimed), [expected], "one after the other");
        bench.end(&claimed[0], Next::Delivered, 3).await;
    }
    bench.assert_balanced().await;
}

pub async fn workspaces_with_the_same_people_never_touch(open: Open) {
    let mut both = rules(vec![DestinationRule::new("crm")]);
    add_source(&mut both, "other-queue", "other");
    let mut other = DestinationRule::new("other-crm");
    other.workspace = "other".into();
    both.destinations.insert(other.name.clone(), other.into());
    let mut bench = Bench::with_rules(open, "store", both).await;
    let ours = bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    let mut event = signed("ada", "1", What::Unsubscribed, at(1));
    event.fields.insert("city".to_owned(), "Chur".into());
    bench
        .take_from("other-queue", Decoded::Event(Box::new(event)), 1)
        .await;
    assert_eq!(bench.deliver_all("crm", 2).await, [ours]);
    assert_eq!(bench.deliver_all("other-crm", 2).await, []);
    let found = bench.store().find_contacts("ada@example.org").await.unwrap();
    assert_eq!(found.len(), 2);
    for (id, workspace, subscribed, city) in [
        (found[0], "default", true, None),
        (found[1], "other", false, Some("Chur")),
    ] {
        let person = bench.store().contact(id).await.unwrap().unwrap();
        assert_eq!(&*person.workspace, workspace);
        assert_eq!(person.consent_state["email"].is_subscribed(), subscribed);
        assert_eq!(person.contact.text("city"), city);
        assert_eq!(person.actions.len(), 1);
    }
    bench.store().erase(found[1], at(3)).await.unwrap();
    let again = bench.take(signed("ada", "2", What::OptIn, at(4)), 4).await;
    assert_eq!(bench.deliver_all("crm", 5).await, [again]);
    bench.assert_balanced().await;
}

pub async fn test_actions_stay_in_the_sandbox(open: Open) {
    let mut sandbox = DestinationRule::new("sandbox");
    sandbox.sandbox = true;
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm"), sandbox]).await;
    let mut event = signed("ada", "1", What::OptIn, at(0));
    event.testing = true;
    let id = bench.take(event, 0).await;
    assert_eq!(bench.deliver_all("crm", 1).await, []);
    assert_eq!(bench.deliver_all("sandbox", 1).await, [id]);
    assert_eq!(bench.person("ada").await.workspace, sandbox_of("default"));
}

/// Ada confirmed in a mail of the organisation that owns page 7, before that owner is known. Returns the
/// action, which is held back, and the click.
async fn confirmed_on_page_seven(bench: &mut Bench) -> [InboxId; 2] {
    let action = bench.take(signed("ada", "1", What::OptInPending, at(0)), 0).await;
    let what = What::DoubleOptInOnPage {
        page: format!("{INSTANCE}/7"),
    };
    let click = bench.take(status("ada", what, at(1)), 1).await;
    assert_eq!(bench.deliver_all("crm", 2).await, []);
    [action, click]
}

pub async fn a_confirmation_on_a_page_counts_once_it_is_an_own_page(open: Open) {
    let mut bench = bench(open).await;
    let held_back = confirmed_on_page_seven(&mut bench).await;
    bench.take(owner_of_seven(OWN_ORG, 3), 3).await;
    assert_eq!(bench.deliver_all("crm", 4).await, held_back);
    assert!(bench.person("ada").await.consent_state["email"].is_subscribed());
    bench.assert_balanced().await;
    bench.reopen().await;
    let next = bench.take(signed("ada", "2", What::NotAsked, at(5)), 5).await;
    assert_eq!(bench.deliver_all("crm", 6).await, [next]);
}

pub async fn new_rules_may_make_a_page_an_own_page(open: Open) {
    let mut bench = bench(open).await;
    let held_back = confirmed_on_page_seven(&mut bench).await;
    bench.take(owner_of_seven("99", 3), 3).await;
    assert_eq!(bench.deliver_all("crm", 4).await, []);
    let mut changed = rules(vec![DestinationRule::new("crm")]);
    for source in changed.sources.values_mut() {
        source.own_orgs.insert("99".to_owned());
    }
    bench.set_rules(changed).await;
    assert_eq!(bench.deliver_all("crm", 5).await, held_back);
    bench.assert_balanced().await;
    // That was a mistake: the page belongs to another organisation.
    bench.set_rules(rules(vec![DestinationRule::new("crm")])).await;
    assert_eq!(given(&bench, 6).await, [Kind::Withdrawal]);
    assert!(!bench.person("ada").await.consent_state["email"].is_subscribed());
    bench.set_rules(rules(vec![DestinationRule::new("crm")])).await;
    assert_eq!(given(&bench, 7).await, []);
    bench.assert_balanced().await;
}

/// The kinds of the deliveries that `crm` is given next; all are delivered.
async fn given(bench: &Bench, second: i64) -> Vec<Kind> {
    let mut kinds = Vec::new();
    loop {
        let claimed = bench.claim("crm", second).await;
        if claimed.deliveries.is_empty() {
            return kinds;
        }
        for delivery in claimed.deliveries {
            kinds.push(delivery.record.kind);
            bench.end(&delivery, Next::Delivered, second).await;
        }
    }
}

pub async fn clicks_on_a_page_of_another_organisation_stop_counting(open: Open) {
    let mut bench = bench(open).await;
    confirmed_on_page_seven(&mut bench).await;
    for (second, org, expected) in [
        (3, OWN_ORG, &[Kind::Record, Kind::Contact][..]),
        (5, "99", &[Kind::Withdrawal]),
    ] {
        bench.take(owner_of_seven(org, second), second).await;
        assert_eq!(given(&bench, second + 1).await, expected, "{org}");
    }
    bench.assert_balanced().await;
}

/// A destination that is sent only people who opted in, and one that is sent everybody.
fn crm_and_archive() -> Vec<DestinationRule> {
    let mut archive = DestinationRule::new("archive");
    archive.policy = Policy::All;
    vec![DestinationRule::new("crm"), archive]
}

/// The changes that both are sent next; all are delivered.
async fn changes(bench: &Bench, second: i64) -> [Vec<(Kind, Change)>; 2] {
    let mut both = [Vec::new(), Vec::new()];
    for (changes, destination) in both.iter_mut().zip(["crm", "archive"]) {
        loop {
            let claimed = bench.claim(destination, second).await.deliveries;
            if claimed.is_empty() {
                break;
            }
            for delivery in claimed {
                changes.push((delivery.record.kind, delivery.record.change));
                bench.end(&delivery, Next::Delivered, second).await;
            }
        }
    }
    both
}

fn click_on_seven(name: &str, second: i64) -> Event {
    let page = format!("{INSTANCE}/7");
    status(name, What::DoubleOptInOnPage { page }, at(second))
}

const SUBSCRIBE: (Kind, Change) = (Kind::Contact, Change::Subscribe);
const UNSUBSCRIBE: (Kind, Change) = (Kind::Withdrawal, Change::Unsubscribe);

pub async fn a_click_that_begins_to_count_reaches_destinations_that_have_the_person(open: Open) {
    let mut bench = Bench::new(open, crm_and_archive()).await;
    bench.take(click_on_seven("ada", 1), 1).await;
    assert_eq!(
        changes(&bench, 2).await,
        [vec![], vec![(Kind::Contact, Change::None)]]
    );
    // In flight: the archive is sent Ada without any consent.
    bench.take(synced("ada", &[("city", "Bern")], at(3)), 3).await;
    let in_flight = bench.claim("archive", 3).await.deliveries;
    assert_eq!(in_flight[0].record.change, Change::None);
    // Ben signs on the page, and the message names the page's owner.
    let mut signs = signed("ben", "1", What::NotAsked, at(4));
    signs.page = Some(page("7", Some(OWN_ORG)));
    let (_, processed) = bench.take_from(SOURCE, Decoded::Event(Box::new(signs)), 4).await;
    let ada = bench.person("ada").await.id;
    assert!(processed.contacts.contains(&ada), "{processed:?}");
    bench.end(&in_flight[0], Next::Delivered, 5).await;
    let [crm, archive] = changes(&bench, 6).await;
    assert_eq!(crm.last(), Some(&SUBSCRIBE));
    assert_eq!(
        archive
            .into_iter()
            .filter(|(kind, _)| *kind == Kind::Contact)
            .collect::<Vec<_>>(),
        [SUBSCRIBE]
    );
    bench.reopen().await;
    assert_eq!(changes(&bench, 7).await, [vec![], vec![]]);
    bench.assert_balanced().await;
}

pub async fn each_change_of_a_pages_owner_is_followed(open: Open) {
    let with_own_org = |org: &str| {
        let mut rules = rules(crm_and_archive());
        for source in rules.sources.values_mut() {
            source.own_orgs = [org.to_owned()].into();
        }
        rules
    };
    let mut bench = Bench::with_rules(open, "store", with_own_org(OWN_ORG)).await;
    bench.take(owner_of_seven(OWN_ORG, 0), 0).await;
    bench.take(click_on_seven("ada", 1), 1).await;
    assert_eq!(changes(&bench, 2).await, [vec![SUBSCRIBE], vec![SUBSCRIBE]]);
    for second in [10, 20, 30] {
        bench.set_rules(with_own_org("99")).await;
        assert_eq!(
            changes(&bench, second).await,
            [vec![UNSUBSCRIBE], vec![UNSUBSCRIBE]],
            "at {second}"
        );
        bench.set_rules(with_own_org(OWN_ORG)).await;
        assert_eq!(
            changes(&bench, second + 1).await,
            [vec![SUBSCRIBE], vec![SUBSCRIBE]],
            "at {second}"
        );
    }
    // The page itself changes hands.
    for (second, org, expected) in [(40, "99", UNSUBSCRIBE), (50, OWN_ORG, SUBSCRIBE)] {
        bench.take(owner_of_seven(org, second), second).await;
        assert_eq!(
            changes(&bench, second + 1).await,
            [vec![expected], vec![expected]],
            "{org}"
        );
    }
    bench.reopen().await;
    assert_eq!(changes(&bench, 60).await, [vec![], vec![]]);
    bench.assert_balanced().await;
}

pub async fn a_page_that_becomes_an_own_page_releases_the_actions_held_back(open: Open) {
    let mut foreign = rules(crm_and_archive());
    for source in foreign.sources.values_mut() {
        source.own_orgs = ["99".to_owned()].into();
    }
    let mut bench = Bench::with_rules(open, "store", foreign).await;
    let mut signs = signed("ada", "1", What::NotAsked, at(0));
    signs.page = Some(page("7", Some(OWN_ORG)));
    bench.take(signs, 0).await;
    bench.take(click_on_seven("ada", 1), 1).await;
    let [crm, archive] = changes(&bench, 2).await;
    assert_eq!(crm, []);
    assert!(
        archive.iter().all(|(_, change)| *change == Change::None),
        "{archive:?}"
    );
    bench.set_rules(rules(crm_and_archive())).await;
    assert_eq!(
        changes(&bench, 3).await,
        [
            vec![(Kind::Record, Change::Subscribe), SUBSCRIBE],
            vec![SUBSCRIBE]
        ]
    );
    bench.assert_balanced().await;
}

/// One user clicked, so the mailbox is confirmed.
pub async fn a_click_on_a_page_counts_for_all_users_of_the_mailbox(open: Open) {
    let mut bench = Bench::new(open, crm_and_archive()).await;
    let signs = [("ada", "1"), ("ben", "2")].map(|(name, action)| {
        let mut event = signed(name, action, What::NotAsked, at(0));
        event.identities = vec![
            email("both"),
            Identity::ForeignId {
                namespace: "crm".into(),
                id: name.to_owned(),
            },
        ];
        event.fields.insert("email".to_owned(), "both@example.org".into());
        event
    });
    for event in &signs {
        bench.take(event.clone(), 0).await;
    }
    let mut click = click_on_seven("both", 1);
    click.identities.clone_from(&signs[0].identities);
    bench.take(click, 1).await;
    let [crm, _] = changes(&bench, 2).await;
    assert_eq!(crm, []);
    for (second, org, expected) in [(3, OWN_ORG, SUBSCRIBE), (5, "99", UNSUBSCRIBE)] {
        bench.take(owner_of_seven(org, second), second).await;
        let [crm, archive] = changes(&bench, second + 1).await;
        assert_eq!(archive, [expected, expected], "{org}");
        assert!(
            crm.len() >= 2 && crm.iter().all(|(_, change)| *change == expected.1),
            "{org}: {crm:?}"
        );
    }
    bench.assert_balanced().await;
}

pub async fn a_withdrawal_never_says_subscribed(open: Open) {
    let mut rule = DestinationRule::new("crm");
    rule.policy = Policy::DoubleOptIn;
    let mut bench = Bench::new(open, vec![rule]).await;
    bench.take(owner_of_seven(OWN_ORG, 0), 0).await;
    let click = What::DoubleOptInOnPage {
        page: format!("{INSTANCE}/7"),
    };
    bench.take(signed("ada", "1", What::OptIn, at(0)), 1).await;
    bench.take(status("ada", click, at(1)), 2).await;
    let delivered = bench.claim("crm", 3).await.deliveries;
    assert!(delivered[0].record.consent_state_for("email").is_subscribed());
    for delivery in delivered {
        bench.end(&delivery, Next::Delivered, 3).await;
    }
    // The form's opt-in stands, but does not suffice for this destination.
    bench.take(owner_of_seven("99", 4), 4).await;
    assert!(bench.person("ada").await.consent_state["email"].is_subscribed());
    let due = bench.claim("crm", 5).await.deliveries;
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].record.change, Change::Unsubscribe);
    assert!(!due[0].record.consent_state_for("email").is_subscribed());
}

pub async fn a_destination_without_a_policy_is_sent_the_withdrawal_of_a_void_click(open: Open) {
    let mut rule = DestinationRule::new("crm");
    rule.policy = Policy::All;
    let mut bench = Bench::new(open, vec![rule]).await;
    confirmed_on_page_seven_with(&mut bench, OWN_ORG).await;
    assert_eq!(given(&bench, 3).await.last(), Some(&Kind::Contact));
    bench.take(owner_of_seven("99", 4), 4).await;
    assert_eq!(given(&bench, 5).await, [Kind::Withdrawal]);
    // The withdrawal is sent once.
    bench.take(signed("ada", "2", What::NotAsked, at(6)), 6).await;
    assert_eq!(given(&bench, 7).await, [Kind::Record]);
    bench.assert_balanced().await;
}

/// An event that names the owner of page 7.
fn owner_of_seven(org: &str, second: i64) -> Event {
    let mut event = Event::new(
        causeway_core::event::EventKind::CampaignUpdated,
        INSTANCE.into(),
        at(second),
    );
    event.page = Some(page("7", Some(org)));
    event
}

async fn confirmed_on_page_seven_with(bench: &mut Bench, org: &str) {
    bench.take(owner_of_seven(org, 0), 0).await;
    bench.take(signed("ada", "1", What::NotAsked, at(0)), 1).await;
    let what = What::DoubleOptInOnPage {
        page: format!("{INSTANCE}/7"),
    };
    bench.take(status("ada", what, at(1)), 2).await;
}

pub async fn an_action_that_is_sent_again_is_joined(open: Open) {
    let mut copies = [1, 2].map(|number| {
        let mut event = signed("ada", "1", What::OptIn, at(0));
        let action = event.action.as_mut().unwrap();
        action
            .custom_fields
            .insert(format!("only{number}"), number.into());
        action.custom_fields.insert("both".to_owned(), number.into());
        action.with_consent = number == 1;
        event
    });
    let mut expected = None;
    for name in ["forth", "back"] {
        let rules = rules(vec![DestinationRule::new("crm")]);
        let mut bench = Bench::with_rules(open.clone(), name, rules).await;
        bench.take(copies[0].clone(), 0).await;
        bench.take(copies[1].clone(), 1).await;
        let sent = sent(&bench, "crm", 2).await;
        let records = sent.iter().filter(|(kind, _, _)| *kind == Kind::Record);
        assert_eq!(records.count(), 1, "{name}: {sent:?}");
        let actions = bench.person("ada").await.actions;
        assert_eq!(actions.len(), 1);
        assert_eq!(actions[0].custom_fields.len(), 3);
        assert_eq!(
            expected.get_or_insert_with(|| actions.clone()),
            &actions,
            "{name}"
        );
        copies.reverse();
    }
}

pub async fn a_stage_without_deliveries_does_not_make_the_action_known(open: Open) {
    let mut bench = bench(open).await;
    let mut stage = signed("ada", "1", What::OptIn, at(0));
    stage.deliver = false;
    bench.take(stage, 0).await;
    assert_eq!(bench.deliver_all("crm", 1).await, []);
    let message = bench.take(signed("ada", "1", What::OptIn, at(0)), 2).await;
    let claimed = bench.claim("crm", 3).await.deliveries;
    assert_eq!(inbox_ids(&claimed), [message]);
    assert_eq!(claimed[0].record.kind, Kind::Record);
}

pub async fn engagements_keep_the_greater_figures(open: Open) {
    let opened = |key: &str, count, score, seconds: Option<i64>| Engagement {
        kind: EngagementKind::EmailOpen,
        key: key.to_owned(),
        name: None,
        at: seconds.map(at),
        raw_at: None,
        count,
        score,
    };
    let mut bench = bench(open).await;
    for engagements in [
        vec![opened("a", Some(3), None, Some(1)), opened("b", None, None, None)],
        vec![
            opened("a", Some(2), Some(0.5), Some(1)),
            opened("a", Some(1), None, Some(2)),
        ],
    ] {
        let mut event = synced("ada", &[("city", "Bern")], at(0));
        event.engagements = engagements;
        bench.take(event, 0).await;
    }
    let mut kept = bench.person("ada").await.engagements;
    kept.sort_by_key(|engagement| (engagement.key.clone(), engagement.at));
    let expected = [
        opened("a", Some(3), Some(0.5), Some(1)),
        opened("a", Some(1), None, Some(2)),
        opened("b", None, None, None),
    ];
    assert_eq!(kept, expected);
}

pub async fn an_erased_person_leaves_nothing_and_does_not_come_back(open: Open) {
    let mut bench = bench(open).await;
    let first = bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    bench.deliver_all("crm", 1).await;
    bench.take(signed("ada", "2", What::OptIn, at(2)), 2).await;
    let ben = bench.take(signed("ben", "3", What::OptIn, at(2)), 2).await;
    let under_way = bench.claim("crm", 3).await.deliveries;
    let person = bench.person("ada").await;
    let erased = bench.store().erase(person.id, at(4)).await.unwrap();
    assert_eq!(
        (
            erased.actions,
            erased.consent,
            erased.deliveries,
            erased.envelopes
        ),
        (2, 2, 1, 2)
    );
    // A delivery in flight ends without storing anything of the response.
    for delivery in &under_way {
        bench.end(delivery, Next::Delivered, 5).await;
    }
    assert_eq!(bench.store().find_contacts("ada@example.org").await.unwrap(), []);
    assert!(bench.store().contact(person.id).await.unwrap().is_none());
    let trace = bench.store().trace(first).await.unwrap().unwrap();
    assert_eq!((trace.envelope, trace.contact_id), (None, None));
    assert!(trace.action.is_none() && trace.consent.is_empty());
    for delivery in &under_way {
        let trace = bench
            .store()
            .trace(delivery.record.inbox_id)
            .await
            .unwrap()
            .unwrap();
        let is_ben = delivery.record.inbox_id == ben;
        assert_eq!(trace.deliveries[0].attempts[0].excerpt.is_some(), is_ben);
        assert_eq!(trace.deliveries[0].delivery.remote_id.is_some(), is_ben);
    }
    // No identity brings the person back, and a restart changes nothing.
    bench.reopen().await;
    let mut late = status("ada", What::OptIn, at(3));
    late.identities = vec![contact_ref("ref-ada")];
    let id = bench.take(late, 6).await;
    let trace = bench.store().trace(id).await.unwrap().unwrap();
    assert_eq!(trace.inbox.state, InboxState::Skipped);
    assert!(trace.inbox.reason.unwrap().contains("erased"));
    assert!(trace.envelope.is_none());
    // A duplicate of a message whose body was deleted does not bring it back.
    let again = bench
        .store()
        .accept(vec![envelope(SOURCE, "message 1", at(7))])
        .await
        .unwrap();
    assert!(again[0].duplicate);
    assert_eq!(bench.person("ben").await.actions.len(), 1);
    bench.assert_balanced().await;
}

pub async fn a_withdrawal_follows_when_consent_ends(open: Open) {
    let mut bench = bench(open).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    bench.deliver_all("crm", 1).await;
    let mut no = status("ada", What::Unsubscribed, at(2));
    // Whatever its stage: a destination that has the person must be sent the withdrawal.
    no.deliver = false;
    let (id, processed): (_, Processed) = bench.take_from(SOURCE, Decoded::Event(Box::new(no)), 2).await;
    assert_eq!(processed.planned.len(), 1);
    let claimed = bench.claim("crm", 3).await.deliveries;
    assert_eq!(inbox_ids(&claimed), [id]);
    assert_eq!(claimed[0].record.kind, Kind::Withdrawal);
    // Ben was never given to the destination, so no withdrawal about him is sent.
    bench.take(signed("ben", "2", What::OptIn, at(4)), 4).await;
    bench.assert_balanced().await;
}

pub async fn an_id_is_found_with_its_namespace(open: Open) {
    let mut bench = bench(open).await;
    let foreign = |namespace: &str, id: &str| Identity::ForeignId {
        namespace: namespace.into(),
        id: id.to_owned(),
    };
    for (name, identity) in [
        ("ada", foreign("platform", "8812")),
        ("ben", foreign("other", "8812")),
        ("eva", foreign("platform", "urn:9")),
        ("kim", foreign("site:visitor", "v1")),
    ] {
        let mut event = synced(name, &[("city", "Bern")], at(0));
        event.identities.push(identity);
        bench.take(event, 0).await;
    }
    let mut event = synced("leo", &[("city", "Bern")], at(0));
    event.identities.push(contact_ref("8812"));
    bench.take(event, 0).await;
    for (words, names) in [
        ("8812", &["ada", "ben", "leo"][..]),
        ("platform:8812", &["ada"]),
        (" other:8812 ", &["ben"]),
        ("proca:8812", &["leo"]),
        ("contact_ref:proca:8812", &["leo"]),
        ("foreign_id:proca:8812", &[]),
        ("foreign_id:platform:8812", &["ada"]),
        ("urn:9", &["eva"]),
        ("platform:urn:9", &["eva"]),
        ("site:visitor:v1", &["kim"]),
        ("ADA@example.org", &["ada"]),
        ("plat:8812", &[]),
        ("platform:", &[]),
        (":8812", &[]),
        ("", &[]),
    ] {
        let mut expected = Vec::new();
        for name in names {
            expected.push(bench.person(name).await.id);
        }
        expected.sort_unstable();
        assert_eq!(
            bench.store().find_contacts(words).await.unwrap(),
            expected,
            "{words:?}"
        );
    }
    let found = bench.store().find_named("other:8812").await.unwrap();
    assert_eq!(found[0].identity, foreign("other", "8812"));
    assert_eq!(&*found[0].workspace, "default");
}
