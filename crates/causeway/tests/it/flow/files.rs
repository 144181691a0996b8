//! Importing files.

use std::{fmt::Write as _, os::unix::fs::PermissionsExt};

use causeway_testkit::fake_api::FakeApi;
use rusqlite::{Connection, OpenFlags};

use crate::running::{Home, signature, sum};

fn home(hook: &str) -> Home {
    Home::new(&format!(
        "[source.proca]\nkind = 'listener'\npreset = 'proca'\ntoken = 'proca-token-of-24-characters'\n\
         proca = {{ own_orgs = [12], consent = 'single' }}\n\
         [source.members]\nkind = 'listener'\npreset = 'generic'\ntoken = 'members-token-of-24-chars'\n\
         generic = {{ consent_from = [{{ field = 'newsletter', opt_in = ['yes'], unsubscribed = ['no'] }}] }}\n\
         [destination.hook]\nkind = 'webhook'\nurl = '{hook}'\nallow_private = true\nconsent = 'all'\n"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_stored_once_however_often_it_is_imported() {
    let api = FakeApi::start().await;
    let home = home(&api.url("/hook"));
    let lines: Vec<String> = (1..=3)
        .map(|id| signature(12, id, &format!("p{id}"), Some(true)).to_string())
        .collect();
    home.write("backlog.jsonl", lines.join("\n") + "\n\nnot JSON\n");
    let import = ["import", "backlog.jsonl", "--source", "proca"];
    let said = home.run(&import);
    assert_eq!(said.code, 3, "one row is no message: {said:?}");
    for part in [
        "4 rows read: 4 new, 0 known already",
        "The hub is not running",
        "line 5: malformed",
        "consent for email: 3 opt_in",
    ] {
        assert!(said.out.contains(part), "{part}: {said:?}");
    }
    let mode = std::fs::metadata(home.path("causeway-data"))
        .expect("the folder")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700, "personal data is for its owner only");
    let said = home.ok(&import);
    assert!(said.contains("4 rows read: 0 new, 4 known already"), "{said}");

    let hub = home.serve();
    home.settled(4).await;
    assert_eq!(api.requests().len(), 3);
    assert_eq!(home.trace(4)["inbox"]["code"], "malformed");
    assert_eq!(home.run(&["audit"]).code, 0);
    hub.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_row_of_a_file_that_cannot_be_read_completely_is_stored() {
    let api = FakeApi::start().await;
    let home = home(&api.url("/hook"));
    let mut csv = b"E-Mail,Given name,Note\n".to_vec();
    for row in 1..=1200 {
        // An unclosed quotation mark makes the row longer than the limit.
        let note = if row == 1100 { '"' } else { 'x' };
        let name = if row == 1101 {
            "Ann".to_owned()
        } else {
            format!("\"Ann, {row}\"")
        };
        csv.extend_from_slice(format!("member{row}@example.org,{name},{note}\n").as_bytes());
        if row == 1100 || row == 1101 {
            csv.resize(csv.len() + (9 << 20), b'\n');
        }
    }
    home.write("members.csv", &csv);
    let import = [
        "import",
        "members.csv",
        "--source",
        "members",
        "--map",
        "E-Mail=email",
        "--map",
        "Given name=firstName",
    ];
    let said = home.run(&import);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("line 1101"), "it names the line: {said:?}");
    assert!(!home.path("causeway-data").exists(), "nothing is stored");
    let corrected = String::from_utf8(csv).expect("text").replace(",\"\n", ",x\n");
    home.write("members.csv", corrected);
    let said = home.ok(&import);
    assert!(said.contains("1200 new, 0 known already"), "{said}");

    let hub = home.serve();
    home.settled(1200).await;
    let audit = home.json(&["audit", "--json"]);
    assert_eq!(audit["destinations"]["hook"]["delivered"], 1200, "{audit}");
    let first = api
        .requests()
        .iter()
        .any(|request| request.json()["contact"]["firstName"] == "Ann, 7");
    assert!(first, "columns are mapped");
    hub.stop();

    for (wrong, says) in [
        (
            vec!["import", "members.csv", "--source", "none"],
            "there is no source",
        ),
        (vec!["import", "members.txt", "--source", "members"], "--format"),
    ] {
        let said = home.run(&wrong);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains(says), "{said:?}");
    }
}

/// An import killed at any point and run again stores each row once, and the last row of a person counts.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_import_continues_and_stores_no_row_twice() {
    const ROWS: usize = 20_000;
    let home = home("http://127.0.0.1:9/hook");
    let mut csv = "email,newsletter\n".to_owned();
    for row in 0..ROWS {
        // Each person has two rows: an opt-out, and later an opt-in.
        let (person, newsletter) = (row % (ROWS / 2), if row < ROWS / 2 { "no" } else { "yes" });
        writeln!(csv, "member{person}@example.org,{newsletter}").expect("room");
    }
    home.write("members.csv", &csv);
    let import = ["import", "members.csv", "--source", "members"];
    let stored = || {
        let path = home.path("causeway-data/causeway.db");
        let question = "SELECT count(*), count(DISTINCT dedup) FROM inbox";
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .and_then(|store| {
                store.query_row(question, [], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
                })
            })
            .map_or((0, 0), |(rows, keys)| {
                let number = |count: i64| usize::try_from(count).expect("a count");
                (number(rows), number(keys))
            })
    };
    let mut running = home.command(&import).spawn().expect("the program starts");
    while stored().0 == 0 {
        assert!(
            running.try_wait().expect("its state").is_none(),
            "it was too fast"
        );
        tokio::task::yield_now().await;
    }
    running.kill().expect("it is killed");
    running.wait().expect("it ends");
    let (before, _) = stored();
    assert!(before < ROWS, "killed in the middle");
    let said = home.ok(&import);
    let expected = format!("{} new, {before} known already", ROWS - before);
    assert!(
        said.contains(&expected) && said.contains("was interrupted"),
        "{said}"
    );
    assert_eq!(stored(), (ROWS, ROWS));
    // All rows have the same time, so the limits of transactions do not matter.
    let times = "SELECT count(DISTINCT received_at) FROM inbox";
    let store = Connection::open(home.path("causeway-data/causeway.db")).expect("the store");
    assert_eq!(store.query_row(times, [], |row| row.get::<_, i64>(0)), Ok(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_file_counts_again_without_its_opt_ins() {
    let api = FakeApi::start().await;
    let home = home(&api.url("/hook"));
    let hub = home.serve();
    let standing = |who: &str| {
        let person = home.json(&["contact", "consent", &format!("{who}@example.org"), "--json"]);
        person[0]["consent_state"]["email"]["state"].clone()
    };
    let mut received = 0;
    for (file, newsletter, expected) in [
        ("jan", "no", "unsubscribed"),
        ("feb", "yes", "opted_in"),
        ("mar", "no", "unsubscribed"),
        // The same bytes as in February: perhaps the wrong file.
        ("apr", "yes", "unsubscribed"),
    ] {
        home.write(
            "members.csv",
            format!("email,newsletter,phone\nann@example.org,{newsletter},{newsletter}\n"),
        );
        let said = home.ok(&["import", "members.csv", "--source", "members"]);
        assert!(said.contains("1 new, 0 known already"), "{file}: {said}");
        assert_eq!(
            said.contains("opt-ins are not counted again"),
            matches!(file, "mar" | "apr"),
            "{said}"
        );
        assert_eq!(
            said.contains("rows that opt in a person who has opted out: 1 (line 2)"),
            file == "feb",
            "{said}"
        );
        received += 1;
        home.settled(received).await;
        assert_eq!(standing("ann"), expected, "{file}");
        let shown = home.ok(&["contact", "show", "ann@example.org"]);
        assert!(
            shown.contains(&format!("phone        {newsletter}")),
            "{file}: {shown}"
        );
    }
    let said = home.ok(&["import", "members.csv", "--source", "members", "--again"]);
    assert!(said.contains("1 opt_in"), "{said}");
    home.settled(received + 1).await;
    assert_eq!(standing("ann"), "opted_in");
    assert_eq!(home.run(&["audit"]).code, 0);
    hub.stop();
}

#[test]
fn a_dry_run_shows_how_a_file_would_be_understood_and_stores_nothing() {
    let home = home("http://127.0.0.1:9/hook");
    home.write(
        "members.csv",
        "email,firstName,newsletter\nann@example.org,Ann,yes\nbob@example.org,Bob,no\nnobody,Cem,yes\n\
         di@example.org,Di,perhaps\neve@example.org,Eve,perhaps\nfay@example.org,Fay\n",
    );
    let import = ["import", "members.csv", "--source", "members", "--dry-run"];
    let said = home.run(&import);
    assert_eq!(said.code, 3, "{said:?}");
    for part in [
        "6 rows would be read: 5 new, 0 known already",
        "rows that opt somebody in: 1; that opt somebody out or decline: 1; without consent: 2",
        "consent for email: 1 opt_in, 1 unsubscribed",
        "newsletter that `consent_from` does not list, so they have no effect: \"perhaps\" (2)",
        "line 4: unknown: nobody is named",
        "line 7: 2 cells, and the header has 3",
        "line 2: contact_sync of ann@example.org",
        "firstName = \"Ann\"",
        "email: opt_in at",
    ] {
        assert!(said.out.contains(part), "{part}: {said:?}");
    }
    assert!(
        said.err
            .contains("1 row refused, 1 row not understood, 2 statements of consent not read"),
        "{said:?}"
    );
    assert!(!home.path("causeway-data").exists(), "nothing is made");
    let said = home.run(&import[..4]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(
        said.out.contains("consent for email: 1 opt_in, 1 unsubscribed"),
        "the same summary: {said:?}"
    );
    assert!(
        said.out.contains("6 rows read: 5 new, 0 known already"),
        "{said:?}"
    );

    // No row can be understood, so nothing is stored.
    for (name, text, says) in [
        (
            "odd.csv",
            "who,what\nann,yes\nbob,no\n",
            "lines 2, 3: unknown: nobody is named",
        ),
        // A title of two lines, or with a comma in it.
        (
            "titled.csv",
            "Members\nMarch\nemail,firstName\nann@example.org,Ann\n",
            "lines 3, 4: 2 cells, and the header has 1",
        ),
        (
            "comma.csv",
            "Members, March\nemail,firstName,newsletter\nann@example.org,Ann,yes\n",
            "lines 2, 3: 3 cells, and the header has 2",
        ),
        ("header.csv", "email,firstName\n", "header.csv has no rows"),
        ("empty.jsonl", "\n", "empty.jsonl has no rows"),
        ("empty.csv", "", "the file is empty"),
    ] {
        home.write(name, text);
        for dry in [&["--dry-run"][..], &[]] {
            let said = home.run(&[&["import", name, "--source", "members"], dry].concat());
            assert_eq!(said.code, 1, "{name}: {said:?}");
            assert!(
                format!("{}{}", said.out, said.err).contains(says),
                "{name}: {said:?}"
            );
        }
    }
    assert!(
        home.run(&["import", "odd.csv", "--source", "members"])
            .err
            .contains("nothing was stored")
    );
    let audit = home.json(&["audit", "--json"]);
    assert_eq!(audit["sources"]["members"]["received"], 5, "{audit}");
}

#[test]
fn an_import_says_which_dates_do_not_count_and_which_fields_are_not_there() {
    let home = Home::new(
        "[source.members]\nkind = 'listener'\npreset = 'generic'\ntoken = 'members-token-of-24-chars'\n\
         generic = { consent_from = [\
         { field = 'news', at_field = 'since', opt_in = ['yes'], unsubscribed = ['no'] },\
         { field = 'calls', purpose = 'phone', opt_in = ['yes'] }] }\n",
    );
    let import = ["import", "members.csv", "--source", "members", "--dry-run"];
    for (rows, count) in [
        (
            "a@example.org,yes,05/03/2026\nb@example.org,yes,06/03/2026\nc@example.org,yes,\n",
            3,
        ),
        ("a@example.org,yes,05/03/2026\n", 1),
        ("a@example.org,yes,2199-01-01\n", 1),
    ] {
        home.write("members.csv", format!("email,news,since\n{rows}"));
        let said = home.run(&import);
        assert_eq!(said.code, 3, "{said:?}");
        for part in [
            format!("values of news whose date is missing, ambiguous, invalid or in the future: {count}\n"),
            "warning: no new row has calls, which `consent_from` reads for phone".to_owned(),
        ] {
            assert!(said.out.contains(&part), "{part}: {said:?}");
        }
        assert!(
            said.err.contains(&format!(
                "{count} statement{} of consent not read",
                if count == 1 { "" } else { "s" }
            )),
            "{said:?}"
        );
    }
    home.write(
        "members.csv",
        "email,news,since,calls\na@example.org,yes,2026-03-05,\nb@example.org,,,yes\n",
    );
    let said = home.run(&import);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(!said.out.contains("warning"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_the_running_hub_has_not_read_is_refused() {
    let home = home("http://127.0.0.1:9/hook");
    home.write("members.csv", "email\nann@example.org\n");
    let hub = home.serve();
    let config = home.read("causeway.toml");
    let (before, after) = config.split_once("[source.members]").expect("a source");
    home.write(
        "causeway.toml",
        format!(
            "{before}[source.other]\nkind = 'listener'\npreset = 'generic'\ntoken = 'other-token-of-24-characters'\n\
             [source.members]\nnamespace = 'new'{after}"
        ),
    );
    for source in ["other", "members"] {
        let said = home.run(&["import", "members.csv", "--source", source]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains("`causeway reload`, then import"), "{said:?}");
    }
    hub.stop();
    let hub = home.serve();
    for source in ["other", "members"] {
        home.ok(&["import", "members.csv", "--source", source]);
    }
    home.until("both rows are processed", || {
        let audit = home.json(&["audit", "--json"]);
        sum(&audit["sources"], "done") == 2
    })
    .await;
    hub.stop();
}

#[test]
fn ambiguous_rows_are_refused_and_the_others_are_imported() {
    let home = home("http://127.0.0.1:9/hook");
    let import = ["import", "members.csv", "--source", "members"];
    let mut csv =
        b"email,firstName\nann@example.org,Ann\nbob@example.org,B,ob\nzoe@example.org,Zo\xeb\n".to_vec();
    csv.extend_from_slice("eva@example.org,\u{c3}\u{89}va\ncem@example.org,Cem\n".as_bytes());
    home.write("members.csv", csv);
    let said = home.run(&import);
    assert_eq!(said.code, 3, "{said:?}");
    for part in [
        "5 rows read: 2 new, 0 known",
        "line 3: 3 cells",
        "line 4: is not UTF-8",
        "line 5: column firstName: text that was converted to UTF-8 twice",
        "iconv",
    ] {
        assert!(said.out.contains(part), "{part}: {said:?}");
    }
    assert!(said.err.contains("3 rows refused"), "{said:?}");

    home.write("members.csv", "email;firstName\ndi@example.org;Di\n");
    assert!(home.run(&import).err.contains("--separator ';'"));
    let said = home.ok(&[&import[..], &["--separator", ";"]].concat());
    assert!(said.contains("1 rows read: 1 new"), "{said}");
    home.write("members.csv", "sep=;\nemail;firstName\neli@example.org;Eli\n");
    assert!(home.ok(&import).contains("1 rows read: 1 new"));
    home.write("members.csv", b"\xff\xfee\0m\0a\0i\0l\0");
    assert!(home.run(&import).err.contains("iconv -f UTF-16"));
}
