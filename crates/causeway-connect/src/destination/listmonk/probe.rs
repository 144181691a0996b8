//! Proves the API user, its rights and the lists without changing anything.

use serde_json::Value;

use super::{
    Listmonk,
    request::{find, get},
};
use crate::{
    connector::Probe,
    http::{Answer, HttpRequest},
};

pub(super) fn probes(listmonk: &Listmonk) -> Vec<Probe> {
    let right = "give the API user the rights subscribers:get_all and subscribers:sql_query";
    // Nobody has this address.
    let mut probes = vec![probe(
        find(listmonk, &["nobody@example.invalid"]),
        right,
        |body| match body.pointer("/data/results") {
            Some(_) => Ok(Vec::new()),
            None => Err("listmonk did not list subscribers: check `base_url`".to_owned()),
        },
    )];
    if !listmonk.settings.lists.is_empty() {
        let mut request = get(listmonk, &["lists"]);
        request
            .url
            .query_pairs_mut()
            .append_pair("page", "1")
            .append_pair("per_page", "all");
        let wanted = listmonk.settings.lists.clone();
        let right = "give the API user the right lists:get_all, or the right for each list";
        probes.push(probe(request, right, move |body| lists(body, &wanted)));
    }
    probes
}

fn probe(
    request: HttpRequest,
    right: &'static str,
    judge: impl Fn(&Value) -> Result<Vec<String>, String> + Send + Sync + 'static,
) -> Probe {
    Probe {
        request,
        judge: Box::new(move |answer: &Answer| {
            let body = answer.json().unwrap_or_default();
            let message = body.get("message").and_then(Value::as_str).unwrap_or_default();
            match answer.status {
                403 if message.contains("permission") => Err(format!("listmonk refuses a right: {right}")),
                401 | 403 => {
                    Err("listmonk does not accept the API user: check `user` and `token`".to_owned())
                }
                404 | 405 => Err("there is no listmonk at this address: check `base_url`".to_owned()),
                200..=299 => judge(&body),
                status => Err(format!("listmonk answered {status}")),
            }
        }),
    }
}

fn lists(body: &Value, wanted: &[u64]) -> Result<Vec<String>, String> {
    let Some(known) = body.pointer("/data/results").and_then(Value::as_array) else {
        return Err("listmonk did not show its lists: check `base_url`".to_owned());
    };
    let mut remarks = Vec::new();
    for id in wanted {
        let Some(list) = known.iter().find(|list| list["id"] == *id) else {
            let shown = known.iter().take(20).filter_map(|list| {
                let name = list.get("name").and_then(Value::as_str)?;
                Some(format!("{} ({name})", list.get("id")?))
            });
            let shown: Vec<String> = shown.collect();
            return Err(format!("listmonk has no list {id}; it has {}", shown.join(", ")));
        };
        if list["optin"] == "double" {
            remarks.push(format!(
                "list {id} asks for a confirmation by mail, but people from Causeway are confirmed already"
            ));
        }
    }
    Ok(remarks)
}
