//! `causeway test`, `causeway preview` and `causeway config diff`. None of them sends or changes anything.

mod diff;
mod preview;
mod tests;
mod time;

use std::{collections::BTreeMap, path::Path};

use crate::running::{Home, signature, status};

/// A queue, a newsletter that needs a confirmed address, and an archive of everything.
fn setting(newsletter: &str) -> String {
    format!(
        "[source.proca]\nkind = 'proca'\nurl = {{ env = 'NO_SUCH_SECRET_URL' }}\nqueue = 'cus.12.deliver'\nconsent = 'double_opt_in'\n\
         [destination.newsletter]\nkind = 'webhook'\n{newsletter}\n\
         [destination.newsletter.fields]\nEMAIL = 'contact.email'\nNAME = 'contact.firstName'\n\
         [destination.archive]\nkind = 'file'\npath = 'archive.jsonl'\nconsent = 'all'\n"
    )
}

const REMOTE: &str =
    "url = { env = 'NO_SUCH_SECRET_HOOK' }\nauth = { bearer = { env = 'NO_SUCH_SECRET_TOKEN' } }";

fn home(tests: &str) -> Home {
    let home = Home::new(&format!("{}{tests}", setting(REMOTE)));
    home.write("signed.json", signature(12, 1, "ada", Some(true)).to_string());
    home.write("confirmed.json", status(1, "ada", "double_opt_in").to_string());
    home
}

/// Every file of a folder with its bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.path().is_file())
        .map(|entry| {
            let name = entry.file_name().into_string().expect("a name");
            (name, std::fs::read(entry.path()).expect("a file"))
        })
        .filter(|(name, _)| !name.ends_with("-shm"))
        .collect()
}

/// A hub that has processed messages. Its destinations refuse connections, so all deliveries wait.
async fn hub_with(people: &[(&str, Option<bool>)], config: &str) -> Home {
    let home = Home::new(config)
        .with("NO_SUCH_SECRET_URL", "amqp://u:p@127.0.0.1:1/v")
        .with("NO_SUCH_SECRET_HOOK", "https://hook.invalid/")
        .with("NO_SUCH_SECRET_TOKEN", "real-token");
    let mut lines = String::new();
    for (id, (name, opt_in)) in (1..).zip(people) {
        lines.push_str(&signature(12, id, name, *opt_in).to_string());
        lines.push('\n');
    }
    home.write("people.jsonl", lines);
    home.ok(&["import", "people.jsonl", "--source", "proca"]);
    let hub = home.serve();
    home.until("all is processed", || {
        let audit = home.json(&["audit", "--json"]);
        crate::running::sum(&audit["sources"], "done") >= u64::try_from(people.len()).expect("few")
    })
    .await;
    hub.stop();
    home
}

/// A signature with an opt-in.
fn single() -> String {
    setting(REMOTE)
        .replace("consent = 'double_opt_in'", "consent = 'single'")
        .replace("NAME = ", "SUBSCRIBED = 'consent.email.subscribed'\nNAME = ")
}
