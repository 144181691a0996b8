//! Whether Proca accepts the queries that we send.

use causeway_testkit::fake_proca::{SCHEMA, graphql::Schema};

use super::query::{LeftOut, Query, refusals};

/// Everything that can be sent: all of it, without each part that can be left out, and without all of them.
fn documents() -> Vec<String> {
    let mut versions: Vec<(Query, LeftOut)> = Query::ALL.map(|query| (query, LeftOut::default())).into();
    let mut least = LeftOut::default();
    for (query, refusal) in refusals() {
        let mut without = LeftOut::default();
        assert!(without.learn(query, &refusal), "{refusal}");
        versions.push((query, without));
        // The parts of an object that is left out as a whole are out already.
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

fn check(schema: &str, name: &str) {
    let schema = Schema::parse(schema);
    let documents = documents();
    assert!(documents.len() > 80, "{}", documents.len());
    for document in documents {
        let refused = schema.check(&document).err().unwrap_or_default();
        let is_known = refused.iter().all(|refusal| refusal == DUPE_RANK);
        assert!(
            is_known && (refused.is_empty() || document.contains("dupeRank")),
            "{name}: {refused:?}: {document}"
        );
    }
}

#[test]
fn every_query_keeps_to_the_schema_but_for_what_is_left_out_when_refused() {
    check(SCHEMA, "our own account of it");
    let newer = SCHEMA.replace("  signKey: KeyIds\n", "  signKey: KeyIds\n  dupeRank: Int\n");
    let newer = Schema::parse(&newer);
    for document in documents() {
        assert_eq!(newer.check(&document).err(), None, "{document}");
    }
}

/// Against the schema that Proca publishes, where `CAUSEWAY_PROCA_SCHEMA` names a copy of it.
#[test]
fn every_query_keeps_to_the_published_schema() {
    let Ok(path) = std::env::var("CAUSEWAY_PROCA_SCHEMA") else {
        return;
    };
    check(&std::fs::read_to_string(&path).unwrap(), &path);
}

#[test]
fn what_is_needed_is_never_left_out() {
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
    // The same refusal a second time is an error, not a reason to ask for ever.
    let mut left_out = LeftOut::default();
    assert!(left_out.learn(Query::Actions, DUPE_RANK));
    assert!(!left_out.learn(Query::Actions, DUPE_RANK));
    let in_other_words = "Cannot query field 'dupeRank' on type 'Contact'. Did you mean 'nonce'?";
    assert!(LeftOut::default().learn(Query::Actions, in_other_words));
}
