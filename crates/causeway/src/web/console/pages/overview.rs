//! `/`: the flow of messages and deliveries, and what needs attention.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};
use serde::Serialize;

use super::super::{
    Console,
    picture::Picture,
    render::{Page, html},
};

#[derive(Serialize)]
pub(crate) struct Overview<'a> {
    #[serde(flatten)]
    picture: &'a Picture,
    /// Whether the cards are drawn smaller, because there are many.
    is_dense: bool,
}

impl<'a> Overview<'a> {
    fn new(picture: &'a Picture) -> Self {
        let is_dense = picture.sources.len().max(picture.destinations.len()) > 5;
        Self { picture, is_dense }
    }
}

impl Page for Overview<'_> {
    const TEMPLATE: &'static str = "overview.html";
    #[cfg(test)]
    fn samples() -> Vec<Self> {
        use super::super::tests::pictures;
        pictures()
            .into_iter()
            .map(|picture| Self::new(Box::leak(Box::new(picture))))
            .collect()
    }
}

pub(crate) async fn show(State(console): State<Arc<Console>>, uri: Uri) -> Response {
    let frame = super::frame(&console, "overview", &uri).await;
    match console.live.frame().await {
        Some(live) => html(&console, StatusCode::OK, &frame, &Overview::new(&live.picture)),
        None => super::stopping(&console, &frame),
    }
}
