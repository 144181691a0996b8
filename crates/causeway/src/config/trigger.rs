//! `on`: what starts an automation.

use std::collections::BTreeSet;

use causeway_connect::config::ConfigError;
use causeway_core::{
    automation::{ConsentTrigger, DateTrigger, Every, Pattern, Recurrence, SyncTrigger, Trigger},
    decode::names::field_name,
    encode::sync::Group,
    event::EngagementKind,
};
use jiff::{
    civil::{Time, Weekday},
    tz::TimeZone,
};
use toml::{Table, Value};

use super::{one_of, step::literal};

/// The triggers of `on`, each with the value that it takes in a table.
pub const WORDS: &[(&str, &str)] = &[
    ("action", "an action type, or a list of them"),
    ("contact_created", "nothing: write it as a word"),
    ("contact_updated", "nothing: write it as a word"),
    ("field_changed", "the name of the field"),
    (
        "email_status",
        "double_opt_in, bounced, blocked, complained, unsubscribed, …, or a list",
    ),
    (
        "consent_changed",
        "a table: purpose = \"email\", to = \"unsubscribed\"",
    ),
    ("list_joined", "the name of the list"),
    ("tag_added", "the tag"),
    ("email_opened", "the id or name of the mail"),
    (
        "link_clicked",
        "the URL; a URL that ends in * matches all URLs with this beginning",
    ),
    (
        "page_visited",
        "the URL; a URL that ends in * matches all URLs with this beginning",
    ),
    ("goal_reached", "the id or name of the goal"),
    ("popup_shown", "the id or name of the pop-up"),
    ("custom", "the name of the event"),
    (
        "automation_triggered",
        "the id or name of the platform's automation",
    ),
    ("lead_scored", "the id or name of the platform's scoring rule"),
    (
        "synced",
        "nothing, a group of the contact that a platform sent, or a table: group = \"goals-reached\", row = \"its id or name\"",
    ),
    ("score_reached", "a number of points"),
    ("status_reached", "the name of a [[status]]"),
    ("date_reached", "a date field; also at, days, yearly, time_zone"),
    (
        "schedule",
        "hourly, daily, weekly or monthly; also at, weekday, day, time_zone",
    ),
];

/// Groups of a platform's contact whose names work as triggers, too: a new row in the group is the trigger.
const GROUPS: &[(&str, &str)] = &[
    ("campaigns-opened", "email_opened"),
    ("links-clicked", "link_clicked"),
    ("pages-visited", "page_visited"),
    ("automation-triggered", "automation_triggered"),
    ("goals-reached", "goal_reached"),
    ("webhooks-triggered", "popup_shown"),
    ("lead-score", "lead_scored"),
];

/// The trigger of [`WORDS`] that a word or the name of a group means; `-` and `_` are the same.
fn known(word: &str) -> Option<&'static str> {
    let group = word.replace('_', "-");
    let of_group = GROUPS.iter().find(|(name, _)| *name == group);
    let plain = || WORDS.iter().find(|(known, _)| *known == word);
    of_group
        .map(|(_, word)| *word)
        .or_else(|| plain().map(|(known, _)| *known))
}

pub(super) fn read_all(on: &Value) -> Result<Vec<Trigger>, ConfigError> {
    match on {
        Value::Array(all) if all.is_empty() => Err(ConfigError::new("on", "names nothing").hint(words())),
        Value::Array(all) => all.iter().map(read_one).collect(),
        one => Ok(vec![read_one(one)?]),
    }
}

fn words() -> String {
    let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
    format!("one of {}", words.join(", "))
}

