//! Which database to use, from its URL. No error holds any part of the URL, because it contains a password.
//!
//! Databases are usually private, on the same machine or network. So no range of addresses is forbidden,
//! other than for HTTP.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use causeway_core::secret::Secret;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::statement::Dialect;
use crate::config::ConfigError;

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Tls {
    /// Never.
    Off,
    /// If the server offers it; its certificate is not checked. This is what `psql` and `mysql` do.
    Prefer,
    /// Always; the certificate is not checked.
    Require,
    /// Always, with a valid certificate for the host's name.
    Verify,
}

pub(super) enum Target {
    Postgres {
        config: Box<tokio_postgres::Config>,
        tls: MakeRustlsConnect,
    },
    Mysql {
        opts: mysql_async::Opts,
        /// Whether to try again without TLS on a server that has none.
        may_be_plain: bool,
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

    /// Reads no file but `ca_file`. Relative paths start at `dir`.
    pub(super) fn parse(
        url: &str,
        password: Option<Secret>,
        tls: Option<Tls>,
        ca_file: Option<&Path>,
        dir: &Path,
    ) -> Result<Self, ConfigError> {
        let scheme = url.split(':').next().unwrap_or_default();
        let (url, from_url) = without_ssl_mode(url)?;
        let tls = tls.or(from_url).unwrap_or(Tls::Prefer);
        let ca_file = ca_file.map(|path| dir.join(path));
        match scheme {
            "postgres" | "postgresql" => postgres(&url, password, tls, ca_file),
            "mysql" | "mariadb" => mysql(&url, password, tls, ca_file),
            "sqlite" => {
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
}

fn postgres(
    url: &str,
    password: Option<Secret>,
    tls: Tls,
    ca_file: Option<PathBuf>,
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
    config.ssl_mode(match tls {
        Tls::Off => SslMode::Disable,
        Tls::Prefer => SslMode::Prefer,
        Tls::Require | Tls::Verify => SslMode::Require,
    });
    let tls = match (tls, ca_file) {
        (Tls::Verify, None) => {
            use_ring();
            MakeRustlsConnect::with_webpki_roots()
        }
        (Tls::Verify, Some(path)) => {
            let bad = |message: String| ConfigError::new("ca_file", message);
            let mut roots = RootCertStore::empty();
            let certificates = CertificateDer::pem_file_iter(&path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| bad(format!("reading {}: {error}", path.display())))?;
            let (added, _) = roots.add_parsable_certificates(certificates);
            if added == 0 {
                return Err(bad(format!("{} contains no certificate (PEM)", path.display())));
            }
            MakeRustlsConnect::new(client()?.with_root_certificates(roots).with_no_client_auth())
        }
        (Tls::Off | Tls::Prefer | Tls::Require, _) => {
            let any = Arc::new(AnyCertificate(rustls::crypto::ring::default_provider()));
            let config = client()?
                .dangerous()
                .with_custom_certificate_verifier(any)
                .with_no_client_auth();
            MakeRustlsConnect::new(config)
        }
    };
    Ok(Target::Postgres {
        config: Box::new(config),
        tls,
    })
}

fn mysql(
    url: &str,
    password: Option<Secret>,
    tls: Tls,
    ca_file: Option<PathBuf>,
) -> Result<Target, ConfigError> {
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
    use_ring();
    let ssl = match tls {
        Tls::Off => None,
        Tls::Prefer | Tls::Require => Some(
            mysql_async::SslOpts::default()
                .with_danger_accept_invalid_certs(true)
                .with_danger_skip_domain_validation(true),
        ),
        Tls::Verify => {
            let own = ca_file.is_some();
            let roots = ca_file.into_iter().map(Into::into).collect();
            Some(
                mysql_async::SslOpts::default()
                    .with_disable_built_in_roots(own)
                    .with_root_certs(roots),
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
        may_be_plain: tls == Tls::Prefer,
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

fn unsupported(name: &str) -> ConfigError {
    ConfigError::new("url", format!("unsupported parameter {name:?} in the URL"))
        .hint("remove it; a connection pooler needs no setting here")
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

fn client() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, ConfigError> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ConfigError::new("tls", error.to_string()))
}

/// For the drivers that use the process's default provider. It fails if there is one already, which is fine.
fn use_ring() {
    if CryptoProvider::get_default().is_none() {
        rustls::crypto::ring::default_provider().install_default().ok();
    }
}

/// For `prefer` and `require`: it protects from eavesdroppers, but not from an impostor of the server.
#[derive(Debug)]
struct AnyCertificate(CryptoProvider);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
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
            ("postgres://u:hun?ter2=@h:port/d", None),
        ] {
            let error = Target::parse(url, None, None, None, Path::new("")).unwrap_err();
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
            let error = Target::parse(url, None, None, None, Path::new("")).unwrap_err();
            assert_eq!(error.key, "url");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
