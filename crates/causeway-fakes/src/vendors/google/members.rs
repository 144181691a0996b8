//! What requests about members must look like. One wrong member refuses the whole request.

use std::collections::BTreeSet;

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use serde_json::{Map, Value};

use super::{
    Google, Misuse,
    error::{ApiError, Violation},
};

/// The greatest number of members in a request, of identifiers of a member, and of destinations.
const MOST_MEMBERS: usize = 10_000;
const MOST_IDENTIFIERS: usize = 10;
const MOST_DESTINATIONS: usize = 10;

/// The fields of a member of which one holds the data.
const DATA: [&str; 8] = [
    "user_data",
    "pair_data",
    "mobile_data",
    "user_id_data",
    "ppid_data",
    "composite_data",
    "google_user_id_data",
    "partner_provided_id_data",
];

/// A list that a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub account: String,
    pub list: u64,
    /// As sent, with names in snake case.
    pub(super) shown: Value,
}

/// A member of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// `email:…`, `phone:…` with the hash in hex, or `address:given:family:BE:1060`.
    pub identifiers: BTreeSet<String>,
    /// adUserData and adPersonalization: the member's own, or the request's.
    pub consent: [String; 2],
    /// Only to these destinations, unless empty.
    pub(super) references: BTreeSet<String>,
}

/// A checked request.
pub(super) struct Batch {
    pub targets: Vec<Target>,
    pub members: Vec<Uploaded>,
    pub is_encrypted: bool,
}

/// What is said about a field that is wrong.
type Problems = Vec<Violation>;

fn list<'a>(body: &'a Map<String, Value>, name: &str) -> &'a [Value] {
    body.get(name)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

impl Google {
    /// Checks a request to add or to remove members. `adds`: the terms must be accepted.
    pub(super) fn check_members(
        &mut self,
        principal: &str,
        body: &Map<String, Value>,
        adds: bool,
    ) -> Result<Batch, ApiError> {
        let mut problems = Vec::new();
        let targets = targets(body, &mut problems);
        let sent = list(body, "audience_members");
        match sent.len() {
            0 => problems.push(Violation::new("audience_members", "REQUIRED_FIELD_MISSING")),
            1..=MOST_MEMBERS => {}
            _ => problems.push(Violation::new("audience_members", "TOO_MANY_AUDIENCE_MEMBERS")),
        }
        let kinds: BTreeSet<&str> = sent.iter().filter_map(data_of).collect();
        if kinds.len() > 1 {
            problems.push(Violation::new(
                "audience_members",
                "MULTIPLE_DATA_TYPES_NOT_ALLOWED",
            ));
        }
        let encoding = body.get("encoding").and_then(Value::as_str).unwrap_or_default();
        if kinds.contains("user_data") && !matches!(encoding, "HEX" | "BASE64") {
            problems.push(Violation::new("encoding", "REQUIRED_FIELD_MISSING"));
        }
        let members: Vec<Uploaded> = sent
            .iter()
            .take(MOST_MEMBERS + 1)
            .enumerate()
            .map(|(at, member)| {
                uploaded(
                    body,
                    member,
                    encoding,
                    &format!("audience_members[{at}]"),
                    &mut problems,
                )
            })
            .collect();
        let terms = body
            .get("terms_of_service")
            .map(|terms| text(terms, "customer_match_terms_of_service_status"));
        if adds && terms != Some("ACCEPTED") {
            problems.push(Violation::new(
                "terms_of_service",
                "TERMS_AND_CONDITIONS_NOT_SIGNED",
            ));
        }
        if !problems.is_empty() {
            problems.truncate(self.most_violations);
            return Err(ApiError::invalid(problems));
        }
        for target in &targets {
            self.check_target(principal, target, adds, kinds.first().copied())?;
        }
        let nothing = super::hash("");
        if members
            .iter()
            .flat_map(|member| &member.identifiers)
            .any(|one| one.contains(&nothing))
        {
            self.misuses.push(Misuse::HashOfNothing);
        }
        Ok(Batch {
            targets,
            members,
            is_encrypted: body.contains_key("encryption_info"),
        })
    }

    /// Checks a request to remove everybody.
    pub(super) fn check_remove_all(
        &self,
        principal: &str,
        body: &Map<String, Value>,
    ) -> Result<Vec<Target>, ApiError> {
        let mut problems = Vec::new();
        let targets = targets(body, &mut problems);
        let time = body.get("remove_as_of_time").and_then(Value::as_str);
        if time
            .and_then(|time| time.parse().ok())
            .is_some_and(|at: jiff::Timestamp| at > self.now())
        {
            problems.push(Violation::new("remove_as_of_time", "INVALID_REMOVE_AS_OF_TIME"));
        }
        if !problems.is_empty() {
            return Err(ApiError::invalid(problems));
        }
        for target in &targets {
            self.check_target(principal, target, false, None)?;
        }
        Ok(targets)
    }

