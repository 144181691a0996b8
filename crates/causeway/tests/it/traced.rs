//! What a trace shows of the requests that were sent.

use causeway_testkit::fake_api::FakeApi;
use serde_json::json;

use crate::running::Home;

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
