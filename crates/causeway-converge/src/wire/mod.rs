//! Renders messages as bytes.

mod proca;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde_json::{Map, Value as Json, json};

use crate::{
    message::{Content, Message, Seconds, Shape, Value},
    world::{History, Org, Over, Source, SourceKind},
};

pub use proca::{KEYSTORE, contact as proca_contact, custom_fields, sealed};

/// The values that differ between two runs of the same history.
#[derive(Debug, Clone)]
pub struct Place {
    /// A prefix of all names, because several histories share a hub.
    pub slot: String,
    /// The start of the history's times, in seconds since 1970: midnight (UTC) of the day of the run.
    pub start: Seconds,
    /// Number of the first organisation; the others follow.
    pub first_org: u32,
}

/// A rendered message.
#[derive(Debug, Clone, PartialEq)]
pub enum Wire {
    /// An HTTP request to the listener.
    Request {
        method: &'static str,
        target: String,
        content_type: Option<&'static str>,
        bearer: Option<String>,
        body: Vec<u8>,
    },
    /// A message for an exchange of the source's organisation: `deliver` or `event`.
    Publish {
        exchange: &'static str,
        key: String,
        body: Vec<u8>,
    },
    /// A row of a file.
    Row(Vec<(String, String)>),
    /// Nothing is sent, because only Proca's API or a vendor shows it.
    Nothing,
}

impl Place {
    pub fn org(&self, space: usize, org: Org) -> u32 {
        let number = match org {
            Org::Ours => 0,
            Org::Sister => 1,
            Org::Partner => 2,
        };
        self.first_org + u32::try_from(space).unwrap_or(0) * 10 + number
    }

    pub fn workspace(&self, space: usize) -> String {
        format!("{}{}", self.slot, ["a", "b", "c"][space])
    }

    pub fn source(&self, space: usize, source: &Source) -> String {
        format!("{}-{}", self.workspace(space), source.name)
    }

    pub fn destination(&self, space: usize, name: &str) -> String {
        format!("{}-{name}", self.workspace(space))
    }

    pub fn token(&self, space: usize, source: &Source) -> String {
        format!("token-of-24-characters-{}", self.source(space, source))
    }

