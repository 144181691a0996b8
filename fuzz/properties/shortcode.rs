//! What must hold for any template and any value; also run over the corpus by the tests of the core.

use std::collections::BTreeMap;

use causeway_core::{
    clock::Timestamp,
    contact::Contact,
    delivery::Kind,
    id::{ContactId, InboxId},
    mapping::omission::Omissions,
    record::Record,
    shortcode::{Names, Piece, Place, Report, Rules, Slash, expand, expand_url, lint_url, parse},
};

const SECRET: &str = "never@example.org";

/// Panics when a property is broken. The first line is the template, the rest the contact's value.
pub fn hold(input: &str) {
    let (template, value) = input.split_once('\n').unwrap_or((input, ""));
    let record = record(value);
    for slash in [Slash::Take, Slash::Word] {
        let rules = Rules {
            slash,
            ..Rules::default()
        };
        let names = Names::new(&record, &rules);
        let (pieces, mut omissions) = (parse(template), Omissions::of(&record));
        let mut report = Report::new(&mut omissions);
        let plain = expand(&pieces, &names, Place::Plain, &mut report).expect("lenient");
        if pieces.iter().all(|piece| matches!(piece, Piece::Text(_))) {
            assert_eq!(plain, template);
        }
        expand_url(&pieces, &names, &mut report).ok();
        if let Ok(header) = expand(&pieces, &names, Place::Header, &mut report) {
            assert!(template.contains('\r') || !header.contains(['\r', '\n']));
        }
        // The value is put in as it is, whatever it looks like.
        let held = expand(&parse("[#x#]"), &names, Place::Plain, &mut report).expect("lenient");
        assert!(held == value || (held.is_empty() && value.trim().is_empty()));
    }
    lint_url(template);
}

fn record(value: &str) -> Record {
    let at = Timestamp::UNIX_EPOCH;
    let mut contact = Contact {
        id: Some(ContactId(1)),
        ..Contact::default()
    };
    let fields = [("x", value), ("email", SECRET), ("birthDate", "1990-04-01")];
    contact.set_fields(
        &fields.map(|(name, value)| (name.to_owned(), value.into())).into(),
        at,
    );
    Record {
        workspace: "default".into(),
        source: "platform".into(),
        inbox_id: InboxId(1),
        kind: Kind::Record,
        event: "contact_sync".to_owned(),
        event_at: at,
        contact,
        identities: Vec::new(),
        action: None,
        campaign: None,
        page: None,
        consent_state: BTreeMap::new(),
        purpose: "email".into(),
        change: causeway_core::consent::Change::None,
        lead: causeway_core::automation::Lead::default(),
        engagements: Vec::new(),
        settings: serde_json::Map::new(),
        via: Vec::new(),
    }
}
