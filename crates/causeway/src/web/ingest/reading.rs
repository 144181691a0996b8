//! The keys of each preset, and the decoder built from them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use causeway_connect::{
    config::{ConfigError, Context},
    source::{
        ConsentFrom, Ours, at_format, checked_purpose, consent_rules,
        proca::{Consent, Reading, Testing},
        purposes,
    },
};
use causeway_core::{
    charset::Charset,
    consent::EMAIL,
    decode::{
        body::{self, Spelling},
        generic::{GenericDecoder, Paths, path_error},
        params::Params,
        parts,
        placeholders::{Emptied, Placeholders},
        sync::{ArrivalConsent, SyncDecoder},
    },
    event::Decode,
    id::Name,
};
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;

use super::config::{Config, Limits, Preset};

/// `sync`: keys of the preset `sync-to-third-party`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sync {
    /// Path to the list of contacts, if one message holds several: each becomes its own message. `.` if the body
    /// is the list. Without this path, a message with several is dead.
    pub each: Option<String>,
    /// The time zone of the platform's account, such as `Europe/Berlin`, because its dates have no zone. Default: UTC.
    pub time_zone: Option<String>,
    pub consent: Arrival,
    /// Rules that read consent from fields of the contact, such as a list field or a status.
    pub consent_from: Vec<ConsentFrom>,
}

/// `generic`: keys of the preset `generic`. Paths are dotted, with `[n]` for items: `data.people[0].email`. Write a name that
/// contains dots in double quotes. Without paths, common names are searched.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Generic {
    /// Path to the list of records, if one message holds several: each becomes its own message, and the other
    /// paths begin at the record. `.` if the body is the list. Without this path, a message with several is dead.
    pub each: Option<String>,
    /// Path to the e-mail address.
    pub email: Option<String>,
    /// Path to the sender's id of the contact.
    pub id: Option<String>,
    /// Path to an object of fields, or to a list of `{name, value}`. Default: the whole record.
    pub fields: Option<String>,
    /// Path to the time of the event. Default: the arrival.
    pub time: Option<String>,
    /// How `time` writes dates: `DD/MM/YYYY`, `MM/DD/YYYY`, `DD.MM.YYYY` and the like, or `excel` for its day numbers.
    /// Unambiguous dates need no format; others are refused without one.
    pub time_format: Option<String>,
    /// The time zone of dates without one. Default: UTC.
    pub time_zone: Option<String>,
    pub consent: Arrival,
    /// Rules that read consent from fields of the contact, such as a list field or a status.
    pub consent_from: Vec<ConsentFrom>,
}

/// The effect of an arriving contact on consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// No effect: consent comes from another source.
    #[default]
    None,
    /// An opt-in to e-mail. Only for a source that sends when somebody joined or confirmed, because it ends
    /// an earlier opt-out.
    OptIn,
}

/// `proca`: keys of the preset `proca`, as for a queue.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Proca {
    /// Ids of your own organisations.
    pub own_orgs: Vec<u64>,
    /// Files with private keys, relative to the configuration file.
    #[serde(default)]
    pub keystore: Vec<PathBuf>,
    /// What makes an opt-in to e-mail valid.
    pub consent: Consent,
    #[serde(default)]
    pub testing: Testing,
    /// The purpose of the consent.
    #[serde(default = "email")]
    pub purpose: String,
    /// Rules that read consent for other purposes from custom fields of an action.
    #[serde(default)]
    pub consent_from: Vec<ConsentFrom>,
}

fn email() -> String {
    EMAIL.to_owned()
}

