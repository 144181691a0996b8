//! What tells a repeat: the sender's id where there is one, else the bytes for a while.

use std::borrow::Cow;

use causeway_core::{
    decode::{body, sync},
    envelope::{MessageKey, Meta, digest},
};
use percent_encoding::percent_decode;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{config::Preset, listener::Listener, shape::Kind};

/// The key, and for how many milliseconds it is remembered (`None`: for good).
pub(super) fn key(
    listener: &Listener,
    signed_id: Option<&str>,
    kind: Kind,
    meta: &Meta,
    body: &[u8],
) -> (MessageKey, Option<i64>) {
    let query = meta.query.as_deref().unwrap_or_default();
    if let Some(id) = signed_id {
        return (digest(&[b"id", id.as_bytes()]), None);
    }
    if kind == Kind::Multipart
        && let Ok(read) = body::read(meta, body, listener.limits.for_decoder())
    {
        return of_multipart(listener, &read.value);
    }
    if listener.preset == Preset::SyncToThirdParty
        && let Some(found) = Transaction::find(kind, query, body)
    {
        return (found.key(), None);
    }
    // Every message of Proca's names its own action or time: the same bytes never mean something new.
    let window_ms = (listener.preset != Preset::Proca).then_some(listener.dedup_window_ms);
    (digest(&[b"bytes", query.as_bytes(), body]), window_ms)
}

/// Senders draw a new boundary for each try: what counts is what was read.
fn of_multipart(listener: &Listener, read: &Value) -> (MessageKey, Option<i64>) {
    if listener.preset == Preset::SyncToThirdParty
        && let Some(key) = sync::dedup(read)
    {
        return (key, None);
    }
    let key = digest(&[b"multipart", read.to_string().as_bytes()]);
    (key, Some(listener.dedup_window_ms))
}

/// The platform's `transactionid` with the contact beside it: nobody has promised that the id is another one
/// for each contact, and a person taken for a repeat would be lost.
#[derive(Debug, Default, PartialEq, Eq)]
struct Transaction<'a> {
    id: Cow<'a, [u8]>,
    contact: Cow<'a, [u8]>,
    email: Cow<'a, [u8]>,
}

impl<'a> Transaction<'a> {
    fn find(kind: Kind, query: &'a str, body: &'a [u8]) -> Option<Self> {
        let mut found = Self::default();
        found.read_form(query.as_bytes());
        match kind {
            Kind::Form => found.read_form(body),
            Kind::Json => found.read_json(body),
            Kind::Multipart | Kind::Other => {}
        }
        // Senders fill what they do not know with nothing or 0.
        (!found.id.is_empty() && *found.id != *b"0").then_some(found)
    }

    fn key(&self) -> MessageKey {
        digest(&[b"sync", &self.id, &self.contact, &self.email])
    }

    /// Later pairs win over earlier ones, as everywhere in forms.
    fn read_form(&mut self, form: &'a [u8]) {
        for piece in form.split(|byte| *byte == b'&') {
            let mut halves = piece.splitn(2, |byte| *byte == b'=');
            let name = halves.next().unwrap_or_default();
            // Few names are looked at twice: most start with another letter.
            if !matches!(name.first(), Some(b't' | b'c' | b'%' | b'+' | b' ')) {
                continue;
            }
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

    fn read_json(&mut self, json: &'a [u8]) {
        let Ok(top) = serde_json::from_slice::<Top<'a>>(json) else {
            return;
        };
        if let Some(id) = top.transactionid {
            self.id = scalar(id);
        }
        let contact = top
            .contact
            .and_then(|raw| serde_json::from_str::<Contact<'a>>(raw.get()).ok())
            .unwrap_or_default();
        if let Some(id) = contact.id {
            self.contact = scalar(id);
        }
        if let Some(email) = contact.email {
            self.email = scalar(email);
        }
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

/// The text of a number or string, so that `7` and `"7"` are the same; nothing for `null`.
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

    fn key_of(kind: Kind, query: &str, body: &str) -> Option<MessageKey> {
        Transaction::find(kind, query, body.as_bytes()).map(|found| found.key())
    }

    #[test]
    fn one_transaction_has_one_key_however_it_is_written() {
        let plain = key_of(
            Kind::Form,
            "",
            "transactionid=77&contact[id]=5&contact[email]=ann@example.org",
        )
        .unwrap();
        for (kind, query, body) in [
            (
                Kind::Form,
                "",
                "contact%5Bemail%5D=ann%40example.org&contact%5Bid%5D=5&transactionid=77&fields[0][id]=1",
            ),
            (
                Kind::Form,
                "transactionid=1&contact[id]=5",
                "transactionid=77&contact[email]=ann@example.org",
            ),
            (
                Kind::Other,
                "transactionid=77&contact[id]=5&contact[email]=ann@example.org",
                "",
            ),
            (
                Kind::Json,
                "",
                r#"{"transactionid":77,"contact":{"id":"5","email":"ann@example.org"},"fields":[]}"#,
            ),
            (
                Kind::Json,
                "",
                r#"{"contact":{"email":"ann@example.org","id":5},"transactionid":"77"}"#,
            ),
        ] {
            assert_eq!(key_of(kind, query, body), Some(plain), "{body}");
        }
    }

    #[test]
    fn another_contact_or_transaction_has_another_key() {
        let keys: std::collections::BTreeSet<_> = [
            "transactionid=77&contact[id]=5",
            "transactionid=78&contact[id]=5",
            "transactionid=77&contact[id]=6",
            "transactionid=77&contact[email]=5",
            "transactionid=77",
        ]
        .iter()
        .map(|body| key_of(Kind::Form, "", body).unwrap())
        .collect();
        assert_eq!(keys.len(), 5);
    }

    #[test]
    fn an_empty_or_absent_transaction_gives_no_key() {
        for (kind, body) in [
            (Kind::Form, "contact[id]=5"),
            (Kind::Form, "transactionid="),
            (Kind::Form, "transactionid=0"),
            (Kind::Json, r#"{"transactionid":null}"#),
            (Kind::Json, r#"{"transactionid":"#),
            (Kind::Json, "[]"),
            (Kind::Other, "transactionid=5"),
        ] {
            assert_eq!(key_of(kind, "", body), None, "{body}");
        }
    }
}
