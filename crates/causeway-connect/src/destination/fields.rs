//! `fields = { "EMAIL" = "contact.email", "SOURCE" = "=petition" }`: which values of a record are sent, and
//! under which names. Read once, with the configuration; evaluated for each delivery.

use causeway_core::{
    mapping::{
        Mapping, MappingError, Scope, Tables,
        omission::{Omissions, Reads},
    },
    path,
};
use serde_json::{Map, Value};

use super::Needs;
use crate::config::{ConfigError, term_json};

/// The receiver's name → its value, in the order of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Fields(Mapping);

/// What `config check` reports about a mapping in which an opt-out looks like an opt-in.
const SHOWS_NO_CONSENT: &str = "`fields` read none of `change`, `type` and `consent.PURPOSE.state` or `.subscribed` of this \
                    destination's purpose, so an opt-out would look like any other record. Opt-outs are not sent \
                    there, and you have to enter them by hand. Add change = \"change\"";

impl Fields {
    /// Reads the table of the configuration. `key` is its name there.
    pub fn read(key: &str, table: &toml::Table, tables: &Tables) -> Result<Self, ConfigError> {
        if table.is_empty() {
            return Err(ConfigError::new(key, "names no field").hint("leave it out to send the whole record"));
        }
        let values: Vec<(&str, Value)> = table
            .iter()
            .map(|(name, value)| (name.as_str(), term_json(value.clone())))
            .collect();
        let pairs = values.iter().map(|(name, value)| (*name, value));
        Mapping::read(pairs, tables, &[])
            .map(Self)
            .map_err(|error| ConfigError::from_mapping(key, error))
    }

    /// Reads a list of values, such as tags. `None` if it is empty. An entry that is a setting of the campaign
    /// (`settings.NAME`) is left out for a campaign that lacks it.
    pub fn list(
        key: &str,
        items: impl IntoIterator<Item = toml::Value>,
        tables: &Tables,
    ) -> Result<Option<Self>, ConfigError> {
        let items = items.into_iter().enumerate();
        let values: Vec<(String, Value)> = items
            .map(|(at, item)| (format!("{key}.{at}"), term_json(optional(item))))
            .collect();
        if values.is_empty() {
            return Ok(None);
        }
        Self::named(&values, tables).map(Some)
    }

    /// Reads one value.
    pub fn one(key: &str, value: impl Into<toml::Value>, tables: &Tables) -> Result<Self, ConfigError> {
        Self::named(&[(key.to_owned(), term_json(value.into()))], tables)
    }

    /// Reads values that have the names of their keys.
    fn named(values: &[(String, Value)], tables: &Tables) -> Result<Self, ConfigError> {
        let pairs = values.iter().map(|(name, value)| (name.as_str(), value));
        Mapping::read(pairs, tables, &[]).map(Self).map_err(|mut error| {
            let key = error.field.take().unwrap_or_default();
            ConfigError::from_mapping(&key, error)
        })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.names()
    }

    /// Each name with its value, or the reason why one value cannot be computed. In a withdrawal such a value
    /// is null instead.
    pub fn apply(
        &self,
        scope: &Scope,
        omissions: &mut Omissions,
    ) -> Result<Vec<(String, Value)>, MappingError> {
        self.0.apply(scope, omissions)
    }

    /// Whether a value is made from the telephone number.
    pub fn read_phone(&self) -> bool {
        let mut paths = self.0.terms().flat_map(|(_, term)| term.names());
        paths.any(
            |path| matches!(path.steps.as_slice(), [root, name, ..] if root == "contact" && name == "phone"),
        )
    }

    /// What the values depend on.
    pub fn reads(&self) -> Reads {
        let mut reads = Reads::NOTHING;
        for (_, term) in self.0.terms() {
            reads.add(term.reads());
        }
        reads
    }

    /// The result of [`nest`] for a record that has everything, to check the names together with the
    /// configuration.
    pub fn outline(&self) -> Result<Value, ConfigError> {
        let texts = self.names().map(|name| (name.to_owned(), Value::from("text")));
        nest(texts).map_err(|error| ConfigError::from_mapping("fields", error))
    }

    /// What the rest of the program must know.
    pub fn needs(&self) -> Needs {
        Needs {
            history: self.0.needs_history(),
            consent_shown: self.0.consent_shown(),
            shows_no_consent: SHOWS_NO_CONSENT,
            warnings: self.0.doubts(),
            ..Needs::default()
        }
    }
}

/// A setting that may be missing; any other value as it is.
fn optional(item: toml::Value) -> toml::Value {
    let is_name = |name: &str| {
        name.chars()
            .all(|letter| letter.is_alphanumeric() || letter == '_')
    };
    match item {
        toml::Value::String(text) if text.trim().strip_prefix("settings.").is_some_and(is_name) => {
            format!("{text} | default(none)").into()
        }
        other => other,
    }
}

