//! Senders' names of common fields, and our names for these. Each such field has one name, wherever it comes
//! from.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization;

use super::{json, path, placeholders::shown};

/// Our name for a sender's label (`First Name`, `first_name`); `None` for a field that only the sender has.
pub(crate) fn canonical(label: &str) -> Option<&'static str> {
    let folded: String = label
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    Some(match folded.as_str() {
        "firstname" | "givenname" | "forename" => "firstName",
        "lastname" | "surname" | "familyname" => "lastName",
        "phone" | "phonenumber" | "telephone" | "mobile" | "mobilephone" => "phone",
        "country" | "countrycode" => "country",
        "postcode" | "postalcode" | "zip" | "zipcode" => "postcode",
        "city" | "town" | "locality" => "locality",
        "street" | "streetaddress" => "street",
        "birthdate" | "dateofbirth" | "birthday" => "birthDate",
        _ => return None,
    })
}

/// The name under which the contact's field is kept, for a label that is written as on a platform.
pub fn field_name(label: &str) -> &str {
    canonical(label).unwrap_or(label)
}

/// Finds fields by their name, by our name for it, ignoring case, or along a path (`a.b[0]`). Names of forms
/// and queries are also found as PHP rewrites them (`no more.mail` becomes `no_more_mail`), so that one name
/// works for all formats. The nearest spelling comes first. A name may match several fields: if a message has
/// `optin` and `OptIn`, both are found.
pub(super) fn look_up_all<'a>(fields: &'a Map<String, Value>, name: &str) -> Vec<&'a Value> {
    if let Some(steps) = path::quoted(name) {
        return path::follow_from(fields, &steps).into_iter().collect();
    }
    let path = name.replace('[', ".").replace(']', "");
    let mut found = Vec::new();
    for members in [as_written as Members, in_forms] {
        members(fields, name, &mut found);
        along(fields, &path, members, &mut found);
    }
    let mut all: Vec<&Value> = Vec::with_capacity(found.len());
    for value in found {
        if !all.iter().any(|known| std::ptr::eq(*known, value)) {
            all.push(value);
        }
    }
    all
}

/// Adds fields of a contact under the names that they are kept by.
///
/// Invariant: no value replaces another field of the same message. Our name goes to the field with exactly
/// this name, or else to the first field with this meaning: if there is also a `phone`, `mobile` stays
/// `mobile`. Null clears a field only if no other value was sent for it.
pub(super) fn settle(fields: &mut BTreeMap<String, Value>, sent: Vec<(String, Value)>) {
    let spelled: Vec<&'static str> = sent
        .iter()
        .filter_map(|(name, _)| canonical(name).filter(|known| known == name))
        .collect();
    let (cleared, sent): (Vec<_>, Vec<_>) = sent.into_iter().partition(|(_, value)| value.is_null());
    for (name, value) in sent {
        let known = canonical(&name)
            .filter(|known| *known == name || !spelled.contains(known))
            .filter(|known| is_free(fields, known));
        let name = known.map_or(name, str::to_owned);
        if fields.get(&name) != Some(&value) {
            fields.insert(free(fields, name), value);
        }
    }
    for (name, _) in cleared {
        let name = canonical(&name).map_or(name, str::to_owned);
        fields.entry(name).or_insert(Value::Null);
    }
}

/// Whether the name holds no value, or only null. Null has less weight than any value.
fn is_free(fields: &BTreeMap<String, Value>, name: &str) -> bool {
    fields.get(name).is_none_or(Value::is_null)
}

/// The name, with a number appended if another field has it.
pub(super) fn free(fields: &BTreeMap<String, Value>, name: String) -> String {
    if is_free(fields, &name) {
        return name;
    }
    let mut number = 2_u32;
    loop {
        let other = format!("{name} ({number})");
        if !fields.contains_key(&other) {
            return other;
        }
        number = number.saturating_add(1);
    }
}

/// Names of contact fields that have a fixed meaning in a record. A sender's field of such a name is kept
/// beside it.
pub(crate) const OURS: [&str; 3] = ["ids", "tags", "lists"];

/// The note about fields with such names.
pub(super) fn named_as_ours(fields: &BTreeMap<String, Value>) -> Option<String> {
    let named: Vec<&str> = OURS
        .into_iter()
        .filter(|name| fields.contains_key(*name))
        .collect();
    (!named.is_empty()).then(|| {
        format!(
            "fields: the sender's {} are kept as fields.NAME; contact.NAME is the hub's own",
            named.join(", ")
        )
    })
}

