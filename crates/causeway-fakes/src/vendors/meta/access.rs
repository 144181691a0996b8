//! Versions, tokens and the proof that the caller knows the app's secret.

use std::collections::BTreeSet;

use causeway_core::clock::Timestamp;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use jiff::SignedDuration;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Meta, call::Call, errors::GraphError};

/// How old a proof that names its time may be.
const PROOF_LIFETIME: SignedDuration = SignedDuration::from_mins(5);

/// The app in whose name calls are made.
#[derive(Debug, Clone)]
pub struct App {
    pub id: String,
    pub secret: String,
    /// Whether calls without `appsecret_proof` are refused. A wrong proof is always refused.
    pub requires_proof: bool,
    pub tier: Tier,
}

/// How much the app may call. Headers still have the older names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    Limited,
    Full,
}

impl Tier {
    pub(super) fn header(self) -> &'static str {
        match self {
            Self::Limited => "development_access",
            Self::Full => "standard_access",
        }
    }
}

/// A token of a system user.
#[derive(Debug, Clone)]
pub struct Token {
    pub scopes: BTreeSet<String>,
    /// The ad accounts that the system user is assigned to, without `act_`.
    pub accounts: BTreeSet<String>,
    /// `None`: never.
    pub expires: Option<Timestamp>,
    /// The subcode of error 190 if the token was ended early, such as 460 (password changed) or 458 (app removed).
    pub ended: Option<u32>,
}

impl Token {
    /// A token that does not expire and may manage advertisements of one ad account.
    pub fn of(account: &str) -> Self {
        Self {
            scopes: ["ads_management", "ads_read"].map(str::to_owned).into(),
            accounts: [account.to_owned()].into(),
            expires: None,
            ended: None,
        }
    }

    /// The subcode of error 190, if the token no longer works.
    fn problem(&self, now: Timestamp) -> Option<u32> {
        let has_expired = self.expires.is_some_and(|at| at <= now);
        self.ended.or(has_expired.then_some(463))
    }
}

/// The proof of a token, or of a token and the Unix time at which the proof was made.
pub fn proof(secret: &str, token: &str, time: Option<&str>) -> String {
    let message = time.map_or_else(|| token.to_owned(), |time| format!("{token}|{time}"));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

/// SHA-256 in lower-case hex, as every hashed key is sent.
pub fn hash(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}

impl Meta {
    /// Returns the version that answers.
    pub(super) fn check_version(&self, call: &Call) -> Result<u16, GraphError> {
        let (oldest, newest) = self.versions;
        let Some((major, minor)) = call.version else {
            return Ok(oldest);
        };
        if major > newest || minor != 0 {
            let message = format!("Unknown path components: {}", call.path);
            return Err(GraphError::new(2500, message));
        }
        if major >= oldest {
            return Ok(major);
        }
        if self.upgrades_retired_versions {
            return Ok(oldest);
        }
        let message = format!(
            "You are calling a deprecated version of the Ads API. Please update to the latest version: v{newest}.0."
        );
        Err(GraphError::numbered(2635, message))
    }

    pub(super) fn check_token(&self, call: &Call) -> Result<&Token, GraphError> {
        let Some(text) = call.token() else {
            let message = "An access token is required to request this resource.";
            return Err(GraphError::new(104, message));
        };
        let Some(token) = self.tokens.get(&text) else {
            let message = "Invalid OAuth access token - Cannot parse access token";
            return Err(GraphError::new(190, message));
        };
        if let Some(subcode) = token.problem(self.now()) {
            return Err(GraphError::new(190, ended(subcode)).subcode(subcode));
        }
        self.check_proof(call, &text)?;
        Ok(token)
    }

    fn check_proof(&self, call: &Call, token: &str) -> Result<(), GraphError> {
        let refused = |message: &str| Err(GraphError::new(100, message).kind("GraphMethodException"));
        let Some(sent) = call.text("appsecret_proof") else {
            if self.app.requires_proof {
                return refused("API calls from the server require an appsecret_proof argument");
            }
            return Ok(());
        };
        let time = call.text("appsecret_time");
        let is_current = time.as_ref().is_none_or(|time| {
            let at = time.parse().ok().and_then(|at| Timestamp::from_second(at).ok());
            at.is_some_and(|at| at.duration_until(self.now()).abs() <= PROOF_LIFETIME)
        });
        if is_current && sent == proof(&self.app.secret, token, time.as_deref()) {
            return Ok(());
        }
        refused("Invalid appsecret_proof provided in the API argument")
    }

    /// `GET /debug_token`: what a token can do, asked with the token of the app.
    pub(super) fn debug_token(&self, call: &Call) -> Result<Value, GraphError> {
        if call.token() != Some(format!("{}|{}", self.app.id, self.app.secret)) {
            let message = "You must provide an app access token, or a user access token that is an owner or developer \
                           of the app";
            return Err(GraphError::numbered(100, message));
        }
        let asked = call
            .text("input_token")
            .ok_or_else(|| GraphError::missing("input_token"))?;
        let Some(token) = self.tokens.get(&asked) else {
            let message = "Invalid OAuth access token - Cannot parse access token";
            let error = json!({ "code": 190, "message": message });
            return Ok(json!({ "data": { "error": error, "is_valid": false, "scopes": [] } }));
        };
        let mut data = json!({
            "app_id": self.app.id, "type": "SYSTEM_USER", "application": "Causeway",
            "expires_at": token.expires.map_or(0, Timestamp::as_second), "data_access_expires_at": 0,
            "is_valid": true, "scopes": token.scopes,
        });
        if let Some(subcode) = token.problem(self.now()) {
            data["is_valid"] = false.into();
            data["error"] = json!({ "code": 190, "subcode": subcode, "message": ended(subcode) });
        }
        Ok(json!({ "data": data }))
    }
}

fn ended(subcode: u32) -> String {
    let why = match subcode {
        458 => "The user has not authorized the application.",
        459 => {
            "You cannot access the app till you log in to www.facebook.com and follow the instructions given."
        }
        460 => {
            "The session has been invalidated because the user changed their password or Facebook has changed the \
                session for security reasons."
        }
        463 => "Session has expired.",
        464 => "Sessions for the user are not allowed because the user is not a confirmed user.",
        _ => "The session is invalid.",
    };
    format!("Error validating access token: {why}")
}
