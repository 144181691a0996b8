//! Properties of every command: help with an example, exit codes, JSON for scripts.

use crate::running::Home;

/// The commands below one, as its help lists them.
fn commands(home: &Home, above: &[String]) -> Vec<Vec<String>> {
    let mut arguments: Vec<&str> = above.iter().map(String::as_str).collect();
    arguments.push("--help");
    let help = home.ok(&arguments);
    assert!(
        help.contains("Example: causeway "),
        "no example: causeway {}",
        arguments.join(" ")
    );
    let mut all = vec![above.to_vec()];
    let list = help.split("Commands:\n").nth(1).unwrap_or_default();
    for line in list.lines().take_while(|line| !line.is_empty()) {
        let Some(name) = line.strip_prefix("  ").and_then(|line| line.split(' ').next()) else {
            continue;
        };
        if !name.is_empty() && name != "help" {
            all.extend(commands(home, &[above, &[name.to_owned()]].concat()));
        }
    }
    all
}

#[test]
fn every_command_has_help_with_an_example() {
    let all = commands(&Home::new(""), &[]);
    let names: Vec<String> = all.iter().map(|command| command.join(" ")).collect();
    for name in [
        "serve",
        "delivery retry",
        "contact erase",
        "keys check",
        "destination create",
    ] {
        assert!(
            names.iter().any(|have| have == name),
            "{name} is not found in {names:?}"
        );
    }
}

/// The commands in an example of a help text, word by word.
fn examples(help: &str) -> Vec<Vec<&str>> {
    let example = help.split("Example: ").nth(1).unwrap_or_default();
    let lines = example
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("causeway "));
    lines
        .map(|line| line.split_whitespace().skip(1).collect())
        .collect()
}

#[test]
fn every_option_in_an_example_is_one_of_that_command() {
    let home = Home::new("");
    for command in commands(&home, &[]) {
        let help = |words: &[&str]| home.run(&[words, &["--help"]].concat()).out;
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let whole = help(&words);
        let block = whole.split("Example: ").nth(1).unwrap_or_default();
        for line in block.lines().filter(|line| !line.trim().is_empty()) {
            assert!(
                line.trim().starts_with("causeway ") && line.len() <= 100,
                "{command:?}: an example that is wrapped cannot be pasted: {line:?}"
            );
        }
        for example in examples(&whole) {
            let named: Vec<&str> = example
                .iter()
                .copied()
                .skip_while(|word| *word != command.first().map_or("", String::as_str))
                .collect();
            let depth = named.len().min(command.len().max(2));
            // The help of the subcommand, or of the command alone if the second word is an argument.
            let known: String = (1..=depth).map(|count| help(&named[..count])).collect();
            for option in named.iter().filter(|word| word.starts_with("--")) {
                assert!(
                    known.contains(*option),
                    "{example:?}: {option} is not in its help"
                );
            }
        }
    }
}

const GOOD: &str = "[source.signups]\nkind = 'listener'\npreset = 'generic'\ntoken = 'signups-token-of-24-chars'\n\
    [destination.archive]\nkind = 'file'\npath = 'archive.csv'\nconsent = 'all'\n";