/// One JSON object of named values, where `a[b]` and `a[0]` are names of nested members, as in a PHP form. It
/// fails only because of the names, so it fails with the configuration already.
pub fn nest(fields: impl IntoIterator<Item = (String, Value)>) -> Result<Value, MappingError> {
    let mut members = Vec::new();
    for (name, value) in fields {
        if put(&mut members, &steps(&name), value).is_none() {
            let mut error = MappingError::new(
                "conflicts with another field: the name of one is the beginning of the other",
            );
            error.field = Some(name);
            return Err(error);
        }
    }
    Ok(Value::Object(object(members)))
}

/// The value under one name. An object that is a field's value is a leaf: its names are personal data and are
/// not read as paths.
enum Node {
    Leaf(Value),
    Inner(Vec<(String, Node)>),
}

/// `a[b][0]` → `a`, `b`, `0`. So does `a[b][0].c`, which is how paths in responses are written. A name in any other
/// form is one step.
fn steps(name: &str) -> Vec<String> {
    in_brackets(name)
        .or_else(|| path::names(name).ok().filter(|_| name.contains("].")))
        .unwrap_or_else(|| vec![name.to_owned()])
}

fn in_brackets(name: &str) -> Option<Vec<String>> {
    let (first, rest) = name.strip_suffix(']')?.split_once('[')?;
    let steps: Vec<&str> = std::iter::once(first).chain(rest.split("][")).collect();
    let is_plain = |step: &&str| !step.is_empty() && !step.contains(['[', ']']);
    steps
        .iter()
        .all(is_plain)
        .then(|| steps.into_iter().map(str::to_owned).collect())
}

fn put(members: &mut Vec<(String, Node)>, steps: &[String], value: Value) -> Option<()> {
    let (first, rest) = steps.split_first()?;
    let known = members.iter_mut().find(|(name, _)| name == first);
    match known {
        Some((_, Node::Inner(inner))) if !rest.is_empty() => put(inner, rest, value),
        Some(_) => None,
        None => {
            let node = if rest.is_empty() {
                Node::Leaf(value)
            } else {
                let mut inner = Vec::new();
                put(&mut inner, rest, value)?;
                Node::Inner(inner)
            };
            members.push((first.clone(), node));
            Some(())
        }
    }
}

fn object(members: Vec<(String, Node)>) -> Map<String, Value> {
    let members = members.into_iter();
    members.map(|(name, node)| (name, value_of(node))).collect()
}

/// Members named 0, 1, 2, … make a list.
fn value_of(node: Node) -> Value {
    let members = match node {
        Node::Leaf(value) => return value,
        Node::Inner(members) => members,
    };
    let mut numbered = members.iter().enumerate();
    if numbered.all(|(index, (name, _))| *name == index.to_string()) {
        return members.into_iter().map(|(_, node)| value_of(node)).collect();
    }
    Value::Object(object(members))
}

#[cfg(test)]
mod tests {
    use causeway_core::{consent::Change, delivery::Kind, record::Record};
    use causeway_testkit::destination_contract::delivery;
    use serde_json::json;

    use super::*;

    fn fields(text: &str) -> Result<Fields, ConfigError> {
        Fields::read("fields", &toml::from_str(text).unwrap(), &Tables::default())
    }

    fn apply(fields: &Fields) -> Result<Vec<(String, Value)>, MappingError> {
        let record = delivery(1).record;
        fields.apply(&Scope::new(&record), &mut Omissions::of(&record))
    }

    /// A withdrawal of a contact whose fields a stranger filled in.
    fn withdrawal(own: &Value) -> Record {
        let mut record = delivery(1).record;
        record.kind = Kind::Withdrawal;
        record.change = Change::Unsubscribe;
        let own = own.as_object().unwrap().clone().into_iter().collect();
        record.contact.set_fields(&own, record.event_at);
        record
    }

    #[test]
    fn a_list_lacks_what_the_settings_lack_and_names_its_entries() {
        let list = |text: &str| {
            let table: toml::Table = toml::from_str(text).unwrap();
            Fields::list(
                "tags",
                table["tags"].as_array().unwrap().clone(),
                &Tables::default(),
            )
        };
        assert_eq!(list("tags = []").unwrap(), None);
        let fields = list("tags = ['=news', 'settings.tag', 'contact.firstName']")
            .unwrap()
            .unwrap();
        let values = apply(&fields).unwrap();
        assert_eq!(values[0], ("tags.0".to_owned(), json!("news")));
        assert_eq!(values[1], ("tags.1".to_owned(), Value::Null));
        let error = list("tags = ['=news', 'contact.']").unwrap_err();
        assert_eq!(error.key, "tags.1");
        let fields = list("tags = ['upper(contact.nickname)']");
        assert!(fields.is_err() || apply(&fields.unwrap().unwrap()).is_err());
    }

