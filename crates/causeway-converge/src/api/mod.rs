//! A fake of the part of Proca's GraphQL API that lists actions, by the published schema: bounced and rejected people vanish
//! from lists for good, a query by address skips the filters, people who did not opt in are listed only on request, and
//! times have no zone.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use anyhow::Context as _;
use causeway_testkit::fake_proca::{SCHEMA, graphql::Schema};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value as Json, json};
use tokio::{net::TcpListener, task::AbortHandle};

use crate::{
    http::{Closed, Full, answer, read},
    message::{AtProca, Proca, Seal},
    wire::{self, Place},
    world::Org as Owner,
};

/// Maximum number of actions of one response.
const MOST: usize = 100;
/// The short name of the queried organisation.
pub const ORG: &str = "rivers";

/// All sources' servers behind one port; the path of the URL is the source's name.
pub struct Api {
    pub url: String,
    data: Arc<Mutex<BTreeMap<String, Org>>>,
    task: AbortHandle,
}

/// The API of one organisation.
#[derive(Default)]
struct Org {
    /// Short names of the organisations that the token's user belongs to, with their numbers.
    numbers: BTreeMap<&'static str, u32>,
    actions: BTreeMap<u64, Signed>,
    /// Statuses of actions that are not accepted yet; their mail was sent before.
    early: BTreeMap<u64, (&'static str, i64)>,
    looks: Vec<Look>,
}

/// One pass through the list, from its first page.
#[derive(Debug, Clone)]
pub struct Look {
    pub began: Instant,
    /// When the pass got the empty page after the last action, so that it had read everything.
    pub ended: Option<Instant>,
    shown: BTreeMap<u64, Shown>,
}

/// The state of an action in the list, and its time.
#[derive(Debug, Clone, Copy)]
struct Shown {
    at: Instant,
    status: Option<(&'static str, i64)>,
}

impl Look {
    /// When a page showed a change that only the API shows.
    pub fn shows(&self, what: &AtProca) -> Option<Instant> {
        let (action, status) = match what {
            AtProca::Lost(proca) => (proca.action, proca.status.map(|status| (status, proca.changed))),
            AtProca::Status {
                action,
                status,
                changed,
            } => (*action, Some((*status, *changed))),
            AtProca::NeverAccepted(_) | AtProca::Rejected { .. } | AtProca::Erased { .. } => return None,
        };
        let shown = self.shown.get(&action)?;
        (shown.status == status).then_some(shown.at)
    }
}

#[derive(Clone)]
struct Signed {
    proca: Proca,
    place: Place,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Delivered,
    /// Confirming, rejected, or bounced: not in lists, but found by a query for the address.
    Hidden,
}

impl Api {
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("opening the API")?;
        let url = format!("http://{}", listener.local_addr().context("reading its address")?);
        let data = Arc::default();
        let task = tokio::spawn(serve(listener, Arc::clone(&data))).abort_handle();
        Ok(Self { url, data, task })
    }

    fn data(&self) -> MutexGuard<'_, BTreeMap<String, Org>> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A source's organisation and the other own one, by number.
    pub fn serve(&self, source: &str, ours: u32, sister: u32) {
        let numbers = BTreeMap::from([(ORG, ours), (name_of(Owner::Sister), sister)]);
        self.data().entry(source.to_owned()).or_default().numbers = numbers;
    }

    /// The action of a message on the queue.
    pub fn published(&self, source: &str, place: &Place, proca: &Proca) {
        if proca.is_test || proca.stage != "deliver" {
            return;
        }
        let mut data = self.data();
        let org = data.entry(source.to_owned()).or_default();
        if proca.is_event {
            org.change(proca.action, proca.status, proca.changed);
        } else if !org.actions.contains_key(&proca.action) {
            org.add(proca, place, State::Delivered);
        }
    }

    /// A change at Proca without a published message.
    pub fn happened(&self, source: &str, place: &Place, what: &AtProca) {
        let mut data = self.data();
        let org = data.entry(source.to_owned()).or_default();
        match what {
            AtProca::Lost(proca) => org.add(proca, place, State::Delivered),
            AtProca::NeverAccepted(proca) => org.add(proca, place, State::Hidden),
            AtProca::Rejected { action } => {
                if let Some(known) = org.actions.get_mut(action) {
                    known.state = State::Hidden;
                }
            }
            AtProca::Erased { action } => {
                org.actions.remove(action);
            }
            AtProca::Status {
                action,
                status,
                changed,
            } => org.change(*action, Some(status), *changed),
        }
    }

