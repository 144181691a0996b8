//! Apps, sessions, and the token endpoint: client credentials, JWT bearer, refresh tokens with rotation.

use std::collections::BTreeMap;

use causeway_core::clock::Timestamp;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use jiff::SignedDuration;
use rustls::{crypto::ring, pki_types::alg_id};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{ORG_ID, Salesforce, USER_ID, errors::ApiError};
use crate::fake_api::{Reply, Request};

/// How far ahead the end of an assertion may be.
const LONGEST_ASSERTION: SignedDuration = SignedDuration::from_mins(3);
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// An external client app.
#[derive(Debug, Clone)]
pub struct App {
    pub client_id: String,
    pub client_secret: String,
    /// Client credentials are enabled, with a user to run as.
    pub runs_as_user: bool,
    /// The public key of the certificate, as the DER form of PKCS #1.
    pub public_key: Option<Vec<u8>>,
    /// Users that an administrator approved.
    pub approved: Vec<String>,
    /// A used refresh token is replaced.
    pub rotates: bool,
    pub blocked: bool,
}

impl App {
    pub fn new(client_id: &str, client_secret: &str) -> Self {
        Self {
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            runs_as_user: true,
            public_key: None,
            approved: vec!["sync@example.org".to_owned()],
            rotates: true,
            blocked: false,
        }
    }
}

/// What the token endpoint knows.
#[derive(Debug, Default)]
pub struct Access {
    pub apps: Vec<App>,
    /// Access tokens that are valid, and the app of each.
    pub sessions: BTreeMap<String, String>,
    /// Refresh tokens, and whether each is still the current one.
    pub refresh_tokens: BTreeMap<String, (String, bool)>,
    /// The address is login.salesforce.com, where client credentials are refused.
    pub is_login_host: bool,
    /// This many refreshes find another one of the same token under way.
    pub concurrent_refreshes: usize,
    /// Sessions that were issued.
    pub issued: usize,
}

/// The error of the token endpoint.
struct Refused(u16, &'static str, &'static str);

impl Refused {
    fn reply(&self) -> Reply {
        let body = json!({ "error": self.1, "error_description": self.2 });
        Reply::json(self.0, &body)
    }
}

impl Access {
    fn app(&self, client_id: &str) -> Result<&App, Refused> {
        let app = self.apps.iter().find(|app| app.client_id == client_id);
        let app = app.ok_or(Refused(400, "invalid_client_id", "client identifier invalid"))?;
        if app.blocked {
            return Err(Refused(400, "OAUTH_APP_BLOCKED", "this app is blocked by admin"));
        }
        Ok(app)
    }

    fn app_with_secret(&self, client_id: &str, secret: &str) -> Result<&App, Refused> {
        let app = self.app(client_id)?;
        if app.client_secret != secret {
            return Err(Refused(400, "invalid_client", "invalid client credentials"));
        }
        Ok(app)
    }

    /// Ends all sessions, as a policy of the org does.
    pub fn end_sessions(&mut self) {
        self.sessions.clear();
    }

    fn open(&mut self, app: &str) -> String {
        self.issued += 1;
        let token = format!("{ORG_ID}!session-{}", self.issued);
        self.sessions.insert(token.clone(), app.to_owned());
        token
    }

    /// A refresh token, as the web server flow gives one.
    pub fn new_refresh_token(&mut self, client_id: &str) -> String {
        let token = format!("refresh-{}", self.refresh_tokens.len() + 1);
        self.refresh_tokens
            .insert(token.clone(), (client_id.to_owned(), true));
        token
    }

    /// The app, and a new refresh token if the old one is replaced.
    fn refresh(
        &mut self,
        token: &str,
        client_id: &str,
        secret: &str,
    ) -> Result<(String, Option<String>), Refused> {
        let app = self.app_with_secret(client_id, secret)?.clone();
        if self.concurrent_refreshes > 0 {
            self.concurrent_refreshes -= 1;
            return Err(Refused(
                400,
                "invalid_grant",
                "token request is already being processed",
            ));
        }
        match self.refresh_tokens.get(token) {
            Some((of, true)) if *of == app.client_id => {}
            Some((of, false)) if *of == app.client_id => {
                // Who uses an old one may have stolen it: everything of the app ends.
                for (of, is_current) in self.refresh_tokens.values_mut() {
                    *is_current &= *of != app.client_id;
                }
                self.sessions.retain(|_, of| *of != app.client_id);
                return Err(Refused(400, "invalid_grant", "expired access/refresh token"));
            }
            _ => return Err(Refused(400, "invalid_grant", "expired access/refresh token")),
        }
        let new = app.rotates.then(|| {
            if let Some((_, is_current)) = self.refresh_tokens.get_mut(token) {
                *is_current = false;
            }
            self.new_refresh_token(client_id)
        });
        Ok((app.client_id, new))
    }

