//! The only HTTP client. Destinations make an [`HttpRequest`] (which can be shown without a client), and
//! [`Client::send`] sends it. The result is an [`Answer`] or a [`SendError`]; both become an `AttemptResult`.
//!
//! It connects only where [`egress`] allows, follows no redirects, uses no proxy from the environment (only one
//! of the configuration), and reads at most [`Options::answer_bytes`] of a response.

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use causeway_core::destination::{AttemptResult, CheckError};
use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
    redirect,
};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use url::Url;

use crate::config::ConfigError;

pub mod answer;
pub mod egress;
pub mod error;
mod network;
pub(crate) mod tls;

pub use answer::{Answer, classify, retry_after};
pub use error::SendError;
pub use network::{ClientCertificate, Network, NetworkKeys};

use egress::{Guard, ResolveError};

/// What a destination may decide about its connections.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub allow_private: bool,
    pub connect_timeout: Duration,
    /// Maximum bytes of a response that are read.
    pub answer_bytes: usize,
    /// A body of which nothing comes for this time is given up.
    pub stalled: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            allow_private: false,
            connect_timeout: Duration::from_secs(10),
            answer_bytes: Answer::BODY_BYTES,
            stalled: Duration::from_secs(5),
        }
    }
}

/// Sends requests. One per destination, so that a slow API never uses up the connections of another.
#[derive(Debug, Clone)]
pub struct Client {
    inner: reqwest::Client,
    options: Options,
    network: Network,
    /// It was reached before, so an address that is suddenly forbidden is a mistake of the resolver.
    was_reached: Arc<AtomicBool>,
}

impl Client {
    /// Opens no connection. Fails only if TLS cannot be set up at all.
    pub fn new(options: Options) -> Result<Self, ConfigError> {
        Self::with_network(options, Network::default())
    }

