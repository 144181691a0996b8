//! User lists: created, listed by pages and filters, read, changed and deleted.

use serde_json::{Map, Value, json};

use super::{
    Google,
    account::UserList,
    error::{ApiError, Violation},
};

const PAGE: usize = 50;
const MOST_PER_PAGE: usize = 1_000;
/// 540 days, in seconds.
const LONGEST: i64 = 46_656_000;
/// Members that only the API sets.
const OUTPUT: [&str; 6] = [
    "id",
    "name",
    "read_only",
    "closing_reason",
    "access_reason",
    "size_info",
];
const IMMUTABLE: [&str; 1] = ["ingested_user_list_info"];

/// The parameters of the query, and what the headers say.
pub(super) struct ListCall<'a> {
    pub account: &'a str,
    pub query: &'a Map<String, Value>,
    pub is_trial: bool,
}

impl ListCall<'_> {
    fn text(&self, camel: &str, snake: &str) -> &str {
        let value = self.query.get(camel).or(self.query.get(snake));
        value.and_then(Value::as_str).unwrap_or_default()
    }
}

fn one(field: &str, reason: &'static str) -> ApiError {
    ApiError::invalid(vec![Violation::new(field, reason)])
}

impl Google {
    /// A list that a person created in Google Ads. Returns its id.
    pub fn add_list(&mut self, account: &str, name: &str) -> u64 {
        let fields = json!({
            "display_name": name, "membership_duration": "46656000s",
            "ingested_user_list_info": { "upload_key_types": ["CONTACT_ID"] },
        });
        let fields = fields.as_object().cloned().unwrap_or_default();
        self.insert_list(account, fields)
    }

    /// Fails the test if there is no such list.
    pub fn list(&self, account: &str, id: u64) -> &UserList {
        &self.accounts[account].lists[&id]
    }

    pub fn list_mut(&mut self, account: &str, id: u64) -> &mut UserList {
        let account = self.accounts.get_mut(account).unwrap();
        account.lists.get_mut(&id).unwrap()
    }

    fn insert_list(&mut self, account: &str, mut fields: Map<String, Value>) -> u64 {
        self.last_list += 1;
        let id = self.last_list;
        let name = format!("accountTypes/GOOGLE_ADS/accounts/{account}/userLists/{id}");
        let set = [
            ("name", json!(name)),
            ("id", json!(id)),
            ("read_only", json!(false)),
            ("access_reason", json!("OWNED")),
            ("account_access_status", json!("ENABLED")),
        ];
        fields.extend(set.map(|(name, value)| (name.to_owned(), value)));
        fields.entry("membership_status").or_insert("OPEN".into());
        fields.entry("membership_duration").or_insert("46656000s".into());
        let list = UserList {
            fields,
            members: Vec::new(),
        };
        let account = self.accounts.get_mut(account).unwrap();
        account.lists.insert(id, list);
        id
    }

    fn shown(&self, account: &str, id: u64) -> Value {
        let list = self.list(account, id);
        let mut fields = list.fields.clone();
        let people = list.people();
        fields.insert(
            "size_info".to_owned(),
            json!({
                "display_network_members_count": people, "search_network_members_count": people,
                "youtube_members_count": people, "gmail_members_count": people,
            }),
        );
        Value::Object(fields)
    }

    pub(super) fn create_list(
        &mut self,
        call: &ListCall<'_>,
        fields: Map<String, Value>,
    ) -> Result<Value, ApiError> {
        self.check_list(call, &fields, None)?;
        let kinds = fields
            .get("ingested_user_list_info")
            .and_then(|info| info.get("upload_key_types"));
        match kinds.and_then(Value::as_array).map(Vec::len) {
            None | Some(0) => {
                let field = "user_list.ingested_user_list_info.upload_key_types";
                return Err(one(field, "REQUIRED_FIELD_MISSING"));
            }
            Some(1) => {}
            Some(_) => return Err(ApiError::new("UNSUPPORTED_USER_LIST_UPLOAD_KEY_TYPES")),
        }
        if call.is_trial {
            return Ok(json!({}));
        }
        let fields = fields
            .into_iter()
            .filter(|(name, _)| !OUTPUT.contains(&name.as_str()));
        let id = self.insert_list(call.account, fields.collect());
        Ok(self.shown(call.account, id))
    }

    /// Checks the members of a list that is created, or changed.
    fn check_list(
        &self,
        call: &ListCall<'_>,
        fields: &Map<String, Value>,
        own: Option<u64>,
    ) -> Result<(), ApiError> {
        let name = fields
            .get("display_name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if name.is_empty() && own.is_none() {
            return Err(one("user_list.display_name", "REQUIRED_FIELD_MISSING"));
        }
        let lists = &self.accounts[call.account].lists;
        if lists
            .iter()
            .any(|(id, list)| Some(*id) != own && list.name() == name)
        {
            return Err(ApiError::new("DISPLAY_NAME_ALREADY_USED"));
        }
        let duration = fields.get("membership_duration").and_then(Value::as_str);
        if let Some(duration) = duration {
            let seconds: Option<i64> = duration.trim_end_matches('s').parse().ok();
            match seconds {
                Some(seconds) if seconds > LONGEST => {
                    return Err(one(
                        "user_list.membership_duration",
                        "MEMBERSHIP_DURATION_TOO_LONG",
                    ));
                }
                Some(seconds) if seconds >= 0 && seconds % 86_400 == 0 => {}
                _ => return Err(one("user_list.membership_duration", "INVALID_ARGUMENT")),
            }
        }
        Ok(())
    }

