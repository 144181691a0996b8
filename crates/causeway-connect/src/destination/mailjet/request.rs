//! The request of each step.

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Action, Mailjet, Step};
use crate::{connector::Task, http::HttpRequest};

pub(super) fn request(mailjet: &Mailjet, step: Step, tasks: &[&Task<'_, Mailjet>]) -> HttpRequest {
    let memo = tasks.first().map(|task| &task.memo);
    let email = memo.map_or("", |memo| &memo.email);
    let name = memo.map_or("", |memo| &memo.name);
    let list = mailjet.settings.list.unwrap_or_default().to_string();
    match step {
        Step::Find => get(mailjet, &["contact", email]),
        Step::Exclude => with(
            mailjet,
            Method::PUT,
            &["contact", email],
            &json!({ "IsExcludedFromCampaigns": true }),
        ),
        Step::Delete => {
            let mut request = get(mailjet, &[]);
            let id = memo.and_then(|memo| memo.id.as_deref()).unwrap_or_default();
            // Only this version of the API deletes a contact.
            request.url.set_path(&format!("v4/contacts/{id}"));
            request.method = Method::DELETE;
            request
        }
        Step::ReadList => {
            let mut request = get(mailjet, &["listrecipient"]);
            let mut query = request.url.query_pairs_mut();
            query.append_pair("ContactEmail", email);
            query.append_pair("ContactsList", &list);
            drop(query);
            request
        }
        Step::Manage(action) => {
            let mut body = json!({ "Email": email, "Action": action.as_str() });
            if let (Some(members), Some(memo)) = (body.as_object_mut(), memo)
                && action != Action::Unsubscribe
            {
                if !name.is_empty() {
                    members.insert("Name".to_owned(), name.into());
                }
                members.insert("Properties".to_owned(), memo.properties.clone().into());
            }
            with(
                mailjet,
                Method::POST,
                &["contactslist", &list, "managecontact"],
                &body,
            )
        }
        Step::Create => {
            let mut body = json!({ "Email": email });
            if let Some(members) = body.as_object_mut().filter(|_| !name.is_empty()) {
                members.insert("Name".to_owned(), name.into());
            }
            with(mailjet, Method::POST, &["contact"], &body)
        }
        Step::WriteName => with(
            mailjet,
            Method::PUT,
            &["contact", email],
            &json!({ "Name": name }),
        ),
        Step::WriteProperties => {
            let properties = memo.map(|memo| &memo.properties).into_iter().flatten();
            let data: Value = properties
                .map(|(name, value)| json!({ "Name": name, "Value": value }))
                .collect();
            with(
                mailjet,
                Method::PUT,
                &["contactdata", email],
                &json!({ "Data": data }),
            )
        }
    }
}

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AddNoForce => "addnoforce",
            Self::AddForce => "addforce",
            Self::Unsubscribe => "unsub",
        }
    }
}

/// All but the signs that RFC 3986 never reserves. A plus in an address must not be read as a blank.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

pub(super) fn get(mailjet: &Mailjet, path: &[&str]) -> HttpRequest {
    let mut url = mailjet.settings.base.clone();
    let parts: Vec<String> = path
        .iter()
        .map(|part| utf8_percent_encode(part, ENCODED).to_string())
        .collect();
    url.set_path(&format!(
        "{}/REST/{}",
        mailjet.settings.api_version,
        parts.join("/")
    ));
    HttpRequest {
        method: Method::GET,
        url,
        url_is_secret: false,
        headers: mailjet.headers.clone(),
        body: Bytes::new(),
    }
}

fn with(mailjet: &Mailjet, method: Method, path: &[&str], body: &Value) -> HttpRequest {
    HttpRequest {
        method,
        body: Bytes::from(body.to_string()),
        ..get(mailjet, path)
    }
}
