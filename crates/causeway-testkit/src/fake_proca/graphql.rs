//! The part of GraphQL that a fake API needs: a schema, the rules by which a server rejects a query, and the
//! execution of a query.
//!
//! Queries with fragments or directives are rejected: Causeway's queries have none.

use std::collections::{BTreeMap, BTreeSet};

use graphql_parser::{
    query::{self, OperationDefinition, Selection, VariableDefinition},
    schema::{self, Definition, TypeDefinition},
};
use serde_json::{Map, Value, json};

type Type = schema::Type<'static, String>;
type Field = query::Field<'static, String>;
type Literal = query::Value<'static, String>;

/// A schema that checks and answers queries.
pub struct Schema {
    query: String,
    /// Type → its fields. Scalars and enumerations have none.
    types: BTreeMap<String, BTreeMap<String, FieldType>>,
}

struct FieldType {
    arguments: BTreeMap<String, Type>,
    of: Type,
}

/// A query that conforms to a schema.
pub struct Query {
    variables: Vec<VariableDefinition<'static, String>>,
    fields: Vec<Field>,
}

/// A member with this name makes its field fail with the text, like a resolver's error.
pub const FAILS: &str = "$fails";

/// Returns the value of a field of the query type, or the message of its error.
type Root<'f> = &'f dyn Fn(&str, &Map<String, Value>) -> Result<Value, String>;

impl Schema {
    /// Reads a schema in the schema definition language.
    pub fn parse(text: &str) -> Self {
        let document = graphql_parser::parse_schema::<String>(text)
            .unwrap_or_else(|error| panic!("the schema: {error}"))
            .into_static();
        let mut read = Self {
            query: "Query".to_owned(),
            types: BTreeMap::new(),
        };
        for definition in document.definitions {
            match definition {
                Definition::SchemaDefinition(roots) => read.query = roots.query.unwrap_or(read.query),
                Definition::TypeDefinition(TypeDefinition::Object(of)) => read.add(of.name, of.fields),
                Definition::TypeDefinition(TypeDefinition::Interface(of)) => read.add(of.name, of.fields),
                Definition::TypeDefinition(TypeDefinition::Scalar(of)) => read.add(of.name, Vec::new()),
                Definition::TypeDefinition(TypeDefinition::Enum(of)) => read.add(of.name, Vec::new()),
                _ => {}
            }
        }
        for scalar in ["Int", "String", "Boolean", "Float", "ID"] {
            read.add(scalar.to_owned(), Vec::new());
        }
        read
    }

    fn add(&mut self, name: String, fields: Vec<schema::Field<'static, String>>) {
        let fields = fields.into_iter().map(|field| {
            let arguments = field.arguments.into_iter();
            let arguments = arguments.map(|argument| (argument.name, argument.value_type));
            let field_type = FieldType {
                arguments: arguments.collect(),
                of: field.field_type,
            };
            (field.name, field_type)
        });
        self.types.insert(name, fields.collect());
    }

    /// The parsed query, or the messages with which a server rejects it.
    pub fn check(&self, text: &str) -> Result<Query, Vec<String>> {
        let document = graphql_parser::parse_query::<String>(text)
            .map_err(|error| vec![format!("Syntax error: {error}")])?
            .into_static();
        let [query::Definition::Operation(OperationDefinition::Query(query))] =
            document.definitions.as_slice()
        else {
            return Err(vec!["Only a single query is answered here.".to_owned()]);
        };
        let mut check = Check {
            schema: self,
            variables: &query.variable_definitions,
            used: BTreeSet::new(),
            refusals: Vec::new(),
        };
        let fields = check.selection(&self.query, &query.selection_set);
        for variable in &query.variable_definitions {
            if !check.used.contains(&variable.name) {
                let text = format!("Variable \"{}\" is never used.", variable.name);
                check.refusals.push(text);
            }
        }
        if check.refusals.is_empty() {
            Ok(Query {
                variables: query.variable_definitions.clone(),
                fields,
            })
        } else {
            Err(check.refusals)
        }
    }

    /// Answers a query. `root` returns the value of a field of the query type, with all fields that a query
    /// may select.
    pub fn answer(&self, query: &Query, variables: &Value, root: Root<'_>) -> Value {
        for variable in &query.variables {
            let is_given = !variables[&variable.name].is_null();
            if matches!(variable.var_type, Type::NonNullType(_)) && !is_given {
                let message = format!("Variable \"{}\": Expected non-null, found null.", variable.name);
                return json!({ "errors": [{ "message": message }] });
            }
        }
        let mut answering = Answering {
            schema: self,
            errors: Vec::new(),
        };
        let mut data = Map::new();
        for field in &query.fields {
            let arguments = field
                .arguments
                .iter()
                .map(|(name, value)| (name.clone(), given(value, variables)))
                .filter(|(_, value)| !value.is_null())
                .collect();
            let value = root(&field.name, &arguments).unwrap_or_else(|message| json!({ FAILS: message }));
            let path = [json!(key(field))];
            match answering.field(&self.query, field, &value, &path) {
                Some(value) => drop(data.insert(key(field).to_owned(), value)),
                None => return json!({ "data": null, "errors": answering.errors }),
            }
        }
        if answering.errors.is_empty() {
            json!({ "data": data })
        } else {
            json!({ "data": data, "errors": answering.errors })
        }
    }
}

