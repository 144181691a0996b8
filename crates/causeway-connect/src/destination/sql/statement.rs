//! The SQL texts, in three dialects. Every name is quoted; every value is a parameter.
//!
//! Parameters are numbered from 1: first those of the columns that find the row, then those of the columns
//! that are set. MySQL has no numbers, so there the parameters are in the order of the text.

use super::{
    coerce::{Column, EQUALS, Kind},
    config::{OnConflict, OnRemove, Role, Table},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Postgres,
    /// MariaDB, too.
    Mysql,
    Sqlite,
}

impl Dialect {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Mysql => "MySQL",
            Self::Sqlite => "SQLite",
        }
    }

    pub(super) fn quote(self, name: &str) -> String {
        match self {
            Self::Mysql => format!("`{}`", name.replace('`', "``")),
            Self::Postgres | Self::Sqlite => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }

    /// Whether two spellings name the same column.
    pub(super) fn same(self, a: &str, b: &str) -> bool {
        match self {
            Self::Postgres => a == b,
            Self::Mysql | Self::Sqlite => a.eq_ignore_ascii_case(b),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableName {
    pub schema: Option<String>,
    pub table: String,
}

impl TableName {
    /// `TABLE` or `SCHEMA.TABLE`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (schema, table) = match text.split_once('.') {
            Some((schema, table)) => (Some(schema.to_owned()), table),
            None => (None, text),
        };
        if table.contains('.') {
            return Err("a table is named TABLE or SCHEMA.TABLE".to_owned());
        }
        for name in schema.iter().map(String::as_str).chain([table]) {
            check_name(name)?;
        }
        Ok(Self {
            schema,
            table: table.to_owned(),
        })
    }

    pub(super) fn quoted(&self, dialect: Dialect) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", dialect.quote(schema), dialect.quote(&self.table)),
            None => dialect.quote(&self.table),
        }
    }
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.table),
            None => f.write_str(&self.table),
        }
    }
}

/// PostgreSQL cuts longer names silently, which would make two columns one.
const LONGEST_NAME_BYTES: usize = 63;

pub(super) fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("a name is missing".to_owned());
    }
    if name.len() > LONGEST_NAME_BYTES {
        return Err(format!("a name has at most {LONGEST_NAME_BYTES} bytes"));
    }
    if name.chars().any(char::is_control) {
        return Err("a name has no control characters".to_owned());
    }
    Ok(())
}

/// A table or view as in the database, with the columns that the mapping names, in the order of the mapping.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub dialect: Dialect,
    /// With the schema in which it was found: another client of a pooler may have changed the search path.
    pub name: TableName,
    pub columns: Vec<Column>,
    pub is_view: bool,
}

/// Where a statement takes its values from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One parameter per value, for this many rows.
    Rows(usize),
    /// PostgreSQL: one list of texts per column, for any number of rows.
    Lists,
    /// NULL for each value: for planning only.
    Nulls,
}

impl Relation {
    /// Whether the database reports how many rows a statement changed.
    pub(super) fn counts_rows(&self) -> bool {
        // SQLite does not count what the triggers of a view do.
        !(self.is_view && self.dialect == Dialect::Sqlite)
    }

    /// Inserts rows.
    pub(super) fn insert(&self, set: &[usize], form: Form) -> String {
        let names: Vec<String> = set.iter().map(|at| self.quoted(*at)).collect();
        let row = |row: usize| {
            let values: Vec<String> = (1..)
                .zip(set)
                .map(|(n, at)| self.value(form, row * set.len() + n, *at))
                .collect();
            values.join(", ")
        };
        let rows = match form {
            Form::Lists => format!("SELECT {} FROM {}", row(0), lists(set.len(), "")),
            Form::Nulls => format!("VALUES ({})", row(0)),
            Form::Rows(count) => {
                let rows: Vec<String> = (0..count).map(|at| format!("({})", row(at))).collect();
                format!("VALUES {}", rows.join(", "))
            }
        };
        format!(
            "INSERT INTO {} ({}) {rows}",
            self.name.quoted(self.dialect),
            names.join(", ")
        )
    }

    /// Sets columns of the rows that are found.
    pub(super) fn update(&self, find: &[usize], set: &[usize], form: Form) -> String {
        let sets: Vec<String> = (find.len() + 1..)
            .zip(set)
            .map(|(n, at)| format!("{} = {}", self.quoted(*at), self.value(form, n, *at)))
            .collect();
        let from = match form {
            Form::Lists => format!(" FROM {}", lists(find.len() + set.len(), "")),
            Form::Rows(_) | Form::Nulls => String::new(),
        };
        format!(
            "UPDATE {} SET {}{from} WHERE {}",
            self.aliased(),
            sets.join(", "),
            self.conditions(find, form)
        )
    }

    /// Deletes the rows that are found.
    pub(super) fn delete(&self, find: &[usize], form: Form) -> String {
        format!(
            "DELETE FROM {} WHERE {}",
            self.aliased(),
            self.conditions(find, form)
        )
    }

