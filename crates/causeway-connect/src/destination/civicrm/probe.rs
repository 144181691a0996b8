//! Proves the key, the fields, the groups, the activity types and the permissions without changing anything.

use serde_json::{Map, Value, json};

use super::{CiviCrm, calls, config::Campaigns, envelope};
use crate::{connector::Probe, http::Answer};

type Rows = Result<Vec<Value>, ()>;

/// One call that is made, what it is about, and what its rows prove.
type Call = (
    Value,
    Box<dyn Fn(&Rows) -> Result<Vec<String>, String> + Send + Sync>,
);

pub(super) fn probes(civicrm: &CiviCrm) -> Vec<Probe> {
    let settings = &civicrm.settings;
    let mut probes: Vec<Call> = Vec::new();
    let contact = settings.fields.names().map(str::to_owned).collect();
    probes.push(fields("Contact", "fields", contact));
    if let Some(address) = &settings.address {
        probes.push(fields(
            "Address",
            "address",
            address.names().map(str::to_owned).collect(),
        ));
    }
    if let Some(phone) = &settings.phone {
        probes.push(fields(
            "Phone",
            "phone",
            phone.names().map(str::to_owned).collect(),
        ));
    }
    if !settings.groups.is_empty() {
        probes.push(groups(settings.groups.clone()));
    }
    if let Some(activity) = &settings.activity {
        let names = activity.fields.names().chain([&*activity.key.0]);
        probes.push(fields(
            "Activity",
            "activity.fields",
            names.map(str::to_owned).collect(),
        ));
        probes.push(types(
            activity.all_types().into_iter().map(str::to_owned).collect(),
        ));
        if settings.campaigns != Campaigns::Ignore {
            let call = json!(["Campaign", "get", { "select": ["id"], "limit": 1 }]);
            probes.push((
                call,
                Box::new(|rows| match rows {
                    Ok(_) => Ok(Vec::new()),
                    Err(()) => Err(
                        "campaigns cannot be read: enable the component CiviCampaign, and give the API user \
                         \"access CiviCampaign\""
                            .to_owned(),
                    ),
                }),
            ));
        }
    }
    for (entity, action) in [
        ("Contact", "create"),
        ("Contact", "update"),
        ("Email", "create"),
        ("GroupContact", "create"),
        ("Activity", "create"),
    ] {
        let is_needed = match entity {
            "GroupContact" => !settings.groups.is_empty(),
            "Activity" => settings.activity.is_some(),
            _ => true,
        };
        if is_needed {
            probes.push(access(entity, action));
        }
    }
    probes.into_iter().map(|call| probe(civicrm, call)).collect()
}

fn probe(civicrm: &CiviCrm, (call, judge): Call) -> Probe {
    let calls = Map::from_iter([("probe".to_owned(), call)]);
    Probe {
        request: calls::post(civicrm, calls),
        judge: Box::new(move |answer| {
            match rows(answer)? {
            Some(rows) => judge(&rows),
            None => Err(
                "CiviCRM did not answer with JSON: check `base_url`, and whether the site shows a log-in page".to_owned(),
            ),
        }
        }),
    }
}

/// The rows of the probe; `None` if the answer is not of an API.
fn rows(answer: &Answer) -> Result<Option<Rows>, String> {
    match answer.status {
        401 => {
            return Err(
                "CiviCRM does not accept the API key: check `api_key`, `site_key`, and the permission \
                        \"AuthX: Authenticate to services with API key\""
                    .to_owned(),
            );
        }
        404 | 405 | 410 => return Err("there is no APIv4 at this address: check `base_url`".to_owned()),
        300..=399 => {
            return Err(format!(
                "answered {}: enter the final address in `base_url`",
                answer.status
            ));
        }
        _ => {}
    }
    let body = answer.json().unwrap_or_default();
    let Some(results) = body.as_object() else {
        return Ok(None);
    };
    if !results.contains_key("probe") {
        let status = answer.status;
        return Err(format!(
            "answered {status}: the API user lacks the permission \"access CiviCRM\" or \"access AJAX API\""
        ));
    }
    Ok(Some(
        envelope::rows(answer, results, "probe", "the probe", 1).map_err(|_| ()),
    ))
}

