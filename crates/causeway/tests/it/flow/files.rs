//! Bringing in a backlog by file.

use std::os::unix::fs::PermissionsExt;

use causeway_testkit::fake_api::FakeApi;

use crate::running::{Home, signature};

fn home(hook: &str) -> Home {
    Home::new(&format!(
        "[source.proca]\nkind = 'listener'\npreset = 'proca'\ntoken = 'proca-token-of-24-characters'\n\
         proca = {{ own_orgs = [12], consent = 'single' }}\n\
         [source.members]\nkind = 'listener'\npreset = 'generic'\ntoken = 'members-token-of-24-chars'\n\
         [destination.hook]\nkind = 'webhook'\nurl = '{hook}'\nallow_private = true\nconsent = 'all'\n"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_comes_in_once_however_often_it_is_imported() {
    let api = FakeApi::start().await;
    let home = home(&api.url("/hook"));
    let lines: Vec<String> = (1..=3)
        .map(|id| signature(12, id, &format!("p{id}"), Some(true)).to_string())
        .collect();
    home.write("backlog.jsonl", lines.join("\n") + "\n\nnot JSON\n");
    let said = home.ok(&["import", "backlog.jsonl", "--source", "proca"]);
    assert!(said.contains("4 rows read: 4 new, 0 known already"), "{said}");
    assert!(said.contains("The hub is not running"), "{said}");
    let mode = std::fs::metadata(home.path("causeway-data"))
        .expect("the folder")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700, "personal data is for its owner only");
    let said = home.ok(&["import", "backlog.jsonl", "--source", "proca"]);
    assert!(said.contains("4 rows read: 0 new, 4 known already"), "{said}");

    let hub = home.serve();
    home.settled(8).await;
    assert_eq!(api.requests().len(), 3);
    assert_eq!(home.trace(4)["inbox"]["code"], "malformed");
    assert_eq!(home.run(&["audit"]).code, 0);
    hub.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_import_goes_on_where_it_was() {
    let api = FakeApi::start().await;
    let home = home(&api.url("/hook"));
    let mut csv = b"E-Mail,Given name,Note\n".to_vec();
    for row in 1..=1200 {
        // Opens a quotation, and what follows is more than a row may be.
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
    assert!(said.err.contains("line 1101"), "it tells where: {said:?}");
    let mended = String::from_utf8(csv).expect("text").replace(",\"\n", ",x\n");
    home.write("members.csv", mended);
    let said = home.ok(&import);
    assert!(said.contains("going on after row 1000"), "{said}");
    assert!(said.contains("200 new, 0 known already"), "{said}");

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

#[test]
fn rows_that_cannot_be_read_for_sure_are_refused_and_the_others_come_in() {
    let home = home("http://127.0.0.1:9/hook");
    let import = ["import", "members.csv", "--source", "members"];
    let rows = |name: &[u8]| {
        let mut csv =
            b"email,firstName\nann@example.org,Ann\nbob@example.org,B,ob\nzoe@example.org,".to_vec();
        csv.extend_from_slice(name);
        csv.extend_from_slice(b"\ncem@example.org,Cem\n");
        csv
    };
    home.write("members.csv", rows(b"Zo\xeb"));
    let said = home.run(&import);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("4 rows read: 2 new, 0 known"), "{said:?}");
    for part in [
        "line 3: 3 cells",
        "line 4: is not UTF-8",
        "iconv",
        "2 rows were refused",
    ] {
        assert!(said.err.contains(part), "{part}: {said:?}");
    }
    home.write("members.csv", rows("Zoë".as_bytes()));
    let said = home.run(&import);
    assert!(said.out.contains("1 new, 2 known"), "{said:?}");

    home.write("members.csv", "email;firstName\ndi@example.org;Di\n");
    assert!(home.run(&import).err.contains("--separator ';'"));
    let said = home.ok(&[&import[..], &["--separator", ";"]].concat());
    assert!(said.contains("1 rows read: 1 new"), "{said}");
}
