//! The links of Proca's mails. Whoever knows one may decide about the action, so no URL is shown.

use bytes::Bytes;
use reqwest::{
    Method,
    header::{ACCEPT, HeaderMap, HeaderValue},
};
use url::Url;

use super::{Proca, Step, config::Settings};
use crate::{connector::Task, http::HttpRequest};

pub(super) fn request(settings: &Settings, step: Step, tasks: &[&Task<'_, Proca>]) -> HttpRequest {
    let memo = tasks.first().map(|task| &task.memo);
    let (action, reference, code) = memo
        .map(|memo| {
            (
                memo.action.to_string(),
                memo.reference.as_str(),
                memo.code.as_str(),
            )
        })
        .unwrap_or_default();
    match step {
        // Only POST: something in between may answer a GET from a cache.
        Step::Supporter(verb) => link(
            settings,
            Method::POST,
            &["link", "s", &action, verb.as_str(), reference],
        ),
        // Proca knows only GET here.
        Step::Code(verb) => link(settings, Method::GET, &["link", verb.as_str(), code]),
    }
}

pub(super) fn link(settings: &Settings, method: Method, steps: &[&str]) -> HttpRequest {
    let mut url = settings.base.clone();
    append(&mut url, steps);
    HttpRequest {
        method,
        url,
        url_is_secret: true,
        // Proca answers other formats with 406.
        headers: HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]),
        body: Bytes::new(),
    }
}

fn append(url: &mut Url, steps: &[&str]) {
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(steps);
    }
}
