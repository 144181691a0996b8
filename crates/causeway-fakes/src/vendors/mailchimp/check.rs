//! Whether Mailchimp takes the values of a member.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil};
use serde_json::{Map, Value};

use super::{
    list::{List, MergeField, MergeType},
    member::{Status, hash},
    problem::Problem,
};

/// What a request writes, read and checked. A member that is absent is left as it is.
#[derive(Default)]
pub(super) struct Write {
    pub status: Option<Status>,
    pub status_if_new: Option<Status>,
    /// Null and an empty text clear the field.
    pub merge_fields: BTreeMap<String, Value>,
    pub interests: BTreeMap<String, bool>,
    pub permissions: BTreeMap<String, bool>,
    pub email_type: Option<String>,
    pub language: Option<String>,
    pub is_vip: Option<bool>,
    pub timestamp_signup: Option<Timestamp>,
    pub timestamp_opt: Option<Timestamp>,
}

/// The languages that Mailchimp knows.
const LANGUAGES: &str = "en ar af be bg ca zh hr cs da nl et fa fi fr fr_CA de el he hi hu is id ga it ja km ko lv lt \
                         mt ms mk no pl pt pt_PT ro ru sr sk sl es es_ES sw sv ta th tr uk vi";

impl List {
    /// The address of a body. Fails if it is missing, or no address.
    pub(super) fn address(&self, body: &Map<String, Value>) -> Result<String, Problem> {
        let email = match body.get("email_address") {
            Some(Value::String(email)) if !email.trim().is_empty() => email.trim(),
            Some(Value::String(_) | Value::Null) | None => {
                return Err(Problem::field("email_address", "This value should not be blank."));
            }
            Some(_) => return Err(Problem::field("email_address", "Schema describes string")),
        };
        let parts = email.split_once('@');
        let is_address = parts.is_some_and(|(local, host)| {
            !local.is_empty() && host.contains('.') && !host.contains('@') && !email.contains(' ')
        });
        if !is_address {
            return Err(Problem::invalid("Please provide a valid email address."));
        }
        if self.fakes.contains(email) {
            return Err(Problem::invalid(&format!(
                "{email} looks fake or invalid, please enter a real email address."
            )));
        }
        if self.busy.contains(email) {
            return Err(Problem::invalid(&format!(
                "{email} has signed up to a lot of lists very recently; we're not allowing more signups for now"
            )));
        }
        Ok(email.to_owned())
    }

    pub(super) fn checked(&self, body: &Map<String, Value>, skips_required: bool) -> Result<Write, Problem> {
        let mut write = Write {
            status: status(body, "status")?,
            status_if_new: status(body, "status_if_new")?,
            email_type: one_of(body, "email_type", "html text")?,
            language: one_of(body, "language", LANGUAGES)?,
            timestamp_signup: moment(body, "timestamp_signup")?,
            timestamp_opt: moment(body, "timestamp_opt")?,
            is_vip: body.get("vip").and_then(Value::as_bool),
            ..Write::default()
        };
        write.merge_fields = self.merge_values(body.get("merge_fields"), skips_required)?;
        for (id, value) in object(body, "interests")? {
            let Some(is_in) = value.as_bool().filter(|_| self.interests.contains_key(id)) else {
                return Err(Problem::invalid(&format!("Invalid interest ID: '{id}'.")));
            };
            write.interests.insert(id.clone(), is_in);
        }
        let permissions = body.get("marketing_permissions").and_then(Value::as_array);
        for permission in permissions.into_iter().flatten() {
            let id = permission["marketing_permission_id"].as_str().unwrap_or_default();
            let Some(enabled) = permission["enabled"]
                .as_bool()
                .filter(|_| self.permissions.contains_key(id))
            else {
                return Err(Problem::field(
                    "marketing_permissions",
                    "Invalid marketing permission.",
                ));
            };
            write.permissions.insert(id.to_owned(), enabled);
        }
        Ok(write)
    }

