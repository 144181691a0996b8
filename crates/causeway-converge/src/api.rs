//! The part of Proca's GraphQL API that lists actions, from the published schema: bounced and
//! rejected people vanish from lists, a question by address skips the filters, those who did not opt in have to be
//! asked for, times have no zone.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use anyhow::Context as _;
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value as Json, json};
use tokio::{net::TcpListener, task::AbortHandle};

use crate::{
    http::{Closed, Full, answer, read},
    message::{AtProca, Proca, Seal},
    wire::{self, Place},
};

/// The most actions of one answer.
const MOST: usize = 100;
/// Fields that no published server has.
const UNKNOWN_FIELDS: [&str; 2] = ["location", "dupeRank"];

/// All sources' servers behind one port; the path of the URL is the source's name.
pub struct Api {
    pub url: String,
    data: Arc<Mutex<BTreeMap<String, Org>>>,
    task: AbortHandle,
}

/// What one organisation's API shows.
#[derive(Default)]
struct Org {
    actions: BTreeMap<u64, Signed>,
    /// Starts of looks that came to the end of the list.
    looks: Vec<Instant>,
    began: Option<Instant>,
}

struct Signed {
    proca: Proca,
    place: Place,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Delivered,
    /// Confirming, rejected, or bounced: not in lists, but found by address.
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

    /// What a message on the queue was published from.
    pub fn published(&self, source: &str, place: &Place, proca: &Proca) {
        if proca.is_test || proca.stage != "deliver" || proca.version == 1 {
            return;
        }
        let mut data = self.data();
        let org = data.entry(source.to_owned()).or_default();
        let known = org.actions.get_mut(&proca.action);
        match known {
            Some(known) if proca.is_event => known.set(proca.status, proca.changed),
            Some(_) => {}
            // An event of an action that comes later: the server has had it all the time.
            None => {
                let state = if is_listed(proca.status) {
                    State::Delivered
                } else {
                    State::Hidden
                };
                let with_consent = proca.is_event || proca.with_consent;
                let proca = Proca {
                    is_event: false,
                    with_consent,
                    ..proca.clone()
                };
                org.actions.insert(
                    proca.action,
                    Signed {
                        proca,
                        place: place.clone(),
                        state,
                    },
                );
            }
        }
    }

