//! Engaging Networks. No client is published, so the judge is a script that was written from the vendor's documents
//! alone.

use std::{sync::Arc, time::Duration};

use causeway_testkit::{
    clock::TestClock,
    vendors::{
        FakeVendor,
        engagingnetworks::{Body, EngagingNetworks, OPT_IN, Question, TOKEN},
    },
};
use serde_json::{Value, json};

use crate::python::Script;

struct Rig {
    clock: Arc<TestClock>,
    account: FakeVendor<EngagingNetworks>,
    client: Script,
}

impl Rig {
    /// Logged in.
    async fn start() -> Self {
        let mut rig = Self::start_with(TOKEN).await;
        let (status, session) = rig.call("authenticate", json!({})).await;
        assert_eq!((status, &session["expires"]), (200, &json!(3_600_000)));
        rig
    }

    async fn start_with(token: &str) -> Self {
        let clock = Arc::new(TestClock::default());
        let account = EngagingNetworks::new(Arc::<TestClock>::clone(&clock));
        let account = FakeVendor::start(account).await;
        let mut client = Script::start("engagingnetworks.py");
        let arguments = json!({ "url": account.url(), "token": token });
        client.run("start", arguments).await.unwrap();
        Self {
            clock,
            account,
            client,
        }
    }

    /// Status and body.
    async fn call(&mut self, method: &str, arguments: Value) -> (u64, Value) {
        let result = self.client.run(method, arguments).await;
        let mut result = result.unwrap_or_else(|error| panic!("{method}: {error}"));
        (result["status"].as_u64().unwrap(), result["body"].take())
    }

    async fn write(&mut self, supporter: Value) -> (u64, Value) {
        self.call("write", json!({ "supporter": supporter })).await
    }
}

#[tokio::test]
async fn a_session_is_given_for_the_token_and_ends() {
    let mut rig = Rig::start().await;
    assert_eq!(rig.call("validate", json!({})).await.1["valid"], true);
    assert_eq!(rig.call("fields", json!({})).await.0, 200);
    rig.clock.advance(Duration::from_hours(1));
    let (status, body) = rig.call("fields", json!({})).await;
    assert_eq!(
        (status, &body["message"]),
        (401, &json!("Invalid ens-auth-token"))
    );
    rig.call("authenticate", json!({})).await;
    assert_eq!(rig.call("retire", json!({})).await.0, 200);
    assert_eq!(rig.call("fields", json!({})).await.0, 401);
    // The documents disagree about the form of the log-in.
    rig.account.with(|account| account.log_in = Body::Json);
    assert_eq!(rig.call("authenticate", json!({})).await.0, 401);
    assert_eq!(rig.call("authenticate", json!({ "form": "json" })).await.0, 200);
    rig.account.with(|account| account.log_in = Body::Raw);
    let mut wrong = Rig::start_with("wrong").await;
    let (status, body) = wrong.call("authenticate", json!({})).await;
    assert_eq!(
        (status, &body["message"]),
        (401, &json!("Invalid api key [wrong]"))
    );
    rig.account.with(|account| account.allows_address = false);
    let (status, body) = rig.call("authenticate", json!({})).await;
    let message = body["message"].as_str().unwrap();
    assert!(
        status == 401 && message.contains("unregistered source address"),
        "{body}"
    );
}

#[tokio::test]
async fn a_supporter_is_written_by_the_accounts_names() {
    let mut rig = Rig::start().await;
    let ada =
        json!({ "Email Address": "ada@example.org", "First Name": "Ada", "questions": { OPT_IN: "Y" } });
    let (status, made) = rig.write(ada).await;
    assert_eq!(status, 200);
    // The same address is the same supporter, and other fields stay.
    let (_, again) = rig
        .write(json!({ "Email Address": "ADA@example.org", "Postcode": "1000" }))
        .await;
    assert_eq!(again, made);
    let (_, found) = rig.call("find", json!({ "email": "ada@example.org" })).await;
    assert_eq!(
        (&found["First Name"], &found["Postcode"]),
        (&json!("Ada"), &json!("1000"))
    );
    assert_eq!(
        (&found["supporterId"], &found["suppressed"]),
        (&made["id"], &json!(false))
    );
    let given = &found["questions"][0];
    assert_eq!(
        (&given["name"], &given["response"]),
        (&json!(OPT_IN), &json!("Y"))
    );
    let at = given["modifiedOn"].as_u64().unwrap();
    // An answer has the time at which it changed.
    for (answer, is_later) in [("Y", false), ("N", true)] {
        rig.clock.advance(Duration::from_mins(1));
        let change = json!({ "id": made["id"], "supporter": { "questions": { OPT_IN: answer } } });
        assert_eq!(rig.call("update", change).await, (200, made.clone()));
        let (_, found) = rig.call("read", json!({ "id": made["id"] })).await;
        let given = &found["questions"][0];
        assert_eq!(given["response"], answer);
        assert_eq!(given["modifiedOn"].as_u64().unwrap() > at, is_later);
    }
    for (supporter, message) in [
        (
            json!({ "Email Address": "ada@example.org", "Shoe": "42" }),
            "not present in the account, please review: Shoe",
        ),
        (
            json!({ "Email Address": "ada@example.org", "questions": { "Shoe": "Y" } }),
            "not present in the account, please review: Shoe",
        ),
        (
            json!({ "Email Address": "ada" }),
            "Email address not found or is not valid",
        ),
        (
            json!({ "First Name": "Ada" }),
            "Email address not found or is not valid",
        ),
    ] {
        let (status, body) = rig.write(supporter).await;
        let text = body["message"].as_str().unwrap();
        assert!(status == 400 && text.contains(message), "{body}");
    }
}