/// The name of a field in the response.
fn key(field: &Field) -> &str {
    field.alias.as_deref().unwrap_or(&field.name)
}

fn given(value: &Literal, variables: &Value) -> Value {
    match value {
        Literal::Variable(name) => variables[name].clone(),
        Literal::Int(number) => json!(number.as_i64()),
        Literal::String(text) => json!(text),
        Literal::Boolean(flag) => json!(flag),
        _ => Value::Null,
    }
}

/// The type's name without lists and exclamation marks.
fn named(of: &Type) -> &str {
    match of {
        Type::NamedType(name) => name,
        Type::ListType(of) | Type::NonNullType(of) => named(of),
    }
}

struct Check<'a> {
    schema: &'a Schema,
    variables: &'a [VariableDefinition<'static, String>],
    used: BTreeSet<String>,
    refusals: Vec<String>,
}

impl Check<'_> {
    fn selection(&mut self, on: &str, selection: &query::SelectionSet<'static, String>) -> Vec<Field> {
        let mut fields = Vec::new();
        for item in &selection.items {
            let Selection::Field(field) = item else {
                self.refusals.push("Fragments are not answered here.".to_owned());
                continue;
            };
            self.field(on, field);
            fields.push(field.clone());
        }
        fields
    }

    fn field(&mut self, on: &str, field: &Field) {
        let schema = self.schema;
        let name = &field.name;
        if !field.directives.is_empty() {
            self.refusals.push("Directives are not answered here.".to_owned());
        }
        let Some(known) = schema.types.get(on).and_then(|fields| fields.get(name)) else {
            return self
                .refusals
                .push(format!("Cannot query field \"{name}\" on type \"{on}\"."));
        };
        for (argument, value) in &field.arguments {
            match known.arguments.get(argument) {
                Some(wanted) => self.argument(argument, wanted, value),
                None => self.refusals.push(format!(
                    "Unknown argument \"{argument}\" on field \"{name}\" of type \"{on}\"."
                )),
            }
        }
        for (argument, wanted) in &known.arguments {
            let is_given = field.arguments.iter().any(|(given, _)| given == argument);
            if matches!(wanted, Type::NonNullType(_)) && !is_given {
                self.refusals.push(format!(
                    "In argument \"{argument}\": Expected type \"{wanted}\", found null."
                ));
            }
        }
        let of = named(&known.of);
        let is_leaf = schema.types.get(of).is_none_or(BTreeMap::is_empty);
        match (is_leaf, field.selection_set.items.is_empty()) {
            (true, false) => self.refusals.push(format!(
                "Field \"{name}\" must not have a selection since type \"{of}\" has no subfields."
            )),
            (false, true) => self.refusals.push(format!(
                "Field \"{name}\" of type \"{of}\" must have a selection of subfields."
            )),
            _ => drop(self.selection(of, &field.selection_set)),
        }
    }

    fn argument(&mut self, argument: &str, wanted: &Type, value: &Literal) {
        let fits = match value {
            Literal::Variable(name) => {
                self.used.insert(name.clone());
                match self.variables.iter().find(|variable| variable.name == *name) {
                    None => {
                        self.refusals.push(format!("Variable \"{name}\" is not defined."));
                        return;
                    }
                    Some(variable) => {
                        let may_be_null = !matches!(variable.var_type, Type::NonNullType(_));
                        let refuses_null = matches!(wanted, Type::NonNullType(_));
                        named(&variable.var_type) == named(wanted) && !(may_be_null && refuses_null)
                    }
                }
            }
            Literal::Boolean(_) => named(wanted) == "Boolean",
            Literal::Int(_) => named(wanted) == "Int",
            Literal::String(_) => !matches!(named(wanted), "Boolean" | "Int"),
            _ => false,
        };
        if !fits {
            self.refusals
                .push(format!("Argument \"{argument}\" has invalid value {value}."));
        }
    }
}

struct Answering<'a> {
    schema: &'a Schema,
    errors: Vec<Value>,
}

