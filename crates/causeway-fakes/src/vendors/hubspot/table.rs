//! Storing records, finding them by their unique values, and undoing a request.

use super::record::{Kind, Objects, Record};

impl Objects {
    /// The contact that has this address, as its primary or as a secondary one.
    pub fn by_address(&self, address: &str) -> Option<&Record> {
        self.by_value("email", &address.trim().to_lowercase())
    }

    /// The record that has this value of a unique property.
    pub fn by_value(&self, name: &str, value: &str) -> Option<&Record> {
        let owner = self.owners.get(&(name.to_owned(), value.to_owned()))?;
        self.records.get(owner)
    }

    /// Stores a record in place of the one with its id.
    pub(super) fn put(&mut self, record: Record) {
        let id = record.id;
        self.replace(id, Some(record));
    }

    pub(super) fn take(&mut self, id: u64) {
        self.replace(id, None);
    }

    fn replace(&mut self, id: u64, record: Option<Record>) {
        let before = self.swap(id, record);
        self.undo.push((id, before));
    }

    /// Begins a request: [`Objects::roll_back`] undoes what follows.
    pub(super) fn begin(&mut self) {
        self.undo.clear();
    }

    pub(super) fn roll_back(&mut self) {
        while let Some((id, before)) = self.undo.pop() {
            self.swap(id, before);
        }
    }

    /// Keeps the index of unique values in step.
    fn swap(&mut self, id: u64, record: Option<Record>) -> Option<Record> {
        let before = self.records.remove(&id);
        let keys = before.as_ref().map(|before| self.keys(before));
        for key in keys.iter().flatten() {
            self.owners.remove(key);
        }
        if let Some(record) = record {
            for key in self.keys(&record) {
                self.owners.insert(key, id);
            }
            self.records.insert(id, record);
        }
        before
    }

    /// Names and values of the unique properties. An archived record frees them.
    fn keys(&self, record: &Record) -> Vec<(String, String)> {
        if record.archived.is_some() {
            return Vec::new();
        }
        let mut keys = Vec::new();
        if self.kind == Kind::Contact {
            keys.extend(record.addresses().map(|address| ("email".to_owned(), address)));
        }
        for (name, value) in &record.values {
            if self
                .properties
                .get(name)
                .is_some_and(|property| property.is_unique)
            {
                keys.push((name.clone(), value.clone()));
            }
        }
        keys
    }
}
