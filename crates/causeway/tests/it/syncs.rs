//! The effect of a contact that a platform sends, with the real program and files as destinations.

use serde_json::{Value, json};

use crate::running::{Home, Running, exchange};

const PLATFORM: &str = "platform-token-of-24-chars";
const SITE: &str = "site-token-of-24-characters";

const CONFIG: &str = "
[hub]
multi_value_fields = ['Topics']
[source.platform]
kind = 'listener'
preset = 'sync-to-third-party'
token = 'platform-token-of-24-chars'
empty = 'clear'
[source.office]
kind = 'listener'
preset = 'generic'
token = 'office-token-of-24-character'
[destination.all]
kind = 'file'
path = 'all.jsonl'
consent = 'all'
fields = { id = 'contact.ids.platform', phone = 'contact.phone', text = 'Call {{ contact.phone }}', topics = 'contact.Topics | default(none)' }
[destination.changes]
kind = 'file'
path = 'changes.jsonl'
consent = 'all'
takes = 'changes'
fields = { id = 'contact.ids.platform', phone = 'contact.phone' }
[destination.carts]
kind = 'file'
path = 'carts.jsonl'
consent = 'all'
takes = 'automations'
fields = { id = 'contact.ids.platform', event = 'event', type = 'type' }
[[automation]]
name = 'Carts'
on = { synced = { group = 'automation-triggered', row = 'Cart*' } }
then = [{ deliver = 'carts' }, { deliver = 'carts', delay = '1 s' }]
";

fn lines(home: &Home, file: &str) -> Vec<Value> {
    let read = |line: &str| {
        let mut line: Value = serde_json::from_str(line).expect("JSON");
        // Different each time.
        line.as_object_mut().expect("an object").remove("delivery");
        line
    };
    home.read(file).lines().map(read).collect()
}

/// Sends a contact, and returns the new lines of each file.
async fn sync(home: &Home, hub: &Running, number: u64, body: &str) -> [Vec<Value>; 2] {
    let files = ["all.jsonl", "changes.jsonl"];
    let before = files.map(|file| lines(home, file).len());
    let answer = hub
        .post(PLATFORM, "application/x-www-form-urlencoded", body.as_bytes())
        .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    home.settled(number).await;
    let mut after = files.map(|file| lines(home, file));
    for (lines, before) in after.iter_mut().zip(before) {
        lines.drain(..before);
    }
    after
}

#[tokio::test]
async fn takes_all_receives_each_contact_and_takes_changes_only_new_information() {
    let home = Home::new(CONFIG);
    let hub = home.serve();
    let body = |transaction: u32, id: u32, phone: &str| {
        format!(
            "transactionid={transaction}&contact[id]={id}&contact[email]=ann@example.org&contact[phone]={phone}\
             &fields[0][id]=12&fields[0][name]=Topics&fields[0][value]=bees"
        )
    };
    let [all, changes] = sync(&home, &hub, 1, &body(1, 7, "030")).await;
    assert_eq!(
        all,
        [json!({ "id": "7", "phone": "030", "text": "Call 030", "topics": ["bees"] })]
    );
    assert_eq!(changes.len(), 1);
    let [all, changes] = sync(&home, &hub, 2, &body(2, 7, "030")).await;
    assert_eq!(
        (all.len(), changes.len()),
        (1, 0),
        "nothing new, and once more all the same"
    );
    let trace = home.ok(&["trace", "2"]);
    let why = "not sent to changes: takes only changes, and the message says nothing new; carts: takes only what automations send";
    assert!(trace.contains(why), "{trace}");
    let [all, changes] = sync(&home, &hub, 3, &body(2, 7, "030")).await;
    assert_eq!((all.len(), changes.len()), (0, 0), "a repeat of the same message");

    let [all, changes] = sync(&home, &hub, 4, &body(4, 8, "030")).await;
    assert_eq!(
        (&all[0]["id"], &changes[0]["id"]),
        (&json!("8"), &json!("8")),
        "another person of this address"
    );
    let [all, _] = sync(&home, &hub, 5, &body(5, 7, "030")).await;
    assert_eq!(all[0]["id"], "7", "the id that it came with");

    let [all, changes] = sync(&home, &hub, 6, &body(6, 7, "")).await;
    assert_eq!(
        (&all[0]["phone"], &all[0]["text"]),
        (&Value::Null, &json!("Call "))
    );
    assert_eq!(changes[0]["phone"], Value::Null);
    let shown = home.ok(&["contact", "show", "ann@example.org"]);
    assert!(
        shown.contains("(cleared as of ") && shown.contains(" by message 6 from platform)"),
        "{shown}"
    );

    home.write("members.csv", "email,Size\nann@example.org,42\n");
    home.ok(&["import", "members.csv", "--source", "office"]);
    home.settled(7).await;
    let sent = lines(&home, "all.jsonl").len();
    home.ok(&["import", "members.csv", "--source", "office"]);
    home.settled(8).await;
    assert_eq!(
        lines(&home, "all.jsonl").len(),
        sent,
        "a row without new information"
    );
    hub.stop();
}

