//! Tables behind Supabase's REST API, or behind any PostgREST: a row for each contact, and one for each action.
//!
//! Each request is one statement, so one bad row refuses a whole batch, which is then halved. Columns that a row has no value
//! for are not named in an update: `missing=default` would put their defaults into a row that exists.

mod answer;
mod config;
mod error;
mod probe;
mod request;
mod rows;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use causeway_core::{
    clock::Timestamp,
    consent::{CHANGES, Change},
    delivery::{Delivery, Kind as DeliveryKind},
    destination::Outcome,
    mapping::Scope,
};
use reqwest::header::HeaderMap;
use schemars::schema_for;

use self::{
    config::{OnRemove, Role, Settings, Table},
    rows::{Guard, Row},
};
use super::{Kind, columns::other_addresses};
use crate::{
    connector::{Connector, Http, Plan, Probe, Reading, Task},
    http::{Answer, Client, HttpRequest},
};

pub const KIND: Kind = Kind {
    name: "supabase",
    summary: "rows for contacts and actions in Supabase, or behind any PostgREST",
    sample: include_str!("../../../../../samples/destinations/supabase.toml"),
    schema: || schema_for!(config::Config),
    supported_changes: &CHANGES,
    concurrency: 2,
    batch: 200,
    parse: |tables, table| Settings::parse(table, tables).map(|(_, needs)| needs),
    connect: |context, table| {
        let (settings, _) = Settings::parse(table, &context.tables)?;
        let client = Client::new(settings.options)?;
        let headers = settings.headers(context)?;
        let access = settings.access(context, &client)?;
        let http = Http::new(Supabase { settings, headers }, client, Arc::clone(&context.clock));
        Ok(Box::new(http.with_access(access)))
    },
    preview: |context, table, batch| {
        let (settings, _) = Settings::parse(table, &context.tables)?;
        let headers = settings.headers(context)?;
        Ok(super::previews(
            &Supabase { settings, headers },
            batch,
            &context.clock,
        ))
    },
    sign_in: None,
    create: None,
    exclusive: None,
    dummy_url: "https://HOST/",
    remains: None,
};

pub(super) struct Supabase {
    settings: Settings,
    headers: HeaderMap,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Inserts the rows whose keys the table does not have.
    Insert(Role),
    /// Reads what the contacts' rows say about consent.
    Look,
    /// Reads whether the rows are there that were not inserted.
    Prove(Role),
    /// Writes these columns of rows that exist.
    Update(Role, Vec<String>),
    /// Writes these columns of the contact's row if it exists, and inserts none.
    Patch(Role, Vec<String>),
    /// Deletes the rows of an erased contact, or empties them.
    Remove(Role),
}

#[derive(Default)]
pub(super) struct Memo {
    contact: Row,
    action: Row,
    /// How far the contact's row may speak against the opt-in.
    guard: Option<Guard>,
    /// Since when the person has agreed.
    since: Option<Timestamp>,
    /// Why the row cannot be inserted. If it exists, it can be updated all the same.
    no_value: Option<String>,
    /// The part that cannot be done. The rest is done, and the delivery is rejected with this reason.
    incomplete: Option<String>,
}

impl Memo {
    fn row(&self, role: Role) -> &Row {
        match role {
            Role::Contacts => &self.contact,
            Role::Actions => &self.action,
        }
    }
}

impl Connector for Supabase {
    type Step = Step;
    type Memo = Memo;

    fn plan(&self, delivery: &Delivery) -> Result<Plan<Self>, Outcome> {
        let record = &delivery.record;
        if record.change == Change::Remove {
            return self.removal(delivery);
        }
        if record.kind == DeliveryKind::Withdrawal {
            return self.withdrawal(delivery);
        }
        let scope = Scope::new(record);
        let mut memo = Memo {
            since: record.consent_state_for(&record.purpose).since(),
            ..Memo::default()
        };
        let (mut steps, mut notes, mut without_key) = (Vec::new(), Vec::new(), None);
        for table in self.settings.tables() {
            let is_wanted = match table.role {
                Role::Contacts => true,
                // A known action that arrives again is a `contact`.
                Role::Actions => record.kind == DeliveryKind::Record && record.action.is_some(),
            };
            if !is_wanted {
                continue;
            }
            match rows::full(table, record, &scope)? {
                Ok((row, more)) => {
                    notes.extend(more);
                    steps.push(Step::Insert(table.role));
                    match table.role {
                        Role::Contacts => {
                            memo.guard = self.settings.guard(table, record);
                            memo.contact = row;
                        }
                        Role::Actions => memo.action = row,
                    }
                }
                Err(reason) => without_key = Some(reason),
            }
        }
        if steps.is_empty() {
            let reason = without_key.unwrap_or_else(|| "no table is configured for it".to_owned());
            return Err(Outcome::Skip { reason });
        }
        Ok(Plan { steps, memo, notes })
    }

