//! `kind = "proca"`: a Proca queue on RabbitMQ, over AMQP 0-9-1.
//!
//! It declares nothing at the broker, because Proca owns the topology and would crash on a queue with other
//! arguments. It needs no right but to read the queue. It acknowledges in multiples, once for each commit.
//! Both well-known client libraries consume at the same rate that way (with single acknowledgements `lapin`
//! takes five times the processor time). `lapin` was chosen because it is better maintained. Its own recovery
//! is not used: this module decides what follows from which error.
//!
//! Memory: at most `prefetch` messages are held at once, because the broker counts unacknowledged messages. A
//! message is taken whatever its size, since a rejected message would only be delivered again. When messages
//! are large, fewer are requested (see [`intake`]). Only the first prefetch of a connection is not bounded in
//! bytes.
//!
//! A broker that is short of memory or disk blocks publishers. This source never publishes, so it is never
//! blocked.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use causeway_core::{
    clock::Clock,
    destination::CheckError,
    id::Name,
    source::{Accept, Health, Remark, Source, SourceError, SourceState, Stop},
};
use lapin::Connection;
use schemars::schema_for;
use tokio::{
    select,
    time::{Instant, sleep, timeout},
};

pub use config::{Config, Consent, Details, Testing};
pub use decoder::Reading;

use self::{
    arguments::Arguments,
    backoff::{Backoff, jitter, system_random},
    connect::{AmqpError, Target, look_at, refuse_stream},
    depth::Depth,
    intake::{Intake, Terms},
};
use super::{Entry, Kind, reconcile::Reconciler};
use crate::config::{ConfigError, Context};

mod arguments;
mod backoff;
mod batch;
mod config;
mod connect;
mod consumers;
mod decoder;
mod depth;
mod intake;

pub const KIND: Kind = Kind {
    name: "proca",
    summary: "a Proca queue on RabbitMQ: actions, and events when the organisation has them switched on",
    sample: include_str!("../../../../../samples/sources/proca.toml"),
    schema: || schema_for!(Config),
    parse: |_, table| Config::parse(table).map(|config| config.ours()),
    decoder: |context, table| decoder::decoder(context, &Config::parse(table)?),
    entry: Entry::Fetched(|context, table| Ok(Box::new(Proca::new(context, Config::parse(table)?)?))),
};

/// Maximum time for a stop.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// The part of [`STOP_LIMIT`] in which received messages are committed and acknowledged.
const WIND_DOWN_LIMIT: Duration = Duration::from_millis(3_500);
/// The part of [`STOP_LIMIT`] in which the connection is closed.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// A check or a connection without an answer is reported after this time.
const PATIENCE: Duration = Duration::from_secs(15);
/// After a connection of this length the waits start again from the shortest.
const STEADY: Duration = Duration::from_secs(10);
/// The first rejections may come from an account that is just being created. After this many the source is
/// halted for a person.
const REFUSALS_TO_HALT: u32 = 3;

/// One configured queue.
pub struct Proca {
    name: Name,
    clock: Arc<dyn Clock>,
    target: Target,
    config: Config,
    reconciler: Option<Reconciler>,
}

impl Proca {
    /// Reads the secrets; opens no connection.
    pub fn new(context: &Context, config: Config) -> Result<Self, ConfigError> {
        let target = Target {
            url: config.url.clone(),
            ca_file: config.ca_file.clone(),
            server_name: config.server_name.clone(),
            allow_plain: config.allow_plain,
            dir: context.dir.clone(),
            name: format!("causeway {}", context.name),
        };
        target.read()?;
        let reconciler = match &config.reconcile {
            Some(reconcile) => Some(Reconciler::new(context, reconcile, config.as_reconciled())?),
            None => None,
        };
        Ok(Self {
            reconciler,
            name: context.name.clone(),
            clock: context.clock.clone(),
            target,
            config,
        })
    }

