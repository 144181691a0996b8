//! `causeway contact`: what we know of a person, and forgetting it.

use causeway_core::{
    clock::Clock,
    id::ContactId,
    store::{ContactView, Store, Views},
};
use clap::Subcommand;

use super::{
    Failure,
    context::{Context, say, say_json},
    trace::find_person,
};
use crate::clock::SystemClock;

#[derive(clap::Args)]
#[command(
    after_help = "Example: causeway contact show jane@example.org\n         causeway contact erase jane@example.org --yes"
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
    /// Prints everything about the person as JSON, the messages as they came included.
    #[command(after_help = "Example: causeway contact export jane@example.org > jane.json")]
    Export { who: String },
    /// Removes the person and everything about them. What comes about them later is skipped.
    #[command(after_help = "Example: causeway contact erase jane@example.org --yes")]
    Erase {
        who: String,
        /// Really do it: it cannot be undone.
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let config = context.load()?;
    let store = context.open(&config).await?;
    let (Verb::Show { who } | Verb::Export { who } | Verb::Erase { who, .. }) = &args.verb;
    let mut views = Vec::new();
    for id in find_person(&store, who).await? {
        views.extend(store.contact(id).await?);
    }
    if let Some(workspace) = &args.workspace {
        views.retain(|view| &*view.workspace == workspace.as_str());
        if views.is_empty() {
            return Err(Failure::Failed(anyhow::anyhow!(
                "nobody in the workspace {workspace} is known by that"
            )));
        }
    }
    if let Verb::Erase { yes, .. } = args.verb {
        let ids: Vec<ContactId> = views.iter().map(|view| view.id).collect();
        return erase(&store, &ids, yes).await;
    }
    if matches!(args.verb, Verb::Export { .. }) {
        return say_json(&views);
    }
    views.iter().for_each(show);
    Ok(())
}

async fn erase(store: &causeway_store::SqliteStore, ids: &[ContactId], yes: bool) -> Result<(), Failure> {
    if !yes {
        let text = format!(
            "this removes {} contact(s) for ever; add --yes to do it",
            ids.len()
        );
        return Err(Failure::Usage(text));
    }
    for id in ids {
        let erased = store.erase(*id, SystemClock.now()).await?;
        say(&format!(
            "contact {id} erased, with {} actions, {} lines of consent, {} deliveries and {} messages",
            erased.actions, erased.consent, erased.deliveries, erased.envelopes
        ));
    }
    Ok(())
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
        let since = standing
            .since()
            .map(|since| format!(" since {since}"))
            .unwrap_or_default();
        say(&format!("  consent      {purpose}: {}{since}", standing.as_str()));
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