    #[test]
    fn a_withdrawal_leaves_out_values_that_cannot_be_computed() {
        let record = withdrawal(
            &json!({ "phone": "see notes", "Born": "in spring", "Age": "old", "Land": "Atlantis", "list": ["x"] }),
        );
        let own = [
            "contact.phone | phone('DE')",
            "contact.Born | date('%Y')",
            "contact.Age | int",
            "contact.Age + 2",
            "contact.Age > 18",
            "action.donation.amount / 100",
            "contact.Land | country",
            "contact.list | upper",
            "settings.nothing",
            "contact.firstName[settings.nothing:]",
            "{{ contact.firstName }} {{ contact.Age | int }}",
        ];
        for text in own {
            let fields = fields(&format!(
                "EMAIL = 'contact.email'\nX = {text:?}\nY = {{ z = [{text:?}, '=kept'] }}\nCHANGE = 'change'"
            ))
            .unwrap();
            let mut omissions = Omissions::of(&record);
            let values = fields.apply(&Scope::new(&record), &mut omissions).unwrap();
            let expected = json!({ "EMAIL": "person1@example.org", "X": null, "Y": { "z": [null, "kept"] }, "CHANGE": "unsubscribe" });
            assert_eq!(nest(values).unwrap(), expected, "{text}");
            let notes = omissions.finish().unwrap();
            assert_eq!(notes.len(), 2, "{text}: {notes:?}");
            assert!(
                notes[0].starts_with("left out: `X`: ") && notes[1].starts_with("left out: `Y.z.0`: "),
                "{notes:?}"
            );
            // Other records are sent whole or not at all.
            let mut ordinary = record.clone();
            (ordinary.kind, ordinary.change) = (Kind::Record, Change::Subscribe);
            assert!(
                fields
                    .apply(&Scope::new(&ordinary), &mut Omissions::of(&ordinary))
                    .is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_withdrawal_without_the_person_or_the_change_is_not_sent() {
        let record = withdrawal(&json!({ "phone": "see notes", "Member": "x" }));
        for (text, sent) in [
            ("a = 'contact.email'\nb = 'change | int'", false),
            ("a = 'contact.email'\nb = 'change | int'\nc = 'type'", true),
            (
                "a = 'contact.email'\nb = 'consent.email.state | int'\nc = 'consent.email.subscribed'",
                true,
            ),
            (
                "a = 'contact.email'\nb = 'consent.email.state | int'\nc = 'consent.sms.subscribed'",
                false,
            ),
            (
                "a = 'contact.email'\nb = 'change | int'\nc = 'consent.email.subscribed'",
                false,
            ),
            ("a = 'contact.email | int'\nb = 'change'", false),
            (
                "a = 'contact.email | int'\nb = 'change'\nc = '{{ contact.email }}'",
                true,
            ),
            // The destination may know the person by this value.
            ("a = 'contact.phone | phone'\nb = 'change'", false),
            ("a = 'contact.Member | int'\nb = 'change'", false),
            (
                "a = 'contact.Member | int'\nb = 'change'\nc = 'contact.ids.crm'",
                false,
            ),
        ] {
            let mut omissions = Omissions::of(&record);
            fields(text)
                .unwrap()
                .apply(&Scope::new(&record), &mut omissions)
                .unwrap();
            assert_eq!(omissions.finish().is_ok(), sent, "{text}");
        }
    }

    #[test]
    fn names_in_a_value_are_data() {
        let mut record = delivery(1).record;
        let hostile = json!({ "\u{0}": 1, "0": 2, "a[b]": 3, "": 4 });
        record.action.as_mut().unwrap().custom_fields = hostile.as_object().unwrap().clone();
        let fields = fields("'c[d]' = 'action.fields'").unwrap();
        let values = fields.apply(&Scope::new(&record), &mut Omissions::of(&record));
        assert_eq!(nest(values.unwrap()).unwrap(), json!({ "c": { "d": hostile } }));
    }

    #[test]
    fn a_mapping_expresses_an_opt_out_by_the_paths_it_reads() {
        for (text, shown) in [
            ("a = 'change'", true),
            ("a = 'change | upper'", true),
            ("a = \"{{ 'out' if change == 'unsubscribe' else 'in' }}\"", true),
            ("a = \"{% if type == 'withdrawal' %}x{% endif %}\"", true),
            ("a = { b = ['consent.email.subscribed'] }", true),
            ("a = 'consent.email'", true),
            ("a = 'consent'", true),
            ("a = 'consent[\"email\"].state'", true),
            ("a = 'consent.sms.subscribed'", false),
            ("a = 'consent.email.since'", false),
            ("a = 'consent.email.why'", false),
            ("a = 'consent[settings.purpose].state'", false),
            ("a = 'consent.email[settings.what]'", false),
            ("a = '=change'", false),
            ("a = \"'change'\"", false),
            ("a = \"contact.email | replace('change', 'type')\"", false),
            ("change = 'contact.email'", false),
            ("a = 'contact.type'", false),
            ("a = 'fields.change'", false),
            ("a = 'action.type'", false),
            ("a = 'action.fields.change'", false),
            ("a = 'settings.change'", false),
            (
                "a = '{% for change in contact.tags %}{{ change }}{% endfor %}'",
                false,
            ),
            ("a = '{% raw %}{{ change }}{% endraw %}{# {{ change }} #}'", false),
            ("a = \"{'change': 1, 'type': contact.email}\"", false),
            ("a = 'contact.tags | map(attribute=\"change\") | list'", false),
        ] {
            let needs = fields(text).unwrap().needs();
            assert_eq!(needs.consent_shown.has("email"), shown, "{text}");
        }
    }

    #[test]
    fn names_texts_and_templates_are_evaluated_in_the_order_of_the_configuration() {
        let cases = [
            ("z = 'contact.email'", json!("person1@example.org")),
            ("z = 'action.fields'", json!({ "comment": "Save\nthe river" })),
            ("z = 'contact.street'", json!(null)),
            ("z = 'contact.tags'", json!([])),
            ("z = '=contact.email'", json!("contact.email")),
            ("z = '='", json!("")),
            ("z = 1", json!(1)),
            ("z = 2026-03-01", json!("2026-03-01")),
            ("z = 'contact.country == \"HU\"'", json!(true)),
            ("z = '{{ contact.firstName }}!'", json!("Ada!")),
            ("z = ['contact.country', '=x', true]", json!(["HU", "x", true])),
            ("z = { c = 'contact.country' }", json!({ "c": "HU" })),
        ];
        for (text, expected) in cases {
            let (head, rest) = text.split_once('=').unwrap();
            let fields = fields(&format!("{head}={rest}\na = 'event'")).unwrap();
            let found = apply(&fields).unwrap();
            let expected = [("z".to_owned(), expected), ("a".to_owned(), json!("action"))];
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn names_with_brackets_nest() {
        let nested = fields(
            "'c[id]' = 'event'\n't[0]' = '=p'\n't[1]' = '=q'\n'g[2]' = 'event'\n'd[e][f]' = 'action.fields'\n\
             'odd[' = 'event'\n'x[]' = 'event'\n'inputs[0].id' = '=i'\n'inputs[1].id' = '=j'\n'a.b' = 'event'\n'p.q[r]' = 'event'",
        );
        let expected = json!({
            "c": { "id": "action" }, "t": ["p", "q"], "g": { "2": "action" },
            "d": { "e": { "f": { "comment": "Save\nthe river" } } }, "odd[": "action", "x[]": "action",
            "inputs": [{ "id": "i" }, { "id": "j" }], "a.b": "action", "p.q": { "r": "action" },
        });
        assert_eq!(nest(apply(&nested.unwrap()).unwrap()).unwrap(), expected);
    }

    #[test]
    fn invalid_fields_are_refused_by_name() {
        for (text, key) in [
            ("a = 'b..c'", "fields.a"),
            ("a = ''", "fields.a"),
            ("a = 'contct.email'", "fields.a"),
            ("a = { b = 'campaign.nmae' }", "fields.a.b"),
            ("", "fields"),
        ] {
            assert_eq!(fields(text).unwrap_err().key, key, "{text}");
        }
        for text in [
            "a = 'action.fields'\n'a[x]' = 'event'",
            "'a[x]' = 'event'\na = 'action.fields'",
            "'a[b]' = 'event'\n'a[b][c]' = 'event'",
        ] {
            assert!(nest(apply(&fields(text).unwrap()).unwrap()).is_err(), "{text}");
            assert!(fields(text).unwrap().outline().is_err(), "{text}");
        }
    }

    #[test]
    fn one_missing_value_gives_no_record_at_all() {
        let fields = fields("a = 'contact.email'\nb = 'action.fields.coment'").unwrap();
        let error = apply(&fields).unwrap_err().to_string();
        assert!(
            error.starts_with("`b`: `action.fields.coment` is missing"),
            "{error}"
        );
        assert!(error.contains("did you mean action.fields.comment?"), "{error}");
    }
}
