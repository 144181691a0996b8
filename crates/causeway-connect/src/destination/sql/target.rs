//! Which database to use, from its URL. No error holds any part of the URL, because it contains a password.
//!
//! Databases are usually private, on the same machine or network. So no range of addresses is forbidden,
//! other than for HTTP.

use std::path::{Path, PathBuf};

use causeway_core::secret::Secret;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    statement::Dialect,
    tls::{self, Protection, Tls, Wanted},
};
use crate::config::ConfigError;

pub(super) enum Target {
    Postgres {
        config: Box<tokio_postgres::Config>,
        tls: MakeRustlsConnect,
        protection: Protection,
    },
    Mysql {
        opts: mysql_async::Opts,
        protection: Protection,
    },
    Sqlite {
        path: PathBuf,
    },
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.dialect().name())
    }
}

impl Target {
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres { .. } => Dialect::Postgres,
            Self::Mysql { .. } => Dialect::Mysql,
            Self::Sqlite { .. } => Dialect::Sqlite,
        }
    }

    /// Where the database is, without its credentials: `postgres://db.example.org:5432/people`.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Postgres { config, .. } => {
                let host = config.get_hosts().first().map(|host| match host {
                    Host::Tcp(name) => name.clone(),
                    #[cfg(unix)]
                    Host::Unix(path) => path.display().to_string(),
                });
                let host = host.or_else(|| config.get_hostaddrs().first().map(ToString::to_string));
                let port = config.get_ports().first().copied().unwrap_or(5_432);
                let database = config.get_dbname().unwrap_or_default();
                format!("postgres://{}:{port}/{database}", host.unwrap_or_default())
            }
            Self::Mysql { opts, .. } => format!(
                "mysql://{}:{}/{}",
                opts.ip_or_hostname(),
                opts.tcp_port(),
                opts.db_name().unwrap_or_default()
            ),
            Self::Sqlite { path } => format!("sqlite:{}", path.display()),
        }
    }

    /// Reads no file but certificates. Relative paths start at `dir`.
    pub(super) fn parse(
        url: &str,
        password: Option<Secret>,
        mut wanted: Wanted<'_>,
        dir: &Path,
    ) -> Result<Self, ConfigError> {
        let scheme = url.split(':').next().unwrap_or_default();
        let (url, mode) = without_ssl_mode(url)?;
        wanted.url = mode;
        match scheme {
            "postgres" | "postgresql" => postgres(&url, password, wanted, dir),
            "mysql" | "mariadb" => mysql(&url, password, wanted, dir),
            "sqlite" => {
                for (key, is_set) in [
                    ("tls", wanted.key.is_some()),
                    ("ca_file", wanted.ca_file.is_some()),
                ] {
                    if is_set {
                        return Err(
                            ConfigError::new(key, "a SQLite file has no connection to protect")
                                .hint("remove it"),
                        );
                    }
                }
                let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
                if path.is_empty() || path.starts_with(':') {
                    let message = "a database in memory is gone as soon as it is closed";
                    return Err(ConfigError::new("url", message).hint("url = \"sqlite:people.db\""));
                }
                Ok(Self::Sqlite { path: dir.join(path) })
            }
            _ => Err(ConfigError::new("url", "unsupported database URL")
                .hint("postgres://…, mysql://… or sqlite:PATH")),
        }
    }

    /// What `doctor` reports about the protection of the connection.
    pub(super) fn remark(&self) -> Option<String> {
        match self {
            Self::Postgres { protection, .. } | Self::Mysql { protection, .. } => protection.remark.clone(),
            Self::Sqlite { .. } => None,
        }
    }
}

