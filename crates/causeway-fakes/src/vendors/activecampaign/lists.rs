//! Lists, and how contacts are on them.

use causeway_core::clock::Timestamp;
use serde_json::{Value, json};

use super::{ActiveCampaign, Call, contacts::CONTACT, errors::Failure, loose, number, time};

/// How a contact is on a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// 0 unconfirmed, 1 subscribed, 2 unsubscribed, 3 bounced.
    pub status: u64,
    pub subscribed_at: Option<Timestamp>,
    pub unsubscribed_at: Option<Timestamp>,
    pub source: u64,
}

impl ActiveCampaign {
    /// A list. Returns its number.
    pub fn add_list(&mut self, name: &str) -> u64 {
        let id = self.next_id();
        self.lists.insert(id, name.to_owned());
        id
    }

    /// The status of the contact with this address; `None` if they never were on the list.
    pub fn status(&self, email: &str, list: u64) -> Option<u64> {
        let (contact, _) = self.contact(email)?;
        Some(self.memberships.get(&(contact, list))?.status)
    }

    pub(super) fn set_status(&mut self, call: &Call<'_>) -> Result<Value, Failure> {
        let given = call.member("contactList")?;
        let member = |name: &str| {
            let missing = || Failure::invalid("A required member is missing", "field_missing", name);
            loose(given.get(name)).ok_or_else(missing)
        };
        let (list, contact, status) = (member("list")?, member("contact")?, member("status")?);
        if !self.contacts.contains_key(&contact) {
            return Err(Failure::not_found(CONTACT, &contact.to_string()));
        }
        if !self.lists.contains_key(&list) {
            return Err(Failure::not_found("List", &list.to_string()));
        }
        if !matches!(status, 1 | 2) {
            return Err(Failure::invalid(
                "The status is not valid",
                "field_invalid",
                "status",
            ));
        }
        let now = self.now();
        let known = self.memberships.get(&(contact, list));
        let membership = Membership {
            status,
            subscribed_at: match status {
                1 => Some(now),
                _ => known.and_then(|known| known.subscribed_at),
            },
            unsubscribed_at: (status == 2).then_some(now),
            source: loose(given.get("sourceid")).unwrap_or(0),
        };
        let shown = show(contact, list, &membership);
        self.memberships.insert((contact, list), membership);
        Ok(json!({ "contacts": [{ "id": contact.to_string() }], "contactList": shown }))
    }

    pub(super) fn lists_of_contact(&self, id: &str) -> Result<Value, Failure> {
        let id = self.known_contact(id)?;
        let all = self.memberships.iter().filter(|((contact, _), _)| *contact == id);
        let rows: Vec<Value> = all
            .map(|((contact, list), membership)| show(*contact, *list, membership))
            .collect();
        Ok(json!({ "contactLists": rows }))
    }

    pub(super) fn list_lists(&self, call: &Call<'_>) -> Value {
        let rows: Vec<Value> = self.lists.iter().map(|(id, name)| show_list(*id, name)).collect();
        let (lists, meta) = call.page(&rows);
        json!({ "lists": lists, "meta": meta })
    }

    pub(super) fn read_list(&self, id: &str) -> Result<Value, Failure> {
        let known = number(id, "List")?;
        let name = self
            .lists
            .get(&known)
            .ok_or_else(|| Failure::not_found("List", id))?;
        Ok(json!({ "list": show_list(known, name) }))
    }
}

fn show_list(id: u64, name: &str) -> Value {
    json!({ "id": id.to_string(), "name": name, "stringid": name.to_lowercase().replace(' ', "-") })
}

fn show(contact: u64, list: u64, membership: &Membership) -> Value {
    json!({
        "contact": contact.to_string(),
        "list": list.to_string(),
        "form": null,
        "sdate": membership.subscribed_at.map(time),
        "udate": membership.unsubscribed_at.map(time),
        "status": membership.status.to_string(),
        "unsubreason": null,
        "sourceid": membership.source.to_string(),
        "id": format!("{contact}{list}"),
    })
}
