//! The passing of time in `causeway test` and `causeway config diff`: delays, schedules and dates.

use std::path::Path;

use super::{hub_with, single};
use crate::running::{Home, signature, status};

/// A reminder two days after the signature, unless the person opted out meanwhile.
fn with_automation(delay: &str) -> String {
    format!(
        "{}[destination.reminder]\nkind = 'webhook'\nurl = 'https://reminder.example.org/'\ntakes = 'automations'\n\
         fields = {{ EMAIL = 'contact.email' }}\n\
         [[automation]]\nname = 'Remind'\non = {{ action = 'petition' }}\nwhen = \"campaign.name == 'clean_rivers'\"\n\
         stop = 'not consent.email.subscribed'\nthen = [{{ deliver = 'reminder', delay = '{delay}' }}]\n",
        single()
    )
}

#[test]
fn a_test_lets_time_pass_for_delayed_steps() {
    let home = Home::new(&format!(
        "{}[[test]]\nname = 'after two days'\nmessage = {{ file = 'signed.json' }}\nothers = true\n\
         expect = [{{ destination = 'reminder', due = '2 days', body = {{ EMAIL = 'ada@example.org' }} }}]\n\
         [[test]]\nname = 'not at once'\nmessage = {{ file = 'signed.json' }}\n\
         expect = [{{ destination = 'newsletter' }}, {{ destination = 'archive' }}]\n\
         [[test]]\nname = 'not after an opt-out'\nbefore = [{{ file = 'signed.json' }}]\nmessage = {{ file = 'no.json' }}\nwait = '3 days'\n\
         expect = [{{ destination = 'newsletter', kind = 'withdrawal' }}, {{ destination = 'archive' }}]\n",
        with_automation("2 days")
    ));
    home.write("signed.json", signature(12, 1, "ada", Some(true)).to_string());
    home.write("no.json", status(1, "ada", "unsub").to_string());
    let out = home.ok(&["test"]);
    assert!(out.ends_with("3 passed, 0 failed\n"), "{out}");
    // Without the stop condition, the reminder would be sent after the opt-out; only the consent state prevents it.
    let config = home.read("causeway.toml");
    home.write(
        "causeway.toml",
        config.replace("delay = '2 days'", "delay = '5 days'"),
    );
    let said = home.run(&["test", "after two days"]);
    assert_eq!(said.code, 1, "{said:?}");
    for part in [
        "reminder: nothing is sent",
        "automation Remind: ran",
        "waits until",
    ] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    home.write("causeway.toml", config.replace("'clean_rivers'", "'save_bees'"));
    let said = home.run(&["test", "after two days"]);
    assert!(
        said.out
            .contains("automation Remind: did not run: its condition does not hold")
            && said
                .out
                .contains("its condition read campaign.name = \"clean_rivers\""),
        "{}",
        said.out
    );
}

/// The complete configurations on the page about tests pass their tests.
#[test]
fn the_tests_in_the_documentation_pass() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/testing.md")).expect("the page");
    let mut run = 0;
    for block in page.split("```toml\n").skip(1) {
        let (config, _) = block.split_once("```").expect("an end");
        if !config.contains("[[test]]") {
            continue;
        }
        let home = Home::new(config);
        std::os::unix::fs::symlink(root.join("samples"), home.path("samples")).expect("a link");
        let said = home.run(&["test"]);
        assert!(
            said.code == 0 && said.out.ends_with(" passed, 0 failed\n"),
            "{config}\n{said:?}"
        );
        run += 1;
    }
    assert_eq!(run, 2);
}

/// Scheduled automations: on Mondays, and on birthdays.
const CLOCKED: &str = "[destination.weekly]\nkind = 'webhook'\nurl = 'https://weekly.example.org/'\ntakes = 'automations'\n\
     fields = { EMAIL = 'contact.email' }\n\
     [[automation]]\nname = 'Mondays'\non = { schedule = 'weekly', weekday = 'monday', at = '09:00' }\n\
     when = \"'paused' not in contact.tags\"\nthen = [{ deliver = 'weekly' }, { add_tag = 'greeted' }]\n\
     [[automation]]\nname = 'A day before'\non = { date_reached = 'until', days = -1, at = '12:00' }\n\
     then = [{ deliver = 'weekly' }, { add_tag = 'paused', delay = '1 h' }]\n\
     [[automation]]\nname = 'Until'\non = 'contact_created'\nthen = [{ set_field = { until = \"'2026-01-10'\" } }]\n";