/// Whether each field of the mapping exists and can be written.
fn fields(entity: &'static str, key: &'static str, names: Vec<String>) -> Call {
    let plain = |name: &String| name.split(':').next().unwrap_or_default().to_owned();
    let wanted: Vec<String> = names.iter().map(plain).collect();
    let call =
        json!([entity, "getFields", { "where": [["name", "IN", wanted]], "select": ["name", "readonly"] }]);
    let judge = move |rows: &Rows| {
        let Ok(rows) = rows else {
            return Err(format!(
                "the fields of {entity} cannot be read: the API user lacks a permission"
            ));
        };
        for name in &names {
            let own = name.split(':').next().unwrap_or_default();
            let Some(field) = rows.iter().find(|row| row["name"] == own) else {
                // A key by another column: `campaign_id.name`.
                if name
                    .split_once('.')
                    .is_some_and(|(first, _)| first.ends_with("_id"))
                {
                    continue;
                }
                return Err(format!(
                    "{entity} in CiviCRM has no field `{name}`: create it, or correct `{key}` (custom fields are written \
                     Group.Field, with their machine names)"
                ));
            };
            if field["readonly"] == true {
                return Err(format!(
                    "the field `{name}` cannot be written: take it out of `{key}`"
                ));
            }
        }
        Ok(Vec::new())
    };
    (call, Box::new(judge))
}

fn groups(names: Vec<String>) -> Call {
    let select = ["name", "is_active", "saved_search_id"];
    let call = json!(["Group", "get", { "where": [["name", "IN", names]], "select": select }]);
    let judge = move |rows: &Rows| {
        let Ok(rows) = rows else {
            return Err("groups cannot be read: give the API user \"edit groups\"".to_owned());
        };
        for name in &names {
            let Some(group) = rows.iter().find(|row| row["name"] == **name) else {
                return Err(format!(
                    "CiviCRM has no group `{name}`: its name is not its title; see Settings in the list of groups, or \
                     `Group.get` in the API explorer"
                ));
            };
            if !group["saved_search_id"].is_null() {
                return Err(format!(
                    "`{name}` is a smart group, which fills itself; make a regular group"
                ));
            }
            if group["is_active"] == false {
                return Err(format!("the group `{name}` is not active"));
            }
        }
        Ok(Vec::new())
    };
    (call, Box::new(judge))
}

fn types(names: Vec<String>) -> Call {
    let clauses = json!([
        ["option_group_id:name", "=", "activity_type"],
        ["name", "IN", names]
    ]);
    let call = json!(["OptionValue", "get", { "where": clauses, "select": ["name", "is_active"] }]);
    let judge = move |rows: &Rows| {
        let Ok(rows) = rows else {
            return Err("the activity types cannot be read: the API user lacks a permission".to_owned());
        };
        let is_known = |name: &String| {
            rows.iter()
                .any(|row| row["name"] == **name && row["is_active"] != false)
        };
        match names.iter().find(|name| !is_known(name)) {
            Some(name) => Err(format!(
                "CiviCRM has no activity type `{name}`: create it, or correct `activity`"
            )),
            None => Ok(Vec::new()),
        }
    };
    (call, Box::new(judge))
}

/// A remark, and not an error: for some entities CiviCRM can only say it about a particular row.
fn access(entity: &'static str, action: &'static str) -> Call {
    let call = json!([entity, "checkAccess", { "action": action, "values": {} }]);
    let judge = move |rows: &Rows| {
        let denied = rows
            .as_ref()
            .is_ok_and(|rows| rows.iter().any(|row| row["access"] == false));
        let remark =
            || format!("CiviCRM says that the API user may not {action} {entity}: check its permissions");
        Ok(denied.then(remark).into_iter().collect())
    };
    (call, Box::new(judge))
}
