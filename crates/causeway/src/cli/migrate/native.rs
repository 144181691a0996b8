//! Kinds of destinations that take over a connector of proca-sync, with the names of its environment variables.

/// A kind, and what becomes of the connector's variables.
#[derive(Debug, PartialEq, Eq)]
pub struct Native {
    pub kind: &'static str,
    pub keys: &'static [Key],
    /// What must be done at the vendor, or by hand.
    pub to_do: &'static [&'static str],
}

#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// Variables of proca-sync. The first that is set counts.
    pub from: &'static [&'static str],
    /// The key of the kind.
    pub to: &'static str,
    pub value: Value,
    /// The value to write if no variable is set, as TOML; without it the key is left out.
    pub otherwise: Option<&'static str>,
    pub hint: &'static str,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Value {
    /// It stays in its variable.
    Secret,
    /// The same, if it is set.
    OptionalSecret,
    /// A URL. Only scheme and host are copied, and this path is added.
    Host(&'static str),
    /// A name without anything secret.
    Name,
    Number,
    /// Numbers between commas, as a list.
    Numbers,
    /// One name, as a list.
    OneOfList,
    /// It must be written by hand.
    ByHand,
}

const fn secret(from: &'static [&'static str], to: &'static str, hint: &'static str) -> Key {
    Key {
        from,
        to,
        value: Value::Secret,
        otherwise: None,
        hint,
    }
}

const fn key(
    from: &'static [&'static str],
    to: &'static str,
    value: Value,
    otherwise: Option<&'static str>,
    hint: &'static str,
) -> Key {
    Key {
        from,
        to,
        value,
        otherwise,
        hint,
    }
}

pub const ACTION_NETWORK: Native = Native {
    kind: "actionnetwork",
    keys: &[
        secret(&["CRM_API_TOKEN"], "api_key", "the API key of the group"),
        key(
            &["CRM_URL"],
            "base_url",
            Value::Host(""),
            None,
            "the host of the API",
        ),
        key(
            &["CRM_FORM"],
            "action",
            Value::ByHand,
            None,
            "the form that receives actions: action = { on = \"form\", id = \"=ID\" }",
        ),
    ],
    to_do: &[],
};

pub const ACTIVE_CAMPAIGN: Native = Native {
    kind: "activecampaign",
    keys: &[
        secret(&["CRM_API_TOKEN"], "token", "the API key (Settings > Developer)"),
        key(
            &["CRM_URL"],
            "base_url",
            Value::Host(""),
            Some("\"https://ACCOUNT.api-us1.com\""),
            "the address of the account",
        ),
        key(
            &["CRM_LIST_ID"],
            "list",
            Value::Number,
            None,
            "the number of the list",
        ),
        key(
            &["CRM_TAG_IDS"],
            "tags",
            Value::Numbers,
            None,
            "the numbers of the tags",
        ),
    ],
    to_do: &[],
};

pub const CIVICRM: Native = Native {
    kind: "civicrm",
    keys: &[
        secret(
            &["CIVICRM_API_KEY"],
            "api_key",
            "the API key of a user of CiviCRM",
        ),
        key(
            &["CIVICRM_URL"],
            "base_url",
            Value::Host("/civicrm/ajax/api4"),
            Some("\"https://HOST/civicrm/ajax/api4\""),
            "the URL of API 4",
        ),
        key(
            &[],
            "time_zone",
            Value::Name,
            Some("\"Europe/Brussels\""),
            "the time zone of CiviCRM's server",
        ),
        key(
            &["GROUP"],
            "groups",
            Value::OneOfList,
            None,
            "the name of the group",
        ),
        key(
            &["CIVICRM_KEY"],
            "site_key",
            Value::OptionalSecret,
            None,
            "the key of the site",
        ),
    ],
    to_do: &[
        "base_url: check the path of CiviCRM's API 4 (proca-sync's CIVICRM_PATH is not copied)",
        "time_zone: set the time zone of CiviCRM's server",
    ],
};

pub const MAILCHIMP: Native = Native {
    kind: "mailchimp",
    keys: &[
        secret(
            &["AUTH_TOKEN", "MAILCHIMP_KEY"],
            "token",
            "the API key, which ends with the data centre",
        ),
        key(
            &["LIST"],
            "list",
            Value::Name,
            Some("\"0123456789\""),
            "the id of the audience",
        ),
    ],
    to_do: &[],
};

pub const MAILJET: Native = Native {
    kind: "mailjet",
    keys: &[
        secret(&["MJ_APIKEY_PUBLIC"], "api_key", "the API key"),
        secret(&["MJ_APIKEY_PRIVATE"], "secret_key", "the secret key"),
        key(
            &["LIST"],
            "list",
            Value::Number,
            None,
            "the number of the contact list",
        ),
    ],
    to_do: &[],
};

pub const SALESFORCE: Native = Native {
    kind: "salesforce",
    keys: &[
        key(
            &["SALESFORCE_URL"],
            "base_url",
            Value::Host(""),
            Some("\"https://HOST.my.salesforce.com\""),
            "the address of My Domain",
        ),
        key(
            &[],
            "oauth.client_id",
            Value::Name,
            Some("\"CONSUMER_KEY\""),
            "the consumer key of an External Client App",
        ),
        secret(
            &["SALESFORCE_SECRET"],
            "oauth.client_secret",
            "the consumer secret of the same app",
        ),
        key(
            &[],
            "key",
            Value::Name,
            Some("\"Causeway_Id__c\""),
            "the field that is \"External ID\" and \"Unique\"",
        ),
        key(
            &["FIELD_OPTIN"],
            "opt_in.field",
            Value::Name,
            None,
            "the checkbox that shows an opt-in",
        ),
    ],
    to_do: &[
        "AUTH_USER, AUTH_PASSWORD and AUTH_TOKEN are not used: Salesforce ends logins by password. Make an External Client \
         App, and set oauth.client_id",
        "key: make the field Causeway_Id__c, or name another external id",
        "SUPPORTER_TYPE=lead becomes object = \"Lead\"",
    ],
};

pub const BREVO: Native = Native {
    kind: "brevo",
    keys: &[
        secret(
            &["SENDINBLUE_KEY", "BREVO_KEY"],
            "token",
            "the API key (version 3)",
        ),
        key(
            &["LIST"],
            "lists",
            Value::Numbers,
            Some("[1]"),
            "the numbers of the lists",
        ),
    ],
    to_do: &[],
};

pub const CLEVER_REACH: Native = Native {
    kind: "cleverreach",
    keys: &[
        key(
            &[],
            "group",
            Value::Number,
            Some("1"),
            "the number of the group; the connector took it from the campaign's settings",
        ),
        key(
            &["CRM_ID"],
            "oauth.client_id",
            Value::Name,
            Some("\"CLIENT_ID\""),
            "the id of the OAuth app",
        ),
        secret(
            &["CRM_SECRET"],
            "oauth.client_secret",
            "the secret of the OAuth app",
        ),
    ],
    to_do: &[],
};

pub const ENGAGING_NETWORKS: Native = Native {
    kind: "engagingnetworks",
    keys: &[
        secret(&["CRM_API_TOKEN"], "token", "the token of an API user"),
        key(
            &["CRM_URL"],
            "base_url",
            Value::Host("/ens/service"),
            Some("\"https://ca.engagingnetworks.app/ens/service\""),
            "the address of your data centre",
        ),
    ],
    to_do: &["opt_ins: name the question that shows an opt-in in your account"],
};