impl Config {
    /// Refuses keys of another preset, and missing keys that the preset requires.
    pub(super) fn check_reading(&self) -> Result<(), ConfigError> {
        for (key, is_there, preset) in [
            ("sync", self.sync.is_some(), Preset::SyncToThirdParty),
            ("generic", self.generic.is_some(), Preset::Generic),
            ("proca", self.proca.is_some(), Preset::Proca),
        ] {
            if is_there && self.preset != preset {
                return Err(ConfigError::new(key, "belongs to another preset"));
            }
        }
        if let Some(keys) = &self.generic {
            for (key, path) in [
                ("generic.email", &keys.email),
                ("generic.id", &keys.id),
                ("generic.fields", &keys.fields),
                ("generic.time", &keys.time),
            ] {
                if let Some((path, fault)) = path.as_ref().and_then(|path| Some((path, path_error(path)?))) {
                    return Err(bad_path(key, path, fault));
                }
            }
            at_format("generic.time_format", keys.time_format.as_deref())?;
        }
        for (key, each) in [
            (
                "sync.each",
                self.sync.as_ref().and_then(|keys| keys.each.as_ref()),
            ),
            (
                "generic.each",
                self.generic.as_ref().and_then(|keys| keys.each.as_ref()),
            ),
        ] {
            let path = each.filter(|path| path.trim() != parts::WHOLE);
            if let Some((path, fault)) = path.and_then(|path| Some((path, path_error(path)?))) {
                return Err(bad_path(key, path, fault));
            }
        }
        self.spelling()?;
        for (key, list) in [
            (
                "sync.consent_from",
                self.sync.as_ref().map(|keys| &keys.consent_from),
            ),
            (
                "generic.consent_from",
                self.generic.as_ref().map(|keys| &keys.consent_from),
            ),
            (
                "proca.consent_from",
                self.proca.as_ref().map(|keys| &keys.consent_from),
            ),
        ] {
            consent_rules(key, list.map_or(&[][..], Vec::as_slice))?;
        }
        if let Some(proca) = &self.proca {
            checked_purpose("proca.purpose", &proca.purpose)?;
        }
        for (key, is_there) in [("empty", self.empty.is_some()), ("null", self.null.is_some())] {
            if is_there && self.preset == Preset::Proca {
                return Err(ConfigError::new(key, "has no meaning for preset = \"proca\"")
                    .hint("remove it: Proca sends complete forms and clears no fields"));
            }
        }
        match (self.preset, &self.proca) {
            (Preset::Proca, None) => Err(ConfigError::new("proca", "preset = \"proca\" needs this table")
                .hint("proca = { own_orgs = [12], consent = \"single\" }")),
            (Preset::Proca, Some(proca)) if proca.own_orgs.is_empty() => Err(ConfigError::new(
                "proca.own_orgs",
                "the ids of your own organisations are missing",
            )),
            _ => Ok(()),
        }
    }

    /// The configured notation of the source, for messages that do not declare it.
    pub(super) fn spelling(&self) -> Result<Spelling, ConfigError> {
        if self.preset == Preset::Proca {
            for (key, is_there) in [
                ("charset", self.charset.is_some()),
                ("params", !self.params.is_empty()),
            ] {
                if is_there {
                    return Err(ConfigError::new(
                        key,
                        "has no meaning for preset = \"proca\", whose messages are JSON with fixed names",
                    ));
                }
            }
        }
        let charset = self.charset.as_deref().map(|label| {
            Charset::named(label).ok_or_else(|| {
                ConfigError::new("charset", format!("unknown charset {label:?}"))
                    .hint("use a name such as windows-1252, ISO-8859-2 or Shift_JIS; UTF-8 needs none")
            })
        });
        let params = Params::new(&self.params).map_err(|(param, fault)| {
            ConfigError::new(&format!("params.{param}"), format!("the name {fault}"))
                .hint("params = { param1 = \"email\", param2 = \"firstName\", param3 = \"contact[phone]\" }")
        })?;
        Ok(Spelling {
            charset: charset.transpose()?,
            params,
        })
    }

    /// The rules' values of the source called `name`.
    pub fn ours(&self, name: &str) -> Ours {
        let orgs = self.proca.iter().flat_map(|proca| &proca.own_orgs);
        Ours {
            namespace: self.namespace(name),
            own_orgs: orgs.map(ToString::to_string).collect(),
            queue_org: None,
            purposes: (self.proca.as_ref())
                .map(|proca| purposes(&proca.purpose, &proca.consent_from))
                .unwrap_or_default(),
        }
    }

