//! The keys of an item, as data. The decoder checks items against it, and the API's description is made from
//! it, so the two cannot differ.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::decode::at_format::{Span, absolute};

/// One key of an item.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub name: &'static str,
    pub required: bool,
    pub shape: Shape,
    /// One line for the description.
    pub about: &'static str,
}

/// What a key's value must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// Not blank, without control characters, at most this many characters.
    Text(usize),
    /// A whole number from 0 up.
    Whole,
    Number,
    /// RFC 3339, or seconds or milliseconds since 1970.
    Time,
    Words(&'static [&'static str]),
    /// Field name → value.
    Fields,
    /// The person: the keys of [`CONTACT`].
    Contact,
}

/// A kind of item, by its `type`.
#[derive(Debug, Clone, Copy)]
pub struct Sort {
    pub name: &'static str,
    pub about: &'static str,
    /// The keys besides [`COMMON`].
    pub keys: &'static [Key],
}

const fn required(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key {
        name,
        required: true,
        shape,
        about,
    }
}

const fn optional(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key {
        name,
        required: false,
        shape,
        about,
    }
}

/// The keys of every item.
pub const COMMON: &[Key] = &[
    required("contact", Shape::Contact, "The person whom it is about."),
    optional(
        "id",
        Shape::Text(200),
        "The sender's id of the event: an item with the same id and the same content is a duplicate and changes nothing.",
    ),
    optional(
        "at",
        Shape::Time,
        "When it happened: RFC 3339 with an offset, or seconds or milliseconds since 1970. Default: the arrival.",
    ),
    optional(
        "fields",
        Shape::Fields,
        "Other values of the contact as of `at`: field name and value.",
    ),
];

/// The keys of the contact, of which at least one is required.
pub const CONTACT: &[Key] = &[
    optional("email", Shape::Text(320), "The e-mail address."),
    optional("id", Shape::Text(200), "The sender's own id of the person."),
    optional("contactRef", Shape::Text(200), "Proca's reference of the person."),
    optional(
        "visitor",
        Shape::Text(200),
        "The id of a browser or device. Alone, it is an unknown visitor. Together with another of these names, \
         everything that it did before belongs to that person.",
    ),
];

const THING: &[Key] = &[
    required(
        "key",
        Shape::Text(2_000),
        "The sender's id of the mail, goal or the like, or the URL of the page or link.",
    ),
    optional("name", Shape::Text(500), "Its name, for people."),
    optional("count", Shape::Whole, "How often, if the sender counts."),
];

/// All kinds of items.
pub const SORTS: &[Sort] = &[
    Sort {
        name: "email_open",
        about: "Opened a mail.",
        keys: THING,
    },
    Sort {
        name: "link_click",
        about: "Clicked a link.",
        keys: THING,
    },
    Sort {
        name: "page_visit",
        about: "Visited a page.",
        keys: THING,
    },
    Sort {
        name: "goal",
        about: "Reached a goal.",
        keys: THING,
    },
    Sort {
        name: "popup",
        about: "Was shown a pop-up.",
        keys: THING,
    },
    Sort {
        name: "automation",
        about: "Went through an automation of the sender.",
        keys: THING,
    },
    Sort {
        name: "score",
        about: "The lead score as it is now.",
        keys: &[
            required(
                "score",
                Shape::Number,
                "The score: the contact's field `lead_score`.",
            ),
            optional(
                "status",
                Shape::Text(200),
                "The name of the range it is in: the contact's field `lead_status`.",
            ),
        ],
    },
    Sort {
        name: "tag",
        about: "A tag was added or removed.",
        keys: &[
            required("tag", Shape::Text(200), "The tag."),
            optional(
                "change",
                Shape::Words(&["add", "remove"]),
                "The change. Default: add.",
            ),
        ],
    },
    Sort {
        name: "list",
        about: "Joined or left a list. Says nothing about consent: send an item `consent` for that.",
        keys: &[
            required("list", Shape::Text(200), "The list."),
            optional(
                "change",
                Shape::Words(&["join", "leave"]),
                "The change. Default: join.",
            ),
        ],
    },
    Sort {
        name: "custom",
        about: "An event that the sender defines.",
        keys: &[
            required("name", Shape::Text(200), "What the sender calls it."),
            optional(
                "key",
                Shape::Text(2_000),
                "Which one, if there are several with that name. Default: the name.",
            ),
            optional("count", Shape::Whole, "How often, if the sender counts."),
            optional("score", Shape::Number, "A number that belongs to it."),
        ],
    },
    Sort {
        name: "contact",
        about: "The values of `fields` as of `at`. Null clears a field. A field that is left out keeps its value.",
        keys: &[],
    },
    Sort {
        name: "consent",
        about: "A statement about consent, or the status of the address.",
        keys: &[
            required("what", Shape::Words(CONSENTS), "The kind of statement."),
            optional(
                "purpose",
                Shape::Text(64),
                "What the consent is for: `email`, `phone`, `sms`, `post`, `ads` or a word of your own. Default: email.",
            ),
            optional(
                "basis",
                Shape::Text(200),
                "Where or how it was given, for the ledger: `stall in Bern, signed on paper`.",
            ),
        ],
    },
];

/// The words of `what`.
pub const CONSENTS: &[&str] = &[
    "opt_in",
    "double_opt_in",
    "declined",
    "unsubscribed",
    "complained",
    "bounced",
    "blocked",
    "inactive",
];

