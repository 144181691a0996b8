//! `causeway contact`: shows, exports, erases and splits contacts.

mod consent;
mod erase;
mod remains;
mod split;

use std::collections::BTreeMap;

use causeway_core::{
    consent::ConsentState,
    contact::{Field, normal_email},
    explain::{Evidence, about, day_and_time, fact},
    id::ContactId,
    rules::without_sandbox,
    store::{ContactView, Views},
};
use causeway_store::SqliteStore;
use clap::Subcommand;

use super::{
    Failure,
    context::{Context, print_json, print_line},
    trace::{find_people, find_person},
};

#[derive(clap::Args)]
#[command(
    after_help = "Example: causeway contact show jane@example.org\n         causeway contact show platform:8812\n         causeway contact consent jane@example.org\n         causeway contact erase jane@example.org --yes"
)]
pub(super) struct Args {
    /// Only contacts of this workspace; default: of all workspaces.
    #[arg(long, global = true, value_name = "NAME")]
    workspace: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Shows fields, consent, actions and deliveries. If several people use the address, it shows each of them.
    #[command(
        after_help = "Example: causeway contact show jane@example.org\n         causeway contact show platform:8812"
    )]
    Show {
        /// An e-mail address, or an id or contactRef with its namespace, such as `platform:8812`. An id alone is enough
        /// if only one person of a workspace has it. With `email:` before it, an address names only the contact that it
        /// belongs to.
        who: String,
    },
    /// Shows for each destination whether it may be sent the person, why, since when, and what was sent last. Then it
    /// shows the ledger of consent: each fact with its date, its message and its effect at each destination.
    #[command(
        after_help = "Example: causeway contact consent jane@example.org --workspace default\n         causeway contact consent contact:17"
    )]
    Consent {
        /// An address, an id with its namespace, or the number of a contact, such as `contact:17`.
        who: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Prints everything about one person as JSON, including the messages as they came. By an address, it prints the
    /// person of each workspace that has a contact with it.
    #[command(
        after_help = "Example: causeway contact export jane@example.org > jane.json\n         causeway contact export platform:8812 --workspace default"
    )]
    Export {
        /// An address, or an id with its namespace.
        who: String,
    },
    /// Erases the person and everything about them, after the destinations that have them were asked to remove them.
    /// Prints what the erasure does not reach: files, databases that keep their rows, messages that cannot be searched, backups.
    /// Later messages about the person are turned away if they are dated before the erasure; if they are dated after
    /// it, they make a new contact (`after_erasure`).
    #[command(
        after_help = "Example: causeway contact erase jane@example.org --yes\n         causeway contact erase platform:8812 --yes --now"
    )]
    Erase {
        /// An address, or an id with its namespace.
        who: String,
        /// Do it. It cannot be undone.
        #[arg(long)]
        yes: bool,
        /// Erase at once and ask no destination.
        #[arg(long)]
        now: bool,
        /// Erase the person in every workspace that has a contact for them.
        #[arg(long, conflicts_with = "workspace")]
        all_workspaces: bool,
        /// Erase everybody who uses the address, if several people do.
        #[arg(long)]
        all_users: bool,
    },
    /// Undoes a wrong merge: makes a new contact of these identities and of everything that came with them, and sends
    /// destinations both people as they are then. Correct the platform first: a later message that names identities of both
    /// merges them again.
    #[command(after_help = "Example: causeway contact split jane@example.org --take platform:72 --yes")]
    Split {
        who: String,
        /// An identity of the other person: an address, or NAMESPACE:ID as `contact show` prints it. May be given
        /// several times.
        #[arg(long, required = true, value_name = "IDENTITY")]
        take: Vec<String>,
        /// Do it.
        #[arg(long)]
        yes: bool,
    },
    /// Lists ids of platforms that came with three or more addresses, so they may stand for several people. Messages
    /// with such an id count only for the address in them.
    #[command(after_help = "Example: causeway contact conflicts")]
    Conflicts {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Lists contacts whose erasure is pending at a destination.
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
        Verb::Erase { .. } | Verb::Split { .. } => context.open(&config).await?,
        _ => context.open_to_read(&config).await?,
    };
    let workspace = args.workspace.as_deref();
    match args.verb {
        Verb::Leaving { json } => erase::leaving(&store, workspace, json).await,
        Verb::Split { who, take, yes } => {
            let views = find(&store, &who, workspace).await?;
            split::split(&config, &store, &views, &take, yes).await
        }
        Verb::Conflicts { json } => conflicts(&store, workspace, json).await,
        Verb::Show { who } => {
            let views = find_users(&store, &who, workspace).await?;
            print_several(&views);
            views.iter().for_each(show);
            Ok(())
        }
        Verb::Consent { who, json } => {
            let views = find_users(&store, &who, workspace).await?;
            if !json {
                print_several(&views);
            }
            consent::consent(&store, &config.rules(), &views, &who, json).await
        }
        Verb::Export { who } => {
            let views = find(&store, &who, workspace).await?;
            // An address names the same person in all workspaces; an id may name another person in each.
            if normal_email(&who).is_none() {
                erase::in_one_workspace(&views).map_err(|all| several_workspaces(&all, ""))?;
            }
            print_json(&views)
        }
        Verb::Erase {
            who,
            yes,
            now,
            all_workspaces,
            all_users,
        } => {
            // The sandbox workspaces too: they hold the person's test actions.
            let is_meant = |name: &str| workspace.is_none_or(|meant| without_sandbox(name) == meant);
            let ids = if all_users {
                find_people(&store, &who, workspace, is_meant).await?
            } else {
                let found = find_person(&store, &who, workspace, is_meant).await;
                found.map_err(|failure| or_all_users(failure, &who))?
            };
            let views = view_all(&store, ids).await?;
            if !all_workspaces {
                erase::in_one_workspace(&views)
                    .map_err(|all| several_workspaces(&all, ", or erase in all with --all-workspaces"))?;
            }
            erase::erase(&config, &store, &views, erase::How { yes, now }).await
        }
    }
}

