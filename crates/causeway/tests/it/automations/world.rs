//! A hub in this process on a set clock, with a fake API for its web hooks.

use std::{sync::Arc, time::Duration};

use causeway::hub::{Hub, Options};
use causeway_core::{
    clock::{Clock, Timestamp},
    store::Overview,
};
use causeway_testkit::{clock::TestClock, fake_api::FakeApi};
use serde_json::Value;

use crate::running::{Home, exchange};

/// Much longer than any step takes. It only ends a test that hangs.
const LIMIT: Duration = Duration::from_secs(20);
pub const ACTIONS: &str = "token-of-24-characters-actions";
pub const SITE: &str = "token-of-24-characters-site";

/// Proca's actions and a site's events.
pub const SOURCES: &str = "[source.proca]\nkind = 'listener'\npreset = 'proca'\ntoken = 'token-of-24-characters-actions'\n\
     proca = { own_orgs = [12], consent = 'single' }\n\
     [source.site]\nkind = 'events'\ntokens = ['token-of-24-characters-site']\n";

pub struct World {
    pub home: Home,
    pub api: Arc<FakeApi>,
    pub clock: Arc<TestClock>,
    hub: Option<Hub>,
}

/// A web hook of this name, at the path of the same name.
pub fn hook(api: &FakeApi, name: &str, more: &str) -> String {
    format!(
        "[destination.{name}]\nkind = 'webhook'\nurl = '{}'\nallow_private = true\n{more}\n",
        api.url(&format!("/{name}"))
    )
}

impl World {
    /// Starts the hub at this time.
    pub async fn start(api: &Arc<FakeApi>, now: &str, config: &str) -> Self {
        Self::at(api, now, 0, config).await
    }