    /// Names that the list does not have are ignored. An error names the bare tag.
    fn merge_values(
        &self,
        sent: Option<&Value>,
        skips_required: bool,
    ) -> Result<BTreeMap<String, Value>, Problem> {
        let empty = Map::new();
        let sent = match sent {
            None | Some(Value::Null) => &empty,
            Some(Value::Object(sent)) => sent,
            Some(_) => return Err(Problem::field("merge_fields", "Schema describes object")),
        };
        let mut errors = Vec::new();
        let mut values = BTreeMap::new();
        for (tag, field) in &self.merge_fields {
            let value = sent.get(tag).filter(|value| !is_blank(value));
            match value {
                None if field.is_required && !skips_required => {
                    errors.push((tag.clone(), "Please enter a value".to_owned()));
                }
                None => {
                    values.extend(sent.get(tag).map(|_| (tag.clone(), Value::Null)));
                }
                Some(value) => match complaint(field, value) {
                    None => {
                        values.insert(tag.clone(), value.clone());
                    }
                    // An address that is not whole is not stored, and nothing says so.
                    Some(_) if field.kind == MergeType::Address && value.is_object() && skips_required => {}
                    Some(text) => errors.push((tag.clone(), text.to_owned())),
                },
            }
        }
        if errors.is_empty() {
            return Ok(values);
        }
        Err(Problem {
            errors,
            ..Problem::invalid("Your merge fields were invalid.")
        })
    }

    /// Fails if the address was deleted for good, or the plan has no room.
    pub(super) fn room(&self, email: &str) -> Result<(), Problem> {
        if self.forgotten.contains(&hash(email)) {
            return Err(Problem::forgotten(email));
        }
        if self.members.len() >= self.most {
            let detail = "Your plan's contact limit is reached. Upgrade your plan to add more contacts.";
            return Err(Problem::new(403, "Forbidden", detail));
        }
        Ok(())
    }
}

fn is_blank(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
}

fn complaint(field: &MergeField, value: &Value) -> Option<&'static str> {
    let text = value.as_str();
    let is_day = |text: &str| {
        let parts = text.split_once('/');
        let number = |text: &str, most| {
            text.parse::<u8>()
                .is_ok_and(|number| (1..=most).contains(&number))
        };
        parts.is_some_and(|(month, day)| number(month, 12) && number(day, 31))
    };
    match field.kind {
        MergeType::Text | MergeType::Phone => match text {
            Some(text) if text.len() > 255 => Some("Data too long"),
            Some(_) => None,
            None => {
                (!value.is_number()).then_some("Data did not match any of the schemas described in anyOf.")
            }
        },
        MergeType::Number => {
            let is_number = value.is_number() || text.is_some_and(|text| text.parse::<f64>().is_ok());
            (!is_number).then_some("Please enter a number")
        }
        MergeType::Address => {
            let has = |part: &&str| value.get(*part).is_some_and(|value| !is_blank(value));
            let is_whole = ["addr1", "city", "state", "zip"].iter().all(has);
            (!is_whole).then_some("Please enter a complete address")
        }
        MergeType::Date => {
            let is_date = text.is_some_and(|text| {
                text.get(..10)
                    .is_some_and(|day| day.parse::<civil::Date>().is_ok())
            });
            (!is_date).then_some("Please enter a date")
        }
        MergeType::Url => {
            let is_url = text.is_some_and(|text| text.starts_with("http"));
            (!is_url).then_some("Please enter a complete web address")
        }
        MergeType::Birthday => (!text.is_some_and(is_day)).then_some("Birthday must be month/day (06/13)"),
    }
}

fn status(body: &Map<String, Value>, name: &str) -> Result<Option<Status>, Problem> {
    let Some(value) = body.get(name).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let status = value.as_str().and_then(Status::written);
    status
        .map(Some)
        .ok_or_else(|| Problem::field(name, "Data did not match any of the schemas described in anyOf."))
}

fn one_of(body: &Map<String, Value>, name: &str, words: &str) -> Result<Option<String>, Problem> {
    let Some(value) = body.get(name).filter(|value| !is_blank(value)) else {
        return Ok(None);
    };
    let text = value
        .as_str()
        .filter(|text| words.split_whitespace().any(|word| word == *text));
    text.map(|text| Some(text.to_owned()))
        .ok_or_else(|| Problem::field(name, "The value you selected is not a valid choice."))
}

fn moment(body: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>, Problem> {
    let Some(value) = body.get(name).filter(|value| !is_blank(value)) else {
        return Ok(None);
    };
    let moment = value.as_str().and_then(|text| text.parse().ok());
    moment
        .map(Some)
        .ok_or_else(|| Problem::field(name, "This value is not a valid datetime."))
}

fn object<'a>(
    body: &'a Map<String, Value>,
    name: &str,
) -> Result<impl Iterator<Item = (&'a String, &'a Value)> + use<'a>, Problem> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None.into_iter().flatten()),
        Some(Value::Object(members)) => Ok(Some(members).into_iter().flatten()),
        Some(_) => Err(Problem::field(name, "Schema describes object")),
    }
}
