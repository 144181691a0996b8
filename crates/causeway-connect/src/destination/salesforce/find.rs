//! Who is there already, and what therefore has to be done.

use std::collections::HashSet;

use causeway_core::{clock::Timestamp, consent::Change, destination::Outcome};
use serde_json::{Map, Value};

use super::{
    Mark, Memo, Salesforce, Step,
    bulk::{Operation, write_step},
    config::{Bounce, Object, OnRemove},
    consent::{BOUNCE_DATE, BOUNCE_REASON, Kind, OPTED_OUT},
    writes_data,
};
use crate::connector::Task;

/// What stands for a value that Salesforce requires and nobody knows.
const NOT_PROVIDED: &str = "[not provided]";
const ERASED: &str = "[erased]";
/// More marks of one person are written together.
const FEW_MARKS: usize = 5;

/// A record of the query.
#[derive(Debug)]
pub(super) struct Found {
    pub id: String,
    pub key: String,
    pub email: String,
    pub is_opted_out: bool,
    pub opt_in: Option<bool>,
    pub opted_out_at: Option<Timestamp>,
    pub modified: Option<Timestamp>,
    pub bounced: Option<Timestamp>,
    /// The contact that a lead became.
    pub contact: Option<String>,
    pub is_converted: bool,
}

impl Found {
    /// `None` if it does not show what was asked for, least of all whether the person opted out.
    pub fn read(salesforce: &Salesforce, row: &Value) -> Option<Self> {
        let settings = &salesforce.settings;
        let text = |name: &str| {
            row.get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let named = |name: &Option<String>| name.as_ref().and_then(|name| row.get(name));
        let moment = |value: Option<&Value>| instant(value?.as_str()?);
        let is_bounced = !text(BOUNCE_REASON).is_empty();
        Some(Self {
            id: Some(text("Id")).filter(|id| !id.is_empty())?,
            key: text(&settings.key),
            email: text("Email"),
            is_opted_out: row.get(OPTED_OUT)?.as_bool()?,
            opt_in: named(&settings.opt_in).and_then(Value::as_bool),
            opted_out_at: moment(named(&settings.opt_out_date)),
            modified: moment(row.get("LastModifiedDate")),
            bounced: moment(row.get(BOUNCE_DATE)).or_else(|| is_bounced.then_some(Timestamp::MIN)),
            contact: Some(text("ConvertedContactId")).filter(|id| !id.is_empty()),
            is_converted: row.get("IsConverted").and_then(Value::as_bool) == Some(true),
        })
    }
}

/// `2026-01-01T00:00:00.000+0000`
fn instant(text: &str) -> Option<Timestamp> {
    let parsed = text.parse().ok();
    parsed.or_else(|| {
        let (start, zone) = text.split_at_checked(text.len().checked_sub(5)?)?;
        let (hours, minutes) = zone.split_at_checked(3)?;
        format!("{start}{hours}:{minutes}").parse().ok()
    })
}

/// The fields that a query reads.
pub(super) fn columns(salesforce: &Salesforce) -> Vec<&str> {
    let settings = &salesforce.settings;
    let mut columns = vec!["Id", "Email", OPTED_OUT, "LastModifiedDate"];
    let own = [
        Some(&settings.key),
        settings.opt_in.as_ref(),
        settings.opt_out_date.as_ref(),
    ];
    columns.extend(own.into_iter().flatten().map(String::as_str));
    if settings.bounce == Bounce::Fields {
        columns.extend([BOUNCE_REASON, BOUNCE_DATE]);
    }
    if settings.object == Object::Lead {
        columns.extend(["IsConverted", "ConvertedContactId"]);
    }
    columns
}

/// Adds the next steps of each task.
pub(super) fn decide(salesforce: &Salesforce, all: &[Found], tasks: &mut [&mut Task<'_, Salesforce>]) {
    // A record without a key becomes one person's, not two people's.
    let mut adopted = HashSet::new();
    for task in tasks {
        // An opt-out of Causeway's that is there no more was lifted. A later one is somebody else's.
        let is_lifted = |id: &String| all.iter().any(|found| found.id == *id && !found.is_opted_out);
        task.memo.opted_out.retain(|id| !is_lifted(id));
        let (own, of_address) = of_task(&task.memo, all);
        let record = &task.delivery.record;
        if record.change == Change::Remove {
            remove(salesforce, task, &own, &of_address);
        } else if writes_data(record) {
            write(salesforce, task, (&own, &of_address), &mut adopted);
        } else {
            let before = task.memo.marks.len();
            mark(salesforce, task, (&own, &of_address));
            if before == task.memo.marks.len() && own.is_empty() && of_address.is_empty() {
                let object = salesforce.settings.object.as_str();
                task.notes
                    .push(format!("no {object} at Salesforce is this person"));
            }
        }
        let marks = task.memo.marks.len();
        if marks > FEW_MARKS {
            task.then(Step::MarkMany);
        } else {
            (0..marks).for_each(|_| task.then(Step::Mark));
        }
    }
}

/// The records with one of the person's keys, and those with the address.
fn of_task<'f>(memo: &Memo, all: &'f [Found]) -> (Vec<&'f Found>, Vec<&'f Found>) {
    let is_own = |found: &&Found| {
        let mut keys = memo.keys.iter();
        !found.key.is_empty() && keys.any(|key| key.eq_ignore_ascii_case(&found.key))
    };
    let has_address = |found: &&Found| found.email.eq_ignore_ascii_case(&memo.email);
    (
        all.iter().filter(is_own).collect(),
        all.iter().filter(has_address).collect(),
    )
}

/// Takes consent away from each record that it concerns.
///
/// An opt-out is the person's: it concerns their record whatever its address is, unless that is another address of theirs
/// that Causeway knows, which has a withdrawal of its own. A suppression is the address's.
fn mark(salesforce: &Salesforce, task: &mut Task<'_, Salesforce>, (own, of_address): (&[&Found], &[&Found])) {
    let kind = salesforce.kind(&task.delivery.record);
    let memo = &task.memo;
    let is_elsewhere = |found: &&&Found| {
        let mut addresses = memo.addresses.iter();
        !found.email.eq_ignore_ascii_case(&memo.email)
            && addresses.any(|address| address.eq_ignore_ascii_case(&found.email))
    };
    let is_of_person = task.delivery.record.change == Change::Unsubscribe;
    let own = own.iter().filter(|found| is_of_person && !is_elsewhere(found));
    let mut seen = HashSet::new();
    let mut marks = Vec::new();
    for found in of_address.iter().chain(own) {
        if !seen.insert(found.id.as_str()) {
            continue;
        }
        let values = match kind {
            Kind::OptOut { since } if found.is_converted => {
                // Fields of your own may be missing on the contact.
                let mut values = salesforce.opt_out(since);
                values.retain(|name, _| name == OPTED_OUT);
                values
            }
            Kind::OptOut { since } if !found.is_opted_out || found.opt_in == Some(true) => {
                salesforce.opt_out(since)
            }
            Kind::Bounce { since, why } if found.bounced.is_none() => Salesforce::bounce(since, why),
            _ => continue,
        };
        let (object, id) = match (found.is_converted, &found.contact) {
            (true, Some(contact)) => (Object::Contact, contact),
            (true, None) => continue,
            (false, _) => (salesforce.settings.object, &found.id),
        };
        marks.push(Mark {
            object: object.as_str(),
            id: id.clone(),
            values,
            opts_out: !found.is_opted_out && !found.is_converted,
        });
    }
    task.memo.marks.extend(marks);
}

/// Writes the person's data to their record, or to a new one.
fn write(
    salesforce: &Salesforce,
    task: &mut Task<'_, Salesforce>,
    (own, of_address): (&[&Found], &[&Found]),
    adopted: &mut HashSet<String>,
) {
    let settings = &salesforce.settings;
    let kind = salesforce.kind(&task.delivery.record);
    let mut chosen = own.first().copied();
    if chosen.is_none() {
        let mut free = of_address
            .iter()
            .filter(|found| found.key.is_empty() && !adopted.contains(&found.id));
        chosen = free.next().copied();
        let others = free.count();
        if others > 0 {
            task.notes.push(format!(
                "{} records at Salesforce have this address; the oldest is used",
                others + 1
            ));
        }
        adopted.extend(chosen.map(|found| found.id.clone()));
    }
    if matches!(kind, Kind::OptOut { .. } | Kind::Bounce { .. }) {
        // The person's own record, too: its data may be refused, and the opt-out must not be lost with it.
        mark(salesforce, task, (own, of_address));
    }
    if chosen.is_some_and(|found| found.is_converted) {
        let note = "the lead was converted to a contact: its data is not changed";
        if task.memo.marks.is_empty() {
            task.end(
                Outcome::Skip {
                    reason: note.to_owned(),
                }
                .into(),
            );
        } else {
            task.notes.push(note.to_owned());
        }
        let is_later = |step: &Step| !matches!(step, Step::Find);
        task.leave_out(is_later);
        return;
    }
    let mut body = task.memo.values.clone();
    body.insert("Email".to_owned(), task.memo.email.as_str().into());
    let decision = if let Some(found) = chosen {
        let is_ours = task.memo.opted_out.contains(&found.id);
        if found.key.is_empty() {
            let key = task.memo.keys.first().map(String::as_str);
            body.insert(settings.key.clone(), key.unwrap_or_default().into());
        }
        salesforce.for_found(kind, found, &task.memo.email, is_ours)
    } else {
        for name in required(settings.object) {
            body.entry(*name).or_insert_with(|| NOT_PROVIDED.into());
        }
        salesforce.for_new(kind)
    };
    body.extend(decision.values);
    task.notes.extend(decision.note);
    let memo = &mut task.memo;
    memo.body = body;
    memo.opts_out = decision.opts_out;
    memo.id = chosen.map(|found| found.id.clone());
    if decision.opts_in {
        memo.opted_out
            .retain(|id| chosen.is_none_or(|found| found.id != *id));
    }
    let operation = if chosen.is_some() {
        Operation::Update
    } else {
        Operation::Upsert
    };
    task.then(write_step(salesforce, operation, &task.memo));
}

fn required(object: Object) -> &'static [&'static str] {
    match object {
        Object::Contact => &["LastName"],
        Object::Lead => &["LastName", "Company"],
    }
}

