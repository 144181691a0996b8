//! Whom words name, for commands and the console: an address, or an id with its namespace (`platform:8812`).
//!
//! Invariant: never two people of one workspace. Platforms count their contacts from 1, so a bare id may be that of several
//! people; then nobody is chosen, and the answer lists the names that are unique.

use std::collections::{BTreeMap, BTreeSet};

use causeway_core::{
    id::{ContactId, Name},
    store::Named,
};

/// More people than one are called so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ambiguous {
    pub workspace: Name,
    /// What names each of them alone, ascending by contact.
    pub candidates: Vec<String>,
}

/// One contact for each workspace, ascending, of those that `found` has.
pub(crate) fn choose(found: &[Named]) -> Result<Vec<ContactId>, Ambiguous> {
    let mut workspaces: BTreeMap<&Name, BTreeSet<ContactId>> = BTreeMap::new();
    for named in found {
        workspaces
            .entry(&named.workspace)
            .or_default()
            .insert(named.contact);
    }
    if let Some((workspace, _)) = workspaces.iter().find(|(_, contacts)| contacts.len() > 1) {
        let mut candidates: Vec<&Named> = found
            .iter()
            .filter(|named| named.workspace == **workspace)
            .collect();
        candidates.sort_by_key(|named| named.contact);
        return Err(Ambiguous {
            workspace: Name::clone(workspace),
            candidates: candidates
                .iter()
                .map(|named| unique_name(named, &candidates))
                .collect(),
        });
    }
    let mut contacts: Vec<ContactId> = workspaces.into_values().flatten().collect();
    contacts.sort_unstable();
    Ok(contacts)
}

/// `platform:8812`, with the kind in front where a platform has contact references and ids that look alike.
fn unique_name(named: &Named, all: &[&Named]) -> String {
    let identity = &named.identity;
    let name = match identity.namespace() {
        "" => identity.value().to_owned(),
        namespace => format!("{namespace}:{}", identity.value()),
    };
    let is_alike = |other: &&&Named| {
        other.identity.namespace() == identity.namespace() && other.identity.value() == identity.value()
    };
    if all.iter().filter(is_alike).count() > 1 {
        format!("{}:{name}", identity.kind())
    } else {
        name
    }
}

impl std::fmt::Display for Ambiguous {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "that names several people in the workspace {}; give one of {}",
            self.workspace,
            self.candidates.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use causeway_core::contact::Identity;

    use super::*;

    fn named(contact: i64, workspace: &str, kind: &str, namespace: &str) -> Named {
        Named {
            contact: ContactId(contact),
            workspace: workspace.into(),
            identity: Identity::from_parts(kind, namespace, "8812".to_owned()).unwrap(),
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
            "that names several people in the workspace default; give one of other:8812, platform:8812"
        );
        let reference = named(4, "default", "contact_ref", "platform");
        let several = choose(&[one, reference]).unwrap_err();
        assert_eq!(
            several.candidates,
            ["foreign_id:platform:8812", "contact_ref:platform:8812"]
        );
    }
}
