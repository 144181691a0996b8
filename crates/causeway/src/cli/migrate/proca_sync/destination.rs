//! Writes the destination with its fields and settings.

use std::fmt::Write as _;

use causeway_connect::destination::{Kind, kind};
use causeway_core::mapping::Tables;

use super::{Work, quoted};
use crate::cli::migrate::{
    connectors::{Closest, Connector, CrmType},
    field_map,
    native::{Key, Native, Value},
};

/// Keys of a field map: name at the destination = Proca's field.
const FIELD_MAPS: [&str; 4] = [
    "CONTACT_ATTRIBUTES",
    "MERGE_FIELDS",
    "CONTACT_PROPERTIES",
    "CUSTOM_FIELDS",
];
/// Keys with the number or name of a list, group or form, and the name of the setting.
const SETTINGS: [(&str, &str); 12] = [
    ("LIST", "list"),
    ("LIST_ID", "list"),
    ("CRM_LIST_ID", "listid"),
    ("CRM_TAG_IDS", "tagids"),
    ("GROUP", "group"),
    ("INTEREST", "interest"),
    ("CRM_FORM", "form"),
    ("CRM_TEST_FORM", "test_form"),
    ("SUPPORTER_TYPE", "supporter_type"),
    ("CAMPAIGN_RECORD_TYPE", "campaign_record_type"),
    ("promocode", "promo_code"),
    ("promocodephone", "promo_code_phone"),
];
/// Keys with the name of a field at the destination, and the path of its value.
const NAMED_FIELDS: [(&str, &str); 8] = [
    ("FIELD_LANGUAGE", "page.locale"),
    ("CRM_DATA_SOURCE", "=proca"),
    ("CRM_ACTION_ID_FIELD", "action.id"),
    ("CRM_REF_FIELD", "contact.contactRef"),
    ("CRM_ZIP_FIELD", "contact.postcode"),
    ("OPTIN", "consent.email.subscribed"),
    ("FIELD_OPTIN", "consent.email.subscribed"),
    ("DOUBLE_OPTIN", "consent.email.state"),
];
/// The columns of the connector `csv`, in its order.
const CSV_COLUMNS: [(&str, &str); 20] = [
    ("email", "contact.email"),
    ("firstname", "contact.firstName"),
    ("lastname", "contact.lastName"),
    ("country", "contact.country"),
    ("postcode", "contact.postcode"),
    ("locality", "contact.locality"),
    ("phone", "contact.phone"),
    ("id", "action.id"),
    ("actiontype", "action.type"),
    ("date", "action.createdAt"),
    (
        "gdpr",
        "{% if consent.email.state == 'double_opted_in' %}doi{% elif consent.email.subscribed %}optin{% elif consent.email.state \
         == 'unknown' %}unknown{% else %}optout{% endif %}",
    ),
    ("provider", "action.fields.emailProvider | default(none)"),
    ("campaign", "campaign.name"),
    ("widget", "page.name"),
    ("organisation", "organisation.name"),
    ("lang", "page.locale"),
    ("utm_campaign", "tracking.campaign"),
    ("utm_medium", "tracking.medium"),
    ("utm_source", "tracking.source"),
    ("location", "tracking.location"),
];

