use causeway_testkit::vendors::hubspot::State;
use serde_json::{Value, json};

use super::{Account, each};

const NEWSLETTER: u64 = 87_654_321;
const STATUSES: &str = "/communication-preferences/2026-09/statuses";

async fn account() -> Account {
    let account = Account::start().await;
    account.with(|hubspot| {
        hubspot.add_subscription(NEWSLETTER, "Newsletter");
        hubspot.add_subscription(5, "Fundraising");
    });
    account
}

fn wanted(state: &str) -> Value {
    json!({ "subscriptionId": NEWSLETTER, "statusState": state, "channel": "EMAIL",
        "legalBasis": "CONSENT_WITH_NOTICE", "legalBasisExplanation": "Box on petition 17" })
}

impl Account {
    async fn set(&mut self, email: &str, state: &str) -> Value {
        let email = email.replace('@', "%40");
        let answer = self
            .request("POST", &format!("{STATUSES}/{email}"), wanted(state))
            .await;
        assert_eq!(answer.status, 200, "{answer:#?}");
        answer.raw["results"][0].clone()
    }
}

#[tokio::test]
async fn types_are_listed() {
    let mut account = account().await;
    let answer = account
        .request(
            "GET",
            "/communication-preferences/2026-09/definitions",
            Value::Null,
        )
        .await;
    assert_eq!(each(&answer.raw["results"], "id"), ["5", "87654321"]);
    assert_eq!(answer.raw["results"][1]["isActive"], true);
}

#[tokio::test]
async fn a_status_is_set_and_read() {
    let mut account = account().await;
    let anna = account.add("anna@example.org", "a");
    for (state, reason) in [
        ("SUBSCRIBED", "REQUESTED_CHANGE_OCCURRED"),
        ("SUBSCRIBED", "NO_STATUS_CHANGE"),
        ("UNSUBSCRIBED", "REQUESTED_CHANGE_OCCURRED"),
        ("SUBSCRIBED", "RESUBSCRIBE_OCCURRED"),
        ("UNSUBSCRIBED", "REQUESTED_CHANGE_OCCURRED"),
    ] {
        let status = account.set("Anna@example.org", state).await;
        assert_eq!(
            (&status["status"], &status["setStatusSuccessReason"]),
            (&json!(state), &json!(reason))
        );
    }
    let answer = account
        .request(
            "GET",
            &format!("{STATUSES}/anna%40example.org?channel=EMAIL"),
            Value::Null,
        )
        .await;
    assert_eq!(
        each(&answer.raw["results"], "status"),
        ["NOT_SPECIFIED", "UNSUBSCRIBED"]
    );
    assert_eq!(answer.raw["results"][1]["legalBasis"], "CONSENT_WITH_NOTICE");
    let contact = json!([anna.to_string(), ["hs_email_optout", "hs_email_optout_87654321"]]);
    let contact = account.get("crm.contacts.basicApi.getById", contact).await;
    assert_eq!(contact["properties"]["hs_email_optout_87654321"], "true");
    assert_eq!(contact["properties"]["hs_email_optout"], Value::Null);
}

#[tokio::test]
async fn a_status_that_is_not_valid_is_refused() {
    let mut account = account().await;
    let path = format!("{STATUSES}/anna%40example.org");
    for (field, value) in [
        ("subscriptionId", json!(1)),
        ("channel", json!("SMS")),
        ("statusState", json!("ON")),
        ("legalBasis", json!("CONSENT")),
        ("statusState", Value::Null),
    ] {
        let mut body = wanted("SUBSCRIBED");
        body[field] = value;
        let answer = account.request("POST", &path, body).await;
        assert_eq!(
            (answer.status, &answer.raw["category"]),
            (400, &json!("VALIDATION_ERROR")),
            "{field}"
        );
    }
    let answer = account
        .request("POST", &format!("{STATUSES}/anna"), wanted("SUBSCRIBED"))
        .await;
    assert_eq!(answer.status, 400);
    assert_eq!(account.request("GET", &path, Value::Null).await.status, 400);
}

#[tokio::test]
async fn data_privacy_settings_require_a_legal_basis() {
    let mut account = account().await;
    account.with(|hubspot| hubspot.account.has_data_privacy = true);
    let path = format!("{STATUSES}/anna%40example.org");
    for field in ["legalBasis", "legalBasisExplanation"] {
        let mut body = wanted("SUBSCRIBED");
        body.as_object_mut().unwrap().remove(field);
        assert_eq!(account.request("POST", &path, body.clone()).await.status, 400);
        body["statusState"] = "UNSUBSCRIBED".into();
        assert_eq!(account.request("POST", &path, body).await.status, 200);
    }
    account.set("anna@example.org", "SUBSCRIBED").await;
}

