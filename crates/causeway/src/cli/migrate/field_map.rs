//! Reads field maps of environment variables, which map Proca's fields to fields of the destination. proca-sync reads them
//! as the query of a URL, Proca's field first: `firstName=FNAME&lastName=LNAME`.

use serde_json::Value;

/// A field map that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldMap {
    /// Name at the destination = path in the record.
    pub fields: Vec<(String, String)>,
    /// Names in pairs without a known field of Proca's.
    pub unknown: Vec<String>,
}

/// Proca's field, in lower case and without separators = path in our record.
const PATHS: [(&str, &str); 31] = [
    ("email", "contact.email"),
    ("firstname", "contact.firstName"),
    ("fname", "contact.firstName"),
    ("lastname", "contact.lastName"),
    ("lname", "contact.lastName"),
    ("name", FULL_NAME),
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
    ("externalid", "campaign.externalId"),
];

/// Proca has no field for the full name. A path to a missing field would make every delivery dead.
pub const FULL_NAME: &str = "[contact.firstName, contact.lastName] | select | join(' ')";

/// Proca's fields in Proca's spelling. A left side with this spelling is Proca's field, not the destination's.
const EXACT: [&str; 15] = [
    "email",
    "firstName",
    "lastName",
    "name",
    "phone",
    "country",
    "area",
    "postcode",
    "locality",
    "region",
    "street",
    "streetNumber",
    "birthDate",
    "contactRef",
    "dupeRank",
];

/// One entry of a map.
struct Pair {
    left: String,
    right: String,
    /// The pair came from a query, so Proca's field is certainly on the left.
    is_query: bool,
}

/// Reads the query of a URL; `{"FNAME": "firstName"}` in either direction, or the same as `FNAME=firstName, …` or
/// `FNAME:firstName, …`.
pub fn read(text: &str) -> Option<FieldMap> {
    let pairs = match serde_json::from_str(text) {
        Ok(Value::Object(members)) => members
            .into_iter()
            .map(|(name, value)| Pair {
                left: name,
                right: value.as_str().unwrap_or_default().to_owned(),
                is_query: false,
            })
            .collect(),
        Ok(_) => return None,
        Err(_) => listed(text)?,
    };
    let mut map = FieldMap::default();
    for Pair {
        left,
        right,
        is_query,
    } in pairs
    {
        if is_query {
            match path(&left).filter(|_| is_name(&right) && !map.has(&right)) {
                Some(path) => map.fields.push((right, path.to_owned())),
                None => map.unknown.push(right),
            }
            continue;
        }
        let (name, path) = match (path(&right), path(&left)) {
            (Some(path), _) => (left, path),
            (None, Some(path)) if !right.is_empty() => (right, path),
            _ => {
                map.unknown.push(left);
                continue;
            }
        };
        if !is_name(&name) || map.has(&name) {
            map.unknown.push(name);
            continue;
        }
        map.fields.push((name, path.to_owned()));
    }
    Some(map)
}

impl FieldMap {
    fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, _)| known == name)
    }
}

fn listed(text: &str) -> Option<Vec<Pair>> {
    if let Some(pairs) = query(text) {
        return Some(pairs);
    }
    text.split([',', ';', '\n'])
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (left, right) = pair.split_once('=').or_else(|| pair.split_once(':'))?;
            Some(Pair {
                left: left.trim().to_owned(),
                right: right.trim().to_owned(),
                is_query: false,
            })
        })
        .collect()
}

/// Reads the query of a URL; `None` if the text is none. A single pair counts as a query if its left side is Proca's field.
fn query(text: &str) -> Option<Vec<Pair>> {
    let text = text.trim().trim_start_matches('?');
    let pairs: Vec<Pair> = url::form_urlencoded::parse(text.as_bytes())
        .map(|(left, right)| Pair {
            left: left.trim().to_owned(),
            right: right.trim().to_owned(),
            is_query: true,
        })
        .collect();
    let is_query = match pairs.as_slice() {
        [only] => EXACT.contains(&only.left.as_str()) && !only.right.contains([',', ';', '\n', '=']),
        _ => text.contains('&'),
    };
    (is_query && pairs.iter().all(|pair| !pair.right.is_empty())).then_some(pairs)
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

/// Whether a name may appear in the output: it cannot be a secret by accident, and has no nested parts.
pub fn is_name(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
    !name.is_empty() && name.len() <= 40 && name.chars().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_of_a_url_has_proca_s_field_on_the_left() {
        let fields = |text: &str| -> Vec<(String, String)> { read(text).unwrap().fields };
        let pair = |name: &str, path: &str| (name.to_owned(), path.to_owned());
        assert_eq!(
            fields("firstName=PRENOM&lastName=NOM&email=EMAIL&name=NAME&country=PAYS+2&street=RUE%20DE"),
            [
                pair("PRENOM", "contact.firstName"),
                pair("NOM", "contact.lastName"),
                pair("EMAIL", "contact.email"),
                pair("NAME", FULL_NAME),
                pair("PAYS 2", "contact.country"),
                pair("RUE DE", "contact.street"),
            ]
        );
        // In this pair both words are fields of Proca.
        assert_eq!(fields("firstName=NAME"), [pair("NAME", "contact.firstName")]);
        // Unknown ones keep their names at the destination.
        let odd = read("shoeSize=SHOE&email=A&phone=A").unwrap();
        assert_eq!(odd.fields, [pair("A", "contact.email")]);
        assert_eq!(odd.unknown, ["SHOE", "A"]);
    }

    #[test]
    fn maps_are_read_in_both_directions_and_every_notation() {
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
