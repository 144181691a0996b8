//! The request of each step.

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{
    Method,
    header::{HeaderName, HeaderValue},
};
use serde_json::{Map, Value, json};
use url::Url;

use super::{MOST_ROWS, MOST_SOUGHT, Mark, Salesforce, Step, bulk, find::columns, opaque};
use crate::{connector::Task, http::HttpRequest};

/// Longest name of a campaign.
const CAMPAIGN_NAME: usize = 80;

pub(super) fn request(salesforce: &Salesforce, step: Step, tasks: &[&Task<'_, Salesforce>]) -> HttpRequest {
    let object = salesforce.settings.object.as_str();
    match step {
        Step::Find if tasks.len() > MOST_SOUGHT => queries(salesforce, tasks),
        Step::Find => query(salesforce, &soql(salesforce, tasks)),
        Step::FindMore => {
            let page = tasks.first().and_then(|task| task.memo.next_page.as_deref());
            next_page(salesforce, page.unwrap_or_default())
        }
        Step::Mark | Step::MarkMany => {
            let most = if step == Step::Mark { 1 } else { MOST_ROWS };
            let marks = tasks.iter().flat_map(|task| task.memo.marks.iter().take(most));
            let rows: Vec<Value> = marks.map(mark).collect();
            let request = records(salesforce, Method::PATCH, &[], &rows);
            // An opt-out makes no duplicate: a duplicate rule must not hold it up.
            saving_duplicates(request)
        }
        Step::Delete => {
            let ids = tasks
                .iter()
                .filter_map(|task| task.memo.deletes.front().map(String::as_str));
            let ids: Vec<&str> = ids.collect();
            let mut request = get(salesforce, &["composite", "sobjects"]);
            request.method = Method::DELETE;
            request
                .url
                .query_pairs_mut()
                .append_pair("ids", &ids.join(","))
                .append_pair("allOrNone", "false");
            request
        }
        Step::Update => {
            let request = collection(salesforce, Method::PATCH, &[], tasks, &|task| {
                let id = task.memo.id.as_deref().unwrap_or_default();
                row(object, &task.memo.body, [("id", id)])
            });
            obeying(salesforce, request)
        }
        Step::Upsert => {
            let key = salesforce.settings.key.as_str();
            let request = collection(salesforce, Method::PATCH, &[object, key], tasks, &|task| {
                let value = task.memo.keys.first().map(String::as_str).unwrap_or_default();
                row(object, &task.memo.body, [(key, value)])
            });
            obeying(salesforce, request)
        }
        Step::AddCampaign => {
            let key = campaign_key(salesforce);
            let campaigns = campaigns(tasks);
            collection(
                salesforce,
                Method::PATCH,
                &["Campaign", key],
                &campaigns,
                &|task| campaign(key, task),
            )
        }
        Step::AddMember => collection(salesforce, Method::POST, &[], tasks, &|task| {
            member(salesforce, task)
        }),
        Step::AddAction => collection(salesforce, Method::POST, &[], tasks, &|task| {
            action(salesforce, task)
        }),
        step => bulk::request(salesforce, step, tasks),
    }
}

fn mark(mark: &Mark) -> Value {
    row(mark.object, &mark.values, [("id", mark.id.as_str())])
}

/// One task of each campaign, in the order in which the campaigns are sent.
pub(super) fn campaigns<'t, 'd>(tasks: &[&'t Task<'d, Salesforce>]) -> Vec<&'t Task<'d, Salesforce>> {
    let mut first: Vec<&Task<'_, Salesforce>> = Vec::new();
    for task in tasks {
        if !first
            .iter()
            .any(|other| other.memo.campaign == task.memo.campaign)
        {
            first.push(task);
        }
    }
    first
}

fn campaign_key(salesforce: &Salesforce) -> &str {
    let campaigns = salesforce.settings.campaigns.as_ref();
    campaigns.map_or("Id", |campaigns| &campaigns.key)
}

fn campaign(key: &str, task: &Task<'_, Salesforce>) -> Value {
    let value = task.memo.campaign.as_deref().unwrap_or_default();
    let campaign = task.delivery.record.campaign.as_ref();
    let name = campaign.map_or(value, |campaign| {
        campaign.title.as_deref().unwrap_or(&campaign.name)
    });
    let name: String = name.chars().take(CAMPAIGN_NAME).collect();
    let values = Map::from_iter([
        ("Name".to_owned(), name.into()),
        ("IsActive".to_owned(), true.into()),
    ]);
    row("Campaign", &values, [(key, value)])
}

fn member(salesforce: &Salesforce, task: &Task<'_, Salesforce>) -> Value {
    let settings = &salesforce.settings;
    let (key, campaign) = (campaign_key(salesforce), task.memo.campaign.as_deref());
    let id = task.memo.id.as_deref().unwrap_or_default();
    let mut values = Map::from_iter([(settings.object.member_field().to_owned(), id.into())]);
    if key == "Id" {
        values.insert("CampaignId".to_owned(), campaign.into());
    } else {
        values.insert("Campaign".to_owned(), json!({ key: campaign }));
    }
    let status = settings
        .campaigns
        .as_ref()
        .and_then(|campaigns| campaigns.status.clone());
    values.extend(status.map(|status| ("Status".to_owned(), status.into())));
    row("CampaignMember", &values, [])
}

/// The action under its own key: Salesforce takes each key once, so that a repeated delivery makes no second record.
fn action(salesforce: &Salesforce, task: &Task<'_, Salesforce>) -> Value {
    let Some(actions) = &salesforce.settings.actions else {
        return Value::Null;
    };
    let record = &task.delivery.record;
    let id = record.action.as_ref().map_or("", |action| &*action.external_id);
    let key = opaque(&[&record.workspace, &record.source, id, &task.memo.email]);
    let person = task.memo.id.as_deref().unwrap_or_default();
    row(
        &actions.object,
        &task.memo.action,
        [(actions.key.as_str(), key.as_str()), (&actions.person, person)],
    )
}

fn row<'a>(
    object: &str,
    values: &Map<String, Value>,
    more: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Value {
    let mut row = Map::from_iter([("attributes".to_owned(), json!({ "type": object }))]);
    for (name, value) in more {
        row.insert(name.to_owned(), value.into());
    }
    row.extend(values.clone());
    Value::Object(row)
}

fn collection(
    salesforce: &Salesforce,
    method: Method,
    path: &[&str],
    tasks: &[&Task<'_, Salesforce>],
    row: &dyn Fn(&Task<'_, Salesforce>) -> Value,
) -> HttpRequest {
    let rows: Vec<Value> = tasks.iter().map(|task| row(task)).collect();
    records(salesforce, method, path, &rows)
}

fn records(salesforce: &Salesforce, method: Method, path: &[&str], rows: &[Value]) -> HttpRequest {
    let body = json!({ "allOrNone": false, "records": rows });
    let path = [&["composite", "sobjects"][..], path].concat();
    HttpRequest {
        method,
        body: Bytes::from(body.to_string()),
        ..get(salesforce, &path)
    }
}

fn obeying(salesforce: &Salesforce, request: HttpRequest) -> HttpRequest {
    if salesforce.settings.allow_duplicates {
        saving_duplicates(request)
    } else {
        request
    }
}

fn saving_duplicates(mut request: HttpRequest) -> HttpRequest {
    request.headers.insert(
        HeaderName::from_static("sforce-duplicate-rule-header"),
        HeaderValue::from_static("allowSave=true; includeRecordDetails=false; runAsCurrentUser=true"),
    );
    request
}

fn query(salesforce: &Salesforce, soql: &str) -> HttpRequest {
    let mut request = get(salesforce, &["query"]);
    let query = utf8_percent_encode(soql, ENCODED).to_string();
    request.url.set_query(Some(&format!("q={query}")));
    request
}

/// Several queries in one call.
fn queries(salesforce: &Salesforce, tasks: &[&Task<'_, Salesforce>]) -> HttpRequest {
    let parts = tasks.chunks(MOST_SOUGHT).enumerate();
    let parts = parts.map(|(at, tasks)| {
        let url = query(salesforce, &soql(salesforce, tasks)).url;
        let url = format!("{}?{}", url.path(), url.query().unwrap_or_default());
        json!({ "method": "GET", "url": url, "referenceId": format!("find{at}") })
    });
    let body = json!({ "allOrNone": false, "compositeRequest": parts.collect::<Vec<_>>() });
    HttpRequest {
        method: Method::POST,
        body: Bytes::from(body.to_string()),
        ..get(salesforce, &["composite"])
    }
}

/// The page that `nextRecordsUrl` names, at the org's own host.
fn next_page(salesforce: &Salesforce, path: &str) -> HttpRequest {
    let path: Vec<&str> = path.split('/').filter(|step| !step.is_empty()).collect();
    HttpRequest {
        url: url(&salesforce.settings.base, &path),
        ..get(salesforce, &[])
    }
}

fn soql(salesforce: &Salesforce, tasks: &[&Task<'_, Salesforce>]) -> String {
    let settings = &salesforce.settings;
    let keys = tasks.iter().flat_map(|task| &task.memo.keys);
    let keys: Vec<String> = keys.map(|key| quoted(key)).collect();
    let emails: Vec<String> = tasks.iter().map(|task| quoted(&task.memo.email)).collect();
    let by_key = if keys.is_empty() {
        String::new()
    } else {
        format!("{} IN ({}) OR ", settings.key, keys.join(","))
    };
    format!(
        "SELECT {} FROM {} WHERE {by_key}Email IN ({}) ORDER BY CreatedDate",
        columns(salesforce).join(","),
        settings.object.as_str(),
        emails.join(",")
    )
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

pub(super) fn get(salesforce: &Salesforce, path: &[&str]) -> HttpRequest {
    let version = salesforce.settings.version.as_str();
    let path = [&["services", "data", version][..], path].concat();
    HttpRequest {
        method: Method::GET,
        url: url(&salesforce.settings.base, &path),
        url_is_secret: false,
        headers: salesforce.headers.clone(),
        body: Bytes::new(),
    }
}

/// All but the signs that RFC 3986 never reserves.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

pub(super) fn url(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    let steps: Vec<String> = path
        .iter()
        .map(|step| utf8_percent_encode(step, ENCODED).to_string())
        .collect();
    url.set_path(&steps.join("/"));
    url
}