fn read_one(on: &Value) -> Result<Trigger, ConfigError> {
    match on {
        Value::String(word) => trigger(known(word).unwrap_or(word), None, &Table::new()),
        Value::Table(table) => {
            let named: Vec<(&String, &'static str)> =
                table.keys().filter_map(|key| Some((key, known(key)?))).collect();
            let (key, word) = match (named.as_slice(), table.keys().next()) {
                ([one], _) => *one,
                ([], Some(key)) => {
                    return Err(ConfigError::new("on", format!("there is no trigger {key:?}")).hint(words()));
                }
                _ => return Err(ConfigError::new("on", "a table names exactly one thing").hint(words())),
            };
            let mut rest = table.clone();
            let value = rest.remove(key.as_str());
            trigger(word, value.as_ref(), &rest)
        }
        _ => Err(ConfigError::new("on", "is neither a word nor a table").hint(words())),
    }
}

fn trigger(word: &str, value: Option<&Value>, rest: &Table) -> Result<Trigger, ConfigError> {
    let keys = TriggerKeys { word, value, rest };
    keys.allow(match word {
        "date_reached" => &["at", "days", "yearly", "time_zone"],
        "schedule" => &["at", "weekday", "day", "time_zone"],
        _ => &[],
    })?;
    Ok(match word {
        "action" => Trigger::Action(keys.texts()?),
        "contact_created" => keys.nothing(Trigger::ContactCreated)?,
        "contact_updated" => keys.nothing(Trigger::ContactUpdated)?,
        "field_changed" => Trigger::FieldChanged(field_name(&keys.text()?).to_owned()),
        "email_status" => Trigger::EmailStatus(keys.known_texts(STATUSES)?),
        "consent_changed" => Trigger::ConsentChanged(keys.consent()?),
        "list_joined" => Trigger::ListJoined(keys.maybe_text()?),
        "tag_added" => Trigger::TagAdded(keys.maybe_text()?),
        "email_opened" => keys.engaged(EngagementKind::EmailOpen)?,
        "link_clicked" => keys.engaged(EngagementKind::LinkClick)?,
        "page_visited" => keys.engaged(EngagementKind::PageVisit)?,
        "goal_reached" => keys.engaged(EngagementKind::Goal)?,
        "popup_shown" => keys.engaged(EngagementKind::Popup)?,
        "custom" => keys.engaged(EngagementKind::Custom)?,
        "automation_triggered" => keys.engaged(EngagementKind::Automation)?,
        "lead_scored" => keys.engaged(EngagementKind::LeadScore)?,
        "synced" => Trigger::Synced(keys.synced()?),
        "score_reached" => Trigger::ScoreReached(keys.number()?),
        "status_reached" => Trigger::StatusReached(keys.text()?),
        "date_reached" => Trigger::DateReached(keys.clocked()?),
        "schedule" => Trigger::Schedule(keys.recurrence()?),
        other => {
            return Err(ConfigError::new("on", format!("there is no trigger {other:?}")).hint(words()));
        }
    })
}

const STATUSES: &[&str] = &[
    "opt_in",
    "opt_in_pending",
    "double_opt_in",
    "double_opt_in_on_page",
    "declined",
    "not_asked",
    "unsubscribed",
    "complained",
    "bounced",
    "blocked",
    "inactive",
];
const STANDINGS: &[&str] = &[
    "not_subscribed",
    "pending",
    "opted_in",
    "double_opted_in",
    "unsubscribed",
    "suppressed",
];

/// One trigger of `on`: its word, its value, and the other keys of its table.
struct TriggerKeys<'a> {
    word: &'a str,
    value: Option<&'a Value>,
    rest: &'a Table,
}

