//! How the connection to a database is protected, and which certificates are trusted.
//!
//! Off loopback the server has to prove its name unless the configuration or the URL says otherwise, because the
//! first message to an impostor may be the password.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    config::ConfigError,
    http::{self, egress},
};

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

impl Tls {
    fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::Verify => "verify",
        }
    }
}

/// What the configuration says about it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted<'a> {
    /// The key `tls`.
    pub key: Option<Tls>,
    /// The `sslmode` of the URL.
    pub url: Option<Tls>,
    pub ca_file: Option<&'a Path>,
}

#[derive(Debug, Clone)]
pub(super) struct Protection {
    pub tls: Tls,
    /// Only with [`Tls::Verify`].
    pub ca_file: Option<PathBuf>,
    /// What `doctor` reports about it.
    pub remark: Option<String>,
}

impl Wanted<'_> {
    /// `hosts` are the addresses or names that are connected to; none for a socket on this machine.
    pub(super) fn choose<'h>(
        self,
        mut hosts: impl Iterator<Item = &'h str> + Clone,
        dir: &Path,
    ) -> Result<Protection, ConfigError> {
        let tls = self.key.or(self.url);
        let tls = match (tls, self.ca_file) {
            // As libpq does: a root certificate makes `require` check it.
            (Some(Tls::Require), Some(_)) if self.key.is_none() => Tls::Verify,
            (None | Some(Tls::Verify), Some(_)) => Tls::Verify,
            (Some(tls), None) => tls,
            (Some(tls), Some(_)) => {
                let at = if self.key.is_some() {
                    "`tls`"
                } else {
                    "the URL's sslmode"
                };
                return Err(ConfigError::new(
                    "ca_file",
                    format!("{at} is {:?}, which checks no certificate", tls.word()),
                )
                .hint("set tls = \"verify\", or remove `ca_file`"));
            }
            (None, None) if hosts.clone().all(egress::is_loopback) => Tls::Prefer,
            (None, None) => Tls::Verify,
        };
        let remark = (tls != Tls::Verify)
            .then(|| hosts.find(|host| !egress::is_private(host)))
            .flatten()
            .map(|host| unprotected(host, tls));
        Ok(Protection {
            tls,
            ca_file: self.ca_file.map(|path| dir.join(path)),
            remark,
        })
    }
}

fn unprotected(host: &str, tls: Tls) -> String {
    let risk = match tls {
        Tls::Off => "is not encrypted",
        Tls::Prefer => {
            "is encrypted only if the answer to the first message says so, which anybody in between can change"
        }
        Tls::Require | Tls::Verify => "is encrypted, but the server's certificate is not checked",
    };
    format!(
        "the connection to {host} {risk} (tls = {:?}); use tls = \"verify\", with `ca_file` if the certificate is \
         from an authority of your own",
        tls.word()
    )
}

/// What to do if the server has no TLS.
pub(super) const NO_TLS: &str = "the database server offers no TLS, and without it names, addresses and the password could be \
                                 read on the way: turn it on there; or, if only trusted machines share the network, \
                                 set tls = \"off\"";
/// What to do if its certificate is not valid.
pub(super) const BAD_CERTIFICATE: &str = "the server's certificate is not valid for its name and authority: set `ca_file`, or \
                                          `tls = \"require\"` to accept any certificate";

/// Whether a connection failed because the client did not accept the server's certificate.
pub(super) fn is_bad_certificate(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
}

/// The client's side of TLS.
pub(super) fn client(protection: &Protection) -> Result<ClientConfig, ConfigError> {
    let bad = |error: rustls::Error| ConfigError::new("tls", error.to_string());
    if protection.tls == Tls::Verify && protection.ca_file.is_none() {
        return http::tls::config()
            .map(|config| ClientConfig::clone(&config))
            .map_err(bad);
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(bad)?;
    Ok(match &protection.ca_file {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(path)?);
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        None => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(ring::default_provider())))
            .with_no_client_auth(),
    })
}

