//! Proves the key, the audience, its merge fields, groups and marketing permissions without changing anything.

use serde_json::Value;

use super::{Mailchimp, config::OptIn, request::get};
use crate::{
    connector::Probe,
    http::{Answer, HttpRequest},
};

pub(super) fn probes(mailchimp: &Mailchimp) -> Vec<Probe> {
    let settings = &mailchimp.settings;
    let list = settings.list.clone();
    let has_permissions = !settings.marketing_permissions.is_empty();
    let asks = settings.opt_in == OptIn::Pending;
    let of_lists = [
        ("count", "1000"),
        (
            "fields",
            "lists.id,lists.name,lists.double_optin,lists.marketing_permissions",
        ),
    ];
    let mut probes = vec![
        probe(get(mailchimp, &["lists"], &of_lists), move |body| {
            the_list(body, &list, has_permissions, asks)
        }),
        {
            let names: Vec<String> = settings.fields.names().map(str::to_owned).collect();
            let path: [&str; 3] = ["lists", &settings.list, "merge-fields"];
            let query = [("count", "1000"), ("fields", "merge_fields.tag")];
            probe(get(mailchimp, &path, &query), move |body| fields(body, &names))
        },
    ];
    if has_permissions || !settings.interests.is_empty() {
        let (permissions, interests) = (settings.marketing_permissions.clone(), settings.interests.clone());
        let path: [&str; 3] = ["lists", &settings.list, "members"];
        let query = [
            ("count", "1"),
            ("fields", "members.interests,members.marketing_permissions"),
        ];
        probes.push(probe(get(mailchimp, &path, &query), move |body| {
            ids(body, &permissions, &interests)
        }));
    }
    probes
}

/// A probe that fails with a plain sentence if the key does not suffice.
fn probe(
    request: HttpRequest,
    judge: impl Fn(&Value) -> Result<Vec<String>, String> + Send + Sync + 'static,
) -> Probe {
    let judge = move |answer: &Answer| match (answer.status, answer.json()) {
        (401, _) => {
            Err("Mailchimp does not accept the key: make a new one, or check `data_center`".to_owned())
        }
        (403, _) => {
            Err("Mailchimp forbids the key to read audiences: its user needs the role Manager".to_owned())
        }
        (404, _) => Err("Mailchimp has no such address: check `api_version` and `base_url`".to_owned()),
        (200, Some(body)) if answer.complete => judge(&body),
        (200, _) => Err("something in front of Mailchimp answered: check `base_url`".to_owned()),
        (status, _) => Err(format!("Mailchimp answered {status}")),
    };
    Probe {
        request,
        judge: Box::new(judge),
    }
}

fn entries<'a>(body: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    body.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn the_list(body: &Value, list: &str, has_permissions: bool, asks: bool) -> Result<Vec<String>, String> {
    let Some(found) = entries(body, "lists").find(|one| text(one, "id") == list) else {
        let known = entries(body, "lists").map(|one| format!("{} ({})", text(one, "id"), text(one, "name")));
        let known: Vec<String> = known.take(20).collect();
        return Err(format!(
            "Mailchimp has no audience {list}; it has {}",
            known.join(", ")
        ));
    };
    let is_on = |name: &str| found.get(name).and_then(Value::as_bool) == Some(true);
    if has_permissions && !is_on("marketing_permissions") {
        return Err(format!(
            "audience {list} has no GDPR fields: switch them on, or remove `marketing_permissions`"
        ));
    }
    let remark =
        "the audience asks people to confirm by a mail, but opt_in = \"subscribed\" subscribes them at once";
    let is_bypassed = is_on("double_optin") && !asks;
    Ok(is_bypassed.then(|| remark.to_owned()).into_iter().collect())
}

fn fields(body: &Value, names: &[String]) -> Result<Vec<String>, String> {
    let is_there = |name: &str| entries(body, "merge_fields").any(|field| text(field, "tag") == name);
    match names.iter().find(|name| !is_there(name)) {
        None => Ok(Vec::new()),
        Some(name) => Err(format!(
            "the audience has no merge field `{name}`: create it, or correct `fields`. Mailchimp would lose its values"
        )),
    }
}

/// Only a member shows the ids of groups and permissions.
fn ids(body: &Value, permissions: &[String], interests: &[String]) -> Result<Vec<String>, String> {
    let Some(member) = entries(body, "members").next() else {
        let remark =
            "the audience has no member yet, so groups and marketing permissions could not be checked";
        return Ok(vec![remark.to_owned()]);
    };
    let has_interest = |id: &str| member.get("interests").is_some_and(|all| all.get(id).is_some());
    if let Some(id) = interests.iter().find(|id| !has_interest(id)) {
        return Err(format!("the audience has no group {id}: correct `interests`"));
    }
    let has_permission = |id: &str| {
        entries(member, "marketing_permissions").any(|one| text(one, "marketing_permission_id") == id)
    };
    match permissions.iter().find(|id| !has_permission(id)) {
        None => Ok(Vec::new()),
        Some(id) => {
            let known: Vec<String> = entries(member, "marketing_permissions")
                .map(|one| format!("{} ({})", text(one, "marketing_permission_id"), text(one, "text")))
                .collect();
            Err(format!(
                "the audience has no marketing permission {id}; it has {}",
                known.join(", ")
            ))
        }
    }
}