/// Finds the person in one workspace, or in each.
async fn find(store: &SqliteStore, who: &str, workspace: Option<&str>) -> Result<Vec<ContactView>, Failure> {
    let is_meant = |name: &str| workspace.is_none_or(|workspace| workspace == name);
    view_all(store, find_person(store, who, workspace, is_meant).await?).await
}

/// Like [`find`], and finds every contact that uses the address.
async fn find_users(
    store: &SqliteStore,
    who: &str,
    workspace: Option<&str>,
) -> Result<Vec<ContactView>, Failure> {
    let is_meant = |name: &str| workspace.is_none_or(|workspace| workspace == name);
    view_all(store, find_people(store, who, workspace, is_meant).await?).await
}

async fn view_all(store: &SqliteStore, ids: Vec<ContactId>) -> Result<Vec<ContactView>, Failure> {
    let mut views = Vec::new();
    for id in ids {
        views.extend(store.contact(id).await?);
    }
    Ok(views)
}

/// Prints that several people use the address: the output then shows several contacts.
fn print_several(views: &[ContactView]) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for view in views {
        *counts.entry(&view.workspace).or_default() += 1;
    }
    for (workspace, count) in counts.into_iter().filter(|(_, count)| *count > 1) {
        print_line(&format!(
            "{count} people use this address in the workspace {workspace}, or used it before: each is shown. Those who use it \
             now share the consent to mail; everything else is each person's own."
        ));
        print_line("");
    }
}

/// The error for an address that several people use, with the option that erases all of them.
fn or_all_users(failure: Failure, who: &str) -> Failure {
    match failure {
        Failure::Usage(text) if normal_email(who).is_some() => {
            Failure::Usage(format!("{text}; or erase all of them with --all-users"))
        }
        other => other,
    }
}

