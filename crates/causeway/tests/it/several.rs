//! Messages with several contacts, and texts in other charsets, through the real program.

use serde_json::Value;

use crate::running::{Home, sum};

const TOKEN: &str = "forms-token-of-24-characters";
const MAUTIC: &str = r#"{"mautic.lead_post_save_update":[
    {"contact":{"id":11,"fields":{"core":{"email":{"label":"Email","value":"ann@example.org"},
        "firstname":{"label":"First Name","value":"Ann"}}}}},
    {"contact":{"id":12,"fields":{"core":{"email":{"label":"Email","value":"bob@example.org"}}}}}]}"#;

fn config(generic: &str) -> String {
    format!(
        "[source.forms]\nkind = 'listener'\npreset = 'generic'\ntoken = '{TOKEN}'\n[source.forms.generic]\n{generic}\n\
         [destination.out]\nkind = 'file'\npath = 'out.jsonl'\nconsent = 'all'\n\
         fields = {{ email = 'contact.email', first = 'contact.firstName' }}\n"
    )
}

/// With the paths of Mautic's messages.
fn mautic(each: &str) -> String {
    config(&format!(
        "{each}\nemail = 'contact.fields.core.email.value'\nid = 'contact.id'\nfields = 'contact.fields.core'"
    ))
}

fn lines(home: &Home) -> Vec<Value> {
    let out = home.read("out.jsonl");
    let mut lines: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    lines.sort_by_key(|line| line["email"].to_string());
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn each_contact_of_a_message_is_stored_delivered_and_erased_separately() {
    let home = Home::new(&mautic(r#"each = '"mautic.lead_post_save_update"'"#));
    let dry = home.run_with(
        &["send", "--source", "forms", "--dry-run", "-"],
        MAUTIC.as_bytes(),
    );
    assert_eq!(dry.code, 0, "{dry:?}");
    for person in ["2 records", "ann@example.org", "bob@example.org"] {
        assert!(dry.out.contains(person), "{person}: {}", dry.out);
    }
    let hub = home.serve();
    let answer = hub.post(TOKEN, "application/json", MAUTIC.as_bytes()).await;
    assert!(answer.contains(r#""reference":"1""#), "{answer}");
    home.settled(3).await;
    let sent = lines(&home);
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert_eq!(
        (&sent[0]["first"], &sent[1]["email"]),
        (&"Ann".into(), &"bob@example.org".into())
    );
    assert!(home.ok(&["trace", "1"]).contains("2 records: messages 2 to 3"));
    assert!(home.ok(&["trace", "2"]).contains("because of message 1"));
    // The same message again is a duplicate.
    hub.post(TOKEN, "application/json", MAUTIC.as_bytes()).await;
    home.settled(4).await;
    let books = home.json(&["audit", "--json"]);
    assert_eq!(sum(&books["sources"], "done"), 3, "{books}");
    assert_eq!(lines(&home).len(), 2);
    home.ok(&["contact", "erase", "ann@example.org", "--yes", "--now"]);
    for row in ["1", "2", "3", "4"] {
        let shown = home.ok(&["trace", row, "--body"]);
        assert_eq!(shown.contains("bob@example.org"), row == "3", "{row}: {shown}");
        assert!(!shown.contains("ann@example.org"), "{row}: {shown}");
    }
    hub.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_each_none_is_taken_and_a_replay_takes_all() {
    let home = Home::new(&config(""));
    let hub = home.serve();
    let list = r#"[{"email":"cem@example.org"},{"email":"dan@example.org"}]"#;
    hub.post(TOKEN, "application/json", list.as_bytes()).await;
    home.until("it is dead", || {
        home.trace(1)["state"] == "dead" || home.ok(&["trace", "1"]).contains("DEAD")
    })
    .await;
    let trace = home.ok(&["trace", "1"]);
    assert!(
        trace.contains("2 records in one message") && trace.contains("each = '.'"),
        "{trace}"
    );
    assert_eq!(lines(&home).len(), 0);
    hub.stop();
    let http = "[http]\nlisten = \"127.0.0.1:0\"\nconsole = \"127.0.0.1:0\"\n";
    home.write("causeway.toml", format!("{http}{}", config("each = '.'")));
    let hub = home.serve();
    home.ok(&["replay", "1"]);
    home.until("both are sent", || lines(&home).len() == 2).await;
    hub.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_charset_is_read_and_a_broken_text_replaces_nothing() {
    let home = Home::new(&config(
        "consent_from = [{ field = 'post', opt_in = ['ja'], unsubscribed = ['möchte nicht'] }]",
    ));
    let hub = home.serve();
    let form = "application/x-www-form-urlencoded";
    let first_name = |who: &str| {
        let shown = home.ok(&["contact", "show", who]);
        let line = shown
            .lines()
            .find(|line| line.contains("firstName"))
            .unwrap_or_default();
        line.to_owned()
    };
    hub.post(
        TOKEN,
        form,
        "email=zoe@example.org&first_name=Zoë&post=ja".as_bytes(),
    )
    .await;
    home.settled(1).await;
    hub.post(TOKEN, form, b"email=zoe@example.org&first_name=Zo%EBy")
        .await;
    hub.post(TOKEN, form, b"email=kim@example.org&first_name=K%EFm")
        .await;
    home.settled(3).await;
    let shown = first_name("zoe@example.org");
    assert!(shown.contains("Zoë") && !shown.contains('\u{fffd}'), "{shown}");
    assert!(
        first_name("kim@example.org").contains("K\u{fffd}m"),
        "better than nothing"
    );
    assert!(home.ok(&["trace", "2"]).contains("a known value stays"));
    let latin = "application/x-www-form-urlencoded; charset=ISO-8859-1";
    hub.post(
        TOKEN,
        latin,
        b"email=kim@example.org&first_name=K%EFm&post=m%F6chte+nicht",
    )
    .await;
    home.settled(4).await;
    assert!(first_name("kim@example.org").contains("Kïm"));
    assert!(
        home.ok(&["contact", "show", "kim@example.org"])
            .contains("unsubscribed")
    );
    hub.stop();
}
