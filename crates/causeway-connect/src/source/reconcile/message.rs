//! An entry of the API's lists as the message that the queue would have brought.

use causeway_core::clock::Timestamp;
use serde_json::{Map, Value, json};

/// What was made of one entry.
pub(super) struct Message {
    pub id: i64,
    /// As far as it can be read: encrypted contacts have none.
    pub email: Option<String>,
    pub created_at: Option<Timestamp>,
    /// `proca:action:2`
    pub body: Value,
}

pub(super) fn id(entry: &Value) -> Option<i64> {
    entry["actionId"].as_i64()
}

/// `None` for what cannot be told to be an action of somebody.
pub(super) fn of(entry: &Value) -> Option<Message> {
    let id = id(entry)?;
    let contact = entry["contact"].as_object()?;
    let reference = contact.get("contactRef")?.as_str()?;
    let payload = contact.get("payload").and_then(Value::as_str).unwrap_or_default();
    let nonce = contact.get("nonce").and_then(Value::as_str);
    let mut fields = Map::new();
    if nonce.is_none()
        && let Ok(Value::Object(open)) = serde_json::from_str(payload)
    {
        fields = open;
    }
    let email = fields.get("email").and_then(Value::as_str).map(str::to_owned);
    fields.insert("contactRef".to_owned(), reference.into());
    if let Some(rank) = contact.get("dupeRank").filter(|rank| !rank.is_null()) {
        fields.insert("dupeRank".to_owned(), rank.clone());
    }
    let personal_info = nonce.map(|nonce| {
        json!({
            "payload": payload, "nonce": nonce,
            "encryptKey": contact.get("publicKey"), "signKey": contact.get("signKey"),
        })
    });
    let privacy = &entry["privacy"];
    let custom_fields = entry["customFields"]
        .as_str()
        .and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok());
    let body = json!({
        "schema": "proca:action:2", "stage": "deliver", "actionId": id,
        "actionPageId": entry.pointer("/actionPage/id"), "campaignId": entry.pointer("/campaign/id"),
        "campaign": lower_schema(&entry["campaign"]), "actionPage": entry["actionPage"],
        "action": {
            "actionType": entry["actionType"], "createdAt": zoned(&entry["createdAt"]),
            "customFields": custom_fields.unwrap_or_default(), "testing": false,
        },
        "contact": fields, "personalInfo": personal_info,
        "privacy": {
            "withConsent": privacy["withConsent"], "optIn": privacy["optIn"], "givenAt": zoned(&privacy["givenAt"]),
            "emailStatus": status(&privacy["emailStatus"]),
            "emailStatusChanged": zoned(&privacy["emailStatusChanged"]),
        },
        "tracking": entry["tracking"],
    });
    Some(Message {
        id,
        email,
        created_at: zoned(&entry["createdAt"])
            .as_str()
            .and_then(|text| text.parse().ok()),
        body,
    })
}

/// `BASIC` → `basic`, as the queue has it.
fn lower_schema(campaign: &Value) -> Value {
    let mut campaign = campaign.clone();
    if let Some(schema) = campaign.get_mut("contactSchema")
        && let Some(word) = schema.as_str()
    {
        *schema = word.to_lowercase().into();
    }
    campaign
}

/// The API's times are of UTC and do not say so.
fn zoned(time: &Value) -> Value {
    match time.as_str() {
        None => Value::Null,
        Some(text) => {
            let day_and_time = text.split_once('T').map(|(_, time)| time).unwrap_or_default();
            let has_zone = text.ends_with(['Z', 'z']) || day_and_time.contains(['+', '-']);
            if has_zone {
                text.into()
            } else {
                format!("{text}Z").into()
            }
        }
    }
}

/// `DOUBLE_OPT_IN` → `double_opt_in`; `NONE` is no information.
fn status(word: &Value) -> Value {
    match word.as_str() {
        None | Some("NONE") => Value::Null,
        Some(word) => word.to_lowercase().into(),
    }
}