#[tokio::test]
async fn who_is_not_there_is_a_204_or_a_404() {
    let mut rig = Rig::start().await;
    let nobody = json!({ "email": "eve@example.org" });
    assert_eq!(rig.call("find", nobody.clone()).await, (204, Value::Null));
    rig.account.with(|account| account.missing_is_404 = true);
    let (status, body) = rig.call("find", nobody).await;
    assert!(status == 404 && body["message"].is_string(), "{body}");
    assert_eq!(rig.call("delete", json!({ "id": 7 })).await.0, 404);
}

#[tokio::test]
async fn many_are_suppressed_at_once_and_deleted_one_by_one() {
    let mut rig = Rig::start().await;
    let mut ids = Vec::new();
    for name in ["ada", "bob"] {
        let (_, made) = rig
            .write(json!({ "Email Address": format!("{name}@example.org") }))
            .await;
        ids.push(made["id"].clone());
    }
    let (status, changed) = rig.call("suppress", json!({ "ids": [ids[0], ids[1], 7] })).await;
    assert_eq!((status, changed), (200, json!(2)));
    let (_, found) = rig.call("read", json!({ "id": ids[1] })).await;
    assert_eq!(found["suppressed"], true);
    let (status, deleted) = rig.call("delete", json!({ "id": ids[0] })).await;
    assert_eq!((status, &deleted["id"]), (200, &ids[0]));
    assert_eq!(
        rig.call("find", json!({ "email": "ada@example.org" })).await.0,
        204
    );
}

#[tokio::test]
async fn a_page_stores_each_action_and_errors_have_status_200() {
    let mut rig = Rig::start().await;
    let page = rig
        .account
        .with(|account| account.add_page("Save the river", "pet"));
    let (_, pages) = rig.call("pages", json!({ "type": "pet" })).await;
    assert_eq!(
        (pages[0]["id"].as_u64(), &pages[0]["subType"]),
        (Some(page), &json!("PET"))
    );
    let (_, shown) = rig.call("page", json!({ "id": page })).await;
    assert_eq!(shown["campaignStatus"], "live");
    let request = json!({
        "suppressAutoResponder": true, "standardFieldNames": true, "txn1": "1732850",
        "supporter": { "emailAddress": "ada@example.org", "firstName": "Ada", "questions": { OPT_IN: "Y" } },
    });
    let process = json!({ "id": page, "request": request });
    let (_, done) = rig.call("process", process.clone()).await;
    assert_eq!(
        (&done["status"], &done["supporterEmailAddress"]),
        (&json!("SUCCESS"), &json!("ada@example.org"))
    );
    // Nothing makes an action unique.
    rig.call("process", process.clone()).await;
    let (_, transactions) = rig
        .call("transactions", json!({ "id": done["supporterId"] }))
        .await;
    let transactions = transactions.as_array().unwrap();
    assert_eq!((transactions.len(), &transactions[0]["id"]), (2, &done["id"]));
    assert_eq!(transactions[0]["campaignId"], shown["campaignId"]);
    assert!(
        !transactions[0].to_string().contains("1732850"),
        "the API shows no txn fields"
    );
    rig.account
        .with(|account| account.pages.get_mut(&page).unwrap().status = "close".to_owned());
    let (status, refused) = rig.call("process", process).await;
    assert_eq!((status, &refused["status"]), (200, &json!("ERROR")));
    let unknown = json!({ "id": 7, "request": request });
    let (status, body) = rig.call("process", unknown).await;
    assert_eq!((status, &body["messageId"]), (404, &json!(353_979_450)));
}

#[tokio::test]
async fn questions_have_types_and_rights_can_be_missing() {
    let mut rig = Rig::start().await;
    rig.account.with(|account| {
        account.questions.push(Question::new(784, "Double", "CONF"));
    });
    let (_, questions) = rig.call("questions", json!({})).await;
    assert_eq!(
        (&questions[0]["type"], &questions[1]["type"]),
        (&json!("OPT"), &json!("CONF"))
    );
    rig.account
        .with(|account| account.forbidden.push("supporter".to_owned()));
    let (status, body) = rig.call("questions", json!({})).await;
    assert_eq!(
        (status, &body["message"]),
        (403, &json!("ApiUser does not have adequate permissions"))
    );
}

#[tokio::test]
async fn the_limit_of_the_hour_is_a_401_and_that_of_actions_a_429() {
    let mut rig = Rig::start().await;
    let page = rig
        .account
        .with(|account| account.add_page("Save the river", "pet"));
    rig.account.with(|account| account.page_limit = Some(1));
    let request = json!({ "id": page, "request": { "supporter": { "Email Address": "ada@example.org" } } });
    assert_eq!(rig.call("process", request.clone()).await.0, 200);
    assert_eq!(rig.call("process", request.clone()).await.0, 429);
    rig.clock.advance(Duration::from_mins(5));
    assert_eq!(rig.call("process", request).await.0, 200);
    rig.account.with(|account| account.limit = Some(4));
    let (status, body) = rig.call("fields", json!({})).await;
    let message = body["message"].as_str().unwrap();
    assert!(
        status == 401 && message.contains("exceeded its api limit"),
        "{body}"
    );
    rig.clock.advance(Duration::from_hours(1));
    assert_eq!(rig.call("authenticate", json!({})).await.0, 200);
    assert_eq!(rig.account.with(|account| account.refused), 2);
}