    /// Connects and consumes, again after every error.
    async fn keep_consuming(&self, terms: Terms) {
        let mut backoff = Backoff::new(terms.random);
        let (mut refusals, mut is_trial) = (0, false);
        loop {
            select! {
                () = until_ready(&terms) => {}
                () = terms.stop.cancelled() => return,
            }
            let error = match self.consume_once(&terms, &mut backoff, is_trial).await {
                Ok(()) => return,
                Err(_) if terms.stop.is_cancelled() => return,
                Err(error) => error,
            };
            // From now on each start requests a single message first.
            is_trial |= matches!(error, AmqpError::NotStored(_));
            refusals = if matches!(error, AmqpError::Refused(_)) {
                refusals + 1
            } else {
                0
            };
            let wait = self.report(&terms, &error, refusals, &mut backoff);
            select! {
                () = sleep(wait) => {}
                () = terms.stop.cancelled() => return,
            }
        }
    }

    /// Reports the source's state, and returns how long to wait. After repeated rejections the source is
    /// halted, but still tries from time to time: a person fixes the broker or the file of the secret, and
    /// should not need to restart the hub.
    fn report(&self, terms: &Terms, error: &AmqpError, refusals: u32, backoff: &mut Backoff) -> Duration {
        let reason = error.reason().to_owned();
        if refusals < REFUSALS_TO_HALT {
            let wait = backoff.wait();
            tracing::warn!(source = %self.name, %reason, wait_ms = wait.as_millis(), "Not consuming; trying again.");
            terms.health.set(SourceState::Failing { reason });
            return wait;
        }
        let every = Duration::from_secs(self.config.refused_retry_s.into());
        if refusals == REFUSALS_TO_HALT {
            tracing::error!(source = %self.name, %reason, "The broker refuses access; fix the credentials or the \
                 permissions.");
        }
        terms.health.set(SourceState::Halted {
            reason: format!("{reason} (tries again every {} s)", every.as_secs()),
        });
        jitter(every, terms.random)
    }

    /// `Ok` when stopped.
    async fn consume_once(
        &self,
        terms: &Terms,
        backoff: &mut Backoff,
        is_trial: bool,
    ) -> Result<(), AmqpError> {
        let connection = select! {
            opened = self.open(terms) => opened?,
            () = terms.stop.cancelled() => return Ok(()),
        };
        let intake = select! {
            started = start(terms, &connection, is_trial) => started?,
            () = terms.stop.cancelled() => return Ok(()),
        };
        terms.health.set(SourceState::Running);
        tracing::info!(source = %self.name, queue = self.config.queue, "Consuming.");
        let since = Instant::now();
        let depth = Depth {
            queue: self.config.queue.clone(),
            fail_queue: self.config.fail_queue(),
            every: Duration::from_secs(self.config.depth_every_s.into()),
            health: terms.health.clone(),
        };
        let ended = select! {
            ended = intake.run() => ended,
            never = depth.watch(&connection) => match never {},
        };
        close(&connection).await;
        if let Err(error) = &ended {
            if !matches!(error, AmqpError::NotStored(_)) {
                terms.health.count("disconnected");
            }
            if since.elapsed() >= STEADY {
                backoff.reset();
            }
        }
        ended
    }

    /// Opens a connection, and reports it if that takes long.
    async fn open(&self, terms: &Terms) -> Result<Connection, AmqpError> {
        let opening = self.target.open();
        tokio::pin!(opening);
        if let Ok(opened) = timeout(PATIENCE, &mut opening).await {
            return opened;
        }
        let reason = "connecting: no answer from the broker yet".to_owned();
        terms.health.set(SourceState::Failing { reason });
        opening.await
    }
}

/// Looks up the queue first, on a channel of its own, so that a missing queue is distinguished from other
/// errors.
async fn start(terms: &Terms, connection: &Connection, is_trial: bool) -> Result<Intake, AmqpError> {
    let channel = connection.create_channel().await;
    let channel = channel.map_err(|error| AmqpError::new("opening a channel", &error))?;
    look_at(&channel, &terms.queue).await?;
    Intake::start(terms.clone(), connection, is_trial).await
}

