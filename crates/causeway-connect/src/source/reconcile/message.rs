//! Turns an entry of the API's lists into the message that the queue would have brought.

use serde_json::{Map, Value, json};

/// The action's number; `None` if it is neither a number nor the text of one.
pub(super) fn id(entry: &Value) -> Option<i64> {
    let id = &entry["actionId"];
    id.as_i64().or_else(|| id.as_str()?.parse().ok())
}

/// The short name of the organisation that owns the page.
pub(super) fn page_org(entry: &Value) -> Option<&str> {
    entry.pointer("/actionPage/org/name")?.as_str()
}

/// A message of schema `proca:action:2`. `org_id` is the number of [`page_org`], if it is known. `None` if
/// the entry is not an action of a person.
pub(super) fn of(entry: &Value, org_id: Option<i64>) -> Option<Value> {
    let id = id(entry)?;
    let contact = entry["contact"].as_object()?;
    let reference = contact.get("contactRef")?.as_str()?;
    let payload = contact.get("payload").and_then(Value::as_str).unwrap_or_default();
    let nonce = contact.get("nonce").and_then(Value::as_str);
    let mut fields = if nonce.is_some() {
        Map::new()
    } else {
        object(contact.get("payload"))
    };
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
    let mut action = Map::from_iter([
        ("actionType".to_owned(), entry["actionType"].clone()),
        ("createdAt".to_owned(), zoned(&entry["createdAt"])),
        (
            "customFields".to_owned(),
            object(entry.get("customFields")).into(),
        ),
        ("testing".to_owned(), false.into()),
    ]);
    if let Some(donation) = entry["donation"].as_object() {
        action.insert("donation".to_owned(), donation_of(donation));
    }
    Some(json!({
        "schema": "proca:action:2", "stage": "deliver", "actionId": id,
        "actionPageId": entry.pointer("/actionPage/id"), "campaignId": entry.pointer("/campaign/id"),
        "orgId": org_id, "org": entry.pointer("/actionPage/org"),
        "campaign": lower_case(&entry["campaign"], "contactSchema"), "actionPage": entry["actionPage"],
        "action": action,
        "contact": fields, "personalInfo": personal_info,
        "privacy": {
            "withConsent": privacy["withConsent"], "optIn": privacy["optIn"], "givenAt": zoned(&privacy["givenAt"]),
            "emailStatus": status(privacy).map(str::to_lowercase),
            "emailStatusChanged": zoned(&privacy["emailStatusChanged"]),
        },
        "tracking": entry["tracking"],
    }))
}

/// The value of `privacy.emailStatus`; `None` for `NONE`, which holds no information.
pub(super) fn status(privacy: &Value) -> Option<&str> {
    privacy["emailStatus"].as_str().filter(|word| *word != "NONE")
}

/// An object, or the text of one: the API returns both as `Json`.
fn object(value: Option<&Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(members)) => members.clone(),
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
        _ => Map::new(),
    }
}

/// The queue has the enumerations in lower case, and `schema` only if it is known.
fn donation_of(donation: &Map<String, Value>) -> Value {
    let mut out = Map::new();
    for (name, value) in donation.iter().filter(|(_, value)| !value.is_null()) {
        let value = match (name.as_str(), value) {
            ("schema" | "frequencyUnit", Value::String(word)) => word.to_lowercase().into(),
            ("payload", Value::String(text)) => serde_json::from_str(text).unwrap_or_else(|_| value.clone()),
            _ => value.clone(),
        };
        out.insert(name.clone(), value);
    }
    Value::Object(out)
}

/// A campaign with its settings, in the form of `campaign_updated`.
pub(super) fn campaign(answer: &Value) -> Value {
    let mut campaign = lower_case(answer, "contactSchema");
    if let Some(config) = campaign.get_mut("config") {
        *config = object(Some(config)).into();
    }
    campaign
}

/// `BASIC` → `basic`, as in the queue.
fn lower_case(part: &Value, name: &str) -> Value {
    let mut part = part.clone();
    if let Some(member) = part.get_mut(name)
        && let Some(word) = member.as_str()
    {
        *member = word.to_lowercase().into();
    }
    part
}

/// The API's times are UTC without a zone.
pub(super) fn zoned(time: &Value) -> Value {
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
