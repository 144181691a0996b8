//! Lists, and who is on them.

use causeway_core::clock::Timestamp;
use serde_json::{Value, json};

use super::{Call, Mailjet, envelope, errors::Failure};

/// How a contact is on a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    pub id: u64,
    pub is_unsubscribed: bool,
    pub subscribed_at: Timestamp,
    pub unsubscribed_at: Option<Timestamp>,
}

impl Mailjet {
    /// A list. Returns its number.
    pub fn add_list(&mut self, name: &str) -> u64 {
        let id = self.next_id();
        self.lists.insert(id, name.to_owned());
        id
    }

    /// Whether the person gets the mails of the list; `None` if they never were on it.
    pub fn is_subscribed(&self, email: &str, list: u64) -> Option<bool> {
        let (contact, _) = self.contact(email)?;
        Some(!self.recipients.get(&(contact, list))?.is_unsubscribed)
    }

    pub(super) fn known_list(&self, id: &str) -> Result<u64, Failure> {
        let id = id.parse().ok().filter(|id| self.lists.contains_key(id));
        id.ok_or_else(Failure::not_found)
    }

    pub(super) fn create_list(&mut self, call: &Call<'_>) -> Result<(u16, Value), Failure> {
        let name = call.text("Name").unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(Failure::new(400, "MJ03 A list needs a name"));
        }
        if self.lists.values().any(|known| *known == name) {
            return Err(Failure::exists("ContactsList"));
        }
        let id = self.add_list(&name);
        Ok((201, envelope(&[show_list(id, &name)])))
    }

    pub(super) fn list_lists(&self, call: &Call<'_>) -> Vec<Value> {
        let rows = self.lists.iter().map(|(id, name)| show_list(*id, name));
        call.page(rows.collect())
    }

    pub(super) fn read_list(&self, id: &str) -> Result<Vec<Value>, Failure> {
        let id = self.known_list(id)?;
        Ok(vec![show_list(id, &self.lists[&id])])
    }

    /// Writes the contact, and how they are on the list. Both spellings of `Action` are in the vendor's documents.
    pub(super) fn manage_contact(&mut self, list: &str, call: &Call<'_>) -> Result<(u16, Value), Failure> {
        let list = self.known_list(list)?;
        let action = call
            .text("Action")
            .or_else(|| call.text("action"))
            .unwrap_or_default()
            .to_lowercase();
        if !matches!(&*action, "addforce" | "addnoforce" | "unsub" | "remove") {
            return Err(Failure::new(400, "MJ03 Invalid action"));
        }
        let given = call
            .body
            .get("Properties")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        if let Some(name) = given.keys().find(|name| !self.properties.contains_key(*name)) {
            return Err(Failure::unknown_property(name));
        }
        let contact = self.ensure(call.text("Email").unwrap_or_default())?;
        self.write(contact, given.clone())?;
        if let Some(name) = call.text("Name") {
            name.clone_into(&mut self.contacts.get_mut(&contact).unwrap().name);
        }
        self.move_recipient(contact, list, &action);
        let known = &self.contacts[&contact];
        let row = json!({
            "ContactID": contact, "Email": known.email, "Action": action, "Name": known.name,
            "Properties": given,
        });
        Ok((201, envelope(&[row])))
    }

    fn move_recipient(&mut self, contact: u64, list: u64, action: &str) {
        let now = self.now();
        let key = (contact, list);
        let known = self.recipients.get(&key).cloned();
        let id = known.as_ref().map_or_else(|| self.next_id(), |known| known.id);
        let new = |is_unsubscribed: bool| Recipient {
            id,
            is_unsubscribed,
            subscribed_at: known.as_ref().map_or(now, |known| known.subscribed_at),
            unsubscribed_at: is_unsubscribed.then_some(now),
        };
        match (action, &known) {
            ("remove", _) => {
                self.recipients.remove(&key);
            }
            // An unsubscribe that is there is kept.
            ("addnoforce", Some(_)) => {}
            ("unsub", Some(known)) if known.is_unsubscribed => {}
            ("unsub", _) => {
                self.recipients.insert(key, new(true));
            }
            _ => {
                self.recipients.insert(key, new(false));
            }
        }
    }

    pub(super) fn lists_of_contact(&self, who: &str) -> Result<Vec<Value>, Failure> {
        let contact = self.known(who)?;
        let rows = self.recipients.iter().filter(|((of, _), _)| *of == contact);
        let show = |((_, list), recipient): (&(u64, u64), &Recipient)| {
            json!({
                "ListID": list, "IsUnsub": recipient.is_unsubscribed, "IsActive": true,
                "SubscribedAt": recipient.subscribed_at.to_string(),
            })
        };
        Ok(rows.map(show).collect())
    }

    /// The filter by `IsUnsubscribed` does not work at Mailjet, and not here.
    pub(super) fn list_recipients(&self, call: &Call<'_>) -> Vec<Value> {
        let email = call.parameter("ContactEmail").map(str::to_lowercase);
        let number = |name: &str| call.parameter(name).and_then(|id| id.parse::<u64>().ok());
        let (contact, list) = (number("Contact"), number("ContactsList"));
        let rows = self.recipients.iter().filter(|((of, on), _)| {
            email
                .as_ref()
                .is_none_or(|email| self.contacts[of].email == *email)
                && contact.is_none_or(|contact| contact == *of)
                && list.is_none_or(|list| list == *on)
        });
        let show = |((contact, list), recipient): (&(u64, u64), &Recipient)| {
            let left = recipient.unsubscribed_at;
            json!({
                "ID": recipient.id, "ContactID": contact, "ListID": list, "IsActive": true,
                "IsUnsubscribed": recipient.is_unsubscribed,
                "SubscribedAt": recipient.subscribed_at.to_string(),
                "UnsubscribedAt": left.map_or_else(String::new, |at| at.to_string()),
            })
        };
        call.page(rows.map(show).collect())
    }
}

fn show_list(id: u64, name: &str) -> Value {
    json!({ "ID": id, "Name": name, "IsDeleted": false, "SubscriberCount": 0, "Address": format!("l{id}") })
}
