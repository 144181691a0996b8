//! Proca's API beside its queue: actions that the queue lost, and actions that Proca no longer delivers.

use causeway::clock::SystemClock;
use causeway_core::clock::Clock;
use causeway_testkit::{
    fake_api::FakeApi,
    fake_proca::{FakeProca, ORG, Signed, State, TOKEN},
};
use jiff::SignedDuration;
use serde_json::Value;

use crate::running::{Home, Running};

/// There is no broker: the API works without the queue.
fn home(api: &FakeApi) -> Home {
    Home::new(&format!(
        "[source.proca]\nkind = 'proca'\nurl = 'amqp://a:b@127.0.0.1:1/v'\nqueue = 'cus.12.deliver'\nconsent = 'single'\n\
         [source.proca.reconcile]\nurl = '{}'\nallow_private = true\norg = '{ORG}'\nbearer = '{TOKEN}'\n\
         [destination.crm]\nkind = 'webhook'\nurl = '{}'\nallow_private = true\n\
         [destination.mail]\nkind = 'webhook'\nurl = '{}'\nallow_private = true\nconsent = 'opt_in'\n",
        api.url("/api"),
        api.url("/crm"),
        api.url("/mail"),
    ))
}

/// The time this number of seconds from now, in the format of the API.
fn in_seconds(seconds: i64) -> String {
    let at = SystemClock.now() + SignedDuration::from_secs(seconds);
    at.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

fn signed(id: i64, name: &str, state: State) -> Signed {
    let mut signed = Signed::new(id, name, Some(true));
    signed.created_at = in_seconds(-3_600 + id);
    signed.state = state;
    signed
}

async fn compared(home: &Home, hub: &Running) {
    home.until("it has compared", || {
        hub.log().contains("Compared with Proca's API.")
    })
    .await;
}

/// State and basis of the newest line of the ledger.
fn standing(home: &Home, name: &str) -> (String, String) {
    let address = format!("{name}@example.org");
    let account = home.json(&["contact", "consent", &address, "--json"])[0].clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let last = account["ledger"]
        .as_array()
        .and_then(|ledger| ledger.last())
        .cloned();
    (
        text(&account["consent_state"]["email"]["state"]),
        text(&last.unwrap_or_default()["basis"]),
    )
}

/// The changes of an address that a destination received, in order.
fn changes(api: &FakeApi, path: &str, name: &str) -> Vec<String> {
    let all = api.requests().into_iter().filter(|request| request.path == path);
    all.map(|request| request.json())
        .filter(|record| record["contact"]["email"] == format!("{name}@example.org"))
        .map(|record| record["change"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one story, in its order")]
async fn only_delivered_actions_opt_in_and_withdrawn_ones_opt_out() {
    let api = FakeApi::start().await;
    let proca = FakeProca::at(&api);
    for (id, name, state) in [
        (1, "ann", State::Delivered),
        (2, "bob", State::Delivered),
        (3, "cem", State::Delivered),
        (4, "ann", State::Confirming),
        (5, "dia", State::Confirming),
        (6, "eve", State::Rejected),
    ] {
        proca.add(signed(id, name, state));
    }
    let home = home(&api);
    let hub = home.serve();
    home.settled(3).await;
    compared(&home, &hub).await;
    hub.stop();
    for name in ["ann", "bob", "cem"] {
        assert_eq!(standing(&home, name).0, "opted_in", "{name}");
    }
    for name in ["dia", "eve"] {
        assert_eq!(
            home.run(&["contact", "show", &format!("{name}@example.org")])
                .code,
            1,
            "{name}"
        );
    }

    // "It wasn't me"; erased in Proca; bounced. Proca sends no message for the first two.
    proca.reject(1);
    proca.erase("bob");
    proca.change(3, "BOUNCE", &in_seconds(-60));
    let hub = home.serve();
    home.settled(6).await;
    compared(&home, &hub).await;
    let ready = hub.page("/readyz").await;
    assert!(ready.contains("no longer in Proca"), "{ready}");
    hub.stop();
    let (state, basis) = standing(&home, "ann");
    assert_eq!(state, "unsubscribed");
    assert_eq!(
        basis,
        "reconciliation: action 1 is rejected in Proca since it was delivered (\"it wasn't me\")"
    );
    let (state, basis) = standing(&home, "bob");
    assert_eq!(state, "unsubscribed");
    assert_eq!(
        basis,
        "reconciliation: action 2 is no longer in Proca, nor is its supporter"
    );
    assert_eq!(standing(&home, "cem").0, "suppressed");
    for (name, change) in [
        ("ann", "unsubscribe"),
        ("bob", "unsubscribe"),
        ("cem", "suppress"),
    ] {
        for path in ["/crm", "/mail"] {
            assert_eq!(changes(&api, path, name), ["subscribe", change], "{path} {name}");
        }
    }
    let doctor = home.run(&["doctor", "--timeout", "5"]).out;
    let gone: Vec<&str> = doctor
        .lines()
        .filter(|line| line.contains("is no longer in Proca"))
        .collect();
    assert!(
        gone.len() == 1 && gone[0].starts_with("WARN  source proca: contact "),
        "{doctor}"
    );
    let record = (1..=6)
        .map(|id| home.trace(id))
        .find(|record| record.to_string().contains("contact erase"));
    assert!(record.is_some(), "the trace says what to do");

    // A former finding does not end a later opt-in of the person.
    let mut again = signed(7, "ann", State::Delivered);
    again.created_at = in_seconds(60);
    proca.add(again);
    for _ in 0..2 {
        let hub = home.serve();
        home.settled(7).await;
        compared(&home, &hub).await;
        hub.stop();
        assert_eq!(standing(&home, "ann").0, "opted_in");
    }
    assert_eq!(
        changes(&api, "/mail", "ann"),
        ["subscribe", "unsubscribe", "subscribe"]
    );
    assert_eq!(home.run(&["audit"]).code, 0);
}

/// Proca sends a campaign's settings only when they change, and only to its owner.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_action_of_a_campaign_finds_its_settings() {
    let api = FakeApi::start().await;
    let proca = FakeProca::at(&api);
    proca.set_campaign(3, serde_json::json!({ "component": { "sync": { "list": 7 } } }));
    proca.add(signed(1, "ann", State::Delivered));
    let home = home(&api);
    let config = home.read("causeway.toml");
    home.write(
        "causeway.toml",
        format!("{config}[destination.mail.fields]\nEMAIL = 'contact.email'\nLIST = 'settings.list'\n"),
    );
    let hub = home.serve();
    home.settled(2).await;
    hub.stop();
    let sent: Vec<Value> = api
        .requests()
        .into_iter()
        .filter(|request| request.path == "/mail")
        .map(|request| request.json())
        .collect();
    assert_eq!(
        sent,
        [serde_json::json!({ "EMAIL": "ann@example.org", "LIST": 7 })],
        "{}",
        home.trace(2)
    );
    assert_eq!(home.trace(1)["event"], "campaign_updated");
}

/// No delivery waits for an API that does not answer, and the trace shows why a setting is missing.
#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_an_action_shows_that_its_settings_are_unavailable() {
    let api = FakeApi::start().await;
    let proca = FakeProca::at(&api);
    proca.set_campaigns_fail(Some("the database is away"));
    proca.add(signed(1, "ann", State::Delivered));
    let home = home(&api);
    let hub = home.serve();
    home.settled(1).await;
    let ready = hub.page("/readyz").await;
    assert!(
        ready.contains("did not give the settings of a campaign"),
        "{ready}"
    );
    hub.stop();
    let trace = home.ok(&["trace", "1"]);
    assert!(
        trace.contains("the settings of campaign 3 could not be asked for")
            && trace.contains("the database is away"),
        "{trace}"
    );
}
