//! The links of Proca's mails, as Proca server 3.10 answers them: supporters and actions that wait for a confirmation,
//! and the codes of confirmations.

mod page;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use data_encoding::BASE64URL_NOPAD;
use serde_json::json;

use super::Vendor;
use crate::fake_api::{Reply, Request};

/// How far a supporter or an action is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    New,
    Confirming,
    Accepted,
    Delivered,
    Rejected,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Confirming => "confirming",
            Self::Accepted => "accepted",
            Self::Delivered => "delivered",
            Self::Rejected => "rejected",
        }
    }
}

/// The status of the supporter's address, as far as links change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailStatus {
    None,
    DoubleOptIn,
    Unsub,
}

/// An action and its supporter.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub reference: String,
    pub supporter: Status,
    pub action: Status,
    pub email: EmailStatus,
}

/// A confirmation that somebody with its code may accept or reject.
#[derive(Debug, Clone)]
pub struct Code {
    pub action: u64,
    /// How often it can still be used.
    pub charges: u32,
}

/// The server: what waits, and the conditions that tests set.
#[derive(Debug, Default)]
pub struct Proca {
    pub actions: BTreeMap<u64, Waiting>,
    pub codes: BTreeMap<String, Code>,
    /// Whether actions of accepted supporters wait for a moderator.
    pub moderates: bool,
    /// The actions whose supporter's address changed its status by a link: an event was sent for each.
    pub events: Vec<(u64, EmailStatus)>,
    /// The answers of this many requests are lost on the way back: they take effect, and the caller gets a 502.
    pub loses_answers: usize,
}

impl Proca {
    /// An action whose supporter has to be confirmed.
    pub fn add(&mut self, action: u64, reference: &str) {
        let waiting = Waiting {
            reference: reference.to_owned(),
            supporter: Status::Confirming,
            action: Status::New,
            email: EmailStatus::None,
        };
        self.actions.insert(action, waiting);
    }

    /// An action that waits for a moderator, and whose supporter is accepted.
    pub fn add_moderated(&mut self, action: u64, reference: &str) {
        self.add(action, reference);
        if let Some(waiting) = self.actions.get_mut(&action) {
            waiting.supporter = Status::Accepted;
            waiting.action = Status::Confirming;
        }
    }

    /// A code that confirms the action once.
    pub fn add_code(&mut self, code: &str, action: u64) {
        self.codes.insert(code.to_owned(), Code { action, charges: 1 });
    }

    pub fn status(&self, action: u64) -> (Status, Status) {
        let waiting = self.actions.get(&action).unwrap();
        (waiting.supporter, waiting.action)
    }

    fn receive(&mut self, request: &Request) -> Reply {
        let steps: Vec<&str> = request.path.split('/').filter(|step| !step.is_empty()).collect();
        let formats = request.header("accept").unwrap_or("*/*");
        if !formats.contains("*/*") && !formats.contains("json") {
            return Reply::status(406).body("Not Acceptable");
        }
        let query: BTreeMap<String, String> = url::form_urlencoded::parse(request.query.as_bytes())
            .into_owned()
            .collect();
        match (&*request.method, &steps[..]) {
            ("GET" | "POST", ["link", "s", action, verb, reference]) => {
                self.supporter(action, verb, reference, &query)
            }
            ("GET", ["link", "d", action, reference]) => self.double_opt_in(action, reference),
            ("GET", ["link", verb, code]) => self.confirm(verb, code, &query),
            _ => Reply::json(404, &json!({ "errors": { "detail": "Not Found" } })),
        }
    }

    fn supporter(
        &mut self,
        action: &str,
        verb: &str,
        reference: &str,
        query: &BTreeMap<String, String>,
    ) -> Reply {
        let doi = query.get("doi").map(String::as_str);
        let is_known_doi = doi.is_none_or(|doi| ["1", "0", "true", "false", "yes", "no"].contains(&doi));
        let number = action.parse::<u64>().ok().filter(|_| is_known_doi);
        let (Some(number), true, true) = (number, ["accept", "reject"].contains(&verb), is_base64(reference))
        else {
            return error(400, "malformed link");
        };
        if !self.is_known(number, reference) {
            return error(404, "malformed link");
        }
        // It counts even if the link itself then fails.
        if matches!(doi, Some("1" | "yes" | "true")) {
            self.set_email(number, EmailStatus::DoubleOptIn);
        }
        let done = if verb == "accept" {
            self.accept(number)
        } else {
            self.reject(number);
            Ok(())
        };
        match (done, query.get("redir")) {
            (Err(message), _) => error(400, message),
            (Ok(()), Some(to)) => {
                Reply::status(302).header("location", &format!("{to}?proca_confirm={verb}"))
            }
            (Ok(()), None) => Reply::status(200).body("SUCCESS"),
        }
    }

