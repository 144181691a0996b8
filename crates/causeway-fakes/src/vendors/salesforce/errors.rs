//! Errors: an array of objects for a call, an object for the token endpoint, and a list within a result for a row.

use serde_json::{Value, json};

use crate::fake_api::Reply;

/// A call that was refused.
#[derive(Debug, Clone)]
pub struct ApiError {
    pub status: u16,
    pub code: String,
    pub message: String,
    pub fields: Vec<String>,
}

impl ApiError {
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            fields: Vec::new(),
        }
    }

    pub fn invalid(code: &str, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    pub fn not_found() -> Self {
        Self::new(404, "NOT_FOUND", "The requested resource does not exist")
    }

    pub fn reply(self) -> Reply {
        let mut body = json!([{ "message": self.message, "errorCode": self.code }]);
        if !self.fields.is_empty() {
            body[0]["fields"] = self.fields.into();
        }
        Reply::json(self.status, &body)
    }
}

/// A row that was refused; the call goes on.
#[derive(Debug, Clone)]
pub struct RowError {
    pub code: String,
    pub message: String,
    pub fields: Vec<String>,
}

impl RowError {
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            fields: Vec::new(),
        }
    }

    pub fn of(code: &str, message: impl Into<String>, fields: &[&str]) -> Self {
        Self {
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
            ..Self::new(code, message)
        }
    }

    /// As a result of a collection.
    pub fn json(&self) -> Value {
        let error = json!({ "statusCode": self.code, "message": self.message, "fields": self.fields });
        json!({ "success": false, "errors": [error] })
    }

    /// As `sf__Error` of a bulk job.
    pub fn cell(&self) -> String {
        format!("{}:{}:{} --", self.code, self.message, self.fields.join(" "))
    }
}

impl From<RowError> for ApiError {
    fn from(error: RowError) -> Self {
        let status = match &*error.code {
            "NOT_FOUND" | "ENTITY_IS_DELETED" => 404,
            _ => 400,
        };
        Self {
            status,
            code: error.code,
            message: error.message,
            fields: error.fields,
        }
    }
}

/// What is wrong with a row: only the row, or the whole call.
#[derive(Debug)]
pub(super) enum Wrong {
    Row(RowError),
    Call(ApiError),
}

impl From<RowError> for Wrong {
    fn from(error: RowError) -> Self {
        Self::Row(error)
    }
}

impl From<ApiError> for Wrong {
    fn from(error: ApiError) -> Self {
        Self::Call(error)
    }
}

impl From<Wrong> for ApiError {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Row(error) => error.into(),
            Wrong::Call(error) => error,
        }
    }
}
