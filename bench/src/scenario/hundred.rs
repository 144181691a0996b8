//! A hundred automations, as an organisation may have them after some years. Most concern a campaign or a group
//! of people that the message is not about. Some change the contact, and several deliver.

use std::sync::Arc;

use causeway_core::{
    automation::{Automation, ConsentTrigger, Does, Pattern, Step, Trigger},
    event::EngagementKind,
    mapping::{Expression, MappingError, Term},
    rules::DEFAULT_WORKSPACE,
};
use serde_json::json;

pub const DESTINATIONS: [&str; 5] = ["ads", "archive", "crm", "letters", "mailer"];

pub fn automations() -> Result<Vec<Arc<Automation>>, MappingError> {
    let mut all = Vec::new();
    for number in 0..100 {
        let (on, when, does) = match number {
            0..60 => on_actions(number)?,
            60..80 => on_contacts(number)?,
            _ => on_engagements(number),
        };
        all.push(Arc::new(Automation {
            name: format!("automation {number}").into(),
            workspace: DEFAULT_WORKSPACE.into(),
            on: vec![on],
            when: when.as_deref().map(Expression::new).transpose()?,
            stop: None,
            once: number % 10 == 0,
            per_hour: None,
            then: does.into_iter().map(|does| Step { does, delay: None }).collect(),
        }));
    }
    Ok(all)
}

type Parts = (Trigger, Option<String>, Vec<Does>);

fn tag(name: impl Into<String>) -> Does {
    Does::AddTag(name.into())
}

fn to(destination: &str) -> Does {
    Does::Deliver(vec![destination.into()])
}

fn set(field: &str, value: &str) -> Result<Does, MappingError> {
    let term = Term::read(&json!(value))?;
    Ok(Does::SetFields(vec![(field.to_owned(), term)]))
}

/// Sixty conditions. For the messages of the measurement, five of them are true.
fn on_actions(number: u32) -> Result<Parts, MappingError> {
    let (when, does) = match number {
        0 => (
            "campaign.name == 'save_the_bees'".to_owned(),
            vec![tag("bees"), to("crm")],
        ),
        1 => (
            "campaign.name == 'save_the_bees' and consent.email.subscribed".to_owned(),
            vec![
                to("mailer"),
                set("segment", "{{ campaign.name }} in {{ contact.country }}")?,
            ],
        ),
        2 => (
            "contact.country in ['AT', 'CH', 'DE']".to_owned(),
            vec![tag("german")],
        ),
        3 => (
            "tracking.source == 'newsletter' and action.type == 'petition'".to_owned(),
            vec![to("archive")],
        ),
        4 => (
            "action.fields.emailProvider == 'example.org'".to_owned(),
            vec![set("provider", "action.fields.emailProvider")?],
        ),
        5..30 => (
            format!("campaign.name == 'campaign_{number}' and contact.country == 'DE'"),
            vec![tag(format!("campaign {number}")), to("crm")],
        ),
        30..50 => (
            format!("contact.country == 'DE' and contact.postcode[:2] == '{number}'"),
            vec![tag(format!("region {number}")), to("letters")],
        ),
        _ => (
            format!(
                "consent.email.subscribed and contact.language == 'l{number}' and 'bees' not in contact.tags"
            ),
            vec![to("mailer")],
        ),
    };
    Ok((Trigger::Action(None), Some(when), does))
}

/// Twenty automations on tags, fields and consent. The messages of the measurement trigger three of them, and
/// their conditions are true.
fn on_contacts(number: u32) -> Result<Parts, MappingError> {
    Ok(match number {
        60 => (
            Trigger::TagAdded(Some("bees".to_owned())),
            None,
            vec![tag("member")],
        ),
        61 => (
            Trigger::ConsentChanged(ConsentTrigger {
                purpose: Some("email".to_owned()),
                to: None,
            }),
            Some("consent.email.subscribed".to_owned()),
            vec![to("mailer")],
        ),
        62 => (Trigger::FieldChanged("segment".to_owned()), None, vec![to("ads")]),
        63..70 => (
            Trigger::TagAdded(Some(format!("tag {number}"))),
            None,
            vec![to("crm")],
        ),
        70..75 => (
            Trigger::FieldChanged("postcode".to_owned()),
            Some(format!("contact.postcode[:2] == '{number}'")),
            vec![set("region", "contact.postcode")?],
        ),
        _ => (
            Trigger::ConsentChanged(ConsentTrigger {
                purpose: Some("phone".to_owned()),
                to: None,
            }),
            Some("consent.phone.subscribed".to_owned()),
            vec![to("letters")],
        ),
    })
}

fn on_engagements(number: u32) -> Parts {
    let kind = match number % 4 {
        0 => EngagementKind::EmailOpen,
        1 => EngagementKind::LinkClick,
        2 => EngagementKind::PageVisit,
        _ => EngagementKind::Goal,
    };
    let pattern = Pattern(format!("https://example.org/{number}*"));
    (
        Trigger::Engaged(kind, Some(pattern)),
        None,
        vec![tag(format!("saw {number}"))],
    )
}
