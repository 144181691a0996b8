//! What a shortcode can name: the contact's fields, their labels and numbers, and the names that everybody
//! has.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::Value;

use super::Rules;
use crate::{
    contact::{Identity, LIST_FIELD_IDS, is_internal},
    decode::names::canonical,
    lead::Owner,
    nearest::did_you_mean,
    record::Record,
};

/// The names that are valid for one record.
pub struct Names<'a> {
    pub(super) rules: &'a Rules,
    record: &'a Record,
    /// Folded name or label of a field → our name of the field.
    fields: BTreeMap<String, &'a str>,
    /// Number at the platform → our name of the field.
    numbers: BTreeMap<Cow<'a, str>, &'a str>,
}

/// The result of looking up a name.
pub(super) enum Found<'a> {
    Value(&'a Value),
    Text(String),
    /// The name is known, but the contact has no value.
    Nothing,
}

impl Found<'_> {
    /// `None` if there is no value.
    pub fn text(&self) -> Option<String> {
        let text = match self {
            Self::Value(value) => text(value),
            Self::Text(text) => text.clone(),
            Self::Nothing => return None,
        };
        (!text.trim().is_empty()).then_some(text)
    }

    fn of(text: Option<&str>) -> Self {
        text.map_or(Self::Nothing, |text| Self::Text(text.to_owned()))
    }
}

/// Our names of the fields that everybody may have.
const PERSON: [&str; 9] = [
    "firstName",
    "lastName",
    "phone",
    "country",
    "postcode",
    "locality",
    "street",
    "birthDate",
    "profile_url",
];

/// The usual spellings of the names in [`Names::system`], for hints.
const SYSTEM: [&str; 18] = [
    "EMAIL",
    "NAME",
    "ID",
    "CONTACT REF",
    "TAGS",
    "LISTS",
    "LEAD SCORE",
    "LEAD STATUS",
    "ACTION TYPE",
    "ACTION ID",
    "ACTION DATE",
    "CAMPAIGN",
    "CAMPAIGN TITLE",
    "CAMPAIGN ID",
    "PAGE",
    "LOCALE",
    "SOURCE",
    "EVENT",
];

impl<'a> Names<'a> {
    pub fn new(record: &'a Record, rules: &'a Rules) -> Self {
        let mut names = Self {
            rules,
            record,
            fields: BTreeMap::new(),
            numbers: BTreeMap::new(),
        };
        for (ours, number) in &rules.field_ids {
            names.numbers.entry(number.into()).or_insert(ours);
            names.fields.entry(fold(ours)).or_insert(ours);
        }
        for name in record.contact.fields.keys().filter(|name| !is_internal(name)) {
            names.fields.entry(fold(name)).or_insert(name);
        }
        for (label, number) in list_fields(record) {
            names.numbers.entry(text(number).into()).or_insert(label);
            // The platform has this field, although this contact has no value in it.
            names.fields.entry(fold(label)).or_insert(label);
        }
        names
    }

