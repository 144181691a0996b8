//! Pages, and what people did on them.

use causeway_core::clock::Timestamp;
use serde_json::{Map, Value, json};

use super::{Call, EngagingNetworks, errors::Failure};

#[derive(Debug, Clone)]
pub struct Page {
    pub name: String,
    /// Transactions name the campaign and not the page.
    pub campaign: u64,
    pub kind: String,
    pub sub_kind: String,
    /// `live`, `new`, `tested`, `close`, `block` or `delete`.
    pub status: String,
}

#[derive(Debug, Clone)]
pub struct Transaction {
    pub id: u64,
    pub supporter: u64,
    pub page: u64,
    pub at: Timestamp,
    /// `txn1` to `txn10`, `trackingId` and the like. The API never shows them.
    pub fields: Map<String, Value>,
}

/// Short names of types with a subtype.
const SHORT: [(&str, &str, &str); 6] = [
    ("dcf", "dc", "DCF"),
    ("pet", "dc", "PET"),
    ("ems", "dc", "EMS"),
    ("survey", "dc", "SURVEY"),
    ("unsub", "dc", "UNSUB"),
    ("premium", "nd", "PREMIUM"),
];

impl EngagingNetworks {
    /// A page of a type such as `pet`. Returns its number.
    pub fn add_page(&mut self, name: &str, kind: &str) -> u64 {
        let (id, campaign) = (self.next_id(), self.next_id());
        let known = SHORT.iter().find(|(short, ..)| *short == kind);
        let (kind, sub_kind) = known.map_or((kind, ""), |(_, kind, sub_kind)| (kind, sub_kind));
        let page = Page {
            name: name.to_owned(),
            campaign,
            kind: kind.to_owned(),
            sub_kind: sub_kind.to_owned(),
            status: "live".to_owned(),
        };
        self.pages.insert(id, page);
        id
    }

    fn known_page(&self, id: &str) -> Result<u64, Failure> {
        let known = id.parse().ok().filter(|id| self.pages.contains_key(id));
        known.ok_or_else(|| Failure::no_page(id))
    }

    pub(super) fn list_pages(&self, call: &Call<'_>) -> Result<Value, Failure> {
        let kind = call
            .parameter("type")
            .ok_or_else(|| Failure::bad("Failed to get pages"))?;
        let known = SHORT.iter().find(|(short, ..)| *short == kind);
        let status = call.parameter("status");
        let fits = |page: &Page| {
            let is_kind = match known {
                Some((_, kind, sub_kind)) => page.kind == *kind && page.sub_kind == *sub_kind,
                None => page.kind == kind,
            };
            is_kind && status.is_none_or(|status| page.status == status)
        };
        let found = self.pages.iter().filter(|(_, page)| fits(page));
        Ok(found.map(|(id, page)| shown(*id, page)).collect())
    }

    pub(super) fn read_page(&self, id: &str) -> Result<Value, Failure> {
        let id = self.known_page(id)?;
        let mut page = shown(id, &self.pages[&id]);
        page["template"] = json!("Main Template");
        Ok(page)
    }

    pub(super) fn list_transactions(&self, id: &str) -> Result<Value, Failure> {
        let id: u64 = id.parse().unwrap_or_default();
        if !self.supporters.contains_key(&id) {
            return Err(Failure::no_supporter(self.missing_is_404));
        }
        let own = self
            .transactions
            .iter()
            .filter(|transaction| transaction.supporter == id);
        let show = |transaction: &Transaction| {
            let page = &self.pages[&transaction.page];
            json!({
                "campaignId": page.campaign, "type": page.kind, "subtype": page.sub_kind, "name": page.name,
                "id": transaction.id, "xref1": null, "xref2": null,
                "createdOn": transaction.at.strftime("%d/%m/%Y").to_string(),
                "createdDate": transaction.at.as_second(),
            })
        };
        Ok(own.map(show).collect())
    }

    /// Stores an action. Not each error has an error's status.
    pub(super) fn process_page(&mut self, id: &str, call: &Call<'_>) -> Result<Value, Failure> {
        let page = self.known_page(id)?;
        let mut fields = call.body.as_object().cloned().unwrap_or_default();
        let supporter = fields.shift_remove("supporter").unwrap_or_default();
        let uses_properties = fields.shift_remove("standardFieldNames") == Some(json!(true));
        let supporter = if uses_properties {
            self.by_names(supporter)
        } else {
            supporter
        };
        if self.pages[&page].status != "live" {
            return Ok(error("This page is not live"));
        }
        if self.page_errors > 0 {
            self.page_errors -= 1;
            return Ok(error("The request could not be processed"));
        }
        let supporter = self.upsert(&supporter)?;
        let at = self.now();
        let id = self.next_id();
        if fields.get("demo") != Some(&json!(true)) {
            self.transactions.push(Transaction {
                id,
                supporter,
                page,
                at,
                fields,
            });
        }
        let email = &self.supporters[&supporter].fields[self.email_field()];
        Ok(json!({
            "status": "SUCCESS", "id": id, "supporterId": supporter, "supporterEmailAddress": email,
            "type": self.pages[&page].kind, "error": "", "createdOn": at.as_millisecond(),
        }))
    }

    /// A supporter by the names that all accounts have in common.
    fn by_names(&self, supporter: Value) -> Value {
        let Value::Object(members) = supporter else {
            return supporter;
        };
        let name = |property: String| {
            let field = self.fields.iter().find(|field| field.property == property);
            field.map_or(property, |field| field.name.clone())
        };
        members
            .into_iter()
            .map(|(property, value)| (name(property), value))
            .collect()
    }
}

fn error(text: &str) -> Value {
    json!({ "status": "ERROR", "id": 0, "supporterId": 0, "error": text })
}

fn shown(id: u64, page: &Page) -> Value {
    json!({
        "id": id, "campaignId": page.campaign, "name": page.name, "title": page.name, "type": page.kind,
        "subType": page.sub_kind, "clientId": 94, "createdOn": 1_767_225_600_000_u64,
        "modifiedOn": 1_767_225_600_000_u64, "campaignBaseUrl": "https://act.example.org",
        "campaignStatus": page.status, "defaultLocale": "en-GB",
    })
}
