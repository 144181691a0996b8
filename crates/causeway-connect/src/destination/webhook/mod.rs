//! Sends records to a URL: as JSON, XML, a form that PHP reads, or in the address of a GET; alone or many at a
//! time.
//!
//! [`plan`] reads the configuration, [`template`] makes a request (without a client, for the dry run),
//! [`deliver`] sends it, and [`answers`] and [`each`] say what the response means.

use std::sync::{Arc, Mutex};

use causeway_core::{consent::CHANGES, delivery::Delivery};
use reqwest::header::AUTHORIZATION;
use schemars::schema_for;

use self::{
    config::Config,
    deliver::Webhook,
    find::Find,
    plan::Plan,
    template::{Making, Template},
};
use super::{Kind, Unsent, with_notes};
use crate::{
    config::{ConfigError, Context, read},
    connector::Spread,
    http::Client,
    oauth::{self, Access, Defaults},
};

mod address;
mod answers;
mod auth;
mod body;
mod config;
mod deliver;
mod each;
mod find;
mod headers;
mod hmac;
mod payload;
mod plan;
mod shorten;
mod template;
mod templates;
#[cfg(test)]
mod tests;
mod update;

/// Requests of one batch at the same time, if each record has its own.
const AT_ONCE: usize = 16;

pub const KIND: Kind = Kind {
    name: "webhook",
    summary: "sends records to a web hook or REST API: as JSON, XML, a form, or in the query of a GET",
    sample: include_str!("../../../../../samples/destinations/webhook.toml"),
    schema: || schema_for!(Config),
    supported_changes: &CHANGES,
    concurrency: 512,
    batch: 1,
    parse: |tables, table| Plan::parse(table, tables).map(Plan::needs),
    connect: |context, table| {
        let mut plan = Plan::read(context, table)?;
        let client = Client::with_network(plan.options, plan.network.clone())?;
        let (clock, vault) = (Arc::clone(&context.clock), Arc::clone(&context.vault));
        let access = plan
            .oauth
            .take()
            .map(|settings| Access::new(Arc::clone(&context.name), settings, client.clone(), clock, vault));
        Ok(Box::new(Webhook {
            client,
            access,
            clock: Arc::clone(&context.clock),
            name: Arc::clone(&context.name),
            spread: plan.limit.map(Spread::new),
            warned: Mutex::default(),
            plan,
        }))
    },
    sign_in: Some(|context, table| {
        let config: Config = read(table)?;
        let oauth = config.oauth.as_ref().ok_or_else(|| {
            ConfigError::new("oauth", "is missing: nobody has to sign in for this destination")
        })?;
        let sign_in = oauth.sign_in(&Defaults::default(), context, config.allow_private)?;
        let plan = Plan::read(context, table)?;
        Ok((sign_in, Client::with_network(plan.options, plan.network)?))
    }),
    create: None,
    exclusive: None,
    dummy_url: "https://HOST/",
    remains: None,
    preview: |context, table, batch| {
        let plan = Plan::read(context, table)?;
        Ok(batch
            .iter()
            .map(|delivery| preview(&plan, context, delivery))
            .collect())
    },
};

fn unknown_code(code: &str) -> String {
    format!("[#{code}#] matches no value of this contact; an empty text was used")
}

/// The requests about one delivery. After a look-up it is the request about a person who was found.
fn preview(plan: &Plan, context: &Context, delivery: &Delivery) -> Result<String, Unsent> {
    let making = Making {
        key: &delivery.key.0,
        now: context.clock.now(),
        masked: true,
    };
    let mut texts = Vec::new();
    let mut notes = Vec::new();
    let mut found = None;
    plan.template(delivery, true)?;
    if let Some(find) = &plan.find {
        let key = Find::key(delivery);
        let making = Making { key: &key, ..making };
        show(
            &find.template,
            None,
            plan,
            delivery,
            making,
            &mut texts,
            &mut notes,
        )?;
        found = Some("ID");
        if plan.choose(delivery.record.change, false) != plan.choose(delivery.record.change, true) {
            notes.push("if the person is not found, the main request is sent instead".to_owned());
        }
    }
    let (_, template) = plan
        .template(delivery, found.is_some())
        .map_err(|outcome| outcome.reason().unwrap_or_default().to_owned())?;
    show(template, found, plan, delivery, making, &mut texts, &mut notes)?;
    Ok(with_notes(texts.join("\n\n"), notes))
}

fn show(
    template: &Template,
    found: Option<&str>,
    plan: &Plan,
    delivery: &Delivery,
    making: Making<'_>,
    texts: &mut Vec<String>,
    notes: &mut Vec<String>,
) -> Result<(), String> {
    let part = template
        .part(delivery, found)
        .map_err(|outcome| outcome.reason().unwrap_or_default().to_owned())?;
    notes.extend(part.unknown.iter().map(|code| unknown_code(code)));
    notes.extend(part.notes.iter().cloned());
    let built = match plan.each.as_ref().filter(|_| template.takes_many()) {
        Some(each) => {
            let record = each.record(part.members.clone(), making.key);
            template.request_of_many(each, &[(record, &part)], making)?
        }
        None => template.request(part, making)?,
    };
    notes.extend(built.notes);
    let mut request = built.request;
    if plan.oauth.is_some() {
        request.headers.insert(AUTHORIZATION, oauth::placeholder());
    }
    texts.push(request.preview());
    Ok(())
}
