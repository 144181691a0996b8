//! Calls of `doctor`: the key, the list with its fields, and whether a person who is not there is understood. They
//! change nothing.

use serde_json::Value;

use super::{
    Vbout,
    envelope::{self, Lookup, Refusal},
    request,
};
use crate::{connector::Probe, http::Answer};

/// Nobody has this address.
const NOBODY: &str = "causeway-doctor@example.invalid";

pub(super) fn probes(vbout: &Vbout) -> Vec<Probe> {
    let settings = &vbout.settings;
    let list = settings.list;
    let number = list.to_string();
    let names: Vec<String> = settings
        .fields
        .iter()
        .flat_map(|fields| fields.names().map(str::to_owned))
        .collect();
    let account = Probe {
        request: request::get(vbout, "app/me", &[]),
        judge: Box::new(|answer| data(answer).map(|_| Vec::new())),
    };
    let fields = Probe {
        request: request::get(vbout, "getlist", &[("id", &number)]),
        judge: Box::new(move |answer| {
            let data = data(answer)?;
            let shown = data
                .get("list")
                .filter(|shown| is_number(shown.get("id"), list))
                .ok_or_else(|| format!("VBOUT describes no list {list}; correct `list`"))?;
            judge_list(shown, list, &names)
        }),
    };
    let nobody = Probe {
        request: request::get(
            vbout,
            "getcontactbyemail",
            &[("email", NOBODY), ("listid", &number)],
        ),
        judge: Box::new(|answer| {
            let said = opened(answer)?;
            match envelope::lookup(said) {
                Some(Lookup::Missing) => Ok(Vec::new()),
                _ => Err(
                    "VBOUT's response about an address that is not there cannot be understood: please report it, \
                     with what `curl` shows for getcontactbyemail"
                        .to_owned(),
                ),
            }
        }),
    };
    vec![account, fields, nobody]
}

fn is_number(value: Option<&Value>, number: u64) -> bool {
    value.is_some_and(|value| {
        value.as_u64() == Some(number) || value.as_str().and_then(|text| text.parse().ok()) == Some(number)
    })
}

fn opened(answer: &Answer) -> Result<Result<Value, Refusal>, String> {
    let said = envelope::open(answer);
    match (answer.status, said) {
        (_, Some(Err(refusal))) if refusal.is_about_key() => Err(format!(
            "answered {}: VBOUT does not accept the key; check `api_key`",
            answer.status
        )),
        (401 | 403, _) => Err(format!(
            "answered {}: VBOUT does not accept the key, or the plan has no API; check `api_key`",
            answer.status
        )),
        (_, Some(said)) => Ok(said),
        (status, None) => Err(format!(
            "answered {status}, not as VBOUT does: check `base_url` and `api_version`"
        )),
    }
}

fn data(answer: &Answer) -> Result<Value, String> {
    opened(answer)?.map_err(|refusal| {
        let shown = refusal.shown();
        if refusal.is_about_list() || refusal.is_missing() {
            format!("{shown}: VBOUT does not have this list; correct `list`")
        } else {
            format!("answered {} with {shown}", answer.status)
        }
    })
}

/// Whether the list has each field.
fn judge_list(shown: &Value, list: u64, names: &[String]) -> Result<Vec<String>, String> {
    let fields = shown.get("fields").and_then(Value::as_object);
    let known = fields.into_iter().flatten();
    let known: Vec<String> = known
        .map(|(number, label)| format!("{number} {}", label.as_str().unwrap_or_default()))
        .collect();
    let known = if known.is_empty() {
        "none".to_owned()
    } else {
        known.join(", ")
    };
    let is_known = |name: &String| fields.is_some_and(|fields| fields.contains_key(name));
    if let Some(name) = names.iter().find(|name| !is_known(name)) {
        return Err(format!(
            "list {list} has no field {name}; correct `fields`. Its fields: {known}"
        ));
    }
    let title = shown.get("name").and_then(Value::as_str).unwrap_or_default();
    let mut remarks = vec![format!("list {list} is {title:?}; its fields: {known}")];
    if is_number(shown.get("doubleOptin"), 1) {
        remarks.push(format!(
            "list {list} has double opt-in: its own forms ask people to confirm; Causeway writes those active who \
             agreed here"
        ));
    }
    Ok(remarks)
}
