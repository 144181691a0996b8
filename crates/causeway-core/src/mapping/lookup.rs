//! `[lookup.NAME]`: tables of the configuration that turn one value into another.

use std::{collections::BTreeMap, sync::Arc};

use minijinja::value::Object;
use serde_json::{Map, Value};

/// Table → key → value. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tables(Arc<BTreeMap<String, Map<String, Value>>>);

impl Object for Tables {}

impl Tables {
    pub fn new(tables: BTreeMap<String, Map<String, Value>>) -> Self {
        Self(Arc::new(tables))
    }

    pub fn get(&self, name: &str) -> Option<&Map<String, Value>> {
        self.0.get(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