impl Work<'_> {
    pub(super) fn destination(&mut self, connector: Option<&Connector>, crm_type: CrmType) -> String {
        let closest = connector.map_or(Closest::Bridge, |connector| connector.closest);
        let mut out = String::from("[destination.crm]\n");
        match closest {
            Closest::Csv | Closest::Jsonl => self.file(closest, &mut out),
            Closest::Sql => self.sql(&mut out),
            Closest::Native(native) => self.native(native, &mut out),
            Closest::Sample(_) | Closest::Bridge => self.webhook(closest, &mut out),
        }
        writeln!(
            out,
            "consent = {:<26} # the people that are sent: all, with_consent, opt_in, double_opt_in",
            quoted(crm_type.of_destination())
        )
        .ok();
        if crm_type.forms_only() {
            out.push_str(
                "forms_only = true                     # no shares and other actions without the form\n",
            );
        }
        self.double_opt_in(crm_type);
        self.concurrency(closest, &mut out);
        let mut fields = if closest == Closest::Csv {
            self.csv_columns()
        } else {
            Vec::new()
        };
        self.fields(&mut fields);
        if let Closest::Native(native) = closest
            && !fields.is_empty()
        {
            fields.retain(|field| {
                let refusal = refusal(native, field);
                if let Some(why) = &refusal {
                    self.to_do.push(format!(
                        "{} is left out of `fields`, where {} was to go: {why}",
                        field.0, field.1
                    ));
                }
                refusal.is_none()
            });
            // With fields of one's own the default mapping does not apply.
            fields = with_defaults(native, fields);
        }
        if closest == Closest::Sql {
            self.only_columns(&mut fields);
        }
        let settings = self.settings();
        self.use_of(&settings, closest, &mut fields);
        if !fields.is_empty() {
            let table = match closest {
                Closest::Sql => "[destination.crm.contacts.columns]",
                _ => "[destination.crm.fields]",
            };
            writeln!(out, "\n{table}").ok();
            let fields = match closest {
                // Its requests always name the person, and what becomes of their consent.
                Closest::Native(_) => fields,
                _ => complete(fields),
            };
            for (name, path) in fields {
                writeln!(out, "{} = {}", quoted(&name), quoted(&path)).ok();
            }
        }
        if !settings.is_empty() {
            out.push_str("\n# For mappings: settings.NAME. A campaign's own `component.sync` overrides these.\n[destination.crm.settings]\n");
            for (_, name, value) in settings {
                writeln!(out, "{name} = {}", quoted(&value)).ok();
            }
        }
        out
    }

    fn file(&mut self, closest: Closest, out: &mut String) {
        let (format, default) = match closest {
            Closest::Csv => ("csv", "supporters.csv"),
            _ => ("jsonl", "actions.jsonl"),
        };
        let is_path = |path: &&str| {
            !path.contains(['{', '}']) && !path.ends_with('/') && !path.contains(char::is_control)
        };
        let path = self
            .get("CSV_PATH")
            .filter(is_path)
            .filter(|_| closest == Closest::Csv);
        match path {
            Some(_) => self.fate("CSV_PATH", "path of [destination.crm]"),
            None => self.by_hand("CSV_PATH", "not a valid path: enter one by hand"),
        }
        writeln!(
            out,
            "kind = \"file\"\npath = {}\nformat = {}",
            quoted(path.unwrap_or(default)),
            quoted(format)
        )
        .ok();
    }

    fn sql(&mut self, out: &mut String) {
        self.export(
            "CRM_DATABASE_URL",
            "postgres://USER:PASSWORD@HOST:5432/DATABASE: the database itself, not the URL of its API",
        );
        out.push_str(
            "kind = \"sql\"\nurl = { env = \"CRM_DATABASE_URL\" }\ncontacts.table = \"contacts\"\nactions.table = \"actions\"\n",
        );
        self.to_do
            .push("check the tables: `causeway destination create crm` creates the missing ones".to_owned());
    }

    fn webhook(&mut self, closest: Closest, out: &mut String) {
        let address = match closest {
            Closest::Sample(_) => "the URL that proca-sync posted to",
            _ => "the URL of your bridge, which accepts JSON and writes to the CRM",
        };
        // A variable of proca-sync is used by its name, so that its value stays out of the file.
        let known = ["CRM_URL", "GPDEDATAHUB_URL", "DATAHUB_URL"];
        let key = known
            .into_iter()
            .find(|key| closest != Closest::Bridge && self.get(key).is_some());
        let name = key.unwrap_or("CRM_WEBHOOK_URL");
        self.fate(name, "url of [destination.crm], unchanged");
        self.export(name, address);
        writeln!(out, "kind = \"webhook\"\nurl = {{ env = {} }}", quoted(name)).ok();
        out.push_str("# auth = { bearer = { env = \"CRM_WEBHOOK_TOKEN\" } }   # or basic = { user = \"…\", password = { env = \"…\" } }\n");
        if let Closest::Sample(name) = closest {
            self.to_do.push(format!(
                "samples/rest/{name}.toml of Causeway has a section for this API: use it in the place of [destination.crm]"
            ));
        }
        if closest == Closest::Bridge {
            self.to_do.push(
                "there is no connector for this CRM yet: records go as JSON to CRM_WEBHOOK_URL, where your bridge writes them"
                    .to_owned(),
            );
        }
    }

    /// The keys of a kind, from the variables of the connector.
    fn native(&mut self, native: &'static Native, out: &mut String) {
        writeln!(out, "kind = {}", quoted(native.kind)).ok();
        for key in native.keys {
            if let Some(value) = self.native_value(key) {
                writeln!(out, "{} = {value}", key.to).ok();
            }
        }
        self.to_do
            .extend(native.to_do.iter().map(|what| (*what).to_owned()));
    }

    /// The value of a key, as TOML.
    fn native_value(&mut self, key: &'static Key) -> Option<String> {
        let from = key.from.iter().copied().find(|name| self.get(name).is_some());
        if matches!(key.value, Value::Secret | Value::OptionalSecret) {
            let first = key.from.first().filter(|_| key.value == Value::Secret);
            let name = from.or(first.copied())?;
            self.export(name, key.hint);
            self.fate(name, format!("{} of [destination.crm], unchanged", key.to));
            return Some(format!("{{ env = {} }}", quoted(name)));
        }
        let text = from.and_then(|name| self.get(name)).map(str::trim);
        let value = text.and_then(|text| literal(&key.value, text));
        match (from, &value) {
            (Some(name), Some(_)) => self.fate(name, format!("{} of [destination.crm]", key.to)),
            (Some(name), None) => {
                self.by_hand(
                    name,
                    &format!("set {} of [destination.crm] by hand: {}", key.to, key.hint),
                );
            }
            (None, _) if key.otherwise.is_some() => {
                self.to_do
                    .push(format!("set {} of [destination.crm]: {}", key.to, key.hint));
            }
            (None, _) => {}
        }
        value.or_else(|| key.otherwise.map(str::to_owned))
    }

    fn has_fate(&self, key: &str) -> bool {
        self.fates.iter().any(|(known, _)| known == key)
    }

    fn concurrency(&mut self, closest: Closest, out: &mut String) {
        let Some(text) = self.get("concurrency") else {
            self.fate("concurrency", "empty");
            return;
        };
        let is_file = matches!(closest, Closest::Csv | Closest::Jsonl);
        match text.parse::<u32>() {
            Ok(_) if is_file => self.fate("concurrency", "left out: a file has one writer"),
            Ok(number @ 1..=10_000) => {
                self.fate("concurrency", "concurrency of [destination.crm]");
                writeln!(out, "concurrency = {number}").ok();
            }
            _ => self.fate("concurrency", "not a number from 1 to 10000: the default is used"),
        }
    }

    /// Explains `DOUBLE_OPT_IN`. It had no effect in proca-sync; `CRM_TYPE` decided.
    fn double_opt_in(&mut self, crm_type: CrmType) {
        if crm_type == CrmType::DoubleOptIn {
            self.fate("DOUBLE_OPT_IN", "as `consent` of [destination.crm]");
        } else {
            self.by_hand(
                "DOUBLE_OPT_IN",
                "had no effect in proca-sync: everybody who opted in was sent. To send only people who confirmed by mail, set consent = \
                 \"double_opt_in\" in both tables by hand",
            );
        }
    }

    /// The fixed columns of the file, and those that campaigns' settings filled.
    fn csv_columns(&mut self) -> Vec<(String, String)> {
        let columns = CSV_COLUMNS.iter();
        let mut columns: Vec<(String, String)> = columns
            .map(|(name, path)| ((*name).to_owned(), (*path).to_owned()))
            .collect();
        // In proca-sync, the names on the left are the columns, and the campaign's `component.sync` has their values.
        let Some(extra) = self.get("MERGE_FIELDS") else {
            return columns;
        };
        let names = url::form_urlencoded::parse(extra.as_bytes()).map(|(name, _)| name.trim().to_owned());
        let (good, odd): (Vec<String>, Vec<String>) =
            names.partition(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
        if odd.is_empty() && good.iter().all(|name| !name.is_empty()) {
            self.fate(
                "MERGE_FIELDS",
                "columns of [destination.crm], filled from `settings` (the campaign's `component.sync`)",
            );
        } else {
            self.by_hand(
                "MERGE_FIELDS",
                "has an invalid name for a column: add it to `fields` by hand",
            );
        }
        for name in good.into_iter().filter(|name| !name.is_empty()) {
            let path = format!("settings['{name}'] | default(none)");
            put(&mut columns, (name, path));
        }
        columns
    }

    fn fields(&mut self, fields: &mut Vec<(String, String)>) {
        for key in FIELD_MAPS {
            if self.has_fate(key) {
                continue;
            }
            let Some(text) = self.get(key) else {
                self.fate(key, "empty");
                continue;
            };
            let Some(map) = field_map::read(text) else {
                self.by_hand(
                    key,
                    "not a map of names such as {\"FNAME\": \"firstName\"}: add its fields to `fields` by hand",
                );
                continue;
            };
            let mut note = format!("{} name(s) in the fields of [destination.crm]", map.fields.len());
            if !map.unknown.is_empty() {
                write!(
                    note,
                    "; {} more could not be matched with a field of Proca's",
                    map.unknown.len()
                )
                .ok();
                let names: Vec<&str> = map
                    .unknown
                    .iter()
                    .map(|name| {
                        if field_map::is_name(name) {
                            name.as_str()
                        } else {
                            "an invalid name"
                        }
                    })
                    .collect();
                self.to_do.push(format!(
                    "{key}: set the values of these fields by hand: {}",
                    names.join(", ")
                ));
            }
            self.fate(key, note);
            for field in map.fields {
                put(fields, field);
            }
        }
        for (key, path) in NAMED_FIELDS {
            if self.has_fate(key) {
                continue;
            }
            match self.get(key) {
                Some(name) if field_map::is_name(name) => {
                    self.fate(key, "a name in the fields of [destination.crm]");
                    put(fields, (name.to_owned(), path.to_owned()));
                }
                Some(_) => self.by_hand(key, "not a name: add it to `fields` by hand"),
                None => self.fate(key, "empty"),
            }
        }
    }

    /// Keeps names that can be columns; `email` identifies the rows.
    fn only_columns(&mut self, fields: &mut Vec<(String, String)>) {
        fields.retain(|(name, path)| {
            let is_column = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            let is_good = is_column && (name != "email" || path == "contact.email");
            if !is_good {
                self.to_do
                    .push(format!("{name:?} is not a valid column: choose one for {path}"));
            }
            is_good
        });
        if !fields.iter().any(|(name, _)| name == "email") {
            fields.insert(0, ("email".to_owned(), "contact.email".to_owned()));
        }
    }

    /// (Key of proca-sync, name of the setting, value)
    fn settings(&mut self) -> Vec<(&'static str, &'static str, String)> {
        let mut settings: Vec<(&'static str, &'static str, String)> = Vec::new();
        for (key, name) in SETTINGS {
            if self.has_fate(key) {
                continue;
            }
            match self.get(key) {
                Some(value)
                    if (field_map::is_name(value) || (key == "CRM_TAG_IDS" && is_numbers(value)))
                        && !settings.iter().any(|(_, known, _)| *known == name) =>
                {
                    settings.push((key, name, value.to_owned()));
                }
                Some(_) => self.by_hand(
                    key,
                    &format!("set settings.{name} of [destination.crm] by hand, and add it to `fields`"),
                ),
                None => self.fate(key, "empty"),
            }
        }
        settings
    }

    /// A setting is sent only if a field asks for it.
    fn use_of(
        &mut self,
        settings: &[(&'static str, &'static str, String)],
        closest: Closest,
        fields: &mut Vec<(String, String)>,
    ) {
        let is_mapped = !fields.is_empty();
        for (key, name, _) in settings {
            let note = format!("settings.{name} of [destination.crm]");
            if let Closest::Native(native) = closest {
                let kind = native.kind;
                let how = format!("{note}; nothing sends it: see {kind} in docs/connectors.md");
                self.by_hand(key, &how);
            } else if closest == Closest::Sql {
                // A column that the table lacks would stop every delivery.
                let how = format!("{note}; no column has it: choose a column for settings.{name} by hand");
                self.by_hand(key, &how);
            } else if is_mapped {
                let field = free(name, fields);
                self.fate(key, format!("{note}, and sent as {field}"));
                fields.push((field, format!("settings.{name}")));
            } else {
                // With `fields` the record is no longer sent whole.
                let how = format!(
                    "{note}; the record that is sent does not contain it: add {name} = \"settings.{name}\" to `fields` by hand, and all other fields to send"
                );
                self.by_hand(key, &how);
            }
        }
    }

    /// Adds the note to the list of all keys and to the list of things to do: few people read the first list.
    fn by_hand(&mut self, key: &str, what: &str) {
        if self.get(key).is_some() {
            self.to_do.push(format!("{key}: {what}"));
        }
        self.fate(key, what);
    }
}

