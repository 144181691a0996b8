//! A mailbox that several contacts use: consent facts about it, including bounces and complaints, count for
//! all of them.
//!
//! Invariant: an opt-in counts for the other users as long as its giver uses the mailbox. As long as a
//! contact uses the mailbox, its opt-outs for other addresses also count for the other users. Opt-outs and
//! suppressions of this mailbox keep counting after its giver left.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use causeway_core::{
    clock::Timestamp,
    consent::{Consent, ConsentFact, EMAIL, Terms, What, id_in_place},
    contact::Contact,
    id::Name,
    plan::Planned,
};
use rusqlite::params;

use crate::sqlite::{
    base::{
        error::Error,
        ids::{ContactRowId, WorkspaceRowId},
        tx::Tx,
    },
    inbox::process::Row,
    outbox::replan::{self, Change},
    people::{
        contact::{self, consent_fact},
        erasure, identity,
    },
};

/// Facts about the address from its other users; looks nothing up while no address is shared.
pub(crate) fn facts_from_others(
    tx: &Tx<'_>,
    workspace: WorkspaceRowId,
    address: &str,
    contacts: &[ContactRowId],
) -> Result<Vec<ConsentFact>, Error> {
    if !tx.state.any_shared.get() {
        return Ok(Vec::new());
    }
    facts_of_other_users(tx, workspace, address, contacts)
}

/// The times of a contact's own opt-ins for a mailbox.
fn own_opt_ins(tx: &Tx<'_>, contact: ContactRowId, address: &str) -> Result<Vec<Timestamp>, Error> {
    let Some(known) = contact::read(tx.connection, contact)? else {
        return Ok(Vec::new());
    };
    let address = Name::from(address);
    let is_here = |fact: &ConsentFact| known.addresses_of(fact).contains(&address);
    let mut facts = ledger(tx, contact)?;
    facts.retain(|fact| fact.what == What::OptIn && is_here(fact));
    Ok(facts.iter().map(|fact| fact.at).collect())
}

/// Applies the contact's own opt-out to a former address, unless a later opt-in named that address. The
/// contact's new opt-in is for the address in use, and a destination that was given the former one must still
/// learn of the opt-out. Do not store `after`: it exists only to compute deliveries.
pub(crate) fn keep_opt_out_of_former(
    tx: &Tx<'_>,
    contact: ContactRowId,
    after: &mut Contact,
    address: &str,
    grace: Duration,
) -> Result<(), Error> {
    let opt_out = after.consent.get(EMAIL).and_then(|consent| consent.unsubscribed);
    let Some(opt_out) = opt_out.filter(|_| after.address().as_deref() != Some(address)) else {
        return Ok(());
    };
    let place = Name::from(address);
    let is_here = |fact: &ConsentFact| fact.address.is_none() || after.addresses_of(fact).contains(&place);
    let is_lifted = ledger(tx, contact)?
        .iter()
        .any(|fact| fact.what.is_opt_in() && is_here(fact) && fact.at > ends_for(&fact.what, opt_out, grace));
    if !is_lifted {
        let consent = after.consent.entry(EMAIL.to_owned()).or_default();
        consent.add_shared(&What::Unsubscribed, opt_out, address);
    }
    Ok(())
}

/// The time after which an opt-in or a click ends the opt-out.
fn ends_for(what: &What, opt_out: Timestamp, grace: Duration) -> Timestamp {
    let grace = if what.is_click() { grace } else { Duration::ZERO };
    opt_out.checked_add(grace).unwrap_or(Timestamp::MAX)
}

/// Takes in facts of other users of a mailbox. Returns whether anything changed.
pub(crate) fn add_shared<'f>(
    tx: &Tx<'_>,
    contact: ContactRowId,
    after: &mut Contact,
    address: &str,
    facts: impl IntoIterator<Item = &'f ConsentFact>,
) -> Result<bool, Error> {
    let consent = after.consent.entry(EMAIL.to_owned()).or_default();
    let mut is_news = false;
    for fact in facts {
        is_news |= consent.add_shared(&fact.what, fact.at, address);
    }
    // Own opt-ins are stored only if another user opted out.
    for at in own_opt_ins(tx, contact, address)? {
        is_news |= consent.add_own_opt_in(at, address);
    }
    Ok(is_news)
}

/// Facts about an address from its users other than `contacts`.
pub(crate) fn facts_of_other_users(
    tx: &Tx<'_>,
    workspace: WorkspaceRowId,
    address: &str,
    contacts: &[ContactRowId],
) -> Result<Vec<ConsentFact>, Error> {
    let facts = facts_for_others(tx, workspace, address)?;
    let by_others = facts.into_iter().filter(|(user, _)| !contacts.contains(user));
    Ok(by_others.map(|(_, fact)| fact).collect())
}

