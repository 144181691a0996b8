//! What `config check` reports about the payload `sync`, shortcodes and updates.

use causeway_core::mapping::Tables;

use super::super::*;
use crate::{config::ConfigError, destination::Needs};

fn parse(config: &str) -> Result<Needs, ConfigError> {
    (KIND.parse)(&Tables::default(), &toml::from_str(config).unwrap())
}

#[test]
fn invalid_settings_are_refused_by_key() {
    let url = "url = 'https://hooks.example.org/'\n";
    for (text, key) in [
        ("url = 'https://[#HOST#]/'", "url"),
        ("url = 'https://hooks.example.org[#PORT#]/'", "url"),
        ("url = '[#URL#]'", "url"),
        ("url = 'https://hooks.example.org/?a={{ contact.email }}'", "url"),
        (
            "url = 'https://hooks.example.org/{{ contact.id }}?a=[#A#]'",
            "url",
        ),
        (
            &format!("{url}fields = {{ x = '[#EMAIL#] and {{{{ contact.email }}}}' }}"),
            "fields.x",
        ),
        (&format!("{url}sync = 'contact, fields'"), "sync"),
        (&format!("{url}sync = ['contacts']"), "sync"),
        (&format!("{url}sync = []"), "sync"),
        (&format!("{url}payload = {{}}"), "payload"),
        (
            &format!("{url}sync = 'all'\npayload = {{ date_format = '--' }}"),
            "payload.date_format",
        ),
        (
            &format!("{url}sync = 'all'\npayload = {{ date_format = '%Y-%m-%d' }}"),
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
        (
            &format!("{url}update = {{ 'tags[]' = 'tags[]' }}"),
            "update.tags[]",
        ),
        (&format!("{url}update = {{ lists = 'lists' }}"), "update.lists"),
        (
            &format!("{url}update = {{ Identities = 'id' }}"),
            "update.Identities",
        ),
        (
            &format!("{url}update = {{ 'contact.email' = 'email' }}"),
            "update.contact.email",
        ),
        (
            &format!("{url}update = {{ 'contact.crm_id' = 'id' }}"),
            "update.contact.crm_id",
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
fn a_wrong_type_is_described_and_its_value_never_repeated() {
    let url = "url = 'https://hooks.example.org/'\n";
    for (text, says) in [
        (
            "auth = { bearer = { envv = 'hush' } }",
            "unknown field `envv`, expected `env` or `file` (did you mean `env`?)",
        ),
        (
            "auth = { bearer = { env = 'A', flie = 'hush' } }",
            "expected `env` or `file`",
        ),
        (
            "headers = { X = 5 }",
            "expected a text, { env = \"NAME\" } or { file = \"path\" }",
        ),
        (
            "auth = 'hush, \", expected nothing'",
            "invalid type: a text, expected { bearer = … }, { basic = { user = …, password = … } }, { query = … } or { hmac = … }",
        ),
        ("sign = 'hush'", "expected { secrets = [{ env = \"NAME\" }] }"),
        ("shortcodes = 'hush'", "invalid type: a text, expected a table"),
        ("sign = { secrets = 'hush' }", "invalid type: a text, expected"),
        (
            "update = { a = { path = 'x', type = 'int' } }",
            "a type of text, number, date or boolean",
        ),
        ("sync = true", "expected \"all\", or a list of groups"),
        ("field_ids = { a = [1] }", "expected the number of the field"),
        (
            "sync = 'all'\npayload = { max_variables = 'hush' }",
            "expected a whole number, 0 or more",
        ),
    ] {
        let error = parse(&format!("{url}{text}")).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
        for bad in ["untagged", "struct", "usize", "hush"] {
            assert!(!error.contains(bad), "{text}: {error}");
        }
    }
}

/// A mapping in which an opt-out differs from an opt-in.
const SHOWS_CONSENT: &str = "fields = { change = 'change' }";

#[test]
fn probably_unintended_settings_are_reported() {
    let url = "url = 'https://hooks.example.org/'\n";
    for (text, history, says) in [
        (
            "url = 'https://hooks.example.org/?a=[#A#]¶m=[#CHANGE#]'\ncontent = 'query'",
            false,
            "&para",
        ),
        (
            &format!("{url}headers = {{ X-A = '[#UPER A#]' }}"),
            false,
            "`headers.X-A`",
        ),
        (
            &format!("{url}headers = {{ X-B = '{{{{ contact.email }}}}' }}"),
            false,
            "headers take shortcodes",
        ),
        (
            &format!("{url}fields = {{ a = '[#UPER A#]', change = 'change' }}"),
            false,
            "`fields.a`",
        ),
        (
            &format!(
                "{url}content = 'form'\nsync = 'all'\npayload = {{ caps = {{ pages-visited = 900 }} }}\n{SHOWS_CONSENT}"
            ),
            true,
            "PHP reads 1000",
        ),
        (
            &format!("{url}content = 'query'\nsync = 'all'\n{SHOWS_CONSENT}"),
            true,
            "most servers accept 8000",
        ),
        (
            &format!("{url}fields = {{ tel = 'contact.phone', change = 'change' }}"),
            false,
            "the receiver keeps the old one",
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
        &format!("{url}content = 'form'\nsync = 'all'\n{SHOWS_CONSENT}"),
        &format!("{url}fields = {{ tel = 'contact.phone', id = 'contact.ids.crm', change = 'change' }}"),
        "url = 'https://hooks.example.org/?email=[#EMAIL#]'\nfields = { tel = 'contact.phone', change = 'change' }",
        &format!("{url}fields = {{ area = 'contact.postcode' }}"),
        &format!("{url}sync = ['contact', 'fields']\ncontent = 'query'\n{SHOWS_CONSENT}"),
    ] {
        assert_eq!(parse(text).unwrap().warnings, Vec::<String>::new(), "{text}");
    }
}

#[test]
fn a_destination_that_cannot_express_an_opt_out_gets_none() {
    let url = "url = 'https://hooks.example.org/'\n";
    let get =
        |query: &str| format!("url = 'https://hooks.example.org/?e=[#EMAIL#]{query}'\ncontent = 'query'");
    for (text, shows_nothing) in [
        (url.to_owned(), false),
        (format!("{url}content = 'query'"), false),
        (format!("{url}sync = 'all'"), true),
        (
            format!("{url}fields = {{ ok = 'consent.email.subscribed' }}"),
            false,
        ),
        (format!("{url}fields = {{ ok = 'consent.sms.subscribed' }}"), true),
        (format!("{url}sync = 'all'\n{SHOWS_CONSENT}"), false),
        (
            format!("{url}sync = 'all'\nfields = {{ page = 'page.name' }}"),
            true,
        ),
        (
            format!("{url}sync = 'all'\nfields = {{ what = '[#UPPER Change#]' }}"),
            false,
        ),
        (
            format!("{url}sync = 'all'\nheaders = {{ X-What = '[#CHANGE#]' }}"),
            false,
        ),
        (format!("{url}fields = {{ name = '[#FIRST NAME#]' }}"), true),
        (get(""), true),
        (get("&what=[#CHANGE#]"), false),
        (get("&what=[#EXCHANGE#]"), true),
        (get("&t=[#ACTION TYPE#]"), true),
        (get("&t=[#MEMBERSHIP TYPE#]"), true),
        (get("&t=[#TYPE#]"), false),
        (get("&t=[#CHANGE/1#]"), true),
        (get("#[#CHANGE#]"), true),
        (get("&t=change"), true),
        (
            format!("{url}sync = 'all'\nheaders = {{ X-What = '[#ACTION TYPE#]' }}"),
            true,
        ),
        (format!("{url}fields = {{ x = '[#ACTION TYPE#] change' }}"), true),
        (format!("{url}fields = {{ change = '=change' }}"), true),
        (
            format!("{url}fields = {{ x = 'contact.type', y = 'settings.change' }}"),
            true,
        ),
    ] {
        let needs = parse(&text).unwrap();
        assert_eq!(!needs.consent_shown.has("email"), shows_nothing, "{text}");
        assert!(
            !shows_nothing || needs.shows_no_consent.contains("opt-out"),
            "{text}"
        );
    }
}
