//! The rows of the fake store.

use causeway_core::{
    automation::{Explained, Verdict},
    consent::{ConsentFact, EMAIL, What},
    envelope::{Dedup, Envelope, Meta},
    id::{ContactId, DeliveryId, InboxId},
    store::{AttemptRow, DeliveryRow, InboxRow, InboxState},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

pub(super) const REASONS: [&str; 3] = [
    "answered 503: not now",
    "answered 422: the field postcode is required",
    "no answer within 30 s",
];

/// Rows are numbered up to here.
pub const NEWEST: i64 = 48_212;

pub(super) fn delivery(id: i64, start: Timestamp) -> DeliveryRow {
    let state = match id % 8 {
        2 => "waiting",
        4 => "dead",
        6 => "skipped",
        7 => "blocked",
        _ => "delivered",
    };
    let destination = match id / 8 % 4 {
        0 => "crm",
        1 => "newsletter",
        2 => "warehouse",
        _ => "archive",
    };
    // Only one destination rejects anything.
    let state = if state == "dead" && destination != "newsletter" {
        "delivered"
    } else {
        state
    };
    let planned_at = start - SignedDuration::from_secs((NEWEST - id) * 7 + 2);
    let is_over = matches!(state, "delivered" | "dead" | "skipped");
    DeliveryRow {
        id: DeliveryId(id),
        inbox_id: InboxId(id),
        contact_id: Some(ContactId(7)),
        destination: destination.into(),
        source: if id % 3 == 0 { "platform" } else { "petitions" }.into(),
        kind: if id % 5 == 0 { "contact" } else { "record" }.to_owned(),
        state: state.to_owned(),
        attempts: match state {
            "delivered" => 1,
            "waiting" => 3,
            "dead" => 10,
            _ => 0,
        },
        due_at: (state == "waiting").then(|| start + SignedDuration::from_secs(25 + id % 200)),
        planned_at,
        finished_at: is_over.then(|| planned_at + SignedDuration::from_secs(1)),
        reason: match state {
            "waiting" => Some(REASONS[0]),
            "dead" => Some(REASONS[1]),
            "skipped" => Some("not opted in for email"),
            "blocked" => Some("waits behind an earlier one of the same contact"),
            _ => None,
        }
        .map(str::to_owned),
        remote_id: (state == "delivered").then(|| format!("CON-{id}")),
        address: None,
        by_hand: false,
    }
}

pub(super) fn inbox(id: i64, start: Timestamp) -> InboxRow {
    let state = match id % 11 {
        4 => InboxState::Dead,
        7 => InboxState::Skipped,
        9 => InboxState::Duplicate,
        _ if id > NEWEST - 2 => InboxState::New,
        _ => InboxState::Done,
    };
    let received_at = start - SignedDuration::from_secs((NEWEST - id) * 7 + 3);
    InboxRow {
        id: InboxId(id),
        source: if id % 3 == 0 { "platform" } else { "petitions" }.into(),
        state,
        received_at,
        processed_at: (state != InboxState::New).then(|| received_at + SignedDuration::from_millis(40)),
        code: (state == InboxState::Dead).then(|| "key_missing".to_owned()),
        reason: match state {
            InboxState::Dead => {
                Some("encrypted for public key u2hT…, which is not in the keystore".to_owned())
            }
            InboxState::Skipped => Some("a test action".to_owned()),
            _ => None,
        },
        bytes: 1_480 + id.unsigned_abs() % 300,
    }
}

pub(super) fn fact(what: What, at: Timestamp, basis: &str) -> ConsentFact {
    ConsentFact::new(EMAIL, what, at, basis)
}

pub(super) fn envelope(row: &InboxRow) -> Envelope {
    let body = json!({
        "schema": "proca:action:2", "stage": "deliver", "orgId": 7, "campaignId": 204, "actionPageId": 1107,
        "actionId": 887_588,
        "campaign": {"name": "clean_rivers", "title": "Clean rivers", "externalId": null},
        "actionPage": {"name": "rivers/en", "locale": "en"},
        "action": {"actionType": "petition", "createdAt": row.received_at.to_string(),
                   "customFields": {"comment": "I swim there with Tomas"}, "testing": false},
        "contact": {"contactRef": "hT7cPzN0bA4WqX2u", "email": "jana.novakova@example.org", "firstName": "Jana",
                    "lastName": "Nováková", "phone": "+49 170 1234567", "postcode": "10115", "area": "DE"},
        "privacy": {"withConsent": true, "optIn": true, "givenAt": row.received_at.to_string(), "emailStatus": null},
    });
    Envelope {
        source: row.source.clone(),
        dedup: Dedup::dated([0x5c; 16]),
        received_at: row.received_at,
        meta: Meta {
            content_type: Some("application/json".to_owned()),
            routing_key: Some("petition.clean_rivers".to_owned()),
            ..Meta::default()
        },
        body: body.to_string().into_bytes().into(),
    }
}

const SENT: &str =
    "POST https://crm.example.org/people\ncontent-type: application/json\n\n{\"email\":\"jana@example.org\"}";

pub(super) fn attempts(start: Timestamp, is_rejected: bool) -> Vec<AttemptRow> {
    let attempt =
        |number: u32, ago_s: i64, outcome: &str, status, reason: Option<&str>, excerpt: Option<&str>| {
            AttemptRow {
                number,
                started_at: start - SignedDuration::from_secs(ago_s),
                took_ms: 84 + number * 61,
                outcome: outcome.to_owned(),
                reason: reason.map(str::to_owned),
                status,
                excerpt: excerpt.map(str::to_owned),
                request: Some(SENT.to_owned()),
            }
        };
    let first = attempt(
        1,
        190,
        "retry",
        Some(503),
        Some(REASONS[0]),
        Some("<h1>503 Service Unavailable</h1>"),
    );
    if is_rejected {
        let answer = r#"{"error":"the field postcode is required for jana.novakova@example.org"}"#;
        return vec![
            first,
            attempt(2, 150, "reject", Some(422), Some(REASONS[1]), Some(answer)),
        ];
    }
    vec![
        first,
        attempt(2, 180, "retry", None, Some(REASONS[2]), None),
        attempt(
            3,
            140,
            "delivered",
            Some(201),
            None,
            Some(r#"{"id":"CON-48201","status":"created","name":"Jana Nováková"}"#),
        ),
    ]
}

pub(super) fn explained() -> Explained {
    Explained {
        values: [
            ("campaign.name".into(), json!("rivers")),
            ("consent.email.subscribed".into(), json!(true)),
            ("contact.country".into(), json!("CZ")),
        ]
        .into(),
        asked: vec![
            (
                "Welcome to the rivers team".into(),
                Verdict::Ran(vec![
                    "tag +rivers".to_owned(),
                    "step 2 at 2026-03-07T09:00:00Z".to_owned(),
                ]),
            ),
            ("Big donors".into(), Verdict::ConditionFalse),
        ],
    }
}
