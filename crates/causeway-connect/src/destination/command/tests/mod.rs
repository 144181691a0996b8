mod samples;

use std::{fs, time::Duration};

use causeway_core::{consent::Change, delivery::Kind as DeliveryKind, mapping::Tables};
use causeway_testkit::{
    clock::TestClock,
    destination_contract::{self, Faults, delivery},
    wait,
};
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::config::{ConfigError, Context};
use crate::destination::tests::support::outcomes;

struct Folder {
    dir: TempDir,
    clock: Arc<TestClock>,
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("program.py"), include_str!("program.py")).unwrap();
        Self {
            dir,
            clock: Arc::default(),
        }
    }

    fn context(&self) -> Context {
        Context {
            name: "own".into(),
            clock: Arc::<TestClock>::clone(&self.clock),
            dir: self.dir.path().to_owned(),
            tables: Tables::default(),
            vault: crate::vault::NoVault::shared(),
        }
    }

    fn connect(&self, config: &str) -> Result<Box<dyn Destination>, ConfigError> {
        (KIND.connect)(&self.context(), &toml::from_str(config).unwrap())
    }

    /// The test's program with these arguments.
    fn program(&self, arguments: &[&str]) -> Box<dyn Destination> {
        let command = [&["python3", "program.py"], arguments].concat();
        self.connect(&format!("command = {command:?}")).unwrap()
    }

    fn read(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

fn batch(numbers: impl IntoIterator<Item = i64>) -> Vec<Delivery> {
    numbers.into_iter().map(delivery).collect()
}

fn reason(result: &AttemptResult) -> &str {
    result.outcome.reason().unwrap_or_default()
}

async fn until(is_so: impl Fn() -> bool) {
    let became = wait::becomes(Duration::from_secs(20), async || is_so()).await;
    assert!(became, "it never happened");
}

/// A killed process may stay in the table as a zombie until its new parent has read its status.
fn is_alive(id: &str) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", id.trim())).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn keeps_the_destination_contract() {
    let [works, broken, unfit, gone] = [Folder::new(), Folder::new(), Folder::new(), Folder::new()];
    let program = gone.dir.path().join("deliver");
    fs::copy("/bin/sh", &program).unwrap();
    let refused = gone.connect("command = ['./deliver']").unwrap();
    fs::remove_file(&program).unwrap();
    destination_contract::run_local(Faults {
        works: works.program(&["ok"]),
        unavailable: Some(broken.program(&["broken"])),
        refused: Some(refused),
        unfit: Some(unfit.program(&["reject"])),
        batch: 5,
    })
    .await;
}

#[tokio::test]
async fn answers_come_in_any_order_and_one_program_does_all_calls() {
    let folder = Folder::new();
    let destination = folder.program(&["reverse", "7"]);
    for _ in 0..2 {
        let batch = batch(1..=7);
        let results = destination.deliver(&batch).await;
        for (delivery, result) in batch.iter().zip(&results) {
            let remote_id = Some(delivery.key.0.clone());
            assert_eq!(result.outcome, Outcome::Delivered { remote_id });
        }
    }
    // Two calls at once share the program, too: it answers when it has the lines of both.
    let (one, other) = (batch(1..=3), batch(4..=7));
    let (one, other) = tokio::join!(destination.deliver(&one), destination.deliver(&other));
    assert_eq!(outcomes(&[one, other].concat()), ["delivered"; 7]);
    assert_eq!(folder.read("starts").len(), 1);
}

#[tokio::test]
async fn lines_that_are_no_answers_are_passed_over_and_the_first_answer_counts() {
    let folder = Folder::new();
    let destination = folder.program(&["noise"]);
    for number in 1..=3 {
        let results = destination.deliver(&batch([number])).await;
        let remote_id = Some(number.to_string());
        assert_eq!(results[0].outcome, Outcome::Delivered { remote_id });
    }
    destination.check().await.unwrap();
}