#[tokio::test]
async fn an_automation_runs_for_a_repeated_row_and_later_reads_its_id() {
    let home = Home::new(&format!(
        "{CONFIG}[source.site]\nkind = 'events'\nnamespace = 'platform'\ntokens = ['{SITE}']\n"
    ));
    let hub = home.serve();
    let body =
        |transaction: u32, id: u32, rows: &str| format!("transactionid={transaction}&contact[id]={id}{rows}");
    sync(&home, &hub, 1, &body(1, 9, "")).await;
    sync(&home, &hub, 2, &body(2, 8, "")).await;
    // Both messages name the same person, who has one reference.
    let same = json!([
        { "type": "contact", "contact": { "id": "9", "contactRef": "r" } },
        { "type": "contact", "contact": { "id": "8", "contactRef": "r" } },
    ])
    .to_string();
    let request = format!(
        "POST /v1/events HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nAuthorization: Bearer {SITE}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{same}",
        same.len()
    );
    let answer = exchange(&hub.listener, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    home.settled(4).await;
    let cart = "&automation-triggered[0][id]=77&automation-triggered[0][name]=Cart abandoned";
    sync(&home, &hub, 5, &body(3, 9, cart)).await;
    sync(&home, &hub, 6, &body(4, 8, cart)).await;
    home.until("both and their reminders are sent", || {
        lines(&home, "carts.jsonl").len() == 4
    })
    .await;
    let of = |id: &str| {
        let lines = lines(&home, "carts.jsonl").into_iter();
        let mut events: Vec<String> = lines
            .filter(|line| line["id"] == id)
            .map(|line| format!("{} {}", line["event"], line["type"]))
            .collect();
        events.sort();
        events
    };
    let both = [r#""contact_sync" "record""#, r#""schedule" "contact""#];
    assert_eq!(
        (of("9"), of("8")),
        (both.map(str::to_owned).to_vec(), both.map(str::to_owned).to_vec())
    );
    hub.stop();
}

#[test]
fn contradictory_settings_are_reported() {
    let check = |more: &str| {
        let home = Home::new(&format!("{CONFIG}{more}"));
        let said = home.run(&["config", "check"]);
        format!("{}{}", said.out, said.err)
    };
    let automation =
        |on: &str| format!("[[automation]]\nname = 'it'\non = {on}\nthen = [{{ add_tag = 'x' }}]\n");
    for (more, says) in [
        (automation("{ synced = 'goals' }"), "\"goals\" is not a group"),
        (
            automation("{ synced = 'transactionid' }"),
            "is different in each message",
        ),
        (automation("{ synced = { row = '7' } }"), "group is not a text"),
        (
            automation("{ synced = { group = 'fields', id = '7' } }"),
            "\"id\" does not belong here",
        ),
        (
            format!("{}when = \"'men' in contact.Gender\"\n", automation("'synced'")),
            "`in contact.Gender` looks for a part of the text if the field holds one text",
        ),
    ] {
        let said = check(&more);
        assert!(said.contains(says), "{more}: {said}");
    }
    let fine = check(&format!(
        "{}when = \"'bees' in contact.Topics\"\n",
        automation("'synced'")
    ));
    assert!(!fine.contains("multi_value_fields"), "{fine}");

    let owner = |score: &str, more: &str| {
        let home = Home::new(&format!(
            "{}{more}",
            CONFIG.replacen("[hub]", &format!("[hub]\nscore = {score}"), 1)
        ));
        let said = home.run(&["config", "check"]);
        format!("{}{}", said.out, said.err)
    };
    let score = "[[score]]\nname = 'Visit'\non = 'page_visited'\npoints = 5\n";
    for (value, more, says) in [
        (
            "'ours'",
            "",
            "is not an owner of the score (use \"hub\", \"platform\"",
        ),
        (
            "'platform'",
            score,
            "the points of \"Visit\" are stored, but count nowhere",
        ),
        ("'hub'", "", "no [[score]] gives points there"),
        (
            "{ shop = 'hub' }",
            "",
            "names the workspace \"shop\", which no other section names",
        ),
    ] {
        let said = owner(value, more);
        assert!(said.contains(says), "{value}: {said}");
    }
    assert!(!owner("'hub'", score).contains("[hub] `score`"));
    let petition = "[source.petition]\nkind = 'listener'\npreset = 'proca'\ntoken = 'petition-token-of-24-chars'\nempty = 'clear'\n\
                    proca = { own_orgs = [12], consent = 'single' }\n";
    let said = check(petition);
    assert!(said.contains("has no meaning for preset = \"proca\""), "{said}");
}
