//! Several requests in one call (`/composite`), which counts once against the limit of the day.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    Salesforce,
    call::{Answer, Call},
    errors::ApiError,
};
use crate::fake_api::{Reply, Request};

const MOST_PARTS: usize = 25;
/// Queries and collections among them.
const MOST_LARGE: usize = 5;

impl Salesforce {
    pub(super) fn composite(&mut self, call: &Call, request: &Request) -> Answer {
        let body = Value::Object(call.object()?);
        let Some(parts) = body["compositeRequest"].as_array() else {
            return Err(ApiError::invalid(
                "JSON_PARSER_ERROR",
                "compositeRequest: a list is expected",
            ));
        };
        let large = |part: &&Value| {
            let url = part["url"].as_str().unwrap_or_default();
            url.contains("/query") || url.contains("/composite/sobjects")
        };
        if parts.len() > MOST_PARTS || parts.iter().filter(large).count() > MOST_LARGE {
            let message = "Limit exceeded for number of subrequests in a composite request";
            return Err(ApiError::invalid("INVALID_INPUT", message));
        }
        let mut answers = Vec::new();
        for part in parts {
            let id = part["referenceId"].as_str().unwrap_or_default();
            if id.is_empty()
                || !id
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            {
                return Err(ApiError::invalid(
                    "INVALID_INPUT",
                    "referenceId: letters and digits are expected",
                ));
            }
            let reply = self.part(part, request).unwrap_or_else(ApiError::reply);
            let (status, body) = reply.status_and_body();
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            answers.push(
                json!({ "body": body, "httpHeaders": {}, "httpStatusCode": status, "referenceId": id }),
            );
        }
        Ok(Reply::json(200, &json!({ "compositeResponse": answers })))
    }

    fn part(&mut self, part: &Value, request: &Request) -> Answer {
        let url = part["url"].as_str().unwrap_or_default();
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let body = part.get("body").map(Value::to_string).unwrap_or_default();
        let inner = Request {
            method: part["method"].as_str().unwrap_or_default().to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: request.headers.clone(),
            body: Bytes::from(body),
        };
        let call = Call::new(&inner);
        let segments = call.segments.clone();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match segments.as_slice() {
            ["services", "data", version, rest @ ..]
                if Call::new(request).version == *version && rest.first() != Some(&"jobs") =>
            {
                self.route(rest, &call, &inner)
            }
            _ => Err(ApiError::invalid(
                "INVALID_INPUT",
                "The url of a subrequest is not supported",
            )),
        }
    }
}
