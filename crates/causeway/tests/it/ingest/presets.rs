//! The decoder of each preset reads the messages that the listener stored.

use std::sync::Arc;

use causeway_connect::config::Context;
use causeway_core::{
    contact::Identity,
    event::{DeadCode, Decoded, Event, EventKind},
};
use causeway_testkit::clock::TestClock;

use super::rig::{BASE, TOKEN, config, start};

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

fn context() -> Context {
    Context {
        name: "forms".into(),
        clock: Arc::new(TestClock::default()),
        dir: "nowhere".into(),
        tables: causeway_core::mapping::Tables::default(),
        vault: causeway_connect::vault::NoVault::shared(),
    }
}

/// Sends the request to a listener with these keys, and decodes what it stored.
async fn decoded(toml: &str, method: &str, query: &str, header: &str, body: &str) -> Decoded {
    let rig = start(toml).await;
    let answer = rig
        .send(method, &format!("/in/{TOKEN}{query}"), &[header], body)
        .await;
    assert_eq!(answer.status, 200);
    let decoder = config(toml).unwrap().decoder(&context()).unwrap();
    decoder.decode(&rig.stored()[0])
}

fn event(decoded: Decoded) -> Event {
    match decoded {
        Decoded::Event(event) => *event,
        other => panic!("{other:?}"),
    }
}

