//! The nine acceptance examples of the action "Sync Contact to Third Party", in order, with the running program, and with
//! real PHP on the other side.

use std::fmt::Write as _;

use causeway_core::{
    decode::sync::SyncPayload,
    form::{EmitOptions, Mode, Value as FormValue, array_to_json, emit, parse, to_json},
};
use causeway_testkit::{fake_api::FakeApi, rig::php};
use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::{
    running::{Home, Running, blocking, exchange, sum},
    sync,
};

#[path = "../../../../causeway-core/src/form/rows.rs"]
mod rows;
mod signatures;

const FORM: &str = "application/x-www-form-urlencoded";

/// A body built by PHP: a contact with two fields, a row in five of the eight groups, and three empty groups.
const BODY: &str = "transactionid=123456789&contact%5Bid%5D=8812&contact%5Bemail%5D=jane.doe%2Bx%40example.com\
    &contact%5Bphone%5D=%2B15551234&contact%5Bprofile_url%5D=https%3A%2F%2Fapp.example%2Fc%2F8812\
    &fields%5B0%5D%5Bid%5D=125&fields%5B0%5D%5Bname%5D=First+Name&fields%5B0%5D%5Bvalue%5D=Jane\
    &fields%5B1%5D%5Bid%5D=1204&fields%5B1%5D%5Bname%5D=Last+Name&fields%5B1%5D%5Bvalue%5D=Doe\
    &campaigns-opened%5B0%5D%5Bid%5D=31&campaigns-opened%5B0%5D%5Bname%5D=May\
    &campaigns-opened%5B0%5D%5Bopen_date%5D=2022-05-26+05%3A40+PM\
    &links-clicked%5B0%5D%5Burl%5D=https%3A%2F%2Fe.co%2F%3Fa%3D1%26b%3D2&links-clicked%5B0%5D%5Bclicks%5D=3\
    &pages-visited%5B0%5D%5Bpage%5D=https%3A%2F%2Fe.co%2Fp&pages-visited%5B0%5D%5Bvisit_date%5D=2022-05-26+05%3A41+PM\
    &lead-score%5B0%5D%5Bid%5D=5&lead-score%5B0%5D%5Bname%5D=Opened&lead-score%5B0%5D%5Bscore%5D=10\
    &lead-score%5B0%5D%5Bscore_date%5D=2022-05-26+05%3A42+PM&lead-status%5Bscore%5D=10&lead-status%5Blabel%5D=Cold+Lead";
const JANE: &str = "jane.doe+x@example.com";

/// One workspace for each way, with a listener of the same name for one account in New York. The examples are of 2022, so the
/// retention is longer than usual.
fn listeners(names: &[&str]) -> String {
    let mut config = String::from("[retention]\nengagement_days = 0\n");
    for name in names {
        write!(
            config,
            "[source.{name}]\nkind = 'listener'\npreset = 'sync-to-third-party'\nnamespace = 'platform'\nworkspace = '{name}'\n\
             token = '{}'\nsync = {{ time_zone = 'America/New_York' }}\n",
            token(name)
        )
        .expect("a text grows");
    }
    config
}

fn token(name: &str) -> String {
    format!("acceptance-token-of-{name}")
}

/// A web hook of the one listener's workspace.
fn hook(url: &str, more: &str) -> String {
    format!(
        "[destination.hook]\nkind = 'webhook'\nworkspace = 'main'\nurl = '{url}'\nallow_private = true\nconsent = 'all'\n{more}\n"
    )
}

