//! What the action "Sync Contact to Third Party" sends: eleven groups, typed, texts as they came.

use serde_json::{Map, Value};

use crate::{
    decode::names::unfolded_or,
    form::{Array, Key, Value as Form},
};

/// One contact with its history. `None` and an empty list both stand for a group that was missing or empty.
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
    /// Pop-ups that the contact was shown on the site, not HTTP web hooks.
    pub webhooks_triggered: Vec<Occurrence>,
    pub lead_score: Vec<Score>,
    pub lead_status: LeadStatus,
    /// Keys that are none of the eleven: what a GET template or the query of a POST adds.
    pub extra: Map<String, Value>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct SyncContact {
    pub id: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub profile_url: Option<String>,
    /// Which of `phone` and `profile_url` came without a value, and what came instead.
    pub emptied: Vec<(&'static str, Value)>,
    /// What else the group holds.
    pub rest: Map<String, Value>,
}

/// A custom field of the list. `value` is text, or whatever a multi-select field sent; null and empty texts as they came.
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

/// A scoring rule that the contact hit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Score {
    pub id: Option<String>,
    pub name: Option<String>,
    pub score: Option<String>,
    pub score_date: Option<String>,
}

/// The total, and the label of the range that it is in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LeadStatus {
    pub score: Option<String>,
    pub label: Option<String>,
}

impl SyncPayload {
    /// Reads whatever of the groups is there, in either shape; adds to `notes` what was odd, without
    /// personal data. Rows without any known key are left out.
    pub fn from_value(mut object: Map<String, Value>, notes: &mut Vec<String>) -> Self {
        let occurrences = |rows: Vec<Row>, date: &str| {
            rows.into_iter()
                .map(|mut row| Occurrence {
                    id: row.text("id"),
                    name: row.text("name"),
                    date: row.text(date),
                })
                .filter(|row| *row != Occurrence::default())
                .collect()
        };
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
                id: contact.0.remove("id").as_ref().and_then(id),
                email: contact.text("email"),
                phone: contact.text("phone"),
                profile_url: contact.text("profile_url"),
                emptied,
                rest: contact.0,
            },
            fields: groups.list_fields(),
            campaigns_opened: occurrences(groups.rows("campaigns-opened"), "open_date"),
            links_clicked: kept(groups.rows("links-clicked"), |row| Click {
                url: row.text("url"),
                clicks: row.text("clicks"),
            }),
            pages_visited: kept(groups.rows("pages-visited"), |row| Visit {
                page: row.text("page"),
                visit_date: row.text("visit_date"),
            }),
            automation_triggered: occurrences(groups.rows("automation-triggered"), "trigger_date"),
            goals_reached: occurrences(groups.rows("goals-reached"), "reach_date"),
            webhooks_triggered: occurrences(groups.rows("webhooks-triggered"), "trigger_date"),
            lead_score: kept(groups.rows("lead-score"), |row| Score {
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

    /// The groups in the documented order, as a form: printed by [`crate::form::emit`], it is what the
    /// platform sends. Empty groups are absent; `extra` comes last.
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

    /// A value, and whose it is; or nothing else.
    fn is_row(&self) -> bool {
        self.value && (self.name || self.id) || !self.others
    }
}

/// Fields as rows with `name` (or `label`) and `value`, in a list, under numbers or under their names; or as names with their
/// values, in one object or in several.
pub(in crate::decode) fn list_fields(group: &str, value: Value, notes: &mut Vec<String>) -> Vec<ListField> {
    let (mut fields, mut others, mut unclear) = (Vec::new(), Vec::new(), 0);
    let items: Vec<(Option<String>, Value)> = match unfolded_or(value) {
        Value::Array(items) => items.into_iter().map(|item| (None, item)).collect(),
        Value::Object(members) if !Keys::of(&members).is_row() => {
            let mut items = Vec::new();
            for (key, item) in members {
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

/// The members that are the contact's own fields and came without a value.
fn emptied(contact: &Map<String, Value>) -> Vec<(&'static str, Value)> {
    let came = |name: &'static str| Some((name, contact.get(name)?.clone()));
    let all = ["phone", "profile_url"].into_iter().filter_map(came);
    all.filter(|(_, value)| is_empty(value)).collect()
}

fn kept<T: Default + PartialEq>(rows: Vec<Row>, read: impl Fn(&mut Row) -> T) -> Vec<T> {
    let read = rows.into_iter().map(|mut row| read(&mut row));
    read.filter(|row| *row != T::default()).collect()
}

fn map(members: &[(&str, &Option<String>)]) -> Option<Form> {
    let told = members.iter().filter_map(|(key, text)| {
        let text = text.as_deref()?;
        Some((Key::new(key.as_bytes()), Form::text(text)))
    });
    let map: Array = told.collect();
    (!map.is_empty()).then_some(Form::Array(map))
}

fn list<T>(rows: &[T], to_form: impl Fn(&T) -> Option<Form>) -> Option<Form> {
    let rows = (0_i64..).zip(rows.iter().filter_map(to_form));
    let list: Array = rows.map(|(n, row)| (Key::Int(n), row)).collect();
    (!list.is_empty()).then_some(Form::Array(list))
}

/// `""`, `[]`, `{}` and null say nothing.
pub(in crate::decode) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.iter().all(is_empty),
        Value::Object(members) => members.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Text of a scalar, as a form would carry it; `None` when it says nothing or is no scalar.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(if *yes { "1" } else { "0" }.to_owned()),
        _ => None,
    }
}

/// The text of an id. A truth value stays a word, so that it is seen to be none: as a form carries it, it would be the id 1.
pub(super) fn id(value: &Value) -> Option<String> {
    match value {
        Value::Bool(flag) => Some(flag.to_string()),
        other => scalar(other),
    }
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
    fn text(&mut self, key: &str) -> Option<String> {
        into_scalar(self.0.remove(key)?)
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

    /// A map, or a list of one map.
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

    /// A list of maps, a map of maps (a list with holes), or a single map.
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
        objects(key, items, self.notes).into_iter().map(Row).collect()
    }
}

/// What careless PHP writes instead of a row.
const NO_ROW: &str = "Array";

/// The items that are objects; notes those that are not.
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

/// Whether all keys are numbers: a list of which items are missing, not a row.
fn is_gappy_list(members: &Map<String, Value>) -> bool {
    members.keys().all(|key| is_number(key))
}

fn is_number(key: &str) -> bool {
    key.bytes().all(|byte| byte.is_ascii_digit())
}
