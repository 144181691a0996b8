//! `causeway source`

use causeway_connect::source::Entry;
use causeway_core::{
    clock::{Clock, Timestamp},
    id::Name,
    store::{SourceUrl, Store, UrlChange, Views},
};
use clap::Subcommand;
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

use super::{
    Failure,
    context::{Context, print_line},
};
use crate::{clock::SystemClock, config::Config};

#[derive(clap::Args)]
#[command(
    after_help = "Example: causeway source url platform --label newsletter\n         causeway source urls"
)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Creates a URL for one sync of a platform and prints it. It is shown only once.
    #[command(after_help = "Example: causeway source url platform --label newsletter")]
    Url {
        source: String,
        /// What the URL is for; each label of a source has one URL.
        #[arg(long, default_value = "default")]
        label: String,
    },
    /// Lists the created URLs, without their secret part.
    #[command(after_help = "Example: causeway source urls platform")]
    Urls { source: Option<String> },
    /// Creates a new URL for a label; the old one stops working.
    #[command(after_help = "Example: causeway source rotate platform newsletter --keep-minutes 60")]
    Rotate {
        source: String,
        label: String,
        /// How long the old URL still works.
        #[arg(long, default_value_t = 0, value_name = "MINUTES")]
        keep_minutes: u32,
    },
    /// Revokes the URL of a label, and its earlier ones that still work.
    #[command(after_help = "Example: causeway source revoke platform newsletter")]
    Revoke { source: String, label: String },
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let config = context.load()?;
    let store = match &args.verb {
        Verb::Urls { .. } => context.open_to_read(&config).await?,
        Verb::Url { .. } => context.open_or_make(&config).await?,
        Verb::Rotate { .. } | Verb::Revoke { .. } => context.open(&config).await?,
    };
    let now = SystemClock.now();
    match args.verb {
        Verb::Urls { source } => {
            let source = source.map(|source| listener(&config, &source)).transpose()?;
            let urls = store.source_urls().await?;
            list(
                &config,
                urls.into_iter()
                    .filter(|url| source.as_ref().is_none_or(|name| url.source == *name)),
                now,
            );
        }
        Verb::Url { source, label } => {
            let name = listener(&config, &source)?;
            let (token, hash) = token()?;
            check_label(&label)?;
            if !store
                .change_source_url(&name, &label, UrlChange::Mint { hash }, now)
                .await?
            {
                return Err(Failure::Usage(format!(
                    "{name} has a URL with the label {label:?} already: give another --label, or `causeway source \
                     rotate {name} {label}`"
                )));
            }
            print_url(&config, &token);
        }
        Verb::Rotate {
            source,
            label,
            keep_minutes,
        } => {
            let name = listener(&config, &source)?;
            let (token, hash) = token()?;
            let keep = std::time::Duration::from_secs(u64::from(keep_minutes) * 60);
            let old_until = now.saturating_add(keep).unwrap_or(now);
            let change = UrlChange::Rotate { hash, old_until };
            if !store.change_source_url(&name, &label, change, now).await? {
                return Err(missing(&name, &label));
            }
            print_url(&config, &token);
            if keep_minutes > 0 {
                print_line(&format!("The old URL works for {keep_minutes} more minutes."));
            }
        }
        Verb::Revoke { source, label } => {
            // The source may no longer be in the configuration.
            let name: Name = source.as_str().into();
            if !store
                .change_source_url(&name, &label, UrlChange::Revoke, now)
                .await?
            {
                return Err(missing(&name, &label));
            }
            print_line("Revoked: a running hub refuses this URL within a few seconds.");
        }
    }
    Ok(())
}

fn missing(name: &str, label: &str) -> Failure {
    Failure::Usage(format!(
        "{name} has no URL with the label {label:?}: `causeway source urls` lists them"
    ))
}

/// The name of a configured source of kind `listener`.
fn listener(config: &Config, name: &str) -> Result<Name, Failure> {
    let listeners = config
        .sources
        .iter()
        .filter(|(_, source)| matches!(source.kind.entry, Entry::Listener));
    let names: Vec<&Name> = listeners.map(|(name, _)| name).collect();
    names
        .iter()
        .find(|known| &****known == name)
        .map(|known| Name::clone(known))
        .ok_or_else(|| {
            let all: Vec<&str> = names.iter().map(|name| &***name).collect();
            let there = if all.is_empty() {
                "the configuration has none: `causeway config sample listener` prints one".to_owned()
            } else {
                format!("there are: {}", all.join(", "))
            };
            Failure::Usage(format!("there is no source {name:?} of kind listener; {there}"))
        })
}

fn check_label(label: &str) -> Result<(), Failure> {
    let is_plain = !label.is_empty()
        && label.len() <= 64
        && label
            .chars()
            .all(|letter| letter.is_alphanumeric() || "-_.".contains(letter));
    if is_plain {
        return Ok(());
    }
    Err(Failure::Usage(
        "invalid label: use 1 to 64 letters, digits and -_. that say what the URL is for, such as newsletter"
            .to_owned(),
    ))
}

/// A random token of 192 bits, and its digest, which is all that the store keeps.
fn token() -> Result<(String, [u8; 32]), Failure> {
    let mut random = [0; 24];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("drawing a random token: {error}"))?;
    let token = BASE64URL_NOPAD.encode(&random);
    let hash = Sha256::digest(token.as_bytes()).into();
    Ok((token, hash))
}

fn print_url(config: &Config, token: &str) {
    print_line(&format!("{}/in/{token}", config.http.base_url()));
    print_line(
        "This URL is shown only once. It works within a few seconds. Enter it at the platform as the URL of its sync.",
    );
    if config.http.public_url.is_none() {
        print_line(
            "Set `public_url` in [http] so that it begins with the address under which the platform reaches you.",
        );
    }
}

fn list(config: &Config, urls: impl Iterator<Item = SourceUrl>, now: Timestamp) {
    let mut any = false;
    for url in urls {
        any = true;
        let state = match url.valid_until {
            _ if !config.sources.contains_key(&url.source) => {
                "the source is not in the configuration".to_owned()
            }
            None => "works".to_owned(),
            Some(until) if now < until => format!("works until {until:.0}"),
            Some(until) => format!("ended {until:.0}"),
        };
        print_line(&format!(
            "{:<20} {:<20} made {:.0}  {state}",
            url.source, url.label, url.made_at
        ));
    }
    if !any {
        print_line("No URL was created.");
    }
}
