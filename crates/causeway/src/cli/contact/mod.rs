//! `causeway contact`: what we know of a person, and forgetting it.

mod consent;
mod erase;

use causeway_core::{
    consent::Standing,
    rules::without_sandbox,
    store::{ContactView, Views},
};
use causeway_store::SqliteStore;
use clap::Subcommand;

use super::{
    Failure,
    context::{Context, say, say_json},
    trace::find_person,
};

#[derive(clap::Args)]
#[command(
    after_help = "Example: causeway contact show jane@example.org\n         causeway contact consent jane@example.org\n         causeway contact erase jane@example.org --yes"
)]
pub(super) struct Args {
    /// Only who is known in this workspace; in all if not given.
    #[arg(long, global = true, value_name = "NAME")]
    workspace: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Shows fields, consent, actions and deliveries.
    #[command(after_help = "Example: causeway contact show jane@example.org")]
    Show {
        /// An e-mail address, a contactRef or a foreign id.
        who: String,
    },
    /// Shows the ledger of consent: what was said, when, which message told us, and what it did at each destination.
    #[command(after_help = "Example: causeway contact consent jane@example.org --workspace default")]
    Consent {
        who: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Prints everything about the person as JSON, the messages as they came included.
    #[command(after_help = "Example: causeway contact export jane@example.org > jane.json")]
    Export { who: String },
    /// Removes the person and everything about them, once the destinations that were given them are told. What comes about
    /// them later is skipped.
    #[command(after_help = "Example: causeway contact erase jane@example.org --yes")]
    Erase {
        who: String,
        /// Really do it: it cannot be undone.
        #[arg(long)]
        yes: bool,
        /// At once: no destination is told.
        #[arg(long)]
        now: bool,
        /// In every workspace where the person is known.
        #[arg(long, conflicts_with = "workspace")]
        all_workspaces: bool,
    },
    /// Lists who asked to be forgotten and is still being told of.
    #[command(after_help = "Example: causeway contact leaving")]
    Leaving {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let config = context.load()?;
    let store = match &args.verb {
        Verb::Erase { .. } => context.open(&config).await?,
        _ => context.open_to_read(&config).await?,
    };
    let workspace = args.workspace.as_deref();
    match args.verb {
        Verb::Leaving { json } => erase::leaving(&store, workspace, json).await,
        Verb::Show { who } => {
            find(&store, &who, workspace).await?.iter().for_each(show);
            Ok(())
        }
        Verb::Consent { who, json } => {
            consent::consent(&store, &find(&store, &who, workspace).await?, json).await
        }
        Verb::Export { who } => say_json(&find(&store, &who, workspace).await?),
        Verb::Erase {
            who,
            yes,
            now,
            all_workspaces,
        } => {
            let how = erase::How {
                yes,
                now,
                all_workspaces,
            };
            let mut views = find(&store, &who, None).await?;
            // With what they did to try things out.
            views.retain(|view| workspace.is_none_or(|name| without_sandbox(&view.workspace) == name));
            if views.is_empty() {
                return Err(nobody_in(workspace.unwrap_or_default()));
            }
            erase::in_one_workspace(&views, workspace.is_some(), how)?;
            erase::erase(&config, &store, &views, how).await
        }
    }
}

async fn find(store: &SqliteStore, who: &str, workspace: Option<&str>) -> Result<Vec<ContactView>, Failure> {
    let mut views = Vec::new();
    for id in find_person(store, who).await? {
        views.extend(store.contact(id).await?);
    }
    if let Some(workspace) = workspace {
        views.retain(|view| &*view.workspace == workspace);
        if views.is_empty() {
            return Err(nobody_in(workspace));
        }
    }
    Ok(views)
}

fn nobody_in(workspace: &str) -> Failure {
    Failure::Failed(anyhow::anyhow!(
        "nobody in the workspace {workspace} is known by that"
    ))
}

/// Where somebody stands for one purpose.
fn standing_line(purpose: &str, standing: Standing) -> String {
    let since = standing
        .since()
        .map(|since| format!(" since {since}"))
        .unwrap_or_default();
    let why = match standing {
        Standing::Suppressed { why, .. } => format!(" ({})", why.as_str()),
        _ => String::new(),
    };
    format!("  consent      {purpose}: {}{why}{since}", standing.as_str())
}

fn show(view: &ContactView) {
    say(&format!("contact {} (workspace {})", view.id, view.workspace));
    for identity in &view.identities {
        say(&format!(
            "  {:<12} {} {}",
            identity.kind(),
            identity.value(),
            identity.namespace()
        ));
    }
    for (name, field) in &view.contact.fields {
        let text = field
            .value
            .as_str()
            .map_or_else(|| field.value.to_string(), str::to_owned);
        say(&format!("  {name:<12} {text}  (as of {})", field.at));
    }
    for (purpose, standing) in &view.standing {
        say(&standing_line(purpose, *standing));
    }
    for row in &view.ledger {
        say(&format!(
            "    {} {} {} (record {}, {})",
            row.fact.at,
            row.fact.purpose,
            row.fact.what.as_str(),
            row.inbox_id,
            row.fact.basis
        ));
    }
    for action in &view.actions {
        say(&format!(
            "  action       {} {} at {}",
            action.action_type, action.external_id, action.created_at
        ));
    }
    for delivery in &view.deliveries {
        say(&format!(
            "  delivery     {} → {}: {} {}",
            delivery.id,
            delivery.destination,
            delivery.state,
            delivery.reason.as_deref().unwrap_or_default()
        ));
    }
}