/// The error for a person that several workspaces have: each may be another person.
fn several_workspaces(workspaces: &[&str], or: &str) -> Failure {
    Failure::Usage(format!(
        "the person is in several workspaces: {}; name one with --workspace{or}",
        workspaces.join(", ")
    ))
}

/// The line with the consent state for one purpose.
fn standing_line(purpose: &str, standing: ConsentState) -> String {
    let since = standing
        .since()
        .map(|since| format!(" since {}", day_and_time(since)))
        .unwrap_or_default();
    let why = match standing {
        ConsentState::Suppressed { why, .. } => format!(" ({})", why.as_str()),
        _ => String::new(),
    };
    format!("  consent      {purpose}: {}{why}{since}", standing.as_str())
}

/// The time at which a field was cleared, and the message that cleared it.
fn cleared(view: &ContactView, field: &Field) -> String {
    let message = view.messages.iter().find(|message| message.id.0 == field.arrival);
    let by = match message {
        Some(message) => format!(" by message {} from {}", message.id, message.source),
        None if field.arrival > 0 => format!(" by message {}", field.arrival),
        None => String::new(),
    };
    format!("cleared as of {}{by}", field.at)
}

fn show(view: &ContactView) {
    print_line(&format!("contact {} (workspace {})", view.id, view.workspace));
    for identity in &view.identities {
        print_line(&format!("  {:<12} {}", identity.kind(), split::name(identity)));
    }
    for (name, field) in &view.contact.fields {
        if field.value.is_null() {
            print_line(&format!("  {name:<12} ({})", cleared(view, field)));
            continue;
        }
        let text = field
            .value
            .as_str()
            .map_or_else(|| field.value.to_string(), str::to_owned);
        print_line(&format!("  {name:<12} {text}  (as of {})", field.at));
    }
    for (purpose, standing) in &view.consent_state {
        print_line(&standing_line(purpose, *standing));
    }
    for row in &view.ledger {
        let evidence = Evidence::new(view, row);
        let mut parts = vec![format!("purpose {}", evidence.purpose)];
        parts.extend(
            evidence
                .address
                .as_ref()
                .map(|address| format!("address {address}")),
        );
        parts.extend(evidence.source.as_ref().map(|source| format!("source {source}")));
        parts.extend(about(&evidence));
        parts.push(format!("message {}", evidence.message));
        parts.push(format!("basis {}", evidence.basis));
        parts.extend(
            evidence
                .no_effect
                .as_ref()
                .map(|why| format!("does not count: {why}")),
        );
        print_line(&format!(
            "    on {}: {} ({})",
            day_and_time(evidence.at),
            fact(&evidence.what, &evidence.purpose),
            parts.join(", ")
        ));
    }
    for action in &view.actions {
        print_line(&format!(
            "  action       {} {} at {}",
            action.action_type, action.external_id, action.created_at
        ));
    }
    for delivery in &view.deliveries {
        print_line(&format!(
            "  delivery     {} → {}: {} {}",
            delivery.id,
            delivery.destination,
            delivery.state,
            delivery.reason.as_deref().unwrap_or_default()
        ));
    }
}

async fn conflicts(store: &SqliteStore, workspace: Option<&str>, json: bool) -> Result<(), Failure> {
    let mut all = store.conflicts().await?;
    all.retain(|conflict| workspace.is_none_or(|workspace| &*conflict.workspace == workspace));
    if json {
        return print_json(&all);
    }
    if all.is_empty() {
        print_line("No id came with three or more addresses.");
    }
    for conflict in all {
        print_line(&format!(
            "{}:{} is contact {} (workspace {}): not used in {} messages from {} to {}; the last is causeway trace {}",
            conflict.namespace,
            conflict.id,
            conflict.contact,
            conflict.workspace,
            conflict.messages,
            conflict.first_at,
            conflict.last_at,
            conflict.last
        ));
    }
    Ok(())
}
