use std::{fs, io::Write as _, os::unix::fs::PermissionsExt, time::Duration};

use causeway_testkit::{
    clock::TestClock,
    destination_contract::{self, Faults, delivery},
};
use tempfile::TempDir;

use super::*;
use crate::config::Context;

struct Folder {
    dir: TempDir,
    clock: Arc<TestClock>,
}

impl Folder {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            clock: Arc::default(),
        }
    }

    /// A destination as in a program that was just started.
    fn destination(&self, config: &str) -> FileDestination {
        let config: Config = toml::from_str(config).unwrap();
        FileDestination {
            plan: Arc::new(Plan::new(&config, self.dir.path(), &Tables::default()).unwrap()),
            clock: Arc::<TestClock>::clone(&self.clock),
            writer: Arc::default(),
        }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

async fn deliver(destination: &FileDestination, numbers: impl IntoIterator<Item = i64>) {
    let batch: Vec<Delivery> = numbers.into_iter().map(delivery).collect();
    let results = destination.deliver(&batch).await;
    let all = results
        .iter()
        .all(|result| result.outcome == Outcome::Delivered { remote_id: None });
    assert!(all && results.len() == batch.len(), "{results:?}");
}

fn key(number: i64) -> String {
    delivery(number).key.0
}

const CSV: &str = "path = 'p.csv'\nfields = { n = 'action.id', comment = 'action.fields.comment' }";
const JSONL: &str = "path = 'p.jsonl'\nfields = { n = 'action.id', comment = 'action.fields.comment' }";

/// The lines that [`CSV`] makes, without the header; the comment has a line break.
fn csv_lines(numbers: impl IntoIterator<Item = i64>) -> String {
    let lines = numbers
        .into_iter()
        .map(|n| format!("{},{n},\"Save\nthe river\"\n", key(n)));
    lines.collect()
}

#[tokio::test]
async fn keeps_the_destination_contract() {
    for config in ["path = 'a/{date}/p.csv'", "path = 'p.jsonl'", CSV, JSONL] {
        let folder = Folder::new();
        folder.write("plain", "");
        let below_a_file = config.replacen("path = '", "path = 'plain/", 1);
        destination_contract::run_local(Faults {
            refused: Some(Box::new(folder.destination(&below_a_file))),
            ..Faults::none(Box::new(folder.destination(config)), 20)
        })
        .await;
    }
}

#[tokio::test]
async fn each_record_is_one_line_under_the_header() {
    let folder = Folder::new();
    deliver(&folder.destination(CSV), 1..=2).await;
    assert_eq!(
        folder.read("p.csv"),
        format!("delivery,n,comment\n{}", csv_lines(1..=2))
    );
    deliver(&folder.destination(JSONL), 1..=1).await;
    let line = format!(
        "{{\"delivery\":\"{}\",\"n\":\"1\",\"comment\":\"Save\\nthe river\"}}\n",
        key(1)
    );
    assert_eq!(folder.read("p.jsonl"), line);
    let mode = fs::metadata(folder.dir.path().join("p.csv"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn the_whole_record_is_written_without_a_mapping() {
    let folder = Folder::new();
    deliver(&folder.destination("path = 'p.ndjson'"), 1..=1).await;
    let mut line: serde_json::Value = serde_json::from_str(&folder.read("p.ndjson")).unwrap();
    line.as_object_mut().unwrap().shift_remove("delivery");
    assert_eq!(line, delivery(1).record.to_json());

    deliver(&folder.destination("path = 'p.csv'"), 1..=1).await;
    let mut reader = csv::Reader::from_path(folder.dir.path().join("p.csv")).unwrap();
    let row: std::collections::BTreeMap<String, String> = reader.deserialize().next().unwrap().unwrap();
    assert_eq!(row["email"], "person1@example.org");
    assert_eq!(row["lastName"], "Példa, \"jr\"");
    assert_eq!(row["fields"], r#"{"comment":"Save\nthe river"}"#);
}

#[tokio::test]
async fn records_that_are_in_the_file_are_not_written_again() {
    for (config, name) in [(CSV, "p.csv"), (JSONL, "p.jsonl")] {
        let folder = Folder::new();
        let destination = folder.destination(config);
        deliver(&destination, [1, 2, 2, 1]).await;
        deliver(&destination, 1..=3).await;
        drop(destination);
        deliver(&folder.destination(config), 2..=4).await;
        let text = folder.read(name);
        for number in 1..=4 {
            assert_eq!(text.matches(&key(number)).count(), 1, "{name}: {number}");
        }
    }
}

#[tokio::test]
async fn half_a_line_left_by_a_kill_is_cut_off_wherever_it_ends() {
    for (config, name) in [(CSV, "p.csv"), (JSONL, "p.jsonl")] {
        let folder = Folder::new();
        deliver(&folder.destination(config), 1..=2).await;
        let whole = folder.read(name);
        deliver(&folder.destination(config), 3..=4).await;
        let after = folder.read(name);
        let ends = (0..whole.len()).step_by(9).chain(whole.len()..=after.len());
        for end in ends {
            folder.write(name, &after[..end]);
            deliver(&folder.destination(config), 3..=4).await;
            let text = folder.read(name);
            if end >= whole.len() {
                assert_eq!(text, after, "{name} broken at {end}");
            }
            let head = if config == CSV {
                "delivery,n,comment\n"
            } else {
                "{\"delivery\":\""
            };
            assert!(text.starts_with(head), "{name} broken at {end}: {text}");
            assert!(
                text.ends_with(&after[whole.len()..]),
                "{name} broken at {end}: {text}"
            );
            assert_eq!(folder.names(), [name], "broken at {end}");
        }
    }
}

#[tokio::test]
async fn a_full_disk_leaves_whole_lines_and_is_retried() {
    let folder = Folder::new();
    let destination = folder.destination(CSV);
    deliver(&destination, 1..=2).await;
    let before = folder.read("p.csv");
    let write = destination.writer.lock().unwrap().write;
    // The first line fits, and half of the second.
    destination.writer.lock().unwrap().write = |file, bytes| {
        file.write_all(&bytes[..bytes.len() * 3 / 4])?;
        Err(std::io::ErrorKind::StorageFull.into())
    };
    let results = destination.deliver(&[delivery(3), delivery(4)]).await;
    let path = folder.dir.path().join("p.csv");
    for result in results {
        let reason = format!("writing {}: no storage space", path.display());
        assert_eq!(result.outcome, Outcome::Retry { reason, after: None });
    }
    assert_eq!(folder.read("p.csv"), before);
    destination.writer.lock().unwrap().write = write;
    deliver(&destination, 3..=4).await;
    assert_eq!(folder.read("p.csv"), before + &csv_lines(3..=4));
}

#[tokio::test]
async fn new_columns_begin_a_new_file_and_known_ones_keep_their_places() {
    let folder = Folder::new();
    deliver(&folder.destination(CSV), 1..=1).await;
    let first = folder.read("p.csv");

    let turned = "path = 'p.csv'\nfields = { comment = '=x', n = 'action.id' }";
    deliver(&folder.destination(turned), 2..=2).await;
    let fewer = "path = 'p.csv'\nfields = { comment = '=y' }";
    deliver(&folder.destination(fewer), 3..=3).await;
    let same_file = format!("{first}{},2,x\n{},,y\n", key(2), key(3));
    assert_eq!(folder.read("p.csv"), same_file);

    let more = "path = 'p.csv'\nfields = { email = 'contact.email', comment = '=z' }";
    deliver(&folder.destination(more), 3..=4).await;
    let expected = format!("delivery,n,comment,email\n{},,z,person4@example.org\n", key(4));
    assert_eq!(folder.read("p.csv"), expected);
    assert_eq!(folder.read("p-20260101T000000Z.csv"), same_file);
}

#[tokio::test]
async fn a_file_of_another_program_is_put_aside_unchanged() {
    let folder = Folder::new();
    let theirs = "name,email\nAda,ada@example.org\n";
    let broken = format!("delivery,n,comment\n\"{}", "never closed\n".repeat(100_000));
    for (text, aside) in [
        (theirs, "p-20260101T000000Z.csv"),
        (&broken, "p-20260101T000000Z-2.csv"),
    ] {
        folder.write("p.csv", text);
        deliver(&folder.destination(CSV), 1..=1).await;
        assert_eq!(folder.read(aside), text);
        assert_eq!(
            folder.read("p.csv"),
            format!("delivery,n,comment\n{}", csv_lines(1..=1))
        );
    }
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_created_again() {
    let folder = Folder::new();
    let destination = folder.destination(CSV);
    deliver(&destination, 1..=1).await;
    fs::rename(folder.dir.path().join("p.csv"), folder.dir.path().join("old.csv")).unwrap();
    deliver(&destination, 2..=2).await;
    assert_eq!(
        folder.read("p.csv"),
        format!("delivery,n,comment\n{}", csv_lines(2..=2))
    );
    // A file that somebody added to is read again.
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(folder.dir.path().join("p.csv"))
        .unwrap();
    file.write_all(b"half a li").unwrap();
    deliver(&destination, 3..=3).await;
    assert_eq!(
        folder.read("p.csv"),
        format!("delivery,n,comment\n{}", csv_lines(2..=3))
    );
}

#[tokio::test]
async fn a_file_that_has_grown_is_put_aside() {
    let folder = Folder::new();
    let destination = folder.destination(&format!("{CSV}\nrotate_mb = 1"));
    // About 60 bytes a line.
    for start in (0..20_000_i64).step_by(4_000) {
        deliver(&destination, start..start + 4_000).await;
    }
    let names = folder.names();
    assert!(names.len() >= 2, "{names:?}");
    let mut all = String::new();
    for name in &names {
        let text = folder.read(name);
        assert!(text.len() <= 1_000_000, "{name} has {} bytes", text.len());
        assert!(text.starts_with("delivery,n,comment\n"), "{name}");
        all.push_str(&text);
    }
    let expected = csv_lines(0..20_000).len() + names.len() * "delivery,n,comment\n".len();
    assert_eq!(all.len(), expected);
}

#[tokio::test]
async fn each_day_has_its_own_file() {
    let folder = Folder::new();
    let destination = folder.destination("path = 'out/{date}.csv'\nfields = { n = 'action.id' }");
    deliver(&destination, 1..=1).await;
    folder.clock.advance(Duration::from_hours(24));
    deliver(&destination, 1..=2).await;
    assert_eq!(
        folder.read("out/2026-01-01.csv"),
        format!("delivery,n\n{},1\n", key(1))
    );
    assert_eq!(
        folder.read("out/2026-01-02.csv"),
        format!("delivery,n\n{},2\n", key(2))
    );
}

#[tokio::test]
async fn two_writers_never_write_to_one_file() {
    let folder = Folder::new();
    let (one, other) = (folder.destination(CSV), folder.destination(CSV));
    deliver(&one, 1..=1).await;
    let results = other.deliver(&[delivery(2)]).await;
    assert_eq!(results[0].outcome.as_str(), "retry", "{results:?}");
    other.check().await.unwrap();
    drop(one);
    deliver(&other, 2..=2).await;
    assert_eq!(
        folder.read("p.csv"),
        format!("delivery,n,comment\n{}", csv_lines(1..=2))
    );
}

#[tokio::test]
async fn formulas_are_escaped_unless_configured_otherwise() {
    let cases = [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0"),
        ("-2+A1", "'-2+A1"),
        ("＝1", "'＝1"),
        ("+36 1 234-5678", "+36 1 234-5678"),
        ("-5", "-5"),
        ("a=b", "a=b"),
        ("", ""),
    ];
    for (text, escaped) in cases {
        for (escape, expected) in [(true, escaped), (false, text)] {
            let folder = Folder::new();
            let text = toml::Value::from(format!("={text}"));
            let config = format!("path = 'p.csv'\nescape_formulas = {escape}\nfields = {{ t = {text} }}");
            deliver(&folder.destination(&config), 1..=1).await;
            assert_eq!(
                folder.read("p.csv"),
                format!("delivery,t\n{},{expected}\n", key(1))
            );
        }
    }
}

/// Spreadsheets that split at semicolons find cells inside of the hub's cells.
#[tokio::test]
async fn formulas_in_the_middle_of_a_text_are_escaped() {
    let link = "=HYPERLINK(A1)";
    let cases = [
        (format!("hello;{link}"), format!("hello;'{link}")),
        (format!("hello; {link};b"), format!("hello;' {link};b")),
        (format!("a\t{link}"), format!("a\t'{link}")),
        (format!("a\n{link}"), format!("\"a\n'{link}\"")),
        ("a;@SUM(1)".to_owned(), "a;'@SUM(1)".to_owned()),
        (format!("a;\"{link}"), format!("\"a;'\"\"{link}\"")),
        (format!("{link};{link}"), format!("'{link};'{link}")),
        ("a;b; -5;+49 30 1".to_owned(), "a;b; -5;+49 30 1".to_owned()),
        ("x = 1; y = 2".to_owned(), "x = 1; y = 2".to_owned()),
    ];
    for (text, expected) in cases {
        let folder = Folder::new();
        let text = toml::Value::from(format!("={text}"));
        deliver(
            &folder.destination(&format!("path = 'p.csv'\nfields = {{ t = {text} }}")),
            1..=1,
        )
        .await;
        assert_eq!(
            folder.read("p.csv"),
            format!("delivery,t\n{},{expected}\n", key(1))
        );
    }
    // In a list or an object, too.
    let folder = Folder::new();
    let list = toml::Value::from(vec![format!("={link}"), format!("=a;{link}")]);
    deliver(
        &folder.destination(&format!("path = 'p.csv'\nfields = {{ t = {list} }}")),
        1..=1,
    )
    .await;
    assert!(
        folder.read("p.csv").contains(";'=HYPERLINK"),
        "{}",
        folder.read("p.csv")
    );
}

/// Names of columns with every character that CSV gives a meaning.
#[tokio::test]
async fn columns_keep_their_places_whatever_their_names() {
    let folder = Folder::new();
    let config =
        "path = 'p.csv'\n[fields]\n\"a\\nb\" = '=one'\n'c,d' = '=two'\n'e\"f' = '=three'\n\"g\\r\" = '=four'";
    deliver(&folder.destination(config), 1..=1).await;
    deliver(&folder.destination(config), 2..=2).await;
    assert_eq!(folder.names(), ["p.csv"]);
    let text = folder.read("p.csv");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    assert_eq!(
        reader.headers().unwrap(),
        vec!["delivery", "a\nb", "c,d", "e\"f", "g\r"]
    );
    for (row, number) in reader.records().zip(1..) {
        assert_eq!(
            row.unwrap(),
            vec![key(number).as_str(), "one", "two", "three", "four"]
        );
    }
}

#[tokio::test]
async fn a_check_leaves_nothing_behind() {
    let folder = Folder::new();
    folder.destination("path = 'a/b/p.csv'").check().await.unwrap();
    assert!(folder.names().is_empty());
    let directory = folder.destination("path = '.'").check().await;
    assert!(matches!(directory, Err(CheckError::Refused(_))), "{directory:?}");
}

#[test]
fn a_configuration_that_cannot_work_is_refused_by_key() {
    let cases = [
        ("", "path"),
        ("path = ''", "path"),
        ("path = '{date}'", "path"),
        ("path = 'out/'", "path"),
        ("path = '{day}.csv'", "path"),
        ("path = 'a'\nformat = 'xls'", "format"),
        ("path = 'a'\nfields = { delivery = 'at' }", "fields.delivery"),
        ("path = 'a'\nfields = { x = '' }", "fields.x"),
        ("path = 'a'\nrotate = 1", "rotate"),
    ];
    for (text, key) in cases {
        let error = (KIND.parse)(&Tables::default(), &toml::from_str(text).unwrap()).unwrap_err();
        assert!(
            error.key == key || error.message.contains(&format!("`{key}`")),
            "{text}: {error:?}"
        );
    }
}

#[test]
fn a_preview_is_the_line() {
    let context = Context {
        name: "f".into(),
        clock: Arc::<TestClock>::default(),
        dir: PathBuf::new(),
        tables: Tables::default(),
        vault: crate::vault::NoVault::shared(),
    };
    let table = toml::from_str("path = 'p.csv'\nfields = { n = 'action.id' }").unwrap();
    let lines = (KIND.preview)(&context, &table, &[delivery(1)]).unwrap();
    assert_eq!(lines, [Ok(format!("{},1", key(1)))]);
}

#[tokio::test]
async fn no_field_of_a_stranger_stops_a_row() {
    use causeway_core::{consent::Change, delivery::Kind};
    use serde_json::json;

    let mut hostile = delivery(1);
    let record = &mut hostile.record;
    let fields = json!({
        "\u{0}": "x", "a\nb": "x", "delivery": "cw_eve", "type": "x", "firstName": "A\r\n\u{0}\"", "lastName": "x".repeat(70_000),
        "phone": "none", "country": ["x"],
    });
    let fields = fields.as_object().unwrap().clone();
    let custom = (0..20_000).map(|n| (format!("f{n}"), json!("x".repeat(10))));
    record.action.as_mut().unwrap().custom_fields = fields.clone().into_iter().chain(custom).collect();
    record
        .contact
        .set_fields(&fields.into_iter().collect(), record.event_at);
    let mapped = "fields = { email = 'contact.email', change = 'change', phone = 'contact.phone | phone', \
                  name = 'contact.lastName | upper', all = 'contact' }";
    for (config, kind, change, notes) in [
        ("path = 'p.csv'", Kind::Record, Change::Subscribe, 0),
        ("path = 'p.csv'", Kind::Withdrawal, Change::Unsubscribe, 0),
        ("path = 'p.jsonl'", Kind::Record, Change::Subscribe, 0),
        ("path = 'p.jsonl'", Kind::Withdrawal, Change::Unsubscribe, 0),
        (
            &format!("path = 'p.csv'\n{mapped}"),
            Kind::Withdrawal,
            Change::Unsubscribe,
            2,
        ),
        (
            &format!("path = 'p.jsonl'\n{mapped}"),
            Kind::Withdrawal,
            Change::Unsubscribe,
            2,
        ),
    ] {
        let folder = Folder::new();
        (hostile.record.kind, hostile.record.change) = (kind, change);
        let result = folder
            .destination(config)
            .deliver(std::slice::from_ref(&hostile))
            .await
            .remove(0);
        assert_eq!(
            result.outcome,
            Outcome::Delivered { remote_id: None },
            "{config}: {result:?}"
        );
        assert_eq!(result.notes.len(), notes, "{config}: {:?}", result.notes);
        let name = if config.contains("jsonl") {
            "p.jsonl"
        } else {
            "p.csv"
        };
        let written = folder.read(name);
        if name == "p.jsonl" {
            let line: serde_json::Value = serde_json::from_str(&written).unwrap();
            assert_eq!(line["delivery"], key(1), "{config}");
        } else {
            let mut rows = csv::Reader::from_reader(written.as_bytes());
            let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
            assert_eq!(rows.len(), 1, "{config}");
            assert_eq!(&rows[0][0], key(1), "{config}");
            assert!(
                rows[0].iter().any(|cell| cell == "person1@example.org"),
                "{config}"
            );
        }
    }
}

/// What the attempts keep for the trace.
async fn kept(destination: &FileDestination, numbers: impl IntoIterator<Item = i64>) -> Vec<String> {
    let batch: Vec<Delivery> = numbers.into_iter().map(delivery).collect();
    let results = destination.deliver(&batch).await;
    results
        .into_iter()
        .map(|result| result.request.unwrap())
        .collect()
}

#[tokio::test]
async fn each_attempt_keeps_its_line_and_the_name_of_the_file() {
    let folder = Folder::new();
    let head = |name: &str| format!("FILE {}", folder.dir.path().join(name).display());
    let csv = folder.destination(CSV);
    let found = kept(&csv, [1, 2, 1]).await;
    let line = |number| csv_lines([number]).trim_end().to_owned();
    let expected = |number| format!("{}\n\ndelivery,n,comment\n{}", head("p.csv"), line(number));
    let nothing = format!(
        "{}\n\nnothing: the line of this delivery is in the file already",
        head("p.csv")
    );
    assert_eq!(found, [expected(1), expected(2), nothing.clone()]);
    // The program was killed before it could record the attempt.
    drop(csv);
    assert_eq!(kept(&folder.destination(CSV), [2]).await, [nothing]);
    let found = kept(&folder.destination(JSONL), [3]).await;
    let line = folder.read("p.jsonl");
    assert_eq!(found, [format!("{}\n\n{}", head("p.jsonl"), line.trim_end())]);
}

#[tokio::test]
async fn a_failed_attempt_keeps_the_line_that_was_not_written() {
    let folder = Folder::new();
    let csv = folder.destination(CSV);
    csv.writer.lock().unwrap().write = |_, _| Err(io_error());
    let results = csv.deliver(&[delivery(1)]).await;
    assert!(matches!(results[0].outcome, Outcome::Retry { .. }), "{results:?}");
    let request = results[0].request.as_deref().unwrap();
    assert!(request.ends_with(csv_lines([1]).trim_end()), "{request}");
    assert_eq!(folder.read("p.csv"), "delivery,n,comment\n");
    // A file that cannot be opened gets no line.
    folder.write("plain", "");
    let below = folder.destination(&CSV.replace("p.csv", "plain/p.csv"));
    let results = below.deliver(&[delivery(1)]).await;
    assert!(matches!(results[0].outcome, Outcome::Halt { .. }), "{results:?}");
    let path = folder.dir.path().join("plain/p.csv");
    assert_eq!(results[0].request, Some(format!("FILE {}", path.display())));
}

fn io_error() -> std::io::Error {
    std::io::ErrorKind::StorageFull.into()
}
