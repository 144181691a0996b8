//! The delivery keys that were written last.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

/// Enough for all deliveries that can have been in flight when the program was killed; takes a few megabytes.
const KEYS: usize = 65_536;

#[derive(Default)]
pub(super) struct Recent {
    order: VecDeque<Arc<str>>,
    known: HashSet<Arc<str>>,
}

impl Recent {
    /// An empty text is no key.
    pub fn add(&mut self, key: &str) {
        if key.is_empty() || self.known.contains(key) {
            return;
        }
        if self.order.len() >= KEYS
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        let key: Arc<str> = key.into();
        self.order.push_back(Arc::clone(&key));
        self.known.insert(key);
    }

    pub fn add_all(&mut self, other: &Self) {
        for key in &other.order {
            self.add(key);
        }
    }

    pub fn contains(&self, key: &str) -> bool {
        self.known.contains(key)
    }
}
