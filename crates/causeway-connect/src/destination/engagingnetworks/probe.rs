//! Calls of `doctor`: the API user, the fields, the questions and the page. They change nothing.

use serde_json::Value;

use super::{EngagingNetworks, action::misuse, request, session::message};
use crate::{connector::Probe, http::Answer};

pub(super) fn probes(networks: &EngagingNetworks) -> Vec<Probe> {
    let settings = &networks.settings;
    let email = settings.email_field.clone();
    let mut names: Vec<String> = settings.fields.names().map(str::to_owned).collect();
    names.sort_unstable();
    let opt_ins: Vec<(String, bool)> = settings
        .opt_ins
        .iter()
        .map(|opt_in| (opt_in.name.clone(), opt_in.is_double))
        .collect();
    let general: Vec<String> = settings
        .questions
        .iter()
        .flat_map(|questions| questions.names().map(str::to_owned))
        .collect();
    let mut probes = vec![
        Probe {
            request: request::get(networks, &["supporter", "fields"]),
            judge: Box::new(move |answer| fields(&list(answer)?, &email, &names)),
        },
        Probe {
            request: request::get(networks, &["supporter", "questions"]),
            judge: Box::new(move |answer| questions(&list(answer)?, &opt_ins, &general)),
        },
    ];
    let page = settings.action.as_ref().and_then(|action| action.fixed.clone());
    probes.extend(page.map(|number| Probe {
        request: request::get(networks, &["page", &number]),
        judge: Box::new(move |answer| page_is_fit(answer, &number)),
    }));
    probes
}

fn content(answer: &Answer) -> Result<Value, String> {
    let status = answer.status;
    let body = answer.json().unwrap_or_default();
    match status {
        200..=299 => Ok(body),
        400..=403 if message(&body).contains("adequate permissions") => Err(format!(
            "answered {status}: the API user may not read this; give its permission group the rights that \
             docs/engagingnetworks.md lists"
        )),
        401 | 403 => Err(format!(
            "answered {status}: Engaging Networks refuses the API user; check its addresses, its rights and `token`"
        )),
        _ => Err(format!("answered {status}: check `base_url`")),
    }
}

fn list(answer: &Answer) -> Result<Vec<Value>, String> {
    let content = content(answer)?;
    let list = content.as_array().cloned();
    list.ok_or_else(|| {
        format!(
            "answered {}, not as Engaging Networks does: check `base_url`",
            answer.status
        )
    })
}

fn text<'v>(item: &'v Value, name: &str) -> &'v str {
    item.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Whether each field exists. Engaging Networks refuses a supporter with any other.
fn fields(known: &[Value], email: &str, names: &[String]) -> Result<Vec<String>, String> {
    let has = |name: &str| known.iter().any(|field| text(field, "name") == name);
    if !has(email) {
        let own = known
            .iter()
            .find(|field| text(field, "property") == "emailAddress");
        let own = own.map_or("email", |field| text(field, "name"));
        return Err(format!(
            "supporters have no field {email:?}; the account's name for the address is {own:?}: write it into \
             `email_field`"
        ));
    }
    match names.iter().find(|name| !has(name)) {
        Some(name) => Err(format!(
            "supporters have no field {name:?}: correct `fields`, or add the field in the account data structure"
        )),
        None => Ok(Vec::new()),
    }
}

fn questions(known: &[Value], opt_ins: &[(String, bool)], general: &[String]) -> Result<Vec<String>, String> {
    let kind = |name: &str| {
        let question = known
            .iter()
            .find(|question| text(question, "name").trim() == name.trim());
        question.map(|question| text(question, "type").to_uppercase())
    };
    for (name, is_double) in opt_ins {
        let key = if *is_double { "double_opt_ins" } else { "opt_ins" };
        match kind(name).as_deref() {
            None => return Err(format!("the account has no question {name:?}: correct `{key}`")),
            Some("GEN") => {
                return Err(format!(
                    "{name:?} is a general question and no opt-in: correct `{key}`"
                ));
            }
            Some("CONF") if !is_double => {
                return Err(format!(
                    "{name:?} asks for a confirmation by mail: name it in `double_opt_ins`, so that only confirmed \
                     people get a Y"
                ));
            }
            Some(_) => {}
        }
    }
    for name in general {
        match kind(name).as_deref() {
            None => {
                return Err(format!(
                    "the account has no question {name:?}: correct `questions`"
                ));
            }
            Some("GEN") => {}
            Some(_) => {
                return Err(format!(
                    "{name:?} is an opt-in, which only consent may answer: remove it from `questions`"
                ));
            }
        }
    }
    Ok(Vec::new())
}

fn page_is_fit(answer: &Answer, number: &str) -> Result<Vec<String>, String> {
    let is_missing = answer.status == 204 || (answer.status == 404 && answer.json().is_some());
    if is_missing {
        return Err(format!("the account has no page {number}: correct `action.page`"));
    }
    let page = content(answer)?;
    if page.get("campaignId").is_none() {
        return Err(format!(
            "answered {}, not as Engaging Networks does: check `base_url`",
            answer.status
        ));
    }
    if let Some(reason) = misuse(&page) {
        return Err(format!("page {number} {reason}"));
    }
    let (name, status) = (text(&page, "name"), text(&page, "campaignStatus"));
    let state = if status == "live" {
        ""
    } else {
        ", which may not take actions"
    };
    Ok(vec![format!("page {number} is {name:?}, {status}{state}")])
}