    fn is_known(&self, action: u64, reference: &str) -> bool {
        let waiting = self.actions.get(&action);
        waiting.is_some_and(|waiting| waiting.reference == reference)
    }

    fn accept(&mut self, action: u64) -> Result<(), &'static str> {
        let moderates = self.moderates;
        let waiting = self.actions.get_mut(&action).unwrap();
        match waiting.supporter {
            Status::New => Err("not allowed"),
            Status::Rejected => Err("supporter data already rejected"),
            Status::Confirming => {
                waiting.supporter = Status::Accepted;
                waiting.action = if moderates {
                    Status::Confirming
                } else {
                    Status::Delivered
                };
                Ok(())
            }
            // The answer is the same, although nothing changes.
            Status::Accepted | Status::Delivered => Ok(()),
        }
    }

    /// Rejects the supporter and the action, however far they are, and takes back a double opt-in.
    fn reject(&mut self, action: u64) {
        let waiting = self.actions.get_mut(&action).unwrap();
        waiting.supporter = Status::Rejected;
        waiting.action = Status::Rejected;
        if waiting.email == EmailStatus::DoubleOptIn {
            self.set_email(action, EmailStatus::Unsub);
        }
    }

    fn set_email(&mut self, action: u64, status: EmailStatus) {
        self.actions.get_mut(&action).unwrap().email = status;
        self.events.push((action, status));
    }

    fn double_opt_in(&mut self, action: &str, reference: &str) -> Reply {
        let Some(number) = action.parse().ok().filter(|_| is_base64(reference)) else {
            return error(400, "malformed link");
        };
        if !self.is_known(number, reference) {
            return error(404, "malformed link");
        }
        self.set_email(number, EmailStatus::DoubleOptIn);
        Reply::status(302).header("location", "/")
    }

    fn confirm(&mut self, verb: &str, code: &str, query: &BTreeMap<String, String>) -> Reply {
        if !["accept", "reject"].contains(&verb) || !code.bytes().all(|digit| digit.is_ascii_digit()) {
            return error(400, "malformed link");
        }
        // A code of an address or an object has to be asked for with it; these codes have neither.
        let is_open = !query.contains_key("email") && !query.contains_key("id");
        let Some(found) = self.codes.get_mut(code).filter(|_| is_open) else {
            return error(400, "code invalid");
        };
        if verb == "accept" && found.charges == 0 {
            return Reply::status(400).body("expired");
        }
        let waiting = self.actions.get_mut(&found.action).unwrap();
        let (after, refusal) = match (verb, waiting.action) {
            (_, Status::New) => (None, Some("not allowed")),
            ("accept", Status::Rejected) => (None, Some("data already rejected")),
            ("accept", Status::Confirming) => (Some(Status::Accepted), None),
            ("reject", _) => (Some(Status::Rejected), None),
            _ => (None, None),
        };
        if verb == "reject" {
            found.charges = 0;
        }
        if let Some(refusal) = refusal {
            return error(500, refusal);
        }
        found.charges = found.charges.saturating_sub(1);
        waiting.action = after.unwrap_or(waiting.action);
        let to = query.get("redir").map_or("/", String::as_str);
        Reply::status(302).header("location", to)
    }
}

fn is_base64(reference: &str) -> bool {
    !reference.is_empty() && BASE64URL_NOPAD.decode(reference.as_bytes()).is_ok()
}

fn error(status: u16, message: &str) -> Reply {
    // Proca sets no type of content.
    Reply::status(status).body(json!({ "errors": [{ "message": message }] }).to_string())
}

impl Vendor for Proca {
    fn answer(&mut self, request: &Request) -> Reply {
        let reply = self.receive(request);
        if self.loses_answers > 0 {
            self.loses_answers -= 1;
            return Reply::status(502).body("<html>502 Bad Gateway</html>");
        }
        reply
    }

    fn page(&self) -> String {
        page::page(self)
    }
}
