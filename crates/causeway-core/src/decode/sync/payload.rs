//! The typed payload of the action "Sync Contact to Third Party": eleven groups, with texts as they came.

use serde_json::{Map, Number, Value};

use super::rows;
use crate::{
    decode::{names::unfolded_or, placeholders},
    form::{Array, Key, Value as Form},
};

/// One contact with its history. `None` and an empty list both stand for a missing or empty group.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SyncPayload {
    pub transactionid: Option<String>,
    pub contact: SyncContact,
    pub fields: Vec<ListField>,
    pub campaigns_opened: Vec<Occurrence>,
    pub links_clicked: Vec<Click>,
    pub pages_visited: Vec<Visit>,
    pub automation_triggered: Vec<Occurrence>,
    pub goals_reached: Vec<Occurrence>,
    /// Pop-ups that the site showed to the contact. In spite of the name, these are no HTTP web hooks.
    pub webhooks_triggered: Vec<Occurrence>,
    pub lead_score: Vec<Score>,
    pub lead_status: LeadStatus,
    /// Keys outside the eleven groups, from a GET template or the query of a POST.
    pub extra: Map<String, Value>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct SyncContact {
    pub id: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub profile_url: Option<String>,
    /// Which of `phone` and `profile_url` came without a value, and the empty value that came.
    pub emptied: Vec<(&'static str, Value)>,
    /// The other members of the group.
    pub rest: Map<String, Value>,
}

/// A custom field of the list. `value` is text, or whatever a multi-select field sent. Null and empty texts
/// are kept as they came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ListField {
    pub id: Option<String>,
    pub name: Option<String>,
    pub value: Option<Value>,
}

/// A row of `campaigns-opened`, `automation-triggered`, `goals-reached` or `webhooks-triggered`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Occurrence {
    pub id: Option<String>,
    pub name: Option<String>,
    pub date: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Click {
    pub url: Option<String>,
    pub clicks: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Visit {
    pub page: Option<String>,
    pub visit_date: Option<String>,
}

/// A scoring rule that gave the contact points.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Score {
    pub id: Option<String>,
    pub name: Option<String>,
    pub score: Option<String>,
    pub score_date: Option<String>,
}

/// The total score, and the label of its range.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LeadStatus {
    pub score: Option<String>,
    pub label: Option<String>,
}

impl SyncPayload {
    /// Reads the groups that are present, in either form. Adds notes about odd input, without personal data.
    /// Rows without any known key are left out.
    pub fn from_value(mut object: Map<String, Value>, notes: &mut Vec<String>) -> Self {
        let mut groups = Groups {
            object: &mut object,
            notes,
        };
        let mut contact = groups.single("contact");
        let emptied = emptied(&contact.0);
        let mut status = groups.single("lead-status");
        let mut read = Self {
            transactionid: groups.scalar("transactionid"),
            contact: SyncContact {
                id: contact.0.remove("id").as_ref().map(only).and_then(id),
                email: contact.text("email"),
                phone: contact.text("phone"),
                profile_url: contact.text("profile_url"),
                emptied,
                rest: contact.0,
            },
            fields: groups.list_fields(),
            campaigns_opened: groups.occurrences("campaigns-opened", "open_date"),
            links_clicked: groups.kept("links-clicked", |row| Click {
                url: row.text("url"),
                clicks: row.text("clicks"),
            }),
            pages_visited: groups.kept("pages-visited", |row| Visit {
                page: row.text("page"),
                visit_date: row.text("visit_date"),
            }),
            automation_triggered: groups.occurrences("automation-triggered", "trigger_date"),
            goals_reached: groups.occurrences("goals-reached", "reach_date"),
            webhooks_triggered: groups.occurrences("webhooks-triggered", "trigger_date"),
            lead_score: groups.kept("lead-score", |row| Score {
                id: row.text("id"),
                name: row.text("name"),
                score: row.text("score"),
                score_date: row.text("score_date"),
            }),
            lead_status: LeadStatus {
                score: status.text("score"),
                label: status.text("label"),
            },
            extra: Map::new(),
        };
        read.extra = object;
        read
    }

