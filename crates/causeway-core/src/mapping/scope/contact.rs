//! The contact's fields by their names, and the list fields by the numbers that a platform gave them.

use serde_json::Value;

use super::{Found, Part, Scope, scalar, text};
use crate::{
    contact::{Identity, LIST, LIST_FIELD_IDS, TAG, is_internal},
    mapping::names::Object,
};

impl Scope {
    pub(super) fn contact(&self, name: &str) -> Option<Found<'_>> {
        match name {
            "email" => return Some(text(self.record().email())),
            "tags" => return Some(self.memberships(name, TAG)),
            "lists" => return Some(self.memberships(name, LIST)),
            "ids" => return Some(Found::Part(Part::Ids)),
            "contactRef" | "contact_ref" => {
                let reference = self
                    .record()
                    .identities
                    .iter()
                    .find_map(|identity| match identity {
                        Identity::ContactRef { reference, .. } => Some(reference.as_str()),
                        _ => None,
                    });
                return Some(text(reference));
            }
            _ => {}
        }
        if is_internal(name) {
            return self.is_lenient().then_some(Found::Null);
        }
        self.contact_field(name, Object::Contact.canonical(name))
    }

    /// A field that is none of ours; `usual` is our spelling of its name, if everybody may have it.
    pub(in crate::mapping) fn contact_field(&self, name: &str, usual: Option<&str>) -> Option<Found<'_>> {
        let fields = &self.record().contact.fields;
        let get = |name: &str| fields.get(name).map(|field| scalar(&field.value));
        if let Some(found) = get(name) {
            return Some(found);
        }
        match usual {
            Some(usual) if usual != name => Some(get(usual).unwrap_or(Found::Null)),
            Some(_) => Some(Found::Null),
            None => self.is_lenient().then_some(Found::Null),
        }
    }

    pub(super) fn field(&self, name: &str) -> Option<&Value> {
        if is_internal(name) {
            return None;
        }
        self.record().contact.fields.get(name).map(|field| &field.value)
    }

    /// A source may send a list of that name; what we know of tags and lists wins over it. A text is no list.
    pub(in crate::mapping) fn memberships(&self, name: &str, prefix: &'static str) -> Found<'_> {
        let none = self.members(prefix).next().is_none();
        let sent = self.field(name).filter(|sent| none && sent.is_array());
        sent.map_or(Found::Part(Part::Members(prefix)), scalar)
    }

    /// By its label, or by the number that a platform gave it.
    pub(super) fn list_field(&self, name: &str) -> Option<Found<'_>> {
        if let Some(value) = self.field(name) {
            return Some(scalar(value));
        }
        for (label, id) in self.list_field_ids() {
            if id.as_str() == Some(name) {
                return Some(self.field(label).map_or(Found::Null, scalar));
            }
            if label == name {
                return Some(Found::Null);
            }
        }
        self.is_lenient().then_some(Found::Null)
    }

    /// Label and number of every list field that a platform sent.
    pub(super) fn list_field_ids(&self) -> impl Iterator<Item = (&String, &Value)> {
        let fields = self.record().contact.fields.range(LIST_FIELD_IDS.to_owned()..);
        fields
            .take_while(|(name, _)| name.starts_with(LIST_FIELD_IDS))
            .filter_map(|(_, field)| field.value.as_object())
            .flatten()
    }
}
