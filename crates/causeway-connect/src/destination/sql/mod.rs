//! Rows in the user's own PostgreSQL, MySQL, MariaDB or SQLite: contacts and
//! engagements are upserted, actions inserted.
//!
//! A row is identified by its key, for which the table must have a unique index, so a repeated delivery never
//! makes a second row. Any host is allowed, because databases usually have private addresses.

use causeway_core::consent::CHANGES;
use schemars::schema_for;

use super::{Create, Kind};

mod coerce;
mod config;
mod create;
mod deliver;
mod engagement;
mod journal;
mod link;
mod mysql;
mod plan;
mod postgres;
mod preview;
mod removal;
mod sqlite;
mod statement;
mod target;
#[cfg(test)]
mod tests;
mod tls;
mod write;

pub const KIND: Kind = Kind {
    name: "sql",
    summary: "rows for contacts, actions and engagements in your own PostgreSQL, MySQL, MariaDB or SQLite",
    sample: include_str!("../../../../../samples/destinations/sql.toml"),
    schema: || schema_for!(config::Config),
    supported_changes: &CHANGES,
    concurrency: 4,
    batch: 500,
    parse: |tables, table| config::parse(table, tables).map(|(_, _, needs)| needs),
    connect: |context, table| {
        let settings = config::settings(context, table)?;
        Ok(Box::new(deliver::Sql::new(context.name.clone(), settings)))
    },
    preview: |context, table, batch| {
        let settings = config::settings(context, table)?;
        Ok(batch
            .iter()
            .map(|delivery| preview::preview(&settings, delivery))
            .collect())
    },
    sign_in: None,
    create: Some(Create {
        statements: |context, table| Ok(preview::create_statements(&config::settings(context, table)?)),
        run: |context, table| {
            let settings = config::settings(context, table)?;
            let sql = deliver::Sql::new(context.name.clone(), settings);
            Ok(Box::pin(async move { sql.create().await }))
        },
    }),
    exclusive: None,
    dummy_url: "postgres://dummy@HOST/dummy",
    remains: None,
};
