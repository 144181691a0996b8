//! Whether Proca accepts the hub's queries.

use causeway_testkit::fake_proca::{SCHEMA, graphql::Schema};
use graphql_tools::{
    parser::{query::parse_query, schema::parse_schema},
    static_graphql::schema,
    validation::{
        rules::default_rules_validation_plan,
        validate::{ValidationPlan, validate},
    },
};

use super::super::query::{LeftOut, Query, refusals};

/// All queries that can be sent: complete, without each part that can be left out, and without all of them.
fn documents() -> Vec<String> {
    let mut versions: Vec<(Query, LeftOut)> = Query::ALL.map(|query| (query, LeftOut::default())).into();
    let mut least = LeftOut::default();
    for (query, refusal) in refusals() {
        let mut without = LeftOut::default();
        assert!(without.learn(query, &refusal), "{refusal}");
        versions.push((query, without));
        // The parts of an object that is left out as a whole are left out already.
        least.learn(query, &refusal);
    }
    versions.extend(Query::ALL.map(|query| (query, least.clone())));
    let texts = versions.iter().flat_map(|(query, left_out)| {
        [true, false].map(|include_testing| query.text(left_out, include_testing))
    });
    texts.collect()
}

/// Only newer servers know it.
const DUPE_RANK: &str = "Cannot query field \"dupeRank\" on type \"Contact\".";

/// A GraphQL library's validation of a document: all rules of the specification for fields, arguments and
/// variables.
struct Library {
    schema: schema::Document,
    plan: ValidationPlan,
}

/// The built-in types, which the library needs to see.
const BUILT_IN: &str = "\nscalar String\nscalar Int\nscalar Float\nscalar Boolean\nscalar ID\n";

impl Library {
    fn new(text: &str) -> Self {
        let text = format!("{text}{BUILT_IN}");
        Self {
            schema: parse_schema::<String>(&text).unwrap().into_static(),
            plan: default_rules_validation_plan(),
        }
    }

    fn refusals(&self, document: &str) -> Vec<String> {
        let document = parse_query::<String>(document).unwrap().into_static();
        let refused = validate(&self.schema, &document, &self.plan).into_iter();
        refused.map(|error| error.message).collect()
    }
}

fn check(schema: &str, name: &str) {
    let (library, fake) = (Library::new(schema), Schema::parse(schema));
    let documents = documents();
    assert!(documents.len() > 80, "{}", documents.len());
    for document in documents {
        let refused = library.refusals(&document);
        let expected = if document.contains("dupeRank") {
            vec![DUPE_RANK.to_owned()]
        } else {
            Vec::new()
        };
        assert_eq!(refused, expected, "{name}: {document}");
        // The fake server rejects the same in the same words.
        let refused = fake.check(&document).err().unwrap_or_default();
        assert_eq!(refused, expected, "{name}: {document}");
    }
}

#[test]
fn every_query_conforms_to_the_schema_except_for_fields_that_can_be_left_out() {
    check(SCHEMA, "our own account of it");
    let newer = SCHEMA.replace("  signKey: KeyIds\n", "  signKey: KeyIds\n  dupeRank: Int\n");
    let newer = Library::new(&newer);
    for document in documents() {
        assert_eq!(newer.refusals(&document), [""; 0], "{document}");
    }
}

/// Without this the test above could pass without checking anything.
#[test]
fn the_library_rejects_what_a_server_would_reject() {
    let library = Library::new(SCHEMA);
    for (query, part) in [
        (
            "query { actions(orgName: \"a\") { tracking { location } } }",
            "location",
        ),
        ("query { actions { actionId } }", "orgName"),
        (
            "query { actions(orgName: \"a\", since: 1) { actionId } }",
            "since",
        ),
        (
            "query ($n: String!) { actions(orgName: \"a\", limit: $n) { actionId } }",
            "$n",
        ),
        ("query ($n: Int) { actions(orgName: $n) { actionId } }", "$n"),
        ("query ($n: Int) { actions(orgName: \"a\") { actionId } }", "$n"),
        ("query { actions(orgName: \"a\", limit: $n) { actionId } }", "$n"),
        (
            "query { actions(orgName: \"a\", limit: true) { actionId } }",
            "type \"Int\"",
        ),
        ("query { actions(orgName: \"a\") { contact } }", "contact"),
        (
            "query { actions(orgName: \"a\") { actionId { id } } }",
            "actionId",
        ),
    ] {
        let refused = library.refusals(query).join("; ");
        assert!(refused.contains(part), "{query}: {refused}");
    }
}

/// Against the schema that Proca publishes, if `CAUSEWAY_PROCA_SCHEMA` names a copy of it.
#[test]
fn every_query_conforms_to_the_published_schema() {
    let Ok(path) = std::env::var("CAUSEWAY_PROCA_SCHEMA") else {
        return;
    };
    check(&std::fs::read_to_string(&path).unwrap(), &path);
}

#[test]
fn needed_fields_are_never_left_out() {
    for refusal in [
        "Cannot query field \"privacy\" on type \"Action\".",
        "Cannot query field \"withConsent\" on type \"Consent\".",
        "Cannot query field \"emailStatus\" on type \"Consent\".",
        "Cannot query field \"contactRef\" on type \"Contact\".",
        "Cannot query field \"dupeRank\" on type \"Action\".",
        "Unknown argument \"onlyOptIn\" on field \"actions\" of type \"RootQueryType\".",
        "\"tracking\" is not available today",
    ] {
        for query in Query::ALL {
            assert!(!LeftOut::default().learn(query, refusal), "{refusal}");
        }
    }
    // The same rejection a second time is an error, and no reason to send the query for ever.
    let mut left_out = LeftOut::default();
    assert!(left_out.learn(Query::Actions, DUPE_RANK));
    assert!(!left_out.learn(Query::Actions, DUPE_RANK));
    let in_other_words = "Cannot query field 'dupeRank' on type 'Contact'. Did you mean 'nonce'?";
    assert!(LeftOut::default().learn(Query::Actions, in_other_words));
}