/// Deletes or blanks the records with the person's key. Others with the address were not made by Causeway. They are
/// opted out.
fn remove(salesforce: &Salesforce, task: &mut Task<'_, Salesforce>, own: &[&Found], of_address: &[&Found]) {
    // Without a value for the key, only the address shows who it is.
    let targets = if task.memo.keys.is_empty() {
        of_address
    } else {
        own
    };
    let is_left = |found: &&&Found| !targets.iter().any(|target| target.id == found.id);
    let others = of_address.iter().filter(is_left).copied();
    let left = others.clone().count();
    if left > 0 {
        task.notes.push(format!(
            "{left} other records at Salesforce have this address and were left, opted out: delete them there if they \
             are this person"
        ));
    }
    let converted = targets.iter().filter(|found| found.is_converted).copied();
    let marked: Vec<&Found> = others.chain(converted).collect();
    mark(salesforce, task, (&[], &marked));
    for found in targets {
        if let Some(contact) = &found.contact {
            task.notes.push(format!(
                "the lead was converted to contact {contact}, which was left, opted out: delete it there"
            ));
        }
        match salesforce.settings.on_remove {
            OnRemove::Delete => {
                task.memo.deletes.push_back(found.id.clone());
                task.then(Step::Delete);
            }
            OnRemove::Blank => task.memo.marks.push_back(Mark {
                object: salesforce.settings.object.as_str(),
                id: found.id.clone(),
                values: blank(salesforce),
                opts_out: false,
            }),
        }
    }
}

/// The values of a record without personal data.
fn blank(salesforce: &Salesforce) -> Map<String, Value> {
    let settings = &salesforce.settings;
    let personal = ["FirstName", "Email", "Phone"];
    let names = settings.fields.names().chain(personal);
    let mut values: Map<String, Value> = names.map(|name| (name.to_owned(), Value::Null)).collect();
    for name in required(settings.object) {
        values.insert((*name).to_owned(), ERASED.into());
    }
    values.insert(settings.key.clone(), Value::Null);
    values.insert(OPTED_OUT.to_owned(), true.into());
    values.extend(settings.opt_in.iter().map(|field| (field.clone(), false.into())));
    values
}
