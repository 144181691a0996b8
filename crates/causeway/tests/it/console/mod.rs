//! The console over a fake store: the pages, their masking, and live updates in a real browser.

#[path = "../../../examples/console_preview/fake_store/mod.rs"]
mod fake_store;

mod browser;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use axum::{extract::Request, middleware::Next};
use browser::Browser;
use causeway::{
    clock::SystemClock,
    config::Generation,
    telemetry::Metrics,
    web::console::{self, ConsoleState},
};
use causeway_core::{clock::Clock, source::Stop};
use causeway_testkit::clock::TestClock;
use fake_store::{FakeStore, NEWEST, Scene};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

struct Site {
    at: SocketAddr,
    views: Arc<FakeStore>,
    stop: Stop,
    /// If set, a figure changes as soon as somebody watches.
    moves_when_watched: Arc<AtomicBool>,
}

async fn site(scene: Scene, clock: Arc<dyn Clock>) -> Site {
    let views = FakeStore::new(scene, clock.now());
    let metrics = Arc::new(Metrics::new());
    let stop = Stop::new();
    let router = console::router(ConsoleState {
        sources: views.sources(&metrics),
        config: views.config(),
        views: Arc::clone(&views) as _,
        clock,
        metrics,
        generation: Arc::new(|| Generation {
            generation: 1,
            since: "2026-03-01T12:00:00Z".parse().expect("a time"),
        }),
        stop: stop.clone(),
        hosts: BTreeSet::from(["hub.example.org".to_owned()]),
        development: None,
    })
    .expect("a console");
    let moves_when_watched = Arc::new(AtomicBool::new(false));
    let (moves, seen) = (Arc::clone(&moves_when_watched), Arc::clone(&views));
    let router = router.layer(axum::middleware::from_fn(move |request: Request, next: Next| {
        if request.uri().path() == "/live" && moves.load(Ordering::Relaxed) {
            seen.more.store(5_000_000, Ordering::Relaxed);
        }
        next.run(request)
    }));
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let at = socket.local_addr().expect("its address");
    tokio::spawn(async move { axum::serve(socket, router).await });
    Site {
        at,
        views,
        stop,
        moves_when_watched,
    }
}

struct Answer {
    status: u16,
    /// Lower case.
    head: String,
    body: String,
}

async fn send(site: &Site, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(site.at).await.expect("a connection");
    stream
        .write_all(request.as_bytes())
        .await
        .expect("the request is sent");
    stream
}

async fn ask(site: &Site, request: &str) -> Answer {
    let mut text = String::new();
    let mut stream = send(site, request).await;
    stream.read_to_string(&mut text).await.expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .expect("a status");
    Answer {
        status,
        head: head.to_lowercase(),
        body: body.to_owned(),
    }
}

