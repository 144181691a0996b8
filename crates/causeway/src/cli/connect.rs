//! `causeway connect`: a person signs in at a vendor, and the hub keeps the token.

use std::{collections::BTreeMap, future::IntoFuture as _, net::Ipv4Addr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use causeway_connect::{
    config::Context as ConnectContext,
    http::Client,
    oauth::{Failure as OAuthFailure, SignIn, Started},
    vault::Vault,
};
use causeway_core::clock::Clock;
use subtle::ConstantTimeEq;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    sync::mpsc,
};

use super::{
    Failure,
    context::{Context, print_line},
};
use crate::{clock::SystemClock, hub, vault::StoreVault};

const PATH: &str = "/callback";

/// Signs in at the vendor of a destination, in a browser, and keeps the token for the hub.
///
/// Register the printed redirect address at the vendor first. If the browser runs on another machine, it cannot open that
/// address in the end: copy it from the address bar and paste it here.
#[derive(clap::Args)]
#[command(after_help = "Example: causeway connect crm\n         causeway connect crm --port 9000")]
pub(super) struct Args {
    /// The destination's name in the configuration.
    destination: String,
    /// Port on this machine (127.0.0.1) to which the vendor sends the browser back.
    #[arg(long, default_value_t = 8439)]
    port: u16,
    /// Minutes to wait for the person.
    #[arg(long, default_value_t = 10, value_name = "MINUTES")]
    wait: u64,
    /// Forget the sign-in. Withdraw it at the vendor, too.
    #[arg(long)]
    forget: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let config = context.load()?;
    let name = args.destination.as_str();
    let Some((name, destination)) = config.destinations.get_key_value(name) else {
        let names: Vec<&str> = config.destinations.keys().map(|name| &**name).collect();
        return Err(Failure::Usage(format!(
            "there is no destination {name:?}; there are: {}",
            names.join(", ")
        )));
    };
    let Some(sign_in) = destination.kind.sign_in else {
        return Err(Failure::Usage(format!(
            "nobody signs in at a destination of kind {}: its credentials are in the configuration",
            destination.kind.name
        )));
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = hub::open_store_beside(&config).await?;
    if args.forget {
        use causeway_core::store::Credentials as _;
        let found = store.remove_credential(name).await?;
        print_line(if found {
            "The sign-in is forgotten. Withdraw it at the vendor, too."
        } else {
            "There was no sign-in."
        });
        return Ok(());
    }
    let vault = StoreVault::new(store, &config, Arc::clone(&clock));
    let vault: Arc<dyn Vault> = Arc::new(vault);
    let context = ConnectContext {
        name: Arc::clone(name),
        clock: Arc::clone(&clock),
        dir: config.dir.clone(),
        tables: config.lookups.clone(),
        vault: Arc::clone(&vault),
    };
    let (sign_in, client) = sign_in(&context, &destination.table)
        .map_err(|error| anyhow::anyhow!(config.error_in("destination", name, error)))?;
    let (visit, listener) = Visit::start(args.port, &sign_in).await?;
    print_line(&format!(
        "1. The app at the vendor must allow this redirect address:\n\n   {}\n\n\
         2. Open this address and sign in:\n\n   {}\n\n\
         3. Come back here. If the browser cannot open the last page, because it runs on another machine, paste its\n   \
         address here and press Enter.\n",
        visit.redirect, visit.started.url
    ));
    let wait = Duration::from_secs(args.wait.saturating_mul(60));
    let code = tokio::time::timeout(wait, visit.code(listener))
        .await
        .map_err(|_| anyhow::anyhow!("nobody signed in within {} minutes", args.wait))??;
    exchange(&sign_in, &visit.started, &code, &client, &*vault, name, &*clock).await?;
    print_line(&format!(
        "Signed in. A running hub uses it from its next renewal on; after a halt: causeway delivery resume {name}\n\
         Check it: causeway doctor"
    ));
    Ok(())
}

async fn exchange(
    sign_in: &SignIn,
    started: &Started,
    code: &str,
    client: &Client,
    vault: &dyn Vault,
    name: &str,
    clock: &dyn Clock,
) -> Result<(), Failure> {
    let finished = sign_in
        .finish(started, code, (client, vault), name, clock.now())
        .await;
    finished.map_err(|failure| match failure {
        OAuthFailure::Later(reason, _) | OAuthFailure::Refused(reason) => {
            Failure::Failed(anyhow::anyhow!("the vendor gave no token: {reason}"))
        }
    })
}

/// A sign-in, and the page on this machine to which it comes back.
struct Visit {
    started: Started,
    redirect: String,
}

impl Visit {
    async fn start(port: u16, sign_in: &SignIn) -> Result<(Self, TcpListener), Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .map_err(|error| {
                anyhow::anyhow!(
                    "listening on 127.0.0.1:{port}: {error}; choose another port with --port, and register it"
                )
            })?;
        let port = listener
            .local_addr()
            .map_err(|error| anyhow::anyhow!("{error}"))?
            .port();
        let redirect = format!("http://localhost:{port}{PATH}");
        let started = sign_in
            .start(&redirect)
            .map_err(|failure| anyhow::anyhow!("{failure:?}"))?;
        Ok((Self { started, redirect }, listener))
    }

