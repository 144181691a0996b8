//! Prints a minimal history: its messages, its configuration, and a `[[test]]` block for it (docs/testing.md).

use std::fmt::Write as _;

use serde_json::Value as Json;

use crate::{
    check::Kind,
    config::{self, Keys, Servers},
    drive,
    message::{Content, Message},
    shrink::Small,
    wire::{self, Place, Wire},
    world::EPOCHS,
};

/// All data that is needed to reproduce the finding by hand.
pub fn small(small: &Small, keys: &Keys) -> String {
    let history = &small.history;
    let place = Place {
        slot: "h".to_owned(),
        start: drive::midnight(),
        first_org: 100,
    };
    let mut out = format!(
        "history {} cut down to {} messages ({})\n{}\n",
        history.seed,
        history.messages.len(),
        if small.is_calm {
            "no kills needed"
        } else {
            "with kills and failing receivers"
        },
        small.finding
    );
    out.push_str("--- messages, in the order in which they were sent\n");
    let mut last = 0;
    for message in &history.messages {
        if message.epoch != last {
            let _infallible = writeln!(
                out,
                "    (restart, configuration {} of {EPOCHS})",
                message.epoch + 1
            );
            last = message.epoch;
        }
        if let Content::AtVendor { address, deed, .. } = &message.content {
            let _infallible = writeln!(out, "{:>4} at the vendor: {deed:?} {address}", message.number);
            continue;
        }
        let source = place.source(0, &history.spaces[0].sources[message.source]);
        let _infallible = writeln!(
            out,
            "{:>4} {source}: {}",
            message.number,
            on_one_line(&wire::render(history, message, &place))
        );
    }
    let servers = Servers {
        live: "amqp://user:password@127.0.0.1/proca".to_owned(),
        staging: "amqp://user:password@127.0.0.1/staging".to_owned(),
        postgres: "postgres://postgres@127.0.0.1/test".to_owned(),
        mariadb: "mysql://user:password@127.0.0.1/test".to_owned(),
        receivers: vec!["http://127.0.0.1:9000".to_owned()],
        api: "http://127.0.0.1:9001".to_owned(),
        ..Servers::default()
    };
    for epoch in 0..EPOCHS {
        let sections = config::sections(history, &place, epoch, &servers, keys);
        let is_new = epoch == 0 || sections != config::sections(history, &place, epoch - 1, &servers, keys);
        if is_new {
            let _infallible = write!(out, "--- configuration {}\n{sections}", epoch + 1);
        }
    }
    out + &test(small, &place)
}

/// The history as a `[[test]]`, which cannot express restarts, kills and responses of receivers.
fn test(small: &Small, place: &Place) -> String {
    let history = &small.history;
    let is_message = |message: &&Message| !matches!(message.content, Content::AtVendor { .. });
    let messages: Vec<&Message> = history.messages.iter().filter(is_message).collect();
    let Some((last, before)) = messages.split_last() else {
        return String::new();
    };
    let render = |message: &Message| {
        as_table(
            &wire::render(history, message, place),
            &place.source(0, &history.spaces[0].sources[message.source]),
        )
    };
    let mut out = format!(
        "--- test\n[[test]]\nname = \"history {}\"\nothers = true\n",
        history.seed
    );
    if !before.is_empty() {
        let rows: Vec<String> = before
            .iter()
            .map(|message| format!("    {},", render(message)))
            .collect();
        let _infallible = writeln!(out, "before = [\n{}\n]", rows.join("\n"));
    }
    let _infallible = writeln!(out, "message = {}", render(last));
    let settings = history.spaces[0].destinations[0].settings[EPOCHS - 1].as_ref();
    let name = settings.map_or_else(String::new, |settings| place.destination(0, &settings.name));
    let expected = match small.finding.kind {
        Kind::StaysSubscribed => {
            format!("expect = [{{ destination = \"{name}\", contains = {{ change = \"unsubscribe\" }} }}]")
        }
        Kind::NotSubscribed | Kind::Lost | Kind::EventMissing => {
            format!("expect = [{{ destination = \"{name}\", contains = {{ change = \"subscribe\" }} }}]")
        }
        Kind::ForbiddenRequest | Kind::PastTheFilter | Kind::EventTwice => "expect_none = true".to_owned(),
    };
    out + &expected + "\n"
}

fn on_one_line(wire: &Wire) -> String {
    match wire {
        Wire::Request {
            method, target, body, ..
        } => format!("{method} {target} {}", String::from_utf8_lossy(body)),
        Wire::Publish { key, body, .. } => format!("publish {key} {}", String::from_utf8_lossy(body)),
        Wire::Row(cells) => format!("row {cells:?}"),
        Wire::Nothing => "not sent".to_owned(),
    }
}

/// A message as a table for the test's `before` and `message`.
fn as_table(wire: &Wire, source: &str) -> String {
    let text = |text: &str| Json::from(text).to_string();
    match wire {
        Wire::Request {
            method: "GET",
            target,
            ..
        } => {
            format!(
                "{{ source = \"{source}\", query = {} }}",
                text(target.split_once('?').map_or("", |(_, query)| query))
            )
        }
        Wire::Request {
            content_type, body, ..
        } => format!(
            "{{ source = \"{source}\", content_type = {}, text = {} }}",
            text(content_type.unwrap_or_default()),
            text(&String::from_utf8_lossy(body))
        ),
        Wire::Publish { body, .. } => format!(
            "{{ source = \"{source}\", text = {} }}",
            text(&String::from_utf8_lossy(body))
        ),
        Wire::Row(cells) => {
            let members = cells
                .iter()
                .map(|(name, value)| (name.clone(), value.clone().into()));
            let row = Json::from(members.collect::<serde_json::Map<_, _>>());
            format!("{{ source = \"{source}\", text = {} }}", text(&row.to_string()))
        }
        Wire::Nothing => format!("{{ source = \"{source}\", text = \"\" }}"),
    }
}