    /// The groups as a form, in the documented order. Printed by [`crate::form::emit`], it is what the
    /// platform sends. Empty groups are absent, and `extra` comes last.
    pub fn to_value(&self) -> Array {
        let mut out = Array::default();
        let mut put = |key: &str, value: Option<Form>| {
            if let Some(value) = value {
                out.set(Key::new(key.as_bytes()), value);
            }
        };
        let contact = &self.contact;
        put("transactionid", self.transactionid.as_deref().map(Form::text));
        let mut group = Array::default();
        for (key, text) in [
            ("id", &contact.id),
            ("email", &contact.email),
            ("phone", &contact.phone),
            ("profile_url", &contact.profile_url),
        ] {
            if let Some(text) = text {
                group.set(Key::new(key.as_bytes()), Form::text(text.as_str()));
            }
        }
        for (key, value) in &contact.rest {
            if let Some(value) = crate::form::from_json(value) {
                group.set(Key::new(key.as_bytes()), value);
            }
        }
        put("contact", (!group.is_empty()).then_some(Form::Array(group)));
        put("fields", list(&self.fields, ListField::to_form));
        let occurrences = |rows: &[Occurrence], date: &str| {
            list(rows, |row| {
                map(&[("id", &row.id), ("name", &row.name), (date, &row.date)])
            })
        };
        put(
            "campaigns-opened",
            occurrences(&self.campaigns_opened, "open_date"),
        );
        put(
            "links-clicked",
            list(&self.links_clicked, |row| {
                map(&[("url", &row.url), ("clicks", &row.clicks)])
            }),
        );
        put(
            "pages-visited",
            list(&self.pages_visited, |row| {
                map(&[("page", &row.page), ("visit_date", &row.visit_date)])
            }),
        );
        put(
            "automation-triggered",
            occurrences(&self.automation_triggered, "trigger_date"),
        );
        put("goals-reached", occurrences(&self.goals_reached, "reach_date"));
        put(
            "webhooks-triggered",
            occurrences(&self.webhooks_triggered, "trigger_date"),
        );
        put(
            "lead-score",
            list(&self.lead_score, |row| {
                map(&[
                    ("id", &row.id),
                    ("name", &row.name),
                    ("score", &row.score),
                    ("score_date", &row.score_date),
                ])
            }),
        );
        let status = &self.lead_status;
        put(
            "lead-status",
            map(&[("score", &status.score), ("label", &status.label)]),
        );
        for (key, value) in &self.extra {
            put(key, crate::form::from_json(value));
        }
        out
    }
}

impl ListField {
    fn read(mut members: Map<String, Value>) -> Self {
        let mut take = |wanted: &str| {
            let key = members
                .keys()
                .find(|key| key.eq_ignore_ascii_case(wanted))?
                .clone();
            members.shift_remove(&key)
        };
        Self {
            id: take("id").and_then(into_scalar),
            name: ["name", "label"]
                .into_iter()
                .find_map(|key| take(key).and_then(into_scalar)),
            value: take("value"),
        }
    }

    /// A value under the number of its field: `fields[125]=Bonn`.
    fn numbered(key: &str, value: &Value) -> Option<Self> {
        let is_value = scalar(value).is_some_and(|text| text != NO_ROW);
        (is_number(key) && is_value).then(|| Self {
            id: Some(key.to_owned()),
            name: None,
            value: Some(value.clone()),
        })
    }

    fn named(name: String, value: Value) -> Self {
        Self {
            id: None,
            name: Some(name),
            value: Some(value),
        }
    }

    fn to_form(&self) -> Option<Form> {
        let mut row = match map(&[("id", &self.id), ("name", &self.name)]) {
            Some(Form::Array(row)) => row,
            _ => Array::default(),
        };
        if let Some(value) = self.value.as_ref().and_then(crate::form::from_json) {
            row.set(Key::new(b"value"), value);
        }
        (!row.is_empty()).then_some(Form::Array(row))
    }
}

/// Which keys of a field an object has.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own about the keys"
)]
struct Keys {
    id: bool,
    name: bool,
    value: bool,
    others: bool,
}

impl Keys {
    fn of(members: &Map<String, Value>) -> Self {
        let has = |names: &[&str]| {
            let mut keys = members.keys();
            keys.any(|key| names.iter().any(|name| key.eq_ignore_ascii_case(name)))
        };
        let known = ["id", "name", "label", "value"];
        let is_known = |key: &String| known.iter().any(|known| key.eq_ignore_ascii_case(known));
        Self {
            id: has(&["id"]),
            name: has(&["name", "label"]),
            value: has(&["value"]),
            others: !members.keys().all(is_known),
        }
    }

    /// Whether it is a row: a value together with a name or id, or no other keys.
    fn is_row(&self) -> bool {
        self.value && (self.name || self.id) || !self.others
    }
}

