//! The request of each step. Parameters of a read are in the query, those of a write in a form, as in VBOUT's
//! samples. The key is in the query in both cases.

use std::borrow::Cow;

use bytes::Bytes;
use causeway_core::{envelope::digest, secret::Secret};
use jiff::fmt::strtime;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use url::form_urlencoded;

use super::{Becomes, For, Step, Vbout};
use crate::{connector::Task, http::HttpRequest};

/// Stands for the key wherever a person may see the request.
const HIDDEN: &str = "key=***";

/// With the key in its place.
pub(super) fn signed<'r>(key: &Secret, request: &'r HttpRequest) -> Cow<'r, HttpRequest> {
    let query = request.url.query().and_then(|query| query.strip_prefix(HIDDEN));
    let Some(rest) = query else {
        return Cow::Borrowed(request);
    };
    let key = utf8_percent_encode(key.reveal().trim(), NON_ALPHANUMERIC);
    let query = format!("key={key}{rest}");
    let mut signed = request.clone();
    signed.url.set_query(Some(&query));
    signed.url_is_secret = true;
    Cow::Owned(signed)
}

pub(super) fn request(vbout: &Vbout, step: &Step, tasks: &[&Task<'_, Vbout>]) -> HttpRequest {
    let Some(task) = tasks.first() else {
        return get(vbout, "app/me", &[]);
    };
    let memo = &task.memo;
    let list = vbout.settings.list.to_string();
    let id_at = |at: usize| memo.rows.get(at).map_or("", |row| &*row.id);
    let first = memo.memory.ids.first().map_or("", String::as_str);
    match step {
        Step::Find(For::Erasing) => get(vbout, "getcontactbyemail", &[("email", &*memo.email)]),
        Step::Find(_) => get(
            vbout,
            "getcontactbyemail",
            &[("email", &*memo.email), ("listid", &*list)],
        ),
        Step::Create => {
            let becomes = if memo.agreed {
                Becomes::Active
            } else {
                Becomes::OptedOut
            };
            let mut form = vec![
                ("email".to_owned(), memo.email.as_str()),
                ("listid".to_owned(), list.as_str()),
                ("status".to_owned(), status(vbout, becomes)),
            ];
            form.extend(
                memo.fields
                    .iter()
                    .map(|(name, value)| (bracketed(name), value.as_str())),
            );
            post(vbout, "synccontact", &form)
        }
        Step::Edit { at, becomes } => {
            let mut form = vec![("id".to_owned(), id_at(*at))];
            form.extend(becomes.map(|becomes| ("status".to_owned(), status(vbout, becomes))));
            form.extend(memo.changed().map(|(name, value)| (bracketed(name), value)));
            post(vbout, "editcontact", &form)
        }
        Step::Verify(at) => get(vbout, "getcontact", &[("id", id_at(*at))]),
        Step::Delete { at, by_post } => {
            let own = memo.rows.get(*at).and_then(|row| row.list.as_deref());
            let form = [("id", id_at(*at)), ("listid", own.unwrap_or(&list))];
            if *by_post {
                let form = form.map(|(name, value)| (name.to_owned(), value));
                return post(vbout, "deletecontact", &form);
            }
            HttpRequest {
                method: Method::DELETE,
                ..get(vbout, "deletecontact", &form)
            }
        }
        Step::AddTags => {
            let names: Vec<&str> = memo.new_tags().collect();
            let names = names.join(",");
            let form = [("id", first), ("email", &*memo.email), ("tagname", &*names)];
            post(
                vbout,
                "addtag",
                &form.map(|(name, value)| (name.to_owned(), value)),
            )
        }
        Step::ReadTimeline => get(vbout, "getcontacttimeline", &[("id", first)]),
        Step::AddActivity => {
            let text = memo.activity.as_deref().unwrap_or_default();
            let description = format!("{text} ({})", reference(task));
            let at = time(vbout, task);
            let form = [("id", first), ("description", &*description), ("datetime", &*at)];
            post(
                vbout,
                "addactivity",
                &form.map(|(name, value)| (name.to_owned(), value)),
            )
        }
    }
}

pub(super) fn status(vbout: &Vbout, becomes: Becomes) -> &str {
    match becomes {
        Becomes::Active => "Active",
        Becomes::OptedOut => &vbout.settings.opt_out_status,
        Becomes::Suppressed => &vbout.settings.suppress_status,
    }
}

fn bracketed(field: &str) -> String {
    format!("fields[{field}]")
}

/// Names the action, so that a repeated delivery is no second activity.
pub(super) fn reference(task: &Task<'_, Vbout>) -> String {
    let record = &task.delivery.record;
    let action = record.action.as_ref().map_or("", |action| &*action.external_id);
    let parts = [&*record.workspace, &*record.source, action, &*task.memo.email];
    let hex = data_encoding::HEXLOWER.encode(&digest(&parts.map(str::as_bytes)));
    format!("causeway {}", hex.get(..16).unwrap_or(&hex))
}

/// When the action was taken, in the account's time zone.
fn time(vbout: &Vbout, task: &Task<'_, Vbout>) -> String {
    let record = &task.delivery.record;
    let at = record
        .action
        .as_ref()
        .map_or(record.event_at, |action| action.created_at);
    let at = at.to_zoned(vbout.settings.zone.clone());
    strtime::format("%Y-%m-%d %H:%M", &at).unwrap_or_default()
}

pub(super) fn get(vbout: &Vbout, operation: &str, parameters: &[(&str, &str)]) -> HttpRequest {
    let mut url = vbout.settings.base.clone();
    let family = if operation.contains('/') {
        ""
    } else {
        "emailmarketing/"
    };
    let path = format!("{}/{family}{operation}.json", url.path().trim_end_matches('/'));
    url.set_path(&path);
    let mut query = form_urlencoded::Serializer::new(HIDDEN.to_owned());
    query.extend_pairs(parameters);
    url.set_query(Some(&query.finish()));
    HttpRequest {
        method: Method::GET,
        url,
        url_is_secret: false,
        headers: vbout.headers.clone(),
        body: Bytes::new(),
    }
}

fn post(vbout: &Vbout, operation: &str, form: &[(String, &str)]) -> HttpRequest {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    HttpRequest {
        method: Method::POST,
        body: Bytes::from(body),
        ..get(vbout, operation, &[])
    }
}
