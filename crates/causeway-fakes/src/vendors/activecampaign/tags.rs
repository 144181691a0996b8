//! Tags, and which contacts have them.

use serde_json::{Value, json};

use super::{ActiveCampaign, Call, contacts::CONTACT, errors::Failure, loose, number};

impl ActiveCampaign {
    /// A tag. Returns its number.
    pub fn add_tag_named(&mut self, name: &str) -> u64 {
        let id = self.next_id();
        self.tags.insert(id, name.to_owned());
        id
    }

    /// The numbers of the tags that the contact with this address has.
    pub fn tags_of(&self, email: &str) -> Vec<u64> {
        let contact = self.contact(email).map(|(id, _)| id);
        let links = self.contact_tags.values();
        links
            .filter(|(id, _)| Some(*id) == contact)
            .map(|(_, tag)| *tag)
            .collect()
    }

    pub(super) fn create_tag(&mut self, call: &Call<'_>) -> Result<(u16, Value), Failure> {
        let given = call.member("tag")?;
        let name = given.get("tag").and_then(Value::as_str).unwrap_or_default();
        if name.is_empty() {
            return Err(Failure::invalid(
                "A required member is missing",
                "field_missing",
                "tag",
            ));
        }
        if self.tags.values().any(|known| known.eq_ignore_ascii_case(name)) {
            return Err(Failure::duplicate_name(name));
        }
        let id = self.add_tag_named(name);
        Ok((201, json!({ "tag": show(id, name) })))
    }

    pub(super) fn list_tags(&self, call: &Call<'_>) -> Value {
        let searched = call.parameter("search").unwrap_or_default().to_lowercase();
        let rows: Vec<Value> = self
            .tags
            .iter()
            .filter(|(_, name)| name.to_lowercase().contains(&searched))
            .map(|(id, name)| show(*id, name))
            .collect();
        let (tags, meta) = call.page(&rows);
        json!({ "tags": tags, "meta": meta })
    }

    pub(super) fn read_tag(&self, id: &str) -> Result<Value, Failure> {
        let known = number(id, "Tag")?;
        let name = self
            .tags
            .get(&known)
            .ok_or_else(|| Failure::not_found("Tag", id))?;
        Ok(json!({ "tag": show(known, name) }))
    }

    /// A tag that the contact has is added once: the same link is shown again.
    pub(super) fn add_tag(&mut self, call: &Call<'_>) -> Result<(u16, Value), Failure> {
        let given = call.member("contactTag")?;
        let contact = loose(given.get("contact")).unwrap_or_default();
        let tag = loose(given.get("tag")).unwrap_or_default();
        if !self.contacts.contains_key(&contact) {
            return Err(Failure::not_found(CONTACT, &contact.to_string()));
        }
        if !self.tags.contains_key(&tag) {
            return Err(Failure::not_found("Tag", &tag.to_string()));
        }
        let known = self
            .contact_tags
            .iter()
            .find(|(_, link)| **link == (contact, tag));
        let (status, id) = match known.map(|(id, _)| *id) {
            Some(id) => (200, id),
            None => (201, self.next_id()),
        };
        self.contact_tags.insert(id, (contact, tag));
        Ok((status, json!({ "contactTag": show_link(id, contact, tag) })))
    }

    pub(super) fn remove_tag(&mut self, id: &str) -> Result<Value, Failure> {
        let known = number(id, "SubscriberTag")?;
        let removed = self.contact_tags.remove(&known);
        removed
            .map(|_| json!({}))
            .ok_or_else(|| Failure::not_found("SubscriberTag", id))
    }

    pub(super) fn tags_of_contact(&self, id: &str) -> Result<Value, Failure> {
        let contact = self.known_contact(id)?;
        let links = self.contact_tags.iter().filter(|(_, (of, _))| *of == contact);
        let rows: Vec<Value> = links
            .map(|(id, (contact, tag))| show_link(*id, *contact, *tag))
            .collect();
        Ok(json!({ "contactTags": rows }))
    }
}

fn show(id: u64, name: &str) -> Value {
    json!({ "id": id.to_string(), "tag": name, "tagType": "contact", "description": "" })
}

fn show_link(id: u64, contact: u64, tag: u64) -> Value {
    json!({ "id": id.to_string(), "contact": contact.to_string(), "tag": tag.to_string() })
}
