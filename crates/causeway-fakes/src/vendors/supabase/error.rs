//! Errors of PostgreSQL as PostgREST passes them on, those of PostgREST, and those of the gateway.

use serde_json::json;

use crate::fake_api::Reply;

#[derive(Debug)]
pub struct Refusal {
    pub status: u16,
    /// `None` for the gateway.
    pub code: Option<String>,
    pub message: String,
    pub details: Option<String>,
    pub hint: Option<String>,
}

impl Refusal {
    /// An error of PostgreSQL. The code decides about the status.
    pub fn sql(code: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            status: status(code, &message),
            code: Some(code.to_owned()),
            message,
            details: None,
            hint: None,
        }
    }

    pub fn postgrest(status: u16, number: u16, message: &str) -> Self {
        Self {
            status,
            code: Some(format!("PGRST{number:03}")),
            message: message.to_owned(),
            details: None,
            hint: None,
        }
    }

    pub fn gateway(status: u16, message: &str, hint: Option<&str>) -> Self {
        Self {
            status,
            code: None,
            message: message.to_owned(),
            details: None,
            hint: hint.map(str::to_owned),
        }
    }

    #[must_use]
    pub fn details(self, details: impl Into<String>) -> Self {
        Self {
            details: Some(details.into()),
            ..self
        }
    }

    pub fn reply(&self) -> Reply {
        let Some(code) = &self.code else {
            let body = match &self.hint {
                Some(hint) => json!({ "message": self.message, "hint": hint }),
                None => json!({ "message": self.message }),
            };
            return Reply::json(self.status, &body);
        };
        let body =
            json!({ "code": code, "details": self.details, "hint": self.hint, "message": self.message });
        let reply =
            Reply::json(self.status, &body).header("proxy-status", &format!("PostgREST; error={code}"));
        match self.status {
            401 => reply.header("www-authenticate", "Bearer"),
            _ => reply,
        }
    }
}

/// The statuses that PostgREST 16 gives to PostgreSQL's codes.
pub fn status(code: &str, message: &str) -> u16 {
    match code {
        "23503" | "23505" => 409,
        "25006" => 405,
        // A statement without a condition is the caller's mistake; any other error of the kind is the server's.
        "21000" if message.ends_with("requires a WHERE clause") => 400,
        "42883" | "42P01" => 404,
        "42501" => 403,
        "57P01" => 503,
        "53400" | "42P17" | "21000" => 500,
        "P0001" => 400,
        _ => match code.get(..2).unwrap_or_default() {
            "08" | "53" => 503,
            "0L" | "0P" | "28" => 403,
            "09" | "25" | "2D" | "38" | "39" | "3B" | "40" | "54" | "55" | "57" | "58" | "F0" | "HV"
            | "P0" | "XX" => 500,
            _ => 400,
        },
    }
}
