//! The request of each step.

use bytes::Bytes;
use causeway_core::envelope::digest;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{ActiveCampaign, Memo, Status, Step};
use crate::{connector::Task, http::HttpRequest};

/// Marks somebody who comes back after they unsubscribed.
const CAME_BACK: u8 = 4;

/// Rows of one answer. ActiveCampaign's default is 20.
const PAGE: &str = "100";

pub(super) fn request(
    connector: &ActiveCampaign,
    step: Step,
    tasks: &[&Task<'_, ActiveCampaign>],
) -> HttpRequest {
    let Some(task) = tasks.first() else {
        return get(connector, &["users", "me"]);
    };
    let memo = &task.memo;
    let id = memo.id.as_deref().unwrap_or_default();
    match step {
        Step::Find => {
            let mut request = get(connector, &["contacts"]);
            request.url.query_pairs_mut().append_pair("email", &memo.email);
            request
        }
        Step::Delete => HttpRequest {
            method: Method::DELETE,
            ..get(connector, &["contacts", id])
        },
        Step::Sync => post(
            connector,
            &["contact", "sync"],
            &json!({ "contact": contact(memo) }),
        ),
        Step::ReadStatus => {
            let mut request = get(connector, &["contacts", id, "contactLists"]);
            request.url.query_pairs_mut().append_pair("limit", PAGE);
            request
        }
        Step::SetStatus(list, status) => {
            let mut body = json!({ "list": list, "contact": number(id), "status": number_of(status) });
            if let (Status::SubscribedAgain, Some(members)) = (status, body.as_object_mut()) {
                members.insert("sourceid".to_owned(), CAME_BACK.into());
            }
            post(connector, &["contactLists"], &json!({ "contactList": body }))
        }
        Step::AddTag(tag) => {
            let body = json!({ "contactTag": { "contact": id, "tag": tag.to_string() } });
            post(connector, &["contactTags"], &body)
        }
        Step::WriteRecord => {
            let schema = connector
                .settings
                .record
                .as_ref()
                .map_or("", |(schema, _)| schema);
            let fields = memo.record.iter();
            let fields: Value = fields
                .map(|(name, value)| json!({ "id": name, "value": value }))
                .collect();
            let record = json!({
                "externalId": external_id(task),
                "fields": fields,
                "relationships": { "primary-contact": [number(id)] },
            });
            post(
                connector,
                &["customObjects", "records", schema],
                &json!({ "record": record }),
            )
        }
    }
}

/// 1 is subscribed, 2 is unsubscribed.
pub(super) fn number_of(status: Status) -> u64 {
    match status {
        Status::Subscribed | Status::SubscribedAgain => 1,
        Status::Unsubscribed => 2,
    }
}

pub(super) fn get(connector: &ActiveCampaign, path: &[&str]) -> HttpRequest {
    let mut url = connector.settings.base.clone();
    let version = connector.settings.api_version;
    // The parts are fixed words, and ids that are checked to have no special signs.
    url.set_path(&format!("/api/{version}/{}", path.join("/")));
    HttpRequest {
        method: Method::GET,
        url,
        url_is_secret: false,
        headers: connector.headers.clone(),
        body: Bytes::new(),
    }
}

fn post(connector: &ActiveCampaign, path: &[&str], body: &Value) -> HttpRequest {
    HttpRequest {
        method: Method::POST,
        body: Bytes::from(body.to_string()),
        ..get(connector, path)
    }
}

fn contact(memo: &Memo) -> Map<String, Value> {
    let mut contact = Map::from_iter([("email".to_owned(), memo.email.as_str().into())]);
    contact.extend(memo.members.clone());
    let fields = memo.fields.iter();
    let values: Vec<Value> = fields
        .map(|(field, value)| json!({ "field": field, "value": value }))
        .collect();
    if !values.is_empty() {
        contact.insert("fieldValues".to_owned(), values.into());
    }
    contact
}

/// Ids are texts in responses, and numbers in the requests that the vendor documents.
fn number(id: &str) -> Value {
    id.parse::<u64>().map_or_else(|_| id.into(), Value::from)
}

/// Names the action, so that a repeated delivery is no second record.
fn external_id(task: &Task<'_, ActiveCampaign>) -> String {
    let record = &task.delivery.record;
    let action = record.action.as_ref().map_or("", |action| &*action.external_id);
    let parts = [&*record.workspace, &*record.source, action, &*task.memo.email];
    let hex = data_encoding::HEXLOWER.encode(&digest(&parts.map(str::as_bytes)));
    format!("causeway-{}", hex.get(..32).unwrap_or(&hex))
}