/// The value of a variable as TOML; `None` if it is not what the key takes.
fn literal(value: &Value, text: &str) -> Option<String> {
    match value {
        Value::Secret | Value::OptionalSecret | Value::ByHand => None,
        Value::Host(path) => {
            let url = url::Url::parse(text).ok().filter(|url| url.scheme() == "https")?;
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            Some(quoted(&format!("https://{}{port}{path}", url.host_str()?)))
        }
        Value::Name => field_map::is_name(text).then(|| quoted(text)),
        Value::OneOfList => field_map::is_name(text).then(|| format!("[{}]", quoted(text))),
        Value::Number => text.parse::<u64>().ok().map(|number| number.to_string()),
        Value::Numbers => {
            let numbers: Result<Vec<u64>, _> = text.split(',').map(|number| number.trim().parse()).collect();
            numbers.ok().map(|numbers| format!("{numbers:?}"))
        }
    }
}

/// The kind's own keys in its sample.
fn sample(native: &Native) -> Option<(&'static Kind, toml::Table)> {
    let kind = kind(native.kind)?;
    let sample: toml::Table = toml::from_str(kind.sample).ok()?;
    let mut own = sample
        .get("destination")?
        .as_table()?
        .values()
        .next()?
        .as_table()?
        .clone();
    own.remove("kind");
    Some((kind, own))
}

