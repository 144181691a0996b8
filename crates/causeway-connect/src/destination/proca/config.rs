//! The keys of a Proca destination, read and checked.

use causeway_core::mapping::{Expression, MappingError, Path, Tables};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::{
    config::{ConfigError, read},
    http::{Options, read_url},
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// The address of the Proca server, as in the links of its mails.
    #[serde(default = "default_base_url")]
    base_url: String,
    /// If this condition is true, the action is accepted. Without it nothing is.
    accept: Option<String>,
    /// If this condition is true, the action is rejected, whatever `accept` says.
    reject: Option<String>,
    /// Where the code of the action's confirmation is.
    code: Option<String>,
    /// Rejects an action that has no code together with its supporter.
    #[serde(default)]
    reject_supporters: bool,
    /// Allows addresses in private networks, and http://.
    #[serde(default)]
    allow_private: bool,
}

fn default_base_url() -> String {
    "https://api.proca.app".to_owned()
}

pub(super) struct Settings {
    pub base: Url,
    pub accept: Option<Expression>,
    pub reject: Option<Expression>,
    pub code: Option<Expression>,
    pub reject_supporters: bool,
    pub options: Options,
}

impl Settings {
    pub fn parse(table: &toml::Table, tables: &Tables) -> Result<Self, ConfigError> {
        let config: Config = read(table)?;
        let mut base = read_url("base_url", &config.base_url, config.allow_private, false)?;
        let path = base.path().trim_end_matches('/').to_owned();
        if path.ends_with("/api") || path.ends_with("/link") {
            return Err(
                ConfigError::new("base_url", "ends with the path of the API or of the links")
                    .hint("write the address of the server alone, such as https://api.proca.app"),
            );
        }
        base.set_path(&path);
        base.set_query(None);
        base.set_fragment(None);
        Ok(Self {
            base,
            accept: expression("accept", config.accept.as_deref(), tables)?,
            reject: expression("reject", config.reject.as_deref(), tables)?,
            code: expression("code", config.code.as_deref(), tables)?,
            reject_supporters: config.reject_supporters,
            options: Options {
                allow_private: config.allow_private,
                ..Options::default()
            },
        })
    }

    fn expressions(&self) -> impl Iterator<Item = (&'static str, &Expression)> {
        let all = [
            ("accept", &self.accept),
            ("reject", &self.reject),
            ("code", &self.code),
        ];
        all.into_iter()
            .filter_map(|(key, expression)| Some((key, expression.as_ref()?)))
    }

    pub fn needs_history(&self) -> bool {
        self.expressions()
            .any(|(_, expression)| expression.names().iter().any(Path::needs_history))
    }

    /// Valid settings that are probably not intended.
    pub fn warnings(&self) -> Vec<String> {
        let doubts = self.expressions().flat_map(|(key, expression)| {
            let doubts = expression.names().iter().filter_map(Path::doubt);
            doubts.map(move |doubt| format!("`{key}`: {doubt}"))
        });
        let idle = (self.accept.is_none() && self.reject.is_none()).then(|| {
            "there is neither `accept` nor `reject`: every action goes on waiting at Proca".to_owned()
        });
        doubts.chain(idle).collect()
    }
}

/// A condition or a value over the names of mappings.
fn expression(key: &str, text: Option<&str>, tables: &Tables) -> Result<Option<Expression>, ConfigError> {
    let Some(text) = text else { return Ok(None) };
    let wrong = |error: MappingError| ConfigError::new(key, error.to_string());
    let expression = Expression::read(text, tables).map_err(wrong)?;
    for path in expression.names() {
        path.check(&[]).map_err(wrong)?;
    }
    Ok(Some(expression))
}