/// The certificates that the server's has to be signed by, for a driver with its own client. Empty if the system has
/// none.
pub(super) fn trusted(protection: &Protection) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    match &protection.ca_file {
        Some(path) => certificates(path),
        None => Ok(http::tls::trusted()),
    }
}

/// The valid certificates of a file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let bad = |message: String| ConfigError::new("ca_file", message);
    let mut found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad(format!("reading {}: {error}", path.display())))?;
    found.retain(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok());
    if found.is_empty() {
        return Err(bad(format!("{} contains no certificate (PEM)", path.display())));
    }
    Ok(found)
}

/// For the drivers that use the process's default provider. It fails if there is one already, which is fine.
pub(super) fn use_ring() {
    if CryptoProvider::get_default().is_none() {
        ring::default_provider().install_default().ok();
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

    const CA: &str = "ca.pem";

    fn chosen(
        key: Option<Tls>,
        url: Option<Tls>,
        ca_file: Option<&str>,
        hosts: &[&str],
    ) -> Result<Tls, String> {
        let wanted = Wanted {
            key,
            url,
            ca_file: ca_file.map(Path::new),
        };
        let chosen = wanted.choose(hosts.iter().copied(), Path::new("/etc"));
        chosen.map(|chosen| chosen.tls).map_err(|error| error.key)
    }

    #[test]
    fn off_loopback_the_server_has_to_prove_its_name() {
        for host in [
            "localhost",
            "db.localhost",
            "127.0.0.1",
            "127.8.9.1",
            "::1",
            "::ffff:127.0.0.1",
        ] {
            assert_eq!(chosen(None, None, None, &[host]), Ok(Tls::Prefer), "{host}");
        }
        assert_eq!(chosen(None, None, None, &[]), Ok(Tls::Prefer));
        for hosts in [
            &["db"][..],
            &["db.example.org"],
            &["10.0.0.5"],
            &["0.0.0.0"],
            &["::"],
            &["fd00::1"],
            &["localhost.example.org"],
            &["127.0.0.1", "db.example.org"],
        ] {
            assert_eq!(chosen(None, None, None, hosts), Ok(Tls::Verify), "{hosts:?}");
            assert_eq!(chosen(None, Some(Tls::Require), None, hosts), Ok(Tls::Require));
            assert_eq!(
                chosen(Some(Tls::Verify), Some(Tls::Off), None, hosts),
                Ok(Tls::Verify)
            );
        }
    }

    #[test]
    fn a_ca_file_is_used_or_refused_but_never_ignored() {
        for host in ["localhost", "db.example.org"] {
            for url in [None, Some(Tls::Require), Some(Tls::Verify)] {
                assert_eq!(chosen(None, url, Some(CA), &[host]), Ok(Tls::Verify));
                assert_eq!(chosen(Some(Tls::Verify), url, Some(CA), &[host]), Ok(Tls::Verify));
            }
            for weak in [Tls::Off, Tls::Prefer] {
                assert_eq!(
                    chosen(None, Some(weak), Some(CA), &[host]),
                    Err("ca_file".to_owned())
                );
            }
            for weak in [Tls::Off, Tls::Prefer, Tls::Require] {
                assert_eq!(
                    chosen(Some(weak), None, Some(CA), &[host]),
                    Err("ca_file".to_owned())
                );
            }
        }
    }

    #[test]
    fn weak_protection_on_a_public_network_is_remarked() {
        for (host, tls, is_remarked) in [
            ("db.example.org", Tls::Prefer, true),
            ("db.example.org", Tls::Off, true),
            ("9.9.9.9", Tls::Require, true),
            ("db.example.org", Tls::Verify, false),
            ("10.0.0.5", Tls::Off, false),
            ("db", Tls::Prefer, false),
            ("db.internal", Tls::Prefer, false),
        ] {
            let wanted = Wanted {
                key: Some(tls),
                ..Wanted::default()
            };
            let chosen = wanted.choose([host].into_iter(), Path::new("")).unwrap();
            assert_eq!(chosen.remark.is_some(), is_remarked, "{host} {tls:?}");
        }
    }
}
