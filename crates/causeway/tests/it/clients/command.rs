//! curl, as documentation and shell scripts use it.

use std::process::Command;

use causeway_testkit::rig::process::{program, run};
use serde_json::Value;

use super::meant::{Letters, TOKEN, Way, all_arrived, hub};
use crate::running::blocking;

/// Names with brackets and their values.
fn flat(value: &Value, name: &str, pairs: &mut Vec<(String, String)>) {
    let inner = |key: &str| {
        if name.is_empty() {
            key.to_owned()
        } else {
            format!("{name}[{key}]")
        }
    };
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                flat(value, &inner(key), pairs);
            }
        }
        Value::Array(items) => {
            for (n, value) in items.iter().enumerate() {
                flat(value, &inner(&n.to_string()), pairs);
            }
        }
        Value::String(text) => pairs.push((name.to_owned(), text.clone())),
        other => pairs.push((name.to_owned(), other.to_string())),
    }
}

/// `option NAME=VALUE` for each value of the payload.
fn each(option: &str) -> Vec<String> {
    let payload: Value = serde_json::from_str(&Letters::All.payload()).expect("JSON");
    let mut pairs = Vec::new();
    flat(&payload, "", &mut pairs);
    pairs
        .into_iter()
        .flat_map(|(name, value)| [option.to_owned(), format!("{name}={value}")])
        .collect()
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn with(more: &str, arguments: Vec<String>) -> Vec<String> {
    words(more).into_iter().chain(arguments).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_says_what_it_means() {
    let requests: Vec<(&str, Vec<String>)> = vec![
        ("urlencode", each("--data-urlencode")),
        ("urlencode-1-0", with("--http1.0", each("--data-urlencode"))),
        ("urlencode-get", with("-G", each("--data-urlencode"))),
        (
            "urlencode-query-of-a-post",
            with("-G -X POST", each("--data-urlencode")),
        ),
        ("parts", each("--form-string")),
        (
            "parts-chunked",
            with("-H Transfer-Encoding:chunked", each("--form-string")),
        ),
        (
            "parts-and-a-file",
            with("-F attachment=@payload.json", each("--form-string")),
        ),
        ("json", words("--json @payload.json")),
        (
            "json-expect",
            words("--json @payload.json -H Expect:100-continue"),
        ),
        // Sent as a form, because curl sets no other content type.
        ("json-as-a-form", words("--data-binary @payload.json")),
        // -d removes the line ends of a file.
        (
            "json-in-one-line",
            words("-H Content-Type:application/json -d @payload.json"),
        ),
        (
            "json-without-type",
            words("-H Content-Type: --data-binary @payload.json"),
        ),
        (
            "json-with-a-mark",
            words("-H Content-Type:text/plain --data-binary @marked.json"),
        ),
    ];
    let ways: Vec<Way> = requests.iter().map(|(way, _)| (*way, Letters::All)).collect();
    let (home, hub) = hub(&ways);
    home.write("marked.json", format!("\u{feff}{}", Letters::All.payload()));
    for (way, arguments) in requests {
        let mut curl = Command::new(program("curl", &["/usr/bin"]));
        curl.args(["-sS", "-o", "answer", "-w", "%{http_code}"])
            .args(arguments)
            .arg(format!("http://{}/in/{TOKEN}{way}", hub.listener))
            .current_dir(home.path(""));
        let status = blocking(move || run(curl)).await;
        assert_eq!(status, "200", "{way}: {}", home.read("answer"));
    }
    all_arrived(&home, &ways).await;
    hub.stop();
}
