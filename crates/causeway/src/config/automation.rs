//! `[[automation]]`, `[[score]]` and `[[status]]`: what the rules of core are made from.

use std::{collections::BTreeMap, sync::Arc};

use causeway_connect::config::{ConfigError, read, term_json};
use causeway_core::{
    automation::{Automation, Does, Points, Scoring, Status, Step, Trigger, circles},
    contact::is_internal,
    decode::names::field_name,
    id::Name,
    mapping::{Expression, MappingError, Tables, Term},
    rules::{DEFAULT_WORKSPACE, WorkspaceRule},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{one_of, trigger};

/// `[[automation]]`: when something happens to a contact and the condition holds, do these steps.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AutomationConfig {
    /// Unique in its workspace; it names the automation in traces, and remembers for whom it ran.
    pub name: String,
    #[serde(default = "default_workspace")]
    pub workspace: String,
    /// What starts it: a word (`"action"`), a table (`{ tag_added = "vip" }`), or a list of these: any of them.
    #[schemars(with = "serde_json::Value")]
    pub on: toml::Value,
    /// Has to hold, too: an expression over the names that mappings see.
    pub when: Option<String>,
    /// Ends it for a contact: asked when the delay of a step is over.
    pub stop: Option<String>,
    /// Once for each contact; else every time.
    #[serde(default)]
    pub once: bool,
    /// Starts at most so often an hour; what is beyond waits for the next hour with room.
    pub per_hour: Option<u32>,
    /// Its steps, in order.
    pub then: Vec<StepConfig>,
}

/// One step: exactly one of `deliver`, `add_tag`, `remove_tag`, `set_field` and `add_score`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepConfig {
    /// One destination or several.
    pub deliver: Option<OneOrMore>,
    pub add_tag: Option<String>,
    pub remove_tag: Option<String>,
    /// Field = expression, template or value, as in a mapping.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    pub set_field: Option<toml::Table>,
    /// Points; may be negative.
    pub add_score: Option<f64>,
    /// How long after the automation started: `"90 s"`, `"30 min"`, `"2 h"`, `"3 days"`, `"1 week"`.
    pub delay: Option<String>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected the name of a destination, or a list of names"
)]
pub enum OneOrMore {
    One(String),
    More(Vec<String>),
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
    /// For a visitor whose address is not known; the same as `points` if not given.
    pub points_anonymous: Option<f64>,
    #[serde(default)]
    pub once: bool,
}

/// `[[status]]`: what a range of points is called. A range ends at its ceiling and starts above the one before.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusConfig {
    pub name: String,
    #[serde(default = "default_workspace")]
    pub workspace: String,
    pub ceiling: f64,
    /// For people; the hub does nothing with it.
    #[expect(dead_code, reason = "allowed in the file, where people read it")]
    pub colour: Option<String>,
    /// For people, too.
    #[expect(dead_code, reason = "allowed in the file, where people read it")]
    pub description: Option<String>,
}

fn default_workspace() -> String {
    DEFAULT_WORKSPACE.to_owned()
}

/// The automations and the scoring of all workspaces, as they are read.
#[derive(Debug, Default)]
pub struct Automations {
    lookups: Tables,
    pub automations: Vec<Automation>,
    scored: bool,
    statuses: Vec<(String, Status)>,
    /// Whether one of `[[status]]` could not be read: then a name may be that of it.
    pub(super) lacks_statuses: bool,
}

impl Automations {
    pub(super) fn new(lookups: Tables) -> Self {
        Self {
            lookups,
            ..Self::default()
        }
    }

    /// A condition. Besides what mappings see it may name `changed`.
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
            return Err(ConfigError::new("then", "names no step").hint("e.g. then = [{ deliver = \"crm\" }]"));
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
        self.scored = true;
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

    /// Statuses are read first.
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

    /// Every workspace that an automation, a score or a status is of, with the one that says so first.
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

    /// Those that the clock starts.
    pub fn clocked(&self) -> Vec<Arc<Automation>> {
        let clocked = self
            .automations
            .iter()
            .filter(|automation| automation.is_clocked());
        clocked.map(|automation| Arc::new(automation.clone())).collect()
    }

    /// Tells of automations that start each other over delays.
    pub(super) fn circles(&self) -> Vec<String> {
        let mut workspaces: BTreeMap<&Name, Vec<Automation>> = BTreeMap::new();
        for automation in &self.automations {
            let all = workspaces.entry(&automation.workspace).or_default();
            all.push(automation.clone());
        }
        let circles = workspaces.values().flat_map(|all| circles(all));
        let tell = |circle: Vec<Name>| {
            let names: Vec<String> = circle.iter().map(|name| format!("{:?}", &**name)).collect();
            let first = names.first().cloned().unwrap_or_default();
            format!(
                "[[automation]] {} → {first}: what each puts off starts the next, and the last the first again; the hub stops that \
                 after one round (`once = true`, or a condition, says what is meant)",
                names.join(" → ")
            )
        };
        circles.map(tell).collect()
    }

