//! Reads `[[automation]]`, `[[score]]` and `[[status]]` into the rules of core.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use causeway_connect::config::{ConfigError, read};
use causeway_core::{
    automation::{Automation, Does, Owner, Points, Scoring, Status, Step, Trigger, circles},
    id::Name,
    mapping::{Expression, MappingError, Tables},
    rules::{DEFAULT_WORKSPACE, WorkspaceRule},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    one_of,
    score::ScoreOwner,
    step::{StepConfig, finite, literal, step},
    trigger,
};

/// `[[automation]]`: when something happens to a contact and the condition holds, do these steps.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AutomationConfig {
    /// Unique in its workspace; it names the automation in traces, and `once` remembers by it for whom it ran.
    pub name: String,
    #[serde(default = "default_workspace")]
    pub workspace: String,
    /// Its triggers: a word (`"action"`), a table (`{ tag_added = "vip" }`), or a list of these: any of them.
    #[schemars(with = "serde_json::Value")]
    pub on: toml::Value,
    /// A condition that must be true as well: an expression over the names of mappings.
    pub when: Option<String>,
    /// A condition that leaves out a step whose delay is over, or a start that `per_hour` postponed.
    pub stop: Option<String>,
    /// Run once for each contact; default: every time.
    #[serde(default)]
    pub once: bool,
    /// The maximum starts per hour; further starts wait for the next hour with room.
    pub per_hour: Option<u32>,
    /// Its steps, in order.
    pub then: Vec<StepConfig>,
}

/// `[[score]]`: points for a contact when something happens.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoreConfig {
    pub name: String,
    #[serde(default = "default_workspace")]
    pub workspace: String,
    #[schemars(with = "serde_json::Value")]
    pub on: toml::Value,
    pub when: Option<String>,
    /// May be negative.
    pub points: f64,
    /// For a visitor without a known address. Default: the same as `points`.
    pub points_anonymous: Option<f64>,
    #[serde(default)]
    pub once: bool,
}

/// `[[status]]`: the name of a range of points. A range ends at its ceiling and starts above the range before.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusConfig {
    pub name: String,
    #[serde(default = "default_workspace")]
    pub workspace: String,
    pub ceiling: f64,
    /// A note for people; the hub ignores it.
    #[expect(dead_code, reason = "allowed in the file, where people read it")]
    pub colour: Option<String>,
    /// A note for people, too.
    #[expect(dead_code, reason = "allowed in the file, where people read it")]
    pub description: Option<String>,
}

fn default_workspace() -> String {
    DEFAULT_WORKSPACE.to_owned()
}

/// The automations, scores and statuses of all workspaces.
#[derive(Debug, Default)]
pub struct Automations {
    lookups: Tables,
    pub automations: Vec<Automation>,
    statuses: Vec<(String, Status)>,
    /// Whether a `[[status]]` is invalid: then an unknown status name may be its name, and is not reported.
    pub(super) lacks_statuses: bool,
}

impl Automations {
    pub(super) fn new(lookups: Tables) -> Self {
        Self {
            lookups,
            ..Self::default()
        }
    }

    /// Parses a condition. It may use the names of mappings, and `changed`.
    fn expression(&self, key: &str, text: Option<&str>) -> Result<Option<Expression>, ConfigError> {
        let Some(text) = text else { return Ok(None) };
        let wrong = |error: MappingError| ConfigError::new(key, error.to_string());
        let expression = Expression::read(text, &self.lookups).map_err(wrong)?;
        for path in expression.names() {
            path.check(&["changed"]).map_err(wrong)?;
        }
        Ok(Some(expression))
    }

    pub(super) fn add_automation(&mut self, table: &toml::Table) -> Result<(), ConfigError> {
        let config: AutomationConfig = read(table)?;
        if config.then.is_empty() {
            return Err(ConfigError::new("then", "has no step").hint("e.g. then = [{ deliver = \"crm\" }]"));
        }
        let mut then = Vec::new();
        for (number, config) in config.then.iter().enumerate() {
            then.push(step(config, &self.lookups).map_err(|error| error.within(&format!("then.{number}")))?);
        }
        if config.per_hour == Some(0) {
            return Err(ConfigError::new("per_hour", "must be at least 1").hint("leave it out for no limit"));
        }
        self.push(Automation {
            on: self.triggers(&config.on, &config.workspace)?,
            when: self.expression("when", config.when.as_deref())?,
            stop: self.expression("stop", config.stop.as_deref())?,
            name: config.name.into(),
            workspace: config.workspace.into(),
            once: config.once,
            per_hour: config.per_hour,
            then,
        })
    }

    pub(super) fn add_score(&mut self, table: &toml::Table) -> Result<(), ConfigError> {
        let config: ScoreConfig = read(table)?;
        self.push(Automation {
            on: self.triggers(&config.on, &config.workspace)?,
            when: self.expression("when", config.when.as_deref())?,
            stop: None,
            name: config.name.into(),
            workspace: config.workspace.into(),
            once: config.once,
            per_hour: None,
            then: vec![Step {
                does: Does::AddScore(Points {
                    known: finite("points", config.points)?,
                    anonymous: finite(
                        "points_anonymous",
                        config.points_anonymous.unwrap_or(config.points),
                    )?,
                }),
                delay: None,
            }],
        })
    }

