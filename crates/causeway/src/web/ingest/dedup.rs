//! Recognises duplicates: by the sender's id and the content, or without an id by the content for a limited time.

use std::borrow::Cow;

use causeway_core::{
    decode::{
        body::{self, Body, Spelling},
        sync,
    },
    envelope::{Dedup, Memory, MessageKey, Meta, digest},
};
use percent_encoding::percent_decode;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{config::Preset, listener::Listener, shape::Kind};

/// `read` is the parsed body, if it was parsed already.
pub(super) fn of(
    listener: &Listener,
    signed_id: Option<&str>,
    kind: Kind,
    meta: &Meta,
    body: &[u8],
    read: Option<&Body>,
) -> Dedup {
    let query = meta.query.as_deref().unwrap_or_default();
    let content = match read {
        // Senders use a new boundary for each attempt, so the parsed content counts.
        Some(read) if kind == Kind::Multipart => digest(&[b"multipart", read.value.to_string().as_bytes()]),
        _ => digest(&[b"bytes", query.as_bytes(), body]),
    };
    // Every message of Proca names its action or time, so the same bytes are never a new message.
    if listener.preset == Preset::Proca {
        return Dedup::dated(content);
    }
    let id = match signed_id {
        Some(id) => Some(digest(&[b"id", id.as_bytes()])),
        None if listener.preset == Preset::SyncToThirdParty => transaction(listener, kind, meta, body, read),
        None => None,
    };
    Dedup {
        key: id.map_or(content, |id| digest(&[b"id and content", &id, &content])),
        id,
        memory: memory(listener),
    }
}

/// How long a message is remembered. Anybody who saw a signed request without a signed time could replay it at any time.
fn memory(listener: &Listener) -> Memory {
    match &listener.verifier {
        Some(verifier) if !verifier.signs_time() => Memory::ForGood,
        // A request must be recognised as long as its time is accepted.
        Some(verifier) => Memory::Window(listener.dedup_window_ms.max(verifier.valid_ms())),
        None => Memory::Window(listener.dedup_window_ms),
    }
}

/// The key of the platform's `transactionid`, if it sent one.
fn transaction(
    listener: &Listener,
    kind: Kind,
    meta: &Meta,
    body: &[u8],
    read: Option<&Body>,
) -> Option<MessageKey> {
    let query = meta.query.as_deref().unwrap_or_default();
    let found = if says_how_to_read(listener, meta, body) {
        Found::Unsure
    } else {
        Transaction::find(kind, query, body::without_mark(body))
    };
    match found {
        Found::Key(key) => Some(key),
        Found::Nothing => None,
        Found::Unsure => match read {
            Some(read) => sync::dedup(&read.value),
            None => listener
                .spelling
                .read(meta, body, listener.limits.for_decoder())
                .ok()
                .and_then(|read| sync::dedup(&read.value)),
        },
    }
}

/// Whether the configuration or the message changes how bytes or names are read, so that the quick search may be wrong.
fn says_how_to_read(listener: &Listener, meta: &Meta, body: &[u8]) -> bool {
    let named = meta.content_type.as_deref().is_some_and(|content_type| {
        let content_type = content_type.to_ascii_lowercase();
        content_type.contains("charset") && !content_type.contains("utf-8")
    });
    let has_mark = matches!(body, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
    let query = meta.query.as_deref().unwrap_or_default();
    // Few forms have a field with this beginning.
    let has_field = [query.as_bytes(), body]
        .iter()
        .any(|text| memchr::memmem::find(text, b"_charset_").is_some());
    named || has_mark || has_field || listener.spelling != Spelling::default()
}

/// The result of a quick search in the bytes, which suffices for nearly all messages.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// The key that [`sync::dedup`] would give.
    Key(MessageKey),
    /// The message has no transaction.
    Nothing,
    /// The message must be parsed.
    Unsure,
}

/// The platform's `transactionid` together with the contact: the id may be the same for several contacts, and a person taken
/// for a duplicate would be lost.
#[derive(Debug, Default, PartialEq, Eq)]
struct Transaction<'a> {
    id: Cow<'a, [u8]>,
    contact: Cow<'a, [u8]>,
    email: Cow<'a, [u8]>,
}

