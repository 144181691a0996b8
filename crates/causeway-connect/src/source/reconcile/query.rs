//! The GraphQL queries as trees of fields. A server rejects a whole query for one unknown field, so single
//! fields can be left out.

use std::{collections::BTreeSet, fmt::Write as _};

use serde_json::{Value, json};

/// A field of a query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    name: &'static str,
    /// The type of its value; empty for a plain value.
    of: &'static str,
    fields: &'static [Field],
    /// Without it an entry could be misread, so it is never left out.
    is_needed: bool,
}

const fn plain(name: &'static str) -> Field {
    Field {
        name,
        of: "",
        fields: &[],
        is_needed: false,
    }
}

const fn object(name: &'static str, of: &'static str, fields: &'static [Field]) -> Field {
    Field {
        name,
        of,
        fields,
        is_needed: false,
    }
}

impl Field {
    const fn needed(self) -> Self {
        Self {
            is_needed: true,
            ..self
        }
    }
}

/// Servers before June 2026 do not know `dupeRank`.
const ACTION: &[Field] = &[
    plain("actionId").needed(),
    plain("actionType"),
    plain("createdAt").needed(),
    plain("customFields"),
    object(
        "contact",
        "Contact",
        &[
            plain("contactRef").needed(),
            plain("payload").needed(),
            plain("nonce").needed(),
            object("publicKey", "KeyIds", &[plain("id"), plain("public")]),
            object("signKey", "KeyIds", &[plain("id"), plain("public")]),
            plain("dupeRank"),
        ],
    )
    .needed(),
    object(
        "privacy",
        "Consent",
        &[
            plain("withConsent").needed(),
            plain("optIn").needed(),
            plain("givenAt").needed(),
            plain("emailStatus").needed(),
            plain("emailStatusChanged").needed(),
        ],
    )
    .needed(),
    object(
        "campaign",
        "Campaign",
        &[
            plain("id"),
            plain("name"),
            plain("title"),
            plain("externalId"),
            plain("contactSchema"),
        ],
    ),
    object(
        "actionPage",
        "ActionPage",
        &[
            plain("id"),
            plain("name"),
            plain("locale"),
            object("org", "Org", &[plain("name"), plain("title")]),
        ],
    ),
    object(
        "tracking",
        "Tracking",
        &[
            plain("source"),
            plain("medium"),
            plain("campaign"),
            plain("content"),
        ],
    ),
    object(
        "donation",
        "Donation",
        &[
            plain("schema"),
            plain("amount"),
            plain("currency"),
            plain("frequencyUnit"),
            plain("payload"),
        ],
    ),
];

const ID: &[Field] = &[plain("actionId").needed()];

/// What is read of the response for an address: whose action it is, and its state. Nothing that a person
/// typed.
const STATUS: &[Field] = &[
    plain("actionId").needed(),
    object("contact", "Contact", &[plain("contactRef").needed()]).needed(),
    object(
        "privacy",
        "Consent",
        &[
            plain("emailStatus").needed(),
            plain("emailStatusChanged").needed(),
        ],
    )
    .needed(),
];

const ORG: &[Field] = &[
    plain("id"),
    plain("name").needed(),
    object(
        "processing",
        "Processing",
        &[
            plain("supporterConfirm"),
            plain("doiThankYou"),
            plain("customSupporterConfirm"),
            plain("customActionConfirm"),
            plain("customActionDeliver"),
            plain("customEventDeliver"),
            plain("eventBackend"),
            plain("pushBackend"),
            plain("detailBackend"),
        ],
    ),
];

const CAMPAIGN: &[Field] = &[
    plain("id"),
    plain("name").needed(),
    plain("title"),
    plain("externalId"),
    plain("contactSchema"),
    plain("config").needed(),
];

/// A query of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Query {
    /// Delivered actions from a number on, in ascending order.
    Actions,
    /// Their numbers only.
    Ids,
    /// Actions of an address, in any state.
    Contacts,
    /// The organisation and its processing settings.
    Org,
    /// A campaign with its settings.
    Campaign,
}

/// The name of the result, whatever the server calls the field.
pub(super) const ANSWER: &str = "answer";

impl Query {
    #[cfg(test)]
    pub(super) const ALL: [Self; 5] = [
        Self::Actions,
        Self::Ids,
        Self::Contacts,
        Self::Org,
        Self::Campaign,
    ];

    fn fields(self) -> &'static [Field] {
        match self {
            Self::Actions => ACTION,
            Self::Ids => ID,
            Self::Contacts => STATUS,
            Self::Org => ORG,
            Self::Campaign => CAMPAIGN,
        }
    }

    fn of(self) -> &'static str {
        match self {
            Self::Org => "PrivateOrg",
            Self::Campaign => "Campaign",
            Self::Actions | Self::Ids | Self::Contacts => "Action",
        }
    }

    /// The query's text. Without `onlyOptIn: false` the server would return only people who opted in.
    pub(super) fn text(self, left_out: &LeftOut, include_testing: bool) -> String {
        let testing = if left_out.has_argument("includeTesting") {
            String::new()
        } else {
            format!(", includeTesting: {include_testing}")
        };
        let mut text = match self {
            Self::Actions | Self::Ids => {
                let list = if left_out.former_name {
                    "exportActions"
                } else {
                    "actions"
                };
                format!(
                    "query ($org: String!, $after: DateTime!, $start: Int!, $limit: Int!) {{ {ANSWER}: {list}(orgName: $org, \
                     after: $after, start: $start, limit: $limit, onlyOptIn: false{testing})"
                )
            }
            Self::Contacts => format!(
                "query ($org: String!, $after: DateTime!, $start: Int!, $email: String!) {{ {ANSWER}: contacts(orgName: $org, \
                 after: $after, start: $start, email: $email, onlyOptIn: false{testing})"
            ),
            Self::Org => format!("query ($org: String!) {{ {ANSWER}: org(name: $org)"),
            Self::Campaign => format!("query ($id: Int!) {{ {ANSWER}: campaign(id: $id)"),
        };
        write_fields(self.of(), self.fields(), left_out, &mut text);
        text.push_str(" }");
        text
    }
}

