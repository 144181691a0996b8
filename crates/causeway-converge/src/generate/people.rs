//! The people in the messages.

use std::collections::BTreeMap;

use crate::{
    dice::Dice,
    feature::{Feature, Features},
    message::Id,
    world::Server,
};

/// Placeholder ids, which name nobody.
const NOBODY: [&str; 13] = [
    "0",
    "-1",
    "null",
    "none",
    "undefined",
    "N/A",
    "-",
    "",
    "NULL",
    "None",
    "[#CONTACT ID#]",
    "n/a",
    "nil",
];

pub struct People {
    persons: Vec<Person>,
    /// All addresses; Proca's references are numbers of them.
    addresses: Vec<String>,
    has_spellings: bool,
    has_placeholders: bool,
    has_constant: bool,
}

struct Person {
    /// Numbers of addresses, the oldest first.
    addresses: Vec<usize>,
    /// How many of them the person has used so far.
    used: usize,
    ids: BTreeMap<&'static str, String>,
}

/// How a person is named in one message.
pub struct Naming {
    /// As it is written.
    pub id: Option<String>,
    /// What the id says; nothing if it names nobody.
    pub meant: Option<Id>,
    /// As it is written.
    pub email: String,
    /// The mailbox.
    pub address: String,
}

impl People {
    pub fn new(dice: &mut Dice, features: &Features, count: usize) -> Self {
        let mut addresses: Vec<String> = (0..count)
            .map(|number| format!("p{number}@example.org"))
            .collect();
        let mut persons = Vec::new();
        for number in 0..count {
            let mut own = vec![number];
            if features.has(Feature::SharedAddress) && number > 0 && dice.chance(12) {
                // Begins with the address of somebody else, and may get an own one later.
                own = vec![dice.below(number)];
                if dice.chance(50) {
                    own.push(number);
                }
            } else if features.has(Feature::ChangedAddress) && dice.chance(30) {
                let more = if dice.chance(12) { 2 } else { 1 };
                for extra in 0..more {
                    own.push(addresses.len());
                    addresses.push(format!("p{number}.{}@example.org", ["new", "other"][extra]));
                }
            }
            let mut ids = BTreeMap::new();
            for (namespace, percent) in [("platform", 75), ("member", 40), ("site", 40), ("office", 30)] {
                if own.len() > 1 || dice.chance(percent) {
                    ids.insert(namespace, format!("{}", 1000 + number));
                }
            }
            persons.push(Person {
                addresses: own,
                used: 1,
                ids,
            });
        }
        Self {
            persons,
            addresses,
            has_spellings: features.has(Feature::Spellings),
            has_placeholders: features.has(Feature::Placeholders),
            has_constant: features.has(Feature::ConstantId),
        }
    }

    /// The first people are met most often.
    pub fn somebody(&self, dice: &mut Dice) -> usize {
        let limit = dice.between(1, self.persons.len());
        dice.below(limit)
    }

    /// The number of the address that a person uses in a message: mostly the newest.
    pub fn address_of(&mut self, dice: &mut Dice, person: usize) -> usize {
        let person = &mut self.persons[person];
        if person.used < person.addresses.len() && dice.chance(15) {
            person.used += 1;
        }
        let place = if dice.chance(85) {
            person.used - 1
        } else {
            dice.below(person.used)
        };
        person.addresses[place]
    }

    pub fn mailbox(&self, number: usize) -> &str {
        &self.addresses[number]
    }

    /// The mailbox in one of the ways in which it is written.
    pub fn spelled(&self, dice: &mut Dice, mailbox: &str) -> String {
        if !self.has_spellings || !dice.chance(12) {
            return mailbox.to_owned();
        }
        match dice.below(5) {
            0 => mailbox.to_uppercase(),
            1 => format!(" {mailbox} "),
            2 => format!("\u{202a}{mailbox}\u{202c}"),
            3 => format!("\u{feff}{mailbox}"),
            _ => mailbox.replace("@e", "@E"),
        }
    }

    /// Names a person in a namespace where most people have an id.
    pub fn name(&mut self, dice: &mut Dice, person: usize, namespace: &'static str) -> Naming {
        let number = self.address_of(dice, person);
        let address = self.mailbox(number).to_owned();
        let email = self.spelled(dice, &address);
        let own = self.persons[person].ids.get(namespace).cloned();
        let meant = |name: &str| {
            Some(Id {
                namespace,
                name: name.to_owned(),
            })
        };
        let (id, meant) = if self.has_placeholders && dice.chance(14) {
            (Some((*dice.pick(&NOBODY)).to_owned()), None)
        } else if self.has_constant && namespace == "member" && dice.chance(10) {
            (Some("5".to_owned()), meant("5"))
        } else {
            let meant = own.as_deref().and_then(meant);
            (own, meant)
        };
        Naming {
            id,
            meant,
            email,
            address,
        }
    }

    /// The `contactRef` of an address at a server. The same text stands for other people at another server.
    pub fn reference(&self, server: Server, address: usize) -> Id {
        let number = match server {
            Server::Live => address,
            Server::Staging => (address + 1) % self.addresses.len(),
        };
        Id {
            namespace: server.namespace(),
            name: format!("ref{number:040}"),
        }
    }
}

pub fn first_name(person: usize) -> String {
    format!("Name{person}")
}

/// A text in the place of an id that names nobody.
pub fn nobody(dice: &mut Dice) -> String {
    (*dice.pick(&NOBODY)).to_owned()
}
