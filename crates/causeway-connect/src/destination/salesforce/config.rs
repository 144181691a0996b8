//! The keys of a Salesforce destination, as they are written.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::{config::SecretRef, oauth};

/// The version of the API that this connector was written for.
pub(super) const VERSION: &str = "v68.0";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// The org's My Domain: `https://NAME.my.salesforce.com`.
    pub base_url: String,
    /// Signs in as an external client app: client credentials, or `grant = "refresh_token"`.
    pub oauth: Option<oauth::Config>,
    /// Signs in as an external client app with a certificate.
    pub jwt: Option<Jwt>,
    /// A session token, for tests and trials: it ends after some hours.
    pub token: Option<SecretRef>,
    /// `Contact` or `Lead`.
    #[serde(default)]
    pub object: Object,
    /// A text field of yours that is "External ID" and "Unique". Causeway finds people by it.
    #[serde(default = "key")]
    pub key: String,
    /// Where the value of `key` comes from. Default: made from the ids and addresses of the contact.
    pub key_value: Option<String>,
    /// Field = where its value comes from. Default: names, telephone, postcode and town.
    #[schemars(with = "Option<std::collections::BTreeMap<String, Value>>")]
    pub fields: Option<toml::Table>,
    /// A checkbox of yours for the opt-in, and a field for its time.
    pub opt_in: Option<OptIn>,
    /// A date/time field of yours for the time of an opt-out.
    pub opt_out_date: Option<String>,
    #[serde(default)]
    pub new_contacts: NewContacts,
    #[serde(default)]
    pub bounce: Bounce,
    #[serde(default)]
    pub on_remove: OnRemove,
    /// Saves a record although a duplicate rule of the sort "Alert" found a similar one.
    #[serde(default)]
    pub allow_duplicates: bool,
    /// Part of the org's daily calls, in percent, after which this destination slows down.
    #[serde(default = "ninety")]
    pub api_usage_percent: u64,
    /// Writes large batches with the Bulk API. Default: off.
    pub bulk: Option<Bulk>,
    pub campaign: Option<Campaign>,
    pub action: Option<Action>,
    /// The version of Salesforce's API.
    #[serde(default = "version")]
    pub api_version: String,
    /// Allows addresses in private networks, and http://.
    #[serde(default)]
    pub allow_private: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Jwt {
    /// The consumer key of the app.
    pub client_id: String,
    /// The private key that belongs to the app's certificate, in PEM.
    pub key: SecretRef,
    /// The user as whom the destination works.
    pub username: String,
    /// `https://login.salesforce.com` (default), or `https://test.salesforce.com` for a sandbox.
    #[serde(default = "login")]
    pub audience: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OptIn {
    /// The checkbox.
    pub field: String,
    /// The date/time field.
    pub date: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub(super) enum Object {
    #[default]
    Contact,
    Lead,
}

impl Object {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Contact => "Contact",
            Self::Lead => "Lead",
        }
    }

    /// The field of a campaign member that names the person.
    pub fn member_field(self) -> &'static str {
        match self {
            Self::Contact => "ContactId",
            Self::Lead => "LeadId",
        }
    }
}

/// Whether a person who did not agree may be mailed by Salesforce, where nobody has opted out at first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum NewContacts {
    #[default]
    OptedOut,
    Unmarked,
}

/// Where a bounced, blocked or inactive address is noted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Bounce {
    #[default]
    Fields,
    OptOut,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnRemove {
    #[default]
    Delete,
    Blank,
}

/// Writes large batches as jobs, whose results come later.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Bulk {
    /// A batch of more people than this is a job.
    #[serde(default = "two_thousand")]
    pub above: u32,
}

/// Makes a person who acted a member of the campaign.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Campaign {
    /// The campaigns' field that is "External ID" and "Unique".
    #[serde(default = "campaign_key")]
    pub key: String,
    /// Where its value comes from. Default `campaign.id`.
    #[serde(default = "campaign_value")]
    pub value: String,
    /// The status of the member. Default: the campaign's own default.
    pub status: Option<String>,
    /// Creates a campaign that is not there.
    #[serde(default = "yes")]
    pub create: bool,
}

/// Writes each action as a record: a task, or an object of yours.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Action {
    /// Its name in the API: `Task`, `Petition_Action__c`.
    pub object: String,
    /// Its field that is "External ID" and "Unique".
    #[serde(default = "action_key")]
    pub key: String,
    /// Its lookup of the person: `WhoId` for a task.
    pub person: String,
    /// Field = where its value comes from.
    #[schemars(with = "std::collections::BTreeMap<String, Value>")]
    pub fields: toml::Table,
}

fn key() -> String {
    "Causeway_Id__c".to_owned()
}

fn campaign_key() -> String {
    "Causeway_Campaign_Id__c".to_owned()
}

fn campaign_value() -> String {
    "campaign.id".to_owned()
}

fn action_key() -> String {
    "Causeway_Action_Id__c".to_owned()
}

fn ninety() -> u64 {
    90
}

fn two_thousand() -> u32 {
    2_000
}

fn version() -> String {
    VERSION.to_owned()
}

fn login() -> String {
    "https://login.salesforce.com".to_owned()
}

fn yes() -> bool {
    true
}