    /// A client with a way of its own.
    pub fn with_network(options: Options, network: Network) -> Result<Self, ConfigError> {
        let guard = Guard {
            allow_private: options.allow_private,
        };
        let tls = match &network.tls {
            Some(tls) => Arc::clone(tls),
            None => {
                tls::config().map_err(|error| ConfigError::new("", format!("setting up TLS: {error}")))?
            }
        };
        let proxy_host = network.proxy.as_ref().map(|proxy| proxy.host.clone());
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(rustls::ClientConfig::clone(&tls))
            .dns_resolver(guard.into_resolver(proxy_host))
            .redirect(redirect::Policy::none());
        let builder = match &network.proxy {
            None => builder.no_proxy(),
            Some(proxy) => {
                let proxy = reqwest::Proxy::all(proxy.url.reveal());
                builder.proxy(proxy.map_err(|_| ConfigError::new("proxy", "is not a usable URL"))?)
            }
        };
        let inner = builder
            .referer(false)
            // The hub's own schedule decides about retries, and knows which are safe.
            .retry(reqwest::retry::never())
            .connect_timeout(options.connect_timeout)
            // Every connection that a burst has opened stays for the next one. It is closed before the
            // receiver closes it, since many servers do that after 60 s or more, and a request sent at that
            // moment is lost.
            .pool_max_idle_per_host(1_024)
            .pool_idle_timeout(Duration::from_secs(30))
            .tcp_keepalive(Duration::from_secs(30))
            .user_agent(concat!("Causeway/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ConfigError::new("", format!("setting up the HTTP client: {error}")))?;
        Ok(Self {
            inner,
            options,
            network,
            was_reached: Arc::default(),
        })
    }

    /// Sends the request and reads the response. Safe to drop at any time: the connection is then closed and
    /// not used again. It has no time limit except for connecting.
    pub async fn send(&self, request: &HttpRequest) -> Result<Answer, SendError> {
        let host = request.host();
        let guard = Guard {
            allow_private: self.options.allow_private,
        };
        guard.check_literal(&request.url)?;
        if self.network.proxy.is_some() {
            self.check_behind_proxy(guard, &request.url).await?;
        }
        let response = self
            .inner
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone())
            .body(request.body.clone())
            .send()
            .await
            .map_err(|error| SendError::from_reqwest(host, self.options.connect_timeout, &error))
            .map_err(|error| match error {
                SendError::Forbidden(reason) if self.was_reached.load(Ordering::Relaxed) => {
                    SendError::Unreachable(format!("{reason} (it was elsewhere before)"))
                }
                error => error,
            })?;
        self.was_reached.store(true, Ordering::Relaxed);
        Ok(Answer::read(response, self.options).await)
    }

    /// The proxy resolves the name, so the guard looks at it here. A name that only the proxy knows may pass: which
    /// names that are is up to whoever runs the proxy.
    async fn check_behind_proxy(&self, guard: Guard, url: &Url) -> Result<(), SendError> {
        let Some(url::Host::Domain(name)) = url.host() else {
            return Ok(());
        };
        match guard
            .resolve(name, url.port_or_known_default().unwrap_or(443))
            .await
        {
            Err(ResolveError::Forbidden(forbidden)) => Err(forbidden.into()),
            Ok(_) | Err(ResolveError::Unresolved(_)) => Ok(()),
        }
    }

    /// Connects to the host of `url`, with TLS for https, and sends nothing: many endpoints would count even
    /// a HEAD.
    pub async fn check(&self, url: &Url) -> Result<(), CheckError> {
        let limit = self.options.connect_timeout;
        let host = url.host_str().unwrap_or_default();
        match tokio::time::timeout(limit, self.connect_once(host, url)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(CheckError::Unavailable(error::slow_connect(host, limit))),
        }
    }

    async fn connect_once(&self, host: &str, url: &Url) -> Result<(), SendError> {
        let guard = Guard {
            allow_private: self.options.allow_private,
        };
        guard.check_literal(url)?;
        if let Some(proxy) = &self.network.proxy {
            self.check_behind_proxy(guard, url).await?;
            return TcpStream::connect((proxy.host.as_str(), proxy.port))
                .await
                .map(drop)
                .map_err(|error| SendError::from_io(&format!("the proxy {}", proxy.host), &error));
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let addresses = guard
            .resolve(bare, url.port_or_known_default().unwrap_or(443))
            .await?;
        let stream = TcpStream::connect(addresses.as_slice())
            .await
            .map_err(|error| SendError::from_io(host, &error))?;
        if url.scheme() == "https" {
            let broken =
                |error: &dyn std::fmt::Display| SendError::Unreachable(format!("TLS with {host}: {error}"));
            let tls = match &self.network.tls {
                Some(tls) => Arc::clone(tls),
                None => tls::config().map_err(|error| broken(&error))?,
            };
            let name = ServerName::try_from(bare.to_owned()).map_err(|error| broken(&error))?;
            tokio_rustls::TlsConnector::from(tls)
                .connect(name, stream)
                .await
                .map_err(|error| SendError::from_io(host, &error))?;
        }
        Ok(())
    }
}

/// A request as it will be sent or shown. Secret header values are marked as sensitive.
#[derive(Clone)]
pub struct HttpRequest {
    pub method: Method,
    pub url: Url,
    /// The path and query hold a secret (a "private" hook URL), so only the host is shown.
    pub url_is_secret: bool,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl HttpRequest {
    /// The host, for reasons and logs. (Paths and queries may hold secrets and personal data.)
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// The whole request for a person, with `***` for every secret.
    pub fn preview(&self) -> String {
        let mut out = format!("{} ", self.method);
        if self.url_is_secret {
            out.push_str(&self.url.origin().ascii_serialization());
            out.push_str("/***");
        } else {
            out.push_str(self.url.as_str());
        }
        for (name, value) in &self.headers {
            let value = if value.is_sensitive() {
                "***".into()
            } else {
                String::from_utf8_lossy(value.as_bytes())
            };
            // Writing into a String cannot fail.
            write!(out, "\n{name}: {value}").ok();
        }
        if !self.body.is_empty() {
            out.push_str("\n\n");
            out.push_str(&String::from_utf8_lossy(&self.body));
        }
        out
    }

    /// [`Self::preview`] for [`causeway_core::destination::AttemptResult::request`].
    pub fn kept(&self) -> String {
        let mut text = self.preview();
        text.truncate(text.floor_char_boundary(AttemptResult::REQUEST_BYTES));
        text
    }
}

/// Reads a URL for a destination: `http` or `https`, with a host, without credentials, and not at a forbidden
/// address. `allow_private` implies `allow_http`. The error does not hold the text of the URL.
pub fn read_url(key: &str, text: &str, allow_private: bool, allow_http: bool) -> Result<Url, ConfigError> {
    let url =
        Url::parse(text.trim()).map_err(|error| ConfigError::new(key, format!("not a URL: {error}")))?;
    match url.scheme() {
        "https" => {}
        "http" if allow_private || allow_http => {}
        "http" => {
            let hint = if is_near(&url) {
                "set allow_private = true: the address is on this machine or in a private network"
            } else {
                "use https://, or set allow_http = true if you have no choice"
            };
            return Err(ConfigError::new(key, "http:// would send personal data unencrypted").hint(hint));
        }
        other => {
            return Err(ConfigError::new(
                key,
                format!("{other}: is neither https nor http"),
            ));
        }
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ConfigError::new(key, "holds a user name or password")
            .hint("put them into auth = { basic = { user = …, password = { env = … } } }"));
    }
    Guard { allow_private }
        .check_literal(&url)
        .map_err(|error| ConfigError::new(key, error.to_string()))?;
    Ok(url)
}

/// Whether the address needs `allow_private`, as far as its text shows.
fn is_near(url: &Url) -> bool {
    let may_be_at = |allow_private| Guard { allow_private }.check_literal(url).is_ok();
    url.host_str() == Some("localhost") || (may_be_at(true) && !may_be_at(false))
}

/// Checks a header of the configuration. Names and values that HTTP does not allow (such as a line break) are
/// rejected, and so are headers that the client must set itself.
pub fn read_header(
    key: &str,
    name: &str,
    value: &str,
    secret: bool,
) -> Result<(HeaderName, HeaderValue), ConfigError> {
    let header = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| ConfigError::new(key, format!("{name:?} is not a header name")))?;
    if matches!(
        header.as_str(),
        "host" | "content-length" | "transfer-encoding" | "connection" | "upgrade" | "te"
    ) {
        return Err(ConfigError::new(key, "this header is set by the client itself"));
    }
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| ConfigError::new(key, "a header value has to be printable ASCII on one line"))?;
    value.set_sensitive(secret);
    Ok((header, value))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;
