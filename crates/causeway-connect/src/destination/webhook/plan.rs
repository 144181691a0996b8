//! The configuration of a web hook: which request a delivery needs, and what responses mean.

use std::{collections::BTreeMap, time::Duration};

use causeway_core::{
    consent::Change,
    delivery::Delivery,
    destination::Outcome,
    mapping::{ConsentShown, Tables, omission::Person},
    path::Path,
    response::Row,
    secret::Secret,
};
use jiff::tz::TimeZone;

use super::{answers::Meanings, config::Config, each::Each, find::Find, template::Template, update};
use crate::{
    config::{ConfigError, Context, SecretRef, read},
    connector::Limit,
    destination::{Effort, Needs},
    http,
    oauth::{self, Defaults},
};

/// The configuration, read and checked.
pub(super) struct Plan {
    pub options: http::Options,
    pub network: http::Network,
    /// Where access tokens come from.
    pub oauth: Option<oauth::Settings>,
    pub meanings: Meanings,
    /// Values of the response to write into the contact.
    pub update: Vec<Row>,
    pub zone: TimeZone,
    pub each: Option<Each>,
    pub find: Option<Find>,
    pub limit: Option<Limit>,
    /// The main request first, then the others.
    pub templates: Vec<Template>,
    on: BTreeMap<Change, usize>,
    found: Option<usize>,
    warnings: Vec<String>,
}

/// What `config check` reports about groups or an address in which an opt-out looks like an opt-in.
const SHOWS_NO_CONSENT: &str = "neither the groups of `sync` nor a shortcode shows the person's consent, so opt-outs are not sent \
                    there and you have to enter them by hand: add fields = { change = \"change\" }, [#CHANGE#], or \
                    [destination.NAME.on.unsubscribe]";

/// What `config check` reports about requests that name people by telephone number only.
const CHANGEABLE: &str = "the requests name people by their telephone numbers only. An opt-out after a change of number carries \
                          the new one, and the receiver keeps the old one: add `contact.email` or an id";

/// Why a withdrawal is not sent.
const CANNOT_EXPRESS: &str = "consent: the payload of this destination does not show consent, so you have to enter the \
                           opt-out by hand; add fields = { change = \"change\" }, [#CHANGE#], or `on.unsubscribe`";

/// Takes the key, the secret, and a text that stands for the secret if it must not be read.
pub(super) type Resolve<'a> = &'a dyn Fn(&str, &SecretRef, &str) -> Result<Secret, ConfigError>;

impl Plan {
    /// Like [`Plan::parse`], and reads the secrets.
    pub fn read(context: &Context, table: &toml::Table) -> Result<Self, ConfigError> {
        let config: Config = read(table)?;
        let network = config.network().read(&context.dir)?;
        let resolve = |key: &str, secret: &SecretRef, _: &str| secret.resolve(key, &context.dir);
        let plan = Self::new(&config, &context.tables, &resolve)?;
        let oauth = match &config.oauth {
            Some(oauth) => Some(oauth.settings(&Defaults::default(), context, config.allow_private)?),
            None => None,
        };
        Ok(Self {
            network,
            oauth,
            ..plan
        })
    }

    /// Checks everything but the secrets, without I/O.
    pub fn parse(table: &toml::Table, tables: &Tables) -> Result<Self, ConfigError> {
        Self::new(&read(table)?, tables, &|_, secret, placeholder| {
            Ok(match secret {
                SecretRef::Text(text) => Secret::new(text),
                SecretRef::From(_) => Secret::new(placeholder),
            })
        })
    }