async fn is_taken(hub: &Running, name: &str, content_type: &str, body: &str) {
    let answer = hub.post(&token(name), content_type, body.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{name}: {answer}");
}

/// 1. The documented body, built by PHP, gives the 11 groups, three of them empty, which print as the same bytes. The next
/// receiver gets the same body again, except for the number of the transaction, which each sender chooses.
#[tokio::test(flavor = "multi_thread")]
async fn the_documented_body_comes_in_as_eleven_groups_and_goes_on_byte_for_byte() {
    const BUILD: &str = r"<?php echo http_build_query([
        'transactionid' => 123456789,
        'contact' => ['id' => 8812, 'email' => 'jane.doe+x@example.com', 'phone' => '+15551234',
            'profile_url' => 'https://app.example/c/8812'],
        'fields' => [['id' => 125, 'name' => 'First Name', 'value' => 'Jane'], ['id' => 1204, 'name' => 'Last Name', 'value' => 'Doe']],
        'campaigns-opened' => [['id' => 31, 'name' => 'May', 'open_date' => '2022-05-26 05:40 PM']],
        'links-clicked' => [['url' => 'https://e.co/?a=1&b=2', 'clicks' => 3]],
        'pages-visited' => [['page' => 'https://e.co/p', 'visit_date' => '2022-05-26 05:41 PM']],
        'automation-triggered' => [], 'goals-reached' => [], 'webhooks-triggered' => [],
        'lead-score' => [['id' => 5, 'name' => 'Opened', 'score' => 10, 'score_date' => '2022-05-26 05:42 PM']],
        'lead-status' => ['score' => 10, 'label' => 'Cold Lead'],
    ]);";
    let built = blocking(|| php::run(BUILD, b"")).await;
    assert_eq!(String::from_utf8_lossy(&built), BODY);
    assert_eq!(BODY.len(), 924);
    let read = parse(&built, Mode::StrictPhp { get: false }).expect("strict refuses nothing");
    let model = SyncPayload::from_value(array_to_json(read.root, &mut 0), &mut Vec::new());
    assert_eq!(model.transactionid.as_deref(), Some("123456789"));
    assert_eq!(model.contact.email.as_deref(), Some(JANE));
    let rows = [
        model.campaigns_opened.len(),
        model.links_clicked.len(),
        model.pages_visited.len(),
        model.lead_score.len(),
    ];
    assert_eq!((model.fields.len(), rows), (2, [1; 4]));
    assert!(
        model.automation_triggered.is_empty()
            && model.goals_reached.is_empty()
            && model.webhooks_triggered.is_empty()
    );
    assert_eq!(model.lead_status.label.as_deref(), Some("Cold Lead"));
    assert_eq!(
        emit(&model.to_value(), EmitOptions::default()).as_deref(),
        Ok(BODY)
    );

    let api = FakeApi::start().await;
    let next = "content = 'form'\nsync = 'all'\ntime_zone = 'America/New_York'";
    let home = Home::new(&(listeners(&["main"]) + &hook(&api.url("/next"), next)));
    let hub = home.serve();
    is_taken(&hub, "main", FORM, BODY).await;
    home.settled(1).await;
    assert_eq!(known(&home, "main"), jane());
    let sent = api.wait_for(1).await[0].text();
    let (transaction, rest) = sent.split_once('&').expect("more than the transaction");
    let digits = transaction.strip_prefix("transactionid=").expect("it is first");
    assert!(
        digits.len() == 18 && digits.bytes().all(|digit| digit.is_ascii_digit()),
        "{digits}"
    );
    assert_eq!(rest, BODY.split_once('&').expect("more").1);
    hub.stop();
}

fn known(home: &Home, workspace: &str) -> Value {
    sync::known(home, workspace, "jane.doe+x@example.com")
}

/// Jane's contact after the documented body.
fn jane() -> Value {
    json!({
        "fields": {
            "email": JANE, "firstName": "Jane", "lastName": "Doe", "lead_score": 10, "lead_status": "Cold Lead",
            "list_field_ids:platform": { "firstName": "125", "lastName": "1204" },
            "phone": "+15551234", "profile_url": "https://app.example/c/8812",
        },
        "identities": [
            { "kind": "email", "address": JANE },
            { "kind": "foreign_id", "namespace": "platform", "id": "8812" },
        ],
        "engagements": [
            { "kind": "email_open", "key": "31", "name": "May", "at": "2022-05-26T21:40:00Z" },
            { "kind": "lead_score", "key": "5", "name": "Opened", "at": "2022-05-26T21:42:00Z", "score": 10.0 },
            { "kind": "link_click", "key": "https://e.co/?a=1&b=2", "count": 3 },
            { "kind": "page_visit", "key": "https://e.co/p", "at": "2022-05-26T21:41:00Z" },
        ],
    })
}

/// 2. Every notation gives the same contact: as PHP encodes it, with bare brackets and a stray `&` at the end, as JSON, as
/// multipart, and as the query of a GET without a body.
#[tokio::test(flavor = "multi_thread")]
async fn every_notation_gives_the_same_contact() {
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(BODY.as_bytes())
        .into_owned()
        .collect();
    let (mut bare, mut multipart) = (String::new(), String::new());
    for (name, value) in &pairs {
        let escaped = value.replace('%', "%25").replace('&', "%26").replace('+', "%2B");
        write!(bare, "{name}={escaped}&").expect("a text grows");
        let head = format!("--cut\r\nContent-Disposition: form-data; name=\"{name}\"");
        multipart.extend([&head, "\r\n\r\n", value, "\r\n"]);
    }
    multipart += "--cut--\r\n";
    let json = parse(BODY.as_bytes(), Mode::StrictPhp { get: false }).expect("strict refuses nothing");
    let json = to_json(FormValue::Array(json.root), &mut 0).to_string();
    let posted = [
        ("encoded", FORM, BODY),
        ("bare", FORM, bare.as_str()),
        ("json", "application/json", &json),
        ("multipart", "multipart/form-data; boundary=cut", &multipart),
    ];

    let names: Vec<&str> = posted.iter().map(|(name, ..)| *name).chain(["query"]).collect();
    let home = Home::new(&listeners(&names));
    let hub = home.serve();
    for (name, content_type, body) in posted {
        is_taken(&hub, name, content_type, body).await;
    }
    let answer = hub.get(&format!("{}?{BODY}", token("query"))).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    home.settled(5).await;
    for name in names {
        assert_eq!(known(&home, name), jane(), "{name}");
    }
    hub.stop();
}