/// The fields of the kind's sample, and these.
fn with_defaults(native: &Native, fields: Vec<(String, String)>) -> Vec<(String, String)> {
    let sample = sample(native);
    let defaults = sample.as_ref().and_then(|(_, own)| own.get("fields")?.as_table());
    let mut all = fields;
    for (name, path) in defaults.into_iter().flatten() {
        let is_mapped =
            |(known, source): &(String, String)| known == name || Some(source.as_str()) == path.as_str();
        if !all.iter().any(is_mapped) {
            all.extend(path.as_str().map(|path| (name.clone(), path.to_owned())));
        }
    }
    all
}

/// Why the kind does not take this field.
fn refusal(native: &Native, (name, path): &(String, String)) -> Option<String> {
    let (kind, mut own) = sample(native)?;
    let field = toml::Table::from_iter([(name.clone(), path.as_str().into())]);
    own.insert("fields".to_owned(), field.into());
    let error = (kind.parse)(&Tables::default(), &own).err()?;
    Some(error.to_string())
}

/// Adds the address, and the consent: without it an opt-out would look like an opt-in.
fn complete(fields: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (name, path, root) in [
        ("email", "contact.email", "contact.email"),
        ("subscribed", "consent.email.subscribed", "consent."),
    ] {
        if fields.iter().any(|(_, path)| path.contains(root)) {
            continue;
        }
        all.push((free(name, &fields), path.to_owned()));
    }
    all.extend(fields);
    all
}

/// Whether the text is a list of numbers such as `7,9`: the connector accepted several tags.
fn is_numbers(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_digit() || c == ',' || c == ' ')
}

/// A name that no other field has.
fn free(name: &str, fields: &[(String, String)]) -> String {
    let mut free = name.to_owned();
    while fields.iter().any(|(taken, _)| *taken == free) {
        free.push('_');
    }
    free
}

fn put(fields: &mut Vec<(String, String)>, field: (String, String)) {
    if !fields.iter().any(|(name, _)| *name == field.0) {
        fields.push(field);
    }
}