    fn by_assertion(&self, assertion: &str, now: Timestamp, audiences: &[String]) -> Result<String, Refused> {
        let invalid = || Refused(400, "invalid_grant", "invalid assertion");
        let (message, signature) = assertion.rsplit_once('.').ok_or_else(invalid)?;
        let (header, claims) = message.split_once('.').ok_or_else(invalid)?;
        let json = |text: &str| -> Option<Value> {
            serde_json::from_slice(&BASE64URL_NOPAD.decode(text.as_bytes()).ok()?).ok()
        };
        let (header, claims) = json(header).zip(json(claims)).ok_or_else(invalid)?;
        let text = |name: &str| claims[name].as_str().unwrap_or_default();
        let app = self.app(text("iss"))?;
        let signature = BASE64URL_NOPAD
            .decode(signature.as_bytes())
            .map_err(|_| invalid())?;
        let key = app.public_key.as_deref().unwrap_or_default();
        if header["alg"] != "RS256" || !is_signed(key, message.as_bytes(), &signature) {
            return Err(invalid());
        }
        if !audiences.iter().any(|audience| audience == text("aud")) {
            return Err(Refused(400, "invalid_grant", "audience is invalid"));
        }
        // Some clients write the number as text.
        let end = &claims["exp"];
        let end = end.as_i64().or_else(|| end.as_str()?.parse().ok());
        let end = end
            .and_then(|end| Timestamp::from_second(end).ok())
            .ok_or_else(invalid)?;
        if end <= now || end.duration_since(now) > LONGEST_ASSERTION {
            return Err(Refused(400, "invalid_grant", "expired authorization code"));
        }
        if !app.approved.iter().any(|user| user == text("sub")) {
            return Err(Refused(
                400,
                "invalid_grant",
                "user hasn't approved this consumer",
            ));
        }
        Ok(app.client_id.clone())
    }
}

/// Whether the signature is RSA PKCS #1 with SHA-256 by this key.
fn is_signed(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let all = ring::default_provider().signature_verification_algorithms.all;
    all.iter()
        .filter(|one| one.signature_alg_id() == alg_id::RSA_PKCS1_SHA256)
        .any(|one| one.verify_signature(key, message, signature).is_ok())
}

impl Salesforce {
    /// `/services/oauth2/…`
    pub(super) fn oauth(&mut self, path: &[&str], request: &Request) -> Reply {
        let form: BTreeMap<String, String> = form_urlencoded::parse(&request.body).into_owned().collect();
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        if path == ["revoke"] {
            let token = field("token");
            self.access.sessions.remove(token);
            self.access.refresh_tokens.remove(token);
            return Reply::status(200);
        }
        if path != ["token"] || request.method != "POST" {
            return ApiError::not_found().reply();
        }
        let host = format!("http://{}", request.header("host").unwrap_or_default());
        let basic = basic(request);
        let (client_id, secret) = match &basic {
            Some((client_id, secret)) => (client_id.as_str(), secret.as_str()),
            None => (field("client_id"), field("client_secret")),
        };
        let now = self.now();
        let access = &mut self.access;
        let granted = match field("grant_type") {
            "client_credentials" if access.is_login_host => Err(Refused(
                400,
                "invalid_grant",
                "request not supported on this domain",
            )),
            "client_credentials" => access.app_with_secret(client_id, secret).and_then(|app| {
                let no_user = Refused(400, "invalid_grant", "no client credentials user enabled");
                app.runs_as_user
                    .then(|| (app.client_id.clone(), None))
                    .ok_or(no_user)
            }),
            "refresh_token" => access.refresh(field("refresh_token"), client_id, secret),
            JWT_BEARER => {
                let mut audiences = ["https://login.salesforce.com", "https://test.salesforce.com"]
                    .map(str::to_owned)
                    .to_vec();
                audiences.push(host.clone());
                let app = access.by_assertion(field("assertion"), now, &audiences);
                app.map(|app| (app, None))
            }
            _ => Err(Refused(400, "unsupported_grant_type", "grant type not supported")),
        };
        let (app, refresh_token) = match granted {
            Ok(granted) => granted,
            Err(refused) => return refused.reply(),
        };
        let mut body = json!({
            "access_token": access.open(&app), "scope": "api", "instance_url": host,
            "id": format!("{host}/id/{ORG_ID}/{USER_ID}"), "token_type": "Bearer",
        });
        if field("grant_type") != JWT_BEARER {
            body["issued_at"] = now.as_millisecond().to_string().into();
            body["signature"] = "c2lnbmF0dXJlIG9mIHRlc3Rz".into();
        }
        if let Some(token) = refresh_token {
            body["refresh_token"] = token.into();
        }
        Reply::json(200, &body)
    }

    /// Whether the call has a session.
    pub(super) fn check_session(&self, request: &Request) -> Result<(), ApiError> {
        let header = request.header("authorization").unwrap_or_default();
        let token = header.strip_prefix("Bearer ").or(header.strip_prefix("OAuth "));
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return Err(ApiError::new(401, "INVALID_AUTH_HEADER", "INVALID_AUTH_HEADER"));
        };
        if self.access.sessions.contains_key(token) {
            return Ok(());
        }
        let message = "Session expired or invalid";
        Err(ApiError::new(401, "INVALID_SESSION_ID", message))
    }
}

fn basic(request: &Request) -> Option<(String, String)> {
    let header = request.header("authorization")?.strip_prefix("Basic ")?;
    let text = String::from_utf8(BASE64.decode(header.as_bytes()).ok()?).ok()?;
    let (client_id, secret) = text.split_once(':')?;
    Some((client_id.to_owned(), secret.to_owned()))
}
