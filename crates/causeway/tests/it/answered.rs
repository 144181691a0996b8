//! "Update contact from response" in one request: the real program responds with the contact after processing, and with the
//! response of a real HTTP destination, however that destination behaves.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use causeway_testkit::fake_api::{FakeApi, Reply, Request};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::running::{Home, Running, blocking, exchange};

const TOKEN: &str = "token-of-24-characters-asks";
const PLAIN: &str = "token-of-24-characters-does";
const FORM: &str = "application/x-www-form-urlencoded";

/// A CRM that gives each address an id of its own: `C-ann` for `ann@example.org`.
async fn crm(after: Duration) -> Arc<FakeApi> {
    let api = Arc::new(FakeApi::start().await);
    gives_ids(&api, after);
    api
}

fn gives_ids(api: &FakeApi, after: Duration) {
    api.compute_at("/crm", move |request: &Request| {
        Reply::json(200, &json!({ "data": { "id": format!("C-{}", name(request)) } })).after(after)
    });
}

/// The person of a request of the hub.
fn name(request: &Request) -> String {
    let body = request.json();
    let email = body["contact"]["email"].as_str().expect("an address");
    email.split('@').next().expect("a name").to_owned()
}

/// A listener with `answer`, another one without, and the CRM with further keys.
fn config(api: &FakeApi, answer: &str, keys: &str) -> String {
    format!(
        "[source.platform]\nkind = 'listener'\npreset = 'sync-to-third-party'\ntoken = '{TOKEN}'\nnamespace = 'p'\n\
         sync = {{ consent = 'opt_in' }}\n[source.platform.answer]\n{answer}\n\
         [source.plain]\nkind = 'listener'\npreset = 'sync-to-third-party'\ntoken = '{PLAIN}'\nnamespace = 'p'\n\
         sync = {{ consent = 'opt_in' }}\n\
         [destination.crm]\nkind = 'webhook'\nurl = '{}'\nallow_private = true\n{keys}\n\
         [destination.crm.update]\ncrm_id = 'data.id'\n",
        api.url("/crm")
    )
}

const AFTER: &str = "after = 'crm'\nwait_s = 20\ncrm_id = 'contact.crm_id'\ncrm.state = 'after.state'\n'crm.id' = 'contact.crm_id'\n\
     [source.platform.answer.fallback]\ncrm_id = 'none yet'";

fn body(transaction: u32, name: &str) -> String {
    format!(
        "transactionid={transaction}&contact[email]={name}@example.org&fields[0][name]=Colour&fields[0][value]=Ulm{transaction}"
    )
}

/// The status and the JSON of an answer.
fn read(answer: &str) -> (u16, Value) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .expect("a status");
    (status, serde_json::from_str(body).unwrap_or_default())
}

async fn ask(hub: &Running, transaction: u32, name: &str) -> Value {
    let (status, answer) = read(&hub.post(TOKEN, FORM, body(transaction, name).as_bytes()).await);
    assert_eq!(status, 200, "{answer}");
    answer
}

