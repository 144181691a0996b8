//! Puts the HTTP side together: the public listener, and the private pages.

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use causeway_core::{
    id::Name,
    source::{Accept, SourceState, Stop},
};
use tokio::{net::TcpListener, task::JoinSet};

use super::{
    Limits,
    console::{self, Connector, ConsoleConfig, ConsoleState},
    details::Details,
    events::Events,
    health::{Health, Reason},
    ingest::{self, Ingest},
    intake::{Intake, IntakeMetrics, STORE_WAIT},
    serve,
};
use crate::{
    config::{Config, DestinationConfig, SourceConfig},
    engine::Engine,
    sources,
    telemetry::{Metrics, Sources},
};

/// The parts that the pages use.
pub struct Parts {
    /// The socket of the listener.
    pub public: TcpListener,
    /// The socket of console, health and metrics.
    pub private: TcpListener,
    pub engine: Arc<Engine>,
    pub config: Arc<Config>,
    pub accept: Arc<dyn Accept>,
    pub sources: Arc<Sources>,
    pub stop: Stop,
}

/// Starts serving. After `stop` it ends when the requests in progress have their responses.
pub fn start(parts: &mut JoinSet<()>, site: Parts) -> anyhow::Result<()> {
    let metrics: Arc<dyn IntakeMetrics> = Arc::clone(&site.engine.metrics) as _;
    let intake = Arc::new(Intake {
        accept: Arc::clone(&site.accept),
        clock: Arc::clone(&site.engine.clock),
        metrics: Arc::clone(&metrics),
        store_wait: STORE_WAIT,
    });
    let ingest = Ingest::new(sources::listeners(&site.config)?, Arc::clone(&intake))?;
    ingest.answer_by(Arc::clone(&site.engine));
    let events = Events::new(sources::senders(&site.config)?, intake)?;
    let details = Details::new(
        sources::answerers(&site.config)?,
        &site.engine,
        Arc::clone(&metrics),
    );
    let pages = health(&site.engine, &site.sources)
        .routes()
        .merge(console(&site)?);
    let sites = vec![
        (
            site.public,
            ingest.routes().merge(events.routes()).merge(details.routes()),
        ),
        (site.private, pages),
    ];
    let (views, clock) = (Arc::clone(&site.engine.views), Arc::clone(&site.engine.clock));
    parts.spawn(async move {
        // Until then, callers wait in the system's queue.
        if ingest::minted::first(&ingest, &*views, &*clock, &site.stop).await {
            let watching = ingest::minted::watch(ingest, views, clock, site.stop.clone());
            tokio::join!(watching, serve(sites, Limits::default(), metrics, site.stop));
        }
    });
    Ok(())
}

fn console(site: &Parts) -> anyhow::Result<Router> {
    let source = |(name, source): (&Name, &SourceConfig)| Connector {
        name: Name::clone(name),
        kind: source.kind.name.to_owned(),
        workspace: Name::clone(&source.rule.workspace),
    };
    let destination = |(name, destination): (&Name, &DestinationConfig)| Connector {
        name: Name::clone(name),
        kind: destination.kind.name.to_owned(),
        workspace: Name::clone(&destination.rule.workspace),
    };
    let state = ConsoleState {
        views: Arc::clone(&site.engine.views),
        clock: Arc::clone(&site.engine.clock),
        sources: Arc::clone(&site.sources),
        metrics: Arc::clone(&site.engine.metrics),
        config: ConsoleConfig {
            sources: site.config.sources.iter().map(source).collect(),
            destinations: site.config.destinations.iter().map(destination).collect(),
            rules: site.config.rules().into(),
        },
        stop: site.stop.clone(),
        hosts: site.config.http.console_hosts.iter().cloned().collect(),
        development: console::templates_from_env(),
    };
    console::router(state).context("reading the console's templates")
}

fn health(engine: &Arc<Engine>, sources: &Arc<Sources>) -> Health {
    let (red_engine, red_sources, engine) = (Arc::clone(engine), Arc::clone(sources), Arc::clone(engine));
    let (sources, warned) = (Arc::clone(sources), Arc::clone(&engine));
    Health {
        red: Arc::new(move || {
            let (engine, sources) = (Arc::clone(&red_engine), Arc::clone(&red_sources));
            Box::pin(async move { red(&engine, &sources).await })
        }),
        warnings: Arc::new(move || {
            let (engine, sources) = (Arc::clone(&warned), Arc::clone(&sources));
            Box::pin(async move { warnings(&engine, &sources).await })
        }),
        metrics: Arc::new(move || {
            let engine = Arc::clone(&engine);
            Box::pin(async move {
                let now = engine.clock.now();
                let overview = engine.views.overview(now).await.unwrap_or_default();
                engine.metrics.page(&overview, now)
            })
        }),
    }
}

/// What a person should look at although the hub works.
async fn warnings(engine: &Engine, sources: &Sources) -> Vec<Reason> {
    let of_source = |(name, reason)| Reason {
        part: format!("source.{name}"),
        reason,
    };
    let mut all: Vec<Reason> = sources.warnings().into_iter().map(of_source).collect();
    // A store that fails is a reason of its own.
    for (name, number) in engine.views.dead_withdrawals().await.unwrap_or_default() {
        all.push(Reason {
            part: format!("destination.{name}"),
            reason: format!(
                "{number} dead withdrawal{}: the destination still has people who opted out or were suppressed; \
                 `causeway doctor` says what to do",
                if number == 1 { "" } else { "s" }
            ),
        });
    }
    all
}

/// The reasons why the hub is not ready, in words for a person.
async fn red(engine: &Engine, sources: &Sources) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let mut add = |part: String, reason: String| reasons.push(Reason { part, reason });
    match engine.views.health().await {
        Err(error) => add("store".to_owned(), error.to_string()),
        Ok(health) => {
            if let Some(alarm) = health.clock_alarm {
                add("clock".to_owned(), alarm.to_string());
            }
        }
    }
    if engine.disk_is_low() {
        add(
            "store".to_owned(),
            "the disk is nearly full: no messages are accepted".to_owned(),
        );
    }
    for (name, state) in sources.states() {
        match state {
            SourceState::Running => {}
            SourceState::Connecting => add(format!("source.{name}"), "connecting".to_owned()),
            SourceState::Failing { reason } | SourceState::Halted { reason } => {
                add(format!("source.{name}"), reason);
            }
        }
    }
    match engine.views.lanes().await {
        Err(error) => add("store".to_owned(), error.to_string()),
        Ok(lanes) => {
            for (name, state) in lanes {
                if let Some(reason) = state.halted {
                    add(format!("destination.{name}"), reason);
                }
            }
        }
    }
    reasons
}

impl IntakeMetrics for Metrics {
    fn answered(&self, source: &str, status: u16, reason: &'static str, took: std::time::Duration) {
        self.ingest_answered(source, status, reason, took);
    }

    fn connection_broken(&self, reason: &'static str) {
        self.ingest_connection_broken(reason);
    }
}
