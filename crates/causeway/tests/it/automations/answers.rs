//! Responses of destinations update the contact and are sent to other destinations; chains of responses end.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::Arc,
};

use causeway_testkit::{
    fake_api::{FakeApi, Reply, Request},
    rig::port,
};
use serde_json::{Value, json};

use super::world::{SOURCES, World, hook};
use crate::running::signature;

const START: &str = "2026-01-05T08:30:00Z";

fn field<'a>(person: &'a Value, name: &str) -> &'a Value {
    &person["contact"]["fields"][name]["v"]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_stored_and_sent_to_all_other_destinations() {
    let api = Arc::new(FakeApi::start().await);
    api.reply_at("/crm", Reply::json(200, &json!({ "crm_id": "C-9" })));
    let config = [
        SOURCES,
        &hook(
            &api,
            "crm",
            "consent = 'all'\nupdate = { crm_id = 'crm_id' }\ntakes = 'all'",
        ),
        &hook(&api, "office", "consent = 'all'"),
        &hook(&api, "desk", "consent = 'all'\ntakes = 'automations'"),
        "[[automation]]\nname = 'Is in the CRM'\non = { field_changed = 'crm_id' }\nwhen = \"contact.crm_id == 'C-9'\"\n\
         then = [{ deliver = ['desk', 'crm'] }]\n",
    ];
    let world = World::start(&api, START, &config.concat()).await;
    let record = world.acts(&signature(12, 1, "ann", Some(true))).await;
    assert_eq!(field(&world.person("ann"), "crm_id"), "C-9");
    assert_eq!(
        world.summaries("crm"),
        ["record ann"],
        "a response is not sent back, not even by an automation"
    );
    assert_eq!(world.summaries("office"), ["record ann", "contact ann"]);
    let received: Vec<Value> = world.received("office");
    assert_eq!(received[0]["contact"].get("crm_id"), None);
    assert_eq!(received[1]["contact"]["crm_id"], "C-9");
    let sources: Vec<&Value> = received.iter().map(|record| &record["source"]).collect();
    assert_eq!(
        sources,
        ["proca", "proca"],
        "the source of the action that led to it"
    );
    assert_eq!(world.summaries("desk"), ["contact ann"]);
    let [answer] = world.follow_ups(record)[..] else {
        panic!("{}", world.trace(record));
    };
    let trace = world.trace(answer);
    for line in [
        format!("message {answer} from ~answers (workspace default)\n"),
        format!("  because of message {record}\n"),
        "  automation Is in the CRM: ran: to desk, crm\n".to_owned(),
    ] {
        assert!(trace.contains(&line), "{line}{trace}");
    }

    // A repeated response has no new information: no message is stored, and nothing is sent.
    let second = world.acts(&signature(12, 2, "ann", Some(true))).await;
    assert_eq!(world.follow_ups(second), Vec::<u64>::new());
    assert_eq!(
        (world.summaries("crm").len(), world.summaries("office").len()),
        (2, 3)
    );
    assert_eq!(world.came("~answers").await, (1, 0));
    world.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_responses_ends_after_the_third() {
    let api = Arc::new(FakeApi::start().await);
    // Both count their requests, so that every response is new information for the other one.
    for name in ["left", "right"] {
        let count = std::sync::atomic::AtomicU64::new(0);
        api.compute_at(&format!("/{name}"), move |_: &Request| {
            let count = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Reply::json(200, &json!({ "count": count }))
        });
    }
    let config = [
        SOURCES,
        &hook(&api, "left", "consent = 'all'\nupdate = { left = 'count' }"),
        &hook(&api, "right", "consent = 'all'\nupdate = { right = 'count' }"),
    ];
    let world = World::start(&api, START, &config.concat()).await;
    world.acts(&signature(12, 1, "ann", Some(true))).await;
    // Each of the two chains has the record, and then three responses that are sent to the other destination.
    assert_eq!(
        (world.summaries("left").len(), world.summaries("right").len()),
        (4, 4)
    );
    let last = world.newest_of("ann");
    assert!(
        world
            .trace(last)
            .contains("the chain of responses is too long: it updates the contact and is not sent"),
        "{}",
        world.trace(last)
    );
    assert_eq!(field(&world.person("ann"), "left"), 3);
    world.ends_well().await;
}

const TOKEN: &str = "token-of-24-characters-peers";

/// A hub that sends everything to another one, and stores its responses.
fn peer(to: &str, own: &str) -> String {
    format!(
        "[source.peer]\nkind = 'listener'\npreset = 'sync-to-third-party'\ntoken = '{TOKEN}'\n\
         {SOURCES}\
         [destination.peer]\nkind = 'webhook'\nurl = '{to}'\nallow_private = true\nconsent = 'all'\n\
         content = 'form'\nsync = 'all'\n{own}\n"
    )
}

async fn two_hubs(there: &str, back: &str, ports: [u16; 2], update: [&str; 2]) -> [World; 2] {
    let api = Arc::new(FakeApi::start().await);
    let mut worlds = Vec::new();
    for (listen, (to, update)) in ports.into_iter().zip([there, back].into_iter().zip(update)) {
        worlds.push(World::at(&api, START, listen, &peer(to, update)).await);
    }
    worlds.try_into().unwrap_or_else(|_| panic!("two hubs"))
}

/// Waits until both hubs were idle twice in a row.
async fn settle(one: &World, other: &World) -> (u64, u64) {
    let mut before = None;
    loop {
        one.settles().await;
        other.settles().await;
        let all = (one.planned("peer").await, other.planned("peer").await);
        assert!(all.0 + all.1 < 40, "it goes on and on: {all:?}");
        if before == Some(all) {
            return all;
        }
        before = Some(all);
    }
}

fn assert_same(one: &World, other: &World, fields: &[&str]) {
    let (here, there) = (one.person("ann"), other.person("ann"));
    for name in fields {
        assert!(!field(&here, name).is_null(), "{name}: {here}");
        assert_eq!(field(&here, name), field(&there, name), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hubs_that_send_to_each_other_settle() {
    let ports = [port::free(), port::free()];
    let url = |port: u16| format!("http://127.0.0.1:{port}/in/{TOKEN}");
    // Every response is different, because it is a message number.
    let update = [
        "update = { there = 'reference' }",
        "update = { here = 'reference' }",
    ];
    let [one, other] = two_hubs(&url(ports[1]), &url(ports[0]), ports, update).await;
    one.acts(&signature(12, 1, "ann", Some(true))).await;
    assert_eq!(settle(&one, &other).await, (1, 1));
    assert_same(
        &one,
        &other,
        &["email", "firstName", "lastName", "postcode", "country"],
    );
    let echo = one.home.json(&["trace", "--email", "ann@example.org", "--json"]);
    let echoes: Vec<&Value> = echo
        .as_array()
        .expect("records")
        .iter()
        .filter(|trace| trace["inbox"]["source"] == "peer")
        .collect();
    assert_eq!(echoes.len(), 1, "{echo}");
    let decision = echoes[0]["decision"].as_str().expect("a decision");
    assert!(
        decision.contains("an echo of what this hub sent: it updates the contact and is not sent"),
        "{decision}"
    );
    // A change at the other hub comes here and ends here.
    other
        .send_events(
            &json!({ "type": "contact", "contact": { "email": "ann@example.org" },
                        "fields": { "colour": "green" } }),
        )
        .await;
    settle(&one, &other).await;
    assert_same(&one, &other, &["colour", "firstName"]);
    let before = settle(&one, &other).await;
    assert!(before.0 + before.1 <= 4, "{before:?}");
    one.ends_well().await;
    other.ends_well().await;
}

/// A proxy that forwards requests to the hub at `port` without the header with the passed hubs, and responds with an own id
/// of the person. Returns its address.
///
/// It blocks, so it runs on its own thread.
fn relay(port: u16) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            pass_on(stream.expect("a connection"), port).expect("it is passed on");
        }
    });
    format!("http://{address}/")
}