/// 3. `lead-status[0][score]` means the same as `lead-status[score]`: the documentation has both.
#[tokio::test(flavor = "multi_thread")]
async fn lead_status_is_read_as_a_map_and_as_a_list_of_one() {
    let listed = BODY.replace("lead-status%5B", "lead-status%5B0%5D%5B");
    assert!(listed.contains("lead-status%5B0%5D%5Bscore%5D=10"));
    let home = Home::new(&listeners(&["main"]));
    let hub = home.serve();
    is_taken(&hub, "main", FORM, &listed).await;
    home.settled(1).await;
    assert_eq!(known(&home, "main"), jane());
    hub.stop();
}

/// 4. Forms are decoded as PHP does, for each row of the table: by `parse_str`, and by a POST to PHP's own web server.
#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_table_is_what_php_does() {
    const PARSE: &str = "<?php while (($line = fgets(STDIN)) !== false) { parse_str(base64_decode($line), $read); \
         echo json_encode($read, JSON_UNESCAPED_UNICODE), \"\\n\"; }";
    const POST: &str = "<?php echo json_encode($_POST, JSON_UNESCAPED_UNICODE);";
    let lines: String = rows::ROWS
        .iter()
        .map(|(form, _)| BASE64.encode(form.as_bytes()) + "\n")
        .collect();
    let parsed = blocking(move || php::run(PARSE, lines.as_bytes())).await;
    let parsed = String::from_utf8(parsed).expect("JSON is text");
    assert_eq!(parsed.lines().count(), rows::ROWS.len());
    let server = blocking(|| php::serve(POST)).await;
    let address = format!("127.0.0.1:{}", server.port());
    for ((form, expected), parsed) in rows::ROWS.iter().zip(parsed.lines()) {
        assert_eq!(parsed, *expected, "parse_str: {form}");
        let request = format!(
            "POST / HTTP/1.0\r\nContent-Type: {FORM}\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        let answer = exchange(&address, request.as_bytes()).await;
        let (_, posted) = answer.split_once("\r\n\r\n").expect("an answer");
        assert_eq!(posted, *expected, "$_POST: {form}");
        let ours = parse(form.as_bytes(), Mode::StrictPhp { get: false }).expect("strict refuses nothing");
        assert_eq!(
            to_json(FormValue::Array(ours.root), &mut 0).to_string(),
            *expected,
            "ours: {form}"
        );
    }
}

/// 5. Platforms' dates have no zone and many formats. An hour after 12 is in 24-hour format, whatever follows it, and a text
/// that stands for "no date" is no date.
#[tokio::test(flavor = "multi_thread")]
async fn dates_are_read_in_the_zone_of_the_account() {
    let dates = [
        ("2022-05-26 05:40 PM", Some("2022-05-26T21:40:00Z")),
        ("2022-05-26 05:40PM", Some("2022-05-26T21:40:00Z")),
        ("23-03-2022 05:13 PM", Some("2022-03-23T21:13:00Z")),
        ("11/30/2014 00:00", Some("2014-11-30T05:00:00Z")),
        ("08/15/2013 14:52 PM", Some("2013-08-15T18:52:00Z")),
        ("2022-10-04 08:03", Some("2022-10-04T12:03:00Z")),
        ("2020-10-20 15:30:00", Some("2020-10-20T19:30:00Z")),
        ("N/A", None),
        ("-", None),
    ];
    let mut body = format!("contact[email]={}", JANE.replace('+', "%2B"));
    for (number, (date, _)) in dates.iter().enumerate() {
        write!(
            body,
            "&goals-reached[{number}][id]=g{number}&goals-reached[{number}][reach_date]={date}"
        )
        .expect("a text grows");
    }
    let home = Home::new(&listeners(&["main"]));
    let hub = home.serve();
    is_taken(&hub, "main", FORM, &body).await;
    home.settled(1).await;
    let known = known(&home, "main");
    let goals = known["engagements"].as_array().expect("rows");
    assert_eq!(goals.len(), dates.len());
    for (number, (date, expected)) in dates.iter().enumerate() {
        let goal = goals
            .iter()
            .find(|goal| goal["key"] == format!("g{number}"))
            .expect("the goal");
        assert_eq!(goal["at"].as_str(), *expected, "{date}: {goal}");
        assert!(goal["raw_at"].is_null(), "nothing is left to guess: {goal}");
    }
    hub.stop();
}