    /// Parses the triggers. Invariant: statuses are read before, because `status_reached` names one.
    fn triggers(&self, on: &toml::Value, workspace: &str) -> Result<Vec<Trigger>, ConfigError> {
        let triggers = trigger::read_all(on)?;
        let known: Vec<&str> = self
            .statuses
            .iter()
            .filter(|(of, _)| of == workspace)
            .map(|(_, status)| status.name.as_str())
            .collect();
        let unknown = triggers.iter().find_map(|trigger| match trigger {
            Trigger::StatusReached(name) => Some(name).filter(|name| !known.contains(&name.as_str())),
            _ => None,
        });
        match unknown.filter(|_| !self.lacks_statuses) {
            None => Ok(triggers),
            Some(name) => {
                let error = ConfigError::new(
                    "on",
                    format!("status_reached: the workspace {workspace:?} has no [[status]] named {name:?}"),
                );
                Err(error.hint(if known.is_empty() {
                    format!("it has none: write [[status]] with name = {name:?} and a ceiling")
                } else {
                    one_of(name, &known)
                }))
            }
        }
    }

    /// Every workspace of an automation, a score or a status, with the first section that names it.
    pub(super) fn workspaces(&self) -> BTreeMap<&str, String> {
        let automations = self.automations.iter().map(|automation| {
            (
                &*automation.workspace,
                format!("[[automation]] or [[score]] {}", automation.name),
            )
        });
        let statuses = self
            .statuses
            .iter()
            .map(|(workspace, status)| (workspace.as_str(), format!("[[status]] {}", status.name)));
        let mut all = BTreeMap::new();
        for (workspace, who) in automations.chain(statuses) {
            all.entry(workspace).or_insert(who);
        }
        all
    }

    pub(super) fn add_status(&mut self, table: &toml::Table) -> Result<(), ConfigError> {
        let config: StatusConfig = read(table)?;
        literal("name", &config.name)?;
        let status = Status {
            ceiling: finite("ceiling", config.ceiling)?,
            name: config.name,
        };
        let is_same = |(workspace, other): &&(String, Status)| {
            *workspace == config.workspace
                && (other.name == status.name || other.ceiling.to_bits() == status.ceiling.to_bits())
        };
        if let Some((_, other)) = self.statuses.iter().find(is_same) {
            let other = &other.name;
            return Err(ConfigError::new(
                "name",
                format!("has the name or the ceiling of the status {other:?}"),
            ));
        }
        self.statuses.push((config.workspace, status));
        Ok(())
    }

    fn push(&mut self, automation: Automation) -> Result<(), ConfigError> {
        super::checked_name(&automation.workspace).map_err(|error| error.within("workspace"))?;
        literal("name", &automation.name)?;
        if automation.name.trim().is_empty() || automation.name.len() > 200 {
            return Err(ConfigError::new("name", "needs 1 to 200 bytes"));
        }
        let is_taken = self
            .automations
            .iter()
            .any(|known| known.name == automation.name && known.workspace == automation.workspace);
        if is_taken {
            return Err(ConfigError::new(
                "name",
                format!(
                    "there is another automation or score named {:?}",
                    &*automation.name
                ),
            ));
        }
        self.automations.push(automation);
        Ok(())
    }

    /// The automations with a schedule.
    pub fn clocked(&self) -> Vec<Arc<Automation>> {
        let clocked = self
            .automations
            .iter()
            .filter(|automation| automation.is_clocked());
        clocked.map(|automation| Arc::new(automation.clone())).collect()
    }

    /// Reports automations that start each other over delays.
    pub(super) fn circles(&self) -> Vec<String> {
        let mut workspaces: BTreeMap<&Name, Vec<Automation>> = BTreeMap::new();
        for automation in &self.automations {
            let all = workspaces.entry(&automation.workspace).or_default();
            all.push(automation.clone());
        }
        let circles = workspaces.values().flat_map(|all| circles(all));
        let describe = |circle: Vec<Name>| {
            let names: Vec<String> = circle.iter().map(|name| format!("{:?}", &**name)).collect();
            let first = names.first().cloned().unwrap_or_default();
            format!(
                "[[automation]] {} → {first}: the delayed steps of each automation start the next, and the last starts the first \
                 again; the hub stops such a loop after one round (set `once = true`, or a condition)",
                names.join(" → ")
            )
        };
        circles.map(describe).collect()
    }

    /// The rules by workspace. Without a declared owner, the hub owns the score of each workspace where its rules give points.
    pub fn rules(
        &self,
        declared: Option<&ScoreOwner>,
        workspaces: &BTreeSet<&str>,
    ) -> BTreeMap<Name, WorkspaceRule> {
        let mut all: BTreeMap<Name, (Vec<Arc<Automation>>, Scoring)> = BTreeMap::new();
        for automation in &self.automations {
            let (automations, scoring) = all.entry(automation.workspace.clone()).or_default();
            let gives_points = |step: &Step| matches!(step.does, Does::AddScore(_));
            if automation.then.iter().any(gives_points) {
                scoring.owner = Owner::Hub;
            }
            automations.push(Arc::new(automation.clone()));
        }
        for workspace in workspaces {
            if let Some(owner) = declared.and_then(|declared| declared.of(workspace)) {
                let (_, scoring) = all.entry((*workspace).into()).or_default();
                scoring.owner = owner;
            }
        }
        for (workspace, status) in &self.statuses {
            let (_, scoring) = all.entry(workspace.as_str().into()).or_default();
            scoring.statuses.push(status.clone());
        }
        all.into_iter()
            .map(|(workspace, (automations, mut scoring))| {
                scoring
                    .statuses
                    .sort_by(|one, other| one.ceiling.total_cmp(&other.ceiling));
                (workspace, WorkspaceRule::new(automations, scoring))
            })
            .collect()
    }
}