    /// The code from the browser, or from a pasted address.
    async fn code(&self, listener: TcpListener) -> Result<String, Failure> {
        let (found, mut answers) = mpsc::channel::<Query<BTreeMap<String, String>>>(4);
        let router = Router::new().route(PATH, get(arrive)).with_state(found.clone());
        let served = axum::serve(listener, router).into_future();
        tokio::pin!(served);
        let mut pasted = BufReader::new(tokio::io::stdin()).lines();
        let mut reads_input = true;
        loop {
            let Query(answer) = tokio::select! {
                Some(answer) = answers.recv() => answer,
                line = pasted.next_line(), if reads_input => {
                    let Ok(Some(line)) = line else {
                        reads_input = false;
                        continue;
                    };
                    let Ok(url) = url::Url::parse(line.trim()) else {
                        print_line("That is no address. It begins with http://localhost");
                        continue;
                    };
                    Query(url.query_pairs().into_owned().collect())
                }
                ended = &mut served => {
                    ended.map_err(|error| anyhow::anyhow!("waiting for the browser: {error}"))?;
                    continue;
                }
            };
            match self.read(&answer) {
                Ok(code) => return Ok(code),
                Err(Refusal::Foreign) => print_line(
                    "An answer came that does not belong to this sign-in; it was ignored. Open the address above again.",
                ),
                Err(Refusal::Vendor(reason)) => {
                    return Err(Failure::Failed(anyhow::anyhow!("the vendor answered: {reason}")));
                }
            }
        }
    }

    fn read(&self, answer: &BTreeMap<String, String>) -> Result<String, Refusal> {
        let state = answer.get("state").map_or("", String::as_str);
        if !bool::from(state.as_bytes().ct_eq(self.started.state.as_bytes())) {
            return Err(Refusal::Foreign);
        }
        match (answer.get("code"), answer.get("error")) {
            (_, Some(error)) => {
                let more = answer.get("error_description").map_or("", String::as_str);
                let shown: String = format!("{error} {more}")
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(300)
                    .collect();
                Err(Refusal::Vendor(shown))
            }
            (Some(code), None) if !code.is_empty() => Ok(code.clone()),
            _ => Err(Refusal::Vendor("neither a code nor an error".to_owned())),
        }
    }
}

enum Refusal {
    /// Not an answer to this sign-in.
    Foreign,
    Vendor(String),
}

type Found = mpsc::Sender<Query<BTreeMap<String, String>>>;

async fn arrive(State(found): State<Found>, answer: Query<BTreeMap<String, String>>) -> Response {
    let page = "<!doctype html><html lang=\"en\"><title>Causeway</title><p>You can close this window. The terminal says \
                whether it worked.</p></html>";
    let status = match found.try_send(answer) {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::TOO_MANY_REQUESTS,
    };
    let mut response = (status, Html(page)).into_response();
    // The address holds the code.
    response
        .headers_mut()
        .insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