    /// With this port for its listener; 0 = a free one.
    pub async fn at(api: &Arc<FakeApi>, now: &str, listen: u16, config: &str) -> Self {
        // The HTTP client requires a TLS provider even for plain HTTP.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut world = Self {
            home: Home::new(""),
            api: Arc::clone(api),
            clock: Arc::default(),
            hub: None,
        };
        world.home.write(
            "causeway.toml",
            format!("[http]\nlisten = '127.0.0.1:{listen}'\nconsole = '127.0.0.1:0'\n{config}"),
        );
        world.is_now(now);
        world.serve().await;
        world
    }

    pub fn is_now(&self, time: &str) {
        self.clock.set(time.parse().expect("a time"));
    }

    pub async fn serve(&mut self) {
        let config = causeway::config::load(&self.home.path("causeway.toml"));
        let config = config.unwrap_or_else(|errors| panic!("{errors:?}"));
        let options = Options {
            clock: Some(Arc::clone(&self.clock) as Arc<_>),
            ..Options::default()
        };
        let hub = Hub::start(config, options).await.expect("the hub starts");
        self.hub = Some(hub);
    }

    /// Stops the hub gracefully, and returns when its store is closed.
    pub async fn stop(&mut self) {
        let hub = self.hub.take().expect("it runs");
        let engine = Arc::downgrade(&hub.engine);
        let ended = hub.stop(std::future::pending()).await;
        assert!(ended.in_time);
        let store = self.home.path("causeway-data/causeway.db");
        self.becomes("its store is closed", async |_| {
            engine.strong_count() == 0 && !causeway_store::is_served(&store)
        })
        .await;
    }

    pub fn hub(&self) -> &Hub {
        self.hub.as_ref().expect("it runs")
    }

    /// Polls until the condition is true. Fails the test after [`LIMIT`].
    pub async fn becomes(&self, what: &str, mut is_so: impl AsyncFnMut(&Self) -> bool) {
        let looking = async {
            while !is_so(self).await {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(LIMIT, looking).await;
        assert!(
            in_time.is_ok(),
            "not so: {what}\n{}\n{}",
            self.home.run(&["audit"]).out,
            self.home.run(&["delivery", "list"]).out
        );
    }

    async fn overview(&self) -> Overview {
        let views = &self.hub().engine.views;
        views.overview(self.clock.now()).await.expect("an overview")
    }

    /// Waits until all due timers fired, all rows are processed and all deliveries have ended.
    pub async fn settles(&self) {
        let (mut before, mut looks) = (None, 0_u32);
        self.becomes("everything is settled", async |world| {
            looks += 1;
            // A loop that could not reach the store retries after a second, so the set clock must advance.
            if looks.is_multiple_of(1_000) {
                world.hub().engine.wake.all_lanes();
                world.hub().engine.wake.inbox.notify_one();
            }
            let now = world.clock.now();
            let timer = world.hub().engine.views.next_timer().await.expect("timers");
            let seen = world.overview().await;
            let is_idle = seen.sources.values().all(|counts| counts.new == 0)
                && seen.destinations.values().all(|counts| counts.waiting == 0);
            let received: u64 = seen.sources.values().map(|counts| counts.received).sum();
            let is_settled = is_idle && timer.is_none_or(|due| due > now) && before == Some(received);
            before = Some(received);
            is_settled
        })
        .await;
    }

    /// Waits until the scheduled automation has run for that time.
    pub async fn has_turned(&self, automation: &str, time: &str) {
        let time: Timestamp = time.parse().expect("a time");
        self.becomes(&format!("{automation} has its turn of {time}"), async |world| {
            let turn = world.hub().engine.views.last_run("default", automation).await;
            turn.expect("turns") == Some(time)
        })
        .await;
        self.settles().await;
    }

    /// The numbers of messages from this source: all, and duplicates.
    pub async fn came(&self, source: &str) -> (u64, u64) {
        let overview = self.overview().await;
        let counts = overview.sources.get(source);
        counts.map_or((0, 0), |counts| (counts.received, counts.duplicate))
    }

    /// The number of deliveries planned for this destination.
    pub async fn planned(&self, destination: &str) -> u64 {
        let overview = self.overview().await;
        let counts = overview.destinations.get(destination);
        counts.map_or(0, |counts| counts.planned)
    }

    /// Posts a message of Proca, waits until the hub is idle, and returns the message number.
    pub async fn acts(&self, message: &Value) -> u64 {
        let answer = self.post(&format!("/in/{ACTIONS}"), None, message).await;
        self.settles().await;
        number(&answer["reference"])
    }

    /// Posts one or several events to the events API, waits, and returns the number of the first.
    pub async fn send_events(&self, events: &Value) -> u64 {
        let answer = self.post("/v1/events", Some(SITE), events).await;
        self.settles().await;
        number(&answer["events"][0]["reference"])
    }

    async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Value {
        let body = body.to_string();
        let token = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nContent-Type: application/json\r\n\
             {token}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = exchange(&self.hub().listener.to_string(), request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// The records that the web hook of this name received.
    pub fn received(&self, hook: &str) -> Vec<Value> {
        let path = format!("/{hook}");
        let requests = self.api.requests().into_iter();
        requests
            .filter(|request| request.path == path)
            .map(|request| request.json())
            .collect()
    }

    /// The kind and the person of every record that the web hook of this name received.
    pub fn summaries(&self, hook: &str) -> Vec<String> {
        let word = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        let line = |sent: &Value| {
            let email = word(&sent["contact"]["email"]);
            let (name, _) = email.split_once('@').unwrap_or((&email, ""));
            format!("{} {name}", word(&sent["type"]))
        };
        self.received(hook).iter().map(line).collect()
    }

    /// The output of `causeway trace` for a message.
    pub fn trace(&self, record: u64) -> String {
        self.home.ok(&["trace", &record.to_string()])
    }

    /// The numbers of the messages that this one caused.
    pub fn follow_ups(&self, record: u64) -> Vec<u64> {
        let trace = self.home.trace(record);
        let all = trace["follow_ups"].as_array().expect("rows");
        all.iter().filter_map(Value::as_u64).collect()
    }

    /// The number of the newest message of the hub's own about this person.
    pub fn newest_of(&self, name: &str) -> u64 {
        let traces = self
            .home
            .json(&["trace", "--email", &format!("{name}@example.org"), "--json"]);
        let all = traces.as_array().expect("records").iter();
        let newest = all.filter_map(|trace| trace["inbox"]["id"].as_u64()).max();
        newest.expect("a record")
    }

    /// The contact of this person.
    pub fn person(&self, name: &str) -> Value {
        self.home
            .json(&["contact", "export", &format!("{name}@example.org")])[0]
            .take()
    }

    /// Stops the hub and checks that the books balance.
    pub async fn ends_well(mut self) {
        self.stop().await;
        let audit = self.home.run(&["audit"]);
        assert_eq!(audit.code, 0, "{audit:?}");
    }
}

fn number(reference: &Value) -> u64 {
    let text = reference.as_str().expect("a reference");
    text.parse().expect("a number")
}
