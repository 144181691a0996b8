//! What a destination has to do about consent.

use serde::{Deserialize, Serialize};

use super::ConsentState;
use crate::delivery_kind::Kind;

/// What becomes of the person's subscription at the destination: one word for each delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Leave the subscription at the destination as it is.
    #[default]
    None,
    /// The person may be written to, for the destination's purpose.
    Subscribe,
    /// The person opted out, or may not be written to any more. A later opt-in may end it.
    Unsubscribe,
    /// The address must not be used: bounced, blocked, inactive, complained.
    Suppress,
    /// The person asked for erasure: delete their data at the destination.
    Remove,
}

/// All but [`Change::None`].
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

    /// What a delivery of this kind says about a person with this consent state for the destination's
    /// purpose. [`Change::Remove`] never follows from a consent state: it comes from a request for erasure.
    pub fn of(kind: Kind, consent_state: ConsentState) -> Self {
        match consent_state {
            ConsentState::Suppressed { .. } => Self::Suppress,
            ConsentState::Unsubscribed { .. } => Self::Unsubscribe,
            // The state allows less than the destination requires.
            _ if kind == Kind::Withdrawal => Self::Unsubscribe,
            ConsentState::OptedIn { .. } | ConsentState::DoubleOptedIn { .. } => Self::Subscribe,
            ConsentState::Unknown | ConsentState::NotSubscribed | ConsentState::Pending { .. } => Self::None,
        }
    }

    /// How much the change takes away. A destination that received a change needs none with the same or a
    /// lower gravity.
    pub fn gravity(self) -> u8 {
        match self {
            Self::None | Self::Subscribe => 0,
            Self::Unsubscribe => 1,
            Self::Suppress => 2,
            Self::Remove => 3,
        }
    }

    /// The reverse of [`Change::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::None]
            .into_iter()
            .chain(CHANGES)
            .find(|change| change.as_str() == text)
    }

    /// Translates the change into the nearest one that a destination can receive; `None` if there is none. An
    /// opt-out, suppression or removal may be replaced by either of the others, because sending none would be
    /// worse. It is never replaced by [`Change::Subscribe`].
    pub fn within(self, supported: &[Self]) -> Option<Self> {
        let in_order: &[Self] = match self {
            Self::None => return Some(Self::None),
            Self::Subscribe => &[Self::Subscribe],
            Self::Unsubscribe => &[Self::Unsubscribe, Self::Suppress, Self::Remove],
            Self::Suppress => &[Self::Suppress, Self::Unsubscribe, Self::Remove],
            Self::Remove => &[Self::Remove, Self::Suppress, Self::Unsubscribe],
        };
        in_order.iter().copied().find(|change| supported.contains(change))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::consent::Suppression;

    #[test]
    fn the_word_of_a_change_gives_the_change() {
        for change in [Change::None].into_iter().chain(CHANGES) {
            assert_eq!(Change::parse(change.as_str()), Some(change));
        }
        assert_eq!(Change::parse("unsubscribed"), None);
    }

    #[test]
    fn each_consent_state_gives_its_change() {
        let since = Timestamp::UNIX_EPOCH;
        let suppressed = |why| ConsentState::Suppressed { since, why };
        for (consent_state, record, withdrawal) in [
            (ConsentState::Unknown, Change::None, Change::Unsubscribe),
            (ConsentState::NotSubscribed, Change::None, Change::Unsubscribe),
            (ConsentState::Pending { since }, Change::None, Change::Unsubscribe),
            (
                ConsentState::OptedIn { since },
                Change::Subscribe,
                Change::Unsubscribe,
            ),
            (
                ConsentState::DoubleOptedIn { since },
                Change::Subscribe,
                Change::Unsubscribe,
            ),
            (
                ConsentState::Unsubscribed { since },
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
            assert_eq!(
                Change::of(Kind::Record, consent_state),
                record,
                "{consent_state:?}"
            );
            assert_eq!(
                Change::of(Kind::Contact, consent_state),
                record,
                "{consent_state:?}"
            );
            assert_eq!(
                Change::of(Kind::Withdrawal, consent_state),
                withdrawal,
                "{consent_state:?}"
            );
        }
    }

    #[test]
    fn a_withdrawal_becomes_the_nearest_change_that_the_destination_can_receive() {
        use Change::{None, Remove, Subscribe, Suppress, Unsubscribe};
        for (change, supported, sent) in [
            (Unsubscribe, &CHANGES[..], Some(Unsubscribe)),
            (Unsubscribe, &[Subscribe, Remove], Some(Remove)),
            (Suppress, &[Subscribe, Unsubscribe], Some(Unsubscribe)),
            (Remove, &[Subscribe, Unsubscribe, Suppress], Some(Suppress)),
            (Remove, &[Subscribe, Unsubscribe], Some(Unsubscribe)),
            (Suppress, &[Subscribe], Option::None),
            (Subscribe, &[Unsubscribe], Option::None),
            (None, &[], Some(None)),
        ] {
            assert_eq!(change.within(supported), sent, "{change:?} of {supported:?}");
        }
    }
}
