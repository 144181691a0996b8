//! Checks the documentation and the samples: configurations are valid, commands and links exist, every key and metric is
//! documented.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use causeway::{cli, config, sources};
use causeway_connect::destination;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The pages that people read: path and text.
fn pages() -> Vec<(String, String)> {
    let mut names = vec![
        "README.md".to_owned(),
        "ARCHITECTURE.md".to_owned(),
        "CHANGELOG.md".to_owned(),
    ];
    let folder = std::fs::read_dir(root().join("docs")).expect("the folder docs");
    for entry in folder {
        let name = entry
            .expect("an entry")
            .file_name()
            .into_string()
            .expect("a name");
        if Path::new(&name).extension().is_some_and(|end| end == "md") {
            names.push(format!("docs/{name}"));
        }
    }
    names
        .into_iter()
        .map(|name| (name.clone(), read(&name)))
        .collect()
}

/// The code blocks of a page: language and text, without the indentation of a list around them.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String, String)> = None;
    for line in page.lines() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (None, Some(language)) => {
                let indent = line.len() - line.trim_start().len();
                open = Some((indent, language.to_owned(), String::new()));
            }
            (Some(_), Some(_)) => blocks.extend(open.take().map(|(_, language, text)| (language, text))),
            (Some((indent, _, text)), None) => {
                text.push_str(line.get(*indent..).unwrap_or_default());
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

fn assert_parses(what: &str, text: &str) -> config::Config {
    config::parse(Path::new("causeway.toml"), text).unwrap_or_else(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        panic!("{what}:\n{}", lines.join("\n"))
    })
}

#[test]
fn every_configuration_in_the_documentation_is_read() {
    let mut seen = 0;
    for (name, page) in pages() {
        for (language, text) in blocks(&page) {
            if language == "toml" && (text.contains("[source.") || text.contains("[destination.")) {
                assert_parses(&format!("{name}\n{text}"), &text);
                seen += 1;
            }
        }
    }
    assert!(seen >= 3, "only {seen} configurations were found");
}

/// The arguments of a command line, as a shell would split them.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for letter in line.chars() {
        match (quote, letter) {
            (None, '\'' | '"') => quote = Some(letter),
            (None, '(') => quote = Some(')'),
            (None, '|' | '>' | '<' | '#' | '&' | ';') => break,
            (None, ' ') => words.push(String::new()),
            (Some(end), letter) if end == letter => quote = None,
            (_, letter) => words.last_mut().expect("one at least").push(letter),
        }
    }
    words.retain(|word| !word.is_empty() && word != "…" && word != "FILTERS");
    words
}

/// The command lines of a page, which begin with the program, in blocks and in `ticks`.
fn command_lines(page: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (_, text) in blocks(page) {
        lines.extend(
            text.lines()
                .map(|line| line.trim().trim_start_matches("sudo -u causeway ").to_owned()),
        );
    }
    lines.extend(page.split('`').map(str::to_owned));
    lines.retain(|line| line.starts_with("causeway ") && !line.contains('\n'));
    lines
}

fn assert_known(place: &str, line: &str) {
    use clap::error::ErrorKind as Kind;
    let found = cli::command().try_get_matches_from(words(line));
    let is_known = found.err().is_none_or(|error| {
        matches!(
            error.kind(),
            Kind::MissingRequiredArgument
                | Kind::MissingSubcommand
                | Kind::DisplayHelp
                | Kind::DisplayHelpOnMissingArgumentOrSubcommand
                | Kind::DisplayVersion
        )
    });
    assert!(is_known, "{place}: there is no `{line}`");
}

#[test]
fn every_command_in_the_documentation_exists() {
    let mut seen = 0;
    for (name, page) in pages() {
        for line in command_lines(&page) {
            assert_known(&name, &line);
            seen += 1;
        }
    }
    assert!(seen >= 20, "only {seen} commands were found");
}

/// The commands in `ticks` in the program's own texts. A value that is filled in is read as a number.
#[test]
fn every_command_in_the_texts_of_the_program_exists() {
    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                sources(&path, found);
            } else if path
                .extension()
                .is_some_and(|ending| ending == "rs" || ending == "html")
            {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    for folder in ["causeway-core", "causeway-store", "causeway-connect", "causeway"] {
        sources(&root().join("crates").join(folder).join("src"), &mut found);
    }
    sources(&root().join("crates/causeway/templates"), &mut found);
    let mut seen = 0;
    for path in found {
        let text = std::fs::read_to_string(&path).expect("a source");
        for line in commands_in_a_source(&text) {
            assert_known(&path.display().to_string(), &line);
            seen += 1;
        }
    }
    assert!(seen >= 40, "only {seen} commands were found");
}

