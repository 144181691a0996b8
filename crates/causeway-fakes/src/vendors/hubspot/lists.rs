//! Lists of contacts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    HubSpot,
    answer::{Answer, Call, Failure, need_fields, text_of, texts, time},
};
use crate::fake_api::Reply;

/// Most records of one change, and of a list that can be emptied.
const MOST: usize = 100_000;
const CONTACTS: &str = "0-1";

/// How a list gets its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processing {
    Manual,
    /// By filters at first, and by hand since.
    Snapshot,
    /// By filters only: it refuses changes of its members.
    Dynamic,
}

impl Processing {
    pub fn name(self) -> &'static str {
        match self {
            Self::Manual => "MANUAL",
            Self::Snapshot => "SNAPSHOT",
            Self::Dynamic => "DYNAMIC",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let all = [Self::Manual, Self::Snapshot, Self::Dynamic];
        all.into_iter().find(|processing| processing.name() == name)
    }
}

#[derive(Debug, Clone)]
pub struct List {
    pub id: u64,
    pub name: String,
    pub processing: Processing,
    /// Id of the contact → when it joined.
    pub members: BTreeMap<u64, Timestamp>,
    pub created: Timestamp,
    pub deleted: Option<Timestamp>,
}

impl List {
    fn json(&self) -> Value {
        let mut body = json!({
            "listId": self.id.to_string(), "listVersion": 1, "name": self.name, "objectTypeId": CONTACTS,
            "processingType": self.processing.name(), "processingStatus": "COMPLETE", "size": self.members.len(),
            "createdAt": time(self.created), "updatedAt": time(self.created),
        });
        if let Some(deleted) = self.deleted {
            body["deletedAt"] = time(deleted).into();
        }
        body
    }
}

impl HubSpot {
    /// Creates a list, and returns its id.
    pub fn add_list(&mut self, name: &str, processing: Processing) -> u64 {
        let id = 401 + self.lists.len() as u64;
        let list = List {
            id,
            name: name.to_owned(),
            processing,
            members: BTreeMap::new(),
            created: self.clock.now(),
            deleted: None,
        };
        self.lists.insert(id, list);
        id
    }

    /// Below `/crm/lists/2026-09`.
    pub(super) fn lists(&mut self, rest: &[&str], call: &Call<'_>) -> Answer {
        let reads = call.method == "GET" || rest == ["search"];
        if reads {
            call.need_any(&["crm.lists.read"])?;
        } else if rest.is_empty() {
            call.need_any(&["crm.lists.write"])?;
        } else {
            call.need_all(&["crm.lists.read", "crm.lists.write"])?;
        }
        match (call.method, rest) {
            ("POST", []) => self.create_list(&call.json()?),
            ("GET", []) => {
                let wanted = call.list("listIds");
                let lists = self
                    .live_lists()
                    .filter(|list| wanted.contains(&list.id.to_string()));
                Ok(Reply::json(
                    200,
                    &json!({ "lists": lists.map(List::json).collect::<Vec<_>>() }),
                ))
            }
            ("GET", ["object-type-id", kind, "name", name]) => {
                let list = self
                    .live_lists()
                    .find(|list| *kind == CONTACTS && list.name == *name);
                let list = list.ok_or_else(|| missing("name", name))?;
                Ok(Reply::json(200, &json!({ "list": list.json() })))
            }
            ("POST", ["search"]) => self.search_lists(&call.json()?),
            ("GET", [id]) => Ok(Reply::json(200, &json!({ "list": self.list(id)?.json() }))),
            ("DELETE", [id]) => {
                self.list(id)?.deleted = Some(call.now);
                Ok(Reply::status(204))
            }
            ("PUT", [id, "update-list-name"]) => {
                let name = call.query("listName").unwrap_or_default().to_owned();
                self.check_name(&name)?;
                let list = self.list(id)?;
                list.name = name;
                Ok(Reply::json(200, &json!({ "updatedList": list.json() })))
            }
            ("PUT", [id, "restore"]) => {
                let list = id.parse().ok().and_then(|id: u64| self.lists.get_mut(&id));
                list.ok_or_else(|| missing("ID", id))?.deleted = None;
                Ok(Reply::status(204))
            }
            (_, [id, "memberships", rest @ ..]) => self.memberships(id, rest, call),
            _ => Err(Failure::not_found()),
        }
    }

    fn live_lists(&self) -> impl Iterator<Item = &List> {
        self.lists.values().filter(|list| list.deleted.is_none())
    }

    fn list(&mut self, id: &str) -> Result<&mut List, Failure> {
        let list = id.parse().ok().and_then(|id: u64| self.lists.get_mut(&id));
        list.filter(|list| list.deleted.is_none())
            .ok_or_else(|| missing("ID", id))
    }

    fn check_name(&self, name: &str) -> Result<(), Failure> {
        if self.live_lists().any(|list| list.name == name) {
            let message = format!("List name '{name}' is already in use.");
            let failure = Failure::invalid(&message).with("subCategory", "ILS.DUPLICATE_LIST_NAMES".into());
            return Err(failure.context("listName", &[name]));
        }
        Ok(())
    }

    fn create_list(&mut self, body: &Value) -> Answer {
        need_fields(body, &["name", "objectTypeId", "processingType"])?;
        let (name, kind) = (text_of(&body["name"])?, text_of(&body["objectTypeId"])?);
        let processing = text_of(&body["processingType"])?;
        let Some(processing) = Processing::parse(&processing) else {
            return Err(Failure::invalid(&format!(
                "processingType {processing} is unknown"
            )));
        };
        if kind != CONTACTS {
            return Err(Failure::invalid(&format!("objectTypeId {kind} is unknown")));
        }
        if processing == Processing::Dynamic && body["filterBranch"].is_null() {
            return Err(Failure::invalid("A DYNAMIC list needs a filterBranch"));
        }
        self.check_name(&name)?;
        let id = self.add_list(&name, processing);
        let list = self.lists.get(&id).ok_or_else(Failure::not_found)?;
        Ok(Reply::json(200, &json!({ "list": list.json() })))
    }