#[tokio::test]
async fn a_program_that_ends_loses_nothing_and_the_guilty_delivery_harms_no_other() {
    let folder = Folder::new();
    let destination = folder.program(&["crash", "2"]);
    let batch = batch(1..=4);
    let results = destination.deliver(&batch).await;
    assert_eq!(outcomes(&results), ["delivered", "retry", "retry", "retry"]);
    assert_eq!(reason(&results[1]), "the program ended with exit status 3");

    // It is started again after a wait. Until then nothing spends an attempt.
    let results = destination.deliver(&batch).await;
    assert_eq!(outcomes(&results), ["busy"; 4]);
    let Outcome::Busy { after, .. } = results[0].outcome else {
        unreachable!()
    };
    assert_eq!(after, Some(Duration::from_secs(1)));
    folder.clock.advance(Duration::from_secs(1));

    // Each that was lost is sent alone, so 3 and 4 wait for the next start.
    let results = destination.deliver(&batch[1..]).await;
    assert_eq!(outcomes(&results), ["retry", "busy", "busy"]);
    folder.clock.advance(Duration::from_secs(2));
    let results = destination.deliver(&batch[2..]).await;
    assert_eq!(outcomes(&results), ["delivered", "delivered"]);
    assert_eq!(folder.read("seen"), ["1 1", "2 1", "2 1", "3 1", "4 1"]);
}

#[tokio::test]
async fn the_wait_grows_while_the_program_answers_nothing() {
    let folder = Folder::new();
    let destination = folder.program(&["crash", "1"]);
    for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
        let results = destination.deliver(&batch([1])).await;
        assert_eq!(outcomes(&results), ["retry"], "before the wait of {wait} s");
        let results = destination.deliver(&batch([1])).await;
        let after = Some(Duration::from_secs(wait));
        assert!(
            matches!(results[0].outcome, Outcome::Busy { after: found, .. } if found == after),
            "{results:?}"
        );
        folder.clock.advance(Duration::from_secs(wait));
    }
    // A program that answers has started well.
    assert_eq!(
        outcomes(&destination.deliver(&batch([2, 1])).await),
        ["delivered", "retry"]
    );
    let results = destination.deliver(&batch([1])).await;
    let Outcome::Busy { after, .. } = results[0].outcome else {
        panic!("{results:?}")
    };
    assert_eq!(after, Some(Duration::from_secs(1)));
}

#[tokio::test]
async fn a_program_that_ends_after_its_work_is_started_when_it_is_needed() {
    let folder = Folder::new();
    let destination = folder.program(&["once"]);
    for number in 1..=3 {
        assert_eq!(
            outcomes(&destination.deliver(&batch([number])).await),
            ["delivered"]
        );
        let starts = folder.read("starts");
        // The destination has read its status, and so knows of its end.
        let entry = format!("/proc/{}", starts.last().unwrap());
        until(|| !fs::exists(&entry).unwrap()).await;
    }
    assert_eq!(folder.read("starts").len(), 3);
}

#[tokio::test]
async fn a_program_that_does_not_answer_in_time_is_killed_with_its_children() {
    let folder = Folder::new();
    let destination = folder.program(&["family", "3"]);
    let late = folder.clock.now() + Duration::from_secs(25);
    let batch = batch(1..=3);
    let (results, ()) = tokio::join!(destination.deliver(&batch), async {
        until(|| folder.read("seen").len() == 3 && folder.read("family").len() == 1).await;
        folder.clock.has_sleeper(late).await;
        folder.clock.advance(Duration::from_secs(25));
    });
    // What was answered before counts.
    assert_eq!(outcomes(&results), ["delivered", "delivered", "retry"]);
    assert_eq!(
        reason(&results[2]),
        "the program did not answer in time, and was killed"
    );
    for id in folder.read("starts").iter().chain(&folder.read("family")) {
        until(|| !is_alive(id)).await;
    }
}