/// Stays away from the broker while the store accepts nothing.
async fn until_ready(terms: &Terms) {
    let mut backoff = Backoff::new(terms.random);
    while let Err(error) = terms.accept.ready().await {
        let reason = format!("{error}; no message is taken from the broker until it can be stored");
        terms.health.set(SourceState::Failing { reason });
        sleep(backoff.wait()).await;
    }
}

async fn close(connection: &Connection) {
    // A failed close does not matter, because dropping the connection closes it.
    timeout(CLOSE_LIMIT, connection.close(200, "OK".into()))
        .await
        .ok();
}

#[async_trait]
impl Source for Proca {
    /// Never ends with an error: a person may fix any error of the broker while the hub runs.
    async fn run(
        &self,
        accept: Arc<dyn Accept>,
        health: Arc<dyn Health>,
        stop: Stop,
    ) -> Result<(), SourceError> {
        health.set(SourceState::Connecting);
        let accept = match &self.reconciler {
            Some(reconciler) => reconciler.with_campaigns(accept, &health),
            None => accept,
        };
        let terms = Terms {
            source: self.name.clone(),
            queue: self.config.queue.clone(),
            prefetch: self.config.prefetch,
            batch: self.config.batch.into(),
            in_flight_bytes: self.config.in_flight_bytes(),
            clock: self.clock.clone(),
            random: system_random,
            accept,
            health,
            stop: stop.clone(),
        };
        let deadline = async {
            stop.cancelled().await;
            sleep(STOP_LIMIT).await;
        };
        let (accept, health) = (Arc::clone(&terms.accept), Arc::clone(&terms.health));
        // Reconciliation runs beside the queue; neither waits for the other.
        let reconciling = async {
            match &self.reconciler {
                Some(reconciler) => reconciler.run(accept, health, stop.clone()).await,
                None => stop.cancelled().await,
            }
        };
        select! {
            ((), ()) = async { tokio::join!(self.keep_consuming(terms), reconciling) } => {}
            () = deadline => {}
        }
        Ok(())
    }

    async fn check(&self) -> Result<Vec<Remark>, CheckError> {
        let (consumers, arguments) = self.check_queue().await?;
        let mut remarks = Vec::from_iter(consumers::remark(consumers));
        remarks.push(arguments::remark(arguments.as_ref()));
        if let Some(reconciler) = &self.reconciler {
            let checked = timeout(PATIENCE, reconciler.check()).await;
            let checked =
                checked.map_err(|_| CheckError::Unavailable("`reconcile`: no answer".to_owned()))?;
            remarks.extend(checked?);
        }
        Ok(remarks)
    }
}

impl Proca {
    /// Returns the number of programs that read the queue, and its arguments.
    async fn check_queue(&self) -> Result<(u32, Option<Arguments>), CheckError> {
        let looking = async {
            let connection = self.target.open().await?;
            let channel = connection.create_channel().await;
            let channel = channel.map_err(|error| AmqpError::new("opening a channel", &error))?;
            let queue = look_at(&channel, &self.config.queue).await?;
            refuse_stream(&connection, &self.config.queue).await?;
            let arguments = arguments::ask(&connection, &self.config.queue).await?;
            close(&connection).await;
            Ok((queue.consumer_count(), arguments))
        };
        match timeout(PATIENCE, looking).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error @ (AmqpError::Refused(_) | AmqpError::Missing(_)))) => {
                Err(CheckError::Refused(error.reason().to_owned()))
            }
            Ok(Err(error)) => Err(CheckError::Unavailable(error.reason().to_owned())),
            Err(_) => Err(CheckError::Unavailable("the broker does not answer".to_owned())),
        }
    }
}