    /// The decoder of the source called `context.name`. It reads the key files, so it must be built again when they change.
    pub fn decoder(&self, context: &Context) -> Result<Arc<dyn Decode>, ConfigError> {
        self.check_reading()?;
        let namespace = self.namespace(&context.name);
        let limits = self.limits.for_decoder();
        let placeholders = Placeholders::new(&self.placeholder_ids, self.empty_values.as_deref())
            .with_emptied(
                self.empty.unwrap_or(Emptied::Keep),
                self.null.unwrap_or(Emptied::Clear),
            );
        let spelling = self.spelling()?;
        Ok(match (self.preset, &self.proca) {
            (Preset::Proca, Some(proca)) => {
                decoder_of_proca(proca, self.ours(&context.name), placeholders, &context.dir)?
            }
            (Preset::Generic | Preset::Proca, _) => {
                let keys = self.generic.clone().unwrap_or_default();
                Arc::new(GenericDecoder {
                    namespace,
                    time_zone: zone("generic.time_zone", keys.time_zone.as_deref())?,
                    consent: keys.consent.into(),
                    consent_from: consent_rules("generic.consent_from", &keys.consent_from)?,
                    paths: Paths {
                        each: keys.each,
                        email: keys.email,
                        id: keys.id,
                        fields: keys.fields,
                        time: keys.time,
                    },
                    time_format: at_format("generic.time_format", keys.time_format.as_deref())?,
                    placeholders,
                    limits,
                    spelling,
                })
            }
            (Preset::SyncToThirdParty, _) => {
                let keys = self.sync.clone().unwrap_or_default();
                Arc::new(SyncDecoder {
                    namespace,
                    each: keys.each,
                    time_zone: zone("sync.time_zone", keys.time_zone.as_deref())?,
                    consent: keys.consent.into(),
                    consent_from: consent_rules("sync.consent_from", &keys.consent_from)?,
                    placeholders,
                    limits,
                    spelling,
                })
            }
        })
    }

    /// The namespace of ids: for Proca `proca`, whatever the source; for a platform the source's name.
    fn namespace(&self, name: &str) -> Name {
        let default = match self.preset {
            Preset::Proca => "proca",
            Preset::SyncToThirdParty | Preset::Generic => name,
        };
        self.namespace.as_deref().unwrap_or(default).into()
    }
}

fn bad_path(key: &str, path: &str, fault: &str) -> ConfigError {
    ConfigError::new(key, format!("the path {path:?} {fault}"))
        .hint("dotted, with [n] for items and quotes around names that have dots: '\"a.b\"[0].email'")
}

fn decoder_of_proca(
    proca: &Proca,
    ours: Ours,
    placeholders: Placeholders,
    dir: &Path,
) -> Result<Arc<dyn Decode>, ConfigError> {
    let reading = Reading {
        namespace: &ours.namespace,
        own_orgs: ours.own_orgs,
        keystore: &proca.keystore,
        consent: proca.consent,
        testing: proca.testing,
        purpose: &proca.purpose,
        consent_from: &proca.consent_from,
        placeholders,
    };
    reading.decoder(dir).map_err(|error| ConfigError {
        key: format!("proca.{}", error.key),
        ..error
    })
}

fn zone(key: &str, name: Option<&str>) -> Result<TimeZone, ConfigError> {
    let Some(name) = name else {
        return Ok(TimeZone::UTC);
    };
    TimeZone::get(name).map_err(|_| {
        ConfigError::new(key, format!("unknown time zone `{name}`"))
            .hint("use a name from the system's tzdata, such as Europe/Berlin")
    })
}

impl From<Arrival> for ArrivalConsent {
    fn from(arrival: Arrival) -> Self {
        match arrival {
            Arrival::None => Self::None,
            Arrival::OptIn => Self::OptIn,
        }
    }
}

impl Limits {
    pub(super) fn for_decoder(&self) -> body::Limits {
        body::Limits {
            body_bytes: self.body_kb as usize * 1024,
            pairs: self.pairs as usize,
            depth: self.depth as usize,
        }
    }
}