#[tokio::test]
async fn nothing_is_left_when_the_destination_or_its_program_ends() {
    let folder = Folder::new();
    let destination = folder.program(&["leave", "1"]);
    assert_eq!(outcomes(&destination.deliver(&batch([1])).await), ["delivered"]);
    let child = folder.read("family").remove(0);
    until(|| !is_alive(&child)).await;

    let destination = folder.program(&["family", "2"]);
    assert_eq!(outcomes(&destination.deliver(&batch([1])).await), ["delivered"]);
    let program = folder.read("starts").pop().unwrap();
    assert!(is_alive(&program));
    drop(destination);
    until(|| !is_alive(&program)).await;

    // A call that is given up: the program is killed, and the next call starts another one.
    let destination = folder.program(&["family", "2"]);
    let lost = batch([2]);
    tokio::select! {
        results = destination.deliver(&lost) => panic!("{results:?}"),
        () = until(|| folder.read("family").len() == 2) => {}
    }
    for id in [
        folder.read("starts").pop().unwrap(),
        folder.read("family").pop().unwrap(),
    ] {
        until(|| !is_alive(&id)).await;
    }
    assert_eq!(outcomes(&destination.deliver(&batch([1])).await), ["delivered"]);
}

#[tokio::test]
async fn a_program_that_closes_its_output_is_ended() {
    let folder = Folder::new();
    let destination = folder.program(&["deaf", "1"]);
    let late = folder.clock.now() + Duration::from_secs(2);
    let batch = batch([1]);
    let (results, ()) = tokio::join!(destination.deliver(&batch), async {
        folder.clock.has_sleeper(late).await;
        folder.clock.advance(Duration::from_secs(2));
    });
    assert_eq!(outcomes(&results), ["retry"]);
    assert_eq!(
        reason(&results[0]),
        "the program closed its standard output, and was killed"
    );
    let program = folder.read("starts").remove(0);
    until(|| !is_alive(&program)).await;
}

#[tokio::test]
async fn the_program_gets_the_record_and_no_environment_but_its_own() {
    let folder = Folder::new();
    fs::create_dir(folder.dir.path().join("work")).unwrap();
    fs::write(folder.dir.path().join("token"), "s3cret\n").unwrap();
    let program = folder.dir.path().join("program.py");
    let config = format!(
        "command = ['python3', {program:?}, 'env']\nfolder = 'work'\nenv = {{ LIST = 'news', TOKEN = {{ file = 'token' }} }}"
    );
    let destination = folder.connect(&config).unwrap();
    let mut withdrawal = delivery(1);
    withdrawal.attempt = 3;
    withdrawal.record.kind = DeliveryKind::Withdrawal;
    withdrawal.record.change = Change::Unsubscribe;
    assert_eq!(
        outcomes(&destination.deliver(&[withdrawal.clone()]).await),
        ["delivered"]
    );
    let written = folder.read("work/env").remove(0);
    let written: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(
        (&written["env"]["LIST"], &written["env"]["TOKEN"]),
        (&"news".into(), &"s3cret".into())
    );
    let cwd = fs::canonicalize(folder.dir.path().join("work")).unwrap();
    assert_eq!(written["folder"], cwd.to_str().unwrap());
    let message = &written["message"];
    assert_eq!(message["record"], withdrawal.record.to_json());
    let envelope = ["key", "attempt", "change", "purpose"].map(|name| message[name].clone());
    let expected: [Value; 4] = [
        withdrawal.key.0.into(),
        3.into(),
        "unsubscribe".into(),
        "email".into(),
    ];
    assert_eq!(envelope, expected);
}

#[tokio::test]
async fn nothing_of_the_hubs_environment_is_inherited() {
    let folder = Folder::new();
    let script = r#"/usr/bin/env >env; read -r question; echo '{"ok":true}'"#;
    let config = format!("command = ['sh', '-c', {script:?}]\nenv = {{ LIST = 'news' }}");
    folder.connect(&config).unwrap().check().await.unwrap();
    let env = folder.read("env");
    // A shell adds these itself.
    let by_shell = ["PWD=", "OLDPWD=", "SHLVL=", "_="];
    let own: Vec<&String> = env
        .iter()
        .filter(|line| !by_shell.iter().any(|name| line.starts_with(name)))
        .collect();
    assert_eq!(own, ["LIST=news"]);
}

