//! The messages of a `[[test]]` as envelopes.

use anyhow::Context as _;
use causeway_core::{
    clock::Timestamp,
    envelope::{Dedup, Envelope, Meta, digest},
    id::Name,
};
use jiff::SignedDuration;
use serde_json::Value;

use crate::config::{Config, Message, Test, as_json, time_between};

/// The messages of `before` and the tested message, each with its time.
pub(super) fn envelopes(config: &Config, test: &Test, now: Timestamp) -> anyhow::Result<Vec<Envelope>> {
    let at = test.message.0.at.or(test.at).map_or(now, |at| at.0);
    // Times are kept to the millisecond.
    let at = Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at);
    let all: Vec<&Message> = test.before.iter().chain([&test.message]).collect();
    (1..)
        .zip(all.iter().zip(times(&all, at)))
        .map(|(number, (message, its_time))| envelope(config, test, message, number, its_time))
        .collect()
}

/// The arrival times; the last message arrives at `at`.
fn times(messages: &[&Message], at: Timestamp) -> Vec<Timestamp> {
    let mut next: Option<(&Message, Timestamp)> = None;
    let mut times: Vec<Timestamp> = Vec::new();
    for message in messages.iter().rev() {
        let its_time = match (message.0.at, next) {
            (Some(at), _) => at.0,
            (None, None) => at,
            (None, Some((next, next_at))) => before(next_at, next.0.after.as_deref()),
        };
        times.push(its_time);
        next = Some((message, its_time));
    }
    times.reverse();
    times
}

/// The time of the message before one at `next_at`: a minute earlier, unless `after` of the later one sets the interval.
fn before(next_at: Timestamp, after: Option<&str>) -> Timestamp {
    let after = after.and_then(|after| time_between(after).ok());
    let minute = SignedDuration::from_mins(1);
    next_at
        .saturating_sub(after.unwrap_or(minute))
        .unwrap_or(Timestamp::MIN)
}

fn envelope(
    config: &Config,
    test: &Test,
    message: &Message,
    number: i64,
    received_at: Timestamp,
) -> anyhow::Result<Envelope> {
    let table = &message.0;
    let source = table.source.as_ref().or(test.source.as_ref());
    let source = match source {
        Some(name) => Name::from(name.as_str()),
        None => config
            .sources
            .keys()
            .next()
            .map(Name::clone)
            .context("the configuration has no source")?,
    };
    let body = body(config, message)?;
    let method = if body.is_empty() { "GET" } else { "POST" };
    let query = table.query.clone();
    Ok(Envelope {
        source,
        // Equal messages in a test are separate messages, not duplicates.
        dedup: Dedup::dated(digest(&[
            &number.to_be_bytes(),
            &body,
            query.as_deref().unwrap_or_default().as_bytes(),
        ])),
        received_at,
        meta: Meta {
            content_type: (!body.is_empty()).then(|| {
                table
                    .content_type
                    .clone()
                    .unwrap_or_else(|| guessed(&body).to_owned())
            }),
            method: Some(method.to_owned()),
            query,
            ..Meta::default()
        },
        body: body.into(),
    })
}

fn body(config: &Config, message: &Message) -> anyhow::Result<Vec<u8>> {
    let table = &message.0;
    let body = match (&table.file, &table.text, &table.json) {
        (Some(file), ..) => {
            let path = config.dir.join(file);
            std::fs::read(&path).with_context(|| format!("reading the message {}", path.display()))?
        }
        (None, Some(text), _) => text.as_bytes().to_vec(),
        (None, None, Some(json)) => as_json(&toml::Value::Table(json.clone()))
            .to_string()
            .into_bytes(),
        (None, None, None) => Vec::new(),
    };
    if table.set.is_empty() {
        return Ok(body);
    }
    let mut value: Value = serde_json::from_slice(&body).context("`set` needs a JSON message")?;
    for (path, new) in &table.set {
        put(&mut value, path, as_json(new))?;
    }
    Ok(value.to_string().into_bytes())
}

/// Puts a value at a dotted path, and creates missing tables on the way.
fn put(value: &mut Value, path: &str, new: Value) -> anyhow::Result<()> {
    let mut at = value;
    for step in path.split('.') {
        if at.is_null() {
            *at = Value::Object(serde_json::Map::new());
        }
        at = match at {
            Value::Object(members) => members.entry(step).or_insert(Value::Null),
            Value::Array(items) => step
                .parse()
                .ok()
                .and_then(|index: usize| items.get_mut(index))
                .with_context(|| format!("`set`: the list has no item {step:?} ({path})"))?,
            _ => anyhow::bail!("`set`: {path:?} leads through a single value at {step:?}"),
        };
    }
    *at = new;
    Ok(())
}

/// The content type that a sender of this body would give.
pub(crate) fn guessed(body: &[u8]) -> &'static str {
    match body.trim_ascii_start().first() {
        Some(b'{' | b'[') => "application/json",
        _ => "application/x-www-form-urlencoded",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_put_where_the_path_says() {
        let mut value = json!({ "a": { "b": 1 }, "l": [{ "x": 1 }], "n": null });
        for (path, new) in [
            ("a.b", json!(2)),
            ("a.c.d", json!("new")),
            ("l.0.x", json!(3)),
            ("n.m", json!(true)),
        ] {
            put(&mut value, path, new).unwrap();
        }
        let expected = json!({ "a": { "b": 2, "c": { "d": "new" } }, "l": [{ "x": 3 }], "n": { "m": true } });
        assert_eq!(value, expected);
        assert!(put(&mut value, "a.b.c", json!(1)).is_err());
        assert!(put(&mut value, "l.7", json!(1)).is_err());
    }
}
