//! The part of Proca's GraphQL API that returns actions. It behaves like Proca: a query is checked against
//! the schema and rejected as a whole if one field is not in it. People who bounced or rejected their action
//! are missing from lists, unless a query names their address. People without an opt-in must be asked for.
//! Lists end at a limit. Times have no zone.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test equipment: a failure is the test's"
)]

pub mod graphql;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Map, Value, json};

use self::graphql::Schema;
use crate::fake_api::{FakeApi, Reply, Request};

/// The token that it accepts.
pub const TOKEN: &str = "API-token-of-tests";
/// The organisation of the token's owner, and its number.
pub const ORG: &str = "rivers";
pub const ORG_ID: i64 = 12;
/// Its schema. It has no `dupeRank`, which only newer servers have.
pub const SCHEMA: &str = include_str!("schema.graphql");
/// Maximum number of actions in one response.
const MOST: usize = 100;

/// The state of an action in Proca.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waits for the supporter to confirm.
    Confirming,
    Delivered,
    /// The supporter denied it ("It wasn't me"), or a moderator rejected it.
    Rejected,
}

/// An action of a person.
#[derive(Debug, Clone)]
pub struct Signed {
    pub id: i64,
    pub name: String,
    pub opt_in: Option<bool>,
    pub state: State,
    /// A value of the enumeration: `NONE`, `DOUBLE_OPT_IN`, `BOUNCE`, …
    pub status: String,
    /// RFC 3339 without a zone.
    pub created_at: String,
    pub changed_at: Option<String>,
    /// A comment of this many bytes, to make responses long.
    pub comment: usize,
    pub is_encrypted: bool,
    pub is_test: bool,
    /// As the API returns it.
    pub donation: Option<Value>,
    /// The short name of the organisation that owns the page.
    pub page_org: String,
    /// A field of the action, and the text of its error.
    pub fails: Option<(&'static str, &'static str)>,
    /// Lists hold null in its place, without an error.
    pub is_null: bool,
    /// The value that is returned as its number.
    pub id_as: Option<Value>,
}

impl Signed {
    pub fn new(id: i64, name: &str, opt_in: Option<bool>) -> Self {
        Self {
            id,
            name: name.to_owned(),
            opt_in,
            state: State::Delivered,
            status: "NONE".to_owned(),
            created_at: "2025-12-31T10:00:00".to_owned(),
            changed_at: None,
            comment: 0,
            is_encrypted: false,
            is_test: false,
            donation: None,
            page_org: ORG.to_owned(),
            fails: None,
            is_null: false,
            id_as: None,
        }
    }
}

/// It answers at `/api` of a [`FakeApi`].
#[derive(Clone)]
pub struct FakeProca(Arc<Mutex<Inside>>);

struct Inside {
    schema: Schema,
    actions: Vec<Signed>,
    /// `org { processing { … } }`
    processing: Value,
    /// Whether the token's owner may see the organisation.
    shows_org: bool,
    /// Number → settings, for the campaigns that exist.
    campaigns: BTreeMap<i64, Value>,
    /// The error text of queries for a campaign.
    campaigns_fail: Option<&'static str>,
}

impl FakeProca {
    pub fn at(api: &FakeApi) -> Self {
        let proca = Self(Arc::new(Mutex::new(Inside {
            schema: Schema::parse(SCHEMA),
            actions: Vec::new(),
            processing: json!({
                "supporterConfirm": false, "doiThankYou": false, "customSupporterConfirm": false,
                "customActionConfirm": false, "customActionDeliver": true, "customEventDeliver": true,
                "eventBackend": null, "pushBackend": null, "detailBackend": null,
            }),
            shows_org: true,
            campaigns: BTreeMap::new(),
            campaigns_fail: None,
        })));
        let answers = proca.clone();
        api.compute_at("/api", move |request| answers.inside().answer(request));
        proca
    }

    /// Uses the schema of another version of the server.
    pub fn has_schema(&self, schema: &str) {
        self.inside().schema = Schema::parse(schema);
    }

    pub fn add(&self, signed: Signed) {
        self.inside().actions.push(signed);
    }

    /// A mail provider's report. An invalid address removes its actions from the lists.
    pub fn change(&self, id: i64, status: &str, at: &str) {
        self.with(id, |action| {
            status.clone_into(&mut action.status);
            action.changed_at = Some(at.to_owned());
            if !["NONE", "DOUBLE_OPT_IN", "ACTIVE"].contains(&status) {
                action.state = State::Rejected;
            }
        });
    }

    /// Does the same without a date, which the schema allows.
    pub fn change_undated(&self, id: i64, status: &str) {
        self.change(id, status, "");
        self.with(id, |action| action.changed_at = None);
    }

    /// The action is delivered (again), and its address has this status.
    pub fn deliver(&self, id: i64, status: &str, at: &str) {
        self.change(id, status, at);
        self.with(id, |action| action.state = State::Delivered);
    }

    /// Sets whether lists hold null in its place.
    pub fn set_null(&self, id: i64, is_null: bool) {
        self.with(id, |action| action.is_null = is_null);
    }

    /// The supporter denies the action ("It wasn't me"). Nobody is notified.
    pub fn reject(&self, id: i64) {
        self.with(id, |action| action.state = State::Rejected);
    }

    /// Deletes a person with all actions.
    pub fn erase(&self, name: &str) {
        self.inside().actions.retain(|action| action.name != name);
    }

    /// Sets a flag of the organisation's processing settings.
    pub fn set_processing(&self, flag: &str, value: Value) {
        self.inside().processing[flag] = value;
    }

    /// Creates or changes a campaign.
    pub fn set_campaign(&self, id: i64, config: Value) {
        self.inside().campaigns.insert(id, config);
    }

