//! Tests the fake API against sentences of the documents about Proca's.

use super::*;
use crate::generate;

const LIST: &str = "query ($start: Int!) { answer: actions(orgName: \"rivers\", start: $start, onlyOptIn: false) \
                    { actionId privacy { optIn emailStatus } } }";
const BY_ADDRESS: &str = "query { answer: contacts(orgName: \"rivers\", email: \"a@example.org\", onlyOptIn: false) \
                          { actionId privacy { emailStatus } } }";

fn place() -> Place {
    Place {
        slot: "h".to_owned(),
        start: 20_000 * 86_400,
        first_org: 7,
    }
}

fn action(number: u64) -> Proca {
    generate::example(number, "a@example.org")
}

fn event(number: u64, status: &'static str, changed: i64) -> Proca {
    Proca {
        is_event: true,
        status: Some(status),
        changed,
        ..action(number)
    }
}

fn ask(api: &Api, query: &str, start: u64) -> Json {
    let schema = Schema::parse(SCHEMA);
    let body = json!({ "query": query, "variables": { "start": start } });
    reply(
        &schema,
        api.data().entry("petition".to_owned()).or_default(),
        &body,
    )
}

fn numbers(answer: &Json) -> Vec<u64> {
    let entries = answer["data"]["answer"].as_array().cloned().unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| entry["actionId"].as_u64())
        .collect()
}

#[tokio::test]
async fn results_have_the_alias_of_the_query() {
    let api = Api::start().await.unwrap();
    api.published("petition", &place(), &action(7));
    let expected = json!({ "data": { "answer":
        [{ "actionId": 7, "privacy": { "optIn": true, "emailStatus": "NONE" } }] } });
    assert_eq!(ask(&api, LIST, 0), expected);
}

#[tokio::test]
async fn one_unknown_field_refuses_a_query() {
    let api = Api::start().await.unwrap();
    let query = "query { answer: contacts(orgName: \"rivers\") { contact { contactRef dupeRank } } }";
    let expected =
        json!({ "errors": [{ "message": "Cannot query field \"dupeRank\" on type \"Contact\"." }] });
    assert_eq!(ask(&api, query, 0), expected);
}

#[tokio::test]
async fn only_members_are_given_an_organisation() {
    let api = Api::start().await.unwrap();
    api.serve("petition", 7, 8);
    let of = |name: &str| {
        ask(
            &api,
            &format!("query {{ answer: org(name: \"{name}\") {{ id name }} }}"),
            0,
        )
    };
    assert_eq!(
        of("rivers"),
        json!({ "data": { "answer": { "id": 7, "name": "rivers" } } })
    );
    assert_eq!(of("rivers_youth")["data"]["answer"]["id"], 8);
    assert_eq!(of("lakes")["data"], Json::Null);
}

#[tokio::test]
async fn a_bounce_takes_an_action_from_the_list_and_a_click_does_not_bring_it_back() {
    let api = Api::start().await.unwrap();
    api.published("petition", &place(), &action(7));
    api.published("petition", &place(), &event(7, "soft", 100));
    assert_eq!(numbers(&ask(&api, LIST, 0)), [7]);
    api.published("petition", &place(), &event(7, "bounce", 200));
    api.published("petition", &place(), &event(7, "double_opt_in", 300));
    assert_eq!(numbers(&ask(&api, LIST, 0)), [0; 0]);
    let answer = ask(&api, BY_ADDRESS, 0);
    assert_eq!(
        answer["data"]["answer"][0]["privacy"]["emailStatus"],
        "DOUBLE_OPT_IN"
    );
}

#[tokio::test]
async fn an_action_is_listed_when_it_is_accepted_with_the_status_from_before() {
    let api = Api::start().await.unwrap();
    api.published("petition", &place(), &event(7, "double_opt_in", 300));
    assert_eq!(numbers(&ask(&api, LIST, 0)), [0; 0]);
    api.published("petition", &place(), &action(7));
    let answer = ask(&api, LIST, 0);
    assert_eq!(
        answer["data"]["answer"][0]["privacy"]["emailStatus"],
        "DOUBLE_OPT_IN"
    );
}

#[tokio::test]
async fn a_pass_shows_the_listed_actions_and_ends_with_an_empty_page() {
    let api = Api::start().await.unwrap();
    let lost = AtProca::Lost(action(7));
    ask(&api, LIST, 0);
    assert!(api.looks("petition")[0].ended.is_some(), "nothing was there");
    api.happened("petition", &place(), &lost);
    ask(&api, LIST, 0);
    let looks = api.looks("petition");
    assert!(looks[0].shows(&lost).is_none());
    assert!(looks[1].shows(&lost).is_some());
    assert!(looks[1].ended.is_none());
    ask(&api, LIST, 8);
    assert!(api.looks("petition")[1].ended.is_some());
    let click = AtProca::Status {
        action: 7,
        status: "double_opt_in",
        changed: 300,
    };
    api.happened("petition", &place(), &click);
    assert!(
        api.looks("petition")[1].shows(&click).is_none(),
        "it came afterwards"
    );
    ask(&api, LIST, 0);
    assert!(api.looks("petition")[2].shows(&click).is_some());
}
