//! Generates events of a site.

use super::{Making, when};
use crate::{
    feature::Feature,
    message::{Content, Says, Value, What, When, Word},
};

impl Making<'_> {
    pub(super) fn event(&mut self, space: usize, source: usize, person: usize) {
        let name = self.people.name(&mut self.dice, person, "site");
        let text = |text: &str| Value::Text(text.to_owned());
        let mut members = Vec::new();
        let mut words = Vec::new();
        let mut at = When::Arrival;
        match self.dice.below(10) {
            0..=6 => {
                let what = self.what();
                let is_click = what == What::DoubleOptIn;
                let is_opt_out = !matches!(what, What::OptIn | What::DoubleOptIn | What::Declined);
                let time = self.maybe_time(space, person, is_opt_out, is_click);
                at = when(time);
                members.push(("type".to_owned(), text("consent")));
                members.push(("what".to_owned(), text(word(what))));
                members.extend(time.map(|time| ("at".to_owned(), Value::Time(time))));
                words.push(Word::Plain {
                    what,
                    purpose: "email",
                    when: at,
                });
            }
            7 => {
                members.push(("type".to_owned(), text("tag")));
                members.push(("tag".to_owned(), text(self.dice.pick::<&str>(&["vip", "press"]))));
            }
            8 => {
                members.push(("type".to_owned(), text("page_visit")));
                members.push(("key".to_owned(), text("https://example.org/whales")));
            }
            _ => {
                members.push(("type".to_owned(), text("contact")));
                members.push(("fields.city".to_owned(), text("Bern")));
            }
        }
        let is_by_id = name.meant.is_some() && self.dice.chance(15);
        // An event must name a person, so a placeholder id comes with the address.
        let says = Says {
            id: name.meant,
            address: (!is_by_id).then_some(name.address),
            words,
            at,
            ..Says::default()
        };
        let has_number = self.dice.chance(50);
        if has_number {
            let number = self.number().to_string();
            members.push(("id".to_owned(), Value::Text(number)));
        }
        let email = (!is_by_id).then_some(name.email);
        let content = Content::Event {
            members,
            id: name.id,
            email,
            reference: None,
        };
        self.add(space, source, content, Says { has_number, ..says });
    }

    fn what(&mut self) -> What {
        let suppression = usize::from(self.has(Feature::OwnSuppression));
        self.dice.weighted(&[
            (30, What::OptIn),
            (20, What::DoubleOptIn),
            (6, What::Declined),
            (28, What::Unsubscribed),
            (5 * suppression, What::Complained),
            (5 * suppression, What::Bounced),
            (3 * suppression, What::Blocked),
            (3 * suppression, What::Inactive),
        ])
    }
}

/// The word of the events API for a statement.
pub fn word(what: What) -> &'static str {
    match what {
        What::OptIn => "opt_in",
        What::DoubleOptIn => "double_opt_in",
        What::Declined => "declined",
        What::Unsubscribed => "unsubscribed",
        What::Complained => "complained",
        What::Bounced => "bounced",
        What::Blocked => "blocked",
        What::Inactive => "inactive",
    }
}
