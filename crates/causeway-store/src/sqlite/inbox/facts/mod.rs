//! Campaigns, pages and actions, as events describe them. Every part is a join, so that the order of arrival
//! does not matter.

mod action;
mod entity;

use std::collections::{BTreeMap, HashMap};

use causeway_core::{
    clock::Timestamp,
    contact::Contact,
    event::{Campaign, Organisation, Page},
    id::Name,
};
use rusqlite::{Connection, OptionalExtension, ToSql, params};
use serde_json::Value;

use crate::sqlite::base::{
    error::Error,
    ids::{CampaignRowId, NamespaceRowId, PageRowId, WorkspaceRowId},
    rows::{from_json, to_json},
};

pub(crate) use action::{ActionPlace, KnownAction, find_action, read_action, write_action};
pub(crate) use entity::Entity;
use entity::{Description, EntityKind};

/// Maximum number of campaigns and pages kept in memory.
const CACHED: usize = 4_096;

/// The campaigns and pages that events name again and again, written once per command.
#[derive(Default)]
pub(crate) struct Facts {
    /// By workspace and namespace, then by the id at the platform.
    entities: HashMap<(EntityKind, WorkspaceRowId, NamespaceRowId), HashMap<Name, Entity>>,
    /// The number of entities in all maps.
    count: usize,
    cached: Cached,
}

/// Campaigns and pages that were read.
#[derive(Default)]
struct Cached {
    campaigns: HashMap<CampaignRowId, Campaign>,
    pages: HashMap<PageRowId, Page>,
}

impl Cached {
    fn forget(&mut self, kind: EntityKind, id: i64) {
        match kind {
            EntityKind::Campaign => {
                self.campaigns.remove(&CampaignRowId(id));
            }
            EntityKind::Page => {
                self.pages.remove(&PageRowId(id));
            }
        }
    }
}

impl Facts {
    /// Joins what an event with the time `at` says about a campaign.
    pub(crate) fn learn_campaign(
        &mut self,
        connection: &Connection,
        workspace: WorkspaceRowId,
        namespace: NamespaceRowId,
        campaign: &Campaign,
        at: Timestamp,
    ) -> Result<CampaignRowId, Error> {
        let description = Description::Campaign(campaign);
        let (id, _) = self.learn(connection, workspace, namespace, description, at)?;
        Ok(CampaignRowId(id))
    }

    /// Joins what an event with the time `at` says about a page. Returns its row, and the page afterwards;
    /// `None` if the event says nothing new.
    pub(crate) fn learn_page(
        &mut self,
        connection: &Connection,
        workspace: WorkspaceRowId,
        namespace: NamespaceRowId,
        page: &Page,
        at: Timestamp,
    ) -> Result<(PageRowId, Option<&Entity>), Error> {
        let description = Description::Page(page);
        let (id, entity) = self.learn(connection, workspace, namespace, description, at)?;
        Ok((PageRowId(id), entity))
    }

    fn learn(
        &mut self,
        connection: &Connection,
        workspace: WorkspaceRowId,
        namespace: NamespaceRowId,
        description: Description<'_>,
        at: Timestamp,
    ) -> Result<(i64, Option<&Entity>), Error> {
        let (kind, external_id) = (description.kind(), description.external_id());
        if self.count > CACHED {
            self.flush(connection)?;
            self.entities.clear();
            self.count = 0;
        }
        let entities = self.entities.entry((kind, workspace, namespace)).or_default();
        if let Some(entity) = entities.get_mut(external_id)
            && entity.is_repeat(description, at)
        {
            return Ok((entity.id, None));
        }
        if !entities.contains_key(external_id) {
            let entity = load_or_insert(connection, kind, workspace, namespace, external_id)?;
            entities.insert(external_id.into(), entity);
            self.count += 1;
        }
        let entity = entities
            .get_mut(external_id)
            .ok_or(Error::Broken("a campaign or page"))?;
        if entity.learn(description, at) {
            self.cached.forget(kind, entity.id);
        }
        Ok((entity.id, Some(entity)))
    }

    /// Writes the changed entities. An entity whose row was rolled back no longer exists, and is left out.
    pub(crate) fn flush(&mut self, connection: &Connection) -> Result<(), Error> {
        for ((kind, ..), entities) in &mut self.entities {
            let sql = match kind {
                EntityKind::Campaign => "UPDATE campaign SET doc = ?2 WHERE id = ?1",
                EntityKind::Page => "UPDATE page SET doc = ?2 WHERE id = ?1",
            };
            for entity in entities.values_mut().filter(|entity| entity.dirty) {
                connection
                    .prepare_cached(sql)?
                    .execute(params![entity.id, to_json(&entity.doc.fields)?])?;
                entity.dirty = false;
                // A query since the change may have cached the old row.
                self.cached.forget(*kind, entity.id);
            }
        }
        Ok(())
    }

    /// A campaign in memory, which may not be written yet.
    pub(crate) fn learned_campaign(
        &self,
        workspace: WorkspaceRowId,
        namespace: NamespaceRowId,
        external_id: &str,
    ) -> Option<Campaign> {
        let campaigns = self.entities.get(&(EntityKind::Campaign, workspace, namespace))?;
        let entity = campaigns.get(external_id)?;
        Some(campaign_of(external_id.to_owned(), &entity.doc))
    }

