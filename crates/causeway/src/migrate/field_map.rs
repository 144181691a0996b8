//! Field maps out of environment variables: which of Proca's fields goes where.

use serde_json::Value;

/// What became of a map.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldMap {
    /// Name over there = path in the record.
    pub fields: Vec<(String, String)>,
    /// Names of which neither side is a field that is known.
    pub unknown: Vec<String>,
}

/// Proca's word, as people write it = path in our record.
const PATHS: [(&str, &str); 30] = [
    ("email", "contact.email"),
    ("firstname", "contact.firstName"),
    ("fname", "contact.firstName"),
    ("lastname", "contact.lastName"),
    ("lname", "contact.lastName"),
    ("name", "contact.name"),
    ("phone", "contact.phone"),
    ("country", "contact.country"),
    ("area", "contact.area"),
    ("postcode", "contact.postcode"),
    ("locality", "contact.locality"),
    ("city", "contact.locality"),
    ("region", "contact.region"),
    ("street", "contact.street"),
    ("streetnumber", "contact.streetNumber"),
    ("birthdate", "contact.birthDate"),
    ("nationality", "contact.nationality"),
    ("contactref", "contact.contactRef"),
    ("language", "page.locale"),
    ("locale", "page.locale"),
    ("lang", "page.locale"),
    ("campaign", "campaign.name"),
    ("campaignname", "campaign.name"),
    ("campaigntitle", "campaign.title"),
    ("actiontype", "action.type"),
    ("actionid", "action.id"),
    ("page", "page.name"),
    ("actionpage", "page.name"),
    ("createdat", "action.createdAt"),
    ("source", "action.tracking.source"),
];

/// Reads `{"FNAME": "firstName"}` in either direction, or the same as `FNAME=firstName, …` or `FNAME:firstName, …`.
pub fn read(text: &str) -> Option<FieldMap> {
    let pairs = match serde_json::from_str(text) {
        Ok(Value::Object(members)) => members
            .into_iter()
            .map(|(name, value)| (name, value.as_str().unwrap_or_default().to_owned()))
            .collect(),
        Ok(_) => return None,
        Err(_) => listed(text)?,
    };
    let mut map = FieldMap::default();
    for (left, right) in pairs {
        let (name, path) = match (path(&right), path(&left)) {
            (Some(path), _) => (left, path),
            (None, Some(path)) if !right.is_empty() => (right, path),
            _ => {
                map.unknown.push(left);
                continue;
            }
        };
        if !is_name(&name) || map.fields.iter().any(|(known, _)| *known == name) {
            map.unknown.push(name);
            continue;
        }
        map.fields.push((name, path.to_owned()));
    }
    Some(map)
}

fn listed(text: &str) -> Option<Vec<(String, String)>> {
    text.split([',', ';', '\n'])
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (left, right) = pair.split_once('=').or_else(|| pair.split_once(':'))?;
            Some((left.trim().to_owned(), right.trim().to_owned()))
        })
        .collect()
}

/// Our path for a word of Proca's.
pub fn path(word: &str) -> Option<&'static str> {
    let last = word.rsplit('.').next().unwrap_or(word);
    let folded: String = last
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    PATHS
        .iter()
        .find(|(known, _)| *known == folded)
        .map(|(_, path)| *path)
}

/// A name that can be written down: nothing that could be a secret by accident, nothing that nests.
pub fn is_name(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
    !name.is_empty() && name.len() <= 40 && name.chars().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_read_in_both_directions_and_all_ways() {
        let expected = [("FNAME".to_owned(), "contact.firstName".to_owned())];
        for text in [
            r#"{"FNAME":"firstName"}"#,
            r#"{"FNAME":"contact.first_name"}"#,
            "FNAME=firstName",
            "FNAME: firstName,",
        ] {
            assert_eq!(read(text).unwrap().fields, expected, "{text}");
        }
        let turned = read(r#"{"postcode":"POSTAL"}"#).unwrap();
        assert_eq!(
            turned.fields,
            [("POSTAL".to_owned(), "contact.postcode".to_owned())]
        );
        let odd = read(r#"{"A":"shoe size","B":7,"C[0]":"email"}"#).unwrap();
        assert_eq!(odd.unknown, ["A", "B", "C[0]"]);
        assert_eq!(read("not a map"), None);
        assert_eq!(read("[1]"), None);
    }
}
