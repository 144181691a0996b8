//! Proves the session, the version, the fields and the rights without changing anything.

use serde_json::Value;

use super::{
    Salesforce,
    config::{Bounce, Object},
    consent::{BOUNCE_DATE, BOUNCE_REASON, OPTED_OUT},
    request::{get, url},
};
use crate::{
    connector::Probe,
    http::{Answer, HttpRequest},
};

/// A field that is written.
struct Wanted {
    name: String,
    /// It has to be "External ID" and "Unique".
    is_key: bool,
    is_date: bool,
    /// It is set once and not changed afterwards.
    is_create_only: bool,
}

impl Wanted {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            is_key: false,
            is_date: false,
            is_create_only: false,
        }
    }

    fn key(name: &str) -> Self {
        Self {
            is_key: true,
            ..Self::new(name)
        }
    }

    fn date(name: &str) -> Self {
        Self {
            is_date: true,
            ..Self::new(name)
        }
    }

    fn create_only(name: &str) -> Self {
        Self {
            is_create_only: true,
            ..Self::new(name)
        }
    }
}

pub(super) fn probes(salesforce: &Salesforce) -> Vec<Probe> {
    let settings = &salesforce.settings;
    let mut probes = vec![version(salesforce)];
    let object = settings.object.as_str();
    probes.push(describe(salesforce, object, person(salesforce)));
    if let Some(campaigns) = &settings.campaigns {
        if campaigns.key != "Id" {
            let mut wanted = vec![Wanted::key(&campaigns.key)];
            if campaigns.create {
                wanted.extend(["Name", "IsActive"].map(Wanted::new));
            }
            probes.push(describe(salesforce, "Campaign", wanted));
        }
        let mut wanted = vec![
            Wanted::create_only("CampaignId"),
            Wanted::create_only(settings.object.member_field()),
        ];
        wanted.extend(campaigns.status.as_ref().map(|_| Wanted::new("Status")));
        probes.push(describe(salesforce, "CampaignMember", wanted));
    }
    if let Some(actions) = &settings.actions {
        let fields = actions.fields.names().map(Wanted::create_only);
        let own = [Wanted::key(&actions.key), Wanted::create_only(&actions.person)];
        let wanted = own.into_iter().chain(fields).collect();
        probes.push(describe(salesforce, &actions.object, wanted));
    }
    probes.push(limits(salesforce));
    probes
}

/// The fields of the person that are written.
fn person(salesforce: &Salesforce) -> Vec<Wanted> {
    let settings = &salesforce.settings;
    let mut wanted = vec![Wanted::key(&settings.key)];
    wanted.extend(["Email", OPTED_OUT].map(Wanted::new));
    if settings.object == Object::Lead {
        wanted.push(Wanted::new("Company"));
    }
    wanted.push(Wanted::new("LastName"));
    if settings.bounce == Bounce::Fields {
        wanted.extend([Wanted::new(BOUNCE_REASON), Wanted::date(BOUNCE_DATE)]);
    }
    wanted.extend(settings.opt_in.iter().map(|name| Wanted::new(name)));
    let dates = settings.opt_in_date.iter().chain(&settings.opt_out_date);
    wanted.extend(dates.map(|name| Wanted::date(name)));
    wanted.extend(settings.fields.names().map(Wanted::new));
    wanted
}

/// A probe that fails with a plain sentence if the session does not suffice.
fn probe(
    request: HttpRequest,
    judge: impl Fn(&Value) -> Result<Vec<String>, String> + Send + Sync + 'static,
    missing: String,
) -> Probe {
    let judge = move |answer: &Answer| match (answer.status, answer.json()) {
        (401, _) => {
            Err("Salesforce does not accept the session: check the app, its user and its policies".to_owned())
        }
        (403, body) => {
            let code = body
                .as_ref()
                .and_then(|body| body.pointer("/0/errorCode")?.as_str());
            Err(match code {
                Some("REQUEST_LIMIT_EXCEEDED") => "the org's calls of the day are used up".to_owned(),
                _ => "the user may not use the API: give it the permission \"API Enabled\"".to_owned(),
            })
        }
        (404, _) => Err(missing.clone()),
        (200, Some(body)) => judge(&body),
        (status, _) => Err(format!("Salesforce answered {status} with something unexpected")),
    };
    Probe {
        request,
        judge: Box::new(judge),
    }
}

