//! No personal data and no secret is in the program's own output: the log at its most verbose level, metrics, health pages,
//! errors of commands.

use causeway_testkit::{
    fake_api::{FakeApi, Reply},
    rig::{
        postgres, rabbit,
        topology::{self, Topology},
    },
};
use serde_json::json;

use crate::running::{Home, Running, blocking, signature, status};

const PLATFORM: &str = "platformtoken-4kq81xw9z7";
/// All in lower case; the search ignores case.
const NEVER: [&str; 17] = [
    "annabella",
    "quittenbaum",
    "annabella.quittenbaum",
    "555017",
    "fliederweg",
    "meine-bemerkung",
    "platformtoken",
    "hook-path-secret",
    "bearer-secret",
    "header-secret",
    "c2lnbmluZy1zZWNyZXQ",
    "wrongtoken",
    "queryvalue",
    "formvalue",
    "rowvalue",
    "argumentvalue",
    "database-password",
];

fn config(org: u32, api: &FakeApi) -> String {
    let hook = |name: &str| {
        let url = api.url(&format!("/hook-path-secret/{name}"));
        format!(
            "[destination.{name}]\nkind = 'webhook'\nurl = '{url}'\nallow_private = true\nconsent = 'all'\nretry_s = [0.05]\n\
             timeout_s = 2\nauth = {{ bearer = 'bearer-secret-77' }}\nheaders = {{ X-Key = {{ env = 'HEADER_SECRET' }} }}\n\
             sign = {{ secrets = ['whsec_c2lnbmluZy1zZWNyZXQtc2lnbmluZy1zZWNyZXQ='] }}\n"
        )
    };
    format!(
        "[source.proca]\nkind = 'proca'\nurl = {{ env = 'PROCA_AMQP_URL' }}\nqueue = 'cus.{org}.deliver'\nconsent = 'single'\n\
         keystore = ['keys.json']\n\
         [source.platform]\nkind = 'listener'\npreset = 'sync-to-third-party'\ntoken = '{PLATFORM}'\n\
         [source.signups]\nkind = 'listener'\npreset = 'generic'\ntoken = '{PLATFORM}-2'\n{}{}{}{}\
         [destination.members]\nkind = 'sql'\nurl = {{ env = 'MEMBERS_DB_URL' }}\nconsent = 'all'\ncontacts = {{ table = 'narrow' }}\n\
         [destination.wide]\nkind = 'sql'\nurl = {{ env = 'MEMBERS_DB_URL' }}\nconsent = 'all'\ncontacts = {{ table = 'contacts' }}\n\
         [destination.archive]\nkind = 'file'\npath = 'archive.jsonl'\nconsent = 'all'\n",
        hook("good"),
        hook("refuses"),
        hook("breaks"),
        hook("halts"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_people_nor_secrets_are_in_logs_metrics_health_or_errors() {
    let topology = topology::declare_unique().await;
    let org = topology.org();
    let broker = blocking(move || rabbit::shared().add_customer(org)).await;
    let database = blocking(|| postgres::shared().create_database()).await;
    let database = database.replace("postgres@", "postgres:database-password@");
    // A column that is too short, so that the server's error contains the value.
    postgres::shared().execute(
        &database,
        "CREATE TABLE narrow (email varchar(5) PRIMARY KEY CHECK (email <> ''), first_name varchar(2), last_name text CHECK (last_name = ''), \
         phone text, country text, postcode text, subscribed bool, consent text, consent_since timestamptz, source text, updated_at timestamptz)",
    );
    let api = FakeApi::start().await;
    let echo = json!({ "error": "Annabella Quittenbaum <annabella.quittenbaum@example.org> +49 30 555017 is not welcome" });
    api.reply_at("/hook-path-secret/refuses", Reply::json(422, &echo));
    api.reply_at(
        "/hook-path-secret/halts",
        Reply::json(401, &echo).header("x-who", "Annabella"),
    );
    api.script(
        "/hook-path-secret/breaks",
        [
            Reply::raw("Annabella Quittenbaum\r\n\r\n"),
            Reply::json(500, &echo),
        ],
    );
    api.reply_at("/hook-path-secret/breaks", Reply::close());

    let home = Home::new(&config(org, &api))
        .with("PROCA_AMQP_URL", &broker)
        .with("MEMBERS_DB_URL", &database)
        .with("HEADER_SECRET", "header-secret-88")
        .with("RUST_BACKTRACE", "1");
    home.ok(&["keys", "generate", "keys.json"]);
    let secret = home.read("keys.json");
    home.ok(&["destination", "create", "wide"]);
    let hub = home.serve_at("trace");

    let cut = bring_in(&topology, &hub).await;
    home.until("everything has been tried", || {
        let audit = home.json(&["audit", "--json"]);
        let is_done = audit["sources"]
            .as_object()
            .expect("books")
            .values()
            .all(|book| book["new"] == 0);
        is_done
            && audit["sources"]["proca"]["received"] == 7
            && ["good", "refuses", "breaks", "members", "wide", "archive"]
                .iter()
                .all(|name| {
                    let book = &audit["destinations"][*name];
                    book["waiting"] == 0 && book["planned"] != 0
                })
    })
    .await;
    let audit = home.json(&["audit", "--json"]);
    for name in ["refuses", "breaks", "members"] {
        assert_ne!(audit["destinations"][name]["dead"], 0, "{name} fails: {audit}");
    }
    assert!(
        home.ok(&["trace", "--email", "annabella.quittenbaum@example.org", "--body"])
            .contains("Fliederweg"),
        "the flow is about her"
    );

    let mut said = vec![
        ("metrics", hub.page("/metrics").await),
        ("readyz", hub.page("/readyz").await),
    ];
    assert!(said[0].1.contains("causeway_"), "{}", said[0].1);
    said.extend(run_commands(&home, &cut));
    hub.hang_up();
    home.until("the keys are read again", || {
        hub.log().contains("keystores reloaded")
    })
    .await;
    let log = hub.stop();
    assert!(log.contains(r#""level":"DEBUG""#), "it is talkative: {log}");
    said.push(("log", log));

    assert_silent(&said, &broker, &secret);
}

/// Sends her data by every way, valid and broken. Returns half a message.
async fn bring_in(topology: &Topology, hub: &Running) -> String {
    let mut action = signature(topology.org(), 1, "Annabella.Quittenbaum", Some(true));
    action["contact"]["firstName"] = json!("Annabella");
    action["contact"]["lastName"] = json!("Quittenbaum");
    action["contact"]["phone"] = json!("+49 30 555017");
    action["contact"]["address"] = json!({ "street": "Fliederweg", "locality": "Berlin" });
    action["action"]["customFields"] = json!({ "comment": "Meine-Bemerkung" });
    let text = action.to_string();
    let mut strange = action.clone();
    strange["schema"] = json!("Annabella Quittenbaum");
    let mut wrong = action.clone();
    wrong["campaign"] = json!("annabella.quittenbaum@example.org");
    let mut sealed: serde_json::Value = serde_json::from_str(include_str!(
        "../../../../samples/messages/petition-encrypted.json"
    ))
    .expect("JSON");
    sealed["contact"]["firstName"] = json!("Annabella");
    let cut = text.split_at(text.len() / 2).0.to_owned();
    for body in [
        &text,
        &cut,
        &strange.to_string(),
        &wrong.to_string(),
        &sealed.to_string(),
        "Annabella Quittenbaum",
    ] {
        topology
            .publish_action("petition.clean_rivers", body.as_bytes())
            .await;
    }
    let unsub = status(1, "Annabella.Quittenbaum", "unsub").to_string();
    topology
        .publish_event("supporter.email_status", unsub.as_bytes())
        .await;
    let form = "transactionid=1&contact[email]=formvalue-annabella%40example.org&contact[phone]=555017&fields[0][value]=Fliederweg";
    for content_type in [
        "application/x-www-form-urlencoded",
        "text/plain; Annabella=1",
        "image/png",
        "multipart/form-data; boundary=Annabella",
    ] {
        hub.post(PLATFORM, content_type, form.as_bytes()).await;
    }
    hub.get(&format!(
        "{PLATFORM}-2?email=queryvalue-annabella%40example.org&firstName=Annabella"
    ))
    .await;
    hub.post("wrongtoken-annabella-of-24-chars", "text/plain", b"Annabella")
        .await;
    hub.get(&format!("{PLATFORM}/annabella/quittenbaum")).await;
    cut
}

/// The output of commands that fail or report failures.
fn run_commands(home: &Home, cut: &str) -> Vec<(&'static str, String)> {
    let mut said = Vec::new();
    home.write(
        "rows.csv",
        b"email,firstName\nrowvalue-annabella@example.org,\"Annab\xff\n",
    );
    home.write("odd.csv", b"email\nrowvalue-annabella\xff\n");
    home.write("cut.json", cut);
    for command in [
        &["doctor", "--timeout", "5"][..],
        &["trace", "--email", "argumentvalue-annabella@example.org"],
        &["contact", "erase", "argumentvalue-annabella@example.org", "--yes"],
        &["contact", "show", "Argumentvalue Quittenbaum"],
        &["contact", "erase", "annabella.quittenbaum@example.org"],
        &["contact", "erase", "annabella.quittenbaum@example.org", "--yes"],
        &["import", "rows.csv", "--source", "signups"],
        &["import", "odd.csv", "--source", "signups"],
        &["send", "cut.json", "--source", "proca", "--dry-run"],
        &["delivery", "list"],
        &["delivery", "retry", "--state", "dead"],
        &["audit"],
        &["config", "check"],
        &["keys", "check", "keys.json", "cut.json"],
        &["serve"],
    ] {
        let answer = home.run(command);
        said.push(("command", format!("{} {}", answer.out, answer.err)));
    }
    said
}

/// Checks that the output has none of the invented words and secrets.
fn assert_silent(said: &[(&str, String)], broker: &str, secret: &str) {
    let broker = url::Url::parse(broker).expect("a URL");
    let written = broker.password().expect("a password").to_owned();
    let plain = percent_encoding::percent_decode_str(&written)
        .decode_utf8_lossy()
        .into_owned();
    let key = secret
        .split('"')
        .max_by_key(|part| part.len())
        .expect("a key")
        .to_owned();
    let never = NEVER
        .iter()
        .map(|word| (*word).to_owned())
        .chain([written, plain, key]);
    let mut found = Vec::new();
    for word in never.map(|word| word.to_lowercase()) {
        for (place, text) in said {
            let lines = text.lines().filter(|line| line.to_lowercase().contains(&word));
            found.extend(lines.map(|line| format!("{word} in {place}: {line}")));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