fn commands_in_a_source(text: &str) -> Vec<String> {
    // A text that continues on the next line, and a comment that does.
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let joined = lines
        .join("\n")
        .replace("\\\n", "")
        .replace("\n/// ", " ")
        .replace("\n//! ", " ");
    let mut found = Vec::new();
    for line in joined.lines() {
        for part in line.split('`').filter(|part| part.starts_with("causeway ")) {
            let is_value = |word: &str| {
                let word = word.trim_matches(|sign: char| !sign.is_alphanumeric() && sign != '{');
                word.contains('{') || (word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase()))
            };
            let words = part
                .split(' ')
                .map(|word| if is_value(word) { "1" } else { word });
            found.push(words.collect::<Vec<_>>().join(" "));
        }
    }
    found
}

#[test]
fn every_command_has_a_help_with_an_example_that_exists() {
    fn look(path: &str, command: &clap::Command) {
        let after = command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let example = after.strip_prefix("Example: ");
        let example = example.unwrap_or_else(|| panic!("`{path} --help` shows no example"));
        for line in example.lines() {
            let line = line.trim();
            assert!(line.starts_with("causeway "), "{path}: {line}");
            assert_known(path, line.split("   ").next().unwrap_or_default());
        }
        assert!(
            command.get_about().is_some(),
            "`{path}` does not say what it does"
        );
        for inner in command.get_subcommands() {
            look(&format!("{path} {}", inner.get_name()), inner);
        }
    }
    look("causeway", &cli::command());
}

#[test]
fn every_link_between_the_pages_leads_to_a_file() {
    for (name, page) in pages() {
        let folder = root().join(&name).parent().expect("a folder").to_owned();
        for link in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            assert!(folder.join(path).exists(), "{name}: {link} leads nowhere");
        }
    }
}

/// kind → (sample, schema of the whole section)
fn kinds(group: &str) -> BTreeMap<String, (String, Value)> {
    let schema = config::schema();
    let sections = schema["properties"][group]["additionalProperties"]["oneOf"]
        .as_array()
        .expect("the kinds")
        .clone();
    sections
        .into_iter()
        .map(|section| {
            let name = section["title"].as_str().expect("a title").to_owned();
            let sample = match group {
                "source" => sources::KINDS
                    .iter()
                    .find(|kind| kind.name == name)
                    .map(|kind| kind.sample),
                _ => destination::kind(&name).map(|kind| kind.sample),
            };
            (name, (sample.expect("a sample").to_owned(), section))
        })
        .collect()
}

/// The names of all keys below a schema.
fn keys(schema: &Value, definitions: &Value, names: &mut BTreeSet<String>) {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/"))
        // The ways to give a secret are explained once, at the top of the sample.
        && !name.contains(".Secret")
    {
        keys(&definitions[name], definitions, names);
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        names.insert(name.clone());
        keys(inner, definitions, names);
    }
    if !schema["items"].is_null() {
        keys(&schema["items"], definitions, names);
    }
    for list in ["anyOf", "oneOf", "allOf"] {
        for inner in schema[list].as_array().into_iter().flatten() {
            keys(inner, definitions, names);
        }
    }
}

/// Whether the sample has the key, in a comment or not, or as the header of a table.
fn is_named(sample: &str, key: &str) -> bool {
    let (assigned, table, inside) = (format!("{key} = "), format!(".{key}]"), format!(".{key}."));
    let is_word_start = |at: usize| {
        sample[..at]
            .chars()
            .next_back()
            .is_none_or(|c| " \n{#".contains(c))
    };
    sample.match_indices(&assigned).any(|(at, _)| is_word_start(at))
        || sample.lines().any(|line| {
            line.trim_start_matches(['#', ' ']).starts_with('[')
                && (line.contains(&table) || line.contains(&inside))
        })
}

#[test]
fn the_samples_name_every_key() {
    let (schema, main) = (config::schema(), read("samples/causeway.toml"));
    let tests = &schema["properties"]["test"]["items"];
    let plain = ["hub", "http", "retention"].map(|name| (name, &schema["properties"][name]));
    for (section, of) in plain.into_iter().chain([("test", tests)]) {
        let mut names = BTreeSet::new();
        keys(of, &schema["$defs"], &mut names);
        assert!(!names.is_empty(), "[{section}]");
        for key in names {
            assert!(
                is_named(&main, &key),
                "samples/causeway.toml does not name {section}.{key}"
            );
        }
    }
    for group in ["automation", "score", "status"] {
        let mut names = BTreeSet::new();
        keys(
            &schema["properties"][group]["items"],
            &schema["$defs"],
            &mut names,
        );
        assert!(!names.is_empty(), "[[{group}]]");
        for key in names {
            assert!(
                is_named(&main, &key),
                "samples/causeway.toml does not name {key} of [[{group}]]"
            );
        }
    }
    for group in ["source", "destination"] {
        for (kind, (sample, section)) in kinds(group) {
            let mut names = BTreeSet::new();
            keys(&section, &schema["$defs"], &mut names);
            for key in names {
                let is_there = is_named(&sample, &key) || is_named(&main, &key);
                assert!(
                    is_there,
                    "the samples do not name `{key}` of {group}s of kind {kind}"
                );
            }
        }
    }
}