fn write_fields(on: &str, fields: &[Field], left_out: &LeftOut, text: &mut String) {
    text.push_str(" {");
    for field in fields.iter().filter(|field| left_out.leaves(on, field)) {
        // Writing into a String cannot fail.
        write!(text, " {}", field.name).ok();
        if !field.of.is_empty() {
            write_fields(field.of, field.fields, left_out, text);
        }
    }
    text.push_str(" }");
}

/// Fields and arguments that the server does not know; they are left out.
#[derive(Debug, Clone, Default)]
pub(super) struct LeftOut {
    /// Type and field.
    fields: BTreeSet<(String, String)>,
    arguments: BTreeSet<String>,
    /// The list still has its old name `exportActions`.
    former_name: bool,
}

impl LeftOut {
    fn leaves(&self, on: &str, field: &Field) -> bool {
        let is_out = self.fields.contains(&(on.to_owned(), field.name.to_owned()));
        let is_empty = !field.of.is_empty() && !field.fields.iter().any(|inner| self.leaves(field.of, inner));
        !is_out && !is_empty
    }

    fn has_argument(&self, name: &str) -> bool {
        self.arguments.contains(name)
    }

    /// Leaves out the field or argument that this message of the server rejects. `false` if the message
    /// rejects nothing that can be left out.
    pub(super) fn learn(&mut self, query: Query, message: &str) -> bool {
        // Some servers use the other quotation marks.
        let mut quoted = message.split(['"', '\'']).skip(1).step_by(2);
        match (quoted.next(), quoted.next()) {
            (Some("actions"), Some(_)) if message.starts_with("Cannot query field") => {
                !std::mem::replace(&mut self.former_name, true)
            }
            (Some(name), Some(on)) if message.starts_with("Cannot query field") => {
                can_be_left_out(query.of(), query.fields(), on, name)
                    && self.fields.insert((on.to_owned(), name.to_owned()))
            }
            (Some(name @ "includeTesting"), _) if message.starts_with("Unknown argument") => {
                self.arguments.insert(name.to_owned())
            }
            _ => false,
        }
    }
}

/// Whether the tree has such a field, and leaving it out removes no needed field.
fn can_be_left_out(on: &str, fields: &[Field], wanted_on: &str, wanted: &str) -> bool {
    fields.iter().any(|field| {
        (on == wanted_on && field.name == wanted && !field.is_needed)
            || can_be_left_out(field.of, field.fields, wanted_on, wanted)
    })
}

/// All rejections of fields that can be left out, in a server's words.
#[cfg(test)]
pub(super) fn refusals() -> Vec<(Query, String)> {
    fn walk(query: Query, on: &str, fields: &[Field], all: &mut Vec<(Query, String)>) {
        for field in fields {
            if !field.is_needed {
                let message = format!("Cannot query field \"{}\" on type \"{on}\".", field.name);
                all.push((query, message));
            }
            walk(query, field.of, field.fields, all);
        }
    }
    let mut all = Vec::new();
    for query in Query::ALL {
        walk(query, query.of(), query.fields(), &mut all);
    }
    let former = "Cannot query field \"actions\" on type \"RootQueryType\".";
    let testing = "Unknown argument \"includeTesting\" on field \"actions\" of type \"RootQueryType\".";
    all.push((Query::Actions, former.to_owned()));
    all.push((Query::Actions, testing.to_owned()));
    all
}

/// The words of our own queries: the only words of a server's message that are surely no personal data.
pub(super) fn is_our_word(word: &str) -> bool {
    fn within(fields: &[Field], word: &str) -> bool {
        fields
            .iter()
            .any(|field| field.name == word || field.of == word || within(field.fields, word))
    }
    const OTHERS: [&str; 22] = [
        "actions",
        "exportActions",
        "contacts",
        "org",
        "orgName",
        "name",
        "after",
        "start",
        "limit",
        "email",
        "onlyOptIn",
        "includeTesting",
        "Action",
        "PrivateOrg",
        "RootQueryType",
        "RootQuery",
        "Query",
        "String",
        "String!",
        "Int",
        "Boolean",
        "DateTime",
    ];
    OTHERS.contains(&word)
        || [ACTION, STATUS, ORG, CAMPAIGN]
            .into_iter()
            .any(|fields| within(fields, word))
}

/// The request's body.
pub(super) fn body(text: &str, variables: &Value) -> String {
    json!({ "query": text, "variables": variables }).to_string()
}