    fn most(&self, step: &Step) -> usize {
        match step {
            Step::Insert(_) | Step::Update(..) => 1_000,
            // The keys are in the URL.
            Step::Look | Step::Prove(_) => 50,
            Step::Patch(..) | Step::Remove(_) => 1,
        }
    }

    /// Opt-outs and removals come first, and contacts before actions, whose rows may refer to them.
    fn order(&self, step: &Step) -> u8 {
        match step {
            Step::Patch(Role::Contacts, _) | Step::Remove(_) => 0,
            Step::Insert(Role::Contacts) => 1,
            Step::Look | Step::Prove(Role::Contacts) => 2,
            Step::Update(Role::Contacts, _) => 3,
            Step::Insert(Role::Actions) => 4,
            Step::Update(Role::Actions, _) | Step::Patch(Role::Actions, _) | Step::Prove(Role::Actions) => 5,
        }
    }

    fn subject(&self, task: &Task<'_, Self>) -> String {
        let role = match task.step() {
            Some(
                Step::Insert(role)
                | Step::Update(role, _)
                | Step::Patch(role, _)
                | Step::Prove(role)
                | Step::Remove(role),
            ) => *role,
            Some(Step::Look) | None => Role::Contacts,
        };
        task.memo.row(role).subject()
    }

    fn request(&self, step: &Step, tasks: &[&Task<'_, Self>]) -> HttpRequest {
        request::request(self, step, tasks)
    }

    fn read(
        &self,
        step: &Step,
        answer: &Answer,
        tasks: &mut [&mut Task<'_, Self>],
        now: Timestamp,
    ) -> Reading {
        answer::read(self, step, answer, tasks, now)
    }

    fn expected(&self, step: &Step, tasks: &[&Task<'_, Self>]) -> Answer {
        answer::expected(self, step, tasks)
    }

    fn probes(&self, _: Timestamp) -> Vec<Probe> {
        probe::probes(self)
    }
}

impl Supabase {
    fn table(&self, role: Role) -> Option<&Table> {
        self.settings.tables().find(|table| table.role == role)
    }

    /// Updates the contact's row and never inserts one: that would give away a person's data because they withdrew their
    /// consent.
    fn withdrawal(&self, delivery: &Delivery) -> Result<Plan<Self>, Outcome> {
        let record = &delivery.record;
        let skip = |reason: String| Outcome::Skip { reason };
        let table = self.table(Role::Contacts).ok_or_else(|| {
            skip("consent: there is no table of contacts for an opt-out; enter it by hand".to_owned())
        })?;
        if !table.columns.iter().any(|column| column.shows_consent) {
            return Err(skip(format!(
                "consent: the columns of {} do not show an opt-out; enter it by hand",
                table.name
            )));
        }
        let (row, notes) = match rows::withdrawn(table, record, &Scope::new(record))? {
            Ok(made) => made,
            Err(reason) => return Err(skip(reason)),
        };
        let columns = row.names(|name| !table.is_key(name));
        let memo = Memo {
            contact: Row {
                not_at: other_addresses(record).into_iter().collect(),
                ..row
            },
            ..Memo::default()
        };
        Ok(Plan {
            steps: vec![Step::Patch(Role::Contacts, columns)],
            memo,
            notes,
        })
    }

    /// The actions go first, because they may refer to the contact's row.
    fn removal(&self, delivery: &Delivery) -> Result<Plan<Self>, Outcome> {
        let scope = Scope::new(&delivery.record);
        let mut memo = Memo::default();
        let mut steps = Vec::new();
        let mut tables: Vec<&Table> = self.settings.tables().collect();
        tables.reverse();
        for table in tables
            .into_iter()
            .filter(|table| table.on_remove != OnRemove::Keep)
        {
            match rows::erased(table, delivery, &scope) {
                Ok(row) => {
                    steps.push(Step::Remove(table.role));
                    match table.role {
                        Role::Contacts => memo.contact = row,
                        Role::Actions => memo.action = row,
                    }
                }
                Err(reason) => memo.incomplete = memo.incomplete.or(Some(reason)),
            }
        }
        if steps.is_empty() {
            return Err(match memo.incomplete {
                Some(reason) => Outcome::Reject { reason },
                None => Outcome::Skip {
                    reason: "the rows of an erased contact are kept".to_owned(),
                },
            });
        }
        Ok(Plan {
            steps,
            memo,
            notes: Vec::new(),
        })
    }
}