    pub(crate) fn campaign(
        &mut self,
        connection: &Connection,
        id: CampaignRowId,
    ) -> Result<Option<Campaign>, Error> {
        if let Some(known) = self.cached.campaigns.get(&id) {
            return Ok(Some(known.clone()));
        }
        let found = read_campaign(connection, id)?;
        if let Some(campaign) = &found {
            if self.cached.campaigns.len() > CACHED {
                self.cached.campaigns.clear();
            }
            self.cached.campaigns.insert(id, campaign.clone());
        }
        Ok(found)
    }

    pub(crate) fn page(&mut self, connection: &Connection, id: PageRowId) -> Result<Option<Page>, Error> {
        if let Some(known) = self.cached.pages.get(&id) {
            return Ok(Some(known.clone()));
        }
        let found = read_page(connection, id)?;
        if let Some(page) = &found {
            if self.cached.pages.len() > CACHED {
                self.cached.pages.clear();
            }
            self.cached.pages.insert(id, page.clone());
        }
        Ok(found)
    }
}

fn load_or_insert(
    connection: &Connection,
    kind: EntityKind,
    workspace: WorkspaceRowId,
    namespace: NamespaceRowId,
    external_id: &str,
) -> Result<Entity, Error> {
    let (select, insert) = match kind {
        EntityKind::Campaign => (
            "SELECT id, doc FROM campaign WHERE workspace_id = ?1 AND namespace_id = ?2 AND external_id = ?3",
            "INSERT INTO campaign (workspace_id, namespace_id, external_id, doc) VALUES (?1, ?2, ?3, '{}')",
        ),
        EntityKind::Page => (
            "SELECT id, doc FROM page WHERE workspace_id = ?1 AND namespace_id = ?2 AND external_id = ?3",
            "INSERT INTO page (workspace_id, namespace_id, external_id, doc) VALUES (?1, ?2, ?3, '{}')",
        ),
    };
    let found: Option<(i64, String)> = connection
        .prepare_cached(select)?
        .query_row(params![workspace, namespace, external_id], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let mut doc = Contact::default();
    let id = if let Some((id, text)) = found {
        doc.fields = from_json(&text)?;
        id
    } else {
        connection
            .prepare_cached(insert)?
            .execute(params![workspace, namespace, external_id])?;
        connection.last_insert_rowid()
    };
    Ok(Entity::new(id, doc))
}

pub(crate) fn campaign_fields(campaign: &Campaign) -> BTreeMap<String, Value> {
    let mut fields = BTreeMap::from([("name".to_owned(), Value::from(campaign.name.as_str()))]);
    put(&mut fields, "title", campaign.title.clone().map(Value::from));
    put(&mut fields, "crm_id", campaign.crm_id.map(Value::from));
    put(
        &mut fields,
        "contact_schema",
        campaign.contact_schema.clone().map(Value::from),
    );
    put(&mut fields, "config", campaign.config.clone());
    fields
}

pub(crate) fn page_fields(page: &Page) -> BTreeMap<String, Value> {
    let mut fields = BTreeMap::new();
    put(&mut fields, "name", page.name.clone().map(Value::from));
    put(&mut fields, "locale", page.locale.clone().map(Value::from));
    let org = page.org.as_ref().and_then(|org| serde_json::to_value(org).ok());
    put(&mut fields, "org", org);
    fields
}

fn put(fields: &mut BTreeMap<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        fields.insert(name.to_owned(), value);
    }
}

/// The organisation that owns a page, by the page's document.
pub(crate) fn organisation(doc: &Contact) -> Option<Organisation> {
    let field = doc.fields.get("org")?;
    serde_json::from_value(field.value.clone()).ok()
}

pub(crate) fn read_campaign(connection: &Connection, id: CampaignRowId) -> Result<Option<Campaign>, Error> {
    let Some((external_id, doc)) = read(
        connection,
        "SELECT external_id, doc FROM campaign WHERE id = ?1",
        id,
    )?
    else {
        return Ok(None);
    };
    Ok(Some(campaign_of(external_id, &doc)))
}

fn campaign_of(external_id: String, doc: &Contact) -> Campaign {
    let text = |name: &str| doc.text(name).map(str::to_owned);
    Campaign {
        external_id,
        name: text("name").unwrap_or_default(),
        title: text("title"),
        crm_id: doc.fields.get("crm_id").and_then(|field| field.value.as_i64()),
        contact_schema: text("contact_schema"),
        config: doc.fields.get("config").map(|field| field.value.clone()),
    }
}

pub(crate) fn read_page(connection: &Connection, id: PageRowId) -> Result<Option<Page>, Error> {
    let Some((external_id, doc)) = read(connection, "SELECT external_id, doc FROM page WHERE id = ?1", id)?
    else {
        return Ok(None);
    };
    Ok(Some(Page {
        external_id,
        name: doc.text("name").map(str::to_owned),
        locale: doc.text("locale").map(str::to_owned),
        org: organisation(&doc),
    }))
}

fn read(connection: &Connection, sql: &str, id: impl ToSql) -> Result<Option<(String, Contact)>, Error> {
    let found: Option<(String, String)> = connection
        .prepare_cached(sql)?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((external_id, doc)) = found else {
        return Ok(None);
    };
    let doc = Contact {
        fields: from_json(&doc)?,
        ..Contact::default()
    };
    Ok(Some((external_id, doc)))
}
