//! Proves the key, the lists and the attributes without changing anything, by calls of the bucket that is large.

use serde_json::Value;

use super::{Brevo, request::get, values::EXT_ID};
use crate::{
    connector::Probe,
    http::{Answer, HttpRequest},
};

pub(super) fn probes(brevo: &Brevo) -> Vec<Probe> {
    let names = brevo.settings.fields.names().map(str::to_uppercase);
    let names: Vec<String> = names.filter(|name| name != EXT_ID).collect();
    let all = get(brevo, &["contacts", "attributes"], &[]);
    let attributes = probe(all, move |status, body| attributes(status, body, &names));
    let lists = brevo.settings.lists.iter().map(|list| {
        let list = list.to_string();
        probe(
            get(brevo, &["contacts", "lists", &list], &[]),
            move |status, body| the_list(status, body, &list),
        )
    });
    std::iter::once(attributes).chain(lists).collect()
}

fn attributes(status: u16, body: &Value, names: &[String]) -> Result<Vec<String>, String> {
    let all = body.get("attributes").and_then(Value::as_array);
    let Some(all) = all.filter(|_| status == 200) else {
        return Err("Brevo has no such address: check `api_version` and `base_url`".to_owned());
    };
    let text = |one: &Value, name: &str| {
        one.get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    for name in names {
        let found = all
            .iter()
            .find(|one| text(one, "name").eq_ignore_ascii_case(name));
        let Some(found) = found else {
            return Err(format!(
                "contacts in Brevo have no attribute `{name}`: create it, or correct `fields`. Brevo would ignore its \
                 values"
            ));
        };
        let category = text(found, "category");
        if matches!(&*category, "calculated" | "global") {
            return Err(format!(
                "the attribute `{name}` is computed by Brevo (category {category}) and cannot be written: remove it \
                 from `fields`"
            ));
        }
    }
    Ok(Vec::new())
}

fn the_list(status: u16, body: &Value, list: &str) -> Result<Vec<String>, String> {
    let is_dynamic = body.get("dynamicList").and_then(Value::as_bool) == Some(true);
    let is_it = body
        .get("id")
        .and_then(Value::as_u64)
        .map(|id| id.to_string())
        .as_deref()
        == Some(list);
    match status {
        404 => Err(format!("Brevo has no list {list}: correct `lists`")),
        _ if is_dynamic => Err(format!(
            "list {list} fills itself: make a static list for this destination"
        )),
        _ if !is_it => Err("something in front of Brevo answered: check `base_url`".to_owned()),
        _ => Ok(Vec::new()),
    }
}

/// A probe that fails with a plain sentence if the key does not suffice.
fn probe(
    request: HttpRequest,
    judge: impl Fn(u16, &Value) -> Result<Vec<String>, String> + Send + Sync + 'static,
) -> Probe {
    let judge = move |answer: &Answer| match (answer.status, answer.json()) {
        (401, _) => Err(
            "Brevo does not accept the key, or not from this IP address: see Security > Authorized IPs"
                .to_owned(),
        ),
        (403, _) => Err("Brevo forbids the key to read contacts".to_owned()),
        (200 | 404, Some(body)) if answer.complete => judge(answer.status, &body),
        (200 | 404, _) => Err("something in front of Brevo answered: check `base_url`".to_owned()),
        (status, _) => Err(format!("Brevo answered {status}")),
    };
    Probe {
        request,
        judge: Box::new(judge),
    }
}