/// Reads fields in two forms: rows with `name` (or `label`) and `value`, in a list, under numbers or under
/// their names; or names with their values, in one object or in several.
pub(in crate::decode) fn list_fields(group: &str, value: Value, notes: &mut Vec<String>) -> Vec<ListField> {
    let (mut fields, mut others, mut unclear) = (Vec::new(), Vec::new(), 0);
    let items: Vec<(Option<String>, Value)> = match unfolded_or(value) {
        Value::Array(items) => {
            let items = rows::whole(group, items, notes);
            items.into_iter().map(|item| (None, item)).collect()
        }
        Value::Object(members) if !Keys::of(&members).is_row() => {
            let mut items = Vec::new();
            for (key, item) in members {
                let item = if is_number(&key) { row_in_text(item) } else { item };
                match ListField::numbered(&key, &item) {
                    Some(field) => fields.push(field),
                    None => items.push((Some(key).filter(|key| !is_number(key)), item)),
                }
            }
            items
        }
        one => vec![(None, one)],
    };
    for item in items {
        let (name, members) = match item {
            (name, Value::Object(members)) => (name, members),
            (Some(name), value) => {
                fields.push(ListField::named(name, value));
                continue;
            }
            (None, other) => {
                others.push(other);
                continue;
            }
        };
        let mut keys = Keys::of(&members);
        let has_value = keys.value && (keys.name || keys.id || name.is_some());
        unclear += usize::from(!has_value && (keys.value || keys.name && keys.others));
        keys.name |= name.is_some() && keys.value;
        if keys.is_row() || keys.name && keys.id {
            let mut field = ListField::read(members);
            field.name = field.name.or(name);
            fields.push(field);
        } else if let Some(name) = name {
            fields.push(ListField::named(name, Value::Object(members)));
        } else {
            let pairs = members.into_iter();
            fields.extend(pairs.map(|(name, value)| ListField::named(name, value)));
        }
    }
    objects(group, others, notes);
    for field in &mut fields {
        field.value = field.value.take().map(rows::without_gaps);
    }
    fields.retain(|field| {
        let has_value = field.value.as_ref().is_some_and(|value| !is_empty(value));
        field.id.is_some() || field.name.is_some() || has_value
    });
    if unclear > 0 {
        notes.push(format!(
            "{group}: {unclear} rows do not have both `name` and `value`; what they say may be incomplete"
        ));
    }
    fields
}

/// The row that a text holds as JSON. Other texts are values, whatever they hold.
fn row_in_text(item: Value) -> Value {
    let is_row = |members: &Map<String, Value>| {
        let keys = Keys::of(members);
        keys.is_row() && (keys.id || keys.name)
    };
    match &item {
        Value::String(text) => match crate::decode::json::inside(text) {
            Some(Value::Object(members)) if is_row(&members) => Value::Object(members),
            _ => item,
        },
        _ => item,
    }
}

/// The contact's own fields that came without a value.
fn emptied(contact: &Map<String, Value>) -> Vec<(&'static str, Value)> {
    let came = |name: &'static str| Some((name, contact.get(name)?.clone()));
    let all = ["phone", "profile_url"].into_iter().filter_map(came);
    all.filter(|(_, value)| is_empty(value)).collect()
}

fn map(members: &[(&str, &Option<String>)]) -> Option<Form> {
    let pairs = members.iter().filter_map(|(key, text)| {
        let text = text.as_deref()?;
        Some((Key::new(key.as_bytes()), Form::text(text)))
    });
    let map: Array = pairs.collect();
    (!map.is_empty()).then_some(Form::Array(map))
}

fn list<T>(rows: &[T], to_form: impl Fn(&T) -> Option<Form>) -> Option<Form> {
    let rows = (0_i64..).zip(rows.iter().filter_map(to_form));
    let list: Array = rows.map(|(n, row)| (Key::Int(n), row)).collect();
    (!list.is_empty()).then_some(Form::Array(list))
}

/// Whether the value is empty: `""`, `[]`, `{}` or null.
pub(in crate::decode) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.iter().all(is_empty),
        Value::Object(members) => members.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The text of a scalar, as a form would carry it; `None` if it is empty or no scalar.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(if *yes { "1" } else { "0" }.to_owned()),
        _ => None,
    }
}

/// The one value of a list, or the value.
fn only(value: &Value) -> &Value {
    match value {
        Value::Array(items) => match items.as_slice() {
            [only] => only,
            _ => value,
        },
        value => value,
    }
}

