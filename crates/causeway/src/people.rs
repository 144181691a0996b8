//! Finds the contact that a text names, for commands and the console: an address, or an id with its namespace
//! (`platform:8812`). Also the words about people whom a destination has.
//!
//! Invariant: a command that changes data never chooses one of several people of a workspace. Platforms count their contacts
//! from 1, so several people may have the same bare id, and several may use one mailbox. Then the command fails and lists
//! unique names.

use std::collections::{BTreeMap, BTreeSet};

use causeway_core::{
    contact::Identity,
    id::{ContactId, Name},
    store::Named,
};

/// Several people have this id, or use this address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ambiguous {
    pub workspace: Name,
    /// Whether they use one mailbox.
    pub is_mailbox: bool,
    /// A unique name of each, ascending by contact.
    pub candidates: Vec<String>,
}

/// One contact for each workspace of `found`, ascending.
pub(crate) fn choose(found: &[Named]) -> Result<Vec<ContactId>, Ambiguous> {
    match several(found, |_| true) {
        Some(several) => Err(several),
        None => Ok(contacts(found)),
    }
}

/// Like [`choose`], but with all users of a mailbox, ascending. An id must still name one person.
pub(crate) fn choose_users(found: &[Named]) -> Result<Vec<ContactId>, Ambiguous> {
    match several(found, |several| !several.is_mailbox) {
        Some(several) => Err(several),
        None => Ok(contacts(found)),
    }
}

fn contacts(found: &[Named]) -> Vec<ContactId> {
    let all: BTreeSet<ContactId> = found.iter().map(|named| named.contact).collect();
    all.into_iter().collect()
}

/// The first workspace with several people for which `refuses` holds.
fn several(found: &[Named], refuses: impl Fn(&Ambiguous) -> bool) -> Option<Ambiguous> {
    let mut workspaces: BTreeMap<&Name, Vec<&Named>> = BTreeMap::new();
    for named in found {
        workspaces.entry(&named.workspace).or_default().push(named);
    }
    workspaces.into_iter().find_map(|(workspace, mut all)| {
        let people: BTreeSet<ContactId> = all.iter().map(|named| named.contact).collect();
        if people.len() < 2 {
            return None;
        }
        all.sort_by_key(|named| named.contact);
        let mut candidates: Vec<String> = Vec::new();
        for named in &all {
            let name = unique_name(named, &all);
            if !candidates.contains(&name) {
                candidates.push(name);
            }
        }
        let is_address = |named: &&Named| matches!(named.identity, Identity::Email { .. });
        let several = Ambiguous {
            workspace: Name::clone(workspace),
            is_mailbox: all.iter().all(is_address),
            candidates,
        };
        refuses(&several).then_some(several)
    })
}

/// A name such as `platform:8812`, with the kind as a prefix if a platform's contact references and ids look alike.
fn unique_name(named: &Named, all: &[&Named]) -> String {
    let own = &named.own;
    let name = match own.namespace() {
        // Other people may use the address, too.
        "" => return format!("{}:{}", own.kind(), own.value()),
        namespace => format!("{namespace}:{}", own.value()),
    };
    let is_alike = |other: &&&Named| {
        other.own.kind() != own.kind()
            && other.own.namespace() == own.namespace()
            && other.own.value() == own.value()
    };
    if all.iter().any(|other| is_alike(&other)) {
        format!("{}:{name}", own.kind())
    } else {
        name
    }
}

impl std::fmt::Display for Ambiguous {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = if self.is_mailbox {
            "several people use that address"
        } else {
            "several people have that id"
        };
        write!(
            f,
            "{what} in the workspace {}; give one of {}",
            self.workspace,
            self.candidates.join(", ")
        )
    }
}

/// The text about a destination that has people but no longer receives their opt-outs, for `doctor`, the console and the log.
pub fn left_behind_in_words(name: &str, people: u64, is_configured: bool) -> String {
    let people = if people == 1 {
        "1 person is".to_owned()
    } else {
        format!("{people} people are")
    };
    let what_now = if is_configured {
        "It is in another workspace now, so no opt-out reaches it: give it its workspace back, or".to_owned()
    } else {
        format!(
            "It is not in the configuration, so no opt-out reaches it: if it has another name now, add `renamed_from \
             = \"{name}\"` to its section; if it is not used any more,"
        )
    };
    format!(
        "{people} still there. {what_now} have these people deleted there, then run `causeway destination forget {name}`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(contact: i64, workspace: &str, kind: &str, namespace: &str) -> Named {
        let identity = Identity::from_parts(kind, namespace, "8812".to_owned()).unwrap();
        Named {
            contact: ContactId(contact),
            workspace: workspace.into(),
            own: identity.clone(),
            identity,
        }
    }

    #[test]
    fn two_people_of_one_workspace_are_never_chosen_together() {
        let one = named(3, "default", "foreign_id", "platform");
        assert_eq!(choose(&[]), Ok(vec![]));
        assert_eq!(choose(std::slice::from_ref(&one)), Ok(vec![ContactId(3)]));
        // The same person by two platforms, and somebody in another workspace.
        let same = named(3, "default", "foreign_id", "other");
        let elsewhere = named(1, "second", "foreign_id", "platform");
        let all = [one.clone(), same, elsewhere];
        assert_eq!(choose(&all), Ok(vec![ContactId(1), ContactId(3)]));
        let other = named(2, "default", "foreign_id", "other");
        let several = choose(&[one.clone(), other]).unwrap_err();
        assert_eq!(several.candidates, ["other:8812", "platform:8812"]);
        assert_eq!(
            several.to_string(),
            "several people have that id in the workspace default; give one of other:8812, platform:8812"
        );
        let reference = named(4, "default", "contact_ref", "platform");
        let several = choose(&[one, reference]).unwrap_err();
        assert_eq!(
            several.candidates,
            ["foreign_id:platform:8812", "contact_ref:platform:8812"]
        );
    }

    #[test]
    fn the_users_of_a_mailbox_are_listed_by_unique_names() {
        let user = |contact, own: Named| Named {
            contact: ContactId(contact),
            identity: Identity::Email {
                address: "noemail@example.org".to_owned(),
            },
            ..own
        };
        let first = user(1, named(1, "default", "foreign_id", "forms"));
        let second = user(2, named(2, "default", "contact_ref", "proca"));
        let without_id = Named {
            own: first.identity.clone(),
            ..user(3, first.clone())
        };
        let all = [first, second, without_id];
        assert_eq!(
            choose_users(&all),
            Ok(vec![ContactId(1), ContactId(2), ContactId(3)])
        );
        assert_eq!(
            choose(&all).unwrap_err().to_string(),
            "several people use that address in the workspace default; give one of forms:8812, proca:8812, \
             email:noemail@example.org"
        );
        // An id that looks like an address of other people.
        let id = named(4, "default", "foreign_id", "other");
        let [first, ..] = all;
        assert!(choose_users(&[first, id]).is_err());
    }
}