    pub fn time(&self, seconds: Seconds) -> String {
        let stamp = jiff::Timestamp::from_second(self.start + seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        stamp.to_string()
    }

    pub fn day(&self, seconds: Seconds) -> String {
        self.time(seconds).get(..10).unwrap_or_default().to_owned()
    }

    fn text(&self, value: &Value) -> Vec<u8> {
        match value {
            Value::Text(text) => text.clone().into_bytes(),
            Value::Bytes(bytes) => bytes.clone(),
            Value::Json(json) => json.to_string().into_bytes(),
            Value::Time(at) => self.time(*at).into_bytes(),
            Value::Day(at) => self.day(*at).into_bytes(),
        }
    }

    fn json(&self, value: &Value) -> Json {
        match value {
            Value::Json(json) => json.clone(),
            other => String::from_utf8_lossy(&self.text(other)).into_owned().into(),
        }
    }
}

/// Renders a message of a history.
pub fn render(history: &History, message: &Message, place: &Place) -> Wire {
    let source = &history.spaces[message.space].sources[message.source];
    let target = format!("/in/{}", place.token(message.space, source));
    match &message.content {
        Content::Sync { .. } => {
            let (pairs, object) = sync(&message.content, place);
            request(target, shape(&message.content), &pairs, &object)
        }
        Content::Form { pairs, shape } => {
            let bytes: Vec<(String, Vec<u8>)> = pairs
                .iter()
                .map(|(name, value)| (name.clone(), place.text(value)))
                .collect();
            let object: Map<String, Json> = pairs
                .iter()
                .map(|(name, value)| (name.clone(), place.json(value)))
                .collect();
            request(target, *shape, &bytes, &object.into())
        }
        Content::Proca(message_of_proca) => {
            let (key, body) = proca::render(message_of_proca, message.space, place);
            let is_queued = matches!(
                source.kind,
                SourceKind::Proca {
                    over: Over::Queue,
                    ..
                }
            );
            if is_queued {
                let exchange = if message_of_proca.is_event {
                    "event"
                } else {
                    "deliver"
                };
                return Wire::Publish { exchange, key, body };
            }
            post(target, "application/json", body)
        }
        Content::Event { .. } => Wire::Request {
            method: "POST",
            target: "/v1/events".to_owned(),
            content_type: Some("application/json"),
            bearer: Some(place.token(message.space, source)),
            body: event(&message.content, place).to_string().into_bytes(),
        },
        Content::Row { cells, .. } => {
            let cells = cells.iter().map(|(name, value)| {
                (
                    name.clone(),
                    String::from_utf8_lossy(&place.text(value)).into_owned(),
                )
            });
            Wire::Row(cells.collect())
        }
        Content::Api(_) | Content::AtVendor { .. } => Wire::Nothing,
    }
}

fn shape(content: &Content) -> Shape {
    match content {
        Content::Sync { shape, .. } | Content::Form { shape, .. } => *shape,
        _ => Shape::Json,
    }
}

/// A sync as the pairs of a form and as JSON.
fn sync(content: &Content, place: &Place) -> (Vec<(String, Vec<u8>)>, Json) {
    let Content::Sync {
        transaction,
        id,
        email,
        fields,
        ..
    } = content
    else {
        return (Vec::new(), Json::Null);
    };
    let mut pairs = Vec::new();
    let mut object = Map::new();
    let mut contact = Map::new();
    if let Some(transaction) = transaction {
        pairs.push(("transactionid".to_owned(), transaction.clone().into_bytes()));
        object.insert("transactionid".to_owned(), transaction.clone().into());
    }
    for (name, value) in [("id", id), ("email", email)] {
        if let Some(value) = value {
            pairs.push((format!("contact[{name}]"), value.clone().into_bytes()));
            contact.insert(name.to_owned(), value.clone().into());
        }
    }
    object.insert("contact".to_owned(), contact.into());
    let mut rows = Vec::new();
    for (number, (name, value)) in fields.iter().enumerate() {
        pairs.push((format!("fields[{number}][name]"), name.clone().into_bytes()));
        pairs.push((format!("fields[{number}][value]"), place.text(value)));
        rows.push(json!({ "name": name, "value": place.json(value) }));
    }
    object.insert("fields".to_owned(), rows.into());
    (pairs, object.into())
}

fn event(content: &Content, place: &Place) -> Json {
    let Content::Event {
        members,
        id,
        email,
        reference,
    } = content
    else {
        return Json::Null;
    };
    let mut event = Map::new();
    let mut fields = Map::new();
    for (name, value) in members {
        match name.strip_prefix("fields.") {
            Some(field) => fields.insert(field.to_owned(), place.json(value)),
            None => event.insert(name.clone(), place.json(value)),
        };
    }
    if !fields.is_empty() {
        event.insert("fields".to_owned(), fields.into());
    }
    let mut contact = Map::new();
    let names = [("id", id), ("email", email), ("contactRef", reference)];
    contact.extend(
        names
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?.into()))),
    );
    event.insert("contact".to_owned(), contact.into());
    event.into()
}

fn request(target: String, shape: Shape, pairs: &[(String, Vec<u8>)], object: &Json) -> Wire {
    match shape {
        Shape::Form => post(
            target,
            "application/x-www-form-urlencoded",
            encode(pairs).into_bytes(),
        ),
        Shape::Json => post(target, "application/json", object.to_string().into_bytes()),
        Shape::Get => Wire::Request {
            method: "GET",
            target: format!("{target}?{}", encode(pairs)),
            content_type: None,
            bearer: None,
            body: Vec::new(),
        },
    }
}

fn post(target: String, content_type: &'static str, body: Vec<u8>) -> Wire {
    Wire::Request {
        method: "POST",
        target,
        content_type: Some(content_type),
        bearer: None,
        body,
    }
}

const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

fn encode(pairs: &[(String, Vec<u8>)]) -> String {
    let pair = |(name, value): &(String, Vec<u8>)| {
        format!(
            "{}={}",
            percent_encode(name.as_bytes(), FORM),
            percent_encode(value, FORM)
        )
    };
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}