fn version(salesforce: &Salesforce) -> Probe {
    let settings = &salesforce.settings;
    let mut request = get(salesforce, &[]);
    request.url = url(&settings.base, &["services", "data"]);
    let version = settings.version.clone();
    let judge = move |body: &Value| {
        let all = body.as_array().into_iter().flatten();
        let all: Vec<&str> = all.filter_map(|one| one.get("version")?.as_str()).collect();
        if all.iter().any(|one| version.strip_prefix('v') == Some(one)) {
            return Ok(Vec::new());
        }
        let newest = all.last().unwrap_or(&"none");
        Err(format!(
            "the org has no API of version {version}; its newest is v{newest}: correct `api_version`"
        ))
    };
    let missing = "there is no Salesforce API: check `base_url`".to_owned();
    probe(request, judge, missing)
}

fn describe(salesforce: &Salesforce, object: &str, wanted: Vec<Wanted>) -> Probe {
    let request = get(salesforce, &["sobjects", object, "describe"]);
    let missing =
        format!("the user sees no object `{object}`: create it, or give the user the right to see it");
    let object = object.to_owned();
    let judge = move |body: &Value| fields(&object, body, &wanted);
    probe(request, judge, missing)
}

/// Whether each field exists, can be written, and is what it has to be.
fn fields(object: &str, body: &Value, wanted: &[Wanted]) -> Result<Vec<String>, String> {
    let all = body
        .get("fields")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let text = |field: &Value, name: &str| {
        field
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let is = |field: &Value, name: &str| field.get(name).and_then(Value::as_bool) == Some(true);
    for one in wanted {
        let name = &one.name;
        let Some(field) = all.iter().find(|field| text(field, "name") == *name) else {
            return Err(format!(
                "the user sees no field `{name}` of {object}: create it, or give the user the right to see it (field-level \
                 security)"
            ));
        };
        if !is(field, "createable") || !(is(field, "updateable") || one.is_create_only) {
            return Err(format!(
                "the user may not write the field `{name}` of {object}: correct field-level security at Salesforce"
            ));
        }
        if one.is_key && !(is(field, "externalId") && is(field, "unique")) {
            return Err(format!(
                "the field `{name}` of {object} must be \"External ID\" and \"Unique\""
            ));
        }
        if one.is_date && text(field, "type") != "datetime" {
            return Err(format!(
                "the field `{name}` of {object} must be of the type Date/Time"
            ));
        }
    }
    let is_required = |field: &&Value| {
        is(field, "createable")
            && field.get("nillable") == Some(&Value::Bool(false))
            && !is(field, "defaultedOnCreate")
    };
    let is_known = |name: &str| wanted.iter().any(|one| one.name == name) || name == "Name";
    let lacking = all.iter().filter(is_required);
    if let Some(name) = lacking
        .map(|field| text(field, "name"))
        .find(|name| !is_known(name))
    {
        return Err(format!(
            "{object} requires the field `{name}`: give it a value in `fields`"
        ));
    }
    let has = |name: &str| all.iter().any(|field| text(field, "name") == name);
    let country = ["MailingCountry", "Country"];
    let country = country
        .iter()
        .find(|name| is_known(name) && has(&format!("{name}Code")));
    Ok(country
        .map(|name| {
            format!(
                "the org has country picklists: `{name}` takes their labels only; to send codes such as BE, use \
                 `{name}Code`"
            )
        })
        .into_iter()
        .collect())
}

fn limits(salesforce: &Salesforce) -> Probe {
    let percent = salesforce.settings.api_usage_percent;
    let judge = move |body: &Value| {
        let number = |name: &str| {
            let calls = body.get("DailyApiRequests")?;
            calls.get(name)?.as_u64()
        };
        let Some((max, remaining)) = number("Max").zip(number("Remaining")) else {
            return Ok(vec!["Salesforce does not show the org's daily calls".to_owned()]);
        };
        let used = max.saturating_sub(remaining);
        let mut remarks = vec![format!("{remaining} of the org's {max} daily calls are left")];
        if used.saturating_mul(100) >= max.saturating_mul(percent) {
            remarks.push(format!(
                "more than {percent} % of the daily calls are used: this destination sends a batch every 5 minutes"
            ));
        }
        Ok(remarks)
    };
    let missing = "there are no limits to read: check `api_version`".to_owned();
    probe(get(salesforce, &["limits"]), judge, missing)
}