fn emails(event: &Event) -> Vec<&str> {
    event
        .identities
        .iter()
        .filter_map(|identity| match identity {
            Identity::Email { address } => Some(address.as_str()),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn a_platform_s_contact_is_decoded_in_every_format() {
    let multipart =
        "--b\r\nContent-Disposition: form-data; name=\"contact[email]\"\r\n\r\nann@example.org\r\n--b--\r\n";
    for (method, query, header, body) in [
        (
            "POST",
            "",
            FORM,
            "transactionid=7&contact[email]=Ann@example.org&",
        ),
        ("POST", "", FORM, "contact%5Bemail%5D=ann%40example.org"),
        (
            "POST",
            "?contact[email]=ann@example.org",
            FORM,
            "contact[phone]=123",
        ),
        (
            "POST",
            "",
            "Content-Type: application/json",
            r#"{"contact":{"email":"ann@example.org"}}"#,
        ),
        ("POST", "", FORM, r#"{"contact":{"email":"ann@example.org"}}"#),
        ("POST", "", "X-Nothing: 1", "contact[email]=ann@example.org"),
        (
            "POST",
            "",
            "Content-Type: multipart/form-data; boundary=b",
            multipart,
        ),
        ("GET", "?contact[email]=ann%40example.org", "X-Nothing: 1", ""),
    ] {
        let event = event(decoded(BASE, method, query, header, body).await);
        assert_eq!(event.kind, EventKind::ContactSync, "{method} {query} {body}");
        assert_eq!(emails(&event), ["ann@example.org"], "{method} {query} {body}");
        assert_eq!(&*event.namespace, "forms");
    }
}

#[tokio::test]
async fn a_generic_sender_is_read_by_its_paths() {
    let toml = BASE.replace("sync-to-third-party", "generic")
        + "namespace = \"shop\"\ngeneric = { email = \"who.mail\", id = \"who.no\", consent = \"opt_in\" }";
    let body = r#"{"who":{"mail":"bo@example.org","no":5}}"#;
    let event = event(decoded(&toml, "POST", "", "X-Nothing: 1", body).await);
    assert_eq!(emails(&event), ["bo@example.org"]);
    assert_eq!((&*event.namespace, event.consent.len()), ("shop", 1));
}

#[tokio::test]
async fn parameters_and_charsets_are_read_as_the_source_says() {
    let toml = format!(
        "{BASE}charset = \"windows-1252\"\nparams = {{ param1 = \"email\", param2 = \"firstName\", param3 = \"id\" }}\n"
    );
    let query = "?param1=ann@example.org&param2=Zo%EB&param3=7";
    let event = event(decoded(&toml, "GET", query, "X-Nothing: 1", "").await);
    assert_eq!(emails(&event), ["ann@example.org"]);
    assert_eq!(
        (event.identities.len(), &event.fields["firstName"]),
        (2, &"Zoë".into())
    );
}

#[tokio::test]
async fn a_platform_s_transaction_has_one_key_whatever_its_parameters_are_called() {
    let toml = format!("{BASE}params = {{ tid = \"transactionid\", mail = \"contact[email]\" }}\n");
    let rig = start(&toml).await;
    for query in [
        "?tid=7&mail=ann@example.org",
        "?transactionid=7&contact[email]=ann@example.org",
    ] {
        let answer = rig.send("GET", &format!("/in/{TOKEN}{query}"), &[], "").await;
        assert_eq!(answer.status, 200);
    }
    let stored = rig.stored();
    assert!(stored[0].dedup.id.is_some());
    assert_eq!(stored[0].dedup.id, stored[1].dedup.id);
}

#[test]
fn a_charset_parameter_or_path_that_leads_nowhere_is_refused() {
    let generic = BASE.replace("sync-to-third-party", "generic");
    let proca =
        BASE.replace("sync-to-third-party", "proca") + "proca = { own_orgs = [1], consent = \"single\" }\n";
    for (toml, key, message) in [
        (
            format!("{BASE}charset = \"klingon\""),
            "charset",
            "unknown charset \"klingon\"",
        ),
        (
            format!("{BASE}params = {{ p1 = \"a..b\" }}"),
            "params.p1",
            "the name has an empty step",
        ),
        (
            format!("{proca}charset = \"latin1\""),
            "charset",
            "has no meaning for preset = \"proca\"",
        ),
        (
            format!("{proca}params = {{ p1 = \"email\" }}"),
            "params",
            "has no meaning for preset = \"proca\"",
        ),
        (
            format!("{generic}generic = {{ each = '\"a.b' }}"),
            "generic.each",
            "has a quote that is not closed",
        ),
        (
            format!("{BASE}sync = {{ each = 'a..b' }}"),
            "sync.each",
            "has an empty step",
        ),
        (
            format!("{generic}generic = {{ email = 'mautic\\.lead[0].email' }}"),
            "generic.email",
            "has a \\ before a dot; put a name that has dots in double quotes",
        ),
    ] {
        let error = config(&toml).unwrap_err();
        assert!(error.contains(key) && error.contains(message), "{toml}: {error}");
    }
    for each in [".", "data.people", "\"mautic.lead_post_save_update\""] {
        config(&format!("{generic}generic = {{ each = '{each}' }}")).unwrap();
    }
}

#[tokio::test]
async fn proca_s_messages_are_read_as_from_a_queue() {
    let toml = BASE.replace("sync-to-third-party", "proca")
        + "proca = { own_orgs = [12], consent = \"double_opt_in\", testing = \"deliver\" }";
    let ours = config(&toml).unwrap().ours("forms");
    assert_eq!((&*ours.namespace, ours.own_orgs.contains("12")), ("proca", true));
    let unknown = r#"{"schema":"proca:action:99"}"#;
    let end = decoded(&toml, "POST", "", "Content-Type: application/json", unknown).await;
    assert!(
        matches!(
            end,
            Decoded::Dead {
                code: DeadCode::Unknown,
                ..
            }
        ),
        "{end:?}"
    );
}

#[tokio::test]
async fn an_invalid_message_is_dead_with_a_reason() {
    for (header, body) in [
        ("Content-Type: application/json", r#"{"contact":"#),
        ("Content-Type: multipart/form-data", "no boundary"),
        ("Content-Type: application/xml", "<contact/>"),
        (FORM, "%%%"),
    ] {
        let end = decoded(BASE, "POST", "", header, body).await;
        assert!(matches!(end, Decoded::Dead { .. }), "{body}: {end:?}");
    }
}

#[test]
fn an_unknown_time_zone_is_refused() {
    let config = config(&format!("{BASE}sync = {{ time_zone = \"Mars/Olympus\" }}")).unwrap();
    let error = config.decoder(&context()).map(|_| ()).unwrap_err();
    assert_eq!(error.key, "sync.time_zone");
}

#[test]
fn a_key_file_that_is_missing_is_named() {
    let toml = BASE.replace("sync-to-third-party", "proca")
        + "proca = { own_orgs = [12], consent = \"single\", keystore = [\"none.json\"] }";
    let error = config(&toml)
        .unwrap()
        .decoder(&context())
        .map(|_| ())
        .unwrap_err();
    assert_eq!(error.key, "proca.keystore");
    assert!(error.message.contains("none.json"), "{error}");
}

#[test]
fn the_sample_is_valid_also_without_its_comment_marks() {
    let sample = causeway::web::ingest::KIND.sample;
    let keys = |text: &str| {
        let table: toml::Table = text.parse().unwrap();
        let mut own = table["source"]["platform"].as_table().unwrap().clone();
        assert_eq!(own.remove("kind").unwrap().as_str(), Some("listener"));
        causeway::web::ingest::Config::parse(&own)
    };
    keys(sample).unwrap();
    // `# key = …` and `# [table]` are disabled keys; other comments are text.
    let full: String = sample
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.starts_with('[') || rest.split(' ').nth(1) == Some("=") => rest,
            _ => line,
        })
        .fold(String::new(), |all, line| all + line + "\n");
    for preset in ["sync-to-third-party", "generic", "proca"] {
        let one = full.replacen("sync-to-third-party\"\n", &format!("{preset}\"\n"), 1);
        let other_preset = keys(&one).unwrap_err();
        assert_eq!(
            other_preset.message, "belongs to another preset",
            "all else is right: {other_preset}"
        );
    }
    let until_presets = full.split("# --- The keys of the preset").next().unwrap();
    let read = keys(until_presets).unwrap();
    assert!(read.basic.is_some() && read.header_secret.is_some() && read.namespace.is_some());
    let signature = read.signature.unwrap();
    assert!(signature.custom.is_some() && signature.public_url.is_some());
    let defaults = causeway::web::ingest::Limits::default();
    assert_eq!(read.limits, defaults, "the sample has the defaults");
}
