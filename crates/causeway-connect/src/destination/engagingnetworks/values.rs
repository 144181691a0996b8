//! The values of a record, in the form in which Engaging Networks takes them.

use causeway_core::{
    delivery::{Delivery, Kind as DeliveryKind},
    mapping::{
        Scope,
        omission::{Omissions, Reads},
    },
};
use serde_json::{Map, Value};

use super::{EngagingNetworks, Memo, config::Action};
use crate::destination::fields::Fields;

/// Fills in fields, general answers and the action. Returns notes.
pub(super) fn fill(
    networks: &EngagingNetworks,
    delivery: &Delivery,
    memo: &mut Memo,
) -> Result<Vec<String>, String> {
    let (record, settings) = (&delivery.record, &networks.settings);
    let scope = Scope::new(record);
    let mut omissions = Omissions::of(record);
    // The calls always name the person and what becomes of their consent.
    omissions.keep(Reads::EVERYTHING);
    let mut make = |fields: &Fields| {
        let values = fields.apply(&scope, &mut omissions);
        let values = values.map_err(|error| error.to_string())?.into_iter();
        // An empty value would clear the field.
        let known = values.filter_map(|(name, value)| Some((name, text(&value)?.into())));
        Ok::<Map<String, Value>, String>(known.collect())
    };
    memo.fields = make(&settings.fields)?;
    if let Some(questions) = &settings.questions {
        memo.questions = make(questions)?;
    }
    // A known action that arrives again is a `contact`.
    let is_action = record.kind == DeliveryKind::Record && record.action.is_some();
    if let Some(action) = settings.action.as_ref().filter(|_| is_action) {
        memo.page = page(&make(&action.page)?)?;
        memo.transaction = make(&action.fields)?;
        memo.transaction.extend(switches(action));
        let page = record.page.as_ref();
        memo.locale = page.and_then(|page| locale(page.locale.as_deref()?));
    }
    omissions.finish()
}

fn page(values: &Map<String, Value>) -> Result<String, String> {
    let page = values.values().next().and_then(Value::as_str).map(str::trim);
    let page = page.ok_or("`action.page` has no value")?;
    if page.is_empty() || !page.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("`action.page` is not the number of a page".to_owned());
    }
    Ok(page.to_owned())
}

fn switches(action: &Action) -> [(String, Value); 2] {
    [
        ("suppressAutoResponder".to_owned(), (!action.autoresponse).into()),
        ("demo".to_owned(), action.demo.into()),
    ]
}

/// A value as text; `None` if it is not known.
fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        Value::Bool(true) => "Y".to_owned(),
        Value::Bool(false) => "N".to_owned(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().filter_map(text_of_item).collect();
            items.join(", ")
        }
        other => other.to_string(),
    };
    (!text.is_empty()).then_some(text)
}

fn text_of_item(item: &Value) -> Option<String> {
    match item {
        Value::Array(_) => Some(item.to_string()),
        other => text(other),
    }
}

/// The page's locale as `fr-CA`. A language without a country is no locale at Engaging Networks.
fn locale(text: &str) -> Option<String> {
    let (language, country) = text.split_once(['-', '_'])?;
    let are_letters = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_locale = (2..=3).contains(&language.len())
        && country.len() == 2
        && are_letters(language)
        && are_letters(country);
    is_locale.then(|| format!("{}-{}", language.to_lowercase(), country.to_uppercase()))
}