    fn new(config: &Config, tables: &Tables, resolve: Resolve<'_>) -> Result<Self, ConfigError> {
        let mut warnings = Vec::new();
        let Requests { templates, on, found } = Requests::read(config, tables, resolve, &mut warnings)?;
        let find = Find::read(config, tables, resolve, &mut warnings)?;
        let update = update::rows(&config.update)?;
        let meanings = Meanings::read(config)?;
        let answer_bytes = if meanings.read_bodies() || config.each.is_some() || find.is_some() {
            causeway_core::response::MAX_BYTES
        } else {
            update::answer_bytes(&update)
        };
        config.network().check()?;
        if let Some(oauth) = &config.oauth {
            if config.auth.is_some() {
                return Err(ConfigError::new("oauth", "cannot be used with `auth`"));
            }
            oauth.check(&Defaults::default(), config.allow_private)?;
        }
        let plan = Self {
            options: http::Options {
                allow_private: config.allow_private,
                connect_timeout: Duration::from_secs(config.connect_timeout_s.max(1).into()),
                answer_bytes,
                ..http::Options::default()
            },
            network: http::Network::default(),
            oauth: None,
            meanings,
            each: config
                .each
                .as_ref()
                .map(|each| Each::read(each, config))
                .transpose()?,
            limit: config.limit.map(super::config::LimitConfig::limit).transpose()?,
            zone: config.zone()?,
            update,
            find,
            templates,
            on,
            found,
            warnings,
        };
        plan.check(config)?;
        Ok(plan)
    }

    /// Refuses combinations that cannot work.
    fn check(&self, config: &Config) -> Result<(), ConfigError> {
        if self.find.is_none() {
            let needs_id = |index: &usize| self.templates.get(*index).is_some_and(Template::needs_id);
            let names = [("url".to_owned(), 0)].into_iter().chain(
                self.on
                    .iter()
                    .map(|(change, at)| (format!("on.{}", change.as_str()), *at)),
            );
            for (key, index) in names {
                if needs_id(&index) {
                    return Err(ConfigError::new(&key, "has {id}, which only `find` can fill in")
                        .hint("add find = { url = …, id = … }, or use a shortcode such as [#EMAIL#]"));
                }
            }
        }
        if self.each.is_some() {
            if config.find.is_some() {
                return Err(ConfigError::new(
                    "each",
                    "cannot be used with `find`, which looks people up one by one",
                ));
            }
            if !config.update.is_empty() {
                return Err(ConfigError::new("each", "cannot be used with `update`"));
            }
            if !self.main().is_some_and(Template::takes_many) {
                return Err(ConfigError::new(
                    "each",
                    "needs an address and headers without shortcodes, and a request with a body",
                ));
            }
        }
        Ok(())
    }

    fn main(&self) -> Option<&Template> {
        self.templates.first()
    }

    /// What the rest of the program must know.
    pub fn needs(self) -> Needs {
        let Some(main) = self.main() else {
            return Needs::default();
        };
        let mut needs = main.needs();
        for template in &self.templates {
            let more = template.needs();
            needs.history |= more.history;
            for warning in more.warnings {
                if !needs.warnings.contains(&warning) {
                    needs.warnings.push(warning);
                }
            }
        }
        if !main.has_fields() {
            needs.shows_no_consent = SHOWS_NO_CONSENT;
        }
        let reads = main.reads();
        if main.reads_phone() && reads.person == Person::Data && reads.consent != ConsentShown::NOTHING {
            needs.warnings.push(CHANGEABLE.to_owned());
        }
        needs.consent_shown = self.consent_shown();
        needs.deletes_on_erasure = self.on.contains_key(&Change::Remove);
        if self.on.contains_key(&Change::Suppress) && needs.consent_shown == ConsentShown::NOTHING {
            needs.warnings.push(
                "`on.suppress` is not used, because nothing here expresses an opt-out: add `on.unsubscribe`"
                    .to_owned(),
            );
        }
        needs.effort = Some(Effort {
            requests: if self.find.is_some() { 2 } else { 1 },
            at_once: super::AT_ONCE,
            in_one_request: self.each.is_some(),
            limit: self.limit.map(|limit| (limit.calls, limit.per)),
        });
        needs.warnings.extend(self.warnings);
        needs
    }

