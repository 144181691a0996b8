//! `/livez`, `/readyz` and `/metrics`, for monitoring. The functions in [`Health`] give the answers.

use std::{pin::Pin, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::Response,
    routing::get,
};
use serde::Serialize;

use super::error::json;
use crate::config::Generation;

/// A problem, in words for a person and without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The affected part: `store`, `source.proca`, `destination.crm`.
    pub part: String,
    pub reason: String,
}

/// The functions that answer the requests.
#[derive(Clone)]
pub struct Health {
    /// The reasons why the program is not ready; empty if it is ready.
    pub red: Arc<dyn Fn() -> Pending<Vec<Reason>> + Send + Sync>,
    /// What a person should look at although the program is ready.
    pub warnings: Arc<dyn Fn() -> Pending<Vec<Reason>> + Send + Sync>,
    /// The generation of the configuration that is in force.
    pub generation: Arc<dyn Fn() -> Generation + Send + Sync>,
    /// The counters, in the text format of Prometheus.
    pub metrics: Arc<dyn Fn() -> Pending<String> + Send + Sync>,
}

/// An answer that is computed asynchronously.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Health {
    /// `/livez`, `/readyz` and `/metrics`.
    pub fn routes(self) -> Router {
        Router::new()
            .route("/livez", get(live))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .with_state(self)
    }
}

async fn live() -> Response {
    json(StatusCode::OK, r#"{"live":true}"#.to_owned())
}

#[derive(Serialize)]
struct Ready {
    #[serde(rename = "ready")]
    is_green: bool,
    reasons: Vec<Reason>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Reason>,
    configuration: Generation,
}

async fn ready(State(health): State<Health>) -> Response {
    let reasons = (health.red)().await;
    let status = if reasons.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let answer = Ready {
        is_green: reasons.is_empty(),
        reasons,
        warnings: (health.warnings)().await,
        configuration: (health.generation)(),
    };
    match serde_json::to_string(&answer) {
        Ok(text) => json(status, text),
        Err(_) => json(
            StatusCode::SERVICE_UNAVAILABLE,
            r#"{"ready":false,"reasons":[]}"#.to_owned(),
        ),
    }
}

async fn metrics(State(health): State<Health>) -> Response {
    let mut response = Response::new(Body::from((health.metrics)().await));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8"),
    );
    response
}