impl TriggerKeys<'_> {
    fn wrong(&self, what: impl std::fmt::Display) -> ConfigError {
        let takes = WORDS
            .iter()
            .find(|(word, _)| *word == self.word)
            .map_or("", |(_, takes)| *takes);
        ConfigError::new("on", format!("{}: {what}", self.word)).hint(format!("it takes {takes}"))
    }

    fn allow(&self, keys: &[&str]) -> Result<(), ConfigError> {
        match self.rest.keys().find(|key| !keys.contains(&key.as_str())) {
            Some(key) => Err(self.wrong(format!("{key:?} does not belong here"))),
            None => Ok(()),
        }
    }

    fn nothing(&self, trigger: Trigger) -> Result<Trigger, ConfigError> {
        match self.value {
            None | Some(Value::Boolean(true)) => Ok(trigger),
            Some(_) => Err(self.wrong("takes nothing")),
        }
    }

    fn maybe_text(&self) -> Result<Option<String>, ConfigError> {
        match self.value {
            None | Some(Value::Boolean(true)) => Ok(None),
            Some(Value::String(text)) if !text.trim().is_empty() => {
                literal("on", text)?;
                Ok(Some(text.clone()))
            }
            Some(_) => Err(self.wrong("is not a text")),
        }
    }

    fn text(&self) -> Result<String, ConfigError> {
        self.maybe_text()?.ok_or_else(|| self.wrong("needs a text"))
    }

    fn texts(&self) -> Result<Option<BTreeSet<String>>, ConfigError> {
        let texts = texts(self.value).map_err(|what| self.wrong(what))?;
        texts.iter().flatten().try_for_each(|text| literal("on", text))?;
        Ok(texts)
    }

    fn known_texts(&self, known: &[&str]) -> Result<Option<BTreeSet<String>>, ConfigError> {
        let texts = self.texts()?;
        check(texts.as_ref(), known).map_err(|what| self.wrong(what))?;
        Ok(texts)
    }

    fn consent(&self) -> Result<ConsentTrigger, ConfigError> {
        let table = match self.value {
            None | Some(Value::Boolean(true)) => return Ok(ConsentTrigger::default()),
            Some(Value::Table(table)) => table,
            Some(_) => return Err(self.wrong("is not a table")),
        };
        if let Some(key) = table
            .keys()
            .find(|key| !["purpose", "to"].contains(&key.as_str()))
        {
            return Err(self.wrong(format!("{key:?} does not belong here")));
        }
        let to = texts(table.get("to")).map_err(|what| self.wrong(what))?;
        check(to.as_ref(), STANDINGS).map_err(|what| self.wrong(what))?;
        let purpose = match table.get("purpose") {
            None => None,
            Some(Value::String(purpose)) => Some(purpose.clone()),
            Some(_) => return Err(self.wrong("purpose is not a text")),
        };
        Ok(ConsentTrigger { purpose, to })
    }

    fn engaged(&self, kind: EngagementKind) -> Result<Trigger, ConfigError> {
        Ok(Trigger::Engaged(kind, self.maybe_text()?.map(Pattern)))
    }

    fn synced(&self) -> Result<Option<SyncTrigger>, ConfigError> {
        let table = match self.value {
            None | Some(Value::Boolean(true)) => return Ok(None),
            Some(Value::String(name)) => {
                let group = self.group(name)?;
                return Ok(Some(SyncTrigger { group, row: None }));
            }
            Some(Value::Table(table)) => table,
            Some(_) => return Err(self.wrong("is neither a group nor a table")),
        };
        let is_unknown = |key: &&String| !["group", "row"].contains(&key.as_str());
        if let Some(key) = table.keys().find(is_unknown) {
            return Err(self.wrong(format!("{key:?} does not belong here")));
        }
        let Some(Value::String(name)) = table.get("group") else {
            return Err(self.wrong("group is not a text"));
        };
        let row = match table.get("row") {
            None => None,
            Some(Value::String(row)) if !row.trim().is_empty() => {
                literal("on", row)?;
                Some(row.as_str())
            }
            Some(_) => return Err(self.wrong("row is not a text")),
        };
        let group = self.group(name)?;
        // A field has one name here, whatever a platform calls it.
        let name = |row| {
            if group == Group::Fields {
                field_name(row)
            } else {
                row
            }
        };
        let row = row.map(|row| Pattern(name(row).to_owned()));
        Ok(Some(SyncTrigger { group, row }))
    }

    fn group(&self, name: &str) -> Result<Group, ConfigError> {
        let known = Group::ALL
            .into_iter()
            .filter(|group| *group != Group::TransactionId);
        match Group::parse(name).filter(|group| *group != Group::TransactionId) {
            Some(group) => Ok(group),
            None if name == Group::TransactionId.as_str() => Err(self
                .wrong("transactionid is different in each message; on = \"synced\" matches every message")),
            None => {
                let known: Vec<&str> = known.map(Group::as_str).collect();
                Err(self.wrong(format!("{name:?} is not a group; {}", one_of(name, &known))))
            }
        }
    }

    fn number(&self) -> Result<f64, ConfigError> {
        number(self.value)
            .filter(|number| number.is_finite())
            .ok_or_else(|| self.wrong("needs a number"))
    }

    fn at(&self) -> Result<Time, ConfigError> {
        match self.rest.get("at") {
            None => Ok(Time::midnight()),
            Some(Value::String(text)) => text
                .parse()
                .map_err(|_| self.wrong(format!("at: {text:?} is not a time like \"09:00\""))),
            Some(_) => Err(self.wrong("at is not a time like \"09:00\"")),
        }
    }

    fn zone(&self) -> Result<TimeZone, ConfigError> {
        match self.rest.get("time_zone") {
            None => Ok(TimeZone::UTC),
            Some(Value::String(name)) => TimeZone::get(name).map_err(|_| {
                self.wrong(format!(
                    "time_zone: {name:?} is not a zone like \"Europe/Brussels\""
                ))
            }),
            Some(_) => Err(self.wrong("time_zone is not a text like \"Europe/Brussels\"")),
        }
    }

    fn clocked(&self) -> Result<DateTrigger, ConfigError> {
        let days = match self.rest.get("days") {
            None => 0,
            Some(value) => value
                .as_integer()
                .and_then(|days| i32::try_from(days).ok())
                .filter(|days| days.abs() <= 36_500)
                .ok_or_else(|| self.wrong("days is not a number of days"))?,
        };
        let yearly = match self.rest.get("yearly") {
            None => false,
            Some(value) => value
                .as_bool()
                .ok_or_else(|| self.wrong("yearly is neither true nor false"))?,
        };
        Ok(DateTrigger {
            field: field_name(&self.text()?).to_owned(),
            days,
            yearly,
            at: self.at()?,
            zone: self.zone()?,
        })
    }

    fn recurrence(&self) -> Result<Recurrence, ConfigError> {
        let recurrence = self.text()?;
        for (key, wanted) in [("weekday", "weekly"), ("day", "monthly")] {
            if self.rest.contains_key(key) && recurrence != wanted {
                return Err(self.wrong(format!("{key} belongs to {wanted}")));
            }
        }
        let every = match recurrence.as_str() {
            "hourly" => Every::Hour,
            "daily" => Every::Day,
            "weekly" => {
                let day = match self.rest.get("weekday") {
                    None => Some(Weekday::Monday),
                    Some(value) => value.as_str().and_then(weekday),
                };
                Every::Week(day.ok_or_else(|| self.wrong("weekday is not a day of the week"))?)
            }
            "monthly" => {
                let day = self.rest.get("day").map_or(Some(1), Value::as_integer);
                let day = day
                    .and_then(|day| i8::try_from(day).ok())
                    .filter(|day| (1..=31).contains(day));
                Every::Month(day.ok_or_else(|| self.wrong("day is not a day of the month"))?)
            }
            other => return Err(self.wrong(format!("{other:?} is not a schedule"))),
        };
        Ok(Recurrence {
            every,
            at: self.at()?,
            zone: self.zone()?,
        })
    }
}

