//! `config check` refuses every configuration that `serve` would refuse: with the line, exit code 2, and no side effects.

use crate::running::Home;

const TOKEN: &str = "token = 'signups-token-of-24-chars'\n";

/// A listener's section with these keys.
fn listener(keys: &str) -> String {
    format!("[source.signups]\nkind = 'listener'\npreset = 'generic'\n{keys}")
}

fn assert_refused(config: &str, key: &str, says: &str) {
    assert_refused_at(&Home::new(config), config, key, says);
}

fn assert_refused_at(home: &Home, config: &str, key: &str, says: &str) {
    for command in ["config check", "serve"] {
        let words: Vec<&str> = command.split(' ').collect();
        let said = home.run(&words);
        assert_eq!(said.code, 2, "{command}\n{config}\n{said:?}");
        assert!(
            said.err.contains("causeway.toml:")
                && said.err.contains(&format!("`{key}`"))
                && said.err.contains(says),
            "{command} does not say {key:?} and {says:?}\n{config}\n{said:?}"
        );
    }
    assert!(!home.path("causeway-data").exists(), "{config}");
}

#[test]
fn a_listener_that_could_not_start_is_refused() {
    let secret = "secrets = 'a-shared-secret'";
    let cases: &[(&str, &str, &str)] = &[
        ("token = 'short'\n", "token", "fewer than 22"),
        (
            "token = 'signups token of 24 chars'\n",
            "token",
            "may only have letters",
        ),
        ("token = []\n", "token", "the list is empty"),
        ("token = { env = 'A', file = 'b' }\n", "token", "exactly one of"),
        ("token = {}\n", "token", "exactly one of"),
        ("allow_ips = ['10.0.0.0/33']\n", "allow_ips", "10.0.0.0/33"),
        (
            "allow_ips = ['hub.example.org']\n",
            "allow_ips",
            "hub.example.org",
        ),
        (
            "signature = { scheme = 'mautic', secrets = [] }\n",
            "signature.secrets",
            "the list is empty",
        ),
        (
            "basic = { user = 'ann', passwords = [] }\n",
            "basic.passwords",
            "the list is empty",
        ),
        (
            "basic = { user = 'ann', passwords = '' }\n",
            "basic.passwords",
            "empty",
        ),
        ("basic = { user = 'ann' }\n", "basic", "passwords"),
        (
            "basic = { user = 'a:b', passwords = 'c' }\n",
            "basic.user",
            "colon",
        ),
        (
            "header_secret = { name = 'not a name', secrets = 'c' }\n",
            "header_secret.name",
            "header name",
        ),
        (
            "generic = { time_zone = 'Europe/Atlantis' }\n",
            "generic.time_zone",
            "Europe/Atlantis",
        ),
        ("generic = { email = 'a..b[x' }\n", "generic.email", "empty step"),
        ("generic = { id = 'a.b[x' }\n", "generic.id", "not closed"),
        (
            "signature = { scheme = 'standard-webhooks', secrets = 'whsec_no-base64!' }\n",
            "signature.secrets",
            "not base64",
        ),
        (
            "signature = { scheme = 'standard-webhooks', secrets = 'whsec_c2hvcnQ=' }\n",
            "signature.secrets",
            "5 bytes",
        ),
    ];
    for (keys, key, says) in cases {
        let token = if keys.starts_with("token") { "" } else { TOKEN };
        assert_refused(&listener(&format!("{token}{keys}")), key, says);
    }
    for (keys, key, says) in [
        ("scheme = 'hubspot-v3'", "signature.public_url", "signs the URL"),
        ("scheme = 'custom'", "signature.custom", "table"),
        (
            "scheme = 'custom', custom = { header = 'x', template = '{boy}' }",
            "signature.custom.template",
            "boy",
        ),
    ] {
        let signature = format!("signature = {{ {keys}, {secret} }}\n");
        assert_refused(&listener(&format!("{TOKEN}{signature}")), key, says);
    }
}

#[test]
fn two_sections_that_need_the_same_resource_are_refused() {
    let two = format!(
        "{}[source.other]\nkind = 'listener'\npreset = 'generic'\n{TOKEN}",
        listener(TOKEN)
    );
    assert_refused(&two, "token", "same token");
    let home = Home::new("");
    let addresses = "[http]\nlisten = '127.0.0.1:18437'\nconsole = '0.0.0.0:18437'\n";
    home.write("causeway.toml", addresses);
    assert_refused_at(&home, addresses, "console", "the same address");
    assert_refused(
        "[destination.one]\nkind = 'file'\npath = 'out/a.csv'\n[destination.two]\nkind = 'file'\npath = 'out/./b/../a.csv'\n",
        "path",
        "same file",
    );
    assert_refused(
        "[destination.crm]\nkind = 'webhook'\nurl = 'https://crm.example.org'\nauth = { bearer = '' }\n",
        "auth.bearer",
        "empty",
    );
}

/// The machine where a configuration is checked need not have the secrets of the machine where it runs.
#[test]
fn a_missing_secret_is_not_an_error_and_hides_none() {
    let absent = "token = { env = 'NOT_SET_IN_THIS_TEST' }\n";
    let home = Home::new(&listener(absent));
    let said = home.ok(&["config", "check"]);
    assert!(
        said.contains("NOT_SET_IN_THIS_TEST") && said.contains("is good"),
        "{said}"
    );
    assert_eq!(home.run(&["serve"]).code, 2);
    let both =
        format!("{absent}signature = {{ scheme = 'standard-webhooks', secrets = 'whsec_c2hvcnQ=' }}\n");
    assert_refused(&listener(&both), "signature.secrets", "5 bytes");
}