    pub(super) fn read_list(&self, call: &ListCall<'_>, id: u64) -> Result<Value, ApiError> {
        if !self.accounts[call.account].lists.contains_key(&id) {
            return Err(ApiError::new("NOT_FOUND"));
        }
        Ok(self.shown(call.account, id))
    }

    pub(super) fn update_list(
        &mut self,
        call: &ListCall<'_>,
        id: u64,
        fields: &Map<String, Value>,
    ) -> Result<Value, ApiError> {
        self.read_list(call, id)?;
        let mask = call.text("updateMask", "update_mask");
        let names: Vec<String> = match mask {
            "" | "*" => fields.keys().filter(|name| *name != "name").cloned().collect(),
            mask => mask.split(',').map(snake).collect(),
        };
        for name in &names {
            if OUTPUT.contains(&name.as_str()) {
                return Err(one("update_mask", "INVALID_UPDATE_MASK"));
            }
            if IMMUTABLE.contains(&name.as_str()) {
                return Err(one(&format!("user_list.{name}"), "IMMUTABLE_FIELD_FOR_UPDATE"));
            }
        }
        self.check_list(call, fields, Some(id))?;
        if !call.is_trial {
            let list = self.list_mut(call.account, id);
            for name in names {
                match fields.get(&name) {
                    Some(value) => list.fields.insert(name, value.clone()),
                    None => list.fields.remove(&name),
                };
            }
        }
        Ok(self.shown(call.account, id))
    }

    pub(super) fn delete_list(&mut self, call: &ListCall<'_>, id: u64) -> Result<Value, ApiError> {
        self.read_list(call, id)?;
        if !call.is_trial {
            let account = self.accounts.get_mut(call.account).unwrap();
            account.lists.remove(&id);
        }
        Ok(json!({}))
    }

    pub(super) fn list_lists(&self, call: &ListCall<'_>) -> Result<Value, ApiError> {
        let invalid = |field: &str, reason: &'static str| one(field, reason);
        let size = match call.text("pageSize", "page_size") {
            "" | "0" => PAGE,
            text => text
                .parse()
                .map_err(|_| invalid("page_size", "INVALID_ARGUMENT"))?,
        };
        let size = MOST_PER_PAGE.min(size);
        let start: usize = match call.text("pageToken", "page_token") {
            "" => 0,
            text => {
                let number = text.strip_prefix("page-").and_then(|number| number.parse().ok());
                number.ok_or_else(|| invalid("page_token", "INVALID_PAGE_TOKEN"))?
            }
        };
        let filter = Filter::read(call.text("filter", "filter"));
        let filter = filter.ok_or_else(|| invalid("filter", "INVALID_FILTER"))?;
        let lists = self.accounts[call.account].lists.iter();
        let fitting: Vec<u64> = lists
            .filter(|(_, list)| filter.fits(&list.fields))
            .map(|(id, _)| *id)
            .collect();
        let page = fitting
            .iter()
            .skip(start)
            .take(size)
            .map(|id| self.shown(call.account, *id));
        let mut body = json!({ "user_lists": page.collect::<Vec<_>>() });
        if start + size < fitting.len() {
            body["next_page_token"] = format!("page-{}", start + size).into();
        }
        Ok(body)
    }
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for letter in name.trim().chars() {
        if letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// Conditions that all hold: `display_name = "list 42" AND id != 7`. Comparisons of size are left out.
struct Filter(Vec<(String, bool, String)>);

impl Filter {
    fn read(text: &str) -> Option<Self> {
        let fields = [
            "id",
            "display_name",
            "description",
            "membership_status",
            "integration_code",
            "access_reason",
        ];
        let parts = text.split(" AND ").map(str::trim).filter(|part| !part.is_empty());
        let conditions = parts.map(|part| {
            let (name, is_same, value) = match part.split_once("!=") {
                Some((name, value)) => (name, false, value),
                None => part.split_once('=').map(|(name, value)| (name, true, value))?,
            };
            let name = snake(name);
            let is_known = fields.contains(&name.as_str());
            is_known.then(|| (name, is_same, value.trim().trim_matches('"').to_owned()))
        });
        conditions.collect::<Option<_>>().map(Self)
    }

    fn fits(&self, fields: &Map<String, Value>) -> bool {
        self.0.iter().all(|(name, is_same, value)| {
            let have = fields
                .get(name)
                .map(|have| have.as_str().map_or_else(|| have.to_string(), str::to_owned));
            (have.as_ref() == Some(value)) == *is_same
        })
    }
}
