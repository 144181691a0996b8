//! What a trace shows of the requests that were sent.

use causeway_testkit::{fake_api::FakeApi, rig::postgres};
use serde_json::{Value, json};

use crate::running::{Home, blocking};

const TOKEN: &str = "token-of-24-characters-plat";

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_shows_what_was_sent_and_masks_it_unless_asked() {
    let crm = FakeApi::start().await;
    let home = Home::new(&format!(
        "[source.form]\nkind = 'listener'\npreset = 'generic'\ntoken = '{TOKEN}'\n\
         [destination.crm]\nkind = 'webhook'\nurl = '{}'\nallow_private = true\nconsent = 'all'\n\
         headers = {{ x-secret = {{ env = 'SECRET' }} }}\nfields = {{ mail = 'contact.email', change = 'change' }}\n",
        crm.url("/people?list=7")
    ))
    .with("SECRET", "sesame");
    let hub = home.serve();
    hub.post_json(TOKEN, &json!({ "email": "ann@example.org" })).await;
    home.settled(1).await;
    hub.stop();
    let plain = home.ok(&["trace", "1"]);
    assert!(
        plain.contains(&format!("> POST {}", crm.url("/people"))),
        "{plain}"
    );
    let (masked, revealed) = (
        home.ok(&["trace", "1", "--sent"]),
        home.ok(&["trace", "1", "--reveal"]),
    );
    let request = |options: &[&str]| {
        let traces = home.json(&[&["trace", "1", "--json"], options].concat());
        traces[0]["deliveries"][0]["attempts"][0]["request"]
            .as_str()
            .expect("a request")
            .to_owned()
    };
    let (json, json_revealed) = (request(&[]), request(&["--reveal"]));
    for masked in [&masked, &json] {
        assert!(
            masked.contains("mail") && masked.contains("a•••@e•••.org"),
            "{masked}"
        );
    }
    for shown in [&plain, &masked, &json] {
        assert!(!shown.contains("ann@example.org"), "{shown}");
    }
    for shown in [&revealed, &json_revealed] {
        assert!(shown.contains("ann@example.org"), "{shown}");
        assert!(!shown.contains("sesame"), "{shown}");
    }
    assert_eq!(crm.requests()[0].header("x-secret"), Some("sesame"));
}

/// The attempts of a message at a destination: outcome, request and response.
fn attempts(home: &Home, message: &str, destination: &str, options: &[&str]) -> Vec<[Option<String>; 3]> {
    let traces = home.json(&[&["trace", message, "--json"], options].concat());
    let deliveries = traces[0]["deliveries"].as_array().expect("deliveries").iter();
    let own = deliveries.filter(|delivery| delivery["delivery"]["destination"] == destination);
    let attempts = own.flat_map(|delivery| delivery["attempts"].as_array().expect("attempts"));
    let text = |value: &Value| value.as_str().map(str::to_owned);
    attempts
        .map(|attempt| ["outcome", "request", "excerpt"].map(|name| text(&attempt[name])))
        .collect()
}

/// A form, a PostgreSQL, a SQLite and a file. The PostgreSQL takes nobody called Bob.
async fn databases_and_a_file() -> Home {
    let url = blocking(|| postgres::shared().create_database()).await;
    let home = Home::new(&format!(
        "[source.form]\nkind = 'listener'\npreset = 'generic'\ntoken = '{TOKEN}'\n\
         [destination.server]\nkind = 'sql'\nurl = '{url}'\nconsent = 'all'\ncontacts = {{ table = 'people' }}\n\
         [destination.light]\nkind = 'sql'\nurl = 'sqlite:people.db'\nconsent = 'all'\ncontacts = {{ table = 'people' }}\n\
         [destination.lines]\nkind = 'file'\npath = 'people.csv'\nconsent = 'all'\n\
         fields = {{ email = 'contact.email', change = 'change' }}\n"
    ));
    for destination in ["server", "light"] {
        home.ok(&["destination", "create", destination]);
    }
    blocking(move || {
        let check = "ALTER TABLE people ADD CONSTRAINT no_bob CHECK (email NOT LIKE 'bob%')";
        postgres::shared().execute(&url, check)
    })
    .await;
    home
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_and_lines_are_kept_masked_and_erased_with_the_person() {
    let home = databases_and_a_file().await;
    let hub = home.serve();
    for (number, name) in [(1, "ann"), (2, "bob")] {
        let person = json!({ "email": format!("{name}@example.org") });
        hub.post_json(TOKEN, &person).await;
        home.settled(number).await;
    }
    for (destination, head) in [
        ("server", "SQL postgres://127.0.0.1:"),
        ("light", "SQL sqlite:"),
        ("lines", "FILE "),
    ] {
        let revealed = attempts(&home, "1", destination, &["--reveal"]);
        let [outcome, request, excerpt] = &revealed[0];
        let request = request.as_deref().expect("a request");
        assert_eq!(
            (outcome.as_deref(), excerpt.as_deref()),
            (Some("delivered"), None)
        );
        assert!(
            request.starts_with(head) && request.contains("ann@example.org"),
            "{request}"
        );
        let is_statement = request.contains("INSERT INTO \"") && request.ends_with("\n\n1 row");
        assert_eq!(is_statement, head.starts_with("SQL"), "{request}");
        let masked = attempts(&home, "1", destination, &[]).remove(0);
        let masked = masked[1].as_deref().expect("a request");
        assert!(
            masked.starts_with(head) && masked.contains("a•••@e•••.org"),
            "{masked}"
        );
        assert!(!masked.contains("ann@"), "{masked}");
    }
    // The attempt that failed.
    let [outcome, request, excerpt] = attempts(&home, "2", "server", &["--reveal"]).remove(0);
    assert_eq!(outcome.as_deref(), Some("reject"));
    let request = request.expect("a request");
    assert!(
        request.contains("bob@example.org")
            && request.contains("\n\nrefused: breaks the check constraint \"no_bob\" (SQLSTATE 23514)"),
        "{request}"
    );
    let excerpt = excerpt.expect("the database's answer");
    assert!(
        excerpt.contains("violates check constraint") && excerpt.ends_with("(SQLSTATE 23514)"),
        "{excerpt}"
    );
    // On the command line and in the console.
    let plain = home.ok(&["trace", "1"]);
    let shown = home.ok(&["trace", "2", "--sent"]);
    assert!(
        plain.contains("> SQL postgres://127.0.0.1:") && plain.contains("> FILE "),
        "{plain}"
    );
    assert!(!plain.contains("INSERT"), "{plain}");
    assert!(
        shown.contains("> INSERT INTO \"") && shown.contains("b•••@e•••.org"),
        "{shown}"
    );
    assert!(
        !shown.contains("bob@") && !plain.contains("ann@"),
        "{shown}{plain}"
    );
    let page = hub.page("/messages/2").await;
    assert!(
        page.contains("INSERT INTO") && page.contains("SQLSTATE 23514"),
        "{page}"
    );
    assert!(!page.contains("bob@"), "{page}");
    // An erasure deletes them.
    home.ok(&["contact", "erase", "ann@example.org", "--yes", "--now"]);
    for destination in ["server", "light", "lines"] {
        for [_, request, excerpt] in attempts(&home, "1", destination, &["--reveal"]) {
            assert_eq!((request, excerpt), (None, None), "{destination}");
        }
        let others = attempts(&home, "2", destination, &["--reveal"]);
        assert!(
            others[0][1].as_deref().expect("a request").contains("bob@"),
            "{destination}"
        );
    }
    hub.stop();
}