/// The record with the JSON inside its texts parsed, as some senders put JSON into a form's field; `None` if
/// there is none. Names of fields are looked up in it, but the text itself is what is kept.
pub(super) fn unfolded(record: &Value) -> Option<Value> {
    unfold(record, MAX_FOLDS)
}

/// How deeply texts within texts are parsed.
const MAX_FOLDS: u8 = 2;

fn unfold(value: &Value, folds: u8) -> Option<Value> {
    match value {
        Value::String(text) if folds > 0 => {
            let inside = json::inside(text)?;
            Some(unfold(&inside, folds - 1).unwrap_or(inside))
        }
        Value::Array(items) => {
            let read: Vec<Option<Value>> = items.iter().map(|item| unfold(item, folds)).collect();
            read.iter().any(Option::is_some).then(|| {
                let read = read.into_iter().zip(items);
                read.map(|(read, item)| read.unwrap_or_else(|| item.clone()))
                    .collect()
            })
        }
        Value::Object(members) => {
            let read: Vec<Option<Value>> = members.values().map(|item| unfold(item, folds)).collect();
            read.iter().any(Option::is_some).then(|| {
                let read = read.into_iter().zip(members);
                read.map(|(read, (name, item))| (name.clone(), read.unwrap_or_else(|| item.clone())))
                    .collect()
            })
        }
        _ => None,
    }
}

/// The value, or the JSON inside its text.
pub(super) fn unfolded_or(value: Value) -> Value {
    match &value {
        Value::String(text) => json::inside(text).unwrap_or(value),
        _ => value,
    }
}

/// Adds a value under a name. All values under one name are kept.
pub(super) fn gather(sent: &mut Map<String, Value>, name: &str, value: Option<&Value>) {
    let value = value.cloned().unwrap_or_default();
    match sent.get_mut(name) {
        None => {
            sent.insert(name.to_owned(), value);
        }
        Some(Value::Array(values)) => match value {
            Value::Array(more) => values.extend(more),
            value => values.push(value),
        },
        Some(known) => *known = Value::Array(vec![std::mem::take(known), value]),
    }
}

/// The note about fields that were left out because the hub reserves their names
/// ([`crate::contact::is_internal`]).
pub(super) fn kept_names(count: usize) -> Option<String> {
    (count > 0).then(|| {
        format!(
            "fields: {count} left out, whose names begin with `tag:`, `list:` or `list_field_ids:`; items of type tag or \
             list (/v1/events) set these"
        )
    })
}

/// Adds the members of an object that match a name.
type Members = for<'a> fn(&'a Map<String, Value>, &str, &mut Vec<&'a Value>);

fn as_written<'a>(fields: &'a Map<String, Value>, name: &str, found: &mut Vec<&'a Value>) {
    found.extend(fields.get(name));
    found.extend(canonical(name).and_then(|name| fields.get(name)));
    let others = fields.iter().filter(|(field, _)| same_name(field, name));
    found.extend(others.map(|(_, value)| value));
}

/// Whether two names are the same but for case, blanks around, the kind of blank, and how accents are encoded.
pub(super) fn same_name(one: &str, other: &str) -> bool {
    let (one, other) = (shown(one), shown(other));
    one.eq_ignore_ascii_case(other) || (!(one.is_ascii() && other.is_ascii()) && folded(one) == folded(other))
}

/// A text as it is compared: in small letters, composed, with plain blanks.
pub(super) fn folded(text: &str) -> String {
    let blank = |c: char| if c.is_whitespace() { ' ' } else { c };
    text.nfc().map(blank).collect::<String>().to_lowercase()
}

fn in_forms<'a>(fields: &'a Map<String, Value>, name: &str, found: &mut Vec<&'a Value>) {
    let wanted = form_name(name);
    let same = fields.iter().filter(|(field, _)| form_name(field) == wanted);
    found.extend(same.map(|(_, value)| value));
}

