//! A table: its columns, constraints, policies and rows.

use causeway_core::clock::Timestamp;
use serde_json::{Map, Value, json};

use super::error::Refusal;

pub type Row = Map<String, Value>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// With the most characters of a `varchar`.
    Text(Option<usize>),
    /// A text that is compared without case.
    Citext,
    Bool,
    Bigint,
    Timestamptz,
    Jsonb,
}

impl Type {
    fn name(self) -> String {
        match self {
            Self::Text(Some(most)) => format!("character varying({most})"),
            Self::Text(None) => "text".to_owned(),
            Self::Citext => "citext".to_owned(),
            Self::Bool => "boolean".to_owned(),
            Self::Bigint => "bigint".to_owned(),
            Self::Timestamptz => "timestamp with time zone".to_owned(),
            Self::Jsonb => "jsonb".to_owned(),
        }
    }

    /// The value as the type stores it.
    pub fn read(self, value: &Value) -> Result<Value, Refusal> {
        let wrong = |code: &str| {
            let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            Refusal::sql(
                code,
                format!("invalid input syntax for type {}: \"{shown}\"", self.name()),
            )
        };
        if value.to_string().contains("\\u0000") {
            let refusal = Refusal::sql("22P05", "unsupported Unicode escape sequence");
            return Err(refusal.details("\\u0000 cannot be converted to text."));
        }
        match (self, value) {
            (_, Value::Null) => Ok(Value::Null),
            (Self::Jsonb, value) => Ok(value.clone()),
            (Self::Text(most), value) => {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                if most.is_some_and(|most| text.chars().count() > most) {
                    let message = format!("value too long for type {}", self.name());
                    return Err(Refusal::sql("22001", message));
                }
                Ok(text.into())
            }
            (Self::Citext, value) => Ok(value
                .as_str()
                .map_or_else(|| value.to_string().into(), Into::into)),
            (Self::Bool, Value::Bool(_)) => Ok(value.clone()),
            (Self::Bool, value) => match value.as_str().map(str::to_lowercase).as_deref() {
                Some("true" | "t" | "yes" | "on" | "1") => Ok(true.into()),
                Some("false" | "f" | "no" | "off" | "0") => Ok(false.into()),
                _ => Err(wrong("22P02")),
            },
            (Self::Bigint, Value::Number(number)) if number.as_i64().is_some() => Ok(value.clone()),
            (Self::Bigint, value) => {
                let number = value.as_str().and_then(|text| text.trim().parse::<i64>().ok());
                number.map(Value::from).ok_or_else(|| wrong("22P02"))
            }
            (Self::Timestamptz, value) => {
                let text = value.as_str().ok_or_else(|| wrong("22007"))?;
                let at: Option<Timestamp> = text.parse().ok().or_else(|| format!("{text}Z").parse().ok());
                let at = at.ok_or_else(|| wrong("22007"))?;
                Ok(at.strftime("%Y-%m-%dT%H:%M:%S%.f+00:00").to_string().into())
            }
        }
    }

    /// A form in which equal values are equal.
    pub fn key(self, value: &Value) -> Value {
        match (self, value.as_str()) {
            (Self::Citext, Some(text)) => text.to_lowercase().into(),
            _ => value.clone(),
        }
    }
}

/// What a column without a value gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Default {
    Null,
    Value(Value),
    /// The next number.
    Serial,
}

#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    pub kind: Type,
    pub not_null: bool,
    pub default: Default,
    /// The database makes the value itself.
    pub is_generated: bool,
}

impl Column {
    pub fn new(name: &str, kind: Type) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            not_null: false,
            default: Default::Null,
            is_generated: false,
        }
    }

    #[must_use]
    pub fn not_null(self) -> Self {
        Self {
            not_null: true,
            ..self
        }
    }

    #[must_use]
    pub fn default(self, default: Default) -> Self {
        Self { default, ..self }
    }
}

/// What the row security of a table allows a signed-in user.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a thing that an account may do or not"
)]
#[derive(Debug, Clone, Copy)]
pub struct Policies {
    pub select: bool,
    pub insert: bool,
    pub update: bool,
    pub delete: bool,
}

/// Whether something holds for a row.
pub type Rule = fn(&Row) -> bool;

pub struct Table {
    pub name: String,
    pub columns: Vec<Column>,
    pub primary_key: Vec<String>,
    /// Name → columns of the unique indexes, besides the primary key.
    pub unique: Vec<(String, Vec<String>)>,
    /// (name, column, other table, its column).
    pub foreign_keys: Vec<(String, String, String, String)>,
    /// (name, whether a row is allowed).
    pub checks: Vec<(String, Rule)>,
    /// A trigger leaves these rows out, without an error.
    pub swallows: Option<Rule>,
    /// A trigger refuses these rows.
    pub raises: Option<Rule>,
    /// `None` if row security is off.
    pub policies: Option<Policies>,
    pub rows: Vec<Row>,
    pub last_number: i64,
}

