//! Mappings in a whole configuration: errors name file, line and key, and a dry run shows the result.

use std::path::Path;

use causeway::config;

use crate::running::Home;

const HOOK: &str =
    "[destination.hook]\nkind = 'webhook'\nurl = 'https://hooks.example.org'\n[destination.hook.fields]\n";

#[test]
fn a_mistake_in_a_mapping_is_reported_with_its_place() {
    for (text, said) in [
        (
            "E = 'contct.email'",
            "causeway.toml:5: [destination.hook] `fields.E`: there is no name `contct`, at line 1, column 1 (did you \
             mean contact.email?)",
        ),
        (
            "E = 'contact.country | lookup(\"region\")'\n[lookup.regions]\nDE = 'central'",
            "causeway.toml:5: [destination.hook] `fields.E`: there is no lookup table \"region\", at line 1, column 19 \
             (did you mean regions?)",
        ),
        (
            "A = { B = ['{{ contact.email }', 1] }",
            "causeway.toml:5: [destination.hook] `fields.A.B.0`: cannot be read: ",
        ),
        (
            "E = 'contact.email'\n[lookup.regions]",
            "causeway.toml:6: [lookup.regions] the lookup table is empty",
        ),
        (
            "E = 'contact.email'\n[lookup]\nregions = 1",
            "causeway.toml:7: [lookup.regions] not a section",
        ),
    ] {
        let errors = config::parse(Path::new("causeway.toml"), &format!("{HOOK}{text}")).expect_err(text);
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert!(texts[0].starts_with(said), "{}", texts[0]);
    }
}

#[test]
fn a_probably_misspelt_name_is_a_warning() {
    let text = format!("{HOOK}E = 'contact.emial'");
    let config =
        config::parse(Path::new("causeway.toml"), &text).expect("a field of a source's own may be called so");
    let warnings = config::warnings(&config);
    let said = "[destination.hook]: `E`: `contact.emial` is not a field that every contact has: did you mean \
                contact.email?";
    assert!(warnings.iter().any(|warning| warning == said), "{warnings:?}");
}

#[test]
fn a_dry_run_shows_the_mapped_request_or_its_error() {
    let home = Home::new(
        "[source.signups]\nkind = 'listener'\npreset = 'generic'\ntoken = 'signups-token-of-24-chars'\n\
         [destination.archive]\nkind = 'file'\npath = 'archive.jsonl'\nconsent = 'all'\n\
         [destination.archive.fields]\n\
         name = '{{ contact.firstName | upper }}, {{ contact.country | country(\"name\") }}'\n\
         region = 'contact.country | lookup(\"regions\")'\nlist = 'settings.list'\ncolour = 'contact.colour'\n\
         [destination.archive.settings]\nlist = 7\n[lookup.regions]\nDE = 'central'\n",
    );
    let send = |body: &str| {
        home.write("message.json", body);
        home.run(&["send", "message.json", "--source", "signups", "--dry-run"])
    };
    let said = send(r#"{"email": "ada@example.org", "first_name": "Ada", "country": "DE", "colour": "red"}"#);
    let expected = r#""name":"ADA, Germany","region":"central","list":7,"colour":"red"}"#;
    assert!(said.out.contains(expected), "{}\n{}", said.out, said.err);

    let said = send(r#"{"email": "eve@example.org", "first_name": "Eve", "country": "DE"}"#);
    let all = format!("{}{}", said.out, said.err);
    assert!(all.contains("`colour`: `contact.colour` is missing"), "{all}");
    assert!(!home.path("causeway-data").exists(), "a dry run made a store");
}
