//! Why automations ran or did not. It is kept with the event, and shown by `causeway trace` and the console.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::Name;

/// The explanation of one event. Automations without a fitting trigger are left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Explained {
    /// The paths that the conditions read, and the values there: each once for all automations. Personal
    /// data.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<Name, Value>,
    /// The verdict on each automation, in the order in which they were checked.
    pub asked: Vec<(Name, Verdict)>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Its condition was true, and it ran. Each text says what a step did.
    Ran(Vec<String>),
    /// Its condition was false.
    ConditionFalse,
    /// It runs once for each contact, and has run already.
    RanBefore,
    /// Its stop condition ended it before this step.
    Stopped,
    /// A delay of its own led back to it, through the delays of these automations.
    Circle(Vec<Name>),
    /// The limit of its hour was reached. It runs in the hour that begins at this time (milliseconds since
    /// 1970, UTC).
    Postponed(i64),
    /// Its condition or a value could not be computed.
    Failed(Name),
    /// The step of this timer is no longer in the configuration.
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
