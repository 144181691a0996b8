//! Undoes what encoders do to rows and lists: rows as JSON texts, rows split into pieces, and lists with
//! missing items.

use serde_json::{Map, Value};

use crate::decode::names::unfolded_or;

/// The members that rows of the groups have.
const MEMBERS: [&str; 13] = [
    "id",
    "name",
    "label",
    "value",
    "url",
    "clicks",
    "page",
    "open_date",
    "visit_date",
    "trigger_date",
    "reach_date",
    "score",
    "score_date",
];

/// Reads items that are JSON texts (`fields[]={"id":1,…}`) and joins rows that came in pieces; adds to `notes` if it joined.
pub(super) fn whole(group: &str, items: Vec<Value>, notes: &mut Vec<String>) -> Vec<Value> {
    let items: Vec<Value> = items.into_iter().map(unfolded_or).collect();
    if !is_in_pieces(&items) {
        return items;
    }
    let pieces = items.len();
    let rows = joined(items);
    notes.push(format!(
        "{group}: {pieces} items of one value each were read as {} rows",
        rows.len()
    ));
    rows
}

/// Whether each item has exactly one member, and the members differ. PHP reads `f[][id]=1&f[][name]=x` like
/// this.
fn is_in_pieces(items: &[Value]) -> bool {
    let names: Option<Vec<&str>> = items.iter().map(only_member).collect();
    names.is_some_and(|names| names.iter().any(|name| Some(name) != names.first()))
}

fn only_member(item: &Value) -> Option<&str> {
    let mut members = item.as_object()?.keys();
    let name = members.next()?.as_str();
    (members.next().is_none() && MEMBERS.contains(&name)).then_some(name)
}

/// Joins pieces to rows. A member that repeats begins the next row, unless it is a list; then the list grows.
fn joined(items: Vec<Value>) -> Vec<Value> {
    let mut rows: Vec<Map<String, Value>> = Vec::new();
    let pieces = items.into_iter().filter_map(|item| match item {
        Value::Object(piece) => piece.into_iter().next(),
        _ => None,
    });
    for (name, value) in pieces {
        let Some(row) = rows.last_mut() else {
            rows.push(Map::from_iter([(name, value)]));
            continue;
        };
        match (row.get_mut(&name), value) {
            (Some(Value::Array(values)), Value::Array(more)) => values.extend(more),
            (Some(_), value) => rows.push(Map::from_iter([(name, value)])),
            (None, value) => {
                row.insert(name, value);
            }
        }
    }
    rows.into_iter().map(Value::Object).collect()
}

/// Turns a list with missing items into a list. PHP keeps the numbers of the remaining items as keys. Other
/// values stay as they are.
pub(super) fn without_gaps(value: Value) -> Value {
    let Value::Object(members) = value else {
        return value;
    };
    let numbers: Option<Vec<u64>> = members.keys().map(|key| number(key)).collect();
    match numbers {
        Some(numbers) if !numbers.is_empty() => {
            let mut items: Vec<(u64, Value)> = numbers
                .into_iter()
                .zip(members.into_iter().map(|(_, item)| item))
                .collect();
            items.sort_by_key(|(number, _)| *number);
            items.into_iter().map(|(_, item)| item).collect()
        }
        _ => Value::Object(members),
    }
}

