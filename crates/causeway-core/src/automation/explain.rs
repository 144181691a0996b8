//! Why automations ran or did not: kept with the event, shown by `causeway trace` and the console.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::Name;

/// About one event. Automations that listen to other things are left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Explained {
    /// What the conditions looked at, and what they saw: written once for all of them. Personal data.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
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
    /// Its delayed steps started it again, through the delayed steps of these.
    Circle(Vec<Name>),
    /// Its hour was full: starts in the hour that begins then (milliseconds since 1970, UTC).
    Postponed(i64),
    /// Its condition or a value could not be worked out.
    Failed(Name),
    /// The step that its timer was for is not in the configuration any more.
    Gone,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ran(did) if did.is_empty() => f.write_str("ran"),
            Self::Ran(did) => write!(f, "ran: {}", did.join("; ")),
            Self::ConditionFalse => f.write_str("did not run: its condition does not hold"),
            Self::RanBefore => f.write_str("did not run: it runs once for each contact, and has run already"),
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
                write!(f, "waits until {start}: `per_hour` is reached")
            }
            Self::Failed(why) => write!(f, "FAILED: {why}"),
            Self::Gone => f.write_str("did not run: it is no longer in the configuration"),
        }
    }
}
