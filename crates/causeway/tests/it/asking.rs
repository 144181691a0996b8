//! Read-only commands and dry runs change nothing in the store of a running hub, not even with another configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use rusqlite::{Connection, OpenFlags, types::Value};
use serde_json::json;

use crate::running::{Home, Running, signature, status};

/// Whether a command may change the store.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// The command only reads the store. All of its lines are run.
    Asks,
    /// The command changes the store. Its lines here are dry runs or find nothing to do, so they change nothing either.
    Writes,
}

use Sort::{Asks, Writes};

/// A command line and its exit code.
type Lines = &'static [(&'static str, i32)];

/// Every command with its lines and their exit codes beside a running hub. Add a new command here; a command with `--dry-run`
/// needs a line with it.
const COMMANDS: [(&str, Sort, Lines); 44] = [
    ("audit", Asks, &[("audit", 0), ("audit --json", 0)]),
    ("backfill", Writes, &[("backfill crm --dry-run", 0)]),
    ("backup", Asks, &[("backup copy.db", 0)]),
    ("config check", Asks, &[("config check", 0)]),
    (
        "config diff",
        Asks,
        &[("config diff causeway.toml other.toml --json", 0)],
    ),
    ("config sample", Asks, &[("config sample", 0)]),
    ("config schema", Asks, &[("config schema", 0)]),
    // Nobody signs in at a web hook.
    ("connect", Writes, &[("connect crm", 2)]),
    ("contact conflicts", Asks, &[("contact conflicts", 0)]),
    ("contact consent", Asks, &[("contact consent ada@example.org", 0)]),
    // Without --yes.
    ("contact erase", Writes, &[("contact erase ada@example.org", 2)]),
    ("contact export", Asks, &[("contact export ada@example.org", 0)]),
    ("contact leaving", Asks, &[("contact leaving", 0)]),
    ("contact show", Asks, &[("contact show ada@example.org", 0)]),
    // Without --yes.
    (
        "contact split",
        Writes,
        &[("contact split ada@example.org --take ada@example.org", 1)],
    ),
    ("delivery discard", Writes, &[("delivery discard 999", 0)]),
    (
        "delivery list",
        Asks,
        &[("delivery list", 0), ("delivery list --destination crm", 0)],
    ),
    ("delivery pause", Writes, &[("delivery pause nowhere", 2)]),
    ("delivery resume", Writes, &[("delivery resume nowhere", 2)]),
    ("delivery retry", Writes, &[("delivery retry 999", 0)]),
    // It starts its own hub.
    ("demo", Asks, &[]),
    ("destination create", Asks, &[("destination create members", 0)]),
    ("destination forget", Writes, &[("destination forget nowhere", 2)]),
    ("destination kinds", Asks, &[("destination kinds", 0)]),
    ("destination sample", Asks, &[("destination sample webhook", 0)]),
    ("destination table", Asks, &[("destination table", 0)]),
    // There is no broker.
    ("doctor", Asks, &[("doctor --timeout 1", 1)]),
    // The running hub has not read this source.
    (
        "import",
        Writes,
        &[
            ("import nothing.jsonl --source proca", 2),
            ("import nothing.jsonl --source proca --dry-run", 2),
        ],
    ),
    ("keys generate", Asks, &[("keys generate keys.json", 0)]),
    ("keys check", Asks, &[("keys check keys.json", 0)]),
    (
        "migrate proca-sync",
        Asks,
        &[("migrate proca-sync .env.rivers", 0)],
    ),
    (
        "preview",
        Asks,
        &[
            ("preview --destination crm --email ada@example.org", 0),
            ("preview --destination archive --message 1", 0),
        ],
    ),
    // The hub reads another file.
    ("reload", Writes, &[("reload", 2)]),
    ("replay", Writes, &[("replay 999", 0)]),
    ("send", Writes, &[("send new.json --source proca --dry-run", 0)]),
    // A hub is already running on the store.
    ("serve", Writes, &[("serve", 1)]),
    ("source revoke", Writes, &[("source revoke forms nobody", 2)]),
    ("source rotate", Writes, &[("source rotate forms nobody", 2)]),
    ("source url", Writes, &[("source url nowhere --label x", 2)]),
    ("source urls", Asks, &[("source urls", 0)]),
    (
        "store acknowledge-clock",
        Writes,
        &[("store acknowledge-clock", 0)],
    ),
    ("store migrate", Writes, &[("store migrate", 1)]),
    ("test", Asks, &[("test", 0)]),
    (
        "trace",
        Asks,
        &[("trace 1", 0), ("trace --email ada@example.org", 0)],
    ),
];

