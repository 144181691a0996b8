//! Why automations ran or did not: kept with the event, shown by `causeway trace` and the console.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::id::Name;

/// About one event. Automations that listen to other things are left out.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(from = "Read")]
pub struct Explained {
    /// What the conditions looked at, and what they saw: written once for all of them. Personal data.
    pub values: BTreeMap<Name, Value>,
    /// In the order in which they were asked.
    pub asked: Vec<(Name, Verdict)>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Its condition held: it ran. With what follows, in words.
    Ran(Vec<String>),
    /// Its condition did not hold.
    ConditionFalse,
    /// Runs once for each contact, and has.
    RanBefore,
    /// Ended by its stop condition before this step.
    Stopped,
    /// What it put off led to it again, by way of what these put off in turn.
    Circle(Vec<Name>),
    /// Its hour was full: starts in the hour that begins then (milliseconds since 1970, UTC).
    Postponed(i64),
    /// Its condition or a value could not be worked out.
    Failed(String),
    /// The step that its timer was for is not in the configuration any more.
    Gone,
}

/// Most of many automations have the same answer: it is written once for those that follow one another.
#[derive(Deserialize)]
struct Read {
    #[serde(default)]
    values: BTreeMap<Name, Value>,
    #[serde(default)]
    answers: Vec<(Verdict, Vec<Name>)>,
    /// As it was written before: one by one.
    #[serde(default)]
    asked: Vec<(Name, Verdict)>,
}

impl From<Read> for Explained {
    fn from(read: Read) -> Self {
        let Read {
            values,
            answers,
            mut asked,
        } = read;
        for (verdict, names) in answers {
            asked.extend(names.into_iter().map(|name| (name, verdict.clone())));
        }
        Self { values, asked }
    }
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    values: &'a BTreeMap<Name, Value>,
    answers: Answers<'a>,
}

struct Answers<'a>(&'a [(Name, Verdict)]);

/// Some of one answer.
struct Names<'a>(&'a [(Name, Verdict)]);

impl Serialize for Explained {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = Written {
            values: &self.values,
            answers: Answers(&self.asked),
        };
        written.serialize(serializer)
    }
}

impl Serialize for Answers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let alike = self.0.chunk_by(|(_, a), (_, b)| a == b);
        serializer.collect_seq(alike.filter_map(|some| Some((&some.first()?.1, Names(some)))))
    }
}

impl Serialize for Names<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(name, _)| name))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ran(did) if did.is_empty() => f.write_str("ran"),
            Self::Ran(did) => write!(f, "ran: {}", did.join("; ")),
            Self::ConditionFalse => f.write_str("did not run: its condition does not hold"),
            Self::RanBefore => f.write_str("did not run: once for each contact, and it has"),
            Self::Stopped => f.write_str("stopped: its stop condition holds"),
            Self::Circle(through) => {
                write!(
                    f,
                    "stopped: it started itself again through {}",
                    through.join(", ")
                )
            }
            Self::Postponed(start) => {
                let start = Timestamp::from_millisecond(*start).unwrap_or(Timestamp::MAX);
                write!(f, "waits until {start}: its hour is full")
            }
            Self::Failed(why) => write!(f, "FAILED: {why}"),
            Self::Gone => f.write_str("did not run: it is not in the configuration any more"),
        }
    }
}
