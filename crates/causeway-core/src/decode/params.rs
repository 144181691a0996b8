//! Names for parameters whose own names mean nothing: `?param1=ann@example.org`.

use serde_json::{Map, Value};

use super::{names::form_name, sync::is_empty};
use crate::path;

/// The configured name of each parameter. A parameter that is named `id` is the contact's id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, Vec<String>)>);

impl Params {
    /// Reads `name of the parameter → our name`, which may be a path: `contact[phone]`. `Err` contains the
    /// parameter, and what is wrong with its name.
    pub fn new<'a>(
        names: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Result<Self, (String, &'static str)> {
        let mut params = Vec::new();
        for (from, to) in names {
            let wrong = |why| (from.clone(), why);
            if from.trim().is_empty() {
                return Err(wrong("names no parameter"));
            }
            let mut steps = path::names(to).map_err(|error| wrong(error.text()))?;
            if let [only] = steps.as_mut_slice()
                && only == "id"
            {
                // An `id` beside the contact's data may be the event's, so the name is made explicit.
                "contact_id".clone_into(only);
            }
            if steps.len() > MAX_STEPS {
                return Err(wrong("has too many steps"));
            }
            params.push((from.clone(), steps));
        }
        Ok(Self(params))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Renames the parameters. A parameter with a value wins over a field that already has the name.
    pub(super) fn rename(&self, members: &mut Map<String, Value>) -> Option<String> {
        let mut in_the_way = 0;
        for (from, to) in &self.0 {
            let wanted = form_name(from);
            let key = members
                .contains_key(from)
                .then_some(from)
                .or_else(|| members.keys().find(|key| form_name(key) == wanted))
                .cloned();
            let Some(value) = key.and_then(|key| members.shift_remove(&key)) else {
                continue;
            };
            if let [name] = to.as_slice() {
                keep_replaced(members, name, &value);
            }
            in_the_way += usize::from(!put(members, to, value));
        }
        (in_the_way > 0).then(|| {
            format!("params: {in_the_way} were left out, because another field with the same name is a text")
        })
    }
}

/// The field for values that a parameter replaced.
pub(super) const REPLACED: &str = "replaced";

/// The maximum number of steps; no name needs as many.
const MAX_STEPS: usize = 8;

/// Keeps the value that a parameter replaces in the field `replaced`, because it may be an opt-out. Values that
/// identify the contact are not kept: the parameter alone decides who the contact is.
fn keep_replaced(members: &mut Map<String, Value>, name: &str, value: &Value) {
    let is_identity = ["email", "contact_id", "transactionid", "phone"].contains(&name);
    let replaced = members
        .get(name)
        .filter(|known| *known != value && !is_empty(known));
    let Some(replaced) = replaced.filter(|_| !is_identity && !is_empty(value)).cloned() else {
        return;
    };
    let kept = members
        .entry(REPLACED)
        .or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(kept) = kept {
        kept.insert(name.to_owned(), replaced);
    }
}

/// Puts the value at the path. Returns whether there was room for it.
fn put(members: &mut Map<String, Value>, steps: &[String], value: Value) -> bool {
    match steps {
        [] => false,
        [name] => {
            if !is_empty(&value) || !members.contains_key(name) {
                members.insert(name.clone(), value);
            }
            true
        }
        [name, rest @ ..] => {
            let below = members
                .entry(name.clone())
                .or_insert_with(|| Value::Object(Map::new()));
            below.as_object_mut().is_some_and(|below| put(below, rest, value))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn parameters_are_renamed_as_configured() {
        let names = [
            ("param1", "email"),
            ("param 2", "firstName"),
            ("p3", "contact[phone]"),
            ("p4", "id"),
            ("p5", "transactionid"),
            ("gone", "city"),
        ];
        let names: BTreeMap<String, String> = names.map(|(from, to)| (from.to_owned(), to.to_owned())).into();
        let params = Params::new(&names).unwrap();
        let mut sent = json!({"param1": "ann@example.org", "param_2": "Ann", "p3": "030 1", "p4": "7", "p5": "",
            "transactionid": "9", "email": "old@example.org", "x": "y"});
        let note = params.rename(sent.as_object_mut().unwrap());
        assert_eq!(
            (sent, note),
            (
                json!({"email": "ann@example.org", "firstName": "Ann", "contact": {"phone": "030 1"}, "contact_id": "7",
                    "transactionid": "9", "x": "y"}),
                None
            )
        );
        let mut sent = json!({"param 2": "Ann", "firstName": "Anna"});
        params.rename(sent.as_object_mut().unwrap());
        assert_eq!(
            sent,
            json!({"firstName": "Ann", "replaced": {"firstName": "Anna"}}),
            "nothing is lost"
        );
        let mut sent = json!({"p3": "1", "contact": "text"});
        assert!(params.rename(sent.as_object_mut().unwrap()).is_some());
    }

    #[test]
    fn an_invalid_name_is_refused() {
        for name in ["", "a..b", "\"a", "a[b"] {
            let names = BTreeMap::from([("p".to_owned(), name.to_owned())]);
            assert_eq!(Params::new(&names).unwrap_err().0, "p", "{name}");
        }
    }
}