/// The facts of each user of an address that count for the other users.
fn facts_for_others(
    tx: &Tx<'_>,
    workspace: WorkspaceRowId,
    address: &str,
) -> Result<Vec<(ContactRowId, ConsentFact)>, Error> {
    let mut facts = Vec::new();
    for user in identity::users(tx, workspace, address)? {
        let Some(known) = contact::read(tx.connection, user)? else {
            continue;
        };
        let is_being_erased = erasure::is_being_erased(tx, user)?;
        for fact in ledger(tx, user)? {
            if counts_for_others(&known, &fact, address) && !(is_being_erased && fact.what.is_opt_in()) {
                let address = Some(address.to_owned());
                facts.push((user, ConsentFact { address, ..fact }));
            }
        }
    }
    Ok(facts)
}

/// Whether a user's fact counts for the other users of the address.
fn counts_for_others(user: &Contact, fact: &ConsentFact, address: &str) -> bool {
    let is_in_use = || user.address().as_deref() == Some(address);
    let is_about_address = match fact.address.as_deref() {
        None => false,
        // A fact that names an id is about the mailbox that the id's owner uses now. A suppression may be
        // about any of the addresses that came with the id.
        Some(place) if id_in_place(place).is_some() => {
            let places = user.addresses_of(fact);
            (fact.what.is_suppression() || is_in_use()) && places.iter().any(|place| **place == *address)
        }
        Some(place) => place == address,
    };
    // Mail to a mailbox reaches everybody who uses it, so what a user opted out of elsewhere counts here, too.
    let is_about_address = is_about_address || (fact.what == What::Unsubscribed && is_in_use());
    is_about_address && (!fact.what.is_opt_in() || is_in_use())
}

/// The opt-ins of a contact and of the other users of an address, without those of `except`.
pub(crate) fn opt_ins_at(
    tx: &Tx<'_>,
    workspace: WorkspaceRowId,
    address: &str,
    contact: ContactRowId,
    except: &[ContactRowId],
) -> Result<Consent, Error> {
    let mut own = Contact::default();
    for fact in ledger(tx, contact)? {
        own.add_consent(&fact);
    }
    let mut agreed = own.consent.remove(EMAIL).unwrap_or_default();
    for (user, fact) in facts_for_others(tx, workspace, address)? {
        if user != contact && !except.contains(&user) {
            agreed.add_shared(&fact.what, fact.at, address);
        }
    }
    Ok(agreed)
}

/// The facts of a contact about e-mail.
pub(crate) fn ledger(tx: &Tx<'_>, contact: ContactRowId) -> Result<Vec<ConsentFact>, Error> {
    let mut statement = tx.connection.prepare_cached(
        "SELECT purpose, what, page, at, basis, address FROM consent WHERE contact_id = ?1 AND purpose = ?2",
    )?;
    let mut rows = statement.query(params![contact, EMAIL])?;
    let mut facts = Vec::new();
    while let Some(row) = rows.next()? {
        facts.push(consent_fact(row)?);
    }
    Ok(facts)
}

/// The other contacts that use the address, without those that are being erased.
pub(crate) fn others(
    tx: &Tx<'_>,
    workspace: WorkspaceRowId,
    address: &str,
    contacts: &[ContactRowId],
) -> Result<Vec<ContactRowId>, Error> {
    let mut others = Vec::new();
    for user in identity::users(tx, workspace, address)? {
        if !contacts.contains(&user) && !erasure::is_being_erased(tx, user)? {
            others.push(user);
        }
    }
    Ok(others)
}

/// Earlier facts that now also apply to the other users: all facts when several contacts are merged;
/// opt-outs, and facts that name an id, when the contact begins to use a shared mailbox.
pub(crate) fn earlier_facts(
    tx: &Tx<'_>,
    contact: ContactRowId,
    is_merged: bool,
    is_new_here: bool,
) -> Result<Vec<ConsentFact>, Error> {
    if !(is_merged || is_new_here) || !tx.state.any_shared.get() {
        return Ok(Vec::new());
    }
    let mut facts = ledger(tx, contact)?;
    facts.retain(|fact| {
        is_merged
            || fact.what == What::Unsubscribed
            || fact
                .address
                .as_deref()
                .is_some_and(|place| id_in_place(place).is_some())
    });
    Ok(facts)
}