/// The text of an id. A boolean becomes a word, which is then recognised as no id. As a form carries it, it
/// would be the id 1.
pub(super) fn id(value: &Value) -> Option<String> {
    match value {
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(id) => Some(plain_number(id)),
        other => scalar(other),
    }
}

/// A JSON number without exponent and empty decimals.
pub(in crate::decode) fn plain_number(number: &Number) -> String {
    let text = number.to_string();
    placeholders::number(&text).unwrap_or(text)
}

/// As [`scalar`], without a copy.
fn into_scalar(value: Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text),
        Value::String(_) => None,
        other => scalar(&other),
    }
}

#[derive(Default)]
struct Row(Map<String, Value>);

impl Row {
    /// A list of one value is the value.
    fn text(&mut self, key: &str) -> Option<String> {
        match self.0.remove(key)? {
            Value::Array(items) => match <[Value; 1]>::try_from(items) {
                Ok([only]) => into_scalar(only),
                Err(_) => None,
            },
            value => into_scalar(value),
        }
    }
}

struct Groups<'a> {
    object: &'a mut Map<String, Value>,
    notes: &'a mut Vec<String>,
}

impl Groups<'_> {
    fn scalar(&mut self, key: &str) -> Option<String> {
        into_scalar(self.object.remove(key)?)
    }

    fn list_fields(&mut self) -> Vec<ListField> {
        let value = self.object.remove("fields").unwrap_or_default();
        list_fields("fields", value, self.notes)
    }

    /// The rows of a group that have at least one of its keys. Notes how many rows have only unknown keys.
    fn kept<T: Default + PartialEq>(&mut self, key: &str, read: impl Fn(&mut Row) -> T) -> Vec<T> {
        let rows = self.rows(key);
        let count = rows.iter().filter(|row| !row.0.values().all(is_empty)).count();
        let read = rows.into_iter().map(|mut row| read(&mut row));
        let kept: Vec<T> = read.filter(|row| *row != T::default()).collect();
        if let Some(odd) = count.checked_sub(kept.len()).filter(|odd| *odd > 0) {
            self.notes.push(format!(
                "{key}: {odd} rows have none of the group's keys and were left out"
            ));
        }
        kept
    }

    fn occurrences(&mut self, key: &str, date: &str) -> Vec<Occurrence> {
        self.kept(key, |row| Occurrence {
            id: row.text("id"),
            name: row.text("name"),
            date: row.text(date),
        })
    }

    /// Reads a map, or a list with one map.
    fn single(&mut self, key: &str) -> Row {
        let mut rows = self.rows(key);
        if rows.len() > 1 {
            self.notes.push(format!(
                "{key}: {} rows where one is expected; the last one is used",
                rows.len()
            ));
        }
        rows.pop().unwrap_or_default()
    }

    /// Reads a list of maps, a map of maps (a list with missing items), or a single map.
    fn rows(&mut self, key: &str) -> Vec<Row> {
        let items: Vec<Value> = match self.object.remove(key).map(unfolded_or) {
            Some(Value::Array(items)) => items,
            Some(Value::Object(members))
                if members.values().any(|item| !item.is_object()) && !is_gappy_list(&members) =>
            {
                return vec![Row(members)];
            }
            Some(Value::Object(members)) => members.into_iter().map(|(_, item)| item).collect(),
            Some(other) => vec![other],
            None => return Vec::new(),
        };
        let items = rows::whole(key, items, self.notes);
        objects(key, items, self.notes).into_iter().map(Row).collect()
    }
}

/// The text that careless PHP code writes instead of a row.
const NO_ROW: &str = "Array";

/// The items that are objects. The others are noted.
fn objects(group: &str, items: Vec<Value>, notes: &mut Vec<String>) -> Vec<Map<String, Value>> {
    let (mut objects, mut careless, mut odd) = (Vec::new(), 0, 0);
    for item in items {
        match item {
            Value::Object(members) => objects.push(members),
            Value::String(text) if text == NO_ROW => careless += 1,
            item if is_empty(&item) => {}
            _ => odd += 1,
        }
    }
    if careless > 0 {
        notes.push(format!(
            "{group}: the sender wrote the word Array instead of {careless} rows; their content never left it"
        ));
    }
    if odd > 0 {
        notes.push(format!("{group}: {odd} items that are not rows were left out"));
    }
    objects
}

/// Whether all keys are numbers, so that it is a list with missing items and not a row.
fn is_gappy_list(members: &Map<String, Value>) -> bool {
    members.keys().all(|key| is_number(key))
}

fn is_number(key: &str) -> bool {
    key.bytes().all(|byte| byte.is_ascii_digit())
}
