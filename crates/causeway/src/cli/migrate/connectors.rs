//! The connectors of proca-sync: the people they sent by default, the system they wrote to, and the behaviour that Causeway
//! does not have.

use super::native::{self, Native};

/// The people that a connector was sent (`CRM_TYPE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrmType {
    /// Every action, with or without a form, opted in or not.
    ActionContact,
    /// People who gave their data, opted in or not.
    Contact,
    OptIn,
    DoubleOptIn,
}

/// The kind of destination that comes nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closest {
    /// Causeway has a kind for the same API.
    Native(&'static Native),
    /// The samples have a section for the API: its name.
    Sample(&'static str),
    /// An API that Causeway does not support: JSON to a bridge of your own.
    Bridge,
    /// The connector wrote into a database.
    Sql,
    Csv,
    Jsonl,
}

pub struct Connector {
    /// The name in `CRM=…`.
    pub name: &'static str,
    pub crm_type: CrmType,
    pub closest: Closest,
    /// Behaviour that will be different.
    pub differs: &'static [&'static str],
}

/// All connectors, by the names of their files in proca-sync.
pub const CONNECTORS: &[Connector] = &[
    Connector {
        name: "actionnetwork",
        crm_type: CrmType::Contact,
        closest: Closest::Native(&native::ACTION_NETWORK),
        differs: &[
            "it made the tags `supporter` and the campaign's name, and submissions of a form (`settings.form`)",
            "it marked everybody who did not opt in as unsubscribed; here the record only shows the consent state",
        ],
    },
    Connector {
        name: "activecampaign",
        crm_type: CrmType::DoubleOptIn,
        closest: Closest::Native(&native::ACTIVE_CAMPAIGN),
        differs: &[
            "it synced the contact, its list and its tags in several calls",
            "it subscribed people again who had unsubscribed; here a newer opt-in is needed",
        ],
    },
    Connector {
        name: "brevo",
        crm_type: CrmType::OptIn,
        closest: Closest::Native(&native::BREVO),
        differs: &[
            "it made a list for each campaign in the folder `proca`",
            "it took people off the blacklist, whatever the cause; here a newer opt-in is needed",
        ],
    },
    Connector {
        name: "sendinblue",
        crm_type: CrmType::OptIn,
        closest: Closest::Native(&native::BREVO),
        differs: &["it is the old name of brevo: see there"],
    },
    Connector {
        name: "civicrm",
        crm_type: CrmType::OptIn,
        closest: Closest::Native(&native::CIVICRM),
        differs: &[
            "it wrote contact, address, activity, phone, group and campaign by API 4",
            "it ended an opt-out of the contact; here a newer opt-in is needed",
        ],
    },
    Connector {
        name: "cleverreach",
        crm_type: CrmType::DoubleOptIn,
        closest: Closest::Native(&native::CLEVER_REACH),
        differs: &[
            "list and label came from the campaign's own configuration (`component.sync`), as `settings` do here",
            "it subscribed people again who had unsubscribed; here a newer opt-in is needed",
        ],
    },
    Connector {
        name: "csv",
        crm_type: CrmType::Contact,
        closest: Closest::Csv,
        differs: &["it added the constants of the campaign's `component.sync` as columns"],
    },
    Connector {
        name: "debug",
        crm_type: CrmType::ActionContact,
        closest: Closest::Jsonl,
        differs: &[
            "it printed each action and returned it to the queue; here the action is written to a file",
        ],
    },
    Connector {
        name: "stdout",
        crm_type: CrmType::OptIn,
        closest: Closest::Jsonl,
        differs: &[
            "it printed each action and returned it to the queue; here the action is written to a file",
        ],
    },
    Connector {
        name: "file",
        crm_type: CrmType::ActionContact,
        closest: Closest::Jsonl,
        differs: &["it wrote a file for each action; here one file has a line for each action"],
    },
    Connector {
        name: "engagingnetworks",
        crm_type: CrmType::OptIn,
        closest: Closest::Native(&native::ENGAGING_NETWORKS),
        differs: &["it logged in, looked the supporter up, and wrote answers to questions"],
    },
    Connector {
        name: "gpdedatahub",
        crm_type: CrmType::DoubleOptIn,
        closest: Closest::Sample("greenpeace-data-hub"),
        differs: &[
            "it sent Proca's own message with `promo_code` and `form_type` added; here the record is sent",
        ],
    },
    Connector {
        name: "magnews",
        crm_type: CrmType::OptIn,
        closest: Closest::Sample("magnews"),
        differs: &["it ignored the responses; here a rejected delivery is dead and shown"],
    },
    Connector {
        name: "mailchimp",
        crm_type: CrmType::OptIn,
        closest: Closest::Native(&native::MAILCHIMP),
        differs: &[
            "it only added members; existing members got no new field or tag",
            "it tagged with `proca`, the campaign and the page",
        ],
    },
    Connector {
        name: "mailjet",
        crm_type: CrmType::OptIn,
        closest: Closest::Native(&native::MAILJET),
        differs: &[
            "it wrote contact, properties and list in three calls",
            "it subscribed people again who had unsubscribed; here a newer opt-in is needed",
        ],
    },
    Connector {
        name: "publicComment",
        crm_type: CrmType::Contact,
        closest: Closest::Sql,
        differs: &["it published comments, even of test actions; here test actions are skipped"],
    },
    Connector {
        name: "salesforce",
        crm_type: CrmType::OptIn,
        closest: Closest::Native(&native::SALESFORCE),
        differs: &[
            "it wrote Contact or Lead, Campaign and CampaignMember, and always set the opt-in field to true",
        ],
    },
    Connector {
        name: "supabase",
        crm_type: CrmType::OptIn,
        closest: Closest::Sql,
        differs: &[
            "it wrote the whole message as JSON into one table",
            "its listener that put approved rows back into the queue has no counterpart",
        ],
    },
    Connector {
        name: "trust-lc",
        crm_type: CrmType::DoubleOptIn,
        closest: Closest::Sample("petition-form"),
        differs: &[
            "it signed with a token that changes every 30 seconds, and verified each signature by a second call",
        ],
    },
];

/// The connector with this name, in any spelling.
pub fn find(name: &str) -> Option<&'static Connector> {
    let folded = |text: &str| text.to_lowercase().replace(['-', '_'], "");
    let wanted = folded(name);
    CONNECTORS
        .iter()
        .find(|connector| folded(connector.name) == wanted)
}

impl CrmType {
    /// Parses `OptIn`, `DOUBLE_OPTIN`, …; `None` for an unknown value.
    pub fn read(text: &str) -> Option<Self> {
        let folded = text.to_lowercase().replace(['-', '_', ' '], "");
        match folded.as_str() {
            "actioncontact" => Some(Self::ActionContact),
            "contact" => Some(Self::Contact),
            "optin" => Some(Self::OptIn),
            "doubleoptin" => Some(Self::DoubleOptIn),
            _ => None,
        }
    }

    /// The source's `consent`: what makes an opt-in valid.
    pub fn of_source(self) -> &'static str {
        match self {
            Self::ActionContact | Self::Contact | Self::OptIn => "single",
            Self::DoubleOptIn => "double_opt_in",
        }
    }

    /// Whether shares and other actions without the form were left out.
    pub fn forms_only(self) -> bool {
        matches!(self, Self::Contact | Self::OptIn)
    }

    /// The destination's `consent`: the people it is sent.
    pub fn of_destination(self) -> &'static str {
        match self {
            Self::ActionContact => "all",
            Self::Contact => "with_consent",
            Self::OptIn => "opt_in",
            Self::DoubleOptIn => "double_opt_in",
        }
    }
}
