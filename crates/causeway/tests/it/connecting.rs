//! A person signs in at HubSpot with `causeway connect`, against an account in memory.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    process::Stdio,
};

use causeway_testkit::vendors::{
    FakeVendor,
    hubspot::{App, HubSpot, SCOPES},
};
use url::Url;

use crate::running::{Home, get};

struct Account {
    _hubspot: FakeVendor<HubSpot>,
    home: Home,
}

impl Account {
    async fn start() -> Self {
        let mut hubspot = HubSpot::default();
        hubspot.apps.push(App {
            client_id: "app".to_owned(),
            client_secret: "sesame".to_owned(),
            scopes: SCOPES.map(str::to_owned).into(),
            codes: ["code-1".to_owned()].into(),
            refresh_tokens: BTreeSet::new(),
        });
        let hubspot = FakeVendor::start(hubspot).await;
        let home = Home::new(&format!(
            "[destination.crm]\nkind = \"hubspot\"\nconsent = \"opt_in\"\nbase_url = \"{}\"\nallow_private = true\n\
             oauth = {{ grant = \"refresh_token\", client_id = \"app\", client_secret = {{ env = \"SECRET\" }} }}\n",
            hubspot.url()
        ));
        let home = home.with("SECRET", "sesame");
        Self {
            _hubspot: hubspot,
            home,
        }
    }
}

/// The address after this line of the program's output.
fn address(lines: &mut impl Iterator<Item = String>, after: &str) -> Url {
    lines.find(|line| line.contains(after)).expect("the line");
    let line = lines.find(|line| !line.trim().is_empty()).expect("an address");
    line.trim().parse().expect("an address")
}

fn state(url: &Url) -> String {
    let (_, state) = url
        .query_pairs()
        .find(|(name, _)| name == "state")
        .expect("a state");
    state.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_and_the_hub_uses_it() {
    let account = Account::start().await;
    let before = account.home.run(&["doctor"]);
    assert_eq!(before.code, 1);
    assert!(
        before
            .out
            .contains("nobody has signed in yet: run `causeway connect crm`"),
        "{before:?}"
    );
    let mut command = account.home.command(&["connect", "crm", "--port", "0"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut input = child.stdin.take().expect("a pipe");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe"))
        .lines()
        .map_while(Result::ok);
    let redirect = address(&mut lines, "redirect address");
    let sign_in = address(&mut lines, "sign in");
    assert!(
        sign_in
            .as_str()
            .starts_with("https://app.hubspot.com/oauth/authorize?"),
        "{sign_in}"
    );
    // An answer to another sign-in is ignored, whether it is visited or pasted.
    let port = redirect.port().expect("a port");
    let page = get(&format!("127.0.0.1:{port}"), "/callback?state=wrong&code=code-1").await;
    assert!(page.contains("referrer-policy: no-referrer"), "{page}");
    assert!(page.contains("close this window"), "{page}");
    lines
        .find(|line| line.contains("does not belong to this sign-in"))
        .expect("a warning");
    let mut back = redirect.clone();
    back.set_query(Some(&format!("state={}&code=code-1", state(&sign_in))));
    writeln!(input, "{back}").expect("it is read");
    lines.find(|line| line.contains("Signed in.")).expect("the end");
    assert!(child.wait().expect("it ends").success());
    assert!(account.home.ok(&["doctor"]).contains("ok    destination crm"));
    // The token is sealed, and forgotten on request.
    let stored = std::fs::read(account.home.path("causeway-data/causeway.db")).expect("the store");
    let log = std::fs::read(account.home.path("causeway-data/causeway.db-wal")).unwrap_or_default();
    for file in [stored, log] {
        assert!(!String::from_utf8_lossy(&file).contains("eu1-refresh"));
    }
    account.home.ok(&["connect", "crm", "--forget"]);
    assert_eq!(account.home.run(&["doctor"]).code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_vendor_ends_the_sign_in_with_its_words() {
    let account = Account::start().await;
    let mut command = account.home.command(&["connect", "crm", "--port", "0"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut input = child.stdin.take().expect("a pipe");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe"))
        .lines()
        .map_while(Result::ok);
    let mut redirect = address(&mut lines, "redirect address");
    let sign_in = address(&mut lines, "sign in");
    let answer = format!(
        "state={}&error=access_denied&error_description=The+user+said+no",
        state(&sign_in)
    );
    redirect.set_query(Some(&answer));
    writeln!(input, "{redirect}").expect("it is read");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("access_denied The user said no"), "{words}");
}

#[test]
fn a_destination_where_nobody_signs_in_says_so() {
    let home = Home::new(
        "[destination.crm]\nkind = \"webhook\"\nurl = \"https://crm.example.org/\"\nconsent = \"all\"\n\
         [destination.hub]\nkind = \"hubspot\"\ntoken = \"pat-1\"\nconsent = \"opt_in\"\n",
    );
    for (name, code, words) in [
        ("crm", 2, "nobody has to sign in for this destination"),
        ("hub", 2, "a token that does not change: nobody has to sign in"),
        (
            "other",
            2,
            "there is no destination \"other\"; there are: crm, hub",
        ),
    ] {
        let answer = home.run(&["connect", name]);
        assert_eq!(answer.code, code, "{answer:?}");
        assert!(answer.err.contains(words), "{answer:?}");
    }
}
