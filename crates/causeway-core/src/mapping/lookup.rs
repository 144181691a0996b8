//! `[lookup.NAME]`: tables in the configuration that map one value to another.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use minijinja::value::Object;
use serde_json::{Map, Value};

/// Table → key → value, and other parts of the configuration that expressions depend on. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tables(Arc<Inner>);

#[derive(Debug, Clone, Default, PartialEq)]
struct Inner {
    tables: BTreeMap<String, Map<String, Value>>,
    lists: BTreeSet<String>,
}

impl Object for Tables {}

impl Tables {
    pub fn new(tables: BTreeMap<String, Map<String, Value>>) -> Self {
        let lists = BTreeSet::new();
        Self(Arc::new(Inner { tables, lists }))
    }

    /// Sets the names of the contact's fields that are declared to hold several values.
    #[must_use]
    pub fn with_lists(mut self, lists: BTreeSet<String>) -> Self {
        Arc::make_mut(&mut self.0).lists = lists;
        self
    }

    pub(super) fn is_list(&self, field: &str) -> bool {
        self.0.lists.contains(field)
    }

    pub fn get(&self, name: &str) -> Option<&Map<String, Value>> {
        self.0.tables.get(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.tables.keys().map(String::as_str)
    }
}
