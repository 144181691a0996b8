//! Messages signed long before they arrived: their opt-outs count at once, the rest only after a replay.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::running::{Home, Running, exchange};

const TOKEN: &str = "site-token-of-24-characters";
const SECRET: &str = "a-secret-of-at-least-24-characters";
const HOUR_S: i64 = 3_600;

#[expect(
    clippy::disallowed_methods,
    reason = "the hub that runs has the system's clock"
)]
/// Posts a message that was signed this number of seconds ago.
async fn post(hub: &Running, signed_ago_s: i64, body: &Value) {
    let at = jiff::Timestamp::now().as_second() - signed_ago_s;
    let body = body.to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key");
    mac.update(format!("{at}.{body}").as_bytes());
    let signature = mac
        .finalize()
        .into_bytes()
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let request = format!(
        "POST /in/{TOKEN} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Stripe-Signature: t={at},v1={signature}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(&hub.listener, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

fn standing(home: &Home, name: &str) -> String {
    let account = &home.json(&["contact", "consent", &format!("{name}@example.org"), "--json"])[0];
    account["consent_state"]["email"]["state"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_opt_outs_of_a_late_message_count_at_once() {
    let home = Home::new(&format!(
        "[source.s]\nkind = 'listener'\npreset = 'generic'\ntoken = '{TOKEN}'\n\
         signature = {{ scheme = 'stripe-like', secrets = '{SECRET}' }}\n\
         [[source.s.generic.consent_from]]\nfield = 'status'\nopt_in = ['in']\nunsubscribed = ['out']\n\
         [destination.crm]\nkind = 'file'\npath = 'crm.jsonl'\n\
         fields = {{ email = 'contact.email', change = 'change' }}\n"
    ));
    let hub = home.serve();
    let says = |name: &str, status: &str| json!({ "email": format!("{name}@example.org"), "status": status, "city": "Bern", "n": home.read("crm.jsonl").len() });
    for name in ["ann", "bob"] {
        post(&hub, 0, &says(name, "in")).await;
    }
    home.settled(2).await;

    // The sender could not reach the hub for an hour.
    post(&hub, HOUR_S, &says("cid", "out")).await;
    home.settled(3).await;
    assert_eq!(standing(&home, "cid"), "unsubscribed");
    let trace = home.ok(&["trace", "3"]);
    assert!(trace.contains("only its opt-outs count"), "{trace}");
    assert!(home.ok(&["contact", "show", "cid@example.org"]).contains("cid"));
    assert!(!home.ok(&["contact", "show", "cid@example.org"]).contains("Bern"));

    // Bob opted in since then, so the earlier signature does not override it.
    post(&hub, HOUR_S, &says("bob", "out")).await;
    home.settled(4).await;
    assert_eq!(standing(&home, "bob"), "opted_in");

    // The sender's clock is ahead, but the opt-out counts now.
    post(&hub, -HOUR_S, &says("ann", "out")).await;
    home.settled(5).await;
    assert_eq!(standing(&home, "ann"), "unsubscribed");
    home.until("the destination receives the withdrawal", || {
        home.read("crm.jsonl").contains("unsubscribe")
    })
    .await;

    // A late opt-in never counts, whether it is replayed or not.
    post(&hub, HOUR_S, &says("dan", "in")).await;
    home.settled(6).await;
    let trace = home.ok(&["trace", "6"]);
    assert!(trace.contains("it had no effect"), "{trace}");
    home.ok(&["replay", "3"]);
    home.until("it is processed", || {
        home.ok(&["contact", "show", "cid@example.org"]).contains("Bern")
    })
    .await;
    assert_eq!(standing(&home, "cid"), "unsubscribed");
    home.ok(&["replay", "6"]);
    home.until("it is processed", || {
        home.run(&["contact", "show", "dan@example.org"]).code == 0
    })
    .await;
    assert_eq!(standing(&home, "dan"), "");
    hub.stop();
}
