//! Compares the stored messages and the received deliveries with the messages that were sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use causeway_core::id::IdempotencyKey;
use causeway_testkit::fake_api::{FakeApi, Request};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use super::{Live, messages::agreed};

/// An accepted message that is not a duplicate.
#[derive(Debug)]
struct StoredMessage {
    id: i64,
    source: String,
    state: String,
    key: Vec<u8>,
    number: u64,
}

impl StoredMessage {
    /// The idempotency key that the program must derive at every attempt.
    fn key_for(&self, destination: &str) -> String {
        IdempotencyKey::derive("default", &self.source, &self.key, destination, "record").0
    }
}

fn kept(live: &Live) -> Vec<StoredMessage> {
    let path = live.folder().join("data/causeway.db");
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).expect("the database");
    let mut rows = connection
        .prepare(
            "SELECT inbox.id, name.name, state, inbox.key, body FROM inbox JOIN name ON name.id = source_id
             JOIN inbox_body ON inbox_body.id = inbox.id WHERE state <> 'duplicate' ORDER BY inbox.id",
        )
        .expect("a question");
    let rows = rows.query_map([], |row| {
        let body: Value = serde_json::from_slice(&row.get::<_, Vec<u8>>(4)?).expect("a body of ours");
        Ok(StoredMessage {
            id: row.get(0)?,
            source: row.get(1)?,
            state: row.get(2)?,
            key: row.get(3)?,
            number: body["actionId"].as_u64().expect("a number"),
        })
    });
    rows.expect("rows").map(|row| row.expect("a row")).collect()
}

/// The body and the key of each request for a path, in the order in which they came.
fn asked(api: &FakeApi, path: &str) -> Vec<(String, Value)> {
    let requests = api.requests();
    let of_path = requests.iter().filter(|request| request.path == path);
    let read = |request: &Request| {
        (
            request.header("idempotency-key").expect("a key").to_owned(),
            request.json(),
        )
    };
    of_path.map(read).collect()
}

fn number(record: &Value) -> u64 {
    let id = record["action"]["id"].as_str().expect("an action");
    id.parse().expect("a number")
}

/// Checks that every accepted message is stored once, and was delivered once to a file with everybody and to an API with
/// opt-ins. Called after the program has stopped with nothing waiting.
pub struct Proof<'a> {
    pub live: &'a Live,
    pub sent: &'a BTreeSet<u64>,
}

impl Proof<'_> {
    /// Returns the number of recognised duplicates.
    pub async fn books_balance(&self) -> i64 {
        let (code, audit) = self.live.ask(&["audit"]).await;
        assert_eq!(code, Some(0), "the books do not balance: {audit:#}");
        let sources: Vec<&Value> = audit["sources"].as_object().expect("sources").values().collect();
        let sum = |key: &str| -> i64 {
            sources
                .iter()
                .map(|books| books[key].as_i64().expect("a count"))
                .sum()
        };
        let taken = i64::try_from(self.sent.len()).expect("a count");
        assert_eq!(sum("done"), taken, "{audit:#}");
        assert_eq!(sum("received"), taken + sum("duplicate"), "{audit:#}");
        assert_eq!(audit["gaps"], serde_json::json!([]), "no action is missing");
        sum("duplicate")
    }

    pub fn everything_is_kept_once(&self) {
        let rows = kept(self.live);
        let mut numbers: Vec<u64> = rows.iter().map(|row| row.number).collect();
        numbers.sort_unstable();
        let sent: Vec<u64> = self.sent.iter().copied().collect();
        let missing: Vec<_> = self
            .sent
            .difference(&numbers.iter().copied().collect())
            .copied()
            .collect();
        assert!(missing.is_empty(), "taken and not kept: {missing:?}");
        assert_eq!(numbers, sent, "kept more than once, or never sent");
        for row in &rows {
            assert_eq!(row.state, "done", "{row:?}");
        }
    }

    /// `is_taken(n)` says whether the n-th request (from 0) was accepted. Returns the number of repeated deliveries.
    pub fn reached_api(&self, api: &FakeApi, name: &str, is_taken: impl Fn(usize) -> bool) -> usize {
        let rows = kept(self.live);
        let expected: BTreeMap<u64, String> = rows
            .iter()
            .filter(|row| agreed(row.number))
            .map(|row| (row.number, row.key_for(name)))
            .collect();
        let requests = asked(api, &format!("/{name}"));
        let mut taken = BTreeMap::new();
        let mut newest: BTreeMap<String, i64> = BTreeMap::new();
        for (place, (key, record)) in requests.iter().enumerate() {
            let number = number(record);
            assert!(
                agreed(number),
                "action {number} was sent against the person's will"
            );
            assert_eq!(
                Some(key),
                expected.get(&number),
                "action {number} under another key"
            );
            if is_taken(place) && taken.insert(number, key.clone()).is_none() {
                let reference = record["reference"].as_str().expect("a reference");
                let reference: i64 = reference.parse().expect("an inbox row");
                let person = record["contact"]["email"].as_str().expect("an address");
                let before = newest.insert(person.to_owned(), reference);
                assert!(
                    before < Some(reference),
                    "{person}: row {reference} came after {before:?}"
                );
            }
        }
        assert_eq!(taken, expected, "not everything reached {name}");
        requests.len() - taken.len()
    }

    /// Checks that the line of each delivery is in the file once.
    pub fn reached_file(&self, name: &str) {
        let expected: BTreeSet<String> = kept(self.live).iter().map(|row| row.key_for(name)).collect();
        let lines = lines(&self.live.folder().join(format!("{name}.jsonl")));
        let mut found = BTreeSet::new();
        for line in &lines {
            let key = line["delivery"].as_str().expect("a key").to_owned();
            assert!(found.insert(key), "twice in the file: {line}");
        }
        assert_eq!(found, expected);
    }

    /// Checks the output of `trace` for the first, a middle and the last message.
    pub async fn trace_agrees(&self, destination: &str) {
        let rows = kept(self.live);
        for row in [rows.first(), rows.get(rows.len() / 2), rows.last()] {
            let row = row.expect("a message");
            let (code, trace) = self.live.ask(&["trace", &row.id.to_string()]).await;
            assert_eq!(code, Some(0));
            let text = trace.to_string();
            assert!(text.contains(&row.key_for(destination)), "{trace:#}");
        }
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("the file");
    let read = |line: &str| serde_json::from_str(line).expect("a whole line");
    text.lines().map(read).collect()
}