    /// Whether the caller may change the list, and the account lets it.
    fn check_target(
        &self,
        principal: &str,
        target: &Target,
        adds: bool,
        data: Option<&str>,
    ) -> Result<(), ApiError> {
        let login = target.shown.get("login_account");
        let login = login.map_or(target.account.as_str(), |login| text(login, "account_id"));
        self.check_access(principal, &target.account, login)?;
        let refuse = |reason: &'static str, at: &str| {
            if self.names_fields {
                let field = format!("destinations[0]{at}");
                return Err(ApiError::invalid(vec![Violation::new(field, reason)]));
            }
            Err(ApiError::new(reason))
        };
        let account = self.accounts.get(&target.account).unwrap();
        if !account.is_allowlisted {
            return refuse("NOT_ALLOWLISTED", ".operating_account");
        }
        if adds && !account.has_terms {
            return refuse("TERMS_AND_CONDITIONS_NOT_SIGNED", ".operating_account");
        }
        if !account.has_eu_declaration {
            return refuse(
                "EU_POLITICAL_ADVERTISING_DECLARATION_REQUIRED",
                ".operating_account",
            );
        }
        let Some(list) = account.lists.get(&target.list) else {
            return refuse("INVALID_USER_LIST_ID", ".product_destination_id");
        };
        // Only lists of contacts are in this fake.
        let fits = data.is_none_or(|data| data == "user_data" && list.key_type() == "CONTACT_ID");
        if !fits {
            return refuse("INVALID_USER_LIST_TYPE", ".product_destination_id");
        }
        if list.fields.get("read_only") == Some(&Value::Bool(true)) {
            return refuse("USER_LIST_MUTATION_NOT_SUPPORTED", ".product_destination_id");
        }
        Ok(())
    }
}

fn targets(body: &Map<String, Value>, problems: &mut Problems) -> Vec<Target> {
    let sent = list(body, "destinations");
    match sent.len() {
        0 => problems.push(Violation::new("destinations", "REQUIRED_FIELD_MISSING")),
        1..=MOST_DESTINATIONS => {}
        _ => problems.push(Violation::new("destinations", "TOO_MANY_DESTINATIONS")),
    }
    let mut references = BTreeSet::new();
    let mut targets = Vec::new();
    for (at, destination) in sent.iter().enumerate() {
        let path = format!("destinations[{at}]");
        let reference = text(destination, "reference");
        if !reference.is_empty() && !references.insert(reference) {
            problems.push(Violation::new(
                format!("{path}.reference"),
                "DUPLICATE_DESTINATION_REFERENCE",
            ));
        }
        let operating = destination.get("operating_account");
        match operating {
            Some(account) => check_account(account, &format!("{path}.operating_account"), problems),
            None => problems.push(Violation::new(
                format!("{path}.operating_account"),
                "REQUIRED_FIELD_MISSING",
            )),
        }
        if let Some(login) = destination.get("login_account") {
            check_account(login, &format!("{path}.login_account"), problems);
        }
        if destination.get("linked_account").is_some() {
            let reason = "LINKED_ACCOUNT_ONLY_ALLOWED_WITH_DATA_PARTNER_LOGIN_ACCOUNT";
            problems.push(Violation::new(format!("{path}.linked_account"), reason));
        }
        let id = format!("{path}.product_destination_id");
        let list = match text(destination, "product_destination_id") {
            "" => {
                problems.push(Violation::new(id, "REQUIRED_FIELD_MISSING"));
                continue;
            }
            text => text.parse(),
        };
        match list {
            Ok(list) => targets.push(Target {
                account: operating
                    .map(|account| text(account, "account_id"))
                    .unwrap_or_default()
                    .to_owned(),
                list,
                shown: destination.clone(),
            }),
            Err(_) => problems.push(Violation::new(id, "INVALID_USER_LIST_ID")),
        }
    }
    targets
}

fn check_account(account: &Value, path: &str, problems: &mut Problems) {
    let (kind, product, id) = (
        text(account, "account_type"),
        text(account, "product"),
        text(account, "account_id"),
    );
    if kind.is_empty() && product.is_empty() {
        problems.push(Violation::new(
            format!("{path}.account_type"),
            "REQUIRED_FIELD_MISSING",
        ));
    } else if !kind.is_empty() && !product.is_empty() && kind != product {
        problems.push(Violation::new(format!("{path}.product"), "INVALID_ARGUMENT"));
    } else if [kind, product].iter().all(|name| *name != "GOOGLE_ADS") {
        problems.push(Violation::new(
            format!("{path}.account_type"),
            "DESTINATION_ACCOUNT_TYPE_MISMATCH",
        ));
    }
    if id.is_empty() {
        problems.push(Violation::new(
            format!("{path}.account_id"),
            "REQUIRED_FIELD_MISSING",
        ));
    } else if !id.bytes().all(|byte| byte.is_ascii_digit()) {
        problems.push(Violation::new(
            format!("{path}.account_id"),
            "INVALID_NUMBER_FORMAT",
        ));
    }
}

