//! Generates syncs of platforms and form posts.

use serde_json::json;

use super::{DAY, Making, people, when};
use crate::{
    feature::Feature,
    message::{Content, Says, Seconds, Shape, Value, What, When, Word},
};

const YES: [&str; 3] = ["yes", "1", "true"];
const NO: [&str; 3] = ["no", "0", "false"];
/// Notations of a listed value that must be recognised as it.
const ODD_NO: [&str; 6] = [" no ", "NO", "0.0", "FALSE", "0.00", "No"];

impl Making<'_> {
    fn shape(&mut self) -> Shape {
        self.dice
            .weighted(&[(50, Shape::Form), (30, Shape::Json), (20, Shape::Get)])
    }

    /// A value of a consent field, and its meaning. `None`: the field is not sent.
    fn choice(&mut self) -> Option<(String, What)> {
        match self.dice.below(10) {
            0..=3 => Some(((*self.dice.pick(&YES)).to_owned(), What::OptIn)),
            4..=7 => {
                let odd = self.has(Feature::Values) && self.dice.chance(30);
                let text = if odd {
                    *self.dice.pick(&ODD_NO)
                } else {
                    *self.dice.pick(&NO)
                };
                Some((text.to_owned(), What::Unsubscribed))
            }
            _ => None,
        }
    }

    /// The date of a consent field, and the sent value; `None`: the field is not sent.
    fn date(&mut self, space: usize, person: usize, what: What) -> (Option<Value>, When) {
        let is_opt_out = what != What::OptIn;
        if self.dice.chance(10) {
            return (None, When::Arrival);
        }
        let at = self.time_for(space, person, is_opt_out, false);
        // A day of the run itself would be compared with messages without a date.
        if self.has(Feature::Dates) && self.dice.chance(35) && !(-2 * DAY..2 * DAY).contains(&at) {
            return (Some(Value::Day(at)), When::Day(at));
        }
        (Some(Value::Time(at)), When::At(at))
    }

    pub(super) fn sync(
        &mut self,
        space: usize,
        source: usize,
        person: usize,
        has_date: bool,
        is_opt_in: bool,
    ) {
        let name = self.people.name(&mut self.dice, person, "platform");
        let mut fields = vec![("First Name".to_owned(), Value::Text(people::first_name(person)))];
        let mut words = Vec::new();
        if is_opt_in {
            words.push(Word::Plain {
                what: What::OptIn,
                purpose: "email",
                when: When::Arrival,
            });
        }
        if let Some((value, what)) = self.choice() {
            fields.push(("Newsletter".to_owned(), Value::Text(value)));
            let (date, when) = if has_date {
                self.date(space, person, what)
            } else {
                (None, When::Arrival)
            };
            // An opt-in without its required date does not count.
            if !(has_date && date.is_none() && what == What::OptIn) {
                words.push(Word::Plain {
                    what,
                    purpose: "email",
                    when,
                });
            }
            fields.extend(date.map(|date| ("Newsletter date".to_owned(), date)));
        }
        // An id alone names a person, unless it is a placeholder.
        let is_by_id = name.meant.is_some() && self.dice.chance(10);
        let transaction = match self.dice.below(20) {
            0 => None,
            1 if self.has(Feature::Repeats) => Some("77".to_owned()),
            _ => Some(self.number().to_string()),
        };
        let says = Says {
            id: name.meant,
            address: (!is_by_id).then_some(name.address),
            words,
            has_number: transaction.is_some(),
            ..Says::default()
        };
        let email = (!is_by_id).then_some(name.email);
        let shape = self.shape();
        self.add(
            space,
            source,
            Content::Sync {
                transaction,
                id: name.id,
                email,
                fields,
                shape,
            },
            says,
        );
    }

    pub(super) fn form(
        &mut self,
        space: usize,
        source: usize,
        person: usize,
        field: &'static str,
        has_time: bool,
    ) {
        let name = self.people.name(&mut self.dice, person, "member");
        let shape = self.shape();
        let mut pairs = vec![
            ("email".to_owned(), Value::Text(name.email)),
            ("first_name".to_owned(), Value::Text(people::first_name(person))),
        ];
        pairs.extend(name.id.map(|id| ("member".to_owned(), Value::Text(id))));
        let choice = self.choice();
        let at = has_time.then(|| {
            let is_opt_out = choice.as_ref().is_some_and(|(_, what)| *what != What::OptIn);
            self.time_for(space, person, is_opt_out, false)
        });
        pairs.extend(at.map(|at| ("when".to_owned(), Value::Time(at))));
        let mut words = Vec::new();
        if let Some((text, what)) = choice {
            words.push(Word::Plain {
                what,
                purpose: "email",
                when: when(at),
            });
            let value = match (shape, text.as_str()) {
                (Shape::Json, "1") => Value::Json(json!(1)),
                (Shape::Json, "0") => Value::Json(json!(0)),
                (Shape::Json, "0.0") => Value::Json(json!(0.0)),
                (Shape::Json, "true") => Value::Json(json!(true)),
                (Shape::Json, "false") => Value::Json(json!(false)),
                _ => Value::Text(text),
            };
            pairs.push((field.to_owned(), value));
        }
        let says = Says {
            id: name.meant,
            address: Some(name.address),
            words,
            at: when(at),
            ..Says::default()
        };
        self.add(space, source, Content::Form { pairs, shape }, says);
    }

    /// A form post with another person's address. It must not prevent the owner's opt-out.
    pub(super) fn stranger(&mut self, space: usize, source: usize, person: usize) {
        let number = self.people.address_of(&mut self.dice, person);
        let address = self.people.mailbox(number).to_owned();
        let shape = self.shape();
        let mut pairs = vec![("email".to_owned(), Value::Text(address.clone()))];
        for _ in 0..self.dice.between(1, 3) {
            pairs.push(self.odd_pair(shape));
        }
        let says = Says {
            address: Some(address),
            is_bad: true,
            ..Says::default()
        };
        self.add(space, source, Content::Form { pairs, shape }, says);
    }

    pub(super) fn odd_pair(&mut self, shape: Shape) -> (String, Value) {
        let text = |name: &str, value: &str| (name.to_owned(), Value::Text(value.to_owned()));
        match self.dice.below(13) {
            0 => text("phone", "see notes"),
            1 => text("Born", "in spring"),
            2 => text("Code", "longer than five"),
            3 => text("first_name", &"x".repeat(400)),
            4 => text("first_name", "a\u{0}b"),
            5 => text("last_name", "line\r\nX-Other: 1"),
            6 => text("last_name", "\u{1F41D}\u{202e}\u{2028}'\"<&;"),
            7 if shape != Shape::Json => ("first_name".to_owned(), Value::Bytes(b"Ren\xE9\xFF".to_vec())),
            8 => text("a b.c[d]", "1"),
            9 => text("country", "Atlantis"),
            10 => text("user_id", "5"),
            11 => text("tag:vip", "1"),
            _ => text("Amount", "1e400"),
        }
    }

    /// An imported file with a row for each of some people.
    pub(super) fn file(&mut self, space: usize, source: usize, has_date: bool) {
        let file = self.next_file;
        self.next_file += 1;
        for _ in 0..self.dice.between(2, 7) {
            let person = self.people.somebody(&mut self.dice);
            let name = self.people.name(&mut self.dice, person, "office");
            let choice = self.choice();
            let mut cells = vec![
                ("email".to_owned(), Value::Text(name.email)),
                ("first_name".to_owned(), Value::Text(people::first_name(person))),
                ("nr".to_owned(), Value::Text(name.id.unwrap_or_default())),
            ];
            let mut words = Vec::new();
            let news = choice.as_ref().map_or_else(String::new, |(text, _)| text.clone());
            cells.push(("news".to_owned(), Value::Text(news)));
            if has_date {
                let (date, when) = match &choice {
                    Some((_, what)) => self.date(space, person, *what),
                    None => (None, When::Arrival),
                };
                if let Some((_, what)) = choice
                    && (date.is_some() || what != What::OptIn)
                {
                    words.push(Word::Plain {
                        what,
                        purpose: "email",
                        when,
                    });
                }
                cells.push((
                    "since".to_owned(),
                    date.unwrap_or_else(|| Value::Text(String::new())),
                ));
            } else if let Some((_, what)) = choice {
                words.push(Word::Plain {
                    what,
                    purpose: "email",
                    when: When::Arrival,
                });
            }
            let says = Says {
                id: name.meant,
                address: Some(name.address),
                words,
                ..Says::default()
            };
            self.add(space, source, Content::Row { file, cells }, says);
        }
    }

    /// A time for an event with a date.
    pub(super) fn maybe_time(
        &mut self,
        space: usize,
        person: usize,
        is_opt_out: bool,
        is_click: bool,
    ) -> Option<Seconds> {
        let has_time = self.dice.chance(65);
        has_time.then(|| self.time_for(space, person, is_opt_out, is_click))
    }
}
