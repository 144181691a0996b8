//! Interoperability: Proca's own package for keys and encryption, and PHP for forms.

use std::process::Command;

use causeway_testkit::{
    fake_api::FakeApi,
    rig::{php, process},
};
use serde_json::{Value, json};

use crate::running::{Home, blocking, signature};

const TOKEN: &str = "interop-token-of-24-chars";

/// Encrypts with the keys and the cipher of the package, and decrypts with the package as a check.
const ENCRYPT: &str = r#"
const { loadKeyStoreFromFile, decryptPersonalInfo } = require("@proca/crypto");
const nacl = require("tweetnacl");
const base64url = require("base64url");
const store = loadKeyStoreFromFile("keys.json");
const theirs = nacl.box.keyPair(), nonce = nacl.randomBytes(nacl.box.nonceLength), ours = store.keys[0].public;
const text = JSON.stringify({ firstName: "Zażółć 🌻", lastName: "O'Testperson", email: "zoe@example.org", area: "PL" });
const sealed = nacl.box(Buffer.from(text), nonce, base64url.toBuffer(ours), theirs.secretKey);
const info = {
    payload: base64url(Buffer.from(sealed)), nonce: base64url(Buffer.from(nonce)),
    encryptKey: { id: 1, public: ours }, signKey: { id: 2, public: base64url(Buffer.from(theirs.publicKey)) },
};
const opened = decryptPersonalInfo(info, store);
if (opened.email !== "zoe@example.org") throw new Error("the package does not open it");
console.log(JSON.stringify(info));
"#;

fn run(mut command: Command, home: &Home) -> String {
    command.current_dir(home.path(""));
    process::run(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn we_decrypt_what_proca_s_package_encrypts_for_our_keys() {
    let api = FakeApi::start().await;
    let home = Home::new(&format!(
        "[source.proca]\nkind = 'listener'\npreset = 'proca'\ntoken = '{TOKEN}'\n\
         proca = {{ own_orgs = [12], consent = 'single', keystore = ['keys.json'] }}\n\
         [destination.hook]\nkind = 'webhook'\nurl = '{}'\nallow_private = true\nconsent = 'all'\n",
        api.url("/hook")
    ));
    home.ok(&["keys", "generate", "keys.json"]);
    home.write("encrypt.js", ENCRYPT);
    let mut npm = Command::new(process::program("npm", &["/usr/bin"]));
    npm.args([
        "install",
        "--no-audit",
        "--no-fund",
        "--silent",
        "--prefix",
        ".",
        "@proca/crypto@3.4.0",
    ]);
    run(npm, &home);
    let mut node = Command::new(process::program("node", &["/usr/bin"]));
    node.arg("encrypt.js");
    let info: Value = serde_json::from_str(&run(node, &home)).expect("JSON");

    let hub = home.serve();
    let mut body = signature(12, 1, "nobody", Some(true));
    body["contact"] = json!({ "firstName": null, "email": null, "contactRef": "ref-of-zoe", "dupeRank": 0 });
    body["personalInfo"] = info;
    hub.post_json(TOKEN, &body).await;
    home.settled(1).await;
    let contact = api.wait_for(1).await[0].json()["contact"].clone();
    assert_eq!(contact["email"], "zoe@example.org", "{contact}");
    assert_eq!(contact["firstName"], "Zażółć 🌻");
    assert_eq!(contact["lastName"], "O'Testperson");
    hub.stop();
}

const BUILD: &str = r#"<?php echo http_build_query([
    'transactionid' => 77,
    'contact' => ['id' => 5, 'email' => 'zoe+rivers@example.org', 'phone' => '+49 30 555 01'],
    'fields' => [
        ['id' => 125, 'name' => 'First Name', 'value' => "Zoë & 'Söhne' 🌻 100%"],
        ['id' => 126, 'name' => 'Last Name', 'value' => 'a=b;c+d'],
    ],
    'lead-status' => ['score' => 10, 'label' => 'Warm Lead'],
]);"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_php_builds_is_decoded_as_in_php() {
    let api = FakeApi::start().await;
    let home = Home::new(&format!(
        "[source.platform]\nkind = 'listener'\npreset = 'sync-to-third-party'\ntoken = '{TOKEN}'\n\
         [destination.hook]\nkind = 'webhook'\nurl = '{}'\nallow_private = true\nconsent = 'all'\n",
        api.url("/hook")
    ));
    let form = blocking(|| php::run(BUILD, b"")).await;
    assert!(
        form.starts_with(b"transactionid=77&contact%5Bid%5D=5&"),
        "{}",
        String::from_utf8_lossy(&form)
    );
    let hub = home.serve();
    let answer = hub.post(TOKEN, "application/x-www-form-urlencoded", &form).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    home.settled(1).await;
    let record = api.wait_for(1).await[0].json();
    let contact = &record["contact"];
    assert_eq!(contact["email"], "zoe+rivers@example.org", "{record}");
    assert_eq!(contact["firstName"], "Zoë & 'Söhne' 🌻 100%", "{record}");
    assert_eq!(contact["lastName"], "a=b;c+d", "{record}");
    assert!(
        contact["phone"]
            .as_str()
            .is_some_and(|phone| phone.starts_with("+49")),
        "{record}"
    );
    hub.stop();
}