fn data_of(member: &Value) -> Option<&'static str> {
    DATA.into_iter().find(|name| member.get(name).is_some())
}

fn uploaded(
    body: &Map<String, Value>,
    member: &Value,
    encoding: &str,
    path: &str,
    problems: &mut Problems,
) -> Uploaded {
    let mut identifiers = BTreeSet::new();
    match (data_of(member), member.get("user_data")) {
        (None, _) => problems.push(Violation::new(path, "INVALID_AUDIENCE_MEMBER")),
        (Some(_), Some(data)) => {
            let sent = data.get("user_identifiers").and_then(Value::as_array);
            let sent = sent.map_or(&[][..], Vec::as_slice);
            let at = format!("{path}.user_data.user_identifiers");
            match sent.len() {
                0 => problems.push(Violation::new(&at, "NO_IDENTIFIERS_PROVIDED")),
                1..=MOST_IDENTIFIERS => {}
                _ => problems.push(Violation::new(&at, "TOO_MANY_USER_IDENTIFIERS")),
            }
            for (number, one) in sent.iter().enumerate() {
                identifiers.extend(identifier(one, encoding, &format!("{at}[{number}]"), problems));
            }
        }
        (Some(_), None) => {}
    }
    let consent = ["ad_user_data", "ad_personalization"].map(|name| {
        let own = member
            .get("consent")
            .map(|consent| text(consent, name))
            .filter(|text| !text.is_empty());
        let general = body.get("consent").map(|consent| text(consent, name));
        own.or(general).unwrap_or_default().to_owned()
    });
    let references = member.get("destination_references").and_then(Value::as_array);
    let references = references.into_iter().flatten().filter_map(Value::as_str);
    Uploaded {
        identifiers,
        consent,
        references: references.map(str::to_owned).collect(),
    }
}

fn identifier(one: &Value, encoding: &str, path: &str, problems: &mut Problems) -> Option<String> {
    for (name, short) in [("email_address", "email"), ("phone_number", "phone")] {
        if let Some(value) = one.get(name) {
            let hash = hash_of(value, encoding, &format!("{path}.{name}"), problems)?;
            return Some(format!("{short}:{hash}"));
        }
    }
    let Some(address) = one.get("address") else {
        problems.push(Violation::new(path, "REQUIRED_FIELD_MISSING"));
        return None;
    };
    let mut parts = vec!["address".to_owned()];
    for name in ["given_name", "family_name", "region_code", "postal_code"] {
        let at = format!("{path}.address.{name}");
        let value = text(address, name);
        if value.is_empty() {
            problems.push(Violation::new(at, "REQUIRED_FIELD_MISSING"));
            return None;
        }
        match name {
            "given_name" | "family_name" => parts.push(hash_of(&value.into(), encoding, &at, problems)?),
            "region_code" if value.len() != 2 || !value.bytes().all(|byte| byte.is_ascii_uppercase()) => {
                problems.push(Violation::new(at, "INVALID_REGION_CODE"));
                return None;
            }
            "postal_code" if value.len() > 20 || value.trim() != value => {
                problems.push(Violation::new(at, "INVALID_POSTAL_CODE"));
                return None;
            }
            _ => parts.push(value.to_owned()),
        }
    }
    Some(parts.join(":"))
}

/// The hash in hex.
fn hash_of(value: &Value, encoding: &str, path: &str, problems: &mut Problems) -> Option<String> {
    let value = value.as_str().unwrap_or_default();
    let (decoded, reason) = match encoding {
        "BASE64" => (BASE64.decode(value.as_bytes()), "INVALID_BASE64_ENCODING"),
        _ => (
            HEXLOWER_PERMISSIVE.decode(value.as_bytes()),
            "INVALID_HEX_ENCODING",
        ),
    };
    match decoded {
        Ok(bytes) if bytes.len() == 32 => Some(HEXLOWER.encode(&bytes)),
        Ok(_) => {
            problems.push(Violation::new(path, "INVALID_SHA256_FORMAT"));
            None
        }
        Err(_) => {
            problems.push(Violation::new(path, reason));
            None
        }
    }
}
