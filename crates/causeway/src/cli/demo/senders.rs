//! Sends messages of invented people to the hub's own listener, as Proca and a platform would.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use causeway_core::{clock::Clock, source::Stop};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};

use super::people::{self, Person};
use crate::clock::SystemClock;

/// Maximum number of concurrent requests.
const IN_FLIGHT: usize = 64;

/// The secret parts of the sources' URLs.
pub(super) struct Tokens {
    pub petition: String,
    pub platform: String,
    pub signup: String,
}

impl Tokens {
    pub(super) fn draw() -> anyhow::Result<Self> {
        let draw = || -> anyhow::Result<String> {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes)
                .map_err(|error| anyhow::anyhow!("drawing random numbers: {error}"))?;
            Ok(data_encoding::BASE64URL_NOPAD.encode(&bytes))
        };
        Ok(Self {
            petition: draw()?,
            platform: draw()?,
            signup: draw()?,
        })
    }
}

#[derive(Default)]
pub(super) struct Sent {
    /// Requests with status 200.
    pub accepted: u64,
    /// Requests with another status, or without a response.
    pub failed: u64,
}

/// Sends `rate` messages a second until `stop`; returns when every request has ended.
pub(super) async fn run(listener: SocketAddr, tokens: Tokens, rate: f64, stop: Stop) -> Sent {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(30))
        .build();
    let Ok(client) = client else {
        return Sent::default();
    };
    let tokens = Arc::new(tokens);
    let slots = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut sent = Sent::default();
    let mut requests = JoinSet::new();
    let mut number = 0_u64;
    let started = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    'all: loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = tick.tick() => {}
        }
        while expected(started, rate) > number {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                break 'all;
            };
            let (client, tokens) = (client.clone(), Arc::clone(&tokens));
            let this = number;
            requests.spawn(async move {
                let answered = send(&client, listener, &tokens, this).await;
                drop(slot);
                answered.is_ok()
            });
            number += 1;
            if stop.is_cancelled() {
                break 'all;
            }
        }
        while let Some(Ok(ok)) = requests.try_join_next() {
            count(&mut sent, ok);
        }
    }
    while let Some(ended) = requests.join_next().await {
        count(&mut sent, ended.unwrap_or(false));
    }
    sent
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small positive number"
)]
fn expected(started: Instant, rate: f64) -> u64 {
    (started.elapsed().as_secs_f64() * rate) as u64 + 1
}

fn count(sent: &mut Sent, ok: bool) {
    if ok {
        sent.accepted += 1;
    } else {
        sent.failed += 1;
    }
}

/// Ten messages: five signatures, one status of an address, two form posts, one GET, one duplicate.
async fn send(
    client: &reqwest::Client,
    listener: SocketAddr,
    tokens: &Tokens,
    number: u64,
) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let person = Person::new(number);
    let url = |token: &str| format!("http://{listener}/in/{token}");
    let json = |value: serde_json::Value| {
        client
            .post(url(&tokens.petition))
            .header("content-type", "application/json")
            .body(value.to_string())
    };
    let request = match number % 10 {
        5 => json(people::status(&Person::new(number.saturating_sub(4)), now)),
        6 | 7 => client
            .post(url(&tokens.platform))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form(&people::sync(&person))),
        8 => {
            let pairs = [
                ("email", person.email.clone()),
                ("firstName", person.first.to_owned()),
                ("lastName", person.last.to_owned()),
            ];
            let pairs = pairs.map(|(key, value)| (key.to_owned(), value));
            client.get(format!("{}?{}", url(&tokens.signup), form(&pairs)))
        }
        // The same post again: platforms repeat it when a response is late.
        9 => client
            .post(url(&tokens.platform))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form(&people::sync(&Person::new(number.saturating_sub(2))))),
        _ => json(people::signature(&person, now)),
    };
    request
        .send()
        .await
        .context("sending")?
        .error_for_status()
        .context("the answer")?;
    Ok(())
}

fn form(pairs: &[(String, String)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}