/// 6. The same transaction with the same content has one effect. Both messages are stored and counted, and both get the same
/// response.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_comes_twice_has_one_effect_and_two_equal_answers() {
    let api = FakeApi::start().await;
    let home = Home::new(&(listeners(&["main"]) + &hook(&api.url("/next"), "")));
    let hub = home.serve_at("debug");
    let mut answers = Vec::new();
    for body in [BODY, BODY] {
        let answer = hub.post(&token("main"), FORM, body.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let (_, said) = answer.split_once("\r\n\r\n").expect("a body");
        answers.push(said.to_owned());
        home.settled(answers.len() as u64).await;
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(
        serde_json::from_str::<Value>(&answers[0]).ok(),
        Some(json!({ "status": "ok", "reference": "1" }))
    );
    let audit = home.json(&["audit", "--json"]);
    let books = ["received", "done", "duplicate"].map(|figure| sum(&audit["sources"], figure));
    assert_eq!(books, [2, 1, 1], "{audit}");
    assert_eq!(known(&home, "main"), jane(), "as the first one said");
    assert_eq!(api.requests().len(), 1);
    let log = hub.stop();
    for duplicate in ["false", "true"] {
        let line = format!(r#""message":"A request was stored.","duplicate":{duplicate}"#);
        assert_eq!(log.matches(&line).count(), 1, "{line}");
    }
}

/// 7. A receiver responds with its own number of the contact. The number is stored in the configured field, and this change is
/// not sent back to the receiver.
#[tokio::test(flavor = "multi_thread")]
async fn the_contact_is_updated_from_the_answer_and_nothing_goes_out_twice() {
    const RECEIVE: &str = "<?php file_put_contents('calls', \"called\\n\", FILE_APPEND); \
         header('Content-Type: application/json'); echo '{\"crm_id\":\"C-9\"}';";
    let receiver = blocking(|| php::serve(RECEIVE)).await;
    let next = "content = 'form'\nsync = 'all'\nupdate = { crm_id = 'crm_id' }";
    let home = Home::new(&(listeners(&["main"]) + &hook(&receiver.url(), next)));
    let hub = home.serve();
    is_taken(&hub, "main", FORM, BODY).await;
    // The message, and the hub's own message for the response.
    home.settled(2).await;
    assert_eq!(known(&home, "main")["fields"]["crm_id"], "C-9");
    let calls = std::fs::read_to_string(receiver.folder().join("calls")).expect("it was called");
    assert_eq!(calls, "called\n");
    assert_eq!(
        sum(&home.json(&["audit", "--json"])["destinations"], "planned"),
        1
    );
    hub.stop();
}

/// 8. In the URL of a GET every value arrives unchanged, in the path and in the query, whatever its characters mean in a URL.
#[tokio::test(flavor = "multi_thread")]
async fn values_survive_in_the_address_of_a_get() {
    const ODD: &str = "a&b # + % é=[#EMAIL#]/../?";
    const RECEIVE: &str = "<?php file_put_contents('seen', json_encode([$_GET, \
         rawurldecode(explode('?', $_SERVER['REQUEST_URI'])[0])]));";
    let receiver = blocking(|| php::serve(RECEIVE)).await;
    let address = format!(
        "{}/in/[#odd#]?email=[#EMAIL#]&odd=[#odd#]&first=[#PROPER EMAIL/2#]&none=[#NO NAME/there#]&last=1",
        receiver.url()
    );
    let home = Home::new(&(listeners(&["main"]) + &hook(&address, "content = 'query'")));
    let hub = home.serve();
    let body = json!({ "contact": { "email": JANE }, "fields": [{ "id": 7, "name": "odd", "value": ODD }] });
    is_taken(&hub, "main", "application/json", &body.to_string()).await;
    home.settled(1).await;
    let seen = std::fs::read_to_string(receiver.folder().join("seen")).expect("it was called");
    let expected = json!([
        { "email": JANE, "odd": ODD, "first": "Ja", "none": "there", "last": "1" },
        format!("/in/{ODD}"),
    ]);
    assert_eq!(
        serde_json::from_str::<Value>(&seen).ok(),
        Some(expected),
        "{seen}"
    );
    hub.stop();
}
