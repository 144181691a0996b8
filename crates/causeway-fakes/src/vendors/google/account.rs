//! Accounts of Google Ads, who may use them, and what is in their lists.

use std::collections::{BTreeMap, BTreeSet};

use causeway_core::clock::Timestamp;
use serde_json::{Map, Value};

use super::{Google, error::ApiError};

#[derive(Debug, Clone)]
pub struct Account {
    pub name: String,
    /// The people and service accounts that were invited.
    pub users: BTreeSet<String>,
    /// The manager accounts above it.
    pub managers: BTreeSet<String>,
    /// Whether somebody accepted the terms of Customer Match in Google Ads.
    pub has_terms: bool,
    /// Whether every campaign declares if it has political ads for the EU.
    pub has_eu_declaration: bool,
    pub is_allowlisted: bool,
    pub lists: BTreeMap<u64, UserList>,
}

impl Account {
    pub(super) fn new(name: &str, user: &str) -> Self {
        Self {
            name: name.to_owned(),
            users: [user.to_owned()].into(),
            managers: BTreeSet::new(),
            has_terms: true,
            has_eu_declaration: true,
            is_allowlisted: true,
            lists: BTreeMap::new(),
        }
    }
}

/// A list, with its members. People are not matched: whoever shares an identifier is one person.
#[derive(Debug, Clone, Default)]
pub struct UserList {
    /// As the API shows it, with names in snake case.
    pub fields: Map<String, Value>,
    pub members: Vec<Member>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// `email:…`, `phone:…` with the hash in hex, or `address:given:family:BE:1060`.
    pub identifiers: BTreeSet<String>,
    pub added_at: Timestamp,
}

impl UserList {
    pub fn people(&self) -> usize {
        self.members.len()
    }

    /// Whether an identifier is in the list: `email:…`.
    pub fn has(&self, identifier: &str) -> bool {
        self.members
            .iter()
            .any(|member| member.identifiers.contains(identifier))
    }

    /// Whether an address is in the list. It is hashed as it is.
    pub fn has_email(&self, address: &str) -> bool {
        self.has(&format!("email:{}", super::hash(address)))
    }

    pub(super) fn name(&self) -> &str {
        self.fields
            .get("display_name")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub(super) fn key_type(&self) -> &str {
        let info = self.fields.get("ingested_user_list_info");
        let kind = info.and_then(|info| info.get("upload_key_types")?.get(0));
        kind.and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn add(&mut self, identifiers: &BTreeSet<String>, at: Timestamp) {
        let known = self.members.iter_mut();
        let mut same = known.filter(|member| !member.identifiers.is_disjoint(identifiers));
        match same.next() {
            Some(member) => {
                member.identifiers.extend(identifiers.iter().cloned());
                member.added_at = at;
            }
            None => self.members.push(Member {
                identifiers: identifiers.clone(),
                added_at: at,
            }),
        }
    }

    /// Takes out exactly these identifiers. A person of whom others are left stays.
    pub(super) fn remove(&mut self, identifiers: &BTreeSet<String>) {
        for member in &mut self.members {
            member.identifiers.retain(|one| !identifiers.contains(one));
        }
        self.members.retain(|member| !member.identifiers.is_empty());
    }

    pub(super) fn remove_all(&mut self, before: Timestamp) {
        self.members.retain(|member| member.added_at >= before);
    }
}

impl Google {
    /// An account that only `user` may use.
    pub fn add_account(&mut self, id: &str, name: &str, user: &str) {
        self.accounts.insert(id.to_owned(), Account::new(name, user));
    }

    /// Whether the caller may change the operating account through the login account.
    pub(super) fn check_access(&self, principal: &str, operating: &str, login: &str) -> Result<(), ApiError> {
        let denied = || ApiError::new("PERMISSION_DENIED");
        let account = self.accounts.get(operating).ok_or_else(denied)?;
        let through = self.accounts.get(login).ok_or_else(denied)?;
        if !through.users.contains(principal) {
            return Err(denied());
        }
        if login != operating && !account.managers.contains(login) {
            return Err(ApiError::new("OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH"));
        }
        Ok(())
    }
}