#[test]
fn exit_codes_are_0_for_done_1_for_failed_2_for_wrong_usage_or_configuration() {
    let home = Home::new(GOOD);
    home.write("bob.json", r#"{"email":"bob@example.org"}"#);
    home.ok(&["send", "bob.json"]);
    let cases: [(&[&str], i32, &str); 22] = [
        (&["--version"], 0, ""),
        (&["config", "check"], 0, ""),
        (&["config", "sample"], 0, ""),
        (&["doctor"], 0, ""),
        (&["audit"], 0, ""),
        (&["destination", "kinds"], 0, ""),
        (&["destination", "sample", "sql"], 0, ""),
        (&["trace", "7"], 1, "there is no message 7"),
        (&["trace", "--email", "ann@example.org"], 1, "no contact has"),
        (&["contact", "show", "ann@example.org"], 1, "no contact has"),
        (&["keys", "check", "none.json"], 1, "none.json"),
        (&["send", "none.json"], 1, "none.json"),
        (&["import", "none.csv", "--source", "signups"], 1, "none.csv"),
        (&[], 2, "Usage"),
        (&["dance"], 2, "unrecognized"),
        (&["trace"], 2, "required"),
        (
            &["destination", "sample", "none"],
            2,
            "there is no destination of kind",
        ),
        (&["destination", "create", "none"], 2, "archive"),
        (&["destination", "create", "archive"], 2, "no tables"),
        (&["delivery", "retry"], 2, "no deliveries named"),
        (&["delivery", "pause", "none"], 2, "there is no destination"),
        (&["--config", "none.toml", "serve"], 2, "none.toml"),
    ];
    for (arguments, code, says) in cases {
        let said = home.run(arguments);
        assert_eq!(said.code, code, "{arguments:?}: {said:?}");
        assert!(
            said.err.contains(says),
            "{arguments:?} does not say {says:?}: {said:?}"
        );
        assert_eq!(
            said.err.is_empty(),
            code == 0,
            "errors, and only errors, go there: {arguments:?}: {said:?}"
        );
    }
}

#[test]
fn an_invalid_configuration_is_reported_with_line_and_key_and_changes_nothing() {
    let home = Home::new("[destination.archive]\nkind = 'file'\npath = 'a.csv'\ncolour = 'red'\n[dance]\n");
    for command in [&["config", "check"][..], &["serve"], &["doctor"], &["audit"]] {
        let said = home.run(command);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(
            said.err.contains("causeway.toml:7") && said.err.contains("colour"),
            "{said:?}"
        );
        assert!(
            said.err.contains("causeway.toml:8") && said.err.contains("dance"),
            "{said:?}"
        );
    }
    assert!(!home.path("causeway-data").exists());
}

/// With a wrong `data_dir`, an empty new store would hide the mistake.
#[test]
fn commands_refuse_to_create_a_store() {
    let home = Home::new(GOOD);
    for command in [
        &["audit"][..],
        &["backup", "night.db"],
        &["trace", "1"],
        &["contact", "show", "ann@example.org"],
        &["contact", "erase", "ann@example.org", "--yes"],
        &["delivery", "list"],
        &["delivery", "retry", "--state", "dead"],
        &["delivery", "resume", "archive"],
        &["replay", "1"],
        &["source", "urls"],
    ] {
        let said = home.run(command);
        assert_eq!(said.code, 1, "{command:?}: {said:?}");
        for part in ["no store", "causeway-data/causeway.db", "data_dir"] {
            assert!(
                said.err.contains(part),
                "{command:?} does not say {part:?}: {said:?}"
            );
        }
    }
    let said = home.ok(&["doctor"]);
    assert!(said.contains("no store yet"), "{said}");
    assert!(!home.path("causeway-data").exists() && !home.path("night.db").exists());
    home.ok(&["delivery", "pause", "archive"]);
    home.ok(&["audit"]);
}

#[test]
fn the_hint_for_a_file_that_is_not_text_does_not_write_over_it() {
    let home = Home::new("");
    home.write("causeway.toml", b"# caf\xe9\n");
    let said = home.run(&["config", "check"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(
        said.err.contains("UTF-8") && !said.err.contains("> causeway.toml"),
        "{said:?}"
    );
}

#[test]
fn doctor_names_each_part_with_a_problem() {
    let home = Home::new(&format!(
        "{GOOD}[source.proca]\nkind = 'proca'\nurl = 'amqp://u:hidden-password@127.0.0.1:1/v'\nqueue = 'cus.12.deliver'\nconsent = 'single'\n\
         [destination.members]\nkind = 'sql'\nurl = 'postgres://u:hidden-password@127.0.0.1:1/x'\ncontacts = {{ table = 'contacts' }}\n"
    ));
    let said = home.run(&["doctor", "--timeout", "5"]);
    assert_eq!(said.code, 1, "{said:?}");
    for (line, part) in [
        ("ok ", "store"),
        ("ok ", "destination archive"),
        ("BAD", "source proca"),
        ("BAD", "destination members"),
    ] {
        let found = said
            .out
            .lines()
            .any(|have| have.starts_with(line) && have.contains(part));
        assert!(found, "{line} {part}: {said:?}");
    }
    assert!(!format!("{said:?}").contains("hidden-password"), "{said:?}");
}

#[test]
fn output_for_scripts_is_json() {
    let home = Home::new(GOOD);
    home.write("ann.json", r#"{"email":"ann@example.org"}"#);
    home.ok(&["send", "ann.json"]);
    for command in [
        &["audit", "--json"][..],
        &["trace", "1", "--json"],
        &["delivery", "list", "--json"],
        &["config", "schema"],
    ] {
        home.json(command);
    }
}

#[test]
fn the_configurations_that_the_documentation_shows_are_good() {
    let readme = include_str!("../../../../README.md");
    let snippet = readme
        .split("```toml\n")
        .nth(1)
        .expect("a snippet")
        .split("```")
        .next()
        .expect("its end");
    let home = Home::new("");
    home.write("causeway.toml", snippet.replace("\n   ", "\n"));
    let home = home
        .with(
            "PROCA_AMQP_URL",
            "amqps://user:password@api.example.org/proca_live",
        )
        .with("PLATFORM_TOKEN", "platform-token-of-24-chars")
        .with("MEMBERS_DB_URL", "postgres://user:password@localhost/members");
    let said = home.ok(&["config", "check"]);
    assert!(
        said.contains("2 source(s), 2 destination(s)") && !said.contains("warning"),
        "{said}"
    );
    let sample = home.ok(&["config", "sample"]);
    home.write("causeway.toml", sample);
    home.ok(&["config", "check"]);
}
