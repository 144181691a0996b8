//! Names for parameters whose own names say nothing: `?param1=ann@example.org`.

use serde_json::{Map, Value};

use super::{names::form_name, path, sync::is_empty};

/// What each parameter is called here. A parameter called `id` is the contact's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, Vec<String>)>);

impl Params {
    /// From `name of the parameter → our name`, which may be a path: `contact[phone]`. `Err` gives the parameter and what is
    /// wrong with its name.
    pub fn new<'a>(
        names: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Result<Self, (String, &'static str)> {
        let mut params = Vec::new();
        for (from, to) in names {
            let wrong = |why| (from.clone(), why);
            if from.trim().is_empty() {
                return Err(wrong("names no parameter"));
            }
            let mut steps = path::steps(to).map_err(wrong)?;
            if let [only] = steps.as_mut_slice()
                && only == "id"
            {
                // What stands beside the contact's data and is called `id` may be the event's.
                "contact_id".clone_into(only);
            }
            if steps.len() > MOST_STEPS {
                return Err(wrong("has too many steps"));
            }
            params.push((from.clone(), steps));
        }
        Ok(Self(params))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives the parameters their names. A parameter that says something wins over a field that has the name already.
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
            in_the_way += usize::from(!put(members, to, value));
        }
        (in_the_way > 0).then(|| {
            format!("params: {in_the_way} were left out, because another field with the same name is a text")
        })
    }
}

/// More than any name needs.
const MOST_STEPS: usize = 8;

/// Whether there is a place for it.
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
    fn parameters_get_the_names_that_they_stand_for() {
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
        let mut sent = json!({"p3": "1", "contact": "text"});
        assert!(params.rename(sent.as_object_mut().unwrap()).is_some());
    }

    #[test]
    fn a_name_that_leads_nowhere_is_refused() {
        for name in ["", "a..b", "\"a", "a[b"] {
            let names = BTreeMap::from([("p".to_owned(), name.to_owned())]);
            assert_eq!(Params::new(&names).unwrap_err().0, "p", "{name}");
        }
    }
}
