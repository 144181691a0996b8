//! The complete configurations in `samples/configs`, and the one on the page about testing: each is valid, says whom it is for,
//! and passes its own tests, which notice a mistake in it.

use std::path::{Path, PathBuf};

use crate::running::Home;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// File name → text.
fn samples() -> Vec<(String, String)> {
    let folder = std::fs::read_dir(root().join("samples/configs")).expect("the samples");
    let mut all: Vec<(String, String)> = folder
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
            (name.to_owned(), std::fs::read_to_string(&path).expect("text"))
        })
        .collect();
    all.sort();
    all
}

/// A folder with the sample messages and keys, and this text as `configs/it.toml`.
fn home(config: &str) -> Home {
    let home = Home::new("");
    for folder in ["configs", "messages", "samples"] {
        std::fs::create_dir(home.path(folder)).expect("a folder");
    }
    std::fs::create_dir(home.path("samples/messages")).expect("a folder");
    for entry in std::fs::read_dir(root().join("samples/messages")).expect("messages") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        let bytes = std::fs::read(&path).expect("a message");
        home.write(&format!("messages/{name}"), &bytes);
        home.write(&format!("samples/messages/{name}"), &bytes);
    }
    let keys = std::fs::read(root().join("samples/keystore.json")).expect("keys");
    home.write("keystore.json", keys);
    home.write("configs/it.toml", config);
    home
}

#[test]
fn each_sample_says_whom_it_is_for_and_passes_its_tests() {
    let samples = samples();
    assert!(samples.len() >= 11, "{}", samples.len());
    for (name, text) in samples {
        for part in [
            "# Who:  ",
            "# What: ",
            &format!("# Try:  causeway --config samples/configs/{name} test"),
        ] {
            assert!(text.contains(part), "{name} has no {part:?}");
        }
        let home = home(&text);
        let said = home.ok(&["--config", "configs/it.toml", "config", "check"]);
        assert!(!said.contains("warning"), "{name}: {said}");
        let said = home.run(&["--config", "configs/it.toml", "test"]);
        assert_eq!(said.code, 0, "{name}:\n{}", said.out);
        assert!(
            said.out.ends_with(" passed, 0 failed\n") && !said.out.starts_with("0 "),
            "{name}: {}",
            said.out
        );
        assert!(
            !home.path("configs/causeway-data").exists(),
            "{name} left something behind"
        );
        assert!(!home.path("configs/out").exists(), "{name} wrote something");
    }
}

/// The configurations for single APIs have no source, because any source fits.
#[test]
fn each_sample_for_an_api_is_valid_without_a_warning() {
    let files = std::fs::read_dir(root().join("samples/rest")).expect("the samples");
    let mut count = 0;
    for file in files {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("text");
        let config = causeway::config::parse(Path::new("c.toml"), &text);
        let config = config.unwrap_or_else(|errors| {
            panic!(
                "{text}: {:?}",
                errors.iter().map(ToString::to_string).collect::<Vec<_>>()
            )
        });
        let warnings = causeway::config::warnings(&config);
        let own: Vec<&String> = warnings
            .iter()
            .filter(|text| text.contains("[destination.") && !text.contains("pt-outs are not sent"))
            .collect();
        assert!(own.is_empty(), "{own:?}");
        count += 1;
    }
    assert_eq!(count, 8);
}

/// A mistake in a sample that its tests must notice.
const MISTAKES: [(&str, &str, &str); 11] = [
    (
        "01",
        "consent = \"double_opt_in\"\ncoalesce",
        "consent = \"all\"\ncoalesce",
    ),
    ("02", "own_orgs = [123] ", "own_orgs = [123, 456] "),
    ("03", "campaigns = [\"save_bees\"", "campaigns = [\"save_trees\""),
    ("04", "consent = \"opt_in\" }", "consent = \"none\" }"),
    ("05", "purpose = \"ads\"\ncoalesce", "coalesce"),
    ("06", "keystore = [\"../keystore.json\"]", "keystore = []"),
    (
        "07",
        "workspace = \"rivers\"\nurl = { env",
        "workspace = \"bees\"\nurl = { env",
    ),
    ("08", "purpose = \"phone\" }", "purpose = \"email\" }"),
    ("09", "fields = \"contact\"", "fields = \"data\""),
    ("10", "consent = \"all\"\nbatch", "consent = \"opt_in\"\nbatch"),
    ("11", "stop = \"not", "# stop = \"not"),
];

#[test]
fn the_tests_of_each_sample_notice_a_mistake() {
    let samples = samples();
    for (number, right, wrong) in MISTAKES {
        let (name, text) = samples
            .iter()
            .find(|(name, _)| name.starts_with(number))
            .expect("the sample");
        assert!(text.contains(right), "{name} has no {right:?}");
        let home = home(&text.replacen(right, wrong, 1));
        let said = home.run(&["--config", "configs/it.toml", "test"]);
        // 1: a test fails; 2: the configuration itself is refused.
        assert!(
            matches!(said.code, 1 | 2),
            "{name} did not notice {wrong:?}: {said:?}"
        );
    }
}

#[test]
fn the_configuration_in_the_page_about_testing_passes_and_the_shown_failure_is_real() {
    let page = std::fs::read_to_string(root().join("docs/testing.md")).expect("the page");
    let block = |language: &str, number: usize| {
        let start = format!("```{language}\n");
        let rest = page.split(&start).nth(number).expect("a block");
        rest.split("```").next().expect("its end").to_owned()
    };
    let config = block("toml", 1);
    let home = home("");
    home.write("causeway.toml", &config);
    let out = home.ok(&["test"]);
    assert!(out.ends_with("3 passed, 0 failed\n"), "{out}");
    home.write(
        "causeway.toml",
        config.replace("bruce@example.org", "brus@example.org"),
    );
    let said = home.run(&["test"]);
    assert!(said.out.starts_with(&block("text", 1)), "{}", said.out);
}
