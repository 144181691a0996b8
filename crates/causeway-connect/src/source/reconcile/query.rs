//! Asking Proca's GraphQL API.

use std::{path::Path, time::Duration};

use causeway_core::clock::Timestamp;
use data_encoding::BASE64;
use reqwest::{
    Method,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde_json::{Value, json};
use url::Url;

use super::Reconcile;
use crate::{
    config::ConfigError,
    http::{Client, HttpRequest, read_header, read_url},
};

/// What of an action is asked for.
const FIELDS: &str = "actionId actionType createdAt customFields \
     contact { contactRef dupeRank payload nonce publicKey { id public } signKey { id public } } \
     privacy { withConsent optIn givenAt emailStatus emailStatusChanged } \
     campaign { id name title externalId contactSchema } actionPage { id name locale } \
     tracking { source medium campaign content location }";

/// Why a look ended. Without personal data or secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// More than is read of an answer.
    #[error("an answer for a single action is too long")]
    TooLong,
    #[error(
        "the API refuses us ({0}); mend `reconcile.bearer` or `reconcile.basic`, or the rights of that user in the organisation"
    )]
    Refused(String),
    #[error("{0}")]
    Api(String),
    #[error("the store did not take it: {0}")]
    Store(String),
}

pub(super) struct Asked {
    client: Client,
    url: Url,
    auth: HeaderValue,
    org: String,
}

impl Asked {
    pub(super) fn new(client: Client, config: &Reconcile, dir: &Path) -> Result<Self, ConfigError> {
        let text = match (&config.bearer, &config.basic) {
            (Some(bearer), _) => {
                let token = bearer.resolve("reconcile.bearer", dir)?;
                if token.reveal().is_empty() {
                    return Err(ConfigError::new("reconcile.bearer", "is empty"));
                }
                format!("Bearer {}", token.reveal())
            }
            (None, Some(basic)) => {
                let password = basic.password.resolve("reconcile.basic.password", dir)?;
                let pair = format!("{}:{}", basic.user, password.reveal());
                format!("Basic {}", BASE64.encode(pair.as_bytes()))
            }
            (None, None) => return Err(ConfigError::new("reconcile", "give either `bearer` or `basic`")),
        };
        let (_, auth) = read_header("reconcile", AUTHORIZATION.as_str(), &text, true)?;
        Ok(Self {
            client,
            url: read_url("reconcile.url", &config.url, config.allow_private, false)?,
            auth,
            org: config.org.clone(),
        })
    }

    /// Actions from this number on, in the order of their numbers. Without saying so, one would get those who opted in only.
    pub(super) async fn actions(
        &self,
        start: i64,
        after: Timestamp,
        limit: u32,
        within: Duration,
    ) -> Result<Vec<Value>, Trouble> {
        let query = format!(
            "query ($org: String!, $start: Int!, $after: DateTime, $limit: Int!) {{ exportActions(orgName: $org, start: $start, \
             after: $after, limit: $limit, onlyOptIn: false, includeTesting: false) {{ {FIELDS} }} }}"
        );
        let variables =
            json!({ "org": self.org, "start": start, "after": after.to_string(), "limit": limit });
        self.ask("exportActions", &query, &variables, within).await
    }

    /// Actions of an address, whatever became of it.
    pub(super) async fn contacts(
        &self,
        email: &str,
        after: Timestamp,
        within: Duration,
    ) -> Result<Vec<Value>, Trouble> {
        let query = format!(
            "query ($org: String!, $email: String!, $after: DateTime) {{ contacts(orgName: $org, email: $email, after: $after, \
             onlyOptIn: false) {{ {FIELDS} }} }}"
        );
        let variables = json!({ "org": self.org, "email": email, "after": after.to_string() });
        self.ask("contacts", &query, &variables, within).await
    }

    async fn ask(
        &self,
        name: &str,
        query: &str,
        variables: &Value,
        within: Duration,
    ) -> Result<Vec<Value>, Trouble> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, self.auth.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let request = HttpRequest {
            method: Method::POST,
            url: self.url.clone(),
            url_is_secret: false,
            headers,
            body: json!({ "query": query, "variables": variables })
                .to_string()
                .into(),
        };
        let answer = tokio::time::timeout(within, self.client.send(&request))
            .await
            .map_err(|_| Trouble::Api(format!("no answer within {} s", within.as_secs())))?
            .map_err(|fault| Trouble::Api(fault.to_string()))?;
        match answer.status {
            200 => {}
            401 | 403 => return Err(Trouble::Refused(format!("status {}", answer.status))),
            status => return Err(Trouble::Api(format!("the API answered with status {status}"))),
        }
        if !answer.complete {
            return Err(Trouble::TooLong);
        }
        let answer = answer
            .json()
            .ok_or_else(|| Trouble::Api("the API's answer is no JSON".to_owned()))?;
        list(name, &answer)
    }
}

/// The list that was asked for. With errors beside it the list may lack something: it does not count as whole.
fn list(name: &str, answer: &Value) -> Result<Vec<Value>, Trouble> {
    if let Some(errors) = answer["errors"].as_array().filter(|errors| !errors.is_empty()) {
        // The messages may quote what was asked: only their codes are told.
        let refused = errors.iter().any(|error| {
            let code = error
                .pointer("/extensions/code")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let text = error["message"].as_str().unwrap_or_default().to_lowercase();
            ["unauthorized", "permission_denied", "forbidden"].contains(&code)
                || text.contains("unauthorized")
                || text.contains("permission")
        });
        return Err(if refused {
            Trouble::Refused("an error in the answer".to_owned())
        } else {
            Trouble::Api(format!(
                "the API answered with {} error(s) to {name}",
                errors.len()
            ))
        });
    }
    match answer.get("data").and_then(|data| data.get(name)) {
        Some(Value::Array(entries)) => Ok(entries.clone()),
        _ => Err(Trouble::Api(format!("the API's answer has no list `{name}`"))),
    }
}