#[test]
fn the_preview_is_the_line_and_needs_no_program() {
    let folder = Folder::new();
    let config = "command = ['no-such-program']\nenv = { T = { env = 'CAUSEWAY_NO_SUCH_VARIABLE' } }";
    let previews = (KIND.preview)(&folder.context(), &toml::from_str(config).unwrap(), &batch([1])).unwrap();
    insta::assert_snapshot!(previews[0].as_ref().unwrap());
}

#[tokio::test]
async fn a_check_starts_the_program_and_asks_it() {
    let folder = Folder::new();
    folder.program(&["ok"]).check().await.unwrap();
    let program = folder.read("starts").remove(0);
    until(|| !is_alive(&program)).await;
    for (mode, expected) in [
        ("refuse", "no list 7, ask (address)"),
        ("broken", "the program ended with exit status 1"),
    ] {
        let error = folder.program(&[mode]).check().await.unwrap_err();
        assert!(matches!(error, CheckError::Refused(_)), "{error:?}");
        assert_eq!(error.to_string(), expected);
    }
    let silent = folder
        .connect("command = ['sh', '-c', 'echo hello; sleep 1000']\nenv = { PATH = '/usr/bin:/bin' }\nanswer_s = 3")
        .unwrap();
    let late = folder.clock.now() + Duration::from_secs(3);
    let (checked, ()) = tokio::join!(silent.check(), async {
        folder.clock.has_sleeper(late).await;
        folder.clock.advance(Duration::from_secs(3));
    });
    let error = checked.unwrap_err();
    assert!(matches!(error, CheckError::Unavailable(_)), "{error:?}");
    assert!(
        error
            .to_string()
            .starts_with("the program did not answer the check in time"),
        "{error}"
    );
}

#[test]
fn a_program_that_cannot_be_run_is_refused_by_key() {
    let folder = Folder::new();
    fs::write(folder.dir.path().join("plain.py"), "").unwrap();
    for (config, key, message) in [
        ("", "", "missing field `command`"),
        ("command = []", "command", "names no program"),
        ("command = ['']", "command", "names no program"),
        ("command = \"python3 x.py\"", "command", "invalid type"),
        (
            "command = ['no-such-program']",
            "command",
            "there is no program `no-such-program` in the folders of PATH",
        ),
        (
            "command = ['./no-such-program']",
            "command",
            "there is no program /",
        ),
        (
            "command = ['./plain.py']",
            "command",
            "plain.py is not executable",
        ),
        ("command = ['/tmp']", "command", "is a folder"),
        (
            "command = ['sh']\nfolder = 'nowhere'",
            "folder",
            "there is no folder",
        ),
        ("command = ['sh']\nanswer_s = 0", "answer_s", "must be 1 or more"),
        ("command = ['sh']\nenv = { 'A=B' = 'x' }", "env.A=B", "is no name"),
        (
            "command = ['sh']\nenv = { A = { file = 'nowhere' } }",
            "env.A",
            "reading",
        ),
        ("command = ['sh']\nenv = { A = 7 }", "env", "expected a text"),
        (
            "command = ['sh']\nenvironment = {}",
            "environment",
            "unknown field",
        ),
    ] {
        let error = folder
            .connect(config)
            .err()
            .unwrap_or_else(|| panic!("{config}: no error"));
        assert!(error.key.starts_with(key), "{config}: {error:?}");
        assert!(error.to_string().contains(message), "{config}: {error}");
    }
    let table = toml::from_str("command = ['sh']\nenv = { CRM_TOKEN = 'abc', LIST = 'news' }").unwrap();
    let warnings = (KIND.parse)(&Tables::default(), &table).unwrap().warnings;
    assert!(
        warnings.len() == 1 && warnings[0].starts_with("`env.CRM_TOKEN` holds a secret"),
        "{warnings:?}"
    );
}
