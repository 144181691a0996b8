//! What senders call the fields of a person that everybody has, and what we call them: one person's name must be one field,
//! wherever it came from.

use serde_json::{Map, Value};

use super::placeholders::shown;

/// Our name for a sender's label (`First Name`, `first_name`); `None` for a field of the sender's own.
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

/// The name under which a field of a contact is kept, for one that somebody writes as their platform does.
pub fn field_name(label: &str) -> &str {
    canonical(label).unwrap_or(label)
}

/// Finds a field by its name, by our name for it, without regard to case, or along a path (`a.b[0]`). Names of forms and
/// queries are found as PHP rewrites them (`no more.mail` becomes `no_more_mail`), so that one name serves for all formats.
pub(super) fn look_up<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let path = name.replace('[', ".").replace(']', "");
    let as_written = |fields: &'a Map<String, Value>, name: &str| member(fields, name);
    let in_forms = |fields: &'a Map<String, Value>, name: &str| {
        let wanted = form_name(name);
        let found = fields.iter().find(|(field, _)| form_name(field) == wanted);
        member(fields, name).or(found.map(|(_, value)| value))
    };
    member(fields, name)
        .or_else(|| along(fields, &path, &as_written))
        .or_else(|| in_forms(fields, name))
        .or_else(|| along(fields, &path, &in_forms))
}

/// Adds what was sent under a name; of several under one name all are kept.
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

/// What is noted when fields were left out whose names the hub keeps for itself ([`crate::contact::is_internal`]).
pub(super) fn kept_names(count: usize) -> Option<String> {
    (count > 0).then(|| {
        format!(
            "fields: {count} left out, whose names begin with `tag:`, `list:` or `list_field_ids:`; items of type tag or \
             list (/v1/events) set these"
        )
    })
}

fn member<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let name_shown = shown(name);
    let same = |field: &str| {
        let field = shown(field);
        field.eq_ignore_ascii_case(name_shown)
            || (!field.is_ascii() && field.to_lowercase() == name_shown.to_lowercase())
    };
    fields
        .get(name)
        .or_else(|| fields.get(canonical(name)?))
        .or_else(|| {
            fields
                .iter()
                .find(|(field, _)| same(field))
                .map(|(_, value)| value)
        })
}

/// Finds a member of an object by name.
type Member<'f, 'a> = &'f dyn Fn(&'a Map<String, Value>, &str) -> Option<&'a Value>;

/// Follows a dotted path. A step may have dots in its name.
fn along<'a>(fields: &'a Map<String, Value>, path: &str, member: Member<'_, 'a>) -> Option<&'a Value> {
    let dots = path.match_indices('.').map(|(at, _)| at);
    dots.into_iter().find_map(|at| {
        let (step, rest) = (path.get(..at)?, path.get(at + 1..)?);
        below(member(fields, step)?, rest, member)
    })
}

fn below<'a>(value: &'a Value, path: &str, member: Member<'_, 'a>) -> Option<&'a Value> {
    match value {
        Value::Object(fields) => member(fields, path).or_else(|| along(fields, path, member)),
        Value::Array(items) => {
            let (index, rest) = path
                .split_once('.')
                .map_or((path, None), |(index, rest)| (index, Some(rest)));
            let item = items.get(index.parse::<usize>().ok()?)?;
            rest.map_or(Some(item), |rest| below(item, rest, member))
        }
        _ => None,
    }
}

/// A name as PHP has it in a form: without blanks in front, with `_` for what it does not allow.
fn form_name(name: &str) -> String {
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
                look_up(fields.as_object().unwrap(), name),
                found.as_ref(),
                "{fields} {name}"
            );
        }
    }

    #[test]
    fn labels_that_mean_the_same_become_one_name_and_others_stay() {
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