const RECEIVE: &str = r#"<?php
file_put_contents(__DIR__ . '/got.json', json_encode([
    'post' => $_POST, 'key' => $_SERVER['HTTP_IDEMPOTENCY_KEY'] ?? null, 'secret' => $_SERVER['HTTP_X_API_KEY'] ?? null,
]));
header('Content-Type: application/json');
echo '{"id":"crm-7"}';"#;

#[tokio::test(flavor = "multi_thread")]
async fn php_reads_our_form_post_as_the_fields_say() {
    let receiver = blocking(|| php::serve(RECEIVE)).await;
    let home = Home::new(&format!(
        "[source.proca]\nkind = 'listener'\npreset = 'proca'\ntoken = '{TOKEN}'\nproca = {{ own_orgs = [12], consent = 'single' }}\n\
         [destination.hook]\nkind = 'webhook'\nurl = '{}/receive.php'\nallow_private = true\nconsent = 'all'\ncontent = 'form'\n\
         headers = {{ X-Api-Key = {{ env = 'API_KEY' }} }}\n\
         [destination.hook.fields]\n'contact[email]' = 'contact.email'\n'contact[name]' = 'contact.firstName'\n\
         'tags[0]' = '=petition'\n'tags[1]' = 'campaign.name'\nsubscribed = 'consent.email.subscribed'\n\
         comment = 'action.fields.comment'\n",
        receiver.url()
    ))
    .with("API_KEY", "an-api-key");
    let hub = home.serve();
    let mut body = signature(12, 1, "zoe", Some(true));
    body["contact"]["firstName"] = json!("Zoë & 'Söhne' = 100% 🌻");
    body["action"]["customFields"] = json!({ "comment": "one line\nand [another] + more" });
    hub.post_json(TOKEN, &body).await;
    home.settled(1).await;
    let got = std::fs::read(receiver.folder().join("got.json")).expect("the request came");
    let got: Value = serde_json::from_slice(&got).expect("JSON");
    assert_eq!(
        got["post"]["contact"],
        json!({ "email": "zoe@example.org", "name": "Zoë & 'Söhne' = 100% 🌻" }),
        "{got}"
    );
    assert_eq!(got["post"]["tags"], json!(["petition", "clean_rivers"]), "{got}");
    assert_eq!(got["post"]["comment"], "one line\nand [another] + more", "{got}");
    assert!(got["post"]["subscribed"].is_string(), "{got}");
    assert_eq!(got["secret"], "an-api-key");
    let delivery = &home.trace(1)["deliveries"][0];
    assert_eq!(got["key"], delivery["key"], "{got}");
    assert_eq!(delivery["delivery"]["remote_id"], "crm-7", "{delivery}");
    hub.stop();
}
