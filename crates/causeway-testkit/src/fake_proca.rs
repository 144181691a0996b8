//! The part of Proca's GraphQL API that tells of actions, with its ways: bounced people vanish from lists unless they are asked for
//! by address, those who did not opt in have to be asked for, lists end at a limit, times do not tell their zone.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test equipment: a failure is the test's"
)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::fake_api::{FakeApi, Reply, Request};

/// The token that it takes.
pub const TOKEN: &str = "API-pretend";
/// The organisation that it has.
pub const ORG: &str = "rivers";
/// It never gives more at once.
const MOST: usize = 100;

/// Somebody's action over there.
#[derive(Debug, Clone)]
pub struct Signed {
    pub id: i64,
    pub name: String,
    pub opt_in: Option<bool>,
    /// As the enumeration has it: `NONE`, `DOUBLE_OPT_IN`, `BOUNCE`, …
    pub status: String,
    /// RFC 3339 without a zone.
    pub created_at: String,
    pub changed_at: Option<String>,
    /// A comment of so many bytes, to make answers long.
    pub comment: usize,
    pub is_encrypted: bool,
}

impl Signed {
    pub fn new(id: i64, name: &str, opt_in: Option<bool>) -> Self {
        Self {
            id,
            name: name.to_owned(),
            opt_in,
            status: "NONE".to_owned(),
            created_at: "2025-12-31T10:00:00".to_owned(),
            changed_at: None,
            comment: 0,
            is_encrypted: false,
        }
    }
}

/// It answers at `/api` of a [`FakeApi`].
#[derive(Clone, Default)]
pub struct FakeProca(Arc<Mutex<Vec<Signed>>>);

impl FakeProca {
    pub fn at(api: &FakeApi) -> Self {
        let proca = Self::default();
        let answers = proca.clone();
        api.compute_at("/api", move |request| answers.answer(request));
        proca
    }

    pub fn add(&self, signed: Signed) {
        self.actions().push(signed);
    }

    pub fn change(&self, id: i64, status: &str, at: &str) {
        let mut actions = self.actions();
        let action = actions.iter_mut().find(|action| action.id == id).unwrap();
        status.clone_into(&mut action.status);
        action.changed_at = Some(at.to_owned());
    }

    fn actions(&self) -> MutexGuard<'_, Vec<Signed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: &Request) -> Reply {
        if request.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
            return Reply::json(401, &json!({ "errors": [{ "message": "unauthorized" }] }));
        }
        let asked = request.json();
        let (query, variables) = (asked["query"].as_str().unwrap(), &asked["variables"]);
        if variables["org"] != ORG {
            let error =
                json!({ "message": "User is not a member", "extensions": { "code": "permission_denied" } });
            return Reply::json(200, &json!({ "data": null, "errors": [error] }));
        }
        let all = query.contains("onlyOptIn: false");
        let name = if query.contains("contacts(") {
            "contacts"
        } else {
            "exportActions"
        };
        let limit = usize::try_from(variables["limit"].as_u64().unwrap_or(100))
            .unwrap()
            .min(MOST);
        let mut actions: Vec<Signed> = self.actions().clone();
        actions.sort_by_key(|action| action.id);
        let entries: Vec<Value> = actions
            .iter()
            .filter(|action| all || action.opt_in == Some(true))
            .filter(|action| action.created_at.as_str() >= variables["after"].as_str().unwrap_or_default())
            .filter(|action| {
                let is_listed = ["NONE", "DOUBLE_OPT_IN"].contains(&action.status.as_str());
                variables["email"].as_str().map_or_else(
                    || is_listed && action.id >= variables["start"].as_i64().unwrap_or(0),
                    |email| email == address(&action.name),
                )
            })
            .take(limit)
            .map(entry)
            .collect();
        Reply::json(200, &json!({ "data": { name: entries } }))
    }
}

fn address(name: &str) -> String {
    format!("{name}@example.org")
}

fn entry(action: &Signed) -> Value {
    let payload =
        json!({ "firstName": action.name, "email": address(&action.name), "country": "DE" }).to_string();
    let mut contact = json!({ "contactRef": format!("ref-of-{}", action.name), "dupeRank": 0, "payload": payload,
        "nonce": null, "publicKey": null, "signKey": null });
    if action.is_encrypted {
        contact["payload"] = "c2VjcmV0".into();
        contact["nonce"] = "bm9uY2U".into();
        contact["publicKey"] = json!({ "id": 3, "public": "cHVibGlj" });
        contact["signKey"] = json!({ "id": 4, "public": "c2lnbg" });
    }
    let custom_fields = json!({ "comment": "x".repeat(action.comment) }).to_string();
    json!({
        "actionId": action.id, "actionType": "petition", "createdAt": action.created_at, "customFields": custom_fields,
        "contact": contact,
        "privacy": { "withConsent": true, "optIn": action.opt_in, "givenAt": action.created_at,
            "emailStatus": action.status, "emailStatusChanged": action.changed_at },
        "campaign": { "id": 3, "name": "clean_rivers", "title": "Clean rivers", "externalId": null, "contactSchema": "BASIC" },
        "actionPage": { "id": 7, "name": "clean_rivers/en", "locale": "en" },
        "tracking": null,
    })
}