/// The commands without subcommands, with their options.
fn leaves(command: &clap::Command, above: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
    let mut below = command
        .get_subcommands()
        .filter(|below| below.get_name() != "help")
        .peekable();
    if below.peek().is_none() {
        let options = command.get_arguments().filter_map(|option| option.get_long());
        found.insert(above.to_owned(), options.map(str::to_owned).collect());
    }
    for below in below {
        leaves(below, format!("{above} {}", below.get_name()).trim(), found);
    }
}

/// Every row of every table, as text.
fn tables(database: &Path) -> BTreeMap<String, Vec<String>> {
    let db = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store");
    let all = |sql: &str| -> Vec<Vec<Value>> {
        let mut statement = db.prepare(sql).expect("SQL");
        let columns = statement.column_count();
        statement
            .query_map([], |row| (0..columns).map(|column| row.get(column)).collect())
            .expect("rows")
            .map(|row| row.expect("a row"))
            .collect()
    };
    let mut tables = BTreeMap::new();
    for name in all("SELECT name FROM sqlite_schema WHERE type = 'table'") {
        let Some(Value::Text(name)) = name.first() else {
            panic!("a name: {name:?}");
        };
        let mut rows: Vec<String> = all(&format!("SELECT * FROM \"{name}\""))
            .iter()
            .map(|row| format!("{row:?}"))
            // A counter of the running hub's own checks.
            .filter(|row| !row.contains("\"pulse\""))
            .collect();
        rows.sort();
        tables.insert(name.clone(), rows);
    }
    let version = all("PRAGMA user_version");
    tables.insert("user_version".to_owned(), vec![format!("{version:?}")]);
    tables
}

const OLD: &str = "[source.proca]\nkind = 'proca'\nurl = 'amqp://u:p@127.0.0.1:1/v'\nqueue = 'cus.12.deliver'\nconsent = 'double_opt_in'\n\
     [source.forms]\nkind = 'listener'\npreset = 'generic'\ntoken = 'formstoken-4kq81xw9z7-0123456789'\n\
     [destination.newsletter]\nkind = 'webhook'\nurl = 'https://hook.invalid/'\nconsent = 'double_opt_in'\n\
     [destination.newsletter.fields]\nEMAIL = 'contact.email'\n\
     [destination.archive]\nkind = 'file'\npath = 'archive.jsonl'\nconsent = 'all'\n";

/// A configuration with other `own_orgs`, a renamed destination, and an additional destination, source and workspace.
fn other() -> String {
    let changed = OLD
        .replace(
            "consent = 'double_opt_in'\n[source.forms]",
            "consent = 'double_opt_in'\nown_orgs = [12, 99]\n[source.forms]",
        )
        .replace("destination.newsletter", "destination.crm");
    format!(
        "[http]\nlisten = '127.0.0.1:0'\nconsole = '127.0.0.1:0'\n{changed}\
         [destination.members]\nkind = 'sql'\nurl = 'sqlite:members.db'\nconsent = 'all'\ncontacts = {{ table = 'contacts' }}\n\
         [source.events]\nkind = 'listener'\npreset = 'generic'\ntoken = 'eventstoken-4kq81xw9z7-0123456789'\nworkspace = 'club'\n\
         [[test]]\nname = 'it is read'\nmessage = {{ file = 'new.json' }}\nsource = 'proca'\nexpect_contact = {{ firstName = 'cleo' }}\n"
    )
}

