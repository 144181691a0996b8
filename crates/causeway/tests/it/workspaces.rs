//! Two organisations on one hub with the same people: each gets exactly the data that it would get on a separate hub.

use causeway_testkit::fake_api::FakeApi;
use serde_json::Value;

use crate::running::{Home, Running, signature, status};

const SIDES: [&str; 2] = ["bees", "rivers"];

fn token(side: &str) -> String {
    format!("token-of-24-characters-of-{side}")
}

/// A hub for these organisations, each with its own source and destinations.
fn home(api: &FakeApi, run: &str, sides: &[&str]) -> Home {
    let section = |side: &&str| {
        format!(
            "[source.{side}]\nkind = 'listener'\npreset = 'proca'\nworkspace = '{side}'\ntoken = '{}'\n\
             proca = {{ own_orgs = [12], consent = 'single' }}\n\
             [destination.{side}-all]\nkind = 'webhook'\nworkspace = '{side}'\nurl = '{}'\nallow_private = true\nconsent = 'all'\n\
             [destination.{side}-mail]\nkind = 'webhook'\nworkspace = '{side}'\nurl = '{}'\nallow_private = true\nconsent = 'opt_in'\n",
            token(side),
            api.url(&format!("/{run}/{side}/all")),
            api.url(&format!("/{run}/{side}/mail")),
        )
    };
    Home::new(&sides.iter().map(section).collect::<String>())
}

