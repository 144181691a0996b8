//! Supporters, their fields and their answers.

use std::collections::BTreeMap;

use causeway_core::clock::Timestamp;
use serde_json::{Map, Value, json};

use super::{Call, EngagingNetworks, errors::Failure};

/// A field of supporters.
#[derive(Debug, Clone)]
pub struct Field {
    /// The account's name for it.
    pub name: String,
    /// The name that all accounts have in common.
    pub property: String,
}

type Members = Map<String, Value>;

impl Field {
    pub fn new(name: &str, property: &str) -> Self {
        Self {
            name: name.to_owned(),
            property: property.to_owned(),
        }
    }

    pub(super) fn usual() -> Vec<Self> {
        [
            ("Email Address", "emailAddress"),
            ("Title", "title"),
            ("First Name", "firstName"),
            ("Last Name", "lastName"),
            ("Address 1", "address1"),
            ("City", "city"),
            ("Region", "region"),
            ("Postcode", "postcode"),
            ("Country", "country"),
            ("Phone Number", "phoneNumber"),
        ]
        .map(|(name, property)| Self::new(name, property))
        .into()
    }
}

#[derive(Debug, Clone)]
pub struct Question {
    pub id: u64,
    pub name: String,
    /// `OPT`, `CONF` or `GEN`.
    pub kind: String,
}

