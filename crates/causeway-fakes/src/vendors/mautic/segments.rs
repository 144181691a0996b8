//! Segments, and the contacts that were put into them.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Call, Done, Mautic, errors::Failure, php};

#[derive(Debug, Clone, Default)]
pub struct Segment {
    pub name: String,
    pub alias: String,
    pub is_published: bool,
    /// Other users' segments that are not for all are hidden from the user.
    pub is_hidden: bool,
    pub members: BTreeSet<u64>,
}

impl Mautic {
    /// A segment. Returns its number.
    pub fn add_segment(&mut self, name: &str) -> u64 {
        let id = self.next_id();
        let segment = Segment {
            name: name.to_owned(),
            alias: name.to_lowercase().replace(' ', "-"),
            is_published: true,
            ..Segment::default()
        };
        self.segments.insert(id, segment);
        id
    }

    pub(super) fn members_of(&self, alias: &str) -> BTreeSet<u64> {
        let found = self.segments.values().find(|segment| segment.alias == alias);
        found.map(|segment| segment.members.clone()).unwrap_or_default()
    }

    pub(super) fn run_segments(&mut self, call: &Call<'_>, rest: &[&str]) -> Result<Done, Failure> {
        match (call.method, rest) {
            ("GET", []) => {
                let ids: Vec<u64> = self.segments.keys().copied().collect();
                let total = ids.len();
                let rows = call.page(ids).into_iter();
                let rows = rows.map(|id| (id, self.shown_segment(id))).collect();
                Ok((200, json!({ "total": total, "lists": php::array(rows) })))
            }
            ("POST", ["new"]) => {
                let name = call.body.get("name").map(php::text).unwrap_or_default();
                if name.is_empty() {
                    return Err(Failure::invalid("name", "A name is required."));
                }
                let id = self.add_segment(&name);
                Ok((201, json!({ "list": self.shown_segment(id) })))
            }
            ("GET", [id]) => {
                let id = self.known_segment(id)?;
                Ok((200, json!({ "list": self.shown_segment(id) })))
            }
            ("POST", [id, "contact", contact, way @ ("add" | "remove")]) => {
                let id = self.known_segment(id)?;
                let contact = self.known(contact)?;
                self.may_edit(contact)?;
                self.may_see(id)?;
                self.put(id, contact, *way == "add");
                Ok((200, json!({ "success": 1 })))
            }
            ("POST", [id, "contacts", "add"]) => self.add_many(id, call),
            _ => Err(Failure::new(404, "No route found")),
        }
    }

    fn add_many(&mut self, id: &str, call: &Call<'_>) -> Result<Done, Failure> {
        let ids = call.body.get("ids").and_then(Value::as_array).cloned();
        let ids = ids.ok_or_else(|| Failure::new(400, "There was an error in the request."))?;
        let id = self.known_segment(id)?;
        self.may_see(id)?;
        let mut details = Map::new();
        for contact in ids.iter().map(php::text) {
            let known = self
                .known(&contact)
                .and_then(|known| self.may_edit(known).map(|()| known));
            if let Ok(known) = known {
                self.put(id, known, true);
            }
            details.insert(contact, json!({ "success": known.is_ok() }));
        }
        Ok((200, json!({ "success": 1, "details": details })))
    }

    fn put(&mut self, segment: u64, contact: u64, is_in: bool) {
        let members = &mut self.segments.get_mut(&segment).unwrap().members;
        if is_in {
            members.insert(contact);
        } else {
            members.remove(&contact);
        }
    }

    fn known_segment(&self, id: &str) -> Result<u64, Failure> {
        let id: u64 = id.parse().map_err(|_| Failure::not_found())?;
        let is_known = self.segments.contains_key(&id);
        is_known.then_some(id).ok_or_else(Failure::not_found)
    }

    fn may_see(&self, id: u64) -> Result<(), Failure> {
        let is_hidden = self.segments[&id].is_hidden;
        (!is_hidden).then_some(()).ok_or_else(Failure::denied)
    }

    fn shown_segment(&self, id: u64) -> Value {
        let segment = &self.segments[&id];
        json!({
            "id": id, "name": segment.name, "alias": segment.alias, "isPublished": segment.is_published,
            "isGlobal": true, "description": null, "filters": [],
        })
    }

    pub(super) fn segments_of(&self, contact: &str) -> Result<Done, Failure> {
        let contact = self.known(contact)?;
        let own = self
            .segments
            .iter()
            .filter(|(_, segment)| segment.members.contains(&contact));
        let lists: Vec<(u64, Value)> = own.map(|(id, _)| (*id, self.shown_segment(*id))).collect();
        Ok((200, json!({ "total": lists.len(), "lists": php::array(lists) })))
    }
}
