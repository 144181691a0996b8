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
pub(crate) enum Sort {
    Campaign,
    Page,
}

/// What an event says of a thing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Said<'a> {
    Campaign(&'a Campaign),
    Page(&'a Page),
}

impl Said<'_> {
    pub(super) fn sort(self) -> Sort {
        match self {
            Self::Campaign(_) => Sort::Campaign,
            Self::Page(_) => Sort::Page,
        }
    }

    pub(super) fn external_id(&self) -> &str {
        match self {
            Self::Campaign(campaign) => &campaign.external_id,
            Self::Page(page) => &page.external_id,
        }
    }
}

/// Fields with the time that each value dates from. A [`Contact`]'s fields have the right join.
pub(crate) struct Thing {
    pub id: i64,
    pub doc: Contact,
    pub(super) dirty: bool,
    last: Option<Last>,
}

/// What was said last, when all of it stands in the document.
struct Last {
    said: Kept,
    fields: Vec<String>,
}

enum Kept {
    Campaign(Campaign),
    Page(Page),
}

impl Thing {
    pub(super) fn new(id: i64, doc: Contact) -> Self {
        Self {
            id,
            doc,
            dirty: false,
            last: None,
        }
    }

    /// Whether an event says what the one before said, as nearly all do: then only the times can be newer.
    pub(super) fn is_repeat(&mut self, said: Said<'_>, at: Timestamp) -> bool {
        let Some(last) = &self.last else {
            return false;
        };
        let same = match (said, &last.said) {
            (Said::Campaign(said), Kept::Campaign(last)) => said == last,
            (Said::Page(said), Kept::Page(last)) => said == last,
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

    /// Applies an event of time `at`; returns whether anything changed.
    pub(super) fn learn(&mut self, said: Said<'_>, at: Timestamp) -> bool {
        let fields: BTreeMap<String, Value> = match said {
            Said::Campaign(campaign) => campaign_fields(campaign),
            Said::Page(page) => page_fields(page),
        };
        let changed = self.doc.set_fields(&fields, at);
        self.dirty |= changed;
        let stands = |(name, value): (&String, &Value)| {
            self.doc
                .fields
                .get(name)
                .is_some_and(|field| field.value == *value)
        };
        self.last = fields.iter().all(stands).then(|| Last {
            said: match said {
                Said::Campaign(campaign) => Kept::Campaign(campaign.clone()),
                Said::Page(page) => Kept::Page(page.clone()),
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

    /// With the short cut and without it.
    fn both(events: &[(&str, i64)]) -> (Contact, Contact) {
        let (mut quick, mut slow) = (
            Thing::new(1, Contact::default()),
            Thing::new(1, Contact::default()),
        );
        for (name, ms) in events {
            let page = page(name);
            if !quick.is_repeat(Said::Page(&page), at(*ms)) {
                quick.learn(Said::Page(&page), at(*ms));
            }
            slow.learn(Said::Page(&page), at(*ms));
        }
        (quick.doc, slow.doc)
    }

    #[test]
    fn a_repeat_changes_what_learning_it_again_would_change() {
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
    fn what_lost_against_a_newer_word_is_no_repeat() {
        let mut thing = Thing::new(1, Contact::default());
        thing.learn(Said::Page(&page("bees")), at(9));
        thing.learn(Said::Page(&page("trees")), at(1));
        assert!(!thing.is_repeat(Said::Page(&page("trees")), at(10)));
    }
}
