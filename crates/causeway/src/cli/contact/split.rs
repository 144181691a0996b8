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
    cli::{Failure, context::say},
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
            "{} contacts are meant: name one by NAMESPACE:ID, or its workspace with --workspace",
            views.len()
        )));
    };
    let taken = identities(view, take)?;
    if taken.len() == view.identities.len() {
        return Err(failed(
            "all identities of the contact would go: leave at least one with it".to_owned(),
        ));
    }
    if !yes {
        say(&format!("contact {} would keep:", view.id));
        for identity in view
            .identities
            .iter()
            .filter(|identity| !taken.contains(identity))
        {
            say(&format!("  {}", name(identity)));
        }
        say("and a new contact would get:");
        for identity in &taken {
            say(&format!("  {}", name(identity)));
        }
        return Err(failed("nothing was changed: add --yes to do it".to_owned()));
    }
    let read = read(config, store, view).await?;
    let now = SystemClock.now();
    let Some(split) = store.split(view.id, taken, read, now).await? else {
        return Err(failed(
            "the contact changed meanwhile; nothing was done: look again and run the command again"
                .to_owned(),
        ));
    };
    say(&format!(
        "contact {} is now two: {} keeps what is its own, {} got {} messages. What destinations are sent to put it right: causeway trace {}",
        view.id, split.kept, split.new, split.messages, split.record
    ));
    Ok(())
}

fn failed(text: String) -> Failure {
    Failure::Failed(anyhow::Error::msg(text))
}

/// As `--take` expects it.
fn name(identity: &Identity) -> String {
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
                "{text:?} is no identity of contact {}; it has: {}",
                view.id,
                known.join(", ")
            )));
        };
        taken.insert(identity.clone());
    }
    Ok(taken)
}

/// The contact's messages, as far as they are kept and can be decoded.
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
