//! `causeway contact split`: undoes a wrong merge.

use std::collections::{BTreeMap, BTreeSet};

use causeway_core::{
    clock::Clock,
    contact::{Identity, normal_email},
    event::{Decoded, Event},
    id::InboxId,
    store::{ContactView, Store, Views},
};
use causeway_store::SqliteStore;

use crate::{
    cli::{Failure, context::print_line},
    clock::SystemClock,
    config::Config,
    engine::decode_one,
    sources,
};

pub(super) async fn split(
    config: &Config,
    store: &SqliteStore,
    views: &[ContactView],
    take: &[String],
    yes: bool,
) -> Result<(), Failure> {
    let [view] = views else {
        return Err(failed(format!(
            "{} contacts match: name one by NAMESPACE:ID, or its workspace with --workspace",
            views.len()
        )));
    };
    let taken = identities(view, take)?;
    if taken.len() == view.identities.len() {
        return Err(failed(
            "--take names all identities of the contact: leave it at least one".to_owned(),
        ));
    }
    if !yes {
        print_line(&format!("contact {} would keep:", view.id));
        for identity in view
            .identities
            .iter()
            .filter(|identity| !taken.contains(identity))
        {
            print_line(&format!("  {}", name(identity)));
        }
        print_line("and a new contact would get:");
        for identity in &taken {
            print_line(&format!("  {}", name(identity)));
        }
        return Err(failed("nothing was changed: add --yes to do it".to_owned()));
    }
    let read = read(config, store, view).await?;
    let now = SystemClock.now();
    let Some(split) = store.split(view.id, taken, read, now).await? else {
        return Err(failed(
            "the contact changed meanwhile, so nothing was done: run the command again".to_owned(),
        ));
    };
    print_line(&format!(
        "contact {} is now two: {} keeps its own identities and messages, {} got {} messages. The deliveries that correct the destinations: causeway trace {}",
        view.id, split.kept, split.new, split.messages, split.record
    ));
    print_line(
        "A later message that names identities of both merges them again, until the platform that sends it is corrected.",
    );
    Ok(())
}

fn failed(text: String) -> Failure {
    Failure::Failed(anyhow::Error::msg(text))
}

/// The identity in the form that `--take` expects.
pub(super) fn name(identity: &Identity) -> String {
    match identity {
        Identity::Email { address } => address.clone(),
        other => format!("{}:{}", other.namespace(), other.value()),
    }
}

/// The contact's identities with these names.
fn identities(view: &ContactView, take: &[String]) -> Result<BTreeSet<Identity>, Failure> {
    let mut taken = BTreeSet::new();
    for text in take {
        let address = normal_email(text);
        let is_meant = |identity: &&Identity| {
            let address_fits =
                matches!(identity, Identity::Email { address: own } if Some(own) == address.as_ref());
            address_fits || name(identity) == *text
        };
        let Some(identity) = view.identities.iter().find(is_meant) else {
            let known: Vec<String> = view.identities.iter().map(name).collect();
            return Err(failed(format!(
                "{text:?} is not an identity of contact {}; it has: {}",
                view.id,
                known.join(", ")
            )));
        };
        taken.insert(identity.clone());
    }
    Ok(taken)
}

/// Those messages of the contact that are still stored and can be decoded.
async fn read(
    config: &Config,
    store: &SqliteStore,
    view: &ContactView,
) -> Result<BTreeMap<InboxId, Event>, Failure> {
    let decoders = sources::decoders(config)?;
    let mut read = BTreeMap::new();
    for inbox in &view.inbox {
        let trace = store.trace(*inbox).await?;
        let Some(envelope) = trace
            .and_then(|trace| trace.envelope)
            .filter(|kept| !kept.body.is_empty())
        else {
            continue;
        };
        if let Decoded::Event(event) = decode_one(&decoders, &envelope) {
            read.insert(*inbox, *event);
        }
    }
    Ok(read)
}
