//! The page that receives calls: credentials, forms, several calls in one request.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::{API_KEY, CiviCrm, PATH, errors::ApiError};
use crate::fake_api::{Reply, Request};

/// The fields of a form or query.
fn form(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

fn find<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields
        .iter()
        .find(|(have, _)| have == name)
        .map(|(_, value)| &**value)
}

fn text(status: u16, text: &str) -> Reply {
    Reply::status(status)
        .header("content-type", "text/plain;charset=utf-8")
        .body(text.to_owned())
}

impl CiviCrm {
    pub(super) fn receive(&mut self, request: &Request) -> Reply {
        if self.in_maintenance {
            let message = "Temporarily unavailable for maintenance.";
            return Reply::json(503, &json!({ "status_code": 503, "status_message": message }));
        }
        let Some(rest) = request.path.strip_prefix(PATH) else {
            return Reply::status(404)
                .header("content-type", "text/html; charset=utf-8")
                .body("<!DOCTYPE html><title>Page not found</title>");
        };
        match self.credentials(request) {
            Ok(true) => {}
            Ok(false) if request.header("x-requested-with") == Some("XMLHttpRequest") => {
                let error = ApiError::unauthorized("Authorization failed");
                return Reply::json(403, &error.body(self.shows_errors, self.log.len()));
            }
            Ok(false) => {
                let message =
                    "SECURITY ALERT: Ajax requests can only be issued by javascript clients, eg. CRM.api4().";
                return Reply::json(
                    400,
                    &json!({ "error_code": 0, "error_message": message, "status": 400 }),
                );
            }
            Err(reason) => return text(401, &format!("HTTP 401 {reason}")),
        }
        // Only a form is read. Of any other body nothing is seen.
        let is_form = request
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        let body = if is_form && request.method == "POST" {
            form(&request.text())
        } else {
            Vec::new()
        };
        let steps: Vec<&str> = rest.split('/').filter(|step| !step.is_empty()).collect();
        match (&steps[..], find(&body, "calls")) {
            ([], Some(calls)) => self.several(calls),
            ([entity, action], _) => {
                let query = form(&request.query);
                let params = find(&body, "params").or_else(|| find(&query, "params"));
                let index = find(&body, "index").or_else(|| find(&query, "index"));
                self.one(&request.method, [entity, action], params, index)
            }
            _ => Reply::json(
                500,
                &ApiError::new("Missing argument: entity").body(self.shows_errors, 0),
            ),
        }
    }

    /// Whether the request has valid credentials; `Err` if it has some that are not.
    fn credentials(&self, request: &Request) -> Result<bool, &'static str> {
        let given = request.header("x-civi-auth").or(request.header("authorization"));
        let Some(given) = given else { return Ok(false) };
        if given.strip_prefix("Bearer ") != Some(API_KEY) {
            return Err("Invalid credential");
        }
        let is_guarded = self.site_key.is_some();
        if is_guarded && request.header("x-civi-key") != self.site_key.as_deref() {
            return Err("Login not permitted. Must satisfy guard (site_key, perm).");
        }
        Ok(true)
    }

    fn one(&mut self, method: &str, call: [&str; 2], params: Option<&str>, index: Option<&str>) -> Reply {
        let [entity, action] = call;
        if method == "GET" && !action.starts_with("get") && action != "autocomplete" {
            let message = "SECURITY: All requests that modify the database must be http POST, not GET.";
            return Reply::json(
                405,
                &json!({ "error_code": 405, "error_message": message, "status": 405 }),
            );
        }
        let params: Value = params
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        match self.call(entity, action, &params) {
            Ok(result) => Reply::json(200, &indexed(result, index.unwrap_or_default())),
            Err(error) => Reply::json(error.status, &error.body(self.shows_errors, self.log.len())),
        }
    }

    /// Several calls in one request: each has its own result, and none knows of the others.
    fn several(&mut self, calls: &str) -> Reply {
        let calls: Value = serde_json::from_str(calls).unwrap_or_default();
        let list: Vec<(String, Value)> = match calls {
            Value::Object(named) => named.into_iter().collect(),
            Value::Array(items) => items
                .into_iter()
                .enumerate()
                .map(|(at, call)| (at.to_string(), call))
                .collect(),
            _ => Vec::new(),
        };
        let mut results = Map::new();
        let (mut succeeded, mut first_failure) = (false, None);
        for (key, call) in list {
            let part = |at: usize| call.get(at).and_then(Value::as_str).unwrap_or_default();
            let params = call.get(2).cloned().unwrap_or_default();
            let result = match self.call(part(0), part(1), &params) {
                Ok(result) => {
                    succeeded = true;
                    indexed(result, part(3))
                }
                Err(error) => {
                    first_failure = first_failure.or(Some(error.status));
                    error.body(self.shows_errors, self.log.len())
                }
            };
            results.insert(key, result);
        }
        let status = first_failure.filter(|_| !succeeded).unwrap_or(200);
        // PHP writes an empty array for an empty object.
        let body = if results.is_empty() {
            json!([])
        } else {
            results.into()
        };
        Reply::json(status, &body)
    }
}

/// One row, or the rows by a field, as the parameter `index` asks for.
fn indexed(mut result: Value, index: &str) -> Value {
    let rows = result
        .get("values")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let values = match index.parse::<i64>() {
        _ if index.is_empty() => return result,
        Ok(-1) => rows.last().cloned().unwrap_or_default(),
        Ok(at) => usize::try_from(at)
            .ok()
            .and_then(|at| rows.get(at).cloned())
            .unwrap_or_default(),
        Err(_) => {
            let key = |row: &Value| {
                let value = row.get(index).cloned().unwrap_or_default();
                value.as_str().map_or_else(|| value.to_string(), str::to_owned)
            };
            let named: Map<String, Value> = rows.iter().map(|row| (key(row), row.clone())).collect();
            named.into()
        }
    };
    if let Some(members) = result.as_object_mut() {
        members.insert("values".to_owned(), values);
    }
    result
}
