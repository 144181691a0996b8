//! Contacts and their identities, and the merge of contacts that turn out to be one person.

use std::collections::BTreeSet;

use causeway_core::{
    automation::OWN_SCORE,
    clock::Timestamp,
    consent::{ConsentFact, What},
    contact::{
        Contact, Identity,
        doc::{ContactDoc, StoredContact},
    },
    event::Engagement,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::sqlite::{
    base::{
        error::Error,
        ids::{ContactRowId, InboxRowId, NamespaceRowId, WorkspaceRowId},
        rows::{at, from_json, identity, ms, text, to_json},
        tx::Tx,
    },
    outbox::given,
    people::seen,
};

/// The row numbers of the contacts that these identities name, ascending. They may be several people.
pub(crate) fn find(
    tx: &mut Tx<'_>,
    workspace: WorkspaceRowId,
    identities: &[Identity],
) -> Result<Vec<ContactRowId>, Error> {
    let mut found = BTreeSet::new();
    let is_named = identities.iter().any(|identity| !identity.is_visitor());
    for identity in identities {
        let Some(id) = find_one(tx, workspace, identity)? else {
            continue;
        };
        // A visitor id identifies nobody if the browser's contact has a name and the event names another
        // contact.
        if is_named && identity.is_visitor() && !found.contains(&id) && has_identity(tx.connection, id)? {
            continue;
        }
        found.insert(id);
    }
    Ok(found.into_iter().collect())
}

pub(crate) fn find_one(
    tx: &mut Tx<'_>,
    workspace: WorkspaceRowId,
    identity: &Identity,
) -> Result<Option<ContactRowId>, Error> {
    let namespace = namespace_id(tx, identity)?;
    Ok(tx
        .connection
        .prepare_cached(
            "SELECT contact_id FROM identity
             WHERE workspace_id = ?1 AND kind = ?2 AND namespace_id = ?3 AND value = ?4",
        )?
        .query_row(
            params![workspace, identity.kind(), namespace, identity.value()],
            |row| row.get(0),
        )
        .optional()?)
}

/// Whether the contact is known by more than the browsers that it used.
pub(crate) fn has_identity(connection: &Connection, contact: ContactRowId) -> Result<bool, Error> {
    Ok(identities(connection, contact)?
        .iter()
        .any(|identity| !identity.is_visitor()))
}

pub(crate) fn namespace_id(tx: &mut Tx<'_>, identity: &Identity) -> Result<NamespaceRowId, Error> {
    tx.state.names.namespace(tx.connection, identity.namespace())
}

pub(crate) fn read(connection: &Connection, id: ContactRowId) -> Result<Option<Contact>, Error> {
    let doc: Option<Option<String>> = connection
        .prepare_cached("SELECT doc FROM contact WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    let Some(doc) = doc.flatten() else {
        return Ok(None);
    };
    let mut contact = from_doc(&doc)?;
    contact.id = Some(id.into());
    Ok(Some(contact))
}

pub(crate) fn from_doc(doc: &str) -> Result<Contact, Error> {
    from_json::<StoredContact>(doc).map(Contact::from)
}

pub(crate) fn to_doc(contact: &Contact) -> Result<String, Error> {
    to_json(&ContactDoc::from(contact))
}

pub(crate) fn insert(
    connection: &Connection,
    workspace: WorkspaceRowId,
    contact: &Contact,
    now: Timestamp,
) -> Result<ContactRowId, Error> {
    connection
        .prepare_cached(
            "INSERT INTO contact (workspace_id, doc, created_at, updated_at) VALUES (?1, ?2, ?3, ?3)",
        )?
        .execute(params![workspace, to_doc(contact)?, ms(now)])?;
    Ok(ContactRowId(connection.last_insert_rowid()))
}

pub(crate) fn update(
    connection: &Connection,
    id: ContactRowId,
    contact: &Contact,
    now: Timestamp,
) -> Result<(), Error> {
    connection
        .prepare_cached("UPDATE contact SET doc = ?2, updated_at = ?3 WHERE id = ?1")?
        .execute(params![id, to_doc(contact)?, ms(now)])?;
    Ok(())
}

pub(crate) fn write_identities(
    tx: &mut Tx<'_>,
    workspace: WorkspaceRowId,
    contact: ContactRowId,
    identities: &[Identity],
) -> Result<(), Error> {
    for identity in identities {
        let namespace = namespace_id(tx, identity)?;
        tx.connection
            .prepare_cached(
                "INSERT INTO identity (workspace_id, kind, namespace_id, value, contact_id)
                 VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                workspace,
                identity.kind(),
                namespace,
                identity.value(),
                contact
            ])?;
    }
    Ok(())
}

