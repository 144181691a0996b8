//! The ad account, and creating, listing, changing and deleting its audiences.

use std::collections::BTreeMap;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value, json};

use super::{
    Meta,
    audience::{Audience, nonexisting},
    call::Call,
    errors::GraphError,
    filter::Filter,
    limits::{Bucket, Family},
};

/// An ad account.
#[derive(Debug, Clone)]
pub struct Account {
    pub name: String,
    pub terms: Terms,
    pub buckets: BTreeMap<Family, Bucket>,
    /// Audiences that it may have.
    pub most_audiences: usize,
}

/// Whether a person of the business accepted the terms of custom audiences, and the error if not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terms {
    Accepted,
    /// 200/1870090, as the page about the terms has it.
    Missing,
    /// 200/1870034, as the table of errors has it.
    Missing1870034,
    /// 2655, as older versions of the API.
    Missing2655,
    /// 2663, likewise, with the link.
    Missing2663,
}

impl Account {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            terms: Terms::Accepted,
            buckets: BTreeMap::new(),
            most_audiences: 500,
        }
    }
}

const SOURCES: [&str; 3] = [
    "USER_PROVIDED_ONLY",
    "PARTNER_PROVIDED_ONLY",
    "BOTH_USER_AND_PARTNER_PROVIDED",
];
const LABELS: [&str; 15] = [
    "APP_USERS",
    "AT_RISK",
    "CART_ABANDONERS",
    "DISENGAGED",
    "DISQUALIFIED_LEADS",
    "ENGAGED_USERS",
    "GENERAL_CUSTOMERS",
    "HIGH_VALUE_CUSTOMERS",
    "LOW_VALUE_CUSTOMERS",
    "OTHER_1",
    "OTHER_2",
    "OTHER_3",
    "QUALIFIED_LEADS",
    "RECENT_PURCHASERS",
    "TRIAL_USERS",
];
/// Parameters that are kept as they are.
const KEPT: [&str; 6] = [
    "name",
    "description",
    "customer_file_source",
    "is_value_based",
    "opt_out_link",
    "usage_restriction",
];
/// Audiences on a page, unless the caller says how many.
const PAGE: usize = 25;

impl Meta {
    pub(super) fn check_terms(&self, account: &str) -> Result<(), GraphError> {
        let link = format!("https://business.facebook.com/ads/manage/customaudiences/tos/?act={account}");
        let documented = |subcode| {
            let text = format!("Accept the Custom Audience terms: {link}");
            let error = GraphError::numbered(200, "Permissions error").subcode(subcode);
            Err(error.for_user("Custom Audience Terms Not Accepted", text))
        };
        let message = "Terms of service has not been accepted";
        match self
            .accounts
            .get(account)
            .map_or(Terms::Accepted, |account| account.terms)
        {
            Terms::Accepted => Ok(()),
            Terms::Missing => documented(1_870_090),
            Terms::Missing1870034 => documented(1_870_034),
            Terms::Missing2655 => Err(GraphError::numbered(2655, message)),
            Terms::Missing2663 => {
                let message = format!("{message}. To accept, go to {link}");
                Err(GraphError::numbered(2663, message))
            }
        }
    }

    pub(super) fn read_account(&self, id: &str, call: &Call) -> Result<Value, GraphError> {
        let account = &self.accounts[id];
        let accepted = match account.terms {
            Terms::Accepted => json!({ "custom_audience_tos": 1 }),
            _ => json!({}),
        };
        let mut read = Map::new();
        for name in call.fields() {
            let value = match name.as_str() {
                "id" => continue,
                "account_id" => id.into(),
                "name" => account.name.clone().into(),
                "account_status" => 1.into(),
                "tos_accepted" => accepted.clone(),
                "user_tos_accepted" => json!({}),
                _ => return Err(nonexisting(&name, "AdAccount")),
            };
            read.insert(name, value);
        }
        read.insert("id".to_owned(), format!("act_{id}").into());
        Ok(read.into())
    }

    pub(super) fn create_audience(&mut self, account: &str, call: &Call) -> Result<Value, GraphError> {
        self.check_terms(account)?;
        for required in ["name", "subtype", "customer_file_source"] {
            if call.text(required).is_none_or(|text| text.is_empty()) {
                return Err(GraphError::missing(required));
            }
        }
        if call.text("subtype").as_deref() != Some("CUSTOM") || call.text("rule").is_some() {
            let message = "Failed to create custom audience: this subtype cannot be created in this way";
            return Err(GraphError::numbered(2654, message));
        }
        let audiences = self.audiences.values();
        let count = audiences.filter(|audience| audience.account == account).count();
        if count >= self.accounts[account].most_audiences {
            let message = "Failed to create custom audience: the ad account has too many audiences";
            return Err(GraphError::numbered(2654, message));
        }
        let params = params(call)?;
        let id = self.insert_audience(account, params);
        Ok(json!({ "id": id }))
    }