fn pass_on(stream: TcpStream, port: u16) -> std::io::Result<()> {
    let mut from = BufReader::new(stream);
    let mut head = format!("POST /in/{TOKEN} HTTP/1.1\r\nConnection: close\r\n");
    let (mut length, mut came_through) = (0, false);
    from.read_line(&mut String::new())?;
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        let (name, value) = line.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "" => break,
            "causeway-via" => {
                came_through = true;
                continue;
            }
            "connection" => continue,
            "content-length" => length = value.trim().parse().expect("a length"),
            _ => {}
        }
        head += &line;
    }
    assert!(came_through, "a hub says that it sent it: {head}");
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    let mut to = TcpStream::connect(("127.0.0.1", port))?;
    to.write_all(&[format!("{head}\r\n").as_bytes(), &body].concat())?;
    let mut answer = String::new();
    to.read_to_string(&mut answer)?;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let said = json!({ "id": format!("at-{port}") }).to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{said}",
        said.len()
    );
    from.into_inner().write_all(answer.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hubs_settle_even_if_a_proxy_drops_the_header() {
    let ports = [port::free(), port::free()];
    let update = ["update = { there = 'id' }", "update = { here = 'id' }"];
    let [one, other] = two_hubs(&relay(ports[1]), &relay(ports[0]), ports, update).await;
    one.acts(&signature(12, 1, "ann", Some(true))).await;
    settle(&one, &other).await;
    let names = ["email", "firstName", "lastName", "postcode", "country"];
    assert_same(&one, &other, &names);
    other
        .send_events(
            &json!({ "type": "contact", "contact": { "email": "ann@example.org" },
                        "fields": { "colour": "green" } }),
        )
        .await;
    settle(&one, &other).await;
    assert_same(&one, &other, &["colour", "there", "here"]);
    assert_eq!(
        field(&one.person("ann"), "there"),
        &json!(format!("at-{}", ports[1]))
    );
    one.ends_well().await;
    other.ends_well().await;
}