#[tokio::test]
async fn an_opt_out_of_everything_ends_with_a_new_subscription() {
    let mut account = account().await;
    let anna = account.add("anna@example.org", "a");
    account.set("anna@example.org", "SUBSCRIBED").await;
    let all = format!("{STATUSES}/anna%40example.org/unsubscribe-all?channel=EMAIL");
    let answer = account
        .request("POST", &format!("{all}&verbose=true"), Value::Null)
        .await;
    let reason = "UNSUBSCRIBE_FROM_ALL_OCCURRED";
    assert_eq!(
        each(&answer.raw["results"], "setStatusSuccessReason"),
        [reason, reason]
    );
    let answer = account.request("GET", &all, Value::Null).await;
    assert_eq!(answer.raw["results"][0]["wideStatusType"], "PORTAL_WIDE");
    assert_eq!(answer.raw["results"][0]["status"], "UNSUBSCRIBED");
    let contact = json!([anna.to_string(), ["hs_email_optout"]]);
    let contact = account.get("crm.contacts.basicApi.getById", contact).await;
    assert_eq!(contact["properties"]["hs_email_optout"], "true");

    let status = account.set("anna@example.org", "SUBSCRIBED").await;
    assert_eq!(status["setStatusSuccessReason"], "RESUBSCRIBE_OCCURRED");
    let found =
        account.with(|hubspot| [NEWSLETTER, 5].map(|id| hubspot.subscriptions.state("anna@example.org", id)));
    assert_eq!(found, [State::Subscribed, State::Unsubscribed]);
}

#[tokio::test]
async fn batches_need_an_enterprise_account() {
    let mut account = account().await;
    let write = |email: &str, state: &str| {
        let mut input = wanted(state);
        input["subscriberIdString"] = email.into();
        input
    };
    let inputs = json!({ "inputs": [write("anna@example.org", "SUBSCRIBED"), write("bert@", "SUBSCRIBED"),
        write("carl@example.org", "UNSUBSCRIBED")] });
    let path = format!("{STATUSES}/batch/write");
    account.with(|hubspot| hubspot.account.is_enterprise = false);
    let answer = account.request("POST", &path, inputs.clone()).await;
    assert_eq!(
        (answer.status, &answer.raw["category"]),
        (403, &json!("MISSING_SCOPES"))
    );

    account.with(|hubspot| hubspot.account.is_enterprise = true);
    let answer = account.request("POST", &path, inputs).await;
    assert_eq!((answer.status, &answer.raw["numErrors"]), (207, &json!(1)));
    assert_eq!(
        each(&answer.raw["results"], "subscriberIdString"),
        ["carl@example.org", "anna@example.org"]
    );

    let both = json!({ "inputs": ["anna@example.org", "carl@example.org"] });
    let path = format!("{STATUSES}/batch");
    let all = account
        .request(
            "POST",
            &format!("{path}/unsubscribe-all?channel=EMAIL"),
            both.clone(),
        )
        .await;
    assert_eq!(all.status, 200);
    let read = account
        .request("POST", &format!("{path}/read?channel=EMAIL"), both.clone())
        .await;
    assert_eq!(
        each(&read.raw["results"][0]["statuses"], "status"),
        ["UNSUBSCRIBED"; 2]
    );
    let read = account
        .request(
            "POST",
            &format!("{path}/unsubscribe-all/read?channel=EMAIL"),
            both,
        )
        .await;
    assert_eq!(
        each(&read.raw["results"][1]["wideStatuses"], "status"),
        ["UNSUBSCRIBED"]
    );
}

#[tokio::test]
async fn the_old_subscribe_cannot_end_an_opt_out() {
    let mut account = account().await;
    let change = json!([{ "emailAddress": "anna@example.org", "subscriptionId": "87654321" }]);
    let api = "communicationPreferences.statusApi";
    let status = account.get(&format!("{api}.subscribe"), change.clone()).await;
    assert_eq!(
        (&status["status"], &status["sourceOfStatus"]),
        (&json!("SUBSCRIBED"), &json!("SUBSCRIPTION_STATUS"))
    );
    account.with(|hubspot| hubspot.set_status("anna@example.org", NEWSLETTER, State::Unsubscribed));
    account
        .fail(400, &format!("{api}.subscribe"), change.clone())
        .await;
    account.fail(400, &format!("{api}.unsubscribe"), change).await;
    let statuses = account
        .get(&format!("{api}.getEmailStatus"), json!(["anna@example.org"]))
        .await;
    assert_eq!(
        each(&statuses["subscriptionStatuses"], "status"),
        ["NOT_SUBSCRIBED"; 2]
    );
}