    pub(super) fn insert_audience(&mut self, account: &str, params: Map<String, Value>) -> String {
        self.last_id += 1;
        let id = self.last_id.to_string();
        let mut audience = Audience::new(id.clone(), account, params, self.now());
        self.flag(&mut audience);
        self.audiences.insert(id.clone(), audience);
        id
    }

    /// Flags an audience whose name or description hints at the health or finances of its people.
    fn flag(&self, audience: &mut Audience) {
        audience.flagged.clear();
        for field in ["name", "description"] {
            let text = audience.params.get(field).and_then(Value::as_str);
            let text = text.unwrap_or_default().to_lowercase();
            if self.flagged_words.iter().any(|word| text.contains(word)) {
                audience.flagged.push(field.to_owned());
            }
        }
    }

    pub(super) fn update_audience(&mut self, call: &Call) -> Result<Value, GraphError> {
        let params = params(call)?;
        let now = self.now();
        let mut audience = self.audience(&call.node).clone();
        let is_renamed = params.contains_key("name") || params.contains_key("description");
        audience.params.extend(params);
        audience.updated = now;
        if is_renamed {
            self.flag(&mut audience);
        }
        self.audiences.insert(call.node.clone(), audience);
        Ok(json!({ "success": true }))
    }

    pub(super) fn list_audiences(&self, account: &str, call: &Call) -> Result<Value, GraphError> {
        let filters = Filter::all(call)?;
        let found = self.audiences.values().filter(|audience| {
            let is_wanted = filters.iter().all(|filter| filter.takes(audience));
            audience.account == account && is_wanted
        });
        // The newest first, as Meta lists them.
        let found: Vec<&Audience> = found.rev().collect();
        let limit = call.text("limit").map_or(Ok(PAGE), |text| text.parse());
        let limit = limit.map_err(|_| GraphError::invalid("Param limit must be an integer"))?;
        if limit > self.most_per_page {
            let message = "Please reduce the amount of data you're asking for, then retry your request";
            return Err(GraphError::new(1, message).status(500));
        }
        // An audience that was deleted meanwhile still marks the place in the list.
        let start = match call.text("after") {
            Some(cursor) => {
                let id = BASE64URL_NOPAD.decode(cursor.as_bytes());
                let id = id.map_err(|_| GraphError::invalid("Invalid cursors values"))?;
                found.partition_point(|audience| audience.id.as_bytes() >= id.as_slice())
            }
            None => 0,
        };
        let page = found.get(start..).unwrap_or_default();
        let page = page.get(..limit).unwrap_or(page);
        let fields = call.fields();
        let data = page.iter().map(|audience| audience.read(&fields, self));
        let mut list = json!({ "data": data.collect::<Result<Vec<_>, _>>()? });
        if let (Some(first), Some(last)) = (page.first(), page.last()) {
            let after = cursor(last);
            list["paging"] = json!({ "cursors": { "before": cursor(first), "after": after } });
            if start + page.len() < found.len() {
                let query = call.query_with("after", &after);
                list["paging"]["next"] = format!("{}{}?{query}", call.base, call.path).into();
            }
        }
        if call.flag("summary") {
            list["summary"] = json!({ "total_count": found.len() });
        }
        Ok(list)
    }
}

fn cursor(audience: &Audience) -> String {
    BASE64URL_NOPAD.encode(audience.id.as_bytes())
}

/// What a caller may set.
fn params(call: &Call) -> Result<Map<String, Value>, GraphError> {
    let one_of = |name: &str, value: &str, allowed: &[&str]| {
        let message = format!("Param {name} must be one of {{{}}}", allowed.join(", "));
        let is_allowed = allowed.contains(&value);
        is_allowed
            .then_some(())
            .ok_or_else(|| GraphError::invalid(message))
    };
    let mut params = Map::new();
    for name in KEPT {
        if let Some(text) = call.text(name) {
            params.insert(name.to_owned(), text.into());
        }
    }
    if let Some(source) = call.text("customer_file_source") {
        one_of("customer_file_source", &source, &SOURCES)?;
    }
    if let Some(labels) = call.json("audience_labels")? {
        for label in labels.as_array().into_iter().flatten() {
            one_of("audience_labels", label.as_str().unwrap_or_default(), &LABELS)?;
        }
        params.insert("audience_labels".to_owned(), labels);
    }
    if let Some(products) = call.json("use_for_products")? {
        params.insert("use_for_products".to_owned(), products);
    }
    Ok(params)
}