    /// All passes through the list of a source's organisation.
    pub fn looks(&self, source: &str) -> Vec<Look> {
        self.data()
            .get(source)
            .map(|org| org.looks.clone())
            .unwrap_or_default()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Short names of organisations.
fn name_of(org: Owner) -> &'static str {
    match org {
        Owner::Ours => ORG,
        Owner::Sister => "rivers_youth",
        Owner::Partner => "lakes",
    }
}

fn is_listed(status: &str) -> bool {
    matches!(status, "double_opt_in" | "active")
}

impl Org {
    fn add(&mut self, proca: &Proca, place: &Place, state: State) {
        let signed = Signed {
            proca: Proca {
                status: None,
                ..proca.clone()
            },
            place: place.clone(),
            state,
        };
        self.actions.insert(proca.action, signed);
        self.change(proca.action, proca.status, proca.changed);
        if let Some((status, changed)) = self.early.remove(&proca.action) {
            self.change(proca.action, Some(status), changed);
        }
    }

    /// A newer status of the address. A negative status rejects the action for good.
    fn change(&mut self, action: u64, status: Option<&'static str>, changed: i64) {
        // Proca has no other words.
        let is_word = |status: &&str| is_listed(status) || is_no_good(status);
        let Some(status) = status.filter(is_word) else {
            return;
        };
        match self.actions.get_mut(&action) {
            Some(known) => known.change(status, changed),
            None => match self.early.get(&action) {
                Some((_, newer)) if *newer > changed => {}
                _ => drop(self.early.insert(action, (status, changed))),
            },
        }
    }

    /// A field of the query type.
    fn root(&mut self, name: &str, arguments: &Map<String, Json>) -> Result<Json, String> {
        let text = |name: &str| arguments.get(name).and_then(Json::as_str);
        match name {
            "actions" | "exportActions" if text("orgName") == Some(ORG) => {
                let start = arguments.get("start").and_then(Json::as_u64).unwrap_or(0);
                let entries = self.list(arguments, None);
                Ok(self.look(start, &entries))
            }
            "contacts" if text("orgName") == Some(ORG) => {
                let email = text("email").map(str::to_lowercase);
                Ok(self
                    .list(arguments, email.as_deref())
                    .iter()
                    .map(Signed::json)
                    .collect())
            }
            "org" => {
                let member = text("name").and_then(|name| self.numbers.get_key_value(name));
                let (name, number) = member.ok_or("User is not a member of the organisation")?;
                Ok(
                    json!({ "id": number, "name": name, "title": "Organisation", "processing": {
                    "supporterConfirm": false, "doiThankYou": false, "customSupporterConfirm": false,
                    "customActionConfirm": false, "customActionDeliver": true, "customEventDeliver": true,
                    "eventBackend": null, "pushBackend": null, "detailBackend": null } }),
                )
            }
            "campaign" => Ok(Json::Null),
            _ => Err("User is not a member of the organisation".to_owned()),
        }
    }

    /// A page of the list, by ascending number. A query by address ignores the state.
    fn list(&self, arguments: &Map<String, Json>, email: Option<&str>) -> Vec<Signed> {
        let only_opt_in = arguments.get("onlyOptIn") != Some(&json!(false));
        let limit = arguments
            .get("limit")
            .and_then(Json::as_u64)
            .map_or(MOST, |limit| (limit as usize).min(MOST));
        let start = arguments.get("start").and_then(Json::as_u64).unwrap_or(0);
        let after = arguments.get("after").and_then(Json::as_str).unwrap_or_default();
        let is_asked = |signed: &&Signed| match email {
            Some(email) => signed.address().as_deref() == Some(email),
            None => signed.state == State::Delivered,
        };
        self.actions
            .range(start..)
            .map(|(_, signed)| signed)
            .filter(is_asked)
            .filter(|signed| !only_opt_in || signed.proca.opt_in == Some(true))
            .filter(|signed| signed.naive(signed.proca.given).as_str() >= after.trim_end_matches('Z'))
            .take(limit)
            .cloned()
            .collect()
    }