/// Follows a dotted path. A step may contain dots in its name.
fn along<'a>(fields: &'a Map<String, Value>, path: &str, members: Members, found: &mut Vec<&'a Value>) {
    for (at, _) in path.match_indices('.') {
        let (Some(step), Some(rest)) = (path.get(..at), path.get(at + 1..)) else {
            continue;
        };
        let mut holders = Vec::new();
        members(fields, step, &mut holders);
        for holder in holders {
            below(holder, rest, members, found);
        }
    }
}

fn below<'a>(value: &'a Value, path: &str, members: Members, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(fields) => {
            members(fields, path, found);
            along(fields, path, members, found);
        }
        Value::Array(items) => {
            let (index, rest) = path
                .split_once('.')
                .map_or((path, None), |(index, rest)| (index, Some(rest)));
            let item = index.parse::<usize>().ok().and_then(|index| items.get(index));
            match (item, rest) {
                (Some(item), Some(rest)) => below(item, rest, members, found),
                (item, _) => found.extend(item),
            }
        }
        _ => {}
    }
}

/// The name as PHP rewrites it in a form: without leading blanks, with `_` for characters that it does not
/// allow.
pub(super) fn form_name(name: &str) -> String {
    let name = shown(name).chars().filter(|c| *c != ']');
    let odd = |c: char| if matches!(c, ' ' | '.' | '[') { '_' } else { c };
    name.map(odd).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_is_found_as_json_and_as_forms_write_it() {
        for (fields, name, found) in [
            (json!({"3.1": 1}), "3.1", true),
            (json!({"3_1": 1}), "3.1", true),
            (json!({"3.1": 1}), "3_1", true),
            (json!({"3": {"1": 1}}), "3.1", true),
            (json!({"3": {"1": 1}, "3_1": 2}), "3.1", true),
            (json!({"no_more_mail": 1}), "no more mail", true),
            (json!({"No More Mail ": 1}), " no more mail", true),
            (json!({"\u{feff}News": 1}), "news", true),
            (json!({"a_b": 1}), "a[b", true),
            (json!({"a": {"b": 1}}), "a[b]", true),
            (json!({"a[b]": 1}), "a.b", true),
            (json!({"a[b]": 1}), "a[b]", true),
            (json!({"my_data": {"3.1": 1}}), "my data[3.1]", true),
            (json!({"my data": {"3.1": 1}}), "my data.3.1", true),
            (json!({"list": [{"mail": 1}]}), "list[0].mail", true),
            (json!({"list": [{"mail": 1}]}), "list.0.mail", true),
            (json!({"list": [[2], [1]]}), "list[1][0]", true),
            (json!({"firstName": 1}), "First Name", true),
            (json!({"ÜBER": 1}), "über", true),
            (json!({"31": 1}), "3.1", false),
            (json!({"a": {"c": 1}}), "a.b", false),
            (json!({"list": [1]}), "list[1]", false),
        ] {
            let found = found.then(|| json!(1));
            assert_eq!(
                look_up_all(fields.as_object().unwrap(), name).first().copied(),
                found.as_ref(),
                "{fields} {name}"
            );
        }
    }

    #[test]
    fn each_field_that_matches_a_name_is_found_once() {
        for (fields, name, found) in [
            (
                json!({"OptIn": 2, "optin": 1, "OPTIN ": 3}),
                "optin",
                json!([1, 2, 3]),
            ),
            (json!({"3": {"1": 1}, "3_1": 2}), "3.1", json!([1, 2])),
            (json!({"a": {"B": 1}, "A": {"b": 2}}), "a.b", json!([1, 2])),
            (json!({"a_b": 1, "a.b": 1}), "a.b", json!([1, 1])),
            (json!({"first_name": 2, "firstName": 1}), "firstName", json!([1])),
            (json!({}), "optin", json!([])),
        ] {
            assert_eq!(
                json!(look_up_all(fields.as_object().unwrap(), name)),
                found,
                "{fields} {name}"
            );
        }
    }

    #[test]
    fn labels_with_the_same_meaning_become_one_name_and_others_stay() {
        for (label, name) in [
            ("First Name", Some("firstName")),
            ("first_name", Some("firstName")),
            ("firstName", Some("firstName")),
            ("SURNAME", Some("lastName")),
            ("Zip-Code", Some("postcode")),
            ("Date Of Birth", Some("birthDate")),
            ("Favourite colour", None),
            ("", None),
        ] {
            assert_eq!(canonical(label), name, "{label}");
        }
    }
}
