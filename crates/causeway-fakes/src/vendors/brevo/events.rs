//! Custom events of contacts. Nothing is recognised as a repeat.

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};
use serde_json::{Map, Value, json};

use super::{
    Brevo,
    call::{Answer, Call, Failure, time},
};
use crate::fake_api::Reply;

/// Bytes of an event's properties.
const MOST_BYTES: usize = 50_000;

/// How far back events are shown without dates.
const SIX_MONTHS_H: i64 = 183 * 24;

/// Events of one batch. The number is not documented.
const MOST: usize = 100;

#[derive(Debug, Clone)]
pub struct Event {
    pub name: String,
    pub contact: Option<u64>,
    pub date: Timestamp,
    pub properties: Map<String, Value>,
}

/// `startDate` and `endDate`, of which neither goes without the other. Without both: the last six months.
fn period(call: &Call<'_>) -> Result<(Timestamp, Timestamp), Failure> {
    let invalid = || Failure::invalid("startDate or endDate is not valid");
    let time = |text: &str, end: bool| {
        let day = |date: civil::Date| {
            let date = if end { date.tomorrow().ok()? } else { date };
            date.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp())
        };
        let date = text.parse::<civil::Date>().ok().filter(|_| text.len() == 10);
        date.map_or_else(|| text.parse().ok(), day).ok_or_else(invalid)
    };
    match (call.query("startDate"), call.query("endDate")) {
        (None, None) => {
            let from = call.now - SignedDuration::from_hours(SIX_MONTHS_H);
            Ok((from, Timestamp::MAX))
        }
        (Some(from), Some(until)) => Ok((time(from, false)?, time(until, true)?)),
        _ => Err(Failure::missing("startDate and endDate must be used together")),
    }
}

impl Brevo {
    pub(super) fn events(&mut self, rest: &[&str], call: &Call<'_>) -> Answer {
        match (call.method, rest) {
            ("GET", []) => {
                let (limit, offset) = call.page(100, 10_000)?;
                let (contacts, names) = (call.all("contact_id"), call.all("event_name"));
                let (from, until) = period(call)?;
                let is_wanted = |event: &&Event| {
                    let id = event.contact.map(|id| id.to_string()).unwrap_or_default();
                    (contacts.is_empty() || contacts.contains(&&*id))
                        && (names.is_empty() || names.contains(&&*event.name))
                        && (from..=until).contains(&event.date)
                };
                let mut found: Vec<&Event> = self.events.iter().filter(is_wanted).collect();
                found.sort_by_key(|event| std::cmp::Reverse(event.date));
                let count = found.len();
                let shown = found.into_iter().skip(offset).take(limit);
                let shown: Vec<Value> = shown
                    .map(|event| {
                        json!({ "contact_id": event.contact, "event_date": time(event.date),
                            "event_name": event.name, "event_properties": event.properties })
                    })
                    .collect();
                Ok(Reply::json(200, &json!({ "events": shown, "count": count })))
            }
            ("POST", []) => {
                let event = self.event(&Value::Object(call.json()?), call.now)?;
                self.events.push(event);
                Ok(Reply::status(204))
            }
            ("POST", ["batch"]) => self.add_events(call),
            _ => Err(Failure::unknown_path()),
        }
    }

    /// 207 if some are refused, each named by its index.
    fn add_events(&mut self, call: &Call<'_>) -> Answer {
        let body = call.json()?;
        let rows = body.get("events").and_then(Value::as_array);
        let rows = rows.ok_or_else(|| Failure::missing("events is missing"))?;
        if rows.is_empty() || rows.len() > MOST {
            return Err(Failure::new(400, "out_of_range", "A batch has 1 to 100 events"));
        }
        let mut errors = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            match self.event(row, call.now) {
                Ok(event) => self.events.push(event),
                Err(failure) => errors.push(json!({ "eventIndex": [index], "message": failure.message() })),
            }
        }
        let (total, failed) = (rows.len(), errors.len());
        if failed == 0 {
            let body = json!({ "message": "Events accepted", "count": total });
            return Ok(Reply::json(202, &body));
        }
        let body = json!({ "status": "partial_success", "total_events": total, "successful_events": total - failed,
            "failed_events": failed, "errors": errors });
        Ok(Reply::json(207, &body))
    }

    fn event(&self, body: &Value, now: Timestamp) -> Result<Event, Failure> {
        let name = body["event_name"].as_str().unwrap_or_default();
        let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if name.is_empty() || name.len() > 255 || !name.bytes().all(is_sign) {
            return Err(Failure::invalid("event_name is not valid"));
        }
        let identifiers = &body["identifiers"];
        let number = identifiers["contact_id"].as_u64().map(|id| id.to_string());
        let named = [
            (number.as_deref(), "contact_id"),
            (identifiers["email_id"].as_str(), "email_id"),
            (identifiers["ext_id"].as_str(), "ext_id"),
            (identifiers["phone_id"].as_str(), "phone_id"),
            (identifiers["whatsapp_id"].as_str(), "whatsapp_id"),
            (identifiers["landline_number_id"].as_str(), "landline_number_id"),
        ];
        let Some((identifier, kind)) = named.into_iter().find_map(|(id, kind)| Some((id?, kind))) else {
            return Err(Failure::missing("identifiers is missing"));
        };
        let is_key = |key: &String| key.len() <= 255 && key.bytes().all(is_sign);
        if let Some(properties) = body["event_properties"].as_object()
            && !properties.keys().all(is_key)
        {
            return Err(Failure::invalid("event_properties has an invalid key"));
        }
        let properties = body["event_properties"].as_object().cloned().unwrap_or_default();
        if Value::Object(properties.clone()).to_string().len() > MOST_BYTES {
            return Err(Failure::invalid("event_properties exceeds 50KB"));
        }
        let date = match body["event_date"].as_str() {
            None => now,
            Some(text) => text
                .parse()
                .map_err(|_| Failure::invalid("event_date is not valid"))?,
        };
        Ok(Event {
            name: name.to_owned(),
            contact: self.named(identifier, Some(kind)).ok(),
            date,
            properties,
        })
    }
}