    pub fn set_campaigns_fail(&self, message: Option<&'static str>) {
        self.inside().campaigns_fail = message;
    }

    pub fn hides_org(&self) {
        self.inside().shows_org = false;
    }

    fn with(&self, id: i64, change: impl FnOnce(&mut Signed)) {
        let mut inside = self.inside();
        change(inside.actions.iter_mut().find(|action| action.id == id).unwrap());
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn answer(&self, request: &Request) -> Reply {
        if request.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
            return Reply::json(401, &json!({ "errors": [{ "message": "unauthorized" }] }));
        }
        let asked = request.json();
        match self.schema.check(asked["query"].as_str().unwrap()) {
            Err(refusals) => {
                let errors: Vec<Value> = refusals
                    .iter()
                    .map(|refusal| json!({ "message": refusal, "locations": [{ "line": 1, "column": 1 }] }))
                    .collect();
                Reply::json(200, &json!({ "errors": errors }))
            }
            Ok(query) => {
                let root = |name: &str, arguments: &Map<String, Value>| self.root(name, arguments);
                Reply::json(200, &self.schema.answer(&query, &asked["variables"], &root))
            }
        }
    }

    fn root(&self, name: &str, arguments: &Map<String, Value>) -> Result<Value, String> {
        let text = |name: &str| arguments.get(name).and_then(Value::as_str);
        let no_member = "User is not a member of the organisation";
        match name {
            "actions" | "exportActions" | "contacts" if text("orgName") == Some(ORG) => {
                Ok(self.list(arguments).into())
            }
            "org" if text("name") == Some(ORG) && self.shows_org => Ok(json!({
                "id": ORG_ID, "name": ORG, "title": "Rivers", "processing": self.processing,
            })),
            "campaign" => match self.campaigns_fail {
                Some(message) => Err(message.to_owned()),
                None => Ok(self.campaign(arguments.get("id").and_then(Value::as_i64))),
            },
            _ => Err(no_member.to_owned()),
        }
    }

    /// The settings are returned as text.
    fn campaign(&self, id: Option<i64>) -> Value {
        let found = id.and_then(|id| Some((id, self.campaigns.get(&id)?)));
        found.map_or(Value::Null, |(id, config)| {
            json!({ "id": id, "name": "clean_rivers", "title": "Clean rivers", "externalId": 40, "contactSchema": "BASIC",
                "config": config.to_string() })
        })
    }

    fn list(&self, arguments: &Map<String, Value>) -> Vec<Value> {
        let flag = |name: &str, default: bool| arguments.get(name).map_or(default, |value| value == true);
        let number = |name: &str, default: i64| arguments.get(name).map_or(Some(default), Value::as_i64);
        let after = arguments.get("after").and_then(Value::as_str).unwrap_or_default();
        let email = arguments.get("email").and_then(Value::as_str);
        let limit = usize::try_from(number("limit", 100).unwrap()).unwrap().min(MOST);
        let mut actions: Vec<&Signed> = self.actions.iter().collect();
        actions.sort_by_key(|action| action.id);
        actions
            .into_iter()
            .filter(|action| !flag("onlyOptIn", true) || action.opt_in == Some(true))
            .filter(|action| !flag("onlyDoubleOptIn", false) || action.status == "DOUBLE_OPT_IN")
            .filter(|action| flag("includeTesting", false) || !action.is_test)
            .filter(|action| action.id >= number("start", 0).unwrap())
            .filter(|action| action.created_at.as_str() >= after.trim_end_matches('Z'))
            // A query by address returns actions of any state.
            .filter(|action| match email {
                Some(email) => email == address(&action.name),
                None => action.state == State::Delivered,
            })
            .take(limit)
            .map(|action| match email {
                None if action.is_null => Value::Null,
                _ => entry(action),
            })
            .collect()
    }
}

fn address(name: &str) -> String {
    format!("{name}@example.org")
}

fn entry(action: &Signed) -> Value {
    let payload =
        json!({ "firstName": action.name, "email": address(&action.name), "country": "DE" }).to_string();
    let mut contact = json!({ "contactRef": format!("ref-of-{}", action.name), "dupeRank": 2, "payload": payload,
        "nonce": null, "publicKey": null, "signKey": null });
    if action.is_encrypted {
        contact["payload"] = "c2VjcmV0".into();
        contact["nonce"] = "bm9uY2U".into();
        contact["publicKey"] = json!({ "id": 3, "public": "cHVibGlj" });
        contact["signKey"] = json!({ "id": 4, "public": "c2lnbg" });
    }
    let custom_fields = json!({ "comment": "x".repeat(action.comment) }).to_string();
    let page_org = json!({ "name": action.page_org, "title": format!("The {}", action.page_org) });
    let mut entry = json!({
        "actionId": action.id_as.clone().unwrap_or(action.id.into()), "actionType": "petition", "createdAt": action.created_at, "customFields": custom_fields,
        "contact": contact,
        "privacy": { "withConsent": true, "optIn": action.opt_in, "givenAt": action.created_at,
            "emailStatus": action.status, "emailStatusChanged": action.changed_at },
        "campaign": { "id": 3, "name": "clean_rivers", "title": "Clean rivers", "externalId": null, "contactSchema": "BASIC" },
        "actionPage": { "id": 7, "name": "clean_rivers/en", "locale": "en", "org": page_org },
        "tracking": { "source": "unknown", "medium": "mail", "campaign": "unknown", "content": "" },
        "donation": action.donation,
    });
    if let Some((field, message)) = action.fails {
        entry[field] = json!({ graphql::FAILS: message });
    }
    entry
}
