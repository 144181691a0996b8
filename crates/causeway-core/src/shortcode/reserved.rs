//! Reserved names, which mean the same whatever fields a contact has. Anybody may fill in a field called
//! `CHANGE` or `UPPER EMAIL`; it must not replace what a withdrawal has to say.

use super::{Code, Piece, Rules, cut, functions::Function, names::fold};
use crate::{
    consent::{CHANGES, Change},
    delivery::Kind,
    mapping::{
        ConsentShown,
        omission::{Person, Reads},
    },
};

/// The reserved names, folded.
const NAMES: [&str; 7] = [
    "change",
    "type",
    "email",
    "emailaddress",
    "id",
    "contactid",
    "contactref",
];

/// A reserved name with its functions.
pub(super) struct Reserved {
    /// The outermost function comes first.
    pub functions: Vec<Function>,
    pub name: &'static str,
}

impl Reserved {
    pub fn of(code: &Code) -> Option<Self> {
        let mut functions = Vec::new();
        let mut rest = code.head.as_str();
        loop {
            let folded = fold(rest);
            if let Some(name) = NAMES.into_iter().find(|name| *name == folded) {
                return Some(Self { functions, name });
            }
            let (word, after) = rest.split_once(char::is_whitespace)?;
            functions.push(Function::named(word)?);
            rest = after.trim_start();
        }
    }

    /// Whether the filled-in text for an opt-out differs from the text for any other change.
    fn shows_opt_out(&self, code: &Code, rules: &Rules) -> bool {
        let shown = |word: &str| {
            let applied = self
                .functions
                .iter()
                .rev()
                .try_fold(word.to_owned(), |text, function| {
                    function.apply(&text, code.argument.as_deref(), &rules.zone)
                });
            applied.map(|text| match code.argument.as_deref() {
                Some(argument) => cut(text, argument, rules.slash),
                None => text,
            })
        };
        let differs = |opt_out: &str, other: &str| shown(opt_out) != shown(other);
        match self.name {
            "change" => CHANGES
                .iter()
                .filter(|change| **change != Change::Subscribe)
                .all(|change| differs(change.as_str(), Change::Subscribe.as_str())),
            "type" => [Kind::Record, Kind::Contact]
                .iter()
                .all(|kind| differs(Kind::Withdrawal.as_str(), kind.as_str())),
            _ => false,
        }
    }
}

impl Code {
    /// The data that the filled-in text depends on.
    pub fn reads(&self, rules: &Rules) -> Reads {
        match Reserved::of(self) {
            Some(reserved) if matches!(reserved.name, "change" | "type") => {
                if reserved.shows_opt_out(self, rules) {
                    Reads::of_consent(ConsentShown::All)
                } else {
                    Reads::NOTHING
                }
            }
            Some(_) => Reads::of_person(Person::Identity),
            None => Reads::of_person(Person::Data),
        }
    }
}

/// The data that a template's text depends on.
pub fn reads(pieces: &[Piece], rules: &Rules) -> Reads {
    let mut reads = Reads::NOTHING;
    for piece in pieces {
        if let Piece::Code(code) = piece {
            reads.add(code.reads(rules));
        }
    }
    reads
}