#[test]
fn every_sample_is_read_also_together() {
    let main = read("samples/causeway.toml");
    assert_parses("samples/causeway.toml", &main);
    for group in ["source", "destination"] {
        for (kind, (sample, _)) in kinds(group) {
            assert_parses(&kind, &sample);
        }
    }
}

/// The sample without the comment marks of its keys.
fn uncommented(sample: &str) -> String {
    let mut text = String::new();
    for line in sample.lines() {
        let key = line.strip_prefix("# ").and_then(|line| line.split(" = ").next());
        let is_key = key.is_some_and(|key| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
        let line = if is_key && line.contains(" = ") {
            &line[2..]
        } else {
            line
        };
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[test]
fn the_defaults_in_the_sample_are_right() {
    let main = read("samples/causeway.toml");
    let (full, bare) = (
        assert_parses("the sample", &main),
        assert_parses(
            "a bare one",
            "[source.proca]\nkind = 'proca'\nurl = 'amqp://a:b@h'\nqueue = 'cus.12.deliver'\nconsent = 'single'\n\
             [destination.crm]\nkind = 'webhook'\nurl = 'https://crm.example.org/'",
        ),
    );
    for (one, other) in [
        (format!("{:?}", full.hub), format!("{:?}", bare.hub)),
        (format!("{:?}", full.http), format!("{:?}", bare.http)),
        (format!("{:?}", full.retention), format!("{:?}", bare.retention)),
        (
            format!("{:?}", full.sources["proca"].rule),
            format!("{:?}", bare.sources["proca"].rule),
        ),
        (
            format!("{:?}", full.destinations["crm"].rule),
            format!("{:?}", bare.destinations["crm"].rule),
        ),
        (
            format!("{:?}", full.destinations["crm"].pace),
            format!("{:?}", bare.destinations["crm"].pace),
        ),
    ] {
        assert_eq!(one, other);
    }
    let all = uncommented(&main);
    assert!(all.contains("\nrate_per_s = "), "{all}");
    let all = assert_parses("the sample without comments", &all);
    let pace = &all.destinations["crm"].pace;
    assert_eq!(
        (pace.concurrency, pace.batch),
        (512, 1),
        "what the sample says of a web hook"
    );
}

#[test]
fn the_table_of_common_keys_is_complete_and_names_the_defaults() {
    let page = read("docs/destinations.md");
    let (_, section) = kinds("destination").remove("null").expect("the kind null");
    for (key, schema) in section["properties"].as_object().expect("keys") {
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| `{key}` |")));
        let row = row.unwrap_or_else(|| panic!("docs/destinations.md does not name `{key}`"));
        let default = match &schema["default"] {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string().trim_end_matches(".0").to_owned(),
            other => other.to_string(),
        };
        assert!(
            row.contains(&format!("`{default}`")),
            "the default of `{key}` is {default}: {row}"
        );
    }
}

#[test]
fn the_page_lists_the_consent_changes_that_each_kind_can_receive() {
    let page = read("docs/destinations.md");
    for kind in destination::KINDS {
        let words: Vec<&str> = kind
            .supported_changes
            .iter()
            .map(|change| change.as_str())
            .collect();
        let row = format!("| `{}` | {} |", kind.name, words.join(", "));
        assert!(page.contains(&row), "docs/destinations.md lacks: {row}");
    }
}

#[test]
fn every_figure_is_explained_and_no_other() {
    let (code, page) = (
        include_str!("../../src/telemetry/metrics.rs"),
        read("docs/operating.md"),
    );
    let table = code.split("metrics! {\n").nth(1).expect("the table");
    let rows = table.lines().take_while(|line| *line != "}");
    let figures: BTreeSet<String> = rows
        .map(|row| row.split('"').nth(1).expect("a name"))
        .map(|name| format!("causeway_{name}"))
        .collect();
    assert!(figures.len() > 20, "{figures:?}");
    for figure in &figures {
        let row = [format!("| `{figure}` |"), format!("| `{figure}_total` |")];
        assert!(
            row.iter().any(|row| page.contains(row)),
            "docs/operating.md does not explain {figure}"
        );
    }
    let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
    for (at, _) in page.match_indices("causeway_") {
        let name: String = page[at..].chars().take_while(|c| is_part(*c)).collect();
        let bare = ["_total", "_bucket", "_count", "_sum"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        let is_figure = figures.contains(&name) || bare.is_some_and(|bare| figures.contains(bare));
        assert!(is_figure, "docs/operating.md names {name}, which is not a figure");
    }
}

/// The connect crate compiles and tests the example.
#[test]
fn the_example_destination_on_its_page_is_the_tested_one() {
    let tested = "crates/causeway-connect/src/destination/tests/acme";
    let code =
        read(&format!("{tested}.rs")).replace("acme.toml", "../../../../samples/destinations/acme.toml");
    let (code, tests) = code.split_once("#[cfg(test)]\n").expect("tests");
    let page = read("docs/adding-a-destination.md");
    for part in [code, tests, &read(&format!("{tested}.toml"))] {
        assert!(
            page.contains(part.trim()),
            "docs/adding-a-destination.md lacks:\n{part}"
        );
    }
}