    /// The purposes for which the requests differ between opt-out and opt-in.
    fn consent_shown(&self) -> ConsentShown {
        if self.on.contains_key(&Change::Unsubscribe) {
            return ConsentShown::All;
        }
        let shown = |index: usize| self.templates.get(index).map(|template| template.reads().consent);
        let main = shown(0).unwrap_or(ConsentShown::NOTHING);
        match self.found.and_then(shown) {
            None => main,
            Some(found) if found.covers(&main) => main,
            Some(found) if main.covers(&found) => found,
            Some(_) => ConsentShown::NOTHING,
        }
    }

    /// The number of the request for a change of consent. `is_found` says whether `find` found the person.
    pub fn choose(&self, change: Change, is_found: bool) -> usize {
        let instead: &[Change] = match change {
            Change::Suppress => &[Change::Suppress, Change::Unsubscribe],
            Change::Remove => &[Change::Remove, Change::Suppress, Change::Unsubscribe],
            Change::Subscribe => &[Change::Subscribe],
            Change::Unsubscribe => &[Change::Unsubscribe],
            Change::None => &[Change::None],
        };
        let own = instead.iter().find_map(|change| self.on.get(change)).copied();
        own.or(self.found.filter(|_| is_found)).unwrap_or(0)
    }

    /// The request for a delivery, or the delivery's outcome if it must not be sent.
    pub fn template(&self, delivery: &Delivery, is_found: bool) -> Result<(usize, &Template), Outcome> {
        let index = self.choose(delivery.record.change, is_found);
        let Some(template) = self.templates.get(index) else {
            return Err(Outcome::Reject {
                reason: "there is no request for this change".to_owned(),
            });
        };
        // Checked again here, because the content of a secret address is known only now.
        if delivery.record.is_withdrawal() && template.reads().consent == ConsentShown::NOTHING {
            return Err(Outcome::Skip {
                reason: CANNOT_EXPRESS.to_owned(),
            });
        }
        Ok((index, template))
    }
}

/// The requests of the configuration, except the look-up.
struct Requests {
    templates: Vec<Template>,
    on: BTreeMap<Change, usize>,
    found: Option<usize>,
}

impl Requests {
    fn read(
        config: &Config,
        tables: &Tables,
        resolve: Resolve<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let mut templates = vec![Template::read(config, tables, resolve, false, warnings)?];
        let mut add = |key: &str, config: &Config, withdraws: bool| -> Result<usize, ConfigError> {
            let mut doubts = Vec::new();
            let template = Template::read(config, tables, resolve, withdraws, &mut doubts);
            templates.push(template.map_err(|error| error.within(key))?);
            warnings.extend(doubts.into_iter().map(|doubt| format!("`{key}`: {doubt}")));
            Ok(templates.len() - 1)
        };
        let mut on = BTreeMap::new();
        for (change, variant) in config.on.all() {
            let key = format!("on.{}", change.as_str());
            let index = add(&key, &config.with(&key, variant)?, withdraws(change))?;
            on.insert(change, index);
        }
        let found = match &config.found {
            Some(_) if config.find.is_none() => {
                return Err(ConfigError::new("found", "needs `find`, which finds the person"));
            }
            Some(variant) => Some(add("found", &config.with("found", variant)?, false)?),
            None => None,
        };
        Ok(Self { templates, on, found })
    }
}

/// Whether a request for this change alone shows that the person must not be written to.
fn withdraws(change: Change) -> bool {
    match change {
        Change::Unsubscribe | Change::Suppress | Change::Remove => true,
        Change::Subscribe | Change::None => false,
    }
}

/// A path to at most one value of the response.
pub(super) fn to_one_value(key: &str, text: &str) -> Result<Path, ConfigError> {
    let hint = "write it like data.id or people[0].id";
    match Path::parse(text) {
        Ok(path) if path.is_for_every() => {
            Err(ConfigError::new(key, format!("{text:?} may lead to several values")).hint(hint))
        }
        Ok(path) => Ok(path),
        Err(error) => Err(ConfigError::new(key, format!("{text:?} {error}")).hint(hint)),
    }
}