    /// The texts of some columns of the rows that are found, byte for byte. With lists the number of the item
    /// comes first.
    pub(super) fn stored(&self, find: &[usize], show: &[usize], form: Form) -> String {
        let shown: Vec<String> = show.iter().map(|at| self.text(*at)).collect();
        let shown = shown.join(", ");
        if form == Form::Lists {
            return format!(
                "SELECT DISTINCT r.n, {shown} FROM {} JOIN {} ON {}",
                lists(find.len(), "n"),
                self.aliased(),
                self.conditions(find, form)
            );
        }
        format!(
            "SELECT DISTINCT {shown} FROM {} WHERE {}",
            self.aliased(),
            self.conditions(find, form)
        )
    }

    fn conditions(&self, find: &[usize], form: Form) -> String {
        if let Form::Rows(count @ 2..) = form {
            // Not for PostgreSQL, which uses lists.
            let names: Vec<String> = find.iter().map(|at| self.quoted(*at)).collect();
            let marks = vec!["?"; find.len()].join(", ");
            let rows = vec![format!("({marks})"); count].join(", ");
            return format!("({}) IN ({rows})", names.join(", "));
        }
        let conditions: Vec<String> = (1..)
            .zip(find)
            .map(|(n, at)| {
                let equals = self.columns.get(*at).map_or(EQUALS, |column| &column.equals);
                format!("{} {equals} {}", self.column(*at), self.compared(form, n, *at))
            })
            .collect();
        conditions.join(" AND ")
    }

    fn aliased(&self) -> String {
        let name = self.name.quoted(self.dialect);
        match self.dialect {
            Dialect::Postgres => format!("{name} AS old"),
            Dialect::Mysql | Dialect::Sqlite => name,
        }
    }

    fn quoted(&self, at: usize) -> String {
        let name = self.columns.get(at).map_or("", |column| &column.name);
        self.dialect.quote(name)
    }

    fn column(&self, at: usize) -> String {
        match self.dialect {
            Dialect::Postgres => format!("old.{}", self.quoted(at)),
            Dialect::Mysql | Dialect::Sqlite => self.quoted(at),
        }
    }

    /// A stored value as text, compared without its collation.
    fn text(&self, at: usize) -> String {
        let column = self.column(at);
        match self.dialect {
            Dialect::Postgres => format!("CAST({column} AS text) COLLATE \"C\""),
            Dialect::Mysql => format!("CONVERT(CAST({column} AS CHAR) USING utf8mb4) COLLATE utf8mb4_bin"),
            Dialect::Sqlite => format!("CAST({column} AS TEXT) COLLATE BINARY"),
        }
    }

    fn mark(&self, form: Form, n: usize) -> String {
        match (form, self.dialect) {
            (Form::Lists, _) => format!("r.c{n}"),
            (Form::Nulls, _) => "NULL".to_owned(),
            (Form::Rows(_), Dialect::Postgres) => format!("${n}"),
            (Form::Rows(_), Dialect::Sqlite) => format!("?{n}"),
            (Form::Rows(_), Dialect::Mysql) => "?".to_owned(),
        }
    }

    /// A parameter that is written into a column.
    fn value(&self, form: Form, n: usize, at: usize) -> String {
        match self.columns.get(at) {
            // A text that is too long must fail at the assignment; a cast would cut it silently.
            Some(column) if matches!(column.kind, Kind::Text(_)) => self.mark(form, n),
            _ => self.compared(form, n, at),
        }
    }

    /// A parameter that is compared with a column, as a value of the column's type.
    fn compared(&self, form: Form, n: usize, at: usize) -> String {
        let mark = self.mark(form, n);
        match self.columns.get(at) {
            Some(column) if !column.base.is_empty() => format!("CAST({mark} AS {})", column.base),
            _ => mark,
        }
    }
}

/// PostgreSQL's rows `r` made from `count` lists of texts, with their number if `number` names it.
fn lists(count: usize, number: &str) -> String {
    let lists: Vec<String> = (1..=count).map(|n| format!("${n}::text[]")).collect();
    let mut names: Vec<String> = (1..=count).map(|n| format!("c{n}")).collect();
    let mut with = "";
    if !number.is_empty() {
        names.push(number.to_owned());
        with = " WITH ORDINALITY";
    }
    format!("unnest({}){with} AS r({})", lists.join(", "), names.join(", "))
}

/// Lets the database plan the statements that deliveries need, without running them. This proves the rights
/// to run them.
pub(super) fn explain(relation: &Relation, table: &Table) -> Vec<String> {
    let all: Vec<usize> = (0..table.columns.len()).collect();
    let key = table.places(|column| column.is_key);
    let rest = table.places(|column| !column.is_key);
    let changes = table.role == Role::Contacts || table.on_conflict == OnConflict::Update;
    let form = Form::Nulls;
    let mut statements = vec![relation.stored(&key, &key, form), relation.insert(&all, form)];
    if changes && !rest.is_empty() {
        statements.push(relation.update(&key, &rest, form));
    }
    if table.on_remove == OnRemove::Delete {
        statements.push(relation.delete(&key, form));
    }
    statements
        .iter()
        .map(|statement| format!("EXPLAIN {statement}"))
        .collect()
}