impl Answering<'_> {
    /// `None` means null where the schema promises a value; the object that holds the field then becomes
    /// null, too.
    fn field(&mut self, on: &str, field: &Field, value: &Value, path: &[Value]) -> Option<Value> {
        let schema = self.schema;
        let known = schema.types.get(on).and_then(|fields| fields.get(&field.name))?;
        self.value(&known.of, field, value, path)
    }

    fn value(&mut self, of: &Type, field: &Field, value: &Value, path: &[Value]) -> Option<Value> {
        let Type::NonNullType(of) = of else {
            return Some(self.nullable(of, field, value, path).unwrap_or_default());
        };
        let before = self.errors.len();
        let found = self.nullable(of, field, value, path);
        if found.is_none() && self.errors.len() == before {
            self.fail("Cannot return null for non-nullable field", path);
        }
        found
    }

    /// `None` for null, whatever the reason.
    fn nullable(&mut self, of: &Type, field: &Field, value: &Value, path: &[Value]) -> Option<Value> {
        if let Some(message) = value.get(FAILS).and_then(Value::as_str) {
            self.fail(message, path);
            return None;
        }
        let below = |step: Value| [path, &[step]].concat();
        match of {
            Type::NonNullType(of) => self.nullable(of, field, value, path),
            Type::ListType(of) => {
                let mut items = Vec::new();
                for (index, item) in value.as_array()?.iter().enumerate() {
                    items.push(self.value(of, field, item, &below(json!(index)))?);
                }
                Some(Value::Array(items))
            }
            Type::NamedType(_) if value.is_null() => None,
            Type::NamedType(name) if self.schema.types.get(name).is_none_or(BTreeMap::is_empty) => {
                Some(value.clone())
            }
            Type::NamedType(name) => {
                let mut members = Map::new();
                for item in &field.selection_set.items {
                    let Selection::Field(field) = item else { continue };
                    let member = value.get(&field.name).unwrap_or(&Value::Null);
                    let path = below(json!(key(field)));
                    members.insert(key(field).to_owned(), self.field(name, field, member, &path)?);
                }
                Some(Value::Object(members))
            }
        }
    }

    fn fail(&mut self, message: &str, path: &[Value]) {
        self.errors.push(json!({ "message": message, "path": path }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = "schema { query: Root } type Root { people(first: Int!, open: Boolean): [Person]! }
        type Person { id: Int! name: String friends: [Person!] data: Json } scalar Json";

    #[test]
    fn queries_are_rejected_like_servers_do() {
        let schema = Schema::parse(SCHEMA);
        for (query, refusal) in [
            (
                "query { people(first: 1) { age } }",
                "Cannot query field \"age\" on type \"Person\".",
            ),
            (
                "query { people(first: 1, last: 2) { id } }",
                "Unknown argument \"last\" on field \"people\" of type \"Root\".",
            ),
            (
                "query { people { id } }",
                "In argument \"first\": Expected type \"Int!\", found null.",
            ),
            (
                "query { people(first: true) { id } }",
                "Argument \"first\" has invalid value true.",
            ),
            (
                "query ($n: Int) { people(first: $n) { id } }",
                "Argument \"first\" has invalid value $n.",
            ),
            (
                "query ($n: String!) { people(first: $n) { id } }",
                "Argument \"first\" has invalid value $n.",
            ),
            (
                "query { people(first: $n) { id } }",
                "Variable \"n\" is not defined.",
            ),
            (
                "query ($n: Int!) { people(first: 1) { id } }",
                "Variable \"n\" is never used.",
            ),
            (
                "query { people(first: 1) { friends } }",
                "Field \"friends\" of type \"Person\" must have a selection of subfields.",
            ),
            (
                "query { people(first: 1) { data { id } } }",
                "Field \"data\" must not have a selection since type \"Json\" has no subfields.",
            ),
            ("mutation { people }", "Only a single query is answered here."),
        ] {
            assert_eq!(
                schema.check(query).err(),
                Some(vec![refusal.to_owned()]),
                "{query}"
            );
        }
    }

    #[test]
    fn a_response_has_the_selected_fields_and_a_failure_spreads_to_the_next_nullable_field() {
        let schema = Schema::parse(SCHEMA);
        let text = "query ($n: Int!) { all: people(first: $n, open: true) { id friends { name id } } }";
        let query = schema.check(text).ok().unwrap();
        let people = json!([
            { "id": 1, "name": "Ann", "friends": [{ "id": 2 }] },
            { "id": { FAILS: "the database is away" } },
            { "id": 3, "friends": [{ "id": null }] },
        ]);
        let answer = schema.answer(&query, &json!({ "n": 3 }), &|name, arguments| {
            assert_eq!(
                (name, &json!(arguments)),
                ("people", &json!({ "first": 3, "open": true }))
            );
            Ok(people.clone())
        });
        assert_eq!(
            answer["data"],
            json!({ "all": [
                { "id": 1, "friends": [{ "name": null, "id": 2 }] },
                null,
                { "id": 3, "friends": null },
            ] })
        );
        assert_eq!(
            answer["errors"],
            json!([
                { "message": "the database is away", "path": ["all", 1, "id"] },
                { "message": "Cannot return null for non-nullable field", "path": ["all", 2, "friends", 0, "id"] },
            ])
        );
        let refused = schema.answer(&query, &json!({ "n": 3 }), &|_, _| Err("no rights".to_owned()));
        assert_eq!(refused["data"], Value::Null);
        let missing = schema.answer(&query, &json!({}), &|_, _| Ok(json!([])));
        assert!(
            missing["errors"][0]["message"]
                .as_str()
                .unwrap()
                .contains("\"n\"")
        );
    }
}