    /// The value of a reserved name. If the contact has no address, a field with that name may hold one.
    pub(super) fn reserved(&self, name: &str) -> Option<Found<'_>> {
        let is_address = matches!(name, "email" | "emailaddress");
        self.system(name)
            .filter(|found| !is_address || found.text().is_some())
    }

    /// Looks up a name. `None` if it is unknown.
    pub(super) fn find(&self, name: &str) -> Option<Found<'_>> {
        if let Some(own) = self.own(name) {
            return Some(own);
        }
        if let Some(field) = self.record.contact.fields.get(name)
            && !is_internal(name)
        {
            return Some(Found::Value(&field.value));
        }
        let folded = fold(name);
        if let Some(ours) = self.fields.get(&folded) {
            return Some(self.field(ours));
        }
        let ours = canonical(name).or_else(|| PERSON.into_iter().find(|known| fold(known) == folded));
        if let Some(ours) = ours {
            return Some(self.field(ours));
        }
        self.system(&folded)
            .or_else(|| self.numbered(&folded))
            .or_else(|| self.of_the_action(&folded))
    }

    /// The contact's own address and other personal fields. They win over list fields of the same name,
    /// because consent was given for these.
    fn own(&self, name: &str) -> Option<Found<'_>> {
        let folded = fold(name);
        match folded.as_str() {
            "email" | "emailaddress" => return self.record.email().map(|email| Found::of(Some(email))),
            // While the hub's points count, fields with these names hold the platform's, so they are ignored.
            "leadscore" | "leadstatus" if self.record.lead.owner == Owner::Hub => {
                return self.system(&folded);
            }
            _ => {}
        }
        let ours = PERSON.into_iter().find(|known| fold(known) == folded)?;
        let field = self.record.contact.fields.get(ours)?;
        Some(Found::Value(&field.value)).filter(|found| found.text().is_some())
    }

    /// A hint about a shortcode with an unknown name.
    pub(super) fn hint(&self, head: &str) -> String {
        let fields = self.record.contact.fields.keys();
        let known = fields
            .filter(|name| !is_internal(name))
            .map(String::as_str)
            .chain(self.fields.values().copied())
            .chain(PERSON)
            .chain(SYSTEM);
        let known: Vec<&str> = known.collect();
        // Functions may precede the name.
        let mut rest = head;
        loop {
            if let Some(hint) = did_you_mean(rest, known.iter().copied()) {
                return hint;
            }
            match rest.split_once(char::is_whitespace) {
                Some((_, after)) => rest = after.trim_start(),
                None => return "with /TEXT after the name, TEXT is used instead".to_owned(),
            }
        }
    }

    fn field(&self, ours: &str) -> Found<'_> {
        let field = self.record.contact.fields.get(ours);
        field.map_or(Found::Nothing, |field| Found::Value(&field.value))
    }

    fn numbered(&self, folded: &str) -> Option<Found<'_>> {
        let number = folded.strip_prefix("field").unwrap_or(folded);
        self.numbers.get(number).map(|ours| self.field(ours))
    }

    fn of_the_action(&self, folded: &str) -> Option<Found<'_>> {
        let fields = &self.record.action.as_ref()?.custom_fields;
        let (_, value) = fields.iter().find(|(name, _)| fold(name) == folded)?;
        Some(Found::Value(value))
    }

    fn system(&self, folded: &str) -> Option<Found<'_>> {
        let record = self.record;
        let (action, campaign, page) = (&record.action, &record.campaign, &record.page);
        Some(match folded {
            "email" | "emailaddress" => Found::of(record.email()),
            "id" | "contactid" => Found::of(contact_id(record).as_deref()),
            "name" | "fullname" => {
                let both =
                    ["firstName", "lastName"].map(|name| record.contact.text(name).unwrap_or_default());
                Found::Text(both.join(" ").trim().to_owned())
            }
            "contactref" => Found::of(record.identities.iter().find_map(|identity| match identity {
                Identity::ContactRef { reference, .. } => Some(reference.as_str()),
                _ => None,
            })),
            "tags" => Found::Text(record.contact.tags().collect::<Vec<_>>().join(",")),
            "lists" => Found::Text(record.contact.lists().collect::<Vec<_>>().join(",")),
            "leadscore" => record.lead.score.as_ref().map_or(Found::Nothing, Found::Value),
            "leadstatus" => Found::of(record.lead.status.as_deref()),
            "source" => Found::of(Some(&record.source)),
            "change" => Found::of(Some(record.change.as_str())),
            "type" => Found::of(Some(record.kind.as_str())),
            "event" => Found::of(Some(&record.event)),
            "actiontype" => Found::of(action.as_ref().map(|action| action.action_type.as_str())),
            "actionid" => Found::of(action.as_ref().map(|action| action.external_id.as_str())),
            "actiondate" => Found::of(
                action
                    .as_ref()
                    .map(|action| action.created_at.to_string())
                    .as_deref(),
            ),
            "campaign" | "campaignname" => {
                Found::of(campaign.as_ref().map(|campaign| campaign.name.as_str()))
            }
            "campaignid" => Found::of(campaign.as_ref().map(|campaign| campaign.external_id.as_str())),
            "campaigntitle" => Found::of(campaign.as_ref().and_then(|campaign| campaign.title.as_deref())),
            "page" | "pagename" => Found::of(page.as_ref().and_then(|page| page.name.as_deref())),
            "locale" => Found::of(page.as_ref().and_then(|page| page.locale.as_deref())),
            _ => return None,
        })
    }
}

/// The contact's id at its origin, or else our own number.
pub(crate) fn contact_id(record: &Record) -> Option<String> {
    let foreign = || {
        let ids = record.identities.iter().filter(|identity| !identity.is_visitor());
        ids.filter_map(|identity| match identity {
            Identity::ForeignId { namespace, id } => Some((namespace, id)),
            _ => None,
        })
    };
    let (first, _) = foreign().next().unzip();
    let of_source = foreign().any(|(namespace, _)| *namespace == record.source);
    let wanted = if of_source { Some(&record.source) } else { first };
    // If there are several in one namespace, the last is the one from this message.
    foreign()
        .filter(|(namespace, _)| Some(*namespace) == wanted)
        .map(|(_, id)| id.clone())
        .next_back()
        .or_else(|| record.contact.id.map(|id| id.to_string()))
}

/// The numbers that platforms gave to fields, by our names of the fields. Those of the record's source come
/// first.
pub(crate) fn list_fields(record: &Record) -> impl Iterator<Item = (&str, &Value)> {
    let own = format!("{LIST_FIELD_IDS}{}", record.source);
    let known = &record.contact.fields;
    let first = known.get(&own).into_iter();
    let others = known
        .range(LIST_FIELD_IDS.to_owned()..)
        .take_while(|(name, _)| name.starts_with(LIST_FIELD_IDS))
        .filter(move |(name, _)| **name != own)
        .map(|(_, field)| field);
    first
        .chain(others)
        .filter_map(|field| field.value.as_object())
        .flatten()
        .map(|(label, number)| (label.as_str(), number))
}

/// Makes `First Name`, `first_name` and `FIRST-NAME` the same name.
pub(super) fn fold(name: &str) -> String {
    name.chars()
        .filter(|letter| !letter.is_whitespace() && !matches!(letter, '_' | '-'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// The value as text: lists with commas, booleans as 1 and 0.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(yes) => if *yes { "1" } else { "0" }.to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        Value::Object(_) => value.to_string(),
    }
}
