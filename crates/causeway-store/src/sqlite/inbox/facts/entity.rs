//! A campaign or page as events have described it.

use std::collections::BTreeMap;

use causeway_core::{
    clock::Timestamp,
    contact::{Contact, millis},
    event::{Campaign, Page},
};
use serde_json::Value;

use super::{campaign_fields, page_fields};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum EntityKind {
    Campaign,
    Page,
}

/// What an event says about a campaign or page.
#[derive(Debug, Clone, Copy)]
pub(super) enum Description<'a> {
    Campaign(&'a Campaign),
    Page(&'a Page),
}

impl Description<'_> {
    pub(super) fn kind(self) -> EntityKind {
        match self {
            Self::Campaign(_) => EntityKind::Campaign,
            Self::Page(_) => EntityKind::Page,
        }
    }

    pub(super) fn external_id(&self) -> &str {
        match self {
            Self::Campaign(campaign) => &campaign.external_id,
            Self::Page(page) => &page.external_id,
        }
    }
}

/// Fields, each with the time of its value. The fields of a [`Contact`] have the right join.
pub(crate) struct Entity {
    /// The row number of the campaign or page.
    pub id: i64,
    pub doc: Contact,
    pub(crate) dirty: bool,
    last: Option<LastDescription>,
}

/// The description in the last event, if the document holds all of it.
struct LastDescription {
    description: OwnedDescription,
    fields: Vec<String>,
}

enum OwnedDescription {
    Campaign(Campaign),
    Page(Page),
}

impl Entity {
    pub(crate) fn new(id: i64, doc: Contact) -> Self {
        Self {
            id,
            doc,
            dirty: false,
            last: None,
        }
    }

    /// Whether an event describes the entity exactly as the one before did. Nearly all do; then only the times
    /// can be newer.
    pub(super) fn is_repeat(&mut self, description: Description<'_>, at: Timestamp) -> bool {
        let Some(last) = &self.last else {
            return false;
        };
        let same = match (description, &last.description) {
            (Description::Campaign(description), OwnedDescription::Campaign(last)) => description == last,
            (Description::Page(description), OwnedDescription::Page(last)) => description == last,
            _ => false,
        };
        if same {
            let at = millis::floor(at);
            for name in &last.fields {
                if let Some(field) = self.doc.fields.get_mut(name)
                    && field.at < at
                {
                    field.at = at;
                    self.dirty = true;
                }
            }
        }
        same
    }

    /// Joins a description with the time `at`. Returns whether anything changed.
    pub(super) fn learn(&mut self, description: Description<'_>, at: Timestamp) -> bool {
        let fields: BTreeMap<String, Value> = match description {
            Description::Campaign(campaign) => campaign_fields(campaign),
            Description::Page(page) => page_fields(page),
        };
        let changed = self.doc.set_fields(&fields, at);
        self.dirty |= changed;
        let is_current = |(name, value): (&String, &Value)| {
            self.doc
                .fields
                .get(name)
                .is_some_and(|field| field.value == *value)
        };
        self.last = fields.iter().all(is_current).then(|| LastDescription {
            description: match description {
                Description::Campaign(campaign) => OwnedDescription::Campaign(campaign.clone()),
                Description::Page(page) => OwnedDescription::Page(page.clone()),
            },
            fields: fields.into_keys().collect(),
        });
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(name: &str) -> Page {
        Page {
            external_id: "7".to_owned(),
            name: Some(name.to_owned()),
            locale: None,
            org: None,
        }
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    /// The results with the short cut and without it.
    fn both(events: &[(&str, i64)]) -> (Contact, Contact) {
        let (mut quick, mut slow) = (
            Entity::new(1, Contact::default()),
            Entity::new(1, Contact::default()),
        );
        for (name, ms) in events {
            let page = page(name);
            if !quick.is_repeat(Description::Page(&page), at(*ms)) {
                quick.learn(Description::Page(&page), at(*ms));
            }
            slow.learn(Description::Page(&page), at(*ms));
        }
        (quick.doc, slow.doc)
    }

    #[test]
    fn the_short_cut_gives_the_same_result_as_learning_again() {
        for events in [
            &[("bees", 1), ("bees", 3), ("bees", 2)][..],
            &[
                ("bees", 1),
                ("trees", 5),
                ("bees", 3),
                ("bees", 4),
                ("bees", 6),
                ("trees", 6),
            ],
            &[("trees", 5), ("bees", 5), ("bees", 5), ("trees", 5)],
            &[
                ("bees", 9),
                ("trees", 1),
                ("trees", 10),
                ("bees", 10),
                ("bees", 11),
            ],
        ] {
            let (quick, slow) = both(events);
            assert_eq!(quick, slow, "{events:?}");
        }
    }

    #[test]
    fn a_value_that_lost_against_a_newer_one_is_no_repeat() {
        let mut entity = Entity::new(1, Contact::default());
        entity.learn(Description::Page(&page("bees")), at(9));
        entity.learn(Description::Page(&page("trees")), at(1));
        assert!(!entity.is_repeat(Description::Page(&page("trees")), at(10)));
    }
}