/// Reads an item's number in PHP's spelling: `07` is a name, not a number.
fn number(key: &str) -> Option<u64> {
    let is_plain = key.bytes().all(|byte| byte.is_ascii_digit()) && (key == "0" || !key.starts_with('0'));
    key.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::decode::sync::SyncPayload;

    /// The groups of a form as the listener reads it, and the notes.
    fn read(form: &str) -> (SyncPayload, Vec<String>) {
        let meta = crate::envelope::Meta {
            query: Some(form.to_owned()),
            ..crate::envelope::Meta::default()
        };
        let body = crate::decode::body::read(&meta, b"", crate::decode::body::Limits::default()).unwrap();
        let Value::Object(object) = body.value else {
            panic!("a form is an object")
        };
        let mut notes = Vec::new();
        (SyncPayload::from_value(object, &mut notes), notes)
    }

    fn values(payload: &SyncPayload) -> Vec<(Option<&str>, Option<&str>, Option<Value>)> {
        let fields = payload.fields.iter();
        fields
            .map(|field| (field.id.as_deref(), field.name.as_deref(), field.value.clone()))
            .collect()
    }

    #[test]
    fn a_row_may_be_a_json_text() {
        let rows = [
            r#"{"id":125,"name":"First Name","value":"Ann"}"#,
            r#"{"id":126,"name":"T","value":["a","b"]}"#,
        ];
        for form in [
            format!("fields[]={}&fields[]={}", rows[0], rows[1]),
            format!("fields[0]={}&fields[1]={}", rows[0], rows[1]),
            format!("fields[3]={}&fields[7]={}", rows[0], rows[1]),
            format!("fields=[{},{}]", rows[0], rows[1]),
        ] {
            let (payload, notes) = read(&form);
            let expected = [
                (Some("125"), Some("First Name"), Some(json!("Ann"))),
                (Some("126"), Some("T"), Some(json!(["a", "b"]))),
            ];
            assert_eq!((values(&payload), notes), (expected.to_vec(), vec![]), "{form}");
        }
        let (payload, notes) = read(r#"goals-reached[]={"id":2,"name":"Gift"}&goals-reached[]={"id":3}"#);
        let goals: Vec<_> = payload
            .goals_reached
            .iter()
            .map(|goal| goal.id.as_deref())
            .collect();
        assert_eq!((goals, notes), (vec![Some("2"), Some("3")], vec![]));
        // Under the number or the name of a field, a text is the field's value.
        let (payload, _) = read(r#"fields[125]={"a":1}&fields[Raw]={"id":1,"value":"x"}"#);
        let expected = [
            (Some("125"), None, Some(json!(r#"{"a":1}"#))),
            (None, Some("Raw"), Some(json!(r#"{"id":1,"value":"x"}"#))),
        ];
        assert_eq!(values(&payload), expected);
    }

    #[test]
    fn several_contacts_in_json_texts_are_counted() {
        let several = |form: &str| {
            let Value::Object(object) = serde_json::from_str(form).unwrap() else {
                panic!("an object")
            };
            crate::decode::sync::contacts(&object)
        };
        let (ann, bob) = (
            r#""{\"email\":\"ann@example.org\"}""#,
            r#""{\"email\":\"bob@example.org\"}""#,
        );
        assert_eq!(several(&format!(r#"{{"contact":[{ann},{bob}]}}"#)), Some(2));
        assert_eq!(
            several(&format!(r#"{{"contact":{{"3":{ann},"5":{bob}}}}}"#)),
            Some(2)
        );
        assert_eq!(several(&format!(r#"{{"contact":[{ann}]}}"#)), None);
        assert_eq!(
            several(r#"{"contact":{"id":"1","email":"ann@example.org"}}"#),
            None
        );
    }

    #[test]
    fn rows_in_pieces_are_joined_where_a_member_comes_again() {
        let (payload, notes) = read(
            "fields[][id]=125&fields[][name]=First Name&fields[][value]=Ann&fields[][id]=126&fields[][name]=T\
             &fields[][value][]=a&fields[][value][]=b&links-clicked[][url]=u&links-clicked[][clicks]=2\
             &goals-reached[][id]=1&goals-reached[][id]=2&lead-status[][score]=5&lead-status[][label]=Warm",
        );
        let expected = [
            (Some("125"), Some("First Name"), Some(json!("Ann"))),
            (Some("126"), Some("T"), Some(json!(["a", "b"]))),
        ];
        assert_eq!(values(&payload), expected);
        assert_eq!(payload.links_clicked.len(), 1);
        assert_eq!(payload.links_clicked[0].clicks.as_deref(), Some("2"));
        assert_eq!(payload.goals_reached.len(), 2);
        assert_eq!(payload.lead_status.label.as_deref(), Some("Warm"));
        assert_eq!(payload.lead_status.score.as_deref(), Some("5"));
        assert!(
            notes.contains(&"fields: 7 items of one value each were read as 2 rows".to_owned()),
            "{notes:?}"
        );
        // Names with their values are no pieces of rows.
        let (payload, notes) = read("fields[][Newsletter]=no&fields[][City]=Bonn");
        assert_eq!((payload.fields.len(), notes), (2, vec![]));
    }

    #[test]
    fn a_list_that_lost_items_is_a_list() {
        for (form, expected) in [
            ("value][1]=a&fields[0][value][3]=b", json!(["a", "b"])),
            ("value][10]=b&fields[0][value][9]=a", json!(["a", "b"])),
            ("value][5]=a", json!(["a"])),
            ("value][05]=a", json!({ "05": "a" })),
            ("value][5]=a&fields[0][value][x]=b", json!({ "5": "a", "x": "b" })),
        ] {
            let (payload, _) = read(&format!("fields[0][name]=T&fields[0][{form}"));
            assert_eq!(payload.fields[0].value, Some(expected), "{form}");
        }
    }
}
