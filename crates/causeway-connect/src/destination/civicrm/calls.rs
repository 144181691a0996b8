//! The calls of each step. All calls of a request go to one address, as `calls`; those about one delivery begin with its
//! place in the batch.

use bytes::Bytes;
use causeway_core::consent::{Change, Suppression};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{CiviCrm, Step, config::Existing, opt_in, suppression, withdraw};
use crate::{connector::Task, http::HttpRequest};

pub(super) type Calls = Map<String, Value>;

/// What a form gives a meaning to. The rest stays readable in a preview.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'%')
    .add(b'&')
    .add(b'+')
    .add(b'=')
    .add(b'#')
    .add(b';');

pub(super) fn request(civicrm: &CiviCrm, step: Step, tasks: &[&Task<'_, CiviCrm>]) -> HttpRequest {
    let mut calls = Calls::new();
    match step {
        Step::Find => find(civicrm, tasks, &mut calls),
        Step::Read => read(civicrm, tasks, &mut calls),
        Step::CreateCampaign => campaigns(tasks, &mut calls),
        _ => {
            for (at, task) in tasks.iter().enumerate() {
                own(civicrm, step, at, task, &mut calls);
            }
        }
    }
    post(civicrm, calls)
}

/// The calls of a step about one delivery.
fn own(civicrm: &CiviCrm, step: Step, at: usize, task: &Task<'_, CiviCrm>, calls: &mut Calls) {
    match step {
        Step::OptOut => withdraw::opt_out(civicrm, at, task, calls),
        Step::Write => write(civicrm, at, task, calls),
        Step::Relate => relate(civicrm, at, task, calls),
        Step::Remove => withdraw::remove(civicrm, at, task, calls),
        Step::Find | Step::Read | Step::CreateCampaign => {}
    }
}

/// The keys of these calls.
pub(super) fn keys(civicrm: &CiviCrm, step: Step, at: usize, task: &Task<'_, CiviCrm>) -> Vec<String> {
    let mut calls = Calls::new();
    own(civicrm, step, at, task, &mut calls);
    calls.into_iter().map(|(key, _)| key).collect()
}

pub(super) fn post(civicrm: &CiviCrm, calls: Calls) -> HttpRequest {
    let calls = Value::Object(calls).to_string();
    HttpRequest {
        method: Method::POST,
        url: civicrm.settings.base.clone(),
        url_is_secret: false,
        headers: civicrm.headers.clone(),
        body: Bytes::from(format!("calls={}", utf8_percent_encode(&calls, ENCODED))),
    }
}

/// The key of a call about one delivery.
pub(super) fn key(at: usize, what: &str) -> String {
    format!("{at}.{what}")
}

/// Contacts by their addresses, in the trash too: a removal is about these as well.
fn find(civicrm: &CiviCrm, tasks: &[&Task<'_, CiviCrm>], calls: &mut Calls) {
    let emails: Vec<&str> = tasks.iter().map(|task| &*task.memo.email).collect();
    let select = [
        "email",
        "on_hold",
        "hold_date",
        "contact_id",
        "contact_id.contact_type",
        "contact_id.is_deleted",
        "contact_id.first_name",
        "contact_id.last_name",
    ];
    let params =
        json!({ "select": select, "where": [["email", "IN", emails]], "orderBy": { "contact_id": "ASC" } });
    calls.insert("emails".to_owned(), json!(["Email", "get", params]));
    let keys: Vec<&Value> = tasks
        .iter()
        .filter_map(|task| task.memo.fields.get("external_identifier"))
        .collect();
    if civicrm
        .settings
        .fields
        .names()
        .any(|name| name == "external_identifier")
        && !keys.is_empty()
    {
        let either = json!(["OR", [["is_deleted", "=", false], ["is_deleted", "=", true]]]);
        let params = json!({
            "select": ["external_identifier", "is_deleted", "contact_type", "first_name", "last_name"],
            "where": [["external_identifier", "IN", keys], either],
        });
        calls.insert("keys".to_owned(), json!(["Contact", "get", params]));
    }
}

/// What the contacts of the batch have already.
pub(super) fn read(civicrm: &CiviCrm, tasks: &[&Task<'_, CiviCrm>], calls: &mut Calls) {
    let settings = &civicrm.settings;
    let known = tasks.iter().filter_map(|task| task.memo.contact.as_ref());
    let known = withdraw::ids(&known.collect::<Vec<_>>());
    if !known.is_empty() {
        let own = ["is_opt_out", "do_not_email", "is_deceased", "modified_date"];
        let select: Vec<&str> = own.into_iter().chain(settings.fields.names()).collect();
        let params = json!({ "select": select, "where": [["id", "IN", known]] });
        calls.insert("contacts".to_owned(), json!(["Contact", "get", params]));
        let theirs = json!(["contact_id", "IN", known]);
        let joins = tasks.iter().any(|task| opt_in(task.delivery).is_some());
        if joins && !settings.groups.is_empty() {
            let group = json!(["group_id:name", "IN", settings.groups]);
            let params =
                json!({ "select": ["contact_id", "group_id:name", "status"], "where": [theirs, group] });
            calls.insert("groups".to_owned(), json!(["GroupContact", "get", params]));
            let params = json!({
                "select": ["contact_id", "group_id:name", "date"],
                "where": [theirs, group, ["status", "=", "Removed"]],
            });
            calls.insert(
                "history".to_owned(),
                json!(["SubscriptionHistory", "get", params]),
            );
        }
        if let Some(address) = &settings.address {
            let select: Vec<&str> = ["contact_id", "is_primary"]
                .into_iter()
                .chain(address.names())
                .collect();
            let params = json!({ "select": select, "where": [theirs] });
            calls.insert("addresses".to_owned(), json!(["Address", "get", params]));
        }
        if settings.phone.is_some() {
            let params = json!({ "select": ["contact_id", "phone"], "where": [theirs] });
            calls.insert("phones".to_owned(), json!(["Phone", "get", params]));
        }
    }
    let names: Vec<&str> = tasks
        .iter()
        .filter_map(|task| task.memo.campaign.as_ref().map(|(name, _)| &**name))
        .collect();
    if !names.is_empty() {
        let params = json!({ "select": ["name"], "where": [["name", "IN", names]] });
        calls.insert("campaigns".to_owned(), json!(["Campaign", "get", params]));
    }
}

fn campaigns(tasks: &[&Task<'_, CiviCrm>], calls: &mut Calls) {
    for (name, title) in tasks.iter().filter_map(|task| task.memo.campaign.as_ref()) {
        let params = json!({ "records": [{ "name": name, "title": title }], "match": ["name"] });
        calls.insert(format!("campaign:{name}"), json!(["Campaign", "save", params]));
    }
}

fn write(civicrm: &CiviCrm, at: usize, task: &Task<'_, CiviCrm>, calls: &mut Calls) {
    let memo = &task.memo;
    let call = if let Some(found) = &memo.contact {
        let params = json!({ "where": [["id", "=", found.id]], "values": memo.news });
        json!(["Contact", "update", params])
    } else {
        created(civicrm, task)
    };
    calls.insert(key(at, "contact"), call);
}

/// A new contact, with the address in the same call: a contact without it would never be found again.
fn created(civicrm: &CiviCrm, task: &Task<'_, CiviCrm>) -> Value {
    let memo = &task.memo;
    let mut values = memo.fields.clone();
    values.insert("contact_type".to_owned(), "Individual".into());
    let names = ["first_name", "last_name", "display_name"];
    if !names.iter().any(|name| values.contains_key(*name)) {
        // CiviCRM takes nobody without any name, and shows the address in its place.
        values.insert("display_name".to_owned(), memo.email.as_str().into());
    }
    let why = suppression(task.delivery);
    let flag = match why {
        Some(Suppression::Complained) => civicrm.settings.flag().or(Some("is_opt_out")),
        Some(_) => None,
        None => civicrm.settings.flag(),
    };
    let change = task.delivery.record.change;
    let opts_out = matches!(change, Change::Unsubscribe | Change::Suppress);
    if let Some(flag) = flag.filter(|_| opts_out) {
        values.insert(flag.to_owned(), true.into());
    }
    let mut email = json!({ "contact_id": "$id", "email": memo.email, "is_primary": true });
    if let (Some(why), Some(email)) = (why, email.as_object_mut()) {
        email.insert("on_hold".to_owned(), withdraw::hold(why).into());
    }
    let chain = json!({ "email": ["Email", "create", { "values": email }] });
    json!(["Contact", "create", { "values": values, "chain": chain }])
}

fn relate(civicrm: &CiviCrm, at: usize, task: &Task<'_, CiviCrm>, calls: &mut Calls) {
    let memo = &task.memo;
    let Some(contact) = memo.contact.as_ref().map(|found| found.id) else {
        return;
    };
    for (number, group) in memo.joins.iter().enumerate() {
        let record = json!({ "contact_id": contact, "group_id:name": group, "status": "Added" });
        let params = json!({ "records": [record], "match": ["contact_id", "group_id"] });
        calls.insert(
            key(at, &format!("group{number}")),
            json!(["GroupContact", "save", params]),
        );
    }
    if let Some(found) = memo.contact.as_ref().filter(|found| found.lacks_address) {
        let mut record = json!({ "contact_id": found.id, "email": memo.email, "is_primary": true });
        if let (Some(why), Some(record)) = (suppression(task.delivery), record.as_object_mut()) {
            record.insert("on_hold".to_owned(), withdraw::hold(why).into());
        }
        let params = json!({ "records": [record], "match": ["contact_id", "email"] });
        calls.insert(key(at, "email"), json!(["Email", "save", params]));
    }
    if let Some(found) = memo.contact.as_ref().filter(|_| memo.releases_hold) {
        let params = json!({ "where": [["id", "=", found.email_id]], "values": { "on_hold": 0 } });
        calls.insert(key(at, "hold"), json!(["Email", "update", params]));
    }
    let owned = |values: &Map<String, Value>| {
        let mut record = values.clone();
        record.insert("contact_id".to_owned(), contact.into());
        record
    };
    if !memo.address.is_empty() {
        let call = if let Some(id) = memo.address_id {
            json!(["Address", "update", { "where": [["id", "=", id]], "values": memo.address }])
        } else {
            let mut record = owned(&memo.address);
            record.insert("is_primary".to_owned(), true.into());
            // A repeat finds the primary address that it made.
            json!(["Address", "save", { "records": [record], "match": ["contact_id", "is_primary"] }])
        };
        calls.insert(key(at, "address"), call);
    }
    if !memo.phone.is_empty() {
        let params = json!({ "records": [owned(&memo.phone)], "match": ["contact_id", "phone"] });
        calls.insert(key(at, "phone"), json!(["Phone", "save", params]));
    }
    if let (Some(activity), false) = (&civicrm.settings.activity, memo.activity.is_empty()) {
        let mut record = memo.activity.clone();
        record.insert("source_contact_id".to_owned(), contact.into());
        if let Some(campaign) = memo.campaign_id {
            record.insert("campaign_id".to_owned(), campaign.into());
        }
        let (name, _) = &activity.key;
        let params = json!({ "records": [record], "match": ["activity_type_id", name] });
        calls.insert(key(at, "activity"), json!(["Activity", "save", params]));
    }
}

/// The new values of a known contact.
pub(super) fn news(
    how: Existing,
    wanted: &Map<String, Value>,
    known: &Map<String, Value>,
) -> Map<String, Value> {
    let is_new = |name: &str, value: &Value| match known.get(name).filter(|known| is_set(known)) {
        None => true,
        Some(known) => how == Existing::Overwrite && !is_same(known, value),
    };
    let wanted = wanted.iter().filter(|(name, value)| is_new(name, value));
    wanted
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

pub(super) fn is_set(value: &Value) -> bool {
    !value.is_null() && *value != "" && *value != Value::Array(Vec::new())
}

/// Numbers and texts of the same digits are the same.
pub(super) fn is_same(one: &Value, other: &Value) -> bool {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    plain(one).trim().to_lowercase() == plain(other).trim().to_lowercase()
}