impl Question {
    pub fn new(id: u64, name: &str, kind: &str) -> Self {
        Self {
            id,
            name: name.to_owned(),
            kind: kind.to_owned(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Supporter {
    pub is_suppressed: bool,
    /// By the account's names, with the address.
    pub fields: BTreeMap<String, String>,
    /// By the names of the questions.
    pub answers: BTreeMap<String, Given>,
}

/// An answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    pub answer: String,
    pub at: Timestamp,
}

impl EngagingNetworks {
    /// The account's name for the address.
    pub fn email_field(&self) -> &str {
        let field = self.fields.iter().find(|field| field.property == "emailAddress");
        &field.unwrap().name
    }

    /// The supporter with this address.
    pub fn supporter(&self, email: &str) -> Option<(u64, &Supporter)> {
        let field = self.email_field();
        let found = self
            .supporters
            .iter()
            .find(|(_, supporter)| supporter.fields[field].eq_ignore_ascii_case(email.trim()));
        found.map(|(id, supporter)| (*id, supporter))
    }

    /// The supporter's answer to a question.
    pub fn answer_of(&self, email: &str, question: &str) -> Option<&str> {
        let (_, supporter) = self.supporter(email)?;
        Some(&supporter.answers.get(question)?.answer)
    }

    fn known(&self, id: &str) -> Result<u64, Failure> {
        let id = id.parse().ok().filter(|id| self.supporters.contains_key(id));
        id.ok_or_else(|| Failure::no_supporter(self.missing_is_404))
    }

    /// Splits a body into fields and answers. All must exist.
    fn read(&self, body: &Value) -> Result<(Members, Members), Failure> {
        let mut fields = body
            .as_object()
            .cloned()
            .ok_or_else(|| Failure::bad("The request body must be an object"))?;
        let answers = fields.shift_remove("questions").unwrap_or_default();
        let answers = answers.as_object().cloned().unwrap_or_default();
        let is_field = |name: &String| self.fields.iter().any(|field| field.name == *name);
        let is_question = |name: &String| self.questions.iter().any(|question| question.name == *name);
        let fields_missing = fields.keys().filter(|name| !is_field(name));
        let missing: Vec<String> = fields_missing
            .chain(answers.keys().filter(|name| !is_question(name)))
            .cloned()
            .collect();
        if !missing.is_empty() {
            return Err(Failure::unknown_fields(&missing));
        }
        for (name, value) in &answers {
            let question = self.questions.iter().find(|question| question.name == *name);
            let is_general = question.is_some_and(|question| question.kind == "GEN");
            if !is_general && !matches!(value.as_str(), Some("Y" | "N")) {
                return Err(Failure::bad(format!("The response to [{name}] is not valid")));
            }
        }
        Ok((fields, answers))
    }

    /// Creates the supporter with this address, or changes it.
    pub(super) fn upsert(&mut self, body: &Value) -> Result<u64, Failure> {
        let field = self.email_field().to_owned();
        let (fields, answers) = self.read(body)?;
        let email = fields.get(&field).and_then(Value::as_str).unwrap_or_default();
        check_address(email)?;
        let known = self.supporter(email).map(|(id, _)| id);
        let id = known.unwrap_or_else(|| self.next_id());
        self.supporters.entry(id).or_insert_with(|| Supporter {
            is_suppressed: false,
            fields: BTreeMap::from([(field, email.to_owned())]),
            answers: BTreeMap::new(),
        });
        self.change(id, fields, answers);
        Ok(id)
    }

    /// An answer keeps its time until it changes.
    fn change(&mut self, id: u64, fields: Map<String, Value>, answers: Map<String, Value>) {
        let now = self.now();
        let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let supporter = self.supporters.get_mut(&id).unwrap();
        for (name, value) in fields {
            supporter.fields.insert(name, text(value));
        }
        for (name, value) in answers {
            let given = Given {
                answer: text(value),
                at: now,
            };
            let known = supporter.answers.get(&name);
            if known.is_none_or(|known| known.answer != given.answer) {
                supporter.answers.insert(name, given);
            }
        }
    }

    pub(super) fn write_supporter(&mut self, call: &Call<'_>) -> Result<Value, Failure> {
        let id = self.upsert(&call.body)?;
        Ok(json!({ "id": id }))
    }

    pub(super) fn update_supporter(&mut self, id: &str, call: &Call<'_>) -> Result<Value, Failure> {
        let id = self.known(id)?;
        let (fields, answers) = self.read(&call.body)?;
        if let Some(email) = fields.get(self.email_field()) {
            check_address(email.as_str().unwrap_or_default())?;
        }
        self.change(id, fields, answers);
        Ok(json!({ "id": id }))
    }

    pub(super) fn delete_supporter(&mut self, id: &str) -> Result<Value, Failure> {
        let id = self.known(id)?;
        self.supporters.remove(&id);
        self.transactions
            .retain(|transaction| transaction.supporter != id);
        Ok(json!({ "id": id }))
    }

    /// Suppresses many. Returns how many there were.
    pub(super) fn change_many(&mut self, call: &Call<'_>) -> Result<Value, Failure> {
        let value = call.body["value"].as_bool();
        let (Some("suppressed"), Some(value)) = (call.body["field"].as_str(), value) else {
            return Err(Failure::bad("Only the field suppressed can be changed"));
        };
        let ids = call.body["campaigners"].as_array().cloned().unwrap_or_default();
        let mut changed = 0;
        for id in ids.iter().filter_map(Value::as_u64) {
            if let Some(supporter) = self.supporters.get_mut(&id) {
                supporter.is_suppressed = value;
                changed += 1;
            }
        }
        Ok(json!(changed))
    }

    pub(super) fn find_supporter(&self, call: &Call<'_>) -> Result<Value, Failure> {
        let email = call.parameter("email").unwrap_or_default();
        let (id, _) = self
            .supporter(email)
            .ok_or_else(|| Failure::no_supporter(self.missing_is_404))?;
        Ok(self.shown(id, call.has("includeQuestions")))
    }

    pub(super) fn read_supporter(&self, id: &str, call: &Call<'_>) -> Result<Value, Failure> {
        Ok(self.shown(self.known(id)?, call.has("includeQuestions")))
    }

    fn shown(&self, id: u64, with_answers: bool) -> Value {
        let supporter = &self.supporters[&id];
        let mut shown = json!({ "supporterId": id, "suppressed": supporter.is_suppressed });
        for (name, value) in &supporter.fields {
            shown[name] = json!(value);
        }
        if with_answers {
            let answers = supporter.answers.iter();
            shown["questions"] = if self.answers_as_object {
                answers
                    .map(|(name, given)| (name.clone(), json!(given.answer)))
                    .collect()
            } else {
                answers
                    .map(|(name, given)| self.shown_answer(name, given))
                    .collect()
            };
        }
        shown
    }

    fn shown_answer(&self, name: &str, given: &Given) -> Value {
        let question = self.questions.iter().find(|question| question.name == *name);
        // The types have other names here than in the list of questions.
        let kind = match question.map(|question| &*question.kind) {
            Some("OPT") => "OPTIN",
            Some("CONF") => "CONFIRMATION",
            _ => "GENERAL",
        };
        json!({
            "id": question.map(|question| question.id), "componentId": 0, "name": name, "type": kind,
            "response": given.answer, "modifiedOn": given.at.as_millisecond(), "netdonorLogId": 0,
        })
    }

    pub(super) fn list_fields(&self) -> Value {
        let show = |(at, field): (usize, &Field)| {
            let is_standard = !field.property.starts_with("NOT_TAGGED");
            let tag = if is_standard { &*field.name } else { "Not Tagged" };
            json!({ "id": 2_900 + at, "name": field.name, "tag": tag, "property": field.property })
        };
        self.fields.iter().enumerate().map(show).collect()
    }

    pub(super) fn list_questions(&self) -> Value {
        let show = |question: &Question| {
            let number = question.id + 1_000;
            json!({ "id": question.id, "questionId": number, "name": question.name, "type": question.kind })
        };
        self.questions.iter().map(show).collect()
    }

    /// A question that is not there is an empty list.
    pub(super) fn read_question(&self, id: &str) -> Value {
        let found = self
            .questions
            .iter()
            .filter(|question| question.id.to_string() == id);
        let show = |question: &Question| {
            json!({
                "id": question.id, "questionId": question.id + 1_000, "name": question.name, "type": question.kind,
                "locale": "en-GB", "label": "", "htmlFieldType": "checkbox", "content": "",
            })
        };
        found.map(show).collect()
    }
}

fn check_address(email: &str) -> Result<(), Failure> {
    let is_valid = email.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && host.contains('.') && !email.contains(char::is_whitespace)
    });
    is_valid.then_some(()).ok_or_else(Failure::invalid_address)
}
