//! What `config check` says of the sync action, shortcodes and updates.

use causeway_core::mapping::Tables;

use super::*;
use crate::{config::ConfigError, destination::Needs};

fn parse(config: &str) -> Result<Needs, ConfigError> {
    (KIND.parse)(&Tables::default(), &toml::from_str(config).unwrap())
}

#[test]
fn what_cannot_be_meant_is_refused_by_key() {
    let url = "url = 'https://hooks.example.org/'\n";
    for (text, key) in [
        ("url = 'https://[#HOST#]/'", "url"),
        ("url = 'https://hooks.example.org[#PORT#]/'", "url"),
        ("url = '[#URL#]'", "url"),
        (&format!("{url}sync = 'contact, fields'"), "sync"),
        (&format!("{url}sync = ['contacts']"), "sync"),
        (&format!("{url}sync = []"), "sync"),
        (&format!("{url}payload = {{}}"), "payload"),
        (
            &format!("{url}sync = 'all'\npayload = {{ date_format = '--' }}"),
            "payload.date_format",
        ),
        (
            &format!("{url}sync = 'all'\npayload = {{ caps = {{ fields = 1 }} }}"),
            "payload.caps.fields",
        ),
        (
            &format!("{url}sync = 'all'\npayload = {{ caps = {{ clicks = 1 }} }}"),
            "payload.caps",
        ),
        (
            &format!("{url}sync = 'all'\nfields = {{ contact = '=x' }}"),
            "fields.contact",
        ),
        (&format!("{url}time_zone = 'Mars/Olympus'"), "time_zone"),
        (&format!("{url}update = {{ email = 'email' }}"), "update.email"),
        (
            &format!("{url}update = {{ 'tag:vip' = 'vip' }}"),
            "update.tag:vip",
        ),
        (&format!("{url}update = {{ crm_id = 'a..b' }}"), "update.crm_id"),
        (
            &format!("{url}update = {{ crm_id = {{ path = 'id', if_null = '' }} }}"),
            "update.crm_id.if_null",
        ),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.key, key, "{text}: {error}");
    }
}

#[test]
fn what_is_probably_not_meant_is_told() {
    let url = "url = 'https://hooks.example.org/'\n";
    for (text, history, says) in [
        (
            "url = 'https://hooks.example.org/?a=[#A#]¶m=[#B#]'\ncontent = 'query'",
            false,
            "&para",
        ),
        (
            &format!("{url}headers = {{ X-A = '[#UPER A#]' }}"),
            false,
            "`headers.X-A`",
        ),
        (
            &format!("{url}fields = {{ a = '[#UPER A#]' }}"),
            false,
            "`fields.a`",
        ),
        (
            &format!("{url}content = 'form'\nsync = 'all'\npayload = {{ caps = {{ pages-visited = 900 }} }}"),
            true,
            "PHP reads 1000",
        ),
        (
            &format!("{url}content = 'query'\nsync = 'all'"),
            true,
            "most servers take 8000",
        ),
    ] {
        let needs = parse(text).unwrap();
        assert_eq!(
            (needs.warnings.len(), needs.history),
            (1, history),
            "{text}: {:?}",
            needs.warnings
        );
        assert!(needs.warnings[0].contains(says), "{:?}", needs.warnings);
    }
    for text in [
        &format!("{url}content = 'form'\nsync = 'all'"),
        &format!("{url}sync = ['contact', 'fields']\ncontent = 'query'"),
    ] {
        assert_eq!(parse(text).unwrap().warnings, Vec::<String>::new(), "{text}");
    }
}