    fn search_lists(&self, body: &Value) -> Answer {
        need_fields(body, &[])?;
        let query = body["query"].as_str().unwrap_or_default().to_lowercase();
        let number =
            |name: &str, default: usize| text_of(&body[name]).map(|text| text.parse().unwrap_or(default));
        let (offset, count) = (number("offset", 0)?, number("count", 20)?);
        let found: Vec<&List> = self
            .live_lists()
            .filter(|list| list.name.to_lowercase().contains(&query))
            .collect();
        let page: Vec<Value> = found
            .iter()
            .skip(offset)
            .take(count)
            .map(|list| {
                let mut body = list.json();
                if let Some(body) = body.as_object_mut() {
                    body.remove("size");
                }
                body["additionalProperties"] = json!({ "hs_list_size": list.members.len().to_string() });
                body
            })
            .collect();
        let next = offset + page.len();
        let body =
            json!({ "lists": page, "offset": next, "total": found.len(), "hasMore": next < found.len() });
        Ok(Reply::json(200, &body))
    }

    fn memberships(&mut self, id: &str, rest: &[&str], call: &Call<'_>) -> Answer {
        match (call.method, rest) {
            ("GET", [] | ["join-order"]) => {
                let mut members: Vec<(u64, Timestamp)> = self.list(id)?.members.clone().into_iter().collect();
                if !rest.is_empty() {
                    members.sort_by_key(|(_, joined)| *joined);
                }
                page(&members, call)
            }
            ("DELETE", []) => {
                let list = self.list(id)?;
                if list.members.len() >= MOST {
                    return Err(Failure::invalid("The list has too many members to remove all"));
                }
                list.members.clear();
                Ok(Reply::status(204))
            }
            ("PUT", ["add"]) => self.change_members(id, &texts(&call.json()?), &[], call),
            ("PUT", ["remove"]) => self.change_members(id, &[], &texts(&call.json()?), call),
            ("PUT", ["add-and-remove"]) => {
                let body = call.json_with(&["recordIdsToAdd", "recordIdsToRemove"])?;
                let (add, remove) = (texts(&body["recordIdsToAdd"]), texts(&body["recordIdsToRemove"]));
                self.change_members(id, &add, &remove, call)
            }
            ("PUT", ["add-from", source]) => {
                let more = self.list(source)?.members.clone();
                let list = self.list(id)?;
                for id in more.into_keys() {
                    list.members.entry(id).or_insert(call.now);
                }
                Ok(Reply::status(204))
            }
            _ => Err(Failure::not_found()),
        }
    }

    fn change_members(&mut self, id: &str, add: &[String], remove: &[String], call: &Call<'_>) -> Answer {
        if self.list(id)?.processing == Processing::Dynamic {
            let message = format!("List {id} is DYNAMIC: its members cannot be changed by hand");
            return Err(Failure::invalid(&message).context("listId", &[id]));
        }
        if add.len() + remove.len() > MOST {
            return Err(Failure::invalid(&format!(
                "At most {MOST} records can be changed at once"
            )));
        }
        let mut missing = Vec::new();
        // The id of a record that was merged or deleted is missing, too.
        let mut known = |ids: &[String]| {
            let mut known = Vec::new();
            for id in ids {
                match id.parse().ok().filter(|id| {
                    self.contacts
                        .records
                        .get(id)
                        .is_some_and(|record| record.archived.is_none())
                }) {
                    Some(id) => known.push(id),
                    None => missing.push(id.clone()),
                }
            }
            known
        };
        let (add, remove): (Vec<u64>, Vec<u64>) = (known(add), known(remove));
        let members = &mut self.list(id)?.members;
        let is_new = |id: &u64| members.insert(*id, call.now).is_none();
        let added: Vec<String> = add.into_iter().filter(is_new).map(|id| id.to_string()).collect();
        let was_there = |id: &u64| members.remove(id).is_some();
        let removed: Vec<String> = remove
            .into_iter()
            .filter(was_there)
            .map(|id| id.to_string())
            .collect();
        let body =
            json!({ "recordsIdsAdded": added, "recordIdsRemoved": removed, "recordIdsMissing": missing });
        Ok(Reply::json(200, &body))
    }
}

fn page(members: &[(u64, Timestamp)], call: &Call<'_>) -> Answer {
    let limit = call.limit(100, 250)?;
    let start = match call.query("after") {
        None => 0,
        Some(after) => {
            let last = after.parse().ok();
            let place = members.iter().position(|(id, _)| Some(*id) == last);
            place.ok_or_else(|| Failure::invalid("after is not valid"))? + 1
        }
    };
    let page = members.iter().skip(start).take(limit);
    let results: Vec<Value> = page
        .map(|(id, joined)| json!({ "recordId": id.to_string(), "membershipTimestamp": time(*joined) }))
        .collect();
    let mut body = json!({ "results": results, "total": members.len() });
    if start + limit < members.len()
        && let Some((last, _)) = members.get(start + limit - 1)
    {
        body["paging"] = json!({ "next": { "after": last.to_string() } });
    }
    Ok(Reply::json(200, &body))
}

fn missing(by: &str, value: &str) -> Failure {
    let message = format!("List does not exist with {by} {value}.");
    Failure::new(404, "OBJECT_NOT_FOUND", &message).context("list", &[value])
}
