//! Puts the HTTP side together: the public listener, and the private pages.

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use causeway_core::{
    id::Name,
    source::{Accept, SourceState, Stop},
};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::DropGuard;

use super::{
    Limits,
    console::{self, Connector, ConsoleConfig, ConsoleState},
    details::{Answerer, Details},
    events::{Events, Sender},
    health::{Health, Reason},
    ingest::{self, Ingest, Listener},
    intake::{Intake, IntakeMetrics, STORE_WAIT},
    serve::{Pages, serve},
};
use crate::{
    config::{Config, DestinationConfig, Generation, InForce, SourceConfig},
    engine::Engine,
    sources,
    telemetry::{Metrics, Sources},
};

/// The parts that the pages use. A reload leaves them as they are.
#[derive(Clone)]
pub struct Parts {
    pub engine: Arc<Engine>,
    pub accept: Arc<dyn Accept>,
    pub sources: Arc<Sources>,
    pub generation: Arc<InForce>,
    pub stop: Stop,
}

/// The HTTP side while it runs.
pub struct Site {
    parts: Parts,
    ingest: Arc<Ingest>,
    events: Arc<Events>,
    details: Arc<Details>,
    private: Pages,
    /// Ends the console's streams when it is dropped; browsers connect again, to the next console.
    console: DropGuard,
}

/// What a configuration changes about the HTTP side, checked.
pub struct Change {
    listeners: Vec<Listener>,
    senders: Vec<Sender>,
    answerers: Vec<Answerer>,
    private: Router,
    console: DropGuard,
}

/// Starts serving on the two sockets: the public one of the listener, and the private one of console, health and metrics.
/// After `stop` it ends when the requests in progress have their responses.
pub fn start(
    tasks: &mut JoinSet<()>,
    config: &Config,
    parts: Parts,
    (public, private): (TcpListener, TcpListener),
) -> anyhow::Result<Site> {
    let metrics: Arc<dyn IntakeMetrics> = Arc::clone(&parts.engine.metrics) as _;
    let intake = Arc::new(Intake {
        accept: Arc::clone(&parts.accept),
        clock: Arc::clone(&parts.engine.clock),
        metrics: Arc::clone(&metrics),
        store_wait: STORE_WAIT,
    });
    let made = change(config, &parts)?;
    let ingest = Ingest::new(made.listeners, Arc::clone(&intake))?;
    ingest.answer_by(Arc::clone(&parts.engine));
    let events = Events::new(made.senders, intake)?;
    let details = Details::new(made.answerers, &parts.engine, Arc::clone(&metrics));
    let routes = ingest.routes().merge(events.routes()).merge(details.routes());
    let site = Site {
        ingest: Arc::clone(&ingest),
        events,
        details,
        private: made.private.into(),
        console: made.console,
        parts,
    };
    let sockets = vec![(public, routes.into()), (private, site.private.clone())];
    let (engine, stop) = (Arc::clone(&site.parts.engine), site.parts.stop.clone());
    tasks.spawn(async move {
        let (views, clock) = (Arc::clone(&engine.views), Arc::clone(&engine.clock));
        // Until then, callers wait in the system's queue.
        if ingest::minted::first(&ingest, &*views, &*clock, &stop).await {
            let watching = ingest::minted::watch(ingest, views, clock, stop.clone());
            tokio::join!(watching, serve(sockets, Limits::default(), metrics, stop));
        }
    });
    Ok(site)
}

/// What a configuration makes of the HTTP side. Puts nothing into force.
fn change(config: &Config, parts: &Parts) -> anyhow::Result<Change> {
    let stop = parts.stop.child_token();
    let health = health(&parts.engine, &parts.sources, &parts.generation);
    Ok(Change {
        listeners: sources::listeners(config)?,
        senders: sources::senders(config)?,
        answerers: sources::answerers(config)?,
        private: health.routes().merge(console(config, parts, stop.clone())?),
        console: stop.drop_guard(),
    })
}

impl Site {
    pub fn change(&self, config: &Config) -> anyhow::Result<Change> {
        change(config, &self.parts)
    }

    /// Puts a change into force. Requests in progress end with what they began with.
    pub fn apply(&mut self, change: Change) -> anyhow::Result<()> {
        self.ingest.replace(change.listeners)?;
        self.events.replace(change.senders)?;
        self.details.replace(change.answerers);
        self.private.replace(change.private);
        self.console = change.console;
        Ok(())
    }
}

fn console(config: &Config, parts: &Parts, stop: Stop) -> anyhow::Result<Router> {
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
        views: Arc::clone(&parts.engine.views),
        clock: Arc::clone(&parts.engine.clock),
        sources: Arc::clone(&parts.sources),
        metrics: Arc::clone(&parts.engine.metrics),
        config: ConsoleConfig {
            sources: config.sources.iter().map(source).collect(),
            destinations: config.destinations.iter().map(destination).collect(),
            rules: config.rules().into(),
        },
        generation: generation(&parts.generation),
        stop,
        hosts: config.http.console_hosts.iter().cloned().collect(),
        development: console::templates_from_env(),
    };
    console::router(state).context("reading the console's templates")
}

fn generation(in_force: &Arc<InForce>) -> Arc<dyn Fn() -> Generation + Send + Sync> {
    let in_force = Arc::clone(in_force);
    Arc::new(move || in_force.generation())
}

fn health(engine: &Arc<Engine>, sources: &Arc<Sources>, generation: &Arc<InForce>) -> Health {
    let (shown, compared) = (self::generation(generation), Arc::clone(generation));
    let (red_engine, red_sources, engine) = (Arc::clone(engine), Arc::clone(sources), Arc::clone(engine));
    let (sources, warned) = (Arc::clone(sources), Arc::clone(&engine));
    Health {
        red: Arc::new(move || {
            let (engine, sources) = (Arc::clone(&red_engine), Arc::clone(&red_sources));
            Box::pin(async move { red(&engine, &sources).await })
        }),
        warnings: Arc::new(move || {
            let (engine, sources) = (Arc::clone(&warned), Arc::clone(&sources));
            let generation = Arc::clone(&compared);
            Box::pin(async move {
                let mut all = warnings(&engine, &sources).await;
                all.extend(generation.warning().await.into_iter().map(|reason| Reason {
                    part: "configuration".to_owned(),
                    reason,
                }));
                all
            })
        }),
        generation: shown,
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
