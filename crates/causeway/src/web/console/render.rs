//! Renders pages as HTML, and serves the assets.

use std::{path::Path, path::PathBuf, sync::Arc};

use axum::{
    extract::{Path as UrlPath, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use minijinja::{Environment, UndefinedBehavior, Value, context, value::Serde};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Console, attention::Attention};

/// A page with its template. A test renders the samples, so a template that uses a missing value fails the test.
pub(super) trait Page: Serialize {
    const TEMPLATE: &'static str;
    #[cfg(test)]
    fn samples() -> Vec<Self>
    where
        Self: Sized;
}

/// The frame around every page.
#[derive(Debug, Default, Serialize)]
pub(super) struct Frame {
    /// The page's entry in the navigation: `overview`, `deliveries`, `messages`, or none.
    pub here: &'static str,
    /// `light` or `dark` if the URL sets it.
    pub theme: Option<&'static str>,
    /// The number of problems that need attention.
    pub attention: usize,
    /// Which configuration is in force, in words.
    pub configuration: String,
}

macro_rules! built_in {
    ($folder:literal: $($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../", $folder, "/", $name)))),*]
    };
}

const TEMPLATES: [(&str, &str); 9] = built_in!("templates":
    "base.html", "macros.html", "attention.html", "overview.html", "deliveries.html", "messages.html", "message.html",
    "notice.html", "flow.html",
);
const ASSETS: [(&str, &str); 4] = built_in!("assets": "style.css", "live.js", "theme.js", "icon.svg");

pub(super) struct Renderer {
    /// The crate folder to read templates and assets from, instead of the built-in ones.
    development: Option<PathBuf>,
    built_in: Environment<'static>,
    /// A version that changes with the assets, so that browsers may cache them for ever.
    version: String,
}

impl Renderer {
    pub(super) fn new(development: Option<&Path>) -> Result<Self, minijinja::Error> {
        let mut environment = environment();
        for (name, text) in TEMPLATES {
            environment.add_template(name, text)?;
        }
        let mut hash = Sha256::new();
        for (_, text) in ASSETS {
            hash.update(text.as_bytes());
        }
        let version = data_encoding::HEXLOWER
            .encode(&hash.finalize())
            .chars()
            .take(12)
            .collect();
        Ok(Self {
            development: development.map(Path::to_owned),
            built_in: environment,
            version,
        })
    }

    fn render(&self, template: &str, values: Value) -> Result<String, minijinja::Error> {
        match &self.development {
            None => self.built_in.get_template(template)?.render(values),
            Some(folder) => {
                let mut environment = environment();
                environment.set_loader(minijinja::path_loader(folder.join("templates")));
                environment.get_template(template)?.render(values)
            }
        }
    }

    /// The whole page.
    pub(super) fn page<P: Page>(&self, frame: &Frame, page: &P) -> Result<String, minijinja::Error> {
        let (frame, page) = (Value::from(Serde(frame)), Value::from(Serde(page)));
        self.render(P::TEMPLATE, context! { frame, page, version => &self.version })
    }

    /// The list of problems that need attention, as a part of a page.
    pub(super) fn attention(&self, items: &[Attention]) -> String {
        let items = Value::from(Serde(items));
        self.render("attention.html", context! { items })
            .unwrap_or_else(|error| {
                log_render_error("attention.html", &error);
                String::new()
            })
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment
}

fn log_render_error(template: &str, error: &minijinja::Error) {
    // The debug information is left out, because it contains values.
    let (file, line) = (error.name(), error.line());
    tracing::error!(template, file, line, kind = %error.kind(), "A console page could not be rendered.");
}

/// The response with a page.
pub(super) fn html<P: Page>(console: &Console, status: StatusCode, frame: &Frame, page: &P) -> Response {
    match console.renderer.page(frame, page) {
        Ok(text) => (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response(),
        Err(error) => {
            log_render_error(P::TEMPLATE, &error);
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "This page could not be rendered; see the log.\n",
            )
                .into_response()
        }
    }
}

/// `/assets/NAME`
pub(super) async fn asset(State(console): State<Arc<Console>>, UrlPath(name): UrlPath<String>) -> Response {
    let Some((name, text)) = ASSETS.into_iter().find(|(known, _)| *known == name) else {
        return (StatusCode::NOT_FOUND, "No such asset.\n").into_response();
    };
    let kind = match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        _ => "image/svg+xml",
    };
    let kind = (header::CONTENT_TYPE, kind);
    if let Some(folder) = &console.renderer.development
        && let Ok(text) = tokio::fs::read_to_string(folder.join("assets").join(name)).await
    {
        return ([kind], text).into_response();
    }
    let keep = (header::CACHE_CONTROL, "public, max-age=31536000, immutable");
    ([kind, keep], text).into_response()
}
