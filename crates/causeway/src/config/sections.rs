//! `[hub]`, `[http]` and `[retention]`.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf};

use causeway_core::{
    after_erasure::AfterErasure, decode::names::field_name, shared_address::SHARED_ADDRESSES,
    store::Retention,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::score::ScoreOwner;

/// `[hub]`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hub {
    /// Folder of the database, relative to this file. Created if missing.
    pub data_dir: PathBuf,
    /// Nothing is accepted while the disk has fewer free megabytes than this.
    pub min_free_mb: u64,
    /// Seconds after an opt-out during which a confirming click does not undo it: scanners of mail servers follow every
    /// link of a mail within moments. 0 = every later click counts.
    pub click_grace_s: u32,
    /// Addresses that several people use or that belong to nobody, such as `noemail@*`. They never merge two contacts.
    pub shared_addresses: Vec<String>,
    /// What to do with a message that names an erased person and is dated after the erasure: `accept` makes a new
    /// contact, `refuse` turns it away. Messages that are dated before are always turned away.
    #[schemars(with = "String", extend("enum" = ["accept", "refuse"]))]
    pub after_erasure: AfterErasure,
    /// The owner of a contact's score and status: `hub` (the points of `[[score]]` and `add_score`) or `platform` (what
    /// platforms send), for all workspaces, or in a table for each. Default: `hub` where rules give points, else
    /// `platform`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub score: Option<ScoreOwner>,
    /// Fields of contacts that hold several values, such as the boxes of a multiple choice: always a list, even when one
    /// value comes.
    pub multi_value_fields: Vec<String>,
}

impl Hub {
    /// The names under which the fields are stored.
    pub fn multi_value_fields(&self) -> BTreeSet<String> {
        let names = self.multi_value_fields.iter();
        names.map(|name| field_name(name).to_owned()).collect()
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            data_dir: "causeway-data".into(),
            min_free_mb: 200,
            click_grace_s: 300,
            shared_addresses: SHARED_ADDRESSES.map(str::to_owned).to_vec(),
            after_erasure: AfterErasure::default(),
            score: None,
            multi_value_fields: Vec::new(),
        }
    }
}

/// `[http]`: the listener's and the console's address.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Address and port. Loopback unless you say otherwise.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Address and port of the console, health and metrics pages; they show personal data and have no log-in yet.
    #[schemars(with = "String")]
    pub console: SocketAddr,
    /// Host names under which the console is called, besides `localhost` and IP addresses.
    pub console_hosts: Vec<String>,
    /// The listener's URL from outside, such as `https://hub.example.org`: the URLs of `causeway source url` begin with
    /// it.
    pub public_url: Option<PublicUrl>,
}

/// A URL of this hub: `http` or `https`, a host, and optionally a path. It has no slash at its end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct PublicUrl(String);

impl TryFrom<String> for PublicUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = text.trim().trim_end_matches('/');
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        let odd = |letter: char| letter.is_whitespace() || letter.is_control() || "?#@\"<>".contains(letter);
        match rest {
            Some(rest) if !rest.is_empty() && !rest.starts_with('/') && !rest.contains(odd) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err("expected a URL such as \"https://hub.example.org\", without a query"),
        }
    }
}

impl Http {
    /// The beginning of the listener's URLs.
    pub fn base_url(&self) -> String {
        match &self.public_url {
            Some(PublicUrl(url)) => url.clone(),
            None => format!("http://{}", self.listen),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8437)),
            console: SocketAddr::from(([127, 0, 0, 1], 8438)),
            console_hosts: Vec::new(),
            public_url: None,
        }
    }
}

/// `[retention]`: how long finished data is kept. 0 = for ever.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// Days to keep the bodies of finished messages, and the responses of destinations to them.
    pub payload_days: u32,
    /// Days to keep the responses of destinations, if they are deleted before the bodies.
    pub answer_days: u32,
    /// Days to keep the rows of finished messages, deliveries and attempts.
    pub history_days: u32,
    /// Days to keep engagements: mails opened, pages visited and the like.
    pub engagement_days: u32,
    /// Days to keep actions with the data of their forms.
    pub action_days: u32,
    /// Days to list URLs that no longer work in `causeway source urls`.
    pub url_days: u32,
    /// Days to wait for destinations to confirm a removal before a person is erased anyway; 0 erases at once and asks
    /// no destination.
    pub erase_after_days: u32,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            payload_days: 90,
            history_days: 730,
            answer_days: 90,
            engagement_days: 730,
            action_days: 0,
            url_days: 90,
            erase_after_days: 7,
        }
    }
}

impl RetentionConfig {
    pub fn rule(&self) -> Retention {
        let days = |days: u32| (days > 0).then_some(days);
        Retention {
            payload_days: days(self.payload_days),
            history_days: days(self.history_days),
            answer_days: days(self.answer_days),
            engagement_days: days(self.engagement_days),
            action_days: days(self.action_days),
            url_days: days(self.url_days),
        }
    }
}