    /// What happened there and was published nowhere.
    pub fn happened(&self, source: &str, place: &Place, what: &AtProca) {
        let mut data = self.data();
        let org = data.entry(source.to_owned()).or_default();
        let mut add = |proca: &Proca, state| {
            org.actions.insert(
                proca.action,
                Signed {
                    proca: proca.clone(),
                    place: place.clone(),
                    state,
                },
            );
        };
        match what {
            AtProca::Lost(proca) => {
                let state = if is_listed(proca.status) {
                    State::Delivered
                } else {
                    State::Hidden
                };
                add(proca, state);
            }
            AtProca::NeverAccepted(proca) => add(proca, State::Hidden),
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
            } => {
                if let Some(known) = org.actions.get_mut(action) {
                    known.set(Some(status), *changed);
                }
            }
        }
    }

    /// Starts of complete looks at a source's organisation.
    pub fn looks(&self, source: &str) -> Vec<Instant> {
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

fn is_listed(status: Option<&str>) -> bool {
    matches!(status, None | Some("double_opt_in" | "active"))
}

impl Signed {
    fn set(&mut self, status: Option<&'static str>, changed: i64) {
        if self.proca.status.is_some() && self.proca.changed > changed {
            return;
        }
        self.proca.status = status;
        self.proca.changed = changed;
        self.state = if is_listed(status) {
            State::Delivered
        } else {
            State::Hidden
        };
    }

    fn json(&self) -> Json {
        let (proca, place) = (&self.proca, &self.place);
        let naive = |at: i64| place.time(at).trim_end_matches('Z').to_owned();
        let sealed = (proca.seal != Seal::Open).then(|| wire::sealed(proca));
        let field = |name: &str| sealed.as_ref().map_or(Json::Null, |sealed| sealed[name].clone());
        let payload = sealed.as_ref().map_or_else(
            || wire::proca_contact(proca).to_string().into(),
            |_| field("payload"),
        );
        json!({
            "actionId": proca.action, "createdAt": naive(proca.given), "actionType": proca.action_type,
            "customFields": "{}",
            "contact": { "contactRef": proca.reference, "payload": payload, "nonce": field("nonce"),
                "publicKey": field("encryptKey"), "signKey": field("signKey") },
            "tracking": null, "donation": null,
            "campaign": { "id": proca.page % 2 + 1, "name": proca.campaign, "title": proca.campaign, "externalId": null,
                "contactSchema": "BASIC" },
            "actionPage": { "id": proca.page, "name": format!("{}/{}", proca.campaign, proca.page), "locale": "en",
                "thankYouTemplate": null,
                "org": { "name": format!("org{}", place.org(0, proca.org)), "title": "Organisation" } },
            "privacy": { "optIn": proca.opt_in, "givenAt": naive(proca.given), "withConsent": proca.with_consent,
                "emailStatus": proca.status.unwrap_or("none").to_uppercase(),
                "emailStatusChanged": proca.status.map(|_| naive(proca.changed)) },
        })
    }
}

async fn serve(listener: TcpListener, data: Arc<Mutex<BTreeMap<String, Org>>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let data = Arc::clone(&data);
        let service = service_fn(move |request| respond(Arc::clone(&data), request));
        tokio::spawn(async move {
            let _broken = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn respond(
    data: Arc<Mutex<BTreeMap<String, Org>>>,
    request: Request<Incoming>,
) -> Result<Response<Full>, Closed> {
    let source = request.uri().path().trim_matches('/').to_owned();
    let body: Json = serde_json::from_slice(&read(request.into_body()).await?).map_err(|_| Closed)?;
    let query = body["query"].as_str().unwrap_or_default();
    let unknown = UNKNOWN_FIELDS
        .iter()
        .find(|field| words(query).any(|word| word == **field));
    let json = if let Some(field) = unknown {
        json!({ "data": null, "errors": [{ "message": format!("Cannot query field \"{field}\"") }] })
    } else {
        let mut data = data.lock().unwrap_or_else(PoisonError::into_inner);
        json!({ "data": list(data.entry(source).or_default(), query, &body["variables"]) })
    };
    Ok(answer(200, json.to_string()))
}

fn words(query: &str) -> impl Iterator<Item = &str> {
    query
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
}

fn list(org: &mut Org, query: &str, variables: &Json) -> Json {
    let (field, by_address) = if query.contains("exportActions") {
        ("exportActions", false)
    } else if query.contains("contacts") {
        ("contacts", true)
    } else if query.contains("actions") {
        ("actions", false)
    } else {
        let processing = json!({ "customActionDeliver": true, "customEventDeliver": true });
        return json!({ "org": { "name": "rivers", "processing": processing } });
    };
    let argument = |name: &str| argument(query, field, name, variables);
    let email = argument("email").and_then(|value| value.as_str().map(str::to_lowercase));
    let only_opt_in = argument("onlyOptIn")
        .and_then(|value| value.as_bool())
        .unwrap_or(true);
    let limit = argument("limit")
        .and_then(|value| value.as_u64())
        .map_or(MOST, |limit| (limit as usize).min(MOST));
    let start = argument("start").and_then(|value| value.as_u64()).unwrap_or(0);
    let after = argument("after")
        .and_then(|value| value.as_str().map(|text| text.trim_end_matches('Z').to_owned()))
        .unwrap_or_default();
    if !by_address && org.began.is_none() {
        org.began = Some(Instant::now());
    }
    let entries: Vec<Json> = org
        .actions
        .values()
        .filter(|signed| by_address || signed.state == State::Delivered)
        .filter(|signed| !only_opt_in || signed.proca.opt_in == Some(true))
        .filter(|signed| signed.proca.action >= start)
        .filter(|signed| signed.place.time(signed.proca.given).trim_end_matches('Z') >= after.as_str())
        .filter(|signed| {
            email.as_ref().is_none_or(|email| {
                signed
                    .proca
                    .email
                    .as_deref()
                    .map(crate::receiver::mailbox)
                    .as_ref()
                    == Some(email)
            })
        })
        .take(limit)
        .map(Signed::json)
        .collect();
    if !by_address && entries.len() < limit {
        org.looks.extend(org.began.take());
    }
    json!({ field: entries })
}

/// The value of an argument of a field: a literal, or the variable that it names.
fn argument(query: &str, field: &str, name: &str, variables: &Json) -> Option<Json> {
    let (_, rest) = query.split_once(&format!("{field}("))?;
    let (arguments, _) = rest.split_once(')')?;
    let (_, value) = arguments.split_once(&format!("{name}:"))?;
    let value = value.trim_start().split([',', ' ', '\n']).next()?;
    match value.strip_prefix('$') {
        Some(variable) => variables.get(variable).filter(|value| !value.is_null()).cloned(),
        None => serde_json::from_str(value).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_literals_or_variables() {
        let query = "query($o: String!, $n: Int) { \
                     exportActions(orgName: $o, onlyOptIn: false, start: $n) { actionId } }";
        let variables = json!({ "o": "rivers", "n": 7 });
        assert_eq!(
            argument(query, "exportActions", "onlyOptIn", &variables),
            Some(json!(false))
        );
        assert_eq!(
            argument(query, "exportActions", "start", &variables),
            Some(json!(7))
        );
        assert_eq!(argument(query, "exportActions", "limit", &variables), None);
    }
}