fn postgres(
    url: &str,
    password: Option<Secret>,
    wanted: Wanted<'_>,
    dir: &Path,
) -> Result<Target, ConfigError> {
    let mut config: tokio_postgres::Config = url.parse().map_err(|_| {
        unknown_parameter(url).unwrap_or_else(|| unreadable("postgres://USER:PASSWORD@HOST:PORT/DATABASE"))
    })?;
    if let Some(password) = password {
        config.password(password.reveal());
    }
    if config.get_application_name().is_none() {
        config.application_name("causeway");
    }
    config.keepalives_idle(std::time::Duration::from_mins(1));
    // An address is connected to instead of the name.
    let addresses: Vec<String> = config.get_hostaddrs().iter().map(ToString::to_string).collect();
    let names = config.get_hosts().iter().filter_map(|host| match host {
        Host::Tcp(name) => Some(name.as_str()),
        #[cfg(unix)]
        Host::Unix(_) => None,
    });
    let protection = if addresses.is_empty() {
        wanted.choose(names, dir)?
    } else {
        wanted.choose(addresses.iter().map(String::as_str), dir)?
    };
    config.ssl_mode(match protection.tls {
        Tls::Off => SslMode::Disable,
        Tls::Prefer => SslMode::Prefer,
        Tls::Require | Tls::Verify => SslMode::Require,
    });
    Ok(Target::Postgres {
        config: Box::new(config),
        tls: MakeRustlsConnect::new(tls::client(&protection)?),
        protection,
    })
}

fn mysql(url: &str, password: Option<Secret>, wanted: Wanted<'_>, dir: &Path) -> Result<Target, ConfigError> {
    // The driver knows only one name of the scheme.
    let url = url
        .strip_prefix("mariadb:")
        .map_or_else(|| url.to_owned(), |rest| format!("mysql:{rest}"));
    let opts = mysql_async::Opts::from_url(&url).map_err(|error| match error {
        mysql_async::UrlError::UnknownParameter { param } => unsupported(&param),
        _ => unreadable("mysql://USER:PASSWORD@HOST:PORT/DATABASE"),
    })?;
    if opts.db_name().is_none() {
        return Err(ConfigError::new("url", "the URL names no database")
            .hint("mysql://USER:PASSWORD@HOST:PORT/DATABASE"));
    }
    // Parsed by the driver, whose words for it would be overwritten below.
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mut names = query.split('&').filter_map(|pair| pair.split('=').next());
    if let Some(name) = names.find(|name| DRIVER_TLS.contains(name)) {
        return Err(unsupported(name));
    }
    let host = opts.socket().is_none().then(|| opts.ip_or_hostname().to_owned());
    let protection = wanted.choose(host.iter().map(String::as_str), dir)?;
    tls::use_ring();
    let ssl = match protection.tls {
        Tls::Off => None,
        Tls::Prefer | Tls::Require => Some(
            mysql_async::SslOpts::default()
                .with_danger_accept_invalid_certs(true)
                .with_danger_skip_domain_validation(true),
        ),
        Tls::Verify => {
            let roots = tls::trusted(&protection)?;
            let has_roots = !roots.is_empty();
            let roots = roots.into_iter().map(|root| root.as_ref().to_vec().into());
            // The driver has Mozilla's list built in.
            Some(
                mysql_async::SslOpts::default()
                    .with_disable_built_in_roots(has_roots)
                    .with_root_certs(roots.collect()),
            )
        }
    };
    let mut builder = mysql_async::OptsBuilder::from_opts(opts)
        .ssl_opts(ssl)
        .prefer_socket(false)
        .tcp_nodelay(true)
        // Counts the rows that an update found, whether or not it changed them.
        .client_found_rows(true)
        // Dates are sent as UTC. A value that does not fit is rejected; without the strict mode it would be
        // changed silently.
        .setup(vec![
            "SET SESSION time_zone = '+00:00'",
            "SET SESSION sql_mode = CONCAT(@@SESSION.sql_mode, ',STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE')",
            // Upserts of other rows do not wait for each other's gaps.
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        ]);
    if let Some(password) = password {
        builder = builder.pass(Some(password.reveal()));
    }
    Ok(Target::Mysql {
        opts: builder.into(),
        protection,
    })
}

fn unreadable(form: &str) -> ConfigError {
    ConfigError::new("url", "the URL is invalid").hint(format!(
        "{form}; in user and password, percent-encode everything but letters and digits"
    ))
}

/// The parameters that the PostgreSQL driver accepts after the `?`, besides `sslmode`.
const POSTGRES_PARAMETERS: [&str; 18] = [
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "sslnegotiation",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
];