enum Step {
    Signs(u32, &'static str, Option<bool>),
    Becomes(u32, &'static str, &'static str),
}
use Step::{Becomes, Signs};

/// Steps and their organisations. Both have the same people, and even the same ids of actions, as two Proca servers would.
const STORY: [(&str, Step); 10] = [
    ("bees", Signs(1, "ann", Some(true))),
    ("rivers", Signs(1, "ann", Some(false))),
    ("rivers", Signs(2, "bob", Some(true))),
    ("bees", Becomes(1, "ann", "unsub")),
    ("rivers", Becomes(1, "ann", "double_opt_in")),
    ("bees", Signs(2, "bob", None)),
    ("rivers", Becomes(2, "bob", "bounce")),
    ("bees", Signs(3, "cem", Some(true))),
    ("rivers", Signs(3, "cem", Some(true))),
    ("bees", Becomes(2, "bob", "double_opt_in")),
];

async fn play(hub: &Running, home: &Home, sides: &[&str]) {
    let steps = STORY.iter().filter(|(side, _)| sides.contains(side));
    for (number, (side, step)) in (1..).zip(steps) {
        let body = match step {
            Signs(id, name, opt_in) => signature(12, *id, name, *opt_in),
            Becomes(id, name, what) => status(*id, name, what),
        };
        hub.post_json(&token(side), &body).await;
        // One after the other, so that the requests do not depend on timing.
        home.settled(number).await;
    }
}

/// The records that a destination received, without message numbers.
fn received(api: &FakeApi, path: &str) -> Vec<Value> {
    let requests = api.requests().into_iter().filter(|request| request.path == path);
    requests
        .map(|request| {
            let mut record = request.json();
            record.as_object_mut().expect("a record").remove("reference");
            record
        })
        .collect()
}

/// Hides the name of the campaign, which differs.
fn without_campaign(shown: &str) -> String {
    shown.replace("clean_rivers", "the campaign")
}

/// Only one of the organisations is asked to erase her, so the command must name it.
async fn forget_in_one(home: &Home, api: &FakeApi) {
    let unsure = home.run(&["contact", "erase", "ann@example.org", "--yes"]);
    assert_eq!(unsure.code, 2, "{unsure:?}");
    assert!(
        unsure.err.contains("several workspaces: bees, rivers"),
        "{unsure:?}"
    );
    let in_bees = without_campaign(&home.ok(&["trace", "--email", "ann@example.org", "--workspace", "bees"]));
    assert!(
        in_bees.contains("(workspace bees)") && !in_bees.contains("rivers"),
        "{in_bees}"
    );
    assert_eq!(
        home.run(&["trace", "--email", "ann@example.org", "--workspace", "hills"])
            .code,
        1
    );
    home.ok(&[
        "contact",
        "erase",
        "ann@example.org",
        "--workspace",
        "bees",
        "--yes",
    ]);
    home.until("she is erased", || {
        home.json(&["contact", "export", "ann@example.org"])
            .as_array()
            .map(Vec::len)
            == Some(1)
    })
    .await;
    for (path, times) in [
        ("bees/all", 1),
        ("bees/mail", 1),
        ("rivers/all", 0),
        ("rivers/mail", 0),
    ] {
        let removals = received(api, &format!("/together/{path}"));
        let removals: Vec<_> = removals
            .iter()
            .filter(|record| record["change"] == "remove")
            .collect();
        assert_eq!(removals.len(), times, "{path}: {removals:?}");
        for removal in removals {
            assert_eq!(removal["contact"]["email"], "ann@example.org");
            assert_eq!(removal["consent"]["email"]["subscribed"], false);
            assert!(!removal.to_string().contains("Testperson"), "{removal}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workspaces_with_the_same_people_never_touch() {
    let api = FakeApi::start().await;
    for side in SIDES {
        let home = home(&api, "alone", &[side]);
        let hub = home.serve();
        play(&hub, &home, &[side]).await;
        hub.stop();
    }
    let home = home(&api, "together", &SIDES);
    let hub = home.serve();
    play(&hub, &home, &SIDES).await;
    for side in SIDES {
        for destination in ["all", "mail"] {
            let alone = received(&api, &format!("/alone/{side}/{destination}"));
            let together = received(&api, &format!("/together/{side}/{destination}"));
            assert!(!alone.is_empty(), "{side} {destination}");
            assert_eq!(together, alone, "{side} {destination}");
            assert!(together.iter().all(|record| record["workspace"] == side));
        }
    }
    let people = home.json(&["contact", "export", "ann@example.org"]);
    assert_eq!(people.as_array().map(Vec::len), Some(2), "one in each: {people}");
    let standing = |side: &str| home.ok(&["contact", "show", "ann@example.org", "--workspace", side]);
    assert!(
        standing("bees").contains("email: unsubscribed"),
        "{}",
        standing("bees")
    );
    let in_bees = without_campaign(&standing("bees"));
    assert!(!in_bees.contains("rivers"), "{in_bees}");
    assert!(
        !standing("rivers").contains("unsubscribed"),
        "{}",
        standing("rivers")
    );

    forget_in_one(&home, &api).await;
    let left = home.json(&["contact", "export", "ann@example.org"]);
    assert_eq!(left.as_array().map(Vec::len), Some(1), "{left}");
    assert_eq!(left[0]["workspace"], "rivers");
    let before = (
        received(&api, "/together/bees/all").len(),
        received(&api, "/together/rivers/all").len(),
    );
    for (side, received) in [("bees", 12), ("rivers", 13)] {
        hub.post_json(&token(side), &signature(12, 9, "ann", Some(true)))
            .await;
        home.settled(received).await;
    }
    let after = (
        received(&api, "/together/bees/all").len(),
        received(&api, "/together/rivers/all").len(),
    );
    assert_eq!(
        after,
        (before.0, before.1 + 1),
        "the erased one stays away there, and only there"
    );
    let missing = home.run(&["contact", "show", "ann@example.org", "--workspace", "bees"]);
    assert_eq!(missing.code, 1, "{missing:?}");
    assert_eq!(home.run(&["audit"]).code, 0);
    hub.stop();
}

/// An opt-in to one organisation is not an opt-in to another.
#[tokio::test(flavor = "multi_thread")]
async fn each_organisation_has_the_answer_that_was_given_to_it() {
    let api = FakeApi::start().await;
    let section = |org: u32, workspace: &str| {
        format!(
            "[source.org{org}]\nkind = 'listener'\npreset = 'proca'\n{workspace}token = '{}'\n\
             proca = {{ own_orgs = [{org}], consent = 'single' }}\n",
            token(&org.to_string())
        )
    };
    let mixed = Home::new(&[1, 2].map(|org| section(org, "")).concat());
    let refused = mixed.run(&["config", "check"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(
        refused.err.contains("an opt-in to one would count for the other"),
        "{refused:?}"
    );

    let apart = [1, 2].map(|org| {
        let destinations = ["all", "opt_in"].map(|consent| {
            format!(
                "[destination.{consent}{org}]\nkind = 'webhook'\nworkspace = 'org{org}'\nurl = '{}'\nallow_private = true\n\
                 consent = '{consent}'\n",
                api.url(&format!("/{consent}/{org}"))
            )
        });
        section(org, &format!("workspace = 'org{org}'\n")) + &destinations.concat()
    });
    let home = Home::new(&apart.concat());
    let hub = home.serve();
    for (org, opt_in) in [(1, true), (2, false)] {
        let body = signature(org, 100 + org, "ann", Some(opt_in));
        hub.post_json(&token(&org.to_string()), &body).await;
    }
    home.settled(2).await;
    hub.stop();
    let changes = |path: &str| -> Vec<Value> {
        let requests = api.requests().into_iter().filter(|request| request.path == path);
        requests.map(|request| request.json()["change"].clone()).collect()
    };
    assert_eq!(changes("/all/1"), ["subscribe"]);
    assert_eq!(changes("/opt_in/1"), ["subscribe"]);
    assert_eq!(changes("/all/2"), ["none"]);
    assert_eq!(changes("/opt_in/2"), [""; 0]);
}