impl<'a> Transaction<'a> {
    fn find(kind: Kind, query: &'a str, body: &'a [u8]) -> Found {
        let mut found = Self::default();
        found.read_form(query.as_bytes());
        match kind {
            Kind::Form => found.read_form(body),
            Kind::Json if body.trim_ascii_start().starts_with(b"{") => {
                // The lenient reader may still parse it.
                if found.read_json(body).is_none() {
                    return Found::Unsure;
                }
            }
            Kind::Json | Kind::Multipart | Kind::Xml => return Found::Unsure,
            Kind::Empty => {}
        }
        // Senders use an empty text or 0 for an unknown id.
        if found.id.is_empty() || *found.id == *b"0" {
            Found::Nothing
        } else if found.contact.is_empty() && found.email.is_empty() {
            Found::Unsure
        } else {
            Found::Key(digest(&[b"sync", &found.id, &found.contact, &found.email]))
        }
    }

    /// Later pairs win over earlier ones, as everywhere in forms.
    fn read_form(&mut self, form: &'a [u8]) {
        let mut rest = form;
        while !rest.is_empty() {
            let end = memchr::memchr(b'&', rest).unwrap_or(rest.len());
            let (piece, behind) = rest.split_at(end);
            rest = behind.get(1..).unwrap_or_default();
            // A fast check: most names start with other letters.
            if !matches!(piece, [b't' | b'%' | b'+' | b' ', ..] | [b'c', b'o' | b'%', ..]) {
                continue;
            }
            let mut halves = piece.splitn(2, |byte| *byte == b'=');
            let name = halves.next().unwrap_or_default();
            let value = halves.next().unwrap_or_default();
            let to = match &*decode(name) {
                b"transactionid" => &mut self.id,
                b"contact[id]" => &mut self.contact,
                b"contact[email]" => &mut self.email,
                _ => continue,
            };
            *to = decode(value);
        }
    }

    fn read_json(&mut self, json: &'a [u8]) -> Option<()> {
        let top = serde_json::from_slice::<Top<'a>>(json).ok()?;
        if let Some(id) = top.transactionid {
            self.id = scalar(id);
        }
        let contact = top
            .contact
            // serde would read a list as the members in their order.
            .filter(|raw| raw.get().starts_with('{'))
            .and_then(|raw| serde_json::from_str::<Contact<'a>>(raw.get()).ok())
            .unwrap_or_default();
        if let Some(id) = contact.id {
            self.contact = scalar(id);
        }
        if let Some(email) = contact.email {
            self.email = scalar(email);
        }
        Some(())
    }
}

#[derive(Deserialize)]
struct Top<'a> {
    #[serde(borrow, default)]
    transactionid: Option<&'a RawValue>,
    #[serde(borrow, default)]
    contact: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Contact<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    email: Option<&'a RawValue>,
}

/// The text of a number or string, so that `7` and `"7"` are equal; empty for `null`.
fn scalar(raw: &RawValue) -> Cow<'_, [u8]> {
    match raw.get() {
        "null" => Cow::Borrowed(b""),
        text => match serde_json::from_str::<Cow<'_, str>>(text) {
            Ok(string) => Cow::Owned(string.into_owned().into_bytes()),
            Err(_) => Cow::Borrowed(text.as_bytes()),
        },
    }
}

fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if text.contains(&b'+') {
        let spaced: Vec<u8> = text
            .iter()
            .map(|byte| if *byte == b'+' { b' ' } else { *byte })
            .collect();
        return Cow::Owned(percent_decode(&spaced).collect());
    }
    percent_decode(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(signature: &str) -> Listener {
        let text = format!(
            "preset = \"generic\"\ntoken = \"token-of-24-characters-here\"\ndedup_window_s = 60\n{signature}"
        );
        let config = super::super::Config::parse(&text.parse().unwrap()).unwrap();
        Listener::new(
            "forms".into(),
            &config,
            std::path::Path::new("."),
            &causeway_core::mapping::Tables::default(),
        )
        .unwrap()
    }

    #[test]
    fn a_signed_request_is_remembered_as_long_as_it_would_be_accepted() {
        let signed = |scheme: &str, more: &str| {
            let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
            listener(&format!(
                "signature = {{ scheme = \"{scheme}\", secrets = [\"{secret}\"]{more} }}"
            ))
        };
        let custom = |keys: &str| {
            signed(
                "custom",
                &format!(", custom = {{ header = \"X-Signed\", {keys} }}"),
            )
        };
        for (listener, expected) in [
            (listener(""), Memory::Window(60_000)),
            (signed("typeform", ""), Memory::ForGood),
            (signed("mautic", ""), Memory::ForGood),
            (custom("template = \"{body}\""), Memory::ForGood),
            // An id without a time can be replayed.
            (
                custom("template = \"{id}.{body}\", id_header = \"X-Id\""),
                Memory::ForGood,
            ),
            // The time may be five minutes early or late.
            (signed("standard-webhooks", ""), Memory::Window(600_000)),
            (
                signed("customer-io", ", tolerance_s = 20"),
                Memory::Window(60_000),
            ),
        ] {
            assert_eq!(memory(&listener), expected);
        }
    }

    fn found(kind: Kind, query: &str, body: &str) -> Found {
        Transaction::find(kind, query, body.as_bytes())
    }

    /// The result of the decoder.
    fn read(query: &str, content_type: &str, body: &str) -> Found {
        let meta = Meta {
            content_type: Some(content_type.to_owned()),
            query: Some(query.to_owned()),
            ..Meta::default()
        };
        let read = body::read(&meta, body.as_bytes(), body::Limits::default()).unwrap();
        sync::dedup(&read.value).map_or(Found::Nothing, Found::Key)
    }

    #[test]
    #[rustfmt::skip] // One case a line reads as a table.
    fn one_transaction_has_one_key_in_every_notation() {
        let plain = "transactionid=77&contact[id]=5&contact[email]=ann@example.org";
        let expected = found(Kind::Form, "", plain);
        assert!(matches!(expected, Found::Key(_)));
        let (form, json) = ("application/x-www-form-urlencoded", "application/json");
        let xml = "<sync><transactionid>77</transactionid><contact><id>5</id><email>ann@example.org</email></contact></sync>";
        assert_eq!(read("", "text/xml", xml), expected);
        for (kind, content_type, query, body) in [
            (Kind::Form, form, "", plain),
            (Kind::Form, form, "", "contact%5Bemail%5D=ann%40example.org&contact%5Bid%5D=5&transactionid=77&fields[0][id]=1"),
            (Kind::Form, form, "transactionid=1&contact[id]=5", "transactionid=77&contact[email]=ann@example.org"),
            (Kind::Empty, "", plain, ""),
            (Kind::Json, json, "", r#"{"transactionid":77,"contact":{"id":"5","email":"ann@example.org"},"fields":[]}"#),
            (Kind::Json, json, "", r#"{"contact":{"email":"ann@example.org","id":5},"transactionid":"77"}"#),
        ] {
            assert_eq!(found(kind, query, body), expected, "{body}");
            assert_eq!(read(query, content_type, body), expected, "{body}");
        }
    }

    #[test]
    fn another_contact_or_transaction_has_another_key() {
        let bodies = [
            "transactionid=77&contact[id]=5",
            "transactionid=78&contact[id]=5",
            "transactionid=77&contact[id]=6",
            "transactionid=77&contact[email]=5",
        ];
        for (at, one) in bodies.iter().enumerate() {
            for other in bodies.iter().skip(at + 1) {
                assert_ne!(found(Kind::Form, "", one), found(Kind::Form, "", other));
            }
        }
    }

    #[test]
    fn a_message_is_parsed_if_the_quick_search_is_unsure() {
        for (kind, body, expected) in [
            (Kind::Form, "contact[id]=5", Found::Nothing),
            (Kind::Form, "transactionid=&contact[id]=5", Found::Nothing),
            (Kind::Form, "transactionid=0&contact[id]=5", Found::Nothing),
            (Kind::Form, "transactionid=7", Found::Unsure),
            (Kind::Form, "transactionid=7&contact[0][id]=5", Found::Unsure),
            (Kind::Json, r#"{"transactionid":null}"#, Found::Nothing),
            // Only the lenient reader can decide whether it is broken.
            (Kind::Json, r#"{"transactionid":"#, Found::Unsure),
            (
                Kind::Json,
                r#"{"transactionid":7,"contact":[{"id":5}]}"#,
                Found::Unsure,
            ),
            (
                Kind::Json,
                r#"[{"transactionid":7,"contact":{"id":5}}]"#,
                Found::Unsure,
            ),
            (Kind::Multipart, "", Found::Unsure),
            (Kind::Xml, "<a/>", Found::Unsure),
            (Kind::Empty, " ", Found::Nothing),
        ] {
            assert_eq!(found(kind, "", body), expected, "{body}");
        }
    }
}