    /// By workspace, for the rules.
    pub fn rules(&self) -> BTreeMap<Name, WorkspaceRule> {
        let mut all: BTreeMap<Name, (Vec<Arc<Automation>>, Scoring)> = BTreeMap::new();
        for automation in &self.automations {
            let (automations, scoring) = all.entry(automation.workspace.clone()).or_default();
            scoring.own |= automation
                .then
                .iter()
                .any(|step| matches!(step.does, Does::AddScore(_)));
            automations.push(Arc::new(automation.clone()));
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

fn finite(key: &str, number: f64) -> Result<f64, ConfigError> {
    if number.is_finite() && number.abs() <= 1e12 {
        Ok(number)
    } else {
        Err(ConfigError::new(key, "is no number to count with"))
    }
}

/// Refuses what somebody meant to be filled in where a text is taken as it is written.
pub(super) fn literal(key: &str, text: &str) -> Result<(), ConfigError> {
    let is_code =
        |mark: &str| mark != "[#" || text.split_once(mark).is_some_and(|(_, rest)| rest.contains("#]"));
    let marks = ["{{", "{%", "[#"];
    match marks.iter().find(|mark| text.contains(**mark) && is_code(mark)) {
        None => Ok(()),
        Some(mark) => Err(ConfigError::new(
            key,
            format!("is taken as it is written, and {mark} would stay in it"),
        )
        .hint("write the text out; values of set_field can be expressions and templates")),
    }
}

fn step(config: &StepConfig, lookups: &Tables) -> Result<Step, ConfigError> {
    let mut does = Vec::new();
    if let Some(names) = &config.deliver {
        does.push(Does::Deliver(match names {
            OneOrMore::One(name) => vec![name.as_str().into()],
            OneOrMore::More(names) => names.iter().map(|name| name.as_str().into()).collect(),
        }));
    }
    for (key, tag) in [("add_tag", &config.add_tag), ("remove_tag", &config.remove_tag)] {
        let Some(tag) = tag else { continue };
        if tag.trim().is_empty() {
            return Err(ConfigError::new(key, "names no tag"));
        }
        literal(key, tag)?;
        does.push(if key == "add_tag" {
            Does::AddTag(tag.clone())
        } else {
            Does::RemoveTag(tag.clone())
        });
    }
    if let Some(table) = &config.set_field {
        does.push(Does::SetFields(fields(table, lookups)?));
    }
    if let Some(points) = config.add_score {
        let points = finite("add_score", points)?;
        does.push(Does::AddScore(Points {
            known: points,
            anonymous: points,
        }));
    }
    let delay = config
        .delay
        .as_deref()
        .map(|text| delay("delay", text))
        .transpose()?;
    match <[Does; 1]>::try_from(does) {
        Ok([does]) => Ok(Step { does, delay }),
        Err(_) => Err(ConfigError::new(
            "",
            "needs exactly one of deliver, add_tag, remove_tag, set_field and add_score",
        )
        .hint("write two steps: [{ add_tag = \"new\" }, { deliver = \"crm\" }]")),
    }
}

fn fields(table: &toml::Table, lookups: &Tables) -> Result<Vec<(String, Term)>, ConfigError> {
    let mut fields: Vec<(String, Term)> = Vec::new();
    for (name, value) in table.clone() {
        let value = term_json(value);
        let key = format!("set_field.{name}");
        if name == "email" || is_internal(&name) {
            return Err(ConfigError::new(&key, "cannot be set by an automation")
                .hint("email says who somebody is; use add_tag for tags"));
        }
        literal(&key, &name)?;
        let wrong = |error: MappingError| ConfigError::new(&key, error.to_string());
        let term = Term::with(&value, lookups, &["changed"]).map_err(wrong)?;
        let ours = field_name(&name);
        if fields.iter().any(|(known, _)| known == ours) {
            return Err(ConfigError::new(&key, format!("{ours} is set twice"))
                .hint(format!("{name} is kept as {ours}, as of all senders")));
        }
        fields.push((ours.to_owned(), term));
    }
    Ok(fields)
}

/// `"2 days"`, by jiff's friendly format; calendar units count as 24 hours a day.
fn delay(key: &str, text: &str) -> Result<std::time::Duration, ConfigError> {
    let wrong = || {
        ConfigError::new(key, format!("{text:?} is no time to wait"))
            .hint("write it like \"90 s\", \"30 min\", \"2 h\", \"3 days\" or \"1 week\", up to 10 years")
    };
    let span: jiff::Span = text.trim().parse().map_err(|_| wrong())?;
    let relative = jiff::SpanRelativeTo::days_are_24_hours();
    let delay = span.to_duration(relative).map_err(|_| wrong())?;
    let delay = std::time::Duration::try_from(delay).map_err(|_| wrong())?;
    if delay > std::time::Duration::from_hours(24 * 3_653) {
        return Err(wrong());
    }
    Ok(delay)
}