impl Table {
    pub fn new(name: &str, columns: Vec<Column>, primary_key: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            columns,
            primary_key: primary_key.iter().map(|name| (*name).to_owned()).collect(),
            unique: Vec::new(),
            foreign_keys: Vec::new(),
            checks: Vec::new(),
            swallows: None,
            raises: None,
            policies: None,
            rows: Vec::new(),
            last_number: 0,
        }
    }

    /// One row for each contact.
    pub fn contacts() -> Self {
        let text = |name: &str| Column::new(name, Type::Text(None));
        let time = |name: &str| Column::new(name, Type::Timestamptz);
        let columns = vec![
            Column::new("id", Type::Bigint)
                .default(Default::Serial)
                .not_null(),
            text("email").not_null(),
            text("first_name"),
            text("last_name"),
            Column::new("phone", Type::Text(Some(30))),
            Column::new("country", Type::Text(Some(2))),
            text("postcode"),
            Column::new("subscribed", Type::Bool)
                .default(Default::Value(json!(false)))
                .not_null(),
            text("consent"),
            time("consent_since"),
            text("source"),
            time("updated_at"),
        ];
        let mut table = Self::new("contacts", columns, &["id"]);
        table
            .unique
            .push(("contacts_email_key".to_owned(), vec!["email".to_owned()]));
        table
    }

    /// One row for each action.
    pub fn actions() -> Self {
        let text = |name: &str| Column::new(name, Type::Text(None));
        let columns = vec![
            text("source").not_null(),
            text("action_id").not_null(),
            text("action_type"),
            text("email"),
            text("campaign"),
            text("page"),
            Column::new("fields", Type::Jsonb),
            Column::new("created_at", Type::Timestamptz),
            Column::new("state", Type::Text(None)).default(Default::Value(json!("new"))),
        ];
        Self::new("actions", columns, &["source", "action_id"])
    }

    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    pub fn column_mut(&mut self, name: &str) -> &mut Column {
        self.columns
            .iter_mut()
            .find(|column| column.name == name)
            .unwrap()
    }

    /// All unique indexes with their names.
    pub fn indexes(&self) -> impl Iterator<Item = (String, &[String])> {
        let primary = (format!("{}_pkey", self.name), self.primary_key.as_slice());
        let others = self
            .unique
            .iter()
            .map(|(name, columns)| (name.clone(), columns.as_slice()));
        std::iter::once(primary)
            .chain(others)
            .filter(|(_, columns)| !columns.is_empty())
    }

    /// The values of some columns of a row. `None` if one is null, which is equal to nothing.
    pub fn key(&self, row: &Row, columns: &[String]) -> Option<Vec<Value>> {
        columns
            .iter()
            .map(|name| {
                let kind = self.column(name)?.kind;
                row.get(name)
                    .filter(|value| !value.is_null())
                    .map(|value| kind.key(value))
            })
            .collect()
    }

    /// The value that a column without one gets.
    pub fn fill(&mut self, name: &str) -> Value {
        match self.column(name).map(|column| column.default.clone()) {
            Some(Default::Value(value)) => value,
            Some(Default::Serial) => {
                self.last_number += 1;
                self.last_number.into()
            }
            Some(Default::Null) | None => Value::Null,
        }
    }

    /// Not-null columns and checks.
    pub fn check(&self, row: &Row) -> Result<(), Refusal> {
        let shown = || {
            let values = row.values().map(|value| match value {
                Value::Null => "null".to_owned(),
                value => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
            });
            format!(
                "Failing row contains ({}).",
                values.collect::<Vec<_>>().join(", ")
            )
        };
        let is_missing =
            |column: &&Column| column.not_null && row.get(&column.name).is_none_or(Value::is_null);
        if let Some(column) = self.columns.iter().find(is_missing) {
            let message = format!(
                "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                column.name, self.name
            );
            return Err(Refusal::sql("23502", message).details(shown()));
        }
        if let Some((name, _)) = self.checks.iter().find(|(_, is_allowed)| !is_allowed(row)) {
            let message = format!(
                "new row for relation \"{}\" violates check constraint \"{name}\"",
                self.name
            );
            return Err(Refusal::sql("23514", message).details(shown()));
        }
        Ok(())
    }
}
