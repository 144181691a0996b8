//! The usual HTTP clients of PHP, Python and Node, and the transports of WordPress.

use std::process::Command;

use causeway_testkit::rig::process::{program, run};

use super::meant::{Letters, Way, sent_by};
use crate::running::blocking;

/// Ways whose name has `latin` in it send only letters of ISO-8859-1.
fn ways(names: &[&'static str]) -> Vec<Way> {
    let letters = |name: &str| {
        if name.contains("latin") {
            Letters::Latin
        } else {
            Letters::All
        }
    };
    names.iter().map(|name| (*name, letters(name))).collect()
}

fn interpreter(name: &str) -> Command {
    Command::new(program(name, &["/usr/bin"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn php_streams_and_curl_say_what_they_mean() {
    let ways = ways(&[
        "stream-form",
        "stream-without-type",
        "stream-http-1-1",
        "stream-rfc-3986",
        "stream-get",
        "stream-json",
        "stream-json-pretty",
        "stream-latin",
        "stream-latin-get",
        "curl-text",
        "curl-array",
        "curl-array-file",
        "curl-json",
        "curl-get",
        "curl-expect",
        "curl-latin-array",
        "gaps-form",
        "gaps-json",
    ]);
    let script = ("php.php", include_str!("php.php"));
    sent_by(interpreter("php"), script, &ways).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_requests_and_urllib_say_what_they_mean() {
    let ways = ways(&[
        "requests-data",
        "requests-pairs",
        "requests-lists",
        "requests-text",
        "requests-json",
        "requests-json-text",
        "requests-params",
        "requests-params-post",
        "requests-files",
        "requests-data-and-files",
        "requests-chunked",
        "requests-latin",
        "urllib-form",
        "urllib-get",
        "urllib-json",
        "urllib-json-utf-16",
        "urllib-latin",
        "urllib-latin-json",
        "urllib-xml",
        "urllib-xml-ascii",
        "urllib-xml-utf-16",
        "urllib-xml-escaped",
        "urllib-xml-latin",
    ]);
    let script = ("python.py", include_str!("python.py"));
    // The system's Python, because another one in the PATH may lack the library.
    sent_by(Command::new("/usr/bin/python3"), script, &ways).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_fetch_and_http_say_what_they_mean() {
    let ways = ways(&[
        "fetch-search-params",
        "fetch-form-data",
        "fetch-form-data-file",
        "fetch-json",
        "fetch-json-as-text",
        "fetch-json-blob",
        "fetch-get",
        "fetch-stream",
        "http-latin-json",
        "http-latin-form",
    ]);
    let script = ("node.mjs", include_str!("node.mjs"));
    sent_by(interpreter("node"), script, &ways).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn axios_says_what_it_means_in_its_new_and_its_old_spelling() {
    let ways = ways(&[
        "new-get",
        "new-json",
        "new-form",
        "new-multipart",
        "old-get",
        "old-json",
        "old-form",
    ]);
    let packages = tempfile::tempdir().expect("a folder");
    let mut npm = Command::new(program("npm", &["/usr/bin"]));
    npm.args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"])
        .arg(packages.path())
        .args(["axios@1.7.9", "axios-old@npm:axios@0.27.2"]);
    blocking(move || run(npm)).await;
    let mut node = interpreter("node");
    node.env("NODE_PATH", packages.path().join("node_modules"));
    let script = ("axios.cjs", include_str!("axios.cjs"));
    sent_by(node, script, &ways).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wordpress_says_what_it_means_and_need_not_wait_for_the_answer() {
    let ways = ways(&[
        "post-1-0",
        "post-1-1",
        "post-with-charset",
        "json",
        "get",
        "socket",
        "socket-not-blocking",
    ]);
    let script = ("wordpress.php", include_str!("wordpress.php"));
    sent_by(interpreter("php"), script, &ways).await;
}