#[test]
fn a_test_lets_the_clock_start_automations() {
    let at = "at = 2026-01-01T08:00:00Z\nmessage = { file = 'signed.json' }";
    let config = format!(
        "{}{CLOCKED}[[test]]\nname = 'not yet'\n{at}\nwait = '4 days 59 min'\n\
         expect = [{{ destination = 'newsletter' }}, {{ destination = 'archive' }}]\n\
         [[test]]\nname = 'Monday, and a day before; then it is paused'\n{at}\nwait = '30 days'\n\
         expect_contact = {{ tags = ['greeted', 'paused'] }}\n\
         others = true\nexpect = [{{ destination = 'weekly', due = '2026-01-05T09:00:00Z', body = {{ EMAIL = 'ada@example.org' }} }},\n\
         {{ destination = 'weekly', due = '2026-01-09T12:00:00Z' }}]\n\
         [[test]]\nname = 'between two messages'\nat = 2026-01-06T08:00:00Z\nbefore = [{{ file = 'signed.json' }}]\n\
         message = {{ file = 'again.json', after = '24 hours' }}\nexpect_contact = {{ tags = ['greeted'] }}\n",
        single()
    );
    let home = Home::new(&config);
    home.write("signed.json", signature(12, 1, "ada", Some(true)).to_string());
    home.write("again.json", signature(12, 2, "ada", Some(true)).to_string());
    let said = home.run(&["test"]);
    assert!(said.out.ends_with("3 passed, 0 failed\n"), "{said:?}");

    // A run before the first contact has no effect.
    home.write("causeway.toml", config.replace("'24 hours'", "'22 hours'"));
    assert_eq!(home.run(&["test", "between"]).code, 1);
    // Scheduled runs are explained, too.
    home.write("causeway.toml", config.replace("'paused' not in", "'greeted' in"));
    let said = home.run(&["test", "a day before"]);
    assert_eq!(said.code, 1);
    let line = "2026-01-05T09:00:00Z: automation Mondays: did not run: its condition does not hold";
    assert!(said.out.contains(line), "{}", said.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn config_diff_runs_scheduled_automations_in_both() {
    let daily = |hour: u32, who: &str| {
        format!(
            "{}[destination.daily]\nkind = 'webhook'\nurl = 'https://daily.example.org/'\ntakes = 'automations'\nconsent = 'all'\n\
             fields = {{ EMAIL = 'contact.email' }}\n\
             [[automation]]\nname = 'Daily'\non = {{ schedule = 'daily', at = '{hour:02}:00' }}\n{who}\nthen = [{{ deliver = 'daily' }}]\n",
            single()
        )
    };
    let home = hub_with(&[("ada", Some(true)), ("eve", Some(false))], &daily(9, "")).await;
    {
        let db = rusqlite::Connection::open(home.path("causeway-data/causeway.db")).expect("the store");
        let days = 3 * 86_400_000_i64;
        db.execute("UPDATE inbox SET received_at = received_at - ?1", [days])
            .expect("older");
    }
    home.write("later.toml", daily(10, ""));
    home.write("fewer.toml", daily(9, "when = \"consent.email.subscribed\""));
    let diff = |new: &str| {
        let all = home.json(&["config", "diff", "causeway.toml", new, "--json"]);
        (
            all["counts"]["destinations"]["daily"].clone(),
            all["changes"].clone(),
        )
    };
    let (daily, changes) = diff("causeway.toml");
    assert_eq!((&daily["old"], &daily["new"]), (&6.into(), &6.into()), "{daily}");
    assert_eq!(changes, false);
    let (daily, _) = diff("later.toml");
    let moved = daily["changed"].as_u64().expect("a count") + daily["added"].as_u64().expect("a count");
    assert!(daily["old"] == 6 && moved >= 4, "each at another time: {daily}");
    let (daily, _) = diff("fewer.toml");
    assert_eq!(
        (&daily["old"], &daily["removed"]),
        (&6.into(), &3.into()),
        "{daily}"
    );
    assert_eq!(
        (&daily["new"], &daily["changed"]),
        (&3.into(), &0.into()),
        "{daily}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn config_diff_fires_timers_in_both() {
    let home = hub_with(
        &[("ada", Some(true)), ("eve", Some(false))],
        &with_automation("2 days"),
    )
    .await;
    {
        let db = rusqlite::Connection::open(home.path("causeway-data/causeway.db")).expect("the store");
        let days = 3 * 86_400_000_i64;
        db.execute("UPDATE inbox SET received_at = received_at - ?1", [days])
            .expect("older");
    }
    home.write("later.toml", with_automation("4 days"));
    home.write("hours.toml", with_automation("1 h"));
    let diff = |new: &str| home.json(&["config", "diff", "causeway.toml", new, "--json"]);
    let same = diff("causeway.toml");
    assert_eq!(
        same["counts"]["destinations"]["reminder"]["old"], 1,
        "the turn came: {same}"
    );
    assert_eq!(
        (&same["changes"], &same["counts"]["people_changed"]),
        (&false.into(), &0.into())
    );
    let later = diff("later.toml");
    let reminder = &later["counts"]["destinations"]["reminder"];
    assert_eq!(
        (&reminder["removed"], &reminder["added"]),
        (&1.into(), &0.into()),
        "{later}"
    );
    assert_eq!(later["changes"], true, "{later}");
    let hours = diff("hours.toml");
    let reminder = &hours["counts"]["destinations"]["reminder"];
    assert_eq!(
        (&reminder["old"], &reminder["new"]),
        (&1.into(), &1.into()),
        "{hours}"
    );
    assert_eq!(hours["changes"], true, "another time is a change: {hours}");
}