/// Names the parameter that the driver does not know: hosting providers give out URLs with parameters of
/// other programs.
fn unknown_parameter(url: &str) -> Option<ConfigError> {
    let (base, query) = url.split_once('?')?;
    // Otherwise it could be the end of a password with a question mark in it.
    let is_whole = base.contains('@') && !query.contains('@');
    let mut names = query.split('&').filter_map(|pair| pair.split('=').next());
    let name = names.find(|name| !POSTGRES_PARAMETERS.contains(name));
    name.filter(|_| is_whole).map(unsupported)
}

/// The MySQL driver's parameters for what `tls` and `ca_file` say.
const DRIVER_TLS: [&str; 4] = ["require_ssl", "verify_ca", "verify_identity", "built_in_roots"];

fn unsupported(name: &str) -> ConfigError {
    let hint = if name.starts_with("ssl") || DRIVER_TLS.contains(&name) {
        "remove it; `tls` and `ca_file` say how the connection is protected"
    } else {
        "remove it; a connection pooler needs no setting here"
    };
    ConfigError::new("url", format!("unsupported parameter {name:?} in the URL")).hint(hint)
}

/// Removes `sslmode=` (or `ssl-mode=`) from the URL: hosting providers use values that the drivers do not
/// know.
fn without_ssl_mode(url: &str) -> Result<(String, Option<Tls>), ConfigError> {
    let Some((base, query)) = url.split_once('?') else {
        return Ok((url.to_owned(), None));
    };
    let mut tls = None;
    let mut rest = Vec::new();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslmode" | "ssl-mode" | "ssl_mode", mode)) => {
                tls = Some(match mode.to_ascii_lowercase().as_str() {
                    "disable" | "disabled" => Tls::Off,
                    "allow" | "prefer" | "preferred" => Tls::Prefer,
                    "require" | "required" => Tls::Require,
                    "verify-ca" | "verify_ca" | "verify-full" | "verify_identity" => Tls::Verify,
                    _ => {
                        return Err(ConfigError::new("url", "unknown sslmode in the URL")
                            .hint("disable, prefer, require or verify-full"));
                    }
                });
            }
            _ => rest.push(pair),
        }
    }
    let url = match rest.join("&") {
        query if query.is_empty() => base.to_owned(),
        query => format!("{base}?{query}"),
    };
    Ok((url, tls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ssl_mode_of_a_url_is_understood_and_taken_out() {
        for (url, rest, tls) in [
            (
                "postgres://h/d?sslmode=require",
                "postgres://h/d",
                Some(Tls::Require),
            ),
            (
                "mysql://h/d?ssl-mode=REQUIRED&a=b",
                "mysql://h/d?a=b",
                Some(Tls::Require),
            ),
            (
                "postgres://h/d?a=b&sslmode=verify-full",
                "postgres://h/d?a=b",
                Some(Tls::Verify),
            ),
            ("postgres://h/d", "postgres://h/d", None),
        ] {
            assert_eq!(without_ssl_mode(url).unwrap(), (rest.to_owned(), tls));
        }
        assert!(without_ssl_mode("postgres://h/d?sslmode=perhaps").is_err());
    }

    #[test]
    fn a_parameter_that_is_not_known_is_named_and_a_password_is_not() {
        for (url, name) in [
            (
                "postgres://u:p@h/d?application_name=x&pgbouncer=true",
                Some("pgbouncer"),
            ),
            ("mysql://u:p@h/d?connection_limit=5", Some("connection_limit")),
            ("mysql://u:p@h/d?require_ssl=true", Some("require_ssl")),
            ("postgres://u:p@h/d?sslrootcert=ca.pem", Some("sslrootcert")),
            ("postgres://u:hun?ter2=@h:port/d", None),
        ] {
            let error = Target::parse(url, None, Wanted::default(), Path::new("")).unwrap_err();
            let error = error.to_string();
            assert_eq!(error.contains("unsupported parameter"), name.is_some(), "{error}");
            assert!(
                error.contains(name.unwrap_or("url")) && !error.contains("ter2"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_url_that_cannot_be_read_is_not_repeated_in_the_error() {
        for url in [
            "postgres://robin:hunter2@h:notaport/d",
            "mysql://robin:hunter2@h:notaport/d",
            "mysql://robin:hunter2@h",
            "hunter2",
            "sqlite:",
            "sqlite::memory:",
        ] {
            let error = Target::parse(url, None, Wanted::default(), Path::new("")).unwrap_err();
            assert_eq!(error.key, "url");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