async fn get(site: &Site, path: &str) -> Answer {
    ask(site, &format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")).await
}

async fn find(site: &Site, what: &str) -> Answer {
    let body = format!("what={}", what.replace('@', "%40"));
    let length = body.len();
    let head = "Host: localhost\r\nContent-Type: application/x-www-form-urlencoded";
    ask(
        site,
        &format!("POST /messages/find HTTP/1.0\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}"),
    )
    .await
}

/// All data of the invented person in the store.
const PERSONAL: [&str; 9] = [
    "jana.novakova",
    "Jana",
    "Nováková",
    "novakova",
    "1234567",
    "10115",
    "Tomas",
    "hT7cPzN0bA4WqX2u",
    "swim",
];

fn assert_hidden(what: &str, text: &str) {
    for personal in PERSONAL {
        assert!(!text.contains(personal), "{what} shows {personal}");
    }
}

#[tokio::test]
async fn each_page_answers_with_the_headers_that_guard_it() {
    let record = format!("/messages/{}", NEWEST - 4);
    for scene in [Scene::Empty, Scene::Calm, Scene::Troubled] {
        let site = site(scene, Arc::new(TestClock::default())).await;
        for path in [
            "/",
            "/?theme=dark",
            "/deliveries",
            "/deliveries?state=dead&destination=newsletter&reason=422",
            "/deliveries?state=%27&before=x&destination=%00&nothing=%ff",
            "/messages",
            "/messages?contact=7,x,8&state=done",
            &record,
        ] {
            let answer = get(&site, path).await;
            assert_eq!(answer.status, 200, "{path} {}", answer.body);
            for header in [
                "content-security-policy: default-src 'none';",
                "frame-ancestors 'none'",
                "x-content-type-options: nosniff",
                "referrer-policy: no-referrer",
                "cache-control: no-store",
                "content-type: text/html; charset=utf-8",
            ] {
                assert!(
                    answer.head.contains(header),
                    "{path} lacks {header}:\n{}",
                    answer.head
                );
            }
            assert!(!answer.head.contains("unsafe"), "{path}");
            assert_hidden(path, &answer.body);
        }
    }
}

#[tokio::test]
async fn the_page_of_a_message_masks_the_person() {
    let site = site(Scene::Troubled, Arc::new(TestClock::default())).await;
    let page = get(&site, &format!("/messages/{}", NEWEST - 4)).await.body;
    assert_hidden("the record", &page);
    for shown in [
        "proca:action:2",
        "j•••@e•••.org",
        "May be mailed: agreed on a form",
        "Agreed on a form",
        "proca action, row 10",
        "took 145",
        "answered 503: not now",
        "503 Service Unavailable",
        "the field ••• is required for •••",
        "cw_",
    ] {
        assert!(page.contains(shown), "the record does not show {shown}:\n{page}");
    }
}

#[tokio::test]
async fn unknown_pages_and_messages_say_so() {
    let site = site(Scene::Calm, Arc::new(TestClock::default())).await;
    for path in [
        "/nothing",
        "/messages/1",
        "/messages/x",
        "/messages/find",
        "/a/b/c",
        "/assets/none.js",
    ] {
        let answer = get(&site, path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.head.contains("content-security-policy"), "{path}");
    }
    site.views.is_down.store(true, Ordering::Relaxed);
    for path in ["/deliveries", "/messages", "/messages/48000"] {
        let answer = get(&site, path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert!(answer.body.contains("The store does not answer"), "{path}");
        assert!(
            !answer.body.contains("fake failure"),
            "{path} shows the chain of errors"
        );
    }
}

#[tokio::test]
async fn a_foreign_page_cannot_reach_the_console_by_its_own_host_name() {
    let site = site(Scene::Calm, Arc::new(TestClock::default())).await;
    for (host, status) in [
        ("Host: rebind.example.net", 421),
        ("X-None: 1", 421),
        ("Host: hub.example.org:8484", 200),
        ("Host: [::1]:8484", 200),
    ] {
        for path in ["/", "/messages"] {
            let answer = ask(&site, &format!("GET {path} HTTP/1.0\r\n{host}\r\n\r\n")).await;
            assert_eq!(answer.status, status, "{host}");
        }
    }
}

#[tokio::test]
async fn a_search_redirects_without_an_address_in_the_url() {
    let site = site(Scene::Calm, Arc::new(TestClock::default())).await;
    for (typed, place) in [
        ("48200", "/messages/48200"),
        ("%2348200", "/messages/48200"),
        (" Jana.Novakova@example.org ", "/messages?contact=7"),
        ("", "/messages"),
    ] {
        let answer = find(&site, typed).await;
        assert_eq!(answer.status, 303, "{typed}");
        assert!(
            answer.head.contains(&format!("location: {place}\r\n")),
            "{typed}: {}",
            answer.head
        );
    }
    let answer = find(&site, "nobody@example.org").await;
    assert_eq!(answer.status, 404);
    assert!(!answer.body.contains("nobody@"), "what was typed is not repeated");
    let rows = get(&site, "/messages?contact=7").await.body;
    assert_eq!(rows.matches("href=\"/messages/").count(), 2, "{rows}");
    let nobody = get(&site, "/messages?contact=999").await.body;
    assert_eq!(
        nobody.matches("href=\"/messages/").count(),
        0,
        "an unknown contact has all records"
    );
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap() {
    let site = site(Scene::Calm, Arc::new(TestClock::default())).await;
    let first = get(&site, "/messages").await.body;
    let before = NEWEST - 49;
    assert!(first.contains(&format!("/messages/{before}\"")));
    assert!(!first.contains(&format!("/messages/{}\"", before - 1)));
    assert!(first.contains(&format!("messages?before={before}\"")), "{first}");
    let second = get(&site, &format!("/messages?before={before}")).await.body;
    assert!(second.contains(&format!("/messages/{}\"", before - 1)));
    assert!(!second.contains(&format!("/messages/{before}\"")));
}

#[tokio::test]
async fn a_command_to_copy_contains_only_known_names() {
    let site = site(Scene::Calm, Arc::new(TestClock::default())).await;
    let known = get(&site, "/deliveries?state=dead&destination=crm").await.body;
    assert!(known.contains("causeway delivery retry --state dead --destination crm"));
    let foreign = get(&site, "/deliveries?state=dead&destination=crm;reboot")
        .await
        .body;
    assert!(!foreign.contains("delivery retry"), "{foreign}");
}

#[tokio::test]
async fn every_command_that_is_shown_exists() {
    let site = site(Scene::Troubled, Arc::new(TestClock::default())).await;
    let record = format!("/messages/{}", NEWEST - 4);
    let mut seen = BTreeSet::new();
    for path in [
        "/",
        "/deliveries?state=dead&destination=crm",
        &record,
        "/messages/1",
    ] {
        let page = get(&site, path).await.body;
        for shown in page.split("data-copy=\"").skip(1) {
            let command = shown.split('"').next().unwrap_or_default().to_owned();
            let read = causeway::cli::command().try_get_matches_from(command.split(' '));
            assert!(read.is_ok(), "{path} shows `{command}`: {:?}", read.err());
            seen.insert(command);
        }
    }
    assert!(seen.len() >= 8, "only {seen:?}");
}

/// Reads the stream's text until it holds `wanted`.
async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut text = String::new();
    let mut piece = vec![0; 16_384];
    let reading = async {
        while !text.contains(wanted) {
            let read = stream.read(&mut piece).await.expect("the stream");
            assert_ne!(read, 0, "the stream ended before {wanted} came: {text}");
            text.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), reading).await;
    assert!(in_time.is_ok(), "{wanted} did not come: {text}");
    text
}

#[tokio::test]
async fn the_stream_gives_the_newest_sample_at_once_and_then_each_second() {
    let clock = Arc::new(TestClock::default());
    let site = site(Scene::Calm, Arc::clone(&clock) as _).await;
    get(&site, "/").await;
    let mut stream = send(&site, "GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let first = read_until(&mut stream, "\"attention\"").await;
    assert!(
        first.to_lowercase().contains("content-type: text/event-stream"),
        "{first}"
    );
    assert!(first.contains("event: sample"), "{first}");
    assert!(first.contains("\"s/petitions/state\":\"running\""), "{first}");
    assert!(first.contains("All is well"), "{first}");

    // A message a second later shows as a rate in the next sample.
    site.views.more.store(1_000, Ordering::Relaxed);
    clock.advance(Duration::from_secs(1));
    let second = read_until(&mut stream, "\"attention\"").await;
    assert!(second.contains("\"s/platform/flow\":\"rapid\""), "{second}");

    // The store stops answering: the figures stay, and the page shows a problem.
    site.views.is_down.store(true, Ordering::Relaxed);
    clock.advance(Duration::from_secs(1));
    let third = read_until(&mut stream, "The store does not answer").await;
    assert_hidden("a sample", &third);

    // A stop ends the stream, so that nothing waits for it.
    site.stop.cancel();
    read_until(&mut stream, "0\r\n\r\n").await;
}

#[tokio::test]
async fn browser_shows_the_figures_that_the_stream_brings() {
    let site = site(Scene::Troubled, Arc::new(SystemClock)).await;
    let mut browser = Browser::start().await;
    site.moves_when_watched.store(true, Ordering::Relaxed);
    browser.open(&format!("http://{}/", site.at)).await;
    // The figure changes when the page connects to the stream, so the loaded page cannot contain the new value.
    let figure =
        "document.querySelector('[data-figure=\"s/platform/received\"]').textContent.replace(/\\D/g, '')";
    browser
        .wait_for(&format!(
            "document.body && document.querySelector('[data-figure]') !== null && {figure} > 5000000"
        ))
        .await;
    browser
        .wait_for("document.querySelector('#link').dataset.state === 'on'")
        .await;
    let attention = browser
        .value("document.querySelectorAll('#attention li').length")
        .await;
    assert!(attention.as_u64() >= Some(4), "{attention}");
    for path in [
        format!("records/{}", NEWEST - 4),
        "deliveries".to_owned(),
        "nothing".to_owned(),
    ] {
        browser.open(&format!("http://{}/{path}", site.at)).await;
        browser
            .wait_for(&format!(
                "location.pathname === '/{path}' && document.querySelector('#link')?.dataset.state === 'on'"
            ))
            .await;
        let is_wide = browser
            .value("document.documentElement.scrollWidth > innerWidth")
            .await;
        assert_eq!(is_wide, false, "{path} is wider than the window");
    }
    // The program stops, and the page shows it by itself.
    site.stop.cancel();
    browser
        .wait_for("document.querySelector('#link').dataset.state === 'off'")
        .await;
    assert_eq!(browser.complaints, Vec::<String>::new());
}