/// Sends a request with this `Accept` and returns the response as text.
async fn ask_for(hub: &Running, accept: &str, body: &str) -> String {
    let request = format!(
        "POST /in/{TOKEN}/ HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nAccept: {accept}\r\nContent-Type: {FORM}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(&hub.listener, request.as_bytes()).await;
    answer.split_once("\r\n\r\n").expect("a head").1.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_response_has_the_contact_after_the_message() {
    let api = crm(Duration::ZERO).await;
    let answer = "contact = 'contact_id'\nscore = 'lead.score'\nlabel = 'lead.status'\ntags = 'contact.tags'\n\
                  subscribed = 'consent.email.subscribed'\ncity = 'fields.Colour'\ngreeting = 'Dear {{ contact.email }}'\n\
                  tag = '=vip'\n[source.platform.answer.fallback]\ncity = 'nowhere'";
    let home = Home::new(&config(&api, answer, ""));
    let hub = home.serve();
    let body = "transactionid=1&contact[id]=7&contact[email]=ann@example.org&lead-status[score]=40&lead-status[label]=Hot";
    let (_, first) = read(&hub.post(TOKEN, FORM, body.as_bytes()).await);
    let contact = first["contact"].as_str().expect("an id").to_owned();
    assert_eq!(
        first,
        json!({ "status": "ok", "reference": "1", "contact": contact, "score": 40, "label": "Hot", "tags": [],
            "subscribed": true, "city": "nowhere", "greeting": "Dear ann@example.org", "tag": "vip" })
    );
    let city = format!("{body}&fields[0][name]=Colour&fields[0][value]=Ulm")
        .replace("transactionid=1", "transactionid=2");
    let (_, second) = read(&hub.post(TOKEN, FORM, city.as_bytes()).await);
    assert_eq!(
        (&second["contact"], &second["city"]),
        (&json!(contact), &json!("Ulm"))
    );
    // A duplicate gets the number of the first message, and the present values.
    let (_, again) = read(&hub.post(TOKEN, FORM, body.as_bytes()).await);
    assert_eq!(again["city"], "Ulm", "{again}");
    // An invalid message is stored, and its response has the same keys.
    let (status, dead) = read(&hub.post(TOKEN, "application/json", b"{\"broken\":").await);
    let names = |answer: &Value| {
        answer
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!((status, names(&dead)), (200, names(&first)));
    assert_eq!((&dead["contact"], &dead["tag"]), (&Value::Null, &json!("vip")));
    // The same holds for a request that only tests the URL.
    let probe = hub.get(TOKEN).await;
    assert_eq!(names(&read(&probe).1), names(&first));
    hub.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_maps_the_id_of_the_crm_back_plain_and_nested() {
    let api = crm(Duration::from_millis(300)).await;
    let home = Home::new(&config(&api, AFTER, ""));
    let hub = home.serve();
    let expected = json!({ "status": "ok", "reference": "1", "crm_id": "C-ann", "crm": { "state": "delivered", "id": "C-ann" } });
    assert_eq!(ask(&hub, 1, "ann").await, expected);
    assert_eq!(ask(&hub, 1, "ann").await, expected, "a duplicate");
    let xml = ask_for(&hub, "application/json;q=0.5, application/xml", &body(1, "ann")).await;
    assert!(
        xml.contains("<crm_id>C-ann</crm_id><crm><state>delivered</state><id>C-ann</id></crm>"),
        "{xml}"
    );
    let form = ask_for(&hub, FORM, &body(1, "ann")).await;
    assert_eq!(
        form,
        "status=ok&reference=1&crm_id=C-ann&crm%5Bstate%5D=delivered&crm%5Bid%5D=C-ann"
    );
    home.settled(1).await;
    assert_eq!(api.requests().len(), 1, "one request, whoever asks");
    assert_eq!(
        home.trace(1)["deliveries"][0]["attempts"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    hub.stop();
}

/// The values of the response that come from the CRM.
fn of_crm(answer: &Value) -> (&str, &str) {
    assert_eq!(answer["status"], "ok", "{answer}");
    let reference = answer["reference"].as_str().unwrap_or_default();
    assert!(reference.parse::<u64>().is_ok(), "{answer}");
    let state = answer["crm"]["state"].as_str().expect("a state");
    let is_known = answer["crm_id"] != "none yet";
    assert_eq!(answer["crm"]["id"].is_string(), is_known, "{answer}");
    (answer["crm_id"].as_str().expect("an id"), state)
}

const NOTHING: (&str, &str) = ("none yet", "waiting");

#[tokio::test(flavor = "multi_thread")]
async fn a_crm_that_fails_hangs_or_rests_gives_the_fallback() {
    let api = crm(Duration::ZERO).await;
    let answer = AFTER.replace("wait_s = 20", "wait_s = 4");
    let keys = "retry_s = [600]\ntimeout_s = 600\ncircuit_failures = 3";
    let home = Home::new(&config(&api, &answer, keys));
    let hub = home.serve();
    api.script("/crm", [Reply::status(500), Reply::status(422), Reply::hang()]);
    // The next attempt is in ten minutes, so the sender does not wait for it.
    let started = Instant::now();
    assert_eq!(of_crm(&ask(&hub, 1, "ann").await), NOTHING);
    assert_eq!(
        of_crm(&ask(&hub, 1, "ann").await),
        NOTHING,
        "nor does a duplicate"
    );
    assert_eq!(of_crm(&ask(&hub, 2, "ben").await), ("none yet", "dead"));
    assert!(
        started.elapsed() < Duration::from_secs(12),
        "{:?}",
        started.elapsed()
    );
    // No response of the CRM within the sender's time; other senders are not affected.
    let started = Instant::now();
    assert_eq!(of_crm(&ask(&hub, 3, "cora").await), NOTHING);
    assert!(
        started.elapsed() >= Duration::from_secs(4),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(of_crm(&ask(&hub, 4, "dora").await), ("C-dora", "delivered"));
    // Nobody waits for a paused lane, once the lane has read the pause.
    home.ok(&["delivery", "pause", "crm"]);
    home.until("the lane has seen it", || hub.log().contains(r#""paused":true"#))
        .await;
    let started = Instant::now();
    let emil = ask(&hub, 5, "emil").await;
    assert_eq!(of_crm(&emil), NOTHING);
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "{:?}",
        started.elapsed()
    );
    home.ok(&["delivery", "resume", "crm"]);
    let number: u64 = emil["reference"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("a number");
    home.until("emil is delivered", || {
        home.trace(number)["deliveries"][0]["delivery"]["state"] == "delivered"
    })
    .await;
    let again = ask(&hub, 5, "emil").await;
    assert_eq!(
        of_crm(&again),
        ("C-emil", "delivered"),
        "the duplicate has what came in the meantime"
    );
    assert_eq!(again["reference"], emil["reference"]);
    hub.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_without_consent_for_the_crm_gets_a_response_at_once() {
    let api = crm(Duration::ZERO).await;
    let home = Home::new(&config(&api, AFTER, "consent = 'double_opt_in'"));
    let hub = home.serve();
    let started = Instant::now();
    let (id, state) = (
        ask(&hub, 1, "ann").await["crm_id"].clone(),
        ask(&hub, 1, "ann").await["crm"]["state"].clone(),
    );
    assert_eq!((id, state), (json!("none yet"), json!("skipped")));
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
    assert!(api.requests().is_empty());
    hub.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waited_for_delivery_overtakes_the_backlog_but_not_its_own_contact() {
    // Each call takes longer than the recording of one.
    let api = crm(Duration::from_millis(250)).await;
    // No other delivery starts while the first one is in flight.
    api.script(
        "/crm",
        [Reply::json(200, &json!({})).after(Duration::from_secs(8))],
    );
    let home = Home::new(&config(&api, AFTER, "concurrency = 1"));
    let hub = home.serve();
    hub.post(PLAIN, FORM, body(1, "first").as_bytes()).await;
    api.wait_for(1).await;
    for number in 0..15 {
        hub.post(
            PLAIN,
            FORM,
            body(100 + number, &format!("other{number}")).as_bytes(),
        )
        .await;
    }
    hub.post(PLAIN, FORM, body(200, "ann").as_bytes()).await;
    let (ann, ben) = tokio::join!(ask(&hub, 201, "ann"), ask(&hub, 202, "ben"));
    assert_eq!(
        (&ann["crm_id"], &ben["crm_id"]),
        (&json!("C-ann"), &json!("C-ben"))
    );
    home.settled(19).await;
    let sent: Vec<String> = api.requests().iter().map(name).collect();
    // While the first of two deliveries of a contact is recorded, a free slot may start one or two other deliveries.
    let early = sent.get(1..7).expect("requests").iter();
    assert_eq!(
        early.filter(|name| !name.starts_with("other")).count(),
        3,
        "{sent:?}"
    );
    assert_eq!(sent.len(), 19, "{sent:?}");
    // The deliveries of each contact are in the order of its messages.
    let mut last = std::collections::BTreeMap::new();
    for request in api.requests() {
        let reference: u64 = request.json()["reference"]
            .as_str()
            .and_then(|text| text.parse().ok())
            .expect("a number");
        let before = last.insert(name(&request), reference);
        assert!(
            before.is_none_or(|before| before < reference),
            "{}",
            name(&request)
        );
    }
    hub.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_concurrent_requests_get_a_response_or_a_retry_after() {
    let api = crm(Duration::from_millis(20)).await;
    let answer = AFTER.replace("wait_s = 20", "wait_s = 60\nconcurrency = 50");
    let home = Home::new(&config(&api, &answer, "concurrency = 8"));
    let hub = Arc::new(home.serve());
    let mut left: BTreeSet<u32> = (0..200).collect();
    let (mut rounds, mut refused) = (0, 0);
    while !left.is_empty() {
        rounds += 1;
        assert!(rounds < 60, "never answered: {left:?}");
        let mut asked = JoinSet::new();
        for number in left.clone() {
            let hub = Arc::clone(&hub);
            asked.spawn(async move {
                (
                    number,
                    hub.post(TOKEN, FORM, body(number + 1, &format!("p{number}")).as_bytes())
                        .await,
                )
            });
        }
        while let Some(answered) = asked.join_next().await {
            let (number, text) = answered.expect("a request");
            let (status, answer) = read(&text);
            if status == 503 {
                refused += 1;
                assert!(text.to_lowercase().contains("\r\nretry-after: 1\r\n"), "{text}");
            } else {
                assert_eq!(
                    (status, &answer["crm_id"]),
                    (200, &json!(format!("C-p{number}"))),
                    "{text}"
                );
                left.remove(&number);
            }
        }
    }
    assert!(refused > 0, "all of them waited");
    home.settled(200).await;
    assert_eq!(api.requests().len(), 200, "each once");
    let hub = Arc::into_inner(hub).expect("nobody else has it");
    hub.stop();
    assert_eq!(home.run(&["audit"]).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_loses_nothing_and_the_next_try_gets_the_id() {
    let api = crm(Duration::ZERO).await;
    api.script("/crm", [Reply::hang()]);
    let home = Home::new(&config(&api, AFTER, ""));
    let hub = home.serve();
    let request = format!(
        "POST /in/{TOKEN} HTTP/1.1\r\nHost: hub\r\nContent-Type: {FORM}\r\nContent-Length: {}\r\n\r\n{}",
        body(1, "ann").len(),
        body(1, "ann")
    );
    let waiting = tokio::spawn({
        let address = hub.listener.clone();
        async move {
            let mut stream = tokio::net::TcpStream::connect(address)
                .await
                .expect("a connection");
            tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes())
                .await
                .expect("it is sent");
            let mut answer = Vec::new();
            drop(tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await);
            answer
        }
    });
    api.wait_for(1).await;
    drop(hub);
    assert!(
        waiting.await.expect("it ends").is_empty(),
        "killed before the answer"
    );
    let hub = home.serve();
    assert_eq!(ask(&hub, 1, "ann").await["crm_id"], "C-ann");
    home.settled(1).await;
    let keys: BTreeSet<String> = api
        .requests()
        .iter()
        .filter_map(|request| request.header("idempotency-key").map(str::to_owned))
        .collect();
    assert_eq!(
        (api.requests().len(), keys.len()),
        (2, 1),
        "sent again under the same key"
    );
    hub.stop();
    assert_eq!(home.run(&["audit"]).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_waits_when_the_hub_stops_gets_the_known_state() {
    let api = crm(Duration::ZERO).await;
    api.script("/crm", [Reply::hang()]);
    let home = Home::new(&config(&api, AFTER, ""));
    let hub = home.serve();
    let address = hub.listener.clone();
    let (head, body) = (
        format!("POST /in/{TOKEN} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n"),
        body(1, "ann"),
    );
    let request = format!(
        "{head}Content-Type: {FORM}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let waiting = tokio::spawn(async move { exchange(&address, request.as_bytes()).await });
    api.wait_for(1).await;
    blocking(move || hub.stop()).await;
    let (status, answer) = read(&waiting.await.expect("it is answered"));
    assert_eq!((status, of_crm(&answer)), (200, NOTHING));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_destination_is_refused_with_its_place() {
    let api = crm(Duration::ZERO).await;
    for (answer, part) in [
        ("after = 'cmr'", "there is no destination \"cmr\""),
        ("after = 'crm'\nwait_s = 500", "must be 1 to 120 seconds"),
        ("score = 'lead.scroe'", "did you mean lead.score?"),
        ("id = 'after.id'", "answer.after = \"crm\""),
    ] {
        let home = Home::new(&config(&api, answer, ""));
        let said = home.run(&["config", "check"]);
        assert!(said.code == 2 && said.err.contains(part), "{answer}: {said:?}");
        assert!(said.err.contains("causeway.toml:"), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_get_arrives_and_gets_a_response() {
    let home = Home::new(&format!(
        "[source.journey]\nkind = 'listener'\npreset = 'generic'\ntoken = '{TOKEN}'\n\
         generic = {{ email = 'param1' }}\nanswer = {{ city = 'contact.param2', 'main.sub' = 'contact.email' }}\n"
    ));
    let hub = home.serve();
    // As in the platform's documentation, with replaced shortcodes, a slash before the query and an & at its end.
    let answer = hub
        .get(&format!("{TOKEN}/?param1=ann%40example.org&param2=Ulm&"))
        .await;
    let (status, answer) = read(&answer);
    assert_eq!(status, 200);
    assert_eq!(
        (&answer["city"], &answer["main"]["sub"]),
        (&json!("Ulm"), &json!("ann@example.org"))
    );
    hub.stop();
}

/// The configurations with `answer` on the page about listeners are valid.
#[test]
fn the_documented_answers_pass_the_check() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/listener.md");
    let page = std::fs::read_to_string(path).expect("the page");
    let blocks = page
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let with_answer: Vec<&str> = blocks.filter(|block| block.contains(".answer]")).collect();
    assert_eq!(with_answer.len(), 2);
    for block in with_answer {
        let home = Home::new(block).with("PLATFORM_TOKEN", TOKEN);
        let said = home.run(&["config", "check"]);
        assert_eq!(said.code, 0, "{said:?}");
        // The check really reads them.
        let wrong = Home::new(&block.replace("lead.score", "lead.scroe")).with("PLATFORM_TOKEN", TOKEN);
        let said = wrong.run(&["config", "check"]);
        assert!(said.err.contains("answer.score"), "{said:?}");
    }
}
