//! The features of histories. Each is a kind of difficulty that can be left out of the generated histories.

use std::{collections::BTreeSet, fmt, str::FromStr};

macro_rules! features {
    ($($variant:ident $name:literal $about:literal,)*) => {
        /// A kind of difficulty.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Feature { $($variant),* }

        impl Feature {
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            pub fn about(self) -> &'static str {
                match self { $(Self::$variant => $about),* }
            }
        }
    };
}

features! {
    Placeholders "placeholders" "ids that name nobody: 0, null, N/A, an unexpanded shortcode",
    ConstantId "constant-id" "one id that is sent with the addresses of many people",
    ChangedAddress "changed-address" "a person's id comes with another address than before",
    SharedAddress "shared-address" "several ids use one address",
    Spellings "spellings" "capitals, blanks and invisible characters in addresses",
    OwnSuppression "suppression" "bounced, blocked, complained, inactive",
    PhonePurpose "phone-purpose" "a Proca source whose consent is for calls",
    StrangerValues "stranger-values"
        "forms of strangers with values that mappings, columns and encodings cannot carry",
    Fragile "fragile" "mappings and tables that cannot carry every value",
    Mute "mute" "a web hook that cannot express an opt-out",
    Filters "filters" "destinations for some campaigns, action types or sources",
    PolicyAll "policy-all" "destinations with consent = all",
    Orders "orders" "destinations with order = none, coalesce, escape_after = 1",
    SlowReceivers "slow-receivers" "receivers that apply late, time out after having applied, reset, refuse",
    Requeue "requeue" "a second copy of an action with another organisation's opt-in",
    UnknownKey "unknown-key" "opt-outs whose personal data cannot be decrypted",
    ShareClick "share-click" "a dated double opt-in on an action without the form",
    Coalition "coalition" "pages of a partner organisation",
    Repeats "repeats" "the same message again, with and without ids, also after others",
    Dates "dates" "opt-outs dated by a day",
    Values "values" "values for no that need reading: 0.0, FALSE, blanks",
    Ties "ties" "opt-in and opt-out of the same second",
    TwoServers "two-servers" "two Proca servers with the same numbers for other things",
    Scanner "scanner" "a confirming click within five minutes of an opt-out",
    Late "late" "messages dated long before and after they arrive",
    Workspaces "workspaces" "several organisations on one hub with the same people",
    Queue "queue" "Proca messages by RabbitMQ",
    Import "import" "CSV and JSON lines, imported beside the running hub",
    Api "api" "reconciliation with Proca's API",
    Postgres "postgres" "a table in PostgreSQL",
    MariaDb "mariadb" "a table in MariaDB",
    Sqlite "sqlite" "a table in SQLite",
    File "file" "CSV and JSON lines files",
    Vendors "vendors" "HubSpot, Mailchimp and Meta as receivers",
    AtVendors "at-vendors" "people leave at a vendor, and contacts are deleted, merged and moved there",
    Kills "kills" "the hub is killed and stopped at random",
    ClockJumps "clock-jumps" "the hub's clock is ahead for a while",
    OwnOrgs "own-orgs" "own_orgs corrected at a restart",
    Tightened "tightened" "a policy tightened at a restart",
    Added "added" "a destination added at a restart",
    Renamed "renamed" "a destination renamed at a restart",
    Refiltered "refiltered" "a filter changed at a restart",
}

impl fmt::Display for Feature {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for Feature {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|feature| feature.name() == name);
        found
            .copied()
            .ok_or_else(|| format!("unknown feature `{name}` (see --features)"))
    }
}

/// The features of the generated histories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Features(BTreeSet<Feature>);

impl Features {
    pub fn all() -> Self {
        Self(Feature::ALL.iter().copied().collect())
    }

    pub fn only(features: &[Feature]) -> Self {
        Self(features.iter().copied().collect())
    }

    #[must_use]
    pub fn without(mut self, features: &[Feature]) -> Self {
        self.0.retain(|feature| !features.contains(feature));
        self
    }

    pub fn has(&self, feature: Feature) -> bool {
        self.0.contains(&feature)
    }
}
