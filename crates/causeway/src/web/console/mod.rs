//! The console: read-only pages over [`Views`], kept current by one stream of samples. It changes nothing: it shows the
//! commands that fix a problem.
//!
//! Invariant: no page, sample or URL holds personal data that is not masked (see [`masking`]).

mod attention;
mod chart;
mod format;
mod guard;
mod live;
pub(crate) mod local;
pub(crate) mod masking;
mod pages;
mod picture;
mod render;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use axum::{
    Router,
    middleware::{from_fn_with_state, map_response},
    routing::{any, get, post},
};
use causeway_core::{
    clock::Clock,
    id::Name,
    rules::Rules,
    source::Stop,
    store::{StoreError, Views},
};

use crate::{
    config::Generation,
    telemetry::{Metrics, Sources},
};

use live::Live;
use render::Renderer;

/// The parts that the console uses.
pub struct ConsoleState {
    pub views: Arc<dyn Views>,
    pub clock: Arc<dyn Clock>,
    /// The state of the sources.
    pub sources: Arc<Sources>,
    /// Knows which lanes rest.
    pub metrics: Arc<Metrics>,
    pub config: ConsoleConfig,
    /// Which configuration is in force.
    pub generation: Arc<dyn Fn() -> Generation + Send + Sync>,
    /// Ends the streams, which would otherwise delay a graceful stop.
    pub stop: Stop,
    /// Host names under which the console may be called, besides `localhost` and IP addresses. Other names are refused, so that
    /// no web page can reach a console on loopback by a name that it resolves to loopback.
    pub hosts: BTreeSet<String>,
    /// Reads templates and assets from this crate folder for each page, instead of using the built-in ones. See
    /// [`templates_from_env`].
    pub development: Option<PathBuf>,
}

/// The parts of the configuration that the pages show, in display order.
#[derive(Debug, Clone, Default)]
pub struct ConsoleConfig {
    pub sources: Vec<Connector>,
    pub destinations: Vec<Connector>,
    /// The rules that decide whether a destination may be sent a person.
    pub rules: Arc<Rules>,
}

/// A source or destination as configured.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Connector {
    pub name: Name,
    /// `proca`, `webhook`, …
    pub kind: String,
    pub workspace: Name,
}

/// The folder in `CAUSEWAY_TEMPLATES`, for developers of templates. Read once, at start.
pub fn templates_from_env() -> Option<PathBuf> {
    std::env::var_os("CAUSEWAY_TEMPLATES").map(PathBuf::from)
}

/// The state that the pages share.
struct Console {
    views: Arc<dyn Views>,
    clock: Arc<dyn Clock>,
    renderer: Arc<Renderer>,
    live: Live,
    rules: Arc<Rules>,
    hosts: BTreeSet<String>,
    generation: Arc<dyn Fn() -> Generation + Send + Sync>,
}

/// The console's routes, and a task that samples the store once a second until `stop` or until the router is gone. Call it
/// within a tokio runtime.
///
/// # Errors
///
/// When a template is invalid, which is only possible with `development`.
pub fn router(state: ConsoleState) -> Result<Router, minijinja::Error> {
    let renderer = Arc::new(Renderer::new(state.development.as_deref())?);
    let rules = Arc::clone(&state.config.rules);
    let live = Live::start(live::Watched {
        views: Arc::clone(&state.views),
        clock: Arc::clone(&state.clock),
        sources: state.sources,
        metrics: state.metrics,
        config: state.config,
        renderer: Arc::clone(&renderer),
        stop: state.stop,
    });
    let console = Arc::new(Console {
        views: state.views,
        clock: state.clock,
        renderer,
        live,
        rules,
        hosts: state.hosts,
        generation: state.generation,
    });
    Ok(Router::new()
        .route("/", get(pages::overview::show))
        .route("/deliveries", get(pages::deliveries::show))
        .route("/messages", get(pages::messages::show))
        .route(
            "/messages/find",
            post(pages::messages::find).get(pages::not_found),
        )
        .route("/messages/{id}", get(pages::message::show))
        .route("/live", get(live::stream))
        .route("/assets/{name}", get(render::asset))
        .route("/{*path}", any(pages::not_found))
        .layer(from_fn_with_state(Arc::clone(&console), guard::hosts))
        .layer(map_response(guard::headers))
        .with_state(console))
}

/// Logs why a page could not be made, with the chain of errors; the page does not show the chain.
fn log_store_error(error: &StoreError) {
    tracing::warn!(%error, "The console could not read the store.");
}
