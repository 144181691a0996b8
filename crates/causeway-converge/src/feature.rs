//! What a history may contain. Each kind of trouble is a feature that can be left out of the generated histories.

use std::{collections::BTreeSet, fmt, str::FromStr};

macro_rules! features {
    ($($variant:ident $name:literal $about:literal,)*) => {
        /// A kind of trouble, with the rows of the fault list that it comes from.
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
    Placeholders "placeholders" "ids that name nobody: 0, null, N/A, an unexpanded shortcode (A1)",
    ConstantId "constant-id" "one id that is sent with the addresses of many people (A1)",
    ChangedAddress "changed-address" "a person's id comes with another address than before (A2)",
    SharedAddress "shared-address" "several ids use one address (A25)",
    Spellings "spellings" "capitals, blanks and invisible characters in addresses (A24)",
    OwnSuppression "suppression" "bounced, blocked, complained, inactive (A2, A3)",
    PhonePurpose "phone-purpose" "a Proca source whose consent is for calls (A3)",
    StrangerValues "stranger-values"
        "forms of strangers with values that mappings, columns and encodings cannot carry (A4)",
    Fragile "fragile" "mappings and tables that cannot carry every value (A4, C7)",
    Mute "mute" "a web hook that cannot express an opt-out (A5)",
    Filters "filters" "destinations for some campaigns, action types or sources (A6, A11)",
    PolicyAll "policy-all" "destinations with consent = all (A6)",
    Orders "orders" "destinations with order = none, coalesce, escape_after = 1 (A7)",
    SlowReceivers "slow-receivers" "receivers that apply late, time out after having applied, reset, refuse (A7)",
    Requeue "requeue" "a second copy of an action with another organisation's opt-in (A9)",
    UnknownKey "unknown-key" "opt-outs whose personal data cannot be decrypted (A10)",
    ShareClick "share-click" "a dated double opt-in on an action without the form (A11)",
    Coalition "coalition" "pages of a partner organisation (proca.md 4.5)",
    Repeats "repeats" "the same message again, with and without ids, also after others (A13)",
    Dates "dates" "opt-outs dated by a day (A16)",
    Values "values" "values for no that need reading: 0.0, FALSE, blanks (A29, A30)",
    Ties "ties" "opt-in and opt-out of the same second (A28)",
    TwoServers "two-servers" "two Proca servers with the same numbers for other things (A23)",
    Scanner "scanner" "a confirming click within five minutes of an opt-out (A27)",
    Late "late" "messages dated long before and after they arrive",
    Workspaces "workspaces" "several organisations on one hub with the same people (A12)",
    Queue "queue" "Proca messages by RabbitMQ",
    Import "import" "CSV and JSON lines, imported beside the running hub",
    Api "api" "reconciliation with Proca's API (A14)",
    Postgres "postgres" "a table in PostgreSQL",
    MariaDb "mariadb" "a table in MariaDB",
    Sqlite "sqlite" "a table in SQLite",
    File "file" "CSV and JSON lines files",
    Kills "kills" "the hub is killed and stopped at random",
    ClockJumps "clock-jumps" "the hub's clock is ahead for a while (A31, A33)",
    OwnOrgs "own-orgs" "own_orgs corrected at a restart (A15)",
    Tightened "tightened" "a policy tightened at a restart (A8)",
    Added "added" "a destination added at a restart (C16)",
    Renamed "renamed" "a destination renamed at a restart (A6)",
    Refiltered "refiltered" "a filter changed at a restart (D38)",
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

/// The features that histories are made with.
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