pub(crate) fn identities(connection: &Connection, contact: ContactRowId) -> Result<Vec<Identity>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT identity.kind, name.name, identity.value
         FROM identity JOIN name ON name.id = identity.namespace_id
         WHERE identity.contact_id = ?1",
    )?;
    let mut rows = statement.query([contact])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(identity(row, 0)?);
    }
    // The order of `causeway_core`: by kind, then by value.
    all.sort();
    Ok(all)
}

/// `is_unclear`: the opt-outs among the facts may be of several people ([`super::unclear`]).
pub(crate) fn write_consent(
    connection: &Connection,
    contact: ContactRowId,
    inbox: InboxRowId,
    facts: &[ConsentFact],
    is_unclear: bool,
) -> Result<(), Error> {
    for fact in facts {
        let page = match &fact.what {
            What::DoubleOptInOnPage { page } => page.as_str(),
            _ => "",
        };
        connection
            .prepare_cached(
                "INSERT INTO consent (contact_id, purpose, what, page, at, basis, inbox_id, address, unclear)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                contact,
                fact.purpose,
                fact.what.as_str(),
                page,
                ms(fact.at),
                fact.basis,
                inbox,
                fact.address.as_deref().unwrap_or_default(),
                is_unclear && fact.what.is_opt_out(),
            ])?;
    }
    Ok(())
}

/// Reads the columns purpose, what, page, at, basis, address.
pub(crate) fn consent_fact(row: &Row<'_>) -> Result<ConsentFact, Error> {
    let what = match text(row, 1)? {
        "opt_in" => What::OptIn,
        "opt_in_pending" => What::OptInPending,
        "double_opt_in" => What::DoubleOptIn,
        "double_opt_in_on_page" => What::DoubleOptInOnPage { page: row.get(2)? },
        "declined" => What::Declined,
        "not_asked" => What::NotAsked,
        "unsubscribed" => What::Unsubscribed,
        "complained" => What::Complained,
        "bounced" => What::Bounced,
        "blocked" => What::Blocked,
        "inactive" => What::Inactive,
        _ => return Err(Error::Broken("the kind of a consent fact")),
    };
    Ok(ConsentFact {
        purpose: row.get(0)?,
        what,
        at: at(row.get(3)?),
        basis: row.get(4)?,
        address: Some(text(row, 5)?)
            .filter(|text| !text.is_empty())
            .map(str::to_owned),
    })
}

/// Stored for an engagement without a time, since a column of a key cannot be NULL.
pub(crate) const NO_TIME: i64 = -1;

/// A set that only grows. If two engagements have the same key, the greater value of each column stays.
const JOIN_ENGAGEMENT: &str = "ON CONFLICT DO UPDATE SET
    name = coalesce(max(name, excluded.name), name, excluded.name),
    raw_at = coalesce(max(raw_at, excluded.raw_at), raw_at, excluded.raw_at),
    count = coalesce(max(count, excluded.count), count, excluded.count),
    score = coalesce(max(score, excluded.score), score, excluded.score)";

