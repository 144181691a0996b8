//! The ways to ask for a token, and the request.

use bytes::Bytes;
use causeway_core::{clock::Timestamp, secret::Secret};
use data_encoding::BASE64;
use reqwest::{
    Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde_json::json;
use url::{Url, form_urlencoded};

use super::{Failure, jwt::Assertion};
use crate::http::HttpRequest;

/// What the vendor knows the program by.
#[derive(Debug, Clone)]
pub struct App {
    pub id: String,
    pub secret: Option<Secret>,
    /// Sends id and secret as Basic authentication, not in the form.
    pub in_header: bool,
}

pub enum Grant {
    ClientCredentials {
        app: App,
        scope: Option<String>,
        /// Further members of the form: an audience, say.
        more: Vec<(String, String)>,
    },
    /// `first` is used until a sign-in or a renewal puts another one into the vault.
    Refresh {
        app: App,
        first: Option<Secret>,
    },
    Jwt(Box<Assertion>),
    Password(Password),
}

/// A user's address and password, as Supabase Auth takes them: in JSON, with the key of the project beside them.
pub struct Password {
    pub email: String,
    pub password: Secret,
    pub headers: HeaderMap,
}

impl Password {
    fn request(&self, url: &Url) -> HttpRequest {
        let json = HeaderValue::from_static("application/json");
        let mut headers = self.headers.clone();
        headers.extend([(CONTENT_TYPE, json.clone()), (ACCEPT, json)]);
        let body = json!({ "email": self.email, "password": self.password.reveal() });
        HttpRequest {
            method: Method::POST,
            url: url.clone(),
            url_is_secret: false,
            headers,
            body: Bytes::from(body.to_string()),
        }
    }
}

impl Grant {
    fn app(&self) -> Option<&App> {
        match self {
            Self::ClientCredentials { app, .. } | Self::Refresh { app, .. } => Some(app),
            Self::Jwt(_) | Self::Password(_) => None,
        }
    }

    /// The request for a token. One with a refresh token is made where the vault is read.
    pub(super) fn request(&self, url: &Url, now: Timestamp) -> Result<HttpRequest, Failure> {
        match self {
            Self::Password(password) => Ok(password.request(url)),
            grant => request(url, &grant.form(now)?, grant.app()),
        }
    }

    /// The form without the app's own members. A refresh token is in the vault, so its form is made there.
    fn form(&self, now: Timestamp) -> Result<Vec<(String, Secret)>, Failure> {
        let pair = |name: &str, value: &str| (name.to_owned(), Secret::new(value));
        Ok(match self {
            Self::ClientCredentials { scope, more, .. } => {
                let mut form = vec![pair("grant_type", "client_credentials")];
                form.extend(scope.iter().map(|scope| pair("scope", scope)));
                form.extend(more.iter().map(|(name, value)| pair(name, value)));
                form
            }
            // A password is sent in a request of its own.
            Self::Refresh { .. } | Self::Password(_) => Vec::new(),
            Self::Jwt(assertion) => vec![
                pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                ("assertion".to_owned(), assertion.sign(now)?),
            ],
        })
    }
}

pub(super) fn request(
    url: &Url,
    form: &[(String, Secret)],
    app: Option<&App>,
) -> Result<HttpRequest, Failure> {
    let mut headers = HeaderMap::from_iter([
        (
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        ),
        (ACCEPT, HeaderValue::from_static("application/json")),
    ]);
    let mut body = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form {
        body.append_pair(name, value.reveal());
    }
    match app {
        Some(app) if app.in_header => {
            headers.insert(AUTHORIZATION, basic(app)?);
        }
        Some(app) => {
            body.append_pair("client_id", &app.id);
            if let Some(secret) = &app.secret {
                body.append_pair("client_secret", secret.reveal());
            }
        }
        None => {}
    }
    Ok(HttpRequest {
        method: Method::POST,
        url: url.clone(),
        url_is_secret: false,
        headers,
        body: Bytes::from(body.finish()),
    })
}

/// RFC 6749 has id and secret encoded like a form before they are joined.
fn basic(app: &App) -> Result<HeaderValue, Failure> {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let secret = app.secret.as_ref().map_or("", Secret::reveal);
    let pair = format!("{}:{}", encoded(&app.id), encoded(secret));
    let mut value = HeaderValue::from_str(&format!("Basic {}", BASE64.encode(pair.as_bytes())))
        .map_err(|error| Failure::Refused(error.to_string()))?;
    value.set_sensitive(true);
    Ok(value)
}
