//! How a destination is reached: its own authority of certificates, a client certificate, a proxy.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use causeway_core::secret::Secret;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::config::{ConfigError, SecretRef};

/// The certificate by which the receiver recognises the hub.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "{ certificate = \"client.pem\", key = { file = \"client.key\" } }"
)]
pub struct ClientCertificate {
    /// A PEM file with the certificate, and those between it and the authority.
    pub certificate: PathBuf,
    /// Its private key as PEM.
    pub key: SecretRef,
}

/// The keys of the configuration.
#[derive(Clone, Copy, Default)]
pub struct NetworkKeys<'a> {
    pub ca_file: Option<&'a Path>,
    pub client_certificate: Option<&'a ClientCertificate>,
    pub proxy: Option<&'a SecretRef>,
}

/// They are read, and the files, too.
#[derive(Clone, Default)]
pub struct Network {
    /// The TLS settings; `None` for those of all clients.
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) proxy: Option<Proxy>,
}

#[derive(Clone)]
pub(super) struct Proxy {
    pub url: Secret,
    pub host: String,
    pub port: u16,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("own_tls", &self.tls.is_some())
            .field("proxy", &self.proxy.as_ref().map(|proxy| &proxy.host))
            .finish()
    }
}

impl NetworkKeys<'_> {
    /// Checks what can be checked without the files and secrets.
    pub fn check(&self) -> Result<(), ConfigError> {
        match self.proxy {
            Some(SecretRef::Text(text)) => proxy(text).map(drop),
            _ => Ok(()),
        }
    }

    pub fn read(&self, dir: &Path) -> Result<Network, ConfigError> {
        let proxy = match self.proxy {
            Some(secret) => Some(proxy(secret.resolve("proxy", dir)?.reveal())?),
            None => None,
        };
        let is_usual = self.ca_file.is_none() && self.client_certificate.is_none();
        Ok(Network {
            tls: if is_usual { None } else { Some(self.tls(dir)?) },
            proxy,
        })
    }

    fn tls(&self, dir: &Path) -> Result<Arc<ClientConfig>, ConfigError> {
        let roots = match self.ca_file {
            Some(file) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates("ca_file", &dir.join(file))? {
                    roots
                        .add(certificate)
                        .map_err(|error| ConfigError::new("ca_file", error.to_string()))?;
                }
                roots
            }
            None => super::tls::roots(),
        };
        let setting_up =
            |error: rustls::Error| ConfigError::new("ca_file", format!("setting up TLS: {error}"));
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(setting_up)?
            .with_root_certificates(roots);
        let Some(own) = self.client_certificate else {
            return Ok(Arc::new(builder.with_no_client_auth()));
        };
        let chain = certificates("client_certificate.certificate", &dir.join(&own.certificate))?;
        let key = own.key.resolve("client_certificate.key", dir)?;
        let key = PrivateKeyDer::from_pem_slice(key.reveal().as_bytes())
            .map_err(|_| ConfigError::new("client_certificate.key", "is not a private key in PEM"))?;
        let config = builder.with_client_auth_cert(chain, key).map_err(|error| {
            ConfigError::new(
                "client_certificate",
                format!("certificate and key do not fit: {error}"),
            )
        })?;
        Ok(Arc::new(config))
    }
}

fn certificates(key: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let text = std::fs::read(file).map_err(|error| ConfigError::unreadable(key, file, &error))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(ConfigError::new(
            key,
            format!("{} has no certificate in PEM", file.display()),
        )),
    }
}

/// The error does not hold the text, because it may have a password.
fn proxy(text: &str) -> Result<Proxy, ConfigError> {
    let url =
        Url::parse(text.trim()).map_err(|error| ConfigError::new("proxy", format!("not a URL: {error}")))?;
    let port = match url.scheme() {
        "http" => 80,
        "https" => 443,
        "socks5h" => 1080,
        "socks5" => {
            return Err(ConfigError::new("proxy", "socks5: would resolve names twice").hint("use socks5h://"));
        }
        other => {
            return Err(
                ConfigError::new("proxy", format!("{other}: is no proxy that is supported"))
                    .hint("http://, https:// or socks5h://"),
            );
        }
    };
    let host = url
        .host_str()
        .filter(|host| !host.is_empty())
        .ok_or_else(|| ConfigError::new("proxy", "names no host"))?;
    Ok(Proxy {
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        port: url.port().unwrap_or(port),
        url: Secret::new(text.trim()),
    })
}