fn number(value: Option<&Value>) -> Option<f64> {
    match value? {
        Value::Float(number) => Some(*number),
        Value::Integer(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

fn texts(value: Option<&Value>) -> Result<Option<BTreeSet<String>>, String> {
    let one = |value: &Value| {
        value
            .as_str()
            .map(str::to_owned)
            .ok_or("is not a text".to_owned())
    };
    Ok(match value {
        None | Some(Value::Boolean(true)) => None,
        Some(Value::Array(all)) => Some(all.iter().map(one).collect::<Result<_, _>>()?),
        Some(value) => Some(BTreeSet::from([one(value)?])),
    })
}

fn check(texts: Option<&BTreeSet<String>>, known: &[&str]) -> Result<(), String> {
    match texts
        .into_iter()
        .flatten()
        .find(|text| !known.contains(&text.as_str()))
    {
        Some(text) => Err(format!("{text:?} is not one of {}", known.join(", "))),
        None => Ok(()),
    }
}

fn weekday(text: &str) -> Option<Weekday> {
    Some(match text {
        "monday" => Weekday::Monday,
        "tuesday" => Weekday::Tuesday,
        "wednesday" => Weekday::Wednesday,
        "thursday" => Weekday::Thursday,
        "friday" => Weekday::Friday,
        "saturday" => Weekday::Saturday,
        "sunday" => Weekday::Sunday,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_platforms_group_is_a_trigger_for_its_new_rows() {
        for (group, word) in GROUPS {
            let spelled = [(*group).to_owned(), group.replace('-', "_"), (*word).to_owned()];
            let read = |on: Value| read_all(&on).unwrap();
            let [first, others @ ..] = spelled.map(|name| {
                let named = Table::from_iter([(name.clone(), Value::from("Donated"))]);
                (read(Value::from(name)), read(Value::Table(named)))
            });
            for other in others {
                assert_eq!(first, other, "{group}");
            }
        }
        assert_eq!(
            read_all(&Value::from("goals-reached")).unwrap(),
            read_all(&Value::from("goal_reached")).unwrap()
        );
    }
}