/// Passes new facts on to the other users of the address, and adds the deliveries that follow to `planned`.
/// Returns the contacts that changed.
pub(crate) fn share_facts(
    tx: &mut Tx<'_>,
    row: &Row,
    workspace: WorkspaceRowId,
    contact: ContactRowId,
    facts: &[ConsentFact],
    planned: &mut Vec<Planned>,
) -> Result<Vec<ContactRowId>, Error> {
    if !tx.state.any_shared.get() {
        return Ok(Vec::new());
    }
    let Some(known) = contact::read(tx.connection, contact)? else {
        return Ok(Vec::new());
    };
    let mut by_address: BTreeMap<Name, Vec<&ConsentFact>> = BTreeMap::new();
    for fact in facts.iter().filter(|fact| fact.purpose == EMAIL) {
        let in_use = known.address().map(Name::from);
        let addresses: BTreeSet<Name> = known.addresses_of(fact).into_iter().chain(in_use).collect();
        for address in addresses {
            if counts_for_others(&known, fact, &address) {
                by_address.entry(address).or_default().push(fact);
            }
        }
    }
    let mut changed = Vec::new();
    for (address, facts) in by_address {
        for other in others(tx, workspace, &address, &[contact])? {
            if apply_facts(tx, row, workspace, other, &address, &facts, planned)? {
                changed.push(other);
            }
        }
    }
    Ok(changed)
}

/// Reconsiders the contact's opt-ins at its shared mailboxes after the contact moved to another address or
/// opted out: they may no longer count for the other users, or count again. Adds the deliveries that follow
/// to `planned`. Returns the contacts that changed.
pub(crate) fn reconsider(
    tx: &mut Tx<'_>,
    row: &Row,
    workspace: WorkspaceRowId,
    contact: ContactRowId,
    planned: &mut Vec<Planned>,
) -> Result<Vec<ContactRowId>, Error> {
    if !tx.state.any_shared.get() {
        return Ok(Vec::new());
    }
    let Some(known) = contact::read(tx.connection, contact)? else {
        return Ok(Vec::new());
    };
    let mut addresses: BTreeSet<Name> = BTreeSet::new();
    for fact in ledger(tx, contact)? {
        addresses.extend(known.addresses_of(&fact));
    }
    let mut changed = Vec::new();
    for address in addresses {
        for other in others(tx, workspace, &address, &[contact])? {
            let Some(before) = contact::read(tx.connection, other)? else {
                continue;
            };
            let agreed = opt_ins_at(tx, workspace, &address, other, &[])?;
            let mut after = before.clone();
            let consent = after.consent.entry(EMAIL.to_owned()).or_default();
            if consent.set_agreed(&address, &agreed) {
                let change = Changed {
                    contact: other,
                    before: &before,
                    after: &after,
                };
                write(tx, row, workspace, &change, planned)?;
                changed.push(other);
            }
        }
    }
    Ok(changed)
}

/// Applies another user's facts to a contact. Returns whether anything changed.
fn apply_facts(
    tx: &mut Tx<'_>,
    row: &Row,
    workspace: WorkspaceRowId,
    other: ContactRowId,
    address: &str,
    facts: &[&ConsentFact],
    planned: &mut Vec<Planned>,
) -> Result<bool, Error> {
    let Some(before) = contact::read(tx.connection, other)? else {
        return Ok(false);
    };
    let mut after = before.clone();
    if !add_shared(tx, other, &mut after, address, facts.iter().copied())? {
        return Ok(false);
    }
    let changed = Changed {
        contact: other,
        before: &before,
        after: &after,
    };
    write(tx, row, workspace, &changed, planned)?;
    Ok(true)
}

/// A contact before and after a change.
pub(crate) struct Changed<'a> {
    pub contact: ContactRowId,
    pub before: &'a Contact,
    pub after: &'a Contact,
}

impl Changed<'_> {
    pub(crate) fn store(&self, tx: &mut Tx<'_>, now: Timestamp) -> Result<(), Error> {
        tx.state.recent.forget_contact(self.contact);
        contact::update(tx.connection, self.contact, self.after, now)
    }

    /// The change for destinations, if the terms stay the same.
    pub(crate) fn by<'c>(&'c self, terms: &'c Terms) -> Change<'c> {
        Change {
            contact: self.contact,
            before: (self.before, terms),
            after: (self.after, terms),
        }
    }
}

/// Writes the changed contact, and plans the deliveries that follow.
pub(crate) fn write(
    tx: &mut Tx<'_>,
    row: &Row,
    workspace: WorkspaceRowId,
    changed: &Changed<'_>,
    planned: &mut Vec<Planned>,
) -> Result<(), Error> {
    changed.store(tx, row.now)?;
    let terms = tx.state.terms_of(workspace);
    let follows = replan::after_change(tx, workspace, row.id, &changed.by(&terms), row.now)?;
    planned.extend(follows);
    Ok(())
}
