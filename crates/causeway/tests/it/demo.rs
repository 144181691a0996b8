//! `causeway demo` as a visitor runs it.

use crate::running::Home;

#[test]
fn the_demo_sends_to_vendors_accounts_in_memory() {
    let home = Home::new("");
    let said = home.ok(&[
        "demo",
        "--with",
        "all",
        "--seconds",
        "3",
        "--rate",
        "20",
        "--dir",
        "demo",
    ]);
    for name in ["hubspot", "mailchimp", "meta", "salesforce"] {
        let page = said
            .lines()
            .any(|line| line.trim_start().starts_with(name) && line.contains("http://127.0.0.1:"));
        assert!(page, "no page of {name}: {said}");
    }
    let dead = home.ok(&[
        "--config",
        "demo/causeway.toml",
        "delivery",
        "list",
        "--state",
        "dead",
    ]);
    // The simulated CRM refuses one call in a hundred; no vendor refuses an invented person.
    for line in dead
        .lines()
        .filter(|line| line.contains('→') || line.contains("http"))
    {
        assert!(line.contains("crm"), "{dead}");
    }
    let wrong = home.run(&["demo", "--with", "hubspott"]);
    assert_eq!(wrong.code, 2);
    assert!(
        wrong
            .err
            .contains("there is no \"hubspott\"; there are: actionnetwork"),
        "{wrong:?}"
    );
}