/// Ada confirmed on the page of another organisation, so her signature is not delivered.
fn home() -> Home {
    let home = Home::new(OLD);
    let mut confirmed = status(1, "ada", "double_opt_in");
    confirmed["supporter"]["privacy"]["optIn"] = json!(null);
    let signed = signature(99, 1, "ada", Some(true));
    home.write(
        "people.jsonl",
        format!("{signed}\n{confirmed}\n{}\n", signature(12, 2, "ben", Some(true))),
    );
    home.write("new.json", signature(12, 3, "cleo", Some(true)).to_string());
    home.write("nothing.jsonl", "");
    home.write("other.toml", other());
    home.write(".env.rivers", "PROCA_QUEUE=cus.3.deliver\nPROCA_USERNAME=csv\nPROCA_PASSWORD=hidden-5\nPROCA_URL=queue.example.org/vhost\nCRM=csv\nCSV_PATH=data/all.csv\n");
    home.ok(&["import", "people.jsonl", "--source", "proca"]);
    // Nothing is attempted while the tables are compared.
    home.ok(&["delivery", "pause", "newsletter"]);
    home
}

async fn quiet_hub(home: &Home) -> Running {
    let hub = home.serve();
    home.until("everything is processed and archived", || {
        let audit = home.json(&["audit", "--json"]);
        audit["sources"]["proca"]["done"] == 3 && audit["destinations"]["archive"]["waiting"] == 0
    })
    .await;
    hub
}

fn words(line: &str) -> Vec<&str> {
    [vec!["--config", "other.toml"], line.split(' ').collect()].concat()
}

#[test]
fn every_command_is_listed_as_reading_or_writing() {
    let mut found = BTreeMap::new();
    leaves(&causeway::cli::command(), "", &mut found);
    let known: BTreeSet<&str> = COMMANDS.iter().map(|(name, ..)| *name).collect();
    let names: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(known, names, "say of each whether it may change the store");
    for (name, _, lines) in COMMANDS {
        let is_dry = |(line, _): &(&str, i32)| line.contains("--dry-run");
        assert!(
            !found[name].contains("dry-run") || lines.iter().any(is_dry),
            "{name} needs a line with --dry-run"
        );
        assert!(lines.iter().all(|(line, _)| line.starts_with(name)), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_commands_change_no_row_beside_a_running_hub() {
    let home = home();
    let hub = quiet_hub(&home).await;
    let database = home.path("causeway-data/causeway.db");
    let before = tables(&database);
    assert!(before["delivery"].len() >= 5, "{:?}", before["delivery"]);
    let lines = COMMANDS.iter().flat_map(|(_, _, lines)| lines.iter());
    for (line, code) in lines {
        let said = home.run(&words(line));
        assert_eq!(said.code, *code, "{line}: {said:?}");
        let after = tables(&database);
        for (table, rows) in &before {
            assert_eq!(rows, &after[table], "{line} changed the table {table}");
        }
        assert_eq!(before.keys().count(), after.keys().count(), "{line} made a table");
    }

    // Commands that write do not apply the rules of their configuration.
    for line in [
        "send people.jsonl --source forms --wait 0",
        "delivery pause crm",
        "source url events --label club",
    ] {
        home.ok(&words(line));
    }
    let after = tables(&database);
    assert_eq!(before["page"], after["page"]);
    for row in &before["delivery"] {
        assert!(
            after["delivery"].contains(row),
            "{row} is now {:?}",
            after["delivery"]
        );
    }
    let names = after["name"].concat();
    assert!(names.contains("crm"), "it was paused by name: {names}");
    for name in ["members", "club"] {
        assert!(!names.contains(name), "{name} is in {names}");
    }
    hub.stop();
}

#[test]
fn read_only_commands_do_not_migrate_an_older_store() {
    let home = home();
    let database = home.path("causeway-data/causeway.db");
    {
        let db = Connection::open(&database).expect("the store");
        let version: u32 = db
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .expect("a number");
        db.pragma_update(None, "user_version", version - 1)
            .expect("an older one");
    }
    let before = tables(&database);
    let lines = COMMANDS
        .iter()
        .filter(|(name, ..)| !["serve", "store migrate"].contains(name));
    for (line, _) in lines.flat_map(|(_, _, lines)| lines.iter()) {
        let said = home.run(&words(line));
        assert_eq!(before, tables(&database), "{line}: {said:?}");
    }
    for line in [
        "audit",
        "contact show ada@example.org",
        "delivery list",
        "import people.jsonl --source proca",
    ] {
        let said = home.run(&words(line));
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains("causeway store migrate"), "{said:?}");
    }
    home.ok(&words("backup older.db"));
}
