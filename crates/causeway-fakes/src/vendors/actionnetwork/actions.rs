//! What people do: signatures, submissions, outreaches, attendances. An identifier does not make one unique.

use serde_json::{Value, json};

use super::{ActionNetwork, answer};
use crate::fake_api::Reply;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Collection {
    Petitions,
    Forms,
    Letters,
    Events,
}

impl Collection {
    pub const ALL: [Self; 4] = [Self::Petitions, Self::Forms, Self::Letters, Self::Events];

    pub(super) fn of(path: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|collection| collection.paths().0 == path)
    }

    /// The path of the pages, that of the actions below, and how an answer names the page.
    fn paths(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Petitions => ("petitions", "signatures", "petition_id"),
            Self::Forms => ("forms", "submissions", "form_id"),
            Self::Letters => ("advocacy_campaigns", "outreaches", "advocacy_campaign_id"),
            Self::Events => ("events", "attendances", "event_id"),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Action {
    pub id: u64,
    pub person: u64,
    /// As it was sent.
    pub body: Value,
}

impl ActionNetwork {
    pub(super) fn route_action(
        &mut self,
        method: &str,
        collection: Collection,
        page: &str,
        rest: &[&str],
        query: &[(String, String)],
        body: &Value,
    ) -> Reply {
        let key = (collection, page.to_owned());
        let Some(actions) = self.pages.get(&key) else {
            return answer::error(404, "Not found");
        };
        let (plural, own, _) = collection.paths();
        match (method, rest) {
            ("GET", []) => Reply::json(
                200,
                &json!({ "title": "Rivers", "identifiers": [format!("action_network:{page}")], "created_date": self.now().to_string(), "modified_date": self.now().to_string(), "_links": { "self": { "href": format!("{}/{plural}/{page}", answer::BASE) } } }),
            ),
            ("GET", [name]) if *name == own => {
                let shown = |action: &Action| self.shown(collection, page, action);
                let all: Vec<Value> = actions.iter().map(shown).collect();
                let found = match answer::filter(query) {
                    None => all,
                    Some(Err(reply)) => return reply,
                    Some(Ok((field, _, value))) if field == "identifier" => {
                        let has = |one: &Value| {
                            let identifiers = one.get("identifiers").and_then(Value::as_array);
                            identifiers
                                .into_iter()
                                .flatten()
                                .any(|identifier| *identifier == *value)
                        };
                        all.into_iter().filter(has).collect()
                    }
                    Some(Ok(_)) => return answer::error(400, "Invalid filter"),
                };
                answer::paged(&format!("osdi:{own}"), found, query)
            }
            ("POST", [name]) if *name == own => self.record(collection, page, body),
            _ => answer::error(404, "Not found"),
        }
    }

    fn shown(&self, collection: Collection, page: &str, action: &Action) -> Value {
        let (_, own, name) = collection.paths();
        let id = answer::uuid(action.id);
        let mut identifiers = action
            .body
            .get("identifiers")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        identifiers.push(format!("action_network:{id}").into());
        let at = self.now().to_string();
        json!({
            "identifiers": identifiers,
            "created_date": action.body.get("created_date").cloned().unwrap_or(at.clone().into()),
            "modified_date": at,
            "comments": action.body.get("comments"),
            "action_network:person_id": answer::uuid(action.person),
            format!("action_network:{name}"): page,
            "_links": { "self": { "href": format!("{}/{}/{page}/{own}/{id}", answer::BASE, collection.paths().0) } },
        })
    }

    /// With a person inside, or with a link to one.
    fn record(&mut self, collection: Collection, page: &str, body: &Value) -> Reply {
        let linked = body.pointer("/_links/osdi:person/href").and_then(Value::as_str);
        let person = match linked {
            Some(href) => {
                let id = href.rsplit('/').next().and_then(answer::number);
                match id.filter(|id| self.people.contains_key(id)) {
                    Some(id) => id,
                    None => return answer::error(400, "You must specify a valid person id"),
                }
            }
            None => match self.upsert(body) {
                Ok(id) => id,
                Err(reply) => return reply,
            },
        };
        let id = self.next_id();
        let action = Action {
            id,
            person,
            body: body.clone(),
        };
        let now = self.now();
        if let Some(person) = self.people.get_mut(&person) {
            person.modified = now;
        }
        let shown = self.shown(collection, page, &action);
        self.pages
            .entry((collection, page.to_owned()))
            .or_default()
            .push(action);
        Reply::json(200, &shown)
    }
}
