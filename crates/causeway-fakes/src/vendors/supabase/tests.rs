use std::sync::Arc;

use causeway_testkit::clock::TestClock;
use serde_json::json;

use super::*;

fn request(method: &str, path: &str, query: &str, prefer: &str, body: &serde_json::Value) -> Request {
    let headers = [
        ("apikey", SECRET_KEY),
        ("content-type", "application/json"),
        ("prefer", prefer),
    ];
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        body: body.to_string().into(),
    }
}

fn project() -> Supabase {
    Supabase::with_tables(Arc::new(TestClock::default()))
}

fn code(reply: &Reply) -> (u16, String) {
    let body: serde_json::Value = serde_json::from_slice(reply.content()).unwrap_or_default();
    (reply.code(), body["code"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn the_statuses_are_those_of_postgrest() {
    for (code, message, status) in [
        ("23505", "", 409),
        ("23503", "", 409),
        ("23502", "", 400),
        ("22P02", "", 400),
        ("21000", "UPDATE requires a WHERE clause", 400),
        (
            "21000",
            "ON CONFLICT DO UPDATE command cannot affect row a second time",
            500,
        ),
        ("25006", "", 405),
        ("25001", "", 500),
        ("40P01", "", 500),
        ("42P01", "", 404),
        ("42703", "", 400),
        ("42501", "", 403),
        ("42P17", "", 500),
        ("53300", "", 503),
        ("53400", "", 500),
        ("57014", "", 500),
        ("57P01", "", 503),
        ("P0001", "", 400),
        ("P0002", "", 500),
        ("0LP01", "", 403),
    ] {
        assert_eq!(error::status(code, message), status, "{code}");
    }
}

#[test]
fn a_default_overwrites_an_existing_value_if_the_column_is_named() {
    let mut project = project();
    let upsert = "resolution=merge-duplicates,missing=default,return=representation";
    let full = json!([{ "email": "a@example.org", "phone": "+361" }]);
    let post = |columns: &str, body| {
        let query = format!("columns={columns}&on_conflict=email");
        request("POST", "/rest/v1/contacts", &query, upsert, body)
    };
    assert_eq!(project.answer(&post("email,phone", &full)).code(), 201);
    let part = json!([{ "email": "a@example.org" }]);
    assert_eq!(project.answer(&post("email", &part)).code(), 200);
    assert_eq!(project.contact("a@example.org").unwrap()["phone"], "+361");
    assert_eq!(project.answer(&post("email,phone", &part)).code(), 200);
    assert_eq!(project.contact("a@example.org").unwrap()["phone"], json!(null));
}

#[test]
fn a_statement_changes_all_of_its_rows_or_none() {
    let mut project = project();
    let rows = json!([
        { "email": "a@example.org", "country": "HU" },
        { "email": "b@example.org", "country": "Hungary" },
    ]);
    let reply = project.answer(&request("POST", "/rest/v1/contacts", "", "", &rows));
    assert_eq!(code(&reply), (400, "22001".to_owned()));
    assert!(project.tables["contacts"].rows.is_empty());
    let twice = json!([{ "email": "a@example.org" }, { "email": "a@example.org" }]);
    let merge = request(
        "POST",
        "/rest/v1/contacts",
        "on_conflict=email",
        "resolution=merge-duplicates",
        &twice,
    );
    assert_eq!(code(&project.answer(&merge)), (500, "21000".to_owned()));
    let uneven = json!([{ "email": "a@example.org" }, { "email": "b@example.org", "phone": "1" }]);
    let reply = project.answer(&request("POST", "/rest/v1/contacts", "", "", &uneven));
    assert_eq!(code(&reply), (400, "PGRST102".to_owned()));
    let all = request("DELETE", "/rest/v1/contacts", "", "", &json!(null));
    assert_eq!(code(&project.answer(&all)), (400, "21000".to_owned()));
    assert!(project.tables["contacts"].rows.is_empty());
}

#[test]
fn an_empty_list_proves_the_index() {
    let mut project = project();
    let upsert = |key: &str| {
        let query = format!("columns=email,phone&on_conflict={key}");
        request(
            "POST",
            "/rest/v1/contacts",
            &query,
            "resolution=merge-duplicates",
            &json!([]),
        )
    };
    assert_eq!(project.answer(&upsert("email")).code(), 200);
    assert_eq!(code(&project.answer(&upsert("phone"))), (400, "42P10".to_owned()));
}