/// Finds a kind of item by the word of `type`.
pub fn sort(name: &str) -> Option<&'static Sort> {
    SORTS.iter().find(|sort| sort.name == name)
}

/// Checks an object against its keys. The error is for the sender, and quotes no values, which may be
/// anything.
pub(super) fn check<'a>(
    place: &str,
    object: &Map<String, Value>,
    keys: impl Iterator<Item = &'a Key> + Clone,
) -> Result<(), String> {
    for key in keys.clone() {
        match object.get(key.name) {
            None | Some(Value::Null) if key.required => {
                return Err(format!("`{place}{}` is missing", key.name));
            }
            None | Some(Value::Null) => {}
            // A blank name is ignored, as 0 and null are: the other members of `contact` may identify the
            // person.
            Some(Value::String(text)) if place == "contact." && text.trim().is_empty() => {}
            // Errors inside the contact name their place.
            Some(Value::Object(contact)) if key.shape == Shape::Contact => {
                check("contact.", contact, CONTACT.iter())?;
            }
            Some(value) => {
                check_value(value, key.shape).map_err(|wrong| format!("`{place}{}` {wrong}", key.name))?;
            }
        }
    }
    let unknown = object.keys().find(|name| {
        let is_type = place.is_empty() && name.as_str() == "type";
        !is_type && keys.clone().all(|key| key.name != name.as_str())
    });
    match unknown {
        None => Ok(()),
        Some(name) => {
            let known: Vec<&str> = keys.map(|key| key.name).collect();
            Err(format!(
                "{} is not a key here; there are {}",
                quoted(place, name),
                known.join(", ")
            ))
        }
    }
}

/// Quotes a key. One that does not look like a name may be anything, even an address, so it is not repeated.
fn quoted(place: &str, name: &str) -> String {
    let is_name = name.len() <= 40
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    if is_name {
        format!("`{place}{name}`")
    } else {
        format!(
            "one of the keys{}",
            if place.is_empty() { "" } else { " of `contact`" }
        )
    }
}

fn check_value(value: &Value, shape: Shape) -> Result<(), String> {
    match shape {
        Shape::Text(most) => {
            let text = text(value).ok_or("must be text")?;
            if text.trim().is_empty() {
                return Err("must not be blank".to_owned());
            }
            if text.chars().count() > most {
                return Err(format!("is longer than {most} characters"));
            }
            if text.chars().any(char::is_control) {
                return Err("must not have control characters".to_owned());
            }
            Ok(())
        }
        Shape::Whole => whole(value)
            .map(drop)
            .ok_or_else(|| format!("must be a whole number from 0 to {MAX_WHOLE}")),
        Shape::Number => match value.as_f64() {
            Some(number) if number.is_finite() => Ok(()),
            _ => Err("must be a number".to_owned()),
        },
        Shape::Time => time(value).map(drop).ok_or_else(|| {
            "must be a time as 2026-05-01T10:00:00Z, or seconds or milliseconds since 1970".to_owned()
        }),
        Shape::Words(words) => match value.as_str() {
            Some(word) if words.contains(&word) => Ok(()),
            _ => Err(format!("must be one of {}", words.join(", "))),
        },
        Shape::Fields => check_fields(value),
        Shape::Contact => Err("must be an object".to_owned()),
    }
}

/// The most fields of one item, and the most characters of a field's name.
pub const MAX_FIELDS: usize = 200;
pub const LONGEST_FIELD: usize = 200;

fn check_fields(value: &Value) -> Result<(), String> {
    let Value::Object(fields) = value else {
        return Err("must be an object of names and values".to_owned());
    };
    if fields.len() > MAX_FIELDS {
        return Err(format!("has more than {MAX_FIELDS} fields"));
    }
    for name in fields.keys() {
        let is_bad = name.trim().is_empty()
            || name.chars().count() > LONGEST_FIELD
            || name.chars().any(char::is_control);
        if is_bad {
            return Err(format!(
                "has a name that is blank, longer than {LONGEST_FIELD} characters or has control characters"
            ));
        }
        if crate::contact::is_internal(name) {
            return Err("has a name that begins with `tag:`, `list:` or `list_field_ids:`; send items of type tag or list".to_owned());
        }
        if name.eq_ignore_ascii_case("email") {
            return Err("has an `email`; it belongs in `contact`".to_owned());
        }
    }
    Ok(())
}

/// The text of an id. Senders' ids are texts, or numbers that stand for them.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The span of a time: a time in whole seconds covers the rest of its second.
pub(super) fn time(value: &Value) -> Option<Span> {
    match value {
        // A text of digits alone is no time.
        Value::String(text) => {
            text.trim().parse::<Timestamp>().ok()?;
            absolute(text)
        }
        _ => absolute(&whole(value)?.to_string()),
    }
}

/// The greatest whole number that programs with only floating-point numbers can distinguish from its
/// neighbours.
pub const MAX_WHOLE: i64 = (1 << 53) - 1;

/// A whole number from 0 up. `1.0` is one, too: JSON makes no difference.
pub(super) fn whole(value: &Value) -> Option<i64> {
    let Value::Number(number) = value else {
        return None;
    };
    let whole = number.as_i64().or_else(|| {
        let number = number.as_f64().filter(|number| number.fract() == 0.0)?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a larger number becomes the greatest one"
        )]
        Some(number as i64)
    });
    whole.filter(|whole| (0..=MAX_WHOLE).contains(whole))
}