pub(crate) fn write_engagements(
    connection: &Connection,
    contact: ContactRowId,
    engagements: &[Engagement],
) -> Result<(), Error> {
    if engagements.is_empty() {
        return Ok(());
    }
    let mut insert = connection.prepare_cached(&format!(
        "INSERT INTO engagement (contact_id, kind, key, at, name, raw_at, count, score)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) {JOIN_ENGAGEMENT}"
    ))?;
    for engagement in engagements {
        insert.execute(params![
            contact,
            engagement.kind.as_str(),
            engagement.key,
            engagement.at.map_or(NO_TIME, ms),
            engagement.name,
            engagement.raw_at,
            engagement.count,
            engagement.score,
        ])?;
    }
    Ok(())
}

/// Whether the contact has this engagement already.
pub(crate) fn has_engagement(
    connection: &Connection,
    contact: ContactRowId,
    engagement: &Engagement,
) -> Result<bool, Error> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM engagement WHERE contact_id = ?1 AND kind = ?2 AND key = ?3 AND at = ?4
                            AND coalesce(count, 0) >= coalesce(?5, 0))",
        )?
        .query_row(
            params![
                contact,
                engagement.kind.as_str(),
                engagement.key,
                engagement.at.map_or(NO_TIME, ms),
                engagement.count
            ],
            |row| row.get(0),
        )?)
}

/// The sum of the points that our own scoring rules gave.
pub(crate) fn own_points(connection: &Connection, contact: ContactRowId) -> Result<f64, Error> {
    Ok(connection
        .prepare_cached(
            "SELECT total(score) FROM engagement
             WHERE contact_id = ?1 AND kind = 'lead_score' AND key >= ?2 AND key < ?2 || char(1114111)",
        )?
        .query_row(params![contact, OWN_SCORE], |row| row.get(0))?)
}

/// Moves everything of `from` to `into`. The row of `from` stays and says which contact it was merged into.
pub(crate) fn merge(connection: &Connection, from: ContactRowId, into: ContactRowId) -> Result<(), Error> {
    let steps = [
        "UPDATE identity SET contact_id = ?2 WHERE contact_id = ?1",
        "UPDATE action SET contact_id = ?2 WHERE contact_id = ?1",
        // A message about two contacts that shared an address may have a withdrawal for each. One is enough
        // for the merged contact.
        "UPDATE OR IGNORE delivery SET contact_id = ?2 WHERE contact_id = ?1",
        "UPDATE event SET contact_id = ?2 WHERE contact_id = ?1",
        "UPDATE timer SET contact_id = ?2 WHERE contact_id = ?1",
        "UPDATE OR IGNORE shared_address SET contact_id = ?2 WHERE contact_id = ?1",
        "UPDATE identity_conflict SET contact_id = ?2 WHERE contact_id = ?1",
        "UPDATE OR REPLACE conflict_contact SET contact_id = ?2 WHERE contact_id = ?1",
        // Both may have the same fact; then the one of `into` stays.
        "UPDATE OR IGNORE consent SET contact_id = ?2 WHERE contact_id = ?1",
        "UPDATE contact SET merged_into = ?2 WHERE merged_into = ?1",
        "UPDATE contact SET merged_into = ?2, doc = NULL WHERE id = ?1",
    ];
    for sql in steps {
        connection.prepare_cached(sql)?.execute([from, into])?;
    }
    connection
        .prepare_cached(&format!(
            "INSERT INTO engagement (contact_id, kind, key, at, name, raw_at, count, score)
             SELECT ?2, kind, key, at, name, raw_at, count, score FROM engagement WHERE contact_id = ?1
             {JOIN_ENGAGEMENT}"
        ))?
        .execute([from, into])?;
    seen::merge(connection, from, into)?;
    given::merge(connection, from, into)?;
    for sql in [
        "DELETE FROM shared_address WHERE contact_id = ?1",
        "DELETE FROM consent WHERE contact_id = ?1",
        "DELETE FROM engagement WHERE contact_id = ?1",
    ] {
        connection.prepare_cached(sql)?.execute([from])?;
    }
    Ok(())
}