    /// Notes the actions of a page of the list.
    fn look(&mut self, start: u64, entries: &[Signed]) -> Json {
        let now = Instant::now();
        if start == 0 {
            self.looks.push(Look {
                began: now,
                ended: None,
                shown: BTreeMap::new(),
            });
        }
        if let Some(look) = self.looks.last_mut() {
            let shown = entries.iter().map(|signed| {
                let status = signed.proca.status.map(|status| (status, signed.proca.changed));
                (signed.proca.action, Shown { at: now, status })
            });
            look.shown.extend(shown);
            if entries.is_empty() {
                look.ended = look.ended.or(Some(now));
            }
        }
        entries.iter().map(Signed::json).collect()
    }
}

fn is_no_good(status: &str) -> bool {
    matches!(status, "bounce" | "blocked" | "spam" | "unsub" | "inactive")
}

impl Signed {
    fn change(&mut self, status: &'static str, changed: i64) {
        if self.proca.status.is_some() && self.proca.changed > changed {
            return;
        }
        self.proca.status = Some(status);
        self.proca.changed = changed;
        if is_no_good(status) {
            self.state = State::Hidden;
        }
    }

    fn address(&self) -> Option<String> {
        self.proca.email.as_deref().map(crate::receiver::mailbox)
    }

    fn naive(&self, at: i64) -> String {
        self.place.time(at).trim_end_matches('Z').to_owned()
    }

    fn json(&self) -> Json {
        let proca = &self.proca;
        let sealed = (proca.seal != Seal::Open).then(|| wire::sealed(proca));
        let field = |name: &str| sealed.as_ref().map_or(Json::Null, |sealed| sealed[name].clone());
        let payload = sealed.as_ref().map_or_else(
            || wire::proca_contact(proca).to_string().into(),
            |_| field("payload"),
        );
        json!({
            "actionId": proca.action, "createdAt": self.naive(proca.given), "actionType": proca.action_type,
            "customFields": wire::custom_fields(proca, &self.place).to_string(),
            "contact": { "contactRef": proca.reference, "payload": payload, "nonce": field("nonce"),
                "publicKey": field("encryptKey"), "signKey": field("signKey") },
            "tracking": null, "donation": null,
            "campaign": { "id": proca.page % 2 + 1, "name": proca.campaign, "title": proca.campaign, "externalId": null,
                "config": "{}", "contactSchema": "BASIC" },
            "actionPage": { "id": proca.page, "name": format!("{}/{}", proca.campaign, proca.page), "locale": "en",
                "org": { "name": name_of(proca.org), "title": "Organisation" } },
            "privacy": { "optIn": proca.opt_in, "givenAt": self.naive(proca.given), "withConsent": proca.with_consent,
                "emailStatus": proca.status.unwrap_or("none").to_uppercase(),
                "emailStatusChanged": proca.status.map(|_| self.naive(proca.changed)) },
        })
    }
}

async fn serve(listener: TcpListener, data: Arc<Mutex<BTreeMap<String, Org>>>) {
    let schema = Arc::new(Schema::parse(SCHEMA));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let (schema, data) = (Arc::clone(&schema), Arc::clone(&data));
        let service = service_fn(move |request| respond(Arc::clone(&schema), Arc::clone(&data), request));
        tokio::spawn(async move {
            let _broken = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn respond(
    schema: Arc<Schema>,
    data: Arc<Mutex<BTreeMap<String, Org>>>,
    request: Request<Incoming>,
) -> Result<Response<Full>, Closed> {
    let source = request.uri().path().trim_matches('/').to_owned();
    let body: Json = serde_json::from_slice(&read(request.into_body()).await?).map_err(|_| Closed)?;
    let mut data = data.lock().unwrap_or_else(PoisonError::into_inner);
    let json = reply(&schema, data.entry(source).or_default(), &body);
    Ok(answer(200, json.to_string()))
}

/// The response to a query, or the errors with which the server refuses it.
fn reply(schema: &Schema, org: &mut Org, body: &Json) -> Json {
    match schema.check(body["query"].as_str().unwrap_or_default()) {
        Err(refusals) => {
            let errors: Vec<Json> = refusals
                .iter()
                .map(|message| json!({ "message": message }))
                .collect();
            json!({ "errors": errors })
        }
        Ok(query) => {
            let org = Mutex::new(org);
            let root = |name: &str, arguments: &Map<String, Json>| {
                let mut org = org.lock().unwrap_or_else(PoisonError::into_inner);
                org.root(name, arguments)
            };
            schema.answer(&query, &body["variables"], &root)
        }
    }
}

#[cfg(test)]
mod tests;
