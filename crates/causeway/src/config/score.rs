//! `[hub] score`: the owner of a contact's score and status.

use std::collections::{BTreeMap, BTreeSet};

use causeway_core::automation::{Does, Owner};
use serde::{Deserialize, Serialize};

use super::Config;

/// One owner for all workspaces, or one for each named workspace.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "toml::Value", untagged)]
pub enum ScoreOwner {
    All(Owner),
    Each(BTreeMap<String, Owner>),
}

impl TryFrom<toml::Value> for ScoreOwner {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        let owner = |value: &toml::Value| match value.as_str() {
            Some("hub") => Ok(Owner::Hub),
            Some("platform") => Ok(Owner::Platform),
            _ => Err(format!(
                "{value} is not an owner of the score (use \"hub\", \"platform\", or a table of workspaces with one \
                 of these)"
            )),
        };
        match &value {
            toml::Value::Table(workspaces) => {
                let each = workspaces
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), owner(value)?)));
                Ok(Self::Each(each.collect::<Result<_, String>>()?))
            }
            one => owner(one).map(Self::All),
        }
    }
}

impl ScoreOwner {
    pub(super) fn of(&self, workspace: &str) -> Option<Owner> {
        match self {
            Self::All(owner) => Some(*owner),
            Self::Each(each) => each.get(workspace).copied(),
        }
    }
}

/// Warnings about a declared owner that does not fit the rest of the file.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let Some(declared) = &config.hub.score else {
        return Vec::new();
    };
    let workspaces: BTreeSet<&str> = config.workspaces();
    let mut warnings = Vec::new();
    if let ScoreOwner::Each(each) = declared {
        for name in each.keys().filter(|name| !workspaces.contains(name.as_str())) {
            warnings.push(format!(
                "[hub] `score` names the workspace {name:?}, which no other section names"
            ));
        }
    }
    for workspace in workspaces {
        let giver = config.automations.automations.iter().find(|automation| {
            let mut steps = automation.then.iter();
            &*automation.workspace == workspace && steps.any(|step| matches!(step.does, Does::AddScore(_)))
        });
        match (declared.of(workspace), giver) {
            (Some(Owner::Platform), Some(giver)) => warnings.push(format!(
                "[hub] `score` is \"platform\" in the workspace {workspace:?}: the points of {:?} are stored, but count nowhere",
                &*giver.name
            )),
            (Some(Owner::Hub), None) => warnings.push(format!(
                "[hub] `score` is \"hub\" in the workspace {workspace:?}, but no [[score]] gives points there: every score is 0"
            )),
            _ => {}
        }
    }
    warnings
}
