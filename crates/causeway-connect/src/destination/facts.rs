//! What each kind of destination does, side by side: `causeway destination table` prints docs/connectors.md from it.

use super::{KINDS, Kind};

/// One row for each kind. `""` means that the kind has no such thing.
pub struct Facts {
    pub kind: &'static str,
    /// What finds a person there.
    pub found_by: &'static str,
    /// How the vendor's limit is kept.
    pub limit: &'static str,
    pub opt_out: &'static str,
    /// A bounce, a block or a complaint.
    pub suppress: &'static str,
    pub erasure: &'static str,
    pub actions: &'static str,
    /// Lists, tags, groups and audiences.
    pub places: &'static str,
    /// Why a delivery that is sent twice has no further effect.
    pub repeats: &'static str,
    /// The published client that proves the fake account, with its version.
    pub judge: &'static str,
}

#[rustfmt::skip]
pub const FACTS: &[Facts] = &[
    Facts { kind: "actionnetwork", found_by: "address", limit: "`calls_per_10_s`; 429", opt_out: "status `unsubscribed`",
        suppress: "status `unsubscribed`", erasure: "unsubscribed and emptied; delete the person by hand",
        actions: "submissions, signatures and the like", places: "tags", repeats: "an own identifier for each action",
        judge: "PyPI parsons 6.1.0" },
    Facts { kind: "activecampaign", found_by: "address", limit: "`calls_per_s`; 429",
        opt_out: "unsubscribed from the list", suppress: "unsubscribed from the list", erasure: "deleted",
        actions: "records of a custom object", places: "a list, tags", repeats: "an own id for each record",
        judge: "PyPI activecampaign-python 1.0.10" },
    Facts { kind: "brevo", found_by: "address", limit: "`calls_per_s`; 429; headers",
        opt_out: "blocked for campaigns, or off the lists", suppress: "blocked for campaigns", erasure: "deleted",
        actions: "events", places: "lists", repeats: "the event has the idempotency key",
        judge: "PyPI brevo-python 5.1.0" },
    Facts { kind: "civicrm", found_by: "`external_identifier`, address", limit: "",
        opt_out: "all contacts with the address", suppress: "the address is on hold", erasure: "deleted",
        actions: "activities", places: "groups, campaigns", repeats: "contacts and activities are looked up first",
        judge: "PyPI civicrmapi 0.5, civicrm-py 0.1.4" },
    Facts { kind: "cleverreach", found_by: "address", limit: "`calls_per_s`; 429", opt_out: "inactive in the group",
        suppress: "inactive in the group, or blacklisted", erasure: "deleted from the group", actions: "",
        places: "a group, tags", repeats: "a receiver has one state", judge: "" },
    Facts { kind: "command", found_by: "your program", limit: "`busy` in the answer", opt_out: "a line with the change",
        suppress: "a line with the change", erasure: "a line with the change", actions: "each is a line",
        places: "your program", repeats: "the line has the idempotency key", judge: "" },
    Facts { kind: "engagingnetworks", found_by: "address", limit: "`calls_per_hour`, `page_calls_per_5_min`; 429, 401",
        opt_out: "opt-in questions answered N", suppress: "suppressed in the whole account", erasure: "deleted, or suppressed",
        actions: "transactions of a page", places: "", repeats: "transactions are read first", judge: "" },
    Facts { kind: "file", found_by: "", limit: "", opt_out: "a line with the change", suppress: "a line with the change",
        erasure: "a line with the change", actions: "each is a line", places: "",
        repeats: "the line has the idempotency key", judge: "" },
    Facts { kind: "google", found_by: "hashed address, phone and name", limit: "`calls_per_minute`; quotas",
        opt_out: "removed", suppress: "removed", erasure: "removed", actions: "", places: "a Customer Match list",
        repeats: "a list holds a person once; results are awaited", judge: "PyPI google-ads-datamanager 0.9.4" },
    Facts { kind: "hubspot", found_by: "address, or a unique property", limit: "`calls_per_10_s`; 429; headers",
        opt_out: "subscription `UNSUBSCRIBED`", suppress: "subscription `UNSUBSCRIBED`", erasure: "`gdpr-delete`",
        actions: "custom events", places: "static lists", repeats: "an own id for each event",
        judge: "npm @hubspot/api-client 14.0.1" },
    Facts { kind: "listmonk", found_by: "address", limit: "429", opt_out: "unsubscribed from the lists",
        suppress: "blocked", erasure: "deleted", actions: "", places: "lists",
        repeats: "nothing is written that is there already", judge: "PyPI listmonk 0.6.32" },
    Facts { kind: "mailchimp", found_by: "address", limit: "429", opt_out: "status `unsubscribed`",
        suppress: "`cleaned`; after a complaint `unsubscribed`", erasure: "deleted for good, or archived",
        actions: "events of the member", places: "an audience, tags", repeats: "the event has the idempotency key",
        judge: "npm @mailchimp/mailchimp_marketing 3.0.80" },
    Facts { kind: "mailjet", found_by: "address", limit: "`calls_per_s`; 429", opt_out: "unsubscribed from the list",
        suppress: "unsubscribed from the list", erasure: "deleted", actions: "", places: "a list",
        repeats: "contact and list have one state", judge: "PyPI mailjet-rest 1.9.1" },
    Facts { kind: "mautic", found_by: "address", limit: "`calls_per_s`; 429", opt_out: "do-not-contact, unsubscribed",
        suppress: "do-not-contact, bounced", erasure: "deleted", actions: "tags, notes, points", places: "segments, tags",
        repeats: "notes and points are looked up first", judge: "PyPI mautic-cli 0.2.0" },
    Facts { kind: "meta", found_by: "hashed address and other keys", limit: "429; usage headers", opt_out: "removed",
        suppress: "removed", erasure: "removed", actions: "", places: "a custom audience",
        repeats: "an audience holds a person once", judge: "PyPI facebook-business 26.0.3" },
    Facts { kind: "null", found_by: "", limit: "", opt_out: "", suppress: "", erasure: "", actions: "", places: "",
        repeats: "", judge: "" },
    Facts { kind: "proca", found_by: "the action and `contactRef`", limit: "429", opt_out: "", suppress: "", erasure: "",
        actions: "accepted or rejected", places: "", repeats: "a link that is called again changes nothing", judge: "" },
    Facts { kind: "salesforce", found_by: "an external id, address", limit: "daily calls by header; 429",
        opt_out: "`HasOptedOutOfEmail`", suppress: "`EmailBouncedReason` and date", erasure: "deleted, or emptied",
        actions: "campaign members, tasks", places: "campaigns", repeats: "external ids", judge: "npm jsforce 3.10.26" },
    Facts { kind: "sql", found_by: "the key of the table", limit: "", opt_out: "columns that show consent",
        suppress: "columns that show consent", erasure: "kept, emptied or deleted, by `on_remove`",
        actions: "rows of `actions`", places: "", repeats: "rows have keys", judge: "" },
    Facts { kind: "supabase", found_by: "the key of the table", limit: "429", opt_out: "columns that show consent",
        suppress: "columns that show consent", erasure: "kept, emptied or deleted, by `on_remove`",
        actions: "rows of `actions`", places: "", repeats: "rows have keys",
        judge: "npm @supabase/postgrest-js 2.119.1" },
    Facts { kind: "vbout", found_by: "address", limit: "`calls_per_s`; 429", opt_out: "the status `opt_out_status`",
        suppress: "the status `suppress_status`", erasure: "deleted from all lists", actions: "activities on the timeline",
        places: "a list, tags", repeats: "a digest of what was written; a reference in each activity", judge: "" },
    Facts { kind: "webhook", found_by: "your mapping", limit: "`limit`; 429", opt_out: "your mapping, or `on.unsubscribe`",
        suppress: "your mapping, or `on.suppress`", erasure: "your mapping, or `on.remove`", actions: "each is a request",
        places: "your mapping", repeats: "a header with the idempotency key", judge: "" },
];

