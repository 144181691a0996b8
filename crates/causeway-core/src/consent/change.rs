//! What a destination is to do about consent over there, whatever it calls that.

use serde::{Deserialize, Serialize};

use super::Standing;
use crate::delivery::Kind;

/// One word for a delivery: what becomes of the person's subscription at the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Nothing: leave it as it is over there.
    #[default]
    None,
    /// May be written to, for the destination's purpose.
    Subscribe,
    /// Said no, or may not be written to any more. A later yes may end it.
    Unsubscribe,
    /// The address must not be used: bounced, blocked, inactive, complained.
    Suppress,
    /// Asked to be forgotten: delete what is there.
    Remove,
}

/// All that say something.
pub const CHANGES: [Change; 4] = [
    Change::Subscribe,
    Change::Unsubscribe,
    Change::Suppress,
    Change::Remove,
];

impl Change {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Subscribe => "subscribe",
            Self::Unsubscribe => "unsubscribe",
            Self::Suppress => "suppress",
            Self::Remove => "remove",
        }
    }

    /// What a delivery of this kind says of somebody who stands so for the destination's purpose. That somebody asked to be
    /// forgotten ([`Change::Remove`]) is no matter of standing.
    pub fn of(kind: Kind, standing: Standing) -> Self {
        match standing {
            Standing::Suppressed { .. } => Self::Suppress,
            Standing::Unsubscribed { .. } => Self::Unsubscribe,
            // Whatever else ended what the destination asks for.
            _ if kind == Kind::Withdrawal => Self::Unsubscribe,
            Standing::OptedIn { .. } | Standing::DoubleOptedIn { .. } => Self::Subscribe,
            Standing::Unknown | Standing::NotSubscribed | Standing::Pending { .. } => Self::None,
        }
    }

    /// How much it takes away: a destination that received one has received all that take away less.
    pub fn gravity(self) -> u8 {
        match self {
            Self::None | Self::Subscribe => 0,
            Self::Unsubscribe => 1,
            Self::Suppress => 2,
            Self::Remove => 3,
        }
    }

    /// The way back from [`Change::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::None]
            .into_iter()
            .chain(CHANGES)
            .find(|change| change.as_str() == text)
    }

    /// The same in the words of a destination that knows these only: what comes nearest. `None` when nothing does.
    /// A no is told by whichever no there is, because not telling it would be worse.
    pub fn within(self, expresses: &[Self]) -> Option<Self> {
        let in_order: &[Self] = match self {
            Self::None => return Some(Self::None),
            Self::Subscribe => &[Self::Subscribe],
            Self::Unsubscribe => &[Self::Unsubscribe, Self::Suppress, Self::Remove],
            Self::Suppress => &[Self::Suppress, Self::Unsubscribe, Self::Remove],
            Self::Remove => &[Self::Remove, Self::Suppress, Self::Unsubscribe],
        };
        in_order.iter().copied().find(|change| expresses.contains(change))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::consent::Suppression;

    #[test]
    fn each_standing_says_its_change() {
        let since = Timestamp::UNIX_EPOCH;
        let suppressed = |why| Standing::Suppressed { since, why };
        for (standing, record, withdrawal) in [
            (Standing::Unknown, Change::None, Change::Unsubscribe),
            (Standing::NotSubscribed, Change::None, Change::Unsubscribe),
            (Standing::Pending { since }, Change::None, Change::Unsubscribe),
            (
                Standing::OptedIn { since },
                Change::Subscribe,
                Change::Unsubscribe,
            ),
            (
                Standing::DoubleOptedIn { since },
                Change::Subscribe,
                Change::Unsubscribe,
            ),
            (
                Standing::Unsubscribed { since },
                Change::Unsubscribe,
                Change::Unsubscribe,
            ),
            (
                suppressed(Suppression::Bounced),
                Change::Suppress,
                Change::Suppress,
            ),
            (
                suppressed(Suppression::Blocked),
                Change::Suppress,
                Change::Suppress,
            ),
            (
                suppressed(Suppression::Inactive),
                Change::Suppress,
                Change::Suppress,
            ),
            (
                suppressed(Suppression::Complained),
                Change::Suppress,
                Change::Suppress,
            ),
        ] {
            assert_eq!(Change::of(Kind::Record, standing), record, "{standing:?}");
            assert_eq!(Change::of(Kind::Contact, standing), record, "{standing:?}");
            assert_eq!(Change::of(Kind::Withdrawal, standing), withdrawal, "{standing:?}");
        }
    }

    #[test]
    fn a_no_is_told_by_the_nearest_no_and_never_by_a_yes() {
        use Change::{None, Remove, Subscribe, Suppress, Unsubscribe};
        for (change, expresses, told) in [
            (Unsubscribe, &CHANGES[..], Some(Unsubscribe)),
            (Unsubscribe, &[Subscribe, Remove], Some(Remove)),
            (Suppress, &[Subscribe, Unsubscribe], Some(Unsubscribe)),
            (Remove, &[Subscribe, Unsubscribe, Suppress], Some(Suppress)),
            (Remove, &[Subscribe, Unsubscribe], Some(Unsubscribe)),
            (Suppress, &[Subscribe], Option::None),
            (Subscribe, &[Unsubscribe], Option::None),
            (None, &[], Some(None)),
        ] {
            assert_eq!(change.within(expresses), told, "{change:?} of {expresses:?}");
        }
    }
}
