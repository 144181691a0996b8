//! Serves the console over invented figures, for those who change its looks:
//! `CAUSEWAY_TEMPLATES=crates/causeway cargo run -p causeway --example console_preview -- [empty|calm|troubled] [PORT]`

mod fake_store;

use std::sync::Arc;

use causeway::{
    clock::SystemClock,
    config::Generation,
    telemetry::Metrics,
    web::console::{self, ConsoleState},
};
use causeway_core::{clock::Clock, source::Stop};
use fake_store::{FakeStore, Scene};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt::init();
    let mut arguments = std::env::args().skip(1);
    let scene = match arguments.next().as_deref() {
        Some("empty") => Scene::Empty,
        Some("troubled") => Scene::Troubled,
        _ => Scene::Calm,
    };
    let port: u16 = arguments.next().map_or(Ok(8484), |port| port.parse())?;
    let clock = Arc::new(SystemClock);
    let views = FakeStore::new(scene, clock.now());
    let metrics = Arc::new(Metrics::new());
    let router = console::router(ConsoleState {
        sources: views.sources(&metrics),
        config: views.config(),
        views,
        clock,
        metrics,
        generation: Arc::new(|| Generation {
            generation: 1,
            since: SystemClock.now(),
        }),
        stop: Stop::new(),
        hosts: std::collections::BTreeSet::new(),
        development: console::templates_from_env(),
    })?;
    let socket = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    #[expect(clippy::print_stdout, reason = "this is the program's answer")]
    {
        println!("The console is at http://{}/", socket.local_addr()?);
    }
    axum::serve(socket, router).await?;
    Ok(())
}