const HEAD: [&str; 12] = [
    "kind",
    "`batch`",
    "`concurrency`",
    "people are found by",
    "limit kept by",
    "opt-out",
    "bounce, complaint",
    "erasure",
    "actions",
    "lists, tags, audiences",
    "sent twice",
    "judged with",
];

/// The table in Markdown.
pub fn table() -> String {
    let mut lines = vec![
        format!("| {} |", HEAD.join(" | ")),
        format!("|{}", "---|".repeat(HEAD.len())),
    ];
    for kind in KINDS {
        if let Some(facts) = FACTS.iter().find(|facts| facts.kind == kind.name) {
            lines.push(row(kind, facts));
        }
    }
    lines.join("\n")
}

fn row(kind: &Kind, facts: &Facts) -> String {
    let (batch, concurrency) = (kind.batch.to_string(), kind.concurrency.to_string());
    let name = format!("`{}`", kind.name);
    let cells = [
        &*name,
        &batch,
        &concurrency,
        facts.found_by,
        facts.limit,
        facts.opt_out,
        facts.suppress,
        facts.erasure,
        facts.actions,
        facts.places,
        facts.repeats,
        facts.judge,
    ];
    let cells = cells.map(|cell| if cell.is_empty() { "-" } else { cell });
    format!("| {} |", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_row() {
        let kinds: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        let rows: Vec<&str> = FACTS.iter().map(|facts| facts.kind).collect();
        assert_eq!(rows, kinds);
    }

    #[test]
    fn the_page_has_this_table() {
        let page = include_str!("../../../../docs/connectors.md");
        assert!(
            page.contains(&table()),
            "run: causeway destination table\n{}",
            table()
        );
    }

    /// The versions are those that the tests install.
    #[test]
    fn the_judges_are_the_clients_of_the_lock_files() {
        let pinned = [
            include_str!("../../../causeway-testkit/clients/package.json"),
            include_str!("../../../causeway-testkit/clients/requirements.in"),
        ];
        let judges = FACTS.iter().flat_map(|facts| facts.judge.split(", "));
        for judge in judges.filter(|judge| !judge.is_empty()) {
            let judge = judge.trim_start_matches("npm ").trim_start_matches("PyPI ");
            let (name, version) = judge.split_once(' ').unwrap();
            let spelled = [format!("\"{name}\": \"{version}\""), format!("{name}=={version}")];
            assert!(
                pinned
                    .iter()
                    .any(|file| spelled.iter().any(|text| file.contains(text))),
                "{judge}"
            );
        }
    }
}
